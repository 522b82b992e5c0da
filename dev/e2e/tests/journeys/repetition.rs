//! Patients reload, go back, and open things twice.

use anyhow::{Result, ensure};
use e2e::browser::{State, counted};
use e2e::journey::{CAMILA, Journey, Page, read_backs};
use e2e::journeys;
use e2e::records::expect_arrival;
use sandbox::{Fault, Server};

journeys!(both_layouts: [
    a_reload_of_the_finished_page_does_not_import_again,
    a_callback_opened_twice_does_not_import_again,
    a_callback_opened_again_in_another_tab_does_nothing,
    a_reload_of_the_connect_page_works,
    a_second_run_sends_nothing_again,
    a_second_run_looks_at_every_page_although_nothing_is_new_on_the_first,
]);

async fn a_reload_of_the_finished_page_does_not_import_again(journey: &Journey) -> Result<()> {
    let first = journey.connect().await?;
    first.expect_done()?;
    let before = Moved::so_far(journey);

    journey.browser.reload().await?;
    let again = journey.browser.wait_until_settled().await?;
    again.expect_done()?;
    let labs = counted(journey.labs_of(CAMILA).len());
    again.expect_lines(&[
        "This was finished before. Nothing was sent again.",
        &format!("Labs: {labs}"),
    ])?;
    before.expect_nothing_more(journey)
}

async fn a_callback_opened_twice_does_not_import_again(journey: &Journey) -> Result<()> {
    journey.connect().await?.expect_done()?;
    let (before, callback) = (Moved::so_far(journey), callback_address(journey)?);

    journey.browser.open(&callback).await?;
    journey.browser.wait_until_settled().await?;
    before.expect_nothing_more(journey)
}

async fn a_callback_opened_again_in_another_tab_does_nothing(journey: &Journey) -> Result<()> {
    journey.connect().await?.expect_done()?;
    let (before, callback) = (Moved::so_far(journey), callback_address(journey)?);

    journey.browser.open_tab().await?;
    journey.browser.open(&callback).await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some("callback.unknown_state"))
        .await?;
    before.expect_nothing_more(journey)
}

async fn a_reload_of_the_connect_page_works(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey.connect().await?.expect_done()
}

async fn a_second_run_sends_nothing_again(journey: &Journey) -> Result<()> {
    let labs = journey.labs_of(CAMILA);
    journey.connect().await?.expect_done()?;
    let again = journey.connect().await?;
    again.expect_done()?;
    again.expect_lines(&[&format!(
        "All of your {} records were there before. Nothing new had to be added.",
        labs.len()
    )])?;
    again.expect_records(labs.len(), 0)?;
    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())?;
    let registered = journey.requests(Server::Jhe, "POST", "/fhir_sources").len();
    ensure!(registered == 1, "expected one source, found {registered}");
    Ok(())
}

async fn a_second_run_looks_at_every_page_although_nothing_is_new_on_the_first(
    journey: &Journey,
) -> Result<()> {
    {
        let mut world = journey.world();
        // More than what is fetched ahead of the writes.
        world.give_labs(CAMILA.user, 300);
        world.settings.ehr.page_size = 50;
    }
    journey.connect().await?.expect_done()?;
    journey.world().give_labs(CAMILA.user, 310);
    // Meanwhile as much is fetched as may be before it is known what is there.
    journey.fail(read_backs(), Fault::Delay { millis: 1_000 });
    let again = journey.connect().await?;
    again.expect_done()?;
    again.expect_lines(&["10 new records were added. 300 were there before."])?;
    again.expect_records(310, 10)?;
    expect_arrival(
        &journey.rows(),
        &journey.labs_of(CAMILA),
        &journey.sandbox.iss(),
    )
}

/// Where the hospital has sent the patient back to, with code and state.
fn callback_address(journey: &Journey) -> Result<String> {
    let callback = journey.page(Page::Callback, &[]);
    let path = callback.trim_start_matches(journey.sandbox.jhe());
    let visit = journey.requests(Server::Jhe, "GET", path).pop();
    ensure!(
        visit
            .as_ref()
            .is_some_and(|visit| visit.target.contains("code=")),
        "no callback was opened: {visit:?}"
    );
    Ok(format!(
        "{}{}",
        journey.sandbox.jhe(),
        visit.map(|visit| visit.target).unwrap_or_default()
    ))
}

/// How much has been asked for and written.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    rows: usize,
    searches: usize,
    exchanges: usize,
}

impl Moved {
    fn so_far(journey: &Journey) -> Self {
        Self {
            rows: journey.rows().len(),
            searches: journey.searches().len(),
            exchanges: journey.requests(Server::Ehr, "POST", "/token").len(),
        }
    }

    fn expect_nothing_more(&self, journey: &Journey) -> Result<()> {
        let now = Self::so_far(journey);
        ensure!(
            *self == now,
            "expected nothing more to move than {self:?}, found {now:?}"
        );
        Ok(())
    }
}
