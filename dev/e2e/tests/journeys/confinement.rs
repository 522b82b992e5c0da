//! A bearer token goes where it was issued for, and nowhere else, and nothing secret is left behind. [`e2e::watch`] looks after
//! that on every journey; these provoke it.

use anyhow::{Result, ensure};
use e2e::journey::{CAMILA, Journey};
use e2e::journeys;
use e2e::watch::{self, Secrets};
use sandbox::{NextLink, Server};

journeys!(both_layouts: [
    a_next_link_to_another_origin_is_not_followed,
    a_next_link_to_another_path_is_not_followed,
    a_redirected_page_takes_no_token_along,
    no_token_or_verifier_is_left_anywhere,
]);

async fn a_next_link_to_another_origin_is_not_followed(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.next_link = NextLink::OtherOrigin;
    journey.connect().await?.expect_code("pull.next_refused")?;
    only_the_first_page_was_read(journey)
}

async fn a_next_link_to_another_path_is_not_followed(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.next_link = NextLink::OtherPath;
    journey.connect().await?.expect_code("pull.next_refused")?;
    only_the_first_page_was_read(journey)
}

async fn a_redirected_page_takes_no_token_along(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.next_link = NextLink::Redirect;
    let screen = journey.connect().await?;
    ensure!(
        screen
            .code
            .as_deref()
            .is_some_and(|code| code.starts_with("pull.")),
        "expected the run to stop, found {screen}"
    );
    ensure!(
        journey.requests(Server::Evil, "GET", "").is_empty(),
        "the redirect was followed"
    );
    the_first_page_was_kept(journey)
}

async fn no_token_or_verifier_is_left_anywhere(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    watch::check(journey).await?;
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(1).await?;
    watch::check(journey).await?;
    journey.browser.wait_until_settled().await?.expect_done()?;

    // The last look is taken after every journey; this one knows that there was something to look for.
    let secrets = Secrets::in_log(journey.world().request_log());
    ensure!(
        secrets.tokens.len() == 2 && secrets.verifiers.len() == 2,
        "expected two of each, found {secrets:?}"
    );
    Ok(())
}

fn only_the_first_page_was_read(journey: &Journey) -> Result<()> {
    let searches = journey.searches();
    ensure!(searches.len() == 1, "expected one page, found {searches:?}");
    the_first_page_was_kept(journey)
}

fn the_first_page_was_kept(journey: &Journey) -> Result<()> {
    let (rows, page) = (journey.rows().len(), journey.world().settings.ehr.page_size);
    ensure!(
        rows == page,
        "expected the {page} records of the first page to stay, found {rows}"
    );
    Ok(())
}
