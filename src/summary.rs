//! What a run is told as while it goes on and when it has ended: lines of plain text, made of its counts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::{Deployment, Unit};
use crate::import::Wait;
use crate::import::progress::{Tally, frequent};
use crate::text::{capitalized, number};

/// A run in words. A count is never shown without its failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `Labs: 12 records`, or `Labs: 2 new records, 10 already there` where JHE held some before.
    pub headline: String,
    /// `(2 records could not be saved)`, if any.
    pub not_saved: Option<String>,
    /// Why they could not, most frequent first, each with its count.
    pub reasons: Vec<String>,
    /// What else there is to know: changed, left out, listed twice, said by the hospital.
    pub notes: Vec<String>,
}

/// So many reasons and remarks of the hospital are shown.
const SHOWN: usize = 5;

impl Summary {
    /// The summary of a run; JHE has `new_rows` more than before, where that was asked.
    pub fn of(tally: &Tally, new_rows: Option<u32>, deployment: &Deployment) -> Self {
        let not_saved = tally.not_saved();
        let mut notes = Vec::new();
        let mut note = |count: u32, text: &[&str]| {
            if count > 0 {
                let noun = if count == 1 { " record" } else { " records" };
                notes.push([&count_text(count), noun, &text.concat()].concat());
            }
        };
        let portal = deployment.portal;
        note(
            tally.adjusted,
            &[" saved with a change by the study's server."],
        );
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
            notes.push([&capitalized(portal), " said: ", text].concat());
        }
        let stored = count_text(tally.stored);
        let what = match (deployment.writing.unit, new_rows, tally.already_there) {
            (Unit::Batch, None, _) => [&stored, " records saved or updated"].concat(),
            (Unit::Batch, Some(new), _) => [
                &stored,
                " records saved or updated, ",
                &count_text(new),
                " of them new",
            ]
            .concat(),
            (Unit::Record, _, 0) => records(tally.stored),
            (Unit::Record, _, there) => [
                &stored,
                " new records, ",
                &count_text(there),
                " already there",
            ]
            .concat(),
        };
        Summary {
            headline: ["Labs", ": ", &what].concat(),
            not_saved: (not_saved > 0)
                .then(|| ["(", &records(not_saved), " could not be saved)"].concat()),
            reasons: with_counts(&tally.reasons, SHOWN),
            notes,
        }
    }
}

/// All that is known of a run, as a text to keep or to hand to the study team. No token is in it; reasons may quote a
/// record.
pub fn report(
    tally: &Tally,
    errors: &[String],
    deployment: &Deployment,
    servers: [&str; 2],
) -> String {
    let [jhe, ehr] = servers;
    let mut text = String::new();
    let mut line = |parts: &[&str]| {
        text.push_str(&parts.concat());
        text.push('\n');
    };
    line(&["Records copied by jhe-connect: ", "Labs"]);
    line(&["From: ", ehr]);
    line(&["To: ", jhe]);
    line(&[]);
    for (what, count) in [
        ("Fetched: ", tally.fetched()),
        ("  stored: ", tally.stored),
        ("    with a change: ", tally.adjusted),
        ("  already there: ", tally.already_there),
        ("  listed more than once: ", tally.repeated),
        ("  left out, of another kind: ", tally.of_other_type),
        (
            "  left out, not about the patient: ",
            tally.of_other_subject,
        ),
        ("  left out, not readable: ", tally.malformed),
        ("  refused: ", tally.refused),
        ("  not known whether stored: ", tally.unsettled),
        ("  not sent: ", tally.unsent),
    ] {
        line(&[what, &count_text(count)]);
    }
    for (heading, counts) in [
        ("Why records were not saved:", &tally.reasons),
        ("What was changed:", &tally.changes),
        ("What the hospital said:", &tally.notices),
    ] {
        for (index, reason) in with_counts(counts, usize::MAX).iter().enumerate() {
            if index == 0 {
                line(&["\n", heading]);
            }
            line(&["  ", reason]);
        }
    }
    for error in errors {
        line(&["\nEnded early: ", error]);
    }
    text
}

/// `Labs: 30 records found so far, 12 saved`
pub fn progress_line(tally: &Tally, label: &str) -> String {
    let found = records(tally.found.saturating_sub(tally.repeated));
    let mut line = [label, ": ", &found, " found so far"].concat();
    for (count, what) in [
        (Some(tally.stored), " saved"),
        (
            Some(tally.already_there).filter(|count| *count > 0),
            " already there",
        ),
        (
            Some(tally.not_saved()).filter(|count| *count > 0),
            " could not be saved",
        ),
    ] {
        if let Some(count) = count {
            line.push_str(", ");
            line.push_str(&count_text(count));
            line.push_str(what);
        }
    }
    line
}

/// `MyChart does not answer right now. Trying again in 20 s.`
pub fn waiting_line(wait: Wait, now: u64, portal: &str) -> String {
    let (until, who, what) = match wait {
        Wait::Ehr(until) => (
            until,
            portal,
            " does not answer right now. Trying again in ",
        ),
        Wait::Jhe(until) => (
            until,
            "The study's server",
            " is not ready right now. Trying again in ",
        ),
        Wait::Quiet(until) => (
            until,
            "",
            "Making sure that nothing is lost or sent twice. Going on in ",
        ),
    };
    let seconds = number(until.saturating_sub(now).div_ceil(1000));
    [&capitalized(who), what, &seconds, " s."].concat()
}

fn with_counts(counts: &[(String, u32)], limit: usize) -> Vec<String> {
    let frequent = frequent(counts, limit).into_iter();
    frequent
        .map(|(text, count)| [&count_text(count), " × ", text].concat())
        .collect()
}

fn count_text(count: u32) -> String {
    number(u64::from(count))
}

/// Always in the plural, as JHE's own documentation words it: `(1 records could not be saved)`.
fn records(count: u32) -> String {
    [&count_text(count), " records"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::deployment::{MYCHART, PATIENT_ACCESS};

    #[test]
    fn a_clean_run_is_one_line() {
        let tally = Tally {
            stored: 30,
            found: 30,
            ..Tally::default()
        };
        let summary = Summary::of(&tally, None, &MYCHART);
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
        let summary = Summary::of(&tally, None, &MYCHART);
        assert_eq!(summary.headline, "Labs: 12 new records, 236 already there");
        assert!(summary.notes.is_empty());
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
        let summary = Summary::of(&tally, None, &MYCHART);
        assert_eq!(
            summary.not_saved.as_deref(),
            Some("(4 records could not be saved)")
        );
        assert_eq!(summary.reasons, ["2 × bad", "1 × lost"]);
        assert_eq!(
            summary.notes,
            [
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

    #[test]
    fn where_jhe_updates_records_the_new_ones_are_told_if_they_are_known() {
        let tally = Tally {
            stored: 248,
            adjusted: 1,
            found: 248,
            ..Tally::default()
        };
        let headline = |new_rows| Summary::of(&tally, new_rows, &PATIENT_ACCESS).headline;
        assert_eq!(headline(None), "Labs: 248 records saved or updated");
        assert_eq!(
            headline(Some(12)),
            "Labs: 248 records saved or updated, 12 of them new"
        );
        assert_eq!(
            Summary::of(&tally, None, &PATIENT_ACCESS).notes,
            ["1 record saved with a change by the study's server."]
        );
    }

    #[test]
    fn the_report_accounts_for_every_record_and_names_every_reason() {
        let reasons = (0..9).map(|number| (alloc::format!("reason {number}"), 1));
        let tally = Tally {
            found: 10,
            of_other_type: 1,
            refused: 9,
            stored: 1,
            reasons: reasons.collect(),
            ..Tally::default()
        };
        let errors = ["pull.busy: page 2: HTTP 429".into()];
        let servers = ["https://jhe.example", "https://ehr.example/R4"];
        let report = report(&tally, &errors, &MYCHART, servers);
        for line in [
            "From: https://ehr.example/R4\n",
            "Fetched: 11\n",
            "  stored: 1\n",
            "  left out, of another kind: 1\n",
            "  refused: 9\n",
            "  1 × reason 8\n",
            "Ended early: pull.busy: page 2: HTTP 429\n",
        ] {
            assert!(report.contains(line), "{line}{report}");
        }
    }

    #[test]
    fn a_wait_says_for_whom_and_for_how_long() {
        let line = |wait| waiting_line(wait, 1_000, "MyChart");
        assert_eq!(
            line(Wait::Ehr(20_500)),
            "MyChart does not answer right now. Trying again in 20 s."
        );
        assert_eq!(
            waiting_line(Wait::Ehr(20_500), 1_000, "your hospital"),
            "Your hospital does not answer right now. Trying again in 20 s."
        );
        assert_eq!(
            line(Wait::Jhe(3_000)),
            "The study's server is not ready right now. Trying again in 2 s."
        );
        assert_eq!(
            line(Wait::Quiet(36_000)),
            "Making sure that nothing is lost or sent twice. Going on in 35 s."
        );
    }
}
