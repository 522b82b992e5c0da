//! Who signed in at the EHR: a patient, or somebody for them.

use alloc::string::String;
use core::fmt;

use crate::json::Json;
use crate::smart::discovery::Issuer;
use crate::text::{find, split_last, without_last_slashes};
use crate::url::Url;

/// The resource that stands for whoever signed in: SMART's claim
/// [`fhirUser`](https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data).
///
/// `Debug` does not show it: it is about a person.
#[derive(Clone, PartialEq, Eq)]
pub struct FhirUser {
    resource_type: &'static str,
    id: String,
}

/// The patient.
const PATIENT: &str = "Patient";
/// Those who may stand there. SMART: the claim is the URL of one of these.
const TYPES: [&str; 5] = [
    PATIENT,
    "RelatedPerson",
    "Practitioner",
    "PractitionerRole",
    "Person",
];

impl FhirUser {
    /// Reads the claim among those of an identity token that was verified, or is to be: see
    /// [`identity`](crate::smart::identity), which lets nobody have it before.
    pub(crate) fn from_claims(claims: Json<'_>, issuer: &Issuer) -> Option<Self> {
        let user = |claim| Self::from_reference(&claims.get_string(claim)?, issuer.base());
        // SMART 1 had it in `profile`, which to others is the address of a web page.
        user("fhirUser").or_else(|| user("profile"))
    }

    /// Reads a reference, relative or absolute, with or without version. A patient of another server than `base` is nobody
    /// that is known here: ids are unique only with their server.
    pub(crate) fn from_reference(reference: &str, base: &Url) -> Option<Self> {
        let version = find(reference, "/_history/");
        let reference = version.map_or(Some(reference), |end| reference.get(..end))?;
        let (before, id) = split_last(reference, b'/')?;
        let (server, resource_type) = split_last(before, b'/').unwrap_or(("", before));
        let resource_type = TYPES.into_iter().find(|known| *known == resource_type)?;
        let bare = without_last_slashes;
        let is_here = server.is_empty() || bare(server) == bare(base.as_str());
        let is_known = !id.is_empty() && (is_here || resource_type != PATIENT);
        is_known.then(|| FhirUser {
            resource_type,
            id: id.into(),
        })
    }

    /// As a relative reference: the form in which it is stored.
    pub(crate) fn reference(&self) -> String {
        [self.resource_type, "/", &self.id].concat()
    }

    /// Is it somebody else than this patient? A `Person` may be anyone: that is not known.
    pub fn is_other_than(&self, patient: &str) -> bool {
        match self.resource_type {
            PATIENT => self.id != patient,
            "Person" => false,
            _ => true,
        }
    }
}

impl fmt::Debug for FhirUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FhirUser(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        let page = Url::parse("https://jhe.example/").unwrap();
        Issuer::parse("https://ehr.example/R4/", &page).unwrap()
    }

    fn claimed(claims: &str) -> Option<String> {
        let claims = Json::parse(claims.as_bytes()).unwrap();
        let user = FhirUser::from_claims(claims, &issuer());
        user.map(|user| user.reference())
    }

    fn read(reference: &str) -> Option<FhirUser> {
        FhirUser::from_reference(reference, issuer().base())
    }

    #[test]
    fn the_claim_may_be_absolute_or_relative() {
        for claim in [
            "Patient/e1",
            "https://ehr.example/R4/Patient/e1",
            "https://ehr.example/R4//Patient/e1/_history/2",
        ] {
            let claims = [r#"{"sub":"x","fhirUser":""#, claim, r#"","exp":1}"#].concat();
            assert_eq!(claimed(&claims).as_deref(), Some("Patient/e1"), "{claim}");
        }
    }

    #[test]
    fn smart_1_has_it_in_the_profile() {
        let claims = r#"{"profile":"RelatedPerson/r1"}"#;
        assert_eq!(claimed(claims).as_deref(), Some("RelatedPerson/r1"));
        let claims = r#"{"profile":"https://social.example/people/e1","fhirUser":7}"#;
        assert_eq!(claimed(claims), None);
        assert_eq!(claimed("[]"), None);
    }

    #[test]
    fn whoever_is_not_the_patient_is_somebody_else() {
        let is_other = |reference| read(reference).unwrap().is_other_than("e1");
        assert!(!is_other("Patient/e1"));
        assert!(is_other("Patient/e2"));
        assert!(is_other("RelatedPerson/e1"));
        assert!(is_other("https://other.example/Practitioner/e1"));
        assert!(!is_other("Person/p"));
    }

    #[test]
    fn a_patient_of_another_server_and_another_type_are_not_known() {
        for reference in [
            "https://ehr.example/DSTU2/Patient/T1",
            "https://ehr.example.evil/R4/Patient/e1",
            "Organization/o",
            "Patient/",
            "Patient",
            "e1",
            "",
        ] {
            assert_eq!(read(reference), None, "{reference}");
        }
    }

    #[test]
    fn debug_does_not_show_who_it_is() {
        let user = read("Patient/e1").unwrap();
        assert_eq!(alloc::format!("{user:?}"), "FhirUser(..)");
    }
}
