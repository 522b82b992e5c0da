//! Which tests failed and why, read from what the test runners print: said again at the end, which is all that some logs keep.

use std::fmt;

/// So many lines of a message are repeated,
const LINES: usize = 15;
/// and so many characters of each.
const WIDTH: usize = 400;

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    test: String,
    message: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}", self.test)?;
        for line in self.message.iter().take(LINES) {
            match line.char_indices().nth(WIDTH) {
                Some((end, _)) => write!(f, "\n    {}…", &line[..end])?,
                None => write!(f, "\n    {line}")?,
            }
        }
        match self.message.len().saturating_sub(LINES) {
            0 => Ok(()),
            more => write!(f, "\n    … {more} more lines, above"),
        }
    }
}

/// Reads the output of cargo's runner and of wasm-bindgen's, line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Those that are known to have failed, each with all that it printed.
    failed: Vec<(String, Vec<String>)>,
    /// Does what comes belong to the last of them?
    is_inside: bool,
}

impl Reader {
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(test) = announced(line) {
            self.failed.push((test.to_owned(), Vec::new()));
            self.is_inside = true;
        } else if line.starts_with("failures:") || line.starts_with("test result: ") {
            self.is_inside = false;
        } else if let Some(test) = failed(line) {
            // A program that ends before it tells what its tests printed has at least named them.
            self.failed.push((test.to_owned(), Vec::new()));
        } else if self.is_inside
            && let Some((_, printed)) = self.failed.last_mut()
        {
            printed.push(line.to_owned());
        }
    }

    /// Each test once, with its message if it had one.
    pub(crate) fn failures(self) -> Vec<Failure> {
        let mut failures: Vec<Failure> = Vec::new();
        for (test, printed) in self.failed {
            let message = message(&printed);
            // Tests of one name in two programs are named twice, and both told.
            let known = failures
                .iter_mut()
                .find(|known| known.test == test && known.message.is_empty());
            match known {
                Some(known) => known.message = message,
                None => failures.push(Failure { test, message }),
            }
        }
        failures
    }
}

/// `---- callback::drop_in::a_test stdout ----`; wasm-bindgen's runner says `output`.
fn announced(line: &str) -> Option<&str> {
    let test = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
    (test.strip_suffix(" stdout")).or_else(|| test.strip_suffix(" output"))
}

/// `test callback::drop_in::a_test ... FAILED`; wasm-bindgen's runner says `FAIL`, and may have colours.
fn failed(line: &str) -> Option<&str> {
    let (test, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    verdict
        .contains("FAIL")
        .then(|| test.strip_suffix(" - should panic").unwrap_or(test))
}

/// What a test said last, without what it printed on its way there: the message of its panic, or its error.
fn message(printed: &[String]) -> Vec<String> {
    let is_panic = |line: &String| {
        line.starts_with("thread '") && line.contains("panicked at ")
            || line.trim_start().starts_with("panicked at ")
    };
    let is_error = |line: &String| line.starts_with("Error: ");
    let begin = (printed.iter().rposition(is_panic))
        .or_else(|| printed.iter().rposition(is_error))
        .unwrap_or_default();
    let is_end = |line: &&String| {
        !(line.starts_with("note: run with `RUST_BACKTRACE=")
            || line.trim_start().starts_with("stack backtrace:")
            || line.trim() == "Stack:")
    };
    let said = printed.iter().skip(begin).take_while(is_end);
    (said.filter(|line| !line.trim().is_empty()).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(output: &str) -> Vec<String> {
        let mut reader = Reader::default();
        output
            .split_inclusive('\n')
            .for_each(|line| reader.read(line));
        let failures = reader.failures().into_iter();
        failures.map(|failure| failure.to_string()).collect()
    }

    #[test]
    fn each_failed_test_is_told_with_the_message_of_its_panic_or_its_error() {
        let output = "
running 4 tests
test four ... ok
test chaos::one ... FAILED
test two ... FAILED
test three - should panic ... FAILED

failures:

---- chaos::one stdout ----
--- the page: Something went wrong
--- requests:
Jhe GET / -> Some(200)

thread 'chaos::one' (8045) panicked at dev/e2e/src/journey.rs:119:9:
JHE_CONNECT_SEED=1795374725690: expected 3 rows
found 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

---- two stdout ----
Error: the bundle is missing

Caused by:
    no such file

---- three stdout ----
note: test did not panic as expected at t.rs:3:28

failures:
    chaos::one
    three
    two

test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.05s

error: test failed, to rerun pass `-p e2e --test journeys`
";
        assert_eq!(
            told(output),
            [
                "failed: chaos::one\n    \
                 thread 'chaos::one' (8045) panicked at dev/e2e/src/journey.rs:119:9:\n    \
                 JHE_CONNECT_SEED=1795374725690: expected 3 rows\n    found 2",
                "failed: two\n    Error: the bundle is missing\n    Caused by:\n        no such file",
                "failed: three\n    note: test did not panic as expected at t.rs:3:28",
            ]
        );
    }

    #[test]
    fn tests_in_a_browser_are_told_too() {
        let output = "
test a::good ... ok
test a::bad ... \u{1b}[31mFAIL\u{1b}(B\u{1b}[m

failures:

---- a::bad output ----
    log output:
        said before
    error output:
        panicked at tests/web.rs:20:5:
        it is not so
        
        Stack:
        
        Error
            at a.js:1

failures:

    a::bad

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 filtered out; finished in 0.02s
";
        assert_eq!(
            told(output),
            [
                "failed: a::bad\n            panicked at tests/web.rs:20:5:\n            it is not so"
            ]
        );
    }

    #[test]
    fn a_program_that_ends_before_it_tells_why_has_named_the_test() {
        assert_eq!(
            told("test one ... ok\ntest two ... FAILED\n"),
            ["failed: two"]
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let mut output = "---- one stdout ----\nthread 'one' panicked at a.rs:1:1:\n".to_owned();
        for _ in 0..20 {
            output += &format!("{}\n", "ü".repeat(500));
        }
        let told = told(&output);
        let lines: Vec<&str> = told[0].lines().collect();
        assert_eq!(lines.len(), 1 + LINES + 1);
        assert_eq!(lines[2], format!("    {}…", "ü".repeat(WIDTH)));
        assert_eq!(lines.last(), Some(&"    … 6 more lines, above"));
    }

    #[test]
    fn a_run_that_succeeds_has_no_failures() {
        assert!(told("running 1 test\ntest one ... ok\n\ntest result: ok. 1 passed\n").is_empty());
    }
}
