//! What is there for the patient, and at JHE, when a run has ended.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::journey::{CAMILA, Journey, pages};
use e2e::journeys;
use e2e::watch::Secrets;
use sandbox::{Fault, Peculiarity, Server};

journeys!(
    both_layouts: [
        the_report_is_saved_as_a_file_with_every_sum_and_reason,
        jhes_token_is_revoked_where_the_study_wants_it,
        an_incomplete_run_is_told_again_after_a_reload,
    ],
    drop_in: [
        a_token_is_not_revoked_while_the_run_can_go_on,
    ],
);

async fn the_report_is_saved_as_a_file_with_every_sum_and_reason(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 12);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::UnknownField);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::TwoValues);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::OtherSubject);
    }
    let screen = journey.connect().await?;
    screen.expect_lines(&[
        "Labs: 12 records, 2 could not be saved",
        "2 records could not be saved. They are listed below.",
        "Labs, 2 records: The study's server can't store what has this form.",
    ])?;
    screen.expect_texts(&["1 record was left out, as it is not about you."])?;

    let report = saved_report(journey).await?;
    for line in [
        &*format!("From: {}\n", journey.sandbox.iss()),
        &*format!("To: {}\n", journey.sandbox.jhe()),
        "Fetched: 15\n",
        "  stored: 12\n",
        "  left out, not about the patient: 1\n",
        "  refused: 2\n",
        "Why records were not saved:\n",
        "extra fields not permitted",
    ] {
        ensure!(report.contains(line), "expected {line:?} in:\n{report}");
    }
    for nothing in ["already there", "not sent"] {
        ensure!(!report.contains(nothing), "{nothing:?} is in:\n{report}");
    }
    Ok(())
}

/// Saves the report that the page offers; gives its text, in which there is no secret.
pub(crate) async fn saved_report(journey: &Journey) -> Result<String> {
    let link: (String, String) = journey
        .browser
        .evaluate(
            "const link = document.querySelector('.jc-report'); return [link.href, link.download]",
        )
        .await?;
    ensure!(
        link.0.starts_with("blob:") && link.1 == "records-report.txt",
        "expected a link to a file of this page, found {link:?}"
    );
    // JHE's port is this journey's own.
    let port = journey.sandbox.jhe().rsplit(':').next().unwrap_or_default();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{port}"));
    let _ = std::fs::remove_dir_all(&folder);
    let (report, name) = journey.browser.save_file(".jc-report", &folder).await?;
    std::fs::remove_dir_all(&folder)?;
    ensure!(name == "records-report.txt", "the file is called {name}");
    let secrets = Secrets::in_log(journey.world().request_log());
    let leaked = secrets.found_in(&report);
    ensure!(leaked.is_none(), "a secret is in the report:\n{report}");
    Ok(report)
}

async fn jhes_token_is_revoked_where_the_study_wants_it(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.revoke_token = Some(true);
    journey.connect().await?.expect_done()?;

    let revoked = journey.requests(Server::Jhe, "POST", "/o/revoke_token/");
    let [revocation] = revoked.as_slice() else {
        anyhow::bail!("expected one revocation, found {revoked:?}");
    };
    let used = journey.requests(Server::Jhe, "POST", "/FHIR/R5/Observation");
    let token = (used.last())
        .and_then(|write| write.header("authorization")?.strip_prefix("Bearer "))
        .context("no record was written")?;
    ensure!(
        revocation.status == Some(200)
            && revocation.body.contains(token)
            && revocation.header("authorization").is_none(),
        "expected the token to be revoked, found {revocation:?}"
    );

    journey.browser.reload().await?;
    let again = journey.browser.wait_until_settled().await?;
    again.expect_done()?;
    again.expect_lines(&["This was finished before. Nothing was sent again."])
}

async fn an_incomplete_run_is_told_again_after_a_reload(journey: &Journey) -> Result<()> {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 23);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::UnknownField);
    }
    let page = Fault::status(200, "text/html", "<h1>Sign in</h1>");
    journey.fail(pages().after(2), page);
    let screen = journey.connect().await?;
    screen.expect_code("pull.not_fhir")?;

    journey.browser.reload().await?;
    let again = journey.browser.wait_until_settled().await?;
    ensure!(
        again.state == screen.state,
        "expected the same state as before, found {again}"
    );
    again.expect_code("pull.not_fhir")?;
    again.expect_lines(&[
        "This ended before, and not everything arrived. Nothing was sent again.",
        "Labs: 20 records, not all could be read",
    ])
}

async fn a_token_is_not_revoked_while_the_run_can_go_on(journey: &Journey) -> Result<()> {
    journey.world().settings.jhe.page.revoke_token = Some(true);
    journey.fail(pages().after(2), Fault::DropConnection);
    let screen = journey.connect().await?;
    screen.expect_action("Try again")?;
    ensure!(revocations(journey) == 0, "the token was revoked too early");

    journey.world().clear_faults();
    journey.browser.press_action().await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    ensure!(revocations(journey) == 1, "the token was not revoked");
    Ok(())
}

fn revocations(journey: &Journey) -> usize {
    let revoked = journey.requests(Server::Jhe, "POST", "/o/revoke_token/");
    revoked.len()
}
