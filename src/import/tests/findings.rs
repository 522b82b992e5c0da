//! What a chart on the last screen tells.

use proptest::prelude::*;

use super::*;
use crate::fhir::mark::Day;
use crate::import::findings::{Findings, NameFindings, RowFindings};

/// In July 2026.
const TODAY: u64 = 1_783_000_000_000;

/// An entry of any type about the patient.
fn entry(resource_type: &str, id: &str, members: &str) -> String {
    format!(
        r#"{{"resource":{{"resourceType":"{resource_type}","id":"{id}",{members}"subject":{{"reference":"Patient/e1"}}}}}}"#
    )
}

fn bundle(entries: &[String], next: &str) -> Answer {
    Ok(json(
        200,
        &format!(
            r#"{{"resourceType":"Bundle","link":[{next}],"entry":[{}]}}"#,
            entries.join(",")
        ),
    ))
}

/// What is found in one page of a search.
fn found_in(resource_type: &str, members: &[&str]) -> RowFindings {
    let plan = format!(r#"[{{"label":"Row","type":"{resource_type}"}}]"#);
    let mut run = chart_run(&plan, ALL);
    let Action::Perform(task, _) = run.next_action(TODAY) else {
        panic!("no page is asked for")
    };
    let entries = members.iter().enumerate();
    let entries: Vec<_> = entries
        .map(|(id, members)| entry(resource_type, &format!("r{id}"), members))
        .collect();
    run.finish(task, bundle(&entries, ""), TODAY);
    run.findings().rows[0].clone()
}

fn text(day: Option<Day>) -> String {
    day.map(Day::text).unwrap_or_default()
}

#[test]
fn records_are_counted_by_the_year_in_which_they_were() {
    let row = found_in(
        "Observation",
        &[
            r#""issued":"2026-01-01T00:00:00Z","effectiveDateTime":"2025-12-31T23:00:00-05:00","#,
            r#""effectiveDateTime":"2019","issued":"2020-01-01","#,
            r#""issued":"2019-05-06","#,
            r#""effectivePeriod":{"end":"2021-01-01","start":"2019-04"},"#,
            // Of no date, or none that can be.
            "",
            r#""effectiveDateTime":"1800-01-01","#,
            r#""effectiveDateTime":"2190-01-01","#,
            r#""effectiveDateTime":"soon","#,
        ],
    );
    assert_eq!(row.years, [(2019, 3), (2025, 1)]);
    assert_eq!((row.undated, row.count()), (4, 8));
    assert_eq!(
        (text(row.first), text(row.last)),
        ("2019".into(), "2025-12-31".into())
    );
    assert!(row.names.is_empty());
}

#[test]
fn each_type_says_in_its_own_way_when_something_was() {
    for (resource_type, members) in [
        (
            "Condition",
            r#""recordedDate":"2022-01-01","onsetDateTime":"2020-02-03","#,
        ),
        ("Procedure", r#""performedPeriod":{"start":"2020-02-03"},"#),
        ("Encounter", r#""period":{"start":"2020-02-03T10:00:00Z"},"#),
        ("Immunization", r#""occurrenceDateTime":"2020-02-03","#),
        ("MedicationRequest", r#""authoredOn":"2020-02-03","#),
        (
            "MedicationDispense",
            r#""whenPrepared":"2020-01-01","whenHandedOver":"2020-02-03","#,
        ),
        (
            "DiagnosticReport",
            r#""effectiveDateTime":"2020-02-03","issued":"2020-02-05","#,
        ),
        ("DocumentReference", r#""date":"2020-02-03","#),
        ("AllergyIntolerance", r#""recordedDate":"2020-02-03","#),
        ("Goal", r#""startDate":"2020-02-03","#),
        ("ServiceRequest", r#""authoredOn":"2020-02-03","#),
        ("QuestionnaireResponse", r#""authored":"2020-02-03","#),
    ] {
        let row = found_in(resource_type, &[members]);
        assert_eq!(text(row.last), "2020-02-03", "{resource_type}");
    }
}

#[test]
fn observations_are_told_by_name_with_their_number_and_the_latest_date() {
    let row = found_in(
        "Observation",
        &[
            r#""code":{"text":"Glucose"},"effectiveDateTime":"2020-02-03","#,
            r#""code":{"coding":[{"display":"Glucose"}]},"effectiveDateTime":"2021-02-03","#,
            r#""code":{"coding":[{"code":"718-7"}]},"#,
            r#""code":{},"#,
        ],
    );
    let names: Vec<_> = row
        .names
        .iter()
        .map(|it| (it.name.as_str(), it.count, text(it.latest)))
        .collect();
    assert_eq!(
        names,
        [
            ("718-7", 1, String::new()),
            ("Glucose", 2, "2021-02-03".into())
        ]
    );
    // What other types are called is nobody's business here.
    let row = found_in("Condition", &[r#""code":{"text":"Asthma"},"#]);
    assert!(row.names.is_empty());
}

#[test]
fn the_number_of_different_names_is_bounded() {
    let members: Vec<_> = (0..400)
        .map(|n| format!(r#""code":{{"text":"N{n}"}},"#))
        .collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let row = found_in("Observation", &members);
    assert_eq!((row.names.len(), row.other, row.count()), (300, 100, 400));
}

#[test]
fn what_is_listed_again_or_left_out_is_not_counted() {
    let mut run = run();
    let pages = [
        (
            alloc::vec![entry("Observation", "a", ""), entry("Goal", "g", "")],
            r#"{"relation":"next","url":"?page=2"}"#,
        ),
        (
            alloc::vec![entry("Observation", "a", ""), entry("Observation", "b", "")],
            "",
        ),
    ];
    let mut pages = pages.iter();
    perform(
        &mut run,
        |_| {
            let (entries, next) = pages.next().unwrap();
            bundle(entries, next)
        },
        stored,
    );
    let tally = run.tally();
    assert_eq!(run.findings().rows[0].count(), tally.found - tally.repeated);
    assert_eq!(run.findings().rows[0].count(), 2);
    assert_eq!(format!("{:?}", run.findings()), "Findings(..)");
}

fn day() -> impl Strategy<Value = Option<Day>> {
    prop::option::of("(19|20)[0-9]{2}(-0[1-9](-[12][0-9])?)?")
        .prop_map(|it| it.and_then(|it| Day::read(&it)))
}

const MANY: core::ops::RangeInclusive<u32> = 0..=4_000_000;

fn row() -> impl Strategy<Value = RowFindings> {
    let name = (any::<String>(), MANY, day());
    let names = prop::collection::vec(name, 0..5);
    let years = prop::collection::vec((any::<u32>(), MANY), 0..5);
    (
        0..99_usize,
        any::<String>(),
        years,
        (MANY, MANY),
        (day(), day()),
        names,
    )
        .prop_map(
            |(row, label, years, (undated, other), (first, last), names)| RowFindings {
                row,
                label,
                years,
                undated,
                first,
                last,
                names: names
                    .into_iter()
                    .map(|(name, count, latest)| NameFindings {
                        name,
                        count,
                        latest,
                    })
                    .collect(),
                other,
            },
        )
}

proptest! {
    #[test]
    fn findings_come_back_from_their_json(rows in prop::collection::vec(row(), 0..4)) {
        let findings = Findings { rows };
        let text = findings.to_json();
        let back = Findings::parse(Json::parse(text.as_bytes()).unwrap());
        prop_assert!(back == Some(findings), "{text}");
    }

    #[test]
    fn no_json_panics(text in "[\\[\\]{}\",:a-z0-9 ]{0,80}") {
        if let Some(json) = Json::parse(text.as_bytes()) {
            let _ = Findings::parse(json);
        }
    }
}
