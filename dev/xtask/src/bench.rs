//! `cargo xtask bench`: measures. The program that does so is `dev/bench`; here it is built, and given what it needs.

use std::process::ExitCode;

use crate::dist;
use crate::setup::{self, Need};
use crate::workspace::{Result, Workspace};

const DIST: &str = "dist";
const RESULTS: &str = "target/bench/results.json";

/// Optimised for speed: the release profile is the product's, and makes everything small.
const PROFILE: &[&str] = &[
    "--config",
    "profile.measure.inherits='dev'",
    "--config",
    "profile.measure.opt-level=2",
    "--config",
    "profile.measure.debug=false",
    "--profile",
    "measure",
];

/// Builds the bundle, unless `--dist` names one, and measures it.
pub(crate) fn run_all(workspace: &Workspace, options: &[&str]) -> Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        return Err(
            "the benchmark reads processor time and memory in /proc: it needs Linux".into(),
        );
    }
    eprintln!("Tools");
    setup::install_missing(workspace, &[Need::Browser, Need::Peer])?;
    let is_given = |name: &str| options.contains(&name);
    if !is_given("--dist") {
        setup::install_missing(workspace, dist::NEEDS)?;
        dist::build(workspace)?;
    }
    let chromium = setup::browser_program(workspace)?;

    eprintln!("Building the benchmark (about two minutes the first time)");
    let mut command = workspace.command("cargo", &["run", "--quiet", "--package", "bench"]);
    command.args(PROFILE).args(["--", "--peer", setup::PEER]);
    command.arg("--chromium").arg(chromium);
    if !is_given("--dist") {
        command.args(["--dist", DIST]);
    }
    if !is_given("--json") {
        command.args(["--json", RESULTS]);
    }
    command.args(options);
    let status = command
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    match status.success() {
        true => Ok(ExitCode::SUCCESS),
        false => Err("not everything could be measured".into()),
    }
}
