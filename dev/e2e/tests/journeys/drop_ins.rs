//! Each drop-in's script, on pages that are what JHE's templates of that client come to. What these expect is in the
//! core's table, from which the scripts are made.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::bundle::bundle;
use e2e::journey::{CAMILA, Journey, run};
use jhe_connect::exchange::drop_in::{DROP_INS, DropIn};
use sandbox::{
    EHR_CLIENT_ID, FIRST_PATIENT, Fault, JheVersion, Layout, Match, SEED_SCOPES, Server,
};
use serde_json::json;

const LABS: usize = 20;

#[test]
fn patient_access_carries_a_patient_through() {
    run(Layout::DropIn, async |journey: &Journey| {
        travel(journey, drop_in("patient-access")?).await
    });
}

/// The sandbox has no JHE of that time, so two answers are put into the mouth of Patient Access's.
#[test]
fn ehr_patient_portal_carries_a_patient_through() {
    run(Layout::DropIn, async |journey: &Journey| {
        let identifier =
            json!({"system": journey.sandbox.iss(), "value": journey.patient_id(CAMILA)});
        let profile = json!({"patient": {"id": FIRST_PATIENT, "identifiers": [identifier]}});
        for (path, answer) in [
            ("/api/v1/ehr-patient-portal/identifier", identifier),
            ("/api/v1/users/profile", profile),
        ] {
            let answer = Fault::status(200, "application/json", &answer.to_string());
            journey.fail(Match::on(Server::Jhe).path(path), answer);
        }
        travel(journey, drop_in("ehr-patient-portal")?).await
    });
}

async fn travel(journey: &Journey, drop_in: &DropIn) -> Result<()> {
    let connect = host(journey, drop_in)?;
    let link = journey.link();
    let (_, code) = link
        .split_once('?')
        .context("an invitation link without a code")?;
    journey.browser.open(&format!("{connect}?{code}")).await?;
    journey.agree_as(CAMILA).await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;

    let rows = journey.rows().len();
    ensure!(rows == LABS, "expected {LABS} rows, found {rows}");
    let path = drop_in.deployment.identifier_path;
    let told = journey.requests(Server::Jhe, "POST", path).len();
    ensure!(told == 1, "expected one request to {path}, found {told}");
    Ok(())
}

fn drop_in(name: &str) -> Result<&'static DropIn> {
    static ALL: [DropIn; 3] = DROP_INS;
    let found = ALL.iter().find(|it| it.deployment.name == name);
    found.with_context(|| format!("there is no drop-in {name}"))
}

/// Puts the client's two pages and its static files where the sandbox serves them; gives the connect page's address.
fn host(journey: &Journey, drop_in: &DropIn) -> Result<String> {
    let folder = format!("clients/{}", drop_in.folder);
    let mut files = Vec::new();
    read_all(
        &bundle()?.join("jhe").join(drop_in.folder),
        &folder,
        &mut files,
    )?;
    let config = json!({
        "iss": journey.sandbox.iss(),
        "clientId": EHR_CLIENT_ID,
        "scope": SEED_SCOPES,
        "dataSourceId": "70006",
        "redirectUri": "callback.html",
        "pageUrl": "/clients/",
        "plan": [{"label": "Labs", "type": "Observation", "parameters": {"category": "laboratory"}}],
    });
    let picker = drop_in.picker.map(|ids| {
        [
            ("container", ids.container),
            ("input", ids.input),
            ("results", ids.results),
        ]
        .map(|(name, id)| format!("{name}: document.getElementById(\"{id}\")"))
        .join(", ")
    });
    let picker = picker.map(|members| format!(", {{{members}}}"));
    for (page, function, further) in [
        (
            "connect.html",
            drop_in.start,
            picker.as_deref().unwrap_or_default(),
        ),
        ("callback.html", drop_in.finish, ""),
    ] {
        let page_of_jhe = page_of_jhe(drop_in, &config.to_string(), function, further);
        files.push((format!("{folder}/{page}"), page_of_jhe.into_bytes()));
    }

    let base = format!("{}/static/{folder}", journey.sandbox.jhe());
    let mut world = journey.world();
    world.static_files.extend(files);
    world.settings.jhe.version = JheVersion::PatientAccess;
    world.give_labs(CAMILA.user, LABS);
    for client in &mut world.settings.ehr.clients {
        client.redirect_uris.push(format!("{base}/callback.html"));
    }
    Ok(format!("{base}/connect.html"))
}

/// As JHE's templates: classic scripts in the head, the configuration and the call inline.
fn page_of_jhe(drop_in: &DropIn, config: &str, function: &str, further: &str) -> String {
    let DropIn {
        folder,
        script,
        config_global,
        out,
        ..
    } = drop_in;
    let picker = drop_in.picker.map_or_else(String::new, |ids| {
        format!(
            "<div id=\"{}\" hidden><input id=\"{}\"><div id=\"{}\"></div></div>",
            ids.container, ids.input, ids.results
        )
    });
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<title>Records</title>\n\
         <script src=\"/static/clients/{folder}/{script}\"></script>\n</head>\n<body>\n\
         <script>var {config_global} = {config};</script>\n{picker}\n<pre id=\"{out}\"></pre>\n\
         <script>{function}(document.getElementById(\"{out}\"), {config_global}{further});</script>\n\
         </body>\n</html>\n"
    )
}

/// All files of a folder and of those below it, under the name `path`.
fn read_all(folder: &Path, path: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => read_all(&entry.path(), &path, files)?,
            false => files.push((path, fs::read(entry.path())?)),
        }
    }
    Ok(())
}
