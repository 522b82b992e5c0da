//! The authorization endpoint: checks, login, consent, redirect back.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;

use super::vendors::Audience;
use super::{Flow, Grant, Vendor, html};
use crate::Shared;
use crate::exchange::{Incoming, Parameters, empty, set};
use crate::random;
use crate::settings::EhrClient;
use crate::world::World;

pub(super) async fn start(
    State(shared): State<Shared>,
    Extension(vendor): Extension<Vendor>,
    request: Incoming,
) -> Response {
    let mut world = shared.world();
    match check(&world, vendor, &request.query()) {
        Ok((flow, app)) => {
            let page = html::login(&flow, &app.name, None);
            world.ehr.flows.push(flow);
            page
        }
        Err(Refusal::OwnPage(reason)) => html::request_invalid(reason),
        Err(Refusal::Redirect {
            to,
            error,
            description,
            uri,
            state,
        }) => back(
            &world,
            &to,
            &[
                ("error", error.as_str()),
                ("error_description", &description),
                ("error_uri", &uri),
            ],
            state.as_deref(),
        ),
    }
}

enum Refusal {
    /// Told to nobody but the person in front of the screen.
    OwnPage(&'static str),
    Redirect {
        to: String,
        error: String,
        description: String,
        uri: String,
        state: Option<String>,
    },
}

fn check(world: &World, vendor: Vendor, query: &Parameters) -> Result<(Flow, EhrClient), Refusal> {
    let settings = &world.settings.ehr;
    if settings.own_error_page {
        return Err(Refusal::OwnPage("the setting own_error_page"));
    }
    // RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once."
    if query.repeated().is_some() {
        return Err(Refusal::OwnPage("a parameter is repeated"));
    }
    let own_query = settings.authorization_query.as_deref().unwrap_or_default();
    let mut own_query = url::form_urlencoded::parse(own_query.as_bytes());
    if own_query.any(|(name, value)| query.get(&name) != Some(&*value)) {
        return Err(Refusal::OwnPage("the endpoint's own query is missing"));
    }
    let client = query.get("client_id").and_then(|id| {
        settings
            .clients
            .iter()
            .find(|client| client.client_id == id)
    });
    let client = client.ok_or(Refusal::OwnPage("the client_id is unknown"))?;
    let redirect_uri = query.get("redirect_uri").filter(|uri| {
        client
            .redirect_uris
            .iter()
            .any(|registered| registered == uri)
    });
    let redirect_uri = redirect_uri.ok_or(Refusal::OwnPage(
        "the redirect_uri is not registered for this client_id",
    ))?;

    let redirect = |error: &str, description: &str, uri: String| Refusal::Redirect {
        to: redirect_uri.to_owned(),
        error: error.to_owned(),
        description: description.to_owned(),
        uri,
        state: query.get("state").map(str::to_owned),
    };
    let refuse = |error: &str, description: &str| redirect(error, description, String::new());
    if let Some(wanted) = &settings.authorize_error {
        return Err(refuse(
            &wanted.error,
            wanted.description.as_deref().unwrap_or_default(),
        ));
    }
    if query.get("response_type") != Some("code") {
        return Err(refuse(
            "unsupported_response_type",
            "response_type must be code",
        ));
    }
    // The FHIR base itself (some clients add or drop a final slash).
    let is_audience = match query.get("aud") {
        Some(aud) => aud.trim_end_matches('/') == world.origins.iss_of(vendor),
        None => vendor.habits().audience == Audience::Optional,
    };
    if !is_audience {
        return Err(refuse(
            "invalid_request",
            "aud is not this server's FHIR base",
        ));
    }
    let scope = query.get("scope").unwrap_or_default().trim();
    if scope.is_empty() {
        return Err(refuse("invalid_scope", "no scope"));
    }
    if vendor == Vendor::OracleHealth && scope.split_whitespace().any(is_of_smart_v2) {
        // This app is registered for the first syntax; that is all the redirect says.
        let origin = vendor.authorization_origin(&world.origins);
        let uri = format!("{origin}/errors/urn%3Acerner%3Aerror%3Aoauth2%3Ainvalid-scope");
        return Err(redirect("invalid_scope", "", uri));
    }
    let asks_openid = scope.split_whitespace().any(|scope| scope == "openid");
    if vendor == Vendor::Athenahealth && asks_openid && query.get("nonce").is_none() {
        return Err(refuse("invalid_request", "nonce is required with openid"));
    }
    let challenge = query
        .get("code_challenge")
        .filter(|challenge| challenge.len() == 43);
    let (Some(challenge), Some("S256")) = (challenge, query.get("code_challenge_method")) else {
        return Err(refuse("invalid_request", "PKCE with S256 is required"));
    };
    let flow = Flow {
        id: random::alphanumeric(32),
        vendor,
        client_id: client.client_id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scope: scope.to_owned(),
        state: query.get("state").map(str::to_owned),
        challenge: challenge.to_owned(),
        nonce: query.get("nonce").map(str::to_owned),
        signed_in: Vec::new(),
    };
    Ok((flow, client.clone()))
}

/// Whether a scope has the second syntax: `patient/Observation.rs`, where the first has `.read`.
fn is_of_smart_v2(scope: &str) -> bool {
    let rights = scope
        .split_once('/')
        .and_then(|(_, rest)| rest.split_once('.'));
    rights.is_some_and(|(_, rights)| !["read", "write", "*"].contains(&rights))
}

pub(super) async fn login(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    let form = request.form();
    let given = |name: &str| form.get(name).unwrap_or_default();
    let signed_in = world.ehr.sign_in(given("username"), given("password"));
    let Some(position) = flow_position(&world, &form) else {
        return html::request_invalid("this sign-in is over, or was never begun");
    };
    let app = app_name(&world, &world.ehr.flows[position]);
    world.ehr.flows[position].signed_in = signed_in;
    let flow = &world.ehr.flows[position];
    match flow.signed_in.as_slice() {
        [] => html::login(
            flow,
            &app,
            Some("That username and password don't match. Please try again."),
        ),
        [one] => html::consent(flow, &app, &given_name(&world, &one.login)),
        several => {
            let charts = several.iter().map(|it| {
                let name = given_name(&world, &it.login);
                (it.login.as_str(), name)
            });
            html::choice(flow, &charts.collect::<Vec<_>>())
        }
    }
}

/// The chart that a guardian of several patients has chosen.
pub(super) async fn choose(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    let form = request.form();
    let Some(position) = flow_position(&world, &form) else {
        return html::request_invalid("this sign-in is over, or was never begun");
    };
    let flow = &mut world.ehr.flows[position];
    let chosen = form.get("chart").unwrap_or_default();
    flow.signed_in.retain(|it| it.login == chosen);
    if flow.signed_in.is_empty() {
        return html::request_invalid("nobody has signed in for that chart");
    }
    let flow = &world.ehr.flows[position];
    html::consent(flow, &app_name(&world, flow), &given_name(&world, chosen))
}

fn given_name(world: &World, login: &str) -> String {
    let patient = world.ehr.patient(login);
    patient.map(|it| it.given.clone()).unwrap_or_default()
}

pub(super) async fn consent(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    let form = request.form();
    let Some(position) = flow_position(&world, &form) else {
        return html::request_invalid("this sign-in is over, or was never begun");
    };
    let [signed_in] = world.ehr.flows[position].signed_in.as_slice() else {
        return html::request_invalid("nobody has signed in, or not for one chart");
    };
    let signed_in = signed_in.clone();
    let flow = world.ehr.flows.remove(position);
    let scope = granted(&flow.scope, &form);
    let state = flow.state.as_deref();
    if form.get("decision") != Some("allow") {
        return back(
            &world,
            &flow.redirect_uri,
            &[("error", "access_denied")],
            state,
        );
    }
    // Base64's two characters that a form must escape: a client that forgets to loses the code.
    let code = format!(
        "{}+{}/{}==",
        random::alphanumeric(40),
        random::alphanumeric(40),
        random::alphanumeric(40)
    );
    let expires = world.now().plus_seconds(world.settings.ehr.code_seconds);
    let response = back(&world, &flow.redirect_uri, &[("code", &code)], state);
    world.ehr.grants.push(Grant {
        code,
        vendor: flow.vendor,
        client_id: flow.client_id,
        redirect_uri: flow.redirect_uri,
        scope,
        challenge: flow.challenge,
        nonce: flow.nonce,
        signed_in,
        expires,
    });
    response
}

/// The scopes without those parts of the chart that were unticked. A form that shows no boxes grants all.
fn granted(asked: &str, form: &Parameters) -> String {
    let has_boxes = form.get("chosen").is_some();
    let is_ticked = |scope: &str| form.iter().any(|pair| pair == ("scope", scope));
    let mut scopes: Vec<&str> = asked.split_whitespace().collect();
    scopes.retain(|scope| !has_boxes || !html::is_of_the_chart(scope) || is_ticked(scope));
    scopes.join(" ")
}

fn flow_position(world: &World, form: &Parameters) -> Option<usize> {
    let id = form.get("flow")?;
    world.ehr.flows.iter().position(|flow| flow.id == id)
}

fn app_name(world: &World, flow: &Flow) -> String {
    let clients = &world.settings.ehr.clients;
    let client = clients
        .iter()
        .find(|client| client.client_id == flow.client_id);
    client.map(|client| client.name.clone()).unwrap_or_default()
}

/// The redirect to the app, with the given parameters that have a value.
fn back(world: &World, to: &str, parameters: &[(&str, &str)], state: Option<&str>) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    if let Some(issuer) = &world.settings.ehr.response_iss {
        query.append_pair("iss", issuer);
    }
    let separator = if to.contains('?') { '&' } else { '?' };
    let mut response = empty(StatusCode::FOUND);
    set(
        &mut response,
        LOCATION,
        &format!("{to}{separator}{}", query.finish()),
    );
    response
}
