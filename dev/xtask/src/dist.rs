//! Builds the bundle with Trunk and lays it out in `dist/` as it is deployed: the plain pages, and the files to copy
//! over each of JHE's own clients.

use std::fs;
use std::path::{Path, PathBuf};

use jhe_connect::exchange::drop_in::{DROP_INS, DropIn, OBSOLETE_LIBRARY};

use crate::bundle;
use crate::compression::Compressed;
use crate::doctor;
use crate::drop_ins;
use crate::languages;
use crate::renaming::StartedBy;
use crate::setup::Need;
use crate::shrinking;
use crate::size;
use crate::workspace::{Result, Workspace, cargo_home, run, write};

pub(crate) const NEEDS: &[Need] = &[
    Need::WasmTarget,
    Need::WasmBindgen,
    Need::NodeTools,
    Need::Trunk,
];

const STYLE: &str = "jhe-connect.css";
/// What only the copying shows, and what follows it.
const IMPORT_STYLE: &str = "jhe-connect-import.css";
const PAGE_SCRIPT: &str = "page.js";
/// For pages of others: under this name in every version, so that a page can refer to it.
const EMBED_SCRIPT: &str = "jhe-connect.js";
const EMBED_TYPES: &str = "jhe-connect.d.ts";
/// What scripts say where no module can: of what kept it from being loaded, and of a second journey on a page.
const SCRIPT_TEXTS: &str = "loader";
/// The test mode's own pages, with what only they load, in `www/demo`.
const DEMO_PAGES: [&str; 4] = [
    "index.html",
    "connect.html",
    "callback.html",
    "hospital.html",
];
const DEMO_STYLE: &str = "demo.css";
const DEMO_SCRIPT: &str = "demo.js";

/// A module, and the share of the exports that it has. Its glue, its types and itself have names of their own.
pub(crate) struct Module {
    name: &'static str,
    pub(crate) features: &'static str,
    /// What it says: sections of the language files.
    sections: &'static [&'static str],
    started_by: StartedBy,
    folder: Folder,
}

/// Where a module is laid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    /// Beside the patient's pages, plain and of each drop-in.
    Pages,
    /// Beside the plain pages only.
    Plain,
    /// With what is for pages of others.
    Client,
    /// With the maintainers' page.
    Doctor,
}

/// The connect page's. Trunk builds it, and `index.html` tells it so.
const CONNECT: Module = Module {
    name: "jhe-connect",
    features: "module,connect",
    sections: &[
        "labels",
        "shared",
        "connect",
        "remedies",
        "connect_remedies",
    ],
    started_by: StartedBy::Loader,
    folder: Folder::Pages,
};

const CALLBACK: Module = Module {
    name: "jhe-connect-callback",
    features: "module,callback",
    sections: &[
        "labels",
        "shared",
        "callback",
        "visit",
        "remedies",
        "callback_remedies",
    ],
    started_by: StartedBy::Loader,
    folder: Folder::Pages,
};

/// The copying, loaded while the patient answers on the callback page.
const IMPORT: Module = Module {
    name: "jhe-connect-import",
    features: "module,import",
    sections: &[
        "labels",
        "shared",
        "visit",
        "import",
        "remedies",
        "import_remedies",
    ],
    started_by: StartedBy::Loader,
    folder: Folder::Pages,
};

/// What is below the counts when an import has ended: loaded when it is needed.
const RECEIPT: Module = Module {
    name: "jhe-connect-receipt",
    features: "module,receipt",
    sections: &["labels", "receipt"],
    started_by: StartedBy::Loader,
    folder: Folder::Pages,
};

/// The check of the hospital's identity token: loaded where there is one. It says nothing, but its texts are fetched like all.
const IDENTITY: Module = Module {
    name: "jhe-connect-identity",
    features: "module,identity",
    sections: &[],
    started_by: StartedBy::Loader,
    folder: Folder::Pages,
};

/// The test mode: for its own pages, which stand beside the plain ones. JHE's own pages always have a live configuration.
const DEMO: Module = Module {
    name: "jhe-connect-demo",
    features: "module,demo",
    sections: &["labels", "shared", "demo"],
    started_by: StartedBy::Loader,
    folder: Folder::Plain,
};

/// The one for other pages, which is no part of what a patient's browser fetches for ours.
const CLIENT: Module = Module {
    name: "jhe-connect-client",
    features: "module,client",
    sections: &[],
    started_by: StartedBy::Glue,
    folder: Folder::Client,
};

/// The one for the maintainers' page, which no patient's page loads.
const DOCTOR: Module = Module {
    name: "jhe-connect-doctor",
    features: "module,doctor",
    sections: &[],
    started_by: StartedBy::Glue,
    folder: Folder::Doctor,
};

pub(crate) const MODULES: &[Module] = &[
    CONNECT, CALLBACK, IMPORT, RECEIPT, IDENTITY, DEMO, CLIENT, DOCTOR,
];

impl Module {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn is_built_by_trunk(&self) -> bool {
        self.name == CONNECT.name
    }

    pub(crate) fn wasm(&self) -> String {
        format!("{}_bg.wasm", self.name)
    }

    fn glue(&self) -> String {
        format!("{}.js", self.name)
    }

    fn types(&self) -> String {
        format!("{}.d.ts", self.name)
    }

    fn texts(&self, language: &str) -> String {
        format!("{language}.{}.json", self.name)
    }
}

/// What a patient's browser, or another page's, loads at once.
pub(crate) struct Load {
    pub(crate) title: String,
    /// Its name in `dev/size-budget.json`.
    pub(crate) budget: &'static str,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) shown: Shown,
}

/// How much is printed of what is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Files,
    /// The sum only: the files are the same as in another load, but for a small script.
    Sum,
}

/// Where things stand in a finished `dist/`.
pub(crate) struct Layout {
    root: PathBuf,
    fingerprint: String,
    client_fingerprint: String,
    doctor_fingerprint: String,
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
            doctor_fingerprint: fingerprint_after("doctor-")?,
        })
    }

    /// What is loaded for each page.
    pub(crate) fn loads(&self) -> Vec<Load> {
        let mut loads = Vec::new();
        for (module, page, budget) in [
            (CONNECT, "connect page", "brotli_connect"),
            (CALLBACK, "callback page", "brotli_callback"),
        ] {
            let files = |assets: PathBuf, others: Vec<PathBuf>| -> Vec<PathBuf> {
                let texts = module.texts("en");
                let own = [module.wasm(), module.glue(), texts, STYLE.to_owned()];
                let own = own.iter().map(|file| assets.join(file));
                own.chain(others).collect()
            };
            let assets = self.plain_assets();
            let page_script = assets.join(PAGE_SCRIPT);
            loads.push(Load {
                title: page.to_owned(),
                budget,
                files: files(assets, vec![page_script]),
                shown: Shown::Files,
            });
            for drop_in in &DROP_INS {
                let folder = self.drop_in(drop_in);
                let scripts = [drop_in.script, OBSOLETE_LIBRARY].map(|script| folder.join(script));
                loads.push(Load {
                    title: format!("{page} of {}", drop_in.folder),
                    budget,
                    files: files(self.drop_in_assets(drop_in), scripts.into()),
                    shown: Shown::Sum,
                });
            }
        }
        let assets = self.plain_assets();
        let texts = IMPORT.texts("en");
        let files = [IMPORT.wasm(), IMPORT.glue(), texts, IMPORT_STYLE.to_owned()];
        loads.push(Load {
            title: "import, loaded while the patient answers on the callback page".to_owned(),
            budget: "brotli_import",
            files: files.map(|file| assets.join(file)).into(),
            shown: Shown::Files,
        });
        loads.push(Load {
            title: "receipt, loaded when an import ends".to_owned(),
            budget: "brotli_receipt",
            files: [RECEIPT.wasm(), RECEIPT.glue(), RECEIPT.texts("en")]
                .map(|file| assets.join(file))
                .into(),
            shown: Shown::Files,
        });
        loads.push(Load {
            title: "identity, loaded where the hospital tells who signed in".to_owned(),
            budget: "brotli_identity",
            files: [IDENTITY.wasm(), IDENTITY.glue(), IDENTITY.texts("en")]
                .map(|file| assets.join(file))
                .into(),
            shown: Shown::Files,
        });
        loads.push(Load {
            title: "script of <jhe-connect>, in place of page.js".to_owned(),
            budget: "brotli_embed",
            files: vec![self.root.join(EMBED_SCRIPT)],
            shown: Shown::Files,
        });
        loads.push(Load {
            title: "test mode, loaded by its own pages beside the rest".to_owned(),
            budget: "brotli_demo",
            files: [
                &DEMO.wasm(),
                &DEMO.glue(),
                &DEMO.texts("en"),
                DEMO_STYLE,
                DEMO_SCRIPT,
            ]
            .map(|file| assets.join(file))
            .into(),
            shown: Shown::Files,
        });
        let client = self.client();
        loads.push(Load {
            title: "client for other pages".to_owned(),
            budget: "brotli_client",
            files: vec![client.join(CLIENT.wasm()), client.join(CLIENT.glue())],
            shown: Shown::Files,
        });
        let folder = self.root.join(self.doctor_folder());
        loads.push(Load {
            title: "doctor, for maintainers".to_owned(),
            budget: "brotli_doctor",
            files: [
                &*DOCTOR.wasm(),
                &*DOCTOR.glue(),
                doctor::STYLE,
                doctor::SCRIPT,
            ]
            .map(|file| folder.join(file))
            .into(),
            shown: Shown::Files,
        });
        loads
    }

    /// The same beside each page of the doctor.
    fn doctor_folder(&self) -> String {
        format!("doctor-{}", self.doctor_fingerprint)
    }

    pub(crate) fn client(&self) -> PathBuf {
        self.root
            .join(format!("client-{}", self.client_fingerprint))
    }

    pub(crate) fn plain_assets(&self) -> PathBuf {
        self.root.join(format!("jhe-connect-{}", self.fingerprint))
    }

    fn drop_in(&self, drop_in: &DropIn) -> PathBuf {
        self.root.join("jhe").join(drop_in.folder)
    }

    fn drop_in_assets(&self, drop_in: &DropIn) -> PathBuf {
        self.drop_in(drop_in).join("wasm").join(&self.fingerprint)
    }
}

/// Builds everything anew and replaces `dist/`.
pub(crate) fn build(workspace: &Workspace) -> Result {
    let started = std::time::Instant::now();
    trunk_build(workspace)?;
    for module in MODULES {
        if !module.is_built_by_trunk() {
            module_build(workspace, module)?;
        }
    }

    // Laid out beside it and moved there in one step: a server that runs meanwhile never sees half a bundle.
    let staging = workspace.path("target/dist-staging");
    remove(&staging)?;
    lay_out(workspace, &staging)?;
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

/// What Trunk does for one module only.
fn module_build(workspace: &Workspace, module: &Module) -> Result {
    let mut cargo = workspace.command("cargo", &["build", "--release", "--offline"]);
    cargo.args(["--target", "wasm32-unknown-unknown", "--bin", "jhe-connect"]);
    cargo.args(["--no-default-features", "--features", module.features]);
    run(cargo.env(RUSTFLAGS, flags(workspace)))?;
    let folder = built(workspace, module);
    remove(&folder)?;
    run(workspace
        .command("wasm-bindgen", &["--target=web", "--out-name", module.name])
        .arg("--out-dir")
        .arg(folder)
        .arg("target/wasm32-unknown-unknown/release/jhe-connect.wasm"))
}

/// Where a module and its glue are before they are made small.
fn built(workspace: &Workspace, module: &Module) -> PathBuf {
    match module.is_built_by_trunk() {
        true => workspace.path(TRUNK),
        false => workspace.path("target/modules").join(module.name),
    }
}

/// Trunk's output: its module, and the plain pages with what they need.
const TRUNK: &str = "target/trunk";

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
pub(crate) fn registries() -> Vec<PathBuf> {
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

fn lay_out(workspace: &Workspace, target: &Path) -> Result {
    let languages = languages::found_in(workspace)?;
    let texts = languages::for_the_loader(&languages)?;
    let loader = workspace.read("www/loader.js")?;
    let loader = bundle::loader_with_sessions(&loader, &workspace.read("www/session.js")?)?;
    let mut pages = Vec::new();
    let mut plain_only = Vec::new();
    let mut clients = Vec::new();
    let mut doctors = Vec::new();
    for module in MODULES {
        let shrunk = Shrunk::of(workspace, module)?;
        match module.folder {
            Folder::Pages => pages.push(shrunk),
            Folder::Plain => plain_only.push(shrunk),
            Folder::Client => clients.push(shrunk),
            Folder::Doctor => doctors.push(shrunk),
        }
    }
    let mut says = Vec::new();
    for language in &languages {
        for Shrunk { module, .. } in pages.iter().chain(&plain_only) {
            let texts = languages::texts_of(&languages, language, module.name, module.sections)?;
            says.push((module.folder, module.texts(&language.tag), texts));
        }
    }
    for language in &languages {
        let name = format!("{}.{SCRIPT_TEXTS}.json", language.tag);
        says.push((Folder::Pages, name, languages::for_the_scripts(language)?));
    }
    let trunk = workspace.path(TRUNK);
    let mut styles = Vec::new();
    for name in [STYLE, IMPORT_STYLE] {
        let style = shrinking::style(workspace, &read_text(&trunk.join(name))?)?;
        styles.push((name, style));
    }
    let page_script = bundle::page_script(&read_text(&trunk.join(PAGE_SCRIPT))?, &loader, &texts)?;
    let page_script = shrinking::script(workspace, &page_script)?;

    let demo_style = shrinking::style(workspace, &workspace.read("www/demo/demo.css")?)?;
    let demo_script = workspace.read("www/demo/demo.js")?;
    let demo_script = bundle::page_script(&demo_script, &loader, &texts)?;
    let demo_script = shrinking::script(workspace, &demo_script)?;

    let mut files = vec![page_script.as_bytes()];
    files.extend(styles.iter().map(|(_, style)| style.as_bytes()));
    files.extend([demo_style.as_bytes(), demo_script.as_bytes()]);
    files.extend(pages.iter().chain(&plain_only).flat_map(Shrunk::files));
    files.extend(says.iter().map(|(.., texts)| texts.as_bytes()));
    let client_files: Vec<&[u8]> = clients.iter().flat_map(Shrunk::files).collect();
    let doctor_style = shrinking::style(workspace, &workspace.read("www/doctor.css")?)?;
    let doctor_script = shrinking::script(workspace, &workspace.read("www/doctor.js")?)?;
    let mut doctor_files = vec![doctor_style.as_bytes(), doctor_script.as_bytes()];
    doctor_files.extend(doctors.iter().flat_map(Shrunk::files));
    let layout = Layout {
        root: target.to_owned(),
        fingerprint: bundle::fingerprint(&files),
        client_fingerprint: bundle::fingerprint(&client_files),
        doctor_fingerprint: bundle::fingerprint(&doctor_files),
    };
    let plain = layout.plain_assets();
    let places = |file: &str| -> Vec<PathBuf> {
        let drop_ins = DROP_INS.iter().map(|it| layout.drop_in_assets(it));
        let all = drop_ins.chain([plain.clone()]);
        all.map(|folder| folder.join(file)).collect()
    };
    let folder = format!("jhe-connect-{}", layout.fingerprint);
    for page in ["index.html", "callback.html"] {
        let text = bundle::page_with_assets_in(&read_text(&trunk.join(page))?, &folder)
            .map_err(|error| format!("{page}: {error}"))?;
        write(&target.join(page), text)?;
    }
    let embed = workspace.read("www/embed.js")?;
    let embed = bundle::embed_script(&embed, &loader, &folder, &texts)?;
    let embed = shrinking::script(workspace, &embed)?;
    write_compressed(embed.as_bytes(), &[target.join(EMBED_SCRIPT)])?;
    let connect = pages.iter().find(|it| it.module.name == CONNECT.name);
    let connect = connect.ok_or("there is no module of the connect page")?;
    let types = bundle::embed_types(&workspace.read("www/jhe-connect.d.ts")?, &connect.types)?;
    write(&target.join(EMBED_TYPES), types)?;
    for page in DEMO_PAGES {
        let text = workspace.read(&format!("www/demo/{page}"))?;
        let text = bundle::demo_page_with_assets_in(&text, &format!("../{folder}"))
            .map_err(|error| format!("demo/{page}: {error}"))?;
        write(&target.join("demo").join(page), text)?;
    }
    for shrunk in &pages {
        write(&plain.join(shrunk.module.types()), &shrunk.types)?;
        shrunk.write_to(places)?;
    }
    for shrunk in &plain_only {
        write(&plain.join(shrunk.module.types()), &shrunk.types)?;
        shrunk.write_to(|file| vec![plain.join(file)])?;
    }
    for shrunk in &clients {
        write(&layout.client().join(shrunk.module.types()), &shrunk.types)?;
        shrunk.write_to(|file| vec![layout.client().join(file)])?;
    }

    for (folder, file, texts) in &says {
        let places = match folder {
            Folder::Plain => vec![plain.join(file)],
            _ => places(file),
        };
        write_compressed(texts.as_bytes(), &places)?;
    }
    for (file, content) in [(DEMO_STYLE, demo_style), (DEMO_SCRIPT, demo_script)] {
        write_compressed(content.as_bytes(), &[plain.join(file)])?;
    }
    for (name, style) in &styles {
        write_compressed(style.as_bytes(), &places(name))?;
    }
    write_compressed(page_script.as_bytes(), &[plain.join(PAGE_SCRIPT)])?;
    for drop_in in &DROP_INS {
        let folder = layout.drop_in(drop_in);
        let script = bundle::loader_script(&loader, drop_in, &layout.fingerprint, &texts)?;
        let script = shrinking::script(workspace, &script)?;
        write_compressed(script.as_bytes(), &[folder.join(drop_in.script)])?;
        let library = drop_ins::obsolete_library(drop_in);
        write_compressed(library.as_bytes(), &[folder.join(OBSOLETE_LIBRARY)])?;
        write(&folder.join("README.md"), drop_ins::readme(drop_in))?;
    }

    // Beside the pages that it looks at, each with the list of their files.
    let doctor_page = workspace.read("www/doctor.html")?;
    let doctor_folder = layout.doctor_folder();
    let mut doctor_places = vec![(target.to_owned(), "", plain.clone())];
    for drop_in in &DROP_INS {
        let assets = layout.drop_in_assets(drop_in);
        doctor_places.push((layout.drop_in(drop_in), drop_in.folder, assets));
    }
    for (place, drop_in, assets) in &doctor_places {
        let block = doctor::block(drop_in, place, assets)?;
        let page = doctor::page(&doctor_page, &doctor_folder, &block)?;
        write(&place.join(doctor::PAGE), page)?;
    }
    let doctor_places = |file: &str| -> Vec<PathBuf> {
        let all = doctor_places.iter();
        all.map(|(place, ..)| place.join(&doctor_folder).join(file))
            .collect()
    };
    for shrunk in &doctors {
        shrunk.write_to(doctor_places)?;
    }
    write_compressed(doctor_style.as_bytes(), &doctor_places(doctor::STYLE))?;
    write_compressed(doctor_script.as_bytes(), &doctor_places(doctor::SCRIPT))
}

/// A module as small as it gets, and what belongs to it.
struct Shrunk {
    module: &'static Module,
    wasm: Vec<u8>,
    glue: String,
    types: String,
}

impl Shrunk {
    fn of(workspace: &Workspace, module: &'static Module) -> Result<Shrunk> {
        let folder = built(workspace, module);
        if folder.join("snippets").exists() {
            return Err(
                "wasm-bindgen made a folder of JavaScript snippets, which dist/ has no place for: a dependency uses \
                 inline JavaScript"
                    .into(),
            );
        }
        let shrinking::Module { wasm, glue, panics } = shrinking::module(
            workspace,
            &folder.join(module.wasm()),
            &read_text(&folder.join(module.glue()))?,
            module.started_by,
            &workspace.path("target/dist-shrinking"),
        )?;
        let types =
            bundle::public_types(&read_text(&folder.join(module.types()))?, module.started_by)?;
        size::keep_panics(workspace, module.name, &panics)?;
        Ok(Shrunk {
            module,
            wasm,
            glue,
            types,
        })
    }

    /// What its folder's fingerprint depends on.
    fn files(&self) -> [&[u8]; 2] {
        [&self.wasm, self.glue.as_bytes()]
    }

    /// Writes module and glue to all places of each.
    fn write_to(&self, places: impl Fn(&str) -> Vec<PathBuf>) -> Result {
        write_compressed(&self.wasm, &places(&self.module.wasm()))?;
        write_compressed(self.glue.as_bytes(), &places(&self.module.glue()))
    }
}

/// Writes the same content to each place, with its siblings.
fn write_compressed(content: &[u8], places: &[PathBuf]) -> Result {
    let compressed = Compressed::of(content)?;
    for place in places {
        write(place, content)?;
        compressed.write_beside(place)?;
    }
    Ok(())
}

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
    fn trunk_builds_the_connect_pages_share_of_the_exports() {
        let features = format!(
            "data-cargo-no-default-features data-cargo-features=\"{}\"",
            CONNECT.features
        );
        assert!(include_str!("../../../index.html").contains(&features));
    }

    #[test]
    fn the_loader_knows_the_modules_by_their_names() {
        let loader = include_str!("../../../www/loader.js");
        for (constant, module) in [
            ("CONNECT", CONNECT),
            ("CALLBACK", CALLBACK),
            ("IMPORT", IMPORT),
            ("RECEIPT", RECEIPT),
        ] {
            assert!(loader.contains(&format!("const {constant} = '{}';", module.name)));
        }
        let demo = include_str!("../../../www/demo/demo.js");
        assert!(demo.contains(&format!("const DEMO = '{}';", DEMO.name)));
        assert!(!loader.contains(DEMO.name));
    }
}
