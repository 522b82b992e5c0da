//! A page that is not ours and has the journey in it: a participant portal on JHE's address. Its files are the examples of
//! `docs/embedding.md`, so that these are tried.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sandbox::{EHR_CLIENT_ID, SEED_SCOPES};
use serde_json::{Value, json};

use crate::bundle::{bundle, workspace};
use crate::journey::Journey;

/// What the portal calls the journey.
pub const CALLER: &str = "step-3-of-7";

/// Where it is, below JHE's static files.
const FOLDER: &str = "portal";

/// What the manual of the embedded page shows under this name.
pub fn example(name: &str) -> Result<String> {
    let file = workspace().join("docs/embedding.md");
    let manual = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mark = format!("<!-- example: {name} -->\n```");
    let (_, rest) = manual
        .split_once(&mark)
        .with_context(|| format!("the manual has no example {name}"))?;
    let (_, rest) = rest.split_once('\n').context("an example without lines")?;
    let (example, _) = rest.split_once("```").context("an example without end")?;
    Ok(example.to_owned())
}

/// The configuration, for the servers of this journey.
pub fn settings(journey: &Journey) -> Value {
    json!({
        "deployment": "mychart",
        "iss": journey.sandbox.iss(),
        "clientId": EHR_CLIENT_ID,
        "scope": SEED_SCOPES,
        "dataSourceId": journey.world().settings.jhe.page.data_source_id.clone(),
        "redirectUri": "callback.html",
        "workerTimeoutSeconds": 0,
    })
}

/// The two pages of the manual with these settings: the journey as an element in markup.
pub fn pages(settings: &Value) -> Result<Vec<(String, String)>> {
    let connect = example("connect.html")?;
    let (before, rest) = connect.split_once("id=\"settings\">").context("settings")?;
    let (_, after) = rest.split_once("</script>").context("settings")?;
    let connect = format!("{before}id=\"settings\">{settings}</script>{after}");
    let callback = connect.replace("page=\"connect\"", "page=\"callback\"");
    Ok(vec![
        ("connect.html".to_owned(), connect),
        ("callback.html".to_owned(), callback),
        ("portal.js".to_owned(), example("portal.js")?),
    ])
}

/// Puts the script with its folder, and these files, where the sandbox serves them; gives the address of the connect page.
pub fn host(journey: &Journey, files: Vec<(String, String)>) -> Result<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(bundle()?)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("jhe-connect") {
            read_into(&entry.path(), &format!("{FOLDER}/{name}"), &mut all)?;
        }
    }
    for (name, text) in files {
        all.push((format!("{FOLDER}/{name}"), text.into_bytes()));
    }
    let base = format!("{}/static/{FOLDER}", journey.sandbox.jhe());
    let mut world = journey.world();
    world.static_files.extend(all);
    for client in &mut world.settings.ehr.clients {
        client.redirect_uris.push(format!("{base}/callback.html"));
    }
    Ok(format!("{base}/connect.html"))
}

/// Puts the manual's two pages there; gives the address that the study team sends.
pub fn host_pages(journey: &Journey) -> Result<String> {
    let connect = host(journey, pages(&settings(journey))?)?;
    invited(journey, &connect)
}

/// A connect page's address with the invitation.
pub fn invited(journey: &Journey, connect: &str) -> Result<String> {
    invited_by(journey, connect, &journey.invitation)
}

/// The same with this invitation.
pub fn invited_by(journey: &Journey, connect: &str, invitation: &str) -> Result<String> {
    let link = journey.world().invitation_link(invitation, journey.layout);
    let (_, code) = link.split_once('?').context("a link without a code")?;
    Ok(format!("{connect}?{code}"))
}

fn read_into(place: &Path, path: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    if !place.is_dir() {
        files.push((path.to_owned(), fs::read(place)?));
        return Ok(());
    }
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        read_into(&entry.path(), &path, files)?;
    }
    Ok(())
}
