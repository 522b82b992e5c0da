//! What all of the patient's pages share.

use crate::browser::platform;
use crate::browser::storage::TabStore;
use crate::browser::view::View;
use crate::config::PageConfig;
use crate::error::{Error, Failure};
use crate::language::{Message, Text};
use crate::screen::{Act, Screen};
use crate::session;
use crate::url::Url;

/// The configuration of a page, by which the study and the hospital's portal have their names from here on.
pub(crate) fn configuration(view: &View, config: &str, page: &Url) -> Result<PageConfig, Failure> {
    let config = PageConfig::parse(config, page)?;
    view.introduce(&config);
    Ok(config)
}

/// Tells the patient how a page ended.
pub(crate) fn end(view: &View, result: Result<(), Failure>) {
    if let Err(Failure(error)) = result {
        // Nobody goes on from here in this tab, so that no token has to wait for it.
        if let Ok(store) = TabStore::open() {
            session::forget_tokens(&store);
        }
        fail(view, &error, None, &[]);
    }
}

/// Tells the patient what went wrong, and that it may be gone: `next_step` in place of the usual one, and these buttons.
pub(crate) fn fail(
    view: &View,
    error: &Error,
    next_step: Option<Message>,
    ways_on: &[(Act, Text)],
) {
    if !error.is_patients_choice() {
        log(error);
    }
    let mut screen = Screen::of_error(error, next_step);
    for (act, label) in ways_on {
        screen = screen.offering(*act, *label);
    }
    view.show(&screen);
}

pub(crate) fn log(error: &Error) {
    platform::log_error(&["jhe-connect ", &error.line()].concat());
}
