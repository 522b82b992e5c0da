//! The standalone launch: from a discovered server to the URL where the patient signs in, and what has to survive
//! until the patient is back.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::http::HttpRequest;
use crate::json::{Json, object};
use crate::oauth::authorization::{
    AuthorizationCode, AuthorizationRequest, AuthorizationResponse, ExpectedIssuer, ResponseError,
};
use crate::oauth::pkce::{CodeVerifier, State};
use crate::oauth::token::code_exchange_request;
use crate::smart::discovery::{Issuer, SmartConfiguration};
use crate::smart::identity::ExpectedIdentity;
use crate::text::{contains, number};
use crate::url::Url;

/// A sign-in that was begun longer ago than this is not finished any more, in milliseconds.
///
/// Half an hour: a patient who resets a forgotten portal password on the way is not turned away for it, and the
/// record never outlives its tab.
pub const PENDING_LIMIT_MS: u64 = 30 * 60 * 1000;

/// What a launch needs to know beside the server.
#[derive(Debug)]
pub struct LaunchRequest<'a> {
    /// The EHR, as configured.
    pub issuer: &'a Issuer,
    /// What discovery found there.
    pub configuration: &'a SmartConfiguration,
    /// This app's client id at the EHR.
    pub client_id: &'a str,
    /// The configured scope, sent verbatim.
    pub scope: &'a str,
    /// The redirect URI that is registered at the EHR, byte for byte.
    pub redirect_uri: &'a str,
    /// Random octets: for the state, and for the verifier.
    pub entropy: &'a [[u8; 32]; 2],
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

impl LaunchRequest<'_> {
    /// The URL to go to, and the record to keep until the patient is back.
    ///
    /// SMART App Launch 2.2: `aud` is the FHIR base URL; a standalone launch sends no `launch` parameter.
    pub fn begin(&self) -> (String, PendingLaunch) {
        let [state, verifier] = self.entropy;
        let state = State::from_octets(state);
        let verifier = CodeVerifier::from_octets(verifier);
        let challenge = verifier.challenge();
        let nonce = challenge.nonce();
        let extra = [("aud", self.issuer.as_str()), ("nonce", nonce.as_str())];
        // OpenID Connect Core §3.1.2.1; some servers insist on it.
        let count = 1 + usize::from(asks_for(self.scope, OPENID));
        let url = AuthorizationRequest {
            endpoint: &self.configuration.authorization_endpoint,
            client_id: self.client_id,
            redirect_uri: self.redirect_uri,
            scope: self.scope,
            state: &state,
            challenge: &challenge,
            extra: extra.get(..count).unwrap_or_default(),
        }
        .to_url();
        let pending = PendingLaunch {
            begun_at: self.now,
            state: state.as_str().to_owned(),
            verifier: verifier.secret().to_owned(),
            issuer: self.issuer.as_str().to_owned(),
            advertised_issuer: self.configuration.issuer.advertised.clone(),
            issuer_required: self.configuration.issuer.required,
            token_endpoint: self.configuration.token_endpoint.as_str().to_owned(),
            revocation_endpoint: self
                .configuration
                .revocation_endpoint
                .clone()
                .map(String::from),
            client_id: self.client_id.to_owned(),
            redirect_uri: self.redirect_uri.to_owned(),
            scope: self.scope.to_owned(),
        };
        (url, pending)
    }
}

/// A sign-in that waits for its answer: what must survive the redirect, and nothing else.
///
/// Single use: it is taken out of storage before its answer is looked at, and [`redeem`] consumes it.
pub struct PendingLaunch {
    begun_at: u64,
    state: String,
    verifier: String,
    issuer: String,
    advertised_issuer: Option<String>,
    issuer_required: bool,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    client_id: String,
    redirect_uri: String,
    scope: String,
}

impl PendingLaunch {
    /// The form in which it is stored: an object of strings.
    pub(crate) fn to_stored(&self) -> String {
        let begun_at = number(self.begun_at);
        let mut members = alloc::vec![
            ("begun_at", begun_at.as_str()),
            ("state", &self.state),
            ("verifier", &self.verifier),
            ("issuer", &self.issuer),
            ("token_endpoint", &self.token_endpoint),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", &self.scope),
        ];
        if let Some(advertised) = &self.advertised_issuer {
            members.push(("advertised_issuer", advertised));
        }
        if let Some(endpoint) = &self.revocation_endpoint {
            members.push(("revocation_endpoint", endpoint));
        }
        if self.issuer_required {
            members.push(("issuer_required", "true"));
        }
        object(&members)
    }

    /// Reads what [`PendingLaunch::to_stored`] wrote.
    pub(crate) fn from_stored(stored: Json<'_>) -> Option<Self> {
        Some(PendingLaunch {
            begun_at: stored.get("begun_at")?.whole_number()?,
            state: stored.get_string("state")?,
            verifier: stored.get_string("verifier")?,
            issuer: stored.get_string("issuer")?,
            token_endpoint: stored.get_string("token_endpoint")?,
            client_id: stored.get_string("client_id")?,
            redirect_uri: stored.get_string("redirect_uri")?,
            scope: stored.get_string("scope")?,
            revocation_endpoint: stored.get_string("revocation_endpoint"),
            advertised_issuer: stored.get_string("advertised_issuer"),
            issuer_required: stored.get("issuer_required").is_some(),
        })
    }

    fn redeem(
        self,
        response: AuthorizationResponse,
        page: &Url,
        now: u64,
    ) -> Result<(HttpRequest, Launched), LaunchError> {
        let expected = ExpectedIssuer {
            advertised: self.advertised_issuer,
            required: self.issuer_required,
        };
        let code: AuthorizationCode = response
            .validate(&State::restored(&self.state), &expected)
            .map_err(LaunchError::Response)?;
        if now.saturating_sub(self.begun_at) > PENDING_LIMIT_MS {
            return Err(LaunchError::Expired);
        }
        let issuer = Issuer::parse(&self.issuer, page).map_err(|_| LaunchError::Damaged)?;
        let endpoint = Url::parse(&self.token_endpoint).map_err(|_| LaunchError::Damaged)?;
        let verifier = CodeVerifier::restored(self.verifier);
        let nonce = asks_for(&self.scope, OPENID).then(|| verifier.challenge().nonce());
        let request = code_exchange_request(
            &endpoint,
            &self.client_id,
            &self.redirect_uri,
            code,
            verifier,
        );
        let launched = Launched {
            issuer,
            identity: ExpectedIdentity {
                issuer: expected.advertised,
                nonce,
            },
            scope: self.scope,
            token_endpoint: endpoint,
            revocation_endpoint: self.revocation_endpoint.and_then(|it| Url::parse(&it).ok()),
            client_id: self.client_id,
        };
        Ok((request, launched))
    }
}

impl fmt::Debug for PendingLaunch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLaunch(..)")
    }
}

/// Judges the answer in the callback page's query and makes the token request of it.
///
/// `pending` is what this tab had stored. Without it the answer belongs to another tab, or was used already.
///
/// # Errors
/// [`LaunchError`]; in every case `pending` is used up.
pub fn redeem(
    pending: Option<PendingLaunch>,
    query: &str,
    page: &Url,
    now: u64,
) -> Result<(HttpRequest, Launched), LaunchError> {
    let response = AuthorizationResponse::parse(query).map_err(LaunchError::Response)?;
    match pending {
        Some(pending) => pending.redeem(response, page, now),
        None if response.has_state() => Err(LaunchError::Response(ResponseError::UnknownState)),
        None => Err(LaunchError::Response(ResponseError::NoState)),
    }
}

/// What is still known of a launch once its code went out.
#[derive(Debug)]
pub struct Launched {
    /// The EHR that the patient authorized at: the source of every record, whatever the page is configured for.
    pub issuer: Issuer,
    /// The scope that was asked for.
    pub scope: String,
    /// Where tokens come from.
    pub token_endpoint: Url,
    /// Where a token can be ended, if anywhere.
    pub revocation_endpoint: Option<Url>,
    /// This app's client id at the EHR.
    pub client_id: String,
    /// What an identity token has to agree with.
    pub identity: ExpectedIdentity,
}

/// Why an answer does not finish the pending launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchError {
    /// The answer is not believed, or it is an error.
    Response(ResponseError),
    /// The sign-in was begun too long ago.
    Expired,
    /// The stored record can't be read.
    Damaged,
}

/// The scope with which an identity token is asked for.
const OPENID: &str = "openid";

fn asks_for(scope: &str, wanted: &str) -> bool {
    scope.split(' ').any(|item| item == wanted)
}

/// What may be unwise in a configured scope; it is sent as it is all the same. For the console of the study team.
pub fn scope_advice(scope: &str) -> Vec<&'static str> {
    let mut advice = Vec::new();
    let mut advise = |when: bool, what| {
        if when {
            advice.push(what);
        }
    };
    advise(
        !asks_for(scope, "launch/patient"),
        "scope lacks launch/patient: the EHR need not say which patient signed in",
    );
    advise(
        asks_for(scope, OPENID) != asks_for(scope, "fhirUser"),
        "SMART asks for openid and fhirUser together, or for neither",
    );
    advise(
        contains(scope, "*"),
        "scope holds a wildcard: ask only for what is pulled",
    );
    advise(
        scope.split(' ').any(has_unordered_permissions),
        "SMART v2 permissions stand in the order c, r, u, d, s",
    );
    advice
}

/// Are a scope's letters SMART v2's, but out of order, as in `patient/Observation.sr`?
fn has_unordered_permissions(item: &str) -> bool {
    let Some((_, permissions)) = item
        .split_once('/')
        .and_then(|(_, rest)| rest.split_once('.'))
    else {
        return false;
    };
    let letters = permissions.split('?').next().unwrap_or("");
    let (mut last, mut is_unordered) = (0, false);
    for letter in letters.bytes() {
        let Some(place) = b"cruds".iter().position(|&known| known == letter) else {
            return false;
        };
        is_unordered |= place < last;
        last = place;
    }
    is_unordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;
    use crate::text::{base64url, form_decode};

    const PAGE: &str = "https://jhe.example/clients/mychart/";
    const SCOPE: &str = "openid launch/patient patient/Observation.read";

    fn page() -> Url {
        Url::parse(PAGE).unwrap()
    }

    fn begin(endpoint: &str, scope: &str) -> (String, PendingLaunch) {
        let issuer = Issuer::parse("https://ehr.example/R4/", &page()).unwrap();
        let body = [
            r#"{"authorization_endpoint":""#,
            endpoint,
            r#"","token_endpoint":"https://ehr.example/token","revocation_endpoint":"https://ehr.example/revoke"}"#,
        ]
        .concat();
        let configuration =
            SmartConfiguration::from_response(&json(200, &body), &issuer, &page()).unwrap();
        let entropy = [[1; 32], [2; 32]];
        LaunchRequest {
            issuer: &issuer,
            configuration: &configuration,
            client_id: "client 1",
            scope,
            redirect_uri: "https://jhe.example/clients/mychart/callback",
            entropy: &entropy,
            now: 1_000,
        }
        .begin()
    }

    fn redeem(pending: PendingLaunch, query: &str, now: u64) -> Result<HttpRequest, LaunchError> {
        let query = query.replace("STATE", &base64url(&[1; 32]));
        super::redeem(Some(pending), &query, &page(), now).map(|(request, _)| request)
    }

    #[test]
    fn the_request_has_every_parameter_once_and_no_verifier() {
        let (url, _) = begin("https://ehr.example/authorize?tenant=7", SCOPE);
        assert!(url.starts_with("https://ehr.example/authorize?tenant=7&response_type=code&"));
        let url = Url::parse(&url).unwrap();
        let pairs = form_decode(url.query());
        let value = |name: &str| {
            let mut values = pairs.iter().filter(|(n, _)| n == name);
            let value = values.next().map(|(_, v)| v.as_str());
            assert!(values.next().is_none(), "{name} appears twice");
            value
        };
        assert_eq!(value("client_id"), Some("client 1"));
        assert_eq!(value("scope"), Some(SCOPE));
        assert_eq!(value("aud"), Some("https://ehr.example/R4/"));
        assert_eq!(
            value("redirect_uri"),
            Some("https://jhe.example/clients/mychart/callback")
        );
        assert_eq!(value("state").map(str::len), Some(43));
        assert_eq!(value("nonce").map(str::len), Some(43));
        assert_eq!(value("code_challenge_method"), Some("S256"));
        assert_eq!(
            value("code_challenge"),
            Some(CodeVerifier::from_octets(&[2; 32]).challenge().as_str())
        );
        assert_eq!(value("launch"), None);
        assert!(!url.as_str().contains(&base64url(&[2; 32])));
    }

    #[test]
    fn a_nonce_is_sent_only_with_openid() {
        let (url, _) = begin("https://ehr.example/authorize", "launch/patient");
        assert!(!url.contains("nonce="));
    }

    #[test]
    fn the_code_goes_to_the_discovered_token_endpoint_with_the_verifier() {
        let (_, pending) = begin("https://ehr.example/authorize", SCOPE);
        let request = redeem(pending, "?code=c&state=STATE", 2_000).unwrap();
        assert_eq!(request.url.as_str(), "https://ehr.example/token");
        let body = request.body.unwrap();
        assert!(body.contains(&base64url(&[2; 32])));
        assert!(body.contains("client_id=client%201"));
    }

    #[test]
    fn a_foreign_state_is_told_before_a_late_answer() {
        let (_, pending) = begin("https://ehr.example/authorize", SCOPE);
        let late = 1_001 + PENDING_LIMIT_MS;
        assert_eq!(
            redeem(pending, "?code=c&state=other", late).unwrap_err(),
            LaunchError::Response(ResponseError::UnknownState)
        );
        let (_, pending) = begin("https://ehr.example/authorize", SCOPE);
        assert_eq!(
            redeem(pending, "?code=c&state=STATE", late).unwrap_err(),
            LaunchError::Expired
        );
    }

    #[test]
    fn an_answer_without_a_pending_launch_is_refused() {
        let judge = |query: &str| super::redeem(None, query, &page(), 0).unwrap_err();
        assert_eq!(
            judge("?code=c&state=s"),
            LaunchError::Response(ResponseError::UnknownState)
        );
        assert_eq!(
            judge("?error=access_denied"),
            LaunchError::Response(ResponseError::NoState)
        );
    }

    #[test]
    fn a_pending_launch_survives_storage_and_hides_in_debug() {
        let (_, pending) = begin("https://ehr.example/authorize", SCOPE);
        let stored = pending.to_stored();
        let stored = Json::parse(stored.as_bytes()).unwrap();
        let restored = PendingLaunch::from_stored(stored).unwrap();
        assert_eq!(alloc::format!("{restored:?}"), "PendingLaunch(..)");
        let query = "?code=c&state=STATE".replace("STATE", &base64url(&[1; 32]));
        let (_, launched) = super::redeem(Some(restored), &query, &page(), 1_000).unwrap();
        assert_eq!(
            launched.revocation_endpoint.unwrap().as_str(),
            "https://ehr.example/revoke"
        );
    }

    #[test]
    fn scopes_are_advised_on_and_never_changed() {
        assert_eq!(
            scope_advice("launch/patient patient/Observation.rs"),
            [""; 0]
        );
        assert_eq!(scope_advice("patient/Observation.read").len(), 1);
        assert_eq!(scope_advice("openid launch/patient patient/*.sr").len(), 3);
    }
}
