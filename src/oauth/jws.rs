//! Signed tokens and the keys that they are checked with: JWS in its compact form
//! ([RFC 7515](https://www.rfc-editor.org/rfc/rfc7515)) and JWK sets
//! ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
//!
//! Nothing is computed here: what comes out is a [`Verification`], which the edge performs with the browser's own
//! cryptography.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::json::{Json, object};
use crate::text::{base64url_decode, contains, split_last};

/// The algorithms that are trusted (RFC 7518 §3.1). OpenID Connect wants the first of every server. RFC 8725 §3.1: a list
/// of those that may be used, and never what a token says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with the curve P-256 and SHA-256.
    Es256,
    /// ECDSA with the curve P-384 and SHA-384.
    Es384,
}

impl Algorithm {
    const ALL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384];

    /// Its name as `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
        }
    }

    /// What `SubtleCrypto` knows it as, as JSON: the same for `importKey` and for `verify`.
    pub fn for_subtle_crypto(self) -> &'static str {
        match self {
            Algorithm::Rs256 => r#"{"name":"RSASSA-PKCS1-v1_5","hash":"SHA-256"}"#,
            Algorithm::Es256 => r#"{"name":"ECDSA","namedCurve":"P-256","hash":"SHA-256"}"#,
            Algorithm::Es384 => r#"{"name":"ECDSA","namedCurve":"P-384","hash":"SHA-384"}"#,
        }
    }

    /// The public members of a key for it, and how many octets each has at least and at most (RFC 7518 §3.3: 2048 bits or
    /// more; §6.2.1.2: the full length of a coordinate). More than 8192 bits are not worth a phone's time.
    fn members(self) -> &'static [(&'static str, usize, usize)] {
        match self {
            Algorithm::Rs256 => &[("n", 256, 1024), ("e", 1, 8)],
            Algorithm::Es256 => &[("x", 32, 32), ("y", 32, 32)],
            Algorithm::Es384 => &[("x", 48, 48), ("y", 48, 48)],
        }
    }

    /// `kty`, and `crv` where there is one.
    fn key_type(self) -> (&'static str, Option<&'static str>) {
        match self {
            Algorithm::Rs256 => ("RSA", None),
            Algorithm::Es256 => ("EC", Some("P-256")),
            Algorithm::Es384 => ("EC", Some("P-384")),
        }
    }
}

/// A longer token is not looked at. Hospitals' have one or two thousand characters.
const TOKEN_LIMIT: usize = 16_384;
/// A longer key set is not read. A key has some hundred characters, a server a handful of them; some add certificates.
pub const KEYS_LIMIT: usize = 262_144;

/// A token taken apart. Nothing of it is believed yet.
pub struct Jws<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// Why a token can't be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsError {
    /// It is no JWS in the compact form, with a JSON object as header.
    Malformed,
    /// It claims to need no signature, or one by a secret that a public client does not have (RFC 8725 §3.1, OpenID
    /// Connect Core §3.1.3.7): everybody could have written it.
    Unsigned,
    /// Another algorithm than those that are trusted here.
    OtherAlgorithm,
    /// It has an extension that must be understood (RFC 7515 §4.1.11), and is not.
    Critical,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        if token.len() > TOKEN_LIMIT {
            return Err(JwsError::Malformed);
        }
        let parts = split_last(token, b'.').and_then(|(signed, signature)| {
            let (header, payload) = signed.split_once('.')?;
            let header = base64url_decode(header)?;
            Some((
                signed,
                header,
                base64url_decode(payload)?,
                base64url_decode(signature)?,
            ))
        });
        let (signed, header, payload, signature) = parts.ok_or(JwsError::Malformed)?;
        let header = Json::parse(&header).filter(|header| is_plain_object(*header));
        let header = header.ok_or(JwsError::Malformed)?;
        let name = header.get_string("alg").ok_or(JwsError::Malformed)?;
        // By the standard `none` and `HS256` are written so; whoever writes them otherwise means no good either.
        let is_of_secret = name
            .get(..2)
            .is_some_and(|it| it.eq_ignore_ascii_case("HS"));
        if is_of_secret || name.eq_ignore_ascii_case("none") {
            return Err(JwsError::Unsigned);
        }
        let mut known = Algorithm::ALL.into_iter();
        let algorithm = known.find(|known| known.name() == name);
        let algorithm = algorithm.ok_or(JwsError::OtherAlgorithm)?;
        // Also one that is `null` or there twice.
        if header.members().any(|member| member.name == "crit") {
            return Err(JwsError::Critical);
        }
        Ok(Jws {
            algorithm,
            key_id: header.get_string("kid"),
            payload,
            signed,
            signature,
        })
    }

    /// What it says, as JSON. Not to be believed before the signature was verified.
    pub fn unverified_claims(&self) -> Option<Json<'_>> {
        Json::parse(&self.payload).filter(|claims| is_plain_object(*claims))
    }

    /// What is to be verified, with its key of the key set `keys`.
    ///
    /// RFC 7515 §4.1.4: the one of the same `kid`, which is compared as it is; without `kid` the only one that fits. The
    /// keys and addresses that a token itself may name (`jwk`, `jku`, `x5u`) are not looked at.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn verification(self, keys: Json<'_>) -> Result<Verification, NoKey> {
        let mut fitting = keys.list("keys").filter(|key| {
            let is_named = match &self.key_id {
                Some(name) => key.get_string("kid").as_ref() == Some(name),
                None => true,
            };
            is_named && is_for(*key, self.algorithm)
        });
        let key = fitting.next().ok_or(NoKey::Unknown)?;
        if fitting.next().is_some() {
            return Err(NoKey::Several);
        }
        let key = public_key(key, self.algorithm).ok_or(NoKey::Unusable)?;
        Ok(Verification {
            algorithm: self.algorithm,
            key,
            signed: self.signed.to_owned(),
            signature: self.signature,
        })
    }
}

/// An object whose names are all as they are read here, where they are compared with their escapes: `\u0061ud` is `aud` to
/// others, and could stand beside the one that is compared (RFC 7515 §4: names are unique). The slashes of names that are
/// URLs are escaped by some, and hide nothing.
fn is_plain_object(object: Json<'_>) -> bool {
    object.is_object() && !object.members().any(|member| contains(member.name, "\\u"))
}

/// It is about a person.
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jws(..)")
    }
}

/// Is the key meant to verify signatures of this kind (RFC 7517 §4.1 to §4.4)?
fn is_for(key: Json<'_>, algorithm: Algorithm) -> bool {
    let is = |name: &str, value: &str| key.get_string(name).as_deref() == Some(value);
    let is_if_there = |name, value| key.get(name).is_none() || is(name, value);
    let (key_type, curve) = algorithm.key_type();
    let verifies = |operation: Json<'_>| operation.text() == "\"verify\"";
    is("kty", key_type)
        && curve.is_none_or(|curve| is("crv", curve))
        && is_if_there("use", "sig")
        && is_if_there("alg", algorithm.name())
        && (key.get("key_ops").is_none() || key.list("key_ops").any(verifies))
}

/// The key's public members and nothing else. A key that came with its secret is no secret's any more (RFC 7518 §6.2.2,
/// §6.3.2): whoever reads the set could sign with it.
fn public_key(key: Json<'_>, algorithm: Algorithm) -> Option<String> {
    const SECRET: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];
    if !is_plain_object(key) || key.members().any(|member| SECRET.contains(&member.name)) {
        return None;
    }
    let (key_type, curve) = algorithm.key_type();
    let mut values = Vec::new();
    for (name, least, most) in algorithm.members() {
        let value = key.get_string(name)?;
        let octets = base64url_decode(&value)?.len();
        if octets < *least || octets > *most {
            return None;
        }
        values.push((*name, value));
    }
    let mut members = alloc::vec![("kty", key_type)];
    members.extend(curve.map(|curve| ("crv", curve)));
    members.extend(values.iter().map(|(name, value)| (*name, value.as_str())));
    Some(object(&members))
}

/// Why there is no key to check a token with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The set has none of this name and kind: it may have been replaced.
    Unknown,
    /// Which of several it is can't be known.
    Several,
    /// It is too short, too long, or its secret stands beside it.
    Unusable,
}

/// A signature to be verified.
pub struct Verification {
    algorithm: Algorithm,
    key: String,
    signed: String,
    signature: Vec<u8>,
}

impl Verification {
    /// How.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// With which key: a JWK of public members.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What was signed (RFC 7515 §5.2).
    pub fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// The signature's octets.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verification(..)")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        [&encode(header), ".", &encode(r#"{"sub":"x"}"#), ".c2ln"].concat()
    }

    fn refused(header: &str) -> JwsError {
        Jws::parse(&token(header)).unwrap_err()
    }

    /// A public key of base64url's zeros, with further members.
    fn key(algorithm: Algorithm, more: &str) -> String {
        let (key_type, curve) = algorithm.key_type();
        let mut members = alloc::vec![("kty".to_owned(), key_type.to_owned())];
        members.extend(curve.map(|curve| ("crv".to_owned(), curve.to_owned())));
        for (name, least, _) in algorithm.members() {
            let value = URL_SAFE_NO_PAD.encode(alloc::vec![0; *least]);
            members.push(((*name).to_owned(), value));
        }
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let key = object(&members);
        match more {
            "" => key,
            more => [key.trim_end_matches('}'), ",", more, "}"].concat(),
        }
    }

    fn chosen(header: &str, keys: &[&str]) -> Result<String, NoKey> {
        let set = [r#"{"keys":["#, &keys.join(","), "]}"].concat();
        let token = token(header);
        let set = Json::parse(set.as_bytes()).unwrap();
        let verification = Jws::parse(&token).unwrap().verification(set)?;
        Ok(verification.key().to_owned())
    }

    const RS256: &str = r#"{"alg":"RS256"}"#;

    #[test]
    fn only_three_algorithms_are_taken() {
        for algorithm in Algorithm::ALL {
            let header = object(&[("alg", algorithm.name()), ("typ", "JWT")]);
            assert_eq!(Jws::parse(&token(&header)).unwrap().algorithm, algorithm);
        }
        for name in ["none", "None", "HS256", "HS384", "HS512", "hs256"] {
            assert_eq!(refused(&object(&[("alg", name)])), JwsError::Unsigned);
        }
        for name in ["RS384", "PS256", "ES512", "EdDSA", "rs256", "RS256 ", ""] {
            assert_eq!(refused(&object(&[("alg", name)])), JwsError::OtherAlgorithm);
        }
    }

    #[test]
    fn an_extension_that_must_be_understood_is_refused() {
        for crit in [r#"["b64"]"#, "null", "[]", r#"["exp"],"crit":["exp"]"#] {
            let header = [r#"{"alg":"RS256","crit":"#, crit, "}"].concat();
            assert_eq!(refused(&header), JwsError::Critical);
        }
    }

    #[test]
    fn a_name_that_is_escaped_hides_nothing() {
        let header = r#"{"alg":"RS256","cr\u0069t":["exp"]}"#;
        assert_eq!(refused(header), JwsError::Malformed);
        let twice = URL_SAFE_NO_PAD.encode(r#"{"aud":"client","\u0061ud":"another"}"#);
        let told_twice = [&URL_SAFE_NO_PAD.encode(RS256), ".", &twice, ".c2ln"].concat();
        assert!(
            Jws::parse(&told_twice)
                .unwrap()
                .unverified_claims()
                .is_none()
        );
        let told = key(Algorithm::Rs256, r#""\u0064":"AAAA""#);
        assert_eq!(chosen(RS256, &[&told]), Err(NoKey::Unusable));
        let named_by_url = r#"{"alg":"RS256","https:\/\/ehr.example\/x":1}"#;
        assert!(Jws::parse(&token(named_by_url)).is_ok());
    }

    #[test]
    fn what_is_no_compact_jws_is_refused() {
        let good = token(RS256);
        let encrypted = [&good, ".x.y"].concat();
        let long = [&good, "A".repeat(TOKEN_LIMIT).as_str()].concat();
        let padded = [&good, "=="].concat();
        for bad in [
            "", "..", "a.b.c", "e30.e30.", "e30", &encrypted, &long, &padded,
        ] {
            assert_eq!(Jws::parse(bad).unwrap_err(), JwsError::Malformed, "{bad}");
        }
        for header in ["[]", "7", r#"{"alg":7}"#, r#"{"alg":"RS256","alg":"none"}"#] {
            assert_eq!(refused(header), JwsError::Malformed, "{header}");
        }
    }

    #[test]
    fn a_key_is_chosen_by_its_name_which_may_be_base64() {
        let of = |name: &str| key(Algorithm::Rs256, &[r#""kid":""#, name, "\""].concat());
        let (first, second) = (of("a/b+c=="), of("a/b+c"));
        let header = r#"{"alg":"RS256","kid":"a/b+c=="}"#;
        assert!(chosen(header, &[&second, &first]).is_ok());
        assert_eq!(chosen(header, &[&second]), Err(NoKey::Unknown));
        assert_eq!(chosen(header, &[&first, &first]), Err(NoKey::Several));
        // A key without a name is not the one that was named.
        let nameless = key(Algorithm::Rs256, "");
        assert_eq!(chosen(header, &[&nameless]), Err(NoKey::Unknown));
    }

    #[test]
    fn without_a_name_the_only_key_that_fits_is_taken() {
        let rsa = key(Algorithm::Rs256, r#""kid":"x""#);
        let curve = key(Algorithm::Es256, "");
        let encrypts = key(Algorithm::Rs256, r#""use":"enc""#);
        let other = key(Algorithm::Rs256, r#""alg":"RS384""#);
        let signs = key(Algorithm::Rs256, r#""key_ops":["sign"]"#);
        assert!(chosen(RS256, &[&curve, &encrypts, &other, &signs, &rsa]).is_ok());
        assert_eq!(chosen(RS256, &[&rsa, &rsa]), Err(NoKey::Several));
        assert_eq!(chosen(RS256, &[&curve, &encrypts]), Err(NoKey::Unknown));
        assert_eq!(chosen(RS256, &[]), Err(NoKey::Unknown));
        let verifies = key(
            Algorithm::Rs256,
            r#""use":"sig","alg":"RS256","key_ops":["verify"]"#,
        );
        assert!(chosen(RS256, &[&verifies]).is_ok());
    }

    #[test]
    fn a_secret_is_never_a_key() {
        let symmetric = r#"{"kty":"oct","k":"AAAA"}"#;
        assert_eq!(chosen(RS256, &[symmetric]), Err(NoKey::Unknown));
        let told = key(Algorithm::Rs256, r#""d":"AAAA""#);
        assert_eq!(chosen(RS256, &[&told]), Err(NoKey::Unusable));
    }

    #[test]
    fn a_key_of_another_length_is_not_used() {
        for (name, octets) in [("n", 255), ("n", 1025), ("e", 0), ("e", 9)] {
            let good = key(Algorithm::Rs256, "");
            let least = match name {
                "n" => 256,
                _ => 1,
            };
            let encoded = |octets: usize| {
                let value = URL_SAFE_NO_PAD.encode(alloc::vec![0; octets]);
                ["\"", name, "\":\"", &value, "\""].concat()
            };
            let bad = good.replace(&encoded(least), &encoded(octets));
            assert_ne!(good, bad);
            assert_eq!(chosen(RS256, &[&bad]), Err(NoKey::Unusable), "{name}");
        }
    }

    #[test]
    fn of_a_key_only_the_public_members_are_handed_on() {
        let full = key(Algorithm::Es384, r#""kid":"k","x5c":["MII"],"ext":true"#);
        let handed_on = chosen(r#"{"alg":"ES384"}"#, &[&full]).unwrap();
        assert_eq!(handed_on, key(Algorithm::Es384, ""));
    }

    #[test]
    fn debug_shows_nothing_of_a_token() {
        let token = token(RS256);
        let jws = Jws::parse(&token).unwrap();
        assert_eq!(alloc::format!("{jws:?}"), "Jws(..)");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(token in "[A-Za-z0-9._=-]{0,80}|.{0,40}") {
            let _ = Jws::parse(&token);
        }

        #[test]
        fn no_header_and_no_key_set_makes_it_panic(
            header in r#"\{("(alg|kid|crit|typ)":("(RS256|ES256|none|HS256|x)"|7|\[\]|null),?){0,4}\}?"#,
            keys in r#"\{"keys":\[(\{("(kty|kid|n|e|x|y|crv|use|alg|key_ops|d)":("(RSA|EC|oct|AQAB|sig|P-256|)"|7|\[\]),?){0,6}\},?){0,3}\]?\}?"#,
        ) {
            let token = token(&header);
            if let (Ok(jws), Some(keys)) = (Jws::parse(&token), Json::parse(keys.as_bytes())) {
                // Keys so short are none.
                prop_assert!(jws.verification(keys).is_err());
            }
        }
    }
}
