//! WebKit: MiniBrowser of WebKitGTK, on a display that nobody sees. There is WebDriver and nothing else, so that the rest is
//! done by the scripts of [`crate::instrument`], by the settings that MiniBrowser begins with, and by the sandbox.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use fantoccini::Client;
use serde_json::json;

use crate::browser::{Browser, Glance, Habits, Storage, Text, connect, end};
use crate::driver::Driver;
use crate::emulation::{Circumstances, Colors, Contrast, Language, Motion, Scheme};
use crate::engine::{Capability, Engine};

/// Drivers without a session.
static RESTING: Mutex<Vec<Arc<Driver>>> = Mutex::new(Vec::new());

/// How often a browser is begun before it counts as one that does not begin.
const TRIES: u32 = 3;

/// What pages see where storage is denied.
pub(crate) const DENY_STORAGE: &str = "
    for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, {
        get() { throw new DOMException('The operation is insecure.', 'SecurityError'); },
    });
    Object.defineProperty(Document.prototype, 'cookie', { get: () => '', set() {} });";

/// A driver with a new session, whose profile is empty.
pub(crate) async fn open(habits: Habits) -> Result<(Arc<Driver>, Client)> {
    let mut tries = 0;
    loop {
        let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let driver = match resting {
            Some(driver) => driver,
            None => Arc::new(Driver::start(Engine::WebKit)?),
        };
        tries += 1;
        match begin(&driver, habits, Circumstances::default()).await {
            Ok(client) => return Ok((driver, client)),
            // Now and then a driver does not get hold of the browser that it has begun. Another one does.
            Err(_) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

async fn begin(driver: &Driver, habits: Habits, circumstances: Circumstances) -> Result<Client> {
    let settings = match habits.text {
        Text::Usual => "usual-text",
        Text::Double => "large-text",
    };
    let config = match circumstances.motion {
        Motion::Any => "config",
        Motion::Reduced => "config-still",
    };
    let mut arguments = vec![
        format!("XDG_CONFIG_HOME={}", driver.folder().join(config).display()),
        program()?.display().to_string(),
        "--automation".to_owned(),
        "--features=-CrossOriginOpenerPolicy".to_owned(),
        format!("--config={}", driver.folder().join(settings).display()),
    ];
    if circumstances.scheme == Scheme::Dark {
        arguments.push("--dark-mode".to_owned());
    }
    let capabilities = json!({
        "browserName": "MiniBrowser",
        "timeouts": { "pageLoad": 60_000 },
        "webkitgtk:browserOptions": { "binary": "/usr/bin/env", "args": arguments },
    });
    connect(driver, serde_json::from_value(capabilities)?)
        .await
        .context("WebKitWebDriver could not start MiniBrowser. Run `cargo xtask setup` if it is not installed")
}

/// Debian has it in a folder that is named for the machine.
fn program() -> Result<PathBuf> {
    let places = fs::read_dir("/usr/lib")?.filter_map(Result::ok);
    let mut programs = places.map(|place| place.path().join("webkit2gtk-4.1/MiniBrowser"));
    programs
        .find(|program| program.is_file())
        .context("MiniBrowser is not installed. Run `cargo xtask setup`")
}

/// The driver rests until another journey begins.
pub(crate) fn rest(driver: Arc<Driver>) {
    RESTING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(driver);
}

/// The settings that only a beginning MiniBrowser reads are those of another one, if no page is open yet.
pub(crate) async fn emulate(browser: &Browser, circumstances: Circumstances) -> Result<()> {
    let before = browser.circumstances();
    if (circumstances.scheme, circumstances.motion) != (before.scheme, before.motion) {
        let is_blank = browser.client().current_url().await?.as_str() == "about:blank";
        if is_blank {
            end(browser.client()).await?;
            let client = begin(&browser.driver, browser.habits, circumstances).await?;
            browser.replace_client(client);
        } else {
            browser.leaves_out(Capability::SettingsOfAnOpenPage);
        }
    }
    if circumstances.contrast != Contrast::Any {
        browser.leaves_out(Capability::Contrast);
    }
    if circumstances.colors != Colors::Own {
        browser.leaves_out(Capability::ForcedColors);
    }
    let (language, languages) = match circumstances.language {
        Language::English => ("en-US", "['en-US', 'en']"),
        Language::Spanish => ("es-US", "['es-US', 'es', 'en']"),
    };
    let speak = format!(
        "for (const [name, value] of [['language', '{language}'], ['languages', {languages}]]) \
         Object.defineProperty(Navigator.prototype, name, {{ get: () => value, configurable: true }});"
    );
    browser.scripts.set("language", speak);
    let device = circumstances.device;
    resize(browser, device.width, device.height).await
}

/// The page's own size counts, and there is a bar above it. A window that is new takes its size when it is ready to.
async fn resize(browser: &Browser, width: u32, height: u32) -> Result<()> {
    let client = browser.client();
    let bar = Cell::new(0);
    let look = async || {
        let whole = height + bar.get();
        // Around the pointer, which stands in the middle of the display: only there a window has the keyboard.
        let (x, y) = ((1400 - width) / 2, 1100_u32.saturating_sub(whole) / 2);
        client.set_window_rect(x, y, width, whole).await?;
        let inner = "return [innerWidth, innerHeight]";
        let (page_width, page_height): (u32, u32) =
            serde_json::from_value(client.execute(inner, Vec::new()).await?)?;
        bar.set(whole.saturating_sub(page_height));
        Ok(match (page_width, page_height) == (width, height) {
            true => Glance::Seen(()),
            false => Glance::NotYet,
        })
    };
    let expected = format!("a page {width} pixels wide and {height} high");
    browser.until(&expected, look).await
}

/// Breaks all connections, and tells the page so.
pub(crate) async fn set_offline(browser: &Browser, offline: bool) -> Result<()> {
    browser.scripts.cut_off(offline);
    let (is_online, event) = match offline {
        true => ("false", "offline"),
        false => ("true", "online"),
    };
    let script = format!(
        "Object.defineProperty(Navigator.prototype, 'onLine', {{ get: () => {is_online}, configurable: true }});"
    );
    browser.scripts.set("network", script.clone());
    browser
        .evaluate(&format!(
            "{script} window.dispatchEvent(new Event('{event}'));"
        ))
        .await
}

/// Where it saves files: nobody can tell it another place. What others have saved goes.
pub(crate) fn place_of_saved(browser: &Browser) -> Result<PathBuf> {
    let folder = browser.driver.folder().join("saved");
    for file in fs::read_dir(&folder)? {
        fs::remove_file(file?.path())?;
    }
    Ok(folder)
}

pub(crate) fn scripts_for(habits: Habits) -> Option<&'static str> {
    (habits.storage == Storage::Blocked).then_some(DENY_STORAGE)
}
