//! What Django and its REST framework do around every view: negotiation, parsing, authentication,
//! error shapes, common headers, error pages.

use axum::http::header::{ACCEPT, ALLOW, HOST, LOCATION, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{BadToken, Caller, python};
use crate::exchange::{self, Incoming, empty, html, set};
use crate::world::World;

/// A REST view: which methods it names in `Allow`, and the shape of its errors.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) allow: &'static str,
    pub(super) errors: Errors,
}

/// The two shapes of an error's body.
#[derive(Clone, Copy)]
pub(super) enum Errors {
    /// `{"detail": "…"}`
    Detail,
    /// An OperationOutcome with the text as diagnostics.
    Outcome,
}

impl View {
    pub(super) const fn detail(allow: &'static str) -> Self {
        Self {
            allow,
            errors: Errors::Detail,
        }
    }

    pub(super) const fn outcome(allow: &'static str) -> Self {
        Self {
            allow,
            errors: Errors::Outcome,
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
        if !accepts_json(request.header(ACCEPT)) {
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

/// Takes either side of a handler's result.
pub(super) fn either(outcome: Result<Response, Response>) -> Response {
    outcome.unwrap_or_else(|refusal| refusal)
}

/// Django's page for an unmatched path, or its redirect if only the slash at the end is missing.
pub(crate) fn unmatched(request: &Incoming) -> Response {
    const WITH_SLASH: [&str; 5] = [
        "/clients/mychart/",
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
    /// A static file: WhiteNoise answers before Django does.
    WhiteNoise,
    /// A redirect or refusal that the first middleware makes.
    FirstMiddleware,
}

/// Adds the headers that Django's middleware gives to its replies.
pub(crate) fn add_common_headers(response: &mut Response) {
    let bypass = response.extensions().get::<Bypass>().copied();
    if bypass == Some(Bypass::WhiteNoise) {
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

fn accepts_json(accept: &str) -> bool {
    let mut ranges = accept
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    // DIFFERENCE: for text/html the real API answers with its "browsable" page; here it is JSON.
    accept.is_empty()
        || ranges.any(|range| {
            matches!(
                range,
                "*/*" | "application/*" | "application/json" | "text/html"
            )
        })
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
