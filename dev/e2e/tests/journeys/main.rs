//! The patient's journeys, by what they are about. `cargo test -p e2e` makes them all.

mod browser_trouble;
mod callback;
mod chaos;
mod chart;
mod config_and_discovery;
mod confinement;
mod drop_ins;
mod ending;
mod going_on;
mod invitation;
mod jhe_side;
mod main_job;
mod notes;
mod other_pages;
mod patient_access;
mod picker;
mod pull;
mod repetition;
mod sign_in;
