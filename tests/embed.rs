//! The contract with pages that embed the journey is frozen: what a version of it says never changes.

use jhe_connect::embed::{Outcome, VERSION, step_name};
use jhe_connect::screen::Step;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Every version that was given out, as it is written down, and a digest of that. A change of what is told needs another version: a
/// file of its own, and a line here. Lines are never changed.
const VERSIONS: &[(u32, &str, &str)] = &[(
    1,
    include_str!("embed/events-1.json"),
    "fc408648e7fa221bffce5d4d8497b124360c844e9d5efc3e9b2000c5ee78c926",
)];

fn newest() -> Value {
    let text = VERSIONS.last().map_or("", |(_, text, _)| text);
    serde_json::from_str(text).unwrap_or_default()
}

#[test]
fn what_a_version_says_never_changes() {
    for (version, text, digest) in VERSIONS {
        let schema: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(schema["version"], *version);
        // Whatever stands in which line.
        let found = Sha256::digest(text.split_whitespace().collect::<String>());
        let found: String = found.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(
            &found, digest,
            "version {version} of the events was changed: pages rely on it. Write a version of its own"
        );
    }
}

#[test]
fn the_newest_version_is_the_one_that_is_told() {
    let newest = newest();
    assert_eq!(newest["version"], VERSION);
    assert_eq!(newest["every"]["version"], VERSION.to_string());
    let script = include_str!("../www/session.js");
    assert!(script.contains(&format!("version: {VERSION},")));
    let types = include_str!("../www/jhe-connect.d.ts");
    assert!(types.contains(&format!("version: {VERSION};")));
}

#[test]
fn steps_and_outcomes_are_those_of_the_core() {
    let newest = newest();
    let steps: Vec<_> = Step::ALL.iter().map(|(step, _)| step_name(*step)).collect();
    assert_eq!(newest["steps"], json!(steps));
    let outcomes: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
    assert_eq!(newest["outcomes"], json!(outcomes));
    for outcome in outcomes {
        let event = &newest["events"][format!("jhe-connect:{outcome}")];
        assert!(event.is_object(), "there is no event for {outcome}");
    }
}

/// The manual is what people read: it names each event and each member, and each value of a step.
#[test]
fn the_manual_names_all_of_it() {
    let manual = include_str!("../docs/embedding.md");
    let newest = newest();
    let mut names = Vec::new();
    let every = newest["every"].as_object().expect("members");
    names.extend(every.keys().cloned());
    for (event, members) in newest["events"].as_object().expect("events") {
        names.push(event.clone());
        names.extend(members.as_object().expect("members").keys().cloned());
    }
    for step in newest["steps"].as_array().expect("steps") {
        names.extend(step.as_str().map(str::to_owned));
    }
    for name in names {
        assert!(manual.contains(&format!("`{name}`")), "{name} is missing");
    }
}
