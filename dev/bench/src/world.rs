//! What both servers share: the patient's chart, the files, and the run that is being measured.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::sync::{Notify, Semaphore};

use crate::chart::Chart;
use crate::files::Files;
use crate::soak::Trouble;

/// Where the two servers listen.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    pub(crate) jhe: String,
    pub(crate) ehr: String,
}

impl Origins {
    /// The hospital's FHIR base.
    pub(crate) fn fhir_base(&self) -> String {
        format!("{}{}", self.ehr, crate::ehr::FHIR_BASE)
    }
}

/// How the servers behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conduct {
    /// What every request waits before it is looked at, preflights and files included.
    pub(crate) latency: Duration,
    /// What JHE needs for a record, while it holds a worker.
    pub(crate) time_per_record: Duration,
    /// Requests that JHE serves at a time.
    pub(crate) workers: usize,
}

/// Both servers' state.
pub(crate) struct World {
    pub(crate) origins: Origins,
    pub(crate) files: Files,
    run: Mutex<Arc<Run>>,
}

impl World {
    pub(crate) fn new(origins: Origins, files: Files, run: Run) -> World {
        World {
            origins,
            files,
            run: Mutex::new(Arc::new(run)),
        }
    }

    /// The run that requests belong to.
    pub(crate) fn run(&self) -> Arc<Run> {
        Arc::clone(&lock(&self.run))
    }

    /// Begins another run.
    pub(crate) fn begin(&self, run: Run) -> Arc<Run> {
        let run = Arc::new(run);
        *lock(&self.run) = Arc::clone(&run);
        run
    }
}

/// One patient's way through the pages.
pub(crate) struct Run {
    pub(crate) chart: Arc<Chart>,
    pub(crate) conduct: Conduct,
    /// What goes wrong on the way; only in a soak does anything.
    pub(crate) trouble: Option<Trouble>,
    pub(crate) workers: Semaphore,
    arrived: Notify,
    ledger: Mutex<Ledger>,
}

/// What was asked for and written.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// How often each record was written.
    written: Vec<u32>,
    /// How often the answer to it was lost.
    lost: Vec<u32>,
    held: usize,
    /// Pages that were asked for.
    pub(crate) pages: u32,
    pub(crate) preflights: u32,
    pub(crate) writes: u32,
    /// Bodies of writes.
    pub(crate) bytes_written: usize,
    /// When the first page was asked for.
    pub(crate) first_page: Option<Instant>,
}

impl Run {
    pub(crate) fn new(chart: Arc<Chart>, conduct: Conduct) -> Run {
        let ledger = Ledger::of(chart.len());
        Run {
            workers: Semaphore::new(conduct.workers),
            arrived: Notify::new(),
            ledger: Mutex::new(ledger),
            chart,
            conduct,
            trouble: None,
        }
    }

    /// The same with things that go wrong.
    pub(crate) fn with_trouble(mut self, trouble: Trouble) -> Run {
        self.trouble = Some(trouble);
        self
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// The patient comes to the hospital's sign-in.
    pub(crate) fn arrive(&self) {
        self.arrived.notify_one();
    }

    /// Waits for that.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }
}

impl Ledger {
    /// About so many records.
    fn of(records: usize) -> Ledger {
        Ledger {
            written: vec![0; records],
            lost: vec![0; records],
            ..Ledger::default()
        }
    }

    pub(crate) fn write(&mut self, numbers: &[usize], bytes: usize) {
        self.writes += 1;
        self.bytes_written += bytes;
        for number in numbers {
            self.held += usize::from(self.written[*number] == 0);
            self.written[*number] += 1;
        }
    }

    /// The answer to a write of these was lost.
    pub(crate) fn lose(&mut self, numbers: &[usize]) {
        for number in numbers {
            self.lost[*number] += 1;
        }
    }

    /// How often each record was written.
    pub(crate) fn written(&self) -> &[u32] {
        &self.written
    }

    /// How often the answer to each was lost.
    pub(crate) fn lost(&self) -> &[u32] {
        &self.lost
    }

    /// Writes of records that had been written.
    pub(crate) fn written_again(&self) -> u32 {
        let again = self.written.iter().map(|count| count.saturating_sub(1));
        again.sum()
    }

    /// Records that were written at least once.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Fails unless every record was written exactly once.
    pub(crate) fn verify(&self) -> Result<()> {
        let held = self.held();
        ensure!(
            held == self.written.len(),
            "{held} of {} records were written",
            self.written.len()
        );
        let repeated = self.written.iter().filter(|count| **count > 1).count();
        ensure!(
            repeated == 0,
            "{repeated} records were written more than once"
        );
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_good_when_every_record_was_written_once() {
        let mut ledger = Ledger::of(3);
        ledger.write(&[2, 0], 10);
        ledger.write(&[1], 5);
        ledger.verify().expect("all of them");
        assert_eq!((ledger.writes, ledger.bytes_written), (2, 15));
    }

    #[test]
    fn a_record_that_is_written_twice_is_held_once() {
        let mut ledger = Ledger::of(3);
        ledger.write(&[2, 0], 1);
        ledger.lose(&[2, 0]);
        ledger.write(&[2], 1);
        assert_eq!((ledger.held(), ledger.written_again()), (2, 1));
        assert_eq!(ledger.written(), [1, 0, 2]);
        assert_eq!(ledger.lost(), [1, 0, 1]);
    }

    #[test]
    fn a_missing_and_a_repeated_record_are_told_apart() {
        let mut ledger = Ledger::of(2);
        ledger.write(&[0], 1);
        assert_eq!(
            ledger.verify().unwrap_err().to_string(),
            "1 of 2 records were written"
        );
        ledger.write(&[0, 1], 1);
        assert_eq!(
            ledger.verify().unwrap_err().to_string(),
            "1 records were written more than once"
        );
    }
}
