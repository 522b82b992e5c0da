//! What a browser can lack.

use anyhow::{Result, ensure};
use e2e::browser::{Habits, Storage, Text};
use e2e::journey::{Journey, run_with};
use e2e::journeys;
use sandbox::{Fault, Layout, Match, Server};

journeys!(
    both_layouts: [
        a_browser_without_webassembly_is_told_in_the_loaders_words,
        a_policy_that_forbids_webassembly_is_told_in_the_loaders_words,
        a_module_that_does_not_arrive_is_told_in_the_loaders_words,
        a_browser_that_refuses_streaming_compilation_still_connects,
        an_insecure_context_is_told,
    ],
    drop_in: [a_network_lost_while_importing_is_told],
);

/// On the later JHE's page our part of it is hidden until there is something in it.
mod patient_access {
    use e2e::journey::{Access, visit};
    use sandbox::Vendor;

    #[test]
    fn a_browser_without_webassembly_is_told_in_the_loaders_words() {
        let journey = super::a_browser_without_webassembly_is_told_in_the_loaders_words;
        visit(Access::DropIn, Vendor::Epic, journey);
    }

    #[test]
    fn a_module_that_does_not_arrive_is_told_in_the_loaders_words() {
        let journey = super::a_module_that_does_not_arrive_is_told_in_the_loaders_words;
        visit(Access::DropIn, Vendor::Epic, journey);
    }

    #[test]
    fn an_insecure_context_is_told() {
        visit(
            Access::DropIn,
            Vendor::Epic,
            super::an_insecure_context_is_told,
        );
    }
}

const BLOCKED: Habits = Habits {
    text: Text::Usual,
    storage: Storage::Blocked,
};

#[test]
fn blocked_storage_is_told_by_the_plain_pages() {
    run_with(Layout::Plain, BLOCKED, blocked_storage_is_told);
}

#[test]
fn blocked_storage_is_told_by_the_drop_in() {
    run_with(Layout::DropIn, BLOCKED, blocked_storage_is_told);
}

async fn blocked_storage_is_told(journey: &Journey) -> Result<()> {
    journey
        .stops_at_the_start("browser.storage_blocked")
        .await
        .map(drop)
}

async fn a_browser_without_webassembly_is_told_in_the_loaders_words(
    journey: &Journey,
) -> Result<()> {
    journey
        .browser
        .prepare_pages("delete window.WebAssembly;")
        .await?;
    journey
        .stops_at_the_start("browser.no_webassembly")
        .await
        .map(drop)
}

async fn a_policy_that_forbids_webassembly_is_told_in_the_loaders_words(
    journey: &Journey,
) -> Result<()> {
    // In Firefox's words: those of Chromium would count as a violation of this journey's own policy.
    let forbid = "WebAssembly.instantiateStreaming = WebAssembly.instantiate = () => Promise.reject(\
        new WebAssembly.CompileError('call to WebAssembly.instantiate() blocked by CSP'));";
    journey.browser.prepare_pages(forbid).await?;
    journey
        .stops_at_the_start("browser.no_webassembly")
        .await
        .map(drop)
}

async fn a_module_that_does_not_arrive_is_told_in_the_loaders_words(
    journey: &Journey,
) -> Result<()> {
    let module = Match::on(Server::Jhe).path("jhe-connect_bg.wasm");
    journey.fail(
        module,
        Fault::status(404, "text/html", "<h1>Not Found</h1>"),
    );
    journey
        .stops_at_the_start("browser.load_failed")
        .await
        .map(drop)
}

async fn a_browser_that_refuses_streaming_compilation_still_connects(
    journey: &Journey,
) -> Result<()> {
    let refuse = "WebAssembly.instantiateStreaming = () => Promise.reject(new TypeError('no streaming here'));";
    journey.browser.prepare_pages(refuse).await?;
    journey.connect().await?.expect_done()
}

async fn an_insecure_context_is_told(journey: &Journey) -> Result<()> {
    // Only a host name that is not loopback would be one for real, and the sandbox answers none.
    let insecure = "Object.defineProperty(window, 'isSecureContext', { value: false });";
    journey.browser.prepare_pages(insecure).await?;
    let screen = journey
        .stops_at_the_start("browser.insecure_context")
        .await?;
    screen.expect_texts(&["https"])
}

async fn a_network_lost_while_importing_is_told(journey: &Journey) -> Result<()> {
    journey.reach_the_middle().await?;

    journey.browser.go_offline().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_code("browser.offline")?;
    screen.expect_action("Try again")?;
    let rows = journey.rows().len();
    ensure!(
        rows >= 3,
        "expected what arrived to stay, found {rows} rows"
    );
    Ok(())
}
