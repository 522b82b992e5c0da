//! The patient's chart: synthetic labs in pages that are composed once, and the answers to writing them.
//!
//! Nothing here parses JSON. A record in a write is recognised by its id, and the answer is put together from the text that
//! the chart has of it, so that the server's own work hardly shows in a measurement.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use memchr::memmem::Finder;
use sandbox::{EhrPatient, lab};

/// Records on one page of a search.
pub(crate) const PAGE_SIZE: usize = 100;
/// Whose chart it is.
pub(crate) const PATIENT: &str = "eBenchPatient-0000000000000003";
/// What the search pages' links carry, as Epic's do.
pub(crate) const SESSION: &str = "sessionID=49-5F7A31C0DE";
/// JHE's id of the source that the records are filed under.
pub(crate) const SOURCE: u32 = 90_001;

const ID: &[u8] = b"\"id\":\"";
const HEAD: &str = r#"{"resourceType":"Observation","id":""#;

/// All labs of the patient.
pub(crate) struct Chart {
    pages: Vec<Bytes>,
    records: Vec<Record>,
    numbers: HashMap<Box<[u8]>, usize>,
}

/// Where a record stands.
struct Record {
    page: usize,
    /// What follows its id: from the quote's right neighbour to the closing brace.
    rest: Range<usize>,
}

impl Chart {
    /// `count` labs, on pages whose links lead to `fhir_base`.
    pub(crate) fn compose(count: usize, fhir_base: &str) -> Result<Chart> {
        let patient = EhrPatient {
            login: String::new(),
            password: String::new(),
            id: PATIENT.to_owned(),
            family: "Lin".to_owned(),
            given: "Derrick".to_owned(),
            birth_date: "1973-06-03".to_owned(),
            records: Vec::new(),
            extra_entries: Vec::new(),
        };
        let mut chart = Chart {
            pages: Vec::new(),
            records: Vec::with_capacity(count),
            numbers: HashMap::with_capacity(count),
        };
        let page_count = count.div_ceil(PAGE_SIZE).max(1);
        for page in 0..page_count {
            let mut text = page_head(fhir_base, page, page_count, count);
            for number in page * PAGE_SIZE..count.min((page + 1) * PAGE_SIZE) {
                if number > page * PAGE_SIZE {
                    text.push(',');
                }
                let record = record(&patient, number);
                let id = record
                    .strip_prefix(HEAD)
                    .and_then(|rest| rest.split('"').next())
                    .context("a lab does not begin with its type and id")?;
                text.push_str(&format!(
                    r#"{{"link":[{{"relation":"self","url":"{fhir_base}/Observation/{id}"}}],"fullUrl":"{fhir_base}/Observation/{id}","resource":"#
                ));
                let start = text.len();
                text.push_str(&record);
                chart.records.push(Record {
                    page,
                    rest: start + HEAD.len() + id.len() + 1..text.len(),
                });
                chart.numbers.insert(id.as_bytes().into(), number);
                text.push_str(r#","search":{"mode":"match"}}"#);
            }
            text.push_str("]}");
            chart.pages.push(Bytes::from(text));
        }
        ensure!(chart.numbers.len() == count, "two labs have the same id");
        Ok(chart)
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// A page, the first being 0.
    pub(crate) fn page(&self, page: usize) -> Option<Bytes> {
        self.pages.get(page).cloned()
    }

    /// Bytes of all pages.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.iter().map(Bytes::len).sum()
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
            answer.extend_from_slice(HEAD.as_bytes());
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
                r#","extension":[{{"url":"{BASE}/patient-id","valueInteger":40001}},{{"url":"{BASE}/patient-full-name","valueString":"Derrick Lin"}},{{"url":"{BASE}/fhir-source-id","valueInteger":{SOURCE}}}],"resourceType":"Observation"}}"#
            )
            .as_bytes(),
        );
        answer
    }

    fn rest_of(&self, number: usize) -> &[u8] {
        let record = &self.records[number];
        &self.pages[record.page][record.rest.clone()]
    }
}

/// A lab of the sandbox, with some more of what Epic's have: about 2.5 kB.
fn record(patient: &EhrPatient, number: usize) -> String {
    let mut record = lab(patient, number);
    let closing = record.pop();
    record.push_str(concat!(
        r#","bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"53120007","display":"Upper limb structure"}],"text":"Arm"}"#,
        r#","method":{"coding":[{"system":"http://snomed.info/sct","code":"702659008","display":"Automated count technique"}],"text":"Automated"}"#,
        r#","hasMember":["#,
    ));
    for member in 0..4 {
        let separator = if member > 0 { "," } else { "" };
        let _ = write!(
            record,
            r#"{separator}{{"reference":"Observation/eMember{:038}3","type":"Observation","display":"Component {member} of the panel"}}"#,
            number * 4 + member
        );
    }
    record.push(']');
    record.extend(closing);
    record
}

fn page_head(fhir_base: &str, page: usize, page_count: usize, total: usize) -> String {
    let link = |relation: &str, page: usize| {
        format!(
            r#"{{"relation":"{relation}","url":"{}"}}"#,
            page_url(fhir_base, page)
        )
    };
    let mut links = vec![link("self", page)];
    if page + 1 < page_count {
        links.push(link("next", page + 1));
    }
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":{total},"link":[{}],"entry":["#,
        links.join(",")
    )
}

/// The address of a page, the first being 0; the server counts from 1.
fn page_url(fhir_base: &str, page: usize) -> String {
    format!("{fhir_base}/Observation?{SESSION}&page={}", page + 1)
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

    #[test]
    fn pages_are_bundles_that_lead_to_each_other_up_to_the_last() {
        let chart = Chart::compose(PAGE_SIZE + 1, BASE).expect("a chart");
        let first = json(&chart.page(0).expect("page 1"));
        assert_eq!(first["entry"].as_array().map(Vec::len), Some(PAGE_SIZE));
        assert_eq!(
            first["link"][1]["url"],
            format!("{BASE}/Observation?{SESSION}&page=2")
        );
        let last = json(&chart.page(1).expect("page 2"));
        assert_eq!(last["entry"].as_array().map(Vec::len), Some(1));
        assert_eq!(last["link"].as_array().map(Vec::len), Some(1));
        assert!(chart.page(2).is_none());
    }

    #[test]
    fn the_records_of_a_page_are_recognised_when_they_are_written() {
        let chart = Chart::compose(3, BASE).expect("a chart");
        let page = chart.page(0).expect("page 1");
        assert_eq!(chart.numbers_in(&page), [0, 1, 2]);
        let again = serde_json::to_vec(&json(&page)["entry"][1]["resource"]).expect("JSON");
        assert_eq!(chart.numbers_in(&again), [1]);
        assert!(chart.numbers_in(br#"{"id":"foreign"}"#).is_empty());
    }

    #[test]
    fn answers_hold_the_record_under_an_id_of_its_own() {
        let chart = Chart::compose(2, BASE).expect("a chart");
        let original = &json(&chart.page(0).expect("page 1"))["entry"][1]["resource"];

        let batch = json(&chart.batch_response(&[1, 0]));
        let stored = &batch["entry"][0]["resource"];
        assert_eq!(batch["entry"][0]["response"]["status"], "201 Created");
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

    #[test]
    fn a_lab_is_as_large_as_at_epic() {
        let chart = Chart::compose(1_000, BASE).expect("a chart");
        let average = chart.records.iter().map(|it| it.rest.len()).sum::<usize>() / 1_000;
        assert!((2_300..2_600).contains(&average), "{average} bytes");
    }
}
