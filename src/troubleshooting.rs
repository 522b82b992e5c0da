//! What each error code means for a study team, and what to do about it: the source of `docs/troubleshooting.md`.
//!
//! What the patient reads is not repeated here, it comes from [`crate::remedy`]. A row begins with an example of its error,
//! which gives it its code and the patient's text; a test holds the rows against all codes that the sources have. No
//! module that patients load has any of it.

use alloc::vec::Vec;

use crate::config::ConfigError;
use crate::error::{
    BrowserError, CallbackError, Error, Interrupted, LoaderError, OtherTab, SignInError,
};
use crate::exchange::brands::BrandsError;
use crate::exchange::inventory::InventoryError;
use crate::exchange::invitation::{EnrolmentError, InvitationError, JheTokenError};
use crate::exchange::patient::IdentifierError;
use crate::exchange::source::SourceError;
use crate::fhir::pager::PageError;
use crate::http::TransportError;
use crate::import::{PullError, Stop};
use crate::language::{Message, Text};
use crate::oauth::authorization::{ResponseError, ServerError};
use crate::oauth::token::TokenError;
use crate::remedy::Remedy;
use crate::screens;
use crate::smart::context::{ContextError, ForgedIdentity};
use crate::smart::discovery::DiscoveryError;
use crate::smart::launch::LaunchError;

/// What is to be known about one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The code: `phase.case`.
    pub code: &'static str,
    /// What the patient reads. Empty where a code is never shown to one.
    pub patient_reads: Vec<Message>,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub action: &'static str,
}

/// What the phases are about, in the order of the journey.
pub const PHASES: &[(&str, &str)] = &[
    ("browser", "The browser"),
    ("config", "The page configuration"),
    ("embed", "The page around"),
    ("invitation", "The invitation"),
    ("jhe_token", "JHE's sign-in"),
    ("brands", "The list of hospitals"),
    ("discovery", "What the hospital says about its sign-in"),
    ("authorization", "The sign-in at the hospital"),
    ("callback", "The way back"),
    ("sign_in", "The hospital's token"),
    ("identifier", "The patient's identifier in JHE"),
    ("source", "The source in JHE"),
    ("inventory", "What JHE holds already"),
    ("pull", "Reading from the hospital"),
    ("jhe", "Writing to JHE"),
];

/// The row for an error like `example`.
fn row(example: impl Into<Error>, meaning: &'static str, action: &'static str) -> Advice {
    let error = example.into();
    let Remedy {
        heading,
        explanation,
        next_step,
    } = Remedy::of(&error);
    Advice {
        code: error.code(),
        patient_reads: [heading, explanation, next_step].into(),
        meaning,
        action,
    }
}

/// The three sentences of a text that is a remedy.
fn remedy_of(text: Text) -> [Message; 3] {
    let Remedy {
        heading,
        explanation,
        next_step,
    } = text.into();
    [heading, explanation, next_step]
}

/// The row for a code that is no [`Error`], with what the patient reads.
fn told(
    code: &'static str,
    patient_reads: impl IntoIterator<Item = Message>,
    meaning: &'static str,
    action: &'static str,
) -> Advice {
    Advice {
        code,
        patient_reads: patient_reads.into_iter().collect(),
        meaning,
        action,
    }
}

fn refused(error: &str, description: &str) -> TokenError {
    TokenError::Refused(server(error, description))
}

fn server(error: &str, description: &str) -> ServerError {
    ServerError {
        error: error.into(),
        description: description.into(),
    }
}

fn page(reason: PageError) -> PullError {
    PullError { page: 1, reason }
}

/// All rows, phase by phase.
pub fn advice() -> Vec<Advice> {
    let none = TransportError::Unreachable;
    let phases = [
        browser_and_configuration(),
        enrolment(none),
        hospital(none),
        way_back(none),
        before_the_import(none),
        reading(none),
        writing(none),
    ];
    phases.into_iter().flatten().collect()
}

fn browser_and_configuration() -> Vec<Advice> {
    [
        row(
            BrowserError::InsecureContext,
            "The page was opened over plain http from another machine. Browsers give such a page no cryptography.",
            "Serve the page over https, and make JHE's site URL begin with `https://`, so that invitation links do. \
             Only `localhost` works without.",
        ),
        row(
            LoaderError::NoWebAssembly,
            "The browser can't run WebAssembly, or may not: it is too old, in a protection mode (Lockdown Mode), or the \
             page's Content-Security-Policy forbids it. The console says which.",
            "If it happens to everybody, add `'wasm-unsafe-eval'` to `script-src`. If it happens to one patient, ask for \
             another browser.",
        ),
        row(
            LoaderError::LoadFailed,
            "A file of the program did not arrive, or has a type that browsers refuse. The console names it.",
            "Open that address: 404 means that `wasm/<hash>/` was not copied whole, not collected, or that JHE was not \
             restarted. A `.js` file needs a JavaScript type. After an update, keep the folder of the previous hash for \
             a day.",
        ),
        row(
            BrowserError::StorageBlocked,
            "The browser denies the page its `sessionStorage`, or has no room in it.",
            "The patient allows cookies and site data for the page, or leaves private mode. Nothing can be changed at \
             the server.",
        ),
        row(
            BrowserError::Offline,
            "The device has no connection.",
            "Nothing. Opening the link again goes on.",
        ),
        row(
            ConfigError::Missing(["iss"].into()),
            "JHE's client, or the block in the plain page, lacks a value. The details name it.",
            "Fill it in: FHIR base (`iss`), client id and scopes in JHE's client; `dataSourceId` is there if JHE has the \
             client's DataSource (JHE's seed makes it).",
        ),
        row(
            ConfigError::Malformed("plan"),
            "A value of the page configuration can't be used. The details name it, and for a `plan` the row.",
            "Compare it with the table in [hosting.md](hosting.md#configuration). The configuration of plain pages is \
             JSON: no comments, no comma at the end. `jheBase` must be on the page's own origin.",
        ),
        told(
            "embed.already_open",
            remedy_of(Text::AlreadyOpen),
            "A second element was opened on a page where one is under way. The first one goes on.",
            "Put one element on a page.",
        ),
        told(
            "embed.removed",
            [],
            "The page around took the element away before the journey had ended. Only that page is told \
             (`jhe-connect:cancelled`).",
            "Nothing, if the page means to. A framework that makes the element anew at every change should keep it.",
        ),
        told(
            "embed.superseded",
            [],
            "Another invitation, or one for another `caller`, was opened in the same tab. Only the page around is told \
             (`jhe-connect:cancelled`).",
            "Nothing.",
        ),
        row(
            ConfigError::Demo,
            "`demo` is in the configuration of a live page. The test mode never runs beside a real JHE or hospital.",
            "Take `demo` out. The [test mode](test-mode.md) has pages of its own, without `iss`, `clientId` and `dataSourceId`.",
        ),
    ]
    .into()
}

fn enrolment(none: TransportError) -> Vec<Advice> {
    let token = |error, description| {
        EnrolmentError::Token(JheTokenError::Token(refused(error, description)))
    };
    [
        row(
            InvitationError::Missing,
            "The page was opened without `?code=…`: from a bookmark, by hand, or by a link that lost its end.",
            "Send the whole link. If every link lacks it, the invitation URL of JHE's client lacks the word `CODE`.",
        ),
        row(
            InvitationError::Malformed,
            "The code is not `<host>_<token>` with a token of 32 letters and digits. Often a mail program broke the link.",
            "Compare the address bar with the link as JHE gave it; send it again, in one line.",
        ),
        row(
            InvitationError::OtherHost {
                invitation: "jhe.example".into(),
                page: "www.jhe.example".into(),
            },
            "The invitation carries the host of JHE's site URL, and the page is served by another one (port included). \
             Nothing is sent to a host that only a link names.",
            "Set JHE's site URL (`site.url`) to the address that patients use, then make a new link: older ones keep the \
             host that they were made with.",
        ),
        row(
            InvitationError::Unknown,
            "JHE has no such invitation (404).",
            "Make a new one. If that fails too, the link leads to another JHE (a test server?) than the one that made it.",
        ),
        row(
            InvitationError::Used,
            "It was redeemed more than 12 hours ago, or a newer one for the same patient and client replaced it (409).",
            "Make a new invitation, and send only that one.",
        ),
        row(
            InvitationError::Expired,
            "Nobody opened it within JHE's limit, by default 7 days (410).",
            "Make a new invitation.",
        ),
        row(
            InvitationError::Cancelled,
            "Somebody cancelled it in JHE (403).",
            "Make a new invitation, if the patient is still to take part.",
        ),
        row(
            InvitationError::NoLogin("HTTP 400".into()),
            "The patient's record in JHE has no user account.",
            "Give it one in JHE, then make a new invitation.",
        ),
        row(
            InvitationError::Refused("HTTP 500".into()),
            "JHE answered the invitation in a way that the page does not know. Its answer is in the details.",
            "Look for that request in JHE's log.",
        ),
        row(
            InvitationError::Transport(none),
            "JHE gave the page no readable answer.",
            "Is JHE up? Does a proxy in front of it answer instead?",
        ),
        row(
            EnrolmentError::Token(JheTokenError::Transport(none)),
            "JHE's token endpoint (`/o/token/`) gave the page no readable answer.",
            "Is JHE up? Does a proxy redirect the address, for instance to one without the slash at its end?",
        ),
        row(
            EnrolmentError::Token(JheTokenError::Token(TokenError::Malformed("no token"))),
            "JHE's token endpoint answered with a success that holds no token.",
            "Open the network panel: does a proxy or a login page answer in JHE's place?",
        ),
        row(
            token("invalid_grant", ""),
            "JHE does not know the grant of the invitation any more: it was redeemed twice at once, or waited for more than \
             a minute. The page tried a second time by itself.",
            "Ask the patient to close all tabs of the invitation, and to open the link in one. If it happens to everybody, \
             compare the clocks of JHE's servers.",
        ),
        row(
            token("invalid_request", "Mismatching redirect URI."),
            "JHE's registration of this client (its OAuth application) does not list the redirect URI of the grant.",
            "Add `<site URL>/auth/callback` to the redirect URIs of that application in JHE, or run JHE's seed again. It is \
             not the redirect URI that the hospital knows.",
        ),
        row(
            token("invalid_client", ""),
            "JHE does not know the OAuth application of this client.",
            "Look whether it was deleted or replaced in JHE; JHE's seed makes it.",
        ),
        row(
            token("unsupported_grant_type", ""),
            "JHE refused the sign-in for another reason. Its answer is in the details.",
            "Look for `POST /o/token/` in JHE's log. A missing OIDC signing key shows as a 500 there.",
        ),
        row(
            BrandsError::Refused("HTTP 500".into()),
            "JHE did not give the list of hospitals. The message stands where the list would be, with a button to try \
             again, and not in `data-jhe-connect-code`.",
            "Look for `GET /api/v1/…/brands` in JHE's log.",
        ),
        row(
            BrandsError::Transport(none),
            "The list of hospitals did not arrive. The message stands where the list would be, with a button to try again.",
            "Is JHE up? The button asks again.",
        ),
    ]
    .into()
}

fn hospital(none: TransportError) -> Vec<Advice> {
    [
        row(
            DiscoveryError::Transport(none),
            "No readable answer from `<iss>/.well-known/smart-configuration`: the server is down, the address is wrong, the \
             hospital allows no browser to read it (CORS), or the page's own policy forbids the request.",
            "Open that address in a browser tab. If it shows JSON there, look at the console: a violation of `connect-src` \
             is yours to mend, a missing `Access-Control-Allow-Origin` the hospital's.",
        ),
        row(
            DiscoveryError::NotReadable,
            "The hospital says how to sign in, but its FHIR server lets no page read it. The patient would have signed in for \
             nothing, so the page stopped before.",
            "Open `<iss>/metadata`. The hospital has to allow the page's origin at its FHIR server (CORS), for `GET` with \
             `Authorization`. The page's `connect-src` must name that server, too.",
        ),
        row(
            DiscoveryError::NotFound,
            "There is neither a SMART configuration nor a CapabilityStatement with OAuth addresses below the FHIR base.",
            "Check `iss`, or the address of the hospital in JHE's list: it is the base of the FHIR R4 server, for patients \
             (Oracle Health has another one for staff).",
        ),
        row(
            DiscoveryError::Refused("HTTP 503".into()),
            "The hospital answered the question about its sign-in with an error, which is in the details.",
            "Try again later. If it stays, ask the hospital.",
        ),
        row(
            DiscoveryError::NotJson("text/html".into()),
            "Something else than JSON came, often a web page of a proxy or of a portal.",
            "Check `iss`: it is the address of the FHIR server, not of the portal.",
        ),
        row(
            DiscoveryError::Incomplete("token_endpoint"),
            "The hospital's document lacks an address that a sign-in needs. The details name it.",
            "Tell the hospital. Its patient-facing FHIR base may be another one.",
        ),
        row(
            DiscoveryError::InsecureIssuer("http://ehr.example".into()),
            "The FHIR base does not begin with `https://`.",
            "Correct `iss`, or the hospital's address in JHE's list.",
        ),
        row(
            DiscoveryError::InsecureEndpoint("token_endpoint"),
            "An address in the hospital's document does not begin with `https://`. Nobody is sent there.",
            "Tell the hospital: only they can mend it.",
        ),
        row(
            DiscoveryError::NoS256("plain".into()),
            "The hospital says which PKCE methods it takes, and S256 is not among them.",
            "Tell the hospital: SMART App Launch 2 asks for S256.",
        ),
        row(
            CallbackError::Launch(LaunchError::Response(ResponseError::Server(server(
                "access_denied",
                "",
            )))),
            "The patient said no at the hospital. It is no failure, and it is not logged.",
            "Nothing. The same link works again if they change their mind.",
        ),
        row(
            CallbackError::Launch(LaunchError::Response(ResponseError::Server(server(
                "invalid_scope",
                "",
            )))),
            "The hospital refuses a scope that was asked for.",
            "Enable the type behind it at the app's registration ([Epic](register-epic.md#3-choose-the-incoming-apis), \
             [others](register-others.md)), or take the scope out of the configuration. Oracle Health also says so for the \
             other syntax (`.read` or `.rs`) than the one that the app was registered with.",
        ),
        row(
            CallbackError::Launch(LaunchError::Response(ResponseError::Server(server(
                "server_error",
                "",
            )))),
            "The hospital ended the sign-in with an error, which is in the details word for word.",
            "Look at client id and redirect URI of the app; show the hospital the words.",
        ),
        told(
            screens::ERROR_PAGE,
            [Text::ErrorPageHeading, Text::ErrorPageLead, Text::ErrorPageDo].map(Message::from),
            "The patient came back without an answer and says that the hospital showed an error page of its own (with Epic: \
             \"The request is invalid\", `error=4`). It is what the patient says; the page can't see it.",
            "Compare the redirect URI [byte for byte](hosting.md#the-redirect-uri-byte-for-byte), and the client id with the \
             app that lists it (test or production?). Is the app active at that organization? A new entry at Epic may take \
             hours to arrive.",
        ),
    ]
    .into()
}

fn way_back(none: TransportError) -> Vec<Advice> {
    let response = |error| CallbackError::Launch(LaunchError::Response(error));
    [
        row(
            response(ResponseError::NoCode),
            "What came back is no answer to a sign-in: a parameter is there twice, or code and error together, or neither.",
            "If it happens again with the same hospital, show them the address (without the code).",
        ),
        row(
            response(ResponseError::NoState),
            "The answer does not say which sign-in it belongs to. It is not used.",
            "If it happens again, tell the hospital: RFC 6749 makes them send `state` back.",
        ),
        row(
            response(ResponseError::UnknownState),
            "The answer belongs to a sign-in that was not begun in this tab, or that was answered already: another tab or \
             browser, Back, or a reload.",
            "Ask the patient to open the link again and to stay in one tab. A portal's app on the phone that takes over the \
             sign-in may come back in another browser.",
        ),
        row(
            response(ResponseError::OtherIssuer),
            "The answer names another authorization server than the one that was asked (RFC 9207). It is not used.",
            "If it happens again with the same hospital, tell them: `issuer` in their document and `iss` in the answer differ.",
        ),
        row(
            CallbackError::Launch(LaunchError::Expired),
            "More than half an hour passed between leaving for the hospital and coming back.",
            "Nothing. The patient opens the link again.",
        ),
        row(
            CallbackError::NothingPending,
            "The callback page was opened by itself, and there is no finished import in this tab to tell of.",
            "Nothing, unless a link of yours leads there: patients start at the invitation link.",
        ),
        row(
            Interrupted,
            "The page was closed or reloaded when its tokens were gone already.",
            "Nothing. Opening the link again sends what is missing.",
        ),
        row(
            OtherTab,
            "The same patient's import goes on in another tab of this browser. Two at once would write records twice.",
            "Nothing. The other tab finishes, or a reload takes over once it is closed.",
        ),
        row(
            CallbackError::OtherPatient,
            "To go on, somebody else signed in at the hospital than at first. Nothing of theirs was sent.",
            "Talk to the patient: whose login was it? (Parents may have several children's records.)",
        ),
        row(
            SignInError::Token(TokenError::Malformed("no access_token")),
            "The hospital's token endpoint answered with a success that holds no token.",
            "Show the hospital the details.",
        ),
        row(
            SignInError::Token(refused("invalid_scope", "")),
            "The hospital refuses a scope, and says so only now.",
            "As for `authorization.invalid_scope`.",
        ),
        row(
            SignInError::Token(refused("invalid_grant", "")),
            "The hospital did not take the code. Its answer is in the details.",
            "`invalid_grant`: the code waited too long, or the redirect URI differs. `invalid_client` or `invalid_request`: the app is not known \
             there (yet), or it is registered as confidential: it [must be a public client](register-others.md#why-a-public-client).",
        ),
        row(
            SignInError::Transport(none),
            "The hospital's token endpoint gave the page no readable answer. A code is never sent twice.",
            "Its CORS may lack the page's origin; `connect-src` of your policy must name its origin, which may be another one \
             than the FHIR base's.",
        ),
        row(
            ForgedIdentity("its iss is not the hospital's issuer".into()),
            "The hospital's `id_token` says something else than what is known of this sign-in: signed with another key than the hospital's, \
             issued by or for somebody else, of another sign-in (`nonce`), or not signed at all. The details say which. OpenID Connect wants such a \
             sign-in refused, and so nothing of it is used.",
            "Once: nothing, the patient signs in again. Each time at one hospital: show it the details. `iss` in the token must be `issuer` in its \
             `.well-known/smart-configuration`, letter by letter, and its signature that of a key at `jwks_uri`. Until it is mended, patients can go on \
             with a scope without `openid` and `fhirUser`: the hospital then sends no such token, and nobody is told when they signed in for somebody else.",
        ),
        row(
            ContextError::NoPatient,
            "The hospital let the patient in, but did not say which record is theirs.",
            "Add `launch/patient` to the scope, and enable it at the app's registration.",
        ),
        row(
            ContextError::NotGranted("openid".into()),
            "None of the types that are pulled was granted: the patient unticked them, or the app may not ask for them. The \
             details have the granted scope.",
            "If it happens to everybody, enable the types at the app's registration; Epic leaves out in silence what is not.",
        ),
    ]
    .into()
}

fn before_the_import(none: TransportError) -> Vec<Advice> {
    [
        row(
            IdentifierError::Conflict,
            "The patient's id at the hospital is attached to another patient in JHE. No record was sent.",
            "Find out whose login it was. If JHE has the person twice, join the two, or remove the identifier from the wrong \
             one; then the link works again.",
        ),
        row(
            IdentifierError::NotAPatient,
            "The invitation led to an account in JHE that is no patient's.",
            "Make the invitation for the patient's own record.",
        ),
        row(
            IdentifierError::Refused("HTTP 500".into()),
            "JHE did not take the patient's id at the hospital. Its answer is in the details.",
            "Look for `POST /api/v1/…/identifier` in JHE's log. A 404 there: the page is of another client or version of \
             JHE than the drop-in was made for.",
        ),
        row(
            IdentifierError::Transport(none),
            "JHE gave the page no readable answer when it was to take the identifier.",
            "Is JHE up? A reload tries again.",
        ),
        row(
            SourceError::DataSourceMissing("HTTP 400".into()),
            "JHE wants to be told a DataSource, and the page has none.",
            "Make the client's DataSource in JHE (JHE's seed does), or set `dataSourceId` in the plain pages.",
        ),
        row(
            SourceError::DataSourceUnknown("HTTP 400".into()),
            "JHE does not know the DataSource that the page names.",
            "Compare `dataSourceId` with the DataSources in JHE.",
        ),
        row(
            SourceError::NotAPatient("HTTP 403".into()),
            "The invitation led to an account in JHE that is no patient's.",
            "Make the invitation for the patient's own record.",
        ),
        row(
            SourceError::Refused("HTTP 500".into()),
            "JHE did not register the source. Its answer is in the details.",
            "Look for `/api/v1/fhir_sources` in JHE's log.",
        ),
        row(
            SourceError::Transport(none),
            "JHE gave the page no readable answer when it was to register the source.",
            "Is JHE up? A reload tries again.",
        ),
        row(
            InventoryError::Refused("HTTP 500".into()),
            "JHE did not say which of the patient's records it holds. As long as that is not known, nothing is written, so \
             that none is stored twice.",
            "Look for `GET /FHIR/R5/Observation` in JHE's log; its answer is in the details.",
        ),
        row(
            InventoryError::Transport(none),
            "As above, and JHE gave no readable answer at all.",
            "Is JHE up? Does the answer take longer than a proxy's limit?",
        ),
    ]
    .into()
}

fn reading(none: TransportError) -> Vec<Advice> {
    [
        row(
            page(PageError::SignedOut),
            "The hospital's access ended in the middle, and could not be renewed: a browser client seldom gets a refresh token.",
            "Nothing. The button signs in again, and the import goes on where it stopped.",
        ),
        row(
            page(PageError::Forbidden("HTTP 403".into())),
            "The hospital lets the app not read this kind of records. The other kinds went on.",
            "Enable the type's APIs at the app's registration; some hospitals switch types off for all apps.",
        ),
        row(
            page(PageError::Busy("HTTP 429".into())),
            "The hospital had too much to do, five times in a row, with pauses.",
            "Wait; the page offers to go on. If it stays, ask the hospital about their limits.",
        ),
        row(
            page(PageError::TooWide("HTTP 400".into())),
            "The hospital wants a narrower search, and there is no way to divide it.",
            "Add a parameter to that row of the [`plan`](record-types.md#to-add-one), for instance a `category`.",
        ),
        row(
            page(PageError::Refused("HTTP 400".into())),
            "The hospital refused the search, or a further page of it. Its answer is in the details.",
            "An expired link to a further page passes by itself at the next try. Otherwise change that row of the \
             [`plan`](record-types.md#to-add-one).",
        ),
        row(
            page(PageError::ServerError("HTTP 500".into())),
            "The hospital failed, five times in a row. What was fetched until then is in JHE.",
            "Wait; the page offers to go on. If one patient's chart always fails at the same page, show the hospital the details.",
        ),
        row(
            page(PageError::NotFhir("text/html".into())),
            "Something else than a FHIR Bundle came, for instance a web page of a proxy.",
            "Show the hospital the details.",
        ),
        row(
            page(PageError::CutOff),
            "A page broke off, five times in a row.",
            "A bad connection, or a server that gives up on a large page: set `_count` in that row of the `plan`.",
        ),
        row(
            page(PageError::TooLong),
            "A page of the hospital is longer than the 50 MB that are read at once: more would fill a phone's memory.",
            "Set `_count` in that row of the `plan`, so that the hospital makes shorter pages.",
        ),
        row(
            page(PageError::NextRefused("https://other.example".into())),
            "The link to the further page leads out of the hospital's FHIR base. The patient's token does not go there.",
            "Tell the hospital (or the maker of its gateway): the details have the address.",
        ),
        row(
            page(PageError::NextLoop),
            "The link to the further page leads to one that was read before.",
            "Tell the hospital: without a way on nobody can read the rest.",
        ),
        row(
            page(PageError::Transport(none)),
            "The hospital gave no readable answer, five times in a row.",
            "The patient's connection, or CORS that holds for some answers only: look whether error answers have it, too.",
        ),
    ]
    .into()
}

fn writing(none: TransportError) -> Vec<Advice> {
    [
        row(
            CallbackError::NoJheSession,
            "JHE's token is not in this tab: the patient came back in another tab or browser, or the visit is over.",
            "Nothing. The patient opens the link again, in one tab.",
        ),
        row(
            Stop::JheSessionExpired,
            "JHE answered 401: its token is over (after 14 days), or was revoked. What arrived is kept.",
            "Nothing if it happens once. If it happens to everybody, look whether something deletes tokens in JHE.",
        ),
        row(
            Stop::JheFailing("HTTP 503".into()),
            "JHE refused to take records (429, 5xx) again and again. Its answer is in the details; what arrived is kept.",
            "Look at JHE's log and its workers' time-out. A 413 comes from the proxy: let it take a megabyte.",
        ),
        row(
            Stop::JheUnreachable(none),
            "JHE gave no readable answer any more. What arrived is kept; nothing is sent before it is known what did.",
            "Is JHE up? The page offers to go on.",
        ),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::String;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::language::testing::english;

    fn is_word(text: &str) -> bool {
        let fits = |it: char| it == '_' || it.is_ascii_lowercase() || it.is_ascii_digit();
        text.starts_with(|it: char| it.is_ascii_lowercase()) && text.chars().all(fits)
    }

    /// Literals of the form `phase.case` in a source: all in a script, and in one that says what the codes of an error are; those
    /// of known phases in any other.
    fn codes_in(source: &str, is_script: bool, codes: &mut BTreeSet<String>) {
        let has_codes = is_script || source.contains("fn code(");
        for literal in source.split(['"', '\'']) {
            let Some((phase, case)) = literal.split_once('.') else {
                continue;
            };
            let is_known = PHASES.iter().any(|(known, _)| *known == phase);
            // Hosts of examples, and files.
            let is_other = ["css", "example", "html", "js", "json", "wasm"].contains(&case);
            if is_word(phase) && is_word(case) && !is_other && (is_known || has_codes) {
                codes.insert(literal.into());
            }
        }
    }

    fn codes_below(folder: &Path, codes: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                codes_below(&path, codes);
            } else if name.ends_with(".rs") && name != "troubleshooting.rs" || name.ends_with(".js")
            {
                codes_in(
                    &fs::read_to_string(&path).unwrap(),
                    name.ends_with(".js"),
                    codes,
                );
            }
        }
    }

    #[test]
    fn each_code_of_the_sources_has_a_row_and_each_row_a_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut codes = BTreeSet::new();
        for folder in ["src", "www"] {
            codes_below(&root.join(folder), &mut codes);
        }
        let rows: BTreeSet<String> = advice().iter().map(|row| row.code.into()).collect();
        assert!(codes.len() > 70, "{codes:?}");
        assert_eq!(rows, codes);
        assert_eq!(rows.len(), advice().len(), "a code has two rows");
    }

    #[test]
    fn literals_are_codes_by_their_phase_or_by_their_source() {
        let mut codes = BTreeSet::new();
        let source = "('browser.offline', \"page.js\", \"7.1\", 'other.thing')";
        codes_in(source, false, &mut codes);
        assert_eq!(codes.len(), 1);
        codes_in(source, true, &mut codes);
        assert!(codes.contains("other.thing"));
        codes_in("fn code(&self) { \"new.code\" }", false, &mut codes);
        assert_eq!(codes.len(), 3);
    }

    #[test]
    fn each_row_belongs_to_a_phase_and_says_something() {
        for row in advice() {
            let phase = row.code.split('.').next().unwrap();
            assert!(
                PHASES.iter().any(|(known, _)| *known == phase),
                "{}",
                row.code
            );
            for text in [row.meaning, row.action] {
                assert!(
                    text.ends_with('.') || text.ends_with('?') || text.ends_with(')'),
                    "{}: {text}",
                    row.code
                );
                assert!(!text.contains("  "), "{}: {text}", row.code);
            }
            for message in row.patient_reads {
                let said = english(message);
                assert!(said.len() > 10, "{}: {said}", row.code);
            }
        }
    }

    #[test]
    fn phases_are_told_apart_by_their_names() {
        let names: BTreeSet<String> = PHASES.iter().map(|(name, _)| format!("{name}.")).collect();
        assert_eq!(names.len(), PHASES.len());
    }
}
