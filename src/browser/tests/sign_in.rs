//! The way to the hospital, with a hospital that answers as a test wants it to.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use js_sys::{Promise, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{AbortSignal, Request, Response};

use super::window;
use crate::browser::sign_in::{Prepared, preflight};
use crate::browser::storage::TabStore;
use crate::browser::{location, platform};
use crate::config::AuthorizeOptions;
use crate::error::Failure;
use crate::session;

const CONFIGURATION: &str = r#"{"authorization_endpoint":"https://ehr.example/authorize",
    "token_endpoint":"https://ehr.example/token"}"#;

/// What the FHIR server does when it is asked for its CapabilityStatement.
#[derive(Clone, Copy)]
enum Metadata {
    Answers,
    IsNotReadable,
    NeverAnswers,
}

/// What was asked, and whether it was ended.
type Asked = Rc<RefCell<Vec<(String, AbortSignal)>>>;

async fn prepare(metadata: Metadata) -> (Result<Prepared, Failure>, Asked) {
    let asked = Asked::default();
    let log = Rc::clone(&asked);
    let fetch = Closure::<dyn FnMut(Request) -> Promise>::new(move |request: Request| {
        log.borrow_mut().push((request.url(), request.signal()));
        let answer = |body| JsValue::from(Response::new_with_opt_str(Some(body)).unwrap());
        if request.url().ends_with("/smart-configuration") {
            return Promise::resolve(&answer(CONFIGURATION));
        }
        match metadata {
            Metadata::Answers => Promise::resolve(&answer("a megabyte")),
            Metadata::IsNotReadable => Promise::reject(&js_sys::TypeError::new("CORS").into()),
            Metadata::NeverAnswers => Promise::new(&mut |_, _| {}),
        }
    });
    let original = Reflect::get(&window(), &"fetch".into()).unwrap();
    Reflect::set(&window(), &"fetch".into(), fetch.as_ref()).unwrap();
    let options = AuthorizeOptions {
        iss: "https://ehr.example/R4".into(),
        client_id: "client".into(),
        scope: "launch/patient".into(),
        redirect_uri: "https://jhe.example/callback".into(),
        no_redirect: false,
    };
    let prepared = preflight(&options, location::own().unwrap()).await;
    Reflect::set(&window(), &"fetch".into(), &original).unwrap();
    (prepared, asked)
}

fn is_ended(asked: &Asked, path: &str) -> bool {
    let asked = asked.borrow();
    let mut named = asked.iter().filter(|(url, _)| url.ends_with(path));
    let (_, signal) = named.next().unwrap();
    assert!(named.next().is_none(), "{path} is asked for twice");
    signal.aborted()
}

#[wasm_bindgen_test]
async fn a_hospital_that_answers_is_left_for_with_a_sign_in_of_its_own_each_time() {
    let (prepared, asked) = prepare(Metadata::Answers).await;
    assert_eq!(asked.borrow().len(), 2);
    assert!(is_ended(&asked, "/R4/metadata"), "its body is read");
    let store = TabStore::open().unwrap();
    assert_eq!(session::pending_launch(&store), Ok(None));

    let prepared = prepared.unwrap_or_else(|failure| panic!("{failure:?}"));
    let first = prepared.leave(&store).unwrap();
    let second = prepared.leave(&store).unwrap();
    assert!(first.starts_with("https://ehr.example/authorize?"));
    assert_ne!(first, second);
    let departure = session::pending_launch(&store).unwrap().unwrap();
    assert_eq!(departure.issuer, "https://ehr.example/R4");
    session::forget_launch(&store);
}

#[wasm_bindgen_test]
async fn a_hospital_that_the_page_may_not_read_is_told_before_anybody_leaves() {
    let (prepared, _) = prepare(Metadata::IsNotReadable).await;
    let failure = prepared.err().unwrap();
    assert_eq!(failure.0.code(), "discovery.not_readable");
}

#[wasm_bindgen_test]
async fn a_hospital_that_takes_its_time_is_waited_for_a_moment_only() {
    let before = platform::now();
    let (prepared, asked) = prepare(Metadata::NeverAnswers).await;
    assert!(prepared.is_ok());
    let waited = platform::now() - before;
    assert!((290..1_500).contains(&waited), "{waited} ms");
    assert!(is_ended(&asked, "/R4/metadata"), "it goes on");
}
