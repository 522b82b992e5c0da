//! How the EHR's id survives the write: a rule of the deployment.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fhir::resource::Record;
use crate::json::{Json, Member, object};

/// What happens to a record's id on its way into JHE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Nothing: this JHE keeps the EHR's id and recognises a record by it.
    Keep,
    /// This JHE forgets the id, so the record gets an identifier `{system, value: id}` by which it can be recognised.
    /// An id that JHE can't hold goes.
    AddIdentifier,
}

/// Can JHE hold this id? FHIR R4 §2.24.0.1: 1 to 64 characters of letters, digits, `-` and `.`.
pub fn is_holdable(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

impl Identity {
    /// The text that is written for `record`, which came from the server at `system`.
    ///
    /// Every byte that the rule does not touch stays.
    pub fn outgoing(self, record: &Record, system: &str) -> String {
        match self {
            Identity::Keep => record.text().into(),
            Identity::AddIdentifier => add_identifier(record.json(), record.id(), system),
        }
    }
}

fn add_identifier(record: Json<'_>, id: Option<&str>, system: &str) -> String {
    let all: Vec<Member<'_>> = record.members().collect();
    let is_dropped =
        |member: &Member<'_>| member.name == "id" && id.is_none_or(|id| !is_holdable(id));
    let mut removal = None;
    let mut insertion = None;

    if let Some(index) = all.iter().position(is_dropped)
        && let Some(dropped) = all.get(index)
    {
        let next = all.get(index + 1);
        let before = index.checked_sub(1).and_then(|index| all.get(index));
        removal = Some(match (next, before) {
            (Some(next), _) => (dropped.start, next.start),
            (None, Some(before)) => (before.end, dropped.end),
            (None, None) => (dropped.start, dropped.end),
        });
    }

    if let Some(id) = id {
        let element = object(&[("system", system), ("value", id)]);
        match all.iter().find(|member| member.name == "identifier") {
            Some(member) if member.value.is_list() => {
                if !names(member.value, system, id) {
                    let place = member.end - member.value.text().len() + 1;
                    let is_empty = member.value.elements().next().is_none();
                    let comma = if is_empty { "" } else { "," };
                    insertion = Some((place, [&element, comma].concat()));
                }
            }
            // Not a list: JHE will refuse the record and say why.
            Some(_) => {}
            None => {
                let is_alone = all.iter().all(is_dropped);
                let comma = if is_alone { "" } else { "," };
                insertion = Some((1, ["\"identifier\":[", &element, "]", comma].concat()));
            }
        }
    }
    splice(record.text(), removal, insertion)
}

/// Is `{system, value}` among the identifiers already?
fn names(identifiers: Json<'_>, system: &str, value: &str) -> bool {
    identifiers.elements().any(|identifier| {
        identifier.get_string("system").as_deref() == Some(system)
            && identifier.get_string("value").as_deref() == Some(value)
    })
}

/// `text` without the range `removal` and with `insertion` at its place, which is not inside that range.
fn splice(
    text: &str,
    removal: Option<(usize, usize)>,
    insertion: Option<(usize, String)>,
) -> String {
    let (place, inserted) = insertion.unwrap_or_default();
    let (start, end) = removal.unwrap_or((text.len(), text.len()));
    let part = |from, to| text.get(from..to).unwrap_or_default();
    match place <= start {
        true => [
            part(0, place),
            &inserted,
            part(place, start),
            part(end, text.len()),
        ],
        false => [
            part(0, start),
            part(end, place),
            &inserted,
            part(place, text.len()),
        ],
    }
    .concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SYSTEM: &str = "https://ehr.example/R4";

    fn record(text: &str) -> Record {
        Record::for_test(text)
    }

    fn outgoing(text: &str) -> String {
        Identity::AddIdentifier.outgoing(&record(text), SYSTEM)
    }

    #[test]
    fn a_record_gets_an_identifier_and_keeps_every_other_byte() {
        let rest = r#" "resourceType" : "Observation",
            "id":"a1", "subject":{"reference":"Patient/p"},"valueQuantity":{"value":1.50}}"#;
        assert_eq!(
            outgoing(&["{", rest].concat()),
            [
                r#"{"identifier":[{"system":"https://ehr.example/R4","value":"a1"}],"#,
                rest
            ]
            .concat()
        );
    }

    #[test]
    fn an_existing_list_of_identifiers_is_prolonged() {
        let text = r#"{"resourceType":"Observation","id":"a1","identifier": [ {"value":"ORD1"} ],"subject":{"reference":"Patient/p"}}"#;
        assert_eq!(
            outgoing(text),
            text.replace(
                "[ {",
                r#"[{"system":"https://ehr.example/R4","value":"a1"}, {"#
            )
        );
        let empty = text.replace(r#"[ {"value":"ORD1"} ]"#, "[ ]");
        assert!(outgoing(&empty).contains(r#""value":"a1"} ],"subject""#));
    }

    #[test]
    fn an_identifier_that_is_there_already_is_not_repeated() {
        let text = r#"{"resourceType":"Observation","id":"a1","identifier":[{"use":"x","value":"a1","system":"https://ehr.example/R4"}],"subject":{"reference":"Patient/p"}}"#;
        assert_eq!(outgoing(text), text);
    }

    #[test]
    fn an_id_that_jhe_cannot_hold_goes_and_lives_on_as_identifier() {
        for id in ["a_b", &"x".repeat(65), "a b", "é"] {
            let text = [
                r#"{"resourceType":"Observation","id":""#,
                id,
                r#"","subject":{"reference":"Patient/p"}}"#,
            ]
            .concat();
            let out: Value = serde_json::from_str(&outgoing(&text)).unwrap();
            assert_eq!(out["id"], Value::Null);
            assert_eq!(out["identifier"], json!([{"system": SYSTEM, "value": id}]));
        }
    }

    #[test]
    fn an_unholdable_id_can_be_first_or_last() {
        let last =
            r#"{"resourceType":"Observation","subject":{"reference":"Patient/p"} , "id" : "a_b" }"#;
        assert_eq!(
            outgoing(last),
            r#"{"identifier":[{"system":"https://ehr.example/R4","value":"a_b"}],"resourceType":"Observation","subject":{"reference":"Patient/p"} }"#
        );
        let empty = r#"{"id":"","resourceType":"Observation","subject":{"reference":"Patient/p"}}"#;
        assert_eq!(
            outgoing(empty),
            r#"{"resourceType":"Observation","subject":{"reference":"Patient/p"}}"#
        );
    }

    #[test]
    fn an_unholdable_id_at_the_very_beginning_makes_room_for_the_identifier() {
        let first =
            r#"{"id":"a_b","resourceType":"Observation","subject":{"reference":"Patient/p"}}"#;
        assert_eq!(
            outgoing(first),
            r#"{"identifier":[{"system":"https://ehr.example/R4","value":"a_b"}],"resourceType":"Observation","subject":{"reference":"Patient/p"}}"#
        );
    }

    #[test]
    fn sixty_four_characters_are_held_and_sixty_five_are_not() {
        assert!(is_holdable(&"a".repeat(64)));
        assert!(!is_holdable(&"a".repeat(65)));
        assert!(!is_holdable(""));
        assert!(is_holdable("e.A-9"));
    }

    #[test]
    fn keep_touches_nothing() {
        let text =
            r#"{"id":"a_b","resourceType":"Observation","subject":{"reference":"Patient/p"}}"#;
        assert_eq!(Identity::Keep.outgoing(&record(text), SYSTEM), text);
    }

    proptest! {
        #[test]
        fn only_id_and_identifier_change(
            id in prop_oneof!["[A-Za-z0-9.-]{1,70}", "\\PC{0,70}"],
            note in "\\PC{0,20}",
            number in "-?[1-9][0-9]{0,5}\\.[0-9]{1,8}",
            with_identifier: bool,
            id_first: bool,
        ) {
            let id_member = ["\"id\":", &serde_json::to_string(&id).unwrap()].concat();
            let fixed = [
                r#""resourceType":"Observation","subject":{"reference":"Patient/p"},"note":"#,
                &serde_json::to_string(&note).unwrap(),
                r#","valueQuantity":{"value":"#,
                &number,
                "}",
                if with_identifier { r#","identifier":[{"value":"o"}]"# } else { "" },
            ]
            .concat();
            let text = match id_first {
                true => ["{", &id_member, ",", &fixed, "}"].concat(),
                false => ["{", &fixed, ",", &id_member, "}"].concat(),
            };
            let out = outgoing(&text);
            let mut came: Value = serde_json::from_str(&text).unwrap();
            let mut left: Value = serde_json::from_str(&out).unwrap();
            let recognised = left["identifier"]
                .as_array()
                .is_some_and(|list| list.contains(&json!({"system": SYSTEM, "value": id})));
            prop_assert_eq!(recognised, !id.is_empty());
            prop_assert_eq!(left.get("id").is_some(), is_holdable(&id));
            for value in [&mut came, &mut left] {
                value.as_object_mut().unwrap().remove("id");
                value.as_object_mut().unwrap().remove("identifier");
            }
            prop_assert_eq!(came, left);
            prop_assert!(out.contains(&number));
        }
    }
}
