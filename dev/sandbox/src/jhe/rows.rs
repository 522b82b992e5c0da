//! The records that JHE has stored, with ways to find one without looking at all of them.

use std::collections::HashMap;
use std::ops::Deref;

use serde::Serialize;
use serde_json::Value;

/// A FHIR record that JHE has stored.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// JHE's own id, a UUID.
    pub id: String,
    /// The FHIR type under which it is stored.
    pub resource_type: String,
    /// The JHE patient who owns it (through the source).
    pub patient: u64,
    /// The FhirSource it was posted under.
    pub source: u64,
    /// The id that it came with, in the version that remembers it.
    pub upstream_id: Option<String>,
    /// How often it was written. More than once is only possible where JHE updates in place.
    pub writes: u32,
    /// The resource as it was sent last, byte for byte.
    pub sent: String,
    /// What JHE made of it and gives back.
    pub stored: Value,
}

/// All rows, in the order in which they were first written. Reads as a slice.
#[derive(Debug, Default)]
pub struct Rows {
    list: Vec<Row>,
    by_id: HashMap<String, usize>,
    by_upstream_id: HashMap<(u64, String, String), usize>,
    groups: HashMap<(Group, String), Vec<usize>>,
}

/// Rows that are asked for together (those of one type).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    All,
    Patient(u64),
    Source(u64),
}

impl Rows {
    /// Stores a row. One with the same id is replaced where it is, and counts one more writing.
    pub fn write(&mut self, mut row: Row) {
        match self.by_id.get(&row.id) {
            Some(&position) => {
                row.writes += self.list[position].writes;
                self.list[position] = row;
            }
            None => {
                self.index(&row, self.list.len());
                self.list.push(row);
            }
        }
    }

    /// Changes what is given back of a row. Who has it and where it came from stay.
    pub(crate) fn restate(&mut self, position: usize, stored: Value) {
        self.list[position].stored = stored;
    }

    /// Removes the rows that `keep` refuses.
    pub fn retain(&mut self, keep: impl FnMut(&Row) -> bool) {
        let mut list = std::mem::take(self).list;
        list.retain(keep);
        for (position, row) in list.iter().enumerate() {
            self.index(row, position);
        }
        self.list = list;
    }

    /// The row with JHE's id.
    pub(crate) fn with_id(&self, id: &str) -> Option<&Row> {
        self.by_id.get(id).map(|position| &self.list[*position])
    }

    /// The row that a source's record with this id is stored in.
    pub(crate) fn with_upstream_id(
        &self,
        source: u64,
        resource_type: &str,
        upstream_id: &str,
    ) -> Option<&Row> {
        let key = (source, resource_type.to_owned(), upstream_id.to_owned());
        let position = self.by_upstream_id.get(&key)?;
        Some(&self.list[*position])
    }

    /// The positions of a group's rows, oldest first.
    pub(crate) fn group(&self, group: Group, resource_type: &str) -> &[usize] {
        self.groups
            .get(&(group, resource_type.to_owned()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn index(&mut self, row: &Row, position: usize) {
        self.by_id.insert(row.id.clone(), position);
        if let Some(upstream_id) = &row.upstream_id {
            let key = (row.source, row.resource_type.clone(), upstream_id.clone());
            self.by_upstream_id.insert(key, position);
        }
        for group in [
            Group::All,
            Group::Patient(row.patient),
            Group::Source(row.source),
        ] {
            self.groups
                .entry((group, row.resource_type.clone()))
                .or_default()
                .push(position);
        }
    }
}

impl Deref for Rows {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, source: u64, upstream_id: Option<&str>) -> Row {
        Row {
            id: id.to_owned(),
            resource_type: "Observation".to_owned(),
            patient: 1,
            source,
            upstream_id: upstream_id.map(str::to_owned),
            writes: 1,
            sent: String::new(),
            stored: Value::Null,
        }
    }

    #[test]
    fn a_row_written_again_stays_in_its_place_and_counts() {
        let mut rows = Rows::default();
        rows.write(row("a", 7, Some("x")));
        rows.write(row("b", 7, Some("y")));
        rows.write(row("a", 7, Some("x")));
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.id.as_str(), row.writes))
            .collect();
        assert_eq!(seen, [("a", 2), ("b", 1)]);
        assert_eq!(rows.group(Group::Source(7), "Observation"), [0, 1]);
    }

    #[test]
    fn rows_are_found_after_others_were_removed() {
        let mut rows = Rows::default();
        for (id, source) in [("a", 7), ("b", 8), ("c", 8)] {
            rows.write(row(id, source, Some(id)));
        }
        rows.retain(|row| row.source != 7);
        assert!(
            rows.with_id("a").is_none() && rows.with_upstream_id(7, "Observation", "a").is_none()
        );
        assert_eq!(rows.with_id("c").map(|row| row.source), Some(8));
        assert_eq!(rows.group(Group::All, "Observation"), [0, 1]);
    }
}
