//! One tab of the patient's browser, as far as the flow needs one: network, storage, clock and randomness.

use std::array;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jhe_connect::http::{Answer, Conversation, HttpRequest, HttpResponse, TransportError};
use jhe_connect::session::{SessionStore, StoreError};
use sandbox::Sandbox;
use ureq::Agent;
use ureq::config::IpFamily;
use ureq::http::Request;
use ureq::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};

/// When every tab is opened, in milliseconds since the Unix epoch.
const OPENED_AT: u64 = 1_790_000_000_000;

/// More requests than any conversation has.
const LONGEST_CONVERSATION: u32 = 50;

pub(crate) struct Tab {
    pub(crate) sandbox: Rc<Sandbox>,
    pub(crate) store: MemoryStore,
    /// The storage of all tabs.
    pub(crate) shared: MemoryStore,
    is_offline: Cell<bool>,
    is_closed: Cell<bool>,
    network: Agent,
    now: Cell<u64>,
    upcoming: RefCell<Vec<Upcoming>>,
}

/// Something that happens while the flow is under way.
struct Upcoming {
    /// Before a request whose URL contains this,
    part: &'static str,
    /// after so many of them have passed.
    passing: usize,
    event: fn(&Tab),
}

impl Tab {
    pub(crate) fn open(sandbox: &Rc<Sandbox>) -> Self {
        Tab {
            sandbox: Rc::clone(sandbox),
            store: MemoryStore::default(),
            shared: MemoryStore::default(),
            is_offline: Cell::default(),
            is_closed: Cell::default(),
            network: network(),
            now: Cell::new(OPENED_AT),
            upcoming: RefCell::default(),
        }
    }

    /// Lets something happen right before a request whose URL contains `part`, after `passing` of them.
    pub(crate) fn before(&self, part: &'static str, passing: usize, event: fn(&Tab)) {
        let upcoming = Upcoming {
            part,
            passing,
            event,
        };
        self.upcoming.borrow_mut().push(upcoming);
    }

    /// Sends a request as the page does: nothing but what it says, and no redirect is followed.
    pub(crate) fn send(&self, request: HttpRequest) -> Answer {
        for event in self.events_before(request.url.as_str()) {
            event(self);
        }
        if self.is_offline.get() {
            return Err(TransportError::Offline);
        }
        if self.is_closed.get() {
            return Err(TransportError::Unreachable);
        }
        let mut wire = Request::builder()
            .method(request.method.as_str())
            .uri(request.url.as_str());
        for (name, value) in &request.headers {
            wire = wire.header(*name, value);
        }
        let limit = Duration::from_millis(request.limit_ms.into());
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
        Ok(HttpResponse {
            status: head.status.as_u16(),
            content_type: field(CONTENT_TYPE),
            // The sandbox writes seconds.
            retry_after_ms: field(RETRY_AFTER).parse().ok().map(|s: u64| s * 1000),
            body: body
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

    /// 96 octets that no other sign-in has. Nobody guesses here.
    pub(crate) fn entropy(&self) -> [u8; 96] {
        static SIGN_INS: AtomicU64 = AtomicU64::new(0);
        let sign_in = SIGN_INS.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        array::from_fn(|index| match index % 32 {
            0 => u8::try_from(index).unwrap_or_default(),
            place => sign_in.get(place).copied().unwrap_or_default(),
        })
    }

    /// The device loses its connection, and knows it.
    pub(crate) fn go_offline(&self) {
        self.is_offline.set(true);
    }

    /// The patient leaves in the middle: nothing is sent any more.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// The page is there again; the tab's storage was never gone.
    pub(crate) fn reopen(&self) {
        self.is_closed.set(false);
    }

    fn perform(
        &self,
        wire: Request<impl ureq::AsSendBody>,
        limit: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let wire = self.network.configure_request(wire);
        self.network.run(wire.timeout_global(Some(limit)).build())
    }

    fn events_before(&self, url: &str) -> Vec<fn(&Tab)> {
        let mut events = Vec::new();
        self.upcoming.borrow_mut().retain_mut(|upcoming| {
            if !url.contains(upcoming.part) {
                return true;
            }
            let is_due = upcoming.passing == 0;
            match is_due {
                true => events.push(upcoming.event),
                false => upcoming.passing -= 1,
            }
            !is_due
        });
        events
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
        _ => otherwise,
    }
}

/// The tab's storage.
#[derive(Default)]
pub(crate) struct MemoryStore {
    texts: RefCell<BTreeMap<String, String>>,
    /// Does the patient's browser deny it?
    pub(crate) is_blocked: Cell<bool>,
}

impl MemoryStore {
    /// Everything in it.
    pub(crate) fn dump(&self) -> String {
        format!("{:?}", self.texts.borrow())
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
