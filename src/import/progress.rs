//! What an import has done so far, in numbers, and the reasons for what it could not do.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fhir::resource::LeftOut;

/// Counts of one run. Reasons are kept for the screen only: they may quote a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages read.
    pub pages: u32,
    /// Records found that count.
    pub found: u32,
    /// Records that the EHR listed more than once.
    pub repeated: u32,
    /// Records that JHE held before, and that were not sent again.
    pub already_there: u32,
    /// Records that JHE stored, or updated.
    pub stored: u32,
    /// Those among them that JHE changed.
    pub adjusted: u32,
    /// Records that JHE refused.
    pub refused: u32,
    /// Records of which it is not known whether JHE stored them.
    pub unsettled: u32,
    /// Records that were fetched and not sent any more, or known not to have arrived.
    pub unsent: u32,
    /// Entries of another type, or included ones.
    pub of_other_type: u32,
    /// Entries about somebody else, or about nobody.
    pub of_other_subject: u32,
    /// Entries that could not be read.
    pub malformed: u32,
    /// Documents that were put into their records.
    pub inlined: u32,
    /// Documents that their records only refer to.
    pub kept: u32,
    /// Reasons of refused and unsettled records, with counts.
    pub reasons: Vec<(String, u32)>,
    /// What JHE said of those that it changed, with counts.
    pub changes: Vec<(String, u32)>,
    /// What the EHR said beside the records, with counts.
    pub notices: Vec<(String, u32)>,
    /// Why documents are only referred to, with counts.
    pub documents: Vec<(String, u32)>,
}

/// So many different reasons are told apart; further ones are counted together.
const REASONS: usize = 100;
const OTHER: &str = "other";

impl Tally {
    /// The counts, without reasons and notices: the form in which they may be stored. The order is part of that form.
    pub(crate) fn counts(&mut self) -> [&mut u32; 14] {
        [
            &mut self.pages,
            &mut self.found,
            &mut self.repeated,
            &mut self.already_there,
            &mut self.stored,
            &mut self.adjusted,
            &mut self.refused,
            &mut self.unsettled,
            &mut self.unsent,
            &mut self.of_other_type,
            &mut self.of_other_subject,
            &mut self.malformed,
            &mut self.inlined,
            &mut self.kept,
        ]
    }

    /// The reasons and notices. The order is part of the form in which they are handed on.
    pub(crate) fn reasons_mut(&mut self) -> [&mut Vec<(String, u32)>; 4] {
        [
            &mut self.reasons,
            &mut self.changes,
            &mut self.notices,
            &mut self.documents,
        ]
    }

    /// All of them together.
    pub(crate) fn sum(tallies: &mut dyn Iterator<Item = &Tally>) -> Self {
        let mut sum = Tally::default();
        for tally in tallies {
            sum.add(tally);
        }
        sum
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.pages += other.pages;
        self.found += other.found;
        self.repeated += other.repeated;
        self.already_there += other.already_there;
        self.stored += other.stored;
        self.adjusted += other.adjusted;
        self.refused += other.refused;
        self.unsettled += other.unsettled;
        self.unsent += other.unsent;
        self.of_other_type += other.of_other_type;
        self.of_other_subject += other.of_other_subject;
        self.malformed += other.malformed;
        self.inlined += other.inlined;
        self.kept += other.kept;
        for (sums, counts) in [
            (&mut self.reasons, &other.reasons),
            (&mut self.changes, &other.changes),
            (&mut self.notices, &other.notices),
            (&mut self.documents, &other.documents),
        ] {
            for (text, number) in counts {
                count(sums, text, *number);
            }
        }
    }

    /// Entries that were fetched. All of them are accounted for: stored, already there, repeated, left out, or not
    /// saved.
    pub fn fetched(&self) -> u32 {
        self.found + self.left_out()
    }

    /// Records that could not be saved, as far as known.
    pub fn not_saved(&self) -> u32 {
        self.refused + self.unsettled + self.unsent
    }

    /// Entries that do not count.
    pub fn left_out(&self) -> u32 {
        self.of_other_type + self.of_other_subject + self.malformed
    }

    pub(super) fn add_adjusted(&mut self, change: &str) {
        self.stored += 1;
        self.adjusted += 1;
        count(&mut self.changes, change, 1);
    }

    pub(super) fn add_refused(&mut self, reason: &str) {
        self.refused += 1;
        count(&mut self.reasons, reason, 1);
    }

    pub(super) fn add_unsettled(&mut self, reason: &str) {
        self.unsettled += 1;
        count(&mut self.reasons, reason, 1);
    }

    pub(super) fn add_kept(&mut self, reason: &str) {
        self.kept += 1;
        count(&mut self.documents, reason, 1);
    }

    pub(super) fn add_notice(&mut self, notice: &str) {
        count(&mut self.notices, notice, 1);
    }

    pub(super) fn add_left_out(&mut self, left_out: &[LeftOut]) {
        for reason in left_out {
            match reason {
                LeftOut::OtherType => self.of_other_type += 1,
                LeftOut::OtherSubject => self.of_other_subject += 1,
                LeftOut::Malformed => self.malformed += 1,
            }
        }
    }
}

/// The texts of `counts`, the most frequent first, at most `limit` of them.
pub fn frequent(counts: &[(String, u32)], limit: usize) -> Vec<(&str, u32)> {
    let mut rest: Vec<_> = counts.iter().collect();
    let mut frequent = Vec::new();
    while frequent.len() < limit
        && let Some(most) = rest.iter().map(|(_, count)| *count).max()
        && let Some(index) = rest.iter().position(|(_, count)| *count == most)
    {
        let (text, count) = rest.remove(index);
        frequent.push((text.as_str(), *count));
    }
    frequent
}

fn count(counts: &mut Vec<(String, u32)>, text: &str, number: u32) {
    let is_full = counts.len() >= REASONS;
    let place = counts.iter().position(|(known, _)| known == text);
    match place.and_then(|place| counts.get_mut(place)) {
        Some((_, count)) => *count += number,
        None if is_full && text != OTHER => count(counts, OTHER, number),
        None => counts.push((text.into(), number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_counted_together_and_the_most_frequent_come_first() {
        let mut tally = Tally::default();
        for reason in ["a", "b", "b", "__proto__"] {
            tally.add_refused(reason);
        }
        assert_eq!(frequent(&tally.reasons, 2), [("b", 2), ("a", 1)]);
        assert_eq!(tally.not_saved(), 4);
    }

    #[test]
    fn the_number_of_different_reasons_is_bounded() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.add_refused(&crate::text::number(number));
        }
        assert_eq!(tally.reasons.len(), REASONS + 1);
        assert_eq!(tally.reasons.last(), Some(&(OTHER.into(), 900)));
    }
}
