//! `/api/v1/fhir_sources`.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::django::{View, either};
use super::{Caller, FhirSource};
use crate::Shared;
use crate::exchange::Incoming;
use crate::settings::JheVersion;
use crate::world::World;

const LIST: View = View::detail("GET, POST, HEAD, OPTIONS");
const ONE: View = View::detail("GET, PUT, PATCH, DELETE, HEAD, OPTIONS");

pub(super) async fn list_or_create(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    either(list(&mut world, &request))
}

pub(super) async fn one(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    either(by_id(&mut world, &request, &id))
}

fn list(world: &mut World, request: &Incoming) -> Result<Response, Response> {
    let (body, caller) = LIST.enter(world, request)?;
    match request.method {
        Method::GET | Method::HEAD => {
            let mut results: Vec<&FhirSource> = world
                .jhe
                .sources
                .iter()
                .rev()
                .filter(|source| may_see(caller, source))
                .collect();
            results.sort_by(|one, other| other.last_updated.cmp(&one.last_updated));
            let body =
                json!({"count": results.len(), "next": null, "previous": null, "results": results});
            Ok(LIST.reply(StatusCode::OK, &body))
        }
        Method::POST => create(world, &body, caller),
        Method::OPTIONS => Ok(LIST.describe()),
        _ => Err(LIST.not_allowed(request)),
    }
}

/// A new row each time in the earlier version; the later one looks for an equal one.
fn create(world: &mut World, body: &Value, caller: Caller) -> Result<Response, Response> {
    let data_source = data_source(world, body.get("dataSource"))
        .map_err(|text| LIST.reply(StatusCode::BAD_REQUEST, &json!({"dataSource": [text]})))?;
    let Caller::Patient { id: patient, .. } = caller else {
        let text = "Only patient users can register a FhirSource.";
        return Err(LIST.refuse(StatusCode::FORBIDDEN, text));
    };
    let now = world.now();
    let (label, base) = (text(body, "label"), text(body, "fhirBaseUrl"));
    if world.settings.jhe.version == JheVersion::PatientAccess && !base.is_empty() {
        let mut sources = world.jhe.sources.iter_mut();
        if let Some(source) = sources.find(|source| {
            (source.patient, source.data_source) == (patient, data_source)
                && source.fhir_base_url == base
        }) {
            source.label = label.to_owned();
            source.last_updated = now.with_micros();
            return Ok(LIST.reply(StatusCode::CREATED, &json!(source)));
        }
    }
    let source = world.jhe.add_source(patient, data_source, label, base, now);
    Ok(LIST.reply(StatusCode::CREATED, &json!(source)))
}

fn by_id(world: &mut World, request: &Incoming, id: &str) -> Result<Response, Response> {
    let (body, caller) = ONE.enter(world, request)?;
    let now = world.now().with_micros();
    let data_source = body
        .get("dataSource")
        .map(|value| data_source(world, Some(value)));
    let position = find(world, caller, id).ok_or_else(|| no_match(ONE))?;
    let source = &mut world.jhe.sources[position];
    match request.method {
        Method::GET | Method::HEAD => Ok(ONE.reply(StatusCode::OK, &json!(source))),
        Method::PATCH | Method::PUT => {
            match data_source {
                Some(Ok(data_source)) => source.data_source = data_source,
                Some(Err(text)) => {
                    return Err(ONE.reply(StatusCode::BAD_REQUEST, &json!({"dataSource": [text]})));
                }
                None => {}
            }
            if body.get("label").is_some() {
                source.label = text(&body, "label").to_owned();
            }
            if body.get("fhirBaseUrl").is_some() {
                source.fhir_base_url = text(&body, "fhirBaseUrl").to_owned();
            }
            source.last_updated = now;
            Ok(ONE.reply(StatusCode::OK, &json!(source)))
        }
        Method::DELETE => {
            let id = source.id;
            world.jhe.sources.remove(position);
            world.jhe.rows.retain(|row| row.source != id);
            Ok(ONE.no_content())
        }
        Method::OPTIONS => Ok(ONE.describe()),
        _ => Err(ONE.not_allowed(request)),
    }
}

/// The position of a source that the caller may see.
pub(super) fn find(world: &World, caller: Caller, id: &str) -> Option<usize> {
    let mut sources = world.jhe.sources.iter();
    sources.position(|source| source.id.to_string() == id && may_see(caller, source))
}

/// The answer for a source that there is not, or not for the caller.
pub(super) fn no_match(view: View) -> Response {
    view.refuse(
        StatusCode::NOT_FOUND,
        "No FhirSource matches the given query.",
    )
}

fn may_see(caller: Caller, source: &FhirSource) -> bool {
    match caller {
        Caller::Patient { id, .. } => source.patient == id,
        Caller::Practitioner { .. } => true,
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The framework's checks of a primary key, and their texts.
fn data_source(world: &World, value: Option<&Value>) -> Result<u64, String> {
    let given = match value {
        None => return Err("This field is required.".to_owned()),
        Some(Value::Null) => return Err("This field may not be null.".to_owned()),
        Some(Value::String(text)) if text.is_empty() => {
            return Err("This field may not be null.".to_owned());
        }
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => {
            let kind = match other {
                Value::Bool(_) => "bool",
                Value::Array(_) => "list",
                _ => "dict",
            };
            return Err(format!(
                "Incorrect type. Expected pk value, received {kind}."
            ));
        }
    };
    let Ok(id) = given.parse::<u64>() else {
        return Err("Incorrect type. Expected pk value, received str.".to_owned());
    };
    if world.settings.jhe.data_sources.contains(&id) {
        Ok(id)
    } else {
        Err(format!("Invalid pk \"{given}\" - object does not exist."))
    }
}
