//! Versions as tools print them and as the lock file pins them.

use std::fmt;

/// `major.minor.patch`; what follows (`-beta`, build dates) is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Version {
    /// The first thing in a program's `--version` output that looks like a version.
    pub(crate) fn printed_in(output: &str) -> Option<Version> {
        output.split_whitespace().find_map(Version::parse)
    }

    fn parse(word: &str) -> Option<Version> {
        let mut numbers = word.trim_start_matches('v').splitn(3, '.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch: String = numbers
            .next()?
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        Some(Version(major, minor, patch.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The version of a package that the lock file names.
pub(crate) fn locked_version(lock_file: &str, package: &str) -> Option<Version> {
    let mut lines = lock_file.lines();
    let name = format!("name = \"{package}\"");
    lines.find(|line| *line == name)?;
    let version = lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')?;
    Version::parse(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_the_tools_print() {
        for (output, expected) in [
            ("wasm-bindgen 0.2.130\n", Version(0, 2, 130)),
            ("trunk 0.21.14\n", Version(0, 21, 14)),
            (
                "ChromeDriver 156.0.7749.20 (abc-refs/branch-heads/7749@{#1})",
                Version(156, 0, 7749),
            ),
            (
                "Chromium 156.0.7749.20 built on Debian GNU/Linux 12",
                Version(156, 0, 7749),
            ),
            ("v20.20.2", Version(20, 20, 2)),
            ("rustc 1.97.0-nightly (x 2026-05-19)", Version(1, 97, 0)),
        ] {
            assert_eq!(Version::printed_in(output), Some(expected), "{output}");
        }
        assert_eq!(Version::printed_in("command not found"), None);
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        assert!(Version(0, 21, 14) > Version(0, 21, 9));
        assert!(Version(0, 22, 0) > Version(0, 21, 14));
    }

    #[test]
    fn the_lock_file_names_the_version_of_exactly_that_package() {
        let lock_file = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n\
                         [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(
            locked_version(lock_file, "wasm-bindgen"),
            Some(Version(0, 2, 130))
        );
        assert_eq!(locked_version(lock_file, "wasm"), None);
    }
}
