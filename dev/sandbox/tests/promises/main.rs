//! What the sandbox promises to those who test with it. (What it owes to JHE is in `contract.rs`.)

mod chart;
#[path = "../common/mod.rs"]
mod common;
mod documents;
mod hospitals;
mod installed;
mod later_jhe;
mod people;
mod trouble;
mod vendors;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use common::{Failure, Reply, send};
use sandbox::{
    Document, EHR_CLIENT_ID, FIRST_PATIENT, Fault, JheVersion, Layout, Match, NextLink, Options,
    PATIENT_WITHOUT_LOGIN, Peculiarity, RefreshTokens, Row, SECOND_PATIENT, SEED_SCOPES, Sandbox,
    Server,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

type Outcome = Result<(), Failure>;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CAMILA: &str = "erXuFYUfucBZaryVksYEcMg3";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const FHIR_JSON: (&str, &str) = ("accept", "application/fhir+json");

async fn start() -> Result<Sandbox, Failure> {
    Ok(Sandbox::start(Options::default()).await?)
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn redirect_uri(sandbox: &Sandbox) -> String {
    format!("{}/clients/mychart/callback", sandbox.jhe())
}

/// A good authorization request, with changes: a new value, or `""` for none.
fn authorization_url(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let (redirect_uri, iss) = (redirect_uri(sandbox), sandbox.iss());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", EHR_CLIENT_ID),
        ("redirect_uri", &redirect_uri),
        ("scope", SEED_SCOPES),
        ("state", "a state & more"),
        ("aud", &iss),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        pairs.retain(|(other, _)| other != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    format!(
        "{}/interconnect/oauth2/authorize?{}",
        sandbox.ehr(),
        form(&pairs)
    )
}

/// Goes through the login and consent pages; the answer is the redirect back.
async fn sign_in_as(sandbox: &Sandbox, login: &str, decision: &str) -> Result<Reply, Failure> {
    let page = send("GET", &authorization_url(sandbox, &[]), &[], "")
        .await?
        .text();
    let flow = page
        .split("name=\"flow\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let flow = flow.ok_or("no login form")?;
    let login_url = format!("{}/interconnect/oauth2/login", sandbox.ehr());
    let credentials = form(&[
        ("flow", flow),
        ("username", login),
        ("password", "epicepic1"),
    ]);
    let page = send("POST", &login_url, &[FORM], credentials).await?.text();
    assert!(
        page.contains("id=\"allow\"") && page.contains("id=\"deny\""),
        "{page}"
    );
    let consent_url = format!("{}/interconnect/oauth2/consent", sandbox.ehr());
    send(
        "POST",
        &consent_url,
        &[FORM],
        form(&[("flow", flow), ("decision", decision)]),
    )
    .await
}

/// A parameter of the address that an answer redirects to.
fn returned(reply: &Reply, name: &str) -> Option<String> {
    let location = url::Url::parse(reply.header("location")?).ok()?;
    location
        .query_pairs()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.into_owned())
}

async fn redeem_ehr_code(sandbox: &Sandbox, code: &str, verifier: &str) -> Result<Reply, Failure> {
    let body = form(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri(sandbox)),
        ("client_id", EHR_CLIENT_ID),
        ("code_verifier", verifier),
    ]);
    send(
        "POST",
        &format!("{}/interconnect/oauth2/token", sandbox.ehr()),
        &[FORM],
        body,
    )
    .await
}

/// An access token of the EHR for a login, as `Authorization` wants it.
async fn ehr_bearer(sandbox: &Sandbox, login: &str) -> Result<String, Failure> {
    let code = returned(&sign_in_as(sandbox, login, "allow").await?, "code").ok_or("no code")?;
    let token = redeem_ehr_code(sandbox, &code, VERIFIER).await?.json();
    Ok(format!(
        "Bearer {}",
        token["access_token"].as_str().ok_or("no token")?
    ))
}

async fn get_fhir(url: &str, bearer: &str) -> Result<Reply, Failure> {
    send("GET", url, &[FHIR_JSON, ("authorization", bearer)], "").await
}

fn labs_url(sandbox: &Sandbox) -> String {
    format!(
        "{}/Observation?patient={CAMILA}&category=laboratory",
        sandbox.iss()
    )
}

fn next(bundle: &Value) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let next = links.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str()?.to_owned())
}

fn count(bundle: &Value, mode: &str) -> usize {
    let entries = bundle["entry"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    entries
        .iter()
        .filter(|entry| entry["search"]["mode"] == mode)
        .count()
}

/// The message code of an OperationOutcome.
fn message(outcome: &Value) -> &str {
    outcome["issue"][0]["details"]["coding"][0]["code"]
        .as_str()
        .unwrap_or_default()
}

/// The first patient's right to write to JHE, with a source.
struct Writer {
    jhe: String,
    bearer: String,
    source: String,
}

impl Writer {
    fn new(sandbox: &Sandbox, version: JheVersion) -> Result<Self, Failure> {
        let mut world = sandbox.world();
        world.settings.jhe.version = version;
        let token = world.mint_patient_token(FIRST_PATIENT).ok_or("no token")?;
        let (iss, now) = (sandbox.iss(), world.now());
        let source = world.jhe.add_source(FIRST_PATIENT, 70_006, "", &iss, now);
        Ok(Self {
            jhe: sandbox.jhe().to_owned(),
            bearer: format!("Bearer {token}"),
            source: source.id.to_string(),
        })
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Result<Reply, Failure> {
        let headers = [
            JSON,
            ("authorization", self.bearer.as_str()),
            ("x-jhe-fhir-source-id", self.source.as_str()),
        ];
        let url = format!("{}{path}", self.jhe);
        send(method, &url, &headers, body.to_owned()).await
    }

    async fn post(&self, path: &str, body: &str) -> Result<Reply, Failure> {
        self.send("POST", path, body).await
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.send("GET", path, "").await?.json())
    }
}

const OBSERVATION: &str = "/FHIR/R5/Observation";
const IMPORT: &str = "/fhir-import/R4/";

fn lab(id: &str) -> String {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}})
        .to_string()
}

/// A Bundle of resources, each as it is written.
fn batch(resources: &[String]) -> String {
    let entries: Vec<String> = resources
        .iter()
        .map(|resource| format!(r#"{{"resource":{resource}}}"#))
        .collect();
    let entries = entries.join(",");
    format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#)
}

fn entry_statuses(reply: &Reply) -> Vec<String> {
    let reply = reply.json();
    let entries = reply["entry"].as_array().into_iter().flatten();
    entries
        .map(|entry| {
            entry["response"]["status"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn a_patient_can_walk_the_whole_way() -> Outcome {
    let sandbox = start().await?;

    let link = sandbox.invitation_link(Layout::DropIn);
    let token = link.rsplit_once('_').ok_or("no token in the link")?.1;
    let invitation = format!("{}/api/v1/invitation/{token}", sandbox.jhe());
    let grant = send("POST", &invitation, &[], "").await?.json()["grant"].take();
    let verifier = BASE64_STANDARD_NO_PAD.encode(token);
    let text = |name: &str| grant[name].as_str().unwrap_or_default();
    let body = form(&[
        ("grant_type", "authorization_code"),
        ("code", text("code")),
        ("redirect_uri", text("redirect_uri")),
        ("client_id", text("client_id")),
        ("code_verifier", &verifier),
    ]);
    let tokens = send(
        "POST",
        &format!("{}/o/token/", sandbox.jhe()),
        &[FORM],
        body,
    )
    .await?
    .json();
    let jhe = format!(
        "Bearer {}",
        tokens["access_token"].as_str().ok_or("no JHE token")?
    );

    let ehr = ehr_bearer(&sandbox, "fhircamila").await?;
    let body = json!({"label": "MyChart", "fhir_base_url": sandbox.iss(), "data_source": "70006"})
        .to_string();
    let headers = [JSON, ("authorization", jhe.as_str())];
    let source = send(
        "POST",
        &format!("{}/api/v1/fhir_sources", sandbox.jhe()),
        &headers,
        body,
    )
    .await?
    .json();
    let source = source["id"].to_string();

    let write = format!("{}/FHIR/R5/Observation", sandbox.jhe());
    let headers = [
        JSON,
        ("authorization", jhe.as_str()),
        ("x-jhe-fhir-source-id", source.as_str()),
    ];
    let (mut page, mut written, mut refused) = (Some(labs_url(&sandbox)), 0, Vec::new());
    while let Some(url) = page {
        let bundle = get_fhir(&url, &ehr).await?.json();
        let entries = bundle["entry"].as_array().ok_or("no entries")?;
        for entry in entries
            .iter()
            .filter(|entry| entry["search"]["mode"] == "match")
        {
            let reply = send("POST", &write, &headers, entry["resource"].to_string()).await?;
            match reply.status.as_u16() {
                201 => written += 1,
                _ => refused.push(reply.text()),
            }
        }
        page = next(&bundle);
    }
    assert_eq!(
        (written, refused.len()),
        (30, 2),
        "the long id and the one with an underscore"
    );
    assert!(
        refused[0].contains("at most 64 characters") && refused[1].contains("does not match regex")
    );
    assert_eq!(sandbox.world().rows().len(), 30);
    assert_eq!(sandbox.world().rows()[0].patient, FIRST_PATIENT);
    Ok(())
}

#[tokio::test]
async fn decimals_keep_their_zeros_on_the_wire_and_in_what_was_sent() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let page = get_fhir(&labs_url(&sandbox), &bearer).await?.text();
    assert!(page.contains(r#""valueQuantity":{"value":7.10,"#), "{page}");

    let jhe = sandbox
        .world()
        .mint_patient_token(FIRST_PATIENT)
        .ok_or("no token")?;
    let now = sandbox.world().now();
    let source = sandbox
        .world()
        .jhe
        .add_source(FIRST_PATIENT, 70_006, "", "", now)
        .id
        .to_string();
    let bearer = format!("Bearer {jhe}");
    let headers = [
        JSON,
        ("authorization", bearer.as_str()),
        ("x-jhe-fhir-source-id", source.as_str()),
    ];
    let body = r#"{"status":"final","code":{},"valueQuantity":{"value":7.10}}"#;
    let reply = send(
        "POST",
        &format!("{}/FHIR/R5/Observation", sandbox.jhe()),
        &headers,
        body,
    )
    .await?;
    assert!(reply.text().contains("7.1}"), "JHE's answer loses the zero");
    assert_eq!(sandbox.world().rows()[0].sent, body);
    Ok(())
}

#[tokio::test]
async fn denying_comes_back_as_access_denied_with_the_state() -> Outcome {
    let sandbox = start().await?;
    let reply = sign_in_as(&sandbox, "fhircamila", "deny").await?;
    assert_eq!(returned(&reply, "error").as_deref(), Some("access_denied"));
    assert_eq!(returned(&reply, "state").as_deref(), Some("a state & more"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_shows_the_login_again() -> Outcome {
    let sandbox = start().await?;
    let page = send("GET", &authorization_url(&sandbox, &[]), &[], "")
        .await?
        .text();
    let flow = page
        .split("name=\"flow\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let body = form(&[
        ("flow", flow.ok_or("no form")?),
        ("username", "fhircamila"),
        ("password", "x"),
    ]);
    let url = format!("{}/interconnect/oauth2/login", sandbox.ehr());
    let page = send("POST", &url, &[FORM], body).await?.text();
    assert!(
        page.contains("id=\"sign-in\"") && page.contains("match"),
        "{page}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_client_or_redirect_uri_is_not_redirected() -> Outcome {
    let sandbox = start().await?;
    let longer = format!("{}?x=1", redirect_uri(&sandbox));
    for change in [
        ("client_id", "nope"),
        ("redirect_uri", longer.as_str()),
        ("redirect_uri", ""),
    ] {
        let reply = send("GET", &authorization_url(&sandbox, &[change]), &[], "").await?;
        assert_eq!(
            (reply.status.as_u16(), reply.header("location")),
            (400, None),
            "{change:?}"
        );
        assert!(reply.text().contains("The request is invalid"));
    }
    let repeated = format!("{}&state=2", authorization_url(&sandbox, &[]));
    assert_eq!(send("GET", &repeated, &[], "").await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn any_other_bad_authorization_request_is_redirected_with_its_error() -> Outcome {
    let sandbox = start().await?;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("aud", "https://ehr.example/R4"), "invalid_request"),
        (("aud", ""), "invalid_request"),
        (("scope", ""), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
    ] {
        let reply = send("GET", &authorization_url(&sandbox, &[change]), &[], "").await?;
        assert_eq!(
            returned(&reply, "error").as_deref(),
            Some(error),
            "{change:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_authorization_endpoints_own_query_is_required() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().settings.ehr.authorization_query = Some("tenant=7".into());
    let url = format!("{}/.well-known/smart-configuration", sandbox.iss());
    let document = send("GET", &url, &[], "").await?.json();
    assert!(
        document["authorization_endpoint"]
            .as_str()
            .is_some_and(|it| it.ends_with("authorize?tenant=7"))
    );
    assert_eq!(
        send("GET", &authorization_url(&sandbox, &[]), &[], "")
            .await?
            .status,
        400
    );
    assert_eq!(
        send(
            "GET",
            &authorization_url(&sandbox, &[("tenant", "7")]),
            &[],
            ""
        )
        .await?
        .status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn a_code_is_good_for_one_exchange() -> Outcome {
    let sandbox = start().await?;
    let code =
        returned(&sign_in_as(&sandbox, "fhircamila", "allow").await?, "code").ok_or("no code")?;
    let good = redeem_ehr_code(&sandbox, &code, VERIFIER).await?.json();
    assert_eq!(good["patient"], CAMILA);
    assert_eq!(good["token_type"], "bearer");
    assert_eq!(good["need_patient_banner"], "false");
    let replay = redeem_ehr_code(&sandbox, &code, VERIFIER).await?;
    assert_eq!(replay.status, 400);
    assert_eq!(
        replay.json(),
        json!({"error": "invalid_grant", "error_description": null})
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_pkce_verifier_is_refused() -> Outcome {
    let sandbox = start().await?;
    let code =
        returned(&sign_in_as(&sandbox, "fhircamila", "allow").await?, "code").ok_or("no code")?;
    let wrong = VERIFIER.replace('d', "e");
    assert_eq!(
        redeem_ehr_code(&sandbox, &code, &wrong).await?.json()["error"],
        "invalid_grant"
    );
    Ok(())
}

#[tokio::test]
async fn a_code_expires() -> Outcome {
    let sandbox = start().await?;
    let code =
        returned(&sign_in_as(&sandbox, "fhircamila", "allow").await?, "code").ok_or("no code")?;
    sandbox.world().advance_clock(301);
    assert_eq!(
        redeem_ehr_code(&sandbox, &code, VERIFIER).await?.json()["error"],
        "invalid_grant"
    );
    Ok(())
}

#[tokio::test]
async fn an_id_token_comes_only_if_one_is_set_and_openid_was_granted() -> Outcome {
    let sandbox = start().await?;
    let exchange = async || -> Result<Value, Failure> {
        let code = returned(&sign_in_as(&sandbox, "fhircamila", "allow").await?, "code")
            .ok_or("no code")?;
        Ok(redeem_ehr_code(&sandbox, &code, VERIFIER).await?.json())
    };
    assert_eq!(exchange().await?["id_token"], Value::Null);
    sandbox.world().settings.ehr.id_token = Some("a.b.c".into());
    assert_eq!(exchange().await?["id_token"], "a.b.c");
    sandbox.world().settings.ehr.granted_scopes = Some("patient/Observation.read".into());
    sandbox.world().settings.ehr.omit_patient = true;
    let narrow = exchange().await?;
    assert_eq!(
        (&narrow["id_token"], &narrow["patient"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(narrow["scope"], "patient/Observation.read");
    Ok(())
}

#[tokio::test]
async fn a_search_is_paged_by_sessions_and_total_counts_one_page() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let (mut url, mut totals) = (Some(labs_url(&sandbox)), Vec::new());
    while let Some(page) = url {
        let bundle = get_fhir(&page, &bearer).await?.json();
        assert_eq!(bundle["total"], count(&bundle, "match"));
        totals.push((count(&bundle, "match"), count(&bundle, "outcome")));
        url = next(&bundle);
        if let Some(url) = &url {
            assert!(
                url.contains("/Observation?sessionID=17-") && !url.contains('&'),
                "{url}"
            );
        }
    }
    assert_eq!(totals, [(10, 1), (10, 0), (10, 0), (2, 1)]);
    Ok(())
}

#[tokio::test]
async fn a_next_link_expires() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let link = next(&get_fhir(&labs_url(&sandbox), &bearer).await?.json()).ok_or("no next link")?;
    assert_eq!(get_fhir(&link, &bearer).await?.status, 200);
    sandbox.world().advance_clock(601);
    let reply = get_fhir(&link, &bearer).await?;
    assert_eq!(
        (reply.status.as_u16(), message(&reply.json())),
        (400, "4113")
    );
    Ok(())
}

#[tokio::test]
async fn next_links_can_be_ended_at_once() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let link = next(&get_fhir(&labs_url(&sandbox), &bearer).await?.json()).ok_or("no next link")?;
    sandbox.world().expire_page_links();
    let reply = get_fhir(&link, &bearer).await?;
    let outcome = reply.json();
    assert_eq!((reply.status.as_u16(), message(&outcome)), (400, "4113"));
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let again =
        next(&get_fhir(&labs_url(&sandbox), &bearer).await?.json()).ok_or("no next link")?;
    assert_eq!(
        get_fhir(&again, &bearer).await?.status,
        200,
        "a new search has new ones"
    );
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_comes_only_where_it_is_on_and_granted() -> Outcome {
    let sandbox = start().await?;
    for (refresh_tokens, scopes, comes) in [
        (RefreshTokens::Off, "offline_access", false),
        (RefreshTokens::On, "patient/Observation.read", false),
        (RefreshTokens::On, "openid offline_access", true),
        (RefreshTokens::On, "online_access", true),
        (RefreshTokens::Always, "patient/Observation.read", true),
    ] {
        {
            let ehr = &mut sandbox.world().settings.ehr;
            ehr.refresh_tokens = refresh_tokens;
            ehr.granted_scopes = Some(scopes.to_owned());
        }
        let code = returned(&sign_in_as(&sandbox, "fhircamila", "allow").await?, "code");
        let code = code.ok_or("no code")?;
        let tokens = redeem_ehr_code(&sandbox, &code, VERIFIER).await?.json();
        assert_eq!(
            tokens["refresh_token"].is_string(),
            comes,
            "{refresh_tokens:?} with {scopes}"
        );
    }
    Ok(())
}

/// An access token (as `Authorization` wants it) and a refresh token of the EHR.
async fn ehr_tokens(sandbox: &Sandbox) -> Result<(String, String), Failure> {
    sandbox.world().settings.ehr.refresh_tokens = RefreshTokens::Always;
    let code = returned(&sign_in_as(sandbox, "fhircamila", "allow").await?, "code");
    let reply = redeem_ehr_code(sandbox, &code.ok_or("no code")?, VERIFIER).await?;
    both_tokens(&reply)
}

fn both_tokens(reply: &Reply) -> Result<(String, String), Failure> {
    let tokens = reply.json();
    let text = |name: &str| tokens[name].as_str().ok_or(format!("no {name}"));
    let bearer = format!("Bearer {}", text("access_token")?);
    Ok((bearer, text("refresh_token")?.to_owned()))
}

async fn refresh(
    sandbox: &Sandbox,
    refresh_token: &str,
    more: &[(&str, &str)],
) -> Result<Reply, Failure> {
    let mut body = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    body.extend(more);
    let url = format!("{}/interconnect/oauth2/token", sandbox.ehr());
    send("POST", &url, &[FORM], form(&body)).await
}

const CLIENT: (&str, &str) = ("client_id", EHR_CLIENT_ID);

#[tokio::test]
async fn a_refresh_token_brings_a_new_pair_and_leaves_the_old_access_token_good() -> Outcome {
    let sandbox = start().await?;
    let (old_bearer, old) = ehr_tokens(&sandbox).await?;
    let reply = refresh(&sandbox, &old, &[CLIENT]).await?;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["patient"]),
        (200, &json!(CAMILA))
    );
    let (new_bearer, new) = both_tokens(&reply)?;
    assert!(new != old && new_bearer != old_bearer);
    for bearer in [&old_bearer, &new_bearer] {
        assert_eq!(get_fhir(&labs_url(&sandbox), bearer).await?.status, 200);
    }
    sandbox.world().advance_clock(3_601);
    let over = get_fhir(&labs_url(&sandbox), &old_bearer).await?;
    assert_eq!((over.status.as_u16(), over.text().as_str()), (401, "\"\""));
    Ok(())
}

#[tokio::test]
async fn a_refresh_needs_its_client_and_no_wider_scope() -> Outcome {
    let sandbox = start().await?;
    let (_, token) = ehr_tokens(&sandbox).await?;
    for (more, error) in [
        ([].as_slice(), "invalid_client"),
        (&[("client_id", "nope")], "invalid_client"),
        (&[CLIENT, ("scope", "patient/*.read")], "invalid_scope"),
    ] {
        let reply = refresh(&sandbox, &token, more).await?;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["error"]),
            (400, &json!(error))
        );
    }
    let narrower = [CLIENT, ("scope", "openid")];
    assert_eq!(
        refresh(&sandbox, &token, &narrower).await?.json()["scope"],
        "openid"
    );
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_whole_family() -> Outcome {
    let sandbox = start().await?;
    let (_, old) = ehr_tokens(&sandbox).await?;
    let (_, other_family) = ehr_tokens(&sandbox).await?;
    let (bearer, new) = both_tokens(&refresh(&sandbox, &old, &[CLIENT]).await?)?;
    for token in [&old, &new] {
        let reply = refresh(&sandbox, token, &[CLIENT]).await?;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["error"]),
            (400, &json!("invalid_grant"))
        );
    }
    assert_eq!(get_fhir(&labs_url(&sandbox), &bearer).await?.status, 200);
    assert_eq!(
        refresh(&sandbox, &other_family, &[CLIENT]).await?.status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn ended_access_tokens_can_be_refreshed() -> Outcome {
    let sandbox = start().await?;
    let (bearer, token) = ehr_tokens(&sandbox).await?;
    sandbox.world().expire_ehr_tokens();
    let over = get_fhir(&labs_url(&sandbox), &bearer).await?;
    assert_eq!((over.status.as_u16(), over.text().as_str()), (401, "\"\""));
    assert!(
        over.header("www-authenticate")
            .is_some_and(|it| it.contains("invalid_token"))
    );
    let (bearer, _) = both_tokens(&refresh(&sandbox, &token, &[CLIENT]).await?)?;
    assert_eq!(get_fhir(&labs_url(&sandbox), &bearer).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_empty_result_has_one_outcome_entry_and_no_match() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhirderrick").await?;
    let url = labs_url(&sandbox).replace(CAMILA, "eq081-VQEgP8drUUqCWzHfw3");
    let bundle = get_fhir(&url, &bearer).await?.json();
    assert_eq!(
        (&bundle["total"], count(&bundle, "outcome")),
        (&json!(0), 1)
    );
    assert_eq!(message(&bundle["entry"][0]["resource"]), "4101");
    Ok(())
}

#[tokio::test]
async fn a_search_wants_a_category_its_own_patient_and_known_parameters() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let base = sandbox.iss();
    for (query, status, code) in [
        (format!("patient={CAMILA}"), 400, "59108"),
        ("category=laboratory".to_owned(), 400, "59108"),
        (
            format!("patient={CAMILA}X&category=laboratory"),
            403,
            "59177",
        ),
        (
            format!("patient={CAMILA}&category=laboratory&foo=1"),
            400,
            "59100",
        ),
    ] {
        let reply = get_fhir(&format!("{base}/Observation?{query}"), &bearer).await?;
        assert_eq!(
            (reply.status.as_u16(), message(&reply.json())),
            (status, code),
            "{query}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_an_accept_header_the_answer_is_xml() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    for accept in [&[][..], &[("accept", "*/*")]] {
        let headers = [&[("authorization", bearer.as_str())], accept].concat();
        let reply = send("GET", &labs_url(&sandbox), &headers, "").await?;
        assert!(
            reply
                .header("content-type")
                .is_some_and(|it| it.contains("xml"))
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_token_gets_401_with_two_quotes() -> Outcome {
    let sandbox = start().await?;
    let good = ehr_bearer(&sandbox, "fhircamila").await?;
    sandbox.world().ehr.expire_tokens();
    for bearer in ["Bearer nope", &good] {
        let reply = get_fhir(&labs_url(&sandbox), bearer).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (401, "\"\"")
        );
        assert!(
            reply
                .header("www-authenticate")
                .is_some_and(|it| it.contains("invalid_token"))
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_token_without_the_scope_is_forbidden() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().settings.ehr.granted_scopes = Some("openid patient/Patient.read".into());
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    assert_eq!(get_fhir(&labs_url(&sandbox), &bearer).await?.status, 403);
    let patient = get_fhir(&format!("{}/Patient/{CAMILA}", sandbox.iss()), &bearer)
        .await?
        .json();
    assert_eq!(patient["name"][0]["family"], "Lopez");
    Ok(())
}

#[tokio::test]
async fn an_unknown_type_is_the_web_servers_404() -> Outcome {
    let sandbox = start().await?;
    let reply = get_fhir(&format!("{}/Foo", sandbox.iss()), "Bearer x").await?;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (404, Some("text/html"))
    );
    Ok(())
}

#[tokio::test]
async fn next_links_lead_where_a_test_sends_them() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let elsewhere = "http://localhost.example/R4/Observation?sessionID=17-1";
    for (to, starts) in [
        (
            NextLink::OtherOrigin,
            format!("{}/interconnect/api/FHIR/R4/", sandbox.evil()),
        ),
        (
            NextLink::OtherPath,
            format!("{}/interconnect/api/FHIR/DSTU2/", sandbox.ehr()),
        ),
        (NextLink::ItsOwnPage, labs_url(&sandbox)),
        (NextLink::Relative, "Observation?sessionID=17-".to_owned()),
        (
            NextLink::Address {
                url: elsewhere.to_owned(),
            },
            elsewhere.to_owned(),
        ),
    ] {
        sandbox.world().settings.ehr.next_link = to.clone();
        let link =
            next(&get_fhir(&labs_url(&sandbox), &bearer).await?.json()).ok_or("no next link")?;
        assert!(link.starts_with(&starts), "{to:?}: {link}");
    }
    Ok(())
}

#[tokio::test]
async fn a_redirected_page_leads_to_the_evil_listener_which_logs_who_comes() -> Outcome {
    let sandbox = start().await?;
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    sandbox.world().settings.ehr.next_link = NextLink::Redirect;
    let link = next(&get_fhir(&labs_url(&sandbox), &bearer).await?.json()).ok_or("no next link")?;
    let reply = get_fhir(&link, &bearer).await?;
    assert_eq!(reply.status, 302);
    let location = reply.header("location").ok_or("no location")?;
    assert!(location.starts_with(sandbox.evil()), "{location}");

    get_fhir(location, "Bearer leaked").await?;
    let world = sandbox.world();
    let came: Vec<_> = world
        .request_log()
        .iter()
        .filter(|entry| entry.server == Server::Evil)
        .collect();
    assert_eq!(came.len(), 1);
    assert_eq!(came[0].header("authorization"), Some("Bearer leaked"));
    Ok(())
}

#[tokio::test]
async fn extra_entries_and_peculiar_labs_are_served_as_given() -> Outcome {
    let sandbox = start().await?;
    {
        let mut world = sandbox.world();
        world.give_labs("fhircamila", 2);
        for peculiarity in [
            Peculiarity::NoCode,
            Peculiarity::UnknownField,
            Peculiarity::OtherSubject,
        ] {
            world.give_peculiar_lab("fhircamila", peculiarity);
        }
        let included = r#"{"resource":{"resourceType":"Specimen"},"search":{"mode":"include"}}"#;
        world
            .ehr
            .patient_mut("fhircamila")
            .ok_or("no Camila")?
            .extra_entries
            .push(included.into());
    }
    let bearer = ehr_bearer(&sandbox, "fhircamila").await?;
    let bundle = get_fhir(&labs_url(&sandbox), &bearer).await?.json();
    assert_eq!((count(&bundle, "match"), count(&bundle, "include")), (5, 1));
    assert_eq!(bundle["entry"][2]["resource"].get("code"), None);
    Ok(())
}

#[tokio::test]
async fn a_preflight_for_epics_headers_passes_and_any_other_header_fails_it() -> Outcome {
    let sandbox = start().await?;
    for url in [
        format!("{}/.well-known/smart-configuration", sandbox.iss()),
        format!("{}/interconnect/oauth2/token", sandbox.ehr()),
        labs_url(&sandbox),
    ] {
        let preflight = async |asked| {
            let headers = [
                ("origin", sandbox.jhe()),
                ("access-control-request-method", "GET"),
                ("access-control-request-headers", asked),
            ];
            send("OPTIONS", &url, &headers, "").await
        };
        let good = preflight("authorization,accept").await?;
        assert_eq!(
            good.header("access-control-allow-origin"),
            Some(sandbox.jhe()),
            "{url}"
        );
        assert!(
            good.header("access-control-allow-headers")
                .is_some_and(|it| it.contains("authorization"))
        );
        let bad = preflight("authorization,cache-control").await?;
        assert_eq!(
            (
                bad.status.as_u16(),
                bad.header("access-control-allow-origin")
            ),
            (403, None),
            "{url}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn cors_can_be_broken_at_each_of_the_three_places() -> Outcome {
    let sandbox = start().await?;
    let discovery = format!("{}/.well-known/smart-configuration", sandbox.iss());
    let origin = ("origin", sandbox.jhe());
    assert!(
        send("GET", &discovery, &[origin], "")
            .await?
            .header("access-control-allow-origin")
            .is_some()
    );
    sandbox.world().settings.ehr.cors.discovery = false;
    assert_eq!(
        send("GET", &discovery, &[origin], "")
            .await?
            .header("access-control-allow-origin"),
        None
    );

    let asks = |url: String| async move { send("GET", &url, &[origin, FHIR_JSON], "").await };
    assert!(
        asks(labs_url(&sandbox))
            .await?
            .header("access-control-allow-origin")
            .is_some()
    );
    sandbox.world().fail(
        Match::on(Server::Ehr).path("/Observation").once(),
        Fault::NoCors,
    );
    assert_eq!(
        asks(labs_url(&sandbox))
            .await?
            .header("access-control-allow-origin"),
        None
    );
    assert!(
        asks(labs_url(&sandbox))
            .await?
            .header("access-control-allow-origin")
            .is_some()
    );
    Ok(())
}

#[tokio::test]
async fn discovery_has_variants() -> Outcome {
    let sandbox = start().await?;
    let url = format!("{}/.well-known/smart-configuration", sandbox.iss());
    {
        let mut world = sandbox.world();
        let overrides = &mut world.settings.ehr.discovery.overrides;
        overrides.insert("code_challenge_methods_supported".into(), Value::Null);
        overrides.insert("token_endpoint".into(), json!("http://ehr.example/token"));
    }
    let document = send("GET", &url, &[], "").await?.json();
    assert_eq!(document.get("code_challenge_methods_supported"), None);
    assert_eq!(document["token_endpoint"], "http://ehr.example/token");

    sandbox.world().settings.ehr.discovery.smart_configuration = Document::NotFound;
    assert_eq!(send("GET", &url, &[], "").await?.status, 404);
    let metadata = format!("{}/metadata", sandbox.iss());
    let statement = send("GET", &metadata, &[FHIR_JSON], "").await?.json();
    let extension = &statement["rest"][0]["security"]["extension"][0];
    assert_eq!(
        extension["url"],
        "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    );
    assert!(
        extension["extension"][0]["valueUri"]
            .as_str()
            .is_some_and(|it| it.ends_with("/authorize"))
    );
    Ok(())
}

#[tokio::test]
async fn faults_hit_what_they_name() -> Outcome {
    let sandbox = start().await?;
    let url = format!("{}/.well-known/smart-configuration", sandbox.iss());
    let hit = |fault| {
        sandbox.world().fail(
            Match::on(Server::Ehr).path("smart-configuration").once(),
            fault,
        )
    };

    hit(Fault::status(503, "text/html", "<h1>down</h1>"));
    let reply = send("GET", &url, &[], "").await?;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (503, "<h1>down</h1>")
    );
    hit(Fault::CutOff);
    assert!(
        send("GET", &url, &[], "").await.is_err(),
        "the body breaks off"
    );
    hit(Fault::DropConnection);
    assert!(
        send("GET", &url, &[], "").await.is_err(),
        "there is no answer"
    );
    assert_eq!(send("GET", &url, &[], "").await?.status, 200);

    let statuses: Vec<_> = sandbox
        .world()
        .request_log()
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [Some(503), Some(200), None, Some(200)]);
    Ok(())
}

#[tokio::test]
async fn a_cut_off_answer_arrives_by_half() -> Outcome {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sandbox = start().await?;
    sandbox.world().fail(Match::default(), Fault::CutOff);
    let host = sandbox
        .ehr()
        .trim_start_matches("http://")
        .replace("localhost", "127.0.0.1");
    let mut stream = tokio::net::TcpStream::connect(host).await?;
    stream
        .write_all(b"GET /interconnect/api/FHIR/R4/.well-known/smart-configuration HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .ok_or("no length")?;
    assert_eq!(body.len(), length.parse::<usize>()? / 2);
    Ok(())
}

#[tokio::test]
async fn a_long_answer_says_nothing_of_its_length_and_is_whole() -> Outcome {
    let sandbox = start().await?;
    let url = format!("{}/.well-known/smart-configuration", sandbox.iss());
    for times in [0, 7, 100_000] {
        let long = Fault::long("[", "1,", times, "0]");
        sandbox.world().fail(Match::on(Server::Ehr).once(), long);
        let reply = send("GET", &url, &[], "").await?;
        assert!(reply.header("content-length").is_none());
        let expected = format!("[{}0]", "1,".repeat(usize::try_from(times)?));
        assert!(reply.text() == expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_has_done_its_work() -> Outcome {
    let sandbox = start().await?;
    let bearer = format!(
        "Bearer {}",
        sandbox
            .world()
            .mint_patient_token(FIRST_PATIENT)
            .ok_or("no token")?
    );
    let url = format!("{}/api/v1/fhir_sources", sandbox.jhe());
    sandbox
        .world()
        .fail(Match::on(Server::Jhe).method("POST"), Fault::LoseAnswer);
    let body = json!({"data_source": 70_006}).to_string();
    assert!(
        send("POST", &url, &[JSON, ("authorization", &bearer)], body)
            .await
            .is_err()
    );
    assert_eq!(sandbox.world().jhe.sources.len(), 1);
    Ok(())
}

#[tokio::test]
async fn only_so_many_requests_are_served_at_a_time() -> Outcome {
    let sandbox = start().await?;
    let (jhe, bearer, source) = {
        let mut world = sandbox.world();
        world.settings.jhe.workers = 1;
        world.settings.jhe.time_per_record_ms = 60;
        let token = world.mint_patient_token(FIRST_PATIENT).ok_or("no token")?;
        let now = world.now();
        let source = world.jhe.add_source(FIRST_PATIENT, 70_006, "", "", now).id;
        (
            sandbox.jhe().to_owned(),
            format!("Bearer {token}"),
            source.to_string(),
        )
    };
    let began = Instant::now();
    let write = || async {
        let headers = [
            JSON,
            ("authorization", bearer.as_str()),
            ("x-jhe-fhir-source-id", source.as_str()),
        ];
        send(
            "POST",
            &format!("{jhe}/FHIR/R5/Observation"),
            &headers,
            r#"{"status":"final","code":{}}"#,
        )
        .await
    };
    let (first, second) = tokio::join!(write(), write());
    assert_eq!(
        (first?.status.as_u16(), second?.status.as_u16()),
        (201, 201)
    );
    assert!(began.elapsed().as_millis() >= 120, "one after the other");
    Ok(())
}

#[tokio::test]
async fn invitations_can_be_brought_into_every_state() -> Outcome {
    let sandbox = start().await?;
    let redeem = async |token: &str| -> Result<u16, Failure> {
        let url = format!("{}/api/v1/invitation/{token}", sandbox.jhe());
        Ok(send("POST", &url, &[], "").await?.status.as_u16())
    };
    let mint = || sandbox.world().mint_invitation(SECOND_PATIENT);

    let good = mint();
    assert_eq!(
        (redeem(&good).await?, redeem(&good).await?),
        (200, 200),
        "a reload redeems again"
    );
    sandbox.world().use_up_invitation(&good);
    assert_eq!(redeem(&good).await?, 409);
    let (old, new) = (mint(), mint());
    assert_eq!(
        (redeem(&old).await?, redeem(&new).await?),
        (409, 200),
        "superseded"
    );
    let expired = mint();
    sandbox.world().expire_invitation(&expired);
    assert_eq!(redeem(&expired).await?, 410);
    let cancelled = mint();
    sandbox.world().cancel_invitation(&cancelled);
    assert_eq!(redeem(&cancelled).await?, 403);
    let without_login = sandbox.world().mint_invitation(PATIENT_WITHOUT_LOGIN);
    assert_eq!(redeem(&without_login).await?, 400);
    Ok(())
}

#[tokio::test]
async fn the_earlier_jhe_has_no_import_and_the_later_one_no_mychart() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::Mychart)?;
    for path in [IMPORT, "/fhir-import/R4", "/fhir-import/R4/Observation"] {
        assert_eq!(writer.post(path, &batch(&[])).await?.status, 404, "{path}");
    }
    let identifier = |version| format!("/api/v1/{version}/identifier");
    let pair = json!({"system": "s", "value": "v"}).to_string();
    for (version, mychart, patient_access) in [
        (JheVersion::Mychart, 200, 404),
        (JheVersion::PatientAccess, 404, 200),
    ] {
        sandbox.world().settings.jhe.version = version;
        for (path, status) in [("mychart", mychart), ("patient-access", patient_access)] {
            let reply = writer.post(&identifier(path), &pair).await?;
            assert_eq!(reply.status, status, "{path} in {version:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_import_updates_in_place_and_each_writing_counts() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let with_zeros = r#"{"resourceType":"Observation","id":"a","status":"final","code":{}, "valueQuantity":{"value":7.10}}"#;
    let reply = writer
        .post(IMPORT, &batch(&[lab("a"), lab("b"), lab("a")]))
        .await?;
    assert_eq!(entry_statuses(&reply), ["201 Created"; 3]);
    let reply = reply.json();
    let id = |n: usize| reply["entry"][n]["resource"]["id"].clone();
    assert_eq!(id(0), id(2), "the same id twice is the same record");
    assert_ne!(id(0), id(1));

    let again = writer
        .post(IMPORT, &batch(&[with_zeros.to_owned()]))
        .await?;
    assert_eq!(
        entry_statuses(&again),
        ["201 Created"],
        "no 200 for an update"
    );
    assert_eq!(again.json()["entry"][0]["resource"]["id"], id(0));
    let world = sandbox.world();
    let rows: Vec<_> = world
        .rows()
        .iter()
        .map(|row| (row.upstream_id.as_deref(), row.writes))
        .collect();
    assert_eq!(rows, [(Some("a"), 3), (Some("b"), 1)]);
    assert_eq!(
        world.rows()[0].sent,
        with_zeros,
        "the last one, as it was written"
    );
    Ok(())
}

#[tokio::test]
async fn a_long_id_becomes_an_identifier_and_is_updated_all_the_same() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let long = "x".repeat(65);
    for (path, body) in [(IMPORT, batch(&[lab(&long)])), (OBSERVATION, lab(&long))] {
        assert!(writer.post(path, &body).await?.status.is_success());
    }
    let world = sandbox.world();
    let [row] = world.rows() else {
        return Err("not one row".into());
    };
    assert_eq!(
        (row.writes, row.stored["id"].as_str()),
        (2, Some(row.id.as_str()))
    );
    assert_eq!(
        row.stored["identifier"],
        json!([{"system": sandbox.iss(), "value": long}])
    );
    Ok(())
}

#[tokio::test]
async fn a_record_of_another_type_is_imported_or_written_as_r5() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let goal = json!({"resourceType": "Goal", "id": "g", "lifecycleStatus": "active"}).to_string();
    let reply = writer.post("/fhir-import/R4/Goal", &goal).await?;
    assert_eq!(entry_statuses(&reply), ["201 Created"]);
    assert_eq!(sandbox.world().rows()[0].resource_type, "Goal");
    assert_eq!(writer.post("/FHIR/R5/Goal", &goal).await?.status, 201);
    assert_eq!(sandbox.world().rows()[0].writes, 2);
    assert_eq!(writer.post("/FHIR/R5/Foo", &goal).await?.status, 404);
    let imported = "_source:below=https://jupyterhealth.org/fhir/fhir-source/";
    let read = async |of: &str| writer.get(&format!("/FHIR/R5/{of}?{imported}")).await;
    assert_eq!(read("Goal").await?["total"], 1);
    assert_eq!(read("Observation").await?["total"], 0);
    Ok(())
}

#[tokio::test]
async fn the_later_jhe_gives_its_own_records_unless_a_source_is_named() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    writer.post(IMPORT, &batch(&[lab("a"), lab("b")])).await?;
    let of_jhe = writer.get(OBSERVATION).await?;
    assert_eq!(of_jhe["total"], 1);
    assert_eq!(
        of_jhe["entry"][0]["resource"]["meta"]["source"],
        "https://jupyterhealth.org/jhe"
    );

    let sources = "https://jupyterhealth.org/fhir/fhir-source/";
    let below = writer
        .get(&format!("{OBSERVATION}?_source:below={sources}&_count=1"))
        .await?;
    assert_eq!(
        (below["total"].as_u64(), next(&below).is_some()),
        (Some(2), true)
    );
    let own = format!("{OBSERVATION}?_source={sources}{}", writer.source);
    assert_eq!(writer.get(&own).await?["total"], 2);
    let counted = writer.get(&format!("{own}&_summary=count")).await?;
    assert_eq!(
        (&counted["total"], &counted["entry"]),
        (&json!(2), &json!([]))
    );
    let unknown = writer
        .get(&format!("{OBSERVATION}?_source={sources}1"))
        .await?;
    assert_eq!(unknown["total"], 0);
    Ok(())
}

#[tokio::test]
async fn an_observation_written_twice_is_a_new_row_in_the_earlier_jhe_only() -> Outcome {
    for (version, rows) in [(JheVersion::Mychart, 2), (JheVersion::PatientAccess, 1)] {
        let sandbox = start().await?;
        let writer = Writer::new(&sandbox, version)?;
        for _ in 0..2 {
            assert_eq!(writer.post(OBSERVATION, &lab("a")).await?.status, 201);
        }
        assert_eq!(sandbox.world().rows().len(), rows, "{version:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_source_is_registered_once_in_the_later_jhe() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let register = async |base: &str, label: &str| -> Result<Value, Failure> {
        let body =
            json!({"label": label, "fhir_base_url": base, "data_source": 70_006}).to_string();
        let reply = writer.post("/api/v1/fhir_sources", &body).await?;
        assert_eq!(reply.status, 201);
        Ok(reply.json())
    };
    let known = register(&sandbox.iss(), "renamed").await?;
    assert_eq!(
        (known["id"].to_string(), &known["label"]),
        (writer.source.clone(), &json!("renamed"))
    );
    let with_slash = register(&format!("{}/", sandbox.iss()), "").await?;
    assert_ne!(
        with_slash["id"], known["id"],
        "the base is compared exactly"
    );
    assert_ne!(register("", "").await?["id"], register("", "").await?["id"]);
    Ok(())
}

#[tokio::test]
async fn an_id_of_another_patient_is_a_conflict_in_the_later_jhe() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    sandbox.world().attach_identifier(SECOND_PATIENT, "s", "v");
    let body = json!({"system": "s", "value": "v"}).to_string();
    let reply = writer
        .post("/api/v1/patient-access/identifier", &body)
        .await?;
    assert_eq!(reply.status, 409);
    Ok(())
}

#[tokio::test]
async fn every_record_of_a_batch_takes_its_time() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    sandbox.world().settings.jhe.time_per_record_ms = 20;
    let began = Instant::now();
    writer
        .post(IMPORT, &batch(&[lab("a"), lab("b"), lab("c")]))
        .await?;
    assert!(began.elapsed().as_millis() >= 60);
    Ok(())
}

#[tokio::test]
async fn a_body_too_long_for_the_proxy_is_refused_and_nothing_is_done() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let body = batch(&[lab("a")]);
    sandbox.world().settings.jhe.max_body_bytes = Some(body.len() - 1);
    let reply = writer.post(IMPORT, &body).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (413, Some("text/html"))
    );
    assert!(reply.text().contains("413 Request Entity Too Large"));
    assert!(
        reply.header("x-frame-options").is_none(),
        "Django has no part in it"
    );
    assert!(sandbox.world().rows().is_empty());
    sandbox.world().settings.jhe.max_body_bytes = Some(body.len());
    assert_eq!(writer.post(IMPORT, &body).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_late_commit_comes_after_the_connection_broke() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::Mychart)?;
    let write = Match::on(Server::Jhe).method("POST").path(OBSERVATION);
    let late = Fault::LateCommit { millis: 300 };
    sandbox.world().fail(write.once(), late);
    assert!(
        writer.post(OBSERVATION, &lab("a")).await.is_err(),
        "no answer"
    );
    assert_eq!(
        writer.get(OBSERVATION).await?["total"],
        1,
        "JHE's own record"
    );
    assert_eq!(sandbox.world().request_log()[0].status, None);
    while sandbox.world().rows().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(writer.get(OBSERVATION).await?["total"], 2);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_breaks_off_has_stored_its_first_entries() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let import = Match::on(Server::Jhe).path(IMPORT);
    sandbox
        .world()
        .fail(import.once(), Fault::PartialBatch { entries: 2 });
    let body = batch(&[lab("a"), lab("b"), lab("c")]);
    let reply = writer.post(IMPORT, &body).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (500, Some("text/html"))
    );
    assert_eq!(sandbox.world().rows().len(), 2);
    assert_eq!(
        entry_statuses(&writer.post(IMPORT, &body).await?),
        ["201 Created"; 3]
    );
    let world = sandbox.world();
    let writes: Vec<_> = world.rows().iter().map(|row| row.writes).collect();
    assert_eq!(writes, [2, 2, 1]);
    Ok(())
}

#[tokio::test]
async fn a_retry_after_is_exposed_to_other_origins_only_if_the_fault_says_so() -> Outcome {
    let sandbox = start().await?;
    let busy = Fault::status(429, "text/plain", "").with_header("retry-after", "7");
    let exposed = busy
        .clone()
        .with_header("access-control-expose-headers", "Retry-After");
    for (fault, expected) in [(busy, None), (exposed, Some("Retry-After"))] {
        sandbox.world().fail(Match::on(Server::Ehr).once(), fault);
        let origin = ("origin", sandbox.jhe());
        let reply = send("GET", &labs_url(&sandbox), &[origin], "").await?;
        assert_eq!(reply.header("retry-after"), Some("7"));
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some(sandbox.jhe())
        );
        assert_eq!(reply.header("access-control-expose-headers"), expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_page_and_a_write_take_no_longer_with_ten_thousand_records() -> Outcome {
    const MANY: usize = 10_000;
    let sandbox = start().await?;
    let ehr = ehr_bearer(&sandbox, "fhircamila").await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    let timed = async || -> Result<(Duration, Duration), Failure> {
        // The first page copies the labs once, so that it is left out.
        let mut page = next(&get_fhir(&labs_url(&sandbox), &ehr).await?.json());
        let began = Instant::now();
        for _ in 0..8 {
            page = next(&get_fhir(&page.ok_or("too few pages")?, &ehr).await?.json());
        }
        let pages = began.elapsed();
        let began = Instant::now();
        for n in 0..40 {
            writer
                .post(IMPORT, &batch(&[lab(&format!("w{n}"))]))
                .await?;
        }
        Ok((pages, began.elapsed()))
    };
    sandbox.world().give_labs("fhircamila", 100);
    let few = timed().await?;
    {
        let mut world = sandbox.world();
        world.give_labs("fhircamila", MANY);
        let row = world.rows()[0].clone();
        for n in 0..MANY {
            let id = format!("row{n}");
            let upstream_id = Some(id.clone());
            world.jhe.rows.write(Row {
                id,
                upstream_id,
                ..row.clone()
            });
        }
    }
    let many = timed().await?;
    // Either would take a hundred times as long if it looked at every record.
    assert!(
        many.0 < few.0 * 8 && many.1 < few.1 * 8,
        "{few:?}, {many:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_control_api_does_over_http_what_the_library_does() -> Outcome {
    let sandbox = start().await?;
    let control = async |method: &str, path: &str, body: Value| -> Result<Reply, Failure> {
        let url = format!("{}/_sandbox/{path}", sandbox.jhe());
        send(method, &url, &[JSON], body.to_string()).await
    };
    let invitation = control("POST", "invitations", json!({"patient": SECOND_PATIENT}))
        .await?
        .json();
    let token = invitation["token"].as_str().ok_or("no token")?;
    assert!(
        invitation["plain"]
            .as_str()
            .is_some_and(|link| link.ends_with(token))
    );
    let path = format!("invitations/{token}");
    assert_eq!(
        control("POST", &path, json!({"state": "cancelled"}))
            .await?
            .status,
        204
    );
    let url = format!("{}/api/v1/invitation/{token}", sandbox.jhe());
    assert_eq!(send("POST", &url, &[], "").await?.status, 403);

    assert_eq!(
        control("POST", "settings", json!({"ehr": {"page_size": 5}}))
            .await?
            .status,
        200
    );
    assert_eq!(sandbox.world().settings.ehr.page_size, 5);
    let refused = control("POST", "settings", json!({"ehr": {"pagesize": 5}})).await?;
    assert!(
        refused.status == 400 && refused.text().contains("pagesize"),
        "{}",
        refused.text()
    );

    let labs = json!({"login": "fhirderrick", "count": 3, "add": ["long-id"]});
    assert_eq!(control("POST", "labs", labs).await?.status, 204);
    assert_eq!(
        sandbox
            .world()
            .ehr
            .patient("fhirderrick")
            .map(|it| it.records.len()),
        Some(4)
    );

    let fault = json!({"match": {"server": "jhe", "path": "profile"}, "fault": {"kind": "status", "status": 500}});
    assert_eq!(control("POST", "faults", fault).await?.status, 204);
    let profile = format!("{}/api/v1/users/profile", sandbox.jhe());
    assert_eq!(send("GET", &profile, &[], "").await?.status, 500);
    assert_eq!(control("DELETE", "faults", json!({})).await?.status, 204);
    assert_eq!(send("GET", &profile, &[], "").await?.status, 401);

    let change = json!({
        "jhe": {"version": "patient-access", "max_body_bytes": 1_000},
        "ehr": {"refresh_tokens": "always"},
    });
    assert_eq!(control("POST", "settings", change).await?.status, 200);
    for fault in [
        json!({"kind": "late-commit", "millis": 5}),
        json!({"kind": "partial-batch", "entries": 1}),
        json!({"kind": "long", "start": "[", "repeated": "1,", "times": 3, "end": "]"}),
        json!({"kind": "status", "status": 429, "headers": {"retry-after": "7"}}),
    ] {
        let fault = json!({"match": {"path": "no such place"}, "fault": fault});
        assert_eq!(control("POST", "faults", fault).await?.status, 204);
    }
    for ended in ["sessions/jhe", "sessions/ehr", "page-links"] {
        assert_eq!(control("DELETE", ended, json!({})).await?.status, 204);
    }

    let requests = control("GET", "requests", json!({})).await?.json();
    let targets: Vec<_> = requests
        .as_array()
        .ok_or("no log")?
        .iter()
        .map(|entry| &entry["target"])
        .collect();
    assert_eq!(
        targets.len(),
        3,
        "the control API itself is not logged: {targets:?}"
    );
    assert_eq!(
        control("GET", "records", json!({})).await?.json(),
        json!([])
    );
    assert_eq!(control("POST", "reset", json!({})).await?.status, 204);
    assert_eq!(sandbox.world().settings.ehr.page_size, 10);
    assert!(sandbox.world().request_log().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_drop_in_pages_policy_allows_their_two_inline_scripts_and_no_other() -> Outcome {
    let sandbox = start().await?;
    let reply = send(
        "GET",
        &format!("{}/clients/mychart/callback", sandbox.jhe()),
        &[],
        "",
    )
    .await?;
    let policy = reply.header("content-security-policy").ok_or("no policy")?;
    let page = reply.text();
    let inline: Vec<_> = page
        .split("<script>")
        .skip(1)
        .filter_map(|rest| rest.split("</script>").next())
        .collect();
    assert_eq!(inline.len(), 2);
    for script in inline {
        let hash = base64::prelude::BASE64_STANDARD.encode(Sha256::digest(script));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{script}");
    }
    assert!(policy.contains(sandbox.ehr()) && policy.contains(sandbox.evil()));
    assert!(
        page.contains("finishMyChartConnect") && page.contains("\\u002D"),
        "{page}"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_deployer_may_add_to_the_configuration_is_there_only_if_it_is_set() -> Outcome {
    let sandbox = start().await?;
    let address = format!("{}/clients/mychart/", sandbox.jhe());
    sandbox.world().settings.jhe.page.study = None;
    let as_today = send("GET", &address, &[], "").await?.text();
    assert!(
        as_today.contains("\n      dataSourceId: \"70006\"\n    };"),
        "{as_today}"
    );
    {
        let page = &mut sandbox.world().settings.jhe.page;
        page.deployment = Some("patient-access".to_owned());
        page.worker_timeout_seconds = Some(0);
    }
    let added = send("GET", &address, &[], "").await?.text();
    let members = "\"70006\",\n      deployment: \"patient\\u002Daccess\",\n      workerTimeoutSeconds: 0\n    };";
    assert!(added.contains(members), "{added}");
    Ok(())
}

/// What hosts are told of the pages.
const HOSTING: &str = include_str!("../../../../docs/hosting.md");

#[tokio::test]
async fn the_pages_policy_is_the_one_that_hosts_are_told_to_send() -> Outcome {
    let (_, told) = HOSTING
        .split_once("\n## Content-Security-Policy")
        .ok_or("no chapter")?;
    let told = told.split("```").nth(1).ok_or("no policy")?;
    let told = told.strip_prefix("text").ok_or("no text")?;
    // But for the servers: here there are more of them, one of them evil.
    let directives = |policy: &str| -> Vec<String> {
        let one = |it: &str| it.split_whitespace().collect::<Vec<_>>().join(" ");
        (policy.split(';').map(one))
            .filter(|it| !it.starts_with("connect-src "))
            .collect()
    };
    let sandbox = start().await?;
    let page = format!("{}/clients/mychart/", sandbox.jhe());
    let page = send("GET", &page, &[], "").await?;
    let policy = page.header("content-security-policy").ok_or("no policy")?;
    let mut sent = directives(policy);
    for directive in sent.iter_mut().filter(|it| it.starts_with("script-src ")) {
        // The hashes of the template's own two scripts.
        let (own, hashes) = directive.split_once(" 'sha256-").ok_or("no hash")?;
        assert_eq!(hashes.matches(" 'sha256-").count(), 1);
        *directive = own.to_owned();
    }
    assert_eq!(sent, directives(told));
    Ok(())
}

#[tokio::test]
async fn a_bundle_is_served_in_both_layouts() -> Outcome {
    let bundle = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundle");
    let script = bundle.join("jhe/mychart/js");
    std::fs::create_dir_all(&script)?;
    std::fs::write(script.join("client-mychart.js"), "// loader")?;
    let page = r#"<main id="jhe-connect"></main><script type="application/json" id="jhe-connect-config">{"iss":"","redirectUri":"callback.html"}</script>"#;
    std::fs::write(bundle.join("index.html"), page)?;
    let sandbox = Sandbox::start(Options {
        bundle: Some(bundle),
        ..Options::default()
    })
    .await?;

    let loader = format!(
        "{}/static/clients/mychart/js/client-mychart.js",
        sandbox.jhe()
    );
    assert_eq!(send("GET", &loader, &[], "").await?.text(), "// loader");
    let plain = send(
        "GET",
        &format!("{}/static/jhe-connect/index.html?code=x_y", sandbox.jhe()),
        &[],
        "",
    )
    .await?;
    assert!(plain.text().contains(&sandbox.iss()), "{}", plain.text());
    let policy = plain.header("content-security-policy").ok_or("no policy")?;
    assert!(
        policy.contains("script-src 'self' 'wasm-unsafe-eval';"),
        "{policy}"
    );
    let outside = format!("{}/static/jhe-connect/%2e%2e/Cargo.toml", sandbox.jhe());
    assert_eq!(send("GET", &outside, &[], "").await?.status, 404);
    Ok(())
}
