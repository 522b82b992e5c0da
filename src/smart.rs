//! SMART App Launch 2.2, the standalone patient launch, on top of [`oauth`](crate::oauth).
//!
//! Specification: <https://hl7.org/fhir/smart-app-launch/app-launch.html>.

pub mod context;
pub mod discovery;
pub mod identity;
pub mod launch;
pub mod preflight;
pub mod user;
