//! The test mode: a JHE and some hospitals that only pretend, for who wants to see every screen without a server.
//!
//! A [`World`] answers the requests that this crate sends, as plain values: what was asked goes in with the time, and an
//! answer, or the failure to get one, comes out with the time that it takes. What it answers is what was recorded of JHE and
//! what the vendors' servers do, as far as this flow asks. `browser::demo` puts it in the place of the network, for the
//! pretended addresses only: those of JHE below the page's own folder, and hosts below `hospital.invalid`.
//!
//! Nothing here is linked into the modules that patients load.

mod chart;
mod configuration;
mod hospital;
mod invitation;
mod jhe;
mod portal;
mod state;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::chart::{KINDS, PERSONAS, Persona};
pub use self::configuration::{SCOPE, configuration};
pub use self::hospital::{HOSPITALS, Hospital};
pub use self::invitation::{INVITATIONS, TestInvitation};
pub use self::portal::SignIn;

use self::chart::Place;
use self::hospital::{FHIR, Habit, KEYS, REVOKE, TOKEN};
use self::state::{Access, State};
use crate::exchange::deployment::PATIENT_ACCESS;
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
use crate::json::{object, quoted};
use crate::oauth::pkce::CodeVerifier;
use crate::smart::context::{Right, grants};
use crate::text::{find, form_decode, number, whole_number};
use crate::url::Url;

/// Where the pretended JHE is, from the pages of the test mode.
pub const JHE: &str = "jhe/";

/// What was asked, as far as anybody here looks at it.
#[derive(Debug)]
pub struct Call {
    /// `GET` or `POST`.
    pub method: String,
    /// Where it goes.
    pub url: Url,
    /// The `Authorization` field; empty where there is none.
    pub authorization: String,
    /// JHE's field for the number of a source; empty where there is none.
    pub source: String,
    /// The body; empty where there is none.
    pub body: String,
}

impl Call {
    /// The fields of a request that count here.
    pub const AUTHORIZATION: &str = "Authorization";
    /// JHE's field for the number of a source.
    pub const SOURCE: &str = "X-JHE-FHIR-Source-ID";

    /// A request of this crate.
    pub fn of(request: &HttpRequest) -> Self {
        let field = |name: &str| {
            let mut fields = request.headers.iter();
            let field = fields.find(|(known, _)| *known == name);
            field.map_or(String::new(), |(_, value)| value.clone())
        };
        Call {
            method: request.method.as_str().into(),
            url: request.url.clone(),
            authorization: field(Call::AUTHORIZATION),
            source: field(Call::SOURCE),
            body: request.body.clone().unwrap_or_default(),
        }
    }

    fn token(&self) -> &str {
        self.authorization
            .strip_prefix("Bearer ")
            .unwrap_or_default()
    }

    fn form(&self) -> Vec<(String, String)> {
        form_decode(&self.body)
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let found = pairs.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

/// What comes back.
#[derive(Debug)]
pub struct Reply {
    /// After so many milliseconds.
    pub delay_ms: u32,
    /// The answer, or why there is none.
    pub answer: Answer,
    /// What in the answer is still to be signed with [`SIGNING_KEY`], by ECDSA with P-256 and SHA-256.
    pub unsigned: Option<String>,
}

impl Reply {
    /// Puts the signature behind what was to be signed.
    pub fn sign(&mut self, signature: &[u8]) {
        let Some(unsigned) = self.unsigned.take() else {
            return;
        };
        let Ok(answer) = &mut self.answer else {
            return;
        };
        let body = core::str::from_utf8(&answer.body).unwrap_or_default();
        let end = find(body, &unsigned).map(|place| place + unsigned.len());
        if let Some((before, after)) = end.and_then(|end| body.split_at_checked(end)) {
            let signature = URL_SAFE_NO_PAD.encode(signature);
            answer.body = [before, ".", &signature, after].concat().into_bytes();
        }
    }
}

/// The pretended hospitals' key, as JWK. Everybody has it: it signs for nobody else.
pub const SIGNING_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"a8f5__qDuALMLmX2EOZ9vEyGhIXPstXqcmTAuY6mdlI","y":"q8kqg61YlEouQHEdgacgHX6kUHJG0azlZh8lWCVjkSU","d":"y3uTGPC2oJjjzW7qD_6V6tFT3OhLkxU2Jed6qzg_kyk"}"#;
/// Its public half, as they publish it.
const PUBLISHED_KEYS: &str = r#"{"keys":[{"kty":"EC","use":"sig","alg":"ES256","kid":"test-mode","crv":"P-256","x":"a8f5__qDuALMLmX2EOZ9vEyGhIXPstXqcmTAuY6mdlI","y":"q8kqg61YlEouQHEdgacgHX6kUHJG0azlZh8lWCVjkSU"}]}"#;

fn reply(delay_ms: u32, status: u16, content_type: &str, body: String) -> Reply {
    Reply {
        delay_ms,
        answer: Ok(HttpResponse {
            status,
            content_type: content_type.into(),
            retry_after_ms: None,
            body: body.into_bytes(),
        }),
        unsigned: None,
    }
}

fn json(status: u16, body: impl Into<String>) -> Reply {
    reply(QUICK, status, "application/json", body.into())
}

fn fhir(delay_ms: u32, status: u16, body: String) -> Reply {
    reply(delay_ms, status, "application/fhir+json", body)
}

/// An OperationOutcome with one issue.
fn outcome(severity: &str, code: &str, diagnostics: &str) -> String {
    let issue = object(&[
        ("severity", severity),
        ("code", code),
        ("diagnostics", diagnostics),
    ]);
    [
        r#"{"resourceType":"OperationOutcome","issue":["#,
        &issue,
        "]}",
    ]
    .concat()
}

fn put_off(mut reply: Reply, seconds: u64) -> Reply {
    if let Ok(response) = &mut reply.answer {
        response.retry_after_ms = Some(seconds * 1000);
    }
    reply
}

/// How long most answers take, in milliseconds.
const QUICK: u32 = 60;
/// How long a page of records takes.
const PAGE: u32 = 150;
/// How long it takes the slow hospital.
const SLOW: u32 = 2_500;
/// How many records are on a page.
const PAGE_SIZE: u32 = 50;
/// For how many searches the first access of the hospital where it expires is good.
const EXPIRING_SEARCHES: u64 = 8;
/// In how many seconds the busy hospital wants to be asked again.
const BUSY_SECONDS: u64 = 2;

/// The pretended servers. What they remember outlives the page: [`World::remembered`].
#[derive(Debug)]
pub struct World {
    /// The page, beside which the others of the test mode are.
    page: Url,
    state: State,
}

impl World {
    /// The world as it was when [`World::remembered`] told; a new one where nothing did.
    pub fn new(page: Url, remembered: &str) -> Self {
        World {
            page,
            state: State::read(remembered),
        }
    }

    /// For the tab's storage.
    pub fn remembered(&mut self) -> String {
        self.state.tidy();
        self.state.to_json()
    }

    /// Is the patient to see what was found before any of it is sent, where the configuration says nothing of it?
    pub fn reviews(&self) -> bool {
        self.state.reviews
    }

    /// Lets the patient see it, or not.
    pub fn set_reviews(&mut self, reviews: bool) {
        self.state.reviews = reviews;
    }

    /// Is this address one that only pretends? Of the page's own origin only what is below the pretended JHE is.
    pub fn pretends(page: &Url, url: &Url) -> bool {
        Hospital::at_origin(&url.origin()).is_some() || jhe_path(page, url).is_some()
    }

    /// Answers a request to an address that [`World::pretends`], at the time `now` in milliseconds since the Unix epoch.
    pub fn answer(&mut self, call: &Call, now: u64) -> Reply {
        match Hospital::at_origin(&call.url.origin()) {
            Some(hospital) => self.at_hospital(hospital, call, now),
            None => match jhe_path(&self.page, &call.url) {
                Some(path) => self.at_jhe(&path, call, now),
                None => Reply {
                    delay_ms: QUICK,
                    answer: Err(TransportError::Unreachable),
                    unsigned: None,
                },
            },
        }
    }

    /// How many records JHE holds of each kind, whoever's: for who wants to compare.
    pub fn stored(&self) -> [u32; KINDS] {
        let mut counts = [0; KINDS];
        for source in &self.state.sources {
            for stored in &source.stored {
                let kind = usize::try_from(stored.kind).unwrap_or(KINDS);
                if let Some(count) = counts.get_mut(kind) {
                    *count += u32::try_from(stored.count()).unwrap_or(u32::MAX);
                }
            }
        }
        counts
    }

    fn at_hospital(&mut self, hospital: &'static Hospital, call: &Call, now: u64) -> Reply {
        let path = call.url.path();
        let delay_ms = match hospital.habit {
            Habit::NoCors => {
                return Reply {
                    delay_ms: QUICK,
                    answer: Err(TransportError::Unreachable),
                    unsigned: None,
                };
            }
            Habit::Slow => SLOW,
            _ => PAGE,
        };
        match (call.method.as_str(), path) {
            ("POST", TOKEN) => return self.exchange(hospital, call, now),
            ("GET", KEYS) => return json(200, PUBLISHED_KEYS),
            ("POST", REVOKE) => {
                let form = call.form();
                let token = value(&form, "token");
                self.state.accesses.retain(|access| access.token != token);
                return json(200, "");
            }
            _ => {}
        }
        let Some(path) = path
            .strip_prefix(FHIR)
            .and_then(|path| path.strip_prefix('/'))
        else {
            return json(404, "");
        };
        match path {
            ".well-known/smart-configuration" => json(200, self.smart_configuration(hospital)),
            "metadata" => fhir(QUICK, 200, r#"{"resourceType":"CapabilityStatement","status":"active","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server"}]}"#.into()),
            _ => self.records(hospital, path, call, delay_ms),
        }
    }

    fn smart_configuration(&self, hospital: &Hospital) -> String {
        // The sign-in is a page of ours; everything else is at the hospital's own host.
        let sign_in = self.page.join("hospital.html").map(String::from);
        let members = object(&[
            ("authorization_endpoint", &sign_in.unwrap_or_default()),
            ("token_endpoint", &hospital.at(TOKEN)),
            ("revocation_endpoint", &hospital.at(REVOKE)),
            ("issuer", &hospital.at("")),
            ("jwks_uri", &hospital.at(KEYS)),
        ]);
        let members = members.trim_end_matches('}');
        [
            members,
            r#","code_challenge_methods_supported":["S256"],"grant_types_supported":["authorization_code"],"capabilities":["launch-standalone","client-public","context-standalone-patient","permission-patient","permission-v1","sso-openid-connect"]}"#,
        ]
        .concat()
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6.
    fn exchange(&mut self, hospital: &Hospital, call: &Call, now: u64) -> Reply {
        const CODE_MS: u64 = 5 * 60 * 1000;
        let form = call.form();
        if value(&form, "grant_type") != "authorization_code" {
            return json(400, r#"{"error":"unsupported_grant_type"}"#);
        }
        let code = value(&form, "code");
        let found = self.state.codes.iter().position(|known| known.code == code);
        let Some(code) = found.map(|place| self.state.codes.remove(place)) else {
            return json(400, r#"{"error":"invalid_grant"}"#);
        };
        let verifier = CodeVerifier::restored(value(&form, "code_verifier").into());
        let is_right = code.hospital == hospital.name
            && verifier.challenge().as_str() == code.challenge
            && value(&form, "redirect_uri") == code.redirect_uri
            && now.saturating_sub(code.at) < CODE_MS;
        let Some(persona) = Persona::named(&code.persona).filter(|_| is_right) else {
            return json(400, r#"{"error":"invalid_grant"}"#);
        };
        let is_first = !self.state.put_off.iter().any(|it| it == hospital.name);
        let ends = hospital.habit == Habit::Expires && is_first;
        if ends {
            self.state.put_off.push(hospital.name.into());
        }
        let token = self.state.next("test-access-");
        let patient = persona.patient_id();
        let user = match persona.is_proxied {
            true => ["/RelatedPerson/", persona.name, "-parent"].concat(),
            false => ["/Patient/", &patient].concat(),
        };
        let (issued, expires) = (number(now / 1000), number(now / 1000 + 300));
        let claims = object(&[
            ("iss", &hospital.at("")),
            ("sub", &user),
            ("aud", value(&form, "client_id")),
            ("nonce", &code.nonce),
            ("fhirUser", &hospital.at(&[FHIR, &user].concat())),
        ]);
        let claims = claims.trim_end_matches('}');
        let claims = [claims, ",\"iat\":", &issued, ",\"exp\":", &expires, "}"].concat();
        let id_token = [
            &URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"test-mode"}"#),
            ".",
            &URL_SAFE_NO_PAD.encode(&claims),
        ]
        .concat();
        let mut members = alloc::vec![
            ("access_token", token.as_str()),
            ("token_type", "Bearer"),
            ("expires_in", if ends { "5" } else { "3600" }),
            ("scope", &code.scope),
            ("patient", &patient),
        ];
        let tells_who = code.scope.split(' ').any(|item| item == "openid");
        if tells_who {
            members.push(("id_token", &id_token));
        }
        let body = object(&members);
        self.state.accesses.push(Access {
            token,
            hospital: hospital.name.into(),
            persona: persona.name.into(),
            scope: code.scope,
            left: ends.then_some(EXPIRING_SEARCHES),
        });
        Reply {
            unsigned: tells_who.then_some(id_token),
            ..json(200, body)
        }
    }

    /// A record, a document, or a page of a search.
    fn records(
        &mut self,
        hospital: &'static Hospital,
        path: &str,
        call: &Call,
        delay_ms: u32,
    ) -> Reply {
        let token = call.token();
        let accesses = &mut self.state.accesses;
        let access = accesses
            .iter_mut()
            .find(|access| access.token == token && access.hospital == hospital.name);
        let Some(access) = access.filter(|access| access.left != Some(0)) else {
            return reply(QUICK, 401, "application/json", "\"\"".into());
        };
        let Some(persona) = Persona::named(&access.persona) else {
            return json(404, "");
        };
        let forbidden = || {
            fhir(
                QUICK,
                403,
                outcome("error", "forbidden", "The scope does not allow it."),
            )
        };
        if let Some((resource_type, id)) = path.split_once('/') {
            if !grants(&access.scope, resource_type, Right::Read) {
                return forbidden();
            }
            let place = Place::read(&id.replace('_', "-"))
                .filter(|place| place.persona.name == persona.name);
            return match (place, resource_type) {
                (Some(place), "Binary") => reply(delay_ms, 200, "text/plain", place.note()),
                (Some(place), _) if place.resource_type() == resource_type => {
                    fhir(delay_ms, 200, place.record(id))
                }
                _ => fhir(
                    QUICK,
                    404,
                    outcome("error", "not-found", "There is no such resource."),
                ),
            };
        }
        if !grants(&access.scope, path, Right::Search) {
            return forbidden();
        }
        if let Some(left) = &mut access.left {
            *left -= 1;
        }
        let query = form_decode(call.url.query());
        let session = value(&query, "sessionID");
        let (kind, from) = match session.split_once('-') {
            // As Epic's links: opaque, and without the parameters of the search.
            Some((kind, from)) => (whole_number(kind), whole_number(from)),
            None if value(&query, "patient") != persona.patient_id() => return forbidden(),
            None => (kind_of(path, &query), Some(0)),
        };
        let kind = kind.and_then(|kind| usize::try_from(kind).ok());
        let from = from.and_then(|from| u32::try_from(from).ok());
        let (Some(kind), Some(from)) = (kind, from) else {
            return fhir(delay_ms, 200, bundle(0, &[], None));
        };
        if hospital.habit == Habit::Busy {
            let name = [
                path,
                "?",
                &number(kind as u64),
                "-",
                &number(u64::from(from)),
            ]
            .concat();
            if !self.state.put_off.contains(&name) {
                self.state.put_off.push(name);
                let busy = outcome("error", "throttled", "Too many requests.");
                return put_off(fhir(QUICK, 429, busy), BUSY_SECONDS);
            }
        }
        let all = persona.counts.get(kind).copied().unwrap_or(0);
        let to = all.min(from.saturating_add(PAGE_SIZE));
        let mut records = Vec::new();
        for number in from..to {
            let place = Place {
                persona,
                kind,
                number,
            };
            let is_odd = hospital.habit == Habit::OddRecords && number < ODD;
            records.push(place.record(&place.id(if is_odd { '_' } else { '-' })));
        }
        let next = [
            &hospital.base(),
            "/",
            path,
            "?sessionID=",
            &number(kind as u64),
            "-",
            &number(u64::from(to)),
        ]
        .concat();
        fhir(
            delay_ms,
            200,
            bundle(all, &records, (to < all).then_some(&next)),
        )
    }
}

/// How many records of each kind have an id that JHE does not take, where that is so.
const ODD: u32 = 1;

/// What the kinds of records are called that a scope is for, in English, as plans have them.
pub fn kind_names(scope: &str) -> Vec<&'static str> {
    let wanted = portal::type_of(scope);
    let pulls = PATIENT_ACCESS.pulls.iter();
    let pulls = pulls.filter(|pull| pull.resource_type == wanted);
    pulls.map(|pull| pull.label).collect()
}

/// Which kind a search is for. A deployment that looks for labs only has one kind of its own.
fn kind_of(resource_type: &str, query: &[(String, String)]) -> Option<u64> {
    let asked = value(query, "category");
    let found = PATIENT_ACCESS.pulls.iter().position(|pull| {
        let category = pull.parameters.iter().find(|(name, _)| *name == "category");
        let is_asked = category.is_none_or(|(_, value)| asked.is_empty() || asked == *value);
        pull.resource_type == resource_type && is_asked
    });
    found.map(|kind| kind as u64)
}

fn bundle(total: u32, records: &[String], next: Option<&String>) -> String {
    let mut text = String::from(r#"{"resourceType":"Bundle","type":"searchset","total":"#);
    text.push_str(&number(u64::from(total)));
    if let Some(next) = next {
        text.push_str(r#","link":[{"relation":"next","url":"#);
        text.push_str(&quoted(next));
        text.push_str("}]");
    }
    text.push_str(r#","entry":["#);
    for (index, record) in records.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        text.push_str(r#"{"resource":"#);
        text.push_str(record);
        text.push_str(r#","search":{"mode":"match"}}"#);
    }
    text.push_str("]}");
    text
}

/// The path of what is asked of the pretended JHE.
fn jhe_path(page: &Url, url: &Url) -> Option<String> {
    let jhe = page.join(JHE).ok()?;
    let path = url.path().strip_prefix(jhe.path())?;
    (url.origin() == jhe.origin()).then(|| path.into())
}
