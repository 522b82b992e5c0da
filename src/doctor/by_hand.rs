//! What can't be checked from a browser, or was not reached: how to check it by hand.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::doctor::catalogue::{CHECKS, Check};
use crate::doctor::examination::Examination;
use crate::doctor::{Line, Verdict};
use crate::fhir::identity::Identity;

impl Examination {
    /// Lines that nothing has decided: what stood in the way, and how to look by hand.
    pub(super) fn judge_the_rest(&mut self) {
        let open = CHECKS.iter().filter(|row| !self.is_said(row.0));
        let open: Vec<_> = open.map(|row| (row.0, self.by_hand(row.0))).collect();
        for (check, (found, how)) in open {
            self.say(check, found, Verdict::Unknown(how));
        }
    }

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
}
