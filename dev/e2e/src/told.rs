//! What a page around the journey is told, as a page would keep it, and what must hold of it whatever happened: the contract of
//! `docs/embedding.md`, whose form is in `tests/embed/events-1.json`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::browser::{Browser, Glance};
use crate::bundle::workspace;

/// Keeps each event that reaches the window in localStorage, in which a page of the hospital's has nothing of ours. A page that
/// may store nothing keeps them itself.
const KEEP_WHAT_IS_TOLD: &str = "(() => {
    if (window.whatIsTold) return;
    window.whatIsTold = [];
    const names = ['ready', 'step', 'progress', 'complete', 'partly', 'cancelled', 'failed'];
    for (const name of names) addEventListener(`jhe-connect:${name}`, (event) => {
        const told = { name: event.type, detail: event.detail, at: Date.now(), bubbles: event.bubbles, page: location.pathname };
        window.whatIsTold.push(told);
        try {
            const kept = JSON.parse(localStorage.getItem('host:told') ?? '[]');
            localStorage.setItem('host:told', JSON.stringify([...kept, told]));
        } catch {}
    });
})();";

const TOLD: &str = "try { return JSON.parse(localStorage.getItem('host:told') ?? '[]'); } catch { return window.whatIsTold; }";

/// An event, as it came.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// `jhe-connect:ready` …
    pub name: String,
    /// Its detail.
    pub detail: Map<String, Value>,
    /// When it came, in milliseconds.
    pub at: u64,
    /// The path of the page on which it came.
    pub page: String,
}

impl Told {
    /// A member of the detail, if it is a text.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.detail.get(member)?.as_str()
    }

    /// The session that it belongs to.
    pub fn session(&self) -> &str {
        self.text("session").unwrap_or_default()
    }

    /// Is it the last one of a session?
    pub fn is_end(&self) -> bool {
        let name = self.name.trim_start_matches("jhe-connect:");
        ["complete", "partly", "cancelled", "failed"].contains(&name)
    }

    /// In short, for who reads what went wrong.
    pub fn in_short(&self) -> String {
        let mut detail = self.detail.clone();
        let session: String = self.session().chars().take(6).collect();
        for common in ["version", "session", "caller"] {
            detail.remove(common);
        }
        let name = self.name.trim_start_matches("jhe-connect:");
        format!("{session} {name} {}", Value::from(detail))
    }
}

/// From the next page of this tab on, keeps what is told.
pub async fn keep(browser: &Browser) -> Result<()> {
    browser.prepare_pages(KEEP_WHAT_IS_TOLD).await.map(drop)
}

/// All that was told so far.
pub async fn so_far(browser: &Browser) -> Result<Vec<Told>> {
    browser.evaluate(TOLD).await
}

/// Forgets what was told, for another journey in the same browser.
pub async fn forget(browser: &Browser) -> Result<()> {
    browser
        .evaluate("try { localStorage.removeItem('host:told'); } catch {}")
        .await
}

/// Waits until the last session has ended; gives all that was told.
pub async fn until_the_end(browser: &Browser) -> Result<Vec<Told>> {
    until(browser, "the end of a session", |told| {
        told.last().is_some_and(Told::is_end)
    })
    .await
}

/// Waits until what was told is as expected.
pub async fn until(
    browser: &Browser,
    expected: &str,
    is_so: impl Fn(&[Told]) -> bool,
) -> Result<Vec<Told>> {
    browser
        .until(expected, async || {
            let told = so_far(browser).await?;
            Ok(match is_so(&told) {
                true => Glance::Seen(told),
                false => Glance::NotYet,
            })
        })
        .await
}

/// What is told, line by line.
pub fn in_short(told: &[Told]) -> String {
    let lines = told.iter().map(Told::in_short);
    lines.collect::<Vec<_>>().join("\n")
}

/// All that must hold of what was told in a tab, or in several one after the other, when nothing is under way any more. `caller`
/// is what the page gave.
pub fn expect_contract(told: &[Told], caller: Option<&str>) -> Result<()> {
    let whole = in_short(told);
    let schema = Schema::read()?;
    for event in told {
        schema
            .expect(event)
            .with_context(|| format!("{}, among\n{whole}", event.in_short()))?;
        ensure!(
            event.text("caller") == caller,
            "expected the caller {caller:?} in {event:?}"
        );
    }
    let mut sessions: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for event in told {
        sessions.entry(event.session()).or_default().push(event);
    }
    for events in sessions.values() {
        expect_one_end(events).with_context(|| format!("among\n{whole}"))?;
    }
    for pair in told.windows(2) {
        let [before, after] = pair else { continue };
        let is_soon = before.name == after.name
            && after.name == "jhe-connect:progress"
            && after.at < before.at + 150;
        // The page goes by its own clock, and is slow now and then. The last one comes when it comes.
        let is_last = told
            .iter()
            .skip_while(|event| !std::ptr::eq(*event, after))
            .nth(1)
            .is_none_or(|next| next.name != "jhe-connect:progress");
        ensure!(!is_soon || is_last, "too soon: {}", after.in_short());
    }
    Ok(())
}

/// Ready first, then steps and progress, then one end, and then nothing but that the page was loaded again.
fn expect_one_end(events: &[&Told]) -> Result<()> {
    let [first, ..] = events else { return Ok(()) };
    ensure!(
        first.name == "jhe-connect:ready" && first.detail["ended"].is_null(),
        "expected a session to begin with ready, found {}",
        first.in_short()
    );
    let continues = &first.detail["continues"];
    let mut end: Option<&Told> = None;
    for event in events {
        ensure!(
            event.detail["continues"] == *continues,
            "a session continues another one than before: {}",
            event.in_short()
        );
        if let Some(end) = end {
            let outcome = end.name.trim_start_matches("jhe-connect:");
            ensure!(
                event.name == "jhe-connect:ready" && event.text("ended") == Some(outcome),
                "after the end with {outcome} came {}",
                event.in_short()
            );
        } else if event.name == "jhe-connect:ready" {
            ensure!(
                event.detail["ended"].is_null(),
                "not ended yet: {}",
                event.in_short()
            );
        }
        if event.is_end() {
            end = Some(event);
        }
    }
    ensure!(end.is_some(), "the session {} has no end", first.session());
    Ok(())
}

/// The form of all events of a version: which there are, with which members, of which values.
#[derive(Debug, Deserialize)]
pub struct Schema {
    /// The version.
    pub version: u32,
    /// The steps.
    pub steps: Vec<String>,
    /// How a session may end.
    pub outcomes: Vec<String>,
    /// The members of every event, and what their values are.
    pub every: BTreeMap<String, String>,
    /// The further members of each event.
    pub events: BTreeMap<String, BTreeMap<String, String>>,
}

impl Schema {
    /// That of this version.
    pub fn read() -> Result<Self> {
        let file = workspace().join("tests/embed/events-1.json");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The event has the members that it must have, each with a value that it may have, and no other.
    pub fn expect(&self, event: &Told) -> Result<()> {
        let own = self.events.get(&event.name).context("no such event")?;
        for (member, kinds) in self.every.iter().chain(own) {
            let value = event.detail.get(member);
            let value = value.with_context(|| format!("there is no {member}"))?;
            ensure!(
                kinds.split(" | ").any(|kind| self.is_of(value, kind)),
                "{member} is {value}, and should be {kinds}"
            );
        }
        let is_known =
            |member: &String| self.every.contains_key(member) || own.contains_key(member);
        let unknown = event.detail.keys().find(|member| !is_known(member));
        ensure!(unknown.is_none(), "there is also {unknown:?}");
        Ok(())
    }

    fn is_of(&self, value: &Value, kind: &str) -> bool {
        let text = value.as_str();
        let is_made_of = |allowed: fn(char) -> bool| {
            text.is_some_and(|text| !text.is_empty() && text.chars().all(allowed))
        };
        match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "count" => value.is_u64(),
            "text" => value.is_string(),
            "id" => is_made_of(|letter| letter.is_ascii_digit() || letter == '-'),
            "name" => is_made_of(|letter| letter.is_ascii_lowercase() || letter == '-'),
            "code" => is_made_of(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._".contains(letter)
            }),
            "step" => text.is_some_and(|text| self.steps.iter().any(|step| step == text)),
            "outcome" => text.is_some_and(|text| self.outcomes.iter().any(|it| it == text)),
            // A number itself.
            number => value.is_u64() && number.parse().ok() == value.as_u64(),
        }
    }
}
