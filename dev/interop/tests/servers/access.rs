//! Tokens that end early, tokens that are ended, and pages that may not read.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::browser::Glance;
use e2e::journey::Journey;
use e2e::records::expect_arrival;
use interop::hospital::{App, PETER, Terms};
use interop::watch::run;
use serde_json::json;

use crate::records::connect;

/// Every refresh token was used once, was answered, and was another than the one before.
fn each_refresh_token_is_used_once(app: &App, at_least: usize) -> Result<()> {
    let renewals = app.grants("refresh_token")?;
    let tokens: BTreeSet<_> = renewals
        .iter()
        .map(|it| it.field("refresh_token"))
        .collect();
    ensure!(
        renewals.len() >= at_least && tokens.len() == renewals.len(),
        "expected {at_least} renewals or more, each with a token of its own, found {} with {}",
        renewals.len(),
        tokens.len()
    );
    let refused = renewals.iter().find(|it| it.status != Some(200));
    ensure!(refused.is_none(), "a renewal was refused: {refused:?}");
    ensure!(
        app.grants("authorization_code")?.len() == 1,
        "somebody signed in again"
    );
    Ok(())
}

fn everything_arrived(journey: &Journey, app: &App) -> Result<()> {
    let records = app.hospital.observations("example")?;
    expect_arrival(&journey.rows(), &records, app.hospital.base())
}

/// Waits until the token of the last read of this kind is good no more.
async fn token_is_over(journey: &Journey, app: &App, path: &str) -> Result<()> {
    let reads = app.requests("fhir", "GET", path)?;
    let token = reads.iter().rev().find_map(|it| it.bearer());
    let token = token.context("nothing was read")?;
    let is_over = async || {
        Ok(match app.status_with(token, "example")? {
            401 => Glance::Seen(()),
            _ => Glance::NotYet,
        })
    };
    journey.browser.until("the end of a token", is_over).await
}

#[test]
fn tokens_of_seconds_are_renewed_as_often_as_it_takes() {
    let terms = Terms {
        seconds: 2,
        ..Terms::default()
    };
    run(&terms, async |journey, app| {
        // Who takes their time, at each question.
        journey.answer_by_hand().await?;
        journey.world().settings.jhe.page.review = Some(json!(true));
        journey.reach_login().await?;
        journey.return_as(PETER).await?;
        journey.browser.wait_for_screen("person").await?;
        token_is_over(journey, app, "/Patient/example").await?;
        journey.browser.press_named("yes-me").await?;
        journey.browser.wait_for_screen("review").await?;
        token_is_over(journey, app, "/Observation").await?;
        journey.browser.press_named("send").await?;
        journey.browser.wait_until_settled().await?.expect_done()?;
        each_refresh_token_is_used_once(app, 2)?;
        everything_arrived(journey, app)
    });
}

#[test]
fn a_token_that_was_ended_is_renewed_once() {
    run(&Terms::default(), async |journey, app| {
        journey.answer_by_hand().await?;
        journey.reach_login().await?;
        journey.return_as(PETER).await?;
        journey.browser.wait_for_screen("person").await?;
        app.expire()?;
        journey.browser.press_named("yes-me").await?;
        journey.browser.wait_until_settled().await?.expect_done()?;
        each_refresh_token_is_used_once(app, 1)?;
        ensure!(
            app.grants("refresh_token")?.len() == 1,
            "it was renewed more than once"
        );
        let reads = app.requests("fhir", "GET", "/Observation")?;
        let refused = reads.iter().filter(|it| it.status == Some(401)).count();
        ensure!(refused == 1, "{refused} reads were refused");
        everything_arrived(journey, app)
    });
}

#[test]
fn a_hospital_that_lets_this_page_read_nothing_is_told_before_the_patient_leaves() {
    let terms = Terms {
        knows_origin: false,
        ..Terms::default()
    };
    run(&terms, async |journey, app| {
        journey.stops_at_the_start("discovery.not_readable").await?;
        let left = app.requests("authorization", "GET", "/auth")?;
        ensure!(left.is_empty(), "the patient was sent away: {left:?}");
        Ok(())
    });
}

#[test]
fn the_page_of_another_origin_is_let_read_nothing() {
    run(&Terms::default(), async |journey, app| {
        connect(journey, PETER).await?;
        let reads = app.requests("fhir", "GET", "/Observation")?;
        let allowed = reads
            .iter()
            .all(|it| it.allowed.as_deref() == Some(journey.sandbox.jhe()));
        ensure!(
            allowed && !reads.is_empty(),
            "expected exactly the page's origin, found {reads:?}"
        );

        // A page at the sign-in's own address, which is none that an app is registered with.
        let elsewhere = format!("{}/.well-known/openid-configuration", app.hospital.issuer());
        journey.browser.open(&elsewhere).await?;
        let ask = format!(
            "window.outcome = undefined;
             fetch('{}/metadata').then(() => {{ window.outcome = 'read'; }}, (error) => {{ window.outcome = error.name; }});
             return true;",
            app.hospital.base()
        );
        let _: bool = journey.browser.evaluate(&ask).await?;
        let outcome = journey
            .browser
            .until("an outcome", async || {
                let outcome: Option<String> = journey
                    .browser
                    .evaluate("return window.outcome ?? null")
                    .await?;
                Ok(outcome.map_or(Glance::NotYet, Glance::Seen))
            })
            .await?;
        ensure!(
            outcome == "TypeError",
            "another origin's page got {outcome}"
        );
        Ok(())
    });
}

#[test]
fn access_that_the_patient_ends_is_ended_at_the_provider() {
    run(&Terms::default(), async |journey, app| {
        let browser = &journey.browser;
        connect(journey, PETER).await?;
        let reads = app.requests("fhir", "GET", "/Observation")?;
        let token = reads.iter().find_map(|it| it.bearer()).context("a token")?;
        ensure!(
            app.status_with(token, "example")? == 200,
            "the token is good"
        );
        browser.click(".jc-choices > .jc-fold > summary").await?;
        browser.press_named("forget").await?;
        browser
            .wait_for_page_text("has thrown both keys away")
            .await?;
        let ended = app.requests("authorization", "POST", "/token/revocation")?;
        ensure!(
            matches!(ended.as_slice(), [only] if only.status == Some(200)),
            "expected one revocation, found {ended:?}"
        );
        ensure!(
            app.status_with(token, "example")? == 401,
            "the token is still good"
        );
        Ok(())
    });
}
