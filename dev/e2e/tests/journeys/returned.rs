//! The hospital shows a page of its own and sends nobody back. Who comes back anyway is asked what happened.

use anyhow::{Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Glance, Screen};
use e2e::journey::{CAMILA, Journey};
use sandbox::Server;

use crate::sharing::{no_token_is_kept, reach_sharing};

access_journeys!(
    drop_in: [
        who_goes_back_may_try_again_and_gets_through,
        who_saw_an_error_is_told_whom_to_tell,
        who_opens_the_link_again_is_asked_as_well,
    ],
    plain_named: [
        who_goes_back_may_try_again_and_gets_through,
        who_saw_an_error_is_told_whom_to_tell,
        who_can_not_sign_in_is_told_who_can_help,
        who_does_not_go_on_leaves_nothing_behind,
        who_opens_the_link_again_is_asked_as_well,
    ],
);

/// From the invitation link to an error page of the hospital.
async fn reach_an_error_page(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.world().settings.ehr.own_error_page = true;
    reach_sharing(journey).await?;
    browser.press_named("continue").await?;
    browser
        .until("the hospital's own page", async || {
            let address = browser.address().await?;
            Ok(match address.as_str().starts_with(journey.sandbox.ehr()) {
                true => Glance::Seen(()),
                false => Glance::NotYet,
            })
        })
        .await
}

/// From there back to our page, which asks.
pub(crate) async fn come_back(journey: &Journey) -> Result<Screen> {
    reach_an_error_page(journey).await?;
    journey.browser.back().await?;
    let screen = journey.browser.wait_for_screen("returned").await?;
    ensure!(
        ["try-again", "saw-error", "no-login", "give-up"]
            .iter()
            .all(|answer| screen.offers(answer)),
        "expected four answers, found {screen}"
    );
    Ok(screen)
}

/// The hospital is well again, and the patient goes there.
async fn gets_through(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.world().settings.ehr.own_error_page = false;
    journey.has_a_short_chart();
    browser.press_named("try-again").await?;
    let screen = browser.wait_for_one_of(&["choosing", "sharing"]).await?;
    ensure!(screen.code.is_none(), "the code stays: {screen}");
    if screen.name.as_deref() == Some("choosing") {
        browser
            .pick_by_keys(journey.vendor().facility_name())
            .await?;
        browser.wait_for_screen("sharing").await?;
    }
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()
}

async fn who_goes_back_may_try_again_and_gets_through(journey: &Journey) -> Result<()> {
    let screen = come_back(journey).await?;
    screen.expect_texts(&[&format!("You went to {} to sign in", journey.portal())])?;
    gets_through(journey).await
}

async fn who_saw_an_error_is_told_whom_to_tell(journey: &Journey) -> Result<()> {
    come_back(journey).await?;
    journey.browser.press_named("saw-error").await?;
    let screen = journey.browser.wait_for_screen("error-page").await?;
    screen.expect_code("authorization.error_page")?;
    screen.expect_texts(&["not from you", &journey.listed_base(), "Talk to a person"])?;
    journey.expect_logged("authorization.error_page").await?;
    gets_through(journey).await
}

async fn who_can_not_sign_in_is_told_who_can_help(journey: &Journey) -> Result<()> {
    come_back(journey).await?;
    journey.browser.press_named("no-login").await?;
    let screen = journey.browser.wait_for_screen("no-login").await?;
    screen.expect_texts(&["can help you with your login", "Forgot password"])?;
    ensure!(
        screen.code.is_none(),
        "a forgotten login is no failure: {screen}"
    );
    gets_through(journey).await
}

async fn who_does_not_go_on_leaves_nothing_behind(journey: &Journey) -> Result<()> {
    come_back(journey).await?;
    journey.browser.press_named("give-up").await?;
    let screen = journey.browser.wait_for_screen("gave-up").await?;
    screen.expect_texts(&["You chose not to go on"])?;
    no_token_is_kept(journey).await?;
    journey.expect_no_record_moved()
}

async fn who_opens_the_link_again_is_asked_as_well(journey: &Journey) -> Result<()> {
    reach_an_error_page(journey).await?;
    let redeemed = || {
        journey
            .requests(Server::Jhe, "POST", "/api/v1/invitation/")
            .len()
    };
    let before = redeemed();
    journey.open_invitation().await?;
    journey.browser.wait_for_screen("returned").await?;
    ensure!(
        redeemed() == before,
        "the invitation was redeemed before the patient answered"
    );
    gets_through(journey).await
}
