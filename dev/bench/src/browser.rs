//! Chromium, one process and one empty profile for each measured run, driven over DevTools' own pipe: without a driver
//! program between that would take processor time from the measured one.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long Chromium may take for one command.
const PATIENCE: Duration = Duration::from_secs(60);

const SWITCHES: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    // Containers run as root, where the sandbox of Chromium refuses to start, and have a small /dev/shm.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    // One renderer, whose page is not kept when the next one comes, and which nothing slows down on purpose. The popups of
    // the address bar are pages of Chromium's own, with a renderer that is busy for its first seconds.
    "--disable-features=BackForwardCache,SpareRendererForSitePerProcess,WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--window-size=1000,800",
    "about:blank",
];

/// DevTools' pipe is on the descriptors 3 and 4.
const LAUNCH: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A running Chromium.
pub(crate) struct Browser {
    process: Child,
    profile: PathBuf,
    wire: Arc<Wire>,
    events: mpsc::UnboundedReceiver<Event>,
}

/// Something that happened, and when it was heard of.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) parameters: Value,
}

/// One tab.
#[derive(Clone)]
pub(crate) struct Page {
    wire: Arc<Wire>,
    session: String,
}

struct Wire {
    input: tokio::sync::Mutex<ChildStdin>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    next: AtomicU64,
}

impl Browser {
    pub(crate) async fn launch(program: &Path) -> Result<Browser> {
        static LAUNCHED: AtomicU64 = AtomicU64::new(0);
        let number = LAUNCHED.fetch_add(1, Ordering::Relaxed);
        let profile =
            env::temp_dir().join(format!("jhe-connect-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&profile)?;
        let mut process = Command::new("sh")
            .args(["-c", LAUNCH])
            .arg(program)
            .args(SWITCHES)
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting sh, which starts Chromium")?;
        let input = process.stdin.take().context("no pipe to Chromium")?;
        let output = process.stdout.take().context("no pipe from Chromium")?;
        let wire = Arc::new(Wire {
            input: tokio::sync::Mutex::new(input),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
        });
        let (sender, events) = mpsc::unbounded_channel();
        tokio::spawn(listen(Arc::clone(&wire), output, sender));
        Ok(Browser {
            process,
            profile,
            wire,
            events,
        })
    }

    /// The main process.
    pub(crate) fn id(&self) -> Result<u32> {
        self.process.id().context("Chromium has ended")
    }

    /// What it calls itself.
    pub(crate) async fn version(&self) -> Result<String> {
        let version = self
            .wire
            .call(None, "Browser.getVersion", json!({}))
            .await?;
        Ok(version["product"].as_str().unwrap_or_default().to_owned())
    }

    /// The tab that is there from the start.
    pub(crate) async fn page(&self) -> Result<Page> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let targets = self.wire.call(None, "Target.getTargets", json!({})).await?;
            let targets = targets["targetInfos"].as_array().into_iter().flatten();
            if let Some(tab) = targets.into_iter().find(|it| it["type"] == "page") {
                return self.attach(&tab["targetId"]).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("Chromium opened no tab")
    }

    /// A tab in a profile of its own, and so in a renderer of its own.
    pub(crate) async fn separate_page(&self) -> Result<(Page, Separate)> {
        let made = self
            .wire
            .call(None, "Target.createBrowserContext", json!({}))
            .await?;
        let context = made["browserContextId"].clone();
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = self.wire.call(None, "Target.createTarget", target).await?;
        let page = self.attach(&target["targetId"]).await?;
        Ok((page, Separate(context)))
    }

    /// Ends the profile of such a tab.
    pub(crate) async fn close_separate(&self, Separate(context): Separate) -> Result<()> {
        let context = json!({ "browserContextId": context });
        self.wire
            .call(None, "Target.disposeBrowserContext", context)
            .await
            .map(drop)
    }

    async fn attach(&self, target: &Value) -> Result<Page> {
        let attachment = json!({ "targetId": target, "flatten": true });
        let attached = self
            .wire
            .call(None, "Target.attachToTarget", attachment)
            .await?;
        let session = attached["sessionId"]
            .as_str()
            .context("no session for a tab")?;
        let page = Page {
            wire: Arc::clone(&self.wire),
            session: session.to_owned(),
        };
        page.call("Page.enable", json!({})).await?;
        page.call("Runtime.enable", json!({})).await?;
        Ok(page)
    }

    /// The next call of a function that was added as a binding, with its argument.
    pub(crate) async fn called(&mut self, binding: &str) -> Result<(Instant, String)> {
        while let Some(event) = self.events.recv().await {
            match event.method.as_str() {
                "Runtime.bindingCalled" if event.parameters["name"] == binding => {
                    let argument = event.parameters["payload"].as_str().unwrap_or_default();
                    return Ok((event.at, argument.to_owned()));
                }
                "Inspector.targetCrashed" => bail!("the page crashed"),
                _ => {}
            }
        }
        bail!("Chromium has ended")
    }

    /// Ends it, and removes its profile.
    pub(crate) async fn close(mut self) -> Result<()> {
        // It may end before it answers.
        let _ = self.wire.call(None, "Browser.close", json!({})).await;
        if timeout(Duration::from_secs(10), self.process.wait())
            .await
            .is_err()
        {
            self.process.kill().await?;
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A process that is still ending may write there once more; the system clears such folders.
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// The profile of a separate tab.
pub(crate) struct Separate(Value);

impl Page {
    /// A command of the DevTools protocol.
    pub(crate) async fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.wire
            .call(Some(&self.session), method, parameters)
            .await
    }

    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        match answer["errorText"].as_str() {
            Some(error) => bail!("{url}: {error}"),
            None => Ok(()),
        }
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, condition: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Fails while one page gives way to the next.
            if let Ok(Value::Bool(true)) = self.evaluate(condition).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{condition}: not within {} seconds", PATIENCE.as_secs())
    }

    /// The value of an expression, or what its promise resolves to.
    pub(crate) async fn evaluate(&self, expression: &str) -> Result<Value> {
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", parameters).await?;
        if answer.get("exceptionDetails").is_some() {
            bail!(
                "a script in the page failed: {}",
                answer["exceptionDetails"]
            );
        }
        Ok(answer["result"]["value"].clone())
    }
}

impl Wire {
    async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, sender);
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input
            .lock()
            .await
            .write_all(&bytes)
            .await
            .with_context(|| format!("{method}: Chromium has ended"))?;
        let mut answer = timeout(PATIENCE, receiver)
            .await
            .with_context(|| format!("{method}: no answer in {} seconds", PATIENCE.as_secs()))?
            .with_context(|| format!("{method}: Chromium has ended"))?;
        match answer.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(answer["result"].take()),
        }
    }
}

/// Sorts what Chromium says into answers and events, until it ends.
async fn listen(wire: Arc<Wire>, output: ChildStdout, events: mpsc::UnboundedSender<Event>) {
    let mut reader = BufReader::new(output);
    let mut message = Vec::new();
    while let Ok(1..) = reader.read_until(0, &mut message).await {
        let at = Instant::now();
        let text = message.strip_suffix(b"\0").unwrap_or(&message);
        let mut said: Value = serde_json::from_slice(text).unwrap_or_default();
        message.clear();
        let mut waiting = wire.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = said["id"].as_u64().and_then(|id| waiting.remove(&id)) {
            // Whoever asked may have given up.
            let _ = caller.send(said);
        } else if let Some(method) = said["method"].as_str() {
            let method = method.to_owned();
            let parameters = said["params"].take();
            // Nobody listens any more when the run is over.
            let _ = events.send(Event {
                at,
                method,
                parameters,
            });
        }
    }
    // Whoever still waits is told by their dropped senders.
    wire.waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}
