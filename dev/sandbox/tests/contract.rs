//! The contract: what the sandbox answers in JHE's place is what the real server answered.
//!
//! Every exchange recorded with one of the two versions (`tests/contract/jhe-exchanges.json` at the root
//! of the repository) is replayed against a sandbox that was brought into the state that the exchange's
//! name describes. Status and headers must be equal. Of a success every recorded member must be there
//! with the same type; an error must be the same word for word, that of a Bundle's entry too. Bodies that
//! the recorder abridged are compared as far as they go. No exchange is left out.

mod common;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use common::{Failure, Reply, send};
use sandbox::{
    Brand, FIRST_PATIENT, Fault, FhirSource, JheVersion, Match, Options, PATIENT_WITHOUT_LOGIN,
    Row, SECOND_PATIENT, Sandbox, Server,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const RECORDING: &str = include_str!("../../../tests/contract/jhe-exchanges.json");

/// Members that the recorder noted as null because the reply did not have them.
const NOTED_AS_ABSENT: [(&str, &str); 2] = [
    ("R5 Observation: identical resource again", "meta"),
    ("R5 Observation: no id in the body", "identifier"),
];

/// Successes that are compared word for word, by the beginning of their names.
const WORD_FOR_WORD: [&str; 2] = ["brands: ", "discovery: /FHIR/R5/.well-known/"];

/// Headers whose values differ from run to run: they must be there.
const VARYING_HEADERS: [&str; 2] = ["ETag", "Last-Modified"];
/// Headers that a reply may only have if the recorded one has them.
const UNWANTED_HEADERS: [&str; 3] = [
    "Access-Control-Allow-Origin",
    "Content-Encoding",
    "WWW-Authenticate",
];

/// The ids under which a record is read back, in each of the versions.
const ROW_IDS: [&str; 2] = [
    "c30063b4-ae37-4662-a009-f57a50801d07",
    "5cabd600-29a0-4c48-9935-05261cd010a4",
];
/// The import that the real server aborted.
const ABORTED: &str = "import: batch of 3000 Observations in one request (slower than gunicorn's 30 s worker timeout)";
/// The import whose warnings name each member of a Bundle that is none of an Observation's.
const BUNDLE_AS_OBSERVATION: &str = "import: a Bundle posted to /Observation";
const EPIC: &str = "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4";

#[derive(Deserialize)]
struct Exchange {
    version: String,
    name: String,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

#[tokio::test]
async fn the_sandbox_answers_as_jhe_did() -> Result<(), Failure> {
    replay_all("mychart", JheVersion::Mychart).await
}

#[tokio::test]
async fn the_sandbox_answers_as_the_later_jhe_did() -> Result<(), Failure> {
    replay_all("patient-access", JheVersion::PatientAccess).await
}

async fn replay_all(name: &str, version: JheVersion) -> Result<(), Failure> {
    let sandbox = Sandbox::start(Options::default()).await?;
    let host = sandbox.jhe().trim_start_matches("http://").to_owned();
    // The recordings were made on these hosts.
    let mut recording = RECORDING.to_owned();
    for recorded in ["localhost:8010", "localhost:8011"] {
        recording = recording
            .replace(recorded, &host)
            .replace(&recorded.replace(':', "%3A"), &host.replace(':', "%3A"));
    }
    let recording: Vec<Exchange> = serde_json::from_str(&recording)?;
    let recording: Vec<Exchange> = recording
        .into_iter()
        .filter(|exchange| exchange.version == name)
        .collect();
    let mut differences = Vec::new();
    for exchange in &recording {
        let outcome = match replay(&sandbox, version, exchange, &recording).await {
            Ok(reply) => compare(exchange, &reply),
            Err(failure) => vec![failure.to_string()],
        };
        differences.extend(
            outcome
                .into_iter()
                .map(|what| format!("{}: {what}", exchange.name)),
        );
    }
    println!(
        "contract: {} exchanges with {name} replayed",
        recording.len()
    );
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(!recording.is_empty());
    Ok(())
}

async fn replay(
    sandbox: &Sandbox,
    version: JheVersion,
    exchange: &Exchange,
    recording: &[Exchange],
) -> Result<Reply, Failure> {
    let live = arrange(sandbox, version, exchange, recording).await?;
    let fill = |text: &str| {
        let mut text = text.to_owned();
        for (placeholder, value) in &live {
            text = text.replace(placeholder, value);
        }
        match text
            .split_once('<')
            .filter(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_uppercase()))
        {
            Some((_, rest)) => Err(Failure::from(format!("no live value for <{rest}"))),
            None => Ok(text),
        }
    };
    let request = &exchange.request;
    let url = fill(&format!("{}{}", sandbox.jhe(), request.path))?;
    let mut headers = Vec::new();
    for (name, value) in &request.headers {
        headers.push((name.as_str(), fill(value)?));
    }
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let body = match described_body(exchange, recording)? {
        Some(described) => described,
        None => match &request.body {
            Value::Null => String::new(),
            Value::String(text) => fill(text)?,
            json => fill(&json.to_string())?,
        },
    };
    send(&request.method, &url, &headers, body).await
}

/// The bodies that the recording only describes.
fn described_body(exchange: &Exchange, recording: &[Exchange]) -> Result<Option<String>, Failure> {
    let mut lab = lab(recording)?;
    Ok(Some(match exchange.name.as_str() {
        "identifier: very long value (5000 characters)" => {
            json!({"system": EPIC, "value": "x".repeat(5_000)}).to_string()
        }
        "R5 Observation: decimal 7.10 sent; the reply has 7.1 (trailing zeros are lost)" => {
            lab["valueQuantity"] = json!({"value": "decimal", "unit": "x"});
            lab.to_string().replace("\"decimal\"", "7.10")
        }
        "R5 Observation: body of 3 MiB" => with_long_note(lab, 3),
        "R5 Observation: body of 12 MiB" => with_long_note(lab, 12),
        "import: batch of 100 Observations" => batch_of(100, &lab),
        "import: batch of 500 Observations" => batch_of(500, &lab),
        "import: body of 12 MiB" => {
            let lab: Value = serde_json::from_str(&with_long_note(lab, 12))?;
            json!({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": lab}]})
                .to_string()
        }
        ABORTED => batch_of(3_000, &lab),
        _ => return Ok(None),
    }))
}

/// A Bundle of so many labs.
fn batch_of(count: usize, lab: &Value) -> String {
    let entry = |n: usize| {
        let mut lab = lab.clone();
        lab["id"] = json!(format!("many{n}"));
        json!({ "resource": lab })
    };
    let entries: Vec<Value> = (0..count).map(entry).collect();
    json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string()
}

fn with_long_note(mut lab: Value, mebibytes: usize) -> String {
    lab["note"] = json!([{"text": "x".repeat(mebibytes << 20)}]);
    lab.to_string()
}

/// The Epic-style laboratory Observation that the recording wrote again and again.
fn lab(recording: &[Exchange]) -> Result<Value, Failure> {
    let name = "R5 Observation: success (an Epic-style R4 laboratory Observation, unchanged)";
    let exchange = recording.iter().find(|exchange| exchange.name == name);
    Ok(exchange
        .ok_or("the recording lacks its lab")?
        .request
        .body
        .clone())
}

type Live = Vec<(String, String)>;

/// Brings a fresh world into the state that the exchange's name describes; returns the live values of
/// the recording's placeholders.
async fn arrange(
    sandbox: &Sandbox,
    version: JheVersion,
    exchange: &Exchange,
    recording: &[Exchange],
) -> Result<Live, Failure> {
    let name = exchange.name.as_str();
    let mut live = Live::new();
    let mut is =
        |placeholder: &str, value: &str| live.push((format!("<{placeholder}>"), value.to_owned()));

    sandbox.world().reset();
    sandbox.world().settings.jhe.version = version;
    add_sources(sandbox, version);
    add_rows(sandbox, exchange, recording)?;
    add_static_files(sandbox);
    sandbox.world().brands = brands(recording)?;
    if name == ABORTED {
        let import = Match::on(Server::Jhe).path("/fhir-import/");
        let fault = Fault::PartialBatch { entries: 359 };
        sandbox.world().fail(import, fault);
    }

    // Tokens that were there before.
    for n in ["1", "2", "3", "4", "5", "RB"] {
        let owner = match (name, n) {
            ("identifier: pair already owned by ANOTHER patient", "2") => SECOND_PATIENT,
            _ => FIRST_PATIENT,
        };
        let token = sandbox
            .world()
            .mint_patient_token(owner)
            .ok_or("a patient without login")?;
        is(&format!("ACCESS_TOKEN_{n}"), &token);
    }
    is(
        "PRACTITIONER_TOKEN_1",
        &sandbox.world().mint_practitioner_token(),
    );
    sandbox
        .world()
        .attach_identifier(FIRST_PATIENT, EPIC, "eYg3-1aJmCMq-umIIq2Njxw3");

    // Invitations.
    let without_login = sandbox.world().mint_invitation(PATIENT_WITHOUT_LOGIN);
    is("INVITATION_TOKEN_1", &without_login);
    for (placeholder, state) in [("3", "expired"), ("4", "cancelled"), ("5", "superseded")] {
        let placeholder = format!("INVITATION_TOKEN_{placeholder}");
        // Each on its own: a newer one would supersede it.
        if exchange.request.path.contains(&placeholder) {
            let mut world = sandbox.world();
            let token = world.mint_invitation(SECOND_PATIENT);
            match state {
                "expired" => world.expire_invitation(&token),
                "cancelled" => world.cancel_invitation(&token),
                _ => drop(world.mint_invitation(SECOND_PATIENT)),
            }
            is(&placeholder, &token);
        }
    }
    let invitation = sandbox.world().mint_invitation(FIRST_PATIENT);
    is("INVITATION_TOKEN_2", &invitation);
    let verifier = BASE64_STANDARD_NO_PAD.encode(&invitation);
    is("CODE_VERIFIER", &verifier);
    is("CODE_VERIFIER_WITH_PADDING", &format!("{verifier}="));

    // One run through redemption and exchange, as far as the name says.
    let redeems = !name.starts_with("redeem invitation");
    if redeems {
        let grant = redeem(sandbox, &invitation).await?;
        is("JHE_CLIENT_ID_1", &grant.client_id);
        for n in 1..=9 {
            is(&format!("AUTH_CODE_{n}"), &grant.code);
        }
        let code = &grant.code;
        let exchange_now = async || exchange_code(sandbox, &grant, &verifier).await;
        match name {
            "token: code from an EARLIER redemption of the same invitation (superseded)" => {
                redeem(sandbox, &invitation).await?;
            }
            "token: same code used a second time" => drop(exchange_now().await?),
            "token: code past its 60 s lifetime (expiry forced in the database)" => {
                sandbox.world().advance_clock(61);
            }
            "API call with the access token after the code was replayed (replay does not revoke it)" =>
            {
                let tokens = exchange_now().await?;
                assert!(exchange_now().await.is_err(), "{code} is used up");
                replace(&mut live, "<ACCESS_TOKEN_1>", &tokens.access_token);
            }
            "token: refresh_token grant" => {
                let tokens = exchange_now().await?;
                live.push(("<REFRESH_TOKEN_1>".into(), tokens.refresh_token));
            }
            "token: refresh_token used a second time"
            | "API call with the OLD access token after a refresh"
            | "API call with the access token from the refresh, after its refresh token family was replayed" =>
            {
                let old = exchange_now().await?;
                let new = refresh(sandbox, &grant.client_id, &old.refresh_token).await?;
                assert!(
                    refresh(sandbox, &grant.client_id, &old.refresh_token)
                        .await
                        .is_err()
                );
                live.push(("<REFRESH_TOKEN_1>".into(), old.refresh_token));
                replace(&mut live, "<ACCESS_TOKEN_1>", &old.access_token);
                replace(&mut live, "<ACCESS_TOKEN_4>", &new.access_token);
            }
            "API call with a revoked access token" => {
                let tokens = exchange_now().await?;
                let body = format!(
                    "token={}&client_id={}",
                    tokens.access_token, grant.client_id
                );
                send(
                    "POST",
                    &format!("{}/o/revoke_token/", sandbox.jhe()),
                    &[FORM],
                    body,
                )
                .await?;
                replace(&mut live, "<ACCESS_TOKEN_4>", &tokens.access_token);
            }
            "API call with an expired access token" => sandbox.world().expire_jhe_tokens(),
            _ => {}
        }
        return with_validators(sandbox, exchange, live).await;
    }
    match name {
        "redeem invitation: same token again, within 12 h of the previous redemption (a NEW code is issued)" =>
        {
            redeem(sandbox, &invitation).await?;
        }
        "redeem invitation: 11 h after the previous redemption (works, and restarts the 12 h window)" =>
        {
            redeem(sandbox, &invitation).await?;
            sandbox.world().advance_clock(11 * 3_600);
        }
        "redeem invitation: redeemed more than 12 h ago" => {
            redeem(sandbox, &invitation).await?;
            sandbox.world().advance_clock(12 * 3_600 + 1);
        }
        "redeem invitation: expired, tried again" => {
            let expired = &live
                .iter()
                .find(|(it, _)| it == "<INVITATION_TOKEN_3>")
                .ok_or("no token")?
                .1;
            assert!(redeem(sandbox, expired).await.is_err());
        }
        _ => {}
    }
    Ok(live)
}

fn replace(live: &mut Live, placeholder: &str, value: &str) {
    live.retain(|(other, _)| other != placeholder);
    live.push((placeholder.to_owned(), value.to_owned()));
}

/// The recording's `If-None-Match` and `If-Modified-Since` name its own file; here they name ours.
async fn with_validators(
    sandbox: &Sandbox,
    exchange: &Exchange,
    mut live: Live,
) -> Result<Live, Failure> {
    for (condition, validator) in [
        ("If-None-Match", "etag"),
        ("If-Modified-Since", "last-modified"),
    ] {
        if let Some(recorded) = exchange.request.headers.get(condition) {
            let url = format!("{}{}", sandbox.jhe(), exchange.request.path);
            let reply = send("GET", &url, &[], "").await?;
            let ours = reply.header(validator).ok_or("no validator")?;
            live.push((recorded.clone(), ours.to_owned()));
        }
    }
    Ok(live)
}

fn add_sources(sandbox: &Sandbox, version: JheVersion) {
    // The recordings count on: the other patient's source, and one to be deleted.
    let (of_another, deletable) = match version {
        JheVersion::Mychart => (90_011, 90_012),
        JheVersion::PatientAccess => (90_009, 90_010),
    };
    let mut world = sandbox.world();
    for (id, patient, data_source, fhir_base_url) in [
        (
            90_001,
            FIRST_PATIENT,
            70_005,
            "https://fhir.halo.org/api/FHIR/R4",
        ),
        (90_003, FIRST_PATIENT, 70_006, EPIC),
        (of_another, SECOND_PATIENT, 70_006, EPIC),
        (deletable, FIRST_PATIENT, 70_006, EPIC),
    ] {
        let last_updated = world.now().with_micros();
        world.jhe.sources.push(FhirSource {
            id,
            patient,
            data_source,
            label: "Epic / MyChart".into(),
            fhir_base_url: fhir_base_url.into(),
            last_updated,
        });
    }
}

/// The hospitals that the recorded server had, if it had any.
fn brands(recording: &[Exchange]) -> Result<Vec<Brand>, Failure> {
    let listed = recording
        .iter()
        .find(|exchange| exchange.name.starts_with("brands: empty q"));
    Ok(match listed {
        Some(exchange) => serde_json::from_value(exchange.response.body["results"].clone())?,
        None => Vec::new(),
    })
}

/// Enough rows for three pages of a hundred, in the shape of the recorded imported ones.
fn add_rows(sandbox: &Sandbox, exchange: &Exchange, recording: &[Exchange]) -> Result<(), Failure> {
    let page = recording.iter().find(|exchange| {
        exchange.name == "read back: _count=100" || exchange.name.ends_with("&_count=1000")
    });
    let page = page.ok_or("no recorded rows")?;
    // A recorded page shows its rows itself.
    let own = entries(&exchange.response.body).iter();
    let imported = own
        .chain(entries(&page.response.body))
        .map(|entry| &entry["resource"])
        .find(|it| it["extension"].is_array());
    let imported = imported.ok_or("no imported row in the recording")?;
    let mut world = sandbox.world();
    for n in 0..240 {
        let id = ROW_IDS.get(n).map_or_else(
            || format!("00000000-0000-4000-8000-{n:012}"),
            |id| (*id).to_owned(),
        );
        let mut stored = imported.clone();
        stored["id"] = json!(id);
        world.jhe.rows.write(Row {
            id,
            resource_type: "Observation".to_owned(),
            patient: FIRST_PATIENT,
            source: 90_003,
            upstream_id: None,
            writes: 1,
            sent: String::new(),
            stored,
        });
    }
    Ok(())
}

fn add_static_files(sandbox: &Sandbox) {
    let mut world = sandbox.world();
    for name in ["plain.wasm", "app.0123456789ab.wasm", "probe_bg.wasm"] {
        // As long as the recorded one: a range names the length.
        world
            .static_files
            .insert(format!("clients/probe/{name}"), vec![0; 4_108]);
    }
    for name in ["probe_bg.wasm.br", "probe_bg.wasm.gz"] {
        world
            .static_files
            .insert(format!("clients/probe/{name}"), vec![1; 99]);
    }
    for end in ["js", "mjs", "json", "js.map", "ts", "css", "webmanifest"] {
        world
            .static_files
            .insert(format!("clients/probe/probe.{end}"), b"{}".to_vec());
    }
    for client in ["mychart", "patient-access"] {
        let path = format!("clients/{client}/js/client-{client}.js");
        world.static_files.insert(path, b"// client".to_vec());
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[derive(Deserialize)]
struct Grant {
    client_id: String,
    code: String,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
}

async fn redeem(sandbox: &Sandbox, invitation: &str) -> Result<Grant, Failure> {
    let url = format!("{}/api/v1/invitation/{invitation}", sandbox.jhe());
    let mut reply = send("POST", &url, &[], "").await?.json();
    Ok(serde_json::from_value(reply["grant"].take())?)
}

async fn exchange_code(
    sandbox: &Sandbox,
    grant: &Grant,
    verifier: &str,
) -> Result<Tokens, Failure> {
    let body = format!(
        "grant_type=authorization_code&code={}&client_id={}&code_verifier={verifier}",
        grant.code, grant.client_id
    );
    let reply = send(
        "POST",
        &format!("{}/o/token/", sandbox.jhe()),
        &[FORM],
        body,
    )
    .await?;
    Ok(serde_json::from_value(reply.json())?)
}

async fn refresh(sandbox: &Sandbox, client_id: &str, token: &str) -> Result<Tokens, Failure> {
    let body = format!("grant_type=refresh_token&refresh_token={token}&client_id={client_id}");
    let reply = send(
        "POST",
        &format!("{}/o/token/", sandbox.jhe()),
        &[FORM],
        body,
    )
    .await?;
    Ok(serde_json::from_value(reply.json())?)
}

/// What differs from the recording.
fn compare(exchange: &Exchange, reply: &Reply) -> Vec<String> {
    let recorded = &exchange.response;
    let mut differences = Vec::new();
    if reply.status.as_u16() != recorded.status {
        differences.push(format!(
            "status {} instead of {}: {}",
            reply.status,
            recorded.status,
            reply.text()
        ));
    }
    for (name, value) in &recorded.headers {
        let ours = reply.header(name);
        let same = match VARYING_HEADERS.contains(&name.as_str()) {
            true => ours.is_some(),
            false => ours == Some(value),
        };
        if !same {
            differences.push(format!("header {name} is {ours:?} instead of {value:?}"));
        }
    }
    for name in UNWANTED_HEADERS {
        if !recorded.headers.contains_key(name) && reply.header(name).is_some() {
            differences.push(format!("header {name} should not be there"));
        }
    }
    compare_bodies(exchange, reply, &mut differences);
    differences
}

fn compare_bodies(exchange: &Exchange, reply: &Reply, differences: &mut Vec<String>) {
    let is_error = exchange.response.status >= 400;
    match &exchange.response.body {
        // A description in place of a body: `<bytes>`, `<8 bytes>`, `<HTML error page>`.
        Value::String(text) if text.starts_with('<') && text.ends_with('>') => {
            let length = text
                .trim_start_matches('<')
                .split(' ')
                .next()
                .and_then(|it| it.parse::<usize>().ok());
            let is_exact = text.ends_with(" bytes>");
            if length.is_some_and(|length| is_exact && length != reply.body.len())
                || reply.body.is_empty()
            {
                differences.push(format!("{} bytes instead of {text}", reply.body.len()));
            }
        }
        // Python's notation: an abridged dict.
        Value::String(text) if text.starts_with("{'") => {
            compare_values(
                "",
                &json!({"system": "", "value": ""}),
                &reply.json(),
                differences,
            );
        }
        Value::String(text) => {
            if reply.text() != *text {
                differences.push(format!("body {:?} instead of {text:?}", reply.text()));
            }
        }
        Value::Object(page) if page.contains_key("_summary") => {
            compare_page(page, reply, differences)
        }
        // Described: how many hospitals were found.
        Value::Object(body) if body.get("results").is_some_and(Value::is_number) => {
            let found = reply.json()["results"].as_array().map(Vec::len);
            if found.map(Value::from).as_ref() != body.get("results") {
                differences.push(format!("{found:?} results"));
            }
        }
        // What counts in these are the values.
        Value::Object(body)
            if !is_error && WORD_FOR_WORD.iter().any(|it| exchange.name.starts_with(it)) =>
        {
            if reply.json() != Value::Object(body.clone()) {
                differences.push(format!("answered {}", reply.text()));
            }
        }
        // Described: how many entries there were, and how many of them were stored.
        Value::Object(counts) if counts.contains_key("entries") => {
            let reply = reply.json();
            let entries = reply["entry"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let stored = entries
                .iter()
                .filter(|entry| entry["response"]["status"] == "201 Created");
            if (json!(entries.len()), json!(stored.count()))
                != (counts["entries"].clone(), counts["ok"].clone())
            {
                differences.push(format!("{} entries", entries.len()));
            }
        }
        Value::Array(statuses) if exchange.request.path.starts_with("/fhir-import/") => {
            if reply.json()["entry"][0]["response"]["status"] != statuses[0] {
                differences.push(format!("not {statuses:?}"));
            }
        }
        error if is_error && error["resourceType"].is_null() && error["issue"].is_array() => {
            // One error was noted without its resourceType.
            compare_values("", error, &reply.json(), differences);
        }
        error if is_error => {
            if reply.json() != *error {
                differences.push(format!("error {} instead of {error}", reply.text()));
            }
        }
        body => {
            let mut body = body.clone();
            if let Some(members) = body.as_object_mut() {
                members.retain(|member, value| {
                    member != "_abridged"
                        && !(value.is_null()
                            && NOTED_AS_ABSENT.contains(&(exchange.name.as_str(), member.as_str())))
                });
            }
            compare_values("", &body, &reply.json(), differences);
            compare_stored(exchange, &body, &reply.json(), differences);
            if exchange.request.path.starts_with("/fhir-import/") {
                compare_entries(exchange, &body, &reply.json(), differences);
            }
        }
    }
}

/// A record that JHE took is given back with the very values that were sent, but for its id and for
/// the provenance that JHE adds.
fn compare_stored(
    exchange: &Exchange,
    recorded: &Value,
    ours: &Value,
    differences: &mut Vec<String>,
) {
    let (path, method) = (
        exchange.request.path.as_str(),
        exchange.request.method.as_str(),
    );
    let mut compare = |recorded: &Value, ours: &Value| {
        for (name, value) in recorded.as_object().into_iter().flatten() {
            if !["id", "extension"].contains(&name.as_str()) && ours.get(name) != Some(value) {
                differences.push(format!("{name} was not stored as it was"));
            }
        }
    };
    if method == "POST" && path.eq_ignore_ascii_case("/FHIR/R5/Observation") {
        compare(recorded, ours);
    } else if path.starts_with("/fhir-import/") {
        for (recorded, ours) in entries(recorded).iter().zip(entries(ours)) {
            compare(&recorded["resource"], &ours["resource"]);
        }
    }
}

/// Each record has an entry of its own, with the very status and texts that were recorded.
fn compare_entries(
    exchange: &Exchange,
    recorded: &Value,
    ours: &Value,
    differences: &mut Vec<String>,
) {
    if entries(recorded).len() != entries(ours).len() {
        differences.push(format!("{} entries", entries(ours).len()));
    }
    for (recorded, ours) in entries(recorded).iter().zip(entries(ours)) {
        let (recorded, ours) = (&recorded["response"], &ours["response"]);
        let (issues, our_issues) = (sorted_issues(recorded), sorted_issues(ours));
        // The first one tells whether it was stored.
        let (first, our_first) = (
            &recorded["outcome"]["issue"][0],
            &ours["outcome"]["issue"][0],
        );
        let is_same = recorded["status"] == ours["status"]
            && first["severity"] == our_first["severity"]
            && (issues == our_issues || exchange.name == BUNDLE_AS_OBSERVATION);
        if !is_same {
            differences.push(format!("entry {ours} instead of {recorded}"));
        }
    }
}

/// The order of warnings is that of the members in the JSON, which does not matter.
fn sorted_issues(response: &Value) -> Vec<String> {
    let issues = response["outcome"]["issue"].as_array();
    let mut issues: Vec<String> = issues.into_iter().flatten().map(Value::to_string).collect();
    issues.sort();
    issues
}

fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Title and configuration of a page.
fn compare_page(page: &Map<String, Value>, reply: &Reply, differences: &mut Vec<String>) {
    let text = reply.text();
    let title = page["title"].as_str().unwrap_or_default();
    if !text.contains(&format!("<title>{title}</title>")) {
        differences.push(format!("the title is not {title:?}"));
    }
    for (name, value) in page["injected_config"].as_object().into_iter().flatten() {
        let written = match (name.as_str(), value.as_str()) {
            // No server's own values.
            ("scope" | "dataSourceId", Some(value)) => format!(" {name}: \"{value}\""),
            _ => format!(" {name}: \""),
        };
        if !text.contains(&written) {
            differences.push(format!("{name} is not configured"));
        }
    }
}

/// Every recorded member is there, with the same type.
fn compare_values(place: &str, recorded: &Value, ours: &Value, differences: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (name, value) in recorded {
                let place = format!("{place}.{name}");
                match ours.get(name) {
                    Some(ours) => compare_values(&place, value, ours, differences),
                    None => differences.push(format!("{place} is missing")),
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            for (position, value) in recorded.iter().enumerate() {
                // Where there are fewer of them here, the last one stands for the rest.
                match ours.get(position).or(ours.last()) {
                    Some(ours) => {
                        compare_values(&format!("{place}[{position}]"), value, ours, differences)
                    }
                    None => differences.push(format!("{place} is empty")),
                }
            }
        }
        (recorded, ours) => {
            if std::mem::discriminant(recorded) != std::mem::discriminant(ours) {
                differences.push(format!("{place} is {ours} instead of {recorded}"));
            }
        }
    }
}
