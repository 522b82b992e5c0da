//! The edge: the only part that touches the page. It performs what the rest decides.

#[cfg(feature = "callback")]
mod callback;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "connect")]
mod connect;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(feature = "import")]
mod driver;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "identity",
    feature = "receipt"
))]
pub mod facade;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "identity",
    feature = "client",
    feature = "doctor"
))]
#[cfg_attr(
    not(any(
        feature = "connect",
        feature = "callback",
        feature = "import",
        feature = "client"
    )),
    allow(dead_code, reason = "the doctor reads the header fields, too")
)]
mod fetch;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "receipt",
    feature = "demo"
))]
mod formats;
#[cfg(feature = "identity")]
mod identity;
#[cfg(feature = "import")]
mod import;
#[cfg_attr(
    not(all(feature = "connect", feature = "callback", feature = "import")),
    allow(dead_code, reason = "each page has its own use of the address bar")
)]
mod location;
#[cfg(any(feature = "connect", feature = "callback", feature = "import"))]
mod pages;
#[cfg(feature = "connect")]
mod picker;
#[cfg_attr(
    not(all(feature = "connect", feature = "callback", feature = "import")),
    allow(dead_code, reason = "each page has its own use of the browser")
)]
mod platform;
#[cfg(feature = "import")]
mod progress;
#[cfg(feature = "receipt")]
mod receipt;
#[cfg(any(feature = "connect", feature = "callback", feature = "client"))]
#[cfg_attr(
    not(any(feature = "client", all(feature = "connect", feature = "callback"))),
    allow(
        dead_code,
        reason = "one page begins a sign-in, the other completes it"
    )
)]
mod sign_in;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "client",
    feature = "doctor",
    feature = "demo"
))]
mod storage;
#[cfg(any(feature = "identity", feature = "demo"))]
mod subtle;
#[cfg(test)]
mod tests;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "client"
))]
mod value;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "receipt",
    feature = "demo"
))]
#[cfg_attr(
    not(all(feature = "connect", feature = "callback", feature = "import")),
    allow(dead_code, reason = "each page has its own use of the view")
)]
mod view;
#[cfg(any(feature = "callback", feature = "import"))]
mod visit;

/// The allocator, with pools that grow together, so that a page of megabytes wastes none, and without in-place
/// reallocation, which costs more bytes than it saves time here.
#[global_allocator]
static ALLOCATOR: rlsf::GlobalTlsf<Growing> = rlsf::GlobalTlsf::new();

struct Growing;

impl rlsf::GlobalTlsfOptions for Growing {
    const ENABLE_REALLOCATION: bool = false;
    const COALESCE_POOLS: bool = true;
}
