//! The built bundle that journeys are made with.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Names a bundle that is not in `dist/`.
const BUNDLE: &str = "JHE_CONNECT_DIST";

/// The folder `dist/` of the workspace, or the one that `JHE_CONNECT_DIST` names.
pub fn bundle() -> Result<PathBuf> {
    let folder = env::var_os(BUNDLE).map_or_else(|| workspace().join("dist"), PathBuf::from);
    for page in [
        "index.html",
        "callback.html",
        "jhe/mychart/js/client-mychart.js",
    ] {
        if !folder.join(page).is_file() {
            bail!(
                "{} has no {page}. Run `cargo xtask dist`, or let {BUNDLE} name a built bundle",
                folder.display()
            );
        }
    }
    Ok(folder)
}

/// The root of the repository.
pub fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}
