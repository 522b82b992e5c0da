//! Who signed in, checked: OpenID Connect's identity token
//! ([Core §3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation), and SMART's
//! [scopes for identity](https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data)).
//!
//! It ends in one of three ways, as a [`Verdict`]. A token that **contradicts** the sign-in (signed with another key, issued
//! by or for somebody else, of another sign-in, not signed at all) was not made for this patient at this moment: the sign-in
//! as a whole is not believed, as the standard wants it. A token that **can't be checked** says nothing: its claims are not
//! used, and the patient goes on with the access token, which came from the right endpoint for a code that only this tab could
//! redeem. To that belong keys that no page may read (SMART does not promise CORS for them), and times that do not fit: a phone
//! whose clock is wrong must not keep its owner out, and an identity token of yesterday gains nobody anything, as it is of
//! this sign-in by its nonce or not used. Only a token that was **verified** tells who signed in.

use alloc::string::String;
use core::fmt;

use crate::http::{Answer, Conversation, HttpRequest};
use crate::json::{Json, object};
use crate::oauth::jws::{Jws, JwsError, KEYS_LIMIT, NoKey, Verification};
use crate::smart::discovery::{Issuer, configuration_request};
use crate::smart::user::FhirUser;
use crate::url::Url;

/// The patient does not wait longer than this for it, in milliseconds: what is not known by then is not used.
pub const IDENTITY_LIMIT_MS: u32 = 5_000;
/// So far two clocks may be apart, in seconds.
const SKEW_S: u64 = 120;
/// A token was issued for this sign-in, not longer ago than this, in seconds. Epic's live for five minutes.
const AGE_LIMIT_S: u64 = 3_600;

/// What an identity token has to agree with, known before it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedIdentity {
    /// The `issuer` that the hospital advertised when the patient left.
    pub issuer: Option<String>,
    /// The nonce that was sent, if one was.
    pub nonce: Option<String>,
}

/// A question about an identity token, on its way to the module that has the answer.
///
/// `Debug` does not show it: the token is about a person.
pub struct Inquiry {
    /// The FHIR base that the patient signed in for.
    pub issuer: Issuer,
    /// The token.
    pub id_token: String,
    /// This app's client id at the EHR.
    pub client_id: String,
    /// What it has to agree with.
    pub expected: ExpectedIdentity,
}

impl Inquiry {
    /// As text.
    pub fn to_text(&self) -> String {
        let mut members = alloc::vec![
            ("fhir", self.issuer.as_str()),
            ("id_token", &self.id_token),
            ("client_id", &self.client_id),
        ];
        let expected = &self.expected;
        members.extend(expected.issuer.as_deref().map(|it| ("issuer", it)));
        members.extend(expected.nonce.as_deref().map(|it| ("nonce", it)));
        object(&members)
    }

    /// Reads what [`Inquiry::to_text`] wrote; `page` is the page's own URL.
    pub fn parse(text: &str, page: &Url) -> Option<Self> {
        let told = Json::parse(text.as_bytes())?;
        Some(Inquiry {
            issuer: Issuer::parse(&told.get_string("fhir")?, page).ok()?,
            id_token: told.get_string("id_token")?,
            client_id: told.get_string("client_id")?,
            expected: ExpectedIdentity {
                issuer: told.get_string("issuer"),
                nonce: told.get_string("nonce"),
            },
        })
    }
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inquiry(..)")
    }
}

/// What came of an identity token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is right in all: this is who signed in, as far as it says.
    Verified(Identity),
    /// It could not be checked, for this reason: it is not used.
    Unverified(String),
    /// It contradicts the sign-in, in this: neither is believed.
    Forged(String),
}

/// Who signed in, out of a token that was verified: there is no other way to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Option<FhirUser>);

impl Identity {
    /// The resource that stands for them, if the token names one that is known here. It is not the patient: a parent may have
    /// signed in for a child.
    pub fn into_fhir_user(self) -> Option<FhirUser> {
        self.0
    }
}

const VERIFIED: &str = "verified";
const UNVERIFIED: &str = "unverified";
const FORGED: &str = "forged";

impl Verdict {
    /// The event with which the module that checks answers the page that asked.
    pub const EVENT: &'static str = "jhe-connect-checked";

    /// For who asked, in another module of the page.
    pub fn to_text(&self) -> String {
        let (word, rest) = match self {
            Verdict::Verified(Identity(user)) => {
                let user = user.as_ref().map(FhirUser::reference);
                (VERIFIED, user.unwrap_or_default())
            }
            Verdict::Unverified(why) => (UNVERIFIED, why.clone()),
            Verdict::Forged(what) => (FORGED, what.clone()),
        };
        [word, " ", &rest].concat()
    }

    /// Reads what [`Verdict::to_text`] wrote, of a sign-in for `issuer`.
    pub fn parse(text: &str, issuer: &Issuer) -> Self {
        match text.split_once(' ') {
            Some((VERIFIED, user)) => {
                Verdict::Verified(Identity(FhirUser::from_reference(user, issuer.base())))
            }
            Some((FORGED, what)) => Verdict::Forged(what.into()),
            Some((UNVERIFIED, why)) => Verdict::Unverified(why.into()),
            _ => Verdict::unverified(
                "no answer within five seconds, or its module could not be loaded",
            ),
        }
    }

    /// It could not be checked.
    pub fn unverified(why: &str) -> Self {
        Verdict::Unverified(why.into())
    }

    fn forged(what: &str) -> Self {
        Verdict::Forged(what.into())
    }
}

/// What the check ends with: a verdict, or a signature that the edge has to verify.
#[derive(Debug)]
pub enum Outcome {
    /// All is said.
    Judged(Verdict),
    /// It hangs on this signature.
    Sealed(Sealed),
}

/// A token with which all is right but for its signature, which nobody has looked at.
#[derive(Debug)]
pub struct Sealed {
    verification: Verification,
    user: Option<FhirUser>,
}

impl Sealed {
    /// What is to be verified.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// The verdict, now that the signature is known to be good or not; `None` where it could not be verified.
    pub fn judged(self, is_good: Option<bool>) -> Verdict {
        match is_good {
            Some(true) => Verdict::Verified(Identity(self.user)),
            Some(false) => Verdict::forged("its signature is not of the hospital's key"),
            None => Verdict::unverified("the browser can't use the hospital's key"),
        }
    }
}

/// The check of one identity token, up to its signature: as a conversation, since the hospital's keys have to be found.
///
/// What can be judged without them is judged first, and then nothing is asked. No token is sent along.
pub struct IdentityCheck {
    inquiry: Inquiry,
    page: Url,
    asked: Document,
    next: Option<HttpRequest>,
    outcome: Option<Outcome>,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Document {
    /// SMART's, which names the keys.
    SmartConfiguration,
    /// OpenID Connect's, where SMART's does not.
    OpenIdConfiguration,
    Keys,
}

impl IdentityCheck {
    /// The check at the time `now`, in milliseconds since the Unix epoch, on a page at `page`.
    pub fn new(inquiry: Inquiry, page: Url, now: u64) -> Self {
        let verdict = judge_unsigned(&inquiry, now / 1000);
        let mut check = IdentityCheck {
            next: None,
            asked: Document::SmartConfiguration,
            outcome: verdict.err().map(Outcome::Judged),
            inquiry,
            page,
        };
        if check.outcome.is_none() {
            // Read again, not kept over the redirect: it names the keys that count today.
            check.next = configuration_request(&check.inquiry.issuer)
                .ok()
                .map(limited);
        }
        check
    }

    /// What came of it.
    pub fn finish(self) -> Outcome {
        let unread = || Outcome::Judged(Verdict::unverified(UNREADABLE));
        self.outcome.unwrap_or_else(unread)
    }

    fn ask(&mut self, document: Document, url: Url) {
        self.asked = document;
        self.next = Some(limited(HttpRequest::get(url, "application/json")));
    }

    /// The address, if it is protected.
    fn checked(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        url.is_protected(&self.page).then_some(url)
    }

    fn ask_openid_configuration(&mut self) {
        // OpenID Connect Discovery §4.
        let url = self.checked(self.inquiry.expected.issuer.as_deref().unwrap_or_default());
        match url.and_then(|url| url.below(".well-known/openid-configuration").ok()) {
            Some(url) => self.ask(Document::OpenIdConfiguration, url),
            None => self.outcome = Some(Outcome::Judged(Verdict::unverified(UNREADABLE))),
        }
    }

    fn read(&mut self, document: Option<Json<'_>>) -> Result<(), &'static str> {
        let issuer = self.inquiry.expected.issuer.as_ref();
        // Discovery §4.3, and RFC 9700 §4.4: keys of whoever the patient did not leave for are nobody's.
        let is_same = document.map(|document| document.get_string("issuer").as_ref() == issuer);
        let keys = document.and_then(|document| document.get_string("jwks_uri"));
        match (self.asked, keys) {
            (Document::Keys, _) => {
                let keys = document.ok_or(UNREADABLE)?;
                self.outcome = Some(Outcome::Sealed(self.sealed(keys)?));
            }
            (_, _) if is_same == Some(false) => {
                return Err("the hospital names another issuer than before");
            }
            (_, Some(keys)) => {
                let keys = self.checked(&keys).ok_or("jwks_uri is no https URL")?;
                self.ask(Document::Keys, keys);
            }
            (Document::SmartConfiguration, None) => self.ask_openid_configuration(),
            (Document::OpenIdConfiguration, None) => return Err(UNREADABLE),
        }
        Ok(())
    }

    fn sealed(&self, keys: Json<'_>) -> Result<Sealed, &'static str> {
        const BEFORE: &str = "it was read before";
        let jws = Jws::parse(&self.inquiry.id_token).map_err(|_| BEFORE)?;
        let claims = jws.unverified_claims().ok_or(BEFORE)?;
        let user = FhirUser::from_claims(claims, &self.inquiry.issuer);
        let verification = jws.verification(keys).map_err(|error| match error {
            NoKey::Unknown => "the hospital's key set has no key for it",
            NoKey::Several => "the hospital's key set has several keys that may be meant",
            NoKey::Unusable => "the hospital's key can't be used",
        })?;
        Ok(Sealed { verification, user })
    }
}

const UNREADABLE: &str =
    "the hospital's key set can't be read (CORS, or connect-src of the page's policy?)";

fn limited(mut request: HttpRequest) -> HttpRequest {
    request.limit_ms = IDENTITY_LIMIT_MS;
    request.with_octets(KEYS_LIMIT)
}

impl Conversation for IdentityCheck {
    fn next_request(&mut self) -> Option<HttpRequest> {
        self.next.take()
    }

    fn receive(&mut self, answer: Answer) {
        let answer = answer.ok().filter(|answer| {
            // The length that was announced need not be the right one.
            answer.is_success() && answer.body.len() <= KEYS_LIMIT
        });
        let document = answer.as_ref().and_then(|answer| answer.json());
        if let Err(why) = self.read(document.filter(|document| document.is_object())) {
            self.outcome = Some(Outcome::Judged(Verdict::unverified(why)));
        }
    }
}

/// All that can be said without the key: a contradiction first, and what is missing or out of time after that.
fn judge_unsigned(inquiry: &Inquiry, now_s: u64) -> Result<(), Verdict> {
    let jws = Jws::parse(&inquiry.id_token).map_err(|error| match error {
        JwsError::Malformed => Verdict::unverified("it is no signed token"),
        JwsError::Unsigned => Verdict::forged("its alg needs no key of the hospital"),
        JwsError::OtherAlgorithm => Verdict::unverified("its alg is not RS256, ES256 or ES384"),
        JwsError::Critical => Verdict::unverified("it has an extension that is not known (crit)"),
    })?;
    let claims = jws.unverified_claims();
    let claims = claims.ok_or_else(|| Verdict::unverified("its claims are no JSON object"))?;
    contradiction(claims, inquiry).map_err(Verdict::forged)?;
    gap(claims, inquiry, now_s).map_err(Verdict::unverified)
}

/// Does a claim say that the token is not of this sign-in?
fn contradiction(claims: Json<'_>, inquiry: &Inquiry) -> Result<(), &'static str> {
    let expected = &inquiry.expected;
    let is_other = |claim: &str, wanted: &Option<String>| {
        let found = claims.get(claim).map(Json::string);
        found.is_some() && wanted.is_some() && found.flatten() != *wanted
    };
    // Exactly the one that was discovered. It is not the FHIR base: many hospitals' authorization server is elsewhere.
    if is_other("iss", &expected.issuer) {
        return Err("its iss is not the hospital's issuer");
    }
    let client = |audience: Json<'_>| audience.string().as_ref() == Some(&inquiry.client_id);
    let audience = claims.get("aud");
    if audience.is_some_and(|it| !client(it) && !it.elements().any(client)) {
        return Err("its aud is another app");
    }
    if claims.get("azp").is_some_and(|party| !client(party)) {
        return Err("its azp is another app");
    }
    if is_other("nonce", &expected.nonce) {
        return Err("its nonce is of another sign-in");
    }
    Ok(())
}

/// Is a claim missing that the standard wants, or do its times not fit?
fn gap(claims: Json<'_>, inquiry: &Inquiry, now_s: u64) -> Result<(), &'static str> {
    let expected = &inquiry.expected;
    if expected.issuer.is_none() {
        return Err("the hospital's smart-configuration names no issuer");
    }
    for claim in ["iss", "sub", "aud"] {
        claims.get(claim).ok_or("iss, sub or aud is missing")?;
    }
    let is_for_several = claims.list("aud").nth(1).is_some();
    if is_for_several && claims.get("azp").is_none() {
        return Err("it is for several apps, and azp is missing");
    }
    if expected.nonce.is_some() && claims.get("nonce").is_none() {
        return Err("nonce is missing");
    }
    let time = |claim| claims.get(claim).and_then(Json::whole_number);
    let (issued, expires) = time("iat")
        .zip(time("exp"))
        .ok_or("iat or exp is missing")?;
    if expires.saturating_add(SKEW_S) < now_s {
        return Err("it has expired, or this device's clock is wrong");
    }
    let is_early = issued > now_s.saturating_add(SKEW_S);
    if is_early || issued.saturating_add(AGE_LIMIT_S) < now_s {
        return Err("it was not issued just now, or this device's clock is wrong");
    }
    Ok(())
}
