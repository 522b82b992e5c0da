//! A set of texts: the ids of a patient's records, the addresses of the pages that were read.

use alloc::vec::Vec;

/// Digests of texts, in one table that doubles: sixteen octets a text or so, whatever its length, and in one piece. Many
/// small pieces would lie between the pages that come and go, until no page finds a place among them any more.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    slots: Vec<Digest>,
    len: u32,
}

/// 96 bits of a digest.
type Digest = [u32; 3];

/// No text has this one.
const FREE: Digest = [0; 3];
/// Slots of the first table.
const FIRST: usize = 64;

impl Texts {
    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Is `text` there?
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.has(digest(text.bytes()))
    }

    /// Adds `text`; `false` if it was there.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        self.add(digest(text.bytes()))
    }

    /// Is the text of this digest there?
    pub(crate) fn has(&self, digest: u128) -> bool {
        let wanted = shortened(digest);
        slot(&self.slots, wanted).is_some_and(|slot| self.slots.get(slot) == Some(&wanted))
    }

    /// Adds the text of this digest; `false` if it was there.
    pub(crate) fn add(&mut self, digest: u128) -> bool {
        // Never more than seven of eight are taken, so that the way to a free one is short.
        if self.len as usize >= self.slots.len() / 8 * 7 {
            self.grow();
        }
        let wanted = shortened(digest);
        let place = slot(&self.slots, wanted);
        match place.and_then(|place| self.slots.get_mut(place)) {
            Some(slot) if *slot == FREE => {
                *slot = wanted;
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    fn grow(&mut self) {
        let mut slots = alloc::vec![FREE; (self.slots.len() * 2).max(FIRST)];
        for known in self.slots.iter().filter(|known| **known != FREE) {
            if let Some(place) = slot(&slots, *known).and_then(|place| slots.get_mut(place)) {
                *place = *known;
            }
        }
        self.slots = slots;
    }
}

/// Where `wanted` stands, or the free slot where it belongs: the first of either from its own place on.
fn slot(slots: &[Digest], wanted: Digest) -> Option<usize> {
    // The number of slots is a power of two.
    let mask = slots.len().checked_sub(1)?;
    let [first, ..] = wanted;
    let from = first as usize & mask;
    let mut places = (from..from + slots.len()).map(|place| place & mask);
    places.find(|place| {
        slots
            .get(*place)
            .is_none_or(|slot| *slot == wanted || *slot == FREE)
    })
}

/// FNV mixes the last octets of a text into a few bits only: once more, and they reach the upper ones.
fn shortened(digest: u128) -> Digest {
    let mixed = joined(digest, digest >> 64);
    let word = |shift| (mixed >> shift) as u32;
    match [word(96), word(64), word(32)] {
        FREE => [1; 3],
        short => short,
    }
}

const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;

/// FNV-1a with 128 bits: two different texts of one patient never meet in it by chance, and it is short.
pub(crate) fn digest(octets: impl Iterator<Item = u8>) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    octets.fold(BASIS, |digest, octet| {
        (digest ^ u128::from(octet)).wrapping_mul(PRIME)
    })
}

/// The digest of two, in this order.
pub(crate) fn joined(first: u128, second: u128) -> u128 {
    (first.wrapping_mul(PRIME).rotate_left(43) ^ second).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hundred_thousand_texts_are_kept_in_sixteen_octets_each() {
        let mut texts = Texts::default();
        for number in 0..100_000_u64 {
            let text = crate::text::number(number * 7919);
            assert!(texts.insert(&text));
            assert!(!texts.insert(&text));
        }
        assert_eq!(texts.len(), 100_000);
        assert!(texts.slots.len() * size_of::<Digest>() <= 16 * 100_000);
        // Hardly any stands far from its own place.
        let mask = texts.slots.len() - 1;
        let way = |(place, slot): (usize, &Digest)| (place.wrapping_sub(slot[0] as usize)) & mask;
        let taken = texts.slots.iter().enumerate();
        let ways = taken.filter(|(_, slot)| **slot != FREE).map(way);
        assert!(ways.sum::<usize>() < 4 * 100_000);
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        // draft-eastlake-fnv, appendix C.
        assert_eq!(digest("".bytes()), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(digest("a".bytes()), 0xd228cb696f1a8caf78912b704e4a8964);
        assert_eq!(digest("foobar".bytes()), 0x343e1662793c64bf6f0d3597ba446f18);
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
