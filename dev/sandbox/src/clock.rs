//! Points in time as both servers see them: the machine's clock plus the offset that a test has set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The machine's clock, moved by `offset_seconds`.
    pub fn now(offset_seconds: i64) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
            .plus_seconds(offset_seconds)
    }

    /// Midnight (UTC) of a day of the Gregorian calendar.
    pub(crate) fn of_day(year: i64, month: i64, day: i64) -> Self {
        // Days from civil, with March as the first month so that a leap day ends the year.
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self((era * 146_097 + day_of_era - 719_468) * DAY * MICROS)
    }

    /// This time, `seconds` later (earlier, if negative).
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(MICROS)))
    }

    /// Whole seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// As Django writes it: `2026-11-21T23:38:41.811441Z`.
    pub fn with_micros(self) -> String {
        format!("{}.{:06}Z", self.date_time(), self.0.rem_euclid(MICROS))
    }

    /// As HTTP writes it: `Fri, 02 Jun 2023 14:00:00 GMT`.
    pub(crate) fn with_http_date(self) -> String {
        let micros = u64::try_from(self.0).unwrap_or_default();
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_micros(micros))
    }

    /// As Epic writes it: `2023-06-02T14:00:00Z`.
    pub fn with_seconds(self) -> String {
        format!("{}Z", self.date_time())
    }

    fn date_time(self) -> String {
        let seconds = self.unix_seconds();
        let days = seconds.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let of_day = seconds.rem_euclid(DAY);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            of_day / 3_600,
            of_day / 60 % 60,
            of_day % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day_is_written_as_such() {
        assert_eq!(
            Timestamp(1_709_210_096_000_007).with_micros(),
            "2024-02-29T12:34:56.000007Z"
        );
    }

    #[test]
    fn a_day_read_and_written_is_the_same_day() {
        for (year, month, day) in [(1970, 1, 1), (2000, 2, 29), (2019, 3, 1), (2026, 12, 31)] {
            assert_eq!(
                Timestamp::of_day(year, month, day).with_seconds(),
                format!("{year}-{month:02}-{day:02}T00:00:00Z")
            );
        }
    }
}
