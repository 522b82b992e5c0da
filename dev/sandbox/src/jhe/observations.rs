//! `/FHIR/R5/Observation`: writing labs and reading them back, and the batch endpoint
//! that is of no use for them.

use axum::extract::{Path, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::django::{View, either, reply_keys, server_error};
use super::python::error_detail;
use super::{Caller, validation};
use crate::Shared;
use crate::exchange::Incoming;
use crate::random;
use crate::world::{Row, World};

const VIEW: View = View::outcome("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");
const BATCH: View = View::detail("POST, OPTIONS");
const SOURCE_HEADER: HeaderName = HeaderName::from_static("x-jhe-fhir-source-id");
const STRUCTURE: &str = "https://jupyterhealth.org/fhir/StructureDefinition";
/// Not recorded: every search that was seen named its own `_count`.
const DEFAULT_COUNT: usize = 20;

pub(super) async fn collection(
    State(shared): State<Shared>,
    Path(resource_type): Path<String>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    either(answer_collection(&mut world, &request, &resource_type))
}

pub(super) async fn instance(
    State(shared): State<Shared>,
    Path((resource_type, id)): Path<(String, String)>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    either(answer_instance(&mut world, &request, &resource_type, &id))
}

pub(super) async fn batch(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    either(answer_batch(&mut world, &request))
}

fn answer_collection(
    world: &mut World,
    request: &Incoming,
    resource_type: &str,
) -> Result<Response, Response> {
    let (body, caller) = VIEW.enter(world, request)?;
    supported(resource_type)?;
    match request.method {
        Method::POST => store(world, request, body, caller),
        Method::GET | Method::HEAD => search(world, request, caller),
        Method::OPTIONS => Ok(VIEW.describe()),
        _ => Err(VIEW.refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "An id is required to update a resource.",
        )),
    }
}

fn answer_instance(
    world: &mut World,
    request: &Incoming,
    resource_type: &str,
    id: &str,
) -> Result<Response, Response> {
    let (_, caller) = VIEW.enter(world, request)?;
    supported(resource_type)?;
    let position = world
        .jhe
        .rows
        .iter()
        .position(|row| row.id == id && may_see(caller, row));
    let position = position.ok_or_else(|| {
        VIEW.refuse(
            StatusCode::NOT_FOUND,
            "No Observation matches the given query.",
        )
    })?;
    match request.method {
        Method::GET | Method::HEAD => Ok(VIEW.reply(
            StatusCode::OK,
            &reply_keys(&world.jhe.rows[position].stored),
        )),
        Method::DELETE => {
            source(world, request, caller)?;
            world.jhe.rows.remove(position);
            Ok(VIEW.no_content())
        }
        Method::OPTIONS => Ok(VIEW.describe()),
        _ => Err(VIEW.not_allowed(request)),
    }
}

/// DIFFERENCE: JHE stores a dozen more types here; this flow writes Observations only.
fn supported(resource_type: &str) -> Result<(), Response> {
    if resource_type == "Observation" {
        return Ok(());
    }
    let text = format!("Unsupported FHIR resource type: {resource_type}.");
    Err(VIEW.refuse(StatusCode::NOT_FOUND, &text))
}

/// Appends a row: this version compares neither the id nor anything else with what is there.
fn store(
    world: &mut World,
    request: &Incoming,
    body: Value,
    caller: Caller,
) -> Result<Response, Response> {
    let Value::Object(resource) = body else {
        let kind = if body.is_array() { "list" } else { "str" };
        let text = format!("'{kind}' object has no attribute 'get'");
        return Err(VIEW.refuse(StatusCode::UNPROCESSABLE_ENTITY, &text));
    };
    if is_open_mhealth(&resource) {
        // Such records go to another store, which wants JHE's own patient ids.
        let subject = resource
            .get("subject")
            .and_then(|subject| subject["reference"].as_str());
        let id = subject
            .and_then(|reference| reference.rsplit('/').next())
            .unwrap_or_default();
        let text = format!("Field 'id' expected a number but got '{id}'.");
        return Err(VIEW.refuse(StatusCode::UNPROCESSABLE_ENTITY, &text));
    }
    let (source, patient) = source(world, request, caller)?;
    validation::observation(&resource).map_err(|text| bad_request(&text))?;

    let id = random::uuid();
    let stored = provenance(world, resource, &id, source, patient);
    let reply = reply_keys(&stored);
    let sent = String::from_utf8_lossy(&request.body).into_owned();
    world.jhe.rows.push(Row {
        id,
        patient,
        source,
        sent,
        stored,
    });
    Ok(VIEW.reply(StatusCode::CREATED, &reply))
}

/// The source that the header names, and whose it is.
fn source(world: &World, request: &Incoming, caller: Caller) -> Result<(u64, u64), Response> {
    let given = request.header(SOURCE_HEADER);
    if given.is_empty() {
        return Err(bad_request(
            "Header 'X-JHE-FHIR-Source-ID' is required to write this resource.",
        ));
    }
    let source = world
        .jhe
        .sources
        .iter()
        .find(|source| source.id.to_string() == given);
    let source =
        source.ok_or_else(|| bad_request(&format!("FhirSource '{given}' does not exist.")))?;
    match caller {
        Caller::Patient { id, .. } if id != source.patient => {
            let text = "The FhirSource does not belong to the current user.";
            Err(VIEW.refuse(StatusCode::FORBIDDEN, text))
        }
        _ => Ok((source.id, source.patient)),
    }
}

fn bad_request(text: &str) -> Response {
    VIEW.refuse(StatusCode::BAD_REQUEST, &error_detail(text))
}

fn is_open_mhealth(resource: &Map<String, Value>) -> bool {
    let codings = resource
        .get("code")
        .and_then(|code| code["coding"].as_array());
    codings.is_some_and(|codings| {
        codings
            .iter()
            .any(|coding| coding["system"] == "https://w3id.org/openmhealth")
    })
}

/// The resource as it is stored: JHE's id instead of the EHR's, and where it comes from.
fn provenance(
    world: &World,
    mut resource: Map<String, Value>,
    id: &str,
    source: u64,
    patient: u64,
) -> Value {
    let name = world
        .jhe
        .patient(patient)
        .map(|patient| patient.full_name.as_str());
    let mut extensions = match resource.remove("extension") {
        Some(Value::Array(extensions)) => extensions,
        _ => Vec::new(),
    };
    extensions.extend([
        json!({"url": format!("{STRUCTURE}/fhir-source-id"), "valueInteger": source}),
        json!({"url": format!("{STRUCTURE}/patient-id"), "valueInteger": patient}),
        json!({"url": format!("{STRUCTURE}/patient-full-name"), "valueString": name}),
    ]);
    resource.insert("extension".into(), extensions.into());
    resource.insert("id".into(), id.into());
    // The URL's type wins.
    resource.insert("resourceType".into(), "Observation".into());
    resource.into()
}

/// Native and imported rows together; `identifier`, `_summary` and `_elements` are ignored.
fn search(world: &World, request: &Incoming, caller: Caller) -> Result<Response, Response> {
    let mut found: Vec<Value> = Vec::new();
    if let Caller::Patient { id, .. } = caller {
        found.push(native_row(world, id));
    }
    found.extend(
        world
            .jhe
            .rows
            .iter()
            .filter(|row| may_see(caller, row))
            .map(|row| reply_keys(&row.stored)),
    );

    let query = request.query();
    let number = |name: &str| {
        query
            .get(name)
            .and_then(|value| value.parse::<usize>().ok())
    };
    let count = number("_count")
        .filter(|count| *count > 0)
        .unwrap_or(DEFAULT_COUNT);
    let pages = found.len().div_ceil(count).max(1);
    let page = if query.get("_page").is_some() {
        number("_page")
    } else {
        Some(1)
    };
    let page = page
        .filter(|page| (1..=pages).contains(page))
        .ok_or_else(|| VIEW.refuse(StatusCode::NOT_FOUND, "Invalid page."))?;

    let mut links = vec![json!({"relation": "self", "url": page_url(world, request, None)})];
    if page > 1 {
        links
            .push(json!({"relation": "previous", "url": page_url(world, request, Some(page - 1))}));
    }
    if page < pages {
        links.push(json!({"relation": "next", "url": page_url(world, request, Some(page + 1))}));
    }
    let total = found.len();
    let entries: Vec<Value> = found
        .into_iter()
        .skip((page - 1) * count)
        .take(count)
        .map(|resource| json!({ "resource": resource }))
        .collect();
    Ok(VIEW.reply(
        StatusCode::OK,
        &json!({
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "entry": entries,
            "link": links,
            "meta": {},
        }),
    ))
}

/// This search's address, on another page if one is given (the first one needs no parameter).
fn page_url(world: &World, request: &Incoming, page: Option<usize>) -> String {
    let address = format!("{}{}", world.origins.jhe, request.path);
    let Some(page) = page else {
        return format!("{}{}", world.origins.jhe, request.target());
    };
    let query = request.query();
    let page = page.to_string();
    let mut parameters: Vec<(&str, &str)> =
        query.iter().filter(|(name, _)| *name != "_page").collect();
    if page != "1" {
        parameters.push(("_page", &page));
    }
    parameters.sort_unstable();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    if query.is_empty() {
        address
    } else {
        format!("{address}?{query}")
    }
}

fn may_see(caller: Caller, row: &Row) -> bool {
    match caller {
        Caller::Patient { id, .. } => row.patient == id,
        Caller::Practitioner { .. } => true,
    }
}

/// A record of JHE's own that each patient has, in another shape than the imported ones.
fn native_row(world: &World, patient: u64) -> Value {
    let measured = json!({"body": {"heart_rate": {"unit": "beats/min", "value": 67.5}}});
    json!({
        "resourceType": "Observation",
        "meta": {"lastUpdated": world.now().with_micros()},
        "id": (patient + 20_004).to_string(),
        "status": "final",
        "code": {"coding": [{
            "system": "https://w3id.org/openmhealth",
            "code": "omh:heart-rate:2.0",
            "display": "Heart Rate",
        }]},
        "subject": {"reference": format!("Patient/{patient}")},
        "valueAttachment": {
            "contentType": "application/json",
            "data": BASE64_STANDARD.encode(measured.to_string()),
        },
    })
}

/// `POST /FHIR/R5/`: every entry must carry an attachment, which no lab does.
fn answer_batch(world: &mut World, request: &Incoming) -> Result<Response, Response> {
    let (body, _) = BATCH.enter(world, request)?;
    match request.method {
        Method::POST => {}
        Method::OPTIONS => return Ok(BATCH.describe()),
        _ => return Err(BATCH.not_allowed(request)),
    }
    let entries = body["entry"].as_array().ok_or_else(server_error)?;
    if entries
        .iter()
        .any(|entry| entry["resource"]["valueAttachment"]["data"].is_null())
    {
        let text = "resource.valueAttachment.data must be not null.";
        return Err(BATCH.reply(StatusCode::BAD_REQUEST, &json!([text])));
    }
    if entries.iter().any(|entry| entry["request"].is_null()) {
        return Err(server_error());
    }
    // DIFFERENCE: the records themselves go to JHE's own store, which no part of this flow reads.
    let entries: Vec<Value> = entries
        .iter()
        .map(|_| {
            json!({
                "resource": {"resourceType": "Resource", "id": random::uuid()},
                "response": {"status": "201 Created"},
            })
        })
        .collect();
    let reply = json!({"resourceType": "Bundle", "type": "batch-response", "entry": entries});
    Ok(BATCH.reply(StatusCode::OK, &reply))
}
