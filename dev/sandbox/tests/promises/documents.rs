//! Notes, and the documents that they lead to.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sandbox::{Binary, JheVersion, NoteKind, Packing, Sandbox, Vendor};
use serde_json::{Value, json};

use crate::common::{Failure, Reply, send};
use crate::vendors::Hospital;
use crate::{IMPORT, Outcome, Writer, batch, entry_statuses, get_fhir, start};

const LOGIN: &str = "fhircamila";

/// The first patient's notes, with a token for them and their documents.
struct Notes {
    sandbox: Sandbox,
    bearer: String,
}

impl Notes {
    async fn open() -> Result<Self, Failure> {
        let sandbox = start().await?;
        let bearer = bearer(&sandbox, Vendor::Epic).await?;
        Ok(Self { sandbox, bearer })
    }

    /// Gives a note; the attachments of its record.
    fn give(&self, kind: NoteKind) -> Result<Vec<Value>, Failure> {
        let mut world = self.sandbox.world();
        let id = world.give_note(LOGIN, kind).ok_or("no such patient")?;
        let records = world.records_of(LOGIN, "DocumentReference");
        let record = records.last().ok_or("no note")?;
        let record: Value = serde_json::from_str(record)?;
        assert_eq!(record["id"], *id);
        let contents = record["content"].as_array().ok_or("no content")?;
        Ok(contents
            .iter()
            .map(|content| content["attachment"].clone())
            .collect())
    }

    /// What is at an attachment's address.
    async fn follow(&self, attachment: &Value) -> Result<Reply, Failure> {
        let address = attachment["url"].as_str().ok_or("no address")?;
        let base = format!("{}/", self.sandbox.iss());
        let address = url::Url::parse(&base)?.join(address)?;
        get_fhir(address.as_str(), &self.bearer).await
    }
}

async fn bearer(sandbox: &Sandbox, vendor: Vendor) -> Result<String, Failure> {
    let scopes = "patient/DocumentReference.read patient/Binary.read";
    sandbox.world().settings.ehr.granted_scopes = Some(scopes.to_owned());
    Hospital::discover(sandbox, vendor).await?.bearer().await
}

/// The text that a member carries as base64.
fn decoded(data: &Value) -> Result<String, Failure> {
    let data = BASE64_STANDARD.decode(data.as_str().ok_or("no data")?);
    let data = data.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(data)?)
}

fn media_type(reply: &Reply) -> &str {
    reply.header("content-type").unwrap_or_default()
}

#[tokio::test]
async fn the_documents_of_the_notes_that_are_there_can_be_read() -> Outcome {
    let notes = Notes::open().await?;
    let records = notes.sandbox.world().records_of(LOGIN, "DocumentReference");
    for record in records {
        let record: Value = serde_json::from_str(&record)?;
        let reply = notes.follow(&record["content"][0]["attachment"]).await?;
        assert_eq!(
            (reply.status.as_u16(), media_type(&reply)),
            (200, "text/html")
        );
        assert!(
            reply.text().contains("la paciente está bien"),
            "{}",
            reply.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_document_is_forbidden_without_the_scope_for_binaries() -> Outcome {
    let sandbox = start().await?;
    let scopes = "patient/DocumentReference.read";
    sandbox.world().settings.ehr.granted_scopes = Some(scopes.to_owned());
    let bearer = Hospital::discover(&sandbox, Vendor::Epic)
        .await?
        .bearer()
        .await?;
    let url = format!("{}/Binary/any", sandbox.iss());
    assert_eq!(get_fhir(&url, &bearer).await?.status, 403);
    assert_eq!(get_fhir(&url, "Bearer x").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_note_may_carry_its_text_itself() -> Outcome {
    let notes = Notes::open().await?;
    let attachment = &notes.give(NoteKind::Inline)?[0];
    assert!(attachment["url"].is_null());
    assert!(decoded(&attachment["data"])?.contains("Camila"));
    Ok(())
}

#[tokio::test]
async fn a_document_comes_as_it_is_from_a_relative_or_an_absolute_address() -> Outcome {
    let notes = Notes::open().await?;
    let relative = &notes.give(NoteKind::Relative)?[0];
    assert!(
        relative["url"]
            .as_str()
            .is_some_and(|it| it.starts_with("Binary/"))
    );
    assert_eq!(media_type(&notes.follow(relative).await?), "text/html");

    let absolute = &notes.give(NoteKind::Absolute)?[0];
    let below = format!("{}/Binary/", notes.sandbox.iss());
    assert!(
        absolute["url"]
            .as_str()
            .is_some_and(|it| it.starts_with(&below))
    );
    assert_eq!(media_type(&notes.follow(absolute).await?), "text/html");

    let pdf = notes.follow(&notes.give(NoteKind::Pdf)?[0]).await?;
    assert_eq!(media_type(&pdf), "application/pdf");
    assert!(std::str::from_utf8(&pdf.body).is_err(), "a PDF is no text");
    Ok(())
}

#[tokio::test]
async fn a_documents_address_may_lead_to_the_evil_listener_or_nowhere() -> Outcome {
    let notes = Notes::open().await?;
    let elsewhere = &notes.give(NoteKind::OtherOrigin)?[0];
    let address = elsewhere["url"].as_str().ok_or("no address")?;
    assert!(address.starts_with(notes.sandbox.evil()), "{address}");
    let missing = notes.follow(&notes.give(NoteKind::Missing)?[0]).await?;
    assert_eq!(missing.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_huge_document_says_how_long_it_is_or_does_not() -> Outcome {
    let notes = Notes::open().await?;
    let length = 30 << 20;
    let told = &notes.give(NoteKind::Huge)?[0];
    assert_eq!(told["size"], length);
    let untold = &notes.give(NoteKind::HugeWithoutSize)?[0];
    assert!(untold["size"].is_null());
    for attachment in [told, untold] {
        assert_eq!(notes.follow(attachment).await?.body.len(), length);
    }
    Ok(())
}

#[tokio::test]
async fn a_document_may_come_in_a_resource() -> Outcome {
    let notes = Notes::open().await?;
    let reply = notes.follow(&notes.give(NoteKind::Wrapped)?[0]).await?;
    assert_eq!(media_type(&reply), "application/fhir+json");
    let resource = reply.json();
    assert_eq!(
        (&resource["resourceType"], &resource["contentType"]),
        (&json!("Binary"), &json!("text/html"))
    );
    assert!(decoded(&resource["data"])?.starts_with("<html>"));
    Ok(())
}

#[tokio::test]
async fn an_error_page_may_come_in_place_of_a_document() -> Outcome {
    let notes = Notes::open().await?;
    let attachment = &notes.give(NoteKind::ErrorPage)?[0];
    assert_eq!(attachment["contentType"], "application/pdf");
    let reply = notes.follow(attachment).await?;
    assert_eq!(
        (reply.status.as_u16(), media_type(&reply)),
        (200, "text/html")
    );
    Ok(())
}

#[tokio::test]
async fn a_note_may_have_its_document_in_two_formats() -> Outcome {
    let notes = Notes::open().await?;
    let attachments = notes.give(NoteKind::TwoContents)?;
    let mut formats = Vec::new();
    for attachment in &attachments {
        formats.push(media_type(&notes.follow(attachment).await?).to_owned());
    }
    assert_eq!(formats, ["text/html", "text/rtf"]);
    Ok(())
}

#[tokio::test]
async fn a_test_can_put_any_document_at_an_address() -> Outcome {
    let notes = Notes::open().await?;
    {
        let mut world = notes.sandbox.world();
        let patient = world.ehr.patient_mut(LOGIN).ok_or("no Camila")?;
        let document = Binary {
            content_type: "text/plain".to_owned(),
            content: b"x".as_slice().into(),
            packing: Packing::Raw,
        };
        patient.binaries.insert("mine".to_owned(), document);
    }
    let reply = notes.follow(&json!({"url": "Binary/mine"})).await?;
    assert_eq!(
        (media_type(&reply), reply.text().as_str()),
        ("text/plain", "x")
    );
    Ok(())
}

#[tokio::test]
async fn some_vendors_give_a_resource_to_who_asks_for_fhir_and_the_document_to_others() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().give_note(LOGIN, NoteKind::Relative);
    for vendor in Vendor::ALL {
        let bearer = bearer(&sandbox, vendor).await?;
        let records = sandbox
            .world()
            .records_at(vendor, LOGIN, "DocumentReference");
        let record: Value = serde_json::from_str(records.last().ok_or("no note")?)?;
        let address = record["content"][0]["attachment"]["url"]
            .as_str()
            .ok_or("no address")?;
        assert_eq!(
            address.starts_with("http"),
            vendor == Vendor::Hapi,
            "{vendor:?}"
        );
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        let url = hospital.query(&format!(
            "Binary/{}",
            address.rsplit('/').next().unwrap_or_default()
        ));
        let resource = get_fhir(&url, &bearer).await?;
        let wraps = [Vendor::OracleHealth, Vendor::Hapi].contains(&vendor);
        assert_eq!(
            media_type(&resource) == "application/fhir+json",
            wraps,
            "{vendor:?}"
        );
        let headers = [("accept", "*/*"), ("authorization", bearer.as_str())];
        let document = send("GET", &url, &headers, "").await?;
        assert_eq!(media_type(&document), "text/html", "{vendor:?}");
    }
    Ok(())
}

#[tokio::test]
async fn jhe_keeps_the_text_that_a_note_carries() -> Outcome {
    let sandbox = start().await?;
    let writer = Writer::new(&sandbox, JheVersion::PatientAccess)?;
    sandbox.world().give_note(LOGIN, NoteKind::Inline);
    let notes = sandbox.world().records_of(LOGIN, "DocumentReference");
    let reply = writer.post(IMPORT, &batch(&notes)).await?;
    assert!(
        entry_statuses(&reply).iter().all(|it| it == "201 Created"),
        "{}",
        reply.text()
    );
    let world = sandbox.world();
    let stored = &world.rows().last().ok_or("no row")?.stored;
    let sent: Value = serde_json::from_str(notes.last().ok_or("no note")?)?;
    assert!(stored["content"][0]["attachment"]["data"].is_string());
    assert_eq!(stored["content"], sent["content"]);
    Ok(())
}
