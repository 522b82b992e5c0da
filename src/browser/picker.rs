//! The list of hospitals on the connect page: it draws what the search says, and tells it what the patient does.
//!
//! An "editable combobox with list autocomplete" of the
//! [ARIA Authoring Practices](https://www.w3.org/WAI/ARIA/apg/patterns/combobox/): the focus stays in the field.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Poll, Waker};

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Event, HtmlDivElement, HtmlInputElement, KeyboardEvent};

use crate::browser::fetch::send;
use crate::browser::location;
use crate::browser::pages::log;
use crate::browser::platform::{Listener, Timer, now};
use crate::browser::view::{View, set};
use crate::error::{Error, Failure};
use crate::exchange::brands::{Brand, BrandsError};
use crate::exchange::jhe::JheSession;
use crate::http::Answer;
use crate::language::{Text, Value};
use crate::picker::{Action, Picker, Ticket};
use crate::remedy::Remedy;
use crate::screen::{Part, after_error};
use crate::screens;
use crate::text::number;

/// Lets the patient pick one of the hospitals that JHE knows at `path`, in the elements that the page hands over or in
/// new ones.
pub(crate) async fn pick(
    view: &View,
    handed: &JsValue,
    jhe: Rc<JheSession>,
    path: &'static str,
) -> Result<Brand, Failure> {
    if let Some(container) = usable(handed) {
        view.stand_before(&container);
    }
    view.show(&screens::choosing());
    let query = location::kept_query();
    let search = Rc::new(Search {
        picker: RefCell::new(Picker::new(jhe, path, &query)),
        has_changed: Cell::new(false),
        waker: Cell::new(None),
    });
    let mut combobox = Combobox::new(view, handed, &query, &search);
    let end = combobox.perform(&search).await;
    combobox.close();
    Ok(end?)
}

/// The search, shared with the listeners.
struct Search {
    picker: RefCell<Picker>,
    /// Did something happen that was not looked at yet?
    has_changed: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Search {
    /// Tells the search what the patient did.
    fn tell(&self, act: &mut dyn FnMut(&mut Picker)) {
        // It is lent only while it is drawn, and then nobody does anything.
        if let Ok(mut picker) = self.picker.try_borrow_mut() {
            act(&mut picker);
        }
        self.look();
    }

    /// Has the search looked at.
    fn look(&self) {
        self.has_changed.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

type UnderWay = Pin<Box<dyn Future<Output = (Ticket, Answer)>>>;

/// The elements on the page.
struct Combobox<'a> {
    view: &'a View,
    container: Element,
    input: HtmlInputElement,
    results: Element,
    status: Element,
    list: Element,
    trouble: Element,
    missing: Element,
    _listeners: [Listener; 4],
    /// What is drawn: the list of this revision, each row with its listener.
    revision: u32,
    rows: Vec<(Element, Listener)>,
    again: Option<Listener>,
}

const LIST: &str = "jc-options";

impl<'a> Combobox<'a> {
    fn new(view: &'a View, handed: &JsValue, query: &str, search: &Rc<Search>) -> Self {
        let container = match usable(handed) {
            Some(container) => {
                mark_as(&container, "jc-card");
                container
            }
            None => view.place(""),
        };
        let is_inside = |element: &Element| container.contains(Some(element));
        let results = part::<HtmlDivElement>(handed, "results").map(Element::from);
        let results = match results.filter(is_inside) {
            Some(results) => results,
            None => view.element(&container, "div", ""),
        };
        let input = part::<HtmlInputElement>(handed, "input").map(Element::from);
        let input = match input.filter(is_inside) {
            Some(input) => input,
            None => {
                let input = view.element(&container, "input", "");
                stand_before(&results, &input);
                input
            }
        };
        let input = input.unchecked_into::<HtmlInputElement>();
        if input.id().is_empty() {
            set(&input, "id", "jc-search");
        }
        let is_labelled = input.labels().is_some_and(|labels| labels.length() > 0);
        if !is_labelled && !input.has_attribute("aria-label") {
            let label = view.add(&container, "label", "jc-label", Text::PickerLabel);
            set(&label, "for", &input.id());
            stand_before(&input, &label);
        }
        for (name, value) in [
            // A field of the type `search` may not be a combobox (ARIA in HTML §4).
            ("type", "text"),
            ("role", "combobox"),
            ("aria-autocomplete", "list"),
            ("aria-controls", LIST),
            ("autocomplete", "off"),
            ("autocorrect", "off"),
            ("autocapitalize", "off"),
            ("spellcheck", "false"),
            ("inputmode", "search"),
            ("enterkeyhint", "search"),
        ] {
            set(&input, name, value);
        }
        // A browser may restore what a page looked like when it was left.
        mark(&input, "disabled", false);
        input.set_value(query);
        results.set_text_content(None);
        let status = view.element(&results, "p", "jc-found");
        set(&status, "role", "status");
        let list = view.element(&results, "div", LIST);
        set(&list, "id", LIST);
        set(&list, "role", "listbox");
        view.label(&list, Text::PickerList);
        let trouble = view.element(&results, "div", "jc-trouble");
        set(&trouble, "aria-live", "polite");
        let missing = view.element(&results, "details", "jc-missing");
        for (name, text) in [
            ("summary", Text::PickerMissing),
            ("p", Text::PickerMissingTry),
            ("p", Text::PickerMissingTeam),
        ] {
            view.add(&missing, name, "", text);
        }
        view.add_parts(&missing, &[Part::Help]);
        mark_as(&container, "jc-picker");
        mark_as(&input, "jc-search");
        show(&missing, false);
        show(&container, true);
        let listeners = listen(&input, search);
        Combobox {
            view,
            container,
            input,
            results,
            status,
            list,
            trouble,
            missing,
            _listeners: listeners,
            revision: 0,
            rows: Vec::new(),
            again: None,
        }
    }

    /// Performs the search to its end.
    async fn perform(&mut self, search: &Rc<Search>) -> Result<Brand, BrandsError> {
        let mut under_way: Option<UnderWay> = None;
        loop {
            let action = {
                let mut picker = search.picker.borrow_mut();
                let action = picker.next_action(now());
                self.draw(&picker, search);
                if matches!(action, Action::Ask(..)) {
                    location::keep_query(picker.query());
                }
                action
            };
            let mut _timer = None;
            match action {
                Action::Ask(ticket, request) => {
                    // The one before is given up by this.
                    under_way = Some(Box::pin(async move { (ticket, send(request).await) }));
                }
                Action::AwaitAnswer => {}
                Action::AwaitTime(until) => {
                    under_way = None;
                    let wait = u32::try_from(until.saturating_sub(now())).unwrap_or_default();
                    let search = Rc::clone(search);
                    _timer = Timer::new(wait, move || search.look());
                }
                Action::AwaitPatient => under_way = None,
                Action::End(end) => return end,
            }
            if let Some((ticket, answer)) = next(search, &mut under_way).await {
                under_way = None;
                search.picker.borrow_mut().finish(ticket, answer);
            }
        }
    }
}

impl Combobox<'_> {
    fn draw(&mut self, picker: &Picker, search: &Rc<Search>) {
        if self.revision != picker.revision() {
            self.revision = picker.revision();
            self.fill(picker, search);
        }
        let status = picker.status();
        self.view
            .say_in(&self.status, status.map_or("".into(), Value::from));
        show(&self.list, picker.is_expanded());
        set(&self.list, "aria-busy", truth(picker.is_searching()));
        set(&self.input, "aria-expanded", truth(picker.is_expanded()));
        let mut active = String::new();
        for (index, (row, _)) in self.rows.iter().enumerate() {
            let is_active = picker.active() == Some(index);
            set(row, "aria-selected", truth(is_active));
            if is_active {
                active = row.id();
                scroll_to(row);
            }
        }
        set(&self.input, "aria-activedescendant", &active);
    }

    /// Lists what was found, or tells why nothing can be listed. What JHE knows of a hospital goes in as text only.
    fn fill(&mut self, picker: &Picker, search: &Rc<Search>) {
        self.rows.clear();
        self.again = None;
        self.list.set_text_content(None);
        self.trouble.set_text_content(None);
        for (index, brand) in picker.brands().iter().enumerate() {
            let row = self.view.element(&self.list, "div", "jc-option");
            set(&row, "id", &["jc-option-", &number(index as u64)].concat());
            set(&row, "role", "option");
            for (class, text) in [
                ("jc-brand", &brand.name),
                ("jc-facility", &brand.facility),
                ("jc-address", &brand.address),
            ] {
                self.view.add(&row, "div", class, text.as_str());
            }
            let listener = on_click(&row, search, Box::new(move |picker| picker.pick(index)));
            self.rows.push((row, listener));
        }
        if let Some(error) = picker.failure() {
            let error = Error::from(error.clone());
            log(&error);
            let remedy = Remedy::of(&error);
            self.view.add_section(&self.trouble, remedy.heading);
            self.view.add(&self.trouble, "p", "", remedy.explanation);
            let (view, trouble) = (self.view, &self.trouble);
            let mut parts = after_error(&error, remedy.next_step);
            let for_help = parts.split_off(1);
            // What to do speaks of "the button below".
            view.add_parts(trouble, &parts);
            let button = view.add_button(trouble, "jc-action", "ask-again", Text::TryAgain);
            self.again = Some(on_click(&button, search, Box::new(Picker::hurry)));
            view.add_parts(trouble, &for_help);
        }
        show(&self.missing, picker.failure().is_none());
        mark(&self.missing, "open", picker.found_none());
    }

    /// The list goes, and the page's own elements with it.
    fn close(self) {
        self.results.set_text_content(None);
        show(&self.container, false);
    }
}

/// The element that the page keeps for all of it.
fn usable(handed: &JsValue) -> Option<Element> {
    let container = part::<HtmlDivElement>(handed, "container");
    let container = container.filter(|container| container.is_connected());
    container.map(Element::from)
}

/// What the page hands over under this name, if it can be used.
fn part<T: JsCast>(handed: &JsValue, name: &str) -> Option<T> {
    // Fails where nothing was handed over.
    Reflect::get(handed, &name.into()).ok()?.dyn_into().ok()
}

fn listen(input: &HtmlInputElement, search: &Rc<Search>) -> [Listener; 4] {
    let (field, typing) = (input.clone(), Rc::clone(search));
    let typed = move |_| typing.tell(&mut |picker| picker.type_in(&field.value(), now()));
    let pressing = Rc::clone(search);
    let pressed = move |event: Event| {
        // Browsers that fill in a field send this event without a key. Letters that are being composed of several
        // keys are not there yet.
        if let Some(event) = event.dyn_ref::<KeyboardEvent>()
            && !event.is_composing()
        {
            pressing.tell(&mut |picker| {
                if picker.press(&event.key()) {
                    event.prevent_default();
                }
            });
        }
    };
    let returning = Rc::clone(search);
    let online = move |_| returning.tell(&mut Picker::hurry);
    [
        Listener::on(Some(input), "input", Box::new(typed)),
        Listener::on(Some(input), "keydown", Box::new(pressed)),
        on_click(input, search, Box::new(Picker::open)),
        Listener::new("online", online),
    ]
}

fn on_click(
    element: &Element,
    search: &Rc<Search>,
    mut act: Box<dyn FnMut(&mut Picker)>,
) -> Listener {
    let search = Rc::clone(search);
    let clicked = move |_| search.tell(&mut act);
    Listener::on(Some(element), "click", Box::new(clicked))
}

/// Waits until the question under way is answered, or something else happens.
async fn next(search: &Search, under_way: &mut Option<UnderWay>) -> Option<(Ticket, Answer)> {
    poll_fn(|context| {
        if let Some(task) = under_way
            && let Poll::Ready(finished) = task.as_mut().poll(context)
        {
            return Poll::Ready(Some(finished));
        }
        if search.has_changed.take() {
            return Poll::Ready(None);
        }
        search.waker.set(Some(context.waker().clone()));
        Poll::Pending
    })
    .await
}

fn show(element: &Element, is_shown: bool) {
    mark(element, "hidden", !is_shown);
}

fn mark(element: &Element, name: &str, is_marked: bool) {
    // Fails only for a name that is no attribute name.
    let _ = element.toggle_attribute_with_force(name, is_marked);
}

/// Gives an element one more class.
fn mark_as(element: &Element, class: &str) {
    // Fails only for what can't be a class.
    let _ = element.class_list().add_1(class);
}

fn stand_before(element: &Element, other: &Element) {
    // Fails only where there is no parent.
    let _ = element.before_with_node_1(other);
}

fn truth(is: bool) -> &'static str {
    match is {
        true => "true",
        false => "false",
    }
}

/// Brings an element into view, if it is not, by the shortest way.
fn scroll_to(element: &Element) {
    let options = Object::new();
    // Fails only for an object that was frozen.
    let _ = Reflect::set(&options, &"block".into(), &"nearest".into());
    element
        .unchecked_ref::<Scrolled>()
        .scroll_into_view(&options);
}

#[wasm_bindgen]
extern "C" {
    type Scrolled;
    // `web-sys` has it with a dictionary that weighs more than this.
    #[wasm_bindgen(method, js_name = scrollIntoView)]
    fn scroll_into_view(this: &Scrolled, options: &JsValue);
}
