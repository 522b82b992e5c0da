//! Every screen, for everybody: what a program can judge of WCAG 2.2 AA, small screens, large text, keys alone, and whoever
//! reads from right to left.

use anyhow::{Context, Result, bail, ensure};
use e2e::axe::OF_JHES_TEMPLATES;
use e2e::browser::{Glance, Habits, Key, Text};
use e2e::emulation::{Circumstances, Device, Language, Motion, Scheme};
use e2e::journey::{Access, CAMILA, Journey, run_with, visit};
use sandbox::{Broken, FIRST_PATIENT, Fault, Layout, Match, SECOND_PATIENT, Server, Vendor};
use serde::Deserialize;
use serde_json::json;

use crate::returned::come_back;

/// What is looked at on each screen.
trait Look {
    async fn at(&self, journey: &Journey, screen: &str) -> Result<()>;
}

// The ways through all screens.

/// From the invitation link to a complete import, by every question that may be asked.
async fn through_the_questions(journey: &Journey, look: &impl Look) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    {
        let mut world = journey.world();
        world.settings.jhe.page.review = Some(json!(true));
        world.settings.jhe.page.review_choice = Some(json!(true));
        world.settings.jhe.profile_names = true;
    }
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    browser.wait_for_screen("choosing").await?;
    browser.search_for("canal").await?;
    browser.hospitals_say("2 hospitals found.").await?;
    look.at(journey, "choosing").await?;
    browser
        .pick_by_keys(journey.vendor().facility_name())
        .await?;
    seen(journey, look, "sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser.allow_without(&["Goal", "Immunization"]).await?;
    seen(journey, look, "person").await?;
    browser.press_named("yes-me").await?;
    seen(journey, look, "grants").await?;
    browser.press_named("go-on").await?;
    seen(journey, look, "review").await?;
    journey.fail(e2e::journey::batches(), Fault::Delay { millis: 60_000 });
    browser.press_named("send").await?;
    browser.wait_for_screen("importing").await?;
    panel_is_there(journey).await?;
    look.at(journey, "importing").await?;
    journey.world().clear_faults();
    browser.reload().await?;
    browser.wait_until_settled().await?.expect_done()?;
    look.at(journey, "done").await
}

/// It is shown how far the import is.
async fn panel_is_there(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    browser
        .until("the panel", async || {
            let script = "return document.querySelector('.jc-rows') !== null";
            Ok(match browser.evaluate(script).await? {
                true => Glance::Seen(()),
                false => Glance::NotYet,
            })
        })
        .await
}

/// An import of which something is missing, with its chart and its tables.
async fn to_a_part(journey: &Journey, look: &impl Look) -> Result<()> {
    let goals = Match::on(Server::Ehr).method("GET").path("/Goal?");
    journey.fail(goals, Fault::DropConnection);
    journey.answer_by_hand().await?;
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_screen("partly")?;
    look.at(journey, "partly").await
}

/// A hospital that is known, a further one that gives nothing, and the list of both.
async fn through_several_hospitals(journey: &Journey, look: &impl Look) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    journey.connect().await?.expect_done()?;
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    seen(journey, look, "welcome").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()?;
    look.at(journey, "done, with a way to another hospital")
        .await?;
    browser.press_named("add-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    browser
        .pick_by_keys(Vendor::OracleHealth.facility_name())
        .await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser.deny().await?;
    seen(journey, look, "failed").await?;
    browser.press_named("overview").await?;
    browser.wait_for_screen("partly").await?;
    browser.wait_until_settled().await?;
    look.at(journey, "partly, with two hospitals").await?;
    {
        let mut world = journey.world();
        let (base, now) = (Vendor::Hapi.listed_base(world.origins()), world.now());
        let label = "Epic / Patient Access — North Star";
        world
            .jhe
            .add_source(FIRST_PATIENT, 70_006, label, &base, now);
    }
    journey.open_invitation().await?;
    seen(journey, look, "connections").await
}

/// The errors before and behind the hospital.
async fn through_the_errors(journey: &Journey, look: &impl Look) -> Result<()> {
    let browser = &journey.browser;
    journey.world().settings.ehr.broken = [(journey.vendor(), Broken::NoS256)].into();
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    browser.wait_for_screen("choosing").await?;
    browser
        .pick_by_keys(journey.vendor().facility_name())
        .await?;
    seen(journey, look, "failed").await?;
    journey.world().settings.ehr.broken.clear();

    come_back(journey).await?;
    look.at(journey, "returned").await?;
    browser.press_named("saw-error").await?;
    seen(journey, look, "error-page").await?;
    browser.reload().await?;
    browser.wait_for_screen("returned").await?;
    browser.press_named("no-login").await?;
    seen(journey, look, "no-login").await?;
    browser.reload().await?;
    browser.wait_for_screen("returned").await?;
    browser.press_named("give-up").await?;
    seen(journey, look, "gave-up").await?;

    journey.world().settings.ehr.own_error_page = false;
    let (base, id) = (journey.listed_base(), journey.patient_id(CAMILA));
    journey
        .world()
        .attach_identifier(SECOND_PATIENT, &base, &id);
    journey.reach_login().await?;
    journey.return_as(CAMILA).await?;
    browser.wait_for_screen("person").await?;
    browser.press_named("yes-me").await?;
    seen(journey, look, "failed").await?;
    let begun = journey
        .world()
        .invitation_link(&journey.invitation, journey.layout);
    journey.world().expire_invitation(&journey.invitation);
    browser.open(&begun).await?;
    seen(journey, look, "failed").await
}

async fn seen(journey: &Journey, look: &impl Look, screen: &str) -> Result<()> {
    journey.browser.wait_for_screen(screen).await?;
    look.at(journey, screen).await
}

/// Makes tests of a look at every screen.
macro_rules! on_every_screen {
    ($($name:ident: $access:ident, $habits:expr, $look:expr;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn on_the_way_through_the_questions() {
                travel(Access::$access, $habits, async |journey: &Journey| through_the_questions(journey, &$look).await);
            }

            #[test]
            fn at_the_end_of_a_part() {
                travel(Access::$access, $habits, async |journey: &Journey| to_a_part(journey, &$look).await);
            }

            #[test]
            fn on_the_way_through_several_hospitals() {
                travel(Access::$access, $habits, async |journey: &Journey| through_several_hospitals(journey, &$look).await);
            }

            #[test]
            fn on_the_way_through_the_errors() {
                travel(Access::$access, $habits, async |journey: &Journey| through_the_errors(journey, &$look).await);
            }
        })*
    };
}

on_every_screen!(
    nobody_is_shut_out: PlainPicked, Habits::default(), Axe { is_jhes: false, circumstances: Circumstances::default() };
    nobody_is_shut_out_in_spanish_and_in_the_dark: PlainPicked, Habits::default(), Axe {
        is_jhes: false,
        circumstances: Circumstances { language: Language::Spanish, scheme: Scheme::Dark, ..Circumstances::default() },
    };
    nobody_is_shut_out_of_jhes_pages: DropIn, Habits::default(), Axe { is_jhes: true, circumstances: Circumstances::default() };
    nothing_is_cut_off_on_a_narrow_screen: PlainPicked, Habits::default(), Fits;
    nothing_is_cut_off_with_text_twice_as_large: PlainPicked, Habits { text: Text::Double, ..Habits::default() }, Fits;
    nothing_is_cut_off_on_jhes_pages: DropIn, Habits::default(), Fits;
);

fn travel(access: Access, habits: Habits, journey: impl AsyncFnOnce(&Journey) -> Result<()>) {
    let layout = match access {
        Access::DropIn => Layout::PatientAccess,
        Access::PlainPicked | Access::PlainNamed => Layout::Plain,
    };
    run_with(layout, habits, async |begun: &Journey| {
        begun.goes_to(access, Vendor::Epic);
        journey(begun).await
    });
}

// What is looked at.

/// What a program can judge.
struct Axe {
    is_jhes: bool,
    circumstances: Circumstances,
}

impl Look for Axe {
    async fn at(&self, journey: &Journey, screen: &str) -> Result<()> {
        let browser = &journey.browser;
        if browser.circumstances() != self.circumstances {
            browser.emulate(self.circumstances).await?;
        }
        let unfold = "for (const fold of document.querySelectorAll('[data-jhe-connect] details')) fold.open = true; return true";
        let _: bool = browser.evaluate(unfold).await?;
        let known: &[&str] = match self.is_jhes {
            true => &OF_JHES_TEMPLATES,
            false => &[],
        };
        browser
            .expect_no_violations_but(known)
            .await
            .with_context(|| format!("on the screen {screen}"))
    }
}

/// On the narrowest screen nothing is beside it, in neither direction of reading, and all that can be tapped is large enough.
struct Fits;

/// How wide everything is, and what is too small for a finger (WCAG 2.5.8: 24 pixels; a link within a sentence is exempt).
const MEASURE: &str = "
    // A phone shows what is wider smaller; a window has a screen around it.
    const room = Math.min(innerWidth, screen.width);
    const root = document.querySelector('[data-jhe-connect]');
    const isShown = (it) => it.getClientRects().length > 0 && it.checkVisibility({ visibilityProperty: true });
    const name = (it) => it.localName + '.' + it.className + ' ' + (it.textContent || it.type || '').slice(0, 30);
    const targets = [...document.querySelectorAll(':is(.jhe-connect, .jc-picker) :is(button, a, summary, input, [role=option])')];
    const small = targets.filter(isShown).filter((it) => {
        const box = (it.labels?.[0] ?? it).getBoundingClientRect();
        return box.width < 24 || box.height < 24;
    });
    const width = () => document.scrollingElement.scrollWidth;
    const beside = () => [...root.querySelectorAll('*')].filter(isShown)
        .filter((it) => { const box = it.getBoundingClientRect(); return box.width > 1 && (box.right > room + 1 || box.left < -1); })
        .map(name).slice(0, 5);
    const ltr = { width: width(), beside: beside() };
    const html = document.documentElement;
    const before = [html.dir, root.dir];
    html.dir = root.dir = 'rtl';
    const rtl = { width: width(), beside: beside() };
    [html.dir, root.dir] = before;
    return { screen: room, ltr, rtl, small: small.map(name) };";

#[derive(Debug, Deserialize)]
struct Measured {
    screen: f64,
    ltr: Extent,
    rtl: Extent,
    small: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Extent {
    width: f64,
    beside: Vec<String>,
}

impl Look for Fits {
    async fn at(&self, journey: &Journey, screen: &str) -> Result<()> {
        let browser = &journey.browser;
        let narrow = Circumstances {
            device: Device::NARROW,
            ..Circumstances::default()
        };
        if browser.circumstances() != narrow {
            browser.emulate(narrow).await?;
        }
        let unfold = "for (const fold of document.querySelectorAll('[data-jhe-connect] details')) fold.open = true; return true";
        let _: bool = browser.evaluate(unfold).await?;
        let measured: Measured = browser.evaluate(MEASURE).await?;
        ensure!(
            measured.screen == 320.0,
            "the screen {screen} is shown {} pixels wide: {measured:?}",
            measured.screen
        );
        for (extent, direction) in [
            (&measured.ltr, "left to right"),
            (&measured.rtl, "right to left"),
        ] {
            ensure!(
                extent.width <= measured.screen && extent.beside.is_empty(),
                "something of the screen {screen} is beside it, read from {direction}: {extent:?}"
            );
        }
        ensure!(
            measured.small.is_empty(),
            "too small for a finger on the screen {screen}: {:?}",
            measured.small
        );
        Ok(())
    }
}

// Keys alone.

#[test]
fn keys_alone_lead_from_the_link_to_the_end() {
    visit(Access::PlainPicked, Vendor::Epic, by_keys);
}

#[test]
fn keys_alone_lead_from_the_link_to_the_end_on_jhes_pages() {
    visit(Access::DropIn, Vendor::Epic, by_keys);
}

async fn by_keys(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    journey.world().settings.jhe.page.review = Some(json!(true));
    journey.world().settings.jhe.page.review_choice = Some(json!(true));
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    browser.wait_for_screen("choosing").await?;
    tab_to(journey, ".jc-search").await?;
    browser.type_text("canal side hos").await?;
    browser.hospital_is_listed("Canal Side Hospital").await?;
    browser.mark_hospital("Canal Side Hospital").await?;
    browser.press(&[Key::Enter]).await?;
    browser.wait_for_screen("sharing").await?;
    tab_to(journey, "[data-jc-action=continue]").await?;
    browser.press(&[Key::Enter]).await?;
    browser.wait_for_login_form().await?;
    // The hospital's pages are not ours.
    journey.return_as(CAMILA).await?;
    browser.wait_for_screen("person").await?;
    tab_to(journey, "[data-jc-action=yes-me]").await?;
    browser.press(&[Key::Enter]).await?;
    browser.wait_for_screen("review").await?;
    tab_to(journey, ".jc-boxes input").await?;
    // Off and on again.
    browser.type_text("  ").await?;
    tab_to(journey, "[data-jc-action=send]").await?;
    browser.press(&[Key::Enter]).await?;
    browser.wait_until_settled().await?.expect_done()?;
    expect_each_here(journey)?;

    tab_to(journey, ".jc-choices summary").await?;
    browser.press(&[Key::Enter]).await?;
    tab_to(journey, "[data-jc-action=forget]").await?;
    browser.press(&[Key::Enter]).await?;
    browser
        .wait_for_page_text("has thrown both keys away")
        .await?;
    // Who had the button under the fingers is not left nowhere.
    let place: String = browser
        .evaluate("return document.activeElement.closest('.jc-choices')?.className ?? document.activeElement.localName")
        .await?;
    ensure!(
        place.contains("jc-choices"),
        "the focus is lost: it is on {place}"
    );
    Ok(())
}

fn expect_each_here(journey: &Journey) -> Result<()> {
    let (rows, chart) = (journey.rows().len(), journey.whole_chart().len());
    ensure!(rows == chart, "expected {chart} rows, found {rows}");
    Ok(())
}

/// Presses Tab until the first element for a selector has the focus. Whatever has it on the way shows that it has.
async fn tab_to(journey: &Journey, selector: &str) -> Result<()> {
    let browser = &journey.browser;
    let script = format!(
        "const it = document.activeElement;
        const style = getComputedStyle(it);
        return [
            it === document.querySelector('{selector}'),
            it === document.body || it.matches('.jc-heading') || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            it.outerHTML.slice(0, 120),
        ]"
    );
    for _ in 0..60 {
        let (is_there, is_visible, name): (bool, bool, String) = browser.evaluate(&script).await?;
        let is_ours = name.contains("jc-") || is_there;
        ensure!(
            is_visible || !is_ours,
            "nothing shows that this has the focus: {name}"
        );
        if is_there {
            return Ok(());
        }
        browser.press(&[Key::Tab]).await?;
    }
    bail!("{selector} is not reached by Tab")
}

// Motion.

#[test]
fn whoever_wants_less_motion_sees_none() {
    travel(
        Access::PlainNamed,
        Habits::default(),
        async |journey: &Journey| {
            let browser = &journey.browser;
            browser
                .emulate(Circumstances {
                    motion: Motion::Reduced,
                    ..Circumstances::default()
                })
                .await?;
            journey.has_a_short_chart();
            journey.answer_by_hand().await?;
            journey.reach_login().await?;
            journey.return_as(CAMILA).await?;
            browser.wait_for_screen("person").await?;
            journey.fail(e2e::journey::batches(), Fault::Delay { millis: 60_000 });
            browser.press_named("yes-me").await?;
            browser.wait_for_screen("importing").await?;
            panel_is_there(journey).await?;
            let script =
                "return document.getAnimations().filter((it) => it.playState === 'running')
            .map((it) => it.animationName ?? it.transitionProperty ?? 'another')";
            let running: Vec<String> = browser.evaluate(script).await?;
            ensure!(running.is_empty(), "these move: {running:?}");
            journey.world().clear_faults();
            Ok(())
        },
    );
}
