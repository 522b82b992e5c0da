//! A patient's session at JHE: the server's base and the token that it issued, kept together so that the token can't
//! be sent anywhere else.

use alloc::string::String;
use core::fmt;

use crate::http::HttpRequest;
use crate::json::{Json, object};
use crate::oauth::revocation::{Token, revocation_request};
use crate::oauth::token::AccessToken;
use crate::url::Url;

/// A token for JHE, bound to the server that issued it.
///
/// The token carries all of the patient's rights at JHE and lives for 14 days: it is treated like a password.
pub struct JheSession {
    base: Url,
    token: AccessToken,
    client_id: String,
}

impl JheSession {
    /// Binds a token, which was issued to the client `client_id`, to JHE's base URL.
    pub fn new(base: Url, token: AccessToken, client_id: String) -> Self {
        JheSession {
            base,
            token,
            client_id,
        }
    }

    /// The form in which it is stored: an object of strings.
    pub(crate) fn to_stored(&self) -> String {
        object(&[
            ("token", self.token.secret()),
            ("client_id", &self.client_id),
        ])
    }

    /// Reads what [`JheSession::to_stored`] wrote, and binds it to `base` again.
    pub(crate) fn from_stored(stored: Json<'_>, base: &Url) -> Option<Self> {
        let token = AccessToken::new(stored.get_string("token")?);
        let client_id = stored.get_string("client_id")?;
        Some(JheSession::new(base.clone(), token, client_id))
    }

    /// The request that ends the session at JHE.
    pub fn revocation_request(&self) -> HttpRequest {
        revocation_request(
            &at(&self.base, "o/revoke_token/"),
            &self.client_id,
            Token::Access(&self.token),
        )
    }

    /// The token, for this tab's storage.
    pub fn token(&self) -> &AccessToken {
        &self.token
    }

    /// A GET of something below JHE's base.
    pub fn get(&self, path: &str) -> HttpRequest {
        // `*/*` would do; `application/fhir+json` is refused with 406.
        let request = HttpRequest::get(at(&self.base, path), "application/json");
        self.token.authorize(request)
    }

    /// A POST of JSON to something below JHE's base. JHE takes `application/json` only, for FHIR as well (415).
    pub fn post(&self, path: &str, json: String) -> HttpRequest {
        let request = HttpRequest::post(at(&self.base, path))
            .with_body("application/json", json)
            .with_records();
        self.token.authorize(request)
    }
}

impl fmt::Debug for JheSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JheSession(..)")
    }
}

/// The URL of a path below JHE's base. JHE tells slashes apart: `path` is taken as it is.
pub(crate) fn at(base: &Url, path: &str) -> Url {
    // Paths are constants of ours, so that this never fails; were one bad, JHE would answer 404 for its base.
    base.below(path).unwrap_or_else(|_| base.clone())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn jhe() -> JheSession {
        JheSession::new(
            Url::parse("https://jhe.example/").unwrap(),
            AccessToken::new("J".into()),
            "client".into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::testing::jhe;
    use crate::http::testing::header;

    #[test]
    fn a_post_is_plain_json_with_the_bearer_token() {
        let request = jhe().post("FHIR/R5/Observation", "{}".into());
        assert_eq!(
            request.url.as_str(),
            "https://jhe.example/FHIR/R5/Observation"
        );
        assert_eq!(header(&request, "Content-Type"), Some("application/json"));
        assert_eq!(header(&request, "Accept"), Some("application/json"));
        assert_eq!(header(&request, "Authorization"), Some("Bearer J"));
    }

    #[test]
    fn a_revocation_names_token_and_client_in_its_body_only() {
        let request = jhe().revocation_request();
        assert_eq!(request.url.as_str(), "https://jhe.example/o/revoke_token/");
        assert_eq!(request.body.as_deref(), Some("token=J&client_id=client"));
        assert_eq!(header(&request, "Authorization"), None);
    }

    #[test]
    fn debug_does_not_show_the_token() {
        assert_eq!(alloc::format!("{:?}", jhe()), "JheSession(..)");
    }
}
