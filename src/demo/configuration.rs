//! What a page's configuration says in test mode, and what the pages are then configured with.

use alloc::string::String;
use alloc::vec::Vec;

use crate::demo::JHE;
use crate::demo::hospital::Hospital;
use crate::exchange::deployment::{Deployment, PATIENT_ACCESS};
use crate::json::{Json, object, quoted};

/// The scope of the test mode's pages.
pub const SCOPE: &str = "openid fhirUser launch/patient patient/Patient.read patient/Condition.read patient/MedicationRequest.read patient/MedicationDispense.read patient/AllergyIntolerance.read patient/Immunization.read patient/Procedure.read patient/Observation.read patient/DiagnosticReport.read patient/DocumentReference.read patient/Binary.read patient/Encounter.read patient/CarePlan.read patient/CareTeam.read patient/Goal.read patient/ServiceRequest.read patient/Device.read patient/QuestionnaireResponse.read";

/// Members that the test mode has a value of its own for.
const OWN: [&str; 8] = [
    "demo",
    "deployment",
    "iss",
    "clientId",
    "scope",
    "dataSourceId",
    "redirectUri",
    "jheBase",
];

/// The configuration that the pages are to be started with: `demo` and what a live page needs are replaced by the test
/// mode's own, and everything else stays. With `reviews` the patient sees what was found, unless `review` says otherwise.
/// `demo` is `true`, or an object whose `hospital` names the only one.
///
/// What can't be used is given back as it is. The pages refuse it then, since `demo` is still in it.
pub fn configuration(config: &str, reviews: bool) -> String {
    replaced(config, reviews).unwrap_or_else(|| config.into())
}

fn replaced(config: &str, reviews: bool) -> Option<String> {
    let json = Json::parse(config.as_bytes()).filter(|json| json.is_object())?;
    let demo = json.get("demo")?;
    let wanted = match demo.is_object() {
        true => demo.get("hospital"),
        false => None,
    };
    let wanted = match wanted {
        Some(name) => Some(Hospital::named(&name.string()?)?),
        None if demo.is_object() || demo.text() == "true" => None,
        None => return None,
    };
    let name = json.get_string("deployment");
    let deployment = Deployment::named(Some(name.as_deref().unwrap_or(PATIENT_ACCESS.name)))?;
    let only = match deployment.brands_path {
        Some(_) => wanted,
        // Where there is no list the configuration names the hospital.
        None => wanted.or(Hospital::named("healthy")),
    };
    let base = only.map(Hospital::base);
    let mut own = alloc::vec![
        ("deployment", deployment.name),
        ("clientId", "test-mode"),
        ("scope", SCOPE),
        ("dataSourceId", "1"),
        ("redirectUri", "callback.html"),
        ("jheBase", JHE),
    ];
    if let Some(base) = &base {
        own.push(("iss", base));
    }
    let mut members: Vec<String> = Vec::new();
    for member in json.members() {
        let is_asked_twice =
            reviews && member.name == "reviewChoice" && json.get("review").is_none();
        if !is_asked_twice && !OWN.contains(&member.name) {
            members.push([&quoted(member.name), ":", member.value.text()].concat());
        }
    }
    if reviews && json.get("review").is_none() {
        own.extend([("review", "true"), ("reviewChoice", "true")]);
    }
    let own = object(&own);
    members.push(own.get(1..own.len().saturating_sub(1))?.into());
    Some(["{", &members.join(","), "}"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, PageConfig};
    use crate::url::Url;

    fn parsed(config: &str) -> Result<PageConfig, ConfigError> {
        let page = Url::parse("http://localhost:8000/demo/connect.html").unwrap();
        PageConfig::parse(&configuration(config, false), &page)
    }

    #[test]
    fn the_pages_of_the_test_mode_are_complete_and_lead_to_nobody() {
        let config = parsed(r#"{"demo":true}"#).unwrap();
        assert_eq!(config.deployment.name, "patient-access");
        assert_eq!(config.iss, None);
        assert_eq!(config.jhe.as_str(), "http://localhost:8000/demo/jhe/");
        assert_eq!(
            config.redirect_uri,
            "http://localhost:8000/demo/callback.html"
        );
        assert!(config.plan.not_in_scope(&config.scope).is_empty());
    }

    #[test]
    fn a_hospital_can_be_named_and_the_rest_of_the_configuration_stays() {
        let config =
            parsed(r#"{"demo":{"hospital":"slow"},"study":{"name":"Sleep \"A\""},"review":true}"#);
        let config = config.unwrap();
        let iss = config.iss.as_deref();
        assert_eq!(iss, Some("https://slow.hospital.invalid/fhir/R4"));
        assert_eq!(config.study.name.as_deref(), Some("Sleep \"A\""));
        assert!(config.reviews);
        let named = parsed(r#"{"demo":{},"deployment":"mychart"}"#).unwrap();
        let iss = named.iss.as_deref();
        assert_eq!(iss, Some("https://healthy.hospital.invalid/fhir/R4"));
    }

    #[test]
    fn who_wants_to_see_what_was_found_does_unless_the_page_says_otherwise() {
        let page = Url::parse("http://localhost:8000/demo/connect.html").unwrap();
        let reviews = |config: &str, reviews| {
            let config = PageConfig::parse(&configuration(config, reviews), &page).unwrap();
            (config.reviews, config.offers_choice)
        };
        assert_eq!(reviews(r#"{"demo":true}"#, true), (true, true));
        assert_eq!(
            reviews(r#"{"demo":true,"reviewChoice":false}"#, true),
            (true, true)
        );
        assert_eq!(
            reviews(r#"{"demo":true,"review":false}"#, true),
            (false, false)
        );
        assert_eq!(
            reviews(r#"{"demo":true,"review":true}"#, false),
            (true, false)
        );
        assert_eq!(reviews(r#"{"demo":true}"#, false), (false, false));
    }

    #[test]
    fn what_names_no_test_mode_is_refused() {
        for config in [
            r#"{"demo":{"hospital":"other"}}"#,
            r#"{"demo":{"hospital":7}}"#,
            r#"{"demo":"yes"}"#,
            r#"{"demo":true,"deployment":"other"}"#,
        ] {
            assert!(matches!(parsed(config), Err(ConfigError::Demo)), "{config}");
        }
    }
}
