//! An invitation: read, and redeemed if the maintainer wants it. What can be seen with its token is looked at, then the token
//! is ended. It is never stored.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use crate::doctor::catalogue::Check;
use crate::doctor::examination::{Examination, Step};
use crate::doctor::{Line, Reply, Verdict};
use crate::error::JheRefusal;
use crate::exchange::brands::{Brands, BrandsError};
use crate::exchange::invitation::{
    Enrolment, EnrolmentError, Invitation, InvitationError, JheTokenError,
};
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::IdentifierError;
use crate::exchange::profile::{Profile, profile_request};
use crate::exchange::source::{SourceDescription, SourceRegistration};
use crate::http::{Conversation, HttpRequest};
use crate::json::Json;
use crate::text::{form_decode, single};
use crate::url::Url;

/// The use of an invitation.
#[derive(Default)]
pub(super) struct Visit {
    invitation: Option<Invitation>,
    enrolment: Option<Enrolment>,
    session: Option<JheSession>,
}

impl Visit {
    pub(super) fn profile_request(&self) -> Option<HttpRequest> {
        Some(profile_request(self.session.as_ref()?))
    }

    /// The patient's sources. Registering one would write: that is left to the patients' page.
    pub(super) fn sources_request(&self) -> Option<HttpRequest> {
        Some(self.session.as_ref()?.get("api/v1/fhir_sources"))
    }

    pub(super) fn revocation_request(&self) -> Option<HttpRequest> {
        Some(self.session.as_ref()?.revocation_request())
    }
}

impl Examination {
    // The link.

    pub(super) fn read_invitation(&mut self) {
        // Not kept any longer than needed.
        let text = core::mem::take(&mut self.wishes.invitation);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let link = Url::parse(text).ok();
        let query = match &link {
            Some(link) => link.query().to_owned(),
            None => match text.split_once('?') {
                Some((_, query)) => query.to_owned(),
                None => format!("code={}", text.trim_start_matches("code=")),
            },
        };
        self.keep_secret(&query);
        let own = self.at.page.host().to_owned();
        match Invitation::parse(&query, &own) {
            Ok(invitation) => {
                self.say(Check::InvitationLink, "It has a code of the expected form.", Verdict::Ok);
                self.say(
                    Check::InvitationHost,
                    format!("It was made for {own}, which serves this page."),
                    Verdict::Ok,
                );
                self.say(
                    Check::SiteUrl,
                    format!("JHE’s site.url and this page’s address have the same host and port, {own}, as the link shows."),
                    Verdict::Ok,
                );
                self.visit.invitation = Some(invitation);
            }
            Err(InvitationError::OtherHost { invitation, page }) => {
                let origin = self.at.page.origin();
                let remedy = format!(
                    "Set site.url in JHE’s settings to {origin} (or seed with SITE_URL={origin}), then generate a fresh link: links carry the host that was set when they were made. If patients really open {invitation}, open the doctor there."
                );
                self.say(Check::InvitationLink, "It has a code of the expected form.", Verdict::Ok);
                self.say(
                    Check::InvitationHost,
                    format!("It was made for {invitation}; this page is at {page}. Patients read invitation.other_host: nothing is sent to another host."),
                    Verdict::Wrong(remedy.clone()),
                );
                self.say(
                    Check::SiteUrl,
                    format!("JHE’s site.url has {invitation}, as the link shows; this page is at {page}."),
                    Verdict::Wrong(remedy),
                );
            }
            Err(error) => self.say(
                Check::InvitationLink,
                match error {
                    InvitationError::Missing => "It has no code.",
                    _ => "Its code is not of the form <host>_<32 letters and digits>.",
                },
                Verdict::Wrong("Paste the whole link, as JHE’s “Generate Invitation Link” gives it for this client. If it was whole, look at the client’s invitation URL in JHE: it must end in ?code=CODE, where JHE puts host and token.".into()),
            ),
        }
        if let Some(link) = link {
            self.judge_page_of(&link);
        }
    }

    fn judge_page_of(&mut self, link: &Url) {
        let Some(connect) = self.page_url(false) else {
            return;
        };
        let shown = link.without_query();
        match shown == connect.without_query() {
            true => self.say(
                Check::InvitationPage,
                format!("{shown}, the connect page that was looked at."),
                Verdict::Ok,
            ),
            false => self.say(
                Check::InvitationPage,
                format!("The link opens {shown}; the connect page of this installation is {}.", connect.as_str()),
                Verdict::Wrong(format!("Set the invitation URL of JHE’s client to {}?code=CODE, and generate a fresh link. It is set apart from site.url.", connect.as_str())),
            ),
        }
    }

    /// No line, no report shows the token, whatever a server answers.
    fn keep_secret(&mut self, query: &str) {
        let code = single(&form_decode(query), "code").ok().flatten();
        let code = code.unwrap_or_default();
        let token = code.rsplit('_').next().unwrap_or_default();
        // A shorter one is no token, and might be part of any word.
        if token.len() >= 16 {
            self.secrets.push(token.to_owned());
        }
    }

    // Its use.

    pub(super) fn enrolment_request(&mut self) -> Option<HttpRequest> {
        if !self.wishes.redeems {
            return None;
        }
        if let Some(invitation) = self.visit.invitation.take() {
            self.visit.enrolment = Some(Enrolment::new(self.jhe(), invitation));
        }
        self.visit.enrolment.as_mut()?.next_request()
    }

    pub(super) fn hear_enrolment(&mut self, reply: Reply) {
        let Some(mut enrolment) = self.visit.enrolment.take() else {
            return;
        };
        enrolment.receive(reply.answer);
        if enrolment.is_over() {
            self.end_enrolment(enrolment.finish());
        } else {
            self.visit.enrolment = Some(enrolment);
            self.steps.push_front(Step::Enrol);
        }
    }

    fn end_enrolment(&mut self, result: Result<JheSession, EnrolmentError>) {
        match result {
            Ok(session) => {
                self.redeemed();
                self.say(
                    Check::TokenExchange,
                    "JHE gave a token for it. It is in this page’s memory only, and is ended below.",
                    Verdict::Ok,
                );
                self.secrets.push(session.token().secret().to_owned());
                self.visit.session = Some(session);
                for step in [Step::Revoke, Step::Brands, Step::Sources, Step::Profile] {
                    self.steps.push_front(step);
                }
            }
            Err(EnrolmentError::Token(error)) => {
                self.redeemed();
                self.explain_token(&error);
            }
            Err(EnrolmentError::Invitation(error)) => self.explain_invitation(&error),
        }
    }

    fn redeemed(&mut self) {
        self.say(
            Check::Redemption,
            "JHE took it. It can be redeemed again for 12 hours, by this page and by the patient.",
            Verdict::Ok,
        );
    }

    fn explain_invitation(&mut self, error: &InvitationError) {
        let fresh = "Generate a fresh link in JHE, and paste that.";
        let (found, remedy) = match error {
            InvitationError::Unknown => (
                "HTTP 404: JHE does not know it.".to_owned(),
                "It was made by another JHE, or its database was set up anew since. Generate a fresh link in this one.",
            ),
            InvitationError::Used => (
                "HTTP 409: it was redeemed more than 12 hours ago, or a newer one took its place."
                    .to_owned(),
                fresh,
            ),
            InvitationError::Expired => (
                "HTTP 410: it was not redeemed within a week.".to_owned(),
                fresh,
            ),
            InvitationError::Cancelled => ("HTTP 403: it was cancelled.".to_owned(), fresh),
            InvitationError::NoLogin(answer) => (
                format!("{answer}."),
                "The patient’s record in JHE has no login: give it a user account, then generate a fresh link.",
            ),
            InvitationError::Refused(answer) => (
                format!("{answer}."),
                "This is no answer of JHE’s to an invitation: look whether /api/ at this address leads to JHE, and into its log.",
            ),
            InvitationError::Transport(error) => (
                format!("{}.", error.detail()),
                "JHE did not answer: look whether it runs, and at the proxy in front of it.",
            ),
            InvitationError::Missing
            | InvitationError::Malformed
            | InvitationError::OtherHost { .. } => return,
        };
        self.say(Check::Redemption, found, Verdict::Wrong(remedy.into()));
    }

    fn explain_token(&mut self, error: &JheTokenError) {
        let origin = self.at.page.origin();
        let (found, remedy) = match error {
            JheTokenError::Transport(error) => (
                error.detail().to_owned(),
                "JHE’s token endpoint did not answer: look whether /o/ is let through by the proxy.".to_owned(),
            ),
            JheTokenError::Token(error) => (
                error.detail(),
                match JheRefusal::of(error) {
                    JheRefusal::RedirectMismatch => format!(
                        "Application.redirect_uris of JHE’s own application for this client (Django admin, OAuth applications) must be JHE’s /auth/callback, {origin}/auth/callback: it has nothing to do with the hospital’s. Run seed_clients again with SITE_URL={origin}, or enter it there."
                    ),
                    JheRefusal::InvalidClient => "JHE’s own application for this client is missing or is no public one: run seed_clients again.".into(),
                    JheRefusal::Superseded => "The code was replaced meanwhile: somebody else opens the same link, or JHE’s verifier is not the one of this version. Check again, with no other tab open.".into(),
                    JheRefusal::Other => "This is no answer of JHE’s token endpoint: look into JHE’s log (a missing signing key is a 500).".into(),
                },
            ),
        };
        self.say(
            Check::TokenExchange,
            format!("{found}."),
            Verdict::Wrong(remedy),
        );
    }

    pub(super) fn hear_profile(&mut self, reply: Reply) {
        let profile = reply.answer.map_err(IdentifierError::Transport);
        let profile = profile.and_then(|answer| Profile::from_response(&answer));
        match profile {
            Ok(_) => self.say(
                Check::Participant,
                "GET /api/v1/users/profile has a patient: records can be filed under this account.",
                Verdict::Ok,
            ),
            Err(error) => {
                let found = match error {
                    IdentifierError::NotAPatient => {
                        "GET /api/v1/users/profile has no patient.".to_owned()
                    }
                    IdentifierError::SessionExpired => {
                        "GET /api/v1/users/profile: HTTP 401, with a token that JHE gave just now."
                            .to_owned()
                    }
                    IdentifierError::Refused(answer) => {
                        format!("GET /api/v1/users/profile: {answer}.")
                    }
                    IdentifierError::Transport(error) => {
                        format!("GET /api/v1/users/profile: {}.", error.detail())
                    }
                    IdentifierError::Conflict => return,
                };
                self.say(
                    Check::Participant,
                    found,
                    Verdict::Wrong("The invitation leads to an account that is no patient’s (or JHE can’t say whose it is): invite a patient, not a practitioner. Patients read identifier.not_a_patient.".into()),
                );
            }
        }
    }

    pub(super) fn hear_sources(&mut self, reply: Reply) {
        if self.is_said(Check::DataSource) {
            return;
        }
        let (Some(config), Some(session), Ok(answer)) =
            (&self.config, &self.visit.session, reply.answer)
        else {
            return;
        };
        let id = config.data_source_id.clone();
        let list = answer.json().filter(|_| answer.is_success());
        let results = list.and_then(|list| list.get("results"));
        let Some(results) = results.filter(|results| results.is_list()) else {
            return;
        };
        let has_id =
            |source: Json<'_>| source.get("dataSource").map(Json::unquoted) == Some(id.as_str());
        let (count, of_it) = (
            results.elements().count(),
            results.elements().filter(|it| has_id(*it)).count(),
        );
        if of_it > 0 {
            let iss = config.iss.clone().unwrap_or_default();
            let description = SourceDescription::new(config.deployment, &iss, &id);
            let mut registration = SourceRegistration::new(session, description);
            let _ = registration.next_request();
            registration.receive(Ok(answer));
            let is_found_again =
                registration.next_request().is_none() && registration.finish().is_ok();
            let again = match is_found_again {
                true => " One of them is of this hospital and will be used again.",
                false => "",
            };
            self.say(
                Check::DataSource,
                format!(
                    "{of_it} of this patient’s sources name DataSource {id}: so it exists.{again}"
                ),
                Verdict::Ok,
            );
        } else {
            let found = format!(
                "None of this patient’s {count} sources names DataSource {id}, so that its existence can’t be seen."
            );
            let how = self.data_source_by_hand();
            self.say(Check::DataSource, found, Verdict::Unknown(how));
        }
    }

    pub(super) fn data_source_by_hand(&self) -> String {
        let id = self
            .config
            .as_ref()
            .map_or("of the configuration", |config| {
                config.data_source_id.as_str()
            });
        format!(
            "To register a source would be to write: it is left to the patients’ pages. In JHE’s admin, look whether a DataSource with the id {id} exists (the seed makes “Epic MyChart”). If not, patients read source.data_source_unknown; without an id JHE answers {{\"dataSource\":[\"This field is required.\"]}}."
        )
    }

    pub(super) fn brands_request(&self) -> Option<HttpRequest> {
        let path = self.deployment().brands_path?;
        Some(Brands::request(self.visit.session.as_ref()?, path, ""))
    }

    pub(super) fn hear_brands(&mut self, reply: Reply) {
        match Brands::read(reply.answer) {
            Ok(brands) => match brands.rows.first() {
                Some(first) => {
                    let more = if brands.may_be_more { " or more" } else { "" };
                    let found = format!("It has {}{more} hospitals; the first is {}.", brands.rows.len(), first.full_name());
                    self.hospital.from_list = Some((first.full_name(), first.fhir_base_url.clone()));
                    self.say(Check::JheHospitals, found, Verdict::Ok);
                }
                None => self.say(
                    Check::JheHospitals,
                    "It is empty, so that patients find no hospital.",
                    Verdict::Wrong("Fill it: python manage.py import_ehr_brands (or seed), in JHE. See JHE’s documentation of the client.".into()),
                ),
            },
            Err(error) => {
                let found = match error {
                    BrandsError::SessionExpired => "HTTP 401, with a token that JHE gave just now.".to_owned(),
                    BrandsError::Refused(answer) => format!("{answer}."),
                    BrandsError::Transport(error) => format!("{}.", error.detail()),
                };
                self.say(
                    Check::JheHospitals,
                    found,
                    Verdict::Wrong("Patients can’t pick a hospital: look into JHE’s log, and whether this JHE has the list of this client.".into()),
                );
            }
        }
    }

    pub(super) fn hear_revocation(&mut self, reply: Reply) {
        self.visit.session = None;
        match reply.answer {
            Ok(answer) if answer.is_success() => self.say(
                Check::Revocation,
                "POST /o/revoke_token/: the token that this page had is no longer good.",
                Verdict::Ok,
            ),
            other => {
                let what = match other {
                    Ok(answer) => answer.describe(),
                    Err(error) => error.detail().to_owned(),
                };
                self.say(
                    Check::Revocation,
                    format!("POST /o/revoke_token/: {what}."),
                    Verdict::Wrong("This page has forgotten the token, but JHE takes it for up to 14 days. End it in JHE’s admin (access tokens). With revokeToken, the patients’ pages would fail in the same way.".into()),
                );
            }
        }
    }

    // Where nothing was seen.

    /// What stood in the way of a line, and how to check it by hand.
    pub(super) fn by_hand(&self, check: Check) -> (String, String) {
        let origin = self.at.page.origin();
        let name = self.deployment().name;
        let (found, how): (&str, String) = match check {
            Check::Clock => ("JHE’s answers had no readable Date.", "Compare the server’s clock (date -u) with a good one.".into()),
            Check::Configuration | Check::SamePages | Check::OwnScript => (
                "The page could not be read.",
                "Mend the line of the page first. Or paste the configuration above, as the page’s source has it.".into(),
            ),
            Check::LaunchScope | Check::PulledScopes | Check::ScopeForm => (
                "The configuration is not known.",
                "Mend the line “Page configuration” first. The scopes need launch/patient, and patient/<Type>.read for each type that is pulled.".into(),
            ),
            Check::RedirectUri => (
                "The configuration is not known.",
                format!("For a drop-in it is {origin}/clients/{name}/callback, without a slash at the end. It must be registered at the hospital byte for byte; a new entry works after 1 to 12 hours at Epic."),
            ),
            Check::Files | Check::ContentTypes | Check::Compression | Check::Caching => (
                "No file was seen.",
                "curl -s -o /dev/null -D - -H 'Accept-Encoding: br' <address of a file>: 200, the right Content-Type, Content-Encoding: br.".into(),
            ),
            Check::Policy => ("No page was seen.", "Look at the header Content-Security-Policy of both pages (docs/hosting.md).".into()),
            Check::JheInvitations | Check::JheTokens | Check::JheApi | Check::JheWriting => (
                "JHE was not asked.",
                format!("curl -i {origin}/o/token/ is answered with 405, curl -i {origin}/api/v1/users/profile with 401."),
            ),
            Check::JheHospitals => ("JHE was not asked.", "Redeem an invitation here: the list needs a token.".into()),
            Check::DataSource => ("It needs an invitation to look at a patient’s sources.", self.data_source_by_hand()),
            Check::SiteUrl => (
                "No invitation link was pasted.",
                format!("Paste one above: it carries the host of site.url. Everything must agree on {origin}: the address that patients open, site.url, the port that JHE is served on, and the redirect URI. Seed with SITE_URL={origin}; after a change, generate fresh links."),
            ),
            Check::StudySignIn => (
                "No page but JHE’s own may try it.",
                format!("Open {origin}/ and sign in as a study manager. “Mismatching redirect URI” means that JHE was seeded for another address or port: seed with SITE_URL={origin}, or add this to the redirect URIs of the application “JHE Admin UI”. It has nothing to do with the hospital."),
            ),
            Check::InvitationLink => (
                "No invitation link was pasted.",
                "Paste one above. Patients always come by one: who opens the connect page without it reads “Please start from your invitation link” (invitation.missing), and that is right.".into(),
            ),
            Check::InvitationHost | Check::InvitationPage => (
                "No invitation link was read.",
                format!("Its code begins with the host of site.url, which must be {}; its page must be the connect page.", self.at.page.host()),
            ),
            Check::Redemption | Check::TokenExchange | Check::Participant | Check::Revocation => (
                "No invitation was redeemed.",
                "Paste the link of a test patient and tick “Redeem it”. Or open the link, as the patient would: “What will be shared” means that JHE gave its token.".into(),
            ),
            Check::FhirBase | Check::Discovery | Check::FhirServer | Check::S256 | Check::Endpoints | Check::Capabilities
            | Check::ListedScopes | Check::TokenEndpoint | Check::SignInPage => (
                match self.choose_is_open() {
                    true => "No hospital is configured: the patient picks one.",
                    false => "It was not reached: see the lines above.",
                },
                match self.choose_is_open() {
                    true => "Enter the FHIR base of one above, or redeem an invitation: then the first of JHE’s list is looked at.".into(),
                    false => "Mend what is wrong above, then check again.".into(),
                },
            ),
            Check::ClientId => (
                "Only the hospital knows its apps.",
                match &self.config {
                    Some(config) => format!("On the hospital’s page of your app (fhir.epic.com, Build Apps), the client id must be {}: of the same app that lists the redirect URI, and the non-production one for a sandbox. Another app’s gives Epic’s error=4, “The request is invalid”. Patients who come back from such a page read authorization.error_page.", config.client_id),
                    None => "The configured client id must be of the same app that lists the redirect URI.".into(),
                },
            ),
            Check::EnabledApis => (
                "Only the hospital knows what is enabled for the app.",
                self.apis_by_hand(),
            ),
            Check::EhrClock => (
                "A page may not read the Date of another origin’s answers.",
                "curl -sI <FHIR base>/metadata | grep -i ^date, and compare. It matters little: the length of a session is counted from when it began.".into(),
            ),
            Check::RefusedRecords => (
                "It is seen when records are sent.",
                "After an import, the receipt on the patient’s page names each reason with a count, and the first record of it (“Details for the study team”): it is the OperationOutcome of JHE. The rest of the import is not disturbed.".into(),
            ),
            Check::SecureContext | Check::TabStorage | Check::ConnectPage | Check::CallbackPage | Check::LongIds => {
                ("It was not looked at.", "Check again.".into())
            }
        };
        (found.into(), how)
    }

    fn choose_is_open(&self) -> bool {
        !self.is_said(Check::FhirBase)
    }

    fn apis_by_hand(&self) -> String {
        let types = self
            .config
            .as_ref()
            .map(|config| config.plan.types().join(", "));
        format!(
            "The app’s Incoming APIs must include, in R4, Read and Search of each type that is pulled ({}). A scope of a type that is not enabled gives “invalid scope”, or is left out without a word: then the patient’s page says that this kind was not granted.",
            types.unwrap_or_else(|| "see docs/record-types.md".into())
        )
    }

    pub(super) fn judge_known_habits(&mut self) {
        use crate::fhir::identity::Identity;
        let found = match self.deployment().identity {
            Identity::AddIdentifier => {
                "jhe-connect puts the hospital’s id into an identifier and leaves out one that JHE can’t hold: no record is refused for its id."
            }
            Identity::Keep => {
                "This JHE moves an id over 64 characters into an identifier by itself; jhe-connect sends it as it is, so that a second import finds the row again."
            }
        };
        self.say(Check::LongIds, found, Verdict::Ok);
        let origin = self.at.page.origin();
        let (found, how) = self.by_hand(Check::StudySignIn);
        self.say_line(Line {
            check: Check::StudySignIn,
            found,
            verdict: Verdict::Unknown(how),
            copy: Some(format!("{origin}/auth/callback")),
            link: None,
        });
    }
}
