//! How many tests ran, read from what the test runners print.

use std::ops::AddAssign;

use crate::failures::Failure;

/// Tests that ran, over any number of test programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// The failed ones, as far as their programs have named them.
    pub(crate) failures: Vec<Failure>,
}

impl Counts {
    /// The counts of a runner's line `test result: ok. 2 passed; 0 failed; 0 ignored; …`. Both cargo's own runner and
    /// wasm-bindgen's print it, with or without colours.
    pub(crate) fn in_line(line: &str) -> Option<Counts> {
        let result = line.strip_prefix("test result: ")?;
        let count = |label: &str| -> Option<u64> {
            let (before, _) = result.split_once(label)?;
            before.split_whitespace().next_back()?.parse().ok()
        };
        Some(Counts {
            passed: count(" passed")?,
            failed: count(" failed")?,
            ignored: count(" ignored")?,
            failures: Vec::new(),
        })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.failures.extend(other.failures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_both_runners_are_read() {
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s\n",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 3 filtered out; finished in 0.02s",
            "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 12 passed; 0 failed; 1 ignored; 0 measured",
        ] {
            let expected = Counts {
                passed: 12,
                failed: 0,
                ignored: 1,
                ..Counts::default()
            };
            assert_eq!(Counts::in_line(line), Some(expected), "{line}");
        }
        let failed =
            Counts::in_line("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!(failed.expect("counts").failed, 2);
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "running 12 tests",
            "test counts::tests::passed ... ok",
            "no tests to run!",
            "test result: unknown",
        ] {
            assert_eq!(Counts::in_line(line), None, "{line}");
        }
    }

    #[test]
    fn counts_of_several_programs_add_up() {
        let mut all = Counts::default();
        for line in [
            "test result: ok. 2 passed; 0 failed; 0 ignored",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored",
        ] {
            all += Counts::in_line(line).expect("counts");
        }
        assert_eq!(
            all,
            Counts {
                passed: 5,
                failed: 1,
                ..Counts::default()
            }
        );
    }
}
