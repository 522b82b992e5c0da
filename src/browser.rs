//! The edge: the only part that touches the page. It performs what the rest decides.

pub mod client;
mod driver;
pub mod facade;
mod fetch;
mod location;
mod pages;
mod platform;
mod sign_in;
mod storage;
#[cfg(test)]
mod tests;
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
