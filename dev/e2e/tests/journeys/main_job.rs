//! A patient connects, and the labs arrive in JHE.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Screen, State, counted};
use e2e::journey::{CAMILA, DERRICK, Journey, Page};
use e2e::journeys;
use e2e::records::{expect_arrival, id_of, upstream_id};
use sandbox::{FIRST_PATIENT, Peculiarity, SECOND_PATIENT, Server};

use crate::ending::saved_report;

journeys!(both_layouts: [
    labs_arrive_in_jhe_as_the_hospital_sent_them,
    every_page_of_the_search_is_followed,
    a_refused_record_is_counted_with_its_reason_and_stops_no_other,
    a_record_with_a_long_id_arrives_without_it,
    a_record_with_an_underscore_in_its_id_arrives_without_it,
    a_patient_who_denies_shares_nothing,
    a_callback_with_a_foreign_state_is_refused,
    an_expired_invitation_is_refused_in_its_own_words,
    a_sign_in_without_patient_context_stops_before_any_record,
    the_hospital_id_of_another_patient_stops_the_run_before_any_record,
    a_patient_without_labs_is_done_with_none,
]);

async fn labs_arrive_in_jhe_as_the_hospital_sent_them(journey: &Journey) -> Result<()> {
    let labs = journey.labs_of(CAMILA);
    let screen = journey.connect().await?;

    screen.expect_done()?;
    screen.expect_screen("done")?;
    screen.expect_lines(&[&format!("Labs: {}", counted(labs.len()))])?;
    screen.expect_records(labs.len(), labs.len())?;
    the_patient_is_known_at_jhe_and_not_shown(journey, &screen)?;
    ensure!(
        !screen.text.contains("could not be saved"),
        "expected no failures, found {screen}"
    );

    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())?;
    ensure!(
        labs.iter().any(|lab| lab.contains(r#""value":7.10"#)),
        "no lab has a decimal that could lose its zero"
    );
    for write in journey.requests(Server::Jhe, "POST", "/FHIR/") {
        ensure!(
            write.target == "/FHIR/R5/Observation",
            "a record was posted to {}",
            write.target
        );
        ensure!(
            write.header("content-type") == Some("application/json"),
            "Content-Type: {:?}",
            write.header("content-type")
        );
        ensure!(
            write.header("x-jhe-fhir-source-id").is_some(),
            "a record was posted without its source"
        );
    }
    let address = journey.browser.address().await?;
    ensure!(
        address.as_str() == journey.page(Page::Callback, &[]),
        "the address bar shows {address}"
    );
    Ok(())
}

/// JHE has the id that the hospital has for the patient. Nobody needs to read it.
fn the_patient_is_known_at_jhe_and_not_shown(journey: &Journey, screen: &Screen) -> Result<()> {
    let (iss, camila) = (journey.sandbox.iss(), journey.patient_id(CAMILA));
    let world = journey.world();
    let patient = world.jhe.patient(FIRST_PATIENT).context("the patient")?;
    ensure!(
        (patient.identifiers.iter()).any(|it| it.system == iss && it.value == camila),
        "expected the identifier {camila} of {iss}, found {:?}",
        patient.identifiers
    );
    let texts = [&screen.text, &screen.folded, &screen.said.concat()];
    ensure!(
        texts.iter().all(|text| !text.contains(&camila)),
        "the patient's id is shown: {screen}"
    );
    Ok(())
}

async fn every_page_of_the_search_is_followed(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 23);
        world.settings.ehr.page_size = 4;
    }
    let screen = journey.connect().await?;

    screen.expect_done()?;
    screen.expect_lines(&["Labs: 23 records"])?;
    ensure!(
        journey.searches().len() == 6,
        "expected 6 pages, found {:?}",
        journey.searches()
    );
    expect_arrival(
        &journey.rows(),
        &journey.labs_of(CAMILA),
        &journey.sandbox.iss(),
    )
}

async fn a_refused_record_is_counted_with_its_reason_and_stops_no_other(
    journey: &Journey,
) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 2);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::UnknownField);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::LongId);
    }
    let screen = journey.connect().await?;

    ensure!(
        screen.state != State::Failed,
        "expected the others to be stored, found {screen}"
    );
    screen.expect_lines(&[
        "1 record could not be saved. It is listed below.",
        "Labs: 3 records, 1 could not be saved",
        "Labs, 1 record: The study's server can't store what has this form.",
    ])?;
    let report = saved_report(journey).await?;
    ensure!(
        report.contains("extra fields not permitted"),
        "expected the server's own words in:\n{report}"
    );
    let (mut labs, iss) = (journey.labs_of(CAMILA), journey.sandbox.iss());
    labs.remove(2);
    expect_arrival(&journey.rows(), &labs, &iss)
}

async fn a_record_with_a_long_id_arrives_without_it(journey: &Journey) -> Result<()> {
    arrives_without_its_id(journey, Peculiarity::LongId).await
}

async fn a_record_with_an_underscore_in_its_id_arrives_without_it(journey: &Journey) -> Result<()> {
    arrives_without_its_id(journey, Peculiarity::UnderscoreId).await
}

async fn arrives_without_its_id(journey: &Journey, peculiarity: Peculiarity) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 1);
        world.give_peculiar_lab(CAMILA.user, peculiarity);
    }
    let screen = journey.connect().await?;

    screen.expect_done()?;
    screen.expect_lines(&["Labs: 2 records"])?;
    let (labs, iss, rows) = (
        journey.labs_of(CAMILA),
        journey.sandbox.iss(),
        journey.rows(),
    );
    expect_arrival(&rows, &labs, &iss)?;
    let id = id_of(&labs[1])?;
    let known = rows
        .iter()
        .any(|row| upstream_id(&row.sent, &iss).as_deref() == Some(&id));
    ensure!(known, "no row can be recognised as {id}");
    Ok(())
}

async fn a_patient_who_denies_shares_nothing(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey
        .browser
        .sign_in(CAMILA.user, CAMILA.password)
        .await?;
    journey.browser.deny().await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("authorization.denied"))
        .await?;

    ensure!(
        screen.heading.as_deref() == Some("Nothing was shared"),
        "expected to be told that nothing was shared, found {screen}"
    );
    ensure!(
        journey.requests(Server::Ehr, "POST", "/token").is_empty(),
        "a token was asked for"
    );
    journey.expect_no_record_moved()
}

async fn a_callback_with_a_foreign_state_is_refused(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey
        .return_with(&[
            ("code", "a-code-of-somebody-else"),
            ("state", "a-state-of-somebody-else"),
        ])
        .await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some("callback.unknown_state"))
        .await?;

    ensure!(
        journey.requests(Server::Ehr, "POST", "/token").is_empty(),
        "a foreign code was exchanged"
    );
    journey.expect_no_record_moved()
}

async fn an_expired_invitation_is_refused_in_its_own_words(journey: &Journey) -> Result<()> {
    journey.world().expire_invitation(&journey.invitation);
    let screen = journey.stops_at_the_start("invitation.expired").await?;
    screen.expect_texts(&["has run out", "new invitation link"])
}

async fn a_sign_in_without_patient_context_stops_before_any_record(
    journey: &Journey,
) -> Result<()> {
    journey.world().settings.ehr.omit_patient = true;
    let screen = journey.stops_on_return("sign_in.no_patient").await?;

    screen.expect_texts(&["launch/patient"])?;
    journey.expect_no_record_moved()
}

async fn the_hospital_id_of_another_patient_stops_the_run_before_any_record(
    journey: &Journey,
) -> Result<()> {
    let (iss, camila) = (journey.sandbox.iss(), journey.patient_id(CAMILA));
    journey
        .world()
        .attach_identifier(SECOND_PATIENT, &iss, &camila);
    journey.stops_on_return("identifier.conflict").await?;
    journey.expect_no_record_moved()
}

async fn a_patient_without_labs_is_done_with_none(journey: &Journey) -> Result<()> {
    let screen = journey.connect_as(DERRICK).await?;

    screen.expect_done()?;
    screen.expect_lines(&["No records were found", "Nothing found: Labs"])?;
    screen.expect_fact("Now at the study", "0 records")?;
    ensure!(
        journey.rows().is_empty(),
        "expected no rows, found {:?}",
        journey.rows()
    );
    Ok(())
}
