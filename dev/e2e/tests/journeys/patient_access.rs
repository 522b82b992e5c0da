//! The later JHE takes records in batches, and updates those that it holds. Here labs are all that is pulled.

use anyhow::{Result, ensure};
use e2e::access_journeys;
use e2e::browser::State;
use e2e::journey::{CAMILA, Journey, batches};
use e2e::records::expect_each_once;
use sandbox::{Fault, Peculiarity, Server};
use serde_json::{Value, json};

use crate::going_on::GOES_ON;

access_journeys!(plain_named: [
    labs_arrive_in_batches_and_a_second_run_adds_none,
    what_jhe_changes_and_what_it_refuses_is_told_apart,
    batches_that_are_too_long_for_a_proxy_become_shorter,
    a_batch_whose_answer_is_lost_is_sent_again_and_adds_no_row,
    a_reload_in_the_middle_goes_on_and_adds_no_row,
]);

async fn labs_arrive_in_batches_and_a_second_run_adds_none(journey: &Journey) -> Result<()> {
    begin(journey, 250);
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_lines(&["Labs: 250 records"])?;
    screen.expect_records(250, 250)?;
    let lengths = batch_lengths(journey)?;
    ensure!(
        lengths.len() == 3 && lengths.iter().all(|length| *length <= 100),
        "expected three batches of 100 records at most, found {lengths:?}"
    );
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))?;

    let again = journey.connect().await?;
    again.expect_done()?;
    again.expect_lines(&["Labs: 250 records"])?;
    again.expect_records(250, 0)?;
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))
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
    screen.expect_lines(&[
        "1 record could not be saved. It is listed below.",
        "Labs: 22 records, 1 could not be saved",
    ])?;
    screen.expect_records(22, 22)?;
    screen.expect_texts(&[
        "1 record was saved without a small part that the study's server has no place for.",
    ])?;
    let labs = journey.labs_of(CAMILA);
    expect_each_once(&journey.rows(), &labs[..22])
}

async fn batches_that_are_too_long_for_a_proxy_become_shorter(journey: &Journey) -> Result<()> {
    begin(journey, 100);
    journey.world().settings.jhe.max_body_bytes = Some(40_000);
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_lines(&["Labs: 100 records"])?;
    screen.expect_records(100, 100)?;
    let refused = sent(journey);
    ensure!(
        refused.iter().any(|batch| batch.status == Some(413)),
        "no batch was too long"
    );
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))
}

async fn a_batch_whose_answer_is_lost_is_sent_again_and_adds_no_row(
    journey: &Journey,
) -> Result<()> {
    begin(journey, 250);
    journey.fail(batches().once(), Fault::LoseAnswer);
    journey.fail(
        batches().after(2).once(),
        Fault::PartialBatch { entries: 7 },
    );
    let screen = journey.connect().await?;
    screen.expect_done()?;
    screen.expect_lines(&["Labs: 250 records"])?;
    screen.expect_records(250, 250)?;
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))
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
    screen.expect_said(GOES_ON)?;
    screen.expect_lines(&["Labs: 250 records"])?;
    expect_each_once(&journey.rows(), &journey.labs_of(CAMILA))
}

/// So many labs, and nothing else is asked for.
fn begin(journey: &Journey, labs: usize) {
    let mut world = journey.world();
    world.give_labs(CAMILA.user, labs);
    world.settings.ehr.page_size = 50;
    let plan =
        json!([{"label": "Labs", "type": "Observation", "parameters": {"category": "laboratory"}}]);
    world.settings.jhe.page.plan = Some(plan);
}

fn sent(journey: &Journey) -> Vec<sandbox::LoggedRequest> {
    journey.requests(Server::Jhe, "POST", "/fhir-import/R4/")
}

/// How many records were in each batch.
fn batch_lengths(journey: &Journey) -> Result<Vec<usize>> {
    let length = |batch: &sandbox::LoggedRequest| {
        let bundle: Value = serde_json::from_str(&batch.body)?;
        Ok(bundle["entry"].as_array().map_or(0, Vec::len))
    };
    sent(journey).iter().map(length).collect()
}
