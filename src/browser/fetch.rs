//! The network.

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use gloo_net::http::{Request, Response};
use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, AbortSignal, Headers, ReadableStreamDefaultReader, ReadableStreamReadResult,
    ReferrerPolicy, RequestCache, RequestCredentials, RequestInit, RequestRedirect,
};

#[cfg(feature = "import")]
use crate::browser::platform::now;
use crate::browser::platform::{Timer, is_offline};
#[cfg(any(feature = "connect", feature = "import", feature = "identity"))]
use crate::http::Conversation;
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
#[cfg(feature = "import")]
use crate::text::whole_number;

/// Sends a request and reads the whole answer, or its head, where no more is wanted.
///
/// No cookies, no redirects (a token must not follow one; only who has an answer at all may be asked by way of one), no
/// referrer, and nothing kept in the HTTP cache.
///
/// Behind a pointer: what holds many of these, or waits for one in many places, holds their size and their end only once.
pub(crate) fn send(request: HttpRequest) -> Sending {
    Box::pin(carry(request))
}

/// A request under way. It is ended when this is dropped.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Answer>>>;

async fn carry(request: HttpRequest) -> Answer {
    // What can't be built has an invalid header value, or there is no page: nothing was sent.
    let limit = Limit::new(request.limit_ms).ok_or(TransportError::Unreachable)?;
    let (limit_octets, is_head_only) = (request.limit_octets, request.is_head_only);
    let request = build(&request, &limit.signal).ok_or(TransportError::Unreachable)?;
    let response = request.send().await;
    let response = response.map_err(|_| limit.failure(TransportError::Unreachable))?;
    let body = match is_head_only {
        // The limit, when it is dropped, ends the request with what is still on its way.
        true => Vec::new(),
        false => read(&response, limit_octets, &limit).await?,
    };
    let headers = response.headers();
    Ok(HttpResponse {
        status: response.status(),
        content_type: headers.get("Content-Type").unwrap_or_default(),
        // Where nothing is asked for again, nobody reads it.
        #[cfg(not(feature = "import"))]
        retry_after_ms: None,
        #[cfg(feature = "import")]
        retry_after_ms: headers
            .get("Retry-After")
            .and_then(|field| retry_after_ms(&field)),
        body,
    })
}

/// Most answers are shorter.
const USUAL_OCTETS: u32 = 64 * 1024;

/// Reads a body piece by piece, and not beyond `limit_octets`: what is announced of its length counts for nothing, since a
/// megabyte may become a gigabyte when it is unpacked.
pub(crate) async fn read(
    response: &Response,
    limit_octets: u32,
    limit: &Limit,
) -> Result<Vec<u8>, TransportError> {
    // An answer that can't have a body has no stream.
    let Some(stream) = response.body() else {
        return Ok(Vec::new());
    };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    // Put together out there: our own memory never shrinks, and a body that grew in it would leave holes behind.
    let mut body = Uint8Array::new_with_length(USUAL_OCTETS);
    let mut length = 0;
    loop {
        let read = JsFuture::from(reader.read()).await;
        let read = read.map_err(|_| limit.failure(TransportError::CutOff))?;
        // Behind the last piece there is none.
        let piece = read
            .unchecked_into::<ReadableStreamReadResult>()
            .get_value();
        if piece.is_undefined() {
            return Ok(body.subarray(0, length).to_vec());
        }
        let piece: Uint8Array = piece.unchecked_into();
        let end = length.saturating_add(piece.length());
        if end > limit_octets {
            // The limit, when it is dropped, ends the request.
            return Err(TransportError::TooLong);
        }
        if end > body.length() {
            let larger = Uint8Array::new_with_length(end.max(2 * length));
            larger.set(&body, 0);
            body = larger;
        }
        body.set(&piece, length);
        length = end;
    }
}

/// Seconds, or a date: the browser knows the forms of HTTP's dates.
#[cfg(feature = "import")]
fn retry_after_ms(field: &str) -> Option<u64> {
    match whole_number(field.trim_ascii()) {
        Some(seconds) => Some(seconds.saturating_mul(1000)),
        None => {
            let date = js_sys::Date::parse(field);
            (date > 0.0).then(|| (date as u64).saturating_sub(now()))
        }
    }
}

/// Performs a conversation to its end.
#[cfg(any(feature = "connect", feature = "import", feature = "identity"))]
pub(crate) async fn converse(conversation: &mut dyn Conversation) {
    while let Some(request) = conversation.next_request() {
        let answer = send(request).await;
        conversation.receive(answer);
    }
}

/// The browser's request. It is built here and not by gloo-net, which would parse the URL and write it anew: a next
/// link goes verbatim.
pub(crate) fn build(request: &HttpRequest, signal: &AbortSignal) -> Option<Request> {
    let (url, init) = prepared(request, signal)?;
    let request = web_sys::Request::new_with_str_and_init(url, &init).ok()?;
    Some(request.into())
}

/// The same, for who only asks whether anybody answers: what comes back can't be read.
#[cfg(feature = "doctor")]
pub(crate) fn build_unread(request: &HttpRequest, signal: &AbortSignal) -> Option<Request> {
    let (url, init) = prepared(request, signal)?;
    init.set_mode(web_sys::RequestMode::NoCors);
    let request = web_sys::Request::new_with_str_and_init(url, &init).ok()?;
    Some(request.into())
}

fn prepared<'a>(request: &'a HttpRequest, signal: &AbortSignal) -> Option<(&'a str, RequestInit)> {
    let headers = Headers::new().ok()?;
    for (name, value) in &request.headers {
        headers.append(name, value).ok()?;
    }
    let init = RequestInit::new();
    init.set_method(request.method.as_str());
    init.set_headers(&headers);
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(RequestCredentials::Omit);
    init.set_redirect(match request.may_be_redirected() {
        true => RequestRedirect::Follow,
        false => RequestRedirect::Error,
    });
    init.set_referrer_policy(ReferrerPolicy::NoReferrer);
    init.set_signal(Some(signal));
    if let Some(body) = &request.body {
        // Octets: as a string the body would be turned into UTF-16 and back.
        init.set_body(&Uint8Array::from(body.as_bytes()).into());
    }
    Some((request.url.as_str(), init))
}

/// Ends a request that takes too long, also while its body is read, and one that nobody waits for any more: when it is
/// dropped.
pub(crate) struct Limit {
    pub(crate) signal: AbortSignal,
    controller: AbortController,
    has_passed: Rc<Cell<bool>>,
    _timer: Option<Timer>,
}

impl Limit {
    pub(crate) fn new(milliseconds: u32) -> Option<Self> {
        let controller = AbortController::new().ok()?;
        let has_passed = Rc::new(Cell::new(false));
        let signal = controller.signal();
        let (flag, timed) = (Rc::clone(&has_passed), controller.clone());
        let timer = Timer::new(milliseconds, move || {
            flag.set(true);
            // Without a reason: gloo-net panics on one that is no `Error`.
            timed.abort();
        });
        Some(Limit {
            signal,
            controller,
            has_passed,
            _timer: timer,
        })
    }

    pub(crate) fn failure(&self, otherwise: TransportError) -> TransportError {
        match self.has_passed.get() {
            true => TransportError::TimedOut,
            false if is_offline() => TransportError::Offline,
            false => otherwise,
        }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // After the end of the answer it changes nothing.
        self.controller.abort();
    }
}
