//! `.well-known/smart-configuration` and `metadata`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::response::Response;
use serde_json::{Value, json};

use super::vendors::{Revocation, TENANT};
use super::{KEYS, PULLED_TYPES, Vendor};
use crate::Shared;
use crate::conduct::pause;
use crate::exchange::{Incoming, content, empty, html};
use crate::settings::{Document, RefreshTokens};
use crate::world::World;

pub(super) async fn smart_configuration(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
) -> Response {
    let discovery = shared.world().settings.ehr.discovery_of(vendor);
    if let Some(instead) = instead(discovery.smart_configuration).await {
        return instead;
    }
    let mut document = configuration(&shared.world(), vendor);
    if let (Document::WithoutEndpoints, Some(document)) =
        (discovery.smart_configuration, document.as_object_mut())
    {
        document.remove("authorization_endpoint");
        document.remove("token_endpoint");
    }
    for (name, value) in &discovery.overrides {
        match (document.as_object_mut(), value) {
            (Some(document), Value::Null) => drop(document.remove(name)),
            (Some(document), value) => drop(document.insert(name.clone(), value.clone())),
            (None, _) => {}
        }
    }
    content(StatusCode::OK, "application/json", document.to_string())
}

fn configuration(world: &World, vendor: Vendor) -> Value {
    let origins = &world.origins;
    let endpoints = vendor.authorization_origin(origins);
    let grant_types: &[&str] = match world.settings.ehr.refresh_tokens {
        RefreshTokens::Off => &["authorization_code"],
        RefreshTokens::On | RefreshTokens::Always => &["authorization_code", "refresh_token"],
    };
    let mut document = json!({
        "issuer": issuer(world, vendor),
        "jwks_uri": format!("{}{KEYS}", origins.ehr),
        "authorization_endpoint": authorization_endpoint(world, vendor),
        "token_endpoint": token_endpoint(world, vendor),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "grant_types_supported": grant_types,
        "response_types_supported": ["code"],
        "capabilities": [
            "launch-ehr", "launch-standalone", "client-public", "client-confidential-symmetric",
            "context-ehr-patient", "context-standalone-patient", "permission-patient", "permission-user",
            "permission-v1", "sso-openid-connect"
        ],
    });
    match vendor {
        Vendor::Epic => {
            // What Epic's sandbox lists: it is no list of what can be granted.
            document["scopes_supported"] = json!([
                "epic.scanning.dmsusername",
                "fhirUser",
                "launch",
                "openid",
                "profile"
            ]);
            if let Some(capabilities) = document["capabilities"].as_array_mut() {
                capabilities.extend([json!("permission-v2"), json!("authorize-post")]);
            }
        }
        Vendor::Athenahealth => {}
        Vendor::OracleHealth | Vendor::Meditech | Vendor::Hapi => {
            document["scopes_supported"] =
                json!(["openid", "fhirUser", "launch/patient", "patient/*.read"]);
        }
    }
    if revokes(world, vendor) {
        let endpoint = format!("{endpoints}{}", vendor.revocation_path());
        document["revocation_endpoint"] = json!(endpoint);
    }
    if vendor != Vendor::OracleHealth {
        document["code_challenge_methods_supported"] = json!(["S256"]);
    }
    document
}

/// Whether tokens can be revoked here.
pub(super) fn revokes(world: &World, vendor: Vendor) -> bool {
    let habit = vendor.habits().revocation == Revocation::Offered;
    world.settings.ehr.revocation.unwrap_or(habit)
}

/// Who issues an `id_token`.
pub(super) fn issuer(world: &World, vendor: Vendor) -> String {
    let origins = &world.origins;
    let endpoints = vendor.authorization_origin(origins);
    match vendor {
        Vendor::Epic => format!("{endpoints}/interconnect/oauth2"),
        Vendor::OracleHealth => format!("{endpoints}/tenants/{TENANT}"),
        // The issuer is not where the endpoints are.
        Vendor::Athenahealth => format!("{}/oauth2/aus2sandbox", origins.authorization),
        Vendor::Meditech | Vendor::Hapi => origins.iss_of(vendor),
    }
}

fn authorization_endpoint(world: &World, vendor: Vendor) -> String {
    let origin = vendor.authorization_origin(&world.origins);
    let endpoint = format!("{origin}{}", vendor.habits().authorize);
    match &world.settings.ehr.authorization_query {
        Some(query) => format!("{endpoint}?{query}"),
        None => endpoint,
    }
}

fn token_endpoint(world: &World, vendor: Vendor) -> String {
    let origin = vendor.authorization_origin(&world.origins);
    format!("{origin}{}", vendor.habits().token)
}

pub(super) async fn metadata(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    request: Incoming,
) -> Response {
    let document = shared.world().settings.ehr.discovery_of(vendor).metadata;
    if let Some(instead) = instead(document).await {
        return instead;
    }
    let world = shared.world();
    if vendor == Vendor::Epic && !request.header(ACCEPT).contains("json") {
        // As at Epic, XML unless JSON is asked for.
        let body = r#"<CapabilityStatement xmlns="http://hl7.org/fhir"><status value="active"/></CapabilityStatement>"#;
        return content(StatusCode::OK, "application/fhir+xml", body);
    }
    let oauth_uris = json!([
        {"url": "authorize", "valueUri": authorization_endpoint(&world, vendor)},
        {"url": "token", "valueUri": token_endpoint(&world, vendor)},
    ]);
    let resources: Vec<Value> = PULLED_TYPES
        .iter()
        .map(|name| match *name {
            "Patient" => json!({"type": name, "interaction": [{"code": "read"}]}),
            _ => json!({"type": name, "interaction": [{"code": "read"}, {"code": "search-type"}]}),
        })
        .collect();
    let mut statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["xml", "json"],
        "implementation": {"description": "Stand-in EHR", "url": world.origins.iss_of(vendor)},
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
    if let (Document::WithoutEndpoints, Some(rest)) =
        (document, statement["rest"][0].as_object_mut())
    {
        rest.remove("security");
    }
    content(
        StatusCode::OK,
        "application/fhir+json",
        statement.to_string(),
    )
}

async fn instead(document: Document) -> Option<Response> {
    match document {
        Document::Served | Document::WithoutEndpoints => None,
        Document::Error => Some(html(
            StatusCode::INTERNAL_SERVER_ERROR,
            "<html><body><h1>500</h1></body></html>",
        )),
        Document::Hangs => {
            pause(600_000).await;
            Some(empty(StatusCode::GATEWAY_TIMEOUT))
        }
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
