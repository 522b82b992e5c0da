//! Who the participant is at JHE: what is compared before anything is written, and who asks for the records.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{IdentifierError, PatientIdentifier};
use crate::fhir::date::Date;
use crate::http::{HttpRequest, HttpResponse};
use crate::json::Json;

/// The request for the signed-in patient's profile.
pub fn profile_request(jhe: &JheSession) -> HttpRequest {
    jhe.get("api/v1/users/profile")
}

/// The signed-in patient, as far as JHE says.
pub struct Profile {
    /// The patient's ids elsewhere, those at hospitals among them.
    pub identifiers: Vec<PatientIdentifier>,
    /// The name. No JHE that was seen at work says it, earlier ones did.
    pub name: Option<String>,
    /// The birth date, as the name.
    pub birth_date: Option<Date>,
}

impl Profile {
    /// Reads the answer to [`profile_request`]. Only a patient has to be there; everything about one may be missing.
    ///
    /// # Errors
    /// [`IdentifierError`].
    pub fn from_response(response: &HttpResponse) -> Result<Self, IdentifierError> {
        let profile = read(response)?;
        let patient = profile.get("patient").ok_or(IdentifierError::NotAPatient)?;
        let birth_date = patient.get_string("birthDate");
        let mut identifiers = Vec::new();
        for known in patient.list("identifiers") {
            identifiers.extend(identifier(known));
        }
        Ok(Profile {
            identifiers,
            name: full_name(patient),
            birth_date: birth_date.and_then(|date| Date::parse(&date)),
        })
    }
}

/// With whom the records are shared, out of the answer to [`profile_request`]. `None` if it is several: which of them sent
/// the invitation is not said.
///
/// It is all that the connect page wants to know, whose module has nothing of [`Profile`] therefore.
pub fn organization(response: &HttpResponse) -> Option<String> {
    let profile = read(response).ok()?;
    let mut only: Option<String> = None;
    for organization in profile.get("patient")?.list("organizations") {
        let name = organization.get_string("name");
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        match &only {
            Some(other) if *other != name => return None,
            _ => only = Some(name),
        }
    }
    only
}

fn read(response: &HttpResponse) -> Result<Json<'_>, IdentifierError> {
    if response.status == 401 {
        return Err(IdentifierError::SessionExpired);
    }
    let profile = response.json().filter(|profile| profile.is_object());
    let profile = profile.filter(|_| response.is_success());
    profile.ok_or_else(|| IdentifierError::Refused(response.describe()))
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

fn identifier(identifier: Json<'_>) -> Option<PatientIdentifier> {
    Some(PatientIdentifier {
        system: identifier.get_string("system")?,
        value: identifier.get_string("value")?,
    })
}

fn full_name(patient: Json<'_>) -> Option<String> {
    let mut name = patient.get_string("nameGiven").unwrap_or_default();
    let family = patient.get_string("nameFamily").unwrap_or_default();
    if !name.is_empty() && !family.is_empty() {
        name.push(' ');
    }
    name.push_str(&family);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::jhe::testing::jhe;
    use crate::http::testing::{answer, header, json};

    /// As both JHE v0.0.11 and v0.0.13 answered.
    const RECORDED: &str = r#"{"id":10006,"patient":{"id":40001,"jheUserId":10006,"identifiers":[
        {"id":2,"system":"urn:oid:1.2.3.4","value":"E1234"},
        {"id":3,"system":"https://ehr.example/R4","value":"e1"}],
        "organizations":[{"id":20003,"name":"Lifespan Lab","type":"laboratory","partOf":20002,
        "currentUserRole":null,"children":[]}]},"userType":"patient","isSuperuser":false}"#;

    fn profile(body: &str) -> Profile {
        Profile::from_response(&json(200, body)).unwrap()
    }

    fn organization_in(body: &str) -> Option<String> {
        organization(&json(200, body))
    }

    #[test]
    fn the_profile_is_asked_for_with_jhes_token() {
        let request = profile_request(&jhe());
        assert_eq!(
            request.url.as_str(),
            "https://jhe.example/api/v1/users/profile"
        );
        assert_eq!(header(&request, "Authorization"), Some("Bearer J"));
    }

    #[test]
    fn a_recorded_profile_has_identifiers_and_the_organization_but_no_person() {
        let profile = profile(RECORDED);
        assert_eq!(profile.identifiers.len(), 2);
        assert_eq!(profile.identifiers[1].system, "https://ehr.example/R4");
        assert_eq!(profile.identifiers[1].value, "e1");
        assert_eq!(organization_in(RECORDED).as_deref(), Some("Lifespan Lab"));
        assert_eq!((profile.name, profile.birth_date), (None, None));
    }

    #[test]
    fn name_and_birth_date_are_taken_from_a_jhe_that_says_them() {
        let body = RECORDED.replace(
            r#""jheUserId""#,
            r#""nameGiven":"Camila","nameFamily":"Lopez","birthDate":"1987-09-12","jheUserId""#,
        );
        let profile = profile(&body);
        assert_eq!(profile.name.as_deref(), Some("Camila Lopez"));
        assert_eq!(profile.birth_date, Date::parse("1987-09-12"));
        assert_eq!(alloc::format!("{profile:?}"), "Profile(..)");
    }

    #[test]
    fn half_a_name_is_a_name() {
        let body = RECORDED.replace(
            r#""jheUserId""#,
            r#""nameGiven":"","nameFamily":"Lopez","x""#,
        );
        assert_eq!(profile(&body).name.as_deref(), Some("Lopez"));
    }

    #[test]
    fn which_of_several_organizations_it_is_is_not_guessed() {
        let body = RECORDED.replace(
            r#""organizations":["#,
            r#""organizations":[{"name":"Canal Side"},{"name":"Lifespan Lab"},{"name":null},"#,
        );
        assert_eq!(organization_in(&body), None);
    }

    #[test]
    fn an_organization_that_is_named_twice_is_one() {
        let body = RECORDED.replace(
            r#""organizations":["#,
            r#""organizations":[{"name":"Lifespan Lab"},{"name":""},"#,
        );
        assert_eq!(organization_in(&body).as_deref(), Some("Lifespan Lab"));
    }

    #[test]
    fn a_profile_may_lack_everything_but_the_patient() {
        const BARE: &str = r#"{"patient":{"identifiers":[{"system":"s"},7],"birthDate":"?"}}"#;
        let bare = profile(BARE);
        assert!(bare.identifiers.is_empty());
        assert_eq!(bare.birth_date, None);
        assert_eq!(organization_in(BARE), None);
        let refused = |response| Profile::from_response(&response).unwrap_err();
        assert_eq!(
            refused(json(200, r#"{"patient":null}"#)),
            IdentifierError::NotAPatient
        );
        assert_eq!(refused(json(401, "{}")), IdentifierError::SessionExpired);
        assert!(matches!(
            refused(answer(200, "text/html", "<html>")),
            IdentifierError::Refused(_)
        ));
    }
}
