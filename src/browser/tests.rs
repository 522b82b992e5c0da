//! The edge in a real browser: storage, network, address bar and view.

use alloc::borrow::ToOwned;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::Element;

use crate::browser::storage::TabStore;
use crate::browser::view::{Stage, View};
use crate::browser::{fetch, location, platform};
use crate::error::Error;
use crate::exchange::deployment::MYCHART;
use crate::exchange::source::SourceError;
use crate::http::{HttpRequest, TransportError};
use crate::import::Standing;
use crate::import::plan::RowTally;
use crate::import::progress::Tally;
use crate::session::suite;
use crate::summary::Summary;
use crate::url::Url;

wasm_bindgen_test_configure!(run_in_browser);

mod picker;
mod sign_in;

fn window() -> web_sys::Window {
    web_sys::window().unwrap()
}

fn root() -> Element {
    let document = window().document().unwrap();
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
    assert!(first.iter().any(|octet| *octet != 0));
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
    let page = location::page_url().unwrap();
    let answer = fetch::send(HttpRequest::get(page, "text/html"))
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.content_type.contains("html"));
    assert!(!answer.body.is_empty());
}

#[wasm_bindgen_test]
async fn of_an_answer_whose_head_is_enough_no_body_is_read() {
    let page = location::page_url().unwrap();
    let request = HttpRequest::get(page, "text/html").with_head_only();
    let answer = fetch::send(request).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty());
}

#[wasm_bindgen_test]
async fn a_server_that_is_not_there_is_unreachable() {
    let url = Url::parse("http://localhost:1/").unwrap();
    let answer = fetch::send(HttpRequest::get(url, "*/*")).await;
    assert_eq!(answer.err(), Some(TransportError::Unreachable));
}

#[wasm_bindgen_test]
async fn a_header_value_that_is_none_sends_nothing() {
    let page = location::page_url().unwrap();
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
    location::scrub(&location::page_url().unwrap());
    let after = window().location().href().unwrap();
    history
        .replace_state_with_url(&JsValue::NULL, "", Some(&before))
        .unwrap();
    assert!(after.ends_with("?tab=1"), "{after}");
}

#[wasm_bindgen_test]
fn text_of_servers_is_shown_as_text_only() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>";
    let root = root();
    let view = View::new(root.clone()).unwrap();
    view.step(HOSTILE);
    view.progress(&[HOSTILE.to_owned()]);
    let tally = Tally {
        refused: 1,
        reasons: alloc::vec![(HOSTILE.into(), 1)],
        notices: alloc::vec![(HOSTILE.into(), 1)],
        ..Tally::default()
    };
    let row = RowTally {
        label: HOSTILE.to_owned(),
        tally,
        standing: Standing::Whole,
    };
    view.summary(&Summary::of(&[row], None, &MYCHART));
    view.names_portal(HOSTILE);
    view.error(&SourceError::Refused(HOSTILE.into()).into(), None);
    for tag in ["img", "script"] {
        assert!(root.query_selector(tag).unwrap().is_none());
    }
    assert!(root.text_content().unwrap().contains(HOSTILE));
}

#[wasm_bindgen_test]
fn the_view_says_where_the_journey_stands() {
    let root = root();
    root.set_text_content(Some("left over"));
    let view = View::new(root.clone()).unwrap();
    let stage = || root.get_attribute("data-jhe-connect").unwrap();
    assert_eq!(stage(), "working");
    assert_eq!(root.get_attribute("aria-busy").unwrap(), "true");
    let error = Error::from(SourceError::SessionExpired);
    view.error(&error, None);
    view.stage(Stage::Failed);
    assert_eq!(stage(), "failed");
    assert_eq!(root.get_attribute("aria-busy").unwrap(), "false");
    assert_eq!(
        root.get_attribute("data-jhe-connect-code").unwrap(),
        "jhe.session_expired"
    );
    assert!(!root.text_content().unwrap().contains("left over"));
    let headings = root.query_selector_all(".jc-remedy h2").unwrap();
    assert_eq!(headings.length(), 1);
}

#[wasm_bindgen_test]
fn a_page_without_viewport_gets_one() {
    let _view = View::new(root()).unwrap();
    let document = window().document().unwrap();
    let metas = document.query_selector_all("meta[name=viewport]").unwrap();
    let contents: Vec<_> = (0..metas.length())
        .filter_map(|index| metas.item(index))
        .filter_map(|node| node.dyn_into::<Element>().ok()?.get_attribute("content"))
        .collect();
    assert_eq!(contents, ["width=device-width, initial-scale=1".to_owned()]);
}
