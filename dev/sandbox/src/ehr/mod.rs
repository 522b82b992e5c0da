//! A stand-in for a hospital's EHR with Epic's habits: OAuth with a "MyChart" login and consent page,
//! and a FHIR R4 server for the signed-in patient's labs.

mod authorize;
pub(crate) mod cors;
mod discovery;
mod html;
mod outcome;
mod search;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{any, get, post};

use crate::Shared;
use crate::clock::Timestamp;
use crate::exchange::{self, Incoming};
use crate::sample::{self, Peculiarity};

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
        .route(&fhir("/Observation"), get(search::observations))
        .route(&fhir("/Patient/{id}"), get(search::patient))
        .route(AUTHORIZE, get(authorize::start))
        .route("/interconnect/oauth2/login", post(authorize::login))
        .route("/interconnect/oauth2/consent", post(authorize::consent))
        .route(TOKEN, any(token::token))
        .route(KEYS, get(keys))
        .fallback(not_found)
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

/// A patient of the hospital, with a MyChart login.
#[derive(Clone, Debug)]
pub struct EhrPatient {
    /// Login name.
    pub login: String,
    /// Password.
    pub password: String,
    /// FHIR id.
    pub id: String,
    /// Family name.
    pub family: String,
    /// Given name.
    pub given: String,
    /// Date of birth.
    pub birth_date: String,
    /// The Observations, each as the JSON text that goes over the wire.
    pub records: Vec<String>,
    /// Further entries of a search's first page, each as the JSON text of a whole Bundle entry:
    /// whatever else a test wants a client to meet there.
    pub extra_entries: Vec<String>,
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
    patient: String,
    category: String,
    /// All of the patient's records, as they were when the search began.
    records: Arc<Vec<String>>,
    /// Where the page begins in them.
    from: usize,
    expires: Timestamp,
}

impl EhrState {
    pub(crate) fn seeded() -> Self {
        let patient =
            |login: &str, id: &str, given: &str, family: &str, birth_date: &str| EhrPatient {
                login: login.to_owned(),
                password: "epicepic1".to_owned(),
                id: id.to_owned(),
                family: family.to_owned(),
                given: given.to_owned(),
                birth_date: birth_date.to_owned(),
                records: Vec::new(),
                extra_entries: Vec::new(),
            };
        let mut camila = patient(
            "fhircamila",
            "erXuFYUfucBZaryVksYEcMg3",
            "Camila",
            "Lopez",
            "1987-09-12",
        );
        camila.records = (0..30).map(|n| sample::lab(&camila, n)).collect();
        // In the middle, so that what follows shows whether a client stumbled.
        camila
            .records
            .insert(12, sample::peculiar_lab(&camila, 30, Peculiarity::LongId));
        camila.records.insert(
            23,
            sample::peculiar_lab(&camila, 31, Peculiarity::UnderscoreId),
        );
        let derrick = patient(
            "fhirderrick",
            "eq081-VQEgP8drUUqCWzHfw3",
            "Derrick",
            "Lin",
            "1973-06-03",
        );
        let mut desiree = patient(
            "fhirdesiree",
            "eAB3mDIBBcyUKviyzrxsnAw3",
            "Desiree",
            "Powell",
            "2014-11-14",
        );
        desiree.records = (0..5).map(|n| sample::lab(&desiree, n)).collect();
        Self {
            patients: vec![camila, derrick, desiree],
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
async fn not_found(_: Incoming) -> Response {
    exchange::content(
        StatusCode::NOT_FOUND,
        "text/html",
        "<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head>\
         <body><h2>404 - File or directory not found.</h2></body></html>",
    )
}
