//! What differs between the clients that JHE serves. A further deployment is a value, not another code path.

use crate::fhir::identity::Identity;
use crate::fhir::search::Search;

/// One of JHE's clients.
#[derive(Debug, Clone, Copy)]
pub struct Deployment {
    /// Its name in the page configuration.
    pub name: &'static str,
    /// What the patient knows the hospital's portal as.
    pub portal: &'static str,
    /// Where JHE takes the patient's id at the EHR.
    pub identifier_path: &'static str,
    /// The label of the sources that are registered.
    pub source_label: &'static str,
    /// The callback page's path below JHE's origin, where the page configuration names none.
    pub callback_path: &'static str,
    /// What is pulled.
    pub pull: Pull,
    /// How the EHR's ids survive the write.
    pub identity: Identity,
}

/// One search and the name that the patient reads for it.
#[derive(Debug, Clone, Copy)]
pub struct Pull {
    /// As in `Labs: 12 records`.
    pub label: &'static str,
    /// The search.
    pub search: Search<'static>,
}

/// The MyChart client: one EHR per server, laboratory results, one POST per record.
pub const MYCHART: Deployment = Deployment {
    name: "mychart",
    portal: "MyChart",
    identifier_path: "api/v1/mychart/identifier",
    source_label: "Epic / MyChart",
    callback_path: "clients/mychart/callback",
    pull: Pull {
        label: "Labs",
        search: Search {
            resource_type: "Observation",
            parameters: &[("category", "laboratory")],
        },
    },
    // This JHE replaces every id by one of its own and adds a row for every POST.
    identity: Identity::AddIdentifier,
};

impl Deployment {
    /// The deployment of this name; without a name, the MyChart client.
    pub fn named(name: Option<&str>) -> Option<&'static Deployment> {
        static ALL: [Deployment; 1] = [MYCHART];
        let name = name.unwrap_or(MYCHART.name);
        ALL.iter().find(|deployment| deployment.name == name)
    }
}
