//! The main job, seen from outside: a patient connects in headless Chromium, and this prints what was on each screen and which
//! records JHE holds afterwards. `--screenshots DIR` keeps a picture of each screen, `--plain` takes the plain pages instead of
//! the drop-in.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use e2e::browser::{Habits, counted};
use e2e::journey::{CAMILA, Journey};
use e2e::records::upstream_id;
use e2e::watch;
use sandbox::{Layout, Row};
use serde::Deserialize;
use serde_json::value::RawValue;

const USAGE: &str = "usage: demo [--plain] [--screenshots DIR]";

/// What the sandbox takes for one request to the hospital, so that there is something to see on the connect page.
const HOSPITAL_LATENCY_MS: u64 = 300;
/// What JHE takes to store one record.
const TIME_PER_RECORD_MS: u64 = 50;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let wishes = Wishes::of_command_line()?;
    let begun = Instant::now();
    let journey = Journey::begin(wishes.layout, Habits::default()).await?;
    let arrived = match travel(&journey, &mut Album::new(wishes.screenshots)?).await {
        Ok(()) => watch::check(&journey).await,
        other => other,
    };
    if arrived.is_err() {
        eprintln!("{}", journey.describe().await);
    }
    journey.browser.close().await?;
    arrived?;
    println!(
        "The journey took {:.1} s. No token or verifier was left behind.",
        begun.elapsed().as_secs_f32()
    );
    Ok(())
}

/// The patient's journey, screen by screen.
async fn travel(journey: &Journey, album: &mut Album) -> Result<()> {
    {
        let mut world = journey.world();
        world.settings.ehr.latency_ms = HOSPITAL_LATENCY_MS;
        world.settings.jhe.time_per_record_ms = TIME_PER_RECORD_MS;
    }
    let browser = &journey.browser;
    // Each screen stays until its picture is taken.
    journey.answer_by_hand().await?;
    println!("The invitation link: {}\n", journey.link());
    journey.open_invitation().await?;
    if journey.is_asked("continue").await? {
        album.keep(journey, "what will be shared").await?;
        browser.press_named("continue").await?;
    } else {
        album.keep(journey, "the connect page").await?;
    }

    browser.wait_for_login_form().await?;
    album.keep(journey, "the hospital's login form").await?;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;

    browser.wait_for_consent_page().await?;
    album.keep(journey, "the hospital's consent page").await?;
    browser.allow().await?;

    for (action, question) in [
        ("yes-me", "is this you?"),
        ("go-on", "what was not granted"),
        ("send", "what would be sent"),
    ] {
        if journey.is_asked(action).await? {
            album.keep(journey, question).await?;
            browser.press_named(action).await?;
        }
    }

    journey.rows_reach(1).await?;
    album
        .keep(journey, "the callback page, while records arrive")
        .await?;

    let last = browser.wait_until_settled().await?;
    album.keep(journey, "the callback page, at the end").await?;

    let (rows, iss) = (journey.rows(), journey.sandbox.iss());
    println!("JHE holds {} records:", rows.len());
    rows.iter().try_for_each(|row| print_row(row, &iss))?;
    println!();
    last.expect_done()?;
    last.expect_lines(&[&format!("Labs: {}", counted(rows.len()))])
}

/// What the command line asks for.
struct Wishes {
    layout: Layout,
    screenshots: Option<PathBuf>,
}

impl Wishes {
    fn of_command_line() -> Result<Self> {
        let mut wishes = Self {
            layout: Layout::DropIn,
            screenshots: None,
        };
        let mut arguments = env::args_os().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--plain") => wishes.layout = Layout::Plain,
                Some("--screenshots") => {
                    wishes.screenshots = Some(arguments.next().context(USAGE)?.into())
                }
                _ => bail!(USAGE),
            }
        }
        Ok(wishes)
    }
}

/// Prints what is on the screen, and keeps a picture if somebody wants to look.
struct Album {
    folder: Option<PathBuf>,
    pictures: usize,
}

impl Album {
    fn new(folder: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(Self {
            folder,
            pictures: 0,
        })
    }

    async fn keep(&mut self, journey: &Journey, name: &str) -> Result<()> {
        self.pictures += 1;
        println!("── {}. {name}", self.pictures);
        journey
            .browser
            .page_text()
            .await?
            .lines()
            .for_each(|line| println!("   {line}"));
        println!();
        if let Some(folder) = &self.folder {
            let words: Vec<_> = name
                .split(|letter: char| !letter.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            let file = folder.join(format!("{}-{}.png", self.pictures, words.join("-")));
            fs::write(&file, journey.browser.screenshot().await?)
                .with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}

/// What is printed of a record. Its value is kept as text, so that the zeros of a decimal are seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation<'a> {
    code: Option<Concept>,
    effective_date_time: Option<String>,
    value_string: Option<String>,
    value_codeable_concept: Option<Concept>,
    #[serde(borrow)]
    value_quantity: Option<Quantity<'a>>,
}

#[derive(Deserialize)]
struct Concept {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Quantity<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    unit: Option<String>,
}

impl Observation<'_> {
    fn value(&self) -> String {
        let quantity = self.value_quantity.as_ref().map(|quantity| {
            let value = quantity.value.map_or("?", |value| value.get());
            format!("{value} {}", quantity.unit.as_deref().unwrap_or_default())
        });
        let concept = || self.value_codeable_concept.as_ref()?.text.clone();
        quantity
            .or_else(|| self.value_string.clone())
            .or_else(concept)
            .unwrap_or_default()
    }
}

fn print_row(row: &Row, iss: &str) -> Result<()> {
    let observation: Observation =
        serde_json::from_str(&row.sent).context("a stored record is no Observation")?;
    let id =
        upstream_id(&row.sent, iss).context("a stored record has no identifier of the hospital")?;
    let code = observation
        .code
        .as_ref()
        .and_then(|code| code.text.as_deref())
        .unwrap_or_default();
    let date = observation
        .effective_date_time
        .as_deref()
        .unwrap_or_default();
    // The last characters of an id tell records of one hospital apart; the first are often alike.
    let id: String = id
        .chars()
        .skip(id.chars().count().saturating_sub(8))
        .collect();
    println!("   …{id}  {date:<20}  {code:<28}  {}", observation.value());
    Ok(())
}
