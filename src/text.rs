//! The few things done to text more than once: numbers, percent-encoding, base64.
//!
//! `format!` is avoided in shipped code: every use costs a patient some hundred bytes.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A number in decimal digits.
pub fn number(value: u64) -> String {
    let mut digits = match value {
        0..10 => String::new(),
        _ => number(value / 10),
    };
    digits.push(char::from(b'0' + (value % 10) as u8));
    digits
}

/// The number that is written in decimal digits.
pub fn whole_number(text: &str) -> Option<u64> {
    let mut value: u64 = 0;
    for digit in text.bytes() {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    (!text.is_empty()).then_some(value)
}

/// Where `needle` stands in `text`. The standard library's search is made for long texts, and weighs 3 kB.
pub fn find(text: &str, needle: &str) -> Option<usize> {
    let mut windows = text.as_bytes().windows(needle.len().max(1));
    windows.position(|window| window == needle.as_bytes())
}

/// Does `text` hold `needle`? Also for single characters: the standard library's `contains` brings its search along.
pub fn contains(text: &str, needle: &str) -> bool {
    find(text, needle).is_some()
}

/// `text` before and behind the last `mark`, a sign of ASCII. The standard library's search for it reads letter by letter,
/// and weighs a kilobyte.
pub(crate) fn split_last(text: &str, mark: u8) -> Option<(&str, &str)> {
    let place = text.as_bytes().iter().rposition(|byte| *byte == mark)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// `text` without the slashes that it ends with.
pub(crate) fn without_last_slashes(text: &str) -> &str {
    let mut bare = text;
    while let Some(shorter) = bare.strip_suffix('/') {
        bare = shorter;
    }
    bare
}

/// `text` as the beginning of a sentence: its first letter is a capital then, if it is one of ASCII.
pub fn capitalized(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Texts with a comma between any two. The standard library's `join` copes with any separator, and weighs a kilobyte.
pub fn listed(texts: &[&str]) -> String {
    let mut list = String::new();
    for text in texts {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(text);
    }
    list
}

/// 32 octets in base64 with the URL-safe alphabet and without padding (RFC 4648 §5): 43 characters.
pub(crate) fn base64url(octets: &[u8; 32]) -> String {
    encode(&URL_SAFE_NO_PAD, octets)
}

/// 32 octets in base64 with the standard alphabet and without padding (RFC 4648 §4): 43 characters.
pub(crate) fn base64(octets: &[u8; 32]) -> String {
    encode(&STANDARD_NO_PAD, octets)
}

/// Any octets in base64 with the standard alphabet and padding (RFC 4648 §4), as FHIR has it. The crate's own encoder is
/// made for speed: it is unrolled, and weighs a kilobyte.
pub(crate) fn base64_of(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut characters = Vec::with_capacity(octets.len().div_ceil(3) * 4);
    for three in octets.chunks(3) {
        let mut bits = 0;
        for place in 0..3 {
            bits = bits << 8 | three.get(place).map_or(0, |octet| usize::from(*octet));
        }
        for place in 0..4 {
            let character = ALPHABET.get(bits >> (18 - 6 * place) & 63);
            let character = character.filter(|_| place <= three.len());
            characters.push(character.map_or(b'=', |character| *character));
        }
    }
    String::from_utf8(characters).unwrap_or_default()
}

/// Into a buffer of the right length: base64's own `encode` brings 2 kB of error texts along for a case that can't be.
fn encode(engine: &impl Engine, octets: &[u8; 32]) -> String {
    let mut characters = [0; 43];
    // It fails only where the buffer is too short.
    let _ = engine.encode_slice(octets, &mut characters);
    characters.into_iter().map(char::from).collect()
}

/// The octets of a text in base64 with the URL-safe alphabet and without padding (RFC 7515 §2). `None` for any other text.
pub(crate) fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for four in text.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for character in four {
            let six = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        // One character alone holds no octet.
        let count = four.len().checked_sub(1).filter(|count| *count > 0)?;
        let bytes = (bits << (6 * (4 - four.len()))).to_be_bytes();
        octets.extend(bytes.iter().skip(1).take(count));
    }
    Some(octets)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3: right in a query as in a form body.
pub fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.extend(HEX.get(usize::from(digit)).map(|&d| char::from(d)));
            }
        }
    }
    out
}

/// Undoes percent-encoding. A `%` that no two digits follow stays as it is, and so does a text whose octets are no UTF-8.
pub fn percent_decode(text: &str) -> String {
    decode(text, b'+')
}

/// As [`percent_decode`], with `plus` in place of each `+`.
fn decode(text: &str, plus: u8) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let Some((&[high, low], after)) = rest.split_first_chunk::<2>()
            && let (Some(high), Some(low)) = (hex_digit(high), hex_digit(low))
        {
            octets.push(high << 4 | low);
            rest = after;
        } else {
            octets.push(if byte == b'+' { plus } else { byte });
        }
    }
    String::from_utf8(octets).unwrap_or_else(|_| text.to_owned())
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Pairs of names and values as a form body or the rest of a query.
pub fn form_encode(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&percent_encode(name));
        out.push('=');
        out.push_str(&percent_encode(value));
    }
    out
}

/// The pairs of a query, with or without its `?`, decoded as a form (`+` is a space).
pub fn form_decode(query: &str) -> Vec<(String, String)> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name, b' '), decode(value, b' ')));
    }
    pairs
}

/// The value of the parameter `name`, or the name itself where it is repeated.
///
/// RFC 6749 §3.1: a parameter must not appear more than once. There is no other way here to read one.
pub(crate) fn single(pairs: &[(String, String)], name: &str) -> Result<Option<String>, Repeated> {
    let mut values = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v);
    let first = values.next();
    match values.next() {
        Some(_) => Err(Repeated(name.to_owned())),
        None => Ok(first.cloned()),
    }
}

/// The name of a parameter that appeared more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repeated(pub(crate) String);

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn form_values_keep_plus_slash_and_equals_signs() {
        assert_eq!(
            form_encode(&[("code", "a+b/c=&x=1%20")]),
            "code=a%2Bb%2Fc%3D%26x%3D1%2520"
        );
    }

    #[test]
    fn texts_are_found_where_they_stand() {
        assert_eq!(find("application/fhir+json", "json"), Some(17));
        assert_eq!(find("json", "json"), Some(0));
        assert!(!contains("jso", "json"));
        assert!(!contains("", "json"));
    }

    #[test]
    fn a_text_is_split_at_the_last_mark() {
        assert_eq!(split_last("é/b/c", b'/'), Some(("é/b", "c")));
        assert_eq!(split_last("/", b'/'), Some(("", "")));
        assert_eq!(split_last("abc", b'/'), None);
    }

    #[test]
    fn only_slashes_at_the_end_go() {
        assert_eq!(without_last_slashes("/a/b//"), "/a/b");
        assert_eq!(without_last_slashes("//"), "");
        assert_eq!(without_last_slashes("a"), "a");
    }

    #[test]
    fn a_sentence_begins_with_a_capital() {
        assert_eq!(capitalized("your hospital"), "Your hospital");
        assert_eq!(capitalized("MyChart"), "MyChart");
        assert_eq!(capitalized("été"), "été");
        assert_eq!(capitalized(""), "");
    }

    #[test]
    fn base64_has_the_two_alphabets_of_rfc4648() {
        let octets = [0xfb; 32];
        assert_eq!(base64(&octets), ["+/v7".repeat(10), "+/s".into()].concat());
        assert_eq!(
            base64url(&octets),
            ["-_v7".repeat(10), "-_s".into()].concat()
        );
    }

    #[test]
    fn documents_are_encoded_as_rfc4648_has_it() {
        // RFC 4648 §10.
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64_of(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn the_parts_of_a_token_are_decoded_as_rfc7515_has_them() {
        // RFC 7515 appendix C.
        assert_eq!(
            base64url_decode("A-z_4ME"),
            Some(alloc::vec![3, 236, 255, 224, 193])
        );
        for text in ["A", "AAAAA", "A+z/", "AA==", "A A", "é"] {
            assert_eq!(base64url_decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_stray_percent_sign_stays_as_it_is() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%C3%A9"), "é");
        assert_eq!(percent_decode("%C3%A9%ff"), "%C3%A9%ff");
    }

    #[test]
    fn a_repeated_parameter_is_an_error() {
        let pairs = form_decode("?code=1&state=x&code=2");
        assert_eq!(single(&pairs, "code"), Err(Repeated("code".into())));
        assert_eq!(single(&pairs, "state"), Ok(Some("x".into())));
        assert_eq!(single(&pairs, "iss"), Ok(None));
    }

    proptest! {
        #[test]
        fn documents_are_encoded_as_the_crate_does(octets: Vec<u8>) {
            let expected = STANDARD.encode(&octets);
            prop_assert_eq!(base64_of(&octets), expected);
        }

        #[test]
        fn what_the_crate_encodes_for_a_token_is_decoded(octets: Vec<u8>) {
            let encoded = URL_SAFE_NO_PAD.encode(&octets);
            prop_assert_eq!(base64url_decode(&encoded), Some(octets));
        }

        #[test]
        fn numbers_read_as_the_standard_library_writes_them(value: u64) {
            prop_assert_eq!(number(value), value.to_string());
            prop_assert_eq!(whole_number(&value.to_string()), Some(value));
        }

        #[test]
        fn what_is_no_number_for_the_standard_library_is_none_here(text in "[-+ 0-9a]{0,21}") {
            let text = text.trim_start_matches('+');
            prop_assert_eq!(whole_number(text), text.parse().ok());
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(name in "\\PC*", value in "\\PC*") {
            let pairs = form_decode(&form_encode(&[(&name, &value)]));
            prop_assert_eq!(pairs, alloc::vec![(name, value)]);
        }

        #[test]
        fn decoding_never_fails(text in "\\PC*") {
            percent_decode(&text);
            form_decode(&text);
        }
    }
}
