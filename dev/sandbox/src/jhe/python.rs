//! Python shows through in JHE's texts: the errors of its JSON parser and the `repr` of its values.

use serde_json::Value;

/// What Python's `json` module says about a text that is not JSON.
pub(super) fn json_error(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut scanner = Scanner {
        characters: &characters,
        at: 0,
        depth: 0,
    };
    let (message, at) = match scanner.document() {
        Err(found) => found,
        Ok(()) => ("Expecting value", 0),
    };
    let before = &characters[..at.min(characters.len())];
    let line = before
        .iter()
        .filter(|character| **character == '\n')
        .count()
        + 1;
    let column = at
        - before
            .iter()
            .rposition(|character| *character == '\n')
            .map_or(0, |newline| newline + 1)
        + 1;
    format!("{message}: line {line} column {column} (char {at})")
}

type Found = (&'static str, usize);

/// Walks through a text in the order in which Python's decoder does, to fail where it fails.
struct Scanner<'a> {
    characters: &'a [char],
    at: usize,
    depth: usize,
}

/// So deep Python's decoder goes, about. What JHE answers then is not known: here it is what it says of other texts.
const DEEPEST: usize = 900;

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Found> {
        self.space();
        self.value()?;
        self.space();
        if self.at < self.characters.len() {
            return Err(("Extra data", self.at));
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<(), Found> {
        if self.depth == DEEPEST {
            return Err(("Expecting value", self.at));
        }
        self.depth += 1;
        let found = match self.peek() {
            Some('{') => self.object(),
            Some('[') => self.array(),
            Some('"') => self.string(),
            _ => self.word(),
        };
        self.depth -= 1;
        found
    }

    /// A number or a constant; both are checked only as far as Python's scanner looks.
    fn word(&mut self) -> Result<(), Found> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
        {
            self.at += 1;
        }
        let word: String = self.characters[start..self.at].iter().collect();
        if serde_json::from_str::<Value>(&word).is_ok() {
            Ok(())
        } else {
            Err(("Expecting value", start))
        }
    }

    fn string(&mut self) -> Result<(), Found> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(("Unterminated string starting at", start)),
                Some('"') => break,
                Some('\\') => self.at += 2,
                Some(character) if character < ' ' => {
                    return Err(("Invalid control character at", self.at));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Found> {
        self.at += 1;
        self.space();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some('"') {
                return Err(("Expecting property name enclosed in double quotes", self.at));
            }
            self.string()?;
            self.space();
            if self.peek() != Some(':') {
                return Err(("Expecting ':' delimiter", self.at));
            }
            self.at += 1;
            self.space();
            self.value()?;
            if self.end_or_comma('}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self) -> Result<(), Found> {
        self.at += 1;
        self.space();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            if self.end_or_comma(']')? {
                return Ok(());
            }
        }
    }

    fn end_or_comma(&mut self, end: char) -> Result<bool, Found> {
        self.space();
        let found = self.peek();
        if found == Some(end) {
            self.at += 1;
            return Ok(true);
        }
        if found != Some(',') {
            return Err(("Expecting ',' delimiter", self.at));
        }
        self.at += 1;
        self.space();
        Ok(false)
    }
}

/// `str(value)` of a parsed JSON value.
pub(super) fn str_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `bool(value)` of a parsed JSON value.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(repr).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), repr(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// `repr` of a string: double quotes only if it holds a single and no double one.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut written = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\\' => written.push_str("\\\\"),
            character if character == quote => {
                written.push('\\');
                written.push(character);
            }
            character => written.push(character),
        }
    }
    written.push(quote);
    written
}

/// `str([ErrorDetail(…)])`: what the REST framework makes of a ValidationError's text.
pub(super) fn error_detail(text: &str) -> String {
    format!("[ErrorDetail(string={}, code='invalid')]", quoted(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broken_text_is_reported_as_python_does() {
        for (text, error) in [
            (
                "{\"system\":",
                "Expecting value: line 1 column 11 (char 10)",
            ),
            (
                "{",
                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            ),
            (
                "{\"a\": 1,\n \"b\" 2}",
                "Expecting ':' delimiter: line 2 column 6 (char 14)",
            ),
            ("[1, 2", "Expecting ',' delimiter: line 1 column 6 (char 5)"),
            ("{} x", "Extra data: line 1 column 4 (char 3)"),
            (
                "\"abc",
                "Unterminated string starting at: line 1 column 1 (char 0)",
            ),
        ] {
            assert_eq!(json_error(text), error, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_nested_without_measure_is_reported_like_any_other() {
        assert!(json_error(&"[".repeat(1_000_000)).starts_with("Expecting value: line 1"));
    }

    #[test]
    fn values_are_written_as_python_does() {
        assert_eq!(str_of(&json!(12345)), "12345");
        assert_eq!(str_of(&json!({"a": 1})), "{'a': 1}");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("a 'b' \"c\"\n"), "'a \\'b\\' \"c\"\\n'");
    }
}
