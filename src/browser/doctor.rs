//! The doctor's page: carries its questions out and draws its lines. Text only, and nothing of it is stored.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, Element, Event, HtmlElement, HtmlInputElement, HtmlTextAreaElement};

use crate::browser::fetch::{self, Limit};
use crate::browser::location;
use crate::browser::platform::{self, Listener, spawn};
use crate::browser::storage::TabStore;
use crate::doctor::report::Count;
use crate::doctor::{
    Bundle, CHECKS, Check, Examination, Group, Line, Mode, Question, Reply, Surroundings, TROUBLES,
    Verdict, Wishes,
};
use crate::http::{HttpResponse, TransportError};

/// Starts the doctor on its page. `bundle` is the text of the page's block, as `cargo xtask dist` has written it.
#[wasm_bindgen(js_name = startDoctor)]
pub fn start_doctor(bundle: &str) {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else {
        return;
    };
    let room = Rc::new(Room {
        document,
        bundle: Bundle::parse(bundle).unwrap_or_default(),
        sheet: RefCell::new(None),
        is_busy: Cell::new(false),
        is_blocked: Cell::new(false),
    });
    room.draw_troubles();
    let watching = Rc::clone(&room);
    // What the page's own policy forbids looks like a server that can't be reached.
    let violations = room.document.clone();
    Listener::on(
        Some(&violations),
        "securitypolicyviolation",
        Box::new(move |_| watching.is_blocked.set(true)),
    )
    .forever();
    room.listen("doctor-form", "submit", |room, event| {
        event.prevent_default();
        room.begin();
    });
    room.listen("doctor-copy", "click", |room, _| {
        let room = Rc::clone(room);
        spawn(Box::pin(async move { room.copy_report().await }));
    });
    let asked = Rc::clone(&room);
    Listener::new("hashchange", move |_| asked.open_what_is_asked_for()).forever();
    room.listen("doctor-sheet", "click", |room, event| {
        room.copy_value(&event);
    });
    room.listen("doctor-unfold", "click", |room, _| room.unfold());
    room.begin();
}

/// The page.
struct Room {
    document: Document,
    bundle: Bundle,
    sheet: RefCell<Option<String>>,
    is_busy: Cell<bool>,
    is_blocked: Cell<bool>,
}

impl Room {
    fn begin(self: &Rc<Self>) {
        if !self.is_busy.replace(true) {
            let room = Rc::clone(self);
            spawn(Box::pin(async move {
                room.examine().await;
                room.is_busy.set(false);
            }));
        }
    }

    async fn examine(self: &Rc<Self>) {
        let Ok(page) = location::own() else {
            return;
        };
        let window = web_sys::window();
        let at = Surroundings {
            page,
            is_secure: window.is_some_and(|window| window.is_secure_context()),
            has_storage: TabStore::open().is_ok(),
            bundle: self.bundle.clone(),
            entropy: platform::entropy().unwrap_or([[0; 32]; 2]),
            now: platform::now(),
        };
        let wishes = Wishes {
            invitation: self.take("doctor-invitation"),
            redeems: self.input("doctor-redeem").is_some_and(|it| it.checked()),
            hospital: self.text_of("doctor-hospital"),
            configuration: self.text_of("doctor-configuration"),
        };
        *self.sheet.borrow_mut() = None;
        self.set_busy(true);
        let mut examination = Examination::new(at, wishes);
        self.draw(&examination.lines());
        while let Some(question) = examination.next_question(platform::now()) {
            let reply = self.send(question).await;
            examination.receive(reply, platform::now());
            self.draw(&examination.lines());
        }
        let lines = examination.lines();
        self.draw(&lines);
        let browser = web_sys::window().and_then(|window| window.navigator().user_agent().ok());
        let report = examination.report(&browser.unwrap_or_default(), platform::now());
        *self.sheet.borrow_mut() = Some(report);
        self.set_busy(false);
        self.conclude(&lines);
    }

    async fn send(&self, question: Question) -> Reply {
        self.is_blocked.set(false);
        let mut headers = Vec::new();
        let limit = Limit::new(question.request.limit_ms);
        let answer = match limit {
            None => Err(TransportError::Unreachable),
            Some(limit) => carry(&question, &limit, &mut headers).await,
        };
        if answer.is_err() {
            // The event of a violation comes as a task of its own.
            let _ = platform::pause(0).await;
        }
        Reply {
            is_blocked: answer.is_err() && self.is_blocked.get(),
            answer,
            headers,
        }
    }

    // The form.

    fn listen(self: &Rc<Self>, id: &str, event: &'static str, act: fn(&Rc<Self>, Event)) {
        let room = Rc::clone(self);
        let target = self.document.get_element_by_id(id);
        Listener::on(
            target.as_ref().map(AsRef::as_ref),
            event,
            Box::new(move |event| act(&room, event)),
        )
        .forever();
    }

    fn input(&self, id: &str) -> Option<HtmlInputElement> {
        self.document.get_element_by_id(id)?.dyn_into().ok()
    }

    fn text_of(&self, id: &str) -> String {
        let area = self.document.get_element_by_id(id);
        let area = area.and_then(|area| area.dyn_into::<HtmlTextAreaElement>().ok());
        match area {
            Some(area) => area.value(),
            None => self
                .input(id)
                .map(|input| input.value())
                .unwrap_or_default(),
        }
    }

    /// What was entered, which the page does not show any longer.
    fn take(&self, id: &str) -> String {
        let text = self.text_of(id);
        if let Some(input) = self.input(id) {
            input.set_value("");
        }
        text
    }

    // The sheet.

    fn set_busy(&self, is_busy: bool) {
        if let Some(sheet) = self.document.get_element_by_id("doctor-sheet") {
            set(&sheet, "aria-busy", if is_busy { "true" } else { "false" });
            if is_busy {
                set(&sheet, "data-state", "checking");
            }
        }
        for id in ["doctor-check", "doctor-copy"] {
            if let Some(button) = self.document.get_element_by_id(id) {
                set(
                    &button,
                    "aria-disabled",
                    if is_busy { "true" } else { "false" },
                );
            }
        }
        if is_busy {
            self.say("doctor-summary", "Checking…");
            self.say("doctor-wrong", "");
            self.say("doctor-copied", "");
            if let Some(area) = self.document.get_element_by_id("doctor-report") {
                set(&area, "hidden", "");
            }
        }
    }

    fn say(&self, id: &str, text: &str) {
        if let Some(element) = self.document.get_element_by_id(id) {
            element.set_text_content(Some(text));
        }
    }

    /// All lines; those that are not known yet have their titles.
    fn draw(&self, lines: &[Line]) {
        let Some(sheet) = self.document.get_element_by_id("doctor-sheet") else {
            return;
        };
        for group in Group::ALL {
            let id = ["group-", group_name(group)].concat();
            let list = match self.document.get_element_by_id(&id) {
                Some(list) => list,
                None => {
                    let Some(section) = self.add(&sheet, "section", "") else {
                        return;
                    };
                    let heading = self.add(&section, "h2", group.title());
                    let title = [&id, "-title"].concat();
                    if let Some(heading) = heading {
                        set(&heading, "id", &title);
                    }
                    set(&section, "aria-labelledby", &title);
                    let Some(list) = self.add(&section, "ul", "") else {
                        return;
                    };
                    set(&list, "id", &id);
                    set(&list, "role", "list");
                    list
                }
            };
            for (check, name, _, title) in CHECKS.iter().filter(|row| row.2 == group) {
                let line = lines.iter().find(|line| line.check == *check);
                self.draw_line(&list, name, title, line);
            }
        }
    }

    fn draw_line(&self, list: &Element, name: &str, title: &str, line: Option<&Line>) {
        let id = ["line-", name].concat();
        let item = match self.document.get_element_by_id(&id) {
            Some(item) => item,
            None => match self.add(list, "li", "") {
                Some(item) => {
                    set(&item, "id", &id);
                    set(&item, "tabindex", "-1");
                    item
                }
                None => return,
            },
        };
        let state = line.map_or("waiting", |line| state_of(&line.verdict));
        let found = line.map_or("", |line| line.found.as_str());
        // Drawn again only if there is news: a screen reader may be reading it.
        let news = [state, " ", found].concat();
        if item.get_attribute("data-line").as_deref() == Some(&news) {
            return;
        }
        set(&item, "data-line", &news);
        set(&item, "data-state", state);
        item.set_text_content(None);
        let Some(line) = line else {
            self.draw_head(&item, "Waiting", title);
            return;
        };
        let Some(fold) = self.add(&item, "details", "") else {
            return;
        };
        // What is right needs no words, and what can't be checked only those that have to be copied or opened.
        let is_open = match line.verdict {
            Verdict::Ok => false,
            Verdict::Wrong(_) => true,
            Verdict::Unknown(_) => line.link.is_some() || line.check == Check::RedirectUri,
        };
        if is_open {
            set(&fold, "open", "");
        }
        if let Some(summary) = self.add(&fold, "summary", "") {
            self.draw_head(&summary, line.verdict.name(), title);
        }
        self.add_text(&fold, "found", &line.found);
        if let Some(value) = &line.copy {
            self.add_value(&fold, title, value);
        }
        let advice = line.verdict.advice();
        if !advice.is_empty() {
            self.add_text(&fold, "advice", advice);
        }
        if let Some((text, to)) = &line.link
            && let Some(place) = self.add(&fold, "p", "")
            && let Some(link) = self.add(&place, "a", &[*text, " (new tab)"].concat())
        {
            set(&link, "href", to);
            set(&link, "target", "_blank");
            set(&link, "rel", "noopener noreferrer");
        }
    }

    fn draw_head(&self, parent: &Element, status: &str, title: &str) {
        let Some(head) = self.add(parent, "h3", "") else {
            return;
        };
        if let Some(status) = self.add(&head, "span", status) {
            set(&status, "class", "status");
        }
        // Between the two for who hears them, and for who copies them.
        let _ = head.append_with_str_1(" ");
        self.add(&head, "span", title);
    }

    fn add_text(&self, parent: &Element, class: &str, text: &str) {
        if let Some(paragraph) = self.add(parent, "p", text) {
            set(&paragraph, "class", class);
        }
    }

    /// A value with a button that copies it.
    fn add_value(&self, parent: &Element, title: &str, value: &str) {
        let Some(place) = self.add(parent, "p", "") else {
            return;
        };
        set(&place, "class", "value");
        self.add(&place, "code", value);
        let _ = place.append_with_str_1(" ");
        let Some(button) = self.add(&place, "button", "Copy") else {
            return;
        };
        set(&button, "type", "button");
        set(&button, "aria-label", &["Copy: ", title].concat());
        set(&button, "class", "copy");
    }

    /// One listener for the buttons of all values, which come and go.
    fn copy_value(self: &Rc<Self>, event: &Event) {
        let button = event.target().and_then(|it| it.dyn_into::<Element>().ok());
        let Some(button) = button.filter(|it| it.class_name() == "copy") else {
            return;
        };
        let value = button.previous_element_sibling();
        let value = value.and_then(|it| it.text_content()).unwrap_or_default();
        spawn(Box::pin(async move {
            let text = match copy(&value).await {
                true => "Copied",
                false => "Select it, and copy by keyboard",
            };
            button.set_text_content(Some(text));
        }));
    }

    /// Opens every line; all are open already: folds them.
    fn unfold(&self) {
        let Ok(folds) = self.document.query_selector_all("#doctor-sheet details") else {
            return;
        };
        let folds: Vec<Element> = (0..folds.length())
            .filter_map(|place| folds.get(place)?.dyn_into().ok())
            .collect();
        let opens = folds.iter().any(|fold| !fold.has_attribute("open"));
        for fold in &folds {
            match opens {
                true => set(fold, "open", ""),
                false => drop(fold.remove_attribute("open")),
            }
        }
        let label = if opens {
            "Fold all lines"
        } else {
            "Open all lines"
        };
        self.say("doctor-unfold", label);
    }

    /// The count, and the way to what is wrong.
    fn conclude(&self, lines: &[Line]) {
        if let Some(sheet) = self.document.get_element_by_id("doctor-sheet") {
            set(&sheet, "data-state", "done");
        }
        self.say("doctor-summary", &Count::of(lines).sentence());
        let Some(list) = self.document.get_element_by_id("doctor-wrong") else {
            return;
        };
        for line in lines {
            if matches!(line.verdict, Verdict::Wrong(_))
                && let Some(item) = self.add(&list, "li", "")
            {
                self.add_way(&item, line.check);
            }
        }
        self.open_what_is_asked_for();
    }

    /// The line that the address names is open, and is what the keyboard goes on from.
    fn open_what_is_asked_for(&self) {
        let hash = web_sys::window().and_then(|window| window.location().hash().ok());
        let id = hash.unwrap_or_default();
        let item = self.document.get_element_by_id(id.trim_start_matches('#'));
        let Some(item) = item.filter(|item| item.id().starts_with("line-")) else {
            return;
        };
        if let Ok(Some(fold)) = item.query_selector("details") {
            set(&fold, "open", "");
        }
        item.scroll_into_view();
        if let Some(item) = item.dyn_ref::<HtmlElement>() {
            // Fails for no element of a page.
            let _ = item.focus();
        }
    }

    fn add_way(&self, parent: &Element, check: Check) {
        if let Some(way) = self.add(parent, "a", check.title()) {
            set(&way, "href", &["#line-", check.name()].concat());
        }
    }

    /// From what people see to the lines about it.
    fn draw_troubles(&self) {
        let Some(list) = self.document.get_element_by_id("doctor-troubles") else {
            return;
        };
        for (symptom, checks) in TROUBLES {
            self.add(&list, "dt", symptom);
            let Some(ways) = self.add(&list, "dd", "") else {
                continue;
            };
            for (place, check) in checks.iter().enumerate() {
                if place > 0 {
                    let _ = ways.append_with_str_1(", ");
                }
                self.add_way(&ways, *check);
            }
        }
    }

    fn add(&self, parent: &Element, name: &str, text: &str) -> Option<Element> {
        let element = self.document.create_element(name).ok()?;
        if !text.is_empty() {
            element.set_text_content(Some(text));
        }
        parent.append_child(&element).ok()?;
        Some(element)
    }

    // The report.

    async fn copy_report(&self) {
        let Some(report) = self.sheet.borrow().clone() else {
            return;
        };
        if copy(&report).await {
            self.say("doctor-copied", "The report is in the clipboard.");
            return;
        }
        // Without a secure context, or without leave, there is no clipboard.
        let area = self.document.get_element_by_id("doctor-report");
        if let Some(area) = area.and_then(|area| area.dyn_into::<HtmlTextAreaElement>().ok()) {
            area.set_hidden(false);
            area.set_value(&report);
            let _ = area.focus();
            area.select();
        }
        self.say(
            "doctor-copied",
            "This browser does not let the page copy: the report stands below, selected.",
        );
    }
}

/// Sends a question; header fields go into `headers`.
async fn carry(
    question: &Question,
    limit: &Limit,
    headers: &mut Vec<(String, String)>,
) -> Result<HttpResponse, TransportError> {
    let request = match question.mode {
        Mode::Read => fetch::build(&question.request, &limit.signal),
        Mode::Reach => fetch::build_unread(&question.request, &limit.signal),
    };
    let response = request.ok_or(TransportError::Unreachable)?.send().await;
    let response = response.map_err(|_| limit.failure(TransportError::Unreachable))?;
    headers.extend(response.headers().entries());
    let body = match question.request.is_head_only {
        true => Vec::new(),
        false => fetch::read(&response, question.request.limit_octets, limit).await?,
    };
    Ok(HttpResponse {
        status: response.status(),
        content_type: response.headers().get("Content-Type").unwrap_or_default(),
        retry_after_ms: None,
        body,
    })
}

/// Puts a text into the clipboard, if the browser lets the page.
async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else {
        return false;
    };
    let clipboard = window.navigator().clipboard();
    if AsRef::<JsValue>::as_ref(&clipboard).is_undefined() {
        return false;
    }
    JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

fn set(element: &Element, name: &str, value: &str) {
    // Fails for no name of ours.
    let _ = element.set_attribute(name, value);
}

fn state_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Wrong(_) => "wrong",
        Verdict::Unknown(_) => "unknown",
    }
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Browser => "browser",
        Group::Pages => "pages",
        Group::Bundle => "bundle",
        Group::Jhe => "jhe",
        Group::Invitation => "invitation",
        Group::Hospital => "hospital",
        Group::Records => "records",
    }
}
