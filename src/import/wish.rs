//! What the patient wants of a run: that it goes on, pauses, or ends here.

use super::*;

/// A patient who ends a run does not wait longer than this for the time from which on it can be known whether a write
/// arrived, in milliseconds.
const LAST_WAIT_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    GoOn,
    Pause,
    Stop,
}

impl ImportRun {
    /// Begins no further page, document or write until [`resume`](ImportRun::resume). What is under way is finished, and
    /// what JHE holds may be read back meanwhile, since that changes nothing there.
    pub fn pause(&mut self) {
        self.wish_for(Wish::Pause);
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) {
        self.wish_for(Wish::GoOn);
    }

    /// Does it pause?
    pub fn is_paused(&self) -> bool {
        self.wish == Wish::Pause
    }

    /// Ends the run as soon as what is under way is finished, for good: a later one goes on from the
    /// [checkpoint](ImportRun::checkpoint).
    pub fn stop_here(&mut self) {
        self.wish_for(Wish::Stop);
    }

    fn wish_for(&mut self, wish: Wish) {
        if self.wish != Wish::Stop {
            self.wish = wish;
        }
    }

    /// May JHE's rows be read back, now or when it is due? Once the patient ended the run, only to learn what came of
    /// writes without an answer, and only soon: what stays unsettled is found by the run that goes on.
    pub(super) fn may_check(&self, now: u64) -> bool {
        let is_soon =
            !matches!(self.check, Check::Due(at) if at > now.saturating_add(LAST_WAIT_MS));
        let is_wanted = self.wish != Wish::Stop || (is_soon && !self.unsettled.is_empty());
        self.stop.is_none() && is_wanted
    }
}
