//! The order in which the doctor looks, and what it knows so far.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::PageConfig;
use crate::doctor::catalogue::{CHECKS, Check};
use crate::doctor::clock::http_date_ms;
use crate::doctor::hospital::Hospital;
use crate::doctor::installed::{Assets, PageSeen};
use crate::doctor::redemption::Visit;
use crate::doctor::{Line, Mode, Question, Reply, Surroundings, Verdict, Wishes, report};
use crate::exchange::deployment::{Deployment, Unit};
use crate::exchange::drop_in::{DROP_INS, DropIn};
use crate::http::HttpRequest;
use crate::url::Url;

/// Clocks that differ by more than this are told, in milliseconds.
const CLOCK_TOLERANCE_MS: u64 = 120_000;

/// One look at an installation.
///
/// Call [`next_question`](Examination::next_question), send it, hand what came back to
/// [`receive`](Examination::receive), until there is no further question.
pub struct Examination {
    pub(super) at: Surroundings,
    pub(super) wishes: Wishes,
    pub(super) drop_in: Option<&'static DropIn>,
    pub(super) steps: VecDeque<Step>,
    under_way: Option<Step>,
    lines: Vec<Line>,
    pub(super) connect: Option<PageSeen>,
    pub(super) callback: Option<PageSeen>,
    pub(super) config: Option<PageConfig>,
    pub(super) assets: Assets,
    pub(super) visit: Visit,
    pub(super) hospital: Hospital,
    /// Where the API's lines are collected.
    api: Vec<(String, bool)>,
    /// What no line may show.
    pub(super) secrets: Vec<String>,
    is_at_end: bool,
}

/// What is asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Callback,
    Script,
    File(usize),
    /// What is asked of JHE depends on the configuration.
    AllOfJhe,
    Jhe(usize),
    Enrol,
    Profile,
    Sources,
    Brands,
    Revoke,
    Discover,
    Look,
    Reach(Check),
    Token,
}

impl Examination {
    /// Begins a look.
    pub fn new(at: Surroundings, wishes: Wishes) -> Self {
        static ALL: [DropIn; 3] = DROP_INS;
        let drop_in = ALL.iter().find(|it| it.folder == at.bundle.drop_in);
        let mut examination = Examination {
            drop_in,
            steps: VecDeque::from([Step::Connect, Step::Callback, Step::Script]),
            under_way: None,
            lines: Vec::new(),
            connect: None,
            callback: None,
            config: None,
            assets: Assets::default(),
            visit: Visit::default(),
            hospital: Hospital::default(),
            api: Vec::new(),
            secrets: Vec::new(),
            is_at_end: false,
            at,
            wishes,
        };
        let files = examination.at.bundle.files.len();
        examination.steps.extend((0..files).map(Step::File));
        examination.steps.push_back(Step::AllOfJhe);
        examination.look_around();
        examination.read_invitation();
        examination
    }

    /// The next question; `None` when all that could be asked was.
    pub fn next_question(&mut self, now: u64) -> Option<Question> {
        while let Some(step) = self.steps.pop_front() {
            if let Some(question) = self.ask(step, now) {
                self.under_way = Some(step);
                return Some(question);
            }
        }
        if !self.is_at_end {
            self.is_at_end = true;
            self.judge_policy();
            self.judge_known_habits();
            self.judge_the_rest();
        }
        None
    }

    /// What came back for the question that was handed out last.
    pub fn receive(&mut self, reply: Reply, now: u64) {
        match self.under_way.take() {
            Some(Step::Connect) => self.hear_connect_page(reply),
            Some(Step::Callback) => self.hear_callback_page(reply),
            Some(Step::Script) => self.hear_script(reply),
            Some(Step::File(number)) => self.hear_file(number, &reply),
            Some(Step::AllOfJhe) | None => {}
            Some(Step::Jhe(number)) => self.hear_jhe(number, &reply, now),
            Some(Step::Enrol) => self.hear_enrolment(reply),
            Some(Step::Profile) => self.hear_profile(reply),
            Some(Step::Sources) => self.hear_sources(reply),
            Some(Step::Brands) => self.hear_brands(reply),
            Some(Step::Revoke) => self.hear_revocation(reply),
            Some(Step::Discover) => self.hear_discovery(reply),
            Some(Step::Look) => self.hear_look(reply),
            Some(Step::Reach(check)) => self.hear_reach(check, &reply),
            Some(Step::Token) => self.hear_token_endpoint(&reply),
        }
    }

    /// All lines so far, in the order of the sheet.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (check, ..) in CHECKS {
            lines.extend(self.line(*check).map(|line| self.without_secrets(line)));
        }
        lines
    }

    /// What of one thing is known so far.
    pub fn line(&self, check: Check) -> Option<&Line> {
        self.lines.iter().find(|line| line.check == check)
    }

    /// The sheet as plain text. `browser` is what the browser calls itself.
    pub fn report(&self, browser: &str, now: u64) -> String {
        report::text(&self.lines(), &self.at, browser, now)
    }

    /// JHE's base.
    pub(super) fn jhe(&self) -> Url {
        match &self.config {
            Some(config) => config.jhe.clone(),
            None => self
                .at
                .page
                .join("/")
                .unwrap_or_else(|_| self.at.page.clone()),
        }
    }

    /// Which of JHE's clients it is about.
    pub(super) fn deployment(&self) -> &'static Deployment {
        let configured = self.config.as_ref().map(|config| config.deployment);
        let own = self.drop_in.map(|it| it.deployment.name);
        configured.unwrap_or_else(|| {
            Deployment::named(own).unwrap_or(&crate::exchange::deployment::MYCHART)
        })
    }

    pub(super) fn say(&mut self, check: Check, found: impl Into<String>, verdict: Verdict) {
        self.say_line(Line {
            check,
            found: found.into(),
            verdict,
            copy: None,
            link: None,
        });
    }

    pub(super) fn say_line(&mut self, line: Line) {
        self.lines.retain(|known| known.check != line.check);
        self.lines.push(line);
    }

    pub(super) fn is_said(&self, check: Check) -> bool {
        self.line(check).is_some()
    }

    fn ask(&mut self, step: Step, now: u64) -> Option<Question> {
        let request = match step {
            Step::Connect => self.page_request(false),
            Step::Callback => self.page_request(true),
            Step::Script => self.script_request(),
            Step::File(number) => self.file_request(number),
            Step::AllOfJhe => {
                self.ask_jhe();
                None
            }
            Step::Jhe(number) => self.jhe_request(number),
            Step::Enrol => self.enrolment_request(),
            Step::Profile => self.visit.profile_request(),
            Step::Sources => self.visit.sources_request(),
            Step::Brands => self.brands_request(),
            Step::Revoke => self.visit.revocation_request(),
            Step::Discover => self.discovery_request(now),
            Step::Look => self.look_request(),
            Step::Token => self.token_request(),
            Step::Reach(check) => {
                let request = self.reach_request(check)?;
                return Some(Question {
                    request,
                    mode: Mode::Reach,
                });
            }
        };
        Some(Question {
            request: request?,
            mode: Mode::Read,
        })
    }

    /// What is known without asking anybody.
    fn look_around(&mut self) {
        let origin = self.at.page.origin();
        match self.at.is_secure {
            true => self.say(
                Check::SecureContext,
                format!("This page was opened at {origin}, which browsers trust."),
                Verdict::Ok,
            ),
            false => self.say(
                Check::SecureContext,
                format!("This page was opened at {origin}, which browsers do not trust."),
                Verdict::Wrong(
                    "Serve JHE over https. Plain http works on localhost only. Patients read browser.insecure_context until then.".into(),
                ),
            ),
        }
        match self.at.has_storage {
            true => self.say(
                Check::TabStorage,
                "sessionStorage can be used; it is what survives the way to the hospital and back.",
                Verdict::Ok,
            ),
            false => self.say(
                Check::TabStorage,
                "This browser denies sessionStorage to this page.",
                Verdict::Wrong("Allow cookies and site data for this address in the browser’s settings. It is a setting of this browser, not of the installation: patients who have it read browser.storage_blocked.".into()),
            ),
        }
    }

    // JHE's endpoints, asked without a token.

    /// What is asked of JHE, and for which line.
    fn jhe_endpoints(&self) -> Vec<(Check, String)> {
        let deployment = self.deployment();
        let writing = match deployment.writing.unit {
            Unit::Record => "FHIR/R5/Observation",
            Unit::Batch => "fhir-import/R4/",
        };
        let mut endpoints: Vec<(Check, String)> = alloc::vec![
            (Check::JheTokens, "o/token/".into()),
            // Of the form of an invitation, and none.
            (
                Check::JheInvitations,
                "api/v1/invitation/00000000000000000000000000000000".into(),
            ),
            (Check::JheApi, "api/v1/users/profile".into()),
            (Check::JheApi, deployment.identifier_path.to_owned()),
            (Check::JheApi, "api/v1/fhir_sources".into()),
            (Check::JheWriting, writing.into()),
        ];
        if let Some(path) = deployment.brands_path {
            endpoints.push((Check::JheHospitals, path.to_owned()));
        }
        endpoints
    }

    fn ask_jhe(&mut self) {
        // Where no page could be read, it may have been pasted.
        if self.config.is_none() && self.connect.is_none() {
            self.read_configuration();
        }
        let count = self.jhe_endpoints().len();
        self.steps.extend((0..count).map(Step::Jhe));
        if self.deployment().brands_path.is_none() {
            self.say(
                Check::JheHospitals,
                format!(
                    "The client {} has no list: its configuration names the only hospital.",
                    self.deployment().name
                ),
                Verdict::Ok,
            );
        }
        self.steps
            .extend([Step::Enrol, Step::Discover, Step::Look, Step::Token]);
    }

    fn jhe_request(&self, number: usize) -> Option<HttpRequest> {
        let endpoints = self.jhe_endpoints();
        let (_, path) = endpoints.get(number)?;
        Some(HttpRequest::get(
            self.jhe().below(path).ok()?,
            "application/json",
        ))
    }

    fn hear_jhe(&mut self, number: usize, reply: &Reply, now: u64) {
        self.compare_clocks(reply, now);
        let endpoints = self.jhe_endpoints();
        let Some((check, path)) = endpoints.get(number) else {
            return;
        };
        // As JHE answers who has no token: 401 wherever one is needed, whatever the method; its token endpoint knows only
        // POST.
        let (is_right, answered) = match &reply.answer {
            Ok(answer) if *check == Check::JheTokens => (answer.status == 405, answer.describe()),
            Ok(answer) => (
                matches!(answer.status, 401 | 405)
                    && (answer.status == 405 || answer.json().is_some()),
                answer.describe(),
            ),
            Err(error) => (false, error.detail().into()),
        };
        let shown = match *check {
            Check::JheInvitations => "api/v1/invitation/…",
            _ => path.as_str(),
        };
        self.api
            .push((format!("GET /{shown}: {answered}"), is_right));
        let has_more = endpoints
            .get(number + 1)
            .is_some_and(|(next, _)| next == check);
        if has_more {
            return;
        }
        let found: Vec<String> = self
            .api
            .iter()
            .map(|(found, _)| format!("{found}."))
            .collect();
        let found = found.join(" ");
        let is_right = self
            .api
            .drain(..)
            .fold(true, |all, (_, is_right)| all && is_right);
        match is_right {
            true => self.say(
                *check,
                format!(
                    "{found} So it is there, and asks for {}.",
                    match *check {
                        Check::JheTokens => "a POST",
                        _ => "a token",
                    }
                ),
                Verdict::Ok,
            ),
            false => self.say(*check, found, Verdict::Wrong(self.endpoint_remedy(*check))),
        }
    }

    fn endpoint_remedy(&self, check: Check) -> String {
        let deployment = self.deployment();
        let made_for = DROP_INS
            .iter()
            .find(|it| it.deployment.name == deployment.name)
            .map_or("JHE", |it| it.made_for);
        let client = deployment.name;
        let base = self.jhe();
        let base = base.as_str();
        match check {
            Check::JheTokens | Check::JheInvitations => format!(
                "JHE should answer at {base}. With 404, or the answer of another program (a uvicorn, say), this address is not JHE’s: serve the pages from JHE’s own host and port, and look at the proxy’s rules for /api/ and /o/. With 5xx, look into JHE’s log."
            ),
            _ => format!(
                "The client {client} needs a JHE like {made_for}. A 404 means that this JHE has no such address: take the drop-in of the client that this JHE has, or update JHE. With 5xx, look into JHE’s log."
            ),
        }
    }

    /// By the `Date` of JHE's answer, which a page of the same origin may read.
    fn compare_clocks(&mut self, reply: &Reply, now: u64) {
        if self.is_said(Check::Clock) {
            return;
        }
        let date = reply.header("date").and_then(http_date_ms);
        let Some(date) = date else {
            return;
        };
        let (skew, who) = match now >= date {
            true => (now - date, "ahead of"),
            false => (date - now, "behind"),
        };
        // The header has whole seconds, and took a while to come.
        let seconds = skew / 1000;
        let found = match seconds {
            0..=2 => "By the Date of JHE’s answers both clocks agree.".to_owned(),
            _ => format!(
                "By the Date of JHE’s answers this computer’s clock is {} {who} JHE’s.",
                report::duration(seconds)
            ),
        };
        match skew > CLOCK_TOLERANCE_MS {
            false => self.say(Check::Clock, found, Verdict::Ok),
            true => self.say(Check::Clock, found, Verdict::Wrong("Set both by a time server (NTP): which of them is wrong can’t be told from here. With a wrong clock at JHE, invitations end too early or too late and certificates may be refused; patients’ own clocks only matter for how long a sign-in may take.".into())),
        }
    }

    fn without_secrets(&self, line: &Line) -> Line {
        let clean = |text: &str| {
            let mut text = text.to_owned();
            for secret in &self.secrets {
                text = text.replace(secret.as_str(), "…");
            }
            text
        };
        Line {
            check: line.check,
            found: clean(&line.found),
            verdict: match &line.verdict {
                Verdict::Ok => Verdict::Ok,
                Verdict::Wrong(advice) => Verdict::Wrong(clean(advice)),
                Verdict::Unknown(advice) => Verdict::Unknown(clean(advice)),
            },
            copy: line.copy.as_deref().map(clean),
            link: line.link.as_ref().map(|(text, to)| (*text, clean(to))),
        }
    }
}
