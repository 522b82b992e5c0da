//! The access to the hospital ends before everything is read: its token, or the links from page to page.

use jhe_connect::import::WayOn;
use jhe_connect::session;
use jhe_connect::smart::context::LaunchContext;
use jhe_connect::url::Url;
use sandbox::{FIRST_PATIENT, Fault, LoggedRequest, RefreshTokens, Server};
use url::form_urlencoded;

use super::hospital::{CAMILA, DESIREE};
use super::journey::Journey;
use super::pages::Landed;
use super::tab::Tab;
use super::watch;
use crate::{PAGE, busy, ehr_token, expect_code, pages_of_search, refusal, refuse_sign_in, writes};

const PAGE_LINK: &str = "sessionID=";
const WRITE: &str = "/FHIR/R5/Observation";

// Refresh tokens.

#[test]
fn a_token_that_ended_is_renewed_once_and_the_run_goes_on() {
    let journey = with_refresh_tokens();
    journey.tab.before(PAGE_LINK, 1, end_access);
    journey.has_brought_all(&journey.connect());

    assert_eq!(journey.renewals().len(), 1);
    assert_eq!(journey.exchanges().len(), 1);
    // The first page, the second, the third with the old token and with the new one, and the fourth.
    assert_eq!(journey.searches().len(), 5);
}

#[test]
fn each_refresh_token_is_used_once() {
    let journey = with_refresh_tokens();
    for passing in [0, 2, 4] {
        journey.tab.before(PAGE_LINK, passing, end_access);
    }
    journey.has_brought_all(&journey.connect());

    let used = used_refresh_tokens(&journey);
    assert_eq!(used.len(), 3);
    assert!(
        used.iter()
            .all(|token| used.iter().filter(|it| *it == token).count() == 1)
    );
}

#[test]
fn what_was_renewed_is_kept_for_a_reload() {
    let journey = with_refresh_tokens();
    journey.tab.before(PAGE_LINK, 0, end_access);
    journey.tab.before(WRITE, 13, Tab::leave);
    journey.connect_and_leave();
    assert_eq!(journey.renewals().len(), 1);
    let kept = access(&journey);
    let used = used_refresh_tokens(&journey);
    let refresh_token = kept.refresh_token.expect("a refresh token");
    assert!(!used.iter().any(|used| used == refresh_token.secret()));

    end_access(&journey.tab);
    journey.has_brought_all(&journey.go_on());
    assert_eq!(journey.renewals().len(), 2);
    assert_eq!(journey.exchanges().len(), 1);
}

#[test]
fn a_token_is_renewed_ahead_of_its_end_by_one_request_at_a_time() {
    let journey = with_refresh_tokens();
    journey.world().settings.ehr.token_seconds = 100;
    // A page that has to be waited for: meanwhile the token comes within a minute of its end.
    journey.fail(pages_of_search().after(1).once(), busy("50"));
    journey.has_brought_all(&journey.connect());

    let log = journey.log();
    let renewal = log
        .iter()
        .position(|it| it.body.starts_with("grant_type=refresh_token"));
    let renewal = renewal.expect("a renewal");
    assert_eq!(journey.renewals().len(), 1);
    let refused = log
        .iter()
        .filter(|it| it.server == Server::Ehr && it.status == Some(401));
    assert_eq!(refused.count(), 0, "the token was used beyond its end");
    let mut later = log.get(renewal + 1..).into_iter().flatten();
    let next = later.find(|it| it.server == Server::Ehr).expect("the page");
    assert!(next.target.contains(PAGE_LINK));
}

#[test]
fn a_token_that_lives_half_a_minute_is_not_renewed_before_each_page() {
    let journey = with_refresh_tokens();
    journey.world().settings.ehr.token_seconds = 30;
    journey.has_brought_all(&journey.connect());

    assert!(journey.searches().len() > 2);
    assert_eq!(journey.renewals().len(), 0);
}

#[test]
fn a_token_that_ends_again_and_again_is_renewed_before_each_page() {
    let journey = with_refresh_tokens();
    journey.world().settings.ehr.token_seconds = 100;
    // Each page has to be waited for until half of a token's life is over.
    let pages = journey.labs().len().div_ceil(PAGE);
    for page in 0..pages {
        journey.fail(pages_of_search().after(2 * page).once(), busy("50"));
    }
    journey.has_brought_all(&journey.connect());

    let mut log = journey.log();
    log.retain(|it| it.server == Server::Ehr);
    let is_renewal = |it: &LoggedRequest| it.body.starts_with("grant_type=refresh_token");
    let renewed = log.windows(2).filter(
        |pair| matches!(pair, [it, page] if is_renewal(it) && page.target.contains("/Observation")),
    );
    assert_eq!(renewed.count(), pages);
    assert_eq!(journey.searches().len(), 2 * pages);
    let doubled = log.windows(2).filter(|pair| pair.iter().all(is_renewal));
    assert_eq!(doubled.count(), 0, "a renewal on top of another");
}

#[test]
fn a_renewal_that_is_refused_ends_the_run_until_the_patient_signs_in_again() {
    for fault in [refusal("invalid_grant", ""), Fault::DropConnection] {
        let journey = with_refresh_tokens();
        journey.tab.before(PAGE_LINK, 1, end_access);
        journey.fail(ehr_token().after(1).once(), fault);
        let import = journey.connect();

        assert_eq!(journey.error_of(&import).code(), "pull.signed_out");
        assert_eq!(import.ending.way_on(), WayOn::SignIn);
        assert_eq!(journey.renewals().len(), 1);
        journey.has_arrived(&journey.first_labs(2 * PAGE));
        journey.has_brought_all(&journey.go_on_signed_in_as(CAMILA));
        assert_eq!(journey.exchanges().len(), 2);
    }
}

// A second sign-in.

#[test]
fn the_same_patient_goes_on_where_the_access_ended() {
    let journey = Journey::begin();
    journey.tab.before(PAGE_LINK, 1, end_access);
    let import = journey.connect();
    assert_eq!(import.ending.way_on(), WayOn::SignIn);
    let asked = journey.searches().len();
    let import = journey.go_on_signed_in_as(CAMILA);

    journey.has_brought_all(&import);
    assert_eq!(journey.searches().len() - asked, 2, "the last two pages");
    assert_eq!(journey.redemptions().len(), 1);
    assert_eq!(journey.writes().len(), journey.labs().len());
}

#[test]
fn every_reload_leads_to_the_hospitals_sign_in_until_the_patient_has_signed_in() {
    let journey = Journey::begin();
    journey.tab.before(PAGE_LINK, 1, end_access);
    let import = journey.connect();
    assert_eq!(journey.error_of(&import).code(), "pull.signed_out");
    assert_eq!(import.ending.way_on(), WayOn::SignIn);
    assert_eq!(import.ending.tally.stored as usize, 2 * PAGE);
    for _ in 0..2 {
        let landed = journey.reload();
        assert!(matches!(landed, Ok(Landed::SentToSignIn(_))), "{landed:?}");
    }
    journey.has_brought_all(&journey.go_on_signed_in_as(CAMILA));
}

#[test]
fn the_access_that_ends_while_writes_are_left_is_gone_on_with_from_the_page_they_came_from() {
    let journey = Journey::begin();
    journey.tab.before(PAGE_LINK, 0, end_access);
    journey.tab.before(WRITE, 6, Tab::leave);
    journey.connect_and_leave();
    let import = journey.go_on();
    assert_eq!(import.ending.way_on(), WayOn::SignIn);
    journey.has_brought_all(&journey.go_on_signed_in_as(CAMILA));
}

#[test]
fn another_patient_of_the_hospital_does_not_go_on_with_the_first_ones_import() {
    let journey = Journey::begin();
    journey.tab.before(PAGE_LINK, 1, end_access);
    let import = journey.connect();
    assert_eq!(import.ending.tally.stored as usize, 2 * PAGE);
    let writes = journey.writes().len();
    expect_code(journey.sign_in_again(DESIREE), "callback.other_patient");

    assert_eq!(journey.writes().len(), writes);
    let world = journey.world();
    let patient = world.jhe.patient(FIRST_PATIENT).expect("the patient");
    assert_eq!(patient.identifiers.len(), 1);
    drop(world);
    journey.has_arrived(&journey.first_labs(2 * PAGE));
}

#[test]
fn what_was_renewed_is_kept_although_jhe_ended_the_run_meanwhile() {
    let journey = with_refresh_tokens();
    journey.tab.before(PAGE_LINK, 0, end_access);
    journey.fail(writes().once(), busy("100"));
    assert_eq!(journey.connect().ending.way_on(), WayOn::TryAgain);
    journey.is_well_again();
    end_access(&journey.tab);
    journey.has_brought_all(&journey.go_on());
}

#[test]
fn a_patient_who_does_not_sign_in_again_leaves_no_token_behind() {
    let journey = Journey::begin();
    journey.tab.before(PAGE_LINK, 1, end_access);
    journey.connect();
    refuse_sign_in(&journey, "access_denied");
    expect_code(journey.sign_in_again(CAMILA), "authorization.denied");

    assert!(
        !session::run(&journey.tab.store)
            .expect("storage")
            .is_some_and(|run| run.is_finished)
    );
    let kept = journey.tab.store.entries();
    assert!(!kept.keys().any(|key| watch::is_token_key(key)));
}

// Links that hold for a session.

#[test]
fn a_search_whose_links_ended_begins_anew_and_counts_each_record_once() {
    for passing in 0..3 {
        let journey = Journey::begin();
        journey.tab.before(PAGE_LINK, passing, end_links);
        journey.has_brought_all(&journey.connect());

        assert_eq!(journey.requests(Server::Ehr, "GET", "?patient=").len(), 2);
        assert_eq!(journey.writes().len(), journey.labs().len());
    }
}

#[test]
fn a_search_whose_links_end_again_and_again_comes_to_its_end() {
    let journey = Journey::begin();
    // After the second page, after the third one, after the last but one.
    for passing in [1, 4, 8] {
        journey.tab.before(PAGE_LINK, passing, end_links);
    }
    journey.world().give_labs(CAMILA.user, 60);
    journey.has_brought_all(&journey.connect());
    assert_eq!(journey.writes().len(), 60);
}

#[test]
fn links_that_ended_before_a_reload_cost_nothing_but_requests() {
    for leave in [Tab::close, Tab::leave] {
        for passing in [0, 5, 13, 25] {
            let journey = Journey::begin();
            journey.tab.before(WRITE, passing, leave);
            journey.connect_and_leave();
            journey.world().expire_page_links();
            journey.has_brought_all(&journey.go_on());
            assert_eq!(journey.writes().len(), journey.labs().len());
        }
    }
}

#[test]
fn a_reload_in_the_second_pass_counts_each_record_once() {
    for passing in [0, 1, 2] {
        let journey = Journey::begin();
        journey.tab.before(PAGE_LINK, 2, end_links);
        // The third page once more as it is refused; then the second pass.
        journey.tab.before(PAGE_LINK, 3 + passing, Tab::leave);
        journey.connect_and_leave();
        journey.has_brought_all(&journey.go_on());
        assert_eq!(journey.writes().len(), journey.labs().len());
    }
}

#[test]
fn links_that_end_at_both_a_reload_and_a_later_page_cost_nothing_but_requests() {
    let journey = Journey::begin();
    journey.world().give_labs(CAMILA.user, 50);
    journey.tab.before(WRITE, 25, Tab::leave);
    journey.connect_and_leave();
    journey.world().expire_page_links();
    // Of the second pass.
    journey.tab.before(PAGE_LINK, 4, end_links);
    journey.has_brought_all(&journey.go_on());
}

/// A hospital that gives refresh tokens.
fn with_refresh_tokens() -> Journey {
    let journey = Journey::begin();
    journey.world().settings.ehr.refresh_tokens = RefreshTokens::Always;
    journey
}

fn end_access(tab: &Tab) {
    tab.sandbox.world().expire_ehr_tokens();
}

fn end_links(tab: &Tab) {
    tab.sandbox.world().expire_page_links();
}

/// What the tab keeps of the access to the hospital.
fn access(journey: &Journey) -> LaunchContext {
    let page = Url::parse(&journey.callback_page()).expect("an address");
    let kept = session::ehr(&journey.tab.store, &page);
    kept.expect("storage").expect("an access")
}

fn used_refresh_tokens(journey: &Journey) -> Vec<String> {
    let renewals = journey.renewals();
    let forms = renewals
        .iter()
        .flat_map(|it| form_urlencoded::parse(it.body.as_bytes()));
    forms
        .filter(|(name, _)| name == "refresh_token")
        .map(|(_, token)| token.into_owned())
        .collect()
}
