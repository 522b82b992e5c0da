//! The names through which the module and its glue see each other. wasm-bindgen makes them long and ends most of them
//! in a hash, which no compression shortens, and each stands in both files: wasm-opt renames them in the module, this
//! does the same in the glue. What pages call keeps its name.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::Result;

/// The name that wasm-opt gives to the one module that all imports are from.
const SHORT_MODULE: &str = "a";

/// From the old names to the new ones, as `wasm-opt --minify-imports-and-exports-and-modules` reports them.
#[derive(Debug)]
pub(crate) struct Renaming {
    module: String,
    imports: BTreeMap<String, String>,
    exports: BTreeMap<String, String>,
}

impl Renaming {
    /// Each import is a function that begins on a line of its own, as far from the margin as it ends.
    fn without_what_is_not_imported(&self, glue: &str) -> String {
        let mut kept = String::with_capacity(glue.len());
        // How the last line of what is left out begins.
        let mut end: Option<String> = None;
        for line in glue.split_inclusive('\n') {
            let entry = line.trim_start_matches(' ');
            match (&end, entry.split_once(": function(")) {
                (Some(last), _) => {
                    if line.starts_with(last) {
                        end = None;
                    }
                }
                (None, Some((name, _)))
                    if name.starts_with("__wb") && !self.imports.contains_key(name) =>
                {
                    let margin = &line[..line.len() - entry.len()];
                    let ends_here = entry.trim_end().ends_with("},");
                    end = (!ends_here).then(|| format!("{margin}}}"));
                }
                (None, _) => kept.push_str(line),
            }
        }
        kept
    }

    /// Reads wasm-opt's report: `{"imports": [[module, old, new], …], "exports": [[old, new], …]}`.
    pub(crate) fn reported(report: &str) -> Result<Renaming> {
        let unreadable = || "wasm-opt's report of new names is not as expected".to_owned();
        let report: serde_json::Value =
            serde_json::from_str(report).map_err(|error| format!("{}: {error}", unreadable()))?;
        let rows: (Vec<[String; 3]>, Vec<[String; 2]>) = (
            serde_json::from_value(report["imports"].clone()).map_err(|_| unreadable())?,
            serde_json::from_value(report["exports"].clone()).map_err(|_| unreadable())?,
        );
        let modules: BTreeSet<&str> = rows.0.iter().map(|[module, ..]| module.as_str()).collect();
        let [module] = modules.into_iter().collect::<Vec<_>>()[..] else {
            return Err("the imports should all be from one module, the glue".into());
        };
        Ok(Renaming {
            module: module.to_owned(),
            imports: rows
                .0
                .iter()
                .map(|[_, old, new]| (old.clone(), new.clone()))
                .collect(),
            exports: rows.1.into_iter().map(|[old, new]| (old, new)).collect(),
        })
    }

    /// The glue with the new names, and without what the optimised module does not import any more. Refuses a glue that
    /// does not fit the module name by name.
    pub(crate) fn applied_to(&self, glue: &str) -> Result<String> {
        let glue = replaced_once(
            &self.without_what_is_not_imported(glue),
            &format!("\"{}\": ", self.module),
            &format!("{SHORT_MODULE}: "),
        )?;
        let mut renamed = String::with_capacity(glue.len());
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut rest = glue.as_str();
        while let Some(start) = rest.find(is_part_of_name) {
            renamed.push_str(&rest[..start]);
            rest = &rest[start..];
            let end = rest.find(|c| !is_part_of_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            rest = after;
            let import = self.imports.get_key_value(name);
            if let Some((old, new)) = import.filter(|_| after.starts_with(": function(")) {
                *seen.entry(old).or_default() += 1;
                renamed.push_str(new);
            } else if is_member_of_module(&renamed) {
                let (old, new) = self.exports.get_key_value(name).ok_or_else(|| {
                    format!("the glue uses wasm.{name}, which the module does not export")
                })?;
                used.insert(old);
                renamed.push_str(new);
            } else {
                renamed.push_str(name);
            }
        }
        renamed.push_str(rest);

        for old in self.imports.keys() {
            match seen.get(old.as_str()) {
                Some(1) => {}
                count => {
                    let count = count.copied().unwrap_or_default();
                    return Err(format!(
                        "the module imports {old}, which the glue defines {count} times instead of once"
                    )
                    .into());
                }
            }
        }
        for old in self.exports.keys() {
            // wasm-bindgen exports some of its own helpers even if no function of this crate needs them.
            if !used.contains(old.as_str()) && !old.starts_with("__") {
                return Err(
                    format!("the module exports {old}, which the glue does not use").into(),
                );
            }
        }
        Ok(renamed)
    }
}

/// Who starts a module.
#[derive(Clone, Copy)]
pub(crate) enum StartedBy {
    /// Its glue, by the function that wasm-bindgen makes for every way in which somebody may have got the module.
    Glue,
    /// The loader, which knows how it got it: it takes the imports and hands over the instance.
    Loader,
}

impl StartedBy {
    /// The glue with no more exports than that takes: the minifier then drops the rest.
    pub(crate) fn with_its_exports(self, glue: &str) -> Result<String> {
        let exports = match self {
            StartedBy::Glue => "export { __wbg_init as default };",
            StartedBy::Loader => {
                "export { __wbg_get_imports as imports, __wbg_finalize_init as start };"
            }
        };
        replaced_once(glue, "export { initSync, __wbg_init as default };", exports)
    }
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Whether what follows is a member of the variable `wasm`, by which the glue calls the module's exports.
fn is_member_of_module(before: &str) -> bool {
    before
        .strip_suffix("wasm.")
        .is_some_and(|rest| !rest.ends_with(|c| is_part_of_name(c) || c == '.'))
}

fn replaced_once(text: &str, old: &str, new: &str) -> Result<String> {
    match text.matches(old).count() {
        1 => Ok(text.replace(old, new)),
        count => Err(format!("the glue has {old} {count} times, expected once").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
        "imports": [["./x_bg.js", "__wbg_new_1", "a"], ["./x_bg.js", "__wbg_new_12", "$"]],
        "exports": [["memory", "b"], ["start", "c"], ["__unused", "d"]]
    }"#;

    const GLUE: &str = "export function start(out) {\n    wasm.start(out);\n}\nconst imports = {\n\
        \x20   __wbg_new_1: function() { return new X(wasm.memory.buffer); },\n\
        \x20   __wbg_new_12: function() { return fetch('x_bg.wasm.br'); },\n};\n\
        const all = { \"./x_bg.js\": imports };\n";

    fn renaming() -> Renaming {
        Renaming::reported(REPORT).expect("a report")
    }

    #[test]
    fn imports_exports_and_the_module_get_their_new_names() {
        assert_eq!(
            renaming().applied_to(GLUE).expect("a glue that fits"),
            "export function start(out) {\n    wasm.c(out);\n}\nconst imports = {\n\
             \x20   a: function() { return new X(wasm.b.buffer); },\n\
             \x20   $: function() { return fetch('x_bg.wasm.br'); },\n};\n\
             const all = { a: imports };\n"
        );
    }

    #[test]
    fn an_import_that_the_glue_lacks_or_has_twice_is_refused_by_name() {
        for glue in [
            GLUE.replace("__wbg_new_12: function", "__wbg_new_123: function"),
            GLUE.replace("__wbg_new_1: function", "__wbg_new_12: function"),
        ] {
            let error = renaming().applied_to(&glue).expect_err("does not fit");
            assert!(error.to_string().contains("__wbg_new_1"), "{error}");
        }
    }

    #[test]
    fn an_export_that_the_module_lacks_is_refused_by_name() {
        let glue = GLUE.replace("wasm.memory", "wasm.memory2");
        let error = renaming().applied_to(&glue).expect_err("does not fit");
        assert!(error.to_string().contains("wasm.memory2"), "{error}");
    }

    #[test]
    fn an_export_that_the_glue_does_not_use_is_refused_unless_it_is_internal() {
        let glue = GLUE.replace("wasm.start", "start");
        let error = renaming().applied_to(&glue).expect_err("does not fit");
        assert!(error.to_string().contains("start"), "{error}");
    }

    #[test]
    fn a_glue_of_another_module_is_refused() {
        assert!(renaming().applied_to(&GLUE.replace("./x", "./y")).is_err());
    }

    #[test]
    fn a_report_of_two_modules_or_none_is_refused() {
        let two = REPORT.replacen("./x_bg.js", "env", 1);
        assert!(Renaming::reported(&two).is_err());
        assert!(Renaming::reported("{\"imports\": [], \"exports\": []}").is_err());
        assert!(Renaming::reported("a => b").is_err());
    }

    #[test]
    fn what_the_module_does_not_import_any_more_goes() {
        let unused = "    __wbg_debug_1: function() { return handleError(function (arg0) {\n\
            \x20       wasm.memory2;\n    }, arguments); },\n";
        let with_it = GLUE.replace(
            "    __wbg_new_12: function",
            &format!("{unused}    __wbg_new_12: function"),
        );
        assert_ne!(with_it, GLUE);
        assert_eq!(
            renaming().applied_to(&with_it).expect("a glue that fits"),
            renaming().applied_to(GLUE).expect("a glue that fits")
        );
    }

    #[test]
    fn only_what_it_takes_to_start_the_module_is_exported() {
        let glue = "x\nexport { initSync, __wbg_init as default };\n";
        let exported = |by: StartedBy| by.with_its_exports(glue).expect("a glue");
        assert_eq!(
            exported(StartedBy::Glue),
            "x\nexport { __wbg_init as default };\n"
        );
        assert_eq!(
            exported(StartedBy::Loader),
            "x\nexport { __wbg_get_imports as imports, __wbg_finalize_init as start };\n"
        );
        assert!(StartedBy::Glue.with_its_exports("export { x };").is_err());
    }
}
