//! Searches at the EHR, [FHIR R4 search](https://hl7.org/fhir/R4/search.html): GET, so that nothing but the query
//! decides about the result.

use crate::http::HttpRequest;
use crate::oauth::token::AccessToken;
use crate::text::percent_encode;
use crate::url::{Url, UrlError};

/// What is asked of a type beside the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search<'a> {
    /// The resource type.
    pub resource_type: &'a str,
    /// Further parameters.
    pub parameters: &'a [(&'a str, &'a str)],
}

/// The type that is read and not searched: Epic refuses to search it by patient.
pub(crate) const PATIENT: &str = "Patient";

impl Search<'_> {
    /// The URL of the first page, or of the patient's own resource. The patient's id is encoded: one that holds `&` or
    /// `/` can't widen the search.
    ///
    /// # Errors
    /// [`UrlError`], if the base makes no URL.
    pub fn first_page(&self, base: &Url, patient: &str) -> Result<Url, UrlError> {
        if self.resource_type == PATIENT {
            let encoded = percent_encode(patient);
            let resource = base.below(&[PATIENT, "/", &encoded].concat())?;
            // An id like `..` leads to something else, encoded or not.
            if !resource.path().ends_with(&encoded) {
                return Err(UrlError::Elsewhere);
            }
            return match self.parameters {
                [] => Ok(resource),
                pairs => Url::parse(&resource.with_parameters(pairs)),
            };
        }
        let mut pairs = alloc::vec![("patient", patient)];
        pairs.extend_from_slice(self.parameters);
        let url = base.below(self.resource_type)?.with_parameters(&pairs);
        // The token goes along: a type such as `..` is none.
        base.confine(&url, base)
    }
}

/// The request for a page. The URL must have been confined to the base that the token was issued for.
///
/// No header field beyond `Accept` and `Authorization`: Epic's CORS list is short. Without `Accept` Epic sends XML.
pub fn page_request(page: Url, token: &AccessToken) -> HttpRequest {
    token.authorize(HttpRequest::get(page, "application/fhir+json").with_records())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::header;

    const LABS: Search<'_> = Search {
        resource_type: "Observation",
        parameters: &[("category", "laboratory")],
    };

    #[test]
    fn the_first_page_names_patient_and_category() {
        let base = Url::parse("https://ehr.example/R4/").unwrap();
        let url = LABS.first_page(&base, "e1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://ehr.example/R4/Observation?patient=e1&category=laboratory"
        );
        let url = LABS.first_page(&base, "p1?x=1&patient=OTHER").unwrap();
        assert_eq!(
            url.query(),
            "?patient=p1%3Fx%3D1%26patient%3DOTHER&category=laboratory"
        );
    }

    #[test]
    fn a_type_that_leads_out_of_the_base_is_not_searched() {
        let base = Url::parse("https://ehr.example/R4").unwrap();
        for resource_type in ["..", "../R5/Observation", "..\\x", "%2e%2e/x"] {
            let search = Search {
                resource_type,
                parameters: &[],
            };
            assert_eq!(search.first_page(&base, "e1"), Err(UrlError::Elsewhere));
        }
    }

    #[test]
    fn the_patient_is_read_by_id() {
        let base = Url::parse("https://ehr.example/R4").unwrap();
        let read = |id| {
            let search = Search {
                resource_type: PATIENT,
                parameters: &[],
            };
            search.first_page(&base, id)
        };
        assert_eq!(
            read("e1").unwrap().as_str(),
            "https://ehr.example/R4/Patient/e1"
        );
        // Neither another type nor another patient.
        for (id, path) in [
            (
                "e1/../../Observation",
                "/R4/Patient/e1%2F..%2F..%2FObservation",
            ),
            ("e1?_id=e2", "/R4/Patient/e1%3F_id%3De2"),
        ] {
            let url = read(id).unwrap();
            assert_eq!((url.path(), url.query()), (path, ""));
        }
        assert!(read("..").is_err() && read(".").is_err());
    }

    #[test]
    fn a_page_is_asked_for_with_two_header_fields_only() {
        let page = Url::parse("https://ehr.example/R4/Observation?sessionID=17-A").unwrap();
        let request = page_request(page, &AccessToken::new("T".into()));
        assert_eq!(request.headers.len(), 2);
        assert_eq!(header(&request, "Accept"), Some("application/fhir+json"));
        assert_eq!(header(&request, "Authorization"), Some("Bearer T"));
    }
}
