//! The searches: what they ask for, which records they find, and from where they go on.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::access::{self, authorized, forbid, in_wanted_format, refuse, token};
use super::bundle::{Included, Page, bundle};
use super::{Vendor, is_known, not_found, outcome};
use crate::Shared;
use crate::exchange::{Incoming, Parameters, content, empty, set};
use crate::sample::OBSERVATION;
use crate::settings::NextLink;
use crate::world::World;

/// The search parameters that Epic knows here. The other vendors ignore the rest.
const KNOWN: [&str; 10] = [
    "patient",
    "category",
    "code",
    "status",
    "clinical-status",
    "_count",
    "_sort",
    "_include",
    "_revinclude",
    "_format",
];

pub(super) async fn search(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    Path(resource_type): Path<String>,
    request: Incoming,
) -> Response {
    if !is_known(&resource_type) {
        return not_found();
    }
    let mut world = shared.world();
    let answer = match request.query().get(vendor.habits().session) {
        None => first_page(&mut world, vendor, &request, &resource_type),
        Some(session) => later_page(&mut world, vendor, &request, Some(&resource_type), session),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

/// The base itself: where some next links lead.
pub(super) async fn whole_system(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    request: Incoming,
) -> Response {
    let query = request.query();
    let session = query.get(vendor.habits().session);
    let Some(session) = session.filter(|_| vendor == Vendor::Hapi) else {
        return not_found();
    };
    let mut world = shared.world();
    later_page(&mut world, vendor, &request, None, session).unwrap_or_else(|refusal| refusal)
}

fn first_page(
    world: &mut World,
    vendor: Vendor,
    request: &Incoming,
    resource_type: &str,
) -> Result<Response, Response> {
    let patient = authorized(world, vendor, request, resource_type)?;
    let query = request.query();
    check(world, vendor, &query, resource_type)?;
    let asked = value(&query, "patient").ok_or_else(|| missing(vendor, "patient"))?;
    if asked.trim_start_matches("Patient/") != patient {
        return Err(forbid(vendor, "another patient's record"));
    }
    // Copied once for the whole search.
    let (ehr, origins) = (&world.ehr, &world.origins);
    let mut records = ehr.records_at(origins, vendor, &patient, resource_type);
    records.retain(|record| Facets::of(record).fit(&query));
    if let Some(order) = value(&query, "_sort") {
        sort(&mut records, order);
    }
    let chart = ehr.patients.iter().find(|other| other.id == patient);
    let extra = match chart {
        Some(chart) if resource_type == OBSERVATION => chart.extra_entries.clone(),
        _ => Vec::new(),
    };
    let most = page_size(world, vendor);
    let count = value(&query, "_count").and_then(|count| count.parse().ok());
    let page = Page {
        vendor,
        patient,
        resource_type: resource_type.to_owned(),
        records: Arc::new(records),
        from: 0,
        size: count.filter(|count| *count > 0).unwrap_or(most).min(most),
        included: Included {
            medications: asks(&query, "_include", "MedicationRequest:medication"),
            provenance: asks(&query, "_revinclude", "Provenance:target"),
        },
        extra,
    };
    let bundle = bundle(world, request, page);
    Ok(in_wanted_format(vendor, request, bundle))
}

/// What a vendor refuses whoever asks.
fn check(
    world: &World,
    vendor: Vendor,
    query: &Parameters,
    resource_type: &str,
) -> Result<(), Response> {
    let unknown = query.iter().find(|(name, _)| !KNOWN.contains(name));
    if let (Vendor::Epic, Some((name, _))) = (vendor, unknown) {
        // The first issue is informational, the fatal one comes later.
        let messages = [
            (&outcome::UNKNOWN_PARAMETER, name),
            (&outcome::INVALID_PARAMETERS, ""),
        ];
        let body = outcome::of(vendor, &messages);
        return Err(content(
            StatusCode::BAD_REQUEST,
            "application/fhir+json",
            body,
        ));
    }
    if resource_type == "Patient" {
        // A patient is read.
        return Err(missing(vendor, "_id"));
    }
    let mut listed = world.settings.ehr.requires_category.iter();
    let wants_category = (vendor == Vendor::Epic && resource_type == OBSERVATION)
        || listed.any(|listed| listed == resource_type);
    if wants_category && value(query, "category").or(value(query, "code")).is_none() {
        return Err(missing(vendor, "category"));
    }
    Ok(())
}

fn page_size(world: &World, vendor: Vendor) -> usize {
    let settings = &world.settings.ehr;
    let size = match settings.page_sizes.get(&vendor) {
        Some(size) => *size,
        None if vendor == Vendor::Epic => settings.page_size,
        None => vendor.habits().page_size,
    };
    size.max(1)
}

fn later_page(
    world: &mut World,
    vendor: Vendor,
    request: &Incoming,
    resource_type: Option<&str>,
    session: &str,
) -> Result<Response, Response> {
    let token = token(world, vendor, request)?;
    if world.settings.ehr.next_link == NextLink::Redirect {
        let mut response = empty(StatusCode::FOUND);
        set(
            &mut response,
            LOCATION,
            &format!("{}{}", world.origins.evil, request.target()),
        );
        return Err(response);
    }
    let now = world.now();
    let later = world.ehr.pages.get(session).filter(|later| {
        later.page.vendor == vendor
            && later.page.patient == token.patient
            && resource_type.is_none_or(|it| it == later.page.resource_type)
            && later.expires > now
    });
    let expired = || {
        refuse(
            vendor,
            StatusCode::BAD_REQUEST,
            &outcome::SESSION_EXPIRED,
            "",
        )
    };
    let page = later.ok_or_else(expired)?.page.clone();
    if !token.covers(&page.resource_type) {
        return Err(forbid(vendor, access::NOT_COVERED));
    }
    let bundle = bundle(world, request, page);
    Ok(in_wanted_format(vendor, request, bundle))
}

fn missing(vendor: Vendor, name: &str) -> Response {
    refuse(vendor, StatusCode::BAD_REQUEST, &outcome::REQUIRED, name)
}

/// A parameter that is there and not empty.
fn value<'a>(query: &'a Parameters, name: &str) -> Option<&'a str> {
    query.get(name).filter(|value| !value.is_empty())
}

fn asks(query: &Parameters, name: &str, what: &str) -> bool {
    query.iter().any(|pair| pair == (name, what))
}

/// Whether a record is in a category, among others.
pub(super) fn is_in_category(record: &str, category: &str) -> bool {
    has_code(&Facets::of(record).category, category)
}

/// What a record can be searched and sorted by.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Facets {
    id: String,
    category: Value,
    code: Value,
    status: Option<String>,
    lifecycle_status: Option<String>,
    clinical_status: Value,
    authored: Option<String>,
    authored_on: Option<String>,
    date: Option<String>,
    effective_date_time: Option<String>,
    occurrence_date_time: Option<String>,
    onset_date_time: Option<String>,
    performed_date_time: Option<String>,
    period: Value,
    recorded_date: Option<String>,
    start_date: Option<String>,
    when_handed_over: Option<String>,
}

impl Facets {
    fn of(record: &str) -> Self {
        serde_json::from_str(record).unwrap_or_default()
    }

    fn fit(&self, query: &Parameters) -> bool {
        let is_among = |name: &str, found: &dyn Fn(&str) -> bool| {
            value(query, name).is_none_or(|wanted| wanted.split(',').any(found))
        };
        is_among("category", &|wanted| has_code(&self.category, wanted))
            && is_among("code", &|wanted| has_code(&self.code, wanted))
            && is_among("clinical-status", &|wanted| {
                has_code(&self.clinical_status, wanted)
            })
            && is_among("status", &|wanted| {
                self.status.as_deref().or(self.lifecycle_status.as_deref()) == Some(wanted)
            })
    }

    fn day(&self) -> &str {
        let days = [
            &self.effective_date_time,
            &self.performed_date_time,
            &self.occurrence_date_time,
            &self.when_handed_over,
            &self.authored_on,
            &self.authored,
            &self.recorded_date,
            &self.onset_date_time,
            &self.date,
            &self.start_date,
        ];
        let start = self.period["start"].as_str();
        let mut days = days.into_iter().filter_map(Option::as_deref).chain(start);
        days.next().unwrap_or_default()
    }
}

/// Whether a CodeableConcept, one of several, or one of several plain codes has this code. A system
/// before a `|` is not looked at.
fn has_code(concepts: &Value, wanted: &str) -> bool {
    let code = wanted.rsplit('|').next().unwrap_or_default();
    match concepts {
        Value::Array(several) => several.iter().any(|concept| has_code(concept, wanted)),
        Value::String(plain) => plain == code,
        concept => {
            let codings = concept["coding"].as_array();
            codings.is_some_and(|codings| codings.iter().any(|coding| coding["code"] == code))
        }
    }
}

/// Sorts by `date` or `_id`, backwards with a `-`. Any other order leaves the records as they are.
fn sort(records: &mut [String], order: &str) {
    let (name, backwards) = match order.strip_prefix('-') {
        Some(name) => (name, true),
        None => (order, false),
    };
    let key: fn(&Facets) -> &str = match name {
        "_id" => |facets| &facets.id,
        "date" => Facets::day,
        _ => return,
    };
    records.sort_by_cached_key(|record| key(&Facets::of(record)).to_owned());
    if backwards {
        records.reverse();
    }
}
