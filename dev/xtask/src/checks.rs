//! `cargo xtask test`: every part in order, a count of tests at the end.
//!
//! A part that could not run, ran no test, or left a test out is an error: silence would look like success.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::counts::Counts;
use crate::dist;
use crate::documents;
use crate::failures;
use crate::fuzz;
use crate::package;
use crate::seed::Seed;
use crate::setup::{self, Need};
use crate::size;
use crate::supply;
use crate::tally::Tally;
use crate::workspace::{self, Result, Workspace, output_given, run, run_reading};

struct Part {
    name: &'static str,
    about: &'static str,
    /// Is it left to `--all-browsers`?
    is_of_all_browsers: bool,
    needs: &'static [Need],
    check: fn(&Workspace) -> Result<Counts>,
}

const PARTS: &[Part] = &[
    Part {
        name: "fmt",
        about: "formatting",
        is_of_all_browsers: false,
        needs: &[Need::Components],
        check: fmt,
    },
    Part {
        name: "clippy",
        about: "lints, natively and for the browser",
        is_of_all_browsers: false,
        needs: &[Need::Components, Need::WasmTarget],
        check: clippy,
    },
    Part {
        name: "supply",
        about: "others' code: licences, sources, use, and known weaknesses",
        is_of_all_browsers: false,
        needs: &[Need::WasmTarget, Need::Supply],
        check: supply::check,
    },
    Part {
        name: "native",
        about: "native tests of the crate and of these tasks",
        is_of_all_browsers: false,
        needs: &[],
        check: native,
    },
    Part {
        name: "sandbox",
        about: "tests of the stand-in servers, with the contract test",
        is_of_all_browsers: false,
        needs: &[],
        check: sandbox,
    },
    Part {
        name: "fuzz",
        about: "hostile input: all that is known, and a few seconds of looking for more",
        is_of_all_browsers: false,
        needs: &[Need::Fuzzer],
        check: hostile_input,
    },
    Part {
        name: "browser",
        about: "tests of the crate inside Chromium",
        is_of_all_browsers: false,
        needs: &[
            Need::WasmTarget,
            Need::WasmBindgen,
            Need::WasmPack,
            Need::Browser,
        ],
        check: browser,
    },
    Part {
        name: "browser-firefox",
        about: "the same inside Firefox",
        is_of_all_browsers: true,
        needs: &[
            Need::WasmTarget,
            Need::WasmBindgen,
            Need::WasmPack,
            Need::Firefox,
        ],
        check: firefox,
    },
    Part {
        name: "browser-webkit",
        about: "the same inside WebKit",
        is_of_all_browsers: true,
        needs: &[Need::WasmTarget, Need::WasmBindgen, Need::WebKit],
        check: webkit,
    },
    Part {
        name: "dist",
        about: "the release bundle",
        is_of_all_browsers: false,
        needs: dist::NEEDS,
        check: bundle,
    },
    Part {
        name: "size",
        about: "size budget",
        is_of_all_browsers: false,
        needs: &[],
        check: budget,
    },
    Part {
        name: "package",
        about: "the release, made twice with the same bytes",
        is_of_all_browsers: false,
        needs: dist::NEEDS,
        check: release,
    },
    Part {
        name: "documents",
        about: "the commands of the documents, run",
        is_of_all_browsers: false,
        needs: dist::NEEDS,
        check: commands,
    },
    Part {
        name: "doc",
        about: "documentation",
        is_of_all_browsers: false,
        needs: &[Need::WasmTarget],
        check: doc,
    },
    Part {
        name: "e2e",
        about: "journeys through the bundle in Chromium",
        is_of_all_browsers: false,
        needs: &[Need::Browser, Need::NodeTools],
        check: journeys,
    },
    Part {
        name: "interop",
        about: "journeys to servers that others wrote",
        is_of_all_browsers: false,
        needs: &[Need::Browser, Need::Interop],
        check: interop,
    },
    Part {
        name: "e2e-firefox",
        about: "journeys through the bundle in Firefox",
        is_of_all_browsers: true,
        needs: &[Need::Firefox, Need::NodeTools],
        check: journeys_in_firefox,
    },
    Part {
        name: "e2e-webkit",
        about: "journeys through the bundle in WebKit",
        is_of_all_browsers: true,
        needs: &[Need::WebKit, Need::NodeTools],
        check: journeys_in_webkit,
    },
];

/// Is there a part of this name?
pub(crate) fn is_part(name: &str) -> bool {
    PARTS.iter().any(|part| part.name == name)
}

pub(crate) fn part_names() -> String {
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    names.join(", ")
}

/// All parts in order, up to the first that fails; those in Firefox and WebKit left out.
pub(crate) fn run_all(workspace: &Workspace) -> Result<ExitCode> {
    eprintln!("Tools");
    setup::install_missing(workspace, Need::ALL)?;
    let parts = PARTS.iter().filter(|part| !part.is_of_all_browsers);
    run_parts(workspace, &parts.collect::<Vec<_>>())
}

/// All parts in order, up to the first that fails.
pub(crate) fn run_all_in_each_browser(workspace: &Workspace) -> Result<ExitCode> {
    eprintln!("Tools");
    setup::install_missing(workspace, Need::ALL)?;
    setup::install_missing(workspace, Need::OTHER_BROWSERS)?;
    run_parts(workspace, &PARTS.iter().collect::<Vec<_>>())
}

pub(crate) fn run_one(workspace: &Workspace, name: &str) -> Result<ExitCode> {
    let at = PARTS
        .iter()
        .position(|part| part.name == name)
        .ok_or_else(|| format!("no such part: {name}. There are: {}", part_names()))?;
    setup::install_missing(workspace, PARTS[at].needs)?;
    run_parts(workspace, &[&PARTS[at]])
}

fn run_parts(workspace: &Workspace, parts: &[&Part]) -> Result<ExitCode> {
    let mut all = Counts::default();
    let mut failure = None;
    let started = Instant::now();
    let seed = Seed::of_run(workspace)?.told();
    eprintln!("What is random follows from {seed}");
    for (number, part) in parts.iter().enumerate() {
        eprintln!(
            "\n== {}/{} {}: {}",
            number + 1,
            parts.len(),
            part.name,
            part.about
        );
        let part_started = Instant::now();
        match (part.check)(workspace) {
            Ok(counts) => {
                eprintln!(
                    "== {}: {} ({} s)",
                    part.name,
                    verdict(&counts),
                    part_started.elapsed().as_secs()
                );
                if counts.failed > 0 || counts.ignored > 0 {
                    failure = Some(part.name);
                }
                all += counts;
            }
            Err(error) => {
                // A part without a failed test of its own is itself the failure.
                all.failed += 1;
                eprintln!("== {}: {error}", part.name);
                failure = Some(part.name);
            }
        }
        if failure.is_some() {
            break;
        }
    }
    // A test that was left out did not pass.
    all.failed += all.ignored;
    eprintln!();
    // Once more, here: some logs keep their end alone.
    for failure in &all.failures {
        eprintln!("{failure}\n");
    }
    if let Some(name) = failure {
        eprintln!(
            "Stopped: {name} failed. `{seed} cargo xtask test --part {name}` repeats it alone."
        );
    }
    eprintln!("{} s", started.elapsed().as_secs());
    println!("{} passed, {} failed", all.passed, all.failed);
    Ok(if all.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn verdict(counts: &Counts) -> String {
    match (counts.passed, counts.failed, counts.ignored) {
        (0, 0, 0) => "ok".to_owned(),
        (passed, failed, 0) => format!("{passed} passed, {failed} failed"),
        (passed, failed, ignored) => {
            format!("{passed} passed, {failed} failed, {ignored} ignored, which counts as failed")
        }
    }
}

fn fmt(workspace: &Workspace) -> Result<Counts> {
    run(&mut workspace.command("cargo", &["fmt", "--all", "--check"]))?;
    Ok(Counts::default())
}

fn clippy(workspace: &Workspace) -> Result<Counts> {
    for arguments in [
        &["--workspace", "--all-targets"][..],
        // The browser's side of the crate is invisible to the native run.
        &[
            "--package",
            "jhe-connect",
            "--all-targets",
            "--target",
            "wasm32-unknown-unknown",
        ],
    ] {
        run_clippy(workspace, arguments)?;
    }
    // Each module as it is built, with its share of the exports.
    for module in dist::MODULES {
        run_clippy(workspace, &as_built(module.features))?;
    }
    Ok(Counts::default())
}

fn run_clippy(workspace: &Workspace, arguments: &[&str]) -> Result {
    run(workspace
        .command("cargo", &["clippy"])
        .args(arguments)
        .args(["--", "-D", "warnings"]))
}

fn as_built(features: &'static str) -> [&'static str; 7] {
    [
        "--package",
        "jhe-connect",
        "--target",
        "wasm32-unknown-unknown",
        "--no-default-features",
        "--features",
        features,
    ]
}

fn native(workspace: &Workspace) -> Result<Counts> {
    let mut counts = cargo_test(workspace, "jhe-connect")?;
    counts += cargo_test(workspace, "xtask")?;
    counts += cargo_test(workspace, "bench")?;
    Ok(counts)
}

fn sandbox(workspace: &Workspace) -> Result<Counts> {
    cargo_test(workspace, "sandbox")
}

/// Seconds for each target: about half a minute in all.
const LOOKING: u32 = 4;

/// Each target that found nothing counts.
fn hostile_input(workspace: &Workspace) -> Result<Counts> {
    let mut counts = cargo_test(workspace, "fuzz")?;
    if setup::has_nightly(workspace) {
        let (targets, fuzz::Findings(found)) = fuzz::look_shortly(workspace, LOOKING)?;
        counts += Counts {
            passed: targets - found,
            failed: found,
            ..Counts::default()
        };
    } else {
        eprintln!(
            "There is no nightly compiler here: what is known was replayed, and nothing else tried."
        );
    }
    Ok(counts)
}

fn journeys(workspace: &Workspace) -> Result<Counts> {
    journeys_in(workspace, "chromium", &[])
}

fn interop(workspace: &Workspace) -> Result<Counts> {
    build_dist_if_missing(workspace)?;
    cargo_test(workspace, "interop")
}

fn journeys_in_firefox(workspace: &Workspace) -> Result<Counts> {
    journeys_in(workspace, "firefox", WITH_BROWSER)
}

fn journeys_in_webkit(workspace: &Workspace) -> Result<Counts> {
    journeys_in(workspace, "webkit", WITH_BROWSER)
}

/// What needs no browser is tested once, with Chromium's journeys.
const WITH_BROWSER: &[&str] = &["--test", "journeys", "--test", "harness"];

/// Browsers at a time: two cores are not busy with two, since pages wait, too.
const BROWSERS: &str = "3";

/// A journey that is not made in this engine does not count as passed.
fn journeys_in(workspace: &Workspace, engine: &str, programs: &[&str]) -> Result<Counts> {
    build_dist_if_missing(workspace)?;
    // Of the bundle that the journeys are made with: one of them installs the package.
    package::make(workspace)?;
    let tally = workspace.path(&format!("target/journeys-in-{engine}"));
    workspace::write(&tally, "")?;
    let arguments = ["test", "--no-fail-fast", "--package", "e2e"];
    let mut command = workspace.command("cargo", &arguments);
    command
        .args(programs)
        .env("RUST_TEST_THREADS", BROWSERS)
        .env("JHE_CONNECT_ENGINE", engine)
        .env("JHE_CONNECT_TALLY", &tally);
    let mut counts = counted(workspace, &mut command)?;
    let tally = Tally::read(&std::fs::read_to_string(&tally)?);
    eprint!("{}", tally.told(engine));
    counts.passed = counts.passed.saturating_sub(tally.not_made.len() as u64);
    judged(counts, true)
}

fn build_dist_if_missing(workspace: &Workspace) -> Result {
    if dist::Layout::found_in(&workspace.path("dist")).is_err() {
        setup::install_missing(workspace, dist::NEEDS)?;
        dist::build(workspace)?;
    }
    Ok(())
}

fn cargo_test(workspace: &Workspace, package: &str) -> Result<Counts> {
    // --no-fail-fast: one failing test program does not hide what the others found.
    let arguments = ["test", "--no-fail-fast", "--package", package];
    counted(workspace, &mut workspace.command("cargo", &arguments))
}

fn browser(workspace: &Workspace) -> Result<Counts> {
    wasm_pack(workspace, "chrome", "chromedriver")
}

fn firefox(workspace: &Workspace) -> Result<Counts> {
    wasm_pack(workspace, "firefox", "geckodriver")
}

/// The tests of the crate in a browser that wasm-bindgen's runner drives.
fn wasm_pack(workspace: &Workspace, browser: &str, driver: &str) -> Result<Counts> {
    let program = workspace
        .find_program(driver)
        .ok_or_else(|| format!("{driver} is not installed"))?;
    let mut command = workspace.command("wasm-pack", &["test", "--headless"]);
    command
        .args([format!("--{browser}"), format!("--{driver}")])
        .arg(program);
    if std::env::var_os("WASM_BINDGEN_TEST_TIMEOUT").is_none() {
        // Seconds for the whole run; the runner's own 20 are few for a busy machine.
        command.env("WASM_BINDGEN_TEST_TIMEOUT", "180");
    }
    counted(workspace, &mut command)
}

/// WebKit it does not know: the browser of the journeys opens what it serves.
fn webkit(workspace: &Workspace) -> Result<Counts> {
    let arguments = ["test", "--no-run", "--package", "jhe-connect"];
    let mut build = workspace.command("cargo", &arguments);
    build.args([
        "--target",
        "wasm32-unknown-unknown",
        "--message-format=json-render-diagnostics",
    ]);
    let told = output_given(&mut build, "")?;
    let programs: Vec<String> = told.lines().filter_map(test_program).collect();
    let mut command = workspace.command("cargo", &["run", "--quiet", "--package", "e2e"]);
    command
        .args(["--bin", "wasm-tests", "--"])
        .args(programs)
        .env("JHE_CONNECT_ENGINE", "webkit");
    counted(workspace, &mut command)
}

/// The file of a test program that cargo tells of.
fn test_program(message: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(str::to_owned)
}

fn bundle(workspace: &Workspace) -> Result<Counts> {
    dist::build(workspace)?;
    Ok(Counts::default())
}

fn budget(workspace: &Workspace) -> Result<Counts> {
    size::check(workspace)?;
    Ok(Counts::default())
}

/// Each file that is the same in two builds, in different folders, counts.
fn release(workspace: &Workspace) -> Result<Counts> {
    build_dist_if_missing(workspace)?;
    package::make(workspace)?;
    Ok(Counts {
        passed: package::compare_with_another_build(workspace)?,
        ..Counts::default()
    })
}

/// Each block of commands that ran counts.
fn commands(workspace: &Workspace) -> Result<Counts> {
    build_dist_if_missing(workspace)?;
    package::make(workspace)?;
    Ok(Counts {
        passed: documents::run_commands(workspace)?,
        ..Counts::default()
    })
}

fn doc(workspace: &Workspace) -> Result<Counts> {
    for arguments in [
        &["--workspace"][..],
        &[
            "--package",
            "jhe-connect",
            "--target",
            "wasm32-unknown-unknown",
        ],
    ] {
        run(workspace
            .command("cargo", &["doc", "--no-deps"])
            .args(arguments)
            .env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(Counts::default())
}

/// Runs a command that runs tests, and counts them.
fn counted(workspace: &Workspace, command: &mut Command) -> Result<Counts> {
    Seed::of_run(workspace)?.give(command);
    let mut counts = Counts::default();
    let mut failed = failures::Reader::default();
    let succeeded = run_reading(command, |line| {
        failed.read(line);
        if let Some(more) = Counts::in_line(line) {
            counts += more;
        }
    })?;
    counts.failures = failed.failures();
    judged(counts, succeeded)
}

fn judged(mut counts: Counts, succeeded: bool) -> Result<Counts> {
    if counts.passed + counts.failed == 0 {
        return Err("no test ran".into());
    }
    if !succeeded && counts.failed == 0 {
        // A test program that did not compile, or that ended before it could count.
        counts.failed = 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64) -> Counts {
        Counts {
            passed,
            failed,
            ..Counts::default()
        }
    }

    #[test]
    fn a_run_without_tests_is_an_error_even_if_it_succeeds() {
        assert!(judged(Counts::default(), true).is_err());
        let only_ignored = Counts {
            ignored: 3,
            ..Counts::default()
        };
        assert!(judged(only_ignored, true).is_err());
    }

    #[test]
    fn a_runner_that_ends_badly_counts_as_a_failure() {
        assert_eq!(judged(counts(4, 0), false).expect("counts"), counts(4, 1));
        assert_eq!(judged(counts(4, 2), false).expect("counts"), counts(4, 2));
        assert_eq!(judged(counts(4, 0), true).expect("counts"), counts(4, 0));
    }

    #[test]
    fn the_documents_name_every_part_in_order() {
        let readme = include_str!("../../../README.md");
        let table = readme.split("| Part | Checks |").nth(1).unwrap();
        let table = table.split("\n\n").next().unwrap();
        let rows = table.lines().filter_map(|line| line.split('|').nth(1));
        let named: Vec<&str> = rows
            .flat_map(|row| row.split('`').skip(1).step_by(2))
            .collect();
        let parts: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        assert_eq!(named, parts);
        let all: Vec<String> = parts.iter().map(|part| format!("`{part}`")).collect();
        assert!(include_str!("../../../CONTRIBUTING.md").contains(&all.join(", ")));
    }

    #[test]
    fn every_part_has_a_name_of_its_own() {
        for (at, part) in PARTS.iter().enumerate() {
            assert!(PARTS[..at].iter().all(|other| other.name != part.name));
        }
    }
}
