//! The FhirSource under which the records are filed: found again, or registered.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::{Deployment, SourceForm};
use crate::exchange::jhe::JheSession;
use crate::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use crate::json::{Json, object};
use crate::text::{contains, number};
use crate::url::Url;

const PATH: &str = "api/v1/fhir_sources";
/// Stands between a label and what tells one hospital from another, as JHE's own page writes it.
const DASH: &str = " — ";
/// JHE lists 1000 sources a page; a patient has a handful.
const LIST_PAGES: u32 = 20;
/// A patient has a handful for a hospital, or one for each visit of JHE's old page. Each row is compared with all of them.
const SOURCES: usize = 1_000;
/// Nobody is a patient of more hospitals than these, and nobody looks through more.
const HOSPITALS: usize = 100;

/// The number of a FhirSource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(u64);

impl SourceId {
    /// Reads a source's number.
    pub(crate) fn read(number: Json<'_>) -> Option<Self> {
        number.whole_number().map(SourceId)
    }

    /// As it stands in the `X-JHE-FHIR-Source-ID` header.
    pub fn header_value(self) -> String {
        number(self.0)
    }
}

/// What identifies a source: it is found again by hospital and data source, byte for byte.
#[derive(Debug, Clone)]
pub struct SourceDescription {
    label: String,
    fhir_base_url: String,
    data_source: String,
    form: SourceForm,
}

impl SourceDescription {
    /// The source for the hospital whose FHIR base URL is `fhir_base_url`, verbatim. `data_source` is the id that the
    /// server put into the page configuration.
    pub fn new(deployment: &Deployment, fhir_base_url: &str, data_source: &str) -> Self {
        let label = deployment.source_label;
        SourceDescription {
            label: match deployment.source_form {
                SourceForm::FhirBaseUrl => label.into(),
                SourceForm::Label => [label, DASH, fhir_base_url].concat(),
            },
            fhir_base_url: fhir_base_url.into(),
            data_source: data_source.into(),
            form: deployment.source_form,
        }
    }

    /// The same with the hospital's name in the label, for who reads a list of sources. Only where the label is for nothing
    /// else: where it says which hospital it is, a source would not be found again.
    #[must_use]
    pub fn of_hospital(mut self, name: Option<&str>) -> Self {
        if let (SourceForm::FhirBaseUrl, Some(name)) = (self.form, name) {
            self.label = [&self.label, DASH, name].concat();
        }
        self
    }

    /// The member that says which hospital it is, as JHE names it in an answer, and its value.
    fn place(&self) -> (&'static str, &String) {
        match self.form {
            SourceForm::FhirBaseUrl => ("fhirBaseUrl", &self.fhir_base_url),
            SourceForm::Label => ("label", &self.label),
        }
    }
}

/// The request that registers a source. This JHE makes a new one every time.
pub fn register_request(jhe: &JheSession, description: &SourceDescription) -> HttpRequest {
    let mut members = alloc::vec![
        ("label", description.label.as_str()),
        ("data_source", &description.data_source),
    ];
    if description.form == SourceForm::FhirBaseUrl {
        members.push(("fhir_base_url", &description.fhir_base_url));
    }
    jhe.post(PATH, object(&members))
}

/// Reads the answer to [`register_request`].
///
/// # Errors
/// [`SourceError`].
pub fn registered(response: &HttpResponse) -> Result<SourceId, SourceError> {
    let source = response.json().filter(|_| response.is_success());
    source
        .and_then(source_id)
        .ok_or_else(|| SourceError::from_refusal(response))
}

fn source_id(source: Json<'_>) -> Option<SourceId> {
    source.get("id").and_then(SourceId::read)
}

/// Finds the patient's source for an EHR, or registers one.
///
/// Of several that fit, the one with the lowest id is taken: the old page registered a new one on every visit.
#[derive(Debug)]
pub struct SourceRegistration<'a> {
    jhe: &'a JheSession,
    description: SourceDescription,
    lowest: Option<SourceId>,
    same_place: Vec<SourceId>,
    pages_left: u32,
    step: Step,
}

#[derive(Debug)]
enum Step {
    List(String),
    AwaitList,
    Register,
    AwaitRegistered,
    End(Result<Source, SourceError>),
}

/// The source of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// All sources of the same hospital that were there before, this one among them unless it is new. Its records may be
    /// filed under any of them.
    pub earlier: Vec<SourceId>,
}

impl Source {
    /// Was it registered just now?
    pub fn is_new(&self) -> bool {
        !self.earlier.contains(&self.id)
    }
}

impl<'a> SourceRegistration<'a> {
    /// Registration of the described source.
    pub fn new(jhe: &'a JheSession, description: SourceDescription) -> Self {
        SourceRegistration {
            jhe,
            description,
            lowest: None,
            same_place: Vec::new(),
            pages_left: LIST_PAGES,
            step: Step::List(PATH.to_owned()),
        }
    }

    /// The result.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn finish(self) -> Result<Source, SourceError> {
        match self.step {
            Step::End(result) => result,
            _ => Err(SourceError::Transport(TransportError::Unreachable)),
        }
    }

    fn after_list(&mut self, response: &HttpResponse) -> Step {
        let list = response.json().filter(|_| response.is_success());
        let Some((list, sources)) = list.and_then(|list| Some((list, list.get("results")?))) else {
            return Step::End(Err(SourceError::from_refusal(response)));
        };
        let (name, value) = self.description.place();
        for source in sources.elements() {
            if source.get_string(name).as_ref() != Some(value) {
                continue;
            }
            let Some(id) = source_id(source) else {
                continue;
            };
            if self.same_place.len() < SOURCES {
                self.same_place.push(id);
            }
            if self.fits(source) && self.lowest.is_none_or(|lowest| id < lowest) {
                self.lowest = Some(id);
            }
        }
        self.pages_left = self.pages_left.saturating_sub(1);
        match (list.get_string("next").and_then(next_path), self.lowest) {
            (Some(path), _) if self.pages_left > 0 => Step::List(path),
            (_, Some(id)) => Step::End(Ok(self.source(id))),
            (_, None) => Step::Register,
        }
    }

    fn fits(&self, source: Json<'_>) -> bool {
        source.get("dataSource").map(Json::text) == Some(&self.description.data_source)
    }

    fn source(&mut self, id: SourceId) -> Source {
        Source {
            id,
            earlier: core::mem::take(&mut self.same_place),
        }
    }
}

/// JHE's own `next` link may carry another scheme or host behind a proxy: only its query counts.
fn next_path(link: String) -> Option<String> {
    let url = Url::parse(&link).ok()?;
    Some([PATH, url.query()].concat())
}

impl Conversation for SourceRegistration<'_> {
    fn next_request(&mut self) -> Option<HttpRequest> {
        match &self.step {
            Step::List(path) => {
                let request = self.jhe.get(path);
                self.step = Step::AwaitList;
                Some(request)
            }
            Step::Register => {
                self.step = Step::AwaitRegistered;
                Some(register_request(self.jhe, &self.description))
            }
            _ => None,
        }
    }

    fn receive(&mut self, answer: Answer) {
        self.step = match (answer, &self.step) {
            (Err(error), _) => Step::End(Err(SourceError::Transport(error))),
            (Ok(answer), Step::AwaitRegistered) => {
                Step::End(registered(&answer).map(|id| self.source(id)))
            }
            (Ok(answer), _) => self.after_list(&answer),
        };
    }
}

/// A hospital of which the patient has shared records before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHospital {
    /// Its FHIR base URL, verbatim.
    pub fhir_base_url: String,
    /// What the patient picked it as, where its source says so.
    pub name: Option<String>,
}

/// Asks JHE for the hospitals of which the patient has a source. It never fails: what can't be read is not known.
#[derive(Debug)]
pub struct KnownHospitals<'a> {
    jhe: &'a JheSession,
    deployment: &'a Deployment,
    data_source: &'a str,
    found: Vec<KnownHospital>,
    next: Option<String>,
    pages_left: u32,
}

impl<'a> KnownHospitals<'a> {
    /// Those with sources of the DataSource with this id.
    pub fn new(jhe: &'a JheSession, deployment: &'a Deployment, data_source: &'a str) -> Self {
        KnownHospitals {
            jhe,
            deployment,
            data_source,
            found: Vec::new(),
            next: Some(PATH.to_owned()),
            pages_left: LIST_PAGES,
        }
    }

    /// Each hospital once, the one that was registered last at the beginning.
    pub fn finish(self) -> Vec<KnownHospital> {
        self.found
    }

    fn read(&self, source: Json<'_>) -> Option<KnownHospital> {
        let is_ours = source.get("dataSource").map(Json::text) == Some(self.data_source);
        let label = source.get_string("label").unwrap_or_default();
        let rest = label.strip_prefix(self.deployment.source_label);
        let rest = rest
            .and_then(|rest| rest.strip_prefix(DASH))
            .map(String::from);
        let (fhir_base_url, name) = match self.deployment.source_form {
            SourceForm::FhirBaseUrl => (source.get_string("fhirBaseUrl")?, rest),
            SourceForm::Label => (rest?, None),
        };
        let is_address = Url::parse(&fhir_base_url).is_ok();
        (is_ours && is_address).then_some(KnownHospital {
            fhir_base_url,
            name,
        })
    }
}

impl Conversation for KnownHospitals<'_> {
    fn next_request(&mut self) -> Option<HttpRequest> {
        self.pages_left = self.pages_left.checked_sub(1)?;
        self.next.take().map(|path| self.jhe.get(&path))
    }

    fn receive(&mut self, answer: Answer) {
        let Some(answer) = answer.ok().filter(HttpResponse::is_success) else {
            return;
        };
        let Some(list) = answer.json() else {
            return;
        };
        for source in list.list("results") {
            let Some(hospital) = self.read(source) else {
                continue;
            };
            let is_full = self.found.len() >= HOSPITALS;
            let mut found = self.found.iter_mut();
            match found.find(|it| it.fhir_base_url == hospital.fhir_base_url) {
                Some(known) => known.name = known.name.take().or(hospital.name),
                None if is_full => {}
                None => self.found.push(hospital),
            }
        }
        self.next = list.get_string("next").and_then(next_path);
    }
}

/// Why there is no source to file the records under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// JHE misses the data source in the request: it is not configured there.
    DataSourceMissing(String),
    /// JHE does not know the configured data source.
    DataSourceUnknown(String),
    /// The JHE token is not a patient's.
    NotAPatient(String),
    /// 401.
    SessionExpired,
    /// Another answer; status and start of the body.
    Refused(String),
    /// No readable answer.
    Transport(TransportError),
}

impl SourceError {
    fn from_refusal(response: &HttpResponse) -> Self {
        let said = response.describe();
        match response.status {
            401 => SourceError::SessionExpired,
            403 => SourceError::NotAPatient(said),
            400 if contains(&said, "required") || contains(&said, "may not be null") => {
                SourceError::DataSourceMissing(said)
            }
            400 if contains(&said, "dataSource") => SourceError::DataSourceUnknown(said),
            _ => SourceError::Refused(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::exchange::deployment::{EHR_PATIENT_PORTAL, MYCHART};
    use crate::exchange::jhe::testing::jhe;
    use crate::http::testing::json;

    fn register(answers: &[(u16, &str)]) -> (Vec<String>, Result<Source, SourceError>) {
        register_at(&MYCHART, answers)
    }

    fn register_at(
        deployment: &Deployment,
        answers: &[(u16, &str)],
    ) -> (Vec<String>, Result<Source, SourceError>) {
        let jhe = jhe();
        let description = SourceDescription::new(deployment, "https://ehr.example/R4", "70006");
        let mut registration = SourceRegistration::new(&jhe, description);
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        while let Some(request) = registration.next_request() {
            let body = request.body.as_deref().unwrap_or("");
            asked.push([request.url.as_str(), body].concat());
            let (status, body) = answers.next().unwrap();
            registration.receive(Ok(json(*status, body)));
        }
        (asked, registration.finish())
    }

    fn list(sources: &[(u64, u64, &str)]) -> String {
        let results: Vec<_> = sources
            .iter()
            .map(|(id, data_source, base)| {
                serde_json::json!({"id": id, "dataSource": data_source, "fhirBaseUrl": base, "label": "x"})
            })
            .collect();
        serde_json::json!({"count": 1, "next": null, "results": results}).to_string()
    }

    #[test]
    fn the_lowest_source_with_the_same_base_and_data_source_is_taken() {
        let sources = list(&[
            (90_009, 70_006, "https://ehr.example/R4"),
            (90_004, 70_006, "https://ehr.example/R4"),
            (90_001, 70_005, "https://ehr.example/R4"),
            (90_002, 70_006, "https://ehr.example/R4/"),
        ]);
        let (asked, source) = register(&[(200, &sources)]);
        assert_eq!(asked, ["https://jhe.example/api/v1/fhir_sources"]);
        let source = source.unwrap();
        assert_eq!(source.id.header_value(), "90004");
        assert!(!source.is_new());
        let earlier = [90_009, 90_004, 90_001].map(SourceId);
        assert_eq!(source.earlier, earlier);
    }

    #[test]
    fn a_source_is_registered_where_none_fits() {
        let (asked, source) = register(&[
            (200, &list(&[])),
            (
                201,
                r#"{"id":90010,"patient":40001,"dataSource":70006,"label":"Epic / MyChart","fhirBaseUrl":"https://ehr.example/R4"}"#,
            ),
        ]);
        assert_eq!(
            asked[1],
            "https://jhe.example/api/v1/fhir_sources{\"label\":\"Epic / MyChart\",\"data_source\":\"70006\",\"fhir_base_url\":\"https://ehr.example/R4\"}"
        );
        assert!(source.unwrap().is_new());
    }

    #[test]
    fn where_sources_have_no_base_url_the_label_says_which_hospital_it_is() {
        let (asked, source) = register_at(
            &EHR_PATIENT_PORTAL,
            &[(200, &list(&[])), (201, r#"{"id":7}"#)],
        );
        assert_eq!(
            asked[1],
            "https://jhe.example/api/v1/fhir_sources{\"label\":\"Epic / EHR Patient Portal — https://ehr.example/R4\",\"data_source\":\"70006\"}"
        );
        assert!(source.unwrap().is_new());
    }

    #[test]
    fn a_source_is_found_again_by_its_label_and_data_source() {
        let label = "Epic / EHR Patient Portal — https://ehr.example/R4";
        let sources = [
            (9, 70_006, label),
            (8, 70_006, label),
            (2, 70_005, label),
            (3, 70_006, "Epic / EHR Patient Portal — https://ehr.example/R4/"),
            (1, 70_006, "Epic / EHR Patient Portal"),
        ]
        .map(|(id, data_source, label)| {
            serde_json::json!({"id": id, "dataSource": data_source, "label": label, "ehrBrandLocation": null})
        });
        let list = serde_json::json!({"count": 5, "next": null, "results": sources});
        let (asked, source) = register_at(&EHR_PATIENT_PORTAL, &[(200, &list.to_string())]);
        assert_eq!(asked.len(), 1);
        let source = source.unwrap();
        assert_eq!(source.id, SourceId(8));
        assert_eq!(source.earlier, [9, 8, 2].map(SourceId));
    }

    #[test]
    fn a_hospitals_name_is_in_the_label_only_where_the_label_identifies_nothing() {
        let of = |deployment| {
            let description = SourceDescription::new(deployment, "https://ehr.example/R4", "7");
            description.of_hospital(Some("Harbor Light"))
        };
        let named = of(&MYCHART);
        assert_eq!(named.label, "Epic / MyChart — Harbor Light");
        assert_eq!(named.place().1, "https://ehr.example/R4");
        let plain = "Epic / EHR Patient Portal — https://ehr.example/R4";
        assert_eq!(of(&EHR_PATIENT_PORTAL).label, plain);
    }

    fn known(deployment: &Deployment, answers: &[(u16, &str)]) -> Vec<KnownHospital> {
        let jhe = jhe();
        let mut known = KnownHospitals::new(&jhe, deployment, "70006");
        let mut answers = answers.iter();
        while let Some(_request) = known.next_request() {
            let (status, body) = answers.next().unwrap();
            known.receive(Ok(json(*status, body)));
        }
        known.finish()
    }

    fn hospital(base: &str, name: Option<&str>) -> KnownHospital {
        KnownHospital {
            fhir_base_url: base.into(),
            name: name.map(String::from),
        }
    }

    #[test]
    fn hospitals_are_known_by_their_sources_each_once_with_its_base_as_it_is() {
        let source = |data_source: u64, base: &str, label: &str| serde_json::json!({"id": 1, "dataSource": data_source, "fhirBaseUrl": base, "label": label});
        let sources = [
            source(70_006, "https://ehr.example/R4/", "Epic / MyChart"),
            source(70_005, "https://other.example/R4", "Epic / MyChart"),
            source(70_006, "https://ehr.example/R4", "mine"),
            source(
                70_006,
                "https://ehr.example/R4/",
                "Epic / MyChart — Harbor — Light",
            ),
            source(70_006, "", "Epic / MyChart"),
            source(70_006, "javascript:alert(1)", "Epic / MyChart"),
        ];
        let list = serde_json::json!({"next": null, "results": sources}).to_string();
        assert_eq!(
            known(&MYCHART, &[(200, &list)]),
            [
                hospital("https://ehr.example/R4/", Some("Harbor — Light")),
                hospital("https://ehr.example/R4", None)
            ]
        );
    }

    #[test]
    fn where_sources_have_no_base_hospitals_are_known_by_their_labels() {
        let source =
            |label: &str| serde_json::json!({"id": 1, "dataSource": 70_006, "label": label});
        let sources = [
            source("Epic / EHR Patient Portal — https://ehr.example/R4"),
            source("Epic / EHR Patient Portal"),
            source("mine — https://ehr.example/R5"),
        ];
        let list = serde_json::json!({"next": null, "results": sources}).to_string();
        let expected = [hospital("https://ehr.example/R4", None)];
        assert_eq!(known(&EHR_PATIENT_PORTAL, &[(200, &list)]), expected);
    }

    #[test]
    fn a_list_of_sources_that_fails_is_no_failure() {
        assert_eq!(known(&MYCHART, &[(500, "{}")]), []);
        assert_eq!(known(&MYCHART, &[(401, "{}")]), []);
        assert_eq!(known(&MYCHART, &[(200, "[")]), []);
        let first = list(&[(2, 70_006, "https://ehr.example/R4")]).replace(
            "null",
            r#""http://proxy.internal/api/v1/fhir_sources?page=2""#,
        );
        let expected = [hospital("https://ehr.example/R4", None)];
        assert_eq!(known(&MYCHART, &[(200, &first), (503, "{}")]), expected);
        let endless: Vec<_> = (0..LIST_PAGES).map(|_| (200, first.as_str())).collect();
        assert_eq!(known(&MYCHART, &endless), expected);
    }

    #[test]
    fn further_pages_of_the_list_are_asked_at_jhe_itself() {
        let first = list(&[(2, 70_006, "https://ehr.example/R4")]).replace(
            "null",
            r#""http://proxy.internal/api/v1/fhir_sources?page=2""#,
        );
        let second = list(&[(1, 70_006, "https://ehr.example/R4")]);
        let (asked, source) = register(&[(200, &first), (200, &second)]);
        assert_eq!(asked[1], "https://jhe.example/api/v1/fhir_sources?page=2");
        assert_eq!(source.unwrap().id, SourceId(1));
    }

    #[test]
    fn every_documented_refusal_is_told_apart() {
        let refusal = |status, body| {
            register(&[(200, &list(&[])), (status, body)])
                .1
                .unwrap_err()
        };
        for missing in [
            r#"{"dataSource":["This field is required."]}"#,
            r#"{"dataSource":["This field may not be null."]}"#,
        ] {
            assert!(matches!(
                refusal(400, missing),
                SourceError::DataSourceMissing(_)
            ));
        }
        for unknown in [
            r#"{"dataSource":["Invalid pk \"999999\" - object does not exist."]}"#,
            r#"{"dataSource":["Incorrect type. Expected pk value, received str."]}"#,
        ] {
            assert!(matches!(
                refusal(400, unknown),
                SourceError::DataSourceUnknown(_)
            ));
        }
        assert!(matches!(
            refusal(
                403,
                r#"{"detail":"Only patient users can register a FhirSource."}"#
            ),
            SourceError::NotAPatient(_)
        ));
        assert_eq!(refusal(401, "{}"), SourceError::SessionExpired);
        assert!(matches!(refusal(500, ""), SourceError::Refused(_)));
        assert_eq!(
            register(&[(401, "{}")]).1.unwrap_err(),
            SourceError::SessionExpired
        );
    }
}
