//! What a record says, as a number: equal for the record of the EHR and for the row that JHE made of it.
//!
//! JHE gives a row an id of its own, adds extensions, orders members anew, writes numbers as floats (`7.10` comes back
//! as `7.1`) and spells some names in another way. None of that counts here.

use crate::json::Json;
use crate::texts::{digest, joined};

/// Extensions that JHE adds begin so.
const JHE: &str = "https://jupyterhealth.org/";
/// Nesting beyond this is compared as it is written.
const DEPTH: u32 = 64;
/// A float keeps as many digits of a number as are below this.
const DIGITS: u64 = 1_000_000_000_000_000;

/// The fingerprint of a record; an identifier of `system`, which the import may have added, does not count.
pub(crate) fn fingerprint(record: Json<'_>, system: &str) -> u128 {
    let mut sum = 0_u128;
    for member in record.members() {
        let is_added = |element: &Json<'_>| match member.name {
            "extension" => element
                .get_string("url")
                .is_some_and(|url| url.starts_with(JHE)),
            _ => element.get_string("system").as_deref() == Some(system),
        };
        let value = match member.name {
            "id" | "resourceType" => continue,
            "extension" | "identifier" => {
                let kept = member.value.elements().filter(|it| !is_added(it));
                match kept.fold(LIST, |digest, element| joined(digest, of(element, DEPTH))) {
                    // A list of nothing else is no list.
                    LIST => continue,
                    digest => digest,
                }
            }
            _ => of(member.value, DEPTH),
        };
        sum = sum.wrapping_add(joined(of_name(member.name), value));
    }
    sum
}

const OBJECT: u128 = 1;
const LIST: u128 = 2;

fn of(value: Json<'_>, depth: u32) -> u128 {
    let text = value.text();
    match text.as_bytes().first() {
        // Added up, so that the order does not count.
        Some(b'{') if depth > 0 => value.members().fold(OBJECT, |sum, member| {
            sum.wrapping_add(joined(of_name(member.name), of(member.value, depth - 1)))
        }),
        Some(b'[') if depth > 0 => value.elements().fold(LIST, |digest, element| {
            joined(digest, of(element, depth - 1))
        }),
        Some(b'"') => digest(value.string().unwrap_or_default().bytes()),
        Some(b'-' | b'0'..=b'9') => of_number(text),
        _ => digest(text.bytes()),
    }
}

/// JHE spells `_effectiveDateTime` as `EffectiveDateTime`, and `carrierHRF` as `carrierHrf`.
fn of_name(name: &str) -> u128 {
    let letters = name.bytes().filter(|letter| *letter != b'_');
    digest(letters.map(|letter| letter.to_ascii_lowercase()))
}

/// A number by its value: `-7.10`, `-71e-1` and `-7.1` are the same.
fn of_number(text: &str) -> u128 {
    let (mut digits, mut place) = (0_u64, 0_i64);
    let (mut exponent, mut sign) = (0_i64, 1);
    let (mut is_behind_point, mut is_exponent) = (false, false);
    for byte in text.bytes() {
        match byte {
            b'e' | b'E' => is_exponent = true,
            b'-' if is_exponent => sign = -1,
            b'.' => is_behind_point = true,
            b'0'..=b'9' if is_exponent => {
                exponent = exponent
                    .saturating_mul(10)
                    .saturating_add(i64::from(byte - b'0'));
            }
            b'0'..=b'9' => {
                let counts = digits < DIGITS / 10;
                if counts {
                    digits = digits * 10 + u64::from(byte - b'0');
                }
                place += i64::from(!counts) - i64::from(is_behind_point);
            }
            _ => {}
        }
    }
    while digits > 0 && digits % 10 == 0 {
        digits /= 10;
        place += 1;
    }
    if digits == 0 {
        return 0;
    }
    let is_negative = text.starts_with('-');
    let place = place.saturating_add(exponent.saturating_mul(sign));
    joined(
        u128::from(digits) << 1 | u128::from(is_negative),
        place as u128,
    )
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
            ["1e99999999999999999999", "1e9999999999999999999999"],
        ] {
            assert_eq!(of_number(equal[0]), of_number(equal[1]), "{equal:?}");
            assert_ne!(of_number(equal[0]), of_number("7"));
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
