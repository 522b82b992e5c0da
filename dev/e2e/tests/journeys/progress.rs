//! While records are copied: how far it is, how to pause and to stop, and that nothing jumps about.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Capability, Glance, PATIENCE, Screen};
use e2e::emulation::{Circumstances, Device};
use e2e::journey::{CAMILA, Journey, batches, pages};
use e2e::records::expect_each_once;
use sandbox::{Fault, LoggedRequest, Server, Total};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::going_on::busy;
use crate::person::reach_person;

access_journeys!(
    drop_in: [
        each_kind_has_its_place_from_the_first_moment_on,
        the_bar_says_how_far_it_is_as_soon_as_that_is_known,
        the_bar_claims_nothing_where_nobody_knows_how_much_there_is,
        a_pause_stops_every_request_and_going_on_finishes,
        who_stops_keeps_what_arrived_and_may_go_on,
        a_wait_is_told_in_words,
        nothing_moves_on_a_slow_phone,
        the_first_screen_is_there_soon_on_a_slow_phone,
    ],
    plain_named: [
        each_kind_has_its_place_from_the_first_moment_on,
        a_pause_stops_every_request_and_going_on_finishes,
        who_stops_keeps_what_arrived_and_may_go_on,
        nothing_moves_on_a_slow_phone,
        the_first_screen_is_there_soon_on_a_slow_phone,
    ],
);

/// Notes what the panel looks like whenever it changes.
const WATCH_PANEL: &str = "(() => {
    window.panels = [];
    new MutationObserver(() => {
        const root = document.querySelector('[data-jhe-connect-screen=importing]');
        if (!root?.querySelector('.jc-rows')) return;
        const bar = root.querySelector('progress');
        const panel = {
            kinds: [...root.querySelectorAll('.jc-kind')].map((it) => it.textContent),
            states: [...root.querySelectorAll('.jc-state')].map((it) => it.textContent),
            bar: bar.hasAttribute('value') ? [bar.value, bar.max] : null,
        };
        if (JSON.stringify(panel) !== JSON.stringify(window.panels.at(-1))) window.panels.push(panel);
    }).observe(document, { subtree: true, childList: true, attributes: true });
})();";

/// How the panel looked at one moment.
#[derive(Clone, Debug, Deserialize)]
struct Panel {
    kinds: Vec<String>,
    states: Vec<String>,
    bar: Option<(f64, f64)>,
}

async fn panels(journey: &Journey) -> Result<Vec<Panel>> {
    journey.browser.evaluate("return window.panels").await
}

/// From the invitation link to the first moment of the import.
pub(crate) async fn reach_import(journey: &Journey) -> Result<Screen> {
    journey.browser.prepare_pages(WATCH_PANEL).await?;
    reach_person(journey, CAMILA).await?;
    journey.browser.press_named("yes-me").await?;
    journey.browser.wait_for_screen("importing").await
}

/// So many labs, and nothing else is asked for.
fn only_labs(journey: &Journey, count: usize) {
    let mut world = journey.world();
    world.give_labs(CAMILA.user, count);
    let plan =
        json!([{"label": "Labs", "type": "Observation", "parameters": {"category": "laboratory"}}]);
    world.settings.jhe.page.plan = Some(plan);
}

async fn each_kind_has_its_place_from_the_first_moment_on(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    reach_import(journey).await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    let panels = panels(journey).await?;
    let expected: Vec<_> = journey.chart().iter().map(|(label, _)| *label).collect();
    for panel in &panels {
        let mut kinds: Vec<_> = panel.kinds.iter().map(String::as_str).collect();
        let mut all = expected.clone();
        kinds.sort_unstable();
        all.sort_unstable();
        ensure!(
            kinds == all && panel.states.iter().all(|state| !state.is_empty()),
            "expected a place for each of {expected:?} at once, found {panel:?}"
        );
    }
    let first = panels.first().context("no panel was seen")?;
    ensure!(
        (panels.iter()).all(|panel| panel.kinds == first.kinds),
        "a kind has changed its place"
    );
    Ok(())
}

/// The first page is there, the second one waits: how the bar was until then.
async fn bar_after_the_first_page(journey: &Journey) -> Result<Option<(f64, f64)>> {
    only_labs(journey, 30);
    journey.fail(pages().after(1), Fault::Delay { millis: 3_000 });
    reach_import(journey).await?;
    journey.browser.wait_for_text("10 found so far").await?;
    let mut panels = panels(journey).await?;
    // By now the further pages may be there.
    panels.retain(|panel| {
        let mut states = panel.states.iter();
        states.any(|state| state == "10 found so far")
    });
    let panel = panels.pop();
    journey.world().clear_faults();
    journey.browser.wait_until_settled().await?.expect_done()?;
    Ok(panel.context("no panel was seen")?.bar)
}

async fn the_bar_says_how_far_it_is_as_soon_as_that_is_known(journey: &Journey) -> Result<()> {
    let totals = [(journey.vendor(), Total::Search)];
    journey.world().settings.ehr.totals = totals.into_iter().collect();
    let bar = bar_after_the_first_page(journey).await?;
    ensure!(
        bar.is_some_and(|(done, all)| done <= 10.0 && all == 30.0),
        "expected a part of 30, found {bar:?}"
    );
    let values: Vec<_> = panels(journey)
        .await?
        .iter()
        .filter_map(|it| it.bar)
        .collect();
    ensure!(
        values.is_sorted_by(|one, next| one.0 <= next.0),
        "the bar went back: {values:?}"
    );
    Ok(())
}

async fn the_bar_claims_nothing_where_nobody_knows_how_much_there_is(
    journey: &Journey,
) -> Result<()> {
    let totals = [(journey.vendor(), Total::Absent)];
    journey.world().settings.ehr.totals = totals.into_iter().collect();
    let bar = bar_after_the_first_page(journey).await?;
    ensure!(bar.is_none(), "the bar claims to know: {bar:?}");
    Ok(())
}

/// The requests for records, and those that write any.
fn moves(journey: &Journey) -> usize {
    let is_move = |request: &&LoggedRequest| {
        request.method != "OPTIONS" && (request.server == Server::Ehr || request.method == "POST")
    };
    journey.world().request_log().iter().filter(is_move).count()
}

/// Nothing is asked for and nothing sent for as long as it would take many records.
async fn comes_to_rest(journey: &Journey) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = moves(journey);
        sleep(Duration::from_millis(700)).await;
        if moves(journey) == before {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "requests go on");
    }
}

/// The middle of an import of labs: a batch is there, the next ones take their time.
async fn reach_the_middle(journey: &Journey) -> Result<()> {
    only_labs(journey, 300);
    {
        let mut world = journey.world();
        world.settings.ehr.page_size = 50;
        world.settings.jhe.time_per_record_ms = 4;
        // So that not all is read before the patient can press anything.
        world.settings.ehr.latency_ms = 100;
    }
    reach_import(journey).await?;
    journey.rows_reach(20).await
}

async fn a_pause_stops_every_request_and_going_on_finishes(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_the_middle(journey).await?;
    browser.press_named("pause").await?;
    let screen = browser
        .wait_for_text("Nothing more is copied until you go on")
        .await?;
    ensure!(
        screen.offers("resume") && !screen.offers("pause"),
        "expected a way to go on, found {screen}"
    );
    comes_to_rest(journey).await?;
    let rows = journey.rows().len();
    ensure!(rows < 300, "all arrived before the pause");

    browser.press_named("resume").await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))
}

async fn who_stops_keeps_what_arrived_and_may_go_on(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_the_middle(journey).await?;
    browser.press_named("stop").await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_screen("stopped")?;
    screen.expect_lines(&["You stopped the copying"])?;
    let rows = journey.rows().len();
    ensure!(
        0 < rows && rows < 300,
        "expected a part of the labs, found {rows}"
    );
    screen.expect_records(rows, rows)?;
    comes_to_rest(journey).await?;
    ensure!(
        journey.rows().len() == rows,
        "more arrived after the page had told how many"
    );

    browser
        .leaves_by(async || browser.press_named("try-again").await)
        .await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))
}

async fn a_wait_is_told_in_words(journey: &Journey) -> Result<()> {
    only_labs(journey, 20);
    journey.fail(pages().after(1).once(), busy(503));
    reach_import(journey).await?;
    let words = format!(
        "{} does not answer right now. We try again in",
        journey.portal()
    );
    let (seconds, screen) = journey.browser.wait_for_countdown(&words, 7).await?;
    screen.expect_screen("importing")?;
    // It is counted down, and gone when it goes on.
    journey.browser.wait_for_countdown(&words, seconds).await?;
    journey
        .browser
        .until("the wait to be over", async || {
            let screen = journey.browser.screen_now().await?;
            Ok(match screen {
                Some(screen) if screen.text.contains("We try again") => Glance::NotYet,
                _ => Glance::Seen(()),
            })
        })
        .await?;
    journey.browser.wait_until_settled().await?.expect_done()
}

async fn nothing_moves_on_a_slow_phone(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    if browser.cannot_make_this_without(Capability::Figures) {
        return Ok(());
    }
    journey.has_a_short_chart();
    journey.world().give_labs(CAMILA.user, 400);
    // One batch waits until the figures of the import are taken.
    journey.fail(batches().after(3), Fault::Delay { millis: 60_000 });
    browser.record_figures().await?;
    reach_person(journey, CAMILA).await?;
    browser
        .emulate(Circumstances {
            device: Device::PHONE,
            slowness: 4,
            ..Circumstances::default()
        })
        .await?;
    browser.press_named("yes-me").await?;
    browser.wait_for_screen("importing").await?;
    journey.rows_reach(150).await?;
    let figures = browser.figures().await?;
    println!(
        "importing on a phone four times slower: longest task {:.0} ms, {} tasks of 50 ms or more, blocked for {:.0} ms, moved by {:.3}",
        figures.longest_task(),
        figures.tasks.len(),
        figures.blocked(),
        figures.moved()
    );
    ensure!(
        figures.moved() <= 0.1,
        "expected nothing to move, found {:?}",
        figures.shifts
    );
    journey.world().clear_faults();
    Ok(())
}

/// How soon is for a reader of the figures: a time that a machine has to keep would fail on a busy one.
async fn the_first_screen_is_there_soon_on_a_slow_phone(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    let phone = Circumstances {
        device: Device::PHONE,
        slowness: 4,
        ..Circumstances::default()
    };
    browser.emulate(phone).await?;
    browser.record_figures().await?;
    journey.open_invitation().await?;
    browser.wait_for_one_of(&["choosing", "sharing"]).await?;
    let figures = browser.figures().await?;
    println!(
        "connect page on a phone four times slower: first paint {:.0} ms, largest {:.0} ms, longest task {:.0} ms, moved by {:.3}",
        figures.first_contentful_paint().unwrap_or_default(),
        figures.largest_contentful_paint().unwrap_or_default(),
        figures.longest_task(),
        figures.moved()
    );
    ensure!(
        figures.first_contentful_paint().is_some() && figures.moved() <= 0.1,
        "expected a screen that stays where it is, found {:?}",
        figures.shifts
    );
    Ok(())
}
