//! The language files on their way to `dist/`: for each language and module one file, with the texts that the module says;
//! and what the loader says before there is a module.

use std::fs;

use jhe_connect::language::{SECTIONS, compiled};
use jhe_connect::remedy;
use serde_json::{Map, Value};

use crate::workspace::{Result, Workspace};

/// A file of `www/languages/`.
pub(crate) struct Source {
    pub(crate) tag: String,
    text: String,
    json: Value,
}

/// All languages, English first: it is the one that a browser without any of them gets.
pub(crate) fn found_in(workspace: &Workspace) -> Result<Vec<Source>> {
    let folder = workspace.path("www/languages");
    let mut languages = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let (Some(tag), Some("json")) = (
            path.file_stem().and_then(|stem| stem.to_str()),
            path.extension().and_then(|extension| extension.to_str()),
        ) else {
            continue;
        };
        languages.push(source(tag, fs::read_to_string(&path)?)?);
    }
    languages.sort_by_key(|language| (language.tag != "en", language.tag.clone()));
    Ok(languages)
}

fn source(tag: &str, text: String) -> Result<Source> {
    let json = serde_json::from_str(&text).map_err(|error| format!("{tag}.json: {error}"))?;
    Ok(Source {
        tag: tag.to_owned(),
        text,
        json,
    })
}

/// What a module says, in one language.
pub(crate) fn texts_of(
    languages: &[Source],
    language: &Source,
    module: &str,
    sections: &[&str],
) -> Result<String> {
    let choice: Vec<(String, String)> = languages
        .iter()
        .map(|language| (language.tag.clone(), name(language)))
        .collect();
    let texts = compiled(&language.text, &language.tag, &choice, module, sections)?;
    Ok(texts)
}

fn name(language: &Source) -> String {
    language.json["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// What the loader knows by itself, as a JavaScript object literal: the languages, and in English what is said if nothing can
/// be loaded.
pub(crate) fn for_the_loader(languages: &[Source]) -> Result<String> {
    let english = languages.first().ok_or("there is no language")?;
    let mut known = loader_texts(english)?;
    known.retain(|name, _| name == "details" || name == "browser.load_failed");
    let tags = languages.iter().map(|language| language.tag.as_str());
    known.insert("languages".to_owned(), tags.collect());
    // Two line ends are legal in JSON strings but not in those of older JavaScript.
    Ok(serde_json::to_string(&known)?
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

/// All that a script may have to say where no module can, in one language, as JSON:
/// `{"details":…,"code":[heading, explanation, next step]}`.
pub(crate) fn for_the_scripts(language: &Source) -> Result<String> {
    let mut texts = loader_texts(language)?;
    texts.insert(
        "embed.already_open".to_owned(),
        language.json["embed_remedies"]["already_open"].clone(),
    );
    Ok(serde_json::to_string(&texts)?)
}

fn loader_texts(language: &Source) -> Result<Map<String, Value>> {
    let mut texts = Map::new();
    texts.insert(
        "details".to_owned(),
        language.json["shared"]["details"].clone(),
    );
    for (code, text) in remedy::loader_texts() {
        let (_, key) = SECTIONS
            .iter()
            .flat_map(|(_, texts)| *texts)
            .find(|(known, _)| *known == text)
            .ok_or("a text of the loader is in no section")?;
        let key = jhe_connect::language::key(key);
        texts.insert(
            code.to_owned(),
            language.json["loader_remedies"][&key].clone(),
        );
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english() -> Source {
        let text = include_str!("../../../www/languages/en.json");
        source("en", text.to_owned()).expect("English")
    }

    #[test]
    fn the_scripts_have_a_complete_text_for_each_of_their_codes() {
        let texts = for_the_scripts(&english()).expect("texts");
        let texts: Value = serde_json::from_str(&texts).expect("JSON");
        assert!(texts["details"].is_string());
        for code in [
            "browser.no_webassembly",
            "browser.load_failed",
            "embed.already_open",
        ] {
            for part in 0..3 {
                let text = texts[code][part].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{code} has no {part}");
                // The loader fills in nothing.
                assert!(!text.contains('{'), "{code} has a gap: {text}");
            }
        }
    }

    #[test]
    fn the_loader_knows_the_languages_and_what_to_say_if_nothing_can_be_loaded() {
        let texts = for_the_loader(&[english()]).expect("texts");
        let texts: Value = serde_json::from_str(&texts).expect("JSON");
        assert_eq!(texts["languages"], serde_json::json!(["en"]));
        assert!(texts["details"].is_string() && texts["browser.load_failed"][2].is_string());
    }

    #[test]
    fn a_module_gets_its_sections_and_the_choice_of_languages() {
        let languages = [english()];
        let texts = texts_of(&languages, &languages[0], "m", &["shared"]).expect("texts");
        let texts: Value = serde_json::from_str(&texts).expect("JSON");
        assert_eq!(texts["choice"], serde_json::json!([["en", "English"]]));
        assert_eq!(texts["module"], "m");
        assert_eq!(texts["texts"].as_array().map(Vec::len), Some(1));
    }
}
