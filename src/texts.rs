//! A set of texts: the ids of a patient's records, the addresses of the pages that were read.

use alloc::vec::Vec;

/// Digests of texts in order, in runs of bounded length: an insertion moves one run, however many texts there are, and
/// no choice of texts makes it slow. Twenty bytes a text or so, whatever its length.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    runs: Vec<Vec<u128>>,
    len: u32,
}

const RUN: usize = 256;

impl Texts {
    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Is `text` there?
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.has(digest(text.as_bytes()))
    }

    /// Adds `text`; `false` if it was there.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        self.add(digest(text.as_bytes()))
    }

    /// Is the text of this digest there?
    pub(crate) fn has(&self, digest: u128) -> bool {
        let run = self.runs.get(self.run_of(digest));
        run.is_some_and(|run| run.binary_search(&digest).is_ok())
    }

    /// Adds the text of this digest; `false` if it was there.
    pub(crate) fn add(&mut self, digest: u128) -> bool {
        let index = self.run_of(digest);
        let Some(run) = self.runs.get_mut(index) else {
            self.runs.push(alloc::vec![digest]);
            self.len += 1;
            return true;
        };
        let Err(place) = run.binary_search(&digest) else {
            return false;
        };
        run.insert(place, digest);
        self.len += 1;
        if run.len() >= RUN {
            let second_half = run.split_off(RUN / 2);
            self.runs.insert(index + 1, second_half);
        }
        true
    }

    /// The index of the only run that may hold `digest`.
    fn run_of(&self, digest: u128) -> usize {
        let begins_before = |run: &Vec<u128>| run.first().is_some_and(|first| *first <= digest);
        self.runs.partition_point(begins_before).saturating_sub(1)
    }
}

/// FNV-1a with 128 bits: two different texts of one patient never meet in it by chance, and it is short.
pub(crate) fn digest(octets: &[u8]) -> u128 {
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let step = |digest: u128, octet: &u8| (digest ^ u128::from(*octet)).wrapping_mul(PRIME);
    octets.iter().fold(BASIS, step)
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
            assert_eq!(texts.len(), 10_000);
        }
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        // draft-eastlake-fnv, appendix C.
        assert_eq!(digest(b""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(digest(b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
        assert_eq!(digest(b"foobar"), 0x343e1662793c64bf6f0d3597ba446f18);
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
