//! What a hospital's FHIR server answers.

use std::rc::Rc;

use jhe_connect::fhir::bundle::SearchPage;
use jhe_connect::fhir::date::Date;
use jhe_connect::fhir::identity::Identity;
use jhe_connect::fhir::outcome::OperationOutcome;
use jhe_connect::fhir::pager::Pager;
use jhe_connect::fhir::person::Person;
use jhe_connect::fhir::resource::Selection;
use jhe_connect::fhir::search::Search;
use jhe_connect::json::Json;
use jhe_connect::oauth::token::AccessToken;
use jhe_connect::url::Url;
use serde_json::Value;

use crate::json::deepest;
use crate::{LONGEST_TEXT, answer, lines};

pub(crate) const BASE: &str = "https://ehr.example/R4";

fn selection(resource_type: &str) -> Selection {
    Selection {
        resource_type: resource_type.into(),
        included: ["Medication"].map(String::from).into(),
        patient: "e1".into(),
        base: Url::parse(BASE).expect("a URL"),
    }
}

/// The type that was searched, and a page.
pub(crate) fn bundle(input: &[u8]) {
    let ([resource_type], body) = lines(input);
    let resource_type = match resource_type {
        "" => "Observation",
        named => named,
    };
    follows(resource_type, body);
    let Ok(text) = String::from_utf8(body.to_vec()) else {
        return;
    };
    let text = Rc::new(text);
    let Some(page) = SearchPage::read(&text, &selection(resource_type)) else {
        return;
    };
    assert_eq!(page.records.len(), page.marks.len());
    let (mut end, start) = (0, text.as_ptr() as usize);
    for record in &page.records {
        // A piece of the page, behind the one before, as it came, and whole.
        let place = record.text().as_ptr() as usize - start;
        assert!(place >= end, "records overlap, or changed places");
        end = place + record.text().len();
        assert_eq!(text.get(place..end), Some(record.text()));
        let json = Json::parse(record.text().as_bytes()).expect("a record is JSON");
        assert!(json.is_object());
        let id = record.id().unwrap_or_default();
        assert_eq!(format!("{record:?}"), "Record(..)");

        assert_eq!(Identity::Keep.outgoing(record, BASE), record.text());
        let written = Identity::AddIdentifier.outgoing(record, BASE);
        let written = Json::parse(written.as_bytes()).expect("what is written is JSON");
        assert!(written.is_object());
        let is_list = json.get("identifier").is_none_or(Json::is_list);
        let is_once = record.text().matches("identifier").count() <= 1;
        if !id.is_empty() && is_list && is_once && !record.text().contains('\\') {
            let mut identifiers = written.list("identifier");
            let is_its = |it: Json<'_>| it.get_string("value").as_deref() == Some(id);
            assert!(identifiers.any(is_its), "{}", written.text());
        }
    }
    if deepest(body) < 100
        && let Ok(read) = serde_json::from_slice::<Value>(body)
        && let Some(entries) = read["entry"].as_array()
        && text.matches("\"entry\"").count() == 1
        && resource_type != "Patient"
    {
        // Each entry is something: a record, left out for a reason, or an outcome.
        let counted = page.records.len() + page.left_out.len() + page.outcomes.len();
        assert_eq!(counted, entries.len());
    }
    for outcome in &page.outcomes {
        assert!(outcome.text().len() <= LONGEST_TEXT);
    }
}

/// A page after the other, each the same: the token never leaves the base, and it ends.
fn follows(resource_type: &str, body: &[u8]) {
    let search = Search {
        resource_type,
        parameters: &[("category", "laboratory")],
    };
    let mut pager = Pager::new(selection(resource_type), &search);
    let token = AccessToken::new("E".into());
    let base = Url::parse(BASE).expect("a URL");
    for _ in 0..20 {
        let Ok(Some(request)) = pager.next_request(&token) else {
            return;
        };
        assert!(
            base.confine(request.url.as_str(), &base).is_ok(),
            "{:?}",
            request.url
        );
        let mut answer = answer(b"2");
        answer.body = body.to_vec();
        let _ = pager.receive(Ok(answer));
    }
}

/// An answer that may be an OperationOutcome.
pub(crate) fn operation_outcome(input: &[u8]) {
    let answer = answer(input);
    let said = answer.describe();
    assert!(said.len() <= LONGEST_TEXT && !said.is_empty());
    let Some(outcome) = OperationOutcome::from_response(&answer) else {
        return;
    };
    let text = outcome.text();
    assert!(
        text.len() <= LONGEST_TEXT,
        "an outcome of {} octets",
        text.len()
    );
    assert!(outcome.severity() <= jhe_connect::fhir::outcome::Severity::Error);
    if outcome.misses_something() {
        assert_eq!(
            outcome.severity(),
            jhe_connect::fhir::outcome::Severity::Error
        );
    }
}

/// The patient's own resource, and a date.
pub(crate) fn person(input: &[u8]) {
    let ([date], rest) = lines(input);
    if let Some(date) = Date::parse(date) {
        assert!(date.may_be(&date) && matches!(date.as_str().len(), 4 | 7 | 10));
    }
    let Ok(person) = Person::from_answer(Ok(answer(rest)), "e1") else {
        return;
    };
    assert_eq!(format!("{person:?}"), "Person(..)");
    if let Some(name) = person.name {
        assert!(
            !name.is_empty() && name.len() <= LONGEST_TEXT,
            "a name of {} octets",
            name.len()
        );
    }
}
