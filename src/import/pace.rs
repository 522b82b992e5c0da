//! How many writes may be under way at once: as many as JHE answers without letting them queue.
//!
//! JHE's stock server has two workers for everybody, other deployments have many. Which it is shows in its answers: as
//! long as a further write makes none of them slower, it found a free worker. (The idea is that of TCP Vegas: Brakmo
//! and Peterson, 1995.)

use crate::exchange::deployment::Writing;

/// Writes between two looks at the limit, for each one that may be under way.
const LOOK: u32 = 4;
/// What a network's mood adds to an answer counts for nothing, in milliseconds.
const NOISE_MS: u64 = 10;
/// No write takes longer, in milliseconds.
const LONGEST_MS: u64 = 600_000;
/// Looks without a further try at more, after more was too much; twice as many each time.
const PATIENCE: u32 = 4;
const LONGEST_PATIENCE: u32 = 64;

#[derive(Debug)]
pub(super) struct Pace {
    limit: u32,
    ceiling: u32,
    answers: u32,
    total_ms: u64,
    /// The shortest mean time of an answer: that of a server that has nothing else to do.
    best_ms: Option<u64>,
    hold: u32,
    patience: u32,
}

impl Pace {
    pub(super) fn new(writing: &Writing) -> Self {
        Pace {
            limit: writing.start,
            ceiling: writing.ceiling,
            answers: 0,
            total_ms: 0,
            best_ms: None,
            hold: 0,
            patience: PATIENCE,
        }
    }

    /// So many writes may be under way now.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A write was answered after so many milliseconds.
    pub(super) fn answered(&mut self, took_ms: u64) {
        self.answers += 1;
        self.total_ms += took_ms.min(LONGEST_MS);
        if self.answers >= LOOK * self.limit {
            let mean_ms = self.total_ms / u64::from(self.answers);
            self.look(mean_ms);
            (self.answers, self.total_ms) = (0, 0);
        }
    }

    /// JHE said that it has too much to do, or failed under it.
    pub(super) fn congested(&mut self) {
        self.limit = (self.limit / 2).max(1);
        (self.answers, self.total_ms) = (0, 0);
        self.wait_longer();
    }

    fn look(&mut self, mean_ms: u64) {
        // Forgotten slowly, so that a server that became slower for good is not taken for a busy one.
        let best_ms = self
            .best_ms
            .map_or(mean_ms, |best| (best + best / 64 + 1).min(mean_ms));
        self.best_ms = Some(best_ms);
        let waited_ms = mean_ms.saturating_sub(best_ms + NOISE_MS);
        // Of the writes under way so many wait for a worker, in tenths.
        let queued = u64::from(self.limit) * 10 * waited_ms / mean_ms.max(1);
        self.hold = self.hold.saturating_sub(1);
        if queued >= 6 && self.limit > 1 {
            self.limit -= 1;
            self.wait_longer();
        } else if queued < 3 && self.hold == 0 && self.limit < self.ceiling {
            self.limit += 1;
        }
    }

    fn wait_longer(&mut self) {
        self.hold = self.patience;
        self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::deployment::MYCHART;

    /// The limits that a server of so many workers and milliseconds a write leads to.
    fn limits(workers: u64, write_ms: u64, latency_ms: u64) -> std::vec::Vec<usize> {
        let mut pace = Pace::new(&MYCHART.writing);
        let mut limits = std::vec::Vec::new();
        for _ in 0..2_000 {
            let queued = (pace.limit() as u64).saturating_sub(workers);
            pace.answered(latency_ms + write_ms + queued * write_ms / workers);
            limits.push(pace.limit());
        }
        limits
    }

    fn mean(limits: &[usize]) -> f64 {
        limits.iter().sum::<usize>() as f64 / limits.len() as f64
    }

    #[test]
    fn a_server_with_two_workers_is_not_made_to_queue() {
        let limits = limits(2, 60, 0);
        let mean = mean(&limits);
        assert!((1.9..2.3).contains(&mean), "{mean}");
        assert!(limits.iter().all(|limit| *limit <= 3));
    }

    #[test]
    fn a_server_with_many_workers_gets_all_that_a_browser_can_send() {
        let limits = limits(8, 60, 50);
        assert!(limits.iter().skip(60).all(|limit| *limit == 6));
    }

    #[test]
    fn a_server_with_one_worker_is_left_with_one_write() {
        assert!(mean(&limits(1, 60, 0)) < 1.3);
    }

    #[test]
    fn congestion_halves_the_limit_at_once() {
        let mut pace = Pace::new(&MYCHART.writing);
        for _ in 0..200 {
            pace.answered(20);
        }
        assert_eq!(pace.limit(), 6);
        pace.congested();
        assert_eq!(pace.limit(), 3);
        for _ in 0..9 {
            pace.congested();
        }
        assert_eq!(pace.limit(), 1);
    }

    proptest! {
        #[test]
        fn the_limit_stays_between_one_and_the_ceiling(answers in prop::collection::vec(any::<Option<u64>>(), 0..500)) {
            let mut pace = Pace::new(&MYCHART.writing);
            for answer in answers {
                match answer {
                    Some(took_ms) => pace.answered(took_ms),
                    None => pace.congested(),
                }
                prop_assert!((1..=6).contains(&pace.limit()));
            }
        }
    }
}
