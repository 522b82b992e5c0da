//! Identity tokens as an OpenID Connect server signs them, and the keys that they are checked with.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use ring::{hmac, rand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Grant, discovery};
use crate::world::World;

/// The algorithm that a hospital signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signing {
    /// What OpenID Connect wants of every server.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA with P-384.
    #[serde(rename = "ES384")]
    Es384,
}

/// What is wrong with an identity token, or with the keys for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityFault {
    /// `alg` is `none`, and there is no signature.
    AlgNone,
    /// `alg` is `HS256`, and the secret is the public key, which everybody has.
    Hs256,
    /// `iss` is somebody else.
    OtherIssuer,
    /// `aud` is another app.
    OtherAudience,
    /// `aud` has two apps, and `azp` is the other one.
    OtherParty,
    /// `nonce` is of another sign-in.
    OtherNonce,
    /// There is no `nonce`.
    NoNonce,
    /// It expired an hour ago.
    Expired,
    /// It is signed by a key that the hospital does not have, under the name of the one that it has.
    OtherKey,
    /// The header names no key.
    NoKid,
    /// The header names a key that is not in the set.
    UnknownKid,
    /// The set has no longer the key that it is signed by, but a newer one.
    KeyRotated,
}

/// Base64, as at Epic.
const RSA_KID: &str = "c2FuZGJveA==";

const RSA: &str = include_str!("../../keys/rs256.txt");
const OTHER_RSA: &str = include_str!("../../keys/rs256-other.txt");
const P256: &str = include_str!("../../keys/es256.txt");
const P384: &str = include_str!("../../keys/es384.txt");

impl Signing {
    fn name(self) -> &'static str {
        match self {
            Signing::Rs256 => "RS256",
            Signing::Es256 => "ES256",
            Signing::Es384 => "ES384",
        }
    }

    fn kid(self) -> &'static str {
        match self {
            Signing::Rs256 => RSA_KID,
            Signing::Es256 => "curve/256",
            Signing::Es384 => "curve/384",
        }
    }

    fn sign(self, text: &str) -> Vec<u8> {
        match self {
            Signing::Rs256 => sign_rsa(&rsa(RSA), text),
            Signing::Es256 => sign_ecdsa(&ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, P256), text),
            Signing::Es384 => sign_ecdsa(&ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, P384), text),
        }
    }

    /// With a key that the hospital does not have.
    fn sign_with_another(self, text: &str) -> Vec<u8> {
        let curve = match self {
            Signing::Rs256 => return sign_rsa(&rsa(OTHER_RSA), text),
            Signing::Es256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Signing::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(curve, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(curve, key.as_ref(), &random).expect("a good key");
        sign_ecdsa(&key, text)
    }
}

/// The identity token for a grant, with the fault that is set.
pub(super) fn id_token(world: &World, grant: &Grant) -> String {
    let (signing, fault) = {
        let identity = &world.settings.ehr.identity;
        (identity.signing, identity.fault)
    };
    let has = |it| fault == Some(it);
    let user = &grant.signed_in.user;
    let now = world.now().unix_seconds()
        - if has(IdentityFault::Expired) {
            3_900
        } else {
            0
        };
    let mut claims = json!({
        "iss": discovery::issuer(world, grant.vendor),
        "sub": user.rsplit('/').next(),
        "aud": grant.client_id,
        "iat": now,
        "exp": now + 300,
        "fhirUser": format!("{}/{user}", world.origins.iss_of(grant.vendor)),
    });
    if let Some(nonce) = grant
        .nonce
        .as_ref()
        .filter(|_| !has(IdentityFault::NoNonce))
    {
        claims["nonce"] = json!(nonce);
    }
    let mut header = json!({"alg": signing.name(), "kid": signing.kid(), "typ": "JWT"});
    match fault {
        Some(IdentityFault::AlgNone) => header["alg"] = json!("none"),
        Some(IdentityFault::Hs256) => header["alg"] = json!("HS256"),
        Some(IdentityFault::OtherIssuer) => claims["iss"] = json!("https://issuer.example"),
        Some(IdentityFault::OtherAudience) => claims["aud"] = json!("another-app"),
        Some(IdentityFault::OtherParty) => {
            claims["aud"] = json!([grant.client_id, "another-app"]);
            claims["azp"] = json!("another-app");
        }
        Some(IdentityFault::OtherNonce) => claims["nonce"] = json!("of-another-sign-in"),
        Some(IdentityFault::UnknownKid) => header["kid"] = json!("nobody"),
        Some(IdentityFault::NoKid) => drop(header.as_object_mut().map(|it| it.remove("kid"))),
        _ => {}
    }
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = match fault {
        Some(IdentityFault::AlgNone) => Vec::new(),
        Some(IdentityFault::Hs256) => {
            let secret = rsa(RSA);
            let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.public_key().as_ref());
            hmac::sign(&secret, signed.as_bytes()).as_ref().to_vec()
        }
        Some(IdentityFault::OtherKey) => signing.sign_with_another(&signed),
        _ => signing.sign(&signed),
    };
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The key set.
pub(super) fn keys(world: &World) -> Value {
    if world.settings.ehr.identity.fault == Some(IdentityFault::KeyRotated) {
        return json!({"keys": [rsa_jwk(&rsa(OTHER_RSA), "bmV3ZXI=")]});
    }
    json!({"keys": [
        rsa_jwk(&rsa(RSA), RSA_KID),
        ec_jwk(Signing::Es256, "P-256", &ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, P256)),
        ec_jwk(Signing::Es384, "P-384", &ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, P384)),
    ]})
}

fn rsa_jwk(key: &RsaKeyPair, kid: &str) -> Value {
    let key: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
    let part = |value: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(value);
    json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": part(&key.n), "e": part(&key.e)})
}

fn ec_jwk(signing: Signing, curve: &str, key: &EcdsaKeyPair) -> Value {
    // 04, x, y.
    let point = key.public_key().as_ref().get(1..).unwrap_or_default();
    let (x, y) = point.split_at(point.len() / 2);
    let part = |value: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(value);
    json!({
        "kty": "EC", "use": "sig", "alg": signing.name(), "kid": signing.kid(),
        "crv": curve, "x": part(x), "y": part(y),
    })
}

/// Verifies a signature as a browser's `SubtleCrypto` does, for tests outside of one: `alg`, a public key as JWK, what was
/// signed, and the signature. `None` where the key or the algorithm is of no use.
pub fn verifies(alg: &str, key: &str, signed: &[u8], signature: &[u8]) -> Option<bool> {
    let key: Value = serde_json::from_str(key).ok()?;
    let part = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
    let point = || Some([vec![4], part("x")?, part("y")?].concat());
    let result = match alg {
        "RS256" => {
            let (n, e) = (part("n")?, part("e")?);
            let key = RsaPublicKeyComponents { n, e };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
        }
        "ES256" => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()?).verify(signed, signature)
        }
        "ES384" => {
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()?).verify(signed, signature)
        }
        _ => return None,
    };
    Some(result.is_ok())
}

fn der(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    BASE64_STANDARD.decode(text).expect("base64")
}

fn rsa(key: &str) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&der(key)).expect("a good key")
}

fn ecdsa(curve: &'static EcdsaSigningAlgorithm, key: &str) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(curve, &der(key), &SystemRandom::new()).expect("a good key")
}

fn sign_rsa(key: &RsaKeyPair, text: &str) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    let random = rand::SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
        .expect("a signature");
    signature
}

fn sign_ecdsa(key: &EcdsaKeyPair, text: &str) -> Vec<u8> {
    let signature = key.sign(&SystemRandom::new(), text.as_bytes());
    signature.expect("a signature").as_ref().to_vec()
}
