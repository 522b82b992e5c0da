//! A set of texts: the ids of a patient's records, the addresses of the pages that were read.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Texts in order, in runs of bounded length: an insertion moves one run, however many texts there are, and no choice
/// of texts makes it slow. A tenth of the size of the standard library's tree.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    runs: Vec<Vec<String>>,
}

const RUN: usize = 512;

impl Texts {
    /// Is `text` there?
    pub(crate) fn contains(&self, text: &str) -> bool {
        let run = self.runs.get(self.run_of(text));
        run.is_some_and(|run| run.binary_search_by(|known| (**known).cmp(text)).is_ok())
    }

    /// Adds `text`; `false` if it was there.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        let index = self.run_of(text);
        let Some(run) = self.runs.get_mut(index) else {
            self.runs.push(alloc::vec![text.to_owned()]);
            return true;
        };
        let Err(place) = run.binary_search_by(|known| (**known).cmp(text)) else {
            return false;
        };
        run.insert(place, text.to_owned());
        if run.len() > RUN {
            let second_half = run.split_off(RUN / 2);
            self.runs.insert(index + 1, second_half);
        }
        true
    }

    /// The index of the only run that may hold `text`.
    fn run_of(&self, text: &str) -> usize {
        let begins_before = |run: &Vec<String>| run.first().is_some_and(|first| &**first <= text);
        self.runs.partition_point(begins_before).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_stay_bounded_whatever_the_order() {
        for step in [1, 7919, 9999] {
            let mut texts = Texts::default();
            for number in 0..10_000_u64 {
                let text = crate::text::number(number * step % 10_000);
                assert!(texts.insert(&text));
                assert!(!texts.insert(&text));
            }
            assert!(
                texts
                    .runs
                    .iter()
                    .all(|run| run.len() <= RUN && !run.is_empty())
            );
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_standard_librarys_set(added in prop::collection::vec("[a-c]{0,4}", 0..2000)) {
            let mut texts = Texts::default();
            let mut expected = BTreeSet::new();
            for text in added {
                prop_assert_eq!(texts.contains(&text), expected.contains(&text));
                prop_assert_eq!(texts.insert(&text), expected.insert(text));
            }
        }
    }
}
