//! The identity token: what it says of itself, the keys, and the documents on the way to them.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jhe_connect::http::{Conversation, HttpRequest, Method};
use jhe_connect::json::Json;
use jhe_connect::oauth::jws::{Jws, KEYS_LIMIT, Verification};
use jhe_connect::smart::discovery::Issuer;
use jhe_connect::smart::identity::{
    ExpectedIdentity, IDENTITY_LIMIT_MS, IdentityCheck, Inquiry, Outcome, Sealed, Verdict,
};
use jhe_connect::url::Url;
use serde_json::{Map, Value};

use crate::json::deepest;
use crate::oauth::page;
use crate::{LONGEST_TEXT, answer, lines};

/// A second reader. The last bits of a text that means fewer octets are nobody's.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

const FHIR: &str = "https://ehr.example/R4";
const ISSUER: &str = "https://ehr.example/oauth2";
const CLIENT: &str = "client";
const NONCE: &str = "n";
const NOW_S: u64 = 1_800_000_000;

/// The token of two lines: header and claims, with a signature that nobody made, or as it is where the first is no object.
fn token(header: &str, claims: &str) -> String {
    if !header.starts_with('{') {
        return header.to_owned();
    }
    let (header, claims) = (BASE64URL.encode(header), BASE64URL.encode(claims));
    format!("{header}.{claims}.c2ln")
}

/// An object as the second reader sees it, unless it is too deep for that one.
fn object(octets: &[u8]) -> Option<Map<String, Value>> {
    if deepest(octets) > 100 {
        return None;
    }
    match serde_json::from_slice(octets) {
        Ok(Value::Object(object)) => Some(object),
        // It knows no number beyond those of a machine.
        _ => None,
    }
}

/// A token, or its header and its claims, and a key set.
pub(crate) fn identity_token(input: &[u8]) {
    let ([header, claims], keys) = lines(input);
    let token = token(header, claims);
    let Ok(jws) = Jws::parse(&token) else {
        return;
    };
    assert_eq!(format!("{jws:?}"), "Jws(..)");
    let claims = jws.unverified_claims();
    assert!(claims.is_none_or(Json::is_object));
    is_trusted_kind(&token);
    let Some(keys) = Json::parse(keys) else {
        return;
    };
    let Ok(verification) = jws.verification(keys) else {
        return;
    };
    is_of(&verification, &token);
    if let Some(set) = object(keys.text().as_bytes())
        && let Some(Value::Array(known)) = set.get("keys")
    {
        is_public_part(&verification, known);
    }
}

/// Three parts, one of three algorithms, and no extension.
fn is_trusted_kind(token: &str) {
    assert!(token.len() <= 16_384);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    for part in &parts {
        assert!(BASE64URL.decode(part).is_ok(), "{part}");
    }
    let header = BASE64URL.decode(parts[0]).expect("it was decoded");
    let Some(header) = object(&header) else {
        return;
    };
    let algorithm = header["alg"].as_str().expect("an algorithm");
    assert!(matches!(algorithm, "RS256" | "ES256" | "ES384"));
    assert!(!header.contains_key("crit"), "an unknown extension");
}

/// What is to be verified is the token, by the algorithm that it names, with a key for that one.
fn is_of(verification: &Verification, token: &str) {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    assert_eq!(verification.signed(), signed.as_bytes());
    let signature = BASE64URL.decode(signature).expect("it was decoded");
    assert_eq!(verification.signature(), signature);
    assert_eq!(format!("{verification:?}"), "Verification(..)");

    let key = object(verification.key().as_bytes()).expect("a key");
    let text = |name: &str| key[name].as_str().expect("a text");
    let octets = |name: &str| BASE64URL.decode(text(name)).expect("octets").len();
    let mut names: Vec<&str> = key.keys().map(String::as_str).collect();
    names.sort_unstable();
    match verification.algorithm().name() {
        "RS256" => {
            assert_eq!(names, ["e", "kty", "n"]);
            assert_eq!(text("kty"), "RSA");
            assert!((256..=1024).contains(&octets("n")) && (1..=8).contains(&octets("e")));
        }
        "ES256" => {
            assert_eq!(names, ["crv", "kty", "x", "y"]);
            assert_eq!((text("kty"), text("crv")), ("EC", "P-256"));
            assert_eq!((octets("x"), octets("y")), (32, 32));
        }
        "ES384" => {
            assert_eq!(names, ["crv", "kty", "x", "y"]);
            assert_eq!((text("kty"), text("crv")), ("EC", "P-384"));
            assert_eq!((octets("x"), octets("y")), (48, 48));
        }
        other => panic!("{other} is trusted"),
    }
    let header = token.split('.').next().unwrap_or_default();
    let header = BASE64URL.decode(header).expect("it was decoded");
    if let Some(header) = object(&header) {
        assert_eq!(header["alg"], verification.algorithm().name());
    }
}

/// The key is one of the set, which tells no secret and is meant to verify.
fn is_public_part(verification: &Verification, known: &[Value]) {
    let key = object(verification.key().as_bytes()).expect("a key");
    let algorithm = verification.algorithm().name();
    let is_it = |candidate: &&Value| {
        let is_if_there = |name: &str, value: &str| match &candidate[name] {
            Value::Null => true,
            found => *found == value,
        };
        key.iter().all(|(name, value)| candidate[name] == *value)
            && is_if_there("use", "sig")
            && is_if_there("alg", algorithm)
            && ["d", "p", "q", "dp", "dq", "qi", "oth"]
                .iter()
                .all(|secret| candidate.get(secret).is_none())
    };
    assert_eq!(known.iter().filter(is_it).count(), 1);
}

/// Header, claims, and one answer on each line that follows.
pub(crate) fn identity_check(input: &[u8]) {
    let ([header, claims], answers) = lines(input);
    let token = token(header, claims);
    let answers: Vec<&[u8]> = answers.split(|octet| *octet == b'\n').collect();
    let said = |is_good: Option<bool>| match outcome(&token, &answers) {
        Outcome::Judged(verdict) => {
            assert!(
                !matches!(verdict, Verdict::Verified(_)),
                "verified without a signature"
            );
            verdict
        }
        Outcome::Sealed(sealed) => {
            is_right_but_for_the_signature(&sealed, &token);
            let verdict = sealed.judged(is_good);
            match is_good {
                Some(true) => assert!(matches!(verdict, Verdict::Verified(_))),
                Some(false) => assert!(matches!(verdict, Verdict::Forged(_))),
                None => assert!(matches!(verdict, Verdict::Unverified(_))),
            }
            verdict
        }
    };
    for is_good in [None, Some(false), Some(true)] {
        let verdict = said(is_good);
        let text = verdict.to_text();
        match &verdict {
            Verdict::Verified(_) => assert!(text.len() <= 20_000),
            Verdict::Unverified(_) | Verdict::Forged(_) => assert!(text.len() <= LONGEST_TEXT),
        }
        // What reads it is in another module.
        let issuer = Issuer::parse(FHIR, &page()).expect("an issuer");
        assert_eq!(Verdict::parse(&text, &issuer).to_text(), text);
    }
}

/// Asks all that the check wants to know.
fn outcome(token: &str, answers: &[&[u8]]) -> Outcome {
    let page = page();
    let issuer = Issuer::parse(FHIR, &page).expect("an issuer");
    let inquiry = Inquiry {
        issuer,
        id_token: token.to_owned(),
        client_id: CLIENT.to_owned(),
        expected: ExpectedIdentity {
            issuer: Some(ISSUER.to_owned()),
            nonce: Some(NONCE.to_owned()),
        },
    };
    let mut check = IdentityCheck::new(inquiry, page, NOW_S * 1000);
    let mut answers = answers.iter();
    let mut asked: Vec<String> = Vec::new();
    let mut before: &[u8] = &[];
    while let Some(request) = check.next_request() {
        may_be_asked(&request, &asked, before);
        if request.url.query().is_empty() {
            assert!(!request.url.as_str().contains(token) || token.len() < 8);
        }
        asked.push(request.url.as_str().to_owned());
        assert!(asked.len() <= 3, "it does not end");
        match answers.next() {
            Some(line) => {
                let answer = answer(line);
                before = line.get(1..).unwrap_or_default();
                check.receive(Ok(answer));
            }
            None => check.receive(Err(jhe_connect::http::TransportError::Unreachable)),
        }
    }
    check.finish()
}

/// A short question without anything of the patient's, at an address of the hospital's.
fn may_be_asked(request: &HttpRequest, asked: &[String], before: &[u8]) {
    assert_eq!(request.method, Method::Get);
    assert!(request.body.is_none());
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Accept"]);
    assert!(request.limit_ms <= IDENTITY_LIMIT_MS && request.limit_octets as usize <= KEYS_LIMIT);
    let url = request.url.as_str();
    assert!(url.starts_with("https://"), "{url}");
    let openid = format!("{ISSUER}/.well-known/openid-configuration");
    if asked.is_empty() {
        assert_eq!(url, format!("{FHIR}/.well-known/smart-configuration"));
    } else if url != openid || asked.contains(&openid) {
        // Keys are asked for where the document before says, which was the issuer's.
        assert!(Json::parse(before).is_some(), "{url} is in no document");
        let Some(document) = object(before) else {
            return;
        };
        assert_eq!(document["issuer"], ISSUER);
        let keys = document["jwks_uri"].as_str().expect("an address");
        let keys = Url::parse(keys).expect("a URL");
        assert_eq!(keys.as_str(), url);
    }
}

/// All that the standard wants to be compared was compared.
fn is_right_but_for_the_signature(sealed: &Sealed, token: &str) {
    is_trusted_kind(token);
    is_of(sealed.verification(), token);
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = BASE64URL.decode(claims).expect("it was decoded");
    let Some(claims) = object(&claims) else {
        return;
    };
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["nonce"], NONCE);
    assert!(claims.contains_key("sub"));
    let audience = match &claims["aud"] {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    assert!(audience.contains(&Value::from(CLIENT)));
    match claims.get("azp") {
        None | Some(Value::Null) => assert_eq!(audience.len(), 1),
        Some(party) => assert_eq!(party, CLIENT),
    }
    let time = |name: &str| match &claims[name] {
        Value::String(digits) => digits.parse().expect("a time"),
        number => number.as_u64().expect("a time"),
    };
    let (issued, expires): (u64, u64) = (time("iat"), time("exp"));
    assert!(expires >= NOW_S - 120);
    assert!((NOW_S - 3_600..=NOW_S + 120).contains(&issued));
}

/// What one module tells the other: a question, or what came of it.
pub(crate) fn identity_message(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let page = page();
    if let Some(inquiry) = Inquiry::parse(text, &page) {
        assert!(inquiry.issuer.base().is_protected(&page));
        assert_eq!(format!("{inquiry:?}"), "Inquiry(..)");
        let written = inquiry.to_text();
        let again = Inquiry::parse(&written, &page).expect("what was written");
        assert_eq!(again.to_text(), written);
        assert_eq!(again.id_token, inquiry.id_token);
        assert_eq!(again.client_id, inquiry.client_id);
        assert_eq!(again.expected, inquiry.expected);
    }
    let issuer = Issuer::parse(FHIR, &page).expect("an issuer");
    let verdict = Verdict::parse(text, &issuer);
    let written = verdict.to_text();
    assert_eq!(Verdict::parse(&written, &issuer), verdict);
    assert!(written.len() <= text.len().max(LONGEST_TEXT));
    if let Verdict::Verified(identity) = verdict {
        assert!(text.starts_with("verified "));
        if let Some(user) = identity.into_fhir_user() {
            assert_eq!(format!("{user:?}"), "FhirUser(..)");
            let _ = user.is_other_than("e1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: &str = r#"{"iss":"https://ehr.example/oauth2","sub":"u1","aud":"client","iat":1800000000,"exp":1800000300,"nonce":"n"}"#;
    const KEYS: &str = r#"2{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    const WITH_KEYS: &str =
        r#"2{"issuer":"https://ehr.example/oauth2","jwks_uri":"https://keys.example/jwks"}"#;
    const WITHOUT: &str = r#"2{"issuer":"https://ehr.example/oauth2"}"#;

    /// So the promises are about something.
    #[test]
    fn an_input_can_lead_to_a_signature_by_both_documents() {
        for answers in [
            &[WITH_KEYS, KEYS][..],
            &[WITHOUT, WITH_KEYS, KEYS],
            &["6", WITH_KEYS, KEYS],
        ] {
            let input = [&[r#"{"alg":"ES256"}"#, CLAIMS], answers]
                .concat()
                .join("\n");
            identity_check(input.as_bytes());
            let answers: Vec<&[u8]> = answers.iter().map(|it| it.as_bytes()).collect();
            let outcome = outcome(&token(r#"{"alg":"ES256"}"#, CLAIMS), &answers);
            assert!(matches!(outcome, Outcome::Sealed(_)), "{outcome:?}");
        }
    }
}
