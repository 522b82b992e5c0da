//! The project's tasks: `cargo xtask <command>`.
//!
//! Every command first installs what it needs and finds missing (`setup.rs`), then runs from the repository's root,
//! wherever it was called.

mod bench;
mod bundle;
mod checks;
mod compression;
mod counts;
mod demo;
mod dist;
mod doctor;
mod drop_ins;
mod languages;
mod panics;
mod renaming;
mod screenshots;
mod setup;
mod shrinking;
mod size;
mod version;
mod wasm_target;
mod workspace;

use std::process::ExitCode;

use workspace::{Result, Workspace};

const HELP: &str = "\
cargo xtask <command>

  demo              build everything, start the stand-in servers, and open the invitation link (Ctrl-C ends it)
  demo --mychart    the same with JHE's earlier version: one hospital, laboratory results only
  demo --headless   that journey in headless Chromium; prints the page's text and the stored records
  test              everything that must be right, from formatting to the journeys in Chromium
  test --part NAME  one part of it: {parts}
  dist              the bundle as it is deployed, in dist/, and its size against the budget
  bench [OPTIONS]   the same import by jhe-connect and by the library it replaces, measured: docs/benchmarks.md
  screenshots       pictures of every screen, in target/screens; those for the documents also in docs/screens
  screenshots NAME… those of some scenes, in target/screens only
  setup             install the tools that the other commands need (they also do so themselves)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match perform(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        [] | ["help" | "--help" | "-h"] => {
            print!("{}", HELP.replace("{parts}", &checks::part_names()));
            Ok(ExitCode::SUCCESS)
        }
        ["setup"] => {
            setup::install_missing(&Workspace::locate()?, setup::Need::ALL)?;
            Ok(ExitCode::SUCCESS)
        }
        ["dist"] => {
            let workspace = Workspace::locate()?;
            setup::install_missing(&workspace, dist::NEEDS)?;
            dist::build(&workspace)?;
            size::check(&workspace)?;
            Ok(ExitCode::SUCCESS)
        }
        ["test"] => checks::run_all(&Workspace::locate()?),
        ["test", "--part", name] => checks::run_one(&Workspace::locate()?, name),
        ["screenshots", scenes @ ..] => screenshots::take(&Workspace::locate()?, scenes),
        ["bench", options @ ..] => bench::run_all(&Workspace::locate()?, options),
        ["demo"] => demo::serve(&Workspace::locate()?, demo::PATIENT_ACCESS),
        ["demo", "--mychart"] => demo::serve(&Workspace::locate()?, demo::MYCHART),
        ["demo", "--headless"] => demo::headless(&Workspace::locate()?),
        other => {
            eprint!("{}", HELP.replace("{parts}", &checks::part_names()));
            Err(format!("no such command: {}", other.join(" ")).into())
        }
    }
}
