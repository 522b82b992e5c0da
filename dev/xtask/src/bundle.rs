//! What is done to the files of the bundle on their way to `dist/`: text in, text out.

use jhe_connect::exchange::drop_in::DropIn;
use sha2::{Digest, Sha256};

use crate::renaming::StartedBy;
use crate::workspace::Result;

/// Names the folder of files that only fit each other: a cache that still holds an older one under the same name would
/// pair old code with a new module.
pub(crate) fn fingerprint(files: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        // The length keeps two files from being told apart only by where one of them ends.
        digest.update((file.len() as u64).to_be_bytes());
        digest.update(file);
    }
    let digest = digest.finalize();
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A plain page whose style sheet and script are those in `folder`. Refuses a page that would not run under a policy
/// without inline code.
pub(crate) fn page_with_assets_in(page: &str, folder: &str) -> Result<String> {
    let assets = [("href", "jhe-connect.css"), ("src", "page.js")];
    page_with(page, &assets, folder)
}

/// The same for a page of the test mode.
pub(crate) fn demo_page_with_assets_in(page: &str, folder: &str) -> Result<String> {
    let assets = [
        ("href", "jhe-connect.css"),
        ("href", "demo.css"),
        ("src", "demo.js"),
    ];
    page_with(page, &assets, folder)
}

fn page_with(page: &str, assets: &[(&str, &str)], folder: &str) -> Result<String> {
    // Trunk leaves its own link to the crate in the page, and blank lines where the others were.
    let mut rewritten: String = page
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains("<link data-trunk "))
        .map(|line| format!("{line}\n"))
        .collect();
    for (attribute, file) in assets {
        let plain = format!("{attribute}=\"{file}\"");
        if rewritten.matches(&plain).count() != 1 {
            return Err(format!("the page should have {plain} exactly once").into());
        }
        rewritten = rewritten.replace(&plain, &format!("{attribute}=\"{folder}/{file}\""));
    }
    if rewritten.contains("data-trunk") || rewritten.contains("TrunkApplication") {
        return Err("Trunk left its own attributes or its inline loader in the page".into());
    }
    for script in rewritten.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap_or_default();
        if !tag.contains("src=") && !tag.contains("type=\"application/json\"") {
            return Err("the page has an inline script, which its policy forbids".into());
        }
    }
    if rewritten.contains("<style") || rewritten.contains(" style=") {
        return Err("the page has an inline style, which its policy forbids".into());
    }
    Ok(rewritten)
}

/// `www/loader.js` with `www/session.js`, which is in all scripts.
pub(crate) fn loader_with_sessions(loader: &str, sessions: &str) -> Result<String> {
    filled_in(loader, "__SESSION__", sessions.trim_end())
}

/// `www/embed.js` with the loader's shared part and texts. `folder` is that of the modules.
pub(crate) fn embed_script(embed: &str, loader: &str, folder: &str, texts: &str) -> Result<String> {
    let shared = between(loader, "// <shared>", "// </shared>")?;
    let shared = with_shared_values(shared, &format!("{folder}/"), texts)?;
    finished(filled_in(embed, "__SHARED__", &shared)?)
}

/// `www/jhe-connect.d.ts` with the types of the configuration, which those of a page's module have.
pub(crate) fn embed_types(types: &str, of_module: &str) -> Result<String> {
    const LAST: &str = "export interface HospitalPicker {";
    let (before, last) = of_module
        .split_once(LAST)
        .ok_or("the module's types have no HospitalPicker")?;
    let first = before
        .find("/** What the server that serves the page")
        .ok_or("the module's types have no PageConfig")?;
    let (last, _) = last
        .split_once("\n}")
        .ok_or("HospitalPicker does not end")?;
    let config = format!("{}{LAST}{last}\n}}", &before[first..]);
    finished(filled_in(types, "__CONFIG_TYPES__", &config)?)
}

/// `www/page.js` with the loader's shared part and texts.
pub(crate) fn page_script(page: &str, loader: &str, texts: &str) -> Result<String> {
    let shared = between(loader, "// <shared>", "// </shared>")?;
    // The modules stand beside it.
    let script = filled_in(
        page,
        "__SHARED__",
        &with_shared_values(shared, "./", texts)?,
    )?;
    finished(script)
}

/// `www/loader.js` for one drop-in, with its texts and the folder that it loads from.
pub(crate) fn loader_script(
    loader: &str,
    drop_in: &DropIn,
    folder: &str,
    texts: &str,
) -> Result<String> {
    let mut script = with_shared_values(loader, &format!("../wasm/{folder}/"), texts)?;
    for (name, value) in [
        ("__DEPLOYMENT__", drop_in.deployment.name),
        ("__START__", drop_in.start),
        ("__FINISH__", drop_in.finish),
    ] {
        script = filled_in(&script, name, value)?;
    }
    finished(script)
}

fn with_shared_values(script: &str, folder: &str, texts: &str) -> Result<String> {
    let script = filled_in(script, "__LOADER_TEXTS__", texts)?;
    filled_in(&script, "__ASSET_FOLDER__", folder)
}

fn finished(script: String) -> Result<String> {
    match script.find("__") {
        None => Ok(script),
        Some(_) => Err("a name in double underscores was left in a script".into()),
    }
}

fn filled_in(template: &str, name: &str, value: &str) -> Result<String> {
    // Once in the code; comments do not spell the name.
    match template.matches(name).count() {
        1 => Ok(template.replace(name, value)),
        count => Err(format!("the template has {name} {count} times, expected once").into()),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Result<&'a str> {
    text.split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .map(|(inside, _)| inside)
        .ok_or_else(|| format!("the loader has no part from {start} to {end}").into())
}

const STARTED_BY_LOADER: &str = "\
/** What the module is to be instantiated with. */
export function imports(): WebAssembly.Imports;

/** Takes the instance: the functions above work from then on. */
export function start(instance: WebAssembly.Instance, module: WebAssembly.Module): unknown;
";

/// The module's types without what only wasm-bindgen's own glue knows: the names of raw exports, which are shortened,
/// and ways to start the module that are left out.
pub(crate) fn public_types(types: &str, started_by: StartedBy) -> Result<String> {
    let (public, rest) = types
        .split_once("export interface InitOutput {")
        .ok_or("the types have no InitOutput")?;
    let (_, start) = rest
        .rsplit_once("/**")
        .ok_or("the types have no start function")?;
    if !start.contains("export default function") {
        return Err("the types do not end with the start function".into());
    }
    let inputs =
        "export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;";
    if !public.contains(inputs) {
        return Err("the types lack InitInput".into());
    }
    Ok(match started_by {
        StartedBy::Glue => {
            let start = start.replace("Promise<InitOutput>", "Promise<unknown>");
            format!("{public}/**{start}")
        }
        StartedBy::Loader => {
            let public = public.replace(inputs, "");
            format!("{}\n\n{STARTED_BY_LOADER}", public.trim_end())
        }
    })
}

#[cfg(test)]
mod tests {
    use jhe_connect::exchange::drop_in::DROP_INS;

    use super::*;

    const PAGE: &str = "<html><head><link rel=\"stylesheet\" href=\"jhe-connect.css\">\
        <script type=\"application/json\" id=\"c\">{}</script><script src=\"page.js\" defer></script></head></html>";

    #[test]
    fn types_keep_the_public_functions_and_the_start() {
        let types = "/** A */\nexport function ready(): Promise<Client>;\n\n\
            export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;\n\n\
            export interface InitOutput {\n  readonly memory: WebAssembly.Memory;\n}\n\n\
            export type SyncInitInput = BufferSource;\n\n/** S */\nexport function initSync(): InitOutput;\n\n\
            /** I */\nexport default function __wbg_init (m?: InitInput): Promise<InitOutput>;\n";
        let public = public_types(types, StartedBy::Glue).unwrap();
        assert!(public.contains("export function ready(): Promise<Client>;"));
        assert!(public.ends_with(
            "/** I */\nexport default function __wbg_init (m?: InitInput): Promise<unknown>;\n"
        ));
        assert!(!public.contains("InitOutput") && !public.contains("initSync"));
        let by_loader = public_types(types, StartedBy::Loader).unwrap();
        assert!(by_loader.contains("export function ready(): Promise<Client>;"));
        assert!(by_loader.contains("export function imports()"));
        for other in ["InitOutput", "InitInput", "initSync", "default"] {
            assert!(!by_loader.contains(other), "{by_loader}");
        }
        let without_start = "export function ready(): void;";
        assert!(public_types(without_start, StartedBy::Glue).is_err());
    }

    #[test]
    fn the_fingerprint_is_twelve_hex_digits_and_changes_with_any_file() {
        let fingerprint_of_both = fingerprint(&[b"wasm", b"glue"]);
        assert_eq!(fingerprint_of_both.len(), 12);
        assert!(fingerprint_of_both.chars().all(|c| c.is_ascii_hexdigit()));
        assert_eq!(fingerprint_of_both, fingerprint(&[b"wasm", b"glue"]));
        assert_ne!(fingerprint_of_both, fingerprint(&[b"wasm", b"glue2"]));
        assert_ne!(fingerprint_of_both, fingerprint(&[b"wasmg", b"lue"]));
    }

    #[test]
    fn a_page_refers_to_the_folder_with_relative_urls() {
        let page = page_with_assets_in(PAGE, "jhe-connect-0123").expect("a good page");
        assert!(page.contains("href=\"jhe-connect-0123/jhe-connect.css\""));
        assert!(page.contains("src=\"jhe-connect-0123/page.js\""));
    }

    #[test]
    fn what_trunk_leaves_in_a_page_goes() {
        let left = "\n  <link data-trunk rel=\"rust\" data-trunk-id=\"0\">\n  \n</head>";
        let page = PAGE.replace("</head>", left);
        let page = page_with_assets_in(&page, "f").expect("a good page");
        assert!(!page.contains("trunk"));
        assert!(page.lines().all(|line| !line.trim().is_empty()));
    }

    #[test]
    fn a_page_without_its_script_is_refused() {
        let page = PAGE.replace("page.js", "other.js");
        assert!(page_with_assets_in(&page, "f").is_err());
    }

    #[test]
    fn a_page_with_inline_code_or_style_is_refused() {
        for inline in [
            "<script>go()</script>",
            "<script type=\"module\">go()</script>",
            "<style>p{}</style>",
            "<p style=\"color:red\">",
            "<i data-trunk></i>",
        ] {
            let page = PAGE.replace("</head>", &format!("{inline}</head>"));
            assert!(page_with_assets_in(&page, "f").is_err(), "{inline}");
        }
    }

    #[test]
    fn the_repositorys_own_pages_pass() {
        for page in [
            include_str!("../../../index.html"),
            include_str!("../../../callback.html"),
        ] {
            page_with_assets_in(page, "f").expect("a good page");
        }
        for page in [
            include_str!("../../../www/demo/index.html"),
            include_str!("../../../www/demo/connect.html"),
            include_str!("../../../www/demo/callback.html"),
            include_str!("../../../www/demo/hospital.html"),
        ] {
            let page = demo_page_with_assets_in(page, "../f").expect("a good page");
            assert!(page.contains("src=\"../f/demo.js\"") && !page.contains("page.js"));
        }
    }

    #[test]
    fn both_scripts_are_complete_once_filled_in() {
        let loader = loader();
        let loader = loader.as_str();
        let page = include_str!("../../../www/page.js");
        for drop_in in &DROP_INS {
            let deployed =
                loader_script(loader, drop_in, "0123456789ab", "{\"a\":1}").expect("a loader");
            assert!(deployed.contains("'../wasm/0123456789ab/'"));
            assert!(deployed.contains("const TEXTS = {\"a\":1};"));
            let deployment = format!("{{ deployment: '{}' }}", drop_in.deployment.name);
            assert!(deployed.contains(&deployment));
            for function in [drop_in.start, drop_in.finish] {
                assert!(deployed.contains(&format!("window.{function} = ")));
            }
        }
        let deployed = page_script(page, loader, "{\"a\":1}").expect("a page script");
        assert!(deployed.contains("const TEXTS = {\"a\":1};"));
        assert!(deployed.contains("new URL('./', document.currentScript.src)"));
        assert!(deployed.contains("async function loadModule"));
        assert!(!deployed.contains("demo"));
        let demo = include_str!("../../../www/demo/demo.js");
        let deployed = page_script(demo, loader, "{\"a\":1}").expect("a script of the test mode");
        assert!(deployed.contains("async function loadModule"));
        let embed = include_str!("../../../www/embed.js");
        let deployed = embed_script(embed, loader, "jhe-connect-0123", "{}").expect("a script");
        assert!(deployed.contains("new URL('jhe-connect-0123/', document.currentScript.src)"));
        assert!(deployed.contains("function openSession"));
    }

    fn loader() -> String {
        let loader = include_str!("../../../www/loader.js");
        let sessions = include_str!("../../../www/session.js");
        loader_with_sessions(loader, sessions).expect("a loader")
    }

    #[test]
    fn the_elements_types_have_those_of_the_configuration() {
        let types = "// T\n__CONFIG_TYPES__\nexport type E = PageConfig;\n";
        let of_module = "/* eslint */\n/** What the server that serves the page provides. */\n\
            export interface PageConfig {\n  iss?: string;\n}\n\n\
            export interface HospitalPicker {\n  input?: Element;\n}\n\n\
            export function startPage(): void;\n";
        let whole = embed_types(types, of_module).expect("types");
        assert!(whole.contains("interface PageConfig {\n  iss?: string;\n}"));
        assert!(whole.ends_with("input?: Element;\n}\nexport type E = PageConfig;\n"));
        assert!(!whole.contains("startPage"));
        assert!(embed_types(types, "export interface PageConfig {}").is_err());
    }

    #[test]
    fn a_template_with_a_name_left_over_is_refused() {
        let loader = loader();
        let loader = loader.as_str();
        let fill_in = |loader: &str| loader_script(loader, &DROP_INS[0], "f", "{}");
        assert!(fill_in(loader).is_ok());
        assert!(fill_in(&format!("{loader} __OTHER__")).is_err());
        assert!(fill_in(&loader.replace("__START__", "start")).is_err());
    }
}
