//! The browser's cryptography: `crypto.subtle`.

use js_sys::{Array, JSON, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

use crate::oauth::jws::Algorithm;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        is_extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;
}

/// The key of a JWK, as soon as the browser has read it, for one use: `sign` or `verify`. With it comes the algorithm, which
/// that use wants to be told again.
///
/// # Errors
/// What the browser throws, or rejects the promise with: it does not know the algorithm, or does not take the key.
pub(crate) fn key(
    jwk: &str,
    algorithm: Algorithm,
    usage: &str,
) -> Result<(JsFuture, JsValue), JsValue> {
    let algorithm = JSON::parse(algorithm.for_subtle_crypto())?;
    let jwk = JSON::parse(jwk)?;
    let usages = Array::of1(&usage.into());
    let key = import_key("jwk", &jwk, &algorithm, false, &usages)?;
    Ok((key.into(), algorithm))
}
