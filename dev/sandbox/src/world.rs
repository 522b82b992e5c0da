//! The state of both servers. Tests read and change it between requests; the control API does the
//! same over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::HeaderMap;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::clock::Timestamp;
use crate::ehr::{EhrState, Vendor};
use crate::faults::{Fault, Faults, Match, Server};
use crate::jhe::{self, Brand, JheState, Row};
use crate::sample::{self, NoteKind, OBSERVATION, Peculiarity};
use crate::settings::Settings;

/// The JHE patient whom invitations are for unless another is named.
pub const FIRST_PATIENT: u64 = 40_001;
/// Another JHE patient with a login.
pub const SECOND_PATIENT: u64 = 40_002;
/// A JHE patient record without a login.
pub const PATIENT_WITHOUT_LOGIN: u64 = 40_003;

/// The origins.
#[derive(Clone, Debug, Serialize)]
pub struct Origins {
    /// JHE, without a trailing slash.
    pub jhe: String,
    /// The EHR.
    pub ehr: String,
    /// The authorization server of a hospital that has it elsewhere ([`Vendor::OracleHealth`]). Its
    /// requests are logged as the EHR's.
    pub authorization: String,
    /// The listener that no token should reach.
    pub evil: String,
}

impl Origins {
    /// The FHIR base of the main hospital.
    pub fn iss(&self) -> String {
        self.iss_of(Vendor::Epic)
    }

    /// The FHIR base of a hospital, without a slash at its end.
    pub fn iss_of(&self, vendor: Vendor) -> String {
        format!("{}{}", self.ehr, vendor.base_path())
    }
}

#[cfg(test)]
impl Origins {
    /// Origins where nobody listens.
    pub(crate) fn invented() -> Self {
        Self {
            jhe: "http://localhost:8010".to_owned(),
            ehr: "http://localhost:8020".to_owned(),
            authorization: "http://localhost:8021".to_owned(),
            evil: "http://localhost:8030".to_owned(),
        }
    }
}

/// The layouts in which the bundle is hosted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The plain pages under `/static/jhe-connect/`.
    Plain,
    /// JHE's own templates under `/clients/mychart/`.
    DropIn,
    /// The later version's own templates under `/clients/patient-access/`.
    PatientAccess,
}

impl Layout {
    /// The connect page's path.
    pub fn connect_path(self) -> &'static str {
        match self {
            Self::Plain => "/static/jhe-connect/index.html",
            Self::DropIn => "/clients/mychart/",
            Self::PatientAccess => "/clients/patient-access/",
        }
    }

    /// The callback page's path.
    pub fn callback_path(self) -> &'static str {
        match self {
            Self::Plain => "/static/jhe-connect/callback.html",
            Self::DropIn => "/clients/mychart/callback",
            Self::PatientAccess => "/clients/patient-access/callback",
        }
    }
}

/// One request that came in, in the order of arrival.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// The listener.
    pub server: Server,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
    /// The answer's status; `None` while it is being made, and when there was none.
    pub status: Option<u16>,
    #[serde(skip)]
    serial: u64,
}

impl LoggedRequest {
    /// The value of a header (name in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The state of both servers.
pub struct World {
    /// What can be turned.
    pub settings: Settings,
    /// JHE's data.
    pub jhe: JheState,
    /// The EHR's data.
    pub ehr: EhrState,
    /// The hospitals that JHE's later version offers, in any order.
    pub brands: Vec<Brand>,
    /// Files served under `/static/` beside the bundle's: path below `/static/` → content.
    pub static_files: BTreeMap<String, Vec<u8>>,
    pub(crate) origins: Origins,
    pub(crate) started: SystemTime,
    faults: Faults,
    log: Vec<LoggedRequest>,
    next_serial: u64,
    workers: (usize, Arc<Semaphore>),
}

impl World {
    pub(crate) fn seeded(origins: Origins) -> Self {
        let settings = Settings::defaults(&origins);
        let workers = settings.jhe.workers;
        Self {
            jhe: JheState::seeded(),
            ehr: EhrState::seeded(&origins),
            settings,
            brands: jhe::seeded_brands(&origins),
            static_files: BTreeMap::new(),
            origins,
            started: SystemTime::now(),
            faults: Faults::default(),
            log: Vec::new(),
            next_serial: 0,
            workers: (workers, Arc::new(Semaphore::new(workers))),
        }
    }

    /// Back to how it started: data, settings, faults and log.
    pub fn reset(&mut self) {
        let next_serial = self.next_serial;
        *self = Self::seeded(self.origins.clone());
        // A request from before the reset must not write its status into a new one's entry.
        self.next_serial = next_serial;
    }

    /// The servers' time.
    pub fn now(&self) -> Timestamp {
        Timestamp::now(self.settings.clock_offset_seconds)
    }

    /// Moves the servers' clocks forward.
    pub fn advance_clock(&mut self, seconds: i64) {
        self.settings.clock_offset_seconds += seconds;
    }

    /// The origins of the servers.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Lets the requests that `hits` describes meet a fault.
    pub fn fail(&mut self, hits: Match, fault: Fault) {
        self.faults.add(hits, fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&mut self) {
        self.faults = Faults::default();
    }

    /// Every request so far but those of the control API.
    pub fn request_log(&self) -> &[LoggedRequest] {
        &self.log
    }

    /// Forgets the requests so far.
    pub fn clear_request_log(&mut self) {
        self.log.clear();
    }

    /// The records that were written to JHE, oldest first.
    pub fn rows(&self) -> &[Row] {
        &self.jhe.rows
    }

    /// Mints an invitation for a JHE patient and returns its token. As at JHE, an earlier one of the
    /// same patient that was never redeemed is superseded.
    pub fn mint_invitation(&mut self, patient: u64) -> String {
        let now = self.now();
        self.jhe.mint_invitation(patient, now)
    }

    /// The link that a patient would be sent.
    pub fn invitation_link(&self, token: &str, layout: Layout) -> String {
        let code: String =
            url::form_urlencoded::byte_serialize(self.settings.jhe.site_host.as_bytes()).collect();
        format!(
            "{}{}?code={code}_{token}",
            self.origins.jhe,
            layout.connect_path()
        )
    }

    /// Makes an invitation older than it may become before its first redemption.
    pub fn expire_invitation(&mut self, token: &str) {
        let issued = self
            .now()
            .plus_seconds(-self.settings.jhe.invitation_seconds - 1);
        if let Some(invitation) = self.jhe.invitation_mut(token) {
            invitation.issued = issued;
            invitation.redeemed = None;
        }
    }

    /// Cancels an invitation, as a practitioner would.
    pub fn cancel_invitation(&mut self, token: &str) {
        if let Some(invitation) = self.jhe.invitation_mut(token) {
            invitation.cancelled = true;
        }
    }

    /// Makes an invitation one that was redeemed too long ago to be redeemed again.
    pub fn use_up_invitation(&mut self, token: &str) {
        let redeemed = self
            .now()
            .plus_seconds(-self.settings.jhe.redemption_seconds - 1);
        if let Some(invitation) = self.jhe.invitation_mut(token) {
            invitation.redeemed = Some(redeemed);
        }
    }

    /// An access token of JHE for this patient, as if an invitation had been redeemed and exchanged.
    pub fn mint_patient_token(&mut self, patient: u64) -> Option<String> {
        let user = self.jhe.patient(patient)?.user.as_ref()?.id;
        Some(self.mint_user_token(user))
    }

    /// An access token of JHE for the practitioner.
    pub fn mint_practitioner_token(&mut self) -> String {
        self.mint_user_token(self.jhe.practitioner.id)
    }

    /// Ends every access token that JHE has issued ("the session expired").
    pub fn expire_jhe_tokens(&mut self) {
        let past = self.now().plus_seconds(-1);
        self.jhe.expire_tokens(past);
    }

    /// Ends every access token that the EHR has issued. Refresh tokens stay good.
    pub fn expire_ehr_tokens(&mut self) {
        self.ehr.expire_tokens();
    }

    /// Ends every `next` link that the EHR has given out.
    pub fn expire_page_links(&mut self) {
        self.ehr.expire_page_links();
    }

    /// Attaches an EHR patient id to a JHE patient, unless some patient has it.
    pub fn attach_identifier(&mut self, patient: u64, system: &str, value: &str) {
        self.jhe.attach_identifier(patient, system, value);
    }

    /// Gives an EHR patient (by login name) exactly `count` generated labs.
    pub fn give_labs(&mut self, login: &str, count: usize) {
        self.give_records(login, OBSERVATION, count);
    }

    /// Gives an EHR patient (by login name) exactly `count` generated records of a type, instead of
    /// those that are there; of Observation that many labs.
    pub fn give_records(&mut self, login: &str, resource_type: &str, count: usize) {
        if let Some(patient) = self.ehr.patient_mut(login) {
            patient.give(resource_type, count, &self.origins);
        }
    }

    /// Gives an EHR patient (by login name) exactly `count` generated vital signs.
    pub fn give_vitals(&mut self, login: &str, count: usize) {
        if let Some(patient) = self.ehr.patient_mut(login) {
            patient.give_observations("vital-signs", count, sample::vital_sign);
        }
    }

    /// Gives an EHR patient (by login name) exactly `count` generated entries of the social history.
    pub fn give_social_history(&mut self, login: &str, count: usize) {
        if let Some(patient) = self.ehr.patient_mut(login) {
            patient.give_observations("social-history", count, sample::social_history);
        }
    }

    /// Gives an EHR patient (by login name) one more Observation, which is both a lab and a vital
    /// sign: the searches for either find it.
    pub fn give_dual_observation(&mut self, login: &str) {
        if let Some(patient) = self.ehr.patient_mut(login) {
            patient.give_dual_observation();
        }
    }

    /// Gives an EHR patient (by login name) one more note, with its documents; returns its id.
    pub fn give_note(&mut self, login: &str, kind: NoteKind) -> Option<String> {
        let patient = self.ehr.patient_mut(login)?;
        Some(patient.give_note(kind, &self.origins))
    }

    /// The records of a type that an EHR patient (by login name) has, each as JSON text: of
    /// Observation the labs first.
    pub fn records_of(&self, login: &str, resource_type: &str) -> Vec<String> {
        let patient = self.ehr.patient(login);
        patient.map_or_else(Vec::new, |patient| patient.records_of(resource_type))
    }

    /// Gives an EHR patient (by login name) one more lab, with something unusual about it.
    pub fn give_peculiar_lab(&mut self, login: &str, peculiarity: Peculiarity) {
        if let Some(patient) = self.ehr.patient_mut(login) {
            let record = sample::peculiar_lab(patient, patient.records.len(), peculiarity);
            patient.records.push(record);
        }
    }

    /// The same as a hospital serves them: at some, references are absolute, or codings missing.
    pub fn records_at(&self, vendor: Vendor, login: &str, resource_type: &str) -> Vec<String> {
        let id = self.ehr.patient(login).map(|patient| patient.id.as_str());
        let id = id.unwrap_or_default();
        self.ehr
            .records_at(&self.origins, vendor, id, resource_type)
    }

    /// The hospital of this vendor, as JHE lists it.
    pub fn brand_of(&self, vendor: Vendor) -> Option<&Brand> {
        let mut brands = self.brands.iter();
        brands.find(|brand| brand.facility_name == vendor.facility_name())
    }

    pub(crate) fn mint_user_token(&mut self, user: u64) -> String {
        let (now, lifetime) = (self.now(), self.settings.jhe.token_seconds);
        self.jhe.issue_tokens(user, now, lifetime).access
    }

    /// JHE's workers, one permit each.
    pub(crate) fn jhe_workers(&mut self) -> Arc<Semaphore> {
        let wanted = self.settings.jhe.workers.max(1);
        if self.workers.0 != wanted {
            self.workers = (wanted, Arc::new(Semaphore::new(wanted)));
        }
        Arc::clone(&self.workers.1)
    }

    pub(crate) fn faults_for(&mut self, server: Server, method: &str, target: &str) -> Vec<Fault> {
        self.faults.meet(server, method, target)
    }

    pub(crate) fn log_request(
        &mut self,
        server: Server,
        method: &str,
        target: String,
        headers: &HeaderMap,
        body: &[u8],
    ) -> u64 {
        self.next_serial += 1;
        self.log.push(LoggedRequest {
            server,
            method: method.to_owned(),
            target,
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (
                        name.as_str().to_owned(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect(),
            body: String::from_utf8_lossy(body).into_owned(),
            status: None,
            serial: self.next_serial,
        });
        self.next_serial
    }

    pub(crate) fn log_status(&mut self, serial: u64, status: u16) {
        // The serials ascend, so that a long log is no hindrance.
        if let Ok(position) = self.log.binary_search_by_key(&serial, |entry| entry.serial) {
            self.log[position].status = Some(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_of_a_long_log_gets_its_own_status() {
        let mut world = World::seeded(Origins::invented());
        let mut log = |target: &str| {
            world.log_request(
                Server::Jhe,
                "GET",
                target.to_owned(),
                &HeaderMap::new(),
                b"",
            )
        };
        let forgotten = log("/before");
        let serials: Vec<u64> = (0..20_000).map(|_| log("/")).collect();
        world.log.remove(0);
        for serial in serials {
            world.log_status(serial, 200);
        }
        world.log_status(forgotten, 500);
        assert!(world.log.iter().all(|entry| entry.status == Some(200)));
    }
}
