//! Writing one record: whose it is, whether it is valid, and what is kept of it. What a refusal looks
//! like is up to the endpoint.

use axum::http::HeaderName;
use serde_json::{Map, Value, json};

use super::rows::Row;
use super::{Caller, python, validation};
use crate::exchange::Incoming;
use crate::random;
use crate::settings::JheVersion;
use crate::world::World;

/// What `meta.source` of an imported record begins with; the source's number follows.
pub(super) const SOURCE_URL: &str = "https://jupyterhealth.org/fhir/fhir-source/";
const SOURCE_HEADER: HeaderName = HeaderName::from_static("x-jhe-fhir-source-id");
const STRUCTURE: &str = "https://jupyterhealth.org/fhir/StructureDefinition";
/// The longest id that FHIR allows.
const LONGEST_ID: usize = 64;

/// The types that JHE stores. DIFFERENCE: which ones the earlier version takes is not known; here they
/// are those of the later one.
const SUPPORTED: [&str; 18] = [
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Condition",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Goal",
    "Immunization",
    "MedicationDispense",
    "MedicationRequest",
    "Observation",
    "Patient",
    "Procedure",
    "QuestionnaireResponse",
    "ServiceRequest",
];

/// Why a record is not stored.
pub(super) enum Refusal {
    /// The framework's ValidationError.
    Invalid(String),
    /// The source is another patient's.
    ForeignSource,
    /// A type that JHE does not store.
    UnsupportedType(String),
    /// JHE's own store, where such records go, fails.
    OtherStore(String),
}

impl Refusal {
    /// The text as a reply shows it.
    pub(super) fn diagnostics(&self) -> String {
        match self {
            Self::Invalid(text) => python::error_detail(text),
            Self::ForeignSource => "The FhirSource does not belong to the current user.".to_owned(),
            Self::UnsupportedType(name) => format!("Unsupported FHIR resource type: {name}."),
            Self::OtherStore(text) => text.clone(),
        }
    }
}

/// Whether JHE has records of this type.
pub(super) fn supported(resource_type: &str) -> Result<(), Refusal> {
    if SUPPORTED.contains(&resource_type) {
        Ok(())
    } else {
        Err(Refusal::UnsupportedType(resource_type.to_owned()))
    }
}

/// A FhirSource that the caller may write under.
#[derive(Clone)]
pub(super) struct Source {
    id: u64,
    patient: u64,
    fhir_base_url: String,
}

/// The source that the header names; `None` if there is no header.
pub(super) fn source_of_header(
    world: &World,
    request: &Incoming,
    caller: Caller,
) -> Result<Option<Source>, Refusal> {
    match request.header(SOURCE_HEADER) {
        "" => Ok(None),
        given => source(world, given, caller).map(Some),
    }
}

/// The number of the source that a resource names itself.
pub(super) fn source_in_meta(resource: &Map<String, Value>) -> Option<&str> {
    resource.get("meta")?["source"]
        .as_str()?
        .strip_prefix(SOURCE_URL)
}

/// The source of a resource in a request without the header.
pub(super) fn source_of_resource(
    world: &World,
    resource: &Map<String, Value>,
    caller: Caller,
) -> Result<Source, Refusal> {
    match (world.settings.jhe.version, source_in_meta(resource)) {
        (JheVersion::PatientAccess, Some(given)) => source(world, given, caller),
        (version, _) => Err(no_source(version)),
    }
}

/// Neither the header nor the resource names a source.
pub(super) fn no_source(version: JheVersion) -> Refusal {
    Refusal::Invalid(match version {
        JheVersion::Mychart => {
            "Header 'X-JHE-FHIR-Source-ID' is required to write this resource.".to_owned()
        }
        JheVersion::PatientAccess => format!(
            "A FhirSource is required to write this resource: send the 'X-JHE-FHIR-Source-ID' header or set the resource's meta.source to '{SOURCE_URL}<id>'."
        ),
    })
}

fn source(world: &World, given: &str, caller: Caller) -> Result<Source, Refusal> {
    let mut sources = world.jhe.sources.iter();
    let source = sources
        .find(|source| source.id.to_string() == given)
        .ok_or_else(|| Refusal::Invalid(format!("FhirSource '{given}' does not exist.")))?;
    match caller {
        Caller::Patient { id, .. } if id != source.patient => Err(Refusal::ForeignSource),
        _ => Ok(Source {
            id: source.id,
            patient: source.patient,
            fhir_base_url: source.fhir_base_url.clone(),
        }),
    }
}

/// JHE's own kind of record goes to another store, which wants JHE's own patient ids.
pub(super) fn refuse_open_mhealth(resource: &Map<String, Value>) -> Result<(), Refusal> {
    let codings = resource
        .get("code")
        .and_then(|code| code["coding"].as_array());
    let mut codings = codings.into_iter().flatten();
    if !codings.any(|coding| coding["system"] == "https://w3id.org/openmhealth") {
        return Ok(());
    }
    let subject = resource
        .get("subject")
        .and_then(|subject| subject["reference"].as_str());
    let id = subject
        .and_then(|reference| reference.rsplit('/').next())
        .unwrap_or_default();
    Err(Refusal::OtherStore(format!(
        "Field 'id' expected a number but got '{id}'."
    )))
}

/// Validates and stores a record; returns it as it is stored. The earlier version makes a new row each
/// time; the later one updates the row of the same source, type and id.
pub(super) fn store(
    world: &mut World,
    resource_type: &str,
    mut resource: Map<String, Value>,
    source: &Source,
    sent: String,
) -> Result<Value, Refusal> {
    let upserts = world.settings.jhe.version == JheVersion::PatientAccess;
    let mut upstream_id = None;
    if upserts {
        upstream_id = resource
            .get("id")
            .filter(|id| !id.is_null())
            .map(python::str_of);
        if let Some(id) = upstream_id.as_deref().filter(|id| is_over_long(id)) {
            resource.remove("id");
            add_identifier(&mut resource, &source.fhir_base_url, id);
        }
    }
    validation::resource(resource_type, &resource).map_err(Refusal::Invalid)?;

    let known = upstream_id.as_deref().and_then(|upstream_id| {
        let rows = &world.jhe.rows;
        rows.with_upstream_id(source.id, resource_type, upstream_id)
    });
    let id = known.map_or_else(random::uuid, |row| row.id.clone());
    let stored = provenance(world, resource_type, resource, &id, source);
    world.jhe.rows.write(Row {
        id,
        resource_type: resource_type.to_owned(),
        patient: source.patient,
        source: source.id,
        upstream_id,
        writes: 1,
        sent,
        stored: stored.clone(),
    });
    Ok(stored)
}

fn is_over_long(id: &str) -> bool {
    id.chars().count() > LONGEST_ID
}

fn add_identifier(resource: &mut Map<String, Value>, system: &str, value: &str) {
    let identifier = json!({"system": system, "value": value});
    match resource.get_mut("identifier").and_then(Value::as_array_mut) {
        Some(identifiers) => identifiers.push(identifier),
        None => drop(resource.insert("identifier".into(), json!([identifier]))),
    }
}

/// The resource as it is stored: JHE's id instead of the EHR's, and where it comes from.
fn provenance(
    world: &World,
    resource_type: &str,
    mut resource: Map<String, Value>,
    id: &str,
    source: &Source,
) -> Value {
    let name = world
        .jhe
        .patient(source.patient)
        .map(|patient| patient.full_name.as_str());
    let mut extensions = match resource.remove("extension") {
        Some(Value::Array(extensions)) => extensions,
        _ => Vec::new(),
    };
    match world.settings.jhe.version {
        JheVersion::Mychart => extensions
            .push(json!({"url": format!("{STRUCTURE}/fhir-source-id"), "valueInteger": source.id})),
        JheVersion::PatientAccess => {
            let mut meta = match resource.remove("meta") {
                Some(Value::Object(meta)) => meta,
                _ => Map::new(),
            };
            meta.insert("source".into(), format!("{SOURCE_URL}{}", source.id).into());
            resource.insert("meta".into(), meta.into());
        }
    }
    extensions.extend([
        json!({"url": format!("{STRUCTURE}/patient-id"), "valueInteger": source.patient}),
        json!({"url": format!("{STRUCTURE}/patient-full-name"), "valueString": name}),
    ]);
    resource.insert("extension".into(), extensions.into());
    resource.insert("id".into(), id.into());
    // The URL's type wins.
    resource.insert("resourceType".into(), resource_type.into());
    resource.into()
}
