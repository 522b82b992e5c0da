//! Chromium: what WebDriver lacks comes from its DevTools protocol.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fantoccini::Client;
use fantoccini::wd::Capabilities;
use serde_json::{Value, json};

use crate::browser::{Accessible, Browser, ConsoleLine, Extension, Habits, Storage, Text, connect};
use crate::driver::Driver;
use crate::emulation::{Circumstances, Device, Language};

/// Chromium as nothing but pages; `cargo xtask setup` installs it where there is a package. Without it, the whole browser does
/// all. Not what is on PATH: that is a script which starts this and stays, so that chromedriver would end the script alone, and
/// leave each browser behind.
const HEADLESS_SHELL: &str = "/usr/lib/chromium/chromium-headless-shell";

pub(crate) async fn open(habits: Habits) -> Result<(Arc<Driver>, Client)> {
    let driver = Driver::shared()?;
    let client = connect(&driver, capabilities(habits)?).await.context(
        "chromedriver could not start Chromium. Run `cargo xtask setup` if it is not installed",
    )?;
    Ok((driver, client))
}

/// What a new session asks of the WebDriver server.
fn capabilities(habits: Habits) -> Result<Capabilities> {
    let mut preferences = match habits.storage {
        Storage::Allowed => json!({}),
        // What "Block all cookies" in the settings sets; it denies sessionStorage, too.
        Storage::Blocked => json!({ "profile.default_content_setting_values.cookies": 2 }),
    };
    if habits.text == Text::Double {
        // The size that pages begin with, which is 16 as browsers come.
        preferences["webkit.webprefs.default_font_size"] = json!(32);
    }
    let mut capabilities = json!({
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": [
                "--headless",
                // Containers and CI run as root, where the sandbox of Chromium refuses to start, and have a small /dev/shm.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--lang=en-US",
            ],
            "prefs": preferences,
        },
    });
    // Without what is around a page it takes less than half the time. That has no settings to change.
    if habits == Habits::default() && Path::new(HEADLESS_SHELL).is_file() {
        capabilities["goog:chromeOptions"]["binary"] = json!(HEADLESS_SHELL);
    }
    Ok(serde_json::from_value(capabilities)?)
}

pub(crate) async fn prepare(browser: &Browser, script: &str) -> Result<String> {
    let prepared = browser
        .devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": script }),
        )
        .await?;
    let identifier = prepared["identifier"].as_str();
    Ok(identifier.context("a script without a name")?.to_owned())
}

pub(crate) async fn forget(browser: &Browser, script: &str) -> Result<()> {
    browser
        .devtools(
            "Page.removeScriptToEvaluateOnNewDocument",
            json!({ "identifier": script }),
        )
        .await
        .map(drop)
}

/// What is new in the console.
pub(crate) async fn console(browser: &Browser) -> Result<Vec<ConsoleLine>> {
    let new = browser
        .client()
        .issue_cmd(Extension::new("se/log", json!({ "type": "browser" })))
        .await?;
    Ok(serde_json::from_value(new)?)
}

pub(crate) async fn history(browser: &Browser) -> Result<Vec<String>> {
    let history = browser
        .devtools("Page.getNavigationHistory", json!({}))
        .await?;
    let entries = history["entries"].as_array().context("no history")?;
    Ok(entries
        .iter()
        .filter_map(|entry| entry["url"].as_str())
        .map(str::to_owned)
        .collect())
}

pub(crate) async fn accessible(browser: &Browser) -> Result<Vec<Accessible>> {
    browser.devtools("Accessibility.enable", json!({})).await?;
    let tree = browser
        .devtools("Accessibility.getFullAXTree", json!({}))
        .await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = tree["nodes"].as_array().context("no tree")?;
    let told = nodes.iter().filter(|node| node["ignored"] != true);
    Ok(told
        .map(|node| {
            let properties = node["properties"].as_array().into_iter().flatten();
            Accessible {
                role: text(&node["role"]["value"]),
                name: text(&node["name"]["value"]),
                properties: properties
                    .map(|property| (text(&property["name"]), property["value"]["value"].clone()))
                    .collect(),
            }
        })
        .collect())
}

pub(crate) async fn set_offline(browser: &Browser, offline: bool) -> Result<()> {
    browser.devtools("Network.enable", json!({})).await?;
    let conditions = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    browser
        .devtools("Network.emulateNetworkConditions", conditions)
        .await
        .map(drop)
}

/// Lets the process of the only tab crash. Afterwards another session is there to speak to the tab.
pub(crate) async fn crash(browser: &Browser) -> Result<()> {
    browser.console().await?;
    // chromedriver answers with an error, and never speaks to this tab again. Another session does.
    let crashed = browser.devtools("Page.crash", json!({})).await;
    ensure!(crashed.is_err(), "the tab did not crash");
    let chrome = (browser.first.capabilities())
        .and_then(|capabilities| capabilities.get("goog:chromeOptions"));
    let chrome = chrome.context("the browser does not say where its DevTools are")?;
    let capabilities = json!({
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": { "debuggerAddress": chrome["debuggerAddress"] },
    });
    let client = connect(&browser.driver, serde_json::from_value(capabilities)?)
        .await
        .context("a new session after the crash")?;
    *browser
        .current
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = client;
    Ok(())
}

pub(crate) async fn save_into(browser: &Browser, folder: &Path) -> Result<()> {
    let behavior = json!({ "behavior": "allow", "downloadPath": folder });
    browser
        .devtools("Browser.setDownloadBehavior", behavior)
        .await
        .map(drop)
}

/// What the last expression of a script comes to, or its promise. No policy of the page forbids it.
pub(crate) async fn run(browser: &Browser, script: &str) -> Result<Value> {
    let parameters = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
    let mut answer = browser.devtools("Runtime.evaluate", parameters).await?;
    if let Some(failure) = answer.get("exceptionDetails") {
        bail!("a script in the page failed: {failure}");
    }
    Ok(answer["result"]["value"].take())
}

pub(crate) async fn whole_screenshot(browser: &Browser) -> Result<Vec<u8>> {
    browser
        .devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true }))
        .await?;
    let metrics = browser.devtools("Page.getLayoutMetrics", json!({})).await?;
    let length = |of: &str, name: &str| metrics[of][name].as_f64().unwrap_or_default();
    let height =
        length("cssContentSize", "height").max(length("cssLayoutViewport", "clientHeight"));
    let width = length("cssLayoutViewport", "clientWidth");
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
    let wish = json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
    let taken = browser.devtools("Page.captureScreenshot", wish).await?;
    let encoded = taken["data"].as_str().context("no picture")?;
    Ok(BASE64_STANDARD.decode(encoded)?)
}

pub(crate) async fn emulate(browser: &Browser, circumstances: Circumstances) -> Result<()> {
    let Device {
        width,
        height,
        ratio,
        is_mobile,
    } = circumstances.device;
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": ratio, "mobile": is_mobile });
    browser
        .devtools("Emulation.setDeviceMetricsOverride", metrics)
        .await?;
    let touch = json!({ "enabled": is_mobile });
    browser
        .devtools("Emulation.setTouchEmulationEnabled", touch)
        .await?;
    let media = json!({ "features": circumstances.media() });
    browser
        .devtools("Emulation.setEmulatedMedia", media)
        .await?;
    let rate = json!({ "rate": circumstances.slowness });
    browser
        .devtools("Emulation.setCPUThrottlingRate", rate)
        .await?;
    speak(browser, circumstances.language).await
}

async fn speak(browser: &Browser, language: Language) -> Result<()> {
    let (locale, accepted) = match language {
        // What the browser was begun with.
        Language::English => (None, "en-US,en"),
        Language::Spanish => (Some("es-US"), "es-US,es,en"),
    };
    let version = browser.devtools("Browser.getVersion", json!({})).await?;
    let name = version["userAgent"].as_str().context("no user agent")?;
    // The name stays as it is; DevTools want it whenever they are told the languages.
    let agent = json!({ "userAgent": name, "acceptLanguage": accepted });
    browser
        .devtools("Emulation.setUserAgentOverride", agent)
        .await?;
    // An override can only be replaced after it was taken back.
    browser
        .devtools("Emulation.setLocaleOverride", json!({}))
        .await?;
    if let Some(locale) = locale {
        browser
            .devtools("Emulation.setLocaleOverride", json!({ "locale": locale }))
            .await?;
    }
    Ok(())
}
