//! What a chart tells of a record: when it was, and what was observed. Looked at while the record is looked at anyway.

use alloc::string::String;

use crate::json::{Json, Walk};
use crate::text::number;

/// A date of FHIR without its time, as precise as it is: `2024`, `2024-03` or `2024-03-05`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u32);

impl Day {
    /// Reads the beginning of a date. The local date of the hospital counts, whatever the time zone.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |from: usize, to: usize| {
            bytes.get(from..to)?.iter().try_fold(0, |sum, byte| {
                let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
                digit.map(|digit| sum * 10 + digit)
            })
        };
        let year = digits(0, 4).filter(|_| matches!(bytes.get(4), None | Some(b'-')))?;
        let month = digits(5, 7).unwrap_or(0);
        let is_dash = bytes.get(7) == Some(&b'-');
        let day = digits(8, 10).filter(|_| is_dash && month > 0).unwrap_or(0);
        Day::from_number(year * 10_000 + month * 100 + day)
    }

    /// The day of the number `YYYYMMDD`, with zeros for what is not known.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
        let is_date = matches!(year, 1..=9999) && month <= 12 && day <= 31;
        (is_date && (month > 0 || day == 0)).then_some(Day(number))
    }

    /// The number `YYYYMMDD`, with zeros for what is not known.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The year.
    pub fn year(self) -> u32 {
        self.0 / 10_000
    }

    /// As FHIR writes it.
    pub fn text(self) -> String {
        let digits = number(u64::from(100_000_000 + self.0));
        let mut text = String::new();
        for (index, digit) in digits.chars().skip(1).enumerate() {
            if matches!(index, 4 | 6) {
                // Nothing but zeros follows.
                if self.0.is_multiple_of(if index == 4 { 10_000 } else { 100 }) {
                    break;
                }
                text.push('-');
            }
            text.push(digit);
        }
        text
    }
}

/// What a chart tells of one record.
#[derive(Default)]
pub struct Mark {
    /// When it was.
    pub day: Option<Day>,
    /// What was observed.
    pub name: Option<String>,
}

/// Shows nothing: it is a person's health data.
impl core::fmt::Debug for Mark {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Mark(..)")
    }
}

/// The place of a member among those that say when something was, the most telling first; of whatever type it is. When it
/// happened comes before when it was written down.
pub(crate) fn rank(member: &str) -> Option<u8> {
    Some(match member {
        "effectiveDateTime" | "performedDateTime" | "occurrenceDateTime" | "onsetDateTime" => 0,
        "effectivePeriod" | "performedPeriod" | "occurrencePeriod" | "onsetPeriod" => 1,
        "effectiveInstant" | "whenHandedOver" | "startDate" => 2,
        "whenPrepared" | "period" | "date" => 3,
        "authoredOn" | "authored" | "recordedDate" | "issued" => 4,
        _ => return None,
    })
}

/// The day that a member says, or with which its period begins.
pub(crate) fn day(value: Json<'_>) -> Option<Day> {
    let value = match value.is_object() {
        true => value.get("start")?,
        false => value,
    };
    Day::read(value.unquoted())
}

/// Names are cut at so many octets.
const NAME: usize = 120;

/// What an observation's code is called: by its text, else by the first of its codings.
pub(crate) fn name(code: Json<'_>) -> Option<String> {
    let (mut said, mut codings) = (None, None);
    let mut walk = Walk::over(code.text());
    walk.enter(b'{');
    while let Some(member) = walk.member() {
        let value = walk.value();
        match member {
            "text" => said = value.string(),
            "coding" => codings = Some(value),
            _ => {}
        }
    }
    said.and_then(shortened).or_else(|| {
        let coding = codings?.elements().next()?;
        let said = |member: &str| coding.get_string(member).and_then(shortened);
        said("display").or_else(|| said("code"))
    })
}

fn shortened(name: String) -> Option<String> {
    let kept = name.trim();
    let mut end = kept.len().min(NAME);
    while !kept.is_char_boundary(end) {
        end -= 1;
    }
    match kept.get(..end)? {
        "" => None,
        all if all.len() == name.len() => Some(name),
        cut => Some(cut.into()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_as_precise_as_it_is_written() {
        for (written, read) in [
            ("2024", Some("2024")),
            ("2024-03", Some("2024-03")),
            ("2024-03-05", Some("2024-03-05")),
            ("2024-03-05T23:59:00-08:00", Some("2024-03-05")),
            ("0999-01-01", Some("0999-01-01")),
            ("2024-13-05", None),
            ("2024-03-32", None),
            ("24-03-05", None),
            ("0000", None),
            ("5 March", None),
            ("2024T", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(
                Day::read(written).map(Day::text).as_deref(),
                read,
                "{written}"
            );
        }
    }

    #[test]
    fn an_observation_is_called_by_its_text_or_by_its_first_coding() {
        let named = |code: &str| name(Json::parse(code.as_bytes()).unwrap());
        for (code, expected) in [
            (
                r#"{"text":" Glucose ","coding":[{"display":"x"}]}"#,
                Some("Glucose"),
            ),
            (
                r#"{"text":" ","coding":[{"display":"Gl\u00fccose"},{"display":"y"}]}"#,
                Some("Glücose"),
            ),
            (r#"{"coding":[{"code":"2345-7"}]}"#, Some("2345-7")),
            (r#"{"coding":[{}]}"#, None),
            (r#"{"text":7}"#, None),
            ("7", None),
        ] {
            assert_eq!(named(code).as_deref(), expected, "{code}");
        }
        let long = format!(r#"{{"text":"x{}"}}"#, "é".repeat(1_000));
        assert_eq!(named(&long).unwrap().len(), 119);
    }

    proptest! {
        #[test]
        fn any_text_is_a_day_or_none(text in "[0-9T:é-]{0,12}") {
            if let Some(day) = Day::read(&text) {
                prop_assert!(text.starts_with(&day.text()));
                prop_assert_eq!(Day::from_number(day.number()), Some(day));
                prop_assert_eq!(Day::read(&day.text()), Some(day));
            }
        }
    }
}
