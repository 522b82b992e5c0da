//! What a tab keeps, and what one module tells another: it reads back as it was written, and anything else is refused or
//! read without harm.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jhe_connect::receipt::Account;
use jhe_connect::session::{self, SessionStore, StoreError};

use crate::oauth::page;

/// A tab's storage.
#[derive(Default)]
pub(crate) struct Tab(RefCell<BTreeMap<String, String>>);

impl SessionStore for Tab {
    fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.0.borrow().get(key).cloned())
    }

    fn write(&self, key: &str, text: &str) -> Result<(), StoreError> {
        self.0.borrow_mut().insert(key.into(), text.into());
        Ok(())
    }

    fn remove(&self, key: &str) {
        self.0.borrow_mut().remove(key);
    }
}

impl Tab {
    /// What is kept, where it is one text.
    pub(crate) fn only_text(&self) -> String {
        let texts = self.0.borrow();
        assert_eq!(texts.len(), 1);
        texts.values().cloned().collect()
    }

    /// A tab that gives the same text for whatever is asked.
    fn full_of(text: &str) -> Always<'_> {
        Always(text)
    }
}

struct Always<'a>(&'a str);

impl SessionStore for Always<'_> {
    fn read(&self, _: &str) -> Result<Option<String>, StoreError> {
        Ok(Some(self.0.into()))
    }

    fn write(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove(&self, _: &str) {}
}

/// Whatever a storage gives for any of its records.
pub(crate) fn checkpoint(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let found = Tab::full_of(text);
    let page = page();
    if let Ok(Some(run)) = session::run(&found) {
        keeps(&run);
        let _ = run.is_whole();
    }
    if let Ok(visit) = session::visit(&found) {
        let tab = Tab::default();
        session::keep_visit(&tab, &visit).expect("a tab keeps");
        assert_eq!(session::visit(&tab).expect("a tab gives"), visit);
        let mut again = Vec::new();
        for connection in visit {
            keeps(&connection.run);
            session::connect(&mut again, connection);
        }
        let pulls = again.iter().flat_map(|it| &it.run.checkpoint.pulls);
        assert!(pulls.into_iter().all(|pull| pull.page.is_none()));
    }
    if let Ok(Some(jhe)) = session::jhe(&found, &page) {
        let tab = Tab::default();
        session::keep_jhe(&tab, &jhe).expect("a tab keeps");
        let kept = tab.only_text();
        let again = session::jhe(&tab, &page).expect("a tab gives");
        session::keep_jhe(&tab, &again.expect("it was kept")).expect("a tab keeps");
        assert_eq!(tab.only_text(), kept);
    }
    if let Ok(Some(ehr)) = session::ehr(&found, &page) {
        assert!(ehr.issuer.base().is_protected(&page));
        let tab = Tab::default();
        session::keep_ehr(&tab, &ehr).expect("a tab keeps");
        let kept = tab.only_text();
        let again = session::ehr(&tab, &page).expect("a tab gives");
        session::keep_ehr(&tab, &again.expect("it was kept")).expect("a tab keeps");
        assert_eq!(tab.only_text(), kept);
    }
    if let Ok(Some(launch)) = session::take_launch(&found) {
        let tab = Tab::default();
        session::keep_launch(&tab, &launch).expect("a tab keeps");
        let kept = tab.only_text();
        let again = session::take_launch(&tab).expect("a tab gives");
        session::keep_launch(&tab, &again.expect("it was kept")).expect("a tab keeps");
        assert_eq!(tab.only_text(), kept);
    }
    if let Ok(Some(departure)) = session::pending_launch(&found) {
        let _ = departure.is_recent(u64::MAX);
    }
    let _ = session::last_write(&found);
}

/// Does a run read back as it was written?
pub(crate) fn keeps(run: &session::RunRecord) {
    let tab = Tab::default();
    session::keep_run(&tab, run).expect("a tab keeps");
    let kept = tab.only_text();
    let again = session::run(&tab).expect("a tab gives");
    let again = again.expect("what was kept is there");
    let mut without_reasons = run.clone();
    for pull in &mut without_reasons.checkpoint.pulls {
        // A reason may quote a record: none is kept.
        for reasons in [
            &mut pull.tally.reasons,
            &mut pull.tally.changes,
            &mut pull.tally.notices,
            &mut pull.tally.documents,
        ] {
            reasons.clear();
        }
    }
    assert_eq!(again, without_reasons, "{kept}");
}

/// What the module that copied tells the one that tells of it.
pub(crate) fn receipt(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Some(account) = Account::parse(text) else {
        return;
    };
    let printed = account.to_json();
    assert_eq!(Account::parse(&printed).as_ref(), Some(&account));
    let _ = (account.total(), account.there(), account.added());
    let _ = (account.kinds(), account.troubles(), account.notes());
    assert!(account.most_frequent(5).len() <= 5);
    let _ = (account.years(), account.undated(), account.is_settled());
    let _ = account.facts("2026-11-22");
    let _ = account.receipt("2026-11-22");
    let report = account.report("2026-11-22T00:00:00Z");
    assert!(!report.is_empty());
}
