//! What is on the page: one screen at a time, as data. Nothing here touches a page; the view shows it, in any language.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Error;
use crate::language::{Message, Text, Value};
use crate::remedy::Remedy;

/// Where the journey stands, as the attribute `data-jhe-connect` says it to scripts and style sheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The page is at work; the patient waits.
    Working,
    /// The patient picks a hospital.
    Choosing,
    /// The patient is asked something.
    Asking,
    /// The patient leaves for the hospital.
    Redirecting,
    /// All is done.
    Done,
    /// Something arrived, something did not.
    Partly,
    /// Nothing more happens.
    Failed,
    /// The same, and the patient wants it so.
    GivenUp,
}

impl Stage {
    /// The value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Working => "working",
            Stage::Choosing => "choosing",
            Stage::Asking => "asking",
            Stage::Redirecting => "redirecting",
            Stage::Done => "done",
            Stage::Partly => "partly",
            Stage::Failed | Stage::GivenUp => "failed",
        }
    }

    /// Does the patient wait for the page?
    pub fn is_busy(self) -> bool {
        matches!(self, Stage::Working | Stage::Redirecting)
    }
}

/// The steps that a patient goes through, as the page counts them. Only where hospitals are picked the first one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Picking a hospital.
    Hospital,
    /// Reading what will be shared.
    Agree,
    /// Signing in at the hospital.
    SignIn,
    /// Seeing whose records these are, and which.
    Check,
    /// Having them copied.
    Copy,
}

impl Step {
    /// All of them, with their names.
    pub const ALL: [(Step, Text); 5] = [
        (Step::Hospital, Text::StepHospital),
        (Step::Agree, Text::StepAgree),
        (Step::SignIn, Text::StepSignIn),
        (Step::Check, Text::StepCheck),
        (Step::Copy, Text::StepCopy),
    ];
}

/// What the patient can do on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Go on to the hospital's sign-in.
    Continue,
    /// Pick another hospital.
    AnotherHospital,
    /// Go to the hospital with this number, from 0, of those that the screen lists.
    Hospital(usize),
    /// Add records of one more hospital.
    AddHospital,
    /// See all hospitals of this visit.
    Overview,
    /// Not go on.
    GiveUp,
    /// Say that the hospital showed an error.
    SawError,
    /// Say that the sign-in did not work.
    NoLogin,
    /// Begin again, or go on after trouble.
    TryAgain,
    /// Sign in at the hospital once more.
    SignInAgain,
    /// Say that this is them.
    YesMe,
    /// Say that this is somebody else.
    NotMe,
    /// Go back to the hospital and tick more.
    AddMore,
    /// Go on without.
    GoOn,
    /// Send what was found.
    Send,
    /// Pause the import.
    Pause,
    /// Go on with it.
    Resume,
    /// End it here.
    Stop,
    /// End the page's access.
    Forget,
}

impl Act {
    /// All of them; of those that go to a hospital one.
    pub const ALL: [Act; 19] = [
        Act::Continue,
        Act::AnotherHospital,
        Act::Hospital(0),
        Act::AddHospital,
        Act::Overview,
        Act::GiveUp,
        Act::SawError,
        Act::NoLogin,
        Act::TryAgain,
        Act::SignInAgain,
        Act::YesMe,
        Act::NotMe,
        Act::AddMore,
        Act::GoOn,
        Act::Send,
        Act::Pause,
        Act::Resume,
        Act::Stop,
        Act::Forget,
    ];

    /// The value of the attribute `data-jc-action`.
    pub fn name(self) -> &'static str {
        match self {
            Act::Continue => "continue",
            Act::AnotherHospital => "another-hospital",
            Act::Hospital(_) => "hospital",
            Act::AddHospital => "add-hospital",
            Act::Overview => "overview",
            Act::GiveUp => "give-up",
            Act::SawError => "saw-error",
            Act::NoLogin => "no-login",
            Act::TryAgain => "try-again",
            Act::SignInAgain => "sign-in-again",
            Act::YesMe => "yes-me",
            Act::NotMe => "not-me",
            Act::AddMore => "add-more",
            Act::GoOn => "go-on",
            Act::Send => "send",
            Act::Pause => "pause",
            Act::Resume => "resume",
            Act::Stop => "stop",
            Act::Forget => "forget",
        }
    }
}

/// A piece of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A paragraph.
    Paragraph(Message),
    /// What to do now.
    NextStep(Message),
    /// A paragraph that must not be overlooked.
    Warning(Message),
    /// Names and what they stand for.
    Facts(Vec<(Text, Value)>),
    /// Lines of equal weight.
    List(Vec<Value>),
    /// A heading below the screen's own.
    Heading(Text),
    /// What is to be seen only by who wants to.
    Fold(Text, Vec<Part>),
    /// Boxes that are ticked. The patient may untick them.
    Boxes(Vec<Message>),
    /// Something to do; the first one of a screen stands out.
    Button(Act, Text),
    /// Hospitals of which the patient chooses one: [`Act::Hospital`].
    Choices(Vec<Value>),
    /// The way to a person.
    Help,
    /// For the study team: a code, and what happened.
    Details(&'static str, String),
}

/// One screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// The value of the attribute `data-jhe-connect-screen`.
    pub name: &'static str,
    /// Where the journey stands.
    pub stage: Stage,
    /// Which step it belongs to, if to one.
    pub step: Option<Step>,
    /// What happens now.
    pub heading: Message,
    /// What else there is.
    pub parts: Vec<Part>,
    /// The code of what went wrong, if something did, or of what the patient refused.
    pub code: Option<&'static str>,
}

impl Screen {
    /// A screen with a heading and the sentence below it.
    pub fn new(
        name: &'static str,
        stage: Stage,
        step: Option<Step>,
        heading: impl Into<Message>,
        lead: impl Into<Message>,
    ) -> Self {
        Screen {
            name,
            stage,
            step,
            heading: heading.into(),
            parts: alloc::vec![Part::Paragraph(lead.into())],
            code: None,
        }
    }

    /// The same with one more piece.
    pub fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// The same with one more paragraph.
    pub fn saying(self, text: impl Into<Message>) -> Self {
        self.with(Part::Paragraph(text.into()))
    }

    /// The same with one more button, above what is for who gets no further.
    pub fn offering(mut self, act: Act, label: Text) -> Self {
        let is_help = |part: &Part| matches!(part, Part::Help | Part::Details(..));
        let place = self.parts.iter().position(is_help);
        let place = place.unwrap_or(self.parts.len());
        self.parts.insert(place, Part::Button(act, label));
        self
    }

    /// What went wrong, and what to do: what the remedy says, or `next_step`.
    pub fn of_error(error: &Error, next_step: Option<Message>) -> Self {
        let Remedy {
            heading,
            explanation,
            next_step: usual,
        } = Remedy::of(error);
        let stage = match error.is_patients_choice() {
            true => Stage::GivenUp,
            false => Stage::Failed,
        };
        let screen = Screen::new("failed", stage, None, heading, explanation);
        screen.after(error, next_step.unwrap_or(usual))
    }

    /// The same with what stands below the explanation of an error: what to do, a person to ask, and what that person needs
    /// to know.
    pub fn after(mut self, error: &Error, next_step: Message) -> Self {
        self.code = Some(error.code());
        self.parts.extend(after_error(error, next_step));
        self
    }
}

/// What stands below the explanation of an error, on a screen or inside one.
pub fn after_error(error: &Error, next_step: Message) -> Vec<Part> {
    let mut parts = alloc::vec![Part::NextStep(next_step), Part::Help];
    if !error.is_patients_choice() {
        parts.push(Part::Details(error.code(), error.detail()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::invitation::InvitationError;

    #[test]
    fn every_act_has_a_name_of_its_own_and_is_among_all() {
        let mut names: Vec<_> = Act::ALL.iter().map(|act| act.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Act::ALL.len());
    }

    #[test]
    fn an_error_says_what_to_do_then_offers_it_then_leads_to_a_person() {
        let error = InvitationError::Unknown.into();
        let screen = Screen::of_error(&error, None).offering(Act::TryAgain, Text::TryAgain);
        assert_eq!(screen.code, Some("invitation.unknown"));
        let is = |place: usize, what: fn(&Part) -> bool| assert!(what(&screen.parts[place]));
        is(0, |part| matches!(part, Part::Paragraph(_)));
        is(1, |part| matches!(part, Part::NextStep(_)));
        is(2, |part| matches!(part, Part::Button(Act::TryAgain, _)));
        is(3, |part| matches!(part, Part::Help));
        is(4, |part| {
            matches!(part, Part::Details("invitation.unknown", _))
        });
    }
}
