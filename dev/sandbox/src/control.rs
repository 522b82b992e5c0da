//! The control API: what [`crate::World`] offers, as JSON over HTTP on JHE's origin under
//! `/_sandbox/`. README.md lists it with examples.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Shared;
use crate::ehr::{PULLED_TYPES, Vendor};
use crate::exchange::{self, Incoming, empty};
use crate::faults::{Fault, Match};
use crate::jhe::Brand;
use crate::sample::{NoteKind, Peculiarity};
use crate::world::{FIRST_PATIENT, Layout, World};

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/_sandbox/", get(overview))
        .route("/_sandbox/invitations", post(mint_invitation))
        .route("/_sandbox/invitations/{token}", post(change_invitation))
        .route("/_sandbox/records", get(records))
        .route("/_sandbox/requests", get(requests).delete(clear_requests))
        .route("/_sandbox/faults", post(add_fault).delete(clear_faults))
        .route("/_sandbox/settings", get(settings).post(change_settings))
        .route("/_sandbox/clock", post(advance_clock))
        .route("/_sandbox/labs", post(give_labs))
        .route("/_sandbox/chart", post(fill_chart))
        .route("/_sandbox/identity", post(identify))
        .route("/_sandbox/brands", get(brands).post(add_brand))
        .route("/_sandbox/identifiers", post(attach_identifier))
        .route("/_sandbox/sessions/jhe", delete(end_jhe_sessions))
        .route("/_sandbox/sessions/ehr", delete(end_ehr_sessions))
        .route("/_sandbox/page-links", delete(end_page_links))
        .route("/_sandbox/reset", post(reset))
}

async fn overview(State(shared): State<Shared>) -> Response {
    let world = shared.world();
    ok(&json!({
        "origins": world.origins(),
        "iss": world.origins().iss(),
        "jhePatients": world.jhe.patients,
        "hospitals": Vendor::ALL.map(|vendor| json!({
            "vendor": vendor,
            "name": vendor.facility_name(),
            "iss": world.origins().iss_of(vendor),
        })),
        "fhirSources": world.jhe.sources,
        "ehrPatients": world.ehr.patients.iter().map(|patient| json!({
            "login": patient.login,
            "password": patient.password,
            "id": patient.id,
            "records": patient.records.len(),
            "chart": patient.chart.iter().map(|(name, records)| (name, records.len())).collect::<BTreeMap<_, _>>(),
        })).collect::<Vec<_>>(),
    }))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewInvitation {
    patient: u64,
}

impl Default for NewInvitation {
    fn default() -> Self {
        Self {
            patient: FIRST_PATIENT,
        }
    }
}

async fn mint_invitation(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, wish: NewInvitation| {
        if world.jhe.patient(wish.patient).is_none() {
            return Err(format!("JHE has no patient {}", wish.patient));
        }
        let token = world.mint_invitation(wish.patient);
        Ok(json!({
            "plain": world.invitation_link(&token, Layout::Plain),
            "dropIn": world.invitation_link(&token, Layout::DropIn),
            "patientAccess": world.invitation_link(&token, Layout::PatientAccess),
            "token": token,
        }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationChange {
    state: InvitationState,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum InvitationState {
    Expired,
    Cancelled,
    Used,
}

async fn change_invitation(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    request: Incoming,
) -> Response {
    with(&shared, &request, |world, change: InvitationChange| {
        if world.jhe.invitation_mut(&token).is_none() {
            return Err("there is no such invitation".to_owned());
        }
        match change.state {
            InvitationState::Expired => world.expire_invitation(&token),
            InvitationState::Cancelled => world.cancel_invitation(&token),
            InvitationState::Used => world.use_up_invitation(&token),
        }
        Ok(Value::Null)
    })
}

async fn records(State(shared): State<Shared>) -> Response {
    listed(shared.world().rows())
}

async fn requests(State(shared): State<Shared>) -> Response {
    listed(shared.world().request_log())
}

async fn clear_requests(State(shared): State<Shared>) -> Response {
    shared.world().clear_request_log();
    empty(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFault {
    #[serde(default, rename = "match")]
    hits: Match,
    fault: Fault,
}

async fn add_fault(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, wish: NewFault| {
        world.fail(wish.hits, wish.fault);
        Ok(Value::Null)
    })
}

async fn clear_faults(State(shared): State<Shared>) -> Response {
    shared.world().clear_faults();
    empty(StatusCode::NO_CONTENT)
}

async fn settings(State(shared): State<Shared>) -> Response {
    ok(&json!(shared.world().settings))
}

async fn change_settings(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, patch: Value| {
        world
            .settings
            .patch(&patch)
            .map_err(|error| error.to_string())?;
        Ok(json!(world.settings))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: i64,
}

async fn advance_clock(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, advance: Advance| {
        world.advance_clock(advance.seconds);
        Ok(json!({"now": world.now().with_micros()}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labs {
    login: String,
    count: Option<usize>,
    #[serde(default)]
    add: Vec<Peculiarity>,
}

async fn give_labs(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, wish: Labs| {
        known_login(world, &wish.login)?;
        if let Some(count) = wish.count {
            world.give_labs(&wish.login, count);
        }
        for peculiarity in wish.add {
            world.give_peculiar_lab(&wish.login, peculiarity);
        }
        Ok(Value::Null)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filling {
    login: String,
    /// How many records there are to be of a type.
    #[serde(default)]
    records: BTreeMap<String, usize>,
    vital_signs: Option<usize>,
    social_history: Option<usize>,
    /// How many Observations of two categories to add.
    #[serde(default)]
    add_dual: usize,
    #[serde(default)]
    add_notes: Vec<NoteKind>,
}

async fn fill_chart(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, wish: Filling| {
        known_login(world, &wish.login)?;
        let unknown = |name: &&String| *name == "Patient" || !PULLED_TYPES.contains(&name.as_str());
        if let Some(name) = wish.records.keys().find(unknown) {
            return Err(format!("there are no generated records of the type {name}"));
        }
        for (name, count) in &wish.records {
            world.give_records(&wish.login, name, *count);
        }
        if let Some(count) = wish.vital_signs {
            world.give_vitals(&wish.login, count);
        }
        if let Some(count) = wish.social_history {
            world.give_social_history(&wish.login, count);
        }
        for _ in 0..wish.add_dual {
            world.give_dual_observation(&wish.login);
        }
        for kind in wish.add_notes {
            world.give_note(&wish.login, kind);
        }
        Ok(Value::Null)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    login: String,
    /// A day, a month or a year; `""` for none.
    birth_date: Option<String>,
    /// The HumanNames that the Patient resource has.
    names: Option<Vec<Value>>,
}

async fn identify(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, wish: Identity| {
        known_login(world, &wish.login)?;
        if let Some(patient) = world.ehr.patient_mut(&wish.login) {
            if let Some(birth_date) = wish.birth_date {
                patient.birth_date = birth_date;
            }
            if let Some(names) = wish.names {
                patient.names = names.iter().map(Value::to_string).collect();
            }
        }
        Ok(Value::Null)
    })
}

fn known_login(world: &World, login: &str) -> Result<(), String> {
    match world.ehr.patient(login) {
        Some(_) => Ok(()),
        None => Err(format!("the EHR has no login {login}")),
    }
}

async fn brands(State(shared): State<Shared>) -> Response {
    listed(&shared.world().brands)
}

async fn add_brand(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, brand: Brand| {
        world.brands.push(brand);
        Ok(Value::Null)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIdentifier {
    patient: u64,
    system: String,
    value: String,
}

async fn attach_identifier(State(shared): State<Shared>, request: Incoming) -> Response {
    with(&shared, &request, |world, wish: NewIdentifier| {
        world.attach_identifier(wish.patient, &wish.system, &wish.value);
        Ok(json!(world.jhe.patient(wish.patient)))
    })
}

async fn end_jhe_sessions(State(shared): State<Shared>) -> Response {
    shared.world().expire_jhe_tokens();
    empty(StatusCode::NO_CONTENT)
}

async fn end_ehr_sessions(State(shared): State<Shared>) -> Response {
    shared.world().expire_ehr_tokens();
    empty(StatusCode::NO_CONTENT)
}

async fn end_page_links(State(shared): State<Shared>) -> Response {
    shared.world().expire_page_links();
    empty(StatusCode::NO_CONTENT)
}

async fn reset(State(shared): State<Shared>) -> Response {
    shared.world().reset();
    empty(StatusCode::NO_CONTENT)
}

/// Reads the wish, does it, and answers 200 with the outcome, 204 without one, or 400 with the reason.
fn with<T: DeserializeOwned>(
    shared: &Shared,
    request: &Incoming,
    act: impl FnOnce(&mut World, T) -> Result<Value, String>,
) -> Response {
    let body: &[u8] = if request.body.is_empty() {
        b"{}"
    } else {
        &request.body
    };
    let outcome = serde_json::from_slice(body)
        .map_err(|error| error.to_string())
        .and_then(|wish| act(&mut shared.world(), wish));
    match outcome {
        Ok(Value::Null) => empty(StatusCode::NO_CONTENT),
        Ok(body) => ok(&body),
        Err(error) => exchange::json(StatusCode::BAD_REQUEST, &json!({ "error": error })),
    }
}

/// Written as it is read: there may be thousands of them.
fn listed<T: Serialize>(items: &[T]) -> Response {
    match serde_json::to_string(items) {
        Ok(body) => exchange::content(StatusCode::OK, "application/json", body),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn ok(body: &Value) -> Response {
    exchange::json(StatusCode::OK, body)
}
