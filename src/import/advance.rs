//! How far a run is, for what moves on the screen: cheap enough to be asked for after every answer.

use super::*;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The rows of the plan that are searched, in its order.
    pub rows: Vec<RowProgress>,
    /// So many records are done with, of so many; it never goes back while it is known. `None` where nobody knows how
    /// many there are: a search is under way, and its server did not say, or said what can't be.
    pub whole: Option<(u32, u32)>,
}

/// How far one row of the plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowProgress {
    /// Its place in the [plan](ImportRun::plan).
    pub row: usize,
    /// How its search stands.
    pub state: RowState,
    /// Records found, each once.
    pub found: u32,
    /// Those among them that wait for nothing more: stored, there before, or refused; in a review all.
    pub done: u32,
    /// How many there are, as far as known.
    pub all: Option<u32>,
}

/// How the search of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowState {
    /// All of its pages were read.
    Read,
    /// The patient or the EHR did not grant its type.
    NotGranted,
    /// It has more pages than the plan allows.
    Limited,
    /// It ended early.
    Failed,
    /// Nothing was asked for yet.
    Waiting,
    /// Its pages are read.
    Reading,
}

impl RowState {
    fn of(pull: &Pull) -> Self {
        match &pull.standing {
            Standing::Whole | Standing::Divided => RowState::Read,
            Standing::NotGranted => RowState::NotGranted,
            Standing::Limited => RowState::Limited,
            Standing::Failed(_) => RowState::Failed,
            Standing::Open if pull.turns + pull.pager.pages() == 0 => RowState::Waiting,
            Standing::Open => RowState::Reading,
        }
    }
}

/// How many entries a server says that a search has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    /// It said nothing yet.
    Unsaid,
    Said(u32),
    /// It said two things, or the search was begun anew.
    Unknown,
}

impl Total {
    /// Takes what a page says.
    pub(super) fn hear(&mut self, said: Option<u32>) {
        *self = match (*self, said) {
            (Total::Unsaid, Some(said)) => Total::Said(said),
            (Total::Said(known), Some(said)) if known != said => Total::Unknown,
            (known, _) => known,
        }
    }
}

impl ImportRun {
    /// What is pulled.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let mut rows = Vec::new();
        for (place, row) in self.plan.rows.iter().enumerate() {
            if row.is_searched {
                rows.push(self.row_progress(place));
            }
        }
        Progress {
            rows,
            whole: self.whole,
        }
    }

    fn row_progress(&self, row: usize) -> RowProgress {
        let mut sum: Option<RowProgress> = None;
        // Of what was divided the parts are told.
        let is_told = |pull: &&Pull| pull.row == row && pull.standing != Standing::Divided;
        for pull in self.pulls.iter().filter(is_told) {
            let part = self.part_progress(pull);
            sum = Some(match sum {
                None => part,
                Some(sum) => RowProgress {
                    row,
                    state: match (sum.state, part.state) {
                        (one, other) if one == other => one,
                        // Where one was begun, not all can be waiting.
                        (RowState::Waiting, _) | (_, RowState::Waiting) => RowState::Reading,
                        (one, other) => one.max(other),
                    },
                    found: sum.found + part.found,
                    done: sum.done + part.done,
                    all: sum.all.zip(part.all).map(|(sum, part)| sum + part),
                },
            });
        }
        sum.unwrap_or(RowProgress {
            row,
            state: RowState::Waiting,
            found: 0,
            done: 0,
            all: None,
        })
    }

    /// Looks how much of the whole is done. What can't be foreseen, such as a server whose number turns out to be too
    /// small, would move the bar back: then there is none from there on.
    pub(super) fn measure(&mut self) {
        let mut whole = Some((0, 0));
        for pull in &self.pulls {
            let part = self.part_progress(pull);
            let sum = whole.zip(part.all);
            whole = sum.map(|((done, all), of)| (done + part.done, all + of));
        }
        if let (Some((before, of)), Some((done, all))) = (self.whole, whole) {
            let is_less = u64::from(done) * u64::from(of) < u64::from(before) * u64::from(all);
            self.is_unsteady |= done < before || is_less;
        }
        self.whole = whole.filter(|_| !self.is_unsteady);
    }

    fn part_progress(&self, pull: &Pull) -> RowProgress {
        let (mut found, mut done, mut repeated, mut strange) = (0, 0, 0, 0);
        pull.accounts.each(&mut |tally| {
            found += tally.found;
            done += tally.stored + tally.already_there + tally.refused;
            repeated += tally.repeated;
            strange += tally.of_other_subject + tally.malformed;
        });
        let own = found - repeated;
        // FHIR R4, Bundle.total: how many match, those of other pages included. Some servers count the page instead; then
        // there is a next page though nothing is left.
        let listed = found + strange;
        let has_next = pull.pager.address().is_some();
        let all = match pull.total {
            _ if pull.has_ended() => Some(own),
            Total::Said(total) if total > listed || (total == listed && !has_next) => {
                Some(total - strange - repeated)
            }
            _ => None,
        };
        RowProgress {
            row: pull.row,
            state: RowState::of(pull),
            found: own,
            done: match self.purpose() {
                Purpose::Copy => done,
                Purpose::Review => own,
            },
            all,
        }
    }
}
