//! The two pages without their view and without the questions that they ask the patient: what else `connect.rs`, `callback.rs` and `sign_in.rs`
//! in `src/browser/` do, step for step.

use std::collections::VecDeque;

use std::rc::Rc;

use jhe_connect::config::{AuthorizeOptions, PageConfig};
use jhe_connect::error::{CallbackError, Error, Interrupted, SignInError};
use jhe_connect::exchange::brands::Brand;
use jhe_connect::exchange::deployment::Unit;
use jhe_connect::exchange::invitation::{Enrolment, Invitation};
use jhe_connect::exchange::jhe::JheSession;
use jhe_connect::exchange::patient::{Identification, PatientIdentifier};
use jhe_connect::exchange::source::{
    KnownHospitals, Source, SourceDescription, SourceRegistration,
};
use jhe_connect::http::HttpRequest;
use jhe_connect::import::findings::Findings;
use jhe_connect::import::{Action, Checkpoint, Ending, ImportRun, Start, Verdict, WayOn};
use jhe_connect::oauth::authorization::AuthorizationResponse;
use jhe_connect::oauth::token::TokenResponse;
use jhe_connect::picker::{self, Picker};
use jhe_connect::receipt::Account;
use jhe_connect::session::{self, RunRecord, SessionStore, StoreError};
use jhe_connect::smart::context::LaunchContext;
use jhe_connect::smart::discovery::Issuer;
use jhe_connect::smart::identity::{IdentityCheck, Outcome};
use jhe_connect::smart::launch::{LaunchRequest, Launched, redeem};
use jhe_connect::smart::preflight::Preflight;
use jhe_connect::url::Url;

use super::tab::Tab;

/// How the callback page ended, if nothing stopped it.
#[derive(Debug)]
pub(crate) enum Landed {
    /// A run went to its end.
    Imported(Box<Import>),
    /// A run that ended before is told of again.
    Recalled(RunRecord),
    /// The patient is to sign in once more, at this address.
    SentToSignIn(String),
    /// The patient left the connect page: they begin at the link again.
    LeftBeforeSignIn,
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

impl Import {
    /// The run says that it found these labs and stored each of them.
    pub(crate) fn has_stored_all(&self, labs: &[String]) {
        let tally = &self.ending.tally;
        assert_eq!(self.ending.verdict(), Verdict::Complete, "{self:?}");
        assert_eq!(
            (tally.stored as usize, tally.already_there, tally.repeated),
            (labs.len(), 0, 0)
        );
        assert_eq!(tally.found as usize, labs.len());
    }

    /// What is told of it at the end.
    pub(crate) fn account(&self) -> Account {
        Account {
            rows: self.ending.rows.clone(),
            new_rows: self.ending.new_rows,
            unit: Unit::Batch,
            findings: Findings::default(),
            errors: self.ending.lines(),
            jhe: String::new(),
            ehr: String::new(),
            study: None,
            organization: None,
            portal: None,
            ended: 0,
            is_recalled: false,
            others: Vec::new(),
        }
    }
}

/// The connect page: from the invitation to the address of the hospital's sign-in.
pub(crate) fn connect(tab: &Tab, config: &str, address: &str) -> Result<String, Error> {
    unless_it_fails(tab, leave(tab, config, address))
}

/// A failed page keeps no token, unless a run can go on from it.
fn unless_it_fails<T>(tab: &Tab, result: Result<T, Error>) -> Result<T, Error> {
    if let Err(error) = &result {
        let goes_on = error.may_pass() && matches!(session::run(&tab.store), Ok(Some(_)));
        if !goes_on {
            session::forget_tokens(&tab.store);
        }
    }
    result
}

fn leave(tab: &Tab, config: &str, address: &str) -> Result<String, Error> {
    try_out(&tab.store)?;
    let page = page_url(address);
    let config = PageConfig::parse(config, &page)?;
    if let Some(iss) = &config.iss {
        Issuer::parse(iss, &page)?;
    }
    let invitation = Invitation::parse(page.query(), page.host())?;

    let mut enrolment = Enrolment::new(config.jhe.clone(), invitation);
    tab.converse(&mut enrolment);
    session::forget_run(&tab.store);
    session::forget_tokens(&tab.store);
    let jhe = enrolment.finish()?;
    session::keep_jhe(&tab.store, &jhe)?;
    let mut sources = KnownHospitals::new(&jhe, config.deployment, &config.data_source_id);
    tab.converse(&mut sources);
    let mut known = sources.finish();
    let (iss, name) = match config.brands_path() {
        // One that is known is gone to; of several the patient chooses the first.
        Some(_) if !known.is_empty() => {
            let hospital = known.remove(0);
            (hospital.fhir_base_url, hospital.name)
        }
        Some(path) => {
            let brand = pick(tab, jhe, path)?;
            let name = Some(brand.place_name().into());
            (brand.fhir_base_url, name)
        }
        None => (config.iss.clone().unwrap_or_default(), None),
    };
    let url = begin_sign_in(tab, &config.sign_in(&iss), page)?;
    session::keep_hospital(&tab.store, &iss, name.as_deref())?;
    Ok(url)
}

/// So often the patient asks for a list that failed. On the page they could do so for ever.
const TRIES: u32 = 3;

/// What `src/browser/picker.rs` does with a patient who knows the hospital's name: who types it unless it is listed.
fn pick(tab: &Tab, jhe: JheSession, path: &'static str) -> Result<Brand, Error> {
    let name = tab.hospital.borrow().clone();
    let mut picker = Picker::new(Rc::new(jhe), path, "");
    let mut tries = 1;
    loop {
        match picker.next_action(tab.now()) {
            picker::Action::Ask(ticket, request) => picker.finish(ticket, tab.send(request)),
            picker::Action::AwaitTime(until) => tab.let_pass(until - tab.now()),
            picker::Action::AwaitAnswer => panic!("nothing is under way"),
            picker::Action::AwaitPatient => {
                let mut listed = picker.brands().iter();
                let row = listed.position(|brand| brand.facility == name);
                match (picker.failure(), row) {
                    (Some(error), _) if tries == TRIES => return Err(error.clone().into()),
                    (Some(_), _) => {
                        tries += 1;
                        picker.hurry();
                    }
                    (None, Some(row)) => picker.pick(row),
                    (None, None) => {
                        assert_ne!(picker.query(), name, "{:?}", picker.status());
                        picker.type_in(&name, tab.now());
                    }
                }
            }
            picker::Action::End(end) => return Ok(end?),
        }
    }
}

/// The callback page: from the hospital's answer, or from where a reload found the run, to the records in JHE.
pub(crate) fn callback(tab: &Tab, config: &str, address: &str) -> Result<Landed, Error> {
    match arrive(tab, config, address) {
        // A page that is gone does nothing any more.
        _ if tab.is_gone() => Ok(Landed::Left),
        result => unless_it_fails(tab, result),
    }
}

fn arrive(tab: &Tab, config: &str, address: &str) -> Result<Landed, Error> {
    let page = page_url(address);
    try_out(&tab.store)?;
    let earlier = session::run(&tab.store)?;
    let known = known(tab, config, &page);
    if !AuthorizationResponse::is_present(page.query()) {
        let run = earlier.ok_or(CallbackError::NothingPending)?;
        if run.is_finished {
            return Ok(Landed::Recalled(run));
        }
        let ehr = session::ehr(&tab.store, &page)?.ok_or(Interrupted)?;
        let (config, jhe) = known?;
        if run.needs_sign_in {
            // The page's script loads the connect page's module for it.
            return sign_in_again(tab, &config, page);
        }
        return import(tab, &config, jhe, ehr, run.checkpoint);
    }
    let (request, launched) = answered(tab, &page)?;
    let (config, jhe) = known?;
    let mut ehr = complete_sign_in(tab, request, launched)?;
    config.plan.require_grant(&ehr)?;
    check_identity(tab, &mut ehr, &page)?;
    let checkpoint = match (session::ehr(&tab.store, &page)?, earlier) {
        (Some(before), _) if !before.is_of_same_patient(&ehr) => {
            return Err(CallbackError::OtherPatient.into());
        }
        (Some(_), Some(run)) => run.checkpoint,
        _ => Checkpoint::default(),
    };
    import(tab, &config, jhe, ehr, checkpoint)
}

/// What `src/browser/identity.rs` does, with the sandbox's cryptography in place of the browser's.
fn check_identity(tab: &Tab, ehr: &mut LaunchContext, page: &Url) -> Result<(), Error> {
    let Some(inquiry) = ehr.inquiry() else {
        return Ok(());
    };
    let mut check = IdentityCheck::new(inquiry, page.clone(), tab.now());
    tab.converse(&mut check);
    let verdict = match check.finish() {
        Outcome::Judged(verdict) => verdict,
        Outcome::Sealed(sealed) => {
            let what = sealed.verification();
            let alg = what.algorithm().name();
            let is_good = sandbox::verifies(alg, what.key(), what.signed(), what.signature());
            sealed.judged(is_good)
        }
    };
    ehr.identify(verdict)?;
    Ok(())
}

fn sign_in_again(tab: &Tab, config: &PageConfig, page: Url) -> Result<Landed, Error> {
    let ehr = session::ehr(&tab.store, &page)?.ok_or(Interrupted)?;
    let address = begin_sign_in(tab, &config.sign_in(ehr.issuer.as_str()), page)?;
    Ok(Landed::SentToSignIn(address))
}

fn import(
    tab: &Tab,
    config: &PageConfig,
    jhe: JheSession,
    ehr: LaunchContext,
    checkpoint: Checkpoint,
) -> Result<Landed, Error> {
    session::keep_ehr(&tab.store, &ehr)?;
    keep(tab, &checkpoint)?;
    let patient = ehr.patient.clone();
    identify(tab, config, &jhe, &ehr)?;
    let source = register(tab, config, &jhe, &ehr)?;
    let jhe = Rc::new(jhe);
    let start = Start {
        jhe: Rc::clone(&jhe),
        ehr,
        source: source.clone(),
        deployment: config.deployment,
        plan: config.plan.clone(),
        checkpoint,
        last_write: session::last_write(&tab.shared),
        quiet_ms: config.quiet_ms,
        seed: tab.now(),
    };
    let mut run = ImportRun::new(start, tab.now());
    let Some(ending) = perform(tab, &mut run) else {
        return Ok(Landed::Left);
    };
    if ending.tally.unsettled == 0 {
        session::forget_last_write(&tab.shared);
    }
    finish(tab, config, &jhe, &run, &ending)?;
    Ok(Landed::Imported(Box::new(Import {
        patient,
        source,
        ending,
    })))
}

fn keep(tab: &Tab, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let record = RunRecord {
        checkpoint: checkpoint.clone(),
        ..RunRecord::default()
    };
    session::keep_run(&tab.store, &record)
}

fn begin_sign_in(tab: &Tab, options: &AuthorizeOptions, page: Url) -> Result<String, Error> {
    let issuer = Issuer::parse(&options.iss, &page)?;
    let mut preflight = Preflight::new(issuer, page, tab.now());
    // The page does both at once.
    let look = tab.send(preflight.look_request()?);
    while let Some(request) = preflight.next_request(tab.now()) {
        preflight.receive(tab.send(request));
    }
    let (issuer, configuration) = preflight.finish(Some(look))?;
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

fn known(tab: &Tab, config: &str, page: &Url) -> Result<(PageConfig, JheSession), Error> {
    let config = PageConfig::parse(config, page)?;
    let jhe = session::jhe(&tab.store, &config.jhe)?;
    Ok((config, jhe.ok_or(CallbackError::NoJheSession)?))
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
    let iss = context.issuer.as_str();
    let description = SourceDescription::new(config.deployment, iss, &config.data_source_id);
    let hospital = session::hospital(&tab.store)?;
    let description = description.of_hospital(hospital.as_deref());
    let mut registration = SourceRegistration::new(jhe, description);
    tab.converse(&mut registration);
    Ok(registration.finish()?)
}

/// Performs a run to its end, as `src/browser/driver.rs` does, but one task after the other. `None` if the patient
/// leaves in the middle: what was under way then is sent all the same, as it was in a browser.
fn perform(tab: &Tab, run: &mut ImportRun) -> Option<Ending> {
    let mut under_way = VecDeque::new();
    let mut revision = 0;
    loop {
        match run.next_action(tab.now()) {
            Action::Perform(task, request) => {
                if run.is_writing_once() {
                    session::note_write(&tab.shared, tab.now());
                }
                if run.revision() != revision {
                    revision = run.revision();
                    session::keep_ehr(&tab.store, run.ehr()).expect("storage");
                    keep(tab, &run.checkpoint()).expect("storage");
                }
                under_way.push_back((task, request));
            }
            Action::AwaitTime(until) if under_way.is_empty() => tab.let_pass(until - tab.now()),
            Action::AwaitFinish | Action::AwaitTime(_) => {
                let (task, request) = under_way.pop_front().expect("a task under way");
                let answer = tab.send(request);
                if tab.is_gone() {
                    for (_, request) in under_way {
                        drop(tab.send(request));
                    }
                    return None;
                }
                run.finish(task, answer, tab.now());
            }
            Action::Complete => return Some(run.ending()),
        }
    }
}

fn finish(
    tab: &Tab,
    config: &PageConfig,
    jhe: &JheSession,
    run: &ImportRun,
    ending: &Ending,
) -> Result<(), Error> {
    if ending.way_on() != WayOn::None {
        let record = RunRecord {
            checkpoint: run.checkpoint(),
            needs_sign_in: ending.way_on() == WayOn::SignIn,
            ..RunRecord::default()
        };
        session::keep_run(&tab.store, &record)?;
        return Ok(session::keep_ehr(&tab.store, run.ehr())?);
    }
    let record = RunRecord {
        is_finished: true,
        checkpoint: Checkpoint {
            pulls: ending.points.clone(),
            ..run.checkpoint()
        },
        new_rows: ending.new_rows,
        code: ending.code().map(String::from),
        ..RunRecord::default()
    };
    match ending.verdict() {
        Verdict::Failed => session::forget_run(&tab.store),
        _ => session::keep_run(&tab.store, &record)?,
    }
    session::forget_tokens(&tab.store);
    if config.revokes_token {
        drop(tab.send(jhe.revocation_request()));
    }
    Ok(())
}

fn page_url(address: &str) -> Url {
    Url::parse(address).expect("the page's address")
}
