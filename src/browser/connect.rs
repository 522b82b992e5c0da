//! The connect page: from the invitation, by way of the list of hospitals if there is one, to the hospital's sign-in.

use alloc::string::String;

use wasm_bindgen::{JsCast, JsValue};

use crate::browser::fetch::converse;
use crate::browser::pages::{end, sign_in};
use crate::browser::picker::pick;
use crate::browser::platform::Listener;
use crate::browser::sign_in::page_url;
use crate::browser::storage::TabStore;
use crate::browser::view::View;
use crate::browser::{location, platform};
use crate::config::PageConfig;
use crate::error::Error;
use crate::exchange::invitation::{Enrolment, Invitation};
use crate::session;
use crate::smart::discovery::Issuer;

/// Goes through the page, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String, picker: JsValue) {
    end(&view, connect(&view, &config, &picker).await);
}

async fn connect(view: &View, config: &str, picker: &JsValue) -> Result<(), Error> {
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let page = page_url()?;
    let config = PageConfig::parse(config, &page)?;
    view.names_portal(config.deployment.portal);
    if let Some(iss) = &config.iss {
        // Looked at before the invitation is used; the sign-in reads it again.
        Issuer::parse(iss, &page)?;
    }
    let invitation = Invitation::parse(page.query(), page.host())?;
    reload_when_restored();

    view.step("Redeeming invitation");
    let mut enrolment = Enrolment::new(config.jhe.clone(), invitation);
    converse(&mut enrolment).await;
    // Whatever this tab did before is over.
    session::forget_run(&store);
    session::forget_tokens(&store);
    let jhe = enrolment.finish()?;
    session::keep_jhe(&store, &jhe)?;
    view.step("JHE access token received");
    let iss = match (&config.iss, config.deployment.brands_path) {
        (None, Some(path)) => pick(view, picker, jhe, path).await?.fhir_base_url,
        (iss, _) => iss.clone().unwrap_or_default(),
    };
    sign_in(view, &store, &config, &iss, page).await
}

/// A browser's Back button may bring the page back as it was left, in the middle of going to the hospital. Only a fresh
/// start helps then.
fn reload_when_restored() {
    Listener::new("pageshow", |event| {
        let event = event.dyn_into::<web_sys::PageTransitionEvent>();
        if event.is_ok_and(|event| event.persisted()) {
            location::reload();
        }
    })
    .forever();
}
