//! The import run natively: every failure is a value.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::exchange::deployment::{MYCHART, PATIENT_ACCESS, Writing};
use crate::exchange::jhe::testing::jhe;
use crate::exchange::source::registered;
use crate::http::testing::{answer, header, json};
use crate::http::{HttpRequest, Method};
use crate::json::Json;
use crate::smart::discovery::Issuer;
use crate::smart::launch::Launched;
use crate::url::Url;

mod advance;
mod findings;
mod model;
mod review;
mod wishes;

impl ImportRun {
    /// What has happened so far, of all rows.
    fn tally(&self) -> Tally {
        Tally::sum(&mut self.rows().iter().map(|row| &row.tally))
    }
}

const BASE: &str = "https://ehr.example/R4";
const NOW: u64 = 1_000_000;
const QUIET: u64 = 35_000;

fn source() -> SourceId {
    registered(&json(201, r#"{"id":9}"#)).unwrap()
}

fn access(token: &str) -> LaunchContext {
    let page = Url::parse("https://jhe.example/").unwrap();
    let launched = Launched {
        issuer: Issuer::parse(BASE, &page).unwrap(),
        scope: "patient/Observation.read".into(),
        token_endpoint: Url::parse("https://ehr.example/token").unwrap(),
        revocation_endpoint: None,
        client_id: "client".into(),
        identity: crate::smart::identity::ExpectedIdentity::default(),
    };
    let token = TokenResponse::from_response(&json(200, token)).unwrap();
    LaunchContext::new(launched, token, NOW).unwrap()
}

/// A run into a source that was registered just now.
fn start() -> Start {
    Start {
        jhe: Rc::new(jhe()),
        ehr: access(
            r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600000}"#,
        ),
        source: Source {
            id: source(),
            earlier: Vec::new(),
        },
        deployment: &MYCHART,
        plan: Plan::of(&MYCHART),
        checkpoint: Checkpoint::default(),
        last_write: None,
        quiet_ms: QUIET,
        seed: 7,
    }
}

/// The same into a source that was there before.
fn start_again() -> Start {
    Start {
        source: Source {
            id: source(),
            earlier: alloc::vec![source()],
        },
        ..start()
    }
}

fn run() -> ImportRun {
    ImportRun::new(start(), NOW)
}

/// A run with two writes under way from the start.
fn run_two_at_once() -> ImportRun {
    static TWO_AT_ONCE: Deployment = Deployment {
        writing: Writing {
            start: 2,
            ..MYCHART.writing
        },
        ..MYCHART
    };
    let start = Start {
        deployment: &TWO_AT_ONCE,
        ..start()
    };
    ImportRun::new(start, NOW)
}

fn batch_run() -> ImportRun {
    let start = Start {
        deployment: &PATIENT_ACCESS,
        ..start()
    };
    ImportRun::new(start, NOW)
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

/// Rows of JHE as it gives them back: each with our identifier.
fn rows(ids: &[&str]) -> String {
    let rows: Vec<_> = ids
        .iter()
        .map(|id| {
            format!(
                r#"{{"resource":{{"extension":[{{"url":"https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id","valueInteger":9}}],
                "identifier":[{{"system":"{BASE}","value":"{id}"}}]}}}}"#
            )
        })
        .collect();
    let total = rows.len();
    format!(
        r#"{{"resourceType":"Bundle","total":{total},"entry":[{}]}}"#,
        rows.join(",")
    )
}

/// A batch's response in which everything was stored.
fn all_stored(request: &HttpRequest) -> Answer {
    let count = request
        .body
        .as_ref()
        .unwrap()
        .matches(r#""resource":{"#)
        .count();
    let entry = r#"{"response":{"status":"201 Created"}}"#;
    let entries: Vec<_> = core::iter::repeat_n(entry, count).collect();
    Ok(json(
        200,
        &format!(r#"{{"entry":[{}]}}"#, entries.join(",")),
    ))
}

/// Performs a run to its end and returns what was written to JHE. The answer that is there first is taken first.
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
                let token = header(&request, "Authorization");
                let answer = match request.url.host() {
                    "ehr.example" => {
                        let is_refresh = request.method == Method::Post;
                        assert_eq!(token.is_none(), is_refresh);
                        ehr(&request)
                    }
                    _ => {
                        assert_eq!(token, Some("Bearer J"));
                        assert_eq!(request.url.host(), "jhe.example");
                        if request.method == Method::Post {
                            sent.push(request.body.clone().unwrap());
                        }
                        jhe(&request)
                    }
                };
                under_way.push((task, answer));
            }
            Action::AwaitTime(until) if under_way.is_empty() => {
                assert!(until > now, "a wait that is over");
                now = until;
            }
            Action::AwaitFinish | Action::AwaitTime(_) => {
                let (task, answer) = under_way.remove(0);
                run.finish(task, answer, now);
            }
            Action::Complete => {
                assert!(under_way.is_empty());
                let tally = run.ending().tally;
                assert_eq!(
                    tally.fetched(),
                    tally.stored
                        + tally.already_there
                        + tally.repeated
                        + tally.left_out()
                        + tally.not_saved()
                );
                return sent;
            }
        }
    }
    panic!("the run does not end");
}

fn stored(request: &HttpRequest) -> Answer {
    match request.method {
        Method::Post => Ok(json(201, "{}")),
        Method::Get => Ok(json(200, &rows(&[]))),
    }
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
    let mut run = ImportRun::new(start_again(), NOW);
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "b"], None))),
        |request| match request.method {
            Method::Get => Ok(json(200, &rows(&["b"]))),
            Method::Post => stored(request),
        },
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
fn a_run_that_finds_all_that_waits_in_jhe_reads_on() {
    let mut run = ImportRun::new(start_again(), NOW);
    let ids: Vec<String> = (0..400).map(|n| format!("r{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut check = None;
    let mut pages_read = 0;
    // JHE is slower than the hospital.
    loop {
        match run.next_action(NOW) {
            Action::Perform(task, request) if request.url.host() == "jhe.example" => {
                check = Some(task);
            }
            Action::Perform(task, _) => {
                let at = pages_read * 100;
                pages_read += 1;
                let next = (pages_read < 4).then(|| format!("?page={pages_read}"));
                let page = page(&ids[at..at + 100], next.as_deref());
                run.finish(task, Ok(json(200, &page)), NOW);
            }
            Action::AwaitFinish => {
                let check = check.take().expect("a check under way");
                run.finish(check, Ok(json(200, &rows(&ids))), NOW);
            }
            Action::AwaitTime(_) => panic!("nothing to wait for"),
            Action::Complete => break,
        }
    }
    assert_eq!(pages_read, 4);
    assert_eq!(run.tally().already_there, 400);
}

#[test]
fn nothing_is_read_back_before_an_earlier_write_of_this_browser_has_come_to_rest() {
    let start = Start {
        last_write: Some(NOW - 5_000),
        ..start_again()
    };
    let mut run = ImportRun::new(start, NOW);
    let Action::Perform(task, request) = run.next_action(NOW) else {
        panic!("no page is read meanwhile")
    };
    assert_eq!(request.url.host(), "ehr.example");
    run.finish(task, Ok(json(200, &page(&["a"], None))), NOW);
    let until = NOW - 5_000 + QUIET;
    assert!(matches!(run.next_action(NOW), Action::AwaitTime(at) if at == until));
    assert_eq!(run.wait(NOW), Some(Wait::Quiet(until)));
    let Action::Perform(_, request) = run.next_action(until) else {
        panic!("nothing is read back")
    };
    assert_eq!(request.url.query(), "?_count=200&_page=1");
}

#[test]
fn a_clock_that_was_set_back_makes_the_quiet_no_longer() {
    let start = Start {
        last_write: Some(NOW + 1_000_000_000),
        ..start_again()
    };
    let run = ImportRun::new(start, NOW);
    assert_eq!(run.wait(NOW), Some(Wait::Quiet(NOW + QUIET)));
}

#[test]
fn without_knowing_what_jhe_holds_nothing_is_sent() {
    type Case = (fn() -> Answer, u32, &'static str);
    let cases: [Case; 4] = [
        (|| Ok(json(401, "{}")), 1, "jhe.session_expired"),
        (|| Ok(json(403, "{}")), 1, "inventory.refused"),
        (|| Ok(json(500, "<html>")), 5, "inventory.refused"),
        (|| Err(TransportError::TimedOut), 5, "inventory.unreachable"),
    ];
    for (failure, tries, code) in cases {
        let mut run = ImportRun::new(start_again(), NOW);
        let mut asked = 0;
        let sent = perform(
            &mut run,
            |_| Ok(json(200, &page(&["a"], None))),
            |_| {
                asked += 1;
                failure()
            },
        );
        assert_eq!((sent.len(), asked), (0, tries), "{code}");
        let ending = run.ending();
        assert_eq!(ending.tally.unsent, 1);
        assert_eq!(ending.verdict(), Verdict::Failed);
        let codes: Vec<_> = ending
            .errors()
            .iter()
            .flatten()
            .map(|it| it.code())
            .collect();
        assert_eq!(codes, [code]);
    }
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
    assert_eq!(run.tally().reasons, [("bad".into(), 1)]);
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
            2,
            PageError::TooWide("HTTP 400: category".into()),
        ),
        (
            || Ok(answer(404, "text/html", "<html>")),
            2,
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
            |request| match request.url.query() {
                "?page=2" => {
                    asked += 1;
                    failure()
                }
                _ => Ok(json(200, &page(&["a", "b"], Some("?page=2")))),
            },
            stored,
        );
        assert_eq!(sent.len(), 2, "{reason:?}");
        assert_eq!(asked, tries, "{reason:?}");
        let ending = run.ending();
        assert_eq!(ending.verdict(), Verdict::Partly);
        assert_eq!(ending.pull_error(), Some(&PullError { page: 2, reason }));
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
    assert_eq!(run.wait(NOW), Some(Wait::Ehr(NOW + 20_000)));
    assert!(matches!(run.next_action(NOW), Action::AwaitTime(until) if until == NOW + 20_000));
    assert!(matches!(run.next_action(NOW + 20_000), Action::Perform(..)));
    assert_eq!(run.wait(NOW + 20_000), None);
}

#[test]
fn records_are_written_while_a_page_is_waited_for() {
    let mut run = run_two_at_once();
    let first = page(&["a", "b"], Some("?page=2"));
    let mut answers = alloc::vec![Ok(json(200, &first)), Err(TransportError::CutOff)].into_iter();
    let mut writes = Vec::new();
    while let Action::Perform(task, request) = run.next_action(NOW) {
        match request.method {
            Method::Post => writes.push(request),
            Method::Get => run.finish(task, answers.next().unwrap(), NOW),
        }
    }
    assert_eq!(writes.len(), 2);
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
        let error = run.ending().pull_error().cloned().unwrap();
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
    let error = run.ending().pull_error().cloned().unwrap();
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
fn a_write_without_answer_is_settled_by_reading_back_after_half_a_minute_of_quiet() {
    for has_arrived in [true, false] {
        let mut run = run();
        let mut writes = 0;
        let sent = perform(
            &mut run,
            |_| Ok(json(200, &page(&["a", "b", "c"], None))),
            |request| match request.method {
                Method::Get => {
                    let there: &[&str] = if has_arrived {
                        &["a", "b", "c"]
                    } else {
                        &["b", "c"]
                    };
                    Ok(json(200, &rows(there)))
                }
                Method::Post => {
                    writes += 1;
                    match writes {
                        1 => Err(TransportError::CutOff),
                        _ => Ok(json(201, "{}")),
                    }
                }
            },
        );
        assert_eq!(sent.len(), if has_arrived { 3 } else { 4 });
        assert_eq!(run.tally().stored, 3);
        assert_eq!(run.ending().verdict(), Verdict::Complete);
    }
}

#[test]
fn nothing_is_read_back_while_a_write_is_under_way() {
    let mut run = run_two_at_once();
    let Action::Perform(task, _) = run.next_action(NOW) else {
        panic!("no page is read")
    };
    run.finish(task, Ok(json(200, &page(&["a", "b"], None))), NOW);
    let mut writes = Vec::new();
    while let Action::Perform(task, request) = run.next_action(NOW) {
        assert_eq!(request.method, Method::Post);
        writes.push(task);
    }
    run.finish(writes[0], Err(TransportError::TimedOut), NOW);
    let late = NOW + 2 * QUIET;
    assert!(matches!(run.next_action(late), Action::AwaitFinish));
    run.finish(writes[1], Ok(json(201, "{}")), late);
    let Action::Perform(_, request) = run.next_action(late) else {
        panic!("nothing is read back")
    };
    assert_eq!(request.method, Method::Get);
}

#[test]
fn a_jhe_that_answers_nothing_ends_the_run_after_a_read_back_that_fails() {
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
        Some(Stop::NotChecked(InventoryError::Transport(
            TransportError::Unreachable
        )))
    );
    assert_eq!(ending.way_on(), WayOn::TryAgain);
}

#[test]
fn a_jhe_that_fails_at_every_write_ends_the_run() {
    let mut run = run();
    perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "c", "d", "e"], None))),
        |request| match request.method {
            Method::Get => Ok(json(200, &rows(&[]))),
            Method::Post => Ok(answer(500, "text/html", "<html>")),
        },
    );
    let ending = run.ending();
    assert_eq!(
        ending.stop,
        Some(Stop::JheFailing("HTTP 500: a web page".into()))
    );
    assert_eq!((ending.tally.unsettled, ending.tally.unsent), (0, 5));
}

#[test]
fn a_record_that_jhe_always_fails_at_is_given_up_and_the_others_arrive() {
    let mut run = run();
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "poison", "c", "d", "e"], None))),
        |request| match &request.body {
            None => Ok(json(200, &rows(&["a", "c", "d", "e"]))),
            Some(body) if body.contains("poison") => Ok(answer(500, "text/html", "<html>")),
            Some(_) => Ok(json(201, "{}")),
        },
    );
    assert_eq!(sent.len(), 4 + 3);
    let ending = run.ending();
    assert_eq!((ending.tally.stored, ending.tally.refused), (4, 1));
    assert_eq!(ending.stop, None);
}

#[test]
fn a_device_that_goes_offline_pauses_the_writing_at_once() {
    let mut run = run_two_at_once();
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "c"], None))),
        |_| Err(TransportError::Offline),
    );
    // Two were under way.
    assert_eq!(sent.len(), 2);
    let tally = run.ending().tally;
    // The requests may have arrived before the connection went.
    assert_eq!((tally.unsettled, tally.unsent), (2, 1));
}

#[test]
fn a_busy_jhe_is_left_alone_for_as_long_as_it_asks_and_gets_fewer_writes() {
    let mut run = run();
    let mut writes = 0;
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b", "c"], None))),
        |_| {
            writes += 1;
            let mut busy = json(429, "");
            busy.retry_after_ms = Some(30_000);
            Ok(if writes == 1 { busy } else { json(201, "{}") })
        },
    );
    assert_eq!(sent.len(), 4);
    assert_eq!(run.tally().stored, 3);
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn a_token_is_renewed_ahead_of_its_end_and_once_for_a_refusal() {
    const TOKEN: &str = r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600,"refresh_token":"R"}"#;
    for (answers, refreshes, verdict) in [
        // Refused, renewed, read.
        (alloc::vec![401, 200], 1, Verdict::Complete),
        // What a fresh token does not help against is over.
        (alloc::vec![401, 401], 1, Verdict::Failed),
    ] {
        let start = Start {
            ehr: access(TOKEN),
            ..start()
        };
        let mut run = ImportRun::new(start, NOW);
        let mut answers = answers.into_iter();
        let mut refreshed = 0;
        perform(
            &mut run,
            |request| match request.method {
                Method::Post => {
                    refreshed += 1;
                    Ok(json(200, TOKEN))
                }
                Method::Get => Ok(json(answers.next().unwrap(), &page(&["a"], None))),
            },
            stored,
        );
        assert_eq!(refreshed, refreshes);
        assert_eq!(run.ending().verdict(), verdict);
    }
    let mut run = ImportRun::new(
        Start {
            ehr: access(TOKEN),
            ..start()
        },
        NOW,
    );
    let soon = NOW + 3_540_000;
    let Action::Perform(task, request) = run.next_action(soon) else {
        panic!("nothing is asked")
    };
    assert_eq!(request.url.path(), "/token");
    assert!(matches!(run.next_action(soon), Action::AwaitFinish));
    run.finish(task, Err(TransportError::TimedOut), soon);
    // The old one is still good.
    let Action::Perform(_, request) = run.next_action(soon) else {
        panic!("nothing is read")
    };
    assert_eq!(header(&request, "Authorization"), Some("Bearer E"));
}

#[test]
fn a_token_that_lives_a_minute_is_not_renewed_before_every_page() {
    const TOKEN: &str = r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":60,"refresh_token":"R"}"#;
    let start = Start {
        ehr: access(TOKEN),
        ..start()
    };
    let mut run = ImportRun::new(start, NOW);
    let (mut pages, mut renewals) = (0, 0);
    perform(
        &mut run,
        |request| {
            if request.method == Method::Post {
                renewals += 1;
                return Ok(json(200, TOKEN));
            }
            pages += 1;
            let next = format!("?page={}", pages + 1);
            let id = format!("a{pages}");
            Ok(json(200, &page(&[&id], (pages < 20).then_some(&next))))
        },
        stored,
    );
    assert_eq!((run.tally().stored, renewals), (20, 0));
}

#[test]
fn a_patient_whose_access_is_over_may_sign_in_again_and_go_on() {
    let mut run = run();
    perform(
        &mut run,
        |request| match request.url.query() {
            "?page=2" => Ok(json(401, "\"\"")),
            _ => Ok(json(200, &page(&["a"], Some("?page=2")))),
        },
        stored,
    );
    assert_eq!(run.ending().way_on(), WayOn::SignIn);
    let checkpoint = run.checkpoint();
    assert_eq!(
        checkpoint.pulls[0].page.as_deref(),
        Some("https://ehr.example/R4/Observation?page=2")
    );
    let tally = checkpoint.tally();
    assert_eq!((tally.stored, tally.pages), (1, 1));
    let mut run = ImportRun::new(
        Start {
            checkpoint,
            ..start_again()
        },
        NOW,
    );
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["b"], None))),
        |request| match request.method {
            Method::Get => Ok(json(200, &rows(&["a"]))),
            Method::Post => stored(request),
        },
    );
    assert_eq!(sent.len(), 1);
    let tally = run.tally();
    assert_eq!(
        (tally.pages, tally.found, tally.stored, tally.already_there),
        (2, 2, 2, 0)
    );
}

#[test]
fn a_session_link_that_is_over_begins_the_search_anew_and_counts_nothing_twice() {
    let mut run = run();
    let mut is_over = false;
    let mut asked = Vec::new();
    let sent = perform(
        &mut run,
        |request| {
            asked.push(request.url.query().to_owned());
            match request.url.query() {
                "?session=1&page=2" if !core::mem::replace(&mut is_over, true) => {
                    Ok(json(200, &page(&["c", "c"], Some("?session=1&page=3"))))
                }
                "?session=1&page=3" => Ok(json(400, "{}")),
                "?session=1&page=2" => Ok(json(200, &page(&["c", "c"], Some("?session=2&page=3")))),
                "?session=2&page=3" => Ok(json(200, &page(&["d"], None))),
                _ => Ok(json(200, &page(&["a", "b"], Some("?session=1&page=2")))),
            }
        },
        stored,
    );
    assert_eq!(asked.len(), 6);
    assert_eq!(sent.len(), 4);
    let tally = run.tally();
    assert_eq!(
        (tally.pages, tally.found, tally.stored, tally.repeated),
        (3, 5, 4, 1)
    );
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn a_search_whose_every_pass_comes_one_page_farther_is_not_begun_anew_without_end() {
    let mut run = run();
    let (mut asked, mut most, mut at) = (0, 0, 0);
    perform(
        &mut run,
        |request| {
            asked += 1;
            at = match request.url.query().strip_prefix("?page=") {
                Some(page) => page.parse().unwrap(),
                None => 0,
            };
            if at > most {
                most = at;
                return Ok(json(400, "{}"));
            }
            let next = format!("?page={}", at + 1);
            Ok(json(200, &page(&["a"], Some(&next))))
        },
        stored,
    );
    // Fifty passes and the first one, each a page longer.
    assert_eq!((most, asked), (51, 51 * 52 / 2 + 51));
    assert_eq!(run.tally().stored, 1);
    let ending = run.ending();
    let error = &ending.pull_error().unwrap().reason;
    assert!(matches!(error, PageError::Refused(_)), "{error:?}");
}

#[test]
fn a_page_that_is_too_long_is_asked_for_in_parts_and_once() {
    let mut run = run();
    let mut asked = Vec::new();
    perform(
        &mut run,
        |request| {
            asked.push(request.url.query().to_owned());
            match asked.len() {
                1 => Ok(json(200, &page(&["a"], Some("?page=2")))),
                _ => Err(TransportError::TooLong),
            }
        },
        stored,
    );
    assert_eq!(asked, ["?patient=e1&category=laboratory", "?page=2"]);
    assert_eq!(
        run.ending().pull_error().unwrap().reason,
        PageError::TooLong
    );
    assert_eq!(run.tally().stored, 1);

    let start = Start {
        plan: Plan::of(&PATIENT_ACCESS).keep(&|_, row| row.label == "Conditions"),
        ehr: access(
            r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600000,"scope":"patient/*.read"}"#,
        ),
        deployment: &PATIENT_ACCESS,
        ..start()
    };
    let mut run = ImportRun::new(start, NOW);
    let mut asked = Vec::new();
    perform(
        &mut run,
        |request| {
            asked.push(request.url.query().to_owned());
            match asked.len() {
                1 => Err(TransportError::TooLong),
                _ => Ok(json(200, &page(&[], None))),
            }
        },
        stored,
    );
    assert!(asked.len() > 2, "{asked:?}");
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn totals_beyond_any_chart_say_nothing() {
    let mut run = ImportRun::new(
        Start {
            plan: Plan::of(&PATIENT_ACCESS),
            ehr: access(
                r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600000,"scope":"patient/*.read"}"#,
            ),
            ..start()
        },
        NOW,
    );
    let mut is_known = false;
    for _ in 0..20 {
        let Action::Perform(task, request) = run.next_action(NOW) else {
            break;
        };
        if request.url.host() == "ehr.example" {
            let body = r#"{"resourceType":"Bundle","total":4294967295,"link":[{"relation":"next","url":"?p=2"}]}"#;
            run.finish(task, Ok(json(200, body)), NOW);
            is_known |= run.progress().whole.is_some_and(|(_, all)| all > 0);
        }
    }
    assert!(!is_known);
}

#[test]
fn records_go_out_in_batches_where_jhe_takes_them() {
    let mut run = batch_run();
    let ids: Vec<String> = (0..250).map(|n| format!("r{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut counts = Vec::new();
    let sent = perform(
        &mut run,
        |request| {
            Ok(json(
                200,
                &match request.url.query() {
                    "?page=2" => page(&ids[90..], None),
                    _ => page(&ids[..90], Some("?page=2")),
                },
            ))
        },
        |request| match request.method {
            Method::Get => Ok(json(200, r#"{"resourceType":"Bundle","total":250}"#)),
            Method::Post => {
                counts.push(request.body.as_ref().unwrap().matches(r#""id":"#).count());
                all_stored(request)
            }
        },
    );
    assert_eq!(counts, [100, 100, 50]);
    assert!(sent[0].contains(r#"{"resource":{"resourceType":"Observation","id":"r0","#));
    assert_eq!(run.tally().stored, 250);
    assert_eq!(run.ending().new_rows, Some(250));
}

#[test]
fn a_batch_that_is_too_large_or_whose_answer_is_lost_is_halved_and_sent_again() {
    let failures: [fn() -> Answer; 3] = [
        || Ok(answer(413, "text/html", "<html>")),
        || Ok(answer(500, "text/html", "<html>")),
        || Err(TransportError::TimedOut),
    ];
    for failure in failures {
        let mut run = batch_run();
        let mut counts = Vec::new();
        perform(
            &mut run,
            |_| Ok(json(200, &page(&["a", "b", "c", "d"], None))),
            |request| match request.method {
                Method::Get => Ok(json(200, r#"{"resourceType":"Bundle","total":4}"#)),
                Method::Post => {
                    counts.push(request.body.as_ref().unwrap().matches(r#""id":"#).count());
                    match counts.len() {
                        1 => failure(),
                        _ => all_stored(request),
                    }
                }
            },
        );
        assert_eq!(counts, [4, 2, 2]);
        assert_eq!(run.tally().stored, 4);
    }
}

#[test]
fn one_record_at_which_jhe_fails_does_not_take_its_batch_along() {
    let mut run = batch_run();
    let ids: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    perform(
        &mut run,
        |_| Ok(json(200, &page(&ids, None))),
        |request| match &request.body {
            Some(body) if body.contains(r#""r37""#) => Ok(answer(500, "text/html", "<html>")),
            Some(_) => all_stored(request),
            None => Ok(json(200, r#"{"resourceType":"Bundle","total":99}"#)),
        },
    );
    let ending = run.ending();
    assert_eq!((ending.tally.stored, ending.tally.refused), (99, 1));
    assert_eq!(ending.stop, None);
}

#[test]
fn a_jhe_without_batches_refuses_each_record_with_its_reason() {
    let mut run = batch_run();
    let sent = perform(
        &mut run,
        |_| Ok(json(200, &page(&["a", "b"], None))),
        |_| Ok(answer(404, "text/html", "<html>")),
    );
    assert_eq!(sent.len(), 1);
    assert_eq!(run.tally().reasons, [("HTTP 404: a web page".into(), 2)]);
}

#[test]
fn reading_runs_ahead_by_a_bounded_number_of_records() {
    let mut run = run();
    let ids: Vec<String> = (0..1000).map(|n| format!("r{n}")).collect();
    let mut page_number = 0;
    let chunks: Vec<Vec<&str>> = ids
        .chunks(40)
        .map(|chunk| chunk.iter().map(String::as_str).collect())
        .collect();
    let mut read = 0;
    let mut written = 0;
    loop {
        match run.next_action(NOW) {
            Action::Perform(task, request) if request.method == Method::Get => {
                let next = format!("?page={}", page_number + 2);
                let is_last = page_number + 1 == chunks.len();
                let body = page(&chunks[page_number], (!is_last).then_some(next.as_str()));
                read += chunks[page_number].len();
                page_number += 1;
                run.finish(task, Ok(json(200, &body)), NOW);
                assert!(read - written <= AHEAD_RECORDS + 40 + 1);
            }
            Action::Perform(task, _) => {
                written += 1;
                run.finish(task, Ok(json(201, "{}")), NOW);
            }
            Action::AwaitFinish | Action::AwaitTime(_) => panic!("every task is finished at once"),
            Action::Complete => break,
        }
    }
    assert_eq!(run.tally().stored, 1000);
}

#[test]
fn large_records_bound_what_is_read_ahead_by_their_octets() {
    let mut run = run();
    let note = "x".repeat(AHEAD_OCTETS / 3);
    let body = |number: u32| {
        let record =
            lab(&format!("r{number}")).replace("7.10", &format!("7.10,\"note\":\"{note}\""));
        format!(
            r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"?page={number}"}}],"entry":[{record}]}}"#
        )
    };
    let mut pages_read = 0;
    for _ in 0..20 {
        match run.next_action(NOW) {
            Action::Perform(task, request) if request.method == Method::Get => {
                pages_read += 1;
                run.finish(task, Ok(json(200, &body(pages_read))), NOW);
            }
            _ => break,
        }
    }
    // Two of them are on their way to JHE before the bound is met.
    assert!(pages_read <= 4 + MYCHART.writing.start, "{pages_read}");
}

#[test]
fn an_answer_to_a_task_that_is_not_under_way_changes_nothing() {
    let mut run = run();
    run.finish(TaskId(77), Ok(json(200, &page(&["a"], None))), NOW);
    assert_eq!(run.tally().found, 0);
    assert!(matches!(run.next_action(NOW), Action::Perform(..)));
}

/// A run of several searches, in batches.
fn chart_run(plan: &str, scope: &str) -> ImportRun {
    let plan = Plan::parse(Json::parse(plan.as_bytes()).unwrap(), &PATIENT_ACCESS).unwrap();
    let mut start = Start {
        deployment: &PATIENT_ACCESS,
        plan,
        ..start()
    };
    start.ehr.scope = scope.into();
    ImportRun::new(start, NOW)
}

const ALL: &str = "patient/*.read";
const THREE: &str = r#"[{"label":"You","type":"Patient"},{"label":"Goals","type":"Goal"},
    {"label":"Visits","type":"Encounter"}]"#;

/// A page of records of one type.
fn chart(resource_type: &str, ids: &[&str], next: Option<&str>) -> Answer {
    let page = page(ids, next).replace("Observation", resource_type);
    Ok(json(200, &page))
}

/// What each row came to, as in `Goals 2`.
fn outcome_of(run: &ImportRun) -> Vec<String> {
    let rows = run.ending().rows.into_iter();
    rows.map(|row| {
        let standing = match row.standing {
            Standing::Whole => String::new(),
            other => format!(" {other:?}"),
        };
        format!("{} {}{standing}", row.label, row.tally.stored)
    })
    .collect()
}

/// Answers every search with one record of its type, but where `other` says something else.
fn one_of_each(
    mut other: impl FnMut(&HttpRequest) -> Option<Answer>,
) -> impl FnMut(&HttpRequest) -> Answer {
    move |request| {
        if let Some(answer) = other(request) {
            return answer;
        }
        let resource_type = request.url.path().split('/').nth(2).unwrap();
        match resource_type {
            "Patient" => Ok(json(200, r#"{"resourceType":"Patient","id":"e1"}"#)),
            _ => chart(resource_type, &["x"], None),
        }
    }
}

fn stored_in_batches(request: &HttpRequest) -> Answer {
    match request.method {
        Method::Post => all_stored(request),
        Method::Get => Ok(json(200, r#"{"resourceType":"Bundle","total":0}"#)),
    }
}

#[test]
fn the_patient_is_read_first_and_alone_and_then_several_types_side_by_side() {
    let mut run = chart_run(r#"["default"]"#, ALL);
    let Action::Perform(patient, request) = run.next_action(NOW) else {
        panic!("nothing to do");
    };
    assert_eq!(request.url.as_str(), "https://ehr.example/R4/Patient/e1");
    assert!(matches!(run.next_action(NOW), Action::AwaitFinish));
    run.finish(
        patient,
        Ok(json(200, r#"{"resourceType":"Patient","id":"e1"}"#)),
        NOW,
    );
    let mut asked = Vec::new();
    while let Action::Perform(_, request) = run.next_action(NOW) {
        asked.push(request.url.path().to_owned());
    }
    assert_eq!(
        asked,
        [
            "/R4/Condition",
            "/R4/MedicationRequest",
            "/R4/MedicationDispense"
        ]
    );
}

#[test]
fn records_of_several_types_share_a_batch_and_the_same_id_of_two_types_is_two_records() {
    let mut run = chart_run(THREE, ALL);
    let sent = perform(&mut run, one_of_each(|_| None), stored_in_batches);
    assert_eq!(sent.len(), 1);
    assert_eq!(outcome_of(&run), ["You 1", "Goals 1", "Visits 1"]);
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn a_type_that_fails_ends_no_other_and_is_told_with_its_row() {
    type Failure = fn() -> Answer;
    let failures: [(Failure, &str); 5] = [
        (|| Ok(json(403, "no")), "pull.forbidden"),
        (|| Ok(json(400, "no")), "pull.refused"),
        (|| Ok(answer(200, "text/html", "<html>")), "pull.not_fhir"),
        (|| Ok(json(503, "")), "pull.server_error"),
        (|| Err(TransportError::Unreachable), "pull.unreachable"),
    ];
    for (failure, code) in failures {
        let mut run = chart_run(THREE, ALL);
        let fails = |request: &HttpRequest| request.url.path().ends_with("/Goal");
        let ehr = one_of_each(|request| fails(request).then(failure));
        perform(&mut run, ehr, stored_in_batches);
        let goals = format!("Goals 0 Failed({code:?})");
        assert_eq!(outcome_of(&run), ["You 1", &goals, "Visits 1"]);
        let ending = run.ending();
        assert_eq!(ending.verdict(), Verdict::Partly);
        // What nothing can be done about is told in a line, and no error of its own.
        let is_transient = ending.way_on() == WayOn::TryAgain;
        assert_eq!(ending.pull_error().is_some(), is_transient, "{code}");
        assert_eq!(ending.code(), Some(code));
    }
}

#[test]
fn types_that_were_not_granted_are_not_asked_for_and_are_no_failure() {
    let mut run = chart_run(THREE, "patient/Patient.r patient/Encounter.rs");
    let mut asked = Vec::new();
    let ehr = one_of_each(|request| {
        asked.push(request.url.path().to_owned());
        None
    });
    perform(&mut run, ehr, stored_in_batches);
    assert_eq!(asked, ["/R4/Patient/e1", "/R4/Encounter"]);
    assert_eq!(
        outcome_of(&run),
        ["You 1", "Goals 0 NotGranted", "Visits 1"]
    );
    assert_eq!(run.ending().verdict(), Verdict::Complete);
}

#[test]
fn a_401_that_only_one_type_gets_is_no_end_of_the_session() {
    let mut run = chart_run(THREE, ALL);
    let mut asked = 0;
    let ehr = one_of_each(|request| {
        let is_goal = request.url.path().ends_with("/Goal");
        asked += u32::from(is_goal);
        is_goal.then(|| Ok(json(401, "")))
    });
    perform(&mut run, ehr, stored_in_batches);
    // The other one was asked for before, so that it does not speak for the token: then it is another sign-in.
    assert_eq!(asked, 1);
    assert_eq!(run.ending().way_on(), WayOn::SignIn);

    let four = THREE.replace(
        "]",
        r#",{"label":"Orders","type":"ServiceRequest"},
        {"label":"Devices","type":"Device"},{"label":"Teams","type":"CareTeam"}]"#,
    );
    let mut run = chart_run(&four, ALL);
    let ehr = one_of_each(|request| {
        let is_goal = request.url.path().ends_with("/Goal");
        is_goal.then(|| Ok(json(401, "")))
    });
    perform(&mut run, ehr, stored_in_batches);
    assert_eq!(run.ending().way_on(), WayOn::None);
    assert_eq!(outcome_of(&run)[1], r#"Goals 0 Failed("pull.forbidden")"#);
}

#[test]
fn a_search_that_names_too_little_is_divided_and_each_part_stands_for_itself() {
    let mut run = chart_run(r#"[{"label":"Results","type":"Observation"}]"#, ALL);
    let mut asked = Vec::new();
    let ehr = |request: &HttpRequest| {
        let query = request.url.query().to_owned();
        asked.push(query.clone());
        let category = query.split("category=").nth(1);
        match category {
            None => Ok(json(
                400,
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"required"}]}"#,
            )),
            Some("survey") => Ok(json(403, "")),
            // The same record is in two categories.
            Some(category @ ("laboratory" | "exam")) => {
                Ok(json(200, &page(&["both", category], None)))
            }
            Some(_) => Ok(json(200, &page(&[], None))),
        }
    };
    perform(&mut run, ehr, stored_in_batches);
    assert_eq!(asked.len(), 15);
    assert_eq!(outcome_of(&run), [r#"Results 3 Failed("pull.forbidden")"#]);
    assert_eq!(run.tally().repeated, 1);
    assert_eq!(run.ending().verdict(), Verdict::Partly);
}

#[test]
fn what_can_not_be_divided_further_is_told() {
    let too_wide = || {
        Ok(json(
            400,
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"required"}]}"#,
        ))
    };
    for plan in [
        r#"[{"label":"A","type":"Goal"}]"#,
        r#"[{"label":"A","type":"Observation","parameters":{"category":"laboratory"}}]"#,
    ] {
        let mut run = chart_run(plan, ALL);
        perform(&mut run, |_| too_wide(), stored_in_batches);
        assert_eq!(outcome_of(&run), [r#"A 0 Failed("pull.too_wide")"#]);
        assert_eq!(run.ending().verdict(), Verdict::Failed);
    }
}

#[test]
fn a_long_type_keeps_no_other_waiting() {
    let mut run = chart_run(THREE, ALL);
    let mut asked = Vec::new();
    let mut goals = 0;
    let ehr = one_of_each(|request| {
        let path = request.url.path().trim_start_matches("/R4/").to_owned();
        asked.push(path.clone());
        (path == "Goal").then(|| {
            goals += 1;
            let next = format!("?page={goals}");
            let id = format!("g{goals}");
            chart("Goal", &[&id], (goals < 600).then_some(next.as_str()))
        })
    });
    perform(&mut run, ehr, stored_in_batches);
    let visits = asked.iter().position(|path| path == "Encounter").unwrap();
    assert!(visits < 4, "asked for behind {visits} others");
    assert_eq!(outcome_of(&run), ["You 1", "Goals 600", "Visits 1"]);
}

#[test]
fn long_types_take_turns() {
    let plan = r#"[{"label":"A","type":"Goal"},{"label":"B","type":"Encounter"},{"label":"C","type":"Device"},
        {"label":"D","type":"CareTeam"},{"label":"E","type":"CarePlan"}]"#;
    let mut run = chart_run(plan, ALL);
    let mut asked: Vec<String> = Vec::new();
    let ehr = |request: &HttpRequest| {
        let resource_type = request.url.path().split('/').nth(2).unwrap();
        let page = asked.iter().filter(|it| *it == resource_type).count();
        asked.push(resource_type.to_owned());
        let (id, next) = (format!("{page}"), format!("?page={page}"));
        chart(resource_type, &[&id], (page < 40).then_some(next.as_str()))
    };
    perform(&mut run, ehr, stored_in_batches);
    // The last row is begun long before the first one is through.
    let last = asked.iter().position(|it| it == "CarePlan").unwrap();
    assert!(last < 40, "asked for behind {last} others");
    assert_eq!(run.tally().stored, 5 * 41);
}

#[test]
fn more_pages_than_the_plan_allows_are_not_read_and_that_is_said() {
    let plan = r#"[{"label":"Goals","type":"Goal","pages":3},{"label":"Visits","type":"Encounter","pages":1}]"#;
    let mut run = chart_run(plan, ALL);
    let mut goals = 0;
    let ehr = one_of_each(|request| {
        request.url.path().ends_with("/Goal").then(|| {
            goals += 1;
            let (id, next) = (format!("g{goals}"), format!("?page={goals}"));
            chart("Goal", &[&id], Some(&next))
        })
    });
    perform(&mut run, ehr, stored_in_batches);
    assert_eq!(outcome_of(&run), ["Goals 3 Limited", "Visits 1"]);
    assert_eq!(run.ending().verdict(), Verdict::Partly);
    assert_eq!(run.ending().way_on(), WayOn::None);
}

#[test]
fn each_search_goes_on_where_it_was_cut_off() {
    let plan = r#"[{"label":"Goals","type":"Goal"},{"label":"Visits","type":"Encounter"},{"label":"Results","type":"Observation"}]"#;
    let again = |checkpoint: Checkpoint| {
        let plan = Plan::parse(Json::parse(plan.as_bytes()).unwrap(), &PATIENT_ACCESS).unwrap();
        let mut start = Start {
            deployment: &PATIENT_ACCESS,
            plan,
            checkpoint,
            ..start_again()
        };
        start.ehr.scope = ALL.into();
        ImportRun::new(start, NOW)
    };
    let ehr = |request: &HttpRequest| {
        let query = request.url.query();
        match (request.url.path().split('/').nth(2).unwrap(), query) {
            ("Goal", "?page=2") => Ok(json(401, "")),
            ("Goal", _) => chart("Goal", &["a"], Some("?page=2")),
            ("Encounter", _) => chart("Encounter", &["b"], None),
            (_, query) if !query.contains("category") => Ok(json(
                400,
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"required"}]}"#,
            )),
            (_, query) if query.ends_with("clinical-test") => Ok(json(401, "")),
            _ => Ok(json(200, &page(&[], None))),
        }
    };
    let mut first = again(Checkpoint::default());
    perform(&mut first, ehr, stored_in_batches);
    assert_eq!(first.ending().way_on(), WayOn::SignIn);

    let mut second = again(first.checkpoint());
    let mut asked = Vec::new();
    let ehr = |request: &HttpRequest| {
        asked.push([request.url.path(), request.url.query()].concat());
        match request.url.path() {
            "/R4/Goal" => chart("Goal", &["c"], None),
            _ => Ok(json(200, &page(&["d"], None))),
        }
    };
    perform(&mut second, ehr, stored_in_batches);
    assert_eq!(
        asked,
        [
            "/R4/Goal?page=2",
            "/R4/Observation?patient=e1&category=clinical-test"
        ]
    );
    assert_eq!(outcome_of(&second), ["Goals 2", "Visits 1", "Results 1"]);
}

#[test]
fn what_was_noted_of_another_plan_is_not_gone_on_with() {
    let mut start = Start {
        checkpoint: Checkpoint {
            pulls: alloc::vec![PullPoint {
                standing: Standing::Whole,
                ..PullPoint::default()
            }],
            plan: Plan::of(&PATIENT_ACCESS).mark(),
            held_before: None,
        },
        ..start()
    };
    start.deployment = &MYCHART;
    let mut run = ImportRun::new(start, NOW);
    assert!(matches!(run.next_action(NOW), Action::Perform(..)));
}

#[test]
fn included_resources_are_written_where_the_plan_names_their_type() {
    let plan = r#"[{"label":"Medications","type":"MedicationRequest","parameters":{"_include":"MedicationRequest:medication"}},
        {"label":"Drugs","type":"Medication","search":false}]"#;
    let mut run = chart_run(plan, ALL);
    let entries = r#"{"resourceType":"Bundle","entry":[
        {"resource":{"resourceType":"MedicationRequest","id":"r","subject":{"reference":"Patient/e1"}}},
        {"resource":{"resourceType":"Medication","id":"m"},"search":{"mode":"include"}},
        {"resource":{"resourceType":"Practitioner","id":"p"},"search":{"mode":"include"}}]}"#;
    let sent = perform(&mut run, |_| Ok(json(200, entries)), stored_in_batches);
    assert!(sent[0].contains(r#""Medication""#) && !sent[0].contains("Practitioner"));
    assert_eq!(outcome_of(&run), ["Medications 2"]);
    assert_eq!(run.tally().of_other_type, 1);
}

#[test]
fn athenahealths_practice_is_named_in_every_query() {
    let mut start = Start {
        deployment: &PATIENT_ACCESS,
        plan: Plan::of(&PATIENT_ACCESS),
        ..start()
    };
    start.ehr = access(
        r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600000,"ah_practice":"a-1.Practice-80000"}"#,
    );
    start.ehr.scope = ALL.into();
    let mut run = ImportRun::new(start, NOW);
    let mut asked = Vec::new();
    let ehr = one_of_each(|request| {
        asked.push(request.url.query().to_owned());
        None
    });
    perform(&mut run, ehr, stored_in_batches);
    assert_eq!(asked.len(), 18);
    let practice = "ah-practice=Organization%2Fa-1.Practice-80000";
    assert!(
        asked.iter().all(|query| query.contains(practice)),
        "{asked:?}"
    );
}

mod documents {
    use super::*;

    const NOTES: &str = r#"[{"label":"Notes","type":"DocumentReference","attachments":true}]"#;

    fn note(id: &str, url: &str) -> String {
        format!(
            r#"{{"resource":{{"resourceType":"DocumentReference","id":"{id}","subject":{{"reference":"Patient/e1"}},
            "content":[{{"attachment":{{"contentType":"text/plain","url":"{url}"}}}}]}}}}"#
        )
    }

    fn notes(urls: &[&str]) -> Answer {
        let notes = urls.iter().enumerate();
        let notes: Vec<String> = notes
            .map(|(id, url)| note(&format!("n{id}"), url))
            .collect();
        let bundle = format!(
            r#"{{"resourceType":"Bundle","entry":[{}]}}"#,
            notes.join(",")
        );
        Ok(json(200, &bundle))
    }

    fn documents(urls: &[&str], mut read: impl FnMut(&str) -> Answer) -> (Vec<String>, ImportRun) {
        let mut run = chart_run(NOTES, "patient/DocumentReference.rs patient/Binary.r");
        let ehr = |request: &HttpRequest| match request.url.path().contains("/Binary/") {
            true => read(request.url.path().rsplit('/').next().unwrap()),
            false => notes(urls),
        };
        let sent = perform(&mut run, ehr, stored_in_batches);
        (sent, run)
    }

    fn text(text: &str) -> Answer {
        Ok(answer(200, "text/plain", text))
    }

    #[test]
    fn documents_are_fetched_and_travel_in_their_records() {
        let urls = ["Binary/1", "https://evil.example/x", "Binary/3"];
        let (sent, run) = documents(&urls, |name| match name {
            "1" => text("all well"),
            _ => Ok(answer(404, "", "")),
        });
        assert!(
            sent[0]
                .contains(r#""data":"YWxsIHdlbGw=","contentType":"text/plain","url":"Binary/1""#)
        );
        assert_eq!(sent[0].matches("\"data\"").count(), 1);
        let tally = run.tally();
        assert_eq!((tally.stored, tally.inlined, tally.kept), (3, 1, 2));
        let mut reasons = tally.documents;
        reasons.sort();
        assert_eq!(
            reasons,
            [
                ("kept at another server".into(), 1),
                ("not found".into(), 1)
            ]
        );
        // What could not be copied is told, and is no failure of the record.
        assert_eq!(run.ending().verdict(), Verdict::Complete);
    }

    #[test]
    fn without_the_scope_none_is_asked_for() {
        let mut run = chart_run(NOTES, "patient/DocumentReference.rs");
        let ehr = |request: &HttpRequest| {
            assert!(!request.url.path().contains("Binary"));
            notes(&["Binary/1"])
        };
        perform(&mut run, ehr, stored_in_batches);
        assert_eq!((run.tally().stored, run.tally().kept), (1, 1));
    }

    #[test]
    fn a_passing_failure_is_tried_again_and_a_lasting_one_told() {
        let mut asked = 0;
        let (_, run) = documents(&["Binary/1"], |_| {
            asked += 1;
            match asked {
                1 => Ok(answer(503, "", "")),
                2 => Err(TransportError::CutOff),
                _ => text("x"),
            }
        });
        assert_eq!((asked, run.tally().inlined), (3, 1));
        let (_, run) = documents(&["Binary/1", "Binary/2"], |name| match name {
            "1" => Ok(answer(500, "", "")),
            _ => text("x"),
        });
        let tally = run.tally();
        assert_eq!((tally.stored, tally.inlined, tally.kept), (2, 1, 1));
        assert_eq!(tally.documents, [("not fetched: HTTP 500".into(), 1)]);
    }

    #[test]
    fn a_document_that_is_too_long_is_not_read() {
        let (_, run) = documents(&["Binary/1"], |_| Err(TransportError::TooLong));
        assert_eq!(run.tally().documents, [("too long to be copied".into(), 1)]);
        let long = "x".repeat(BATCH_OCTETS);
        let (_, run) = documents(&["Binary/1"], |_| text(&long));
        assert_eq!(run.tally().documents, [("too long to be copied".into(), 1)]);
    }

    #[test]
    fn large_documents_make_batches_of_their_own() {
        let large = "x".repeat(400_000);
        let (sent, run) = documents(&["Binary/1", "Binary/2", "Binary/3"], |_| text(&large));
        assert_eq!(run.tally().inlined, 3);
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|body| body.len() < 900_000));
    }

    #[test]
    fn a_document_that_is_refused_with_a_good_token_is_told() {
        let (_, run) = documents(&["Binary/1"], |_| Ok(answer(401, "", "")));
        assert_eq!(
            run.tally().documents,
            [("not allowed to be read".into(), 1)]
        );
        assert_eq!(run.ending().verdict(), Verdict::Complete);
    }

    #[test]
    fn a_token_that_ends_before_the_documents_loses_none_of_their_records() {
        let start = |checkpoint| {
            let plan = Json::parse(NOTES.as_bytes()).unwrap();
            let mut start = Start {
                deployment: &PATIENT_ACCESS,
                plan: Plan::parse(plan, &PATIENT_ACCESS).unwrap(),
                checkpoint,
                ..start_again()
            };
            start.ehr.scope = "patient/DocumentReference.rs patient/Binary.r".into();
            start
        };
        let mut first = start(Checkpoint::default());
        first.ehr.expires_at = NOW;
        let mut first = ImportRun::new(first, NOW);
        let ehr = |request: &HttpRequest| match request.url.path() {
            "/R4/Binary/1" => text("x"),
            "/R4/DocumentReference" => notes(&["Binary/1", "Binary/2"]),
            _ => Ok(answer(401, "", "")),
        };
        perform(&mut first, ehr, stored_in_batches);
        let ending = first.ending();
        assert_eq!((ending.tally.stored, ending.tally.unsent), (1, 1));
        assert_eq!(ending.way_on(), WayOn::SignIn);

        let mut second = ImportRun::new(start(first.checkpoint()), NOW);
        let ehr = |request: &HttpRequest| match request.url.path() {
            "/R4/DocumentReference" => notes(&["Binary/1", "Binary/2"]),
            _ => text("x"),
        };
        perform(&mut second, ehr, stored_in_batches);
        assert_eq!((second.tally().stored, second.tally().inlined), (2, 2));
        assert_eq!(second.ending().verdict(), Verdict::Complete);
    }
}
