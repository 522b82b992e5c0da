//! What survives the redirect and a reload, in this tab's storage: the pending sign-in, and both tokens and the checkpoint
//! of a run until it ends. Never a record.
//!
//! DIFFERENCE: the advice for browser applications (draft-ietf-oauth-browser-based-apps, §8) is to keep access tokens in
//! memory only. They are kept here while a run is under way, since a patient on a phone with bad reception must not have
//! to begin anew; code verifier, nonce and identity token are gone by then.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::jhe::JheSession;
use crate::import::progress::Tally;
use crate::import::{Checkpoint, PullPoint, Standing};
use crate::json::{Json, quoted};
use crate::smart::context::LaunchContext;
use crate::smart::launch::{PENDING_LIMIT_MS, PendingLaunch};
use crate::text::number;
use crate::url::Url;

/// A place for small texts under names, that lives as long as the tab.
pub trait SessionStore {
    /// The text under `key`.
    ///
    /// # Errors
    /// [`StoreError`] where storage is denied.
    fn read(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Puts `text` under `key`.
    ///
    /// # Errors
    /// [`StoreError`] where storage is denied or full.
    fn write(&self, key: &str, text: &str) -> Result<(), StoreError>;

    /// Removes what is under `key`, if anything is.
    fn remove(&self, key: &str);
}

/// The browser does not let the page store anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreError;

// The number is the version of the stored form: what another version of the bundle wrote is not read.
const JHE: &str = "jhe-connect:3:jhe";
const EHR: &str = "jhe-connect:3:ehr";
const LAUNCH: &str = "jhe-connect:3:launch";
const RUN: &str = "jhe-connect:3:run";
const HOSPITAL: &str = "jhe-connect:3:hospital";
const ISSUER: &str = "jhe-connect:3:issuer";
const VISIT: &str = "jhe-connect:3:visit";
const LAST_WRITE: &str = "jhe-connect:3:last_write";

/// Where a run stands, as far as a reload needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// Did it end? One that did not can go on.
    pub is_finished: bool,
    /// Does the patient have to sign in at the hospital before it goes on?
    pub needs_sign_in: bool,
    /// Where it goes on; of one that ended, its counts, without any reason: a reason may quote a record.
    pub checkpoint: Checkpoint,
    /// How many rows JHE has more than before, where that is known.
    pub new_rows: Option<u32>,
    /// The code of the error that ended it early, if one did.
    pub code: Option<String>,
    /// Did the patient say that it is their record? Then a reload does not ask again.
    pub is_confirmed: bool,
    /// Did the patient see what there is, before anything was sent?
    pub is_reviewed: bool,
    /// The labels of the rows that the patient left out then.
    pub unticked: Vec<String>,
}

impl RunRecord {
    /// Of a run that ended: did all arrive that there is? What was not granted is no loss.
    pub fn is_whole(&self) -> bool {
        let checkpoint = &self.checkpoint;
        let is_limited = |pull: &PullPoint| pull.standing == Standing::Limited;
        self.code.is_none()
            && checkpoint.tally().not_saved() == 0
            && !checkpoint.pulls.iter().any(is_limited)
    }
}

/// Keeps the JHE session over the redirect, and until a run ends.
///
/// # Errors
/// [`StoreError`].
pub fn keep_jhe(store: &impl SessionStore, jhe: &JheSession) -> Result<(), StoreError> {
    store.write(JHE, &jhe.to_stored())
}

/// The JHE session of this tab, bound to `base` again.
///
/// # Errors
/// [`StoreError`].
pub fn jhe(store: &impl SessionStore, base: &Url) -> Result<Option<JheSession>, StoreError> {
    read(store, JHE, |stored| JheSession::from_stored(stored, base))
}

/// Keeps the access to the EHR until a run ends.
///
/// # Errors
/// [`StoreError`].
pub fn keep_ehr(store: &impl SessionStore, ehr: &LaunchContext) -> Result<(), StoreError> {
    store.write(EHR, &ehr.to_stored())
}

/// The access to the EHR of this tab's run; `page` is the page's own URL.
///
/// # Errors
/// [`StoreError`].
pub fn ehr(store: &impl SessionStore, page: &Url) -> Result<Option<LaunchContext>, StoreError> {
    read(store, EHR, |stored| {
        LaunchContext::from_stored(stored, page)
    })
}

/// A JHE session that is not in the store while the patient decides.
pub struct SetAside(Option<String>);

/// Takes the JHE session out of the store, and forgets the access to the EHR.
pub fn set_aside(store: &impl SessionStore) -> SetAside {
    let jhe = store.read(JHE).ok().flatten();
    forget_tokens(store);
    SetAside(jhe)
}

/// Puts the JHE session back.
pub fn put_back(store: &impl SessionStore, SetAside(jhe): SetAside) {
    if let Some(jhe) = jhe {
        // What can't be kept is missed, and told.
        let _ = store.write(JHE, &jhe);
    }
}

/// Forgets both tokens.
pub fn forget_tokens(store: &impl SessionStore) {
    store.remove(JHE);
    forget_ehr(store);
}

/// Forgets the access to the EHR.
pub fn forget_ehr(store: &impl SessionStore) {
    store.remove(EHR);
}

/// Keeps a pending launch; an earlier one is replaced.
///
/// # Errors
/// [`StoreError`].
pub fn keep_launch(store: &impl SessionStore, launch: &PendingLaunch) -> Result<(), StoreError> {
    store.write(LAUNCH, &launch.to_stored())
}

/// A patient who left for the hospital, and has not come back to this tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The hospital's FHIR base URL, verbatim.
    pub issuer: String,
    /// When they left, in milliseconds since the Unix epoch.
    pub begun_at: u64,
}

impl Departure {
    /// May they still come back with an answer that counts?
    pub fn is_recent(&self, now: u64) -> bool {
        now.saturating_sub(self.begun_at) <= PENDING_LIMIT_MS
    }
}

/// The launch that is pending in this tab; it stays where it is. There is one where the hospital showed an error of its own
/// and sent nobody back.
///
/// # Errors
/// [`StoreError`].
pub fn pending_launch(store: &impl SessionStore) -> Result<Option<Departure>, StoreError> {
    read(store, LAUNCH, |stored| {
        Some(Departure {
            issuer: stored.get_string("issuer")?,
            begun_at: stored.get("begun_at")?.whole_number()?,
        })
    })
}

/// Forgets the pending launch: an answer to it is not believed any more.
pub fn forget_launch(store: &impl SessionStore) {
    store.remove(LAUNCH);
}

/// Takes the pending launch out of storage: it is used once, whatever comes of it.
///
/// # Errors
/// [`StoreError`].
pub fn take_launch(store: &impl SessionStore) -> Result<Option<PendingLaunch>, StoreError> {
    let launch = read(store, LAUNCH, PendingLaunch::from_stored)?;
    store.remove(LAUNCH);
    Ok(launch)
}

/// Keeps to which hospital the patient goes: its FHIR base URL, verbatim, and the name under which they picked it, if they
/// did. The page behind the sign-in can't know the name, and a further sign-in needs the URL.
///
/// # Errors
/// [`StoreError`].
pub fn keep_hospital(
    store: &impl SessionStore,
    issuer: &str,
    name: Option<&str>,
) -> Result<(), StoreError> {
    store.write(ISSUER, issuer)?;
    match name {
        Some(name) => store.write(HOSPITAL, name),
        None => {
            store.remove(HOSPITAL);
            Ok(())
        }
    }
}

/// The FHIR base URL of the hospital that the patient went to, verbatim.
///
/// # Errors
/// [`StoreError`].
pub fn issuer(store: &impl SessionStore) -> Result<Option<String>, StoreError> {
    store.read(ISSUER)
}

/// The name of the hospital that the patient picked.
///
/// # Errors
/// [`StoreError`].
pub fn hospital(store: &impl SessionStore) -> Result<Option<String>, StoreError> {
    store.read(HOSPITAL)
}

/// Keeps where a run stands.
///
/// # Errors
/// [`StoreError`].
pub fn keep_run(store: &impl SessionStore, run: &RunRecord) -> Result<(), StoreError> {
    let mut text = String::new();
    push_run(&mut text, run);
    store.write(RUN, &text)
}

fn push_run(text: &mut String, run: &RunRecord) {
    text.push_str("{\"pulls\":[");
    for pull in &run.checkpoint.pulls {
        if !text.ends_with('[') {
            text.push(',');
        }
        push_pull(text, pull);
    }
    text.push(']');
    let mut push = |name: &str, value: Option<&str>| {
        for part in [",\"", name, "\":", value.unwrap_or(NULL)] {
            text.push_str(part);
        }
    };
    let count = |count: Option<u32>| count.map(|count| number(u64::from(count)));
    push("plan", Some(&number(run.checkpoint.plan)));
    push("held_before", count(run.checkpoint.held_before).as_deref());
    push("new_rows", count(run.new_rows).as_deref());
    push("code", run.code.as_deref().map(quoted).as_deref());
    push("is_finished", run.is_finished.then_some(TRUE));
    push("needs_sign_in", run.needs_sign_in.then_some(TRUE));
    push("is_confirmed", run.is_confirmed.then_some(TRUE));
    push("is_reviewed", run.is_reviewed.then_some(TRUE));
    push("unticked", Some(&quoted_list(&run.unticked)));
    text.push('}');
}

/// Does this tab keep a run?
pub fn has_run(store: &impl SessionStore) -> bool {
    matches!(store.read(RUN), Ok(Some(_)))
}

/// Where the run of this tab stands.
///
/// # Errors
/// [`StoreError`].
pub fn run(store: &impl SessionStore) -> Result<Option<RunRecord>, StoreError> {
    read(store, RUN, stored_run)
}

/// No run counts more of anything (four millions), and none has more searches: so their sum is a number still, whatever the
/// storage holds.
const MOST: u32 = (1 << 22) - 1;
const PULLS: usize = 1_000;

fn stored_run(stored: Json<'_>) -> Option<RunRecord> {
    let count = |name| stored.get(name)?.whole_number()?.try_into().ok();
    let mut pulls = Vec::new();
    for pull in stored.list("pulls").take(PULLS) {
        pulls.push(pull_point(pull)?);
    }
    let mut unticked = Vec::new();
    for label in stored.list("unticked") {
        unticked.extend(label.string());
    }
    let is_so = |name| stored.get(name).map(Json::text) == Some(TRUE);
    Some(RunRecord {
        is_finished: is_so("is_finished"),
        needs_sign_in: is_so("needs_sign_in"),
        checkpoint: Checkpoint {
            pulls,
            plan: stored.get("plan")?.whole_number()?,
            held_before: count("held_before"),
        },
        new_rows: count("new_rows"),
        code: stored.get_string("code"),
        is_confirmed: is_so("is_confirmed"),
        is_reviewed: is_so("is_reviewed"),
        unticked,
    })
}

/// A hospital of this visit, and how far its run is, or what came of it: counts and codes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its FHIR base URL, verbatim.
    pub issuer: String,
    /// The name under which the patient picked it.
    pub hospital: Option<String>,
    /// Its run. What it read can't be gone on with: it would begin anew.
    pub run: RunRecord,
}

impl Connection {
    /// Did all arrive that there is?
    pub fn is_whole(&self) -> bool {
        self.run.is_finished && self.run.is_whole()
    }
}

/// Puts a connection in the place of an earlier one to the same hospital, or behind all.
pub fn connect(visit: &mut Vec<Connection>, mut connection: Connection) {
    for pull in &mut connection.run.checkpoint.pulls {
        // Its address may hold what is the hospital's secret.
        pull.page = None;
    }
    match visit.iter_mut().find(|it| it.issuer == connection.issuer) {
        Some(earlier) => *earlier = connection,
        None => visit.push(connection),
    }
}

/// Keeps the hospitals of this visit.
///
/// # Errors
/// [`StoreError`].
pub fn keep_visit(store: &impl SessionStore, visit: &[Connection]) -> Result<(), StoreError> {
    let mut text = String::from("[");
    for connection in visit {
        if text.len() > 1 {
            text.push(',');
        }
        let hospital = connection.hospital.as_deref().map(quoted);
        for part in [
            "{\"issuer\":",
            &quoted(&connection.issuer),
            ",\"hospital\":",
            hospital.as_deref().unwrap_or(NULL),
            ",\"run\":",
        ] {
            text.push_str(part);
        }
        push_run(&mut text, &connection.run);
        text.push('}');
    }
    text.push(']');
    store.write(VISIT, &text)
}

/// The hospitals of this visit, in the order in which the patient went there.
///
/// # Errors
/// [`StoreError`].
pub fn visit(store: &impl SessionStore) -> Result<Vec<Connection>, StoreError> {
    let visit = read(store, VISIT, |stored| {
        let mut visit = Vec::new();
        for connection in stored.elements() {
            visit.push(Connection {
                issuer: connection.get_string("issuer")?,
                hospital: connection.get_string("hospital"),
                run: stored_run(connection.get("run")?)?,
            });
        }
        Some(visit)
    });
    Ok(visit?.unwrap_or_default())
}

/// Forgets the hospitals of this visit.
pub fn forget_visit(store: &impl SessionStore) {
    store.remove(VISIT);
}

const NULL: &str = "null";
const TRUE: &str = "true";

fn quoted_list(texts: &[String]) -> String {
    let mut list = String::from("[");
    for text in texts {
        if !list.ends_with('[') {
            list.push(',');
        }
        list.push_str(&quoted(text));
    }
    list.push(']');
    list
}

/// One search as a list: its row, its part, how it stands, the page, its counts.
fn push_pull(text: &mut String, pull: &PullPoint) {
    let part = pull.part.map(|part| number(part as u64));
    let page = pull.page.as_deref().map(quoted);
    let row = number(pull.row as u64);
    for (before, value) in [
        ("[", row.as_str()),
        (",", part.as_deref().unwrap_or(NULL)),
        (",", &quoted(pull.standing.name())),
        (",", page.as_deref().unwrap_or(NULL)),
    ] {
        text.push_str(before);
        text.push_str(value);
    }
    for count in pull.tally.clone().counts() {
        text.push(',');
        text.push_str(&number(u64::from(*count)));
    }
    text.push(']');
}

fn pull_point(pull: Json<'_>) -> Option<PullPoint> {
    let mut values = pull.elements();
    let row = values.next()?.whole_number()? as usize;
    let part = values.next()?.whole_number();
    let standing = values.next()?.string()?;
    let page = values.next()?.string();
    let mut tally = Tally::default();
    for count in tally.counts() {
        *count = values.next()?.whole_number()? as u32 & MOST;
    }
    Some(PullPoint {
        row,
        part: part.map(|part| part as usize),
        standing: Standing::named(standing),
        page,
        tally,
    })
}

/// Forgets the run.
pub fn forget_run(store: &impl SessionStore) {
    store.remove(RUN);
    store.remove(HOSPITAL);
    store.remove(ISSUER);
}

/// Notes that a write begins at the time `now`, for whatever run of this browser comes next.
pub fn note_write(store: &impl SessionStore, now: u64) {
    // If it can't be noted, only a run that begins within half a minute may take a record for missing that arrives yet.
    let _ = store.write(LAST_WRITE, &number(now));
}

/// When this browser began its last write, if it is known.
pub fn last_write(store: &impl SessionStore) -> Option<u64> {
    read(store, LAST_WRITE, |stored| stored.whole_number())
        .ok()
        .flatten()
}

/// Forgets when the last write was: it was answered.
pub fn forget_last_write(store: &impl SessionStore) {
    store.remove(LAST_WRITE);
}

/// What can't be read is as good as nothing.
fn read<T>(
    store: &impl SessionStore,
    key: &str,
    from_stored: impl FnOnce(Json<'_>) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let text = store.read(key)?;
    let stored = text.as_ref().and_then(|text| Json::parse(text.as_bytes()));
    Ok(stored.and_then(from_stored))
}

/// What every store has to do; each runs it in its own tests.
#[cfg(any(test, target_arch = "wasm32"))]
pub mod suite {
    use super::{RunRecord, SessionStore, keep_run, run};

    /// Checks `store`, which must be empty, and leaves it empty.
    pub fn a_store_keeps_replaces_and_removes(store: &impl SessionStore) {
        let key = "jhe-connect:suite";
        assert_eq!(store.read(key), Ok(None));
        for text in ["", "é\u{0}\u{1F600}\"\\", "second"] {
            assert_eq!(store.write(key, text), Ok(()));
            assert_eq!(
                store.read(key).as_ref().map(Option::as_deref),
                Ok(Some(text))
            );
        }
        store.remove(key);
        store.remove(key);
        assert_eq!(store.read(key), Ok(None));

        let record = RunRecord {
            is_finished: true,
            code: Some("pull.cut_off".into()),
            ..RunRecord::default()
        };
        assert_eq!(keep_run(store, &record), Ok(()));
        assert_eq!(run(store), Ok(Some(record)));
        store.remove(super::RUN);
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::collections::BTreeMap;
    use core::cell::RefCell;

    use super::*;
    use crate::exchange::jhe::testing::jhe as session;

    #[derive(Default)]
    struct MemoryStore(RefCell<BTreeMap<String, String>>);

    impl SessionStore for MemoryStore {
        fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
            Ok(self.0.borrow().get(key).cloned())
        }
        fn write(&self, key: &str, text: &str) -> Result<(), StoreError> {
            self.0.borrow_mut().insert(key.to_owned(), text.to_owned());
            Ok(())
        }
        fn remove(&self, key: &str) {
            self.0.borrow_mut().remove(key);
        }
    }

    #[test]
    fn the_memory_store_passes_the_suite() {
        suite::a_store_keeps_replaces_and_removes(&MemoryStore::default());
    }

    #[test]
    fn a_pending_launch_is_taken_once() {
        let store = MemoryStore::default();
        let text = r#"{"begun_at":"0","state":"s","verifier":"v","issuer":"i","token_endpoint":"t","client_id":"c","redirect_uri":"r","scope":"s"}"#;
        store.write(LAUNCH, text).unwrap();
        assert!(take_launch(&store).unwrap().is_some());
        assert!(take_launch(&store).unwrap().is_none());
        store.write(LAUNCH, "{}").unwrap();
        assert!(take_launch(&store).unwrap().is_none());
        assert!(store.0.borrow().is_empty());
    }

    #[test]
    fn a_patient_who_has_not_come_back_is_seen_without_taking_the_launch() {
        let store = MemoryStore::default();
        assert_eq!(pending_launch(&store), Ok(None));
        let text = r#"{"begun_at":"1000","state":"s","verifier":"v","issuer":"https://ehr.example/R4","token_endpoint":"t","client_id":"c","redirect_uri":"r","scope":"s"}"#;
        store.write(LAUNCH, text).unwrap();
        let departure = pending_launch(&store).unwrap().unwrap();
        assert_eq!(departure.issuer, "https://ehr.example/R4");
        assert!(departure.is_recent(1_000 + PENDING_LIMIT_MS) && departure.is_recent(0));
        assert!(!departure.is_recent(1_001 + PENDING_LIMIT_MS));
        assert!(take_launch(&store).unwrap().is_some());
        assert_eq!(pending_launch(&store), Ok(None));
        store.write(LAUNCH, text).unwrap();
        forget_launch(&store);
        assert!(take_launch(&store).unwrap().is_none());
    }

    #[test]
    fn a_run_of_which_nothing_was_said_is_not_confirmed() {
        let store = MemoryStore::default();
        let text = r#"{"pulls":[],"plan":11,"is_finished":null,"needs_sign_in":null}"#;
        store.write(RUN, text).unwrap();
        let run = super::run(&store).unwrap().unwrap();
        assert!(!run.is_confirmed && run.unticked.is_empty());
    }

    #[test]
    fn the_jhe_session_survives_and_is_forgotten() {
        let store = MemoryStore::default();
        let base = Url::parse("https://jhe.example/").unwrap();
        keep_jhe(&store, &session()).unwrap();
        let restored = jhe(&store, &base).unwrap().unwrap();
        assert_eq!(restored.token().secret(), "J");
        forget_tokens(&store);
        assert!(jhe(&store, &base).unwrap().is_none());
    }

    #[test]
    fn a_session_that_is_set_aside_is_nowhere_until_it_is_put_back() {
        let store = MemoryStore::default();
        let base = Url::parse("https://jhe.example/").unwrap();
        keep_jhe(&store, &session()).unwrap();
        let aside = set_aside(&store);
        assert!(store.0.borrow().is_empty());
        put_back(&store, aside);
        assert!(jhe(&store, &base).unwrap().is_some());
    }

    #[test]
    fn the_stored_form_of_a_run_is_this() {
        let store = MemoryStore::default();
        let run = RunRecord {
            is_finished: true,
            checkpoint: Checkpoint {
                pulls: alloc::vec![
                    PullPoint {
                        row: 0,
                        part: Some(2),
                        standing: Standing::Failed("pull.forbidden".into()),
                        page: None,
                        tally: Tally::default(),
                    },
                    PullPoint {
                        row: 3,
                        part: None,
                        standing: Standing::Open,
                        page: Some("https://ehr.example/R4?page=2".into()),
                        tally: Tally {
                            stored: 7,
                            kept: 1,
                            reasons: alloc::vec![("SECRET".into(), 1)],
                            ..Tally::default()
                        },
                    },
                ],
                plan: 11,
                held_before: Some(3),
            },
            new_rows: Some(4),
            is_confirmed: true,
            unticked: ["Labs", r#""Care" plans, ["#].map(String::from).into(),
            ..RunRecord::default()
        };
        keep_run(&store, &run).unwrap();
        assert_eq!(
            store.read(RUN).unwrap().unwrap(),
            r#"{"pulls":[[0,2,"pull.forbidden",null,0,0,0,0,0,0,0,0,0,0,0,0,0,0],[3,null,"open","https://ehr.example/R4?page=2",0,0,0,0,7,0,0,0,0,0,0,0,0,1]],"plan":11,"held_before":3,"new_rows":4,"code":null,"is_finished":true,"needs_sign_in":null,"is_confirmed":true,"is_reviewed":null,"unticked":["Labs","\"Care\" plans, ["]}"#
        );
        let mut without_reasons = run.clone();
        without_reasons.checkpoint.pulls[1].tally.reasons.clear();
        assert_eq!(super::run(&store), Ok(Some(without_reasons)));
    }

    #[test]
    fn a_visit_is_kept_without_any_address_of_a_page() {
        let store = MemoryStore::default();
        assert_eq!(visit(&store), Ok(Vec::new()));
        let mut point = PullPoint {
            page: Some("https://ehr.example/R4?secret".into()),
            tally: Tally {
                stored: 7,
                ..Tally::default()
            },
            ..PullPoint::default()
        };
        let connection = |issuer: &str, point: &PullPoint| Connection {
            issuer: issuer.into(),
            hospital: Some("Harbor \"Light\"".into()),
            run: RunRecord {
                checkpoint: Checkpoint {
                    pulls: alloc::vec![point.clone()],
                    ..Checkpoint::default()
                },
                ..RunRecord::default()
            },
        };
        let mut both = Vec::new();
        connect(&mut both, connection("https://a.example/R4", &point));
        connect(&mut both, connection("https://a.example/R4/", &point));
        point.tally.stored = 8;
        connect(&mut both, connection("https://a.example/R4", &point));
        keep_visit(&store, &both).unwrap();
        assert!(!store.read(VISIT).unwrap().unwrap().contains("secret"));
        assert_eq!(visit(&store), Ok(both.clone()));
        let stored = both.iter().map(|it| it.run.checkpoint.tally().stored);
        assert_eq!(stored.collect::<Vec<_>>(), [8, 7]);
        forget_visit(&store);
        assert_eq!(visit(&store), Ok(Vec::new()));
    }

    #[test]
    fn where_the_patient_goes_is_kept_until_the_run_is_forgotten() {
        let store = MemoryStore::default();
        keep_hospital(&store, "https://a.example/R4/", Some("Harbor Light")).unwrap();
        assert_eq!(hospital(&store), Ok(Some("Harbor Light".into())));
        keep_hospital(&store, "https://b.example/R4", None).unwrap();
        assert_eq!(hospital(&store), Ok(None));
        assert_eq!(issuer(&store), Ok(Some("https://b.example/R4".into())));
        forget_run(&store);
        assert_eq!(issuer(&store), Ok(None));
    }

    #[test]
    fn every_standing_is_read_back() {
        let store = MemoryStore::default();
        for standing in [
            Standing::Open,
            Standing::Whole,
            Standing::Divided,
            Standing::NotGranted,
            Standing::Limited,
            Standing::Failed("pull.busy".into()),
        ] {
            let mut run = RunRecord::default();
            run.checkpoint.pulls.push(PullPoint {
                standing,
                ..PullPoint::default()
            });
            keep_run(&store, &run).unwrap();
            assert_eq!(super::run(&store), Ok(Some(run)));
        }
    }

    #[test]
    fn a_run_that_left_something_out_is_not_whole() {
        let ended = |standing, refused, code: Option<&str>| {
            let mut run = RunRecord {
                is_finished: true,
                code: code.map(str::to_owned),
                ..RunRecord::default()
            };
            run.checkpoint.pulls.push(PullPoint {
                standing,
                tally: Tally {
                    refused,
                    ..Tally::default()
                },
                ..PullPoint::default()
            });
            run.is_whole()
        };
        assert!(ended(Standing::Whole, 0, None));
        assert!(ended(Standing::NotGranted, 0, None));
        assert!(!ended(Standing::Whole, 1, None));
        assert!(!ended(Standing::Whole, 0, Some("pull.forbidden")));
        assert!(!ended(Standing::Limited, 0, None));
    }

    #[test]
    fn the_last_write_of_this_browser_is_noted() {
        let store = MemoryStore::default();
        assert_eq!(last_write(&store), None);
        note_write(&store, 1_795_000_000_000);
        assert_eq!(last_write(&store), Some(1_795_000_000_000));
        forget_last_write(&store);
        assert_eq!(last_write(&store), None);
    }

    #[test]
    fn damaged_records_are_as_good_as_none() {
        let store = MemoryStore::default();
        store.write(RUN, "[object Object]").unwrap();
        assert_eq!(run(&store), Ok(None));
    }
}
