//! `cargo xtask screenshots`: pictures of every screen. The program that takes them is a binary of `dev/e2e`; here it is built,
//! and given what it needs.

use std::process::ExitCode;

use crate::dist;
use crate::setup::{self, Need};
use crate::workspace::{Result, Workspace, run};

/// All of them: large, and of today's build.
const ALL: &str = "target/screens";
/// Those that the documents show. They are made only together, so that all of them are of one build.
const CHOSEN: &str = "docs/screens";

/// Builds the bundle and takes the pictures of these scenes, or of all.
pub(crate) fn take(workspace: &Workspace, scenes: &[&str]) -> Result<ExitCode> {
    eprintln!("Tools");
    setup::install_missing(workspace, dist::NEEDS)?;
    setup::install_missing(workspace, &[Need::Browser])?;
    dist::build(workspace)?;
    let program = [
        "run",
        "--quiet",
        "--package",
        "e2e",
        "--bin",
        "screenshots",
        "--",
    ];
    let mut command = workspace.command("cargo", &program);
    command.args(["--to", ALL]).args(scenes);
    if scenes.is_empty() {
        command.args(["--chosen", CHOSEN]);
    }
    run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
