//! A stand-in for a hospital's EHR with Epic's habits: OAuth with a "MyChart" login and consent page,
//! and a FHIR R4 server for the signed-in patient's chart.

mod access;
mod authorize;
mod bundle;
pub(crate) mod cors;
mod discovery;
mod html;
mod outcome;
mod patient;
mod read;
mod search;
mod token;

use std::collections::HashMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{any, get, post};

use crate::Shared;
use crate::clock::Timestamp;
use crate::exchange;
use crate::sample::MEDICATION;
use bundle::Page;
pub use patient::{EhrPatient, PULLED_TYPES};

/// The FHIR base's path.
pub const FHIR_BASE: &str = "/interconnect/api/FHIR/R4";
const AUTHORIZE: &str = "/interconnect/oauth2/authorize";
const TOKEN: &str = "/interconnect/oauth2/token";
const KEYS: &str = "/interconnect/api/epic/PublicKeys/OIDC";

pub(crate) fn router() -> Router<Shared> {
    let fhir = |path: &str| format!("{FHIR_BASE}{path}");
    Router::new()
        .route(
            &fhir("/.well-known/smart-configuration"),
            get(discovery::smart_configuration),
        )
        .route(&fhir("/metadata"), get(discovery::metadata))
        .route(&fhir("/{type}"), get(search::search))
        .route(&fhir("/{type}/{id}"), get(read::read))
        .route(AUTHORIZE, get(authorize::start))
        .route("/interconnect/oauth2/login", post(authorize::login))
        .route("/interconnect/oauth2/consent", post(authorize::consent))
        .route(TOKEN, any(token::token))
        .route(KEYS, get(keys))
        .fallback(async || not_found())
        .layer(from_fn(cors::preflight))
}

/// The EHR's data.
pub struct EhrState {
    /// Its patients.
    pub patients: Vec<EhrPatient>,
    flows: Vec<Flow>,
    grants: Vec<Grant>,
    tokens: Vec<AccessToken>,
    refresh_tokens: Vec<RefreshToken>,
    /// By session.
    pages: HashMap<String, LaterPage>,
}

/// An authorization request on its way through the login and consent pages.
struct Flow {
    id: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: Option<String>,
    challenge: String,
    /// The login name, once the password was right.
    login: Option<String>,
}

/// A code that can be exchanged once.
struct Grant {
    code: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    challenge: String,
    login: String,
    expires: Timestamp,
}

struct AccessToken {
    token: String,
    patient: String,
    scope: String,
    expires: Timestamp,
}

struct RefreshToken {
    token: String,
    /// The same for all that came of one sign-in.
    family: String,
    client_id: String,
    login: String,
    scope: String,
    state: RefreshState,
}

#[derive(PartialEq, Eq)]
enum RefreshState {
    Good,
    /// There is a newer one.
    Rotated,
    /// One of its family was used a second time.
    Revoked,
}

/// A page of a search that has not been asked for yet.
struct LaterPage {
    page: Page,
    expires: Timestamp,
}

impl EhrState {
    pub(crate) fn seeded() -> Self {
        Self {
            patients: patient::seeded(),
            flows: Vec::new(),
            grants: Vec::new(),
            tokens: Vec::new(),
            refresh_tokens: Vec::new(),
            pages: HashMap::new(),
        }
    }

    /// The patient with this login name.
    pub fn patient(&self, login: &str) -> Option<&EhrPatient> {
        self.patients.iter().find(|patient| patient.login == login)
    }

    /// The patient with this login name, to be changed.
    pub fn patient_mut(&mut self, login: &str) -> Option<&mut EhrPatient> {
        self.patients
            .iter_mut()
            .find(|patient| patient.login == login)
    }

    /// Ends every access token that the EHR has issued. Refresh tokens stay good.
    pub fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Ends every `next` link.
    pub fn expire_page_links(&mut self) {
        self.pages.clear();
    }
}

/// The sandbox signs nothing, so it has no keys.
async fn keys(State(_): State<Shared>) -> Response {
    exchange::content(StatusCode::OK, "application/json", r#"{"keys":[]}"#)
}

/// At Epic an unknown type is the web server's own 404 page.
fn not_found() -> Response {
    exchange::content(
        StatusCode::NOT_FOUND,
        "text/html",
        "<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head>\
         <body><h2>404 - File or directory not found.</h2></body></html>",
    )
}

/// Whether the hospital has records of this type.
fn is_known(resource_type: &str) -> bool {
    resource_type == MEDICATION || PULLED_TYPES.contains(&resource_type)
}
