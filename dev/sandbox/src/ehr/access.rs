//! Who may read what, and how the FHIR server says no.

use axum::http::StatusCode;
use axum::http::header::{ACCEPT, WWW_AUTHENTICATE};
use axum::response::Response;

use super::outcome::{self, Message};
use super::{ATHENA_PRACTICE, AccessToken, Vendor};
use crate::exchange::{Incoming, Parameters, content, set};
use crate::world::World;

/// Why a good token is not enough.
pub(super) const NOT_COVERED: &str = "the scope does not cover this resource";

/// The good token of a request.
pub(super) fn token<'a>(
    world: &'a World,
    vendor: Vendor,
    request: &Incoming,
) -> Result<&'a AccessToken, Response> {
    let now = world.now();
    let mut tokens = world.ehr.tokens.iter();
    let token = request.bearer().and_then(|given| {
        tokens.find(|it| it.token == given && it.vendor == vendor && it.expires > now)
    });
    let token = token.ok_or_else(|| unauthorized(vendor))?;
    if vendor == Vendor::Athenahealth && !names_practice(&request.query()) {
        return Err(forbid(vendor, "ah-practice is missing"));
    }
    Ok(token)
}

/// The patient whom a good token is for, if it covers the type.
pub(super) fn authorized(
    world: &World,
    vendor: Vendor,
    request: &Incoming,
    resource_type: &str,
) -> Result<String, Response> {
    let token = token(world, vendor, request)?;
    if token.covers(resource_type) {
        Ok(token.patient.clone())
    } else {
        Err(forbid(vendor, NOT_COVERED))
    }
}

impl AccessToken {
    pub(super) fn covers(&self, resource_type: &str) -> bool {
        let mut scopes = self.scope.split_whitespace();
        scopes.any(|scope| covers(scope, resource_type))
    }
}

fn unauthorized(vendor: Vendor) -> Response {
    let status = StatusCode::UNAUTHORIZED;
    let mut response = match vendor {
        // The two characters `""`.
        Vendor::Epic => content(status, "application/json", "\"\""),
        Vendor::Meditech => content(
            status,
            "text/html",
            "<html><body>Unauthorized</body></html>",
        ),
        _ => refuse(vendor, status, &outcome::LOGIN, ""),
    };
    let challenge = "Bearer error=\"invalid_token\", error_description=\"The access token provided is not valid\"";
    set(&mut response, WWW_AUTHENTICATE, challenge);
    response
}

fn names_practice(query: &Parameters) -> bool {
    let practice = query.get("ah-practice");
    practice.and_then(|it| it.strip_prefix("Organization/")) == Some(ATHENA_PRACTICE)
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

/// A refusal because of who asks, or for what.
pub(super) fn forbid(vendor: Vendor, diagnostics: &str) -> Response {
    refuse(
        vendor,
        StatusCode::FORBIDDEN,
        &outcome::FORBIDDEN,
        diagnostics,
    )
}

/// A refusal with an OperationOutcome.
pub(super) fn refuse(
    vendor: Vendor,
    status: StatusCode,
    message: &Message,
    diagnostics: &str,
) -> Response {
    content(
        status,
        "application/fhir+json",
        outcome::of(vendor, &[(message, diagnostics)]),
    )
}

/// At Epic the answer is XML without an `Accept` that asks for JSON. What it holds does not matter
/// here: no client of ours reads it.
pub(super) fn in_wanted_format(vendor: Vendor, request: &Incoming, json: String) -> Response {
    if vendor != Vendor::Epic || request.header(ACCEPT).contains("json") {
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
