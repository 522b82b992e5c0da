//! The figures as a table, on the terminal and in `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::jobs::{JOBS, Job, THROTTLES, Work};
use crate::results::{Machine, Measured, Results};
use crate::side::Side;
use crate::soak;
use crate::startup::measure_at;
use crate::statistics::Spread;

const BEGIN: &str =
    "<!-- figures: `cargo xtask bench --write docs/benchmarks.md` writes what follows -->";
const END: &str = "<!-- end of figures -->";
/// What a job's part of a document begins with.
const HEADING: &str = "\n### ";
/// What the machine is told behind, and that of a table that is from another one.
const HERE: &str = "Machine: ";
const ELSEWHERE: &str = "On another machine: ";

const COLUMNS: [(Side, &str); 4] = [
    (Side::Ours, "jhe-connect"),
    (Side::Peer, "fhirclient"),
    (Side::PurePeer, "pure"),
    (Side::Floor, "floor"),
];

/// One line of a table.
struct Row {
    title: String,
    measure: String,
    unit: Unit,
    /// At most this, as a ratio to fhirclient.
    aim: Option<f64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Milliseconds,
    Mebibytes,
    Count,
}

/// What a document shows of a job: the day, and a table.
fn rows(job: &Job) -> Vec<Row> {
    let row = |title: &str, measure: &str, unit, aim| Row {
        title: title.to_owned(),
        measure: measure.to_owned(),
        unit,
        aim,
    };
    match job.work {
        Work::Import(_) => {
            let (mut wall, mut cpu, mut memory) = (None, None, None);
            match job.name {
                "batch-50ms" | "single-2w" | "chart-5k" => wall = Some(0.60),
                "single-8w" => wall = Some(0.25),
                "batch-cpu" => (cpu, memory) = (Some(0.85), Some(0.15)),
                "chart-5k-cpu" => (cpu, memory) = (Some(0.85), Some(0.50)),
                _ => {}
            }
            vec![
                row("wall time, s", "wall_ms", Unit::Seconds, wall),
                row("renderer's processor time, s", "cpu_ms", Unit::Seconds, cpu),
                row(
                    "JS heap and WebAssembly memory, peak, MiB",
                    "heap_and_wasm_mib",
                    Unit::Mebibytes,
                    memory,
                ),
                row(
                    "of these, WebAssembly, MiB",
                    "wasm_mib",
                    Unit::Mebibytes,
                    None,
                ),
                row(
                    "buffers that scripts hold, peak, MiB",
                    "buffers_mib",
                    Unit::Mebibytes,
                    None,
                ),
                row(
                    "resident, peak above the start, MiB",
                    "resident_mib",
                    Unit::Mebibytes,
                    None,
                ),
                row("write requests", "writes", Unit::Count, None),
            ]
        }
        // A soak has tables of its own.
        Work::Soak(..) => Vec::new(),
        Work::Startup => THROTTLES
            .iter()
            .map(|throttle| {
                let title = format!("start, ms, processor at 1/{throttle}");
                row(
                    &title,
                    &measure_at(*throttle),
                    Unit::Milliseconds,
                    Some(0.5),
                )
            })
            .collect(),
        Work::Size => vec![
            row(
                "page that imports, with brotli, bytes",
                "brotli_bytes",
                Unit::Count,
                None,
            ),
            row(
                "both pages, with brotli, bytes",
                "brotli_both_bytes",
                Unit::Count,
                None,
            ),
            row(
                "page that imports, as they are, bytes",
                "raw_bytes",
                Unit::Count,
                None,
            ),
        ],
    }
}

/// The tables of some jobs, for the terminal.
pub(crate) fn text(results: &Results, names: &[&str]) -> String {
    let jobs = JOBS.iter().filter(|job| names.contains(&job.name));
    jobs.map(|job| section(job, results)).collect()
}

/// Tables for a document: new ones of the jobs that were `measured`, of the others those that it had.
fn figures(earlier: &Earlier<'_>, results: &Results, measured: &[&str]) -> String {
    let machine = described(&results.machine);
    let mut told = format!(
        "{HERE}{machine}\n\nMedians, with the least and the most in parentheses. Ratios are those of medians. \
         An empty cell was not measured.\n"
    );
    for job in JOBS {
        if measured.contains(&job.name) {
            told += &section(job, results);
        } else if let Some((_, body)) = earlier.sections.get(job.name) {
            told += &format!("{}\n\n{}\n", heading(job), body.trim());
            let elsewhere = earlier.machine_of(job.name);
            if elsewhere != Some(&machine) {
                let elsewhere = elsewhere.unwrap_or("unknown");
                let _ = writeln!(told, "\n{ELSEWHERE}{elsewhere}");
            }
        }
    }
    told
}

/// What a document says between its marks.
struct Earlier<'a> {
    machine: Option<&'a str>,
    /// What is below the headings, by the names of the jobs; and another machine, if it is told there.
    sections: BTreeMap<&'a str, (Option<&'a str>, &'a str)>,
}

impl<'a> Earlier<'a> {
    fn read(figures: &'a str) -> Earlier<'a> {
        let mut parts = figures.split(HEADING);
        let top = parts.next().unwrap_or_default();
        let sections = parts.filter_map(|part| {
            let (title, body) = part.split_once('\n')?;
            let name = title.strip_prefix('`')?.split('`').next()?;
            let (body, elsewhere) = match body.split_once(ELSEWHERE) {
                Some((body, elsewhere)) => (body, Some(elsewhere.trim())),
                None => (body, None),
            };
            Some((name, (elsewhere, body)))
        });
        Earlier {
            machine: top.lines().find_map(|line| line.strip_prefix(HERE)),
            sections: sections.collect(),
        }
    }

    fn machine_of(&self, job: &str) -> Option<&'a str> {
        let (elsewhere, _) = self.sections.get(job)?;
        elsewhere.or(self.machine)
    }
}

fn described(machine: &Machine) -> String {
    format!(
        "{} x {}, {} GiB, {}. {}.",
        machine.cores, machine.processor, machine.memory_gib, machine.system, machine.browser
    )
}

fn heading(job: &Job) -> String {
    format!("{HEADING}`{}`: {}", job.name, job.about)
}

fn section(job: &Job, results: &Results) -> String {
    let mut told = format!("{}\n\n", heading(job));
    let measured = results.jobs.get(job.name);
    told += &match job.work {
        Work::Soak(import, soak) => {
            let ours = measured.and_then(|it| it.sides.get(&Side::Ours));
            let runs = ours.map_or(&[][..], |ours| &ours.runs);
            soak::told::text(soak, import.records, runs)
        }
        _ => table(job, results),
    };
    if let Some(growth) = growth(job, results) {
        let _ = writeln!(
            told,
            "\nFrom 10,000 (`batch-cpu`) to 100,000 records jhe-connect's heap and WebAssembly memory grow by {growth:.1} bytes a \
             further record (aim: at most 32)."
        );
    }
    let Some(measured) = measured else {
        return told;
    };
    for (side, title) in COLUMNS {
        let failure = measured
            .sides
            .get(&side)
            .and_then(|side| side.failure.as_ref());
        if let Some(failure) = failure {
            let _ = writeln!(told, "\n{title} did not do this job: {failure}");
        }
    }
    let _ = writeln!(told, "\n{}", circumstances(measured));
    told
}

fn circumstances(measured: &Measured) -> String {
    let runs: Vec<String> = COLUMNS
        .iter()
        .filter_map(|(side, title)| Some((measured.sides.get(side)?, title)))
        .map(|(side, title)| format!("{title} {}", side.runs.len()))
        .collect();
    format!(
        "{}, `{}`, load {:.1} at the start; runs: {}.",
        measured.day,
        measured.bundle,
        measured.load,
        runs.join(", ")
    )
}

fn table(job: &Job, results: &Results) -> String {
    let mut lines = vec![
        [
            "",
            "jhe-connect",
            "fhirclient",
            "pure",
            "floor",
            "jhe-connect / fhirclient",
            "/ pure",
            "/ floor",
            "aim",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for row in rows(job) {
        let spread = |side| results.spread(job.name, side, &row.measure);
        let ours = spread(Side::Ours);
        let ratio = |side| {
            let ratio = ours.and_then(|ours| ours.ratio(spread(side)?));
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        };
        let mut line = vec![row.title.clone()];
        line.extend(
            COLUMNS.map(|(side, _)| spread(side).map_or_else(String::new, |it| cell(it, row.unit))),
        );
        line.push(ratio(Side::Peer));
        line.push(ratio(Side::PurePeer));
        line.push(ratio(Side::Floor));
        line.push(
            row.aim
                .map_or_else(String::new, |aim| format!("≤ {aim:.2}")),
        );
        lines.push(line);
    }
    aligned(&lines)
}

/// A Markdown table that is readable as it is.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut told = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(told, "| {cell:width$} ");
        }
        told += "|\n";
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                // Numbers stand at the right.
                let (dashes, end) = if column == 0 {
                    (width + 2, "")
                } else {
                    (width + 1, ":")
                };
                let _ = write!(told, "|{}{end}", "-".repeat(dashes));
            }
            told += "|\n";
        }
    }
    told
}

fn cell(spread: Spread, unit: Unit) -> String {
    let number = |value: f64| match unit {
        Unit::Seconds => format!("{:.2}", value / 1_000.0),
        Unit::Milliseconds | Unit::Mebibytes => format!("{value:.1}"),
        Unit::Count => grouped(value),
    };
    let (median, least, most) = (
        number(spread.median),
        number(spread.least),
        number(spread.most),
    );
    if least == most {
        median
    } else {
        format!("{median} ({least}–{most})")
    }
}

/// A whole number with commas.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut told = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// How much memory our side takes for each record more, in bytes.
fn growth(job: &Job, results: &Results) -> Option<f64> {
    if job.name != "batch-100k" {
        return None;
    }
    let peak = |job| Some(results.spread(job, Side::Ours, "heap_and_wasm_mib")?.median);
    Some((peak("batch-100k")? - peak("batch-cpu")?) * 1_048_576.0 / 90_000.0)
}

/// A run in a line, while it goes on.
pub(crate) fn line(run: &BTreeMap<String, f64>) -> String {
    let of = |name: &str| run.get(name).copied().unwrap_or_default();
    format!(
        "{:6.2} s, cpu {:5.2} s, heap {:5.1} + wasm {:4.1} MiB, resident +{:5.1} MiB, {} writes",
        of("wall_ms") / 1_000.0,
        of("cpu_ms") / 1_000.0,
        of("heap_mib"),
        of("wasm_mib"),
        of("resident_mib"),
        of("writes"),
    )
}

/// The day, by the machine's clock (UTC).
pub(crate) fn today() -> String {
    let now = sandbox::Timestamp::now(0).with_seconds();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// A document with the tables of the jobs that were `measured` in place of those between its two marks, where those of other
/// jobs stay; `None` if it has no marks.
pub(crate) fn with_figures(document: &str, results: &Results, measured: &[&str]) -> Option<String> {
    let start = document.find(BEGIN)? + BEGIN.len();
    let end = start + document[start..].find(END)?;
    let earlier = Earlier::read(&document[start..end]);
    Some(format!(
        "{}\n\n{}\n{}",
        &document[..start],
        figures(&earlier, results, measured),
        &document[end..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcomes;

    fn outcomes(measure: &str, values: &[f64]) -> Outcomes {
        Outcomes {
            runs: values
                .iter()
                .map(|value| BTreeMap::from([(measure.to_owned(), *value)]))
                .collect(),
            failure: None,
        }
    }

    fn results() -> Results {
        let sides = BTreeMap::from([
            (
                Side::Ours,
                outcomes("wall_ms", &[6_000.0, 5_000.0, 7_500.0]),
            ),
            (Side::Peer, outcomes("wall_ms", &[12_000.0])),
        ]);
        let measured = Measured {
            sides,
            ..Measured::default()
        };
        Results {
            jobs: BTreeMap::from([("batch-50ms".to_owned(), measured)]),
            ..Results::default()
        }
    }

    #[test]
    fn a_row_has_medians_ranges_ratio_and_aim() {
        let table = text(&results(), &["batch-50ms"]);
        let row = table
            .lines()
            .find(|line| line.contains("wall time"))
            .expect("a row");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(
            cells,
            [
                "",
                "wall time, s",
                "6.00 (5.00–7.50)",
                "12.00",
                "",
                "",
                "0.50",
                "",
                "",
                "≤ 0.60",
                ""
            ]
        );
    }

    #[test]
    fn a_failure_is_told_below_the_table() {
        let mut results = results();
        let job = results.jobs.get_mut("batch-50ms").expect("the job");
        job.sides.entry(Side::Floor).or_default().failure =
            Some("2 of 3 records were written".to_owned());
        let told = text(&results, &["batch-50ms"]);
        assert!(told.contains("floor did not do this job: 2 of 3 records were written"));
    }

    #[test]
    fn only_the_figures_of_a_document_are_replaced() {
        let document = format!("before\n{BEGIN}\nstale\n{END}\nafter\n");
        let measured = ["batch-50ms"];
        let replace = |document: &str| with_figures(document, &results(), &measured);
        let replaced = replace(&document).expect("marks");
        assert!(replaced.starts_with(&format!("before\n{BEGIN}\n\nMachine: ")));
        assert!(replaced.ends_with(&format!("\n{END}\nafter\n")));
        assert!(!replaced.contains("stale"));
        assert!(!replaced.contains("`batch-cpu`"), "{replaced}");
        assert_eq!(replace(&replaced), Some(replaced));
        assert_eq!(replace("no marks"), None);
    }

    #[test]
    fn tables_of_other_jobs_stay_and_say_where_they_are_from() {
        let old = "Machine: an abacus.\n\n### `size`: stale words\n\n| beads |\n\n2020-01-01\n\n### `gone`: x\n\n| y |\n";
        let document = format!("{BEGIN}\n\n{old}\n{END}\n");
        let replaced = with_figures(&document, &results(), &["batch-50ms"]).expect("marks");
        let size = JOBS.iter().find(|job| job.name == "size").expect("a job");
        let kept = format!(
            "{}\n\n| beads |\n\n2020-01-01\n\nOn another machine: an abacus.\n",
            heading(size)
        );
        assert!(replaced.contains(&kept), "{replaced}");
        assert!(replaced.contains("### `batch-50ms`") && !replaced.contains("| y |"));
        assert_eq!(
            with_figures(&replaced, &results(), &["batch-50ms"]),
            Some(replaced.clone())
        );

        let back = Machine {
            browser: "an abacus".to_owned(),
            ..Machine::default()
        };
        let here = replaced.replace("an abacus.", &described(&back));
        let results = Results {
            machine: back,
            ..results()
        };
        let replaced = with_figures(&here, &results, &["batch-50ms"]).expect("marks");
        assert!(
            replaced.contains("| beads |\n\n2020-01-01\n\n<!--"),
            "{replaced}"
        );
    }

    #[test]
    fn the_document_tells_of_every_job() {
        const DOCUMENT: &str = include_str!("../../../docs/benchmarks.md");
        for job in JOBS {
            let row = format!("\n| `{}` |", job.name);
            assert!(DOCUMENT.contains(&row), "{}", job.name);
        }
        assert!(DOCUMENT.contains(BEGIN) && DOCUMENT.contains(END));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(59_229.0), "59,229");
        assert_eq!(grouped(100.0), "100");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }

    #[test]
    fn memory_is_compared_with_that_of_a_tenth_of_the_records() {
        let mut results = results();
        for (job, mib) in [("batch-cpu", 4.0), ("batch-100k", 7.0)] {
            let sides = BTreeMap::from([(Side::Ours, outcomes("heap_and_wasm_mib", &[mib]))]);
            let measured = Measured {
                sides,
                ..Measured::default()
            };
            results.jobs.insert(job.to_owned(), measured);
        }
        assert!(text(&results, &["batch-100k"]).contains("grow by 35.0 bytes"));
    }
}
