//! The date of an answer (RFC 9110 §5.6.7), and that of a report.

use alloc::format;
use alloc::string::String;

/// The milliseconds since the Unix epoch of an IMF-fixdate, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date_ms(field: &str) -> Option<u64> {
    let (_, rest) = field.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':');
    if parts.next() != Some("GMT") {
        return None;
    }
    let mut next = || clock.next()?.parse::<u64>().ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    let days = days_since_epoch(year, month, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Of the Gregorian calendar: years begin in March, so that a leap day is a year's last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

/// A time as in `1994-11-06 08:49:37 UTC`.
pub(super) fn utc(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The other way round than above.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let place = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * place + 2) / 5 + 1;
    let month = if place < 10 { place + 3 } else { place - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_its_date() {
        assert_eq!(utc(784_111_777_999), "1994-11-06 08:49:37 UTC");
        assert_eq!(utc(1_709_251_199_000), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn the_date_of_rfc_9110_is_read() {
        assert_eq!(
            http_date_ms("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000)
        );
        assert_eq!(http_date_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date_ms("Thu, 29 Feb 2024 23:59:59 GMT"),
            Some(1_709_251_199_000)
        );
        for other in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "now",
        ] {
            assert_eq!(http_date_ms(other), None);
        }
    }
}
