//! The hospital: discovery, a sign-in that asks nothing, and the patient's records, readable from any origin (CORS).

use std::borrow::Cow;
use std::time::Instant;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ORIGIN, VARY,
};
use hyper::{Method, StatusCode};
use serde_json::json;
use url::form_urlencoded;

use crate::chart::PATIENT;
use crate::serve::{Asked, Reply, content, empty, set};
use crate::world::{Run, World};

/// The FHIR base's path.
pub(crate) const FHIR_BASE: &str = "/interconnect/api/FHIR/R4";
/// The app's client id.
pub(crate) const CLIENT_ID: &str = "bench-client";

const AUTHORIZE: &str = "/interconnect/oauth2/authorize";
const TOKEN: &str = "/interconnect/oauth2/token";

pub(crate) fn answer(world: &World, run: &Run, asked: &Asked) -> Reply {
    let mut reply = if asked.parts.method == Method::OPTIONS {
        run.ledger().preflights += 1;
        let mut reply = empty(StatusCode::OK);
        set(
            &mut reply,
            ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, OPTIONS",
        );
        set(
            &mut reply,
            ACCESS_CONTROL_ALLOW_HEADERS,
            "origin, authorization, accept, content-type, x-requested-with, prefer, epic-client-id",
        );
        reply
    } else {
        route(world, run, asked)
    };
    allow(asked, &mut reply);
    reply
}

/// Lets the page that asked read the answer.
pub(crate) fn allow(asked: &Asked, reply: &mut Reply) {
    let origin = asked.header(ORIGIN);
    if !origin.is_empty() {
        set(reply, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set(reply, VARY, "Origin");
    }
}

/// Is it a request for records?
pub(crate) fn is_page(asked: &Asked) -> bool {
    let below = asked.path().strip_prefix(FHIR_BASE).unwrap_or_default();
    asked.parts.method == Method::GET
        && !below.is_empty()
        && !["/metadata", "/.well-known/smart-configuration"].contains(&below)
}

fn route(world: &World, run: &Run, asked: &Asked) -> Reply {
    match (asked.path(), asked.path().strip_prefix(FHIR_BASE)) {
        (AUTHORIZE, _) => {
            run.arrive();
            sign_in(asked)
        }
        (TOKEN, _) => crate::serve::json(
            StatusCode::OK,
            json!({
                "access_token": "bench-ehr-token",
                "token_type": "bearer",
                "expires_in": 3600,
                "scope": run.chart.task().scope(),
                "patient": PATIENT,
            }),
        ),
        (_, Some("/.well-known/smart-configuration")) => {
            crate::serve::json(StatusCode::OK, smart_configuration(world))
        }
        (_, Some("/metadata")) => crate::serve::json(StatusCode::OK, capabilities(world, run)),
        (_, Some(path)) => records(run, path.trim_start_matches('/'), asked),
        _ => empty(StatusCode::NOT_FOUND),
    }
}

/// The hospital's sign-in, which asks nothing: the measurement begins when it sends the patient back to the app.
fn sign_in(asked: &Asked) -> Reply {
    let query = asked.query();
    let redirect_uri = parameter(query, "redirect_uri").unwrap_or_default();
    let state = parameter(query, "state").unwrap_or_default();
    let answer = form_urlencoded::Serializer::new(String::new())
        .append_pair("code", "bench-code")
        .append_pair("state", &state)
        .finish();
    let back = json!(format!("{redirect_uri}?{answer}"));
    let page = format!(
        "<!DOCTYPE html>\n<title>Sign in</title>\n<script>const benchBack = () => location.replace({back});</script>\n"
    );
    content(StatusCode::OK, "text/html; charset=utf-8", page.into())
}

fn smart_configuration(world: &World) -> serde_json::Value {
    let ehr = &world.origins.ehr;
    json!({
        "issuer": world.origins.fhir_base(),
        "authorization_endpoint": format!("{ehr}{AUTHORIZE}"),
        "token_endpoint": format!("{ehr}{TOKEN}"),
        "grant_types_supported": ["authorization_code"],
        "response_types_supported": ["code"],
        "capabilities": ["launch-standalone", "client-public", "context-standalone-patient", "permission-patient"],
        "code_challenge_methods_supported": ["S256"],
    })
}

/// Only what a client looks for in it; Epic's has a megabyte.
fn capabilities(world: &World, run: &Run) -> serde_json::Value {
    let parameters = [
        ("patient", "reference"),
        ("category", "token"),
        ("status", "token"),
    ]
    .map(|(name, kind)| json!({ "name": name, "type": kind }));
    let mut resources = Vec::new();
    for search in run.chart.task().searches() {
        let resource = json!({
            "type": search.resource_type,
            "interaction": [{ "code": "search-type" }],
            "searchParam": parameters,
        });
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementation": { "description": "Bench", "url": world.origins.fhir_base() },
        "rest": [{ "mode": "server", "resource": resources }],
    })
}

fn records(run: &Run, path: &str, asked: &Asked) -> Reply {
    let Some(page) = run.chart.page(path, asked.query()) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let mut ledger = run.ledger();
    ledger.pages += 1;
    ledger.first_page.get_or_insert_with(Instant::now);
    content(StatusCode::OK, "application/fhir+json", page)
}

fn parameter<'a>(query: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value)
}
