//! What journeys are made with, tried on small pages of its own.

use anyhow::{Result, ensure};
use e2e::browser::{Browser, Engine, Habits, State};
use sandbox::{Options, Sandbox};

/// Opens a page with this body, and tries something on it.
fn on_page(body: &str, attempt: impl AsyncFnOnce(&Browser, &str) -> Result<()>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let tried = runtime.block_on(async {
        let sandbox = Sandbox::start(Options::default()).await?;
        let page = format!("<!DOCTYPE html><html lang=\"en\"><title>A page</title>{body}</html>");
        (sandbox.world().static_files).insert("page.html".to_owned(), page.into_bytes());
        let address = format!("{}/static/page.html", sandbox.jhe());
        let browser = Browser::start(Engine::Chromium, Habits::default()).await?;
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
        ensure!(screen.state == State::Another && screen.offers("continue"));
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
