//! The connect page: from the invitation, by way of the list of hospitals if there is one, to the hospital's sign-in.

use alloc::string::String;

use wasm_bindgen::{JsCast, JsValue};

use crate::browser::fetch::converse;
use crate::browser::pages::{configuration, end};
use crate::browser::picker::pick;
use crate::browser::platform::Listener;
use crate::browser::sign_in::{begin_sign_in, page_url};
use crate::browser::storage::TabStore;
use crate::browser::view::{Stage, View};
use crate::browser::{location, platform};
use crate::config::PageConfig;
use crate::error::{CallbackError, Failure};
use crate::exchange::invitation::{Enrolment, Invitation};
use crate::session;
use crate::smart::discovery::Issuer;
use crate::url::Url;

/// Goes through the page, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String, picker: JsValue) {
    end(&view, connect(&view, &config, &picker).await);
}

/// Sends the patient back to the hospital of the run that this tab keeps, which can't go on without a sign-in.
pub(crate) async fn run_again(view: View, config: String) {
    end(&view, sign_in_again(&view, &config).await);
}

async fn connect(view: &View, config: &str, picker: &JsValue) -> Result<(), Failure> {
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let page = page_url()?;
    let config = configuration(view, config, &page)?;
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

async fn sign_in_again(view: &View, config: &str) -> Result<(), Failure> {
    let store = TabStore::open()?;
    let page = page_url()?;
    let config = configuration(view, config, &page)?;
    let ehr = session::ehr(&store, &page)?.ok_or(CallbackError::Interrupted)?;
    sign_in(view, &store, &config, ehr.issuer.as_str(), page).await
}

/// Sends the patient to the hospital whose FHIR base URL is `iss`.
async fn sign_in(
    view: &View,
    store: &TabStore,
    config: &PageConfig,
    iss: &str,
    page: Url,
) -> Result<(), Failure> {
    for resource_type in config.plan.not_in_scope(&config.scope) {
        let advice = [
            "jhe-connect: the scope lacks ",
            resource_type,
            ", which the plan pulls",
        ];
        platform::log_advice(&advice.concat());
    }
    let portal = config.deployment.portal;
    view.step(&["Asking ", portal, " how to sign in"].concat());
    let url = begin_sign_in(store, &config.sign_in(iss), page).await?;
    view.step(&["Taking you to ", portal, " to sign in"].concat());
    view.stage(Stage::Redirecting);
    location::go(&url);
    Ok(())
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
