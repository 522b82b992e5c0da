//! What the random journeys follow from.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Names the seed, so that what failed can be made again. `cargo xtask test` sets it.
pub const SEED: &str = "JHE_CONNECT_SEED";

/// The seed that the environment names, or another one each time.
pub fn of_environment() -> Result<u64> {
    match env::var(SEED) {
        Ok(seed) => seed.parse().with_context(|| format!("{SEED} is no number")),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64),
    }
}
