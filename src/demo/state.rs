//! What the pretended servers remember: which records are stored as ranges of numbers, never a record.
//!
//! It is kept as JSON in the tab's session storage. What can't be read is forgotten: then the test mode begins anew.

use alloc::string::String;
use alloc::vec::Vec;

use crate::demo::chart::Place;
use crate::json::{Json, quoted};
use crate::text::{number, whole_number};

/// Everything that the pretended servers remember.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Counts what was given out, so that no two are the same.
    pub(crate) count: u64,
    /// Is the patient to see what was found before any of it is sent?
    pub(crate) reviews: bool,
    /// JHE's codes, by the invitation that each came of.
    pub(crate) grants: Vec<Grant>,
    /// JHE's sessions.
    pub(crate) sessions: Vec<Session>,
    /// The hospitals' codes.
    pub(crate) codes: Vec<Code>,
    /// The hospitals' sessions.
    pub(crate) accesses: Vec<Access>,
    /// The participant's ids at hospitals, as JHE holds them.
    pub(crate) identifiers: Vec<(String, String)>,
    /// JHE's sources.
    pub(crate) sources: Vec<Source>,
    /// Searches that were put off already.
    pub(crate) put_off: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) code: String,
    pub(crate) invitation: String,
    pub(crate) at: u64,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) token: String,
    pub(crate) invitation: String,
    /// How many imports it was asked for.
    pub(crate) imports: u64,
}

#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) hospital: String,
    pub(crate) persona: String,
    pub(crate) scope: String,
    pub(crate) challenge: String,
    pub(crate) redirect_uri: String,
    pub(crate) at: u64,
    pub(crate) nonce: String,
}

#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) token: String,
    pub(crate) hospital: String,
    pub(crate) persona: String,
    pub(crate) scope: String,
    /// How many searches it may be used for still; none where that does not matter.
    pub(crate) left: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: u64,
    pub(crate) label: String,
    pub(crate) base: String,
    pub(crate) data_source: String,
    /// What is stored under it, by chart and kind.
    pub(crate) stored: Vec<Stored>,
}

/// The records of one kind of one chart that JHE holds.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) persona: String,
    pub(crate) kind: u64,
    /// From the first number to the one behind the last one, in ascending order, with gaps between.
    pub(crate) ranges: Vec<(u64, u64)>,
    /// Rows beyond one for each: a JHE that adds a row for every write has them.
    pub(crate) doubles: u64,
}

impl Stored {
    pub(crate) fn count(&self) -> u64 {
        let each = self.ranges.iter().map(|(from, to)| to - from);
        each.sum::<u64>() + self.doubles
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.ranges.iter().flat_map(|(from, to)| *from..*to)
    }

    /// Adds one. Was it there?
    fn add(&mut self, one: u64) -> bool {
        if self
            .ranges
            .iter()
            .any(|(from, to)| (*from..*to).contains(&one))
        {
            return true;
        }
        let place = self.ranges.iter().position(|(from, _)| *from > one);
        let place = place.unwrap_or(self.ranges.len());
        self.ranges.insert(place, (one, one + 1));
        let mut whole: Vec<(u64, u64)> = Vec::new();
        for (from, to) in self.ranges.drain(..) {
            match whole.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                _ => whole.push((from, to)),
            }
        }
        self.ranges = whole;
        false
    }
}

impl Source {
    /// Stores a record. Was it there?
    pub(crate) fn store(&mut self, place: Place) -> bool {
        let (persona, kind) = (place.persona.name, place.kind as u64);
        let found = self
            .stored
            .iter()
            .position(|it| it.persona == persona && it.kind == kind);
        if found.is_none() {
            self.stored.push(Stored {
                persona: persona.into(),
                kind,
                ranges: Vec::new(),
                doubles: 0,
            });
        }
        let place_of = found.unwrap_or(self.stored.len().saturating_sub(1));
        let stored = self.stored.get_mut(place_of);
        stored.is_some_and(|stored| stored.add(u64::from(place.number)))
    }
}

/// As many sessions and codes are remembered as a tab may have at once, and some more.
const KEPT: usize = 12;

impl State {
    /// Reads what [`State::to_json`] wrote.
    pub(crate) fn read(stored: &str) -> Self {
        let Some(json) = Json::parse(stored.as_bytes()) else {
            return State::default();
        };
        let rows = |name: &str| json.list(name).map(Row::read).collect::<Vec<Row>>();
        State {
            count: json.get("count").and_then(Json::whole_number).unwrap_or(0),
            reviews: json.get("reviews").map(Json::text) == Some("true"),
            grants: rows("grants")
                .into_iter()
                .map(|mut row| Grant {
                    code: row.text(),
                    invitation: row.text(),
                    at: row.number(),
                })
                .collect(),
            sessions: rows("sessions")
                .into_iter()
                .map(|mut row| Session {
                    token: row.text(),
                    invitation: row.text(),
                    imports: row.number(),
                })
                .collect(),
            codes: rows("codes")
                .into_iter()
                .map(|mut row| Code {
                    code: row.text(),
                    hospital: row.text(),
                    persona: row.text(),
                    scope: row.text(),
                    challenge: row.text(),
                    redirect_uri: row.text(),
                    at: row.number(),
                    nonce: row.text(),
                })
                .collect(),
            accesses: rows("accesses")
                .into_iter()
                .map(|mut row| Access {
                    token: row.text(),
                    hospital: row.text(),
                    persona: row.text(),
                    scope: row.text(),
                    left: whole_number(&row.text()),
                })
                .collect(),
            identifiers: rows("identifiers")
                .into_iter()
                .map(|mut row| (row.text(), row.text()))
                .collect(),
            sources: rows("sources")
                .into_iter()
                .map(|mut row| Source {
                    id: row.number(),
                    label: row.text(),
                    base: row.text(),
                    data_source: row.text(),
                    stored: row.stored(),
                })
                .collect(),
            put_off: rows("put_off")
                .into_iter()
                .map(|mut row| row.text())
                .collect(),
        }
    }

    /// For the tab's storage.
    pub(crate) fn to_json(&self) -> String {
        let mut json = Lists::default();
        json.list(
            "grants",
            self.grants
                .iter()
                .map(|it| row(&[&it.code, &it.invitation, &number(it.at)])),
        );
        json.list(
            "sessions",
            self.sessions
                .iter()
                .map(|it| row(&[&it.token, &it.invitation, &number(it.imports)])),
        );
        json.list(
            "codes",
            self.codes.iter().map(|it| {
                row(&[
                    &it.code,
                    &it.hospital,
                    &it.persona,
                    &it.scope,
                    &it.challenge,
                    &it.redirect_uri,
                    &number(it.at),
                    &it.nonce,
                ])
            }),
        );
        json.list(
            "accesses",
            self.accesses.iter().map(|it| {
                let left = it.left.map(number).unwrap_or_default();
                row(&[&it.token, &it.hospital, &it.persona, &it.scope, &left])
            }),
        );
        json.list(
            "identifiers",
            self.identifiers
                .iter()
                .map(|(system, value)| row(&[system, value])),
        );
        json.list(
            "sources",
            self.sources.iter().map(|it| {
                let mut fields = alloc::vec![
                    number(it.id),
                    it.label.clone(),
                    it.base.clone(),
                    it.data_source.clone()
                ];
                for stored in &it.stored {
                    fields.push(stored.persona.clone());
                    fields.push(number(stored.kind));
                    fields.push(number(stored.doubles));
                    let mut ranges = String::new();
                    for (from, to) in &stored.ranges {
                        for (mark, end) in [(",", from), ("-", to)] {
                            ranges.push_str(if ranges.is_empty() { "" } else { mark });
                            ranges.push_str(&number(*end));
                        }
                    }
                    fields.push(ranges);
                }
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                row(&fields)
            }),
        );
        json.list("put_off", self.put_off.iter().map(|it| row(&[it])));
        let reviews = if self.reviews {
            r#","reviews":true"#
        } else {
            ""
        };
        [r#"{"count":"#, &number(self.count), reviews, &json.0, "}"].concat()
    }

    /// A name that was not given out before, and tells what it is for.
    pub(crate) fn next(&mut self, name: &str) -> String {
        self.count += 1;
        [name, &number(self.count)].concat()
    }

    /// Forgets the oldest of what piles up.
    pub(crate) fn tidy(&mut self) {
        fn keep<T>(list: &mut Vec<T>) {
            let surplus = list.len().saturating_sub(KEPT);
            list.drain(..surplus);
        }
        keep(&mut self.grants);
        keep(&mut self.sessions);
        keep(&mut self.codes);
        keep(&mut self.accesses);
    }
}

#[derive(Default)]
struct Lists(String);

impl Lists {
    fn list(&mut self, name: &str, rows: impl Iterator<Item = String>) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":[");
        for (index, row) in rows.enumerate() {
            self.0.push_str(if index > 0 { "," } else { "" });
            self.0.push_str(&row);
        }
        self.0.push(']');
    }
}

fn row(fields: &[&str]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    ["[", &fields.join(","), "]"].concat()
}

/// A list of strings, of which what is missing is empty.
struct Row(alloc::vec::IntoIter<String>);

impl Row {
    fn read(list: Json<'_>) -> Self {
        let fields: Vec<String> = list.elements().filter_map(Json::string).collect();
        Row(fields.into_iter())
    }

    fn text(&mut self) -> String {
        self.0.next().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        whole_number(&self.text()).unwrap_or_default()
    }

    fn stored(&mut self) -> Vec<Stored> {
        let mut all = Vec::new();
        while let Some(persona) = self.0.next() {
            let (kind, doubles) = (self.number(), self.number());
            let mut ranges = Vec::new();
            for range in self.text().split(',') {
                let ends = range.split_once('-');
                let ends =
                    ends.and_then(|(from, to)| Some((whole_number(from)?, whole_number(to)?)));
                ranges.extend(ends.filter(|(from, to)| from < to));
            }
            all.push(Stored {
                persona,
                kind,
                ranges,
                doubles,
            });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(numbers: &[u64]) -> Stored {
        let mut stored = Stored {
            persona: "large".into(),
            kind: 7,
            ranges: Vec::new(),
            doubles: 0,
        };
        for number in numbers {
            stored.add(*number);
        }
        stored
    }

    #[test]
    fn numbers_that_follow_each_other_are_one_range() {
        assert_eq!(stored(&[3, 1, 2, 7]).ranges, [(1, 4), (7, 8)]);
        assert_eq!(stored(&[0, 2, 1, 1]).ranges, [(0, 3)]);
        assert_eq!(stored(&[0, 2, 1, 1]).count(), 3);
    }

    #[test]
    fn what_is_remembered_is_the_same_after_a_reload() {
        let mut state = State {
            count: 7,
            reviews: true,
            ..State::default()
        };
        state.grants.push(Grant {
            code: "c\"1".into(),
            invitation: "i".into(),
            at: 1_700_000_000_000,
        });
        state.accesses.push(Access {
            token: "t".into(),
            hospital: "slow".into(),
            persona: "few".into(),
            scope: "a b".into(),
            left: Some(3),
        });
        state.sources.push(Source {
            id: 9,
            label: "L".into(),
            base: "https://x".into(),
            data_source: "1".into(),
            stored: alloc::vec![stored(&[0, 1, 5]), stored(&[2])],
        });
        state.put_off.push("p".into());
        let json = state.to_json();
        assert!(Json::parse(json.as_bytes()).is_some(), "{json}");
        assert_eq!(State::read(&json).to_json(), json);
        assert_eq!(
            State::read(&json).sources[0].stored[0].ranges,
            [(0, 2), (5, 6)]
        );
    }

    #[test]
    fn what_can_not_be_read_is_a_new_beginning() {
        for stored in ["", "x", "[]", "{\"sources\":7}"] {
            assert_eq!(State::read(stored).to_json(), State::default().to_json());
        }
    }
}
