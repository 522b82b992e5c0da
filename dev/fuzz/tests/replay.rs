//! Every known input once more, on any compiler: the seeds, what the fuzzer kept of what it tried, and what it found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The inputs of a folder, by target.
fn inputs(folder: &str) -> Vec<(String, Vec<PathBuf>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut all = Vec::new();
    for target in fs::read_dir(&root).expect("a folder of inputs") {
        let target = target.expect("an entry").path();
        let files = fs::read_dir(&target).expect("a folder of a target");
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("an entry").path()).collect();
        files.sort();
        let name = target.file_name().expect("a name").to_string_lossy();
        all.push((name.into_owned(), files));
    }
    all.sort();
    all
}

fn replay(folder: &str) -> usize {
    let mut count = 0;
    for (name, files) in inputs(folder) {
        for file in files {
            // A panic does not say which input it was.
            eprintln!("{}", file.display());
            fuzz::run(&name, &fs::read(&file).expect("an input"));
            count += 1;
        }
    }
    count
}

#[test]
fn what_was_tried_before_keeps_its_promises() {
    assert!(replay("corpus") > 1_000);
}

#[test]
fn what_was_found_is_mended() {
    assert!(replay("findings") > 0);
}

#[test]
fn each_target_has_a_program_and_inputs() {
    let targets: BTreeSet<String> = fuzz::TARGETS
        .iter()
        .map(|(name, _)| (*name).into())
        .collect();
    assert_eq!(targets.len(), fuzz::TARGETS.len());
    let with_inputs: BTreeSet<String> = inputs("corpus")
        .into_iter()
        .filter_map(|(name, files)| (!files.is_empty()).then_some(name))
        .collect();
    assert_eq!(with_inputs, targets);
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets");
    let mut named = BTreeSet::new();
    for program in fs::read_dir(programs).expect("the programs") {
        let program = program.expect("an entry").path();
        let name = program
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&program).expect("a program");
        assert!(
            text.contains(&format!("fuzz::run(\"{name}\", input)")),
            "{name}"
        );
        named.insert(name);
    }
    assert_eq!(named, targets);
}

#[test]
fn the_inputs_in_the_repository_stay_small() {
    let mut octets = 0;
    for (name, files) in inputs("corpus").into_iter().chain(inputs("findings")) {
        for file in files {
            let length = fs::metadata(&file).expect("an input").len();
            assert!(length <= 16_384, "{name}: {}", file.display());
            octets += length;
        }
    }
    assert!(octets <= 1_000_000, "{octets} octets");
}
