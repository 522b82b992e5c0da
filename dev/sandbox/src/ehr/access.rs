//! Who may read what, and how the FHIR server says no.

use axum::http::StatusCode;
use axum::http::header::{ACCEPT, WWW_AUTHENTICATE};
use axum::response::Response;

use super::outcome::{self, Message};
use crate::exchange::{Incoming, content, set};
use crate::world::World;

/// The patient whom a good token is for, if it covers the type.
pub(super) fn authorized(
    world: &World,
    request: &Incoming,
    resource_type: &str,
) -> Result<String, Response> {
    let now = world.now();
    let known = request.bearer().and_then(|given| {
        world
            .ehr
            .tokens
            .iter()
            .find(|it| it.token == given && it.expires > now)
    });
    let Some(token) = known else {
        // Epic's body here is the two characters `""`.
        let mut response = content(StatusCode::UNAUTHORIZED, "application/json", "\"\"");
        let challenge = "Bearer error=\"invalid_token\", error_description=\"The access token provided is not valid\"";
        set(&mut response, WWW_AUTHENTICATE, challenge);
        return Err(response);
    };
    if token
        .scope
        .split_whitespace()
        .any(|scope| covers(scope, resource_type))
    {
        Ok(token.patient.clone())
    } else {
        Err(refuse(
            StatusCode::FORBIDDEN,
            &outcome::FORBIDDEN,
            "the scope does not cover this resource",
        ))
    }
}

/// Whether a scope lets a patient read a type: SMART v1 (`.read`, `.*`) or v2 (`.rs`, `.cruds`).
fn covers(scope: &str, resource_type: &str) -> bool {
    let rest = scope.split_once('/').map_or(scope, |(_, rest)| rest);
    let Some((name, rights)) = rest.split_once('.') else {
        return false;
    };
    let rights = rights.split('?').next().unwrap_or_default();
    (name == resource_type || name == "*")
        && (rights == "read"
            || rights == "*"
            || rights == "search"
            || (rights.contains('r') && rights.bytes().all(|right| b"cruds".contains(&right))))
}

pub(super) fn refuse(status: StatusCode, message: &Message, diagnostics: &str) -> Response {
    content(
        status,
        "application/fhir+json",
        outcome::of(&[(message, diagnostics)]),
    )
}

/// As at Epic, without an `Accept` that asks for JSON the answer is XML. What it holds does not
/// matter here: no client of ours reads it.
pub(super) fn in_wanted_format(request: &Incoming, json: String) -> Response {
    if request.header(ACCEPT).contains("json") {
        return content(StatusCode::OK, "application/fhir+json; charset=utf-8", json);
    }
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"searchset\"/></Bundle>";
    content(StatusCode::OK, "application/fhir+xml; charset=utf-8", body)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn both_scope_syntaxes_are_understood() {
        for scope in [
            "patient/Observation.read",
            "patient/Observation.rs",
            "patient/*.*",
            "Observation.search",
            "user/Observation.cruds",
        ] {
            assert!(covers(scope, "Observation"), "{scope}");
        }
        for scope in [
            "openid",
            "launch/patient",
            "patient/Patient.read",
            "patient/Observation.write",
            "patient/Observation.c",
        ] {
            assert!(!covers(scope, "Observation"), "{scope}");
        }
    }
}
