//! R5 validation, with the texts of the validator that JHE uses (`fhir.resources` on pydantic 1).
//!
//! DIFFERENCE: only an Observation's own fields are checked. What is inside a datatype (an unknown
//! field of a Quantity, say) is refused by JHE and stored here, and of the other types little more
//! than the id is looked at.

use serde_json::{Map, Value};

use super::python::quoted;

/// Why a resource is refused: `1 validation error for Observation\n…`.
pub(super) fn resource(resource_type: &str, resource: &Map<String, Value>) -> Result<(), String> {
    let errors = match resource_type {
        "Observation" => observation(resource),
        "Condition" if !has(resource, "clinicalStatus") => Err(vec![missing("clinicalStatus")]),
        "Coverage" => required(resource, "kind"),
        "QuestionnaireResponse" => required(resource, "questionnaire"),
        _ => Ok(()),
    };
    let errors = match errors {
        Ok(()) => invalid_id(resource).into_iter().collect(),
        Err(errors) => errors,
    };
    if errors.is_empty() {
        Ok(())
    } else {
        Err(report(resource_type, &errors))
    }
}

/// A field that is checked before all others: if it is missing nothing else is reported.
fn required(resource: &Map<String, Value>, name: &str) -> Result<(), Vec<String>> {
    if has(resource, name) || has(resource, &format!("_{name}")) {
        return Ok(());
    }
    Err(vec![missing(&format!("__root__ -> {name}"))])
}

fn missing(place: &str) -> String {
    format!("{place}\n  field required (type=value_error.missing)")
}

fn observation(resource: &Map<String, Value>) -> Result<(), Vec<String>> {
    // Checks of the whole come first, and the first that fails is the only one reported.
    required(resource, "status")?;
    for choice in ["effective", "instantiates", "value"] {
        let alternatives: Vec<&str> = FIELDS
            .iter()
            .copied()
            .filter(|name| is_alternative(name, choice))
            .collect();
        if alternatives
            .iter()
            .filter(|name| has(resource, name))
            .count()
            > 1
        {
            let mut names: Vec<String> = alternatives.iter().map(|name| quoted(name)).collect();
            names.sort();
            return Err(vec![format!(
                "__root__\n  Any of one field value is expected from this list [{}], but got multiple! (type=value_error)",
                names.join(", ")
            )]);
        }
    }

    let mut errors = Vec::from_iter(invalid_id(resource));
    if !resource.contains_key("code") {
        errors.push(missing("code"));
    }
    errors.extend(
        resource
            .keys()
            .filter(|name| !is_known(name))
            .map(|name| format!("{name}\n  extra fields not permitted (type=value_error.extra)")),
    );
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn report(resource_type: &str, errors: &[String]) -> String {
    let plural = if errors.len() == 1 { "" } else { "s" };
    format!(
        "Invalid FHIR {resource_type}: {} validation error{plural} for {resource_type}\n{}",
        errors.len(),
        errors.join("\n")
    )
}

/// A field that is there and not null.
fn has(resource: &Map<String, Value>, name: &str) -> bool {
    resource.get(name).is_some_and(|value| !value.is_null())
}

fn is_alternative(name: &str, choice: &str) -> bool {
    name.strip_prefix(choice)
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
}

fn invalid_id(resource: &Map<String, Value>) -> Option<String> {
    let id = resource.get("id")?.as_str()?;
    id_error(id).map(|error| format!("id\n  {error}"))
}

fn id_error(id: &str) -> Option<&'static str> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-.".contains(character);
    if id.is_empty() {
        Some(
            "ensure this value has at least 1 characters (type=value_error.any_str.min_length; limit_value=1)",
        )
    } else if id.chars().count() > 64 {
        Some(
            "ensure this value has at most 64 characters (type=value_error.any_str.max_length; limit_value=64)",
        )
    } else if !id.chars().all(allowed) {
        Some(
            r#"string does not match regex "^[A-Za-z0-9\-.]+$" (type=value_error.str.regex; pattern=^[A-Za-z0-9\-.]+$)"#,
        )
    } else {
        None
    }
}

/// A field of Observation, without the extensions of primitives.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

fn is_known(name: &str) -> bool {
    FIELDS.contains(&name)
        || name
            .strip_prefix('_')
            .is_some_and(|name| PRIMITIVES.contains(&name))
}

/// The fields of Observation in FHIR R5.
const FIELDS: [&str; 52] = [
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    "identifier",
    "instantiatesCanonical",
    "instantiatesReference",
    "basedOn",
    "triggeredBy",
    "partOf",
    "status",
    "category",
    "code",
    "subject",
    "focus",
    "encounter",
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveTiming",
    "effectiveInstant",
    "issued",
    "performer",
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueBoolean",
    "valueInteger",
    "valueRange",
    "valueRatio",
    "valueSampledData",
    "valueTime",
    "valueDateTime",
    "valuePeriod",
    "valueAttachment",
    "valueReference",
    "dataAbsentReason",
    "interpretation",
    "note",
    "bodySite",
    "bodyStructure",
    "method",
    "specimen",
    "device",
    "referenceRange",
    "hasMember",
    "derivedFrom",
    "component",
];

/// Those that are primitives, so that `_name` may carry their extensions.
const PRIMITIVES: [&str; 12] = [
    "implicitRules",
    "language",
    "instantiatesCanonical",
    "status",
    "effectiveDateTime",
    "effectiveInstant",
    "issued",
    "valueString",
    "valueBoolean",
    "valueInteger",
    "valueTime",
    "valueDateTime",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(resource: Value) -> String {
        let Value::Object(resource) = resource else {
            panic!("an object")
        };
        super::resource("Observation", &resource).expect_err("refused")
    }

    #[test]
    fn several_errors_are_reported_together() {
        assert_eq!(
            refusal(json!({"status": "final", "id": "a_b", "fooBar": 1})),
            "Invalid FHIR Observation: 3 validation errors for Observation\n\
             id\n  string does not match regex \"^[A-Za-z0-9\\-.]+$\" (type=value_error.str.regex; pattern=^[A-Za-z0-9\\-.]+$)\n\
             code\n  field required (type=value_error.missing)\n\
             fooBar\n  extra fields not permitted (type=value_error.extra)"
        );
    }

    #[test]
    fn a_null_value_beside_another_is_not_a_second_value() {
        let resource =
            json!({"status": "final", "code": {}, "valueQuantity": null, "valueString": "x"});
        let Value::Object(resource) = resource else {
            panic!("an object")
        };
        assert_eq!(super::resource("Observation", &resource), Ok(()));
    }

    #[test]
    fn a_component_is_no_unknown_field() {
        let resource = json!({"status": "final", "code": {}, "component": []});
        let Value::Object(resource) = resource else {
            panic!("an object")
        };
        assert_eq!(super::resource("Observation", &resource), Ok(()));
    }
}
