//! What servers may put into their answers to harm the page: markup in every text, pages without measure. All of it is text, or
//! is refused, and the page stays usable.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Screen, State};
use e2e::journey::{CAMILA, Journey, PENDING_STATE, pages, writes};
use e2e::records::expect_arrival;
use e2e::{access_journeys, journeys};
use sandbox::{Fault, Match, Server};
use serde_json::{Value, json};

use crate::ending::saved_report;
use crate::person::reach_person;
use crate::sharing::reach_sharing;

mod texts {
    use super::*;

    access_journeys!(
        drop_in: [markup_in_every_text_is_text_up_to_the_saved_report],
        plain_picked: [markup_in_every_text_is_text_up_to_the_saved_report],
        plain_named: [markup_in_the_study_is_text],
    );

    use super::{markup_in_every_text_is_text_up_to_the_saved_report, markup_in_the_study_is_text};
}

journeys!(
    both_layouts: [
        markup_in_what_servers_refuse_is_text,
        a_script_in_place_of_an_address_is_refused,
    ],
    drop_in: [
        a_page_of_a_hundred_megabytes_ends_with_a_clear_error,
        a_page_without_end_does_not_fill_the_memory,
        nesting_of_ten_thousand_levels_is_read_or_refused,
        a_million_tiny_entries_are_counted,
        nul_lone_surrogates_and_names_of_every_object_harm_nothing,
    ],
);

/// Markup that would run, load something, or show itself by an element, under the name of the place where it was put.
fn markup(journey: &Journey, place: &str) -> String {
    let evil = journey.sandbox.evil();
    format!(
        "<b>{place}</b><img src=\"{evil}/{place}.png\" onerror=\"window.hacked='{place}'\"><script>window.hacked=1</script>\
         <svg onload=\"hacked=2\"></svg><a href=\"javascript:window.hacked=3\">x</a><iframe src=\"{evil}/\"></iframe>"
    )
}

/// Nothing ran, nothing was loaded, and no element came of any text.
async fn is_all_text(journey: &Journey, what: &str) -> Result<()> {
    const LOOK: &str = "
        const root = document.querySelector('.jhe-connect') ?? document.body;
        const strange = 'b, iframe, object, embed, a[href^=\"javascript\"], [onload], [onerror], svg[onload], img[src$=\".png\"]';
        const found = [...root.querySelectorAll(strange)].map((it) => it.outerHTML);
        const scripts = [...root.querySelectorAll('script')].map((it) => it.outerHTML);
        return [String(window.hacked), ...found, ...scripts];";
    let found: Vec<String> = journey.browser.evaluate(LOOK).await?;
    ensure!(found == ["undefined"], "{what}: markup became {found:?}");
    let asked = journey.requests(Server::Evil, "", "");
    let asked = [asked, journey.requests(Server::Evil, "GET", "")].concat();
    ensure!(asked.is_empty(), "{what}: {asked:?} were asked for");
    Ok(())
}

/// It is there to be read, letter by letter.
fn shows(screen: &Screen, journey: &Journey, place: &str) -> Result<()> {
    let begin = format!("<b>{place}</b><img src=\"{}", journey.sandbox.evil());
    let all = [screen.text.as_str(), &screen.folded].concat();
    ensure!(
        all.contains(&begin),
        "expected {begin:?} as text, found {screen}"
    );
    Ok(())
}

/// The study, the hospitals, the person and the records are all named in markup.
fn name_all_in_markup(journey: &Journey) -> Result<()> {
    let text = |place: &str| markup(journey, place);
    let (study, organization, contact) = (text("study"), text("organization"), text("contact"));
    let (brand, city, person) = (text("brand"), text("city"), text("person"));
    let (code, notice, unit) = (text("code"), text("notice"), text("unit"));
    let mut world = journey.world();
    world.settings.jhe.page.study = Some(json!({
        "name": study, "organization": organization, "contact": {"name": contact, "email": "study@jhe.example"},
    }));
    for hospital in &mut world.brands {
        hospital.brand_name.clone_from(&brand);
        hospital.address_text.clone_from(&city);
    }
    let patient = world.ehr.patient_mut(CAMILA.user).context("Camila")?;
    patient.names = vec![json!({"use": "official", "text": person}).to_string()];
    for lab in &mut patient.records {
        let mut changed: Value = serde_json::from_str(lab)?;
        changed["code"]["text"] = json!(code);
        changed["valueQuantity"]["unit"] = json!(unit);
        changed["note"] = json!([{ "text": unit }]);
        *lab = changed.to_string();
    }
    let outcome = json!({"resource": {"resourceType": "OperationOutcome", "issue": [
        {"severity": "warning", "code": "processing", "diagnostics": notice}]}, "search": {"mode": "outcome"}});
    patient.extra_entries = vec![outcome.to_string()];
    Ok(())
}

pub(crate) async fn markup_in_every_text_is_text_up_to_the_saved_report(
    journey: &Journey,
) -> Result<()> {
    journey.has_a_short_chart();
    name_all_in_markup(journey)?;
    journey.world().settings.jhe.page.review = Some(json!(true));
    let browser = &journey.browser;
    let screen = reach_sharing(journey).await?;
    is_all_text(journey, "what will be shared").await?;
    for place in ["study", "organization"] {
        shows(&screen, journey, place)?;
    }
    browser.press_named("another-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    let name = journey.vendor().facility_name();
    browser.search_for(name).await?;
    let hospitals = browser.hospital_is_listed(name).await?;
    ensure!(
        hospitals
            .rows
            .iter()
            .any(|row| row.contains("<b>brand</b><img")),
        "expected markup as text, found {hospitals:?}"
    );
    is_all_text(journey, "the hospitals").await?;
    browser.pick_by_keys(name).await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.return_as(CAMILA).await?;
    let screen = browser.wait_for_screen("person").await?;
    is_all_text(journey, "the person").await?;
    shows(&screen, journey, "person")?;
    browser.press_named("yes-me").await?;
    let screen = browser.wait_for_screen("review").await?;
    is_all_text(journey, &format!("the review {screen}")).await?;
    browser.press_named("send").await?;
    let screen = browser.wait_until_settled().await?;
    is_all_text(journey, "the result").await?;
    screen.expect_done()?;
    browser.wait_for_text("<b>code</b><img").await?;
    is_all_text(journey, "the receipt").await?;

    // What is told is text in the files, too: they are files of text.
    let report = saved_report(journey).await?;
    for place in ["study", "organization", "notice"] {
        let begin = format!("<b>{place}</b>");
        ensure!(report.contains(&begin), "expected {begin:?} in:\n{report}");
    }
    browser.reload().await?;
    browser.wait_until_settled().await?;
    is_all_text(journey, "the result, after a reload").await
}

pub(crate) async fn markup_in_the_study_is_text(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    name_all_in_markup(journey)?;
    let screen = reach_person(journey, CAMILA).await?;
    is_all_text(journey, "the person").await?;
    shows(&screen, journey, "person")?;
    journey.browser.press_named("yes-me").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    is_all_text(journey, "the result").await
}

async fn markup_in_what_servers_refuse_is_text(journey: &Journey) -> Result<()> {
    // What begins with markup is a web page, of which nothing is quoted.
    let said = ["Refused: ", &markup(journey, "said")].concat();
    let plain = |status| Fault::status(status, "text/plain", &said);
    let oauth = json!({"error": "server_error", "error_description": said}).to_string();
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": said}]});
    let jhe = |path| Match::on(Server::Jhe).path(path);
    let ehr = |path| Match::on(Server::Ehr).path(path);
    for (hits, fault, code) in [
        (
            jhe("/api/v1/invitation/"),
            plain(400),
            "invitation.no_login",
        ),
        (
            jhe("/o/token/"),
            Fault::status(400, "application/json", &oauth),
            "jhe_token.refused",
        ),
        (ehr("smart-configuration"), plain(403), "discovery.refused"),
    ] {
        journey.fail(hits, fault);
        // Where it would be asked next.
        journey.fail(ehr("/metadata"), Fault::status(404, "text/plain", ""));
        let screen = journey.stops_at_the_start(code).await?;
        shows(&screen, journey, "said")?;
        is_all_text(journey, code).await?;
        journey.world().clear_faults();
    }

    journey.reach_login().await?;
    journey
        .return_with(&[
            ("error", "server_error"),
            ("error_description", &said),
            ("error_uri", "javascript:window.hacked=4"),
            ("state", PENDING_STATE),
        ])
        .await?;
    let browser = &journey.browser;
    let screen = browser
        .wait_for_state(State::Failed, Some("authorization.refused"))
        .await?;
    shows(&screen, journey, "said")?;
    is_all_text(journey, "the redirect's error").await?;

    for (hits, fault, code) in [
        (
            ehr("/oauth2/token"),
            Fault::status(400, "application/json", &oauth),
            "sign_in.refused",
        ),
        (jhe("identifier"), plain(400), "identifier.refused"),
        (jhe("fhir_sources"), plain(400), "source.refused"),
    ] {
        journey.fail(hits, fault);
        let screen = journey.stops_on_return(code).await?;
        shows(&screen, journey, "said")?;
        is_all_text(journey, code).await?;
        journey.world().clear_faults();
    }

    journey.fail(
        pages(),
        Fault::status(400, "application/fhir+json", &outcome.to_string()),
    );
    let screen = journey.connect().await?;
    screen.expect_code("pull.refused")?;
    is_all_text(journey, "the hospital's refusal").await?;
    let report = saved_report(journey).await?;
    ensure!(report.contains("<b>said</b>"), "expected it in:\n{report}");

    journey.world().clear_faults();
    let outcome = Fault::status(400, "application/json", &outcome.to_string());
    journey.fail(writes().once(), outcome);
    journey.connect().await?;
    is_all_text(journey, "JHE's refusal").await?;
    let report = saved_report(journey).await?;
    ensure!(report.contains("<b>said</b>"), "expected it in:\n{report}");
    Ok(())
}

async fn a_script_in_place_of_an_address_is_refused(journey: &Journey) -> Result<()> {
    const SCRIPT: &str = "javascript:window.hacked=1";
    for study in [
        json!({"name": "S", "logo": SCRIPT}),
        json!({"name": "S", "logo": "data:image/svg+xml,<svg onload='hacked=1'/>"}),
        json!({"name": "S", "contact": {"name": "T", "url": SCRIPT}}),
        json!({"name": "S", "contact": {"email": "a@b.example?body=<script>"}}),
        json!({"name": "S", "accent": "red;background:url(//evil.example)"}),
        // What belongs to every object in a script belongs to none here.
        json!({"__proto__": {"name": "P"}, "constructor": {"prototype": {"hacked": 1}}, "logo": SCRIPT}),
    ] {
        journey.world().settings.jhe.page.study = Some(study.clone());
        journey.stops_at_the_start("config.malformed").await?;
        is_all_text(journey, &study.to_string()).await?;
        let hacked: bool = journey
            .browser
            .evaluate("return 'hacked' in {} || 'name' in {}")
            .await?;
        ensure!(!hacked, "{study} changed every object");
    }
    Ok(())
}

const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"searchset","entry":["#;

/// The page still does what it is asked.
async fn is_usable(journey: &Journey) -> Result<()> {
    let screen = journey.browser.screen_now().await?.context("no screen")?;
    ensure!(screen.state.is_final() && screen.is_shown, "{screen}");
    journey.world().clear_faults();
    journey.browser.open(&journey.link()).await?;
    journey.browser.wait_for_login_form().await
}

async fn a_page_of_a_hundred_megabytes_ends_with_a_clear_error(journey: &Journey) -> Result<()> {
    let entry = format!("{{\"fullUrl\":\"{}\"}},", "x".repeat(980));
    let long = Fault::long(BUNDLE, &entry, 100_000, "{}]}");
    journey.fail(pages().after(1), long);
    let screen = journey.connect().await?;
    screen.expect_code("pull.too_long")?;
    screen.expect_texts(&["the answer is longer than it may be"])?;
    // The page before is kept.
    let kept = journey.rows().len();
    ensure!(
        kept == journey.world().settings.ehr.page_size,
        "{kept} records"
    );
    is_usable(journey).await
}

async fn a_page_without_end_does_not_fill_the_memory(journey: &Journey) -> Result<()> {
    // Of all that is asked for: the discovery, and a page.
    let endless = || Fault::long("{\"x\":[", "1,", u64::MAX / 1_000_000, "1]}");
    journey.fail(
        Match::on(Server::Ehr).path("smart-configuration"),
        endless(),
    );
    journey.fail(Match::on(Server::Ehr).path("/metadata"), endless());
    let screen = journey.stops_at_the_start("discovery.unreachable").await?;
    screen.expect_texts(&["the answer is longer than it may be"])?;
    is_usable(journey).await?;
    journey.fail(pages(), endless());
    let screen = journey.connect().await?;
    screen.expect_code("pull.too_long")?;
    is_usable(journey).await
}

async fn nesting_of_ten_thousand_levels_is_read_or_refused(journey: &Journey) -> Result<()> {
    let id = journey.patient_id(CAMILA);
    let deep = ["[".repeat(10_000), "]".repeat(10_000)].concat();
    let record = format!(
        r#"{{"resource":{{"resourceType":"Observation","id":"deep","subject":{{"reference":"Patient/{id}"}},"x":"#
    );
    // JHE does not take such a record; the others arrive.
    let start = [BUNDLE, &record].concat();
    let labs = journey.labs_of(CAMILA);
    let labs: Vec<_> = labs.iter().take(3).cloned().collect();
    let rest: Vec<_> = labs
        .iter()
        .map(|lab| format!(",{{\"resource\":{lab}}}"))
        .collect();
    let end = [&deep, "}}", &rest.concat(), "]}"].concat();
    journey.fail(pages().once(), Fault::long(&start, "", 0, &end));
    let screen = journey.connect().await?;
    screen.expect_texts(&["Labs: 3 records"])?;
    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())?;
    is_usable(journey).await?;

    journey.fail(pages(), Fault::long(&deep, "", 0, ""));
    let screen = journey.connect().await?;
    screen.expect_code("pull.not_fhir")?;
    is_usable(journey).await
}

async fn a_million_tiny_entries_are_counted(journey: &Journey) -> Result<()> {
    journey.fail(pages(), Fault::long(BUNDLE, "{},", 999_999, "{}]}"));
    let screen = journey.connect().await?;
    screen.expect_texts(&["1,000,000"])?;
    let report = saved_report(journey).await?;
    ensure!(report.contains("1000000"), "expected them in:\n{report}");
    is_usable(journey).await
}

/// As JSON writes them. Half a character is no text; the rest is shown as it is.
const TEXTS: [&str; 8] = [
    r"\u0000",
    r"a\u0000b",
    r"\ud800",
    r"\udfff\ud800x",
    r"\u202e\u2028\uffff",
    "__proto__",
    "constructor",
    r"\u003cimg src=x onerror=window.hacked=1\u003e",
];

async fn nul_lone_surrogates_and_names_of_every_object_harm_nothing(
    journey: &Journey,
) -> Result<()> {
    let id = journey.patient_id(CAMILA);
    let labs: Vec<_> = journey.labs_of(CAMILA).into_iter().take(2).collect();
    let mut entries: Vec<_> = labs
        .iter()
        .map(|lab| format!("{{\"resource\":{lab}}}"))
        .collect();
    for (number, text) in TEXTS.iter().enumerate() {
        entries.push(format!(
            r#"{{"resource":{{"resourceType":"Observation","id":"s{number}","status":"final","subject":{{"reference":"Patient/{id}"}},"code":{{"text":"{text}"}},"valueString":"{text}","__proto__":{{"hacked":1}},"constructor":{{"prototype":{{"hacked":1}}}}}}}}"#
        ));
        entries.push(format!(
            r#"{{"resource":{{"resourceType":"OperationOutcome","issue":[{{"severity":"warning","diagnostics":"{text}"}}]}},"search":{{"mode":"outcome"}}}}"#
        ));
    }
    let page = [BUNDLE, &entries.join(","), "]}"].concat();
    for text in TEXTS {
        let person = format!(
            r#"{{"resourceType":"Patient","id":"{id}","name":[{{"text":"{text}","family":"{text}"}}],"birthDate":"{text}","__proto__":{{"hacked":1}}}}"#
        );
        let patient = Match::on(Server::Ehr).method("GET").path("/Patient/");
        journey.fail(
            patient,
            Fault::status(200, "application/fhir+json", &person),
        );
        journey.fail(
            pages().once(),
            Fault::status(200, "application/fhir+json", &page),
        );
        let screen = journey.connect().await?;
        is_all_text(journey, text).await?;
        ensure!(
            screen.state.is_final() && screen.is_shown,
            "{text}: {screen}"
        );
        let hacked: bool = journey.browser.evaluate("return 'hacked' in {}").await?;
        ensure!(!hacked, "{text} changed every object");
        let report = saved_report(journey).await?;
        // JHE takes none of these records; each is counted.
        ensure!(report.contains("  refused: 8\n"), "{text}: {report}");
        is_usable(journey).await?;
    }
    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())
}
