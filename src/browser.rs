//! The edge: the only part that touches the page. It performs what the rest decides.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "pages")]
mod driver;
#[cfg(feature = "pages")]
pub mod facade;
mod fetch;
#[cfg_attr(not(feature = "pages"), allow(dead_code, reason = "only pages reload"))]
mod location;
#[cfg(feature = "pages")]
mod pages;
#[cfg_attr(
    not(feature = "pages"),
    allow(dead_code, reason = "only pages wait and log errors")
)]
mod platform;
mod sign_in;
mod storage;
#[cfg(test)]
mod tests;
mod value;
#[cfg(feature = "pages")]
mod view;

/// The allocator, with pools that grow together, so that a page of megabytes wastes none, and without in-place
/// reallocation, which costs more bytes than it saves time here.
#[global_allocator]
static ALLOCATOR: rlsf::GlobalTlsf<Growing> = rlsf::GlobalTlsf::new();

struct Growing;

impl rlsf::GlobalTlsfOptions for Growing {
    const ENABLE_REALLOCATION: bool = false;
    const COALESCE_POOLS: bool = true;
}
