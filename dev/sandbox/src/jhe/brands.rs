//! `GET /api/v1/patient-access/brands` of the later version: the hospitals to choose from.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::django::{View, either, unmatched};
use crate::Shared;
use crate::ehr::Vendor;
use crate::exchange::{Incoming, Parameters};
use crate::settings::JheVersion;
use crate::world::{Origins, World};

const VIEW: View = View::detail("OPTIONS, GET");
/// How many rows there are at most, unless `limit` says otherwise.
const ROWS: usize = 25;

/// A hospital that a patient can choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Brand {
    /// Its name.
    pub facility_name: String,
    /// Its address on one line.
    pub address_text: String,
    /// Its city.
    pub city: String,
    /// Its state, two letters.
    pub state: String,
    /// Its ZIP code.
    pub postal_code: String,
    /// The organisation that it belongs to.
    pub brand_name: String,
    /// The EHR's FHIR base, as the vendor's list has it: some end with a slash.
    pub fhir_base_url: String,
}

impl Brand {
    fn new(facility: &str, brand: &str, (street, city, state, zip): Place, base: &str) -> Self {
        Self {
            facility_name: facility.to_owned(),
            address_text: format!("{street}, {city}, {state} {zip}"),
            city: city.to_owned(),
            state: state.to_owned(),
            postal_code: zip.to_owned(),
            brand_name: brand.to_owned(),
            fhir_base_url: base.to_owned(),
        }
    }
}

/// Street, city, state and ZIP code.
type Place = (&'static str, &'static str, &'static str, &'static str);

/// The hospitals that are there at the start. None of them exists.
pub(crate) fn seeded_brands(origins: &Origins) -> Vec<Brand> {
    const BRIDGE: Place = ("1 Bridge Street", "Oakland", "CA", "94607");
    const TOWNS: [Place; 5] = [
        ("12 Main Street", "Springfield", "IL", "62701"),
        ("48 Elm Street", "Portland", "OR", "97201"),
        ("7 Mill Road", "San José", "CA", "95113"),
        ("300 Lake Avenue", "Rochester", "NY", "14608"),
        ("19 Harbor Lane", "Portland", "ME", "04101"),
    ];
    let mut brands = Vec::new();
    for vendor in Vendor::ALL {
        let (organisation, place) = match vendor {
            Vendor::Epic => ("Canal Side Health", BRIDGE),
            Vendor::OracleHealth => ("Harbor Light Health System", TOWNS[4]),
            Vendor::Athenahealth => ("Orchard Street Physicians", TOWNS[1]),
            Vendor::Meditech => ("Prairie View Health", TOWNS[0]),
            Vendor::Hapi => ("North Star University", TOWNS[3]),
        };
        let base = vendor.listed_base(origins);
        let facility = vendor.facility_name();
        brands.push(Brand::new(facility, organisation, place, &base));
        if vendor == Vendor::Epic {
            let clinic = "Canal Side Children's Clinic";
            brands.push(Brand::new(clinic, organisation, place, &base));
        }
    }
    // More than one list shows, all of them at the main hospital's base.
    brands.extend((1..=30).map(|n| {
        let facility = format!("Meadow Family Practice {n}");
        let place = TOWNS[n % TOWNS.len()];
        Brand::new(&facility, "Meadow Physicians", place, &origins.iss())
    }));
    brands
}

pub(super) async fn brands(State(shared): State<Shared>, request: Incoming) -> Response {
    let world = shared.world();
    if world.settings.jhe.version != JheVersion::PatientAccess {
        return unmatched(&request);
    }
    either(answer(&world, &request))
}

fn answer(world: &World, request: &Incoming) -> Result<Response, Response> {
    VIEW.enter(world, request)?;
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(VIEW.describe()),
        _ => return Err(VIEW.not_allowed(request)),
    }
    let query = request.query();
    let mut results: Vec<&Brand> = world.brands.iter().filter(|it| fits(it, &query)).collect();
    results.sort_by_key(|brand| (&brand.brand_name, &brand.facility_name));
    // What is no number is ignored.
    let limit = query
        .get("limit")
        .and_then(|limit| limit.parse::<i64>().ok());
    let limit = limit.map_or(ROWS, |limit| limit.clamp(1, 100).unsigned_abs() as usize);
    results.truncate(limit);
    Ok(VIEW.reply(StatusCode::OK, &json!({ "results": results })))
}

/// Capitals don't matter. `q` is looked for as it is: its words in this order, and no wildcards.
fn fits(brand: &Brand, query: &Parameters) -> bool {
    let wanted = |name: &str| query.get(name).unwrap_or_default().trim().to_lowercase();
    let (text, state, postal) = (wanted("q"), wanted("state"), wanted("postal"));
    let mut places = [&brand.facility_name, &brand.city, &brand.brand_name].into_iter();
    places.any(|place| place.to_lowercase().contains(&text))
        && (state.is_empty() || brand.state.to_lowercase() == state)
        && brand.postal_code.to_lowercase().starts_with(&postal)
}
