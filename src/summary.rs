//! What a run is told as while it goes on and when it has ended: lines of plain text, made of its counts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::{Deployment, Unit};
use crate::import::plan::RowTally;
use crate::import::progress::{Tally, frequent};
use crate::import::{Standing, Wait};
use crate::text::{capitalized, listed, number};

/// A run in words. A count is never shown without its failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `Labs: 12 records`, or `Labs: 2 new records, 10 already there` where JHE held some before.
    pub headline: String,
    /// `(2 records could not be saved)`, if any.
    pub not_saved: Option<String>,
    /// What came of each kind of records, where there are several.
    pub kinds: Vec<String>,
    /// Why records could not be saved, most frequent first, each with its count.
    pub reasons: Vec<String>,
    /// What else there is to know: changed, left out, listed twice, said by the hospital.
    pub notes: Vec<String>,
}

/// The name of several kinds together.
const ALL: &str = "Your records";
/// So many reasons and remarks of the hospital are shown.
const SHOWN: usize = 5;

impl Summary {
    /// The summary of a run; JHE has `new_rows` more than before, where that was asked.
    pub fn of(rows: &[RowTally], new_rows: Option<u32>, deployment: &Deployment) -> Self {
        let tally = &total(rows);
        let portal = deployment.portal;
        let not_saved = tally.not_saved();
        let (label, kinds) = match rows {
            [row] => (row.label.as_str(), Vec::new()),
            rows => (ALL, kinds(rows)),
        };
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
            headline: [label, ": ", &what].concat(),
            not_saved: (not_saved > 0)
                .then(|| ["(", &records(not_saved), " could not be saved)"].concat()),
            kinds,
            reasons: with_counts(&reasons(rows), SHOWN),
            notes: notes(tally, portal),
        }
    }
}

fn total(rows: &[RowTally]) -> Tally {
    Tally::sum(&mut rows.iter().map(|row| &row.tally))
}

/// A line for each kind of which something came, or that was not read wholly, and one for each of the reasons why nothing
/// came.
fn kinds(rows: &[RowTally]) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut nothing, mut not_granted) = (Vec::new(), Vec::new());
    for row in rows {
        let tally = &row.tally;
        let count = tally.stored + tally.already_there;
        let mut parts = alloc::vec![row.label.as_str(), ": "];
        let (counted, unsaved) = (some_records(count), count_text(tally.not_saved()));
        if count > 0 {
            parts.push(&counted);
        }
        if tally.not_saved() > 0 {
            parts.push(if count > 0 { ", " } else { "" });
            parts.extend([unsaved.as_str(), " could not be saved"]);
        }
        let is_begun = parts.len() > 2;
        match &row.standing {
            Standing::NotGranted => {
                not_granted.push(row.label.as_str());
                continue;
            }
            Standing::Failed(code) => {
                parts.push(if is_begun {
                    ", not all could be read ("
                } else {
                    "could not be read ("
                });
                parts.extend([code, ")"]);
            }
            Standing::Limited => parts.push(if is_begun {
                ", there are more"
            } else {
                "there are more"
            }),
            Standing::Open => parts.push(if is_begun {
                ", not read to the end"
            } else {
                "not read"
            }),
            Standing::Whole | Standing::Divided if is_begun => {}
            Standing::Whole | Standing::Divided => {
                nothing.push(row.label.as_str());
                continue;
            }
        }
        lines.push(parts.concat());
    }
    for (what, labels) in [("Nothing found: ", nothing), ("Not shared: ", not_granted)] {
        if !labels.is_empty() {
            lines.push([what, &listed(&labels)].concat());
        }
    }
    lines
}

/// Why records were not saved, with the kind of record where there are several.
fn reasons(rows: &[RowTally]) -> Vec<(String, u32)> {
    let mut reasons = Vec::new();
    for row in rows {
        for (reason, count) in &row.tally.reasons {
            let reason = match rows.len() {
                1 => reason.clone(),
                _ => [&row.label, ": ", reason].concat(),
            };
            reasons.push((reason, *count));
        }
    }
    reasons
}

fn notes(tally: &Tally, portal: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |count: u32, text: &[&str]| {
        if count > 0 {
            notes.push([some_records(count), text.concat()].concat());
        }
    };
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
    if tally.inlined > 0 {
        let copied = some(tally.inlined, " document");
        notes.push([&copied, " copied with the notes."].concat());
    }
    let mut kept = with_counts(&tally.documents, SHOWN);
    // After a reload their number is known only.
    if kept.is_empty() && tally.kept > 0 {
        kept.push(count_text(tally.kept));
    }
    for kept in kept {
        notes.push(["Documents that stay at ", portal, ": ", &kept].concat());
    }
    for (text, _) in tally.notices.iter().take(SHOWN) {
        notes.push([&capitalized(portal), " said: ", text].concat());
    }
    notes
}

/// All that is known of a run, as a text to keep or to hand to the study team. No token is in it; reasons may quote a
/// record.
pub fn report(rows: &[RowTally], errors: &[String], servers: [&str; 2]) -> String {
    let [jhe, ehr] = servers;
    let mut text = [
        "Records copied by jhe-connect\nFrom: ",
        ehr,
        "\nTo: ",
        jhe,
        "\n",
    ]
    .concat();
    for row in rows {
        text.push_str(&["\n", &row.label, "\n"].concat());
        push_counts(&mut text, &row.tally);
        let remark = match &row.standing {
            Standing::Failed(code) => ["Ended early: ", code].concat(),
            Standing::NotGranted => "Not read: the scope was not granted.".into(),
            Standing::Limited => "Not read to the end: more pages than the plan allows.".into(),
            Standing::Open => "Not read to the end.".into(),
            Standing::Whole | Standing::Divided => continue,
        };
        text.push_str(&[&remark, "\n"].concat());
    }
    for error in errors {
        text.push_str(&["\nEnded early: ", error, "\n"].concat());
    }
    text
}

fn push_counts(text: &mut String, tally: &Tally) {
    let mut line = |parts: &[&str]| {
        text.push_str(&parts.concat());
        text.push('\n');
    };
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
        ("Documents copied: ", tally.inlined),
        ("Documents only referred to: ", tally.kept),
    ] {
        // A kind of which there is nothing takes one line.
        if count > 0 || what == "Fetched: " {
            line(&[what, &count_text(count)]);
        }
    }
    for (heading, counts) in [
        ("Why records were not saved:", &tally.reasons),
        ("What was changed:", &tally.changes),
        ("Why documents were not copied:", &tally.documents),
        ("What the hospital said:", &tally.notices),
    ] {
        for (index, reason) in with_counts(counts, usize::MAX).iter().enumerate() {
            if index == 0 {
                line(&[heading]);
            }
            line(&["  ", reason]);
        }
    }
}

/// `Labs: 30 records found so far, 12 saved`. Of several kinds a line for all, and one for each of which something was found.
pub fn progress_lines(rows: &[RowTally]) -> Vec<String> {
    if let [row] = rows {
        return alloc::vec![progress_line(&row.label, &row.tally)];
    }
    let mut lines = alloc::vec![progress_line(ALL, &total(rows))];
    for row in rows {
        let found = row.tally.found.saturating_sub(row.tally.repeated);
        if found > 0 {
            lines.push([&row.label, ": ", &some_records(found)].concat());
        }
    }
    lines
}

fn progress_line(label: &str, tally: &Tally) -> String {
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

/// `1 record`, `2 records`.
fn some_records(count: u32) -> String {
    some(count, " record")
}

/// A count with its noun, which takes an `s`.
fn some(count: u32, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    [&count_text(count), noun, plural].concat()
}

/// Always in the plural, as JHE's own documentation words it: `(1 records could not be saved)`.
fn records(count: u32) -> String {
    [&count_text(count), " records"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::deployment::{MYCHART, PATIENT_ACCESS};

    fn row(label: &str, tally: Tally, standing: Standing) -> RowTally {
        RowTally {
            label: label.into(),
            tally,
            standing,
        }
    }

    fn labs(tally: &Tally) -> [RowTally; 1] {
        [row("Labs", tally.clone(), Standing::Whole)]
    }

    fn stored(count: u32) -> Tally {
        Tally {
            stored: count,
            found: count,
            ..Tally::default()
        }
    }

    #[test]
    fn a_clean_run_is_one_line() {
        let summary = Summary::of(&labs(&stored(30)), None, &MYCHART);
        assert_eq!(summary.headline, "Labs: 30 records");
        assert_eq!(summary.not_saved, None);
        assert!(summary.kinds.is_empty());
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
        let summary = Summary::of(&labs(&tally), None, &MYCHART);
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
        let summary = Summary::of(&labs(&tally), None, &MYCHART);
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
            progress_lines(&labs(&tally)),
            ["Labs: 14 records found so far, 10 saved, 1 already there, 4 could not be saved"]
        );
    }

    #[test]
    fn where_jhe_updates_records_the_new_ones_are_told_if_they_are_known() {
        let tally = Tally {
            adjusted: 1,
            ..stored(248)
        };
        let headline = |new_rows| Summary::of(&labs(&tally), new_rows, &PATIENT_ACCESS).headline;
        assert_eq!(headline(None), "Labs: 248 records saved or updated");
        assert_eq!(
            headline(Some(12)),
            "Labs: 248 records saved or updated, 12 of them new"
        );
        assert_eq!(
            Summary::of(&labs(&tally), None, &PATIENT_ACCESS).notes,
            ["1 record saved with a change by the study's server."]
        );
    }

    #[test]
    fn each_kind_says_what_came_of_it() {
        let refused = Tally {
            refused: 1,
            reasons: alloc::vec![("id".into(), 1)],
            ..stored(2)
        };
        let failed = || Standing::Failed("pull.forbidden".into());
        let rows = [
            row("Labs", refused, Standing::Whole),
            row("Goals", Tally::default(), Standing::Whole),
            row("Visits", Tally::default(), failed()),
            row("Orders", stored(3), failed()),
            row("Devices", Tally::default(), Standing::NotGranted),
            row("Allergies", Tally::default(), Standing::NotGranted),
            row("Vital signs", stored(9), Standing::Limited),
        ];
        let summary = Summary::of(&rows, Some(14), &PATIENT_ACCESS);
        assert_eq!(
            summary.headline,
            "Your records: 14 records saved or updated, 14 of them new"
        );
        assert_eq!(
            summary.kinds,
            [
                "Labs: 2 records, 1 could not be saved",
                "Visits: could not be read (pull.forbidden)",
                "Orders: 3 records, not all could be read (pull.forbidden)",
                "Vital signs: 9 records, there are more",
                "Nothing found: Goals",
                "Not shared: Devices, Allergies",
            ]
        );
        assert_eq!(summary.reasons, ["1 × Labs: id"]);
        assert_eq!(
            progress_lines(&rows),
            [
                "Your records: 14 records found so far, 14 saved, 1 could not be saved",
                "Labs: 2 records",
                "Orders: 3 records",
                "Vital signs: 9 records",
            ]
        );
    }

    #[test]
    fn documents_are_told_with_the_reasons_why_they_stay() {
        let tally = Tally {
            inlined: 2,
            kept: 3,
            documents: alloc::vec![("not found".into(), 2), ("too long to be copied".into(), 1)],
            ..stored(5)
        };
        assert_eq!(
            Summary::of(&labs(&tally), None, &MYCHART).notes,
            [
                "2 documents copied with the notes.",
                "Documents that stay at MyChart: 2 × not found",
                "Documents that stay at MyChart: 1 × too long to be copied",
            ]
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
        let rows = [
            row("Labs", tally, Standing::Whole),
            row("Goals", Tally::default(), Standing::NotGranted),
        ];
        let errors = ["pull.busy: page 2: HTTP 429".into()];
        let servers = ["https://jhe.example", "https://ehr.example/R4"];
        let report = report(&rows, &errors, servers);
        for line in [
            "From: https://ehr.example/R4\n",
            "\nLabs\nFetched: 11\n",
            "  stored: 1\n",
            "  left out, of another kind: 1\n",
            "  refused: 9\n",
            "  1 × reason 8\n",
            "\nGoals\nFetched: 0\nNot read: the scope was not granted.\n",
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
