//! A thousand labs, and everything goes wrong now and then: whatever happens, each lab is in JHE once at the end.
//!
//! What goes wrong, and when, follows from a seed, which is printed. `JHE_CONNECT_SEED` makes the same journey again, as far
//! as the order of requests that are under way at once is the same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::browser::{Capability, Glance, counted};
use e2e::journey::{CAMILA, Journey, Page, pages, read_backs, run, writes};
use e2e::records::expect_arrival;
use e2e::seed::{self, SEED};
use sandbox::{Fault, Layout, Match, Server};

const LABS: usize = 1_000;
const PAGE: usize = 50;
/// Longer than this no journey may take, whatever goes wrong in it.
const LONGEST: Duration = Duration::from_secs(90);

#[test]
fn every_lab_arrives_once_whatever_the_network_and_the_servers_do() {
    run(Layout::Plain, async |journey: &Journey| {
        travel(journey, &[]).await
    });
}

#[test]
fn every_lab_arrives_once_although_the_page_crashes_and_is_reloaded_meanwhile() {
    use Mishap::{Crash, Reload};
    run(Layout::DropIn, async |journey: &Journey| {
        travel(journey, &[Reload, Crash, Reload, Crash]).await
    });
}

/// What happens to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Reload,
    Crash,
}

async fn travel(journey: &Journey, mishaps: &[Mishap]) -> Result<()> {
    let seed = seed::of_environment()?;
    eprintln!("{SEED}={seed}");
    let travelled = travel_by(&mut Dice::seeded(seed), journey, mishaps).await;
    travelled.with_context(|| format!("{SEED}={seed}"))
}

async fn travel_by(dice: &mut Dice, journey: &Journey, mishaps: &[Mishap]) -> Result<()> {
    let lost = arm(journey, dice);
    let mut moments: Vec<_> = mishaps.iter().map(|_| dice.below(LABS)).collect();
    moments.sort_unstable();

    let begun = Instant::now();
    journey.reach_login().await?;
    journey.agree_as(CAMILA).await?;
    let mut tries = 0;
    for (mishap, rows) in mishaps.iter().zip(moments) {
        tries += come_to(journey, Some(rows)).await?;
        let now = journey.rows().len();
        eprintln!(
            "{mishap:?} at {now} rows (from {rows} on), after {:.1} s",
            begun.elapsed().as_secs_f32()
        );
        match mishap {
            Mishap::Crash if !journey.browser.leaves_out(Capability::Crash) => {
                let callback = journey.page(Page::Callback, &[]);
                journey.browser.crash_and_open(&callback).await?;
            }
            Mishap::Reload | Mishap::Crash => journey.browser.reload().await?,
        }
    }
    tries += come_to(journey, None).await?;
    let took = begun.elapsed();

    let labs = journey.labs_of(CAMILA);
    expect_arrival(&journey.rows(), &labs, &journey.sandbox.iss())?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    screen.expect_lines(&[&format!("Labs: {}", counted(LABS))])?;
    let looks = journey.requests(Server::Jhe, "GET", "_page=1").len();
    eprintln!(
        "{looks} looks at what JHE holds, {tries} further tries, in {:.1} s",
        took.as_secs_f32()
    );
    ensure!(
        looks <= lost + mishaps.len() + tries,
        "JHE was asked {looks} times what it holds, after {lost} faults"
    );
    ensure!(took < LONGEST, "it took {took:?}");
    Ok(())
}

/// Arms the faults; gives how many of them may make the page look at what JHE holds.
fn arm(journey: &Journey, dice: &mut Dice) -> usize {
    {
        let mut world = journey.world();
        world.give_labs(CAMILA.user, LABS);
        world.settings.ehr.page_size = PAGE;
    }
    journey.let_jhe_settle_soon();
    // One page fails five times in a row, which ends the run: it goes on when it is asked to.
    let outage = pages().after(dice.below(LABS / PAGE)).times(5);
    journey.fail(outage, Fault::DropConnection);
    // Of the others about every third fails once.
    for _ in 0..9 {
        let fault = match dice.below(7) {
            0 => Fault::DropConnection,
            1 => Fault::CutOff,
            2 => Fault::Delay { millis: 300 },
            3 => busy(),
            4 => broken(500),
            5 => broken(503),
            _ => Fault::NoCors,
        };
        journey.fail(at(dice.below(LABS / PAGE + 8), pages()), fault);
    }
    let mut lost = 0;
    // A record that JHE itself fails at three times is taken for the reason, so that there are two such faults at most.
    for fault in [broken(500), broken(503)] {
        journey.fail(at(dice.below(LABS), writes()), fault);
        lost += 1;
    }
    for _ in 0..12 {
        let fault = match dice.below(6) {
            0 => Fault::DropConnection,
            1 => Fault::CutOff,
            2 => Fault::LoseAnswer,
            3 => Fault::LateCommit {
                millis: 100 + dice.below(500) as u64,
            },
            4 => Fault::Delay { millis: 300 },
            _ => busy(),
        };
        lost += usize::from(!matches!(fault, Fault::Delay { .. } | Fault::Status { .. }));
        journey.fail(at(dice.below(LABS), writes()), fault);
    }
    for _ in 0..3 {
        let fault = match dice.below(4) {
            0 => Fault::DropConnection,
            1 => Fault::CutOff,
            2 => broken(503),
            _ => Fault::Delay { millis: 300 },
        };
        journey.fail(at(dice.below(6), read_backs()), fault);
        lost += 1;
    }
    lost
}

fn at(turn: usize, requests: Match) -> Match {
    requests.after(turn).once()
}

fn broken(status: u16) -> Fault {
    Fault::status(status, "text/html", "<h1>Server Error</h1>")
}

fn busy() -> Fault {
    Fault::status(429, "text/plain", "too busy")
        .with_header("retry-after", "1")
        .with_header("access-control-expose-headers", "Retry-After")
}

/// Waits until JHE holds so many rows, or until the page is done. Where it offers to try again it is asked to; gives how
/// often.
async fn come_to(journey: &Journey, rows: Option<usize>) -> Result<usize> {
    let mut tries = 0;
    loop {
        let before = journey.rows().len();
        let look = async || {
            let now = journey.world().rows().len();
            if rows.is_some_and(|rows| now >= rows) {
                return Ok(Glance::Seen(Progress::Arrived));
            }
            Ok(match journey.browser.screen_now().await? {
                Some(screen) if screen.state.is_final() => match screen.action.as_deref() {
                    Some("Try again") => Glance::Seen(Progress::Stopped),
                    _ if rows.is_none() => Glance::Seen(Progress::Arrived),
                    _ => Glance::Never(format!("our page came to rest: {screen}")),
                },
                // As long as rows come the journey has all the time that it wants.
                _ if now > before => Glance::Seen(Progress::Moving),
                _ => Glance::NotYet,
            })
        };
        match journey.browser.until("records to move", look).await? {
            Progress::Arrived => return Ok(tries),
            Progress::Moving => {}
            Progress::Stopped => {
                tries += 1;
                journey.browser.press_action().await?;
            }
        }
    }
}

enum Progress {
    Arrived,
    Moving,
    Stopped,
}

/// Random numbers that follow from a seed: xorshift, which is good enough for mishaps.
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// With this seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        // Neighbours among the seeds are to give different journeys; 0 would give none.
        let state = (seed | 1 << 63).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { state }
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.state ^= match left {
                true => self.state << shift,
                false => self.state >> shift,
            };
        }
        (self.state >> 16) as usize % end
    }
}
