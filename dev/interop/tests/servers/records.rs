//! Every record arrives once, as the FHIR server wrote it, and is still FHIR R4.

use anyhow::{Result, ensure};
use e2e::browser::Screen;
use e2e::journey::{Journey, Login};
use e2e::records::{expect_arrival, expect_each_once, id_of};
use interop::hospital::{App, MANY, PETER, Terms};
use interop::judges::expect_good;
use interop::watch::run;
use sandbox::JheVersion;

/// JHE is its later version, which takes batches.
fn takes_batches(journey: &Journey) {
    let mut world = journey.world();
    world.settings.jhe.version = JheVersion::PatientAccess;
    world.settings.jhe.page.deployment = Some("patient-access".to_owned());
}

pub(crate) async fn connect(journey: &Journey, login: Login) -> Result<Screen> {
    let screen = journey.connect_as(login).await?;
    screen.expect_done()?;
    Ok(screen)
}

/// What JHE was sent.
fn sent(journey: &Journey) -> Vec<String> {
    journey.rows().into_iter().map(|row| row.sent).collect()
}

/// The pages that were read, by what the FHIR server calls where they begin.
fn pages_are_read_once(app: &App, count: usize) -> Result<()> {
    let pages = app.requests("fhir", "GET", "/Observation")?;
    let offsets: Vec<_> = pages.iter().map(|page| page.parameter("_offset")).collect();
    let mut distinct = offsets.clone();
    distinct.sort();
    distinct.dedup();
    ensure!(
        pages.len() == count && distinct.len() == count && offsets.first() == Some(&None),
        "expected {count} pages, each once, found {offsets:?}"
    );
    Ok(())
}

#[test]
fn each_kind_of_observation_arrives_once_and_is_good_fhir() {
    run(&Terms::default(), async |journey, app| {
        connect(journey, PETER).await?;
        let records = app.hospital.observations("example")?;
        ensure!(records.len() == 64, "HL7 has {} examples", records.len());
        expect_arrival(&journey.rows(), &records, app.hospital.base())?;
        expect_good(&sent(journey))?;
        pages_are_read_once(app, 8)?;
        nothing_of_anybody_else(journey)
    });
}

#[test]
fn in_batches_each_kind_of_observation_arrives_once_and_is_good_fhir() {
    run(&Terms::default(), async |journey, app| {
        takes_batches(journey);
        connect(journey, PETER).await?;
        expect_each_once(&journey.rows(), &app.hospital.observations("example")?)?;
        expect_good(&sent(journey))?;
        pages_are_read_once(app, 8)?;
        nothing_of_anybody_else(journey)
    });
}

#[test]
fn many_pages_arrive_whole() {
    run(&Terms::default(), async |journey, app| {
        takes_batches(journey);
        app.hospital.give_many(10)?;
        let records = app.hospital.observations("many")?;
        ensure!(records.len() > 300, "there are {} records", records.len());
        connect(journey, MANY).await?;
        expect_each_once(&journey.rows(), &records)?;
        expect_good(&sent(journey))?;
        pages_are_read_once(app, records.len().div_ceil(9))
    });
}

fn nothing_of_anybody_else(journey: &Journey) -> Result<()> {
    for record in sent(journey) {
        let id = id_of(&record)?;
        ensure!(
            !id.starts_with("another-"),
            "another patient's {id} has arrived"
        );
    }
    Ok(())
}
