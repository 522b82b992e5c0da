//! `/FHIR/R5/<Type>`: writing R5 records and reading all back, and the batch endpoint that is of no use
//! for them.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Caller;
use super::django::{View, either, in_wanted_json, reply_keys, server_error, unmatched};
use super::rows::{Group, Row};
use super::store::{self, Refusal, SOURCE_URL};
use crate::Shared;
use crate::exchange::Incoming;
use crate::random;
use crate::settings::JheVersion;
use crate::world::World;

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS";
const BATCH: View = View::detail("POST, OPTIONS");
/// The `meta.source` of JHE's own records.
const NATIVE_SOURCE: &str = "https://jupyterhealth.org/jhe";
/// Not recorded: every search that was seen named its own `_count`.
const DEFAULT_COUNT: usize = 20;

pub(super) async fn collection(
    State(shared): State<Shared>,
    Path(resource_type): Path<String>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    answer(&mut world, &request, |world, view| {
        answer_collection(view, world, &request, &resource_type)
    })
}

pub(super) async fn instance(
    State(shared): State<Shared>,
    Path((resource_type, id)): Path<(String, String)>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    answer(&mut world, &request, |world, view| {
        answer_instance(view, world, &request, &resource_type, &id)
    })
}

pub(super) async fn batch(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    answer(&mut world, &request, |world, _| {
        answer_batch(world, &request)
    })
}

fn answer(
    world: &mut World,
    request: &Incoming,
    act: impl FnOnce(&mut World, View) -> Result<Response, Response>,
) -> Response {
    match world.settings.jhe.version {
        JheVersion::Mychart => either(act(world, View::outcome(METHODS))),
        // Only the earlier version has an alias in lower case.
        JheVersion::PatientAccess if request.path.starts_with("/fhir/") => unmatched(request),
        JheVersion::PatientAccess => {
            in_wanted_json(request, either(act(world, View::fhir(METHODS))))
        }
    }
}

fn answer_collection(
    view: View,
    world: &mut World,
    request: &Incoming,
    resource_type: &str,
) -> Result<Response, Response> {
    let (body, caller) = view.enter(world, request)?;
    store::supported(resource_type).map_err(|refusal| refuse(view, &refusal))?;
    match request.method {
        Method::POST => {
            let stored = write(world, request, body, caller, resource_type);
            let stored = stored.map_err(|refusal| refuse(view, &refusal))?;
            Ok(view.reply(StatusCode::CREATED, &reply_keys(&stored)))
        }
        Method::GET | Method::HEAD => search(view, world, request, caller, resource_type),
        Method::OPTIONS => Ok(view.describe()),
        _ => Err(view.refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "An id is required to update a resource.",
        )),
    }
}

fn answer_instance(
    view: View,
    world: &mut World,
    request: &Incoming,
    resource_type: &str,
    id: &str,
) -> Result<Response, Response> {
    let (_, caller) = view.enter(world, request)?;
    store::supported(resource_type).map_err(|refusal| refuse(view, &refusal))?;
    let row = world
        .jhe
        .rows
        .with_id(id)
        .filter(|row| row.resource_type == resource_type && owns(caller, row.patient));
    let row = row.ok_or_else(|| {
        let text = format!("No {resource_type} matches the given query.");
        view.refuse(StatusCode::NOT_FOUND, &text)
    })?;
    match request.method {
        Method::GET | Method::HEAD => Ok(view.reply(StatusCode::OK, &reply_keys(&row.stored))),
        Method::DELETE => {
            let source = store::source_of_header(world, request, caller).and_then(|source| {
                source.ok_or_else(|| store::no_source(world.settings.jhe.version))
            });
            source.map_err(|refusal| refuse(view, &refusal))?;
            world.jhe.rows.retain(|row| row.id != id);
            Ok(view.no_content())
        }
        Method::OPTIONS => Ok(view.describe()),
        _ => Err(view.not_allowed(request)),
    }
}

fn refuse(view: View, refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::ForeignSource => StatusCode::FORBIDDEN,
        Refusal::UnsupportedType(_) => StatusCode::NOT_FOUND,
        Refusal::OtherStore(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    view.refuse(status, &refusal.diagnostics())
}

fn write(
    world: &mut World,
    request: &Incoming,
    body: Value,
    caller: Caller,
    resource_type: &str,
) -> Result<Value, Refusal> {
    let Value::Object(resource) = body else {
        let kind = if body.is_array() { "list" } else { "str" };
        let text = format!("'{kind}' object has no attribute 'get'");
        return Err(Refusal::OtherStore(text));
    };
    if resource_type == "Observation" {
        store::refuse_open_mhealth(&resource)?;
    }
    let source = match store::source_of_header(world, request, caller)? {
        Some(source) => source,
        None => store::source_of_resource(world, &resource, caller)?,
    };
    let sent = String::from_utf8_lossy(&request.body).into_owned();
    store::store(world, resource_type, resource, &source, sent)
}

/// What a search finds: records of JHE's own, then imported ones.
struct Found<'a> {
    native: Option<Value>,
    rows: &'a [Row],
    /// Their positions among the rows, oldest first.
    imported: &'a [usize],
    order: Order,
}

#[derive(PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

impl<'a> Found<'a> {
    /// The earlier version gives native and imported rows together, and ignores `identifier`,
    /// `_summary` and `_elements`. The later one gives the native ones unless `_source` is named.
    fn new(world: &'a World, request: &Incoming, caller: Caller, resource_type: &str) -> Self {
        let query = request.query();
        let group = |group| world.jhe.rows.group(group, resource_type);
        let all = match caller {
            Caller::Patient { id, .. } => group(Group::Patient(id)),
            Caller::Practitioner { .. } => group(Group::All),
        };
        let of_source = |url: &str| {
            let id = url.strip_prefix(SOURCE_URL)?.parse().ok()?;
            let mut sources = world.jhe.sources.iter();
            let source = sources.find(|source| source.id == id)?;
            owns(caller, source.patient).then(|| group(Group::Source(id)))
        };
        let (has_native, imported, order) = match world.settings.jhe.version {
            JheVersion::Mychart => (true, all, Order::OldestFirst),
            JheVersion::PatientAccess => {
                let (exact, below) = (query.get("_source"), query.get("_source:below"));
                let (has_native, imported) = match (exact, below) {
                    (None, None) => (true, [].as_slice()),
                    (None, Some(below)) if SOURCE_URL.starts_with(below) => {
                        (NATIVE_SOURCE.starts_with(below), all)
                    }
                    (Some(url), _) | (None, Some(url)) => {
                        (url == NATIVE_SOURCE, of_source(url).unwrap_or_default())
                    }
                };
                (has_native, imported, Order::NewestFirst)
            }
        };
        let native = match caller {
            Caller::Patient { id, user } if has_native && resource_type == "Observation" => {
                Some(native_row(world, id, user))
            }
            _ => None,
        };
        Self {
            native,
            rows: &world.jhe.rows,
            imported,
            order,
        }
    }

    fn total(&self) -> usize {
        usize::from(self.native.is_some()) + self.imported.len()
    }

    fn nth(&self, n: usize) -> Value {
        let n = match &self.native {
            Some(native) if n == 0 => return native.clone(),
            Some(_) => n - 1,
            None => n,
        };
        let n = match self.order {
            Order::OldestFirst => n,
            Order::NewestFirst => self.imported.len() - 1 - n,
        };
        reply_keys(&self.rows[self.imported[n]].stored)
    }
}

fn search(
    view: View,
    world: &World,
    request: &Incoming,
    caller: Caller,
    resource_type: &str,
) -> Result<Response, Response> {
    let found = Found::new(world, request, caller, resource_type);
    let total = found.total();

    let query = request.query();
    let is_count_only = world.settings.jhe.version == JheVersion::PatientAccess
        && query.get("_summary") == Some("count");
    let number = |name: &str| {
        query
            .get(name)
            .and_then(|value| value.parse::<usize>().ok())
    };
    let count = number("_count")
        .filter(|count| *count > 0)
        .unwrap_or(DEFAULT_COUNT);
    let pages = if is_count_only {
        1
    } else {
        total.div_ceil(count).max(1)
    };
    let page = if query.get("_page").is_some() {
        number("_page")
    } else {
        Some(1)
    };
    let page = page
        .filter(|page| (1..=pages).contains(page))
        .ok_or_else(|| view.refuse(StatusCode::NOT_FOUND, "Invalid page."))?;

    let mut links = vec![json!({"relation": "self", "url": page_url(world, request, None)})];
    if page > 1 {
        links
            .push(json!({"relation": "previous", "url": page_url(world, request, Some(page - 1))}));
    }
    if page < pages {
        links.push(json!({"relation": "next", "url": page_url(world, request, Some(page + 1))}));
    }
    let first = (page - 1).saturating_mul(count);
    let shown = if is_count_only {
        0..0
    } else {
        first..first.saturating_add(count).min(total)
    };
    let entries: Vec<Value> = shown.map(|n| json!({ "resource": found.nth(n) })).collect();
    Ok(view.reply(
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

/// Whether a patient's records are the caller's to see.
fn owns(caller: Caller, patient: u64) -> bool {
    match caller {
        Caller::Patient { id, .. } => patient == id,
        Caller::Practitioner { .. } => true,
    }
}

/// A record of JHE's own that each patient has, in another shape than the imported ones.
fn native_row(world: &World, patient: u64, user: u64) -> Value {
    let measured = json!({"body": {"heart_rate": {"unit": "beats/min", "value": 67.5}}});
    let mut row = json!({
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
    });
    if world.settings.jhe.version == JheVersion::PatientAccess {
        row["meta"]["source"] = NATIVE_SOURCE.into();
        row["effectiveDateTime"] = world.now().with_seconds().into();
        row["subject"]["identifier"] = json!({
            "system": "https://jupyterhealth.org/fhir/identifier/jhe-user-id",
            "value": user.to_string(),
        });
    }
    row
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
