//! What the two pages' worth of work behind the hospital share: a patient who is signed in at both servers.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::browser::fetch::send;
use crate::browser::storage::TabStore;
use crate::browser::view::View;
use crate::config::PageConfig;
use crate::exchange::jhe::JheSession;
use crate::oauth::revocation::Revocation;
use crate::screen::{Part, Screen};
use crate::screens;
use crate::session;
use crate::smart::context::LaunchContext;

/// Asks the page's script to begin the sign-in: what that takes is in the connect page's module.
pub(crate) const SIGN_IN: &str = "jhe-connect-sign-in";

/// A patient who is signed in at both servers.
pub(crate) struct Visit<'a> {
    pub(crate) view: &'a View,
    pub(crate) store: &'a TabStore,
    pub(crate) config: PageConfig,
    pub(crate) jhe: Rc<JheSession>,
}

impl Visit<'_> {
    /// The patient goes no further, and nothing was sent: the page keeps nothing.
    pub(crate) async fn end_with_nothing(&self, ehr: &LaunchContext, screen: &Screen) {
        session::forget_run(self.store);
        self.view.show(screen);
        let told = self.end_access(ehr).await;
        self.view.add_parts(self.view.screen(), &told);
    }

    /// Ends the access to both servers, as far as they let it.
    pub(crate) async fn end_access(&self, ehr: &LaunchContext) -> Vec<Part> {
        session::forget_tokens(self.store);
        let at_ehr = match ehr.revocation_request() {
            Some(request) => Some(send(request).await),
            None => None,
        };
        let at_jhe = send(self.jhe.revocation_request()).await;
        screens::forgot(&Revocation::of(at_ehr), &Revocation::of(Some(at_jhe)))
    }
}

/// Says what the hospital's portal is known as, where this tab knows it.
pub(crate) fn name_portal(view: &View, hospital: Option<String>) {
    if let Some(hospital) = hospital {
        view.names_portal(hospital.into());
    }
}
