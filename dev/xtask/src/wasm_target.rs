//! The standard library for wasm32-unknown-unknown: from rustup, or built from Debian's copy of its sources on a
//! machine that reaches package mirrors but not rustup's server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::setup::{installing, present};
use crate::version::Version;
use crate::workspace::{Result, Workspace, output_of, run, write};

const TARGET: &str = "wasm32-unknown-unknown";
/// Where Debian publishes compilers newer than its releases.
const SUITE: &str = "trixie-backports";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(crate) fn install_missing(workspace: &Workspace) -> Result {
    if is_installed(workspace) {
        present(TARGET);
        return Ok(());
    }
    if workspace.find_program("rustup").is_some() {
        installing(TARGET, "a few seconds");
        let added = run(&mut workspace.command("rustup", &["target", "add", TARGET]));
        if added.is_ok() && is_installed(workspace) {
            return Ok(());
        }
    }
    installing(
        &format!("{TARGET} from Debian's rust-src, as rustup cannot provide it"),
        "about a minute of compiling on two cores",
    );
    build_from_debian(workspace).map_err(|error| {
        format!(
            "the standard library for {TARGET} is missing. Please run `rustup target add {TARGET}` where rustup has \
             access to its server. Building it from Debian's package rust-src failed: {error}"
        )
    })?;
    if is_installed(workspace) {
        Ok(())
    } else {
        Err(format!("{TARGET} was installed but rustc does not find it").into())
    }
}

fn is_installed(workspace: &Workspace) -> bool {
    target_libdir(workspace)
        .and_then(|folder| fs::read_dir(folder).ok())
        .is_some_and(|files| {
            files
                .flatten()
                .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
}

fn target_libdir(workspace: &Workspace) -> Option<PathBuf> {
    let arguments = ["--print", "target-libdir", "--target", TARGET];
    output_of(&mut workspace.command("rustc", &arguments)).map(|path| path.trim().into())
}

fn build_from_debian(workspace: &Workspace) -> Result {
    let scratch = workspace.path("target/tools/wasm-target");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    let sysroot = output_of(&mut workspace.command("rustc", &["--print", "sysroot"]))
        .ok_or("rustc does not tell its sysroot")?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if !library.join("Cargo.lock").is_file() {
        let unpacked = fetch_sources(workspace, &scratch)?;
        fs::create_dir_all(library.parent().ok_or("a sysroot without parent")?)?;
        run(workspace
            .command("cp", &["-R"])
            .arg(&unpacked)
            .arg(&library))?;
    }

    // Any package makes cargo build the standard library beside it.
    let package = scratch.join("package");
    write(&package.join("lib.rs"), "")?;
    write(
        &package.join("Cargo.toml"),
        "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n\
         [workspace]\n",
    )?;
    let mut build = workspace.command("cargo", &["build", "--release", "--target", TARGET]);
    build
        .arg("-Zbuild-std=std,panic_abort,test")
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", scratch.join("build"))
        // Cargo leaves bitcode out of a build like this, but ours links with LTO.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        // The flag -Z belongs to nightly compilers; this is how a stable one may build its own library.
        .env("RUSTC_BOOTSTRAP", "1");
    run(&mut build)?;

    let libdir = target_libdir(workspace).ok_or("rustc does not tell where its targets are")?;
    fs::create_dir_all(&libdir)?;
    let built = scratch.join("build").join(TARGET).join("release/deps");
    for file in fs::read_dir(built)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libnothing-") {
            fs::copy(file.path(), libdir.join(&name))?;
        }
    }
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// Downloads and unpacks the sources of exactly this compiler; returns the folder `library` in them. Needs no rights:
/// apt works in a folder of ours and leaves the machine's own lists alone.
fn fetch_sources(workspace: &Workspace, scratch: &Path) -> Result<PathBuf> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if workspace.find_program(program).is_none() {
            return Err(format!("this machine has no {program}").into());
        }
    }
    let rustc = output_of(&mut workspace.command("rustc", &["--version"]))
        .and_then(|output| Version::printed_in(&output))
        .ok_or("rustc does not tell its version")?;
    let sources = configured_sources();
    let mirror = debian_mirror(&sources).ok_or("no Debian mirror is configured on this machine")?;

    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    let signed_by = if Path::new(KEYRING).is_file() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    write(
        &scratch.join("sources.list"),
        format!("deb {signed_by}{mirror} {SUITE} main\n"),
    )?;
    let options: Vec<String> = [
        ("Dir::Etc::SourceList", "sources.list"),
        ("Dir::State::Lists", "lists"),
        ("Dir::Cache", "cache"),
    ]
    .iter()
    .map(|(option, place)| format!("-o{option}={}", scratch.join(place).display()))
    .chain(["-oDir::Etc::SourceParts=/dev/null".to_owned()])
    .collect();

    run(workspace
        .command("apt-get", &["-q", "update"])
        .args(&options))?;
    let offered = output_of(
        workspace
            .command("apt-cache", &["madison", "rust-src"])
            .args(&options),
    )
    .unwrap_or_default();
    let version = package_for(rustc, &offered)
        .ok_or_else(|| format!("{SUITE} has no rust-src of version {rustc}"))?;
    run(workspace
        .command("apt-get", &["-q", "download"])
        .arg(format!("rust-src={version}"))
        .args(&options)
        .current_dir(scratch))?;
    let package = fs::read_dir(scratch)?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get downloaded no package")?;
    let unpacked = scratch.join("unpacked");
    run(workspace
        .command("dpkg-deb", &["-x"])
        .arg(&package)
        .arg(&unpacked))?;
    Ok(unpacked.join(format!("usr/src/rustc-{rustc}/library")))
}

/// All of the machine's package sources, in either of apt's formats.
fn configured_sources() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(parts.flatten().map(|part| part.path()));
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The address of the Debian archive that the machine uses.
fn debian_mirror(sources: &str) -> Option<&str> {
    sources
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
}

/// The package's version that was made from this version of Rust, among the lines of `apt-cache madison`.
fn package_for(rust: Version, offered: &str) -> Option<&str> {
    offered
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|version| version.starts_with(&format!("{rust}+")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_formats_and_not_in_comments() {
        let listed = "# deb http://old.example/debian bookworm main\n\
                      deb [arch=amd64] https://mirror.example/debian/ bookworm main\n";
        assert_eq!(
            debian_mirror(listed),
            Some("https://mirror.example/debian/")
        );
        let stanzas = "Types: deb\nURIs: http://other.example/nodesource\nSuites: x\n\n\
                       Types: deb\nURIs: http://mirror.example/debian-security\n\n\
                       Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(debian_mirror(stanzas), Some("http://mirror.example/debian"));
        assert_eq!(
            debian_mirror("deb http://mirror.example/ubuntu noble main"),
            None
        );
    }

    #[test]
    fn only_sources_of_the_compilers_own_version_are_taken() {
        let offered = "  rust-src | 1.96.1+dfsg1-2~bpo13+1 | http://mirror.example/debian trixie-backports/main\n  \
                       rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://mirror.example/debian trixie-backports/main\n";
        assert_eq!(
            package_for(Version(1, 95, 0), offered),
            Some("1.95.0+dfsg1-2~bpo13+1")
        );
        assert_eq!(package_for(Version(1, 96, 0), offered), None);
    }
}
