//! The import: from the EHR's pages into JHE, as a state machine that performs nothing itself.
//!
//! [`ImportRun::next_action`] says what to do, [`ImportRun::finish`] takes what came of it. Reading runs ahead of
//! writing by a bounded amount, so that memory does not grow with the patient's history.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::exchange::deployment::Pull;
use crate::exchange::inventory::Held;
use crate::exchange::jhe::JheSession;
use crate::exchange::source::SourceId;
use crate::exchange::write::{Written, write_request};
use crate::fhir::identity::Identity;
use crate::fhir::pager::{PageError, Pager};
use crate::fhir::resource::{Record, Selection};
use crate::fhir::search::Search;
use crate::http::{Answer, HttpRequest, TransportError};
use crate::smart::context::LaunchContext;
use crate::texts::Texts;

pub mod progress;
mod retry;

use progress::Tally;
use retry::Backoff;

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
    /// Nothing to do until this time, in milliseconds since the Unix epoch, or until a task under way is finished.
    AwaitTime(u64),
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
    pager: Pager,
    reading: Reading,
    backoff: Backoff,
    queue: VecDeque<Record>,
    writing: Vec<TaskId>,
    last_task: u32,
    lost_in_a_row: u32,
    seen: Texts,
    held: Held,
    tally: Tally,
    pull_error: Option<PullError>,
    stop: Option<Stop>,
}

#[derive(Debug)]
enum Reading {
    /// The next page may be asked for.
    Ready,
    /// A page is under way.
    UnderWay(TaskId),
    /// A page failed, and is asked for again at this time.
    Waiting(u64),
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
    pub reason: PageError,
}

/// The pages of a search for the patient who signed in, at the EHR that let them in.
pub fn pages(ehr: &LaunchContext, search: &Search<'_>) -> Pager {
    let selection = Selection {
        resource_type: search.resource_type,
        patient: ehr.patient.clone(),
        base: ehr.issuer.base().clone(),
    };
    Pager::new(selection, search)
}

impl ImportRun {
    /// A run that pulls what `ehr`'s patient authorized and files it under `source`.
    ///
    /// What JHE `held` before is not sent again. `seed` is any number but 0, for the jitter of waits. The tokens stay
    /// inside, each bound to its server.
    pub fn new(
        jhe: JheSession,
        ehr: LaunchContext,
        source: SourceId,
        held: Held,
        pull: Pull,
        identity: Identity,
        seed: u64,
    ) -> Self {
        ImportRun {
            pager: pages(&ehr, &pull.search),
            jhe,
            ehr,
            source,
            pull,
            identity,
            reading: Reading::Ready,
            backoff: Backoff::new(seed),
            queue: VecDeque::new(),
            writing: Vec::new(),
            last_task: 0,
            lost_in_a_row: 0,
            seen: Texts::default(),
            held,
            tally: Tally::default(),
            pull_error: None,
            stop: None,
        }
    }

    /// What to do at the time `now`, in milliseconds since the Unix epoch.
    pub fn next_action(&mut self, now: u64) -> Action {
        match self.reading {
            Reading::Waiting(_) if self.stop.is_some() => self.reading = Reading::Ended,
            Reading::Waiting(until) if now >= until => self.reading = Reading::Ready,
            _ => {}
        }
        if self.stop.is_none() {
            if self.queue.len() <= READ_AHEAD && matches!(self.reading, Reading::Ready) {
                match self.pager.next_request(&self.ehr.access_token) {
                    Ok(Some(request)) => {
                        let task = self.new_task();
                        self.reading = Reading::UnderWay(task);
                        return Action::Perform(task, request);
                    }
                    Ok(None) => self.reading = Reading::Ended,
                    Err(reason) => self.end_reading(reason),
                }
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
            (Reading::Waiting(until), _) => Action::AwaitTime(*until),
            (Reading::UnderWay(_), _) | (_, false) => Action::AwaitFinish,
            _ => Action::Complete,
        }
    }

    /// Takes the outcome of a task. One that is not under way is not asked for any more and changes nothing.
    pub fn finish(&mut self, task: TaskId, answer: Answer, now: u64) {
        if let Some(index) = self.writing.iter().position(|writing| *writing == task) {
            self.writing.swap_remove(index);
            return self.finish_write(&answer);
        }
        if matches!(self.reading, Reading::UnderWay(reading) if reading == task) {
            self.reading = Reading::Ready;
            self.finish_read(answer, now);
        }
    }

    /// What has happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Until when the next page is waited for, if a page failed and is tried again.
    pub fn waits_until(&self) -> Option<u64> {
        match self.reading {
            Reading::Waiting(until) => Some(until),
            _ => None,
        }
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

    fn retry_or_end(&mut self, reason: PageError, now: u64) {
        let wait = match reason.is_transient() {
            true => self.backoff.wait(self.pager.retry_after_ms()),
            false => None,
        };
        match wait {
            Some(wait) => self.reading = Reading::Waiting(now.saturating_add(wait)),
            None => self.end_reading(reason),
        }
    }

    fn end_reading(&mut self, reason: PageError) {
        self.reading = Reading::Ended;
        let page = self.pager.pages() + 1;
        self.pull_error = Some(PullError { page, reason });
    }

    fn finish_read(&mut self, answer: Answer, now: u64) {
        let found = match self.pager.receive(answer) {
            Ok(found) => found,
            Err(reason) => return self.retry_or_end(reason, now),
        };
        self.backoff.reset();
        self.tally.pages = self.pager.pages();
        self.tally.add_left_out(&found.left_out);
        for outcome in &found.outcomes {
            self.tally.add_notice(outcome.text());
        }
        for record in found.records {
            self.tally.found += 1;
            // A record may be listed twice; one without an id can't be recognised.
            let is_new = record.id().is_none_or(|id| self.seen.insert(id));
            let is_held = record.id().is_some_and(|id| self.held.contains(id));
            match (is_new, is_held) {
                (false, _) => self.tally.repeated += 1,
                (true, true) => self.tally.already_there += 1,
                (true, false) => self.queue.push_back(record),
            }
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
        let arrived = tally.stored + tally.already_there + tally.unsettled + tally.refused;
        match (is_whole, arrived) {
            (true, _) => Verdict::Complete,
            (false, 0) => Verdict::Failed,
            (false, _) => Verdict::Partly,
        }
    }
}

#[cfg(test)]
mod tests;
