//! The import: from the EHR's pages into JHE, as a state machine that performs nothing itself.
//!
//! [`ImportRun::next_action`] says what to do, [`ImportRun::finish`] takes what came of it. Three things go on side by
//! side: pages are read, a bounded amount ahead of what is written; records are written, as many at once as JHE bears;
//! and where JHE does not recognise a record itself, its rows are read back, before the first write and after every
//! write of which the answer was lost.
//!
//! [`ImportRun::checkpoint`] says at any time where a run that is cut off here can go on.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::exchange::deployment::{Deployment, Unit};
use crate::exchange::inventory::{Held, Inventory, InventoryError};
use crate::exchange::jhe::JheSession;
use crate::exchange::source::{Source, SourceId};
use crate::exchange::write::{
    BATCH_OCTETS, BATCH_RECORDS, Outcome, Written, batch_request, write_request,
};
use crate::fhir::pager::{PageError, Pager};
use crate::fhir::resource::{Record, Selection};
use crate::fhir::search::Search;
use crate::http::{Answer, Conversation, HttpRequest, TransportError};
use crate::oauth::token::{TokenError, TokenResponse};
use crate::smart::context::LaunchContext;
use crate::texts::Texts;

mod accounts;
mod pace;
pub mod progress;
mod retry;

use accounts::Accounts;
use pace::Pace;
use progress::Tally;
use retry::Backoff;

/// The next page is asked for when no more records than this wait to be written,
const AHEAD_RECORDS: usize = 100;
/// and no more octets.
const AHEAD_OCTETS: usize = 1_000_000;
/// After so many lost answers in a row writing pauses until it is known what arrived.
const LOST_IN_A_ROW: u32 = 3;
/// After so many failures in a row batches are not tried any more: it takes nine to find one record that JHE fails at.
const FAILED_IN_A_ROW: u32 = 20;
/// So often JHE may fail at one record, which is then known not to have arrived.
const TRIES: u32 = 3;
/// After so many read-backs without any record stored between them the run ends.
const FRUITLESS_CHECKS: u32 = 2;
/// How long JHE may work on a request whose sender is gone, in milliseconds: its workers' time-out of 30 s, and a margin.
pub const QUIET_MS: u64 = 35_000;

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

/// What a run begins with.
#[derive(Debug)]
pub struct Start {
    /// The session at JHE.
    pub jhe: Rc<JheSession>,
    /// What the patient's sign-in gave.
    pub ehr: LaunchContext,
    /// The source that the records are filed under.
    pub source: Source,
    /// What is pulled and how it is written.
    pub deployment: &'static Deployment,
    /// Where an earlier run of this tab was cut off; the default is a run from the beginning.
    pub checkpoint: Checkpoint,
    /// When this browser began its last write to this JHE, as far as known: it may still be under way there.
    pub last_write: Option<u64>,
    /// How long that takes at most, in milliseconds: [`QUIET_MS`] where nobody configured another time.
    pub quiet_ms: u64,
    /// Any number but 0, for the jitter of waits.
    pub seed: u64,
}

/// Where a run goes on after a reload or a crash: at the earliest page of which a record was still on its way. No record
/// and no list of ids is part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The page's address; `None` is the first one.
    pub page: Option<String>,
    /// The counts of all pages before it, without reasons.
    pub tally: Tally,
    /// How many of the hospital's records JHE held before the run.
    pub held_before: Option<u32>,
}

/// One pull from one EHR into one source.
#[derive(Debug)]
pub struct ImportRun {
    jhe: Rc<JheSession>,
    ehr: LaunchContext,
    source: SourceId,
    sources: Vec<SourceId>,
    deployment: &'static Deployment,
    quiet_ms: u64,
    last_task: u32,

    pager: Pager,
    reading: Reading,
    read_backoff: Backoff,
    /// Was a new access token asked for since the last page that came?
    is_renewed: bool,
    /// Did the EHR refuse the access token since then?
    is_refused: bool,
    /// Pages that were counted in an earlier pass through the search: so many from the first one on,
    counted_first: u32,
    /// and those from where the run began.
    counted: Range<u32>,
    /// The page up to which the last pass through the search came, if there was one.
    restarted_at: Option<u32>,

    queue: VecDeque<Parcel>,
    queue_octets: usize,
    writing: Vec<Flight>,
    pace: Pace,
    write_backoff: Backoff,
    /// Nothing is written until this time.
    hold: u64,
    batch_records: usize,
    batch_octets: usize,
    failed_in_a_row: u32,
    seen: Texts,

    unsettled: Vec<Parcel>,
    check: Check,
    check_backoff: Backoff,
    is_checked: bool,
    /// Records stored since the last check.
    is_fruitful: bool,
    fruitless_checks: u32,
    held: Held,
    held_before: Option<u32>,
    /// Records that JHE holds of this run, stored before it was cut off and not counted yet.
    credit: u32,
    /// Records that were there before the run, as far as they were listed.
    there: u32,
    new_rows: Option<u32>,

    accounts: Accounts,
    renewals: u32,
    pull_error: Option<PullError>,
    stop: Option<Stop>,
}

/// A record on its way.
#[derive(Debug)]
struct Parcel {
    record: Record,
    page: u32,
    tries: u32,
    /// Why it is unsettled.
    reason: String,
}

/// A write under way.
#[derive(Debug)]
struct Flight {
    task: TaskId,
    parcels: Vec<Parcel>,
    octets: usize,
    sent_at: u64,
}

#[derive(Debug)]
enum Reading {
    /// The next page may be asked for.
    Ready,
    /// A page is under way.
    UnderWay(TaskId),
    /// A new access token is under way.
    Renewing(TaskId),
    /// A page failed, and is asked for again at this time.
    Waiting(u64),
    /// Nothing more is read.
    Ended,
}

/// Reading back what JHE holds.
#[derive(Debug)]
enum Check {
    /// There is no reason to.
    Idle,
    /// It begins at this time, with no write under way.
    Due(u64),
    /// It has begun.
    UnderWay(Box<Inventory>, Option<TaskId>),
}

/// Why a run ended before everything that was fetched was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// JHE does not accept the token any more.
    JheSessionExpired,
    /// JHE can't be reached any more.
    JheUnreachable(TransportError),
    /// JHE fails at everything; what it said.
    JheFailing(String),
    /// JHE does not say what it holds, so that a further write might be the second of its record.
    NotChecked(InventoryError),
}

/// Why a pull ended before its last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullError {
    /// The page that failed, counted from 1.
    pub page: u32,
    /// What went wrong.
    pub reason: PageError,
}

/// Whom a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The EHR, which did not give a page.
    Ehr(u64),
    /// JHE, which has too much to do.
    Jhe(u64),
    /// The time from which on it can be known what arrived.
    Quiet(u64),
}

/// The pages of a search for the patient who signed in, at the EHR that let them in.
pub fn pages(ehr: &LaunchContext, search: &Search<'_>) -> Pager {
    Pager::new(selection(ehr, search), search)
}

fn selection(ehr: &LaunchContext, search: &Search<'_>) -> Selection {
    Selection {
        resource_type: search.resource_type,
        patient: ehr.patient.clone(),
        base: ehr.issuer.base().clone(),
    }
}

impl ImportRun {
    /// A run at the time `now`, in milliseconds since the Unix epoch. The tokens stay inside, each bound to its server.
    pub fn new(start: Start, now: u64) -> Self {
        let Start {
            jhe,
            ehr,
            source,
            deployment,
            checkpoint,
            ..
        } = start;
        let search = &deployment.labs();
        let is_new = source.earlier.is_empty();
        let mut sources = alloc::vec![source.id];
        sources.extend(source.earlier.iter().filter(|id| **id != source.id));
        let read = checkpoint.tally.pages;
        let pager = match &checkpoint.page {
            Some(page) => Pager::resumed(selection(&ehr, search), search, page, read),
            None => pages(&ehr, search),
        };
        // Where no source of this hospital was, there is nothing to be read back, and nothing to be counted.
        let check = match (is_new, start.last_write) {
            (true, _) => Check::Idle,
            (false, None) => Check::Due(now),
            // Not later than now, whatever the device's clock said then.
            (false, Some(at)) => Check::Due(at.min(now).saturating_add(start.quiet_ms)),
        };
        let backoff = |salt| Backoff::new(start.seed ^ salt);
        ImportRun {
            source: source.id,
            sources,
            quiet_ms: start.quiet_ms,
            last_task: 0,
            counted_first: 0,
            counted: pager.pages()..pager.pages(),
            pager,
            reading: Reading::Ready,
            read_backoff: backoff(1 << 20),
            is_renewed: false,
            is_refused: false,
            restarted_at: None,
            queue: VecDeque::new(),
            queue_octets: 0,
            writing: Vec::new(),
            pace: Pace::new(&deployment.writing),
            write_backoff: backoff(1 << 40),
            hold: 0,
            batch_records: BATCH_RECORDS,
            batch_octets: BATCH_OCTETS,
            failed_in_a_row: 0,
            seen: Texts::default(),
            unsettled: Vec::new(),
            check,
            check_backoff: backoff(1 << 60),
            is_checked: is_new,
            is_fruitful: false,
            fruitless_checks: 0,
            held: Held::default(),
            held_before: match is_new {
                true => Some(0),
                false => checkpoint.held_before,
            },
            credit: 0,
            there: checkpoint.tally.already_there,
            new_rows: None,
            accounts: Accounts::from(checkpoint.tally),
            renewals: 0,
            pull_error: None,
            stop: None,
            jhe,
            ehr,
            deployment,
        }
    }

    /// What to do at the time `now`, in milliseconds since the Unix epoch.
    pub fn next_action(&mut self, now: u64) -> Action {
        let action = self.read(now).or_else(|| self.check(now));
        let action = action.or_else(|| self.write(now));
        // Once more: if JHE holds all that waited, there is room for a further page.
        match action.or_else(|| self.read(now)) {
            Some((task, request)) => Action::Perform(task, request),
            None => self.rest(now),
        }
    }

    /// Takes the outcome of a task. One that is not under way is not asked for any more and changes nothing.
    pub fn finish(&mut self, task: TaskId, answer: Answer, now: u64) {
        if let Some(index) = self.writing.iter().position(|flight| flight.task == task) {
            let flight = self.writing.swap_remove(index);
            return self.finish_write(flight, &answer, now);
        }
        if matches!(&self.check, Check::UnderWay(_, Some(check)) if *check == task) {
            return self.finish_check(answer, now);
        }
        match self.reading {
            Reading::UnderWay(reading) if reading == task => self.finish_read(answer, now),
            Reading::Renewing(renewal) if renewal == task => self.finish_renewal(answer, now),
            _ => {}
        }
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        self.accounts.total()
    }

    /// Whom the run waits for and until when, if nothing else goes on at the time `now`.
    pub fn wait(&self, now: u64) -> Option<Wait> {
        match (&self.reading, &self.check) {
            _ if !self.writing.is_empty() => None,
            (Reading::Waiting(until), _) if *until > now => Some(Wait::Ehr(*until)),
            _ if self.hold > now => Some(Wait::Jhe(self.hold)),
            // What was read back was no answer.
            (_, Check::Due(at)) if *at > now && self.check_backoff.is_under_way() => {
                Some(Wait::Jhe(*at))
            }
            (_, Check::Due(at)) if *at > now => Some(Wait::Quiet(*at)),
            _ => None,
        }
    }

    /// The name of what is pulled, as in `Labs: 12 records`.
    pub fn label(&self) -> &'static str {
        "Labs"
    }

    /// The access to the EHR, as it was renewed last.
    pub fn ehr(&self) -> &LaunchContext {
        &self.ehr
    }

    /// A number that is another one whenever the checkpoint or the access to the EHR changed.
    pub fn revision(&self) -> u32 {
        self.accounts.closed() + self.renewals + u32::from(self.is_checked)
    }

    /// Is a write under way of which a repetition would be a second row?
    pub fn is_writing_once(&self) -> bool {
        self.deployment.writing.unit == Unit::Record && !self.writing.is_empty()
    }

    /// Where the run goes on, if it is cut off now.
    pub fn checkpoint(&self) -> Checkpoint {
        let (page, before) = match self.accounts.earliest() {
            Some((page, before)) => (Some(page), before),
            None => (self.pager.address(), self.pager.pages()),
        };
        let mut checkpoint = Checkpoint {
            page: None,
            tally: Tally::default(),
            held_before: self.held_before,
        };
        // In a second pass through the search the counts of the first one are of no use until it has caught up.
        let is_behind = self.restarted_at.is_some_and(|pages| before < pages);
        if page.is_some() && !is_behind {
            checkpoint.page = page.map(String::from);
            checkpoint.tally = self.accounts.settled();
        }
        checkpoint
    }

    /// How it ended, or would end now.
    pub fn ending(&self) -> Ending {
        let mut tally = self.tally();
        tally.unsent += self.queue.len() as u32;
        for parcel in &self.unsettled {
            tally.add_unsettled(&parcel.reason);
        }
        Ending {
            tally,
            new_rows: self.new_rows,
            pull_error: self.pull_error.clone(),
            stop: self.stop.clone(),
        }
    }

    fn new_task(&mut self) -> TaskId {
        self.last_task += 1;
        TaskId(self.last_task)
    }

    /// What there is to wait for.
    fn rest(&mut self, now: u64) -> Action {
        let is_checking = matches!(self.check, Check::UnderWay(..));
        let is_reading = matches!(self.reading, Reading::UnderWay(_) | Reading::Renewing(_));
        let is_under_way = is_checking || is_reading || !self.writing.is_empty();
        if self.stop.is_some() {
            return match is_under_way {
                true => Action::AwaitFinish,
                false => Action::Complete,
            };
        }
        let mut times = Vec::new();
        if let Reading::Waiting(until) = self.reading {
            times.push(until);
        }
        if let Check::Due(at) = self.check {
            times.push(at);
        }
        if !self.queue.is_empty() {
            times.push(self.hold);
        }
        times.retain(|time| *time > now);
        match times.into_iter().min() {
            Some(time) => Action::AwaitTime(time),
            None if is_under_way => Action::AwaitFinish,
            None => Action::Complete,
        }
    }
}

/// Reading the EHR's pages.
impl ImportRun {
    fn read(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        match self.reading {
            Reading::Waiting(_) if self.stop.is_some() => self.reading = Reading::Ended,
            Reading::Waiting(until) if now >= until => self.reading = Reading::Ready,
            _ => {}
        }
        let is_wanted = self.stop.is_none()
            && self.queue.len() <= AHEAD_RECORDS
            && self.queue_octets <= AHEAD_OCTETS;
        if !is_wanted || !matches!(self.reading, Reading::Ready) {
            return None;
        }
        if !self.is_renewed
            && self.pager.address().is_some()
            && let Some(request) = self.ehr.renewal_request(now, self.is_refused)
        {
            return Some(self.renew(request));
        }
        match self.pager.next_request(&self.ehr.access_token) {
            Ok(Some(request)) => {
                let task = self.new_task();
                self.reading = Reading::UnderWay(task);
                return Some((task, request));
            }
            Ok(None) => self.reading = Reading::Ended,
            Err(reason) => self.end_reading(reason),
        }
        None
    }

    fn renew(&mut self, request: HttpRequest) -> (TaskId, HttpRequest) {
        // One renewal a page: what a fresh token does not help against, a further one does not either.
        self.is_renewed = true;
        let task = self.new_task();
        self.reading = Reading::Renewing(task);
        (task, request)
    }

    fn finish_renewal(&mut self, answer: Answer, now: u64) {
        // Without success the old token is used for as long as the EHR takes it.
        self.reading = Reading::Ready;
        let Ok(response) = answer else {
            return;
        };
        match TokenResponse::from_response(&response) {
            Ok(renewed) => self.ehr.renew(renewed, now),
            // RFC 6749 §5.2: an error that is no server's trouble is final.
            Err(TokenError::Refused(_)) if response.status < 500 => self.ehr.refresh_token = None,
            Err(_) => return,
        }
        self.renewals += 1;
    }

    fn finish_read(&mut self, answer: Answer, now: u64) {
        let (address, before) = (
            self.pager.address().unwrap_or_default().into(),
            self.pager.pages(),
        );
        self.reading = Reading::Ready;
        let found = match self.pager.receive(answer) {
            Ok(found) => found,
            Err(reason) => return self.fail_read(reason, now),
        };
        self.read_backoff.reset();
        self.is_renewed = false;
        self.is_refused = false;
        let mut tally = Tally::default();
        if self.is_first_time(before) {
            tally.pages = 1;
            tally.add_left_out(&found.left_out);
            for outcome in &found.outcomes {
                tally.add_notice(&outcome.text());
            }
        }
        let mut parcels = Vec::new();
        for record in found.records {
            match self.seen.insert(record.key()) {
                true => {
                    tally.found += 1;
                    parcels.push(record);
                }
                false if self.restarted_at.is_none() => {
                    tally.found += 1;
                    tally.repeated += 1;
                }
                // Seen in the pass before, and counted there.
                false => {}
            }
        }
        let page = self
            .accounts
            .open(address, before, parcels.len() as u32, tally);
        for record in parcels {
            self.queue_octets += record.text().len();
            self.queue.push_back(Parcel {
                record,
                page,
                tries: 0,
                reason: String::new(),
            });
        }
    }

    /// Is the page behind so many others read for the first time in this run?
    fn is_first_time(&mut self, before: u32) -> bool {
        if before < self.counted_first || self.counted.contains(&before) {
            return false;
        }
        match before == self.counted_first {
            true => self.counted_first += 1,
            false => self.counted.end = before + 1,
        }
        true
    }

    fn fail_read(&mut self, reason: PageError, now: u64) {
        let before = self.pager.pages();
        if reason == PageError::SignedOut && !self.is_renewed && self.ehr.refresh_token.is_some() {
            self.is_refused = true;
            return;
        }
        // A link that holds for a session only (Epic's do) is over: the search begins anew, as long as each pass comes
        // farther than the one before.
        if matches!(reason, PageError::Refused(_))
            && before > 0
            && self.restarted_at.is_none_or(|pages| before > pages)
        {
            return self.restart(before);
        }
        let wait = match reason.is_transient() {
            true => self.read_backoff.wait(self.pager.retry_after_ms()),
            false => None,
        };
        match wait {
            Some(wait) => self.reading = Reading::Waiting(now.saturating_add(wait)),
            None => self.end_reading(reason),
        }
    }

    fn restart(&mut self, pages_read: u32) {
        self.restarted_at = Some(pages_read);
        self.pager = pages(&self.ehr, &self.deployment.labs());
        // The pages before those of this run are read now: their counts are made anew, and what was stored of them is
        // found again among what JHE holds.
        let forgotten = self.accounts.forget_earlier();
        self.credit += forgotten.stored;
        self.there = self.there.saturating_sub(forgotten.already_there);
    }

    fn end_reading(&mut self, reason: PageError) {
        self.reading = Reading::Ended;
        let page = self.pager.pages() + 1;
        self.pull_error = Some(PullError { page, reason });
    }
}

/// Reading back what JHE holds.
impl ImportRun {
    fn check(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        if self.stop.is_some() {
            return None;
        }
        let is_over = matches!(self.reading, Reading::Ended)
            && self.queue.is_empty()
            && self.writing.is_empty()
            && self.unsettled.is_empty();
        let is_last = is_over && self.is_checked && self.is_counting() && self.is_fruitful;
        match self.check {
            Check::Idle if is_last => {}
            Check::Due(at) if now >= at && self.writing.is_empty() => {}
            Check::UnderWay(..) => {}
            _ => return None,
        }
        if !matches!(self.check, Check::UnderWay(..)) {
            let inventory = Inventory::new(
                Rc::clone(&self.jhe),
                self.deployment.writing.unit,
                self.deployment.labs().resource_type,
                self.ehr.issuer.as_str().into(),
                self.sources.clone(),
            );
            self.check = Check::UnderWay(Box::new(inventory), None);
        }
        let task = TaskId(self.last_task + 1);
        if let Check::UnderWay(inventory, under_way) = &mut self.check
            && let Some(request) = inventory.next_request()
        {
            self.last_task = task.0;
            *under_way = Some(task);
            return Some((task, request));
        }
        None
    }

    /// Does JHE recognise records itself, so that there is nothing but their number to be asked for?
    fn is_counting(&self) -> bool {
        self.deployment.writing.unit == Unit::Batch
    }

    fn finish_check(&mut self, answer: Answer, now: u64) {
        let Check::UnderWay(mut inventory, _) = core::mem::replace(&mut self.check, Check::Idle)
        else {
            return;
        };
        inventory.receive(answer);
        if !inventory.is_at_end() {
            self.check = Check::UnderWay(inventory, None);
            return;
        }
        match inventory.finish() {
            Ok(held) => {
                self.check_backoff.reset();
                self.take_stock(held);
            }
            Err(error) => self.fail_check(error, now),
        }
    }

    fn fail_check(&mut self, error: InventoryError, now: u64) {
        let wait = match error {
            InventoryError::Failing(_) | InventoryError::Transport(_) => {
                self.check_backoff.wait(None)
            }
            _ => None,
        };
        match (wait, error) {
            (Some(wait), _) => self.check = Check::Due(now.saturating_add(wait)),
            (None, InventoryError::SessionExpired) => self.stop = Some(Stop::JheSessionExpired),
            // Then nobody knows how many rows are new: that is all that is lost.
            (None, _) if self.is_counting() => {
                self.is_checked = true;
                self.is_fruitful = false;
            }
            (None, error) => self.stop = Some(Stop::NotChecked(error)),
        }
    }

    fn take_stock(&mut self, held: Held) {
        if !self.is_checked {
            self.is_checked = true;
            let stored = self.accounts.settled().stored;
            // Once something was written, what was there before can't be asked any more.
            if stored == 0 {
                self.held_before.get_or_insert(held.count());
            }
            let before = self.held_before.unwrap_or(held.count());
            let known = before + stored + self.credit;
            self.credit += held.count().saturating_sub(known);
            self.held = held;
        } else if self.is_counting() {
            let before = self.held_before;
            self.new_rows = before.map(|before| held.count().saturating_sub(before));
            self.is_fruitful = false;
        } else {
            self.held = held;
            self.settle();
        }
    }

    /// Every write of which the answer was lost is now known to have arrived, or not to.
    fn settle(&mut self) {
        let mut missing = Vec::new();
        for parcel in core::mem::take(&mut self.unsettled) {
            if self.held.has(&parcel.record, self.ehr.issuer.as_str()) {
                self.is_fruitful = true;
                self.accounts.close(parcel.page, &|tally| tally.stored += 1);
            } else if parcel.tries >= TRIES {
                self.refuse(parcel.page, &parcel.reason);
            } else {
                missing.push(parcel);
            }
        }
        self.fruitless_checks = match self.is_fruitful {
            true => 0,
            false => self.fruitless_checks + 1,
        };
        self.is_fruitful = false;
        self.failed_in_a_row = 0;
        if self.fruitless_checks >= FRUITLESS_CHECKS
            && let Some(parcel) = missing.first()
        {
            self.stop = Some(Stop::JheFailing(parcel.reason.clone()));
        }
        self.requeue(missing);
    }
}

/// Writing to JHE.
impl ImportRun {
    fn write(&mut self, now: u64) -> Option<(TaskId, HttpRequest)> {
        let is_check_near = match self.check {
            Check::Idle => false,
            Check::Due(at) => now >= at || !self.is_checked,
            Check::UnderWay(..) => true,
        };
        let is_paused = !self.is_counting() && (self.failed_in_a_row >= LOST_IN_A_ROW);
        if self.stop.is_some()
            || is_check_near
            || is_paused
            || now < self.hold
            || self.writing.len() >= self.pace.limit()
        {
            return None;
        }
        let (parcels, octets) = match self.is_counting() {
            true => self.next_batch()?,
            false => self.next_record()?,
        };
        let resource_type = self.deployment.labs().resource_type;
        let identity = self.deployment.identity;
        let request = match (self.is_counting(), parcels.first()) {
            (false, Some(parcel)) => {
                let body = identity.outgoing(&parcel.record, self.ehr.issuer.as_str());
                write_request(&self.jhe, resource_type, self.source, body)
            }
            _ => {
                let records = parcels.iter().map(|parcel| parcel.record.text());
                batch_request(&self.jhe, self.source, records, octets)
            }
        };
        let task = self.new_task();
        self.writing.push(Flight {
            task,
            parcels,
            octets,
            sent_at: now,
        });
        Some((task, request))
    }

    /// The next record that JHE does not hold.
    fn next_record(&mut self) -> Option<(Vec<Parcel>, usize)> {
        loop {
            let parcel = self.pop()?;
            if !self.held.has(&parcel.record, self.ehr.issuer.as_str()) {
                return Some((alloc::vec![parcel], 0));
            }
            let is_own = self.credit > 0;
            let is_earlier = !is_own && self.there < self.held_before.unwrap_or(u32::MAX);
            self.credit = self.credit.saturating_sub(1);
            self.there += u32::from(is_earlier);
            self.accounts
                .close(parcel.page, &|tally| match (is_own, is_earlier) {
                    // Stored by this run before it was cut off,
                    (true, _) => tally.stored += 1,
                    // or by an earlier one,
                    (_, true) => tally.already_there += 1,
                    // or listed again, and counted where it was listed first.
                    _ => tally.repeated += 1,
                });
        }
    }

    /// A full batch, or what there is if nothing more is to be expected soon.
    fn next_batch(&mut self) -> Option<(Vec<Parcel>, usize)> {
        let is_more_to_come = !matches!(self.reading, Reading::Ended | Reading::Waiting(_));
        let is_full =
            self.queue.len() >= self.batch_records || self.queue_octets >= self.batch_octets;
        if is_more_to_come && !is_full {
            return None;
        }
        let mut parcels = Vec::new();
        let mut octets = 0;
        while parcels.len() < self.batch_records
            && let Some(next) = self.queue.front()
            && (parcels.is_empty() || octets + next.record.text().len() <= self.batch_octets)
            && let Some(parcel) = self.pop()
        {
            octets += parcel.record.text().len();
            parcels.push(parcel);
        }
        (!parcels.is_empty()).then_some((parcels, octets))
    }

    fn pop(&mut self) -> Option<Parcel> {
        let parcel = self.queue.pop_front()?;
        self.queue_octets -= parcel.record.text().len();
        Some(parcel)
    }

    fn requeue(&mut self, parcels: Vec<Parcel>) {
        for parcel in parcels.into_iter().rev() {
            self.queue_octets += parcel.record.text().len();
            self.queue.push_front(parcel);
        }
    }

    fn finish_write(&mut self, flight: Flight, answer: &Answer, now: u64) {
        let Flight {
            parcels,
            octets,
            sent_at,
            ..
        } = flight;
        let count = parcels.len();
        match Outcome::of(answer, self.is_counting(), count) {
            Outcome::Each(written) => {
                self.pace.answered(now.saturating_sub(sent_at));
                self.write_backoff.reset();
                self.failed_in_a_row = 0;
                self.batch_records = (self.batch_records.max(count) * 2).min(BATCH_RECORDS);
                for (parcel, written) in parcels.into_iter().zip(written) {
                    self.note(parcel.page, &written);
                }
            }
            Outcome::SessionExpired => {
                self.requeue(parcels);
                self.stop = Some(Stop::JheSessionExpired);
            }
            Outcome::TooLarge(reason) if count == 1 => self.refuse_all(&parcels, &reason),
            Outcome::TooLarge(_) => {
                self.batch_octets = octets / 2;
                self.requeue(parcels);
            }
            // Sent before the wait began, it says nothing new.
            Outcome::Busy(..) if now < self.hold => self.requeue(parcels),
            Outcome::Busy(asked_ms, reason) => {
                self.pace.congested();
                self.requeue(parcels);
                match self.write_backoff.wait(asked_ms) {
                    Some(wait) => self.hold = now.saturating_add(wait),
                    None => self.stop = Some(Stop::JheFailing(reason)),
                }
            }
            Outcome::Unsettled(reason, error) => {
                self.pace.congested();
                self.failed_in_a_row += 1;
                match self.is_counting() {
                    true => self.repeat(parcels, reason, error, now),
                    false => self.unsettle(parcels, &reason, error, now),
                }
            }
        }
    }

    /// The answer to a batch was lost. JHE updates what it holds, so that the same records may be sent again: fewer at
    /// once, since a time-out may be the reason, and one of them may be what JHE fails at.
    fn repeat(
        &mut self,
        parcels: Vec<Parcel>,
        reason: String,
        error: Option<TransportError>,
        now: u64,
    ) {
        let count = parcels.len();
        let tries = parcels.first().map_or(0, |parcel| parcel.tries);
        let wait = match error {
            None if count > 1 => Some(0),
            _ => self.write_backoff.wait(None),
        };
        match (wait, error) {
            _ if self.failed_in_a_row >= FAILED_IN_A_ROW => {
                self.stop = Some(Stop::JheFailing(reason));
            }
            (_, None) if count == 1 && tries + 1 >= TRIES => {
                self.write_backoff.reset();
                return self.refuse_all(&parcels, &reason);
            }
            (Some(wait), _) => self.hold = now.saturating_add(wait),
            (None, Some(error)) => self.stop = Some(Stop::JheUnreachable(error)),
            (None, None) => self.stop = Some(Stop::JheFailing(reason)),
        }
        self.batch_records = (count / 2).max(1);
        let is_alone = count == 1;
        let again = parcels.into_iter().map(|parcel| Parcel {
            tries: parcel.tries + u32::from(is_alone),
            ..parcel
        });
        self.requeue(again.collect());
    }

    /// The answer to the write of one record was lost. It is not sent again before it is known that it did not arrive.
    fn unsettle(
        &mut self,
        parcels: Vec<Parcel>,
        reason: &str,
        error: Option<TransportError>,
        now: u64,
    ) {
        for parcel in parcels {
            self.unsettled.push(Parcel {
                record: parcel.record.alone(),
                // A network that fails says nothing against the record.
                tries: parcel.tries + u32::from(error.is_none()),
                reason: reason.into(),
                ..parcel
            });
        }
        if error == Some(TransportError::Offline) {
            self.failed_in_a_row = LOST_IN_A_ROW;
        }
        self.check = Check::Due(now.saturating_add(self.quiet_ms));
    }

    fn note(&mut self, page: u32, written: &Written) {
        if !matches!(written, Written::Refused(_)) {
            self.is_fruitful = true;
        }
        self.accounts.close(page, &|tally| match written {
            Written::Stored => tally.stored += 1,
            Written::Adjusted(change) => tally.add_adjusted(change),
            Written::Refused(reason) => tally.add_refused(reason),
        });
    }

    fn refuse(&mut self, page: u32, reason: &str) {
        self.note(page, &Written::Refused(reason.into()));
    }

    fn refuse_all(&mut self, parcels: &[Parcel], reason: &str) {
        for parcel in parcels {
            self.refuse(parcel.page, reason);
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The counts.
    pub tally: Tally,
    /// How many rows JHE has more than before, where it updates records and was asked.
    pub new_rows: Option<u32>,
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

/// What a patient can do for a run that ended early, in the same tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayOn {
    /// Nothing.
    None,
    /// Going on where it ended, once the trouble is over.
    TryAgain,
    /// Signing in at the hospital once more, and then going on.
    SignIn,
}

impl Ending {
    /// The verdict: a count is never shown without its failures.
    pub fn verdict(&self) -> Verdict {
        let tally = &self.tally;
        let is_whole = self.pull_error.is_none() && self.stop.is_none() && tally.not_saved() == 0;
        let arrived = tally.stored + tally.already_there + tally.unsettled + tally.refused;
        match (is_whole, arrived) {
            (true, _) => Verdict::Complete,
            (false, 0) => Verdict::Failed,
            (false, _) => Verdict::Partly,
        }
    }

    /// How the run can go on.
    pub fn way_on(&self) -> WayOn {
        let is_jhe_there = !matches!(self.stop, Some(Stop::JheSessionExpired));
        let pull = self.pull_error.as_ref().map(|error| &error.reason);
        match pull {
            _ if !is_jhe_there => WayOn::None,
            Some(PageError::SignedOut) => WayOn::SignIn,
            Some(reason) if reason.is_transient() => WayOn::TryAgain,
            _ if self.stop.is_some() => WayOn::TryAgain,
            _ => WayOn::None,
        }
    }
}

#[cfg(test)]
mod tests;
