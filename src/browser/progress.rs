//! How far a run is: a slot for each kind of records from the first moment on, and one bar for all. What changes, changes
//! in its place.

use alloc::vec::Vec;
use core::cell::Cell;

use web_sys::Element;

use crate::browser::view::{View, set};
use crate::embed;
use crate::import::{ImportRun, Purpose, RowProgress, RowState};
use crate::language::{Text, Value, label};
use crate::screen::{Act, Part};
use crate::screens::{importing, overall_line, row_line, wait_line};
use crate::text::number;

/// The panel changes no more often, in milliseconds: each drawing costs more than a record does.
const REDRAWN_MS: u64 = 200;
/// A screen reader hears no more often how far it is, in milliseconds.
const ANNOUNCED_MS: u64 = 15_000;

/// The elements of the panel.
pub(crate) struct Panel {
    view: View,
    purpose: Purpose,
    bar: Element,
    overall: Element,
    wait: Element,
    rows: Vec<(Element, Element)>,
    pause: Option<Element>,
    lead: Element,
    shown_at: Cell<u64>,
    announced_at: Cell<u64>,
    is_paused: Cell<bool>,
    is_waiting: Cell<bool>,
}

impl Panel {
    /// Shows the screen of a run.
    pub(crate) fn new(view: &View, run: &ImportRun, now: u64) -> Self {
        let purpose = run.purpose();
        let mut screen = importing(purpose);
        // The panel changes it.
        let lead = screen.parts.pop();
        view.show(&screen);
        let screen = view.screen();
        let sentence = view.element(screen, "p", "");
        if let Some(Part::Paragraph(lead)) = lead {
            view.say_in(&sentence, lead);
        }
        let place = view.place("jc-progress");
        let overall = view.element(&place, "p", "jc-overall");
        let bar = view.element(&place, "progress", "");
        view.label(&bar, Text::Overall);
        let wait = view.element(&place, "p", "jc-wait");
        let list = view.element(&place, "ul", "jc-rows");
        let mut rows = Vec::new();
        for name in run.plan().labels() {
            let row = view.element(&list, "li", "");
            view.add(&row, "span", "jc-kind", label(name));
            let state = view.element(&row, "span", "jc-state");
            rows.push((row, state));
        }
        let buttons = view.place("jc-buttons");
        let pause = match purpose {
            Purpose::Copy => {
                let name = Act::Pause.name();
                Some(view.add_button(&buttons, "jc-action", name, Text::Pause))
            }
            Purpose::Review => None,
        };
        view.add_button(&buttons, "jc-action", Act::Stop.name(), Text::Stop);
        let panel = Panel {
            view: view.clone(),
            purpose,
            bar,
            overall,
            wait,
            rows,
            pause,
            lead: sentence,
            shown_at: Cell::new(0),
            announced_at: Cell::new(now),
            is_paused: Cell::new(false),
            is_waiting: Cell::new(false),
        };
        panel.draw(run, now);
        panel
    }

    /// Tells the page around how far the run is.
    pub(crate) fn tell(&self, run: &ImportRun) {
        let view = &self.view;
        view.tell(&embed::progress(&run.progress(), self.purpose));
    }

    /// Brings the panel up to date, if it is time to.
    pub(crate) fn update(&self, run: &ImportRun, now: u64) {
        let is_changed = self.is_paused.get() != run.is_paused();
        let is_time = now >= self.shown_at.get() + REDRAWN_MS;
        if is_time {
            self.tell(run);
        }
        if is_changed || is_time {
            self.draw(run, now);
        }
    }

    fn draw(&self, run: &ImportRun, now: u64) {
        let view = &self.view;
        self.shown_at.set(now);
        let progress = run.progress();
        for (row, (item, state)) in progress.rows.iter().zip(&self.rows) {
            view.say_in(state, row_line(row, self.purpose));
            set(item, "class", class_of(row));
        }
        let overall = overall_line(&progress, self.purpose);
        view.say_in(&self.overall, overall.clone());
        match progress.whole {
            Some((done, all)) if self.purpose == Purpose::Copy && all > 0 => {
                set(&self.bar, "max", &number(u64::from(all)));
                set(&self.bar, "value", &number(u64::from(done)));
            }
            // Nobody knows how much there is: the bar does not claim to.
            _ => drop(self.bar.remove_attribute("value")),
        }
        let wait = run.wait(now).map(|wait| wait_line(wait, now));
        let is_waiting = wait.is_some();
        view.say_in(&self.wait, wait.clone().map_or("".into(), Value::from));
        self.draw_pause(run);
        let waited = self.is_waiting.replace(is_waiting);
        let begins_to_wait = is_waiting && !waited;
        if begins_to_wait || now >= self.announced_at.get() + ANNOUNCED_MS {
            self.announced_at.set(now);
            view.announce(Some(wait.unwrap_or(overall).into()));
        }
    }

    /// The one button pauses, and then goes on.
    fn draw_pause(&self, run: &ImportRun) {
        let is_paused = run.is_paused();
        if self.is_paused.replace(is_paused) == is_paused {
            return;
        }
        let (act, label, heading, lead) = match is_paused {
            true => (
                Act::Resume,
                Text::Resume,
                Text::PausedHeading,
                Text::PausedLead,
            ),
            false => (
                Act::Pause,
                Text::Pause,
                Text::ImportingHeading,
                Text::ImportingLead,
            ),
        };
        self.view.busy(!is_paused);
        self.view.rename(heading);
        if let Some(button) = &self.pause {
            set(button, "data-jc-action", act.name());
            self.view.say_in(button, label);
        }
        self.view.say_in(&self.lead, lead);
        self.view.announce(Some(lead.into()));
    }

    /// The patient stopped: what is under way is finished.
    pub(crate) fn stopping(&self) {
        self.view.say_in(&self.lead, Text::StoppingLead);
        self.view.announce(Some(Text::StoppingLead.into()));
    }
}

fn class_of(row: &RowProgress) -> &'static str {
    match row.state {
        RowState::Waiting => "jc-waiting",
        RowState::Reading => "jc-reading",
        RowState::Read if row.done < row.found => "jc-reading",
        RowState::Read => "jc-read",
        RowState::Limited | RowState::Failed => "jc-cut",
        RowState::NotGranted => "jc-left-out",
    }
}
