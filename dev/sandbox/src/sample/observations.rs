//! Observations that are no labs: vital signs and social history.

use super::{
    Chance, Members, OBSERVATION, TERMINOLOGY, array, coding, concept, epic_id, moment, object,
    quantity_of, subject, text, within,
};
use crate::ehr::EhrPatient;

const LOINC: &str = "http://loinc.org";

/// LOINC code, display, unit, digits and the usual range in units of the last digit.
type VitalSign = (&'static str, &'static str, &'static str, usize, (i64, i64));

/// What is measured at a visit.
#[rustfmt::skip] // a table is read by its columns
const VITAL_SIGNS: [VitalSign; 6] = [
    ("8867-4", "Heart rate", "/min", 0, (58, 96)),
    ("29463-7", "Body weight", "kg", 2, (5400, 9800)),
    ("85354-9", "Blood pressure panel", "mm[Hg]", 0, (98, 142)),
    ("8310-5", "Body temperature", "Cel", 1, (361, 378)),
    ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "%", 0, (94, 100)),
    ("8302-2", "Body height", "cm", 1, (1580, 1580)),
];

/// The `n`th vital sign of a patient.
pub(crate) fn vital_sign(patient: &EhrPatient, n: usize) -> String {
    let mut members = begun(patient, "vital-sign", n);
    members.push((
        "category",
        array(&[observation_category("vital-signs", "Vital Signs")]),
    ));
    members.extend(measured(patient, n));
    object(&members)
}

/// A point-of-care measurement that is both a lab and a vital sign, the `n`th of its kind.
pub(crate) fn dual_observation(patient: &EhrPatient, n: usize) -> String {
    let mut members = begun(patient, "dual", n);
    let categories = [
        observation_category("laboratory", "Laboratory"),
        observation_category("vital-signs", "Vital Signs"),
    ];
    members.push(("category", array(&categories)));
    let value = within((700, 1400), &Chance::of(&patient.id, n));
    members.extend([
        (
            "code",
            concept(
                LOINC,
                "41653-7",
                "Glucose [Mass/volume] in Capillary blood by Glucometer",
            ),
        ),
        ("subject", subject(patient)),
        ("effectiveDateTime", moment(n)),
        (
            "valueQuantity",
            quantity_of(value, 1, Some("mg/dL"), Some("mg/dL")),
        ),
    ]);
    object(&members)
}

/// The `n`th entry of a patient's social history.
pub(crate) fn social_history(patient: &EhrPatient, n: usize) -> String {
    let mut members = begun(patient, "social-history", n);
    let (code, display, answer) = match n % 2 {
        0 => ("72166-2", "Tobacco smoking status", "Former smoker"),
        _ => (
            "11331-6",
            "History of Alcohol use",
            "Occasional – 2 drinks a week",
        ),
    };
    members.extend([
        (
            "category",
            array(&[observation_category("social-history", "Social History")]),
        ),
        ("code", concept(LOINC, code, display)),
        ("subject", subject(patient)),
        ("effectiveDateTime", moment(n)),
        ("valueCodeableConcept", super::words(answer)),
    ]);
    object(&members)
}

/// A category of FHIR's own system.
pub(super) fn observation_category(code: &str, display: &str) -> String {
    concept(
        &format!("{TERMINOLOGY}/observation-category"),
        code,
        display,
    )
}

fn begun(patient: &EhrPatient, kind: &str, n: usize) -> Members {
    vec![
        ("resourceType", text(OBSERVATION)),
        ("id", text(&epic_id(&patient.id, kind, n))),
        ("status", text("final")),
    ]
}

fn measured(patient: &EhrPatient, n: usize) -> Members {
    let (code, display, unit, digits, range) = VITAL_SIGNS[n % VITAL_SIGNS.len()];
    let value = within(range, &Chance::of(&patient.id, n));
    let quantity = |value| quantity_of(value, digits, Some(unit), Some(unit));
    let component = |code, display, value| {
        object(&[
            ("code", concept(LOINC, code, display)),
            ("valueQuantity", quantity(value)),
        ])
    };
    let finding = match code {
        "85354-9" => (
            "component",
            array(&[
                component("8480-6", "Systolic blood pressure", value),
                component("8462-4", "Diastolic blood pressure", value * 2 / 3),
            ]),
        ),
        _ => ("valueQuantity", quantity(value)),
    };
    vec![
        (
            "code",
            object(&[
                ("coding", array(&[coding(LOINC, code, display)])),
                ("text", text(display)),
            ]),
        ),
        ("subject", subject(patient)),
        ("effectiveDateTime", moment(n)),
        finding,
    ]
}
