//! One patient with one tab, and both servers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::MutexGuard;
use std::thread;

use jhe_connect::error::Error;
use jhe_connect::import::{QUIET_MS, Verdict};
use jhe_connect::remedy::Remedy;
use jhe_connect::session;
use sandbox::{
    FIRST_PATIENT, Fault, Layout, LoggedRequest, Match, Options, Row, Sandbox, Server, World,
};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};

use super::hospital::{self, CAMILA, Decision, Login};
use super::pages::{self, Import, Landed};
use super::records::arrived;
use super::tab::{Tab, network};
use super::watch;

/// Stands for the state of the pending sign-in.
pub(crate) const PENDING_STATE: &str = "{state}";

pub(crate) struct Journey {
    pub(crate) tab: Tab,
    /// Where the patient begins.
    link: RefCell<String>,
    /// What the page is configured with, if it is not what the sandbox's settings say.
    config: RefCell<Option<String>>,
    /// What the patient comes back with instead of the hospital's answer.
    answer: RefCell<Option<String>>,
    /// What the patient and the study team have read.
    told: RefCell<Vec<String>>,
    pub(crate) invitation: String,
    /// Was the callback page opened with an answer?
    has_returned: Cell<bool>,
    /// Members of the page configuration beside the sandbox's.
    further: RefCell<Map<String, Value>>,
    /// Where the hospital sent the patient to.
    callback_page: RefCell<String>,
    /// How long JHE may be at a write that nobody waits for any more, in milliseconds.
    pub(crate) quiet_ms: Cell<u64>,
    /// The servers run on it, so it goes last.
    _runtime: Runtime,
}

impl Journey {
    pub(crate) fn begin() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let sandbox = runtime.block_on(Sandbox::start(Options::default()));
        let sandbox = Rc::new(sandbox.expect("the sandbox"));
        let invitation = sandbox.world().mint_invitation(FIRST_PATIENT);
        let link = sandbox.world().invitation_link(&invitation, Layout::DropIn);
        let callback_page = format!("{}/clients/mychart/callback", sandbox.jhe());
        Journey {
            tab: Tab::open(&sandbox, runtime.handle().clone()),
            link: RefCell::new(link),
            config: RefCell::default(),
            answer: RefCell::default(),
            told: RefCell::default(),
            invitation,
            has_returned: Cell::default(),
            further: RefCell::default(),
            callback_page: RefCell::new(callback_page),
            quiet_ms: Cell::new(QUIET_MS),
            _runtime: runtime,
        }
    }

    // Arranging.

    /// The state of both servers. Not to be held while the flow is under way.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.tab.sandbox.world()
    }

    pub(crate) fn fail(&self, hits: Match, fault: Fault) {
        self.world().fail(hits, fault);
    }

    /// The patient opens the connect page with this query instead of the invitation's.
    pub(crate) fn is_opened_with(&self, query: &str) {
        let page = format!(
            "{}{}",
            self.tab.sandbox.jhe(),
            Layout::DropIn.connect_path()
        );
        self.link.replace(page + query);
    }

    /// The patient has got this invitation, to a page that is hosted so.
    pub(crate) fn is_invited_by(&self, token: &str, layout: Layout) {
        let link = self.world().invitation_link(token, layout);
        self.link.replace(link);
    }

    pub(crate) fn is_configured_with(&self, config: &str) {
        self.config.replace(Some(config.to_owned()));
    }

    /// The page is configured with this member, too.
    pub(crate) fn is_configured_further(&self, name: &str, value: Value) {
        self.further.borrow_mut().insert(name.to_owned(), value);
    }

    /// The page names no hospital; the patient's own is this one, by the name under which JHE lists it.
    pub(crate) fn lists_hospitals(&self, name: &str) {
        self.world().settings.jhe.page.iss.clear();
        self.tab.hospital.replace(name.to_owned());
    }

    /// Both servers and the network work again.
    pub(crate) fn is_well_again(&self) {
        self.world().clear_faults();
        self.world().settings.ehr.token_seconds = 3_600;
        self.tab.go_online();
    }

    /// The tab is closed, with all that was stored for it, and the patient opens another one.
    pub(crate) fn moves_to_another_tab(&mut self) {
        self.tab = self.tab.another();
    }

    /// The patient comes back with this query instead of the hospital's.
    pub(crate) fn is_answered_with(&self, query: &str) {
        self.answer.replace(Some(query.to_owned()));
    }

    // Travelling.

    /// Opens the invitation link; gives the address of the hospital's sign-in.
    pub(crate) fn open_link(&self) -> Result<String, Error> {
        self.tab.reopen();
        self.tell(pages::connect(
            &self.tab,
            &self.config(),
            &self.link.borrow(),
        ))
    }

    /// Signs in at the hospital; gives the address to come back to.
    pub(crate) fn sign_in(&self, address: &str, login: Login, decision: Decision) -> String {
        if let Some(query) = self.answer.borrow().as_deref() {
            let state = hospital::between(address, "state=", "&").expect("a state");
            return self.callback_page() + &query.replace(PENDING_STATE, state);
        }
        hospital::sign_in(&network(), address, login, decision)
    }

    /// Opens the callback page in `tab`.
    pub(crate) fn open_callback(&self, tab: &Tab, address: &str) -> Result<Landed, Error> {
        if let Some((page, _)) = address.split_once('?') {
            self.has_returned.set(true);
            self.callback_page.replace(page.to_owned());
        }
        self.tell(pages::callback(tab, &self.config(), address))
    }

    /// Opens the callback page as the browser does on a reload: its address bar was scrubbed.
    pub(crate) fn reload(&self) -> Result<Landed, Error> {
        self.tab.reopen();
        self.open_callback(&self.tab, &self.callback_page())
    }

    /// Reloads the callback page; a run goes to its end.
    pub(crate) fn go_on(&self) -> Import {
        imported(self.reload())
    }

    /// Presses the button that is offered when the hospital's access is over.
    pub(crate) fn sign_in_again(&self, login: Login) -> Result<Landed, Error> {
        let sign_in = match self.reload()? {
            Landed::SentToSignIn(address) => address,
            other => panic!("expected the way to the sign-in, found {other:?}"),
        };
        let back = self.sign_in(&sign_in, login, Decision::Allow);
        self.open_callback(&self.tab, &back)
    }

    /// The same, with a run at its end.
    pub(crate) fn go_on_signed_in_as(&self, login: Login) -> Import {
        imported(self.sign_in_again(login))
    }

    /// From the invitation link to a page that the patient leaves in the middle.
    pub(crate) fn connect_and_leave(&self) {
        let landed = self.travel(CAMILA, Decision::Allow);
        assert!(matches!(landed, Ok(Landed::Left)), "{landed:?}");
    }

    /// From the invitation link to the callback page's end.
    pub(crate) fn travel(&self, login: Login, decision: Decision) -> Result<Landed, Error> {
        let sign_in = match self.open_link() {
            // Nobody is there to be told of an error, or to sign in.
            _ if self.tab.is_gone() => return Ok(Landed::LeftBeforeSignIn),
            sign_in => sign_in?,
        };
        let back = self.sign_in(&sign_in, login, decision);
        self.open_callback(&self.tab, &back)
    }

    /// The whole journey with a run at its end.
    pub(crate) fn connect_as(&self, login: Login) -> Import {
        imported(self.travel(login, Decision::Allow))
    }

    pub(crate) fn connect(&self) -> Import {
        self.connect_as(CAMILA)
    }

    // Looking.

    pub(crate) fn iss(&self) -> String {
        self.tab.sandbox.iss()
    }

    pub(crate) fn callback_page(&self) -> String {
        self.callback_page.borrow().clone()
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.world().rows().to_vec()
    }

    /// The labs that the hospital holds for Camila, each as its JSON text.
    pub(crate) fn labs(&self) -> Vec<String> {
        let world = self.world();
        world
            .ehr
            .patient(CAMILA.user)
            .expect("Camila")
            .records
            .clone()
    }

    /// The first of the labs, in the hospital's order.
    pub(crate) fn first_labs(&self, count: usize) -> Vec<String> {
        self.labs().into_iter().take(count).collect()
    }

    /// Camila's id at the hospital.
    pub(crate) fn patient_id(&self) -> String {
        self.world()
            .ehr
            .patient(CAMILA.user)
            .expect("Camila")
            .id
            .clone()
    }

    pub(crate) fn log(&self) -> Vec<LoggedRequest> {
        self.world().request_log().to_vec()
    }

    /// The requests so far to one server whose target contains a text.
    pub(crate) fn requests(&self, server: Server, method: &str, part: &str) -> Vec<LoggedRequest> {
        let mut log = self.log();
        log.retain(|request| {
            request.server == server && request.method == method && request.target.contains(part)
        });
        log
    }

    pub(crate) fn searches(&self) -> Vec<LoggedRequest> {
        self.requests(Server::Ehr, "GET", "/Observation")
    }

    pub(crate) fn writes(&self) -> Vec<LoggedRequest> {
        self.requests(Server::Jhe, "POST", "/FHIR/")
    }

    pub(crate) fn exchanges(&self) -> Vec<LoggedRequest> {
        self.token_requests("authorization_code")
    }

    pub(crate) fn renewals(&self) -> Vec<LoggedRequest> {
        self.token_requests("refresh_token")
    }

    fn token_requests(&self, grant_type: &str) -> Vec<LoggedRequest> {
        let mut requests = self.requests(Server::Ehr, "POST", "/oauth2/token");
        let grant_type = format!("grant_type={grant_type}&");
        requests.retain(|request| request.body.contains(&grant_type));
        requests
    }

    pub(crate) fn read_backs(&self) -> Vec<LoggedRequest> {
        self.requests(Server::Jhe, "GET", "/FHIR/R5/")
    }

    /// What JHE was asked for among its hospitals.
    pub(crate) fn searches_for_hospitals(&self) -> Vec<String> {
        let requests = self.requests(Server::Jhe, "GET", "/brands?");
        requests.into_iter().map(|request| request.target).collect()
    }

    pub(crate) fn redemptions(&self) -> Vec<LoggedRequest> {
        self.requests(Server::Jhe, "POST", "/api/v1/invitation/")
    }

    /// No record was asked for at the hospital, and none was sent to JHE.
    pub(crate) fn no_record_moved(&self) {
        assert_eq!(self.searches().len(), 0, "pages were asked for");
        assert_eq!(self.writes().len(), 0, "records were written");
    }

    /// Exactly these labs are in JHE, as the hospital has them.
    pub(crate) fn has_arrived(&self, labs: &[String]) {
        arrived(&self.rows(), labs, &self.iss());
    }

    /// All of Camila's labs are in JHE, each once; that of this run, which began with none there, says so.
    pub(crate) fn has_brought_all(&self, import: &Import) {
        let labs = self.labs();
        self.has_arrived(&labs);
        import.has_stored_all(&labs);
        let tally = &import.ending.tally;
        let size = self.world().settings.ehr.page_size;
        assert_eq!(tally.pages as usize, labs.len().div_ceil(size).max(1));
    }

    /// The run's only error, which is remembered as told.
    pub(crate) fn error_of(&self, import: &Import) -> Error {
        let ending = &import.ending;
        assert_ne!(ending.verdict(), Verdict::Complete);
        let mut errors = ending.errors().into_iter().flatten();
        let error = errors.next().expect("an error");
        assert_eq!(errors.next(), None, "a second error beside {error}");
        self.tell_of(&error);
        error
    }

    fn config(&self) -> String {
        if let Some(config) = self.config.borrow().as_ref() {
            return config.clone();
        }
        let page = self.world().settings.jhe.page.clone();
        let mut config = self.further.borrow().clone();
        for (name, value) in [
            ("iss", page.iss),
            ("clientId", page.client_id),
            ("scope", page.scope),
            ("dataSourceId", page.data_source_id),
        ] {
            config.insert(name.to_owned(), json!(value));
        }
        Value::from(config).to_string()
    }

    fn tell<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.tell_of(error);
        }
        result
    }

    fn tell_of(&self, error: &Error) {
        let remedy = Remedy::of(error);
        self.told
            .borrow_mut()
            .push(format!("{error} {error:?} {remedy:?}"));
    }
}

/// What must hold on every journey is looked after here, so that no test forgets to.
impl Drop for Journey {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let mut left_behind = self.told.take();
        let mut kept = self.tab.store.entries();
        // Until the patient is back the tab has to keep what the callback page needs.
        if self.has_returned.get() {
            let run = session::run(&self.tab.store).expect("storage");
            let is_unfinished = run.is_some_and(|run| !run.is_finished);
            let tokens = kept.extract_if(.., |key, _| is_unfinished && watch::is_token_key(key));
            watch::check_tokens(&self.log(), &tokens.collect());
            watch::check_keys(&kept);
            left_behind.extend(kept.into_values());
        }
        let shared = self.tab.shared.entries();
        watch::check_shared(&shared);
        left_behind.extend(shared.into_values());
        watch::check(&self.log(), &left_behind);
        watch::check_quiet(&self.tab.sent(), self.quiet_ms.get());
    }
}

fn imported(landed: Result<Landed, Error>) -> Import {
    match landed {
        Ok(Landed::Imported(import)) => *import,
        other => panic!("expected an import, found {other:?}"),
    }
}
