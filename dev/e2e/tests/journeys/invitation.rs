//! The connect page before the hospital: the invitation and the JHE token.

use anyhow::{Result, ensure};
use e2e::browser::{Screen, State};
use e2e::journey::{Journey, Page};
use e2e::journeys;
use sandbox::{FIRST_PATIENT, Fault, Match, PATIENT_WITHOUT_LOGIN, Server};

journeys!(drop_in: [
    a_link_without_invitation_says_to_start_from_the_link,
    a_malformed_invitation_says_to_start_from_the_link,
    an_invitation_for_another_host_names_both_hosts_and_is_not_redeemed,
    an_unknown_invitation_is_refused_in_its_own_words,
    a_used_invitation_is_refused_in_its_own_words,
    a_superseded_invitation_is_refused_like_a_used_one,
    a_cancelled_invitation_is_refused_in_its_own_words,
    a_patient_without_login_is_told_whom_to_ask,
    an_unexpected_answer_to_the_invitation_is_shown,
    an_unreachable_jhe_is_told,
    a_superseded_grant_is_redeemed_once_more,
    a_grant_refused_twice_says_to_use_one_tab,
    a_mismatching_redirect_uri_is_told_in_jhes_own_words,
    a_refused_client_is_told_in_jhes_own_words,
    an_unexpected_refusal_of_the_token_is_shown,
    a_token_answer_that_is_no_json_is_told,
    an_unreachable_token_endpoint_is_told,
    a_second_tab_takes_over_from_the_first,
]);

async fn a_link_without_invitation_says_to_start_from_the_link(journey: &Journey) -> Result<()> {
    journey
        .browser
        .open(&journey.page(Page::Connect, &[]))
        .await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("invitation.missing"))
        .await?;
    screen.expect_texts(&["invitation link"])
}

async fn a_malformed_invitation_says_to_start_from_the_link(journey: &Journey) -> Result<()> {
    let screen = opened_with(journey, "no-token-here", "invitation.malformed").await?;
    screen.expect_texts(&["invitation link"])?;
    nothing_was_redeemed(journey)
}

async fn an_invitation_for_another_host_names_both_hosts_and_is_not_redeemed(
    journey: &Journey,
) -> Result<()> {
    let code = format!("jhe.example_{}", journey.invitation);
    let screen = opened_with(journey, &code, "invitation.other_host").await?;

    let own = journey.sandbox.jhe().trim_start_matches("http://");
    screen.expect_texts(&["jhe.example", own])?;
    nothing_was_redeemed(journey)
}

async fn an_unknown_invitation_is_refused_in_its_own_words(journey: &Journey) -> Result<()> {
    let host = journey.sandbox.jhe().trim_start_matches("http://");
    let code = format!("{host}_{}", "0".repeat(32));
    opened_with(journey, &code, "invitation.unknown")
        .await?
        .expect_texts(&["new invitation link"])
}

async fn a_used_invitation_is_refused_in_its_own_words(journey: &Journey) -> Result<()> {
    journey.world().use_up_invitation(&journey.invitation);
    journey
        .stops_at_the_start("invitation.used")
        .await?
        .expect_texts(&["used", "new link"])
}

async fn a_superseded_invitation_is_refused_like_a_used_one(journey: &Journey) -> Result<()> {
    let _newer = journey.world().mint_invitation(FIRST_PATIENT);
    journey
        .stops_at_the_start("invitation.used")
        .await
        .map(drop)
}

async fn a_cancelled_invitation_is_refused_in_its_own_words(journey: &Journey) -> Result<()> {
    journey.world().cancel_invitation(&journey.invitation);
    journey
        .stops_at_the_start("invitation.cancelled")
        .await?
        .expect_texts(&["cancelled", "new link"])
}

async fn a_patient_without_login_is_told_whom_to_ask(journey: &Journey) -> Result<()> {
    let link = {
        let mut world = journey.world();
        let token = world.mint_invitation(PATIENT_WITHOUT_LOGIN);
        world.invitation_link(&token, journey.layout)
    };
    journey.browser.open(&link).await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("invitation.no_login"))
        .await?;
    screen.expect_texts(&["study team", "Patient has no associated user account."])
}

async fn an_unexpected_answer_to_the_invitation_is_shown(journey: &Journey) -> Result<()> {
    journey.fail(
        redemption(),
        Fault::status(503, "text/html", "<h1>Back soon</h1>"),
    );
    journey
        .stops_at_the_start("invitation.refused")
        .await?
        .expect_texts(&["503"])
}

async fn an_unreachable_jhe_is_told(journey: &Journey) -> Result<()> {
    journey.fail(redemption(), Fault::DropConnection);
    journey
        .stops_at_the_start("invitation.unreachable")
        .await
        .map(drop)
}

async fn a_superseded_grant_is_redeemed_once_more(journey: &Journey) -> Result<()> {
    journey.fail(jhe_token().once(), invalid_grant());
    journey.reach_login().await?;
    expect_redemptions(journey, 2)
}

async fn a_grant_refused_twice_says_to_use_one_tab(journey: &Journey) -> Result<()> {
    journey.fail(jhe_token(), invalid_grant());
    journey
        .stops_at_the_start("jhe_token.invalid_grant")
        .await?
        .expect_texts(&["one tab"])?;
    expect_redemptions(journey, 2)
}

async fn a_mismatching_redirect_uri_is_told_in_jhes_own_words(journey: &Journey) -> Result<()> {
    let body = r#"{"error":"invalid_request","error_description":"Mismatching redirect URI."}"#;
    journey.fail(jhe_token(), Fault::status(400, "application/json", body));
    journey
        .stops_at_the_start("jhe_token.redirect_mismatch")
        .await?
        .expect_texts(&["not ready for this page", "Mismatching redirect URI."])
}

async fn a_refused_client_is_told_in_jhes_own_words(journey: &Journey) -> Result<()> {
    journey.fail(
        jhe_token(),
        Fault::status(401, "application/json", r#"{"error":"invalid_client"}"#),
    );
    journey
        .stops_at_the_start("jhe_token.invalid_client")
        .await?
        .expect_texts(&["not ready for this page", "invalid_client"])
}

async fn an_unexpected_refusal_of_the_token_is_shown(journey: &Journey) -> Result<()> {
    journey.fail(
        jhe_token(),
        Fault::status(500, "application/json", r#"{"error":"server_error"}"#),
    );
    journey
        .stops_at_the_start("jhe_token.refused")
        .await?
        .expect_texts(&["server_error"])
}

async fn a_token_answer_that_is_no_json_is_told(journey: &Journey) -> Result<()> {
    journey.fail(
        jhe_token(),
        Fault::status(200, "text/html", "<h1>Welcome</h1>"),
    );
    journey
        .stops_at_the_start("jhe_token.malformed")
        .await
        .map(drop)
}

async fn an_unreachable_token_endpoint_is_told(journey: &Journey) -> Result<()> {
    journey.fail(jhe_token(), Fault::DropConnection);
    journey
        .stops_at_the_start("jhe_token.unreachable")
        .await
        .map(drop)
}

async fn a_second_tab_takes_over_from_the_first(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey.browser.open_tab().await?;
    journey.connect().await?.expect_done()
}

async fn opened_with(journey: &Journey, code: &str, expected: &str) -> Result<Screen> {
    journey
        .browser
        .open(&journey.page(Page::Connect, &[("code", code)]))
        .await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some(expected))
        .await
}

fn redemption() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/api/v1/invitation/")
}

fn jhe_token() -> Match {
    Match::on(Server::Jhe).method("POST").path("/o/token/")
}

fn invalid_grant() -> Fault {
    Fault::status(400, "application/json", r#"{"error":"invalid_grant"}"#)
}

fn nothing_was_redeemed(journey: &Journey) -> Result<()> {
    expect_redemptions(journey, 0)
}

fn expect_redemptions(journey: &Journey, expected: usize) -> Result<()> {
    let redemptions = journey.requests(Server::Jhe, "POST", "/api/v1/invitation/");
    ensure!(
        redemptions.len() == expected,
        "expected {expected} redemptions, found {redemptions:?}"
    );
    Ok(())
}
