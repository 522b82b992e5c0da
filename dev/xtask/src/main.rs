//! The project's tasks: `cargo xtask <command>`.
//!
//! Every command first installs what it needs and finds missing (`setup.rs`), then runs from the repository's root,
//! wherever it was called.

mod archive;
mod bench;
mod bill;
mod bundle;
mod checks;
mod compression;
#[cfg(test)]
mod conformance;
mod counts;
mod demo;
mod dist;
mod doctor;
mod documents;
mod drop_ins;
mod epic;
mod failures;
mod fuzz;
mod languages;
mod markdown;
mod package;
mod panics;
mod renaming;
mod screenshots;
mod seed;
mod setup;
mod shrinking;
mod size;
mod supply;
mod tally;
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
  test --all-browsers
                    the same, and the tests of the crate and the journeys in Firefox and WebKit, too: what CI runs
  test --part NAME  one part of it: {parts}
  dist              the bundle as it is deployed, in dist/, and its size against the budget
  package           the release in target/package: an archive for JHE, a package for npm, checksums, bills of materials
  package --check   the same, and again from a copy of the sources: both must have the same bytes
  documents         write the tables that the documents have from the sources; check commands and links in all
  bench [OPTIONS]   the same import by jhe-connect and by the library it replaces, measured: docs/benchmarks.md
  fuzz [OPTIONS]    ten minutes of hostile input for each reader, with a nightly compiler: dev/fuzz/README.md
  screenshots       pictures of every screen, in target/screens; those for the documents also in docs/screens
  screenshots NAME… those of some scenes, in target/screens only
  setup             install the tools that the other commands need (they also do so themselves)
  setup --all-browsers
                    those for Firefox and WebKit, too
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
    match task(arguments) {
        Some(task) => task(),
        None => {
            eprint!("{}", help());
            Err(format!("no such command: {}", arguments.join(" ")).into())
        }
    }
}

fn help() -> String {
    HELP.replace("{parts}", &checks::part_names())
}

type Task<'a> = Box<dyn FnOnce() -> Result<ExitCode> + 'a>;

/// What these arguments ask for; the documents are held against it.
fn task<'a>(arguments: &'a [&'a str]) -> Option<Task<'a>> {
    /// One that succeeds or fails, and has nothing else to say.
    fn simply<'a>(task: impl FnOnce(&Workspace) -> Result + 'a) -> Task<'a> {
        Box::new(move || {
            task(&Workspace::locate()?)?;
            Ok(ExitCode::SUCCESS)
        })
    }
    fn with_code<'a>(task: impl FnOnce(&Workspace) -> Result<ExitCode> + 'a) -> Task<'a> {
        Box::new(move || task(&Workspace::locate()?))
    }
    Some(match arguments {
        [] | ["help" | "--help" | "-h"] => Box::new(|| {
            print!("{}", help());
            Ok(ExitCode::SUCCESS)
        }),
        ["setup"] => simply(|workspace| setup::install_missing(workspace, setup::Need::ALL)),
        ["dist"] => simply(|workspace| {
            setup::install_missing(workspace, dist::NEEDS)?;
            dist::build(workspace)?;
            size::check(workspace)
        }),
        ["package"] => simply(package::build),
        ["package", "--check"] => simply(|workspace| {
            package::build(workspace)?;
            let same = package::compare_with_another_build(workspace)?;
            println!("{same} files are the same in both builds");
            Ok(())
        }),
        ["documents"] => simply(documents::write_and_check),
        ["setup", "--all-browsers"] => simply(|workspace| {
            setup::install_missing(workspace, setup::Need::ALL)?;
            setup::install_missing(workspace, setup::Need::OTHER_BROWSERS)
        }),
        ["test"] => with_code(checks::run_all),
        ["test", "--all-browsers"] => with_code(checks::run_all_in_each_browser),
        ["test", "--part", name] => with_code(|workspace| checks::run_one(workspace, name)),
        ["screenshots", scenes @ ..] => with_code(|workspace| screenshots::take(workspace, scenes)),
        ["fuzz", arguments @ ..] => with_code(|workspace| fuzz::task(workspace, arguments)),
        ["bench", options @ ..] => with_code(|workspace| bench::run_all(workspace, options)),
        ["demo"] => with_code(|workspace| demo::serve(workspace, demo::PATIENT_ACCESS)),
        ["demo", "--mychart"] => with_code(|workspace| demo::serve(workspace, demo::MYCHART)),
        ["demo", "--headless"] => with_code(demo::headless),
        _ => return None,
    })
}
