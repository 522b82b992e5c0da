//! Runs the crate's own tests for the browser in a browser that wasm-bindgen's runner cannot drive: `wasm-tests FILE…`, each file
//! a test program that cargo has built. The runner serves its page, and this opens it (`JHE_CONNECT_ENGINE`), waits for the
//! verdict and repeats it.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::browser::{Browser, Engine, Habits};

/// How long the tests of one file may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// The end of what the page of the runner says.
const VERDICT: &str = "test result: ";

/// All that it has said so far.
const SAID: &str = "return document.getElementById('output')?.textContent ?? ''";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run_all().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_all() -> Result<()> {
    let files: Vec<String> = env::args().skip(1).collect();
    ensure!(!files.is_empty(), "usage: wasm-tests FILE…");
    let browser = Browser::start(Engine::chosen()?, Habits::default()).await?;
    let mut failures = Vec::new();
    for file in &files {
        let said = run(&browser, file).await;
        let said = said.with_context(|| format!("running the tests of {file}"))?;
        println!("{said}");
        if !said.contains("test result: ok.") {
            failures.push(file);
        }
    }
    browser.close().await?;
    ensure!(failures.is_empty(), "tests failed in {failures:?}");
    Ok(())
}

/// What the page says at last.
async fn run(browser: &Browser, file: &str) -> Result<String> {
    let mut runner = Runner(
        Command::new("wasm-bindgen-test-runner")
            .arg(file)
            .env("NO_HEADLESS", "1")
            .env("WASM_BINDGEN_TEST_ONLY_WEB", "1")
            .env("WASM_BINDGEN_TEST_ADDRESS", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting wasm-bindgen-test-runner. Run `cargo xtask setup`")?,
    );
    let stdout = runner.0.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let mut seen = String::new();
    let address = lines.find_map(|line| {
        seen += &line;
        let (_, address) = line.split_once("available at ")?;
        Some(address.trim().to_owned())
    });
    let Some(address) = address else {
        // It has tests of another kind, or none: it says so itself.
        ensure!(seen.contains("no tests to run"), "the runner said: {seen}");
        return Ok("test result: ok. 0 passed; 0 failed; 0 ignored".to_owned());
    };
    // A full pipe would stop it.
    thread::spawn(move || lines.for_each(drop));

    browser.open(&address).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said: String = browser.evaluate(SAID).await?;
        if said.contains(VERDICT) {
            return Ok(said);
        }
        if Instant::now() > deadline {
            bail!("no verdict after {} s: {said}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Serves until it is ended.
struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
