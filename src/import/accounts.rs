//! The counts of a run, kept so that a reload can go on at a page: what belongs to pages that are done with, and what to
//! pages of which a record is still on its way.

use alloc::collections::VecDeque;
use alloc::string::String;

use crate::import::progress::Tally;

/// One page of which something was read.
#[derive(Debug)]
struct OpenPage {
    key: u32,
    /// How many pages of the search come before it.
    before: u32,
    address: String,
    /// Records of which it is not known yet what became of them.
    left: u32,
    tally: Tally,
}

/// The pages of a run.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Of pages that were done with before the run was cut off.
    earlier: Tally,
    settled: Tally,
    /// In the order in which they were read.
    open: VecDeque<OpenPage>,
    last_key: u32,
    /// How often a page was closed.
    closed: u32,
}

impl Accounts {
    /// Accounts that go on from those of pages before.
    pub(super) fn from(earlier: Tally) -> Self {
        Accounts {
            earlier,
            ..Accounts::default()
        }
    }

    /// Notes that the page at `address` was read, with `left` records to see to; what it counted is in `tally`.
    pub(super) fn open(&mut self, address: String, before: u32, left: u32, tally: Tally) -> u32 {
        self.last_key += 1;
        self.open.push_back(OpenPage {
            key: self.last_key,
            before,
            address,
            left,
            tally,
        });
        self.close_what_is_done();
        self.last_key
    }

    /// One record of a page is done with; `count` counts it.
    pub(super) fn close(&mut self, page: u32, count: &dyn Fn(&mut Tally)) {
        self.note(page, count);
        if let Some(open) = self.open.iter_mut().find(|open| open.key == page) {
            open.left = open.left.saturating_sub(1);
        }
        self.close_what_is_done();
    }

    /// Counts something of a page.
    pub(super) fn note(&mut self, page: u32, count: &dyn Fn(&mut Tally)) {
        match self.open.iter_mut().find(|open| open.key == page) {
            Some(open) => count(&mut open.tally),
            None => count(&mut self.settled),
        }
    }

    /// The earliest page of which a record is on its way: its address, and how many pages come before it.
    pub(super) fn earliest(&self) -> Option<(&str, u32)> {
        let page = self.open.front()?;
        Some((&page.address, page.before))
    }

    /// The counts of all pages before the earliest one that is open.
    pub(super) fn settled(&self) -> Tally {
        let mut settled = self.earlier.clone();
        settled.add(&self.settled);
        settled
    }

    /// The counts of all pages.
    pub(super) fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.each(&mut |tally| total.add(tally));
        total
    }

    /// Shows all counts to `see`, piece by piece.
    pub(super) fn each(&self, see: &mut dyn FnMut(&Tally)) {
        see(&self.earlier);
        see(&self.settled);
        for open in &self.open {
            see(&open.tally);
        }
    }

    /// Forgets the counts of pages that were done with before the run was cut off, and gives them.
    pub(super) fn forget_earlier(&mut self) -> Tally {
        core::mem::take(&mut self.earlier)
    }

    /// How often a page was closed.
    pub(super) fn closed(&self) -> u32 {
        self.closed
    }

    fn close_what_is_done(&mut self) {
        while self.open.front().is_some_and(|page| page.left == 0)
            && let Some(page) = self.open.pop_front()
        {
            self.settled.add(&page.tally);
            self.closed += 1;
        }
    }
}
