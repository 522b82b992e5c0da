//! Signatures, verified by the browser: the vectors to which the native tests hold the sandbox's cryptography.

use alloc::borrow::ToOwned;
use alloc::string::String;

use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::CustomEvent;

use super::window;
use crate::browser::facade::check_identity;
use crate::browser::identity::is_verified;
use crate::browser::platform::{self, Listener};
use crate::json::{Json, object};
use crate::oauth::jws::Jws;

#[path = "../../../tests/identity/vectors.rs"]
mod vectors;

async fn is_good(token: &str, keys: &str) -> Option<bool> {
    let keys = Json::parse(keys.as_bytes()).unwrap();
    let verification = Jws::parse(token).unwrap().verification(keys).unwrap();
    is_verified(&verification).await
}

#[wasm_bindgen_test]
async fn the_browser_verifies_the_vectors_of_the_standards() {
    for (token, keys) in vectors::GOOD {
        assert_eq!(is_good(token, keys).await, Some(true), "{token}");
    }
}

#[wasm_bindgen_test]
async fn the_browser_refuses_what_was_changed() {
    for (token, keys) in vectors::GOOD {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let first = signature.get(..1).unwrap();
        let other = if first == "A" { "B" } else { "A" };
        let changed = [signed, ".", other, signature.get(1..).unwrap()].concat();
        assert_eq!(is_good(&changed, keys).await, Some(false), "{changed}");
    }
}

#[wasm_bindgen_test]
async fn a_key_that_is_no_point_of_its_curve_verifies_nothing() {
    let [_, (token, keys), _] = vectors::GOOD;
    let keys = keys.replace("f83OJ3D2", "AAAAAAAA");
    // Chromium and Firefox do not take the key. WebKitGTK does, and finds that nothing was signed with it.
    let agent = window().navigator().user_agent().unwrap();
    let is_webkit = agent.contains("AppleWebKit") && !agent.contains("Chrome");
    assert_eq!(is_good(token, &keys).await, is_webkit.then_some(false));
}

/// What the module answers to a question.
async fn answer(question: &str) -> String {
    // In no document: other tests look at the only view there.
    let out = window().document().unwrap();
    let out = out.create_element("div").unwrap();
    let told = alloc::rc::Rc::new(core::cell::RefCell::new(None));
    let heard = alloc::rc::Rc::clone(&told);
    let _listening = Listener::on(
        Some(&out),
        "jhe-connect-checked",
        alloc::boxed::Box::new(move |event| {
            let event: CustomEvent = event.unchecked_into();
            heard.replace(event.detail().as_string());
        }),
    );
    check_identity(out.clone(), question);
    for _ in 0..1000 {
        if let Some(told) = told.take() {
            return told;
        }
        platform::pause(1).await.unwrap();
    }
    panic!("no answer");
}

#[wasm_bindgen_test]
async fn each_question_is_answered() {
    assert_eq!(answer("").await, "unverified the question can't be read");
    // {"alg":"none"}
    let forged = object(&[
        ("fhir", "https://ehr.example/R4"),
        ("id_token", "eyJhbGciOiJub25lIn0.e30."),
        ("client_id", "client"),
    ]);
    let told = "forged its alg needs no key of the hospital".to_owned();
    assert_eq!(answer(&forged).await, told);
}
