//! The copying, behind the callback page: from what that page has kept in the tab to the records in JHE, and what the
//! patient can do afterwards. A reload comes here again by the same way.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;

use web_sys::Element;

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
use crate::error::{Error, Failure, Interrupted, OtherTab};
use crate::exchange::deployment::MYCHART;
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{Identification, PatientIdentifier};
use crate::exchange::source::{SourceDescription, SourceRegistration};
use crate::import::findings::Findings;
use crate::import::plan::Plan;
use crate::import::{Checkpoint, Ending, ImportRun, Purpose, Review, Start, Stop, Verdict, WayOn};
use crate::language::{Text, Value};
use crate::receipt::{Account, Share};
use crate::remedy::go_on;
use crate::screen::{Act, Stage};
use crate::screens::{self, Access, Found};
use crate::session::{self, Connection, RunRecord};
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
    let config = configuration(view, config, &page);
    name_portal(view, session::hospital(&store)?);
    let run = match session::run(&store)? {
        Some(run) if !run.is_finished => run,
        run => return recall(view, &store, run, config.ok()).await,
    };
    let config = config?;
    let jhe = session::jhe(&store, &config.jhe)?.ok_or(Interrupted)?;
    let visit = Visit {
        view,
        store: &store,
        config,
        jhe: Rc::new(jhe),
    };
    let ehr = session::ehr(&store, &page)?.ok_or(Interrupted)?;
    visit.go_on(ehr, run).await
}

/// Asks the page's script to let the patient pick one more hospital, as for a sign-in.
const ADD_HOSPITAL: &str = "jhe-connect-add-hospital";
/// The module that shows what is below the counts.
const RECEIPT: &str = "jhe-connect-receipt";

impl Visit<'_> {
    /// From the first record that is read to the end.
    async fn go_on(self, mut ehr: LaunchContext, mut run: RunRecord) -> Result<(), Failure> {
        let purpose = match self.config.reviews && !run.is_reviewed {
            true => Purpose::Review,
            false => Purpose::Copy,
        };
        let goes_on = !run.checkpoint.pulls.is_empty();
        self.view.take_on(&screens::preparing(purpose, goes_on));
        let lock = ["jhe-connect ", ehr.issuer.as_str(), " ", &ehr.patient].concat();
        let lock = Lock::take(&lock).await.ok_or(OtherTab)?;
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
        let hospital = session::hospital(store)?;
        let mut registration = registration(config, &self.jhe, &ehr, hospital.as_deref());
        converse(&mut registration).await;
        let source = registration.finish()?;

        let shared = TabStore::shared();
        let start = Start {
            jhe: Rc::clone(&self.jhe),
            ehr,
            source,
            deployment: config.deployment,
            plan: wanted(&config.plan, &record.unticked),
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
        let hospitals = self.finish(&mut run, ending, record);
        // Another tab may go on from here, however long the patient reads.
        drop(lock);
        self.after(run.ehr(), way_on, hospitals).await;
        Ok(())
    }

    /// Tells how a run ended, and remembers it for a reload.
    fn finish(&self, run: &mut ImportRun, ending: Ending, mut record: RunRecord) -> Hospitals<'_> {
        let (view, store, config) = (self.view, self.store, &self.config);
        let (verdict, way_on) = (ending.verdict(), ending.way_on());
        let unit = config.deployment.writing.unit;
        let lines = ending.lines();
        for line in &lines {
            platform::log_error(&["jhe-connect ", line].concat());
        }
        record.is_finished = way_on == WayOn::None;
        record.needs_sign_in = way_on == WayOn::SignIn;
        record.checkpoint = run.checkpoint();
        record.new_rows = ending.new_rows;
        let resumes = record.clone();
        record.code = ending.code().map(String::from);
        record.checkpoint.pulls = ending.points.clone();
        let mut hospitals = Hospitals::of(self, run.ehr().issuer.as_str(), &record);
        view.show(&screens::ended(&ending, unit, hospitals.visit.len()));
        let offers_more = !matches!(ending.stop, Some(Stop::JheSessionExpired));
        hospitals.draw(offers_more && !config.revokes_token);
        let account = Account {
            rows: ending.rows,
            new_rows: ending.new_rows,
            unit,
            findings: run.take_findings(),
            errors: lines,
            jhe: config.jhe.origin(),
            ehr: run.ehr().issuer.as_str().into(),
            study: config.study.name.clone(),
            organization: config.study.organization.clone(),
            portal: portal(view),
            ended: platform::now(),
            is_recalled: false,
            others: hospitals.shares(&config.plan),
        };
        show_receipt(view, &account);
        match way_on {
            WayOn::None => {
                match verdict {
                    Verdict::Failed => session::forget_run(store),
                    // If the tab can't keep it, only a reload knows less: the run itself is over.
                    _ => drop(session::keep_run(store, &record)),
                }
                session::forget_tokens(store);
                if config.revokes_token {
                    let request = self.jhe.revocation_request();
                    // If it fails, the token is forgotten all the same, and ends by itself.
                    platform::spawn(Box::pin(async move { drop(send(request).await) }));
                }
            }
            WayOn::TryAgain | WayOn::SignIn => {
                // What can't be kept is begun anew.
                let _ = session::keep_run(store, &resumes);
                let _ = session::keep_ehr(store, run.ehr());
            }
        }
        // Of a single hospital that gave nothing there is nothing to tell again.
        if hospitals.visit.len() > 1 || verdict != Verdict::Failed {
            hospitals.keep();
        }
        hospitals
    }

    /// What the patient can do when a run has ended.
    async fn after(&self, ehr: &LaunchContext, way_on: WayOn, mut hospitals: Hospitals<'_>) {
        let view = self.view;
        let place = view.place("jc-choices");
        let until = ehr.lasts_until.filter(|until| *until > platform::now());
        let until = until.map(platform::instant);
        view.add_parts(&place, &screens::choices(Access::Held, until.as_deref()));
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
                    hospitals.draw(false);
                    // A run that could go on can't any more.
                    if way_on != WayOn::None {
                        session::forget_run(self.store);
                        view.withdraw(Act::TryAgain);
                        view.withdraw(Act::SignInAgain);
                    }
                    let told = self.end_access(ehr).await;
                    forgetting.remove();
                    view.add_parts(&place, &told);
                    view.add_parts(&place, &screens::choices(Access::Gone, None));
                    view.announce(Some(Text::ForgotHere.into()));
                }
                act if hospitals.heed(act, &self.jhe) => return,
                _ => {}
            }
        }
    }
}

/// The hospitals of the visit, where the patient picks them, and what can be done about each.
struct Hospitals<'a> {
    view: &'a View,
    store: &'a TabStore,
    visit: Vec<Connection>,
    /// Where they stand on the page.
    place: Option<Element>,
    /// The one that the page is about, with buttons of its own.
    issuer: String,
}

impl<'a> Hospitals<'a> {
    /// Those of the visit, with the one whose run has come this far.
    fn of(visit: &Visit<'a>, issuer: &str, run: &RunRecord) -> Self {
        let (view, store) = (visit.view, visit.store);
        let mut known = Vec::new();
        if visit.config.brands_path().is_some() {
            known = session::visit(store).unwrap_or_default();
            let connection = Connection {
                issuer: issuer.into(),
                hospital: session::hospital(store).ok().flatten(),
                run: run.clone(),
            };
            session::connect(&mut known, connection);
        }
        Hospitals {
            view,
            store,
            visit: known,
            place: None,
            issuer: issuer.into(),
        }
    }

    fn keep(&self) {
        if !self.visit.is_empty() {
            // What can't be kept is not told again.
            let _ = session::keep_visit(self.store, &self.visit);
        }
    }

    /// What the others gave, for the receipt.
    fn shares(&self, plan: &Plan) -> Vec<Share> {
        let mut shares = Vec::new();
        for Connection {
            issuer,
            hospital,
            run,
        } in &self.visit
        {
            let rows = wanted(plan, &run.unticked).sums(&run.checkpoint.pulls);
            if *issuer != self.issuer && !rows.is_empty() {
                shares.push(Share {
                    portal: hospital.clone(),
                    ehr: issuer.clone(),
                    rows,
                    new_rows: run.new_rows,
                });
            }
        }
        shares
    }

    /// Shows them, if there are several, and the way to a further one. `goes_on`: does the page have access to JHE?
    fn draw(&mut self, goes_on: bool) {
        if self.visit.is_empty() {
            return;
        }
        let view = self.view;
        let place = self.place.take();
        let place = place.unwrap_or_else(|| view.place("jc-hospitals"));
        place.set_text_content(None);
        if self.visit.len() > 1 {
            view.add_section(&place, Text::YourHospitals);
            let list = view.element(&place, "ul", "jc-visit");
            for (number, (line, connection)) in screens::hospitals(&self.visit)
                .into_iter()
                .zip(&self.visit)
                .enumerate()
            {
                let class = if line.is_open { "jc-cut" } else { "jc-read" };
                let item = view.element(&list, "li", class);
                view.add(&item, "span", "jc-kind", line.name.clone());
                view.add(&item, "span", "jc-state", line.state);
                // A run that can go on has a button of its own above.
                let is_elsewhere = connection.run.is_finished || connection.issuer != self.issuer;
                if line.is_open && goes_on && is_elsewhere {
                    let button = view.add_choice(&item, number, Text::TryAgain.into());
                    view.label(&button, Text::TryAgainAt.with([line.name]));
                }
            }
        }
        if goes_on {
            let name = Act::AddHospital.name();
            view.add_button(&place, "jc-action", name, Text::AddHospital);
        } else {
            view.add(&place, "p", "", Text::AddByLink);
        }
        self.place = Some(place);
    }

    /// Goes where the patient wants, if that is what they want: JHE's token is in the tab from here on.
    fn heed(&self, act: Act, jhe: &JheSession) -> bool {
        let store = self.store;
        let (hospital, event) = match act {
            Act::Hospital(place) => (self.visit.get(place), SIGN_IN),
            Act::AddHospital => (None, ADD_HOSPITAL),
            _ => return false,
        };
        self.view.stage(Stage::Working);
        self.keep();
        // What can't be kept is missed there, and told.
        let _ = session::keep_jhe(store, jhe);
        if let Some(hospital) = hospital {
            // It begins anew; a run of another one that could go on does so, too, when it is tried again.
            session::forget_run(store);
            session::forget_ehr(store);
            let name = hospital.hospital.as_deref();
            let _ = session::keep_hospital(store, &hospital.issuer, name);
        }
        self.view.call(event, "");
        true
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
    hospital: Option<&str>,
) -> SourceRegistration<'a> {
    let iss = context.issuer.as_str();
    let description = SourceDescription::new(config.deployment, iss, &config.data_source_id);
    SourceRegistration::new(jhe, description.of_hospital(hospital))
}

/// A reload. What ended is told of again, and never repeated.
async fn recall(
    view: &View,
    store: &TabStore,
    run: Option<RunRecord>,
    config: Option<PageConfig>,
) -> Result<(), Failure> {
    let jhe = match &config {
        Some(config) => session::jhe(store, &config.jhe)?,
        None => None,
    };
    // It is put back when it is needed.
    session::forget_tokens(store);
    let visit = session::visit(store)?;
    let issuer = session::issuer(store)?;
    let told = visit.iter().find(|it| Some(&it.issuer) == issuer.as_ref());
    let Some(told) = told.or(visit.last()).cloned().or_else(|| {
        Some(Connection {
            issuer: issuer.unwrap_or_default(),
            hospital: session::hospital(store).ok().flatten(),
            run: run?,
        })
    }) else {
        return Err(Interrupted.into());
    };
    name_portal(view, told.hospital.clone());
    let goes_on = jhe.is_some() && config.as_ref().is_some_and(|it| !it.revokes_token);
    let (deployment, plan, study) = match config {
        Some(config) => (config.deployment, config.plan, config.study),
        None => (&MYCHART, Plan::of(&MYCHART), Study::default()),
    };
    let unit = deployment.writing.unit;
    let run = &told.run;
    let (mut is_whole, mut stored, mut there) = (true, 0, 0);
    let all = if visit.is_empty() {
        core::slice::from_ref(&told)
    } else {
        &visit
    };
    for connection in all {
        let tally = connection.run.checkpoint.tally();
        is_whole &= connection.is_whole();
        stored += tally.stored;
        there += tally.already_there;
    }
    view.show(&screens::recalled(is_whole, stored, there, unit));
    if let Some(code) = &run.code {
        view.code(code);
    }
    let mut hospitals = Hospitals {
        view,
        store,
        visit,
        place: None,
        issuer: told.issuer.clone(),
    };
    hospitals.draw(goes_on);
    let account = Account {
        rows: wanted(&plan, &run.unticked).sums(&run.checkpoint.pulls),
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
        others: hospitals.shares(&plan),
    };
    show_receipt(view, &account);
    let place = view.place("jc-choices");
    view.add_parts(&place, &screens::choices(Access::Gone, None));
    if let Some(jhe) = jhe {
        while !hospitals.heed(view.next_act().await, &jhe) {}
    }
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
    view.call_beside(RECEIPT, &account.to_json());
}
