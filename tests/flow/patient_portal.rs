//! JHE's client after Patient Access, whose sources have no FHIR base URL. The sandbox has no such JHE: it is Patient
//! Access's, which takes a source without one, and two answers that are put into its mouth.

use jhe_connect::exchange::deployment::EHR_PATIENT_PORTAL;
use jhe_connect::import::Verdict;
use sandbox::{FIRST_PATIENT, Fault, JheVersion, Match, Server};
use serde_json::{Value, json};

use super::hospital::CAMILA;
use super::journey::Journey;

#[test]
fn a_source_is_registered_by_its_label_and_found_again_at_the_next_visit() {
    let journey = begin();
    let first = journey.connect();
    let again = journey.connect();

    for import in [&first, &again] {
        assert_eq!(import.ending.verdict(), Verdict::Complete);
    }
    assert!(first.source.is_new() && !again.source.is_new());
    assert_eq!(first.source.id, again.source.id);
    let registered = journey.requests(Server::Jhe, "POST", "/api/v1/fhir_sources");
    let bodies: Vec<Value> = registered
        .iter()
        .map(|request| serde_json::from_str(&request.body).expect("JSON"))
        .collect();
    let label = format!("Epic / EHR Patient Portal — {}", journey.iss());
    assert_eq!(bodies, [json!({"label": label, "data_source": "70006"})]);
    // What the scope covers: the patient, 20 labs and the vital signs, each once.
    let rows = journey.rows();
    let labs = journey.labs();
    assert!(
        labs.iter()
            .all(|lab| rows.iter().filter(|row| row.sent == *lab).count() == 1)
    );
    assert_eq!(rows.len() as u32, first.ending.tally.stored);
}

#[test]
fn sources_of_other_hospitals_are_left_alone() {
    let journey = begin();
    journey.connect();
    let other = "Epic / EHR Patient Portal — https://other.example/R4";
    for source in &mut journey.world().jhe.sources {
        source.label = other.to_owned();
    }
    assert!(journey.connect().source.is_new());
}

/// The pages are configured as JHE's own of that time.
fn begin() -> Journey {
    let journey = Journey::begin();
    for (name, value) in [
        ("deployment", json!("ehr-patient-portal")),
        ("dataSourceIds", json!([70_006])),
        ("pageUrl", json!("/clients/ehr-patient-portal/")),
    ] {
        journey.is_configured_further(name, value);
    }
    let jhe = journey.tab.sandbox.jhe().to_owned();
    {
        let mut world = journey.world();
        world.settings.jhe.version = JheVersion::PatientAccess;
        for client in &mut world.settings.ehr.clients {
            let callback = format!("{jhe}/{}", EHR_PATIENT_PORTAL.callback_path);
            client.redirect_uris.push(callback);
        }
        world.give_labs(CAMILA.user, 20);
    }
    let identifier = json!({"system": journey.iss(), "value": journey.patient_id()});
    let profile = json!({"patient": {"id": FIRST_PATIENT, "identifiers": [identifier]}});
    for (method, path, answer) in [
        ("POST", "/api/v1/ehr-patient-portal/identifier", identifier),
        ("GET", "/api/v1/users/profile", profile),
    ] {
        let request = Match::on(Server::Jhe).method(method).path(path);
        let answer = answer.to_string();
        journey.fail(request, Fault::status(200, "application/json", &answer));
    }
    journey
}
