//! The pages of one search, one after the other: every next link, confined to the FHIR base, and no page twice.

use alloc::rc::Rc;
use alloc::string::String;

use crate::fhir::bundle::SearchPage;
use crate::fhir::outcome::OperationOutcome;
use crate::fhir::resource::Selection;
use crate::fhir::search::{Search, page_request};
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
use crate::json::Json;
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

    /// The pages of the same search from `page` on, after `pages` of them were read. A page outside the FHIR base is no
    /// page of it: then it begins at the first one.
    pub fn resumed(selection: Selection, search: &Search<'_>, page: &str, pages: u32) -> Self {
        let mut pager = Pager::new(selection, search);
        let base = &pager.selection.base;
        if let Ok(page) = base.confine(page, base) {
            pager.visited.insert(page.as_str());
            pager.next = Next::Page(page);
            pager.pages = pages;
        }
        pager
    }

    /// How many pages were read.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// The address of the page that is to be read next, or is under way.
    pub fn address(&self) -> Option<&str> {
        match &self.next {
            Next::Page(page) | Next::UnderWay(page) => Some(page.as_str()),
            Next::Refused(_) | Next::End => None,
        }
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
    /// [`PageError`]. The same page may then be asked for again, which helps if it is a
    /// [transient](PageError::is_transient) one.
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
                self.next = Next::Page(page);
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
            TransportError::TooLong => PageError::TooLong,
            other => PageError::Transport(other),
        })?;
        if !response.is_success() {
            self.retry_after_ms = response.retry_after_ms;
            return Err(PageError::from_refusal(&response));
        }
        // What breaks off within a character is no text.
        let text = Rc::new(String::from_utf8(response.body).unwrap_or_default());
        SearchPage::read(&text, &self.selection)
            .ok_or_else(|| PageError::from_unreadable(&text, response.content_type))
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
    /// 4xx, since the search names too little; what the EHR said.
    TooWide(String),
    /// Another 4xx; what the EHR said.
    Refused(String),
    /// 5xx; what the EHR said.
    ServerError(String),
    /// A success that is no Bundle; its content type.
    NotFhir(String),
    /// The page broke off.
    CutOff,
    /// The page is longer than any that is read: it would fill the device's memory.
    TooLong,
    /// The next link leads out of the FHIR base: the token does not go there.
    NextRefused(String),
    /// The next link leads to a page that was read already.
    NextLoop,
    /// No readable answer.
    Transport(TransportError),
}

impl PageError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            PageError::SignedOut => "pull.signed_out",
            PageError::Forbidden(_) => "pull.forbidden",
            PageError::Busy(_) => "pull.busy",
            PageError::TooWide(_) => "pull.too_wide",
            PageError::Refused(_) => "pull.refused",
            PageError::ServerError(_) => "pull.server_error",
            PageError::NotFhir(_) => "pull.not_fhir",
            PageError::CutOff => "pull.cut_off",
            PageError::TooLong => "pull.too_long",
            PageError::NextRefused(_) => "pull.next_refused",
            PageError::NextLoop => "pull.next_loop",
            PageError::Transport(_) => "pull.unreachable",
        }
    }

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
        let outcome = OperationOutcome::from_response(response);
        let is_too_wide = outcome
            .as_ref()
            .is_some_and(OperationOutcome::misses_something);
        let status = crate::http::status_text(response.status);
        let said = match outcome.map(|outcome| outcome.text()) {
            Some(text) if !text.is_empty() => [&status, ": ", &text].concat(),
            _ => response.describe(),
        };
        match response.status {
            401 => PageError::SignedOut,
            403 => PageError::Forbidden(said),
            429 => PageError::Busy(said),
            500.. => PageError::ServerError(said),
            _ if is_too_wide => PageError::TooWide(said),
            _ => PageError::Refused(said),
        }
    }

    fn from_unreadable(text: &str, content_type: String) -> Self {
        let json = Json::parse(text.as_bytes());
        if let Some(outcome) = json.and_then(OperationOutcome::read) {
            return PageError::Refused(outcome.text());
        }
        match contains(&content_type, "json") && json.is_none() {
            true => PageError::CutOff,
            false => PageError::NotFhir(content_type),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;

    fn pager() -> Pager {
        let selection = Selection {
            resource_type: "Observation".into(),
            included: [].into(),
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
        assert_eq!(pager.address(), Some(first.url.as_str()));
        assert!(!pager.receive(Ok(json(403, ""))).unwrap_err().is_transient());
        assert_eq!(pager.address(), Some(first.url.as_str()));
    }

    #[test]
    fn a_search_goes_on_at_a_page_of_its_base_and_begins_anew_at_any_other() {
        let resumed = |page| {
            let Pager { selection, .. } = pager();
            let search = Search {
                resource_type: "Observation",
                parameters: &[],
            };
            let pager = Pager::resumed(selection, &search, page, 7);
            (pager.address().map(String::from), pager.pages())
        };
        let first = "https://ehr.example/R4/Observation?patient=e1";
        let second = "https://ehr.example/R4/Observation?sessionID=2";
        assert_eq!(resumed(second), (Some(second.into()), 7));
        assert_eq!(resumed("https://evil.example/R4"), (Some(first.into()), 0));
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
