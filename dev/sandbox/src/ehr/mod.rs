//! A stand-in for hospitals' EHRs, above all for one with Epic's habits: OAuth with a "MyChart" login
//! and consent page, and a FHIR R4 server for the signed-in patient's chart.

mod access;
mod authorize;
mod binary;
mod bundle;
pub(crate) mod cors;
mod discovery;
mod html;
mod identity;
mod outcome;
mod patient;
mod read;
mod search;
mod token;
mod vendors;

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Extension, Router};

use crate::Shared;
use crate::clock::Timestamp;
use crate::exchange;
use crate::sample::MEDICATION;
use crate::world::Origins;

use bundle::Page;
use vendors::AuthorizationServer;

pub use identity::{IdentityFault, Signing, verifies};
pub use patient::{EhrPatient, PULLED_TYPES};
pub use vendors::{ATHENA_PRACTICE, Vendor};

/// The path of Epic's FHIR base.
pub const FHIR_BASE: &str = "/interconnect/api/FHIR/R4";
/// Where the keys are, for all hospitals.
const KEYS: &str = "/interconnect/api/epic/PublicKeys/OIDC";

/// The routes of the EHR's origin.
pub(crate) fn router() -> Router<Shared> {
    let hospitals = Vendor::ALL.into_iter().map(|vendor| {
        let routes = match vendor.habits().authorization_server {
            AuthorizationServer::OnTheSameOrigin => fhir(vendor).merge(authorization(vendor)),
            AuthorizationServer::OfItsOwn => fhir(vendor),
        };
        routes.layer(Extension(vendor))
    });
    hospitals
        .fold(Router::new(), Router::merge)
        .route(KEYS, get(keys))
        .fallback(async || not_found())
        .layer(from_fn(cors::preflight))
}

/// The routes of the origin that has authorization servers only.
pub(crate) fn authorization_router() -> Router<Shared> {
    let has_its_own =
        |vendor: &Vendor| vendor.habits().authorization_server == AuthorizationServer::OfItsOwn;
    Vendor::ALL
        .into_iter()
        .filter(has_its_own)
        .map(|vendor| authorization(vendor).layer(Extension(vendor)))
        .fold(Router::new(), Router::merge)
        .fallback(async || not_found())
        .layer(from_fn(cors::preflight))
}

fn fhir(vendor: Vendor) -> Router<Shared> {
    let below = |path: &str| format!("{}{path}", vendor.base_path());
    Router::new()
        .route(
            &below("/.well-known/smart-configuration"),
            get(discovery::smart_configuration),
        )
        .route(&below("/metadata"), get(discovery::metadata))
        .route(&below(""), get(search::whole_system))
        .route(&below("/"), get(search::whole_system))
        .route(&below("/{type}"), get(search::search))
        .route(&below("/{type}/{id}"), get(read::read))
}

fn authorization(vendor: Vendor) -> Router<Shared> {
    Router::new()
        .route(vendor.habits().authorize, get(authorize::start))
        .route(&vendor.login_path(), post(authorize::login))
        .route(&vendor.choice_path(), post(authorize::choose))
        .route(&vendor.consent_path(), post(authorize::consent))
        .route(vendor.habits().token, any(token::token))
        .route(&vendor.revocation_path(), any(token::revoke))
}

/// The EHR's data.
pub struct EhrState {
    /// Its patients.
    pub patients: Vec<EhrPatient>,
    /// Those who have a login for the charts of others.
    pub guardians: Vec<Guardian>,
    flows: Vec<Flow>,
    grants: Vec<Grant>,
    tokens: Vec<AccessToken>,
    refresh_tokens: Vec<RefreshToken>,
    /// By session.
    pages: HashMap<String, LaterPage>,
}

/// Somebody who looks after patients' charts with a login of their own: "proxy access".
#[derive(Clone, Debug)]
pub struct Guardian {
    /// Login name. The password is everybody's.
    pub login: String,
    /// Given name.
    pub given: String,
    /// FHIR id of the RelatedPerson.
    pub id: String,
    /// The patients' login names. Among several the portal lets choose.
    pub patients: Vec<String>,
}

/// Who has signed in, for whose chart.
#[derive(Clone, Debug)]
struct SignedIn {
    /// The patient's login name.
    login: String,
    /// The resource of the person: the Patient, or a RelatedPerson.
    user: String,
}

/// An authorization request on its way through the login and consent pages.
struct Flow {
    id: String,
    vendor: Vendor,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: Option<String>,
    challenge: String,
    nonce: Option<String>,
    /// Who may be the one, once the password was right: several until the portal knows for whose chart.
    signed_in: Vec<SignedIn>,
}

/// A code that can be exchanged once.
struct Grant {
    code: String,
    vendor: Vendor,
    client_id: String,
    redirect_uri: String,
    scope: String,
    challenge: String,
    nonce: Option<String>,
    signed_in: SignedIn,
    expires: Timestamp,
}

struct AccessToken {
    token: String,
    vendor: Vendor,
    /// The same for all that came of one sign-in.
    family: String,
    patient: String,
    scope: String,
    expires: Timestamp,
}

struct RefreshToken {
    token: String,
    vendor: Vendor,
    /// The same for all that came of one sign-in.
    family: String,
    client_id: String,
    signed_in: SignedIn,
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
    pub(crate) fn seeded(origins: &Origins) -> Self {
        Self {
            patients: patient::seeded(origins),
            guardians: patient::guardians(),
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

    /// Who a login and its password are good for: a patient, or each of those whom a guardian looks after.
    fn sign_in(&self, login: &str, password: &str) -> Vec<SignedIn> {
        let patient = self.patient(login).filter(|it| it.password == password);
        if let Some(patient) = patient {
            return vec![SignedIn {
                login: login.to_owned(),
                user: format!("Patient/{}", patient.id),
            }];
        }
        let guardian = self.guardians.iter().find(|it| it.login == login);
        let guardian = guardian.filter(|_| password == patient::PASSWORD);
        let charts = guardian.into_iter().flat_map(|guardian| {
            guardian.patients.iter().map(|login| SignedIn {
                login: login.clone(),
                user: format!("RelatedPerson/{}", guardian.id),
            })
        });
        charts.collect()
    }

    /// The records of a type that a patient (by FHIR id) has, as a hospital serves them.
    pub(crate) fn records_at(
        &self,
        origins: &Origins,
        vendor: Vendor,
        id: &str,
        resource_type: &str,
    ) -> Vec<String> {
        let mut patients = self.patients.iter();
        let records = patients
            .find(|patient| patient.id == id)
            .map(|patient| patient.records_of(resource_type))
            .unwrap_or_default();
        let as_served =
            |(position, record)| vendor.as_served(origins, resource_type, position, record);
        records.into_iter().enumerate().map(as_served).collect()
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

/// What its identity tokens can be checked with.
async fn keys(State(shared): State<Shared>) -> Response {
    let keys = identity::keys(&shared.world());
    exchange::content(StatusCode::OK, "application/json", keys.to_string())
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
