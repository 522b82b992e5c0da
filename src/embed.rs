//! What the page around the journey is told of it: the contract of `docs/embedding.md`. What a screen means is decided here;
//! which session it belongs to is decided by the page's script (`www/session.js`), since some sessions end where this
//! program never begins.
//!
//! No token and no health data is in any of it: no name, no kind of records, no hospital, and only counts over all.

use alloc::string::String;

use crate::import::{Progress, Purpose, RowProgress};
use crate::screen::{Part, Screen, Stage, Step};
use crate::text::number;

/// The version of the contract: another one, as soon as an event has another name, another member, or a member another
/// value than before.
pub const VERSION: u32 = 1;

/// How a session ends: the name of its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All arrived.
    Complete,
    /// Something arrived, something did not.
    Partly,
    /// The patient does not want it.
    Cancelled,
    /// It can't be done, at least not now.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 4] = [
        Outcome::Complete,
        Outcome::Partly,
        Outcome::Cancelled,
        Outcome::Failed,
    ];

    /// The event's name, after `jhe-connect:`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Partly => "partly",
            Outcome::Cancelled => "cancelled",
            Outcome::Failed => "failed",
        }
    }

    /// What a screen ends a session with, if it is one on which the journey comes to rest.
    pub fn of(screen: &Screen) -> Option<Self> {
        match screen.stage {
            Stage::Done => Some(Outcome::Complete),
            Stage::Partly => Some(Outcome::Partly),
            Stage::GivenUp => Some(Outcome::Cancelled),
            Stage::Failed => Some(Outcome::Failed),
            Stage::Working | Stage::Choosing | Stage::Asking | Stage::Redirecting => None,
        }
    }
}

/// The name of a step in events.
pub fn step_name(step: Step) -> &'static str {
    match step {
        Step::Hospital => "hospital",
        Step::Agree => "agree",
        Step::SignIn => "sign-in",
        Step::Check => "check",
        Step::Copy => "copy",
    }
}

/// Does a screen on which the journey comes to rest offer the patient a way on? It has no button for anything else.
fn can_go_on(screen: &Screen) -> bool {
    let mut parts = screen.parts.iter();
    parts.any(|part| matches!(part, Part::Button(..)))
}

/// What the page's script is told of a screen: the event, step, screen, code, and where it is an end whether the patient can
/// go on. Parted by spaces; what there is not is empty. (As JSON it would weigh more.)
pub fn screen(screen: &Screen) -> String {
    let outcome = Outcome::of(screen);
    [
        outcome.map_or("step", Outcome::name),
        " ",
        screen.step.map_or("", step_name),
        " ",
        screen.name,
        " ",
        screen.code.unwrap_or_default(),
        match outcome {
            None => "",
            Some(_) if can_go_on(screen) => " yes",
            Some(_) => " no",
        },
    ]
    .concat()
}

/// The same of how far a run is: only counts over all kinds of records, how many are done and, where it is known, of how
/// many.
pub fn progress(progress: &Progress, purpose: Purpose) -> String {
    let sum = |count: fn(&RowProgress) -> u32| progress.rows.iter().map(count).sum();
    let (done, all) = match (purpose, progress.whole) {
        (Purpose::Review, _) => (sum(|row| row.found), None),
        (Purpose::Copy, Some((done, all))) => (done, Some(all)),
        (Purpose::Copy, None) => (sum(|row| row.done), None),
    };
    let count = |count| number(u64::from(count));
    let all = all.map(count).unwrap_or_default();
    ["progress ", &count(done), " ", &all].concat()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::error::{CallbackError, Error};
    use crate::exchange::invitation::InvitationError;
    use crate::import::RowState;
    use crate::language::Text;
    use crate::oauth::authorization::{ResponseError, ServerError};
    use crate::screen::Act;
    use crate::screens::{self, Sharing};
    use crate::smart::launch::LaunchError;

    const DENIED_BY_SERVER: &str = "access_denied";

    fn told(shown: &Screen) -> Vec<String> {
        screen(shown).split(' ').map(String::from).collect()
    }

    fn denied() -> Error {
        let denied = ServerError {
            error: DENIED_BY_SERVER.into(),
            description: String::new(),
        };
        CallbackError::Launch(LaunchError::Response(ResponseError::Server(denied))).into()
    }

    #[test]
    fn a_screen_on_the_way_is_a_step_with_its_name_and_its_code() {
        assert_eq!(told(&screens::checking()), ["step", "", "checking", ""]);
        let sharing = Sharing {
            hospital: &"Mount Sinai".into(),
            study: &crate::config::Study::default(),
            organization: None,
            labels: &["Labs"],
            is_picked: true,
            before: crate::screens::Before::Nothing,
        };
        assert_eq!(told(&sharing.screen()), ["step", "agree", "sharing", ""]);
        let error_page = screens::error_page("https://ehr.example/R4");
        let code = screens::ERROR_PAGE;
        assert_eq!(told(&error_page), ["step", "sign-in", "error-page", code]);
    }

    #[test]
    fn what_the_patient_does_not_want_is_no_failure() {
        for screen in [
            screens::gave_up(),
            screens::not_me(),
            screens::sent_nothing(),
            Screen::of_error(&denied(), None),
        ] {
            assert_eq!(Outcome::of(&screen), Some(Outcome::Cancelled), "{screen:?}");
        }
        let failed = ["failed", "", "failed", "invitation.unknown", "no"];
        let screen = Screen::of_error(&InvitationError::Unknown.into(), None);
        assert_eq!(told(&screen), failed);
    }

    #[test]
    fn an_end_says_whether_there_is_a_way_on() {
        for act in [Act::TryAgain, Act::SignInAgain, Act::AnotherHospital] {
            let screen = Screen::of_error(&InvitationError::Unknown.into(), None);
            let screen = screen.offering(act, Text::TryAgain);
            assert_eq!(told(&screen)[4], "yes");
        }
        let done = screens::recalled(true, 12, 0, crate::exchange::deployment::Unit::Record);
        assert_eq!(told(&done)[0], "complete");
        assert_eq!(told(&done)[4], "no");
    }

    #[test]
    fn only_counts_over_all_kinds_are_told() {
        let row = RowProgress {
            row: 0,
            state: RowState::Reading,
            found: 50,
            done: 20,
            all: None,
        };
        let mut run = Progress {
            rows: alloc::vec![row, row],
            whole: None,
        };
        assert_eq!(progress(&run, Purpose::Review), "progress 100 ");
        assert_eq!(progress(&run, Purpose::Copy), "progress 40 ");
        run.whole = Some((40, 120));
        assert_eq!(progress(&run, Purpose::Copy), "progress 40 120");
    }
}
