//! Everything that can go wrong, one enum per phase, each case with a code that never changes its meaning.
//!
//! The code is for maintainers and for scripts, [`Error::detail`] for the study team, and
//! [`remedy`] has what the patient reads.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::config::ConfigError;
use crate::exchange::brands::BrandsError;
use crate::exchange::inventory::InventoryError;
use crate::exchange::invitation::{EnrolmentError, InvitationError, JheTokenError};
use crate::exchange::patient::IdentifierError;
use crate::exchange::source::SourceError;
use crate::fhir::pager::PageError;
use crate::http::TransportError;
use crate::import::{Ending, PullError, Stop};
use crate::language::Text;
use crate::oauth::authorization::{ResponseError, ServerError};
use crate::oauth::token::TokenError;
use crate::remedy::{self, Remedy};
use crate::session::StoreError;
use crate::smart::context::{ContextError, ForgedIdentity};
use crate::smart::discovery::DiscoveryError;
use crate::smart::launch::LaunchError;
use crate::text::{contains, listed, number};

/// Why a patient's connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The server's page configuration.
    Config(ConfigError),
    /// What only some of the pages do.
    Phase(Rc<dyn PhaseError>),
    /// The browser.
    Browser(BrowserError),
}

/// An error of a phase that not every page goes through.
///
/// It is asked for its words here, and not in a match over all errors: so each page's module has those words only that it may
/// have to say.
pub trait PhaseError {
    /// As [`Error::code`].
    fn code(&self) -> &'static str;
    /// As [`Error::detail`].
    fn detail(&self) -> String;
    /// What the patient reads.
    fn remedy(&self) -> Remedy;
    /// What became of the request, if that was it.
    fn transport(&self) -> Option<TransportError>;

    /// As [`Error::may_pass`].
    fn may_pass(&self) -> bool {
        false
    }

    /// As [`Error::is_patients_choice`].
    fn is_patients_choice(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn PhaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl PartialEq for dyn PhaseError {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code() && self.detail() == other.detail()
    }
}

impl Eq for dyn PhaseError {}

/// What can be wrong when the callback page opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackError {
    /// The answer can't be read, or does not finish the pending launch.
    Launch(LaunchError),
    /// There is no answer, and no run to tell of.
    NothingPending,
    /// Signed in again to go on, but as another patient.
    OtherPatient,
    /// The JHE token is not in this tab.
    NoJheSession,
}

/// The page was closed or reloaded while it imported, and its tokens are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// The same patient's records are being imported in another tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherTab;

/// Why the hospital gave no token for its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInError {
    /// Its answer.
    Token(TokenError),
    /// No readable answer. The code is not tried again: it is single use.
    Transport(TransportError),
}

/// What the browser does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrowserError {
    /// Session storage is denied.
    StorageBlocked,
    /// The device is offline.
    Offline,
    /// The page came over plain http from another machine.
    InsecureContext,
}

/// Why the program never ran. Only the script that loads it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoaderError {
    /// There is no WebAssembly, or it is forbidden.
    NoWebAssembly,
    /// The program's files could not be loaded.
    LoadFailed,
}

impl BrowserError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            BrowserError::StorageBlocked => "browser.storage_blocked",
            BrowserError::Offline => "browser.offline",
            BrowserError::InsecureContext => "browser.insecure_context",
        }
    }
}

/// What happened is told in so many characters at most.
const DETAIL: usize = 1_500;

impl Error {
    /// The stable code: `phase.case`.
    pub fn code(&self) -> &'static str {
        if self.is_offline() {
            return BrowserError::Offline.code();
        }
        match self {
            Error::Config(ConfigError::Missing(_)) => "config.missing",
            Error::Config(ConfigError::Malformed(_) | ConfigError::Plan(_)) => "config.malformed",
            Error::Config(ConfigError::Demo) => "config.demo_refused",
            Error::Phase(error) => error.code(),
            Error::Browser(error) => error.code(),
        }
    }

    /// What happened, in one line for the study team: *expected X, found Y*. Holds no secret; may quote a server's
    /// answer, so it is to be shown as text only.
    pub fn detail(&self) -> String {
        match self {
            Error::Config(ConfigError::Missing(names)) => {
                ["the page configuration lacks: ", &listed(names)].concat()
            }
            Error::Config(ConfigError::Malformed(what)) => {
                ["the page configuration can't be used: ", what].concat()
            }
            Error::Config(ConfigError::Plan(error)) => {
                ["the page configuration can't be used: ", error.as_str()].concat()
            }
            Error::Config(ConfigError::Demo) => {
                "demo (the test mode) goes with no live iss, clientId or dataSourceId, and only on its own pages"
                    .into()
            }
            // A server may say a megabyte.
            Error::Phase(error) => error.detail().chars().take(DETAIL).collect(),
            Error::Browser(error) => match error {
                BrowserError::StorageBlocked => "sessionStorage is denied or full",
                BrowserError::Offline => "navigator.onLine is false",
                BrowserError::InsecureContext => "not a secure context: serve the page over https",
            }
            .into(),
        }
    }

    /// Code and detail in one line.
    pub fn line(&self) -> String {
        [self.code(), ": ", &self.detail()].concat()
    }

    /// Is it, whatever the phase, that the device has no connection?
    pub fn is_offline(&self) -> bool {
        match self {
            Error::Config(_) => false,
            Error::Phase(error) => error.transport() == Some(TransportError::Offline),
            Error::Browser(error) => *error == BrowserError::Offline,
        }
    }

    /// May it be gone if the page is loaded again? The network or a server's trouble stood in the way of a step that may be
    /// repeated.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Phase(error) if error.may_pass())
    }

    /// Did the patient decide this? That is no failure.
    pub fn is_patients_choice(&self) -> bool {
        matches!(self, Error::Phase(error) if error.is_patients_choice())
    }
}

impl PhaseError for CallbackError {
    fn code(&self) -> &'static str {
        match self {
            CallbackError::Launch(LaunchError::Response(error)) => match error {
                ResponseError::Repeated(_)
                | ResponseError::CodeAndError
                | ResponseError::NoCode => "callback.malformed",
                ResponseError::NoState => "callback.no_state",
                ResponseError::UnknownState => "callback.unknown_state",
                ResponseError::OtherIssuer => "callback.other_issuer",
                ResponseError::Server(error) => match error.error.as_str() {
                    DENIED => "authorization.denied",
                    "invalid_scope" => "authorization.invalid_scope",
                    _ => "authorization.refused",
                },
            },
            CallbackError::Launch(LaunchError::Expired) => "callback.expired",
            CallbackError::Launch(LaunchError::Damaged) => "callback.unknown_state",
            CallbackError::NothingPending => "callback.nothing_pending",
            CallbackError::OtherPatient => "callback.other_patient",
            CallbackError::NoJheSession => "jhe.session_missing",
        }
    }

    fn detail(&self) -> String {
        match self {
            CallbackError::Launch(LaunchError::Response(error)) => match error {
                ResponseError::Repeated(name) => ["parameter appears twice: ", name].concat(),
                ResponseError::CodeAndError => "the answer holds both code and error".into(),
                ResponseError::NoCode => "the answer holds neither code nor error".into(),
                ResponseError::NoState => "the answer holds no state".into(),
                ResponseError::UnknownState => {
                    "the answer's state is not pending in this tab: begun elsewhere, or used already"
                        .into()
                }
                ResponseError::OtherIssuer => "the answer's iss is not the hospital's issuer".into(),
                ResponseError::Server(error) => error.describe(),
            },
            CallbackError::Launch(LaunchError::Expired) => "the sign-in was begun too long ago".into(),
            CallbackError::Launch(LaunchError::Damaged) => "the pending sign-in can't be read".into(),
            CallbackError::NothingPending => "the page was opened without an answer".into(),
            CallbackError::OtherPatient => {
                "the import was begun for another patient of the hospital than the one who signed in"
                    .into()
            }
            CallbackError::NoJheSession => "the JHE token is not in this tab's storage".into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_callback(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        None
    }

    fn is_patients_choice(&self) -> bool {
        matches!(
            self,
            CallbackError::Launch(LaunchError::Response(ResponseError::Server(
                ServerError { error, .. }
            ))) if error == DENIED
        )
    }
}

impl PhaseError for LoaderError {
    fn code(&self) -> &'static str {
        match self {
            LoaderError::NoWebAssembly => "browser.no_webassembly",
            LoaderError::LoadFailed => "browser.load_failed",
        }
    }

    fn detail(&self) -> String {
        match self {
            LoaderError::NoWebAssembly => {
                "WebAssembly is missing or forbidden (Content-Security-Policy: 'wasm-unsafe-eval')"
            }
            LoaderError::LoadFailed => "the program's files could not be loaded",
        }
        .into()
    }

    fn remedy(&self) -> Remedy {
        remedy::of_loader(*self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        None
    }
}

impl PhaseError for Interrupted {
    fn code(&self) -> &'static str {
        "callback.interrupted"
    }

    fn detail(&self) -> String {
        "the page was closed or reloaded while importing".into()
    }

    fn remedy(&self) -> Remedy {
        Text::Interrupted.into()
    }

    fn transport(&self) -> Option<TransportError> {
        None
    }
}

impl PhaseError for OtherTab {
    fn code(&self) -> &'static str {
        "callback.other_tab"
    }

    fn detail(&self) -> String {
        "another tab of this browser holds the lock of this import".into()
    }

    fn remedy(&self) -> Remedy {
        Text::OtherTab.into()
    }

    fn transport(&self) -> Option<TransportError> {
        None
    }

    fn may_pass(&self) -> bool {
        true
    }
}

/// The patient said no (RFC 6749 §4.1.2.1).
const DENIED: &str = "access_denied";

impl PhaseError for SignInError {
    fn code(&self) -> &'static str {
        match self {
            SignInError::Transport(_) => "sign_in.unreachable",
            SignInError::Token(TokenError::Malformed(_)) => "sign_in.malformed",
            SignInError::Token(error) => match error.error() {
                "invalid_scope" => "sign_in.invalid_scope",
                _ => "sign_in.refused",
            },
        }
    }

    fn detail(&self) -> String {
        match self {
            SignInError::Token(error) => error.detail(),
            SignInError::Transport(error) => error.detail().into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_sign_in(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            SignInError::Transport(error) => Some(*error),
            SignInError::Token(_) => None,
        }
    }
}

impl PhaseError for ContextError {
    fn code(&self) -> &'static str {
        match self {
            ContextError::NoPatient => "sign_in.no_patient",
            ContextError::NotGranted(_) => "sign_in.no_observation_scope",
        }
    }

    fn detail(&self) -> String {
        match self {
            ContextError::NoPatient => {
                "expected `patient` in the token response; is launch/patient in the scope?".into()
            }
            ContextError::NotGranted(granted) => [
                "expected a scope for a type that is pulled, granted: ",
                granted,
            ]
            .concat(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_context(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        None
    }
}

impl PhaseError for ForgedIdentity {
    fn code(&self) -> &'static str {
        "sign_in.forged_identity"
    }

    fn detail(&self) -> String {
        ["the id_token is not of this sign-in: ", &self.0].concat()
    }

    fn remedy(&self) -> Remedy {
        Text::IdentityForged.into()
    }

    fn transport(&self) -> Option<TransportError> {
        None
    }
}

impl PhaseError for IdentifierError {
    fn code(&self) -> &'static str {
        match self {
            IdentifierError::Conflict => "identifier.conflict",
            IdentifierError::NotAPatient => "identifier.not_a_patient",
            IdentifierError::SessionExpired => "jhe.session_expired",
            IdentifierError::Refused(_) => "identifier.refused",
            IdentifierError::Transport(_) => "identifier.unreachable",
        }
    }

    fn detail(&self) -> String {
        match self {
            IdentifierError::Conflict => "in JHE the identifier belongs to another patient".into(),
            IdentifierError::NotAPatient => "the JHE token is not a patient's".into(),
            IdentifierError::SessionExpired => JHE_401.into(),
            IdentifierError::Refused(said) => said.clone(),
            IdentifierError::Transport(error) => error.detail().into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_identifier(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            IdentifierError::Transport(error) => Some(*error),
            _ => None,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            IdentifierError::Transport(_) => true,
            IdentifierError::Refused(said) => is_trouble(said),
            _ => false,
        }
    }
}

impl PhaseError for SourceError {
    fn code(&self) -> &'static str {
        match self {
            SourceError::DataSourceMissing(_) => "source.data_source_missing",
            SourceError::DataSourceUnknown(_) => "source.data_source_unknown",
            SourceError::NotAPatient(_) => "source.not_a_patient",
            SourceError::SessionExpired => "jhe.session_expired",
            SourceError::Refused(_) => "source.refused",
            SourceError::Transport(_) => "source.unreachable",
        }
    }

    fn detail(&self) -> String {
        match self {
            SourceError::DataSourceMissing(said)
            | SourceError::DataSourceUnknown(said)
            | SourceError::NotAPatient(said)
            | SourceError::Refused(said) => said.clone(),
            SourceError::SessionExpired => JHE_401.into(),
            SourceError::Transport(error) => error.detail().into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_source(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            SourceError::Transport(error) => Some(*error),
            _ => None,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            SourceError::Transport(_) => true,
            SourceError::Refused(said) => is_trouble(said),
            _ => false,
        }
    }
}

/// Is this answer one of a server that has trouble, or too much to do?
fn is_trouble(said: &str) -> bool {
    said.starts_with("HTTP 5") || said.starts_with("HTTP 429")
}

impl PhaseError for InventoryError {
    fn code(&self) -> &'static str {
        match self {
            InventoryError::SessionExpired => "jhe.session_expired",
            InventoryError::Failing(_) | InventoryError::Refused(_) => "inventory.refused",
            InventoryError::Transport(_) => "inventory.unreachable",
        }
    }

    fn detail(&self) -> String {
        match self {
            InventoryError::SessionExpired => JHE_401.into(),
            InventoryError::Failing(said) | InventoryError::Refused(said) => said.clone(),
            InventoryError::Transport(error) => error.detail().into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_inventory(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            InventoryError::Transport(error) => Some(*error),
            _ => None,
        }
    }
}

impl PhaseError for PullError {
    fn code(&self) -> &'static str {
        self.reason.code()
    }

    fn detail(&self) -> String {
        let page = number(u64::from(self.page));
        ["page ", &page, ": ", &pull_detail(&self.reason)].concat()
    }

    fn remedy(&self) -> Remedy {
        remedy::of_pull(&self.reason).into()
    }

    fn transport(&self) -> Option<TransportError> {
        match &self.reason {
            PageError::Transport(error) => Some(*error),
            _ => None,
        }
    }
}

impl PhaseError for Stop {
    fn code(&self) -> &'static str {
        match self {
            Stop::JheSessionExpired => "jhe.session_expired",
            Stop::JheUnreachable(_) => "jhe.unreachable",
            Stop::JheFailing(_) => "jhe.failing",
            Stop::NotChecked(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Stop::JheSessionExpired => JHE_401.into(),
            Stop::JheUnreachable(error) => ["writing to JHE: ", error.detail()].concat(),
            Stop::JheFailing(said) => ["writing to JHE: ", said].concat(),
            Stop::NotChecked(error) => error.detail(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_stop(self).into()
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            Stop::JheUnreachable(error) => Some(*error),
            Stop::NotChecked(error) => error.transport(),
            _ => None,
        }
    }
}

impl PhaseError for EnrolmentError {
    fn code(&self) -> &'static str {
        match self {
            EnrolmentError::Invitation(error) => match error {
                InvitationError::Missing => "invitation.missing",
                InvitationError::Malformed => "invitation.malformed",
                InvitationError::OtherHost { .. } => "invitation.other_host",
                InvitationError::Unknown => "invitation.unknown",
                InvitationError::Used => "invitation.used",
                InvitationError::Expired => "invitation.expired",
                InvitationError::Cancelled => "invitation.cancelled",
                InvitationError::NoLogin(_) => "invitation.no_login",
                InvitationError::Refused(_) => "invitation.refused",
                InvitationError::Transport(_) => "invitation.unreachable",
            },
            EnrolmentError::Token(error) => match error {
                JheTokenError::Transport(_) => "jhe_token.unreachable",
                JheTokenError::Token(TokenError::Malformed(_)) => "jhe_token.malformed",
                JheTokenError::Token(error) => match JheRefusal::of(error) {
                    JheRefusal::Superseded => "jhe_token.invalid_grant",
                    JheRefusal::RedirectMismatch => "jhe_token.redirect_mismatch",
                    JheRefusal::InvalidClient => "jhe_token.invalid_client",
                    JheRefusal::Other => "jhe_token.refused",
                },
            },
        }
    }

    fn detail(&self) -> String {
        match self {
            EnrolmentError::Invitation(error) => match error {
                InvitationError::Missing => "no invitation code in the page's address".into(),
                InvitationError::Malformed => {
                    "expected code=<host>_<token> with a token of 32 letters and digits".into()
                }
                InvitationError::OtherHost { invitation, page } => [
                    "the invitation is for ",
                    invitation,
                    ", this page is served by ",
                    page,
                ]
                .concat(),
                InvitationError::Unknown => "JHE does not know the invitation (HTTP 404)".into(),
                InvitationError::Used => {
                    "redeemed more than 12 hours ago, or replaced by a newer one (HTTP 409)".into()
                }
                InvitationError::Expired => "the invitation has expired (HTTP 410)".into(),
                InvitationError::Cancelled => "the invitation was cancelled (HTTP 403)".into(),
                InvitationError::NoLogin(said) | InvitationError::Refused(said) => said.clone(),
                InvitationError::Transport(error) => error.detail().into(),
            },
            EnrolmentError::Token(JheTokenError::Token(error)) => error.detail(),
            EnrolmentError::Token(JheTokenError::Transport(error)) => error.detail().into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_enrolment(self)
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            EnrolmentError::Invitation(InvitationError::Transport(error))
            | EnrolmentError::Token(JheTokenError::Transport(error)) => Some(*error),
            _ => None,
        }
    }
}

impl PhaseError for BrandsError {
    fn code(&self) -> &'static str {
        match self {
            BrandsError::SessionExpired => "jhe.session_expired",
            BrandsError::Refused(_) => "brands.refused",
            BrandsError::Transport(_) => "brands.unreachable",
        }
    }

    fn detail(&self) -> String {
        match self {
            BrandsError::SessionExpired => JHE_401.into(),
            BrandsError::Refused(said) => said.clone(),
            BrandsError::Transport(error) => error.detail().into(),
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_brands(self)
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            BrandsError::Transport(error) => Some(*error),
            _ => None,
        }
    }
}

impl PhaseError for DiscoveryError {
    fn code(&self) -> &'static str {
        match self {
            DiscoveryError::InsecureIssuer(_) => "discovery.insecure_issuer",
            DiscoveryError::Transport(_) => "discovery.unreachable",
            DiscoveryError::NotFound => "discovery.not_found",
            DiscoveryError::Refused(_) => "discovery.refused",
            DiscoveryError::NotJson(_) => "discovery.not_json",
            DiscoveryError::Incomplete(_) => "discovery.incomplete",
            DiscoveryError::InsecureEndpoint(_) => "discovery.insecure_endpoint",
            DiscoveryError::NoS256(_) => "discovery.no_s256",
            DiscoveryError::NotReadable => "discovery.not_readable",
        }
    }

    fn detail(&self) -> String {
        match self {
            DiscoveryError::InsecureIssuer(text) => {
                ["expected an https URL, found ", text].concat()
            }
            DiscoveryError::Transport(error) => error.detail().into(),
            DiscoveryError::NotFound => {
                "neither .well-known/smart-configuration nor metadata has the endpoints (HTTP 404)"
                    .into()
            }
            DiscoveryError::Refused(said) => said.clone(),
            DiscoveryError::NotJson(content_type) => {
                ["expected a JSON object, found ", content_type].concat()
            }
            DiscoveryError::Incomplete(name) => ["the discovery document lacks ", name].concat(),
            DiscoveryError::InsecureEndpoint(name) => ["expected an https URL as ", name].concat(),
            DiscoveryError::NoS256(methods) => [
                "expected S256 among code_challenge_methods_supported, found ",
                methods,
            ]
            .concat(),
            DiscoveryError::NotReadable => {
                "discovery worked, but GET metadata gave no readable answer: CORS on the FHIR server?"
                    .into()
            }
        }
    }

    fn remedy(&self) -> Remedy {
        remedy::of_discovery(self)
    }

    fn transport(&self) -> Option<TransportError> {
        match self {
            DiscoveryError::Transport(error) => Some(*error),
            _ => None,
        }
    }
}

impl Ending {
    /// What ended a run early, each once: a device that goes offline ends the reading and the writing.
    pub fn errors(&self) -> [Option<Error>; 2] {
        let pull = self.pull_error().cloned().map(Error::from);
        let stop = self.stop.clone().map(Error::from);
        match (&pull, &stop) {
            (Some(pull_error), Some(stop)) if pull_error.code() == stop.code() => [pull, None],
            _ => [pull, stop],
        }
    }
}

impl Ending {
    /// All that ended early, in lines for the study team: `Labs: pull.busy: page 2: HTTP 429`.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (label, error) in &self.pull_errors {
            let line = Error::from(error.clone()).line();
            lines.push([label, ": ", &line].concat());
        }
        lines.extend(self.stop.clone().map(|stop| Error::from(stop).line()));
        lines
    }

    /// The code of what ended it early, or of the first of what did.
    pub fn code(&self) -> Option<&'static str> {
        let mut told = self.errors().into_iter().flatten();
        let first = || Some(self.pull_errors.first()?.1.reason.code());
        told.next().map(|error| error.code()).or_else(first)
    }
}

const JHE_401: &str = "JHE answered 401: its token is expired or revoked";

fn pull_detail(reason: &PageError) -> String {
    match reason {
        PageError::SignedOut => "the EHR answered 401: its token is over".into(),
        PageError::Forbidden(said)
        | PageError::Busy(said)
        | PageError::TooWide(said)
        | PageError::Refused(said)
        | PageError::ServerError(said) => said.clone(),
        PageError::NotFhir(content_type) => {
            ["expected a FHIR Bundle, found ", content_type].concat()
        }
        PageError::CutOff => "the page broke off".into(),
        PageError::TooLong => TransportError::TooLong.detail().into(),
        PageError::NextRefused(link) => {
            ["the next link leads out of the FHIR base: ", link].concat()
        }
        PageError::NextLoop => "the next link leads to a page that was read already".into(),
        PageError::Transport(error) => error.detail().to_owned(),
    }
}

/// JHE's refusals at its token endpoint that call for different people.
pub(crate) enum JheRefusal {
    /// The code is unknown: used, superseded or too old.
    Superseded,
    /// JHE's registration of this client lacks the grant's redirect URI.
    RedirectMismatch,
    /// JHE's registration of this client is missing.
    InvalidClient,
    /// Something else.
    Other,
}

impl JheRefusal {
    pub(crate) fn of(error: &TokenError) -> Self {
        match error {
            TokenError::Refused(refusal) => match refusal.error.as_str() {
                "invalid_grant" => JheRefusal::Superseded,
                "invalid_client" => JheRefusal::InvalidClient,
                "invalid_request" if contains(&refusal.description, "redirect") => {
                    JheRefusal::RedirectMismatch
                }
                _ => JheRefusal::Other,
            },
            TokenError::Failed(_) | TokenError::Malformed(_) => JheRefusal::Other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl core::error::Error for Error {}

/// An error on its way through the pages, behind a pointer: they check for one at every step.
#[derive(Debug)]
pub struct Failure(pub Box<Error>);

impl<E> From<E> for Failure
where
    Error: From<E>,
{
    #[inline(never)]
    fn from(error: E) -> Self {
        Failure(Box::new(error.into()))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Error::Config(error)
    }
}

impl From<BrowserError> for Error {
    fn from(error: BrowserError) -> Self {
        Error::Browser(error)
    }
}

macro_rules! phases {
    ($($phase:ty),* $(,)?) => {$(
        impl From<$phase> for Error {
            // Not inlined: it stands at every step of the pages.
            #[inline(never)]
            fn from(error: $phase) -> Self {
                Error::Phase(Rc::new(error))
            }
        }
    )*};
}

phases! {
    EnrolmentError,
    BrandsError,
    DiscoveryError,
    CallbackError,
    LoaderError,
    Interrupted,
    OtherTab,
    SignInError,
    ContextError,
    ForgedIdentity,
    IdentifierError,
    SourceError,
    InventoryError,
    PullError,
    Stop,
}

impl From<InvitationError> for Error {
    fn from(error: InvitationError) -> Self {
        EnrolmentError::Invitation(error).into()
    }
}

impl From<LaunchError> for Error {
    fn from(error: LaunchError) -> Self {
        CallbackError::Launch(error).into()
    }
}

impl From<ResponseError> for Error {
    fn from(error: ResponseError) -> Self {
        LaunchError::Response(error).into()
    }
}

impl From<StoreError> for Error {
    fn from(_: StoreError) -> Self {
        Error::Browser(BrowserError::StorageBlocked)
    }
}
