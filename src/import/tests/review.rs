//! A patient who looks what there is before any of it is copied.

use super::*;

fn review(plan: &str) -> Review {
    let Start { ehr, seed, .. } = start();
    let mut review = Review {
        ehr,
        deployment: &PATIENT_ACCESS,
        plan: Plan::parse(Json::parse(plan.as_bytes()).unwrap(), &PATIENT_ACCESS).unwrap(),
        checkpoint: Checkpoint::default(),
        seed,
    };
    review.ehr.scope = ALL.into();
    review
}

fn nothing_of_jhe(_: &HttpRequest) -> Answer {
    panic!("a review asks nothing of JHE")
}

#[test]
fn a_review_counts_all_that_there_is_and_asks_nothing_of_jhe() {
    let mut run = ImportRun::review(review(THREE));
    perform_review(&mut run, one_of_each(|_| None));
    assert_eq!(run.purpose(), Purpose::Review);
    let found: Vec<_> = run.rows().iter().map(|row| row.tally.found).collect();
    assert_eq!(found, [1, 1, 1]);
    assert_eq!(run.progress().whole, Some((3, 3)));
    let ending = run.ending();
    assert_eq!(ending.verdict(), Verdict::Complete);
    assert_eq!((ending.tally.stored, ending.tally.not_saved()), (0, 0));
    assert_eq!(run.into_ehr().patient, "e1");
}

/// Performs a review to its end; its answers come at once.
fn perform_review(run: &mut ImportRun, mut ehr: impl FnMut(&HttpRequest) -> Answer) {
    loop {
        match run.next_action(NOW) {
            Action::Perform(task, request) => {
                let answer = match request.url.host() {
                    "ehr.example" => ehr(&request),
                    _ => nothing_of_jhe(&request),
                };
                run.finish(task, answer, NOW);
            }
            Action::Complete => return,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn no_record_is_kept_however_many_there_are() {
    let mut run = ImportRun::review(review(r#"[{"label":"Labs","type":"Observation"}]"#));
    let mut number = 0;
    perform_review(&mut run, |_| {
        number += 1;
        let ids: Vec<String> = (0..50).map(|n| format!("r{}", number * 50 + n)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let next = format!("?page={number}");
        Ok(json(200, &page(&ids, (number < 40).then_some(&next))))
    });
    assert_eq!((run.tally().found, run.queue.len()), (2_000, 0));
    assert_eq!(run.findings().rows[0].count(), 2_000);
    assert_eq!(run.accounts_open(), 0);
}

impl ImportRun {
    fn accounts_open(&self) -> usize {
        let pulls = self.pulls.iter();
        pulls
            .filter(|pull| pull.accounts.earliest().is_some())
            .count()
    }
}

#[test]
fn documents_are_not_fetched_for_a_review() {
    let note = r#"{"resource":{"resourceType":"DocumentReference","id":"n","subject":{"reference":"Patient/e1"},
        "content":[{"attachment":{"contentType":"text/plain","url":"Binary/b"}}]}}"#;
    let plan = r#"[{"label":"Notes","type":"DocumentReference","attachments":true}]"#;
    let mut run = ImportRun::review(review(plan));
    let mut asked = 0;
    perform_review(&mut run, |_| {
        asked += 1;
        let bundle = format!(r#"{{"resourceType":"Bundle","entry":[{note}]}}"#);
        Ok(json(200, &bundle))
    });
    assert_eq!((asked, run.tally().found, run.tally().kept), (1, 1, 0));
}

#[test]
fn a_review_of_which_a_part_fails_says_so_and_goes_on_where_it_was() {
    let mut run = ImportRun::review(review(THREE));
    let fails = |request: &HttpRequest| {
        let is_goal = request.url.path().ends_with("Goal");
        is_goal.then(|| Ok(json(403, "{}")))
    };
    perform_review(&mut run, one_of_each(fails));
    let ending = run.ending();
    assert_eq!(ending.verdict(), Verdict::Partly);
    assert_eq!(ending.pull_errors.len(), 1);

    let again = Review {
        checkpoint: run.checkpoint(),
        ..review(THREE)
    };
    let mut again = ImportRun::review(again);
    let mut asked = Vec::new();
    perform_review(
        &mut again,
        one_of_each(|request| {
            asked.push(request.url.path().to_owned());
            None
        }),
    );
    assert_eq!(asked, ["/R4/Goal"]);
    assert_eq!(again.tally().found, 3);
    assert_eq!(again.ending().verdict(), Verdict::Complete);
}

#[test]
fn a_copy_does_not_go_on_where_a_review_ended() {
    let mut run = ImportRun::review(review(THREE));
    perform_review(&mut run, one_of_each(|_| None));
    let checkpoint = run.checkpoint();
    let Review { plan, .. } = review(THREE);
    let mut start = Start {
        deployment: &PATIENT_ACCESS,
        // Without the goals, after the patient's choice.
        plan: plan.keep(&|_, row| row.label != "Goals"),
        checkpoint: checkpoint.clone(),
        ..start()
    };
    start.ehr = run.into_ehr();
    let mut copy = ImportRun::new(start, NOW);
    perform(&mut copy, one_of_each(|_| None), stored_in_batches);
    assert_eq!(outcome_of(&copy), ["You 1", "Visits 1"]);

    let mut start = Start {
        deployment: &PATIENT_ACCESS,
        plan,
        checkpoint,
        ..super::start()
    };
    start.ehr.scope = ALL.into();
    let mut copy = ImportRun::new(start, NOW);
    perform(&mut copy, one_of_each(|_| None), stored_in_batches);
    assert_eq!(outcome_of(&copy), ["You 1", "Goals 1", "Visits 1"]);
}
