//! What JHE holds in a soak. Here writes are read, unlike in a measurement: what is in a record counts.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::soak::judge::Lab;

/// How JHE knows a record again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// By its id: a second write is an update.
    ById,
    /// Not at all: every write is a further row. Records come with an identifier of this system.
    ByNothing(String),
}

/// JHE's rows.
#[derive(Debug)]
pub(crate) struct Rows {
    recognition: Recognition,
    rows: Vec<Lab>,
    by_id: HashMap<String, usize>,
    /// The rows as they are read back, where that is done.
    stored: Vec<String>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
}

/// A resource as the texts of its members.
type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

impl Recognition {
    /// What is compared of a record of the hospital, which is to arrive so.
    pub(crate) fn expected(&self, record: &str) -> Result<Lab> {
        match self {
            Recognition::ById => as_it_is(record),
            Recognition::ByNothing(system) => Ok(Read::of(record, system)?.lab(1)),
        }
    }
}

impl Rows {
    pub(crate) fn new(recognition: Recognition) -> Rows {
        Rows {
            recognition,
            rows: Vec::new(),
            by_id: HashMap::new(),
            stored: Vec::new(),
        }
    }

    /// Takes a write.
    pub(crate) fn take(&mut self, body: &str) -> Result<()> {
        if let Recognition::ByNothing(system) = &self.recognition {
            let read = Read::of(body, system)?;
            self.rows.push(read.lab(read.own_identifiers));
            self.stored.push(read.stored(self.stored.len()));
            return Ok(());
        }
        let batch: Batch = serde_json::from_str(body).context("a batch")?;
        for entry in batch.entry {
            let lab = as_it_is(entry.resource.get())?;
            match self.by_id.get(&lab.id) {
                Some(row) => self.rows[*row] = lab,
                None => {
                    self.by_id.insert(lab.id.clone(), self.rows.len());
                    self.rows.push(lab);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn labs(&self) -> &[Lab] {
        &self.rows
    }

    /// A page of rows as JHE gives them; `None` beyond the last one. The first one is there in any case.
    pub(crate) fn page(&self, number: usize, size: usize) -> Option<String> {
        let start = number.checked_sub(1)? * size;
        if start > 0 && start >= self.stored.len() {
            return None;
        }
        let rows = self.stored.iter().skip(start).take(size);
        let entries: Vec<String> = rows.map(|row| format!(r#"{{"resource":{row}}}"#)).collect();
        Some(format!(
            r#"{{"resourceType":"Bundle","type":"searchset","total":{},"link":[],"entry":[{}]}}"#,
            self.stored.len(),
            entries.join(",")
        ))
    }
}

/// A record that must not be changed by a byte.
fn as_it_is(record: &str) -> Result<Lab> {
    let members: Members = serde_json::from_str(record).context("a record")?;
    let mut hasher = DefaultHasher::new();
    record.hash(&mut hasher);
    Ok(Lab {
        id: id_of(&members)?,
        digest: hasher.finish(),
    })
}

fn id_of(members: &Members) -> Result<String> {
    let id = members.get("id").context("a record without an id")?;
    serde_json::from_str(id.get()).context("an id that is no text")
}

/// A record of which the identifier that names the hospital's id is told apart from all else.
struct Read<'a> {
    id: String,
    members: Members<'a>,
    /// So often the identifier is there.
    own_identifiers: usize,
    /// The others.
    identifiers: Vec<Value>,
}

impl<'a> Read<'a> {
    fn of(record: &'a str, system: &str) -> Result<Read<'a>> {
        let members: Members = serde_json::from_str(record).context("a record")?;
        let id = id_of(&members)?;
        let identifiers = members.get("identifier").map(|list| list.get());
        let mut identifiers: Vec<Value> = serde_json::from_str(identifiers.unwrap_or("[]"))?;
        let all = identifiers.len();
        identifiers.retain(|it| it["system"] != system || it["value"] != id);
        Ok(Read {
            own_identifiers: all - identifiers.len(),
            id,
            members,
            identifiers,
        })
    }

    /// Each member's text counts: `7.10` is not `7.1`.
    fn lab(&self, own_identifiers: usize) -> Lab {
        let mut hasher = DefaultHasher::new();
        own_identifiers.hash(&mut hasher);
        for identifier in &self.identifiers {
            identifier.to_string().hash(&mut hasher);
        }
        for (name, text) in &self.members {
            if *name != "identifier" {
                name.hash(&mut hasher);
                text.get().hash(&mut hasher);
            }
        }
        Lab {
            id: self.id.clone(),
            digest: hasher.finish(),
        }
    }

    /// The row: under an id of JHE's own, and with the extensions that say where it is from.
    fn stored(&self, number: usize) -> String {
        const BASE: &str = "https://jupyterhealth.org/fhir/StructureDefinition";
        let mut text = format!(
            r#"{{"id":"5ab15ab1-5ab1-4e00-8000-{number:012x}","extension":[{{"url":"{BASE}/patient-id","valueInteger":40001}},{{"url":"{BASE}/fhir-source-id","valueInteger":{}}}]"#,
            crate::chart::SOURCE
        );
        for (name, value) in &self.members {
            if !["id", "extension"].contains(name) {
                text += &format!(r#","{name}":{}"#, value.get());
            }
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::judge::judge;

    const SYSTEM: &str = "https://ehr.example/R4";
    const RECORD: &str = r#"{"resourceType":"Observation","id":"e1","identifier":[{"system":"urn:order","value":"7"}],"value":7.10}"#;
    const ARRIVED: &str = r#"{"resourceType":"Observation","id":"e1","identifier":[{"system":"https://ehr.example/R4","value":"e1"},{"system":"urn:order","value":"7"}],"value":7.10}"#;

    fn by_nothing() -> Recognition {
        Recognition::ByNothing(SYSTEM.to_owned())
    }

    fn findings(recognition: &Recognition, writes: &[&str]) -> String {
        let mut rows = Rows::new(recognition.clone());
        for write in writes {
            rows.take(write).expect("a write");
        }
        let hospital = [recognition.expected(RECORD).expect("a record")];
        judge(&hospital, rows.labs()).to_string()
    }

    #[test]
    fn a_record_arrives_with_the_hospitals_id_as_one_more_identifier() {
        assert_eq!(findings(&by_nothing(), &[ARRIVED]), "");
        let another = "1 in JHE with another content (e1)";
        assert_eq!(findings(&by_nothing(), &[RECORD]), another);
        let shorter = ARRIVED.replace("7.10", "7.1");
        assert_eq!(findings(&by_nothing(), &[&shorter]), another);
        let poorer = ARRIVED.replace(r#","value":"7""#, "");
        assert_eq!(findings(&by_nothing(), &[&poorer]), another);
    }

    #[test]
    fn a_second_write_is_a_second_row_where_jhe_recognises_nothing() {
        assert_eq!(
            findings(&by_nothing(), &[ARRIVED, ARRIVED]),
            "1 in JHE more than once (e1)"
        );
    }

    #[test]
    fn a_second_write_is_an_update_where_jhe_recognises_the_id() {
        let batch = |record: &str| {
            format!(
                r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{record}}}]}}"#
            )
        };
        let by_id = Recognition::ById;
        let (good, changed) = (batch(RECORD), batch(ARRIVED));
        assert_eq!(findings(&by_id, &[&good, &good]), "");
        assert_eq!(
            findings(&by_id, &[&good, &changed]),
            "1 in JHE with another content (e1)"
        );
        assert_eq!(findings(&by_id, &[]), "1 not in JHE (e1)");
        assert!(Rows::new(by_id).take("{").is_err());
    }

    #[test]
    fn rows_are_read_back_page_by_page_under_ids_of_jhe() {
        let mut rows = Rows::new(by_nothing());
        let page = |rows: &Rows, number| -> Option<Value> {
            Some(serde_json::from_str(&rows.page(number, 2)?).expect("JSON"))
        };
        assert_eq!(page(&rows, 1).expect("an empty page")["total"], 0);
        for _ in 0..3 {
            rows.take(ARRIVED).expect("a write");
        }
        let first = page(&rows, 1).expect("a page");
        assert_eq!(first["total"], 3);
        let row = &first["entry"][1]["resource"];
        assert_ne!(row["id"], "e1");
        assert_eq!(row["identifier"][0]["value"], "e1");
        assert_eq!(row["extension"][1]["valueInteger"], crate::chart::SOURCE);
        let second = page(&rows, 2).expect("a page");
        assert_eq!(second["entry"].as_array().map(Vec::len), Some(1));
        assert!(page(&rows, 3).is_none() && page(&rows, 0).is_none());
    }
}
