//! A stand-in for JupyterHealth Exchange as of v0.0.11 (commit 6c6b95c, "mychart") or v0.0.13 (commit
//! 0339e9e, "patient-access"): the part of its surface that this flow meets. Statuses and texts are
//! those of the recorded exchanges in `tests/contract/`; `tests/contract.rs` replays them.

mod brands;
mod conversion;
mod discovery;
pub(crate) mod django;
mod identifier;
mod import;
mod invitation;
mod observations;
mod pages;
mod profile;
mod python;
mod references;
mod rows;
mod sources;
mod store;
mod token;
mod validation;

use axum::Router;
use axum::routing::any;
use serde::Serialize;

use crate::Shared;
use crate::clock::Timestamp;
use crate::random;
use crate::world::{FIRST_PATIENT, PATIENT_WITHOUT_LOGIN, SECOND_PATIENT};

pub use brands::Brand;
pub(crate) use brands::seeded_brands;
pub(crate) use pages::{add_policy, plain_page};
pub use rows::{Row, Rows};
pub(crate) use token::add_cors;

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/api/v1/invitation", any(invitation::create))
        .route("/api/v1/invitation/{token}", any(invitation::redeem))
        .route("/api/v1/users/profile", any(profile::profile))
        .route("/api/v1/mychart/identifier", any(identifier::mychart))
        .route(
            "/api/v1/patient-access/identifier",
            any(identifier::patient_access),
        )
        .route("/api/v1/fhir_sources", any(sources::list_or_create))
        .route("/api/v1/fhir_sources/{id}", any(sources::one))
        .route(
            "/api/v1/fhir_sources/{id}/index_refs",
            any(references::index),
        )
        .route("/o/token/", any(token::token))
        .route("/o/revoke_token/", any(token::revoke))
        .route("/o/userinfo/", any(token::userinfo))
        .merge(fhir("/FHIR/R5"))
        .route(discovery::METADATA, any(discovery::metadata))
        .route(
            discovery::SMART_CONFIGURATION,
            any(discovery::smart_configuration),
        )
        .merge(fhir("/fhir/r5"))
        .route("/fhir-import/R4", any(import::bundle))
        .route("/fhir-import/R4/", any(import::bundle))
        .route("/fhir-import/R4/{type}", any(import::one))
        .route("/api/v1/patient-access/brands", any(brands::brands))
        .route("/clients/mychart/", any(pages::mychart_connect))
        .route("/clients/mychart/callback", any(pages::mychart_callback))
        .route(
            "/clients/patient-access/",
            any(pages::patient_access_connect),
        )
        .route(
            "/clients/patient-access/callback",
            any(pages::patient_access_callback),
        )
        .route("/auth/callback/", any(pages::jhe_callback))
}

fn fhir(base: &str) -> Router<Shared> {
    Router::new()
        .route(base, any(observations::batch))
        .route(&format!("{base}/"), any(observations::batch))
        .route(&format!("{base}/{{type}}"), any(observations::collection))
        .route(
            &format!("{base}/{{type}}/{{id}}"),
            any(observations::instance),
        )
}

/// JHE's data.
pub struct JheState {
    /// Its patients.
    pub patients: Vec<JhePatient>,
    /// Its only practitioner.
    pub practitioner: User,
    /// The registered FhirSources, oldest first.
    pub sources: Vec<FhirSource>,
    /// The records written under those sources, oldest first.
    pub rows: Rows,
    /// The invitations.
    pub invitations: Vec<Invitation>,
    pub(crate) codes: Vec<GrantCode>,
    pub(crate) tokens: Vec<Tokens>,
    /// Whether a worker has loaded its conversion tables: the first import does.
    pub(crate) has_imported: bool,
    next_identifier: u64,
    next_source: u64,
}

/// A patient record of JHE.
#[derive(Clone, Debug, Serialize)]
pub struct JhePatient {
    /// JHE's id of the patient.
    pub id: u64,
    /// Given and family name.
    pub full_name: String,
    /// Date of birth, if the study has entered one.
    pub birth_date: Option<String>,
    /// The login, if there is one.
    pub user: Option<User>,
    /// Ids that the patient has elsewhere.
    pub identifiers: Vec<Identifier>,
}

/// A login.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// JHE's id of the user.
    pub id: u64,
    /// Its address.
    pub email: String,
}

/// An id that a patient has elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identifier {
    /// JHE's id of this row.
    pub id: u64,
    /// Whose id it is (an EHR's FHIR base).
    pub system: String,
    /// The id there.
    pub value: String,
}

/// Where imported records come from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FhirSource {
    /// The number for `X-JHE-FHIR-Source-ID`.
    pub id: u64,
    /// The JHE patient who owns it.
    pub patient: u64,
    /// The DataSource.
    pub data_source: u64,
    /// A name for it.
    pub label: String,
    /// The EHR's FHIR base.
    pub fhir_base_url: String,
    /// When it was last changed.
    pub last_updated: String,
}

/// An invitation.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// JHE's id of it.
    pub id: u64,
    /// The secret in the link.
    pub token: String,
    /// Whom it is for.
    pub patient: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// When it was last redeemed.
    pub redeemed: Option<Timestamp>,
    /// Taken back by a practitioner.
    pub cancelled: bool,
    /// Replaced by a newer one before it was redeemed.
    pub superseded: bool,
}

/// What a redemption hands out, to be exchanged for tokens.
pub(crate) struct GrantCode {
    pub(crate) code: String,
    pub(crate) patient: u64,
    /// The invitation's token: its base64 is the PKCE verifier.
    pub(crate) invitation: String,
    pub(crate) expires: Timestamp,
}

/// A pair of tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) user: u64,
    pub(crate) expires: Timestamp,
}

/// Who a valid access token belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Patient { id: u64, user: u64 },
    Practitioner { user: u64 },
}

/// Why an access token is none.
pub(crate) enum BadToken {
    Unknown,
    Expired,
}

impl JheState {
    pub(crate) fn seeded() -> Self {
        let user = |id, email: &str| {
            Some(User {
                id,
                email: email.to_owned(),
            })
        };
        let patient = |id, full_name: &str, birth_date: &str, user| JhePatient {
            id,
            full_name: full_name.to_owned(),
            birth_date: Some(birth_date.to_owned()),
            user,
            identifiers: Vec::new(),
        };
        Self {
            patients: vec![
                patient(
                    FIRST_PATIENT,
                    "Camila Lopez",
                    "1987-09-12",
                    user(10_006, "camila@example.com"),
                ),
                patient(
                    SECOND_PATIENT,
                    "Derrick Lin",
                    "1973-06-03",
                    user(10_007, "derrick@example.com"),
                ),
                patient(PATIENT_WITHOUT_LOGIN, "Jason Argonaut", "1985-08-01", None),
            ],
            practitioner: User {
                id: 10_001,
                email: "practitioner@example.com".to_owned(),
            },
            sources: Vec::new(),
            rows: Rows::default(),
            invitations: Vec::new(),
            codes: Vec::new(),
            tokens: Vec::new(),
            has_imported: false,
            next_identifier: 1,
            next_source: 90_001,
        }
    }

    /// The patient with this id.
    pub fn patient(&self, id: u64) -> Option<&JhePatient> {
        self.patients.iter().find(|patient| patient.id == id)
    }

    /// Adds a FhirSource, as `POST /api/v1/fhir_sources` does.
    pub fn add_source(
        &mut self,
        patient: u64,
        data_source: u64,
        label: &str,
        fhir_base_url: &str,
        now: Timestamp,
    ) -> FhirSource {
        let taken = self
            .sources
            .iter()
            .map(|source| source.id + 1)
            .max()
            .unwrap_or_default();
        let id = self.next_source.max(taken);
        self.next_source = id + 1;
        let source = FhirSource {
            id,
            patient,
            data_source,
            label: label.to_owned(),
            fhir_base_url: fhir_base_url.to_owned(),
            last_updated: now.with_micros(),
        };
        self.sources.push(source.clone());
        source
    }

    pub(crate) fn mint_invitation(&mut self, patient: u64, now: Timestamp) -> String {
        for earlier in &mut self.invitations {
            if earlier.patient == patient && earlier.redeemed.is_none() {
                earlier.superseded = true;
            }
        }
        let token = random::alphanumeric(32);
        let id = 101 + self.invitations.len() as u64;
        self.invitations.push(Invitation {
            id,
            token: token.clone(),
            patient,
            issued: now,
            redeemed: None,
            cancelled: false,
            superseded: false,
        });
        token
    }

    pub(crate) fn invitation_mut(&mut self, token: &str) -> Option<&mut Invitation> {
        self.invitations
            .iter_mut()
            .find(|invitation| invitation.token == token)
    }

    /// Attaches a pair to a patient unless some patient has it; returns who has it then.
    pub(crate) fn attach_identifier(&mut self, patient: u64, system: &str, value: &str) -> u64 {
        let owner = self.patients.iter().find(|patient| {
            let mut pairs = patient.identifiers.iter();
            pairs.any(|pair| pair.system == system && pair.value == value)
        });
        if let Some(owner) = owner {
            return owner.id;
        }
        let id = self.next_identifier;
        if let Some(record) = self.patients.iter_mut().find(|other| other.id == patient) {
            self.next_identifier += 1;
            record.identifiers.push(Identifier {
                id,
                system: system.to_owned(),
                value: value.to_owned(),
            });
        }
        patient
    }

    pub(crate) fn issue_tokens(&mut self, user: u64, now: Timestamp, lifetime: i64) -> Tokens {
        let tokens = Tokens {
            access: random::alphanumeric(30),
            refresh: random::alphanumeric(30),
            user,
            expires: now.plus_seconds(lifetime),
        };
        self.tokens.push(tokens.clone());
        tokens
    }

    pub(crate) fn expire_tokens(&mut self, past: Timestamp) {
        for tokens in &mut self.tokens {
            tokens.expires = past;
        }
    }

    pub(crate) fn caller(&self, access_token: &str, now: Timestamp) -> Result<Caller, BadToken> {
        let tokens = self
            .tokens
            .iter()
            .find(|tokens| tokens.access == access_token);
        let tokens = tokens.ok_or(BadToken::Unknown)?;
        if tokens.expires <= now {
            return Err(BadToken::Expired);
        }
        let user = tokens.user;
        Ok(
            match self
                .patients
                .iter()
                .find(|patient| patient.user_id() == Some(user))
            {
                Some(patient) => Caller::Patient {
                    id: patient.id,
                    user,
                },
                None => Caller::Practitioner { user },
            },
        )
    }

    pub(crate) fn user(&self, id: u64) -> Option<&User> {
        let mut users = self
            .patients
            .iter()
            .filter_map(|patient| patient.user.as_ref());
        users
            .find(|user| user.id == id)
            .or_else(|| Some(&self.practitioner).filter(|user| user.id == id))
    }
}

impl JhePatient {
    pub(crate) fn user_id(&self) -> Option<u64> {
        self.user.as_ref().map(|user| user.id)
    }
}
