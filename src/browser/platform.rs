//! Clock, randomness, timers and the browser's state.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, EventTarget};

use crate::error::BrowserError;

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// A time in milliseconds since the Unix epoch, as FHIR writes an instant.
pub(crate) fn instant(time: u64) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(time as f64));
    // It throws for a time that no calendar has.
    match date.get_time().is_nan() {
        true => String::new(),
        false => date.to_iso_string().into(),
    }
}

/// Fresh randomness for one sign-in.
pub(crate) fn entropy() -> Result<[[u8; 32]; 2], BrowserError> {
    let mut octets = [[0; 32]; 2];
    // Missing only where the page is no secure context, or in no browser at all.
    getrandom::fill(octets.as_flattened_mut()).map_err(|_| BrowserError::InsecureContext)?;
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

/// Listens to an event until it is dropped.
#[must_use = "a listener is removed when it is dropped"]
pub(crate) struct Listener {
    target: Option<EventTarget>,
    event: &'static str,
    callback: Closure<dyn FnMut(Event)>,
}

impl Listener {
    /// Listens to an event of the window.
    pub(crate) fn new(event: &'static str, callback: impl FnMut(Event) + 'static) -> Self {
        let window = web_sys::window().map(EventTarget::from);
        Listener::on(window.as_ref(), event, Box::new(callback))
    }

    /// Listens to an event of `target`.
    pub(crate) fn on(
        target: Option<&EventTarget>,
        event: &'static str,
        callback: Box<dyn FnMut(Event)>,
    ) -> Self {
        let callback = Closure::wrap(callback);
        if let Some(target) = target {
            // Fails for no event type.
            let _ =
                target.add_event_listener_with_callback(event, callback.as_ref().unchecked_ref());
        }
        Listener {
            target: target.cloned(),
            event,
            callback,
        }
    }

    /// Listens for as long as the page exists.
    pub(crate) fn forever(self) {
        core::mem::forget(self);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(target) = &self.target {
            // Fails for no event type.
            let _ = target.remove_event_listener_with_callback(
                self.event,
                self.callback.as_ref().unchecked_ref(),
            );
        }
    }
}

/// Asks before the page is left, as far as the browser lets it.
pub(crate) fn ask_before_leaving() -> Listener {
    Listener::new("beforeunload", |event| event.prevent_default())
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "locks"], js_name = request, catch)]
    fn request_lock(
        name: &str,
        options: &JsValue,
        callback: &Closure<dyn FnMut(JsValue) -> Promise>,
    ) -> Result<Promise, JsValue>;
}

/// A lock that no other tab of this browser holds (Web Locks). It is let go when it is dropped, and when the page is gone,
/// also if it crashed.
pub(crate) struct Lock {
    let_go: Rc<Cell<Option<Function>>>,
    _callback: Closure<dyn FnMut(JsValue) -> Promise>,
}

impl Lock {
    /// The lock of this name; `None` if another tab holds it. A browser without locks gives every one.
    pub(crate) async fn take(name: &str) -> Option<Self> {
        let let_go = Rc::new(Cell::new(None));
        let (slot, mut is_told) = (Rc::clone(&let_go), None);
        let told = Promise::new(&mut |resolve, _| is_told = Some(resolve));
        let callback = Closure::<dyn FnMut(JsValue) -> Promise>::new(move |lock: JsValue| {
            if let Some(tell) = is_told.take() {
                // It does not throw.
                let _ = tell.call1(&JsValue::NULL, &JsValue::from_bool(!lock.is_null()));
            }
            // Held until this promise is settled.
            match lock.is_null() {
                true => Promise::resolve(&JsValue::NULL),
                false => Promise::new(&mut |resolve, _| slot.set(Some(resolve))),
            }
        });
        let options = Object::new();
        // Fails only for an object that was frozen.
        let _ = Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE);
        let lock = Lock {
            let_go,
            _callback: callback,
        };
        if request_lock(name, &options, &lock._callback).is_err() {
            return Some(lock);
        }
        let is_taken = JsFuture::from(told).await;
        (is_taken != Ok(JsValue::FALSE)).then_some(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(let_go) = self.let_go.take() {
            // It does not throw.
            let _ = let_go.call0(&JsValue::NULL);
        }
    }
}

/// A line for maintainers. Never a token, never a record.
pub(crate) fn log_error(line: &str) {
    web_sys::console::error_1(&JsValue::from_str(line));
}

/// Advice for maintainers.
pub(crate) fn log_advice(line: &str) {
    web_sys::console::warn_1(&JsValue::from_str(line));
}
