//! The authorization request and the answer in the redirect, [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749) §4.1.
//!
//! The order of doubt is built into the types: the parameters of a redirect are read, [`AuthorizationResponse::validate`]
//! compares `state`, and only then is there an error to look at or an [`AuthorizationCode`] to exchange.

use alloc::string::String;
use core::fmt;

use crate::oauth::pkce::{CodeChallenge, State};
use crate::text::{Repeated, form_decode, percent_decode, single};
use crate::url::Url;

/// Everything that an authorization request says (RFC 6749 §4.1.1, RFC 7636 §4.3).
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// The server's authorization endpoint; a query of its own is kept.
    pub endpoint: &'a Url,
    /// The client's registered id.
    pub client_id: &'a str,
    /// The registered redirect URI, byte for byte.
    pub redirect_uri: &'a str,
    /// The scope, verbatim.
    pub scope: &'a str,
    /// This request's state.
    pub state: &'a State,
    /// The challenge of this request's verifier.
    pub challenge: &'a CodeChallenge,
    /// Further parameters, each of another name.
    pub extra: &'a [(&'a str, &'a str)],
}

impl AuthorizationRequest<'_> {
    /// The URL to which the patient's browser goes.
    pub fn to_url(&self) -> String {
        let mut pairs = alloc::vec![
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("scope", self.scope),
            ("state", self.state.as_str()),
            ("code_challenge", self.challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        pairs.extend_from_slice(self.extra);
        self.endpoint.with_parameters(&pairs)
    }
}

/// A code that may be exchanged: it came with the right `state`, or out of an invitation.
///
/// Single use (RFC 6749 §4.1.2), hence not `Clone`.
pub struct AuthorizationCode(String);

impl AuthorizationCode {
    /// The code of an invitation's grant, which no redirect carried.
    pub(crate) fn granted(code: String) -> Self {
        AuthorizationCode(code)
    }

    /// The code, for the token request.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationCode(..)")
    }
}

/// The parameters of a redirect, of which nothing is believed yet.
pub struct AuthorizationResponse {
    state: Option<String>,
    issuer: Option<String>,
    result: Result<Option<String>, ServerError>,
}

impl AuthorizationResponse {
    /// Is this query an answer at all? A callback page that is opened or reloaded without one has nothing to finish.
    pub fn is_present(query: &str) -> bool {
        form_decode(query)
            .iter()
            .any(|(name, _)| matches!(name.as_str(), "code" | "state" | "error"))
    }

    /// The query without what belongs to an answer: what may stay in the address bar. A page's own parameters stay as
    /// they are written.
    pub fn scrubbed(query: &str) -> String {
        let mut rest = String::new();
        for pair in query.strip_prefix('?').unwrap_or(query).split('&') {
            let name = percent_decode(pair.split('=').next().unwrap_or_default());
            let is_answer = matches!(
                name.as_str(),
                "" | "code" | "state" | "iss" | "error" | "error_description" | "error_uri"
            );
            if !is_answer {
                rest.push(if rest.is_empty() { '?' } else { '&' });
                rest.push_str(pair);
            }
        }
        rest
    }

    /// Reads the query of the callback page's URL.
    ///
    /// # Errors
    /// [`ResponseError::Repeated`], [`ResponseError::CodeAndError`].
    pub fn parse(query: &str) -> Result<Self, ResponseError> {
        let pairs = form_decode(query);
        let get = |name: &str| single(&pairs, name).map_err(ResponseError::from);
        let (state, issuer, code) = (get("state")?, get("iss")?, get("code")?);
        let result = match get("error")? {
            Some(_) if code.is_some() => return Err(ResponseError::CodeAndError),
            Some(error) => Err(ServerError {
                error,
                description: get("error_description")?.unwrap_or_default(),
            }),
            None => Ok(code),
        };
        Ok(AuthorizationResponse {
            state,
            issuer,
            result,
        })
    }

    /// Does it carry any state at all?
    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// Believes the answer if it carries the state of the pending request, and hands out what it says.
    ///
    /// RFC 6749 §4.1.2.1 and §10.12: nothing of the answer counts before `state` matches, an error neither. RFC 9207
    /// §2.4: an `iss` must be the issuer that was advertised, and must be there where the server promised it.
    ///
    /// # Errors
    /// [`ResponseError`]; the server's own error is [`ResponseError::Server`].
    pub fn validate(
        self,
        state: &State,
        issuer: &ExpectedIssuer,
    ) -> Result<AuthorizationCode, ResponseError> {
        let found = self.state.ok_or(ResponseError::NoState)?;
        if found != state.as_str() {
            return Err(ResponseError::UnknownState);
        }
        match (self.issuer, &issuer.advertised) {
            (Some(found), Some(advertised)) if found != *advertised => {
                return Err(ResponseError::OtherIssuer);
            }
            (None, _) if issuer.required => return Err(ResponseError::OtherIssuer),
            _ => {}
        }
        match self.result {
            Ok(Some(code)) if !code.is_empty() => Ok(AuthorizationCode(code)),
            Ok(_) => Err(ResponseError::NoCode),
            Err(error) => Err(ResponseError::Server(error)),
        }
    }
}

impl fmt::Debug for AuthorizationResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationResponse(..)")
    }
}

/// What discovery said about the `iss` parameter of the answer (RFC 9207).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedIssuer {
    /// The server's `issuer`, where it advertises one.
    pub advertised: Option<String>,
    /// `authorization_response_iss_parameter_supported`: an answer without `iss` is not this server's.
    pub required: bool,
}

/// An error that the server reports, in a redirect (RFC 6749 §4.1.2.1) or at the token endpoint (§5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The error code, such as `access_denied`.
    pub error: String,
    /// `error_description`, often empty. Untrusted: to be shown as text only.
    pub description: String,
}

impl ServerError {
    /// Both in one line.
    pub fn describe(&self) -> String {
        match self.description.as_str() {
            "" => self.error.clone(),
            description => [&self.error, ": ", description].concat(),
        }
    }
}

/// Why a redirect gives no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseError {
    /// A parameter appeared more than once (RFC 6749 §3.1).
    Repeated(String),
    /// `code` and `error` together.
    CodeAndError,
    /// No `state`.
    NoState,
    /// A `state` that this tab did not send, or one that was used already.
    UnknownState,
    /// `iss` is not the issuer that the request went to, or is missing where it was promised (RFC 9207 §2.4).
    OtherIssuer,
    /// The right state, but neither a code nor an error.
    NoCode,
    /// The server's own error.
    Server(ServerError),
}

impl From<Repeated> for ResponseError {
    fn from(Repeated(name): Repeated) -> Self {
        ResponseError::Repeated(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::from_octets(&[1; 32])
    }

    fn validate(query: &str) -> Result<AuthorizationCode, ResponseError> {
        let query = query.replace("STATE", state().as_str());
        AuthorizationResponse::parse(&query)?.validate(&state(), &ExpectedIssuer::default())
    }

    #[test]
    fn a_code_with_the_right_state_is_handed_out() {
        let code = validate("?code=a%2Bb&state=STATE").unwrap();
        assert_eq!(code.secret(), "a+b");
        assert_eq!(alloc::format!("{code:?}"), "AuthorizationCode(..)");
    }

    #[test]
    fn foreign_state_is_refused_even_when_it_carries_an_error() {
        let error = validate("?error=access_denied&state=imposter").unwrap_err();
        assert_eq!(error, ResponseError::UnknownState);
        let error = validate("?error=access_denied").unwrap_err();
        assert_eq!(error, ResponseError::NoState);
    }

    #[test]
    fn an_error_with_the_right_state_is_the_servers() {
        let error = validate("?error=access_denied&error_description=No&state=STATE").unwrap_err();
        let ResponseError::Server(error) = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.describe(), "access_denied: No");
    }

    #[test]
    fn only_the_pages_own_parameters_stay_in_the_address() {
        let scrubbed = AuthorizationResponse::scrubbed;
        assert_eq!(scrubbed("?code=SECRET&state=s&iss=i"), "");
        assert_eq!(scrubbed("?%63ode=SECRET&%63%6Fde"), "");
        assert_eq!(
            scrubbed("?tab=1&error=e&error_description=d&error_uri=u&q=a%20b+c"),
            "?tab=1&q=a%20b+c"
        );
        assert_eq!(scrubbed(""), "");
        assert_eq!(scrubbed("?&code"), "");
        // The form takes one `?` away, and what is left reads the same again.
        assert_eq!(scrubbed("???code=1"), "???code=1");
        assert_eq!(scrubbed(&scrubbed("??a=1&code=2")), "??a=1");
    }

    #[test]
    fn repeated_parameters_are_refused() {
        for name in ["code", "state", "error", "iss"] {
            let query = ["?", name, "=1&", name, "=2"].concat();
            assert_eq!(
                AuthorizationResponse::parse(&query).unwrap_err(),
                ResponseError::Repeated(name.into())
            );
        }
    }

    #[test]
    fn code_and_error_together_are_refused() {
        assert_eq!(
            validate("?code=1&error=x&state=STATE").unwrap_err(),
            ResponseError::CodeAndError
        );
    }

    #[test]
    fn neither_code_nor_error_is_no_answer() {
        assert_eq!(validate("?state=STATE").unwrap_err(), ResponseError::NoCode);
        assert_eq!(
            validate("?state=STATE&code=").unwrap_err(),
            ResponseError::NoCode
        );
    }

    #[test]
    fn the_issuer_of_the_answer_is_compared_with_the_advertised_one() {
        let judge = |query: &str, advertised: Option<&str>, required| {
            let query = query.replace("STATE", state().as_str());
            let expected = ExpectedIssuer {
                advertised: advertised.map(Into::into),
                required,
            };
            AuthorizationResponse::parse(&query)
                .unwrap()
                .validate(&state(), &expected)
                .map(|_| ())
        };
        let honest = "?code=1&state=STATE&iss=https%3A%2F%2Fehr.example";
        assert_eq!(judge(honest, Some("https://ehr.example"), true), Ok(()));
        assert_eq!(
            judge(honest, Some("https://ehr.example/"), false),
            Err(ResponseError::OtherIssuer)
        );
        assert_eq!(
            judge("?code=1&state=STATE", Some("https://ehr.example"), true),
            Err(ResponseError::OtherIssuer)
        );
        assert_eq!(
            judge("?code=1&state=STATE", Some("https://ehr.example"), false),
            Ok(())
        );
        assert_eq!(judge(honest, None, false), Ok(()));
    }
}
