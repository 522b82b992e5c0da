//! Hospitals that can't work are found out before the patient leaves, and there is a way on from each.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::access_journeys;
use e2e::browser::Key;
use e2e::journey::{CAMILA, Journey, visit};
use sandbox::{Broken, Server, Vendor};

access_journeys!(
    drop_in: [
        a_hospital_that_works_again_is_gone_to_after_try_again,
    ],
    plain_picked: [
        a_hospital_that_works_again_is_gone_to_after_try_again,
        after_a_broken_hospital_another_one_carries_a_patient_through,
    ],
    plain_named: [
        a_hospital_that_works_again_is_gone_to_after_try_again,
    ],
);

/// A test for each way in which a hospital can be broken.
macro_rules! broken {
    ($($journey:ident: $broken:ident => $code:literal,)*) => {
        $(#[test]
        fn $journey() {
            visit(e2e::journey::Access::PlainPicked, Vendor::Hapi, async |journey: &Journey| {
                is_told_in_time_with_a_way_on(journey, Broken::$broken, $code).await
            });
        })*
    };
}

broken!(
    a_hospital_with_nothing_to_discover_is_told_in_time: NothingToDiscover => "discovery.incomplete",
    a_hospital_whose_discovery_is_not_for_browsers_is_told_in_time: NoCorsAtDiscovery => "discovery.unreachable",
    a_hospital_whose_records_are_not_for_browsers_is_told_in_time: NoCorsAtMetadata => "discovery.not_readable",
    a_hospital_without_s256_is_told_in_time: NoS256 => "discovery.no_s256",
    a_hospital_that_does_not_answer_is_told_in_time: Silent => "discovery.unreachable",
    a_hospital_that_answers_with_a_web_page_is_told_in_time: Html => "discovery.not_json",
    a_hospital_with_an_internal_error_is_told_in_time: ServerError => "discovery.refused",
    a_hospital_with_an_endpoint_without_https_is_told_in_time: InsecureEndpoint => "discovery.insecure_endpoint",
);

/// What a patient is made to wait at most, and what it takes to look.
const IN_TIME: Duration = Duration::from_millis(5_000 + 500);

async fn is_told_in_time_with_a_way_on(
    journey: &Journey,
    broken: Broken,
    code: &str,
) -> Result<()> {
    let browser = &journey.browser;
    breaks(journey, Some(broken));
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let begun = chooses(journey).await?;
    let screen = browser.wait_for_screen("failed").await?;
    let took = begun.elapsed();
    screen.expect_code(code)?;
    ensure!(took < IN_TIME, "it took {took:?}");
    ensure!(
        (screen.heading.as_deref()).is_some_and(|it| it.contains(journey.portal())),
        "expected the hospital to be named, found {screen}"
    );
    ensure!(
        screen.offers("try-again") && screen.offers("another-hospital"),
        "expected ways on, found {screen}"
    );
    screen.expect_texts(&["Talk to a person", code])?;
    nobody_was_sent_anywhere(journey)?;

    browser.press_named("another-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    let other = Vendor::Epic.facility_name();
    browser.pick_by_keys(other).await?;
    let screen = browser.wait_for_screen("sharing").await?;
    ensure!(screen.code.is_none(), "the code stays: {screen}");
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    let gone = journey.requests(Server::Ehr, "GET", "/authorize");
    ensure!(gone.len() == 1, "expected one sign-in, found {gone:?}");
    Ok(())
}

async fn after_a_broken_hospital_another_one_carries_a_patient_through(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    breaks(journey, Some(Broken::NoS256));
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    chooses(journey).await?;
    browser.wait_for_screen("failed").await?;
    browser.press_named("another-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    let other = Vendor::Meditech.facility_name();
    browser.pick_by_keys(other).await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    screen.expect_fact("Hospital", other)
}

async fn a_hospital_that_works_again_is_gone_to_after_try_again(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    breaks(journey, Some(Broken::ServerError));
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let screen = browser.wait_for_one_of(&["choosing", "failed"]).await?;
    if screen.name.as_deref() == Some("choosing") {
        chooses(journey).await?;
    }
    let screen = browser.wait_for_screen("failed").await?;
    screen.expect_code("discovery.refused")?;
    nobody_was_sent_anywhere(journey)?;

    // Still broken: the same is said again.
    browser.press_named("try-again").await?;
    browser.wait_for_screen("failed").await?;
    breaks(journey, None);
    browser.press_named("try-again").await?;
    let screen = browser.wait_for_screen("sharing").await?;
    ensure!(screen.code.is_none(), "the code stays: {screen}");
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await
}

/// Picks the patient's hospital from the list; gives the moment before the last key.
async fn chooses(journey: &Journey) -> Result<Instant> {
    let browser = &journey.browser;
    let name = journey.vendor().facility_name();
    browser.search_for(name).await?;
    browser.mark_hospital(name).await?;
    let begun = Instant::now();
    browser.press(&[Key::Enter]).await?;
    Ok(begun)
}

/// Breaks the patient's hospital in this way, or mends it.
fn breaks(journey: &Journey, broken: Option<Broken>) {
    let broken = broken.map(|broken| (journey.vendor(), broken));
    journey.world().settings.ehr.broken = broken.into_iter().collect();
}

fn nobody_was_sent_anywhere(journey: &Journey) -> Result<()> {
    let sent = journey.requests(Server::Ehr, "GET", "/authorize");
    ensure!(sent.is_empty(), "the patient was sent away: {sent:?}");
    Ok(())
}
