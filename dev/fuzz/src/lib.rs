//! What no input may do to what reads it, as functions of bytes.
//!
//! Each function of [`TARGETS`] hands any bytes to something that reads what others wrote (a server, a link, a storage), and
//! panics where what comes out breaks a promise; that nothing else panics goes without saying. A fuzzer looks for such bytes
//! (`libfuzzer/`), and `tests/replay.rs` hands in the ones that are known (`corpus/`, `findings/`).

#![allow(
    clippy::missing_panics_doc,
    reason = "to panic is what these functions are for"
)]

mod checkpoint;
mod fhir;
mod identity;
mod import;
mod jhe;
mod json;
mod links;
mod oauth;
mod page;

use jhe_connect::http::HttpResponse;

/// A reader of bytes that panics where a promise is broken.
pub type Target = fn(&[u8]);

/// All of them, by the names of their programs and corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("invitation_link", links::invitation_link),
    ("confine", links::confine),
    ("callback_query", oauth::callback_query),
    ("smart_configuration", oauth::smart_configuration),
    ("token_response", oauth::token_response),
    ("identity_token", identity::identity_token),
    ("identity_check", identity::identity_check),
    ("identity_message", identity::identity_message),
    ("bundle", fhir::bundle),
    ("operation_outcome", fhir::operation_outcome),
    ("person", fhir::person),
    ("checkpoint", checkpoint::checkpoint),
    ("receipt", checkpoint::receipt),
    ("json", json::json),
    ("page_configuration", page::page_configuration),
    ("batch_response", jhe::batch_response),
    ("brands", jhe::brands),
    ("jhe_answers", jhe::jhe_answers),
    ("import", import::import),
];

/// Hands an input to the target of this name.
pub fn run(name: &str, input: &[u8]) {
    let named = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = named.expect("a target of this name");
    target(input);
}

/// The first lines of an input, and the rest of it.
pub(crate) fn lines<const N: usize>(input: &[u8]) -> ([&str; N], &[u8]) {
    let mut rest = input;
    let lines = std::array::from_fn(|_| {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default()
    });
    (lines, rest)
}

/// An answer whose status is the first octet's: most inputs get a 200.
pub(crate) fn answer(input: &[u8]) -> HttpResponse {
    let (status, body) = match input.split_first() {
        Some((first, body)) => (status(*first), body),
        None => (200, input),
    };
    HttpResponse {
        status,
        content_type: "application/json".into(),
        retry_after_ms: None,
        body: body.to_vec(),
    }
}

/// `2` is a 200, `4` a 400 and so on; what is no digit stands for a 200 as well.
fn status(mark: u8) -> u16 {
    match mark {
        b'1' => 401,
        b'3' => 403,
        b'4' => 400,
        b'5' => 503,
        b'6' => 404,
        b'7' => 302,
        b'8' => 413,
        b'9' => 429,
        b'0' => 201,
        _ => 200,
    }
}

/// A text that servers say must not fill the page.
pub(crate) const LONGEST_TEXT: usize = 4_096;
