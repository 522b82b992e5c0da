//! One record by its id.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::access::{authorized, in_wanted_format, refuse};
use super::{bundle, is_known, not_found, outcome};
use crate::Shared;
use crate::exchange::Incoming;
use crate::world::World;

pub(super) async fn read(
    State(shared): State<Shared>,
    Path((resource_type, id)): Path<(String, String)>,
    request: Incoming,
) -> Response {
    if !is_known(&resource_type) {
        return not_found();
    }
    let world = shared.world();
    find(&world, &request, &resource_type, &id).unwrap_or_else(|refusal| refusal)
}

fn find(
    world: &World,
    request: &Incoming,
    resource_type: &str,
    id: &str,
) -> Result<Response, Response> {
    let patient = authorized(world, request, resource_type)?;
    if resource_type == "Patient" && patient != id {
        return Err(refuse(StatusCode::FORBIDDEN, &outcome::FORBIDDEN, ""));
    }
    let mut patients = world.ehr.patients.iter();
    let records = patients
        .find(|other| other.id == patient)
        .map(|patient| patient.records_of(resource_type));
    let mut records = records.into_iter().flatten();
    let record = records.find(|record| bundle::id_of(record) == id);
    let record = record.ok_or_else(|| refuse(StatusCode::NOT_FOUND, &outcome::NOT_FOUND, ""))?;
    Ok(in_wanted_format(request, record))
}
