//! The whole journey without a browser: what the core asks for is sent over HTTP to a sandbox in this process, in the
//! order in which the pages do it.
//!
//! Every journey is also watched (`flow/watch.rs`): no token goes astray, no secret stays behind, and the hospital is
//! sent no header that its CORS list lacks.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what the tests call may fail as the tests do"
)]

mod flow {
    mod access;
    mod chart;
    pub(crate) mod hospital;
    pub(crate) mod journey;
    pub(crate) mod pages;
    pub(crate) mod patient_access;
    mod patient_portal;
    mod picking;
    pub(crate) mod records;
    mod reload;
    pub(crate) mod tab;
    mod trouble;
    pub(crate) mod watch;
    mod weather;
}

use std::collections::BTreeSet;

use jhe_connect::error::Error;
use jhe_connect::import::{QUIET_MS, Verdict, WayOn};
use jhe_connect::language::{Text, label};
use jhe_connect::receipt::Account;
use jhe_connect::session;
use jhe_connect::smart::launch::PENDING_LIMIT_MS;
use sandbox::{
    AuthorizeError, Document, FHIR_BASE, FIRST_PATIENT, Fault, IdentityFault, Layout, Match,
    NextLink, PATIENT_WITHOUT_LOGIN, Peculiarity, SECOND_PATIENT, Server, Signing, Vendor,
};
use serde_json::{Value, json};

use flow::hospital::{CAMILA, DERRICK, Decision, between};
use flow::journey::Journey;
use flow::pages::{Import, Landed};
use flow::patient_access;
use flow::tab::{Tab, network};
use flow::watch;

/// On one page of a search.
const PAGE: usize = 10;
const MOST_WRITES_AT_ONCE: usize = 6;

// The patient's labs arrive.

#[test]
fn every_lab_arrives_once_as_the_hospital_has_it() {
    let journey = Journey::begin();
    let import = journey.connect();

    let labs = journey.labs();
    journey.has_arrived(&labs);
    assert!(labs.iter().any(|lab| lab.contains(r#""value":7.10"#)));
    assert_eq!(import.ending.verdict(), Verdict::Complete);
    assert_eq!(import.patient, journey.patient_id());
    let account = import.account();
    let told = Text::Records.counted(labs.len() as u32);
    let line = Text::Kind.with([label("Labs"), told.into()]);
    assert_eq!(account.kinds(), [line]);
    assert!(account.troubles().is_empty());
}

#[test]
fn every_write_names_the_source_that_was_registered() {
    let journey = Journey::begin();
    let import = journey.connect();

    let source = import.source.id.header_value();
    for write in journey.writes() {
        assert_eq!(write.target, "/FHIR/R5/Observation");
        assert_eq!(write.header("content-type"), Some("application/json"));
        assert_eq!(write.header("x-jhe-fhir-source-id"), Some(source.as_str()));
    }
    let (iss, sources) = (journey.iss(), journey.world().jhe.sources.clone());
    assert_eq!(sources.len(), 1);
    for registered in sources {
        assert_eq!(registered.id.to_string(), source);
        assert_eq!(registered.patient, FIRST_PATIENT);
        assert_eq!(registered.data_source, 70_006);
        assert_eq!(registered.fhir_base_url, iss);
    }
}

#[test]
fn jhe_knows_the_patients_id_at_the_hospital_afterwards() {
    let journey = Journey::begin();
    journey.connect();

    let (iss, id) = (journey.iss(), journey.patient_id());
    let world = journey.world();
    let patient = world.jhe.patient(FIRST_PATIENT).expect("the patient");
    let pairs = patient.identifiers.iter();
    let pairs: Vec<_> = pairs.map(|pair| (&pair.system, &pair.value)).collect();
    assert_eq!(pairs, [(&iss, &id)]);
}

#[test]
fn the_first_page_is_asked_for_by_patient_and_category_and_each_next_link_verbatim() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 23);
    journey.world().settings.ehr.page_size = 4;
    let import = journey.connect();

    let asked: Vec<_> = journey.searches().into_iter().map(|it| it.target).collect();
    let id = journey.patient_id();
    let first = format!("{FHIR_BASE}/Observation?patient={id}&category=laboratory");
    assert_eq!(asked.first(), Some(&first));
    let next = format!("{FHIR_BASE}/Observation?sessionID=17-");
    assert!(asked.iter().skip(1).all(|target| target.starts_with(&next)));
    assert_eq!((asked.len(), import.ending.tally.pages), (6, 6));
    journey.has_arrived(&journey.labs());
}

#[test]
fn a_relative_next_link_is_followed() {
    let journey = Journey::begin();
    journey.world().settings.ehr.next_link = NextLink::Relative;
    journey.connect();
    journey.has_arrived(&journey.labs());
}

/// Of a guardian's sign-in it is known that it was one; of one that can't be checked it is not.
#[test]
fn who_signed_in_is_known_if_it_was_verified_and_else_not() {
    let known = |provoke: Provoke| {
        let journey = Journey::begin();
        let sign_in = journey.open_link().expect("the sign-in");
        tells_who(&journey);
        provoke(&journey);
        // While records are copied, what is known of the sign-in is in the tab.
        journey.tab.before("/Observation?patient=", 0, Tab::leave);
        let back = journey.sign_in(&sign_in, CAMILA, Decision::Allow);
        let landed = journey.open_callback(&journey.tab, &back);
        assert!(matches!(landed, Ok(Landed::Left)), "{landed:?}");
        let kept = journey.tab.store.entries();
        let mut kept = kept.values().filter(|text| text.contains("token_endpoint"));
        kept.next()
            .is_some_and(|text| text.contains("\"fhir_user\":\"Patient/"))
    };
    for signing in [Signing::Rs256, Signing::Es256, Signing::Es384] {
        assert!(match signing {
            Signing::Rs256 => known(|_| {}),
            Signing::Es256 => known(|j| j.world().settings.ehr.identity.signing = Signing::Es256),
            Signing::Es384 => known(|j| j.world().settings.ehr.identity.signing = Signing::Es384),
        });
    }
    assert!(known(|j| identity_is(j, IdentityFault::NoKid)));
    for provoke in [
        (|j| identity_is(j, IdentityFault::UnknownKid)) as Provoke,
        |j| identity_is(j, IdentityFault::KeyRotated),
        |j| identity_is(j, IdentityFault::Expired),
        |j| identity_is(j, IdentityFault::NoNonce),
        |j| {
            j.fail(
                Match::on(Server::Ehr).path("/PublicKeys/"),
                Fault::DropConnection,
            )
        },
        |j| announce(j, "issuer", json!("https://another.example")),
        |j| announce(j, "jwks_uri", json!("http://keys.example")),
        |j| j.world().settings.ehr.id_token = Some("opaque".into()),
    ] {
        assert!(!known(provoke));
    }
}

#[test]
fn a_patient_without_labs_is_done_with_none() {
    let journey = Journey::begin();
    let import = journey.connect_as(DERRICK);

    assert_eq!(import.ending.verdict(), Verdict::Complete);
    assert_eq!(import.ending.tally.found, 0);
    assert_eq!(import.ending.tally.not_saved(), 0);
    assert_eq!(journey.rows().len(), 0);
}

#[test]
fn outcome_entries_are_notices_and_no_records() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 3);
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.left_out()), (3, 0));
    assert_eq!(tally.notices.len(), 2);
    journey.has_arrived(&journey.labs());
}

#[test]
fn what_is_no_lab_of_this_patient_is_left_out_and_counted() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 3);
    let labs = journey.labs();
    let included = labs
        .iter()
        .map(|lab| format!(r#"{{"resource":{lab},"search":{{"mode":"include"}}}}"#));
    let mut extra: Vec<_> = included.take(1).collect();
    extra.push(r#"{"resource":{"resourceType":"Patient","id":"x"}}"#.into());
    extra.push(r#"{"fullUrl":"urn:uuid:0"}"#.into());
    {
        let mut world = journey.world();
        world.give_peculiar_lab(CAMILA.user, Peculiarity::OtherSubject);
        let camila = world.ehr.patient_mut(CAMILA.user).expect("Camila");
        camila.extra_entries = extra;
    }
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!(
        (tally.of_other_subject, tally.of_other_type, tally.malformed),
        (1, 2, 1)
    );
    journey.has_arrived(&labs);
}

#[test]
fn a_record_that_jhe_refuses_is_counted_with_its_reason_and_stops_no_other() {
    let journey = Journey::begin();
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 2);
        for refused in [
            Peculiarity::UnknownField,
            Peculiarity::NoCode,
            Peculiarity::TwoValues,
        ] {
            world.give_peculiar_lab(CAMILA.user, refused);
        }
        world.give_peculiar_lab(CAMILA.user, Peculiarity::LongId);
        world.give_peculiar_lab(CAMILA.user, Peculiarity::UnderscoreId);
    }
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!(import.ending.verdict(), Verdict::Partly);
    assert_eq!((tally.stored, tally.refused, tally.not_saved()), (4, 3, 3));
    let reasons: Vec<_> = tally.reasons.iter().map(|(reason, _)| reason).collect();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("extra fields not permitted")),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .all(|reason| reason.starts_with("Invalid FHIR Observation")),
        "{reasons:?}"
    );
    let mut labs = journey.labs();
    labs.drain(2..5);
    journey.has_arrived(&labs);
}

#[test]
fn a_lab_that_is_listed_twice_is_written_once() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 12);
    let labs = journey.labs();
    {
        let mut world = journey.world();
        let camila = world.ehr.patient_mut(CAMILA.user).expect("Camila");
        camila.records.extend(labs.clone());
    }
    let import = journey.connect();

    assert_eq!(import.ending.verdict(), Verdict::Complete);
    assert_eq!(import.ending.tally.repeated, 12);
    journey.has_arrived(&labs);
}

#[test]
fn the_plain_pages_own_configuration_leads_to_their_own_callback_page() {
    let journey = Journey::begin();
    let (start, end) = ("id=\"jhe-connect-config\">", "</script>");
    let block = between(include_str!("../index.html"), start, end).expect("a block");
    let mut config: Value = serde_json::from_str(block).expect("JSON");
    {
        let page = &journey.world().settings.jhe.page;
        config["iss"] = json!(page.iss);
        config["clientId"] = json!(page.client_id);
        config["dataSourceId"] = json!(page.data_source_id);
    }
    journey.is_configured_with(&config.to_string());
    journey.is_invited_by(&journey.invitation, Layout::Plain);
    let sign_in = journey.open_link().expect("the sign-in");
    let back = journey.sign_in(&sign_in, CAMILA, Decision::Allow);

    assert!(
        back.contains("/static/jhe-connect/callback.html?code="),
        "{back}"
    );
    let landed = journey.open_callback(&journey.tab, &back);
    assert!(matches!(landed, Ok(Landed::Imported(_))), "{landed:?}");
    journey.has_arrived(&journey.labs());
}

#[test]
fn the_capability_statement_is_the_fall_back_of_discovery() {
    for missing in [Document::NotFound, Document::Html] {
        let journey = Journey::begin();
        journey.world().settings.ehr.discovery.smart_configuration = missing;
        journey.connect();
        journey.has_arrived(&journey.labs());
    }
}

#[test]
fn a_gap_in_the_smart_configuration_is_filled_by_the_capability_statement() {
    let journey = Journey::begin();
    announce(&journey, "token_endpoint", Value::Null);
    journey.connect();
    journey.has_arrived(&journey.labs());
}

#[test]
fn s256_is_sent_where_the_hospital_names_no_method() {
    for methods in [Value::Null, json!([])] {
        let journey = Journey::begin();
        announce(&journey, "code_challenge_methods_supported", methods);
        // The sandbox's sign-in refuses a request without S256.
        journey.connect();
        journey.has_arrived(&journey.labs());
    }
}

#[test]
fn the_authorization_endpoints_own_query_is_kept() {
    let journey = Journey::begin();
    journey.world().settings.ehr.authorization_query = Some("tenant=7&x=a%2Bb".into());
    journey.connect();
    journey.has_arrived(&journey.labs());
}

#[test]
fn an_answer_that_names_the_advertised_issuer_is_accepted() {
    let journey = Journey::begin();
    let issuer = format!("{}/interconnect/oauth2", journey.tab.sandbox.ehr());
    journey.world().settings.ehr.response_iss = Some(issuer);
    journey.connect();
    journey.has_arrived(&journey.labs());
}

#[test]
fn fewer_scopes_than_asked_are_enough_with_observation_among_them() {
    let journey = Journey::begin();
    journey.world().settings.ehr.granted_scopes = Some("patient/Observation.rs ".into());
    journey.connect();
    journey.has_arrived(&journey.labs());
}

#[test]
fn the_report_accounts_for_every_record_names_every_reason_and_holds_no_secret() {
    let journey = Journey::begin();
    let iss = journey.iss();
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, 15);
        for peculiarity in [
            Peculiarity::NoCode,
            Peculiarity::UnknownField,
            Peculiarity::OtherSubject,
        ] {
            world.give_peculiar_lab(CAMILA.user, peculiarity);
        }
        let camila = world.ehr.patient_mut(CAMILA.user).expect("Camila");
        camila.records.extend_from_within(..4);
        camila.extra_entries = vec![
            r#"{"resource":{"resourceType":"Patient","id":"x"}}"#.into(),
            r#"{"fullUrl":"urn:uuid:0"}"#.into(),
        ];
    }
    // On a page that the hospital does not give.
    let last = Peculiarity::UnderscoreId;
    journey.world().give_peculiar_lab(CAMILA.user, last);
    write_as_they_come(&journey, &journey.first_labs(3));
    // Of those under way one is lost; the session ends before that is settled.
    journey.fail(writes().after(7).once(), Fault::LoseAnswer);
    journey.fail(read_backs().after(1), json_answer(401, "{}"));
    journey.fail(pages_of_search().after(2), outcome(403, "forbidden"));
    journey.world().settings.ehr.page_size = 11;
    let import = journey.connect();

    let tally = &import.ending.tally;
    let errors = import.ending.errors();
    let lines: Vec<_> = errors.iter().flatten().map(ToString::to_string).collect();
    let account = Account {
        errors: lines,
        jhe: journey.tab.sandbox.jhe().into(),
        ehr: iss,
        ..import.account()
    };
    let report = account.report("");
    let count = |what: &str| -> u32 {
        // A line that would say nothing is left out.
        between(&report, &format!("{what}: "), "\n")
            .map_or(0, |line| line.parse().expect("a number"))
    };
    let parts = [
        "\n  stored",
        "  already there",
        "  listed more than once",
        "  left out, of another kind",
        "  left out, not about the patient",
        "  left out, not readable",
        "  refused",
        "  not known whether stored",
        "  not sent",
    ];
    let counts = parts.map(count);
    assert_eq!(counts.iter().sum::<u32>(), count("Fetched"), "{report}");
    assert_eq!(counts, [11, 3, 4, 1, 1, 1, 2, 1, 0], "{report}");
    for (reason, _) in tally.reasons.iter().chain(&tally.notices) {
        assert!(report.contains(reason), "{reason} is missing in {report}");
    }
    for error in ["pull.forbidden: page 3", "jhe.session_expired"] {
        let error = format!("Ended early: {error}");
        assert!(report.contains(&error), "{error} is missing in {report}");
    }
    let secrets = watch::secrets(&journey.log());
    assert!(secrets.len() >= 6);
    let leaked = secrets.iter().find(|secret| report.contains(*secret));
    assert_eq!(leaked, None, "a secret is in {report}");
}

// Patients do things twice.

#[test]
fn a_second_run_finds_the_source_of_the_first_and_sends_nothing_again() {
    let journey = Journey::begin();
    let first = journey.connect();
    let second = journey.connect();

    assert!(first.source.is_new() && !second.source.is_new());
    assert_eq!(first.source.id, second.source.id);
    assert_eq!(journey.world().jhe.sources.len(), 1);
    let labs = journey.labs();
    let tally = second.ending.tally;
    assert_eq!(
        (tally.stored, tally.already_there as usize),
        (0, labs.len())
    );
    journey.has_arrived(&labs);
}

#[test]
fn a_later_run_sends_what_is_new_and_nothing_else() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 20);
    journey.connect();
    journey.world().give_labs(CAMILA.user, 32);
    let tally = journey.connect().ending.tally;

    assert_eq!((tally.stored, tally.already_there), (12, 20));
    journey.has_arrived(&journey.labs());
}

#[test]
fn rows_under_an_earlier_source_of_the_same_hospital_are_not_sent_again() {
    let journey = Journey::begin();
    journey.connect();
    for source in &mut journey.world().jhe.sources {
        source.data_source = 70_005;
    }
    let second = journey.connect();

    assert!(second.source.is_new());
    assert_eq!(second.ending.tally.stored, 0);
    journey.has_arrived(&journey.labs());
}

#[test]
fn rows_that_the_page_before_this_one_wrote_are_recognised_and_not_sent_again() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 23);
    let labs = journey.labs();
    write_as_they_come(&journey, &labs);
    let normalised = journey.rows().iter().any(|row| {
        row.sent.contains(r#""value":7.10"#) && row.stored.to_string().contains(r#""value":7.1}"#)
    });
    assert!(normalised, "JHE wrote no number in another way");
    let writes = journey.writes().len();
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!(import.ending.verdict(), Verdict::Complete);
    assert!(!import.source.is_new());
    assert_eq!((tally.stored, tally.already_there), (0, 23));
    assert_eq!(journey.writes().len(), writes);
    assert_eq!(journey.rows().len(), labs.len());
}

#[test]
fn rows_of_the_page_before_this_one_and_new_labs_come_together() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 23);
    write_as_they_come(&journey, &journey.first_labs(12));
    journey.tab.before("/FHIR/R5/Observation", 5, Tab::leave);
    journey.connect_and_leave();
    let import = journey.go_on();

    let tally = &import.ending.tally;
    assert_eq!(tally.stored + tally.already_there, 23);
    assert_eq!(journey.rows().len(), 23);
    let import = journey.connect();
    assert_eq!(import.ending.tally.already_there, 23);
    assert_eq!(journey.rows().len(), 23);
}

#[test]
fn the_lowest_source_of_this_hospital_and_data_source_is_taken() {
    let journey = Journey::begin();
    let iss = journey.iss();
    let other_base = format!("{iss}/");
    let expected = {
        let mut world = journey.world();
        let now = world.now();
        let mut add = |patient, data_source, base: &str| {
            let source = world
                .jhe
                .add_source(patient, data_source, "Epic / MyChart", base, now);
            source.id
        };
        add(FIRST_PATIENT, 70_005, &iss);
        add(FIRST_PATIENT, 70_006, &other_base);
        add(SECOND_PATIENT, 70_006, &iss);
        let expected = add(FIRST_PATIENT, 70_006, &iss);
        add(FIRST_PATIENT, 70_006, &iss);
        expected
    };
    let import = journey.connect();

    assert_eq!(import.source.id.header_value(), expected.to_string());
    assert!(!import.source.is_new());
    assert!(journey.rows().iter().all(|row| row.source == expected));
}

#[test]
fn a_reload_of_a_finished_run_tells_its_counts_and_sends_nothing() {
    let journey = Journey::begin();
    let import = journey.connect();
    let sent = journey.log().len();

    let Ok(Landed::Recalled(run)) = journey.reload() else {
        panic!("the run was not remembered");
    };
    assert_eq!(run.checkpoint.tally().stored, import.ending.tally.stored);
    assert_eq!(run.code, None);
    assert_eq!(journey.log().len(), sent);
}

#[test]
fn a_reload_after_the_tokens_are_gone_says_so_and_sends_nothing() {
    let journey = Journey::begin();
    journey.tab.before("/FHIR/R5/", 3, Tab::close);
    journey.connect_and_leave();
    session::forget_tokens(&journey.tab.store);
    let sent = journey.log().len();

    expect_code(journey.reload(), "callback.interrupted");
    assert_eq!(journey.rows().len(), 3);
    assert_eq!(journey.log().len(), sent);
}

#[test]
fn an_answer_that_is_opened_again_is_not_exchanged_again() {
    let journey = Journey::begin();
    let sign_in = journey.open_link().expect("the sign-in");
    let back = journey.sign_in(&sign_in, CAMILA, Decision::Allow);
    assert!(journey.open_callback(&journey.tab, &back).is_ok());
    let sent = journey.log().len();

    let another_tab = journey.tab.another();
    for tab in [&journey.tab, &another_tab] {
        expect_code(journey.open_callback(tab, &back), "callback.unknown_state");
    }
    assert_eq!(journey.log().len(), sent);
}

#[test]
fn a_code_that_another_tab_superseded_is_replaced_by_one_fresh_redemption() {
    let journey = Journey::begin();
    journey.tab.before("/o/token/", 0, redeem_in_another_tab);
    journey.connect();

    assert_eq!(journey.redemptions().len(), 3);
    assert_eq!(journey.requests(Server::Jhe, "POST", "/o/token/").len(), 2);
    journey.has_arrived(&journey.labs());
}

#[test]
fn a_patient_who_denies_has_made_a_choice_and_shares_nothing() {
    let journey = Journey::begin();
    let error = expect_code(
        journey.travel(CAMILA, Decision::Deny),
        "authorization.denied",
    );

    assert!(error.is_patients_choice());
    assert_eq!(journey.exchanges().len(), 0);
    journey.no_record_moved();
}

#[test]
fn a_patient_who_denied_connects_at_the_second_attempt() {
    let journey = Journey::begin();
    expect_code(
        journey.travel(CAMILA, Decision::Deny),
        "authorization.denied",
    );
    journey.connect();
    journey.has_arrived(&journey.labs());
}

// Writes whose outcome is not known.

#[test]
fn a_write_whose_answer_is_lost_is_settled_and_never_doubled() {
    for (fault, is_done) in [
        (Fault::LoseAnswer, true),
        (Fault::CutOff, true),
        (Fault::DropConnection, false),
        (maintenance(), false),
    ] {
        let journey = Journey::begin();
        journey.world().give_labs(CAMILA.user, 4);
        journey.fail(writes().after(1).once(), fault);
        let before = journey.tab.now();
        let import = journey.connect();

        journey.has_brought_all(&import);
        assert_eq!(journey.writes().len(), if is_done { 4 } else { 5 });
        assert_eq!(journey.read_backs().len(), 1);
        assert_eq!(journey.tab.now() - before, QUIET_MS);
    }
}

#[test]
fn a_web_page_in_place_of_jhes_answer_does_not_count_as_stored() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 3);
    journey.fail(writes().after(1).once(), web_page());
    let import = journey.connect();

    journey.has_brought_all(&import);
    assert_eq!(journey.writes().len(), 4);
    assert_eq!(journey.read_backs().len(), 1);
}

#[test]
fn a_record_at_which_jhe_fails_three_times_is_refused_and_stops_no_other() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 4);
    // It is the second one the first time, and alone the other times.
    for turn in [1, 4, 5] {
        journey.fail(
            writes().after(turn).once(),
            Fault::status(500, "text/html", "<h1>Server Error (500)</h1>"),
        );
    }
    let import = journey.connect();

    let tally = &import.ending.tally;
    assert_eq!(import.ending.verdict(), Verdict::Partly);
    assert_eq!(import.ending.way_on(), WayOn::None);
    assert_eq!((tally.stored, tally.refused, tally.unsettled), (3, 1, 0));
    assert_eq!(tally.reasons, [("HTTP 500: a web page".into(), 1)]);
    assert_eq!(journey.writes().len(), 6);
    let mut labs = journey.labs();
    labs.remove(1);
    journey.has_arrived(&labs);
}

#[test]
fn a_redirected_write_takes_neither_record_nor_token_along() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 2);
    journey.fail(writes().once(), redirect_to_evil(&journey));
    let import = journey.connect();

    journey.has_brought_all(&import);
    assert_eq!(journey.writes().len(), 3);
}

// A token goes where it was issued for, and nowhere else.

#[test]
fn a_next_link_that_leads_out_of_the_fhir_base_is_not_followed() {
    let links = [
        "{evil}{base}/Observation?sessionID=1",
        "//{evil-host}{base}/Observation",
        "{ehr}.evil.example{base}/Observation",
        "{ehr}@evil.example{base}/Observation",
        "http://user:password@{ehr-host}{base}/Observation",
        "https://{ehr-host}{base}/Observation",
        "{ehr}/interconnect/api/FHIR/DSTU2/Observation",
        "{ehr}{base}2/Observation",
        "{ehr}{base}/../../../oauth2/token",
        "{ehr}{base}/%2e%2e/R5/Observation",
        "{ehr}{base}/..%2fR5/Observation",
        "javascript:alert(1)",
        "data:application/fhir+json,{}",
        "http://",
    ];
    for link in links {
        let journey = Journey::begin();
        let (ehr, evil) = (journey.tab.sandbox.ehr(), journey.tab.sandbox.evil());
        let url = link
            .replace("{evil}", evil)
            .replace("{ehr}", ehr)
            .replace("{evil-host}", &evil.replace("http://", ""))
            .replace("{ehr-host}", &ehr.replace("http://", ""))
            .replace("{base}", FHIR_BASE);
        journey.world().settings.ehr.next_link = NextLink::Address { url };
        let import = journey.connect();

        assert_eq!(
            journey.error_of(&import).code(),
            "pull.next_refused",
            "{link}"
        );
        assert_eq!(journey.searches().len(), 1, "{link}");
        journey.has_arrived(&journey.first_labs(PAGE));
    }
}

#[test]
fn no_step_of_the_flow_follows_a_redirect() {
    let steps = [
        (redemption(), "invitation.unreachable"),
        (jhe_token(), "jhe_token.unreachable"),
        (
            Match::on(Server::Ehr).path(FHIR_BASE),
            "discovery.unreachable",
        ),
        (ehr_token(), "sign_in.unreachable"),
        (attachment(), "identifier.unreachable"),
        (profile(), "identifier.unreachable"),
        (sources(), "source.unreachable"),
        (registration(), "source.unreachable"),
    ];
    for (step, code) in steps {
        let journey = Journey::begin();
        journey.fail(step, redirect_to_evil(&journey));
        expect_code(journey.travel(CAMILA, Decision::Allow), code);
        journey.no_record_moved();
    }
}

#[test]
fn a_redirected_page_takes_no_token_along() {
    let journey = Journey::begin();
    journey.world().settings.ehr.next_link = NextLink::Redirect;
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "pull.unreachable");
    journey.has_arrived(&journey.first_labs(PAGE));
    journey.world().settings.ehr.next_link = NextLink::NextPage;
    journey.has_brought_all(&journey.go_on());
}

#[test]
fn a_grants_own_token_endpoint_is_not_believed() {
    let journey = Journey::begin();
    let (jhe, evil) = (journey.tab.sandbox.jhe(), journey.tab.sandbox.evil());
    let grant = json!({
        "grant": {"code": "a-code-of-nobody", "client_id": "C", "redirect_uri": format!("{jhe}/auth/callback")},
        "token_endpoint": format!("{evil}/o/token/"),
    });
    journey.fail(
        redemption(),
        Fault::status(200, "application/json", &grant.to_string()),
    );
    expect_code(journey.open_link().map(drop), "jhe_token.invalid_client");
    assert_eq!(journey.requests(Server::Jhe, "POST", "/o/token/").len(), 1);
}

#[test]
fn further_pages_of_jhes_list_of_sources_are_asked_at_jhe() {
    let journey = Journey::begin();
    let next = format!("{}/api/v1/fhir_sources?page=2", journey.tab.sandbox.evil());
    let list = json!({"count": 0, "next": next, "previous": null, "results": []});
    journey.fail(
        sources().once(),
        Fault::status(200, "application/json", &list.to_string()),
    );
    journey.connect();

    let asked = journey.requests(Server::Jhe, "GET", "/api/v1/fhir_sources");
    let asked: Vec<_> = asked.iter().map(|it| it.target.as_str()).collect();
    // By the connect page, and then by the callback page.
    let (first, second) = ("/api/v1/fhir_sources", "/api/v1/fhir_sources?page=2");
    assert_eq!(asked, [first, second, first]);
}

#[test]
fn the_jhe_token_is_revoked_at_the_end_if_the_study_wants_it() {
    for (wish, revocations) in [(json!(true), 1), (json!(false), 0), (Value::Null, 0)] {
        let journey = Journey::begin();
        journey.is_configured_further("revokeToken", wish);
        journey.connect();

        let revoked = journey.requests(Server::Jhe, "POST", "/o/revoke_token/");
        assert_eq!(revoked.len(), revocations);
        let log = journey.log();
        let token = log.iter().find_map(|it| {
            it.header("x-jhe-fhir-source-id")
                .and(it.header("authorization"))
        });
        let answer = network()
            .get(format!(
                "{}/api/v1/users/profile",
                journey.tab.sandbox.jhe()
            ))
            .header("authorization", token.expect("a token"))
            .call();
        let expected = if revocations > 0 { 401 } else { 200 };
        assert_eq!(answer.expect("an answer").status(), expected);
        journey.has_arrived(&journey.labs());
    }
}

#[test]
fn the_jhe_token_is_not_revoked_while_a_run_can_go_on() {
    let journey = Journey::begin();
    journey.is_configured_further("revokeToken", json!(true));
    journey.fail(pages_of_search().after(1), maintenance());
    let import = journey.connect();

    assert_eq!(import.ending.way_on(), WayOn::TryAgain);
    let revoked = || {
        journey
            .requests(Server::Jhe, "POST", "/o/revoke_token/")
            .len()
    };
    assert_eq!(revoked(), 0);
    journey.is_well_again();
    journey.has_brought_all(&journey.go_on());
    assert_eq!(revoked(), 1);
}

#[test]
fn iss_and_client_id_in_the_pages_address_are_ignored() {
    let journey = Journey::begin();
    let host = journey.tab.sandbox.jhe().replace("http://", "");
    let (evil, token) = (journey.tab.sandbox.evil(), &journey.invitation);
    journey.is_opened_with(&format!(
        "?code={host}_{token}&iss={evil}&clientId=evil&client_id=evil&launch=evil&aud={evil}"
    ));
    let sign_in = journey.open_link().expect("the sign-in");
    assert!(
        !sign_in.contains("evil") && !sign_in.contains("launch="),
        "{sign_in}"
    );
}

#[test]
fn the_watch_would_notice_what_it_looks_for() {
    let journey = Journey::begin();
    journey.connect();
    // Two bearer tokens, two codes, two verifiers.
    assert_eq!(watch::secrets(&journey.log()).len(), 6);
}

// A session ends in the middle.

#[test]
fn a_jhe_session_that_ends_while_importing_keeps_what_arrived() {
    let journey = Journey::begin();
    journey.tab.before("/FHIR/R5/", 13, end_jhe_session);
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "jhe.session_expired");
    let tally = &import.ending.tally;
    assert_eq!(import.ending.verdict(), Verdict::Partly);
    assert_eq!((tally.stored, tally.refused, tally.unsettled), (13, 0, 0));
    assert_eq!(tally.stored + tally.unsent, tally.found);
    assert!(
        journey.writes().len() < 13 + MOST_WRITES_AT_ONCE,
        "more is written with a dead token than was under way"
    );
    assert_eq!(import.ending.way_on(), WayOn::None);
    journey.has_arrived(&journey.first_labs(13));
}

#[test]
fn the_link_opened_again_after_a_session_ended_brings_the_rest() {
    let journey = Journey::begin();
    journey.tab.before("/FHIR/R5/", 13, end_jhe_session);
    let first = journey.connect();
    let second = journey.connect();

    assert_eq!(second.ending.verdict(), Verdict::Complete);
    assert_eq!(first.source.id, second.source.id);
    assert_eq!(second.ending.tally.already_there, 13);
    journey.has_arrived(&journey.labs());
}

#[test]
fn a_hospital_that_fails_for_a_while_costs_nothing_but_time() {
    let journey = Journey::begin();
    journey.fail(pages_of_search().after(1).times(3), maintenance());
    journey.fail(pages_of_search().after(6).once(), Fault::CutOff);
    let before = journey.tab.now();
    let import = journey.connect();

    assert_eq!(import.ending.verdict(), Verdict::Complete);
    assert!(
        journey.tab.now() - before >= 3_500,
        "no wait between the tries"
    );
    journey.has_arrived(&journey.labs());
}

#[test]
fn a_session_at_the_hospital_that_ends_while_importing_keeps_what_was_fetched() {
    let journey = Journey::begin();
    journey.tab.before("sessionID=", 0, |tab| {
        tab.sandbox.world().ehr.expire_tokens()
    });
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "pull.signed_out");
    assert_eq!(import.ending.way_on(), WayOn::SignIn);
    journey.has_arrived(&journey.first_labs(PAGE));
    journey.has_brought_all(&journey.go_on_signed_in_as(CAMILA));
}

#[test]
fn a_jhe_that_stops_answering_is_not_tried_with_every_record_that_is_left() {
    let journey = Journey::begin();
    journey.fail(writes().after(5), Fault::DropConnection);
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "jhe.failing");
    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.unsettled, tally.refused), (5, 0, 0));
    assert_eq!(tally.stored + tally.unsent, tally.found);
    // Each time as many are lost as are under way before that is noticed.
    assert_eq!(journey.read_backs().len(), 3);
    assert!(journey.writes().len() < 5 + 3 * (3 + MOST_WRITES_AT_ONCE));
    journey.has_arrived(&journey.first_labs(5));

    assert_eq!(import.ending.way_on(), WayOn::TryAgain);
    journey.is_well_again();
    journey.has_brought_all(&journey.go_on());
}

#[test]
fn a_device_that_goes_offline_while_importing_keeps_what_arrived() {
    let journey = Journey::begin();
    journey.tab.before("/FHIR/R5/", 13, Tab::go_offline);
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "browser.offline");
    let tally = &import.ending.tally;
    assert_eq!(tally.stored, 13);
    assert!((1..=MOST_WRITES_AT_ONCE).contains(&(tally.unsettled as usize)));
    assert_eq!(tally.stored + tally.not_saved(), tally.found);
    journey.has_arrived(&journey.first_labs(13));

    assert_eq!(import.ending.way_on(), WayOn::TryAgain);
    journey.tab.go_online();
    journey.has_brought_all(&journey.go_on());
}

#[test]
fn a_record_stays_unsettled_only_if_jhe_does_not_say_what_it_holds() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 4);
    journey.fail(writes().after(1).once(), Fault::LoseAnswer);
    journey.fail(read_backs(), maintenance());
    let import = journey.connect();

    assert_eq!(journey.error_of(&import).code(), "inventory.refused");
    let tally = &import.ending.tally;
    assert_eq!((tally.stored, tally.unsettled, tally.unsent), (3, 1, 0));
    assert_eq!(journey.read_backs().len(), 5);
    assert_eq!(import.ending.way_on(), WayOn::TryAgain);
    journey.is_well_again();
    journey.has_brought_all(&journey.go_on());
}

// Every error of the core that can occur without a browser. Each is provoked, ends with its code, and writes nothing
// where nothing may be written.

/// Makes a test of each line, and a list of all its codes.
macro_rules! provoked {
    ($codes:ident, $how:ident, { $($name:ident: $code:literal, $provoke:expr;)* }) => {
        const $codes: &[&str] = &[$($code),*];
        $(
            #[test]
            fn $name() {
                $how($code, $provoke);
            }
        )*
    };
}

provoked!(ON_THE_CONNECT_PAGE, the_connect_page_stops, {
    a_page_without_iss_says_so: "config.missing", |j| j.world().settings.jhe.page.iss.clear();
    a_page_without_client_id_says_so: "config.missing", |j| j.world().settings.jhe.page.client_id.clear();
    a_page_without_data_source_says_so: "config.missing", |j| j.world().settings.jhe.page.data_source_id.clear();
    a_configuration_that_is_no_json_is_told: "config.malformed", |j| j.is_configured_with("{deployment");
    a_live_page_that_asks_for_the_test_mode_is_refused: "config.demo_refused", |j| j.is_configured_further("demo", true.into());
    a_browser_that_blocks_storage_is_told: "browser.storage_blocked", |j| j.tab.store.is_blocked.set(true);
    a_device_that_is_offline_is_told: "browser.offline", |j| j.tab.go_offline();
    a_device_that_goes_offline_before_discovery_is_told: "browser.offline", |j| j.tab.before("smart-configuration", 0, Tab::go_offline);

    a_link_without_invitation_is_told: "invitation.missing", |j| j.is_opened_with("");
    a_malformed_invitation_is_told: "invitation.malformed", |j| j.is_opened_with("?code=no-token-here");
    an_invitation_for_another_host_is_told: "invitation.other_host", |j| {
        j.world().settings.jhe.site_host = "jhe.example".into();
        j.is_invited_by(&j.invitation, Layout::DropIn);
    };
    an_unknown_invitation_is_told: "invitation.unknown", |j| j.is_invited_by(&"0".repeat(32), Layout::DropIn);
    a_used_invitation_is_told: "invitation.used", |j| j.world().use_up_invitation(&j.invitation);
    a_superseded_invitation_is_told: "invitation.used", |j| drop(j.world().mint_invitation(FIRST_PATIENT));
    an_expired_invitation_is_told: "invitation.expired", |j| j.world().expire_invitation(&j.invitation);
    a_cancelled_invitation_is_told: "invitation.cancelled", |j| j.world().cancel_invitation(&j.invitation);
    a_patient_without_login_is_told: "invitation.no_login", |j| {
        let token = j.world().mint_invitation(PATIENT_WITHOUT_LOGIN);
        j.is_invited_by(&token, Layout::DropIn);
    };
    another_answer_to_the_invitation_is_told: "invitation.refused", |j| j.fail(redemption(), maintenance());
    an_unreachable_jhe_is_told: "invitation.unreachable", |j| j.fail(redemption(), Fault::DropConnection);

    a_grant_that_is_refused_twice_is_told: "jhe_token.invalid_grant", |j| j.fail(jhe_token(), refusal("invalid_grant", ""));
    a_grant_that_waited_too_long_is_told: "jhe_token.invalid_grant", |j| j.world().settings.jhe.code_seconds = -1;
    a_mismatching_redirect_uri_is_told: "jhe_token.redirect_mismatch", |j| j.fail(jhe_token(), refusal("invalid_request", "Mismatching redirect URI."));
    a_refused_jhe_client_is_told: "jhe_token.invalid_client", |j| j.fail(jhe_token(), refusal("invalid_client", ""));
    another_refusal_of_the_jhe_token_is_told: "jhe_token.refused", |j| j.fail(jhe_token(), refusal("unsupported_grant_type", ""));
    a_failing_jhe_token_endpoint_is_told: "jhe_token.refused", |j| j.fail(jhe_token(), maintenance());
    a_jhe_token_answer_that_is_no_json_is_told: "jhe_token.malformed", |j| j.fail(jhe_token(), web_page());
    an_unreachable_jhe_token_endpoint_is_told: "jhe_token.unreachable", |j| j.fail(jhe_token(), Fault::DropConnection);

    an_iss_that_is_not_https_is_refused: "discovery.insecure_issuer", |j| j.world().settings.jhe.page.iss = "http://ehr.example/R4".into();
    an_unreachable_hospital_is_told: "discovery.unreachable", |j| j.fail(Match::on(Server::Ehr), Fault::DropConnection);
    a_hospital_without_discovery_is_told: "discovery.not_found", |j| serve_both(j, Document::NotFound);
    a_discovery_document_that_is_no_json_is_told: "discovery.not_json", |j| serve_both(j, Document::Html);
    a_discovery_document_that_is_refused_is_told: "discovery.refused", |j| j.fail(Match::on(Server::Ehr), maintenance());
    a_discovery_document_without_endpoints_is_told: "discovery.incomplete", |j| {
        j.world().settings.ehr.discovery.metadata = Document::NotFound;
        announce(j, "token_endpoint", Value::Null);
    };
    an_endpoint_that_is_not_https_is_refused: "discovery.insecure_endpoint", |j| announce(j, "token_endpoint", json!("http://ehr.example/token"));
    a_hospital_without_s256_is_refused: "discovery.no_s256", |j| announce(j, "code_challenge_methods_supported", json!(["plain"]));
    a_hospital_whose_records_cannot_be_read_is_told: "discovery.not_readable", |j| j.fail(Match::on(Server::Ehr).path("metadata"), Fault::DropConnection);
});

provoked!(IN_THE_LIST, the_list_is_missing, {
    a_list_that_is_refused_is_told: "brands.refused", |j| j.fail(brands(), maintenance());
    a_list_that_is_no_json_is_told: "brands.refused", |j| j.fail(brands(), web_page());
    a_list_that_is_cut_off_is_told: "brands.unreachable", |j| j.fail(brands(), Fault::CutOff);
    a_list_without_connection_is_told: "brands.unreachable", |j| j.fail(brands(), Fault::DropConnection);
    a_redirected_list_is_not_followed: "brands.unreachable", |j| j.fail(brands(), redirect_to_evil(j));
    a_device_that_goes_offline_before_the_list_is_told: "browser.offline", |j| j.tab.before("/brands", 0, Tab::go_offline);
    a_session_that_ends_before_the_list_is_not_none_found: "jhe.session_expired", |j| j.tab.before("/brands", 0, end_jhe_session);
});

provoked!(BEFORE_THE_CODE, the_answer_is_refused, {
    a_refused_scope_at_the_authorization_is_told: "authorization.invalid_scope", |j| refuse_sign_in(j, "invalid_scope");
    another_authorization_error_is_told: "authorization.refused", |j| refuse_sign_in(j, "server_error");
    a_denial_is_told: "authorization.denied", |j| refuse_sign_in(j, "access_denied");
    an_answer_without_state_is_refused: "callback.no_state", |j| j.is_answered_with("?code=c");
    an_answer_with_a_foreign_state_is_refused: "callback.unknown_state", |j| j.is_answered_with("?code=c&state=foreign");
    a_foreign_state_is_refused_even_when_it_carries_an_error: "callback.unknown_state", |j| j.is_answered_with("?error=access_denied&state=foreign");
    a_repeated_parameter_is_refused: "callback.malformed", |j| j.is_answered_with("?code=a&code=b&state={state}");
    code_and_error_together_are_refused: "callback.malformed", |j| j.is_answered_with("?code=a&error=access_denied&state={state}");
    neither_code_nor_error_is_no_answer: "callback.malformed", |j| j.is_answered_with("?state={state}");
    an_answer_of_another_issuer_is_refused: "callback.other_issuer", |j| j.world().settings.ehr.response_iss = Some("https://other.example".into());
    an_answer_that_comes_too_late_is_refused: "callback.expired", |j| j.tab.let_pass(PENDING_LIMIT_MS + 1);
    a_callback_page_opened_by_itself_is_told: "callback.nothing_pending", |j| j.is_answered_with("");
    a_device_that_goes_offline_at_the_hospital_is_told: "browser.offline", |j| j.tab.go_offline();
    an_answer_without_the_jhe_session_is_not_redeemed: "jhe.session_missing", |j| session::forget_tokens(&j.tab.store);
});

provoked!(BEFORE_ANY_RECORD, the_callback_page_stops, {
    a_code_that_waited_too_long_is_told: "sign_in.refused", |j| j.world().settings.ehr.code_seconds = -1;
    a_failing_token_endpoint_is_told: "sign_in.refused", |j| j.fail(ehr_token(), maintenance());
    a_refused_scope_at_the_token_endpoint_is_told: "sign_in.invalid_scope", |j| j.fail(ehr_token(), refusal("invalid_scope", ""));
    an_unreachable_token_endpoint_is_told: "sign_in.unreachable", |j| j.fail(ehr_token(), Fault::DropConnection);
    a_token_answer_that_is_cut_off_is_not_asked_for_again: "sign_in.unreachable", |j| j.fail(ehr_token(), Fault::CutOff);
    a_token_answer_that_is_no_json_is_told: "sign_in.malformed", |j| j.fail(ehr_token(), web_page());
    a_sign_in_without_patient_is_told: "sign_in.no_patient", |j| j.world().settings.ehr.omit_patient = true;
    an_identity_of_another_issuer_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::OtherIssuer);
    an_identity_for_another_app_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::OtherAudience);
    an_identity_for_another_party_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::OtherParty);
    an_identity_of_another_sign_in_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::OtherNonce);
    an_identity_that_is_not_signed_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::AlgNone);
    an_identity_signed_with_the_public_key_as_secret_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::Hs256);
    an_identity_signed_by_another_key_is_refused: "sign_in.forged_identity", |j| identity_is(j, IdentityFault::OtherKey);
    a_sign_in_without_observation_is_told: "sign_in.no_observation_scope", |j| j.world().settings.ehr.granted_scopes = Some("openid patient/Patient.read".into());

    an_identifier_of_another_patient_is_told_although_jhe_hides_it: "identifier.conflict", |j| {
        let (iss, id) = (j.iss(), j.patient_id());
        j.world().attach_identifier(SECOND_PATIENT, &iss, &id);
    };
    a_conflict_that_jhe_names_is_told: "identifier.conflict", |j| j.fail(attachment(), json_answer(409, r#"{"error":"taken"}"#));
    a_refused_identifier_is_told: "identifier.refused", |j| j.fail(attachment(), json_answer(400, r#"{"error":"system and value are required"}"#));
    a_profile_that_is_no_json_is_no_agreement: "identifier.refused", |j| j.fail(profile(), web_page());
    an_identifier_for_no_patient_is_told: "identifier.not_a_patient", |j| j.fail(attachment(), json_answer(400, r#"{"error":"Authenticated user is not a patient"}"#));
    an_unreachable_identifier_endpoint_is_told: "identifier.unreachable", |j| j.fail(attachment(), Fault::DropConnection);
    an_unreachable_profile_is_told: "identifier.unreachable", |j| j.fail(profile(), Fault::DropConnection);

    an_unknown_data_source_is_told: "source.data_source_unknown", |j| j.world().settings.jhe.data_sources.clear();
    a_data_source_that_jhe_misses_is_told: "source.data_source_missing", |j| j.fail(registration(), json_answer(400, r#"{"dataSource":["This field may not be null."]}"#));
    a_source_for_no_patient_is_told: "source.not_a_patient", |j| j.fail(registration(), json_answer(403, r#"{"detail":"Only patient users can register a FhirSource."}"#));
    a_refused_source_is_told: "source.refused", |j| j.fail(registration(), json_answer(415, r#"{"detail":"Unsupported media type."}"#));
    a_list_of_sources_that_is_no_json_is_told: "source.refused", |j| j.fail(sources(), web_page());
    an_unreachable_source_endpoint_is_told: "source.unreachable", |j| j.fail(registration(), Fault::DropConnection);

    a_device_that_goes_offline_before_the_source_is_told: "browser.offline", |j| j.tab.before("/fhir_sources", 0, Tab::go_offline);

    a_jhe_session_that_ended_at_the_hospital_is_told: "jhe.session_expired", |j| j.world().expire_jhe_tokens();
    a_jhe_session_that_ends_before_the_profile_is_told: "jhe.session_expired", |j| j.tab.before("/profile", 0, end_jhe_session);
    a_jhe_session_that_ends_before_the_sources_are_listed_is_told: "jhe.session_expired", |j| j.tab.before("/fhir_sources", 0, end_jhe_session);
    a_jhe_session_that_ends_before_the_source_is_registered_is_told: "jhe.session_expired", |j| j.tab.before("/fhir_sources", 1, end_jhe_session);
});

provoked!(BEFORE_ANY_WRITE, nothing_is_written, {
    an_inventory_that_is_refused_is_told: "inventory.refused", |j| with_earlier_source(j, maintenance());
    an_inventory_that_is_no_json_is_told: "inventory.refused", |j| with_earlier_source(j, web_page());
    an_inventory_that_is_cut_off_is_told: "inventory.unreachable", |j| with_earlier_source(j, Fault::CutOff);
    an_inventory_without_connection_is_told: "inventory.unreachable", |j| with_earlier_source(j, Fault::DropConnection);
    a_session_that_ends_before_the_inventory_is_told: "jhe.session_expired", |j| with_earlier_source(j, json_answer(401, "{}"));
});

provoked!(ON_THE_FIRST_PAGE, nothing_is_fetched, {
    a_search_that_is_refused_is_told: "pull.refused", |j| j.fail(pages_of_search(), outcome(400, "invalid"));
    a_search_that_is_too_wide_is_told: "pull.too_wide", |j| j.fail(pages_of_search(), outcome(400, "required"));
    a_search_that_is_forbidden_is_told: "pull.forbidden", |j| j.fail(pages_of_search(), outcome(403, "forbidden"));
    a_hospital_that_signed_the_patient_out_is_told: "pull.signed_out", |j| j.world().settings.ehr.token_seconds = -1;
    a_hospital_that_cannot_be_reached_any_more_is_told: "pull.unreachable", |j| j.fail(pages_of_search(), Fault::DropConnection);
    a_device_that_goes_offline_before_the_first_page_is_told: "browser.offline", |j| j.tab.before("/Observation?patient=", 0, Tab::go_offline);
    a_first_page_that_is_cut_off_is_told: "pull.cut_off", |j| j.fail(pages_of_search(), Fault::CutOff);
});

provoked!(ON_A_LATER_PAGE, the_first_page_is_kept, {
    a_page_link_that_expired_keeps_what_was_fetched: "pull.refused", |j| j.world().settings.ehr.page_link_seconds = -1;
    a_hospital_with_an_internal_error_keeps_what_was_fetched: "pull.server_error", |j| j.fail(pages_of_search().after(1), maintenance());
    a_hospital_that_is_too_busy_keeps_what_was_fetched: "pull.busy", |j| j.fail(pages_of_search().after(1), json_answer(429, "{}"));
    a_page_that_is_html_keeps_what_was_fetched: "pull.not_fhir", |j| j.fail(pages_of_search().after(1), web_page());
    a_page_that_is_an_empty_string_keeps_what_was_fetched: "pull.not_fhir", |j| j.fail(pages_of_search().after(1), json_answer(200, "\"\""));
    a_page_that_is_cut_off_keeps_what_was_fetched: "pull.cut_off", |j| j.fail(pages_of_search().after(1), Fault::CutOff);
    a_page_that_is_too_long_keeps_what_was_fetched: "pull.too_long", |j| j.fail(pages_of_search().after(1), too_long());
    a_lost_connection_keeps_what_was_fetched: "pull.unreachable", |j| j.fail(pages_of_search().after(1), Fault::DropConnection);
    a_next_link_to_another_origin_keeps_what_was_fetched: "pull.next_refused", |j| j.world().settings.ehr.next_link = NextLink::OtherOrigin;
    a_next_link_to_another_path_keeps_what_was_fetched: "pull.next_refused", |j| j.world().settings.ehr.next_link = NextLink::OtherPath;
    a_next_link_to_its_own_page_keeps_what_was_fetched: "pull.next_loop", |j| j.world().settings.ehr.next_link = NextLink::ItsOwnPage;
});

/// What has a test of its own above.
const ELSEWHERE: &[&str] = &[
    "callback.interrupted",
    "callback.other_patient",
    "jhe.failing",
    "jhe.unreachable",
];

/// What only a browser can find out.
const NEEDS_A_BROWSER: &[&str] = &[
    "browser.insecure_context",
    "browser.no_webassembly",
    "browser.load_failed",
    // Other tabs are known by a lock of the browser's.
    "callback.other_tab",
];

#[test]
fn every_code_of_the_core_is_provoked() {
    // Each literal of the form `phase.case`.
    let is_word = |text: &str| {
        let fits = |b: u8| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit();
        !text.is_empty() && text.bytes().all(fits)
    };
    let is_code = |text: &&str| {
        let parts = text.split_once('.');
        parts.is_some_and(|(phase, case)| is_word(phase) && is_word(case))
    };
    let sources = [
        include_str!("../src/error.rs"),
        include_str!("../src/fhir/pager.rs"),
    ];
    let literals = sources.iter().flat_map(|source| source.split('"'));
    let codes: BTreeSet<_> = literals.filter(is_code).collect();
    let provoked: BTreeSet<_> = [
        ON_THE_CONNECT_PAGE,
        IN_THE_LIST,
        BEFORE_THE_CODE,
        BEFORE_ANY_RECORD,
        BEFORE_ANY_WRITE,
        ON_THE_FIRST_PAGE,
        ON_A_LATER_PAGE,
        ELSEWHERE,
        NEEDS_A_BROWSER,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect();
    assert_eq!(codes, provoked);
}

type Provoke = fn(&Journey);

/// The patient is not sent to the hospital, and JHE's token was used for nothing but their own sources.
fn the_connect_page_stops(code: &str, provoke: Provoke) {
    let journey = Journey::begin();
    provoke(&journey);
    expect_code(journey.open_link().map(drop), code);

    journey.tab.store.is_blocked.set(false);
    assert!(
        matches!(session::take_launch(&journey.tab.store), Ok(None)),
        "a sign-in is pending"
    );
    watch::check_keys(&journey.tab.store.entries());
    let mut log = journey.log();
    log.retain(|request| request.header("authorization").is_some());
    // Where the patient was before.
    log.retain(|request| (request.method.as_str(), request.target.as_str()) != SOURCES);
    assert!(log.is_empty(), "a token was used: {log:?}");
    journey.no_record_moved();
}

const SOURCES: (&str, &str) = ("GET", "/api/v1/fhir_sources");

/// The patient is not sent to a hospital, and the link leads there when all is well again.
fn the_list_is_missing(code: &str, provoke: Provoke) {
    let journey = patient_access::with(3);
    journey.lists_hospitals(Vendor::Epic.facility_name());
    provoke(&journey);
    expect_code(journey.open_link().map(drop), code);

    assert!(journey.tab.store.entries().is_empty(), "something is kept");
    journey.no_record_moved();
    journey.is_well_again();
    patient_access::has_brought_all(&journey, &journey.connect());
}

/// No code is exchanged.
fn the_answer_is_refused(code: &str, provoke: Provoke) {
    let journey = the_callback_page_refuses(code, provoke);
    assert_eq!(journey.exchanges().len(), 0, "a code was exchanged");
}

/// A code is exchanged, and no record moves. Only if the network stood in the way a reload goes on.
fn the_callback_page_stops(code: &str, provoke: Provoke) {
    let journey = the_callback_page_refuses(code, provoke);
    assert_eq!(journey.exchanges().len(), 1);
    let may_go_on = [
        "identifier.unreachable",
        "source.unreachable",
        "browser.offline",
    ];
    if may_go_on.contains(&code) {
        journey.is_well_again();
        journey.has_brought_all(&journey.go_on());
        assert_eq!(journey.exchanges().len(), 1);
    } else {
        watch::check_keys(&journey.tab.store.entries());
        assert!(journey.reload().is_err());
        journey.no_record_moved();
    }
}

fn the_callback_page_refuses(code: &str, provoke: Provoke) -> Journey {
    let journey = Journey::begin();
    let sign_in = journey.open_link().expect("the sign-in");
    provoke(&journey);
    let back = journey.sign_in(&sign_in, CAMILA, Decision::Allow);
    expect_code(journey.open_callback(&journey.tab, &back), code);

    journey.no_record_moved();
    journey
}

/// Records are fetched, and none of them is written.
fn nothing_is_written(code: &str, provoke: Provoke) {
    let journey = Journey::begin();
    let import = a_run_ends(&journey, code, provoke);
    let tally = &import.ending.tally;
    assert_eq!(
        (tally.unsent, tally.not_saved()),
        (tally.found, tally.found)
    );
    assert_eq!(import.ending.verdict(), Verdict::Failed);
    assert_eq!(journey.writes().len(), 0);
    it_goes_on_or_not(&journey, &import);
}

/// The run ends without any row.
fn nothing_is_fetched(code: &str, provoke: Provoke) {
    let journey = Journey::begin();
    let import = a_run_ends(&journey, code, provoke);
    assert_eq!(import.ending.verdict(), Verdict::Failed);
    assert_eq!(journey.writes().len(), 0);
    it_goes_on_or_not(&journey, &import);
}

/// The run ends with the first page's records in JHE.
fn the_first_page_is_kept(code: &str, provoke: Provoke) {
    let journey = Journey::begin();
    let import = a_run_ends(&journey, code, provoke);
    assert_eq!(import.ending.verdict(), Verdict::Partly);
    journey.has_arrived(&journey.first_labs(PAGE));
    it_goes_on_or_not(&journey, &import);
}

/// What may pass has the patient go on in the same tab, without a second sign-in if there is no need to, until all labs
/// are there. Anything else ends the run.
fn it_goes_on_or_not(journey: &Journey, import: &Import) {
    let code = journey.error_of(import).code();
    let way_on = match code {
        "pull.busy"
        | "pull.server_error"
        | "pull.cut_off"
        | "pull.unreachable"
        | "browser.offline"
        | "inventory.refused"
        | "inventory.unreachable" => WayOn::TryAgain,
        "pull.signed_out" => WayOn::SignIn,
        _ => WayOn::None,
    };
    assert_eq!(import.ending.way_on(), way_on);
    match way_on {
        WayOn::TryAgain => {
            journey.is_well_again();
            journey.has_brought_all(&journey.go_on());
            assert_eq!(journey.exchanges().len(), 1);
        }
        WayOn::SignIn => {
            journey.is_well_again();
            journey.has_brought_all(&journey.go_on_signed_in_as(CAMILA));
        }
        WayOn::None if import.ending.verdict() == Verdict::Failed => {
            expect_code(journey.reload(), "callback.nothing_pending");
        }
        WayOn::None => {
            let Ok(Landed::Recalled(run)) = journey.reload() else {
                panic!("the run was not remembered");
            };
            assert_eq!(run.code.as_deref(), Some(code));
        }
    }
}

fn a_run_ends(journey: &Journey, code: &str, provoke: Provoke) -> Import {
    provoke(journey);
    let import = journey.connect();
    assert_eq!(journey.error_of(&import).code(), code);
    import
}

fn expect_code<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) -> Error {
    let error = result.expect_err(code);
    assert_eq!(error.code(), code, "{error}");
    error
}

// Which requests.

fn redemption() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/api/v1/invitation/")
}

fn brands() -> Match {
    Match::on(Server::Jhe)
        .method("GET")
        .path("/api/v1/patient-access/brands")
}

fn jhe_token() -> Match {
    Match::on(Server::Jhe).method("POST").path("/o/token/")
}

fn ehr_token() -> Match {
    Match::on(Server::Ehr).method("POST").path("/oauth2/token")
}

fn attachment() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/api/v1/mychart/identifier")
}

fn profile() -> Match {
    Match::on(Server::Jhe).path("/api/v1/users/profile")
}

/// There is a source of this hospital, and what is under it can't be read back.
fn with_earlier_source(journey: &Journey, fault: Fault) {
    let iss = journey.iss();
    let mut world = journey.world();
    let now = world.now();
    let jhe = &mut world.jhe;
    jhe.add_source(FIRST_PATIENT, 70_006, "Epic / MyChart", &iss, now);
    drop(world);
    journey.fail(read_backs(), fault);
}

fn read_backs() -> Match {
    Match::on(Server::Jhe).method("GET").path("/FHIR/R5/")
}

fn sources() -> Match {
    Match::on(Server::Jhe)
        .method("GET")
        .path("/api/v1/fhir_sources")
}

fn registration() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/api/v1/fhir_sources")
}

fn pages_of_search() -> Match {
    Match::on(Server::Ehr).method("GET").path("/Observation")
}

fn writes() -> Match {
    Match::on(Server::Jhe)
        .method("POST")
        .path("/FHIR/R5/Observation")
}

// What happened before.

/// Labs are written as the page before this one did it: under a source of the hospital, and without an identifier.
fn write_as_they_come(journey: &Journey, labs: &[String]) {
    let (iss, jhe) = (journey.iss(), journey.tab.sandbox.jhe().to_owned());
    let (token, source) = {
        let mut world = journey.world();
        let now = world.now();
        let label = "Epic / MyChart";
        let source = world
            .jhe
            .add_source(FIRST_PATIENT, 70_006, label, &iss, now);
        let token = world.mint_patient_token(FIRST_PATIENT);
        (token.expect("a token"), source.id)
    };
    for lab in labs {
        let written = network()
            .post(format!("{jhe}/FHIR/R5/Observation"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("x-jhe-fhir-source-id", source.to_string())
            .send(lab);
        assert_eq!(written.expect("an answer").status(), 201);
    }
}

// What happens to them.

fn json_answer(status: u16, body: &str) -> Fault {
    Fault::status(status, "application/json", body)
}

fn refusal(error: &str, description: &str) -> Fault {
    let body = json!({"error": error, "error_description": description});
    json_answer(
        if error == "invalid_client" { 401 } else { 400 },
        &body.to_string(),
    )
}

fn outcome(status: u16, code: &str) -> Fault {
    let issue = json!([{"severity": "fatal", "code": code}]);
    let body = json!({"resourceType": "OperationOutcome", "issue": issue});
    Fault::status(status, "application/fhir+json", &body.to_string())
}

/// Too many requests; the server wants to be left alone for so many seconds.
fn busy(seconds: &str) -> Fault {
    json_answer(429, "{}").with_header("retry-after", seconds)
}

fn maintenance() -> Fault {
    Fault::status(503, "text/html", "<h1>Back soon</h1>")
}

fn web_page() -> Fault {
    Fault::status(200, "text/html", "<h1>Welcome</h1>")
}

/// A page of a hundred megabytes.
fn too_long() -> Fault {
    let start = r#"{"resourceType":"Bundle","type":"searchset","entry":[{}"#;
    Fault::long(start, ",{                 }", 5_000_000, "]}")
}

fn redirect_to_evil(journey: &Journey) -> Fault {
    let location = format!("{}/", journey.tab.sandbox.evil());
    Fault::Redirect { location }
}

fn end_jhe_session(tab: &Tab) {
    tab.sandbox.world().expire_jhe_tokens();
}

fn redeem_in_another_tab(tab: &Tab) {
    let redemption = {
        let world = tab.sandbox.world();
        let invitation = world.jhe.invitations.last().expect("an invitation");
        let jhe = tab.sandbox.jhe();
        format!("{jhe}/api/v1/invitation/{}", invitation.token)
    };
    assert!(network().post(redemption).send_empty().is_ok());
}

fn announce(journey: &Journey, member: &str, value: Value) {
    let discovery = &mut journey.world().settings.ehr.discovery;
    discovery.overrides.insert(member.to_owned(), value);
}

fn serve_both(journey: &Journey, document: Document) {
    let discovery = &mut journey.world().settings.ehr.discovery;
    discovery.smart_configuration = document;
    discovery.metadata = document;
}

/// The hospital tells who signed in, by a clock that agrees with the patient's.
fn tells_who(journey: &Journey) {
    let theirs = journey.tab.now() / 1000;
    let machine = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let mut world = journey.world();
    world.settings.clock_offset_seconds = theirs.cast_signed() - machine.cast_signed();
    let scope = format!("fhirUser {}", sandbox::SEED_SCOPES);
    world.settings.ehr.granted_scopes = Some(scope);
}

/// The hospital tells who signed in, with this fault.
fn identity_is(journey: &Journey, fault: IdentityFault) {
    tells_who(journey);
    journey.world().settings.ehr.identity.fault = Some(fault);
}

fn refuse_sign_in(journey: &Journey, error: &str) {
    journey.world().settings.ehr.authorize_error = Some(AuthorizeError {
        error: error.to_owned(),
        description: None,
    });
}
