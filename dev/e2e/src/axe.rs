//! What axe-core finds on the page that is open: rules of WCAG 2.2 AA that a program can judge, and good practice.

use std::fmt;
use std::fs;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::browser::Browser;
use crate::bundle::workspace;

/// Where `cargo xtask setup` puts it.
const SOURCE: &str = "target/tools/node_modules/axe-core/axe.min.js";

/// Without `preload` nothing is fetched again, so that the page's policy and the servers' logs see only the page itself.
const RUN: &str = "axe.run(document, {
    runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] },
    resultTypes: ['violations'],
    preload: false,
}).then((results) => { delete window.axe; return results.violations; })";

/// What JHE's own templates break, whatever stands in them: they name no language and have no landmarks.
pub const OF_JHES_TEMPLATES: [&str; 3] = ["html-has-lang", "landmark-one-main", "region"];

/// A rule that the page breaks.
#[derive(Clone, Debug, Deserialize)]
pub struct Violation {
    /// The rule's name, such as `color-contrast`.
    pub id: String,
    /// `minor`, `moderate`, `serious` or `critical`.
    pub impact: Option<String>,
    /// What the rule wants.
    pub help: String,
    /// Where it is explained.
    #[serde(rename = "helpUrl")]
    pub help_url: String,
    /// What breaks it.
    pub nodes: Vec<Offence>,
}

/// One element that breaks a rule.
#[derive(Clone, Debug, Deserialize)]
pub struct Offence {
    /// The element itself, in short.
    pub html: String,
    /// What would have to be different.
    #[serde(rename = "failureSummary")]
    pub summary: Option<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let impact = self.impact.as_deref().unwrap_or("of unknown weight");
        writeln!(
            f,
            "{} ({impact}): {} <{}>",
            self.id, self.help, self.help_url
        )?;
        for offence in &self.nodes {
            writeln!(f, "    {}", offence.html)?;
            for line in offence.summary.iter().flat_map(|summary| summary.lines()) {
                writeln!(f, "        {}", line.trim())?;
            }
        }
        Ok(())
    }
}

impl Browser {
    /// The rules that the page breaks as it is now. The page's policy does not matter: the driver runs this, not the page.
    pub async fn axe(&self) -> Result<Vec<Violation>> {
        let found = self.run(source()?, RUN).await.context("axe-core failed")?;
        Ok(serde_json::from_value(found)?)
    }

    /// The page breaks no rule.
    pub async fn expect_no_violations(&self) -> Result<()> {
        self.expect_no_violations_but(&[]).await
    }

    /// The page breaks no rule but, perhaps, those of these names.
    pub async fn expect_no_violations_but(&self, rules: &[&str]) -> Result<()> {
        let mut found = self.axe().await?;
        found.retain(|violation| !rules.contains(&violation.id.as_str()));
        let told: String = found.iter().map(Violation::to_string).collect();
        ensure!(
            found.is_empty(),
            "the page breaks {} rules:\n{told}",
            found.len()
        );
        Ok(())
    }
}

fn source() -> Result<&'static str> {
    static READ: OnceLock<String> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read);
    }
    let file = workspace().join(SOURCE);
    let read = fs::read_to_string(&file)
        .with_context(|| format!("reading {}. Run `cargo xtask setup`", file.display()))?;
    Ok(READ.get_or_init(|| read))
}
