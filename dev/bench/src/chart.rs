//! The patient's chart: synthetic records in pages that are composed once, and the answers to writing them.
//!
//! Nothing here parses JSON. A record in a write is recognised by its id, and the answer is put together from the text that
//! the chart has of it, so that the server's own work hardly shows in a measurement.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use memchr::memmem::Finder;
use url::form_urlencoded;

use crate::hospital::Hospital;
use crate::task::{Search, Task};

/// Records on one page of a search.
pub(crate) const PAGE_SIZE: usize = 100;
/// Whose chart it is.
pub(crate) const PATIENT: &str = "eBenchPatient-0000000000000003";
/// JHE's id of the source that the records are filed under.
pub(crate) const SOURCE: u32 = 90_001;

const ID: &[u8] = b"\"id\":\"";

/// What the links of a task's search carry, as Epic's do: by that its later pages are known.
pub(crate) fn session(search: usize) -> String {
    format!("sessionID=49-5F7A31C0{search:02X}")
}

/// All records of the patient that a task is about.
pub(crate) struct Chart {
    task: Task,
    /// By the number of the search.
    pages: Vec<Vec<Bytes>>,
    records: Vec<Record>,
    numbers: HashMap<Box<[u8]>, usize>,
}

/// Where a record stands.
struct Record {
    resource_type: &'static str,
    search: usize,
    page: usize,
    /// Where it begins there.
    start: usize,
    /// What follows its id: from the quote's right neighbour to the closing brace.
    rest: Range<usize>,
}

impl Chart {
    /// A task's records, on pages whose links lead to `fhir_base`.
    pub(crate) async fn compose(task: Task, count: usize, fhir_base: &str) -> Result<Chart> {
        let hospital = Hospital::open().await?;
        let mut chart = Chart {
            task,
            pages: Vec::new(),
            records: Vec::with_capacity(count),
            numbers: HashMap::with_capacity(count),
        };
        for (number, search) in task.searches().iter().enumerate() {
            let found = search.count(count);
            let mut records = hospital.records(search, found);
            chart.pages.push(Vec::new());
            if search.resource_type == "Patient" {
                // Read, not searched: the record comes without a Bundle.
                for record in records {
                    chart.add(&record, search, number, 0)?;
                    chart.pages[number].push(Bytes::from(record));
                }
                continue;
            }
            let links = Links {
                search: format!("{fhir_base}/{}", search.path()),
                session: session(number),
                pages: found.div_ceil(PAGE_SIZE).max(1),
            };
            for page in 0..links.pages {
                let mut text = links.page_head(page, found);
                for (position, record) in records.by_ref().take(PAGE_SIZE).enumerate() {
                    if position > 0 {
                        text.push(',');
                    }
                    let id = id_of(&record, search.resource_type)?;
                    let _ = write!(
                        text,
                        r#"{{"link":[{{"relation":"self","url":"{0}/{id}"}}],"fullUrl":"{0}/{id}","resource":"#,
                        links.search
                    );
                    chart.add(&record, search, number, text.len())?;
                    text.push_str(&record);
                    text.push_str(r#","search":{"mode":"match"}}"#);
                }
                text.push_str("]}");
                chart.pages[number].push(Bytes::from(text));
            }
        }
        ensure!(
            chart.numbers.len() == chart.records.len(),
            "two records have the same id"
        );
        Ok(chart)
    }

    /// Notes a record that stands at `start` of the page that is being composed.
    fn add(&mut self, record: &str, search: &Search, number: usize, start: usize) -> Result<()> {
        let id = id_of(record, search.resource_type)?;
        let rest = head(search.resource_type).len() + id.len() + 1;
        self.numbers
            .insert(id.as_bytes().into(), self.records.len());
        self.records.push(Record {
            resource_type: search.resource_type,
            search: number,
            page: self.pages[number].len(),
            start,
            rest: start + rest..start + record.len(),
        });
        Ok(())
    }

    /// What it is for.
    pub(crate) fn task(&self) -> Task {
        self.task
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// What is below the FHIR base at `path`: the first page of a search, or the one that its link names.
    pub(crate) fn page(&self, path: &str, query: &str) -> Option<Bytes> {
        let value = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let page = match value("page") {
            Some(page) => page.parse::<usize>().ok()?.checked_sub(1)?,
            None => 0,
        };
        let is_asked = |(number, search): (usize, &Search)| {
            search.path() == path
                && match page {
                    0 => search
                        .parameter
                        .is_none_or(|(name, wanted)| value(name).is_some_and(|it| it == wanted)),
                    _ => query.starts_with(&session(number)),
                }
        };
        let search = self.task.searches().iter().enumerate().position(is_asked)?;
        self.pages[search].get(page).cloned()
    }

    /// Bytes of all pages.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.iter().flatten().map(Bytes::len).sum()
    }

    /// A record as the hospital gives it.
    pub(crate) fn text(&self, number: usize) -> Result<&str> {
        let record = &self.records[number];
        let page = &self.pages[record.search][record.page];
        Ok(std::str::from_utf8(&page[record.start..record.rest.end])?)
    }

    /// The numbers of the records in a body, in their order there.
    pub(crate) fn numbers_in(&self, body: &[u8]) -> Vec<usize> {
        ids_in(body)
            .filter_map(|id| self.numbers.get(id).copied())
            .collect()
    }

    /// JHE's answer to a batch of these records.
    pub(crate) fn batch_response(&self, numbers: &[usize]) -> Vec<u8> {
        let mut answer = Vec::with_capacity(64 + numbers.len() * 3_200);
        answer.extend_from_slice(br#"{"resourceType":"Bundle","type":"batch-response","entry":["#);
        for (position, number) in numbers.iter().enumerate() {
            if position > 0 {
                answer.push(b',');
            }
            answer.extend_from_slice(
                br#"{"response":{"status":"201 Created","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational","diagnostics":"Converted R4 -> R5 with no detected field loss."}]}},"resource":"#,
            );
            answer.extend_from_slice(head(self.records[*number].resource_type).as_bytes());
            answer.extend_from_slice(uuid(*number).as_bytes());
            answer.extend_from_slice(
                format!(
                    r#"","meta":{{"source":"https://jupyterhealth.org/fhir/fhir-source/{SOURCE}"}}"#
                )
                .as_bytes(),
            );
            answer.extend_from_slice(self.rest_of(*number));
            answer.push(b'}');
        }
        answer.extend_from_slice(b"]}");
        answer
    }

    /// JHE's answer to one record: as it is stored.
    pub(crate) fn stored(&self, number: usize) -> Vec<u8> {
        const BASE: &str = "https://jupyterhealth.org/fhir/StructureDefinition";
        let rest = self.rest_of(number);
        let mut answer = Vec::with_capacity(rest.len() + 600);
        answer.extend_from_slice(format!(r#"{{"id":"{}""#, uuid(number)).as_bytes());
        answer.extend_from_slice(rest.strip_suffix(b"}").unwrap_or(rest));
        answer.extend_from_slice(
            format!(
                r#","extension":[{{"url":"{BASE}/patient-id","valueInteger":40001}},{{"url":"{BASE}/patient-full-name","valueString":"Derrick Lin"}},{{"url":"{BASE}/fhir-source-id","valueInteger":{SOURCE}}}],"resourceType":"{}"}}"#,
                self.records[number].resource_type
            )
            .as_bytes(),
        );
        answer
    }

    fn rest_of(&self, number: usize) -> &[u8] {
        let record = &self.records[number];
        &self.pages[record.search][record.page][record.rest.clone()]
    }
}

/// What the pages of one search say of themselves.
struct Links {
    /// The search's address, without a query.
    search: String,
    session: String,
    /// How many pages there are.
    pages: usize,
}

impl Links {
    /// A page's beginning, up to its first record.
    fn page_head(&self, page: usize, total: usize) -> String {
        let link = |relation: &str, page: usize| {
            format!(
                r#"{{"relation":"{relation}","url":"{}"}}"#,
                self.page_url(page)
            )
        };
        let mut links = vec![link("self", page)];
        if page + 1 < self.pages {
            links.push(link("next", page + 1));
        }
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","total":{total},"link":[{}],"entry":["#,
            links.join(",")
        )
    }

    /// The address of a page, the first being 0; the server counts from 1.
    fn page_url(&self, page: usize) -> String {
        format!("{}?{}&page={}", self.search, self.session, page + 1)
    }
}

/// What every record of a type begins with, up to its id.
fn head(resource_type: &str) -> String {
    format!(r#"{{"resourceType":"{resource_type}","id":""#)
}

fn id_of<'a>(record: &'a str, resource_type: &str) -> Result<&'a str> {
    record
        .strip_prefix(head(resource_type).as_str())
        .and_then(|rest| rest.split('"').next())
        .with_context(|| format!("a {resource_type} does not begin with its type and id"))
}

/// A version 4 UUID that is the record's own.
fn uuid(number: usize) -> String {
    format!(
        "{:08x}-5ab1-4e00-8000-{number:012x}",
        number * 2_654_435_761 % 0xffff_ffff
    )
}

/// Every text that is the value of an `id`, in compact JSON: what both sides write and the chart is made of.
fn ids_in(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let finder = Finder::new(ID).into_owned();
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + finder.find(&body[from..])? + ID.len();
        let length = memchr::memchr(b'"', &body[start..])?;
        from = start + length;
        Some(&body[start..from])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const BASE: &str = "http://localhost:1/api/FHIR/R4";

    fn json(text: &[u8]) -> Value {
        serde_json::from_slice(text).expect("JSON")
    }

    #[test]
    fn ids_are_found_in_their_order() {
        let body = br#"{"id":"a","x":[{"id":"b"}],"identifier":[{"value":"c"}],"id":""#;
        let found: Vec<&[u8]> = ids_in(body).collect();
        assert_eq!(found, [b"a", b"b"]);
        assert_eq!(ids_in(b"").count(), 0);
        assert_eq!(ids_in(br#"{"id":"cut off"#).count(), 0);
    }

    async fn labs(count: usize) -> Chart {
        let chart = Chart::compose(Task::LabsInBatches, count, BASE).await;
        chart.expect("a chart")
    }

    const FIRST: &str = "patient=x&category=laboratory";

    #[tokio::test]
    async fn pages_are_bundles_that_lead_to_each_other_up_to_the_last() {
        let chart = labs(PAGE_SIZE + 1).await;
        let page = |query: &str| chart.page("Observation", query);
        let first = json(&page(FIRST).expect("page 1"));
        assert_eq!(first["entry"].as_array().map(Vec::len), Some(PAGE_SIZE));
        let next = format!("{}&page=2", session(0));
        assert_eq!(
            first["link"][1]["url"],
            format!("{BASE}/Observation?{next}")
        );
        let last = json(&page(&next).expect("page 2"));
        assert_eq!(last["entry"].as_array().map(Vec::len), Some(1));
        assert_eq!(last["link"].as_array().map(Vec::len), Some(1));
        assert!(page(&format!("{}&page=3", session(0))).is_none());
        assert!(page(&format!("{}&page=2", session(1))).is_none());
        assert!(page("category=vital-signs").is_none());
    }

    #[tokio::test]
    async fn a_whole_chart_has_every_kind_and_each_record_is_found_again() {
        const RECORDS: usize = 5_000;
        let chart = Chart::compose(Task::ChartInBatches, RECORDS, BASE).await;
        let chart = chart.expect("a chart");
        assert_eq!(chart.len(), RECORDS);
        let mut found = Vec::new();
        for (number, search) in Task::ChartInBatches.searches().iter().enumerate() {
            let first = match search.parameter {
                Some((name, value)) => format!("{name}={value}&patient=x"),
                None => "patient=x".to_owned(),
            };
            let pages = search.count(RECORDS).div_ceil(PAGE_SIZE);
            for page in 0..pages {
                let query = match page {
                    0 => first.clone(),
                    _ => format!("{}&page={}", session(number), page + 1),
                };
                let page = chart.page(&search.path(), &query).expect("a page");
                found.extend(chart.numbers_in(&page));
            }
        }
        assert_eq!(found, (0..RECORDS).collect::<Vec<_>>());
        let patient = json(&chart.page(&format!("Patient/{PATIENT}"), "").expect("it"));
        assert_eq!(patient["id"], PATIENT);
    }

    #[tokio::test]
    async fn the_records_of_a_page_are_recognised_when_they_are_written() {
        let chart = labs(3).await;
        let page = chart.page("Observation", FIRST).expect("page 1");
        assert_eq!(chart.numbers_in(&page), [0, 1, 2]);
        let again = serde_json::to_vec(&json(&page)["entry"][1]["resource"]).expect("JSON");
        assert_eq!(chart.numbers_in(&again), [1]);
        assert_eq!(
            chart.numbers_in(chart.text(1).expect("a text").as_bytes()),
            [1]
        );
        let text = json(chart.text(1).expect("a text").as_bytes());
        assert_eq!(text, json(&page)["entry"][1]["resource"]);
        assert!(chart.numbers_in(br#"{"id":"foreign"}"#).is_empty());
    }

    #[tokio::test]
    async fn answers_hold_the_record_under_an_id_of_its_own() {
        let chart = labs(2).await;
        let page = chart.page("Observation", FIRST).expect("page 1");
        let original = &json(&page)["entry"][1]["resource"];

        let batch = json(&chart.batch_response(&[1, 0]));
        let stored = &batch["entry"][0]["resource"];
        assert_eq!(batch["entry"][0]["response"]["status"], "201 Created");
        assert_eq!(stored["resourceType"], "Observation");
        assert_eq!(stored["code"], original["code"]);
        assert_ne!(stored["id"], original["id"]);
        assert_eq!(
            stored["meta"]["source"],
            "https://jupyterhealth.org/fhir/fhir-source/90001"
        );

        let single = json(&chart.stored(1));
        assert_eq!(single["code"], original["code"]);
        assert_eq!(single["id"], stored["id"]);
        assert_eq!(single["extension"].as_array().map(Vec::len), Some(3));
    }

    #[tokio::test]
    async fn a_lab_is_as_large_as_at_epic() {
        let chart = labs(1_000).await;
        let average = chart.records.iter().map(|it| it.rest.len()).sum::<usize>() / 1_000;
        assert!((2_300..2_600).contains(&average), "{average} bytes");
    }
}
