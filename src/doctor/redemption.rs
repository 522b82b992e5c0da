//! An invitation: read, and redeemed if the maintainer wants it. What can be seen with its token is looked at, then the token
//! is ended. It is never stored.

use alloc::borrow::ToOwned;
use alloc::format;

use crate::doctor::catalogue::Check;
use crate::doctor::examination::{Examination, Step};
use crate::doctor::pages::Which;
use crate::doctor::{Reply, Verdict};
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
use crate::text::{base64, form_decode, single};
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
        let Some(connect) = self.page_url(Which::Connect) else {
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
        // What JHE's verifier is made of it.
        if let Ok(octets) = <[u8; 32]>::try_from(token.as_bytes()) {
            self.secrets.push(base64(&octets));
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
        if let Ok(answer) = &reply.answer
            && let Some(grant) = answer.json().and_then(|body| body.get("grant"))
        {
            self.secrets.extend(grant.get_string("code"));
        }
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
}
