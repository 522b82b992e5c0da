//! The browser as a patient uses it: open a link, sign in, allow, read what the page says.
//!
//! Every wait is for a condition, bounded by [`PATIENCE`], and its failure tells what was on the screen. What each engine does
//! in a way of its own is in a module of its name, and what one cannot do at all is in [`crate::engine`].

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
pub use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use sandbox::Sandbox;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::driver::Driver;
use crate::emulation::Circumstances;
pub use crate::engine::{Capability, Engine};
use crate::instrument::{SAID_HERE, Scripts};
use crate::{chromium, engine, firefox, webkit};

/// How long a journey waits for any one condition.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a driver may take to begin a session, or to end it.
const SESSION: Duration = Duration::from_secs(40);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(40);

/// Browsers that run at the same time: more only slow each other down, and their journeys wait for a page no longer than
/// [`PATIENCE`].
static SEATS: Semaphore = Semaphore::const_new(3);

/// Reads what the view has rendered, and says whether it has come to rest.
const READ_SCREEN: &str = "
    const root = document.querySelector('[data-jhe-connect]');
    if (!root) return null;
    const isShown = (element) => element.getClientRects().length > 0 && element.checkVisibility();
    const buttons = [...root.querySelectorAll('[data-jc-action]')].filter(isShown);
    const folded = [...root.querySelectorAll('details')].flatMap((fold) =>
        [...fold.querySelectorAll('summary, p, li, code, caption, th, td, a, button')]);
    const receipt = root.querySelector('.jc-receipt');
    return {
        state: root.dataset.jheConnect,
        name: root.dataset.jheConnectScreen ?? null,
        actions: buttons.map((it) => it.dataset.jcAction),
        code: root.dataset.jheConnectCode ?? null,
        text: root.innerText,
        heading: root.querySelector('.jc-heading, .jc-remedy h2')?.innerText ?? null,
        facts: [...root.querySelectorAll('dt')].map((name) => [name.innerText, name.nextElementSibling.innerText]),
        folded: folded.map((it) => it.textContent).join('\\n'),
        action: buttons.find((it) => it.classList.contains('jc-first'))?.innerText ?? null,
        said: window.whatThePageSaid ?? [],
        is_shown: isShown(root),
        is_receipt_awaited: receipt !== null && !receipt.firstElementChild,
    };";

/// Keeps each sentence that our page has shown, also those that were soon replaced by others.
const KEEP_WHAT_IS_SAID: &str = "(() => {
    const said = new Set();
    new MutationObserver(() => {
        for (const sentence of document.querySelectorAll('.jc-screen :is(.jc-heading, p)')) said.add(sentence.textContent);
        window.whatThePageSaid = [...said];
    }).observe(document, { subtree: true, childList: true });
})();";

/// Asks to leave the page, as far as a script can: would the browser ask the patient back?
const TRY_TO_LEAVE: &str = "
    const leave = new Event('beforeunload', { cancelable: true });
    window.dispatchEvent(leave);
    return leave.defaultPrevented;";

/// Puts every violation of a Content-Security-Policy into the console, also those that a page catches as exceptions.
const TELL_VIOLATIONS: &str = "addEventListener('securitypolicyviolation', (event) =>
    console.error('policy violated:', event.effectiveDirective, event.blockedURI, event.sourceFile));";

/// Answers every question that our pages ask as who only wants to go on does, at once and once each. The button's own script
/// comes to its end first.
const SAY_YES: &str = "(() => {
    if (window.isSayingYes) return;
    window.isSayingYes = true;
    const acts = ['continue', 'yes-me', 'go-on', 'send'].map((name) => `[data-jc-action=${name}]`);
    const yes = [...acts, '[data-jhe-connect-screen=returned] [data-jc-action=try-again]'].join();
    const pressed = new WeakSet();
    const answer = () => {
        for (const button of document.querySelectorAll(yes)) {
            if (pressed.has(button) || button.disabled || !button.getClientRects().length) continue;
            pressed.add(button);
            setTimeout(() => button.click());
        }
    };
    new MutationObserver(answer).observe(document, { subtree: true, childList: true, attributes: true });
    answer();
})();";

/// What a patient has changed in the settings of the browser before the journey begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// May pages keep anything?
    pub storage: Storage,
    /// How large is a text that no page has given a size?
    pub text: Text,
}

/// The default size of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// As browsers come.
    #[default]
    Usual,
    /// Twice that: a page must be as good then (WCAG 1.4.4).
    Double,
}

/// Whether pages may use cookies and storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// As browsers come.
    #[default]
    Allowed,
    /// Denied in the settings: `window.sessionStorage` throws.
    Blocked,
}

/// `data-jhe-connect`: how far the page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Steps are being taken.
    Working,
    /// The patient is picking a hospital.
    Choosing,
    /// The patient is asked something.
    Asking,
    /// The browser is on its way to the hospital's sign-in.
    Redirecting,
    /// Everything arrived.
    Done,
    /// Some records arrived, and the page says what is missing.
    Partly,
    /// Nothing can be done any more, and the page says why.
    Failed,
}

impl State {
    /// Nothing more happens unless the patient acts.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Partly | Self::Failed)
    }
}

/// What the page shows.
#[derive(Clone, Debug, Deserialize)]
pub struct Screen {
    /// How far it is.
    pub state: State,
    /// The name of the screen (`data-jhe-connect-screen`), if the page gives it one.
    pub name: Option<String>,
    /// What can be pressed (`data-jc-action`), in the order in which it is read.
    pub actions: Vec<String>,
    /// The error code, if it failed in whole or in part.
    pub code: Option<String>,
    /// All visible text.
    pub text: String,
    /// What happens now.
    pub heading: Option<String>,
    /// Names, and what they stand for.
    pub facts: Vec<(String, String)>,
    /// What can be unfolded, line by line, whether it is or not: technical details, notes, tables, ways to a person.
    pub folded: String,
    /// What the button says that stands out, if there is one.
    pub action: Option<String>,
    /// What the page has said since it was opened, sentence by sentence.
    pub said: Vec<String>,
    /// Is any of it to be seen?
    pub is_shown: bool,
    /// Is it still to come what an import has brought?
    pub is_receipt_awaited: bool,
}

impl Screen {
    /// Everything arrived.
    pub fn expect_done(&self) -> Result<()> {
        ensure!(
            self.state == State::Done && self.code.is_none(),
            "expected the page to be done, found {self}"
        );
        Ok(())
    }

    /// The run ended early or incompletely, for this reason.
    pub fn expect_code(&self, code: &str) -> Result<()> {
        ensure!(
            self.code.as_deref() == Some(code),
            "expected the code {code}, found {self}"
        );
        Ok(())
    }

    /// The page offers this to go on.
    pub fn expect_action(&self, label: &str) -> Result<()> {
        ensure!(
            self.action.as_deref() == Some(label),
            "expected the button {label:?}, found {self}"
        );
        Ok(())
    }

    /// This screen is shown.
    pub fn expect_screen(&self, name: &str) -> Result<()> {
        ensure!(
            self.name.as_deref() == Some(name),
            "expected the screen {name}, found {self}"
        );
        Ok(())
    }

    /// Is there a button of this name?
    pub fn offers(&self, action: &str) -> bool {
        self.actions.iter().any(|offered| offered == action)
    }

    /// The page says all of this, folded or not, upper or lower case.
    pub fn expect_texts(&self, texts: &[&str]) -> Result<()> {
        let (told, folded) = (self.text.to_lowercase(), self.folded.to_lowercase());
        for text in texts {
            let text = text.to_lowercase();
            ensure!(
                told.contains(&text) || folded.contains(&text),
                "expected the text {text:?}, found {self}"
            );
        }
        Ok(())
    }

    /// Each of these is a whole line of what is to be read.
    pub fn expect_lines(&self, lines: &[&str]) -> Result<()> {
        for line in lines {
            ensure!(
                self.text.lines().any(|told| told == *line),
                "expected the line {line:?}, found {self}"
            );
        }
        Ok(())
    }

    /// The page has said this since it was opened, as a sentence of its own.
    pub fn expect_said(&self, sentence: &str) -> Result<()> {
        ensure!(
            self.said.iter().any(|said| said == sentence),
            "expected {sentence:?} to have been said, found {:?}, and then {self}",
            self.said
        );
        Ok(())
    }

    /// What stands beside this name, if it is there.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let mut facts = self.facts.iter();
        let fact = facts.find(|(known, _)| known == name)?;
        Some(&fact.1)
    }

    /// Beside this name stands this.
    pub fn expect_fact(&self, name: &str, value: &str) -> Result<()> {
        ensure!(
            self.fact(name) == Some(value),
            "expected {name}: {value}, found {self}"
        );
        Ok(())
    }

    /// So many records are at the study now, and so many of them were not there before.
    pub fn expect_records(&self, now: usize, new: usize) -> Result<()> {
        self.expect_fact("Now at the study", &counted(now))?;
        // Of records that are all new nothing more is told.
        let told = (new < now).then(|| counted(new));
        ensure!(
            self.fact("New this time") == told.as_deref(),
            "expected {new} new records, found {self}"
        );
        Ok(())
    }
}

/// `12 records`, `1,200 records`.
pub fn counted(records: usize) -> String {
    let noun = if records == 1 { "record" } else { "records" };
    match (records / 1_000, records % 1_000) {
        (0, rest) => format!("{rest} {noun}"),
        (thousands, rest) => format!("{thousands},{rest:03} {noun}"),
    }
}

/// `Labs, Goals, and Visits`.
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [one, other] => format!("{one} and {other}"),
        [before @ .., last] => format!("{}, and {last}", before.join(", ")),
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.state)?;
        if let Some(name) = &self.name {
            write!(f, ", the screen {name}")?;
        }
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        write!(f, "\n{}", self.text)?;
        if !self.folded.is_empty() {
            write!(f, "\n[folded] {}", self.folded)?;
        }
        if let Some(action) = &self.action {
            write!(f, "\n[button] {action}")?;
        }
        Ok(())
    }
}

/// One line of the browser's console.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsoleLine {
    /// `SEVERE`, `WARNING`, `INFO` …
    pub level: String,
    /// The text, with the place that it came from.
    pub message: String,
}

/// One thing on the page, as assistive technology is told of it.
#[derive(Clone, Debug)]
pub struct Accessible {
    /// What it is: `combobox`, `option` …
    pub role: String,
    /// How it is called.
    pub name: String,
    pub(crate) properties: Vec<(String, Value)>,
}

impl Accessible {
    /// What one of its properties says, such as `expanded`.
    pub fn property(&self, name: &str) -> Option<&Value> {
        let mut properties = self.properties.iter();
        let (_, value) = properties.find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// A browser with one empty profile, held by one journey.
#[derive(Debug)]
pub struct Browser {
    engine: Engine,
    pub(crate) habits: Habits,
    /// The session that has begun the browser, and ends it.
    pub(crate) first: Client,
    /// The session that the journey is made with: another one after a crash.
    pub(crate) current: Mutex<Client>,
    console: Mutex<Vec<ConsoleLine>>,
    /// By which name the browser knows [`SAY_YES`], while it answers for the patient.
    yes: Mutex<Option<String>>,
    circumstances: Mutex<Circumstances>,
    is_offline: AtomicBool,
    tabs: Mutex<Vec<WindowHandle>>,
    /// What pages begin with, where the engine has no way of its own.
    pub(crate) scripts: Scripts,
    /// Firefox's name for what belongs to this journey.
    pub(crate) container: u32,
    pub(crate) driver: Arc<Driver>,
    /// Since when there is a seat for it.
    pub(crate) begun: Instant,
    _seat: SemaphorePermit<'static>,
}

impl Browser {
    /// Opens a browser, as soon as there is a seat for it.
    pub async fn start(engine: Engine, habits: Habits) -> Result<Self> {
        let seat = SEATS.acquire().await?;
        let begun = Instant::now();
        let (driver, client, container) = match engine {
            Engine::Chromium => {
                let (driver, client) = chromium::open(habits).await?;
                (driver, client, 0)
            }
            Engine::Firefox => firefox::open(habits).await?,
            Engine::WebKit => {
                let (driver, client) = webkit::open(habits).await?;
                (driver, client, 0)
            }
        };
        let browser = Self {
            engine,
            habits,
            first: client.clone(),
            current: Mutex::new(client),
            console: Mutex::default(),
            yes: Mutex::default(),
            circumstances: Mutex::default(),
            is_offline: AtomicBool::default(),
            tabs: Mutex::default(),
            scripts: Scripts::default(),
            container,
            driver,
            begun,
            _seat: seat,
        };
        browser.prepare_pages(TELL_VIOLATIONS).await?;
        browser.prepare_pages(KEEP_WHAT_IS_SAID).await?;
        if engine == Engine::WebKit
            && let Some(script) = webkit::scripts_for(habits)
        {
            browser.prepare_pages(script).await?;
        }
        browser.leaves_out(Capability::OpenerPolicy);
        browser.say_yes().await?;
        browser.emulate(browser.circumstances()).await?;
        Ok(browser)
    }

    /// The pages of this sandbox are those that it opens: they begin with what is prepared for pages.
    pub fn visits(&self, sandbox: &Sandbox) {
        if self.engine != Engine::Chromium {
            self.scripts.play_on(sandbox);
        }
    }

    /// What it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Can't its engine do this? Then the journey leaves it out, which is told.
    pub fn leaves_out(&self, capability: Capability) -> bool {
        let Some(reason) = self.engine.lacks(capability) else {
            return false;
        };
        engine::note_left_out(self.engine, capability, reason);
        true
    }

    /// The same for a journey that makes no sense without it.
    pub fn cannot_make_this_without(&self, capability: Capability) -> bool {
        let Some(reason) = self.engine.lacks(capability) else {
            return false;
        };
        engine::note_not_made(self.engine, capability, reason);
        true
    }

    /// From the next page on, the questions of our pages wait for the journey to answer them. Without this, each is answered
    /// in the page as soon as it is asked, so that a journey about something else does not have to know of it.
    pub async fn answer_by_hand(&self) -> Result<()> {
        let yes = self.yes_script().take();
        match (yes, self.engine) {
            (Some(script), Engine::Chromium) => chromium::forget(self, &script).await,
            (Some(script), Engine::Firefox | Engine::WebKit) => {
                self.scripts.remove(&script);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Does the journey have to answer our pages' questions?
    pub fn answers_by_hand(&self) -> bool {
        self.yes_script().is_none()
    }

    /// Has the questions of the pages to come answered, in the tab that is looked at.
    async fn say_yes(&self) -> Result<()> {
        let prepared = self.prepare_pages(SAY_YES).await?;
        *self.yes_script() = Some(prepared);
        Ok(())
    }

    /// In which circumstances pages are shown.
    pub fn circumstances(&self) -> Circumstances {
        *(self.circumstances)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember(&self, circumstances: Circumstances) {
        *(self.circumstances)
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = circumstances;
    }

    fn yes_script(&self) -> MutexGuard<'_, Option<String>> {
        self.yes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the browser. A journey does so however it went.
    pub async fn close(self) -> Result<()> {
        match self.engine {
            Engine::Chromium => end(self.first.clone()).await,
            Engine::Firefox => firefox::rest(self.driver.clone(), &self.first).await,
            Engine::WebKit => {
                // One that does not come to an end is ended with its driver.
                if end(self.client()).await.is_ok() {
                    webkit::rest(self.driver.clone());
                }
                Ok(())
            }
        }
    }

    /// The journey goes on with another session.
    pub(crate) fn replace_client(&self, client: Client) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    pub(crate) fn client(&self) -> Client {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    // The patient's verbs.

    /// Opens a link, and returns when the page has loaded.
    pub async fn open(&self, link: &str) -> Result<()> {
        self.client()
            .goto(link)
            .await
            .with_context(|| format!("opening {link}"))
    }

    /// Loads the page again.
    pub async fn reload(&self) -> Result<()> {
        Ok(self.client().refresh().await?)
    }

    /// Goes back to the page before that the browser can show again.
    pub async fn back(&self) -> Result<()> {
        let client = self.client();
        match client.back().await {
            // Firefox does not send a form again by itself: in the place of what came of it is a page of its own.
            Err(CmdError::Standard(told)) if told.message.contains("e=notCached") => {
                Ok(client.back().await?)
            }
            gone => Ok(gone?),
        }
    }

    /// Opens another tab and looks at it.
    pub async fn open_tab(&self) -> Result<()> {
        self.tabs().await?;
        if self.engine == Engine::Firefox {
            firefox::open_tab(self).await?;
        } else {
            let tab = self.client().new_window(true).await?;
            self.client().switch_to_window(tab.handle).await?;
        }
        self.prepare_tab().await
    }

    /// What is prepared for pages is prepared for those of one tab.
    async fn prepare_tab(&self) -> Result<()> {
        if self.engine != Engine::Chromium {
            return self.emulate(self.circumstances()).await;
        }
        self.prepare_pages(TELL_VIOLATIONS).await?;
        self.prepare_pages(KEEP_WHAT_IS_SAID).await?;
        self.emulate(self.circumstances()).await?;
        if self.answers_by_hand() {
            return Ok(());
        }
        self.say_yes().await?;
        // The page that is here already was there before.
        self.evaluate(SAY_YES).await
    }

    /// Duplicates the tab, with its storage, at this address, and looks at it.
    pub async fn duplicate_tab(&self, address: &str) -> Result<()> {
        let client = self.client();
        let before = self.tabs().await?;
        // What a page opens begins with a copy of its sessionStorage, as a duplicated tab does. In Firefox only if the page has
        // looked into it.
        client
            .execute(
                "sessionStorage.length; window.open(arguments[0])",
                vec![json!(address)],
            )
            .await?;
        let opened = self
            .until("another tab", async || {
                let mut tabs = client.windows().await?.into_iter();
                Ok(match tabs.find(|tab| !before.contains(tab)) {
                    Some(tab) => Glance::Seen(tab),
                    None => Glance::NotYet,
                })
            })
            .await?;
        client.switch_to_window(opened).await?;
        self.prepare_tab().await
    }

    /// Looks at the tab that was opened so many tabs after the first one.
    pub async fn look_at_tab(&self, number: usize) -> Result<()> {
        let tabs = self.tabs().await?;
        let tab =
            (tabs.into_iter().nth(number)).with_context(|| format!("there is no tab {number}"))?;
        Ok(self.client().switch_to_window(tab).await?)
    }

    /// The tabs in the order in which they were opened. WebDriver gives them in any order.
    async fn tabs(&self) -> Result<Vec<WindowHandle>> {
        let there = self.client().windows().await?;
        let mut tabs = self.tabs.lock().unwrap_or_else(PoisonError::into_inner);
        tabs.retain(|tab| there.contains(tab));
        let new: Vec<_> = (there.into_iter())
            .filter(|tab| !tabs.contains(tab))
            .collect();
        tabs.extend(new);
        Ok(tabs.clone())
    }

    /// Closes the tab, and looks at the first of those that are left.
    pub async fn close_tab(&self) -> Result<()> {
        self.client().close_window().await?;
        self.look_at_tab(0).await
    }

    /// Presses the button that stands out, and returns when another page is there.
    pub async fn press_action(&self) -> Result<()> {
        self.leaves_by(async || self.click(".jc-first").await).await
    }

    /// Presses the button of this name (`data-jc-action`), as soon as it can be pressed. Fails at once if our page stopped without it.
    pub async fn press_named(&self, action: &str) -> Result<()> {
        let button = format!("[data-jc-action=\"{action}\"]");
        self.until(&format!("the button {action:?}"), async || {
            let screen = self.screen_now().await?;
            if let Some(screen) = screen.filter(|it| it.state.is_final() && !it.offers(action)) {
                return Ok(Glance::Never(format!("our page stopped: {screen}")));
            }
            let Some(found) = self.visible(&button).await? else {
                return Ok(Glance::NotYet);
            };
            match found.click().await {
                Ok(()) => Ok(Glance::Seen(())),
                Err(error) if is_answer_of_a_page_that_goes(&error) => Ok(Glance::Seen(())),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// The first element for a selector that is drawn and not disabled.
    async fn visible(&self, selector: &str) -> Result<Option<Element>> {
        for element in self.client().find_all(Locator::Css(selector)).await? {
            if element.is_displayed().await? && element.is_enabled().await? {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// Does something that makes the page go, and returns when it is gone.
    pub async fn leaves_by(&self, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        // Another page may be one that went before, kept as it was by the browser.
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = MARKS.fetch_add(1, Ordering::Relaxed);
        let _: () = self
            .evaluate(&format!("window.thePageThatGoes = {mark}"))
            .await?;
        act().await?;
        self.until("another page", async || {
            let is_here = self
                .evaluate(&format!("return window.thePageThatGoes === {mark}"))
                .await?;
            Ok(match is_here {
                true => Glance::NotYet,
                false => Glance::Seen(()),
            })
        })
        .await
    }

    /// Would the browser ask before it leaves the page?
    pub async fn asks_before_leaving(&self) -> Result<bool> {
        self.evaluate(TRY_TO_LEAVE).await
    }

    /// Fills in the hospital's login form, once it is there, and sends it.
    pub async fn sign_in(&self, user: &str, password: &str) -> Result<()> {
        self.element("#username").await?.send_keys(user).await?;
        self.element("#password").await?.send_keys(password).await?;
        self.click("#sign-in").await
    }

    /// Agrees, on the hospital's consent page.
    pub async fn allow(&self) -> Result<()> {
        self.click("#allow").await
    }

    /// Agrees, on the hospital's consent page, but keeps back what the hospital has of these types.
    pub async fn allow_without(&self, types: &[&str]) -> Result<()> {
        self.wait_for_consent_page().await?;
        for name in types {
            self.click(&format!("input[name=scope][value^=\"patient/{name}.\"]"))
                .await?;
        }
        self.allow().await
    }

    /// Refuses, on the hospital's consent page.
    pub async fn deny(&self) -> Result<()> {
        self.click("#deny").await
    }

    /// Types a text into whatever has the focus.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        self.press_each(text.chars()).await
    }

    /// Presses keys, one after the other; whatever has the focus gets them.
    pub async fn press(&self, keys: &[Key]) -> Result<()> {
        self.press_each(keys.iter().map(|key| char::from(*key)))
            .await
    }

    async fn press_each(&self, keys: impl Iterator<Item = char>) -> Result<()> {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys {
            actions = actions.then(KeyAction::Down { value });
            actions = actions.then(KeyAction::Up { value });
        }
        match self.client().perform_actions(actions).await {
            Err(error) if is_answer_of_a_page_that_goes(&error) => Ok(()),
            pressed => Ok(pressed?),
        }
    }

    /// The hospital's login form is on the screen. Fails at once if our page stopped before.
    pub async fn wait_for_login_form(&self) -> Result<()> {
        self.until("the hospital's login form", async || {
            if self.present("#username").await? {
                return Ok(Glance::Seen(()));
            }
            Ok(match self.screen_now().await? {
                Some(screen) if screen.state.is_final() => {
                    Glance::Never(format!("our page stopped: {screen}"))
                }
                // Nobody comes to the hospital without having agreed to what will be shared.
                Some(screen) if self.answers_by_hand() && screen.offers("continue") => {
                    self.click("[data-jc-action=continue]").await?;
                    Glance::NotYet
                }
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// Our page shows this screen (`data-jhe-connect-screen`). Fails at once if it comes to rest with another one.
    pub async fn wait_for_screen(&self, name: &str) -> Result<Screen> {
        self.wait_for_one_of(&[name]).await
    }

    /// The same for whichever of these comes first.
    pub async fn wait_for_one_of(&self, names: &[&str]) -> Result<Screen> {
        self.until(&format!("the screen {}", names.join(" or ")), async || {
            Ok(match self.screen_now().await? {
                Some(screen) if screen.name.as_deref().is_some_and(|it| names.contains(&it)) => {
                    Glance::Seen(screen)
                }
                Some(screen) if screen.state.is_final() => {
                    Glance::Never(format!("our page came to rest: {screen}"))
                }
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// Is the hospital's login form on the screen?
    pub async fn is_at_login_form(&self) -> Result<bool> {
        self.present("#username").await
    }

    /// The hospital's consent page is on the screen.
    pub async fn wait_for_consent_page(&self) -> Result<()> {
        self.element("#allow").await.map(drop)
    }

    /// What our page shows when it has come to rest, with all that there is to tell of an import.
    pub async fn wait_until_settled(&self) -> Result<Screen> {
        self.until("our page to come to rest", async || {
            Ok(match self.screen_now().await? {
                Some(screen) if screen.state.is_final() && !screen.is_receipt_awaited => {
                    Glance::Seen(screen)
                }
                Some(screen)
                    if screen.state.is_final()
                        && self.is_offline.load(Ordering::Relaxed)
                        && self.leaves_out(Capability::FilesWithoutNetwork) =>
                {
                    Glance::Seen(screen)
                }
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// Our page is in this state, with this code (or with none). Fails at once if it comes to rest in another.
    pub async fn wait_for_state(&self, state: State, code: Option<&str>) -> Result<Screen> {
        self.until(&format!("state {state:?} and code {code:?}"), async || {
            Ok(match self.screen_now().await? {
                Some(screen) if screen.state == state && screen.code.as_deref() == code => {
                    Glance::Seen(screen)
                }
                Some(screen) if screen.state.is_final() => {
                    Glance::Never(format!("our page came to rest: {screen}"))
                }
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// Our page says this, whatever its state.
    pub async fn wait_for_text(&self, text: &str) -> Result<Screen> {
        self.until(&format!("the text {text:?}"), async || {
            Ok(match self.screen_now().await? {
                Some(screen) if screen.text.contains(text) => Glance::Seen(screen),
                Some(screen) if screen.state.is_final() => {
                    Glance::Never(format!("our page came to rest: {screen}"))
                }
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// Our page counts seconds down behind these words, and there are fewer than `below`. Gives how many, which depends on how
    /// fast the browser is.
    pub async fn wait_for_countdown(&self, words: &str, below: u64) -> Result<(u64, Screen)> {
        self.until(&format!("{words:?}, and seconds"), async || {
            let screen = self.screen_now().await?;
            let behind = screen.as_ref().and_then(|it| it.text.split_once(words));
            let seconds = behind.and_then(|(_, it)| it.split_once(" s.")?.0.trim().parse().ok());
            Ok(match (screen, seconds) {
                (Some(screen), Some(seconds)) if seconds < below => Glance::Seen((seconds, screen)),
                (Some(screen), None) if screen.state.is_final() => {
                    Glance::Never(format!("our page came to rest: {screen}"))
                }
                _ => Glance::NotYet,
            })
        })
        .await
    }

    /// This can be read on whatever page is open, ours or not, also where ours has come to rest.
    pub async fn wait_for_page_text(&self, text: &str) -> Result<()> {
        self.until(&format!("a page with the text {text:?}"), async || {
            Ok(match self.page_text().await?.contains(text) {
                true => Glance::Seen(()),
                false => Glance::NotYet,
            })
        })
        .await
    }

    /// What our page shows now, if it has rendered anything.
    pub async fn screen_now(&self) -> Result<Option<Screen>> {
        Ok(serde_json::from_value(
            self.client().execute(READ_SCREEN, Vec::new()).await?,
        )?)
    }

    /// All that can be read on whatever page is open.
    pub async fn page_text(&self) -> Result<String> {
        self.evaluate("return document.body?.innerText ?? ''").await
    }

    /// The address bar.
    pub async fn address(&self) -> Result<Url> {
        Ok(self.client().current_url().await?)
    }

    /// A picture of the screen, as PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        Ok(self.client().screenshot().await?)
    }

    /// A picture of the whole page, as PNG: also of what has to be scrolled to, and never less than the screen.
    pub async fn whole_screenshot(&self) -> Result<Vec<u8>> {
        match self.engine {
            Engine::Chromium => chromium::whole_screenshot(self).await,
            // Of what is to be seen.
            Engine::Firefox | Engine::WebKit => self.screenshot().await,
        }
    }

    /// Runs a script in the page, which `return`s a value.
    pub async fn evaluate<T: for<'a> Deserialize<'a>>(&self, script: &str) -> Result<T> {
        // Wrapped, since nothing at all is what Firefox gives where the page went while the script ran.
        let whole = format!(
            "const returned = (() => {{ {script}\n }})();
            const wrapped = (value) => ({{ value }});
            return returned instanceof Promise ? returned.then(wrapped) : wrapped(returned);"
        );
        self.until("a page in which a script can run", async || {
            let mut returned = self.client().execute(&whole, Vec::new()).await?;
            if returned.is_null() {
                return Ok(Glance::NotYet);
            }
            Ok(Glance::Seen(serde_json::from_value(
                returned["value"].take(),
            )?))
        })
        .await
    }

    /// Clicks an element, as soon as it is there.
    pub async fn click(&self, selector: &str) -> Result<()> {
        match self.element(selector).await?.click().await {
            Err(error) if is_answer_of_a_page_that_goes(&error) => Ok(()),
            clicked => Ok(clicked?),
        }
    }

    /// The element for a selector, as soon as it is there.
    async fn element(&self, selector: &str) -> Result<Element> {
        self.until(&format!("the element {selector}"), async || {
            Ok(match self.client().find(Locator::Css(selector)).await {
                Ok(element) => Glance::Seen(element),
                Err(error) if error.is_no_such_element() => Glance::NotYet,
                Err(error) => return Err(error.into()),
            })
        })
        .await
    }

    async fn present(&self, selector: &str) -> Result<bool> {
        Ok(!self
            .client()
            .find_all(Locator::Css(selector))
            .await?
            .is_empty())
    }

    /// Looks again and again until the condition is seen. What the browser answers in the middle of a navigation (no document,
    /// a stale element) is no failure.
    pub async fn until<T>(
        &self,
        expected: &str,
        look: impl AsyncFn() -> Result<Glance<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (seen, passing) = match look().await {
                Err(error) if is_passing(&error) => (Glance::NotYet, Some(error)),
                other => (other?, None),
            };
            match seen {
                Glance::Seen(value) => return Ok(value),
                Glance::Never(why) => bail!("expected {expected}, but {why}"),
                Glance::NotYet if Instant::now() > deadline => {
                    let last = passing
                        .map(|error| format!("; last: {error}"))
                        .unwrap_or_default();
                    bail!(
                        "expected {expected}, and waited {} seconds{last}",
                        PATIENCE.as_secs()
                    )
                }
                Glance::NotYet => sleep(GLANCE).await,
            }
        }
    }

    // For the reader of a failed journey.

    /// Address, text and console: what a developer wants to see first.
    pub async fn describe(&self) -> String {
        let mut told = String::new();
        let address = self
            .address()
            .await
            .map_or_else(|error| error.to_string(), String::from);
        let text = self
            .page_text()
            .await
            .unwrap_or_else(|error| error.to_string());
        let _ = writeln!(
            told,
            "--- address: {address}\n--- the page says:\n{text}\n--- console:"
        );
        match self.console().await {
            Ok(lines) => lines.iter().for_each(|line| {
                let _ = writeln!(told, "{} {}", line.level, line.message);
            }),
            Err(error) => {
                let _ = writeln!(told, "(not readable: {error})");
            }
        }
        told
    }

    // What each engine does in a way of its own.

    /// The console since the browser was opened, on all pages.
    pub async fn console(&self) -> Result<Vec<ConsoleLine>> {
        if self.engine != Engine::Chromium {
            let here = self.evaluate(SAID_HERE).await?;
            return self.scripts.console(here);
        }
        let new = chromium::console(self).await?;
        let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        console.extend(new);
        Ok(console.clone())
    }

    /// Every address in the history of this tab; none if the engine does not tell, which [`Browser::leaves_out`] says.
    pub async fn history(&self) -> Result<Vec<String>> {
        match self.engine {
            Engine::Chromium => chromium::history(self).await,
            Engine::Firefox => firefox::history(self).await,
            Engine::WebKit => {
                self.leaves_out(Capability::History);
                Ok(Vec::new())
            }
        }
    }

    /// What assistive technology is told of the page: the role and the name of each thing on it that has a role.
    pub async fn accessible(&self) -> Result<Vec<Accessible>> {
        match self.engine {
            Engine::Chromium => chromium::accessible(self).await,
            Engine::Firefox | Engine::WebKit => {
                self.leaves_out(Capability::AccessibleStates);
                firefox::accessible(self).await
            }
        }
    }

    /// Runs a script at the start of every page from now on, before the page's own: a browser that lacks something.
    /// Gives the name that the browser has for it.
    pub async fn prepare_pages(&self, script: &str) -> Result<String> {
        match self.engine {
            Engine::Chromium => chromium::prepare(self, script).await,
            Engine::Firefox | Engine::WebKit => Ok(self.scripts.add(script)),
        }
    }

    /// Takes the network away.
    pub async fn go_offline(&self) -> Result<()> {
        self.set_offline(true).await
    }

    /// Gives the network back.
    pub async fn go_online(&self) -> Result<()> {
        self.set_offline(false).await
    }

    async fn set_offline(&self, offline: bool) -> Result<()> {
        self.is_offline.store(offline, Ordering::Relaxed);
        match self.engine {
            Engine::Chromium => chromium::set_offline(self, offline).await,
            Engine::Firefox => firefox::set_offline(self, offline).await,
            Engine::WebKit => webkit::set_offline(self, offline).await,
        }
    }

    /// Lets the process of the only tab crash, and opens an address in the tab. Its storage is still there.
    pub async fn crash_and_open(&self, address: &str) -> Result<()> {
        match self.engine {
            Engine::Chromium => chromium::crash(self).await?,
            Engine::Firefox => firefox::crash(self).await?,
            Engine::WebKit => bail!("ask Browser::leaves_out for Capability::Crash first"),
        }
        self.prepare_tab().await?;
        self.open(address).await
    }

    /// Presses the link that saves a file, and gives the file's text and name.
    pub async fn save_file(&self, selector: &str, folder: &Path) -> Result<(String, String)> {
        fs::create_dir_all(folder)?;
        let folder = match self.engine {
            Engine::Chromium => {
                chromium::save_into(self, folder).await?;
                folder.to_owned()
            }
            Engine::Firefox => {
                firefox::save_into(self, folder).await?;
                folder.to_owned()
            }
            Engine::WebKit => webkit::place_of_saved(self)?,
        };
        self.click(selector).await?;
        self.until("a saved file", async || {
            let saved: Vec<PathBuf> = (fs::read_dir(&folder)?.filter_map(Result::ok))
                .map(|file| file.path())
                .collect();
            // Each engine writes under another name until the file is complete; an empty file keeps the place meanwhile.
            let is_partial = |file: &&PathBuf| {
                let ends = ["crdownload", "part", "wkdownload"];
                let extension = file.extension().and_then(|it| it.to_str());
                extension.is_some_and(|it| ends.contains(&it))
            };
            if saved.iter().any(|file| is_partial(&file)) {
                return Ok(Glance::NotYet);
            }
            let name = |file: &PathBuf| {
                let name = file.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            };
            let mut files = saved.iter();
            let is_whole = |file: &&PathBuf| {
                !name(file).starts_with('.') && file.metadata().is_ok_and(|it| it.len() > 0)
            };
            Ok(match files.find(is_whole) {
                Some(file) => Glance::Seen((fs::read_to_string(file)?, name(file))),
                None => Glance::NotYet,
            })
        })
        .await
    }

    /// What an expression comes to after a script has run, or its promise. No policy of the page forbids it.
    pub(crate) async fn run(&self, script: &str, expression: &str) -> Result<Value> {
        match self.engine {
            Engine::Chromium => chromium::run(self, &format!("{script};\n{expression}")).await,
            Engine::Firefox | Engine::WebKit => {
                let whole = format!("{script};\nreturn {expression}");
                Ok(self.client().execute(&whole, Vec::new()).await?)
            }
        }
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        Ok(self
            .client()
            .issue_cmd(Extension::new("goog/cdp/execute", body))
            .await?)
    }
}

pub(crate) async fn connect(driver: &Driver, capabilities: Capabilities) -> Result<Client> {
    let mut builder = ClientBuilder::new(HttpConnector::new());
    let connecting = builder.capabilities(capabilities).connect(driver.address());
    Ok(timeout(SESSION, connecting).await??)
}

/// Ends a session.
pub(crate) async fn end(client: Client) -> Result<()> {
    Ok(timeout(SESSION, client.close()).await??)
}

/// What one look at a condition found.
#[derive(Debug)]
pub enum Glance<T> {
    /// It is so.
    Seen(T),
    /// It may become so.
    NotYet,
    /// It can't become so any more, and this is why.
    Never(String),
}

/// Has a click or a key begun a navigation before the driver could answer?
fn is_answer_of_a_page_that_goes(error: &CmdError) -> bool {
    match error {
        // chromedriver: "aborted by navigation".
        CmdError::NotW3C(_) => true,
        // WebKitWebDriver: "Callback was not called before the unload event."
        CmdError::Standard(told) => told.message.contains("before the unload event"),
        _ => false,
    }
}

/// Is this an answer that a browser gives only while it goes from one page to the next?
fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<CmdError>().is_some_and(|error| {
        error.is_javascript_error()
            || error.is_no_such_element()
            || error.is_stale_element_reference()
            || error.is_unknown_error()
            // Firefox, when the next page has another process.
            || error.is_no_such_window()
            || is_answer_of_a_page_that_goes(error)
    })
}

/// A command beyond those that fantoccini knows.
#[derive(Debug)]
pub(crate) struct Extension {
    path: String,
    body: Option<Value>,
}

impl Extension {
    pub(crate) fn new(path: &str, body: Value) -> Self {
        Self {
            path: path.to_owned(),
            body: Some(body),
        }
    }

    pub(crate) fn asking(path: String) -> Self {
        Self { path, body: None }
    }
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        match &self.body {
            Some(body) => (Method::POST, Some(body.to_string())),
            None => (Method::GET, None),
        }
    }
}
