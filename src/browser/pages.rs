//! The two pages, as the patient goes through them.

use alloc::string::String;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use crate::browser::driver::perform;
use crate::browser::fetch::converse;
use crate::browser::sign_in::{answered, begin_sign_in, complete_sign_in, page_url};
use crate::browser::storage::TabStore;
use crate::browser::view::{Stage, View};
use crate::browser::{location, platform};
use crate::config::{AuthorizeOptions, PageConfig};
use crate::error::{CallbackError, Error};
use crate::exchange::deployment::MYCHART;
use crate::exchange::inventory::Inventory;
use crate::exchange::invitation::{Enrolment, Invitation};
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{Identification, PatientIdentifier};
use crate::exchange::source::{Source, SourceDescription, SourceRegistration};
use crate::import::progress::Tally;
use crate::import::{Ending, ImportRun, Verdict};
use crate::oauth::authorization::AuthorizationResponse;
use crate::session::{self, RunRecord};
use crate::smart::context::LaunchContext;
use crate::smart::discovery::Issuer;
use crate::summary::{Summary, progress_line, waiting_line};
use crate::url::Url;

/// Which of the two pages this is.
#[derive(Clone, Copy)]
pub(crate) enum Page {
    Connect,
    Callback,
}

/// Goes through a page, and tells the patient how it ended.
pub(crate) async fn run(page: Page, view: View, config: String) {
    let result = match page {
        Page::Connect => connect(&view, &config).await,
        Page::Callback => callback(&view, &config).await,
    };
    if let Err(error) = result {
        // Nobody goes on from here in this tab, so that no token has to wait for it.
        if let Ok(store) = TabStore::open() {
            session::forget_jhe(&store);
        }
        fail(&view, &error);
    }
}

fn fail(view: &View, error: &Error) {
    if !error.is_patients_choice() {
        log(error);
    }
    view.error(error, MYCHART.portal);
    view.stage(Stage::Failed);
}

fn log(error: &Error) {
    platform::log_error(&["jhe-connect ", error.code(), ": ", &error.detail()].concat());
}

/// The connect page: from the invitation to the hospital's sign-in.
async fn connect(view: &View, config: &str) -> Result<(), Error> {
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let page = page_url()?;
    let config = PageConfig::parse(config, &page)?;
    // Looked at before the invitation is used; the sign-in reads it again.
    Issuer::parse(&config.iss, &page)?;
    let invitation = Invitation::parse(page.query(), page.host())?;
    reload_when_restored();

    view.step("Redeeming invitation");
    let mut enrolment = Enrolment::new(config.jhe.clone(), invitation);
    converse(&mut enrolment).await;
    session::keep_jhe(&store, &enrolment.finish()?)?;
    view.step("JHE access token received");

    let portal = config.deployment.portal;
    view.step(&["Asking ", portal, " how to sign in"].concat());
    let options = AuthorizeOptions {
        iss: config.iss,
        client_id: config.client_id,
        scope: config.scope,
        redirect_uri: config.redirect_uri,
        no_redirect: false,
    };
    let url = begin_sign_in(&store, &options, page).await?;
    view.step(&["Taking you to ", portal, " to sign in"].concat());
    view.stage(Stage::Redirecting);
    location::go(&url);
    Ok(())
}

/// The callback page: from the hospital's answer to the records in JHE.
async fn callback(view: &View, config: &str) -> Result<(), Error> {
    let page = page_url()?;
    // Before anything that can fail: neither a code nor an error stays in the address bar.
    location::scrub(&page);
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    if !AuthorizationResponse::is_present(page.query()) {
        return recall(view, &store);
    }
    let jhe = take_jhe(&store, config, &page);
    let (request, launched) = answered(&store, &page)?;
    let (config, jhe) = jhe?;

    let portal = config.deployment.portal;
    view.step(&["Completing your sign-in at ", portal].concat());
    let context = complete_sign_in(request, launched).await?;
    context.require_search(config.deployment.pull.search.resource_type)?;
    view.step(&[portal, " patient id: ", &context.patient].concat());

    let mut identification = identification(&config, &jhe, &context);
    converse(&mut identification).await;
    identification.finish()?;
    view.step(&["Stored ", portal, " patient id in JHE"].concat());
    let mut registration = registration(&config, &jhe, &context);
    converse(&mut registration).await;
    let source = registration.finish()?;
    view.step(match source.is_new() {
        true => "Registered your hospital as a source in JHE",
        false => "Found your hospital among your sources in JHE",
    });
    view.step("Looking at what JHE has already");
    let mut inventory = inventory(&config, &jhe, &context, &source);
    converse(&mut inventory).await;
    let held = inventory.finish()?;

    let begun = RunRecord {
        is_finished: false,
        tally: Tally::default(),
        code: None,
    };
    session::keep_run(&store, &begun)?;
    let (pull, identity) = (config.deployment.pull, config.deployment.identity);
    let mut run = ImportRun::new(
        jhe,
        context,
        source.id,
        held,
        pull,
        identity,
        platform::now(),
    );
    view.step("Copying your records");
    let ending = perform(&mut run, |run| {
        view.progress(&match run.waits_until() {
            Some(until) => waiting_line(until.saturating_sub(platform::now()), portal),
            None => progress_line(run.tally(), run.label()),
        });
    })
    .await;
    finish(view, &store, &config, ending);
    Ok(())
}

/// The configuration and the JHE session, which leaves the tab's storage: whatever comes of this page, the next one
/// begins at the invitation.
fn take_jhe(store: &TabStore, config: &str, page: &Url) -> Result<(PageConfig, JheSession), Error> {
    let config = PageConfig::parse(config, page);
    let jhe = match &config {
        Ok(config) => session::jhe(store, &config.jhe)?,
        Err(_) => None,
    };
    session::forget_jhe(store);
    Ok((config?, jhe.ok_or(CallbackError::NoJheSession)?))
}

/// Tells JHE who the patient is at the hospital.
fn identification<'a>(
    config: &PageConfig,
    jhe: &'a JheSession,
    context: &LaunchContext,
) -> Identification<'a> {
    let identifier = PatientIdentifier {
        system: context.issuer.as_str().into(),
        value: context.patient.clone(),
    };
    Identification::new(jhe, config.deployment, identifier)
}

/// Finds or registers the source under which the records are filed.
fn registration<'a>(
    config: &PageConfig,
    jhe: &'a JheSession,
    context: &LaunchContext,
) -> SourceRegistration<'a> {
    let description = SourceDescription {
        label: config.deployment.source_label.into(),
        fhir_base_url: context.issuer.as_str().into(),
        data_source: config.data_source_id.clone(),
    };
    SourceRegistration::new(jhe, description)
}

/// Reads back what JHE holds of this hospital's records.
fn inventory<'a>(
    config: &PageConfig,
    jhe: &'a JheSession,
    context: &LaunchContext,
    source: &Source,
) -> Inventory<'a> {
    Inventory::new(
        jhe,
        config.deployment.pull.search.resource_type,
        context.issuer.as_str().into(),
        source.earlier.clone(),
    )
}

/// Tells how a run ended, and remembers it for a reload.
fn finish(view: &View, store: &TabStore, config: &PageConfig, ending: Ending) {
    let verdict = ending.verdict();
    let portal = config.deployment.portal;
    view.summary(&Summary::of(
        &ending.tally,
        config.deployment.pull.label,
        portal,
    ));
    let errors = ending.errors();
    for error in errors.iter().flatten() {
        log(error);
        view.error(error, portal);
    }
    if verdict == Verdict::Failed {
        session::forget_run(store);
    } else {
        let record = RunRecord {
            is_finished: true,
            tally: ending.tally,
            code: errors
                .iter()
                .flatten()
                .next()
                .map(|error| error.code().into()),
        };
        // If the tab can't keep it, only a reload knows less: the run itself is over.
        let _ = session::keep_run(store, &record);
    }
    view.stage(match verdict {
        Verdict::Complete => Stage::Done,
        Verdict::Partly => Stage::Partly,
        Verdict::Failed => Stage::Failed,
    });
}

/// The callback page without an answer: a reload. A run that ended is told of again, and never repeated.
fn recall(view: &View, store: &TabStore) -> Result<(), Error> {
    let run = session::run(store)?.ok_or(CallbackError::NothingPending)?;
    if !run.is_finished {
        return Err(CallbackError::Interrupted.into());
    }
    let tally = &run.tally;
    let is_whole = run.code.is_none() && tally.not_saved() == 0;
    view.step(match is_whole {
        true => "This import is finished. Nothing was sent again.",
        false => "This import ended, but not everything arrived. Nothing was sent again.",
    });
    view.summary(&Summary::of(tally, MYCHART.pull.label, MYCHART.portal));
    if let Some(code) = &run.code {
        view.code(code);
    }
    view.stage(match is_whole {
        true => Stage::Done,
        false => Stage::Partly,
    });
    Ok(())
}

/// A browser's Back button may bring the page back as it was left, in the middle of going to the hospital. Only a fresh
/// start helps then.
fn reload_when_restored() {
    let on_show = Closure::<dyn FnMut(web_sys::PageTransitionEvent)>::new(
        |event: web_sys::PageTransitionEvent| {
            if event.persisted() {
                location::reload();
            }
        },
    );
    if let Some(window) = web_sys::window() {
        let listener = on_show.as_ref().unchecked_ref();
        // Fails for no event type.
        let _ = window.add_event_listener_with_callback("pageshow", listener);
    }
    // Forgotten on purpose: it listens for as long as the page exists.
    on_show.forget();
}
