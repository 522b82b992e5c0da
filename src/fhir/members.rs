//! The members of a JSON object as slices of its text, so that a record can be looked at and touched without being
//! taken apart: what is not touched leaves byte for byte as it came.

/// One member of an object, with its place in the object's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// The name without its quotes, escapes not undone.
    pub(crate) name: &'a str,
    /// The value's text.
    pub(crate) value: &'a str,
    /// Where the name's opening quote stands.
    pub(crate) start: usize,
    /// Where the value ends.
    pub(crate) end: usize,
}

/// The members of `object`, which must be well-formed JSON (a `RawValue` is). Nothing for any other value.
pub(crate) fn members(object: &str) -> Members<'_> {
    let position = match object.starts_with('{') {
        true => 1,
        false => object.len(),
    };
    Members {
        text: object,
        position,
    }
}

/// Iterates over [`Member`]s.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let bytes = self.text.as_bytes();
        let start = skip_while(bytes, self.position, |b| is_space(b) || b == b',');
        let name_end = string_end(bytes, start)?;
        let colon = skip_while(bytes, name_end, is_space);
        let value_start = skip_while(bytes, colon.checked_add(1)?, is_space);
        let end = value_end(bytes, value_start);
        self.position = end;
        Some(Member {
            name: self.text.get(start + 1..name_end - 1)?,
            value: self.text.get(value_start..end)?,
            start,
            end,
        })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip_while(bytes: &[u8], from: usize, skip: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|&&byte| skip(byte)).count()
}

/// The place behind the string that begins at `start`, if one does.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let mut position = start + 1;
    loop {
        match bytes.get(position)? {
            b'"' => return Some(position + 1),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
}

/// The place behind the value that begins at `start`.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut position = start;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'"' => {
                position = string_end(bytes, position).unwrap_or(bytes.len());
                if depth == 0 {
                    return position;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => match depth {
                0 => return position,
                1 => return position + 1,
                _ => depth -= 1,
            },
            b',' if depth == 0 => return position,
            _ if depth == 0 && is_space(byte) => return position,
            _ => {}
        }
        position += 1;
    }
    position
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_are_found_with_their_places() {
        let text = r#"{ "a" : 1.50, "b":{"c":[1,{"}":"]"}]},"d\"e":"x\\" , "f":null}"#;
        let found: Vec<_> = members(text).map(|m| (m.name, m.value)).collect();
        assert_eq!(
            found,
            [
                ("a", "1.50"),
                ("b", r#"{"c":[1,{"}":"]"}]}"#),
                (r#"d\"e"#, r#""x\\""#),
                ("f", "null")
            ]
        );
        let first = members(text).next().unwrap();
        assert_eq!(text.get(first.start..first.end), Some(r#""a" : 1.50"#));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "[1]", "{}", "{ }", "\"{\"", "1"] {
            assert_eq!(members(text).count(), 0, "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("\\PC{0,6}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_scanner_agrees_with_serde(value in any_json(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            let found: Vec<(String, Value)> = members(&text)
                .map(|m| {
                    let name = ["\"", m.name, "\""].concat();
                    (serde_json::from_str(&name).unwrap(), serde_json::from_str(m.value).unwrap())
                })
                .collect();
            let mut expected: Vec<(String, Value)> = match value {
                Value::Object(map) => map.into_iter().collect(),
                _ => Vec::new(),
            };
            let mut found = found;
            found.sort_by(|a, b| a.0.cmp(&b.0));
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_scanner_ends_on_any_text(text in "\\{[\"\\\\{}\\[\\],: a]{0,40}") {
            prop_assert!(members(&text).count() <= text.len());
        }
    }
}
