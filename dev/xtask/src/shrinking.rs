//! What makes the bundle small: wasm-opt on the module, esbuild on scripts and styles, both as pinned in
//! `dev/xtask/tools`.

use std::path::Path;

use crate::panics::{self, Paths};
use crate::renaming::{Renaming, StartedBy};
use crate::workspace::{Result, Workspace, output_given, write};

/// How wasm-opt treats the module, in its order. What only serves the size saved 100 bytes of the compressed module or
/// more when it was added.
const WASM_OPT: &[&str] = &[
    "-Oz",
    // The stack ends there; nobody has an address in it.
    "--low-memory-unused",
    // Rust looks before it indexes or divides, and traps by an instruction for that, which stays.
    "--ignore-implicit-traps",
    // The size up to which a body is hardly longer than the call to it: 3 and 5 give more bytes.
    "--always-inline-max-function-size=4",
    // An expression that stands twice compresses better than the local that would keep its value.
    "--skip-pass=local-cse",
    // Code that keeps its locals as LLVM numbered them repeats itself more than code with nested expressions.
    "--skip-pass=simplify-locals",
    // Locals that were merged by their values live longer, so that fewer of them can share a number.
    "--skip-pass=merge-locals",
    // Builds the control flow anew from its basic blocks, with less nesting than it came with. Flat code is long: the
    // run that follows makes it short again. Twice, as the second time begins with simpler blocks.
    "--flatten",
    "--rereloop",
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    // Code of one crate and type stands together: the compressor finds more repetitions. Needs the names, thus first.
    "--reorder-functions-by-name",
    "--strip-debug",
    "--strip-producers",
    // Only tools read them. Last, as it also hides from wasm-opt what the module uses.
    "--strip-target-features",
    // Prints the report that `Renaming` reads.
    "--minify-imports-and-exports-and-modules",
];

/// The first browsers with `import()`, which the loader cannot do without; what is written here is never made newer.
/// They get as far as the text that tells a patient to take another one.
const OLDEST_BROWSERS: &str = "--target=chrome63,firefox67,safari11.1";

/// What wasm-bindgen itself writes.
const GLUE_LANGUAGE: &str = "--target=es2020";

/// The optimised module, and the glue that fits it.
pub(crate) struct Module {
    pub(crate) wasm: Vec<u8>,
    pub(crate) glue: String,
    /// The panics that are left in it.
    pub(crate) panics: Paths,
}

/// Optimises what wasm-bindgen made, with `scratch` as the folder for what stands between. Trunk's own run of wasm-opt
/// is off (`data-wasm-opt="0"`): it could not hand on the new names.
pub(crate) fn module(
    workspace: &Workspace,
    wasm: &Path,
    glue: &str,
    started_by: StartedBy,
    scratch: &Path,
) -> Result<Module> {
    let optimised = scratch.join("module.wasm");
    std::fs::create_dir_all(scratch)?;
    let silent = scratch.join("silent.wasm");
    let without_texts = panics::without_texts(&std::fs::read(wasm)?)?;
    let panics = panics::paths(&without_texts)?;
    write(&silent, &without_texts)?;
    let (from, to) = (
        silent.display().to_string(),
        optimised.display().to_string(),
    );
    let mut arguments = vec![from.as_str(), "-o", to.as_str()];
    arguments.extend(WASM_OPT);
    let report = output_given(&mut workspace.command("wasm-opt", &arguments), "")?;

    let glue = started_by.with_its_exports(glue)?;
    let glue = Renaming::reported(&report)?.applied_to(&glue)?;
    let glue = minified(
        workspace,
        &glue,
        &[
            "--loader=js",
            "--format=esm",
            "--tree-shaking=true",
            GLUE_LANGUAGE,
        ],
    )?;
    let glue_copy = scratch.join("glue.mjs");
    write(&glue_copy, &glue)?;
    start(workspace, &optimised, &glue_copy, started_by)?;
    Ok(Module {
        wasm: std::fs::read(&optimised)?,
        glue,
        panics,
    })
}

/// A classic script, for the oldest browsers that it ran in before.
pub(crate) fn script(workspace: &Workspace, script: &str) -> Result<String> {
    minified(workspace, script, &["--loader=js", OLDEST_BROWSERS])
}

pub(crate) fn style(workspace: &Workspace, style: &str) -> Result<String> {
    minified(workspace, style, &["--loader=css", OLDEST_BROWSERS])
}

fn minified(workspace: &Workspace, text: &str, options: &[&str]) -> Result<String> {
    let mut arguments = vec!["--minify", "--legal-comments=none", "--log-level=warning"];
    arguments.extend(options);
    let minified = output_given(&mut workspace.command("esbuild", &arguments), text)?;
    // Django's manifest storage fails on a map that is not deployed.
    if minified.contains("sourceMappingURL") {
        return Err("a minified file refers to a source map".into());
    }
    Ok(minified)
}

/// Links module and glue, as a browser would: fails if the module imports anything that the glue does not offer.
fn start(workspace: &Workspace, wasm: &Path, glue: &Path, started_by: StartedBy) -> Result {
    let start = match started_by {
        StartedBy::Glue => "await glue.default({ module_or_path: bytes });",
        StartedBy::Loader => {
            "const { instance, module } = await WebAssembly.instantiate(bytes, glue.imports()); glue.start(instance, module);"
        }
    };
    let program = format!(
        "(async () => {{ \
         const [wasm, path] = process.argv.slice(1); \
         const bytes = require('fs').readFileSync(wasm); \
         const glue = await import(require('url').pathToFileURL(path)); \
         {start} }})()"
    );
    let (wasm, glue) = (wasm.display().to_string(), glue.display().to_string());
    output_given(
        &mut workspace.command("node", &["--eval", &program, &wasm, &glue]),
        "",
    )
    .map_err(|error| format!("the optimised module does not start with its glue: {error}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_before_they_are_stripped_and_features_stripped_after_all_optimising() {
        let at = |option| {
            WASM_OPT
                .iter()
                .rposition(|it| *it == option)
                .expect("an option")
        };
        assert!(at("--reorder-functions-by-name") < at("--strip-debug"));
        assert!(at("-Oz") < at("--strip-target-features"));
    }
}
