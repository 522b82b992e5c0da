//! JHE: the pages' files, the few calls before an import, and the two ways to write records.

use bytes::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;
use url::form_urlencoded;

use crate::chart::{PATIENT, SOURCE};
use crate::serve::{Asked, Reply, content, empty, json};
use crate::soak::mishap::Place;
use crate::world::{Run, World};

/// The token of the invitation that the connect page is opened with.
pub(crate) const INVITATION: &str = "BenchBenchBenchBenchBenchBench00";
/// The id of JHE's DataSource, which the pages are configured with.
pub(crate) const DATA_SOURCE: u32 = 70_006;

const BATCHES: &str = "/fhir-import/R4/";
const OBSERVATIONS: &str = "/FHIR/R5/Observation";
const SOURCE_HEADER: HeaderName = HeaderName::from_static("x-jhe-fhir-source-id");

pub(crate) async fn answer(world: &World, run: &Run, asked: &Asked) -> Reply {
    if asked.parts.method == Method::GET
        && let Some(file) = world.files.find(asked.path())
    {
        return file.reply(asked.header(ACCEPT_ENCODING));
    }
    let Ok(_worker) = run.workers.acquire().await else {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    };
    match (&asked.parts.method, asked.path()) {
        (&Method::POST, BATCHES) => write(run, asked, Kind::Batch).await,
        (&Method::POST, OBSERVATIONS) => write(run, asked, Kind::Single).await,
        (&Method::GET, OBSERVATIONS) => rows(run, asked),
        (&Method::POST, "/o/token/") => json(StatusCode::OK, token()),
        (&Method::POST, "/api/v1/mychart/identifier" | "/api/v1/patient-access/identifier") => {
            content(StatusCode::OK, "application/json", asked.body.clone())
        }
        (&Method::GET, "/api/v1/users/profile") => json(StatusCode::OK, profile(world)),
        (&Method::GET, "/api/v1/fhir_sources") => {
            let none = json!({ "count": 0, "next": null, "previous": null, "results": [] });
            json(StatusCode::OK, none)
        }
        (&Method::POST, "/api/v1/fhir_sources") => json(StatusCode::CREATED, source(world)),
        (&Method::POST, path) if path.strip_prefix("/api/v1/invitation/") == Some(INVITATION) => {
            json(StatusCode::OK, grant(world))
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

/// What of an import a request is, if it is any of it.
pub(crate) fn place(asked: &Asked) -> Option<Place> {
    match (&asked.parts.method, asked.path()) {
        (&Method::POST, BATCHES | OBSERVATIONS) => Some(Place::Write),
        (&Method::GET, OBSERVATIONS) => Some(Place::ReadBack),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Batch,
    Single,
}

async fn write(run: &Run, asked: &Asked, kind: Kind) -> Reply {
    if !asked.header(CONTENT_TYPE).starts_with("application/json") {
        return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if asked.header(SOURCE_HEADER) != SOURCE.to_string() {
        return empty(StatusCode::BAD_REQUEST);
    }
    let numbers = run.chart.numbers_in(&asked.body);
    let records = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    if !run.conduct.time_per_record.is_zero() {
        sleep(run.conduct.time_per_record * records).await;
    }
    let (status, body) = match (kind, &numbers[..]) {
        (Kind::Batch, numbers) => (StatusCode::OK, run.chart.batch_response(numbers)),
        (Kind::Single, [number]) => (StatusCode::CREATED, run.chart.stored(*number)),
        (Kind::Single, _) => return empty(StatusCode::BAD_REQUEST),
    };
    run.ledger().write(&numbers, asked.body.len());
    if let Some(trouble) = &run.trouble {
        trouble.take(&asked.body);
    }
    content(status, "application/json", Bytes::from(body))
}

/// What is stored of the patient: how many records were imported; in a soak also the rows themselves.
fn rows(run: &Run, asked: &Asked) -> Reply {
    let number = |wanted: &str| {
        let value = form_urlencoded::parse(asked.query().as_bytes()).find(|it| it.0 == wanted);
        value.and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let is_count = asked.query().contains("_source");
    if let (Some(trouble), false) = (&run.trouble, is_count) {
        let page = number("_page").unwrap_or(1);
        return match trouble.page(page, number("_count").unwrap_or(20)) {
            Some(rows) => json(StatusCode::OK, rows),
            None => empty(StatusCode::NOT_FOUND),
        };
    }
    let total = if is_count { run.ledger().held() } else { 0 };
    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": total, "link": [], "entry": [] });
    json(StatusCode::OK, bundle)
}

fn token() -> Value {
    json!({
        "access_token": "bench-jhe-token",
        "expires_in": 1_209_600,
        "token_type": "Bearer",
        "scope": "openid email",
        "refresh_token": "bench-refresh-token",
        "id_token": "bench-id-token",
    })
}

fn profile(world: &World) -> Value {
    let identifier = json!({ "id": 1, "system": world.origins.fhir_base(), "value": PATIENT });
    json!({
        "id": 10_006,
        "patient": { "id": 40_001, "jheUserId": 10_006, "identifiers": [identifier], "organizations": [] },
        "userType": "patient",
        "isSuperuser": false,
    })
}

fn source(world: &World) -> Value {
    json!({
        "id": SOURCE,
        "patient": 40_001,
        "dataSource": DATA_SOURCE,
        "label": "Epic / MyChart",
        "fhirBaseUrl": world.origins.fhir_base(),
        "lastUpdated": "2026-09-01T12:00:00Z",
    })
}

fn grant(world: &World) -> Value {
    let jhe = &world.origins.jhe;
    json!({
        "grant": {
            "grant_type": "authorization_code",
            "redirect_uri": format!("{jhe}/auth/callback"),
            "client_id": "Zq3VwT8nLr5KcYb1XhUe7GsPd0MfAj2RoIi9NtBk",
            "code": "benchbenchbenchbenchbenchbench",
        },
        "token_endpoint": format!("{jhe}/o/token/"),
        "expires": "2030-01-01T00:00:00Z",
    })
}
