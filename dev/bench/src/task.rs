//! What is copied, and how it is written. Each task has pages with a configuration of its own.

use serde_json::{Value, json};

use crate::chart::PATIENT;

/// What a page is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Labs, up to a hundred in a Bundle.
    LabsInBatches,
    /// Labs, one by one.
    LabsSingly,
    /// Records of every kind, up to a hundred in a Bundle.
    ChartInBatches,
}

/// One search at the hospital, or the read of the patient's own resource.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) resource_type: &'static str,
    /// What is asked of the type beside the patient.
    pub(crate) parameter: Option<(&'static str, &'static str)>,
    /// Its part of the records, in [`WHOLE`]s.
    share: usize,
}

/// The sum of a task's shares.
const WHOLE: usize = 5_000;

const fn search(resource_type: &'static str, share: usize) -> Search {
    Search {
        resource_type,
        parameter: None,
        share,
    }
}

const fn narrowed(
    resource_type: &'static str,
    name: &'static str,
    value: &'static str,
    share: usize,
) -> Search {
    Search {
        resource_type,
        parameter: Some((name, value)),
        share,
    }
}

const LABS: &[Search] = &[narrowed("Observation", "category", "laboratory", WHOLE)];

/// What JHE's Patient Access page pulls, in its order. The shares are those of somebody who has been at one hospital with
/// chronic diseases for years: half of the chart are labs, what a patient has only a few of is there, too.
const CHART: &[Search] = &[
    search("Patient", 1),
    search("Condition", 64),
    search("MedicationRequest", 180),
    search("MedicationDispense", 120),
    search("AllergyIntolerance", 5),
    search("Immunization", 28),
    search("Procedure", 42),
    narrowed("Observation", "category", "laboratory", 2_400),
    narrowed("Observation", "category", "vital-signs", 1_400),
    search("DiagnosticReport", 260),
    narrowed("DocumentReference", "category", "clinical-note", 210),
    search("Encounter", 150),
    narrowed("CarePlan", "category", "assess-plan", 3),
    narrowed("CareTeam", "status", "active", 2),
    search("Goal", 6),
    search("ServiceRequest", 120),
    search("Device", 3),
    search("QuestionnaireResponse", 6),
];

impl Task {
    pub(crate) const ALL: [Task; 3] = [Task::LabsInBatches, Task::LabsSingly, Task::ChartInBatches];

    /// The name of the folder of its pages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Task::LabsInBatches => "labs-in-batches",
            Task::LabsSingly => "labs-singly",
            Task::ChartInBatches => "chart-in-batches",
        }
    }

    /// What JHE calls the client that writes so.
    pub(crate) fn deployment(self) -> &'static str {
        match self {
            Task::LabsInBatches | Task::ChartInBatches => "patient-access",
            Task::LabsSingly => "mychart",
        }
    }

    /// What is searched, in this order.
    pub(crate) fn searches(self) -> &'static [Search] {
        match self {
            Task::LabsInBatches | Task::LabsSingly => LABS,
            Task::ChartInBatches => CHART,
        }
    }

    /// What our pages are told to pull; `None` where that is what they pull anyway.
    pub(crate) fn plan(self) -> Option<Value> {
        match self {
            Task::LabsInBatches => Some(json!([{
                "label": "Labs",
                "type": "Observation",
                "parameters": { "category": "laboratory" },
            }])),
            Task::LabsSingly | Task::ChartInBatches => None,
        }
    }

    /// The scopes that the pages ask for, and get. As in JHE's seed data none of them is for documents, which the library's
    /// page does not fetch: so ours does not either.
    pub(crate) fn scope(self) -> String {
        let mut scopes = vec!["launch/patient".to_owned()];
        let types = self.searches().iter().map(|search| search.resource_type);
        for resource_type in std::iter::once("Patient").chain(types) {
            let scope = format!("patient/{resource_type}.read");
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes.join(" ")
    }

    /// How many of the floor's searches go on at once, and how many of its writes: as many as ours at most.
    pub(crate) fn side_by_side(self) -> (u32, u32) {
        match self {
            Task::LabsInBatches | Task::LabsSingly => (1, 1),
            Task::ChartInBatches => (3, 2),
        }
    }
}

impl Search {
    /// Where it is below the FHIR base.
    pub(crate) fn path(&self) -> String {
        match self.resource_type {
            "Patient" => format!("Patient/{PATIENT}"),
            other => other.to_owned(),
        }
    }

    /// How many of so many records it finds.
    pub(crate) fn count(&self, records: usize) -> usize {
        (self.share * records).div_ceil(WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_make_the_whole() {
        for task in Task::ALL {
            let shares = task.searches().iter().map(|search| search.share);
            assert_eq!(shares.sum::<usize>(), WHOLE, "{task:?}");
        }
        assert_eq!(LABS[0].count(10_000), 10_000);
        assert_eq!(CHART.len(), 18);
    }

    #[test]
    fn each_type_is_asked_for_once() {
        assert_eq!(
            Task::LabsSingly.scope(),
            "launch/patient patient/Patient.read patient/Observation.read"
        );
        let scope = Task::ChartInBatches.scope();
        let words: Vec<&str> = scope.split(' ').collect();
        assert_eq!(words.len(), 18);
        assert!(words.contains(&"patient/Device.read"));
        assert!(!scope.contains("Binary"));
    }
}
