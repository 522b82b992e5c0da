//! Whose record it is, in words that the patient recognises: name and birth date of the EHR's
//! [Patient](https://hl7.org/fhir/R4/patient.html).
//!
//! They are for a question on the page. They are neither stored nor sent anywhere.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use crate::fhir::date::Date;
use crate::fhir::search::{PATIENT, Search};
use crate::http::{Answer, HttpRequest, TransportError};
use crate::json::Json;
use crate::oauth::token::AccessToken;
use crate::url::Url;

/// The person that a Patient resource is about, as far as it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The name, as it is to be read.
    pub name: Option<String>,
    /// The birth date.
    pub birth_date: Option<Date>,
}

/// The request for the patient's own resource, as a protocol step: the patient waits for it. `parameters` are those that
/// the EHR wants in every query.
///
/// # Errors
/// [`PersonError::NoAddress`] for an id that would lead to another resource.
pub fn person_request(
    base: &Url,
    patient: &str,
    parameters: &[(&str, &str)],
    token: &AccessToken,
) -> Result<HttpRequest, PersonError> {
    let read = Search {
        resource_type: PATIENT,
        parameters,
    };
    let address = read.first_page(base, patient);
    let address = address.map_err(|_| PersonError::NoAddress)?;
    // No header field beyond these two: Epic's CORS list is short. Without `Accept` it sends XML.
    Ok(token.authorize(HttpRequest::get(address, "application/fhir+json")))
}

impl Person {
    /// Reads the answer to [`person_request`] for this patient.
    ///
    /// # Errors
    /// [`PersonError`]. None of them ends the page: it goes on without a name.
    pub fn from_answer(answer: Answer, patient: &str) -> Result<Self, PersonError> {
        let response = answer.map_err(PersonError::Transport)?;
        match response.status {
            401 => return Err(PersonError::SignedOut),
            403 => return Err(PersonError::NotGranted),
            _ if !response.is_success() => return Err(PersonError::Refused(response.describe())),
            _ => {}
        }
        let resource = response.json().ok_or(PersonError::NotAPatient)?;
        if resource.get_string("resourceType").as_deref() != Some(PATIENT) {
            return Err(PersonError::NotAPatient);
        }
        if resource.get("id").map(Json::unquoted) != Some(patient) {
            return Err(PersonError::OtherPatient);
        }
        let birth_date = resource.get_string("birthDate");
        Ok(Person {
            name: name(resource),
            birth_date: birth_date.and_then(|date| Date::parse(&date)),
        })
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(..)")
    }
}

/// The name that the person goes by at present: the official one, else the usual one, else the first.
fn name(patient: Json<'_>) -> Option<String> {
    let mut best: Option<((bool, u8), String)> = None;
    for name in patient.list("name") {
        let used_as = name.get_string("use").unwrap_or_default();
        let rank = match used_as.as_str() {
            "official" => 0,
            "usual" => 1,
            // None by which a patient would recognise their own record for sure.
            "old" | "maiden" | "nickname" | "anonymous" => continue,
            _ => 2,
        };
        let period = name.get("period");
        let has_end = period.is_some_and(|period| period.get("end").is_some());
        // A name that ends, or has ended, is taken only where there is no other. Of equals the first one.
        let rank = (has_end, rank);
        if best.as_ref().is_none_or(|(best, _)| rank < *best)
            && let Some(name) = full_name(name)
        {
            best = Some((rank, name));
        }
    }
    best.map(|(_, name)| name.chars().take(NAME).collect())
}

/// Names are cut at so many characters: beyond that it is no name.
const NAME: usize = 200;

/// HumanName: the text as a whole, or else its parts.
fn full_name(name: Json<'_>) -> Option<String> {
    let text = name.get_string("text").unwrap_or_default();
    let text = text.trim_ascii();
    if !text.is_empty() {
        return Some(text.to_owned());
    }
    let mut full = String::new();
    let mut add = |part: Json<'_>| {
        let part = part.string().unwrap_or_default();
        if !full.is_empty() && !part.is_empty() {
            full.push(' ');
        }
        full.push_str(&part);
    };
    name.list("given").for_each(&mut add);
    if let Some(family) = name.get("family") {
        add(family);
    }
    name.list("suffix").for_each(&mut add);
    (!full.is_empty()).then_some(full)
}

/// Why the EHR does not say who it is. The page goes on without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonError {
    /// The patient's resource is in no granted scope, or the EHR answered 403.
    NotGranted,
    /// 401: the token is over.
    SignedOut,
    /// Another answer; status and start of the body.
    Refused(String),
    /// A success without a Patient.
    NotAPatient,
    /// A Patient, but another one than was asked for.
    OtherPatient,
    /// The id makes no address.
    NoAddress,
    /// No readable answer.
    Transport(TransportError),
}

impl PersonError {
    /// What happened, in one line for the study team.
    pub fn detail(&self) -> String {
        match self {
            PersonError::NotGranted => "Patient is not granted",
            PersonError::SignedOut => "the EHR answered 401: its token is over",
            PersonError::Refused(said) => said,
            PersonError::NotAPatient => "expected a Patient, found something else",
            PersonError::OtherPatient => "expected the patient who signed in, found another one",
            PersonError::NoAddress => "no address can be made of the patient's id",
            PersonError::Transport(error) => error.detail(),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{answer, header, json};

    fn person(members: &str) -> Person {
        let body = [
            r#"{"resourceType":"Patient","id":"e1","identifier":[{"value":"MRN"}],"#,
            members,
            "}",
        ]
        .concat();
        Person::from_answer(Ok(json(200, &body)), "e1").unwrap()
    }

    fn name_of(names: &str) -> Option<String> {
        person(&[r#""name":["#, names, "]"].concat()).name
    }

    #[test]
    fn the_patient_is_read_by_id_with_the_token() {
        let base = Url::parse("https://ehr.example/R4/").unwrap();
        let token = AccessToken::new("T".into());
        let request = person_request(&base, "e1", &[("ah-practice", "x")], &token).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://ehr.example/R4/Patient/e1?ah-practice=x"
        );
        assert_eq!(header(&request, "Authorization"), Some("Bearer T"));
        assert_eq!(header(&request, "Accept"), Some("application/fhir+json"));
        assert_eq!(request.headers.len(), 2);
        assert_eq!(
            person_request(&base, "..", &[], &token).unwrap_err(),
            PersonError::NoAddress
        );
    }

    #[test]
    fn epics_patient_is_known_by_the_official_name() {
        let person = person(
            r#""name":[{"use":"usual","text":"Cami Lopez"},{"use":"official","text":"Camila Maria Lopez",
            "family":"Lopez","given":["Camila","Maria"]}],"birthDate":"1987-09-12""#,
        );
        assert_eq!(person.name.as_deref(), Some("Camila Maria Lopez"));
        assert_eq!(person.birth_date, Date::parse("1987-09-12"));
        assert_eq!(alloc::format!("{person:?}"), "Person(..)");
    }

    #[test]
    fn without_an_official_name_it_is_the_usual_one_and_then_the_first_present_one() {
        let names = r#"{"use":"nickname","text":"A"},{"use":"temp","text":"B"},{"use":"usual","text":"C"},{"text":"D"}"#;
        assert_eq!(name_of(names).as_deref(), Some("C"));
        let names = names.replace("usual", "old");
        assert_eq!(name_of(&names).as_deref(), Some("B"));
        assert_eq!(name_of(r#"{"use":"maiden","text":"A"}"#), None);
        assert_eq!(name_of(""), None);
    }

    #[test]
    fn a_name_that_has_ended_is_only_taken_where_there_is_no_other() {
        let ended = r#"{"use":"official","text":"Miller","period":{"end":"2019-05-01"}}"#;
        let names = [ended, r#",{"use":"usual","text":"Lopez"}"#].concat();
        assert_eq!(name_of(&names).as_deref(), Some("Lopez"));
        assert_eq!(name_of(ended).as_deref(), Some("Miller"));
    }

    #[test]
    fn a_name_without_text_is_put_together() {
        let name = r#"{"given":["Camila",null,"Maria"],"family":"Lopez","prefix":["Dr."],"suffix":["Jr."]}"#;
        assert_eq!(name_of(name).as_deref(), Some("Camila Maria Lopez Jr."));
        let name = r#"{"text":" ","family":"Lopez"},{"text":"later"}"#;
        assert_eq!(name_of(name).as_deref(), Some("Lopez"));
        assert_eq!(name_of("{},[],7"), None);
    }

    #[test]
    fn a_birth_date_that_is_none_is_left_out() {
        assert_eq!(
            person(r#""birthDate":"1987""#).birth_date,
            Date::parse("1987")
        );
        assert_eq!(person(r#""birthDate":"12.9.1987""#).birth_date, None);
        assert_eq!(person(r#""birthDate":null"#).birth_date, None);
    }

    #[test]
    fn what_stands_in_the_way_is_told_apart() {
        let refused = |status, body| Person::from_answer(Ok(json(status, body)), "e1").unwrap_err();
        assert_eq!(refused(403, ""), PersonError::NotGranted);
        assert_eq!(refused(401, "\"\""), PersonError::SignedOut);
        assert_eq!(refused(404, ""), PersonError::Refused("HTTP 404".into()));
        assert_eq!(
            refused(200, r#"{"resourceType":"Patient","id":"e2"}"#),
            PersonError::OtherPatient
        );
        assert_eq!(
            refused(200, r#"{"resourceType":"OperationOutcome"}"#),
            PersonError::NotAPatient
        );
        let page = Person::from_answer(Ok(answer(200, "text/html", "<html>")), "e1");
        assert_eq!(page.unwrap_err(), PersonError::NotAPatient);
        let offline = Person::from_answer(Err(TransportError::Offline), "e1").unwrap_err();
        assert_eq!(offline.detail(), "the device is offline");
    }
}
