//! What journeys are made with, tried on small pages of its own.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Browser, Capability, Engine, Glance, Habits, State, Text};
use e2e::emulation::{Circumstances, Colors, Contrast, Device, Language, Motion, Scheme};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

/// Opens a page with this body, and tries something on it.
fn on_page(body: &str, attempt: impl AsyncFnOnce(&Browser, &str) -> Result<()>) {
    on_page_with(Habits::default(), body, attempt);
}

fn on_page_with(
    habits: Habits,
    body: &str,
    attempt: impl AsyncFnOnce(&Browser, &str) -> Result<()>,
) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let tried = runtime.block_on(async {
        let sandbox = Sandbox::start(Options::default()).await?;
        let page = format!("<!DOCTYPE html><html lang=\"en\"><title>A page</title>{body}</html>");
        (sandbox.world().static_files).insert("page.html".to_owned(), page.into_bytes());
        let address = format!("{}/static/page.html", sandbox.jhe());
        let browser = Browser::start(Engine::chosen()?, habits).await?;
        browser.visits(&sandbox);
        let tried = attempt(&browser, &address).await;
        browser.close().await?;
        tried
    });
    if let Err(error) = tried {
        panic!("{error:#}");
    }
}

/// Asks two things, one after the other, and is done then.
const QUESTIONS: &str = r#"<main id="out" data-jhe-connect="asking" data-jhe-connect-screen="sharing">
    <button data-jc-action="continue">Continue</button></main>
    <script>
        const out = document.getElementById('out');
        const ask = (screen, action, then) => {
            out.dataset.jheConnectScreen = screen;
            out.innerHTML = `<button data-jc-action="stop">No</button><button data-jc-action="${action}">Yes</button>`;
            out.lastChild.onclick = then;
        };
        out.lastElementChild.onclick = () => ask('person', 'yes-me', () => {
            out.dataset.jheConnect = out.dataset.jheConnectScreen = 'done';
        });
    </script>"#;

#[test]
fn questions_are_answered_in_the_page_unless_a_journey_answers_by_hand() {
    on_page(QUESTIONS, async |browser, address| {
        browser.open(address).await?;
        let screen = browser.wait_until_settled().await?;
        screen.expect_screen("done")?;

        browser.answer_by_hand().await?;
        browser.open(address).await?;
        let screen = browser.wait_for_screen("sharing").await?;
        ensure!(screen.state == State::Asking && screen.offers("continue"));
        browser.press_named("continue").await?;
        let screen = browser.wait_for_one_of(&["grants", "person"]).await?;
        ensure!(screen.actions == ["stop", "yes-me"], "{screen}");
        browser.press_named("yes-me").await?;
        browser.wait_for_screen("done").await.map(drop)
    });
}

#[test]
fn a_button_or_screen_that_cannot_come_any_more_is_not_waited_for() {
    on_page(QUESTIONS, async |browser, address| {
        browser.open(address).await?;
        browser.wait_until_settled().await?;
        for attempt in [
            browser.press_named("pause").await,
            browser.wait_for_screen("review").await.map(drop),
        ] {
            let error = attempt.expect_err("there is none").to_string();
            ensure!(error.contains("Done, the screen done"), "{error}");
        }
        Ok(())
    });
}

/// What a page knows of its circumstances.
const CIRCUMSTANCES: &str = "
    const is = (query) => matchMedia('(' + query + ')').matches;
    return [
        innerWidth, innerHeight, devicePixelRatio, is('prefers-color-scheme: dark'), is('prefers-reduced-motion'),
        is('prefers-contrast: more'), is('forced-colors: active'), is('pointer: coarse'),
        navigator.languages.join(), new Intl.NumberFormat().format(1234.5),
    ]";

/// What a page with these circumstances knows of them in this engine, which may lack some.
fn known_of(circumstances: Circumstances, engine: Engine) -> Value {
    let Circumstances { device, .. } = circumstances;
    let has = |capability| engine.lacks(capability).is_none();
    let is_touched = has(Capability::Touch);
    json!([
        device.width,
        device.height,
        if is_touched { device.ratio } else { 1 },
        circumstances.scheme == Scheme::Dark,
        circumstances.motion == Motion::Reduced,
        circumstances.contrast == Contrast::More && has(Capability::Contrast),
        circumstances.colors == Colors::Forced && has(Capability::ForcedColors),
        device.is_mobile && is_touched,
        match (circumstances.language, engine) {
            // Who has set one language only: Firefox can be told no more.
            (Language::English, Engine::Firefox) => "en-US",
            (Language::Spanish, Engine::Firefox) => "es-US",
            (Language::English, _) => "en-US,en",
            (Language::Spanish, _) => "es-US,es,en",
        },
        "1,234.5",
    ])
}

const META: &str =
    r#"<meta name="viewport" content="width=device-width, initial-scale=1"><p>Text</p>"#;

const OTHERS: Circumstances = Circumstances {
    device: Device::DESKTOP,
    scheme: Scheme::Dark,
    motion: Motion::Reduced,
    contrast: Contrast::More,
    colors: Colors::Forced,
    language: Language::Spanish,
    slowness: 4,
};

async fn expect_known(browser: &Browser, address: &str, expected: Circumstances) -> Result<()> {
    browser.open(address).await?;
    let known: Value = browser.evaluate(CIRCUMSTANCES).await?;
    let expected = known_of(expected, browser.engine());
    ensure!(known == expected, "expected {expected}, found {known}");
    Ok(())
}

#[test]
fn a_page_is_shown_in_the_circumstances_that_are_asked_for_and_stays_so() {
    on_page(META, async |browser, address| {
        browser.emulate(OTHERS).await?;
        expect_known(browser, address, OTHERS).await?;
        let next = expect_known(browser, address, OTHERS).await;
        next.context("on the page after that")?;
        browser.open_tab().await?;
        let other = expect_known(browser, address, OTHERS).await;
        other.context("in another tab")
    });
}

#[test]
fn what_a_page_is_shown_in_can_be_changed_while_it_is_open() {
    on_page(META, async |browser, address| {
        let usual = Circumstances::default();
        expect_known(browser, address, usual).await?;
        let mut changed = OTHERS;
        if browser.leaves_out(Capability::SettingsOfAnOpenPage) {
            (changed.scheme, changed.motion) = (usual.scheme, usual.motion);
        }
        browser.emulate(OTHERS).await?;
        expect_known(browser, address, changed).await?;
        browser.emulate(usual).await?;
        expect_known(browser, address, usual).await
    });
}

#[test]
fn text_can_be_twice_its_usual_size() {
    let habits = Habits {
        text: Text::Double,
        ..Habits::default()
    };
    on_page_with(habits, "<p>Text</p>", async |browser, address| {
        browser.open(address).await?;
        let size = "return getComputedStyle(document.querySelector('p')).fontSize";
        let size: String = browser.evaluate(size).await?;
        ensure!(size == "32px", "{size}");
        Ok(())
    });
}

#[test]
fn axe_tells_which_rules_a_page_breaks_and_where() {
    let body = r#"<main><h1>A page</h1><button id="nameless"></button></main>"#;
    on_page(body, async |browser, address| {
        browser.open(address).await?;
        let found = browser.axe().await?;
        let rules: Vec<_> = found.iter().map(|it| it.id.as_str()).collect();
        ensure!(rules == ["button-name"], "{found:?}");
        browser.expect_no_violations_but(&["button-name"]).await?;
        let error = browser.expect_no_violations().await;
        let error = error.expect_err("a button without a name").to_string();
        ensure!(
            error.contains("button-name (critical)") && error.contains("id=\"nameless\""),
            "{error}"
        );
        let left: bool = browser.evaluate("return 'axe' in window").await?;
        ensure!(!left, "axe is still there");
        Ok(())
    });
}

#[test]
fn slow_scripts_and_moving_layouts_are_recorded() {
    let body = r#"<h1>A page</h1><p id="below">Text</p><script>
        const started = performance.now();
        while (performance.now() - started < 120);
        requestAnimationFrame(() => setTimeout(() => {
            document.getElementById('below').before(Object.assign(document.createElement('div'), { innerHTML: '<br>'.repeat(9) }));
        }, 50));
    </script>"#;
    on_page(body, async |browser, address| {
        if browser.cannot_make_this_without(Capability::Figures) {
            return Ok(());
        }
        browser.record_figures().await?;
        browser.open(address).await?;
        let figures = browser
            .until("a long task, and a layout that has moved", async || {
                let figures = browser.figures().await?;
                // Either may be told first.
                Ok(
                    match figures.tasks.is_empty() || figures.shifts.is_empty() {
                        true => Glance::NotYet,
                        false => Glance::Seen(figures),
                    },
                )
            })
            .await?;
        ensure!(
            figures.longest_task() >= 100.0 && figures.blocked() >= 50.0,
            "{figures:?}"
        );
        ensure!(
            figures.moved() > 0.0 && figures.shifts[0].moved[0] == "p#below",
            "{figures:?}"
        );
        ensure!(
            figures.first_paint() <= figures.largest_contentful_paint(),
            "{figures:?}"
        );
        ensure!(figures.first_contentful_paint().is_some(), "{figures:?}");
        Ok(())
    });
}
