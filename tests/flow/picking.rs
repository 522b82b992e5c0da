//! The patient picks a hospital from JHE's list.

use sandbox::{FIRST_PATIENT, Match, Server, Vendor};

use super::hospital::{CAMILA, between};
use super::journey::Journey;
use super::patient_access::{has_brought_all, with};
use crate::{brands, expect_code, maintenance};

fn hospital() -> &'static str {
    Vendor::Epic.facility_name()
}

/// The base of the patient's hospital, as JHE lists it: it ends in a slash.
fn listed_base(journey: &Journey) -> String {
    let base = [&journey.iss(), "/"].concat();
    let world = journey.world();
    let brand = world.brand_of(Vendor::Epic).expect("the hospital");
    assert_eq!(brand.fhir_base_url, base);
    base
}

#[test]
fn the_base_of_the_hospital_that_is_picked_is_kept_byte_for_byte() {
    let journey = with(3);
    journey.lists_hospitals(hospital());
    let base = listed_base(&journey);
    let sign_in = journey.open_link().expect("the sign-in");
    let audience = between(&sign_in, "aud=", "&").expect("an audience");
    assert_eq!(jhe_connect::text::percent_decode(audience), base);

    let import = journey.connect();
    has_brought_all(&journey, &import);
    let world = journey.world();
    let sources = world.jhe.sources.iter();
    let bases: Vec<_> = sources.map(|source| &source.fhir_base_url).collect();
    assert_eq!(bases, [&base]);
    let patient = world.jhe.patient(FIRST_PATIENT).expect("the patient");
    let pairs = patient.identifiers.iter();
    assert_eq!(pairs.map(|pair| &pair.system).collect::<Vec<_>>(), [&base]);
}

#[test]
fn a_second_run_at_the_same_hospital_finds_the_source_of_the_first() {
    let journey = with(3);
    journey.lists_hospitals(hospital());
    let first = journey.connect();
    let second = journey.connect();
    assert_eq!(first.source.id, second.source.id);
    has_brought_all(&journey, &second);
}

#[test]
fn who_comes_back_is_led_to_the_same_source_and_only_what_is_new_is_added() {
    let journey = with(3);
    journey.lists_hospitals(hospital());
    let first = journey.connect();
    assert_eq!(first.ending.new_rows, Some(3));
    let searches = journey.searches_for_hospitals().len();
    journey.world().give_labs(CAMILA.user, 4);
    let second = journey.connect();
    assert_eq!(first.source.id, second.source.id);
    assert_eq!(second.ending.new_rows, Some(1));
    assert_eq!(journey.searches_for_hospitals().len(), searches);
    let world = journey.world();
    let labels = world.jhe.sources.iter().map(|source| &source.label);
    let label = ["Epic / Patient Access — ", hospital()].concat();
    assert_eq!(labels.collect::<Vec<_>>(), [&label]);
}

#[test]
fn a_list_of_sources_that_fails_lets_the_patient_pick() {
    let journey = with(3);
    journey.lists_hospitals(hospital());
    let first = journey.connect();
    let lists = Match::on(Server::Jhe).method("GET").path("/fhir_sources");
    journey.fail(lists.once(), maintenance());
    let second = journey.connect();
    assert_eq!(first.source.id, second.source.id);
    assert_eq!(second.ending.new_rows, Some(0));
}

#[test]
fn a_hospital_that_the_first_list_lacks_is_found_by_its_name() {
    let journey = with(3);
    journey.lists_hospitals("Meadow Family Practice 9");
    journey.connect();
    let path = "/api/v1/patient-access/brands?q=";
    let named = [path, "Meadow%20Family%20Practice%209"].concat();
    assert_eq!(journey.searches_for_hospitals(), [path, &named]);
}

#[test]
fn a_hospital_that_the_page_names_is_not_looked_for() {
    let journey = with(3);
    journey.connect();
    assert!(journey.searches_for_hospitals().is_empty());
}

#[test]
fn a_list_that_fails_is_asked_for_again() {
    let journey = with(3);
    journey.lists_hospitals(hospital());
    journey.fail(brands().times(2), maintenance());
    has_brought_all(&journey, &journey.connect());
    assert_eq!(journey.searches_for_hospitals().len(), 3);
}

#[test]
fn a_hospital_whose_address_is_not_protected_is_not_opened() {
    let journey = with(3);
    journey.lists_hospitals(hospital());
    for brand in &mut journey.world().brands {
        brand.fhir_base_url = "http://ehr.example/R4".to_owned();
    }
    let error = expect_code(journey.open_link(), "discovery.insecure_issuer");
    assert!(error.detail().contains("http://ehr.example/R4"));
    assert!(journey.tab.store.entries().is_empty());
}
