//! Requests and answers as plain values, so that every exchange can be tested without a network.
//!
//! An exchange is two functions: one makes the [`HttpRequest`], one reads the [`HttpResponse`]. Where one answer
//! decides about the next request (a fall-back, a second try) the steps form a [`Conversation`]. Whoever performs
//! them, the page or a test, only carries requests out and answers in.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::json::Json;
use crate::text::contains;
use crate::url::Url;

/// What the page waits for an answer to a protocol step, in milliseconds.
pub const STEP_LIMIT_MS: u32 = 30_000;
/// What the page waits for records on their way, in milliseconds: a megabyte takes a minute and a half where reception is
/// bad, JHE's worker time-out is 30 s, and its first write in a process is slow.
pub const RECORDS_LIMIT_MS: u32 = 120_000;
/// So many octets the page reads of an answer to a protocol step. A CapabilityStatement may be a megabyte, and three of some
/// servers.
pub const STEP_LIMIT_OCTETS: u32 = 8_000_000;
/// So many octets the page reads of an answer with records: a hundred times what a page of a hundred takes, for one whose
/// records hold their documents. It stands in a phone's memory as a whole.
pub const RECORDS_LIMIT_OCTETS: u32 = 50_000_000;

/// The two methods that this crate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Safe to repeat (RFC 9110 §9.2.1).
    Get,
    /// Not safe to repeat unless the exchange says so.
    Post,
}

impl Method {
    /// The method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// A request that is ready to be sent.
///
/// `Debug` shows the method and the URL without its query; never headers or the body, which may hold a token or a
/// code verifier.
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Header fields, `Authorization` included.
    pub headers: Vec<(&'static str, String)>,
    /// The body, if any.
    pub body: Option<String>,
    /// After this many milliseconds without a complete answer the request is given up.
    pub limit_ms: u32,
    /// Of an answer with more octets nothing is kept, and no more is read.
    pub limit_octets: u32,
    /// Is the answer's body to be left where it is? Then it is empty here.
    pub is_head_only: bool,
}

impl HttpRequest {
    /// A GET that accepts `media_type`.
    pub fn get(url: Url, media_type: &str) -> Self {
        HttpRequest {
            method: Method::Get,
            url,
            headers: alloc::vec![("Accept", media_type.into())],
            body: None,
            limit_ms: STEP_LIMIT_MS,
            limit_octets: STEP_LIMIT_OCTETS,
            is_head_only: false,
        }
    }

    /// A POST without a body.
    pub fn post(url: Url) -> Self {
        HttpRequest {
            method: Method::Post,
            url,
            headers: alloc::vec![("Accept", "application/json".into())],
            body: None,
            limit_ms: STEP_LIMIT_MS,
            limit_octets: STEP_LIMIT_OCTETS,
            is_head_only: false,
        }
    }

    /// Adds a body and says what it is.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: String) -> Self {
        self.headers.push(("Content-Type", content_type.into()));
        self.body = Some(body);
        self
    }

    /// Adds one header field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Reads no more than so many octets.
    #[must_use]
    pub fn with_octets(mut self, limit: usize) -> Self {
        self.limit_octets = u32::try_from(limit).unwrap_or(RECORDS_LIMIT_OCTETS);
        self
    }

    /// Reads no more than the head of the answer. HEAD would say the same, but few FHIR servers know it.
    #[must_use]
    pub fn with_head_only(mut self) -> Self {
        self.is_head_only = true;
        self
    }

    /// May a redirect be followed? Where nothing is read and no token goes along: then the question is only who answers.
    pub fn may_be_redirected(&self) -> bool {
        let has_token = self
            .headers
            .iter()
            .any(|(name, _)| *name == "Authorization");
        self.is_head_only && !has_token
    }

    /// Waits as long as records may take, and reads as much.
    #[must_use]
    pub fn with_records(mut self) -> Self {
        self.limit_ms = RECORDS_LIMIT_MS;
        self.limit_octets = RECORDS_LIMIT_OCTETS;
        self
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.as_str())?;
        f.write_str(" ")?;
        f.write_str(&self.url.without_query())
    }
}

/// A complete answer. One that broke off is a [`TransportError::CutOff`] instead.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The `Content-Type` field, empty where there is none.
    pub content_type: String,
    /// The milliseconds that `Retry-After` asks for, as seconds or as a date (RFC 9110 §10.2.3), where there is one and
    /// CORS shows it.
    pub retry_after_ms: Option<u64>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Was the request carried out?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, if it is JSON. Its declared type is not asked: servers label JSON wrongly, and HTML doesn't parse.
    pub fn json(&self) -> Option<Json<'_>> {
        Json::parse(&self.body)
    }

    /// The start of the body, for the technical part of an error message: at most 300 characters of text, none of
    /// HTML.
    pub fn excerpt(&self) -> String {
        let Ok(text) = core::str::from_utf8(&self.body) else {
            return "no text".into();
        };
        let text = text.trim_ascii();
        if contains(&self.content_type, "html") || text.starts_with('<') {
            return "a web page".into();
        }
        text.chars().take(300).collect()
    }

    /// Status and start of the body, as in `HTTP 400: {"error":"invalid_grant"}`.
    pub fn describe(&self) -> String {
        let status = status_text(self.status);
        match self.excerpt() {
            excerpt if excerpt.is_empty() => status,
            excerpt => [&status, ": ", &excerpt].concat(),
        }
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&status_text(self.status))
    }
}

/// `HTTP 404`.
pub(crate) fn status_text(status: u16) -> String {
    ["HTTP ", &crate::text::number(u64::from(status))].concat()
}

/// Why there is no complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportError {
    /// The device itself says that it has no connection.
    Offline,
    /// No answer that the page may read: name or TLS failure, connection refused, a redirect (never followed), or an
    /// answer without CORS permission. A browser does not tell these apart.
    Unreachable,
    /// No complete answer within the request's limit.
    TimedOut,
    /// The answer began and broke off.
    CutOff,
    /// The answer is longer than the request's limit, and was not read to its end.
    TooLong,
}

impl TransportError {
    /// What happened, for the technical part of an error message.
    pub fn detail(self) -> &'static str {
        match self {
            TransportError::Offline => "the device is offline",
            TransportError::Unreachable => {
                "no readable answer (network, TLS, a redirect, or no CORS permission)"
            }
            TransportError::TimedOut => "no complete answer in time",
            TransportError::CutOff => "the answer broke off",
            TransportError::TooLong => "the answer is longer than it may be",
        }
    }
}

/// What came back for a request.
pub type Answer = Result<HttpResponse, TransportError>;

/// Some requests to one server of which each depends on the answer before.
///
/// Call [`next_request`](Conversation::next_request), send what it gives, hand the answer to
/// [`receive`](Conversation::receive), and go on until there is no further request. The conversation then has its
/// result.
pub trait Conversation {
    /// The next request, or `None` at the end.
    fn next_request(&mut self) -> Option<HttpRequest>;
    /// The answer to the request that was handed out last.
    fn receive(&mut self, answer: Answer);
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// An answer as a test needs it.
    pub(crate) fn answer(status: u16, content_type: &str, body: &str) -> HttpResponse {
        HttpResponse {
            status,
            content_type: content_type.into(),
            retry_after_ms: None,
            body: body.as_bytes().to_vec(),
        }
    }

    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &str) -> HttpResponse {
        answer(status, "application/json", body)
    }

    /// The value of one header field of a request.
    pub(crate) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
        request
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::answer;
    use super::*;
    use crate::oauth::token::AccessToken;

    #[test]
    fn debug_of_a_request_shows_neither_query_nor_headers_nor_body() {
        let url = Url::parse("https://jhe.example/o/token/?code=SECRET").unwrap();
        let request = HttpRequest::post(url)
            .with_body(
                "application/x-www-form-urlencoded",
                "code_verifier=SECRET".into(),
            )
            .with_header("Authorization", "Bearer SECRET".into());
        assert_eq!(
            alloc::format!("{request:?}"),
            "POST https://jhe.example/o/token/"
        );
    }

    #[test]
    fn no_token_follows_a_redirect() {
        let url = Url::parse("https://ehr.example/R4/metadata").unwrap();
        let get = |url: &Url| HttpRequest::get(url.clone(), "application/fhir+json");
        assert!(!get(&url).may_be_redirected());
        assert!(get(&url).with_head_only().may_be_redirected());
        let token = AccessToken::new("T".into());
        let with_token = token.authorize(get(&url).with_head_only());
        assert!(!with_token.may_be_redirected());
    }

    #[test]
    fn an_html_error_page_is_not_quoted() {
        let html = answer(500, "text/html", "<!doctype html><h1>Server Error</h1>");
        assert_eq!(html.describe(), "HTTP 500: a web page");
        assert_eq!(answer(401, "", "").describe(), "HTTP 401");
    }
}
