//! What Epic calls what the deployments pull, for the registration of an app: the "Incoming APIs" of its list.

use std::collections::BTreeSet;
use std::fmt::Write;

use jhe_connect::exchange::deployment::{Deployment, MYCHART, PATIENT_ACCESS, Pull};

/// The areas of a type, as they stand in brackets in Epic's list: by type, and by category where a pull names one.
const AREAS: &[(&str, Option<&str>, &[&str])] = &[
    ("Patient", None, &["Demographics"]),
    (
        "Condition",
        None,
        &["Problems", "Encounter Diagnosis", "Health Concerns"],
    ),
    ("MedicationRequest", None, &["Signed Medication Order"]),
    ("MedicationDispense", None, &["Fill Status"]),
    ("AllergyIntolerance", None, &["Patient Chart"]),
    ("Immunization", None, &["Patient Chart"]),
    ("Procedure", None, &["Orders", "Surgeries"]),
    ("Observation", Some("laboratory"), &["Labs"]),
    ("Observation", Some("vital-signs"), &["Vital Signs"]),
    ("DiagnosticReport", None, &["Results"]),
    (
        "DocumentReference",
        Some("clinical-note"),
        &["Clinical Notes"],
    ),
    ("Encounter", None, &["Patient Chart"]),
    (
        "CarePlan",
        Some("assess-plan"),
        &["Longitudinal", "Encounter"],
    ),
    ("CareTeam", None, &["Longitudinal CareTeam"]),
    ("Goal", None, &["Patient", "Care Plan Goal"]),
    ("ServiceRequest", None, &["Orders"]),
    ("Device", None, &["Implants"]),
    (
        "QuestionnaireResponse",
        None,
        &["Patient-Entered Questionnaires"],
    ),
];

/// The only area of documents that pulls refer to.
const DOCUMENTS: &str = "Binary.Read (Clinical Notes)";

/// The page reads it to ask "Is this you?", whatever is pulled.
const PERSON: &str = "Patient";

fn category(pull: &Pull) -> Option<&'static str> {
    let mut parameters = pull.parameters.iter();
    parameters.find_map(|(name, value)| (*name == "category").then_some(*value))
}

/// The names in Epic's list for one pull, without `(R4)`, which stands behind each.
fn names(pull: &Pull) -> Option<Vec<String>> {
    let (_, _, areas) = AREAS.iter().find(|(resource_type, of, _)| {
        *resource_type == pull.resource_type && *of == category(pull)
    })?;
    let mut names = Vec::new();
    for area in *areas {
        if pull.resource_type != PERSON {
            names.push(format!("{}.Search ({area})", pull.resource_type));
        }
        names.push(format!("{}.Read ({area})", pull.resource_type));
    }
    if pull.attachments {
        names.push(DOCUMENTS.to_owned());
    }
    Some(names)
}

/// The table of a document: a row for each kind of records, the patient first.
pub(crate) fn table() -> String {
    let mut table =
        String::from("| On the page | For | Incoming APIs, each with `(R4)` |\n|---|---|---|\n");
    let all = PATIENT_ACCESS.pulls;
    for pull in all {
        let is_in_mychart =
            MYCHART.pulls.iter().any(|it| it.label == pull.label) || pull.resource_type == PERSON;
        let clients = if is_in_mychart {
            "both"
        } else {
            "Patient Access"
        };
        let names = names(pull).unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        // Writing to a text can't fail.
        let _ = writeln!(
            table,
            "| {} | {clients} | {} |",
            pull.label,
            names.join(", ")
        );
    }
    table
}

/// The scopes for what a deployment pulls, in the first syntax of SMART.
fn scopes(deployment: &Deployment) -> String {
    let mut types = vec![PERSON];
    for pull in deployment.pulls {
        types.push(pull.resource_type);
        if pull.attachments {
            types.push("Binary");
        }
    }
    let mut seen = BTreeSet::new();
    types.retain(|it| seen.insert(*it));
    let mut scopes = vec!["openid fhirUser launch/patient".to_owned()];
    scopes.extend(types.iter().map(|it| format!("patient/{it}.read")));
    scopes.join(" ")
}

/// The scopes of each client, to copy.
pub(crate) fn scope_blocks() -> String {
    let mut blocks = String::new();
    for (name, deployment) in [
        ("The MyChart client", &MYCHART),
        ("The Patient Access client", &PATIENT_ACCESS),
    ] {
        if !blocks.is_empty() {
            blocks.push('\n');
        }
        let scopes = scopes(deployment);
        let _ = writeln!(blocks, "{name}:\n\n```text\n{scopes}\n```");
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pull_has_a_name_in_epics_list() {
        for pull in PATIENT_ACCESS.pulls.iter().chain(MYCHART.pulls) {
            assert!(names(pull).is_some(), "{}", pull.label);
        }
    }

    #[test]
    fn no_name_is_there_for_what_nobody_pulls() {
        for (resource_type, of, _) in AREAS {
            let is_pulled = PATIENT_ACCESS
                .pulls
                .iter()
                .any(|pull| pull.resource_type == *resource_type && category(pull) == *of);
            assert!(is_pulled, "{resource_type} {of:?}");
        }
    }

    #[test]
    fn the_patient_is_read_and_the_rest_is_searched_for() {
        let of = |label: &str| {
            let pull = PATIENT_ACCESS.pulls.iter().find(|it| it.label == label);
            names(pull.unwrap()).unwrap()
        };
        assert_eq!(of("Your details"), ["Patient.Read (Demographics)"]);
        assert_eq!(
            of("Labs"),
            ["Observation.Search (Labs)", "Observation.Read (Labs)"]
        );
        assert!(of("Clinical notes").contains(&DOCUMENTS.to_owned()));
    }

    #[test]
    fn scopes_name_each_type_once_and_the_patient_always() {
        assert_eq!(
            scopes(&MYCHART),
            "openid fhirUser launch/patient patient/Patient.read patient/Observation.read"
        );
        let all = scopes(&PATIENT_ACCESS);
        assert_eq!(all.matches("patient/Observation.read").count(), 1);
        assert!(all.contains("patient/Binary.read"));
    }
}
