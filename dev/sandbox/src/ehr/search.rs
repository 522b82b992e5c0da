//! The FHIR R4 server: the search for Observations with Epic's paging, and the patient's own record.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, LOCATION, WWW_AUTHENTICATE};
use axum::response::Response;
use serde_json::{Value, json};

use super::outcome::{self, Message};
use super::{FHIR_BASE, LaterPage};
use crate::Shared;
use crate::exchange::{Incoming, Parameters, content, empty, set};
use crate::json::{array, object, text};
use crate::random;
use crate::settings::NextLink;
use crate::world::World;

/// The search parameters that this stand-in knows.
const KNOWN: [&str; 4] = ["patient", "category", "_count", "_format"];

pub(super) async fn observations(State(shared): State<Shared>, request: Incoming) -> Response {
    let mut world = shared.world();
    let answer = match request.query().get("sessionID") {
        None => first_page(&mut world, &request),
        Some(session) => later_page(&mut world, &request, session),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

pub(super) async fn patient(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Incoming,
) -> Response {
    let world = shared.world();
    let patient = match authorized(&world, &request, "Patient") {
        Ok(patient) => patient,
        Err(refusal) => return refusal,
    };
    if patient != id {
        return refuse(StatusCode::FORBIDDEN, &outcome::FORBIDDEN, "");
    }
    let Some(patient) = world.ehr.patients.iter().find(|patient| patient.id == id) else {
        return refuse(StatusCode::NOT_FOUND, &outcome::NOT_FOUND, "");
    };
    let resource = json!({
        "resourceType": "Patient",
        "id": patient.id,
        "active": true,
        "name": [{"use": "official", "family": patient.family, "given": [patient.given]}],
        "birthDate": patient.birth_date,
    });
    in_wanted_format(&request, resource.to_string())
}

fn first_page(world: &mut World, request: &Incoming) -> Result<Response, Response> {
    let patient = authorized(world, request, "Observation")?;
    let query = request.query();
    if let Some((name, _)) = query.iter().find(|(name, _)| !KNOWN.contains(name)) {
        // As at Epic, the first issue is informational, the fatal one comes later.
        let body = outcome::of(&[
            (&outcome::UNKNOWN_PARAMETER, name),
            (&outcome::INVALID_PARAMETERS, ""),
        ]);
        return Err(content(
            StatusCode::BAD_REQUEST,
            "application/fhir+json",
            body,
        ));
    }
    let category = required(&query, "category")?;
    let asked = required(&query, "patient")?;
    if asked.trim_start_matches("Patient/") != patient {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            &outcome::FORBIDDEN,
            "another patient's record",
        ));
    }
    let record = world.ehr.patients.iter().find(|other| other.id == patient);
    let (records, extra) = match record {
        // Copied once for the whole search. Each page looks through as many as it needs.
        Some(record) => (record.records.clone(), record.extra_entries.clone()),
        None => (Vec::new(), Vec::new()),
    };
    let count = query
        .get("_count")
        .and_then(|count| count.parse().ok())
        .filter(|count| *count > 0);
    let size = count
        .unwrap_or(usize::MAX)
        .min(world.settings.ehr.page_size)
        .max(1);
    let page = Page {
        patient,
        category: category.to_owned(),
        records: Arc::new(records),
        from: 0,
        size,
        extra,
    };
    Ok(in_wanted_format(request, bundle(world, request, &page)))
}

fn later_page(world: &mut World, request: &Incoming, session: &str) -> Result<Response, Response> {
    let patient = authorized(world, request, "Observation")?;
    if world.settings.ehr.next_link == NextLink::Redirect {
        let mut response = empty(StatusCode::FOUND);
        set(
            &mut response,
            LOCATION,
            &format!("{}{}", world.origins.evil, request.target()),
        );
        return Err(response);
    }
    let now = world.now();
    let page = world
        .ehr
        .pages
        .get(session)
        .filter(|page| page.patient == patient && page.expires > now);
    let page =
        page.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, &outcome::SESSION_EXPIRED, ""))?;
    let size = world.settings.ehr.page_size.max(1);
    let page = Page {
        patient,
        category: page.category.clone(),
        records: Arc::clone(&page.records),
        from: page.from,
        size,
        extra: Vec::new(),
    };
    Ok(in_wanted_format(request, bundle(world, request, &page)))
}

/// The patient whom a good token is for, if it covers the type.
fn authorized(world: &World, request: &Incoming, resource_type: &str) -> Result<String, Response> {
    let now = world.now();
    let known = request.bearer().and_then(|given| {
        world
            .ehr
            .tokens
            .iter()
            .find(|it| it.token == given && it.expires > now)
    });
    let Some(token) = known else {
        // Epic's body here is the two characters `""`.
        let mut response = content(StatusCode::UNAUTHORIZED, "application/json", "\"\"");
        let challenge = "Bearer error=\"invalid_token\", error_description=\"The access token provided is not valid\"";
        set(&mut response, WWW_AUTHENTICATE, challenge);
        return Err(response);
    };
    if token
        .scope
        .split_whitespace()
        .any(|scope| covers(scope, resource_type))
    {
        Ok(token.patient.clone())
    } else {
        Err(refuse(
            StatusCode::FORBIDDEN,
            &outcome::FORBIDDEN,
            "the scope does not cover this resource",
        ))
    }
}

/// Whether a scope lets a patient read a type: SMART v1 (`.read`, `.*`) or v2 (`.rs`, `.cruds`).
fn covers(scope: &str, resource_type: &str) -> bool {
    let rest = scope.split_once('/').map_or(scope, |(_, rest)| rest);
    let Some((name, rights)) = rest.split_once('.') else {
        return false;
    };
    let rights = rights.split('?').next().unwrap_or_default();
    (name == resource_type || name == "*")
        && (rights == "read"
            || rights == "*"
            || rights == "search"
            || (rights.contains('r') && rights.bytes().all(|right| b"cruds".contains(&right))))
}

fn required<'a>(query: &'a Parameters, name: &str) -> Result<&'a str, Response> {
    let value = query.get(name).filter(|value| !value.is_empty());
    value.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, &outcome::REQUIRED, name))
}

fn is_in_category(record: &Value, category: &str) -> bool {
    let code = category.rsplit('|').next().unwrap_or_default();
    let categories = record["category"].as_array().into_iter().flatten();
    let mut codings =
        categories.flat_map(|category| category["coding"].as_array().into_iter().flatten());
    codings.any(|coding| coding["code"] == code)
}

/// One page of a result.
struct Page {
    patient: String,
    category: String,
    records: Arc<Vec<String>>,
    /// Where it begins in `records`.
    from: usize,
    size: usize,
    extra: Vec<String>,
}

impl Page {
    /// The records of the category from here on, each with its position and parsed.
    fn matches(&self) -> impl Iterator<Item = (usize, &String, Value)> {
        let records = self.records.iter().enumerate().skip(self.from);
        records.filter_map(|(position, record)| {
            let parsed: Value = serde_json::from_str(record).unwrap_or_default();
            is_in_category(&parsed, &self.category).then_some((position, record, parsed))
        })
    }
}

fn bundle(world: &mut World, request: &Incoming, page: &Page) -> String {
    let mut matches = page.matches();
    let mut entries: Vec<String> = matches
        .by_ref()
        .take(page.size)
        .map(|(_, record, parsed)| match_entry(world, record, &parsed))
        .collect();
    let total = entries.len();
    let rest = matches.next().map(|(position, ..)| position);
    drop(matches);

    entries.extend(page.extra.iter().cloned());
    if page.from == 0 && entries.is_empty() {
        entries.push(outcome_entry(&outcome::NO_RESULTS));
    } else if world.settings.ehr.outcome_entries {
        if page.from == 0 {
            entries.push(outcome_entry(&outcome::SUB_RESOURCE));
        }
        if rest.is_none() {
            entries.push(outcome_entry(&outcome::MAYBE_INCOMPLETE));
        }
    }

    let here = format!("{}{}", world.origins.ehr, request.target());
    let mut links = vec![link("self", &here)];
    if let Some(rest) = rest {
        links.push(link("next", &next_link(world, page, rest, &here)));
    }
    object(&[
        ("resourceType", text("Bundle")),
        ("type", text("searchset")),
        // At Epic this is the size of this page, without outcome entries.
        ("total", total.to_string()),
        ("link", array(&links)),
        ("entry", array(&entries)),
    ])
}

fn next_link(world: &mut World, page: &Page, from: usize, here: &str) -> String {
    let session = format!("17-{}", random::alphanumeric(32).to_uppercase());
    let expires = world
        .now()
        .plus_seconds(world.settings.ehr.page_link_seconds);
    let later = LaterPage {
        patient: page.patient.clone(),
        category: page.category.clone(),
        records: Arc::clone(&page.records),
        from,
        expires,
    };
    world.ehr.pages.insert(session.clone(), later);
    let origins = &world.origins;
    match &world.settings.ehr.next_link {
        NextLink::NextPage | NextLink::Redirect => {
            format!("{}{FHIR_BASE}/Observation?sessionID={session}", origins.ehr)
        }
        NextLink::Relative => format!("Observation?sessionID={session}"),
        NextLink::OtherOrigin => format!(
            "{}{FHIR_BASE}/Observation?sessionID={session}",
            origins.evil
        ),
        NextLink::OtherPath => format!(
            "{}/interconnect/api/FHIR/DSTU2/Observation?sessionID={session}",
            origins.ehr
        ),
        NextLink::ItsOwnPage => here.to_owned(),
        NextLink::Address { url } => url.clone(),
    }
}

fn match_entry(world: &World, record: &str, parsed: &Value) -> String {
    let id = parsed["id"].as_str().unwrap_or_default();
    let address = format!("{}{FHIR_BASE}/Observation/{id}", world.origins.ehr);
    object(&[
        ("link", array(&[link("self", &address)])),
        ("fullUrl", text(&address)),
        ("resource", record.to_owned()),
        ("search", object(&[("mode", text("match"))])),
    ])
}

fn outcome_entry(message: &Message) -> String {
    object(&[
        ("fullUrl", text(&format!("urn:uuid:{}", random::uuid()))),
        ("resource", outcome::of(&[(message, "")])),
        ("search", object(&[("mode", text("outcome"))])),
    ])
}

fn link(relation: &str, url: &str) -> String {
    object(&[("relation", text(relation)), ("url", text(url))])
}

fn refuse(status: StatusCode, message: &Message, diagnostics: &str) -> Response {
    content(
        status,
        "application/fhir+json",
        outcome::of(&[(message, diagnostics)]),
    )
}

/// As at Epic, without an `Accept` that asks for JSON the answer is XML. What it holds does not
/// matter here: no client of ours reads it.
fn in_wanted_format(request: &Incoming, json: String) -> Response {
    if request.header(ACCEPT).contains("json") {
        return content(StatusCode::OK, "application/fhir+json; charset=utf-8", json);
    }
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"searchset\"/></Bundle>";
    content(StatusCode::OK, "application/fhir+xml; charset=utf-8", body)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn both_scope_syntaxes_are_understood() {
        for scope in [
            "patient/Observation.read",
            "patient/Observation.rs",
            "patient/*.*",
            "Observation.search",
            "user/Observation.cruds",
        ] {
            assert!(covers(scope, "Observation"), "{scope}");
        }
        for scope in [
            "openid",
            "launch/patient",
            "patient/Patient.read",
            "patient/Observation.write",
            "patient/Observation.c",
        ] {
            assert!(!covers(scope, "Observation"), "{scope}");
        }
    }
}
