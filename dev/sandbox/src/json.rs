//! JSON composed as text, so that a decimal keeps the digits it was written with (`7.10`).
//!
//! FHIR: "the precision of the decimal value has significance" (R4 datatypes, decimal). A
//! `serde_json::Value` would turn `7.10` into `7.1`.

/// An object of already written values, in the given order.
pub(crate) fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", text(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// An array of already written values.
pub(crate) fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// A string.
pub(crate) fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_digits_and_a_string_is_escaped() {
        let written = object(&[
            ("value", "7.10".into()),
            ("notes", array(&[text("a \"quoted\" µ")])),
        ]);
        assert_eq!(written, r#"{"value":7.10,"notes":["a \"quoted\" µ"]}"#);
    }
}
