//! What a patient's phone downloads, and how often it may panic there, against the budget in `dev/size-budget.json`.

use std::cmp::Ordering;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::compression::with_suffix;
use crate::dist;
use crate::panics::Paths;
use crate::workspace::{Result, Workspace, write};

/// A file's sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Measured {
    name: String,
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// Prints a table of each page, and of panics, and fails if one is over budget.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let budgets = workspace.read("dev/size-budget.json")?;
    let layout = dist::Layout::found_in(&workspace.path("dist"))?;
    let mut over = Vec::new();
    for dist::Load {
        title,
        budget,
        files,
        shown,
    } in layout.loads()
    {
        let budget = budget_named(budget, &budgets)?;
        let measured = files
            .iter()
            .map(|path| measure(path))
            .collect::<Result<Vec<_>>>()?;
        let total = total(&measured).brotli;
        match shown {
            dist::Shown::Files => {
                println!("\n{title} (bytes)");
                print!("{}", table(&measured, budget));
            }
            dist::Shown::Sum => println!("  {title:<48}{total:>9}"),
        }
        if total > budget {
            over.push(format!("{title}: {total} of {budget} bytes"));
        }
    }
    over.extend(more_panics(workspace, &budgets)?);
    println!();
    if over.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "over the size budget of dev/size-budget.json: {}",
            over.join("; ")
        )
        .into())
    }
}

/// Prints how many calls that begin a panic are left in a module, and keeps where they are.
pub(crate) fn keep_panics(workspace: &Workspace, module: &str, panics: &Paths) -> Result {
    println!(
        "{module}: {} calls that begin a panic ({})",
        panics.count(),
        panics.kinds()
    );
    write(&panics_in(workspace, module), panics.list())
}

/// Where it stands which calls of a module begin a panic, each on a line.
fn panics_in(workspace: &Workspace, module: &str) -> PathBuf {
    workspace
        .path("target/panics")
        .join(format!("{module}.txt"))
}

/// The modules in which more calls begin a panic than were written down: the number only ever becomes smaller.
fn more_panics(workspace: &Workspace, budgets: &str) -> Result<Vec<String>> {
    let mut more = Vec::new();
    println!("\nCalls that begin a panic, none of them known to be reached (target/panics)");
    for module in dist::MODULES.iter().map(dist::Module::name) {
        let known = budget_named(&format!("panics_{module}"), budgets)?;
        let kept = panics_in(workspace, module);
        let kept = fs::read_to_string(&kept)
            .map_err(|error| format!("{}: {error}: run `cargo xtask dist`", kept.display()))?;
        let count = kept.lines().count() as u64;
        println!("  {module:<48}{count:>9}");
        match count.cmp(&known) {
            Ordering::Equal => {}
            Ordering::Less => {
                println!("  They were {known}: write {count} into dev/size-budget.json.");
            }
            Ordering::Greater => more.push(format!(
                "{module}: {count} calls that begin a panic, and had {known}"
            )),
        }
    }
    Ok(more)
}

fn budget_named(name: &str, json: &str) -> Result<u64> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    value[name]
        .as_u64()
        .ok_or_else(|| format!("dev/size-budget.json has no whole number {name}").into())
}

fn measure(path: &Path) -> Result<Measured> {
    let length = |path: PathBuf| -> Result<u64> {
        fs::metadata(&path)
            .map(|metadata| metadata.len())
            .map_err(|error| format!("{}: {error}", path.display()).into())
    };
    Ok(Measured {
        name: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        raw: length(path.to_owned())?,
        gzip: length(with_suffix(path, ".gz"))?,
        brotli: length(with_suffix(path, ".br"))?,
    })
}

fn total(files: &[Measured]) -> Measured {
    Measured {
        name: "total".to_owned(),
        raw: files.iter().map(|file| file.raw).sum(),
        gzip: files.iter().map(|file| file.gzip).sum(),
        brotli: files.iter().map(|file| file.brotli).sum(),
    }
}

fn table(files: &[Measured], budget: u64) -> String {
    let mut text = format!("  {:<30}{:>9}{:>9}{:>9}\n", "", "raw", "gzip", "brotli");
    for file in files.iter().chain([&total(files)]) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {:<30}{:>9}{:>9}{:>9}",
            file.name, file.raw, file.gzip, file.brotli
        );
    }
    let _ = writeln!(text, "  {:<48}{budget:>9}", "budget");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, raw: u64, gzip: u64, brotli: u64) -> Measured {
        Measured {
            name: name.to_owned(),
            raw,
            gzip,
            brotli,
        }
    }

    #[test]
    fn the_total_is_the_sum_of_each_column() {
        let files = [file("a", 10, 6, 5), file("b", 3, 2, 1)];
        assert_eq!(total(&files), file("total", 13, 8, 6));
    }

    #[test]
    fn the_table_ends_with_total_and_budget() {
        let text = table(&[file("a.wasm", 10, 6, 5)], 66_400);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["raw", "gzip", "brotli"],
                vec!["a.wasm", "10", "6", "5"],
                vec!["total", "10", "6", "5"],
                vec!["budget", "66400"],
            ]
        );
    }

    #[test]
    fn the_budget_must_be_a_whole_number_of_bytes() {
        let budgets = include_str!("../../size-budget.json");
        for name in [
            "brotli_connect",
            "brotli_callback",
            "brotli_import",
            "brotli_client",
        ] {
            assert!(budget_named(name, budgets).is_ok());
            assert!(budget_named(name, "{}").is_err());
            assert!(budget_named(name, &format!("{{\"{name}\": \"66.4 kB\"}}")).is_err());
        }
    }
}
