//! Anything may go wrong at any request, and the page may go away at any time: in the end every lab is in JHE once.

use jhe_connect::import::{Ending, Verdict, WayOn};
use proptest::prelude::*;
use sandbox::{Fault, Match};

use super::hospital::{CAMILA, Decision};
use super::journey::Journey;
use super::pages::Landed;
use super::tab::Tab;
use crate::{busy, json_answer, maintenance, pages_of_search, read_backs, writes};

/// After so many attempts each fault has come and gone.
const ATTEMPTS: usize = 40;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
struct Mishap {
    at: Place,
    passing: usize,
    times: usize,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Page,
    Write,
    ReadBack,
}

impl Place {
    fn requests(self) -> Match {
        match self {
            Place::Page => pages_of_search(),
            Place::Write => writes(),
            Place::ReadBack => read_backs(),
        }
    }
}

/// The page goes away right before a request, which is sent all the same or not.
#[derive(Clone, Copy, Debug)]
struct Reload {
    /// Of the requests that may be repeated.
    part: &'static str,
    passing: usize,
    is_sent: bool,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let place = prop_oneof![
        2 => Just(Place::Page),
        4 => Just(Place::Write),
        1 => Just(Place::ReadBack),
    ];
    let fault = prop_oneof![
        Just(busy("2")),
        Just(maintenance()),
        Just(Fault::status(
            500,
            "text/html",
            "<h1>Server Error (500)</h1>"
        )),
        Just(Fault::CutOff),
        Just(Fault::DropConnection),
        Just(Fault::LoseAnswer),
        (0..8_u64).prop_map(|millis| Fault::LateCommit { millis }),
        Just(Fault::Delay { millis: 2 }),
        Just(json_answer(200, "\"\"")),
    ];
    (place, 0..20_usize, 1..4_usize, fault).prop_map(|(at, passing, times, fault)| {
        // What is no Bundle is not asked for again, which is not what this is about.
        let fault = match (at, fault) {
            (Place::Page | Place::ReadBack, Fault::Status { status: 200, .. }) => maintenance(),
            (_, fault) => fault,
        };
        Mishap {
            at,
            passing,
            times,
            fault,
        }
    })
}

fn reload() -> impl Strategy<Value = Reload> {
    let part = prop_oneof![
        1 => Just("/api/v1/users/profile"),
        1 => Just("/api/v1/fhir_sources"),
        2 => Just("/FHIR/R4/Observation"),
        5 => Just("/FHIR/R5/Observation"),
    ];
    (part, 0..24_usize, any::<bool>()).prop_map(|(part, passing, is_sent)| Reload {
        part,
        passing,
        is_sent,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_goes_wrong_every_lab_arrives_once(
        known in 0..12_usize,
        new in 0..20_usize,
        page_size in 3..9_usize,
        mishaps in prop::collection::vec(mishap(), 0..7),
        reloads in prop::collection::vec(reload(), 0..4),
    ) {
        let journey = Journey::begin();
        journey.world().settings.ehr.page_size = page_size;
        if known > 0 {
            journey.world().give_labs(CAMILA.user, known);
            journey.connect();
        }
        journey.world().give_labs(CAMILA.user, known + new);
        for it in mishaps {
            let hits = it.at.requests().after(it.passing).times(it.times);
            journey.fail(hits, it.fault);
        }
        for it in reloads {
            let leave = if it.is_sent { Tab::leave } else { Tab::close };
            journey.tab.before(it.part, it.passing, leave);
        }
        let ways = go_on_until_all_is_there(&journey);

        journey.has_arrived(&journey.labs());
        if let Some(Attempt { ending, is_first_run: true }) = ways {
            let tally = ending.tally;
            prop_assert_eq!(
                (tally.stored as usize, tally.already_there, tally.repeated),
                (new, known as u32, 0)
            );
            let pages = (known + new).div_ceil(page_size).max(1);
            prop_assert_eq!(tally.pages as usize, pages);
        }
    }
}

/// The attempt that brought the last lab.
struct Attempt {
    ending: Ending,
    /// Did the patient never have to begin anew?
    is_first_run: bool,
}

fn go_on_until_all_is_there(journey: &Journey) -> Option<Attempt> {
    let mut is_first_run = true;
    let mut landed = journey.travel(CAMILA, Decision::Allow);
    for _ in 0..ATTEMPTS {
        let way_on = match landed {
            Ok(Landed::Left) => WayOn::TryAgain,
            // Nothing was begun: the link is opened as for the first time.
            Ok(Landed::LeftBeforeSignIn) => {
                landed = journey.travel(CAMILA, Decision::Allow);
                continue;
            }
            Ok(Landed::Imported(import)) => {
                accounts_for_everything(&import.ending);
                let ending = import.ending;
                if ending.verdict() == Verdict::Complete {
                    return Some(Attempt {
                        ending,
                        is_first_run,
                    });
                }
                ending.way_on()
            }
            Err(error) if error.may_pass() => WayOn::TryAgain,
            other => panic!("{other:?}"),
        };
        landed = match way_on {
            WayOn::TryAgain => journey.reload(),
            WayOn::SignIn => journey.sign_in_again(CAMILA),
            // JHE failed three times at one record: the patient opens the link again.
            WayOn::None => {
                is_first_run = false;
                journey.travel(CAMILA, Decision::Allow)
            }
        };
    }
    panic!("not complete after {ATTEMPTS} attempts")
}

fn accounts_for_everything(ending: &Ending) {
    let tally = &ending.tally;
    let accounted = tally.stored
        + tally.already_there
        + tally.repeated
        + tally.left_out()
        + tally.refused
        + tally.unsettled
        + tally.unsent;
    assert_eq!(tally.fetched(), accounted, "{tally:?}");
}
