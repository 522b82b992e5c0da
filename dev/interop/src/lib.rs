//! A patient connects to a hospital whose servers others wrote.
//!
//! ```text
//! e2e::Journey ── Sandbox (JHE)      Hospital ── gateway.mjs ─► SEKMET      records and paging
//!              └─ Browser ──────────────┘   └─── oidc-provider              sign-in, tokens, keys
//!                                       Judges ─ fhirkit, HL7's JSON schema
//! ```
//!
//! The servers are pinned beside this crate and installed by `cargo xtask setup`; the journeys are in `tests/servers/`.

pub mod hospital;
pub mod judges;
pub mod watch;

use std::path::PathBuf;

use e2e::bundle::workspace;

/// Where `cargo xtask setup` installs the servers.
fn installed(path: &str) -> PathBuf {
    workspace().join("target/interop").join(path)
}
