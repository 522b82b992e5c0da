//! When a run has ended: what the patient is told and may keep, and how the page's access is ended.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Glance, Screen, State, counted};
use e2e::journey::{CAMILA, Journey};
use sandbox::{Fault, LoggedRequest, Match, Peculiarity, Server};
use serde::Deserialize;
use serde_json::Value;

use crate::ending::saved_report;
use crate::person::revoked;
use crate::sharing::{no_token_is_kept, speak};

access_journeys!(
    drop_in: [
        the_chart_and_the_tests_are_drawn_and_told_in_words,
        the_receipt_has_numbers_and_no_results,
        after_a_reload_there_are_only_counts,
        what_is_missing_is_told_with_its_reason,
        a_chart_without_records_is_no_failure_and_draws_nothing,
        nothing_of_it_leaves_the_page,
        access_is_ended_at_both_servers,
        what_can_not_be_ended_is_told,
        after_access_was_ended_a_broken_run_is_over,
    ],
    plain_named: [
        the_chart_and_the_tests_are_drawn_and_told_in_words,
        the_receipt_has_numbers_and_no_results,
        nothing_of_it_leaves_the_page,
        access_is_ended_at_both_servers,
    ],
);

/// What is drawn of the chart, and what stands in its place for who can't see it.
#[derive(Debug, Deserialize)]
struct Drawn {
    role: String,
    text: String,
    bars: usize,
    /// The rows below "Show the numbers".
    years: Vec<(String, String)>,
    tests: Vec<Vec<String>>,
    caption: String,
}

const READ_CHART: &str = "
    const drawing = document.querySelector('.jc-chart');
    const cells = (row) => [...row.cells].map((it) => it.textContent);
    const rows = (table) => [...(table?.tBodies[0]?.rows ?? [])].map(cells);
    const numbers = document.querySelector('.jc-fold > .jc-table');
    const tests = document.querySelector('.jc-receipt .jc-table:not(.jc-fold > .jc-table)');
    return {
        role: drawing?.getAttribute('role') ?? '',
        text: drawing?.getAttribute('aria-label') ?? '',
        bars: drawing?.querySelectorAll('rect').length ?? 0,
        years: rows(numbers),
        tests: rows(tests),
        caption: tests?.caption?.textContent ?? '',
    };";

async fn the_chart_and_the_tests_are_drawn_and_told_in_words(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.world().give_labs(CAMILA.user, 12);
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_screen("done")?;
    let count = journey.whole_chart().len();
    screen.expect_lines(&[&format!("{count} records are now at the study.")])?;

    let drawn: Drawn = journey.browser.evaluate(READ_CHART).await?;
    ensure!(
        drawn.role == "img" && drawn.text.starts_with("A chart of your records from "),
        "expected a picture with a text, found {drawn:?}"
    );
    ensure!(
        drawn.bars > 1 && !drawn.years.is_empty(),
        "expected bars and a table of them, found {drawn:?}"
    );
    let dated: usize = drawn
        .years
        .iter()
        .map(|(_, number)| number.parse::<usize>().unwrap_or(0))
        .sum();
    let undated = screen.text.lines().find(|line| line.contains(" no date."));
    let undated: usize = undated.map_or(0, |line| {
        line.split(' ')
            .next()
            .and_then(|it| it.parse().ok())
            .unwrap_or(0)
    });
    ensure!(
        dated + undated == count,
        "expected {count} records in the table, found {dated} and {undated} without a date: {drawn:?}"
    );
    ensure!(
        drawn.caption == "Your most frequent tests"
            && !drawn.tests.is_empty()
            && drawn.tests.len() <= 10,
        "expected the tests, found {drawn:?}"
    );
    for test in &drawn.tests {
        let [name, number, latest] = test.as_slice() else {
            anyhow::bail!("expected a name, a number and a date, found {test:?}");
        };
        ensure!(
            !name.is_empty()
                && number.parse::<usize>().is_ok_and(|it| it > 0)
                && latest.contains("20"),
            "expected a name, a number and a date, found {test:?}"
        );
    }
    Ok(())
}

async fn the_receipt_has_numbers_and_no_results(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let screen = journey.connect().await?;
    screen.expect_done()?;
    let count = journey.whole_chart().len();
    let receipt = saved(journey, ".jc-save:not(.jc-report)", "records-receipt.txt").await?;
    for line in [
        "Your receipt",
        "Study: Heart Study",
        "Run by: Example University",
        &format!("Hospital: {}", journey.portal()),
        &format!("Now at the study: {}", counted(count)),
        "Labs: 3 records",
    ] {
        ensure!(
            receipt.lines().any(|told| told.eq_ignore_ascii_case(line)),
            "expected {line:?} in:\n{receipt}"
        );
    }
    has_no_results(journey, &receipt)?;
    has_no_results(journey, &saved_report(journey).await?)
}

/// Neither a name of a test nor a value of one, nor whom it is about.
fn has_no_results(journey: &Journey, text: &str) -> Result<()> {
    let mut secrets = vec![
        journey.patient_id(CAMILA),
        "Camila".to_owned(),
        "1987".to_owned(),
    ];
    for lab in journey.labs_of(CAMILA) {
        let lab: Value = serde_json::from_str(&lab)?;
        let name = lab["code"]["text"]
            .as_str()
            .context("a lab without a name")?;
        secrets.push(name.to_owned());
        secrets.extend(lab["id"].as_str().map(str::to_owned));
        let value = &lab["valueQuantity"];
        secrets.extend(
            value["unit"]
                .as_str()
                .map(|unit| format!("{} {unit}", value["value"])),
        );
    }
    let leaked = secrets.iter().find(|secret| text.contains(secret.as_str()));
    ensure!(leaked.is_none(), "{leaked:?} is in:\n{text}");
    Ok(())
}

/// Presses a link that saves a file of this name; gives its text.
async fn saved(journey: &Journey, link: &str, name: &str) -> Result<String> {
    let port = journey.sandbox.jhe().rsplit(':').next().unwrap_or_default();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("saved-{port}"));
    let _ = std::fs::remove_dir_all(&folder);
    let (text, saved_as) = journey.browser.save_file(link, &folder).await?;
    std::fs::remove_dir_all(&folder)?;
    ensure!(saved_as == name, "the file is called {saved_as}");
    Ok(text)
}

async fn after_a_reload_there_are_only_counts(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.connect().await?.expect_done()?;
    journey.browser.reload().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    let count = journey.whole_chart().len();
    screen.expect_lines(&[
        "This was finished before. Nothing was sent again.",
        &format!("{count} records are now at the study."),
        "Labs: 3 records",
    ])?;
    draws_nothing(journey).await?;
    screen.expect_texts(&["This page has no access any more."])?;
    let receipt = saved(journey, ".jc-save:not(.jc-report)", "records-receipt.txt").await?;
    has_no_results(journey, &receipt)?;

    // Nothing of the records is kept for it.
    let kept = "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])";
    let kept: String = journey.browser.evaluate(kept).await?;
    has_no_results(journey, &kept)
}

async fn draws_nothing(journey: &Journey) -> Result<()> {
    let drawn: usize = (journey.browser)
        .evaluate("return document.querySelectorAll('.jc-chart, .jc-table').length")
        .await?;
    ensure!(drawn == 0, "{drawn} charts and tables are drawn");
    Ok(())
}

async fn what_is_missing_is_told_with_its_reason(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 4);
        world.give_records(CAMILA.user, "QuestionnaireResponse", 1);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::TwoValues);
    }
    let forbidden =
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"forbidden"}]}"#;
    let goals = Match::on(Server::Ehr).method("GET").path("/Goal?");
    journey.fail(
        goals,
        Fault::status(403, "application/fhir+json", forbidden),
    );
    let screen = journey.connect().await?;
    ensure!(
        screen.state == State::Partly,
        "expected something to be missing, found {screen}"
    );
    screen.expect_screen("partly")?;
    screen.expect_lines(&[
        "Some of your records were shared",
        "1 record could not be saved. It is listed below.",
        "Labs: 4 records, 1 could not be saved",
        "Goals: could not be read",
        "What could not be shared, and why",
        "Labs, 1 record: The study's server can't store what has this form.",
        &format!(
            "Goals: {} does not let this page read this kind.",
            journey.portal()
        ),
    ])?;
    // What servers said is for the study team.
    ensure!(
        !screen.text.contains("value[x]") && !screen.text.contains("HTTP"),
        "the patient reads what a server said: {screen}"
    );
    Ok(())
}

async fn a_chart_without_records_is_no_failure_and_draws_nothing(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 0);
        let plan = serde_json::json!([{"label": "Labs", "type": "Observation", "parameters": {"category": "laboratory"}}]);
        world.settings.jhe.page.plan = Some(plan);
    }
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_lines(&["No records were found", "Nothing found: Labs"])?;
    screen.expect_texts(&["Nothing went wrong."])?;
    screen.expect_fact("Now at the study", "0 records")?;
    draws_nothing(journey).await
}

async fn nothing_of_it_leaves_the_page(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    journey.connect().await?.expect_done()?;
    let before = journey.world().request_log().len();

    let unfold =
        "for (const fold of document.querySelectorAll('details')) fold.open = true; return true";
    let _: bool = browser.evaluate(unfold).await?;
    saved(journey, ".jc-save:not(.jc-report)", "records-receipt.txt").await?;
    saved_report(journey).await?;
    speak(journey, "es").await?;
    let folder = "/static/";
    let log = journey.world().request_log().to_vec();
    let is_ours = |request: &&LoggedRequest| {
        request.server == Server::Jhe
            && request.method == "GET"
            && request.target.starts_with(folder)
            && !request.target.contains('?')
    };
    let foreign = log.iter().skip(before).find(|request| !is_ours(request));
    ensure!(foreign.is_none(), "the page asked for {foreign:?}");
    Ok(())
}

/// Opens the choices at the end, and ends the access.
async fn ends_access(journey: &Journey) -> Result<Screen> {
    let browser = &journey.browser;
    browser.click(".jc-choices > .jc-fold > summary").await?;
    browser.press_named("forget").await?;
    browser
        .until("the access to be ended", async || {
            Ok(match browser.screen_now().await? {
                Some(screen) if screen.text.contains("has thrown both keys away") => {
                    Glance::Seen(screen)
                }
                _ => Glance::NotYet,
            })
        })
        .await
}

async fn access_is_ended_at_both_servers(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.world().settings.ehr.revocation = Some(true);
    journey.connect().await?.expect_done()?;
    let screen = ends_access(journey).await?;
    screen.expect_texts(&["has ended its key", "The study's server has ended its key."])?;
    ensure!(!screen.offers("forget"), "it is offered again: {screen}");
    for (server, path) in [(Server::Ehr, "/revoke"), (Server::Jhe, "/o/revoke_token/")] {
        ensure!(
            revoked(journey, server, path).len() == 1,
            "the token of {server:?} was not ended"
        );
    }
    no_token_is_kept(journey).await
}

async fn what_can_not_be_ended_is_told(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.world().settings.ehr.revocation = Some(false);
    let at_jhe = Match::on(Server::Jhe).path("/o/revoke_token/");
    journey.fail(
        at_jhe,
        Fault::status(503, "text/html", "<h1>Back soon</h1>"),
    );
    journey.connect().await?.expect_done()?;
    let screen = ends_access(journey).await?;
    screen.expect_texts(&[
        &format!("{} has no way to end its key from here.", journey.portal()),
        "The study's server could not be reached to end its key.",
    ])?;
    no_token_is_kept(journey).await
}

/// What could go on can't any more, and the page does not say that it can.
async fn after_access_was_ended_a_broken_run_is_over(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.let_jhe_settle_soon();
    let goals = Match::on(Server::Ehr).method("GET").path("/Goal?");
    journey.fail(goals, Fault::DropConnection);
    let screen = journey.connect().await?;
    screen.expect_action("Try again")?;
    let screen = ends_access(journey).await?;
    no_token_is_kept(journey).await?;
    ensure!(
        !screen.offers("try-again"),
        "the page offers to go on without any access: {screen}"
    );
    Ok(())
}
