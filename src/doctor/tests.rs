//! The doctor without a browser: what it asks, and that every trouble of the documents has its line.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::catalogue::{CHECKS, Group, TROUBLES};

#[test]
fn every_symptom_and_every_lesson_of_jhes_document_has_a_line() {
    // Its table has seven rows, its list five.
    assert_eq!(TROUBLES.len(), 7 + 5);
    for (symptom, checks) in TROUBLES {
        assert!(!checks.is_empty(), "nothing finds: {symptom}");
        for check in *checks {
            assert!(
                CHECKS.iter().any(|row| row.0 == *check),
                "{symptom}: {check:?}"
            );
        }
    }
}

#[test]
fn each_line_has_a_name_of_its_own_and_a_place() {
    let names: BTreeSet<_> = CHECKS.iter().map(|row| row.1).collect();
    let checks: BTreeSet<_> = CHECKS.iter().map(|row| row.0).collect();
    assert_eq!((names.len(), checks.len()), (CHECKS.len(), CHECKS.len()));
    for (check, name, group, title) in CHECKS {
        assert_eq!(
            (check.name(), check.group(), check.title()),
            (*name, *group, *title)
        );
        assert!(Group::ALL.contains(group) && !title.is_empty());
    }
}

#[test]
fn the_document_explains_each_line() {
    let document = include_str!("../../docs/doctor.md");
    for (check, name, ..) in CHECKS {
        let row: String = ["| `", name, "` | ", check.title(), " |"].concat();
        assert!(document.contains(&row), "docs/doctor.md lacks {row}");
    }
    for (symptom, checks) in TROUBLES {
        assert!(document.contains(symptom), "docs/doctor.md lacks {symptom}");
        for check in *checks {
            let name: String = ["`", check.name(), "`"].concat();
            assert!(document.contains(&name), "{symptom}");
        }
    }
}
