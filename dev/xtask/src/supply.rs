//! The part `supply`: others' code, in crates and in packages of Node and Python. Where it comes from, under which licences, that
//! it is used, and what for (`deny.toml`, `ARCHITECTURE.md`); and whether a weakness of it is known.
//!
//! Who knows of weaknesses is asked over the network. Where that can't be reached it is said loudly, and is no failure, unless
//! the environment has `JHE_CONNECT_ADVISORIES=required`: a CI that can reach it should.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::counts::Counts;
use crate::dist;
use crate::markdown::code_spans;
use crate::setup;
use crate::workspace::{Result, Workspace, output_of, run};

/// The workspace, and the one of the fuzzer's programs.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "dev/fuzz/libfuzzer/Cargo.toml"];
/// Where packages of Node are named, with a lock file beside it.
const NODE: [&str; 3] = ["dev/bench", "dev/interop", "dev/xtask/tools"];
const PYTHON: &str = "dev/interop/requirements.txt";
/// Set to `required` where advisories must have been read.
const REQUIRED: &str = "JHE_CONNECT_ADVISORIES";

pub(crate) fn check(workspace: &Workspace) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut judge = |what: &str, faults: Vec<String>| {
        eprintln!(
            "  {:<10} {what}",
            if faults.is_empty() { "ok" } else { "FAILED" }
        );
        for fault in &faults {
            eprintln!("             {fault}");
        }
        match faults.is_empty() {
            true => counts.passed += 1,
            false => counts.failed += 1,
        }
    };
    for manifest in MANIFESTS {
        for what in ["licenses", "bans", "sources"] {
            let faults = match run(&mut deny(workspace, manifest, what)) {
                Ok(()) => vec![],
                Err(error) => vec![error.to_string()],
            };
            judge(&format!("{what} of {manifest}, by deny.toml"), faults);
        }
    }
    judge("licences of what patients download", linked(workspace)?);
    let dependencies = dependencies(workspace)?;
    judge("every dependency is used", unused(&dependencies)?);
    judge(
        "every dependency has its line in ARCHITECTURE.md",
        unjustified(&workspace.read("ARCHITECTURE.md")?, &named(workspace)?),
    );
    let is_required = std::env::var(REQUIRED).is_ok_and(|it| it == "required");
    let mut not_checked = Vec::new();
    for (what, state) in advisories(workspace)? {
        match state {
            Advisories::Read(faults) => judge(&format!("advisories for {what}"), faults),
            Advisories::OutOfReach(why) if is_required => {
                judge(&format!("advisories for {what}"), vec![why]);
            }
            Advisories::OutOfReach(why) => not_checked.push(format!("{what}: {why}")),
        }
    }
    if !not_checked.is_empty() {
        eprintln!("\n  !! ADVISORIES COULD NOT BE CHECKED HERE, because they can't be reached:");
        for each in not_checked {
            eprintln!("  !!   {each}");
        }
        eprintln!(
            "  !! Known weaknesses are found where they can: there {REQUIRED}=required makes this a failure.\n"
        );
    }
    Ok(counts)
}

fn deny(workspace: &Workspace, manifest: &str, what: &str) -> std::process::Command {
    let mut command = workspace.command("cargo-deny", &["--config", "deny.toml"]);
    command.args([
        "--manifest-path",
        manifest,
        "--workspace",
        "--locked",
        "check",
    ]);
    command.args(["--hide-inclusion-graph", "--show-stats"]);
    // An exception that is none any more goes; the fuzzer's programs need few of them.
    let stale = match manifest {
        "Cargo.toml" => "--deny",
        _ => "--allow",
    };
    if what == "bans" {
        command.args([stale, "unmatched-skip", stale, "unmatched-skip-root"]);
    }
    command.arg(what);
    command
}

/// Crates in a module that are offered under neither licence of this project.
fn linked(workspace: &Workspace) -> Result<Vec<String>> {
    let mut faults = BTreeSet::new();
    for module in dist::MODULES {
        let mut cargo = workspace.command("cargo", &["tree", "--quiet", "--locked"]);
        cargo.args([
            "--package",
            "jhe-connect",
            "--target",
            "wasm32-unknown-unknown",
        ]);
        cargo.args(["--no-default-features", "--features", module.features]);
        cargo.args(["--edges", "normal,no-proc-macro", "--prefix", "none"]);
        cargo.args(["--format", "{p}|{l}"]);
        let tree = output_of(&mut cargo).ok_or("`cargo tree` failed")?;
        let mut count = 0;
        for line in tree.lines() {
            let (package, licence) = line.split_once('|').ok_or("`cargo tree` says no licence")?;
            count += 1;
            // wasm-bindgen names it for its macros. The tables of Unicode in it are under Unicode's licence; its notice goes along.
            let is_known = package.starts_with("unicode-ident ");
            if !is_known && !is_as_ours(licence) {
                faults.insert(format!("{package}: {licence:?}"));
            }
        }
        if count < 2 {
            return Err("`cargo tree` names no crate".into());
        }
    }
    Ok(faults.into_iter().collect())
}

/// May it be used under the MIT licence or under the Apache licence, and nothing beside it?
fn is_as_ours(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ");
    let mut offered = licence.split(" OR ");
    offered.any(|it| matches!(it.trim_matches(['(', ')', ' ']), "MIT" | "Apache-2.0"))
        && !licence.contains(" AND ")
}

/// A crate that a package of ours names in its manifest.
struct Dependency {
    package: String,
    folder: PathBuf,
    name: String,
    is_of_tests: bool,
    /// Is it of this repository?
    is_ours: bool,
}

fn dependencies(workspace: &Workspace) -> Result<Vec<Dependency>> {
    let mut all = Vec::new();
    for manifest in MANIFESTS {
        let mut cargo = workspace.command("cargo", &["metadata", "--no-deps", "--locked"]);
        cargo.args(["--format-version", "1", "--manifest-path", manifest]);
        let metadata = output_of(&mut cargo).ok_or("`cargo metadata` failed")?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        for package in list(&metadata["packages"]) {
            let folder = Path::new(text(&package["manifest_path"]));
            let folder = folder.parent().ok_or("a manifest without a folder")?;
            for dependency in list(&package["dependencies"]) {
                let name = dependency["rename"].as_str();
                all.push(Dependency {
                    package: text(&package["name"]).to_owned(),
                    folder: folder.to_owned(),
                    name: name.unwrap_or(text(&dependency["name"])).to_owned(),
                    is_of_tests: dependency["kind"] == "dev",
                    is_ours: dependency["path"].is_string(),
                });
            }
        }
    }
    match all.len() > 20 {
        true => Ok(all),
        false => Err("`cargo metadata` names hardly any dependency".into()),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Dependencies that no line of their package's code names.
fn unused(dependencies: &[Dependency]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for dependency in dependencies {
        let Dependency {
            package,
            folder,
            name,
            is_of_tests,
            ..
        } = dependency;
        let mut is_used = false;
        for part in ["src", "tests", "benches", "examples", "fuzz_targets"] {
            is_used |= is_named_below(&folder.join(part), name, *is_of_tests || part != "src")?;
        }
        if !is_used {
            faults.push(format!("{package} does not use {name}"));
        }
    }
    Ok(faults)
}

/// `in_tests`: code of tests counts, too.
fn is_named_below(folder: &Path, name: &str, in_tests: bool) -> Result<bool> {
    if !folder.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_found = if path.is_dir() {
            is_named_below(&path, name, in_tests)?
        } else if path.extension().is_some_and(|it| it == "rs") {
            let is_of_tests = path.ends_with("tests.rs") || folder.ends_with("tests");
            (in_tests || !is_of_tests) && is_named(&fs::read_to_string(&path)?, name, in_tests)
        } else {
            false
        };
        if is_found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does code name this crate? Behind `#[cfg(test)]` only what is for tests may.
fn is_named(code: &str, name: &str, in_tests: bool) -> bool {
    let name = name.replace('-', "_");
    let code = match code.find("\n#[cfg(test)]\nmod tests {") {
        Some(end) if !in_tests => &code[..end],
        _ => code,
    };
    let is_letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .any(|line| {
            line.match_indices(&name).any(|(at, _)| {
                let (before, after) = (&line[..at], &line[at + name.len()..]);
                let is_path = after.starts_with("::") && !before.ends_with("::");
                let is_import = before.trim_end().ends_with("use") && !after.starts_with(is_letter);
                !before.ends_with(is_letter) && (is_path || is_import)
            })
        })
}

/// What a manifest of ours names, with where.
fn named(workspace: &Workspace) -> Result<BTreeSet<(String, String)>> {
    let mut all = BTreeSet::new();
    let dependencies = dependencies(workspace)?;
    for dependency in dependencies.into_iter().filter(|it| !it.is_ours) {
        let folder = dependency.folder.strip_prefix(workspace.path("")).ok();
        let folder = folder.map(|it| it.to_string_lossy().into_owned());
        all.insert((folder.unwrap_or_default(), dependency.name));
    }
    for folder in NODE {
        let manifest = workspace.read(&format!("{folder}/package.json"))?;
        for name in of_node(&manifest)? {
            all.insert((folder.to_owned(), name));
        }
    }
    for name in of_python(&workspace.read(PYTHON)?) {
        all.insert(("dev/interop".to_owned(), name));
    }
    for name in setup::compiled_packages() {
        all.insert(("setup".to_owned(), name.to_owned()));
    }
    Ok(all)
}

fn of_node(manifest: &str) -> Result<Vec<String>> {
    let manifest: Value = serde_json::from_str(manifest)?;
    let mut names = Vec::new();
    for kind in ["dependencies", "devDependencies", "optionalDependencies"] {
        if let Some(members) = manifest[kind].as_object() {
            names.extend(members.keys().cloned());
        }
    }
    Ok(names)
}

/// Those that no other one asked for.
fn of_python(requirements: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut last = "";
    for line in requirements.lines() {
        if let Some((name, _)) = line.split_once("==")
            && !line.starts_with(['#', ' '])
        {
            last = name;
        }
        if line.trim_start().starts_with('#') && line.contains("-r requirements.in") {
            names.push(last.to_owned());
        }
    }
    names
}

/// What `ARCHITECTURE.md` says no word about, and what it still speaks of: in the tables below this heading, each row with where,
/// names, and what for.
fn unjustified(document: &str, named: &BTreeSet<(String, String)>) -> Vec<String> {
    let section = document
        .split("\n## ")
        .find(|it| it.starts_with("Dependencies"));
    let mut told = BTreeSet::new();
    let mut faults = Vec::new();
    for line in section.unwrap_or_default().lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, place, names, reason, _] = cells[..] else {
            continue;
        };
        let names: Vec<String> = code_spans(names).into_iter().map(|it| it.1).collect();
        let place = place.trim_matches('`');
        if !names.is_empty() && reason.len() < 12 {
            faults.push(format!("no reason for {} of {place}", names.join(", ")));
        }
        for name in names {
            let place = if place == "the crate" { "" } else { place };
            told.insert((place.to_owned(), name));
        }
    }
    let shown = |(place, name): &(String, String)| match place.as_str() {
        "" => format!("{name} of the crate"),
        _ => format!("{name} of {place}"),
    };
    let missing = named
        .difference(&told)
        .map(|it| format!("{} is missing", shown(it)));
    let stale = told
        .difference(named)
        .map(|it| format!("{} is no dependency", shown(it)));
    faults.extend(missing.chain(stale));
    faults
}

/// What is known of weaknesses.
enum Advisories {
    /// They were read: those that concern us.
    Read(Vec<String>),
    /// Why they were not.
    OutOfReach(String),
}

fn advisories(workspace: &Workspace) -> Result<Vec<(String, Advisories)>> {
    let mut all = vec![("crates".to_owned(), of_crates(workspace)?)];
    for folder in NODE {
        let mut npm = workspace.command("npm", &["audit", "--json", "--package-lock-only"]);
        npm.current_dir(workspace.path(folder)).stdin(Stdio::null());
        let output = npm.output().map_err(|_| "npm cannot be started")?;
        let what = format!("packages of Node in {folder}");
        all.push((what, of_npm(&String::from_utf8_lossy(&output.stdout))));
    }
    let python = match workspace.find_program("pip-audit") {
        Some(_) => {
            let arguments = ["--require-hashes", "--disable-pip", "--format", "json"];
            let mut audit = workspace.command("pip-audit", &["--requirement", PYTHON]);
            audit.args(arguments).args(["--progress-spinner", "off"]);
            let output = audit.stdin(Stdio::null()).output()?;
            of_pip(&String::from_utf8_lossy(&output.stdout))
        }
        None => Advisories::OutOfReach("pip-audit is not installed".to_owned()),
    };
    all.push(("packages of Python".to_owned(), python));
    Ok(all)
}

/// With the database of RustSec, which is a repository of git.
fn of_crates(workspace: &Workspace) -> Result<Advisories> {
    let mut fetch = workspace.command("cargo-deny", &["--config", "deny.toml", "fetch", "db"]);
    let output = fetch.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.trim().lines().last().unwrap_or("no reason was told");
        return Ok(Advisories::OutOfReach(last.to_owned()));
    }
    let mut faults = Vec::new();
    for manifest in MANIFESTS {
        if let Err(error) = run(&mut deny(workspace, manifest, "advisories")) {
            faults.push(error.to_string());
        }
    }
    Ok(Advisories::Read(faults))
}

/// What `npm audit` says. None of it is distributed: a high severity is a failure, a lower one is not.
fn of_npm(said: &str) -> Advisories {
    let said: Value = serde_json::from_str(said).unwrap_or_default();
    let counts = &said["metadata"]["vulnerabilities"];
    let Some(total) = counts["total"].as_u64() else {
        let message = said["message"].as_str().unwrap_or("no answer");
        return Advisories::OutOfReach(message.chars().take(60).collect());
    };
    let severe = |name: &str| counts[name].as_u64().unwrap_or(total);
    let faults = [("critical", severe("critical")), ("high", severe("high"))];
    let faults = faults.iter().filter(|(_, count)| *count > 0);
    Advisories::Read(
        faults
            .map(|(name, count)| format!("{count} of {name} severity: `npm audit` says which"))
            .collect(),
    )
}

/// What `pip-audit` says.
fn of_pip(said: &str) -> Advisories {
    let said: Value = serde_json::from_str(said).unwrap_or_default();
    let packages = list(&said["dependencies"]);
    let skipped = packages.iter().find_map(|it| it["skip_reason"].as_str());
    if let Some(reason) = skipped {
        return Advisories::OutOfReach(reason.to_owned());
    }
    if packages.is_empty() {
        return Advisories::OutOfReach("pip-audit said nothing".to_owned());
    }
    let weak = packages.iter().filter(|it| !list(&it["vulns"]).is_empty());
    Advisories::Read(
        weak.map(|it| format!("{} {}", text(&it["name"]), text(&it["version"])))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::locate().expect("the workspace")
    }

    #[test]
    fn every_dependency_is_used() {
        let dependencies = dependencies(&workspace()).expect("dependencies");
        let none: [String; 0] = [];
        assert_eq!(unused(&dependencies).expect("sources"), none);
    }

    #[test]
    fn every_dependency_has_a_line_that_says_what_for() {
        let workspace = workspace();
        let document = workspace.read("ARCHITECTURE.md").expect("a document");
        let named = named(&workspace).expect("manifests");
        for (place, name) in [
            ("", "sha2"),
            ("", "web-sys"),
            ("dev/fuzz/libfuzzer", "libfuzzer-sys"),
            ("dev/xtask/tools", "esbuild"),
            ("dev/interop", "sekmet-fhir"),
            ("setup", "cargo-deny"),
        ] {
            assert!(named.contains(&(place.into(), name.into())), "{name}");
        }
        let none: [String; 0] = [];
        assert_eq!(unjustified(&document, &named), none);
    }

    #[test]
    fn what_is_named_nowhere_is_missed_and_what_is_named_for_nothing_as_well() {
        let document = "# A\n\n## Dependencies, each\n\n| Where | What | For |\n|---|---|---|\n\
                        | the crate | `a`, `old` | something that it needs |\n| `dev/x` | `b` | x |\n\n## Other\n\n\
                        | the crate | `c` | something that it needs |\n";
        let named = [("", "a"), ("dev/x", "b"), ("", "c")];
        let named = named.map(|(place, name)| (place.to_owned(), name.to_owned()));
        assert_eq!(
            unjustified(document, &named.into()),
            [
                "no reason for b of dev/x",
                "c of the crate is missing",
                "old of the crate is no dependency"
            ]
        );
    }

    #[test]
    fn the_documents_name_the_oldest_compiler() {
        let manifest = include_str!("../../../Cargo.toml");
        let version = manifest
            .split("rust-version = \"")
            .nth(1)
            .expect("a version");
        let version = version.split('"').next().expect("an end");
        for (document, sentence) in [
            (include_str!("../../../README.md"), "({} or newer)"),
            (
                include_str!("../../../CONTRIBUTING.md"),
                "Rust {} (`rust-version`)",
            ),
        ] {
            assert!(document.contains(&sentence.replace("{}", version)));
        }
    }

    #[test]
    fn a_crate_is_used_where_code_names_it() {
        for code in [
            "use wasm_x::y;",
            "  wasm_x::y();",
            "pub use wasm_x as z;",
            "use wasm_x;",
            "::wasm_x::y()",
        ] {
            assert_eq!(is_named(code, "wasm-x", false), code != "::wasm_x::y()");
        }
        for code in [
            "// use wasm_x::y;",
            "my_wasm_x::y();",
            "wasm_xy::z();",
            "crate::wasm_x::y();",
            "let wasm_x = 1;",
        ] {
            assert!(!is_named(code, "wasm-x", false), "{code}");
        }
        let tested = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    use x::y;\n}\n";
        assert!(is_named(tested, "x", true) && !is_named(tested, "x", false));
    }

    #[test]
    fn only_licences_like_ours_reach_patients() {
        for good in ["MIT", "Apache-2.0/MIT", "Unlicense OR MIT", "(MIT OR X) "] {
            assert!(is_as_ours(good), "{good}");
        }
        for bad in ["", "MPL-2.0", "MIT AND ISC", "BSD-3-Clause"] {
            assert!(!is_as_ours(bad), "{bad}");
        }
    }

    #[test]
    fn answers_about_weaknesses_are_read() {
        let faults = |advisories| match advisories {
            Advisories::Read(faults) => Some(faults.len()),
            Advisories::OutOfReach(_) => None,
        };
        let npm = |high: u32, low: u32| {
            let total = high + low;
            of_npm(&format!(
                r#"{{"metadata":{{"vulnerabilities":{{"low":{low},"high":{high},"critical":0,"total":{total}}}}}}}"#
            ))
        };
        assert_eq!(faults(npm(0, 3)), Some(0));
        assert_eq!(faults(npm(2, 0)), Some(1));
        assert_eq!(faults(of_npm(r#"{"message":"405","error":{}}"#)), None);
        assert_eq!(faults(of_npm("")), None);
        let pip = |rest: &str| of_pip(&format!(r#"{{"dependencies":[{{"name":"a",{rest}}}]}}"#));
        assert_eq!(faults(pip(r#""version":"1","vulns":[]"#)), Some(0));
        assert_eq!(faults(pip(r#""version":"1","vulns":[{}]"#)), Some(1));
        assert_eq!(faults(pip(r#""skip_reason":"not found""#)), None);
        assert_eq!(faults(of_pip("")), None);
    }
}
