//! How long to wait before something is asked for again, and when to give up. What may be asked for again is not decided
//! here.

/// So often is one thing asked for again.
const TRIES: u32 = 4;
/// The first wait; each further one is twice as long.
const FIRST_MS: u64 = 1_000;
/// A server that asks for more patience than this is given up: the patient stands and waits.
const LONGEST_MS: u64 = 60_000;

/// Exponential backoff with jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    tries: u32,
    seed: u64,
}

impl Backoff {
    /// A backoff whose jitter follows from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Backoff { tries: 0, seed }
    }

    /// Starts anew, after a success.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// Was there a failure since the last success?
    pub(super) fn is_under_way(&self) -> bool {
        self.tries > 0
    }

    /// How many milliseconds to wait before the next try, at least as long as the server asked for; `None` to give up.
    pub(super) fn wait(&mut self, asked_ms: Option<u64>) -> Option<u64> {
        if self.tries >= TRIES || asked_ms.is_some_and(|asked| asked > LONGEST_MS) {
            return None;
        }
        let full = FIRST_MS << self.tries;
        self.tries += 1;
        // Between half and all of it, so that the patients of one outage do not come back all at once.
        let jittered = full / 2 + self.random() % (full / 2 + 1);
        Some(jittered.max(asked_ms.unwrap_or(0)))
    }

    /// xorshift: good enough for jitter.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let mut backoff = Backoff::new(42);
        for full in [1_000, 2_000, 4_000, 8_000] {
            let wait = backoff.wait(None).unwrap();
            assert!((full / 2..=full).contains(&wait), "{wait}");
        }
        assert_eq!(backoff.wait(None), None);
        backoff.reset();
        assert!(backoff.wait(None).unwrap() <= 1_000);
    }

    #[test]
    fn the_servers_wish_is_obeyed_within_reason() {
        let mut backoff = Backoff::new(42);
        assert_eq!(backoff.wait(Some(20_000)), Some(20_000));
        assert_eq!(backoff.wait(Some(61_000)), None);
    }
}
