//! The whole chart, at a hospital of each vendor: what a patient of the Patient Access client brings to JHE.

use jhe_connect::import::plan::RowTally;
use jhe_connect::import::{Standing, Verdict, WayOn};
use jhe_connect::language::{Text, Value as Said, label};
use sandbox::{
    FHIR_BASE, Fault, JheVersion, LoggedRequest, Match, NoteKind, PATIENT_ACCESS_SCOPES,
    Peculiarity, Row, SECOND_PATIENT, Server, Vendor,
};
use serde_json::{Value, json};

use super::hospital::{CAMILA, Decision};
use super::journey::Journey;
use super::pages::{Import, Landed};
use crate::{outcome, read_backs};

const IMPORT: &str = "/fhir-import/R4/";

/// Makes a test of each function, which goes to a hospital of each vendor.
macro_rules! at_every_hospital {
    ($($journey:ident),* $(,)?) => {
        $(#[test]
        fn $journey() {
            for vendor in Vendor::ALL {
                println!("at a hospital of {vendor:?}");
                each::$journey(&at(vendor));
            }
        })*
    };
}

at_every_hospital!(
    the_whole_chart_arrives_each_record_once,
    connecting_again_doubles_nothing,
    narrower_scopes_bring_what_was_granted_and_say_what_was_not,
    a_type_that_is_forbidden_is_a_line_and_not_the_end,
    refused_and_adjusted_entries_are_told_apart,
    a_proxy_that_takes_short_bodies_only_gets_short_ones,
    a_batch_that_jhe_gave_up_in_the_middle_loses_and_doubles_nothing,
    an_identifier_of_somebody_else_stops_before_any_record,
    a_long_type_beside_small_ones_arrives_whole,
    what_is_left_out_by_the_plan_is_not_asked_for,
    a_reload_in_the_middle_goes_on_and_doubles_nothing,
    included_medications_arrive_where_the_plan_names_them,
    a_session_that_ends_goes_on_after_another_sign_in,
    documents_travel_in_their_notes_where_they_may,
);

mod each {
    use super::*;

    pub(super) fn the_whole_chart_arrives_each_record_once(journey: &Journey) {
        let import = journey.connect();

        has_arrived(journey, &import);
        assert_eq!(import.ending.rows.len(), 18);
        for row in &import.ending.rows {
            assert_eq!(row.standing, Standing::Whole, "{row:?}");
            assert!(row.tally.stored > 0, "nothing of {}", row.label);
        }
        assert_eq!(row(&import, "Labs").tally.found, 32);
        // Of the eighteen the patient is asked for first.
        let asked = journey.requests(Server::Ehr, "GET", "/Patient/");
        let first = journey.requests(Server::Ehr, "GET", &journey.base());
        let first = first.iter().find(|it| it.header("authorization").is_some());
        assert_eq!(
            asked.first().map(|it| &it.target),
            first.map(|it| &it.target)
        );
    }

    pub(super) fn connecting_again_doubles_nothing(journey: &Journey) {
        let first = journey.connect();
        let rows = journey.rows().len();
        let second = journey.connect();

        assert_eq!(journey.rows().len(), rows);
        has_arrived(journey, &second);
        assert_eq!(first.ending.new_rows, Some(rows as u32));
        assert_eq!(second.ending.new_rows, Some(0));
        assert!(!second.source.is_new());
    }

    pub(super) fn narrower_scopes_bring_what_was_granted_and_say_what_was_not(journey: &Journey) {
        let granted =
            "launch/patient patient/Patient.read patient/Observation.read patient/Goal.read";
        journey.world().settings.ehr.granted_scopes = Some(granted.to_owned());
        let import = journey.connect();

        has_arrived(journey, &import);
        let granted = ["Your details", "Labs", "Vital signs", "Goals"];
        for row in &import.ending.rows {
            let is_granted = granted.contains(&row.label.as_str());
            assert_eq!(row.standing == Standing::Whole, is_granted, "{row:?}");
        }
        let kinds = import.account().kinds();
        let last = kinds.last().expect("a line");
        assert_eq!(last.text, Text::NotShared);
        let [Said::Listed(left_out)] = last.values.as_slice() else {
            panic!("{last:?}");
        };
        assert!(left_out.starts_with(&[label("Conditions"), label("Medications")]));
        let asked = journey.requests(Server::Ehr, "GET", "/Condition");
        assert!(asked.is_empty());
    }

    pub(super) fn a_type_that_is_forbidden_is_a_line_and_not_the_end(journey: &Journey) {
        journey.fail(on("/Immunization?"), outcome(403, "forbidden"));
        let import = journey.connect();

        assert_eq!(import.ending.verdict(), Verdict::Partly);
        assert_eq!(import.ending.way_on(), WayOn::None);
        assert_eq!(import.ending.errors(), [None, None]);
        assert_eq!(import.ending.code(), Some("pull.forbidden"));
        has_arrived(journey, &import);
        let account = import.account();
        let line = |what: Text| Text::Kind.with([label("Immunizations"), what.into()]);
        let kinds = account.kinds();
        assert!(kinds.contains(&line(Text::NotRead)), "{kinds:?}");
        assert!(account.troubles().contains(&line(Text::BecauseForbidden)));
        let others = import
            .ending
            .rows
            .iter()
            .filter(|row| row.label != "Immunizations");
        assert!(others.clone().all(|row| row.standing == Standing::Whole));
        assert!(account.report("").contains("Ended early: pull.forbidden"));
    }

    pub(super) fn refused_and_adjusted_entries_are_told_apart(journey: &Journey) {
        journey
            .world()
            .give_peculiar_lab(CAMILA.user, Peculiarity::TwoValues);
        let import = journey.connect();

        has_arrived(journey, &import);
        assert_eq!(import.ending.verdict(), Verdict::Partly);
        let labs = &row(&import, "Labs").tally;
        // The one with two values, and the one whose id has a `_`.
        assert_eq!(labs.refused, 2);
        let questionnaires = &row(&import, "Questionnaires").tally;
        assert_eq!(questionnaires.refused, 1);
        assert!(import.ending.tally.adjusted > 0);
        let account = import.account();
        let one = |kind, because: Text| Text::Reason.with([label(kind), 1.into(), because.into()]);
        assert_eq!(
            account.troubles(),
            [
                one("Labs", Text::BecauseId),
                one("Labs", Text::BecauseInvalid),
                one("Questionnaires", Text::BecauseIncomplete),
            ]
        );
        // What JHE dropped, and what it filled in: nothing is left for which there are no words.
        let notes = account.notes();
        assert!(notes.iter().any(|it| it.text == Text::NoteDropped));
        assert!(
            notes.iter().all(|it| it.text != Text::NoteAdjusted),
            "{notes:?}"
        );
        // An id that JHE can't hold is told with the name of its kind.
        let report = account.report("");
        let labs = report
            .split("\n\n")
            .find(|part| part.starts_with("Labs\n"))
            .expect("labs");
        assert!(
            labs.contains("refused: 2") && labs.contains("id"),
            "{report}"
        );
    }

    pub(super) fn a_proxy_that_takes_short_bodies_only_gets_short_ones(journey: &Journey) {
        journey.world().settings.jhe.max_body_bytes = Some(20_000);
        let import = journey.connect();

        has_arrived(journey, &import);
        assert!(batches(journey).iter().any(|it| it.status == Some(413)));
    }

    pub(super) fn a_batch_that_jhe_gave_up_in_the_middle_loses_and_doubles_nothing(
        journey: &Journey,
    ) {
        let imports = Match::on(Server::Jhe).method("POST").path(IMPORT);
        journey.fail(imports.once(), Fault::PartialBatch { entries: 9 });
        let import = journey.connect();

        has_arrived(journey, &import);
        assert!(journey.rows().iter().any(|row| row.writes > 1));
        assert_eq!(import.ending.new_rows, Some(journey.rows().len() as u32));
    }

    pub(super) fn an_identifier_of_somebody_else_stops_before_any_record(journey: &Journey) {
        let (iss, patient) = (journey.listed(), journey.patient_id());
        journey
            .world()
            .attach_identifier(SECOND_PATIENT, &iss, &patient);
        let error = journey
            .travel(CAMILA, Decision::Allow)
            .expect_err("a conflict");

        assert_eq!(error.code(), "identifier.conflict");
        assert!(batches(journey).is_empty() && journey.rows().is_empty());
        let asked = journey.requests(Server::Ehr, "GET", &journey.base());
        let read: Vec<_> = asked
            .iter()
            .filter(|it| it.header("authorization").is_some())
            .collect();
        assert!(read.is_empty(), "{read:?}");
    }

    pub(super) fn a_long_type_beside_small_ones_arrives_whole(journey: &Journey) {
        journey.world().give_records(CAMILA.user, "Goal", 600);
        journey.is_configured_further(
            "plan",
            json!(["default", {"label": "Goals", "parameters": {"_count": 1}}]),
        );
        let import = journey.connect();

        has_arrived(journey, &import);
        let goals = &row(&import, "Goals").tally;
        assert_eq!((goals.pages, goals.stored), (600, 600));
        // The others did not wait for it.
        let asked = journey.requests(Server::Ehr, "GET", "Questionnaire");
        let goals_before = |request: &LoggedRequest| {
            let log = journey.log();
            let before = log.iter().take_while(|it| it.target != request.target);
            before.filter(|it| it.target.contains("/Goal?")).count()
        };
        assert!(asked.first().is_some_and(|first| goals_before(first) < 30));
    }

    pub(super) fn what_is_left_out_by_the_plan_is_not_asked_for(journey: &Journey) {
        let plan = json!(["default", {"label": "Devices", "search": false}, {"label": "Visits", "search": false}]);
        journey.is_configured_further("plan", plan);
        let import = journey.connect();

        has_arrived(journey, &import);
        assert_eq!(import.ending.rows.len(), 16);
        assert!(journey.requests(Server::Ehr, "GET", "/Device").is_empty());
    }

    pub(super) fn a_reload_in_the_middle_goes_on_and_doubles_nothing(journey: &Journey) {
        journey.world().give_labs(CAMILA.user, 150);
        // Behind both tokens, identifier, source and the first searches.
        journey
            .tab
            .before("/Observation", 2, super::super::tab::Tab::leave);
        let landed = journey.travel(CAMILA, Decision::Allow);
        assert!(matches!(landed, Ok(Landed::Left)), "{landed:?}");
        let import = journey.go_on();

        has_arrived(journey, &import);
        assert_eq!(import.ending.new_rows, Some(journey.rows().len() as u32));
    }

    pub(super) fn included_medications_arrive_where_the_plan_names_them(journey: &Journey) {
        let include = json!({"label": "Medications", "parameters": {"_include": "MedicationRequest:medication"}});
        journey.is_configured_further("plan", json!(["default", include]));
        let import = journey.connect();
        has_arrived(journey, &import);
        assert!(row(&import, "Medications").tally.of_other_type > 0);

        let drugs = json!({"label": "Drugs", "type": "Medication", "search": false});
        journey.is_configured_further("plan", json!(["default", include, drugs]));
        let import = journey.connect();
        assert_eq!(row(&import, "Medications").tally.of_other_type, 0);
        assert!(
            journey
                .requests(Server::Ehr, "GET", "/Medication?")
                .is_empty()
        );
        let sent = batches(journey).into_iter().flat_map(|it| entries(&it));
        let is_medication =
            |entry: &Value| entry.pointer("/resource/resourceType") == Some(&json!("Medication"));
        assert!(sent.filter(is_medication).count() > 0);
    }

    pub(super) fn a_session_that_ends_goes_on_after_another_sign_in(journey: &Journey) {
        journey
            .tab
            .before("/Goal", 0, |tab| tab.sandbox.world().expire_ehr_tokens());
        let import = journey.connect();
        assert_eq!(journey.error_of(&import).code(), "pull.signed_out");
        assert_eq!(import.ending.way_on(), WayOn::SignIn);
        journey.world().clear_faults();
        let import = journey.go_on_signed_in_as(CAMILA);

        has_arrived(journey, &import);
        assert_eq!(import.ending.rows.len(), 18);
        assert!(
            import
                .ending
                .rows
                .iter()
                .all(|row| row.standing == Standing::Whole)
        );
    }

    pub(super) fn documents_travel_in_their_notes_where_they_may(journey: &Journey) {
        journey.world().settings.jhe.page.scope += " patient/Binary.read";
        journey
            .world()
            .give_records(CAMILA.user, "DocumentReference", 0);
        let mut notes = Vec::new();
        for kind in NoteKind::ALL {
            // Its address is below the main hospital's base.
            if kind != NoteKind::Absolute || journey.listed().contains(FHIR_BASE) {
                let id = journey
                    .world()
                    .give_note(CAMILA.user, kind)
                    .expect("a note");
                notes.push((kind, id));
            }
        }
        let import = journey.connect();

        has_arrived(journey, &import);
        let rows = journey.rows();
        for (kind, id) in &notes {
            let row = rows.iter().find(|row| row.upstream_id.as_ref() == Some(id));
            let sent: Value = serde_json::from_str(&row.expect("a row").sent).expect("a note");
            let contents = sent
                .get("content")
                .and_then(Value::as_array)
                .expect("contents");
            let has_data = contents
                .iter()
                .all(|it| it.pointer("/attachment/data").is_some_and(Value::is_string));
            let is_kept = matches!(
                kind,
                NoteKind::OtherOrigin
                    | NoteKind::Missing
                    | NoteKind::Huge
                    | NoteKind::HugeWithoutSize
                    | NoteKind::ErrorPage
            );
            assert_eq!(has_data, !is_kept, "{kind:?}: {contents:?}");
            let has_url = contents
                .iter()
                .all(|it| it.pointer("/attachment/url").is_some_and(Value::is_string));
            assert_eq!(has_url, *kind != NoteKind::Inline, "{kind:?}");
        }
        let tally = &row(&import, "Clinical notes").tally;
        // Of one note there are two.
        assert_eq!(tally.inlined as usize, notes.len() - 1 - 5 + 1);
        let mut documents = tally.documents.clone();
        documents.sort();
        let reasons = [
            ("kept at another server", 1),
            ("not found", 1),
            ("not of the type that it is said to be", 1),
            ("too long to be copied", 2),
        ];
        assert_eq!(
            documents,
            reasons.map(|(text, count)| (text.to_owned(), count))
        );
        assert!(journey.requests(Server::Evil, "GET", "").is_empty());
        assert!(
            import
                .account()
                .report("")
                .contains("Why documents were not copied:\n  2 × too long to be copied\n")
        );
    }
}

#[test]
fn a_search_that_names_too_little_is_divided_and_brings_what_its_parts_bring() {
    let journey = at(Vendor::Epic);
    let plan = json!([{"label": "Results", "type": "Observation"}]);
    journey.is_configured_further("plan", plan);
    let import = journey.connect();

    has_arrived(&journey, &import);
    let all = journey.world().records_of(CAMILA.user, "Observation").len();
    assert_eq!(row(&import, "Results").tally.found as usize, all);
    assert!(all > 32, "there is nothing but labs");
}

#[test]
fn an_observation_in_two_categories_is_one_row() {
    let journey = at(Vendor::Epic);
    journey.world().give_dual_observation(CAMILA.user);
    let import = journey.connect();

    has_arrived(&journey, &import);
    assert_eq!(import.ending.tally.repeated, 1);
}

#[test]
fn a_count_that_can_not_be_had_says_no_number_of_new_ones() {
    let journey = at(Vendor::Epic);
    journey.fail(read_backs(), outcome(500, "exception"));
    let import = journey.connect();

    has_arrived(&journey, &import);
    assert_eq!(import.ending.new_rows, None);
}

#[test]
fn the_base_of_a_hospital_that_ends_in_a_slash_stays_as_it_is() {
    for vendor in Vendor::ALL {
        let journey = at(vendor);
        journey.connect();
        let listed = journey.listed();
        let identifiers =
            journey.requests(Server::Jhe, "POST", "/api/v1/patient-access/identifier");
        let sources = journey.requests(Server::Jhe, "POST", "/api/v1/fhir_sources");
        let quoted = format!("\"{listed}\"");
        assert!(
            identifiers
                .iter()
                .chain(&sources)
                .all(|it| it.body.contains(&quoted))
        );
        assert_eq!(sources.len(), 1);
    }
}

/// A journey to a hospital of this vendor, with Camila's whole chart.
fn at(vendor: Vendor) -> Journey {
    let journey = Journey::begin();
    journey.is_configured_further("deployment", json!("patient-access"));
    let callback = format!(
        "{}/clients/patient-access/callback",
        journey.tab.sandbox.jhe()
    );
    let mut world = journey.world();
    let listed = vendor.listed_base(world.origins());
    let settings = &mut world.settings;
    settings.jhe.version = JheVersion::PatientAccess;
    settings.jhe.page.scope = PATIENT_ACCESS_SCOPES.to_owned();
    settings.jhe.page.iss = listed;
    for client in &mut settings.ehr.clients {
        if !client.redirect_uris.contains(&callback) {
            client.redirect_uris.push(callback.clone());
        }
    }
    drop(world);
    journey
}

trait AtHospital {
    /// The hospital's FHIR base, as it was configured.
    fn listed(&self) -> String;
    /// Its path.
    fn base(&self) -> String;
}

impl AtHospital for Journey {
    fn listed(&self) -> String {
        self.world().settings.jhe.page.iss.clone()
    }

    fn base(&self) -> String {
        let listed = self.listed();
        let path = listed.trim_start_matches(self.tab.sandbox.ehr());
        path.trim_end_matches('/').to_owned()
    }
}

/// Everything that the hospital gave and JHE did not refuse is in JHE, in one row each, as it was sent.
fn has_arrived(journey: &Journey, import: &Import) {
    let tally = &import.ending.tally;
    assert_eq!((tally.unsettled, tally.unsent), (0, 0), "{tally:?}");
    let refused = tally.refused + tally.repeated;
    let rows = journey.rows();
    assert_eq!(rows.len() as u32, tally.found - refused, "{tally:?}");
    assert_eq!(tally.stored as usize, rows.len());
    let world = journey.world();
    for row in &rows {
        let known = world.records_of(CAMILA.user, &row.resource_type);
        let is_known = known.iter().any(|record| id_of(record) == upstream_id(row));
        assert!(
            is_known,
            "the hospital has no {} {:?}",
            row.resource_type, row.upstream_id
        );
    }
    let mut keys: Vec<_> = rows
        .iter()
        .map(|row| (&row.resource_type, &row.upstream_id))
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), rows.len(), "a record is there twice");
}

fn upstream_id(row: &Row) -> String {
    row.upstream_id.clone().unwrap_or_default()
}

fn id_of(record: &str) -> String {
    let record: Value = serde_json::from_str(record).expect("a record");
    let id = record.get("id").and_then(Value::as_str);
    id.unwrap_or_default().to_owned()
}

fn on(path: &str) -> Match {
    Match::on(Server::Ehr).method("GET").path(path)
}

fn batches(journey: &Journey) -> Vec<LoggedRequest> {
    journey.requests(Server::Jhe, "POST", IMPORT)
}

fn entries(batch: &LoggedRequest) -> Vec<Value> {
    let bundle: Value = serde_json::from_str(&batch.body).expect("a Bundle");
    let entries = bundle.get("entry").and_then(Value::as_array);
    entries.cloned().unwrap_or_default()
}

fn row<'a>(import: &'a Import, label: &str) -> &'a RowTally {
    let mut rows = import.ending.rows.iter();
    rows.find(|row| row.label == label).expect(label)
}
