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
    /// What of the renderer is resident, in bytes.
    pub(crate) resident: f64,
}

pub(crate) const MIB: f64 = 1_048_576.0;

/// What a record may take in the course of it: its id is kept as a digest of twelve bytes, in a table that doubles.
pub(crate) const BYTES_PER_RECORD: f64 = 32.0;
/// What two looks at the same memory may differ by: where the records of a page lie, and what the browser keeps for itself.
pub(crate) const PLAY: f64 = MIB;

/// How far heap and WebAssembly grew from one share of the records to the last sample, in bytes, and how many records were
/// between.
pub(crate) fn growth(curve: &[Sample], from_percent: usize) -> Option<(f64, usize)> {
    let first = curve.iter().find(|it| it.percent >= from_percent)?;
    let last = curve.last()?;
    let of = |sample: &Sample| sample.heap + sample.wasm;
    let records = last.records.checked_sub(first.records)?;
    (records > 0).then(|| (of(last) - of(first), records))
}

/// Fails unless the curve is flat from that share on: no sample of it is higher than the first one by more than what the
/// records between may take.
pub(crate) fn expect_flat(curve: &[Sample], from_percent: usize) -> Result<()> {
    let from = curve.iter().position(|it| it.percent >= from_percent);
    let part = from.map_or(&[][..], |from| &curve[from..]);
    ensure!(
        part.len() >= 10,
        "memory was looked at {} times from {from_percent} % on",
        part.len()
    );
    let first = part[0];
    for sample in part {
        let grown = sample.heap + sample.wasm - first.heap - first.wasm;
        let records = (sample.records - first.records) as f64;
        ensure!(
            grown <= records * BYTES_PER_RECORD + PLAY,
            "from {} to {} records heap and WebAssembly memory grew by {grown:.0} bytes",
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
    fn a_table_of_what_was_seen_is_flat_enough() {
        let curve = curve(|records| 3e6 + 16.0 * records);
        expect_flat(&curve, 20).expect("flat");
        assert_eq!(growth(&curve, 20), Some((16.0 * 80_000.0, 80_000)));
    }

    #[test]
    fn what_grows_with_every_record_is_not_flat() {
        let curve = curve(|records| 3e6 + 64.0 * records);
        let told = expect_flat(&curve, 20).unwrap_err().to_string();
        assert!(told.contains("memory grew by"), "{told}");
    }

    #[test]
    fn a_bulge_in_the_middle_is_not_flat_either() {
        let curve = curve(|records| if records == 50_000.0 { 9e6 } else { 3e6 });
        let told = expect_flat(&curve, 20).unwrap_err().to_string();
        assert!(told.contains("to 50000 records"), "{told}");
    }

    #[test]
    fn what_happens_before_is_not_judged() {
        expect_flat(
            &curve(|records| if records < 15_000.0 { 1e6 } else { 6e6 }),
            20,
        )
        .expect("flat");
    }

    #[test]
    fn a_curve_that_was_not_looked_at_is_no_flat_one() {
        assert!(expect_flat(&[], 20).is_err());
        assert!(expect_flat(&curve(|_| 1e6)[..8], 20).is_err());
        assert_eq!(growth(&[], 20), None);
    }
}
