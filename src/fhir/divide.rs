//! Searches that name too little, divided: some servers give all Observations of a patient only by category.
//!
//! The parameters are those by which servers have to be searchable, [US Core](https://hl7.org/fhir/us/core/).

/// The parameter that servers miss in a search for all of a type, and its values; the parts together are the whole.
pub(crate) fn parts(resource_type: &str) -> Option<(&'static str, &'static [&'static str])> {
    let (name, values): (_, &[&str]) = match resource_type {
        "Observation" => (
            CATEGORY,
            &[
                "laboratory",
                "vital-signs",
                "social-history",
                "survey",
                "exam",
                "imaging",
                "procedure",
                "therapy",
                "activity",
                "sdoh",
                "functional-status",
                "disability-status",
                "cognitive-status",
                "clinical-test",
            ],
        ),
        "Condition" => (
            CATEGORY,
            &["problem-list-item", "encounter-diagnosis", "health-concern"],
        ),
        // Radiology, cardiology, pathology.
        "DiagnosticReport" => (CATEGORY, &["LAB", "LP29684-5", "LP29708-2", "LP7839-6"]),
        "DocumentReference" => (CATEGORY, &["clinical-note"]),
        "CarePlan" => (CATEGORY, &["assess-plan"]),
        "CareTeam" => ("status", &["active"]),
        "MedicationRequest" => ("intent", &["order", "plan"]),
        _ => return None,
    };
    Some((name, values))
}

const CATEGORY: &str = "category";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_are_divided_by_category_and_goals_are_not() {
        let (name, values) = parts("Observation").unwrap();
        assert_eq!(name, "category");
        assert!(values.contains(&"laboratory") && values.contains(&"social-history"));
        assert_eq!(parts("Goal"), None);
    }
}
