//! JSON, against a reader that others wrote.

use jhe_connect::json::{Json, object, quoted};
use serde::Deserialize as _;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::de::Deserializer;

/// Any octets.
pub(crate) fn json(input: &[u8]) {
    let parsed = Json::parse(input);
    if deepest(input) < 100 {
        // Past 128 levels the other one gives up.
        let mut other = Deserializer::from_slice(input);
        let is_value = IgnoredAny::deserialize(&mut other).is_ok() && other.end().is_ok();
        let is_text = std::str::from_utf8(input).is_ok();
        assert_eq!(parsed.is_some(), is_value && is_text);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let quoted = quoted(text);
        assert_eq!(
            serde_json::from_str::<String>(&quoted).ok().as_deref(),
            Some(text)
        );
        assert_eq!(
            Json::parse(quoted.as_bytes())
                .and_then(Json::string)
                .as_deref(),
            Some(text)
        );
        let object = object(&[(text, text), ("b", "")]);
        assert!(serde_json::from_str::<Value>(&object).is_ok());
    }
    let Some(json) = parsed else {
        return;
    };
    assert_eq!(json.text(), json.text().trim());
    same(
        json,
        serde_json::from_str::<Value>(json.text()).ok().as_ref(),
        0,
    );
}

/// How many brackets are opened at most, seen roughly.
pub(crate) fn deepest(input: &[u8]) -> usize {
    input
        .iter()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count()
}

/// Do both say the same? The other one can't read what holds a lone surrogate; then only that nothing panics counts.
fn same(json: Json<'_>, other: Option<&Value>, depth: u32) {
    // Each level is looked for anew: the product of both is what it costs.
    if depth > 8 {
        return;
    }
    assert_eq!(json.is_list(), json.text().starts_with('['));
    let _ = json.whole_number();
    let string = json.string();
    match other {
        Some(Value::String(text)) => assert_eq!(string.as_ref(), Some(text)),
        Some(_) => assert_eq!(string, None),
        None => {}
    }
    let elements: Vec<Json<'_>> = json.elements().take(40).collect();
    if let Some(Value::Array(list)) = other {
        assert_eq!(elements.len(), list.len().min(40));
        for (element, other) in elements.iter().zip(list) {
            same(*element, Some(other), depth + 1);
        }
    } else {
        assert!(json.is_list() || elements.is_empty());
        elements
            .iter()
            .for_each(|element| same(*element, None, depth + 1));
    }
    for name in ["a", "id", "resourceType", "__proto__", ""] {
        let member = json.get(name);
        let known = other.map(|other| other.get(name));
        match (member, known) {
            (Some(_), Some(None)) => panic!("a member that is not there"),
            (Some(member), Some(other)) => same(member, other, depth + 1),
            (Some(member), None) => same(member, None, depth + 1),
            (None, _) => {}
        }
    }
}
