//! What a page says, read out of its text: nothing of it is ever run.
//!
//! JHE's templates write the configuration as a JavaScript object; the plain pages have it as JSON.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

use crate::json::quoted;

/// The configuration of a plain page, as it stands there.
pub(super) fn block(html: &str) -> Option<&str> {
    element(html, "script", |tag| {
        attribute(tag, "id").as_deref() == Some("jhe-connect-config")
    })
}

/// The configuration that one of JHE's templates puts into the global variable `global`, as JSON.
pub(super) fn global(html: &str, global: &str) -> Option<String> {
    let mut rest = html;
    while let Some((_, after)) = rest.split_once(global) {
        rest = after;
        let value = after.trim_start().strip_prefix('=');
        // Neither a comparison nor an arrow.
        if let Some(value) = value.filter(|value| !value.starts_with(['=', '>']))
            && let Some(json) = object(value)
        {
            return Some(json);
        }
    }
    None
}

/// A JavaScript literal of an object, as JSON. What stands behind it is not looked at.
pub(super) fn object(text: &str) -> Option<String> {
    let mut literal = Literal {
        signs: text.chars().peekable(),
        json: String::new(),
    };
    literal.skip_space();
    if literal.signs.peek() != Some(&'{') {
        return None;
    }
    literal.value(0)?;
    Some(literal.json)
}

/// The addresses of the scripts that a page loads, in their order.
pub(super) fn scripts(html: &str) -> Vec<String> {
    let mut addresses = Vec::new();
    for part in tags(html, "script") {
        addresses.extend(attribute(part, "src"));
    }
    addresses
}

/// The scripts that stand in a page and run.
pub(super) fn inline_scripts(html: &str) -> Vec<&str> {
    let mut scripts = Vec::new();
    for part in tags(html, "script") {
        let Some((tag, rest)) = part.split_once('>') else {
            continue;
        };
        let runs =
            attribute(tag, "type").is_none_or(|it| it.contains("javascript") || it == "module");
        if runs
            && attribute(tag, "src").is_none()
            && let Some((script, _)) = rest.split_once("</script")
        {
            scripts.push(script);
        }
    }
    scripts
}

/// The content of the first element of this name whose tag is the wanted one.
fn element<'a>(html: &'a str, name: &str, is_wanted: fn(&str) -> bool) -> Option<&'a str> {
    for part in tags(html, name) {
        let Some((tag, rest)) = part.split_once('>') else {
            continue;
        };
        if is_wanted(tag) {
            let mut end = String::from("</");
            end.push_str(name);
            return rest.split_once(end.as_str()).map(|(content, _)| content);
        }
    }
    None
}

/// Each place behind `<name`.
fn tags<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let mut start = String::from("<");
    start.push_str(name);
    let parts: Vec<&str> = html.split(start.as_str()).skip(1).collect();
    parts.into_iter()
}

/// The value of an attribute of the tag that a text begins with.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once(name) {
        rest = after;
        let begins = before.is_empty() || before.ends_with([' ', '\n', '\t', '\r', '"', '\'']);
        let Some(value) = after.trim_start().strip_prefix('=').filter(|_| begins) else {
            continue;
        };
        let value = value.trim_start();
        let value = match value.chars().next()? {
            mark @ ('"' | '\'') => value.get(1..)?.split(mark).next()?,
            _ => value.split([' ', '\n', '\t']).next()?,
        };
        return Some(value.replace("&amp;", "&"));
    }
    None
}

/// Reads a literal and writes JSON.
struct Literal<'a> {
    signs: Peekable<Chars<'a>>,
    json: String,
}

const DEPTH: u32 = 32;

impl Literal<'_> {
    fn value(&mut self, depth: u32) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        self.skip_space();
        match *self.signs.peek()? {
            '{' => self.members(depth, '}', true),
            '[' => self.members(depth, ']', false),
            '"' | '\'' | '`' => {
                let text = self.string()?;
                self.json.push_str(&quoted(&text));
                Some(())
            }
            _ => self.word(),
        }
    }

    fn members(&mut self, depth: u32, end: char, is_object: bool) -> Option<()> {
        self.json.push(self.signs.next()?);
        let mut is_first = true;
        loop {
            self.skip_space();
            // A comma may stand behind the last one.
            if self.signs.next_if_eq(&end).is_some() {
                self.json.push(end);
                return Some(());
            }
            if !is_first {
                self.json.push(',');
            }
            is_first = false;
            if is_object {
                let name = match self.signs.peek()? {
                    '"' | '\'' => self.string()?,
                    _ => self.name()?,
                };
                self.json.push_str(&quoted(&name));
                self.skip_space();
                self.signs.next_if_eq(&':')?;
                self.json.push(':');
            }
            self.value(depth + 1)?;
            self.skip_space();
            if self.signs.next_if_eq(&',').is_none() && self.signs.peek() != Some(&end) {
                return None;
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        while let Some(sign) = self
            .signs
            .next_if(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '$'))
        {
            name.push(sign);
        }
        (!name.is_empty()).then_some(name)
    }

    /// A number, `true`, `false`, or nothing.
    fn word(&mut self) -> Option<()> {
        let mut word = String::new();
        while let Some(sign) = self
            .signs
            .next_if(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '-' | '+'))
        {
            word.push(sign);
        }
        match word.as_str() {
            "true" | "false" | "null" => self.json.push_str(&word),
            "undefined" => self.json.push_str("null"),
            number if number.parse::<i64>().is_ok() => self.json.push_str(number),
            _ => return None,
        }
        Some(())
    }

    /// A string with the escapes of ECMA-262 §12.9.4. One that is put together of parts is none.
    fn string(&mut self) -> Option<String> {
        let mark = self.signs.next()?;
        // Of UTF-16, as an escape may be half of a character.
        let mut units: Vec<u16> = Vec::new();
        let mut buffer = [0; 2];
        loop {
            let sign = match self.signs.next()? {
                sign if sign == mark => return String::from_utf16(&units).ok(),
                '\\' => match self.signs.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '0' => '\0',
                    'x' => {
                        units.push(self.hexadecimal(2)?);
                        continue;
                    }
                    'u' if self.signs.peek() == Some(&'{') => return None,
                    'u' => {
                        units.push(self.hexadecimal(4)?);
                        continue;
                    }
                    '\n' | '\u{2028}' | '\u{2029}' => continue,
                    other => other,
                },
                '\n' if mark != '`' => return None,
                '$' if mark == '`' && self.signs.peek() == Some(&'{') => return None,
                other => other,
            };
            units.extend_from_slice(sign.encode_utf16(&mut buffer));
        }
    }

    fn hexadecimal(&mut self, digits: u32) -> Option<u16> {
        let mut value = 0_u16;
        for _ in 0..digits {
            let digit = self.signs.next()?.to_digit(16)?;
            value = value << 4 | u16::try_from(digit).ok()?;
        }
        Some(value)
    }

    /// White space and comments.
    fn skip_space(&mut self) {
        loop {
            while self.signs.next_if(|sign| sign.is_whitespace()).is_some() {}
            let mut ahead = self.signs.clone();
            let end = match (ahead.next(), ahead.next()) {
                (Some('/'), Some('/')) => ['\n', '\n'],
                (Some('/'), Some('*')) => ['*', '/'],
                _ => return,
            };
            self.signs = ahead;
            let mut last = ' ';
            for sign in self.signs.by_ref() {
                if sign == end[1] && (last == end[0] || end[0] == end[1]) {
                    break;
                }
                last = sign;
            }
        }
    }
}

/// The members of an object of JSON, each value without white space between its parts, so that two can be compared.
pub(super) fn members(json: &str) -> Vec<(String, String)> {
    let canonical = object(json).unwrap_or_default();
    let mut members = Vec::new();
    if let Some(object) = crate::json::Json::parse(canonical.as_bytes()) {
        for member in object.members() {
            members.push((member.name.to_string(), member.value.text().to_string()));
        }
    }
    members.sort();
    members
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEMPLATE: &str = "<script src=\"/static/common/js/common.js\"></script>
        <script type='text/javascript' src='/static/clients/mychart/js/client-mychart.js?v=1&amp;x'></script>
        <body><script>
        // MYCHART_CONFIG == {}
        var MYCHART_CONFIG = {
          iss: \"https\\u003A//ehr.example/R4\", // the base
          'clientId': '5b7d\\u002D93f4', /* } */ scope: `openid`,
          dataSourceId: \"70006\", study: {name: \"O\\u0027Neill\", x: [1, true, null,],},
        };
        </script><pre id=out></pre><script>go(MYCHART_CONFIG)</script>";

    #[test]
    fn a_templates_configuration_is_read_with_its_escapes_and_not_run() {
        assert_eq!(
            global(TEMPLATE, "MYCHART_CONFIG").as_deref(),
            Some(
                r#"{"iss":"https://ehr.example/R4","clientId":"5b7d-93f4","scope":"openid","dataSourceId":"70006","study":{"name":"O'Neill","x":[1,true,null]}}"#
            )
        );
    }

    #[test]
    fn what_would_have_to_be_run_is_not_read() {
        for value in [
            "load()",
            "{iss: base + '/R4'}",
            "{iss: `${base}`}",
            "{get iss() {}}",
            "{iss",
            "{...other}",
            "",
        ] {
            let page = ["var X = ", value, ";"].concat();
            assert_eq!(global(&page, "X"), None, "{value}");
        }
    }

    #[test]
    fn scripts_are_listed_by_address_or_content() {
        assert_eq!(
            scripts(TEMPLATE),
            [
                "/static/common/js/common.js",
                "/static/clients/mychart/js/client-mychart.js?v=1&x"
            ]
        );
        let inline = inline_scripts(TEMPLATE);
        assert_eq!(inline.len(), 2);
        assert_eq!(inline[1], "go(MYCHART_CONFIG)");
        let plain = include_str!("../../index.html");
        assert_eq!(scripts(plain), ["page.js"]);
        assert!(inline_scripts(plain).is_empty());
        assert!(block(plain).unwrap().starts_with("{\"deployment\""));
    }

    #[test]
    fn two_configurations_compare_by_their_members() {
        let one = members("{\"a\": [1, 2], \"b\":\"x\"}");
        assert_eq!(one, members("{b: 'x', a: [1,2]}"));
        assert_ne!(one, members("{b: 'x', a: [2,1]}"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(var X = |\\{|\\}|\"|'|\\\\|u00|<script|>|/\\*|[a-z:, ]){0,40}") {
            let _ = (global(&text, "X"), object(&text), scripts(&text), inline_scripts(&text), block(&text));
        }
    }
}
