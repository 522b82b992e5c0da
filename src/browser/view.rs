//! What the patient sees, inside the element that the page hands over. Text goes in as text only.

use alloc::string::String;
use core::cell::Cell;

use js_sys::Array;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Blob, Document, Element, Event, Url};

use crate::error::Error;
use crate::exchange::deployment::MYCHART;
use crate::remedy::Remedy;
use crate::summary::Summary;

/// Where the journey stands, as the attribute `data-jhe-connect` says it to scripts and style sheets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Working,
    Choosing,
    Redirecting,
    Done,
    Partly,
    Failed,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Stage::Working => "working",
            Stage::Choosing => "choosing",
            Stage::Redirecting => "redirecting",
            Stage::Done => "done",
            Stage::Partly => "partly",
            Stage::Failed => "failed",
        }
    }
}

/// The elements that are written to.
pub(crate) struct View {
    document: Document,
    root: Element,
    steps: Element,
    progress: Element,
    result: Element,
    portal: Cell<&'static str>,
}

impl View {
    /// Empties `root` and lays the view out in it. `None` where the page is no page.
    pub(crate) fn new(root: Element) -> Option<Self> {
        let document = web_sys::window()?.document()?;
        let element = |name, class: &str| {
            let element: Element = document.create_element(name).ok()?;
            element.set_class_name(class);
            Some(element)
        };
        let steps = element("ol", "jc-steps")?;
        let progress = element("div", "jc-progress")?;
        let result = element("div", "jc-result")?;
        // Announced by screen readers when they are free.
        set(&steps, "aria-live", "polite");
        set(&result, "aria-live", "polite");
        root.set_text_content(None);
        // Later pages of JHE keep the element hidden until there is something in it.
        let _ = root.remove_attribute("hidden");
        root.class_list().add_1("jhe-connect").ok()?;
        for part in [&steps, &progress, &result] {
            root.append_child(part).ok()?;
        }
        set_what_is_missing(&document);
        let view = View {
            document,
            root,
            steps,
            progress,
            result,
            portal: Cell::new(MYCHART.portal),
        };
        view.stage(Stage::Working);
        Some(view)
    }

    /// From here on the hospital's portal is known as this to the patient.
    pub(crate) fn names_portal(&self, portal: &'static str) {
        self.portal.set(portal);
    }

    /// Says where the journey stands.
    pub(crate) fn stage(&self, stage: Stage) {
        set(&self.root, "data-jhe-connect", stage.as_str());
        let is_busy = matches!(stage, Stage::Working | Stage::Redirecting);
        set(
            &self.root,
            "aria-busy",
            if is_busy { "true" } else { "false" },
        );
    }

    /// A place of its own, behind the status lines.
    pub(crate) fn place(&self) -> Option<Element> {
        let place = self.document.create_element("div").ok()?;
        self.progress.before_with_node_1(&place).ok()?;
        Some(place)
    }

    /// Adds a status line.
    pub(crate) fn step(&self, text: &str) {
        self.add(&self.steps, "li", "", text);
    }

    /// Replaces the lines that tell how far the import is.
    pub(crate) fn progress(&self, lines: &[String]) {
        self.progress.set_text_content(None);
        for line in lines {
            self.add(&self.progress, "p", "", line);
        }
    }

    /// Shows how a run ended.
    pub(crate) fn summary(&self, summary: &Summary) {
        self.progress(&[]);
        let Some(section) = self.add(&self.result, "section", "jc-summary", "") else {
            return;
        };
        self.add(&section, "h2", "", &summary.headline);
        if let Some(not_saved) = &summary.not_saved {
            self.add(&section, "p", "", not_saved);
        }
        self.list(&section, "jc-kinds", &summary.kinds);
        self.list(&section, "jc-reasons", &summary.reasons);
        self.list(&section, "jc-notes", &summary.notes);
    }

    /// Says to scripts what went wrong.
    pub(crate) fn code(&self, code: &str) {
        set(&self.root, "data-jhe-connect-code", code);
    }

    /// Asks the page's script to begin the sign-in: what that takes is in the connect page's module.
    pub(crate) fn ask_for_sign_in(&self) {
        // Neither fails for an event of this kind.
        if let Ok(event) = Event::new("jhe-connect-sign-in") {
            let _ = self.root.dispatch_event(&event);
        }
    }

    /// Shows what went wrong and what to do: what the remedy says, or `next_step`.
    pub(crate) fn error(&self, error: &Error, next_step: Option<&str>) {
        self.progress(&[]);
        self.code(error.code());
        self.explain(&self.result, error, next_step);
    }

    /// Explains inside `parent` what went wrong and what to do.
    pub(crate) fn explain(&self, parent: &Element, error: &Error, next_step: Option<&str>) {
        let remedy = Remedy::of(error, self.portal.get());
        let class = match error.is_patients_choice() {
            true => "jc-remedy jc-choice",
            false => "jc-remedy",
        };
        let Some(section) = self.add(parent, "section", class, "") else {
            return;
        };
        self.add(&section, "h2", "", &remedy.heading);
        self.add(&section, "p", "", &remedy.explanation);
        let next_step = next_step.unwrap_or(remedy.next_step);
        self.add(&section, "p", "jc-next-step", next_step);
        if error.is_patients_choice() {
            return;
        }
        if let Some(details) = self.add(&section, "details", "", "") {
            self.add(&details, "summary", "", "Details for the study team");
            self.add(&details, "code", "", error.code());
            self.add(&details, "p", "", &error.detail());
        }
    }

    /// Offers to go on.
    pub(crate) fn action(&self, label: &str, act: impl FnMut() + 'static) {
        let Some(button) = self.add(&self.result, "button", "jc-action", label) else {
            return;
        };
        set(&button, "type", "button");
        // The button has it for as long as the page exists.
        let act = Closure::<dyn FnMut()>::new(act).into_js_value();
        // Fails for no event type.
        let _ = button.add_event_listener_with_callback("click", act.unchecked_ref());
    }

    /// Offers a text to be saved as a file.
    pub(crate) fn report(&self, text: &str) {
        let blob = Blob::new_with_str_sequence(&Array::of1(&text.into()));
        let url = blob.and_then(|blob| Url::create_object_url_with_blob(&blob));
        // What can't be offered was shown all the same, but for the rarer reasons.
        if let Ok(url) = url
            && let Some(link) = self.add(&self.result, "a", "jc-report", "Save a report of this")
        {
            set(&link, "href", &url);
            set(&link, "download", "records-report.txt");
        }
    }

    fn list(&self, parent: &Element, class: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        if let Some(list) = self.add(parent, "ul", class, "") {
            for line in lines {
                self.add(&list, "li", "", line);
            }
        }
    }

    /// Adds an element with a text to another one.
    pub(crate) fn add(
        &self,
        parent: &Element,
        name: &str,
        class: &str,
        text: &str,
    ) -> Option<Element> {
        let element = self.document.create_element(name).ok()?;
        if !class.is_empty() {
            element.set_class_name(class);
        }
        if !text.is_empty() {
            element.set_text_content(Some(text));
        }
        parent.append_child(&element).ok()?;
        Some(element)
    }
}

/// JHE's pages have neither a language nor a viewport: a phone would lay them out 980 pixels wide.
fn set_what_is_missing(document: &Document) {
    if let Some(html) = document.document_element()
        && !html.has_attribute("lang")
    {
        set(&html, "lang", "en");
    }
    let viewport = document.query_selector("meta[name=viewport]");
    if let (Ok(None), Some(head)) = (viewport, document.head())
        && let Ok(meta) = document.create_element("meta")
    {
        set(&meta, "name", "viewport");
        set(&meta, "content", "width=device-width, initial-scale=1");
        // Without it the page is small, not wrong.
        let _ = head.append_child(&meta);
    }
}

pub(crate) fn set(element: &Element, name: &str, value: &str) {
    // Fails only for a name that is no attribute name.
    let _ = element.set_attribute(name, value);
}
