//! JHE after the sign-in: the patient identifier, the FhirSource, and the session while importing.

use anyhow::{Result, ensure};
use e2e::journey::{CAMILA, Journey, writes};
use e2e::journeys;
use sandbox::{FIRST_PATIENT, Fault, Match, SECOND_PATIENT, Server};

journeys!(drop_in: [
    a_conflict_that_jhe_names_stops_the_run,
    an_identifier_that_is_known_already_is_no_conflict,
    a_refused_identifier_is_shown_exactly,
    a_token_of_no_patient_is_told,
    an_unreachable_identifier_endpoint_is_told,
    an_unknown_data_source_is_told,
    a_data_source_that_jhe_misses_is_told,
    a_source_for_no_patient_is_told,
    a_refused_source_is_shown_exactly,
    an_unreachable_source_endpoint_is_told,
    the_lowest_source_of_this_hospital_is_used_again,
    a_jhe_session_that_ends_before_the_import_says_to_open_the_link_again,
    a_jhe_session_that_ends_while_importing_keeps_what_arrived,
    a_jhe_that_stops_answering_while_importing_keeps_what_arrived,
]);

async fn a_conflict_that_jhe_names_stops_the_run(journey: &Journey) -> Result<()> {
    let body = r#"{"error":"Identifier is already assigned to another patient"}"#;
    stops_without_records(
        journey,
        identifier(),
        Fault::status(409, "application/json", body),
        "identifier.conflict",
    )
    .await
}

async fn an_identifier_that_is_known_already_is_no_conflict(journey: &Journey) -> Result<()> {
    let (iss, camila) = (journey.sandbox.iss(), journey.patient_id(CAMILA));
    journey
        .world()
        .attach_identifier(FIRST_PATIENT, &iss, &camila);
    journey.connect().await?.expect_done()
}

async fn a_refused_identifier_is_shown_exactly(journey: &Journey) -> Result<()> {
    let fault = Fault::status(
        400,
        "application/json",
        r#"{"error":"system and value are required"}"#,
    );
    stops_without_records(journey, identifier(), fault, "identifier.refused").await?;
    journey
        .browser
        .wait_until_settled()
        .await?
        .expect_texts(&["system and value are required"])
}

async fn a_token_of_no_patient_is_told(journey: &Journey) -> Result<()> {
    let fault = Fault::status(
        400,
        "application/json",
        r#"{"error":"Authenticated user is not a patient"}"#,
    );
    stops_without_records(journey, identifier(), fault, "identifier.not_a_patient").await
}

async fn an_unreachable_identifier_endpoint_is_told(journey: &Journey) -> Result<()> {
    stops_without_records(
        journey,
        identifier(),
        Fault::DropConnection,
        "identifier.unreachable",
    )
    .await
}

async fn an_unknown_data_source_is_told(journey: &Journey) -> Result<()> {
    "999999".clone_into(&mut journey.world().settings.jhe.page.data_source_id);
    journey
        .stops_on_return("source.data_source_unknown")
        .await?
        .expect_texts(&["999999"])?;
    journey.expect_no_record_moved()
}

async fn a_data_source_that_jhe_misses_is_told(journey: &Journey) -> Result<()> {
    let fault = Fault::status(
        400,
        "application/json",
        r#"{"dataSource":["This field may not be null."]}"#,
    );
    stops_without_records(journey, registration(), fault, "source.data_source_missing").await
}

async fn a_source_for_no_patient_is_told(journey: &Journey) -> Result<()> {
    let body = r#"{"detail":"Only patient users can register a FhirSource."}"#;
    stops_without_records(
        journey,
        registration(),
        Fault::status(403, "application/json", body),
        "source.not_a_patient",
    )
    .await
}

async fn a_refused_source_is_shown_exactly(journey: &Journey) -> Result<()> {
    let fault = Fault::status(
        415,
        "application/json",
        r#"{"detail":"Unsupported media type."}"#,
    );
    stops_without_records(journey, registration(), fault, "source.refused").await?;
    journey
        .browser
        .wait_until_settled()
        .await?
        .expect_texts(&["Unsupported media type."])
}

async fn an_unreachable_source_endpoint_is_told(journey: &Journey) -> Result<()> {
    let any = Match::on(Server::Jhe).path("/api/v1/fhir_sources");
    stops_without_records(journey, any, Fault::DropConnection, "source.unreachable").await
}

async fn the_lowest_source_of_this_hospital_is_used_again(journey: &Journey) -> Result<()> {
    let iss = journey.sandbox.iss();
    let expected = {
        let mut world = journey.world();
        let now = world.now();
        world
            .jhe
            .add_source(FIRST_PATIENT, 70_005, "Another data source", &iss, now);
        world.jhe.add_source(
            FIRST_PATIENT,
            70_006,
            "Another hospital",
            &format!("{iss}/"),
            now,
        );
        world
            .jhe
            .add_source(SECOND_PATIENT, 70_006, "Another patient", &iss, now);
        let expected = world
            .jhe
            .add_source(FIRST_PATIENT, 70_006, "Epic / MyChart", &iss, now)
            .id;
        world
            .jhe
            .add_source(FIRST_PATIENT, 70_006, "Epic / MyChart", &iss, now);
        expected
    };
    journey.connect().await?.expect_done()?;

    let rows = journey.rows();
    ensure!(
        !rows.is_empty() && rows.iter().all(|row| row.source == expected),
        "expected source {expected} in every row"
    );
    ensure!(
        journey
            .requests(Server::Jhe, "POST", "/fhir_sources")
            .is_empty(),
        "another source was registered"
    );
    Ok(())
}

async fn a_jhe_session_that_ends_before_the_import_says_to_open_the_link_again(
    journey: &Journey,
) -> Result<()> {
    journey.reach_login().await?;
    journey.world().expire_jhe_tokens();
    journey.agree_as(CAMILA).await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_code("jhe.session_expired")?;
    screen.expect_texts(&["link in your invitation again"])?;
    journey.expect_no_record_moved()
}

async fn a_jhe_session_that_ends_while_importing_keeps_what_arrived(
    journey: &Journey,
) -> Result<()> {
    let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"Authentication credentials were not provided."}]}"#;
    journey.fail(
        writes().after(5),
        Fault::status(401, "application/json", body),
    );
    let screen = journey.connect().await?;

    screen.expect_code("jhe.session_expired")?;
    screen.expect_texts(&["Labs: 5 records, ", "link in your invitation again"])?;
    ensure!(
        journey.rows().len() == 5,
        "expected 5 rows, found {}",
        journey.rows().len()
    );
    Ok(())
}

async fn a_jhe_that_stops_answering_while_importing_keeps_what_arrived(
    journey: &Journey,
) -> Result<()> {
    journey.let_jhe_settle_soon();
    journey.fail(writes().after(5), Fault::DropConnection);
    let screen = journey.connect().await?;

    screen.expect_code("jhe.failing")?;
    screen.expect_texts(&["Labs: 5 records, ", "could not be saved", "kept"])?;
    screen.expect_action("Try again")?;
    ensure!(
        journey.rows().len() == 5,
        "expected 5 rows, found {}",
        journey.rows().len()
    );
    Ok(())
}

fn identifier() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/api/v1/mychart/identifier")
}

fn registration() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/api/v1/fhir_sources")
}

async fn stops_without_records(
    journey: &Journey,
    requests: Match,
    fault: Fault,
    code: &str,
) -> Result<()> {
    journey.fail(requests, fault);
    journey.stops_on_return(code).await?;
    journey.expect_no_record_moved()
}
