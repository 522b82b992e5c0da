//! What must hold on every journey, whatever it is about: nothing secret is left anywhere, no token goes astray, no policy is
//! violated. [`crate::journey::run`] looks after each.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use sandbox::{EHR_ALLOWED_HEADERS, LoggedRequest, Server};
use serde::Deserialize;
use serde_json::Value;

use crate::browser::Browser;
use crate::journey::{Journey, Page};

/// Headers that browsers add on their own, which no page can set and no CORS list needs to name.
const ADDED_BY_BROWSERS: [&str; 10] = [
    "host",
    "connection",
    "user-agent",
    "accept-encoding",
    "accept-language",
    "referer",
    "content-length",
    "pragma",
    "cache-control",
    "priority",
];

/// Everything that a page can leave behind, as text.
const REMAINS: &str = "
    const dump = (storage) => { try { return JSON.stringify({ ...window[storage] }); } catch { return ''; } };
    let cookies = '';
    try { cookies = document.cookie; } catch {}
    return {
        document: document.documentElement.outerHTML,
        local_storage: dump('localStorage'),
        session_storage: dump('sessionStorage'),
        cookies,
        window_name: window.name,
        history_state: JSON.stringify(history.state),
    };";

/// What pages have left behind so far.
#[derive(Debug, Deserialize)]
pub struct Remains {
    /// On all pages since the browser was opened.
    #[serde(default)]
    console: String,
    /// Every address of this tab, that of the page among them.
    #[serde(default)]
    history: String,
    document: String,
    local_storage: String,
    session_storage: String,
    cookies: String,
    window_name: String,
    history_state: String,
}

impl Remains {
    /// Of the browser that is at this page.
    pub async fn of(browser: &Browser) -> Result<Self> {
        let mut remains: Self = browser.evaluate(REMAINS).await?;
        let console = browser.console().await?.into_iter();
        remains.console = console.map(|line| line.message + "\n").collect();
        remains.history = browser.history().await?.join("\n");
        Ok(remains)
    }

    /// Where no secret may ever be, by name.
    pub fn open_places(&self) -> [(&'static str, &str); 7] {
        [
            ("the console", &self.console),
            ("the history", &self.history),
            ("the document", &self.document),
            ("localStorage", &self.local_storage),
            ("the cookies", &self.cookies),
            ("window.name", &self.window_name),
            ("history.state", &self.history_state),
        ]
    }

    /// What only this tab sees. It may hold secrets until an import has ended.
    pub fn session_storage(&self) -> &str {
        &self.session_storage
    }
}

/// All of it.
pub async fn check(journey: &Journey) -> Result<()> {
    let log = journey.world().request_log().to_vec();
    tokens_stay_where_they_were_issued_for(journey, &log)?;
    the_ehr_is_sent_no_header_that_its_cors_list_lacks(&log)?;
    no_policy_is_violated(journey).await?;
    no_secret_is_left(journey, &log).await
}

fn tokens_stay_where_they_were_issued_for(journey: &Journey, log: &[LoggedRequest]) -> Result<()> {
    let evil: Vec<_> = log
        .iter()
        .filter(|request| request.server == Server::Evil)
        .collect();
    ensure!(evil.is_empty(), "a foreign server was spoken to: {evil:?}");

    for (position, request) in log.iter().enumerate() {
        if request.server != Server::Ehr || !carries_or_announces_a_token(request) {
            continue;
        }
        let base = signed_in_at(&log[..position]).context("a bearer token before any sign-in")?;
        let fhir_base = base.trim_start_matches(journey.sandbox.ehr());
        let path = request.target.split('?').next().unwrap_or_default();
        let below = path
            .strip_prefix(fhir_base.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        ensure!(
            below,
            "a bearer token was meant for {}, outside of {fhir_base}",
            request.target
        );
    }

    let (at_jhe, at_ehr) = (bearers(log, Server::Jhe), bearers(log, Server::Ehr));
    ensure!(
        at_jhe.is_disjoint(&at_ehr),
        "one token was sent to both servers"
    );
    Ok(())
}

fn the_ehr_is_sent_no_header_that_its_cors_list_lacks(log: &[LoggedRequest]) -> Result<()> {
    for request in log.iter().filter(|request| request.server == Server::Ehr) {
        let asked = request
            .header("access-control-request-headers")
            .unwrap_or_default();
        let asked: Vec<_> = asked
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let foreign: Vec<_> = asked
            .into_iter()
            .filter(|name| !EHR_ALLOWED_HEADERS.contains(name))
            .collect();
        ensure!(
            foreign.is_empty(),
            "the preflight of {} asks for {foreign:?}",
            request.target
        );

        // A navigation carries what the browser likes, and needs no list.
        if request.method == "OPTIONS" || request.header("sec-fetch-mode") == Some("navigate") {
            continue;
        }
        let foreign: Vec<_> = (request.headers.iter().map(|(name, _)| name.as_str()))
            .filter(|name| !name.starts_with("sec-") && !ADDED_BY_BROWSERS.contains(name))
            .filter(|name| !EHR_ALLOWED_HEADERS.contains(name))
            .collect();
        ensure!(
            foreign.is_empty(),
            "{} {} carries {foreign:?}",
            request.method,
            request.target
        );
    }
    Ok(())
}

async fn no_policy_is_violated(journey: &Journey) -> Result<()> {
    let console = journey.browser.console().await?;
    let violation = console.iter().find(|line| {
        ["policy violated:", "violates the following", "Refused to"]
            .iter()
            .any(|sign| line.message.contains(sign))
    });
    match violation {
        Some(line) => bail!("a policy was violated: {}", line.message),
        None => Ok(()),
    }
}

/// What must not be left anywhere, as the servers saw it.
#[derive(Debug)]
pub struct Secrets {
    /// Bearer tokens of both servers.
    pub tokens: BTreeSet<String>,
    /// Refresh tokens that were used.
    pub refresh_tokens: BTreeSet<String>,
    /// PKCE verifiers sent to both servers.
    pub verifiers: BTreeSet<String>,
}

impl Secrets {
    /// Those of the requests so far.
    pub fn in_log(log: &[LoggedRequest]) -> Self {
        let tokens = bearers(log, Server::Jhe)
            .union(&bearers(log, Server::Ehr))
            .cloned()
            .collect();
        Self {
            tokens,
            refresh_tokens: posted(log, "refresh_token"),
            verifiers: posted(log, "code_verifier"),
        }
    }

    /// One of them that is in a text, if any is.
    pub fn found_in(&self, text: &str) -> Option<&String> {
        (self.tokens.iter())
            .chain(&self.refresh_tokens)
            .chain(&self.verifiers)
            .find(|secret| text.contains(secret.as_str()))
    }
}

async fn no_secret_is_left(journey: &Journey, log: &[LoggedRequest]) -> Result<()> {
    let secrets = Secrets::in_log(log);

    let remains = Remains::of(&journey.browser).await?;
    let addresses: String = (log.iter())
        .map(|request| {
            format!(
                "{}\n{}\n",
                request.target,
                request.header("referer").unwrap_or_default()
            )
        })
        .collect();
    let requests = ("the address of a request, or its Referer", &*addresses);
    for (place, text) in remains.open_places().into_iter().chain([requests]) {
        let leaked = secrets.found_in(text);
        ensure!(
            leaked.is_none(),
            "a token or verifier is in {place}: {text}"
        );
    }

    let here = journey.browser.address().await?;
    if !here.as_str().starts_with(journey.sandbox.jhe()) {
        // The hospital's own page.
        return Ok(());
    }
    let is_callback = here
        .as_str()
        .starts_with(&journey.page(Page::Callback, &[]));
    ensure!(
        !is_callback || here.query().is_none(),
        "the address bar still shows {here}"
    );
    let screen = journey.browser.screen_now().await?;
    let is_on_the_way_there = screen.is_some_and(|screen| !screen.state.is_final());
    only_the_last_write_is_known_to_all_tabs(&Storage::read(&remains.local_storage))?;
    let storage = Storage::read(&remains.session_storage);
    the_tab_keeps_tokens_only_for_what_is_unfinished(&storage, &secrets, is_on_the_way_there)?;
    if is_code_exchanged(log) {
        nothing_of_the_sign_in_is_kept(&storage)?;
    }
    Ok(())
}

/// One of the browser's two storages: texts by their keys.
struct Storage(BTreeMap<String, String>);

impl Storage {
    /// Reads a dump; one that was denied is empty.
    fn read(dump: &str) -> Self {
        Self(serde_json::from_str(dump).unwrap_or_default())
    }

    fn is_run_unfinished(&self) -> bool {
        self.0.get("jhe-connect:3:run").is_some_and(|run| {
            let run: Value = serde_json::from_str(run).unwrap_or_default();
            run["is_finished"] != true
        })
    }

    fn is_sign_in_pending(&self) -> bool {
        self.0.contains_key("jhe-connect:3:launch")
    }
}

fn only_the_last_write_is_known_to_all_tabs(storage: &Storage) -> Result<()> {
    // A page around ours has its own.
    for (key, text) in storage
        .0
        .iter()
        .filter(|(key, _)| !key.starts_with("host:"))
    {
        ensure!(
            key == "jhe-connect:3:last_write" && text.bytes().all(|byte| byte.is_ascii_digit()),
            "localStorage holds {key}: {text}"
        );
    }
    Ok(())
}

/// While the patient is away and until the run ends, this tab's storage may hold what the run needs; no longer than that.
fn the_tab_keeps_tokens_only_for_what_is_unfinished(
    storage: &Storage,
    secrets: &Secrets,
    is_on_the_way_there: bool,
) -> Result<()> {
    let may_hold_tokens =
        is_on_the_way_there || storage.is_run_unfinished() || storage.is_sign_in_pending();
    for (key, text) in &storage.0 {
        let is_known = [
            "jhe", "ehr", "launch", "run", "hospital", "issuer", "visit", "session",
        ]
            .iter()
            .any(|name| key.strip_prefix("jhe-connect:3:") == Some(name))
            // What the patient chose to read.
            || (key == "jhe-connect:language" && ["en", "es"].contains(&text.as_str()))
            // What a journey itself notes.
            || key.starts_with("journey:");
        ensure!(is_known, "sessionStorage holds {key}: {text}");
        let sent = secrets.verifiers.iter();
        let mut sent = sent.filter(|verifier| text.contains(verifier.as_str()));
        ensure!(
            sent.next().is_none(),
            "a verifier that was used is in sessionStorage, under {key}"
        );
        ensure!(
            may_hold_tokens
                || (!key.ends_with(":jhe")
                    && !key.ends_with(":ehr")
                    && secrets.found_in(text).is_none()),
            "a token is in sessionStorage without an unfinished run, under {key}"
        );
        ensure!(
            !text.contains("Observation/") && !text.contains("valueQuantity"),
            "a record is kept under {key}: {text}"
        );
    }
    Ok(())
}

fn nothing_of_the_sign_in_is_kept(storage: &Storage) -> Result<()> {
    ensure!(
        !storage.is_sign_in_pending(),
        "the pending sign-in is kept after its code was exchanged"
    );
    for (key, text) in &storage.0 {
        let kept = ["verifier", "nonce", "id_token"]
            .into_iter()
            .find(|name| text.contains(&format!("\"{name}\"")));
        ensure!(
            kept.is_none(),
            "{kept:?} is kept under {key} after the code was exchanged"
        );
    }
    Ok(())
}

/// Was the code of the last sign-in at the hospital exchanged?
fn is_code_exchanged(log: &[LoggedRequest]) -> bool {
    let last = |is_it: &dyn Fn(&LoggedRequest) -> bool| {
        let of_ehr = |request: &LoggedRequest| request.server == Server::Ehr && is_it(request);
        log.iter().rposition(of_ehr)
    };
    let begun = last(&|request| request.method == "GET" && request.target.contains("/authorize"));
    let exchanged = last(&|request| {
        request.method == "POST"
            && request.target.contains("/token")
            && request.body.contains("authorization_code")
    });
    exchanged.is_some() && exchanged > begun
}

/// The FHIR base that the last of these sign-ins at a hospital was for.
fn signed_in_at(log: &[LoggedRequest]) -> Option<String> {
    let is_begun = |request: &&LoggedRequest| {
        request.server == Server::Ehr
            && request.method == "GET"
            && request.target.contains("/authorize?")
    };
    let (_, query) = log.iter().rfind(is_begun)?.target.split_once('?')?;
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    let (_, audience) = parameters.find(|(name, _)| name == "aud")?;
    Some(audience.into_owned())
}

/// A preflight tells what would have followed if it had been allowed.
fn carries_or_announces_a_token(request: &LoggedRequest) -> bool {
    let announced = request
        .header("access-control-request-headers")
        .unwrap_or_default();
    bearer(request).is_some()
        || announced
            .split(',')
            .any(|name| name.trim() == "authorization")
}

fn bearers(log: &[LoggedRequest], server: Server) -> BTreeSet<String> {
    log.iter()
        .filter(|request| request.server == server)
        .filter_map(bearer)
        .map(str::to_owned)
        .collect()
}

fn bearer(request: &LoggedRequest) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// The values of a form's field, in all requests.
fn posted(log: &[LoggedRequest], field: &str) -> BTreeSet<String> {
    (log.iter())
        .filter(|request| request.method == "POST")
        .flat_map(|request| url::form_urlencoded::parse(request.body.as_bytes()))
        .filter(|(name, _)| name == field)
        .map(|(_, value)| value.into_owned())
        .collect()
}
