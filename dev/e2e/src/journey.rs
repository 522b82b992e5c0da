//! One journey: a sandbox of its own, a browser of its own, and one of the layouts.

use std::any::Any;
use std::cell::Cell;
use std::env;
use std::fs;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use futures_util::FutureExt;
use sandbox::{
    FIRST_PATIENT, Fault, JheVersion, Layout, LoggedRequest, Match, Options, PATIENT_ACCESS_SCOPES,
    Row, Sandbox, Server, Vendor, World,
};
use tokio::time::timeout;

use crate::browser::{Browser, ConsoleLine, Engine, Glance, Habits, PATIENCE, Screen, State};
use crate::bundle::bundle;
use crate::engine::{note_failed, note_made};
use crate::records::is_in_category;
use crate::watch;

/// Names a folder (that exists) for a picture of each journey's last screen.
const SCREENSHOTS: &str = "JHE_CONNECT_SCREENSHOTS";

/// A journey that takes longer than this has stopped somewhere: no other waits for it.
const LONGEST: Duration = Duration::from_secs(300);

/// A login at the hospital's portal.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    /// What is typed into the form.
    pub user: &'static str,
    /// What is typed below it.
    pub password: &'static str,
}

/// Has labs over several pages, with peculiar ids among them.
pub const CAMILA: Login = Login {
    user: "fhircamila",
    password: "epicepic1",
};
/// Has no labs.
pub const DERRICK: Login = Login {
    user: "fhirderrick",
    password: "epicepic1",
};

/// Desiree's mother, who signs in for her.
pub const PARENT: Login = Login {
    user: "fhirparent",
    password: "epicepic1",
};
/// Looks after Desiree and Camila, and is asked at the hospital for whose record it is.
pub const GUARDIAN: Login = Login {
    user: "fhirguardian",
    password: "epicepic1",
};

/// One of our two pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Where the invitation link leads.
    Connect,
    /// Where the hospital sends the patient back to.
    Callback,
}

/// The pages of JHE's later version, and how they come to know the hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// JHE's own templates: the patient picks a hospital.
    DropIn,
    /// The plain pages, and the patient picks.
    PlainPicked,
    /// The plain pages, whose configuration names the hospital.
    PlainNamed,
}

impl Access {
    fn layout(self) -> Layout {
        match self {
            Self::DropIn => Layout::PatientAccess,
            Self::PlainPicked | Self::PlainNamed => Layout::Plain,
        }
    }
}

/// What a journey is made with.
pub struct Journey {
    /// How the bundle is hosted.
    pub layout: Layout,
    /// Both servers.
    pub sandbox: Sandbox,
    /// The patient's browser.
    pub browser: Browser,
    /// The token of the patient's invitation.
    pub invitation: String,
    /// The patient's hospital, and whether it is to be picked from a list.
    hospital: Cell<(Vendor, bool)>,
}

/// Makes a journey as a test: panics unless it arrives, and unless nothing leaked on the way.
pub fn run(layout: Layout, journey: impl AsyncFnOnce(&Journey) -> Result<()>) {
    run_with(layout, Habits::default(), journey);
}

/// As [`run`], with a browser that the patient has set up in another way.
pub fn run_with(layout: Layout, habits: Habits, journey: impl AsyncFnOnce(&Journey) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let arrived = match runtime {
        Ok(runtime) => runtime.block_on(travel(layout, habits, journey)),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = arrived {
        note_failed(&format!("{error:#}"));
        // Not `{:?}`, which adds a backtrace of this crate.
        panic!("{error:#}");
    }
}

/// As [`run`], with JHE's later version and a hospital of this vendor.
pub fn visit(access: Access, vendor: Vendor, journey: impl AsyncFnOnce(&Journey) -> Result<()>) {
    run(access.layout(), async |begun: &Journey| {
        begun.goes_to(access, vendor);
        journey(begun).await
    });
}

/// Begins a journey with JHE's later version and a hospital of this vendor. Who asks for it ends it, too.
pub async fn visit_with(access: Access, vendor: Vendor, habits: Habits) -> Result<Journey> {
    let begun = Journey::begin(access.layout(), habits).await?;
    begun.goes_to(access, vendor);
    Ok(begun)
}

/// The whole life of a journey. The browser is closed however it went.
async fn travel(
    layout: Layout,
    habits: Habits,
    journey: impl AsyncFnOnce(&Journey) -> Result<()>,
) -> Result<()> {
    let begun = Journey::begin(layout, habits).await?;
    let travelled = caught(async {
        journey(&begun).await?;
        watch::check(&begun).await
    });
    let ended = match timeout(LONGEST, travelled).await {
        Ok(ended) => ended,
        Err(_) => Ok(Err(anyhow!(
            "it has no end after {} seconds",
            LONGEST.as_secs()
        ))),
    };
    if !matches!(ended, Ok(Ok(()))) {
        // A browser that does not answer any more tells nothing.
        if let Ok(told) = timeout(PATIENCE, begun.describe()).await {
            eprintln!("{told}");
        }
    }
    let pictured = keep_picture(&begun.browser).await;
    let since = begun.browser.begun;
    begun.browser.close().await?;
    ended
        .unwrap_or_else(|panic| resume_unwind(panic))
        .and(pictured)?;
    note_made(since.elapsed());
    Ok(())
}

/// Keeps the last screen of a journey, under the name of its test, if somebody wants to look.
async fn keep_picture(browser: &Browser) -> Result<()> {
    let (Some(folder), Some(name)) = (
        env::var_os(SCREENSHOTS),
        thread::current().name().map(str::to_owned),
    ) else {
        return Ok(());
    };
    let file = PathBuf::from(folder).join(format!("{}.png", name.replace("::", "-")));
    fs::write(&file, browser.screenshot().await?)
        .with_context(|| format!("writing {}", file.display()))
}

async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    AssertUnwindSafe(future).catch_unwind().await
}

impl Journey {
    /// Starts a sandbox with the built bundle and opens a browser.
    pub async fn begin(layout: Layout, habits: Habits) -> Result<Self> {
        let options = Options {
            bundle: Some(bundle()?),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options)
            .await
            .context("starting the sandbox")?;
        let invitation = sandbox.world().mint_invitation(FIRST_PATIENT);
        let browser = Browser::start(Engine::chosen()?, habits).await?;
        browser.visits(&sandbox);
        Ok(Self {
            layout,
            sandbox,
            browser,
            invitation,
            hospital: Cell::new((Vendor::Epic, false)),
        })
    }

    // Arranging.

    /// JHE is its later version, and the patient's hospital is one of this vendor.
    pub fn goes_to(&self, access: Access, vendor: Vendor) {
        let is_picked = access != Access::PlainNamed;
        self.hospital.set((vendor, is_picked));
        let base = self.listed_base();
        let jhe = &mut self.world().settings.jhe;
        jhe.version = JheVersion::PatientAccess;
        jhe.page.iss = if is_picked { String::new() } else { base };
        if access.layout() == Layout::Plain {
            // JHE's own pages have both from JHE, and from the script that belongs to them.
            PATIENT_ACCESS_SCOPES.clone_into(&mut jhe.page.scope);
            jhe.page.deployment = Some("patient-access".to_owned());
        }
    }

    /// Camila's chart is a short one, of which JHE refuses nothing.
    pub fn has_a_short_chart(&self) {
        let mut world = self.world();
        world.give_labs(CAMILA.user, 3);
        world.give_records(CAMILA.user, "QuestionnaireResponse", 1);
    }

    /// The state of both servers. Not to be held over an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.sandbox.world()
    }

    /// Lets some requests meet a fault.
    pub fn fail(&self, hits: Match, fault: Fault) {
        self.world().fail(hits, fault);
    }

    /// JHE's workers give up at once, so that after a lost answer five seconds are enough to know what arrived.
    pub fn let_jhe_settle_soon(&self) {
        self.world().settings.jhe.page.worker_timeout_seconds = Some(0);
    }

    /// The address of one of our pages in this layout.
    pub fn page(&self, page: Page, query: &[(&str, &str)]) -> String {
        let path = match page {
            Page::Connect => self.layout.connect_path(),
            Page::Callback => self.layout.callback_path(),
        };
        let address = format!("{}{path}", self.sandbox.jhe());
        if query.is_empty() {
            return address;
        }
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        format!("{address}?{query}")
    }

    /// The invitation link that the study team has sent.
    pub fn link(&self) -> String {
        self.world().invitation_link(&self.invitation, self.layout)
    }

    // Travelling.

    /// Opens the invitation link.
    pub async fn open_invitation(&self) -> Result<()> {
        self.browser.open(&self.link()).await
    }

    /// Opens the invitation link, picks the hospital if there is a list, and waits for the hospital's login form.
    pub async fn reach_login(&self) -> Result<()> {
        self.open_invitation().await?;
        if let (vendor, true) = self.hospital.get()
            && self.is_to_pick().await?
        {
            self.browser.pick_by_keys(vendor.facility_name()).await?;
        }
        self.browser.wait_for_login_form().await
    }

    /// Waits until the patient is asked for a hospital, and tells whether they are: who was at one before may be led there.
    async fn is_to_pick(&self) -> Result<bool> {
        self.browser
            .until("a list of hospitals, or a way past it", async || {
                let screen = self.browser.screen_now().await?;
                let name = screen.as_ref().and_then(|screen| screen.name.as_deref());
                Ok(match name {
                    Some("choosing") => Glance::Seen(true),
                    Some("welcome" | "leaving") => Glance::Seen(false),
                    None if self.browser.is_at_login_form().await? => Glance::Seen(false),
                    _ => Glance::NotYet,
                })
            })
            .await
    }

    /// Signs in at the hospital and agrees: our callback page is next, and if it asks whether this is the patient, it is.
    pub async fn agree_as(&self, login: Login) -> Result<()> {
        self.return_as(login).await?;
        if self.browser.answers_by_hand() && self.is_asked("yes-me").await? {
            self.browser.press_named("yes-me").await?;
        }
        Ok(())
    }

    /// Signs in at the hospital and agrees, and answers nothing that our callback page may ask.
    pub async fn return_as(&self, login: Login) -> Result<()> {
        self.browser.sign_in(login.user, login.password).await?;
        self.browser.allow().await
    }

    /// Waits until our page offers this button, and tells whether it does: it may have gone beyond, or be one that never asks.
    pub async fn is_asked(&self, action: &str) -> Result<bool> {
        let expected = format!("our page to ask for {action:?}, or to go on");
        self.browser
            .until(&expected, async || {
                Ok(match self.browser.screen_now().await? {
                    Some(screen) if screen.offers(action) => Glance::Seen(true),
                    Some(screen) if screen.state.is_final() || is_under_way(&screen) => {
                        Glance::Seen(false)
                    }
                    None if self.browser.is_at_login_form().await? => Glance::Seen(false),
                    _ => Glance::NotYet,
                })
            })
            .await
    }

    /// From the invitation link to the end, as this person.
    pub async fn connect_as(&self, login: Login) -> Result<Screen> {
        self.reach_login().await?;
        self.agree_as(login).await?;
        self.browser.wait_until_settled().await
    }

    /// From the invitation link to the end, as Camila.
    pub async fn connect(&self) -> Result<Screen> {
        self.connect_as(CAMILA).await
    }

    /// From the invitation link into the middle of Camila's import: three records are in JHE, and each further one takes a
    /// second, until the faults are taken back.
    pub async fn reach_the_middle(&self) -> Result<()> {
        self.let_jhe_settle_soon();
        self.fail(writes().after(3), Fault::Delay { millis: 1_000 });
        self.reach_login().await?;
        self.agree_as(CAMILA).await?;
        self.rows_reach(3).await
    }

    /// Our page has told this line of the report in the console.
    pub async fn expect_logged(&self, part: &str) -> Result<()> {
        let is_it = |line: &ConsoleLine| {
            line.message.contains("jhe-connect") && line.message.contains(part)
        };
        // A page that is gone may have told it just now.
        let expected = format!("{part:?} in the console");
        let look = async || {
            let console = self.browser.console().await?;
            Ok(match console.iter().any(is_it) {
                true => Glance::Seen(()),
                false => Glance::NotYet,
            })
        };
        self.browser.until(&expected, look).await
    }

    /// Opens the invitation link, and the connect page stops with this code.
    pub async fn stops_at_the_start(&self, code: &str) -> Result<Screen> {
        self.open_invitation().await?;
        let screen = (self.browser)
            .wait_for_state(State::Failed, Some(code))
            .await?;
        ensure!(screen.is_shown, "nothing is to be seen of {screen}");
        Ok(screen)
    }

    /// From the invitation link to the callback page, which stops with this code.
    pub async fn stops_on_return(&self, code: &str) -> Result<Screen> {
        self.reach_login().await?;
        self.agree_as(CAMILA).await?;
        self.browser.wait_for_state(State::Failed, Some(code)).await
    }

    /// The hospital's login form is on the screen, and the patient comes back with this instead. `{state}` stands for the state
    /// of the pending sign-in.
    pub async fn return_with(&self, query: &[(&str, &str)]) -> Result<()> {
        let state = self.pending_state()?;
        let query: Vec<_> = query
            .iter()
            .map(|&(name, value)| {
                (
                    name,
                    if value == PENDING_STATE {
                        state.as_str()
                    } else {
                        value
                    },
                )
            })
            .collect();
        self.browser.open(&self.page(Page::Callback, &query)).await
    }

    // Looking.

    /// The vendor of the patient's hospital.
    pub fn vendor(&self) -> Vendor {
        self.hospital.get().0
    }

    /// What JHE's later pages call the hospital: as it was picked, or nothing in particular.
    pub fn portal(&self) -> &'static str {
        let (vendor, is_picked) = self.hospital.get();
        match is_picked {
            true => vendor.facility_name(),
            false => "your hospital",
        }
    }

    /// The FHIR base of the patient's hospital, as JHE's list or the page's configuration has it: it may end in a slash.
    pub fn listed_base(&self) -> String {
        self.vendor().listed_base(self.world().origins())
    }

    /// What the hospital has of Camila of each kind that is pulled, as it serves it: the kind's name, and the records.
    pub fn chart(&self) -> Vec<(&'static str, Vec<String>)> {
        let (world, vendor) = (self.world(), self.vendor());
        let of_kind = |(label, resource_type, category): (_, _, Option<&str>)| {
            let mut records = world.records_at(vendor, CAMILA.user, resource_type);
            records.retain(|record| category.is_none_or(|it| is_in_category(record, it)));
            (label, records)
        };
        KINDS.into_iter().map(of_kind).collect()
    }

    /// All of its records.
    pub fn whole_chart(&self) -> Vec<String> {
        let chart = self.chart().into_iter();
        chart.flat_map(|(_, records)| records).collect()
    }

    /// The rows that JHE holds.
    pub fn rows(&self) -> Vec<Row> {
        self.world().rows().to_vec()
    }

    /// From here on the journey answers each question of our pages itself, and can look at it first.
    pub async fn answer_by_hand(&self) -> Result<()> {
        self.browser.answer_by_hand().await
    }

    /// Waits until JHE holds this many rows.
    pub async fn rows_reach(&self, count: usize) -> Result<()> {
        let look = async || {
            Ok(if self.world().rows().len() < count {
                Glance::NotYet
            } else {
                Glance::Seen(())
            })
        };
        self.browser
            .until(&format!("{count} rows in JHE"), look)
            .await
    }

    /// The labs that the hospital holds for this person, each as its JSON text.
    pub fn labs_of(&self, login: Login) -> Vec<String> {
        let mut world = self.world();
        world
            .ehr
            .patient_mut(login.user)
            .map(|patient| patient.records.clone())
            .unwrap_or_default()
    }

    /// The id at the hospital of this person.
    pub fn patient_id(&self, login: Login) -> String {
        let mut world = self.world();
        world
            .ehr
            .patient_mut(login.user)
            .map(|patient| patient.id.clone())
            .unwrap_or_default()
    }

    /// The requests so far to one server whose target contains a text, without preflights.
    pub fn requests(&self, server: Server, method: &str, part: &str) -> Vec<LoggedRequest> {
        let fits = |request: &&LoggedRequest| {
            request.server == server && request.method == method && request.target.contains(part)
        };
        self.world()
            .request_log()
            .iter()
            .filter(fits)
            .cloned()
            .collect()
    }

    /// The searches for records so far.
    pub fn searches(&self) -> Vec<LoggedRequest> {
        self.requests(Server::Ehr, "GET", "/Observation")
    }

    /// No record was asked for at the hospital, and none was sent to JHE.
    pub fn expect_no_record_moved(&self) -> Result<()> {
        let mut asked = self.requests(Server::Ehr, "GET", "");
        asked.retain(|request| request.header("authorization").is_some());
        // The patient's name, for the question whether this is the right person.
        let is_person = |request: &LoggedRequest| {
            let (_, last) = request.target.split_once("/Patient/").unwrap_or_default();
            !last.is_empty() && !last.contains('/')
        };
        if let Some(person) = asked.iter().position(is_person) {
            asked.remove(person);
        }
        ensure!(asked.is_empty(), "records were asked for: {asked:?}");
        for path in ["/FHIR/", "/fhir-import/"] {
            let written = self.requests(Server::Jhe, "POST", path);
            ensure!(written.is_empty(), "records were written: {written:?}");
        }
        Ok(())
    }

    /// The `state` that our page sent to the hospital last.
    pub fn pending_state(&self) -> Result<String> {
        let asked = self
            .requests(Server::Ehr, "GET", "/authorize")
            .pop()
            .context("no sign-in was begun")?;
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        let state = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
        Ok(state
            .context("the authorization request has no state")?
            .1
            .into_owned())
    }

    /// What a developer wants to see of a journey that failed.
    pub async fn describe(&self) -> String {
        let requests: Vec<_> = (self.world().request_log().iter())
            .map(|request| {
                format!(
                    "{:?} {} {} -> {:?}",
                    request.server, request.method, request.target, request.status
                )
            })
            .collect();
        format!(
            "{}--- requests:\n{}",
            self.browser.describe().await,
            requests.join("\n")
        )
    }
}

/// Is nothing asked any more before records move?
fn is_under_way(screen: &Screen) -> bool {
    match screen.name.as_deref() {
        Some(name) => ["preparing", "importing", "leaving"].contains(&name),
        // A page without names for its screens asks nothing.
        None => matches!(screen.state, State::Working | State::Redirecting),
    }
}

/// The requests that write one record.
pub fn writes() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/FHIR/R5/Observation")
}

/// The requests that write a batch of records, at JHE's later version.
pub fn batches() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/fhir-import/R4/")
}

/// The requests that read back what JHE holds.
pub fn read_backs() -> Match {
    Match::on(Server::Jhe)
        .method("GET")
        .path("/FHIR/R5/Observation")
}

/// The requests for a page of the hospital's records.
pub fn pages() -> Match {
    Match::on(Server::Ehr).method("GET").path("/Observation")
}

/// The kinds that JHE's later version pulls: name, resource type, and category where there are several of a type.
const KINDS: [(&str, &str, Option<&str>); 18] = [
    ("Your details", "Patient", None),
    ("Conditions", "Condition", None),
    ("Medications", "MedicationRequest", None),
    ("Dispensed medications", "MedicationDispense", None),
    ("Allergies", "AllergyIntolerance", None),
    ("Immunizations", "Immunization", None),
    ("Procedures", "Procedure", None),
    ("Labs", "Observation", Some("laboratory")),
    ("Vital signs", "Observation", Some("vital-signs")),
    ("Reports", "DiagnosticReport", None),
    ("Clinical notes", "DocumentReference", None),
    ("Visits", "Encounter", None),
    ("Care plans", "CarePlan", None),
    ("Care teams", "CareTeam", None),
    ("Goals", "Goal", None),
    ("Orders", "ServiceRequest", None),
    ("Devices", "Device", None),
    ("Questionnaires", "QuestionnaireResponse", None),
];

/// In [`Journey::return_with`]: the state of the pending sign-in.
pub const PENDING_STATE: &str = "{state}";

/// Makes tests of journeys to the main hospital with JHE's later version, on some of its pages.
#[macro_export]
macro_rules! access_journeys {
    ($($pages:ident: [$($journey:ident),* $(,)?]),* $(,)?) => {
        $($crate::access_journeys!(@ $pages Epic $pages [$($journey)*]);)*
    };
    (@ $module:ident $vendor:ident $pages:ident [$($journey:ident)*]) => {
        mod $module {
            $(#[test]
            fn $journey() {
                let access = $crate::access_journeys!(@@ $pages);
                e2e::journey::visit(access, sandbox::Vendor::$vendor, super::$journey);
            })*
        }
    };
    (@@ drop_in) => { e2e::journey::Access::DropIn };
    (@@ plain_picked) => { e2e::journey::Access::PlainPicked };
    (@@ plain_named) => { e2e::journey::Access::PlainNamed };
}

/// Makes tests of journeys with JHE's later version, on its own pages, to a hospital of each vendor.
#[macro_export]
macro_rules! at_every_hospital {
    ($($journey:ident),* $(,)?) => {
        $crate::access_journeys!(@ epic Epic drop_in [$($journey)*]);
        $crate::access_journeys!(@ oracle_health OracleHealth drop_in [$($journey)*]);
        $crate::access_journeys!(@ athenahealth Athenahealth drop_in [$($journey)*]);
        $crate::access_journeys!(@ meditech Meditech drop_in [$($journey)*]);
        $crate::access_journeys!(@ hapi Hapi drop_in [$($journey)*]);
    };
}

/// Makes tests of journeys: of some against both layouts, of others, which are the same code in both, against the drop-in only.
#[macro_export]
macro_rules! journeys {
    (both_layouts: [$($in_both:ident),* $(,)?], drop_in: [$($in_drop_in:ident),* $(,)?] $(,)?) => {
        mod plain {
            $(#[test]
            fn $in_both() {
                e2e::journey::run(sandbox::Layout::Plain, super::$in_both);
            })*
        }
        $crate::journeys!(drop_in: [$($in_both,)* $($in_drop_in,)*]);
    };
    (both_layouts: $in_both:tt $(,)?) => {
        $crate::journeys!(both_layouts: $in_both, drop_in: []);
    };
    (drop_in: [$($journey:ident),* $(,)?] $(,)?) => {
        mod drop_in {
            $(#[test]
            fn $journey() {
                e2e::journey::run(sandbox::Layout::DropIn, super::$journey);
            })*
        }
    };
}
