//! The drop-ins: files that take the place of a JHE client's own scripts, while its templates stay as they are.
//!
//! What JHE's templates expect is written down here once, for the tasks that lay the files out and for tests. No module
//! that patients' pages load has any of it; the doctor's has.

use crate::exchange::deployment::{Deployment, EHR_PATIENT_PORTAL, MYCHART, PATIENT_ACCESS};

/// The drop-in for one of JHE's clients: where its files go, and what JHE's pages expect of them.
#[derive(Debug, Clone, Copy)]
pub struct DropIn {
    /// Which client it is.
    pub deployment: &'static Deployment,
    /// The JHE whose templates it was made for.
    pub made_for: &'static str,
    /// Was it seen to work with that JHE, or with a stand-in that is held to its recorded answers?
    pub is_verified: bool,
    /// The client's folder, below `core/static/clients/` in JHE's tree.
    pub folder: &'static str,
    /// The script that the templates load, in that folder.
    pub script: &'static str,
    /// The path of the client's connect page, below JHE's origin. The callback page is `callback` below it.
    pub route: &'static str,
    /// The global that has the page configuration.
    pub config_global: &'static str,
    /// The global function that the connect page calls.
    pub start: &'static str,
    /// The global function that the callback page calls.
    pub finish: &'static str,
    /// The id of the element that both pages hand over first.
    pub out: &'static str,
    /// The elements in which the patient picks a hospital; `None` where the configuration names the only one.
    pub picker: Option<PickerIds>,
}

/// The ids of the elements that a connect page hands over last, as `{container, input, results}`.
#[derive(Debug, Clone, Copy)]
pub struct PickerIds {
    /// What is hidden until there is something to pick.
    pub container: &'static str,
    /// Where the patient types.
    pub input: &'static str,
    /// Where the hospitals are listed.
    pub results: &'static str,
}

/// What the templates still load in front of the script, in the same folder, and what needs not be there any more.
pub const OBSOLETE_LIBRARY: &str = "js/fhir-client.min.js";

/// The element in all of JHE's templates.
const OUT: &str = "out";

const PICKER: PickerIds = PickerIds {
    container: "hospital-picker",
    input: "hospital-search",
    results: "hospital-results",
};

/// All of them.
pub const DROP_INS: [DropIn; 3] = [
    DropIn {
        deployment: &MYCHART,
        made_for: "JHE v0.0.11",
        is_verified: true,
        folder: "mychart",
        script: "js/client-mychart.js",
        route: "clients/mychart/",
        config_global: "MYCHART_CONFIG",
        start: "startMyChartConnect",
        finish: "finishMyChartConnect",
        out: OUT,
        picker: None,
    },
    DropIn {
        deployment: &PATIENT_ACCESS,
        made_for: "JHE v0.0.13",
        is_verified: true,
        folder: "patient-access",
        script: "js/client-patient-access.js",
        route: "clients/patient-access/",
        config_global: "PATIENT_ACCESS_CONFIG",
        start: "startPatientAccessConnect",
        finish: "finishPatientAccessConnect",
        out: OUT,
        picker: Some(PICKER),
    },
    // From JHE's public sources: its pull request #744 renamed the client. Since #765 the pages are parts of an application
    // for all clients, with another configuration and without calls of these two functions.
    DropIn {
        deployment: &EHR_PATIENT_PORTAL,
        made_for: "JHE after v0.0.13, from pull request #744 until #765",
        is_verified: false,
        folder: "ehr-patient-portal",
        script: "js/client-ehr-patient-portal.js",
        route: "clients/ehr-patient-portal/",
        config_global: "EHR_PATIENT_PORTAL_CONFIG",
        start: "startEhrPatientPortalConnect",
        finish: "finishEhrPatientPortalConnect",
        out: OUT,
        picker: Some(PICKER),
    },
];

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;

    use super::*;

    #[test]
    fn each_drop_in_has_names_of_its_own() {
        let names = |of: fn(&DropIn) -> &'static str| {
            let names: BTreeSet<_> = DROP_INS.iter().map(of).collect();
            assert_eq!(names.len(), DROP_INS.len());
        };
        names(|it| it.deployment.name);
        names(|it| it.folder);
        names(|it| it.script);
        names(|it| it.route);
        names(|it| it.config_global);
        names(|it| it.start);
        names(|it| it.finish);
    }

    #[test]
    fn the_names_are_the_ones_that_jhe_makes_of_the_clients_name() {
        for it in DROP_INS {
            let name = it.deployment.name;
            assert_eq!(it.folder, name);
            assert_eq!(it.script, format!("js/client-{name}.js"));
            assert_eq!(it.route, format!("clients/{name}/"));
            let global = name.to_ascii_uppercase().replace('-', "_");
            assert_eq!(it.config_global, format!("{global}_CONFIG"));
            let verb = |call: &str| call.to_ascii_lowercase().replace("connect", "");
            let plain = name.replace('-', "");
            assert_eq!(verb(it.start), format!("start{plain}"));
            assert_eq!(verb(it.finish), format!("finish{plain}"));
        }
    }

    #[test]
    fn the_hospital_sends_the_patient_back_to_the_clients_own_callback_page() {
        for it in DROP_INS {
            assert_eq!(it.deployment.callback_path, format!("{}callback", it.route));
        }
    }

    #[test]
    fn there_is_a_picker_where_the_patient_picks_a_hospital() {
        for it in DROP_INS {
            assert_eq!(it.picker.is_some(), it.deployment.brands_path.is_some());
        }
    }
}
