//! OAuth 2.0 for a public client: PKCE, the authorization request and its answer, the token endpoint.
//!
//! Knows nothing of SMART, FHIR or JHE, and serves both servers: the hospital's sign-in and JHE's invitation grant.

pub mod authorization;
pub mod jws;
pub mod pkce;
pub mod revocation;
pub mod token;
