//! Fifty patients do whatever they like, in somebody's page, while this or that does not work: each session that the page is told
//! of ends with one last event, and nothing is told after it.
//!
//! What they do, and what does not work, follows from a seed, which is printed when a journey fails; with it in
//! `JHE_CONNECT_SEED` that journey is the first one of all, as far as the page is as fast as before.

use anyhow::{Context, Result, bail, ensure};
use e2e::browser::{Glance, Screen, State};
use e2e::journey::{CAMILA, Journey, pages, run, writes};
use e2e::portal::{self, CALLER};
use e2e::seed::{self, SEED};
use e2e::told::{self, Told};
use e2e::watch;
use sandbox::{FIRST_PATIENT, Fault, JheVersion, Layout, Match, SECOND_PATIENT, Server, Vendor};

use crate::chaos::Dice;
use crate::embed::restore;

/// Journeys of one browser, one after the other.
const JOURNEYS: u64 = 10;
/// So often a patient decides something before they want to come to an end.
const DECISIONS: usize = 14;
/// And so often after that: more would be a journey that does not come to rest.
const MOST: usize = 45;

/// What tells one screen from the next one. A page at rest still adds what can be pressed to its last screen.
const SCREEN: &str = "const root = document.querySelector('[data-jhe-connect]');
    return [performance.timeOrigin, root?.dataset.jheConnectScreen, root?.dataset.jheConnectCode].join();";

/// What tells one look at the page from the next one.
const LOOK: &str = "const root = document.querySelector('[data-jhe-connect]');
    const acts = [...document.querySelectorAll('[data-jc-action]')].map((it) => it.dataset.jcAction);
    return [performance.timeOrigin, root?.dataset.jheConnectScreen, root?.dataset.jheConnectCode, root?.ariaBusy, ...acts].join();";

/// An element that has come to rest makes room for one that has not: a second one begins in earnest where the first has ended.
const MAKE_ROOM: &str = "const elements = [...document.querySelectorAll('jhe-connect')];
    const isAtRest = (it) => it.querySelector('[data-jhe-connect=done], [data-jhe-connect=partly], [data-jhe-connect=failed]');
    if (!elements.every(isAtRest)) elements.filter(isAtRest).forEach((it) => it.remove());";

#[test]
fn random_journeys_end_each_session_once_1_to_10() {
    ten(1);
}

#[test]
fn random_journeys_end_each_session_once_11_to_20() {
    ten(11);
}

#[test]
fn random_journeys_end_each_session_once_21_to_30() {
    ten(21);
}

#[test]
fn random_journeys_end_each_session_once_31_to_40() {
    ten(31);
}

#[test]
fn random_journeys_end_each_session_once_41_to_50() {
    ten(41);
}

/// Ten journeys of the fifty that follow from one seed; that of the first one is the seed itself.
fn ten(first: u64) {
    run(Layout::DropIn, async |journey: &Journey| {
        let seed_of_first = seed::of_environment()?;
        told::keep(&journey.browser).await?;
        journey.answer_by_hand().await?;
        for number in first..first + JOURNEYS {
            let seed = seed_of_first.wrapping_add(number - 1);
            let mut patient = Patient {
                journey,
                dice: Dice::seeded(seed),
                did: Vec::new(),
                link: String::new(),
                is_away: false,
            };
            let travelled = patient.travel().await;
            let did = patient.did.join(", ");
            travelled.with_context(|| format!("{SEED}={seed}: {did}"))?;
            eprintln!("{SEED}={seed}: {did}");
        }
        Ok(())
    });
}

/// Somebody who does this and that.
struct Patient<'a> {
    journey: &'a Journey,
    dice: Dice,
    did: Vec<String>,
    link: String,
    /// Was the element taken away for good?
    is_away: bool,
}

/// Where the patient is.
enum Place {
    Login,
    Consent,
    /// Another page of the hospital.
    Hospital,
    /// Our page, which waits for the patient.
    Asked(Screen),
    /// Our page, which is at work.
    Busy(Screen),
    /// Our page, at rest.
    AtRest(Screen),
}

impl Patient<'_> {
    async fn travel(&mut self) -> Result<()> {
        let browser = &self.journey.browser;
        self.arrange().await?;
        browser.open(&self.link.clone()).await?;
        let mut decisions = 0;
        loop {
            decisions += 1;
            let wants_an_end = decisions > DECISIONS;
            if wants_an_end {
                self.journey.world().clear_faults();
                self.journey.world().settings.ehr.own_error_page = false;
            }
            ensure!(decisions < MOST, "it does not come to rest");
            let has_come_to_rest = match self.look().await? {
                Place::AtRest(screen) => self.is_content_with(&screen, wants_an_end).await?,
                place => {
                    self.decide(place, wants_an_end).await?;
                    self.is_away
                }
            };
            if has_come_to_rest {
                break;
            }
        }
        self.expect_all_ended().await
    }

    /// The world, the page, and what will not work.
    async fn arrange(&mut self) -> Result<()> {
        let journey = self.journey;
        // As a browser that was never here. Only then is there a new world: the page before may still copy records.
        let nowhere = format!("{}/static/portal/portal.js", journey.sandbox.jhe());
        journey.browser.open(&nowhere).await?;
        let () = (journey.browser)
            .evaluate("sessionStorage.clear(); localStorage.clear();")
            .await?;
        journey.world().reset();
        let mut settings = portal::settings(journey);
        let is_picked = self.one_in(3);
        if is_picked {
            settings["deployment"] = "patient-access".into();
            settings["iss"] = "".into();
            settings["plan"] = serde_json::json!([{
                "label": "Labs", "type": "Observation", "parameters": {"category": "laboratory"},
            }]);
        }
        if self.one_in(4) {
            settings["review"] = true.into();
        }
        let connect = portal::host(journey, portal::pages(&settings)?)?;
        let labs = 3 * self.dice.below(5);
        let is_slow = self.one_in(2);
        let invitation = {
            let mut world = journey.world();
            if is_picked {
                world.settings.jhe.version = JheVersion::PatientAccess;
            }
            world.give_labs(CAMILA.user, labs);
            world.settings.ehr.page_size = 3;
            if is_slow {
                world.fail(writes(), Fault::Delay { millis: 60 });
                world.fail(pages(), Fault::Delay { millis: 100 });
            }
            world.mint_invitation(FIRST_PATIENT)
        };
        self.link = portal::invited_by(journey, &connect, &invitation)?;
        for _ in 0..self.dice.below(3) {
            self.break_something(&invitation);
        }
        self.did.push(format!("{labs} labs"));
        Ok(())
    }

    fn break_something(&mut self, invitation: &str) {
        // An invitation that does not work is soon told.
        let what = self.dice.below(18).max(3) - 3;
        let what = if [5, 6, 10].contains(&what) && !self.one_in(3) {
            12
        } else {
            what
        };
        let when = self.dice.below(4);
        let iss = self.journey.sandbox.iss();
        let id = self.journey.patient_id(CAMILA);
        let mut world = self.journey.world();
        let broken = || Fault::status(503, "text/html", "<h1>Server Error</h1>");
        let at = |server, part: &str| Match::on(server).path(part);
        let name = match what {
            0 => {
                world.fail(pages().after(when).once(), broken());
                "a page fails once"
            }
            1 => {
                world.fail(
                    pages().after(when),
                    Fault::status(404, "text/plain", "gone"),
                );
                "pages can't be read"
            }
            2 => {
                world.fail(writes().after(when).once(), broken());
                "a write fails once"
            }
            3 => {
                world.fail(
                    writes().after(when),
                    Fault::status(400, "application/json", "{}"),
                );
                "writes are refused"
            }
            4 => {
                world.settings.ehr.own_error_page = true;
                "the hospital shows an error"
            }
            5 => {
                world.cancel_invitation(invitation);
                "the invitation was cancelled"
            }
            6 => {
                world.expire_invitation(invitation);
                "the invitation has run out"
            }
            7 => {
                world.fail(
                    at(Server::Ehr, "smart-configuration").times(2),
                    Fault::NoCors,
                );
                world.fail(at(Server::Ehr, "/metadata").times(2), Fault::NoCors);
                "discovery fails"
            }
            8 => {
                world.fail(at(Server::Ehr, "/token").once(), broken());
                "the exchange fails"
            }
            9 => {
                world.attach_identifier(SECOND_PATIENT, &iss, &id);
                "it is another patient's record"
            }
            10 => {
                world.fail(at(Server::Jhe, "/o/token/").once(), broken());
                "JHE's token fails"
            }
            11 => {
                world.settings.ehr.granted_scopes =
                    Some("launch/patient patient/Patient.read".to_owned());
                "too little was granted"
            }
            _ => {
                world.fail(at(Server::Jhe, "/api/v1/").after(when).once(), broken());
                "JHE fails once"
            }
        };
        self.did.push(name.to_owned());
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.dice.below(chances) == 0
    }

    /// Where the patient is, as soon as it is a place.
    async fn look(&self) -> Result<Place> {
        let browser = &self.journey.browser;
        let ours = self.journey.sandbox.jhe();
        browser
            .until("a place where something can be done", async || {
                if !browser.address().await?.as_str().starts_with(ours) {
                    let on_it: Option<String> = browser
                        .evaluate(
                            "return document.querySelector('#username') ? 'login' : document.querySelector('#allow') ? 'consent' : \
                             document.readyState === 'complete' ? 'other' : null",
                        )
                        .await?;
                    return Ok(match on_it.as_deref() {
                        Some("login") => Glance::Seen(Place::Login),
                        Some("consent") => Glance::Seen(Place::Consent),
                        Some(_) => Glance::Seen(Place::Hospital),
                        None => Glance::NotYet,
                    });
                }
                let () = browser.evaluate(MAKE_ROOM).await?;
                Ok(match browser.screen_now().await? {
                    Some(screen) if screen.state.is_final() => Glance::Seen(Place::AtRest(screen)),
                    Some(screen) if matches!(screen.state, State::Asking | State::Choosing) => {
                        Glance::Seen(Place::Asked(screen))
                    }
                    Some(screen) => Glance::Seen(Place::Busy(screen)),
                    None => Glance::NotYet,
                })
            })
            .await
    }

    async fn decide(&mut self, place: Place, wants_an_end: bool) -> Result<()> {
        let browser = &self.journey.browser;
        match place {
            Place::Login if !wants_an_end && self.one_in(8) => {
                self.note("a wrong password");
                // The same form again, but on a page of its own: it is not to be taken for the one before.
                browser
                    .leaves_by(async || browser.sign_in(CAMILA.user, "wrong").await)
                    .await
            }
            Place::Login | Place::Consent if !wants_an_end && self.one_in(8) => {
                self.note("back");
                browser.back().await
            }
            Place::Login => {
                self.note("sign in");
                browser
                    .leaves_by(async || browser.sign_in(CAMILA.user, CAMILA.password).await)
                    .await
            }
            Place::Consent if self.one_in(8) => {
                self.note("deny");
                browser.leaves_by(async || browser.deny().await).await
            }
            Place::Consent => {
                self.note("allow");
                browser.leaves_by(async || browser.allow().await).await
            }
            Place::Hospital => {
                self.note("back");
                browser.back().await
            }
            Place::Asked(screen) => self.answer(&screen, wants_an_end).await,
            Place::Busy(screen) => self.wait_or_not(&screen, wants_an_end).await,
            Place::AtRest(_) => Ok(()),
        }
    }

    fn note(&mut self, what: &str) {
        self.did.push(what.to_owned());
    }

    /// Whatever our page asks.
    async fn answer(&mut self, screen: &Screen, wants_an_end: bool) -> Result<()> {
        if !wants_an_end && self.one_in(6) {
            return self.make_trouble().await;
        }
        if screen.state == State::Choosing {
            self.note("pick");
            let browser = &self.journey.browser;
            let picked = browser.pick_by_keys(Vendor::Epic.facility_name()).await;
            // The list may be one that does not come.
            let now = browser.screen_now().await?;
            return match now.is_some_and(|screen| screen.state.is_final()) {
                true => Ok(()),
                false => picked,
            };
        }
        let mut offered = screen.actions.clone();
        offered.retain(|act| act != "copy-details" && act != "forget");
        // Two of three who are asked go on.
        let forward = ["continue", "yes-me", "go-on", "send", "try-again"];
        let end = ["give-up", "not-me"];
        let wanted: Vec<&String> = (offered.iter())
            .filter(|act| match wants_an_end {
                true => end.contains(&act.as_str()),
                false => forward.contains(&act.as_str()),
            })
            .collect();
        let act = match wanted.first() {
            Some(wanted) if wants_an_end || !self.one_in(5) => (*wanted).clone(),
            _ if offered.is_empty() => bail!("nothing is offered: {screen}"),
            _ => offered[self.dice.below(offered.len())].clone(),
        };
        self.press(&act, LOOK).await
    }

    /// Presses a button, and returns when the page has taken notice: what this script tells of it is another. The page may have
    /// gone on without it.
    async fn press(&mut self, act: &str, sign: &str) -> Result<()> {
        self.note(act);
        let browser = &self.journey.browser;
        let before: String = browser.evaluate(sign).await?;
        let is_there: bool = browser
            .evaluate(&format!(
                "const button = document.querySelector('[data-jc-action=\"{act}\"]');
                 button?.click();
                 return button !== null;"
            ))
            .await?;
        if !is_there {
            return Ok(());
        }
        browser
            .until("the page to take notice", async || {
                let now: String = browser.evaluate(sign).await?;
                Ok(match now != before {
                    true => Glance::Seen(()),
                    false => Glance::NotYet,
                })
            })
            .await
    }

    /// Our page is at work: it is let, or not.
    async fn wait_or_not(&mut self, screen: &Screen, wants_an_end: bool) -> Result<()> {
        if let Some(act) = ["resume", "stop", "pause"]
            .into_iter()
            .find(|act| screen.offers(act))
        {
            // One that is paused waits for the patient.
            if act == "resume" || (!wants_an_end && self.one_in(4)) {
                return self.press_soon(act).await;
            }
        }
        // Most of what can go wrong does so while records move.
        let chances = match screen.name.as_deref() {
            Some("importing" | "reviewing" | "preparing") => 3,
            _ => 12,
        };
        if !wants_an_end && self.one_in(chances) {
            return self.make_trouble().await;
        }
        let browser = &self.journey.browser;
        let before: String = browser.evaluate(LOOK).await?;
        browser
            .until("our page to come farther", async || {
                // It may have come farther before it was looked at.
                let screen = browser.screen_now().await?;
                let is_busy = screen
                    .is_some_and(|it| matches!(it.state, State::Working | State::Redirecting));
                let now: String = browser.evaluate(LOOK).await?;
                Ok(match !is_busy || now != before {
                    true => Glance::Seen(()),
                    false => Glance::NotYet,
                })
            })
            .await
    }

    /// Presses what may be gone by now, or leave the page as it is.
    async fn press_soon(&mut self, act: &str) -> Result<()> {
        self.note(act);
        self.journey
            .browser
            .evaluate(&format!(
                "document.querySelector('[data-jc-action=\"{act}\"]')?.click()"
            ))
            .await
    }

    /// What no page likes.
    async fn make_trouble(&mut self) -> Result<()> {
        let journey = self.journey;
        let browser = &journey.browser;
        match self.dice.below(8) {
            0 | 1 => {
                self.note("reload");
                browser.reload().await
            }
            2 => {
                self.note("close and restore the tab");
                restore(journey).await
            }
            3 => {
                self.note("open the link again");
                browser.open(&self.link.clone()).await
            }
            4 => {
                self.note("open another link");
                let other = journey.world().mint_invitation(SECOND_PATIENT);
                let (connect, _) = self.link.split_once('?').context("a link")?;
                self.link = portal::invited_by(journey, connect, &other)?;
                browser.open(&self.link.clone()).await
            }
            5 => {
                let is_jhe = self.one_in(2);
                let mut world = journey.world();
                if is_jhe {
                    world.expire_jhe_tokens();
                } else {
                    world.expire_ehr_tokens();
                }
                drop(world);
                self.note(if is_jhe {
                    "JHE forgets its tokens"
                } else {
                    "the hospital forgets its tokens"
                });
                Ok(())
            }
            6 => {
                self.note("open a second one");
                let () = browser
                    .evaluate(
                        "const element = document.querySelector('jhe-connect');
                         if (element) document.body.append(element.cloneNode());",
                    )
                    .await?;
                Ok(())
            }
            _ => {
                self.is_away = !self.one_in(2);
                self.note(if self.is_away {
                    "take it away"
                } else {
                    "take it away and bring it back"
                });
                let () = browser
                    .evaluate(
                        "window.takenAway = document.querySelector('jhe-connect');
                         window.takenAway?.remove();",
                    )
                    .await?;
                if self.is_away {
                    return Ok(());
                }
                // The page may be another one by now.
                browser
                    .evaluate("if (window.takenAway) document.body.append(window.takenAway);")
                    .await
            }
        }
    }

    /// Our page is at rest. Is the patient?
    async fn is_content_with(&mut self, screen: &Screen, wants_an_end: bool) -> Result<bool> {
        let browser = &self.journey.browser;
        self.note(&format!(
            "at rest: {}",
            screen
                .code
                .as_deref()
                .or(screen.name.as_deref())
                .unwrap_or("?")
        ));
        if wants_an_end {
            return Ok(true);
        }
        let ways = ["try-again", "sign-in-again", "another-hospital"];
        let way = ways.into_iter().find(|way| screen.offers(way));
        if let Some(way) = way
            && self.one_in(2)
        {
            self.journey.world().clear_faults();
            self.press(way, SCREEN).await?;
            return Ok(false);
        }
        if self.one_in(5) {
            self.note("reload");
            browser.reload().await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Whatever it was: each session has one end, and nothing secret was told or is left.
    async fn expect_all_ended(&self) -> Result<()> {
        let browser = &self.journey.browser;
        let told = told::until(browser, "the end of each session", |told| {
            let begun = told
                .iter()
                .filter(|it| it.name.ends_with(":ready") && it.detail["ended"].is_null());
            let mut sessions: Vec<&str> = begun.map(Told::session).collect();
            sessions.sort_unstable();
            sessions.dedup();
            let ends = told.iter().filter(|it| it.is_end()).count();
            !sessions.is_empty() && ends >= sessions.len()
        })
        .await;
        let told = match told {
            Ok(told) => told,
            Err(error) => bail!("{error}\n{}", told::in_short(&told::so_far(browser).await?)),
        };
        told::expect_contract(&told, Some(CALLER))?;
        let secrets = watch::Secrets::in_log(self.journey.world().request_log());
        for event in &told {
            let text = serde_json::to_string(&event.detail)?;
            ensure!(
                secrets.found_in(&text).is_none(),
                "a secret is told: {text}"
            );
        }
        match self.is_away {
            // What it was in the middle of is kept for who comes back.
            true => Ok(()),
            false => watch::check(self.journey).await,
        }
    }
}
