//! What is special to each drop-in: its script, and the page of text beside it.

use jhe_connect::exchange::drop_in::{DropIn, OBSOLETE_LIBRARY};

/// What takes the place of the library that JHE's pages still ask for.
pub(crate) fn obsolete_library(drop_in: &DropIn) -> String {
    let script = drop_in.script.rsplit('/').next().unwrap_or_default();
    format!("// See {script}\n")
}

pub(crate) fn readme(drop_in: &DropIn) -> String {
    let DropIn {
        made_for,
        folder,
        script,
        config_global,
        ..
    } = drop_in;
    let warning = match drop_in.is_verified {
        true => "",
        false => {
            "NOT VERIFIED against a server: made from JHE's public sources. Try it on a test server first.\n"
        }
    };
    format!(
        "\
# jhe-connect in place of JHE's client `{folder}` ({made_for})
{warning}
1. Copy `js`, `wasm` and `doctor*` over `core/static/clients/{folder}/` in JHE's tree, run `collectstatic`, restart: templates stay as they are.
2. `{script}` is the pages' script under its old name; it loads a module for each page from `wasm/<hash>/` beside it.
3. `{OBSOLETE_LIBRARY}` is only a comment: nothing needs that library any more, its script tag may go.
4. Keep the `.br` and `.gz` files: WhiteNoise serves them in place of the originals.
5. After an update, folders of older hashes may be deleted once no page that was open before is in use (a day).
6. Nothing is to be configured here: the pages pass `{config_global}`. Requests go to the page's own host and to the hospital's only.
7. Check the installation at `/static/clients/{folder}/doctor.html`. Policy, and how to go back: `docs/hosting.md` of jhe-connect.
"
    )
}

#[cfg(test)]
mod tests {
    use jhe_connect::exchange::drop_in::DROP_INS;

    use super::*;

    #[test]
    fn each_readme_has_ten_lines_at_most_and_says_what_goes_where() {
        for drop_in in &DROP_INS {
            let readme = readme(drop_in);
            assert!(readme.lines().count() <= 10, "{readme}");
            let place = format!("core/static/clients/{}/", drop_in.folder);
            for part in [&place, drop_in.script, drop_in.config_global] {
                assert!(readme.contains(part), "{readme}");
            }
        }
    }

    #[test]
    fn a_drop_in_that_was_not_verified_says_so_in_its_first_lines() {
        for drop_in in &DROP_INS {
            let readme = readme(drop_in);
            let mut first = readme.lines().take(2);
            assert_eq!(
                first.any(|line| line.contains("NOT VERIFIED")),
                !drop_in.is_verified,
                "{readme}"
            );
        }
    }

    #[test]
    fn what_is_left_of_the_library_is_one_line_of_comment() {
        for drop_in in &DROP_INS {
            let library = obsolete_library(drop_in);
            assert_eq!(library.lines().count(), 1);
            assert!(library.starts_with("// "));
        }
    }
}
