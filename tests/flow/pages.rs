//! The two pages without their view: what `pages.rs` and `sign_in.rs` in `src/browser/` do, step for step.

use std::collections::VecDeque;

use jhe_connect::config::{AuthorizeOptions, PageConfig};
use jhe_connect::error::{CallbackError, Error, SignInError};
use jhe_connect::exchange::inventory::{Held, Inventory};
use jhe_connect::exchange::invitation::{Enrolment, Invitation};
use jhe_connect::exchange::jhe::JheSession;
use jhe_connect::exchange::patient::{Identification, PatientIdentifier};
use jhe_connect::exchange::source::{Source, SourceDescription, SourceRegistration};
use jhe_connect::http::HttpRequest;
use jhe_connect::import::progress::Tally;
use jhe_connect::import::{Action, Ending, ImportRun, Verdict};
use jhe_connect::oauth::authorization::AuthorizationResponse;
use jhe_connect::oauth::token::TokenResponse;
use jhe_connect::session::{self, RunRecord, SessionStore, StoreError};
use jhe_connect::smart::context::LaunchContext;
use jhe_connect::smart::discovery::{Discovery, Issuer};
use jhe_connect::smart::launch::{LaunchRequest, Launched, redeem};
use jhe_connect::url::Url;

use super::tab::Tab;

/// How the callback page ended, if nothing stopped it.
#[derive(Debug)]
pub(crate) enum Landed {
    /// A run went to its end.
    Imported(Import),
    /// A run that ended before is told of again.
    Recalled(RunRecord),
    /// The patient left in the middle.
    Left,
}

/// A run that went to its end.
#[derive(Debug)]
pub(crate) struct Import {
    /// The patient's id at the hospital.
    pub(crate) patient: String,
    pub(crate) source: Source,
    pub(crate) ending: Ending,
}

/// The connect page: from the invitation to the address of the hospital's sign-in.
pub(crate) fn connect(tab: &Tab, config: &str, address: &str) -> Result<String, Error> {
    let left = leave(tab, config, address);
    if left.is_err() {
        session::forget_jhe(&tab.store);
    }
    left
}

fn leave(tab: &Tab, config: &str, address: &str) -> Result<String, Error> {
    try_out(&tab.store)?;
    let page = page_url(address);
    let config = PageConfig::parse(config, &page)?;
    Issuer::parse(&config.iss, &page)?;
    let invitation = Invitation::parse(page.query(), page.host())?;

    let mut enrolment = Enrolment::new(config.jhe.clone(), invitation);
    tab.converse(&mut enrolment);
    session::keep_jhe(&tab.store, &enrolment.finish()?)?;

    let options = AuthorizeOptions {
        iss: config.iss,
        client_id: config.client_id,
        scope: config.scope,
        redirect_uri: config.redirect_uri,
        no_redirect: false,
    };
    begin_sign_in(tab, &options, page)
}

/// The callback page: from the hospital's answer to the records in JHE.
pub(crate) fn callback(tab: &Tab, config: &str, address: &str) -> Result<Landed, Error> {
    let page = page_url(address);
    try_out(&tab.store)?;
    if !AuthorizationResponse::is_present(page.query()) {
        return recall(tab);
    }
    let jhe = take_jhe(tab, config, &page);
    let (request, launched) = answered(tab, &page)?;
    let (config, jhe) = jhe?;

    let context = complete_sign_in(tab, request, launched)?;
    context.require_search(config.deployment.pull.search.resource_type)?;
    let patient = context.patient.clone();

    identify(tab, &config, &jhe, &context)?;
    let source = register(tab, &config, &jhe, &context)?;
    let held = take_inventory(tab, &config, &jhe, &context, &source)?;

    let begun = RunRecord {
        is_finished: false,
        tally: Tally::default(),
        code: None,
    };
    session::keep_run(&tab.store, &begun)?;
    let (pull, identity) = (config.deployment.pull, config.deployment.identity);
    let mut run = ImportRun::new(jhe, context, source.id, held, pull, identity, tab.now());
    let Some(ending) = perform(tab, &mut run) else {
        return Ok(Landed::Left);
    };
    finish(tab, &ending)?;
    Ok(Landed::Imported(Import {
        patient,
        source,
        ending,
    }))
}

fn begin_sign_in(tab: &Tab, options: &AuthorizeOptions, page: Url) -> Result<String, Error> {
    let issuer = Issuer::parse(&options.iss, &page)?;
    let mut discovery = Discovery::new(issuer, page);
    tab.converse(&mut discovery);
    let (issuer, configuration) = discovery.finish()?;
    let (url, pending) = LaunchRequest {
        issuer: &issuer,
        configuration: &configuration,
        client_id: &options.client_id,
        scope: &options.scope,
        redirect_uri: &options.redirect_uri,
        entropy: &tab.entropy(),
        now: tab.now(),
    }
    .begin();
    session::keep_launch(&tab.store, &pending)?;
    Ok(url)
}

fn answered(tab: &Tab, page: &Url) -> Result<(HttpRequest, Launched), Error> {
    let pending = session::take_launch(&tab.store)?;
    Ok(redeem(pending, page.query(), page, tab.now())?)
}

fn complete_sign_in(
    tab: &Tab,
    request: HttpRequest,
    launched: Launched,
) -> Result<LaunchContext, Error> {
    let answer = tab.send(request).map_err(SignInError::Transport)?;
    let token = TokenResponse::from_response(&answer).map_err(SignInError::Token)?;
    Ok(LaunchContext::new(launched, token, tab.now())?)
}

/// As the page tries its storage out before anything else.
fn try_out(store: &impl SessionStore) -> Result<(), StoreError> {
    store.write("probe", "1")?;
    store.remove("probe");
    Ok(())
}

fn take_jhe(tab: &Tab, config: &str, page: &Url) -> Result<(PageConfig, JheSession), Error> {
    let config = PageConfig::parse(config, page);
    let jhe = match &config {
        Ok(config) => session::jhe(&tab.store, &config.jhe)?,
        Err(_) => None,
    };
    session::forget_jhe(&tab.store);
    Ok((config?, jhe.ok_or(CallbackError::NoJheSession)?))
}

fn identify(
    tab: &Tab,
    config: &PageConfig,
    jhe: &JheSession,
    context: &LaunchContext,
) -> Result<(), Error> {
    let identifier = PatientIdentifier {
        system: context.issuer.as_str().into(),
        value: context.patient.clone(),
    };
    let mut identification = Identification::new(jhe, config.deployment, identifier);
    tab.converse(&mut identification);
    Ok(identification.finish()?)
}

fn register(
    tab: &Tab,
    config: &PageConfig,
    jhe: &JheSession,
    context: &LaunchContext,
) -> Result<Source, Error> {
    let description = SourceDescription {
        label: config.deployment.source_label.into(),
        fhir_base_url: context.issuer.as_str().into(),
        data_source: config.data_source_id.clone(),
    };
    let mut registration = SourceRegistration::new(jhe, description);
    tab.converse(&mut registration);
    Ok(registration.finish()?)
}

fn take_inventory(
    tab: &Tab,
    config: &PageConfig,
    jhe: &JheSession,
    context: &LaunchContext,
    source: &Source,
) -> Result<Held, Error> {
    let mut inventory = Inventory::new(
        jhe,
        config.deployment.pull.search.resource_type,
        context.issuer.as_str().into(),
        source.earlier.clone(),
    );
    tab.converse(&mut inventory);
    Ok(inventory.finish()?)
}

/// Performs a run to its end, as `src/browser/driver.rs` does, but one task after the other. `None` if the patient
/// leaves in the middle.
fn perform(tab: &Tab, run: &mut ImportRun) -> Option<Ending> {
    let mut under_way = VecDeque::new();
    loop {
        match run.next_action(tab.now()) {
            Action::Perform(task, request) => under_way.push_back((task, request)),
            Action::AwaitTime(until) if under_way.is_empty() => tab.let_pass(until - tab.now()),
            Action::AwaitFinish | Action::AwaitTime(_) => {
                let (task, request) = under_way.pop_front().expect("a task under way");
                let answer = tab.send(request);
                if tab.is_closed() {
                    return None;
                }
                run.finish(task, answer, tab.now());
            }
            Action::Complete => return Some(run.ending()),
        }
    }
}

fn finish(tab: &Tab, ending: &Ending) -> Result<(), Error> {
    if ending.verdict() == Verdict::Failed {
        session::forget_run(&tab.store);
        return Ok(());
    }
    let record = RunRecord {
        is_finished: true,
        tally: ending.tally.clone(),
        code: ending
            .errors()
            .iter()
            .flatten()
            .next()
            .map(|error| error.code().into()),
    };
    Ok(session::keep_run(&tab.store, &record)?)
}

fn recall(tab: &Tab) -> Result<Landed, Error> {
    let run = session::run(&tab.store)?.ok_or(CallbackError::NothingPending)?;
    if !run.is_finished {
        return Err(CallbackError::Interrupted.into());
    }
    Ok(Landed::Recalled(run))
}

fn page_url(address: &str) -> Url {
    Url::parse(address).expect("the page's address")
}
