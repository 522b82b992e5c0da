//! The import: from the EHR's pages into JHE, as a state machine that performs nothing itself.
//!
//! [`ImportRun::next_action`] says what to do, [`ImportRun::finish`] takes what came of it. Three things go on side by
//! side: pages of the plan's searches are read, and the documents that their records refer to, a bounded amount ahead
//! of what is written; records are written, as many at once as JHE bears; and where JHE does not recognise a record
//! itself, its rows are read back, before the first write and after every write of which the answer was lost.
//!
//! Each search stands for itself: one that fails, or was not granted, ends no other.
//!
//! The patient may let it [pause](ImportRun::pause) or [end it](ImportRun::stop_here): nothing new is begun then, and what
//! is under way is finished.
//!
//! [`ImportRun::checkpoint`] says at any time where a run that is cut off here can go on.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::{Deployment, Unit};
use crate::exchange::inventory::{Held, Inventory, InventoryError};
use crate::exchange::jhe::JheSession;
use crate::exchange::source::{Source, SourceId};
use crate::exchange::write::{
    BATCH_OCTETS, BATCH_RECORDS, Outcome, Written, batch_request, write_request,
};
use crate::fhir::attachment::{Attachment, Insertion, Kept, attachments, with_insertions};
use crate::fhir::divide;
use crate::fhir::pager::{PageError, Pager};
use crate::fhir::resource::Record;
use crate::fhir::search::{PATIENT, Search};
use crate::http::{Answer, Conversation, HttpRequest, TransportError, status_text};
use crate::oauth::token::{TokenError, TokenResponse};
use crate::smart::context::{LaunchContext, PRACTICE};
use crate::texts::Texts;

mod accounts;
mod advance;
mod checking;
mod documents;
mod ending;
pub mod findings;
mod pace;
pub mod plan;
pub mod progress;
mod pull;
mod reading;
mod retry;
mod wish;
mod writing;

pub use advance::{Progress, RowProgress, RowState};
pub use ending::{Ending, Verdict, WayOn};
pub use pull::{PullPoint, Standing};

use documents::Errand;
use findings::Findings;
use pace::Pace;
use plan::{Plan, RowTally};
use progress::Tally;
use pull::{Pull, Reading};
use retry::Backoff;
use wish::Wish;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct TaskId(u32);

/// What the performer of an import does next.
#[derive(Debug)]
pub enum Action {
    /// Send this and hand the answer to [`ImportRun::finish`], then ask again; do not wait for it before asking for
    /// further actions.
    Perform(TaskId, HttpRequest),
    /// Nothing to do until a task under way is finished; while the run is paused, until the patient lets it go on.
    AwaitFinish,
    /// Nothing to do until this time, in milliseconds since the Unix epoch, or until a task under way is finished.
    AwaitTime(u64),
    /// Nothing is left, nothing is under way. Not while the run is paused.
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
    /// How it is written.
    pub deployment: &'static Deployment,
    /// What is pulled.
    pub plan: Plan,
    /// Where an earlier run of this tab was cut off; the default is a run from the beginning.
    pub checkpoint: Checkpoint,
    /// When this browser began its last write to this JHE, as far as known: it may still be under way there.
    pub last_write: Option<u64>,
    /// How long that takes at most, in milliseconds: [`QUIET_MS`] where nobody configured another time.
    pub quiet_ms: u64,
    /// Any number but 0, for the jitter of waits.
    pub seed: u64,
}

/// What a review begins with: a run that only reads.
#[derive(Debug)]
pub struct Review {
    /// What the patient's sign-in gave.
    pub ehr: LaunchContext,
    /// The client whose plan it is.
    pub deployment: &'static Deployment,
    /// What is pulled.
    pub plan: Plan,
    /// Where an earlier review of this tab was cut off; that of a copy is none.
    pub checkpoint: Checkpoint,
    /// Any number but 0, for the jitter of waits.
    pub seed: u64,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Records are copied into JHE.
    #[default]
    Copy,
    /// They are counted: each is found, repeated or left out, and nothing else.
    Review,
}

/// Where records are written.
#[derive(Debug)]
struct Target {
    jhe: Rc<JheSession>,
    source: SourceId,
    /// It, and those that the hospital's records were filed under before.
    sources: Vec<SourceId>,
}

/// Where a run goes on after a reload or a crash: each search at the earliest page of which a record was still on its way.
/// No record and no list of ids is part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The searches; none where nothing was begun.
    pub pulls: Vec<PullPoint>,
    /// What tells the plan that they belong to from another one.
    pub plan: u64,
    /// How many of the hospital's records JHE held before the run.
    pub held_before: Option<u32>,
}

impl Checkpoint {
    /// The counts of all searches.
    pub fn tally(&self) -> Tally {
        Tally::sum(&mut self.pulls.iter().map(|pull| &pull.tally))
    }
}

/// What a plan pulls from one EHR into one source.
#[derive(Debug)]
pub struct ImportRun {
    /// Where it writes; a review has none.
    target: Option<Target>,
    ehr: LaunchContext,
    deployment: &'static Deployment,
    plan: Plan,
    /// What tells the plan from another one.
    mark: u64,
    /// The types of which resources count that a search includes.
    included: Rc<[String]>,
    quiet_ms: u64,
    seed: u64,
    last_task: u32,

    pulls: Vec<Pull>,
    /// A new access token is under way.
    renewing: Option<TaskId>,
    /// Did the EHR refuse the access token?
    is_refused: bool,
    /// Did it so for good?
    is_signed_out: bool,
    errands: VecDeque<Errand>,
    fetching: Vec<(TaskId, Errand)>,
    errands_backoff: Backoff,
    /// No document is fetched until this time.
    errands_hold: u64,

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
    findings: Findings,

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

    renewals: u32,
    stop: Option<Stop>,
    /// What the patient wants of it.
    wish: Wish,
    /// So many records are done with, of so many.
    whole: Option<(u32, u32)>,
    /// Did that go back?
    is_unsteady: bool,
}

/// A record on its way.
#[derive(Debug)]
struct Parcel {
    record: Record,
    /// The search that brought it,
    pull: usize,
    /// and the page.
    page: u32,
    tries: u32,
    /// Why it is unsettled.
    reason: String,
    /// Is it in the queue again although it may have arrived? Only where JHE recognises it.
    is_lost: bool,
}

/// A write under way.
#[derive(Debug)]
struct Flight {
    task: TaskId,
    parcels: Vec<Parcel>,
    octets: usize,
    sent_at: u64,
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
    Pager::new(pull::selection(ehr, search), search)
}

impl ImportRun {
    /// A run at the time `now`, in milliseconds since the Unix epoch. The tokens stay inside, each bound to its server.
    pub fn new(start: Start, now: u64) -> Self {
        let is_new = start.source.earlier.is_empty();
        let earlier = start.checkpoint.tally();
        let held_before = start.checkpoint.held_before;
        let mut sources = alloc::vec![start.source.id];
        let earlier_ids = start.source.earlier.into_iter();
        sources.extend(earlier_ids.filter(|id| *id != start.source.id));
        let target = Target {
            jhe: start.jhe,
            source: start.source.id,
            sources,
        };
        let review = Review {
            ehr: start.ehr,
            deployment: start.deployment,
            plan: start.plan,
            checkpoint: start.checkpoint,
            seed: start.seed,
        };
        let mut run = ImportRun::begin(review, Some(target));
        run.quiet_ms = start.quiet_ms;
        // Where no source of this hospital was, there is nothing to be read back, and nothing to be counted.
        run.is_checked = is_new;
        if !is_new {
            run.held_before = held_before;
            run.check = Check::Due(match start.last_write {
                None => now,
                // Not later than now, whatever the device's clock said then.
                Some(at) => at.min(now).saturating_add(start.quiet_ms),
            });
        }
        // What was stored before the run was cut off is not counted yet.
        run.is_fruitful = run.is_counting() && earlier.stored > 0;
        run.there = earlier.already_there;
        run
    }

    /// A run that reads all and writes nothing, so that the patient can see what there is before any of it leaves the
    /// hospital for the study. It asks nothing of JHE.
    pub fn review(review: Review) -> Self {
        ImportRun::begin(review, None)
    }

    fn begin(review: Review, target: Option<Target>) -> Self {
        let Review {
            ehr,
            deployment,
            plan,
            checkpoint,
            seed,
        } = review;
        let backoff = |salt: u64| Backoff::new(seed ^ salt);
        let mut included = Vec::new();
        for resource_type in plan.types() {
            included.push(String::from(resource_type));
        }
        // What a review noted is of no use to a copy, which has to read the same pages again.
        let mark = plan.mark() ^ u64::from(target.is_none());
        let points = match checkpoint.plan == mark && !checkpoint.pulls.is_empty() {
            true => checkpoint.pulls,
            false => plan.points(),
        };
        let mut run = ImportRun {
            target,
            quiet_ms: QUIET_MS,
            seed,
            last_task: 0,
            pulls: Vec::new(),
            renewing: None,
            is_refused: false,
            is_signed_out: false,
            errands: VecDeque::new(),
            fetching: Vec::new(),
            errands_backoff: backoff(1 << 30),
            errands_hold: 0,
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
            findings: Findings::of(&plan),
            unsettled: Vec::new(),
            check: Check::Idle,
            check_backoff: backoff(1 << 60),
            is_checked: true,
            is_fruitful: false,
            fruitless_checks: 0,
            held: Held::default(),
            held_before: Some(0),
            credit: 0,
            there: 0,
            new_rows: None,
            renewals: 0,
            stop: None,
            wish: Wish::GoOn,
            whole: None,
            is_unsteady: false,
            ehr,
            deployment,
            plan,
            mark,
            included: included.into(),
        };
        for point in points {
            run.add_pull(point);
        }
        run.measure();
        run
    }

    /// What to do at the time `now`, in milliseconds since the Unix epoch.
    pub fn next_action(&mut self, now: u64) -> Action {
        let action = self.read(now).or_else(|| self.check(now));
        let action = action.or_else(|| self.write(now));
        // Once more: if JHE holds all that waited, there is room for a further page.
        let action = action.or_else(|| self.read(now));
        self.measure();
        match action {
            Some((task, request)) => Action::Perform(task, request),
            None => self.rest(now),
        }
    }

    /// Takes the outcome of a task. One that is not under way is not asked for any more and changes nothing.
    pub fn finish(&mut self, task: TaskId, answer: Answer, now: u64) {
        self.take(task, answer, now);
        self.measure();
    }

    fn take(&mut self, task: TaskId, answer: Answer, now: u64) {
        if let Some(index) = self.writing.iter().position(|flight| flight.task == task) {
            let flight = self.writing.swap_remove(index);
            return self.finish_write(flight, &answer, now);
        }
        if matches!(&self.check, Check::UnderWay(_, Some(check)) if *check == task) {
            return self.finish_check(answer, now);
        }
        if let Some(index) = self.fetching.iter().position(|(fetch, _)| *fetch == task) {
            let (_, errand) = self.fetching.swap_remove(index);
            return self.finish_fetch(errand, answer, now);
        }
        if self.renewing == Some(task) {
            return self.finish_renewal(answer, now);
        }
        let mut pulls = self.pulls.iter();
        let is_its =
            |pull: &Pull| matches!(pull.reading, Reading::UnderWay(reading) if reading == task);
        if let Some(index) = pulls.position(is_its) {
            self.finish_read(index, task, answer, now);
        }
    }

    /// What has happened so far, for each row of the plan.
    pub fn rows(&self) -> Vec<RowTally> {
        let sums: Vec<PullPoint> = self.pulls.iter().map(Pull::sum).collect();
        self.plan.sums(&sums)
    }

    /// Whom the run waits for and until when, if nothing else goes on at the time `now`; nobody where the patient let it
    /// pause or end.
    pub fn wait(&self, now: u64) -> Option<Wait> {
        if !self.writing.is_empty() || self.under_way() > 0 || self.wish != Wish::GoOn {
            return None;
        }
        if let Some(until) = self.ehr_time(now) {
            return Some(Wait::Ehr(until));
        }
        match &self.check {
            _ if self.hold > now => Some(Wait::Jhe(self.hold)),
            // What was read back was no answer.
            Check::Due(at) if *at > now && self.check_backoff.is_under_way() => {
                Some(Wait::Jhe(*at))
            }
            Check::Due(at) if *at > now => Some(Wait::Quiet(*at)),
            _ => None,
        }
    }

    /// When the EHR is asked again, if that is later than `now`.
    fn ehr_time(&self, now: u64) -> Option<u64> {
        let pulls = self.pulls.iter().filter_map(|pull| match pull.reading {
            Reading::Waiting(until) => Some(until),
            _ => None,
        });
        let has_errands = !self.errands.is_empty() && !self.is_signed_out;
        let times = pulls.chain(has_errands.then_some(self.errands_hold));
        times.filter(|time| *time > now).min()
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        match self.target {
            Some(_) => Purpose::Copy,
            None => Purpose::Review,
        }
    }

    /// The access to the EHR, for the run that comes next.
    pub fn into_ehr(self) -> LaunchContext {
        self.ehr
    }

    /// The access to the EHR, as it was renewed last.
    pub fn ehr(&self) -> &LaunchContext {
        &self.ehr
    }

    /// A number that is another one whenever the checkpoint or the access to the EHR changed.
    pub fn revision(&self) -> u32 {
        self.closed() + self.renewals + u32::from(self.is_checked)
    }

    /// Is a write under way of which a repetition would be a second row?
    pub fn is_writing_once(&self) -> bool {
        self.deployment.writing.unit == Unit::Record && !self.writing.is_empty()
    }

    /// Where the run goes on, if it is cut off now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            pulls: self.points_by(Pull::point),
            plan: self.mark,
            held_before: self.held_before,
        }
    }

    fn points_by(&self, point: fn(&Pull) -> PullPoint) -> Vec<PullPoint> {
        let mut points = Vec::new();
        for pull in &self.pulls {
            points.push(point(pull));
        }
        points
    }

    /// How it ended, or would end now.
    pub fn ending(&self) -> Ending {
        let mut sums = self.points_by(Pull::sum);
        let mut on_the_way = |parcel: &Parcel, count: &dyn Fn(&mut Tally)| {
            if let Some(sum) = sums.get_mut(parcel.pull) {
                count(&mut sum.tally);
            }
        };
        for parcel in &self.queue {
            on_the_way(
                parcel,
                &|tally| match parcel.is_lost && self.wish == Wish::Stop {
                    true => tally.unsettled += 1,
                    false => tally.unsent += 1,
                },
            );
        }
        for errand in &self.errands {
            on_the_way(&errand.parcel, &|tally| tally.unsent += 1);
        }
        for parcel in &self.unsettled {
            on_the_way(parcel, &|tally| tally.add_unsettled(&parcel.reason));
        }
        let rows = self.plan.sums(&sums);
        let tally = Tally::sum(&mut rows.iter().map(|row| &row.tally));
        let is_open = |point: &PullPoint| point.standing == Standing::Open;
        let is_left = sums.iter().any(is_open) || tally.unsettled + tally.unsent > 0;
        let mut pull_errors = Vec::new();
        for pull in &self.pulls {
            if let (Some(row), Some(error)) = (self.plan.rows.get(pull.row), &pull.error) {
                pull_errors.push((row.label.clone(), error.clone()));
            }
        }
        Ending {
            purpose: self.purpose(),
            rows,
            tally,
            new_rows: self.new_rows,
            pull_errors,
            stop: self.stop.clone(),
            stopped_by_patient: self.wish == Wish::Stop && is_left,
            points: sums,
        }
    }

    /// What was found, for a chart.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The same, for who is the last to ask.
    pub fn take_findings(&mut self) -> Findings {
        core::mem::take(&mut self.findings)
    }

    fn closed(&self) -> u32 {
        self.pulls.iter().map(|pull| pull.accounts.closed()).sum()
    }

    fn new_task(&mut self) -> TaskId {
        self.last_task += 1;
        TaskId(self.last_task)
    }

    /// What there is to wait for.
    fn rest(&mut self, now: u64) -> Action {
        let is_checking = matches!(self.check, Check::UnderWay(_, Some(_)));
        let is_asking = self.under_way() > 0 || self.renewing.is_some();
        let is_under_way = is_checking || is_asking || !self.writing.is_empty();
        let mut first: Option<u64> = None;
        let mut await_time = |time: u64| {
            if time > now && first.is_none_or(|first| time < first) {
                first = Some(time);
            }
        };
        if let Check::Due(at) = self.check
            && self.may_check(now)
        {
            await_time(at);
        }
        if self.stop.is_none() && self.wish == Wish::GoOn {
            await_time(self.ehr_time(now).unwrap_or(now));
            if !self.queue.is_empty() {
                await_time(self.hold);
            }
        }
        match first {
            Some(time) => Action::AwaitTime(time),
            None if is_under_way || self.wish == Wish::Pause => Action::AwaitFinish,
            None => Action::Complete,
        }
    }
}

#[cfg(test)]
mod tests;
