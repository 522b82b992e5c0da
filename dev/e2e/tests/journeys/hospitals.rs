//! Several hospitals in one visit, and coming back to one that is known.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Screen, State, counted};
use e2e::journey::{CAMILA, Journey};
use e2e::{journeys, watch};
use sandbox::{Broken, FIRST_PATIENT, Fault, Match, RefreshTokens, Server, Vendor};

access_journeys!(
    drop_in: [
        two_hospitals_end_in_one_receipt,
        a_hospital_that_gives_nothing_is_tried_again_alone,
        a_no_at_the_second_hospital_leaves_the_first_as_it_is,
        a_hospital_that_does_not_answer_can_be_left_for_the_list,
        a_reload_keeps_the_list_and_after_it_the_link_leads_on,
        who_adds_no_hospital_after_all_is_back_at_the_list,
        where_the_token_is_revoked_the_link_leads_to_another_hospital,
        a_known_hospital_is_one_tap_away_and_nothing_is_doubled,
        several_known_hospitals_are_listed_and_one_tap_goes_there,
        a_list_of_sources_that_fails_stops_nothing,
        a_source_without_a_name_is_called_as_in_the_list_of_hospitals,
        how_long_the_access_lasts_is_told_where_the_hospital_says_so,
    ],
    plain_picked: [
        two_hospitals_end_in_one_receipt,
        a_known_hospital_is_one_tap_away_and_nothing_is_doubled,
    ],
    plain_named: [
        the_only_hospital_is_known_again_and_no_other_is_offered,
    ],
);

mod single {
    use super::*;

    journeys!(drop_in: [who_comes_back_to_mychart_is_told_that_only_new_records_are_added]);
}

const FIRST: &str = "Canal Side Hospital";
const SECOND: &str = "Harbor Light Medical Center";

async fn two_hospitals_end_in_one_receipt(journey: &Journey) -> Result<()> {
    let first = both_are_done(journey).await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    let all = journey.rows().len();
    screen.expect_lines(&[
        "Your hospitals",
        &format!(
            "{} from {SECOND} are now at the study.",
            counted(all - first)
        ),
        &format!("What was shared from {FIRST}"),
        &format!("What was shared from {SECOND}"),
    ])?;
    screen.expect_texts(&[&format!("{} copied", counted(first))])?;
    screen.expect_fact("Hospital", &format!("{SECOND} and {FIRST}"))?;
    screen.expect_fact("Now at the study", &counted(all))?;
    ensure!(
        !screen.offers("hospital") && screen.offers("add-hospital"),
        "expected only the way to a third hospital, found {screen}"
    );
    let sources: BTreeSet<_> = journey.rows().iter().map(|row| row.source).collect();
    ensure!(
        sources.len() == 2,
        "expected two sources, found {sources:?}"
    );
    watch::check(journey).await
}

async fn a_hospital_that_gives_nothing_is_tried_again_alone(journey: &Journey) -> Result<()> {
    let first = the_first_is_done(journey).await?;
    // The patient's own resource is there, all else is not.
    let searches = Match::on(Server::Ehr)
        .method("GET")
        .path("ec2458f2-sandbox-tenant/");
    journey.fail(
        searches.after(3),
        Fault::status(403, "application/json", "{}"),
    );
    add(journey, Vendor::OracleHealth).await?;
    let screen = settled(journey).await?;
    ensure!(
        screen.state != State::Done && screen.offers("hospital"),
        "expected the second hospital to be open, found {screen}"
    );
    screen.expect_texts(&["Your hospitals", &format!("{} copied", counted(first))])?;

    journey.world().clear_faults();
    let asked = asked_at_the_first(journey);
    journey.browser.press_named("hospital").await?;
    journey.browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    screen.expect_fact("Now at the study", &counted(journey.rows().len()))?;
    ensure!(
        !screen.offers("hospital"),
        "something is left open: {screen}"
    );
    ensure!(
        asked_at_the_first(journey) == asked,
        "the first hospital was asked again"
    );
    Ok(())
}

async fn a_no_at_the_second_hospital_leaves_the_first_as_it_is(journey: &Journey) -> Result<()> {
    let first = the_first_is_done(journey).await?;
    let browser = &journey.browser;
    browser.press_named("add-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    browser
        .pick_by_keys(Vendor::OracleHealth.facility_name())
        .await?;
    browser.wait_for_login_form().await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser.deny().await?;
    let screen = browser
        .wait_for_state(State::Failed, Some("authorization.denied"))
        .await?;
    ensure!(screen.offers("overview"), "no way to the list: {screen}");
    watch::check(journey).await?;

    browser.press_named("overview").await?;
    let screen = browser.wait_for_screen("partly").await?;
    screen.expect_texts(&[
        "Your hospitals",
        &format!("{} copied", counted(first)),
        "Could not be read",
    ])?;
    browser.press_named("hospital").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    screen.expect_fact("Hospital", &format!("{SECOND} and {FIRST}"))
}

async fn a_hospital_that_does_not_answer_can_be_left_for_the_list(journey: &Journey) -> Result<()> {
    the_first_is_done(journey).await?;
    let browser = &journey.browser;
    browser.press_named("add-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    browser
        .pick_by_keys(Vendor::OracleHealth.facility_name())
        .await?;
    browser.wait_for_login_form().await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser.deny().await?;
    browser.wait_for_screen("failed").await?;
    journey.world().settings.ehr.broken = [(Vendor::OracleHealth, Broken::NoS256)].into();
    browser.press_named("overview").await?;
    browser.wait_for_screen("partly").await?;
    browser.press_named("hospital").await?;
    let screen = browser
        .wait_for_state(State::Failed, Some("discovery.no_s256"))
        .await?;
    ensure!(
        screen.offers("try-again") && screen.offers("overview"),
        "expected two ways on, found {screen}"
    );
    browser
        .leaves_by(async || browser.press_named("overview").await)
        .await?;
    let screen = browser.wait_for_screen("partly").await?;
    ensure!(screen.offers("hospital"), "the way is lost: {screen}");
    Ok(())
}

async fn a_reload_keeps_the_list_and_after_it_the_link_leads_on(journey: &Journey) -> Result<()> {
    let first = both_are_done(journey).await?;
    settled(journey).await?;
    journey.browser.reload().await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    let all = journey.rows().len();
    screen.expect_lines(&[
        "Your hospitals",
        "This was finished before. Nothing was sent again.",
        "To add one more hospital, open the link in your invitation again.",
    ])?;
    screen.expect_texts(&[
        &format!("{} copied", counted(first)),
        &format!("{} are now at the study.", counted(all)),
    ])?;
    screen.expect_fact("Now at the study", &counted(all))?;
    ensure!(!screen.offers("add-hospital"), "without a token: {screen}");

    // A new visit begins at the link.
    journey.open_invitation().await?;
    journey
        .browser
        .wait_for_screen("connections")
        .await
        .map(drop)
}

async fn who_adds_no_hospital_after_all_is_back_at_the_list(journey: &Journey) -> Result<()> {
    let first = the_first_is_done(journey).await?;
    let browser = &journey.browser;
    browser.press_named("add-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    browser.reload().await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    screen.expect_texts(&[&format!("{} are now at the study.", counted(first))])?;
    ensure!(screen.offers("add-hospital"), "the way is lost: {screen}");
    browser.press_named("add-hospital").await?;
    browser.wait_for_screen("choosing").await.map(drop)
}

async fn where_the_token_is_revoked_the_link_leads_to_another_hospital(
    journey: &Journey,
) -> Result<()> {
    journey.world().settings.jhe.page.revoke_token = Some(true);
    journey.has_a_short_chart();
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_lines(&["To add one more hospital, open the link in your invitation again."])?;
    ensure!(!screen.offers("add-hospital"), "found {screen}");
    Ok(())
}

async fn a_known_hospital_is_one_tap_away_and_nothing_is_doubled(journey: &Journey) -> Result<()> {
    let first = the_first_is_done(journey).await?;
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let screen = journey.browser.wait_for_screen("welcome").await?;
    screen.expect_texts(&[
        "Welcome back",
        &format!("You shared records from {FIRST} before. Only what is new will be added."),
        "These records will be copied:",
    ])?;
    screen.expect_fact("Hospital", FIRST)?;
    ensure!(
        screen.action.as_deref() == Some("Go on to sign in") && screen.offers("another-hospital"),
        "found {screen}"
    );
    journey.browser.press_named("continue").await?;
    journey.browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    screen.expect_records(first, 0)?;
    ensure!(journey.rows().len() == first, "something was doubled");
    let sources: BTreeSet<_> = journey.rows().iter().map(|row| row.source).collect();
    ensure!(
        sources.len() == 1,
        "expected the same source, found {sources:?}"
    );
    let registered = journey.requests(Server::Jhe, "POST", "/fhir_sources");
    let registered: Vec<_> = (registered.iter())
        .filter(|request| !request.target.contains("index_refs"))
        .collect();
    ensure!(registered.len() == 1, "registered: {registered:?}");

    journey.open_invitation().await?;
    journey.browser.wait_for_screen("welcome").await?;
    journey.browser.press_named("another-hospital").await?;
    journey.browser.wait_for_screen("choosing").await.map(drop)
}

async fn several_known_hospitals_are_listed_and_one_tap_goes_there(
    journey: &Journey,
) -> Result<()> {
    both_are_done(journey).await?;
    settled(journey).await?;
    journey.open_invitation().await?;
    let screen = journey.browser.wait_for_screen("connections").await?;
    screen.expect_lines(&[FIRST, SECOND])?;
    screen.expect_texts(&["Welcome back", "These records will be copied:"])?;
    // The one that came last stands first.
    let asked = journey.requests(Server::Ehr, "GET", "/authorize").len();
    journey.browser.press_named("hospital").await?;
    journey.browser.wait_for_login_form().await?;
    let sign_ins = journey.requests(Server::Ehr, "GET", "/authorize");
    let last = sign_ins.last().map(|it| it.target.as_str());
    ensure!(
        sign_ins.len() > asked && last.is_some_and(|it| it.contains("ec2458f2")),
        "expected a sign-in at {SECOND}, found {last:?}"
    );
    Ok(())
}

async fn a_list_of_sources_that_fails_stops_nothing(journey: &Journey) -> Result<()> {
    the_first_is_done(journey).await?;
    let lists = Match::on(Server::Jhe).method("GET").path("/fhir_sources");
    journey.fail(
        lists.clone().once(),
        Fault::status(500, "text/html", "<h1>no</h1>"),
    );
    journey.open_invitation().await?;
    journey.browser.wait_for_screen("choosing").await?;
    // Each time: a browser may ask again of its own accord.
    journey.fail(lists, Fault::DropConnection);
    journey.open_invitation().await?;
    journey.browser.wait_for_screen("choosing").await.map(drop)
}

async fn a_source_without_a_name_is_called_as_in_the_list_of_hospitals(
    journey: &Journey,
) -> Result<()> {
    {
        let mut world = journey.world();
        let base = Vendor::Hapi.listed_base(world.origins());
        let now = world.now();
        let label = "Epic / Patient Access";
        world
            .jhe
            .add_source(FIRST_PATIENT, 70_006, label, &base, now);
    }
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let screen = journey.browser.wait_for_screen("welcome").await?;
    screen.expect_fact("Hospital", Vendor::Hapi.facility_name())
}

async fn how_long_the_access_lasts_is_told_where_the_hospital_says_so(
    journey: &Journey,
) -> Result<()> {
    let lasts = &format!("This page's access to {FIRST} lasts until ");
    journey.has_a_short_chart();
    {
        let ehr = &mut journey.world().settings.ehr;
        ehr.refresh_tokens = RefreshTokens::Always;
    }
    let screen = journey.connect().await?;
    ensure!(!screen.text.contains(lasts), "nobody said so: {screen}");

    journey.world().settings.ehr.refresh_token_seconds = Some(86_400);
    let screen = journey.connect().await?;
    screen.expect_texts(&[lasts, "It ends by itself."])?;
    let today: String = journey
        .browser
        .evaluate(
            "return new Intl.DateTimeFormat('en', { year: 'numeric', month: 'long', day: 'numeric' })
                .format(new Date(Date.now() + 86400000))",
        )
        .await?;
    screen.expect_texts(&[&[lasts, &*today].concat()])
}

async fn the_only_hospital_is_known_again_and_no_other_is_offered(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let screen = journey.connect().await?;
    screen.expect_done()?;
    ensure!(!screen.offers("add-hospital"), "found {screen}");
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let screen = journey.browser.wait_for_screen("welcome").await?;
    ensure!(!screen.offers("another-hospital"), "found {screen}");
    screen.expect_texts(&["You shared records from your hospital before."])
}

async fn who_comes_back_to_mychart_is_told_that_only_new_records_are_added(
    journey: &Journey,
) -> Result<()> {
    journey.connect().await?.expect_done()?;
    let rows = journey.rows().len();
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let screen = journey.browser.wait_for_screen("welcome").await?;
    screen.expect_texts(&["You shared records from MyChart before."])?;
    journey.browser.press_named("continue").await?;
    journey.browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    let screen = settled(journey).await?;
    screen.expect_done()?;
    ensure!(journey.rows().len() == rows, "something was doubled");
    ensure!(!screen.offers("add-hospital"), "found {screen}");
    Ok(())
}

// What these journeys have in common.

/// The first hospital's records are copied; so many.
pub(crate) async fn the_first_is_done(journey: &Journey) -> Result<usize> {
    journey.has_a_short_chart();
    let screen = journey.connect().await?;
    screen.expect_done()?;
    ensure!(
        !screen.text.contains("Your hospitals"),
        "one hospital is no list: {screen}"
    );
    Ok(journey.rows().len())
}

/// Those of two hospitals are; so many of the first one.
pub(crate) async fn both_are_done(journey: &Journey) -> Result<usize> {
    let first = the_first_is_done(journey).await?;
    add(journey, Vendor::OracleHealth).await?;
    Ok(first)
}

/// The patient adds a hospital, and signs in there.
async fn add(journey: &Journey, vendor: Vendor) -> Result<()> {
    journey.browser.press_named("add-hospital").await?;
    journey.browser.wait_for_screen("choosing").await?;
    journey.browser.pick_by_keys(vendor.facility_name()).await?;
    journey.browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await
}

/// What the page shows when it has come to rest behind the hospital.
async fn settled(journey: &Journey) -> Result<Screen> {
    journey.browser.wait_until_settled().await
}

/// How often the first hospital was asked for records.
fn asked_at_the_first(journey: &Journey) -> usize {
    journey.requests(Server::Ehr, "GET", "/interconnect/").len()
}
