//! The judgement over a soak: is every lab of the hospital in JHE, once, and as the hospital has it?

use std::collections::HashMap;
use std::fmt;

/// A record by its id at the hospital and by all that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lab {
    pub(crate) id: String,
    pub(crate) digest: u64,
}

/// What is wrong; nothing, if all of them are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// In no row.
    pub(crate) lost: Vec<String>,
    /// In more than one row.
    pub(crate) doubled: Vec<String>,
    /// In a row that says something else.
    pub(crate) altered: Vec<String>,
    /// Rows that are of no record of the hospital.
    pub(crate) foreign: Vec<String>,
    /// Sent again although the answer to it had come, or it was known not to have arrived.
    pub(crate) unprovoked: Vec<String>,
}

/// Compares what JHE holds with what the hospital has.
pub(crate) fn judge(hospital: &[Lab], rows: &[Lab]) -> Findings {
    let mut by_id: HashMap<&str, Vec<u64>> = HashMap::with_capacity(rows.len());
    for row in rows {
        by_id.entry(&row.id).or_default().push(row.digest);
    }
    let mut findings = Findings::default();
    for lab in hospital {
        let Some(digests) = by_id.remove(lab.id.as_str()) else {
            findings.lost.push(lab.id.clone());
            continue;
        };
        if digests.len() > 1 {
            findings.doubled.push(lab.id.clone());
        }
        if digests.iter().any(|digest| *digest != lab.digest) {
            findings.altered.push(lab.id.clone());
        }
    }
    findings.foreign = by_id.into_keys().map(str::to_owned).collect();
    findings.foreign.sort_unstable();
    findings
}

impl Findings {
    /// Each lab may be worked on once, and once more for each time that the answer was lost: more is unprovoked.
    pub(crate) fn look_for_unprovoked(&mut self, hospital: &[Lab], worked: &[u32], lost: &[u32]) {
        for ((lab, worked), lost) in hospital.iter().zip(worked).zip(lost) {
            if *worked > 1 + *lost {
                self.unprovoked.push(lab.id.clone());
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Findings::default()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let all = [
            ("not in JHE", &self.lost),
            ("in JHE more than once", &self.doubled),
            ("in JHE with another content", &self.altered),
            ("in JHE and not the hospital's", &self.foreign),
            ("sent again without a reason", &self.unprovoked),
        ];
        let mut separator = "";
        for (what, ids) in all.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            let shown: Vec<&str> = ids.iter().take(SHOWN).map(String::as_str).collect();
            let more = if ids.len() > SHOWN { ", …" } else { "" };
            write!(
                f,
                "{separator}{} {what} ({}{more})",
                ids.len(),
                shown.join(", ")
            )?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labs(all: &[(&str, u64)]) -> Vec<Lab> {
        let lab = |(id, digest): &(&str, u64)| Lab {
            id: (*id).to_owned(),
            digest: *digest,
        };
        all.iter().map(lab).collect()
    }

    const HOSPITAL: [(&str, u64); 3] = [("a", 1), ("b", 2), ("c", 3)];

    #[test]
    fn nothing_is_wrong_with_each_lab_once_in_any_order() {
        let rows = labs(&[("c", 3), ("a", 1), ("b", 2)]);
        let mut findings = judge(&labs(&HOSPITAL), &rows);
        findings.look_for_unprovoked(&labs(&HOSPITAL), &[1, 2, 1], &[0, 1, 3]);
        assert!(findings.is_empty(), "{findings}");
        assert_eq!(findings.to_string(), "");
    }

    #[test]
    fn a_lost_and_a_doubled_lab_are_named() {
        let rows = labs(&[("a", 1), ("c", 3), ("c", 3)]);
        let findings = judge(&labs(&HOSPITAL), &rows);
        assert_eq!(
            findings.to_string(),
            "1 not in JHE (b); 1 in JHE more than once (c)"
        );
    }

    #[test]
    fn an_altered_and_a_foreign_row_are_named() {
        let rows = labs(&[("a", 1), ("b", 9), ("c", 3), ("z", 1)]);
        let findings = judge(&labs(&HOSPITAL), &rows);
        assert_eq!(
            findings.to_string(),
            "1 in JHE with another content (b); 1 in JHE and not the hospital's (z)"
        );
    }

    #[test]
    fn a_second_row_with_another_content_is_both() {
        let rows = labs(&[("a", 1), ("b", 2), ("c", 3), ("a", 5)]);
        let findings = judge(&labs(&HOSPITAL), &rows);
        assert_eq!((findings.doubled.len(), findings.altered.len()), (1, 1));
    }

    #[test]
    fn a_lab_is_not_sent_again_without_a_lost_answer() {
        let mut findings = Findings::default();
        findings.look_for_unprovoked(&labs(&HOSPITAL), &[1, 2, 3], &[0, 0, 1]);
        assert_eq!(findings.to_string(), "2 sent again without a reason (b, c)");
    }

    #[test]
    fn of_many_only_some_are_shown() {
        let all: Vec<(String, u64)> = (0..9).map(|number| (format!("e{number}"), 1)).collect();
        let all: Vec<(&str, u64)> = all.iter().map(|(id, it)| (id.as_str(), *it)).collect();
        let told = judge(&labs(&all), &[]).to_string();
        assert_eq!(told, "9 not in JHE (e0, e1, e2, e3, e4, …)");
    }
}
