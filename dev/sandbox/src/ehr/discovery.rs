//! `.well-known/smart-configuration` and `metadata`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::response::Response;
use serde_json::{Value, json};

use super::{AUTHORIZE, FHIR_BASE, KEYS, PULLED_TYPES, TOKEN};
use crate::Shared;
use crate::exchange::{Incoming, content, html};
use crate::settings::{Document, RefreshTokens};
use crate::world::World;

pub(super) async fn smart_configuration(State(shared): State<Shared>) -> Response {
    let world = shared.world();
    let discovery = &world.settings.ehr.discovery;
    if let Some(instead) = instead(discovery.smart_configuration) {
        return instead;
    }
    let mut document = configuration(&world);
    for (name, value) in &discovery.overrides {
        match (document.as_object_mut(), value) {
            (Some(document), Value::Null) => drop(document.remove(name)),
            (Some(document), value) => drop(document.insert(name.clone(), value.clone())),
            (None, _) => {}
        }
    }
    content(StatusCode::OK, "application/json", document.to_string())
}

/// What Epic's sandbox lists: `scopes_supported` is no list of what can be granted.
fn configuration(world: &World) -> Value {
    let ehr = &world.origins.ehr;
    let grant_types: &[&str] = match world.settings.ehr.refresh_tokens {
        RefreshTokens::Off => &["authorization_code"],
        RefreshTokens::On | RefreshTokens::Always => &["authorization_code", "refresh_token"],
    };
    json!({
        "issuer": format!("{ehr}/interconnect/oauth2"),
        "jwks_uri": format!("{ehr}{KEYS}"),
        "authorization_endpoint": authorization_endpoint(world),
        "token_endpoint": format!("{ehr}{TOKEN}"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "grant_types_supported": grant_types,
        "scopes_supported": ["epic.scanning.dmsusername", "fhirUser", "launch", "openid", "profile"],
        "response_types_supported": ["code"],
        "capabilities": [
            "launch-ehr", "launch-standalone", "client-public", "client-confidential-symmetric",
            "context-ehr-patient", "context-standalone-patient", "permission-patient", "permission-user",
            "permission-v1", "permission-v2", "sso-openid-connect", "authorize-post"
        ],
        "code_challenge_methods_supported": ["S256"]
    })
}

fn authorization_endpoint(world: &World) -> String {
    let endpoint = format!("{}{AUTHORIZE}", world.origins.ehr);
    match &world.settings.ehr.authorization_query {
        Some(query) => format!("{endpoint}?{query}"),
        None => endpoint,
    }
}

pub(super) async fn metadata(State(shared): State<Shared>, request: Incoming) -> Response {
    let world = shared.world();
    if let Some(instead) = instead(world.settings.ehr.discovery.metadata) {
        return instead;
    }
    if !request.header(ACCEPT).contains("json") {
        // As at Epic, XML unless JSON is asked for.
        let body = r#"<CapabilityStatement xmlns="http://hl7.org/fhir"><status value="active"/></CapabilityStatement>"#;
        return content(StatusCode::OK, "application/fhir+xml", body);
    }
    let ehr = &world.origins.ehr;
    let oauth_uris = json!([
        {"url": "authorize", "valueUri": authorization_endpoint(&world)},
        {"url": "token", "valueUri": format!("{ehr}{TOKEN}")},
    ]);
    let resources: Vec<Value> = PULLED_TYPES
        .iter()
        .map(|name| match *name {
            "Patient" => json!({"type": name, "interaction": [{"code": "read"}]}),
            _ => json!({"type": name, "interaction": [{"code": "read"}, {"code": "search-type"}]}),
        })
        .collect();
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["xml", "json"],
        "implementation": {"description": "Stand-in EHR", "url": format!("{ehr}{FHIR_BASE}")},
        "rest": [{
            "mode": "server",
            "security": {
                "extension": [{
                    "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                    "extension": oauth_uris,
                }],
                "cors": true,
            },
            "resource": resources,
        }],
    });
    content(
        StatusCode::OK,
        "application/fhir+json",
        statement.to_string(),
    )
}

fn instead(document: Document) -> Option<Response> {
    match document {
        Document::Served => None,
        Document::NotFound => Some(html(
            StatusCode::NOT_FOUND,
            "<html><body><h1>404</h1></body></html>",
        )),
        Document::Html => Some(html(
            StatusCode::OK,
            "<html><body><h1>Welcome to our hospital</h1></body></html>",
        )),
    }
}
