//! `GET /api/v1/users/profile`: who is signed in, with the ids that the patient has elsewhere.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::Caller;
use super::django::{View, either};
use crate::Shared;
use crate::exchange::Incoming;
use crate::world::World;

const VIEW: View = View::detail("GET, HEAD, OPTIONS");

pub(super) async fn profile(State(shared): State<Shared>, request: Incoming) -> Response {
    either(answer(&shared.world(), &request))
}

fn answer(world: &World, request: &Incoming) -> Result<Response, Response> {
    let (_, caller) = VIEW.enter(world, request)?;
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(VIEW.describe()),
        _ => return Err(VIEW.not_allowed(request)),
    }
    let (user, user_type, patient) = match caller {
        Caller::Practitioner { user } => (user, "practitioner", None),
        Caller::Patient { id, user } => (user, "patient", world.jhe.patient(id)),
    };
    let patient = patient.map(|patient| {
        let mut told = json!({
            "id": patient.id,
            "jheUserId": user,
            "identifiers": patient.identifiers,
            "organizations": [{
                "id": 20_003,
                "name": "Canal Side Study",
                "type": "laboratory",
                "partOf": 20_002,
                "currentUserRole": null,
                "children": [],
            }],
        });
        if world.settings.jhe.profile_names {
            // DIFFERENCE: the recorded profiles have none of these.
            let (given, family) = (patient.full_name.rsplit_once(' ')).unwrap_or_default();
            told["nameGiven"] = json!(given);
            told["nameFamily"] = json!(family);
            told["birthDate"] = json!(patient.birth_date);
        }
        told
    });
    let body = json!({"id": user, "patient": patient, "userType": user_type, "isSuperuser": false});
    Ok(VIEW.reply(StatusCode::OK, &body))
}
