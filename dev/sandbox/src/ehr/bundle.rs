//! One page of a search, as a Bundle.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::outcome::{self, Message};
use super::{FHIR_BASE, LaterPage};
use crate::exchange::Incoming;
use crate::json::{array, object, text};
use crate::random;
use crate::sample::{self, MEDICATION};
use crate::settings::NextLink;
use crate::world::World;

/// One page of a result.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) patient: String,
    pub(super) resource_type: String,
    /// All that the search found.
    pub(super) records: Arc<Vec<String>>,
    /// Where the page begins in `records`.
    pub(super) from: usize,
    pub(super) size: usize,
    pub(super) included: Included,
    /// Entries that a test has put there.
    pub(super) extra: Vec<String>,
}

/// What comes with the records that were found.
#[derive(Clone, Copy)]
pub(super) struct Included {
    /// The Medications that requests refer to.
    pub(super) medications: bool,
    /// Who has recorded each record.
    pub(super) provenance: bool,
}

pub(super) fn bundle(world: &mut World, request: &Incoming, page: Page) -> String {
    let rest = page.from + page.size;
    let rest = (rest < page.records.len()).then_some(rest);
    let end = rest.unwrap_or(page.records.len());
    let found = &page.records[page.from..end];
    let mut entries: Vec<String> = found
        .iter()
        .map(|record| entry(world, &page.resource_type, record, "match"))
        .collect();
    let total = entries.len();
    entries.extend(included(world, &page, found));
    entries.extend(page.extra.iter().cloned());
    if page.from == 0 && entries.is_empty() {
        entries.push(outcome_entry(&outcome::NO_RESULTS));
    } else if world.settings.ehr.outcome_entries {
        if page.from == 0 {
            entries.push(outcome_entry(&outcome::SUB_RESOURCE));
        }
        if rest.is_none() {
            entries.push(outcome_entry(&outcome::MAYBE_INCOMPLETE));
        }
    }

    let here = format!("{}{}", world.origins.ehr, request.target());
    let mut links = vec![link("self", &here)];
    if let Some(from) = rest {
        let next = Page {
            from,
            size: page.size,
            extra: Vec::new(),
            ..page
        };
        links.push(link("next", &next_link(world, next, &here)));
    }
    object(&[
        ("resourceType", text("Bundle")),
        ("type", text("searchset")),
        // At Epic this is the size of this page, without outcome entries.
        ("total", total.to_string()),
        ("link", array(&links)),
        ("entry", array(&entries)),
    ])
}

/// The id of a record, or `""`.
pub(super) fn id_of(record: &str) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Identified {
        id: String,
    }
    let record: Identified = serde_json::from_str(record).unwrap_or_default();
    record.id
}

/// The entries of what comes with these records.
fn included(world: &World, page: &Page, found: &[String]) -> Vec<String> {
    let mut patients = world.ehr.patients.iter();
    let Some(patient) = patients.find(|patient| patient.id == page.patient) else {
        return Vec::new();
    };
    let mut entries = Vec::new();
    if page.included.medications {
        let medications = patient.records_of(MEDICATION);
        let wanted: Vec<String> = found.iter().filter_map(|it| medication_of(it)).collect();
        let wanted = medications.iter().filter(|it| wanted.contains(&id_of(it)));
        entries.extend(wanted.map(|it| entry(world, MEDICATION, it, "include")));
    }
    if page.included.provenance {
        entries.extend(found.iter().map(|record| {
            let provenance = sample::provenance(patient, &page.resource_type, &id_of(record));
            entry(world, "Provenance", &provenance, "include")
        }));
    }
    entries
}

/// The id of the Medication that a request refers to.
fn medication_of(record: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record).ok()?;
    let reference = record["medicationReference"]["reference"].as_str()?;
    Some(reference.strip_prefix("Medication/")?.to_owned())
}

fn next_link(world: &mut World, page: Page, here: &str) -> String {
    let session = format!("17-{}", random::alphanumeric(32).to_uppercase());
    let expires = world
        .now()
        .plus_seconds(world.settings.ehr.page_link_seconds);
    let search = format!("{}?sessionID={session}", page.resource_type);
    world.ehr.pages.insert(session, LaterPage { page, expires });
    let origins = &world.origins;
    match &world.settings.ehr.next_link {
        NextLink::NextPage | NextLink::Redirect => format!("{}{FHIR_BASE}/{search}", origins.ehr),
        NextLink::Relative => search,
        NextLink::OtherOrigin => format!("{}{FHIR_BASE}/{search}", origins.evil),
        NextLink::OtherPath => format!("{}/interconnect/api/FHIR/DSTU2/{search}", origins.ehr),
        NextLink::ItsOwnPage => here.to_owned(),
        NextLink::Address { url } => url.clone(),
    }
}

fn entry(world: &World, resource_type: &str, record: &str, mode: &str) -> String {
    let address = format!(
        "{}{FHIR_BASE}/{resource_type}/{}",
        world.origins.ehr,
        id_of(record)
    );
    object(&[
        ("link", array(&[link("self", &address)])),
        ("fullUrl", text(&address)),
        ("resource", record.to_owned()),
        ("search", object(&[("mode", text(mode))])),
    ])
}

fn outcome_entry(message: &Message) -> String {
    object(&[
        ("fullUrl", text(&format!("urn:uuid:{}", random::uuid()))),
        ("resource", outcome::of(&[(message, "")])),
        ("search", object(&[("mode", text("outcome"))])),
    ])
}

fn link(relation: &str, url: &str) -> String {
    object(&[("relation", text(relation)), ("url", text(url))])
}
