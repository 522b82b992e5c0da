//! Did the records arrive as the hospital has them, to the byte?

use sandbox::Row;

use super::hospital::between;

/// Every lab is in one row, nothing else is, and only the ids differ.
pub(crate) fn arrived(rows: &[Row], labs: &[String], iss: &str) {
    assert_eq!(rows.len(), labs.len(), "rows in JHE");
    for lab in labs {
        let id = id_of(lab);
        let identifier = identifier(id, iss);
        let mut of_this_lab = rows.iter().filter(|row| row.sent.contains(&identifier));
        let row = of_this_lab
            .next()
            .unwrap_or_else(|| panic!("no row is {id}"));
        assert_eq!(of_this_lab.count(), 0, "further rows are {id}");

        let is_sent = row.sent.contains(&member(id));
        assert_eq!(is_sent, is_holdable(id), "{id} as the row's id");
        let sent = row.sent.replacen(&format!("{identifier},"), "", 1);
        assert_eq!(
            sent.replacen(&member(id), "", 1),
            lab.replacen(&member(id), "", 1)
        );
    }
}

/// The identifier by which a row can be recognised, since JHE forgets the hospital's id.
pub(crate) fn identifier(id: &str, iss: &str) -> String {
    format!(r#"{{"system":"{iss}","value":"{id}"}}"#)
}

/// The hospital's id of a lab.
pub(crate) fn id_of(lab: &str) -> &str {
    between(lab, r#""id":""#, "\"").expect("a lab with an id")
}

fn member(id: &str) -> String {
    format!(r#""id":"{id}","#)
}

fn is_holdable(id: &str) -> bool {
    id.len() <= 64
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
}
