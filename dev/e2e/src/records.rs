//! Did the records arrive as the hospital sent them? They are compared as text, member by member, so that `7.10` is not `7.1`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use sandbox::Row;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What JHE takes as an id.
const LONGEST_ID: usize = 64;

/// A resource as the texts of its members.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// An identifier; what else it may hold is not looked at.
#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Identifier {
    system: Option<String>,
    value: Option<String>,
}

/// Every record is in a row of its own, and no row holds anything else.
pub fn expect_arrival(rows: &[Row], records: &[String], iss: &str) -> Result<()> {
    ensure!(
        rows.len() == records.len(),
        "expected {} rows, found {}",
        records.len(),
        rows.len()
    );
    let mut by_id: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(id) = upstream_id(&row.sent, iss) {
            by_id.entry(id).or_default().push(row);
        }
    }
    records.iter().try_for_each(|record| {
        let id = id_of(record)?;
        let of_this_record = by_id.get(&id).map_or(&[][..], Vec::as_slice);
        ensure!(
            of_this_record.len() == 1,
            "expected one row for {id}, found {}",
            of_this_record.len()
        );
        expect_equal_but_for_ids(record, &of_this_record[0].sent, iss)
            .with_context(|| format!("record {id}"))
    })
}

/// As [`expect_arrival`], at JHE's later version, which keeps ids: rows and records are of any type, and equal.
pub fn expect_each_once(rows: &[Row], records: &[String]) -> Result<()> {
    let mut arrived: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for row in rows {
        let id = row.upstream_id.as_deref().unwrap_or_default();
        let of_this_record = arrived.entry((&row.resource_type, id)).or_default();
        of_this_record.push(&row.sent);
    }
    let mut records: BTreeSet<&String> = records.iter().collect();
    ensure!(
        rows.len() == records.len(),
        "expected {} rows, found {}: {:?}",
        records.len(),
        rows.len(),
        arrived.keys()
    );
    while let Some(record) = records.pop_first() {
        let (resource_type, id) = (type_of(record)?, id_of(record)?);
        let of_this_record = arrived.get(&(resource_type.as_str(), id.as_str()));
        let of_this_record = of_this_record.map_or(&[][..], Vec::as_slice);
        ensure!(
            of_this_record == [record],
            "{resource_type} {id}: expected {record} once, found {of_this_record:?}"
        );
    }
    Ok(())
}

/// The hospital's id of a row, which stands in an identifier, since JHE forgets `id`.
pub fn upstream_id(sent: &str, iss: &str) -> Option<String> {
    let members: Members = serde_json::from_str(sent).ok()?;
    identifiers(&members)
        .ok()?
        .into_iter()
        .find(|identifier| identifier.system.as_deref() == Some(iss))?
        .value
}

/// The `id` of a record.
pub fn id_of(record: &str) -> Result<String> {
    text_of(record, "id")
}

/// The `resourceType` of a record.
pub fn type_of(record: &str) -> Result<String> {
    text_of(record, "resourceType")
}

fn text_of(record: &str, member: &str) -> Result<String> {
    let members: Members = serde_json::from_str(record)?;
    let text = members.get(member);
    let text = text.with_context(|| format!("a record without {member}"))?;
    Ok(serde_json::from_str(text.get())?)
}

/// Is a record in this category?
pub fn is_in_category(record: &str, category: &str) -> bool {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let lists = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let categories = lists(&record["category"]).into_iter();
    let mut codings = categories.flat_map(|it| lists(&it["coding"]));
    codings.any(|coding| coding["code"] == category)
}

fn expect_equal_but_for_ids(record: &str, sent: &str, iss: &str) -> Result<()> {
    let (mut of_hospital, mut of_jhe): (Members, Members) =
        (serde_json::from_str(record)?, serde_json::from_str(sent)?);
    let id = id_of(record)?;

    let (mut expected, mut found) = (identifiers(&of_hospital)?, identifiers(&of_jhe)?);
    expected.push(Identifier {
        system: Some(iss.to_owned()),
        value: Some(id.clone()),
    });
    // Their order means nothing.
    expected.sort();
    found.sort();
    ensure!(
        found == expected,
        "expected the identifiers {expected:?}, found {found:?}"
    );

    let storable = id.len() <= LONGEST_ID
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let sent_id = of_jhe.get("id").map(|id| id.get());
    ensure!(
        sent_id
            == of_hospital
                .get("id")
                .map(|id| id.get())
                .filter(|_| storable),
        "expected the id to be {}, found {sent_id:?}",
        if storable { "kept" } else { "left out" },
    );

    for changed in ["id", "identifier"] {
        of_hospital.remove(changed);
        of_jhe.remove(changed);
    }
    ensure!(
        of_hospital.keys().eq(of_jhe.keys()),
        "expected {:?}, found {:?}",
        of_hospital.keys(),
        of_jhe.keys()
    );
    for (name, text) in of_hospital {
        let arrived = of_jhe[&name].get();
        ensure!(
            arrived == text.get(),
            "{name}: expected {text}, found {arrived}"
        );
    }
    Ok(())
}

fn identifiers(members: &Members) -> Result<Vec<Identifier>> {
    Ok(members
        .get("identifier")
        .map(|text| serde_json::from_str(text.get()))
        .transpose()?
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISS: &str = "https://ehr.example/R4";
    const RECORD: &str = r#"{"resourceType":"Observation","id":"e1","value":7.10}"#;

    #[test]
    fn a_record_with_its_id_in_an_identifier_has_arrived() {
        let sent = r#"{"resourceType":"Observation","id":"e1","identifier":[{"system":"https://ehr.example/R4","value":"e1"}],"value":7.10}"#;
        assert_eq!(upstream_id(sent, ISS).as_deref(), Some("e1"));
        expect_equal_but_for_ids(RECORD, sent, ISS).unwrap();
    }

    #[test]
    fn a_lost_zero_is_a_difference() {
        let sent = r#"{"resourceType":"Observation","id":"e1","identifier":[{"system":"https://ehr.example/R4","value":"e1"}],"value":7.1}"#;
        let difference = expect_equal_but_for_ids(RECORD, sent, ISS).unwrap_err();
        assert_eq!(difference.to_string(), "value: expected 7.10, found 7.1");
    }

    #[test]
    fn a_record_without_the_identifier_has_not_arrived() {
        assert!(expect_equal_but_for_ids(RECORD, RECORD, ISS).is_err());
    }

    #[test]
    fn an_id_that_jhe_cannot_hold_must_not_be_sent() {
        let record = r#"{"id":"e_1"}"#;
        let kept =
            r#"{"id":"e_1","identifier":[{"system":"https://ehr.example/R4","value":"e_1"}]}"#;
        let left_out = r#"{"identifier":[{"system":"https://ehr.example/R4","value":"e_1"}]}"#;
        assert!(expect_equal_but_for_ids(record, kept, ISS).is_err());
        expect_equal_but_for_ids(record, left_out, ISS).unwrap();
    }
}
