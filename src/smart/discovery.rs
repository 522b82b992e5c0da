//! Where a hospital's sign-in is: `.well-known/smart-configuration`, and the CapabilityStatement as fall-back.
//!
//! SMART App Launch 2.2, [conformance](https://hl7.org/fhir/smart-app-launch/conformance.html).

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use crate::json::Json;
use crate::oauth::authorization::ExpectedIssuer;
use crate::text::listed;
use crate::url::Url;

/// The FHIR base URL of an EHR, both as it was configured and as a URL.
///
/// The text is what `aud`, JHE's identifier system and its source's base URL must be, byte for byte: JHE compares
/// exact strings.
#[derive(Debug, Clone)]
pub struct Issuer {
    text: String,
    base: Url,
}

impl Issuer {
    /// Reads a configured FHIR base URL; `page` is where this code runs.
    ///
    /// # Errors
    /// [`DiscoveryError::InsecureIssuer`] if it is no https URL (http is let pass from loopback to loopback).
    pub fn parse(text: &str, page: &Url) -> Result<Self, DiscoveryError> {
        match Url::parse(text) {
            Ok(base) if base.is_protected(page) => Ok(Issuer {
                text: text.to_owned(),
                base,
            }),
            _ => Err(DiscoveryError::InsecureIssuer(text.to_owned())),
        }
    }

    /// The text as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL to which FHIR requests are confined.
    pub fn base(&self) -> &Url {
        &self.base
    }
}

/// What discovery finds, checked: both endpoints are protected URLs.
#[derive(Debug, Clone)]
pub struct SmartConfiguration {
    /// Where the patient signs in.
    pub authorization_endpoint: Url,
    /// Where the code is exchanged.
    pub token_endpoint: Url,
    /// Where a token can be ended, if anywhere (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// For the check of the answer's `iss` (RFC 9207).
    pub issuer: ExpectedIssuer,
}

/// The request for the SMART configuration: appended to the base path, with and without trailing slash alike.
///
/// # Errors
/// [`DiscoveryError::InsecureIssuer`] if no URL can be made of the issuer.
pub fn configuration_request(issuer: &Issuer) -> Result<HttpRequest, DiscoveryError> {
    request(
        issuer,
        ".well-known/smart-configuration",
        "application/json",
    )
}

/// The request for the CapabilityStatement, which holds the endpoints of servers older than SMART 2.
///
/// # Errors
/// As [`configuration_request`].
pub fn metadata_request(issuer: &Issuer) -> Result<HttpRequest, DiscoveryError> {
    request(issuer, "metadata", "application/fhir+json")
}

fn request(issuer: &Issuer, path: &str, accept: &str) -> Result<HttpRequest, DiscoveryError> {
    let url = issuer.base.below(path);
    let url = url.map_err(|_| DiscoveryError::InsecureIssuer(issuer.text.clone()))?;
    Ok(HttpRequest::get(url, accept))
}

impl SmartConfiguration {
    /// Reads `.well-known/smart-configuration`.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn from_response(
        response: &HttpResponse,
        issuer: &Issuer,
        page: &Url,
    ) -> Result<Self, DiscoveryError> {
        let body = document(response)?;
        // SMART: servers SHALL support S256 and SHALL NOT support `plain`. Many leave the list out: S256 is sent all
        // the same, and only a list that rules it out stops the launch.
        let methods = body.list("code_challenge_methods_supported");
        let is_text = |method: &Json<'_>| method.text().starts_with('"');
        let methods: Vec<&str> = methods.filter(is_text).map(Json::unquoted).collect();
        if !methods.is_empty() && !methods.contains(&"S256") {
            return Err(DiscoveryError::NoS256(listed(&methods)));
        }
        let endpoint = |name| endpoint(name, body.get_string(name), issuer, page);
        let iss_is_promised = body.get("authorization_response_iss_parameter_supported");
        Ok(SmartConfiguration {
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            // Nobody can do without the other two; one of these that can't be used is as good as none.
            revocation_endpoint: endpoint("revocation_endpoint").ok(),
            issuer: ExpectedIssuer {
                advertised: body.get_string("issuer"),
                required: iss_is_promised.is_some_and(|value| value.text() == "true"),
            },
        })
    }

    /// Reads the endpoints out of a CapabilityStatement's `oauth-uris` extension (SMART 1.0, still served).
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn from_metadata(
        response: &HttpResponse,
        issuer: &Issuer,
        page: &Url,
    ) -> Result<Self, DiscoveryError> {
        let statement = document(response)?;
        let mut uris = Vec::new();
        for rest in statement.list("rest") {
            let Some(security) = rest.get("security") else {
                continue;
            };
            for extension in security.list("extension") {
                let url = extension.get_string("url").unwrap_or_default();
                if url.ends_with("/oauth-uris") {
                    uris.extend(extension.list("extension"));
                }
            }
        }
        let uri = |name: &str| {
            let named = |uri: &&Json<'_>| uri.get_string("url").as_deref() == Some(name);
            uris.iter().find(named)?.get_string("valueUri")
        };
        Ok(SmartConfiguration {
            authorization_endpoint: endpoint("authorize", uri("authorize"), issuer, page)?,
            token_endpoint: endpoint("token", uri("token"), issuer, page)?,
            revocation_endpoint: endpoint("revoke", uri("revoke"), issuer, page).ok(),
            issuer: ExpectedIssuer::default(),
        })
    }
}

fn document(response: &HttpResponse) -> Result<Json<'_>, DiscoveryError> {
    match response.status {
        404 | 410 => return Err(DiscoveryError::NotFound),
        _ if !response.is_success() => return Err(DiscoveryError::Refused(response.describe())),
        _ => {}
    }
    response
        .json()
        .filter(|body| body.is_object())
        .ok_or_else(|| DiscoveryError::NotJson(response.content_type.clone()))
}

fn endpoint(
    name: &'static str,
    value: Option<String>,
    issuer: &Issuer,
    page: &Url,
) -> Result<Url, DiscoveryError> {
    let text = value
        .filter(|text| !text.is_empty())
        .ok_or(DiscoveryError::Incomplete(name))?;
    // SMART conformance: a relative endpoint is resolved against the base, taken as a folder.
    let folder = issuer.base.below("");
    match folder.and_then(|folder| folder.join(&text)) {
        Ok(url) if url.is_protected(page) => Ok(url),
        _ => Err(DiscoveryError::InsecureEndpoint(name)),
    }
}

/// Discovery as a conversation: the SMART configuration first, the CapabilityStatement if there is none to be had.
pub struct Discovery {
    issuer: Issuer,
    page: Url,
    step: Step,
    has_fallen_back: bool,
}

enum Step {
    Configuration,
    AwaitConfiguration,
    Metadata(DiscoveryError),
    AwaitMetadata(DiscoveryError),
    End(Box<Result<SmartConfiguration, DiscoveryError>>),
}

impl Discovery {
    /// Discovery of `issuer` from a page at `page`.
    pub fn new(issuer: Issuer, page: Url) -> Self {
        Discovery {
            issuer,
            page,
            step: Step::Configuration,
            has_fallen_back: false,
        }
    }

    /// Is it over, and did the SMART configuration have all that is needed?
    pub(crate) fn is_found_in_configuration(&self) -> bool {
        let is_found = matches!(&self.step, Step::End(found) if found.is_ok());
        is_found && !self.has_fallen_back
    }

    /// The result, with the issuer that it belongs to.
    ///
    /// # Errors
    /// [`DiscoveryError`] of the SMART configuration, unless only the CapabilityStatement has more to say.
    pub fn finish(self) -> Result<(Issuer, SmartConfiguration), DiscoveryError> {
        match self.step {
            Step::End(result) => result.map(|found| (self.issuer, found)),
            _ => Err(DiscoveryError::Transport(TransportError::Unreachable)),
        }
    }

    fn begin(
        &mut self,
        request: Result<HttpRequest, DiscoveryError>,
        awaiting: Step,
    ) -> Option<HttpRequest> {
        match request {
            Ok(request) => {
                self.step = awaiting;
                Some(request)
            }
            Err(error) => {
                self.step = Step::End(Box::new(Err(error)));
                None
            }
        }
    }
}

impl Conversation for Discovery {
    fn next_request(&mut self) -> Option<HttpRequest> {
        match mem::replace(&mut self.step, Step::AwaitConfiguration) {
            Step::Configuration => {
                let request = configuration_request(&self.issuer);
                self.begin(request, Step::AwaitConfiguration)
            }
            Step::Metadata(first) => {
                self.has_fallen_back = true;
                let request = metadata_request(&self.issuer);
                self.begin(request, Step::AwaitMetadata(first))
            }
            step => {
                self.step = step;
                None
            }
        }
    }

    fn receive(&mut self, answer: Answer) {
        let answer = answer.map_err(DiscoveryError::Transport);
        let (issuer, page) = (&self.issuer, &self.page);
        self.step = match mem::replace(&mut self.step, Step::AwaitConfiguration) {
            Step::AwaitMetadata(first) => {
                let found = answer
                    .and_then(|answer| SmartConfiguration::from_metadata(&answer, issuer, page));
                Step::End(Box::new(found.map_err(|second| first.or(second))))
            }
            _ => match answer.and_then(|a| SmartConfiguration::from_response(&a, issuer, page)) {
                Err(error) if error.is_absence() => Step::Metadata(error),
                result => Step::End(Box::new(result)),
            },
        };
    }
}

/// Why a hospital's sign-in can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryError {
    /// The configured base URL is no https URL.
    InsecureIssuer(String),
    /// No readable answer.
    Transport(TransportError),
    /// 404 or 410.
    NotFound,
    /// Another failure; status and start of the body.
    Refused(String),
    /// A success that is no JSON object of the expected form; its content type.
    NotJson(String),
    /// The named endpoint is missing.
    Incomplete(&'static str),
    /// The named endpoint is no https URL.
    InsecureEndpoint(&'static str),
    /// The methods that the server lists, without S256 among them.
    NoS256(String),
    /// The sign-in can be found, but the FHIR server gives the page no readable answer.
    NotReadable,
}

impl DiscoveryError {
    /// Was nothing usable found, so that the CapabilityStatement may have it?
    fn is_absence(&self) -> bool {
        match self {
            // A server that did not answer in time has had its time.
            DiscoveryError::Transport(TransportError::Offline | TransportError::TimedOut)
            | DiscoveryError::InsecureIssuer(_)
            | DiscoveryError::NotReadable
            | DiscoveryError::InsecureEndpoint(_)
            | DiscoveryError::NoS256(_) => false,
            DiscoveryError::Transport(_)
            | DiscoveryError::NotFound
            | DiscoveryError::Refused(_)
            | DiscoveryError::NotJson(_)
            | DiscoveryError::Incomplete(_) => true,
        }
    }

    /// Which of the two says more to the one who has to mend it: a document with a fault, or its absence.
    fn or(self, second: DiscoveryError) -> DiscoveryError {
        match (&self, &second) {
            (
                DiscoveryError::NotFound,
                DiscoveryError::InsecureEndpoint(_) | DiscoveryError::Incomplete(_),
            ) => second,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{answer, header, json};

    const GOOD: &str = r#"{"authorization_endpoint":"https://ehr.example/authorize?tenant=7",
        "token_endpoint":"oauth2/token","issuer":"https://ehr.example",
        "code_challenge_methods_supported":["S256"],"capabilities":["launch-standalone"],"new":{}}"#;

    fn page() -> Url {
        Url::parse("https://jhe.example/clients/mychart/").unwrap()
    }

    fn issuer() -> Issuer {
        Issuer::parse("https://ehr.example/api/R4/", &page()).unwrap()
    }

    fn configuration(body: &str) -> Result<SmartConfiguration, DiscoveryError> {
        SmartConfiguration::from_response(&json(200, body), &issuer(), &page())
    }

    fn converse(answers: Vec<Answer>) -> (Vec<String>, Result<SmartConfiguration, DiscoveryError>) {
        let mut discovery = Discovery::new(issuer(), page());
        let mut asked = Vec::new();
        let mut answers = answers.into_iter();
        while let Some(request) = discovery.next_request() {
            asked.push(request.url.path().to_owned());
            discovery.receive(answers.next().unwrap());
        }
        (asked, discovery.finish().map(|(_, found)| found))
    }

    #[test]
    fn the_request_goes_below_the_base_path_and_asks_for_json() {
        let request = configuration_request(&issuer()).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://ehr.example/api/R4/.well-known/smart-configuration"
        );
        assert_eq!(header(&request, "Accept"), Some("application/json"));
    }

    #[test]
    fn endpoints_may_be_relative_and_keep_their_query() {
        let found = configuration(GOOD).unwrap();
        assert_eq!(
            found.authorization_endpoint.as_str(),
            "https://ehr.example/authorize?tenant=7"
        );
        assert_eq!(
            found.token_endpoint.as_str(),
            "https://ehr.example/api/R4/oauth2/token"
        );
        assert_eq!(
            found.issuer.advertised.as_deref(),
            Some("https://ehr.example")
        );
    }

    #[test]
    fn a_revocation_endpoint_is_taken_if_it_can_be_used_and_not_missed() {
        let revocation = |value: &str| {
            let body = [r#"{"revocation_endpoint":""#, value, r#"","#].concat();
            let found = configuration(&GOOD.replacen('{', &body, 1)).unwrap();
            found.revocation_endpoint.map(String::from)
        };
        assert_eq!(
            revocation("oauth2/revoke").as_deref(),
            Some("https://ehr.example/api/R4/oauth2/revoke")
        );
        assert_eq!(revocation("http://ehr.example/revoke"), None);
        assert_eq!(revocation(""), None);
        assert!(configuration(GOOD).unwrap().revocation_endpoint.is_none());
    }

    #[test]
    fn s256_is_sent_where_no_method_is_listed_and_refused_where_others_are() {
        assert!(configuration(&GOOD.replace(r#"["S256"]"#, "[]")).is_ok());
        assert!(configuration(&GOOD.replace(r#"["S256"]"#, "null")).is_ok());
        assert_eq!(
            configuration(&GOOD.replace(r#"["S256"]"#, r#"["plain"]"#)).unwrap_err(),
            DiscoveryError::NoS256("plain".into())
        );
    }

    #[test]
    fn unprotected_endpoints_are_refused() {
        for bad in [
            "http://ehr.example/token",
            "javascript:alert(1)",
            "https://u:p@ehr.example/token",
            "http://localhost:8020/token",
        ] {
            let body = GOOD.replace("oauth2/token", bad);
            assert_eq!(
                configuration(&body).unwrap_err(),
                DiscoveryError::InsecureEndpoint("token_endpoint")
            );
        }
    }

    #[test]
    fn an_issuer_over_http_is_refused_unless_page_and_issuer_are_local() {
        assert!(Issuer::parse("http://ehr.example/R4", &page()).is_err());
        assert!(Issuer::parse("http://localhost:8020/R4", &page()).is_err());
        let local = Url::parse("http://localhost:8010/").unwrap();
        assert!(Issuer::parse("http://localhost:8020/R4", &local).is_ok());
    }

    #[test]
    fn each_way_of_failing_has_its_name() {
        let judge = |response| {
            SmartConfiguration::from_response(&response, &issuer(), &page()).unwrap_err()
        };
        assert_eq!(judge(json(404, "")), DiscoveryError::NotFound);
        assert_eq!(
            judge(json(403, "no")),
            DiscoveryError::Refused("HTTP 403: no".into())
        );
        assert_eq!(
            judge(answer(200, "text/html", "<html>")),
            DiscoveryError::NotJson("text/html".into())
        );
        assert_eq!(
            judge(json(200, "{}")),
            DiscoveryError::Incomplete("authorization_endpoint")
        );
    }

    #[test]
    fn the_capability_statement_is_asked_where_the_configuration_is_missing() {
        let metadata = r#"{"rest":[{"mode":"server","security":{"extension":[{
            "url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[
            {"url":"token","valueUri":"https://ehr.example/token"},
            {"url":"manage","valueUri":"https://ehr.example/manage"},
            {"url":"authorize","valueUri":"https://ehr.example/authorize"}]}]}}]}"#;
        let (asked, found) = converse(alloc::vec![Ok(json(404, "")), Ok(json(200, metadata))]);
        assert_eq!(
            asked,
            [
                "/api/R4/.well-known/smart-configuration",
                "/api/R4/metadata"
            ]
        );
        let found = found.unwrap();
        assert_eq!(
            found.authorization_endpoint.as_str(),
            "https://ehr.example/authorize"
        );
        assert_eq!(found.token_endpoint.as_str(), "https://ehr.example/token");
    }

    #[test]
    fn a_configuration_with_a_fault_is_not_replaced_by_the_capability_statement() {
        let body = GOOD.replace("S256", "plain");
        let (asked, found) = converse(alloc::vec![Ok(json(200, &body))]);
        assert_eq!(asked.len(), 1);
        assert!(matches!(found, Err(DiscoveryError::NoS256(_))));
    }

    #[test]
    fn where_both_fail_the_first_failure_is_told_unless_the_second_says_more() {
        let unreachable = || Err(TransportError::Unreachable);
        let (_, found) = converse(alloc::vec![unreachable(), Ok(json(404, ""))]);
        assert_eq!(
            found.unwrap_err(),
            DiscoveryError::Transport(TransportError::Unreachable)
        );
        let (_, found) = converse(alloc::vec![Ok(json(404, "")), Ok(json(200, "{}"))]);
        assert_eq!(found.unwrap_err(), DiscoveryError::Incomplete("authorize"));
    }
}
