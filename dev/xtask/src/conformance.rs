//! Holds `docs/conformance.md`, `SECURITY.md` and `dev/fuzz/README.md` to the tests that they name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::code_spans;

const CONFORMANCE: &str = include_str!("../../../docs/conformance.md");
const SECURITY: &str = include_str!("../../../SECURITY.md");
const FUZZ: &str = include_str!("../../fuzz/README.md");

/// Where a file may be that a document names without folder and ending.
const PLACES: [&str; 7] = [
    "src",
    "tests",
    "dev/e2e/tests",
    "dev/interop/tests",
    "dev/sandbox/tests",
    "dev/fuzz/tests",
    "dev/xtask/src",
];

/// The tests that a text names, each as `file: test`.
fn named(text: &str) -> Vec<(String, String)> {
    let is_letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let is_name = |text: &str| !text.is_empty() && text.chars().all(is_letter);
    let pairs = code_spans(text).into_iter().filter_map(|(_, code)| {
        let (file, test) = code.split_once(": ")?;
        let is_named = file.split('/').all(is_name) && is_name(test);
        is_named.then(|| (file.to_owned(), test.to_owned()))
    });
    pairs.collect()
}

/// The files that may be meant.
fn files(file: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = PLACES.iter().map(|place| root.join(place));
    let files = places.map(|place| place.join(file).with_extension("rs"));
    files.filter(|file| file.is_file()).collect()
}

/// The rows of all tables below a heading, up to the next of the same rank: their cells.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = text.split("\n## ").find(|it| it.starts_with(heading));
    let lines = section.unwrap_or_default().lines();
    let cells = |line: &'a str| line.split('|').map(str::trim).collect::<Vec<_>>();
    let rows = lines.filter(|line| line.starts_with('|')).map(cells);
    // Neither heads of tables nor the lines below them.
    rows.filter(|cells| cells[1].ends_with(|it: char| it.is_ascii_digit()))
        .collect()
}

/// How many rows each letter has.
fn expect_rows(heading: &str, expected: &[(&str, usize)]) {
    let rows = rows(CONFORMANCE, heading);
    let found: Vec<&str> = rows.iter().map(|cells| cells[1]).collect();
    let numbered = |&(letter, count): &(&str, usize)| {
        (1..=count)
            .map(|number| format!("{letter}{number}"))
            .collect::<Vec<_>>()
    };
    let expected: Vec<String> = expected.iter().flat_map(numbered).collect();
    assert_eq!(found, expected);
    for cells in rows {
        let (row, last) = (cells.join(" | "), cells[cells.len() - 2]);
        let has_reason = last.starts_with("Reason: ") && last.len() > 20;
        assert!(!named(last).is_empty() || has_reason, "no test: {row}");
        // A line begins and ends with a bar.
        let told = &cells[1..cells.len() - 1];
        assert!(told.iter().all(|cell| !cell.is_empty()), "{row}");
    }
}

#[test]
fn conformance_has_each_row_of_the_standards_with_a_test_or_a_reason() {
    let rows = [
        ("D", 13),
        ("A", 16),
        ("R", 9),
        ("T", 12),
        ("I", 10),
        ("U", 11),
        ("B", 5),
    ];
    expect_rows("1. ", &rows);
}

#[test]
fn conformance_has_each_weakness_of_the_library_that_is_replaced() {
    expect_rows("2. ", &[("S", 11), ("A", 11), ("T", 7), ("P", 14)]);
}

#[test]
fn conformance_and_the_threat_model_name_only_tests_that_there_are() {
    for (document, text, at_least) in [
        ("docs/conformance.md", CONFORMANCE, 150),
        ("SECURITY.md", SECURITY, 40),
        ("dev/fuzz/README.md", FUZZ, 15),
    ] {
        let named = named(text);
        assert!(named.len() >= at_least, "{document}: {}", named.len());
        for (file, test) in named {
            let found = files(&file);
            assert!(!found.is_empty(), "{document}: there is no file {file}");
            let definition = format!("fn {test}(");
            let is_there = found
                .iter()
                .any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&definition)));
            assert!(is_there, "{document}: {file} has no test {test}");
        }
    }
}
