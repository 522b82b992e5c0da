//! How long each side's scripts take until they can be called.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::browser::Browser;
use crate::files::BLANK;
use crate::jobs::{STARTS, THROTTLES};
use crate::results::Outcomes;
use crate::side::Side;
use crate::world::World;

const SCRIPT: &str = include_str!("../pages/startup.js");
const SIDES: [Side; 3] = [Side::Ours, Side::Peer, Side::PurePeer];

/// Each start in a page of a profile of its own, and so in a new renderer: nothing is compiled from an earlier one.
pub(crate) async fn measure(
    world: &World,
    chromium: &Path,
    starts: Option<usize>,
) -> Result<BTreeMap<Side, Outcomes>> {
    let mut outcomes: BTreeMap<Side, Outcomes> = BTreeMap::new();
    let browser = Browser::launch(chromium).await?;
    for number in 0..starts.unwrap_or(STARTS) {
        eprint!("\r  start {} ", number + 1);
        for side in SIDES {
            let mut run = BTreeMap::new();
            for throttle in THROTTLES {
                let time = start(world, &browser, side, throttle).await?;
                run.insert(measure_at(throttle), time);
            }
            outcomes.entry(side).or_default().runs.push(run);
        }
    }
    eprintln!();
    browser.close().await?;
    Ok(outcomes)
}

/// The name of the measure at a speed.
pub(crate) fn measure_at(throttle: u32) -> String {
    format!("startup_{throttle}x_ms")
}

async fn start(world: &World, browser: &Browser, side: Side, throttle: u32) -> Result<f64> {
    let (page, separate) = browser.separate_page().await?;
    page.open(&format!("{}{BLANK}", world.origins.jhe)).await?;
    page.call(
        "Emulation.setCPUThrottlingRate",
        json!({ "rate": throttle }),
    )
    .await?;
    page.evaluate(SCRIPT).await?;
    let call = format!("benchStartup({})", world.files.startup(side)?);
    let time = page.evaluate(&call).await?;
    browser.close_separate(separate).await?;
    time.as_f64().context("a start without a time")
}
