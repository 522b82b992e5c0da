//! What journeys have noted: how many were made and how long they took, and, in an engine that cannot do all, which were not made,
//! and what others left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// So many of those that took long are named.
const LONGEST: usize = 5;

/// The notes of one run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// The journeys that were made, and how many seconds each had a browser.
    made: BTreeMap<String, f32>,
    /// Those that make no sense without what the engine lacks, with that.
    pub(crate) not_made: BTreeMap<String, String>,
    /// What was left out, and in which journeys.
    left_out: BTreeMap<String, BTreeSet<String>>,
}

impl Tally {
    /// Reads lines such as `callback::drop_in::a_test made in 3.1 s`, `… without History` and `… not made: Crash`.
    pub(crate) fn read(notes: &str) -> Self {
        let mut tally = Self::default();
        for line in notes.lines() {
            let Some((test, what)) = line.split_once(' ') else {
                continue;
            };
            let took = what.strip_prefix("made in ").and_then(seconds);
            if let Some(took) = took {
                tally.made.insert(test.to_owned(), took);
            } else if let Some(lacking) = what.strip_prefix("not made: ") {
                (tally.not_made).insert(test.to_owned(), lacking.to_owned());
            } else if let Some(lacking) = what.strip_prefix("without ") {
                let tests = tally.left_out.entry(lacking.to_owned()).or_default();
                tests.insert(test.to_owned());
            }
        }
        let not_made = &tally.not_made;
        tally.made.retain(|test, _| !not_made.contains_key(test));
        tally
    }

    /// For who reads the run.
    pub(crate) fn told(&self, engine: &str) -> String {
        let mut told = format!("{} journeys were made in {engine}\n", self.made.len());
        let mut made: Vec<_> = self.made.iter().collect();
        made.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        for (test, took) in made.iter().take(LONGEST) {
            let _ = writeln!(told, "  {took:.1} s: {test}");
        }
        for (lacking, tests) in &self.left_out {
            let _ = writeln!(told, "  without {lacking}: {}", tests.len());
        }
        for (test, lacking) in &self.not_made {
            let _ = writeln!(told, "  not made, since there is no {lacking}: {test}");
        }
        told
    }
}

/// The number in `3.1 s`.
fn seconds(took: &str) -> Option<f32> {
    took.strip_suffix(" s")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_and_what_was_not_made_does_not_count_as_made() {
        let tally = Tally::read(
            "a::one without History\na::one made in 1.5 s\na::two without History\na::two made in 12.0 s\n\
             b::three not made: Crash\nb::three made in 0.1 s\n",
        );
        assert_eq!(
            tally.told("webkit"),
            "2 journeys were made in webkit\n  12.0 s: a::two\n  1.5 s: a::one\n  without History: 2\n  \
             not made, since there is no Crash: b::three\n"
        );
    }
}
