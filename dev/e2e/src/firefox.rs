//! Firefox: what WebDriver lacks is done by scripts in the browser's own pages, which geckodriver lets us run.
//!
//! It takes seconds to start. So one that has made a journey rests until the next, which gets a tab of a container of its own:
//! other cookies, other storage, another cache.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use fantoccini::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::browser::{Accessible, Browser, Extension, Glance, Habits, Storage, Text, connect};
use crate::driver::Driver;
use crate::emulation::{Circumstances, Colors, Language, Motion, Scheme};
use crate::engine::Engine;

/// Those that rest: their drivers, and the names of their sessions.
static RESTING: Mutex<Vec<(Arc<Driver>, String)>> = Mutex::new(Vec::new());

/// Opens a tab in this container and looks at it. `arguments[1]`: the only one from now on.
const OPEN_TAB: &str = "return (async (container, isOnly) => {
    const tab = gBrowser.addTrustedTab('about:blank', { userContextId: container });
    gBrowser.selectedTab = tab;
    if (isOnly) for (const other of [...gBrowser.tabs]) {
        if (other !== tab) gBrowser.removeTab(other, { animate: false, skipPermitUnload: true });
    }
    while (tab.hasAttribute('busy') || tab.linkedBrowser.webProgress?.isLoadingDocument) {
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return true;
})(...arguments)";

/// Settings as Firefox comes, but for those of a patient, scroll bars as on a phone, and twenty pictures a second: sixty of a
/// circle that turns cost a sixth of the time.
const SET_UP: &str = "const [isBlocked, fontSize] = arguments;
    Services.io.offline = false;
    Services.prefs.setBoolPref('network.disable-localhost-when-offline', true);
    Services.prefs.setIntPref('ui.useOverlayScrollbars', 1);
    Services.prefs.setIntPref('layout.frame_rate', 20);
    for (const name of ['network.cookie.cookieBehavior', 'font.size.variable.x-western']) Services.prefs.clearUserPref(name);
    if (isBlocked) Services.prefs.setIntPref('network.cookie.cookieBehavior', 2);
    if (fontSize) Services.prefs.setIntPref('font.size.variable.x-western', fontSize);
    return true;";

const EMULATE: &str = "const [width, height, ratio, isTouched, scheme, motion, colors, language] = arguments;
    const browser = gBrowser.selectedBrowser;
    for (const [name, length] of [['width', width], ['height', height]]) {
        for (const end of ['min', 'max']) browser.style.setProperty(`${end}-${name}`, `${length}px`);
    }
    const context = browser.browsingContext;
    context.overrideDPPX = ratio;
    context.touchEventsOverride = isTouched ? 'enabled' : 'none';
    context.prefersColorSchemeOverride = scheme;
    Services.prefs.setIntPref('ui.prefersReducedMotion', motion);
    context.forcedColorsOverride = colors;
    context.languageOverride = language;
    return true;";

const HISTORY: &str = "const history = gBrowser.selectedBrowser.browsingContext.sessionHistory;
    return Array.from({ length: history.count }, (_, at) => history.getEntryAtIndex(at).URI.spec);";

const PROCESS: &str =
    "return gBrowser.selectedBrowser.browsingContext.currentWindowGlobal?.osPid ?? null";

const SAVE_INTO: &str = "Services.prefs.setIntPref('browser.download.folderList', 2);
    Services.prefs.setStringPref('browser.download.dir', arguments[0]);
    Services.prefs.setBoolPref('browser.download.alwaysOpenPanel', false);
    return true;";

/// Everything that has a role of its own, or a text.
const PLACES: &str = "
    const isShown = (element) => element.getClientRects().length > 0 && element.checkVisibility()
        && !element.closest('[aria-hidden=true]');
    const places = '[role], a, button, input, select, textarea, h1, h2, h3, h4, summary, details, dialog, main, nav, aside, '
        + 'header, footer, section, form, ul, ol, li, table, th, td, dt, dd, img, progress';
    return [...document.querySelectorAll(places)].filter(isShown);";

/// The texts that are shown, and the states that attributes give to the element with the role.
const TEXTS: &str = "
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const around = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (text && around.getClientRects().length && around.checkVisibility() && !around.closest('[aria-hidden=true]')) texts.push(text);
    }
    return texts;";

const STATES: &str = "const [element] = arguments;
    const value = (text) => text === 'true' ? true : text === 'false' ? false : text;
    const states = [...element.attributes].filter((it) => it.name.startsWith('aria-'))
        .map((it) => [it.name.slice(5), value(it.value)]);
    if (document.activeElement === element) states.push(['focused', true]);
    return states;";

/// One that rests, or a new one; with a new tab, in a container of its own.
pub(crate) async fn open(habits: Habits) -> Result<(Arc<Driver>, Client, u32)> {
    static CONTAINERS: AtomicU32 = AtomicU32::new(1_000);
    let container = CONTAINERS.fetch_add(1, Ordering::Relaxed);
    loop {
        let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let is_new = resting.is_none();
        let (driver, client) = match resting {
            Some((driver, session)) => {
                let connector = HttpConnector::new();
                let client =
                    Client::with_existing_session(driver.address(), &session, connector).await?;
                (driver, client)
            }
            None => start().await?,
        };
        client.persist().await?;
        match set_up(&client, habits, container).await {
            Ok(()) => return Ok((driver, client, container)),
            Err(error) if is_new => return Err(error),
            // It has ended while it rested. There is another one, or a new one.
            Err(_) => {}
        }
    }
}

async fn start() -> Result<(Arc<Driver>, Client)> {
    let driver = Arc::new(Driver::start(Engine::Firefox)?);
    let capabilities = json!({
        "browserName": "firefox",
        "timeouts": { "pageLoad": 60_000 },
        "moz:firefoxOptions": {
            "binary": driver.folder().join("firefox"),
            "args": ["-headless"],
        },
    });
    let client = connect(&driver, serde_json::from_value(capabilities)?)
        .await
        .context(
            "geckodriver could not start Firefox. Run `cargo xtask setup` if it is not installed",
        )?;
    Ok((driver, client))
}

async fn set_up(client: &Client, habits: Habits, container: u32) -> Result<()> {
    let is_blocked = habits.storage == Storage::Blocked;
    let font_size = (habits.text == Text::Double).then_some(32);
    privileged(client, SET_UP, vec![json!(is_blocked), json!(font_size)]).await?;
    privileged(client, OPEN_TAB, vec![json!(container), json!(true)]).await?;
    let tabs = client.windows().await?;
    let tab = tabs.into_iter().next().context("no tab")?;
    Ok(client.switch_to_window(tab).await?)
}

/// It rests until another journey begins.
pub(crate) async fn rest(driver: Arc<Driver>, client: &Client) -> Result<()> {
    let session = client.session_id().await?.context("no session")?;
    RESTING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((driver, session));
    Ok(())
}

/// Opens another tab of this container, and looks at it.
pub(crate) async fn open_tab(browser: &Browser) -> Result<()> {
    let client = browser.client();
    let before = client.windows().await?;
    privileged(
        &client,
        OPEN_TAB,
        vec![json!(browser.container), json!(false)],
    )
    .await?;
    let mut tabs = client.windows().await?.into_iter();
    let tab = tabs.find(|tab| !before.contains(tab)).context("no tab")?;
    Ok(client.switch_to_window(tab).await?)
}

pub(crate) async fn emulate(browser: &Browser, circumstances: Circumstances) -> Result<()> {
    let device = circumstances.device;
    let arguments = vec![
        json!(device.width),
        json!(device.height),
        json!(device.ratio),
        json!(device.is_mobile),
        json!(match circumstances.scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        }),
        json!(match circumstances.motion {
            Motion::Any => 0,
            Motion::Reduced => 1,
        }),
        json!(match circumstances.colors {
            Colors::Own => "none",
            Colors::Forced => "active",
        }),
        json!(match circumstances.language {
            Language::English => "en-US",
            Language::Spanish => "es-US",
        }),
    ];
    privileged(&browser.client(), EMULATE, arguments).await?;
    // The page has a process of its own, and hears of it a moment later.
    let expected = format!("a page {} pixels wide", device.width);
    let look = async || {
        let width: u32 = browser.evaluate("return innerWidth").await?;
        Ok(match width == device.width {
            true => Glance::Seen(()),
            false => Glance::NotYet,
        })
    };
    browser.until(&expected, look).await
}

pub(crate) async fn history(browser: &Browser) -> Result<Vec<String>> {
    let history = privileged(&browser.client(), HISTORY, Vec::new()).await?;
    Ok(serde_json::from_value(history)?)
}

pub(crate) async fn set_offline(browser: &Browser, offline: bool) -> Result<()> {
    let script = "Services.io.offline = arguments[0]; return true;";
    privileged(&browser.client(), script, vec![json!(offline)])
        .await
        .map(drop)
}

/// Ends the process of the tab as the system does when memory runs out.
pub(crate) async fn crash(browser: &Browser) -> Result<()> {
    let client = browser.client();
    let process = privileged(&client, PROCESS, Vec::new()).await?;
    let number = process.as_u64().context("the tab has no process")?;
    let ended = Command::new("kill")
        .args(["-9", &number.to_string()])
        .status()?;
    ensure!(ended.success(), "the tab did not crash");
    browser
        .until("a crashed tab", async || {
            let now = privileged(&browser.client(), PROCESS, Vec::new()).await?;
            Ok(match now == process {
                true => Glance::NotYet,
                false => Glance::Seen(()),
            })
        })
        .await
}

pub(crate) async fn save_into(browser: &Browser, folder: &Path) -> Result<()> {
    privileged(&browser.client(), SAVE_INTO, vec![json!(folder)])
        .await
        .map(drop)
}

/// Roles and names as the engine computes them, for Firefox and WebKit alike. States are the attributes'.
pub(crate) async fn accessible(browser: &Browser) -> Result<Vec<Accessible>> {
    let client = browser.client();
    let places = client.execute(PLACES, Vec::new()).await?;
    let mut told = Vec::new();
    for place in places.as_array().into_iter().flatten() {
        let named = place.as_object().and_then(|it| it.values().next());
        let element = named.and_then(Value::as_str).context("an element")?;
        let computed = async |what: &'static str| -> Result<String> {
            let path = format!("element/{element}/{what}");
            let text = client.issue_cmd(Extension::asking(path)).await?;
            Ok(text.as_str().unwrap_or_default().to_owned())
        };
        let states = client.execute(STATES, vec![place.clone()]).await?;
        told.push(Accessible {
            role: computed("computedrole").await?,
            name: computed("computedlabel").await?,
            properties: serde_json::from_value(states)?,
        });
    }
    let texts = client.execute(TEXTS, Vec::new()).await?;
    for text in texts.as_array().into_iter().flatten() {
        told.push(Accessible {
            role: "StaticText".to_owned(),
            name: text.as_str().unwrap_or_default().to_owned(),
            properties: Vec::new(),
        });
    }
    Ok(told)
}

/// Runs a script in the browser's own page.
async fn privileged(client: &Client, script: &str, arguments: Vec<Value>) -> Result<Value> {
    let context = |name| Extension::new("moz/context", json!({ "context": name }));
    client.issue_cmd(context("chrome")).await?;
    let answer = client.execute(script, arguments).await;
    client.issue_cmd(context("content")).await?;
    Ok(answer?)
}
