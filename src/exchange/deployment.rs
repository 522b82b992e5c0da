//! What differs between the clients that JHE serves. A further deployment is a value, not another code path.

use crate::fhir::identity::Identity;

/// One of JHE's clients.
#[derive(Debug, Clone, Copy)]
pub struct Deployment {
    /// Its name in the page configuration.
    pub name: &'static str,
    /// What patients know the hospital's portal as, if that is the same for all.
    pub portal: Option<&'static str>,
    /// Where JHE takes the patient's id at the EHR.
    pub identifier_path: &'static str,
    /// Where JHE knows hospitals, for the patient to pick one; `None` where the page configuration names the only one.
    pub brands_path: Option<&'static str>,
    /// The label of the sources that are registered.
    pub source_label: &'static str,
    /// Where a source says which hospital it is.
    pub source_form: SourceForm,
    /// The callback page's path below JHE's origin, where the page configuration names none.
    pub callback_path: &'static str,
    /// What is pulled, in this order, where the page configuration says nothing else.
    pub pulls: &'static [Pull],
    /// How the EHR's ids survive the write.
    pub identity: Identity,
    /// How records are written.
    pub writing: Writing,
}

/// Where one of JHE's sources says which hospital it is. By that, and by its data source, it is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceForm {
    /// In a member of its own.
    FhirBaseUrl,
    /// Behind the label: this JHE has no such member.
    Label,
}

/// How records are written, and how many writes may be under way at once.
///
/// The limit begins at `start`, which is best 1: so it is learned how fast the server is when nothing waits. It moves
/// between 1 and `ceiling`, by what the server's answers say of its load.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// One record a request, or many.
    pub unit: Unit,
    /// Writes under way at the beginning.
    pub start: u32,
    /// Never more than these.
    pub ceiling: u32,
}

/// What one write carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// One record. This JHE adds a row every time: nothing is repeated that may have arrived, and what JHE holds is read
    /// back first.
    Record,
    /// A Bundle of up to 100 records and 900 kB. This JHE updates a record that it holds, so that a write may be
    /// repeated.
    Batch,
}

/// One search and the name that the patient reads for it.
#[derive(Debug, Clone, Copy)]
pub struct Pull {
    /// As in `Labs: 12 records`.
    pub label: &'static str,
    /// The resource type. The patient's own resource is read; of all others those about the patient are searched.
    pub resource_type: &'static str,
    /// What is asked of the type beside the patient.
    pub parameters: &'static [(&'static str, &'static str)],
    /// Are documents to be fetched that its records only refer to?
    pub attachments: bool,
}

const fn pull(
    label: &'static str,
    resource_type: &'static str,
    parameters: &'static [(&'static str, &'static str)],
) -> Pull {
    Pull {
        label,
        resource_type,
        parameters,
        attachments: false,
    }
}

const LABS: Pull = pull("Labs", "Observation", &[("category", "laboratory")]);

/// The MyChart client: one EHR per server, laboratory results, one POST per record.
pub const MYCHART: Deployment = Deployment {
    name: "mychart",
    portal: Some("MyChart"),
    identifier_path: "api/v1/mychart/identifier",
    brands_path: None,
    source_label: "Epic / MyChart",
    source_form: SourceForm::FhirBaseUrl,
    callback_path: "clients/mychart/callback",
    pulls: &[LABS],
    // This JHE replaces every id by one of its own and adds a row for every POST.
    identity: Identity::AddIdentifier,
    // JHE's stock server has two workers for everybody; browsers open six connections to a server.
    writing: Writing {
        unit: Unit::Record,
        start: 1,
        ceiling: 6,
    },
};

/// The Patient Access client: a hospital of the patient's choice, eighteen kinds of records, in batches.
///
/// Epic gives most of these only with the parameters that stand here.
pub const PATIENT_ACCESS: Deployment = Deployment {
    name: "patient-access",
    portal: None,
    identifier_path: "api/v1/patient-access/identifier",
    brands_path: Some("api/v1/patient-access/brands"),
    source_label: "Epic / Patient Access",
    callback_path: "clients/patient-access/callback",
    pulls: &[
        pull("Your details", "Patient", &[]),
        pull("Conditions", "Condition", &[]),
        pull("Medications", "MedicationRequest", &[]),
        pull("Dispensed medications", "MedicationDispense", &[]),
        pull("Allergies", "AllergyIntolerance", &[]),
        pull("Immunizations", "Immunization", &[]),
        pull("Procedures", "Procedure", &[]),
        LABS,
        pull("Vital signs", "Observation", &[("category", "vital-signs")]),
        pull("Reports", "DiagnosticReport", &[]),
        Pull {
            attachments: true,
            ..pull(
                "Clinical notes",
                "DocumentReference",
                &[("category", "clinical-note")],
            )
        },
        pull("Visits", "Encounter", &[]),
        pull("Care plans", "CarePlan", &[("category", "assess-plan")]),
        pull("Care teams", "CareTeam", &[("status", "active")]),
        pull("Goals", "Goal", &[]),
        pull("Orders", "ServiceRequest", &[]),
        pull("Devices", "Device", &[]),
        pull("Questionnaires", "QuestionnaireResponse", &[]),
    ],
    // This JHE keeps the EHR's ids, also those that it moves into an identifier.
    identity: Identity::Keep,
    // A batch keeps one of JHE's workers busy for seconds.
    writing: Writing {
        unit: Unit::Batch,
        start: 1,
        ceiling: 2,
    },
    ..MYCHART
};

/// The EHR Patient Portal client, as JHE named Patient Access later: the same under other addresses.
///
/// Not verified against a server: it is built from JHE's public sources.
pub const EHR_PATIENT_PORTAL: Deployment = Deployment {
    name: "ehr-patient-portal",
    identifier_path: "api/v1/ehr-patient-portal/identifier",
    brands_path: Some("api/v1/ehr-patient-portal/brands"),
    source_label: "Epic / EHR Patient Portal",
    // JHE's own page registers another source at every visit, since nothing but the label tells them apart. Under the
    // same label those are found again.
    source_form: SourceForm::Label,
    callback_path: "clients/ehr-patient-portal/callback",
    ..PATIENT_ACCESS
};

impl Deployment {
    /// The deployment of this name; without a name, the MyChart client.
    pub fn named(name: Option<&str>) -> Option<&'static Deployment> {
        static ALL: [Deployment; 3] = [MYCHART, PATIENT_ACCESS, EHR_PATIENT_PORTAL];
        let name = name.unwrap_or(MYCHART.name);
        ALL.iter().find(|deployment| deployment.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_of_jhe_is_found_by_its_name() {
        for name in ["mychart", "patient-access", "ehr-patient-portal"] {
            let found = Deployment::named(Some(name)).unwrap();
            assert_eq!(found.name, name);
            let api = ["api/v1/", name, "/"].concat();
            assert!(found.identifier_path.starts_with(&api));
            assert!(found.brands_path.is_none_or(|path| path.starts_with(&api)));
        }
        assert_eq!(Deployment::named(None).unwrap().name, "mychart");
        assert!(Deployment::named(Some("")).is_none());
    }
}
