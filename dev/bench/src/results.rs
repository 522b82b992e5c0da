//! What was measured, as it is kept in a JSON file: every run, not only the medians.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::side::Side;
use crate::statistics::Spread;

/// Of one machine; a job that is measured again replaces what was there of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) jobs: BTreeMap<String, Measured>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    pub(crate) browser: String,
}

/// One job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The day, and how busy the machine was at the beginning (load of one minute).
    pub(crate) day: String,
    pub(crate) load: f64,
    /// The name of our bundle's folder, which tells its content.
    pub(crate) bundle: String,
    pub(crate) sides: BTreeMap<Side, Outcomes>,
}

/// One side's runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    pub(crate) runs: Vec<BTreeMap<String, f64>>,
    /// Why the last run that did not count did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

impl Outcomes {
    /// A measure over all runs.
    pub(crate) fn spread(&self, measure: &str) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.get(measure).copied()))
    }
}

impl Results {
    /// What the file holds, if it is there and of the same machine.
    pub(crate) fn read(path: &Path, machine: Machine) -> Result<Results> {
        let jobs = match fs::read_to_string(path) {
            Ok(text) => {
                let earlier: Results = serde_json::from_str(&text)
                    .with_context(|| format!("{} holds no results", path.display()))?;
                match earlier.machine == machine {
                    true => earlier.jobs,
                    false => BTreeMap::new(),
                }
            }
            Err(_) => BTreeMap::new(),
        };
        Ok(Results { machine, jobs })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    pub(crate) fn spread(&self, job: &str, side: Side, measure: &str) -> Option<Spread> {
        self.jobs.get(job)?.sides.get(&side)?.spread(measure)
    }
}

impl Machine {
    /// This one.
    pub(crate) fn here(browser: String) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let line = |text: &str, name: &str| -> String {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(
                || "unknown".to_owned(),
                |(_, value)| value.trim().to_owned(),
            )
        };
        let memory = line(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_default();
        Machine {
            processor: line(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
            system: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            browser,
        }
    }
}

/// Processes that wanted to run during the last minute.
pub(crate) fn load() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}
