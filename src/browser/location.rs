//! The address bar.

use alloc::string::String;

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;
use web_sys::{History, Window};

use crate::config::ConfigError;
use crate::oauth::authorization::AuthorizationResponse;
use crate::url::Url;

/// The page's own URL.
pub(crate) fn own() -> Result<Url, ConfigError> {
    let href = web_sys::window().and_then(|window| window.location().href().ok());
    Url::parse(&href.unwrap_or_default()).map_err(|_| ConfigError::Malformed("the page's address"))
}

/// Takes the answer of a sign-in out of the address bar and out of the history, so that a code is in neither
/// (RFC 9700 §4.2, §4.3).
pub(crate) fn scrub(page: &Url) {
    let rest = AuthorizationResponse::scrubbed(page.query());
    let address = [page.path(), &rest].concat();
    if let Some(history) = history() {
        // It fails only where the URL is of another origin, which the page's own is not.
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&address));
    }
}

/// Under this name the text of a search is in the state of this entry of the history: it is there again when the patient
/// comes back or reloads, and nowhere else.
const QUERY: &str = "jheConnectQuery";

/// The text of the search that was kept in this entry of the history; empty where none was.
pub(crate) fn kept_query() -> String {
    let kept =
        history().and_then(|history| Reflect::get(&history.state().ok()?, &QUERY.into()).ok());
    kept.and_then(|kept| kept.as_string()).unwrap_or_default()
}

/// Keeps the text of a search in this entry of the history, beside what others keep there.
pub(crate) fn keep_query(query: &str) {
    if let Some(history) = history() {
        let state = history.state().ok().filter(JsValue::is_object);
        let state = state.unwrap_or_else(|| Object::new().into());
        // Both fail only where the page is told to be slower: then the text before stays.
        let _ = Reflect::set(&state, &QUERY.into(), &query.into());
        let _ = history.replace_state(&state, "");
    }
}

/// Leaves the page for `url`.
pub(crate) fn go(url: &str) {
    with_window(|window| window.location().assign(url).ok());
}

/// Loads the page anew.
pub(crate) fn reload() {
    with_window(|window| window.location().reload().ok());
}

fn history() -> Option<History> {
    web_sys::window().and_then(|window| window.history().ok())
}

fn with_window(act: impl FnOnce(Window) -> Option<()>) {
    // Both acts fail only for a URL that does not parse; ours did.
    let _ = web_sys::window().and_then(act);
}
