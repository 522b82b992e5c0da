//! The import: from the EHR's pages into JHE, as a state machine that performs nothing itself.
//!
//! [`ImportRun::next_action`] says what to do, [`ImportRun::finish`] takes what came of it. Reading runs ahead of
//! writing by a bounded amount, so that memory does not grow with the patient's history.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::Pull;
use crate::exchange::jhe::JheSession;
use crate::exchange::source::SourceId;
use crate::exchange::write::{Written, write_request};
use crate::fhir::bundle::SearchPage;
use crate::fhir::identity::Identity;
use crate::fhir::outcome::OperationOutcome;
use crate::fhir::resource::{Record, Selection};
use crate::fhir::search::page_request;
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
use crate::smart::context::LaunchContext;
use crate::text::contains;
use crate::url::Url;

pub mod progress;

use progress::Tally;

/// The next page is asked for when no more records than this wait to be written.
const READ_AHEAD: usize = 50;
/// Writes under way at once. JHE's stock server has two workers for everybody.
const WRITES_AT_ONCE: usize = 1;
/// After so many lost answers in a row the run ends instead of trying every record that is left.
const LOST_IN_A_ROW: u32 = 3;

/// One task that an import asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(u32);

/// What the performer of an import does next.
#[derive(Debug)]
pub enum Action {
    /// Send this and hand the answer to [`ImportRun::finish`], then ask again; do not wait for it before asking for
    /// further actions.
    Perform(TaskId, HttpRequest),
    /// Nothing to do until a task under way is finished.
    AwaitFinish,
    /// Nothing is left, nothing is under way.
    Complete,
}

/// One pull from one EHR into one source.
#[derive(Debug)]
pub struct ImportRun {
    jhe: JheSession,
    ehr: LaunchContext,
    source: SourceId,
    pull: Pull,
    identity: Identity,
    selection: Selection,
    reading: Reading,
    queue: VecDeque<Record>,
    writing: Vec<TaskId>,
    last_task: u32,
    lost_in_a_row: u32,
    visited: BTreeSet<String>,
    seen: BTreeSet<String>,
    tally: Tally,
    pull_error: Option<PullError>,
    stop: Option<Stop>,
}

#[derive(Debug)]
enum Reading {
    /// This page is next.
    Next(Url),
    /// This page is under way.
    UnderWay(TaskId, Url),
    /// Nothing more is read.
    Ended,
}

/// Why a run ended before everything that was fetched was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// JHE does not accept the token any more.
    JheSessionExpired,
    /// JHE can't be reached any more.
    JheUnreachable(TransportError),
}

/// Why a pull ended before its last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullError {
    /// The page that failed, counted from 1.
    pub page: u32,
    /// What went wrong.
    pub reason: PullFailure,
}

/// What may go wrong with one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullFailure {
    /// 401: the EHR's token is over.
    SignedOut,
    /// 403: the app may not read this.
    Forbidden(String),
    /// Another 4xx; what the EHR said.
    Refused(String),
    /// 5xx; what the EHR said.
    ServerError(String),
    /// A success that is no Bundle; its content type.
    NotFhir(String),
    /// The page broke off.
    CutOff,
    /// The next link leads out of the FHIR base: the token does not go there.
    NextRefused(String),
    /// The next link leads to a page that was read already.
    NextLoop,
    /// No readable answer.
    Transport(TransportError),
}

impl ImportRun {
    /// A run that pulls what `ehr`'s patient authorized and files it under `source`.
    ///
    /// The tokens stay inside, each bound to its server.
    pub fn new(
        jhe: JheSession,
        ehr: LaunchContext,
        source: SourceId,
        pull: Pull,
        identity: Identity,
    ) -> Self {
        let base = ehr.issuer.base().clone();
        let (reading, pull_error) = match pull.search.first_page(&base, &ehr.patient) {
            Ok(url) => (Reading::Next(url), None),
            Err(_) => (
                Reading::Ended,
                Some(PullError {
                    page: 1,
                    reason: PullFailure::NextRefused(base.without_query()),
                }),
            ),
        };
        ImportRun {
            selection: Selection {
                resource_type: pull.search.resource_type,
                patient: ehr.patient.clone(),
                base,
            },
            jhe,
            ehr,
            source,
            pull,
            identity,
            reading,
            queue: VecDeque::new(),
            writing: Vec::new(),
            last_task: 0,
            lost_in_a_row: 0,
            visited: BTreeSet::new(),
            seen: BTreeSet::new(),
            tally: Tally::default(),
            pull_error,
            stop: None,
        }
    }

    /// What to do next.
    pub fn next_action(&mut self) -> Action {
        if self.stop.is_none() {
            if self.queue.len() <= READ_AHEAD
                && let Reading::Next(page) = &self.reading
            {
                let page = page.clone();
                self.visited.insert(page.as_str().to_owned());
                let task = self.new_task();
                let request = page_request(page.clone(), &self.ehr.access_token);
                self.reading = Reading::UnderWay(task, page);
                return Action::Perform(task, request);
            }
            if self.writing.len() < WRITES_AT_ONCE
                && let Some(record) = self.queue.pop_front()
            {
                let body = self.identity.outgoing(&record, self.ehr.issuer.as_str());
                let task = self.new_task();
                self.writing.push(task);
                let resource_type = self.pull.search.resource_type;
                let request = write_request(&self.jhe, resource_type, self.source, body);
                return Action::Perform(task, request);
            }
        }
        match (&self.reading, self.writing.is_empty()) {
            (Reading::UnderWay(..), _) | (_, false) => Action::AwaitFinish,
            _ => Action::Complete,
        }
    }

    /// Takes the outcome of a task. One that is not under way is not asked for any more and changes nothing.
    pub fn finish(&mut self, task: TaskId, answer: Answer) {
        if let Some(index) = self.writing.iter().position(|writing| *writing == task) {
            self.writing.swap_remove(index);
            return self.finish_write(&answer);
        }
        match core::mem::replace(&mut self.reading, Reading::Ended) {
            Reading::UnderWay(reading, page) if reading == task => {
                self.reading = match self.read(&page, answer) {
                    Ok(Some(next)) => Reading::Next(next),
                    Ok(None) => Reading::Ended,
                    Err(reason) => {
                        self.pull_error = Some(PullError {
                            page: self.tally.pages + 1,
                            reason,
                        });
                        Reading::Ended
                    }
                };
            }
            other => self.reading = other,
        }
    }

    /// What has happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The name of what is pulled, as in `Labs: 12 records`.
    pub fn label(&self) -> &'static str {
        self.pull.label
    }

    /// How it ended, or would end now.
    pub fn ending(&self) -> Ending {
        Ending {
            tally: Tally {
                unsent: self.tally.unsent + self.queue.len() as u32,
                ..self.tally.clone()
            },
            pull_error: self.pull_error.clone(),
            stop: self.stop,
        }
    }

    fn new_task(&mut self) -> TaskId {
        self.last_task += 1;
        TaskId(self.last_task)
    }

    /// Takes one page and gives the next.
    fn read(&mut self, page: &Url, answer: Answer) -> Result<Option<Url>, PullFailure> {
        let response = answer.map_err(|error| match error {
            TransportError::CutOff => PullFailure::CutOff,
            other => PullFailure::Transport(other),
        })?;
        if !response.is_success() {
            return Err(PullFailure::from_refusal(&response));
        }
        let found = SearchPage::from_response(&response, &self.selection)
            .ok_or_else(|| PullFailure::from_unreadable(&response))?;
        self.tally.pages += 1;
        self.tally.add_left_out(&found.left_out);
        for outcome in &found.outcomes {
            self.tally.add_notice(outcome.text());
        }
        for record in found.records {
            self.tally.found += 1;
            // A record may be listed twice; one without an id can't be recognised.
            let is_new = record.id().is_none_or(|id| self.seen.insert(id.to_owned()));
            match is_new {
                true => self.queue.push_back(record),
                false => self.tally.repeated += 1,
            }
        }
        let Some(link) = found.next else {
            return Ok(None);
        };
        let next = self.selection.base.confine(&link, page);
        let next = next.map_err(|_| PullFailure::NextRefused(loggable(&link, page)))?;
        match self.visited.contains(next.as_str()) {
            true => Err(PullFailure::NextLoop),
            false => Ok(Some(next)),
        }
    }

    fn finish_write(&mut self, answer: &Answer) {
        let written = Written::from_answer(answer);
        self.lost_in_a_row = match (&written, answer) {
            (Written::Unsettled(_), Err(_)) => self.lost_in_a_row + 1,
            _ => 0,
        };
        match written {
            Written::Stored => self.tally.stored += 1,
            Written::Refused(reason) => self.tally.add_refused(reason),
            Written::Unsettled(reason) => self.tally.add_unsettled(reason),
            Written::SessionExpired => {
                self.tally.unsent += 1;
                self.stop = Some(Stop::JheSessionExpired);
            }
        }
        if let Err(error) = answer
            && (self.lost_in_a_row >= LOST_IN_A_ROW || *error == TransportError::Offline)
        {
            self.stop = Some(Stop::JheUnreachable(*error));
        }
    }
}

/// Where a refused link leads, without its query.
fn loggable(link: &str, page: &Url) -> String {
    match page.join(link) {
        Ok(url) => url.without_query(),
        Err(_) => "no http URL".into(),
    }
}

impl PullFailure {
    /// Status first, body second: an EHR's 401 may have `""` as its body, its 404 a web page.
    fn from_refusal(response: &HttpResponse) -> Self {
        let outcome = OperationOutcome::from_response(response).map(|outcome| outcome.text());
        let status = crate::http::status_text(response.status);
        let said = match outcome {
            Some(text) if !text.is_empty() => [&status, ": ", &text].concat(),
            _ => response.describe(),
        };
        match response.status {
            401 => PullFailure::SignedOut,
            403 => PullFailure::Forbidden(said),
            500.. => PullFailure::ServerError(said),
            _ => PullFailure::Refused(said),
        }
    }

    fn from_unreadable(response: &HttpResponse) -> Self {
        let is_json = response.json().is_some();
        let claims_json = contains(&response.content_type, "json");
        match claims_json && !is_json && !response.body.is_empty() {
            true => PullFailure::CutOff,
            false => PullFailure::NotFhir(response.content_type.clone()),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The counts.
    pub tally: Tally,
    /// Why the pull ended early, if it did.
    pub pull_error: Option<PullError>,
    /// Why the writing ended early, if it did.
    pub stop: Option<Stop>,
}

/// What an ending amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was found is in JHE.
    Complete,
    /// Something is, something is not.
    Partly,
    /// Nothing arrived, and something went wrong.
    Failed,
}

impl Ending {
    /// The verdict: a count is never shown without its failures.
    pub fn verdict(&self) -> Verdict {
        let tally = &self.tally;
        let is_whole = self.pull_error.is_none()
            && self.stop.is_none()
            && tally.refused + tally.unsettled + tally.unsent == 0;
        match (is_whole, tally.stored + tally.unsettled + tally.refused) {
            (true, _) => Verdict::Complete,
            (false, 0) => Verdict::Failed,
            (false, _) => Verdict::Partly,
        }
    }
}

#[cfg(test)]
mod tests;
