//! What journeys have noted in an engine that cannot do all: how many were made, which were not, and what others left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The notes of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many journeys were made.
    pub(crate) made: usize,
    /// Those that make no sense without what the engine lacks, with that.
    pub(crate) not_made: BTreeMap<String, String>,
    /// What was left out, and in which journeys.
    left_out: BTreeMap<String, BTreeSet<String>>,
}

impl Tally {
    /// Reads lines such as `callback::drop_in::a_test made`, `… without History` and `… not made: Crash`.
    pub(crate) fn read(notes: &str) -> Self {
        let mut tally = Self::default();
        let mut made = BTreeSet::new();
        for line in notes.lines() {
            let Some((test, what)) = line.split_once(' ') else {
                continue;
            };
            if what == "made" {
                made.insert(test);
            } else if let Some(lacking) = what.strip_prefix("not made: ") {
                (tally.not_made).insert(test.to_owned(), lacking.to_owned());
            } else if let Some(lacking) = what.strip_prefix("without ") {
                let tests = tally.left_out.entry(lacking.to_owned()).or_default();
                tests.insert(test.to_owned());
            }
        }
        made.retain(|test| !tally.not_made.contains_key(*test));
        tally.made = made.len();
        tally
    }

    /// For who reads the run.
    pub(crate) fn told(&self, engine: &str) -> String {
        let mut told = format!("{} journeys were made in {engine}\n", self.made);
        for (lacking, tests) in &self.left_out {
            let _ = writeln!(told, "  without {lacking}: {}", tests.len());
        }
        for (test, lacking) in &self.not_made {
            let _ = writeln!(told, "  not made, since there is no {lacking}: {test}");
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_and_what_was_not_made_does_not_count_as_made() {
        let tally = Tally::read(
            "a::one without History\na::one made\na::two without History\na::two made\n\
             b::three not made: Crash\nb::three made\n",
        );
        assert_eq!(
            tally.told("webkit"),
            "2 journeys were made in webkit\n  without History: 2\n  \
             not made, since there is no Crash: b::three\n"
        );
    }
}
