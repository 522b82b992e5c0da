//! The bill of materials of a package, in CycloneDX's JSON: the crates that are linked into its modules, the tools that
//! made them, and every file with its hash.
//!
//! What is linked is asked of `cargo tree`: `cargo metadata` tells the features of the whole workspace only, with crates
//! that servers and tests use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::archive::{Files, sha256};
use crate::dist::{self, Module};
use crate::setup;
use crate::version::locked_version;
use crate::workspace::{Result, Workspace, output_given, output_of};

/// The crate whose modules are shipped.
const OURS: &str = "jhe-connect";

/// A crate that is linked into a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    license: String,
    repository: String,
}

impl Crate {
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Crates, and which of them uses which.
type Graph = BTreeMap<Crate, BTreeSet<Crate>>;

/// What a bill is about.
pub(crate) struct Subject<'a> {
    /// The package's own address among packages (purl).
    pub(crate) purl: &'a str,
    pub(crate) version: &'a str,
    pub(crate) modules: &'a [&'a Module],
    pub(crate) files: &'a Files,
    /// Seconds since 1970.
    pub(crate) time: u64,
}

/// The bill as the text of a file.
pub(crate) fn of(workspace: &Workspace, subject: &Subject) -> Result<String> {
    let lock_file = workspace.read("Cargo.lock")?;
    let graph = linked(workspace, subject.modules)?;
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (each, used) in &graph {
        let used: Vec<String> = used.iter().map(Crate::purl).collect();
        if each.name == OURS {
            dependencies.push(json!({"ref": subject.purl, "dependsOn": used}));
            continue;
        }
        let checksum = checksum(&lock_file, each)
            .ok_or_else(|| format!("Cargo.lock has no checksum of {}", each.name))?;
        components.push(json!({
            "type": "library",
            "bom-ref": each.purl(),
            "name": each.name,
            "version": each.version,
            "purl": each.purl(),
            "hashes": [{"alg": "SHA-256", "content": checksum}],
            "licenses": [{"expression": each.license}],
            "externalReferences": [{"type": "vcs", "url": each.repository}],
        }));
        dependencies.push(json!({"ref": each.purl(), "dependsOn": used}));
    }
    let rust = rust_version(workspace)?;
    // It comes with the compiler, and is in every module.
    components.push(json!({
        "type": "library",
        "bom-ref": "rust-std",
        "name": "std",
        "description": "Rust's standard library for wasm32-unknown-unknown",
        "version": rust,
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }));
    for (path, content) in subject.files {
        components.push(json!({
            "type": "file",
            "bom-ref": format!("file:{path}"),
            "name": path,
            "hashes": [{"alg": "SHA-256", "content": sha256(content)}],
        }));
    }
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(subject),
        "version": 1,
        "metadata": {
            "timestamp": timestamp(subject.time),
            "tools": {"components": tools(workspace, &lock_file, &rust)?},
            "component": {
                "type": "application",
                "bom-ref": subject.purl,
                "name": OURS,
                "version": subject.version,
                "purl": subject.purl,
                "licenses": [{"expression": crate::package::LICENSE}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{bill:#}\n"))
}

/// What the licences of the crates in `modules` want to go along with them: their notices, each text once.
pub(crate) fn notices(workspace: &Workspace, modules: &[&Module]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for each in linked(workspace, modules)?.keys() {
        if each.name == OURS {
            continue;
        }
        let folder = format!("{}-{}", each.name, each.version);
        let folder = dist::registries()
            .into_iter()
            .map(|registry| registry.join(&folder))
            .find(|folder| folder.is_dir())
            .ok_or_else(|| format!("the sources of {folder} are not there"))?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            files.push((
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            ));
        }
        files.sort();
        let wanted = chosen(files.iter().map(|(name, _)| name.as_str()));
        let who = format!("{} {} ({})", each.name, each.version, each.license);
        if wanted.is_empty() {
            let text = "No text of a licence is in this package. It is used under the Apache License 2.0: LICENSE-APACHE.\n";
            texts.entry(text.to_owned()).or_default().push(who.clone());
        }
        for (_, path) in files
            .iter()
            .filter(|(name, _)| wanted.contains(&name.as_str()))
        {
            let text = fs::read_to_string(path)?.replace("\r\n", "\n");
            texts.entry(text).or_default().push(who.clone());
        }
    }
    let mut parts: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, who)| (who, text)).collect();
    parts.sort();
    let mut notices = String::from(
        "What is linked into the modules beside jhe-connect itself, and its licences.\n\
         Rust's standard library is there, too: copyright The Rust Project contributors, Apache-2.0 OR MIT.\n",
    );
    for (who, text) in parts {
        let line = "-".repeat(80);
        notices.push_str(&format!(
            "\n{line}\n{}\n{line}\n\n{}\n",
            who.join("\n"),
            text.trim()
        ));
    }
    Ok(notices)
}

/// Of the files of a crate those that have to go along. Who offers the MIT licence beside the Apache one is used under that.
fn chosen<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let begins = ["license", "licence", "copying", "notice"];
    let mut chosen: Vec<&str> = names
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            begins.iter().any(|begin| name.starts_with(begin))
        })
        .collect();
    if chosen.iter().any(|name| name.contains("MIT")) {
        chosen.retain(|name| !name.contains("APACHE") && *name != "LICENSE" && *name != "COPYING");
    }
    chosen
}

/// What is linked into any of these modules.
fn linked(workspace: &Workspace, modules: &[&Module]) -> Result<Graph> {
    let mut graph = Graph::new();
    for module in modules {
        read_tree(&tree(workspace, module)?, &mut graph)?;
    }
    Ok(graph)
}

/// Fails unless the official schema, in its strict form, finds nothing to complain about.
pub(crate) fn validate(workspace: &Workspace, bill: &str) -> Result {
    const PROGRAM: &str = "\
        import { Validation, Spec } from '@cyclonedx/cyclonedx-library'; \
        import { readFileSync } from 'node:fs'; \
        const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6); \
        const found = await validator.validate(readFileSync(0, 'utf8')); \
        if (found !== null) { console.error(found); process.exit(1); } \
        console.log('valid');";
    let arguments = ["--input-type=module", "--eval", PROGRAM];
    let mut node = workspace.command("node", &arguments);
    // There Node finds the library.
    node.current_dir(workspace.path(setup::NODE_TOOLS));
    match output_given(&mut node, bill)?.trim() {
        "valid" => Ok(()),
        other => Err(format!("the validator of CycloneDX said {other:?}").into()),
    }
}

/// Lines such as `2|cfg-if v1.0.5|MIT OR Apache-2.0|https://…`, with how deep each is.
fn tree(workspace: &Workspace, module: &Module) -> Result<String> {
    let mut cargo = workspace.command("cargo", &["tree", "--quiet", "--locked"]);
    cargo.args(["--package", OURS, "--target", "wasm32-unknown-unknown"]);
    cargo.args(["--no-default-features", "--features", module.features]);
    cargo.args(["--edges", "normal,no-proc-macro"]);
    cargo.args(["--prefix", "depth", "--no-dedupe"]);
    cargo.args(["--format", "|{p}|{l}|{r}"]);
    output_of(&mut cargo).ok_or_else(|| "`cargo tree` failed".into())
}

fn read_tree(printed: &str, graph: &mut Graph) -> Result {
    let mut path: Vec<Crate> = Vec::new();
    for line in printed.lines() {
        let unreadable = || format!("`cargo tree` printed {line:?}");
        let [depth, package, license, repository] = line.split('|').collect::<Vec<_>>()[..] else {
            return Err(unreadable().into());
        };
        let depth: usize = depth.parse().map_err(|_| unreadable())?;
        let mut words = package.split(' ');
        let name = words.next().ok_or_else(unreadable)?;
        let version = words.next().and_then(|word| word.strip_prefix('v'));
        if license.is_empty() || repository.is_empty() && name != OURS {
            return Err(format!("{name} tells no license, or no repository").into());
        }
        let found = Crate {
            name: name.to_owned(),
            version: version.ok_or_else(unreadable)?.to_owned(),
            // What crates wrote before SPDX's expressions.
            license: license.replace('/', " OR "),
            repository: repository.to_owned(),
        };
        path.truncate(depth);
        if let Some(user) = path.last() {
            let user = user.clone();
            graph.entry(user).or_default().insert(found.clone());
        }
        graph.entry(found.clone()).or_default();
        path.push(found);
    }
    match graph.is_empty() {
        true => Err("`cargo tree` printed nothing".into()),
        false => Ok(()),
    }
}

/// What the lock file says a crate's archive is.
fn checksum<'a>(lock_file: &'a str, package: &Crate) -> Option<&'a str> {
    let head = format!(
        "name = \"{}\"\nversion = \"{}\"\n",
        package.name, package.version
    );
    let (_, rest) = lock_file.split_once(&head)?;
    let entry = rest.split("\n\n").next()?;
    let line = entry
        .lines()
        .find_map(|it| it.strip_prefix("checksum = \""))?;
    line.strip_suffix('"')
}

fn tools(workspace: &Workspace, lock_file: &str, rust: &str) -> Result<Vec<Value>> {
    let pinned = workspace.read("dev/xtask/tools/package-lock.json")?;
    let bindgen = locked_version(lock_file, "wasm-bindgen")
        .ok_or("Cargo.lock names no version of wasm-bindgen")?;
    Ok([
        ("rustc", rust.to_owned()),
        ("wasm-bindgen", bindgen.to_string()),
        ("binaryen", setup::pinned_version(&pinned, "binaryen")?),
        ("esbuild", setup::pinned_version(&pinned, "esbuild")?),
    ]
    .into_iter()
    .map(|(name, version)| json!({"type": "application", "name": name, "version": version}))
    .collect())
}

/// Such as `1.95.0`.
fn rust_version(workspace: &Workspace) -> Result<String> {
    let printed = output_of(&mut workspace.command("rustc", &["--version"]));
    let version = printed.as_deref().and_then(|it| it.split(' ').nth(1));
    version
        .map(str::to_owned)
        .ok_or_else(|| "`rustc --version` failed".into())
}

/// A UUID of the files: two builds of the same have the same one. Its version is the one for own ways of making it
/// (RFC 9562 §5.8).
fn serial_number(subject: &Subject) -> String {
    let all = crate::archive::checksums(subject.files);
    let digest = sha256(format!("{}\n{all}", subject.purl).as_bytes());
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[12..15],
        &digest[15..18],
        &digest[18..30]
    )
}

/// `seconds` since 1970 as a date and time of RFC 3339, by the calendar's 400 years of 146,097 days.
fn timestamp(seconds: u64) -> String {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let length = |year: u64| 365 + u64::from(is_leap(year));
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        days + 1,
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_with_who_uses_whom() {
        let printed = "0|jhe-connect v0.1.0 (/somewhere)|Apache-2.0 OR MIT|\n\
                       1|rlsf v0.2.3|MIT/Apache-2.0|https://r\n2|cfg-if v1.0.5|MIT OR Apache-2.0|https://c\n\
                       1|cfg-if v1.0.5|MIT OR Apache-2.0|https://c\n";
        let mut graph = Graph::new();
        read_tree(printed, &mut graph).unwrap();
        let names = |crates: &BTreeSet<Crate>| -> Vec<String> {
            crates.iter().map(|it| it.name.clone()).collect()
        };
        let used: BTreeMap<&str, Vec<String>> = graph
            .iter()
            .map(|(each, used)| (each.name.as_str(), names(used)))
            .collect();
        assert_eq!(used["jhe-connect"], ["cfg-if", "rlsf"]);
        assert_eq!(used["rlsf"], ["cfg-if"]);
        assert!(used["cfg-if"].is_empty());
        let rlsf = graph.keys().find(|it| it.name == "rlsf").unwrap();
        assert_eq!(rlsf.license, "MIT OR Apache-2.0");
        assert_eq!(rlsf.purl(), "pkg:cargo/rlsf@0.2.3");
    }

    #[test]
    fn a_crate_that_tells_no_license_is_refused() {
        for line in ["1|a v1.0.0||https://r\n", "1|a v1.0.0|MIT|\n", "a\n", ""] {
            assert!(read_tree(line, &mut Graph::new()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn of_two_licences_the_shorter_one_goes_along() {
        let of = |names: &[&'static str]| chosen(names.iter().copied());
        assert_eq!(
            of(&["LICENSE-APACHE", "LICENSE-MIT", "src"]),
            ["LICENSE-MIT"]
        );
        assert_eq!(
            of(&["COPYING", "LICENSE-MIT", "UNLICENSE"]),
            ["LICENSE-MIT"]
        );
        assert_eq!(
            of(&["LICENSE-APACHE", "LICENSE-MIT", "LICENSE-UNICODE"]),
            ["LICENSE-MIT", "LICENSE-UNICODE"]
        );
        assert_eq!(of(&["LICENSE", "README.md"]), ["LICENSE"]);
        assert!(of(&["README.md"]).is_empty());
    }

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), written);
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_version_in_use() {
        let lock_file = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"11\"\n\n\
                         [[package]]\nname = \"a\"\nversion = \"2.0.0\"\nchecksum = \"22\"\n\n\
                         [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        let of = |name: &str, version: &str| Crate {
            name: name.into(),
            version: version.into(),
            license: "MIT".into(),
            repository: "https://r".into(),
        };
        assert_eq!(checksum(lock_file, &of("a", "2.0.0")), Some("22"));
        assert_eq!(checksum(lock_file, &of("a", "1.0.0")), Some("11"));
        assert_eq!(checksum(lock_file, &of("b", "1.0.0")), None);
        assert_eq!(checksum(lock_file, &of("c", "1.0.0")), None);
    }
}
