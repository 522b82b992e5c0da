//! What the patient sees, inside the element that the page hands over. Text goes in as text only.
//!
//! Every text on the page is kept with the message that it says: in another language it is said again, where it stands.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CustomEvent, CustomEventInit, Document, Element, Event, HtmlElement};

use crate::browser::formats::BrowserFormats;
use crate::browser::platform::{self, Listener};
use crate::config::{PageConfig, Study};
use crate::embed;
use crate::language::{Language, Message, Text, Value};
use crate::screen::{Act, Part, Screen, Stage, Step};
use crate::text::{number, percent_encode, whole_number};

/// The elements that are written to. A clone writes to the same.
#[derive(Clone)]
pub(crate) struct View(Rc<Inner>);

struct Inner {
    document: Document,
    root: Element,
    /// Where the page's script hears of this view, and this view of it.
    hub: Element,
    top: Element,
    screen: Element,
    /// Read aloud when it changes.
    status: Element,
    speech: RefCell<Speech>,
    said: RefCell<Vec<Said>>,
    study: RefCell<Study>,
    /// Where several hospitals can be picked, the journey has one more step.
    has_choice: Cell<bool>,
    /// What the patient did and nobody looked at yet.
    acts: RefCell<Vec<Act>>,
    waker: Cell<Option<Waker>>,
    listeners: RefCell<Vec<Listener>>,
}

/// How things are said.
struct Speech {
    language: Language,
    formats: BrowserFormats,
    /// What the patient knows the hospital's portal as.
    portal: Value,
}

impl Speech {
    fn say(&self, value: &Value) -> String {
        self.language.value(value, &self.portal, &self.formats)
    }
}

/// A text on the page.
struct Said {
    element: Element,
    place: Place,
    value: Value,
}

/// Where in an element a text stands.
#[derive(Clone, Copy)]
enum Place {
    Content,
    Attribute(&'static str),
}

impl View {
    /// Empties `root` and lays the view out in it. `None` where the page is no page, or the language none.
    ///
    /// A view of another module that is there already is not heard any more; what it shows stays until this one shows
    /// something.
    pub(crate) fn new(root: Element, language: &str) -> Option<Self> {
        let view = View::unlaid(root.clone(), root, language)?;
        view.call(TAKEN_OVER, "");
        view.listen_to_texts();
        view.listen_to_acts();
        view.listen_to_the_next();
        view.stage(Stage::Working);
        Some(view)
    }

    /// The same in a part of what another view shows in `hub`, which listens to what the patient does there too.
    pub(crate) fn below(hub: Element, root: Element, language: &str) -> Option<Self> {
        let view = View::unlaid(hub, root, language)?;
        view.lay_out();
        view.listen_to_texts();
        view.listen_to_the_next();
        Some(view)
    }

    fn unlaid(hub: Element, root: Element, language: &str) -> Option<Self> {
        let document = web_sys::window()?.document()?;
        let element = |name, class: &str| {
            let there = root.query_selector(&[":scope > .", class].concat());
            if let Ok(Some(there)) = there {
                return Some(there);
            }
            let element: Element = document.create_element(name).ok()?;
            element.set_class_name(class);
            Some(element)
        };
        let language = Language::parse(language.as_bytes())?;
        let top = element("div", "jc-top")?;
        let screen = element("div", "jc-screen")?;
        let status = element("p", "jc-status")?;
        // Announced by screen readers when they are free.
        set(&status, "role", "status");
        let formats = BrowserFormats::new(&language.tag);
        Some(View(Rc::new(Inner {
            document,
            root,
            hub,
            top,
            screen,
            status,
            speech: RefCell::new(Speech {
                language,
                formats,
                portal: Text::YourHospital.into(),
            }),
            said: RefCell::default(),
            study: RefCell::default(),
            has_choice: Cell::new(false),
            acts: RefCell::default(),
            waker: Cell::new(None),
            listeners: RefCell::default(),
        })))
    }

    /// Puts the view's elements in the place of what the page says while it loads.
    fn lay_out(&self) {
        let inner = &self.0;
        inner.root.set_text_content(None);
        // Later pages of JHE keep the element hidden until there is something in it.
        let _ = inner.root.remove_attribute("hidden");
        // Neither fails for an element of a page.
        let _ = inner.root.class_list().add_1("jhe-connect");
        for part in [&inner.top, &inner.screen, &inner.status] {
            let _ = inner.root.append_child(part);
        }
        set_what_is_missing(&inner.document);
    }

    // What holds for the whole page.

    /// Takes the study's name, colours and contact, and what the hospital's portal is known as.
    pub(crate) fn introduce(&self, config: &PageConfig) {
        let inner = &self.0;
        let study = config.study.clone();
        if let (Some(accent), Some(root)) = (&study.accent, inner.root.dyn_ref::<HtmlElement>()) {
            // Fails only for a value that is no colour, and then the usual one stays.
            let _ = root.style().set_property("--jhe-accent", accent);
            let on_accent = study.on_accent().unwrap_or_default();
            let _ = root.style().set_property("--jhe-on-accent", on_accent);
        }
        inner.study.replace(study);
        inner.has_choice.set(config.iss.is_none());
        if let Some(portal) = config.deployment.portal {
            self.names_portal(portal.into());
        }
        self.draw_top(None);
    }

    /// From here on the hospital's portal is known as this to the patient.
    pub(crate) fn names_portal(&self, portal: Value) {
        self.0.speech.borrow_mut().portal = portal;
    }

    /// What the hospital's portal is known as.
    pub(crate) fn portal(&self) -> Value {
        self.0.speech.borrow().portal.clone()
    }

    /// Says all that is on the page in another language.
    pub(crate) fn speak(&self, language: &str) {
        let inner = &self.0;
        let language = Language::parse(language.as_bytes());
        let module = inner.speech.borrow().language.module.clone();
        // The texts of other modules on the page come by the same way.
        let Some(language) = language.filter(|language| language.module == module) else {
            return;
        };
        inner.speech.replace_with(|speech| Speech {
            formats: BrowserFormats::new(&language.tag),
            language,
            portal: speech.portal.clone(),
        });
        self.mark_language();
        let speech = inner.speech.borrow();
        for said in inner.said.borrow().iter() {
            write(&speech, said);
        }
        drop(speech);
        self.entitle();
    }

    /// Tells browsers and screen readers which language this is, and which of the choice is in use.
    fn mark_language(&self) {
        let inner = &self.0;
        let speech = inner.speech.borrow();
        let language = &speech.language;
        let direction = if language.is_right_to_left {
            "rtl"
        } else {
            "ltr"
        };
        // JHE's pages are in English around it; the plain pages have nothing else.
        let html = inner.document.document_element();
        let html = html.filter(|html| self.is_whole_page() || !html.has_attribute("lang"));
        let mark = |element: &Element| {
            set(element, "lang", &language.tag);
            set(element, "dir", direction);
        };
        mark(&inner.root);
        if let Some(html) = html {
            mark(&html);
        }
        for (tag, _) in &language.choice {
            let button = ["[lang=\"", tag, "\"].jc-language"].concat();
            if let Ok(Some(button)) = inner.top.query_selector(&button) {
                let is_used = *tag == language.tag;
                set(
                    &button,
                    "aria-pressed",
                    if is_used { "true" } else { "false" },
                );
            }
        }
    }

    /// Is the page ours, so that its title is too?
    fn is_whole_page(&self) -> bool {
        self.0.root.has_attribute("data-page")
    }

    /// Says where the journey stands.
    pub(crate) fn stage(&self, stage: Stage) {
        set(&self.0.root, "data-jhe-connect", stage.as_str());
        self.busy(stage.is_busy());
    }

    /// Says whether the page is at work, and the patient waits.
    pub(crate) fn busy(&self, is_busy: bool) {
        let is_busy = if is_busy { "true" } else { "false" };
        set(&self.0.root, "aria-busy", is_busy);
    }

    /// Gives the screen that is shown another heading.
    pub(crate) fn rename(&self, heading: Text) {
        if let Ok(Some(element)) = self.0.screen.query_selector(".jc-heading") {
            self.say_in(&element, heading);
        }
    }

    /// Says to scripts what went wrong.
    pub(crate) fn code(&self, code: &str) {
        set(&self.0.root, CODE, code);
    }

    /// Where the page's script hears of this view.
    pub(crate) fn hub(&self) -> &Element {
        &self.0.hub
    }

    /// Asks the page's script for what the page is complete without: of the module of this name, with an object as JSON.
    pub(crate) fn call_beside(&self, module: &str, object: &str) {
        self.call(BESIDE, &[module, object].concat());
    }

    /// Asks the page's script for what another module does: the event `name`, with a text.
    pub(crate) fn call(&self, name: &str, detail: &str) {
        let options = CustomEventInit::new();
        options.set_detail(&detail.into());
        // Neither fails for an event of this kind.
        if let Ok(event) = CustomEvent::new_with_event_init_dict(name, &options) {
            let _ = self.0.hub.dispatch_event(&event);
        }
    }

    /// The study's sign, the languages, and the steps with the one that is gone through now.
    fn draw_top(&self, step: Option<Step>) {
        let inner = &self.0;
        let top = &inner.top;
        top.set_text_content(None);
        self.forget_unseen();
        let study = inner.study.borrow();
        let brand = self.element(top, "div", "jc-study");
        if let Some(logo) = &study.logo {
            let image = self.element(&brand, "img", "jc-logo");
            set(&image, "src", logo.as_str());
            // The name stands beside it.
            set(&image, "alt", "");
        }
        if let Some(name) = &study.name {
            self.add(&brand, "span", "", name.as_str());
        }
        let choice = inner.speech.borrow().language.choice.clone();
        if choice.len() > 1 {
            let group = self.element(top, "div", "jc-languages");
            set(&group, "role", "group");
            self.label(&group, Text::Language);
            for (tag, name) in &choice {
                let button = self.add(&group, "button", "jc-language", name.as_str());
                set(&button, "type", "button");
                set(&button, "lang", tag);
            }
        }
        if let Some(step) = step {
            self.draw_journey(step);
        }
        self.mark_language();
    }

    fn draw_journey(&self, now: Step) {
        let journey = self.element(&self.0.top, "ol", "jc-journey");
        self.label(&journey, Text::Journey);
        for (step, name) in Step::ALL {
            if step == Step::Hospital && !self.0.has_choice.get() {
                continue;
            }
            let class = if step < now { "jc-passed" } else { "" };
            let item = self.add(&journey, "li", class, name);
            if step == now {
                set(&item, "aria-current", "step");
            }
        }
    }

    // Screens.

    /// Shows a screen in place of the one before.
    pub(crate) fn show(&self, screen: &Screen) {
        let inner = &self.0;
        let is_first = !inner.root.has_attribute(SCREEN);
        if inner.top.parent_node().is_none() {
            self.lay_out();
        }
        self.stage(screen.stage);
        set(&inner.root, SCREEN, screen.name);
        match screen.code {
            Some(code) => self.code(code),
            // That of an earlier screen is not this one's. Fails for nothing.
            None => drop(inner.root.remove_attribute(CODE)),
        }
        inner.acts.borrow_mut().clear();
        inner.screen.set_text_content(None);
        self.announce(None);
        self.draw_top(screen.step);
        let heading = match self.has_no_title() {
            true => "h1",
            false => "h2",
        };
        let heading = self.add(&inner.screen, heading, "jc-heading", screen.heading.clone());
        self.add_parts(&inner.screen, &screen.parts);
        self.entitle();
        // Read aloud, and in sight. Not on a page that was just opened: there the browser reads from the top.
        if !is_first {
            focus(&heading);
        }
        self.tell(&embed::screen(screen));
    }

    /// Tells the page's script what the page around may want to know.
    pub(crate) fn tell(&self, detail: &str) {
        self.call("jhe-connect-told", detail);
    }

    /// Is the element in the page, which others may take out of it?
    pub(crate) fn is_on_the_page(&self) -> bool {
        self.0.root.is_connected()
    }

    /// Takes on a screen of one paragraph that another module has shown: it stays as it is, and is said in this view's language
    /// from here on. Where it is not there, it is shown.
    pub(crate) fn take_on(&self, screen: &Screen) {
        let inner = &self.0;
        let is_there = inner.root.get_attribute(SCREEN).as_deref() == Some(screen.name);
        let part = |selector| inner.screen.query_selector(selector).ok().flatten();
        match (
            part(".jc-heading"),
            part(".jc-heading + p"),
            screen.parts.first(),
        ) {
            (Some(heading), Some(lead), Some(Part::Paragraph(text))) if is_there => {
                self.draw_top(screen.step);
                self.say_in(&heading, screen.heading.clone());
                self.say_in(&lead, text.clone());
            }
            _ => self.show(screen),
        }
    }

    /// Names a page of ours after the screen.
    fn entitle(&self) {
        let inner = &self.0;
        let heading = inner.screen.query_selector(".jc-heading");
        if let Ok(Some(heading)) = heading
            && self.is_whole_page()
        {
            let name = inner.speech.borrow().say(&Text::PageTitle.into());
            let title = [&heading.text_content().unwrap_or_default(), " – ", &name];
            inner.document.set_title(&title.concat());
        }
    }

    /// Is there no other heading of the first level on the page?
    fn has_no_title(&self) -> bool {
        let title = self.0.document.query_selector("h1");
        !matches!(title, Ok(Some(_)))
    }

    /// Shows a screen, and waits until the patient does something.
    pub(crate) async fn ask(&self, screen: &Screen) -> Act {
        self.show(screen);
        self.next_act().await
    }

    /// Waits until the patient does something.
    pub(crate) async fn next_act(&self) -> Act {
        poll_fn(|context| match self.act() {
            Some(act) => Poll::Ready(act),
            None => {
                self.awaits_notice(context.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// What the patient did, if nobody looked at it yet.
    pub(crate) fn act(&self) -> Option<Act> {
        let mut acts = self.0.acts.borrow_mut();
        (!acts.is_empty()).then(|| acts.remove(0))
    }

    /// Did the patient do something that nobody looked at? If not, the waker is woken when they do.
    pub(crate) fn awaits_notice(&self, waker: &Waker) -> bool {
        self.0.waker.set(Some(waker.clone()));
        !self.0.acts.borrow().is_empty()
    }

    /// Takes a button off the screen.
    pub(crate) fn withdraw(&self, act: Act) {
        let button = ["[", ACT, "=", act.name(), "]"].concat();
        if let Ok(Some(button)) = self.0.screen.query_selector(&button) {
            button.remove();
        }
    }

    /// Puts the view before an element of the page, which then belongs to what the view says.
    pub(crate) fn stand_before(&self, element: &Element) {
        // Fails only for an element inside the view itself, which has its place then.
        let _ = element.before_with_node_1(&self.0.root);
    }

    /// A place of its own at the end of the screen.
    pub(crate) fn place(&self, class: &str) -> Element {
        self.element(&self.0.screen, "div", class)
    }

    /// The screen's own element.
    pub(crate) fn screen(&self) -> &Element {
        &self.0.screen
    }

    /// The numbers, from 0, of the boxes that the patient left ticked.
    pub(crate) fn ticked(&self) -> Vec<usize> {
        let boxes = self.0.screen.query_selector_all(".jc-boxes input");
        let Ok(boxes) = boxes else {
            return Vec::new();
        };
        let mut ticked = Vec::new();
        for index in 0..boxes.length() {
            let input = boxes.get(index).map(JsCast::unchecked_into);
            if input.is_some_and(|input: web_sys::HtmlInputElement| input.checked()) {
                ticked.push(index as usize);
            }
        }
        ticked
    }

    /// Has a screen reader say this when it is free.
    pub(crate) fn announce(&self, what: Option<Value>) {
        let status = &self.0.status;
        self.forget(status);
        match what {
            Some(what) => self.say(status, Place::Content, what),
            None => status.set_text_content(None),
        }
    }

    /// Adds pieces of a screen.
    pub(crate) fn add_parts(&self, parent: &Element, parts: &[Part]) {
        // One button of a screen stands out.
        let mut is_first = *parent == self.0.screen;
        for part in parts {
            match part {
                Part::Paragraph(text) => drop(self.add(parent, "p", "", text.clone())),
                Part::NextStep(text) => drop(self.add(parent, "p", "jc-next-step", text.clone())),
                Part::Warning(text) => drop(self.add(parent, "p", "jc-warning", text.clone())),
                // Only there: the other modules are spared what draws them.
                Part::Heading(_) | Part::Fold(..) | Part::Boxes(_) if !cfg!(feature = "import") => {
                }
                Part::Heading(text) => self.add_section(parent, *text),
                Part::Facts(facts) => self.add_facts(parent, facts),
                Part::List(lines) => self.add_list(parent, "jc-lines", lines.clone()),
                Part::Fold(summary, parts) => {
                    let fold = self.element(parent, "details", "jc-fold");
                    self.add(&fold, "summary", "", *summary);
                    self.add_parts(&fold, parts);
                }
                Part::Boxes(labels) => {
                    for text in labels {
                        self.add_box(parent, text);
                    }
                }
                Part::Button(act, label) => {
                    let class = if is_first {
                        "jc-action jc-first"
                    } else {
                        "jc-action"
                    };
                    is_first = false;
                    self.add_button(parent, class, act.name(), *label);
                }
                Part::Choices(names) => {
                    // All weigh the same, and what follows less.
                    is_first = false;
                    for (number, name) in names.iter().enumerate() {
                        self.add_choice(parent, number, name.clone());
                    }
                }
                Part::Help => self.add_help(parent, parts),
                Part::Details(code, detail) => self.add_details(parent, code, detail),
            }
        }
    }

    /// Adds a heading of the level below the screen's own.
    pub(crate) fn add_section(&self, parent: &Element, heading: impl Into<Value>) {
        let above = self.0.document.query_selector("h1.jc-heading");
        let level = match above {
            Ok(Some(_)) => "h2",
            _ => "h3",
        };
        self.add(parent, level, "jc-section", heading);
    }

    /// Adds lines of equal weight.
    pub(crate) fn add_list(&self, parent: &Element, class: &str, lines: Vec<Value>) {
        let list = self.element(parent, "ul", class);
        for line in lines {
            self.add(&list, "li", "", line);
        }
    }

    /// Adds names and what they stand for.
    pub(crate) fn add_facts(&self, parent: &Element, facts: &[(Text, Value)]) {
        let list = self.element(parent, "dl", "jc-facts");
        for (name, value) in facts {
            self.add(&list, "dt", "", *name);
            self.add(&list, "dd", "", value.clone());
        }
    }

    fn add_box(&self, parent: &Element, text: &Message) {
        let label = self.element(parent, "label", "jc-boxes");
        let input = self.element(&label, "input", "");
        set(&input, "type", "checkbox");
        set(&input, "checked", "");
        self.add(&label, "span", "", text.clone());
    }

    /// Adds a button for this act.
    pub(crate) fn add_button(
        &self,
        parent: &Element,
        class: &str,
        act: &str,
        label: Text,
    ) -> Element {
        let button = self.add(parent, "button", class, label);
        set(&button, "type", "button");
        set(&button, ACT, act);
        button
    }

    /// Adds a button that goes to the hospital with this number.
    pub(crate) fn add_choice(&self, parent: &Element, place: usize, label: Value) -> Element {
        let button = self.add(parent, "button", "jc-action", label);
        set(&button, "type", "button");
        set(&button, ACT, Act::Hospital(place).name());
        set(&button, PLACE, &number(place as u64));
        button
    }

    /// The way to a person: one tap opens it, another one writes or calls. In a fold that is open already, it stands there.
    fn add_help(&self, parent: &Element, parts: &[Part]) {
        let fold = match parent.tag_name().as_str() {
            "DETAILS" => parent.clone(),
            _ => {
                let fold = self.element(parent, "details", "jc-fold jc-help");
                self.add(&fold, "summary", "", Text::Help);
                fold
            }
        };
        let study = self.0.study.borrow();
        let contact = &study.contact;
        let who = match &contact.name {
            _ if contact.is_empty() => Text::HelpUnknown.into(),
            Some(name) => Text::HelpNamed.with([name.as_str().into()]),
            None => Text::HelpTeam.into(),
        };
        self.add(&fold, "p", "", who);
        let code = parts.iter().find_map(|part| match part {
            Part::Details(code, _) => Some(*code),
            _ => None,
        });
        let mail = contact.mail_link().map(|link| {
            let subject = self.0.speech.borrow().say(&Text::HelpSubject.into());
            let subject = match code {
                Some(code) => [&subject, " (", code, ")"].concat(),
                None => subject,
            };
            [&link, "?subject=", &percent_encode(&subject)].concat()
        });
        let named = |text: Text, name: &Option<String>| {
            text.with([Value::from(name.as_deref().unwrap_or_default())])
        };
        for (link, text) in [
            (mail, named(Text::HelpEmail, &contact.email)),
            (contact.phone_link(), named(Text::HelpCall, &contact.phone)),
            (
                contact.url.as_ref().map(|url| url.as_str().into()),
                Text::HelpWeb.into(),
            ),
        ] {
            if let Some(link) = link {
                let element = self.add(&fold, "a", "jc-link", text);
                set(&element, "href", &link);
                set(&element, "rel", "noreferrer");
            }
        }
    }

    fn add_details(&self, parent: &Element, code: &str, detail: &str) {
        let fold = self.element(parent, "details", "jc-fold jc-details");
        self.add(&fold, "summary", "", Text::Details);
        self.add(&fold, "p", "", Text::DetailsSay);
        self.add(&fold, "code", "", code);
        self.add(&fold, "p", "jc-detail", detail);
        self.add_button(&fold, "jc-action", COPY, Text::CopyDetails);
    }

    /// Copies code and detail, when and where it was, and with what: what a study team asks for first.
    fn copy_details(&self, button: Element) {
        let text = |selector| {
            let element = self.0.screen.query_selector(selector).ok().flatten();
            element
                .and_then(|element| element.text_content())
                .unwrap_or_default()
        };
        let Some(window) = web_sys::window() else {
            return;
        };
        // Without the query, which may hold the invitation.
        let location = window.location();
        let origin = location.origin().unwrap_or_default();
        let path = location.pathname().unwrap_or_default();
        let lines = [
            &text(".jc-details code"),
            ": ",
            &text(".jc-detail"),
            "\n",
            &origin,
            &path,
            "\n",
            &String::from(js_sys::Date::new_0().to_iso_string()),
            "\njhe-connect ",
            env!("CARGO_PKG_VERSION"),
        ];
        let copied = write_clipboard(&lines.concat());
        let view = self.clone();
        platform::spawn(Box::pin(async move {
            let is_copied = match copied {
                Ok(copied) => JsFuture::from(copied).await.is_ok(),
                Err(_) => false,
            };
            let said = if is_copied {
                Text::Copied
            } else {
                Text::NotCopied
            };
            view.say_in(&button, said);
            view.announce(Some(said.into()));
        }));
    }

    // Elements.

    /// Adds an element with a text to another one.
    pub(crate) fn add(
        &self,
        parent: &Element,
        name: &str,
        class: &str,
        what: impl Into<Value>,
    ) -> Element {
        self.add_value(parent, name, class, what.into())
    }

    fn add_value(&self, parent: &Element, name: &str, class: &str, what: Value) -> Element {
        let element = self.element(parent, name, class);
        self.say(&element, Place::Content, what);
        element
    }

    /// Adds an element to another one.
    pub(crate) fn element(&self, parent: &Element, name: &str, class: &str) -> Element {
        let element = added(parent, self.0.document.create_element(name));
        if !class.is_empty() {
            element.set_class_name(class);
        }
        element
    }

    /// Adds a piece of a drawing to another one, or the drawing itself.
    pub(crate) fn drawn(&self, parent: &Element, name: &str) -> Element {
        const SVG: Option<&str> = Some("http://www.w3.org/2000/svg");
        added(parent, self.0.document.create_element_ns(SVG, name))
    }

    /// In words, in the language of this moment: for what does not stand on the page.
    pub(crate) fn words(&self, value: &Value) -> String {
        self.0.speech.borrow().say(value)
    }

    /// Listens for as long as the view is there.
    pub(crate) fn keep(&self, listener: Listener) {
        self.0.listeners.borrow_mut().push(listener);
    }

    /// Says something else in an element.
    pub(crate) fn say_in(&self, element: &Element, what: impl Into<Value>) {
        self.replace_in(element, what.into());
    }

    fn replace_in(&self, element: &Element, what: Value) {
        let mut said = self.0.said.borrow_mut();
        if let Some(said) = said.iter_mut().find(|said| said.element == *element) {
            // What does not change is not announced again.
            if said.value != what {
                said.value = what;
                write(&self.0.speech.borrow(), said);
            }
            return;
        }
        drop(said);
        self.say(element, Place::Content, what);
    }

    /// Names an element that shows no name.
    pub(crate) fn label(&self, element: &Element, what: impl Into<Value>) {
        self.say(element, Place::Attribute("aria-label"), what.into());
    }

    fn say(&self, element: &Element, place: Place, value: Value) {
        let said = Said {
            element: element.clone(),
            place,
            value,
        };
        write(&self.0.speech.borrow(), &said);
        // A name or an answer is the same in every language.
        if !matches!(said.value, Value::Text(_)) {
            self.0.said.borrow_mut().push(said);
        }
    }

    fn forget(&self, element: &Element) {
        self.keep_said(&|said| said.element != *element);
    }

    /// What is not on the page any more need not be said again.
    fn forget_unseen(&self) {
        self.keep_said(&|said| said.element.is_connected());
    }

    fn keep_said(&self, is_kept: &dyn Fn(&Said) -> bool) {
        self.0.said.borrow_mut().retain(is_kept);
    }

    /// Listens to all that the patient does with buttons.
    fn listen_to_acts(&self) {
        let view = self.clone();
        let clicked = move |event: Event| {
            let target = event.target().and_then(|target| target.dyn_into().ok());
            let button = target.and_then(|target: Element| target.closest("button").ok()?);
            if let Some(button) = button {
                view.pressed(&button);
            }
        };
        self.keep(Listener::on(Some(&self.0.root), "click", Box::new(clicked)));
    }

    /// Listens to another language.
    fn listen_to_texts(&self) {
        let view = self.clone();
        let told = move |event: Event| {
            let event = event.dyn_into::<CustomEvent>().ok();
            let texts = event.and_then(|event| event.detail().as_string());
            view.speak(&texts.unwrap_or_default());
        };
        self.keep(Listener::on(Some(&self.0.hub), TEXTS, Box::new(told)));
    }

    /// Hears no more when another module takes the element over.
    fn listen_to_the_next(&self) {
        let view = self.clone();
        let taken = move |_| drop(view.0.listeners.take());
        self.keep(Listener::on(Some(&self.0.hub), TAKEN_OVER, Box::new(taken)));
    }

    fn pressed(&self, button: &Element) {
        if button.class_name() == "jc-language" {
            self.call(SPEAK, &button.get_attribute("lang").unwrap_or_default());
        }
        let name = button.get_attribute(ACT).unwrap_or_default();
        if name == COPY {
            self.copy_details(button.clone());
        }
        if let Some(act) = Act::ALL.iter().find(|act| act.name() == name) {
            let place = button.get_attribute(PLACE);
            self.0.acts.borrow_mut().push(match (*act, place) {
                (Act::Hospital(_), Some(place)) => {
                    Act::Hospital(whole_number(&place).unwrap_or(u64::MAX) as usize)
                }
                (act, _) => act,
            });
            if let Some(waker) = self.0.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The attribute that names the screen.
const SCREEN: &str = "data-jhe-connect-screen";
/// The attribute that says to scripts what went wrong.
const CODE: &str = "data-jhe-connect-code";
/// The attribute that says what a button is for.
const ACT: &str = "data-jc-action";
/// The attribute that says which of several hospitals it goes to.
const PLACE: &str = "data-jc-place";
const COPY: &str = "copy-details";
/// The event by which another language is asked for.
const SPEAK: &str = "jhe-connect-language";
/// The event by which its texts come.
const TEXTS: &str = "jhe-connect-speak";
/// The event that asks the page's script for what the page is complete without.
const BESIDE: &str = "jhe-connect-beside";
/// The event by which a view tells those before it that it has taken their place.
const TAKEN_OVER: &str = "jhe-connect-taken-over";

/// A new element, in its place.
fn added(parent: &Element, element: Result<Element, JsValue>) -> Element {
    match element {
        Ok(element) => {
            // Fails only for what can't hold an element.
            let _ = parent.append_child(&element);
            element
        }
        // Only for a name that no element has: what would stand in it stands around it.
        Err(_) => parent.clone(),
    }
}

fn write(speech: &Speech, said: &Said) {
    let text = speech.say(&said.value);
    match said.place {
        Place::Content => said.element.set_text_content(Some(&text)),
        Place::Attribute(name) => set(&said.element, name, &text),
    }
}

#[wasm_bindgen]
extern "C" {
    // Missing outside secure contexts, and in old browsers.
    #[wasm_bindgen(js_namespace = ["navigator", "clipboard"], js_name = writeText, catch)]
    fn write_clipboard(text: &str) -> Result<js_sys::Promise, JsValue>;
}

/// JHE's pages have neither a language nor a viewport, and say no character set: a phone would lay them out 980 pixels wide.
fn set_what_is_missing(document: &Document) {
    for (selector, attributes) in [
        (
            "meta[name=viewport]",
            [
                ("name", "viewport"),
                ("content", "width=device-width, initial-scale=1"),
            ]
            .as_slice(),
        ),
        ("meta[charset]", [("charset", "utf-8")].as_slice()),
    ] {
        if let (Ok(None), Some(head)) = (document.query_selector(selector), document.head())
            && let Ok(meta) = document.create_element("meta")
        {
            for (name, value) in attributes {
                set(&meta, name, value);
            }
            // Without it the page is small, not wrong.
            let _ = head.append_child(&meta);
        }
    }
}

/// Has an element read aloud, and brings it into sight.
pub(crate) fn focus(element: &Element) {
    set(element, "tabindex", "-1");
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        // Fails only for what can't have the focus.
        let _ = element.focus();
    }
}

pub(crate) fn set(element: &Element, name: &str, value: &str) {
    // Fails only for a name that is no attribute name.
    let _ = element.set_attribute(name, value);
}
