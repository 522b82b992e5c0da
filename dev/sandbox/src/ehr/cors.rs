//! CORS as at Epic, for all hospitals: the FHIR base, discovery and the token endpoint, for any origin,
//! with a short list of request headers. A preflight that asks for any other header fails.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::{KEYS, Vendor};
use crate::exchange::{Incoming, empty, set};
use crate::settings::{Cors, EhrSettings};

/// The request headers that Epic's CORS list allows, in lower case.
pub const ALLOWED_HEADERS: [&str; 10] = [
    "origin",
    "authorization",
    "accept",
    "content-type",
    "x-requested-with",
    "prefer",
    "epic-user-id",
    "epic-user-idtype",
    "epic-client-id",
    "soapaction",
];

/// Answers preflights, before any route looks at the method.
pub(super) async fn preflight(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return next.run(request).await;
    }
    empty(if asks_allowed_headers_only(request.headers()) {
        StatusCode::OK
    } else {
        StatusCode::FORBIDDEN
    })
}

/// Adds the CORS headers that this request's answer has.
pub(crate) fn add_headers(settings: &EhrSettings, request: &Incoming, response: &mut Response) {
    let origin = request.header(ORIGIN);
    let mut vendors = Vendor::ALL.into_iter();
    let vendor = vendors.find(|vendor| is_at_or_below(&request.path, vendor.habits().base));
    let works = settings.cors_of(vendor);
    if origin.is_empty() || !is_open(works, &request.path) {
        return;
    }
    if request.method == Method::OPTIONS {
        if !asks_allowed_headers_only(&request.headers) {
            return;
        }
        set(response, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
        set(
            response,
            ACCESS_CONTROL_ALLOW_HEADERS,
            &ALLOWED_HEADERS.join(", "),
        );
    }
    set(response, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(response, VARY, "Origin");
}

fn is_open(works: Cors, path: &str) -> bool {
    let is_for_tokens = |it: &Vendor| it.habits().token == path || it.revocation_path() == path;
    if path.ends_with("/.well-known/smart-configuration") {
        works.discovery
    } else if path.ends_with("/metadata") {
        works.discovery && works.metadata
    } else if Vendor::ALL.iter().any(is_for_tokens) {
        works.token
    } else if path == KEYS {
        works.keys
    } else {
        // Every FHIR base of a server, not just the one that patients authorize for.
        let mut bases = Vendor::ALL
            .iter()
            .flat_map(|vendor| [vendor.habits().base, vendor.habits().other_base]);
        works.fhir && bases.any(|base| is_at_or_below(path, base))
    }
}

fn is_at_or_below(path: &str, base: &str) -> bool {
    let rest = path.strip_prefix(base);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn asks_allowed_headers_only(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .all(|name| name.is_empty() || ALLOWED_HEADERS.contains(&name.as_str()))
}
