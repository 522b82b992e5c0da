//! `POST /api/v1/mychart/identifier`, `/api/v1/patient-access/identifier` in the later version.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::Caller;
use super::django::{View, either, server_error, unmatched};
use super::python::{is_true, str_of};
use crate::Shared;
use crate::exchange::Incoming;
use crate::settings::JheVersion;
use crate::world::World;

const MYCHART: View = View::detail("OPTIONS, POST");
const PATIENT_ACCESS: View = View::detail("POST, OPTIONS");

pub(super) async fn mychart(State(shared): State<Shared>, request: Incoming) -> Response {
    answer_in(JheVersion::Mychart, MYCHART, &shared, &request)
}

pub(super) async fn patient_access(State(shared): State<Shared>, request: Incoming) -> Response {
    answer_in(JheVersion::PatientAccess, PATIENT_ACCESS, &shared, &request)
}

fn answer_in(version: JheVersion, view: View, shared: &Shared, request: &Incoming) -> Response {
    let mut world = shared.world();
    if world.settings.jhe.version != version {
        return unmatched(request);
    }
    either(answer(view, &mut world, request))
}

fn answer(view: View, world: &mut World, request: &Incoming) -> Result<Response, Response> {
    let refuse = |status: StatusCode, error: &str| view.reply(status, &json!({ "error": error }));
    let (body, caller) = view.enter(world, request)?;
    match request.method {
        Method::POST => {}
        Method::OPTIONS => return Ok(view.describe()),
        _ => return Err(view.not_allowed(request)),
    }
    let Value::Object(body) = body else {
        return Err(server_error());
    };
    let Caller::Patient { id: patient, .. } = caller else {
        let error = "Authenticated user is not a patient";
        return Err(refuse(StatusCode::BAD_REQUEST, error));
    };
    let (Some(system), Some(value)) = (truthy(body.get("system")), truthy(body.get("value")))
    else {
        let error = "system and value are required";
        return Err(refuse(StatusCode::BAD_REQUEST, error));
    };
    // A pair that another patient has stays with that patient; the earlier version hides it.
    let owner = world
        .jhe
        .attach_identifier(patient, &str_of(system), &str_of(value));
    if owner != patient && world.settings.jhe.version == JheVersion::PatientAccess {
        let error = "Identifier is already assigned to another patient";
        return Err(refuse(StatusCode::CONFLICT, error));
    }
    Ok(view.reply(StatusCode::OK, &json!({"system": system, "value": value})))
}

fn truthy(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| is_true(value))
}
