//! The hospital answers a search with something else than a page: what was fetched until then stays, and the page says what is
//! missing.

use anyhow::{Result, ensure};
use e2e::browser::Screen;
use e2e::journey::{CAMILA, Journey, pages, writes};
use e2e::journeys;
use e2e::records::expect_arrival;
use sandbox::{Fault, NextLink, Peculiarity, Server};

journeys!(drop_in: [
    a_search_refused_with_400_is_shown_exactly,
    a_search_that_names_too_little_is_shown_exactly,
    a_session_at_the_hospital_that_ended_is_told,
    a_search_that_is_forbidden_is_told,
    a_hospital_with_an_internal_error_keeps_what_was_fetched,
    a_page_that_is_html_keeps_what_was_fetched,
    a_page_that_is_an_empty_string_keeps_what_was_fetched,
    a_page_that_is_cut_off_keeps_what_was_fetched,
    a_lost_connection_to_the_hospital_keeps_what_was_fetched,
    an_expired_page_link_keeps_what_was_fetched,
    a_next_link_that_leads_nowhere_new_ends_the_search,
    a_relative_next_link_is_followed,
    records_about_somebody_else_are_left_out,
    outcome_entries_are_no_records,
    a_write_whose_answer_is_lost_is_not_repeated,
]);

/// On one page of a search.
const PAGE: usize = 10;

async fn a_search_refused_with_400_is_shown_exactly(journey: &Journey) -> Result<()> {
    let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"invalid","diagnostics":"Patient's record is locked."}]}"#;
    let screen = first_page_is(
        journey,
        Fault::status(400, "application/fhir+json", body),
        "pull.refused",
    )
    .await?;
    screen.expect_texts(&["Patient's record is locked."])
}

async fn a_search_that_names_too_little_is_shown_exactly(journey: &Journey) -> Result<()> {
    let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"required","diagnostics":"Either category or code is required."}]}"#;
    let screen = first_page_is(
        journey,
        Fault::status(400, "application/fhir+json", body),
        "pull.too_wide",
    )
    .await?;
    screen.expect_texts(&["Either category or code is required."])
}

async fn a_session_at_the_hospital_that_ended_is_told(journey: &Journey) -> Result<()> {
    first_page_is(
        journey,
        Fault::status(401, "application/json", "\"\""),
        "pull.signed_out",
    )
    .await
    .map(drop)
}

async fn a_search_that_is_forbidden_is_told(journey: &Journey) -> Result<()> {
    let body =
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden"}]}"#;
    first_page_is(
        journey,
        Fault::status(403, "application/fhir+json", body),
        "pull.forbidden",
    )
    .await
    .map(drop)
}

async fn a_hospital_with_an_internal_error_keeps_what_was_fetched(journey: &Journey) -> Result<()> {
    second_page_is(
        journey,
        Fault::status(500, "text/html", "<h1>Oops</h1>"),
        "pull.server_error",
    )
    .await
}

async fn a_page_that_is_html_keeps_what_was_fetched(journey: &Journey) -> Result<()> {
    second_page_is(
        journey,
        Fault::status(200, "text/html", "<h1>Sign in</h1>"),
        "pull.not_fhir",
    )
    .await
}

async fn a_page_that_is_an_empty_string_keeps_what_was_fetched(journey: &Journey) -> Result<()> {
    second_page_is(
        journey,
        Fault::status(200, "application/fhir+json", "\"\""),
        "pull.not_fhir",
    )
    .await
}

async fn a_page_that_is_cut_off_keeps_what_was_fetched(journey: &Journey) -> Result<()> {
    second_page_is(journey, Fault::CutOff, "pull.cut_off").await
}

async fn a_lost_connection_to_the_hospital_keeps_what_was_fetched(journey: &Journey) -> Result<()> {
    second_page_is(journey, Fault::DropConnection, "pull.unreachable").await
}

async fn an_expired_page_link_keeps_what_was_fetched(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.page_link_seconds = -1;
    let screen = journey.connect().await?;
    screen.expect_code("pull.refused")?;
    first_page_was_kept(journey, &screen)
}

async fn a_next_link_that_leads_nowhere_new_ends_the_search(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.next_link = NextLink::ItsOwnPage;
    let screen = journey.connect().await?;

    screen.expect_code("pull.next_loop")?;
    let rows = journey.rows().len();
    ensure!(
        rows == PAGE,
        "expected each record of the first page once, found {rows} rows"
    );
    Ok(())
}

async fn a_relative_next_link_is_followed(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.next_link = NextLink::Relative;
    journey.connect().await?.expect_done()?;
    expect_arrival(
        &journey.rows(),
        &journey.labs_of(CAMILA),
        &journey.sandbox.iss(),
    )
}

async fn records_about_somebody_else_are_left_out(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 3);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::OtherSubject);
    }
    let screen = journey.connect().await?;

    screen.expect_lines(&["Labs: 3 records"])?;
    screen.expect_texts(&["1 record was left out, as it is not about you."])?;
    expect_arrival(
        &journey.rows(),
        &journey.labs_of(CAMILA)[..3],
        &journey.sandbox.iss(),
    )
}

async fn outcome_entries_are_no_records(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 3);
        world.settings.ehr.outcome_entries = true;
    }
    let screen = journey.connect().await?;

    screen.expect_done()?;
    screen.expect_lines(&["Labs: 3 records"])?;
    ensure!(
        !screen.text.contains("could not be saved"),
        "an outcome was taken for a record: {screen}"
    );
    expect_arrival(
        &journey.rows(),
        &journey.labs_of(CAMILA),
        &journey.sandbox.iss(),
    )
}

async fn a_write_whose_answer_is_lost_is_not_repeated(journey: &Journey) -> Result<()> {
    journey.let_jhe_settle_soon();
    journey.world().give_labs(CAMILA.user, 4);
    journey.fail(writes().after(1).once(), Fault::LoseAnswer);
    let screen = journey.connect().await?;

    screen.expect_done()?;
    screen.expect_lines(&["Labs: 4 records"])?;
    let written = journey.requests(Server::Jhe, "POST", "/FHIR/").len();
    ensure!(written == 4, "expected 4 writes, found {written}");
    Ok(())
}

/// The first page is answered so, and the run ends for this reason, without any row.
async fn first_page_is(journey: &Journey, answer: Fault, code: &str) -> Result<Screen> {
    journey.fail(pages(), answer);
    let screen = journey.connect().await?;

    screen.expect_code(code)?;
    ensure!(
        journey.rows().is_empty(),
        "expected no rows, found {}",
        journey.rows().len()
    );
    Ok(screen)
}

/// The second page is answered so, and the run ends for this reason, with the first page's records in JHE.
async fn second_page_is(journey: &Journey, answer: Fault, code: &str) -> Result<()> {
    journey.fail(pages().after(1), answer);
    let screen = journey.connect().await?;

    screen.expect_code(code)?;
    first_page_was_kept(journey, &screen)
}

fn first_page_was_kept(journey: &Journey, screen: &Screen) -> Result<()> {
    screen.expect_lines(&[&format!("Labs: {PAGE} records, not all could be read")])?;
    expect_arrival(
        &journey.rows(),
        &journey.labs_of(CAMILA)[..PAGE],
        &journey.sandbox.iss(),
    )
}
