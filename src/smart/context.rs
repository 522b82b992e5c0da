//! The launch context that the token response carries: patient, granted scopes, deadline.

use alloc::string::String;
use core::fmt;

use crate::http::HttpRequest;
use crate::json::{Json, object};
use crate::oauth::revocation::{Token, revocation_request};
use crate::oauth::token::{AccessToken, RefreshToken, TokenResponse, refresh_request};
use crate::smart::discovery::Issuer;
use crate::smart::identity::{ExpectedIdentity, Inquiry, Verdict};
use crate::smart::launch::Launched;
use crate::smart::user::FhirUser;
use crate::text::{contains, number, split_last};
use crate::url::Url;

/// What the patient's sign-in gave.
pub struct LaunchContext {
    /// The EHR that it holds for.
    pub issuer: Issuer,
    /// The token for that EHR's FHIR base, and for nothing else.
    pub access_token: AccessToken,
    /// The patient's id at the EHR.
    pub patient: String,
    /// The granted scope; what was asked for where the server did not say (RFC 6749 §5.1).
    pub scope: String,
    /// When the token ends, in milliseconds since the Unix epoch. A server that does not say is taken to grant five
    /// minutes.
    pub expires_at: u64,
    /// So long before its end it is renewed, in milliseconds.
    ahead_ms: u64,
    /// When the access as a whole ends, by the server's own word; `None` where it did not say.
    pub lasts_until: Option<u64>,
    /// OpenID Connect's identity token, not verified: not to be used as identity. See [`LaunchContext::inquiry`].
    pub id_token: Option<String>,
    /// What the identity token has to agree with.
    expected_identity: ExpectedIdentity,
    /// Who signed in, by an identity token that was verified.
    fhir_user: Option<FhirUser>,
    /// For a new access token, where the EHR gives one.
    pub refresh_token: Option<RefreshToken>,
    /// Where tokens come from.
    pub token_endpoint: Url,
    /// Where they can be ended, if anywhere.
    pub revocation_endpoint: Option<Url>,
    /// This app's client id at the EHR.
    pub client_id: String,
    /// athenahealth serves many practices under one base: that of the patient.
    pub practice: Option<String>,
}

const UNKNOWN_LIFETIME_S: u64 = 300;
/// A token is renewed so long before its end, in milliseconds, or when half of its life is over, if that is later: one that
/// lives no longer than this would be renewed before every page.
const RENEWED_AHEAD_MS: u64 = 60_000;

impl LaunchContext {
    /// Reads the context out of the token response.
    ///
    /// # Errors
    /// [`ContextError::NoPatient`]: the patient is never guessed from other claims.
    pub fn new(
        launched: Launched,
        response: TokenResponse,
        now: u64,
    ) -> Result<Self, ContextError> {
        let lasts_until = end_of_access(&response, now);
        let patient = response.patient.ok_or(ContextError::NoPatient)?;
        let lifetime_s = response.expires_in.unwrap_or(UNKNOWN_LIFETIME_S);
        Ok(LaunchContext {
            fhir_user: None,
            expected_identity: launched.identity,
            issuer: launched.issuer,
            access_token: response.access_token,
            patient,
            scope: response.scope.unwrap_or(launched.scope),
            expires_at: now.saturating_add(lifetime_s.saturating_mul(1000)),
            ahead_ms: ahead_ms(lifetime_s),
            lasts_until,
            id_token: response.id_token,
            refresh_token: response.refresh_token,
            token_endpoint: launched.token_endpoint,
            revocation_endpoint: launched.revocation_endpoint,
            client_id: launched.client_id,
            practice: response.practice,
        })
    }

    /// The question whether the identity token is right, where there is one.
    pub fn inquiry(&self) -> Option<Inquiry> {
        Some(Inquiry {
            issuer: self.issuer.clone(),
            id_token: self.id_token.clone()?,
            client_id: self.client_id.clone(),
            expected: self.expected_identity.clone(),
        })
    }

    /// Takes the answer. Only one that was verified says who signed in; gives why it says nothing, where that is so.
    ///
    /// # Errors
    /// [`ForgedIdentity`]: this access is not to be used.
    pub fn identify(&mut self, verdict: Verdict) -> Result<Option<String>, ForgedIdentity> {
        match verdict {
            Verdict::Verified(identity) => {
                self.fhir_user = identity.into_fhir_user();
                Ok(None)
            }
            Verdict::Unverified(why) => Ok(Some(why)),
            Verdict::Forged(what) => Err(ForgedIdentity(what)),
        }
    }

    /// Who signed in, by an identity token that was verified.
    pub fn fhir_user(&self) -> Option<&FhirUser> {
        self.fhir_user.as_ref()
    }

    /// The request for a new access token, where there is a refresh token and the access token ends soon or `is_refused`.
    pub fn renewal_request(&self, now: u64, is_refused: bool) -> Option<HttpRequest> {
        let refresh_token = self.refresh_token.as_ref()?;
        let is_due = is_refused || now.saturating_add(self.ahead_ms) >= self.expires_at;
        // RFC 6749 §6: without a scope it stays what was granted. athenahealth wants it said.
        let scope = self.practice.as_ref().map(|_| self.scope.as_str());
        is_due.then(|| refresh_request(&self.token_endpoint, &self.client_id, refresh_token, scope))
    }

    /// Takes a renewed token. What the response lacks stays as it was; the old refresh token goes as soon as there is a
    /// new one.
    pub fn renew(&mut self, response: TokenResponse, now: u64) {
        let lifetime_s = response.expires_in.unwrap_or(UNKNOWN_LIFETIME_S);
        // The end of a refresh token that stays is known already.
        if response.refresh_token.is_some() || self.refresh_token.is_none() {
            self.lasts_until = end_of_access(&response, now);
        }
        self.access_token = response.access_token;
        self.expires_at = now.saturating_add(lifetime_s.saturating_mul(1000));
        self.ahead_ms = ahead_ms(lifetime_s);
        if response.refresh_token.is_some() {
            self.refresh_token = response.refresh_token;
        }
    }

    /// The request that ends this access at the EHR, where it can be ended.
    pub fn revocation_request(&self) -> Option<HttpRequest> {
        let endpoint = self.revocation_endpoint.as_ref()?;
        let token = Token::to_end(&self.access_token, self.refresh_token.as_ref());
        Some(revocation_request(endpoint, &self.client_id, token))
    }

    /// Is it about the same patient of the same EHR?
    pub fn is_of_same_patient(&self, other: &LaunchContext) -> bool {
        self.patient == other.patient && self.issuer.as_str() == other.issuer.as_str()
    }

    /// The form in which it is stored, for a reload: an object of strings. The identity token is not part of it.
    pub(crate) fn to_stored(&self) -> String {
        let expires_at = number(self.expires_at);
        let fhir_user = self.fhir_user.as_ref().map(FhirUser::reference);
        let mut members = alloc::vec![
            ("issuer", self.issuer.as_str()),
            ("token", self.access_token.secret()),
            ("patient", &self.patient),
            ("scope", &self.scope),
            ("expires_at", &expires_at),
            ("token_endpoint", self.token_endpoint.as_str()),
            ("client_id", &self.client_id),
        ];
        if let Some(refresh_token) = &self.refresh_token {
            members.push(("refresh_token", refresh_token.secret()));
        }
        if let Some(endpoint) = &self.revocation_endpoint {
            members.push(("revocation_endpoint", endpoint.as_str()));
        }
        if let Some(practice) = &self.practice {
            members.push(("practice", practice));
        }
        let lasts_until = self.lasts_until.map(number);
        if let Some(lasts_until) = &lasts_until {
            members.push(("lasts_until", lasts_until));
        }
        if let Some(fhir_user) = &fhir_user {
            members.push(("fhir_user", fhir_user));
        }
        object(&members)
    }

    /// Reads what [`LaunchContext::to_stored`] wrote; `page` is the page's own URL.
    pub(crate) fn from_stored(stored: Json<'_>, page: &Url) -> Option<Self> {
        let issuer = Issuer::parse(&stored.get_string("issuer")?, page).ok()?;
        let fhir_user = stored.get_string("fhir_user");
        let revocation_endpoint = stored.get_string("revocation_endpoint");
        Some(LaunchContext {
            fhir_user: fhir_user.and_then(|user| FhirUser::from_reference(&user, issuer.base())),
            issuer,
            access_token: AccessToken::new(stored.get_string("token")?),
            patient: stored.get_string("patient")?,
            scope: stored.get_string("scope")?,
            expires_at: stored.get("expires_at")?.whole_number()?,
            ahead_ms: RENEWED_AHEAD_MS,
            lasts_until: stored.get("lasts_until").and_then(Json::whole_number),
            id_token: None,
            expected_identity: ExpectedIdentity::default(),
            refresh_token: stored.get_string("refresh_token").map(RefreshToken::new),
            token_endpoint: Url::parse(&stored.get_string("token_endpoint")?).ok()?,
            revocation_endpoint: revocation_endpoint.and_then(|it| Url::parse(&it).ok()),
            client_id: stored.get_string("client_id")?,
            practice: stored.get_string("practice"),
        })
    }

    /// May the documents be read that records refer to?
    pub fn grants_documents(&self) -> bool {
        grants(&self.scope, "Binary", Right::Read)
    }

    /// The value of [`PRACTICE`], where it is needed.
    pub(crate) fn practice_reference(&self) -> Option<String> {
        let practice = self.practice.as_ref()?;
        Some(match practice.starts_with(ORGANIZATION) {
            true => practice.clone(),
            false => [ORGANIZATION, practice].concat(),
        })
    }
}

/// How long before its end a token is renewed that lives so long.
fn ahead_ms(lifetime_s: u64) -> u64 {
    lifetime_s.saturating_mul(500).min(RENEWED_AHEAD_MS)
}

/// When the access ends that a token response gives: with its refresh token, or with the access token where there is none.
fn end_of_access(response: &TokenResponse, now: u64) -> Option<u64> {
    let lifetime_s = match response.refresh_token {
        Some(_) => response.refresh_expires_in,
        None => response.expires_in,
    };
    Some(now.saturating_add(lifetime_s?.saturating_mul(1000)))
}

/// What athenahealth needs in each query.
pub(crate) const PRACTICE: &str = "ah-practice";
const ORGANIZATION: &str = "Organization/";

impl fmt::Debug for LaunchContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaunchContext(..)")
    }
}

/// What a scope may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read one resource by its id.
    Read,
    /// To search.
    Search,
}

/// Does a granted scope allow this with `resource_type`?
///
/// Servers answer in either syntax whatever was asked, in any order and case, and Epic's samples leave the `patient/`
/// away. SMART v1's `read` and `*` allow both, Epic's `search` to search, and v2 has a letter for each.
pub fn grants(scope: &str, resource_type: &str, right: Right) -> bool {
    let (word, letter) = match right {
        Right::Read => ("read", "r"),
        Right::Search => ("search", "s"),
    };
    // RFC 6749 §3.3: a space stands between two.
    scope.split(' ').any(|item| {
        let item = item.split('?').next().unwrap_or("");
        let item = split_last(item, b'/').map_or(item, |(_, rest)| rest);
        let Some((granted_type, permissions)) = item.split_once('.') else {
            return false;
        };
        let lower = permissions.to_ascii_lowercase();
        let is_v2 = permissions.bytes().all(|letter| b"cruds".contains(&letter));
        let may = lower == word
            || lower == "read"
            || lower == "*"
            || (is_v2 && contains(permissions, letter));
        may && (granted_type == "*" || granted_type.eq_ignore_ascii_case(resource_type))
    })
}

/// What is wrong with a launch context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextError {
    /// The token response names no patient: `launch/patient` was not asked for or not granted.
    NoPatient,
    /// None of the types that are pulled is among the granted scopes; these.
    NotGranted(String),
}

/// The identity token contradicts the sign-in, in this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgedIdentity(pub String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;

    fn context(body: &str) -> Result<LaunchContext, ContextError> {
        let page = Url::parse("https://jhe.example/").unwrap();
        let launched = Launched {
            issuer: Issuer::parse("https://ehr.example/R4", &page).unwrap(),
            scope: "launch/patient patient/Observation.read".into(),
            token_endpoint: Url::parse("https://ehr.example/token").unwrap(),
            revocation_endpoint: Some(Url::parse("https://ehr.example/revoke").unwrap()),
            client_id: "client".into(),
            identity: ExpectedIdentity::default(),
        };
        let response = TokenResponse::from_response(&json(200, body)).unwrap();
        LaunchContext::new(launched, response, 1_000)
    }

    #[test]
    fn a_missing_patient_is_not_guessed() {
        for patient in [
            "",
            r#","patient":null"#,
            r#","patient":"""#,
            r#","patient":7"#,
        ] {
            let body = [
                r#"{"access_token":"T","token_type":"Bearer","sub":"p""#,
                patient,
                "}",
            ]
            .concat();
            assert_eq!(context(&body).unwrap_err(), ContextError::NoPatient);
        }
    }

    #[test]
    fn the_deadline_is_counted_from_now_and_short_where_unknown() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","expires_in":10}"#;
        assert_eq!(context(body).unwrap().expires_at, 11_000);
        let body = body.replace(r#","expires_in":10"#, "");
        assert_eq!(context(&body).unwrap().expires_at, 301_000);
        let body = body.replace("\"p\"", r#""p","expires_in":18446744073709551615"#);
        assert_eq!(context(&body).unwrap().expires_at, u64::MAX);
    }

    #[test]
    fn how_long_the_access_lasts_is_known_only_where_the_server_says_so() {
        let until = |members: &str| {
            let body = [
                r#"{"access_token":"T","token_type":"Bearer","patient":"p""#,
                members,
                "}",
            ];
            let access = context(&body.concat()).unwrap();
            let page = Url::parse("https://jhe.example/").unwrap();
            let stored = access.to_stored();
            let stored = Json::parse(stored.as_bytes()).unwrap();
            let read = LaunchContext::from_stored(stored, &page).unwrap();
            assert_eq!(read.lasts_until, access.lasts_until);
            access.lasts_until
        };
        assert_eq!(until(""), None);
        assert_eq!(until(r#","expires_in":10"#), Some(11_000));
        let renewable = r#","expires_in":10,"refresh_token":"R""#;
        assert_eq!(until(renewable), None);
        for name in ["refresh_token_expires_in", "refresh_expires_in"] {
            let told = [renewable, r#",""#, name, r#"":"3600""#].concat();
            assert_eq!(until(&told), Some(3_601_000));
        }
    }

    #[test]
    fn a_refresh_token_that_stays_keeps_its_end_and_a_new_one_brings_its_own() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","expires_in":10,"refresh_token":"R","refresh_expires_in":90}"#;
        let mut access = context(body).unwrap();
        let response = |body| TokenResponse::from_response(&json(200, body)).unwrap();
        let kept = r#"{"access_token":"T","token_type":"Bearer","expires_in":10}"#;
        access.renew(response(kept), 50_000);
        assert_eq!(access.lasts_until, Some(91_000));
        let rotated =
            r#"{"access_token":"T","token_type":"Bearer","expires_in":10,"refresh_token":"S"}"#;
        access.renew(response(rotated), 60_000);
        assert_eq!(access.lasts_until, None);
    }

    #[test]
    fn a_token_is_renewed_ahead_of_its_end_and_its_refresh_token_rotates() {
        let body = r#"{"access_token":"T1","token_type":"Bearer","patient":"p","expires_in":120,"refresh_token":"R1"}"#;
        let mut access = context(body).unwrap();
        assert!(access.renewal_request(60_000, false).is_none());
        assert!(access.renewal_request(61_000, false).is_some());
        assert!(access.renewal_request(0, true).is_some());
        let response = |body| TokenResponse::from_response(&json(200, body)).unwrap();
        let rotated = r#"{"access_token":"T2","token_type":"Bearer","expires_in":"100","refresh_token":"R2"}"#;
        access.renew(response(rotated), 50_000);
        let kept = r#"{"access_token":"T3","token_type":"Bearer"}"#;
        access.renew(response(kept), 100_000);
        assert_eq!(access.access_token.secret(), "T3");
        assert_eq!(access.expires_at, 400_000);
        assert_eq!(access.patient, "p");
        let refresh = access.renewal_request(400_000, false).unwrap();
        assert!(contains(&refresh.body.unwrap(), "refresh_token=R2&"));
    }

    #[test]
    fn a_token_that_lives_shortly_is_renewed_when_half_of_its_life_is_over() {
        let body = r#"{"access_token":"T1","token_type":"Bearer","patient":"p","expires_in":60,"refresh_token":"R"}"#;
        let mut access = context(body).unwrap();
        assert!(access.renewal_request(1_000, false).is_none());
        assert!(access.renewal_request(30_999, false).is_none());
        assert!(access.renewal_request(31_000, false).is_some());
        let renewed = body.replace("60", "8");
        let response = TokenResponse::from_response(&json(200, &renewed)).unwrap();
        access.renew(response, 31_000);
        assert!(access.renewal_request(34_999, false).is_none());
        assert!(access.renewal_request(35_000, false).is_some());
    }

    #[test]
    fn after_a_reload_a_token_is_renewed_a_minute_ahead_since_its_whole_life_is_not_known() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","expires_in":90,"refresh_token":"R"}"#;
        let stored = context(body).unwrap().to_stored();
        let page = Url::parse("https://jhe.example/").unwrap();
        let stored = Json::parse(stored.as_bytes()).unwrap();
        let access = LaunchContext::from_stored(stored, &page).unwrap();
        assert!(access.renewal_request(30_999, false).is_none());
        assert!(access.renewal_request(31_000, false).is_some());
    }

    #[test]
    fn without_a_refresh_token_nothing_is_renewed() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","expires_in":1}"#;
        assert!(
            context(body)
                .unwrap()
                .renewal_request(9_000, true)
                .is_none()
        );
    }

    #[test]
    fn access_is_ended_where_the_ehr_says_so_also_after_a_reload() {
        let body =
            r#"{"access_token":"T","token_type":"Bearer","patient":"p","refresh_token":"R"}"#;
        let stored = context(body).unwrap().to_stored();
        let page = Url::parse("https://jhe.example/").unwrap();
        let stored = Json::parse(stored.as_bytes()).unwrap();
        let mut access = LaunchContext::from_stored(stored, &page).unwrap();
        let request = access.revocation_request().unwrap();
        assert_eq!(request.url.as_str(), "https://ehr.example/revoke");
        assert_eq!(request.body.as_deref(), Some("token=R&client_id=client"));
        access.refresh_token = None;
        let request = access.revocation_request().unwrap();
        assert_eq!(request.body.as_deref(), Some("token=T&client_id=client"));
        access.revocation_endpoint = None;
        assert!(access.revocation_request().is_none());
    }

    #[test]
    fn what_is_stored_is_read_back_without_the_identity_token() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","id_token":"I","refresh_token":"R"}"#;
        let access = context(body).unwrap();
        let stored = access.to_stored();
        assert!(!contains(&stored, "\"I\""));
        let page = Url::parse("https://jhe.example/").unwrap();
        let stored = Json::parse(stored.as_bytes()).unwrap();
        let read = LaunchContext::from_stored(stored, &page).unwrap();
        assert_eq!(read.to_stored(), access.to_stored());
        let stored = access
            .to_stored()
            .replace("https://ehr.example/R4", "http://ehr.example/R4");
        let insecure = Json::parse(stored.as_bytes()).unwrap();
        assert!(LaunchContext::from_stored(insecure, &page).is_none());
    }

    fn with_id_token() -> LaunchContext {
        // Read, it would say a parent.
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","id_token":"e30.eyJmaGlyVXNlciI6IlJlbGF0ZWRQZXJzb24vcjEifQ.c2ln"}"#;
        context(body).unwrap()
    }

    fn read_back(access: &LaunchContext) -> LaunchContext {
        let stored = access.to_stored();
        assert!(!contains(&stored, "eyJ"));
        let page = Url::parse("https://jhe.example/").unwrap();
        LaunchContext::from_stored(Json::parse(stored.as_bytes()).unwrap(), &page).unwrap()
    }

    #[test]
    fn an_identity_that_was_not_verified_is_not_used() {
        let mut access = with_id_token();
        assert_eq!(access.fhir_user(), None);
        let why = access.identify(Verdict::unverified("no key"));
        assert_eq!(why, Ok(Some("no key".into())));
        assert_eq!(access.fhir_user(), None);
        let forged = Verdict::parse("forged its aud is another app", &access.issuer);
        let refused = access.identify(forged).unwrap_err();
        assert_eq!(refused, ForgedIdentity("its aud is another app".into()));
        assert_eq!(read_back(&access).fhir_user(), None);
    }

    #[test]
    fn who_signed_in_is_kept_over_a_reload_and_a_renewal() {
        let mut access = with_id_token();
        let verdict = Verdict::parse("verified RelatedPerson/r1", &access.issuer);
        assert_eq!(access.identify(verdict), Ok(None));
        let mut access = read_back(&access);
        assert!(access.inquiry().is_none());
        // SMART: an answer to a refresh need not carry the launch context again.
        let renewed = r#"{"access_token":"T2","token_type":"Bearer"}"#;
        access.renew(
            TokenResponse::from_response(&json(200, renewed)).unwrap(),
            0,
        );
        let user = access.fhir_user().unwrap();
        assert_eq!(user.reference(), "RelatedPerson/r1");
    }

    #[test]
    fn a_scope_that_is_left_out_is_the_one_that_was_asked() {
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p"}"#;
        let scope = context(body).unwrap().scope;
        assert!(grants(&scope, "Observation", Right::Search));
        let body = r#"{"access_token":"T","token_type":"Bearer","patient":"p","scope":""}"#;
        let scope = context(body).unwrap().scope;
        assert!(!grants(&scope, "Observation", Right::Search));
    }

    #[test]
    fn granted_scopes_are_recognised_in_every_syntax() {
        for scope in [
            "patient/Observation.read",
            "launch/patient patient/Observation.rs ",
            "patient/observation.Read",
            "Patient.read Observation.search ",
            "patient/*.read",
            "patient/*.*",
            "user/Observation.cruds",
            "patient/Observation.rs?category=http://terminology.hl7.org/x|laboratory",
        ] {
            assert!(grants(scope, "Observation", Right::Search), "{scope}");
        }
        for scope in [
            "",
            "launch/patient patient/Patient.read",
            "patient/Observation.r",
            "patient/Observation.write",
            "patient/ObservationDefinition.read",
            "Observation",
        ] {
            assert!(!grants(scope, "Observation", Right::Search), "{scope}");
        }
    }
}
