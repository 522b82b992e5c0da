//! What was found, for a chart: how much of each year, from when to when, and what was observed. It is a person's health
//! data: it lives in memory only, and is part of no checkpoint.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::fhir::mark::{Day, Mark};
use crate::import::plan::Plan;
use crate::json::{Json, quoted};
use crate::text::number;

/// Years before this one are a mistake,
const FIRST_YEAR: u32 = 1900;
/// So many names are told apart in a row; further ones are counted together.
const NAMES: usize = 300;

/// What was found, row by row. After a reload it begins anew: it tells of the records that this run read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The rows of the plan that are searched.
    pub rows: Vec<RowFindings>,
}

/// What was found of one row, each record once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RowFindings {
    /// Its place in the plan.
    pub row: usize,
    /// Its label.
    pub label: String,
    /// The years of which there are records, the earliest first, with their number.
    pub years: Vec<(u32, u32)>,
    /// Records without a date that can be.
    pub undated: u32,
    /// The date of the earliest,
    pub first: Option<Day>,
    /// and of the latest.
    pub last: Option<Day>,
    /// What was observed, in the order of the alphabet; of observations only.
    pub names: Vec<NameFindings>,
    /// Records of further names.
    pub other: u32,
}

/// What was found of one observation, such as all values of glucose.
#[derive(Clone, PartialEq, Eq)]
pub struct NameFindings {
    /// What it is called.
    pub name: String,
    /// How many there are.
    pub count: u32,
    /// The date of the latest one.
    pub latest: Option<Day>,
}

impl Findings {
    /// Nothing yet, of each row that is searched.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut rows = Vec::new();
        for (place, row) in plan.rows.iter().enumerate() {
            if row.is_searched {
                rows.push(RowFindings {
                    row: place,
                    label: row.label.clone(),
                    ..RowFindings::default()
                });
            }
        }
        Findings { rows }
    }

    /// Counts a record of a row at the time `now`.
    pub(super) fn add(&mut self, row: usize, mark: Mark, now: u64) {
        if let Some(known) = self.rows.iter_mut().find(|known| known.row == row) {
            known.add(mark, now);
        }
    }

    /// The same as JSON, for [`parse`](Findings::parse): a list for each row.
    pub fn to_json(&self) -> String {
        let mut text = String::from("[");
        for row in &self.rows {
            row.push(&mut text);
        }
        end_list(&mut text);
        text
    }

    /// Reads what [`to_json`](Findings::to_json) wrote.
    pub fn parse(json: Json<'_>) -> Option<Self> {
        if !json.is_list() {
            return None;
        }
        let rows: Option<Vec<RowFindings>> = json.elements().map(RowFindings::parse).collect();
        Some(Findings { rows: rows? })
    }
}

impl RowFindings {
    /// How many records it tells of.
    pub fn count(&self) -> u32 {
        let dated: u32 = self.years.iter().map(|(_, count)| count).sum();
        dated + self.undated
    }

    fn add(&mut self, mark: Mark, now: u64) {
        const YEAR_MS: u64 = 31_556_952_000;
        let next_year = 1971 + now / YEAR_MS;
        let is_plausible =
            |day: &Day| day.year() >= FIRST_YEAR && u64::from(day.year()) <= next_year;
        let day = mark.day.filter(is_plausible);
        match day {
            Some(day) => {
                let year = day.year();
                let place = self.years.binary_search_by(|(known, _)| known.cmp(&year));
                let (Ok(index) | Err(index)) = place;
                if place.is_err() {
                    self.years.insert(index, (year, 0));
                }
                if let Some((_, count)) = self.years.get_mut(index) {
                    *count += 1;
                }
                self.first = Some(self.first.map_or(day, |first| first.min(day)));
                self.last = self.last.max(Some(day));
            }
            None => self.undated += 1,
        }
        let Some(name) = mark.name else {
            return;
        };
        let names = &mut self.names;
        let place = names.binary_search_by(|known| known.name.as_str().cmp(&name));
        let (Ok(index) | Err(index)) = place;
        if place.is_err() {
            if names.len() >= NAMES {
                self.other += 1;
                return;
            }
            let found = NameFindings {
                name,
                count: 0,
                latest: None,
            };
            names.insert(index, found);
        }
        if let Some(known) = names.get_mut(index) {
            known.count += 1;
            known.latest = known.latest.max(day);
        }
    }

    fn push(&self, text: &mut String) {
        text.push('[');
        push(text, self.row as u64);
        text.push_str(&quoted(&self.label));
        text.push(',');
        for value in [self.undated, self.other, day(self.first), day(self.last)] {
            push(text, u64::from(value));
        }
        text.push('[');
        for (year, count) in &self.years {
            push(text, u64::from(*year));
            push(text, u64::from(*count));
        }
        end_list(text);
        text.push_str(",[");
        for found in &self.names {
            text.push_str(&quoted(&found.name));
            text.push(',');
            push(text, u64::from(found.count));
            push(text, u64::from(day(found.latest)));
        }
        end_list(text);
        text.push_str("],");
    }

    fn parse(json: Json<'_>) -> Option<Self> {
        let mut values = json.elements();
        let mut found = RowFindings {
            row: values.next()?.whole_number()? as usize,
            label: values.next()?.string()?,
            undated: records(values.next()?)?,
            other: records(values.next()?)?,
            first: Day::from_number(count(values.next()?)?),
            last: Day::from_number(count(values.next()?)?),
            ..RowFindings::default()
        };
        let mut years = values.next()?.elements();
        while let Some(year) = years.next()
            && found.years.len() < 1_000
        {
            found.years.push((count(year)?, records(years.next()?)?));
        }
        let mut names = values.next()?.elements();
        while let Some(name) = names.next() {
            found.names.push(NameFindings {
                name: name.string()?,
                count: records(names.next()?)?,
                latest: Day::from_number(count(names.next()?)?),
            });
        }
        Some(found)
    }
}

/// A day as a number; 0 is none.
fn day(day: Option<Day>) -> u32 {
    day.map_or(0, Day::number)
}

fn push(text: &mut String, value: u64) {
    text.push_str(&number(value));
    text.push(',');
}

fn end_list(text: &mut String) {
    if text.ends_with(',') {
        text.pop();
    }
    text.push(']');
}

/// A number of records: none that a sum of some could not hold.
fn records(json: Json<'_>) -> Option<u32> {
    count(json).filter(|records| *records <= 4_000_000)
}

fn count(json: Json<'_>) -> Option<u32> {
    json.whole_number()?.try_into().ok()
}

/// Shows nothing: it is a person's health data.
impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Findings(..)")
    }
}

/// Shows nothing either.
impl fmt::Debug for RowFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowFindings(..)")
    }
}
