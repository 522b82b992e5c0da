//! JSON as slices of its text: a document is checked once, then looked at where a rule needs it.
//!
//! Records are so neither taken apart nor put together again, and what is not touched leaves byte for byte as it came.
//! The protocol documents are read the same way: structs derived for them would cost a patient more bytes than all of
//! this crate's own code (see ARCHITECTURE.md).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::text::{contains, whole_number};

/// A well-formed JSON value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Checks that `octets` are one JSON value in UTF-8 and nothing else. Nesting may be of any depth.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(octets).ok()?;
        let (start, end) = well_formed(octets)?;
        Some(Json(text.get(start..end)?))
    }

    /// A value whose text was checked before.
    pub(crate) fn checked(text: &'a str) -> Self {
        Json(text)
    }

    /// The value's text.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// The members, if it is an object.
    pub(crate) fn members(self) -> Members<'a> {
        members(self.0)
    }

    /// The member `name` of an object. One that is `null` counts as missing, and so does one that is there twice: which
    /// of both a server means can't be known.
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        let mut named = self.members().filter(|member| member.name == name);
        match (named.next(), named.next()) {
            (Some(member), None) if member.value.0 != "null" => Some(member.value),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn elements(self) -> Elements<'a> {
        Elements {
            text: self.0,
            position: match self.is_list() {
                true => 1,
                false => self.0.len(),
            },
        }
    }

    /// The elements of the list that is the member `name` of an object; none where there is no such list.
    pub fn list(self, name: &str) -> Elements<'a> {
        self.get(name).unwrap_or(Json("")).elements()
    }

    /// Is it a list?
    pub fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    /// Is it an object?
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The text of a string, its escapes undone.
    pub fn string(self) -> Option<String> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        match contains(inner, "\\") {
            true => unescaped(inner),
            false => Some(inner.into()),
        }
    }

    /// The string member `name` of an object.
    pub fn get_string(self, name: &str) -> Option<String> {
        self.get(name)?.string()
    }

    /// The text without the quotes, if it is a string: for what is read alike in both forms.
    pub(crate) fn unquoted(self) -> &'a str {
        let inner = self.0.strip_prefix('"');
        inner.and_then(|it| it.strip_suffix('"')).unwrap_or(self.0)
    }

    /// The digits of a whole number, whether bare or in a string, as some servers write it.
    pub fn whole_number(self) -> Option<u64> {
        whole_number(self.unquoted().split('.').next()?)
    }
}

/// Where the one value of a document stands (RFC 8259), if it is well-formed.
///
/// serde_json could check it: this is a kilobyte shorter, compressed, and faster, as it makes no error text.
fn well_formed(bytes: &[u8]) -> Option<(usize, usize)> {
    let start = skip_while(bytes, 0, is_space);
    let mut position = start;
    // The brackets that are open.
    let mut open: Vec<u8> = Vec::new();
    'value: loop {
        let first = *bytes.get(position)?;
        position = match first {
            b'{' | b'[' => {
                position = skip_while(bytes, position + 1, is_space);
                // The closing bracket of each comes two behind it in ASCII.
                if *bytes.get(position)? == first + 2 {
                    position + 1
                } else {
                    open.push(first);
                    if first == b'{' {
                        position = name_end(bytes, position)?;
                    }
                    continue 'value;
                }
            }
            b'"' => checked_string_end(bytes, position)?,
            b't' => literal_end(bytes, position, b"true")?,
            b'f' => literal_end(bytes, position, b"false")?,
            b'n' => literal_end(bytes, position, b"null")?,
            _ => number_end(bytes, position)?,
        };
        loop {
            let end = position;
            position = skip_while(bytes, position, is_space);
            match (open.last(), bytes.get(position)) {
                (None, None) => return Some((start, end)),
                (Some(b'{'), Some(b',')) => {
                    position = name_end(bytes, skip_while(bytes, position + 1, is_space))?;
                    continue 'value;
                }
                (Some(b'['), Some(b',')) => {
                    position = skip_while(bytes, position + 1, is_space);
                    continue 'value;
                }
                (Some(bracket), Some(byte)) if *byte == bracket + 2 => {
                    open.pop();
                    position += 1;
                }
                _ => return None,
            }
        }
    }
}

/// The place of the value behind the member name that begins at `start`.
fn name_end(bytes: &[u8], start: usize) -> Option<usize> {
    let colon = skip_while(bytes, checked_string_end(bytes, start)?, is_space);
    let is_there = *bytes.get(colon)? == b':';
    is_there.then(|| skip_while(bytes, colon + 1, is_space))
}

fn literal_end(bytes: &[u8], start: usize, literal: &[u8]) -> Option<usize> {
    let is_there = bytes.get(start..)?.starts_with(literal);
    is_there.then_some(start + literal.len())
}

/// `-`, digits without a leading zero, a fraction, an exponent (RFC 8259 §6).
fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize| {
        let end = skip_while(bytes, from, |byte| byte.is_ascii_digit());
        (end > from).then_some(end)
    };
    let is =
        |position: usize, any: &[u8]| bytes.get(position).is_some_and(|byte| any.contains(byte));
    let mut position = start + usize::from(is(start, b"-"));
    position = match is(position, b"0") {
        true => position + 1,
        false => digits(position)?,
    };
    if is(position, b".") {
        position = digits(position + 1)?;
    }
    if is(position, b"eE") {
        position += 1;
        position = digits(position + usize::from(is(position, b"+-")))?;
    }
    Some(position)
}

/// As [`string_end`], if the string holds no control character and only escapes that there are.
fn checked_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    if *bytes.get(start)? != b'"' {
        return None;
    }
    let mut position = start + 1;
    loop {
        position += match *bytes.get(position)? {
            b'"' => return Some(position + 1),
            b'\\' => match *bytes.get(position + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                b'u' => {
                    let digits = bytes.get(position + 2..position + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    6
                }
                _ => return None,
            },
            0..0x20 => return None,
            _ => 1,
        }
    }
}

/// Undoes the escapes of a string (RFC 8259 §7). `None` for a lone surrogate, which no text can hold.
///
/// serde_json could do it, but brings 20 kB along for the floats in its error texts.
fn unescaped(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = escape.chars();
        out.push(match characters.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, after) = code_unit(characters.as_str())?;
                characters = after.chars();
                match unit {
                    0xD800..0xDC00 => {
                        let (low, after) = code_unit(after.strip_prefix("\\u")?)?;
                        characters = after.chars();
                        let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                        char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + low)?
                    }
                    unit => char::from_u32(unit)?,
                }
            }
            literal => literal,
        });
        rest = characters.as_str();
    }
    out.push_str(rest);
    Some(out)
}

/// The UTF-16 code unit of four hexadecimal digits, and what follows them.
fn code_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    let mut unit = 0;
    for digit in digits.chars() {
        unit = unit << 4 | digit.to_digit(16)?;
    }
    Some((unit, after))
}

/// Shows nothing: it may be a record or hold a token.
impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(..)")
    }
}

/// `text` as a JSON string, with its quotes.
pub fn quoted(text: &str) -> String {
    // It fails only for maps with keys that are no strings.
    serde_json::to_string(text).unwrap_or_default()
}

/// An object of strings, in the order given.
pub fn object(members: &[(&str, &str)]) -> String {
    let mut out = String::from("{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&quoted(name));
        out.push(':');
        out.push_str(&quoted(value));
    }
    out.push('}');
    out
}

/// Goes through a text from its first byte to its last, once: a value is stepped into or stepped over, and nobody looks
/// for its end before. For pages of megabytes, where [`Json`] would read every byte once for each level above it.
///
/// The text need not be well-formed: what is not ends the object or list that it stands in.
pub(crate) struct Walk<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Walk<'a> {
    /// A walk that begins at the start of `text`.
    pub(crate) fn over(text: &'a str) -> Self {
        let position = skip_while(text.as_bytes(), 0, is_space);
        Walk { text, position }
    }

    /// Where the value ahead begins.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Steps into the object (`{`) or list (`[`) ahead; `false`, without a step, if something else is ahead.
    pub(crate) fn enter(&mut self, opening: u8) -> bool {
        let is_there = self.text.as_bytes().get(self.position) == Some(&opening);
        self.position += usize::from(is_there);
        is_there
    }

    /// The name of the next member, without its quotes, escapes not undone; its value is ahead then. `None` behind the
    /// end of the object.
    pub(crate) fn member(&mut self) -> Option<&'a str> {
        if !self.has_next() {
            return None;
        }
        let bytes = self.text.as_bytes();
        let start = self.position;
        let Some(end) = string_end(bytes, start) else {
            self.position = bytes.len();
            return None;
        };
        let colon = skip_while(bytes, end, is_space);
        self.position = skip_while(bytes, colon + 1, is_space);
        self.text.get(start + 1..end - 1)
    }

    /// Is a further element of the list ahead? Behind the end of the list there is none.
    pub(crate) fn element(&mut self) -> bool {
        self.has_next()
    }

    /// Steps over the value ahead.
    pub(crate) fn value(&mut self) -> Json<'a> {
        let start = self.position;
        let end = value_end(self.text.as_bytes(), start);
        self.position = match end > start {
            true => end,
            false => self.text.len(),
        };
        Json(self.text.get(start..end).unwrap_or_default())
    }

    /// Steps over what stands between two members or elements; behind the last one over the closing bracket.
    fn has_next(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        self.position = skip_while(bytes, self.position, |b| is_space(b) || b == b',');
        match bytes.get(self.position) {
            Some(b'}' | b']') => {
                self.position += 1;
                false
            }
            next => next.is_some(),
        }
    }
}

/// Iterates over the elements of a list.
#[derive(Clone)]
pub struct Elements<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let bytes = self.text.as_bytes();
        let start = skip_while(bytes, self.position, |b| is_space(b) || b == b',');
        let end = value_end(bytes, start);
        self.position = end;
        let element = self.text.get(start..end)?;
        (!element.is_empty()).then_some(Json(element))
    }
}

/// One member of an object, with its place in the object's text.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    /// The name without its quotes, escapes not undone.
    pub(crate) name: &'a str,
    /// The value.
    pub(crate) value: Json<'a>,
    /// Where the name's opening quote stands.
    pub(crate) start: usize,
    /// Where the value ends.
    pub(crate) end: usize,
}

/// The members of `object`, which must be well-formed JSON. Nothing for any other value.
fn members(object: &str) -> Members<'_> {
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
#[derive(Clone)]
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
            value: Json(self.text.get(value_start..end)?),
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
    use alloc::string::ToString;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_are_found_with_their_places() {
        let text = r#"{ "a" : 1.50, "b":{"c":[1,{"}":"]"}]},"d\"e":"x\\" , "f":null}"#;
        let found: Vec<_> = members(text).map(|m| (m.name, m.value.0)).collect();
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

    fn json(text: &str) -> Json<'_> {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_read_where_they_are_asked_for() {
        let value =
            json(r#" {"a":{"b":[1, "x\u00e9\ud83d\ude00\n" ,[2]]},"n":null,"t":true,"s":"3600"} "#);
        let list = value.get("a").unwrap().get("b").unwrap();
        let texts: Vec<_> = list.elements().map(Json::text).collect();
        assert_eq!(texts, ["1", r#""x\u00e9\ud83d\ude00\n""#, "[2]"]);
        let string = list.elements().nth(1).unwrap().string();
        assert_eq!(string.as_deref(), Some("xé😀\n"));
        assert_eq!(value.get("n"), None);
        assert_eq!(value.get("missing"), None);
        assert_eq!(value.get("t").map(Json::text), Some("true"));
        assert_eq!(value.get("s").and_then(Json::whole_number), Some(3600));
        assert_eq!(json("[]").elements().count(), 0);
        assert_eq!(value.get("a").unwrap().list("b").count(), 3);
        assert_eq!(value.list("a").count() + value.list("missing").count(), 0);
        assert_eq!(json("7").get("a"), None);
    }

    #[test]
    fn a_lone_surrogate_is_no_text() {
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
        ] {
            assert_eq!(json(text).string(), None, "{text}");
        }
    }

    #[test]
    fn a_member_that_is_there_twice_counts_as_missing() {
        assert_eq!(json(r#"{"a":1,"a":2}"#).get("a"), None);
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{}{}",
            "[1,]",
            "nul",
            "\u{feff}{}",
            "{\"a\":1,}",
        ] {
            assert!(Json::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_none());
    }

    #[test]
    fn strings_are_written_so_that_they_read_back() {
        let text = object(&[("a\"", "\u{0}\n</script>"), ("b", "é")]);
        assert_eq!(json(&text).get_string("b").as_deref(), Some("é"));
        assert_eq!(quoted("\u{0}\"\\"), r#""\u0000\"\\""#);
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
        fn what_is_well_formed_is_what_serde_takes(
            value in any_json(),
            pretty: bool,
            edits in prop::collection::vec((any::<prop::sample::Index>(), "[]\\[{}\",:\\\\ \\-+.eEu0159tfnrl\u{1}é]?"), 0..4),
        ) {
            let mut text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            for (place, insert) in edits {
                let mut letters: Vec<char> = text.chars().collect();
                let place = place.index(letters.len() + 1);
                match insert.chars().next() {
                    Some(letter) => letters.insert(place, letter),
                    None if place < letters.len() => drop(letters.remove(place)),
                    None => {}
                }
                text = letters.into_iter().collect();
            }
            prop_assert_eq!(
                well_formed(text.as_bytes()).is_some(),
                serde_json::from_str::<IgnoredAny>(&text).is_ok(),
                "{}", text
            );
        }

        #[test]
        fn numbers_are_well_formed_as_serde_takes_them(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?") {
            prop_assert_eq!(
                well_formed(text.as_bytes()).is_some(),
                serde_json::from_str::<IgnoredAny>(&text).is_ok(),
                "{}", text
            );
        }

        #[test]
        fn the_scanner_agrees_with_serde(value in any_json(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            let found: Vec<(String, Value)> = members(&text)
                .map(|m| {
                    let name = ["\"", m.name, "\""].concat();
                    (serde_json::from_str(&name).unwrap(), serde_json::from_str(m.value.0).unwrap())
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
        fn elements_agree_with_serde(values in prop::collection::vec(any_json(), 0..6)) {
            let text = Value::from(values.clone()).to_string();
            let found: Vec<Value> = json(&text)
                .elements()
                .map(|element| serde_json::from_str(element.text()).unwrap())
                .collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn strings_agree_with_serde(text in r#"(\\\\[\\\\"/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude0[0-9]|[^"\\\\\x00-\x1f]){0,12}"#) {
            let text = ["\"", &text, "\""].concat();
            if let Some(json) = Json::parse(text.as_bytes()) {
                prop_assert_eq!(json.string(), serde_json::from_str::<String>(&text).ok());
            }
        }

        #[test]
        fn any_octets_are_read_without_panic(octets: Vec<u8>) {
            let _ = Json::parse(&octets);
        }

        #[test]
        fn the_scanner_ends_on_any_text(text in "\\{[\"\\\\{}\\[\\],: a]{0,40}") {
            prop_assert!(members(&text).count() <= text.len());
        }
    }
}
