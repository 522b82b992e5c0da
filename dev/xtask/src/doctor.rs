//! The maintainers' page, `doctor.html`: it is laid beside the pages that it looks at, and told what their folder holds.

use std::fs;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::workspace::Result;

pub(crate) const PAGE: &str = "doctor.html";
pub(crate) const STYLE: &str = "doctor.css";
pub(crate) const SCRIPT: &str = "doctor.js";

/// What the page in the folder `place` is told: which drop-in it is of (none for the plain pages), and each file in `assets`.
pub(crate) fn block(drop_in: &str, place: &Path, assets: &Path) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(assets)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Compressed siblings are sent in place of the files, and types for developers are not needed on a server.
        if ![".br", ".gz", ".d.ts"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let digest = Sha256::digest(fs::read(&path)?);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            files.push([name.into_owned(), digest]);
        }
    }
    files.sort();
    let folder = assets.strip_prefix(place)?.display().to_string();
    let block = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "dropIn": drop_in,
        "folder": format!("{folder}/"),
        "files": files,
    });
    Ok(block.to_string())
}

/// The page with its block, whose script and style are in `folder`.
pub(crate) fn page(template: &str, folder: &str, block: &str) -> Result<String> {
    let mut page = template.to_owned();
    for (before, after) in [
        ("__BUNDLE__", block.to_owned()),
        ("href=\"doctor.css\"", format!("href=\"{folder}/{STYLE}\"")),
        ("src=\"doctor.js\"", format!("src=\"{folder}/{SCRIPT}\"")),
    ] {
        if page.matches(before).count() != 1 {
            return Err(format!("{PAGE} should have {before} exactly once").into());
        }
        page = page.replace(before, &after);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_its_block_and_its_files_and_nothing_inline() {
        let template = include_str!("../../../www/doctor.html");
        let page = page(template, "doctor-f", "{}").expect("a page");
        assert!(page.contains("id=\"doctor-bundle\">{}</script>"));
        assert!(page.contains("href=\"doctor-f/doctor.css\""));
        assert!(page.contains("src=\"doctor-f/doctor.js\""));
        assert!(
            !page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick")
        );
        for script in page.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap_or_default();
            assert!(tag.contains("src=") || tag.contains("application/json"));
        }
        assert!(super::page("", "f", "{}").is_err());
    }

    #[test]
    fn the_pages_of_patients_never_ask_for_the_doctor() {
        for text in [
            include_str!("../../../index.html"),
            include_str!("../../../callback.html"),
            include_str!("../../../www/loader.js"),
            include_str!("../../../www/page.js"),
        ] {
            assert!(!text.contains("doctor"));
        }
    }
}
