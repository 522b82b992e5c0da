//! One page of a search: the records that count, what the server says beside them, and the way on.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fhir::outcome::OperationOutcome;
use crate::fhir::resource::{LeftOut, Record, Selection};
use crate::http::HttpResponse;
use crate::json::Json;

/// A page of search results, cut into records without building a tree.
#[derive(Debug, Default)]
pub struct SearchPage {
    /// The records that count.
    pub records: Vec<Record>,
    /// Entries that do not count, and why.
    pub left_out: Vec<LeftOut>,
    /// OperationOutcomes in the page: Epic says there that a result may be incomplete.
    pub outcomes: Vec<OperationOutcome>,
    /// The link to the next page, as the server wrote it: not yet confined.
    pub next: Option<String>,
}

impl SearchPage {
    /// Reads a successful answer to a search. `None` if it is no Bundle, or only a part of one.
    pub fn from_response(response: &HttpResponse, selection: &Selection) -> Option<Self> {
        let bundle = response.json()?;
        if bundle.get_string("resourceType")? != "Bundle" {
            return None;
        }
        let mut page = SearchPage {
            next: next_link(bundle),
            ..SearchPage::default()
        };
        if let Some(entries) = bundle.get("entry") {
            if !entries.is_list() {
                return None;
            }
            for entry in entries.elements() {
                page.sort(entry, selection);
            }
        }
        Some(page)
    }

    /// One entry that can't be read is one entry, not the page.
    fn sort(&mut self, entry: Json<'_>, selection: &Selection) {
        let Some(resource) = entry.get("resource") else {
            return self.left_out.push(LeftOut::Malformed);
        };
        if let Some(outcome) = OperationOutcome::read(resource) {
            return self.outcomes.push(outcome);
        }
        // FHIR R4 §3.1.1.7: without a mode an entry is a match.
        let mode = entry.get("search").and_then(|search| search.get("mode"));
        if mode.is_some_and(|mode| mode.text() != "\"match\"") {
            return self.left_out.push(LeftOut::OtherType);
        }
        match selection.pick(resource) {
            Ok(record) => self.records.push(record),
            Err(reason) => self.left_out.push(reason),
        }
    }
}

fn next_link(bundle: Json<'_>) -> Option<String> {
    let mut links = bundle.list("link");
    let next = links.find(|link| link.get_string("relation").as_deref() == Some("next"));
    next?.get_string("url")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;
    use crate::url::Url;

    fn read(body: &str) -> Option<SearchPage> {
        let selection = Selection {
            resource_type: "Observation",
            patient: "e1".into(),
            base: Url::parse("https://ehr.example/R4").unwrap(),
        };
        SearchPage::from_response(&json(200, body), &selection)
    }

    #[test]
    fn a_page_is_sorted_into_records_outcomes_and_the_rest() {
        let page = read(
            r#"{"resourceType":"Bundle","type":"searchset","total":1,
            "link":[{"relation":"self","url":"s"},{"relation":"next","url":"n"}],"entry":[
            {"resource":{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/e1"}},"search":{"mode":"match"}},
            {"resource":{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/e1"}}},
            {"resource":{"resourceType":"Observation","id":"3","subject":{"reference":"Patient/e2"}}},
            {"resource":{"resourceType":"Observation","id":"4","subject":{"reference":"Patient/e1"}},"search":{"mode":"include"}},
            {"resource":{"resourceType":"Patient","id":"e1"},"search":{"mode":"include"}},
            {"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"x","diagnostics":"may not contain entire record"}]},"search":{"mode":"outcome"}},
            {"fullUrl":"x"}, 7, {"resource":null}, {"resource":{},"search":7}
            ]}"#,
        )
        .unwrap();
        let ids: Vec<_> = page.records.iter().filter_map(Record::id).collect();
        assert_eq!(ids, ["1", "2"]);
        assert_eq!(page.outcomes.len(), 1);
        assert_eq!(
            page.left_out,
            [
                LeftOut::OtherSubject,
                LeftOut::OtherType,
                LeftOut::OtherType,
                LeftOut::Malformed,
                LeftOut::Malformed,
                LeftOut::Malformed,
                LeftOut::Malformed
            ]
        );
        assert_eq!(page.next.as_deref(), Some("n"));
    }

    #[test]
    fn epics_empty_result_is_an_outcome_and_no_record() {
        let page = read(
            r#"{"resourceType":"Bundle","type":"searchset","total":0,"entry":[{"resource":
            {"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"processing","diagnostics":"Resource request returns no results."}]},
            "search":{"mode":"outcome"}}]}"#,
        )
        .unwrap();
        assert!(page.records.is_empty() && page.left_out.is_empty());
        assert_eq!(page.outcomes.len(), 1);
    }

    #[test]
    fn a_page_without_entries_is_fine_and_its_next_link_counts() {
        let page = read(r#"{"resourceType":"Bundle","link":[{"relation":"next","url":"n"}]}"#);
        assert_eq!(page.unwrap().next.as_deref(), Some("n"));
        assert!(read(r#"{"resourceType":"Bundle","entry":null,"link":null}"#).is_some());
    }

    #[test]
    fn what_is_no_bundle_or_broken_off_is_no_page() {
        for body in [
            "",
            "\"\"",
            "<html>",
            "{}",
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Bundle","entry":{}}"#,
            r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Obs"#,
        ] {
            assert!(read(body).is_none(), "{body}");
        }
    }

    #[test]
    fn deep_nesting_inside_a_record_is_no_obstacle() {
        let deep = ["[".repeat(10_000), "]".repeat(10_000)].concat();
        let body = [
            r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/e1"},"x":"#,
            &deep,
            "}}]}",
        ]
        .concat();
        assert_eq!(read(&body).unwrap().records.len(), 1);
    }
}
