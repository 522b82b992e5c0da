//! Requirements of SMART App Launch and OAuth that no other test is about. `docs/conformance.md` has all of them, each with the
//! test that shows it.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::expect_used,
    reason = "what the tests call may fail as the tests do"
)]

use std::fs;
use std::path::{Path, PathBuf};

use jhe_connect::http::HttpResponse;
use jhe_connect::oauth::token::TokenResponse;
use jhe_connect::smart::discovery::{Issuer, SmartConfiguration};
use jhe_connect::smart::launch::{self, LaunchRequest, PendingLaunch};
use jhe_connect::url::Url;

const PAGE: &str = "https://jhe.example/clients/patient-access/";
const BASE: &str = "https://ehr.example/interconnect-production-oauth2/api/FHIR/R4";

fn page() -> Url {
    Url::parse(PAGE).expect("a page")
}

fn issuer() -> Issuer {
    Issuer::parse(BASE, &page()).expect("a base")
}

fn answer(content_type: &str, body: &str) -> HttpResponse {
    HttpResponse {
        status: 200,
        content_type: content_type.to_owned(),
        retry_after_ms: None,
        body: body.as_bytes().to_vec(),
    }
}

fn discovered(content_type: &str, further: &str) -> SmartConfiguration {
    let body = format!(
        r#"{{"authorization_endpoint":"https://ehr.example/oauth2/authorize",
            "token_endpoint":"https://ehr.example/oauth2/token"{further}}}"#
    );
    SmartConfiguration::from_response(&answer(content_type, &body), &issuer(), &page())
        .expect("a configuration")
}

fn begun(configuration: &SmartConfiguration, scope: &str) -> (String, PendingLaunch) {
    LaunchRequest {
        issuer: &issuer(),
        configuration,
        client_id: "01234567-89ab-cdef-0123-456789abcdef",
        scope,
        redirect_uri: "https://jhe.example/clients/patient-access/callback",
        entropy: &[[1; 32], [7; 32]],
        now: 0,
    }
    .begin()
}

/// The value of a parameter in a URL's query.
fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).expect("a URL");
    let mut pairs = url.query_pairs();
    let value = pairs.find(|(found, _)| found == name)?.1.into_owned();
    Some(value)
}

#[test]
fn a_smart_configuration_is_read_whatever_content_type_it_claims() {
    for content_type in [
        "application/json",
        "text/html; charset=utf-8",
        "application/octet-stream",
        "",
    ] {
        let found = discovered(content_type, "");
        assert_eq!(
            found.token_endpoint.as_str(),
            "https://ehr.example/oauth2/token"
        );
    }
}

/// Lists of a server are hints: Epic's sandbox lists five scopes, none of them clinical.
#[test]
fn a_scope_that_the_server_does_not_list_is_asked_for_all_the_same() {
    let further =
        r#","scopes_supported":["fhirUser","launch","openid","profile"],"capabilities":[]"#;
    let scope = "openid fhirUser launch/patient patient/Observation.read";
    let (url, _) = begun(&discovered("application/json", further), scope);
    assert_eq!(parameter(&url, "scope").as_deref(), Some(scope));
}

/// Some servers and proxies cut longer ones off.
#[test]
fn the_address_of_the_sign_in_stays_below_two_thousand_characters() {
    let scope = sandbox::PATIENT_ACCESS_SCOPES;
    let (url, _) = begun(&discovered("application/json", ""), scope);
    assert_eq!(parameter(&url, "scope").as_deref(), Some(scope));
    assert!(url.len() < 2_000, "{} characters", url.len());
}

#[test]
fn a_code_is_sent_as_it_came_however_long_it_is_and_whatever_is_in_it() {
    let code = "ey+/=&x=1%20.".repeat(400);
    let (url, pending) = begun(&discovered("application/json", ""), "launch/patient");
    let state = parameter(&url, "state").expect("a state");
    let query = url::form_urlencoded::Serializer::new(String::from("?"))
        .append_pair("code", &code)
        .append_pair("state", &state)
        .finish();
    let (request, _) = launch::redeem(Some(pending), &query, &page(), 1).expect("a token request");
    let body = request.body.expect("a body");
    let sent = url::form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "code");
    assert_eq!(sent.expect("a code").1, code);
}

/// A token is no business of the client's: dots in it do not make it a JWT.
#[test]
fn a_token_is_not_looked_into_and_unknown_members_are_nobodys_business() {
    let body = r#"{"access_token":"a.b-_.c","token_type":"bearer","patient":"e1","need_patient_banner":"false",
        "__epic.dstu2.patient":"T1","smart_style_url":"javascript:alert(1)","tenant":7,"user":null,
        "fhirContext":[{"reference":"ImagingStudy/1"},{"canonical":"https://x.example/q"}]}"#;
    let token = TokenResponse::from_response(&answer("application/json", body)).expect("a token");
    assert_eq!(token.access_token.secret(), "a.b-_.c");
    assert_eq!(token.patient.as_deref(), Some("e1"));
}

/// All that is shipped to browsers.
fn shipped() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder)
            .expect("a folder")
            .map(|it| it.expect("an entry").path())
        {
            match entry.extension().and_then(|it| it.to_str()) {
                _ if entry.is_dir() => collect(&entry, found),
                Some("rs" | "js" | "html") => found.push(entry),
                _ => {}
            }
        }
    }
    let mut found = vec![PathBuf::from("index.html"), PathBuf::from("callback.html")];
    for folder in ["src", "www"] {
        collect(Path::new(folder), &mut found);
    }
    found
}

/// A page that never listens can be sent nothing, and one that opens no window hands itself to none.
#[test]
fn no_page_talks_to_another_window_or_writes_markup() {
    let refused = [
        "postMessage",
        "post_message",
        "window.open",
        "open_with_url",
        "document.cookie",
        "innerHTML",
        "inner_html",
        "outerHTML",
        "insertAdjacentHTML",
        "insert_adjacent_html",
        "document.write",
        "eval(",
        "new Function",
    ];
    let mut looked_at = 0;
    for file in shipped() {
        let text = fs::read_to_string(&file).expect("a text");
        // What is behind the tests' mark is not shipped; neither is a comment.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for what in refused {
                assert!(
                    !line.contains(what),
                    "{} has {what}: {line}",
                    file.display()
                );
            }
        }
        looked_at += 1;
    }
    assert!(looked_at > 100, "only {looked_at} files were looked at");
}
