//! Everything that a test or the demo may turn, in one serialisable tree (the control API reads and
//! patches it as JSON).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ehr::{IdentityFault, Signing, Vendor};
use crate::world::{Layout, Origins};

/// Scopes of JHE's seed data for this client.
pub const SEED_SCOPES: &str =
    "openid profile launch/patient patient/Patient.read patient/Observation.read";
/// Scopes of the seed data of JHE's later version: one for each of the types that it asks for.
pub const PATIENT_ACCESS_SCOPES: &str = "openid profile launch/patient patient/Patient.read \
    patient/Observation.read patient/Condition.read patient/MedicationRequest.read \
    patient/MedicationDispense.read patient/AllergyIntolerance.read patient/Immunization.read \
    patient/Procedure.read patient/DiagnosticReport.read patient/DocumentReference.read \
    patient/Encounter.read patient/CarePlan.read patient/CareTeam.read patient/Goal.read \
    patient/ServiceRequest.read patient/Device.read patient/QuestionnaireResponse.read";
/// The client id under which the EHR knows JHE.
pub const EHR_CLIENT_ID: &str = "5b7d0c1e-93f4-4a6d-8f21-0c9a6e5d7b34";

/// All settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds by which both servers' clocks are ahead of the machine's.
    pub clock_offset_seconds: i64,
    /// JHE's settings.
    pub jhe: JheSettings,
    /// The EHR's settings.
    pub ehr: EhrSettings,
}

/// What can be turned at JHE.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JheSettings {
    /// Which JHE this is.
    pub version: JheVersion,
    /// Requests served at a time (gunicorn's sync workers).
    pub workers: usize,
    /// How long a worker is busy with one FHIR record that is written, in milliseconds.
    pub time_per_record_ms: u64,
    /// How much longer the first import takes, in milliseconds: a worker loads its conversion tables.
    pub first_import_ms: u64,
    /// How long every request takes to reach the server, in milliseconds.
    pub latency_ms: u64,
    /// The longest body that the proxy in front of JHE lets through; a longer one gets its 413 page.
    pub max_body_bytes: Option<usize>,
    /// How long an invitation waits for its first redemption.
    pub invitation_seconds: i64,
    /// How long after a redemption an invitation can be redeemed again.
    pub redemption_seconds: i64,
    /// How long a redemption's code can be exchanged.
    pub code_seconds: i64,
    /// How long an access token lives.
    pub token_seconds: i64,
    /// Host and port of the configured site URL: the first part of an invitation's `code`.
    pub site_host: String,
    /// Whether the profile tells the patient's `nameGiven`, `nameFamily` and `birthDate`. That of neither
    /// recorded version does.
    pub profile_names: bool,
    /// Ids of the DataSources that exist.
    pub data_sources: Vec<u64>,
    /// The values that the pages are given.
    pub page: PageConfig,
    /// Origins beside the sandbox's own that the pages may speak to, by their Content-Security-Policy: those of a
    /// hospital that is none of the sandbox's.
    pub further_servers: Vec<String>,
}

/// The two versions of JHE that were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JheVersion {
    /// v0.0.11: each record is a `POST /FHIR/R5/Observation`, and a new row.
    Mychart,
    /// v0.0.13: whole Bundles go to `/fhir-import/R4/`, and a record that comes again replaces its row.
    PatientAccess,
}

/// The configuration that JHE's templates write into the pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageConfig {
    /// The EHR's FHIR base.
    pub iss: String,
    /// The EHR's client id for this app.
    pub client_id: String,
    /// The scopes to ask for. While these are [`SEED_SCOPES`] the later version's own pages are given
    /// [`PATIENT_ACCESS_SCOPES`].
    pub scope: String,
    /// JHE's id of the DataSource, a string.
    pub data_source_id: String,
    /// Which of JHE's clients the pages are, if they are to name one.
    pub deployment: Option<String>,
    /// Whether JHE's token is to be revoked at the end, if the pages are to say so.
    pub revoke_token: Option<bool>,
    /// How long a worker may take for one request, if the pages are to say so.
    pub worker_timeout_seconds: Option<u64>,
    /// What is to be imported, if the pages are to say so.
    pub plan: Option<Value>,
    /// The study that invites, as the pages tell of it: `name`, `organization`, `contact`, `logo`, `accent`.
    pub study: Option<Value>,
    /// Whether the pages are to ask the patient whether the chart is theirs. This and what follows is any
    /// JSON, so that a test can put there what a deployer gets wrong.
    pub confirm_patient: Option<Value>,
    /// Whether the patient is to see what was found before it is sent.
    pub review: Option<Value>,
    /// Whether the patient may leave some of it out.
    pub review_choice: Option<Value>,
    /// The language of the pages, if they are not to follow the browser's.
    pub language: Option<Value>,
}

impl PageConfig {
    /// The members that JHE's own templates lack and a deployer may add, those that are set.
    pub(crate) fn additions(&self) -> Vec<(&'static str, Value)> {
        let members = [
            ("deployment", self.deployment.clone().map(Value::from)),
            ("revokeToken", self.revoke_token.map(Value::from)),
            (
                "workerTimeoutSeconds",
                self.worker_timeout_seconds.map(Value::from),
            ),
            ("plan", self.plan.clone()),
            ("study", self.study.clone()),
            ("confirmPatient", self.confirm_patient.clone()),
            ("review", self.review.clone()),
            ("reviewChoice", self.review_choice.clone()),
            ("language", self.language.clone()),
        ];
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// What can be turned at the EHR.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EhrSettings {
    /// How long every request takes to reach the server, in milliseconds.
    pub latency_ms: u64,
    /// Records on one page of a search at the main hospital.
    pub page_size: usize,
    /// The same for any hospital whose habit is to change.
    pub page_sizes: BTreeMap<Vendor, usize>,
    /// What `Bundle.total` counts at a hospital whose habit is to change.
    pub totals: BTreeMap<Vendor, Total>,
    /// Types beside Observation whose searches are refused unless they name a category or a code.
    pub requires_category: Vec<String>,
    /// How long a `next` link can be followed.
    pub page_link_seconds: i64,
    /// How long an authorization code can be exchanged.
    pub code_seconds: i64,
    /// How long an access token lives (`expires_in`).
    pub token_seconds: i64,
    /// Who is given a refresh token.
    pub refresh_tokens: RefreshTokens,
    /// How long a refresh token lives, if the hospital says so (`refresh_token_expires_in`). It is not held to it.
    pub refresh_token_seconds: Option<i64>,
    /// Whether tokens can be revoked; `None` leaves it to the vendor's habit.
    pub revocation: Option<bool>,
    /// Hospitals that no app can work with.
    pub broken: BTreeMap<Vendor, Broken>,
    /// The registered apps.
    pub clients: Vec<EhrClient>,
    /// A query that the authorization endpoint has of its own (`tenant=7`). A request without it
    /// is refused.
    pub authorization_query: Option<String>,
    /// Answers every authorization request with a page of the hospital's own, which leads nowhere: what
    /// becomes at Epic of an app that it does not like.
    pub own_error_page: bool,
    /// Refuses every authorization request with this error, before the login.
    pub authorize_error: Option<AuthorizeError>,
    /// The `iss` parameter of the redirect back (RFC 9207), if any.
    pub response_iss: Option<String>,
    /// The granted scopes; `None` grants what was asked.
    pub granted_scopes: Option<String>,
    /// Leaves `patient` out of the token response.
    pub omit_patient: bool,
    /// An `id_token` to hand out when `openid` was granted. By default there is one only if `fhirUser` was
    /// granted, too, and it is signed.
    pub id_token: Option<String>,
    /// How it is signed.
    pub identity: IdentitySettings,
    /// Members to put into the token response; `null` takes one out.
    pub token_response: Map<String, Value>,
    /// Discovery's variants.
    pub discovery: Discovery,
    /// Where CORS works.
    pub cors: Cors,
    /// Where `next` links lead.
    pub next_link: NextLink,
    /// Whether good searches carry informational OperationOutcome entries (59204 on the first
    /// page, 4119 on the last).
    pub outcome_entries: bool,
}

/// How identity tokens are made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySettings {
    /// The algorithm.
    pub signing: Signing,
    /// What is wrong with them, if anything.
    pub fault: Option<IdentityFault>,
}

/// What `Bundle.total` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Total {
    /// The matches on the page.
    Page,
    /// All that the search found.
    Search,
    /// There is none.
    Absent,
    /// Nothing: it is five more than there are.
    Wrong,
}

/// Why no app can work with a hospital, as far as that can be known before the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// No smart-configuration, and nothing about the sign-in in the CapabilityStatement.
    NothingToDiscover,
    /// No browser of another origin may read either document.
    NoCorsAtDiscovery,
    /// None may read the CapabilityStatement.
    NoCorsAtMetadata,
    /// Its only PKCE method is `plain`.
    NoS256,
    /// Never answers to a question for either document.
    Silent,
    /// Both documents are web pages.
    Html,
    /// Both documents are a 500 page.
    ServerError,
    /// The token endpoint has no TLS.
    InsecureEndpoint,
}

/// Who is given a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefreshTokens {
    /// Nobody, as at Epic for an app without a secret.
    Off,
    /// Who was granted `offline_access` or `online_access`.
    On,
    /// Everybody.
    Always,
}

/// An app registered at the EHR.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EhrClient {
    /// Its id.
    pub client_id: String,
    /// Its name on the consent page.
    pub name: String,
    /// Where it may be redirected to, compared exactly.
    pub redirect_uris: Vec<String>,
}

/// An error that the authorization endpoint redirects with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeError {
    /// The code, such as `invalid_scope`.
    pub error: String,
    /// The text, if any.
    #[serde(default)]
    pub description: Option<String>,
}

/// What discovery answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// `.well-known/smart-configuration`.
    pub smart_configuration: Document,
    /// `metadata`.
    pub metadata: Document,
    /// Members of the smart-configuration to replace; `null` takes one out. So
    /// `{"code_challenge_methods_supported": null}` is a server that names no PKCE method.
    pub overrides: Map<String, Value>,
}

/// How one of the two discovery documents is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Document {
    /// As it should be.
    Served,
    /// A 404 page.
    NotFound,
    /// Some HTML page with status 200.
    Html,
    /// A 500 page.
    Error,
    /// A good document that tells nothing about the sign-in.
    WithoutEndpoints,
    /// There is no answer, for ten minutes.
    Hangs,
}

/// Whether browsers of other origins may read the answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Both discovery documents.
    pub discovery: bool,
    /// The CapabilityStatement, if discovery is.
    pub metadata: bool,
    /// The token endpoint.
    pub token: bool,
    /// The FHIR resources.
    pub fhir: bool,
    /// The key set. SMART does not ask for it.
    pub keys: bool,
}

/// Where the `next` link of a page leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NextLink {
    /// To the next page.
    NextPage,
    /// To the next page, as a relative reference.
    Relative,
    /// To the evil listener.
    OtherOrigin,
    /// To another FHIR base of the same origin.
    OtherPath,
    /// To the page that it is on.
    ItsOwnPage,
    /// To the right address, which answers with a redirect to the evil listener.
    Redirect,
    /// To this address.
    Address {
        /// The whole link.
        url: String,
    },
}

impl EhrSettings {
    /// What discovery answers at a hospital.
    pub(crate) fn discovery_of(&self, vendor: Vendor) -> Discovery {
        let mut discovery = self.discovery.clone();
        let mut both = |document| {
            discovery.smart_configuration = document;
            discovery.metadata = document;
        };
        match self.broken.get(&vendor) {
            Some(Broken::NothingToDiscover) => {
                discovery.smart_configuration = Document::NotFound;
                discovery.metadata = Document::WithoutEndpoints;
            }
            Some(Broken::Silent) => both(Document::Hangs),
            Some(Broken::Html) => both(Document::Html),
            Some(Broken::ServerError) => both(Document::Error),
            Some(Broken::NoS256) => {
                let methods = "code_challenge_methods_supported".to_owned();
                discovery.overrides.insert(methods, json!(["plain"]));
            }
            Some(Broken::InsecureEndpoint) => {
                // Not localhost, which browsers trust without TLS.
                let address = json!("http://hospital.example/token");
                discovery
                    .overrides
                    .insert("token_endpoint".to_owned(), address);
            }
            Some(Broken::NoCorsAtDiscovery | Broken::NoCorsAtMetadata) | None => {}
        }
        discovery
    }

    /// Where CORS works at a hospital.
    pub(crate) fn cors_of(&self, vendor: Option<Vendor>) -> Cors {
        let mut cors = self.cors;
        match vendor.and_then(|vendor| self.broken.get(&vendor)) {
            Some(Broken::NoCorsAtDiscovery) => cors.discovery = false,
            Some(Broken::NoCorsAtMetadata) => cors.metadata = false,
            _ => {}
        }
        cors
    }
}

impl Settings {
    pub(crate) fn defaults(origins: &Origins) -> Self {
        Self {
            clock_offset_seconds: 0,
            jhe: JheSettings {
                version: JheVersion::Mychart,
                workers: 2,
                time_per_record_ms: 0,
                first_import_ms: 0,
                latency_ms: 0,
                max_body_bytes: None,
                invitation_seconds: 7 * 86_400,
                redemption_seconds: 12 * 3_600,
                code_seconds: 60,
                token_seconds: 1_209_600,
                site_host: origins.jhe.trim_start_matches("http://").to_owned(),
                profile_names: false,
                data_sources: vec![70_005, 70_006],
                page: PageConfig {
                    iss: origins.iss(),
                    client_id: EHR_CLIENT_ID.to_owned(),
                    scope: SEED_SCOPES.to_owned(),
                    data_source_id: "70006".to_owned(),
                    deployment: None,
                    revoke_token: None,
                    worker_timeout_seconds: None,
                    plan: None,
                    study: Some(heart_study()),
                    confirm_patient: None,
                    review: None,
                    review_choice: None,
                    language: None,
                },
                further_servers: Vec::new(),
            },
            ehr: EhrSettings {
                latency_ms: 0,
                page_size: 10,
                page_sizes: BTreeMap::new(),
                totals: BTreeMap::new(),
                requires_category: Vec::new(),
                page_link_seconds: 600,
                code_seconds: 300,
                token_seconds: 3_600,
                refresh_tokens: RefreshTokens::Off,
                refresh_token_seconds: None,
                revocation: None,
                broken: BTreeMap::new(),
                clients: vec![EhrClient {
                    client_id: EHR_CLIENT_ID.to_owned(),
                    name: "JupyterHealth Exchange".to_owned(),
                    redirect_uris: vec![
                        format!("{}{}", origins.jhe, Layout::DropIn.callback_path()),
                        format!("{}{}", origins.jhe, Layout::PatientAccess.callback_path()),
                        format!("{}{}", origins.jhe, Layout::Plain.callback_path()),
                    ],
                }],
                authorization_query: None,
                own_error_page: false,
                authorize_error: None,
                response_iss: None,
                granted_scopes: None,
                omit_patient: false,
                id_token: None,
                identity: IdentitySettings {
                    signing: Signing::Rs256,
                    fault: None,
                },
                token_response: Map::new(),
                discovery: Discovery {
                    smart_configuration: Document::Served,
                    metadata: Document::Served,
                    overrides: Map::new(),
                },
                cors: Cors {
                    discovery: true,
                    metadata: true,
                    token: true,
                    fhir: true,
                    keys: true,
                },
                next_link: NextLink::NextPage,
                outcome_entries: true,
            },
        }
    }

    /// Changes the members that `patch` names, objects member by member, anything else as a whole.
    pub(crate) fn patch(&mut self, patch: &Value) -> Result<(), serde_json::Error> {
        let mut whole = serde_json::to_value(&*self)?;
        merge(&mut whole, patch);
        *self = serde_json::from_value(whole)?;
        Ok(())
    }
}

/// The study of the stand-in. Nobody has its address and number: they are reserved for examples.
fn heart_study() -> Value {
    json!({
        "name": "Heart Study",
        "organization": "Example University",
        "contact": {
            "name": "Heart Study team",
            "email": "study@jhe.example",
            "phone": "+1 510 555 0142",
        },
    })
}

/// Members whose keys are data, replaced as a whole.
const FREE_FORM: [&str; 6] = [
    "overrides",
    "token_response",
    "next_link",
    "plan",
    "totals",
    "broken",
];

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, change) in patch {
                match target.get_mut(name) {
                    Some(old) if !FREE_FORM.contains(&name.as_str()) => merge(old, change),
                    _ => {
                        target.insert(name.clone(), change.clone());
                    }
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::defaults(&Origins::invented())
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let mut settings = settings();
        settings
            .patch(&json!({"ehr": {"page_size": 3, "next_link": {"to": "other-origin"}}}))
            .expect("a good patch");
        assert_eq!(settings.ehr.page_size, 3);
        assert_eq!(settings.ehr.next_link, NextLink::OtherOrigin);
        assert_eq!(settings.ehr.code_seconds, 300);
    }

    #[test]
    fn a_part_of_the_study_can_be_changed_or_taken_out() {
        let mut settings = settings();
        let patch = json!({"jhe": {"page": {"study": {"name": "Sleep Study", "contact": null}}}});
        settings.patch(&patch).expect("a good patch");
        let study =
            json!({"name": "Sleep Study", "organization": "Example University", "contact": null});
        assert_eq!(settings.jhe.page.study, Some(study));

        let patch = json!({"jhe": {"page": {"study": null}}});
        settings.patch(&patch).expect("a good patch");
        assert_eq!(settings.jhe.page.study, None);
    }

    #[test]
    fn a_patch_with_an_unknown_name_is_refused_and_changes_nothing() {
        let mut settings = settings();
        assert!(
            settings
                .patch(&json!({"ehr": {"page_size": 3, "pagesize": 3}}))
                .is_err()
        );
        assert_eq!(settings.ehr.page_size, 10);
    }
}
