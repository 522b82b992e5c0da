//! The sheet as plain text, to be sent to whoever helps. It has no secret: lines have none.

use alloc::format;
use alloc::string::String;

use crate::doctor::catalogue::Group;
use crate::doctor::clock::utc;
use crate::doctor::{Line, Surroundings, Verdict};

/// How many lines are right, wrong, and not to be checked from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Right.
    pub ok: usize,
    /// Wrong.
    pub wrong: usize,
    /// Can't be checked from here.
    pub unknown: usize,
}

impl Count {
    /// Counts.
    pub fn of(lines: &[Line]) -> Self {
        let mut count = Count::default();
        for line in lines {
            match line.verdict {
                Verdict::Ok => count.ok += 1,
                Verdict::Wrong(_) => count.wrong += 1,
                Verdict::Unknown(_) => count.unknown += 1,
            }
        }
        count
    }

    /// In one sentence.
    pub fn sentence(&self) -> String {
        let wrong = match self.wrong {
            0 => "Nothing was found to be wrong".into(),
            1 => "1 line is wrong".into(),
            several => format!("{several} lines are wrong"),
        };
        format!(
            "{wrong}; {} OK, {} can’t be checked from here.",
            self.ok, self.unknown
        )
    }
}

/// The whole sheet.
pub fn text(lines: &[Line], at: &Surroundings, browser: &str, now: u64) -> String {
    let mut text = format!(
        "jhe-connect doctor {}\n{} at {}\n{browser}\n{}\n",
        at.bundle.version,
        at.page.without_query(),
        utc(now),
        Count::of(lines).sentence(),
    );
    for group in Group::ALL {
        text.push_str(&format!("\n{}\n", group.title()));
        for line in lines.iter().filter(|line| line.check.group() == group) {
            let (verdict, check) = (line.verdict.name(), line.check);
            text.push_str(&format!(
                "[{verdict}] {} ({})\n",
                check.title(),
                check.name()
            ));
            text.push_str(&format!("    {}\n", line.found));
            if let Some(value) = &line.copy {
                text.push_str(&format!("    {value}\n"));
            }
            let advice = line.verdict.advice();
            if !advice.is_empty() {
                text.push_str(&format!("    -> {advice}\n"));
            }
        }
    }
    text
}

/// Some seconds, in the unit that fits.
pub(super) fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => ((seconds + 30) / 60, "minute"),
        _ => ((seconds + 1_800) / 3_600, "hour"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_unit_that_fits() {
        for (seconds, told) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (599, "10 minutes"),
            (7_300, "2 hours"),
        ] {
            assert_eq!(duration(seconds), told);
        }
    }
}
