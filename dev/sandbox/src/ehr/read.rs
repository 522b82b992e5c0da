//! One record by its id.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::access::{authorized, forbid, in_wanted_format, refuse};
use super::binary::{self, BINARY};
use super::{Vendor, bundle, is_known, not_found, outcome};
use crate::Shared;
use crate::exchange::Incoming;
use crate::world::World;

pub(super) async fn read(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    Path((resource_type, id)): Path<(String, String)>,
    request: Incoming,
) -> Response {
    let world = shared.world();
    let answer = match resource_type.as_str() {
        BINARY => binary::read(&world, vendor, &request, &id),
        known if is_known(known) => find(&world, vendor, &request, known, &id),
        _ => return not_found(),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

fn find(
    world: &World,
    vendor: Vendor,
    request: &Incoming,
    resource_type: &str,
    id: &str,
) -> Result<Response, Response> {
    let patient = authorized(world, vendor, request, resource_type)?;
    if resource_type == "Patient" && patient != id {
        return Err(forbid(vendor, ""));
    }
    let (ehr, origins) = (&world.ehr, &world.origins);
    let mut records = ehr
        .records_at(origins, vendor, &patient, resource_type)
        .into_iter();
    let record = records.find(|record| bundle::id_of(record) == id);
    let record =
        record.ok_or_else(|| refuse(vendor, StatusCode::NOT_FOUND, &outcome::NOT_FOUND, ""))?;
    Ok(in_wanted_format(vendor, request, record))
}
