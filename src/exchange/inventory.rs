//! What JHE holds of a hospital's records already, so that none is sent twice.
//!
//! JHE's MyChart version adds a row for every POST and forgets the hospital's id. So the patient's rows are read back
//! before anything is written, and a record is recognised by the identifier that it was written with, or by all that it
//! says where a row has none: the page before this one wrote records as they came.
//!
//! The Patient Access version recognises records itself. There only the number of rows is asked for.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::Unit;
use crate::exchange::jhe::JheSession;
use crate::exchange::source::SourceId;
use crate::fhir::fingerprint::fingerprint;
use crate::fhir::resource::Record;
use crate::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use crate::json::Json;
use crate::text::number;
use crate::texts::Texts;

/// Rows a page; JHE honours it. More would be a few requests less, and an answer for which the memory that a page of the
/// hospital leaves is too small: with a thousand each read-back in the midst of an import made it grow by four megabytes.
const ROWS: u32 = 200;
/// Nobody has more rows: a number beyond is none.
const MOST_ROWS: u64 = 10_000_000;
/// A bound for a server that never says that there is no further page.
const PAGES: u32 = 5000;
const SOURCE_EXTENSION: &str = "https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id";
/// Before the number of a source, in a row's `meta.source`. It is a query's value, and needs no encoding there.
const SOURCE_PREFIX: &str = "https://jupyterhealth.org/fhir/fhir-source/";

/// What is known of the records that JHE holds. No record itself is kept.
#[derive(Debug, Default)]
pub struct Held {
    /// The hospital's ids.
    ids: Texts,
    /// The fingerprints of rows without one.
    prints: Texts,
    /// How many rows there are, where only that was asked.
    rows: Option<u32>,
}

impl Held {
    /// Does JHE hold this record of the hospital whose FHIR base is `system`?
    pub(crate) fn has(&self, record: &Record, system: &str) -> bool {
        record.id().is_some_and(|id| self.ids.contains(id))
            || (self.prints.len() > 0 && self.prints.has(fingerprint(record.json(), system)))
    }

    /// How many of the hospital's records there are.
    pub fn count(&self) -> u32 {
        self.rows.unwrap_or(self.ids.len() + self.prints.len())
    }
}

/// Reads back, page by page, what was filed under some sources.
///
/// The pages' addresses are made here: the links that JHE prints may carry another scheme behind a proxy.
#[derive(Debug)]
pub struct Inventory {
    jhe: Rc<JheSession>,
    unit: Unit,
    types: Rc<[String]>,
    /// Which of them is read.
    at: usize,
    system: String,
    sources: Vec<SourceId>,
    held: Held,
    /// Rows of this type that were read.
    rows: u32,
    page: u32,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Ask,
    Await,
    End(Result<(), InventoryError>),
}

impl Inventory {
    /// The inventory of some types under `sources`, of which the first one is written to; `system` is the hospital's FHIR
    /// base URL, verbatim.
    pub fn new(
        jhe: Rc<JheSession>,
        unit: Unit,
        types: Rc<[String]>,
        system: String,
        sources: Vec<SourceId>,
    ) -> Self {
        Inventory {
            jhe,
            unit,
            types,
            at: 0,
            system,
            sources,
            held: Held::default(),
            rows: 0,
            page: 1,
            step: Step::Ask,
        }
    }

    /// The result, once there is no further request.
    ///
    /// # Errors
    /// [`InventoryError`]; then nothing may be written that could be there already.
    pub fn finish(self) -> Result<Held, InventoryError> {
        match self.step {
            Step::End(result) => result.map(|()| self.held),
            _ => Err(InventoryError::Transport(TransportError::Unreachable)),
        }
    }

    /// Is there no further request?
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.step, Step::End(_))
    }

    fn path(&self) -> String {
        let (first, second) = match (self.unit, self.sources.first()) {
            (Unit::Batch, Some(source)) => (
                [SOURCE_PREFIX, &source.header_value()].concat(),
                "&_summary=count".into(),
            ),
            _ => (
                number(ROWS.into()),
                ["&_page=", &number(self.page.into())].concat(),
            ),
        };
        let name = match self.unit {
            Unit::Batch => "?_source=",
            Unit::Record => "?_count=",
        };
        let resource_type = self.types.get(self.at).map_or("", String::as_str);
        ["FHIR/R5/", resource_type, name, &first, &second].concat()
    }

    fn read(&mut self, response: &HttpResponse) -> Step {
        match response.status {
            401 => return Step::End(Err(InventoryError::SessionExpired)),
            // `Invalid page.`: the rows ended exactly with the page before.
            404 if self.page > 1 => return self.next_type(),
            // JHE holds none of a type that it does not know.
            404 if self.unit == Unit::Batch => return self.next_type(),
            429 | 500.. => return Step::End(Err(InventoryError::Failing(response.describe()))),
            _ => {}
        }
        let bundle = response.json().filter(|_| response.is_success());
        let bundle = bundle.filter(|b| b.get_string("resourceType").as_deref() == Some("Bundle"));
        let Some(bundle) = bundle else {
            return Step::End(Err(InventoryError::Refused(response.describe())));
        };
        let total = bundle.get("total").and_then(Json::whole_number);
        let total = total.filter(|total| *total <= MOST_ROWS);
        let total = total.and_then(|total| u32::try_from(total).ok());
        if self.unit == Unit::Batch {
            let Some(total) = total else {
                return Step::End(Err(InventoryError::Refused(response.describe())));
            };
            self.held.rows = Some(self.held.rows.unwrap_or_default() + total);
            return self.next_type();
        }
        let before = self.rows;
        for entry in bundle.list("entry") {
            self.rows += 1;
            if let Some(row) = entry.get("resource") {
                self.note(row);
            }
        }
        let is_last = total.is_some_and(|total| self.rows >= total) || self.rows == before;
        match is_last || self.page >= PAGES {
            true => self.next_type(),
            false => {
                self.page += 1;
                Step::Ask
            }
        }
    }

    fn next_type(&mut self) -> Step {
        self.at += 1;
        self.rows = 0;
        self.page = 1;
        match self.at < self.types.len() {
            true => Step::Ask,
            false => Step::End(Ok(())),
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
        let mut has_id = false;
        for identifier in row.list("identifier") {
            if identifier.get_string("system").as_ref() == Some(&self.system)
                && let Some(id) = identifier.get_string("value")
            {
                self.held.ids.insert(&id);
                has_id = true;
            }
        }
        if !has_id {
            self.held.prints.add(fingerprint(row, &self.system));
        }
    }
}

impl Conversation for Inventory {
    fn next_request(&mut self) -> Option<HttpRequest> {
        if !matches!(self.step, Step::Ask) {
            return None;
        }
        self.step = Step::Await;
        Some(self.jhe.get(&self.path()).with_records())
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
    /// 429 or 5xx, which may be gone at the next try; status and start of the body.
    Failing(String),
    /// Another answer; status and start of the body.
    Refused(String),
    /// No readable answer.
    Transport(TransportError),
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;
    use crate::exchange::jhe::testing::jhe;
    use crate::exchange::source::registered;
    use crate::fhir::identity::Identity;
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

    fn record(text: &str) -> Record {
        Record::for_test(text)
    }

    fn has(held: &Held, id: &str) -> bool {
        let text = format!(r#"{{"resourceType":"Observation","id":"{id}"}}"#);
        held.has(&record(&text), "https://ehr/R4")
    }

    fn page(total: &str, rows: &[String]) -> (u16, String) {
        let body = format!(
            r#"{{"resourceType":"Bundle",{total}"entry":[{}]}}"#,
            rows.join(",")
        );
        (200, body)
    }

    fn take(answers: &[(u16, String)]) -> (Vec<String>, Result<Held, InventoryError>) {
        take_as(Unit::Record, &["Observation"], answers)
    }

    fn take_as(
        unit: Unit,
        types: &[&str],
        answers: &[(u16, String)],
    ) -> (Vec<String>, Result<Held, InventoryError>) {
        let sources = alloc::vec![source(9), source(7)];
        let system = "https://ehr/R4".into();
        let types = types.iter().map(|name| String::from(*name)).collect();
        let mut inventory = Inventory::new(Rc::new(jhe()), unit, types, system, sources);
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        while let Some(request) = inventory.next_request() {
            let path = request.url.path().trim_start_matches("/FHIR/R5/");
            asked.push(
                [path, request.url.query()]
                    .concat()
                    .replace("Observation?", "?"),
            );
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
        assert_eq!(asked, ["?_count=200&_page=1"]);
        let held = held.unwrap();
        assert!(has(&held, "a") && has(&held, "b"));
        assert!(!has(&held, "other source") && !has(&held, "other system"));
        assert!(!has(&held, "ORD") && !has(&held, "uuid"));
        // Two of ours, and the one with another system, which is recognised by what it says.
        assert_eq!(held.count(), 3);
    }

    #[test]
    fn every_page_is_read_whatever_number_of_rows_the_server_gives() {
        let first = page(r#""total":3,"#, &[row(9, "https://ehr/R4", "a")]);
        let second = page(
            r#""total":3,"#,
            &[row(9, "https://ehr/R4", "b"), row(9, "https://ehr/R4", "c")],
        );
        let (asked, held) = take(&[first, second]);
        assert_eq!(asked, ["?_count=200&_page=1", "?_count=200&_page=2"]);
        assert!(has(&held.unwrap(), "c"));
    }

    #[test]
    fn without_a_total_the_end_is_an_empty_page_or_jhes_404() {
        let full = || page("", &[row(9, "https://ehr/R4", "a")]);
        let (asked, held) = take(&[full(), page("", &[])]);
        assert_eq!(asked.len(), 2);
        assert!(has(&held.unwrap(), "a"));
        let (_, held) = take(&[full(), (404, "{}".into())]);
        assert!(has(&held.unwrap(), "a"));
    }

    #[test]
    fn a_row_without_our_identifier_is_recognised_by_what_it_says() {
        let legacy = format!(
            r#"{{"resource":{{"id":"uuid","status":"final","valueQuantity":{{"unit":"g","value":7.1}},"identifier":[{{"value":"ORD"}}],
            "extension":[{{"url":"{SOURCE_EXTENSION}","valueInteger":9}}],"resourceType":"Observation"}}}}"#
        );
        let (_, held) = take(&[page(r#""total":1,"#, &[legacy])]);
        let held = held.unwrap();
        let says = |value: &str| {
            let text = format!(
                r#"{{"resourceType":"Observation","id":"x","status":"final",
                "valueQuantity":{{"value":{value},"unit":"g"}},"identifier":[{{"value":"ORD"}}]}}"#
            );
            held.has(&record(&text), "https://ehr/R4")
        };
        assert!(says("7.10"));
        assert!(!says("7.11"));
        assert_eq!(held.count(), 1);
    }

    #[test]
    fn where_jhe_recognises_records_only_their_number_is_asked_for() {
        let answer = |total: u32| {
            (
                200,
                format!(r#"{{"resourceType":"Bundle","total":{total}}}"#),
            )
        };
        let unknown = (404, "{}".into());
        let (asked, held) = take_as(
            Unit::Batch,
            &["Observation", "Medication", "Goal"],
            &[answer(236), unknown, answer(4)],
        );
        assert_eq!(
            asked,
            [
                "?_source=https://jupyterhealth.org/fhir/fhir-source/9&_summary=count",
                "Medication?_source=https://jupyterhealth.org/fhir/fhir-source/9&_summary=count",
                "Goal?_source=https://jupyterhealth.org/fhir/fhir-source/9&_summary=count",
            ]
        );
        assert_eq!(held.unwrap().count(), 240);
    }

    proptest! {
        #[test]
        fn what_is_written_is_recognised_when_it_is_read_back(id in "[A-Za-z0-9_.-]{1,80}", value in "(0|[1-9][0-9]{0,5})\\.[0-9]{1,6}") {
            let text = format!(r#"{{"resourceType":"Observation","id":"{id}","valueQuantity":{{"value":{value}}}}}"#);
            let record = record(&text);
            let sent = Identity::AddIdentifier.outgoing(&record, "https://ehr/R4");
            let mut row: serde_json::Value = serde_json::from_str(&sent).unwrap();
            row["id"] = "uuid".into();
            row["extension"] = serde_json::json!([{"url": SOURCE_EXTENSION, "valueInteger": 7}]);
            let row = format!(r#"{{"resource":{row}}}"#);
            let (_, held) = take(&[page(r#""total":1,"#, &[row])]);
            prop_assert!(held.unwrap().has(&record, "https://ehr/R4"));
        }
    }

    #[test]
    fn what_can_not_be_read_is_no_empty_inventory() {
        let error = |status, body: &str| take(&[(status, body.into())]).1.unwrap_err();
        assert_eq!(error(401, "{}"), InventoryError::SessionExpired);
        assert!(matches!(error(404, "{}"), InventoryError::Refused(_)));
        assert!(matches!(error(500, "<html>"), InventoryError::Failing(_)));
        assert!(matches!(error(200, "<html>"), InventoryError::Refused(_)));
        assert!(matches!(error(200, "{}"), InventoryError::Refused(_)));
    }
}
