//! Who the patient is at the hospital, told to JHE, and whether JHE agrees.

use alloc::string::String;

use crate::exchange::deployment::Deployment;
use crate::exchange::jhe::JheSession;
use crate::exchange::profile::{Profile, profile_request};
use crate::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use crate::json::object;
use crate::text::contains;

/// The patient's id at the EHR, as JHE stores it. Both parts are compared as exact strings there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientIdentifier {
    /// The EHR's FHIR base URL, verbatim.
    pub system: String,
    /// The patient's id at that EHR.
    pub value: String,
}

/// The request that attaches an identifier to the signed-in patient; repeating it changes nothing.
pub fn identifier_request(
    jhe: &JheSession,
    deployment: &Deployment,
    identifier: &PatientIdentifier,
) -> HttpRequest {
    let body = object(&[("system", &identifier.system), ("value", &identifier.value)]);
    jhe.post(deployment.identifier_path, body)
}

/// Judges the answer to [`identifier_request`].
///
/// # Errors
/// [`IdentifierError`].
pub fn identifier_stored(response: &HttpResponse) -> Result<(), IdentifierError> {
    match response.status {
        _ if response.is_success() => Ok(()),
        401 => Err(IdentifierError::SessionExpired),
        409 => Err(IdentifierError::Conflict),
        400 if contains(&response.excerpt(), "not a patient") => Err(IdentifierError::NotAPatient),
        _ => Err(IdentifierError::Refused(response.describe())),
    }
}

/// Does the profile hold the identifier?
///
/// JHE's MyChart version answers 200 to [`identifier_request`] also when the pair belongs to another patient, and then
/// attaches nothing: only the profile tells.
///
/// # Errors
/// [`IdentifierError::Conflict`] if it does not.
pub fn identifier_owned(
    response: &HttpResponse,
    identifier: &PatientIdentifier,
) -> Result<(), IdentifierError> {
    let profile = Profile::from_response(response)?;
    match profile.identifiers.contains(identifier) {
        true => Ok(()),
        false => Err(IdentifierError::Conflict),
    }
}

/// Tells JHE the identifier and then asks whether it is this patient's.
#[derive(Debug)]
pub struct Identification<'a> {
    jhe: &'a JheSession,
    deployment: &'a Deployment,
    identifier: PatientIdentifier,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Store,
    AwaitStored,
    AskProfile,
    AwaitProfile,
    End(Result<(), IdentifierError>),
}

impl<'a> Identification<'a> {
    /// Identification of the signed-in patient.
    pub fn new(
        jhe: &'a JheSession,
        deployment: &'a Deployment,
        identifier: PatientIdentifier,
    ) -> Self {
        Identification {
            jhe,
            deployment,
            identifier,
            step: Step::Store,
        }
    }

    /// The result.
    ///
    /// # Errors
    /// [`IdentifierError`]; then no record may be written.
    pub fn finish(self) -> Result<(), IdentifierError> {
        match self.step {
            Step::End(result) => result,
            _ => Err(IdentifierError::Transport(TransportError::Unreachable)),
        }
    }
}

impl Conversation for Identification<'_> {
    fn next_request(&mut self) -> Option<HttpRequest> {
        match self.step {
            Step::Store => {
                self.step = Step::AwaitStored;
                let request = identifier_request(self.jhe, self.deployment, &self.identifier);
                Some(request)
            }
            Step::AskProfile => {
                self.step = Step::AwaitProfile;
                Some(profile_request(self.jhe))
            }
            _ => None,
        }
    }

    fn receive(&mut self, answer: Answer) {
        let answer = answer.map_err(IdentifierError::Transport);
        self.step = match self.step {
            Step::AwaitProfile => {
                Step::End(answer.and_then(|answer| identifier_owned(&answer, &self.identifier)))
            }
            _ => match answer.and_then(|answer| identifier_stored(&answer)) {
                Ok(()) => Step::AskProfile,
                Err(error) => Step::End(Err(error)),
            },
        };
    }
}

/// Why the patient could not be identified to JHE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentifierError {
    /// The identifier belongs to another patient.
    Conflict,
    /// The JHE token is not a patient's.
    NotAPatient,
    /// 401.
    SessionExpired,
    /// Another answer; status and start of the body.
    Refused(String),
    /// No readable answer.
    Transport(TransportError),
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::exchange::deployment::MYCHART;
    use crate::exchange::jhe::testing::jhe;
    use crate::http::testing::{answer, json};

    const PROFILE: &str = r#"{"id":1,"patient":{"id":40001,"identifiers":[
        {"id":1,"system":"https://ehr.example/R4","value":"e1"}]},"userType":"patient"}"#;

    fn identify(answers: &[(u16, &str)]) -> (Vec<String>, Result<(), IdentifierError>) {
        let jhe = jhe();
        let identifier = PatientIdentifier {
            system: "https://ehr.example/R4".into(),
            value: "e1".into(),
        };
        let mut identification = Identification::new(&jhe, &MYCHART, identifier);
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        while let Some(request) = identification.next_request() {
            asked.push([request.url.path(), request.body.as_deref().unwrap_or("")].concat());
            let (status, body) = answers.next().unwrap();
            identification.receive(Ok(json(*status, body)));
        }
        (asked, identification.finish())
    }

    #[test]
    fn the_identifier_is_stored_and_then_found_in_the_profile() {
        let (asked, result) = identify(&[(200, "{}"), (200, PROFILE)]);
        assert_eq!(result, Ok(()));
        assert_eq!(
            asked,
            [
                r#"/api/v1/mychart/identifier{"system":"https://ehr.example/R4","value":"e1"}"#,
                "/api/v1/users/profile"
            ]
        );
    }

    #[test]
    fn an_identifier_that_the_profile_lacks_belongs_to_another_patient() {
        for other in [
            PROFILE.replace("e1", "e2"),
            PROFILE.replace("/R4", "/R4/"),
            PROFILE.replace(
                r#"{"id":1,"system":"https://ehr.example/R4","value":"e1"}"#,
                "",
            ),
        ] {
            let (_, result) = identify(&[(200, "{}"), (200, &other)]);
            assert_eq!(result, Err(IdentifierError::Conflict));
        }
    }

    #[test]
    fn every_documented_status_is_told_apart() {
        let first = |status, body| identify(&[(status, body)]).1.unwrap_err();
        assert_eq!(first(401, "{}"), IdentifierError::SessionExpired);
        assert_eq!(first(409, "{}"), IdentifierError::Conflict);
        assert_eq!(
            first(400, r#"{"error":"Authenticated user is not a patient"}"#),
            IdentifierError::NotAPatient
        );
        assert_eq!(
            first(400, r#"{"error":"system and value are required"}"#),
            IdentifierError::Refused(
                r#"HTTP 400: {"error":"system and value are required"}"#.into()
            )
        );
        let second = |status, body| identify(&[(200, "{}"), (status, body)]).1.unwrap_err();
        assert_eq!(second(401, "{}"), IdentifierError::SessionExpired);
        assert_eq!(
            second(200, r#"{"patient":null}"#),
            IdentifierError::NotAPatient
        );
        assert!(matches!(second(500, ""), IdentifierError::Refused(_)));
    }

    #[test]
    fn a_page_in_place_of_the_profile_is_no_agreement() {
        let identifier = PatientIdentifier {
            system: "s".into(),
            value: "v".into(),
        };
        let page = answer(200, "text/html", "<html>");
        assert!(matches!(
            identifier_owned(&page, &identifier),
            Err(IdentifierError::Refused(_))
        ));
    }
}
