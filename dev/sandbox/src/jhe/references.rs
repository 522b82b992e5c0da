//! `POST /api/v1/fhir_sources/<id>/index_refs` of the later version: references among the records of a
//! source, which name the EHR's ids, are made to name JHE's.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::django::{View, either, unmatched};
use super::rows::Rows;
use super::sources;
use crate::Shared;
use crate::exchange::Incoming;
use crate::settings::JheVersion;
use crate::world::World;

const VIEW: View = View::detail("POST, OPTIONS");
/// What a reference becomes if there is no such record.
const NOT_FOUND: &str = "not-found:";

pub(super) async fn index(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    if world.settings.jhe.version != JheVersion::PatientAccess {
        return unmatched(&request);
    }
    either(answer(&mut world, &request, &id))
}

fn answer(world: &mut World, request: &Incoming, id: &str) -> Result<Response, Response> {
    let (_, caller) = VIEW.enter(world, request)?;
    match request.method {
        Method::POST => {}
        Method::OPTIONS => return Ok(VIEW.describe()),
        _ => return Err(VIEW.not_allowed(request)),
    }
    let source = sources::find(world, caller, id).map(|position| world.jhe.sources[position].id);
    let source = source.ok_or_else(|| sources::no_match(VIEW))?;
    let tally = rewrite(&mut world.jhe.rows, source);
    Ok(VIEW.reply(
        StatusCode::OK,
        &json!({
            "rowsIndexed": tally.rows,
            "refsRewritten": tally.rewritten,
            "refsNotFound": tally.not_found,
        }),
    ))
}

#[derive(Default)]
struct Tally {
    rows: usize,
    rewritten: usize,
    not_found: usize,
}

/// Rewrites what has the form `Type/<id>`. DIFFERENCE: what JHE makes of other forms (an absolute
/// address, say) was not recorded; they stay. Nor is it known how JHE counts: here each place counts.
fn rewrite(rows: &mut Rows, source: u64) -> Tally {
    let mut tally = Tally::default();
    for position in 0..rows.len() {
        if rows[position].source != source {
            continue;
        }
        tally.rows += 1;
        let mut stored = rows[position].stored.clone();
        each_reference(&mut stored, &mut |reference| {
            let Some((resource_type, id)) = typed(reference) else {
                return;
            };
            if rows.with_id(id).is_some() {
                return;
            }
            *reference = match rows.with_upstream_id(source, resource_type, id) {
                Some(row) => {
                    tally.rewritten += 1;
                    format!("{resource_type}/{}", row.id)
                }
                None => {
                    tally.not_found += 1;
                    format!("{NOT_FOUND}{id}")
                }
            };
        });
        rows.restate(position, stored);
    }
    tally
}

/// Type and id, if that is all there is.
fn typed(reference: &str) -> Option<(&str, &str)> {
    let (resource_type, id) = reference.split_once('/')?;
    let is_type = resource_type.starts_with(|first: char| first.is_ascii_uppercase());
    (is_type && !id.contains('/')).then_some((resource_type, id))
}

/// All texts under the name `reference`.
fn each_reference(value: &mut Value, act: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "reference" => act(text),
                    other => each_reference(other, act),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|it| each_reference(it, act)),
        _ => {}
    }
}
