//! The token endpoints.

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::discovery;
use super::identity;
use super::vendors::TENANT;
use super::{ATHENA_PRACTICE, AccessToken, Grant, RefreshState, RefreshToken, SignedIn, Vendor};
use crate::Shared;
use crate::exchange::{Incoming, Parameters, content, empty, set};
use crate::random;
use crate::settings::RefreshTokens;
use crate::world::World;

pub(super) async fn token(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    request: Incoming,
) -> Response {
    if request.method != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let mut world = shared.world();
    let form = request.form();
    let answer = match form.get("grant_type") {
        Some("authorization_code") => exchange_code(&mut world, vendor, &form),
        Some("refresh_token") if world.settings.ehr.refresh_tokens != RefreshTokens::Off => {
            refresh(&mut world, vendor, &form)
        }
        Some(_) => Err("unsupported_grant_type"),
        None => Err("invalid_request"),
    };
    match answer {
        Ok(body) => reply(StatusCode::OK, &body),
        Err(error) => reply(StatusCode::BAD_REQUEST, &refusal(&world, vendor, error)),
    }
}

/// RFC 7009.
pub(super) async fn revoke(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    if !discovery::revokes(&world, vendor) {
        return super::not_found();
    }
    if request.method != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let form = request.form();
    let given = form.get("token").ok_or("invalid_request");
    let given = given.and_then(|token| known_client(&world, &form).map(|client| (token, client)));
    let (token, client) = match given {
        Ok(given) => given,
        Err(error) => return reply(StatusCode::BAD_REQUEST, &refusal(&world, vendor, error)),
    };
    let ehr = &mut world.ehr;
    let mut refreshing = ehr.refresh_tokens.iter();
    let found = refreshing
        .find(|it| it.token == token && it.vendor == vendor && it.client_id == client)
        .map(|it| it.family.clone());
    match found {
        // §2.1: "If the particular token is a refresh token", the access tokens of the same grant end, too.
        Some(family) => {
            ehr.tokens.retain(|it| it.family != family);
            for it in ehr
                .refresh_tokens
                .iter_mut()
                .filter(|it| it.family == family)
            {
                it.state = RefreshState::Revoked;
            }
        }
        None => ehr
            .tokens
            .retain(|it| it.token != token || it.vendor != vendor),
    }
    // §2.2: the answer is 200 also to "an invalid token".
    empty(StatusCode::OK)
}

/// What is said beside the error's code.
fn refusal(world: &World, vendor: Vendor, error: &str) -> Value {
    match vendor {
        Vendor::Epic => json!({"error": error, "error_description": null}),
        Vendor::OracleHealth => {
            let origin = vendor.authorization_origin(&world.origins);
            json!({"error": error, "error_uri": format!("{origin}/errors/{error}")})
        }
        Vendor::Athenahealth => {
            let description = format!("The request was refused: {}.", error.replace('_', " "));
            json!({"error": error, "error_description": description})
        }
        Vendor::Meditech | Vendor::Hapi => json!({ "error": error }),
    }
}

fn exchange_code(
    world: &mut World,
    vendor: Vendor,
    form: &Parameters,
) -> Result<Value, &'static str> {
    let (Some(code), Some(redirect_uri), Some(verifier)) = (
        form.get("code"),
        form.get("redirect_uri"),
        form.get("code_verifier"),
    ) else {
        return Err("invalid_request");
    };
    let client_id = known_client(world, form)?;
    let position = world
        .ehr
        .grants
        .iter()
        .position(|grant| grant.code == code && grant.vendor == vendor)
        .ok_or("invalid_grant")?;
    // RFC 6749 §4.1.2: "The client MUST NOT use the authorization code more than once." A failed
    // attempt counts: whoever made it may have stolen the code.
    let grant = world.ehr.grants.remove(position);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let is_good = grant.client_id == client_id
        && grant.redirect_uri == redirect_uri
        && grant.challenge == challenge
        && grant.expires > world.now();
    if !is_good {
        return Err("invalid_grant");
    }
    let scope = world.settings.ehr.granted_scopes.clone();
    let scope = scope.unwrap_or(grant.scope);
    let may_refresh = match world.settings.ehr.refresh_tokens {
        RefreshTokens::Off => false,
        RefreshTokens::On => has(&scope, "offline_access") || has(&scope, "online_access"),
        RefreshTokens::Always => true,
    };
    let family = random::uuid();
    let refresh_token = may_refresh.then(|| RefreshToken {
        token: random::alphanumeric(240),
        vendor,
        family: family.clone(),
        client_id: grant.client_id.clone(),
        signed_in: grant.signed_in.clone(),
        scope: scope.clone(),
        state: RefreshState::Good,
    });
    let mut body = issue(
        world,
        vendor,
        (&grant.signed_in, &family),
        &scope,
        refresh_token,
    );
    let tells_who = has(&scope, "openid") && has(&scope, "fhirUser");
    if tells_who && body.get("id_token").is_none() {
        let of_grant = Grant { scope, ..grant };
        body["id_token"] = json!(identity::id_token(world, &of_grant));
    }
    replace_members(world, &mut body);
    Ok(body)
}

fn refresh(world: &mut World, vendor: Vendor, form: &Parameters) -> Result<Value, &'static str> {
    let given = form.get("refresh_token").ok_or("invalid_request")?;
    let client_id = known_client(world, form)?;
    let tokens = &mut world.ehr.refresh_tokens;
    let old = tokens
        .iter_mut()
        .find(|it| it.token == given && it.vendor == vendor && it.client_id == client_id)
        .ok_or("invalid_grant")?;
    if old.state != RefreshState::Good {
        // RFC 9700 §4.14.2: when a rotated token comes again somebody has stolen one, and the server
        // "will revoke the active refresh token".
        let family = old.family.clone();
        for token in tokens.iter_mut().filter(|it| it.family == family) {
            token.state = RefreshState::Revoked;
        }
        return Err("invalid_grant");
    }
    if vendor == Vendor::Athenahealth && form.get("scope").is_none() {
        // DIFFERENCE: RFC 6749 §6 makes it optional.
        return Err("invalid_request");
    }
    // RFC 6749 §6: the scope "MUST NOT include any scope not originally granted".
    let scope = form.get("scope").unwrap_or(&old.scope).to_owned();
    if scope.split_whitespace().any(|one| !has(&old.scope, one)) {
        return Err("invalid_scope");
    }
    old.state = RefreshState::Rotated;
    let new = RefreshToken {
        token: random::alphanumeric(240),
        vendor,
        family: old.family.clone(),
        client_id: client_id.to_owned(),
        signed_in: old.signed_in.clone(),
        scope: old.scope.clone(),
        state: RefreshState::Good,
    };
    let (signed_in, family) = (new.signed_in.clone(), new.family.clone());
    let mut body = issue(world, vendor, (&signed_in, &family), &scope, Some(new));
    replace_members(world, &mut body);
    Ok(body)
}

/// The members that a test wants to be different.
fn replace_members(world: &World, body: &mut Value) {
    for (name, value) in &world.settings.ehr.token_response {
        if let Some(body) = body.as_object_mut() {
            match value {
                Value::Null => drop(body.remove(name)),
                value => drop(body.insert(name.clone(), value.clone())),
            }
        }
    }
}

fn known_client<'a>(world: &World, form: &'a Parameters) -> Result<&'a str, &'static str> {
    let client_id = form.get("client_id").unwrap_or_default();
    let mut clients = world.settings.ehr.clients.iter();
    if clients.any(|client| client.client_id == client_id) {
        Ok(client_id)
    } else {
        Err("invalid_client")
    }
}

fn has(scopes: &str, wanted: &str) -> bool {
    scopes.split_whitespace().any(|scope| scope == wanted)
}

fn issue(
    world: &mut World,
    vendor: Vendor,
    (signed_in, family): (&SignedIn, &str),
    scope: &str,
    refresh_token: Option<RefreshToken>,
) -> Value {
    let settings = world.settings.ehr.clone();
    let patient = world
        .ehr
        .patient(&signed_in.login)
        .map(|patient| patient.id.clone())
        .unwrap_or_default();
    let token = random::alphanumeric(240);
    let expires = world.now().plus_seconds(settings.token_seconds);
    world.ehr.tokens.push(AccessToken {
        token: token.clone(),
        vendor,
        family: family.to_owned(),
        patient: patient.clone(),
        scope: scope.to_owned(),
        expires,
    });
    let mut body = json!({
        "access_token": token,
        "expires_in": settings.token_seconds,
        "scope": scope,
    });
    if !settings.omit_patient {
        body["patient"] = json!(patient);
    }
    let (token_type, own_members) = match vendor {
        Vendor::Epic => (
            "bearer",
            json!({"need_patient_banner": "false", "__epic.dstu2.patient": random::alphanumeric(44)}),
        ),
        Vendor::OracleHealth => (
            "Bearer",
            json!({"need_patient_banner": true, "tenant": TENANT, "username": signed_in.login}),
        ),
        Vendor::Athenahealth => ("Bearer", json!({ "ah_practice": ATHENA_PRACTICE })),
        Vendor::Meditech | Vendor::Hapi => ("Bearer", json!({})),
    };
    body["token_type"] = json!(token_type);
    if let (Some(body), Value::Object(own_members)) = (body.as_object_mut(), own_members) {
        body.extend(own_members);
    }
    if let Some(id_token) = settings.id_token.filter(|_| has(scope, "openid")) {
        body["id_token"] = json!(id_token);
    }
    if let Some(refresh_token) = refresh_token {
        body["refresh_token"] = json!(refresh_token.token);
        if let Some(seconds) = settings.refresh_token_seconds {
            body["refresh_token_expires_in"] = json!(seconds);
        }
        world.ehr.refresh_tokens.push(refresh_token);
    }
    body
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let mut response = content(status, "application/json", body.to_string());
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, PRAGMA, "no-cache");
    response
}
