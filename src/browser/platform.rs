//! Clock, randomness, timers and the browser's state.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;

use js_sys::Promise;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::error::BrowserError;

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// Fresh randomness for one sign-in.
pub(crate) fn entropy() -> Result<[u8; 96], BrowserError> {
    let mut octets = [0; 96];
    // Missing only where the page is no secure context, or in no browser at all.
    getrandom::fill(&mut octets).map_err(|_| BrowserError::InsecureContext)?;
    Ok(octets)
}

/// Does the device say that it has no connection? Asked only after a request failed: a `true` from it is not reliable.
pub(crate) fn is_offline() -> bool {
    web_sys::window().is_some_and(|window| !window.navigator().on_line())
}

/// Is the page protected, so that cryptography and storage can be trusted?
pub(crate) fn require_secure_context() -> Result<(), BrowserError> {
    match web_sys::window().is_some_and(|window| window.is_secure_context()) {
        true => Ok(()),
        false => Err(BrowserError::InsecureContext),
    }
}

/// Calls a function once after some time, unless it is dropped before.
#[must_use = "a timer is cancelled when it is dropped"]
pub(crate) struct Timer {
    id: i32,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    pub(crate) fn new(milliseconds: u32, callback: impl FnMut() + 'static) -> Option<Self> {
        let callback = Closure::<dyn FnMut()>::new(callback);
        let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX);
        let id = web_sys::window()?
            .set_timeout_with_callback_and_timeout_and_arguments_0(
                callback.as_ref().unchecked_ref(),
                milliseconds,
            )
            .ok()?;
        Some(Timer {
            id,
            _callback: callback,
        })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(window) = web_sys::window() {
            window.clear_timeout_with_handle(self.id);
        }
    }
}

/// Starts something that goes on by itself. Boxed: each kind of future would bring a copy of the executor along.
pub(crate) fn spawn(future: Pin<Box<dyn Future<Output = ()>>>) {
    wasm_bindgen_futures::spawn_local(future);
}

/// Lets some milliseconds pass.
pub(crate) fn pause(milliseconds: u32) -> JsFuture {
    let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    let passed = Promise::new(&mut |resolve, _| {
        if let Some(window) = web_sys::window() {
            // Fails only where there are no timers.
            let _ = window
                .set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
        }
    });
    JsFuture::from(passed)
}

/// A line for maintainers. Never a token, never a record.
pub(crate) fn log_error(line: &str) {
    web_sys::console::error_1(&JsValue::from_str(line));
}

/// Advice for maintainers.
pub(crate) fn log_advice(line: &str) {
    web_sys::console::warn_1(&JsValue::from_str(line));
}
