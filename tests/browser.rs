//! What JavaScript may call, in a real browser. `wasm-pack test --headless --chrome` runs it, together with the tests
//! beside the code in `src/browser/`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use jhe_connect::browser::client::{authorize, ready};
use jhe_connect::browser::facade::{finish_page, import_page, sign_in_again, start_page};
use jhe_connect::language::{SECTIONS, compiled};
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::Element;

wasm_bindgen_test_configure!(run_in_browser);

fn element() -> Element {
    let document = web_sys::window().unwrap().document().unwrap();
    document.create_element("pre").unwrap()
}

/// Lets the page go on until `element` has left the stage `working`.
async fn end(element: &Element) -> String {
    for _ in 0..10_000 {
        let stage = element.get_attribute("data-jhe-connect");
        if stage.as_deref() != Some("working") {
            return element.get_attribute("data-jhe-connect-code").unwrap();
        }
        JsFuture::from(Promise::resolve(&JsValue::NULL))
            .await
            .unwrap();
    }
    panic!("still working: {:?}", element.text_content());
}

/// The code and the message that a promise is rejected with.
async fn rejection(promise: Promise) -> (String, String) {
    let error = JsFuture::from(promise).await.unwrap_err();
    let text = |name: &str| {
        let value = Reflect::get(&error, &name.into()).unwrap();
        value.as_string().unwrap()
    };
    (text("code"), text("message"))
}

/// English, as the bundle has it, for a module.
fn english() -> String {
    let source = include_str!("../www/languages/en.json");
    let sections: Vec<_> = SECTIONS.iter().map(|(name, _)| *name).collect();
    compiled(source, "en", &[], "m", &sections).unwrap()
}

#[wasm_bindgen_test]
async fn a_connect_page_without_configuration_says_what_is_missing() {
    let out = element();
    start_page(
        out.clone(),
        r#"{"scope":"s"}"#.into(),
        &english(),
        JsValue::UNDEFINED,
    );
    assert_eq!(end(&out).await, "config.missing");
    let text = out.text_content().unwrap();
    assert!(text.contains("iss, clientId, dataSourceId"), "{text}");
}

#[wasm_bindgen_test]
async fn jhes_template_hands_an_object_over() {
    let out = element();
    let config = Object::new();
    for (name, value) in [
        ("iss", "https://ehr.example/R4"),
        ("clientId", "C"),
        ("scope", "launch/patient"),
        ("dataSourceId", "7"),
    ] {
        Reflect::set(&config, &name.into(), &value.into()).unwrap();
    }
    start_page(out.clone(), config.into(), &english(), JsValue::UNDEFINED);
    assert_eq!(end(&out).await, "invitation.missing");
}

#[wasm_bindgen_test]
async fn a_sign_in_begins_again_only_where_a_run_is_kept() {
    let out = element();
    let config = r#"{"iss":"https://ehr.example/R4","clientId":"C","scope":"launch/patient","dataSourceId":"7"}"#;
    sign_in_again(out.clone(), config.into(), &english(), false);
    assert_eq!(end(&out).await, "callback.interrupted");
}

#[wasm_bindgen_test]
async fn a_callback_page_without_an_answer_has_nothing_to_do() {
    let out = element();
    finish_page(out.clone(), "{}".into(), &english());
    assert_eq!(end(&out).await, "callback.nothing_pending");
}

#[wasm_bindgen_test]
async fn a_copying_of_which_nothing_is_kept_does_not_begin() {
    let out = element();
    import_page(out.clone(), "{}".into(), &english());
    assert_eq!(end(&out).await, "callback.interrupted");
}

#[wasm_bindgen_test]
async fn authorize_names_the_options_that_are_missing() {
    let (code, message) = rejection(authorize(JsValue::UNDEFINED)).await;
    assert_eq!(code, "config.malformed");
    assert!(!message.is_empty());
    let (code, message) = rejection(authorize(Object::new().into())).await;
    assert_eq!(code, "config.missing");
    assert!(message.contains("iss, clientId, scope, redirectUri"));
}

#[wasm_bindgen_test]
async fn ready_without_an_answer_is_rejected() {
    let (code, _) = rejection(ready(JsValue::UNDEFINED)).await;
    assert_eq!(code, "callback.nothing_pending");
}

#[wasm_bindgen_test]
async fn ready_refuses_an_answer_that_this_tab_did_not_ask_for() {
    let options = Object::new();
    Reflect::set(&options, &"url".into(), &"?code=c&state=s".into()).unwrap();
    let (code, _) = rejection(ready(options.into())).await;
    assert_eq!(code, "callback.unknown_state");
}

#[wasm_bindgen_test]
fn the_browsers_url_parser_agrees_with_the_native_one() {
    jhe_connect::url::suite::links_are_confined();
    jhe_connect::url::suite::only_loopback_may_be_unprotected();
}
