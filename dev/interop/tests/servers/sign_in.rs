//! What oidc-provider insists on, and what our page insists on with it.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Screen, State};
use e2e::journey::{Journey, Page};
use interop::hospital::{App, ELISABETH, PETER, Terms};
use interop::watch::run;

use crate::records::connect;

/// Nothing of the patient was read, and JHE was sent none of it.
fn nothing_moved(journey: &Journey, app: &App) -> Result<()> {
    ensure!(journey.rows().is_empty(), "JHE holds records");
    let read = app.requests("fhir", "GET", "/Observation")?;
    ensure!(read.is_empty(), "records were read: {read:?}");
    Ok(())
}

#[test]
fn the_sign_in_is_by_a_code_with_pkce_for_exactly_this_fhir_server() {
    run(&Terms::default(), async |journey, app| {
        connect(journey, PETER).await?;
        let begun = app.requests("authorization", "GET", "/auth")?;
        let [begun] = begun.as_slice() else {
            anyhow::bail!("expected one sign-in, found {begun:?}");
        };
        let callback = journey.page(Page::Callback, &[]);
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", app.id.as_str()),
            ("redirect_uri", callback.as_str()),
            ("code_challenge_method", "S256"),
            ("aud", app.hospital.base()),
        ] {
            let found = begun.parameter(name);
            ensure!(
                found.as_deref() == Some(value),
                "expected {name} {value}, found {found:?}"
            );
        }
        let challenge = begun.parameter("code_challenge").context("a challenge")?;
        let exchanged = app.grants("authorization_code")?;
        let [exchange] = exchanged.as_slice() else {
            anyhow::bail!("expected one exchange, found {exchanged:?}");
        };
        let verifier = exchange.field("code_verifier");
        ensure!(
            challenge.len() == 43 && verifier.len() >= 43 && verifier != challenge,
            "expected a verifier and its digest"
        );
        ensure!(exchange.status == Some(200) && exchange.field("redirect_uri") == callback);
        Ok(())
    });
}

#[test]
fn a_redirect_uri_that_differs_by_one_letter_is_refused_and_the_patient_can_go_back() {
    let terms = Terms {
        redirect_uri: Some(|page| page.replace("/callback", "/Callback")),
        ..Terms::default()
    };
    run(&terms, async |journey, app| {
        journey.browser.answer_by_hand().await?;
        journey.open_invitation().await?;
        journey.browser.press_named("continue").await?;
        refused_by_the_provider(journey, app).await?;
        journey.browser.back().await?;
        let screen = journey.browser.wait_for_screen("returned").await?;
        ensure!(
            screen.offers("try-again"),
            "expected a way on, found {screen}"
        );
        ensure!(app.grants("authorization_code")?.is_empty());
        nothing_moved(journey, app)
    });
}

/// The provider shows its own page, and sends nobody anywhere.
async fn refused_by_the_provider(journey: &Journey, app: &App) -> Result<()> {
    journey.browser.wait_for_page_text("redirect_uri").await?;
    let here = journey.browser.address().await?;
    ensure!(
        here.as_str().starts_with(app.hospital.issuer()),
        "the browser is at {here}"
    );
    let refused = app.requests("authorization", "GET", "/auth")?;
    ensure!(
        matches!(refused.as_slice(), [only] if only.status == Some(400)),
        "expected one refusal, found {refused:?}"
    );
    Ok(())
}

#[test]
fn an_answer_in_the_name_of_another_issuer_is_refused() {
    let terms = Terms {
        answer_iss: Some("https://another.example"),
        ..Terms::default()
    };
    run(&terms, async |journey, app| {
        journey.reach_login().await?;
        journey.return_as(PETER).await?;
        let code = Some("callback.other_issuer");
        journey.browser.wait_for_state(State::Failed, code).await?;
        ensure!(
            app.grants("authorization_code")?.is_empty(),
            "the code was sent"
        );
        nothing_moved(journey, app)
    });
}

#[test]
fn a_no_at_the_hospital_is_no_failure_and_moves_nothing() {
    run(&Terms::default(), async |journey, app| {
        journey.reach_login().await?;
        journey.browser.sign_in(PETER.user, PETER.password).await?;
        journey.browser.deny().await?;
        let screen = journey.browser.wait_until_settled().await?;
        screen.expect_code("authorization.denied")?;
        ensure!(app.grants("authorization_code")?.is_empty());
        nothing_moved(journey, app)
    });
}

/// Peter unticks what the hospital has of this type, and the page comes to rest.
async fn connect_without(journey: &Journey, resource_type: &str) -> Result<Screen> {
    journey.reach_login().await?;
    journey.browser.sign_in(PETER.user, PETER.password).await?;
    journey.browser.allow_without(&[resource_type]).await?;
    journey.browser.wait_until_settled().await
}

#[test]
fn what_was_unticked_is_not_asked_for() {
    run(&Terms::default(), async |journey, app| {
        connect_without(journey, "Patient").await?.expect_done()?;
        let persons = app.requests("fhir", "GET", "/Patient/example")?;
        ensure!(persons.is_empty(), "it was asked for: {persons:?}");
        ensure!(journey.rows().len() == 64);
        Ok(())
    });
}

#[test]
fn without_the_scope_for_records_nothing_moves() {
    run(&Terms::default(), async |journey, app| {
        let screen = connect_without(journey, "Observation").await?;
        ensure!(
            screen.state == State::Failed,
            "expected an end, found {screen}"
        );
        nothing_moved(journey, app)
    });
}

#[test]
fn a_code_is_never_sent_twice_and_a_replay_would_end_the_tokens() {
    run(&Terms::default(), async |journey, app| {
        connect(journey, PETER).await?;
        let exchanged = app.grants("authorization_code")?;
        let exchange = exchanged.first().context("an exchange")?;
        let state = app.requests("authorization", "GET", "/auth")?;
        let state = state
            .first()
            .and_then(|it| it.parameter("state"))
            .context("a state")?;

        // The patient comes to the same address once more: by a reload, by Back, from the history.
        journey.browser.reload().await?;
        journey.browser.wait_until_settled().await?;
        let answer = [
            ("code", exchange.field("code")),
            ("state", &state),
            ("iss", app.hospital.issuer()),
        ];
        journey
            .browser
            .open(&journey.page(Page::Callback, &answer))
            .await?;
        journey.browser.wait_until_settled().await?;
        ensure!(
            app.grants("authorization_code")?.len() == 1,
            "the code was sent twice"
        );

        let reads = app.requests("fhir", "GET", "/Observation")?;
        let token = reads.iter().find_map(|it| it.bearer()).context("a token")?;
        ensure!(
            app.status_with(token, "example")? == 200,
            "the token is good"
        );
        let (status, error) = app.replay(exchange)?;
        ensure!(
            status == 400 && error == "invalid_grant",
            "the replay got {status} {error}"
        );
        ensure!(
            app.status_with(token, "example")? == 401,
            "the token is good after a replay"
        );
        Ok(())
    });
}

#[test]
fn who_signs_in_for_somebody_else_is_told_so() {
    run(&Terms::default(), async |journey, app| {
        journey.answer_by_hand().await?;
        journey.reach_login().await?;
        journey.return_as(ELISABETH).await?;
        let screen = journey.browser.wait_for_screen("person").await?;
        screen.expect_fact("Name", "Peter Chalmers")?;
        screen.expect_texts(&["the record of someone you care for"])?;
        // That is known from the identity token, and of it nothing is used that was not verified.
        let keys = app.requests("authorization", "GET", "/jwks")?;
        ensure!(!keys.is_empty(), "the provider's keys were not read");
        nothing_moved(journey, app)?;
        journey.browser.press_named("yes-me").await?;
        journey.browser.wait_until_settled().await?.expect_done()
    });
}
