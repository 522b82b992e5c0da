//! What the connect page and the callback page share.

use crate::browser::platform::Listener;
use crate::browser::storage::TabStore;
use crate::browser::view::{Stage, View};
use crate::browser::{location, platform};
use crate::config::PageConfig;
use crate::error::{Error, Failure};
use crate::remedy::GO_ON;
use crate::session;
use crate::url::Url;

/// The configuration of a page, by which the hospital's portal has its name from here on.
pub(crate) fn configuration(view: &View, config: &str, page: &Url) -> Result<PageConfig, Failure> {
    let config = PageConfig::parse(config, page)?;
    view.names_portal(config.deployment.portal);
    Ok(config)
}

/// Tells the patient how a page ended.
pub(crate) fn end(view: &View, result: Result<(), Failure>) {
    if let Err(Failure(error)) = result {
        fail(view, &error);
    }
}

fn fail(view: &View, error: &Error) {
    if !error.is_patients_choice() {
        log(error);
    }
    let store = TabStore::open();
    let goes_on = error.may_pass()
        && store
            .as_ref()
            .is_ok_and(|store| matches!(session::run(store), Ok(Some(_))));
    view.error(error, goes_on.then_some(GO_ON));
    match store {
        _ if goes_on => offer_another_try(view),
        // Nobody goes on from here in this tab, so that no token has to wait for it.
        Ok(store) => session::forget_tokens(&store),
        Err(_) => {}
    }
    view.stage(Stage::Failed);
}

pub(crate) fn log(error: &Error) {
    platform::log_error(&["jhe-connect ", &error.line()].concat());
}

/// A reload goes on where the run ended, and the browser does it itself when it is online again.
pub(crate) fn offer_another_try(view: &View) {
    view.action("Try again", location::reload);
    Listener::new("online", |_| location::reload()).forever();
}
