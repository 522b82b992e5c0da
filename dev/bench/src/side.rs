//! Who is measured.

use serde::{Deserialize, Serialize};

/// One of those that do the same job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// The built bundle.
    Ours,
    /// fhirclient's `fhir-client.min.js`, which JHE's page loads.
    Peer,
    /// fhirclient's `fhir-client.pure.min.js`, for current browsers.
    PurePeer,
    /// Bytes in, bytes out.
    Floor,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Ours => "ours",
            Side::Peer => "peer",
            Side::PurePeer => "pure-peer",
            Side::Floor => "floor",
        }
    }

    /// The path of the library that its pages load.
    pub(crate) fn library(self) -> Option<&'static str> {
        match self {
            Side::Peer => Some("/peer/fhir-client.min.js"),
            Side::PurePeer => Some("/peer/fhir-client.pure.min.js"),
            Side::Ours | Side::Floor => None,
        }
    }
}
