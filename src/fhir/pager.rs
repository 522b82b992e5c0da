//! The pages of one search, one after the other: every next link, confined to the FHIR base, and no page twice.

use alloc::string::String;

use crate::fhir::bundle::SearchPage;
use crate::fhir::outcome::OperationOutcome;
use crate::fhir::resource::Selection;
use crate::fhir::search::{Search, page_request};
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
use crate::oauth::token::AccessToken;
use crate::text::contains;
use crate::texts::Texts;
use crate::url::Url;

/// Goes through the pages of a search. Ask for a request, send it, hand the answer in, and ask again.
#[derive(Debug)]
pub struct Pager {
    selection: Selection,
    next: Next,
    visited: Texts,
    pages: u32,
    retry_after_ms: Option<u64>,
}

#[derive(Debug)]
enum Next {
    /// This page is to be asked for.
    Page(Url),
    /// This page was asked for.
    UnderWay(Url),
    /// The way on can't be taken.
    Refused(PageError),
    /// There is no further page.
    End,
}

impl Pager {
    /// The pages of `search` for the patient of `selection`.
    pub fn new(selection: Selection, search: &Search<'_>) -> Self {
        let mut visited = Texts::default();
        let next = match search.first_page(&selection.base, &selection.patient) {
            Ok(first) => {
                visited.insert(first.as_str());
                Next::Page(first)
            }
            Err(_) => Next::Refused(PageError::NextRefused(selection.base.without_query())),
        };
        Pager {
            selection,
            next,
            visited,
            pages: 0,
            retry_after_ms: None,
        }
    }

    /// How many pages were read.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// How long the answer that was received last asks to wait, in milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The request for the next page; `None` after the last one, and while an answer is awaited.
    ///
    /// # Errors
    /// [`PageError::NextRefused`] or [`PageError::NextLoop`], once: the pages before are good.
    pub fn next_request(&mut self, token: &AccessToken) -> Result<Option<HttpRequest>, PageError> {
        match core::mem::replace(&mut self.next, Next::End) {
            Next::Page(page) => {
                self.next = Next::UnderWay(page.clone());
                Ok(Some(page_request(page, token)))
            }
            Next::Refused(error) => Err(error),
            other => {
                self.next = other;
                Ok(None)
            }
        }
    }

    /// Reads the page that was asked for last.
    ///
    /// # Errors
    /// [`PageError`]. After a [transient](PageError::is_transient) one the same page may be asked for again, after any
    /// other there is no further page.
    pub fn receive(&mut self, answer: Answer) -> Result<SearchPage, PageError> {
        let page = match core::mem::replace(&mut self.next, Next::End) {
            Next::UnderWay(page) => page,
            other => {
                self.next = other;
                return Ok(SearchPage::default());
            }
        };
        self.retry_after_ms = None;
        let found = match self.read(answer) {
            Ok(found) => found,
            Err(error) => {
                if error.is_transient() {
                    self.next = Next::Page(page);
                }
                return Err(error);
            }
        };
        self.pages += 1;
        if let Some(link) = &found.next {
            self.next = self.follow(link, &page);
        }
        Ok(found)
    }

    fn read(&mut self, answer: Answer) -> Result<SearchPage, PageError> {
        let response = answer.map_err(|error| match error {
            TransportError::CutOff => PageError::CutOff,
            other => PageError::Transport(other),
        })?;
        if !response.is_success() {
            self.retry_after_ms = response.retry_after_ms;
            return Err(PageError::from_refusal(&response));
        }
        SearchPage::from_response(&response, &self.selection)
            .ok_or_else(|| PageError::from_unreadable(&response))
    }

    fn follow(&mut self, link: &str, page: &Url) -> Next {
        match self.selection.base.confine(link, page) {
            Ok(next) if self.visited.insert(next.as_str()) => Next::Page(next),
            Ok(_) => Next::Refused(PageError::NextLoop),
            Err(_) => {
                let target = page.join(link).map(|url| url.without_query());
                let target = target.unwrap_or_else(|_| "no http URL".into());
                Next::Refused(PageError::NextRefused(target))
            }
        }
    }
}

/// What may go wrong with one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageError {
    /// 401: the EHR's token is over.
    SignedOut,
    /// 403: the app may not read this.
    Forbidden(String),
    /// 429: too many requests.
    Busy(String),
    /// Another 4xx; what the EHR said.
    Refused(String),
    /// 5xx; what the EHR said.
    ServerError(String),
    /// A success that is no Bundle; its content type.
    NotFhir(String),
    /// The page broke off.
    CutOff,
    /// The next link leads out of the FHIR base: the token does not go there.
    NextRefused(String),
    /// The next link leads to a page that was read already.
    NextLoop,
    /// No readable answer.
    Transport(TransportError),
}

impl PageError {
    /// May it be gone at the next try?
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            PageError::Busy(_)
                | PageError::ServerError(_)
                | PageError::CutOff
                | PageError::Transport(_)
        )
    }

    /// Status first, body second: an EHR's 401 may have `""` as its body, its 404 a web page.
    fn from_refusal(response: &HttpResponse) -> Self {
        let outcome = OperationOutcome::from_response(response).map(|outcome| outcome.text());
        let status = crate::http::status_text(response.status);
        let said = match outcome {
            Some(text) if !text.is_empty() => [&status, ": ", &text].concat(),
            _ => response.describe(),
        };
        match response.status {
            401 => PageError::SignedOut,
            403 => PageError::Forbidden(said),
            429 => PageError::Busy(said),
            500.. => PageError::ServerError(said),
            _ => PageError::Refused(said),
        }
    }

    fn from_unreadable(response: &HttpResponse) -> Self {
        let outcome = response.json().and_then(OperationOutcome::read);
        if let Some(outcome) = outcome {
            return PageError::Refused(outcome.text());
        }
        let is_json = response.json().is_some();
        let claims_json = contains(&response.content_type, "json");
        match claims_json && !is_json && !response.body.is_empty() {
            true => PageError::CutOff,
            false => PageError::NotFhir(response.content_type.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;

    fn pager() -> Pager {
        let selection = Selection {
            resource_type: "Observation",
            patient: "e1".into(),
            base: Url::parse("https://ehr.example/R4").unwrap(),
        };
        let search = Search {
            resource_type: "Observation",
            parameters: &[],
        };
        Pager::new(selection, &search)
    }

    fn page(next: &str) -> Answer {
        let body = [
            r#"{"resourceType":"Bundle","link":[{"relation":"next","url":""#,
            next,
            r#""}],"entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/e1"}}}]}"#,
        ]
        .concat();
        Ok(json(200, &body))
    }

    #[test]
    fn a_page_whose_next_link_is_refused_is_kept() {
        let token = AccessToken::new("E".into());
        let mut pager = pager();
        assert!(pager.next_request(&token).unwrap().is_some());
        assert!(pager.next_request(&token).unwrap().is_none());
        let found = pager
            .receive(page("https://evil.example/?secret=1"))
            .unwrap();
        assert_eq!(found.records.len(), 1);
        assert_eq!(
            pager.next_request(&token).unwrap_err(),
            PageError::NextRefused("https://evil.example/".into())
        );
        assert!(pager.next_request(&token).unwrap().is_none());
        assert_eq!(pager.pages(), 1);
    }

    #[test]
    fn after_a_passing_failure_the_same_page_is_asked_for_again() {
        let token = AccessToken::new("E".into());
        let mut pager = pager();
        let first = pager.next_request(&token).unwrap().unwrap();
        let mut busy = json(429, "");
        busy.retry_after_ms = Some(7_000);
        assert!(pager.receive(Ok(busy)).unwrap_err().is_transient());
        assert_eq!(pager.retry_after_ms(), Some(7_000));
        let again = pager.next_request(&token).unwrap().unwrap();
        assert_eq!(first.url, again.url);
        assert!(pager.receive(Ok(json(403, ""))).is_err());
        assert!(pager.next_request(&token).unwrap().is_none());
    }

    #[test]
    fn an_outcome_in_place_of_a_page_is_quoted() {
        let mut pager = pager();
        let _request = pager.next_request(&AccessToken::new("E".into()));
        let outcome = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":"try tomorrow"}]}"#;
        assert_eq!(
            pager.receive(Ok(json(200, outcome))).unwrap_err(),
            PageError::Refused("try tomorrow".into())
        );
    }

    #[test]
    fn an_answer_that_was_not_asked_for_is_not_read() {
        let mut pager = pager();
        assert!(pager.receive(page("?page=2")).unwrap().records.is_empty());
        assert_eq!(pager.pages(), 0);
    }
}
