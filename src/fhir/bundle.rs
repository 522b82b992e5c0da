//! One page of a search: the records that count, what the server says beside them, and the way on.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::fhir::mark::Mark;
use crate::fhir::outcome::OperationOutcome;
use crate::fhir::resource::{LeftOut, Look, Record, Selection};
use crate::fhir::search::PATIENT;
use crate::json::{Json, Walk};

/// No patient has more records of a kind: a number beyond says nothing, and the sum of some would be none.
const MOST_MATCHES: u64 = 10_000_000;

/// A page of search results, cut into records without building a tree.
#[derive(Debug, Default)]
pub struct SearchPage {
    /// The records that count.
    pub records: Vec<Record>,
    /// What a chart tells of them, one by one.
    pub marks: Vec<Mark>,
    /// Entries that do not count, and why.
    pub left_out: Vec<LeftOut>,
    /// OperationOutcomes in the page: Epic says there that a result may be incomplete.
    pub outcomes: Vec<OperationOutcome>,
    /// The link to the next page, as the server wrote it: not yet confined.
    pub next: Option<String>,
    /// How many entries match on all pages, as the server says.
    pub total: Option<u32>,
}

impl SearchPage {
    /// Reads the body of a successful answer to a search, or to the read of the patient's own resource. `None` if it is
    /// neither a Bundle nor that resource, or only a part.
    pub fn read(text: &Rc<String>, selection: &Selection) -> Option<Self> {
        Json::parse(text.as_bytes())?;
        let mut page = SearchPage::default();
        if selection.resource_type == PATIENT {
            let look = Look::at(&mut Walk::over(text), text);
            if look.is(PATIENT) {
                page.judge(look, text, selection);
                return Some(page);
            }
        }
        let mut walk = Walk::over(text);
        let mut resource_type = None;
        walk.enter(b'{');
        while let Some(name) = walk.member() {
            match name {
                "resourceType" => {
                    if resource_type.replace(walk.value().text()).is_some() {
                        return None;
                    }
                }
                "link" => page.next = next_link(walk.value()).or(page.next),
                "total" => {
                    let total = walk.value().whole_number();
                    let total = total.filter(|total| *total <= MOST_MATCHES);
                    page.total = total.and_then(|total| total.try_into().ok());
                }
                "entry" if walk.enter(b'[') => {
                    while walk.element() {
                        page.sort(&mut walk, text, selection);
                    }
                }
                "entry" if walk.value().text() != "null" => return None,
                "entry" => {}
                _ => {
                    walk.value();
                }
            }
        }
        (resource_type == Some("\"Bundle\"")).then_some(page)
    }

    /// One entry that can't be read is one entry, not the page.
    fn sort<'a>(&mut self, walk: &mut Walk<'a>, page: &'a Rc<String>, selection: &Selection) {
        let (mut resource, mut mode) = (None, None);
        if walk.enter(b'{') {
            while let Some(name) = walk.member() {
                match name {
                    "resource" => resource = Some(Look::at(walk, page)),
                    "search" => mode = walk.value().get("mode"),
                    _ => {
                        walk.value();
                    }
                }
            }
        } else {
            walk.value();
        }
        let Some(look) = resource else {
            return self.left_out.push(LeftOut::Malformed);
        };
        if look.is("OperationOutcome") {
            return self.outcomes.extend(OperationOutcome::read(look.resource));
        }
        // FHIR R4 §3.1.1.7: without a mode an entry is a match. An included one is none, also if it is of the same type.
        let is_match = match mode.map(Json::text) {
            None | Some("\"match\"") => true,
            Some("\"include\"") => !look.is(&selection.resource_type),
            _ => false,
        };
        match is_match {
            true => self.judge(look, page, selection),
            false => self.left_out.push(LeftOut::OtherType),
        }
    }

    fn judge(&mut self, look: Look<'_>, page: &Rc<String>, selection: &Selection) {
        let mark = look.mark();
        match selection.pick(look, page) {
            Ok(record) => {
                self.records.push(record);
                self.marks.push(mark);
            }
            Err(reason) => self.left_out.push(reason),
        }
    }
}

fn next_link(links: Json<'_>) -> Option<String> {
    let mut links = links.elements();
    let next = links.find(|link| link.get_string("relation").as_deref() == Some("next"));
    next?.get_string("url")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::Url;

    fn read(body: &str) -> Option<SearchPage> {
        read_of("Observation", body)
    }

    fn read_of(resource_type: &str, body: &str) -> Option<SearchPage> {
        let selection = Selection {
            resource_type: resource_type.into(),
            included: ["Medication"].map(String::from).into(),
            patient: "e1".into(),
            base: Url::parse("https://ehr.example/R4").unwrap(),
        };
        SearchPage::read(&Rc::new(body.into()), &selection)
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
        assert_eq!(page.total, Some(1));
    }

    #[test]
    fn a_total_that_is_no_number_is_none() {
        for total in ["-1", "null", "{}", "\"many\"", "4294967296"] {
            let body = [r#"{"resourceType":"Bundle","total":"#, total, "}"].concat();
            assert_eq!(read(&body).unwrap().total, None, "{total}");
        }
    }

    #[test]
    fn what_a_search_includes_counts_where_its_type_is_named() {
        let page = read(
            r#"{"resourceType":"Bundle","entry":[
            {"resource":{"resourceType":"Medication","id":"m"},"search":{"mode":"include"}},
            {"resource":{"resourceType":"Practitioner","id":"p"},"search":{"mode":"include"}}]}"#,
        )
        .unwrap();
        assert_eq!(page.records.len(), 1);
        assert_eq!(page.left_out, [LeftOut::OtherType]);
    }

    #[test]
    fn the_patient_comes_alone_or_in_a_bundle() {
        let alone = r#"{"resourceType":"Patient","id":"e1"}"#;
        let bundle = [
            r#"{"resourceType":"Bundle","entry":[{"resource":"#,
            alone,
            "}]}",
        ]
        .concat();
        for body in [alone, &bundle] {
            assert_eq!(read_of("Patient", body).unwrap().records.len(), 1, "{body}");
        }
        let other = read_of("Patient", r#"{"resourceType":"Patient","id":"e2"}"#);
        assert_eq!(other.unwrap().left_out, [LeftOut::OtherSubject]);
        assert!(read_of("Patient", r#"{"resourceType":"OperationOutcome"}"#).is_none());
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
