//! Laboratory Observations.

use serde::{Deserialize, Serialize};

use super::observations::observation_category;
use super::{
    Chance, EPIC, INTERPRETATION, Members, coding, concept, decimal, epic_id, quantity_of,
    reference, subject, within,
};
use crate::clock::Timestamp;
use crate::ehr::EhrPatient;
use crate::json::{array, object, text};

/// Something unusual about a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peculiarity {
    /// Its id is longer than the 64 characters that FHIR allows (Epic: "Unconstrained FHIR IDs").
    LongId,
    /// Its id contains a `_`, which JHE refuses.
    UnderscoreId,
    /// It has no `code`: JHE refuses it.
    NoCode,
    /// It has a field that R5 does not know: JHE refuses it.
    UnknownField,
    /// It has two values: JHE refuses it.
    TwoValues,
    /// Its subject is somebody else.
    OtherSubject,
}

/// The `n`th lab of a patient.
pub fn lab(patient: &EhrPatient, n: usize) -> String {
    object(&members(patient, n))
}

/// The `n`th lab of a patient, with something unusual about it.
pub fn peculiar_lab(patient: &EhrPatient, n: usize, peculiarity: Peculiarity) -> String {
    let mut members = members(patient, n);
    let usual_id = id(patient, n);
    match peculiarity {
        Peculiarity::LongId => {
            let long = format!("{}{}", &usual_id[..45], &id(patient, n + 1_000)[1..]);
            replace(&mut members, "id", text(&long));
        }
        Peculiarity::UnderscoreId => {
            replace(
                &mut members,
                "id",
                text(&format!("{}_{}", &usual_id[..20], &usual_id[21..])),
            );
        }
        Peculiarity::NoCode => members.retain(|(name, _)| *name != "code"),
        Peculiarity::UnknownField => members.push(("labStatus", text("verified"))),
        Peculiarity::TwoValues => {
            members.retain(|(name, _)| !name.starts_with("value"));
            members.push(("valueString", text("see comment")));
            members.push(("valueInteger", "7".to_owned()));
        }
        Peculiarity::OtherSubject => {
            replace(
                &mut members,
                "subject",
                reference("Patient/eSomebodyElse-0000000000003", None),
            );
        }
    }
    object(&members)
}

fn replace(members: &mut Members, name: &str, value: String) {
    if let Some(member) = members.iter_mut().find(|(other, _)| *other == name) {
        member.1 = value;
    }
}

/// What a laboratory measures: one row of the table below.
struct Test {
    name: &'static str,
    /// LOINC code and its display; some labs at Epic have none.
    loinc: Option<(&'static str, &'static str)>,
    epic: &'static str,
    panel: &'static str,
    result: Finding,
}

enum Finding {
    /// A number: unit as printed, UCUM code (missing for some), digits after the point, and the
    /// reference range in units of the last digit.
    Quantity {
        unit: Option<&'static str>,
        ucum: Option<&'static str>,
        digits: usize,
        range: (i64, i64),
    },
    Words(&'static [&'static str]),
    Coded(&'static [(&'static str, &'static str)]),
}

const fn quantity(
    unit: &'static str,
    ucum: &'static str,
    digits: usize,
    range: (i64, i64),
) -> Finding {
    Finding::Quantity {
        unit: Some(unit),
        ucum: Some(ucum),
        digits,
        range,
    }
}

#[rustfmt::skip] // a table is read by its columns
const TESTS: [Test; 20] = [
    Test { name: "Hemoglobin A1c", loinc: Some(("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood")), epic: "1558230", panel: "HbA1c", result: quantity("%", "%", 2, (400, 560)) },
    Test { name: "Hemoglobin", loinc: Some(("718-7", "Hemoglobin [Mass/volume] in Blood")), epic: "1558011", panel: "CBC", result: quantity("g/dL", "g/dL", 1, (116, 150)) },
    Test { name: "WBC", loinc: Some(("6690-2", "Leukocytes [#/volume] in Blood by Automated count")), epic: "1558007", panel: "CBC", result: quantity("10*3/µL", "10*3/uL", 2, (400, 1100)) },
    Test { name: "Platelets", loinc: Some(("777-3", "Platelets [#/volume] in Blood by Automated count")), epic: "1558015", panel: "CBC", result: quantity("10*3/µL", "10*3/uL", 0, (150, 400)) },
    Test { name: "Sodium", loinc: Some(("2951-2", "Sodium [Moles/volume] in Serum or Plasma")), epic: "1520452", panel: "Basic metabolic panel", result: quantity("mmol/L", "mmol/L", 0, (136, 145)) },
    Test { name: "Potassium", loinc: Some(("2823-3", "Potassium [Moles/volume] in Serum or Plasma")), epic: "1520453", panel: "Basic metabolic panel", result: quantity("mmol/L", "mmol/L", 1, (35, 51)) },
    Test { name: "Creatinine", loinc: Some(("2160-0", "Creatinine [Mass/volume] in Serum or Plasma")), epic: "1520459", panel: "Basic metabolic panel", result: quantity("mg/dL", "mg/dL", 2, (57, 111)) },
    Test { name: "Glucose", loinc: Some(("2345-7", "Glucose [Mass/volume] in Serum or Plasma")), epic: "1520461", panel: "Basic metabolic panel", result: quantity("mg/dL", "mg/dL", 0, (70, 99)) },
    Test { name: "Calcium", loinc: Some(("17861-6", "Calcium [Mass/volume] in Serum or Plasma")), epic: "1520463", panel: "Basic metabolic panel", result: quantity("mg/dL", "mg/dL", 1, (86, 102)) },
    Test { name: "Urine color", loinc: Some(("5778-6", "Color of Urine")), epic: "1557012", panel: "Urinalysis", result: Finding::Words(&["Yellow", "Straw", "Dark yellow"]) },
    Test { name: "Urine protein", loinc: Some(("20454-5", "Protein [Presence] in Urine by Test strip")), epic: "1557019", panel: "Urinalysis", result: Finding::Coded(&[("NEG", "Negative"), ("POS", "Positive")]) },
    Test { name: "pH of urine", loinc: Some(("5803-2", "pH of Urine by Test strip")), epic: "1557015", panel: "Urinalysis", result: Finding::Quantity { unit: None, ucum: None, digits: 1, range: (50, 80) } },
    Test { name: "LDL cholesterol (calculated)", loinc: Some(("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation")), epic: "1526068", panel: "Lipid panel", result: quantity("mg/dL", "mg/dL", 0, (0, 129)) },
    Test { name: "HDL cholesterol", loinc: Some(("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma")), epic: "1526065", panel: "Lipid panel", result: quantity("mg/dL", "mg/dL", 0, (40, 90)) },
    Test { name: "Triglycerides", loinc: Some(("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma")), epic: "1526066", panel: "Lipid panel", result: quantity("mg/dL", "mg/dL", 0, (0, 149)) },
    Test { name: "TSH", loinc: Some(("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma")), epic: "1526540", panel: "Thyroid", result: quantity("µIU/mL", "u[IU]/mL", 3, (450, 4500)) },
    Test { name: "β-hCG, qualitative", loinc: None, epic: "1526799", panel: "Point of care", result: Finding::Coded(&[("NEG", "Negative")]) },
    Test { name: "Ferritin", loinc: Some(("2276-4", "Ferritin [Mass/volume] in Serum or Plasma")), epic: "1526301", panel: "Iron", result: quantity("ng/mL", "ng/mL", 0, (13, 150)) },
    Test { name: "Vitamin D (25-OH)", loinc: None, epic: "1526810", panel: "Vitamin D", result: Finding::Quantity { unit: Some("ng/mL"), ucum: None, digits: 1, range: (300, 1000) } },
    Test { name: "Blood culture", loinc: Some(("600-7", "Bacteria identified in Blood by Culture")), epic: "1551203", panel: "Microbiology", result: Finding::Words(&["No growth after 5 days", "No growth – señal débil, repetir"]) },
];

fn members(patient: &EhrPatient, n: usize) -> Members {
    let test = &TESTS[n % TESTS.len()];
    let chance = Chance::of(&patient.id, n);
    // A panel's tests are drawn together, some weeks after the one before.
    let visit = n / TESTS.len() * 5 + n % TESTS.len() / 4;
    let visit_number = i64::try_from(visit).unwrap_or_default();
    let drawn = Timestamp::of_day(2019, 3, 4)
        .plus_seconds(visit_number * 37 * 86_400 + 8 * 3_600 + 12 * 60);
    let issued = drawn.plus_seconds(2 * 3_600 + i64::from(chance.below(90)) * 60);
    let order = format!("{}", 4_471_000 + visit * 100 + n % TESTS.len());

    let mut members: Members = vec![
        ("resourceType", text("Observation")),
        ("id", text(&id(patient, n))),
        (
            "identifier",
            array(&[object(&[
                ("use", text("official")),
                ("system", text(&format!("{EPIC}.2.798268"))),
                ("value", text(&format!("{order}:{}", test.epic))),
            ])]),
        ),
        (
            "basedOn",
            array(&[reference(
                &format!("ServiceRequest/{}", epic_id(&patient.id, "order", visit)),
                Some(test.panel),
            )]),
        ),
        (
            "status",
            text(if n % 17 == 16 { "corrected" } else { "final" }),
        ),
        ("category", categories()),
        ("code", code(test)),
        ("subject", subject(patient)),
        (
            "encounter",
            object(&[
                (
                    "reference",
                    text(&format!(
                        "Encounter/{}",
                        epic_id(&patient.id, "encounter", visit)
                    )),
                ),
                (
                    "identifier",
                    object(&[
                        ("use", text("usual")),
                        ("system", text(&format!("{EPIC}.3.698084.8"))),
                        ("value", text(&format!("{}", 27_000 + visit))),
                    ]),
                ),
                ("display", text("Office Visit")),
            ]),
        ),
        ("effectiveDateTime", text(&drawn.with_seconds())),
        ("issued", text(&issued.with_seconds())),
        (
            "performer",
            array(&[reference(
                "Organization/eCanalSideLab0000000000003",
                Some("Canal Side Laboratory – Zürich"),
            )]),
        ),
    ];
    match &test.result {
        Finding::Quantity {
            unit,
            ucum,
            digits,
            range,
        } => {
            let value = match n {
                // One value is fixed: tests look for a decimal whose last digit is a zero.
                0 => 710,
                _ => within(*range, &chance),
            };
            members.push(("valueQuantity", quantity_of(value, *digits, *unit, *ucum)));
            members.push(("interpretation", interpretation(value, *range)));
            members.push((
                "referenceRange",
                reference_range(*range, *digits, *unit, *ucum),
            ));
        }
        Finding::Words(words) => members.push(("valueString", text(chance.one_of::<&str>(words)))),
        Finding::Coded(codes) => {
            let (code, display) = *chance.one_of(codes);
            members.push((
                "valueCodeableConcept",
                concept(INTERPRETATION, code, display),
            ));
        }
    }
    if n % 7 == 3 {
        let note =
            "Specimen slightly hemolyzed. Resultado comentado con la paciente – ≥ 2 h at 4 °C.";
        members.push(("note", array(&[object(&[("text", text(note))])])));
    }
    members.push((
        "specimen",
        reference(
            &format!("Specimen/{}", epic_id(&patient.id, "specimen", visit)),
            Some("Specimen"),
        ),
    ));
    members
}

fn categories() -> String {
    array(&[
        observation_category("laboratory", "Laboratory"),
        concept(&format!("{EPIC}.10.798268.30675"), "Lab", "Lab"),
    ])
}

fn code(test: &Test) -> String {
    let mut codings = Vec::new();
    if let Some((code, display)) = test.loinc {
        codings.push(coding("http://loinc.org", code, display));
    }
    codings.push(coding(&format!("{EPIC}.5.737384.6"), test.epic, test.name));
    object(&[("coding", array(&codings)), ("text", text(test.name))])
}

fn interpretation(value: i64, (low, high): (i64, i64)) -> String {
    let (code, display) = match value {
        value if value < low => ("L", "Low"),
        value if value > high => ("H", "High"),
        _ => ("N", "Normal"),
    };
    array(&[concept(INTERPRETATION, code, display)])
}

fn reference_range(
    (low, high): (i64, i64),
    digits: usize,
    unit: Option<&str>,
    ucum: Option<&str>,
) -> String {
    let words = format!(
        "{} - {} {}",
        decimal(low, digits),
        decimal(high, digits),
        unit.unwrap_or_default()
    );
    array(&[object(&[
        ("low", quantity_of(low, digits, unit, ucum)),
        ("high", quantity_of(high, digits, unit, ucum)),
        ("text", text(words.trim_end())),
    ])])
}

/// The id of the `n`th lab.
pub(super) fn id(patient: &EhrPatient, n: usize) -> String {
    epic_id(&patient.id, "lab", n)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::ehr::EhrState;
    use crate::world::Origins;

    fn camila() -> EhrPatient {
        EhrState::seeded(&Origins::invented()).patients[0].clone()
    }

    #[test]
    fn every_lab_is_json_with_an_id_of_its_own_that_jhe_can_hold() {
        let camila = camila();
        let ids: BTreeSet<String> = (0..500)
            .map(|n| {
                let lab: Value = serde_json::from_str(&lab(&camila, n)).expect("JSON");
                let id = lab["id"].as_str().expect("an id").to_owned();
                assert!(
                    id.len() <= 64
                        && id.bytes().all(|byte| byte.is_ascii_alphanumeric()
                            || byte == b'-'
                            || byte == b'.')
                );
                id
            })
            .collect();
        assert_eq!(ids.len(), 500);
    }

    #[test]
    fn a_decimal_keeps_its_trailing_zero() {
        assert!(lab(&camila(), 0).contains(r#""valueQuantity":{"value":7.10,"#));
        assert_eq!(decimal(5, 2), "0.05");
        assert_eq!(decimal(4500, 3), "4.500");
    }

    #[test]
    fn the_same_lab_is_written_the_same_way_every_time() {
        assert_eq!(lab(&camila(), 11), lab(&camila(), 11));
    }

    #[test]
    fn peculiar_ids_are_what_they_say() {
        let id = |peculiarity| {
            let lab: Value =
                serde_json::from_str(&peculiar_lab(&camila(), 40, peculiarity)).expect("JSON");
            lab["id"].as_str().expect("an id").to_owned()
        };
        assert!(id(Peculiarity::LongId).len() > 64);
        assert!(id(Peculiarity::UnderscoreId).contains('_'));
    }
}
