//! The token endpoint, with Epic's shapes.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{AccessToken, Grant};
use crate::Shared;
use crate::exchange::{Incoming, Parameters, content, empty, set};
use crate::random;
use crate::world::World;

pub(super) async fn token(State(shared): State<Shared>, request: Incoming) -> Response {
    if request.method != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let mut world = shared.world();
    match exchange_code(&mut world, &request.form()) {
        Ok(body) => reply(StatusCode::OK, &body),
        Err(error) => reply(
            StatusCode::BAD_REQUEST,
            &json!({"error": error, "error_description": null}),
        ),
    }
}

fn exchange_code(world: &mut World, form: &Parameters) -> Result<Value, &'static str> {
    match form.get("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return Err("unsupported_grant_type"),
        None => return Err("invalid_request"),
    }
    let (Some(code), Some(redirect_uri), Some(verifier)) = (
        form.get("code"),
        form.get("redirect_uri"),
        form.get("code_verifier"),
    ) else {
        return Err("invalid_request");
    };
    let client_id = form.get("client_id").unwrap_or_default();
    if !world
        .settings
        .ehr
        .clients
        .iter()
        .any(|client| client.client_id == client_id)
    {
        return Err("invalid_client");
    }
    let position = world
        .ehr
        .grants
        .iter()
        .position(|grant| grant.code == code)
        .ok_or("invalid_grant")?;
    // RFC 6749 §4.1.2: "The client MUST NOT use the authorization code more than once." A failed
    // attempt counts: whoever made it may have stolen the code.
    let grant = world.ehr.grants.remove(position);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let is_good = grant.client_id == client_id
        && grant.redirect_uri == redirect_uri
        && grant.challenge == challenge
        && grant.expires > world.now();
    if is_good {
        Ok(issue(world, &grant))
    } else {
        Err("invalid_grant")
    }
}

fn issue(world: &mut World, grant: &Grant) -> Value {
    let settings = world.settings.ehr.clone();
    let scope = settings
        .granted_scopes
        .unwrap_or_else(|| grant.scope.clone());
    let patient = world
        .ehr
        .patient(&grant.login)
        .map(|patient| patient.id.clone())
        .unwrap_or_default();
    let token = random::alphanumeric(240);
    let expires = world.now().plus_seconds(settings.token_seconds);
    world.ehr.tokens.push(AccessToken {
        token: token.clone(),
        patient: patient.clone(),
        scope: scope.clone(),
        expires,
    });
    let mut body = json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": settings.token_seconds,
        "scope": scope,
        "need_patient_banner": "false",
    });
    if !settings.omit_patient {
        body["patient"] = json!(patient);
        body["__epic.dstu2.patient"] = json!(random::alphanumeric(44));
    }
    if let Some(id_token) = settings
        .id_token
        .filter(|_| scope.split_whitespace().any(|scope| scope == "openid"))
    {
        body["id_token"] = json!(id_token);
    }
    for (name, value) in settings.token_response {
        if let Some(body) = body.as_object_mut() {
            match value {
                Value::Null => drop(body.remove(&name)),
                value => drop(body.insert(name, value)),
            }
        }
    }
    body
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let mut response = content(status, "application/json", body.to_string());
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, PRAGMA, "no-cache");
    response
}
