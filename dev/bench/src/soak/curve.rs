//! The memory of a page in the course of a soak, and whether it is flat.

use anyhow::{Result, ensure};

/// The page at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// What part of the records JHE held, in percent.
    pub(crate) percent: usize,
    /// How many that were.
    pub(crate) records: usize,
    pub(crate) seconds: f64,
    /// JavaScript's heap after a collection, in bytes.
    pub(crate) heap: f64,
    /// WebAssembly's memories, in bytes.
    pub(crate) wasm: f64,
    /// Those of modules that were loaded after the first sample.
    pub(crate) later: f64,
    /// What of the renderer is resident, in bytes.
    pub(crate) resident: f64,
}

impl Sample {
    /// What is judged.
    fn held(&self) -> f64 {
        self.heap + self.wasm
    }
}

pub(crate) const MIB: f64 = 1_048_576.0;

/// What two looks at the same memory may differ by: where the records of a page lie, and what the browser keeps for itself.
pub(crate) const PLAY: f64 = MIB;

/// The ids that were seen are kept as digests of so many bytes,
pub(crate) const DIGEST: usize = 12;
/// in a table of which so much is taken at most. Then it moves into one twice as large.
const TAKEN: (usize, usize) = (7, 8);

/// The places of the table for so many ids.
fn places(ids: usize) -> usize {
    let (taken, of) = TAKEN;
    let mut places = 64;
    while ids > places / of * taken {
        places *= 2;
    }
    places
}

/// What the tables take that a page moves into between so many records and so many more. Where a smaller one was, other
/// things find their place; a larger one never does.
fn tables(from: usize, to: usize) -> f64 {
    let (mut places_now, places_then) = (places(from), places(to));
    let mut bytes = 0;
    while places_now < places_then {
        places_now *= 2;
        bytes += places_now * DIGEST;
    }
    bytes as f64
}

/// How far heap and WebAssembly grew from one share of the records to the last sample, in bytes, and how many records were
/// between.
pub(crate) fn growth(curve: &[Sample], from_percent: usize) -> Option<(f64, usize)> {
    let first = curve.iter().find(|it| it.percent >= from_percent)?;
    let last = curve.last()?;
    let records = last.records.checked_sub(first.records)?;
    (records > 0).then(|| (last.held() - first.held(), records))
}

/// Fails unless the curve is flat from that share on: no sample of it is higher than the first one by more than the tables
/// of ids since take, and once the buffer of the longest answer.
pub(crate) fn expect_flat(curve: &[Sample], from_percent: usize, longest: usize) -> Result<()> {
    let from = curve.iter().position(|it| it.percent >= from_percent);
    let part = from.map_or(&[][..], |from| &curve[from..]);
    ensure!(
        part.len() >= 9,
        "memory was looked at {} times from {from_percent} % on",
        part.len()
    );
    let first = part[0];
    for sample in part {
        let grown = sample.held() - first.held();
        let may = tables(first.records, sample.records) + PLAY + longest as f64;
        ensure!(
            grown <= may,
            "from {} to {} records heap and WebAssembly memory grew by {grown:.0} bytes, and {may:.0} are explained",
            first.records,
            sample.records
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve in steps of five percent, each sample's memory by its records.
    fn curve(wasm: impl Fn(f64) -> f64) -> Vec<Sample> {
        (1..=20)
            .map(|step| Sample {
                percent: step * 5,
                records: step * 5_000,
                wasm: wasm((step * 5_000) as f64),
                heap: 2e6,
                ..Sample::default()
            })
            .collect()
    }

    #[test]
    fn the_table_of_ids_doubles_when_seven_of_eight_places_are_taken() {
        assert_eq!((places(0), places(56), places(57)), (64, 64, 128));
        assert_eq!((places(57_344), places(57_345)), (1 << 16, 1 << 17));
        assert_eq!(tables(20_000, 28_672), 0.0);
        assert_eq!(tables(20_000, 28_673), 12.0 * 65_536.0);
        assert_eq!(tables(20_000, 100_000), 12.0 * (65_536.0 + 131_072.0));
    }

    #[test]
    fn a_table_of_what_was_seen_is_flat_enough() {
        let table = |records: f64| 3e6 + tables(0, records as usize);
        expect_flat(&curve(table), 20, 0).expect("flat");
        assert_eq!(growth(&curve(table), 20), Some((12.0 * 196_608.0, 80_000)));
    }

    #[test]
    fn what_grows_with_every_record_is_not_flat() {
        let curve = curve(|records| 3e6 + tables(0, records as usize) + 16.0 * records);
        let told = expect_flat(&curve, 20, 0).unwrap_err().to_string();
        assert!(told.contains("memory grew by"), "{told}");
    }

    #[test]
    fn what_is_loaded_for_the_receipt_is_not_judged() {
        let mut curve = curve(|_| 3e6);
        curve[19].later = 5e6;
        expect_flat(&curve, 20, 0).expect("flat");
        curve[19].wasm += 5e6;
        assert!(expect_flat(&curve, 20, 0).is_err());
    }

    #[test]
    fn the_longest_answer_may_lie_elsewhere_once_and_not_again() {
        let grown =
            |times: f64| curve(move |records| 3e6 + if records > 5e4 { times * 4e6 } else { 0.0 });
        expect_flat(&grown(1.0), 20, 4_000_000).expect("flat");
        assert!(expect_flat(&grown(2.0), 20, 4_000_000).is_err());
    }

    #[test]
    fn a_bulge_in_the_middle_is_not_flat_either() {
        let curve = curve(|records| if records == 50_000.0 { 9e6 } else { 3e6 });
        let told = expect_flat(&curve, 20, 0).unwrap_err().to_string();
        assert!(told.contains("to 50000 records"), "{told}");
    }

    #[test]
    fn what_happens_before_is_not_judged() {
        expect_flat(
            &curve(|records| if records < 15_000.0 { 1e6 } else { 6e6 }),
            20,
            0,
        )
        .expect("flat");
    }

    #[test]
    fn a_curve_that_was_not_looked_at_is_no_flat_one() {
        assert!(expect_flat(&[], 20, 0).is_err());
        assert!(expect_flat(&curve(|_| 1e6)[..8], 20, 0).is_err());
        assert_eq!(growth(&[], 20), None);
    }
}
