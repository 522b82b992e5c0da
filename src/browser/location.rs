//! The address bar.

use wasm_bindgen::JsValue;
use web_sys::Window;

use crate::oauth::authorization::AuthorizationResponse;
use crate::url::{Url, UrlError};

/// The page's own URL.
pub(crate) fn page_url() -> Result<Url, UrlError> {
    let href = web_sys::window().and_then(|window| window.location().href().ok());
    Url::parse(&href.unwrap_or_default())
}

/// Takes the answer of a sign-in out of the address bar and out of the history, so that a code is in neither
/// (RFC 9700 §4.2, §4.3).
pub(crate) fn scrub(page: &Url) {
    let rest = AuthorizationResponse::scrubbed(page.query());
    let address = [page.path(), &rest].concat();
    if let Some(history) = web_sys::window().and_then(|window| window.history().ok()) {
        // It fails only where the URL is of another origin, which the page's own is not.
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&address));
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

fn with_window(act: impl FnOnce(Window) -> Option<()>) {
    // Both acts fail only for a URL that does not parse; ours did.
    let _ = web_sys::window().and_then(act);
}
