//! The JHE that imports whole Bundles and recognises records itself.

use jhe_connect::import::{Verdict, WayOn};
use sandbox::{Fault, JheVersion, LoggedRequest, Match, Peculiarity, Server};
use serde_json::{Value, json};

use super::hospital::{CAMILA, Decision};
use super::journey::Journey;
use super::pages::{Import, Landed};
use super::tab::Tab;
use crate::{busy, maintenance, read_backs, web_page};

const IMPORT: &str = "/fhir-import/R4/";
const MOST_RECORDS: usize = 100;
const MOST_OCTETS: usize = 900_000;

#[test]
fn labs_arrive_in_batches_and_byte_for_byte() {
    let journey = with(250);
    let import = journey.connect();

    has_brought_all(&journey, &import);
    let source = import.source.id.header_value();
    let batches = batches(&journey);
    for batch in &batches {
        assert_eq!(batch.target, IMPORT);
        assert_eq!(batch.header("content-type"), Some("application/json"));
        assert_eq!(batch.header("x-jhe-fhir-source-id"), Some(source.as_str()));
        assert!(batch.body.len() <= MOST_OCTETS);
    }
    let sizes: Vec<_> = batches.iter().map(entries).collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(told(&import), (250, Some(250)));
}

#[test]
fn long_records_make_shorter_batches() {
    let journey = with(40);
    each_lab_is_longer_by(&journey, 60_000);
    has_brought_all(&journey, &journey.connect());

    let sizes: Vec<_> = batches(&journey).iter().map(|it| it.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= MOST_OCTETS), "{sizes:?}");
    assert_eq!(sizes.len(), 3, "{sizes:?}");
}

#[test]
fn each_entry_has_an_outcome_of_its_own() {
    let journey = with(3);
    {
        let mut world = journey.world();
        for peculiarity in [
            Peculiarity::NoCode,
            Peculiarity::UnknownField,
            Peculiarity::TwoValues,
            Peculiarity::LongId,
            Peculiarity::UnderscoreId,
        ] {
            world.give_peculiar_lab(CAMILA.user, peculiarity);
        }
    }
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!(import.ending.verdict(), Verdict::Partly);
    assert_eq!((tally.stored, tally.adjusted, tally.refused), (5, 1, 3));
    assert!(
        tally
            .reasons
            .iter()
            .all(|(reason, _)| reason.contains("Observation")),
        "{:?}",
        tally.reasons
    );
    assert!(
        matches!(tally.changes.as_slice(), [(change, 1)] if change.contains("labStatus")),
        "{:?}",
        tally.changes
    );
    // Ids stay as they are: a long one JHE finds a place for, one with a `_` it refuses.
    let mut labs = journey.labs();
    for refused in [7, 5, 3] {
        labs.remove(refused);
    }
    is_there(&journey, &labs);
    assert_eq!(import.ending.new_rows, Some(5));
}

#[test]
fn a_batch_that_is_too_long_is_halved_until_it_fits() {
    let journey = with(120);
    journey.world().settings.jhe.max_body_bytes = Some(50_000);
    has_brought_all(&journey, &journey.connect());

    let stored = batches(&journey)
        .into_iter()
        .filter(|it| it.status == Some(200));
    assert!(stored.clone().all(|it| it.body.len() <= 50_000));
    assert_eq!(
        stored.map(|it| entries(&it)).sum::<usize>(),
        120,
        "one was sent twice"
    );
}

#[test]
fn one_record_that_is_too_long_is_refused_and_stops_no_other() {
    let journey = with(30);
    {
        let mut world = journey.world();
        let camila = world.ehr.patient_mut(CAMILA.user).expect("Camila");
        if let Some(lab) = camila.records.get_mut(17) {
            *lab = longer(lab, 200_000);
        }
        world.settings.jhe.max_body_bytes = Some(100_000);
    }
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.refused, tally.unsettled), (29, 1, 0));
    assert!(matches!(tally.reasons.as_slice(), [(reason, 1)] if reason.contains("413")));
    let mut labs = journey.labs();
    labs.remove(17);
    is_there(&journey, &labs);
}

#[test]
fn a_batch_that_jhe_gave_up_in_the_middle_is_sent_again_in_halves_and_doubles_nothing() {
    let journey = with(120);
    journey.fail(imports().once(), Fault::PartialBatch { entries: 30 });
    journey.fail(
        imports().after(2).once(),
        Fault::PartialBatch { entries: 5 },
    );
    has_brought_all(&journey, &journey.connect());

    let sizes: Vec<_> = batches(&journey).iter().map(entries).collect();
    assert_eq!(sizes, [100, 50, 70, 35, 35]);
    assert!(journey.rows().iter().any(|row| row.writes > 1));
}

#[test]
fn a_batch_whose_answer_is_lost_is_sent_again_and_doubles_nothing() {
    for fault in [
        Fault::LoseAnswer,
        Fault::CutOff,
        Fault::DropConnection,
        Fault::LateCommit { millis: 5 },
        web_page(),
        busy("3"),
    ] {
        let journey = with(130);
        journey.fail(imports().once(), fault);
        let before = journey.tab.now();
        has_brought_all(&journey, &journey.connect());

        let passed = journey.tab.now() - before;
        assert!(
            passed < journey.quiet_ms.get(),
            "waited {passed} ms for nothing"
        );
    }
}

#[test]
fn a_second_run_updates_what_is_there() {
    let journey = with(32);
    has_brought_all(&journey, &journey.connect());
    let second = journey.connect();

    has_brought_all(&journey, &second);
    assert!(!second.source.is_new());
    assert_eq!(told(&second), (32, Some(0)));
    assert!(journey.rows().iter().all(|row| row.writes == 2));
    journey.world().give_labs(CAMILA.user, 40);
    let third = journey.connect();
    assert_eq!(told(&third), (40, Some(8)));
}

#[test]
fn a_count_that_can_not_be_had_is_all_that_is_lost() {
    for fault in [maintenance(), web_page(), Fault::DropConnection] {
        let journey = with(32);
        journey.fail(read_backs(), fault);
        let import = journey.connect();

        has_brought_all(&journey, &import);
        assert_eq!(told(&import), (32, None));
    }
}

#[test]
fn a_reload_at_any_request_doubles_nothing_and_counts_the_new_ones() {
    for passing in 0..8 {
        let journey = with(110);
        // The first ones lead to the sign-in.
        journey.tab.before("/", 5 + passing, Tab::leave);
        let import = match journey.travel(CAMILA, Decision::Allow) {
            Ok(Landed::Imported(import)) => *import,
            _ => journey.go_on(),
        };
        has_brought_all(&journey, &import);
        let new_rows = import.ending.new_rows;
        assert_eq!(new_rows, Some(110), "left before request {passing}");
    }
}

#[test]
fn a_jhe_that_can_not_be_reached_any_more_ends_the_run_which_can_go_on() {
    let journey = with(250);
    journey.fail(imports().after(1), Fault::DropConnection);
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "jhe.unreachable");
    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.unsettled, tally.refused), (100, 0, 0));
    assert_eq!(tally.stored + tally.unsent, tally.found);
    assert_eq!(import.ending.way_on(), WayOn::TryAgain);
    journey.is_well_again();
    has_brought_all(&journey, &journey.go_on());
}

#[test]
fn a_jhe_that_fails_at_everything_ends_the_run_which_can_go_on() {
    let journey = with(250);
    journey.fail(imports().after(1), maintenance());
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "jhe.failing");
    assert!(batches(&journey).len() < 30);
    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.unsettled), (100, 0));
    assert_eq!(tally.stored + tally.not_saved(), tally.found);
    assert_eq!(import.ending.way_on(), WayOn::TryAgain);
    journey.is_well_again();
    let import = journey.go_on();
    is_there(&journey, &journey.labs());
    assert_eq!(import.ending.verdict(), Verdict::Complete);
}

#[test]
fn a_session_that_ends_between_batches_keeps_what_arrived() {
    let journey = with(250);
    journey.tab.before(IMPORT, 1, crate::end_jhe_session);
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "jhe.session_expired");
    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.refused), (100, 0));
    assert_eq!(tally.stored + tally.unsent, tally.found);
    is_there(&journey, &journey.first_labs(MOST_RECORDS));
}

/// A hospital with so many labs, and the JHE that imports Bundles.
pub(crate) fn with(labs: usize) -> Journey {
    let journey = Journey::begin();
    journey.is_configured_further("deployment", json!("patient-access"));
    let plan =
        json!([{"label": "Labs", "type": "Observation", "parameters": {"category": "laboratory"}}]);
    journey.is_configured_further("plan", plan);
    let callback = format!(
        "{}/clients/patient-access/callback",
        journey.tab.sandbox.jhe()
    );
    let mut world = journey.world();
    world.settings.jhe.version = JheVersion::PatientAccess;
    for client in &mut world.settings.ehr.clients {
        client.redirect_uris.push(callback.clone());
    }
    world.give_labs(CAMILA.user, labs);
    world.settings.ehr.page_size = 50;
    drop(world);
    journey
}

fn imports() -> Match {
    Match::on(Server::Jhe).method("POST").path(IMPORT)
}

fn batches(journey: &Journey) -> Vec<LoggedRequest> {
    journey.requests(Server::Jhe, "POST", IMPORT)
}

fn entries(batch: &LoggedRequest) -> usize {
    let bundle: Value = serde_json::from_str(&batch.body).expect("a Bundle");
    assert_eq!(bundle.get("type"), Some(&json!("batch")));
    let entries = bundle.get("entry").and_then(Value::as_array);
    let entries = entries.expect("entries").len();
    assert!((1..=MOST_RECORDS).contains(&entries));
    entries
}

fn each_lab_is_longer_by(journey: &Journey, octets: usize) {
    let mut world = journey.world();
    let camila = world.ehr.patient_mut(CAMILA.user).expect("Camila");
    for lab in &mut camila.records {
        *lab = longer(lab, octets);
    }
}

fn longer(lab: &str, octets: usize) -> String {
    let note = format!(r#"{{"note":[{{"text":"{}"}}],"#, "x".repeat(octets));
    lab.replacen('{', &note, 1)
}

/// Exactly these labs are in one row each, as the hospital sent them.
fn is_there(journey: &Journey, labs: &[String]) {
    let mut sent: Vec<_> = journey.rows().into_iter().map(|row| row.sent).collect();
    let mut labs = labs.to_vec();
    sent.sort();
    labs.sort();
    assert!(sent == labs, "{} rows for {} labs", sent.len(), labs.len());
}

pub(crate) fn has_brought_all(journey: &Journey, import: &Import) {
    let labs = journey.labs();
    is_there(journey, &labs);
    import.has_stored_all(&labs);
}

/// So many records are told of, and so many of them as new.
fn told(import: &Import) -> (u32, Option<u32>) {
    let account = import.account();
    (account.total().stored, account.added())
}
