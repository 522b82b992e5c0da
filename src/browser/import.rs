//! The copying, behind the callback page: from what that page has kept in the tab to the records in JHE, and what the
//! patient can do afterwards. A reload comes here again by the same way.

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
use crate::browser::storage::TabStore;
use crate::browser::view::{View, focus};
use crate::browser::visit::{SIGN_IN, Visit, name_portal};
use crate::browser::{location, platform};
use crate::config::{PageConfig, Study};
use crate::error::{Error, Failure, RunError};
use crate::exchange::deployment::MYCHART;
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{Identification, PatientIdentifier};
use crate::exchange::source::{SourceDescription, SourceRegistration};
use crate::import::findings::Findings;
use crate::import::plan::Plan;
use crate::import::{Checkpoint, Ending, ImportRun, Purpose, Review, Start, Verdict, WayOn};
use crate::language::{Text, Value};
use crate::receipt::Account;
use crate::remedy::go_on;
use crate::screen::Act;
use crate::screens::{self, Access, Found};
use crate::session::{self, RunRecord};
use crate::smart::context::LaunchContext;

/// Goes on with what the tab keeps, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String) {
    match import(&view, &config).await {
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

/// Reads what the callback page has kept: a run that ended is told of again, any other one goes on.
async fn import(view: &View, config: &str) -> Result<(), Failure> {
    let page = location::own()?;
    let store = TabStore::open()?;
    let run = session::run(&store)?.ok_or(RunError::Interrupted)?;
    let config = configuration(view, config, &page);
    name_portal(view, session::hospital(&store)?);
    if run.is_finished {
        recall(view, &run, config.ok());
        return Ok(());
    }
    let config = config?;
    let jhe = session::jhe(&store, &config.jhe)?.ok_or(RunError::Interrupted)?;
    let visit = Visit {
        view,
        store: &store,
        config,
        jhe: Rc::new(jhe),
    };
    let ehr = session::ehr(&store, &page)?.ok_or(RunError::Interrupted)?;
    visit.go_on(ehr, run).await
}

/// Asks the page's script to show what is below the counts.
const RECEIPT: &str = "jhe-connect-receipt";

impl Visit<'_> {
    /// From the first record that is read to the end.
    async fn go_on(mut self, mut ehr: LaunchContext, mut run: RunRecord) -> Result<(), Failure> {
        let purpose = match self.config.reviews && !run.is_reviewed {
            true => Purpose::Review,
            false => Purpose::Copy,
        };
        let goes_on = !run.checkpoint.pulls.is_empty();
        self.view.take_on(&screens::preparing(purpose, goes_on));
        let lock = ["jhe-connect ", ehr.issuer.as_str(), " ", &ehr.patient].concat();
        let lock = Lock::take(&lock).await.ok_or(RunError::OtherTab)?;
        if purpose == Purpose::Review {
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
            self.view.show(&screens::preparing(Purpose::Copy, goes_on));
        }
        self.config.plan = wanted(&self.config.plan, &run.unticked);
        self.import(ehr, run, lock).await
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

/// A reload. A run that ended is told of again, and never repeated.
fn recall(view: &View, run: &RunRecord, config: Option<PageConfig>) {
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
