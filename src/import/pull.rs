//! One search of a run: where its reading stands, and what its pages counted.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::fhir::divide;
use crate::fhir::pager::{PageError, Pager};
use crate::fhir::resource::Selection;
use crate::fhir::search::Search;
use crate::import::accounts::Accounts;
use crate::import::advance::Total;
use crate::import::plan::{Plan, Row, allows_pull};
use crate::import::progress::Tally;
use crate::import::retry::Backoff;
use crate::import::{PullError, TaskId};
use crate::smart::context::{LaunchContext, PRACTICE};

/// How a search stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is not at its end.
    #[default]
    Open,
    /// All of it was read.
    Whole,
    /// It was refused, since it names too little; its parts are searched instead.
    Divided,
    /// The patient or the EHR did not grant its type.
    NotGranted,
    /// It has more pages than the plan allows.
    Limited,
    /// It ended early; the error's code.
    Failed(String),
}

impl Standing {
    /// A word for it, as it is stored.
    pub fn name(&self) -> &str {
        match self {
            Standing::Open => "open",
            Standing::Whole => "whole",
            Standing::Divided => "divided",
            Standing::NotGranted => "not_granted",
            Standing::Limited => "limited",
            Standing::Failed(code) => code,
        }
    }

    /// What has this word.
    pub fn named(name: String) -> Self {
        match name.as_str() {
            "open" => Standing::Open,
            "whole" => Standing::Whole,
            "divided" => Standing::Divided,
            "not_granted" => Standing::NotGranted,
            "limited" => Standing::Limited,
            _ => Standing::Failed(name),
        }
    }
}

/// A search of a plan, as far as it got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullPoint {
    /// The row of the plan.
    pub row: usize,
    /// Which part of the row's search, where that was divided.
    pub part: Option<usize>,
    /// How it stands.
    pub standing: Standing,
    /// The page where it goes on; `None` is the first one.
    pub page: Option<String>,
    /// The counts, of an unfinished one those of all pages before that page.
    pub tally: Tally,
}

#[derive(Debug)]
pub(super) enum Reading {
    /// The next page may be asked for.
    Ready,
    /// A page is under way.
    UnderWay(TaskId),
    /// A page failed, and is asked for again at this time.
    Waiting(u64),
    /// Nothing more is read.
    Ended,
}

/// One search.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) row: usize,
    pub(super) part: Option<usize>,
    pub(super) pager: Pager,
    pub(super) reading: Reading,
    pub(super) backoff: Backoff,
    pub(super) accounts: Accounts,
    /// Pages that were read in this run.
    pub(super) turns: u32,
    /// Was a new access token asked for since the last page that came?
    pub(super) is_renewed: bool,
    /// How many access tokens there had been when the page was asked for.
    pub(super) asked_with: u32,
    /// The last task before the EHR refused the access token for good.
    pub(super) refused_after: Option<TaskId>,
    /// Was it asked for once more after that?
    pub(super) is_forgiven: bool,
    /// Pages that were counted in an earlier pass through the search: so many from the first one on,
    counted_first: u32,
    /// and those from where the run began.
    counted: Range<u32>,
    /// The page up to which the last pass through the search came, if there was one.
    pub(super) restarted_at: Option<u32>,
    /// How often it was begun anew.
    pub(super) restarts: u32,
    /// How many entries there are.
    pub(super) total: Total,
    /// How it ended.
    pub(super) standing: Standing,
    pub(super) error: Option<PullError>,
}

impl Pull {
    /// The search of one row, or of a part of it, where `point` says; one that ended is not read again.
    pub(super) fn new(
        point: PullPoint,
        plan: &Plan,
        ehr: &LaunchContext,
        included: &Rc<[String]>,
        backoff: Backoff,
    ) -> Self {
        let PullPoint {
            row, part, tally, ..
        } = point;
        let page = point.page.as_deref();
        let pager = pager(
            plan,
            row,
            part,
            ehr,
            included,
            page.map(|it| (it, tally.pages)),
        );
        let is_granted = plan
            .rows
            .get(row)
            .is_some_and(|row| allows_pull(&ehr.scope, &row.resource_type));
        let standing = match point.standing {
            Standing::Open | Standing::NotGranted | Standing::Failed(_) => match is_granted {
                true => Standing::Open,
                false => Standing::NotGranted,
            },
            ended => ended,
        };
        Pull {
            row,
            part,
            reading: match standing {
                Standing::Open => Reading::Ready,
                _ => Reading::Ended,
            },
            backoff,
            accounts: Accounts::from(tally),
            turns: 0,
            is_renewed: false,
            asked_with: 0,
            refused_after: None,
            is_forgiven: false,
            counted_first: 0,
            counted: pager.pages()..pager.pages(),
            pager,
            restarted_at: None,
            restarts: 0,
            total: Total::Unsaid,
            standing,
            error: None,
        }
    }

    /// Where it goes on if the run is cut off now.
    pub(super) fn point(&self) -> PullPoint {
        let mut point = PullPoint {
            row: self.row,
            part: self.part,
            ..PullPoint::default()
        };
        let earliest = self.accounts.earliest();
        let (page, before) = match earliest {
            Some((page, before)) => (Some(page), before),
            None => (self.pager.address(), self.pager.pages()),
        };
        let is_failed = matches!(self.standing, Standing::Open | Standing::Failed(_));
        if earliest.is_none() && self.has_ended() && !is_failed {
            point.standing = self.standing.clone();
            point.tally = self.accounts.settled();
            return point;
        }
        // In a second pass through the search the counts of the first one are of no use until it has caught up.
        let is_behind = self.restarted_at.is_some_and(|pages| before < pages);
        if page.is_some() && !is_behind {
            point.page = page.map(String::from);
            point.tally = self.accounts.settled();
        }
        point
    }

    /// The same with all that was counted so far, to be shown.
    pub(super) fn sum(&self) -> PullPoint {
        PullPoint {
            row: self.row,
            part: self.part,
            standing: self.standing.clone(),
            page: None,
            tally: self.accounts.total(),
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.reading, Reading::UnderWay(_))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.reading, Reading::Ended)
    }

    /// Is the page behind so many others read for the first time in this run?
    pub(super) fn is_first_time(&mut self, before: u32) -> bool {
        if before < self.counted_first || self.counted.contains(&before) {
            return false;
        }
        match before == self.counted_first {
            true => self.counted_first += 1,
            false => self.counted.end = before + 1,
        }
        true
    }

    pub(super) fn end(&mut self, standing: Standing) {
        self.reading = Reading::Ended;
        self.standing = standing;
    }

    pub(super) fn fail(&mut self, reason: PageError) {
        self.end(Standing::Failed(reason.code().into()));
        let page = self.pager.pages() + 1;
        self.error = Some(PullError { page, reason });
    }
}

/// The pages of a row's search, or of a part of it, from `page` on, behind so many others.
pub(super) fn pager(
    plan: &Plan,
    row: usize,
    part: Option<usize>,
    ehr: &LaunchContext,
    included: &Rc<[String]>,
    page: Option<(&str, u32)>,
) -> Pager {
    let none = Row::default();
    let row = plan.rows.get(row).unwrap_or(&none);
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &row.parameters {
        parameters.push((name, value));
    }
    if let (Some(part), Some((name, values))) = (part, divide::parts(&row.resource_type)) {
        parameters.extend(values.get(part).map(|value| (name, *value)));
    }
    let practice = ehr.practice_reference();
    if let Some(practice) = &practice {
        parameters.push((PRACTICE, practice));
    }
    let search = Search {
        resource_type: &row.resource_type,
        parameters: &parameters,
    };
    let selection = Selection {
        included: Rc::clone(included),
        ..selection(ehr, &search)
    };
    match page {
        Some((page, before)) => Pager::resumed(selection, &search, page, before),
        None => Pager::new(selection, &search),
    }
}

/// What counts of a search for the patient who signed in.
pub(super) fn selection(ehr: &LaunchContext, search: &Search<'_>) -> Selection {
    Selection {
        resource_type: search.resource_type.into(),
        included: [].into(),
        patient: ehr.patient.clone(),
        base: ehr.issuer.base().clone(),
    }
}
