//! What Django and its REST framework do around every view: negotiation, parsing, authentication,
//! error shapes, common headers, error pages.

use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST, LOCATION, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{BadToken, Caller, python};
use crate::exchange::{self, Incoming, content, empty, html, set};
use crate::world::World;

const FHIR_JSON: &str = "application/fhir+json";

/// A REST view: which methods it names in `Allow`, and the shape of its errors.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) allow: &'static str,
    pub(super) errors: Errors,
    pub(super) renders: Renders,
}

/// The two shapes of an error's body.
#[derive(Clone, Copy)]
pub(super) enum Errors {
    /// `{"detail": "…"}`
    Detail,
    /// An OperationOutcome with the text as diagnostics.
    Outcome,
}

/// What a view can be asked for with `Accept`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renders {
    /// JSON, and a page for people.
    Json,
    /// JSON, under FHIR's media type too.
    FhirJson,
}

impl View {
    pub(super) const fn detail(allow: &'static str) -> Self {
        Self {
            allow,
            errors: Errors::Detail,
            renders: Renders::Json,
        }
    }

    pub(super) const fn outcome(allow: &'static str) -> Self {
        Self {
            allow,
            errors: Errors::Outcome,
            renders: Renders::Json,
        }
    }

    /// A FHIR view of the later version.
    pub(super) const fn fhir(allow: &'static str) -> Self {
        Self {
            allow,
            errors: Errors::Outcome,
            renders: Renders::FhirJson,
        }
    }

    /// A reply of this view.
    pub(super) fn reply(self, status: StatusCode, body: &Value) -> Response {
        self.dress(exchange::json(status, body))
    }

    /// A `204`.
    pub(super) fn no_content(self) -> Response {
        self.dress(empty(StatusCode::NO_CONTENT))
    }

    /// An error in this view's shape.
    pub(super) fn refuse(self, status: StatusCode, text: &str) -> Response {
        match self.errors {
            Errors::Detail => self.reply(status, &json!({ "detail": text })),
            Errors::Outcome => self.reply(
                status,
                &json!({
                    "resourceType": "OperationOutcome",
                    "issue": [{"severity": "error", "code": "processing", "diagnostics": text}]
                }),
            ),
        }
    }

    /// A `405`.
    pub(super) fn not_allowed(self, request: &Incoming) -> Response {
        self.refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("Method \"{}\" not allowed.", request.method),
        )
    }

    /// Negotiates and parses, in the framework's order.
    pub(super) fn open(self, request: &Incoming) -> Result<Value, Response> {
        if !self.renders.satisfies(request.header(ACCEPT)) {
            return Err(self.refuse(
                StatusCode::NOT_ACCEPTABLE,
                "Could not satisfy the request Accept header.",
            ));
        }
        if request.body.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        match request.media_type().as_str() {
            "application/json" => {
                let text = String::from_utf8_lossy(&request.body);
                let parsed = serde_json::from_str(&text).map_err(|_| {
                    let text = format!("JSON parse error - {}", python::json_error(&text));
                    self.refuse(StatusCode::BAD_REQUEST, &text)
                })?;
                Ok(camel_keys(parsed))
            }
            "application/x-www-form-urlencoded" => Ok(request
                .form()
                .iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect::<Map<_, _>>()
                .into()),
            other => {
                let text = format!("Unsupported media type \"{other}\" in request.");
                Err(self.refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text))
            }
        }
    }

    /// Whose token this is. A bad one shows in the header only, the body stays the same.
    pub(super) fn authenticate(
        self,
        world: &World,
        request: &Incoming,
    ) -> Result<Caller, Response> {
        let problem = match request.bearer() {
            None => None,
            Some(token) => match world.jhe.caller(token, world.now()) {
                Ok(caller) => return Ok(caller),
                Err(BadToken::Unknown) => Some("The access token is invalid."),
                Err(BadToken::Expired) => Some("The access token has expired."),
            },
        };
        let mut response = self.refuse(
            StatusCode::UNAUTHORIZED,
            "Authentication credentials were not provided.",
        );
        if let Errors::Detail = self.errors {
            let challenge = match problem {
                None => "Bearer realm=\"api\"".to_owned(),
                Some(problem) => {
                    format!(
                        "Bearer realm=\"api\",error=\"invalid_token\",error_description=\"{problem}\""
                    )
                }
            };
            set(&mut response, WWW_AUTHENTICATE, &challenge);
        }
        Err(response)
    }

    /// [`View::open`], then [`View::authenticate`]: JHE parses the body before it asks who sends it,
    /// so malformed JSON without a token gives 400 and not 401.
    pub(super) fn enter(
        self,
        world: &World,
        request: &Incoming,
    ) -> Result<(Value, Caller), Response> {
        let body = self.open(request)?;
        let caller = self.authenticate(world, request)?;
        Ok((body, caller))
    }

    /// The framework's answer to an authenticated `OPTIONS`.
    pub(super) fn describe(self) -> Response {
        let types = json!([
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data"
        ]);
        let body = json!({"name": "View", "description": "", "renders": ["application/json", "text/html"], "parses": types});
        self.reply(StatusCode::OK, &body)
    }

    fn dress(self, mut response: Response) -> Response {
        set(&mut response, VARY, "Accept");
        set(&mut response, ALLOW, self.allow);
        response
    }
}

/// Names a JSON reply as FHIR's if the request asked for that, as the later version's FHIR views do.
pub(super) fn in_wanted_json(request: &Incoming, mut response: Response) -> Response {
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        == Some(b"application/json");
    if is_json && ranges(request.header(ACCEPT)).next() == Some(FHIR_JSON) {
        set(&mut response, CONTENT_TYPE, FHIR_JSON);
    }
    response
}

/// Takes either side of a handler's result.
pub(super) fn either(outcome: Result<Response, Response>) -> Response {
    outcome.unwrap_or_else(|refusal| refusal)
}

/// Django's page for an unmatched path, or its redirect if only the slash at the end is missing.
pub(crate) fn unmatched(request: &Incoming) -> Response {
    const WITH_SLASH: [&str; 6] = [
        "/clients/mychart/",
        "/clients/patient-access/",
        "/o/token/",
        "/o/revoke_token/",
        "/o/userinfo/",
        "/auth/callback/",
    ];
    let completed = format!("{}/", request.path);
    if !WITH_SLASH.contains(&completed.as_str()) {
        return not_found();
    }
    let location = match request.query.as_str() {
        "" => completed,
        query => format!("{completed}?{query}"),
    };
    let mut response = html(StatusCode::MOVED_PERMANENTLY, "");
    set(&mut response, LOCATION, &location);
    response.extensions_mut().insert(Bypass::FirstMiddleware);
    response
}

/// Django's 404 page.
pub(crate) fn not_found() -> Response {
    error_page(
        StatusCode::NOT_FOUND,
        "Not Found",
        "The requested resource was not found on this server.",
    )
}

/// Django's 500 page.
pub(super) fn server_error() -> Response {
    error_page(StatusCode::INTERNAL_SERVER_ERROR, "Server Error (500)", "")
}

/// gunicorn's page for a worker that it has aborted: Django has no part in it.
pub(super) fn worker_aborted() -> Response {
    let page = "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n";
    outside_django(StatusCode::INTERNAL_SERVER_ERROR, page)
}

/// The page of the proxy in front of JHE for a body that is too long (nginx's; not recorded).
pub(crate) fn too_large() -> Response {
    let page = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    outside_django(StatusCode::PAYLOAD_TOO_LARGE, page)
}

fn outside_django(status: StatusCode, page: &'static str) -> Response {
    let mut response = content(status, "text/html", page);
    response.extensions_mut().insert(Bypass::Django);
    response
}

/// One of Django's plain error pages.
pub(super) fn error_page(status: StatusCode, title: &str, details: &str) -> Response {
    html(
        status,
        format!(
            "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>{title}</title>\n</head>\n<body>\n  <h1>{title}</h1><p>{details}</p>\n</body>\n</html>\n"
        ),
    )
}

/// Refuses a request whose `Host` is not this server's (`ALLOWED_HOSTS`).
pub(crate) fn wrong_host(request: &Incoming) -> Option<Response> {
    let host = request.header(HOST);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match name {
        "localhost" | "127.0.0.1" => None,
        _ => {
            let mut response = error_page(StatusCode::BAD_REQUEST, "Bad Request (400)", "");
            response.extensions_mut().insert(Bypass::FirstMiddleware);
            Some(response)
        }
    }
}

/// Put into the extensions of a reply that does not come through all of Django's middleware.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bypass {
    /// Something else answers: WhiteNoise a static file, the server or a proxy its own error.
    Django,
    /// A redirect or refusal that the first middleware makes.
    FirstMiddleware,
}

/// Adds the headers that Django's middleware gives to its replies.
pub(crate) fn add_common_headers(response: &mut Response) {
    let bypass = response.extensions().get::<Bypass>().copied();
    if bypass == Some(Bypass::Django) {
        return;
    }
    set(
        response,
        HeaderName::from_static("x-content-type-options"),
        "nosniff",
    );
    set(
        response,
        HeaderName::from_static("referrer-policy"),
        "same-origin",
    );
    set(
        response,
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    if bypass.is_none() {
        set(
            response,
            HeaderName::from_static("x-frame-options"),
            "SAMEORIGIN",
        );
    }
}

impl Renders {
    fn satisfies(self, accept: &str) -> bool {
        accept.is_empty()
            || ranges(accept).any(|range| match range {
                "*/*" | "application/*" | "application/json" => true,
                FHIR_JSON => self == Self::FhirJson,
                // DIFFERENCE: the real API answers with its "browsable" page; here it is JSON.
                "text/html" => self == Self::Json,
                _ => false,
            })
    }
}

/// The media types of an `Accept`, without their parameters.
fn ranges(accept: &str) -> impl Iterator<Item = &str> {
    accept
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim())
}

/// What the key conversion camel→snake→camel leaves of a name: runs of capitals are folded
/// (`carrierHRF` → `carrierHrf`). Snake case becomes camel case, save for the OAuth names.
fn camel_keys(value: Value) -> Value {
    map_keys(value, &|name| match name {
        "client_id"
        | "redirect_uri"
        | "grant_type"
        | "code_verifier"
        | "code_challenge"
        | "code_challenge_method"
        | "response_type"
        | "token_endpoint" => name.to_owned(),
        _ => camel(name),
    })
}

fn camel(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut previous = ' ';
    for (position, character) in name.chars().enumerate() {
        let starts_word = previous == '_' && position > 1 && character.is_ascii_alphanumeric();
        if starts_word {
            folded.pop();
            folded.extend(character.to_uppercase());
        } else if previous.is_uppercase() {
            folded.extend(character.to_lowercase());
        } else {
            folded.push(character);
        }
        previous = character;
    }
    folded
}

/// A stored resource as replies spell it: `_effectiveDateTime` becomes `EffectiveDateTime`.
pub(super) fn reply_keys(stored: &Value) -> Value {
    map_keys(stored.clone(), &|name| match name.strip_prefix('_') {
        Some(rest) => {
            let mut characters = rest.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters).collect()
        }
        None => name.to_owned(),
    })
}

fn map_keys(value: Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (rename(&name), map_keys(value, rename)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(values) => values
            .into_iter()
            .map(|value| map_keys(value, rename))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_conversion_folds_capital_runs_and_keeps_fhir_names() {
        assert_eq!(camel("carrierHRF"), "carrierHrf");
        for name in [
            "effectiveDateTime",
            "_effectiveDateTime",
            "resourceType",
            "valueInteger64",
            "id",
        ] {
            assert_eq!(camel(name), name);
        }
        assert_eq!(camel("fhir_base_url"), "fhirBaseUrl");
    }

    #[test]
    fn a_reply_spells_a_primitive_extension_with_a_capital() {
        let stored = json!({"_effectiveDateTime": {"extension": []}, "status": "final"});
        assert_eq!(
            reply_keys(&stored),
            json!({"EffectiveDateTime": {"extension": []}, "status": "final"})
        );
    }
}
