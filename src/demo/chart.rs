//! The charts of the test mode: made by rule, so that they weigh nothing and are the same on every run.
//!
//! Of each resource there is what this crate reads and what JHE takes. Codes are LOINC's where there are some.

use alloc::string::String;

use crate::exchange::deployment::PATIENT_ACCESS;
use crate::language::Text;
use crate::text::{number, whole_number};

/// How many kinds of records there are: the rows of the Patient Access client's plan, in their order.
pub const KINDS: usize = PATIENT_ACCESS.pulls.len();

/// Someone whose chart a pretended hospital has.
#[derive(Debug)]
pub struct Persona {
    /// Its name in ids and in the documentation: letters only.
    pub name: &'static str,
    /// What there is to be seen, as the pretended sign-in says it.
    pub text: Text,
    /// What the patient is called.
    pub patient: &'static str,
    /// The patient's date of birth.
    pub born: &'static str,
    /// Does somebody else sign in for the patient?
    pub is_proxied: bool,
    /// Does the chart belong to another participant at JHE?
    pub is_taken: bool,
    /// How many records there are of each kind.
    pub counts: [u32; KINDS],
}

/// Everybody.
pub const PERSONAS: [Persona; 6] = [
    Persona {
        name: "few",
        text: Text::DemoFew,
        patient: "Alex Sample",
        born: "1984-05-17",
        is_proxied: false,
        is_taken: false,
        counts: [1, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    },
    Persona {
        name: "kinds",
        text: Text::DemoKinds,
        patient: "Robin Sample",
        born: "1971-11-02",
        is_proxied: false,
        is_taken: false,
        counts: [1, 4, 5, 3, 2, 6, 3, 18, 10, 3, 4, 6, 1, 1, 2, 4, 1, 2],
    },
    Persona {
        name: "large",
        text: Text::DemoLarge,
        patient: "Jordan Sample",
        born: "1952-02-29",
        is_proxied: false,
        is_taken: false,
        counts: [
            1, 24, 60, 90, 6, 42, 18, 640, 380, 60, 8, 96, 4, 3, 8, 54, 4, 6,
        ],
    },
    Persona {
        name: "empty",
        text: Text::DemoEmpty,
        patient: "Sam Sample",
        born: "1999-08-30",
        is_proxied: false,
        is_taken: false,
        counts: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    },
    Persona {
        name: "child",
        text: Text::DemoChild,
        patient: "Kim Sample",
        born: "2016-03-09",
        is_proxied: true,
        is_taken: false,
        counts: [1, 1, 0, 0, 1, 9, 0, 2, 4, 0, 0, 5, 0, 0, 0, 0, 0, 0],
    },
    Persona {
        name: "taken",
        text: Text::DemoTaken,
        patient: "Chris Other",
        born: "1966-12-24",
        is_proxied: false,
        is_taken: true,
        counts: [1, 0, 2, 0, 0, 0, 0, 6, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0],
    },
];

impl Persona {
    /// The persona of this name.
    pub fn named(name: &str) -> Option<&'static Persona> {
        PERSONAS.iter().find(|persona| persona.name == name)
    }

    /// How many records there are.
    pub fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// The patient's id.
    pub(crate) fn patient_id(&'static self) -> String {
        Place {
            persona: self,
            kind: 0,
            number: 0,
        }
        .id('-')
    }
}

/// Where a record stands: whose it is, of which kind, and which of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) persona: &'static Persona,
    pub(crate) kind: usize,
    pub(crate) number: u32,
}

impl Place {
    /// Reads an id that [`Place::id`] made; only of a record that there is.
    pub(crate) fn read(id: &str) -> Option<Self> {
        let mut parts = id.split('-');
        let mut part = || parts.next();
        let persona = Persona::named(part()?)?;
        let kind = usize::try_from(whole_number(part()?)?).ok()?;
        let number = u32::try_from(whole_number(part()?)?).ok()?;
        let place = Place {
            persona,
            kind,
            number,
        };
        let is_there = number < *persona.counts.get(kind)?;
        (is_there && place.id('-') == id).then_some(place)
    }

    /// The record's id. JHE takes a hyphen in it, and refuses a record with an underscore.
    pub(crate) fn id(self, mark: char) -> String {
        let mut id = String::from(self.persona.name);
        for part in [self.kind as u64, u64::from(self.number)] {
            id.push(mark);
            id.push_str(&number(part));
        }
        id
    }

    /// Its resource type.
    pub(crate) fn resource_type(self) -> &'static str {
        let pull = PATIENT_ACCESS.pulls.get(self.kind);
        pull.map_or("", |pull| pull.resource_type)
    }

    /// Does JHE drop something of it when it is stored? So it was recorded of members that R5 does not have.
    pub(crate) fn is_adjusted(self) -> bool {
        self.resource_type() == "Immunization" && self.number % 3 == 2
    }

    /// The record as the hospital has it, under this id.
    pub(crate) fn record(self, id: &str) -> String {
        let Some(shape) = SHAPES.get(self.kind) else {
            return String::new();
        };
        let persona = self.persona;
        let lines = shape.lines;
        // Of some kinds there are several on one day, of each name one.
        let line = (self.number as usize).checked_rem(lines.len()).unwrap_or(0);
        let line = lines.get(line).copied().unwrap_or_default();
        let round = self.number.checked_div(lines.len() as u32).unwrap_or(0);
        let steps = match shape.in_rounds {
            true => round,
            false => self.number,
        };
        let date = day_before_last(steps.wrapping_mul(shape.every_days));
        let value = line.value(round);
        let subject = persona.patient_id();
        filled(
            shape.template,
            &[
                ('i', id),
                ('s', &subject),
                ('d', &date),
                ('n', line.name),
                ('c', line.code),
                ('v', &value),
                ('u', line.unit),
                ('p', persona.patient),
                ('b', persona.born),
                (
                    'x',
                    if self.is_adjusted() {
                        REPORT_ORIGIN
                    } else {
                        ""
                    },
                ),
            ],
        )
    }

    /// The text of the note that a DocumentReference refers to.
    pub(crate) fn note(self) -> String {
        filled(
            "Visit note $n of $p.\nThe patient is a test persona. All values in this chart were made by rule.\n",
            &[
                ('n', &number(u64::from(self.number) + 1)),
                ('p', self.persona.patient),
            ],
        )
    }
}

const REPORT_ORIGIN: &str = r#","reportOrigin":{"text":"Reported by the patient"}"#;

/// What the records of a kind have in common.
struct Shape {
    /// JSON with places: `$i` id, `$s` the patient's id, `$d` date, `$n` name, `$c` code, `$v` value, `$u` unit.
    template: &'static str,
    /// One record is so many days older than the one before.
    every_days: u32,
    /// Is there one of each line on a day?
    in_rounds: bool,
    lines: &'static [Line],
}

/// One thing that records of a kind are about.
#[derive(Clone, Copy, Default)]
struct Line {
    name: &'static str,
    code: &'static str,
    unit: &'static str,
    /// In tenths.
    lowest: u32,
    /// How far the values go from there, in tenths.
    range: u32,
}

impl Line {
    /// A value that wanders between the lowest and the highest one.
    fn value(&self, round: u32) -> String {
        let wandered = round.wrapping_mul(37) % self.range.max(1);
        let tenths = self.lowest + wandered;
        let mut value = number(u64::from(tenths / 10));
        value.push('.');
        value.push_str(&number(u64::from(tenths % 10)));
        value
    }
}

const fn called(name: &'static str) -> Line {
    Line {
        name,
        code: "",
        unit: "",
        lowest: 0,
        range: 1,
    }
}

const fn measured(
    name: &'static str,
    code: &'static str,
    unit: &'static str,
    lowest: u32,
    range: u32,
) -> Line {
    Line {
        name,
        code,
        unit,
        lowest,
        range,
    }
}

const fn shape(template: &'static str, every_days: u32, lines: &'static [Line]) -> Shape {
    Shape {
        template,
        every_days,
        in_rounds: false,
        lines,
    }
}

const fn panel(template: &'static str, every_days: u32, lines: &'static [Line]) -> Shape {
    Shape {
        template,
        every_days,
        in_rounds: true,
        lines,
    }
}

/// In the order of the Patient Access client's plan.
const SHAPES: [Shape; KINDS] = [
    shape(
        r#"{"resourceType":"Patient","id":"$i","name":[{"use":"official","text":"$p"}],"birthDate":"$b"}"#,
        0,
        &[],
    ),
    shape(
        r#"{"resourceType":"Condition","id":"$i","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"code":{"text":"$n"},"subject":{"reference":"Patient/$s"},"onsetDateTime":"$d"}"#,
        190,
        &[
            called("Essential hypertension"),
            called("Seasonal allergic rhinitis"),
            called("Low back pain"),
            called("Migraine"),
        ],
    ),
    shape(
        r#"{"resourceType":"MedicationRequest","id":"$i","status":"active","intent":"order","medicationCodeableConcept":{"text":"$n"},"subject":{"reference":"Patient/$s"},"authoredOn":"$d"}"#,
        61,
        &[
            called("Lisinopril 10 mg tablet"),
            called("Atorvastatin 20 mg tablet"),
            called("Cetirizine 10 mg tablet"),
            called("Ibuprofen 400 mg tablet"),
        ],
    ),
    shape(
        r#"{"resourceType":"MedicationDispense","id":"$i","status":"completed","medicationCodeableConcept":{"text":"$n"},"subject":{"reference":"Patient/$s"},"whenHandedOver":"$d"}"#,
        30,
        &[
            called("Lisinopril 10 mg tablet"),
            called("Atorvastatin 20 mg tablet"),
        ],
    ),
    shape(
        r#"{"resourceType":"AllergyIntolerance","id":"$i","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"code":{"text":"$n"},"patient":{"reference":"Patient/$s"},"recordedDate":"$d"}"#,
        420,
        &[called("Penicillin"), called("Peanut"), called("Latex")],
    ),
    shape(
        r#"{"resourceType":"Immunization","id":"$i","status":"completed","vaccineCode":{"text":"$n"},"patient":{"reference":"Patient/$s"},"occurrenceDateTime":"$d"$x}"#,
        175,
        &[
            called("Influenza vaccine"),
            called("COVID-19 vaccine"),
            called("Tetanus and diphtheria vaccine"),
        ],
    ),
    shape(
        r#"{"resourceType":"Procedure","id":"$i","status":"completed","code":{"text":"$n"},"subject":{"reference":"Patient/$s"},"performedDateTime":"$d"}"#,
        330,
        &[
            called("Electrocardiogram"),
            called("Colonoscopy"),
            called("X-ray of the knee"),
        ],
    ),
    panel(
        r#"{"resourceType":"Observation","id":"$i","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"$c"}],"text":"$n"},"subject":{"reference":"Patient/$s"},"effectiveDateTime":"$d","valueQuantity":{"value":$v,"unit":"$u"}}"#,
        91,
        &[
            measured("Hemoglobin A1c", "4548-4", "%", 52, 24),
            measured("Glucose", "2345-7", "mg/dL", 820, 510),
            measured("Cholesterol", "2093-3", "mg/dL", 1550, 800),
            measured("LDL cholesterol", "2089-1", "mg/dL", 780, 700),
            measured("HDL cholesterol", "2085-9", "mg/dL", 380, 300),
            measured("Triglycerides", "2571-8", "mg/dL", 700, 1400),
            measured("Creatinine", "2160-0", "mg/dL", 7, 8),
            measured("Sodium", "2951-2", "mmol/L", 1360, 90),
            measured("Potassium", "2823-3", "mmol/L", 36, 15),
            measured("TSH", "3016-3", "mIU/L", 8, 34),
            measured("Hemoglobin", "718-7", "g/dL", 121, 41),
            measured("Vitamin D", "1989-3", "ng/mL", 180, 320),
        ],
    ),
    panel(
        r#"{"resourceType":"Observation","id":"$i","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"$c"}],"text":"$n"},"subject":{"reference":"Patient/$s"},"effectiveDateTime":"$d","valueQuantity":{"value":$v,"unit":"$u"}}"#,
        47,
        &[
            measured("Body weight", "29463-7", "kg", 611, 180),
            measured("Heart rate", "8867-4", "/min", 580, 310),
            measured("Body temperature", "8310-5", "Cel", 362, 14),
            measured("Respiratory rate", "9279-1", "/min", 120, 70),
            measured("Oxygen saturation", "59408-5", "%", 950, 46),
        ],
    ),
    shape(
        r#"{"resourceType":"DiagnosticReport","id":"$i","status":"final","code":{"text":"$n"},"subject":{"reference":"Patient/$s"},"effectiveDateTime":"$d"}"#,
        91,
        &[
            called("Metabolic panel"),
            called("Lipid panel"),
            called("Complete blood count"),
        ],
    ),
    shape(
        r#"{"resourceType":"DocumentReference","id":"$i","status":"current","category":[{"coding":[{"system":"http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category","code":"clinical-note"}]}],"type":{"text":"Progress note"},"subject":{"reference":"Patient/$s"},"date":"$dT09:30:00Z","content":[{"attachment":{"contentType":"text/plain","url":"Binary/$i"}}]}"#,
        120,
        &[],
    ),
    shape(
        r#"{"resourceType":"Encounter","id":"$i","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"type":[{"text":"$n"}],"subject":{"reference":"Patient/$s"},"period":{"start":"$d"}}"#,
        44,
        &[called("Office visit"), called("Telephone visit")],
    ),
    shape(
        r#"{"resourceType":"CarePlan","id":"$i","status":"active","intent":"plan","category":[{"coding":[{"system":"http://hl7.org/fhir/us/core/CodeSystem/careplan-category","code":"assess-plan"}]}],"title":"$n","subject":{"reference":"Patient/$s"},"period":{"start":"$d"}}"#,
        400,
        &[called("Blood pressure plan"), called("Exercise plan")],
    ),
    shape(
        r#"{"resourceType":"CareTeam","id":"$i","status":"active","name":"$n","subject":{"reference":"Patient/$s"},"period":{"start":"$d"}}"#,
        500,
        &[called("Primary care team"), called("Heart team")],
    ),
    shape(
        r#"{"resourceType":"Goal","id":"$i","lifecycleStatus":"active","description":{"text":"$n"},"subject":{"reference":"Patient/$s"},"startDate":"$d"}"#,
        210,
        &[
            called("Walk 30 minutes a day"),
            called("Blood pressure below 130/80"),
        ],
    ),
    shape(
        r#"{"resourceType":"ServiceRequest","id":"$i","status":"completed","intent":"order","code":{"text":"$n"},"subject":{"reference":"Patient/$s"},"authoredOn":"$d"}"#,
        75,
        &[
            called("Metabolic panel"),
            called("Electrocardiogram"),
            called("Eye examination"),
        ],
    ),
    shape(
        r#"{"resourceType":"Device","id":"$i","status":"active","type":{"text":"$n"},"patient":{"reference":"Patient/$s"}}"#,
        0,
        &[called("Blood pressure monitor"), called("Hearing aid")],
    ),
    shape(
        r#"{"resourceType":"QuestionnaireResponse","id":"$i","questionnaire":"https://questions.hospital.invalid/Questionnaire/wellbeing","status":"completed","subject":{"reference":"Patient/$s"},"authored":"$d"}"#,
        365,
        &[],
    ),
];

/// Puts values in the places of a template. None of them needs to be escaped.
pub(crate) fn filled(template: &str, values: &[(char, &str)]) -> String {
    let mut whole = String::with_capacity(template.len() + 80);
    let mut parts = template.split('$');
    whole.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut signs = part.chars();
        let name = signs.next();
        let value = values.iter().find(|(known, _)| Some(*known) == name);
        whole.push_str(value.map_or("", |(_, value)| value));
        whole.push_str(signs.as_str());
    }
    whole
}

/// The date so many days before 2026-09-30, the last one of all charts.
fn day_before_last(days: u32) -> String {
    // The day's number since 0000-03-01: years that begin in March end with the leap day.
    let day = 740_194_u32.saturating_sub(days);
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year + 400 * era, month + 3),
        _ => (year + 400 * era + 1, month - 9),
    };
    let mut date = number(u64::from(year));
    for part in [month, day] {
        date.push_str(if part < 10 { "-0" } else { "-" });
        date.push_str(&number(u64::from(part)));
    }
    date
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn places() -> impl Iterator<Item = Place> {
        PERSONAS.iter().flat_map(|persona| {
            persona
                .counts
                .iter()
                .enumerate()
                .flat_map(move |(kind, count)| {
                    (0..*count).map(move |number| Place {
                        persona,
                        kind,
                        number,
                    })
                })
        })
    }

    #[test]
    fn days_go_back_through_leap_years() {
        for (days, date) in [
            (0, "2026-09-30"),
            (1, "2026-09-29"),
            (272, "2026-01-01"),
            (273, "2025-12-31"),
            (943, "2024-03-01"),
            (944, "2024-02-29"),
        ] {
            assert_eq!(day_before_last(days), date, "{days}");
        }
    }

    #[test]
    fn every_record_is_json_of_its_type_about_its_patient_and_dated_in_the_past() {
        for place in places() {
            let id = place.id('-');
            let text = place.record(&id);
            let record = Json::parse(text.as_bytes()).expect(&text);
            assert_eq!(record.get_string("id"), Some(id));
            assert_eq!(
                record.get_string("resourceType").as_deref(),
                Some(place.resource_type())
            );
            let about = ["Patient/", &place.persona.patient_id()].concat();
            assert!(place.kind == 0 || text.contains(&about), "{text}");
            assert!(!text.contains('$') && !text.contains("\"\""), "{text}");
        }
    }

    #[test]
    fn an_id_leads_back_to_its_record_and_nothing_else_does() {
        for place in places() {
            let found = Place::read(&place.id('-')).expect("a place");
            assert_eq!((found.kind, found.number), (place.kind, place.number));
            assert!(Place::read(&place.id('_')).is_none());
        }
        for id in [
            "",
            "few",
            "few-7",
            "few-7-12",
            "few-07-1",
            "few-7-1-",
            "other-7-1",
            "few-18-0",
        ] {
            assert!(Place::read(id).is_none(), "{id}");
        }
    }

    #[test]
    fn the_large_chart_has_about_1500_records_and_one_chart_has_every_kind() {
        let total = |name| Persona::named(name).unwrap().total();
        assert!((1_400..1_600).contains(&total("large")));
        assert_eq!(total("empty"), 1);
        assert!(
            Persona::named("kinds")
                .unwrap()
                .counts
                .iter()
                .all(|count| *count > 0)
        );
    }
}
