//! What is measured: jobs with their parameters, and what is aimed at.

use std::time::Duration;

use crate::side::Side;
use crate::soak::Soak;
use crate::task::Task;
use crate::world::Conduct;

/// Something to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) work: Work,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Import(Import),
    Soak(Import, Soak),
    Startup,
    Size,
}

/// An import from the hospital's sign-in to the last record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Import {
    pub(crate) records: usize,
    pub(crate) task: Task,
    pub(crate) latency_ms: u64,
    pub(crate) record_ms: u64,
    pub(crate) workers: usize,
    pub(crate) sides: &'static [Side],
    /// How often, unless it is said otherwise.
    pub(crate) runs: usize,
}

impl Import {
    pub(crate) fn conduct(self) -> Conduct {
        Conduct {
            latency: Duration::from_millis(self.latency_ms),
            time_per_record: Duration::from_millis(self.record_ms),
            workers: self.workers,
        }
    }

    /// How often the heap is looked at. A look takes time of the renderer; in the long jobs that mostly wait, it would be
    /// most of what the renderer does.
    pub(crate) fn glance(self) -> Duration {
        Duration::from_millis(match (self.task, self.record_ms) {
            (Task::LabsSingly, _) => 500,
            (_, 0) => 25,
            _ => 100,
        })
    }
}

const ALL: &[Side] = &[Side::Ours, Side::Peer, Side::PurePeer, Side::Floor];
const WITHOUT_FLOOR: &[Side] = &[Side::Ours, Side::Peer, Side::PurePeer];
/// JHE with enough workers that none is waited for.
const PLENTY: usize = 64;

pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "batch-50ms",
        about: "10,000 labs in batches, every request 50 ms late",
        work: Work::Import(Import {
            records: 10_000,
            task: Task::LabsInBatches,
            latency_ms: 50,
            record_ms: 0,
            workers: PLENTY,
            sides: ALL,
            runs: 5,
        }),
    },
    Job {
        name: "single-8w",
        about: "1,000 labs one by one, 50 ms late; JHE has 8 workers and needs 60 ms a record",
        work: Work::Import(Import {
            records: 1_000,
            task: Task::LabsSingly,
            latency_ms: 50,
            record_ms: 60,
            workers: 8,
            sides: WITHOUT_FLOOR,
            runs: 3,
        }),
    },
    Job {
        name: "single-2w",
        about: "1,000 labs one by one, no latency; JHE has 2 workers and needs 60 ms a record",
        work: Work::Import(Import {
            records: 1_000,
            task: Task::LabsSingly,
            latency_ms: 0,
            record_ms: 60,
            workers: 2,
            sides: WITHOUT_FLOOR,
            runs: 3,
        }),
    },
    Job {
        name: "batch-cpu",
        about: "10,000 labs in batches, no latency: processor time and memory",
        work: Work::Import(Import {
            records: 10_000,
            task: Task::LabsInBatches,
            latency_ms: 0,
            record_ms: 0,
            workers: PLENTY,
            sides: ALL,
            runs: 7,
        }),
    },
    Job {
        name: "batch-100k",
        about: "100,000 labs in batches, no latency: memory",
        work: Work::Import(Import {
            records: 100_000,
            task: Task::LabsInBatches,
            latency_ms: 0,
            record_ms: 0,
            workers: PLENTY,
            sides: &[Side::Ours, Side::Peer],
            runs: 2,
        }),
    },
    Job {
        name: "chart-5k",
        about: "5,000 records of eighteen kinds in batches, every request 50 ms late; JHE has 2 workers and needs 5 ms a record",
        work: Work::Import(Import {
            records: 5_000,
            task: Task::ChartInBatches,
            latency_ms: 50,
            record_ms: 5,
            workers: 2,
            sides: ALL,
            runs: 5,
        }),
    },
    Job {
        name: "chart-5k-cpu",
        about: "the same records, no latency, no time a record: processor time and memory",
        work: Work::Import(Import {
            records: 5_000,
            task: Task::ChartInBatches,
            latency_ms: 0,
            record_ms: 0,
            workers: PLENTY,
            sides: ALL,
            runs: 7,
        }),
    },
    Job {
        name: "soak-batch",
        about: "100,000 labs in batches, and 2 % of the requests go wrong",
        work: Work::Soak(
            Import {
                records: 100_000,
                task: Task::LabsInBatches,
                latency_ms: 10,
                record_ms: 1,
                workers: 2,
                sides: &[Side::Ours],
                runs: 2,
            },
            Soak {
                per_mille: 20,
                outages: &[],
                flat_from: 20,
                // A batch that comes back, its body, and the page that was read ahead: 300 kB each.
                longest: 1 << 20,
                limit: Duration::from_secs(1_200),
            },
        ),
    },
    Job {
        name: "soak-single",
        about: "5,000 labs one by one, 2 % of the requests go wrong, and JHE goes away four times",
        work: Work::Soak(
            Import {
                records: 5_000,
                task: Task::LabsSingly,
                latency_ms: 5,
                record_ms: 20,
                workers: 8,
                sides: &[Side::Ours],
                runs: 2,
            },
            Soak {
                per_mille: 20,
                outages: &[25, 45, 65, 85],
                // Rows were read back twice by then, beside pages and records that wait.
                flat_from: 60,
                longest: 0,
                limit: Duration::from_secs(1_200),
            },
        ),
    },
    Job {
        name: "startup",
        about: "from the scripts' bytes to the first call, in fresh pages",
        work: Work::Startup,
    },
    Job {
        name: "size",
        about: "bytes of the scripts on the wire, compressed with brotli",
        work: Work::Size,
    },
];

/// Pages in which a side is started, at each speed.
pub(crate) const STARTS: usize = 21;
/// How much slower the processor is made to look.
pub(crate) const THROTTLES: [u32; 2] = [1, 4];

/// Those with these names, in their usual order; all of them without a name.
pub(crate) fn named(names: Option<&str>) -> Result<Vec<Job>, String> {
    let Some(names) = names else {
        return Ok(JOBS.to_vec());
    };
    let names: Vec<&str> = names.split(',').collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| JOBS.iter().all(|job| job.name != **name))
    {
        let all: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
        return Err(format!(
            "no such job: {unknown}. There are: {}",
            all.join(", ")
        ));
    }
    Ok(JOBS
        .iter()
        .filter(|job| names.contains(&job.name))
        .copied()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_found_by_their_names_in_the_usual_order() {
        let names = |wanted| -> Vec<&str> {
            let jobs = named(wanted).expect("known names");
            jobs.iter().map(|job| job.name).collect()
        };
        assert_eq!(names(Some("size,batch-cpu")), ["batch-cpu", "size"]);
        assert_eq!(names(None).len(), JOBS.len());
        assert!(named(Some("size,other")).unwrap_err().contains("other"));
    }
}
