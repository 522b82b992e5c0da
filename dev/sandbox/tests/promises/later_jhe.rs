//! What the later version does with a whole chart, and what it says of itself.

use std::time::{Duration, Instant};

use sandbox::{JheVersion, PULLED_TYPES};
use serde_json::{Value, json};

use crate::common::send;
use crate::{IMPORT, JSON, Outcome, Writer, batch, entry_statuses, lab, start};

const LOGIN: &str = "fhircamila";
const OF_SOURCE: &str = "_source=https://jupyterhealth.org/fhir/fhir-source/";

#[tokio::test]
async fn records_of_every_type_are_counted_by_their_source() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    for name in PULLED_TYPES {
        let records = sandbox.world().records_of(LOGIN, name);
        let reply = writer.post(IMPORT, &batch(&records)).await?;
        let stored = entry_statuses(&reply);
        let stored = stored.iter().filter(|it| it.starts_with('2')).count();
        let path = format!(
            "/FHIR/R5/{name}?{OF_SOURCE}{}&_summary=count",
            writer.source
        );
        assert_eq!(writer.get(&path).await?["total"], stored, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn what_an_import_drops_is_said_in_a_warning() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    for (name, warned) in [
        ("Condition", "Condition.clinicalStatus"),
        ("Device", "Device.patient"),
        ("Immunization", "Immunization.reportOrigin"),
        (
            "MedicationRequest",
            "MedicationRequest.medicationReference.reference",
        ),
    ] {
        let records = sandbox.world().records_of(LOGIN, name);
        let reply = writer.post(IMPORT, &batch(&records)).await?.json();
        let entries = reply["entry"].as_array().into_iter().flatten();
        let issues = entries.flat_map(|it| it["response"]["outcome"]["issue"].as_array());
        let mut places = issues.flatten().map(|issue| &issue["expression"][0]);
        assert!(places.any(|place| place == warned), "{warned} in {reply}");
    }
    Ok(())
}

#[tokio::test]
async fn a_condition_without_its_clinical_status_is_imported_but_is_no_r5() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let condition =
        json!({"resourceType": "Condition", "id": "c", "code": {"text": "x"}}).to_string();
    let reply = writer.post("/FHIR/R5/Condition", &condition).await?;
    assert!(
        reply.status == 400 && reply.text().contains("clinicalStatus"),
        "{}",
        reply.text()
    );
    let reply = writer.post("/fhir-import/R4/Condition", &condition).await?;
    assert_eq!(entry_statuses(&reply), ["201 Created"]);
    Ok(())
}

#[tokio::test]
async fn the_first_import_is_slow_if_it_is_set_to_be() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let slow = 400;
    sandbox.world().settings.jhe.first_import_ms = slow;
    let timed = async || {
        let began = Instant::now();
        writer.post(IMPORT, &batch(&[lab("a")])).await?;
        Ok::<_, crate::common::Failure>(began.elapsed() >= Duration::from_millis(slow))
    };
    assert!(timed().await? && !timed().await?);
    Ok(())
}

#[tokio::test]
async fn indexed_references_name_jhes_ids_and_those_without_a_record_are_lost() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let procedure = json!({
        "resourceType": "Procedure",
        "id": "p",
        "status": "completed",
        "subject": {"reference": "Patient/eHere"},
        "encounter": {"reference": "Encounter/eNowhere"},
        "location": {"reference": "#room"},
    });
    let patient = json!({"resourceType": "Patient", "id": "eHere"});
    let records = [procedure.to_string(), patient.to_string()];
    writer.post(IMPORT, &batch(&records)).await?;
    let index = format!("/api/v1/fhir_sources/{}/index_refs", writer.source);
    let tally = json!({"rowsIndexed": 2, "refsRewritten": 1, "refsNotFound": 1});
    assert_eq!(writer.post(&index, "").await?.json(), tally);
    {
        let world = sandbox.world();
        let (stored, patient) = (&world.rows()[0].stored, &world.rows()[1].id);
        assert_eq!(stored["subject"]["reference"], format!("Patient/{patient}"));
        assert_eq!(stored["encounter"]["reference"], "not-found:eNowhere");
        assert_eq!(stored["location"]["reference"], "#room");
    }
    let nothing_left = json!({"rowsIndexed": 2, "refsRewritten": 0, "refsNotFound": 0});
    assert_eq!(writer.post(&index, "").await?.json(), nothing_left);

    let anothers = "/api/v1/fhir_sources/1/index_refs";
    assert_eq!(writer.post(anothers, "").await?.status, 404);
    sandbox.world().settings.jhe.version = JheVersion::Mychart;
    assert_eq!(writer.post(&index, "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn only_the_later_version_says_what_it_is() -> Outcome {
    let sandbox = start().await?;
    for path in [
        "/FHIR/R5/metadata",
        "/FHIR/R5/.well-known/smart-configuration",
    ] {
        let url = format!("{}{path}", sandbox.jhe());
        sandbox.world().settings.jhe.version = JheVersion::Mychart;
        assert_eq!(send("GET", &url, &[], "").await?.status, 401, "{path}");
        sandbox.world().settings.jhe.version = JheVersion::PatientAccess;
        let reply = send("GET", &url, &[], "").await?;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_control_api_fills_charts_and_lists_hospitals() -> Outcome {
    let sandbox = start().await?;
    let control = async |method: &str, path: &str, body: Value| {
        let url = format!("{}/_sandbox/{path}", sandbox.jhe());
        send(method, &url, &[JSON], body.to_string()).await
    };
    let wish = json!({
        "login": LOGIN,
        "records": {"Condition": 12, "Goal": 0},
        "vital_signs": 7,
        "social_history": 1,
        "add_dual": 1,
        "add_notes": ["pdf", "missing"],
    });
    assert_eq!(control("POST", "chart", wish).await?.status, 204);
    let overview = control("GET", "", json!({})).await?.json();
    let chart = &overview["ehrPatients"][0]["chart"];
    let counts = ["Condition", "Goal", "Observation", "DocumentReference"].map(|it| &chart[it]);
    assert_eq!(counts, [&json!(12), &json!(0), &json!(9), &json!(4)]);
    let unknown = json!({"login": LOGIN, "records": {"Coverage": 1}});
    let refused = control("POST", "chart", unknown).await?;
    assert!(refused.status == 400 && refused.text().contains("Coverage"));

    let hospital = &overview["hospitals"][1];
    assert_eq!(hospital["vendor"], "oracle-health");
    let brands = control("GET", "brands", json!({})).await?.json();
    let mut brand = brands[0].clone();
    brand["facilityName"] = json!("Hilltop");
    assert_eq!(control("POST", "brands", brand).await?.status, 204);
    let added = &sandbox.world().brands;
    assert_eq!(
        added.last().map(|it| it.facility_name.as_str()),
        Some("Hilltop")
    );
    Ok(())
}
