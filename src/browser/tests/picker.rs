//! The list of hospitals, operated as a patient does, with a JHE that answers when a test wants it to.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{
    AbortSignal, Element, Event, EventInit, HtmlElement, HtmlInputElement, KeyboardEvent,
    KeyboardEventInit, Request, Response, ResponseInit,
};

use super::{root, window};
use crate::browser::picker::pick;
use crate::browser::platform;

use crate::error::Failure;
use crate::exchange::brands::Brand;
use crate::exchange::jhe::testing::jhe;

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

/// One question of the page.
struct Asked {
    query: String,
    signal: AbortSignal,
    answer: Function,
    fail: Function,
}

impl Asked {
    fn answer(&self, status: u16, body: &str) {
        let init = ResponseInit::new();
        init.set_status(status);
        let response = Response::new_with_opt_str_and_init(Some(body), &init).unwrap();
        self.answer.call1(&JsValue::NULL, &response).unwrap();
    }

    fn list(&self, names: &[&str]) {
        let row = |(number, name): (usize, &&str)| {
            serde_json::json!({
                "brandName": name, "facilityName": HOSTILE, "addressText": "1 Main St, Town",
                "fhirBaseUrl": alloc::format!("https://ehr.example/{number}/"),
            })
        };
        let rows: Vec<_> = names.iter().enumerate().map(row).collect();
        self.answer(200, &serde_json::json!({ "results": rows }).to_string());
    }

    fn fail(&self) {
        let error = js_sys::TypeError::new("Failed to fetch");
        self.fail.call1(&JsValue::NULL, &error).unwrap();
    }
}

type Fetch = Closure<dyn FnMut(Request) -> Promise>;

/// The page with its list, from the first question on.
struct Page {
    root: Element,
    asked: Rc<RefCell<Vec<Asked>>>,
    end: Rc<RefCell<Option<Result<Brand, Failure>>>>,
    original: JsValue,
    _fetch: Fetch,
}

impl Page {
    async fn open() -> Self {
        Page::with(JsValue::UNDEFINED).await
    }

    async fn with(handed: JsValue) -> Self {
        let asked = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&asked);
        let fetch = Fetch::new(move |request: Request| {
            let url = request.url();
            let (_, query) = url.split_once("?q=").unwrap();
            let query = crate::text::percent_decode(query);
            let signal = request.signal();
            Promise::new(&mut |answer, fail| {
                let (query, signal) = (query.clone(), signal.clone());
                log.borrow_mut().push(Asked {
                    query,
                    signal,
                    answer,
                    fail,
                });
            })
        });
        let original = Reflect::get(&window(), &"fetch".into()).unwrap();
        Reflect::set(&window(), &"fetch".into(), fetch.as_ref()).unwrap();
        let root = root();
        let view = super::view(&root, "en");
        let end = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&end);
        platform::spawn(Box::pin(async move {
            let end = pick(&view, &handed, Rc::new(jhe()), "brands").await;
            slot.replace(Some(end));
        }));
        let page = Page {
            root,
            asked,
            end,
            original,
            _fetch: fetch,
        };
        page.until(|page| page.count() == 1).await;
        page
    }

    /// Lets the page go on until this holds.
    async fn until(&self, holds: impl Fn(&Page) -> bool) {
        for _ in 0..2_000 {
            if holds(self) {
                return;
            }
            platform::pause(1).await.unwrap();
        }
        panic!("it never holds: {:?}", self.root.text_content());
    }

    fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    /// The newest question.
    fn newest<T>(&self, act: impl FnOnce(&Asked) -> T) -> T {
        act(self.asked.borrow().last().unwrap())
    }

    async fn lists(&self, names: &[&str]) {
        self.newest(|asked| asked.list(names));
        self.until(|page| page.options().len() == names.len()).await;
    }

    fn find(&self, selector: &str) -> Option<Element> {
        let document = window().document().unwrap();
        document.query_selector(selector).unwrap()
    }

    fn input(&self) -> HtmlInputElement {
        self.find("[role=combobox]").unwrap().unchecked_into()
    }

    fn is(&self, selector: &str, attribute: &str, value: &str) -> bool {
        let found = self.find(selector).unwrap().get_attribute(attribute);
        found.as_deref() == Some(value)
    }

    fn options(&self) -> Vec<HtmlElement> {
        let document = window().document().unwrap();
        let options = document.query_selector_all("[role=option]").unwrap();
        let options = (0..options.length()).filter_map(|index| options.item(index));
        options.map(JsCast::unchecked_into).collect()
    }

    fn type_in(&self, text: &str) {
        self.input().set_value(text);
        self.input()
            .dispatch_event(&Event::new("input").unwrap())
            .unwrap();
    }

    /// `true` if the field is not to see the key.
    fn press(&self, key: &str) -> bool {
        let init = KeyboardEventInit::new();
        init.set_key(key);
        init.set_cancelable(true);
        let event = KeyboardEvent::new_with_keyboard_event_init_dict("keydown", &init).unwrap();
        !self.input().dispatch_event(&event).unwrap()
    }

    fn status(&self) -> String {
        self.find(".jc-found").unwrap().text_content().unwrap()
    }

    async fn picked(&self) -> Brand {
        self.until(|page| page.end.borrow().is_some()).await;
        self.end.take().unwrap().unwrap()
    }
}

/// A page that is left in the middle has its own end; the next one begins with the browser's own network.
impl Drop for Page {
    fn drop(&mut self) {
        let _ = Reflect::set(&window(), &"fetch".into(), &self.original);
        let _ = window()
            .history()
            .unwrap()
            .replace_state(&JsValue::NULL, "");
        if let Some(picker) = self.find(".jc-picker") {
            picker.remove();
        }
        self.root.remove();
    }
}

#[wasm_bindgen_test]
async fn hospitals_are_listed_and_their_names_are_text_only() {
    let page = Page::open().await;
    assert!(page.is("[role=combobox]", "aria-expanded", "false"));
    assert_eq!(page.status(), "Searching…");
    page.lists(&[HOSTILE, "Mercy"]).await;
    assert!(page.find("img").is_none());
    let first = page.options()[0].text_content().unwrap();
    assert!(
        first.contains(HOSTILE) && first.contains("1 Main St, Town"),
        "{first}"
    );
    assert!(page.is("[role=combobox]", "aria-expanded", "true"));
    let list = page.input().get_attribute("aria-controls").unwrap();
    assert!(page.is("[role=listbox]", "id", &list));
    assert!(page.is("#jc-option-1", "aria-selected", "false"));
    assert_eq!(page.status(), "2 hospitals found.");
    assert!(page.is("[data-jhe-connect]", "data-jhe-connect", "choosing"));
    assert_eq!(page.input().labels().unwrap().length(), 1);
}

#[wasm_bindgen_test]
async fn a_hospital_is_picked_with_the_keyboard() {
    let page = Page::open().await;
    page.lists(&["Grace", "Mercy"]).await;
    assert!(!page.press("Home") && !page.press("m"));
    for row in ["jc-option-0", "jc-option-1", "jc-option-0"] {
        assert!(page.press("ArrowDown"));
        page.until(|page| page.is("[role=combobox]", "aria-activedescendant", row))
            .await;
        assert!(page.is(&["#", row].concat(), "aria-selected", "true"));
    }
    assert!(page.press("Escape"));
    page.until(|page| page.is("[role=combobox]", "aria-expanded", "false"))
        .await;
    assert!(page.is("[role=combobox]", "aria-activedescendant", ""));
    assert!(page.press("ArrowUp") && page.press("Enter"));
    let brand = page.picked().await;
    assert_eq!(brand.fhir_base_url, "https://ehr.example/1/");
    assert!(page.options().is_empty());
    assert_eq!(page.input().offset_height(), 0);
}

#[wasm_bindgen_test]
async fn a_hospital_is_picked_with_a_click_on_any_part_of_it() {
    let page = Page::open().await;
    page.lists(&["Grace", "Mercy"]).await;
    let address = page.options()[0].query_selector(".jc-address").unwrap();
    address.unwrap().unchecked_into::<HtmlElement>().click();
    assert_eq!(page.picked().await.name, "Grace");
}

#[wasm_bindgen_test]
async fn a_question_that_is_superseded_is_aborted() {
    let page = Page::open().await;
    page.type_in("m");
    page.until(|page| page.asked.borrow()[0].signal.aborted())
        .await;
    page.type_in("mercy");
    page.until(|page| page.count() == 2).await;
    page.newest(|asked| assert_eq!(asked.query, "mercy"));
    assert!(page.newest(|asked| !asked.signal.aborted()));
    page.lists(&["Mercy"]).await;
    assert_eq!(page.status(), "1 hospital found.");
}

#[wasm_bindgen_test]
async fn none_found_is_told_with_a_way_on() {
    let page = Page::open().await;
    page.lists(&["Mercy"]).await;
    assert!(!page.find(".jc-missing").unwrap().has_attribute("open"));
    page.type_in("zz");
    page.press("Enter");
    page.until(|page| page.count() == 2).await;
    page.lists(&[]).await;
    page.until(|page| page.status() == "No hospital found for “zz”.")
        .await;
    let missing = page.find(".jc-missing").unwrap();
    assert!(missing.has_attribute("open") && !missing.has_attribute("hidden"));
    assert!(
        missing
            .text_content()
            .unwrap()
            .contains("Nothing was shared")
    );
}

#[wasm_bindgen_test]
async fn what_failed_is_asked_again() {
    let page = Page::open().await;
    page.newest(Asked::fail);
    page.until(|page| page.find(".jc-trouble button").is_some())
        .await;
    let trouble = page.find(".jc-trouble").unwrap().text_content().unwrap();
    assert!(trouble.contains("brands.unreachable"), "{trouble}");
    assert!(page.options().is_empty() && page.end.borrow().is_none());
    let again = page.find(".jc-trouble button").unwrap();
    again.unchecked_into::<HtmlElement>().click();
    page.until(|page| page.count() == 2).await;
    page.newest(|asked| asked.answer(503, "busy"));
    page.until(|page| {
        let trouble = page.find(".jc-trouble").unwrap().text_content();
        trouble.is_some_and(|text| text.contains("brands.refused"))
    })
    .await;
    window()
        .dispatch_event(&Event::new("online").unwrap())
        .unwrap();
    page.until(|page| page.count() == 3).await;
    page.lists(&["Mercy"]).await;
    assert!(page.find(".jc-trouble button").is_none());
}

#[wasm_bindgen_test]
async fn a_session_that_is_over_is_not_none_found() {
    let page = Page::open().await;
    page.newest(|asked| asked.answer(401, "{}"));
    page.until(|page| page.end.borrow().is_some()).await;
    let error = page.end.take().unwrap().unwrap_err().0;
    assert_eq!(error.code(), "jhe.session_expired");
    assert!(page.find(".jc-picker").unwrap().has_attribute("hidden"));
}

#[wasm_bindgen_test]
async fn what_was_typed_is_there_again_and_in_the_history_only() {
    let before = window().location().href().unwrap();
    let page = Page::open().await;
    page.type_in("mercy ");
    page.until(|page| page.count() == 2).await;
    page.lists(&["Mercy"]).await;
    assert_eq!(window().location().href().unwrap(), before);
    let state = window().history().unwrap().state().unwrap();
    assert!(state.is_object());
    page.options()[0].click();
    page.picked().await;
    drop(page);
    // As after a reload.
    window()
        .history()
        .unwrap()
        .replace_state(&state, "")
        .unwrap();
    let page = Page::open().await;
    assert_eq!(page.input().value(), "mercy");
    page.newest(|asked| assert_eq!(asked.query, "mercy"));
    assert!(!page.input().disabled());
}

#[wasm_bindgen_test]
async fn what_others_keep_in_the_history_stays() {
    let state = Object::new();
    Reflect::set(&state, &"theirs".into(), &7.into()).unwrap();
    window()
        .history()
        .unwrap()
        .replace_state(&state, "")
        .unwrap();
    let _page = Page::open().await;
    let state = window().history().unwrap().state().unwrap();
    assert_eq!(Reflect::get(&state, &"theirs".into()).unwrap(), 7);
}

/// Elements as JHE's page has them, each of the kind that is named.
fn handed([container, input, results]: [&str; 3]) -> (JsValue, Element) {
    let document = window().document().unwrap();
    let element = |kind| document.create_element(kind).unwrap();
    let (container, input, results) = (element(container), element(input), element(results));
    container.set_attribute("hidden", "").unwrap();
    input.set_id("hospital-search");
    results.set_text_content(Some("left over"));
    container.append_child(&input).unwrap();
    container.append_child(&results).unwrap();
    document.body().unwrap().append_child(&container).unwrap();
    let handed = Object::new();
    for (name, element) in [
        ("container", &container),
        ("input", &input),
        ("results", &results),
    ] {
        Reflect::set(&handed, &name.into(), element).unwrap();
    }
    (handed.into(), container)
}

#[wasm_bindgen_test]
async fn the_elements_of_jhes_page_are_used() {
    let (handed, container) = handed(["div", "input", "div"]);
    let page = Page::with(handed).await;
    assert!(!container.has_attribute("hidden"));
    assert_eq!(page.input().id(), "hospital-search");
    page.lists(&["Grace", "Mercy"]).await;
    assert!(container.contains(page.find("[role=listbox]").as_deref()));
    assert!(!container.text_content().unwrap().contains("left over"));
    assert!(page.root.query_selector(".jc-picker").unwrap().is_none());
    page.options()[1].click();
    assert_eq!(page.picked().await.name, "Mercy");
    assert!(container.has_attribute("hidden"));
}

#[wasm_bindgen_test]
async fn elements_that_cannot_be_used_are_made_anew() {
    for kinds in [
        ["div", "select", "div"],
        ["div", "input", "ul"],
        ["ul", "input", "div"],
        ["div", "div", "table"],
    ] {
        let (handed, _) = handed(kinds);
        let page = Page::with(handed).await;
        page.lists(&["Mercy"]).await;
        let row = page.options()[0].clone();
        assert!(row.offset_height() > 0, "{kinds:?}: not to be seen");
        assert!(page.input().offset_height() > 0, "{kinds:?}: no field");
        row.click();
        assert_eq!(page.picked().await.name, "Mercy");
    }
    let nothing = Object::new();
    Reflect::set(&nothing, &"container".into(), &JsValue::NULL).unwrap();
    let page = Page::with(nothing.into()).await;
    assert!(page.root.contains(page.find("[role=combobox]").as_deref()));
}

#[wasm_bindgen_test]
async fn the_field_suits_the_keyboard_of_a_phone_and_remembers_nothing() {
    let page = Page::open().await;
    for (name, value) in [
        ("autocomplete", "off"),
        ("spellcheck", "false"),
        ("enterkeyhint", "search"),
        ("inputmode", "search"),
        ("aria-autocomplete", "list"),
    ] {
        assert!(page.is("[role=combobox]", name, value), "{name}");
    }
    let event = Event::new_with_event_init_dict("keydown", &EventInit::new()).unwrap();
    // Browsers that fill in a field send one without a key.
    page.input().dispatch_event(&event).unwrap();
}
