//! The patient's records. The sandbox generates them, and nothing is asked of its servers.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use sandbox::{EhrPatient, Options, Sandbox, lab};

use crate::chart::PATIENT;
use crate::task::Search;

/// One of the sandbox's patients, whose chart is empty.
const LOGIN: &str = "fhirderrick";

/// Where the records come from.
pub(crate) struct Hospital {
    sandbox: Sandbox,
    patient: EhrPatient,
}

impl Hospital {
    pub(crate) async fn open() -> Result<Hospital> {
        let sandbox = Sandbox::start(Options::default()).await?;
        let patient = {
            let mut world = sandbox.world();
            let patient = world.ehr.patient_mut(LOGIN);
            let patient = patient.context("the sandbox does not know the patient")?;
            patient.id = PATIENT.to_owned();
            patient.clone()
        };
        Ok(Hospital { sandbox, patient })
    }

    /// So many records that a search finds, each as JSON text.
    pub(crate) fn records(
        &self,
        search: &Search,
        count: usize,
    ) -> Box<dyn Iterator<Item = String> + '_> {
        let mut world = self.sandbox.world();
        match (search.resource_type, search.parameter) {
            // One after the other: there may be more of them than should be in memory twice.
            ("Observation", Some((_, "laboratory"))) => {
                return Box::new((0..count).map(|number| full_lab(&self.patient, number)));
            }
            ("Observation", _) => world.give_vitals(LOGIN, count),
            (resource_type, _) => world.give_records(LOGIN, resource_type, count),
        }
        let records = world.records_of(LOGIN, search.resource_type);
        Box::new(records.into_iter().take(count))
    }
}

/// A lab of the sandbox, with some more of what Epic's have: about 2.5 kB.
fn full_lab(patient: &EhrPatient, number: usize) -> String {
    let mut record = lab(patient, number);
    let closing = record.pop();
    record.push_str(concat!(
        r#","bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"53120007","display":"Upper limb structure"}],"text":"Arm"}"#,
        r#","method":{"coding":[{"system":"http://snomed.info/sct","code":"702659008","display":"Automated count technique"}],"text":"Automated"}"#,
        r#","hasMember":["#,
    ));
    for member in 0..4 {
        let separator = if member > 0 { "," } else { "" };
        let _ = write!(
            record,
            r#"{separator}{{"reference":"Observation/eMember{:038}3","type":"Observation","display":"Component {member} of the panel"}}"#,
            number * 4 + member
        );
    }
    record.push(']');
    record.extend(closing);
    record
}
