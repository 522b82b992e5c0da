//! The page's configuration, and the hospital's discovery document.

use std::fs;

use anyhow::{Result, ensure};
use e2e::bundle::bundle;
use e2e::journey::{Journey, Page, run};
use e2e::journeys;
use sandbox::{Document, Fault, Layout, Match, Server, World};
use serde_json::{Value, json};

#[test]
fn a_configuration_block_that_is_no_json_is_told_by_the_plain_pages() {
    run(Layout::Plain, a_configuration_block_that_is_no_json_is_told);
}

journeys!(drop_in: [
    a_page_without_iss_says_so,
    a_page_without_client_id_says_so,
    a_page_without_data_source_says_so,
    an_iss_that_is_not_https_is_refused,
    iss_and_client_id_in_the_page_address_are_ignored,
    a_hospital_that_cannot_be_reached_is_told,
    a_hospital_that_does_not_let_browsers_read_is_told,
    a_hospital_without_discovery_is_told,
    a_discovery_document_that_is_no_json_is_told,
    a_discovery_document_that_is_refused_is_told,
    a_discovery_document_without_endpoints_is_told,
    an_endpoint_that_is_not_https_is_refused,
    a_hospital_without_s256_is_refused,
    a_hospital_that_names_no_pkce_method_is_sent_s256,
    a_hospital_with_an_empty_list_of_pkce_methods_is_sent_s256,
    the_capability_statement_is_the_fall_back,
    the_authorization_endpoints_own_query_is_kept,
]);

async fn a_page_without_iss_says_so(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.iss.clear();
    journey
        .stops_at_the_start("config.missing")
        .await?
        .expect_texts(&["iss"])
}

async fn a_page_without_client_id_says_so(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.client_id.clear();
    journey
        .stops_at_the_start("config.missing")
        .await?
        .expect_texts(&["clientId"])
}

async fn a_page_without_data_source_says_so(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.data_source_id.clear();
    journey
        .stops_at_the_start("config.missing")
        .await?
        .expect_texts(&["dataSourceId"])
}

async fn an_iss_that_is_not_https_is_refused(journey: &Journey) -> Result<()> {
    "http://ehr.example/R4".clone_into(&mut journey.world().settings.jhe.page.iss);
    journey
        .stops_at_the_start("discovery.insecure_issuer")
        .await
        .map(drop)
}

async fn a_configuration_block_that_is_no_json_is_told(journey: &Journey) -> Result<()> {
    let page = fs::read_to_string(bundle()?.join("index.html"))?;
    let broken = page.replace("{\"deployment\"", "{deployment");
    ensure!(
        broken != page,
        "the page's configuration block was not found"
    );
    journey
        .world()
        .static_files
        .insert("jhe-connect/index.html".to_owned(), broken.into_bytes());
    journey
        .stops_at_the_start("config.malformed")
        .await
        .map(drop)
}

async fn iss_and_client_id_in_the_page_address_are_ignored(journey: &Journey) -> Result<()> {
    let evil = journey.sandbox.evil();
    let code = format!(
        "{}_{}",
        journey.sandbox.jhe().trim_start_matches("http://"),
        journey.invitation
    );
    let query = [
        ("code", code.as_str()),
        ("iss", evil),
        ("clientId", "evil"),
        ("client_id", "evil"),
        ("launch", "evil"),
    ];
    journey
        .browser
        .open(&journey.page(Page::Connect, &query))
        .await?;
    journey.browser.wait_for_login_form().await?;

    let asked = journey.requests(Server::Ehr, "GET", "/authorize");
    ensure!(
        asked.iter().all(|request| !request.target.contains("evil")),
        "the address was believed: {asked:?}"
    );
    Ok(())
}

async fn a_hospital_that_cannot_be_reached_is_told(journey: &Journey) -> Result<()> {
    journey.fail(Match::on(Server::Ehr), Fault::DropConnection);
    stops_for_this_hospital(journey, "discovery.unreachable").await
}

async fn a_hospital_that_does_not_let_browsers_read_is_told(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.cors.discovery = false;
    stops_for_this_hospital(journey, "discovery.unreachable").await
}

async fn a_hospital_without_discovery_is_told(journey: &Journey) -> Result<()> {
    serve_both(&mut journey.world(), Document::NotFound);
    stops_for_this_hospital(journey, "discovery.not_found").await
}

async fn a_discovery_document_that_is_no_json_is_told(journey: &Journey) -> Result<()> {
    serve_both(&mut journey.world(), Document::Html);
    stops_for_this_hospital(journey, "discovery.not_json").await
}

async fn a_discovery_document_that_is_refused_is_told(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Ehr).path("smart-configuration"),
        Fault::status(500, "text/html", "<h1>Oops</h1>"),
    );
    journey.fail(
        Match::on(Server::Ehr).path("metadata"),
        Fault::status(500, "text/html", "<h1>Oops</h1>"),
    );
    stops_for_this_hospital(journey, "discovery.refused").await
}

async fn a_discovery_document_without_endpoints_is_told(journey: &Journey) -> Result<()> {
    // The capability statement would fill the gap.
    journey.world().settings.ehr.discovery.metadata = Document::NotFound;
    announce(journey, "token_endpoint", Value::Null);
    stops_for_this_hospital(journey, "discovery.incomplete").await
}

async fn an_endpoint_that_is_not_https_is_refused(journey: &Journey) -> Result<()> {
    announce(
        journey,
        "authorization_endpoint",
        json!("http://ehr.example/authorize"),
    );
    stops_for_this_hospital(journey, "discovery.insecure_endpoint").await
}

async fn a_hospital_without_s256_is_refused(journey: &Journey) -> Result<()> {
    announce(
        journey,
        "code_challenge_methods_supported",
        json!(["plain"]),
    );
    stops_for_this_hospital(journey, "discovery.no_s256").await
}

async fn a_hospital_that_names_no_pkce_method_is_sent_s256(journey: &Journey) -> Result<()> {
    announce(journey, "code_challenge_methods_supported", Value::Null);
    journey.connect().await?.expect_done()?;
    s256_was_sent(journey)
}

async fn a_hospital_with_an_empty_list_of_pkce_methods_is_sent_s256(
    journey: &Journey,
) -> Result<()> {
    announce(journey, "code_challenge_methods_supported", json!([]));
    journey.connect().await?.expect_done()?;
    s256_was_sent(journey)
}

async fn the_capability_statement_is_the_fall_back(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.discovery.smart_configuration = Document::NotFound;
    journey.connect().await?.expect_done()
}

async fn the_authorization_endpoints_own_query_is_kept(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.authorization_query = Some("tenant=7".to_owned());
    journey.connect().await?.expect_done()
}

fn serve_both(world: &mut World, document: Document) {
    world.settings.ehr.discovery.smart_configuration = document;
    world.settings.ehr.discovery.metadata = document;
}

fn announce(journey: &Journey, member: &str, value: Value) {
    journey
        .world()
        .settings
        .ehr
        .discovery
        .overrides
        .insert(member.to_owned(), value);
}

/// The page stops, says that it is about this hospital's sign-in, and sends nobody anywhere.
async fn stops_for_this_hospital(journey: &Journey, code: &str) -> Result<()> {
    let screen = journey.stops_at_the_start(code).await?;
    ensure!(
        (screen.heading.as_deref()).is_some_and(|heading| heading.contains("MyChart")),
        "expected the hospital to be named, found {screen}"
    );
    screen.expect_action("Try again")?;
    ensure!(
        journey
            .requests(Server::Ehr, "GET", "/authorize")
            .is_empty(),
        "the patient was sent to the hospital"
    );
    Ok(())
}

fn s256_was_sent(journey: &Journey) -> Result<()> {
    let asked = journey.requests(Server::Ehr, "GET", "/authorize");
    let sent = asked.first().is_some_and(|request| {
        request.target.contains("code_challenge_method=S256")
            && request.target.contains("code_challenge=")
    });
    ensure!(sent, "expected a challenge, found {asked:?}");
    Ok(())
}
