//! Patients connect, in Chromium, to a hospital whose servers others wrote.

mod access;
mod judges;
mod records;
mod sign_in;
