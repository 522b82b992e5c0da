//! JavaScript's values.

use alloc::string::String;

use wasm_bindgen::JsValue;

/// A JavaScript object as JSON, and a text as it is; nothing for what can't be written so.
pub(crate) fn json(value: &JsValue) -> String {
    if let Some(text) = value.as_string() {
        return text;
    }
    // `undefined` has no JSON: what comes back is then no string, though it claims to be one.
    let text = js_sys::JSON::stringify(value).ok().map(JsValue::from);
    text.and_then(|text| text.as_string()).unwrap_or_default()
}
