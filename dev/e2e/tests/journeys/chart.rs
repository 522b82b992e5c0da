//! The whole chart, eighteen kinds of records, from a hospital that the patient picks.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Screen, State, counted, listed};
use e2e::journey::{CAMILA, Journey, batches};
use e2e::records::expect_each_once;
use e2e::{access_journeys, at_every_hospital, watch};
use sandbox::{FIRST_PATIENT, Fault, Match, Peculiarity, Row, SECOND_PATIENT, Server};
use serde_json::{Value, json};

use crate::ending::saved_report;
use crate::going_on::{GOES_ON, the_patient_signs_in_again};

at_every_hospital!(
    the_whole_chart_arrives_each_record_once,
    connecting_again_adds_no_row,
    what_was_not_granted_is_told_and_the_rest_arrives,
    a_kind_that_is_forbidden_is_a_line_and_not_the_end,
    what_jhe_changes_and_what_it_refuses_is_told_with_its_kind,
    a_proxy_and_a_worker_that_refuse_batches_lose_and_double_nothing,
);

access_journeys!(
    drop_in: [
        an_identifier_of_somebody_else_stops_before_any_record,
        a_kind_of_six_hundred_pages_arrives_beside_short_ones,
        more_pages_than_the_plan_allows_are_told_as_more,
        a_reload_in_the_middle_of_several_kinds_goes_on,
        a_session_at_the_hospital_that_ends_in_the_middle_goes_on_after_a_sign_in,
        a_slow_first_import_is_no_failure,
    ],
    plain_picked: [
        the_whole_chart_arrives_each_record_once,
        a_reload_in_the_middle_of_several_kinds_goes_on,
        a_session_at_the_hospital_that_ends_in_the_middle_goes_on_after_a_sign_in,
    ],
    plain_named: [
        the_whole_chart_arrives_each_record_once,
        connecting_again_adds_no_row,
    ],
);

async fn the_whole_chart_arrives_each_record_once(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let chart = journey.chart();
    let screen = journey.connect().await?;

    every_record_arrived_once(journey, &screen)?;
    let count = journey.whole_chart().len();
    screen.expect_records(count, count)?;
    for (label, records) in &chart {
        ensure!(!records.is_empty(), "the chart has no {label}");
        screen.expect_lines(&[&line_of(label, records)])?;
    }
    let base = journey.listed_base();
    {
        let world = journey.world();
        let bases: Vec<_> = (world.jhe.sources.iter())
            .map(|it| &it.fhir_base_url)
            .collect();
        ensure!(
            bases == [&base],
            "expected one source for {base}, found {bases:?}"
        );
        let patient = world.jhe.patient(FIRST_PATIENT).context("the patient")?;
        let systems: Vec<_> = patient.identifiers.iter().map(|it| &it.system).collect();
        ensure!(
            systems == [&base],
            "expected one identifier of {base}, found {systems:?}"
        );
    }

    let report = saved_report(journey).await?;
    let from = format!("From: {base}\n");
    ensure!(report.contains(&from), "expected {from:?} in:\n{report}");
    for (label, records) in &chart {
        let part = format!("\n{label}\nFetched: {0}\n  stored: {0}\n", records.len());
        ensure!(report.contains(&part), "expected {part:?} in:\n{report}");
    }
    Ok(())
}

async fn connecting_again_adds_no_row(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let count = journey.whole_chart().len();
    journey.connect().await?.expect_done()?;
    let first = journey.rows();
    journey.world().give_labs(CAMILA.user, 5);
    let again = journey.connect().await?;

    every_record_arrived_once(journey, &again)?;
    let now = count + 2;
    again.expect_records(now, 2)?;
    let sources = journey.world().jhe.sources.len();
    ensure!(
        sources == 1,
        "expected the source of before, found {sources}"
    );
    let rows = journey.rows();
    let is_kept = |row: &&Row| rows.iter().any(|it| it.id == row.id);
    ensure!(
        first.iter().filter(is_kept).count() == first.len(),
        "a row was replaced by another one"
    );
    Ok(())
}

async fn what_was_not_granted_is_told_and_the_rest_arrives(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let granted = "launch/patient patient/Patient.read patient/Observation.read patient/Goal.read";
    journey.world().settings.ehr.granted_scopes = Some(granted.to_owned());
    let screen = journey.connect().await?;

    screen.expect_done()?;
    let granted = ["Your details", "Labs", "Vital signs", "Goals"];
    let mut chart = journey.chart();
    let refused: Vec<_> = (chart.iter().map(|(label, _)| *label))
        .filter(|label| !granted.contains(label))
        .collect();
    screen.expect_texts(&[&format!("Left out: {}", listed(&refused))])?;
    chart.retain(|(label, _)| granted.contains(label));
    let chart: Vec<_> = chart.into_iter().flat_map(|(_, records)| records).collect();
    expect_each_once(&journey.rows(), &chart)?;
    let asked = journey.requests(Server::Ehr, "GET", "/Condition");
    ensure!(asked.is_empty(), "what was not granted was asked for");
    Ok(())
}

async fn a_kind_that_is_forbidden_is_a_line_and_not_the_end(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let body =
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"forbidden"}]}"#;
    let forbidden = Fault::status(403, "application/fhir+json", body);
    journey.fail(searches("/Immunization?"), forbidden);
    let screen = journey.connect().await?;

    ensure!(
        screen.state == State::Partly && screen.action.is_none(),
        "expected one kind to be missing, found {screen}"
    );
    // Nothing can be done about it, so that no error is made of it.
    ensure!(screen.code.is_none(), "expected no error, found {screen}");
    screen.expect_lines(&[
        "Immunizations: could not be read",
        &format!(
            "Immunizations: {} does not let this page read this kind.",
            journey.portal()
        ),
    ])?;
    journey.expect_logged("pull.forbidden").await?;
    let mut chart = journey.chart();
    chart.retain(|(label, _)| *label != "Immunizations");
    for (label, records) in &chart {
        screen.expect_lines(&[&line_of(label, records)])?;
    }
    let chart: Vec<_> = chart.into_iter().flat_map(|(_, records)| records).collect();
    expect_each_once(&journey.rows(), &chart)?;
    let report = saved_report(journey).await?;
    let part = "\nImmunizations\nFetched: 0\nEnded early: pull.forbidden\n";
    ensure!(report.contains(part), "expected {part:?} in:\n{report}");
    Ok(())
}

async fn what_jhe_changes_and_what_it_refuses_is_told_with_its_kind(
    journey: &Journey,
) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 2);
        for peculiarity in [
            Peculiarity::LongId,
            Peculiarity::UnderscoreId,
            Peculiarity::TwoValues,
        ] {
            world.give_peculiar_lab(CAMILA.user, peculiarity);
        }
    }
    let mut kept = journey.whole_chart();
    let screen = journey.connect().await?;

    ensure!(
        screen.state == State::Partly && screen.code.is_none() && screen.action.is_none(),
        "expected three records to be missing, found {screen}"
    );
    // Two of the labs, and the one of two questionnaires that says not what was asked.
    screen.expect_lines(&[
        "3 records could not be saved. They are listed below.",
        "Labs: 3 records, 2 could not be saved",
        "Questionnaires: 1 record, 1 could not be saved",
    ])?;
    screen.expect_texts(&[
        "Questionnaires, 1 record: ",
        "Labs, 1 record: ",
        "saved without a small part that the study's server has no place for",
        "The study's server saved that detail as unknown",
    ])?;
    kept.retain(|record| !is_refused(record));
    expect_each_once(&journey.rows(), &kept)?;

    let report = saved_report(journey).await?;
    let of_labs = report.split("\n\n").find(|part| part.starts_with("Labs\n"));
    let of_labs = of_labs.context("the report has no labs")?;
    for text in ["  refused: 2\n", "Why records were not saved:\n", "id"] {
        ensure!(
            of_labs.contains(text),
            "expected {text:?} among the labs of:\n{report}"
        );
    }
    ensure!(
        report.contains("What was changed:\n"),
        "expected the changes in:\n{report}"
    );
    Ok(())
}

/// JHE refuses an id with a `_`, two values, and an answer to no known questionnaire.
fn is_refused(record: &str) -> bool {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let id = record["id"].as_str().unwrap_or_default();
    let is_too_long_to_matter = id.len() > 64;
    let values = record.as_object().into_iter().flatten();
    let values = values.filter(|(name, _)| name.starts_with("value")).count();
    (id.contains('_') && !is_too_long_to_matter)
        || values > 1
        || (record["resourceType"] == "QuestionnaireResponse" && record["questionnaire"].is_null())
}

async fn a_proxy_and_a_worker_that_refuse_batches_lose_and_double_nothing(
    journey: &Journey,
) -> Result<()> {
    journey.has_a_short_chart();
    journey.world().settings.jhe.max_body_bytes = Some(20_000);
    // One of those that the proxy lets through.
    journey.fail(
        batches().after(2).once(),
        Fault::PartialBatch { entries: 4 },
    );
    let screen = journey.connect().await?;

    every_record_arrived_once(journey, &screen)?;
    let count = journey.whole_chart().len();
    screen.expect_records(count, count)?;
    let sent = journey.requests(Server::Jhe, "POST", "/fhir-import/R4/");
    for status in [413, 500] {
        ensure!(
            sent.iter().any(|batch| batch.status == Some(status)),
            "no batch was answered with {status}"
        );
    }
    Ok(())
}

async fn an_identifier_of_somebody_else_stops_before_any_record(journey: &Journey) -> Result<()> {
    let (base, camila) = (journey.listed_base(), journey.patient_id(CAMILA));
    journey
        .world()
        .attach_identifier(SECOND_PATIENT, &base, &camila);
    let screen = journey.stops_on_return("identifier.conflict").await?;

    ensure!(
        screen.heading.is_some() && screen.action.is_none(),
        "expected a remedy, found {screen}"
    );
    nobody_speaks_of_mychart(&screen)?;
    screen.expect_texts(&[
        "This login belongs to someone else in the study",
        &format!(
            "The login that you used at {} is already connected",
            journey.portal()
        ),
        "No record was sent.",
        "open the link in your invitation again and use your own",
    ])?;
    journey.expect_no_record_moved()?;
    let registered = journey.requests(Server::Jhe, "POST", "/fhir_sources");
    ensure!(registered.is_empty(), "a source was registered");
    Ok(())
}

async fn a_kind_of_six_hundred_pages_arrives_beside_short_ones(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    {
        let mut world = journey.world();
        world.give_records(CAMILA.user, "Goal", 600);
        let single = json!({"label": "Goals", "parameters": {"_count": 1}});
        world.settings.jhe.page.plan = Some(json!(["default", single]));
    }
    let screen = journey.connect().await?;

    every_record_arrived_once(journey, &screen)?;
    screen.expect_lines(&["Goals: 600 records"])?;
    let asked = journey.requests(Server::Ehr, "GET", "");
    let last_kind = (asked.iter()).position(|it| it.target.contains("/QuestionnaireResponse?"));
    let before = asked.iter().take(last_kind.unwrap_or(usize::MAX));
    let pages = before.filter(|it| it.target.contains("/Goal?")).count();
    ensure!(
        pages < 30,
        "the last kind waited for {pages} pages of goals"
    );
    Ok(())
}

async fn more_pages_than_the_plan_allows_are_told_as_more(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    {
        let mut world = journey.world();
        world.give_records(CAMILA.user, "Goal", 25);
        let budget = json!({"label": "Goals", "pages": 2});
        world.settings.jhe.page.plan = Some(json!(["default", budget]));
    }
    let screen = journey.connect().await?;

    ensure!(
        screen.state == State::Partly && screen.action.is_none(),
        "expected goals to be missing, found {screen}"
    );
    screen.expect_lines(&["Goals: 20 records, there are more"])?;
    journey.browser.reload().await?;
    let again = journey.browser.wait_until_settled().await?;
    ensure!(
        again.state == State::Partly,
        "expected goals to be missing after a reload, too, found {again}"
    );
    again.expect_lines(&[
        "Goals: 20 records, there are more",
        "This ended before, and not everything arrived. Nothing was sent again.",
    ])
}

async fn a_reload_in_the_middle_of_several_kinds_goes_on(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    {
        let mut world = journey.world();
        // More than one batch.
        world.give_labs(CAMILA.user, 120);
        world.settings.ehr.page_size = 50;
        world.settings.jhe.time_per_record_ms = 30;
    }
    journey.fail(
        searches("/ServiceRequest?"),
        Fault::Delay { millis: 20_000 },
    );
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(8).await?;
    let orders = journey.requests(Server::Ehr, "GET", "/ServiceRequest?");
    ensure!(
        matches!(orders.as_slice(), [request] if request.status.is_none()),
        "expected one kind to be on its way still, found {orders:?}"
    );
    journey.browser.reload().await?;
    {
        let mut world = journey.world();
        world.settings.jhe.time_per_record_ms = 0;
        world.clear_faults();
    }
    let screen = journey.browser.wait_until_settled().await?;

    screen.expect_said(GOES_ON)?;
    every_record_arrived_once(journey, &screen)?;
    let count = journey.whole_chart().len();
    screen.expect_records(count, count)
}

async fn a_session_at_the_hospital_that_ends_in_the_middle_goes_on_after_a_sign_in(
    journey: &Journey,
) -> Result<()> {
    journey.has_a_short_chart();
    // The session ends while these are asked for.
    for kind in ["/Encounter?", "/Goal?", "/Device?"] {
        let over = Fault::status(401, "application/json", "\"\"");
        journey.fail(searches(kind), over);
    }
    let screen = journey.connect().await?;
    screen.expect_code("pull.signed_out")?;
    screen.expect_action("Sign in again and go on")?;
    let (rows, all) = (journey.rows().len(), journey.whole_chart().len());
    ensure!(
        0 < rows && rows < all,
        "expected a part of {all} records to be there, found {rows}"
    );
    {
        let mut world = journey.world();
        world.expire_ehr_tokens();
        world.clear_faults();
    }
    watch::check(journey).await?;

    let screen = the_patient_signs_in_again(journey).await?;
    every_record_arrived_once(journey, &screen)
}

async fn a_slow_first_import_is_no_failure(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    // In each of its processes JHE loads its maps for the first batch.
    journey.fail(batches().once(), Fault::Delay { millis: 8_000 });
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    let count = journey.whole_chart().len();
    let found = format!("0 of {count} records copied");
    let meanwhile = journey.browser.wait_for_text(&found).await?;
    meanwhile.expect_texts(&["Questionnaires", "0 of 1 copied"])?;
    ensure!(
        meanwhile.state == State::Working && !meanwhile.text.contains("not ready"),
        "expected the page to be at work, found {meanwhile}"
    );
    let screen = journey.browser.wait_until_settled().await?;
    every_record_arrived_once(journey, &screen)?;
    let sent = journey.requests(Server::Jhe, "POST", "/fhir-import/R4/");
    let entries = |body: &str| -> Result<usize> {
        let bundle: Value = serde_json::from_str(body)?;
        Ok(bundle["entry"].as_array().map_or(0, Vec::len))
    };
    let mut records = 0;
    for batch in &sent {
        records += entries(&batch.body)?;
    }
    ensure!(
        records == count,
        "expected each of {count} records to be sent once, found {records}"
    );
    Ok(())
}

/// What the summary says of a kind.
fn line_of(label: &str, records: &[String]) -> String {
    format!("{label}: {}", counted(records.len()))
}

/// This hospital's portal has another name.
fn nobody_speaks_of_mychart(screen: &Screen) -> Result<()> {
    ensure!(
        !screen.text.contains("MyChart"),
        "found MyChart in {screen}"
    );
    Ok(())
}

/// The page is done, and JHE holds each record of the hospital as it served it, in a row of its own.
fn every_record_arrived_once(journey: &Journey, screen: &Screen) -> Result<()> {
    screen.expect_done()?;
    nobody_speaks_of_mychart(screen)?;
    let chart = journey.whole_chart();
    expect_each_once(&journey.rows(), &chart)?;
    let count = chart.len();
    screen.expect_fact("Now at the study", &counted(count))
}

/// The searches at the hospital whose address has this in it.
fn searches(part: &str) -> Match {
    Match::on(Server::Ehr).method("GET").path(part)
}
