//! What the later version says of itself to any app: `/FHIR/R5/metadata` and
//! `/FHIR/R5/.well-known/smart-configuration`.

use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::django::View;
use super::observations;
use crate::Shared;
use crate::exchange::{Incoming, set};
use crate::settings::JheVersion;
use crate::world::World;

const VIEW: View = View::detail("OPTIONS, HEAD, GET");

/// The two paths.
pub(super) const METADATA: &str = "/FHIR/R5/metadata";
pub(super) const SMART_CONFIGURATION: &str = "/FHIR/R5/.well-known/smart-configuration";

pub(super) async fn metadata(state: State<Shared>, request: Incoming) -> Response {
    if is_later(&state) {
        return answer(&request, &capability_statement(&state.world()));
    }
    observations::collection(state, Path("metadata".to_owned()), request).await
}

pub(super) async fn smart_configuration(state: State<Shared>, request: Incoming) -> Response {
    if is_later(&state) {
        return answer(&request, &configuration(&state.world()));
    }
    let place = (".well-known".to_owned(), "smart-configuration".to_owned());
    observations::instance(state, Path(place), request).await
}

/// The earlier version takes these for a type and an id.
fn is_later(shared: &Shared) -> bool {
    shared.world().settings.jhe.version == JheVersion::PatientAccess
}

fn answer(request: &Incoming, document: &Value) -> Response {
    match request.method {
        Method::GET | Method::HEAD => {
            let mut response = VIEW.reply(StatusCode::OK, document);
            set(&mut response, CACHE_CONTROL, "public, max-age=3600");
            response
        }
        Method::OPTIONS => VIEW.describe(),
        _ => VIEW.not_allowed(request),
    }
}

fn capability_statement(world: &World) -> Value {
    let now = world.now().with_micros();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": now.replace('Z', "+00:00"),
        "kind": "instance",
        "software": {"name": "JupyterHealth Exchange"},
        "implementation": {
            "description": "JupyterHealth Exchange",
            "url": format!("{}/FHIR/R5/", world.origins.jhe),
        },
        "fhirVersion": "5.0.0",
        "format": ["json"],
        "patchFormat": ["application/json"],
    })
}

fn configuration(world: &World) -> Value {
    let jhe = &world.origins.jhe;
    json!({
        "authorization_endpoint": format!("{jhe}/o/authorize/"),
        "token_endpoint": format!("{jhe}/o/token/"),
        "grant_types_supported": ["authorization_code"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["launch-standalone", "client-public", "client-confidential-symmetric"],
    })
}
