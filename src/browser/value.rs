//! JavaScript's values.

use alloc::string::String;

use wasm_bindgen::JsValue;

/// A JavaScript object as JSON; nothing for what can't be written so.
pub(crate) fn json(value: &JsValue) -> String {
    // `undefined` has no JSON: what comes back is then no string, though it claims to be one.
    let text = js_sys::JSON::stringify(value).ok().map(JsValue::from);
    text.and_then(|text| text.as_string()).unwrap_or_default()
}
