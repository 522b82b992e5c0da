//! What an import brought, as it is told when it has ended: each kind of records, what could not be shared and why, and
//! the files that the patient may keep.
//!
//! The page that copied writes an [`Account`] down; what tells of it is loaded then, and reads it. A count is never shown
//! without its failures. What servers said stands in the report for the study team only, word for word: the patient reads
//! what it means.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::Unit;
use crate::import::Standing;
use crate::import::findings::{Findings, NameFindings, RowFindings};
use crate::import::plan::RowTally;
use crate::import::progress::{Tally, frequent};
use crate::json::{Json, quoted};
use crate::language::{Message, Text, Value, label};
use crate::text::{contains, number};

pub mod chart;

/// All that is to be told of a run that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What came of each row of the plan.
    pub rows: Vec<RowTally>,
    /// How many rows JHE has more than before, where it updates records and was asked.
    pub new_rows: Option<u32>,
    /// How this JHE is written to: one that takes batches updates what it holds.
    pub unit: Unit,
    /// What was found, for the chart. Not of a run that is told again: that is kept nowhere.
    pub findings: Findings,
    /// Why parts of the run ended early, for the report.
    pub errors: Vec<String>,
    /// JHE's address.
    pub jhe: String,
    /// The hospital's FHIR base.
    pub ehr: String,
    /// The study's name.
    pub study: Option<String>,
    /// Who runs it.
    pub organization: Option<String>,
    /// What the patient knows the hospital as.
    pub portal: Option<String>,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended: u64,
    /// Is it told again, after a reload? Then counts are all that is known: neither reasons nor times.
    pub is_recalled: bool,
    /// What came of the other hospitals of the visit.
    pub others: Vec<Share>,
}

/// What a hospital gave before, in the same visit: counts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What the patient knows it as.
    pub portal: Option<String>,
    /// Its FHIR base.
    pub ehr: String,
    /// What came of each row of the plan.
    pub rows: Vec<RowTally>,
    /// How many rows JHE has more than before, where that is known.
    pub new_rows: Option<u32>,
}

// How it is told from one module to the other.

impl Account {
    /// As JSON, which [`Account::parse`] reads.
    pub fn to_json(&self) -> String {
        let mut text = String::from("{\"rows\":");
        push_list(&mut text, &mut self.rows.iter().map(row_to_json));
        text.push_str(",\"errors\":");
        push_list(
            &mut text,
            &mut self.errors.iter().map(|error| quoted(error)),
        );
        push_member(&mut text, "findings", &self.findings.to_json());
        text.push_str(",\"others\":");
        push_list(&mut text, &mut self.others.iter().map(Share::to_json));
        for (name, value) in [
            ("jhe", Some(&self.jhe)),
            ("ehr", Some(&self.ehr)),
            ("study", self.study.as_ref()),
            ("organization", self.organization.as_ref()),
            ("portal", self.portal.as_ref()),
        ] {
            if let Some(value) = value {
                push_member(&mut text, name, &quoted(value));
            }
        }
        for (name, value) in [
            ("ended", Some(self.ended)),
            ("new_rows", self.new_rows.map(u64::from)),
            ("is_recalled", self.is_recalled.then_some(1)),
            ("is_batch", (self.unit == Unit::Batch).then_some(1)),
        ] {
            if let Some(value) = value {
                push_member(&mut text, name, &number(value));
            }
        }
        text.push('}');
        text
    }

    /// Reads what [`Account::to_json`] has written.
    pub fn parse(text: &str) -> Option<Self> {
        let json = Json::parse(text.as_bytes())?;
        let new_rows = json.get("new_rows").map(count);
        Some(Account {
            rows: json
                .list("rows")
                .take(ROWS)
                .map(row)
                .collect::<Option<_>>()?,
            new_rows: match new_rows {
                Some(new_rows) => Some(new_rows?),
                None => None,
            },
            unit: match json.get("is_batch") {
                Some(_) => Unit::Batch,
                None => Unit::Record,
            },
            errors: json
                .list("errors")
                .map(Json::string)
                .collect::<Option<_>>()?,
            jhe: json.get_string("jhe")?,
            ehr: json.get_string("ehr")?,
            study: json.get_string("study"),
            organization: json.get_string("organization"),
            portal: json.get_string("portal"),
            ended: json.get("ended")?.whole_number()?,
            is_recalled: json.get("is_recalled").is_some(),
            findings: Findings::parse(json.get("findings")?)?,
            others: json
                .list("others")
                .map(Share::read)
                .collect::<Option<_>>()?,
        })
    }
}

impl Share {
    fn to_json(&self) -> String {
        let mut text = String::from("{\"rows\":");
        push_list(&mut text, &mut self.rows.iter().map(row_to_json));
        push_member(&mut text, "ehr", &quoted(&self.ehr));
        if let Some(portal) = &self.portal {
            push_member(&mut text, "portal", &quoted(portal));
        }
        if let Some(new_rows) = self.new_rows {
            push_member(&mut text, "new_rows", &count_text(new_rows));
        }
        text.push('}');
        text
    }

    fn read(json: Json<'_>) -> Option<Self> {
        Some(Share {
            portal: json.get_string("portal"),
            ehr: json.get_string("ehr")?,
            rows: json
                .list("rows")
                .take(ROWS)
                .map(row)
                .collect::<Option<_>>()?,
            new_rows: json.get("new_rows").and_then(count),
        })
    }

    /// What the patient knows it as.
    pub fn name(&self) -> Value {
        self.portal.as_deref().unwrap_or(&self.ehr).into()
    }

    /// The counts of all rows together.
    fn total(&self) -> Tally {
        Tally::sum(&mut self.rows.iter().map(|row| &row.tally))
    }
}

/// A list: the label, how the search stands, the counts, and four lists of reasons.
fn row_to_json(row: &RowTally) -> String {
    let mut tally = row.tally.clone();
    let mut text = ["[", &quoted(&row.label), ",", &quoted(row.standing.name())].concat();
    for count in tally.counts() {
        text.push(',');
        text.push_str(&number(u64::from(*count)));
    }
    for reasons in tally.reasons_mut() {
        text.push(',');
        push_list(
            &mut text,
            &mut reasons.iter().map(|(reason, count)| {
                ["[", &quoted(reason), ",", &number(u64::from(*count)), "]"].concat()
            }),
        );
    }
    text.push(']');
    text
}

fn row(row: Json<'_>) -> Option<RowTally> {
    let mut values = row.elements();
    let label = values.next()?.string()?;
    let standing = Standing::named(values.next()?.string()?);
    let mut tally = Tally::default();
    for place in tally.counts() {
        *place = count(values.next()?)?;
    }
    for reasons in tally.reasons_mut() {
        let read = |reason: Json<'_>| {
            let mut values = reason.elements();
            Some((values.next()?.string()?, count(values.next()?)?))
        };
        *reasons = values.next()?.elements().map(read).collect::<Option<_>>()?;
    }
    Some(RowTally {
        label,
        tally,
        standing,
    })
}

/// No run counts more of anything: so sums are numbers still, whoever told the account.
const MOST: u64 = 4_000_000;
const ROWS: usize = 1_000;

fn count(json: Json<'_>) -> Option<u32> {
    let known = json.whole_number().filter(|known| *known <= MOST);
    known?.try_into().ok()
}

fn push_list(text: &mut String, items: &mut dyn Iterator<Item = String>) {
    text.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
}

fn push_member(text: &mut String, name: &str, value: &str) {
    for part in [",\"", name, "\":", value] {
        text.push_str(part);
    }
}

// What the patient reads.

impl Account {
    /// What the patient knows the hospital as.
    pub fn portal(&self) -> Value {
        let portal = self.portal.as_deref();
        portal.map_or_else(|| Text::YourHospital.into(), Value::from)
    }

    /// The counts of all rows together.
    pub fn total(&self) -> Tally {
        Tally::sum(&mut self.rows.iter().map(|row| &row.tally))
    }

    /// How many of the records of all hospitals are at the study now.
    pub fn there(&self) -> u32 {
        let others = self.others.iter().map(|other| there(&other.total()));
        there(&self.total()) + others.sum::<u32>()
    }

    /// How many of them were not there before, where that is known of all.
    pub fn added(&self) -> Option<u32> {
        let added = |tally: Tally, new_rows: Option<u32>| match self.unit {
            Unit::Record => Some(tally.stored),
            Unit::Batch => new_rows,
        };
        let mut sum = added(self.total(), self.new_rows)?;
        for other in &self.others {
            sum += added(other.total(), other.new_rows)?;
        }
        Some(sum)
    }

    /// A line for each kind of which something came, or that was not read wholly, and one for each of the reasons why
    /// nothing came.
    pub fn kinds(&self) -> Vec<Message> {
        kinds(&self.rows)
    }

    /// What could not be shared, and why: a line for each kind and reason.
    pub fn troubles(&self) -> Vec<Message> {
        let mut lines = Vec::new();
        for row in &self.rows {
            for (because, count) in causes(&row.tally) {
                lines.push(Text::Reason.with([label(&row.label), count.into(), because.into()]));
            }
            let because = match &row.standing {
                Standing::Failed(code) => because_of_code(code),
                Standing::Limited => Text::BecauseLimited,
                Standing::Open => Text::BecauseOpen,
                Standing::Whole | Standing::Divided | Standing::NotGranted => continue,
            };
            lines.push(Text::Kind.with([label(&row.label), because.into()]));
        }
        lines
    }

    /// Is all over that could not be shared? Else the patient can go on, which is said elsewhere.
    pub fn is_settled(&self) -> bool {
        self.rows.iter().all(|row| {
            let is_over = match &row.standing {
                Standing::Open => false,
                Standing::Failed(code) => !matches!(
                    because_of_code(code),
                    Text::BecauseSignedOut | Text::BecauseEhr
                ),
                Standing::Whole | Standing::Divided | Standing::NotGranted | Standing::Limited => {
                    true
                }
            };
            is_over && row.tally.unsent == 0
        })
    }

    /// What else there is to know: changed, left out, listed twice, copied along.
    pub fn notes(&self) -> Vec<Message> {
        let tally = self.total();
        let (mut dropped, mut filled) = (0, 0);
        for (change, count) in &tally.changes {
            match change {
                change if contains(change, "no R5 equivalent") => dropped += count,
                change if contains(change, "dropped") => dropped += count,
                change if contains(change, "unknown") => filled += count,
                _ => {}
            }
        }
        let adjusted = tally.adjusted.saturating_sub(dropped + filled);
        let counts = [
            (Text::NoteDropped, dropped),
            (Text::NoteFilled, filled),
            (Text::NoteAdjusted, adjusted),
            (Text::NoteRepeated, tally.repeated),
            (Text::NoteOtherSubject, tally.of_other_subject),
            (Text::NoteOtherType, tally.of_other_type + tally.malformed),
            (Text::NoteInlined, tally.inlined),
            (Text::NoteKept, tally.kept),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        counts.map(|(text, count)| text.counted(count)).collect()
    }

    /// The years of which records were shared, the earliest first, with their numbers.
    pub fn years(&self) -> Vec<(u32, u32)> {
        let mut years: Vec<(u32, u32)> = Vec::new();
        for (year, count) in self.shared().flat_map(|row| &row.years) {
            match years.binary_search_by(|(known, _)| known.cmp(year)) {
                Ok(index) => years.get_mut(index).map_or((), |(_, sum)| *sum += count),
                Err(index) => years.insert(index, (*year, *count)),
            }
        }
        years
    }

    /// Records that were shared and have no date.
    pub fn undated(&self) -> u32 {
        self.shared().map(|row| row.undated).sum()
    }

    /// What was observed most often, at most so many.
    pub fn most_frequent(&self, limit: usize) -> Vec<NameFindings> {
        let mut all: Vec<NameFindings> = Vec::new();
        for name in self.shared().flat_map(|row| &row.names) {
            match all.iter_mut().find(|known| known.name == name.name) {
                Some(known) => {
                    known.count += name.count;
                    known.latest = known.latest.max(name.latest);
                }
                None => all.push(name.clone()),
            }
        }
        let mut frequent = Vec::new();
        while frequent.len() < limit
            && let Some(most) = all.iter().map(|name| name.count).max()
            && let Some(index) = all.iter().position(|name| name.count == most)
        {
            frequent.push(all.remove(index));
        }
        frequent
    }

    /// What was found of the kinds of which something was shared: the patient may have left out others.
    fn shared(&self) -> impl Iterator<Item = &RowFindings> {
        self.findings.rows.iter().filter(|found| {
            let mut rows = self.rows.iter();
            rows.any(|row| row.label == found.label && there(&row.tally) > 0)
        })
    }

    /// What it is about, and how much there is at the study now. `day` is the one on which it ended, where the patient is.
    pub fn facts(&self, day: &str) -> Vec<(Text, Value)> {
        let mut facts = Vec::new();
        // After a reload it is not known when the run ended.
        if !self.is_recalled {
            facts.push((Text::ReceiptDate, Value::Date(day.into())));
        }
        for (name, value) in [
            (Text::Study, &self.study),
            (Text::Organization, &self.organization),
        ] {
            facts.extend(value.as_deref().map(|value| (name, value.into())));
        }
        let mut hospitals = alloc::vec![self.portal()];
        hospitals.extend(self.others.iter().map(Share::name));
        facts.push((Text::Hospital, Value::Listed(hospitals)));
        let there = self.there();
        facts.push((Text::ReceiptStored, Text::Records.counted(there).into()));
        let added = self.added().filter(|added| *added < there);
        facts.extend(added.map(|added| (Text::ReceiptNew, Text::Records.counted(added).into())));
        facts
    }

    /// The receipt as a file, line by line: a number for each kind, no results, and nothing that names one.
    pub fn receipt(&self, day: &str) -> Vec<Value> {
        let nothing = || Value::from("");
        let facts = self.facts(day).into_iter();
        let mut lines = alloc::vec![Text::ReceiptHeading.into(), nothing()];
        lines.extend(facts.map(|(name, value)| Text::Kind.with([name.into(), value]).into()));
        lines.push(nothing());
        if !self.others.is_empty() {
            lines.push(self.portal());
        }
        lines.extend(self.kinds().into_iter().map(Value::from));
        for other in &self.others {
            lines.extend([nothing(), other.name()]);
            lines.extend(kinds(&other.rows).into_iter().map(Value::from));
        }
        lines
    }
}

/// As [`Account::kinds`], of one hospital's rows.
pub fn kinds(rows: &[RowTally]) -> Vec<Message> {
    let mut lines = Vec::new();
    let (mut nothing, mut not_granted) = (Vec::new(), Vec::new());
    for row in rows {
        let mut parts = counted(&row.tally);
        let is_begun = !parts.is_empty();
        parts.extend(match (&row.standing, is_begun) {
            (Standing::NotGranted, false) => {
                not_granted.push(label(&row.label));
                continue;
            }
            (Standing::Whole | Standing::Divided, false) => {
                nothing.push(label(&row.label));
                continue;
            }
            (Standing::Whole | Standing::Divided | Standing::NotGranted, true) => None,
            (Standing::Failed(_), false) => Some(Text::NotRead.into()),
            (Standing::Failed(_), true) => Some(Text::NotAllRead.into()),
            (Standing::Limited, _) => Some(Text::More.into()),
            (Standing::Open, _) => Some(Text::NotToTheEnd.into()),
        });
        let line = parts
            .into_iter()
            .reduce(|before, part: Message| Text::And.with([Value::from(before), part.into()]));
        lines.extend(line.map(|line| Text::Kind.with([label(&row.label), line.into()])));
    }
    for (text, labels) in [
        (Text::NothingFound, nothing),
        (Text::NotShared, not_granted),
    ] {
        if !labels.is_empty() {
            lines.push(text.with([Value::Listed(labels)]));
        }
    }
    lines
}

/// Records that are at the study now.
fn there(tally: &Tally) -> u32 {
    tally.stored + tally.already_there
}

/// `12 records`, `2 could not be saved`, each if there are any.
fn counted(tally: &Tally) -> Vec<Message> {
    let counts = [
        (Text::Records, there(tally)),
        (Text::NotSaved, tally.not_saved()),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    counts.map(|(text, count)| text.counted(count)).collect()
}

/// Why records of one row were not saved, as far as a patient needs to know. The counts make up all that were not.
fn causes(tally: &Tally) -> Vec<(Text, u32)> {
    let mut causes: Vec<(Text, u32)> = Vec::new();
    let mut add =
        |because: Text, count: u32| match causes.iter_mut().find(|(known, _)| *known == because) {
            Some((_, sum)) => *sum += count,
            None if count > 0 => causes.push((because, count)),
            None => {}
        };
    for (reason, count) in &tally.reasons {
        add(because(reason), *count);
    }
    // After a reload there are no reasons.
    if tally.reasons.is_empty() {
        add(Text::BecauseOther, tally.refused);
        add(Text::BecauseLost, tally.unsettled);
    }
    add(Text::BecauseUnsent, tally.unsent);
    causes
}

/// What a reason amounts to. JHE's are those of its validator (pydantic 1) and of its framework.
fn because(reason: &str) -> Text {
    const KNOWN: [(&str, Text); 13] = [
        (" id ensure this value", Text::BecauseId),
        (" id string does not match", Text::BecauseId),
        ("field required", Text::BecauseIncomplete),
        ("at least 1", Text::BecauseIncomplete),
        ("Unsupported FHIR resource type", Text::BecauseKind),
        ("Invalid FHIR", Text::BecauseInvalid),
        ("400 invalid", Text::BecauseInvalid),
        ("HTTP 413", Text::BecauseTooLarge),
        // What a proxy says, and not JHE.
        ("HTTP 4", Text::BecauseOther),
        ("HTTP ", Text::BecauseLost),
        ("no readable answer", Text::BecauseLost),
        ("the answer broke off", Text::BecauseLost),
        ("no complete answer", Text::BecauseLost),
    ];
    let known = KNOWN.iter().find(|(part, _)| contains(reason, part));
    known.map_or(Text::BecauseOther, |(_, text)| *text)
}

/// Why a search ended early, by the code of its error.
fn because_of_code(code: &str) -> Text {
    match code {
        "pull.forbidden" => Text::BecauseForbidden,
        "pull.signed_out" => Text::BecauseSignedOut,
        "pull.busy" | "pull.server_error" | "pull.cut_off" | "pull.unreachable" => Text::BecauseEhr,
        _ => Text::BecauseUnreadable,
    }
}

// What the study team reads.

impl Account {
    /// All that is known of the run, in English. No token is in it; reasons may quote a record. `time` is when it ended.
    pub fn report(&self, time: &str) -> String {
        let mut text = String::from("Records copied by jhe-connect\n");
        for (name, value) in [
            ("On: ", Some(time).filter(|_| !self.is_recalled)),
            ("From: ", Some(self.ehr.as_str())),
            ("Hospital: ", self.portal.as_deref()),
            ("To: ", Some(self.jhe.as_str())),
            ("Study: ", self.study.as_deref()),
            ("Run by: ", self.organization.as_deref()),
            (
                "Told again after a reload: ",
                self.is_recalled.then_some("without reasons."),
            ),
        ] {
            // After a reload the servers are not known either.
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                push_line(&mut text, &[name, value]);
            }
        }
        if let Some(new_rows) = self.new_rows {
            push_line(&mut text, &["New rows: ", &count_text(new_rows)]);
        }
        push_rows(&mut text, &self.rows);
        for error in &self.errors {
            push_line(&mut text, &["\nEnded early: ", error]);
        }
        for other in &self.others {
            push_line(&mut text, &["\nIn the same visit, from: ", &other.ehr]);
            if let Some(portal) = &other.portal {
                push_line(&mut text, &["Hospital: ", portal]);
            }
            push_rows(&mut text, &other.rows);
        }
        text
    }
}

fn push_rows(text: &mut String, rows: &[RowTally]) {
    for row in rows {
        push_line(text, &["\n", &row.label]);
        push_counts(text, &row.tally);
        let remark = match &row.standing {
            Standing::Failed(code) => ["Ended early: ", code],
            Standing::NotGranted => ["Not read: the scope was not granted.", ""],
            Standing::Limited => ["Not read to the end: more pages than the plan allows.", ""],
            Standing::Open => ["Not read to the end.", ""],
            Standing::Whole | Standing::Divided => continue,
        };
        push_line(text, &remark);
    }
}

fn push_counts(text: &mut String, tally: &Tally) {
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
            push_line(text, &[what, &count_text(count)]);
        }
    }
    for (heading, counts) in [
        ("Why records were not saved:", &tally.reasons),
        ("What was changed:", &tally.changes),
        ("Why documents were not copied:", &tally.documents),
        ("What the hospital said:", &tally.notices),
    ] {
        if !counts.is_empty() {
            push_line(text, &[heading]);
        }
        for (reason, count) in frequent(counts, usize::MAX) {
            push_line(text, &["  ", &count_text(count), " × ", reason]);
        }
    }
}

fn push_line(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
    text.push('\n');
}

fn count_text(count: u32) -> String {
    number(u64::from(count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fhir::mark::Day;
    use crate::language::testing::{FILES, english, language};
    use crate::language::{Language, Plain, compiled};

    fn row(label: &str, tally: Tally, standing: Standing) -> RowTally {
        RowTally {
            label: label.into(),
            tally,
            standing,
        }
    }

    fn account(rows: Vec<RowTally>) -> Account {
        Account {
            rows,
            new_rows: None,
            unit: Unit::Record,
            findings: Findings::default(),
            errors: Vec::new(),
            jhe: "https://jhe.example".into(),
            ehr: "https://ehr.example/R4".into(),
            study: Some("Sleep and sugar".into()),
            organization: Some("Example University".into()),
            portal: Some("MyChart".into()),
            ended: 1_795_000_000_000,
            is_recalled: false,
            others: Vec::new(),
        }
    }

    fn labs(tally: Tally) -> Account {
        account(alloc::vec![row("Labs", tally, Standing::Whole)])
    }

    fn stored(count: u32) -> Tally {
        Tally {
            stored: count,
            found: count,
            ..Tally::default()
        }
    }

    fn failed(code: &str) -> Standing {
        Standing::Failed(code.into())
    }

    fn said(messages: Vec<Message>) -> Vec<String> {
        messages.into_iter().map(english).collect()
    }

    #[test]
    fn a_clean_run_is_one_line() {
        let account = labs(stored(30));
        assert_eq!(said(account.kinds()), ["Labs: 30 records"]);
        assert!(account.troubles().is_empty() && account.notes().is_empty());
    }

    #[test]
    fn what_was_there_before_counts_for_what_is_there_now() {
        let tally = Tally {
            already_there: 236,
            found: 248,
            ..stored(12)
        };
        let account = labs(tally);
        assert_eq!(said(account.kinds()), ["Labs: 248 records"]);
        assert_eq!(account.added(), Some(12));
    }

    #[test]
    fn each_kind_says_what_came_of_it() {
        let refused = Tally {
            refused: 1,
            reasons: alloc::vec![("id".into(), 1)],
            ..stored(2)
        };
        let only_refused = Tally {
            refused: 2,
            ..Tally::default()
        };
        let account = account(alloc::vec![
            row("Labs", refused, Standing::Whole),
            row("Reports", only_refused, Standing::Whole),
            row("Goals", Tally::default(), Standing::Whole),
            row("Visits", Tally::default(), failed("pull.forbidden")),
            row("Orders", stored(3), failed("pull.busy")),
            row("Devices", Tally::default(), Standing::NotGranted),
            row("Allergies", Tally::default(), Standing::NotGranted),
            row("Vital signs", stored(1), Standing::Limited),
            row("Heart rate", stored(4), Standing::Open),
        ]);
        assert_eq!(
            said(account.kinds()),
            [
                "Labs: 2 records, 1 could not be saved",
                "Reports: 2 could not be saved",
                "Visits: could not be read",
                "Orders: 3 records, not all could be read",
                "Vital signs: 1 record, there are more",
                "Heart rate: 4 records, not read to the end",
                "Nothing found: Goals",
                "Left out: Devices, Allergies",
            ]
        );
        assert_eq!(
            said(account.troubles()),
            [
                "Labs, 1 record: The study's server did not take this.",
                "Reports, 2 records: The study's server did not take this.",
                "Visits: MyChart does not let this page read this kind.",
                "Orders: MyChart had trouble, or the connection broke.",
                "Vital signs: There are more than this page may copy.",
                "Heart rate: The copying ended before all was read.",
            ]
        );
    }

    #[test]
    fn nobody_is_told_to_do_nothing_who_can_go_on() {
        let is_settled = |standing, unsent| {
            let tally = Tally {
                unsent,
                ..stored(1)
            };
            account(alloc::vec![row("Labs", tally, standing)]).is_settled()
        };
        assert!(is_settled(Standing::Whole, 0));
        assert!(is_settled(failed("pull.forbidden"), 0));
        assert!(is_settled(failed("pull.not_fhir"), 0));
        assert!(!is_settled(Standing::Whole, 1));
        assert!(!is_settled(Standing::Open, 0));
        assert!(!is_settled(failed("pull.signed_out"), 0));
        assert!(!is_settled(failed("pull.busy"), 0));
    }

    #[test]
    fn what_jhe_says_is_told_by_what_it_means() {
        for (reason, means) in [
            (
                "Invalid FHIR Observation: 1 validation error for Observation id ensure this value has at most 64 characters (type=value_error.any_str.max_length; limit_value=64)",
                Text::BecauseId,
            ),
            (
                "Invalid FHIR Condition: 1 validation error for Condition id string does not match regex \"^[A-Za-z0-9\\-.]+$\" (type=value_error.str.regex)",
                Text::BecauseId,
            ),
            (
                "Invalid FHIR QuestionnaireResponse: 1 validation error for QuestionnaireResponse __root__ -> questionnaire field required (type=value_error.missing)",
                Text::BecauseIncomplete,
            ),
            (
                "Invalid FHIR Observation: 1 validation error for Observation __root__ Any of one field value is expected from this list ['valueQuantity'], but got multiple! (type=value_error)",
                Text::BecauseInvalid,
            ),
            ("Unsupported FHIR resource type: Foo.", Text::BecauseKind),
            ("HTTP 413: a web page", Text::BecauseTooLarge),
            ("HTTP 502: a web page", Text::BecauseLost),
            ("HTTP 404: a web page", Text::BecauseOther),
            (
                "The FhirSource does not belong to the current user.",
                Text::BecauseOther,
            ),
            ("other", Text::BecauseOther),
        ] {
            assert_eq!(because(reason), means, "{reason}");
        }
        use crate::http::TransportError::*;
        for error in [Unreachable, TimedOut, CutOff] {
            assert_eq!(because(error.detail()), Text::BecauseLost, "{error:?}");
        }
    }

    #[test]
    fn reasons_that_mean_the_same_are_one_line() {
        let tally = Tally {
            refused: 3,
            unsent: 4,
            reasons: alloc::vec![("Invalid FHIR a".into(), 1), ("Invalid FHIR b".into(), 2)],
            ..Tally::default()
        };
        assert_eq!(
            said(labs(tally).troubles()),
            [
                "Labs, 3 records: The study's server can't store what has this form.",
                "Labs, 4 records: The copying ended before this was sent.",
            ]
        );
    }

    #[test]
    fn after_a_reload_what_was_not_saved_is_still_accounted_for() {
        let tally = Tally {
            refused: 3,
            unsettled: 1,
            adjusted: 2,
            ..stored(9)
        };
        let account = Account {
            is_recalled: true,
            ..labs(tally)
        };
        assert_eq!(
            said(account.troubles()),
            [
                "Labs, 3 records: The study's server did not take this.",
                "Labs, 1 record: The answer was lost, so this may have arrived all the same.",
            ]
        );
        assert_eq!(
            said(account.notes()),
            ["2 records were saved with small changes by the study's server."]
        );
        assert!(!receipt(&account).concat().contains("Date"));
        let report = account.report("2026-11-22T10:00:00.000Z");
        assert!(report.contains("Told again after a reload") && !report.contains("2026"));
    }

    #[test]
    fn notes_say_what_became_of_everything_else() {
        let tally = Tally {
            adjusted: 4,
            repeated: 1,
            of_other_subject: 2,
            of_other_type: 1,
            malformed: 1,
            inlined: 2,
            kept: 3,
            changes: alloc::vec![
                (
                    "R4 field 'X.y' has no R5 equivalent and was dropped in conversion.".into(),
                    2
                ),
                (
                    "Condition.clinicalStatus is missing: set to unknown.".into(),
                    1
                ),
                ("something else".into(), 1),
            ],
            notices: alloc::vec![("not authorized for a sub-resource".into(), 9)],
            ..stored(12)
        };
        assert_eq!(
            said(labs(tally).notes()),
            [
                "2 records were saved without a small part that the study's server has no place for.",
                "1 record lacked a detail. The study's server saved that detail as unknown.",
                "1 record was saved with a small change by the study's server.",
                "1 record was listed twice by MyChart and sent once.",
                "2 records were left out, as they are not about you.",
                "2 records were left out, as they are of another kind.",
                "2 documents were copied with the notes.",
                "3 documents stay at MyChart.",
            ]
        );
    }

    #[test]
    fn what_servers_said_is_for_the_report_only() {
        const SAID: &str = "__root__ of a server (pull.forbidden)";
        let tally = Tally {
            adjusted: 1,
            refused: 1,
            kept: 1,
            reasons: alloc::vec![(SAID.into(), 1)],
            changes: alloc::vec![(SAID.into(), 1)],
            notices: alloc::vec![(SAID.into(), 1)],
            documents: alloc::vec![(SAID.into(), 1)],
            ..stored(2)
        };
        let account = account(alloc::vec![row("Labs", tally, failed("pull.forbidden"))]);
        let lines = [account.kinds(), account.troubles(), account.notes()].concat();
        for line in said(lines).iter().chain(&receipt(&account)) {
            assert!(
                !line.contains("__root__") && !line.contains("pull."),
                "{line}"
            );
        }
        assert_eq!(account.report("").matches(SAID).count(), 4);
    }

    fn receipt(account: &Account) -> Vec<String> {
        let english = language("en");
        let lines = account.receipt("2026-11-22").into_iter();
        let say = |line| english.value(&line, &account.portal(), &Plain);
        lines.map(say).collect()
    }

    #[test]
    fn the_receipt_has_a_number_for_each_kind_and_their_sum() {
        let there = Tally {
            already_there: 5,
            ..stored(7)
        };
        let account = account(alloc::vec![
            row("Labs", there, Standing::Whole),
            row("Goals", stored(1), Standing::Whole),
        ]);
        assert_eq!(
            receipt(&account),
            [
                "Your receipt",
                "",
                "Date: 2026-11-22",
                "Study: Sleep and sugar",
                "Run by: Example University",
                "Hospital: MyChart",
                "Now at the study: 13 records",
                "New this time: 8 records",
                "",
                "Labs: 12 records",
                "Goals: 1 record",
            ]
        );
    }

    #[test]
    fn where_jhe_updates_records_only_its_own_count_says_which_are_new() {
        let account = |new_rows| Account {
            unit: Unit::Batch,
            new_rows,
            study: None,
            organization: None,
            portal: None,
            ..labs(stored(248))
        };
        assert_eq!(
            receipt(&account(None)).split_off(3),
            [
                "Hospital: your hospital",
                "Now at the study: 248 records",
                "",
                "Labs: 248 records",
            ]
        );
        assert!(receipt(&account(Some(12))).contains(&"New this time: 12 records".into()));
    }

    #[test]
    fn all_is_said_with_the_texts_that_its_module_is_given() {
        let tally = Tally {
            refused: 1,
            adjusted: 1,
            kept: 1,
            reasons: alloc::vec![("Invalid FHIR".into(), 1)],
            ..stored(2)
        };
        let account = Account {
            unit: Unit::Batch,
            new_rows: Some(1),
            portal: None,
            ..account(alloc::vec![row("Labs", tally, failed("pull.forbidden"))])
        };
        for (tag, source) in FILES {
            let compiled = compiled(source, tag, &[], "", &["labels", "receipt"]).unwrap();
            let language = Language::parse(compiled.as_bytes()).unwrap();
            let lines = [account.kinds(), account.troubles(), account.notes()].concat();
            let lines = lines.into_iter().map(Value::from);
            for line in lines.chain(account.receipt("2026")) {
                let text = language.value(&line, &account.portal(), &Plain);
                let has_gap = ["  ", ": :", "{"].iter().any(|gap| text.contains(gap));
                let is_whole = line == Value::from("") || !text.ends_with(": ");
                assert!(!has_gap && is_whole, "{tag}: {line:?}: {text}");
                assert_eq!(text.is_empty(), line == Value::from(""), "{tag}: {line:?}");
            }
        }
    }

    fn found(label: &str, years: &[(u32, u32)], names: &[(&str, u32, u32)]) -> RowFindings {
        let names = names.iter().map(|(name, count, latest)| {
            name_findings(((*name).into(), *count, Day::from_number(*latest)))
        });
        RowFindings {
            label: label.into(),
            years: years.into(),
            undated: 1,
            names: names.collect(),
            ..RowFindings::default()
        }
    }

    #[test]
    fn years_and_names_are_those_of_all_kinds_that_were_shared() {
        let rows = alloc::vec![
            found(
                "Labs",
                &[(2019, 2), (2024, 1)],
                &[("Glucose", 2, 20_240_105), ("HbA1c", 1, 20_190_000)]
            ),
            found(
                "Vital signs",
                &[(2019, 3), (2021, 4)],
                &[("Glucose", 1, 20_250_000), ("Weight", 5, 0)]
            ),
            found("Goals", &[(1990, 9)], &[]),
        ];
        let account = Account {
            findings: Findings { rows },
            ..account(alloc::vec![
                row("Labs", stored(3), Standing::Whole),
                row("Vital signs", stored(7), Standing::Whole),
                row("Goals", Tally::default(), Standing::Whole),
            ])
        };
        assert_eq!(account.years(), [(2019, 5), (2021, 4), (2024, 1)]);
        assert_eq!(account.undated(), 2);
        let names = account.most_frequent(2);
        let names: Vec<_> = names
            .iter()
            .map(|it| (it.name.as_str(), it.count, it.latest.map(Day::number)))
            .collect();
        let glucose = ("Glucose", 3, Some(20_250_000));
        assert_eq!(names, [("Weight", 5, None), glucose]);
        let receipt = receipt(&account).concat();
        assert!(!receipt.contains("Glucose") && !receipt.contains("Weight"));
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
        let account = Account {
            errors: alloc::vec!["pull.busy: page 2: HTTP 429".into()],
            ..account(alloc::vec![
                row("Labs", tally, Standing::Whole),
                row("Goals", Tally::default(), Standing::NotGranted),
            ])
        };
        let report = account.report("2026-11-22T10:00:00.000Z");
        for line in [
            "On: 2026-11-22T10:00:00.000Z\n",
            "From: https://ehr.example/R4\n",
            "To: https://jhe.example\n",
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
    fn what_is_no_account_is_none() {
        let json = labs(stored(1)).to_json();
        for text in [
            "",
            "{}",
            "[]",
            &json.replace("\"ended\"", "\"x\""),
            json.trim_start_matches('{'),
        ] {
            assert_eq!(Account::parse(text), None, "{text}");
        }
    }

    const MANY: core::ops::RangeInclusive<u32> = 0..=MOST as u32;

    fn any_tally() -> impl Strategy<Value = Tally> {
        let reasons = || prop::collection::vec((any::<String>(), MANY), 0..3);
        let counts = prop::array::uniform14(MANY);
        (counts, [reasons(), reasons(), reasons(), reasons()]).prop_map(|(counts, lists)| {
            let mut tally = Tally::default();
            for (place, count) in tally.counts().into_iter().zip(counts) {
                *place = count;
            }
            for (place, list) in tally.reasons_mut().into_iter().zip(lists) {
                *place = list;
            }
            tally
        })
    }

    fn any_row() -> impl Strategy<Value = RowTally> {
        let standing = prop_oneof![
            Just(Standing::Open),
            Just(Standing::Whole),
            Just(Standing::Divided),
            Just(Standing::NotGranted),
            Just(Standing::Limited),
            "[a-z_]{1,9}\\.[a-z_]{1,9}".prop_map(Standing::Failed),
        ];
        (any::<String>(), any_tally(), standing)
            .prop_map(|(label, tally, standing)| row(&label, tally, standing))
    }

    fn any_findings() -> impl Strategy<Value = RowFindings> {
        let day = || (0_u32..99_999_999).prop_map(Day::from_number);
        let name = (any::<String>(), MANY, day());
        let lists = (
            prop::collection::vec((any::<u32>(), MANY), 0..9),
            prop::collection::vec(name, 0..3),
        );
        let numbers = (any::<u16>(), MANY, MANY);
        (any::<String>(), lists, numbers, (day(), day())).prop_map(
            |(label, (years, names), (row, undated, other), (first, last))| RowFindings {
                row: row.into(),
                label,
                years,
                undated,
                first,
                last,
                names: names.into_iter().map(name_findings).collect(),
                other,
            },
        )
    }

    fn name_findings((name, count, latest): (String, u32, Option<Day>)) -> NameFindings {
        NameFindings {
            name,
            count,
            latest,
        }
    }

    fn any_share() -> impl Strategy<Value = Share> {
        let rows = prop::collection::vec(any_row(), 0..4);
        let rest = (
            any::<Option<String>>(),
            any::<String>(),
            prop::option::of(MANY),
        );
        (rows, rest).prop_map(|(rows, (portal, ehr, new_rows))| Share {
            portal,
            ehr,
            rows,
            new_rows,
        })
    }

    fn any_account() -> impl Strategy<Value = Account> {
        let rows = prop::collection::vec(any_row(), 0..4);
        let unit = prop_oneof![Just(Unit::Record), Just(Unit::Batch)];
        let names = any::<[Option<String>; 3]>();
        let texts = (any::<Vec<String>>(), any::<String>(), any::<String>());
        let rest = (prop::option::of(MANY), any::<u64>(), any::<bool>());
        let findings = prop::collection::vec(any_findings(), 0..3);
        let rest = (rest, findings, prop::collection::vec(any_share(), 0..3));
        (rows, unit, names, texts, rest).prop_map(|(rows, unit, names, texts, rest)| {
            let [study, organization, portal] = names;
            let (errors, jhe, ehr) = texts;
            let ((new_rows, ended, is_recalled), findings, others) = rest;
            Account {
                rows,
                new_rows,
                unit,
                findings: Findings { rows: findings },
                errors,
                jhe,
                ehr,
                study,
                organization,
                portal,
                ended,
                is_recalled,
                others,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_account_is_read_as_it_was_written(account in any_account()) {
            prop_assert_eq!(Account::parse(&account.to_json()), Some(account));
        }
    }
}
