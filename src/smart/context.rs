//! The launch context that the token response carries: patient, granted scopes, deadline.

use alloc::string::String;
use core::fmt;

use crate::oauth::token::{AccessToken, TokenResponse};
use crate::smart::discovery::Issuer;
use crate::smart::launch::Launched;
use crate::text::contains;

/// What the patient's sign-in gave.
pub struct LaunchContext {
    /// The EHR that it holds for.
    pub issuer: Issuer,
    /// The token for that EHR's FHIR base, and for nothing else.
    pub access_token: AccessToken,
    /// The patient's id at the EHR.
    pub patient: String,
    /// The granted scope; what was asked for where the server did not say (RFC 6749 §5.1).
    pub scope: String,
    /// When the token ends, in milliseconds since the Unix epoch. A server that does not say is taken to grant five
    /// minutes.
    pub expires_at: u64,
    /// OpenID Connect's identity token, not verified: not to be used as identity.
    pub id_token: Option<String>,
}

const UNKNOWN_LIFETIME_S: u64 = 300;

impl LaunchContext {
    /// Reads the context out of the token response.
    ///
    /// # Errors
    /// [`ContextError::NoPatient`]: the patient is never guessed from other claims.
    pub fn new(
        launched: Launched,
        response: TokenResponse,
        now: u64,
    ) -> Result<Self, ContextError> {
        let patient = response.patient.ok_or(ContextError::NoPatient)?;
        let lifetime_s = response.expires_in.unwrap_or(UNKNOWN_LIFETIME_S);
        Ok(LaunchContext {
            issuer: launched.issuer,
            access_token: response.access_token,
            patient,
            scope: response.scope.unwrap_or(launched.scope),
            expires_at: now.saturating_add(lifetime_s.saturating_mul(1000)),
            id_token: response.id_token,
        })
    }

    /// Checks that a type may be searched.
    ///
    /// # Errors
    /// [`ContextError::NotGranted`].
    pub fn require_search(&self, resource_type: &str) -> Result<(), ContextError> {
        match grants_search(&self.scope, resource_type) {
            true => Ok(()),
            false => Err(ContextError::NotGranted(self.scope.clone())),
        }
    }
}

impl fmt::Debug for LaunchContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaunchContext(..)")
    }
}

/// Does a granted scope allow to search `resource_type`?
///
/// Servers answer in either syntax whatever was asked, in any order and case, and Epic's samples leave the `patient/`
/// away. SMART v1 `read` and `*` and Epic's `search` allow it, as does v2's letter `s`.
pub fn grants_search(scope: &str, resource_type: &str) -> bool {
    scope.split_whitespace().any(|item| {
        let item = item.split('?').next().unwrap_or("");
        let item = item.rsplit_once('/').map_or(item, |(_, rest)| rest);
        let Some((granted_type, permissions)) = item.split_once('.') else {
            return false;
        };
        let may_search = matches!(
            permissions.to_ascii_lowercase().as_str(),
            "read" | "search" | "*"
        ) || is_v2_search(permissions);
        may_search && (granted_type == "*" || granted_type.eq_ignore_ascii_case(resource_type))
    })
}

fn is_v2_search(permissions: &str) -> bool {
    contains(permissions, "s") && permissions.bytes().all(|letter| b"cruds".contains(&letter))
}

/// What is wrong with a launch context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextError {
    /// The token response names no patient: `launch/patient` was not asked for or not granted.
    NoPatient,
    /// The needed type is not among the granted scopes; these.
    NotGranted(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;
    use crate::url::Url;

    fn context(body: &str) -> Result<LaunchContext, ContextError> {
        let page = Url::parse("https://jhe.example/").unwrap();
        let launched = Launched {
            issuer: Issuer::parse("https://ehr.example/R4", &page).unwrap(),
            scope: "launch/patient patient/Observation.read".into(),
        };
        let response = TokenResponse::from_response(&json(200, body)).unwrap();
        LaunchContext::new(launched, response, 1_000)
    }

    #[test]
    fn a_missing_patient_is_not_guessed() {
        for patient in [
            "",
            r#","patient":null"#,
            r#","patient":"""#,
            r#","patient":7"#,
        ] {
            let body = [
                r#"{"access_token":"T","token_type":"Bearer","sub":"p""#,
                patient,
                "}",
            ]
            .concat();
            assert_eq!(context(&body).unwrap_err(), ContextError::NoPatient);
        }
    }

    #[test]
    fn the_deadline_is_counted_from_now_and_short_where_unknown() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","expires_in":10}"#;
        assert_eq!(context(body).unwrap().expires_at, 11_000);
        let body = body.replace(r#","expires_in":10"#, "");
        assert_eq!(context(&body).unwrap().expires_at, 301_000);
        let body = body.replace("\"p\"", r#""p","expires_in":18446744073709551615"#);
        assert_eq!(context(&body).unwrap().expires_at, u64::MAX);
    }

    #[test]
    fn a_scope_that_is_left_out_is_the_one_that_was_asked() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p"}"#;
        assert!(context(body).unwrap().require_search("Observation").is_ok());
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","scope":""}"#;
        assert!(
            context(body)
                .unwrap()
                .require_search("Observation")
                .is_err()
        );
    }

    #[test]
    fn granted_scopes_are_recognised_in_every_syntax() {
        for scope in [
            "patient/Observation.read",
            "launch/patient patient/Observation.rs ",
            "patient/observation.Read",
            "Patient.read Observation.search ",
            "patient/*.read",
            "patient/*.*",
            "user/Observation.cruds",
            "patient/Observation.rs?category=http://terminology.hl7.org/x|laboratory",
        ] {
            assert!(grants_search(scope, "Observation"), "{scope}");
        }
        for scope in [
            "",
            "launch/patient patient/Patient.read",
            "patient/Observation.r",
            "patient/Observation.write",
            "patient/ObservationDefinition.read",
            "Observation",
        ] {
            assert!(!grants_search(scope, "Observation"), "{scope}");
        }
    }
}
