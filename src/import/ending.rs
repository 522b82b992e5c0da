//! How a run ended, what that amounts to, and how it can go on.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fhir::pager::PageError;
use crate::import::plan::RowTally;
use crate::import::progress::Tally;
use crate::import::{PullError, PullPoint, Purpose, Standing, Stop};

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// What the run was for.
    pub purpose: Purpose,
    /// The counts of each row of the plan that is searched.
    pub rows: Vec<RowTally>,
    /// The counts of all together.
    pub tally: Tally,
    /// How each search ended, with its counts: what a reload tells again.
    pub points: Vec<PullPoint>,
    /// How many rows JHE has more than before, where it updates records and was asked.
    pub new_rows: Option<u32>,
    /// Why searches ended early, each with the label of its row.
    pub pull_errors: Vec<(String, PullError)>,
    /// Why the writing ended early, if it did.
    pub stop: Option<Stop>,
    /// Did the patient end it, with something left to do?
    pub stopped_by_patient: bool,
}

/// What an ending amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was found is in JHE; of a review, all was read.
    Complete,
    /// Something is, something is not; or the patient ended it, which is no failure.
    Partly,
    /// Nothing arrived, and something went wrong.
    Failed,
}

/// What a patient can do for a run that ended early, in the same tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayOn {
    /// Nothing.
    None,
    /// Going on where it ended, once the trouble is over, or the patient wants to.
    TryAgain,
    /// Signing in at the hospital once more, and then going on.
    SignIn,
}

impl Ending {
    /// The verdict: a count is never shown without its failures. What was not granted is no failure.
    pub fn verdict(&self) -> Verdict {
        let tally = &self.tally;
        let is_limited = |row: &RowTally| row.standing == Standing::Limited;
        let is_in_order = self.pull_errors.is_empty() && self.stop.is_none();
        let is_whole = is_in_order
            && !self.stopped_by_patient
            && tally.not_saved() == 0
            && !self.rows.iter().any(is_limited);
        let arrived = match self.purpose {
            Purpose::Copy => tally.stored + tally.already_there + tally.unsettled + tally.refused,
            Purpose::Review => tally.found,
        };
        match (is_whole, arrived) {
            (true, _) => Verdict::Complete,
            (false, 0) if !(is_in_order && self.stopped_by_patient) => Verdict::Failed,
            (false, _) => Verdict::Partly,
        }
    }

    /// The error that stands for all that ended searches early: one that something can be done about, or any if no
    /// search came to its end. Others are told with the counts of their rows.
    pub fn pull_error(&self) -> Option<&PullError> {
        let mut errors = self.pull_errors.iter().map(|(_, error)| error);
        let is_read = |row: &RowTally| matches!(row.standing, Standing::Whole | Standing::Limited);
        let is_pressing = |error: &&PullError| {
            error.reason == PageError::SignedOut || error.reason.is_transient()
        };
        let pressing = errors.clone().find(is_pressing);
        pressing.or_else(|| errors.next().filter(|_| !self.rows.iter().any(is_read)))
    }

    /// How the run can go on.
    pub fn way_on(&self) -> WayOn {
        let has = |is: &dyn Fn(&PageError) -> bool| {
            let mut errors = self.pull_errors.iter();
            errors.any(|(_, error)| is(&error.reason))
        };
        match () {
            () if matches!(self.stop, Some(Stop::JheSessionExpired)) => WayOn::None,
            () if has(&|reason| *reason == PageError::SignedOut) => WayOn::SignIn,
            () if has(&PageError::is_transient) || self.stop.is_some() => WayOn::TryAgain,
            () if self.stopped_by_patient => WayOn::TryAgain,
            () => WayOn::None,
        }
    }
}
