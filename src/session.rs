//! What survives the redirect and a reload, in this tab's storage only: the JHE token and the pending sign-in until
//! the callback page takes them out, and the counts of a run. Never a record, never the EHR's token.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::jhe::JheSession;
use crate::import::progress::Tally;
use crate::json::{Json, object};
use crate::oauth::token::AccessToken;
use crate::smart::launch::PendingLaunch;
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
const JHE: &str = "jhe-connect:1:jhe";
const LAUNCH: &str = "jhe-connect:1:launch";
const RUN: &str = "jhe-connect:1:run";

/// Where a run stands, as far as a reload needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Did it end? One that did not was interrupted.
    pub is_finished: bool,
    /// The counts, without any reason: a reason may quote a record.
    pub tally: Tally,
    /// The code of the error that ended it early, if one did.
    pub code: Option<String>,
}

/// Keeps the JHE session over the redirect.
///
/// # Errors
/// [`StoreError`].
pub fn keep_jhe(store: &impl SessionStore, jhe: &JheSession) -> Result<(), StoreError> {
    store.write(JHE, &object(&[("token", jhe.token().secret())]))
}

/// The JHE session of this tab, bound to `base` again.
///
/// # Errors
/// [`StoreError`].
pub fn jhe(store: &impl SessionStore, base: &Url) -> Result<Option<JheSession>, StoreError> {
    let token = read(store, JHE, |stored| stored.get_string("token"))?;
    Ok(token.map(|token| JheSession::new(base.clone(), AccessToken::new(token))))
}

/// Forgets the JHE session.
pub fn forget_jhe(store: &impl SessionStore) {
    store.remove(JHE);
}

/// Keeps a pending launch; an earlier one is replaced, and with it any record of an earlier run.
///
/// # Errors
/// [`StoreError`].
pub fn keep_launch(store: &impl SessionStore, launch: &PendingLaunch) -> Result<(), StoreError> {
    store.remove(RUN);
    store.write(LAUNCH, &launch.to_stored())
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

/// Keeps where a run stands.
///
/// # Errors
/// [`StoreError`].
pub fn keep_run(store: &impl SessionStore, run: &RunRecord) -> Result<(), StoreError> {
    let mut tally = run.tally.clone();
    let counts = tally
        .counts()
        .map(|(name, count)| (name, number(u64::from(*count))));
    let mut members: Vec<(&str, &str)> = counts
        .iter()
        .map(|(name, count)| (*name, count.as_str()))
        .collect();
    if run.is_finished {
        members.push(("is_finished", "true"));
    }
    if let Some(code) = &run.code {
        members.push(("code", code));
    }
    store.write(RUN, &object(&members))
}

/// Where the run of this tab stands.
///
/// # Errors
/// [`StoreError`].
pub fn run(store: &impl SessionStore) -> Result<Option<RunRecord>, StoreError> {
    read(store, RUN, |stored| {
        let mut tally = Tally::default();
        for (name, count) in tally.counts() {
            *count = u32::try_from(stored.get(name)?.whole_number()?).ok()?;
        }
        Some(RunRecord {
            is_finished: stored.get("is_finished").is_some(),
            tally,
            code: stored.get_string("code"),
        })
    })
}

/// Forgets the run.
pub fn forget_run(store: &impl SessionStore) {
    store.remove(RUN);
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
    use super::{RunRecord, SessionStore, Tally, keep_run, run};

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
            tally: Tally::default(),
            code: Some("pull.cut_off".into()),
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
    fn the_jhe_session_survives_and_is_forgotten() {
        let store = MemoryStore::default();
        let base = Url::parse("https://jhe.example/").unwrap();
        keep_jhe(&store, &session()).unwrap();
        let restored = jhe(&store, &base).unwrap().unwrap();
        assert_eq!(restored.token().secret(), "J");
        forget_jhe(&store);
        assert!(jhe(&store, &base).unwrap().is_none());
    }

    #[test]
    fn the_stored_form_of_a_run_is_this() {
        let store = MemoryStore::default();
        let run = RunRecord {
            is_finished: true,
            tally: Tally {
                stored: 7,
                reasons: alloc::vec![("SECRET".into(), 1)],
                ..Tally::default()
            },
            code: None,
        };
        keep_run(&store, &run).unwrap();
        assert_eq!(
            store.read(RUN).unwrap().unwrap(),
            r#"{"pages":"0","found":"0","repeated":"0","already_there":"0","stored":"7","refused":"0","unsettled":"0","unsent":"0","of_other_type":"0","of_other_subject":"0","malformed":"0","is_finished":"true"}"#
        );
    }

    #[test]
    fn damaged_records_are_as_good_as_none() {
        let store = MemoryStore::default();
        store.write(RUN, "[object Object]").unwrap();
        assert_eq!(run(&store), Ok(None));
    }
}
