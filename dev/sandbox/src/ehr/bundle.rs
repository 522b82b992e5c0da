//! One page of a search, as a Bundle.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::outcome::{self, Message};
use super::{LaterPage, Vendor};
use crate::exchange::Incoming;
use crate::json::{array, object, text};
use crate::random;
use crate::sample::{self, MEDICATION};
use crate::settings::{NextLink, Total};
use crate::world::World;

/// One page of a result.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) vendor: Vendor,
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
    let vendor = page.vendor;
    let end = page.records.len().min(page.from + page.size);
    let is_last = end == page.records.len();
    let found = &page.records[page.from..end];
    let mut entries: Vec<String> = found
        .iter()
        .map(|record| entry(world, &page, &page.resource_type, record, "match"))
        .collect();
    let habit = vendor.habits().total;
    let total = match world.settings.ehr.totals.get(&vendor).unwrap_or(&habit) {
        Total::Page => Some(entries.len()),
        Total::Search => Some(page.records.len()),
        Total::Absent => None,
        Total::Wrong => Some(page.records.len() + 5),
    };
    entries.extend(included(world, &page, found));
    entries.extend(page.extra.iter().cloned());
    if vendor == Vendor::Epic {
        add_outcomes(world, page.from == 0, is_last, &mut entries);
    }

    let here = format!("{}{}", world.origins.ehr, request.target());
    let mut links = vec![link("self", &here)];
    if !is_last {
        let next = Page {
            from: end,
            extra: Vec::new(),
            ..page
        };
        links.push(link("next", &next_link(world, next, &here)));
    }
    let mut members = vec![
        ("resourceType", text("Bundle")),
        ("type", text("searchset")),
        ("link", array(&links)),
    ];
    members.extend(total.map(|total| ("total", total.to_string())));
    // FHIR R4 json#2.6.2: "Properties can never be empty".
    if !entries.is_empty() {
        members.push(("entry", array(&entries)));
    }
    object(&members)
}

/// Epic's remarks among the entries.
fn add_outcomes(world: &World, is_first: bool, is_last: bool, entries: &mut Vec<String>) {
    if is_first && entries.is_empty() {
        entries.push(outcome_entry(&outcome::NO_RESULTS));
    } else if world.settings.ehr.outcome_entries {
        if is_first {
            entries.push(outcome_entry(&outcome::SUB_RESOURCE));
        }
        if is_last {
            entries.push(outcome_entry(&outcome::MAYBE_INCOMPLETE));
        }
    }
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
    let mut entries = Vec::new();
    if page.included.medications {
        let (ehr, origins) = (&world.ehr, &world.origins);
        let medications = ehr.records_at(origins, page.vendor, &page.patient, MEDICATION);
        let wanted: Vec<String> = found.iter().filter_map(|it| medication_of(it)).collect();
        let wanted = medications.iter().filter(|it| wanted.contains(&id_of(it)));
        entries.extend(wanted.map(|it| entry(world, page, MEDICATION, it, "include")));
    }
    if page.included.provenance {
        entries.extend(found.iter().map(|record| {
            let provenance = sample::provenance(&page.patient, &page.resource_type, &id_of(record));
            entry(world, page, "Provenance", &provenance, "include")
        }));
    }
    entries
}

/// The id of the Medication that a request refers to.
fn medication_of(record: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record).ok()?;
    let reference = record["medicationReference"]["reference"].as_str()?;
    let (_, id) = reference.split_once("Medication/")?;
    Some(id.to_owned())
}

fn next_link(world: &mut World, page: Page, here: &str) -> String {
    let (vendor, from) = (page.vendor, page.from);
    let session = format!("17-{}", random::alphanumeric(32).to_uppercase());
    let expires = world
        .now()
        .plus_seconds(world.settings.ehr.page_link_seconds);
    let search = vendor.next_search(&page.resource_type, &session, from);
    world.ehr.pages.insert(session, LaterPage { page, expires });
    let origins = &world.origins;
    let base = vendor.base_path();
    match &world.settings.ehr.next_link {
        NextLink::NextPage | NextLink::Redirect => format!("{}{base}{search}", origins.ehr),
        NextLink::Relative => match search.strip_prefix('/') {
            Some(search) => search.to_owned(),
            None => format!("{base}{search}"),
        },
        NextLink::OtherOrigin => format!("{}{base}{search}", origins.evil),
        NextLink::OtherPath => format!("{}{}{search}", origins.ehr, vendor.habits().other_base),
        NextLink::ItsOwnPage => here.to_owned(),
        NextLink::Address { url } => url.clone(),
    }
}

fn entry(world: &World, page: &Page, resource_type: &str, record: &str, mode: &str) -> String {
    let base = world.origins.iss_of(page.vendor);
    let address = format!("{base}/{resource_type}/{}", id_of(record));
    let mut members = vec![
        ("fullUrl", text(&address)),
        ("resource", record.to_owned()),
        ("search", object(&[("mode", text(mode))])),
    ];
    if page.vendor == Vendor::Epic {
        members.insert(0, ("link", array(&[link("self", &address)])));
    }
    object(&members)
}

fn outcome_entry(message: &Message) -> String {
    object(&[
        ("fullUrl", text(&format!("urn:uuid:{}", random::uuid()))),
        ("resource", outcome::of(Vendor::Epic, &[(message, "")])),
        ("search", object(&[("mode", text("outcome"))])),
    ])
}

fn link(relation: &str, url: &str) -> String {
    object(&[("relation", text(relation)), ("url", text(url))])
}
