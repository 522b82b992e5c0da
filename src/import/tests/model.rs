//! The import against two servers that do what servers do: answer late, not at all, with errors, or commit a request
//! whose sender is gone; and in a tab that is reloaded or crashes at any moment, with a patient who lets it pause, go on and end.
//!
//! Whatever happens in whatever order: no record is lost, none is there twice, the counts add up, the limits are kept,
//! and it ends.

use alloc::collections::BTreeMap;

use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::import::findings::RowFindings;
use crate::import::plan::Row;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Fine,
    /// 429, not processed.
    Busy,
    /// 503, not processed.
    Down,
    /// 500 after the request was carried out.
    FailedBehind,
    /// Not processed, no answer.
    Dropped,
    /// Processed, no answer.
    AnswerLost,
    /// No answer, and processed so many seconds later.
    Late(u64),
    /// The answer breaks off.
    CutOff,
    /// 401 of the EHR, or JHE's.
    SignedOut,
    /// The EHR has forgotten its session links.
    LinksOver,
    /// The tab is gone.
    Crash,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Fine),
        1 => Just(Event::Busy),
        1 => Just(Event::Down),
        1 => Just(Event::FailedBehind),
        1 => Just(Event::Dropped),
        2 => Just(Event::AnswerLost),
        2 => (0..30_u64).prop_map(Event::Late),
        1 => Just(Event::CutOff),
        1 => Just(Event::SignedOut),
        1 => Just(Event::LinksOver),
        2 => Just(Event::Crash),
    ]
}

fn wish() -> impl Strategy<Value = Option<Wish>> {
    prop_oneof![
        20 => Just(None),
        2 => Just(Some(Wish::Pause)),
        2 => Just(Some(Wish::GoOn)),
        1 => Just(Some(Wish::Stop)),
    ]
}

/// What the EHR says of how many records there are.
#[derive(Debug, Clone, Copy)]
enum Said {
    Nothing,
    AllOfThem,
    ThoseOfThePage,
    Anything(u32),
    AnotherEachTime,
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        2 => Just(Said::Nothing),
        4 => Just(Said::AllOfThem),
        1 => Just(Said::ThoseOfThePage),
        1 => (0..100_u32).prop_map(Said::Anything),
        1 => Just(Said::AnotherEachTime),
    ]
}

#[derive(Debug, Clone)]
struct Scene {
    unit: Unit,
    /// Searches among which they are distributed.
    rows: usize,
    /// Records of the patient.
    records: usize,
    /// Every so many-th record is followed by one that was listed before.
    repeats: Option<usize>,
    page_size: usize,
    /// Records that JHE held before: every so many-th.
    held: usize,
    /// Records that JHE refuses: every so many-th.
    refused: usize,
    events: Vec<Event>,
    /// Which task is finished first.
    order: Vec<u8>,
    /// What the patient does, step by step.
    wishes: Vec<Option<Wish>>,
    said: Said,
}

fn scene(unit: Unit) -> impl Strategy<Value = Scene> {
    (
        prop_oneof![1 => Just(1), 1 => 2..6_usize],
        prop_oneof![4 => 0..60_usize, 1 => 100..400_usize],
        prop::option::of(2..9_usize),
        prop_oneof![4 => 1..20_usize, 1 => 50..150_usize],
        1..9_usize,
        prop_oneof![2 => 2..9_usize, 1 => Just(1000)],
        prop::collection::vec(event(), 0..120),
        prop::collection::vec(any::<u8>(), 1..20),
        prop_oneof![2 => prop::collection::vec(wish(), 0..200), 1 => Just(Vec::new())],
        said(),
    )
        .prop_map(
            move |(
                rows,
                records,
                repeats,
                page_size,
                held,
                refused,
                events,
                order,
                wishes,
                said,
            )| {
                Scene {
                    unit,
                    rows,
                    records,
                    repeats,
                    page_size,
                    held,
                    refused,
                    events,
                    order,
                    wishes,
                    said,
                }
            },
        )
}

struct World {
    scene: Scene,
    now: u64,
    events: alloc::vec::IntoIter<Event>,
    wishes: alloc::vec::IntoIter<Option<Wish>>,
    steps: usize,
    /// Pages of ids, for each search.
    pages: Vec<Vec<Vec<usize>>>,
    /// Links of an earlier session are refused.
    session: u32,
    /// How often each record is there.
    rows: BTreeMap<usize, u32>,
    /// Requests that JHE still works on: when it commits them.
    late: Vec<(u64, Vec<usize>)>,
    has_begun_anew: bool,
    has_gone_on: bool,
}

impl World {
    fn new(scene: Scene) -> Self {
        // What is listed twice may be so by two searches.
        let mut listed = alloc::vec![Vec::new(); scene.rows];
        for id in 0..scene.records {
            listed[id % scene.rows].push(id);
            if scene.repeats.is_some_and(|repeats| id % repeats == 0) {
                listed[id % scene.rows].push(id / 2);
            }
        }
        let pages = listed.iter().map(|listed| {
            let pages: Vec<_> = listed.chunks(scene.page_size).map(<[_]>::to_vec).collect();
            match pages.is_empty() {
                true => alloc::vec![Vec::new()],
                false => pages,
            }
        });
        let held = (0..scene.records).filter(|id| id % scene.held == 0 && !scene.refuses(*id));
        World {
            now: NOW,
            events: scene.events.clone().into_iter(),
            wishes: scene.wishes.clone().into_iter(),
            steps: 0,
            pages: pages.collect(),
            session: 0,
            rows: held.map(|id| (id, 1)).collect(),
            late: Vec::new(),
            has_begun_anew: false,
            has_gone_on: false,
            scene,
        }
    }

    fn pass(&mut self, until: u64) {
        self.now = self.now.max(until);
        let now = self.now;
        let (due, late) = core::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = late;
        let due: Vec<(u64, Vec<usize>)> = due;
        for (_, ids) in due {
            self.store(&ids);
        }
    }

    fn store(&mut self, ids: &[usize]) {
        for id in ids {
            if self.scene.refuses(*id) {
                continue;
            }
            let count = self.rows.entry(*id).or_default();
            *count = match self.scene.unit {
                Unit::Record => *count + 1,
                Unit::Batch => 1,
            };
            assert_eq!(*count, 1, "record {id} is there twice");
        }
    }

    /// What comes of a request, or `None` if the tab crashes while it is under way.
    fn answer(&mut self, request: &HttpRequest) -> Option<Answer> {
        let event = self.events.next().unwrap_or(Event::Fine);
        let ids = request.body.as_deref().map(ids_in).unwrap_or_default();
        let is_write = request.method == Method::Post;
        match event {
            Event::Crash => {
                // What was under way may arrive, now or later.
                if is_write && !self.steps.is_multiple_of(3) {
                    self.late
                        .push((self.now + 10_000 * (self.steps % 3) as u64, ids));
                }
                return None;
            }
            Event::Busy => return Some(Ok(json(429, ""))),
            Event::Down => return Some(Ok(answer(503, "text/html", "<html>"))),
            Event::Dropped => return Some(Err(TransportError::Unreachable)),
            Event::Late(seconds) => {
                self.late.push((self.now + seconds * 1000, ids));
                return Some(Err(TransportError::TimedOut));
            }
            Event::SignedOut if request.url.host() == "ehr.example" => {
                return Some(Ok(json(401, "\"\"")));
            }
            Event::SignedOut if self.steps.is_multiple_of(4) => return Some(Ok(json(401, "{}"))),
            Event::LinksOver => self.session += 1,
            _ => {}
        }
        let whole = self.process(request, &ids);
        Some(match event {
            Event::AnswerLost => Err(TransportError::Unreachable),
            Event::CutOff => Err(TransportError::CutOff),
            Event::FailedBehind if is_write => Ok(answer(500, "text/html", "<html>")),
            _ => whole,
        })
    }

    fn process(&mut self, request: &HttpRequest, ids: &[usize]) -> Answer {
        if request.url.host() == "ehr.example" {
            return self.page(request.url.query());
        }
        if request.method == Method::Get {
            let there: Vec<String> = self.rows.keys().map(|id| format!("r{id}")).collect();
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            return Ok(json(200, &rows(&there)));
        }
        self.store(ids);
        match self.scene.unit {
            Unit::Record if ids.iter().any(|id| self.scene.refuses(*id)) => Ok(json(400, "{}")),
            Unit::Record => Ok(json(201, "{}")),
            Unit::Batch => {
                let entry = |id: &usize| match self.scene.refuses(*id) {
                    true => r#"{"response":{"status":"400 invalid"}}"#,
                    false => r#"{"response":{"status":"201 Created"}}"#,
                };
                let entries: Vec<&str> = ids.iter().map(entry).collect();
                Ok(json(
                    200,
                    &format!(r#"{{"entry":[{}]}}"#, entries.join(",")),
                ))
            }
        }
    }

    fn page(&self, query: &str) -> Answer {
        let (row, number) = match query.strip_prefix("?session=") {
            Some(rest) => {
                let mut parts = rest.split(['&', '=']);
                if parts.next() != Some(&self.session.to_string()) {
                    return Ok(json(400, "{}"));
                }
                let mut number = || parts.nth(1).unwrap().parse().unwrap();
                (number(), number())
            }
            None => {
                let (_, row) = query.split_once("category=").unwrap();
                (row.parse::<usize>().unwrap(), 0)
            }
        };
        let pages = &self.pages[row];
        let ids: Vec<String> = pages[number].iter().map(|id| format!("r{id}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let next = format!("?session={}&row={row}&page={}", self.session, number + 1);
        let is_last = number + 1 == pages.len();
        let body = page(&ids, (!is_last).then_some(next.as_str()));
        let said = match self.scene.said {
            Said::Nothing => return Ok(json(200, &body)),
            Said::AllOfThem => pages.iter().map(Vec::len).sum(),
            Said::ThoseOfThePage => ids.len(),
            Said::Anything(said) => said as usize,
            Said::AnotherEachTime => self.steps,
        };
        let total = format!(r#"{{"total":{said},"#);
        Ok(json(200, &body.replacen('{', &total, 1)))
    }

    /// One life of the tab: `Err` with what it left behind if it crashed.
    fn live(&mut self, mut run: ImportRun, kept: &mut Kept) -> Result<ImportRun, ()> {
        let mut under_way: Vec<(TaskId, HttpRequest)> = Vec::new();
        kept.checkpoint = run.checkpoint();
        let mut whole = run.progress().whole;
        loop {
            whole = advanced(whole, &run);
            self.steps += 1;
            assert!(self.steps < 20_000, "it does not end");
            match self.wishes.next().flatten() {
                Some(Wish::Pause) => run.pause(),
                Some(Wish::GoOn) => run.resume(),
                Some(Wish::Stop) => run.stop_here(),
                None => {}
            }
            match run.next_action(self.now) {
                Action::Perform(task, request) => {
                    let is_read_back =
                        request.method == Method::Get && request.url.host() == "jhe.example";
                    assert!(run.wish == Wish::GoOn || is_read_back);
                    let is_of_jhe = request.url.host() == "jhe.example";
                    assert!(run.purpose() == Purpose::Copy || !is_of_jhe);
                    if request.method == Method::Post {
                        kept.last_write = Some(self.now);
                    }
                    under_way.push((task, request));
                    let is_write =
                        |(_, request): &&(TaskId, HttpRequest)| request.method == Method::Post;
                    let writes = under_way.iter().filter(is_write).count();
                    assert!(writes <= run.deployment.writing.ceiling as usize);
                    assert!(under_way.len() - writes <= 4);
                    assert!(
                        run.queue.len()
                            <= AHEAD_RECORDS + 3 * self.scene.page_size + writes * BATCH_RECORDS
                    );
                }
                Action::AwaitTime(until) if under_way.is_empty() => {
                    assert!(until > self.now);
                    assert!(run.wish != Wish::Stop || until <= self.now + 5_000);
                    self.pass(until);
                }
                Action::AwaitFinish if under_way.is_empty() => {
                    assert!(run.is_paused(), "nothing is left to be waited for");
                    self.pass(self.now + 1_000);
                    run.resume();
                }
                Action::AwaitFinish | Action::AwaitTime(_) => {
                    let turn = self.scene.order[self.steps % self.scene.order.len()] as usize;
                    let (task, request) = under_way.swap_remove(turn % under_way.len());
                    self.pass(self.now + 60);
                    let Some(answer) = self.answer(&request) else {
                        // The others are cut off with it.
                        for (_, other) in under_way {
                            let ids = other.body.as_deref().map(ids_in).unwrap_or_default();
                            self.late.push((self.now + 20_000, ids));
                        }
                        return Err(());
                    };
                    run.finish(task, answer, self.now);
                    kept.checkpoint = run.checkpoint();
                }
                Action::Complete => {
                    assert!(under_way.is_empty() && !run.is_paused());
                    return Ok(run);
                }
            }
        }
    }

    /// The patient looks what there is.
    fn look(&mut self) -> ImportRun {
        let mut kept = Kept::default();
        for _ in 0..400 {
            let Start { ehr, seed, .. } = start();
            let review = Review {
                ehr,
                deployment: &PATIENT_ACCESS,
                plan: self.scene.plan(),
                checkpoint: kept.checkpoint.clone(),
                seed,
            };
            let run = ImportRun::review(review);
            let Ok(run) = self.live(run, &mut kept) else {
                self.has_gone_on = true;
                continue;
            };
            let told = run.findings().rows.iter().map(RowFindings::count);
            assert_eq!(run.seen.len(), told.sum::<u32>());
            let ending = run.ending();
            let tally = &ending.tally;
            assert_eq!(tally.fetched(), tally.found);
            assert_eq!((tally.stored, tally.not_saved()), (0, 0));
            match ending.way_on() {
                WayOn::None if ending.pull_errors.is_empty() => return run,
                WayOn::None => kept.checkpoint = Checkpoint::default(),
                WayOn::TryAgain | WayOn::SignIn => self.has_gone_on = true,
            }
        }
        panic!("it does not come to an end");
    }

    /// The patient does not give up.
    fn go(&mut self) -> Ending {
        let mut kept = Kept::default();
        let mut is_first = true;
        for _ in 0..400 {
            let earlier = if is_first && self.rows.is_empty() {
                Vec::new()
            } else {
                alloc::vec![source()]
            };
            let start = Start {
                source: Source {
                    id: source(),
                    earlier,
                },
                deployment: match self.scene.unit {
                    Unit::Record => &MYCHART,
                    Unit::Batch => &PATIENT_ACCESS,
                },
                plan: self.scene.plan(),
                checkpoint: kept.checkpoint.clone(),
                last_write: kept.last_write,
                ..start()
            };
            self.has_gone_on |= !is_first;
            is_first = false;
            let run = ImportRun::new(start, self.now);
            let ended = self.live(run, &mut kept);
            self.pass(self.now + 500);
            let Ok(run) = ended else {
                continue;
            };
            let ending = run.ending();
            let tally = &ending.tally;
            assert_eq!(
                tally.fetched(),
                tally.stored
                    + tally.already_there
                    + tally.repeated
                    + tally.left_out()
                    + tally.not_saved()
            );
            match ending.way_on() {
                WayOn::None if !ending.pull_errors.is_empty() || ending.stop.is_some() => {
                    // From the invitation link, in a new tab.
                    self.has_begun_anew = true;
                    kept.checkpoint = Checkpoint::default();
                }
                WayOn::None => return ending,
                WayOn::TryAgain | WayOn::SignIn => {}
            }
        }
        panic!("it does not come to an end");
    }
}

/// The bar of a run, which was at `before`: it does not go back.
fn advanced(before: Option<(u32, u32)>, run: &ImportRun) -> Option<(u32, u32)> {
    let progress = run.progress();
    let tally = run.tally();
    let sum = |of: fn(&RowProgress) -> u32| progress.rows.iter().map(of).sum::<u32>();
    assert_eq!(sum(|row| row.found), tally.found - tally.repeated);
    let done = match run.purpose() {
        Purpose::Copy => tally.stored + tally.already_there + tally.refused,
        Purpose::Review => tally.found - tally.repeated,
    };
    assert_eq!(sum(|row| row.done), done);
    for row in &progress.rows {
        assert!(row.done <= row.found && row.all.is_none_or(|all| row.found <= all));
    }
    let after = progress.whole;
    if let (Some((before, of)), Some((done, all))) = (before, after) {
        assert!(done >= before && done <= all);
        assert!(f64::from(done) * f64::from(of) >= f64::from(before) * f64::from(all));
    }
    after
}

/// What the tab's storage holds.
#[derive(Default)]
struct Kept {
    checkpoint: Checkpoint,
    last_write: Option<u64>,
}

impl Scene {
    fn plan(&self) -> Plan {
        let row = |number: usize| Row {
            label: number.to_string(),
            resource_type: "Observation".into(),
            parameters: alloc::vec![("category".into(), number.to_string())],
            ..Row::default()
        };
        Plan {
            rows: (0..self.rows).map(row).collect(),
        }
    }

    fn refuses(&self, id: usize) -> bool {
        id % self.refused == 1
    }
}

fn ids_in(body: &str) -> Vec<usize> {
    let mut ids: Vec<usize> = Vec::new();
    for part in body.split(r#""id":"r"#).skip(1) {
        let id = part.split('"').next().unwrap();
        ids.push(id.parse().unwrap());
    }
    ids
}

fn check(scene: Scene) {
    let mut world = World::new(scene.clone());
    let held_before = world.rows.len() as u32;
    let ending = world.go();
    world.pass(world.now + 60_000);

    let expected: Vec<usize> = (0..scene.records)
        .filter(|id| !scene.refuses(*id))
        .collect();
    let there: Vec<usize> = world.rows.keys().copied().collect();
    assert!(world.rows.values().all(|count| *count == 1));

    let tally = ending.tally;
    // A record at which JHE failed again and again is given up, and told as refused.
    let given_up = tally.refused as usize - (scene.records - expected.len());
    let missing = expected.iter().filter(|id| !there.contains(id)).count();
    assert!(missing <= given_up, "{missing} records are lost");
    assert_eq!(there.len() + missing, expected.len());
    let known = tally.stored + tally.already_there + tally.refused;
    assert_eq!((tally.unsettled, tally.unsent), (0, 0));
    // Which records were listed before a reload is not known any more: one that is listed again counts as one more.
    let is_exact = scene.repeats.is_none() || !world.has_gone_on;
    // If the search then begins anew, it counts as repeated only: what it was counted as before is forgotten.
    assert!(known + tally.repeated >= scene.records as u32);
    if is_exact {
        assert_eq!(known, scene.records as u32);
    }
    if is_exact && scene.unit == Unit::Record && !world.has_begun_anew {
        assert_eq!(tally.already_there, held_before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_by_one_every_record_arrives_once_whatever_happens(scene in scene(Unit::Record)) {
        check(scene);
    }

    #[test]
    fn a_review_finds_every_record_and_sends_none_whatever_happens(scene in scene(Unit::Batch)) {
        let mut world = World::new(scene.clone());
        let before = world.rows.clone();
        let run = world.look();
        prop_assert_eq!(&world.rows, &before);
        let ending = run.ending();
        prop_assert_eq!(ending.verdict(), Verdict::Complete);
        let found = ending.tally.found - ending.tally.repeated;
        prop_assert!(found >= scene.records as u32);
        if scene.repeats.is_none() || !world.has_gone_on {
            prop_assert_eq!(found, scene.records as u32);
        }
    }

    #[test]
    fn in_batches_every_record_arrives_whatever_happens(scene in scene(Unit::Batch)) {
        check(scene);
    }
}
