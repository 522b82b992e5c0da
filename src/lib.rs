//! Connects a patient's hospital record to JupyterHealth Exchange (JHE), from static pages.
//!
//! # The flow on one page
//!
//! ```text
//! connect page                                            callback page
//!  invitation link ── redeem, token ──► JHE                code, state ── exchange ──► hospital
//!  discovery ─────────────────────────► hospital           patient id, source ───────► JHE
//!  sign in (redirect) ────────────────► hospital ────────► pages of records ◄───────── hospital
//!                                                          one write per record ─────► JHE
//! ```
//!
//! # Where to look
//!
//! A folder is the party at the other end: [`smart`] and [`fhir`] are the hospital (an EHR that speaks SMART on FHIR),
//! [`exchange`] is JHE, [`oauth`] serves both, [`import`] is what moves between them. [`session`] is what survives the
//! redirect, [`error`] and [`remedy`] are what went wrong and what the patient reads about it. Only `browser` touches the
//! page, and it decides nothing.
//!
//! Everything outside `browser` is plain values in, plain values out: no network, no clock, no randomness. Time is an
//! argument in milliseconds since the Unix epoch.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod confirmation;
pub mod demo;
pub mod doctor;
pub mod embed;
pub mod error;
pub mod exchange;
pub mod fhir;
pub mod http;
pub mod import;
pub mod json;
pub mod language;
pub mod oauth;
pub mod picker;
pub mod receipt;
pub mod remedy;
pub mod screen;
pub mod screens;
pub mod session;
pub mod smart;
pub mod text;
mod texts;
pub mod troubleshooting;
pub mod url;

#[cfg(target_arch = "wasm32")]
pub mod browser;
