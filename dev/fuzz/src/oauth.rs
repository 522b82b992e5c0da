//! Signing in: the answer in the redirect, discovery, and the token.

use jhe_connect::http::Conversation;
use jhe_connect::oauth::authorization::{AuthorizationResponse, ExpectedIssuer, ResponseError};
use jhe_connect::oauth::pkce::State;
use jhe_connect::oauth::token::TokenResponse;
use jhe_connect::session;
use jhe_connect::smart::context::{LaunchContext, Right, grants};
use jhe_connect::smart::discovery::{Discovery, Issuer, SmartConfiguration};
use jhe_connect::smart::identity::ExpectedIdentity;
use jhe_connect::smart::launch::{LaunchRequest, Launched, redeem};
use jhe_connect::text::form_decode;
use jhe_connect::url::Url;

use crate::checkpoint::Tab;
use crate::links::prints_as_it_reads;
use crate::{answer, lines};

/// Octets for a state.
const OCTETS: [u8; 32] = *b"32 octets that make up one state";

/// Octets for a state that `input` can't hold, whatever a fuzzer saw it compared with before: they depend on all of it.
fn unforeseen(input: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for (place, octet) in octets.iter_mut().enumerate() {
        for byte in input.iter().chain([&(place as u8)]) {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        *octet = (digest >> 32) as u8;
    }
    octets
}

/// The issuer that discovery advertised, and the callback page's query. `{state}` in it stands for the right state.
pub(crate) fn callback_query(input: &[u8]) {
    let ([advertised], query) = lines(input);
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    let state = State::from_octets(&unforeseen(input));
    let issuer = ExpectedIssuer {
        advertised: (!advertised.is_empty()).then(|| advertised.to_owned()),
        required: advertised.starts_with('!'),
    };

    let scrubbed = AuthorizationResponse::scrubbed(query);
    assert!(!AuthorizationResponse::is_present(&scrubbed), "{scrubbed}");
    assert_eq!(AuthorizationResponse::scrubbed(&scrubbed), scrubbed);
    assert!(scrubbed.len() <= query.len() + 1);

    // Without the right state nothing is believed, an error neither.
    if let Ok(response) = AuthorizationResponse::parse(query) {
        match response.validate(&state, &issuer) {
            Err(ResponseError::NoState | ResponseError::UnknownState) => {}
            other => panic!("a foreign state gave {other:?}"),
        }
    }
    let query = query.replace("{state}", state.as_str());
    let Ok(response) = AuthorizationResponse::parse(&query) else {
        return;
    };
    let pairs = form_decode(&query);
    let all = |name: &str| -> Vec<String> {
        let named = pairs.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.clone()).collect()
    };
    match response.validate(&state, &issuer) {
        Ok(code) => {
            assert_eq!(all("state"), [state.as_str()]);
            assert_eq!(all("code"), [code.secret()]);
            assert!(!code.secret().is_empty() && all("error").is_empty());
            match all("iss").first() {
                Some(iss) => assert!(issuer.advertised.as_ref().is_none_or(|it| it == iss)),
                None => assert!(!issuer.required),
            }
            assert_eq!(format!("{code:?}"), "AuthorizationCode(..)");
        }
        Err(ResponseError::Server(error)) => {
            assert_eq!(all("state"), [state.as_str()]);
            assert_eq!(all("error"), [error.error]);
        }
        Err(_) => {}
    }
}

pub(crate) fn page() -> Url {
    Url::parse("https://jhe.example/clients/patient-access/callback/").expect("a URL")
}

/// The answer to discovery, and the one to the question for the CapabilityStatement, on lines of their own.
pub(crate) fn smart_configuration(input: &[u8]) {
    let ([first], second) = lines(input);
    let page = page();
    let issuer = Issuer::parse("https://ehr.example/api/FHIR/R4", &page).expect("an issuer");
    let (first, second) = (answer(first.as_bytes()), answer(second));
    let read = |configuration: &SmartConfiguration| {
        let optional = configuration.revocation_endpoint.iter();
        for endpoint in optional.chain([
            &configuration.authorization_endpoint,
            &configuration.token_endpoint,
        ]) {
            assert!(endpoint.is_protected(&page) && endpoint.as_str().starts_with("https://"));
            prints_as_it_reads(endpoint);
        }
        sign_in(&issuer, configuration, &page);
    };
    for response in [&first, &second] {
        for found in [
            SmartConfiguration::from_response(response, &issuer, &page),
            SmartConfiguration::from_metadata(response, &issuer, &page),
        ] {
            match found {
                Ok(configuration) => read(&configuration),
                Err(error) => drop(format!("{error:?}")),
            }
        }
    }

    let mut discovery = Discovery::new(issuer.clone(), page.clone());
    let mut answers = [first, second].into_iter();
    while let Some(request) = discovery.next_request() {
        assert!(
            issuer
                .base()
                .confine(request.url.as_str(), issuer.base())
                .is_ok()
        );
        assert!(
            request
                .headers
                .iter()
                .all(|(name, _)| *name != "Authorization")
        );
        let answer = answers.next().expect("it asks twice at most");
        discovery.receive(Ok(answer));
    }
    if let Ok((_, configuration)) = discovery.finish() {
        read(&configuration);
    }
}

/// The sign-in that begins there: each parameter once, and what is stored gives the same request again.
fn sign_in(issuer: &Issuer, configuration: &SmartConfiguration, page: &Url) {
    let launch = LaunchRequest {
        issuer,
        configuration,
        client_id: "client",
        scope: "openid launch/patient patient/Observation.read",
        redirect_uri: "https://jhe.example/clients/patient-access/callback/",
        entropy: &[OCTETS, [7; 32]],
        now: 1_000,
    };
    let (url, pending) = launch.begin();
    let url = Url::parse(&url).expect("a URL");
    let endpoint = &configuration.authorization_endpoint;
    assert_eq!(url.without_query(), endpoint.without_query());
    let state = State::from_octets(&OCTETS);
    let sent = form_decode(url.query());
    let own = form_decode(endpoint.query());
    for (name, value) in [("state", state.as_str()), ("aud", issuer.as_str())] {
        let pair = (name.to_owned(), value.to_owned());
        assert!(sent[own.len()..].contains(&pair), "{name} is missing");
    }
    let tab = Tab::default();
    session::keep_launch(&tab, &pending).expect("a tab keeps");
    let pending = session::take_launch(&tab).expect("a tab gives");
    let mut query = format!("code=c&state={}", state.as_str());
    if let Some(advertised) = &configuration.issuer.advertised {
        query += &format!("&iss={}", jhe_connect::text::percent_encode(advertised));
    } else if configuration.issuer.required {
        query += "&iss=x";
    }
    let (request, launched) = redeem(pending, &query, page, 1_000).expect("it is its answer");
    assert_eq!(request.url, configuration.token_endpoint);
    assert_eq!(launched.issuer.as_str(), issuer.as_str());
    assert!(session::take_launch(&tab).expect("a tab gives").is_none());
}

/// The token endpoint's answer, and one to a renewal on the next line.
pub(crate) fn token_response(input: &[u8]) {
    let ([first], second) = lines(input);
    let first = answer(first.as_bytes());
    let Ok(token) = TokenResponse::from_response(&first) else {
        return;
    };
    assert!(!token.access_token.secret().is_empty());
    assert_eq!(format!("{token:?}"), "TokenResponse(..)");
    assert!((200..300).contains(&first.status));
    let page = page();
    let url = |text| Url::parse(text).expect("a URL");
    let launched = Launched {
        issuer: Issuer::parse("https://ehr.example/R4", &page).expect("an issuer"),
        scope: "launch/patient patient/Observation.read".into(),
        token_endpoint: url("https://ehr.example/token"),
        revocation_endpoint: Some(url("https://ehr.example/revoke")),
        client_id: "client".into(),
        identity: ExpectedIdentity::default(),
    };
    let Ok(mut access) = LaunchContext::new(launched, token, 1_000) else {
        return;
    };
    assert!(!access.patient.is_empty());
    is_kept(&mut access, &page);
    if let Ok(renewed) = TokenResponse::from_response(&answer(second)) {
        let patient = access.patient.clone();
        access.renew(renewed, 2_000);
        assert_eq!(access.patient, patient, "a renewal is of the same patient");
        is_kept(&mut access, &page);
    }
    if let Some(request) = access.renewal_request(u64::MAX, true) {
        assert_eq!(request.url.as_str(), "https://ehr.example/token");
    }
    let request = access.revocation_request().expect("there is an endpoint");
    assert_eq!(request.url.as_str(), "https://ehr.example/revoke");
    let _ = grants(&access.scope, "Observation", Right::Search);
}

/// What a reload finds is what was kept, but for the identity token.
fn is_kept(access: &mut LaunchContext, page: &Url) {
    let tab = Tab::default();
    session::keep_ehr(&tab, access).expect("a tab keeps");
    let text = tab.only_text();
    // Its text may stand elsewhere in the answer, too: what is kept is the same without it.
    access.id_token = None;
    session::keep_ehr(&tab, access).expect("a tab keeps");
    assert_eq!(tab.only_text(), text);
    let read = session::ehr(&tab, page).expect("a tab gives");
    let read = read.expect("what was kept is there");
    session::keep_ehr(&tab, &read).expect("a tab keeps");
    assert_eq!(tab.only_text(), text);
    assert_eq!(
        (read.patient.as_str(), read.expires_at, read.lasts_until),
        (
            access.patient.as_str(),
            access.expires_at,
            access.lasts_until
        )
    );
    assert_eq!(read.fhir_user(), access.fhir_user());
}
