//! What an import has done so far, in numbers, and the reasons for what it could not do.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::fhir::resource::LeftOut;

/// Counts of one run. Reasons are kept for the screen only: they may quote a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Pages read.
    pub pages: u32,
    /// Records found that count.
    pub found: u32,
    /// Records that the EHR listed more than once.
    pub repeated: u32,
    /// Records that JHE stored.
    pub stored: u32,
    /// Records that JHE refused.
    pub refused: u32,
    /// Records of which it is not known whether JHE stored them.
    pub unsettled: u32,
    /// Records that were fetched and not sent any more.
    pub unsent: u32,
    /// Entries of another type, or included ones.
    pub of_other_type: u32,
    /// Entries about somebody else, or about nobody.
    pub of_other_subject: u32,
    /// Entries that could not be read.
    pub malformed: u32,
    /// Reasons of refused and unsettled records, with counts.
    #[serde(skip)]
    pub reasons: BTreeMap<String, u32>,
    /// What the EHR said beside the records, with counts.
    #[serde(skip)]
    pub notices: BTreeMap<String, u32>,
}

/// So many different reasons are told apart; further ones are counted together.
const REASONS: usize = 100;

impl Tally {
    /// Records that could not be saved, as far as known.
    pub fn not_saved(&self) -> u32 {
        self.refused + self.unsettled + self.unsent
    }

    /// Entries that do not count.
    pub fn left_out(&self) -> u32 {
        self.of_other_type + self.of_other_subject + self.malformed
    }

    /// The reasons, the most frequent first, at most `limit` of them.
    pub fn frequent_reasons(&self, limit: usize) -> Vec<(&str, u32)> {
        let mut reasons: Vec<_> = self.reasons.iter().map(|(r, n)| (r.as_str(), *n)).collect();
        reasons.sort_by_key(|&(_, count)| core::cmp::Reverse(count));
        reasons.truncate(limit);
        reasons
    }

    pub(super) fn add_refused(&mut self, reason: String) {
        self.refused += 1;
        count(&mut self.reasons, reason);
    }

    pub(super) fn add_unsettled(&mut self, reason: String) {
        self.unsettled += 1;
        count(&mut self.reasons, reason);
    }

    pub(super) fn add_notice(&mut self, notice: String) {
        count(&mut self.notices, notice);
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

fn count(counts: &mut BTreeMap<String, u32>, text: String) {
    let is_full = counts.len() >= REASONS && !counts.contains_key(&text);
    let text = if is_full { "other".into() } else { text };
    *counts.entry(text).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_counted_together_and_the_most_frequent_come_first() {
        let mut tally = Tally::default();
        for reason in ["a", "b", "b", "__proto__"] {
            tally.add_refused(reason.into());
        }
        assert_eq!(tally.frequent_reasons(2), [("b", 2), ("__proto__", 1)]);
        assert_eq!(tally.not_saved(), 4);
    }

    #[test]
    fn the_number_of_different_reasons_is_bounded() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.add_refused(crate::text::number(number));
        }
        assert_eq!(tally.reasons.len(), REASONS + 1);
        assert_eq!(tally.reasons["other"], 900);
    }

    #[test]
    fn reasons_and_notices_are_not_stored() {
        let mut tally = Tally::default();
        tally.add_refused("SECRET".into());
        tally.add_notice("SECRET".into());
        assert!(!serde_json::to_string(&tally).unwrap().contains("SECRET"));
    }
}
