//! Clinical notes, with the documents that they refer to: those come along in their notes, as far as they may and can.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::access_journeys;
use e2e::browser::Screen;
use e2e::journey::{CAMILA, Journey};
use e2e::records::expect_each_once;
use sandbox::{Fault, LoggedRequest, Match, NoteKind, PATIENT_ACCESS_SCOPES, Server};
use serde_json::Value;

use crate::ending::saved_report;

access_journeys!(
    drop_in: [
        documents_of_this_hospital_arrive_in_their_notes,
        a_document_that_can_not_be_copied_stays_and_its_note_arrives,
        a_document_at_another_server_is_not_asked_for,
        a_document_that_is_redirected_takes_no_token_along,
        without_the_scope_for_documents_notes_arrive_without_them,
    ],
    plain_named: [
        documents_of_this_hospital_arrive_in_their_notes,
    ],
);

async fn documents_of_this_hospital_arrive_in_their_notes(journey: &Journey) -> Result<()> {
    let kinds = [
        NoteKind::Inline,
        NoteKind::Relative,
        NoteKind::Pdf,
        NoteKind::Absolute,
        NoteKind::Wrapped,
        NoteKind::TwoContents,
    ];
    let notes = has_notes(journey, &kinds)?;
    let screen = journey.connect().await?;

    expect_no_note_missing(journey, &screen)?;
    // One has two of them, and one held its own before.
    screen.expect_texts(&["6 documents were copied with the notes."])?;
    ensure!(
        !screen.folded.contains("document stays"),
        "expected no document to stay, found {screen}"
    );
    for note in &notes {
        note.expect_its_documents(journey)?;
    }
    let report = saved_report(journey).await?;
    ensure!(
        report.contains("\nDocuments copied: 6\n") && !report.contains("only referred to"),
        "expected six documents in:\n{report}"
    );
    Ok(())
}

async fn a_document_that_can_not_be_copied_stays_and_its_note_arrives(
    journey: &Journey,
) -> Result<()> {
    let kinds = [
        NoteKind::Missing,
        NoteKind::Huge,
        NoteKind::HugeWithoutSize,
        NoteKind::ErrorPage,
        NoteKind::Relative,
    ];
    let notes = has_notes(journey, &kinds)?;
    let screen = journey.connect().await?;

    expect_no_note_missing(journey, &screen)?;
    screen.expect_texts(&[
        "1 document was copied with the notes.",
        &format!("4 documents stay at {}.", journey.portal()),
    ])?;
    let [staying @ .., arriving] = notes.as_slice() else {
        anyhow::bail!("there are no notes");
    };
    arriving.expect_its_documents(journey)?;
    for note in staying {
        note.expect_no_document(journey)?;
    }
    let asked = |note: &Note| journey.requests(Server::Ehr, "GET", &note.address).len();
    let asked: Vec<_> = notes.iter().map(asked).collect();
    ensure!(
        asked == [1, 0, 1, 1, 1],
        "only what is said to be too long is not asked for, found {asked:?}"
    );
    let report = saved_report(journey).await?;
    for line in [
        "Documents copied: 1\n",
        "Documents only referred to: 4\n",
        "Why documents were not copied:\n",
        "  1 × not found\n",
        "  2 × too long to be copied\n",
        "  1 × not of the type that it is said to be\n",
    ] {
        ensure!(report.contains(line), "expected {line:?} in:\n{report}");
    }
    Ok(())
}

async fn a_document_at_another_server_is_not_asked_for(journey: &Journey) -> Result<()> {
    let notes = has_notes(journey, &[NoteKind::OtherOrigin, NoteKind::Absolute])?;
    let screen = journey.connect().await?;

    expect_no_note_missing(journey, &screen)?;
    one_document_stays(journey, &screen, "kept at another server").await?;
    notes[0].expect_no_document(journey)?;
    notes[1].expect_its_documents(journey)?;
    the_other_server_heard_nothing(journey)
}

async fn a_document_that_is_redirected_takes_no_token_along(journey: &Journey) -> Result<()> {
    let notes = has_notes(journey, &[NoteKind::Relative, NoteKind::Relative])?;
    let location = format!("{}/Binary/1", journey.sandbox.evil());
    let first = Match::on(Server::Ehr).method("GET").path(&notes[0].address);
    journey.fail(first, Fault::Redirect { location });
    let screen = journey.connect().await?;

    expect_no_note_missing(journey, &screen)?;
    one_document_stays(journey, &screen, "not fetched: ").await?;
    notes[0].expect_no_document(journey)?;
    notes[1].expect_its_documents(journey)?;
    the_other_server_heard_nothing(journey)
}

async fn without_the_scope_for_documents_notes_arrive_without_them(
    journey: &Journey,
) -> Result<()> {
    let notes = has_notes(journey, &[NoteKind::Relative, NoteKind::Inline])?;
    journey.world().settings.ehr.granted_scopes = Some(PATIENT_ACCESS_SCOPES.to_owned());
    let screen = journey.connect().await?;

    expect_no_note_missing(journey, &screen)?;
    one_document_stays(journey, &screen, "not allowed to be read").await?;
    notes[0].expect_no_document(journey)?;
    notes[1].expect_its_documents(journey)?;
    let asked = journey.requests(Server::Ehr, "GET", "/Binary/");
    ensure!(asked.is_empty(), "documents were asked for: {asked:?}");
    Ok(())
}

/// A note of the hospital.
struct Note {
    id: String,
    record: String,
    /// Where its first document is, below the FHIR base.
    address: String,
}

/// Camila has these notes in a short chart, and the page asks for documents.
fn has_notes(journey: &Journey, kinds: &[NoteKind]) -> Result<Vec<Note>> {
    journey.has_a_short_chart();
    let mut world = journey.world();
    world.settings.jhe.page.scope = format!("{PATIENT_ACCESS_SCOPES} patient/Binary.read");
    world.give_records(CAMILA.user, "DocumentReference", 0);
    let camila = world.ehr.patient_mut(CAMILA.user);
    camila.context("no Camila")?.binaries.clear();
    let mut notes = Vec::new();
    for kind in kinds {
        let id = world
            .give_note(CAMILA.user, *kind)
            .context("no such patient")?;
        let record = world.records_of(CAMILA.user, "DocumentReference").pop();
        let record = record.context("no note")?;
        let address = attachments(&record)?
            .first()
            .and_then(|attachment| attachment["url"].as_str())
            .and_then(|url| url.split_once("Binary/"))
            .map_or_else(String::new, |(_, id)| format!("/Binary/{id}"));
        notes.push(Note {
            id,
            record,
            address,
        });
    }
    Ok(notes)
}

impl Note {
    /// JHE holds the note, with the content of each of its documents put in, and else as it was.
    fn expect_its_documents(&self, journey: &Journey) -> Result<()> {
        let sent = self.sent(journey)?;
        let mut without_data = sent.clone();
        for (attachment, before) in attachments(&sent)?.iter().zip(attachments(&self.record)?) {
            let data = attachment["data"].as_str();
            let data = data.with_context(|| format!("a document is missing: {sent}"))?;
            let Some(url) = before["url"].as_str() else {
                continue;
            };
            let document = url.rsplit('/').next().unwrap_or_default();
            let world = journey.world();
            let binaries = &world.ehr.patient(CAMILA.user).context("Camila")?.binaries;
            let content = &binaries.get(document).context("no document")?.content;
            ensure!(
                data == BASE64_STANDARD.encode(content),
                "{url}: expected {} octets, found {data}",
                content.len()
            );
            without_data = without_data.replacen(&format!("\"data\":\"{data}\","), "", 1);
        }
        ensure!(
            without_data == self.record,
            "expected {} and its documents, found {sent}",
            self.record
        );
        Ok(())
    }

    /// JHE holds the note as the hospital has it, with the address of its document.
    fn expect_no_document(&self, journey: &Journey) -> Result<()> {
        let sent = self.sent(journey)?;
        ensure!(
            sent == self.record,
            "expected {}, found {sent}",
            self.record
        );
        Ok(())
    }

    fn sent(&self, journey: &Journey) -> Result<String> {
        let rows = journey.rows().into_iter();
        let mut rows = rows.filter(|row| row.upstream_id.as_ref() == Some(&self.id));
        let row = rows
            .next()
            .with_context(|| format!("{} is missing", self.id))?;
        ensure!(rows.next().is_none(), "{} is there twice", self.id);
        Ok(row.sent)
    }
}

fn attachments(record: &str) -> Result<Vec<Value>> {
    let record: Value = serde_json::from_str(record)?;
    let contents = record["content"].as_array().context("no content")?;
    Ok(contents
        .iter()
        .map(|content| content["attachment"].clone())
        .collect())
}

/// The page is done, and each record of the chart is there once, notes with or without their documents.
fn expect_no_note_missing(journey: &Journey, screen: &Screen) -> Result<()> {
    screen.expect_done()?;
    let is_note = |text: &str| text.contains("\"resourceType\":\"DocumentReference\"");
    let (mut rows, mut records) = (journey.rows(), journey.whole_chart());
    let all = (rows.len(), records.len());
    ensure!(all.0 == all.1, "expected {} rows, found {}", all.1, all.0);
    rows.retain(|row| !is_note(&row.sent));
    records.retain(|record| !is_note(record));
    expect_each_once(&rows, &records)
}

/// The patient reads that one document stays, and the study team why.
async fn one_document_stays(journey: &Journey, screen: &Screen, reason: &str) -> Result<()> {
    screen.expect_texts(&[&format!("1 document stays at {}.", journey.portal())])?;
    let report = saved_report(journey).await?;
    let lines = [
        "Documents only referred to: 1\n",
        &format!("  1 × {reason}"),
    ];
    for line in lines {
        ensure!(report.contains(line), "expected {line:?} in:\n{report}");
    }
    Ok(())
}

fn the_other_server_heard_nothing(journey: &Journey) -> Result<()> {
    let log = journey.world().request_log().to_vec();
    let is_evil = |request: &&LoggedRequest| request.server == Server::Evil;
    let heard = log.iter().find(is_evil);
    ensure!(heard.is_none(), "another server was spoken to: {heard:?}");
    Ok(())
}
