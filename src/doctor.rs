//! The doctor: looks at an installation from the browser of whoever maintains it, line by line.
//!
//! It is a page of its own with a module of its own; no patient's page loads it. What the patients' pages would decide is
//! asked of the same code, so that the doctor can't be of another opinion. Its texts are for maintainers, in English only,
//! and stand here rather than in the language files.
//!
//! [`Examination`] hands out [`Question`]s and is told [`Reply`]s. One that failed ends no later one which could still be
//! asked. Nothing that it sends changes anything at a server, but for an invitation that the maintainer wants redeemed.

mod by_hand;
pub mod catalogue;
mod clock;
mod configuration;
mod examination;
mod files;
mod hospital;
mod jhe;
mod page;
mod pages;
mod policy;
mod redemption;
pub mod report;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use crate::http::{Answer, HttpRequest};
use crate::json::Json;
use crate::url::Url;

pub use catalogue::{CHECKS, Check, Group, TROUBLES};
pub use examination::Examination;

/// What the doctor has found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which thing.
    pub check: Check,
    /// What it looked at, and what was there.
    pub found: String,
    /// What that means.
    pub verdict: Verdict,
    /// A value that has to be entered elsewhere, byte for byte.
    pub copy: Option<String>,
    /// An address to open: what it shows can't be read from here.
    pub link: Option<(&'static str, String)>,
}

/// What a finding means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be done.
    Ok,
    /// It has to be mended; how.
    Wrong(String),
    /// It can't be checked from here; how to check it.
    Unknown(String),
}

impl Verdict {
    /// The words that are shown, which no colour stands for alone.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Wrong(_) => "Wrong",
            Verdict::Unknown(_) => "Can’t be checked from here",
        }
    }

    /// The remedy, or how to check it.
    pub fn advice(&self) -> &str {
        match self {
            Verdict::Ok => "",
            Verdict::Wrong(advice) | Verdict::Unknown(advice) => advice,
        }
    }
}

/// A request, and how much of its answer is wanted.
#[derive(Debug)]
pub struct Question {
    /// The request.
    pub request: HttpRequest,
    /// How much of its answer is wanted.
    pub mode: Mode,
}

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All that a page may read.
    Read,
    /// Only whether anybody answers (Fetch: `no-cors`). The answer's status is 0 then.
    Reach,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// Its header fields, as far as the page may read them.
    pub headers: Vec<(String, String)>,
    /// Did the doctor's own policy keep the request from being sent?
    pub is_blocked: bool,
}

impl Reply {
    /// The value of a header field.
    fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let field = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }
}

/// What the maintainer has entered.
#[derive(Default)]
pub struct Wishes {
    /// An invitation link.
    pub invitation: String,
    /// Is it to be redeemed?
    pub redeems: bool,
    /// The FHIR base of the hospital to look at, in place of the configured one.
    pub hospital: String,
    /// The page configuration, where it can't be read out of the page.
    pub configuration: String,
}

/// Where the doctor runs.
pub struct Surroundings {
    /// The doctor's own address.
    pub page: Url,
    /// Is the page a secure context?
    pub is_secure: bool,
    /// May the page keep something in this tab?
    pub has_storage: bool,
    /// What the bundle is that the doctor came with.
    pub bundle: Bundle,
    /// Randomness, for the link to the sign-in.
    pub entropy: [[u8; 32]; 2],
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

/// The bundle that the doctor came with, as `cargo xtask dist` has written it into its page.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// The crate's version.
    pub version: String,
    /// The drop-in that it is of; empty for the plain pages.
    pub drop_in: String,
    /// The folder of the pages' files, relative to the doctor's page.
    pub folder: String,
    /// Name and SHA-256 (hexadecimal) of each file there.
    pub files: Vec<(String, String)>,
}

impl Bundle {
    /// Reads the block of the doctor's page.
    pub fn parse(json: &str) -> Option<Self> {
        let json = Json::parse(json.as_bytes()).filter(|json| json.is_object())?;
        let mut files = Vec::new();
        for file in json.list("files") {
            let mut pair = file.elements().filter_map(Json::string);
            files.push((pair.next()?, pair.next()?));
        }
        Some(Bundle {
            version: json.get_string("version")?,
            drop_in: json.get_string("dropIn")?,
            folder: json.get_string("folder")?,
            files,
        })
    }
}
