//! Pages that are not ours: the two verbs of the client, `authorize` and `ready`.

use anyhow::{Context, Result, ensure};
use e2e::browser::Glance;
use e2e::bundle::bundle;
use e2e::journey::{CAMILA, Journey};
use e2e::journeys;
use sandbox::{EHR_CLIENT_ID, SEED_SCOPES, Server};
use serde_json::{Value, json};

journeys!(drop_in: [
    a_page_of_its_own_signs_in_and_reads_every_observation,
    a_page_of_its_own_is_told_why_the_sign_in_ended,
]);

/// A page with a script of its own, as somebody would write it against the module's types. What comes of it is in
/// `#result`, as JSON.
const PAGE: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Another page</title>
<meta http-equiv="Content-Security-Policy" content="script-src 'self' 'wasm-unsafe-eval'">
<pre id="result"></pre><script type="module" src="app.js"></script></html>"#;

const SCRIPT: &str = r#"
import init, { authorize, ready } from "./FOLDER/jhe-connect-client.js";
await init();
const tell = (value) => { document.getElementById("result").textContent = JSON.stringify(value); };
try {
  if (!location.search) {
    await authorize(OPTIONS);
  } else {
    const client = await ready();
    const pages = [];
    for await (const page of client.observations({ category: "laboratory" })) pages.push(page);
    const again = await ready().catch((error) => error.code);
    tell({ client, pages, again, address: location.href });
  }
} catch (error) {
  tell({ code: error.code, message: error.message });
}
"#;

/// Puts the page where it may be redirected to, and opens it.
async fn open_page(journey: &Journey) -> Result<()> {
    let address = format!("{}/static/jhe-connect/app.html", journey.sandbox.jhe());
    let options = json!({
        "iss": journey.sandbox.iss(),
        "clientId": EHR_CLIENT_ID,
        "scope": SEED_SCOPES,
        "redirectUri": "app.html",
    });
    let script = SCRIPT
        .replace("FOLDER", &module_folder()?)
        .replace("OPTIONS", &options.to_string());
    {
        let mut world = journey.world();
        for (name, text) in [("app.html", PAGE), ("app.js", script.as_str())] {
            let path = format!("jhe-connect/{name}");
            world.static_files.insert(path, text.into());
        }
        for client in &mut world.settings.ehr.clients {
            client.redirect_uris.push(address.clone());
        }
    }
    journey.browser.open(&address).await
}

fn module_folder() -> Result<String> {
    let mut names = std::fs::read_dir(bundle()?)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .find(|name| name.starts_with("client-"))
        .context("the bundle has no folder client-<hash>")
}

async fn result(journey: &Journey) -> Result<Value> {
    let browser = &journey.browser;
    let script = "return document.getElementById('result')?.textContent ?? ''";
    browser
        .until("the page's result", async || {
            let text: String = browser.evaluate(script).await?;
            Ok(match text.as_str() {
                "" => Glance::NotYet,
                text => Glance::Seen(serde_json::from_str(text)?),
            })
        })
        .await
}

async fn a_page_of_its_own_signs_in_and_reads_every_observation(journey: &Journey) -> Result<()> {
    let labs = journey.labs_of(CAMILA);
    open_page(journey).await?;
    journey.agree_as(CAMILA).await?;
    let result = result(journey).await?;

    let client = &result["client"];
    ensure!(
        client["patient"]["id"] == journey.patient_id(CAMILA).as_str()
            && client["serverUrl"] == journey.sandbox.iss().as_str()
            && client["scope"]
                .as_str()
                .is_some_and(|scope| scope.contains("patient/Observation.read"))
            && client["expiresAt"].is_u64(),
        "expected the launch context, found {result:#}"
    );
    let pages = result["pages"].as_array().context("no pages")?;
    let ids: Vec<&Value> = pages
        .iter()
        .filter_map(|page| page["observations"].as_array())
        .flatten()
        .map(|observation| &observation["id"])
        .collect();
    ensure!(
        pages.len() > 1 && ids.len() == labs.len(),
        "expected {} observations on several pages, found {} on {}",
        labs.len(),
        ids.len(),
        pages.len()
    );
    ensure!(
        result["again"] == "callback.nothing_pending",
        "a second `ready` gave {}",
        result["again"]
    );
    ensure!(
        !result.to_string().contains("access_token")
            && result["address"]
                .as_str()
                .is_some_and(|address| !address.contains('?')),
        "expected neither a token nor a query, found {result:#}"
    );
    ensure!(
        journey.requests(Server::Jhe, "POST", "/").is_empty(),
        "JHE was written to"
    );
    Ok(())
}

async fn a_page_of_its_own_is_told_why_the_sign_in_ended(journey: &Journey) -> Result<()> {
    open_page(journey).await?;
    journey
        .browser
        .sign_in(CAMILA.user, CAMILA.password)
        .await?;
    journey.browser.deny().await?;
    let result = result(journey).await?;
    ensure!(
        result["code"] == "authorization.denied" && result["message"] == "access_denied",
        "expected the patient's no, found {result:#}"
    );
    Ok(())
}
