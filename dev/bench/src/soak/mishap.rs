//! What goes wrong in a soak, and when: thrown with dice that follow from a seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The requests that things go wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A page of records at the hospital.
    Page,
    /// A write to JHE.
    Write,
    /// A look at what JHE holds.
    ReadBack,
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mishap {
    /// 429 with `Retry-After`; nothing is done.
    Busy,
    /// 503; nothing is done.
    Failing,
    /// The connection is reset; nothing is done.
    ResetBefore,
    /// The work is done, then the connection is reset.
    ResetAfter,
    /// The work is done, and the answer is a 504, as of a proxy that did not wait.
    GaveUp,
    /// The connection is reset, and the work is done a while later.
    Late,
    /// The work is done, and half of the answer arrives.
    CutOff,
    /// The answer comes late.
    Slow,
}

impl Place {
    pub(crate) const ALL: [Place; 3] = [Place::Page, Place::Write, Place::ReadBack];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Place::Page => "page",
            Place::Write => "write",
            Place::ReadBack => "read_back",
        }
    }
}

impl Mishap {
    pub(crate) const ALL: [Mishap; 8] = [
        Mishap::Busy,
        Mishap::Failing,
        Mishap::ResetBefore,
        Mishap::ResetAfter,
        Mishap::GaveUp,
        Mishap::Late,
        Mishap::CutOff,
        Mishap::Slow,
    ];

    /// What a table calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Mishap::Busy => "429, `Retry-After: 1`",
            Mishap::Failing => "503, nothing done",
            Mishap::ResetBefore => "connection reset, nothing done",
            Mishap::ResetAfter => "connection reset, all done",
            Mishap::GaveUp => "504, all done",
            Mishap::Late => "connection reset, done up to 2 s later",
            Mishap::CutOff => "half of the answer, all done",
            Mishap::Slow => "answer up to 2 s late",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mishap::Busy => "busy",
            Mishap::Failing => "failing",
            Mishap::ResetBefore => "reset_before",
            Mishap::ResetAfter => "reset_after",
            Mishap::GaveUp => "gave_up",
            Mishap::Late => "late",
            Mishap::CutOff => "cut_off",
            Mishap::Slow => "slow",
        }
    }

    /// Is anything done of which the page does not hear?
    pub(crate) fn loses_the_answer(self) -> bool {
        match self {
            Mishap::ResetAfter | Mishap::GaveUp | Mishap::Late | Mishap::CutOff => true,
            Mishap::Busy | Mishap::Failing | Mishap::ResetBefore | Mishap::Slow => false,
        }
    }

    /// Where nothing is done, that it was done makes no difference.
    fn happens_at(self, place: Place) -> bool {
        match self {
            Mishap::ResetAfter | Mishap::GaveUp | Mishap::Late => place == Place::Write,
            _ => true,
        }
    }
}

/// Random numbers that follow from a seed: xorshift, which is good enough for mishaps.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Dice {
        // Neighbours among the seeds are to give different runs; 0 would give nothing but 0.
        Dice((seed | 1 << 63).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end.max(1)
    }
}

/// How long JHE is away, where it is.
const OUTAGE: Duration = Duration::from_millis(300);

/// Decides what goes wrong, and counts it.
#[derive(Debug)]
pub(crate) struct Mishaps {
    dice: Dice,
    per_mille: u64,
    /// JHE goes away when it holds so many records, the most last.
    outages: Vec<usize>,
    away_until: Option<Instant>,
    asked: BTreeMap<Place, u32>,
    met: BTreeMap<(Place, Mishap), u32>,
    met_while_away: u32,
}

impl Mishaps {
    /// So many in a thousand requests, and besides all writes for a moment whenever JHE holds so many records.
    pub(crate) fn new(seed: u64, per_mille: u64, outages: Vec<usize>) -> Mishaps {
        Mishaps {
            dice: Dice::seeded(seed),
            per_mille,
            outages,
            away_until: None,
            asked: BTreeMap::new(),
            met: BTreeMap::new(),
            met_while_away: 0,
        }
    }

    /// What happens to a request that comes now, when JHE holds so many records.
    pub(crate) fn meet(&mut self, place: Place, held: usize, now: Instant) -> Option<Mishap> {
        *self.asked.entry(place).or_default() += 1;
        if self.outages.first().is_some_and(|at| held >= *at) {
            self.outages.remove(0);
            self.away_until = Some(now + OUTAGE);
        }
        if place != Place::Page && self.away_until.is_some_and(|until| now < until) {
            self.met_while_away += 1;
            return Some(match (place, self.dice.below(2)) {
                (Place::Write, 0) => Mishap::ResetAfter,
                _ => Mishap::ResetBefore,
            });
        }
        if self.dice.below(1_000) >= self.per_mille {
            return None;
        }
        let all: Vec<Mishap> = Mishap::ALL
            .into_iter()
            .filter(|mishap| mishap.happens_at(place))
            .collect();
        let mishap = all[self.dice.below(all.len() as u64) as usize];
        *self.met.entry((place, mishap)).or_default() += 1;
        Some(mishap)
    }

    /// How long a late thing takes, up to two seconds.
    pub(crate) fn delay(&mut self) -> Duration {
        Duration::from_millis(200 + self.dice.below(1_800))
    }

    /// Requests of this kind so far.
    pub(crate) fn asked(&self, place: Place) -> u32 {
        self.asked.get(&place).copied().unwrap_or_default()
    }

    /// How often this happened there.
    pub(crate) fn met(&self, place: Place, mishap: Mishap) -> u32 {
        self.met.get(&(place, mishap)).copied().unwrap_or_default()
    }

    /// Requests that found JHE away.
    pub(crate) fn met_while_away(&self) -> u32 {
        self.met_while_away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thrown(seed: u64, requests: usize) -> Vec<Option<Mishap>> {
        let mut mishaps = Mishaps::new(seed, 20, Vec::new());
        let now = Instant::now();
        let throw = |_| mishaps.meet(Place::Write, 0, now);
        (0..requests).map(throw).collect()
    }

    #[test]
    fn the_same_seed_throws_the_same_mishaps_and_another_one_others() {
        assert_eq!(thrown(7, 2_000), thrown(7, 2_000));
        assert_ne!(thrown(7, 2_000), thrown(8, 2_000));
        assert_ne!(thrown(0, 2_000), thrown(1, 2_000));
    }

    #[test]
    fn two_requests_in_a_hundred_meet_a_mishap_and_every_kind_occurs() {
        let thrown = thrown(7, 100_000);
        let met: Vec<Mishap> = thrown.into_iter().flatten().collect();
        assert!((1_900..=2_100).contains(&met.len()), "{}", met.len());
        for mishap in Mishap::ALL {
            let count = met.iter().filter(|it| **it == mishap).count();
            assert!((180..=320).contains(&count), "{mishap:?}: {count}");
        }
    }

    #[test]
    fn nothing_is_done_late_or_lost_where_nothing_is_done() {
        let mut mishaps = Mishaps::new(7, 1_000, Vec::new());
        for _ in 0..500 {
            let met = mishaps.meet(Place::Page, 0, Instant::now());
            let met = met.expect("every request meets one");
            assert!(met.happens_at(Place::Page), "{met:?}");
        }
        assert_eq!(mishaps.asked(Place::Page), 500);
        let all = Mishap::ALL.map(|mishap| mishaps.met(Place::Page, mishap));
        assert_eq!(all.iter().sum::<u32>(), 500);
        assert_eq!(mishaps.met(Place::Page, Mishap::Late), 0);
    }

    #[test]
    fn jhe_goes_away_once_for_a_moment_and_the_hospital_does_not() {
        let mut mishaps = Mishaps::new(7, 0, vec![100, 200]);
        let start = Instant::now();
        let mut meet = |place, held, later: u64| {
            mishaps.meet(place, held, start + Duration::from_millis(later))
        };
        assert_eq!(meet(Place::Write, 99, 0), None);
        assert!(meet(Place::Write, 100, 0).is_some());
        assert!(meet(Place::Write, 120, 299).is_some());
        assert_eq!(meet(Place::ReadBack, 120, 299), Some(Mishap::ResetBefore));
        assert_eq!(meet(Place::Page, 120, 299), None);
        assert_eq!(meet(Place::Write, 120, 300), None);
        assert!(meet(Place::Write, 200, 400).is_some());
        assert_eq!(meet(Place::Write, 300, 800), None);
        assert_eq!(mishaps.met_while_away(), 4);
    }

    #[test]
    fn lateness_is_bounded() {
        let mut mishaps = Mishaps::new(7, 0, Vec::new());
        for _ in 0..1_000 {
            let delay = mishaps.delay().as_millis();
            assert!((200..2_000).contains(&delay), "{delay}");
        }
    }
}
