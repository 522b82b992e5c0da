//! What a patient is prescribed and given. Every other request refers to a Medication instead of naming
//! it: JHE loses that reference.

use super::{
    Chance, MEDICATION, Members, RXNORM, array, begun, clinician, concept, day, epic_id, moment,
    object, quantity_of, reference, subject, text,
};
use crate::ehr::EhrPatient;

/// RxNorm code, name and what the label says.
const MEDICINES: [(&str, &str, &str); 5] = [
    (
        "861007",
        "metformin hydrochloride 500 MG Oral Tablet",
        "Take 1 tablet with breakfast",
    ),
    (
        "314076",
        "lisinopril 10 MG Oral Tablet",
        "Take 1 tablet every morning",
    ),
    (
        "617310",
        "atorvastatin 20 MG Oral Tablet",
        "Tomar 1 tableta por la noche",
    ),
    (
        "745679",
        "albuterol 0.09 MG/ACTUAT Metered Dose Inhaler",
        "Inhale 2 puffs as needed",
    ),
    (
        "311036",
        "insulin, regular, human 100 UNT/ML Injectable Solution",
        "Inject 4 units before meals",
    ),
];

pub(super) fn medication(patient: &EhrPatient, n: usize) -> Members {
    let mut members = begun(patient, MEDICATION, n);
    members.extend([("code", medicine(n)), ("status", text("active"))]);
    members
}

pub(super) fn request(patient: &EhrPatient, n: usize) -> Members {
    let (_, name, label) = MEDICINES[n % MEDICINES.len()];
    let mut members = begun(patient, "MedicationRequest", n);
    let category = format!("{}/medicationrequest-category", super::TERMINOLOGY);
    members.extend([
        (
            "status",
            text(if n % 5 == 4 { "stopped" } else { "active" }),
        ),
        ("intent", text("order")),
        (
            "category",
            array(&[concept(&category, "outpatient", "Outpatient")]),
        ),
    ]);
    members.push(match n % 2 {
        0 => (
            "medicationReference",
            reference(
                &format!("{MEDICATION}/{}", epic_id(&patient.id, MEDICATION, n)),
                Some(name),
            ),
        ),
        _ => ("medicationCodeableConcept", medicine(n)),
    });
    let repeat = object(&[
        ("frequency", "1".to_owned()),
        ("period", "1.0".to_owned()),
        ("periodUnit", text("d")),
    ]);
    members.extend([
        ("subject", subject(patient)),
        ("authoredOn", day(n)),
        ("requester", clinician()),
        (
            "dosageInstruction",
            array(&[object(&[
                ("text", text(label)),
                ("timing", object(&[("repeat", repeat)])),
            ])]),
        ),
    ]);
    members
}

pub(super) fn dispense(patient: &EhrPatient, n: usize) -> Members {
    let supply = 30 * i64::from(1 + Chance::of(&patient.id, n).below(3));
    let mut members = begun(patient, "MedicationDispense", n);
    members.extend([
        ("status", text("completed")),
        ("medicationCodeableConcept", medicine(n)),
        ("subject", subject(patient)),
        (
            "quantity",
            quantity_of(supply * 10, 1, Some("tablet"), None),
        ),
        ("daysSupply", quantity_of(supply, 0, Some("day"), Some("d"))),
        ("whenHandedOver", moment(n)),
    ]);
    members
}

fn medicine(n: usize) -> String {
    let (code, name, _) = MEDICINES[n % MEDICINES.len()];
    concept(RXNORM, code, name)
}
