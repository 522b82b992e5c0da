//! The two verbs that pages of the older library know, `authorize` and `ready`, and the client that the latter gives.
//!
//! What JavaScript gets is a plain object; the token stays in here.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;

use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::browser::fetch::send;
use crate::browser::platform::spawn;
use crate::browser::sign_in::{answered, begin_sign_in, complete_sign_in};
use crate::browser::storage::TabStore;
use crate::browser::value::json;
use crate::browser::{location, platform};
use crate::config::AuthorizeOptions;
use crate::error::{CallbackError, Error, Failure};
use crate::fhir::pager::Pager;
use crate::fhir::search::Search;
use crate::import::{PullError, pages};
use crate::json::{Json, object};
use crate::oauth::authorization::AuthorizationResponse;
use crate::smart::context::LaunchContext;
use crate::text::number;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What `authorize` needs. Nothing is ever taken from the page's URL. */
export interface AuthorizeOptions {
  /** FHIR base URL of the EHR, sent as `aud` byte for byte. */
  iss: string;
  /** The app's client id at the EHR (a public client: there is no secret). */
  clientId: string;
  /** Scope, sent verbatim. */
  scope: string;
  /** The registered redirect URI; a relative one is completed by the page's address. */
  redirectUri: string;
  /** Resolve with the URL instead of going there. */
  noRedirect?: boolean;
}

/** What `ready` takes. */
export interface ReadyOptions {
  /** The address that the EHR sent the patient back to, where it is not the page's own. */
  url?: string;
}

/** One page of Observations. */
export interface ObservationPage {
  /** The Observations about this patient. */
  observations: object[];
  /** How many entries were left out: other types, other subjects, unreadable ones. */
  leftOut: number;
}

/** A patient's access to one EHR, until `expiresAt`. The token is not part of it. */
export interface Client {
  /** FHIR base URL, as it was given to `authorize`. */
  serverUrl: string;
  patient: {
    /** The patient's id at the EHR. */
    id: string;
  };
  /** The granted scope. */
  scope: string;
  /** When access ends, in milliseconds since 1970. */
  expiresAt: number;
  /** OpenID Connect's identity token, if there is one. It is not verified: not to be trusted as identity. */
  idToken?: string;
  /**
   * The patient's Observations, page by page; `parameters` are further search parameters, such as
   * `{ category: "laboratory" }`. Every page is confined to the EHR's FHIR base.
   */
  observations(parameters?: Record<string, string>): AsyncIterableIterator<ObservationPage>;
}

/** What the promises are rejected with. */
export interface ConnectError extends Error {
  /** Stable, such as `discovery.no_s256`. What the patient is to read about it is the page's own. */
  code: string;
}
"#;

/// Discovers the EHR's sign-in and sends the patient there. Resolves with the address that it goes to.
#[wasm_bindgen(unchecked_return_type = "Promise<string>")]
pub fn authorize(
    #[wasm_bindgen(unchecked_param_type = "AuthorizeOptions")] options: JsValue,
) -> Promise {
    promise(Box::pin(async move {
        platform::require_secure_context()?;
        let store = TabStore::open()?;
        let page = location::own()?;
        let options = AuthorizeOptions::parse(&json(&options), &page)?;
        let url = begin_sign_in(&store, &options, page).await?;
        if !options.no_redirect {
            location::go(&url);
        }
        Ok(JsValue::from_str(&url))
    }))
}

/// Completes the sign-in on the page that the EHR sent the patient back to, once: a reload begins at `authorize`.
#[wasm_bindgen(unchecked_return_type = "Promise<Client>")]
pub fn ready(
    #[wasm_bindgen(unchecked_optional_param_type = "ReadyOptions")] options: JsValue,
) -> Promise {
    promise(Box::pin(async move {
        let page = location::own()?;
        location::scrub(&page);
        platform::require_secure_context()?;
        let store = TabStore::open()?;
        let options = json(&options);
        let url = Json::parse(options.as_bytes()).and_then(|options| options.get_string("url"));
        let answer = match url {
            Some(url) => page.join(&url).unwrap_or(page),
            None => page,
        };
        if !AuthorizationResponse::is_present(answer.query()) {
            return Err(CallbackError::NothingPending.into());
        }
        let (request, launched) = answered(&store, &answer)?;
        Ok(client(complete_sign_in(request, launched).await?))
    }))
}

type Outcome = Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>;

fn promise(outcome: Outcome) -> Promise {
    let mut outcome = Some(outcome);
    Promise::new(&mut |resolve, reject| {
        // Called once, and before this returns.
        let Some(outcome) = outcome.take() else {
            return;
        };
        spawn(Box::pin(async move {
            let (settle, value) = match outcome.await {
                Ok(value) => (resolve, value),
                Err(Failure(error)) => (reject, rejection(&error)),
            };
            // These two functions do not throw.
            let _ = settle.call1(&JsValue::NULL, &value);
        }));
    })
}

fn rejection(error: &Error) -> JsValue {
    let told = js_sys::Error::new(&error.detail());
    let members = object(&[("code", error.code())]);
    Object::assign(&told, parsed(&members).unchecked_ref());
    told.into()
}

/// The `Client` of the types above.
fn client(context: LaunchContext) -> JsValue {
    let mut members = alloc::vec![
        ("serverUrl", context.issuer.as_str()),
        ("scope", &context.scope),
    ];
    if let Some(id_token) = &context.id_token {
        members.push(("idToken", id_token));
    }
    let members = object(&members);
    let client = parsed(
        &[
            members.trim_end_matches('}'),
            ",\"patient\":",
            &object(&[("id", &context.patient)]),
            ",\"expiresAt\":",
            &number(context.expires_at),
            "}",
        ]
        .concat(),
    );
    let context = Rc::new(context);
    let observations = function(move |parameters| observation_pages(&context, &parameters));
    set(&client, &"observations".into(), &observations);
    client
}

/// An asynchronous iterator over the pages.
fn observation_pages(context: &Rc<LaunchContext>, parameters: &JsValue) -> JsValue {
    let parameters = json(parameters);
    let pairs = text_members(&parameters);
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let search = Search {
        resource_type: "Observation",
        parameters: &pairs,
    };
    let pager = Rc::new(RefCell::new(pages(context, &search)));
    let context = Rc::clone(context);
    let next = function(move |_| {
        let (context, pager) = (Rc::clone(&context), Rc::clone(&pager));
        promise(Box::pin(async move { next_page(&context, &pager).await })).into()
    });
    let pages = JsValue::from(Object::new());
    set(&pages, &"next".into(), &next);
    let itself = pages.clone();
    let iterator = function(move |_| itself.clone());
    set(&pages, &js_sys::Symbol::async_iterator(), &iterator);
    pages
}

/// The next page as an `IteratorResult`. It is put together as text and read by the browser in one go.
async fn next_page(context: &LaunchContext, pager: &RefCell<Pager>) -> Result<JsValue, Failure> {
    let failed = |reason| PullError {
        page: pager.borrow().pages() + 1,
        reason,
    };
    let request = pager.borrow_mut().next_request(&context.access_token);
    let Some(request) = request.map_err(failed)? else {
        return Ok(parsed(r#"{"done":true}"#));
    };
    let answer = send(request).await;
    let received = pager.borrow_mut().receive(answer);
    let found = received.map_err(failed)?;
    let mut result = String::from(r#"{"done":false,"value":{"observations":["#);
    for (index, record) in found.records.iter().enumerate() {
        if index > 0 {
            result.push(',');
        }
        result.push_str(record.text());
    }
    result.push_str("],\"leftOut\":");
    result.push_str(&number(found.left_out.len() as u64));
    result.push_str("}}");
    Ok(parsed(&result))
}

/// The members of an object whose values are strings.
fn text_members(object: &str) -> Vec<(String, String)> {
    let object = Json::parse(object.as_bytes());
    let members = object.into_iter().flat_map(Json::members);
    members
        .filter_map(|member| Some((member.name.into(), member.value.string()?)))
        .collect()
}

/// JSON that was just written, as a JavaScript value.
fn parsed(json: &str) -> JsValue {
    js_sys::JSON::parse(json).unwrap_or_default()
}

/// A function for JavaScript, which owns it from here.
fn function(body: impl Fn(JsValue) -> JsValue + 'static) -> JsValue {
    Closure::<dyn Fn(JsValue) -> JsValue>::new(body).into_js_value()
}

fn set(object: &JsValue, name: &JsValue, value: &JsValue) {
    // Fails only for an object that was frozen.
    let _ = Reflect::set(object, name, value);
}
