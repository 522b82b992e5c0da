//! The package for npm, installed from its archive into an empty folder, with the code of its README as the pages' own.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use e2e::browser::{Glance, State};
use e2e::bundle::{bundle, workspace};
use e2e::journey::{CAMILA, Journey};
use e2e::journeys;
use sandbox::{EHR_CLIENT_ID, SEED_SCOPES, Server};
use serde_json::json;

journeys!(drop_in: [
    the_installed_package_signs_in_and_reads_from_a_static_server,
    the_installed_package_signs_in_and_reads_from_a_bundle,
    the_installed_element_carries_a_patient_through,
    the_code_of_the_projects_readme_signs_in_and_reads,
]);

/// Where `cargo xtask package` puts the release.
const RELEASE: &str = "target/package";
/// Where `cargo xtask setup` puts tools.
const TOOLS: &str = "target/tools/node_modules/.bin";
/// The module, in the installed package.
const WASM: &str = "node_modules/jhe-connect/client/jhe-connect-client_bg.wasm";

async fn the_installed_package_signs_in_and_reads_from_a_static_server(
    journey: &Journey,
) -> Result<()> {
    let project = Project::with_the_package("static")?;
    for (name, code) in readme_code(PACKAGES_README, journey)? {
        // Browsers take no bare names.
        let code = code.replace("'jhe-connect'", "'./node_modules/jhe-connect/index.js'");
        project.write(&format!("{name}.js"), &code)?;
    }
    signs_in_and_reads(journey, &project).await
}

async fn the_installed_package_signs_in_and_reads_from_a_bundle(journey: &Journey) -> Result<()> {
    let project = Project::with_the_package("bundle")?;
    let code = readme_code(PACKAGES_README, journey)?;
    for (name, code) in &code {
        project.write(&format!("source/{name}.js"), code)?;
        project.run(
            tool("esbuild"),
            &[
                &format!("source/{name}.js"),
                "--bundle",
                "--format=esm",
                "--log-level=warning",
                &format!("--outfile={name}.js"),
            ],
        )?;
    }
    // As the README says for this bundler.
    let wasm = Path::new(WASM);
    let name = wasm.file_name().context("no name")?;
    fs::copy(project.folder.join(wasm), project.folder.join(name))?;
    fs::remove_dir_all(project.folder.join("node_modules"))?;
    signs_in_and_reads(journey, &project).await
}

/// Without a package: with the folder of `dist/`, as it is there.
async fn the_code_of_the_projects_readme_signs_in_and_reads(journey: &Journey) -> Result<()> {
    let project = Project::empty("readme")?;
    let dist = bundle()?;
    let mut names =
        fs::read_dir(&dist)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let client = names.find(|name| name.starts_with("client-"));
    let client = client.context("dist/ has no folder client-<hash>")?;
    let mut files = BTreeMap::new();
    read_folder(&dist.join(&client), &client, &mut files)?;
    for (path, content) in files {
        project.write(&path, content)?;
    }
    for (name, code) in readme_code("README.md", journey)? {
        project.write(
            &format!("{name}.js"),
            code.replace("client-<hash>", &client),
        )?;
    }
    signs_in_and_reads(journey, &project).await
}

async fn the_installed_element_carries_a_patient_through(journey: &Journey) -> Result<()> {
    let project = Project::with_the_package("element")?;
    let settings = json!({
        "deployment": "mychart",
        "iss": journey.sandbox.iss(),
        "clientId": EHR_CLIENT_ID,
        "scope": SEED_SCOPES,
        "dataSourceId": journey.world().settings.jhe.page.data_source_id.clone(),
        "redirectUri": "back.html",
    });
    for (name, page) in [("start", "connect"), ("back", "callback")] {
        let code = format!(
            "import {{ load }} from './node_modules/jhe-connect/element.js';\n\
             await load();\n\
             const element = document.createElement('jhe-connect');\n\
             Object.assign(element, {{ page: '{page}', config: {settings} }});\n\
             document.body.append(element);\n"
        );
        project.write(&format!("{name}.js"), &code)?;
    }
    let address = serve(journey, &project)?;
    let link = journey.link();
    let (_, invitation) = link.split_once('?').context("a link without a code")?;
    journey
        .browser
        .open(&format!("{address}start.html?{invitation}"))
        .await?;
    journey.agree_as(CAMILA).await?;
    let screen = journey.browser.wait_until_settled().await?;
    // Some of Camila's records are peculiar, and JHE refuses them.
    ensure!(
        matches!(screen.state, State::Done | State::Partly) && !journey.rows().is_empty(),
        "the journey ended as {:?}, with {} rows",
        screen.state,
        journey.rows().len()
    );
    Ok(())
}

#[test]
fn what_the_installed_package_exports_is_found_and_its_types_fit() {
    if let Err(error) = exports_and_types() {
        panic!("{error:#}");
    }
}

fn exports_and_types() -> Result<()> {
    let project = Project::with_the_package("types")?;
    // What Node, and with it every bundler, finds under the package's names.
    let program = "\
        import { access } from 'node:fs/promises'; \
        const { authorize, ready } = await import('jhe-connect'); \
        const { default: start } = await import('jhe-connect/client'); \
        if (![authorize, ready, start].every((it) => typeof it === 'function')) throw new Error('not functions'); \
        await access(new URL(import.meta.resolve('jhe-connect/client.wasm'))); \
        await import('jhe-connect/index.js').then(() => { throw new Error('not private'); }, () => {});";
    project.run("node", &["--input-type=module", "--eval", program])?;

    // What is expected not to compile is an error if it does.
    const CODE: &str = "\
        import { authorize, ready, type Client, type ConnectError } from 'jhe-connect';\n\
        import start from 'jhe-connect/client';\n\
        await start({ module_or_path: '/assets/module.wasm' });\n\
        const url: string = await authorize({ iss: 'i', clientId: 'c', scope: 's', redirectUri: 'r' });\n\
        const client: Client = await ready({ url });\n\
        const until: Date = new Date(client.expiresAt);\n\
        for await (const page of client.observations({ category: 'laboratory' })) {\n\
          const count: number = page.observations.length + page.leftOut;\n\
          console.log(count, until);\n\
        }\n\
        const told = (error: ConnectError): string => error.code;\n\
        console.log(told);\n\
        // @ts-expect-error: there is nowhere to come back to.\n\
        await authorize({ iss: 'i', clientId: 'c', scope: 's' });\n\
        // @ts-expect-error: the token stays inside.\n\
        console.log(client.accessToken);\n\
        // @ts-expect-error: parameters are texts.\n\
        client.observations({ category: 1 });\n";
    const ELEMENT: &str = "\
        import { load, type JheConnectElement } from 'jhe-connect/element';\n\
        await load('/assets/jhe-connect/');\n\
        const element: JheConnectElement = document.createElement('jhe-connect');\n\
        element.page = 'callback';\n\
        // @ts-expect-error: there are two pages.\n\
        element.page = 'other';\n";
    project.write("app.mts", format!("{CODE}{ELEMENT}"))?;
    for (module, resolution) in [("esnext", "bundler"), ("nodenext", "nodenext")] {
        let options = [
            "--noEmit --strict --skipDefaultLibCheck --target es2022 --lib es2023,dom",
            &format!("--module {module} --moduleResolution {resolution} app.mts"),
        ]
        .join(" ");
        let options: Vec<&str> = options.split(' ').collect();
        project.run(tool("tsc"), &options)?;
    }
    Ok(())
}

const PACKAGES_README: &str = "dev/xtask/npm/README.md";

/// The first two blocks of code in a README, for the page where the patient starts and for the one that the hospital
/// sends them back to, with the journey's own values.
fn readme_code(path: &str, journey: &Journey) -> Result<BTreeMap<&'static str, String>> {
    let readme = fs::read_to_string(workspace().join(path))?;
    let mut blocks = readme.split("```js\n").skip(1);
    let mut code = BTreeMap::new();
    for (name, values) in [
        (
            "start",
            &[
                ("https://ehr.example/api/FHIR/R4", journey.sandbox.iss()),
                ("your-client-id", EHR_CLIENT_ID.to_owned()),
                (
                    "openid fhirUser launch/patient patient/Observation.read",
                    SEED_SCOPES.to_owned(),
                ),
            ][..],
        ),
        ("back", &[]),
    ] {
        let block = blocks.next().context("the README has two blocks of code")?;
        let (block, _) = block.split_once("\n```").context("a block that ends")?;
        let mut block = block.to_owned();
        for (written, real) in values {
            ensure!(
                block.matches(written).count() == 1,
                "the README has {written} once"
            );
            block = block.replace(written, real);
        }
        code.insert(name, block);
    }
    Ok(code)
}

/// Serves the project's folder, with a page for each script. Gives its address.
fn serve(journey: &Journey, project: &Project) -> Result<String> {
    for name in ["start", "back"] {
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\
             <meta http-equiv=\"Content-Security-Policy\" content=\"script-src 'self' 'wasm-unsafe-eval'\">\
             <h1>{name}</h1><script type=\"module\" src=\"{name}.js\"></script></html>"
        );
        project.write(&format!("{name}.html"), &page)?;
    }
    let address = format!("{}/static/package-test/", journey.sandbox.jhe());
    let mut files = BTreeMap::new();
    read_folder(&project.folder, "package-test", &mut files)?;
    let mut world = journey.world();
    world.static_files.extend(files);
    for client in &mut world.settings.ehr.clients {
        client.redirect_uris.push(format!("{address}back.html"));
    }
    Ok(address)
}

/// Makes the journey through the pages of `authorize` and `ready`.
async fn signs_in_and_reads(journey: &Journey, project: &Project) -> Result<()> {
    let address = serve(journey, project)?;
    let browser = &journey.browser;
    browser.open(&format!("{address}start.html")).await?;
    journey.agree_as(CAMILA).await?;

    let labs = journey.labs_of(CAMILA).len();
    let said = browser
        .until("all observations in the console", async || {
            let lines = browser.console().await?;
            let lines = lines.into_iter().map(|line| line.message);
            let said: Vec<String> = lines.filter(|it| it.contains("/back.")).collect();
            let read: usize = said.iter().filter_map(|line| observations(line)).sum();
            Ok(match read {
                read if read >= labs => Glance::Seen(said),
                _ => Glance::NotYet,
            })
        })
        .await?;
    let launched = said.first().context("nothing was said")?;
    for part in [&journey.sandbox.iss(), &journey.patient_id(CAMILA)] {
        ensure!(launched.contains(part), "expected {part} in {launched}");
    }
    let read: usize = said.iter().filter_map(|line| observations(line)).sum();
    ensure!(read == labs, "expected {labs} observations, read {read}");
    ensure!(
        !browser.address().await?.as_str().contains('?'),
        "the answer is left in the address"
    );
    ensure!(
        journey.requests(Server::Jhe, "POST", "/").is_empty(),
        "JHE was written to"
    );
    Ok(())
}

/// The count of a line such as `http://…/back.js 9:16 10 "observations," 0 "left out"`; other engines than Chromium tell the page
/// and not the script, and quote nothing.
fn observations(line: &str) -> Option<usize> {
    let (before, _) = line.split_once("observations,")?;
    let before = before.trim_end_matches([' ', '"']);
    before.rsplit(' ').next()?.parse().ok()
}

/// A folder of somebody else's, which goes with this value.
struct Project {
    folder: PathBuf,
}

impl Project {
    fn empty(name: &str) -> Result<Project> {
        let unique = format!("jhe-connect-package-{name}-{}", std::process::id());
        let folder = env::temp_dir().join(unique);
        fs::create_dir_all(&folder)?;
        Ok(Project { folder })
    }

    /// An empty folder into which the package was installed from its archive.
    fn with_the_package(name: &str) -> Result<Project> {
        let release = workspace().join(RELEASE);
        let archive = fs::read_dir(&release)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension() == Some(OsStr::new("tgz")));
        let Some(archive) = archive else {
            bail!(
                "{} has no package. Run `cargo xtask package`",
                release.display()
            );
        };
        let project = Project::empty(name)?;
        project.write("package.json", "{\"private\": true}")?;
        let archive = archive.to_str().context("a path that is text")?;
        // It has no dependencies: nothing is asked of any registry.
        let options = ["--offline", "--ignore-scripts", "--no-audit", "--no-fund"];
        project.run("npm", &[&["install", archive][..], &options].concat())?;
        ensure!(
            project.folder.join(WASM).is_file(),
            "npm installed no module"
        );
        Ok(project)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    fn run(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<()> {
        let program = program.as_ref();
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        ensure!(
            output.status.success(),
            "{} {} failed: {}{}",
            program.display(),
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // What is left is in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn tool(name: &str) -> PathBuf {
    workspace().join(TOOLS).join(name)
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => read_folder(&entry.path(), &name, files)?,
            false => {
                files.insert(name, fs::read(entry.path())?);
            }
        }
    }
    Ok(())
}
