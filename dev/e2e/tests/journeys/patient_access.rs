//! The later JHE takes records in batches, and updates those that it holds. Its own pages are not there yet: the plain ones
//! are told which client they are.

use anyhow::{Context, Result, ensure};
use e2e::browser::State;
use e2e::journey::{CAMILA, Journey, run};
use e2e::records::id_of;
use sandbox::{Fault, JheVersion, Layout, Match, Peculiarity, Server};
use serde_json::Value;

macro_rules! plain {
    ($($journey:ident),* $(,)?) => {
        mod plain {
            $(#[test]
            fn $journey() {
                super::run(super::Layout::Plain, super::$journey);
            })*
        }
    };
}

plain!(
    labs_arrive_in_batches_and_a_second_run_adds_none,
    what_jhe_changes_and_what_it_refuses_is_told_apart,
    batches_that_are_too_long_for_a_proxy_become_shorter,
    a_batch_whose_answer_is_lost_is_sent_again_and_adds_no_row,
    a_reload_in_the_middle_goes_on_and_adds_no_row,
);

async fn labs_arrive_in_batches_and_a_second_run_adds_none(journey: &Journey) -> Result<()> {
    begin(journey, 250);
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_texts(&["Labs: 250 records saved or updated, 250 of them new"])?;
    let lengths = batch_lengths(journey)?;
    ensure!(
        lengths.len() == 3 && lengths.iter().all(|length| *length <= 100),
        "expected three batches of 100 records at most, found {lengths:?}"
    );
    expect_each_once(journey, &journey.labs_of(CAMILA))?;

    let again = journey.connect().await?;
    again.expect_done()?;
    again.expect_texts(&["Labs: 250 records saved or updated, 0 of them new"])?;
    expect_each_once(journey, &journey.labs_of(CAMILA))
}

async fn what_jhe_changes_and_what_it_refuses_is_told_apart(journey: &Journey) -> Result<()> {
    begin(journey, 20);
    for peculiarity in [
        Peculiarity::LongId,
        Peculiarity::UnknownField,
        Peculiarity::TwoValues,
    ] {
        journey.world().give_peculiar_lab(CAMILA.user, peculiarity);
    }
    let screen = journey.connect().await?;
    ensure!(
        screen.state == State::Partly && screen.code.is_none(),
        "expected one record to be missing, found {screen}"
    );
    screen.expect_texts(&[
        "Labs: 22 records saved or updated, 22 of them new",
        "(1 records could not be saved)",
        "saved with a change by the study's server",
    ])?;
    let labs = journey.labs_of(CAMILA);
    expect_each_once(journey, &labs[..22])
}

async fn batches_that_are_too_long_for_a_proxy_become_shorter(journey: &Journey) -> Result<()> {
    begin(journey, 100);
    journey.world().settings.jhe.max_body_bytes = Some(40_000);
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_texts(&["Labs: 100 records saved or updated, 100 of them new"])?;
    let refused = batches(journey);
    ensure!(
        refused.iter().any(|batch| batch.status == Some(413)),
        "no batch was too long"
    );
    expect_each_once(journey, &journey.labs_of(CAMILA))
}

async fn a_batch_whose_answer_is_lost_is_sent_again_and_adds_no_row(
    journey: &Journey,
) -> Result<()> {
    begin(journey, 250);
    let batches = Match::on(Server::Jhe).method("POST").path("/fhir-import/");
    journey.fail(batches.clone().once(), Fault::LoseAnswer);
    journey.fail(batches.after(2).once(), Fault::PartialBatch { entries: 7 });
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_texts(&["Labs: 250 records saved or updated, 250 of them new"])?;
    expect_each_once(journey, &journey.labs_of(CAMILA))
}

async fn a_reload_in_the_middle_goes_on_and_adds_no_row(journey: &Journey) -> Result<()> {
    begin(journey, 250);
    journey.world().settings.jhe.time_per_record_ms = 10;
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(120).await?;
    journey.browser.reload().await?;
    journey.world().settings.jhe.time_per_record_ms = 0;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    screen.expect_texts(&[
        "Going on where it stopped",
        "Labs: 250 records saved or updated",
    ])?;
    expect_each_once(journey, &journey.labs_of(CAMILA))
}

/// The later JHE, and so many labs.
fn begin(journey: &Journey, labs: usize) {
    let mut world = journey.world();
    world.give_labs(CAMILA.user, labs);
    world.settings.ehr.page_size = 50;
    world.settings.jhe.version = JheVersion::PatientAccess;
    world.settings.jhe.page.deployment = Some("patient-access".to_owned());
}

/// JHE holds each record as the hospital sent it, in a row of its own, and nothing else.
fn expect_each_once(journey: &Journey, labs: &[String]) -> Result<()> {
    let rows = journey.rows();
    ensure!(
        rows.len() == labs.len(),
        "expected {} rows, found {}",
        labs.len(),
        rows.len()
    );
    for lab in labs {
        let id = id_of(lab)?;
        let mut of_this_record = (rows.iter()).filter(|row| row.upstream_id.as_ref() == Some(&id));
        let row = of_this_record
            .next()
            .with_context(|| format!("there is no row for {id}"))?;
        ensure!(
            of_this_record.next().is_none(),
            "there are two rows for {id}"
        );
        ensure!(row.sent == *lab, "{id}: expected {lab}, found {}", row.sent);
    }
    Ok(())
}

fn batches(journey: &Journey) -> Vec<sandbox::LoggedRequest> {
    journey.requests(Server::Jhe, "POST", "/fhir-import/R4/")
}

/// How many records were in each batch.
fn batch_lengths(journey: &Journey) -> Result<Vec<usize>> {
    let length = |batch: &sandbox::LoggedRequest| {
        let bundle: Value = serde_json::from_str(&batch.body)?;
        Ok(bundle["entry"].as_array().map_or(0, Vec::len))
    };
    batches(journey).iter().map(length).collect()
}
