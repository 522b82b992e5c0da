//! The invitation link, its redemption, and the JHE token.
//!
//! JHE gives a patient a link with a token. Redeeming it yields an OAuth grant whose code must be exchanged within a
//! minute; the verifier is derived from the token.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use crate::exchange::jhe::{JheSession, at};
use crate::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use crate::json::Json;
use crate::oauth::authorization::AuthorizationCode;
use crate::oauth::pkce::CodeVerifier;
use crate::oauth::token::{AccessToken, TokenError, code_exchange_request};
use crate::text::{contains, form_decode, percent_decode, single, split_last};
use crate::url::Url;

/// The token of an invitation that was made for this page's host.
pub struct Invitation {
    token: String,
    octets: [u8; 32],
}

impl Invitation {
    /// Reads the connect page's query: `?code=<host>_<token>`.
    ///
    /// `page_host` is the page's own host with its port. The link's host must be the same: JHE's API has no CORS, and
    /// a foreign host could answer with a grant of its own and so collect this patient's records.
    ///
    /// # Errors
    /// [`InvitationError::Missing`], [`Malformed`](InvitationError::Malformed),
    /// [`OtherHost`](InvitationError::OtherHost).
    pub fn parse(query: &str, page_host: &str) -> Result<Self, InvitationError> {
        let pairs = form_decode(query);
        let code = single(&pairs, "code").map_err(|_| InvitationError::Malformed)?;
        let code = code
            .filter(|code| !code.is_empty())
            .ok_or(InvitationError::Missing)?;
        // A token holds no `_`, a host may.
        let (host, token) = split_last(&code, b'_').ok_or(InvitationError::Malformed)?;
        let host = percent_decode(host);
        let octets = <[u8; 32]>::try_from(token.as_bytes());
        let octets = octets.map_err(|_| InvitationError::Malformed)?;
        // A host holds no `@`: with one, an address would show a name and lead elsewhere.
        let is_token = octets.iter().all(u8::is_ascii_alphanumeric);
        if !is_token || host.is_empty() || contains(&host, "@") {
            return Err(InvitationError::Malformed);
        }
        if !host.eq_ignore_ascii_case(page_host) {
            return Err(InvitationError::OtherHost {
                invitation: host,
                page: page_host.to_owned(),
            });
        }
        Ok(Invitation {
            token: token.to_owned(),
            octets,
        })
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invitation(..)")
    }
}

/// The request that redeems an invitation: a POST without body and without authorization.
pub fn redeem_request(jhe: &Url, invitation: &Invitation) -> HttpRequest {
    let path = ["api/v1/invitation/", &invitation.token].concat();
    HttpRequest::post(at(jhe, &path))
}

/// What a redeemed invitation grants.
#[derive(Debug)]
pub struct Grant {
    code: AuthorizationCode,
    client_id: String,
    redirect_uri: String,
}

impl Grant {
    /// Reads the answer to a redemption.
    ///
    /// # Errors
    /// [`InvitationError`], one for each documented status.
    pub fn from_response(response: &HttpResponse) -> Result<Self, InvitationError> {
        match response.status {
            _ if response.is_success() => {}
            404 => return Err(InvitationError::Unknown),
            409 => return Err(InvitationError::Used),
            410 => return Err(InvitationError::Expired),
            403 => return Err(InvitationError::Cancelled),
            400 => return Err(InvitationError::NoLogin(response.describe())),
            _ => return Err(InvitationError::Refused(response.describe())),
        }
        let grant = response.json().and_then(|body| body.get("grant"));
        grant
            .and_then(Self::read)
            .ok_or_else(|| InvitationError::Refused("HTTP 200 without a grant".into()))
    }

    fn read(grant: Json<'_>) -> Option<Self> {
        Some(Grant {
            code: AuthorizationCode::granted(grant.get_string("code")?),
            client_id: grant.get_string("client_id")?,
            redirect_uri: grant.get_string("redirect_uri")?,
        })
    }
}

/// The request that exchanges a grant for the JHE token.
///
/// The grant's `token_endpoint` is not used: behind a proxy it may name another scheme. `redirect_uri` is JHE's own
/// and is sent back as it came.
pub fn token_request(jhe: &Url, invitation: &Invitation, grant: Grant) -> HttpRequest {
    code_exchange_request(
        &at(jhe, "o/token/"),
        &grant.client_id,
        &grant.redirect_uri,
        grant.code,
        CodeVerifier::from_invitation(&invitation.octets),
    )
}

/// From the invitation to a session at JHE: redeem, exchange, and once more if the code was superseded meanwhile.
///
/// Each redemption deletes the code of the one before, so that two tabs or a double click make the first code
/// `invalid_grant`.
#[derive(Debug)]
pub struct Enrolment {
    jhe: Url,
    invitation: Invitation,
    step: Step,
    is_second_try: bool,
    client_id: String,
}

#[derive(Debug)]
enum Step {
    Redeem,
    AwaitGrant,
    Exchange(Grant),
    AwaitToken,
    End(Result<JheSession, EnrolmentError>),
}

impl Enrolment {
    /// Enrolment at the JHE whose base is `jhe`.
    pub fn new(jhe: Url, invitation: Invitation) -> Self {
        Enrolment {
            jhe,
            invitation,
            step: Step::Redeem,
            is_second_try: false,
            client_id: String::new(),
        }
    }

    /// Has it come to its end?
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.step, Step::End(_))
    }

    /// The session.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn finish(self) -> Result<JheSession, EnrolmentError> {
        match self.step {
            Step::End(result) => result,
            _ => Err(EnrolmentError::Invitation(InvitationError::Transport(
                TransportError::Unreachable,
            ))),
        }
    }

    fn after_redemption(answer: Answer) -> Step {
        let grant = answer
            .map_err(InvitationError::Transport)
            .and_then(|answer| Grant::from_response(&answer));
        match grant {
            Ok(grant) => Step::Exchange(grant),
            Err(error) => Step::End(Err(EnrolmentError::Invitation(error))),
        }
    }

    fn after_exchange(&mut self, answer: Answer) -> Step {
        let token = answer
            .map_err(JheTokenError::Transport)
            .and_then(|answer| AccessToken::from_response(&answer).map_err(JheTokenError::Token));
        match token {
            Ok(token) => Step::End(Ok(JheSession::new(
                self.jhe.clone(),
                token,
                core::mem::take(&mut self.client_id),
            ))),
            Err(error) if error.is_superseded() && !self.is_second_try => {
                self.is_second_try = true;
                Step::Redeem
            }
            Err(error) => Step::End(Err(EnrolmentError::Token(error))),
        }
    }
}

impl Conversation for Enrolment {
    fn next_request(&mut self) -> Option<HttpRequest> {
        match core::mem::replace(&mut self.step, Step::AwaitGrant) {
            Step::Redeem => Some(redeem_request(&self.jhe, &self.invitation)),
            Step::Exchange(grant) => {
                self.step = Step::AwaitToken;
                self.client_id.clone_from(&grant.client_id);
                Some(token_request(&self.jhe, &self.invitation, grant))
            }
            other => {
                self.step = other;
                None
            }
        }
    }

    fn receive(&mut self, answer: Answer) {
        self.step = match self.step {
            Step::AwaitToken => self.after_exchange(answer),
            _ => Self::after_redemption(answer),
        };
    }
}

/// Why enrolment ended without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolmentError {
    /// The invitation could not be redeemed.
    Invitation(InvitationError),
    /// The grant could not be exchanged.
    Token(JheTokenError),
}

/// What is wrong with an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationError {
    /// The page was opened without `code`.
    Missing,
    /// `code` is not of the form `<host>_<token>`, or appears twice.
    Malformed,
    /// The link was made for another host.
    OtherHost {
        /// The host in the link.
        invitation: String,
        /// The page's host.
        page: String,
    },
    /// 404: JHE does not know it.
    Unknown,
    /// 409: redeemed more than 12 hours ago, or replaced by a newer one.
    Used,
    /// 410: not redeemed within a week.
    Expired,
    /// 403.
    Cancelled,
    /// 400: the patient has no login at JHE; what JHE answered.
    NoLogin(String),
    /// Another answer; status and start of the body.
    Refused(String),
    /// No readable answer.
    Transport(TransportError),
}

/// Why JHE gave no token for the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JheTokenError {
    /// JHE's answer.
    Token(TokenError),
    /// No readable answer.
    Transport(TransportError),
}

impl JheTokenError {
    /// Does JHE not know the code, as happens when a later redemption replaced it?
    fn is_superseded(&self) -> bool {
        matches!(self, JheTokenError::Token(error) if error.error() == "invalid_grant")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::http::testing::{header, json};

    const TOKEN: &str = "0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy";
    const GRANT: &str = r#"{"grant":{"grant_type":"authorization_code","redirect_uri":"https://jhe.example/auth/callback",
        "client_id":"C","code":"K"},"token_endpoint":"http://evil.example/o/token/","expires":"2026-11-21T23:38:41Z"}"#;
    const TOKEN_ANSWER: &str =
        r#"{"access_token":"J","expires_in":1209600,"token_type":"Bearer","scope":"openid email"}"#;

    fn invitation() -> Invitation {
        let query = ["?code=jhe.example_", TOKEN].concat();
        Invitation::parse(&query, "jhe.example").unwrap()
    }

    fn parse(code: &str) -> Result<Invitation, InvitationError> {
        Invitation::parse(&["?code=", code].concat(), "localhost:8010")
    }

    #[test]
    fn the_host_of_a_link_may_be_percent_encoded_once_or_twice() {
        for host in ["localhost%3A8010", "localhost:8010", "localhost%253A8010"] {
            let code = [host, "_", TOKEN].concat();
            assert_eq!(parse(&code).unwrap().token, TOKEN);
        }
    }

    #[test]
    fn the_last_underscore_separates_host_and_token() {
        let query = ["?code=my_host.example_", TOKEN].concat();
        assert!(Invitation::parse(&query, "my_host.example").is_ok());
    }

    #[test]
    fn a_link_for_another_host_is_refused_and_names_both() {
        let code = ["localhost%3A8000_", TOKEN].concat();
        assert_eq!(
            parse(&code).unwrap_err(),
            InvitationError::OtherHost {
                invitation: "localhost:8000".into(),
                page: "localhost:8010".into()
            }
        );
        let without_port = ["localhost_", TOKEN].concat();
        assert!(matches!(
            parse(&without_port),
            Err(InvitationError::OtherHost { .. })
        ));
    }

    #[test]
    fn missing_and_malformed_codes_are_told_apart() {
        for query in ["", "?", "?code=", "?other=1"] {
            assert_eq!(
                Invitation::parse(query, "h").unwrap_err(),
                InvitationError::Missing
            );
        }
        for code in [
            "abc",
            "localhost%3A8010_",
            "localhost%3A8010_short",
            "localhost%3A8010_0wYuXvhoyRfko9yFYl9inpBiNkHLVBM-",
            "_0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy",
            "jhe.example%40evil.example_0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy",
            "a_0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy&code=b",
        ] {
            assert_eq!(
                parse(code).unwrap_err(),
                InvitationError::Malformed,
                "{code}"
            );
        }
    }

    #[test]
    fn a_redemption_has_neither_body_nor_authorization() {
        let request = redeem_request(&Url::parse("https://jhe.example/").unwrap(), &invitation());
        assert_eq!(
            request.url.as_str(),
            "https://jhe.example/api/v1/invitation/0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy"
        );
        assert!(request.body.is_none());
        assert_eq!(header(&request, "Authorization"), None);
    }

    #[test]
    fn each_documented_refusal_has_its_own_error() {
        let refusal = |status, body| Grant::from_response(&json(status, body)).unwrap_err();
        assert_eq!(
            refusal(404, r#"{"detail":"Invitation not found or already used."}"#),
            InvitationError::Unknown
        );
        assert_eq!(refusal(409, "{}"), InvitationError::Used);
        assert_eq!(refusal(410, "{}"), InvitationError::Expired);
        assert_eq!(refusal(403, "{}"), InvitationError::Cancelled);
        assert!(matches!(
            refusal(400, r#"["Patient has no associated user account."]"#),
            InvitationError::NoLogin(_)
        ));
        assert!(matches!(refusal(401, "{}"), InvitationError::Refused(_)));
        assert!(matches!(refusal(200, "{}"), InvitationError::Refused(_)));
    }

    fn converse(answers: &[(u16, &str)]) -> (Vec<HttpRequest>, Result<JheSession, EnrolmentError>) {
        let mut enrolment =
            Enrolment::new(Url::parse("https://jhe.example/").unwrap(), invitation());
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        while let Some(request) = enrolment.next_request() {
            asked.push(request);
            let (status, body) = answers.next().unwrap();
            enrolment.receive(Ok(json(*status, body)));
        }
        (asked, enrolment.finish())
    }

    #[test]
    fn the_grant_is_exchanged_at_jhe_itself_with_the_derived_verifier() {
        let (asked, session) = converse(&[(200, GRANT), (200, TOKEN_ANSWER)]);
        assert_eq!(session.unwrap().token().secret(), "J");
        assert_eq!(asked[1].url.as_str(), "https://jhe.example/o/token/");
        assert_eq!(
            asked[1].body.as_deref(),
            Some(
                "grant_type=authorization_code&code=K&redirect_uri=https%3A%2F%2Fjhe.example%2Fauth%2Fcallback\
                 &client_id=C&code_verifier=MHdZdVh2aG95UmZrbzl5RllsOWlucEJpTmtITFZCTXk"
            )
        );
    }

    #[test]
    fn a_superseded_code_is_fetched_afresh_once() {
        const SUPERSEDED: (u16, &str) = (400, r#"{"error":"invalid_grant"}"#);
        let (asked, session) =
            converse(&[(200, GRANT), SUPERSEDED, (200, GRANT), (200, TOKEN_ANSWER)]);
        assert_eq!(asked.len(), 4);
        assert!(session.is_ok());
        let (asked, session) = converse(&[(200, GRANT), SUPERSEDED, (200, GRANT), SUPERSEDED]);
        assert_eq!(asked.len(), 4);
        assert!(matches!(session, Err(EnrolmentError::Token(_))));
    }

    #[test]
    fn another_refusal_is_not_tried_again() {
        let (asked, session) = converse(&[
            (200, GRANT),
            (
                400,
                r#"{"error":"invalid_request","error_description":"Mismatching redirect URI."}"#,
            ),
        ]);
        assert_eq!(asked.len(), 2);
        assert!(matches!(session, Err(EnrolmentError::Token(_))));
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_panic(query in "\\PC*", host in "[a-z.:0-9]{0,12}") {
            drop(Invitation::parse(&query, &host));
        }

        #[test]
        fn a_link_of_this_host_is_always_read(host in "[a-z0-9_.-]{1,20}(:[0-9]{1,5})?", token in "[A-Za-z0-9]{32}") {
            let query = ["?code=", &crate::text::percent_encode(&host), "_", &token].concat();
            prop_assert_eq!(Invitation::parse(&query, &host).unwrap().token, token);
        }
    }
}
