//! The rest of a chart. Some of its records are such that JHE's import drops a part of them with a
//! warning, and every other QuestionnaireResponse is one that JHE refuses.

use super::{
    Chance, EPIC, Members, TERMINOLOGY, US_CORE, array, begun, clinician, concept, date, day,
    epic_id, labs, moment, object, quantity_of, reference, subject, text, words,
};
use crate::ehr::EhrPatient;

const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const CVX: &str = "http://hl7.org/fhir/sid/cvx";

const DIAGNOSES: [(&str, &str); 5] = [
    ("E11.9", "Type 2 diabetes mellitus without complications"),
    ("I10", "Essential (primary) hypertension"),
    ("J45.20", "Mild intermittent asthma, uncomplicated"),
    ("M54.50", "Low back pain, unspecified"),
    ("E78.5", "Hyperlipidemia, unspecified"),
];
const ALLERGIES: [(&str, &str, &str); 3] = [
    ("Penicillin G", "medication", "Hives"),
    ("Peanut", "food", "Swelling of the lips"),
    ("Birch pollen – Birkenpollen", "environment", "Sneezing"),
];
const VACCINES: [(&str, &str); 4] = [
    (
        "150",
        "Influenza, injectable, quadrivalent, preservative free",
    ),
    ("208", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose"),
    ("115", "Tdap"),
    ("133", "Pneumococcal conjugate PCV 13"),
];
const PROCEDURES: [&str; 4] = [
    "Screening colonoscopy",
    "Biopsy of skin",
    "Electrocardiogram, 12 leads",
    "Removal of impacted cerumen",
];

/// The patient's own record.
pub(crate) fn patient(patient: &EhrPatient) -> String {
    let identifier = object(&[
        ("use", text("usual")),
        ("system", text(&format!("{EPIC}.5.737384.14"))),
        (
            "value",
            text(&format!(
                "{}",
                200_000 + Chance::of(&patient.id, 0).below(9_000)
            )),
        ),
    ]);
    let names = if patient.names.is_empty() {
        vec![object(&[
            ("use", text("official")),
            ("family", text(&patient.family)),
            ("given", array(&[text(&patient.given)])),
        ])]
    } else {
        patient.names.clone()
    };
    let mut members = vec![
        ("resourceType", text("Patient")),
        ("id", text(&patient.id)),
        ("identifier", array(&[identifier])),
        ("active", "true".to_owned()),
        ("name", array(&names)),
    ];
    if !patient.birth_date.is_empty() {
        members.push(("birthDate", text(&patient.birth_date)));
    }
    members.push(("generalPractitioner", array(&[clinician()])));
    object(&members)
}

/// Who has recorded a record: what `_revinclude=Provenance:target` adds.
pub(crate) fn provenance(patient: &str, resource_type: &str, id: &str) -> String {
    let target = format!("{resource_type}/{id}");
    object(&[
        ("resourceType", text("Provenance")),
        ("id", text(&epic_id(patient, &target, 0))),
        ("target", array(&[reference(&target, None)])),
        ("recorded", text(&date(0).with_seconds())),
        ("agent", array(&[object(&[("who", clinician())])])),
    ])
}

/// The members of the `n`th record of a type; `None` for a type that is not here.
pub(super) fn members(patient: &EhrPatient, resource_type: &str, n: usize) -> Option<Members> {
    let mut members = begun(patient, resource_type, n);
    members.extend(match resource_type {
        "AllergyIntolerance" => allergy(patient, n),
        "CarePlan" => care_plan(patient, n),
        "CareTeam" => care_team(patient, n),
        "Condition" => condition(patient, n),
        "Device" => device(patient, n),
        "DiagnosticReport" => diagnostic_report(patient, n),
        "Encounter" => encounter(patient, n),
        "Goal" => goal(patient, n),
        "Immunization" => immunization(patient, n),
        "Procedure" => procedure(patient, n),
        "QuestionnaireResponse" => questionnaire_response(patient, n),
        "ServiceRequest" => service_request(patient, n),
        _ => return None,
    });
    Some(members)
}

/// Every fourth one lacks the `clinicalStatus` that R5 wants.
fn condition(patient: &EhrPatient, n: usize) -> Members {
    let (code, display) = DIAGNOSES[n % DIAGNOSES.len()];
    let (category, title) = match n % 2 {
        0 => ("problem-list-item", "Problem List Item"),
        _ => ("encounter-diagnosis", "Encounter Diagnosis"),
    };
    let mut members = Members::new();
    if n % 4 != 3 {
        let system = format!("{TERMINOLOGY}/condition-clinical");
        members.push(("clinicalStatus", concept(&system, "active", "Active")));
    }
    members.extend([
        (
            "verificationStatus",
            concept(
                &format!("{TERMINOLOGY}/condition-ver-status"),
                "confirmed",
                "Confirmed",
            ),
        ),
        (
            "category",
            array(&[concept(
                &format!("{TERMINOLOGY}/condition-category"),
                category,
                title,
            )]),
        ),
        ("code", concept(ICD_10, code, display)),
        ("subject", subject(patient)),
        ("onsetDateTime", day(n)),
        ("recordedDate", day(n)),
    ]);
    members
}

fn allergy(patient: &EhrPatient, n: usize) -> Members {
    let (substance, category, manifestation) = ALLERGIES[n % ALLERGIES.len()];
    let reaction = object(&[
        ("manifestation", array(&[words(manifestation)])),
        ("severity", text("mild")),
    ]);
    let system = format!("{TERMINOLOGY}/allergyintolerance-clinical");
    vec![
        ("clinicalStatus", concept(&system, "active", "Active")),
        ("type", text("allergy")),
        ("category", array(&[text(category)])),
        ("criticality", text("low")),
        ("code", words(substance)),
        ("patient", subject(patient)),
        ("recordedDate", day(n)),
        ("reaction", array(&[reaction])),
    ]
}

/// Every third one says where it was reported from, which R5 does not know.
fn immunization(patient: &EhrPatient, n: usize) -> Members {
    let (code, display) = VACCINES[n % VACCINES.len()];
    let dose = 5 * i64::from(1 + Chance::of(&patient.id, n).below(2));
    let mut members = vec![
        ("status", text("completed")),
        ("vaccineCode", concept(CVX, code, display)),
        ("patient", subject(patient)),
        ("occurrenceDateTime", day(n)),
        ("primarySource", (n % 3 != 1).to_string()),
        (
            "doseQuantity",
            quantity_of(dose * 10, 2, Some("mL"), Some("mL")),
        ),
    ];
    if n % 3 == 1 {
        members.push(("reportOrigin", words("Written record")));
    }
    members
}

fn procedure(patient: &EhrPatient, n: usize) -> Members {
    vec![
        ("status", text("completed")),
        ("code", words(PROCEDURES[n % PROCEDURES.len()])),
        ("subject", subject(patient)),
        ("performedDateTime", moment(n)),
    ]
}

fn diagnostic_report(patient: &EhrPatient, n: usize) -> Members {
    let results: Vec<String> = (0..3)
        .map(|lab| {
            reference(
                &format!("Observation/{}", labs::id(patient, n * 3 + lab)),
                None,
            )
        })
        .collect();
    vec![
        ("status", text("final")),
        (
            "category",
            array(&[concept(
                &format!("{TERMINOLOGY}/v2-0074"),
                "LAB",
                "Laboratory",
            )]),
        ),
        ("code", words("CBC and differential")),
        ("subject", subject(patient)),
        ("effectiveDateTime", moment(n)),
        ("issued", moment(n)),
        ("result", array(&results)),
    ]
}

fn encounter(patient: &EhrPatient, n: usize) -> Members {
    let class = object(&[
        ("system", text(&format!("{TERMINOLOGY}/v3-ActCode"))),
        ("code", text("AMB")),
        ("display", text("ambulatory")),
    ]);
    let period = object(&[
        ("start", moment(n)),
        ("end", text(&date(n).plus_seconds(40 * 60).with_seconds())),
    ]);
    vec![
        ("status", text("finished")),
        ("class", class),
        ("type", array(&[words("Office Visit")])),
        ("subject", subject(patient)),
        (
            "participant",
            array(&[object(&[("individual", clinician())])]),
        ),
        ("period", period),
    ]
}

fn care_plan(patient: &EhrPatient, n: usize) -> Members {
    let category = format!("{US_CORE}/careplan-category");
    vec![
        ("status", text("active")),
        ("intent", text("plan")),
        (
            "category",
            array(&[concept(
                &category,
                "assess-plan",
                "Assessment and Plan of Treatment",
            )]),
        ),
        ("title", text("Diabetes – plan of care")),
        ("subject", subject(patient)),
        ("period", object(&[("start", day(n))])),
    ]
}

fn care_team(patient: &EhrPatient, n: usize) -> Members {
    let member = object(&[
        ("role", array(&[words("Primary care provider")])),
        ("member", clinician()),
    ]);
    vec![
        ("status", text("active")),
        ("name", text(&format!("Longitudinal care team {}", n + 1))),
        ("subject", subject(patient)),
        ("participant", array(&[member])),
    ]
}

fn goal(patient: &EhrPatient, n: usize) -> Members {
    let target = object(&[
        ("measure", words("Hemoglobin A1c")),
        (
            "detailQuantity",
            quantity_of(650 + 10 * (n as i64 % 5), 2, Some("%"), Some("%")),
        ),
    ]);
    vec![
        ("lifecycleStatus", text("active")),
        (
            "description",
            words("Caminar 30 minutos al día – walk half an hour a day"),
        ),
        ("subject", subject(patient)),
        ("startDate", day(n)),
        ("target", array(&[target])),
    ]
}

fn service_request(patient: &EhrPatient, n: usize) -> Members {
    vec![
        (
            "status",
            text(if n.is_multiple_of(2) {
                "completed"
            } else {
                "active"
            }),
        ),
        ("intent", text("order")),
        ("code", words("Basic metabolic panel")),
        ("subject", subject(patient)),
        ("authoredOn", moment(n)),
        ("requester", clinician()),
    ]
}

/// All of them name their patient, which R5 does not let them; of every other one the identifier has
/// no issuer.
fn device(patient: &EhrPatient, n: usize) -> Members {
    let mut carrier = vec![("deviceIdentifier", text("00844588003288"))];
    if n % 2 == 1 {
        carrier.push(("issuer", text("http://hl7.org/fhir/NamingSystem/gs1-di")));
    }
    carrier.push((
        "carrierHRF",
        text("(01)00844588003288(17)141120(10)7654321D"),
    ));
    vec![
        ("udiCarrier", array(&[object(&carrier)])),
        ("status", text("active")),
        ("manufactureDate", day(n)),
        ("type", words("Coated femoral stem")),
        ("patient", subject(patient)),
    ]
}

/// Every other one does not say what was asked, which JHE refuses.
fn questionnaire_response(patient: &EhrPatient, n: usize) -> Members {
    let answer = object(&[("valueString", text("No – nunca"))]);
    let item = object(&[
        ("linkId", text("1")),
        ("text", text("Do you smoke?")),
        ("answer", array(&[answer])),
    ]);
    let mut members = Members::new();
    if n.is_multiple_of(2) {
        let form = "https://hospital.example/Questionnaire/intake";
        members.push(("questionnaire", text(form)));
    }
    members.extend([
        ("status", text("completed")),
        ("subject", subject(patient)),
        ("authored", moment(n)),
        ("item", array(&[item])),
    ]);
    members
}
