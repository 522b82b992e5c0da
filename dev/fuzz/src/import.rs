//! A whole import, whose servers answer whatever the input says.

use std::rc::Rc;

use jhe_connect::exchange::deployment::{Deployment, MYCHART, PATIENT_ACCESS};
use jhe_connect::exchange::source::{Source, registered};
use jhe_connect::http::{Answer, HttpRequest, HttpResponse, Method, TransportError};
use jhe_connect::import::plan::Plan;
use jhe_connect::import::{Action, Checkpoint, ImportRun, QUIET_MS, Review, Start, TaskId};
use jhe_connect::json::Json;
use jhe_connect::oauth::token::TokenResponse;
use jhe_connect::session::RunRecord;
use jhe_connect::smart::context::LaunchContext;
use jhe_connect::smart::discovery::Issuer;
use jhe_connect::smart::identity::ExpectedIdentity;
use jhe_connect::smart::launch::Launched;
use jhe_connect::url::Url;

use crate::checkpoint::keeps;
use crate::{fhir, jhe, status};

/// So many steps without a line of the input lead to the end of any run.
const STEPS: usize = 5_000;

/// The first line says which import it is; each further one is an answer, or what happens meanwhile.
///
/// `P`, `G` and `E`: the patient lets it pause, go on, end. `R`: the page is loaded again. `H`: an hour goes by. `x`, `t`,
/// `c`, `o`, `l`: no answer, in one of five ways. `k`: a kind answer, `n`: the same with a next link. A digit: the rest of
/// the line with that status. `r` and a digit: the same, asking for patience. What is behind the end is answered kindly.
pub(crate) fn import(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let head = lines.next().unwrap_or_default();
    let mut world = World::new(head);
    let mut run = world.run(Checkpoint::default());
    let mut under_way: Vec<(TaskId, HttpRequest)> = Vec::new();
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < STEPS, "the run does not end");
        match run.next_action(world.now) {
            Action::Perform(task, request) => {
                world.judge(&request);
                under_way.push((task, request));
                assert!(under_way.len() < 20, "too much at once");
                continue;
            }
            Action::AwaitTime(until) if under_way.is_empty() => {
                assert!(until > world.now, "a wait for what has passed");
                world.now = until;
            }
            Action::AwaitTime(until) => assert!(until > world.now),
            Action::AwaitFinish => {
                assert!(
                    !under_way.is_empty() || run.is_paused(),
                    "it waits for nothing"
                );
                if under_way.is_empty() {
                    run.resume();
                }
            }
            Action::Complete => {
                assert!(under_way.is_empty());
                break;
            }
        }
        world.judge_counts(&run);
        let line = lines.next();
        match line.and_then(|line| line.first()) {
            Some(b'P') => run.pause(),
            Some(b'G') => run.resume(),
            Some(b'E') => run.stop_here(),
            Some(b'H') => world.now = world.now.saturating_add(3_600_000),
            Some(b'R') => {
                under_way.clear();
                run = world.run(run.checkpoint());
            }
            _ if under_way.is_empty() => {}
            _ => {
                let (task, request) = under_way.remove(0);
                let answer = world.answer(&request, line);
                run.finish(task, answer, world.now);
            }
        }
    }
    world.judge_counts(&run);
    let ending = run.ending();
    let _ = (ending.verdict(), ending.way_on());
    for reasons in [
        &ending.tally.reasons,
        &ending.tally.changes,
        &ending.tally.notices,
        &ending.tally.documents,
    ] {
        assert!(reasons.len() <= 101, "reasons without bound");
        assert!(
            reasons
                .iter()
                .all(|(text, _)| text.len() <= crate::LONGEST_TEXT)
        );
    }
    if !world.was_cut_off {
        let tally = &ending.tally;
        let accounted = tally.repeated + tally.already_there + tally.stored + tally.not_saved();
        if !world.is_review {
            assert_eq!(tally.found, accounted, "{tally:?}");
        }
    }
}

struct World {
    ehr: Url,
    jhe: Url,
    deployment: &'static Deployment,
    is_review: bool,
    is_new: bool,
    has_refresh_token: bool,
    now: u64,
    pages: u32,
    runs: u32,
    was_cut_off: bool,
}

impl World {
    fn new(head: &[u8]) -> Self {
        let has = |mark: u8| head.contains(&mark);
        World {
            ehr: Url::parse(fhir::BASE).expect("a URL"),
            jhe: Url::parse(jhe::BASE).expect("a URL"),
            deployment: match has(b'b') {
                true => &PATIENT_ACCESS,
                false => &MYCHART,
            },
            is_review: has(b'v'),
            is_new: has(b'n'),
            has_refresh_token: has(b'f'),
            now: 1_800_000_000_000,
            pages: 0,
            runs: 0,
            was_cut_off: false,
        }
    }

    fn run(&mut self, checkpoint: Checkpoint) -> ImportRun {
        keeps(&RunRecord {
            checkpoint: checkpoint.clone(),
            ..RunRecord::default()
        });
        self.was_cut_off |= self.runs > 0;
        self.runs += 1;
        // One of each kind of search: what is asked for more often is not other code.
        let plan = Plan::of(self.deployment);
        let plan = plan.keep(&|_, row| {
            matches!(
                row.label.as_str(),
                "Labs" | "Your details" | "Clinical notes" | "Conditions"
            )
        });
        if self.is_review {
            let review = Review {
                ehr: self.access(),
                deployment: self.deployment,
                plan,
                checkpoint,
                seed: 7,
            };
            return ImportRun::review(review);
        }
        let id = registered(&response(201, r#"{"id":90003}"#)).expect("a source");
        let start = Start {
            jhe: Rc::new(jhe::session()),
            ehr: self.access(),
            source: Source {
                id,
                earlier: if self.is_new { vec![] } else { vec![id] },
            },
            deployment: self.deployment,
            plan,
            checkpoint,
            last_write: None,
            quiet_ms: QUIET_MS,
            seed: 7,
        };
        ImportRun::new(start, self.now)
    }

    fn access(&self) -> LaunchContext {
        let page = crate::oauth::page();
        let url = |text| Url::parse(text).expect("a URL");
        let launched = Launched {
            issuer: Issuer::parse(fhir::BASE, &page).expect("an issuer"),
            scope: "launch/patient patient/*.read".into(),
            token_endpoint: url("https://ehr.example/token"),
            revocation_endpoint: None,
            client_id: "client".into(),
            identity: ExpectedIdentity::default(),
        };
        let token = TokenResponse::from_response(&response(200, self.token()));
        let token = token.expect("a token");
        LaunchContext::new(launched, token, self.now).expect("a patient")
    }

    fn token(&self) -> &'static str {
        match self.has_refresh_token {
            true => {
                r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600,"refresh_token":"F"}"#
            }
            false => {
                r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":3600}"#
            }
        }
    }

    /// Each token goes to its own server, and what is written is JSON.
    fn judge(&self, request: &HttpRequest) {
        let url = request.url.as_str();
        let is_below = |base: &Url| base.confine(url, base).is_ok();
        let token = request
            .headers
            .iter()
            .find(|(name, _)| *name == "Authorization");
        match token.map(|(_, value)| value.as_str()) {
            Some("Bearer E") => assert!(is_below(&self.ehr), "{url}"),
            Some("Bearer J") => assert!(is_below(&self.jhe), "{url}"),
            Some(_) => panic!("an unknown token"),
            None => assert_eq!(url, "https://ehr.example/token"),
        }
        if let Some(body) = request.body.as_ref().filter(|_| is_below(&self.jhe)) {
            assert!(!self.is_review, "a review writes");
            let body = Json::parse(body.as_bytes()).expect("what is written is JSON");
            assert!(body.is_object());
        }
    }

    fn judge_counts(&self, run: &ImportRun) {
        let progress = run.progress();
        for row in &progress.rows {
            assert!(
                row.all
                    .is_none_or(|all| row.found <= all && row.done <= all),
                "{row:?}"
            );
        }
        if let Some((done, all)) = progress.whole {
            assert!(done <= all);
        }
    }

    fn answer(&mut self, request: &HttpRequest, line: Option<&[u8]>) -> Answer {
        let (first, rest) = match line.and_then(<[u8]>::split_first) {
            Some((first, rest)) => (*first, rest),
            None => (b'k', &[][..]),
        };
        match first {
            b'x' => Err(TransportError::Unreachable),
            b't' => Err(TransportError::TimedOut),
            b'c' => Err(TransportError::CutOff),
            b'o' => Err(TransportError::Offline),
            b'l' => Err(TransportError::TooLong),
            b'0'..=b'9' => Ok(HttpResponse {
                body: rest.to_vec(),
                ..response(status(first), "")
            }),
            b'r' => Ok(HttpResponse {
                body: rest.get(1..).unwrap_or_default().to_vec(),
                retry_after_ms: rest.first().map(|digit| u64::from(*digit).pow(7)),
                ..response(429, "")
            }),
            b'n' => Ok(response(200, &self.kindly(request, true))),
            _ => Ok(response(200, &self.kindly(request, false))),
        }
    }

    /// What a server says that has what was asked for.
    fn kindly(&mut self, request: &HttpRequest, has_next: bool) -> String {
        let url = request.url.as_str();
        if url == "https://ehr.example/token" {
            return self.token().into();
        }
        if request.method == Method::Post {
            let count = request.body.as_deref().unwrap_or_default();
            let count = count.matches("{\"resource\":").count();
            let entries = vec![r#"{"response":{"status":"201"}}"#; count];
            return format!("{{\"entry\":[{}]}}", entries.join(","));
        }
        if url.starts_with(jhe::BASE) {
            return r#"{"resourceType":"Bundle","total":0,"entry":[]}"#.into();
        }
        let path = request.url.path();
        let resource_type = path.trim_start_matches("/R4/").split('/').next();
        let resource_type = resource_type.unwrap_or_default();
        if resource_type == "Patient" {
            return r#"{"resourceType":"Patient","id":"e1"}"#.into();
        }
        self.pages += 1;
        let page = self.pages;
        let link = match has_next {
            true => {
                format!(r#""link":[{{"relation":"next","url":"{resource_type}?page={page}"}}],"#)
            }
            false => String::new(),
        };
        format!(
            r#"{{"resourceType":"Bundle",{link}"entry":[{{"resource":{{"resourceType":"{resource_type}","id":"{page}","subject":{{"reference":"Patient/e1"}}}}}}]}}"#
        )
    }
}

fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        content_type: "application/json".into(),
        retry_after_ms: None,
        body: body.into(),
    }
}
