//! What a document tells of a soak.

use std::collections::BTreeMap;

use crate::report::{aligned, grouped};
use crate::soak::curve::{DIGEST, MIB, PLAY};
use crate::soak::mishap::{Mishap, Place};
use crate::soak::{STEP, Soak, asked_measure, met_measure, sample_measure};

/// The measures of one run.
type Measures = BTreeMap<String, f64>;

/// A table of what happened, one of the memory, and the rule that it kept.
pub(crate) fn text(soak: Soak, records: usize, runs: &[Measures]) -> String {
    let tables = match runs {
        [] => String::new(),
        _ => format!(
            "{}\n{}\n",
            aligned(&happened(records, runs)),
            aligned(&curve(runs))
        ),
    };
    format!(
        "{tables}A run counts only if each of the {} labs is in JHE once and says what it said at the hospital, if none was sent again \
         without a lost answer, if the page tells their number, and if heap and WebAssembly memory, from {} % of the records on, are \
         never higher than at that look by more than the tables that the ids have moved into since ({DIGEST} bytes a place, 2^n places, of \
         which 7/8 are taken at most), and {:.0} MiB.\n",
        grouped(records as f64),
        soak.flat_from,
        (PLAY + soak.longest as f64) / MIB
    )
}

fn heading(first: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(cells).collect()
}

fn happened(records: usize, runs: &[Measures]) -> Vec<Vec<String>> {
    let of = |run: &Measures, name: &str| run.get(name).copied().unwrap_or_default();
    let row =
        |title: &str, tell: &dyn Fn(&Measures) -> String| heading(title, runs.iter().map(tell));
    let met = |run: &Measures, place| -> f64 {
        let all = Mishap::ALL.map(|mishap| of(run, &met_measure(place, mishap)));
        all.iter().sum()
    };
    let asked = |run: &Measures, place| of(run, &asked_measure(place));
    let places = |tell: &dyn Fn(Place) -> f64| {
        let told: Vec<String> = Place::ALL.iter().map(|it| grouped(tell(*it))).collect();
        told.join(" / ")
    };
    let mut lines = vec![
        row("", &|run| format!("seed {:.0}", of(run, "seed"))),
        row("labs in JHE, each once", &|_| grouped(records as f64)),
        row("wall time, s", &|run| {
            format!("{:.1}", of(run, "wall_ms") / 1_000.0)
        }),
        row("renderer's processor time, s", &|run| {
            format!("{:.1}", of(run, "cpu_ms") / 1_000.0)
        }),
        row("load of the machine, start / end", &|run| {
            format!(
                "{:.1} / {:.1}",
                of(run, "load_before"),
                of(run, "load_after")
            )
        }),
        row(
            "requests for pages / writes / looks at what JHE holds",
            &|run| places(&|place| asked(run, place)),
        ),
        row("of these went wrong", &|run| {
            let wrong: f64 = Place::ALL.iter().map(|place| met(run, *place)).sum();
            let all: f64 = Place::ALL.iter().map(|place| asked(run, *place)).sum();
            let percent = 100.0 * wrong / all.max(1.0);
            format!("{}, {percent:.1} %", places(&|place| met(run, place)))
        }),
    ];
    for mishap in Mishap::ALL {
        lines.push(row(&format!("– {}", mishap.title()), &|run| {
            places(&|place| of(run, &met_measure(place, mishap)))
        }));
    }
    if runs.iter().any(|run| of(run, "away") > 0.0) {
        lines.push(row("besides: requests that found JHE away", &|run| {
            grouped(of(run, "away"))
        }));
    }
    lines.push(row("records that were written again", &|run| {
        grouped(of(run, "again"))
    }));
    let told = |value: Option<&f64>| value.map_or_else(String::new, |it| format!("{it:.1}"));
    lines.push(row(
        "growth of heap and WebAssembly, bytes a record",
        &|run| told(run.get("growth_bytes")),
    ));
    lines
}

fn curve(runs: &[Measures]) -> Vec<Vec<String>> {
    const COLUMNS: [(&str, &str); 4] = [
        ("s", "s"),
        ("heap_mib", "heap"),
        ("wasm_mib", "WebAssembly"),
        ("resident_mib", "resident"),
    ];
    let columns = runs.iter().flat_map(|run| {
        let seed = run.get("seed").copied().unwrap_or_default();
        COLUMNS.map(|(_, title)| format!("{seed:.0}: {title}"))
    });
    let mut lines = vec![heading("in JHE", columns)];
    for percent in (STEP..=100).step_by(STEP) {
        let cells = runs.iter().flat_map(|run| {
            COLUMNS.map(|(what, _)| {
                let value = run.get(&sample_measure(percent, what));
                value.map_or_else(String::new, |value| match what {
                    "heap_mib" | "wasm_mib" => format!("{value:.2}"),
                    _ => format!("{value:.0}"),
                })
            })
        });
        lines.push(heading(&format!("{percent} %"), cells));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOAK: Soak = Soak {
        per_mille: 20,
        outages: &[],
        flat_from: 40,
        longest: 1 << 20,
        limit: Duration::ZERO,
    };

    #[test]
    fn mishaps_are_told_by_kind_and_place_and_memory_by_share() {
        let mut run = Measures::from([
            ("seed".to_owned(), 17.0),
            ("wall_ms".to_owned(), 61_240.0),
            ("growth_bytes".to_owned(), 13.11),
            (sample_measure(5, "heap_mib"), 1.5),
            (sample_measure(100, "resident_mib"), 151.4),
        ]);
        for (place, asked) in Place::ALL.into_iter().zip([1_000.0, 990.0, 10.0]) {
            run.insert(asked_measure(place), asked);
        }
        run.insert(met_measure(Place::Write, Mishap::Late), 30.0);
        run.insert(met_measure(Place::Page, Mishap::Slow), 10.0);
        let told = text(SOAK, 100_000, &[run]);
        for row in [
            "|seed17|",
            "|labsinJHE,eachonce|100,000|",
            "|walltime,s|61.2|",
            "|requestsforpages/writes/looksatwhatJHEholds|1,000/990/10|",
            "|ofthesewentwrong|10/30/0,2.0%|",
            "|–connectionreset,doneupto2slater|0/30/0|",
            "|growthofheapandWebAssembly,bytesarecord|13.1|",
            "|inJHE|17:s|17:heap|17:WebAssembly|17:resident|",
            "|5%||1.50|||",
            "|100%||||151|",
        ] {
            let dense: String = told.split(' ').collect();
            assert!(dense.contains(row), "{row} in {told}");
        }
        assert!(!told.contains("found JHE away"));
        assert!(told.contains("from 40 % of the records on"));
    }
}
