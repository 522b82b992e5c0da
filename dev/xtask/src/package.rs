//! `cargo xtask package`: the release, in `target/package/`. An archive for who hosts the pages, a package for npm, and a
//! bill of materials and checksums for each.
//!
//! Two builds of one commit give the same bytes, wherever they are made. `cargo xtask package --check` makes a second one
//! in another folder, and compares.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{self, Files};
use crate::bill::{self, Subject};
use crate::dist::{self, Layout, MODULES, Module};
use crate::markdown;
use crate::setup;
use crate::size;
use crate::workspace::{Result, Workspace, output_of, write};

/// As in `Cargo.toml`.
pub(crate) const LICENSE: &str = "Apache-2.0 OR MIT";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the release is put.
const TO: &str = "target/package";

const CHECKSUMS: &str = "SHA256SUMS";
/// The name that tools look for (CycloneDX, "Recognized file patterns").
const BILL: &str = "bom.cdx.json";
const NOTICES: &str = "THIRD-PARTY-LICENSES.txt";

/// What stands in both packages as it stands here.
const LEGAL: [&str; 4] = ["CHANGELOG.md", "LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];

/// Documents that are about the project itself: those who host it need not have them.
const NOT_FOR_HOSTS: [&str; 1] = ["benchmarks.md"];

/// What is released as one file.
struct Package {
    /// Its file.
    name: String,
    /// The folder that it unpacks to.
    folder: String,
    files: Files,
}

/// Builds `dist/` and makes the release of it.
pub(crate) fn build(workspace: &Workspace) -> Result {
    setup::install_missing(workspace, dist::NEEDS)?;
    dist::build(workspace)?;
    size::check(workspace)?;
    make(workspace)
}

/// Makes the release of the `dist/` that is there.
pub(crate) fn make(workspace: &Workspace) -> Result {
    let time = time_of_the_commit(workspace);
    let to = workspace.path(TO);
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    let mut made = Files::new();
    for package in packages(workspace, time)? {
        let bill = package.files[BILL].clone();
        bill::validate(workspace, std::str::from_utf8(&bill)?)?;
        let packed = archive::tar_gz(&package.folder, &package.files, time)?;
        eprintln!(
            "  {:<36} {:>5} kB, {} files",
            package.name,
            packed.len() / 1000,
            package.files.len()
        );
        let stem = package.name.trim_end_matches(".tar.gz");
        let stem = stem.trim_end_matches(".tgz");
        made.insert(format!("{stem}.cdx.json"), bill);
        made.insert(package.name, packed);
    }
    made.insert(CHECKSUMS.to_owned(), archive::checksums(&made).into());
    for (name, content) in &made {
        write(&to.join(name), content)?;
    }
    let changes = output_of(&mut workspace.command("git", &["status", "--porcelain"]));
    match changes.is_some_and(|changes| !changes.is_empty()) {
        true => eprintln!("{TO}/ is ready, with changes that are not committed"),
        false => eprintln!("{TO}/ is ready"),
    }
    Ok(())
}

/// Makes the release again from a copy of the sources in another folder, and compares it file by file with the one that
/// is there. Gives the number of files that are the same in both.
pub(crate) fn compare_with_another_build(workspace: &Workspace) -> Result<u64> {
    let time = time_of_the_commit(workspace);
    // Now: who goes on writing while the other one is built changes nothing of what is compared.
    let ours = packages(workspace, time)?;
    let copy = Copy::of_the_sources(workspace)?;
    let other = Workspace::at(copy.root.clone())?;
    eprintln!(
        "A second build, in {} (about three minutes)",
        copy.root.display()
    );
    setup::install_missing(&other, dist::NEEDS)?;
    dist::build(&other)?;

    let mut same = 0;
    let mut differing = Vec::new();
    let theirs = packages(&other, time)?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let found = differences(&ours.files, &theirs.files);
        same += (ours.files.len() - found.len().min(ours.files.len())) as u64;
        differing.extend(found.iter().map(|path| format!("{}: {path}", ours.name)));
        let path = workspace.path(TO).join(&ours.name);
        let packed = archive::tar_gz(&theirs.folder, &theirs.files, time)?;
        match fs::read(&path).is_ok_and(|released| released == packed) {
            true => same += 1,
            false => differing.push(ours.name.clone()),
        }
    }
    if differing.is_empty() {
        return Ok(same);
    }
    Err(format!(
        "two builds of the same sources differ (unless dist/ is of older ones: `cargo xtask dist`) in\n  {}",
        differing.join("\n  ")
    )
    .into())
}

/// The paths of files that are in one only, or not the same in both.
fn differences<'a>(ours: &'a Files, theirs: &'a Files) -> BTreeSet<&'a str> {
    let all = ours.keys().chain(theirs.keys());
    all.filter(|path| ours.get(*path) != theirs.get(*path))
        .map(String::as_str)
        .collect()
}

fn packages(workspace: &Workspace, time: u64) -> Result<Vec<Package>> {
    Ok(vec![for_jhe(workspace, time)?, for_npm(workspace, time)?])
}

/// What a study's server gets: `dist/` as it is, and what is to be read about it.
fn for_jhe(workspace: &Workspace, time: u64) -> Result<Package> {
    let mut files = Files::new();
    read_folder(&workspace.path("dist"), "dist", &mut files)?;
    add_legal(workspace, &mut files)?;
    let mut documents = Files::new();
    read_folder(&workspace.path("docs"), "docs", &mut documents)?;
    documents.retain(|path, _| {
        let name = path.trim_start_matches("docs/");
        name.ends_with(".md") && !NOT_FOR_HOSTS.contains(&name)
    });
    files.insert("README.md".into(), readme_for_hosts().into());
    files.append(&mut documents);
    let name = format!("jhe-connect-{VERSION}");
    let purl = format!("pkg:generic/jhe-connect@{VERSION}?file_name={name}-jhe.tar.gz");
    complete(workspace, &mut files, &purl, time)?;
    Ok(Package {
        name: format!("{name}-jhe.tar.gz"),
        folder: name,
        files,
    })
}

/// What pages of others install. npm unpacks a folder of this name.
fn for_npm(workspace: &Workspace, time: u64) -> Result<Package> {
    let mut files = Files::new();
    let dist = workspace.path("dist");
    let layout = Layout::found_in(&dist)?;
    read_folder(&layout.client(), "client", &mut files)?;
    // It goes through a bundler, whose files are compressed afterwards.
    files.retain(|path, _| !path.ends_with(".br") && !path.ends_with(".gz"));
    let mut element = Files::new();
    read_folder(&dist, "element", &mut element)?;
    let assets = layout.plain_assets();
    let assets = assets.file_name().unwrap_or_default().to_string_lossy();
    let (script, folder) = ("element/jhe-connect.", format!("element/{assets}/"));
    element.retain(|path, _| path.starts_with(script) || path.starts_with(&folder));
    files.append(&mut element);
    for file in [
        "README.md",
        "index.js",
        "index.d.ts",
        "element.js",
        "element.d.ts",
    ] {
        let path = format!("dev/xtask/npm/{file}");
        files.insert(file.to_owned(), workspace.read(&path)?.into());
    }
    add_legal(workspace, &mut files)?;
    let template = workspace.read("dev/xtask/npm/package.json")?;
    files.insert("package.json".to_owned(), manifest(&template).into());
    let purl = format!("pkg:npm/jhe-connect@{VERSION}");
    complete(workspace, &mut files, &purl, time)?;
    Ok(Package {
        name: format!("jhe-connect-{VERSION}.tgz"),
        folder: "package".to_owned(),
        files,
    })
}

fn manifest(template: &str) -> String {
    template
        .replace("\"VERSION\"", &format!("\"{VERSION}\""))
        .replace(
            "\"license\": \"LICENSE\"",
            &format!("\"license\": \"{LICENSE}\""),
        )
}

fn readme_for_hosts() -> String {
    format!(
        "\
# jhe-connect {VERSION}, for a JupyterHealth Exchange (JHE) server

| Here | What |
|---|---|
| `dist/jhe/<client>/` | drop-ins for JHE's own clients, each with a README |
| `dist/index.html`, `dist/callback.html`, `dist/jhe-connect-<hash>/` | the plain pages |
| `dist/doctor.html`, `dist/doctor-<hash>/` | the doctor, for whoever maintains the installation: [docs/doctor.md](docs/doctor.md) |
| `dist/demo/` | the test mode, to see every screen without a server: [docs/test-mode.md](docs/test-mode.md) |
| `dist/jhe-connect.js`, `dist/jhe-connect.d.ts` | the element for pages of your own: [docs/embedding.md](docs/embedding.md) |
| `dist/client-<hash>/` | the client for pages of your own; also as an npm package |
| [docs/hosting.md](docs/hosting.md) | how to put it on your server, how to check it, how to go back |
| [CHANGELOG.md](CHANGELOG.md) | what changed, and what you have to do |
| `{BILL}`, `{NOTICES}` | what it is made of (CycloneDX 1.6), and under which licences |
| `{CHECKSUMS}` | of every file: `sha256sum --check --quiet {CHECKSUMS}` says nothing if all is well |

Copy with `cp -R`, which gives the copies today's date: JHE's `collectstatic` takes only what is newer than what it has.
"
    )
}

fn add_legal(workspace: &Workspace, files: &mut Files) -> Result {
    for name in LEGAL {
        files.insert(name.to_owned(), workspace.read(name)?.into());
    }
    Ok(())
}

/// Adds what says what the files are made of, and their checksums.
fn complete(workspace: &Workspace, files: &mut Files, purl: &str, time: u64) -> Result {
    take_out_broken_links(files)?;
    let is_in_it = |module: &&Module| {
        let file = format!("/{}", module.wasm());
        files.keys().any(|path| path.ends_with(&file))
    };
    let modules: Vec<&Module> = MODULES.iter().filter(is_in_it).collect();
    files.insert(
        NOTICES.to_owned(),
        bill::notices(workspace, &modules)?.into(),
    );
    let bill = bill::of(
        workspace,
        &Subject {
            purl,
            version: VERSION,
            modules: &modules,
            files,
            time,
        },
    )?;
    files.insert(BILL.to_owned(), bill.into());
    files.insert(CHECKSUMS.to_owned(), archive::checksums(files).into());
    Ok(())
}

/// A link to what stays in the repository leaves what it shows.
fn take_out_broken_links(files: &mut Files) -> Result {
    let there: Vec<String> = files.keys().cloned().collect();
    for (path, content) in files.iter_mut().filter(|(path, _)| path.ends_with(".md")) {
        let text = std::str::from_utf8(content)?;
        let text = markdown::without_links(text, &|target| {
            !there.contains(&markdown::resolved(path, target))
        });
        *content = text.into_bytes();
    }
    Ok(())
}

/// All files below a folder, under names that begin with `prefix`.
fn read_folder(folder: &Path, prefix: &str, files: &mut Files) -> Result {
    let missing = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).map_err(|_| missing())? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| missing())?;
        let name = format!("{prefix}/{name}");
        match entry.file_type()?.is_dir() {
            true => read_folder(&entry.path(), &name, files)?,
            false => {
                files.insert(name, fs::read(entry.path())?);
            }
        }
    }
    Ok(())
}

/// The time that all files get: the commit's, or the one that packagers set (reproducible-builds.org).
fn time_of_the_commit(workspace: &Workspace) -> u64 {
    let set = std::env::var("SOURCE_DATE_EPOCH").ok();
    let asked = || output_of(&mut workspace.command("git", &["log", "-1", "--format=%ct"]));
    set.or_else(asked)
        .and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or(0)
}

/// A copy of the sources, which goes with this value.
struct Copy {
    root: PathBuf,
}

impl Copy {
    /// Of what git knows, or would take: not of what was built.
    fn of_the_sources(workspace: &Workspace) -> Result<Copy> {
        let root = std::env::temp_dir().join(format!(
            "jhe-connect-built-elsewhere-{}",
            std::process::id()
        ));
        let copy = Copy { root };
        let list = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let list = output_of(&mut workspace.command("git", &list))
            .ok_or("`git ls-files` failed: the second build is of what git knows")?;
        for path in list.split_terminator('\0') {
            let from = workspace.path(path);
            // One that was deleted and not yet committed is not there.
            if from.is_file() {
                write(&copy.root.join(path), fs::read(from)?)?;
            }
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left is in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../npm/package.json");

    #[test]
    fn the_license_is_the_workspaces() {
        assert_eq!(LICENSE, env!("CARGO_PKG_LICENSE"));
    }

    #[test]
    fn what_the_package_for_npm_exports_is_in_it() {
        let manifest: serde_json::Value = serde_json::from_str(&manifest(TEMPLATE)).unwrap();
        assert_eq!(manifest["version"], VERSION);
        assert_eq!(manifest["license"], LICENSE);
        assert!(manifest.get("dependencies").is_none());
        let mut paths = Vec::new();
        collect_texts(&manifest["exports"], &mut paths);
        assert!(paths.len() > 6);
        for path in paths {
            let path = path.trim_start_matches("./");
            let listed = manifest["files"].as_array().unwrap();
            let is_listed = listed.iter().filter_map(|it| it.as_str()).any(|it| {
                path == it
                    || path
                        .strip_prefix(it)
                        .is_some_and(|rest| rest.starts_with('/'))
            });
            assert!(is_listed || path == "package.json", "{path}");
        }
    }

    #[test]
    fn a_document_in_a_package_links_to_what_is_in_it_only() {
        let mut files = Files::new();
        let text = "[a](a.md), [b](../tests/b.md), [web](https://x.example)";
        files.insert("docs/c.md".into(), text.into());
        files.insert("docs/a.md".into(), vec![]);
        take_out_broken_links(&mut files).unwrap();
        assert_eq!(
            files["docs/c.md"],
            b"[a](a.md), b, [web](https://x.example)"
        );
    }

    #[test]
    fn a_file_that_differs_or_is_in_one_build_only_is_found() {
        let files = |list: &[(&str, &str)]| -> Files {
            list.iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).into()))
                .collect()
        };
        let ours = files(&[("same", "1"), ("other", "1"), ("ours", "1")]);
        let theirs = files(&[("same", "1"), ("other", "2"), ("theirs", "1")]);
        let found: Vec<&str> = differences(&ours, &theirs).into_iter().collect();
        assert_eq!(found, ["other", "ours", "theirs"]);
        assert!(differences(&ours, &ours).is_empty());
    }

    fn collect_texts(value: &serde_json::Value, texts: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => texts.push(text.clone()),
            serde_json::Value::Object(members) => {
                members.values().for_each(|it| collect_texts(it, texts));
            }
            _ => {}
        }
    }
}
