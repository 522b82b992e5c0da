//! One request as the handlers see it, and the replies they build.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::Value;

/// A request with its body read to the end.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Where a fault stops its processing, if one does.
    pub(crate) stop: Option<StopAfter>,
}

/// Put into a request's extensions: its processing breaks off after so many entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopAfter(pub(crate) usize);

impl Incoming {
    /// The text of a header, or `""`.
    pub(crate) fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The token of `Authorization: Bearer …`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header(AUTHORIZATION).strip_prefix("Bearer ")
    }

    /// The media type of the body, in lower case and without its parameters.
    pub(crate) fn media_type(&self) -> String {
        let whole = self.header(CONTENT_TYPE);
        let bare = whole.split(';').next().unwrap_or_default();
        bare.trim().to_ascii_lowercase()
    }

    /// The query's parameters.
    pub(crate) fn query(&self) -> Parameters {
        Parameters::parse(self.query.as_bytes())
    }

    /// The body's parameters if it is a form; none otherwise.
    pub(crate) fn form(&self) -> Parameters {
        match self.media_type().as_str() {
            "application/x-www-form-urlencoded" => Parameters::parse(&self.body),
            _ => Parameters(Vec::new()),
        }
    }

    /// Path and query, as on the request line.
    pub(crate) fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Incoming {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Err(empty(StatusCode::BAD_REQUEST)),
        };
        Ok(Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            stop: head.extensions.get().copied(),
            headers: head.headers,
            body,
        })
    }
}

/// Parameters of a query or of a form, in their order.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter that is there more than once.
    pub(crate) fn repeated(&self) -> Option<&str> {
        self.iter()
            .enumerate()
            .find(|(position, (name, _))| {
                self.iter().take(*position).any(|(other, _)| other == *name)
            })
            .map(|(_, (name, _))| name)
    }
}

/// A reply without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// A reply of any type.
pub(crate) fn content(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    response
}

/// A JSON reply.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    content(status, "application/json", body.to_string())
}

/// An HTML reply.
pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    content(status, "text/html; charset=utf-8", body)
}

/// Sets a header of a reply; a value that HTTP can't carry is left out.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Text that is safe in HTML, in attributes too.
pub(crate) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
}
