//! The EHR's FHIR R4 server, read only: searches, their pages, and resources that pass through as text.
//!
//! Specification: <https://hl7.org/fhir/R4/http.html>.

pub(crate) mod attachment;
pub mod bundle;
pub mod date;
pub(crate) mod divide;
pub(crate) mod fingerprint;
pub mod identity;
pub mod mark;
pub mod outcome;
pub mod pager;
pub mod person;
pub mod resource;
pub mod search;
