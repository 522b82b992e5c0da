//! Builds the bundle with Trunk and lays it out in `dist/` as it is deployed: the plain pages, and the files to copy
//! over JHE's own MyChart client.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bundle;
use crate::compression::Compressed;
use crate::loader_texts;
use crate::setup::Need;
use crate::shrinking;
use crate::workspace::{Result, Workspace, cargo_home, run, write};

pub(crate) const NEEDS: &[Need] = &[
    Need::WasmTarget,
    Need::WasmBindgen,
    Need::Shrinking,
    Need::Trunk,
];

const GLUE: &str = "jhe-connect.js";
const WASM: &str = "jhe-connect_bg.wasm";
const STYLE: &str = "jhe-connect.css";
const TYPES: &str = "jhe-connect.d.ts";
const PAGE_SCRIPT: &str = "page.js";

/// The module for other pages, which is no part of what a patient's browser fetches for ours.
const CLIENT: &str = "jhe-connect-client";
const CLIENT_GLUE: &str = "jhe-connect-client.js";
const CLIENT_WASM: &str = "jhe-connect-client_bg.wasm";
const CLIENT_TYPES: &str = "jhe-connect-client.d.ts";

/// What `index.html` tells Trunk.
pub(crate) const PAGES_FEATURES: &str = "module,connect,callback";
pub(crate) const CLIENT_FEATURES: &str = "module,client";

/// Where things stand in a finished `dist/`.
pub(crate) struct Layout {
    root: PathBuf,
    fingerprint: String,
    client_fingerprint: String,
}

impl Layout {
    pub(crate) fn found_in(dist: &Path) -> Result<Layout> {
        let missing = || format!("{} is not built: run `cargo xtask dist`", dist.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(dist).map_err(|_| missing())? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let fingerprint_after = |prefix| {
            let fingerprint = names.iter().find_map(|name| name.strip_prefix(prefix));
            fingerprint.map(str::to_owned).ok_or_else(missing)
        };
        Ok(Layout {
            root: dist.to_owned(),
            fingerprint: fingerprint_after("jhe-connect-")?,
            client_fingerprint: fingerprint_after("client-")?,
        })
    }

    /// What a patient's browser fetches for the plain pages.
    pub(crate) fn plain_files(&self) -> Vec<PathBuf> {
        let assets = self.plain_assets();
        [WASM, GLUE, PAGE_SCRIPT, STYLE]
            .iter()
            .map(|file| assets.join(file))
            .collect()
    }

    /// What a patient's browser fetches for JHE's own pages.
    pub(crate) fn drop_in_files(&self) -> Vec<PathBuf> {
        let assets = self.drop_in_assets();
        vec![
            assets.join(WASM),
            assets.join(GLUE),
            self.loader(),
            self.obsolete_library(),
            assets.join(STYLE),
        ]
    }

    /// What a patient's browser fetches for a page that uses the client.
    pub(crate) fn client_files(&self) -> Vec<PathBuf> {
        let folder = self.client();
        vec![folder.join(CLIENT_WASM), folder.join(CLIENT_GLUE)]
    }

    fn client(&self) -> PathBuf {
        self.root
            .join(format!("client-{}", self.client_fingerprint))
    }

    fn plain_assets(&self) -> PathBuf {
        self.root.join(format!("jhe-connect-{}", self.fingerprint))
    }

    fn drop_in(&self) -> PathBuf {
        self.root.join("jhe/mychart")
    }

    fn drop_in_assets(&self) -> PathBuf {
        self.drop_in().join("wasm").join(&self.fingerprint)
    }

    fn loader(&self) -> PathBuf {
        self.drop_in().join("js/client-mychart.js")
    }

    fn obsolete_library(&self) -> PathBuf {
        self.drop_in().join("js/fhir-client.min.js")
    }
}

/// Builds everything anew and replaces `dist/`.
pub(crate) fn build(workspace: &Workspace) -> Result {
    let started = std::time::Instant::now();
    let pages = workspace.path("target/trunk");
    let client = workspace.path("target/client");
    trunk_build(workspace)?;
    client_build(workspace, &client)?;

    // Laid out beside it and moved there in one step: a server that runs meanwhile never sees half a bundle.
    let staging = workspace.path("target/dist-staging");
    remove(&staging)?;
    lay_out(workspace, &pages, &client, &staging)?;
    let dist = workspace.path("dist");
    remove(&dist)?;
    fs::rename(&staging, &dist)?;
    eprintln!("dist/ is ready ({} s)", started.elapsed().as_secs());
    Ok(())
}

fn trunk_build(workspace: &Workspace) -> Result {
    eprintln!("Building the release bundle (about a minute the first time)");
    // Trunk gets everything from this machine (--offline), so that it uses the tools that `setup` checked and never
    // looks for others; the dependencies are therefore fetched before.
    run(&mut workspace.command(
        "cargo",
        &["fetch", "--quiet", "--target", "wasm32-unknown-unknown"],
    ))?;
    let mut trunk = workspace.command(
        "trunk",
        &["build", "--release", "--offline=true", "index.html"],
    );
    trunk.env(RUSTFLAGS, flags(workspace));
    // Trunk reads any NO_COLOR but `true` and `false` as an error.
    trunk.env_remove("NO_COLOR");
    run(&mut trunk)
}

/// What Trunk does for the other module. It has no page, and Trunk builds one module a page.
fn client_build(workspace: &Workspace, folder: &Path) -> Result {
    let mut cargo = workspace.command("cargo", &["build", "--release", "--offline"]);
    cargo.args(["--target", "wasm32-unknown-unknown", "--bin", "jhe-connect"]);
    cargo.args(["--no-default-features", "--features", CLIENT_FEATURES]);
    run(cargo.env(RUSTFLAGS, flags(workspace)))?;
    remove(folder)?;
    run(workspace
        .command("wasm-bindgen", &["--target=web", "--out-name", CLIENT])
        .arg("--out-dir")
        .arg(folder)
        .arg("target/wasm32-unknown-unknown/release/jhe-connect.wasm"))
}

const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Panic messages quote the paths of source files. Without these flags a build would depend on, and tell, where its
/// checkout and its home folder are.
fn flags(workspace: &Workspace) -> String {
    let mut flags = vec![format!(
        "--remap-path-prefix={}=.",
        workspace.path("").display()
    )];
    for registry in registries() {
        flags.push(format!("--remap-path-prefix={}=cargo", registry.display()));
    }
    flags.join(" ")
}

/// Where cargo keeps the sources of dependencies: one folder a registry, whose name depends on the machine's settings.
fn registries() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = cargo_home()
        .and_then(|home| fs::read_dir(home.join("registry/src")).ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|folder| folder.path())
        .collect();
    folders.sort();
    folders
}

fn lay_out(workspace: &Workspace, built: &Path, client: &Path, target: &Path) -> Result {
    for folder in [built, client] {
        if folder.join("snippets").exists() {
            return Err(
                "wasm-bindgen made a folder of JavaScript snippets, which dist/ has no place for: a dependency uses \
                 inline JavaScript"
                    .into(),
            );
        }
    }
    let texts = loader_texts::as_javascript()?;
    let loader = workspace.read("www/loader.js")?;
    let scratch = workspace.path("target/dist-shrinking");
    let shrunk = |wasm: PathBuf, glue: PathBuf| {
        shrinking::module(workspace, &wasm, &read_text(&glue)?, &scratch)
    };
    let shrinking::Module { wasm, glue } = shrunk(built.join(WASM), built.join(GLUE))?;
    let other = shrunk(client.join(CLIENT_WASM), client.join(CLIENT_GLUE))?;
    let style = shrinking::style(workspace, &read_text(&built.join(STYLE))?)?;
    let types = bundle::public_types(&read_text(&built.join(TYPES))?)?;
    let client_types = bundle::public_types(&read_text(&client.join(CLIENT_TYPES))?)?;
    let page_script = bundle::page_script(&read_text(&built.join(PAGE_SCRIPT))?, &loader, &texts)?;
    let page_script = shrinking::script(workspace, &page_script)?;

    let layout = Layout {
        root: target.to_owned(),
        fingerprint: bundle::fingerprint(&[
            &wasm,
            glue.as_bytes(),
            style.as_bytes(),
            page_script.as_bytes(),
        ]),
        client_fingerprint: bundle::fingerprint(&[&other.wasm, other.glue.as_bytes()]),
    };
    let plain = layout.plain_assets();
    let drop_in = layout.drop_in_assets();
    let folder = format!("jhe-connect-{}", layout.fingerprint);
    for page in ["index.html", "callback.html"] {
        let text = bundle::page_with_assets_in(&read_text(&built.join(page))?, &folder)
            .map_err(|error| format!("{page}: {error}"))?;
        write(&target.join(page), text)?;
    }
    write(&plain.join(TYPES), types)?;
    write(&layout.client().join(CLIENT_TYPES), client_types)?;

    let loader = bundle::loader_script(&loader, &layout.fingerprint, &texts)?;
    let loader = shrinking::script(workspace, &loader)?;
    for (content, places) in [
        (&wasm[..], vec![plain.join(WASM), drop_in.join(WASM)]),
        (glue.as_bytes(), vec![plain.join(GLUE), drop_in.join(GLUE)]),
        (
            style.as_bytes(),
            vec![plain.join(STYLE), drop_in.join(STYLE)],
        ),
        (page_script.as_bytes(), vec![plain.join(PAGE_SCRIPT)]),
        (loader.as_bytes(), vec![layout.loader()]),
        (OBSOLETE_LIBRARY.as_bytes(), vec![layout.obsolete_library()]),
        (&other.wasm[..], vec![layout.client().join(CLIENT_WASM)]),
        (
            other.glue.as_bytes(),
            vec![layout.client().join(CLIENT_GLUE)],
        ),
    ] {
        let compressed = Compressed::of(content)?;
        for place in places {
            write(&place, content)?;
            compressed.write_beside(&place)?;
        }
    }
    write(&layout.drop_in().join("README.md"), DROP_IN_README)
}

/// Kept because JHE's page still asks for it.
const OBSOLETE_LIBRARY: &str = "/* Replaced by client-mychart.js. */\n";

const DROP_IN_README: &str = "\
# jhe-connect: MyChart client for JupyterHealth Exchange

1. Copy `js` and `wasm` over `core/static/clients/mychart/`, run `collectstatic`, restart: templates stay as they are.
2. `js/client-mychart.js` is the page's script under its old name; it loads the module from `wasm/<hash>/` beside it.
3. `js/fhir-client.min.js` is only a comment: nothing needs that library any more, its script tag may go.
4. Keep the `.br` and `.gz` files: WhiteNoise serves them in place of the originals.
5. After an update, folders of older hashes may be deleted once no page that was open before is in use (a day).
6. Nothing is to be configured here: the pages pass `MYCHART_CONFIG`, and all requests stay on the page's own host and the EHR.
7. With a Content-Security-Policy: `script-src 'self' 'wasm-unsafe-eval'`, the hashes of the template's two inline scripts, and `connect-src` with the EHR.
8. To check: open an invitation link; the browser's network panel shows `jhe-connect_bg.wasm` with `Content-Encoding: br`.
";

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| format!("{} is not text", path.display()).into())
}

fn remove(folder: &Path) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunk_builds_the_pages_half_of_the_exports() {
        let features =
            format!("data-cargo-no-default-features data-cargo-features=\"{PAGES_FEATURES}\"");
        assert!(include_str!("../../../index.html").contains(&features));
    }

    #[test]
    fn the_readme_of_the_drop_in_has_ten_lines() {
        assert_eq!(DROP_IN_README.lines().count(), 10);
        assert_eq!(OBSOLETE_LIBRARY.lines().count(), 1);
    }
}
