//! The browsers that make the journeys, and what they cannot do.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

/// Names the engine that makes the journeys; Chromium's if it names none.
pub const ENGINE: &str = "JHE_CONNECT_ENGINE";

/// Names a file to which each journey adds a line when it ends, and one for each thing that it left out.
const TALLY: &str = "JHE_CONNECT_TALLY";

/// What pages run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Chromium, through chromedriver.
    Chromium,
    /// Firefox, through geckodriver.
    Firefox,
    /// WebKitGTK's small browser, through WebKitWebDriver.
    WebKit,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Firefox, Self::WebKit];

    /// The one that the environment names.
    pub fn chosen() -> Result<Self> {
        let Some(named) = env::var_os(ENGINE) else {
            return Ok(Self::Chromium);
        };
        match Self::ALL
            .into_iter()
            .find(|engine| named == *engine.to_string().to_lowercase())
        {
            Some(engine) => Ok(engine),
            None => bail!("{ENGINE} is {named:?}, and can be chromium, firefox or webkit"),
        }
    }

    /// Why it cannot do this, if it cannot.
    pub fn lacks(self, capability: Capability) -> Option<&'static str> {
        let mut known = DIFFERENCES.iter();
        known
            .find(|(engine, lacking, _)| *engine == self && *lacking == capability)
            .map(|(_, _, reason)| *reason)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something that a journey asks of its browser, beyond what a patient does with it, and that not each engine lets it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Read the addresses in the history of the tab.
    History,
    /// Obey a Cross-Origin-Opener-Policy.
    OpenerPolicy,
    /// Let the process of a tab crash, and go on in the tab.
    Crash,
    /// Say by the settings that more or less contrast is preferred.
    Contrast,
    /// Replace the page's colours by those of the system.
    ForcedColors,
    /// Have what was fetched ahead after the network is gone.
    FilesWithoutNetwork,
    /// Change the colours or the motion that the settings ask for while a page is open.
    SettingsOfAnOpenPage,
    /// Be a screen that is touched, with several pixels for one of CSS.
    Touch,
    /// Be slower than the machine is.
    Slowness,
    /// Tell long tasks, and what moved on the page.
    Figures,
    /// Tell the states of what is on the page as assistive technology gets them, and not only roles and names.
    AccessibleStates,
}

/// What an engine cannot do, and why: a journey does the rest, and tells what it left out.
pub const DIFFERENCES: &[(Engine, Capability, &str)] = &[
    (
        Engine::Firefox,
        Capability::Contrast,
        "its `prefers-contrast` follows the colours of the system alone",
    ),
    (
        Engine::Firefox,
        Capability::Slowness,
        "it has nothing to slow a page down with",
    ),
    (
        Engine::Firefox,
        Capability::Figures,
        "its `PerformanceObserver` knows neither `longtask` nor `layout-shift`",
    ),
    (
        Engine::Firefox,
        Capability::AccessibleStates,
        "WebDriver tells the role and the name of an element; its states are read from the attributes",
    ),
    (
        Engine::WebKit,
        Capability::History,
        "WebDriver tells nothing of the history of a tab",
    ),
    (
        Engine::WebKit,
        Capability::OpenerPolicy,
        "WebKitWebDriver never answers again after a way back to a page with a Cross-Origin-Opener-Policy, which is switched off",
    ),
    (
        Engine::WebKit,
        Capability::Crash,
        "WebKitWebDriver ends its session when the process of a page ends",
    ),
    (
        Engine::WebKit,
        Capability::FilesWithoutNetwork,
        "a session of WebKitWebDriver keeps no files: what was fetched ahead is fetched again when it is needed",
    ),
    (
        Engine::WebKit,
        Capability::Contrast,
        "its settings have no contrast",
    ),
    (
        Engine::WebKit,
        Capability::ForcedColors,
        "it has no forced colours",
    ),
    (
        Engine::WebKit,
        Capability::SettingsOfAnOpenPage,
        "MiniBrowser reads its settings when it starts",
    ),
    (
        Engine::WebKit,
        Capability::Touch,
        "MiniBrowser is a window on a desktop",
    ),
    (
        Engine::WebKit,
        Capability::Slowness,
        "it has nothing to slow a page down with",
    ),
    (
        Engine::WebKit,
        Capability::Figures,
        "its `PerformanceObserver` knows neither `longtask` nor `layout-shift`",
    ),
    (
        Engine::WebKit,
        Capability::AccessibleStates,
        "WebDriver tells the role and the name of an element; its states are read from the attributes",
    ),
];

/// A part of this test is left out, since the engine cannot do it: said once in each run, and noted for each test.
pub(crate) fn note_left_out(engine: Engine, capability: Capability, reason: &str) {
    static SAID: Mutex<BTreeSet<Capability>> = Mutex::new(BTreeSet::new());
    let is_new = SAID
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(capability);
    if is_new {
        // Not `eprintln!`, which is kept back while a test succeeds.
        let _ = writeln!(
            io::stderr(),
            "note: {engine} goes without {capability:?}: {reason}"
        );
    }
    note(&format!("{} without {capability:?}", test()));
}

/// This test, as a whole, makes no sense in the engine.
pub(crate) fn note_not_made(engine: Engine, capability: Capability, reason: &str) {
    let _ = writeln!(
        io::stderr(),
        "note: {} is not made in {engine}: {reason}",
        test()
    );
    note(&format!("{} not made: {capability:?}", test()));
}

/// This test has made its journey, in so much time since it had a browser.
pub(crate) fn note_made(took: Duration) {
    note(&format!("{} made in {:.1} s", test(), took.as_secs_f32()));
}

/// This test has failed, which is told at the end only: who watches a long run wants to know why at once.
pub(crate) fn note_failed(why: &str) {
    let first = why.lines().next().unwrap_or_default();
    note(&format!("{} failed: {first}", test()));
}

fn test() -> String {
    thread::current().name().unwrap_or("main").to_owned()
}

fn note(line: &str) {
    let Some(file) = env::var_os(TALLY) else {
        return;
    };
    let opened = OpenOptions::new().create(true).append(true).open(file);
    // One write, so that the lines of several tests don't mix.
    let noted = opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    if let Err(error) = noted {
        let _ = writeln!(io::stderr(), "{TALLY}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_each_difference_with_its_reason() {
        let rows: String = (DIFFERENCES.iter())
            .map(|(engine, capability, reason)| {
                format!("| {engine} | `{capability:?}` | {reason} |\n")
            })
            .collect();
        let readme = include_str!("../README.md");
        let table = readme.split("| Engine | Is without | Because |\n|---|---|---|\n");
        let told = table.last().and_then(|it| it.split("\n\n").next());
        assert_eq!(told.unwrap_or_default().trim_end(), rows.trim_end());
    }
}
