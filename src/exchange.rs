//! JupyterHealth Exchange (JHE), the server where the records arrive.

pub mod brands;
pub mod deployment;
pub mod drop_in;
pub mod inventory;
pub mod invitation;
pub mod jhe;
pub mod patient;
pub mod profile;
pub mod source;
pub mod write;
