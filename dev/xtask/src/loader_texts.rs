//! What the loader itself tells a patient, where the module cannot: the crate's own wording, put into the scripts.

use jhe_connect::remedy;

use crate::workspace::Result;

/// The texts as a JavaScript object literal: `{"code":{"heading":…,"explanation":…,"next_step":…},…}`.
pub(crate) fn as_javascript() -> Result<String> {
    let mut texts = serde_json::Map::new();
    for (code, remedy) in remedy::loader_texts() {
        texts.insert(
            code.to_owned(),
            serde_json::json!({
                "heading": remedy.heading,
                "explanation": remedy.explanation,
                "next_step": remedy.next_step,
            }),
        );
    }
    // Two line ends are legal in JSON strings but not in those of older JavaScript.
    Ok(serde_json::to_string(&texts)?
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two that `www/loader.js` looks up.
    #[test]
    fn the_loader_has_a_complete_text_for_each_of_its_codes() {
        let texts: serde_json::Value =
            serde_json::from_str(&as_javascript().expect("texts")).expect("JSON");
        for code in ["browser.no_webassembly", "browser.load_failed"] {
            for part in ["heading", "explanation", "next_step"] {
                let text = texts[code][part].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{code} has no {part}");
                // The loader fills in nothing.
                assert!(!text.contains('{'), "{code} has a gap: {text}");
            }
        }
    }
}
