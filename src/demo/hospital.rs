//! The hospitals of the test mode, and what each of them is like.

use alloc::string::String;

use crate::language::Text;

/// A pretended hospital. Its host is below `.invalid`, which no network has (RFC 6761 §6.4).
#[derive(Debug)]
pub struct Hospital {
    /// Its name in the configuration and in its address.
    pub name: &'static str,
    /// What the list of hospitals calls it, in every language.
    pub title: &'static str,
    /// What it does, in the words of the page that the test mode begins with.
    pub text: Text,
    /// What it does otherwise than a healthy one.
    pub(crate) habit: Habit,
}

/// What is the matter with a hospital.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Nothing.
    Healthy,
    /// Each page takes seconds.
    Slow,
    /// No page may read what it answers.
    NoCors,
    /// It grants less than the patient ticked.
    Narrows,
    /// The record that it opens is not the participant's.
    OtherPerson,
    /// Each search is put off once.
    Busy,
    /// The first access ends in the middle.
    Expires,
    /// Some of its records are none that JHE takes.
    OddRecords,
}

/// All of them, in the order of the list.
pub const HOSPITALS: [Hospital; 8] = [
    hospital(
        "healthy",
        "Healthy Test Hospital",
        Text::DemoHealthy,
        Habit::Healthy,
    ),
    hospital("slow", "Slow Test Hospital", Text::DemoSlow, Habit::Slow),
    hospital(
        "cors",
        "Closed Test Hospital",
        Text::DemoCors,
        Habit::NoCors,
    ),
    hospital(
        "narrowed",
        "Narrow Test Hospital",
        Text::DemoNarrowed,
        Habit::Narrows,
    ),
    hospital(
        "person",
        "Wrong Person Test Hospital",
        Text::DemoPerson,
        Habit::OtherPerson,
    ),
    hospital("busy", "Busy Test Hospital", Text::DemoBusy, Habit::Busy),
    hospital(
        "expiring",
        "Expiring Test Hospital",
        Text::DemoExpiring,
        Habit::Expires,
    ),
    hospital(
        "odd",
        "Odd Records Test Hospital",
        Text::DemoOdd,
        Habit::OddRecords,
    ),
];

const fn hospital(name: &'static str, title: &'static str, text: Text, habit: Habit) -> Hospital {
    Hospital {
        name,
        title,
        text,
        habit,
    }
}

const SCHEME: &str = "https://";
const DOMAIN: &str = ".hospital.invalid";
pub(crate) const FHIR: &str = "/fhir/R4";
pub(crate) const TOKEN: &str = "/oauth2/token";
pub(crate) const REVOKE: &str = "/oauth2/revoke";
pub(crate) const KEYS: &str = "/oauth2/keys";

impl Hospital {
    /// The hospital of this name.
    pub fn named(name: &str) -> Option<&'static Hospital> {
        HOSPITALS.iter().find(|hospital| hospital.name == name)
    }

    /// Its FHIR base URL.
    pub fn base(&self) -> String {
        self.at(FHIR)
    }

    pub(crate) fn at(&self, path: &str) -> String {
        [SCHEME, self.name, DOMAIN, path].concat()
    }

    /// The hospital with this FHIR base URL.
    pub(crate) fn with_base(base: &str) -> Option<&'static Hospital> {
        HOSPITALS.iter().find(|hospital| hospital.base() == base)
    }

    /// The hospital at this origin.
    pub(crate) fn at_origin(origin: &str) -> Option<&'static Hospital> {
        HOSPITALS.iter().find(|hospital| hospital.at("") == origin)
    }
}
