//! Scripts at the start of every page, and the console of all pages, for engines that have no way of their own: the sandbox puts
//! a script before those of the page, and keeps what it tells.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use sandbox::{Instrument, Sandbox};
use serde::Deserialize;

use crate::browser::ConsoleLine;

/// Tells each line of the console, each error that nobody caught, and each violation of a policy, at once: a page may be gone
/// a moment later.
const TELL: &str = "
    const lines = [];
    Object.defineProperty(window, 'whatTheConsoleSays', { value: lines });
    const sendBeacon = navigator.sendBeacon.bind(navigator);
    const [now, begun] = [performance.now.bind(performance), performance.timeOrigin];
    const tell = (level, message) => {
        const line = { level, message: `${location.href} ${message}`, at: begun + now(), number: lines.length };
        lines.push(line);
        sendBeacon('/_instrument/told', JSON.stringify(line));
    };
    const text = (value) => {
        if (typeof value === 'string') return value;
        if (value instanceof Error) return `${value.name}: ${value.message}`;
        try { return JSON.stringify(value) ?? String(value); } catch { return String(value); }
    };
    for (const [name, level] of [['error', 'SEVERE'], ['warn', 'WARNING'], ['info', 'INFO'], ['log', 'INFO'], ['debug', 'DEBUG']]) {
        const say = console[name];
        console[name] = function (...values) {
            say.apply(this, values);
            tell(level, values.map(text).join(' '));
        };
    }
    addEventListener('error', (event) => { if (event.message) tell('SEVERE', `Uncaught ${event.message}`); });
    addEventListener('unhandledrejection', (event) => tell('SEVERE', `Uncaught (in promise) ${text(event.reason)}`));
";

/// What the page that is open has said.
pub(crate) const SAID_HERE: &str = "return window.whatTheConsoleSays ?? []";

/// A line of the console, with what tells it from others.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    line: ConsoleLine,
    at: f64,
    number: u32,
}

impl Line {
    fn is(&self, other: &Self) -> bool {
        self.number == other.number && self.at.total_cmp(&other.at).is_eq()
    }
}

/// The scripts of one browser.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    host: Mutex<Option<Instrument>>,
    prepared: Mutex<Vec<(String, String)>>,
}

impl Scripts {
    /// The pages of this sandbox begin with the scripts.
    pub(crate) fn play_on(&self, sandbox: &Sandbox) {
        *lock(&self.host) = Some(sandbox.instrument());
        self.play();
    }

    /// One more, from the next page on. Gives its name.
    pub(crate) fn add(&self, script: &str) -> String {
        let mut prepared = lock(&self.prepared);
        let name = format!("script-{}", prepared.len());
        prepared.push((name.clone(), script.to_owned()));
        drop(prepared);
        self.play();
        name
    }

    /// Not any more, from the next page on.
    pub(crate) fn remove(&self, name: &str) {
        for (prepared, script) in lock(&self.prepared).iter_mut() {
            if prepared == name {
                script.clear();
            }
        }
        self.play();
    }

    /// Replaces the one that has a name of its own, or adds it.
    pub(crate) fn set(&self, name: &str, script: String) {
        let mut prepared = lock(&self.prepared);
        match prepared.iter_mut().find(|(prepared, _)| prepared == name) {
            Some((_, known)) => *known = script,
            None => prepared.push((name.to_owned(), script)),
        }
        drop(prepared);
        self.play();
    }

    /// All that pages have told, and the page that is open says itself.
    pub(crate) fn console(&self, here: Vec<Line>) -> Result<Vec<ConsoleLine>> {
        let host = lock(&self.host).clone();
        let mut lines = here;
        for told in host.iter().flat_map(Instrument::told) {
            let line: Line =
                serde_json::from_str(&told).with_context(|| format!("told by a page: {told}"))?;
            if !lines.iter().any(|known| known.is(&line)) {
                lines.push(line);
            }
        }
        lines.sort_by(|one, other| one.at.total_cmp(&other.at));
        Ok(lines.into_iter().map(|line| line.line).collect())
    }

    /// Lets the connections to the servers break, or be again.
    pub(crate) fn cut_off(&self, is_cut_off: bool) {
        if let Some(host) = lock(&self.host).as_ref() {
            host.cut_off(is_cut_off);
        }
    }

    fn play(&self) {
        let Some(host) = lock(&self.host).clone() else {
            return;
        };
        // A block for each, as if each was a script of its own.
        let mut script = format!("{{{TELL}}}\n");
        for (_, prepared) in lock(&self.prepared).iter() {
            script += &format!("{{{prepared}\n}}\n");
        }
        host.play(script);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
