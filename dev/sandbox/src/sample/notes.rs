//! DocumentReferences, and the documents that they lead to.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{
    Members, US_CORE, array, begun, clinician, concept, epic_id, moment, object, subject, text,
    words,
};
use crate::ehr::EhrPatient;
use crate::world::Origins;

/// Where a note's text is, and what comes when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// In the record itself, in `attachment.data`.
    Inline,
    /// At a relative address, `Binary/<id>`: a page of text.
    Relative,
    /// The same, but a PDF: bytes that are no text.
    Pdf,
    /// At an absolute address below the FHIR base.
    Absolute,
    /// At an absolute address of the evil listener, which no token should reach.
    OtherOrigin,
    /// At an address where nothing is.
    Missing,
    /// At a relative address, 30 MiB long, and the record says so in `attachment.size`.
    Huge,
    /// As long, and the record does not say so.
    HugeWithoutSize,
    /// In a `Binary` resource that carries it as base64.
    Wrapped,
    /// An HTML page comes with status 200 in place of the PDF.
    ErrorPage,
    /// Twice, as `text/html` and as `text/rtf`.
    TwoContents,
}

impl NoteKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Inline,
        Self::Relative,
        Self::Pdf,
        Self::Absolute,
        Self::OtherOrigin,
        Self::Missing,
        Self::Huge,
        Self::HugeWithoutSize,
        Self::Wrapped,
        Self::ErrorPage,
        Self::TwoContents,
    ];
}

/// A document that a hospital has under `Binary/<id>`.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub content: Arc<[u8]>,
    /// How it is given out.
    pub packing: Packing,
}

/// How a document is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// As it is; where the vendor does so, as a resource for who asks for FHIR's media type.
    Raw,
    /// Always as a `Binary` resource.
    Resource,
}

/// How long a huge document is.
const HUGE: usize = 30 << 20;
const HTML: &str = "text/html";
const PDF: &str = "application/pdf";
const RTF: &str = "text/rtf";
const TITLES: [&str; 3] = ["Progress Notes", "Discharge Summary", "Consultation Note"];

/// A note: its record, and its documents by their ids.
pub(crate) struct Note {
    pub(crate) record: String,
    pub(crate) documents: Vec<(String, Binary)>,
}

/// The `n`th note of a patient.
pub(crate) fn note(patient: &EhrPatient, n: usize, kind: NoteKind, origins: &Origins) -> Note {
    let id = epic_id(&patient.id, "Binary", n);
    let relative = format!("Binary/{id}");
    let page = html(patient, n).into_bytes();
    let at = |address: &str, content_type| attachment(content_type, ("url", text(address)));
    let raw = |content_type, content| binary(content_type, content, Packing::Raw);

    let (attachments, documents) = match kind {
        NoteKind::Inline => {
            let data = BASE64_STANDARD.encode(&page);
            (vec![attachment(HTML, ("data", text(&data)))], vec![])
        }
        NoteKind::Relative => (vec![at(&relative, HTML)], vec![(id, raw(HTML, page))]),
        NoteKind::Pdf => (vec![at(&relative, PDF)], vec![(id, raw(PDF, pdf()))]),
        NoteKind::Absolute => {
            let address = format!("{}/{relative}", origins.iss());
            (vec![at(&address, HTML)], vec![(id, raw(HTML, page))])
        }
        NoteKind::OtherOrigin => {
            let address = format!("{}/{relative}", origins.evil);
            (vec![at(&address, HTML)], vec![])
        }
        NoteKind::Missing => (vec![at(&relative, HTML)], vec![]),
        NoteKind::Huge => {
            let mut attachment = at(&relative, PDF);
            attachment.push(("size", HUGE.to_string()));
            (vec![attachment], vec![(id, raw(PDF, vec![b' '; HUGE]))])
        }
        NoteKind::HugeWithoutSize => (
            vec![at(&relative, PDF)],
            vec![(id, raw(PDF, vec![b' '; HUGE]))],
        ),
        NoteKind::Wrapped => {
            let wrapped = binary(HTML, page, Packing::Resource);
            (vec![at(&relative, HTML)], vec![(id, wrapped)])
        }
        NoteKind::ErrorPage => {
            let page = b"<html><body>Your session has timed out.</body></html>".to_vec();
            (vec![at(&relative, PDF)], vec![(id, raw(HTML, page))])
        }
        NoteKind::TwoContents => {
            let other = epic_id(&patient.id, "Binary-rtf", n);
            let attachments = vec![at(&relative, HTML), at(&format!("Binary/{other}"), RTF)];
            let rtf = b"{\\rtf1\\ansi The patient is well.}".to_vec();
            (
                attachments,
                vec![(id, raw(HTML, page)), (other, raw(RTF, rtf))],
            )
        }
    };
    let record = record(patient, n, &attachments);
    Note { record, documents }
}

fn record(patient: &EhrPatient, n: usize, attachments: &[Members]) -> String {
    let contents: Vec<String> = attachments
        .iter()
        .map(|attachment| object(&[("attachment", object(attachment))]))
        .collect();
    let category = format!("{US_CORE}/us-core-documentreference-category");
    let mut members = begun(patient, "DocumentReference", n);
    members.extend([
        ("status", text("current")),
        ("docStatus", text("final")),
        ("type", words(TITLES[n % TITLES.len()])),
        (
            "category",
            array(&[concept(&category, "clinical-note", "Clinical Note")]),
        ),
        ("subject", subject(patient)),
        ("date", moment(n)),
        ("author", array(&[clinician()])),
        ("content", array(&contents)),
    ]);
    object(&members)
}

fn attachment(content_type: &str, content: (&'static str, String)) -> Members {
    vec![("contentType", text(content_type)), content]
}

fn binary(content_type: &str, content: Vec<u8>, packing: Packing) -> Binary {
    Binary {
        content_type: content_type.to_owned(),
        content: content.into(),
        packing,
    }
}

fn html(patient: &EhrPatient, n: usize) -> String {
    format!(
        "<html><body><h1>{} {}</h1><p>{} was seen today and is well – la paciente está bien.</p></body></html>",
        TITLES[n % TITLES.len()],
        n + 1,
        patient.given
    )
}

/// The beginning of any PDF: its second line has no meaning but to be no text.
fn pdf() -> Vec<u8> {
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n%%EOF\n".to_vec()
}
