//! The documents: parts that are written from the sources, and checks that hold for all of them.
//!
//! A part that is written stands between `<!-- written: NAME -->` and `<!-- end -->`. A block of commands has a comment
//! above it that says who runs it:
//!
//! | Comment | Meaning |
//! |---|---|
//! | `<!-- runs -->` | `cargo xtask test --part documents` runs it, against the stand-in servers |
//! | `<!-- runs until URL answers -->` | the same, for one command that serves something: the URL is asked for, then it is ended |
//! | `<!-- covered by PART: … -->` | that part of `cargo xtask test` does the same |
//! | `<!-- needs …: … -->` | nobody can run it without that: a real account, a server of JHE |

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jhe_connect::language::{Language, Plain, SECTIONS, Value, compiled};
use jhe_connect::troubleshooting::{Advice, PHASES, advice};

use crate::checks;
use crate::demo::{PATIENT_ACCESS, Servers};
use crate::epic;
use crate::markdown::{self, Block};
use crate::workspace::{Result, Workspace, output_of, run, write};

/// Folders without documents of the project.
const NOT_OURS: [&str; 5] = [".git", "target", "dist", "node_modules", "screens"];

/// A document: its path from the repository's root, and its text.
type Documents = BTreeMap<String, String>;

/// Makes a part of a document.
type Write = fn(&Workspace) -> Result<String>;

/// What is written from the sources, by name.
const WRITTEN: &[(&str, Write)] = &[
    ("codes", codes),
    ("epic-apis", |_| Ok(epic::table())),
    ("scopes", |_| Ok(epic::scope_blocks())),
];

/// Writes what is written from the sources, then checks all documents.
pub(crate) fn write_and_check(workspace: &Workspace) -> Result {
    for (path, text) in found_in(workspace)? {
        let fresh = with_written_parts(workspace, &text)?;
        if fresh != text {
            write(&workspace.path(&path), &fresh)?;
            eprintln!("  written    {path}");
        }
    }
    let found = complaints(workspace, &found_in(workspace)?);
    match found.is_empty() {
        true => Ok(()),
        false => Err(format!("the documents have to be mended:\n  {}", found.join("\n  ")).into()),
    }
}

/// All Markdown of the repository.
fn found_in(workspace: &Workspace) -> Result<Documents> {
    let mut documents = Documents::new();
    collect(&workspace.path(""), "", &mut documents)?;
    Ok(documents)
}

fn collect(folder: &Path, prefix: &str, documents: &mut Documents) -> Result {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if !NOT_OURS.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{prefix}{name}/"), documents)?;
            }
        } else if name.ends_with(".md") {
            documents.insert(format!("{prefix}{name}"), fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// The text with what is written from the sources as it would be written now.
fn with_written_parts(workspace: &Workspace, text: &str) -> Result<String> {
    const END: &str = "<!-- end -->";
    let mut fresh = text.to_owned();
    for (name, content) in WRITTEN {
        let start = format!("<!-- written: {name} -->\n");
        let Some((before, rest)) = fresh.split_once(&start) else {
            continue;
        };
        let (_, after) = rest
            .split_once(END)
            .ok_or_else(|| format!("what is written as {name} has no end: {END}"))?;
        let content = content(workspace)?;
        fresh = format!("{before}{start}\n{}\n\n{END}{after}", content.trim());
    }
    Ok(fresh)
}

/// The parts about each code, phase by phase.
fn codes(workspace: &Workspace) -> Result<String> {
    let english = english(workspace)?;
    let rows = advice();
    let mut text = String::new();
    for (phase, title) in PHASES {
        let of_phase = rows
            .iter()
            .filter(|row| row.code.split('.').next() == Some(phase));
        text.push_str(&format!("## {title}\n\n"));
        for row in of_phase {
            text.push_str(&about(row, &english));
        }
    }
    Ok(text)
}

fn about(row: &Advice, english: &Language) -> String {
    let Advice {
        code,
        patient_reads,
        meaning,
        action,
    } = row;
    let said: Vec<String> = patient_reads
        .iter()
        .map(|message| english.say(message, &Value::from("MyChart"), &Plain))
        .collect();
    let reads = match said.split_first() {
        Some((heading, rest)) => format!("**{heading}.** {}", rest.join(" ")),
        None => "nothing".to_owned(),
    };
    format!(
        "### `{code}`\n\n- The patient reads: {reads}\n- It means: {meaning}\n- What to do: {action}\n\n"
    )
}

/// All texts in English.
fn english(workspace: &Workspace) -> Result<Language> {
    let source = workspace.read("www/languages/en.json")?;
    let sections: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    let compiled = compiled(&source, "en", &[], "", &sections)?;
    Language::parse(compiled.as_bytes()).ok_or_else(|| "en.json can't be read".into())
}

/// What is wrong with the documents.
fn complaints(workspace: &Workspace, documents: &Documents) -> Vec<String> {
    let mut found = Vec::new();
    let exists = |path: &str| workspace.path(path).exists();
    for (path, text) in documents {
        for complaint in [
            blocks_without_runner(text),
            broken_json(text),
            unknown_commands(text, &exists),
            broken_links(path, text, documents, &exists),
        ]
        .concat()
        {
            found.push(format!("{path}:{complaint}"));
        }
    }
    found
}

/// What stands above a block of commands.
#[derive(Debug, PartialEq, Eq)]
enum Runner<'a> {
    Documents,
    DocumentsUntil(&'a str),
    Part(&'a str),
    Nobody,
}

fn runner(block: &Block) -> Option<Runner<'_>> {
    let comment = block.comment.as_deref()?;
    if comment == "runs" {
        return Some(Runner::Documents);
    }
    if let Some(rest) = comment.strip_prefix("runs until ") {
        return rest.strip_suffix(" answers").map(Runner::DocumentsUntil);
    }
    let (words, _) = comment.split_once(':').unwrap_or((comment, ""));
    if let Some(part) = words.strip_prefix("covered by ") {
        return Some(Runner::Part(part));
    }
    let needed = words.strip_prefix("needs ")?;
    (!needed.trim().is_empty()).then_some(Runner::Nobody)
}

fn is_commands(block: &Block) -> bool {
    let languages = ["sh", "bash", "shell", "console", "zsh"];
    let language = block.language.as_deref().unwrap_or_default();
    languages.contains(&language)
}

/// Programs whose names begin a line of commands.
const PROGRAMS: [&str; 11] = [
    "cargo",
    "curl",
    "docker",
    "git",
    "npm",
    "npx",
    "node",
    "python",
    "python3",
    "sha256sum",
    "tar",
];

fn begins_with_a_program(line: &str) -> bool {
    let mut words = line.trim_start_matches("$ ").split(' ');
    let program = words.next().unwrap_or_default();
    PROGRAMS.contains(&program) && words.next().is_some()
}

fn blocks_without_runner(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in markdown::blocks(text) {
        let mut complain = |what: &str| found.push(format!("{}: {what}", block.line));
        let language = block.language.as_deref().unwrap_or_default();
        if language.is_empty() {
            complain(
                "a block of code that does not name its language (`sh` for commands, `text` for what has none)",
            );
        } else if !is_commands(&block) {
            if language == "text" && block.code.lines().any(begins_with_a_program) {
                complain("a block of commands that calls itself something else");
            }
        } else {
            match runner(&block) {
                None => complain(
                    "commands that nobody runs: put `<!-- runs -->`, `<!-- covered by PART: … -->` or `<!-- needs … -->` above",
                ),
                Some(Runner::Part(part)) if !checks::is_part(part) => {
                    complain(&format!("`cargo xtask test` has no part {part}"));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// JSON that is none: whole, as members of an object, or in a page's configuration.
fn broken_json(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in markdown::blocks(text) {
        let code = block.code.trim();
        let json = match block.language.as_deref() {
            Some("json") if code.starts_with('"') => format!("{{{code}}}"),
            Some("json") => code.to_owned(),
            Some("html") => {
                let Some((_, rest)) = code.split_once("type=\"application/json\"") else {
                    continue;
                };
                let inside = rest
                    .split_once('>')
                    .map(|(_, rest)| rest)
                    .unwrap_or_default();
                inside
                    .split("</script>")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
            _ => continue,
        };
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&json) {
            found.push(format!("{}: this is no JSON: {error}", block.line));
        }
    }
    found
}

/// Commands of our own that are not there, wherever they stand; and commands of others that hide in running text.
fn unknown_commands(text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for block in markdown::blocks(text).iter().filter(|it| is_commands(it)) {
        for (index, line) in block.code.lines().enumerate() {
            let command = line.split(" #").next().unwrap_or_default();
            if let Some(complaint) = unknown(command, exists) {
                found.push(format!("{}: {complaint}", block.line + 1 + index));
            }
        }
    }
    for (line, span) in markdown::code_spans(text) {
        if let Some(complaint) = unknown(&span, exists) {
            found.push(format!("{line}: {complaint}"));
        }
        if begins_with_a_program(&span) && !span.starts_with("cargo ") {
            found.push(format!(
                "{line}: a command in running text, which nobody runs: {span}"
            ));
        }
    }
    found
}

/// Is it a command of Cargo for what is not in this repository?
fn unknown(command: &str, exists: &dyn Fn(&str) -> bool) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let ["cargo", verb, arguments @ ..] = &words[..] else {
        return None;
    };
    if *verb == "xtask" {
        let is_name = |word: &str| word.chars().all(|it| it.is_ascii_uppercase() || it == '…');
        let is_part = match arguments {
            ["test", "--part", name] => is_name(name) || checks::is_part(name),
            _ => true,
        };
        return match is_part && crate::task(arguments).is_some() {
            true => None,
            false => Some(format!("there is no `{command}`")),
        };
    }
    let after = |option: &str| {
        let at = arguments.iter().position(|word| *word == option)?;
        arguments.get(at + 1).copied()
    };
    let package = after("-p").or_else(|| after("--package"))?;
    let folder = match package {
        "jhe-connect" => String::new(),
        other => format!("dev/{other}/"),
    };
    let mut needed = vec![format!("{folder}Cargo.toml")];
    needed.extend(after("--bin").map(|it| format!("{folder}src/bin/{it}.rs")));
    if let Some(test) = after("--test") {
        let file = format!("{folder}tests/{test}.rs");
        needed.push(match exists(&file) {
            true => file,
            false => format!("{folder}tests/{test}/main.rs"),
        });
    }
    let missing = needed.into_iter().find(|file| !exists(file))?;
    Some(format!(
        "`{command}` is about {missing}, which is not there"
    ))
}

fn broken_links(
    path: &str,
    text: &str,
    documents: &Documents,
    exists: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for link in markdown::links(text) {
        let target = &link.target;
        let anchor = target.split_once('#').map(|(_, anchor)| anchor);
        let is_here = target.starts_with('#');
        if !is_here && !markdown::is_relative(target) {
            continue;
        }
        let file = match is_here {
            true => path.to_owned(),
            false => markdown::resolved(path, target),
        };
        if !is_here && !exists(&file) && !documents.contains_key(&file) {
            found.push(format!(" a link to {target}, which is not there"));
        } else if let Some(anchor) = anchor {
            let linked = if is_here {
                Some(text)
            } else {
                documents.get(&file).map(String::as_str)
            };
            let anchors = linked.map(markdown::anchors).unwrap_or_default();
            if !anchors.iter().any(|it| it == anchor) {
                found.push(format!(" a link to {target}: there is no such heading"));
            }
        }
    }
    found
}

/// Runs the blocks that nothing else runs, against the stand-in servers. Gives their number.
pub(crate) fn run_commands(workspace: &Workspace) -> Result<u64> {
    let ports = [free_port()?, free_port()?];
    run(&mut workspace.command("cargo", &["build", "--quiet", "--package", "sandbox"]))?;
    let mut servers = Servers::start(workspace, PATIENT_ACCESS, ports)?;
    servers.wait_until_ready()?;
    let mut count = 0;
    for (path, text) in found_in(workspace)? {
        let blocks = markdown::blocks(&text);
        for block in blocks.iter().filter(|it| is_commands(it)) {
            let place = format!("{path}:{}", block.line);
            let failed = |error| format!("{place}: {error}");
            match runner(block) {
                Some(Runner::Documents) => {
                    eprintln!("{place}");
                    for client in clients_of(&block.code) {
                        run_block(workspace, &block.code, ports, client).map_err(failed)?;
                        count += 1;
                    }
                }
                Some(Runner::DocumentsUntil(url)) => {
                    eprintln!("{place}");
                    serve_block(workspace, &block.code, url).map_err(failed)?;
                    count += 1;
                }
                _ => {}
            }
        }
    }
    Ok(count)
}

/// A block about one of JHE's clients holds for each of them that is verified.
fn clients_of(code: &str) -> &'static [&'static str] {
    match code.contains("$CLIENT") {
        true => &["mychart", "patient-access"],
        false => &["patient-access"],
    }
}

/// What readers set to their own values. The lines that set it are left out here.
const THEIR_OWN: [&str; 4] = ["JHE", "CLIENT", "HOSPITAL", "CHECKOUT"];

fn with_our_values(code: &str, ports: [u16; 2]) -> String {
    let [jhe, ehr] = ports;
    let is_theirs = |line: &str| {
        let name = line.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| THEIR_OWN.contains(&name))
    };
    let mut ours = String::new();
    for line in code.lines().filter(|line| !is_theirs(line)) {
        ours.push_str(line);
        ours.push('\n');
    }
    ours.replace("localhost:8010", &format!("localhost:{jhe}"))
        .replace("localhost:8020", &format!("localhost:{ehr}"))
}

/// An answer that is an error is one here, too, as readers would see. Each block finds the world as it is at the start, with the
/// JHE that has this client.
const BEFORE: &str = "\
    set -euo pipefail
    curl() { command curl --fail-with-body \"$@\"; }
    curl -sS -X POST \"$JHE/_sandbox/reset\" > reset.txt
    curl -sS \"$JHE/_sandbox/settings\" -H 'Content-Type: application/json' \
      -d \"{\\\"jhe\\\": {\\\"version\\\": \\\"$CLIENT\\\"}}\" > settings.txt
";

fn run_block(workspace: &Workspace, code: &str, ports: [u16; 2], client: &str) -> Result {
    let place = Place::new(workspace, client)?;
    let script = format!("{BEFORE}{}", with_our_values(code, ports));
    let [jhe, ehr] = ports;
    let mut bash = workspace.command("bash", &["-c", &script]);
    bash.current_dir(&place.folder)
        .env("JHE", format!("http://localhost:{jhe}"))
        .env(
            "HOSPITAL",
            format!("http://localhost:{ehr}/interconnect/api/FHIR/R4"),
        )
        .env("CLIENT", client)
        .env("CHECKOUT", place.folder.join("jupyterhealth-exchange"))
        .stdin(Stdio::null());
    let output = bash.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "the commands failed with {}:\n{code}{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// Starts a command that serves something, asks it for `url`, and ends it. The port that the document names may be taken on this
/// machine: another one stands for it.
fn serve_block(workspace: &Workspace, code: &str, url: &str) -> Result {
    let port = url
        .split("localhost:")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let port = port.ok_or("expected a URL with a port of localhost")?;
    let program = code.split_whitespace().next().unwrap_or_default();
    if workspace.find_program(program).is_none() {
        return Err(format!("{program} is not installed").into());
    }
    let ours = free_port()?.to_string();
    let place = Place::new(workspace, PATIENT_ACCESS)?;
    // Only what is one command ends with this process.
    let script = format!("exec {}", code.trim().replace(port, &ours));
    let mut server = workspace
        .command("bash", &["-c", &script])
        .current_dir(&place.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let url = url.replace(port, &ours);
    let asked = [
        "-sS",
        "--fail",
        "--retry",
        "50",
        "--retry-delay",
        "1",
        "--retry-connrefused",
        "-o",
        "/dev/null",
        &url,
    ];
    let answered = output_of(&mut workspace.command("curl", &asked)).is_some();
    let has_ended = server.try_wait()?.is_some();
    server.kill()?;
    server.wait()?;
    match answered && !has_ended {
        true => Ok(()),
        false => Err(format!("{url} gave no answer from:\n{code}").into()),
    }
}

/// A folder like a reader's: with the bundle, the release, and a checkout of JHE, as far as files are copied there. It goes with
/// this value.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(workspace: &Workspace, client: &str) -> Result<Place> {
        let name = format!("jhe-connect-documents-{}", std::process::id());
        let place = Place {
            folder: std::env::temp_dir().join(name),
        };
        copy_folder(&workspace.path("dist"), &place.folder.join("dist"))?;
        copy_folder(&workspace.path("target/package"), &place.folder)?;
        let clients = "jupyterhealth-exchange/core/static/clients";
        let old = place.folder.join(clients).join(client).join("js/old.js");
        write(&old, "// JHE's own\n")?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left is in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => {
                fs::copy(entry.path(), to)?;
            }
        }
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jhe_connect::language::Text;

    use super::*;

    fn workspace() -> Workspace {
        Workspace::locate().unwrap()
    }

    #[test]
    fn the_documents_are_in_order() {
        let workspace = workspace();
        let found = complaints(&workspace, &found_in(&workspace).unwrap());
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }

    #[test]
    fn what_is_written_from_the_sources_is_fresh() {
        let workspace = workspace();
        let documents = found_in(&workspace).unwrap();
        for (path, text) in &documents {
            let fresh = with_written_parts(&workspace, text).unwrap();
            assert!(
                fresh == *text,
                "{path} is stale: run `cargo xtask documents`"
            );
        }
        for (name, _) in WRITTEN {
            let mark = format!("<!-- written: {name} -->");
            let places = documents.values().filter(|text| text.contains(&mark));
            assert_eq!(places.count(), 1, "{name}");
        }
    }

    #[test]
    fn a_stale_part_is_written_anew_between_its_marks() {
        let stale = "a\n<!-- written: scopes -->\nold\n<!-- end -->\nb\n";
        let fresh = with_written_parts(&workspace(), stale).unwrap();
        assert!(fresh.starts_with("a\n<!-- written: scopes -->\n\nThe MyChart client"));
        assert!(fresh.ends_with("```\n\n<!-- end -->\nb\n") && !fresh.contains("old"));
        assert_eq!(with_written_parts(&workspace(), &fresh).unwrap(), fresh);
        assert!(with_written_parts(&workspace(), "<!-- written: scopes -->\n").is_err());
    }

    #[test]
    fn a_block_of_commands_says_who_runs_it() {
        let block = |comment: &str, language: &str, code: &str| {
            blocks_without_runner(&format!("{comment}\n\n```{language}\n{code}\n```\n"))
        };
        for good in [
            "<!-- runs -->",
            "<!-- runs until http://localhost:8000/ answers -->",
            "<!-- covered by e2e: the main job -->",
            "<!-- needs a JHE checkout -->",
            "<!-- needs an account: Epic's -->",
        ] {
            assert!(block(good, "sh", "ls").is_empty(), "{good}");
        }
        for bad in [
            "",
            "<!-- run -->",
            "<!-- runs until Christmas -->",
            "<!-- covered by nothing -->",
            "<!-- needs  -->",
            "<!-- runs -->\n\nAnd then:",
        ] {
            assert_eq!(block(bad, "sh", "ls").len(), 1, "{bad}");
        }
        assert_eq!(block("", "", "ls").len(), 1);
        assert_eq!(block("", "text", "curl -s x").len(), 1);
        assert!(block("", "text", "curl").is_empty());
        assert!(block("", "json", "{}").is_empty());
    }

    #[test]
    fn json_is_json_also_in_a_page() {
        let block = |language: &str, code: &str| {
            broken_json(&format!("```{language}\n{code}\n```\n")).len()
        };
        assert_eq!(block("json", "{\"a\": 1}"), 0);
        assert_eq!(block("json", "\"a\": [1],\n\"b\": 2"), 0);
        assert_eq!(block("json", "{\"a\": 1,}"), 1);
        let page =
            |json: &str| format!("<script type=\"application/json\" id=\"c\">\n{json}\n</script>");
        assert_eq!(block("html", &page("{\"a\": 1}")), 0);
        assert_eq!(block("html", &page("{'a': 1}")), 1);
        assert_eq!(block("html", "<p>"), 0);
        assert_eq!(block("text", "{"), 0);
    }

    #[test]
    fn commands_of_our_own_have_to_be_there() {
        let exists =
            |path: &str| ["dev/e2e/Cargo.toml", "dev/e2e/tests/journeys/main.rs"].contains(&path);
        for good in [
            "cargo xtask demo --mychart",
            "cargo xtask test --part NAME",
            "cargo xtask test --part e2e",
            "cargo test",
            "cargo test -p e2e --test journeys -- pull",
            "ls",
        ] {
            assert_eq!(unknown(good, &exists), None, "{good}");
        }
        for bad in [
            "cargo xtask deploy",
            "cargo xtask test --part nothing",
            "cargo test -p sandbox",
            "cargo test -p e2e --test other",
            "cargo run -p e2e --bin other",
        ] {
            assert!(unknown(bad, &exists).is_some(), "{bad}");
        }
        let text = "`cargo xtask deploy`, `curl -s x`, `curl`\n\n```sh\nls\ncargo xtask nothing # why\n```\n";
        let found = unknown_commands(text, &exists);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("5:"), "{found:?}");
    }

    #[test]
    fn links_lead_to_files_and_headings() {
        let mut documents = Documents::new();
        documents.insert("docs/b.md".into(), "# One heading\n".into());
        let exists = |path: &str| ["docs/b.md", "dev"].contains(&path);
        let broken = |text: &str| broken_links("docs/a.md", text, &documents, &exists).len();
        for good in [
            "[b](b.md)",
            "[b](b.md#one-heading)",
            "[b](../docs/b.md)",
            "[dev](../dev)",
            "[web](https://x.example/#y)",
            "# Here\n\n[here](#here)",
        ] {
            assert_eq!(broken(good), 0, "{good}");
        }
        for bad in [
            "[c](c.md)",
            "[b](b.md#two)",
            "[here](#here)",
            "![p](p.png)",
            "[up](../../b.md)",
        ] {
            assert_eq!(broken(bad), 1, "{bad}");
        }
    }

    #[test]
    fn readers_values_are_replaced_by_ours() {
        let code = "JHE=https://jhe.example\nCLIENT=mychart\ncurl \"$JHE/x\" http://localhost:8010/y\nA=b\n";
        assert_eq!(
            with_our_values(code, [1, 2]),
            "curl \"$JHE/x\" http://localhost:1/y\nA=b\n"
        );
    }

    /// Names in storages: those with a version, and two without.
    fn storage_names(text: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (place, _) in text.match_indices("jhe-connect:") {
            let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == ':';
            let end = text[place + 12..].find(|it| !is_part(it)).unwrap_or(0);
            let name = &text[place..place + 12 + end];
            let own = &name[12..];
            let has_version = own.starts_with(|it: char| it.is_ascii_digit());
            if has_version && own.contains(':') || ["language", "probe"].contains(&own) {
                names.insert(name.to_owned());
            }
        }
        names
    }

    fn storage_names_below(folder: &Path) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                names.extend(storage_names_below(&path));
            } else if file.ends_with(".rs") || file.ends_with(".js") {
                names.extend(storage_names(&fs::read_to_string(&path).unwrap()));
            }
        }
        names
    }

    #[test]
    fn what_is_kept_in_the_browser_is_in_the_document_about_it_name_by_name() {
        let workspace = workspace();
        let mut kept = storage_names_below(&workspace.path("src"));
        kept.extend(storage_names_below(&workspace.path("www")));
        assert!(kept.len() > 6, "{kept:?}");
        let told = storage_names(&workspace.read("docs/privacy.md").unwrap());
        assert_eq!(told, kept);
    }

    /// Headings are anchors that others link to.
    #[test]
    fn each_code_has_a_heading_of_its_own() {
        let text = codes(&workspace()).unwrap();
        let anchors = markdown::anchors(&text);
        for row in advice() {
            let anchor = row.code.replace('.', "");
            assert!(anchors.contains(&anchor), "{anchor}");
        }
    }

    #[test]
    fn texts_are_those_that_patients_read() {
        let english = english(&workspace()).unwrap();
        let said = english.say(&Text::Denied.into(), &Value::from("MyChart"), &Plain);
        assert_eq!(said, "Nothing was shared");
        let all = codes(&workspace()).unwrap();
        assert!(all.contains("- The patient reads: **Nothing was shared.** You chose not to"));
    }
}
