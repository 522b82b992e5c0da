//! Where the study wants it, the patient sees what was found before anything is sent.

use anyhow::{Context, Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Screen, State, counted};
use e2e::journey::{CAMILA, Journey, batches};
use e2e::records::expect_each_once;
use sandbox::{Fault, Server};
use serde_json::json;

use crate::person::{nothing_was_written, reach_person, revoked};
use crate::sharing::no_token_is_kept;

access_journeys!(
    drop_in: [
        what_was_found_is_counted_and_dated_before_anything_is_sent,
        who_shares_nothing_leaves_nothing_behind,
        a_kind_that_is_unticked_is_not_sent_and_not_told_as_lost,
        after_the_yes_a_reload_does_not_ask_again,
    ],
    plain_named: [
        what_was_found_is_counted_and_dated_before_anything_is_sent,
        a_kind_that_is_unticked_is_not_sent_and_not_told_as_lost,
    ],
);

/// From the invitation link to what was found.
pub(crate) async fn reach_review(journey: &Journey) -> Result<Screen> {
    journey.has_a_short_chart();
    journey.world().settings.jhe.page.review = Some(json!(true));
    reach_person(journey, CAMILA).await?;
    journey.browser.press_named("yes-me").await?;
    journey.browser.wait_for_screen("review").await
}

async fn what_was_found_is_counted_and_dated_before_anything_is_sent(
    journey: &Journey,
) -> Result<()> {
    let screen = reach_review(journey).await?;
    let count = journey.whole_chart().len();
    screen.expect_lines(&[&format!("{count} records are ready. Nothing was sent yet.")])?;
    ensure!(
        screen.state == State::Asking && screen.actions == ["send", "give-up"],
        "expected two ways on, found {screen}"
    );
    for (label, records) in journey.chart() {
        let begin = format!("{label}: {}", counted(records.len()));
        let line = screen.text.lines().find(|line| line.starts_with(&begin));
        line.with_context(|| format!("expected {begin:?}, found {screen}"))?;
    }
    // All labs are of one day; others are not.
    screen.expect_lines(&["Labs: 3 records, March 4, 2019"])?;
    let is_span = |line: &str| line.contains(", 20") && line.contains(" to ");
    ensure!(
        screen.text.lines().any(is_span),
        "expected a first and a last date, found {screen}"
    );
    nothing_was_written(journey)?;

    journey.browser.press_named("send").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    screen.expect_records(count, count)?;
    expect_each_once(&journey.rows(), &journey.whole_chart())
}

async fn who_shares_nothing_leaves_nothing_behind(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.revocation = Some(true);
    reach_review(journey).await?;
    journey.browser.press_named("give-up").await?;
    let screen = journey.browser.wait_for_screen("gave-up").await?;
    ensure!(
        screen.heading.as_deref() == Some("Nothing was shared") && screen.code.is_none(),
        "expected a no that is no failure, found {screen}"
    );
    nothing_was_written(journey)?;
    no_token_is_kept(journey).await?;
    for (server, path) in [(Server::Ehr, "/revoke"), (Server::Jhe, "/o/revoke_token/")] {
        ensure!(
            revoked(journey, server, path).len() == 1,
            "the token of {server:?} was not ended"
        );
    }
    Ok(())
}

async fn a_kind_that_is_unticked_is_not_sent_and_not_told_as_lost(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.review_choice = Some(json!(true));
    reach_review(journey).await?;
    let browser = &journey.browser;
    let untick = "const boxes = [...document.querySelectorAll('label.jc-boxes')];
        boxes.find((it) => it.textContent.trim().startsWith('Goals:')).click();
        return boxes.filter((it) => it.querySelector('input').checked).length";
    let ticked: usize = browser.evaluate(untick).await?;
    ensure!(ticked == 17, "expected all kinds but one, found {ticked}");
    browser.press_named("send").await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(
        !screen.text.contains("Goals") && !screen.folded.contains("Goals"),
        "what was left out is told of: {screen}"
    );
    let mut chart = journey.chart();
    chart.retain(|(label, _)| *label != "Goals");
    let chart: Vec<_> = chart.into_iter().flat_map(|(_, records)| records).collect();
    expect_each_once(&journey.rows(), &chart)?;

    // A reload knows of it, too.
    browser.reload().await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(
        !screen.text.contains("Goals"),
        "what was left out is told of: {screen}"
    );
    Ok(())
}

async fn after_the_yes_a_reload_does_not_ask_again(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_review(journey).await?;
    journey.fail(batches(), Fault::Delay { millis: 20_000 });
    browser.press_named("send").await?;
    browser.wait_for_screen("importing").await?;
    journey.world().clear_faults();
    browser.reload().await?;
    ensure!(
        !journey.is_asked("send").await?,
        "the patient is asked again"
    );
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    expect_each_once(&journey.rows(), &journey.whole_chart())
}
