//! Before anything is written the patient sees whose record it is, and says whether it is theirs.

use anyhow::{Context, Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Screen, State};
use e2e::journey::{CAMILA, DERRICK, Journey, Login, PARENT};
use sandbox::{FIRST_PATIENT, LoggedRequest, Server};
use serde_json::json;

use crate::sharing::no_token_is_kept;

access_journeys!(
    drop_in: [
        the_person_is_shown_and_nothing_written_before_the_yes,
        a_no_ends_with_nothing_written_and_the_access_ended,
        a_no_at_a_hospital_that_can_not_end_access_forgets_it,
        a_parent_is_told_that_it_is_the_record_of_somebody_else,
        another_patient_than_before_is_told,
        another_birth_date_than_the_studys_is_told,
        the_same_patient_and_birth_date_as_before_raise_no_alarm,
        where_the_study_does_not_want_it_nobody_is_asked,
        a_reload_on_the_question_asks_again,
        a_chart_that_names_nobody_is_not_asked_about,
    ],
    plain_named: [
        the_person_is_shown_and_nothing_written_before_the_yes,
        a_no_ends_with_nothing_written_and_the_access_ended,
        a_reload_on_the_question_asks_again,
    ],
);

/// From the invitation link to the question whether it is this person.
pub(crate) async fn reach_person(journey: &Journey, login: Login) -> Result<Screen> {
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    journey.return_as(login).await?;
    journey.browser.wait_for_screen("person").await
}

/// JHE was told nothing but the invitation and what a token takes.
pub(crate) fn nothing_was_written(journey: &Journey) -> Result<()> {
    let mut sent = journey.requests(Server::Jhe, "POST", "");
    let harmless = ["/api/v1/invitation/", "/o/token/", "/o/revoke_token/"];
    sent.retain(|request| !harmless.iter().any(|it| request.target.starts_with(it)));
    ensure!(sent.is_empty(), "JHE was written to: {sent:?}");
    ensure!(journey.rows().is_empty(), "JHE holds records");
    Ok(())
}

async fn the_person_is_shown_and_nothing_written_before_the_yes(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let screen = reach_person(journey, CAMILA).await?;
    screen.expect_fact("Name", "Camila Maria Lopez")?;
    screen.expect_fact("Born", "September 12, 1987")?;
    ensure!(
        screen.state == State::Asking && screen.actions == ["yes-me", "not-me"],
        "expected a question with two answers, found {screen}"
    );
    no_alarm(journey).await?;
    nothing_was_written(journey)?;
    journey.expect_no_record_moved()?;

    journey.browser.press_named("yes-me").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(!journey.rows().is_empty(), "JHE holds no records");
    Ok(())
}

async fn a_no_ends_with_nothing_written_and_the_access_ended(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.revocation = Some(true);
    says_no(journey).await?;
    ensure!(
        revoked(journey, Server::Ehr, "/revoke").len() == 1,
        "the hospital's token was not ended"
    );
    Ok(())
}

async fn a_no_at_a_hospital_that_can_not_end_access_forgets_it(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.revocation = Some(false);
    says_no(journey).await?;
    ensure!(
        revoked(journey, Server::Ehr, "/revoke").is_empty(),
        "the hospital was asked for what it does not offer"
    );
    Ok(())
}

async fn says_no(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_person(journey, CAMILA).await?;
    browser.press_named("not-me").await?;
    let screen = browser.wait_for_screen("not-me").await?;
    ensure!(
        screen.heading.as_deref() == Some("Nothing was shared") && screen.code.is_none(),
        "expected a no that is no failure, found {screen}"
    );
    screen.expect_texts(&["Sign out at ", "Talk to a person"])?;
    nothing_was_written(journey)?;
    no_token_is_kept(journey).await?;
    ensure!(
        revoked(journey, Server::Jhe, "/o/revoke_token/").len() == 1,
        "JHE's token was not ended"
    );
    // Nothing goes on from here.
    browser.reload().await?;
    browser
        .wait_for_state(State::Failed, Some("callback.nothing_pending"))
        .await?;
    nothing_was_written(journey)
}

/// The requests that ended a token, and were granted.
pub(crate) fn revoked(journey: &Journey, server: Server, path: &str) -> Vec<LoggedRequest> {
    let mut sent = journey.requests(server, "POST", path);
    sent.retain(|request| request.status == Some(200));
    sent
}

async fn a_parent_is_told_that_it_is_the_record_of_somebody_else(journey: &Journey) -> Result<()> {
    let scope = format!("fhirUser {}", sandbox::PATIENT_ACCESS_SCOPES);
    journey.world().settings.jhe.page.scope = scope;
    let screen = reach_person(journey, PARENT).await?;
    let name = screen.fact("Name").context("a name")?;
    ensure!(
        name.contains("Desiree"),
        "expected the child, found {screen}"
    );
    is_alarmed(journey, "the record of someone you care for").await?;
    screen.expect_action("Yes, share this person's records")?;
    nothing_was_written(journey)?;

    journey.browser.press_named("yes-me").await?;
    let screen = journey.browser.wait_until_settled().await?;
    ensure!(
        screen.state != State::Failed,
        "expected the child's records to arrive, found {screen}"
    );
    Ok(())
}

async fn another_patient_than_before_is_told(journey: &Journey) -> Result<()> {
    let (base, derrick) = (journey.listed_base(), journey.patient_id(DERRICK));
    (journey.world()).attach_identifier(FIRST_PATIENT, &base, &derrick);
    reach_person(journey, CAMILA).await?;
    is_alarmed(journey, "the records of another person were shared").await?;
    nothing_was_written(journey)
}

async fn another_birth_date_than_the_studys_is_told(journey: &Journey) -> Result<()> {
    study_knows_birth_date(journey, "1987-12-09")?;
    let screen = reach_person(journey, CAMILA).await?;
    is_alarmed(journey, "another birth date").await?;
    // Of two dates the hospital's is shown.
    screen.expect_fact("Born", "September 12, 1987")?;
    nothing_was_written(journey)
}

async fn the_same_patient_and_birth_date_as_before_raise_no_alarm(journey: &Journey) -> Result<()> {
    let (base, camila) = (journey.listed_base(), journey.patient_id(CAMILA));
    (journey.world()).attach_identifier(FIRST_PATIENT, &base, &camila);
    study_knows_birth_date(journey, "1987-09-12")?;
    reach_person(journey, CAMILA).await?;
    no_alarm(journey).await
}

fn study_knows_birth_date(journey: &Journey, date: &str) -> Result<()> {
    let mut world = journey.world();
    world.settings.jhe.profile_names = true;
    let mut patients = world.jhe.patients.iter_mut();
    let patient = patients.find(|patient| patient.id == FIRST_PATIENT);
    let patient = patient.context("the patient")?;
    patient.birth_date = Some(date.to_owned());
    Ok(())
}

async fn where_the_study_does_not_want_it_nobody_is_asked(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.world().settings.jhe.page.confirm_patient = Some(json!(false));
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    journey.return_as(CAMILA).await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(
        !screen.said.iter().any(|said| said == "Is this you?"),
        "somebody was asked: {:?}",
        screen.said
    );
    Ok(())
}

async fn a_reload_on_the_question_asks_again(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    reach_person(journey, CAMILA).await?;
    journey.browser.reload().await?;
    let screen = journey.browser.wait_for_screen("person").await?;
    screen.expect_fact("Name", "Camila Maria Lopez")?;
    nothing_was_written(journey)?;
    journey.browser.press_named("yes-me").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;

    // The yes is remembered.
    journey.browser.reload().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_lines(&["This was finished before. Nothing was sent again."])
}

/// Without the scope for the patient's own record there is nothing to show, and nothing speaks against it.
async fn a_chart_that_names_nobody_is_not_asked_about(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let granted = "launch/patient patient/Observation.read";
    journey.world().settings.ehr.granted_scopes = Some(granted.to_owned());
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    journey.return_as(CAMILA).await?;
    let screen = journey
        .browser
        .wait_for_one_of(&["person", "grants"])
        .await?;
    screen.expect_screen("grants")
}

/// What must not be overlooked on the screen.
pub(crate) async fn alarms(journey: &Journey) -> Result<Vec<String>> {
    let script = "return [...document.querySelectorAll('.jc-warning')].map((it) => it.innerText)";
    journey.browser.evaluate(script).await
}

async fn is_alarmed(journey: &Journey, by: &str) -> Result<()> {
    let alarms = alarms(journey).await?;
    ensure!(
        matches!(alarms.as_slice(), [alarm] if alarm.contains(by)),
        "expected one alarm about {by:?}, found {alarms:?}"
    );
    Ok(())
}

pub(crate) async fn no_alarm(journey: &Journey) -> Result<()> {
    let alarms = alarms(journey).await?;
    ensure!(alarms.is_empty(), "found {alarms:?}");
    Ok(())
}
