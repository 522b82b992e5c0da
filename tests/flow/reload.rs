//! The page goes away in the middle: it is reloaded, it crashes, or the patient closes the tab.

use jhe_connect::import::WayOn;
use sandbox::Peculiarity::{NoCode, OtherSubject, UnderscoreId, UnknownField};
use sandbox::{Fault, Server};
use serde_json::json;

use super::hospital::{CAMILA, Decision};
use super::journey::Journey;
use super::pages::Landed;
use super::tab::Tab;
use crate::{PAGE, expect_code, maintenance, pages_of_search, registration, writes};

const WRITE: &str = "/FHIR/R5/Observation";

#[test]
fn a_reload_goes_on_at_the_page_where_it_stopped() {
    let journey = Journey::begin();
    journey.tab.before(WRITE, 13, Tab::close);
    journey.connect_and_leave();
    assert_eq!(journey.rows().len(), 13);
    let (asked, sent) = (journey.searches(), journey.log().len());
    let import = journey.go_on();

    journey.has_brought_all(&import);
    let again = journey.searches().split_off(asked.len());
    let second = asked.iter().find(|it| it.target.contains("sessionID="));
    assert_eq!(
        again.first().map(|it| &it.target),
        second.map(|it| &it.target),
        "the first page was done with, the second one was not"
    );
    assert_eq!(journey.exchanges().len(), 1);
    assert_eq!(journey.redemptions().len(), 1);
    // Each record that had arrived was recognised.
    assert_eq!(journey.writes().len(), journey.labs().len());
    let sign_ins = journey.log().split_off(sent);
    assert!(sign_ins.iter().all(|it| !it.target.contains("/oauth2/")));
}

#[test]
fn a_reload_at_any_request_loses_nothing_and_doubles_nothing() {
    for leave in [Tab::close, Tab::leave] {
        for passing in 0..=14 {
            let journey = Journey::begin();
            journey.world().give_labs(CAMILA.user, 7);
            journey.world().settings.ehr.page_size = 3;
            // The first ones lead to both tokens.
            journey.tab.before("/", 6 + passing, leave);
            match journey.travel(CAMILA, Decision::Allow) {
                Ok(Landed::Left) => journey.has_brought_all(&journey.go_on()),
                Ok(Landed::Imported(import)) => journey.has_brought_all(&import),
                other => panic!("left before request {passing}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_patient_who_leaves_the_connect_page_at_any_request_begins_at_the_link_again() {
    for leave in [Tab::close, Tab::leave] {
        // The invitation, JHE's token, the patient's sources, and two looks at the hospital.
        for passing in 0..5 {
            let journey = Journey::begin();
            journey.tab.before("/", passing, leave);
            let landed = journey.travel(CAMILA, Decision::Allow);
            assert!(matches!(landed, Ok(Landed::LeftBeforeSignIn)), "{landed:?}");
            assert_eq!(journey.exchanges().len(), 0);
            journey.has_brought_all(&journey.connect());
        }
    }
}

#[test]
fn several_reloads_count_each_record_once() {
    for leave in [Tab::close, Tab::leave] {
        let journey = Journey::begin();
        journey.world().give_labs(CAMILA.user, 45);
        for passing in [3, 14, 22, 37] {
            journey.tab.before(WRITE, passing, leave);
        }
        journey.connect_and_leave();
        for _ in 0..3 {
            let landed = journey.reload();
            assert!(matches!(landed, Ok(Landed::Left)), "{landed:?}");
        }
        journey.has_brought_all(&journey.go_on());
    }
}

#[test]
fn a_reload_while_writes_are_under_way_waits_for_quiet() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 60);
    // By then several are under way at once.
    journey.tab.before(WRITE, 40, Tab::leave);
    journey.connect_and_leave();
    assert!(journey.rows().len() > 41, "one write at a time");
    let before = journey.tab.now();
    journey.has_brought_all(&journey.go_on());

    assert_eq!(journey.tab.now() - before, journey.quiet_ms.get());
    assert_eq!(journey.writes().len(), 60);
}

#[test]
fn a_write_that_jhe_commits_after_the_reload_is_not_sent_again() {
    for millis in [0, 10, 50] {
        let journey = Journey::begin();
        journey.world().give_labs(CAMILA.user, 12);
        journey.fail(writes().after(4).once(), Fault::LateCommit { millis });
        journey.tab.before(WRITE, 5, Tab::close);
        journey.connect_and_leave();
        let before = journey.tab.now();
        journey.has_brought_all(&journey.go_on());

        assert_eq!(journey.tab.now() - before, journey.quiet_ms.get());
        assert_eq!(journey.writes().len(), 12);
    }
}

#[test]
fn the_workers_timeout_that_is_configured_sets_how_long_it_is_waited() {
    for (seconds, quiet_ms) in [(60, 65_000), (300, 305_000)] {
        let journey = Journey::begin();
        journey.quiet_ms.set(quiet_ms);
        journey.is_configured_further("workerTimeoutSeconds", json!(seconds));
        journey.world().give_labs(CAMILA.user, 12);
        journey.fail(writes().after(4).once(), Fault::LateCommit { millis: 20 });
        journey.tab.before(WRITE, 5, Tab::leave);
        journey.connect_and_leave();
        let before = journey.tab.now();
        journey.fail(writes().after(2).once(), Fault::LoseAnswer);
        journey.has_brought_all(&journey.go_on());

        assert_eq!(journey.tab.now() - before, 2 * quiet_ms);
    }
}

#[test]
fn time_that_passed_before_the_reload_is_not_waited_again() {
    let journey = Journey::begin();
    journey.tab.before(WRITE, 13, Tab::leave);
    journey.connect_and_leave();
    journey.tab.let_pass(journey.quiet_ms.get());
    let before = journey.tab.now();
    journey.has_brought_all(&journey.go_on());

    assert_eq!(journey.tab.now(), before);
}

#[test]
fn a_new_tab_after_a_cut_write_waits_for_quiet_and_doubles_nothing() {
    for leave in [Tab::close, Tab::leave] {
        let mut journey = Journey::begin();
        journey.world().give_labs(CAMILA.user, 12);
        journey.fail(writes().after(4).once(), Fault::LateCommit { millis: 30 });
        journey.tab.before(WRITE, 5, leave);
        journey.connect_and_leave();
        journey.moves_to_another_tab();
        let before = journey.tab.now();
        let import = journey.connect();

        assert_eq!(journey.tab.now() - before, journey.quiet_ms.get());
        let tally = &import.ending.tally;
        assert_eq!(tally.stored + tally.already_there, 12);
        assert!(tally.already_there >= 5);
        journey.has_arrived(&journey.labs());
        assert_eq!(journey.writes().len(), 12);
    }
}

#[test]
fn a_new_tab_after_a_finished_run_need_not_wait() {
    let mut journey = Journey::begin();
    journey.connect();
    assert!(journey.tab.shared.entries().is_empty());
    journey.moves_to_another_tab();
    let before = journey.tab.now();
    let import = journey.connect();

    assert_eq!(journey.tab.now(), before);
    assert_eq!(
        import.ending.tally.already_there as usize,
        journey.labs().len()
    );
    journey.has_arrived(&journey.labs());
}

#[test]
fn a_source_whose_registration_got_no_answer_is_found_again() {
    let journey = Journey::begin();
    journey.fail(registration().once(), Fault::LoseAnswer);
    let landed = journey.travel(CAMILA, Decision::Allow);
    expect_code(landed, "source.unreachable");
    journey.has_brought_all(&journey.go_on());

    assert_eq!(journey.world().jhe.sources.len(), 1);
}

#[test]
fn what_was_there_before_the_run_is_told_apart_after_a_reload_too() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 20);
    journey.connect();
    journey.world().give_labs(CAMILA.user, 45);
    // After the read-back and seven writes.
    journey.tab.before(WRITE, 1 + 7, Tab::leave);
    journey.connect_and_leave();
    let import = journey.go_on();

    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.already_there), (25, 20));
    assert_eq!(tally.pages, 5);
    journey.has_arrived(&journey.labs());
}

#[test]
fn a_reload_counts_what_was_refused_and_left_out_once() {
    for passing in [3, 8, 11] {
        let journey = Journey::begin();
        {
            let mut world = journey.world();
            world.settings.ehr.page_size = 6;
            world.give_labs(CAMILA.user, 4);
            for peculiarity in [NoCode, OtherSubject, UnknownField, OtherSubject, NoCode] {
                world.give_peculiar_lab(CAMILA.user, peculiarity);
                world.give_peculiar_lab(CAMILA.user, UnderscoreId);
            }
        }
        journey.tab.before(WRITE, passing, Tab::leave);
        journey.connect_and_leave();
        let tally = journey.go_on().ending.tally;

        assert_eq!(
            (tally.stored, tally.refused, tally.already_there),
            (9, 3, 0)
        );
        assert_eq!((tally.of_other_subject, tally.pages), (2, 3));
        assert_eq!(journey.rows().len(), 9);
    }
}

#[test]
fn a_run_that_the_hospital_interrupted_goes_on_after_several_tries() {
    let journey = Journey::begin();
    journey.fail(pages_of_search().after(2).times(11), maintenance());
    let mut import = journey.connect();
    for _ in 0..2 {
        assert_eq!(import.ending.way_on(), WayOn::TryAgain);
        assert_eq!(journey.error_of(&import).code(), "pull.server_error");
        assert_eq!(import.ending.tally.stored as usize, 2 * PAGE);
        import = journey.go_on();
    }
    journey.has_brought_all(&import);
    assert_eq!(
        journey.requests(Server::Ehr, "GET", "?patient=").len(),
        1,
        "the first page is asked for once"
    );
}
