//! The import run natively: every failure is a value.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::exchange::deployment::MYCHART;
use crate::exchange::inventory::{Held, Inventory};
use crate::exchange::jhe::testing::jhe;
use crate::exchange::source::registered;
use crate::http::testing::{answer, header, json};
use crate::http::{Conversation, Method};
use crate::oauth::token::TokenResponse;
use crate::smart::discovery::Issuer;
use crate::smart::launch::Launched;
use crate::url::Url;

const BASE: &str = "https://ehr.example/R4";
const NOW: u64 = 1_000_000;

fn run() -> ImportRun {
    run_with(Held::default())
}

fn run_with(held: Held) -> ImportRun {
    let page = Url::parse("https://jhe.example/").unwrap();
    let launched = Launched {
        issuer: Issuer::parse(BASE, &page).unwrap(),
        scope: "patient/Observation.read".into(),
    };
    let token = r#"{"access_token":"E","token_type":"Bearer","patient":"e1"}"#;
    let token = TokenResponse::from_response(&json(200, token)).unwrap();
    ImportRun::new(
        jhe(),
        LaunchContext::new(launched, token, 0).unwrap(),
        registered(&json(201, r#"{"id":9}"#)).unwrap(),
        held,
        MYCHART.pull,
        MYCHART.identity,
        7,
    )
}

fn lab(id: &str) -> String {
    format!(
        r#"{{"resource":{{"resourceType":"Observation","id":"{id}","subject":{{"reference":"Patient/e1"}},"valueQuantity":{{"value":7.10}}}}}}"#
    )
}

fn page(labs: &[&str], next: Option<&str>) -> String {
    let entries: Vec<_> = labs.iter().map(|id| lab(id)).collect();
    let link = next.map(|url| format!(r#"{{"relation":"next","url":"{url}"}}"#));
    format!(
        r#"{{"resourceType":"Bundle","link":[{}],"entry":[{}]}}"#,
        link.unwrap_or_default(),
        entries.join(",")
    )
}

/// Performs a run to its end and returns what was sent to JHE.
fn perform(
    run: &mut ImportRun,
    mut ehr: impl FnMut(&HttpRequest) -> Answer,
    mut jhe: impl FnMut(&HttpRequest) -> Answer,
) -> Vec<String> {
    let mut sent = Vec::new();
    let mut under_way = Vec::new();
    let mut now = NOW;
    for _ in 0..10_000 {
        match run.next_action(now) {
            Action::Perform(task, request) => {
                let token = header(&request, "Authorization").unwrap();
                let answer = match request.method {
                    Method::Get => {
                        assert_eq!(token, "Bearer E");
                        assert!(request.url.as_str().starts_with(BASE));
                        ehr(&request)
                    }
                    Method::Post => {
                        assert_eq!(token, "Bearer J");
                        assert_eq!(request.url.host(), "jhe.example");
                        sent.push(request.body.clone().unwrap());
                        jhe(&request)
                    }
                };
                under_way.push((task, answer));
                assert!(under_way.len() <= WRITES_AT_ONCE + 1);
            }
            Action::AwaitFinish => {
                let (task, answer) = under_way.remove(0);
                run.finish(task, answer, now);
            }
            Action::AwaitTime(until) if under_way.is_empty() => {
                assert!(until > now, "a wait that is over");
                now = until;
            }
            Action::AwaitTime(_) => {
                let (task, answer) = under_way.remove(0);
                run.finish(task, answer, now);
            }
            Action::Complete => {
                assert!(under_way.is_empty());
                return sent;
            }
        }
    }
    panic!("the run does not end");
}

fn stored(_: &HttpRequest) -> Answer {
    Ok(json(201, "{}"))
}

fn pages(pages: Vec<Answer>) -> impl FnMut(&HttpRequest) -> Answer {
    let mut pages = pages.into_iter();
    move |_| pages.next().expect("a further page was asked for")
}

#[test]
fn every_page_is_read_and_every_record_written_once() {
    let mut run = run();
    let mut asked = Vec::new();
    let mut answers = pages(alloc::vec![
        Ok(json(
            200,
            &page(&["a", "b"], Some("Observation?sessionID=1"))
        )),
        Ok(json(200, &page(&[], Some("https://ehr.example/R4?page=3")))),
        Ok(json(200, &page(&["c", "a"], None))),
    ]);
    let sent = perform(
        &mut run,
        |request| {
            asked.push(request.url.as_str().to_owned());
            answers(request)
        },
        stored,
    );
    assert_eq!(
        asked,
        [
            "https://ehr.example/R4/Observation?patient=e1&category=laboratory",
            "https://ehr.example/R4/Observation?sessionID=1",
            "https://ehr.example/R4?page=3",
        ]
    );
    assert_eq!(sent.len(), 3);
    assert!(sent[0].starts_with(
        r#"{"identifier":[{"system":"https://ehr.example/R4","value":"a"}],"resourceType""#
    ));
    assert!(sent[0].contains("7.10"));
    let tally = run.tally();
    assert_eq!((tally.stored, tally.found, tally.repeated), (3, 4, 1));
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn what_jhe_held_before_is_counted_and_not_sent_again() {
    let jhe = jhe();
    let source = registered(&json(201, r#"{"id":9}"#)).unwrap();
    let mut inventory = Inventory::new(&jhe, "Observation", BASE.into(), alloc::vec![source]);
    let row = r#"{"resourceType":"Bundle","total":1,"entry":[{"resource":{"extension":[{"url":
        "https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id","valueInteger":9}],
        "identifier":[{"system":"https://ehr.example/R4","value":"b"}]}}]}"#;
    assert!(inventory.next_request().is_some());
    inventory.receive(Ok(json(200, row)));
    let mut run = run_with(inventory.finish().unwrap());
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "b"], None))),
        stored,
    );
    assert_eq!(sent.len(), 1);
    let tally = run.tally();
    assert_eq!(
        (tally.stored, tally.already_there, tally.repeated),
        (1, 1, 1)
    );
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn an_empty_result_is_a_complete_one() {
    let mut run = run();
    perform(
        &mut run,
        |_| {
            Ok(json(
                200,
                r#"{"resourceType":"Bundle","total":0,"entry":[{"search":{"mode":"outcome"},"resource":
                {"resourceType":"OperationOutcome","issue":[{"severity":"warning","diagnostics":"no results"}]}}]}"#,
            ))
        },
        stored,
    );
    assert_eq!(run.ending().verdict(), Verdict::Complete);
    assert_eq!(run.tally().notices, [("no results".into(), 1)]);
}

#[test]
fn a_refused_record_does_not_stop_the_others() {
    let mut run = run();
    let mut writes = 0;
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "c"], None))),
        |_| {
            writes += 1;
            match writes {
                2 => Ok(json(
                    400,
                    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":"bad"}]}"#,
                )),
                _ => Ok(json(201, "{}")),
            }
        },
    );
    assert_eq!(sent.len(), 3);
    assert_eq!(run.tally().stored, 2);
    assert_eq!(run.tally().frequent_reasons(5), [("bad", 1)]);
    assert_eq!(run.ending().verdict(), Verdict::Partly);
}

#[test]
fn each_failure_of_a_later_page_keeps_what_came_before_and_has_its_name() {
    type Case = (fn() -> Answer, u32, PageError);
    let cases: [Case; 11] = [
        (|| Ok(json(401, "\"\"")), 1, PageError::SignedOut),
        (
            || Ok(json(403, "no")),
            1,
            PageError::Forbidden("HTTP 403: no".into()),
        ),
        (
            || {
                Ok(json(
                    400,
                    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"required","diagnostics":"category"}]}"#,
                ))
            },
            1,
            PageError::Refused("HTTP 400: category".into()),
        ),
        (
            || Ok(answer(404, "text/html", "<html>")),
            1,
            PageError::Refused("HTTP 404: a web page".into()),
        ),
        (
            || Ok(json(429, "slow down")),
            5,
            PageError::Busy("HTTP 429: slow down".into()),
        ),
        (
            || Ok(answer(503, "text/html", "<html>")),
            5,
            PageError::ServerError("HTTP 503: a web page".into()),
        ),
        (
            || Ok(answer(200, "text/html", "<html>")),
            1,
            PageError::NotFhir("text/html".into()),
        ),
        (
            || Ok(json(200, "\"\"")),
            1,
            PageError::NotFhir("application/json".into()),
        ),
        (
            || Ok(json(200, r#"{"resourceType":"Bundle","entry":[{"re"#)),
            5,
            PageError::CutOff,
        ),
        (|| Err(TransportError::CutOff), 5, PageError::CutOff),
        (
            || Err(TransportError::TimedOut),
            5,
            PageError::Transport(TransportError::TimedOut),
        ),
    ];
    for (failure, tries, reason) in cases {
        let mut run = run();
        let mut asked = 0;
        let sent = perform(
            &mut run,
            |_| {
                asked += 1;
                match asked {
                    1 => Ok(json(200, &page(&["a", "b"], Some("?page=2")))),
                    _ => failure(),
                }
            },
            stored,
        );
        assert_eq!(sent.len(), 2, "{reason:?}");
        assert_eq!(asked, 1 + tries, "{reason:?}");
        let ending = run.ending();
        assert_eq!(ending.verdict(), Verdict::Partly);
        assert_eq!(ending.pull_error, Some(PullError { page: 2, reason }));
    }
}

#[test]
fn a_page_that_fails_for_a_while_costs_nothing_but_time() {
    let mut run = run();
    let mut asked = 0;
    let sent = perform(
        &mut run,
        |_| {
            asked += 1;
            match asked {
                1 => Ok(json(200, &page(&["a"], Some("?page=2")))),
                2 => Err(TransportError::Offline),
                3 => Ok(json(502, "")),
                4 => Err(TransportError::CutOff),
                _ => Ok(json(200, &page(&["b"], None))),
            }
        },
        stored,
    );
    assert_eq!(sent.len(), 2);
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn the_wait_that_a_server_asks_for_is_obeyed_and_told() {
    let mut run = run();
    let Action::Perform(task, _) = run.next_action(NOW) else {
        panic!("no page is asked for")
    };
    let mut busy = json(503, "");
    busy.retry_after_ms = Some(20_000);
    run.finish(task, Ok(busy), NOW);
    assert_eq!(run.waits_until(), Some(NOW + 20_000));
    assert!(matches!(run.next_action(NOW), Action::AwaitTime(until) if until == NOW + 20_000));
    assert!(matches!(run.next_action(NOW + 20_000), Action::Perform(..)));
    assert_eq!(run.waits_until(), None);
}

#[test]
fn records_are_written_while_a_page_is_waited_for() {
    let mut run = run();
    let first = page(&["a", "b"], Some("?page=2"));
    let mut answers = alloc::vec![Ok(json(200, &first)), Err(TransportError::CutOff)].into_iter();
    while let Action::Perform(task, request) = run.next_action(NOW) {
        if request.method == Method::Post {
            assert!(run.waits_until().is_some());
            return;
        }
        run.finish(task, answers.next().unwrap(), NOW);
    }
    panic!("nothing was written");
}

#[test]
fn a_failing_first_page_is_a_failure() {
    let mut run = run();
    perform(&mut run, |_| Ok(json(401, "\"\"")), stored);
    assert_eq!(run.ending().verdict(), Verdict::Failed);
}

#[test]
fn a_next_link_out_of_the_base_is_not_followed() {
    for link in [
        "https://evil.example/R4/Observation?page=2",
        "https://ehr.example/other?page=2",
        "http://ehr.example/R4/Observation?page=2",
        "javascript:alert(1)",
    ] {
        let mut run = run();
        let answers = alloc::vec![Ok(json(200, &page(&["a"], Some(link))))];
        let sent = perform(&mut run, pages(answers), stored);
        assert_eq!(sent.len(), 1);
        let error = run.ending().pull_error.unwrap();
        assert!(matches!(error.reason, PageError::NextRefused(_)), "{link}");
    }
}

#[test]
fn a_next_link_to_a_page_that_was_read_ends_the_pull() {
    let mut run = run();
    let answers = alloc::vec![
        Ok(json(200, &page(&["a"], Some("?page=2")))),
        Ok(json(200, &page(&["b"], Some("?page=2")))),
    ];
    let sent = perform(&mut run, pages(answers), stored);
    assert_eq!(sent.len(), 2);
    let error = run.ending().pull_error.unwrap();
    assert_eq!(error.reason, PageError::NextLoop);
}

#[test]
fn jhes_401_ends_the_run_and_counts_what_was_not_sent() {
    let mut run = run();
    let mut writes = 0;
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "c", "d"], None))),
        |_| {
            writes += 1;
            Ok(json(if writes == 2 { 401 } else { 201 }, "{}"))
        },
    );
    assert_eq!(sent.len(), 2);
    let ending = run.ending();
    assert_eq!(ending.stop, Some(Stop::JheSessionExpired));
    assert_eq!((ending.tally.stored, ending.tally.unsent), (1, 3));
    assert_eq!(ending.verdict(), Verdict::Partly);
}

#[test]
fn an_unreachable_jhe_ends_the_run_after_three_lost_answers() {
    let mut run = run();
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "c", "d", "e"], None))),
        |_| Err(TransportError::Unreachable),
    );
    assert_eq!(sent.len(), 3);
    let ending = run.ending();
    assert_eq!((ending.tally.unsettled, ending.tally.unsent), (3, 2));
    assert_eq!(
        ending.stop,
        Some(Stop::JheUnreachable(TransportError::Unreachable))
    );
}

#[test]
fn a_device_that_goes_offline_ends_the_run_at_once() {
    let mut run = run();
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b"], None))),
        |_| Err(TransportError::Offline),
    );
    assert_eq!(sent.len(), 1);
    let tally = run.ending().tally;
    // The request may have arrived before the connection went.
    assert_eq!((tally.unsettled, tally.unsent), (1, 1));
}

#[test]
fn reading_runs_ahead_by_a_bounded_number_of_records() {
    let mut run = run();
    let ids: Vec<String> = (0..1000).map(|n| format!("r{n}")).collect();
    let mut page_number = 0;
    let mut pages_before_first_write = 0;
    let mut has_written = false;
    let chunks: Vec<Vec<&str>> = ids
        .chunks(40)
        .map(|chunk| chunk.iter().map(String::as_str).collect())
        .collect();
    loop {
        match run.next_action(NOW) {
            Action::Perform(task, request) if request.method == Method::Get => {
                pages_before_first_write += u32::from(!has_written);
                let next = format!("?page={}", page_number + 2);
                let is_last = page_number + 1 == chunks.len();
                let body = page(&chunks[page_number], (!is_last).then_some(next.as_str()));
                page_number += 1;
                run.finish(task, Ok(json(200, &body)), NOW);
                assert!(run.queue.len() <= READ_AHEAD + 40);
            }
            Action::Perform(task, _) => {
                has_written = true;
                run.finish(task, Ok(json(201, "{}")), NOW);
            }
            Action::AwaitFinish | Action::AwaitTime(_) => panic!("every task is finished at once"),
            Action::Complete => break,
        }
    }
    assert_eq!(pages_before_first_write, 2);
    assert_eq!(run.tally().stored, 1000);
}

#[test]
fn an_answer_to_a_task_that_is_not_under_way_changes_nothing() {
    let mut run = run();
    run.finish(TaskId(77), Ok(json(200, &page(&["a"], None))), NOW);
    assert_eq!(run.tally().found, 0);
    assert!(matches!(run.next_action(NOW), Action::Perform(..)));
}

proptest! {
    #[test]
    fn whatever_the_servers_answer_every_found_record_is_accounted_for(
        sizes in prop::collection::vec(0usize..30, 1..6),
        statuses in prop::collection::vec(prop_oneof![6 => Just(201u16), 1 => Just(400), 1 => Just(500), 1 => Just(0), 1 => Just(401)], 1..60),
        broken in prop::option::of(0usize..6),
    ) {
        let mut run = run();
        let total = sizes.len();
        let mut page_number = 0;
        let mut statuses = statuses.into_iter().cycle();
        perform(
            &mut run,
            |_| {
                if broken == Some(page_number) {
                    return Err(TransportError::CutOff);
                }
                let ids: Vec<String> = (0..sizes[page_number]).map(|n| format!("{page_number}-{n}")).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let next = format!("?page={}", page_number + 1);
                let is_last = page_number + 1 == total;
                page_number += 1;
                Ok(json(200, &page(&ids, (!is_last).then_some(next.as_str()))))
            },
            |_| match statuses.next() {
                Some(0) | None => Err(TransportError::TimedOut),
                Some(status) => Ok(json(status, "{}")),
            },
        );
        let Ending { tally, .. } = run.ending();
        prop_assert_eq!(
            tally.stored + tally.refused + tally.unsettled + tally.unsent + tally.repeated,
            tally.found
        );
    }
}
