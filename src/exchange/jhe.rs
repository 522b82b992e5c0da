//! A patient's session at JHE: the server's base and the token that it issued, kept together so that the token can't
//! be sent anywhere else.

use alloc::string::String;
use core::fmt;

use crate::http::HttpRequest;
use crate::oauth::token::AccessToken;
use crate::url::Url;

/// A token for JHE, bound to the server that issued it.
///
/// The token carries all of the patient's rights at JHE and lives for 14 days: it is treated like a password.
pub struct JheSession {
    base: Url,
    token: AccessToken,
}

impl JheSession {
    /// Binds a token to JHE's base URL.
    pub fn new(base: Url, token: AccessToken) -> Self {
        JheSession { base, token }
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
            .as_write();
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
    fn debug_does_not_show_the_token() {
        assert_eq!(alloc::format!("{:?}", jhe()), "JheSession(..)");
    }
}
