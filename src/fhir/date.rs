//! FHIR's `date`, [R4 data types](https://hl7.org/fhir/R4/datatypes.html#date): a year, a month or a day, at whatever
//! precision is known.

use alloc::string::String;
use core::fmt;

/// A date as it was written: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
///
/// `Debug` does not show it: here it is somebody's birth date.
#[derive(Clone, PartialEq, Eq)]
pub struct Date(String);

impl Date {
    /// Reads a date; `None` for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let is_right = is_between(parts.next(), 4, 1, 9999)
            && parts
                .next()
                .is_none_or(|month| is_between(Some(month), 2, 1, 12))
            && parts
                .next()
                .is_none_or(|day| is_between(Some(day), 2, 1, 31))
            && parts.next().is_none();
        is_right.then(|| Date(text.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Can it be the same day as the other, as far as both go? `1980` can be `1980-02-01`.
    pub fn may_be(&self, other: &Date) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Date(..)")
    }
}

/// Is it a number of so many digits within these bounds?
fn is_between(part: Option<&str>, digits: usize, least: u64, most: u64) -> bool {
    let part = part.unwrap_or_default();
    let number = crate::text::whole_number(part);
    part.len() == digits && number.is_some_and(|number| (least..=most).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn the_three_precisions_are_kept_as_they_are_written() {
        for text in ["1980", "1980-02", "1980-02-29"] {
            assert_eq!(date(text).as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            "80",
            "0000",
            "1980-2",
            "1980-13",
            "1980-00",
            "1980-02-00",
            "1980-02-32",
            "1980-02-29T00:00:00Z",
            "1980-02-29-01",
            "1980--01",
            "29.02.1980",
            "unknown",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_compared_on_what_both_say() {
        assert!(date("1980").may_be(&date("1980-02-01")));
        assert!(date("1980-02-01").may_be(&date("1980-02")));
        assert!(!date("1980-02-01").may_be(&date("1980-02-11")));
        assert!(!date("1980-02").may_be(&date("1981")));
    }

    #[test]
    fn debug_does_not_show_a_birth_date() {
        assert_eq!(alloc::format!("{:?}", date("1980-02-01")), "Date(..)");
    }
}
