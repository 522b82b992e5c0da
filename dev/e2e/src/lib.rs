//! End-to-end journeys: a patient connects, in a real browser, through the built bundle, against the sandbox.
//!
//! ```text
//! Journey ── Sandbox    both servers and a listener that no token should reach, in this process, on free ports
//!         └─ Browser    Chromium, Firefox or WebKit, each behind its WebDriver server and without a screen
//! ```
//!
//! The journeys themselves are in `tests/journeys/`. Each reads as what the patient does; [`watch`] looks after every one of
//! them for what must never happen. `cargo run -p e2e --bin demo` makes the main one and prints what it saw.

pub mod axe;
pub mod browser;
pub mod bundle;
mod chromium;
pub mod driver;
pub mod emulation;
pub mod engine;
pub mod figures;
mod firefox;
mod instrument;
pub mod journey;
pub mod picker;
pub mod pictures;
pub mod portal;
pub mod records;
pub mod seed;
pub mod told;
pub mod watch;
mod webkit;
