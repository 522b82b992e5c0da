//! The end of a token, [RFC 7009](https://www.rfc-editor.org/rfc/rfc7009), for a public client.
//!
//! It is a courtesy: whatever comes of it, the token is forgotten here.

use alloc::string::String;

use crate::http::{Answer, HttpRequest};
use crate::oauth::token::{AccessToken, FORM, RefreshToken, TokenError};
use crate::text::form_encode;
use crate::url::Url;

/// A token of either kind.
#[derive(Debug, Clone, Copy)]
pub enum Token<'a> {
    /// It ends alone: RFC 7009 §2.1 leaves to the server whether its refresh token ends as well.
    Access(&'a AccessToken),
    /// Its access tokens should end with it (RFC 7009 §2.1).
    Refresh(&'a RefreshToken),
}

impl<'a> Token<'a> {
    /// The one to end where there may be both: the refresh token, with which the other should end.
    pub fn to_end(access: &'a AccessToken, refresh: Option<&'a RefreshToken>) -> Self {
        refresh.map_or(Token::Access(access), Token::Refresh)
    }
}

/// The request that ends a token (RFC 7009 §2.1). A public client says who it is in the body. No `token_type_hint`: it only
/// tells the server where to look first.
pub fn revocation_request(endpoint: &Url, client_id: &str, token: Token<'_>) -> HttpRequest {
    let secret = match token {
        Token::Access(token) => token.secret(),
        Token::Refresh(token) => token.secret(),
    };
    let body = form_encode(&[("token", secret), ("client_id", client_id)]);
    HttpRequest::post(endpoint.clone()).with_body(FORM, body)
}

/// What became of a token that was to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// The server says that it is over.
    Revoked,
    /// The server has no way to end it, or not one of this kind: it ends by itself.
    NotOffered,
    /// It may go on until it ends by itself; what happened, in one line without secrets.
    Failed(String),
}

impl Revocation {
    /// Judges the answer to [`revocation_request`]; `None` where there was nobody to ask.
    pub fn of(answer: Option<Answer>) -> Self {
        let response = match answer {
            None => return Revocation::NotOffered,
            Some(Err(error)) => return Revocation::Failed(error.detail().into()),
            // RFC 7009 §2.2: 200 also for a token that the server does not know; the body counts for nothing.
            Some(Ok(response)) if response.is_success() => return Revocation::Revoked,
            Some(Ok(response)) => response,
        };
        // RFC 7009 §2.2.1: an error is of the form that the token endpoint's have.
        let error = TokenError::from_refusal(&response);
        match error.error() {
            "unsupported_token_type" => Revocation::NotOffered,
            _ => Revocation::Failed(error.detail()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TransportError;
    use crate::http::testing::{answer, header, json};

    #[test]
    fn the_refresh_token_goes_before_the_access_token() {
        let endpoint = Url::parse("https://ehr.example/revoke").unwrap();
        let (access, refresh) = (
            AccessToken::new("T/1".into()),
            RefreshToken::new("R/1".into()),
        );
        let body = |refresh| {
            let token = Token::to_end(&access, refresh);
            let request = revocation_request(&endpoint, "client 1", token);
            assert_eq!(header(&request, "Authorization"), None);
            assert_eq!(request.url.query(), "");
            request.body.unwrap()
        };
        assert_eq!(body(Some(&refresh)), "token=R%2F1&client_id=client%201");
        assert_eq!(body(None), "token=T%2F1&client_id=client%201");
    }

    #[test]
    fn what_became_of_it_is_told_apart() {
        let of = |status, body| Revocation::of(Some(Ok(json(status, body))));
        assert_eq!(of(200, ""), Revocation::Revoked);
        assert_eq!(Revocation::of(None), Revocation::NotOffered);
        assert_eq!(
            of(400, r#"{"error":"unsupported_token_type"}"#),
            Revocation::NotOffered
        );
        assert_eq!(
            of(
                401,
                r#"{"error":"invalid_client","error_description":null}"#
            ),
            Revocation::Failed("invalid_client".into())
        );
        let page = Revocation::of(Some(Ok(answer(503, "text/html", "<html>"))));
        assert_eq!(page, Revocation::Failed("HTTP 503: a web page".into()));
        let lost = Revocation::of(Some(Err(TransportError::Unreachable)));
        assert!(matches!(lost, Revocation::Failed(_)));
    }

    #[test]
    fn debug_of_a_token_of_either_kind_is_redacted() {
        let token = AccessToken::new("SECRET".into());
        let text = alloc::format!("{:?}", Token::to_end(&token, None));
        assert_eq!(text, "Access(AccessToken(..))");
    }
}
