//! The edge: the only part that touches the page. It performs what the rest decides.

mod driver;
pub mod facade;
mod fetch;
mod location;
mod pages;
mod platform;
mod storage;
mod view;
