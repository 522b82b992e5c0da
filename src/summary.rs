//! What a finished run is told as: lines of plain text, made of its counts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::import::progress::Tally;
use crate::text::number;

/// A run in words. A count is never shown without its failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `Labs: 12 records`, or `Labs: 2 new records` where JHE held some before.
    pub headline: String,
    /// `(2 records could not be saved)`, if any.
    pub not_saved: Option<String>,
    /// Why they could not, most frequent first, each with its count.
    pub reasons: Vec<String>,
    /// What else there is to know: left out, listed twice, said by the hospital.
    pub notes: Vec<String>,
}

/// So many reasons and remarks of the hospital are shown.
const SHOWN: usize = 5;

impl Summary {
    /// The summary of a run; `label` names what was pulled, `portal` the hospital's portal.
    pub fn of(tally: &Tally, label: &str, portal: &str) -> Self {
        let not_saved = tally.not_saved();
        let mut notes = Vec::new();
        let mut note = |count: u32, text: &[&str]| {
            if count > 0 {
                let noun = if count == 1 { " record" } else { " records" };
                notes.push([&number(u64::from(count)), noun, &text.concat()].concat());
            }
        };
        note(tally.already_there, &[" already there, not sent again."]);
        note(
            tally.unsettled,
            &[" may have arrived all the same: the answer was lost."],
        );
        note(tally.unsent, &[" not sent any more."]);
        note(
            tally.repeated,
            &[" listed twice by ", portal, " and sent once."],
        );
        note(tally.of_other_subject, &[" left out: not about you."]);
        note(
            tally.of_other_type + tally.malformed,
            &[" left out: of another kind."],
        );
        for (text, _) in tally.notices.iter().take(SHOWN) {
            notes.push([portal, " said: ", text].concat());
        }
        Summary {
            headline: match tally.already_there {
                0 => [label, ": ", &records(tally.stored)].concat(),
                _ => [
                    label,
                    ": ",
                    &number(u64::from(tally.stored)),
                    " new records",
                ]
                .concat(),
            },
            not_saved: (not_saved > 0)
                .then(|| ["(", &records(not_saved), " could not be saved)"].concat()),
            reasons: tally
                .frequent_reasons(SHOWN)
                .into_iter()
                .map(|(reason, count)| [&number(u64::from(count)), " × ", reason].concat())
                .collect(),
            notes,
        }
    }
}

/// `Labs: 30 records found so far, 12 saved`
pub fn progress_line(tally: &Tally, label: &str) -> String {
    let stored = number(u64::from(tally.stored));
    let found = records(tally.found.saturating_sub(tally.repeated));
    let mut line = [label, ": ", &found, " found so far, ", &stored, " saved"].concat();
    if tally.already_there > 0 {
        line.push_str(", ");
        line.push_str(&number(u64::from(tally.already_there)));
        line.push_str(" already there");
    }
    if tally.not_saved() > 0 {
        line.push_str(", ");
        line.push_str(&number(u64::from(tally.not_saved())));
        line.push_str(" could not be saved");
    }
    line
}

/// `MyChart does not answer right now. Trying again in 20 s.`
pub fn waiting_line(wait_ms: u64, portal: &str) -> String {
    let seconds = number(wait_ms.div_ceil(1000));
    [
        portal,
        " does not answer right now. Trying again in ",
        &seconds,
        " s.",
    ]
    .concat()
}

/// Always in the plural, as JHE's own documentation words it: `(1 records could not be saved)`.
fn records(count: u32) -> String {
    [&number(u64::from(count)), " records"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_run_is_one_line() {
        let tally = Tally {
            stored: 30,
            found: 30,
            ..Tally::default()
        };
        let summary = Summary::of(&tally, "Labs", "MyChart");
        assert_eq!(summary.headline, "Labs: 30 records");
        assert_eq!(summary.not_saved, None);
        assert!(summary.reasons.is_empty() && summary.notes.is_empty());
    }

    #[test]
    fn a_later_run_tells_new_records_from_those_that_were_there() {
        let tally = Tally {
            stored: 12,
            already_there: 236,
            found: 248,
            ..Tally::default()
        };
        let summary = Summary::of(&tally, "Labs", "MyChart");
        assert_eq!(summary.headline, "Labs: 12 new records");
        assert_eq!(
            summary.notes,
            ["236 records already there, not sent again."]
        );
    }

    #[test]
    fn what_was_not_saved_is_told_with_reasons() {
        let tally = Tally {
            stored: 10,
            found: 14,
            already_there: 1,
            refused: 2,
            unsettled: 1,
            unsent: 1,
            reasons: alloc::vec![("bad".into(), 2), ("lost".into(), 1)],
            notices: alloc::vec![("may not contain entire record".into(), 1)],
            ..Tally::default()
        };
        let summary = Summary::of(&tally, "Labs", "MyChart");
        assert_eq!(
            summary.not_saved.as_deref(),
            Some("(4 records could not be saved)")
        );
        assert_eq!(summary.reasons, ["2 × bad", "1 × lost"]);
        assert_eq!(
            summary.notes,
            [
                "1 record already there, not sent again.",
                "1 record may have arrived all the same: the answer was lost.",
                "1 record not sent any more.",
                "MyChart said: may not contain entire record"
            ]
        );
        assert_eq!(
            progress_line(&tally, "Labs"),
            "Labs: 14 records found so far, 10 saved, 1 already there, 4 could not be saved"
        );
    }
}
