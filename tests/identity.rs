//! Identity tokens, checked natively: the vectors of the standards, and each forgery. The sandbox's cryptography stands in for
//! the browser's; `src/browser/tests/identity.rs` holds the same vectors to that.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what the tests call may fail as the tests do"
)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_connect::http::{Conversation, HttpResponse, TransportError};
use jhe_connect::json::Json;
use jhe_connect::oauth::jws::{Jws, KEYS_LIMIT, Verification};
use jhe_connect::smart::discovery::Issuer;
use jhe_connect::smart::identity::{ExpectedIdentity, IdentityCheck, Inquiry, Outcome, Verdict};
use jhe_connect::url::Url;
use proptest::prelude::*;

#[path = "identity/vectors.rs"]
mod vectors;

fn verifies(verification: &Verification) -> Option<bool> {
    sandbox::verifies(
        verification.algorithm().name(),
        verification.key(),
        verification.signed(),
        verification.signature(),
    )
}

fn is_good(token: &str, keys: &str) -> Option<bool> {
    let keys = Json::parse(keys.as_bytes()).expect("a key set");
    let verification = Jws::parse(token).expect("a token").verification(keys);
    verifies(&verification.expect("a key"))
}

#[test]
fn the_vectors_of_the_standards_are_verified() {
    for (token, keys) in vectors::GOOD {
        assert_eq!(is_good(token, keys), Some(true), "{token}");
    }
}

#[test]
fn a_vector_with_one_letter_changed_is_not() {
    for (token, keys) in vectors::GOOD {
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let (header, payload) = signed.split_once('.').expect("three parts");
        let other = |text: &str| match text.strip_prefix('A') {
            Some(rest) => format!("B{rest}"),
            None => format!("A{}", text.get(1..).unwrap_or_default()),
        };
        for changed in [
            format!("{header}.{}.{signature}", other(payload)),
            format!("{signed}.{}", other(signature)),
        ] {
            assert_eq!(is_good(&changed, keys), Some(false), "{changed}");
        }
    }
}

// The claims, with a token that the hospital of the tests signs.

const NOW_S: u64 = 1_800_000_000;
const FHIR: &str = "https://ehr.example/R4";
const ISSUER: &str = "https://ehr.example/oauth2";
const KEYS: &str = "https://keys.example/jwks";

/// Claims that are right in all, with some replaced or, with an empty value, left out.
fn claims(changes: &[(&str, &str)]) -> String {
    let issued = NOW_S.to_string();
    let expires = (NOW_S + 300).to_string();
    let mut claims = vec![
        ("iss", "\"https://ehr.example/oauth2\""),
        ("sub", "\"u1\""),
        ("aud", "\"client\""),
        ("iat", &issued),
        ("exp", &expires),
        ("nonce", "\"n\""),
        ("fhirUser", "\"https://ehr.example/R4/RelatedPerson/r1\""),
    ];
    for (name, value) in changes {
        claims.retain(|(known, _)| known != name);
        claims.push((name, value));
    }
    let members = claims.iter().filter(|(_, value)| !value.is_empty());
    let members: Vec<_> = members
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A token with a signature that nobody made.
fn token(header: &str, claims: &str) -> String {
    let encoded = |part: &str| URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.c2ln", encoded(header), encoded(claims))
}

const HEADER: &str = r#"{"alg":"ES256"}"#;

fn inquiry(id_token: &str) -> Inquiry {
    Inquiry {
        issuer: Issuer::parse(FHIR, &page()).expect("an issuer"),
        id_token: id_token.to_owned(),
        client_id: "client".to_owned(),
        expected: ExpectedIdentity {
            issuer: Some(ISSUER.to_owned()),
            nonce: Some("n".to_owned()),
        },
    }
}

fn page() -> Url {
    Url::parse("https://jhe.example/").expect("a page")
}

fn json(body: &str) -> Result<HttpResponse, TransportError> {
    Ok(HttpResponse {
        status: 200,
        content_type: "application/json".to_owned(),
        retry_after_ms: None,
        body: body.as_bytes().to_vec(),
    })
}

/// The addresses that are asked, with these answers in turn, and what comes of it.
fn checked(
    inquiry: Inquiry,
    answers: Vec<Result<HttpResponse, TransportError>>,
) -> (Vec<String>, Outcome) {
    let mut check = IdentityCheck::new(inquiry, page(), NOW_S * 1000);
    let (mut asked, mut answers) = (Vec::new(), answers.into_iter());
    while let Some(request) = check.next_request() {
        assert!(
            request.headers.iter().all(|(name, _)| *name == "Accept"),
            "more than the question is sent"
        );
        assert_eq!(request.body, None);
        asked.push(request.url.as_str().to_owned());
        check.receive(answers.next().expect("no further question"));
    }
    (asked, check.finish())
}

/// What comes of a token before anything is asked.
fn at_once(id_token: &str) -> Verdict {
    let (asked, outcome) = checked(inquiry(id_token), Vec::new());
    assert!(asked.is_empty());
    verdict(outcome)
}

fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Judged(verdict) => verdict,
        Outcome::Sealed(_) => panic!("it hangs on the signature"),
    }
}

fn is_forged(claims_or_header: (&str, &str), what: &str) {
    let verdict = at_once(&token(claims_or_header.0, claims_or_header.1));
    assert!(
        matches!(&verdict, Verdict::Forged(said) if said.contains(what)),
        "expected {what}, found {verdict:?}"
    );
}

fn is_unverified(claims_or_header: (&str, &str), why: &str) {
    let verdict = at_once(&token(claims_or_header.0, claims_or_header.1));
    assert!(
        matches!(&verdict, Verdict::Unverified(said) if said.contains(why)),
        "expected {why}, found {verdict:?}"
    );
}

fn configuration(members: &str) -> Result<HttpResponse, TransportError> {
    json(&format!("{{\"issuer\":\"{ISSUER}\"{members}}}"))
}

/// A key that fits; who has it nobody knows.
fn any_key() -> Result<HttpResponse, TransportError> {
    let [_, (_, keys), _] = vectors::GOOD;
    json(keys)
}

fn with_keys() -> Result<HttpResponse, TransportError> {
    configuration(&format!(",\"jwks_uri\":\"{KEYS}\""))
}

#[test]
fn a_token_that_is_not_signed_or_by_a_secret_is_forged() {
    for alg in ["none", "None", "HS256", "HS512"] {
        is_forged((&format!("{{\"alg\":{alg:?}}}"), &claims(&[])), "alg");
    }
}

#[test]
fn a_token_of_another_issuer_app_or_sign_in_is_forged() {
    for (name, value, what) in [
        ("iss", "\"https://ehr.example/oauth2/\"", "iss"),
        // The FHIR base is not the issuer.
        ("iss", "\"https://ehr.example/R4\"", "iss"),
        ("iss", "7", "iss"),
        ("aud", "\"another\"", "aud"),
        ("aud", "[\"another\"]", "aud"),
        ("aud", "[]", "aud"),
        ("azp", "\"another\"", "azp"),
        ("nonce", "\"N\"", "nonce"),
        ("nonce", "\"\"", "nonce"),
    ] {
        is_forged((HEADER, &claims(&[(name, value)])), what);
    }
}

#[test]
fn a_contradiction_is_told_before_a_gap() {
    let both = claims(&[("aud", "\"another\""), ("exp", "1"), ("sub", "")]);
    is_forged((HEADER, &both), "aud");
}

#[test]
fn what_is_missing_or_out_of_time_is_not_used_and_stops_nobody() {
    let at = |time: u64| time.to_string();
    for (name, value, why) in [
        ("iss", "", "missing"),
        ("sub", "", "missing"),
        ("aud", "", "missing"),
        ("nonce", "", "nonce is missing"),
        ("iat", "", "missing"),
        ("exp", "", "missing"),
        ("exp", "\"soon\"", "missing"),
        ("exp", &at(NOW_S - 121), "expired"),
        ("iat", &at(NOW_S + 121), "not issued just now"),
        ("iat", &at(NOW_S - 3_601), "not issued just now"),
        ("aud", "[\"client\",\"another\"]", "azp is missing"),
        // Which of both is meant can't be known.
        ("sub", "\"u1\",\"sub\":\"u2\"", "missing"),
    ] {
        is_unverified((HEADER, &claims(&[(name, value)])), why);
    }
    is_unverified((r#"{"alg":"PS256"}"#, &claims(&[])), "alg");
    is_unverified((r#"{"alg":"ES256","crit":["exp"]}"#, &claims(&[])), "crit");
    is_unverified((HEADER, "[]"), "claims");
    assert_eq!(
        at_once("opaque"),
        Verdict::unverified("it is no signed token")
    );
}

#[test]
fn clocks_may_be_two_minutes_apart_and_several_apps_may_be_meant() {
    let at = |time: u64| time.to_string();
    for changes in [
        [("exp", at(NOW_S - 120)), ("iat", at(NOW_S - 420))],
        [("iat", at(NOW_S + 120)), ("exp", at(NOW_S + 420))],
        [
            ("aud", "[\"another\",\"client\"]".into()),
            ("azp", "\"client\"".into()),
        ],
        [
            ("aud", "[\"client\"]".into()),
            ("sub", "\"\\u0075\"".into()),
        ],
    ] {
        let changes: Vec<_> = changes
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let token = token(HEADER, &claims(&changes));
        let (_, outcome) = checked(inquiry(&token), vec![with_keys(), any_key()]);
        assert!(matches!(outcome, Outcome::Sealed(_)), "{outcome:?}");
    }
}

#[test]
fn where_the_hospital_names_no_issuer_nothing_is_asked() {
    let mut inquiry = inquiry(&token(HEADER, &claims(&[])));
    inquiry.expected.issuer = None;
    let (asked, outcome) = checked(inquiry, Vec::new());
    assert!(asked.is_empty());
    assert!(matches!(verdict(outcome), Verdict::Unverified(why) if why.contains("no issuer")));
}

#[test]
fn a_token_of_a_sign_in_without_nonce_needs_none() {
    let mut inquiry = inquiry(&token(HEADER, &claims(&[("nonce", "")])));
    inquiry.expected.nonce = None;
    let (_, outcome) = checked(inquiry, vec![with_keys(), any_key()]);
    assert!(matches!(outcome, Outcome::Sealed(_)));
}

// The keys.

fn asked(answers: Vec<Result<HttpResponse, TransportError>>) -> (Vec<String>, Outcome) {
    checked(inquiry(&token(HEADER, &claims(&[]))), answers)
}

fn is_unread(answers: Vec<Result<HttpResponse, TransportError>>, why: &str) {
    let verdict = verdict(asked(answers).1);
    assert!(
        matches!(&verdict, Verdict::Unverified(said) if said.contains(why)),
        "expected {why}, found {verdict:?}"
    );
}

#[test]
fn the_keys_are_where_smarts_document_says() {
    let (asked, outcome) = asked(vec![with_keys(), any_key()]);
    let configuration = "https://ehr.example/R4/.well-known/smart-configuration";
    assert_eq!(asked, [configuration, KEYS]);
    assert!(matches!(outcome, Outcome::Sealed(_)));
}

#[test]
fn or_where_openid_connects_document_says_below_the_issuer() {
    for first in [
        configuration(""),
        Err(TransportError::Unreachable),
        json("[]"),
    ] {
        let (asked, outcome) = asked(vec![first, with_keys(), any_key()]);
        let openid = "https://ehr.example/oauth2/.well-known/openid-configuration";
        assert_eq!(asked.get(1).map(String::as_str), Some(openid));
        assert!(matches!(outcome, Outcome::Sealed(_)));
    }
}

#[test]
fn keys_of_another_issuer_than_the_one_that_was_known_are_not_asked_for() {
    let other = format!("{{\"issuer\":\"{ISSUER}/\",\"jwks_uri\":\"{KEYS}\"}}");
    let none = format!("{{\"jwks_uri\":\"{KEYS}\"}}");
    for other in [other, none] {
        is_unread(vec![json(&other)], "another issuer");
        is_unread(vec![configuration(""), json(&other)], "another issuer");
    }
}

#[test]
fn keys_that_can_not_be_read_leave_the_token_unverified() {
    let unreachable = || Err(TransportError::Unreachable);
    is_unread(vec![with_keys(), unreachable()], "can't be read");
    is_unread(
        vec![with_keys(), Err(TransportError::TimedOut)],
        "can't be read",
    );
    is_unread(vec![unreachable(), unreachable()], "can't be read");
    is_unread(vec![configuration(""), configuration("")], "can't be read");
    is_unread(vec![with_keys(), json("<html>")], "can't be read");
    is_unread(vec![with_keys(), json("[]")], "can't be read");
    is_unread(vec![with_keys(), json("{}")], "no key");
    let insecure = configuration(",\"jwks_uri\":\"http://keys.example/jwks\"");
    is_unread(vec![insecure], "no https URL");
    let [_, (_, keys), _] = vectors::GOOD;
    let long = [keys, " ".repeat(KEYS_LIMIT).as_str()].concat();
    is_unread(vec![with_keys(), json(&long)], "can't be read");
}

#[test]
fn only_a_good_signature_tells_who_signed_in() {
    let sealed = || match asked(vec![with_keys(), any_key()]).1 {
        Outcome::Sealed(sealed) => sealed,
        Outcome::Judged(verdict) => panic!("{verdict:?}"),
    };
    let seal = sealed();
    let is_good = verifies(seal.verification());
    assert_eq!(is_good, Some(false), "nobody signed it");
    assert!(matches!(seal.judged(is_good), Verdict::Forged(what) if what.contains("signature")));
    assert!(matches!(sealed().judged(None), Verdict::Unverified(_)));
    let Verdict::Verified(identity) = sealed().judged(Some(true)) else {
        panic!("it is verified");
    };
    let user = identity.into_fhir_user().expect("somebody");
    assert!(user.is_other_than("r1"), "a parent is not the patient");
}

#[test]
fn question_and_verdict_pass_from_module_to_module() {
    let question = inquiry("a.b.c");
    let read = Inquiry::parse(&question.to_text(), &page()).expect("a question");
    assert_eq!(read.to_text(), question.to_text());
    assert!(Inquiry::parse("{}", &page()).is_none());
    for text in [
        "verified RelatedPerson/r1",
        "verified ",
        "unverified it is so",
        "forged its aud",
    ] {
        assert_eq!(Verdict::parse(text, &question.issuer).to_text(), text);
    }
    for text in ["", "verified", "good Patient/1"] {
        let verdict = Verdict::parse(text, &question.issuer);
        assert!(matches!(verdict, Verdict::Unverified(_)), "{text}");
    }
    assert_eq!(format!("{question:?}"), "Inquiry(..)");
}

proptest! {
    #[test]
    fn no_claims_and_no_answers_make_it_panic_or_go_on_for_ever(
        claims in r#"\{("(iss|aud|azp|nonce|sub|iat|exp|fhirUser)":("(client|n|x)"|[0-9]{0,12}|\[("client",?){0,2}\]|null),?){0,7}\}?"#,
        bodies in prop::collection::vec(r#"\{?("(issuer|jwks_uri|keys)":("https://ehr.example/oauth2"|\[\{?\}?\]|7),?){0,3}\}?"#, 3),
    ) {
        let answers = bodies.iter().map(|body| json(body)).collect();
        let (asked, _) = checked(inquiry(&token(HEADER, &claims)), answers);
        prop_assert!(asked.len() <= 3);
    }
}
