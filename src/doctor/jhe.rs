//! JHE's endpoints, asked without a token: that they refuse shows that they are there. And its clock.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::doctor::catalogue::Check;
use crate::doctor::clock::http_date_ms;
use crate::doctor::examination::{Examination, Step};
use crate::doctor::{Reply, Verdict, report};
use crate::exchange::deployment::Unit;
use crate::exchange::drop_in::DROP_INS;
use crate::http::HttpRequest;

/// Clocks that differ by more than this are told, in milliseconds.
const CLOCK_TOLERANCE_MS: u64 = 120_000;

impl Examination {
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

    pub(super) fn ask_jhe(&mut self) {
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

    pub(super) fn jhe_request(&self, number: usize) -> Option<HttpRequest> {
        let endpoints = self.jhe_endpoints();
        let (_, path) = endpoints.get(number)?;
        Some(HttpRequest::get(
            self.jhe().below(path).ok()?,
            "application/json",
        ))
    }

    pub(super) fn hear_jhe(&mut self, number: usize, reply: &Reply, now: u64) {
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
}
