//! `/fhir-import/R4/` and `/fhir-import/R4/<Type>` of the later version: whole Bundles of R4 records.
//! Once the request itself is acceptable the answer is 200, with one entry per record, in order.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::django::{View, in_wanted_json, unmatched, worker_aborted};
use super::store::{self, Refusal, Source};
use super::{Caller, conversion};
use crate::Shared;
use crate::conduct::pause;
use crate::exchange::{Incoming, StopAfter};
use crate::settings::JheVersion;
use crate::world::World;

const VIEW: View = View::fhir("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");

pub(super) async fn bundle(State(shared): State<Shared>, request: Incoming) -> Response {
    answer(&shared, &request, None).await
}

pub(super) async fn one(
    State(shared): State<Shared>,
    Path(resource_type): Path<String>,
    request: Incoming,
) -> Response {
    answer(&shared, &request, Some(&resource_type)).await
}

async fn answer(shared: &Shared, request: &Incoming, only: Option<&str>) -> Response {
    if shared.world().settings.jhe.version != JheVersion::PatientAccess {
        return unmatched(request);
    }
    let batch = match Batch::open(shared, request, only) {
        Ok(batch) => batch,
        Err(response) => return response,
    };
    let tables_ms = tables_ms(&mut shared.world());
    pause(tables_ms).await;
    let mut entries = Vec::new();
    for record in batch.records {
        if let Some(StopAfter(stop)) = request.stop
            && entries.len() >= stop
        {
            break;
        }
        // A worker is busy with one record after the other: what is done is there for all to see.
        let busy = shared.world().settings.jhe.time_per_record_ms;
        pause(busy).await;
        let mut world = shared.world();
        let source = batch.source.as_ref();
        entries.push(record.import(&mut world, source, batch.caller));
    }
    if request.stop.is_some() {
        return worker_aborted();
    }
    let body = json!({"resourceType": "Bundle", "type": "batch-response", "entry": entries});
    in_wanted_json(request, VIEW.reply(StatusCode::OK, &body))
}

/// How long the conversion tables take to be loaded, if they are not.
fn tables_ms(world: &mut World) -> u64 {
    match std::mem::replace(&mut world.jhe.has_imported, true) {
        true => 0,
        false => world.settings.jhe.first_import_ms,
    }
}

/// A request that is acceptable as a whole.
struct Batch {
    caller: Caller,
    /// The header's source; without one each resource names its own.
    source: Option<Source>,
    records: Vec<Record>,
}

impl Batch {
    fn open(shared: &Shared, request: &Incoming, only: Option<&str>) -> Result<Self, Response> {
        let body = VIEW.open(request)?;
        let world = shared.world();
        let caller = VIEW.authenticate(&world, request)?;
        match request.method {
            Method::POST => {}
            Method::OPTIONS => return Err(VIEW.describe()),
            _ => {
                let text = "The R4 import endpoint only supports create (POST).";
                return Err(VIEW.refuse(StatusCode::METHOD_NOT_ALLOWED, text));
            }
        }
        let records = match only {
            Some(resource_type) => vec![Record::posted(request, body, resource_type)],
            None if body["resourceType"] == "Bundle" => Record::of_bundle(request, body),
            None => {
                let text = "Expected a Bundle at /fhir-import/R4.";
                return Err(refuse(&Refusal::Invalid(text.to_owned())));
            }
        };
        let source =
            store::source_of_header(&world, request, caller).map_err(|refusal| refuse(&refusal))?;
        let names_one = |record: &Record| {
            let resource = record.resource.as_object();
            resource.is_some_and(|resource| store::source_in_meta(resource).is_some())
        };
        if source.is_none() && !records.iter().any(names_one) {
            return Err(refuse(&store::no_source(JheVersion::PatientAccess)));
        }
        Ok(Self {
            caller,
            source,
            records,
        })
    }
}

/// One of the records to be stored.
struct Record {
    /// The type, where the URL names it.
    resource_type: Option<String>,
    /// `null` if the entry has none.
    resource: Value,
    sent: String,
}

impl Record {
    fn posted(request: &Incoming, resource: Value, resource_type: &str) -> Self {
        Self {
            resource_type: Some(resource_type.to_owned()),
            resource,
            sent: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }

    fn of_bundle(request: &Incoming, mut bundle: Value) -> Vec<Self> {
        let entries = match bundle["entry"].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        let mut sent = sent_resources(&request.body).into_iter();
        entries
            .into_iter()
            .map(|mut entry| Self {
                resource_type: None,
                resource: entry
                    .get_mut("resource")
                    .map(Value::take)
                    .unwrap_or_default(),
                sent: sent.next().unwrap_or_default(),
            })
            .collect()
    }

    /// The response's entry for this record.
    fn import(self, world: &mut World, source: Option<&Source>, caller: Caller) -> Value {
        let mut warnings = Vec::new();
        match self.store(world, source, caller, &mut warnings) {
            Ok(stored) => {
                if warnings.is_empty() {
                    warnings.push(json!({
                        "severity": "information",
                        "code": "informational",
                        "diagnostics": "Converted R4 -> R5 with no detected field loss.",
                    }));
                }
                json!({"response": response("201 Created", warnings), "resource": stored})
            }
            Err(refusal) => {
                let mut issues = vec![issue(&refusal)];
                issues.append(&mut warnings);
                json!({"response": response(entry_status(&refusal), issues)})
            }
        }
    }

    fn store(
        self,
        world: &mut World,
        source: Option<&Source>,
        caller: Caller,
        warnings: &mut Vec<Value>,
    ) -> Result<Value, Refusal> {
        let Value::Object(mut resource) = self.resource else {
            let text = "Bundle entry is not an object with a 'resource' object.";
            return Err(Refusal::Invalid(text.to_owned()));
        };
        let own_type = resource.get("resourceType").and_then(Value::as_str);
        let resource_type = match self.resource_type.or(own_type.map(str::to_owned)) {
            Some(resource_type) => resource_type,
            None => {
                let text = "Bundle entry is missing a resource / resourceType.";
                return Err(Refusal::Invalid(text.to_owned()));
            }
        };
        store::supported(&resource_type)?;
        let source = match source {
            Some(source) => source.clone(),
            None => store::source_of_resource(world, &resource, caller)?,
        };
        if resource_type == "Observation" {
            store::refuse_open_mhealth(&resource)?;
        }
        *warnings = conversion::to_r5(&resource_type, &mut resource);
        store::store(world, &resource_type, resource, &source, self.sent)
    }
}

/// The resources of a Bundle's entries as they were written; `""` for an entry without one.
fn sent_resources(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Bundle<'a> {
        #[serde(borrow)]
        entry: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        resource: &'a RawValue,
    }
    let bundle: Result<Bundle<'_>, _> = serde_json::from_slice(body);
    let entries = bundle.map(|bundle| bundle.entry).unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| {
            let entry: Result<Entry<'_>, _> = serde_json::from_str(entry.get());
            entry.map_or_else(|_| String::new(), |entry| entry.resource.get().to_owned())
        })
        .collect()
}

/// A refusal of the whole request.
fn refuse(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::ForeignSource => StatusCode::FORBIDDEN,
        Refusal::Invalid(_) | Refusal::UnsupportedType(_) | Refusal::OtherStore(_) => {
            StatusCode::BAD_REQUEST
        }
    };
    VIEW.refuse(status, &refusal.diagnostics())
}

fn entry_status(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Invalid(_) => "400 invalid",
        Refusal::ForeignSource => "403 permission_denied",
        Refusal::UnsupportedType(_) => "404 not_found",
        Refusal::OtherStore(_) => "400 error",
    }
}

fn issue(refusal: &Refusal) -> Value {
    json!({"severity": "error", "code": "processing", "diagnostics": refusal.diagnostics()})
}

fn response(status: &str, issues: Vec<Value>) -> Map<String, Value> {
    let outcome = json!({"resourceType": "OperationOutcome", "issue": issues});
    Map::from_iter([
        ("status".to_owned(), status.into()),
        ("outcome".to_owned(), outcome),
    ])
}
