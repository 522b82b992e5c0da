//! Is it the right person? What speaks against it, before anything is written.
//!
//! A patient may be signed in as their child, or as whoever used the browser before. What is found here is no proof, and
//! ends nothing: it makes a question to the patient more urgent. The answer is theirs.

use alloc::vec::Vec;

use crate::exchange::profile::Profile;
use crate::fhir::person::{self, Person, PersonError};
use crate::fhir::search::PATIENT;
use crate::http::HttpRequest;
use crate::smart::context::{LaunchContext, PRACTICE, Right, grants};
use crate::text::without_last_slashes;

/// The request for the person whose record was opened.
///
/// # Errors
/// [`PersonError::NotGranted`] where the scope has no place for it; or as [`person::person_request`].
pub fn person_request(ehr: &LaunchContext) -> Result<HttpRequest, PersonError> {
    if !grants(&ehr.scope, PATIENT, Right::Read) {
        return Err(PersonError::NotGranted);
    }
    let practice = ehr.practice_reference();
    let parameter = practice.as_deref().map(|practice| (PRACTICE, practice));
    let base = ehr.issuer.base();
    person::person_request(base, &ehr.patient, parameter.as_slice(), &ehr.access_token)
}

/// What makes it doubtful that it is the participant's own record.
///
/// Names are not compared: of two spellings of one name nobody can tell that they are of two people, and an alarm that is
/// often false is not heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// At this hospital the participant was somebody else before.
    OtherPatientThanBefore,
    /// Whoever signed in did it for somebody else: a parent, a carer, or somebody of the hospital.
    ProxyAccess,
    /// The study knows another birth date.
    BirthDateDiffers,
}

/// What speaks against it, the gravest first. What is not known speaks neither for nor against.
pub fn concerns(
    person: Option<&Person>,
    ehr: &LaunchContext,
    profile: Option<&Profile>,
) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let mut add = |is_so: bool, concern| {
        if is_so {
            concerns.push(concern);
        }
    };
    add(
        profile.is_some_and(|profile| is_another_than_before(ehr, profile)),
        Concern::OtherPatientThanBefore,
    );
    // Of an identity token that was verified, or not known. Nothing is granted or denied by it.
    let user = ehr.fhir_user();
    add(
        user.is_some_and(|user| user.is_other_than(&ehr.patient)),
        Concern::ProxyAccess,
    );
    let there = person.and_then(|person| person.birth_date.as_ref());
    let here = profile.and_then(|profile| profile.birth_date.as_ref());
    add(
        there
            .zip(here)
            .is_some_and(|(there, here)| !there.may_be(here)),
        Concern::BirthDateDiffers,
    );
    concerns
}

/// Does JHE hold ids of this hospital, but not this one? A slash at the end makes another system to JHE, but no other
/// hospital.
fn is_another_than_before(ehr: &LaunchContext, profile: &Profile) -> bool {
    let system = without_last_slashes(ehr.issuer.as_str());
    let held = profile.identifiers.iter();
    let mut here = held.filter(|held| without_last_slashes(&held.system) == system);
    let mut is_any = false;
    let is_held = here.any(|held| {
        is_any = true;
        held.value == ehr.patient
    });
    is_any && !is_held
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::http::testing::json;
    use crate::oauth::token::TokenResponse;
    use crate::smart::discovery::Issuer;
    use crate::smart::identity::{ExpectedIdentity, Verdict};
    use crate::smart::launch::Launched;
    use crate::url::Url;

    fn signed_in(scope: &str, user: &str) -> LaunchContext {
        let page = Url::parse("https://jhe.example/").unwrap();
        let launched = Launched {
            issuer: Issuer::parse("https://ehr.example/R4", &page).unwrap(),
            scope: scope.into(),
            token_endpoint: Url::parse("https://ehr.example/token").unwrap(),
            revocation_endpoint: None,
            client_id: "client".into(),
            identity: ExpectedIdentity::default(),
        };
        let body =
            r#"{"access_token":"T","token_type":"Bearer","patient":"e1","ah_practice":"a-1"}"#;
        let response = TokenResponse::from_response(&json(200, body)).unwrap();
        let mut ehr = LaunchContext::new(launched, response, 0).unwrap();
        let verdict = Verdict::parse(&["verified ", user].concat(), &ehr.issuer);
        assert_eq!(ehr.identify(verdict), Ok(None));
        ehr
    }

    fn person(birth_date: &str) -> Person {
        let body = [
            r#"{"resourceType":"Patient","id":"e1","birthDate":""#,
            birth_date,
            r#""}"#,
        ]
        .concat();
        Person::from_answer(Ok(json(200, &body)), "e1").unwrap()
    }

    /// A profile with these identifiers and this birth date.
    fn profile(identifiers: &[(&str, &str)], birth_date: &str) -> Profile {
        let mut list = String::new();
        for (system, value) in identifiers {
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(&crate::json::object(&[
                ("system", system),
                ("value", value),
            ]));
        }
        let body = [
            r#"{"patient":{"identifiers":["#,
            &list,
            r#"],"birthDate":""#,
            birth_date,
            r#""}}"#,
        ]
        .concat();
        Profile::from_response(&json(200, &body)).unwrap()
    }

    fn of_identifiers(identifiers: &[(&str, &str)]) -> Vec<Concern> {
        let ehr = signed_in("patient/Patient.read", "Patient/e1");
        concerns(None, &ehr, Some(&profile(identifiers, "")))
    }

    #[test]
    fn whoever_comes_for_the_first_time_or_again_gives_no_concern() {
        for identifiers in [
            &[][..],
            &[("https://ehr.example/R4", "e1")],
            &[("urn:oid:1.2.3", "E9"), ("https://other.example/R4", "e9")],
            // Ids are added and never replaced: one of them is enough.
            &[
                ("https://ehr.example/R4", "e0"),
                ("https://ehr.example/R4", "e1"),
            ],
        ] {
            assert_eq!(of_identifiers(identifiers), []);
        }
    }

    #[test]
    fn another_patient_of_the_same_hospital_than_before_is_a_concern() {
        for system in ["https://ehr.example/R4", "https://ehr.example/R4/"] {
            assert_eq!(
                of_identifiers(&[("urn:oid:1.2.3", "e1"), (system, "e0")]),
                [Concern::OtherPatientThanBefore]
            );
        }
    }

    #[test]
    fn whoever_signs_in_for_somebody_else_is_a_concern() {
        for user in ["RelatedPerson/r1", "Practitioner/p1", "Patient/e2"] {
            let ehr = signed_in("", user);
            assert_eq!(concerns(None, &ehr, None), [Concern::ProxyAccess], "{user}");
        }
        assert_eq!(concerns(None, &signed_in("", ""), None), []);
    }

    #[test]
    fn birth_dates_are_compared_as_far_as_both_are_known() {
        let ehr = signed_in("", "Patient/e1");
        let of = |there, here| concerns(Some(&person(there)), &ehr, Some(&profile(&[], here)));
        assert_eq!(of("1987-09-12", "1987-09-12"), []);
        assert_eq!(of("1987", "1987-09-12"), []);
        assert_eq!(of("", "1987-09-12"), []);
        assert_eq!(of("1987-09-12", ""), []);
        assert_eq!(of("1987-09-12", "1987-09-13"), [Concern::BirthDateDiffers]);
        assert_eq!(of("2015", "1987-09-12"), [Concern::BirthDateDiffers]);
    }

    #[test]
    fn all_that_is_found_is_told_the_gravest_first() {
        let ehr = signed_in("", "RelatedPerson/r1");
        let profile = profile(&[("https://ehr.example/R4", "e0")], "1987-09-12");
        assert_eq!(
            concerns(Some(&person("2015-01-01")), &ehr, Some(&profile)),
            [
                Concern::OtherPatientThanBefore,
                Concern::ProxyAccess,
                Concern::BirthDateDiffers
            ]
        );
    }

    #[test]
    fn the_person_is_asked_for_with_the_practice_and_only_where_it_is_granted() {
        let request = person_request(&signed_in("patient/Patient.read", "")).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://ehr.example/R4/Patient/e1?ah-practice=Organization%2Fa-1"
        );
        let refused = person_request(&signed_in("patient/Observation.read", ""));
        assert_eq!(refused.unwrap_err(), PersonError::NotGranted);
    }
}
