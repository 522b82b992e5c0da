//! How a page feels: when something is seen, how long it does not react, and how much moves under the finger.

use anyhow::Result;
use serde::Deserialize;

use crate::browser::{Browser, Capability};

/// Put in front of every page.
const RECORD: &str = "(() => {
    const told = { paints: {}, tasks: [], shifts: [] };
    const name = (node) => !node ? '(gone)'
        : node.nodeType === Node.TEXT_NODE ? JSON.stringify(node.data.slice(0, 40))
        : node.localName + (node.id && '#' + node.id) + (node.className && '.' + String(node.className).replaceAll(' ', '.'));
    // Not `hadRecentInput`: it also forgives what moves while Chromium finds its way into an emulated screen.
    let lastInput = -Infinity;
    for (const type of ['pointerdown', 'keydown']) {
        addEventListener(type, (event) => { lastInput = event.timeStamp; }, { capture: true, passive: true });
    }
    const note = {
        longtask: (entry) => told.tasks.push({ start: entry.startTime, duration: entry.duration }),
        'layout-shift': (entry) => {
            // What follows a tap at once is what the patient asked for.
            if (entry.startTime - lastInput < 500) return;
            told.shifts.push({ start: entry.startTime, value: entry.value, moved: entry.sources.map((it) => name(it.node)) });
        },
        paint: (entry) => { told.paints[entry.name] = entry.startTime; },
        'largest-contentful-paint': (entry) => { told.paints['largest-contentful-paint'] = entry.startTime; },
    };
    const observers = Object.entries(note).map(([type, take]) => {
        const observer = new PerformanceObserver((list) => list.getEntries().forEach(take));
        observer.observe({ type, buffered: true });
        return { observer, take };
    });
    window.figuresOfThePage = () => {
        for (const { observer, take } of observers) observer.takeRecords().forEach(take);
        return told;
    };
})();";

/// What was recorded of the page that is open, since it began. All times are in milliseconds.
#[derive(Clone, Debug, Deserialize)]
pub struct Figures {
    /// When something was drawn first.
    #[serde(default)]
    paints: Paints,
    /// What kept the page from reacting for 50 ms or more.
    pub tasks: Vec<Task>,
    /// What moved although nobody had touched the page.
    pub shifts: Vec<Shift>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Paints {
    first_paint: Option<f64>,
    first_contentful_paint: Option<f64>,
    largest_contentful_paint: Option<f64>,
}

/// A task that took long.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Task {
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub duration: f64,
}

/// One movement of the layout.
#[derive(Clone, Debug, Deserialize)]
pub struct Shift {
    /// When it was.
    pub start: f64,
    /// How bad it was: the part of the screen that moved, times how far.
    pub value: f64,
    /// What moved.
    pub moved: Vec<String>,
}

impl Figures {
    /// When anything was drawn first.
    pub fn first_paint(&self) -> Option<f64> {
        self.paints.first_paint
    }

    /// When a text or a picture was drawn first.
    pub fn first_contentful_paint(&self) -> Option<f64> {
        self.paints.first_contentful_paint
    }

    /// When the largest text or picture so far was drawn.
    pub fn largest_contentful_paint(&self) -> Option<f64> {
        self.paints.largest_contentful_paint
    }

    /// The longest of the long tasks, or 0.
    pub fn longest_task(&self) -> f64 {
        let tasks = self.tasks.iter().map(|task| task.duration);
        tasks.fold(0.0, f64::max)
    }

    /// By how much the long tasks together exceed what nobody notices.
    pub fn blocked(&self) -> f64 {
        self.tasks.iter().map(|task| task.duration - 50.0).sum()
    }

    /// All movements together. (Cumulative layout shift takes the worst five seconds only, and so is never more.)
    pub fn moved(&self) -> f64 {
        self.shifts.iter().map(|shift| shift.value).sum()
    }
}

impl Browser {
    /// Records the figures of every page from now on: first paints in each engine, the others where there is [`Capability::Figures`].
    pub async fn record_figures(&self) -> Result<()> {
        self.leaves_out(Capability::Figures);
        self.prepare_pages(RECORD).await.map(drop)
    }

    /// The figures of the page that is open.
    pub async fn figures(&self) -> Result<Figures> {
        self.evaluate("return window.figuresOfThePage()").await
    }
}
