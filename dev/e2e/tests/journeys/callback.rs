//! What the patient comes back with: state first, then error, then code.

use anyhow::{Result, ensure};
use e2e::browser::State;
use e2e::journey::{CAMILA, Journey, PENDING_STATE, Page};
use e2e::journeys;
use sandbox::{AuthorizeError, Server};

journeys!(drop_in: [
    a_refused_scope_at_the_authorization_is_told,
    another_authorization_error_is_shown_exactly,
    an_error_description_is_shown_as_text_only,
    a_callback_without_state_is_refused,
    a_foreign_state_is_refused_even_when_it_carries_an_error,
    a_repeated_parameter_is_refused,
    code_and_error_together_are_refused,
    an_answer_of_another_issuer_is_refused,
    an_answer_that_names_the_right_issuer_is_accepted,
    an_answer_after_too_long_a_time_is_refused,
    a_callback_page_opened_by_itself_says_to_start_from_the_link,
    a_return_in_another_tab_is_refused,
    a_return_without_the_jhe_session_says_to_restart,
]);

async fn a_refused_scope_at_the_authorization_is_told(journey: &Journey) -> Result<()> {
    refuse(journey, "invalid_scope", None);
    returns_at_once_to(journey, "authorization.invalid_scope").await
}

async fn another_authorization_error_is_shown_exactly(journey: &Journey) -> Result<()> {
    refuse(journey, "server_error", Some("Error 4711 in module 0815"));
    returns_at_once_to(journey, "authorization.refused").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_texts(&["server_error", "Error 4711 in module 0815"])
}

async fn an_error_description_is_shown_as_text_only(journey: &Journey) -> Result<()> {
    refuse(
        journey,
        "server_error",
        Some("<img src=x onerror=\"document.title='pwned'\">"),
    );
    returns_at_once_to(journey, "authorization.refused").await?;
    let images: usize = journey
        .browser
        .evaluate("return document.images.length")
        .await?;
    ensure!(images == 0, "the description became markup");
    Ok(())
}

async fn a_callback_without_state_is_refused(journey: &Journey) -> Result<()> {
    returns_with(journey, &[("code", "some-code")], "callback.no_state").await
}

async fn a_foreign_state_is_refused_even_when_it_carries_an_error(journey: &Journey) -> Result<()> {
    returns_with(
        journey,
        &[("error", "access_denied"), ("state", "foreign")],
        "callback.unknown_state",
    )
    .await
}

async fn a_repeated_parameter_is_refused(journey: &Journey) -> Result<()> {
    let query = [("code", "one"), ("code", "two"), ("state", PENDING_STATE)];
    returns_with(journey, &query, "callback.malformed").await
}

async fn code_and_error_together_are_refused(journey: &Journey) -> Result<()> {
    let query = [
        ("code", "one"),
        ("error", "access_denied"),
        ("state", PENDING_STATE),
    ];
    returns_with(journey, &query, "callback.malformed").await
}

async fn an_answer_of_another_issuer_is_refused(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.response_iss = Some("https://other.example".to_owned());
    journey.stops_on_return("callback.other_issuer").await?;
    journey.expect_no_record_moved()
}

async fn an_answer_that_names_the_right_issuer_is_accepted(journey: &Journey) -> Result<()> {
    let issuer = format!("{}/interconnect/oauth2", journey.sandbox.ehr());
    journey.world().settings.ehr.response_iss = Some(issuer);
    journey.connect().await?.expect_done()
}

async fn an_answer_after_too_long_a_time_is_refused(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    // The patient's clock, an hour later.
    journey
        .browser
        .prepare_pages("const now = Date.now; Date.now = () => now() + 60 * 60 * 1000;")
        .await?;
    journey.agree_as(CAMILA).await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some("callback.expired"))
        .await?;
    journey.expect_no_record_moved()
}

async fn a_callback_page_opened_by_itself_says_to_start_from_the_link(
    journey: &Journey,
) -> Result<()> {
    journey
        .browser
        .open(&journey.page(Page::Callback, &[]))
        .await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("callback.nothing_pending"))
        .await?;
    screen.expect_texts(&["link in your invitation"])
}

async fn a_return_in_another_tab_is_refused(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey.browser.open_tab().await?;
    journey
        .return_with(&[("code", "some-code"), ("state", PENDING_STATE)])
        .await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("callback.unknown_state"))
        .await?;
    screen.expect_texts(&["link in your invitation"])?;
    no_code_was_exchanged(journey)
}

async fn a_return_without_the_jhe_session_says_to_restart(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    // Some other page of JHE, so that the storage can be reached.
    let elsewhere = format!("{}/static/common/js/common.js", journey.sandbox.jhe());
    journey.browser.open(&elsewhere).await?;
    let take_away = "const key = 'jhe-connect:3:jhe';
        const had = key in sessionStorage;
        sessionStorage.removeItem(key);
        return had;";
    let had: bool = journey.browser.evaluate(take_away).await?;
    ensure!(
        had,
        "the JHE session is not kept where this journey looks for it"
    );

    let answer = [("code", "some-code"), ("state", PENDING_STATE)];
    journey.return_with(&answer).await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_code("jhe.session_missing")?;
    screen.expect_texts(&["link in your invitation again"])?;
    no_code_was_exchanged(journey)
}

fn refuse(journey: &Journey, error: &str, description: Option<&str>) {
    journey.world().settings.ehr.authorize_error = Some(AuthorizeError {
        error: error.to_owned(),
        description: description.map(str::to_owned),
    });
}

/// The hospital sends the patient straight back, and the callback page stops with this code.
async fn returns_at_once_to(journey: &Journey, code: &str) -> Result<()> {
    journey.open_invitation().await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some(code))
        .await?;
    no_code_was_exchanged(journey)
}

/// The patient comes back with this instead of what the hospital would have said, and the page stops with this code.
async fn returns_with(journey: &Journey, query: &[(&str, &str)], code: &str) -> Result<()> {
    journey.reach_login().await?;
    journey.return_with(query).await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some(code))
        .await?;
    no_code_was_exchanged(journey)
}

fn no_code_was_exchanged(journey: &Journey) -> Result<()> {
    ensure!(
        journey.requests(Server::Ehr, "POST", "/token").is_empty(),
        "a code was exchanged"
    );
    Ok(())
}
