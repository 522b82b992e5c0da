//! The order in which the doctor looks, and what it knows so far.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::PageConfig;
use crate::doctor::catalogue::{CHECKS, Check};
use crate::doctor::files::Assets;
use crate::doctor::hospital::Hospital;
use crate::doctor::pages::{PageSeen, Which};
use crate::doctor::redemption::Visit;
use crate::doctor::{Line, Mode, Question, Reply, Surroundings, Verdict, Wishes, report};
use crate::exchange::deployment::Deployment;
use crate::exchange::drop_in::{DROP_INS, DropIn};
use crate::url::Url;

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
    pub(super) api: Vec<(String, bool)>,
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
            Step::Connect => self.page_request(Which::Connect),
            Step::Callback => self.page_request(Which::Callback),
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
