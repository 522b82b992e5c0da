//! The callback page: from the hospital's answer to the records in JHE.

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;

use crate::browser::driver::perform;
use crate::browser::fetch::{converse, send};
use crate::browser::pages::{configuration, end, offer_another_try};
use crate::browser::platform::Lock;
use crate::browser::sign_in::{answered, complete_sign_in, page_url};
use crate::browser::storage::TabStore;
use crate::browser::view::{Stage, View};
use crate::browser::{location, platform};
use crate::config::PageConfig;
use crate::error::{CallbackError, Failure};
use crate::exchange::deployment::MYCHART;
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{Identification, PatientIdentifier};
use crate::exchange::source::{SourceDescription, SourceRegistration};
use crate::import::plan::Plan;
use crate::import::{Checkpoint, Ending, ImportRun, Start, Verdict, WayOn};
use crate::oauth::authorization::AuthorizationResponse;
use crate::remedy::GO_ON;
use crate::session::{self, RunRecord, StoreError};
use crate::smart::context::LaunchContext;
use crate::summary::{Summary, progress_lines, report, waiting_line};

/// Goes through the page, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String) {
    end(&view, callback(&view, &config).await);
}

/// The callback page: from the hospital's answer, or from where a reload found the run, to the records in JHE.
async fn callback(view: &View, config: &str) -> Result<(), Failure> {
    let page = page_url()?;
    // Before anything that can fail: neither a code nor an error stays in the address bar.
    location::scrub(&page);
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let earlier = session::run(&store)?;
    let config = configuration(view, config, &page);
    if !AuthorizationResponse::is_present(page.query()) {
        let run = earlier.ok_or(CallbackError::NothingPending)?;
        if run.is_finished {
            return recall(view, &run, config.ok());
        }
        let ehr = session::ehr(&store, &page)?.ok_or(CallbackError::Interrupted)?;
        let config = config?;
        let jhe = jhe_session(&store, &config)?;
        if run.needs_sign_in {
            view.ask_for_sign_in();
            return Ok(());
        }
        view.step("Going on where it stopped");
        return import(view, &store, config, jhe, ehr, run.checkpoint).await;
    }
    let (request, launched) = answered(&store, &page)?;
    let config = config?;
    let jhe = jhe_session(&store, &config)?;

    let portal = config.deployment.portal;
    view.step(&["Completing your sign-in at ", portal].concat());
    let ehr = complete_sign_in(request, launched).await?;
    config.plan.require_grant(&ehr)?;
    view.step(&["Patient id at ", portal, ": ", &ehr.patient].concat());
    let checkpoint = match (session::ehr(&store, &page)?, earlier) {
        (Some(before), _) if !before.is_of_same_patient(&ehr) => {
            return Err(CallbackError::OtherPatient.into());
        }
        (Some(_), Some(run)) => run.checkpoint,
        _ => Checkpoint::default(),
    };
    import(view, &store, config, jhe, ehr, checkpoint).await
}

fn jhe_session(store: &TabStore, config: &PageConfig) -> Result<JheSession, Failure> {
    let jhe = session::jhe(store, &config.jhe)?;
    Ok(jhe.ok_or(CallbackError::NoJheSession)?)
}

/// The line that tells how far the import is changes no more often, in milliseconds.
const REDRAWN_MS: u64 = 200;

/// Copies the records, from the checkpoint on.
async fn import(
    view: &View,
    store: &TabStore,
    config: PageConfig,
    jhe: JheSession,
    ehr: LaunchContext,
    checkpoint: Checkpoint,
) -> Result<(), Failure> {
    let jhe = Rc::new(jhe);
    let lock = ["jhe-connect ", ehr.issuer.as_str(), " ", &ehr.patient].concat();
    let lock = Lock::take(&lock).await;
    // Held for as long as this function goes on.
    let _lock = lock.ok_or(CallbackError::OtherTab)?;
    let _asks = platform::ask_before_leaving();
    // From here on a reload goes on.
    session::keep_ehr(store, &ehr)?;
    keep(store, checkpoint.clone())?;

    let portal = config.deployment.portal;
    let mut identification = identification(&config, &jhe, &ehr);
    converse(&mut identification).await;
    identification.finish()?;
    view.step("Stored your patient id in JHE");
    let mut registration = registration(&config, &jhe, &ehr);
    converse(&mut registration).await;
    let source = registration.finish()?;
    view.step(match source.is_new() {
        true => "Registered your hospital as a source in JHE",
        false => "Found your hospital among your sources in JHE",
    });

    let shared = TabStore::shared();
    let last_write = shared.as_ref().ok().and_then(session::last_write);
    let start = Start {
        jhe: Rc::clone(&jhe),
        ehr,
        source,
        deployment: config.deployment,
        plan: config.plan.clone(),
        checkpoint,
        last_write,
        quiet_ms: config.quiet_ms,
        seed: platform::now(),
    };
    let mut run = ImportRun::new(start, platform::now());
    let mut revision = 0;
    let shown = Cell::new(0);
    view.step("Copying your records");
    let ending = perform(
        &mut run,
        &mut |run| {
            if let Ok(shared) = &shared
                && run.is_writing_once()
            {
                session::note_write(shared, platform::now());
            }
            if run.revision() != revision {
                revision = run.revision();
                // If the tab is full, a reload goes on from an earlier page.
                let _ = session::keep_ehr(store, run.ehr());
                let _ = keep(store, run.checkpoint());
            }
        },
        &|run| {
            let now = platform::now();
            let wait = run.wait(now);
            // Each redrawing costs more than a record does.
            if wait.is_none() && now < shown.get() + REDRAWN_MS {
                return;
            }
            shown.set(now);
            let mut lines = progress_lines(&run.rows());
            lines.extend(wait.map(|wait| waiting_line(wait, now, portal)));
            view.progress(&lines);
        },
    )
    .await;
    if let Ok(shared) = &shared
        && ending.tally.unsettled == 0
    {
        session::forget_last_write(shared);
    }
    let ended = (ending, run.checkpoint());
    finish(view, store, config, &jhe, run.ehr(), ended).await;
    Ok(())
}

fn keep(store: &TabStore, checkpoint: Checkpoint) -> Result<(), StoreError> {
    let record = RunRecord {
        checkpoint,
        ..RunRecord::default()
    };
    session::keep_run(store, &record)
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
    let iss = context.issuer.as_str();
    let description = SourceDescription::new(config.deployment, iss, &config.data_source_id);
    SourceRegistration::new(jhe, description)
}

/// Tells how a run ended, and remembers it for a reload.
async fn finish(
    view: &View,
    store: &TabStore,
    config: PageConfig,
    jhe: &JheSession,
    ehr: &LaunchContext,
    ended: (Ending, Checkpoint),
) {
    let (ending, checkpoint) = ended;
    let (verdict, way_on) = (ending.verdict(), ending.way_on());
    let deployment = config.deployment;
    view.summary(&Summary::of(&ending.rows, ending.new_rows, deployment));
    let lines = ending.lines();
    for line in &lines {
        platform::log_error(&["jhe-connect ", line].concat());
    }
    let code: Option<String> = ending.code().map(String::from);
    if let Some(code) = &code {
        view.code(code);
    }
    let errors = ending.errors();
    let errors = errors.iter().flatten();
    for error in errors {
        view.error(error, (way_on != WayOn::None).then_some(GO_ON));
    }
    let servers = [&config.jhe.origin(), ehr.issuer.as_str()];
    let report = report(&ending.rows, &lines, servers);
    match way_on {
        WayOn::None => {
            let record = RunRecord {
                is_finished: true,
                checkpoint: Checkpoint {
                    pulls: ending.points,
                    ..checkpoint
                },
                new_rows: ending.new_rows,
                code,
                ..RunRecord::default()
            };
            match verdict {
                Verdict::Failed => session::forget_run(store),
                // If the tab can't keep it, only a reload knows less: the run itself is over.
                _ => drop(session::keep_run(store, &record)),
            }
            session::forget_tokens(store);
        }
        WayOn::TryAgain | WayOn::SignIn => {
            // What can't be kept is begun anew.
            let record = RunRecord {
                checkpoint,
                needs_sign_in: way_on == WayOn::SignIn,
                ..RunRecord::default()
            };
            let _ = session::keep_run(store, &record);
            let _ = session::keep_ehr(store, ehr);
            match way_on {
                WayOn::SignIn => view.action("Sign in again and go on", location::reload),
                _ => offer_another_try(view),
            }
        }
    }
    view.report(&report);
    view.stage(match verdict {
        Verdict::Complete => Stage::Done,
        Verdict::Partly => Stage::Partly,
        Verdict::Failed => Stage::Failed,
    });
    if way_on == WayOn::None && config.revokes_token {
        // If it fails, the token is forgotten all the same, and ends by itself.
        drop(send(jhe.revocation_request()).await);
    }
}

/// The callback page without an answer: a reload. A run that ended is told of again, and never repeated.
fn recall(view: &View, run: &RunRecord, config: Option<PageConfig>) -> Result<(), Failure> {
    let (deployment, plan) = match config {
        Some(config) => (config.deployment, config.plan),
        None => (&MYCHART, Plan::of(&MYCHART)),
    };
    let rows = plan.sums(&run.checkpoint.pulls);
    let is_whole = run.is_whole();
    view.step(match is_whole {
        true => "This import is finished. Nothing was sent again.",
        false => "This import ended, but not everything arrived. Nothing was sent again.",
    });
    view.summary(&Summary::of(&rows, run.new_rows, deployment));
    if let Some(code) = &run.code {
        view.code(code);
    }
    view.stage(match is_whole {
        true => Stage::Done,
        false => Stage::Partly,
    });
    Ok(())
}
