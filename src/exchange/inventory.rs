//! What JHE holds of a hospital's records already, so that none is sent twice.
//!
//! JHE's MyChart version adds a row for every POST and forgets the hospital's id. So the patient's rows are read back
//! before anything is written, and a record is recognised by the identifier that it was written with.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::jhe::JheSession;
use crate::exchange::source::SourceId;
use crate::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use crate::json::Json;
use crate::text::number;
use crate::texts::Texts;

/// Rows a page; JHE honours it.
const ROWS: u64 = 1000;
/// A bound for a server that never says that there is no further page.
const PAGES: u64 = 1000;
const SOURCE_EXTENSION: &str = "https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id";

/// The hospital's ids of the records that JHE holds. No record itself is kept.
#[derive(Debug, Default)]
pub struct Held(Texts);

impl Held {
    /// Does JHE hold the record that has this id at the hospital?
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains(id)
    }
}

/// Reads back, page by page, what was filed under some sources.
///
/// The pages' addresses are made here: the links that JHE prints may carry another scheme behind a proxy.
#[derive(Debug)]
pub struct Inventory<'a> {
    jhe: &'a JheSession,
    resource_type: &'static str,
    system: String,
    sources: Vec<SourceId>,
    held: Held,
    rows: u64,
    page: u64,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Ask,
    Await,
    End(Result<(), InventoryError>),
}

impl<'a> Inventory<'a> {
    /// The inventory of one type under `sources`; `system` is the hospital's FHIR base URL, verbatim. Without earlier
    /// sources there is nothing to read back.
    pub fn new(
        jhe: &'a JheSession,
        resource_type: &'static str,
        system: String,
        sources: Vec<SourceId>,
    ) -> Self {
        let step = match sources.is_empty() {
            true => Step::End(Ok(())),
            false => Step::Ask,
        };
        Inventory {
            jhe,
            resource_type,
            system,
            sources,
            held: Held::default(),
            rows: 0,
            page: 1,
            step,
        }
    }

    /// The result.
    ///
    /// # Errors
    /// [`InventoryError`]; then nothing may be written, since it could be there already.
    pub fn finish(self) -> Result<Held, InventoryError> {
        match self.step {
            Step::End(result) => result.map(|()| self.held),
            _ => Err(InventoryError::Transport(TransportError::Unreachable)),
        }
    }

    fn read(&mut self, response: &HttpResponse) -> Step {
        match response.status {
            401 => return Step::End(Err(InventoryError::SessionExpired)),
            // `Invalid page.`: the rows ended exactly with the page before.
            404 if self.page > 1 => return Step::End(Ok(())),
            _ => {}
        }
        let bundle = response.json().filter(|_| response.is_success());
        let bundle = bundle.filter(|b| b.get_string("resourceType").as_deref() == Some("Bundle"));
        let Some(bundle) = bundle else {
            return Step::End(Err(InventoryError::Refused(response.describe())));
        };
        let before = self.rows;
        for entry in bundle.list("entry") {
            self.rows += 1;
            if let Some(row) = entry.get("resource") {
                self.note(row);
            }
        }
        let total = bundle.get("total").and_then(Json::whole_number);
        let is_last = total.is_some_and(|total| self.rows >= total) || self.rows == before;
        match is_last || self.page >= PAGES {
            true => Step::End(Ok(())),
            false => {
                self.page += 1;
                Step::Ask
            }
        }
    }

    fn note(&mut self, row: Json<'_>) {
        let is_ours = row.list("extension").any(|extension| {
            let source = extension.get("valueInteger").and_then(SourceId::read);
            extension.get_string("url").as_deref() == Some(SOURCE_EXTENSION)
                && source.is_some_and(|source| self.sources.contains(&source))
        });
        if !is_ours {
            return;
        }
        for identifier in row.list("identifier") {
            if identifier.get_string("system").as_ref() == Some(&self.system)
                && let Some(id) = identifier.get_string("value")
            {
                self.held.0.insert(&id);
            }
        }
    }
}

impl Conversation for Inventory<'_> {
    fn next_request(&mut self) -> Option<HttpRequest> {
        if !matches!(self.step, Step::Ask) {
            return None;
        }
        self.step = Step::Await;
        let path = [
            "FHIR/R5/",
            self.resource_type,
            "?_count=",
            &number(ROWS),
            "&_page=",
            &number(self.page),
        ]
        .concat();
        Some(self.jhe.get(&path).as_write())
    }

    fn receive(&mut self, answer: Answer) {
        self.step = match answer {
            Ok(response) => self.read(&response),
            Err(error) => Step::End(Err(InventoryError::Transport(error))),
        };
    }
}

/// Why it is not known what JHE holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InventoryError {
    /// 401.
    SessionExpired,
    /// Another answer; status and start of the body.
    Refused(String),
    /// No readable answer.
    Transport(TransportError),
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;

    use super::*;
    use crate::exchange::jhe::testing::jhe;
    use crate::exchange::source::registered;
    use crate::http::testing::json;

    fn source(id: u64) -> SourceId {
        registered(&json(201, &format!(r#"{{"id":{id}}}"#))).unwrap()
    }

    fn row(source: u64, system: &str, id: &str) -> String {
        format!(
            r#"{{"resource":{{"resourceType":"Observation","id":"uuid","extension":[{{"url":"{SOURCE_EXTENSION}","valueInteger":{source}}}],
            "identifier":[{{"value":"ORD"}},{{"system":"{system}","value":"{id}"}}]}}}}"#
        )
    }

    fn page(total: &str, rows: &[String]) -> (u16, String) {
        let body = format!(
            r#"{{"resourceType":"Bundle",{total}"entry":[{}]}}"#,
            rows.join(",")
        );
        (200, body)
    }

    fn take(answers: &[(u16, String)]) -> (Vec<String>, Result<Held, InventoryError>) {
        let jhe = jhe();
        let sources = alloc::vec![source(9), source(7)];
        let mut inventory = Inventory::new(&jhe, "Observation", "https://ehr/R4".into(), sources);
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        while let Some(request) = inventory.next_request() {
            asked.push(request.url.query().to_owned());
            let (status, body) = answers.next().unwrap();
            inventory.receive(Ok(json(*status, body)));
        }
        (asked, inventory.finish())
    }

    #[test]
    fn rows_of_every_source_of_this_hospital_are_recognised_by_our_identifier() {
        let rows = [
            row(9, "https://ehr/R4", "a"),
            row(7, "https://ehr/R4", "b"),
            row(8, "https://ehr/R4", "other source"),
            row(9, "https://ehr/R4/", "other system"),
            r#"{"resource":{"resourceType":"Observation"}}"#.into(),
        ];
        let (asked, held) = take(&[page(r#""total":5,"#, &rows)]);
        assert_eq!(asked, ["?_count=1000&_page=1"]);
        let held = held.unwrap();
        assert!(held.contains("a") && held.contains("b"));
        assert!(!held.contains("other source") && !held.contains("other system"));
        assert!(!held.contains("ORD") && !held.contains("uuid"));
    }

    #[test]
    fn every_page_is_read_whatever_number_of_rows_the_server_gives() {
        let first = page(r#""total":3,"#, &[row(9, "https://ehr/R4", "a")]);
        let second = page(
            r#""total":3,"#,
            &[row(9, "https://ehr/R4", "b"), row(9, "https://ehr/R4", "c")],
        );
        let (asked, held) = take(&[first, second]);
        assert_eq!(asked, ["?_count=1000&_page=1", "?_count=1000&_page=2"]);
        assert!(held.unwrap().contains("c"));
    }

    #[test]
    fn without_a_total_the_end_is_an_empty_page_or_jhes_404() {
        let full = || page("", &[row(9, "https://ehr/R4", "a")]);
        let (asked, held) = take(&[full(), page("", &[])]);
        assert_eq!(asked.len(), 2);
        assert!(held.unwrap().contains("a"));
        let (_, held) = take(&[full(), (404, "{}".into())]);
        assert!(held.unwrap().contains("a"));
    }

    #[test]
    fn without_an_earlier_source_nothing_is_asked() {
        let jhe = jhe();
        let system = "https://ehr/R4".into();
        let mut inventory = Inventory::new(&jhe, "Observation", system, Vec::new());
        assert!(inventory.next_request().is_none());
        assert!(inventory.finish().is_ok());
    }

    #[test]
    fn what_can_not_be_read_is_no_empty_inventory() {
        let error = |status, body: &str| take(&[(status, body.into())]).1.unwrap_err();
        assert_eq!(error(401, "{}"), InventoryError::SessionExpired);
        assert!(matches!(error(404, "{}"), InventoryError::Refused(_)));
        assert!(matches!(error(500, "<html>"), InventoryError::Refused(_)));
        assert!(matches!(error(200, "<html>"), InventoryError::Refused(_)));
        assert!(matches!(error(200, "{}"), InventoryError::Refused(_)));
    }
}
