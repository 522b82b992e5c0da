//! The listener that no token should reach. What matters is its log; it answers kindly, with CORS and
//! an empty Bundle, so that a client that comes here is not stopped by anything but itself.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS,
};
use axum::response::Response;

use crate::Shared;
use crate::exchange::{Incoming, content, set};

pub(crate) fn router() -> Router<Shared> {
    Router::new().fallback(answer)
}

async fn answer(request: Incoming) -> Response {
    let body = r#"{"resourceType":"Bundle","type":"searchset","total":0,"entry":[]}"#;
    let mut response = content(StatusCode::OK, "application/fhir+json", body);
    set(&mut response, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(
        &mut response,
        ACCESS_CONTROL_ALLOW_METHODS,
        "GET, POST, OPTIONS",
    );
    set(
        &mut response,
        ACCESS_CONTROL_ALLOW_HEADERS,
        request.header(ACCESS_CONTROL_REQUEST_HEADERS),
    );
    response
}
