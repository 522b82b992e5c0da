//! Can this hospital work at all? Asked before the patient leaves the page: discovery, and beside it whether the page may
//! read the FHIR server. One that may not be read lets patients sign in, and then gives the page nothing.
//!
//! A hospital that can't work is told within five seconds. One that can loses as good as nothing: the second question goes
//! out with the first, and is not waited for.

use crate::http::{Answer, Conversation, HttpRequest, TransportError};
use crate::smart::discovery::{
    Discovery, DiscoveryError, Issuer, SmartConfiguration, metadata_request,
};
use crate::url::Url;

/// All of discovery takes no longer than this, the fall-back included, in milliseconds.
const LIMIT_MS: u64 = 4_500;
/// The fall-back gets as much even where the first answer came at the last moment, in milliseconds.
const LEAST_MS: u64 = 500;
/// So long the FHIR server's head is waited for once discovery is done, in milliseconds.
pub const GRACE_MS: u32 = 300;

/// Discovery, with a look at the FHIR server beside it.
pub struct Preflight {
    issuer: Issuer,
    discovery: Discovery,
    begun_at: u64,
}

impl Preflight {
    /// The preflight for `issuer`, from a page at `page`, at the time `now` in milliseconds since the Unix epoch.
    pub fn new(issuer: Issuer, page: Url, now: u64) -> Self {
        Preflight {
            discovery: Discovery::new(issuer.clone(), page),
            issuer,
            begun_at: now,
        }
    }

    /// The request that goes out at the same time as discovery's first one. It is for the CapabilityStatement, which needs
    /// no token (SMART App Launch 2.2; FHIR R4 §3.1.0.14); only its head is read, as it may be megabytes.
    ///
    /// # Errors
    /// [`DiscoveryError::InsecureIssuer`] if no URL can be made of the issuer.
    pub fn look_request(&self) -> Result<HttpRequest, DiscoveryError> {
        let mut request = metadata_request(&self.issuer)?.with_head_only();
        request.limit_ms = LIMIT_MS as u32;
        Ok(request)
    }

    /// Discovery's next request, limited by what is left of the time.
    pub fn next_request(&mut self, now: u64) -> Option<HttpRequest> {
        let mut request = self.discovery.next_request()?;
        let left = LIMIT_MS.saturating_sub(now.saturating_sub(self.begun_at));
        request.limit_ms = left.max(LEAST_MS) as u32;
        Some(request)
    }

    /// The answer to the request that [`Preflight::next_request`] gave last.
    pub fn receive(&mut self, answer: Answer) {
        self.discovery.receive(answer);
    }

    /// Can the look still change the result? Not where discovery failed, nor where it had to read the same document.
    pub fn awaits_look(&self) -> bool {
        self.discovery.is_found_in_configuration()
    }

    /// The result. `look` is the answer to [`Preflight::look_request`], if there is one yet.
    ///
    /// # Errors
    /// [`DiscoveryError`] of discovery, or else [`DiscoveryError::NotReadable`].
    pub fn finish(
        self,
        look: Option<Answer>,
    ) -> Result<(Issuer, SmartConfiguration), DiscoveryError> {
        let counts = self.awaits_look();
        let found = self.discovery.finish()?;
        match look {
            Some(Err(error)) if counts => judge(error).map(|()| found),
            _ => Ok(found),
        }
    }
}

/// Is it a sign that records could not be read either?
fn judge(error: TransportError) -> Result<(), DiscoveryError> {
    match error {
        TransportError::Unreachable => Err(DiscoveryError::NotReadable),
        TransportError::Offline => Err(DiscoveryError::Transport(error)),
        // Some servers need long for the first answer of the day; and what is too long has been read in part.
        TransportError::TimedOut | TransportError::CutOff | TransportError::TooLong => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::http::testing::{answer, header, json};

    const GOOD: &str = r#"{"authorization_endpoint":"https://ehr.example/authorize",
        "token_endpoint":"https://ehr.example/token"}"#;
    const STATEMENT: &str = r#"{"rest":[{"security":{"extension":[
        {"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[
            {"url":"token","valueUri":"https://ehr.example/token"},
            {"url":"authorize","valueUri":"https://ehr.example/authorize"}]}]}}]}"#;

    fn preflight() -> Preflight {
        let page = Url::parse("https://jhe.example/").unwrap();
        let issuer = Issuer::parse("https://ehr.example/R4/", &page).unwrap();
        Preflight::new(issuer, page, 1_000)
    }

    fn judged(
        discovery: Vec<Answer>,
        look: Option<Answer>,
    ) -> Result<SmartConfiguration, DiscoveryError> {
        let mut preflight = preflight();
        let mut answers = discovery.into_iter();
        while preflight.next_request(1_000).is_some() {
            preflight.receive(answers.next().unwrap());
        }
        preflight.finish(look).map(|(_, found)| found)
    }

    fn found() -> Vec<Answer> {
        alloc::vec![Ok(json(200, GOOD))]
    }

    #[test]
    fn the_look_is_for_the_head_of_the_capability_statement_and_carries_nothing() {
        let look = preflight().look_request().unwrap();
        assert_eq!(look.url.as_str(), "https://ehr.example/R4/metadata");
        assert_eq!(header(&look, "Accept"), Some("application/fhir+json"));
        assert_eq!(look.headers.len(), 1);
        assert!(look.is_head_only);
    }

    #[test]
    fn a_server_that_the_page_may_not_read_is_refused() {
        let unreadable = || Some(Err(TransportError::Unreachable));
        assert_eq!(
            judged(found(), unreadable()).unwrap_err(),
            DiscoveryError::NotReadable
        );
    }

    #[test]
    fn a_server_that_answers_with_an_error_can_be_read() {
        for status in [200, 401, 404, 500] {
            let look = Ok(answer(status, "text/html", ""));
            assert!(judged(found(), Some(look)).is_ok(), "{status}");
        }
    }

    #[test]
    fn a_server_that_takes_its_time_is_not_waited_for() {
        assert!(judged(found(), None).is_ok());
        assert!(judged(found(), Some(Err(TransportError::TimedOut))).is_ok());
    }

    #[test]
    fn a_device_that_goes_offline_is_no_fault_of_the_hospital() {
        assert_eq!(
            judged(found(), Some(Err(TransportError::Offline))).unwrap_err(),
            DiscoveryError::Transport(TransportError::Offline)
        );
    }

    #[test]
    fn where_discovery_fails_or_has_read_the_document_itself_the_look_says_nothing_more() {
        let unreadable = || Some(Err(TransportError::Unreachable));
        let nothing = alloc::vec![Ok(json(404, "")), Ok(json(404, ""))];
        assert_eq!(
            judged(nothing, unreadable()).unwrap_err(),
            DiscoveryError::NotFound
        );
        let fallen_back = alloc::vec![Ok(json(404, "")), Ok(json(200, STATEMENT))];
        assert!(judged(fallen_back, unreadable()).is_ok());
    }

    #[test]
    fn all_of_it_is_over_in_five_seconds() {
        let mut preflight = preflight();
        let first = preflight.next_request(1_000).unwrap();
        assert_eq!(first.limit_ms, 4_500);
        preflight.receive(Ok(json(404, "")));
        let mut at_the_last_moment = preflight;
        let second = at_the_last_moment.next_request(5_500).unwrap();
        assert_eq!(second.limit_ms, 500);
    }

    #[test]
    fn the_fall_back_has_what_is_left_and_a_clock_that_goes_back_gives_no_more() {
        for (now, limit) in [(2_000, 3_500), (0, 4_500)] {
            let mut preflight = preflight();
            preflight.next_request(1_000);
            preflight.receive(Ok(json(404, "")));
            assert_eq!(preflight.next_request(now).unwrap().limit_ms, limit);
        }
    }

    #[test]
    fn a_server_that_does_not_answer_in_time_is_not_asked_again() {
        let late = alloc::vec![Err(TransportError::TimedOut)];
        assert_eq!(
            judged(late, None).unwrap_err(),
            DiscoveryError::Transport(TransportError::TimedOut)
        );
    }
}
