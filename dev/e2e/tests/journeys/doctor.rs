//! The doctor: a healthy installation, and each fault on the line that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::browser::{Browser, Glance};
use e2e::bundle::bundle;
use e2e::emulation::{Circumstances, Device, Scheme};
use e2e::journey::Journey;
use e2e::journeys;
use e2e::watch::Secrets;
use sandbox::{
    Document, FIRST_PATIENT, Fault, Layout, LoggedRequest, Match, PATIENT_WITHOUT_LOGIN,
    SEED_SCOPES, Server,
};
use serde::Deserialize;
use serde_json::{Value, json};

journeys!(
    both_layouts: [
        a_healthy_installation_has_nothing_wrong,
        a_redeemed_invitation_is_looked_at_and_leaves_no_trace,
        a_callback_page_with_another_configuration_is_found,
        a_missing_member_is_named,
        a_wrong_type_of_the_module_is_found,
        files_without_compression_are_found,
        a_missing_file_is_named,
        a_changed_file_is_named,
        patients_never_load_the_doctor,
    ],
    drop_in: [
        a_scope_that_a_type_lacks_is_named,
        launch_patient_is_missed,
        a_data_source_that_is_no_number_is_found,
        a_configuration_that_has_to_be_run_can_be_pasted,
        jhes_own_script_is_recognised,
        two_builds_are_told_apart,
        a_script_that_browsers_keep_is_found,
        discovery_that_is_not_there_is_found,
        discovery_that_is_a_web_page_is_found,
        a_hospital_without_cors_is_told_from_one_that_is_down,
        a_hospital_that_is_down_is_told,
        a_fhir_server_without_cors_is_found,
        a_hospital_without_s256_is_found,
        a_token_endpoint_without_cors_is_found,
        a_token_endpoint_without_tls_is_found,
        a_base_that_is_no_https_address_is_found,
        discovery_in_metadata_only_is_good_enough,
        a_hospital_that_does_not_list_a_capability_is_no_fault,
        an_address_that_is_not_jhes_is_found,
        a_clock_that_is_ten_minutes_wrong_is_found,
        a_link_for_another_host_names_both,
        a_link_to_another_page_is_found,
        a_link_without_code_is_found,
        an_unknown_invitation_is_named,
        a_used_invitation_is_named,
        an_expired_invitation_is_named,
        a_cancelled_invitation_is_named,
        a_patient_without_login_is_named,
        a_mismatching_redirect_uri_at_jhe_is_named,
        an_account_that_is_no_patients_is_named,
        a_token_that_can_not_be_ended_is_told,
        a_data_source_that_is_in_use_is_seen,
        the_sheet_reads_well_in_the_dark_and_by_keyboard,
    ],
);

/// Not among the others, of which none may violate a policy.
mod with_violations {
    use anyhow::Result;
    use e2e::browser::Habits;
    use e2e::journey::Journey;
    use sandbox::Layout;

    #[test]
    fn a_policy_that_forbids_the_doctor_itself_is_explained() -> Result<()> {
        make(super::the_doctor_explains_its_own_policy)
    }

    #[test]
    fn a_policy_that_keeps_the_doctor_from_asking_is_no_fault_of_the_hospital() -> Result<()> {
        make(super::the_doctor_may_not_ask_the_hospital)
    }

    fn make(journey: impl AsyncFnOnce(&Journey) -> Result<()>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let begun = Journey::begin(Layout::DropIn, Habits::default()).await?;
            let made = journey(&begun).await;
            begun.browser.close().await?;
            made
        })
    }
}

/// What only the plain pages can get wrong.
mod plain_only {
    #[test]
    fn a_policy_without_wasm_is_found() {
        e2e::journey::run(
            sandbox::Layout::Plain,
            super::a_policy_without_wasm_is_found,
        );
    }

    #[test]
    fn a_policy_without_the_hospital_is_found() {
        e2e::journey::run(
            sandbox::Layout::Plain,
            super::a_policy_without_the_hospital_is_found,
        );
    }

    #[test]
    fn a_redirect_uri_elsewhere_is_found() {
        e2e::journey::run(
            sandbox::Layout::Plain,
            super::a_redirect_uri_elsewhere_is_found,
        );
    }
}

/// With JHE's later version.
mod later {
    use super::{
        a_healthy_installation_has_nothing_wrong,
        a_redeemed_invitation_is_looked_at_and_leaves_no_trace,
        a_refused_list_of_hospitals_is_found, an_empty_list_of_hospitals_is_found,
        the_hospital_can_be_entered,
    };

    e2e::access_journeys!(
        drop_in: [
            a_healthy_installation_has_nothing_wrong,
            a_redeemed_invitation_is_looked_at_and_leaves_no_trace,
            an_empty_list_of_hospitals_is_found,
            a_refused_list_of_hospitals_is_found,
            the_hospital_can_be_entered,
        ],
        plain_named: [a_healthy_installation_has_nothing_wrong],
    );
}

// Healthy.

async fn a_healthy_installation_has_nothing_wrong(journey: &Journey) -> Result<()> {
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[])?;
    for line in [
        "secure-context",
        "clock",
        "configuration",
        "same-pages",
        "own-script",
        "launch-scope",
        "pulled-scopes",
        "files",
        "content-types",
        "compression",
        "caching",
        "jhe-invitations",
        "jhe-tokens",
        "jhe-api",
        "jhe-writing",
    ] {
        sheet.expect(line, "ok", &[])?;
    }
    let callback = format!(
        "{}{}",
        journey.sandbox.jhe(),
        journey.layout.callback_path()
    );
    sheet.expect(
        "redirect-uri",
        "unknown",
        &[&callback, "byte for byte", "12 hours"],
    )?;
    sheet.expect("client-id", "unknown", &["error=4"])?;
    journey.browser.expect_no_violations().await
}

async fn a_redeemed_invitation_is_looked_at_and_leaves_no_trace(journey: &Journey) -> Result<()> {
    journey.browser.prepare_pages(KEEP_WHAT_IS_COPIED).await?;
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[])?;
    for line in [
        "invitation-link",
        "invitation-host",
        "invitation-page",
        "site-url",
        "redemption",
        "token-exchange",
        "participant",
        "revocation",
        "jhe-hospitals",
        "discovery",
        "token-endpoint",
    ] {
        sheet.expect(line, "ok", &[])?;
    }
    sheet.expect("data-source", "unknown", &["70006"])?;

    journey.browser.click("#line-redirect-uri button").await?;
    let callback = format!(
        "{}{}",
        journey.sandbox.jhe(),
        journey.layout.callback_path()
    );
    copied(journey, |text| text == callback).await?;
    journey.browser.click("#doctor-copy").await?;
    let report = copied(journey, |text| text.starts_with("jhe-connect doctor ")).await?;
    ensure!(report.contains("[OK] Redemption (redemption)"), "{report}");
    ensure!(report.contains(env!("CARGO_PKG_VERSION")), "{report}");
    let document: String = journey.browser.evaluate(WHOLE_DOCUMENT).await?;
    let log = journey.world().request_log().to_vec();
    let mut secrets = vec![journey.invitation.clone()];
    secrets.extend(posted(&log, "code"));
    secrets.extend(posted(&log, "code_verifier"));
    secrets.extend(Secrets::in_log(&log).tokens);
    ensure!(
        secrets.len() >= 4,
        "expected secrets to look for, found {}",
        secrets.len()
    );
    for secret in &secrets {
        ensure!(!report.contains(secret.as_str()), "the report has {secret}");
        ensure!(!document.contains(secret.as_str()), "the page has {secret}");
    }
    let storage: String = journey
        .browser
        .evaluate("return JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, history.state])")
        .await?;
    ensure!(
        storage == "[{},{},\"\",null]",
        "something is kept: {storage}"
    );

    let revoked = journey.requests(Server::Jhe, "POST", "/o/revoke_token/");
    ensure!(
        revoked.len() == 1,
        "expected one revocation, found {revoked:?}"
    );
    nothing_was_written(journey)
}

async fn patients_never_load_the_doctor(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    journey.connect().await?.expect_done()?;
    let asked = journey.requests(Server::Jhe, "GET", "doctor");
    ensure!(asked.is_empty(), "the doctor was asked for: {asked:?}");
    Ok(())
}

// The pages and their configuration.

async fn a_missing_member_is_named(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.client_id.clear();
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("configuration", &["clientId"])])?;
    // What does not need it was looked at all the same.
    sheet.expect("files", "ok", &[])?;
    sheet.expect("jhe-tokens", "ok", &[])
}

async fn a_callback_page_with_another_configuration_is_found(journey: &Journey) -> Result<()> {
    let config = json!({"iss": journey.sandbox.iss(), "clientId": "another", "scope": SEED_SCOPES, "dataSourceId": "70006"});
    let page = match journey.layout {
        Layout::Plain => {
            format!("<script type=\"application/json\" id=\"jhe-connect-config\">{config}</script>")
        }
        _ => format!("<script>var MYCHART_CONFIG = {config};</script>"),
    };
    journey.fail(
        Match::on(Server::Jhe).path(journey.layout.callback_path()),
        Fault::status(200, "text/html", &page),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("same-pages", &["clientId"])])
}

async fn a_scope_that_a_type_lacks_is_named(journey: &Journey) -> Result<()> {
    "openid launch/patient patient/Patient.read"
        .clone_into(&mut journey.world().settings.jhe.page.scope);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("pulled-scopes", &["patient/Observation.read"])])
}

async fn launch_patient_is_missed(journey: &Journey) -> Result<()> {
    "openid patient/Observation.read".clone_into(&mut journey.world().settings.jhe.page.scope);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("launch-scope", &["launch/patient", "sign_in.no_patient"])])
}

async fn a_data_source_that_is_no_number_is_found(journey: &Journey) -> Result<()> {
    "Epic MyChart".clone_into(&mut journey.world().settings.jhe.page.data_source_id);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("data-source", &["Epic MyChart", "DataSource"])])
}

async fn a_configuration_that_has_to_be_run_can_be_pasted(journey: &Journey) -> Result<()> {
    let page = "<script src='/static/clients/mychart/js/client-mychart.js'></script>\
        <script>var MYCHART_CONFIG = makeConfiguration();</script>";
    journey.browser.open(&doctor(journey)).await?;
    sheet(&journey.browser).await?;
    // The connect page is the first of the two that are asked for.
    journey.fail(
        Match::on(Server::Jhe).path("/clients/mychart/").times(2),
        Fault::status(200, "text/html", page),
    );
    let unread = check_with(journey, "doctor-configuration", "").await?;
    unread.expect_wrong(&[("configuration", &["MYCHART_CONFIG", "paste"])])?;
    journey.fail(
        Match::on(Server::Jhe).path("/clients/mychart/").times(2),
        Fault::status(200, "text/html", page),
    );
    let config = json!({"iss": journey.sandbox.iss(), "clientId": "C", "scope": SEED_SCOPES, "dataSourceId": "70006"});
    let pasted = check_with(journey, "doctor-configuration", &config.to_string()).await?;
    pasted.expect_wrong(&[])?;
    pasted.expect("configuration", "ok", &["what was pasted"])
}

async fn jhes_own_script_is_recognised(journey: &Journey) -> Result<()> {
    replace_script(journey, "FHIR.oauth2.authorize({});");
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("own-script", &["JHE’s own script", "collectstatic"])])
}

async fn two_builds_are_told_apart(journey: &Journey) -> Result<()> {
    replace_script(journey, "const folder = '../wasm/0123456789ab/';");
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[
        ("own-script", &["0123456789ab", "Two builds are mixed"]),
        ("files", &["jhe-connect_bg.wasm (HTTP 404)"]),
    ])
}

async fn a_script_that_browsers_keep_is_found(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("client-mychart.js"),
        Fault::header("cache-control", "max-age=31536000, immutable"),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("caching", &["client-mychart.js", "max-age=31536000"])])
}

async fn a_redirect_uri_elsewhere_is_found(journey: &Journey) -> Result<()> {
    for page in ["index.html", "callback.html"] {
        let text = fs::read_to_string(bundle()?.join(page))?;
        let changed = text.replace(
            "\"redirectUri\":\"callback.html\"",
            "\"redirectUri\":\"https://elsewhere.example/callback\"",
        );
        ensure!(changed != text, "no redirectUri in {page}");
        serve(journey, &format!("jhe-connect/{page}"), &changed);
    }
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("redirect-uri", &["https://elsewhere.example"])])
}

// The files.

async fn a_wrong_type_of_the_module_is_found(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("_bg.wasm"),
        Fault::header("content-type", "application/octet-stream"),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[(
        "content-types",
        &[
            "jhe-connect_bg.wasm as application/octet-stream",
            "application/wasm",
        ],
    )])
}

async fn files_without_compression_are_found(journey: &Journey) -> Result<()> {
    journey.fail(Match::on(Server::Jhe).path("/static/"), Fault::Uncompressed);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("compression", &["jhe-connect_bg.wasm", "gzip_static"])])
}

async fn a_missing_file_is_named(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("/jhe-connect-receipt.js"),
        Fault::status(404, "text/html", "<h1>Not Found</h1>"),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("files", &["jhe-connect-receipt.js (HTTP 404)"])])
}

async fn a_changed_file_is_named(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("/es.jhe-connect.json"),
        Fault::status(200, "application/json", "{}").with_header("content-encoding", "identity"),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[
        ("files", &["not as they were built: es.jhe-connect.json"]),
        ("compression", &["es.jhe-connect.json"]),
    ])
}

// The policy.

async fn a_policy_without_wasm_is_found(journey: &Journey) -> Result<()> {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {}",
        journey.sandbox.ehr()
    );
    set_policy(journey, &policy);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("policy", &["WebAssembly: script-src 'wasm-unsafe-eval'"])])
}

async fn a_policy_without_the_hospital_is_found(journey: &Journey) -> Result<()> {
    set_policy(
        journey,
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'",
    );
    let sheet = open(journey).await?;
    let wanted = format!("connect-src {}", journey.sandbox.ehr());
    sheet.expect_wrong(&[("policy", &[&wanted])])
}

async fn the_doctor_explains_its_own_policy(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("doctor.html"),
        Fault::header(
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
        ),
    );
    journey.browser.open(&doctor(journey)).await?;
    journey
        .browser
        .wait_for_page_text("add 'wasm-unsafe-eval' to script-src")
        .await?;
    Ok(())
}

async fn the_doctor_may_not_ask_the_hospital(journey: &Journey) -> Result<()> {
    let policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'";
    journey.fail(
        Match::on(Server::Jhe).path("doctor.html"),
        Fault::header("content-security-policy", policy),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[])?;
    for line in ["discovery", "fhir-server"] {
        sheet.expect(line, "unknown", &["does not let it ask", "connect-src"])?;
    }
    Ok(())
}

// The hospital.

async fn discovery_that_is_not_there_is_found(journey: &Journey) -> Result<()> {
    serve_both(journey, Document::NotFound);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("discovery", &["HTTP 404", "discovery.not_found"])])
}

async fn discovery_that_is_a_web_page_is_found(journey: &Journey) -> Result<()> {
    serve_both(journey, Document::Html);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("discovery", &["text/html", "discovery.not_json"])])
}

async fn a_hospital_without_cors_is_told_from_one_that_is_down(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.cors.discovery = false;
    let sheet = open(journey).await?;
    let answers = format!("{} answers, but lets no page", journey.sandbox.ehr());
    sheet.expect_wrong(&[
        ("discovery", &[&answers, "CORS"]),
        ("fhir-server", &[&answers, "CORS"]),
    ])
}

async fn a_hospital_that_is_down_is_told(journey: &Journey) -> Result<()> {
    journey.fail(Match::on(Server::Ehr), Fault::DropConnection);
    let sheet = open(journey).await?;
    let nobody = format!("Nobody answers at {}", journey.sandbox.ehr());
    sheet.expect_wrong(&[("discovery", &[&nobody]), ("fhir-server", &[&nobody])])
}

async fn a_fhir_server_without_cors_is_found(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.cors.metadata = false;
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("fhir-server", &["CORS", "discovery.not_readable"])])?;
    sheet.expect("discovery", "ok", &[])?;
    sheet.expect("token-endpoint", "ok", &[])
}

async fn a_hospital_without_s256_is_found(journey: &Journey) -> Result<()> {
    announce(
        journey,
        "code_challenge_methods_supported",
        json!(["plain"]),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("s256", &["plain", "discovery.no_s256"])])?;
    sheet.expect("token-endpoint", "ok", &[])
}

async fn a_token_endpoint_without_cors_is_found(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.cors.token = false;
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("token-endpoint", &["CORS", "sign_in.unreachable"])])
}

async fn a_token_endpoint_without_tls_is_found(journey: &Journey) -> Result<()> {
    announce(
        journey,
        "token_endpoint",
        json!("http://hospital.example/token"),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[(
        "endpoints",
        &["token_endpoint", "discovery.insecure_endpoint"],
    )])
}

async fn a_base_that_is_no_https_address_is_found(journey: &Journey) -> Result<()> {
    "http://ehr.example/R4".clone_into(&mut journey.world().settings.jhe.page.iss);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("fhir-base", &["http://ehr.example/R4"])])
}

async fn discovery_in_metadata_only_is_good_enough(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.discovery.smart_configuration = Document::NotFound;
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[])?;
    sheet.expect("discovery", "ok", &["found in metadata"])
}

async fn a_hospital_that_does_not_list_a_capability_is_no_fault(journey: &Journey) -> Result<()> {
    announce(
        journey,
        "capabilities",
        json!(["launch-ehr", "client-public"]),
    );
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[])?;
    sheet.expect("capabilities", "unknown", &["launch-standalone"])
}

// JHE.

async fn an_address_that_is_not_jhes_is_found(journey: &Journey) -> Result<()> {
    for path in ["/api/", "/o/", "/FHIR/"] {
        journey.fail(
            Match::on(Server::Jhe).path(path),
            Fault::status(404, "application/json", r#"{"detail":"Not Found"}"#),
        );
    }
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[
        ("jhe-invitations", &["HTTP 404", "uvicorn"]),
        ("jhe-tokens", &["HTTP 404"]),
        ("jhe-api", &["api/v1/users/profile: HTTP 404"]),
        ("jhe-writing", &["HTTP 404"]),
    ])
}

async fn a_clock_that_is_ten_minutes_wrong_is_found(journey: &Journey) -> Result<()> {
    journey.world().advance_clock(600);
    let sheet = open(journey).await?;
    sheet.expect_wrong(&[("clock", &["10 minutes behind JHE’s"])])
}

async fn an_empty_list_of_hospitals_is_found(journey: &Journey) -> Result<()> {
    journey.world().brands.clear();
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("jhe-hospitals", &["empty"])])
}

async fn a_refused_list_of_hospitals_is_found(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("/brands"),
        Fault::status(
            401,
            "application/json",
            r#"{"detail":"Authentication credentials were not provided."}"#,
        ),
    );
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("jhe-hospitals", &["HTTP 401"])])
}

async fn the_hospital_can_be_entered(journey: &Journey) -> Result<()> {
    let sheet = open(journey).await?;
    sheet.expect("discovery", "unknown", &["No hospital is configured"])?;
    let base = journey.listed_base();
    let sheet = check_with(journey, "doctor-hospital", &base).await?;
    sheet.expect_wrong(&[])?;
    sheet.expect("fhir-base", "ok", &[&base])?;
    sheet.expect("discovery", "ok", &[])
}

// Invitations.

async fn a_link_for_another_host_names_both(journey: &Journey) -> Result<()> {
    "localhost:8000".clone_into(&mut journey.world().settings.jhe.site_host);
    let sheet = redeem(journey, &journey.link()).await?;
    let own = journey.sandbox.jhe();
    let own_host = own.trim_start_matches("http://");
    let seed = format!("SITE_URL={own}");
    sheet.expect_wrong(&[
        (
            "invitation-host",
            &["localhost:8000", own_host, "fresh link"],
        ),
        ("site-url", &["localhost:8000", own_host, &seed]),
    ])?;
    nothing_was_redeemed(journey)
}

async fn a_link_to_another_page_is_found(journey: &Journey) -> Result<()> {
    let link = {
        let world = journey.world();
        world.invitation_link(&journey.invitation, Layout::Plain)
    };
    open(journey).await?;
    let sheet = check_with(journey, "doctor-invitation", &link).await?;
    sheet.expect_wrong(&[(
        "invitation-page",
        &["/static/jhe-connect/index.html", "?code=CODE"],
    )])?;
    nothing_was_redeemed(journey)
}

async fn a_link_without_code_is_found(journey: &Journey) -> Result<()> {
    open(journey).await?;
    let link = format!("{}{}", journey.sandbox.jhe(), journey.layout.connect_path());
    let sheet = check_with(journey, "doctor-invitation", &link).await?;
    sheet.expect_wrong(&[("invitation-link", &["no code", "?code=CODE"])])
}

async fn an_unknown_invitation_is_named(journey: &Journey) -> Result<()> {
    let link = journey.link().replace(&journey.invitation, &"0".repeat(32));
    let sheet = redeem(journey, &link).await?;
    sheet.expect_wrong(&[("redemption", &["404", "another JHE"])])
}

async fn a_used_invitation_is_named(journey: &Journey) -> Result<()> {
    journey.world().use_up_invitation(&journey.invitation);
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("redemption", &["409", "12 hours", "fresh link"])])
}

async fn an_expired_invitation_is_named(journey: &Journey) -> Result<()> {
    journey.world().expire_invitation(&journey.invitation);
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("redemption", &["410", "a week"])])
}

async fn a_cancelled_invitation_is_named(journey: &Journey) -> Result<()> {
    journey.world().cancel_invitation(&journey.invitation);
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("redemption", &["403", "cancelled"])])
}

async fn a_patient_without_login_is_named(journey: &Journey) -> Result<()> {
    let link = {
        let mut world = journey.world();
        let token = world.mint_invitation(PATIENT_WITHOUT_LOGIN);
        world.invitation_link(&token, journey.layout)
    };
    let sheet = redeem(journey, &link).await?;
    sheet.expect_wrong(&[("redemption", &["no associated user account", "login"])])
}

async fn a_mismatching_redirect_uri_at_jhe_is_named(journey: &Journey) -> Result<()> {
    let body = r#"{"error":"invalid_request","error_description":"Mismatching redirect URI."}"#;
    journey.fail(
        Match::on(Server::Jhe).method("POST").path("/o/token/"),
        Fault::status(400, "application/json", body),
    );
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[(
        "token-exchange",
        &["Mismatching redirect URI", "/auth/callback", "seed_clients"],
    )])?;
    sheet.expect("redemption", "ok", &[])
}

async fn an_account_that_is_no_patients_is_named(journey: &Journey) -> Result<()> {
    journey.fail(
        // Not the one that is asked for without a token.
        Match::on(Server::Jhe).path("/users/profile").after(2),
        Fault::status(200, "application/json", r#"{"id":10001,"patient":null}"#),
    );
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("participant", &["no patient"])])
}

async fn a_token_that_can_not_be_ended_is_told(journey: &Journey) -> Result<()> {
    journey.fail(
        Match::on(Server::Jhe).path("/o/revoke_token/"),
        Fault::status(500, "text/html", "<h1>Oops</h1>"),
    );
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[("revocation", &["500", "14 days"])])
}

async fn a_data_source_that_is_in_use_is_seen(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        let (now, iss) = (world.now(), world.origins().iss());
        world
            .jhe
            .add_source(FIRST_PATIENT, 70_006, "Epic / MyChart", &iss, now);
    }
    let sheet = redeem(journey, &journey.link()).await?;
    sheet.expect_wrong(&[])?;
    sheet.expect("data-source", "ok", &["used again"])?;
    nothing_was_written(journey)
}

// How it reads.

async fn the_sheet_reads_well_in_the_dark_and_by_keyboard(journey: &Journey) -> Result<()> {
    journey.world().advance_clock(600);
    journey.world().settings.ehr.cors.token = false;
    open(journey).await?;
    for scheme in [Scheme::Light, Scheme::Dark] {
        for device in [Device::DESKTOP, Device::NARROW] {
            let circumstances = Circumstances {
                scheme,
                device,
                ..Circumstances::default()
            };
            journey.browser.emulate(circumstances).await?;
            journey.browser.expect_no_violations().await?;
            let overflow: bool = (journey.browser)
                .evaluate("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
                .await?;
            ensure!(!overflow, "the page is wider than {device:?}");
        }
    }
    // From what one sees to the line about it, which is folded until then.
    journey
        .browser
        .open(&format!("{}#line-long-ids", doctor(journey)))
        .await?;
    sheet(&journey.browser).await?;
    let is_open: bool = (journey.browser)
        .evaluate("return document.querySelector('#line-long-ids details').open && document.activeElement.id === 'line-long-ids'")
        .await?;
    ensure!(is_open, "the line that the address names is not open");
    // A link leads to each line that is wrong, and its status is a word.
    let targets: Vec<String> = (journey.browser)
        .evaluate("return [...document.querySelectorAll('#doctor-wrong a')].map((it) => it.getAttribute('href'))")
        .await?;
    ensure!(
        targets == ["#line-clock", "#line-token-endpoint"],
        "{targets:?}"
    );
    let reached: Vec<String> = (journey.browser).evaluate(WHAT_TAB_REACHES).await?;
    for wanted in ["doctor-check", "doctor-copy", "doctor-unfold", "line-clock"] {
        ensure!(
            reached.iter().any(|it| it == wanted),
            "{wanted} is not among {reached:?}"
        );
    }
    Ok(())
}

/// Ids of what the keyboard reaches, or of the line that it is in.
const WHAT_TAB_REACHES: &str = "
    return [...document.querySelectorAll('button, summary, a[href], input, textarea')]
        .filter((it) => it.getClientRects().length && it.tabIndex >= 0)
        .map((it) => it.id || it.closest('li')?.id || '');";

/// What is copied goes here: a headless browser has no clipboard for pages.
const KEEP_WHAT_IS_COPIED: &str = "Object.defineProperty(navigator, 'clipboard', {
    value: { writeText: (text) => { window.copied = text; return Promise.resolve(); } } });";

/// Also what stands in fields, and in attributes.
const WHOLE_DOCUMENT: &str = "
    const fields = [...document.querySelectorAll('input, textarea')].map((it) => it.value);
    return document.documentElement.outerHTML + fields.join('\\n');";

// The sheet.

#[derive(Debug, Deserialize)]
struct Line {
    state: String,
    text: String,
}

/// The lines by their names.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Sheet(BTreeMap<String, Line>);

impl Sheet {
    /// These lines are wrong, with these words in them, and no others are.
    fn expect_wrong(&self, expected: &[(&str, &[&str])]) -> Result<()> {
        let wrong: BTreeSet<_> = (self.0.iter())
            .filter(|(_, line)| line.state == "wrong")
            .map(|(name, _)| name.as_str())
            .collect();
        let names: BTreeSet<_> = expected.iter().map(|(name, _)| *name).collect();
        ensure!(
            wrong == names,
            "expected {names:?} to be wrong, found {wrong:?} in {self:#?}"
        );
        for (name, texts) in expected {
            self.expect(name, "wrong", texts)?;
        }
        Ok(())
    }

    fn expect(&self, name: &str, state: &str, texts: &[&str]) -> Result<()> {
        let line = self
            .0
            .get(name)
            .with_context(|| format!("no line {name}"))?;
        ensure!(
            line.state == state,
            "expected {name} to be {state}, found {line:?}"
        );
        for text in texts {
            ensure!(
                line.text.contains(text),
                "expected {text:?} in {name}, found {line:?}"
            );
        }
        Ok(())
    }
}

const READ_SHEET: &str = "
    const sheet = document.getElementById('doctor-sheet');
    if (sheet?.dataset.state !== 'done') return null;
    return Object.fromEntries([...sheet.querySelectorAll('li')].map((item) =>
        [item.id.replace('line-', ''), { state: item.dataset.state, text: item.textContent }]));";

fn doctor(journey: &Journey) -> String {
    let folder = match journey.layout {
        Layout::Plain => "jhe-connect",
        Layout::DropIn => "clients/mychart",
        Layout::PatientAccess => "clients/patient-access",
    };
    format!("{}/static/{folder}/doctor.html", journey.sandbox.jhe())
}

/// Opens the doctor, and waits for the end of its first check.
async fn open(journey: &Journey) -> Result<Sheet> {
    journey.browser.open(&doctor(journey)).await?;
    sheet(&journey.browser).await
}

/// Waits for the end of a check, of which every line has come to a verdict.
async fn sheet(browser: &Browser) -> Result<Sheet> {
    let sheet = browser
        .until("the doctor's sheet", async || {
            let sheet: Option<Sheet> = browser.evaluate(READ_SHEET).await?;
            Ok(sheet.map_or(Glance::NotYet, Glance::Seen))
        })
        .await?;
    let waiting: Vec<_> = sheet
        .0
        .iter()
        .filter(|(_, line)| line.state == "waiting")
        .collect();
    ensure!(waiting.is_empty(), "no verdict for {waiting:?}");
    Ok(sheet)
}

/// Checks again, with this text in a field.
async fn check_with(journey: &Journey, field: &str, text: &str) -> Result<Sheet> {
    let browser = &journey.browser;
    let fill = format!(
        "const field = document.getElementById({}); field.closest('details').open = true; field.value = {}; return null",
        json!(field),
        json!(text)
    );
    let _: Value = browser.evaluate(&fill).await?;
    browser.click("#doctor-check").await?;
    sheet(browser).await
}

async fn redeem(journey: &Journey, link: &str) -> Result<Sheet> {
    open(journey).await?;
    let tick = "document.getElementById('doctor-redeem').checked = true; return null";
    let _: Value = journey.browser.evaluate(tick).await?;
    check_with(journey, "doctor-invitation", link).await
}

/// Waits for such a text in the clipboard.
async fn copied(journey: &Journey, is_wanted: impl Fn(&str) -> bool) -> Result<String> {
    journey
        .browser
        .until("a text in the clipboard", async || {
            let text: Option<String> = journey
                .browser
                .evaluate("return window.copied ?? null")
                .await?;
            Ok(match text.filter(|text| is_wanted(text)) {
                Some(text) => Glance::Seen(text),
                None => Glance::NotYet,
            })
        })
        .await
}

// The world.

fn replace_script(journey: &Journey, script: &str) {
    journey.fail(
        Match::on(Server::Jhe).path("/js/client-mychart.js"),
        Fault::status(200, "text/javascript", script),
    );
}

fn serve(journey: &Journey, path: &str, content: &str) {
    let content = content.as_bytes().to_vec();
    journey
        .world()
        .static_files
        .insert(path.to_owned(), content);
}

fn set_policy(journey: &Journey, policy: &str) {
    for page in ["index.html", "callback.html"] {
        journey.fail(
            Match::on(Server::Jhe).path(page),
            Fault::header("content-security-policy", policy),
        );
    }
}

fn serve_both(journey: &Journey, document: Document) {
    let discovery = &mut journey.world().settings.ehr.discovery;
    discovery.smart_configuration = document;
    discovery.metadata = document;
}

fn announce(journey: &Journey, member: &str, value: Value) {
    let overrides = &mut journey.world().settings.ehr.discovery.overrides;
    overrides.insert(member.to_owned(), value);
}

fn posted(log: &[LoggedRequest], field: &str) -> Vec<String> {
    (log.iter())
        .filter(|request| request.method == "POST")
        .flat_map(|request| url::form_urlencoded::parse(request.body.as_bytes()))
        .filter(|(name, _)| name == field)
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn nothing_was_redeemed(journey: &Journey) -> Result<()> {
    let redeemed = journey.requests(Server::Jhe, "POST", "/api/v1/invitation/");
    ensure!(
        redeemed.is_empty(),
        "an invitation was redeemed: {redeemed:?}"
    );
    Ok(())
}

/// Beside the use of the invitation and the end of its token, nothing but reading was asked of JHE.
fn nothing_was_written(journey: &Journey) -> Result<()> {
    let mut posted = journey.requests(Server::Jhe, "POST", "");
    posted.retain(|request| {
        !["/api/v1/invitation/", "/o/token/", "/o/revoke_token/"]
            .iter()
            .any(|path| request.target.starts_with(path))
    });
    ensure!(posted.is_empty(), "something was written: {posted:?}");
    Ok(())
}
