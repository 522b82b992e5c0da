//! The hospital, as far as a page may look at it before anybody signs in.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::doctor::catalogue::Check;
use crate::doctor::examination::{Examination, Step};
use crate::doctor::{Line, Reply, Verdict};
use crate::http::{Answer, HttpRequest, TransportError};
use crate::import::plan::allows_pull;
use crate::json::Json;
use crate::smart::discovery::{DiscoveryError, Issuer, SmartConfiguration, metadata_request};
use crate::smart::launch::LaunchRequest;
use crate::smart::preflight::Preflight;
use crate::text::{form_encode, listed};
use crate::url::Url;

/// What is known of the hospital.
#[derive(Default)]
pub(super) struct Hospital {
    issuer: Option<Issuer>,
    preflight: Option<Preflight>,
    /// How each document was answered, the SMART configuration first.
    documents: Vec<String>,
    /// Its text, if it is JSON.
    configuration: Option<String>,
    is_blocked: bool,
    token_endpoint: Option<Url>,
    /// What can't be read, and what was found of it until then.
    unreadable: Vec<(Check, Url, String)>,
    /// Of a hospital out of JHE's list.
    pub(super) from_list: Option<(String, String)>,
}

/// What a standalone app for patients needs (SMART App Launch 2.2, "Patient Access for Standalone Apps").
const CAPABILITIES: [&str; 4] = [
    "launch-standalone",
    "client-public",
    "context-standalone-patient",
    "permission-patient",
];

impl Hospital {
    /// The servers that the pages have to ask.
    pub(super) fn servers(&self) -> Vec<Url> {
        let base = self.issuer.as_ref().map(|issuer| issuer.base().clone());
        base.into_iter()
            .chain(self.token_endpoint.clone())
            .collect()
    }
}

impl Examination {
    // Discovery.

    /// Which hospital it is about, and how the doctor knows.
    fn choose_hospital(&self) -> Option<(String, &'static str)> {
        let wished = self.wishes.hospital.trim();
        if !wished.is_empty() {
            return Some((wished.to_owned(), "as entered above"));
        }
        let configured = self.config.as_ref().and_then(|config| config.iss.clone());
        if let Some(iss) = configured {
            return Some((iss, "as configured"));
        }
        let (_, iss) = self.hospital.from_list.clone()?;
        Some((iss, "the first of JHE’s list"))
    }

    pub(super) fn discovery_request(&mut self, now: u64) -> Option<HttpRequest> {
        if self.hospital.preflight.is_none() {
            if self.is_said(Check::FhirBase) {
                return None;
            }
            let (iss, whence) = self.choose_hospital()?;
            match Issuer::parse(&iss, &self.at.page) {
                Ok(issuer) => {
                    self.say(
                        Check::FhirBase,
                        format!("{iss}, {whence}. It is used byte for byte, also as the system of identifiers in JHE: never change a slash at its end later."),
                        Verdict::Ok,
                    );
                    let preflight = Preflight::new(issuer.clone(), self.at.page.clone(), now);
                    self.hospital.issuer = Some(issuer);
                    self.hospital.preflight = Some(preflight);
                }
                Err(_) => {
                    self.say(
                        Check::FhirBase,
                        format!("“{iss}”, {whence}, is no https address."),
                        Verdict::Wrong("Enter the hospital’s FHIR R4 base as its documentation has it (at Epic: …/api/FHIR/R4). Patients read discovery.insecure_issuer until then.".into()),
                    );
                    return None;
                }
            }
        }
        self.hospital.preflight.as_mut()?.next_request(now)
    }

    pub(super) fn hear_discovery(&mut self, reply: Reply) {
        let is_first = self.hospital.documents.is_empty();
        let name = match is_first {
            true => ".well-known/smart-configuration",
            false => "metadata",
        };
        self.hospital
            .documents
            .push(format!("{name}: {}", told(&reply.answer)));
        self.hospital.is_blocked |= reply.is_blocked;
        if let (true, Ok(answer)) = (is_first, &reply.answer)
            && answer.is_success()
            && let Some(json) = answer.json().filter(|json| json.is_object())
        {
            self.hospital.configuration = Some(json.text().to_owned());
        }
        if let Some(preflight) = &mut self.hospital.preflight {
            preflight.receive(reply.answer);
        }
        // The fall-back, if there is one.
        self.steps.push_front(Step::Discover);
    }

    pub(super) fn look_request(&self) -> Option<HttpRequest> {
        self.hospital.preflight.as_ref()?.look_request().ok()
    }

    pub(super) fn hear_look(&mut self, reply: Reply) {
        let look = format!("GET …/metadata: {}", told(&reply.answer));
        let is_readable = !matches!(reply.answer, Err(TransportError::Unreachable));
        self.hospital.is_blocked |= reply.is_blocked;
        let failure = reply.answer.as_ref().err().copied();
        let Some(preflight) = self.hospital.preflight.take() else {
            return;
        };
        match (is_readable, failure) {
            (true, None) => self.say(
                Check::FhirServer,
                format!("{look}. So pages of this address may read it."),
                Verdict::Ok,
            ),
            (true, Some(_)) => self.say(
                Check::FhirServer,
                format!("{look}."),
                Verdict::Unknown(
                    "It may only be slow: check again. The patients’ pages go on in this case."
                        .into(),
                ),
            ),
            (false, _) => {
                let url = self
                    .hospital
                    .issuer
                    .as_ref()
                    .and_then(|it| metadata_request(it).ok());
                self.ask_who_answers(Check::FhirServer, url.map(|it| it.url), look);
            }
        }
        match preflight.finish(Some(reply.answer)) {
            Ok((issuer, configuration)) => self.tell_discovery(&issuer, &configuration),
            Err(error) => self.explain(&error),
        }
        self.judge_document();
    }

    fn documents(&self) -> String {
        self.hospital.documents.join("; ")
    }

    fn tell_discovery(&mut self, issuer: &Issuer, configuration: &SmartConfiguration) {
        let documents = self.documents();
        let fell_back = self.hospital.documents.len() > 1;
        let found = match fell_back {
            true => {
                format!("{documents}. The sign-in is found in metadata, as with older servers.")
            }
            false => format!("{documents}."),
        };
        self.say(Check::Discovery, found, Verdict::Ok);
        self.say(
            Check::Endpoints,
            format!(
                "Sign-in at {}, token at {}.",
                configuration.authorization_endpoint.without_query(),
                configuration.token_endpoint.without_query()
            ),
            Verdict::Ok,
        );
        self.tell_s256();
        self.hospital.token_endpoint = Some(configuration.token_endpoint.clone());
        self.offer_sign_in(issuer, configuration);
    }

    fn tell_s256(&mut self) {
        let lists_it = self.listed("code_challenge_methods_supported");
        let found = match lists_it {
            Some(methods) if !methods.is_empty() => format!("It lists {}.", methods.join(", ")),
            _ => "It lists no method, as many do; S256 is sent all the same.".to_owned(),
        };
        self.say(Check::S256, found, Verdict::Ok);
    }

    /// Puts what discovery failed by where it belongs.
    fn explain(&mut self, error: &DiscoveryError) {
        let documents = self.documents();
        match error {
            DiscoveryError::InsecureIssuer(_) => {}
            // The document is well; the line of the FHIR server tells the rest.
            DiscoveryError::NotReadable => self.tell_readable_parts(),
            DiscoveryError::Transport(failure) => {
                let url = self.hospital.issuer.as_ref().and_then(|issuer| {
                    crate::smart::discovery::configuration_request(issuer).ok()
                });
                match failure {
                    TransportError::Unreachable | TransportError::CutOff => {
                        self.ask_who_answers(Check::Discovery, url.map(|it| it.url), documents);
                    }
                    other => self.say(
                        Check::Discovery,
                        format!("{documents}."),
                        Verdict::Wrong(match other {
                            TransportError::Offline => "This device has no connection: check again when it has.".into(),
                            _ => "The hospital’s server takes too long. Patients wait five seconds, then read discovery.unreachable: ask the hospital, or check again.".into(),
                        }),
                    ),
                }
            }
            DiscoveryError::NotFound => self.say(
                Check::Discovery,
                format!("{documents}."),
                Verdict::Wrong("This is no FHIR base with SMART on FHIR. Compare the address with the hospital’s list (Epic: open.epic.com/Endpoints/R4): the base ends in …/api/FHIR/R4, and is not the address of the portal. Patients read discovery.not_found.".into()),
            ),
            DiscoveryError::Refused(_) => self.say(
                Check::Discovery,
                format!("{documents}."),
                Verdict::Wrong("The hospital’s server refuses to say where its sign-in is: ask the hospital. Patients read discovery.refused.".into()),
            ),
            DiscoveryError::NotJson(_) => self.say(
                Check::Discovery,
                format!("{documents}. That is no JSON."),
                Verdict::Wrong("A web page answers there: the address is a portal’s or a proxy’s, or the server is being maintained. Enter the FHIR base. Patients read discovery.not_json.".into()),
            ),
            DiscoveryError::Incomplete(name) | DiscoveryError::InsecureEndpoint(name) => {
                self.say(Check::Discovery, format!("{documents}."), Verdict::Ok);
                let (what, code) = match error {
                    DiscoveryError::Incomplete(_) => ("is missing", "discovery.incomplete"),
                    _ => ("is no https address", "discovery.insecure_endpoint"),
                };
                self.say(
                    Check::Endpoints,
                    format!("{name} {what} in the discovery document."),
                    Verdict::Wrong(format!("Only the hospital can mend its document: tell it. Patients read {code}.")),
                );
            }
            DiscoveryError::NoS256(methods) => {
                self.tell_readable_parts();
                self.say(
                    Check::S256,
                    format!("It lists {methods} only."),
                    Verdict::Wrong("SMART App Launch 2.2 asks every server for S256; no other method is used. Ask the hospital to enable it. Patients read discovery.no_s256.".into()),
                );
            }
        }
    }

    /// The document itself is there, whatever is wrong beside it.
    fn tell_readable_parts(&mut self) {
        self.say(
            Check::Discovery,
            format!("{}.", self.documents()),
            Verdict::Ok,
        );
        self.tell_s256();
        let Some(text) = self.hospital.configuration.clone() else {
            return;
        };
        let Some(json) = Json::parse(text.as_bytes()) else {
            return;
        };
        let endpoint = |name| Url::parse(&json.get_string(name)?).ok();
        let page = self.at.page.clone();
        if let (Some(sign_in), Some(token)) = (
            endpoint("authorization_endpoint"),
            endpoint("token_endpoint"),
        ) && sign_in.is_protected(&page)
            && token.is_protected(&page)
        {
            self.say(
                Check::Endpoints,
                format!(
                    "Sign-in at {}, token at {}.",
                    sign_in.without_query(),
                    token.without_query()
                ),
                Verdict::Ok,
            );
            self.hospital.token_endpoint = Some(token);
        }
    }

    // The document's other members. They are hints: what they lack may be there all the same.

    /// The texts of a list in the SMART configuration; `None` if there is no such list.
    fn listed(&self, name: &str) -> Option<Vec<String>> {
        let json = Json::parse(self.hospital.configuration.as_ref()?.as_bytes())?;
        let list = json.get(name).filter(|list| list.is_list())?;
        Some(list.elements().filter_map(Json::string).collect())
    }

    fn judge_document(&mut self) {
        if self.hospital.configuration.is_none() {
            return;
        }
        self.judge_capabilities();
        self.judge_listed_scopes();
    }

    fn judge_capabilities(&mut self) {
        let Some(listed_ones) = self.listed("capabilities") else {
            return;
        };
        let has = |wanted: &str| listed_ones.iter().any(|it| it == wanted);
        let missing: Vec<&str> = CAPABILITIES.into_iter().filter(|it| !has(it)).collect();
        match missing.is_empty() {
            true => self.say(
                Check::Capabilities,
                format!("It has {}.", listed(&CAPABILITIES)),
                Verdict::Ok,
            ),
            false => self.say(
                Check::Capabilities,
                format!("It does not list {}.", listed(&missing)),
                Verdict::Unknown("The list is a hint, not a promise: try a sign-in. If it fails, ask the hospital whether its server lets public apps sign patients in (standalone launch), and whether this is its base for patients: some have another one for staff.".into()),
            ),
        }
    }

    fn judge_listed_scopes(&mut self) {
        let Some(config) = &self.config else {
            return;
        };
        let hint = "The list need not be complete, and says nothing of this app: try a sign-in. If the hospital says “invalid scope”, enable the API of that type on the app, or take the scope out.";
        let capabilities = self.listed("capabilities").unwrap_or_default();
        let has = |wanted: &str| capabilities.iter().any(|it| it == wanted);
        let is_v1 = config
            .scope
            .split(' ')
            .any(|it| it.ends_with(".read") || it.ends_with(".*"));
        if is_v1 && has("permission-v2") && !has("permission-v1") {
            return self.say(
                Check::ListedScopes,
                "The configured scopes are of SMART v1 (.read), and it lists permission-v2 only.",
                Verdict::Unknown("Most servers take both. One that does not (Oracle Health) answers invalid_scope: then write .rs in place of .read, and register the app for v2.".into()),
            );
        }
        let Some(scopes) = self.listed("scopes_supported") else {
            return self.say(
                Check::ListedScopes,
                "It lists no scopes.",
                Verdict::Unknown(hint.into()),
            );
        };
        let all = scopes.join(" ");
        if !all.contains("patient/") && !all.contains("user/") {
            return self.say(
                Check::ListedScopes,
                format!("It lists no scope for records ({all}), as Epic does: that tells nothing."),
                Verdict::Unknown(hint.into()),
            );
        }
        let types = config.plan.types();
        let lacking: Vec<&str> = types
            .into_iter()
            .filter(|it| !allows_pull(&all, it))
            .collect();
        match lacking.is_empty() {
            true => self.say(
                Check::ListedScopes,
                "It lists a scope for each type that is pulled.",
                Verdict::Ok,
            ),
            false => {
                let found = format!("It lists none for {}.", listed(&lacking));
                self.say(Check::ListedScopes, found, Verdict::Unknown(hint.into()));
            }
        }
    }

    // The token endpoint.

    /// A request that can't succeed, as it has no code: the question is whether the page may read the refusal.
    pub(super) fn token_request(&self) -> Option<HttpRequest> {
        let endpoint = self.hospital.token_endpoint.clone()?;
        let body = form_encode(&[("grant_type", "authorization_code")]);
        Some(HttpRequest::post(endpoint).with_body("application/x-www-form-urlencoded", body))
    }

    pub(super) fn hear_token_endpoint(&mut self, reply: &Reply) {
        let found = format!("A POST without a code: {}", told(&reply.answer));
        self.hospital.is_blocked |= reply.is_blocked;
        match &reply.answer {
            Ok(answer) if (400..404).contains(&answer.status) || (405..500).contains(&answer.status) => self.say(
                Check::TokenEndpoint,
                format!("{found}. It refuses, as it should, and pages of this address may read that."),
                Verdict::Ok,
            ),
            Ok(_) => self.say(
                Check::TokenEndpoint,
                format!("{found}. A refusal with 400 was expected."),
                Verdict::Wrong("The token endpoint of the discovery document is not at work: ask the hospital.".into()),
            ),
            Err(TransportError::Unreachable | TransportError::CutOff) => {
                let endpoint = self.hospital.token_endpoint.clone();
                self.ask_who_answers(Check::TokenEndpoint, endpoint, found);
            }
            Err(_) => self.say(
                Check::TokenEndpoint,
                format!("{found}."),
                Verdict::Unknown("Check again.".into()),
            ),
        }
    }

    // Who answers at all.

    fn ask_who_answers(&mut self, check: Check, url: Option<Url>, found: String) {
        if let Some(url) = url {
            self.hospital.unreadable.push((check, url, found));
            // Before anything else, so that it is known which it is.
            self.steps.push_front(Step::Reach(check));
        }
    }

    pub(super) fn reach_request(&self, check: Check) -> Option<HttpRequest> {
        let mut unreadable = self.hospital.unreadable.iter();
        let (_, url, _) = unreadable.find(|(other, ..)| *other == check)?;
        Some(HttpRequest::get(url.clone(), "*/*").with_head_only())
    }

    pub(super) fn hear_reach(&mut self, check: Check, reply: &Reply) {
        let mut unreadable = self.hospital.unreadable.iter();
        let Some((_, url, found)) = unreadable.find(|(other, ..)| *other == check) else {
            return;
        };
        let (found, origin) = (found.clone(), self.at.page.origin());
        let server = url.origin();
        let code = match check {
            Check::TokenEndpoint => "sign_in.unreachable",
            Check::FhirServer => "discovery.not_readable",
            _ => "discovery.unreachable",
        };
        if self.hospital.is_blocked || reply.is_blocked {
            return self.say(
                check,
                format!("{found}. The Content-Security-Policy of this page does not let it ask {server}."),
                Verdict::Unknown(format!("Send the doctor’s page with the policy of the patients’ pages, and add {server} to connect-src there.")),
            );
        }
        match reply.answer {
            Ok(_) => self.say(
                check,
                format!("{found}. {server} answers, but lets no page of {origin} read what it says (CORS), or redirects to where none may."),
                Verdict::Wrong(format!("Ask the hospital to allow browsers (CORS) from {origin} at this address; at Epic it is part of the hospital’s own set-up. Patients read {code}.")),
            ),
            Err(_) => self.say(
                check,
                format!("{found}. Nobody answers at {server}."),
                Verdict::Wrong(format!("Look whether the name is right, its certificate good, and the server up (curl -I {server}); a blocker in this browser looks the same. Patients read {code}.")),
            ),
        }
    }

    // The sign-in.

    fn offer_sign_in(&mut self, issuer: &Issuer, configuration: &SmartConfiguration) {
        let Some(config) = &self.config else {
            return;
        };
        let (url, _) = LaunchRequest {
            issuer,
            configuration,
            client_id: &config.client_id,
            scope: &config.scope,
            redirect_uri: &config.redirect_uri,
            entropy: &self.at.entropy,
            now: self.at.now,
        }
        .begin();
        let line = Line {
            check: Check::SignInPage,
            found: format!(
                "No page may read it. The link asks it as the patients’ pages do, for client id {}.",
                config.client_id
            ),
            verdict: Verdict::Unknown("Open it in a new tab. A login form: client id and redirect URI are known there. “The request is invalid”, error=4 in the address (Epic), or “redirect_uri mismatch”: the client id is another app’s, the redirect URI (above) is not registered on that app byte for byte, or less than 1 to 12 hours have passed since it was. Do not sign in there: the callback page would refuse the answer, as no patient’s page has begun this.".into()),
            copy: None,
            link: Some(("Open the sign-in page", url)),
        };
        self.say_line(line);
    }
}

/// How something was answered, in short.
fn told(answer: &Answer) -> String {
    match answer {
        Ok(answer) if answer.is_success() => match answer.content_type.as_str() {
            "" => format!("HTTP {}", answer.status),
            content_type => format!("HTTP {}, {content_type}", answer.status),
        },
        Ok(answer) => answer.describe(),
        Err(error) => error.detail().to_owned(),
    }
}
