//! What is random in the tests follows from a seed, and the seed from what was committed: each change tries something new,
//! and a run that failed is repeated by the same files, on any machine.

use std::env;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::workspace::{Result, Workspace, output_of};

/// Names the seed for whoever repeats one of another run. The journeys read it.
const SEED: &str = "JHE_CONNECT_SEED";
/// The same for the property tests.
const OF_PROPERTIES: &str = "PROPTEST_RNG_SEED";
/// JavaScript counts so far, and some way on.
const HEX_DIGITS: usize = 12;

/// The seed of this run.
#[derive(Clone, Copy)]
pub(crate) struct Seed(u64);

impl Seed {
    /// That of the environment or else of the committed files; outside a repository, another one each time.
    pub(crate) fn of_run(workspace: &Workspace) -> Result<Seed> {
        static OF_RUN: OnceLock<Seed> = OnceLock::new();
        if let Ok(named) = env::var(SEED) {
            let seed = named.parse().map_err(|_| format!("{SEED} is no number"))?;
            return Ok(Seed(seed));
        }
        Ok(*OF_RUN.get_or_init(|| {
            let files = &["rev-parse", "HEAD^{tree}"];
            let files = output_of(&mut workspace.command("git", files));
            Seed(files.and_then(|it| of_files(&it)).unwrap_or_else(of_clock))
        }))
    }

    /// Tests that `command` runs follow from this seed.
    pub(crate) fn give(self, command: &mut Command) {
        let seed = self.0.to_string();
        command.env(SEED, &seed).env(OF_PROPERTIES, &seed);
    }

    /// How to have the same once more.
    pub(crate) fn told(self) -> String {
        format!("{SEED}={}", self.0)
    }
}

fn of_files(hash: &str) -> Option<u64> {
    u64::from_str_radix(hash.get(..HEX_DIGITS)?, 16).ok()
}

fn of_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |it| it.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_has_a_seed_that_javascript_can_count_on_from() {
        let seed = of_files("ffffffffffff0000000000000000000000000000\n").expect("a seed");
        assert_eq!(seed, (1 << 48) - 1);
        assert_ne!(of_files("e3d176d5cf1d4c1f"), of_files("e3d176d5cf1e4c1f"));
        assert_eq!(of_files(""), None);
        assert_eq!(of_files("fatal: not a git repository"), None);
    }

    #[test]
    fn tests_are_given_the_seed_under_both_names() {
        let mut command = Command::new("true");
        Seed(7).give(&mut command);
        let given: Vec<_> = command.get_envs().collect();
        for name in [SEED, OF_PROPERTIES] {
            assert!(given.contains(&(name.as_ref(), Some("7".as_ref()))));
        }
        assert_eq!(Seed(7).told(), "JHE_CONNECT_SEED=7");
    }
}
