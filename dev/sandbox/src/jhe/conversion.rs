//! What the import makes of an R4 resource before it is validated as R5: what is dropped, and the
//! warnings that say so.
//!
//! DIFFERENCE: fields that R5 renames or moves (`Procedure.performedDateTime`, say) stay as they are
//! here, and what is unknown is dropped only from Observations, whose fields are known.

use serde_json::{Map, Value, json};

use super::validation;

/// Fields that R5 has no place for, of those that were recorded.
const WITHOUT_EQUIVALENT: [(&str, &str); 3] = [
    ("Coverage", "payor"),
    ("Device", "patient"),
    ("Immunization", "reportOrigin"),
];

/// What a contained resource keeps.
const OF_EVERY_RESOURCE: [&str; 4] = ["id", "meta", "implicitRules", "language"];

/// Converts a resource in place; the issues are warnings.
pub(super) fn to_r5(resource_type: &str, resource: &mut Map<String, Value>) -> Vec<Value> {
    let mut warnings = match resource_type {
        "Condition" => add_clinical_status(resource),
        "Device" => drop_carriers(resource),
        "MedicationRequest" => drop_medication_reference(resource),
        _ => Vec::new(),
    };
    let is_known = |name: &str| {
        if resource_type == "Observation" {
            validation::is_field(name)
        } else {
            !name.starts_with('_') && !WITHOUT_EQUIVALENT.contains(&(resource_type, name))
        }
    };
    resource.retain(|name, _| {
        let is_known = is_known(name);
        if !is_known {
            warnings.push(dropped(&format!("{resource_type}.{name}")));
        }
        is_known
    });
    if let Some(Value::Array(contained)) = resource.get_mut("contained") {
        for (position, inner) in contained.iter_mut().enumerate() {
            let Value::Object(inner) = inner else {
                continue;
            };
            inner.retain(|name, _| {
                let is_kept = OF_EVERY_RESOURCE.contains(&name.as_str());
                if !is_kept {
                    let place = format!("{resource_type}.contained[{position}].{name}");
                    warnings.push(dropped(&place));
                }
                is_kept
            });
        }
    }
    warnings
}

fn add_clinical_status(condition: &mut Map<String, Value>) -> Vec<Value> {
    if condition.contains_key("clinicalStatus") {
        return Vec::new();
    }
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    condition.insert(
        "clinicalStatus".into(),
        json!({"coding": [{"system": system, "code": "unknown"}]}),
    );
    vec![changed(
        "clinicalStatus was absent in the R4 source (optional in R4, required in R5); defaulted to 'unknown'.",
        "Condition.clinicalStatus",
    )]
}

/// JHE's conversion of member names has made `carrierHrf` of `carrierHRF`, which nobody knows.
fn drop_carriers(device: &mut Map<String, Value>) -> Vec<Value> {
    let Some(Value::Array(carriers)) = device.get_mut("udiCarrier") else {
        return Vec::new();
    };
    let mut misspelt = Vec::new();
    for (position, carrier) in carriers.iter_mut().enumerate() {
        for name in ["carrierAidc", "carrierHrf"] {
            if carrier
                .as_object_mut()
                .is_some_and(|it| it.remove(name).is_some())
            {
                misspelt.push(dropped(&format!("Device.udiCarrier[{position}].{name}")));
            }
        }
    }
    let before = carriers.len();
    carriers.retain(|carrier| !carrier["issuer"].is_null());
    let mut warnings = Vec::new();
    let without_issuer = before - carriers.len();
    if without_issuer > 0 {
        let entries = if without_issuer == 1 {
            "entry"
        } else {
            "entries"
        };
        warnings.push(changed(
            &format!("{without_issuer} udiCarrier {entries} had no issuer (optional in R4, required in R5) and were dropped; the Device itself was kept."),
            "Device.udiCarrier",
        ));
    }
    warnings.extend(misspelt);
    warnings
}

fn drop_medication_reference(request: &mut Map<String, Value>) -> Vec<Value> {
    let reference = request
        .get_mut("medicationReference")
        .and_then(Value::as_object_mut);
    match reference.and_then(|it| it.remove("reference")) {
        Some(_) => vec![dropped("MedicationRequest.medicationReference.reference")],
        None => Vec::new(),
    }
}

fn dropped(place: &str) -> Value {
    let text = format!("R4 field '{place}' has no R5 equivalent and was dropped in conversion.");
    warning("not-supported", &text, place)
}

fn changed(text: &str, place: &str) -> Value {
    warning("informational", text, place)
}

fn warning(code: &str, diagnostics: &str, place: &str) -> Value {
    json!({"severity": "warning", "code": code, "diagnostics": diagnostics, "expression": [place]})
}
