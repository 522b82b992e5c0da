//! What a patient reads when something went wrong: what it means, and what to do. Which text it is, is decided here;
//! the texts stand in the language files, and a new error does not compile until it has one.

use crate::config::ConfigError;
use crate::error::{
    BrowserError, CallbackError, Error, JheRefusal, LoaderError, PhaseError, SignInError,
};
use crate::exchange::brands::BrandsError;
use crate::exchange::inventory::InventoryError;
use crate::exchange::invitation::{EnrolmentError, InvitationError, JheTokenError};
use crate::exchange::patient::IdentifierError;
use crate::exchange::source::SourceError;
use crate::fhir::pager::PageError;
use crate::import::Stop;
use crate::language::{Message, Text, Value};
use crate::oauth::authorization::ResponseError;
use crate::oauth::token::TokenError;
use crate::smart::context::ContextError;
use crate::smart::discovery::DiscoveryError;
use crate::smart::launch::LaunchError;

/// Three sentences for a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What happened, in a few words.
    pub heading: Message,
    /// What it means.
    pub explanation: Message,
    /// What to do now.
    pub next_step: Message,
}

/// The next step where a button goes on with the run.
pub fn go_on() -> Message {
    part(Text::GoOn, 2)
}

fn part(text: Text, part: usize) -> Message {
    Message {
        part,
        ..text.into()
    }
}

impl From<Text> for Remedy {
    /// The remedy whose three sentences this text is.
    fn from(text: Text) -> Self {
        Remedy {
            heading: text.into(),
            explanation: part(text, 1),
            next_step: part(text, 2),
        }
    }
}

impl Remedy {
    /// The remedy for an error.
    pub fn of(error: &Error) -> Self {
        if error.is_offline() {
            return Text::Offline.into();
        }
        match error {
            Error::Config(
                ConfigError::Missing(_)
                | ConfigError::Malformed(_)
                | ConfigError::Plan(_)
                | ConfigError::Demo,
            ) => Text::Config.into(),
            Error::Phase(error) => error.remedy(),
            Error::Browser(error) => of_browser(*error).into(),
        }
    }
}

pub(crate) fn of_sign_in(error: &SignInError) -> Text {
    match error {
        SignInError::Token(error) if error.error() == "invalid_scope" => Text::ScopeNotEnabled,
        SignInError::Token(_) => Text::SignInRefused,
        SignInError::Transport(_) => Text::SignInUnreachable,
    }
}

pub(crate) fn of_context(error: &ContextError) -> Text {
    match error {
        ContextError::NoPatient => Text::NoPatient,
        ContextError::NotGranted(_) => Text::LabResultsNotShared,
    }
}

pub(crate) fn of_identifier(error: &IdentifierError) -> Text {
    match error {
        IdentifierError::Conflict => Text::IdentifierConflict,
        IdentifierError::NotAPatient => Text::NotAPatient,
        IdentifierError::SessionExpired => Text::JheSessionExpired,
        IdentifierError::Refused(_) => Text::IdentifierRefused,
        IdentifierError::Transport(_) => Text::JheUnreachable,
    }
}

pub(crate) fn of_source(error: &SourceError) -> Text {
    match error {
        SourceError::DataSourceMissing(_) | SourceError::DataSourceUnknown(_) => {
            Text::SourceNotSetUp
        }
        SourceError::NotAPatient(_) => Text::NotAPatient,
        SourceError::SessionExpired => Text::JheSessionExpired,
        SourceError::Refused(_) => Text::SourceRefused,
        SourceError::Transport(_) => Text::JheUnreachable,
    }
}

pub(crate) fn of_inventory(error: &InventoryError) -> Text {
    match error {
        InventoryError::SessionExpired => Text::JheSessionExpired,
        InventoryError::Failing(_) | InventoryError::Refused(_) | InventoryError::Transport(_) => {
            Text::NotChecked
        }
    }
}

pub(crate) fn of_pull(reason: &PageError) -> Text {
    match reason {
        PageError::SignedOut => Text::PullSignedOut,
        PageError::Forbidden(_) | PageError::TooWide(_) | PageError::Refused(_) => {
            Text::PullRefused
        }
        PageError::Busy(_)
        | PageError::ServerError(_)
        | PageError::CutOff
        | PageError::Transport(_) => Text::PullTrouble,
        PageError::NotFhir(_)
        | PageError::TooLong
        | PageError::NextRefused(_)
        | PageError::NextLoop => Text::PullUnreadable,
    }
}

pub(crate) fn of_stop(stop: &Stop) -> Text {
    match stop {
        Stop::JheSessionExpired => Text::JheSessionExpired,
        Stop::JheUnreachable(_) => Text::JheLost,
        Stop::JheFailing(_) => Text::JheFailing,
        Stop::NotChecked(error) => of_inventory(error),
    }
}

pub(crate) fn of_enrolment(error: &EnrolmentError) -> Remedy {
    match error {
        EnrolmentError::Invitation(InvitationError::OtherHost { invitation, page }) => {
            let mut remedy = Remedy::from(Text::InvitationOtherHost);
            let hosts = [invitation, page];
            remedy.explanation.values = hosts.map(|host| Value::from(host.as_str())).into();
            remedy
        }
        EnrolmentError::Invitation(error) => of_invitation(error).into(),
        EnrolmentError::Token(error) => of_jhe_token(error).into(),
    }
}

fn of_invitation(error: &InvitationError) -> Text {
    match error {
        InvitationError::Missing => Text::InvitationMissing,
        InvitationError::Malformed => Text::InvitationMalformed,
        InvitationError::OtherHost { .. } => Text::InvitationOtherHost,
        InvitationError::Unknown => Text::InvitationUnknown,
        InvitationError::Used => Text::InvitationUsed,
        InvitationError::Expired => Text::InvitationExpired,
        InvitationError::Cancelled => Text::InvitationCancelled,
        InvitationError::NoLogin(_) => Text::InvitationNoLogin,
        InvitationError::Refused(_) => Text::InvitationRefused,
        InvitationError::Transport(_) => Text::JheUnreachable,
    }
}

fn of_jhe_token(error: &JheTokenError) -> Text {
    match error {
        JheTokenError::Transport(_) => Text::JheUnreachable,
        JheTokenError::Token(TokenError::Malformed(_)) => Text::JheRefused,
        JheTokenError::Token(error) => match JheRefusal::of(error) {
            JheRefusal::Superseded => Text::JheSuperseded,
            JheRefusal::RedirectMismatch | JheRefusal::InvalidClient => Text::JheNotSetUp,
            JheRefusal::Other => Text::JheRefused,
        },
    }
}

pub(crate) fn of_brands(error: &BrandsError) -> Remedy {
    match error {
        BrandsError::SessionExpired => Text::JheSessionExpired,
        BrandsError::Refused(_) => Text::BrandsRefused,
        BrandsError::Transport(_) => Text::BrandsUnreachable,
    }
    .into()
}

pub(crate) fn of_discovery(error: &DiscoveryError) -> Remedy {
    match error {
        DiscoveryError::Transport(_) => Text::DiscoveryUnreachable,
        DiscoveryError::NotFound
        | DiscoveryError::Refused(_)
        | DiscoveryError::NotJson(_)
        | DiscoveryError::Incomplete(_) => Text::DiscoveryUnusable,
        DiscoveryError::InsecureIssuer(_) | DiscoveryError::InsecureEndpoint(_) => {
            Text::DiscoveryInsecure
        }
        DiscoveryError::NoS256(_) => Text::DiscoveryNoS256,
        DiscoveryError::NotReadable => Text::DiscoveryNotReadable,
    }
    .into()
}

pub(crate) fn of_callback(error: &CallbackError) -> Text {
    match error {
        CallbackError::Launch(LaunchError::Response(ResponseError::Server(error))) => {
            match error.error.as_str() {
                "access_denied" => Text::Denied,
                "invalid_scope" => Text::ScopeNotEnabled,
                _ => Text::AuthorizationRefused,
            }
        }
        CallbackError::Launch(LaunchError::Response(
            ResponseError::NoState | ResponseError::UnknownState,
        ))
        | CallbackError::Launch(LaunchError::Damaged) => Text::UnknownState,
        CallbackError::Launch(LaunchError::Response(
            ResponseError::Repeated(_)
            | ResponseError::CodeAndError
            | ResponseError::NoCode
            | ResponseError::OtherIssuer,
        )) => Text::Untrusted,
        CallbackError::Launch(LaunchError::Expired) => Text::Expired,
        CallbackError::NothingPending => Text::NothingPending,
        CallbackError::OtherPatient => Text::OtherPatient,
        CallbackError::NoJheSession => Text::NoJheSession,
    }
}

fn of_browser(error: BrowserError) -> Text {
    match error {
        BrowserError::StorageBlocked => Text::StorageBlocked,
        BrowserError::Offline => Text::Offline,
        BrowserError::InsecureContext => Text::InsecureContext,
    }
}

pub(crate) fn of_loader(error: LoaderError) -> Text {
    match error {
        LoaderError::NoWebAssembly => Text::NoWebassembly,
        LoaderError::LoadFailed => Text::LoadFailed,
    }
}

/// What the loader says before this program runs: code and texts.
pub fn loader_texts() -> [(&'static str, Text); 2] {
    [LoaderError::NoWebAssembly, LoaderError::LoadFailed]
        .map(|error| (error.code(), of_loader(error)))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::error::{Interrupted, OtherTab};
    use crate::http::TransportError;
    use crate::import::progress::Tally;
    use crate::import::{Ending, PullError};
    use crate::language::testing::english;
    use crate::oauth::authorization::ServerError;

    fn server(error: &str) -> ServerError {
        ServerError {
            error: error.into(),
            description: "because".into(),
        }
    }

    fn some_of_each() -> Vec<Error> {
        let refused = |error: &str| TokenError::Refused(server(error));
        let response = |error| Error::from(ResponseError::Server(server(error)));
        alloc::vec![
            ConfigError::Missing(alloc::vec!["iss", "dataSourceId"]).into(),
            InvitationError::OtherHost {
                invitation: "a:1".into(),
                page: "b:2".into()
            }
            .into(),
            InvitationError::Unknown.into(),
            InvitationError::Used.into(),
            InvitationError::Expired.into(),
            InvitationError::Cancelled.into(),
            InvitationError::NoLogin("x".into()).into(),
            EnrolmentError::Token(JheTokenError::Token(refused("invalid_grant"))).into(),
            EnrolmentError::Token(JheTokenError::Token(refused("invalid_client"))).into(),
            BrandsError::Refused("x".into()).into(),
            BrandsError::Transport(TransportError::TimedOut).into(),
            DiscoveryError::NoS256("plain".into()).into(),
            DiscoveryError::Transport(TransportError::Unreachable).into(),
            response("access_denied"),
            response("invalid_scope"),
            response("server_error"),
            ResponseError::UnknownState.into(),
            Interrupted.into(),
            OtherTab.into(),
            SignInError::Token(refused("invalid_grant")).into(),
            ContextError::NoPatient.into(),
            IdentifierError::Conflict.into(),
            SourceError::DataSourceMissing("x".into()).into(),
            InventoryError::Refused("x".into()).into(),
            PullError {
                page: 3,
                reason: PageError::CutOff
            }
            .into(),
            Stop::JheSessionExpired.into(),
            BrowserError::StorageBlocked.into(),
        ]
    }

    #[test]
    fn every_remedy_is_filled_in_and_has_no_place_left_over() {
        for error in some_of_each() {
            let Remedy {
                heading,
                explanation,
                next_step,
            } = Remedy::of(&error);
            for text in [heading, explanation, next_step].map(english) {
                assert!(text.len() > 10, "{error}");
                assert!(
                    !text.contains("  ") && !text.contains('{'),
                    "{error}: {text}"
                );
            }
        }
    }

    #[test]
    fn codes_and_details_differ_from_case_to_case() {
        let errors = some_of_each();
        let mut codes: Vec<_> = errors.iter().map(Error::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), errors.len());
        assert!(errors.iter().all(|error| !error.detail().is_empty()));
    }

    #[test]
    fn hosts_are_named_to_the_patient_and_pages_and_values_to_the_study_team() {
        let errors = some_of_each();
        assert!(errors[0].detail().contains("iss, dataSourceId"));
        let explanation = english(Remedy::of(&errors[1]).explanation);
        assert!(explanation.contains("a:1") && explanation.contains("b:2"));
        assert!(errors[24].detail().contains("page 3"));
    }

    #[test]
    fn being_offline_is_told_as_that_in_every_phase() {
        let offline = TransportError::Offline;
        for error in [
            Error::from(InvitationError::Transport(offline)),
            EnrolmentError::Token(JheTokenError::Transport(offline)).into(),
            BrandsError::Transport(offline).into(),
            DiscoveryError::Transport(offline).into(),
            SignInError::Transport(offline).into(),
            IdentifierError::Transport(offline).into(),
            SourceError::Transport(offline).into(),
            InventoryError::Transport(offline).into(),
            PullError {
                page: 2,
                reason: PageError::Transport(offline),
            }
            .into(),
            Stop::JheUnreachable(offline).into(),
        ] {
            assert_eq!(error.code(), "browser.offline", "{error:?}");
            assert_eq!(english(Remedy::of(&error).heading), "You are offline");
        }
    }

    #[test]
    fn going_offline_is_told_once() {
        let offline = TransportError::Offline;
        let ending = Ending {
            rows: alloc::vec![],
            tally: Tally::default(),
            points: alloc::vec![],
            new_rows: None,
            pull_errors: alloc::vec![(
                "Labs".into(),
                PullError {
                    page: 2,
                    reason: PageError::Transport(offline),
                }
            )],
            stop: Some(Stop::JheUnreachable(offline)),
            ..Ending::default()
        };
        let codes: Vec<_> = ending.errors().iter().flatten().map(Error::code).collect();
        assert_eq!(codes, ["browser.offline"]);
    }

    #[test]
    fn a_patients_no_is_no_failure() {
        let denied = Error::from(ResponseError::Server(server("access_denied")));
        assert!(denied.is_patients_choice());
        assert_eq!(english(Remedy::of(&denied).heading), "Nothing was shared");
    }
}
