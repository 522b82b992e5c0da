//! `POST /api/v1/invitation` and `POST /api/v1/invitation/<token>`.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::django::{View, either};
use super::{Caller, GrantCode};
use crate::Shared;
use crate::exchange::Incoming;
use crate::random;
use crate::settings::JheVersion;
use crate::world::{Layout, World};

/// JHE's id of the client that invitations are for.
const CLIENT: u64 = 3;
/// JHE's OAuth client id, the one in the grant.
pub(super) const JHE_CLIENT_ID: &str = "Zq3VwT8nLr5KcYb1XhUe7GsPd0MfAj2RoIi9NtBk";

const ADMIN: View = View::detail("GET, POST, HEAD, OPTIONS");
const REDEEM: View = View::detail("POST, OPTIONS");
/// Where a token that is not 32 alphanumerics ends up: the view of one invitation by its id.
const BY_ID: View = View::detail("GET, PUT, PATCH, DELETE, HEAD, OPTIONS");

pub(super) async fn create(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    either(mint(&mut world, &request))
}

pub(super) async fn redeem(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    let well_formed = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
    either(if well_formed {
        redeem_token(&mut world, &request, &token)
    } else {
        BY_ID
            .enter(&world, &request)
            .map(|_| BY_ID.not_allowed(&request))
    })
}

fn mint(world: &mut World, request: &Incoming) -> Result<Response, Response> {
    let (body, caller) = ADMIN.enter(world, request)?;
    if request.method != Method::POST {
        return Err(ADMIN.not_allowed(request));
    }
    let Caller::Practitioner { .. } = caller else {
        let text = "You do not have permission to perform this action.";
        return Err(ADMIN.refuse(StatusCode::FORBIDDEN, text));
    };
    let Some(patient) = body["patientId"]
        .as_u64()
        .filter(|id| world.jhe.patient(*id).is_some())
    else {
        return Err(ADMIN.reply(
            StatusCode::BAD_REQUEST,
            &json!({"patientId": ["This field is required."]}),
        ));
    };
    let token = world.mint_invitation(patient);
    let hash: String = Sha256::digest(&token)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let id = world
        .jhe
        .invitations
        .iter()
        .find(|invitation| invitation.token == token)
        .map(|it| it.id);
    let (status, layout) = match world.settings.jhe.version {
        JheVersion::Mychart => (StatusCode::OK, Layout::DropIn),
        JheVersion::PatientAccess => (StatusCode::CREATED, Layout::PatientAccess),
    };
    Ok(ADMIN.reply(
        status,
        &json!({
            "id": id,
            "patientId": patient,
            "client_id": CLIENT,
            "tokenHash": hash,
            "token": token,
            "status": "issued",
            "lastUpdated": world.now().with_micros(),
            "invitationLink": world.invitation_link(&token, layout),
        }),
    ))
}

fn redeem_token(world: &mut World, request: &Incoming, token: &str) -> Result<Response, Response> {
    if request.method != Method::POST {
        // Only redeeming is open to everybody; any other method asks for a token first.
        REDEEM.enter(world, request)?;
        return Err(match request.method {
            Method::OPTIONS => REDEEM.describe(),
            _ => REDEEM.not_allowed(request),
        });
    }
    REDEEM.open(request)?;
    let now = world.now();
    let settings = world.settings.jhe.clone();
    let Some(invitation) = world.jhe.invitations.iter().find(|it| it.token == token) else {
        return Err(REDEEM.refuse(
            StatusCode::NOT_FOUND,
            "Invitation not found or already used.",
        ));
    };
    if invitation.cancelled {
        return Err(REDEEM.refuse(StatusCode::FORBIDDEN, "Invitation has been cancelled."));
    }
    let used_up = invitation
        .redeemed
        .is_some_and(|at| at.plus_seconds(settings.redemption_seconds) < now);
    if invitation.superseded || used_up {
        return Err(REDEEM.refuse(StatusCode::CONFLICT, "Invitation has already been used."));
    }
    if invitation.redeemed.is_none()
        && invitation.issued.plus_seconds(settings.invitation_seconds) < now
    {
        return Err(REDEEM.refuse(StatusCode::GONE, "Invitation has expired."));
    }
    let patient = invitation.patient;
    if world
        .jhe
        .patient(patient)
        .is_none_or(|patient| patient.user.is_none())
    {
        let body = json!(["Patient has no associated user account."]);
        return Err(REDEEM.reply(StatusCode::BAD_REQUEST, &body));
    }

    // Each redemption deletes the previous unexchanged code, and restarts the 12 hours.
    world.jhe.codes.retain(|code| code.patient != patient);
    if let Some(invitation) = world.jhe.invitation_mut(token) {
        invitation.redeemed = Some(now);
    }
    let code = random::alphanumeric(30);
    let expires = now.plus_seconds(settings.code_seconds);
    world.jhe.codes.push(GrantCode {
        code: code.clone(),
        patient,
        invitation: token.to_owned(),
        expires,
    });
    Ok(REDEEM.reply(StatusCode::OK, &grant(world, &code, &expires.with_micros())))
}

fn grant(world: &World, code: &str, expires: &str) -> Value {
    let jhe = &world.origins.jhe;
    json!({
        "grant": {
            "grant_type": "authorization_code",
            "redirect_uri": format!("{jhe}/auth/callback"),
            "client_id": JHE_CLIENT_ID,
            "code": code,
        },
        "token_endpoint": format!("{jhe}/o/token/"),
        "expires": expires,
    })
}
