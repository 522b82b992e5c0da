//! The token endpoint, [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749) §4.1.3 and §5, for a public client.

use alloc::string::String;
use core::fmt;

use crate::http::{HttpRequest, HttpResponse};
use crate::json::Json;
use crate::oauth::authorization::{AuthorizationCode, ServerError};
use crate::oauth::pkce::CodeVerifier;
use crate::text::form_encode;
use crate::url::Url;

/// A bearer token (RFC 6750). It goes to the server that it was issued for, and nowhere else.
pub struct AccessToken(String);

impl AccessToken {
    /// Wraps a token's text.
    pub fn new(text: String) -> Self {
        AccessToken(text)
    }

    /// Reads the token out of the token endpoint's answer, and nothing else of it.
    ///
    /// # Errors
    /// As [`TokenResponse::from_response`].
    pub fn from_response(response: &HttpResponse) -> Result<Self, TokenError> {
        if !response.is_success() {
            return Err(TokenError::from_refusal(response));
        }
        let body = response.json().filter(|body| body.is_object());
        let body = body.ok_or(TokenError::Malformed(NO_OBJECT))?;
        let text = |name| body.get_string(name).filter(|text| !text.is_empty());
        let token = text("access_token").ok_or(TokenError::Malformed("access_token is missing"))?;
        // RFC 6749 §7.1 compares it without regard to case; Epic documents `bearer`.
        match text("token_type") {
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => Ok(AccessToken(token)),
            Some(_) => Err(TokenError::Malformed("token_type is not Bearer")),
            None => Err(TokenError::Malformed("token_type is missing")),
        }
    }

    /// The token's text, for this tab's storage.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Adds the token to a request. RFC 6750 §2: in the header field, never in the query.
    #[must_use]
    pub fn authorize(&self, request: HttpRequest) -> HttpRequest {
        let value = ["Bearer ", &self.0].concat();
        request.with_header("Authorization", value)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// A refresh token (RFC 6749 §1.5). It may be used once: a server that rotates takes a second use for theft
/// (RFC 9700 §4.14.2).
pub struct RefreshToken(String);

impl RefreshToken {
    /// Wraps a token's text.
    pub fn new(text: String) -> Self {
        RefreshToken(text)
    }

    /// The token's text, for this tab's storage.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

/// The request for a new access token (RFC 6749 §6). Without `scope` it stays what was granted; a public client says who
/// it is.
pub fn refresh_request(
    endpoint: &Url,
    client_id: &str,
    token: &RefreshToken,
    scope: Option<&str>,
) -> HttpRequest {
    let mut pairs = alloc::vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", token.secret()),
        ("client_id", client_id),
    ];
    pairs.extend(scope.map(|scope| ("scope", scope)));
    HttpRequest::post(endpoint.clone()).with_body(FORM, form_encode(&pairs))
}

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The request that exchanges a code for a token (RFC 6749 §4.1.3, RFC 7636 §4.5).
///
/// Form-encoded, `client_id` in the body, no `Authorization` header: this client has no secret. Code and verifier are
/// taken by value, as neither may be used again.
pub fn code_exchange_request(
    endpoint: &Url,
    client_id: &str,
    redirect_uri: &str,
    code: AuthorizationCode,
    verifier: CodeVerifier,
) -> HttpRequest {
    let body = form_encode(&[
        ("grant_type", "authorization_code"),
        ("code", code.secret()),
        ("redirect_uri", redirect_uri),
        ("client_id", client_id),
        ("code_verifier", verifier.secret()),
    ]);
    HttpRequest::post(endpoint.clone()).with_body(FORM, body)
}

/// A successful answer of the token endpoint (RFC 6749 §5.1), and what SMART adds to it.
pub struct TokenResponse {
    /// The token.
    pub access_token: AccessToken,
    /// The granted scope; `None` where the server left it out (RFC 6749 §5.1: then it is what was asked).
    pub scope: Option<String>,
    /// Seconds until the token ends; servers send a number, digits in a string, or nothing.
    pub expires_in: Option<u64>,
    /// SMART App Launch, launch context: the patient's id at the EHR.
    pub patient: Option<String>,
    /// OpenID Connect's identity token, not verified.
    pub id_token: Option<String>,
    /// For a new access token, where the server gives one.
    pub refresh_token: Option<RefreshToken>,
    /// Seconds until the refresh token ends, where the server says so. No standard names it: these are the two names that
    /// servers use.
    pub refresh_expires_in: Option<u64>,
    /// athenahealth's `ah_practice`.
    pub practice: Option<String>,
}

impl TokenResponse {
    /// Reads the token endpoint's answer.
    ///
    /// # Errors
    /// [`TokenError`]: the server's own error, or what is wrong with the answer.
    pub fn from_response(response: &HttpResponse) -> Result<Self, TokenError> {
        let access_token = AccessToken::from_response(response)?;
        let body = response.json().ok_or(TokenError::Malformed(NO_OBJECT))?;
        let text = |name| body.get_string(name).filter(|text| !text.is_empty());
        let seconds = |name| body.get(name).and_then(Json::whole_number);
        Ok(TokenResponse {
            access_token,
            scope: body.get_string("scope"),
            expires_in: seconds("expires_in"),
            patient: text("patient"),
            id_token: text("id_token"),
            refresh_token: text("refresh_token").map(RefreshToken::new),
            refresh_expires_in: seconds("refresh_token_expires_in")
                .or_else(|| seconds("refresh_expires_in")),
            practice: text("ah_practice"),
        })
    }
}

const NO_OBJECT: &str = "expected a JSON object";

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenResponse(..)")
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The server answered with an OAuth error (RFC 6749 §5.2).
    Refused(ServerError),
    /// The server answered with a failure in another form; status and start of the body.
    Failed(String),
    /// A success that is no token response; what is wrong with it.
    Malformed(&'static str),
}

impl TokenError {
    pub(crate) fn from_refusal(response: &HttpResponse) -> Self {
        let body = response.json();
        match body.and_then(|body| Some((body, body.get_string("error")?))) {
            Some((body, error)) => TokenError::Refused(ServerError {
                error,
                description: body.get_string("error_description").unwrap_or_default(),
            }),
            None => TokenError::Failed(response.describe()),
        }
    }

    /// The OAuth error code, if the server sent one.
    pub fn error(&self) -> &str {
        match self {
            TokenError::Refused(refusal) => &refusal.error,
            TokenError::Failed(_) | TokenError::Malformed(_) => "",
        }
    }

    /// What happened, in one line without secrets.
    pub fn detail(&self) -> String {
        match self {
            TokenError::Refused(refusal) => refusal.describe(),
            TokenError::Failed(what) => what.clone(),
            TokenError::Malformed(what) => (*what).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{answer, header, json};

    #[test]
    fn the_exchange_is_a_form_without_authorization_header() {
        let request = code_exchange_request(
            &Url::parse("https://ehr.example/token").unwrap(),
            "client",
            "https://jhe.example/cb",
            AuthorizationCode::granted("a+b/c=".into()),
            CodeVerifier::from_octets(&[0; 32]),
        );
        assert_eq!(
            request.body.as_deref(),
            Some(
                "grant_type=authorization_code&code=a%2Bb%2Fc%3D&redirect_uri=https%3A%2F%2Fjhe.example%2Fcb\
                 &client_id=client&code_verifier=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            )
        );
        assert_eq!(
            header(&request, "Content-Type"),
            Some("application/x-www-form-urlencoded")
        );
        assert_eq!(header(&request, "Authorization"), None);
    }

    #[test]
    fn epics_answer_is_read() {
        let response = TokenResponse::from_response(&json(
            200,
            r#"{"access_token":"T","token_type":"bearer","expires_in":3600,"scope":"Patient.read ","patient":"e1",
               "__epic.dstu2.patient":"x","need_patient_banner":"false","id_token":null}"#,
        ))
        .unwrap();
        assert_eq!(response.access_token.secret(), "T");
        assert_eq!(response.expires_in, Some(3600));
        assert_eq!(response.patient.as_deref(), Some("e1"));
        assert_eq!(response.id_token, None);
        assert_eq!(alloc::format!("{response:?}"), "TokenResponse(..)");
    }

    #[test]
    fn expires_in_may_be_a_string_or_missing() {
        let expires_in = |value: &str| {
            let body = [r#"{"access_token":"T","token_type":"Bearer""#, value, "}"].concat();
            TokenResponse::from_response(&json(200, &body))
                .unwrap()
                .expires_in
        };
        assert_eq!(expires_in(r#","expires_in":"3600""#), Some(3600));
        assert_eq!(expires_in(r#","expires_in":3599.5"#), Some(3599));
        assert_eq!(expires_in(r#","expires_in":null"#), None);
        assert_eq!(expires_in(r#","expires_in":"soon""#), None);
        assert_eq!(expires_in(""), None);
    }

    #[test]
    fn a_refusal_carries_the_servers_error() {
        let error = TokenResponse::from_response(&json(
            400,
            r#"{"error":"invalid_grant","error_description":null}"#,
        ))
        .unwrap_err();
        assert_eq!(error.error(), "invalid_grant");
        let error = TokenResponse::from_response(&answer(502, "text/html", "<html>")).unwrap_err();
        assert_eq!(error, TokenError::Failed("HTTP 502: a web page".into()));
    }

    #[test]
    fn a_success_without_token_or_with_another_type_is_malformed() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"T"}"#,
            r#"{"access_token":"T","token_type":"mac"}"#,
        ] {
            let error = TokenResponse::from_response(&json(200, body)).unwrap_err();
            assert!(matches!(error, TokenError::Malformed(_)), "{body}");
        }
    }

    #[test]
    fn a_refresh_names_the_client_and_no_scope() {
        let endpoint = Url::parse("https://ehr.example/token").unwrap();
        let request = refresh_request(&endpoint, "client", &RefreshToken::new("r/1".into()), None);
        assert_eq!(
            request.body.as_deref(),
            Some("grant_type=refresh_token&refresh_token=r%2F1&client_id=client")
        );
        assert_eq!(header(&request, "Authorization"), None);
    }

    #[test]
    fn debug_of_a_token_is_redacted() {
        let token = AccessToken::new("SECRET".into());
        assert_eq!(alloc::format!("{token:?}"), "AccessToken(..)");
        let token = RefreshToken::new("SECRET".into());
        assert_eq!(alloc::format!("{token:?}"), "RefreshToken(..)");
    }
}
