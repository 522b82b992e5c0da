//! `/o/token/`, `/o/revoke_token/` and `/o/userinfo/`, with oauthlib's order of checks.

use axum::extract::State;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::django::either;
use super::invitation::JHE_CLIENT_ID;
use super::{Tokens, discovery};
use crate::Shared;
use crate::exchange::{Incoming, Parameters, content, html, set};
use crate::random;
use crate::settings::JheVersion;
use crate::world::World;

/// An id_token lives ten hours.
const ID_TOKEN_SECONDS: i64 = 36_000;

pub(super) async fn token(State(shared): State<Shared>, request: Incoming) -> Response {
    match request.method {
        Method::POST => {
            let mut world = shared.world();
            either(issue(&mut world, &request.form()))
        }
        Method::OPTIONS => match shared.world().settings.jhe.version {
            JheVersion::Mychart => only_post(StatusCode::OK),
            JheVersion::PatientAccess => html(StatusCode::NO_CONTENT, ""),
        },
        _ => only_post(StatusCode::METHOD_NOT_ALLOWED),
    }
}

pub(super) async fn revoke(State(shared): State<Shared>, request: Incoming) -> Response {
    if request.method != Method::POST {
        return only_post(StatusCode::METHOD_NOT_ALLOWED);
    }
    let form = request.form();
    if form.get("client_id") != Some(JHE_CLIENT_ID) {
        return invalid_client();
    }
    if let Some(token) = form.get("token") {
        // RFC 7009 §2.2: an unknown token is no error.
        shared
            .world()
            .jhe
            .tokens
            .retain(|tokens| tokens.access != token && tokens.refresh != token);
    }
    html(StatusCode::OK, "")
}

pub(super) async fn userinfo(State(shared): State<Shared>, request: Incoming) -> Response {
    let world = shared.world();
    let tokens = request.bearer().and_then(|token| {
        world
            .jhe
            .tokens
            .iter()
            .find(|tokens| tokens.access == token && tokens.expires > world.now())
    });
    match tokens.and_then(|tokens| world.jhe.user(tokens.user)) {
        Some(user) => {
            let body = json!({"sub": user.id.to_string(), "email": user.email});
            content(StatusCode::OK, "application/json", body.to_string())
        }
        None => {
            let description = "The access token provided is expired, revoked, malformed, or invalid for other reasons.";
            let body = json!({"error": "invalid_token", "error_description": description});
            let mut response = content(
                StatusCode::UNAUTHORIZED,
                "application/json",
                body.to_string(),
            );
            set(
                &mut response,
                WWW_AUTHENTICATE,
                "Bearer error=\"invalid_token\"",
            );
            response
        }
    }
}

/// The later version lets pages of any origin use these endpoints, and those of its discovery.
pub(crate) fn add_cors(version: JheVersion, path: &str, response: &mut Response) {
    let is_open = path.starts_with("/o/")
        || [discovery::METADATA, discovery::SMART_CONFIGURATION].contains(&path);
    if version == JheVersion::PatientAccess && is_open {
        set(response, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(response, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
        set(
            response,
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type",
        );
        set(response, ACCESS_CONTROL_MAX_AGE, "86400");
    }
}

fn issue(world: &mut World, form: &Parameters) -> Result<Response, Response> {
    match form.get("grant_type") {
        Some("authorization_code") => exchange_code(world, form),
        Some("refresh_token") => refresh(world, form),
        _ => Err(refuse("unsupported_grant_type", None)),
    }
}

fn exchange_code(world: &mut World, form: &Parameters) -> Result<Response, Response> {
    let code = form
        .get("code")
        .ok_or_else(|| refuse("invalid_request", Some("Missing code parameter.")))?;
    if form.get("client_id") != Some(JHE_CLIENT_ID) {
        return Err(invalid_client());
    }
    let now = world.now();
    let position = world
        .jhe
        .codes
        .iter()
        .position(|grant| grant.code == code && grant.expires > now)
        .ok_or_else(|| refuse("invalid_grant", None))?;
    let grant = &world.jhe.codes[position];
    let verifier = form
        .get("code_verifier")
        .ok_or_else(|| refuse("invalid_request", Some("Code verifier required.")))?;
    // DIFFERENCE: JHE makes the verifier out of the invitation's token; RFC 7636 §4.1 wants it random.
    if verifier != BASE64_STANDARD_NO_PAD.encode(&grant.invitation) {
        return Err(refuse("invalid_grant", None));
    }
    // A missing redirect_uri is accepted, the client has exactly one registered.
    let registered = format!("{}/auth/callback", world.origins.jhe);
    if form
        .get("redirect_uri")
        .is_some_and(|uri| uri != registered)
    {
        return Err(refuse("invalid_request", Some("Mismatching redirect URI.")));
    }
    let Some(user) = world
        .jhe
        .patient(grant.patient)
        .and_then(|patient| patient.user_id())
    else {
        return Err(refuse("invalid_grant", None));
    };
    // Only now is the code used up: a failed attempt leaves it.
    world.jhe.codes.remove(position);
    Ok(grant_tokens(world, user))
}

fn refresh(world: &mut World, form: &Parameters) -> Result<Response, Response> {
    let token = form
        .get("refresh_token")
        .ok_or_else(|| refuse("invalid_request", Some("Missing refresh token parameter.")))?;
    if form.get("client_id") != Some(JHE_CLIENT_ID) {
        return Err(invalid_client());
    }
    let position = world
        .jhe
        .tokens
        .iter()
        .position(|tokens| tokens.refresh == token)
        .ok_or_else(|| refuse("invalid_grant", None))?;
    let old = world.jhe.tokens.remove(position);
    Ok(grant_tokens(world, old.user))
}

fn grant_tokens(world: &mut World, user: u64) -> Response {
    let (now, lifetime) = (world.now(), world.settings.jhe.token_seconds);
    let tokens = world.jhe.issue_tokens(user, now, lifetime);
    let body = json!({
        "access_token": tokens.access,
        "expires_in": lifetime,
        "token_type": "Bearer",
        "scope": "openid email",
        "refresh_token": tokens.refresh,
        "id_token": id_token(world, &tokens),
    });
    oauth(StatusCode::OK, &body)
}

/// A JWT with JHE's header and claims. Its signature is random: nothing in this flow verifies it.
fn id_token(world: &World, tokens: &Tokens) -> String {
    let now = world.now().unix_seconds();
    let email = world.jhe.user(tokens.user).map(|user| user.email.clone());
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "sandbox"});
    let claims = json!({
        "iss": format!("{}/o", world.origins.jhe),
        "aud": JHE_CLIENT_ID,
        "sub": tokens.user.to_string(),
        "email": email,
        "iat": now,
        "auth_time": now,
        "exp": now + ID_TOKEN_SECONDS,
        "jti": random::uuid(),
        "at_hash": random::alphanumeric(22),
    });
    let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    format!(
        "{}.{}.{}",
        part(header),
        part(claims),
        random::alphanumeric(342)
    )
}

fn refuse(error: &str, description: Option<&str>) -> Response {
    let mut body = json!({ "error": error });
    if let Some(description) = description {
        body["error_description"] = description.into();
    }
    oauth(StatusCode::BAD_REQUEST, &body)
}

fn invalid_client() -> Response {
    let mut response = oauth(
        StatusCode::UNAUTHORIZED,
        &json!({"error": "invalid_client"}),
    );
    set(
        &mut response,
        WWW_AUTHENTICATE,
        "Bearer error=\"invalid_client\"",
    );
    response
}

fn oauth(status: StatusCode, body: &Value) -> Response {
    let mut response = content(status, "application/json", body.to_string());
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, PRAGMA, "no-cache");
    response
}

fn only_post(status: StatusCode) -> Response {
    let mut response = html(status, "");
    set(&mut response, ALLOW, "POST, OPTIONS");
    response
}
