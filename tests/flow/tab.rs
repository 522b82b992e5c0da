//! One tab of the patient's browser, as far as the flow needs one: network, storage, clock and randomness.

use std::array;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jhe_connect::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use jhe_connect::session::{SessionStore, StoreError};
use sandbox::Sandbox;
use tokio::runtime::Handle;
use ureq::Agent;
use ureq::config::IpFamily;
use ureq::http::Request;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

/// When every tab is opened, in milliseconds since the Unix epoch.
const OPENED_AT: u64 = 1_790_000_000_000;

/// More requests than any conversation has.
const LONGEST_CONVERSATION: u32 = 50;

/// After so many milliseconds JHE has cut off every worker that was still at a request.
const WORKER_TIMEOUT_MS: u64 = 30_000;

/// The servers work on nothing any more within this time, or never.
const LONGEST_WORK: Duration = Duration::from_secs(10);

pub(crate) struct Tab {
    pub(crate) sandbox: Rc<Sandbox>,
    pub(crate) store: MemoryStore,
    /// The storage of all tabs.
    pub(crate) shared: MemoryStore,
    /// The name of the patient's hospital, where there is a list of them.
    pub(crate) hospital: RefCell<String>,
    is_offline: Cell<bool>,
    presence: Cell<Presence>,
    network: Agent,
    now: Rc<Cell<u64>>,
    upcoming: RefCell<Vec<Upcoming>>,
    sent: Rc<RefCell<Vec<Sent>>>,
    servers: Servers,
}

/// Is the page there?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Open,
    /// It is gone, but what it had sent before arrives.
    Leaving,
    Closed,
}

/// What the browser sent, by the patient's clock.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: u64,
    pub(crate) method: &'static str,
    pub(crate) url: String,
    /// Did nobody learn what came of it?
    pub(crate) is_lost: bool,
    may_be_under_way: bool,
}

impl Sent {
    /// Is it a write of records?
    pub(crate) fn is_write(&self) -> bool {
        self.method == "POST"
            && self.url.to_ascii_lowercase().contains("/fhir")
            && !self.url.contains("fhir_sources")
    }

    /// Does it read back what JHE holds?
    pub(crate) fn is_read_back(&self) -> bool {
        self.method == "GET" && self.url.contains("_page=")
    }
}

/// What both servers run on.
#[derive(Clone)]
struct Servers {
    runtime: Handle,
    /// So many tasks there are while nothing is worked on.
    tasks_at_rest: usize,
}

/// Something that happens while the flow is under way.
struct Upcoming {
    /// Before a request whose URL contains this,
    part: &'static str,
    /// after so many of them have passed.
    passing: usize,
    event: Event,
}

type Event = Rc<dyn Fn(&Tab)>;

impl Tab {
    /// The first tab of a browser; both servers have just been started on `runtime`.
    pub(crate) fn open(sandbox: &Rc<Sandbox>, runtime: Handle) -> Self {
        let tasks_at_rest = runtime.metrics().num_alive_tasks();
        Tab {
            sandbox: Rc::clone(sandbox),
            store: MemoryStore::default(),
            shared: MemoryStore::default(),
            hospital: RefCell::default(),
            is_offline: Cell::default(),
            presence: Cell::new(Presence::Open),
            network: network(),
            now: Rc::new(Cell::new(OPENED_AT)),
            upcoming: RefCell::default(),
            sent: Rc::default(),
            servers: Servers {
                runtime,
                tasks_at_rest,
            },
        }
    }

    /// A further tab of the same browser.
    pub(crate) fn another(&self) -> Self {
        Tab {
            sandbox: Rc::clone(&self.sandbox),
            store: MemoryStore::default(),
            shared: self.shared.clone(),
            hospital: self.hospital.clone(),
            is_offline: Cell::default(),
            presence: Cell::new(Presence::Open),
            network: network(),
            now: Rc::clone(&self.now),
            upcoming: RefCell::default(),
            sent: Rc::clone(&self.sent),
            servers: self.servers.clone(),
        }
    }

    /// Lets something happen right before a request whose URL contains `part`, after `passing` of them.
    pub(crate) fn before(
        &self,
        part: &'static str,
        passing: usize,
        event: impl Fn(&Tab) + 'static,
    ) {
        let upcoming = Upcoming {
            part,
            passing,
            event: Rc::new(event),
        };
        self.upcoming.borrow_mut().push(upcoming);
    }

    /// Sends a request as the page does: nothing but what it says, and no redirect is followed.
    pub(crate) fn send(&self, request: HttpRequest) -> Answer {
        for event in self.events_before(request.url.as_str()) {
            event(self);
        }
        if self.presence.get() == Presence::Closed {
            return Err(TransportError::Unreachable);
        }
        self.let_jhe_catch_up();
        let place = self.sent.borrow().len();
        self.sent.borrow_mut().push(Sent {
            at: self.now(),
            method: request.method.as_str(),
            url: request.url.as_str().to_owned(),
            is_lost: true,
            may_be_under_way: false,
        });
        let answer = match self.is_offline.get() {
            true => Err(TransportError::Offline),
            false => self.carry(request),
        };
        if let Some(sent) = self.sent.borrow_mut().get_mut(place) {
            sent.is_lost = self.is_gone() || is_lost(&answer);
            sent.may_be_under_way = sent.is_lost && sent.is_write();
        }
        answer
    }

    fn carry(&self, request: HttpRequest) -> Answer {
        let mut wire = Request::builder()
            .method(request.method.as_str())
            .uri(request.url.as_str());
        for (name, value) in &request.headers {
            wire = wire.header(*name, value);
        }
        let limit = Duration::from_millis(request.limit_ms.into());
        let limit_octets = request.limit_octets;
        let answer = match request.body {
            Some(body) => self.perform(wire.body(body).expect("a request"), limit),
            None => self.perform(wire.body(()).expect("a request"), limit),
        };
        let answer = answer.map_err(|error| failure(&error, TransportError::Unreachable))?;
        if answer.status().is_redirection() {
            return Err(TransportError::Unreachable);
        }
        let (head, mut body) = answer.into_parts();
        let field = |name| {
            let value = head.headers.get(name).map(HeaderValue::to_str);
            value.and_then(Result::ok).unwrap_or_default().to_owned()
        };
        let announced = field(CONTENT_LENGTH).parse::<u32>();
        if announced.is_ok_and(|octets| octets > limit_octets) {
            return Err(TransportError::TooLong);
        }
        Ok(HttpResponse {
            status: head.status.as_u16(),
            content_type: field(CONTENT_TYPE),
            // The sandbox writes seconds.
            retry_after_ms: field(RETRY_AFTER).parse().ok().map(|s: u64| s * 1000),
            body: body
                .with_config()
                .limit(limit_octets.into())
                .read_to_vec()
                .map_err(|error| failure(&error, TransportError::CutOff))?,
        })
    }

    /// Performs a conversation to its end.
    pub(crate) fn converse(&self, conversation: &mut dyn Conversation) {
        for _ in 0..LONGEST_CONVERSATION {
            let Some(request) = conversation.next_request() else {
                return;
            };
            conversation.receive(self.send(request));
        }
        panic!("a conversation without an end");
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn let_pass(&self, milliseconds: u64) {
        self.now.set(self.now() + milliseconds);
    }

    /// 64 octets that no other sign-in has. Nobody guesses here.
    pub(crate) fn entropy(&self) -> [[u8; 32]; 2] {
        static SIGN_INS: AtomicU64 = AtomicU64::new(0);
        let sign_in = SIGN_INS.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        [0, 1].map(|part| {
            array::from_fn(|place| match place {
                0 => part,
                _ => sign_in.get(place).copied().unwrap_or_default(),
            })
        })
    }

    /// The device loses its connection, and knows it.
    pub(crate) fn go_offline(&self) {
        self.is_offline.set(true);
    }

    /// It has it back.
    pub(crate) fn go_online(&self) {
        self.is_offline.set(false);
    }

    /// The patient leaves in the middle: nothing is sent any more.
    pub(crate) fn close(&self) {
        self.presence.set(Presence::Closed);
    }

    /// The patient leaves in the middle: what the page had sent arrives, and nobody takes the answers.
    pub(crate) fn leave(&self) {
        self.presence.set(Presence::Leaving);
    }

    /// Is nobody there to take an answer?
    pub(crate) fn is_gone(&self) -> bool {
        self.presence.get() != Presence::Open
    }

    /// The page is there again; the tab's storage was never gone.
    pub(crate) fn reopen(&self) {
        self.presence.set(Presence::Open);
    }

    /// Everything that this browser sent so far, from any tab.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.borrow().clone()
    }

    /// What was sent so long ago by the patient's clock is done by now, or never will be: JHE, whose clock is another
    /// one, is waited for.
    fn let_jhe_catch_up(&self) {
        let mut sent = self.sent.borrow_mut();
        let mut lost = sent.iter_mut().filter(|sent| sent.may_be_under_way);
        if lost.all(|sent| self.now() >= sent.at + WORKER_TIMEOUT_MS) {
            let mut lost = sent
                .iter_mut()
                .filter(|sent| sent.may_be_under_way)
                .peekable();
            if lost.peek().is_some() {
                self.servers.come_to_rest();
            }
            lost.for_each(|sent| sent.may_be_under_way = false);
        }
    }

    fn perform(
        &self,
        wire: Request<impl ureq::AsSendBody>,
        limit: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let wire = self.network.configure_request(wire);
        self.network.run(wire.timeout_global(Some(limit)).build())
    }

    fn events_before(&self, url: &str) -> Vec<Event> {
        let mut events = Vec::new();
        self.upcoming.borrow_mut().retain_mut(|upcoming| {
            if !url.contains(upcoming.part) {
                return true;
            }
            let is_due = upcoming.passing == 0;
            match is_due {
                true => events.push(Rc::clone(&upcoming.event)),
                false => upcoming.passing -= 1,
            }
            !is_due
        });
        events
    }
}

impl Servers {
    /// Waits until no request is worked on.
    fn come_to_rest(&self) {
        let deadline = Instant::now() + LONGEST_WORK;
        while self.runtime.metrics().num_alive_tasks() > self.tasks_at_rest {
            assert!(Instant::now() < deadline, "a server works without end");
            thread::yield_now();
        }
    }
}

/// Does an answer not say what came of the request?
fn is_lost(answer: &Answer) -> bool {
    match answer {
        Ok(response) => {
            response.status >= 500
                || (response.is_success() && !response.content_type.contains("json"))
        }
        Err(_) => true,
    }
}

/// A network of which each request shows in the sandbox's log as it was made.
pub(crate) fn network() -> Agent {
    Agent::config_builder()
        .proxy(None)
        .ip_family(IpFamily::Ipv4Only)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .user_agent("")
        .accept("")
        .build()
        .new_agent()
}

fn failure(error: &ureq::Error, otherwise: TransportError) -> TransportError {
    match error {
        ureq::Error::Timeout(_) => TransportError::TimedOut,
        ureq::Error::BodyExceedsLimit(_) => TransportError::TooLong,
        _ => otherwise,
    }
}

/// One of the browser's storages. A clone is the same storage.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore {
    texts: Rc<RefCell<BTreeMap<String, String>>>,
    /// Does the patient's browser deny it?
    pub(crate) is_blocked: Rc<Cell<bool>>,
}

impl MemoryStore {
    /// Everything in it, by key.
    pub(crate) fn entries(&self) -> BTreeMap<String, String> {
        self.texts.borrow().clone()
    }

    fn allowed(&self) -> Result<(), StoreError> {
        match self.is_blocked.get() {
            true => Err(StoreError),
            false => Ok(()),
        }
    }
}

impl SessionStore for MemoryStore {
    fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.allowed()?;
        Ok(self.texts.borrow().get(key).cloned())
    }

    fn write(&self, key: &str, text: &str) -> Result<(), StoreError> {
        self.allowed()?;
        self.texts.borrow_mut().insert(key.into(), text.into());
        Ok(())
    }

    fn remove(&self, key: &str) {
        self.texts.borrow_mut().remove(key);
    }
}
