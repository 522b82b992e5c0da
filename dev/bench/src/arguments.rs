//! What the command line asks for.

use std::path::PathBuf;

use crate::jobs::{self, Job};

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) dist: PathBuf,
    pub(crate) peer: PathBuf,
    pub(crate) chromium: PathBuf,
    /// Where every run is kept.
    pub(crate) json: PathBuf,
    /// A document whose figures are to be replaced.
    pub(crate) document: Option<PathBuf>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) runs: Option<usize>,
    /// What the mishaps of a soak's first run follow from; each further run has the next number.
    pub(crate) seed: Option<u64>,
}

impl Arguments {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let mut words = words.into_iter();
        let (mut dist, mut peer, mut chromium, mut json) = (None, None, None, None);
        let (mut document, mut names, mut runs, mut seed) = (None, None, None, None);
        while let Some(word) = words.next() {
            let place = match word.as_str() {
                "--dist" => &mut dist,
                "--peer" => &mut peer,
                "--chromium" => &mut chromium,
                "--json" => &mut json,
                "--write" => &mut document,
                "--jobs" => &mut names,
                "--runs" => &mut runs,
                "--seed" => &mut seed,
                other => return Err(format!("no such option: {other}")),
            };
            *place = Some(
                words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value"))?,
            );
        }
        let path = |value: Option<String>, name: &str| {
            value
                .map(PathBuf::from)
                .ok_or_else(|| format!("{name} is missing"))
        };
        let runs = match runs {
            Some(runs) => match runs.parse() {
                Ok(number @ 1..) => Some(number),
                _ => return Err(format!("--runs needs a number from 1 on, found {runs}")),
            },
            None => None,
        };
        let seed = match seed.map(|seed| seed.parse().map_err(|_| seed)).transpose() {
            // A figure of a run is a floating point number.
            Ok(seed) if seed.is_none_or(|seed: u64| seed < 1 << 50) => seed,
            Ok(_) => return Err("--seed needs a number below 2^50".to_owned()),
            Err(seed) => return Err(format!("--seed needs a number, found {seed}")),
        };
        Ok(Arguments {
            dist: path(dist, "--dist")?,
            peer: path(peer, "--peer")?,
            chromium: path(chromium, "--chromium")?,
            json: path(json, "--json")?,
            document: document.map(PathBuf::from),
            jobs: jobs::named(names.as_deref())?,
            runs,
            seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let fixed = "--dist d --peer p --chromium c --json j ";
        Arguments::parse(
            (fixed.to_owned() + line)
                .split_whitespace()
                .map(str::to_owned),
        )
    }

    #[test]
    fn everything_is_measured_unless_jobs_are_named() {
        assert_eq!(parse("").expect("arguments").jobs.len(), jobs::JOBS.len());
        let arguments = parse("--jobs size --runs 3").expect("arguments");
        assert_eq!((arguments.jobs.len(), arguments.runs), (1, Some(3)));
        assert_eq!(parse("--seed 17").expect("arguments").seed, Some(17));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, told) in [
            ("--jobs other", "other"),
            ("--runs 0", "--runs"),
            ("--runs", "--runs"),
            ("--seed x", "--seed"),
            ("--seed 2000000000000000", "--seed"),
            ("--fast", "--fast"),
        ] {
            assert!(parse(line).unwrap_err().contains(told), "{line}");
        }
    }
}
