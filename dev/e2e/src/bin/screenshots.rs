//! Pictures of every screen, on a phone and on a desktop, light and dark, in each language. A scene that does not reach its
//! screen is a failure. `cargo xtask screenshots` runs this.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use e2e::browser::{Glance, Habits, Screen, State};
use e2e::emulation::{Circumstances, Device, Language, Motion, Scheme};
use e2e::journey::{
    Access, CAMILA, DERRICK, Journey, PARENT, PENDING_STATE, Page, batches, visit_with,
};
use e2e::pictures::quantised;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use sandbox::{Broken, FIRST_PATIENT, Fault, Match, SECOND_PATIENT, Server, Vendor};

const USAGE: &str = "usage: screenshots --to DIR [--chosen DIR] [SCENE…]";

/// What all chosen pictures together may weigh.
const CHOSEN_BYTES: u64 = 1_400_000;

/// One screen, and how a patient comes to it.
struct Scene {
    name: &'static str,
    /// What the patient does until the screen comes.
    travel: for<'a> fn(&'a Journey) -> LocalBoxFuture<'a, Result<()>>,
    /// By what it is known.
    awaited: Awaited,
    /// The pictures that the documents show: the end of their names.
    chosen: &'static [&'static str],
}

/// By what a screen is known.
enum Awaited {
    /// Its name (`data-jhe-connect-screen`).
    Named(&'static str),
    /// Its stage (`data-jhe-connect`), and its code if it has one.
    Stage(State, Option<&'static str>),
}

const SCENES: &[Scene] = &[
    Scene {
        name: "sharing",
        travel: |journey| {
            async {
                journey.open_invitation().await?;
                pick(journey).await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("sharing"),
        chosen: &["phone-light-en", "phone-dark-es"],
    },
    Scene {
        name: "hospital-broken",
        travel: |journey| {
            async {
                (journey.world().settings.ehr.broken)
                    .insert(Vendor::Epic, Broken::NoCorsAtMetadata);
                journey.open_invitation().await?;
                pick(journey).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("discovery.not_readable")),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "returned",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                journey.open_invitation().await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("returned"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "error-page",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                journey.open_invitation().await?;
                journey.browser.press_named("saw-error").await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("error-page"),
        chosen: &[],
    },
    Scene {
        name: "no-login",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                journey.open_invitation().await?;
                journey.browser.press_named("no-login").await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("no-login"),
        chosen: &[],
    },
    Scene {
        name: "gave-up",
        travel: |journey| {
            async {
                journey.open_invitation().await?;
                pick(journey).await?;
                journey.browser.press_named("give-up").await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("gave-up"),
        chosen: &[],
    },
    Scene {
        name: "person",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                journey.return_as(CAMILA).await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("person"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "person-doubtful",
        travel: |journey| {
            async {
                let base = journey.listed_base();
                (journey.world()).attach_identifier(FIRST_PATIENT, &base, "another");
                journey.reach_login().await?;
                journey.return_as(PARENT).await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("person"),
        chosen: &[],
    },
    Scene {
        name: "not-me",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                journey.return_as(CAMILA).await?;
                journey.browser.press_named("not-me").await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("not-me"),
        chosen: &[],
    },
    Scene {
        name: "grants",
        travel: |journey| narrowed(journey).boxed_local(),
        awaited: Awaited::Named("grants"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "review",
        travel: |journey| {
            async {
                {
                    let page = &mut journey.world().settings.jhe.page;
                    page.review = Some(true.into());
                    page.review_choice = Some(true.into());
                }
                journey.has_a_short_chart();
                sign_in(journey).await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("review"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "waiting",
        travel: |journey| {
            async {
                journey.fail(batches(), Fault::status(503, "text/plain", "busy"));
                sign_in(journey).await?;
                until_said(journey, ".jc-wait", " s.").await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("importing"),
        chosen: &[],
    },
    Scene {
        name: "paused",
        travel: |journey| {
            async {
                journey.world().give_labs(CAMILA.user, 900);
                journey.fail(batches().after(3), Fault::Delay { millis: 600_000 });
                sign_in(journey).await?;
                journey.rows_reach(20).await?;
                journey.browser.press_named("pause").await?;
                until_said(journey, "[data-jc-action=resume]", "").await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("importing"),
        chosen: &[],
    },
    Scene {
        name: "nothing-found",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                journey.agree_as(DERRICK).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Done, None),
        chosen: &[],
    },
    Scene {
        name: "nothing-to-do",
        travel: |journey| {
            async {
                journey
                    .browser
                    .open(&journey.page(Page::Callback, &[]))
                    .await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("callback.nothing_pending")),
        chosen: &[],
    },
    Scene {
        name: "invitation-expired",
        travel: |journey| {
            async {
                journey.world().expire_invitation(&journey.invitation);
                journey.open_invitation().await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("invitation.expired")),
        chosen: &[],
    },
    Scene {
        name: "choosing",
        travel: |journey| {
            async {
                journey.open_invitation().await?;
                journey.browser.search_for("canal").await?;
                until_said(journey, ".jc-found", "2 hospital").await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Choosing, None),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "declined",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                (journey.browser)
                    .sign_in(CAMILA.user, CAMILA.password)
                    .await?;
                journey.browser.deny().await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("authorization.denied")),
        chosen: &[],
    },
    Scene {
        name: "hospital-error",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                let query = [("error", "server_error"), ("state", PENDING_STATE)];
                journey.return_with(&query).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("authorization.refused")),
        chosen: &[],
    },
    Scene {
        name: "unknown-sign-in",
        travel: |journey| {
            async {
                journey.reach_login().await?;
                let query = [("code", "a-code"), ("state", "of-another-sign-in")];
                journey.return_with(&query).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("callback.unknown_state")),
        chosen: &[],
    },
    Scene {
        name: "importing",
        travel: |journey| {
            async {
                journey.has_a_short_chart();
                // More than goes into the batches that pass: what has arrived then stays what is seen.
                journey.world().give_labs(CAMILA.user, 900);
                journey.fail(batches().after(3), Fault::Delay { millis: 600_000 });
                sign_in(journey).await?;
                journey.rows_reach(20).await?;
                counted(journey).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Working, None),
        chosen: &["phone-light-en", "phone-dark-es"],
    },
    Scene {
        name: "done",
        travel: |journey| {
            async {
                journey.has_a_short_chart();
                sign_in(journey).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Done, None),
        chosen: &["phone-light-en", "phone-light-es", "desktop-dark-en"],
    },
    Scene {
        name: "welcome",
        travel: |journey| {
            async {
                knows(journey, &[Vendor::Epic]);
                journey.open_invitation().await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("welcome"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "connections",
        travel: |journey| {
            async {
                knows(journey, &[Vendor::Epic, Vendor::Hapi]);
                journey.open_invitation().await
            }
            .boxed_local()
        },
        awaited: Awaited::Named("connections"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "hospitals",
        travel: |journey| {
            async {
                journey.has_a_short_chart();
                sign_in(journey).await?;
                let browser = &journey.browser;
                browser.wait_until_settled().await?;
                browser.press_named("add-hospital").await?;
                browser.wait_for_screen("choosing").await?;
                let second = Vendor::OracleHealth.facility_name();
                browser.pick_by_keys(second).await?;
                browser.wait_for_screen("sharing").await?;
                browser.press_named("continue").await?;
                browser.wait_for_login_form().await?;
                let searches = Match::on(Server::Ehr).path("tenant/Goal");
                journey.fail(searches, Fault::DropConnection);
                journey.agree_as(CAMILA).await?;
                browser.wait_until_settled().await.map(drop)
            }
            .boxed_local()
        },
        awaited: Awaited::Named("partly"),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "partly",
        travel: |journey| sign_in(journey).boxed_local(),
        awaited: Awaited::Stage(State::Partly, None),
        chosen: &["phone-light-en"],
    },
    Scene {
        name: "failed",
        travel: |journey| {
            async {
                // The chart is that of another participant.
                let (base, id) = (journey.listed_base(), journey.patient_id(CAMILA));
                (journey.world()).attach_identifier(SECOND_PATIENT, &base, &id);
                sign_in(journey).await
            }
            .boxed_local()
        },
        awaited: Awaited::Stage(State::Failed, Some("identifier.conflict")),
        chosen: &[],
    },
];

/// The patient keeps back some of the chart at the hospital.
async fn narrowed(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    (journey.browser)
        .sign_in(CAMILA.user, CAMILA.password)
        .await?;
    let kept_back = ["Condition", "Goal"];
    journey.browser.allow_without(&kept_back).await?;
    journey.browser.press_named("yes-me").await
}

/// Waits until this stands in the element.
async fn until_said(journey: &Journey, selector: &str, text: &str) -> Result<()> {
    let script = format!("return document.querySelector({selector:?})?.innerText ?? null");
    let browser = &journey.browser;
    let seen = async || {
        let said: Option<String> = browser.evaluate(&script).await?;
        Ok(match said.is_some_and(|said| said.contains(text)) {
            true => Glance::Seen(()),
            false => Glance::NotYet,
        })
    };
    browser
        .until(&format!("{text:?} in {selector}"), seen)
        .await
}

/// The patient has shared records of these hospitals before.
fn knows(journey: &Journey, vendors: &[Vendor]) {
    let mut world = journey.world();
    for vendor in vendors {
        let (base, now) = (vendor.listed_base(world.origins()), world.now());
        let label = format!("Epic / Patient Access — {}", vendor.facility_name());
        (world.jhe).add_source(FIRST_PATIENT, 70_006, &label, &base, now);
    }
}

/// Picks the hospital from the list.
async fn pick(journey: &Journey) -> Result<()> {
    let name = journey.vendor().facility_name();
    journey.browser.pick_by_keys(name).await
}

/// From the invitation to the callback page, whatever is asked on the way.
async fn sign_in(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await
}

/// Waits until the page tells how many records JHE holds.
async fn counted(journey: &Journey) -> Result<()> {
    let expected = "the number of records that were saved";
    (journey.browser)
        .until(expected, async || {
            let count = journey.rows().len().to_string();
            let text = journey.browser.page_text().await?;
            let mut numbers = text.split(|it: char| !it.is_ascii_digit());
            Ok(match numbers.any(|number| number == count) {
                true => Glance::Seen(()),
                false => Glance::NotYet,
            })
        })
        .await
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match picture_all().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn picture_all() -> Result<()> {
    let wishes = Wishes::of_command_line()?;
    fs::create_dir_all(&wishes.folder)?;
    let mut failed = BTreeSet::new();
    let is_wanted = |scene: &&Scene| wishes.scenes.is_empty() || wishes.scenes.contains(scene.name);
    for scene in SCENES.iter().filter(is_wanted) {
        for variant in variants() {
            let name = format!("{}-{}", scene.name, variant.name);
            match picture(scene, variant.circumstances).await {
                Ok(picture) => {
                    println!("  {name}");
                    keep(&wishes, scene, &variant.name, &picture)?;
                }
                Err(error) => {
                    eprintln!("  {name}: {error:#}");
                    failed.insert(name);
                }
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "{} scenes did not reach their screen: {failed:?}",
        failed.len()
    );
    if let Some(chosen) = &wishes.chosen {
        let bytes = weight(chosen)?;
        ensure!(
            bytes <= CHOSEN_BYTES,
            "the pictures in {} weigh {bytes} bytes together, more than {CHOSEN_BYTES}",
            chosen.display()
        );
    }
    Ok(())
}

/// The circumstances of a picture, and what its name says of them.
struct Variant {
    name: String,
    circumstances: Circumstances,
}

fn variants() -> Vec<Variant> {
    let mut variants = Vec::new();
    for (device, of_device) in [(Device::PHONE, "phone"), (Device::DESKTOP, "desktop")] {
        for (scheme, of_scheme) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            for (language, of_language) in [(Language::English, "en"), (Language::Spanish, "es")] {
                variants.push(Variant {
                    name: format!("{of_device}-{of_scheme}-{of_language}"),
                    circumstances: Circumstances {
                        device,
                        scheme,
                        language,
                        // Nothing is caught in the middle of a movement.
                        motion: Motion::Reduced,
                        ..Circumstances::default()
                    },
                });
            }
        }
    }
    variants
}

/// Makes the journey to a scene in a fresh browser.
async fn picture(scene: &Scene, circumstances: Circumstances) -> Result<Vec<u8>> {
    let journey = visit_with(Access::PlainPicked, Vendor::Epic, Habits::default()).await?;
    let taken = async {
        journey.answer_by_hand().await?;
        journey.browser.emulate(circumstances).await?;
        (scene.travel)(&journey).await?;
        reached(&journey, &scene.awaited).await?;
        journey.browser.whole_screenshot().await
    }
    .await;
    journey.browser.close().await?;
    taken
}

async fn reached(journey: &Journey, awaited: &Awaited) -> Result<Screen> {
    match awaited {
        Awaited::Named(name) => journey.browser.wait_for_screen(name).await,
        Awaited::Stage(stage, code) => journey.browser.wait_for_state(*stage, *code).await,
    }
}

fn keep(wishes: &Wishes, scene: &Scene, variant: &str, picture: &[u8]) -> Result<()> {
    let file = format!("{}-{variant}.png", scene.name);
    write(&wishes.folder.join(&file), picture)?;
    match &wishes.chosen {
        Some(folder) if scene.chosen.contains(&variant) => {
            fs::create_dir_all(folder)?;
            write(&folder.join(&file), &quantised(picture)?)
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, content: &[u8]) -> Result<()> {
    fs::write(file, content).with_context(|| format!("writing {}", file.display()))
}

/// What the pictures in a folder weigh together.
fn weight(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

/// What the command line asks for.
struct Wishes {
    /// Where all pictures go.
    folder: PathBuf,
    /// Where the chosen ones go, too, with fewer colours.
    chosen: Option<PathBuf>,
    /// Only these scenes; all if there is none.
    scenes: BTreeSet<String>,
}

impl Wishes {
    fn of_command_line() -> Result<Self> {
        let (mut folder, mut chosen, mut scenes) = (None, None, BTreeSet::new());
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--to" => folder = Some(PathBuf::from(arguments.next().context(USAGE)?)),
                "--chosen" => chosen = Some(PathBuf::from(arguments.next().context(USAGE)?)),
                scene if SCENES.iter().any(|known| known.name == scene) => {
                    scenes.insert(argument);
                }
                other => {
                    let names: Vec<_> = SCENES.iter().map(|scene| scene.name).collect();
                    bail!("no scene {other}; {USAGE}. There are: {}", names.join(", "))
                }
            }
        }
        Ok(Self {
            folder: folder.context(USAGE)?,
            chosen,
            scenes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_has_a_name_of_its_own_and_chosen_pictures_exist() {
        let variants: Vec<_> = variants().into_iter().map(|it| it.name).collect();
        for (at, scene) in SCENES.iter().enumerate() {
            assert!(SCENES[..at].iter().all(|other| other.name != scene.name));
            for chosen in scene.chosen {
                assert!(variants.iter().any(|it| it == chosen), "{chosen}");
            }
        }
    }
}
