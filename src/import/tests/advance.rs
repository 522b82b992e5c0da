//! How far a run is.

use super::*;

/// A page whose server says how many records there are.
fn page_of(ids: &[&str], next: Option<&str>, total: &str) -> Answer {
    let total = ["{\"total\":", total, ","].concat();
    Ok(json(200, &page(ids, next).replacen('{', &total, 1)))
}

/// A run that has read these pages, and written nothing.
fn having_read(pages: Vec<Answer>) -> ImportRun {
    let mut run = run();
    for page in pages {
        let mut reads = Vec::new();
        while let Action::Perform(task, request) = run.next_action(NOW) {
            if request.url.host() == "ehr.example" {
                reads.push(task);
            }
        }
        let [task] = reads.as_slice() else {
            panic!("no page is asked for")
        };
        run.finish(*task, page, NOW);
    }
    run
}

fn labs(run: &ImportRun) -> RowProgress {
    run.progress().rows[0]
}

#[test]
fn every_row_that_is_searched_is_there_from_the_first_frame_on() {
    let run = chart_run(
        r#"[{"label":"Goals","type":"Goal"},{"label":"Drugs","type":"Medication","search":false},
        {"label":"Labs","type":"Observation"}]"#,
        "patient/Observation.read",
    );
    let progress = run.progress();
    let states: Vec<_> = progress
        .rows
        .iter()
        .map(|row| (row.row, row.state))
        .collect();
    assert_eq!(states, [(0, RowState::NotGranted), (2, RowState::Waiting)]);
    assert_eq!(run.plan().rows[2].label, "Labs");
    // Of what was not granted nothing will come; of the other nobody knows.
    assert_eq!(
        (progress.rows[0].all, progress.rows[1].all),
        (Some(0), None)
    );
    assert_eq!(progress.whole, None);
}

#[test]
fn without_a_number_of_the_server_the_whole_is_known_once_all_is_read() {
    let run = having_read(alloc::vec![Ok(json(
        200,
        &page(&["a", "b"], Some("?page=2"))
    ))]);
    let row = labs(&run);
    assert_eq!(
        (row.state, row.found, row.all),
        (RowState::Reading, 2, None)
    );
    assert_eq!(run.progress().whole, None);

    let run = having_read(alloc::vec![
        Ok(json(200, &page(&["a", "b"], Some("?page=2")))),
        Ok(json(200, &page(&["c", "a"], None))),
    ]);
    let row = labs(&run);
    assert_eq!(
        (row.state, row.found, row.all),
        (RowState::Read, 3, Some(3))
    );
    assert_eq!(run.progress().whole, Some((0, 3)));

    let mut run = super::run();
    perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b"], None))),
        stored,
    );
    assert_eq!(run.progress().whole, Some((2, 2)));
}

#[test]
fn what_a_server_says_counts_where_it_can_be() {
    let next = Some("?page=2");
    for (page, all) in [
        (page_of(&["a", "b"], next, "7"), Some(7)),
        (page_of(&["a", "a"], next, "7"), Some(6)),
        (page_of(&["a"], None, "7"), Some(1)),
        (page_of(&["a", "b"], None, "0"), Some(2)),
        // The number of this page, fewer than there are, none.
        (page_of(&["a", "b"], next, "2"), None),
        (page_of(&["a", "b"], next, "1"), None),
        (page_of(&["a", "b"], next, "0"), None),
        (page_of(&["a", "b"], next, "-7"), None),
    ] {
        let run = having_read(alloc::vec![page]);
        assert_eq!(labs(&run).all, all);
        assert_eq!(run.progress().whole, all.map(|all| (0, all)));
    }
}

#[test]
fn a_server_that_says_another_number_on_each_page_is_not_believed() {
    let run = having_read(alloc::vec![
        page_of(&["a"], Some("?page=2"), "7"),
        page_of(&["b"], Some("?page=3"), "8"),
    ]);
    assert_eq!(run.progress().whole, None);
    // One that says it once is.
    let run = having_read(alloc::vec![
        page_of(&["a"], Some("?page=2"), "7"),
        Ok(json(200, &page(&["b"], Some("?page=3")))),
    ]);
    assert_eq!(run.progress().whole, Some((0, 7)));
}

#[test]
fn rather_no_bar_than_one_that_goes_back() {
    let mut run = having_read(alloc::vec![page_of(&["a"], Some("?page=2"), "3")]);
    let mut read = None;
    while let Action::Perform(task, request) = run.next_action(NOW) {
        match request.method {
            Method::Post => run.finish(task, stored(&request), NOW),
            Method::Get => read = Some(task),
        }
    }
    assert_eq!(run.progress().whole, Some((1, 3)));
    // There are more than it said.
    run.finish(
        read.unwrap(),
        page_of(&["b", "c", "d", "e"], None, "3"),
        NOW,
    );
    assert_eq!(labs(&run).all, Some(5));
    assert_eq!(run.progress().whole, None);
    perform(&mut run, pages(Vec::new()), stored);
    assert_eq!(run.progress().whole, None);
}

#[test]
fn what_was_done_before_a_reload_counts() {
    let first = having_read(alloc::vec![page_of(&["a", "b"], Some("?page=2"), "3")]);
    let mut checkpoint = first.checkpoint();
    checkpoint.pulls[0].page = Some("https://ehr.example/R4?page=2".into());
    checkpoint.pulls[0].tally = Tally {
        pages: 1,
        found: 2,
        stored: 2,
        ..Tally::default()
    };
    let start = Start {
        checkpoint,
        ..start_again()
    };
    let mut run = ImportRun::new(start, NOW);
    let row = labs(&run);
    assert_eq!((row.state, row.found, row.done), (RowState::Reading, 2, 2));
    assert_eq!(run.progress().whole, None);
    let Action::Perform(task, _) = run.next_action(NOW) else {
        panic!("no page is asked for")
    };
    run.finish(task, page_of(&["c"], None, "3"), NOW);
    assert_eq!(run.progress().whole, Some((2, 3)));
}

#[test]
fn the_parts_of_a_divided_search_are_one_row() {
    let mut run = chart_run(
        r#"[{"label":"Conditions","type":"Condition"}]"#,
        "patient/Condition.read",
    );
    let too_wide = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","diagnostics":"category is required"}]}"#;
    let mut reads = Vec::new();
    for round in 0..2 {
        while let Action::Perform(task, _) = run.next_action(NOW) {
            reads.push(task);
        }
        if round == 0 {
            run.finish(reads.remove(0), Ok(json(400, too_wide)), NOW);
        }
    }
    assert_eq!((reads.len(), run.progress().rows.len()), (3, 1));
    assert_eq!(labs(&run).state, RowState::Reading);
    run.finish(reads.remove(0), chart("Condition", &["a"], None), NOW);
    run.finish(reads.remove(0), chart("Condition", &["b"], None), NOW);
    assert_eq!((labs(&run).found, labs(&run).all), (2, None));
    run.finish(reads.remove(0), Ok(json(403, "{}")), NOW);
    assert_eq!(
        (labs(&run).state, labs(&run).all),
        (RowState::Failed, Some(2))
    );
    assert_eq!(run.progress().whole, Some((0, 2)));
}
