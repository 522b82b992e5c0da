//! The browser's storage.

#[cfg(feature = "import")]
use gloo_storage::LocalStorage;
use gloo_storage::{SessionStorage, Storage};

use crate::session::{SessionStore, StoreError};

/// One of the browser's two storages. `sessionStorage` lives as long as the tab, and no other tab sees it.
pub(crate) struct TabStore(web_sys::Storage);

const PROBE: &str = "jhe-connect:probe";

impl TabStore {
    /// The tab's storage, tried out. Patients do have it blocked, and then `gloo-storage` would panic: so the window is
    /// asked first.
    pub(crate) fn open() -> Result<Self, StoreError> {
        let storage = web_sys::window().and_then(|window| window.session_storage().ok()?);
        storage.ok_or(StoreError)?;
        Self::tried_out(SessionStorage::raw())
    }

    /// The storage of all tabs, for what is no secret.
    #[cfg(feature = "import")]
    pub(crate) fn shared() -> Result<Self, StoreError> {
        let storage = web_sys::window().and_then(|window| window.local_storage().ok()?);
        storage.ok_or(StoreError)?;
        Self::tried_out(LocalStorage::raw())
    }

    fn tried_out(storage: web_sys::Storage) -> Result<Self, StoreError> {
        let store = TabStore(storage);
        store.write(PROBE, "1")?;
        store.remove(PROBE);
        Ok(store)
    }
}

impl SessionStore for TabStore {
    fn read(&self, key: &str) -> Result<Option<alloc::string::String>, StoreError> {
        self.0.get_item(key).map_err(|_| StoreError)
    }

    fn write(&self, key: &str, text: &str) -> Result<(), StoreError> {
        self.0.set_item(key, text).map_err(|_| StoreError)
    }

    fn remove(&self, key: &str) {
        // It fails only where reading and writing fail as well.
        let _ = self.0.remove_item(key);
    }
}
