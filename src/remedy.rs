//! What a patient reads when something went wrong: what it means, and what to do. All such wording is in this file,
//! and a new error does not compile until it has some.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::config::ConfigError;
use crate::error::{BrowserError, CallbackError, Error, JheRefusal, SignInError};
use crate::exchange::brands::BrandsError;
use crate::exchange::inventory::InventoryError;
use crate::exchange::invitation::{EnrolmentError, InvitationError, JheTokenError};
use crate::exchange::patient::IdentifierError;
use crate::exchange::source::SourceError;
use crate::fhir::pager::PageError;
use crate::import::{PullError, Stop};
use crate::oauth::authorization::ResponseError;
use crate::oauth::token::TokenError;
use crate::smart::context::ContextError;
use crate::smart::discovery::DiscoveryError;
use crate::smart::launch::LaunchError;
use crate::text::{capitalized, find, listed, number};

/// Three sentences for a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What happened, in a few words.
    pub heading: Cow<'static, str>,
    /// What it means.
    pub explanation: Cow<'static, str>,
    /// What to do now.
    pub next_step: &'static str,
}

/// Stands in a text for the name of the hospital's portal.
const PORTAL: &str = "@";

const RESTART: &str =
    "Please open the link in your invitation again and sign in once more, in one tab.";
const NEW_LINK: &str = "Please ask your study team for a new invitation link.";
const TELL_TEAM: &str =
    "You can't solve this yourself: please tell your study team, and show them the details below.";
const LATER: &str = "Please wait a few minutes and open the link in your invitation again. If it happens again, tell your study team.";
/// The next step where a button goes on with the run.
pub const GO_ON: &str =
    "The button below goes on where it stopped. If it happens again, please tell your study team.";
/// The next step where a button asks for the list of hospitals again.
pub const ASK_AGAIN: &str =
    "The button below asks for the list again. If that does not help, please tell your study team.";
const KEPT: &str = "What arrived until then is kept. ";

/// Not inlined: a call for each case is a third of the code that its body would be.
#[inline(never)]
fn remedy(heading: &'static str, explanation: &'static str, next_step: &'static str) -> Remedy {
    Remedy {
        heading: heading.into(),
        explanation: explanation.into(),
        next_step,
    }
}

impl Remedy {
    /// The same with an explanation that is made for the occasion.
    fn explained(mut self, explanation: String) -> Self {
        self.explanation = explanation.into();
        self
    }

    /// The remedy for an error; `portal` is what the patient knows the hospital's portal as.
    pub fn of(error: &Error, portal: &str) -> Self {
        let mut remedy = Self::with_place_for_portal(error);
        for text in [&mut remedy.heading, &mut remedy.explanation] {
            let mut rest = &**text;
            let mut whole = String::new();
            while let Some(place) = find(rest, PORTAL) {
                whole.push_str(rest.get(..place).unwrap_or_default());
                whole.push_str(portal);
                rest = rest.get(place + PORTAL.len()..).unwrap_or_default();
            }
            if !whole.is_empty() {
                whole.push_str(rest);
                *text = capitalized(&whole).into();
            }
        }
        remedy
    }

    fn with_place_for_portal(error: &Error) -> Self {
        if error.is_offline() {
            return of_browser(BrowserError::Offline);
        }
        match error {
            Error::Config(error) => of_config(error),
            Error::Connect(error) => error.remedy(),
            Error::Callback(error) => of_callback(error),
            Error::SignIn(error) => of_sign_in(error),
            Error::Context(ContextError::NoPatient) => remedy(
                "We could not tell whose record this is",
                "@ let you in but did not say which patient you are. The study's set-up lacks the permission \
                 \"launch/patient\".",
                TELL_TEAM,
            ),
            Error::Context(ContextError::NotGranted(_)) => remedy(
                "Lab results were not shared",
                "@ did not give access to lab results: either they were unticked when you signed in, or the scope for \
                 Observation is not enabled on the study's app at the hospital.",
                "Open the link in your invitation again and leave lab results ticked. If you did, please tell your study team.",
            ),
            Error::Identifier(error) => of_identifier(error),
            Error::Source(error) => of_source(error),
            Error::Inventory(error) | Error::Stop(Stop::NotChecked(error)) => match error {
                InventoryError::SessionExpired => jhe_session_expired(),
                _ => remedy(
                    "We could not check what is already there",
                    "The study's server did not say which of your records it has. So that none is stored twice, nothing more was sent.",
                    LATER,
                ),
            },
            Error::Pull(error) => of_pull(error),
            Error::Stop(Stop::JheSessionExpired) => jhe_session_expired(),
            Error::Stop(Stop::JheUnreachable(_)) => remedy(
                "The connection to the study's server was lost",
                "Not all of your records could be delivered. What arrived until then is kept.",
                LATER,
            ),
            Error::Stop(Stop::JheFailing(_)) => remedy(
                "The study's server has trouble",
                "It did not accept any further record. What arrived until then is kept.",
                LATER,
            ),
            Error::Browser(error) => of_browser(*error),
        }
    }
}

fn unusable(what: &str) -> String {
    [
        "The study's server gave this page a configuration that can't be used: ",
        what,
        ".",
    ]
    .concat()
}

fn of_config(error: &ConfigError) -> Remedy {
    let explanation = match error {
        ConfigError::Missing(names) => [
            "The study's server did not provide everything that this page needs. Missing: ",
            &listed(names),
            ".",
        ]
        .concat(),
        ConfigError::Malformed(what) => unusable(what),
        ConfigError::Plan(error) => unusable(error.as_str()),
    };
    remedy("This page is not set up yet", "", TELL_TEAM).explained(explanation)
}

pub(crate) fn of_enrolment(error: &EnrolmentError) -> Remedy {
    match error {
        EnrolmentError::Invitation(error) => of_invitation(error),
        EnrolmentError::Token(error) => of_jhe_token(error),
    }
}

fn of_invitation(error: &InvitationError) -> Remedy {
    match error {
        InvitationError::Missing => remedy(
            "Please start from your invitation link",
            "This page only works when it is opened through the link that your study team sent you.",
            "Open the link in your invitation. If you can't find it, ask your study team to send it again.",
        ),
        InvitationError::Malformed => remedy(
            "This invitation link is incomplete",
            "A part of the link is missing or was changed, as can happen when it is copied by hand.",
            "Open the link in your invitation by tapping it, or copy all of it. Otherwise ask your study team for a new one.",
        ),
        InvitationError::OtherHost { invitation, page } => {
            remedy("This invitation belongs to another address", "", TELL_TEAM).explained(
                [
                    "Your invitation was made for ",
                    invitation,
                    ", but this page is at ",
                    page,
                    ". For your safety nothing was sent. The server's site URL must match the address of this page.",
                ]
                .concat(),
            )
        }
        InvitationError::Unknown => remedy(
            "We don't know this invitation",
            "The study's server has no invitation with this link. It may have been used up, or the link was changed.",
            NEW_LINK,
        ),
        InvitationError::Used => remedy(
            "This invitation was already used",
            "An invitation works for 12 hours after it is first opened, and a newer invitation replaces an older one.",
            "If you got a newer invitation, open that one. Otherwise ask your study team for a new invitation link.",
        ),
        InvitationError::Expired => remedy(
            "This invitation has expired",
            "For your safety an invitation works only for a limited time.",
            NEW_LINK,
        ),
        InvitationError::Cancelled => remedy(
            "This invitation was cancelled",
            "Your study team has withdrawn it, perhaps because they sent you another one.",
            "If you have another invitation, open that one. Otherwise ask your study team for a new invitation link.",
        ),
        InvitationError::NoLogin(_) => remedy(
            "Your study account is not ready yet",
            "The invitation is right, but your record at the study has no login.",
            "Please ask your study team to set up your login and to send you a new invitation link.",
        ),
        InvitationError::Refused(_) => remedy(
            "The study's server did not accept the invitation",
            "It answered in a way that this page does not expect.",
            TELL_TEAM,
        ),
        InvitationError::Transport(_) => jhe_unreachable(),
    }
}

fn of_jhe_token(error: &JheTokenError) -> Remedy {
    match error {
        JheTokenError::Transport(_) => jhe_unreachable(),
        JheTokenError::Token(TokenError::Malformed(_)) => remedy(
            "The study's server did not let us in",
            "It answered in a way that this page does not expect.",
            TELL_TEAM,
        ),
        JheTokenError::Token(error) => match JheRefusal::of(error) {
            JheRefusal::Superseded => remedy(
                "The invitation was opened twice",
                "The link seems to be open in another tab or window, and only one of them can go on.",
                "Please close the other tabs, and open the link in your invitation again, in one tab.",
            ),
            JheRefusal::RedirectMismatch | JheRefusal::InvalidClient => remedy(
                "The study's server is not set up for this page",
                "JHE's own registration of this client is to be checked: its redirect URI must be JHE's /auth/callback.",
                TELL_TEAM,
            ),
            JheRefusal::Other => remedy(
                "The study's server did not let us in",
                "It refused the sign-in that belongs to your invitation.",
                TELL_TEAM,
            ),
        },
    }
}

pub(crate) fn of_brands(error: &BrandsError) -> Remedy {
    const NO_LIST: &str = "The list of hospitals could not be fetched";
    match error {
        BrandsError::SessionExpired => jhe_session_expired(),
        BrandsError::Refused(_) => remedy(
            NO_LIST,
            "The study's server answered in a way that this page does not expect. Nothing was shared.",
            LATER,
        ),
        BrandsError::Transport(_) => remedy(
            NO_LIST,
            "The study's server did not answer. Your connection may be bad, or the server is not available at the moment.",
            LATER,
        ),
    }
}

pub(crate) fn of_discovery(error: &DiscoveryError) -> Remedy {
    let explanation = match error {
        DiscoveryError::Transport(_) => {
            "The hospital's server could not be reached from this page, or does not allow it to read the answer."
        }
        DiscoveryError::NotFound => {
            "The hospital's server has no description of its sign-in at the configured address."
        }
        DiscoveryError::Refused(_) => "The hospital's server refused to describe its sign-in.",
        DiscoveryError::NotJson(_) => {
            "The hospital's server answered with something else than a description of its sign-in."
        }
        DiscoveryError::Incomplete(_) => "The hospital's description of its sign-in is incomplete.",
        DiscoveryError::InsecureIssuer(_) | DiscoveryError::InsecureEndpoint(_) => {
            "The hospital's sign-in has an address that is not protected (https). For your safety it is not opened."
        }
        DiscoveryError::NoS256(_) => {
            "The hospital's sign-in does not support the protection (S256) that this page insists on."
        }
        DiscoveryError::NotReadable => {
            "The hospital's server does not let this page read any record, so that signing in there would be in vain."
        }
    };
    remedy(
        "This hospital's sign-in can't be used yet",
        explanation,
        LATER,
    )
}

fn of_callback(error: &CallbackError) -> Remedy {
    match error {
        CallbackError::Launch(LaunchError::Response(ResponseError::Server(error))) => {
            match error.error.as_str() {
                "access_denied" => remedy(
                    "Nothing was shared",
                    "You chose not to share your record, and nothing was sent after that. That is all right.",
                    "If you change your mind, open the link in your invitation again whenever you like.",
                ),
                "invalid_scope" => scope_not_enabled(),
                _ => remedy(
                    "@ did not let you in",
                    "The hospital's sign-in ended with an error. Nothing was shared.",
                    "Please open the link in your invitation again. If it happens again, show your study team the details below.",
                ),
            }
        }
        CallbackError::Launch(LaunchError::Response(
            ResponseError::NoState | ResponseError::UnknownState,
        ))
        | CallbackError::Launch(LaunchError::Damaged) => remedy(
            "This sign-in does not belong to this tab",
            "It was begun in another tab or browser, or was already used. For your safety it is not continued.",
            RESTART,
        ),
        CallbackError::Launch(LaunchError::Response(
            ResponseError::Repeated(_)
            | ResponseError::CodeAndError
            | ResponseError::NoCode
            | ResponseError::OtherIssuer,
        )) => remedy(
            "We don't trust this answer",
            "The answer that came back is not the one that @ should give. For your safety it is not used.",
            RESTART,
        ),
        CallbackError::Launch(LaunchError::Expired) => remedy(
            "The sign-in took too long",
            "For your safety a sign-in must be finished within half an hour.",
            RESTART,
        ),
        CallbackError::NothingPending => remedy(
            "There is nothing to do here",
            "This page finishes a sign-in, and none is waiting in this tab.",
            "To connect your record, open the link in your invitation.",
        ),
        CallbackError::Interrupted => remedy(
            "The import was interrupted",
            "The page was closed or reloaded before it was done. What arrived until then is kept.",
            "Please open the link in your invitation again: only what is missing is sent.",
        ),
        CallbackError::OtherTab => remedy(
            "Your records are being copied in another tab",
            "So that nothing is sent twice, only one tab does it at a time.",
            "Please look at the other tab. If you closed it, load this page again.",
        ),
        CallbackError::OtherPatient => remedy(
            "This is another person's account",
            "The records that were copied until now are of somebody else at @. So that they are not mixed, nothing more was sent.",
            "Please open the link in your invitation again, and sign in with your own account.",
        ),
        CallbackError::NoJheSession => remedy(
            "The study's session is not in this tab",
            "You came back to another tab than the one you started in, or the session has ended.",
            RESTART,
        ),
    }
}

fn of_sign_in(error: &SignInError) -> Remedy {
    match error {
        SignInError::Token(error) if error.error() == "invalid_scope" => scope_not_enabled(),
        SignInError::Token(_) => remedy(
            "@ did not complete the sign-in",
            "You signed in, but the hospital refused the last step. Nothing was shared.",
            "Please open the link in your invitation again. If it happens again, show your study team the details below.",
        ),
        SignInError::Transport(_) => remedy(
            "The hospital did not answer",
            "You signed in, but the connection broke before the last step. Nothing was shared.",
            RESTART,
        ),
    }
}

fn scope_not_enabled() -> Remedy {
    remedy(
        "The hospital does not offer this access yet",
        "A permission that this study asks for (a scope) is not enabled on its app at the hospital.",
        TELL_TEAM,
    )
}

fn of_identifier(error: &IdentifierError) -> Remedy {
    match error {
        IdentifierError::Conflict => remedy(
            "This hospital account belongs to someone else in the study",
            "The account that you signed in with at @ is already connected to another participant. No record was sent.",
            "Did you sign in with your own hospital account? If so, please tell your study team. If not, open the link in your \
             invitation again and use your own.",
        ),
        IdentifierError::NotAPatient => not_a_patient(),
        IdentifierError::SessionExpired => jhe_session_expired(),
        IdentifierError::Refused(_) => remedy(
            "The study's server did not take your hospital id",
            "It answered in a way that this page does not expect. So no record was sent now.",
            TELL_TEAM,
        ),
        IdentifierError::Transport(_) => jhe_unreachable(),
    }
}

fn of_source(error: &SourceError) -> Remedy {
    match error {
        SourceError::DataSourceMissing(_) => remedy(
            "This page is not set up yet",
            "The study's server does not know where to file your records: its data source is missing. No record was sent.",
            TELL_TEAM,
        ),
        SourceError::DataSourceUnknown(_) => remedy(
            "This page is not set up yet",
            "The data source in this page's configuration does not exist at the study's server. No record was sent.",
            TELL_TEAM,
        ),
        SourceError::NotAPatient(_) => not_a_patient(),
        SourceError::SessionExpired => jhe_session_expired(),
        SourceError::Refused(_) => remedy(
            "The study's server did not prepare a place for your records",
            "It answered in a way that this page does not expect. So no record was sent now.",
            TELL_TEAM,
        ),
        SourceError::Transport(_) => jhe_unreachable(),
    }
}

fn of_pull(error: &PullError) -> Remedy {
    let reason = match &error.reason {
        PageError::SignedOut => "@ has signed you out.",
        PageError::Forbidden(_) => {
            "@ does not allow this app to read these records; the scope may not be enabled there."
        }
        PageError::Busy(_) => "@ has too many visitors at the moment.",
        PageError::TooWide(_) | PageError::Refused(_) => {
            "@ did not accept the question for your records."
        }
        PageError::ServerError(_) => "@ has a problem of its own at the moment.",
        PageError::NotFhir(_) => "@ answered with something else than records.",
        PageError::CutOff => "The connection broke off in the middle of a page of records.",
        PageError::NextRefused(_) => "@ pointed to an address where your access must not be shown.",
        PageError::NextLoop => "@ kept sending the same page.",
        PageError::Transport(_) => "@ could not be reached.",
    };
    let missing = match error.page {
        1 => " None of your records could be fetched.".into(),
        page => [
            " ",
            KEPT,
            "Missing are your records from page ",
            &number(u64::from(page)),
            " on.",
        ]
        .concat(),
    };
    let next_step = match error.reason {
        // Waiting changes nothing.
        PageError::TooWide(_) => TELL_TEAM,
        _ => LATER,
    };
    remedy("Not all records could be fetched", "", next_step).explained([reason, &missing].concat())
}

fn of_browser(error: BrowserError) -> Remedy {
    match error {
        BrowserError::StorageBlocked => remedy(
            "Your browser blocks what this page needs",
            "The page has to remember your sign-in until you are back from the hospital, in this tab only. Your browser does \
             not allow it.",
            "Please allow site data (cookies) for this page in your browser's settings, or leave private mode, and open the \
             link in your invitation again.",
        ),
        BrowserError::Offline => remedy(
            "You are offline",
            "Your device has no connection to the internet at the moment. What arrived until now is kept.",
            "Please check your Wi-Fi or mobile data, and open the link in your invitation again.",
        ),
        BrowserError::InsecureContext => remedy(
            "This page was not opened securely",
            "Your browser shows no lock for this page, and so it can't protect your data.",
            "Please open the link in your invitation with https:// at its beginning. If it has none, tell your study team.",
        ),
        BrowserError::NoWebAssembly => remedy(
            "Your browser can't run this page",
            "It is too old, or a protection mode (such as Lockdown Mode) keeps it from running the program.",
            "Please open the link in your invitation with an up-to-date Chrome, Edge, Firefox or Safari, or allow this page in \
             the protection mode.",
        ),
        BrowserError::LoadFailed => remedy(
            "This page could not be loaded completely",
            "A part of it did not arrive. The connection may be bad, or the page is not installed completely.",
            "Please check your connection and reload the page. If it happens again, tell your study team.",
        ),
    }
}

fn not_a_patient() -> Remedy {
    remedy(
        "This login is not a participant's",
        "The invitation led to an account at the study's server that is no patient's.",
        TELL_TEAM,
    )
}

fn jhe_unreachable() -> Remedy {
    remedy(
        "The study's server did not answer",
        "Your connection may be bad, or the server is not available at the moment.",
        LATER,
    )
}

fn jhe_session_expired() -> Remedy {
    remedy(
        "Your session at the study has ended",
        "The study's server does not accept it any more. What arrived until then is kept.",
        RESTART,
    )
}

/// What the loader says before this program runs: code and texts.
pub fn loader_texts() -> [(&'static str, Remedy); 2] {
    [BrowserError::NoWebAssembly, BrowserError::LoadFailed]
        .map(|error| (error.code(), of_browser(error)))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::http::TransportError;
    use crate::import::Ending;
    use crate::import::progress::Tally;
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
            CallbackError::Interrupted.into(),
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
    fn every_remedy_is_filled_in_and_in_plain_words() {
        let portals = ["MyChart", "your hospital"];
        let of_both =
            |error: Error| portals.map(|portal| (Remedy::of(&error, portal), error.clone()));
        for (remedy, error) in some_of_each().into_iter().flat_map(of_both) {
            for text in [&*remedy.heading, &*remedy.explanation, remedy.next_step] {
                assert!(text.len() > 10, "{error}");
                assert!(!text.contains("  "), "{error}: {text}");
                for sentence in text.split(". ") {
                    let first = sentence.chars().next();
                    assert!(first.is_none_or(|first| !first.is_lowercase()), "{text}");
                }
                for jargon in ["OAuth", "token", "PKCE", "@", "HTTP"] {
                    assert!(!text.contains(jargon), "{error}: {text}");
                }
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
    fn hosts_and_missing_values_and_pages_are_named() {
        let errors = some_of_each();
        let texts = |index: usize| Remedy::of(&errors[index], "MyChart").explanation;
        assert!(texts(0).contains("iss, dataSourceId"));
        assert!(texts(1).contains("a:1") && texts(1).contains("b:2"));
        assert!(texts(23).contains("from page 3 on"));
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
            assert_eq!(Remedy::of(&error, "MyChart").heading, "You are offline");
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
        assert_eq!(Remedy::of(&denied, "MyChart").heading, "Nothing was shared");
    }
}
