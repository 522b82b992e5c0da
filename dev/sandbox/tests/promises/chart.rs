//! The whole chart: every type that the later version asks for.

use std::collections::BTreeSet;

use sandbox::{FHIR_BASE, JheVersion, PATIENT_ACCESS_SCOPES, PULLED_TYPES, Sandbox, World};
use serde_json::Value;

use crate::common::Failure;
use crate::{
    CAMILA, IMPORT, Outcome, Writer, batch, count, ehr_bearer, entry_statuses, get_fhir, message,
    next, start,
};

const LOGIN: &str = "fhircamila";

/// The first patient's chart, with a token for all of it.
struct Chart {
    sandbox: Sandbox,
    bearer: String,
}

impl Chart {
    async fn open() -> Result<Self, Failure> {
        let sandbox = start().await?;
        sandbox.world().settings.ehr.granted_scopes = Some(PATIENT_ACCESS_SCOPES.to_owned());
        let bearer = ehr_bearer(&sandbox, LOGIN).await?;
        Ok(Self { sandbox, bearer })
    }

    fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.sandbox.world())
    }

    async fn search(&self, search: &str) -> Result<Value, Failure> {
        let separator = if search.contains('?') { '&' } else { '?' };
        let url = format!("{}/{search}{separator}patient={CAMILA}", self.sandbox.iss());
        Ok(get_fhir(&url, &self.bearer).await?.json())
    }

    /// The ids of the resources that a search finds on all its pages.
    async fn found(&self, search: &str) -> Result<Vec<String>, Failure> {
        let mut bundle = self.search(search).await?;
        let mut found = ids(&bundle, "match");
        while let Some(url) = next(&bundle) {
            bundle = get_fhir(&url, &self.bearer).await?.json();
            found.extend(ids(&bundle, "match"));
        }
        Ok(found)
    }
}

fn ids(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let of_mode = entries.filter(|entry| entry["search"]["mode"] == mode);
    let id = |entry: &Value| entry["resource"]["id"].as_str().map(str::to_owned);
    of_mode.filter_map(id).collect()
}

#[tokio::test]
async fn every_type_is_found_and_read_with_its_scope() -> Outcome {
    let chart = Chart::open().await?;
    for name in PULLED_TYPES.into_iter().filter(|name| *name != "Patient") {
        let query = if name == "Observation" {
            "?category=laboratory"
        } else {
            ""
        };
        let found = chart.found(&format!("{name}{query}")).await?;
        let held = chart.change(|world| world.records_of(LOGIN, name).len());
        assert!((2..=held).contains(&found.len()), "{name}: {found:?}");
        let url = format!("{}/{name}/{}", chart.sandbox.iss(), found[0]);
        let read = get_fhir(&url, &chart.bearer).await?.json();
        assert_eq!(read["resourceType"], name);
    }
    Ok(())
}

#[tokio::test]
async fn a_type_without_its_scope_is_forbidden_and_another_patients_chart_too() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, LOGIN).await?;
    let url = format!("{}/Condition?patient={CAMILA}", sandbox.iss());
    assert_eq!(get_fhir(&url, &bearer).await?.status, 403);

    let chart = Chart::open().await?;
    let url = format!("{}/Condition?patient=somebody", chart.sandbox.iss());
    assert_eq!(get_fhir(&url, &chart.bearer).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn a_patient_is_read_and_not_searched() -> Outcome {
    let chart = Chart::open().await?;
    assert_eq!(message(&chart.search("Patient").await?), "59108");
    let url = format!("{}/Patient/{CAMILA}", chart.sandbox.iss());
    let read = get_fhir(&url, &chart.bearer).await?.json();
    assert_eq!(read["birthDate"], "1987-09-12");
    Ok(())
}

#[tokio::test]
async fn each_category_of_observations_is_searched_on_its_own() -> Outcome {
    let chart = Chart::open().await?;
    chart.change(|world| world.give_vitals(LOGIN, 5));
    for (category, expected) in [
        ("laboratory", 32),
        ("vital-signs", 5),
        ("social-history", 2),
    ] {
        let search = format!("Observation?category={category}");
        assert_eq!(chart.found(&search).await?.len(), expected, "{category}");
    }
    let both = chart
        .found("Observation?category=vital-signs,social-history")
        .await?;
    assert_eq!(both.len(), 7);
    Ok(())
}

#[tokio::test]
async fn an_observation_of_two_categories_is_found_in_both() -> Outcome {
    let chart = Chart::open().await?;
    chart.change(|world| world.give_dual_observation(LOGIN));
    let labs = chart.found("Observation?category=laboratory").await?;
    let vitals = chart.found("Observation?category=vital-signs").await?;
    let in_both: Vec<_> = labs.iter().filter(|id| vitals.contains(id)).collect();
    assert_eq!((labs.len(), in_both.len()), (33, 1));

    chart.change(|world| world.give_vitals(LOGIN, 1));
    let vitals = chart.found("Observation?category=vital-signs").await?;
    assert!(
        vitals.len() == 2 && vitals.contains(in_both[0]),
        "{vitals:?}"
    );
    Ok(())
}

#[tokio::test]
async fn any_number_of_records_of_a_type_can_be_given() -> Outcome {
    let chart = Chart::open().await?;
    for name in PULLED_TYPES.into_iter().filter(|name| *name != "Patient") {
        chart.change(|world| world.give_records(LOGIN, name, 25));
        let query = if name == "Observation" {
            "?category=laboratory"
        } else {
            ""
        };
        let found: BTreeSet<String> = chart
            .found(&format!("{name}{query}"))
            .await?
            .into_iter()
            .collect();
        assert_eq!(found.len(), 25, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn next_links_of_every_type_are_sessions_of_that_type() -> Outcome {
    let chart = Chart::open().await?;
    chart.change(|world| world.give_records(LOGIN, "Condition", 12));
    let link = next(&chart.search("Condition").await?).ok_or("no next link")?;
    let base = chart.sandbox.iss();
    assert!(
        link.starts_with(&format!("{base}/Condition?sessionID=17-")),
        "{link}"
    );
    let elsewhere = link.replace("/Condition?", "/Procedure?");
    assert_eq!(get_fhir(&elsewhere, &chart.bearer).await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn what_requests_refer_to_and_who_recorded_it_come_when_asked_for() -> Outcome {
    let chart = Chart::open().await?;
    let plain = chart.search("MedicationRequest").await?;
    assert_eq!((count(&plain, "match"), count(&plain, "include")), (4, 0));
    let full = chart
        .search(
            "MedicationRequest?_include=MedicationRequest:medication&_revinclude=Provenance:target",
        )
        .await?;
    // Every other request names its medicine itself.
    assert_eq!((count(&full, "match"), count(&full, "include")), (4, 2 + 4));
    let included = full["entry"].as_array().into_iter().flatten();
    let medication = included
        .map(|entry| &entry["resource"])
        .find(|it| it["resourceType"] == "Medication")
        .ok_or("no Medication")?;
    let reference = &full["entry"][0]["resource"]["medicationReference"]["reference"];
    assert_eq!(
        *reference,
        format!(
            "Medication/{}",
            medication["id"].as_str().unwrap_or_default()
        )
    );
    Ok(())
}

#[tokio::test]
async fn pages_are_as_small_as_asked_and_sorted_as_asked() -> Outcome {
    let chart = Chart::open().await?;
    let first = chart.search("Encounter?_count=2").await?;
    assert_eq!(count(&first, "match"), 2);
    let rising = chart.found("Encounter?_sort=date").await?;
    let falling = chart.found("Encounter?_sort=-date&_count=2").await?;
    assert!(rising.len() == 3 && rising.iter().eq(falling.iter().rev()));
    Ok(())
}

#[tokio::test]
async fn a_filter_leaves_out_what_does_not_fit() -> Outcome {
    let chart = Chart::open().await?;
    for (search, expected) in [
        ("CareTeam?status=active", 2),
        ("CareTeam?status=inactive", 0),
        ("CarePlan?category=assess-plan", 2),
        ("DocumentReference?category=clinical-note", 2),
        ("Condition?category=problem-list-item", 2),
        ("Condition?clinical-status=active", 3),
        ("AllergyIntolerance?category=food", 1),
        ("Observation?code=http://loinc.org|4548-4", 2),
    ] {
        assert_eq!(chart.found(search).await?.len(), expected, "{search}");
    }
    Ok(())
}

#[tokio::test]
async fn further_types_can_be_made_to_want_a_category() -> Outcome {
    let chart = Chart::open().await?;
    chart.change(|world| world.settings.ehr.requires_category = vec!["Condition".to_owned()]);
    let refused = chart.search("Condition").await?;
    assert_eq!(refused["issue"][0]["code"], "required");
    assert_eq!(
        count(
            &chart.search("Condition?category=problem-list-item").await?,
            "match"
        ),
        2
    );
    assert_eq!(count(&chart.search("Procedure").await?, "match"), 2);
    Ok(())
}

#[tokio::test]
async fn jhe_takes_every_type_and_refuses_what_r5_does_not_allow() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    for name in PULLED_TYPES {
        let records = sandbox.world().records_of(LOGIN, name);
        // The labs with an id of which JHE makes something else have tests of their own.
        let records = &records[..records.len().min(10)];
        let reply = writer.post(IMPORT, &batch(records)).await?;
        let refused = entry_statuses(&reply)
            .iter()
            .filter(|it| !it.starts_with('2'))
            .count();
        let expected = if name == "QuestionnaireResponse" {
            1
        } else {
            0
        };
        assert_eq!(refused, expected, "{name}: {}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_search_of_another_base_is_nobodys() -> Outcome {
    let chart = Chart::open().await?;
    let url = format!("{}/Condition?patient={CAMILA}", chart.sandbox.iss());
    let other = url.replace(FHIR_BASE, "/interconnect/api/FHIR/DSTU2");
    assert_eq!(get_fhir(&other, &chart.bearer).await?.status, 404);
    Ok(())
}
