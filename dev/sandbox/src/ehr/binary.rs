//! `Binary/<id>`: the documents that notes lead to.

use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::access::{authorized, refuse};
use super::vendors::Documents;
use super::{Vendor, outcome};
use crate::exchange::{Incoming, content};
use crate::json::{object, text};
use crate::sample::{Binary, Packing};
use crate::world::World;

/// The type's name.
pub(super) const BINARY: &str = "Binary";

pub(super) fn read(
    world: &World,
    vendor: Vendor,
    request: &Incoming,
    id: &str,
) -> Result<Response, Response> {
    let patient = authorized(world, vendor, request, BINARY)?;
    let mut patients = world.ehr.patients.iter();
    let document = patients
        .find(|other| other.id == patient)
        .and_then(|patient| patient.binaries.get(id));
    let document =
        document.ok_or_else(|| refuse(vendor, StatusCode::NOT_FOUND, &outcome::NOT_FOUND, ""))?;
    let is_wrapped = match (document.packing, vendor.habits().documents) {
        (Packing::Resource, _) => true,
        (Packing::Raw, Documents::Raw) => false,
        (Packing::Raw, Documents::AsAskedFor) => request.header(ACCEPT).contains("fhir+json"),
    };
    Ok(if is_wrapped {
        content(
            StatusCode::OK,
            "application/fhir+json",
            wrapped(id, document),
        )
    } else {
        content(
            StatusCode::OK,
            &document.content_type,
            document.content.to_vec(),
        )
    })
}

fn wrapped(id: &str, document: &Binary) -> String {
    object(&[
        ("resourceType", text(BINARY)),
        ("id", text(id)),
        ("contentType", text(&document.content_type)),
        ("data", text(&BASE64_STANDARD.encode(&document.content))),
    ])
}
