//! The hospital's patients and what is in their charts.

use std::collections::BTreeMap;

use super::Guardian;
use super::bundle::id_of;
use super::search::is_in_category;
use crate::sample::{
    self, Binary, DOCUMENT_REFERENCE, MEDICATION, NoteKind, OBSERVATION, Peculiarity,
};
use crate::world::Origins;

/// The types that JHE's later version asks for, in its order.
pub const PULLED_TYPES: [&str; 17] = [
    "Patient",
    "Condition",
    "MedicationRequest",
    "MedicationDispense",
    "AllergyIntolerance",
    "Immunization",
    "Procedure",
    OBSERVATION,
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "CarePlan",
    "CareTeam",
    "Goal",
    "ServiceRequest",
    "Device",
    "QuestionnaireResponse",
];

/// What the first patient's chart holds beside the Observations.
const CHART: [(&str, usize); 15] = [
    ("Condition", 4),
    ("MedicationRequest", 4),
    ("MedicationDispense", 2),
    ("AllergyIntolerance", 3),
    ("Immunization", 4),
    ("Procedure", 2),
    ("DiagnosticReport", 3),
    ("DocumentReference", 2),
    ("Encounter", 3),
    ("CarePlan", 2),
    ("CareTeam", 2),
    ("Goal", 2),
    ("ServiceRequest", 3),
    ("Device", 2),
    ("QuestionnaireResponse", 2),
];

/// A patient of the hospital, with a MyChart login.
#[derive(Clone, Debug, Default)]
pub struct EhrPatient {
    /// Login name.
    pub login: String,
    /// Password.
    pub password: String,
    /// FHIR id.
    pub id: String,
    /// Family name.
    pub family: String,
    /// Given name.
    pub given: String,
    /// Date of birth, as FHIR writes it: a day, a month or a year; none if empty.
    pub birth_date: String,
    /// What the Patient resource has as `name`, each as the JSON text of a HumanName. If there is none it
    /// is made of the two names.
    pub names: Vec<String>,
    /// The labs, each as the JSON text that goes over the wire.
    pub records: Vec<String>,
    /// The other records by type, each as JSON text. Observations that are no labs are here, and the
    /// Medications that requests refer to.
    pub chart: BTreeMap<String, Vec<String>>,
    /// The documents that notes lead to, by the ids of their `Binary/<id>`.
    pub binaries: BTreeMap<String, Binary>,
    /// Further entries of the first page of a search for Observations, each as the JSON text of a
    /// whole Bundle entry: whatever else a test wants a client to meet there.
    pub extra_entries: Vec<String>,
}

impl EhrPatient {
    /// All records of a type, in the order in which a search gives them: of Observation the labs first.
    pub fn records_of(&self, resource_type: &str) -> Vec<String> {
        let rest = self.chart.get(resource_type).cloned().unwrap_or_default();
        match resource_type {
            "Patient" => vec![sample::patient(self)],
            OBSERVATION => [self.records.clone(), rest].concat(),
            _ => rest,
        }
    }

    /// Replaces what is there of a type by so many generated records; of Observation the labs.
    pub(crate) fn give(&mut self, resource_type: &str, count: usize, origins: &Origins) {
        if resource_type == DOCUMENT_REFERENCE {
            self.chart.remove(DOCUMENT_REFERENCE);
            for _ in 0..count {
                self.give_note(NoteKind::Relative, origins);
            }
            return;
        }
        let generated = |patient: &Self, resource_type: &str| -> Vec<String> {
            (0..count)
                .filter_map(|n| sample::record(patient, resource_type, n))
                .collect()
        };
        let records = generated(self, resource_type);
        if resource_type == OBSERVATION {
            self.records = records;
            return;
        }
        if resource_type == "MedicationRequest" {
            let medications = generated(self, MEDICATION);
            self.chart.insert(MEDICATION.to_owned(), medications);
        }
        self.chart.insert(resource_type.to_owned(), records);
    }

    /// Replaces the Observations of a category that is not the labs'.
    pub(crate) fn give_observations(
        &mut self,
        category: &str,
        count: usize,
        generate: fn(&Self, usize) -> String,
    ) {
        let new: Vec<String> = (0..count).map(|n| generate(self, n)).collect();
        let others = self.other_observations();
        others.retain(|it| !is_in_category(it, category) || is_in_category(it, "laboratory"));
        others.extend(new);
    }

    /// Adds an Observation that is both a lab and a vital sign.
    pub(crate) fn give_dual_observation(&mut self) {
        let before = self.other_observations().len();
        let record = sample::dual_observation(self, before);
        self.other_observations().push(record);
    }

    /// Adds a note with its documents; returns the id of its record.
    pub(crate) fn give_note(&mut self, kind: NoteKind, origins: &Origins) -> String {
        let n = self.chart.get(DOCUMENT_REFERENCE).map_or(0, Vec::len);
        let note = sample::note(self, n, kind, origins);
        let id = id_of(&note.record);
        let notes = self.chart.entry(DOCUMENT_REFERENCE.to_owned());
        notes.or_default().push(note.record);
        self.binaries.extend(note.documents);
        id
    }

    fn other_observations(&mut self) -> &mut Vec<String> {
        self.chart.entry(OBSERVATION.to_owned()).or_default()
    }
}

/// As Epic gives names: the official one twice, and what the patient was called before.
const CAMILAS_NAMES: [&str; 3] = [
    r#"{"use":"official","text":"Camila Maria Lopez","family":"Lopez","given":["Camila","Maria"]}"#,
    r#"{"use":"usual","text":"Camila Maria Lopez","family":"Lopez","given":["Camila","Maria"]}"#,
    r#"{"use":"old","text":"Camila Maria Moreno","family":"Moreno","given":["Camila","Maria"],"period":{"end":"2012-06-30"}}"#,
];
/// In no order that a client could rely on: the first is a name that is not used any more.
const DERRICKS_NAMES: [&str; 3] = [
    r#"{"use":"old","text":"Derrick Sandberg","family":"Sandberg","given":["Derrick"],"period":{"end":"1999-05-01"}}"#,
    r#"{"use":"nickname","text":"Rick"}"#,
    r#"{"use":"official","family":"Lin","given":["Derrick","Jun"],"prefix":["Mr."],"suffix":["Jr."]}"#,
];

/// The password of every login.
pub(super) const PASSWORD: &str = "epicepic1";

/// Those who sign in for others: one for a child, one for two people.
pub(super) fn guardians() -> Vec<Guardian> {
    let guardian = |login: &str, given: &str, id: &str, patients: &[&str]| Guardian {
        login: login.to_owned(),
        given: given.to_owned(),
        id: id.to_owned(),
        patients: patients.iter().map(|it| (*it).to_owned()).collect(),
    };
    let child = "fhirdesiree";
    vec![
        guardian(
            "fhirparent",
            "Paula",
            "eRelatedPaulaPowell0000003",
            &[child],
        ),
        guardian(
            "fhirguardian",
            "Gerald",
            "eRelatedGeraldReyes0000003",
            &[child, "fhircamila"],
        ),
    ]
}

/// The patients that are there at the start.
pub(super) fn seeded(origins: &Origins) -> Vec<EhrPatient> {
    let patient = |login: &str, id: &str, given: &str, family: &str, birth_date: &str| EhrPatient {
        login: login.to_owned(),
        password: PASSWORD.to_owned(),
        id: id.to_owned(),
        family: family.to_owned(),
        given: given.to_owned(),
        birth_date: birth_date.to_owned(),
        ..EhrPatient::default()
    };
    let mut camila = patient(
        "fhircamila",
        "erXuFYUfucBZaryVksYEcMg3",
        "Camila",
        "Lopez",
        "1987-09-12",
    );
    camila.names = CAMILAS_NAMES.map(str::to_owned).to_vec();
    camila.give(OBSERVATION, 30, origins);
    // In the middle, so that what follows shows whether a client stumbled.
    let peculiar = |n, peculiarity| sample::peculiar_lab(&camila, n, peculiarity);
    let long_id = peculiar(30, Peculiarity::LongId);
    let underscore_id = peculiar(31, Peculiarity::UnderscoreId);
    camila.records.insert(12, long_id);
    camila.records.insert(23, underscore_id);
    for (resource_type, count) in CHART {
        camila.give(resource_type, count, origins);
    }
    camila.give_observations("vital-signs", 4, sample::vital_sign);
    camila.give_observations("social-history", 2, sample::social_history);
    let mut derrick = patient(
        "fhirderrick",
        "eq081-VQEgP8drUUqCWzHfw3",
        "Derrick",
        "Lin",
        "1973-06-03",
    );
    derrick.names = DERRICKS_NAMES.map(str::to_owned).to_vec();
    let mut desiree = patient(
        "fhirdesiree",
        "eAB3mDIBBcyUKviyzrxsnAw3",
        "Desiree",
        "Powell",
        "2014-11-14",
    );
    desiree.give(OBSERVATION, 5, origins);
    vec![camila, derrick, desiree]
}
