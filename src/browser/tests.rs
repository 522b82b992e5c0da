//! The edge in a real browser: storage, network, address bar and view.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{CustomEvent, CustomEventInit, Element, HtmlElement};

use crate::browser::formats::BrowserFormats;
use crate::browser::storage::TabStore;
use crate::browser::view::View;
use crate::browser::{fetch, location, platform};
use crate::config::PageConfig;
use crate::error::Error;
use crate::exchange::source::SourceError;
use crate::http::{HttpRequest, TransportError};
use crate::language::testing::FILES;
use crate::language::{Formats, SECTIONS, Text, compiled};
use crate::screen::{Act, Part, Screen};
use crate::screens::{self, Found};
use crate::session::suite;
use crate::url::Url;

wasm_bindgen_test_configure!(run_in_browser);

mod identity;
mod picker;
mod receipt;
mod sign_in;

fn window() -> web_sys::Window {
    web_sys::window().unwrap()
}

/// An element for a view. There is one at a time: what another test left is gone.
fn root() -> Element {
    let document = window().document().unwrap();
    // The runner's own have ids.
    let any = ".jhe-connect, body > pre:not([id])";
    while let Some(left) = document.query_selector(any).unwrap() {
        left.remove();
    }
    let root = document.create_element("pre").unwrap();
    document.body().unwrap().append_child(&root).unwrap();
    root
}

#[wasm_bindgen_test]
fn the_tabs_storage_passes_the_suite() {
    suite::a_store_keeps_replaces_and_removes(&TabStore::open().unwrap());
}

#[wasm_bindgen_test]
fn every_sign_in_gets_fresh_randomness() {
    let (first, second) = (platform::entropy().unwrap(), platform::entropy().unwrap());
    assert_ne!(first, second);
    assert!(first.as_flattened().iter().any(|octet| *octet != 0));
    assert!(platform::now() > 1_700_000_000_000);
}

#[wasm_bindgen_test]
fn what_all_tabs_share_passes_the_suite() {
    suite::a_store_keeps_replaces_and_removes(&TabStore::shared().unwrap());
}

#[wasm_bindgen_test]
async fn a_lock_is_given_once_until_it_is_let_go() {
    let lock = platform::Lock::take("jhe-connect test").await;
    assert!(lock.is_some());
    assert!(platform::Lock::take("jhe-connect test").await.is_none());
    assert!(platform::Lock::take("jhe-connect other").await.is_some());
    drop(lock);
    // Letting go takes effect when the browser comes to it.
    for _ in 0..1000 {
        if platform::Lock::take("jhe-connect test").await.is_some() {
            return;
        }
        platform::pause(1).await.unwrap();
    }
    panic!("the lock is not let go");
}

#[wasm_bindgen_test]
fn leaving_is_asked_about_only_while_it_would_interrupt() {
    let is_asked = || {
        let init = web_sys::EventInit::new();
        init.set_cancelable(true);
        let event = web_sys::Event::new_with_event_init_dict("beforeunload", &init).unwrap();
        !window().dispatch_event(&event).unwrap()
    };
    assert!(!is_asked());
    let asks = platform::ask_before_leaving();
    assert!(is_asked());
    drop(asks);
    assert!(!is_asked());
}

#[wasm_bindgen_test]
async fn an_answer_is_read_with_status_and_body() {
    let page = location::own().unwrap();
    let answer = fetch::send(HttpRequest::get(page, "text/html"))
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.content_type.contains("html"));
    assert!(!answer.body.is_empty());
}

#[wasm_bindgen_test]
async fn of_an_answer_whose_head_is_enough_no_body_is_read() {
    let page = location::own().unwrap();
    let request = HttpRequest::get(page, "text/html").with_head_only();
    let answer = fetch::send(request).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty());
}

#[wasm_bindgen_test]
async fn an_answer_is_read_up_to_its_limit_and_not_beyond() {
    let limit = fetch::Limit::new(60_000).unwrap();
    for (text, octets, expected) in [
        (Some("0123456789"), 10, Ok(&b"0123456789"[..])),
        (Some("0123456789"), 9, Err(TransportError::TooLong)),
        (Some(""), 0, Ok(b"")),
        // What can't have a body, as a 204.
        (None, 0, Ok(b"")),
    ] {
        let response = web_sys::Response::new_with_opt_str(text).unwrap();
        let read = fetch::read(&response.into(), octets, &limit).await;
        assert_eq!(read.as_deref(), expected.as_ref().map(|octets| *octets));
    }
}

#[wasm_bindgen_test]
async fn an_answer_that_comes_in_many_pieces_is_read_as_a_whole() {
    let text: String = (0..100_000_u32)
        .map(|number| format!("{number} "))
        .collect();
    let limit = fetch::Limit::new(60_000).unwrap();
    let response = web_sys::Response::new_with_opt_str(Some(&text)).unwrap();
    let read = fetch::read(&response.into(), 1_000_000, &limit).await;
    assert!(read.is_ok_and(|read| read == text.as_bytes()));
}

#[wasm_bindgen_test]
async fn a_server_that_is_not_there_is_unreachable() {
    let url = Url::parse("http://localhost:1/").unwrap();
    let answer = fetch::send(HttpRequest::get(url, "*/*")).await;
    assert_eq!(answer.err(), Some(TransportError::Unreachable));
}

#[wasm_bindgen_test]
async fn a_header_value_that_is_none_sends_nothing() {
    let page = location::own().unwrap();
    let request = HttpRequest::get(page, "*/*").with_header("X-Test", "a\nb".into());
    assert_eq!(
        fetch::send(request).await.err(),
        Some(TransportError::Unreachable)
    );
}

#[wasm_bindgen_test]
async fn a_request_is_ended_when_its_time_has_passed() {
    let limit = fetch::Limit::new(1).unwrap();
    let aborted = Promise::new(&mut |resolve, _| {
        limit
            .signal
            .add_event_listener_with_callback("abort", &resolve)
            .unwrap();
    });
    JsFuture::from(aborted).await.unwrap();
    assert_eq!(
        limit.failure(TransportError::Unreachable),
        TransportError::TimedOut
    );
}

#[wasm_bindgen_test]
async fn a_request_that_nobody_waits_for_is_aborted() {
    let limit = fetch::Limit::new(60_000).unwrap();
    let signal = limit.signal.clone();
    assert!(!signal.aborted());
    drop(limit);
    assert!(signal.aborted());
}

#[wasm_bindgen_test]
async fn a_timer_that_is_dropped_does_not_fire() {
    let has_fired = Rc::new(Cell::new(false));
    let flag = Rc::clone(&has_fired);
    drop(platform::Timer::new(0, move || flag.set(true)));
    let later = Promise::new(&mut |resolve, _| {
        window()
            .set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 5)
            .unwrap();
    });
    JsFuture::from(later).await.unwrap();
    assert!(!has_fired.get());
}

#[wasm_bindgen_test]
fn the_address_bar_keeps_no_answer() {
    let history = window().history().unwrap();
    let before = window().location().href().unwrap();
    history
        .replace_state_with_url(&JsValue::NULL, "", Some("?tab=1&code=SECRET&state=x"))
        .unwrap();
    location::scrub(&location::own().unwrap());
    let after = window().location().href().unwrap();
    history
        .replace_state_with_url(&JsValue::NULL, "", Some(&before))
        .unwrap();
    assert!(after.ends_with("?tab=1"), "{after}");
}

/// A view in an element, in this language.
fn view(root: &Element, tag: &str) -> View {
    View::new(root.clone(), &texts(tag)).unwrap()
}

/// A language as the bundle has it, for a module that says everything.
fn texts(tag: &str) -> String {
    let (_, source) = FILES.iter().find(|(file, _)| *file == tag).unwrap();
    let sections: Vec<_> = SECTIONS.iter().map(|(name, _)| *name).collect();
    let choice = FILES.map(|(tag, _)| (tag.to_owned(), tag.to_uppercase()));
    compiled(source, tag, &choice, "m", &sections).unwrap()
}

fn text(root: &Element, selector: &str) -> String {
    let element = root.query_selector(selector).unwrap().unwrap();
    element.text_content().unwrap()
}

#[wasm_bindgen_test]
fn text_of_servers_is_shown_as_text_only() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>";
    let root = root();
    let view = view(&root, "en");
    view.names_portal(HOSTILE.into());
    let error = SourceError::Refused(HOSTILE.into()).into();
    let screen = Screen::of_error(&error, None)
        .with(Part::List(alloc::vec![HOSTILE.into()]))
        .with(Part::Facts(alloc::vec![(Text::Study, HOSTILE.into())]));
    view.show(&screen);
    view.announce(Some(HOSTILE.into()));
    for tag in ["img", "script"] {
        assert!(root.query_selector(tag).unwrap().is_none());
    }
    assert!(root.text_content().unwrap().contains(HOSTILE));
}

#[wasm_bindgen_test]
fn the_view_says_where_the_journey_stands() {
    let root = root();
    root.set_text_content(Some("left over"));
    let view = view(&root, "en");
    let stage = || root.get_attribute("data-jhe-connect").unwrap();
    view.show(&screens::checking());
    assert_eq!(stage(), "working");
    assert_eq!(root.get_attribute("aria-busy").unwrap(), "true");
    let error = Error::from(SourceError::SessionExpired);
    view.show(&Screen::of_error(&error, None));
    assert_eq!(stage(), "failed");
    assert_eq!(root.get_attribute("aria-busy").unwrap(), "false");
    assert_eq!(
        root.get_attribute("data-jhe-connect-code").unwrap(),
        "jhe.session_expired"
    );
    assert!(!root.text_content().unwrap().contains("left over"));
    view.show(&screens::checking());
    assert!(!root.has_attribute("data-jhe-connect-code"));
    let headings = root.query_selector_all(".jc-heading").unwrap();
    assert_eq!(headings.length(), 1);
}

#[wasm_bindgen_test]
fn what_is_on_the_page_is_said_again_in_another_language() {
    let root = root();
    let view = view(&root, "en");
    view.show(&screens::grants(&["Labs"]));
    assert_eq!(text(&root, ".jc-lines li"), "Labs");
    let detail = CustomEventInit::new();
    detail.set_detail(&texts("es").into());
    let event = CustomEvent::new_with_event_init_dict("jhe-connect-speak", &detail).unwrap();
    root.dispatch_event(&event).unwrap();
    assert_eq!(text(&root, ".jc-lines li"), "Análisis de laboratorio");
    assert_eq!(text(&root, ".jc-heading"), "Algunos datos quedan fuera");
    // Only a page of ours is named after its screen.
    assert!(!window().document().unwrap().title().contains("Algunos"));
    assert_eq!(root.get_attribute("lang").unwrap(), "es");
    let used = root.query_selector(".jc-language[aria-pressed=true]");
    assert_eq!(used.unwrap().unwrap().text_content().unwrap(), "ES");
}

#[wasm_bindgen_test]
fn another_language_is_asked_of_the_page() {
    let root = root();
    view(&root, "en").show(&screens::checking());
    let asked = Rc::new(Cell::new(String::new()));
    let heard = Rc::clone(&asked);
    let listener = platform::Listener::on(
        Some(&root),
        "jhe-connect-language",
        Box::new(move |event| {
            let event: CustomEvent = event.unchecked_into();
            heard.set(event.detail().as_string().unwrap());
        }),
    );
    let button = root.query_selector(".jc-language[lang=es]").unwrap();
    button.unwrap().unchecked_into::<HtmlElement>().click();
    drop(listener);
    assert_eq!(asked.take(), "es");
}

#[wasm_bindgen_test]
async fn a_screen_waits_for_what_the_patient_does() {
    let root = root();
    let view = view(&root, "en");
    let pressed = async {
        let button = root.query_selector("[data-jc-action=go-on]").unwrap();
        button.unwrap().unchecked_into::<HtmlElement>().click();
    };
    view.show(&screens::grants(&["Labs"]));
    pressed.await;
    assert_eq!(view.next_act().await, Act::GoOn);
    assert_eq!(view.act(), None);
}

#[wasm_bindgen_test]
fn boxes_that_were_unticked_are_known() {
    let root = root();
    let view = view(&root, "en");
    let found = |label| Found {
        label,
        count: 1,
        span: None,
    };
    view.show(&screens::review(&[found("Labs"), found("Goals")], true));
    assert_eq!(view.ticked(), [0, 1]);
    let first = root.query_selector(".jc-boxes input").unwrap().unwrap();
    first.unchecked_into::<HtmlElement>().click();
    assert_eq!(view.ticked(), [1]);
}

#[wasm_bindgen_test]
fn a_person_is_two_taps_away() {
    let root = root();
    let view = view(&root, "en");
    let config = r##"{"iss":"https://ehr.example/R4","clientId":"C","scope":"s","dataSourceId":"7","study":{"name":"Heart Study","accent":"#ff0","contact":{"email":"study@jhe.example","phone":"+1 555 010"}}}"##;
    let page = location::own().unwrap();
    view.introduce(&PageConfig::parse(config, &page).unwrap());
    let error = Error::from(SourceError::SessionExpired);
    view.show(&Screen::of_error(&error, None));
    let links = root.query_selector_all(".jc-help > a").unwrap();
    let link = |index| links.get(index).unwrap().unchecked_into::<Element>();
    let mail = link(0).get_attribute("href").unwrap();
    assert!(mail.starts_with("mailto:study@jhe.example?subject=Help%20with"));
    assert!(mail.ends_with("%28jhe.session_expired%29"), "{mail}");
    assert_eq!(link(1).get_attribute("href").unwrap(), "tel:+1555010");
    assert_eq!(text(&root, ".jc-study"), "Heart Study");
    let style = root.unchecked_ref::<HtmlElement>().style();
    let colour = |name: &str| style.get_property_value(name).unwrap();
    assert_eq!(colour("--jhe-accent"), "#ff0");
    assert_eq!(colour("--jhe-on-accent"), "#000000");
}

#[wasm_bindgen_test]
fn numbers_dates_and_lists_are_written_as_the_language_does() {
    let english = BrowserFormats::new("en-US");
    assert_eq!(english.number(1_234_567), "1,234,567");
    assert_eq!(english.date("2026-11-22"), "November 22, 2026");
    assert_eq!(
        english.date("2026-11-22T10:00:00+14:00"),
        "November 22, 2026"
    );
    // Of an instant the time is told, too, where the patient is.
    assert!(english.date("2026-11-22T12:00:00.000Z").contains(':'));
    assert_eq!(english.date("2026-11"), "November 2026");
    assert_eq!(english.date("2026"), "2026");
    assert_eq!(english.date("soon"), "soon");
    let names = ["a", "b", "c"].map(String::from);
    assert_eq!(english.list(names.clone().into()), "a, b, and c");
    let spanish = BrowserFormats::new("es");
    assert_eq!(spanish.number(1_234_567), "1.234.567");
    assert_eq!(spanish.list(names.into()), "a, b y c");
    assert_eq!(spanish.category(1), "one");
}

#[wasm_bindgen_test]
fn a_page_without_viewport_gets_one() {
    let _view = view(&root(), "en");
    let document = window().document().unwrap();
    let metas = document.query_selector_all("meta[name=viewport]").unwrap();
    let contents: Vec<_> = (0..metas.length())
        .filter_map(|index| metas.item(index))
        .filter_map(|node| node.dyn_into::<Element>().ok()?.get_attribute("content"))
        .collect();
    assert_eq!(contents, ["width=device-width, initial-scale=1".to_owned()]);
}
