//! A patient who lets the import pause, go on, and end.

use super::*;

/// What a run asks for now, of the EHR and of JHE.
fn asked(run: &mut ImportRun, now: u64) -> (Vec<(TaskId, HttpRequest)>, Action) {
    let mut asked = Vec::new();
    loop {
        match run.next_action(now) {
            Action::Perform(task, request) => asked.push((task, request)),
            rest => return (asked, rest),
        }
    }
}

/// The one thing that a run asks for now.
fn only(run: &mut ImportRun, now: u64) -> (TaskId, HttpRequest) {
    let (mut asked, _) = asked(run, now);
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

fn adds_up(tally: &Tally) -> bool {
    let known = tally.stored + tally.already_there + tally.repeated;
    tally.fetched() == known + tally.left_out() + tally.not_saved()
}

#[test]
fn a_pause_begins_nothing_finishes_what_is_under_way_and_is_no_end() {
    let mut run = run();
    let (first, _) = only(&mut run, NOW);
    run.pause();
    assert!(run.is_paused());
    run.finish(
        first,
        Ok(json(200, &page(&["a", "b"], Some("?page=2")))),
        NOW,
    );
    let (nothing, rest) = asked(&mut run, NOW);
    assert!(nothing.is_empty() && matches!(rest, Action::AwaitFinish));
    assert_eq!(run.tally().found, 2);
    assert_eq!(run.wait(NOW), None);

    run.resume();
    assert!(!run.is_paused());
    let (both, _) = asked(&mut run, NOW);
    assert_eq!(both.len(), 2);
    run.pause();
    for (task, request) in both {
        let answer = match request.method {
            Method::Post => stored(&request),
            Method::Get => Ok(json(200, &page(&[], None))),
        };
        run.finish(task, answer, NOW);
    }
    assert_eq!(run.tally().stored, 1);
    run.resume();
    perform(&mut run, pages(Vec::new()), stored);
    assert_eq!(run.tally().stored, 2);
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn a_run_that_has_nothing_left_waits_for_the_patient_who_let_it_pause() {
    let mut run = run();
    let (task, _) = only(&mut run, NOW);
    run.finish(task, Ok(json(200, &page(&["a"], None))), NOW);
    let (task, request) = only(&mut run, NOW);
    run.pause();
    run.finish(task, stored(&request), NOW);
    assert!(matches!(run.next_action(NOW), Action::AwaitFinish));
    run.resume();
    assert!(matches!(run.next_action(NOW), Action::Complete));
}

#[test]
fn while_it_pauses_it_is_found_out_what_became_of_a_write_without_answer() {
    let mut run = run();
    let (task, _) = only(&mut run, NOW);
    run.finish(task, Ok(json(200, &page(&["a", "b"], None))), NOW);
    let (task, _) = only(&mut run, NOW);
    run.pause();
    run.finish(task, Err(TransportError::TimedOut), NOW);
    let Action::AwaitTime(until) = run.next_action(NOW) else {
        panic!("it is read back later")
    };
    let (task, request) = only(&mut run, until);
    assert_eq!(request.method, Method::Get);
    run.finish(task, Ok(json(200, &rows(&["a"]))), until);
    let (nothing, rest) = asked(&mut run, until);
    assert!(nothing.is_empty() && matches!(rest, Action::AwaitFinish));
    assert_eq!(run.tally().stored, 1);
}

#[test]
fn a_patient_who_ends_it_loses_nothing_and_goes_on_another_time() {
    let mut run = run();
    let (task, _) = only(&mut run, NOW);
    run.finish(
        task,
        Ok(json(200, &page(&["a", "b"], Some("?page=2")))),
        NOW,
    );
    let (both, _) = asked(&mut run, NOW);
    run.stop_here();
    // There is no way back.
    run.resume();
    run.pause();
    assert!(!run.is_paused());
    assert!(matches!(run.next_action(NOW), Action::AwaitFinish));
    for (task, request) in both {
        let answer = match request.method {
            Method::Post => stored(&request),
            Method::Get => Ok(json(200, &page(&["c"], None))),
        };
        run.finish(task, answer, NOW);
    }
    assert!(matches!(run.next_action(NOW), Action::Complete));
    let ending = run.ending();
    assert!(ending.stopped_by_patient && adds_up(&ending.tally));
    assert_eq!((ending.tally.stored, ending.tally.unsent), (1, 2));
    assert_eq!(ending.verdict(), Verdict::Partly);
    assert_eq!(ending.way_on(), WayOn::TryAgain);

    let start = Start {
        checkpoint: run.checkpoint(),
        last_write: Some(NOW),
        ..start_again()
    };
    let mut later = ImportRun::new(start, NOW);
    let sent = perform(
        &mut later,
        |request| match request.url.query() {
            "?page=2" => Ok(json(200, &page(&["c"], None))),
            _ => Ok(json(200, &page(&["a", "b"], Some("?page=2")))),
        },
        |request| match request.method {
            Method::Get => Ok(json(200, &rows(&["a"]))),
            Method::Post => stored(request),
        },
    );
    assert_eq!(sent.len(), 2);
    let ending = later.ending();
    assert_eq!((ending.tally.stored, ending.tally.unsent), (3, 0));
    assert_eq!(ending.verdict(), Verdict::Complete);
}

#[test]
fn an_end_before_anything_arrived_is_no_failure_unless_something_failed() {
    let mut run = run();
    let (task, _) = only(&mut run, NOW);
    run.stop_here();
    let mut failed = json(403, "{}");
    failed.content_type = "application/json".into();
    run.finish(task, Ok(failed), NOW);
    assert!(matches!(run.next_action(NOW), Action::Complete));
    assert_eq!(run.ending().verdict(), Verdict::Failed);
    assert!(!run.ending().stopped_by_patient);

    let mut run = super::run();
    run.stop_here();
    assert!(matches!(run.next_action(NOW), Action::Complete));
    let ending = run.ending();
    assert!(ending.stopped_by_patient);
    assert_eq!(ending.verdict(), Verdict::Partly);
    assert_eq!(ending.way_on(), WayOn::TryAgain);
}

#[test]
fn an_end_that_comes_when_all_is_done_is_an_ordinary_one() {
    let mut run = run();
    let (task, _) = only(&mut run, NOW);
    run.finish(task, Ok(json(200, &page(&["a"], None))), NOW);
    let (task, request) = only(&mut run, NOW);
    run.stop_here();
    run.finish(task, stored(&request), NOW);
    assert!(matches!(run.next_action(NOW), Action::Complete));
    let ending = run.ending();
    assert!(!ending.stopped_by_patient);
    assert_eq!(ending.verdict(), Verdict::Complete);
    assert_eq!(ending.way_on(), WayOn::None);
}

#[test]
fn a_wait_for_the_hospital_is_not_waited_out_by_a_patient_who_ends_it() {
    let mut run = run();
    let (task, _) = only(&mut run, NOW);
    run.finish(task, Ok(answer(503, "text/html", "")), NOW);
    assert!(matches!(run.next_action(NOW), Action::AwaitTime(_)));
    run.stop_here();
    assert!(matches!(run.next_action(NOW), Action::Complete));
    assert!(run.ending().stopped_by_patient && run.ending().pull_errors.is_empty());
}

#[test]
fn what_an_end_can_not_settle_soon_is_told_as_unsettled() {
    let lost = |quiet_ms| {
        let start = Start {
            quiet_ms,
            ..start()
        };
        let mut run = ImportRun::new(start, NOW);
        let (task, _) = only(&mut run, NOW);
        run.finish(task, Ok(json(200, &page(&["a"], None))), NOW);
        let (task, _) = only(&mut run, NOW);
        run.stop_here();
        run.finish(task, Err(TransportError::TimedOut), NOW);
        run
    };
    let mut run = lost(QUIET);
    assert!(matches!(run.next_action(NOW), Action::Complete));
    let ending = run.ending();
    assert!(ending.stopped_by_patient && adds_up(&ending.tally));
    assert_eq!((ending.tally.unsettled, ending.tally.unsent), (1, 0));
    assert_eq!(ending.way_on(), WayOn::TryAgain);

    // Where the wait is short, it is settled.
    let mut run = lost(2_000);
    let Action::AwaitTime(until) = run.next_action(NOW) else {
        panic!("it is read back soon")
    };
    let (task, _) = only(&mut run, until);
    run.finish(task, Ok(json(200, &rows(&["a"]))), until);
    assert!(matches!(run.next_action(until), Action::Complete));
    let ending = run.ending();
    assert!(!ending.stopped_by_patient);
    assert_eq!(
        (ending.tally.stored, ending.verdict()),
        (1, Verdict::Complete)
    );
}

#[test]
fn of_a_batch_without_answer_it_is_not_said_that_it_was_not_sent() {
    let mut run = batch_run();
    let (task, _) = only(&mut run, NOW);
    run.finish(task, Ok(json(200, &page(&["a", "b"], None))), NOW);
    let (task, request) = only(&mut run, NOW);
    assert_eq!(request.method, Method::Post);
    run.stop_here();
    run.finish(task, Err(TransportError::TimedOut), NOW);
    assert!(matches!(run.next_action(NOW), Action::Complete));
    let tally = run.ending().tally;
    assert_eq!((tally.unsettled, tally.unsent), (2, 0));
    assert!(adds_up(&tally) && run.ending().stopped_by_patient);
}
