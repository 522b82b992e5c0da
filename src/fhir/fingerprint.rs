//! What a record says, as a number: equal for the record of the EHR and for the row that JHE made of it.
//!
//! JHE gives a row an id of its own, adds extensions, orders members anew, writes numbers as floats (`7.10` comes back
//! as `7.1`) and spells some names in another way. None of that counts here.

use alloc::string::String;

use crate::json::Json;
use crate::text::{find, number};
use crate::texts::digest;

/// Extensions that JHE adds begin so.
const JHE: &str = "https://jupyterhealth.org/";
/// Nesting beyond this is compared as it is written.
const DEPTH: u32 = 64;
/// A float keeps this many digits of a number.
const DIGITS: usize = 15;

/// The fingerprint of a record; an identifier of `system`, which the import may have added, does not count.
pub(crate) fn fingerprint(record: Json<'_>, system: &str) -> u128 {
    let mut sum = 0_u128;
    for member in record.members() {
        let counts = |element: &Json<'_>| match member.name {
            "extension" => !element
                .get_string("url")
                .is_some_and(|url| url.starts_with(JHE)),
            "identifier" => element.get_string("system").as_deref() != Some(system),
            _ => true,
        };
        let value = match member.name {
            "id" | "resourceType" => continue,
            "extension" | "identifier" => {
                let mut elements = member.value.elements().filter(counts).peekable();
                if elements.peek().is_none() {
                    continue;
                }
                elements.fold(0, |digest, element| joined(digest, of(element, DEPTH)))
            }
            _ => of(member.value, DEPTH),
        };
        sum = sum.wrapping_add(joined(of_name(member.name), value));
    }
    sum
}

fn of(value: Json<'_>, depth: u32) -> u128 {
    let text = value.text();
    let Some(depth) = depth.checked_sub(1) else {
        return digest(text.as_bytes());
    };
    match text.as_bytes().first() {
        // Added up, so that the order does not count.
        Some(b'{') => value.members().fold(1, |sum: u128, member| {
            sum.wrapping_add(joined(of_name(member.name), of(member.value, depth)))
        }),
        Some(b'[') => value
            .elements()
            .fold(2, |digest, element| joined(digest, of(element, depth))),
        Some(b'"') => digest(value.string().unwrap_or_default().as_bytes()),
        Some(b'-' | b'0'..=b'9') => digest(normalised(text).as_bytes()),
        _ => digest(text.as_bytes()),
    }
}

/// JHE spells `_effectiveDateTime` as `EffectiveDateTime`, and `carrierHRF` as `carrierHrf`.
fn of_name(name: &str) -> u128 {
    let letters = name.bytes().filter(|letter| *letter != b'_');
    let lower: alloc::vec::Vec<u8> = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    digest(&lower)
}

fn joined(first: u128, second: u128) -> u128 {
    let mut octets = [0; 32];
    let (left, right) = octets.split_at_mut(16);
    left.copy_from_slice(&first.to_le_bytes());
    right.copy_from_slice(&second.to_le_bytes());
    digest(&octets)
}

/// A number without what its notation adds: `-7.10`, `-71e-1` and `-7.1` are the same text.
fn normalised(text: &str) -> String {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
    let exponent = exponent.trim_start_matches(['e', 'E', '+']);
    let point = find(mantissa, ".").unwrap_or(mantissa.len());
    let digits: String = mantissa.split('.').collect();
    // The place of the point behind the first digit that counts.
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_start_matches('0');
    let significant = significant.get(..DIGITS).unwrap_or(significant);
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return "0".into();
    }
    let place = exponent.parse().unwrap_or(0_i64) + point as i64 - leading as i64;
    let place_sign = if place < 0 { "e-" } else { "e" };
    [sign, significant, place_sign, &number(place.unsigned_abs())].concat()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SYSTEM: &str = "https://ehr.example/R4";

    fn print(text: &str) -> u128 {
        fingerprint(Json::parse(text.as_bytes()).unwrap(), SYSTEM)
    }

    #[test]
    fn a_row_of_jhe_has_the_fingerprint_of_the_record_that_it_was_made_of() {
        let record = r#"{"resourceType":"Observation","id":"e1","status":"final","valueQuantity":{"value":7.10,
            "unit":"\u00b5g"},"_effectiveDateTime":{"id":"x"},"identifier":[{"value":"o1"}],"x":[1,2.50,{}]}"#;
        let row = r#"{"id":"5d6c-uuid","status":"final","x":[1,2.5,{}],"EffectiveDateTime":{"id":"x"},
            "identifier":[{"value":"o1"},{"system":"https://ehr.example/R4","value":"e1"}],
            "extension":[{"url":"https://jupyterhealth.org/fhir/StructureDefinition/patient-id","valueInteger":4}],
            "valueQuantity":{"unit":"µg","value":7.1},"resourceType":"Observation"}"#;
        assert_eq!(print(record), print(row));
    }

    #[test]
    fn records_that_say_different_things_have_different_fingerprints() {
        let records = [
            r#"{"a":1}"#,
            r#"{"a":-1}"#,
            r#"{"a":10}"#,
            r#"{"a":0.1}"#,
            r#"{"a":"1"}"#,
            r#"{"b":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":{}}"#,
            r#"{"a":[]}"#,
            r#"{"a":null}"#,
            r#"{"a":{"b":1,"c":2}}"#,
            r#"{"a":{"b":2,"c":1}}"#,
            r#"{"extension":[{"url":"https://other.example/x"}]}"#,
            r#"{"identifier":[{"value":"o1"}]}"#,
            r#"{"identifier":[{"value":"o2"}]}"#,
        ];
        for (index, first) in records.iter().enumerate() {
            for second in records.iter().skip(index + 1) {
                assert_ne!(print(first), print(second), "{first} {second}");
            }
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for equal in [
            ["7.10", "7.1"],
            ["100", "1e2"],
            ["0.001", "1.0E-3"],
            ["-0.0", "0"],
            ["120", "120.0"],
            ["0.1000000000000000055", "0.1"],
        ] {
            assert_eq!(normalised(equal[0]), normalised(equal[1]), "{equal:?}");
        }
    }

    #[test]
    fn deep_nesting_is_no_obstacle() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_ne!(print(&deep), print("{}"));
    }

    proptest! {
        #[test]
        fn what_floats_do_to_a_number_does_not_count(value in -1e12..1e12_f64, zeros in 0..4_usize) {
            let value = (value * 1e3).round() / 1e3;
            let record = format!(r#"{{"v":{value:.3}{}}}"#, "0".repeat(zeros));
            let row: Value = json!({"v": value});
            prop_assert_eq!(print(&record), print(&row.to_string()));
        }
    }
}
