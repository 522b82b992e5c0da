//! A run that is cut off goes on: after a reload, a crash, a lost network, or a session at the hospital that ended. Every lab
//! is in JHE once, and the counts are right, whatever happened on the way.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Capability, Screen, State, counted};
use e2e::journey::{CAMILA, Journey, Page, pages, writes};
use e2e::journeys;
use e2e::records::expect_arrival;
use e2e::watch;
use sandbox::{Fault, RefreshTokens, Server};

journeys!(
    both_layouts: [
        a_reload_in_the_middle_goes_on_where_it_stopped,
        a_crash_in_the_middle_goes_on_where_it_stopped,
        after_a_lost_connection_try_again_brings_the_rest,
        a_session_at_the_hospital_that_ends_is_begun_again_and_the_run_goes_on,
        a_second_tab_waits_until_the_first_is_done,
        a_closed_tab_is_made_up_for_by_opening_the_link_again,
        leaving_is_asked_about_while_records_move_and_only_then,
    ],
    drop_in: [
        a_network_that_comes_back_is_used_without_being_asked,
        a_jhe_that_answers_again_gets_the_rest,
        with_refresh_tokens_no_second_sign_in_is_asked_for,
        a_lost_answer_is_settled_and_told_of_meanwhile,
        a_wait_for_the_hospital_is_told,
        a_wait_for_jhe_is_told,
        a_no_at_the_second_sign_in_leaves_what_arrived_and_no_token,
    ],
);

/// What the page says before it goes on.
pub(crate) const GOES_ON: &str = "We go on where it stopped. Nothing is sent twice.";

async fn a_reload_in_the_middle_goes_on_where_it_stopped(journey: &Journey) -> Result<()> {
    journey.reach_the_middle().await?;
    journey.world().clear_faults();
    journey.browser.reload().await?;

    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_said(GOES_ON)?;
    every_lab_arrived_once(journey, &screen)?;
    ensure!(exchanges(journey) == 1, "the code was sent twice");
    Ok(())
}

async fn a_crash_in_the_middle_goes_on_where_it_stopped(journey: &Journey) -> Result<()> {
    if (journey.browser).cannot_make_this_without(Capability::Crash) {
        return Ok(());
    }
    journey.reach_the_middle().await?;
    journey.world().clear_faults();
    let callback = journey.page(Page::Callback, &[]);
    journey.browser.crash_and_open(&callback).await?;

    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_said(GOES_ON)?;
    every_lab_arrived_once(journey, &screen)
}

async fn after_a_lost_connection_try_again_brings_the_rest(journey: &Journey) -> Result<()> {
    journey.let_jhe_settle_soon();
    journey.fail(pages().after(2), Fault::DropConnection);
    let screen = journey.connect().await?;
    screen.expect_code("pull.unreachable")?;
    screen.expect_lines(&[
        "Labs: 20 records, not all could be read",
        "Not all of your records could be read. The list below says which.",
        "Labs: MyChart had trouble, or the connection broke.",
    ])?;
    screen.expect_texts(&["page 3"])?;
    screen.expect_action("Try again")?;
    watch::check(journey).await?;

    journey.world().clear_faults();
    journey.browser.press_action().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_said(GOES_ON)?;
    every_lab_arrived_once(journey, &screen)
}

async fn a_network_that_comes_back_is_used_without_being_asked(journey: &Journey) -> Result<()> {
    journey.reach_the_middle().await?;
    journey.world().clear_faults();
    journey.browser.go_offline().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_code("browser.offline")?;

    let browser = &journey.browser;
    browser
        .leaves_by(async || browser.go_online().await)
        .await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_said(GOES_ON)?;
    every_lab_arrived_once(journey, &screen)
}

async fn a_jhe_that_answers_again_gets_the_rest(journey: &Journey) -> Result<()> {
    journey.let_jhe_settle_soon();
    journey.fail(writes().after(5), Fault::DropConnection);
    let screen = journey.connect().await?;
    screen.expect_texts(&["Labs: 5 records, "])?;
    screen.expect_action("Try again")?;

    journey.world().clear_faults();
    journey.browser.press_action().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_said(GOES_ON)?;
    every_lab_arrived_once(journey, &screen)
}

async fn a_session_at_the_hospital_that_ends_is_begun_again_and_the_run_goes_on(
    journey: &Journey,
) -> Result<()> {
    let screen = the_hospital_session_ends_in_the_middle(journey).await?;
    screen.expect_code("pull.signed_out")?;
    screen.expect_action("Sign in again and go on")?;
    watch::check(journey).await?;

    let screen = the_patient_signs_in_again(journey).await?;
    every_lab_arrived_once(journey, &screen)
}

/// Presses the button that offers it, signs in, and waits for the end; the invitation is not redeemed again.
pub(crate) async fn the_patient_signs_in_again(journey: &Journey) -> Result<Screen> {
    journey.browser.press_action().await?;
    journey.browser.wait_for_login_form().await?;
    watch::check(journey).await?;
    journey.agree_as(CAMILA).await?;
    let screen = journey.browser.wait_until_settled().await?;
    let redeemed = journey.requests(Server::Jhe, "POST", "/o/token/").len();
    ensure!(redeemed == 1, "the invitation was redeemed again");
    Ok(screen)
}

async fn a_no_at_the_second_sign_in_leaves_what_arrived_and_no_token(
    journey: &Journey,
) -> Result<()> {
    let screen = the_hospital_session_ends_in_the_middle(journey).await?;
    screen.expect_action("Sign in again and go on")?;
    let rows = journey.rows().len();

    journey.browser.press_action().await?;
    journey
        .browser
        .sign_in(CAMILA.user, CAMILA.password)
        .await?;
    journey.browser.deny().await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some("authorization.denied"))
        .await?;
    ensure!(
        journey.rows().len() == rows,
        "expected {rows} rows to stay, found {}",
        journey.rows().len()
    );
    let kept: usize = journey
        .browser
        .evaluate("return ['jhe', 'ehr'].filter((name) => `jhe-connect:3:${name}` in sessionStorage).length")
        .await?;
    ensure!(kept == 0, "a token is kept");
    Ok(())
}

async fn with_refresh_tokens_no_second_sign_in_is_asked_for(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.refresh_tokens = RefreshTokens::Always;
    let screen = the_hospital_session_ends_in_the_middle(journey).await?;

    every_lab_arrived_once(journey, &screen)?;
    let renewals = journey.requests(Server::Ehr, "POST", "/token");
    let renewals = (renewals.iter()).filter(|request| request.body.contains("=refresh_token"));
    ensure!(
        renewals.count() == 1 && exchanges(journey) == 1,
        "expected one renewal and one sign-in"
    );
    Ok(())
}

async fn a_second_tab_waits_until_the_first_is_done(journey: &Journey) -> Result<()> {
    journey.reach_the_middle().await?;
    let callback = journey.page(Page::Callback, &[]);
    journey.browser.duplicate_tab(&callback).await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("callback.other_tab"))
        .await?;
    screen.expect_texts(&["another tab"])?;
    screen.expect_action("Try again")?;
    watch::check(journey).await?;

    journey.world().clear_faults();
    journey.browser.look_at_tab(0).await?;
    let screen = journey.browser.wait_until_settled().await?;
    every_lab_arrived_once(journey, &screen)?;
    watch::check(journey).await?;

    journey.browser.look_at_tab(1).await?;
    journey.browser.press_action().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_said(GOES_ON)?;
    every_lab_arrived_once(journey, &screen)
}

async fn a_closed_tab_is_made_up_for_by_opening_the_link_again(journey: &Journey) -> Result<()> {
    journey.reach_the_middle().await?;
    journey.world().clear_faults();
    let first = journey.rows().len();
    journey.browser.open_tab().await?;
    journey.browser.look_at_tab(0).await?;
    journey.browser.close_tab().await?;

    let screen = journey.connect().await?;
    screen.expect_done()?;
    let labs = journey.labs_of(CAMILA);
    let (new, there) = new_and_there(&screen)?;
    ensure!(
        new + there == labs.len() && there >= first,
        "expected {} labs, {first} or more of them there before, found {screen}",
        labs.len()
    );
    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())
}

async fn leaving_is_asked_about_while_records_move_and_only_then(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    browser.wait_for_screen("sharing").await?;
    ensure!(
        !browser.asks_before_leaving().await?,
        "the connect page holds the patient back"
    );
    browser.wait_for_login_form().await?;
    journey.fail(writes().after(3), Fault::Delay { millis: 1_000 });
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(3).await?;
    ensure!(
        browser.asks_before_leaving().await?,
        "the patient may leave in the middle without being asked"
    );

    journey.world().clear_faults();
    browser.wait_until_settled().await?.expect_done()?;
    let is_asked = browser.asks_before_leaving().await?;
    ensure!(!is_asked, "the finished page holds the patient back");
    browser.reload().await?;
    browser.wait_until_settled().await?.expect_done()?;
    let is_asked = browser.asks_before_leaving().await?;
    ensure!(!is_asked, "the reloaded page holds the patient back");
    Ok(())
}

async fn a_lost_answer_is_settled_and_told_of_meanwhile(journey: &Journey) -> Result<()> {
    journey.let_jhe_settle_soon();
    journey.fail(writes().after(7).once(), Fault::LoseAnswer);
    journey.fail(writes().after(9).once(), Fault::DropConnection);
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    journey
        .browser
        .wait_for_countdown(
            "We are making sure that nothing is lost or sent twice. We go on in",
            6,
        )
        .await?;
    let screen = journey.browser.wait_until_settled().await?;
    every_lab_arrived_once(journey, &screen)?;
    let checks = journey.requests(Server::Jhe, "GET", "/FHIR/R5/Observation");
    ensure!(checks.len() == 1, "expected one look, found {checks:?}");
    Ok(())
}

async fn a_wait_for_the_hospital_is_told(journey: &Journey) -> Result<()> {
    journey.fail(pages().after(1).once(), busy(503));
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    journey
        .browser
        .wait_for_countdown("MyChart does not answer right now. We try again in", 7)
        .await?;
    let screen = journey.browser.wait_until_settled().await?;
    every_lab_arrived_once(journey, &screen)
}

async fn a_wait_for_jhe_is_told(journey: &Journey) -> Result<()> {
    journey.fail(writes().after(4).once(), busy(429));
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    journey
        .browser
        .wait_for_countdown("The study's server is busy right now. We try again in", 7)
        .await?;
    let screen = journey.browser.wait_until_settled().await?;
    every_lab_arrived_once(journey, &screen)?;
    ensure!(
        journey
            .requests(Server::Jhe, "GET", "/FHIR/R5/Observation")
            .is_empty(),
        "a refused write left a doubt"
    );
    Ok(())
}

/// The server asks to be left alone for six seconds, in a header that it lets every page read.
pub(crate) fn busy(status: u16) -> Fault {
    Fault::status(status, "text/plain", "too busy")
        .with_header("retry-after", "6")
        .with_header("access-control-expose-headers", "Retry-After")
}

/// From the invitation link into a long import, until the hospital ends its session: what the page says then.
async fn the_hospital_session_ends_in_the_middle(journey: &Journey) -> Result<Screen> {
    // More than what is fetched ahead of the writes.
    journey.world().give_labs(CAMILA.user, 300);
    journey.let_jhe_settle_soon();
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(3).await?;
    journey.world().expire_ehr_tokens();
    journey.browser.wait_until_settled().await
}

/// The page is done, and says that it copied all of Camila's labs; JHE holds each of them once.
fn every_lab_arrived_once(journey: &Journey, screen: &Screen) -> Result<()> {
    let labs = journey.labs_of(CAMILA);
    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())?;
    screen.expect_done()?;
    screen.expect_lines(&[&format!("Labs: {}", counted(labs.len()))])
}

fn exchanges(journey: &Journey) -> usize {
    let sent = journey.requests(Server::Ehr, "POST", "/token");
    let exchanges = (sent.iter()).filter(|request| request.body.contains("authorization_code"));
    exchanges.count()
}

/// How many of the records that are at the study now are new, and how many were there before.
fn new_and_there(screen: &Screen) -> Result<(usize, usize)> {
    let count = |name: &str| {
        let told = screen.fact(name)?;
        told.split(' ').next()?.parse::<usize>().ok()
    };
    let now =
        count("Now at the study").with_context(|| format!("expected a count, found {screen}"))?;
    // What is new altogether is not told apart.
    let new = count("New this time").unwrap_or(now);
    Ok((new, now - new))
}
