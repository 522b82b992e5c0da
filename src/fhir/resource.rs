//! A record as text, plus the few fields that a rule looks at.
//!
//! Records pass through as text: decimals keep their zeros (`1.50`), and unknown fields survive.

use alloc::borrow::ToOwned;
use alloc::rc::Rc;
use alloc::string::String;
use core::fmt;
use core::ops::Range;

use crate::fhir::mark::{self, Day, Mark};
use crate::fhir::search::PATIENT;
use crate::json::{Json, Walk};
use crate::text::{find, without_last_slashes};
use crate::texts::{digest, joined};
use crate::url::Url;

/// One resource, as the EHR sent it: a part of the page that it came in.
///
/// `Debug` does not show it: it is a person's health data.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    page: Rc<String>,
    place: Range<usize>,
    id: Option<String>,
    /// Its type, if it is not the one that was searched.
    included: Option<String>,
}

impl Record {
    /// The JSON text, untouched.
    pub fn text(&self) -> &str {
        self.page.get(self.place.clone()).unwrap_or_default()
    }

    /// The same, to be looked at.
    pub(crate) fn json(&self) -> Json<'_> {
        Json::checked(self.text())
    }

    /// The EHR's id for it, if it has one. Only unique together with server and type.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What a record of a search for `resource_type` is recognised by within a run: its type and id, or all of it where
    /// it has none.
    pub(crate) fn key(&self, resource_type: &str) -> u128 {
        let resource_type = self.included.as_deref().unwrap_or(resource_type);
        let id = self.id().unwrap_or(self.text());
        joined(digest(resource_type.bytes()), digest(id.bytes()))
    }

    /// Is it of the type that was searched?
    pub(crate) fn is_match(&self) -> bool {
        self.included.is_none()
    }

    /// A record of any text.
    #[cfg(test)]
    pub(crate) fn for_test(text: &str) -> Self {
        let id = Json::parse(text.as_bytes()).and_then(|json| json.get("id"));
        Record {
            page: Rc::new(text.into()),
            place: 0..text.len(),
            id: id.and_then(id_text),
            included: None,
        }
    }

    /// The record without the page around it, for one that is kept for long.
    pub(crate) fn alone(self) -> Self {
        let text = self.text().to_owned();
        self.with_text(text)
    }

    /// The same record with more in it.
    pub(crate) fn with_text(self, text: String) -> Self {
        Record {
            place: 0..text.len(),
            page: Rc::new(text),
            ..self
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record(..)")
    }
}

/// Which records count: one type, about one patient, at one server.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The resource type.
    pub resource_type: String,
    /// The types of which resources count that a search includes.
    pub included: Rc<[String]>,
    /// The patient's id.
    pub patient: String,
    /// The server's FHIR base.
    pub base: Url,
}

/// Why an entry of a page is not a record to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Another type, such as an included resource.
    OtherType,
    /// Its subject is not the patient who signed in, or it names none.
    OtherSubject,
    /// No resource, or one whose key fields are repeated.
    Malformed,
}

/// The members of a resource that rules look at, and where it stands in its page.
pub(crate) struct Look<'a> {
    pub(crate) resource: Json<'a>,
    resource_type: Option<Json<'a>>,
    id: Option<Json<'a>>,
    subject: Option<Json<'a>>,
    patient: Option<Json<'a>>,
    code: Option<Json<'a>>,
    day: Option<Day>,
    is_repeated: bool,
    place: Range<usize>,
}

impl<'a> Look<'a> {
    /// Steps over the value ahead, and looks at it on the way.
    pub(crate) fn at(walk: &mut Walk<'a>, page: &'a str) -> Self {
        let start = walk.position();
        let (mut resource_type, mut id, mut subject, mut patient) = (None, None, None, None);
        let (mut code, mut day) = (None, None);
        let mut day_rank = u8::MAX;
        let mut is_repeated = false;
        if walk.enter(b'{') {
            while let Some(name) = walk.member() {
                let value = walk.value();
                let slot = match name {
                    "resourceType" => &mut resource_type,
                    "id" => &mut id,
                    "subject" => &mut subject,
                    "patient" => &mut patient,
                    "code" => {
                        code = Some(value);
                        continue;
                    }
                    // Most members are lists.
                    _ if value.is_list() => continue,
                    _ => {
                        if let Some(rank) = mark::rank(name).filter(|rank| *rank < day_rank)
                            && let Some(said) = mark::day(value)
                        {
                            (day, day_rank) = (Some(said), rank);
                        }
                        continue;
                    }
                };
                is_repeated |= slot.replace(value).is_some();
            }
        } else {
            walk.value();
        }
        let place = start..walk.position();
        Look {
            resource: Json::checked(page.get(place.clone()).unwrap_or_default()),
            resource_type,
            id,
            subject,
            patient,
            code,
            day,
            is_repeated,
            place,
        }
    }

    /// What a chart tells of it.
    pub(crate) fn mark(&self) -> Mark {
        let resource_type = self.resource_type.map(Json::text);
        let code = self
            .code
            .filter(|_| resource_type == Some("\"Observation\""));
        Mark {
            day: self.day,
            name: code.and_then(mark::name),
        }
    }

    /// Is it of this type?
    pub(crate) fn is(&self, resource_type: &str) -> bool {
        self.resource_type.and_then(Json::string).as_deref() == Some(resource_type)
    }
}

impl Selection {
    /// Judges a resource of `page`.
    ///
    /// # Errors
    /// [`LeftOut`], if it does not count.
    pub(crate) fn pick(&self, look: Look<'_>, page: &Rc<String>) -> Result<Record, LeftOut> {
        let resource_type = look.resource_type.and_then(Json::string);
        let Some(resource_type) = resource_type.filter(|_| !look.is_repeated) else {
            return Err(LeftOut::Malformed);
        };
        let id = look.id.and_then(id_text);
        // JHE does not look at the subject: what is about somebody else would be stored as this patient's. The types name
        // the patient in one of two members.
        let is_about = match (look.subject.or(look.patient), resource_type.as_str()) {
            (_, PATIENT) => id.as_ref() == Some(&self.patient),
            (Some(about), _) => about
                .get_string("reference")
                .is_some_and(|reference| self.is_patient(&reference)),
            // A medicine or an organization is about nobody.
            (None, other) => other != self.resource_type,
        };
        let is_match = resource_type == self.resource_type;
        match is_about {
            _ if !is_match && !self.included.contains(&resource_type) => Err(LeftOut::OtherType),
            false => Err(LeftOut::OtherSubject),
            true => Ok(Record {
                page: Rc::clone(page),
                place: look.place,
                id,
                included: (!is_match).then_some(resource_type),
            }),
        }
    }

    /// Does a reference, relative or absolute, with or without version, lead to the patient?
    fn is_patient(&self, reference: &str) -> bool {
        let reference = match find(reference, "/_history/") {
            Some(end) => reference.get(..end).unwrap_or_default(),
            None => reference,
        };
        let relative = ["Patient/", &self.patient].concat();
        reference == relative
            || reference.strip_suffix(&relative).is_some_and(|base| {
                let base = base.strip_suffix('/').map(Url::parse);
                matches!(base, Some(Ok(base)) if same_base(&base, &self.base))
            })
    }
}

fn same_base(a: &Url, b: &Url) -> bool {
    without_last_slashes(a.as_str()) == without_last_slashes(b.as_str())
}

/// An id is a string; a bare number, which some servers send, is taken at its digits.
fn id_text(id: Json<'_>) -> Option<String> {
    let is_number = id.text().starts_with(|c: char| c.is_ascii_digit());
    let text = match is_number {
        true => Some(id.text().to_owned()),
        false => id.string(),
    };
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(text: &str) -> Result<Record, LeftOut> {
        pick_of("Observation", text)
    }

    fn pick_of(resource_type: &str, text: &str) -> Result<Record, LeftOut> {
        let selection = Selection {
            resource_type: resource_type.into(),
            included: ["Medication", "Goal"].map(String::from).into(),
            patient: "e1".into(),
            base: Url::parse("https://ehr.example/R4/").unwrap(),
        };
        let page = Rc::new(String::from(text));
        selection.pick(Look::at(&mut Walk::over(&page), &page), &page)
    }

    fn about(reference: &str) -> Result<Record, LeftOut> {
        pick(
            &[
                r#"{"resourceType":"Observation","id":"x","subject":{"reference":""#,
                reference,
                r#""}}"#,
            ]
            .concat(),
        )
    }

    #[test]
    fn a_record_about_the_patient_counts_and_keeps_its_text() {
        let text = r#"{ "resourceType" : "Observation", "id":"l1",
            "subject":{"reference":"Patient/e1"}, "valueQuantity":{"value":1.50} }"#;
        let record = pick(text).unwrap();
        assert_eq!(record.text(), text);
        assert_eq!(record.id(), Some("l1"));
        assert_eq!(alloc::format!("{record:?}"), "Record(..)");
    }

    #[test]
    fn the_subject_may_be_absolute_or_versioned() {
        assert!(about("https://ehr.example/R4/Patient/e1").is_ok());
        assert!(about("Patient/e1/_history/3").is_ok());
    }

    #[test]
    fn a_record_about_somebody_else_is_left_out() {
        for reference in [
            "Patient/e2",
            "Patient/e11",
            "Group/e1",
            "#e1",
            "https://other.example/R4/Patient/e1",
            "https://ehr.example/R4/xPatient/e1",
            "",
        ] {
            assert_eq!(about(reference), Err(LeftOut::OtherSubject), "{reference}");
        }
        assert_eq!(
            pick(r#"{"resourceType":"Observation"}"#),
            Err(LeftOut::OtherSubject)
        );
        assert_eq!(
            pick(r#"{"resourceType":"Observation","subject":null}"#),
            Err(LeftOut::OtherSubject)
        );
    }

    #[test]
    fn other_types_and_non_resources_are_left_out() {
        assert_eq!(
            pick(r#"{"resourceType":"Patient"}"#),
            Err(LeftOut::OtherType)
        );
        for text in ["{}", "[]", "null", r#"{"resourceType":7}"#] {
            assert_eq!(pick(text), Err(LeftOut::Malformed), "{text}");
        }
    }

    #[test]
    fn some_types_name_the_patient_in_another_member() {
        let of = |patient| {
            let text = [
                r#"{"resourceType":"Immunization","id":"i","patient":{"reference":"Patient/"#,
                patient,
                r#""}}"#,
            ]
            .concat();
            pick_of("Immunization", &text)
        };
        assert!(of("e1").is_ok());
        assert_eq!(of("e2"), Err(LeftOut::OtherSubject));
    }

    #[test]
    fn the_patient_is_known_by_id() {
        let of = |id| {
            pick_of(
                "Patient",
                &[r#"{"resourceType":"Patient","id":""#, id, r#""}"#].concat(),
            )
        };
        assert!(of("e1").is_ok());
        assert_eq!(of("e2"), Err(LeftOut::OtherSubject));
    }

    #[test]
    fn an_included_resource_counts_if_its_type_is_named_and_it_is_about_nobody_else() {
        let medication = pick(r#"{"resourceType":"Medication","id":"x"}"#).unwrap();
        assert!(!medication.is_match());
        let observation =
            pick(r#"{"resourceType":"Observation","id":"x","subject":{"reference":"Patient/e1"}}"#);
        assert_ne!(
            medication.key("Observation"),
            observation.unwrap().key("Observation")
        );
        let goal = |patient| {
            pick(
                &[
                    r#"{"resourceType":"Goal","subject":{"reference":"Patient/"#,
                    patient,
                    r#""}}"#,
                ]
                .concat(),
            )
        };
        assert!(goal("e1").is_ok());
        assert_eq!(goal("e2"), Err(LeftOut::OtherSubject));
        assert_eq!(
            pick(r#"{"resourceType":"Organization","id":"x"}"#),
            Err(LeftOut::OtherType)
        );
    }

    #[test]
    fn a_repeated_subject_is_malformed() {
        let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient/e1"},
            "subject":{"reference":"Patient/e2"}}"#;
        assert_eq!(pick(text), Err(LeftOut::Malformed));
    }

    #[test]
    fn a_numeric_id_is_read_as_text_and_an_empty_one_as_none() {
        let with_id = |id: &str| {
            let text = [
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/e1"},"id":"#,
                id,
                "}",
            ]
            .concat();
            pick(&text).unwrap().id
        };
        assert_eq!(with_id("7").as_deref(), Some("7"));
        assert_eq!(with_id("\"\""), None);
        assert_eq!(with_id("null"), None);
        assert_eq!(with_id(r#""\u00e9""#).as_deref(), Some("é"));
    }
}
