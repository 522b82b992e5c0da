//! The contract with pages that embed the journey, where no browser is needed: the sessions of the script against a model, and
//! the types against the frozen form of the events.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::bundle::{bundle, workspace};
use e2e::portal;
use e2e::seed::{self, SEED};
use e2e::told::Schema;

const SEQUENCES: usize = 20_000;

#[test]
fn sessions_are_as_the_model_says_whatever_happens() -> Result<()> {
    let seed = seed::of_environment()?.to_string();
    let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/contract/sessions.mjs");
    let sessions = workspace().join("www/session.js");
    let told = node(&[
        &model.display().to_string(),
        &sessions.display().to_string(),
        &seed,
        &SEQUENCES.to_string(),
    ])
    .with_context(|| format!("{SEED}={seed}"))?;
    ensure!(told.starts_with(&SEQUENCES.to_string()), "found {told}");
    Ok(())
}

/// The manual's TypeScript, and the types against the frozen form: each event has these members of these types, and no others.
#[test]
fn the_types_are_those_of_the_frozen_form_and_of_the_manual() -> Result<()> {
    let folder = workspace().join("target/contract");
    fs::create_dir_all(&folder)?;
    fs::copy(
        bundle()?.join("jhe-connect.d.ts"),
        folder.join("jhe-connect.d.ts"),
    )?;
    fs::write(folder.join("portal.ts"), portal::example("portal.ts")?)?;
    fs::write(folder.join("frozen.ts"), frozen(&Schema::read()?)?)?;
    fs::write(folder.join("wrong.ts"), WRONG)?;
    let compiler = workspace().join("target/tools/node_modules/typescript/bin/tsc");
    let mut arguments = vec![compiler.display().to_string()];
    let options = "--noEmit --strict --target es2022 --module esnext --moduleResolution bundler --lib es2022,dom";
    arguments.extend(options.split(' ').map(str::to_owned));
    for file in ["portal.ts", "frozen.ts", "wrong.ts"] {
        arguments.push(folder.join(file).display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    node(&arguments).map(drop)
}

/// What the types must not allow.
const WRONG: &str = r#"
import type {} from "./jhe-connect";
const element = document.createElement("jhe-connect");
// @ts-expect-error
element.page = "elsewhere";
// @ts-expect-error
element.config = { iss: "https://fhir.hospital.example/R4" };
element.addEventListener("jhe-connect:progress", ({ detail }) => {
  // @ts-expect-error
  detail.hospital;
  // @ts-expect-error
  detail.all.toFixed();
});
document.getElementById("out")?.addEventListener("jhe-connect:failed", ({ detail }) => detail.code?.length);
// @ts-expect-error
jheConnect.begin(element, {});
"#;

/// A program that compiles if, and only if, the types say what is frozen.
fn frozen(schema: &Schema) -> Result<String> {
    let mut program = String::from(
        "import type { JheConnectEventMap, JheConnectOutcome, JheConnectStep } from \"./jhe-connect\";\n\
         type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;\n\
         type Members<T> = { [K in keyof T]: T[K] };\n",
    );
    let union = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        names.join(" | ")
    };
    let (steps, outcomes) = (union(&schema.steps), union(&schema.outcomes));
    let names: Vec<String> = schema.events.keys().cloned().collect();
    let mut claims = vec![
        format!("Same<keyof JheConnectEventMap, {}>", union(&names)),
        format!("Same<JheConnectStep, {steps}>"),
        format!("Same<JheConnectOutcome, {outcomes}>"),
    ];
    for (event, own) in &schema.events {
        let mut members = String::new();
        for (member, kinds) in schema.every.iter().chain(own) {
            let types: Vec<&str> = (kinds.split(" | "))
                .map(|kind| match kind {
                    "id" | "text" | "name" | "code" => "string",
                    "count" => "number",
                    "step" => steps.as_str(),
                    "outcome" => outcomes.as_str(),
                    itself => itself,
                })
                .collect();
            write!(members, "{member}: {}; ", types.join(" | "))?;
        }
        claims.push(format!(
            "Same<Members<JheConnectEventMap[\"{event}\"][\"detail\"]>, {{ {members}}}>"
        ));
    }
    for (number, claim) in claims.iter().enumerate() {
        writeln!(program, "export const claim{number}: {claim} = true;")?;
    }
    Ok(program)
}

/// What a program says that ends well.
fn node(arguments: &[&str]) -> Result<String> {
    let ended = Command::new("node")
        .args(arguments)
        .output()
        .context("node")?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{said}{complained}");
    Ok(said)
}
