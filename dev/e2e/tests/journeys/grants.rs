//! What the patient left unticked at the hospital is listed, with a way back, and does not end anything.

use anyhow::{Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Screen, State};
use e2e::journey::{CAMILA, Journey};
use e2e::records::expect_each_once;
use sandbox::Server;

use crate::person::nothing_was_written;

access_journeys!(
    drop_in: [
        what_was_left_unticked_is_listed_and_the_rest_arrives,
        who_goes_back_and_ticks_them_shares_everything,
        whoever_unticks_everything_shares_nothing,
    ],
    plain_named: [
        what_was_left_unticked_is_listed_and_the_rest_arrives,
        who_goes_back_and_ticks_them_shares_everything,
    ],
);

const UNTICKED: [(&str, &str); 2] = [("Immunization", "Immunizations"), ("Goal", "Goals")];

/// From the invitation link to the list of what was left out.
pub(crate) async fn reach_grants(journey: &Journey) -> Result<Screen> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser
        .allow_without(&UNTICKED.map(|(resource_type, _)| resource_type))
        .await?;
    browser.wait_for_screen("person").await?;
    browser.press_named("yes-me").await?;
    let screen = browser.wait_for_screen("grants").await?;
    let script = "return [...document.querySelectorAll('.jc-screen > .jc-lines > li')].map((it) => it.innerText)";
    let listed: Vec<String> = browser.evaluate(script).await?;
    ensure!(
        listed == UNTICKED.map(|(_, label)| label),
        "expected what was left out, found {listed:?}"
    );
    nothing_was_written(journey)?;
    Ok(screen)
}

async fn what_was_left_unticked_is_listed_and_the_rest_arrives(journey: &Journey) -> Result<()> {
    let screen = reach_grants(journey).await?;
    ensure!(
        screen.state == State::Asking && screen.actions == ["add-more", "go-on"],
        "expected two ways on, found {screen}"
    );
    journey.browser.press_named("go-on").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    screen.expect_lines(&["Left out: Immunizations and Goals"])?;
    let mut chart = journey.chart();
    chart.retain(|(label, _)| !UNTICKED.iter().any(|(_, left_out)| left_out == label));
    let chart: Vec<_> = chart.into_iter().flat_map(|(_, records)| records).collect();
    expect_each_once(&journey.rows(), &chart)?;
    for (resource_type, _) in UNTICKED {
        let asked = journey.requests(Server::Ehr, "GET", &format!("/{resource_type}?"));
        ensure!(asked.is_empty(), "{resource_type} was asked for");
    }
    Ok(())
}

async fn who_goes_back_and_ticks_them_shares_everything(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_grants(journey).await?;
    browser
        .leaves_by(async || browser.press_named("add-more").await)
        .await?;
    browser.wait_for_login_form().await?;
    nothing_was_written(journey)?;
    journey.agree_as(CAMILA).await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(
        !screen.text.contains("Left out"),
        "something is left out: {screen}"
    );
    expect_each_once(&journey.rows(), &journey.whole_chart())?;
    let redeemed = journey.requests(Server::Jhe, "POST", "/o/token/").len();
    ensure!(redeemed == 1, "the invitation was redeemed again");
    Ok(())
}

async fn whoever_unticks_everything_shares_nothing(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser.wait_for_consent_page().await?;
    let untick = "for (const box of document.querySelectorAll('input[name=scope][value^=\"patient/\"]')) box.checked = false;
        return true";
    let _: bool = browser.evaluate(untick).await?;
    browser.allow().await?;
    let screen = browser
        .wait_for_state(State::Failed, Some("sign_in.no_observation_scope"))
        .await?;
    ensure!(
        screen.heading.as_deref() == Some("No records were shared"),
        "expected to be told that nothing was shared, found {screen}"
    );
    screen.expect_texts(&["leave the records ticked"])?;
    nothing_was_written(journey)?;
    journey.expect_no_record_moved()
}
