//! `cargo xtask fuzz`: looks for inputs that break a promise of `dev/fuzz`, with cargo-fuzz and a nightly compiler.
//!
//! What every compiler can do, to hand in the known inputs once more, is a test of the package `fuzz`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::setup::{self, Need};
use crate::workspace::{Result, Workspace, run};

const USAGE: &str = "cargo xtask fuzz [--seconds N] [--minimise] [TARGET…]";
/// Where programs, logs, what is tried and what is found lie.
const FOLDER: &str = "target/fuzz";
const CORPUS: &str = "dev/fuzz/corpus";
/// So much of a corpus is kept in the repository, so many inputs, and so much of one.
const KEPT_OCTETS: u64 = 55_000;
const KEPT_INPUTS: usize = 100;
const LONGEST_INPUT: u64 = 8_192;
/// A program takes one core.
const SIDE_BY_SIDE: usize = 2;

/// What one target did.
struct Report {
    target: String,
    executions: u64,
    coverage: u64,
    /// Where the input is that broke a promise, and what was said.
    finding: Option<String>,
}

/// Looks for so many seconds with each target, or with those that are named, and prints what came of it.
pub(crate) fn task(workspace: &Workspace, arguments: &[&str]) -> Result<ExitCode> {
    let (mut seconds, mut minimises, mut named) = (600, false, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--seconds" => seconds = arguments.next().ok_or(USAGE)?.parse()?,
            "--minimise" => minimises = true,
            option if option.starts_with('-') => return Err(USAGE.into()),
            target => named.push(target),
        }
    }
    setup::install_missing(workspace, &[Need::Fuzzer])?;
    if !setup::has_nightly(workspace) {
        return Err("this needs a nightly compiler: `rustup toolchain install nightly`".into());
    }
    let found = look(workspace, seconds, &named)?;
    if minimises {
        minimise(workspace, &named)?;
    }
    Ok(match found {
        Findings(0) => ExitCode::SUCCESS,
        Findings(_) => ExitCode::FAILURE,
    })
}

/// How many targets found something.
pub(crate) struct Findings(pub(crate) u64);

/// A few seconds with each target; how many there are, and how many found something.
pub(crate) fn look_shortly(workspace: &Workspace, seconds: u32) -> Result<(u64, Findings)> {
    let count = targets(workspace, &[])?.len() as u64;
    Ok((count, look(workspace, seconds, &[])?))
}

fn look(workspace: &Workspace, seconds: u32, named: &[&str]) -> Result<Findings> {
    let targets = targets(workspace, named)?;
    let programs = build(workspace)?;
    let waiting = Mutex::new(targets.into_iter());
    let reports = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let Some(target) = waiting.lock().ok().and_then(|mut it| it.next()) else {
                        return;
                    };
                    let report = try_one(workspace, &programs, target, seconds);
                    // What an error holds need not go from thread to thread.
                    let report = report.map_err(|error| error.to_string());
                    if let Ok(mut reports) = reports.lock() {
                        reports.push(report);
                    }
                }
            });
        }
    });
    let mut found = 0;
    println!("  {:<22}{:>14}{:>10}", "", "executions", "coverage");
    for report in reports.into_inner().map_err(|_| "a thread failed")? {
        let report = report?;
        println!(
            "  {:<22}{:>14}{:>10}",
            report.target, report.executions, report.coverage
        );
        if let Some(finding) = report.finding {
            found += 1;
            println!("    {finding}");
        }
    }
    Ok(Findings(found))
}

/// The targets of these names, or all.
fn targets(workspace: &Workspace, named: &[&str]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for program in fs::read_dir(workspace.path("dev/fuzz/libfuzzer/fuzz_targets"))? {
        let program = program?.path();
        all.extend(
            program
                .file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    all.sort();
    if let Some(unknown) = named.iter().find(|name| !all.iter().any(|it| it == *name)) {
        return Err(format!("no such target: {unknown}. There are: {}", all.join(", ")).into());
    }
    all.retain(|name| named.is_empty() || named.contains(&name.as_str()));
    Ok(all)
}

/// Builds all programs; says where they are.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    // No sanitizer: it looks for what `unsafe` code does wrong, and there is none here. Without it more is tried.
    run(&mut workspace.command(
        "rustup",
        &[
            "run",
            "nightly",
            "cargo",
            "fuzz",
            "build",
            "--fuzz-dir",
            "dev/fuzz/libfuzzer",
            "--target-dir",
            FOLDER,
            "--sanitizer",
            "none",
            "--release",
            "--debug-assertions",
        ],
    ))?;
    let host = setup::host(workspace)?;
    Ok(workspace.path(FOLDER).join(host).join("release"))
}

fn try_one(workspace: &Workspace, programs: &Path, target: String, seconds: u32) -> Result<Report> {
    let folder = workspace.path(FOLDER);
    let (own, artifacts) = (
        folder.join("corpus").join(&target),
        folder.join("artifacts").join(&target),
    );
    fs::create_dir_all(&own)?;
    fs::create_dir_all(&artifacts)?;
    let log = folder.join(format!("{target}.log"));
    let mut command = Command::new(programs.join(&target));
    command
        .current_dir(workspace.path(""))
        .stdout(Stdio::null())
        .stderr(File::create(&log)?);
    command.args([
        format!("-max_total_time={seconds}"),
        // Of one input: what takes longer hangs, what takes more grows without bound.
        "-timeout=10".to_owned(),
        "-rss_limit_mb=1500".to_owned(),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    // What is new goes into the first of these folders.
    command.arg(&own).arg(workspace.path(CORPUS).join(&target));
    let succeeded = command.status()?.success();
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    Ok(Report {
        executions: executions(&said),
        coverage: coverage(&said),
        finding: (!succeeded).then(|| {
            let what = said
                .lines()
                .find(|line| line.contains("panicked at") || line.contains("ERROR: "));
            format!(
                "{}: see {} and {}",
                what.unwrap_or("it ended badly"),
                log.display(),
                artifacts.display()
            )
        }),
        target,
    })
}

/// `stat::number_of_executed_units: 1082`.
fn executions(said: &str) -> u64 {
    let mut lines = said.lines();
    let count = lines.find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or_default()
}

/// The last `cov: 2708`.
fn coverage(said: &str) -> u64 {
    let last = said.rsplit("cov: ").next().unwrap_or_default();
    last.split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or_default()
}

/// Puts the smallest inputs that reach all that was reached into the repository.
fn minimise(workspace: &Workspace, named: &[&str]) -> Result {
    let programs = build(workspace)?;
    for target in targets(workspace, named)? {
        let kept = workspace.path(FOLDER).join("minimised").join(&target);
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        fs::create_dir_all(&kept)?;
        let corpus = workspace.path(CORPUS).join(&target);
        let mut merge = Command::new(programs.join(&target));
        merge.args(["-merge=1".to_owned(), format!("-max_len={LONGEST_INPUT}")]);
        merge
            .arg(&kept)
            .arg(&corpus)
            .arg(workspace.path(FOLDER).join("corpus").join(&target));
        if !merge.stderr(Stdio::null()).status()?.success() {
            return Err(format!("{target}: the corpus can't be minimised").into());
        }
        let mut inputs = Vec::new();
        for input in fs::read_dir(&kept)? {
            let input = input?;
            inputs.push((input.metadata()?.len(), input.file_name(), input.path()));
        }
        inputs.sort();
        fs::remove_dir_all(&corpus)?;
        fs::create_dir_all(&corpus)?;
        // Of all lengths some: the short ones alone say little.
        let step = inputs.len().div_ceil(KEPT_INPUTS).max(1);
        let mut octets = 0;
        for (length, name, path) in inputs.into_iter().rev().step_by(step) {
            octets += length;
            if octets <= KEPT_OCTETS {
                fs::copy(path, corpus.join(name))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_did_is_read_from_what_it_says() {
        let said = "#2\tINITED cov: 12 ft: 3\n#1082\tDONE   cov: 2708 ft: 20476 corp: 470/108Kb\n\
                    stat::number_of_executed_units: 1082\nstat::average_exec_per_sec: 41\n";
        assert_eq!((executions(said), coverage(said)), (1082, 2708));
        assert_eq!((executions("x"), coverage("x")), (0, 0));
    }

    #[test]
    fn a_target_that_is_none_is_named() {
        let workspace = Workspace::locate().expect("the workspace");
        assert!(targets(&workspace, &[]).expect("targets").len() > 10);
        assert_eq!(targets(&workspace, &["json"]).expect("one"), ["json"]);
        let error = targets(&workspace, &["jsn"]).expect_err("none");
        assert!(error.to_string().contains("jsn"));
    }
}
