//! For browsers that cannot be told to run a script at the start of every page: each page that a browser opens begins with one
//! that is served here, and what it wants to tell comes back.
//!
//! The script's place is on the server of the page, so that a policy of `script-src 'self'` and `connect-src 'self'` allows it.
//! Nothing of this is logged or disturbed, and no page has it unless somebody asks for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;

use crate::exchange::{Incoming, content, empty, set};
use crate::serve::Hangup;

/// Below this path, on each server.
const PLACE: &str = "/_instrument/";

/// The first thing on a page.
const ELEMENT: &str = "<script src=\"/_instrument/start.js\"></script>";

/// What pages begin with, what they have told, and whether they reach anybody.
#[derive(Clone, Debug, Default)]
pub struct Instrument(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    script: Option<String>,
    told: Vec<String>,
    is_cut_off: bool,
}

impl Instrument {
    /// Begins every page from now on with this script.
    pub fn play(&self, script: String) {
        self.state().script = Some(script);
    }

    /// What pages have told so far, in its order: the bodies that they have sent to `/_instrument/told`.
    pub fn told(&self) -> Vec<String> {
        self.state().told.clone()
    }

    /// Lets every connection break, as it does for who has lost the network; or lets them be again.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.state().is_cut_off = is_cut_off;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a request that is about this, or that nobody is there to answer.
    pub(crate) async fn answer(&self, request: Request) -> Result<Response, Request> {
        let Some(asked) = request.uri().path().strip_prefix(PLACE) else {
            if self.state().is_cut_off {
                let mut broken = empty(StatusCode::SERVICE_UNAVAILABLE);
                broken.extensions_mut().insert(Hangup);
                return Ok(broken);
            }
            return Err(request);
        };
        let (is_told, is_post) = (asked == "told", request.method() == Method::POST);
        Ok(match (is_told, is_post) {
            (true, true) => match Incoming::from_request(request, &()).await {
                Ok(told) => {
                    let told = String::from_utf8_lossy(&told.body).into_owned();
                    self.state().told.push(told);
                    empty(StatusCode::NO_CONTENT)
                }
                Err(broken) => broken,
            },
            (false, false) => {
                let script = self.state().script.clone().unwrap_or_default();
                let mut response = content(StatusCode::OK, "text/javascript", script);
                set(&mut response, CACHE_CONTROL, "no-store");
                response
            }
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        })
    }

    /// Is this the request for a page that has to begin with the script? Then its answer may not be compressed.
    pub(crate) fn is_for(&self, incoming: &Incoming, headers: &mut axum::http::HeaderMap) -> bool {
        let is_for =
            self.state().script.is_some() && incoming.header("sec-fetch-dest") == "document";
        if is_for {
            headers.remove(ACCEPT_ENCODING);
        }
        is_for
    }

    /// The same page, with the script at its beginning; anything else as it is.
    pub(crate) async fn begin(response: Response) -> Response {
        let is_html = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|it| it.to_str().ok())
            .is_some_and(|it| it.starts_with("text/html"));
        if !is_html || response.extensions().get::<Hangup>().is_some() {
            return response;
        }
        let (mut head, body) = response.into_parts();
        head.headers.remove(CONTENT_LENGTH);
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return empty(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let page = with_script(&String::from_utf8_lossy(&body));
        Response::from_parts(head, Body::from(page))
    }
}

/// The script stands first in the head. Without a head it stands after the document type, where it opens one.
fn with_script(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let after = |mark: &str| {
        let begin = lower.find(mark)?;
        let end = lower.get(begin..)?.find('>')?;
        Some(begin + end + 1)
    };
    let place = after("<head>").or_else(|| after("<!doctype")).unwrap_or(0);
    let (before, rest) = page.split_at(place);
    format!("{before}{ELEMENT}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_the_first_thing_on_a_page() {
        assert_eq!(
            with_script("<!DOCTYPE html>\n<html lang=\"en\"><HEAD>\n<title>A</title>"),
            format!("<!DOCTYPE html>\n<html lang=\"en\"><HEAD>{ELEMENT}\n<title>A</title>")
        );
        assert_eq!(
            with_script("<!DOCTYPE html><html lang=\"en\"><p>header</p>"),
            format!("<!DOCTYPE html>{ELEMENT}<html lang=\"en\"><p>header</p>")
        );
        assert_eq!(with_script("<p>"), format!("{ELEMENT}<p>"));
    }
}
