//! The hospital says who signed in. It is believed where the browser could verify it, a forgery ends the sign-in, and what can't
//! be checked is not used.

use anyhow::{Result, ensure};
use e2e::access_journeys;
use e2e::browser::State;
use e2e::journey::{CAMILA, Journey, PARENT};
use sandbox::{Fault, IdentityFault, Match, Server, Signing};

use crate::person::{alarms, no_alarm, nothing_was_written, reach_person};
use crate::sharing::no_token_is_kept;

access_journeys!(
    drop_in: [
        a_token_signed_with_rs256_is_verified,
        a_token_signed_with_es256_is_verified,
        a_token_signed_with_es384_is_verified,
        a_token_without_key_name_is_verified_by_the_only_key_that_fits,
        a_token_of_another_issuer_ends_the_sign_in,
        a_token_for_another_app_ends_the_sign_in,
        a_token_for_another_party_ends_the_sign_in,
        a_token_of_another_sign_in_ends_the_sign_in,
        a_token_that_is_not_signed_ends_the_sign_in,
        a_token_with_the_public_key_as_secret_ends_the_sign_in,
        a_token_signed_by_another_key_ends_the_sign_in,
        keys_that_no_page_may_read_keep_nobody_out,
        keys_that_do_not_come_keep_nobody_waiting_for_long,
        a_key_that_the_set_lacks_keeps_nobody_out,
        a_token_that_expired_keeps_nobody_out,
        a_module_that_can_not_be_loaded_keeps_nobody_out,
        without_a_token_nothing_is_loaded_or_asked_for_it,
    ],
    plain_named: [
        a_token_signed_with_rs256_is_verified,
        a_token_signed_by_another_key_ends_the_sign_in,
        keys_that_no_page_may_read_keep_nobody_out,
    ],
);

const MODULE: &str = "/jhe-connect-identity";
const KEYS: &str = "/PublicKeys/OIDC";

fn tells_who(journey: &Journey) {
    let scope = format!("fhirUser {}", sandbox::PATIENT_ACCESS_SCOPES);
    journey.world().settings.jhe.page.scope = scope;
}

fn has(journey: &Journey, fault: IdentityFault) {
    tells_who(journey);
    journey.world().settings.ehr.identity.fault = Some(fault);
}

/// A parent signs in, and the page knows it.
async fn is_verified(journey: &Journey) -> Result<()> {
    reach_person(journey, PARENT).await?;
    let alarms = alarms(journey).await?;
    ensure!(
        alarms.iter().any(|it| it.contains("someone you care for")),
        "the claim was not used: {alarms:?}"
    );
    was_asked(journey, 1)
}

/// The module was loaded once, and the keys were asked for so often, without any token.
fn was_asked(journey: &Journey, keys: usize) -> Result<()> {
    let modules = journey.requests(Server::Jhe, "GET", &format!("{MODULE}_bg.wasm"));
    ensure!(modules.len() == 1, "the module was loaded: {modules:?}");
    let asked = journey.requests(Server::Ehr, "GET", KEYS);
    ensure!(asked.len() == keys, "the keys were asked for: {asked:?}");
    for request in asked {
        let sent = [request.header("authorization"), request.header("cookie")];
        ensure!(
            sent == [None, None],
            "something was sent along: {request:?}"
        );
    }
    Ok(())
}

async fn a_token_signed_with_rs256_is_verified(journey: &Journey) -> Result<()> {
    is_verified_with(journey, Signing::Rs256).await
}

async fn a_token_signed_with_es256_is_verified(journey: &Journey) -> Result<()> {
    is_verified_with(journey, Signing::Es256).await
}

async fn a_token_signed_with_es384_is_verified(journey: &Journey) -> Result<()> {
    is_verified_with(journey, Signing::Es384).await
}

async fn is_verified_with(journey: &Journey, signing: Signing) -> Result<()> {
    tells_who(journey);
    journey.world().settings.ehr.identity.signing = signing;
    is_verified(journey).await
}

async fn a_token_without_key_name_is_verified_by_the_only_key_that_fits(
    journey: &Journey,
) -> Result<()> {
    has(journey, IdentityFault::NoKid);
    is_verified(journey).await
}

/// Nothing of the sign-in is used, and the page says what is wrong.
async fn is_refused(journey: &Journey, fault: IdentityFault, what: &str) -> Result<()> {
    has(journey, fault);
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    journey.return_as(PARENT).await?;
    let screen = journey
        .browser
        .wait_for_state(State::Failed, Some("sign_in.forged_identity"))
        .await?;
    screen.expect_texts(&["We don't trust this sign-in", what])?;
    nothing_was_written(journey)?;
    journey.expect_no_record_moved()?;
    let read = journey.requests(Server::Ehr, "GET", "/Patient/");
    ensure!(read.is_empty(), "the record was read: {read:?}");
    no_token_is_kept(journey).await?;
    // Nothing goes on from here.
    journey.browser.reload().await?;
    journey
        .browser
        .wait_for_state(State::Failed, Some("callback.nothing_pending"))
        .await?;
    Ok(())
}

async fn a_token_of_another_issuer_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::OtherIssuer, "its iss").await?;
    was_asked(journey, 0)
}

async fn a_token_for_another_app_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::OtherAudience, "its aud").await
}

async fn a_token_for_another_party_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::OtherParty, "its azp").await
}

async fn a_token_of_another_sign_in_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::OtherNonce, "its nonce").await
}

async fn a_token_that_is_not_signed_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::AlgNone, "its alg").await
}

async fn a_token_with_the_public_key_as_secret_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::Hs256, "its alg").await
}

async fn a_token_signed_by_another_key_ends_the_sign_in(journey: &Journey) -> Result<()> {
    is_refused(journey, IdentityFault::OtherKey, "its signature").await?;
    was_asked(journey, 1)
}

/// The page goes on and asks the patient as if nothing were known, and says why to the study team.
async fn is_not_used(journey: &Journey, why: &str) -> Result<()> {
    reach_person(journey, PARENT).await?;
    no_alarm(journey).await?;
    let console = journey.browser.console().await?;
    let told = console
        .iter()
        .any(|line| line.message.contains("was not verified") && line.message.contains(why));
    ensure!(told, "{why:?} is not told: {console:?}");
    nothing_was_written(journey)
}

async fn keys_that_no_page_may_read_keep_nobody_out(journey: &Journey) -> Result<()> {
    tells_who(journey);
    journey.world().settings.ehr.cors.keys = false;
    is_not_used(journey, "can't be read").await
}

async fn keys_that_do_not_come_keep_nobody_waiting_for_long(journey: &Journey) -> Result<()> {
    tells_who(journey);
    journey.fail(
        Match::on(Server::Ehr).path(KEYS),
        Fault::Delay { millis: 60_000 },
    );
    is_not_used(journey, "within five seconds").await
}

async fn a_key_that_the_set_lacks_keeps_nobody_out(journey: &Journey) -> Result<()> {
    has(journey, IdentityFault::KeyRotated);
    is_not_used(journey, "has no key for it").await?;
    was_asked(journey, 1)
}

async fn a_token_that_expired_keeps_nobody_out(journey: &Journey) -> Result<()> {
    has(journey, IdentityFault::Expired);
    is_not_used(journey, "has expired").await?;
    was_asked(journey, 0)
}

async fn a_module_that_can_not_be_loaded_keeps_nobody_out(journey: &Journey) -> Result<()> {
    tells_who(journey);
    journey.fail(
        Match::on(Server::Jhe).path(MODULE),
        Fault::status(404, "text/html", "gone"),
    );
    is_not_used(journey, "could not be loaded").await
}

async fn without_a_token_nothing_is_loaded_or_asked_for_it(journey: &Journey) -> Result<()> {
    reach_person(journey, CAMILA).await?;
    let loaded = journey.requests(Server::Jhe, "GET", MODULE);
    ensure!(loaded.is_empty(), "it was loaded: {loaded:?}");
    let asked = journey.requests(Server::Ehr, "GET", KEYS);
    ensure!(asked.is_empty(), "the keys were asked for: {asked:?}");
    Ok(())
}
