//! JHE has trouble while records are written.

use jhe_connect::import::{Verdict, WayOn};
use sandbox::{FIRST_PATIENT, Fault, Row};
use serde_json::json;

use super::hospital::CAMILA;
use super::journey::Journey;
use super::tab::{Tab, network};
use crate::{MOST_WRITES_AT_ONCE, busy, maintenance, read_backs, web_page, writes};

#[test]
fn answers_lost_now_and_then_double_nothing_among_many_records() {
    for fault in [
        Fault::LoseAnswer,
        Fault::LateCommit { millis: 1 },
        Fault::CutOff,
    ] {
        let journey = Journey::begin();
        journey.world().give_labs(CAMILA.user, 100);
        for turn in (4..100).step_by(5) {
            journey.fail(writes().after(turn).once(), fault.clone());
        }
        journey.has_brought_all(&journey.connect());
        assert_eq!(journey.writes().len(), 100);
    }
}

#[test]
fn a_rate_limit_that_hits_all_writes_under_way_is_one_reason_to_wait() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 100);
    journey.fail(writes().after(70).times(6), busy("1"));
    journey.has_brought_all(&journey.connect());
}

#[test]
fn writes_lost_now_and_then_are_sent_again_each_once() {
    for fault in [Fault::DropConnection, maintenance(), web_page()] {
        let journey = Journey::begin();
        journey.world().give_labs(CAMILA.user, 100);
        for turn in (4..100).step_by(5) {
            journey.fail(writes().after(turn).once(), fault.clone());
        }
        journey.has_brought_all(&journey.connect());
        assert_eq!(journey.writes().len(), 120);
    }
}

#[test]
fn a_write_that_failed_after_its_commit_is_found_to_have_arrived() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 12);
    journey.fail(writes().after(4).once(), maintenance());
    journey.tab.before("_page=1", 0, commit_what_failed);
    journey.has_brought_all(&journey.connect());

    // Those of the page, and the commit.
    assert_eq!(journey.writes().len(), 12 + 1);
    assert_eq!(journey.read_backs().len(), 1);
}

#[test]
fn a_jhe_that_is_too_busy_is_left_alone_for_as_long_as_it_asks() {
    let journey = Journey::begin();
    journey.fail(writes().after(2).once(), busy("7"));
    journey.fail(writes().after(20).once(), busy("20"));
    let before = journey.tab.now();
    journey.has_brought_all(&journey.connect());

    assert_eq!(journey.tab.now() - before, 27_000);
    assert_eq!(journey.writes().len(), journey.labs().len() + 2);
    assert_eq!(journey.read_backs().len(), 0, "nothing was unsettled");
    let sent = journey.tab.sent();
    let times: Vec<_> = sent
        .iter()
        .filter(|it| it.is_write())
        .map(|it| it.at)
        .collect();
    let mut pauses: Vec<_> = times
        .windows(2)
        .filter_map(|pair| match pair {
            [first, next] => next.checked_sub(*first),
            _ => None,
        })
        .collect();
    pauses.retain(|pause| *pause > 0);
    assert_eq!(pauses, [7_000, 20_000]);
}

#[test]
fn a_jhe_that_stays_too_busy_ends_the_run_which_can_go_on() {
    for (fault, tries) in [(busy("1"), 5), (busy("100"), 1)] {
        let journey = Journey::begin();
        journey.fail(writes().after(1), fault);
        let import = journey.connect();

        assert_eq!(journey.error_of(&import).code(), "jhe.failing");
        assert_eq!(journey.writes().len(), 1 + tries);
        let tally = &import.ending.tally;
        assert_eq!((tally.stored, tally.unsettled, tally.refused), (1, 0, 0));
        assert_eq!(tally.stored + tally.unsent, tally.found);
        assert_eq!(import.ending.way_on(), WayOn::TryAgain);
        journey.is_well_again();
        journey.has_brought_all(&journey.go_on());
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_and_stops_no_other() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 12);
    {
        let mut world = journey.world();
        let camila = world.ehr.patient_mut(CAMILA.user).expect("Camila");
        if let Some(lab) = camila.records.get_mut(4) {
            let note = "x".repeat(20_000);
            *lab = lab.replacen('{', &format!(r#"{{"note":[{{"text":"{note}"}}],"#), 1);
        }
        world.settings.jhe.max_body_bytes = Some(10_000);
    }
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!(import.ending.verdict(), Verdict::Partly);
    assert_eq!((tally.stored, tally.refused, tally.unsettled), (11, 1, 0));
    assert!(matches!(tally.reasons.as_slice(), [(reason, 1)] if reason.contains("413")));
    assert_eq!(journey.writes().len(), 12);
    let mut labs = journey.labs();
    labs.remove(4);
    journey.has_arrived(&labs);
}

#[test]
fn a_jhe_that_is_down_for_a_while_costs_nothing_but_time() {
    let journey = Journey::begin();
    journey.fail(writes().after(9).times(3), maintenance());
    journey.fail(read_backs().times(3), maintenance());
    let before = journey.tab.now();
    journey.has_brought_all(&journey.connect());

    assert!(journey.tab.now() - before > journey.quiet_ms.get());
    assert_eq!(journey.read_backs().len(), 4);
}

#[test]
fn never_more_writes_are_under_way_than_a_browser_has_connections() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 200);
    journey.tab.before("/FHIR/R5/", 150, Tab::leave);
    journey.connect_and_leave();

    // After the one before which the patient left come those that were under way beside it.
    let under_way = journey.writes().len() - 150;
    assert!(
        (2..=MOST_WRITES_AT_ONCE).contains(&under_way),
        "{under_way}"
    );
    journey.has_brought_all(&journey.go_on());
}

#[test]
fn what_jhe_holds_is_read_back_on_several_pages() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 12);
    for number in 0..200 {
        journey.world().jhe.rows.write(Row {
            id: format!("of-another-hospital-{number}"),
            resource_type: "Observation".to_owned(),
            patient: FIRST_PATIENT,
            source: 1,
            upstream_id: None,
            writes: 1,
            sent: String::new(),
            stored: json!({"resourceType": "Observation"}),
        });
    }
    journey.fail(writes().after(9).once(), Fault::LoseAnswer);
    let tally = journey.connect().ending.tally;

    assert_eq!((tally.stored, tally.already_there), (12, 0));
    assert_eq!(journey.writes().len(), 12);
    let pages = journey.read_backs().into_iter().map(|it| it.target);
    let pages: Vec<_> = pages.filter(|target| target.contains("_page=2")).collect();
    assert_eq!(pages, ["/FHIR/R5/Observation?_count=200&_page=2"]);
    journey.world().jhe.rows.retain(|row| row.source != 1);
    journey.has_arrived(&journey.labs());
}

/// The worker that answered with a failure had done its work all the same.
fn commit_what_failed(tab: &Tab) {
    let log = tab.sandbox.world().request_log().to_vec();
    for failed in log
        .iter()
        .filter(|it| it.method == "POST" && it.status == Some(503))
    {
        let mut request = network().post(format!("{}{}", tab.sandbox.jhe(), failed.target));
        for name in ["authorization", "content-type", "x-jhe-fhir-source-id"] {
            request = request.header(name, failed.header(name).unwrap_or_default());
        }
        let answer = request.send(&failed.body).expect("an answer");
        assert_eq!(answer.status(), 201);
    }
}
