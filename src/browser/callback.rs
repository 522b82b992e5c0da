//! The callback page: from the hospital's answer to the records in JHE.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;

use crate::browser::driver::perform;
use crate::browser::fetch::{converse, send};
use crate::browser::pages::{configuration, end, fail};
use crate::browser::platform::{Listener, Lock};
use crate::browser::progress::Panel;
use crate::browser::sign_in::{answered, complete_sign_in, page_url};
use crate::browser::storage::TabStore;
use crate::browser::view::{View, focus};
use crate::browser::{location, platform};
use crate::config::{PageConfig, Study};
use crate::confirmation::{concerns, person_request};
use crate::error::{CallbackError, Error, Failure};
use crate::exchange::deployment::MYCHART;
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{Identification, PatientIdentifier};
use crate::exchange::profile::{Profile, profile_request};
use crate::exchange::source::{SourceDescription, SourceRegistration};
use crate::fhir::person::Person;
use crate::import::findings::Findings;
use crate::import::plan::Plan;
use crate::import::{Checkpoint, Ending, ImportRun, Review, Start, Verdict, WayOn};
use crate::language::{Text, Value};
use crate::oauth::authorization::AuthorizationResponse;
use crate::oauth::revocation::Revocation;
use crate::receipt::Account;
use crate::remedy::go_on;
use crate::screen::{Act, Part, Screen};
use crate::screens::{self, Access, Found};
use crate::session::{self, RunRecord};
use crate::smart::context::LaunchContext;

/// Goes through the page, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String) {
    match callback(&view, &config).await {
        Err(Failure(error)) if can_go_on(&error) => {
            let ways_on = [(Act::TryAgain, Text::TryAgain)];
            fail(&view, &error, Some(go_on()), &ways_on);
            go_on_when_online();
            while view.next_act().await != Act::TryAgain {}
            location::reload();
        }
        result => end(&view, result),
    }
}

/// Does a reload go on where the run ended?
fn can_go_on(error: &Error) -> bool {
    let is_kept = |store: TabStore| matches!(session::run(&store), Ok(Some(_)));
    error.may_pass() && TabStore::open().is_ok_and(is_kept)
}

/// The browser does it itself when it is online again.
fn go_on_when_online() {
    Listener::new("online", |_| location::reload()).forever();
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
    if let Some(hospital) = session::hospital(&store)? {
        view.names_portal(hospital.into());
    }
    if !AuthorizationResponse::is_present(page.query()) {
        let run = earlier.ok_or(CallbackError::NothingPending)?;
        if run.is_finished {
            return recall(view, &run, config.ok());
        }
        let ehr = session::ehr(&store, &page)?.ok_or(CallbackError::Interrupted)?;
        let config = config?;
        let jhe = jhe_session(&store, &config)?;
        if run.needs_sign_in {
            view.call(SIGN_IN, "");
            return Ok(());
        }
        let visit = Visit {
            view,
            store: &store,
            config,
            jhe: Rc::new(jhe),
        };
        return visit.go_on(ehr, run).await;
    }
    view.show(&screens::finishing());
    let (request, launched) = answered(&store, &page)?;
    let config = config?;
    let jhe = jhe_session(&store, &config)?;
    let ehr = complete_sign_in(request, launched).await?;
    config.plan.require_grant(&ehr)?;
    let run = match (session::ehr(&store, &page)?, earlier) {
        (Some(before), _) if !before.is_of_same_patient(&ehr) => {
            return Err(CallbackError::OtherPatient.into());
        }
        (Some(_), Some(run)) => RunRecord {
            needs_sign_in: false,
            ..run
        },
        _ => RunRecord::default(),
    };
    // From here on a reload goes on.
    session::keep_ehr(&store, &ehr)?;
    session::keep_run(&store, &run)?;
    let visit = Visit {
        view,
        store: &store,
        config,
        jhe: Rc::new(jhe),
    };
    visit.go_on(ehr, run).await
}

/// Asks the page's script to begin the sign-in: what that takes is in the connect page's module.
const SIGN_IN: &str = "jhe-connect-sign-in";
/// Asks it to show what is below the counts.
const RECEIPT: &str = "jhe-connect-receipt";

fn jhe_session(store: &TabStore, config: &PageConfig) -> Result<JheSession, Failure> {
    let jhe = session::jhe(store, &config.jhe)?;
    Ok(jhe.ok_or(CallbackError::NoJheSession)?)
}

/// A patient who is signed in at both servers.
struct Visit<'a> {
    view: &'a View,
    store: &'a TabStore,
    config: PageConfig,
    jhe: Rc<JheSession>,
}

impl Visit<'_> {
    /// From the questions before the first write to the end. What was answered before a reload is not asked again.
    async fn go_on(mut self, ehr: LaunchContext, mut run: RunRecord) -> Result<(), Failure> {
        if !run.is_confirmed {
            if !self.is_the_right_person(&ehr).await {
                self.end_with_nothing(&ehr, &screens::not_me()).await;
                return Ok(());
            }
            run.is_confirmed = true;
            session::keep_run(self.store, &run)?;
        }
        // Of a run that has begun it was answered.
        let is_begun = run.is_reviewed || !run.checkpoint.pulls.is_empty();
        if !is_begun && self.wants_to_add(&ehr).await {
            self.view.call(SIGN_IN, "");
            return Ok(());
        }
        let lock = ["jhe-connect ", ehr.issuer.as_str(), " ", &ehr.patient].concat();
        let lock = Lock::take(&lock).await;
        let lock = lock.ok_or(CallbackError::OtherTab)?;
        let mut ehr = ehr;
        if self.config.reviews && !run.is_reviewed {
            let (reviewed, choice) = self.review(ehr).await?;
            ehr = reviewed;
            let Some(unticked) = choice else {
                self.end_with_nothing(&ehr, &screens::sent_nothing()).await;
                return Ok(());
            };
            run.unticked = unticked;
            run.is_reviewed = true;
            session::keep_ehr(self.store, &ehr)?;
            session::keep_run(self.store, &run)?;
        }
        self.config.plan = wanted(&self.config.plan, &run.unticked);
        self.import(ehr, run, lock).await
    }

    // The right person, and what they granted.

    /// Does the patient say that this is their record? Asked unless the study does not want it, or there is nothing to show
    /// and nothing that speaks against it.
    async fn is_the_right_person(&self, ehr: &LaunchContext) -> bool {
        if !self.config.confirms_patient {
            return true;
        }
        let person = match person_request(ehr) {
            Ok(request) => Person::from_answer(send(request).await, &ehr.patient).ok(),
            Err(_) => None,
        };
        let profile = send(profile_request(&self.jhe)).await;
        let profile = profile.ok().and_then(|it| Profile::from_response(&it).ok());
        let concerns = concerns(person.as_ref(), ehr, profile.as_ref());
        if person.is_none() && concerns.is_empty() {
            return true;
        }
        let screen = screens::person(person.as_ref(), &concerns);
        self.view.ask(&screen).await == Act::YesMe
    }

    /// Does the patient want to go back, and grant what is missing?
    async fn wants_to_add(&self, ehr: &LaunchContext) -> bool {
        let missing = self.config.plan.not_granted(ehr, &self.config.scope);
        !missing.is_empty() && self.view.ask(&screens::grants(&missing)).await == Act::AddMore
    }

    // Looking first.

    /// Shows what there is before anything is sent. Gives the labels of what the patient left out; nothing, if they send
    /// nothing.
    async fn review(
        &self,
        ehr: LaunchContext,
    ) -> Result<(LaunchContext, Option<Vec<String>>), Failure> {
        let mut run = ImportRun::review(Review {
            ehr,
            deployment: self.config.deployment,
            plan: self.config.plan.clone(),
            checkpoint: Checkpoint::default(),
            seed: platform::now(),
        });
        let panel = Panel::new(self.view, &run, platform::now());
        let ending = perform(&mut run, self.view, &panel, &mut |_| {}).await;
        let mut found = Vec::new();
        for row in &run.findings().rows {
            let count = row.count();
            if count > 0 {
                found.push(Found {
                    label: &row.label,
                    count,
                    span: row.first.zip(row.last),
                });
            }
        }
        let errors = ending.errors();
        if found.is_empty()
            && let Some(error) = errors.into_iter().flatten().next()
        {
            return Err(error.into());
        }
        let screen = screens::review(&found, self.config.offers_choice);
        if self.view.ask(&screen).await != Act::Send {
            return Ok((run.into_ehr(), None));
        }
        let mut left_out = Vec::new();
        if self.config.offers_choice {
            let ticked = self.view.ticked();
            for (place, row) in found.iter().enumerate() {
                if !ticked.contains(&place) {
                    left_out.push(String::from(row.label));
                }
            }
        }
        Ok((run.into_ehr(), Some(left_out)))
    }

    // The import.

    /// Copies the records, from the checkpoint on. Only for so long is the lock needed.
    async fn import(
        &self,
        ehr: LaunchContext,
        mut record: RunRecord,
        lock: Lock,
    ) -> Result<(), Failure> {
        let (view, store, config) = (self.view, self.store, &self.config);
        let asks = platform::ask_before_leaving();
        let goes_on = !record.checkpoint.pulls.is_empty();
        view.show(&screens::preparing(goes_on));
        let mut identification = identification(config, &self.jhe, &ehr);
        converse(&mut identification).await;
        identification.finish()?;
        let mut registration = registration(config, &self.jhe, &ehr);
        converse(&mut registration).await;
        let source = registration.finish()?;

        let shared = TabStore::shared();
        let start = Start {
            jhe: Rc::clone(&self.jhe),
            ehr,
            source,
            deployment: config.deployment,
            plan: config.plan.clone(),
            checkpoint: take(&mut record.checkpoint),
            last_write: shared.as_ref().ok().and_then(session::last_write),
            quiet_ms: config.quiet_ms,
            seed: platform::now(),
        };
        let mut run = ImportRun::new(start, platform::now());
        let mut revision = 0;
        let panel = Panel::new(view, &run, platform::now());
        let ending = perform(&mut run, view, &panel, &mut |run| {
            if let Ok(shared) = &shared
                && run.is_writing_once()
            {
                session::note_write(shared, platform::now());
            }
            if run.revision() != revision {
                revision = run.revision();
                // If the tab is full, a reload goes on from an earlier page.
                let _ = session::keep_ehr(store, run.ehr());
                record.checkpoint = run.checkpoint();
                let _ = session::keep_run(store, &record);
            }
        })
        .await;
        if let Ok(shared) = &shared
            && ending.tally.unsettled == 0
        {
            session::forget_last_write(shared);
        }
        drop(asks);
        let way_on = ending.way_on();
        self.finish(&mut run, ending, record);
        // Another tab may go on from here, however long the patient reads.
        drop(lock);
        self.after(run.ehr(), way_on).await;
        Ok(())
    }

    /// Tells how a run ended, and remembers it for a reload.
    fn finish(&self, run: &mut ImportRun, ending: Ending, mut record: RunRecord) {
        let (view, store) = (self.view, self.store);
        let (verdict, way_on) = (ending.verdict(), ending.way_on());
        let unit = self.config.deployment.writing.unit;
        let lines = ending.lines();
        for line in &lines {
            platform::log_error(&["jhe-connect ", line].concat());
        }
        view.show(&screens::ended(&ending, unit));
        let code = ending.code();
        let account = Account {
            rows: ending.rows,
            new_rows: ending.new_rows,
            unit,
            findings: run.take_findings(),
            errors: lines,
            jhe: self.config.jhe.origin(),
            ehr: run.ehr().issuer.as_str().into(),
            study: self.config.study.name.clone(),
            organization: self.config.study.organization.clone(),
            portal: portal(view),
            ended: platform::now(),
            is_recalled: false,
        };
        show_receipt(view, &account);
        match way_on {
            WayOn::None => {
                record.is_finished = true;
                record.checkpoint = run.checkpoint();
                record.checkpoint.pulls = ending.points;
                record.new_rows = ending.new_rows;
                record.code = code.map(String::from);
                match verdict {
                    Verdict::Failed => session::forget_run(store),
                    // If the tab can't keep it, only a reload knows less: the run itself is over.
                    _ => drop(session::keep_run(store, &record)),
                }
                session::forget_tokens(store);
                if self.config.revokes_token {
                    let request = self.jhe.revocation_request();
                    // If it fails, the token is forgotten all the same, and ends by itself.
                    platform::spawn(Box::pin(async move { drop(send(request).await) }));
                }
            }
            WayOn::TryAgain | WayOn::SignIn => {
                // What can't be kept is begun anew.
                record.needs_sign_in = way_on == WayOn::SignIn;
                record.checkpoint = run.checkpoint();
                let _ = session::keep_run(store, &record);
                let _ = session::keep_ehr(store, run.ehr());
            }
        }
    }

    /// What the patient can do when a run has ended.
    async fn after(&self, ehr: &LaunchContext, way_on: WayOn) {
        let view = self.view;
        let place = view.place("jc-choices");
        view.add_parts(&place, &screens::choices(Access::Held));
        if way_on == WayOn::TryAgain {
            go_on_when_online();
        }
        loop {
            match view.next_act().await {
                Act::TryAgain => location::reload(),
                Act::SignInAgain => view.call(SIGN_IN, ""),
                Act::Forget => {
                    place.set_text_content(None);
                    let forgetting = view.add(&place, "p", "", Text::Forgetting);
                    focus(&place);
                    // A run that could go on can't any more.
                    if way_on != WayOn::None {
                        session::forget_run(self.store);
                        view.withdraw(Act::TryAgain);
                        view.withdraw(Act::SignInAgain);
                    }
                    let told = self.end_access(ehr).await;
                    forgetting.remove();
                    view.add_parts(&place, &told);
                    view.add_parts(&place, &screens::choices(Access::Gone));
                    view.announce(Some(Text::ForgotHere.into()));
                }
                _ => {}
            }
        }
    }

    /// The patient goes no further, and nothing was sent: the page keeps nothing.
    async fn end_with_nothing(&self, ehr: &LaunchContext, screen: &Screen) {
        session::forget_run(self.store);
        self.view.show(screen);
        let told = self.end_access(ehr).await;
        self.view.add_parts(self.view.screen(), &told);
    }

    /// Ends the access to both servers, as far as they let it.
    async fn end_access(&self, ehr: &LaunchContext) -> Vec<Part> {
        session::forget_tokens(self.store);
        let at_ehr = match ehr.revocation_request() {
            Some(request) => Some(send(request).await),
            None => None,
        };
        let at_jhe = send(self.jhe.revocation_request()).await;
        screens::forgot(&Revocation::of(at_ehr), &Revocation::of(Some(at_jhe)))
    }
}

/// The plan without what the patient left out.
fn wanted(plan: &Plan, unticked: &[String]) -> Plan {
    plan.keep(&|_, row| !unticked.contains(&row.label))
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

/// The callback page without an answer: a reload. A run that ended is told of again, and never repeated.
fn recall(view: &View, run: &RunRecord, config: Option<PageConfig>) -> Result<(), Failure> {
    let (deployment, plan, study) = match config {
        Some(config) => (config.deployment, config.plan, config.study),
        None => (&MYCHART, Plan::of(&MYCHART), Study::default()),
    };
    let plan = wanted(&plan, &run.unticked);
    let unit = deployment.writing.unit;
    let tally = run.checkpoint.tally();
    let (stored, there) = (tally.stored, tally.already_there);
    view.show(&screens::recalled(run.is_whole(), stored, there, unit));
    if let Some(code) = &run.code {
        view.code(code);
    }
    let account = Account {
        rows: plan.sums(&run.checkpoint.pulls),
        new_rows: run.new_rows,
        unit,
        findings: Findings::default(),
        errors: Vec::new(),
        jhe: String::new(),
        ehr: String::new(),
        study: study.name,
        organization: study.organization,
        portal: portal(view),
        ended: platform::now(),
        is_recalled: true,
    };
    show_receipt(view, &account);
    let place = view.place("jc-choices");
    view.add_parts(&place, &screens::choices(Access::Gone));
    Ok(())
}

/// The name by which the patient knows the hospital, if it has one here.
fn portal(view: &View) -> Option<String> {
    match view.portal() {
        Value::Text(name) => Some(name),
        _ => None,
    }
}

/// Shows what the import brought, below the counts.
fn show_receipt(view: &View, account: &Account) {
    view.place("jc-receipt");
    view.call(RECEIPT, &account.to_json());
}
