//! `POST /api/v1/mychart/identifier`.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::Caller;
use super::django::{View, either, server_error};
use super::python::{is_true, str_of};
use crate::Shared;
use crate::exchange::Incoming;
use crate::world::World;

const VIEW: View = View::detail("OPTIONS, POST");

pub(super) async fn attach(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    either(answer(&mut world, &request))
}

fn answer(world: &mut World, request: &Incoming) -> Result<Response, Response> {
    let (body, caller) = VIEW.enter(world, request)?;
    match request.method {
        Method::POST => {}
        Method::OPTIONS => return Ok(VIEW.describe()),
        _ => return Err(VIEW.not_allowed(request)),
    }
    let Value::Object(body) = body else {
        return Err(server_error());
    };
    let Caller::Patient { id: patient, .. } = caller else {
        return Err(refuse("Authenticated user is not a patient"));
    };
    let (Some(system), Some(value)) = (truthy(body.get("system")), truthy(body.get("value")))
    else {
        return Err(refuse("system and value are required"));
    };
    // A pair that another patient has stays with that patient, and the answer is the same: this
    // version hides the conflict.
    world
        .jhe
        .attach_identifier(patient, &str_of(system), &str_of(value));
    Ok(VIEW.reply(StatusCode::OK, &json!({"system": system, "value": value})))
}

fn truthy(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| is_true(value))
}

fn refuse(error: &str) -> Response {
    VIEW.reply(StatusCode::BAD_REQUEST, &json!({ "error": error }))
}
