//! The crate's own flow through the pretended servers, and the table of the documentation.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::config::PageConfig;
use crate::confirmation::{Concern, concerns, person_request};
use crate::error::Error;
use crate::exchange::brands::Brands;
use crate::exchange::invitation::{Enrolment, EnrolmentError, Invitation, InvitationError};
use crate::exchange::jhe::JheSession;
use crate::exchange::patient::{Identification, IdentifierError, PatientIdentifier};
use crate::exchange::profile::{Profile, organization, profile_request};
use crate::exchange::source::{SourceDescription, SourceRegistration};
use crate::fhir::person::Person;
use crate::http::Conversation;
use crate::import::{Action, Checkpoint, Ending, ImportRun, QUIET_MS, Start, Verdict, WayOn};
use crate::oauth::revocation::Revocation;
use crate::oauth::token::TokenResponse;
use crate::smart::context::LaunchContext;
use crate::smart::discovery::{DiscoveryError, Issuer};
use crate::smart::identity::{IdentityCheck, Outcome};
use crate::smart::launch::{LaunchRequest, redeem};
use crate::smart::preflight::Preflight;

/// In place of a signature, which takes a browser.
const SIGNATURE: &[u8] = &[7; 64];

const PAGE_URL: &str = "http://localhost:8000/demo/connect.html";

/// A tab in test mode.
struct Tab {
    page: Url,
    config: PageConfig,
    remembered: String,
    now: u64,
}

/// Who is signed in at both.
struct Visit {
    jhe: Rc<JheSession>,
    ehr: LaunchContext,
}

impl Tab {
    fn open() -> Self {
        Tab::with(r#"{"demo":true}"#)
    }

    fn with(config: &str) -> Self {
        let page = Url::parse(PAGE_URL).unwrap();
        Tab {
            config: PageConfig::parse(&configuration(config, false), &page).unwrap(),
            page,
            remembered: String::new(),
            now: 1_790_000_000_000,
        }
    }

    /// As a page that is loaded anew for each request.
    fn world(&self) -> World {
        World::new(self.page.clone(), &self.remembered)
    }

    fn send(&mut self, request: HttpRequest) -> Answer {
        assert!(
            World::pretends(&self.page, &request.url),
            "{request:?} would go to the network"
        );
        let mut world = self.world();
        let mut reply = world.answer(&Call::of(&request), self.now);
        reply.sign(SIGNATURE);
        self.remembered = world.remembered();
        self.now += u64::from(reply.delay_ms);
        reply.answer
    }

    fn converse(&mut self, conversation: &mut dyn Conversation) {
        while let Some(request) = conversation.next_request() {
            let answer = self.send(request);
            conversation.receive(answer);
        }
    }

    fn enrol(&mut self, invitation: &str) -> Result<JheSession, EnrolmentError> {
        let invitation = INVITATIONS.iter().find(|it| it.name == invitation).unwrap();
        let link = Url::parse(&invitation.link(&self.page)).unwrap();
        let invitation = Invitation::parse(link.query(), self.page.host());
        let mut enrolment = Enrolment::new(
            self.config.jhe.clone(),
            invitation.map_err(EnrolmentError::Invitation)?,
        );
        self.converse(&mut enrolment);
        enrolment.finish()
    }

    /// The address of the sign-in, by way of the list of hospitals, and the launch that waits for its answer.
    fn leave(
        &mut self,
        jhe: &JheSession,
        hospital: &str,
    ) -> Result<(Url, crate::smart::launch::PendingLaunch), DiscoveryError> {
        let hospital = Hospital::named(hospital).unwrap();
        let path = self.config.deployment.brands_path.unwrap();
        let brands = Brands::read(self.send(Brands::request(jhe, path, hospital.title))).unwrap();
        assert_eq!(brands.rows[0].fhir_base_url, hospital.base());
        let issuer = Issuer::parse(&hospital.base(), &self.page)?;
        let mut preflight = Preflight::new(issuer, self.page.clone(), self.now);
        let look = self.send(preflight.look_request()?);
        while let Some(request) = preflight.next_request(self.now) {
            let answer = self.send(request);
            preflight.receive(answer);
        }
        let (issuer, configuration) = preflight.finish(Some(look))?;
        let options = self.config.sign_in(&hospital.base());
        let (url, pending) = LaunchRequest {
            issuer: &issuer,
            configuration: &configuration,
            client_id: &options.client_id,
            scope: &options.scope,
            redirect_uri: &options.redirect_uri,
            entropy: &[[7; 32]; 2],
            now: self.now,
        }
        .begin();
        Ok((Url::parse(&url).unwrap(), pending))
    }

    /// Signs in and shares everything, but for the scopes that contain one of these.
    fn sign_in(
        &mut self,
        jhe: &JheSession,
        hospital: &str,
        persona: &str,
        without: &[&str],
    ) -> LaunchContext {
        let (address, pending) = self.leave(jhe, hospital).unwrap();
        assert_eq!(address.path(), "/demo/hospital.html");
        let sign_in = SignIn::read(&address).expect("a sign-in");
        let is_ticked = |scope: &String| !without.iter().any(|it| scope.contains(it));
        let choices = sign_in.choices.iter().enumerate();
        let ticked: Vec<usize> = choices
            .filter(|(_, it)| is_ticked(it))
            .map(|(place, _)| place)
            .collect();
        let mut world = self.world();
        let back = sign_in.agree(
            &mut world,
            Persona::named(persona).unwrap(),
            &ticked,
            self.now,
        );
        self.remembered = world.remembered();
        let back = Url::parse(&back).unwrap();
        assert_eq!(back.path(), "/demo/callback.html");
        let (request, launched) = redeem(Some(pending), back.query(), &back, self.now).unwrap();
        let token = TokenResponse::from_response(&self.send(request).unwrap()).unwrap();
        let mut ehr = LaunchContext::new(launched, token, self.now).unwrap();
        let mut check = IdentityCheck::new(ehr.inquiry().unwrap(), self.page.clone(), self.now);
        self.converse(&mut check);
        let Outcome::Sealed(sealed) = check.finish() else {
            panic!("the identity token is not right");
        };
        // Signing is the browser's part.
        assert_eq!(sealed.verification().signature(), SIGNATURE);
        assert_eq!(ehr.identify(sealed.judged(Some(true))), Ok(None));
        ehr
    }

    fn visit(&mut self, invitation: &str, hospital: &str, persona: &str) -> Visit {
        let jhe = Rc::new(self.enrol(invitation).unwrap());
        let ehr = self.sign_in(&jhe, hospital, persona, &[]);
        Visit { jhe, ehr }
    }

    fn concerns(&mut self, visit: &Visit) -> (Option<Person>, Vec<Concern>) {
        let person = self.send(person_request(&visit.ehr).unwrap());
        let person = Person::from_answer(person, &visit.ehr.patient).ok();
        let profile =
            Profile::from_response(&self.send(profile_request(&visit.jhe)).unwrap()).unwrap();
        let concerns = concerns(person.as_ref(), &visit.ehr, Some(&profile));
        (person, concerns)
    }

    fn identify(&mut self, visit: &Visit) -> Result<(), IdentifierError> {
        let identifier = PatientIdentifier {
            system: visit.ehr.issuer.as_str().into(),
            value: visit.ehr.patient.clone(),
        };
        let deployment = self.config.deployment;
        let mut identification = Identification::new(&visit.jhe, deployment, identifier);
        self.converse(&mut identification);
        identification.finish()
    }

    /// The crate's own import, to its end.
    fn import(&mut self, visit: Visit) -> (Ending, Checkpoint) {
        self.go_on(visit, Checkpoint::default())
    }

    fn go_on(&mut self, visit: Visit, checkpoint: Checkpoint) -> (Ending, Checkpoint) {
        self.identify(&visit).unwrap();
        let iss = visit.ehr.issuer.as_str();
        let description =
            SourceDescription::new(self.config.deployment, iss, &self.config.data_source_id);
        let mut registration = SourceRegistration::new(&visit.jhe, description);
        self.converse(&mut registration);
        let start = Start {
            source: registration.finish().unwrap(),
            jhe: Rc::clone(&visit.jhe),
            ehr: visit.ehr,
            deployment: self.config.deployment,
            plan: self.config.plan.clone(),
            checkpoint,
            last_write: None,
            quiet_ms: QUIET_MS,
            seed: 1,
        };
        let mut run = ImportRun::new(start, self.now);
        loop {
            match run.next_action(self.now) {
                Action::Perform(task, request) => {
                    let answer = self.send(request);
                    run.finish(task, answer, self.now);
                }
                Action::AwaitTime(until) => self.now = self.now.max(until),
                Action::AwaitFinish => panic!("nothing is under way"),
                Action::Complete => return (run.ending(), run.checkpoint()),
            }
        }
    }
}

// What comes of each chart.

#[test]
fn of_each_persona_as_many_records_are_stored_as_the_table_says() {
    for persona in PERSONAS.iter().filter(|persona| !persona.is_taken) {
        let mut tab = Tab::open();
        let visit = tab.visit("Fresh", "healthy", persona.name);
        let (ending, _) = tab.import(visit);
        assert_eq!(ending.verdict(), Verdict::Complete, "{}", persona.name);
        assert_eq!(tab.world().stored(), persona.counts);
        let tally = &ending.tally;
        assert_eq!(tally.stored, persona.total(), "{}", persona.name);
        assert_eq!(tally.adjusted, adjusted(persona), "{}", persona.name);
        assert_eq!(ending.new_rows, Some(persona.total()));
        assert_eq!(tally.inlined, persona.counts[10], "{}", persona.name);
    }
}

#[test]
fn a_second_visit_stores_nothing_twice() {
    let mut tab = Tab::open();
    for new in [Some(Persona::named("kinds").unwrap().total()), Some(0)] {
        let visit = tab.visit("Fresh", "healthy", "kinds");
        let (ending, _) = tab.import(visit);
        assert_eq!(ending.new_rows, new);
        assert_eq!(
            tab.world().stored(),
            Persona::named("kinds").unwrap().counts
        );
    }
}

#[test]
fn the_client_that_writes_one_by_one_stores_the_labs_once() {
    let mut tab = Tab::with(r#"{"demo":true,"deployment":"mychart"}"#);
    let labs = Persona::named("kinds").unwrap().counts[7];
    for there in [0, labs] {
        let jhe = Rc::new(tab.enrol("Fresh").unwrap());
        // There is no list to go by.
        let brands = tab.config.deployment;
        tab.config.deployment = &PATIENT_ACCESS_HERE;
        let ehr = tab.sign_in(&jhe, "healthy", "kinds", &[]);
        tab.config.deployment = brands;
        let (ending, _) = tab.import(Visit { jhe, ehr });
        assert_eq!(ending.verdict(), Verdict::Complete);
        assert_eq!(
            (ending.tally.stored, ending.tally.already_there),
            (labs - there, there)
        );
        assert_eq!(tab.world().stored().iter().sum::<u32>(), labs);
    }
}

static PATIENT_ACCESS_HERE: crate::exchange::deployment::Deployment = PATIENT_ACCESS;

// What each hospital is like.

#[test]
fn a_hospital_that_no_page_may_read_is_found_out_before_the_patient_leaves() {
    let mut tab = Tab::open();
    let jhe = tab.enrol("Fresh").unwrap();
    let error = tab.leave(&jhe, "cors").map(drop).unwrap_err();
    assert_eq!(
        error,
        DiscoveryError::Transport(TransportError::Unreachable)
    );
}

#[test]
fn a_hospital_that_grants_less_is_noticed_and_the_rest_is_copied() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "narrowed", "kinds");
    let missing = tab.config.plan.not_granted(&visit.ehr, &tab.config.scope);
    assert_eq!(missing, ["Conditions", "Procedures", "Clinical notes"]);
    let (ending, _) = tab.import(visit);
    assert_eq!(ending.verdict(), Verdict::Complete);
    let mut expected = Persona::named("kinds").unwrap().counts;
    for kind in [1, 6, 10] {
        expected[kind] = 0;
    }
    assert_eq!(tab.world().stored(), expected);
}

#[test]
fn another_person_than_before_is_a_concern_and_so_is_a_parent() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "person", "few");
    let (person, concerns) = tab.concerns(&visit);
    assert_eq!(
        person.and_then(|it| it.name).as_deref(),
        Some("Alex Sample")
    );
    assert_eq!(concerns, [Concern::OtherPatientThanBefore]);
    let visit = tab.visit("Fresh", "healthy", "child");
    assert_eq!(tab.concerns(&visit).1, [Concern::ProxyAccess]);
    let visit = tab.visit("Fresh", "healthy", "few");
    assert!(tab.concerns(&visit).1.is_empty());
}

#[test]
fn a_chart_that_belongs_to_somebody_else_is_not_copied() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "healthy", "taken");
    assert_eq!(tab.identify(&visit), Err(IdentifierError::Conflict));
}

#[test]
fn a_busy_hospital_is_waited_for_and_gives_everything() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "busy", "few");
    let before = tab.now;
    let (ending, _) = tab.import(visit);
    assert_eq!(ending.verdict(), Verdict::Complete);
    assert_eq!(tab.world().stored(), Persona::named("few").unwrap().counts);
    assert!(tab.now - before >= BUSY_SECONDS * 1000);
}

#[test]
fn where_access_expires_a_second_sign_in_brings_the_rest() {
    for persona in ["kinds", "large", "few"] {
        let mut tab = Tab::open();
        let visit = tab.visit("Fresh", "expiring", persona);
        let jhe = Rc::clone(&visit.jhe);
        tab.concerns(&visit);
        let (ending, checkpoint) = tab.import(visit);
        assert_eq!(ending.way_on(), WayOn::SignIn, "{persona}");
        let ehr = tab.sign_in(&jhe, "expiring", persona, &[]);
        let (ending, _) = tab.go_on(Visit { jhe, ehr }, checkpoint);
        assert_eq!(ending.verdict(), Verdict::Complete, "{persona}");
        assert_eq!(
            tab.world().stored(),
            Persona::named(persona).unwrap().counts
        );
    }
}

#[test]
fn of_odd_records_jhe_refuses_one_of_each_kind() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "odd", "kinds");
    let (ending, _) = tab.import(visit);
    assert_eq!(ending.verdict(), Verdict::Partly);
    assert_eq!(ending.tally.refused, 17);
    let stored: u32 = tab.world().stored().iter().sum();
    assert_eq!(stored, Persona::named("kinds").unwrap().total() - 17);
}

#[test]
fn the_slow_hospital_takes_seconds_for_a_page() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "slow", "few");
    let before = tab.now;
    let (ending, _) = tab.import(visit);
    assert_eq!(ending.verdict(), Verdict::Complete);
    assert!(tab.now - before > 18 * 2_000);
}

// What comes of each invitation.

#[test]
fn each_invitation_ends_as_it_says() {
    let ended = |name: &str| {
        let error = Tab::open().enrol(name).err()?;
        Some(Error::from(error).code())
    };
    for (name, code) in [
        ("Fresh", None),
        ("Busy", None),
        ("SignedOut", None),
        ("Used", Some("invitation.used")),
        ("Expired", Some("invitation.expired")),
        ("Cancelled", Some("invitation.cancelled")),
        ("Unknown", Some("invitation.unknown")),
        ("NoLogin", Some("invitation.no_login")),
        ("Down", Some("invitation.refused")),
        ("OtherHost", Some("invitation.other_host")),
        ("Damaged", Some("invitation.malformed")),
    ] {
        assert_eq!(ended(name), code, "{name}");
    }
    assert!(matches!(
        Tab::open().enrol("OtherHost"),
        Err(EnrolmentError::Invitation(
            InvitationError::OtherHost { .. }
        ))
    ));
}

#[test]
fn a_busy_jhe_is_waited_for() {
    let mut tab = Tab::open();
    let visit = tab.visit("Busy", "healthy", "few");
    let (ending, _) = tab.import(visit);
    assert_eq!(ending.verdict(), Verdict::Complete);
    assert_eq!(tab.world().stored(), Persona::named("few").unwrap().counts);
}

#[test]
fn a_jhe_that_ends_the_visit_keeps_what_arrived() {
    let mut tab = Tab::open();
    let visit = tab.visit("SignedOut", "healthy", "large");
    let (ending, _) = tab.import(visit);
    assert_eq!(ending.code(), Some("jhe.session_expired"));
    let stored: u32 = tab.world().stored().iter().sum();
    assert!(stored > 0 && stored < Persona::named("large").unwrap().total());
}

#[test]
fn jhe_says_who_asks_for_the_records() {
    let mut tab = Tab::open();
    let jhe = tab.enrol("Fresh").unwrap();
    let profile = tab.send(profile_request(&jhe)).unwrap();
    assert_eq!(organization(&profile).as_deref(), Some("Test Study Team"));
}

// Both servers let nobody in who may not.

#[test]
fn a_token_that_was_ended_is_good_for_nothing() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "healthy", "few");
    let request = visit.ehr.revocation_request().unwrap();
    assert!(tab.send(request).is_ok_and(|answer| answer.is_success()));
    let answer = tab.send(person_request(&visit.ehr).unwrap()).unwrap();
    assert_eq!(answer.status, 401);
    let answer = tab.send(visit.jhe.revocation_request());
    assert_eq!(Revocation::of(Some(answer)), Revocation::Revoked);
    let answer = tab.send(profile_request(&visit.jhe)).unwrap();
    assert_eq!(answer.status, 401);
}

#[test]
fn a_token_is_good_at_its_own_hospital_and_for_its_own_chart() {
    let mut tab = Tab::open();
    let visit = tab.visit("Fresh", "healthy", "few");
    let mut status = |address: &str| {
        let request = HttpRequest::get(Url::parse(address).unwrap(), "application/fhir+json");
        tab.send(visit.ehr.access_token.authorize(request))
            .unwrap()
            .status
    };
    assert_eq!(
        status("https://healthy.hospital.invalid/fhir/R4/Patient/few-0-0"),
        200
    );
    assert_eq!(
        status("https://healthy.hospital.invalid/fhir/R4/Patient/large-0-0"),
        404
    );
    assert_eq!(
        status("https://healthy.hospital.invalid/fhir/R4/Goal?patient=large-0-0"),
        403
    );
    assert_eq!(
        status("https://slow.hospital.invalid/fhir/R4/Patient/few-0-0"),
        401
    );
}

#[test]
fn only_pretended_addresses_are_answered() {
    let page = Url::parse(PAGE_URL).unwrap();
    for (address, is_pretended) in [
        ("https://healthy.hospital.invalid/fhir/R4/metadata", true),
        ("http://localhost:8000/demo/jhe/o/token/", true),
        ("http://localhost:8000/demo/callback.html", false),
        (
            "http://localhost:8000/jhe-connect-0123/en.jhe-connect.json",
            false,
        ),
        ("http://localhost:8000/o/token/", false),
        ("http://localhost:8010/demo/jhe/o/token/", false),
        ("https://other.hospital.invalid/fhir/R4/metadata", false),
        (
            "https://healthy.hospital.invalid.example/fhir/R4/metadata",
            false,
        ),
        ("https://fhir.example/R4", false),
    ] {
        let url = Url::parse(address).unwrap();
        assert_eq!(World::pretends(&page, &url), is_pretended, "{address}");
    }
}

#[test]
fn the_sign_in_sends_nobody_to_another_origin() {
    let query = "?response_type=code&client_id=c&scope=patient%2FPatient.read&state=s&code_challenge=x\
        &code_challenge_method=S256&aud=https%3A%2F%2Fhealthy.hospital.invalid%2Ffhir%2FR4&redirect_uri=";
    for (redirect_uri, is_right) in [
        ("http%3A%2F%2Flocalhost%3A8000%2Fdemo%2Fcallback.html", true),
        ("https%3A%2F%2Fevil.example%2Fcallback.html", false),
        ("javascript%3Aalert(1)", false),
        ("", false),
    ] {
        let address = [
            "http://localhost:8000/demo/hospital.html",
            query,
            redirect_uri,
        ]
        .concat();
        let read = SignIn::read(&Url::parse(&address).unwrap());
        assert_eq!(read.is_some(), is_right, "{redirect_uri}");
    }
}

// What the documentation says.

fn adjusted(persona: &'static Persona) -> u32 {
    let kinds = persona.counts.iter().enumerate();
    let each = kinds.flat_map(|(kind, count)| {
        (0..*count).map(move |number| Place {
            persona,
            kind,
            number,
        })
    });
    each.filter(|place| place.is_adjusted()).count() as u32
}

/// The published table, in Markdown.
fn table() -> String {
    let mut lines = Vec::new();
    let cells = |first: &str, cell: &dyn Fn(&'static Persona) -> String| {
        let cells: Vec<String> = PERSONAS.iter().map(cell).collect();
        format!("| {first} | {} |", cells.join(" | "))
    };
    lines.push(cells("Kind", &|persona| format!("`{}`", persona.name)));
    lines.push(cells("---", &|_| "---:".to_string()));
    for (kind, pull) in PATIENT_ACCESS.pulls.iter().enumerate() {
        lines.push(cells(pull.label, &|persona| {
            persona.counts[kind].to_string()
        }));
    }
    lines.push(cells("**All**", &|persona| {
        format!("**{}**", persona.total())
    }));
    lines.push(cells("of them saved with a change", &|persona| {
        adjusted(persona).to_string()
    }));
    lines.join("\n")
}

#[test]
fn the_published_table_is_what_the_charts_hold() {
    let document = include_str!("../../docs/test-mode.md");
    let (_, rest) = document
        .split_once("<!-- counts -->\n")
        .expect("the beginning of the table");
    let (published, _) = rest.split_once("\n<!-- /counts -->").expect("its end");
    assert_eq!(published, table(), "the table should be:\n{}", table());
}

#[test]
fn the_documentation_names_every_persona_hospital_and_invitation() {
    let document = include_str!("../../docs/test-mode.md");
    let mut missing = BTreeMap::new();
    for persona in &PERSONAS {
        missing.insert(
            format!("| `{}` | {} |", persona.name, persona.patient),
            "persona",
        );
    }
    for hospital in &HOSPITALS {
        missing.insert(
            format!("| `{}` | {} |", hospital.name, hospital.title),
            "hospital",
        );
    }
    for invitation in &INVITATIONS {
        missing.insert(format!("| `{}` |", invitation.name), "invitation");
    }
    missing.retain(|row, _| !document.contains(row.as_str()));
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Each name of a screen in a source file: a text before the stage or the step that the screen belongs to, or, where nothing
/// but screens is made, before its heading.
fn screens_in(source: &str, is_of_screens: bool) -> Vec<String> {
    let source = source.split("mod tests {").next().unwrap();
    let mut names = Vec::new();
    let mut parts = source.split('"');
    parts.next();
    while let (Some(text), Some(after)) = (parts.next(), parts.next()) {
        let after = after.trim_start_matches(',').trim_start();
        // A list of all stages, with what each is called, is none of screens.
        let (first, _) = after.split_once(['\n', ' ']).unwrap_or((after, ""));
        let is_arm = after
            .get(first.len()..)
            .is_some_and(|rest| rest.starts_with(" =>"));
        let is_of = |name: &str| first.starts_with(name);
        let is_heading = is_of_screens && is_of("Text::");
        if !is_arm && (is_of("Stage::") || is_of("Step::") || is_heading) {
            names.push(text.to_string());
        }
    }
    names
}

/// All source files, with their names.
fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(sources(&path)),
            false => {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                all.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    all
}

#[test]
fn every_screen_of_the_program_is_in_the_table_of_screens() {
    let document = include_str!("../../docs/test-mode.md");
    let (_, rest) = document.split_once("<!-- screens -->").unwrap();
    let (table, _) = rest.split_once("<!-- /screens -->").unwrap();
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: Vec<&str> = rows.map(|(name, _)| name).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut shown: Vec<String> = Vec::new();
    for (name, source) in sources(&folder) {
        if source.contains("Screen::new(") {
            shown.extend(screens_in(&source, name.starts_with("screens")));
        }
    }
    assert!(shown.len() > 20, "{shown:?}");
    for name in &shown {
        assert!(
            listed.contains(&name.as_str()),
            "{name} is in no row of the table"
        );
    }
    for name in listed {
        assert!(shown.iter().any(|it| it == name), "{name} is no screen");
    }
}
