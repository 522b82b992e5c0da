//! A hospital's records in the shape Epic gives them, generated: no person's data is in them.
//!
//! They are composed as text ([`crate::json`]) so that decimals keep their trailing zeros, and are
//! the same on every run: what varies is derived from the patient's id and the record's number.

mod chart;
mod labs;
mod medications;
mod notes;
mod observations;

use crate::clock::Timestamp;
use crate::ehr::EhrPatient;
use crate::json::{array, object, text};

pub(crate) use chart::{patient, provenance};
pub use labs::{Peculiarity, lab, peculiar_lab};
pub(crate) use notes::note;
pub use notes::{Binary, NoteKind, Packing};
pub(crate) use observations::{dual_observation, social_history, vital_sign};

/// The type of what a portal shows as test results, vital signs and more.
pub(crate) const OBSERVATION: &str = "Observation";
/// What a MedicationRequest may refer to.
pub(crate) const MEDICATION: &str = "Medication";
/// The type of notes.
pub(crate) const DOCUMENT_REFERENCE: &str = "DocumentReference";

/// The `n`th record of a patient and of a type: of Observation a lab. `None` for types that are not
/// generated; notes are made by [`note`].
pub(crate) fn record(patient: &EhrPatient, resource_type: &str, n: usize) -> Option<String> {
    let members = match resource_type {
        OBSERVATION => return Some(lab(patient, n)),
        MEDICATION => medications::medication(patient, n),
        "MedicationRequest" => medications::request(patient, n),
        "MedicationDispense" => medications::dispense(patient, n),
        _ => chart::members(patient, resource_type, n)?,
    };
    Some(object(&members))
}

const EPIC: &str = "urn:oid:1.2.840.114350.1.13.0.1.7";
const INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem";
const US_CORE: &str = "http://hl7.org/fhir/us/core/CodeSystem";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";

type Members = Vec<(&'static str, String)>;

/// What every record of this type begins with.
fn begun(patient: &EhrPatient, resource_type: &str, n: usize) -> Members {
    vec![
        ("resourceType", text(resource_type)),
        ("id", text(&epic_id(&patient.id, resource_type, n))),
    ]
}

/// When the `n`th of a patient's records of a kind was made: some weeks after the one before.
fn date(n: usize) -> Timestamp {
    let visit = i64::try_from(n).unwrap_or_default();
    Timestamp::of_day(2018, 5, 17).plus_seconds(visit * 41 * 86_400 + 9 * 3_600 + 25 * 60)
}

fn moment(n: usize) -> String {
    text(&date(n).with_seconds())
}

fn day(n: usize) -> String {
    text(&date(n).with_seconds()[..10])
}

/// The patient as `subject`.
fn subject(patient: &EhrPatient) -> String {
    let name = format!("{}, {}", patient.family, patient.given);
    reference(&format!("Patient/{}", patient.id), Some(&name))
}

fn clinician() -> String {
    reference(
        "Practitioner/eHarborClinician0000000003",
        Some("Physician Family Medicine, MD"),
    )
}

/// A CodeableConcept with one coding.
fn concept(system: &str, code: &str, display: &str) -> String {
    object(&[
        ("coding", array(&[coding(system, code, display)])),
        ("text", text(display)),
    ])
}

/// A CodeableConcept that is words only.
fn words(what: &str) -> String {
    object(&[("text", text(what))])
}

fn quantity_of(value: i64, digits: usize, unit: Option<&str>, ucum: Option<&str>) -> String {
    let mut members = vec![("value", decimal(value, digits))];
    if let Some(unit) = unit {
        members.push(("unit", text(unit)));
    }
    if let Some(ucum) = ucum {
        members.push(("system", text("http://unitsofmeasure.org")));
        members.push(("code", text(ucum)));
    }
    object(&members)
}

/// `value` in units of the last of `digits` digits: `(710, 2)` is `7.10`.
fn decimal(value: i64, digits: usize) -> String {
    if digits == 0 {
        return value.to_string();
    }
    let figures = format!("{value:0width$}", width = digits + 1);
    let point = figures.len() - digits;
    format!("{}.{}", &figures[..point], &figures[point..])
}

fn coding(system: &str, code: &str, display: &str) -> String {
    object(&[
        ("system", text(system)),
        ("code", text(code)),
        ("display", text(display)),
    ])
}

fn reference(to: &str, display: Option<&str>) -> String {
    let mut members = vec![("reference", text(to))];
    if let Some(display) = display {
        members.push(("display", text(display)));
    }
    object(&members)
}

/// A value mostly within the reference range, sometimes a little outside of it.
fn within((low, high): (i64, i64), chance: &Chance) -> i64 {
    let width = high - low;
    let step = i64::from(chance.below(1_000));
    (low - width / 10 + width * 12 / 10 * step / 1_000).max(1)
}

/// An Epic-like id: 45 characters that begin with `e` and end with `3`.
fn epic_id(patient: &str, kind: &str, n: usize) -> String {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
    let chance = Chance::of(&format!("{patient}/{kind}"), n);
    let middle: String = (0..43)
        .map(|position| char::from(CHARACTERS[(chance.at(position) >> 20) as usize % 64]))
        .collect();
    format!("e{middle}3")
}

/// Numbers that look random and are the same on every run.
struct Chance(u64);

impl Chance {
    fn of(name: &str, n: usize) -> Self {
        // FNV-1a, then the number on top.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash.wrapping_add((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// SplitMix64's output function at a position.
    fn at(&self, position: u64) -> u64 {
        let mut mixed = self
            .0
            .wrapping_add((position + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&self, bound: u32) -> u32 {
        (self.at(0) % u64::from(bound)) as u32
    }

    fn one_of<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.at(1) as usize % choices.len()]
    }
}
