//! One measured import: a fresh browser, the connect page, the sign-in, and then the callback page under observation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::browser::{Browser, Page};
use crate::chart::Chart;
use crate::files::connect_page;
use crate::jobs::Import;
use crate::process::{self, Reading};
use crate::side::Side;
use crate::world::{Run, World};

const PROBE: &str = include_str!("../pages/probe.js");
const BINDING: &str = "benchSettled";
/// How often the heap is looked at.
const GLANCE: Duration = Duration::from_millis(25);
/// How long the way to the sign-in may take, and how long an import.
const SIGN_IN: Duration = Duration::from_secs(60);
const IMPORT: Duration = Duration::from_secs(600);

const MIB: f64 = 1_048_576.0;

/// How a page ended.
#[derive(Debug, Deserialize)]
struct Settled {
    state: String,
    code: Option<String>,
    text: String,
    wasm_bytes: f64,
}

/// The most that the page held at any glance, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Heap {
    objects: f64,
    buffers: f64,
}

/// Makes one run, and gives its measures by name.
pub(crate) async fn measure(
    world: &World,
    chromium: &Path,
    chart: &Arc<Chart>,
    import: Import,
    side: Side,
) -> Result<BTreeMap<String, f64>> {
    let run = world.begin(Run::new(Arc::clone(chart), import.conduct()));
    let mut browser = Browser::launch(chromium).await?;
    let measured = observe(world, &run, &mut browser, import, side).await;
    browser.close().await?;
    measured
}

async fn observe(
    world: &World,
    run: &Run,
    browser: &mut Browser,
    import: Import,
    side: Side,
) -> Result<BTreeMap<String, f64>> {
    let page = browser.page().await?;
    page.call("Runtime.addBinding", json!({ "name": BINDING }))
        .await?;
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({ "source": PROBE }),
    )
    .await?;
    page.open(&connect_page(
        side,
        import.writes,
        &world.origins,
        import.records,
    ))
    .await?;
    tokio::select! {
        () = run.arrival() => {}
        settled = browser.called(BINDING) => {
            let (_, told) = settled?;
            bail!("the connect page stopped: {}", described(&serde_json::from_str(&told)?));
        }
        () = tokio::time::sleep(SIGN_IN) => bail!("the connect page did not reach the sign-in"),
    }
    // What the connect page left is not the callback page's.
    page.call("HeapProfiler.collectGarbage", json!({})).await?;
    let before = readings(browser.id()?, Peak::Forget)?;

    let started = Instant::now();
    run.let_on();
    let mut heap = Heap::default();
    let (ended, told) = timeout(IMPORT, async {
        let mut glances = interval(GLANCE);
        loop {
            tokio::select! {
                settled = browser.called(BINDING) => return settled,
                _ = glances.tick() => heap.look(&page).await?,
            }
        }
    })
    .await
    .context("the import did not end")??;
    heap.look(&page).await?;
    let after = readings(browser.id()?, Peak::Keep)?;

    let settled: Settled = serde_json::from_str(&told)?;
    ensure!(settled.state == "done", "{}", described(&settled));
    let ledger = run.ledger();
    ledger.verify()?;

    let wall = milliseconds(ended - started);
    let searching = ledger.first_page.context("no page was asked for")?;
    let mut measures = BTreeMap::new();
    let mut note = |name: &str, value: f64| {
        measures.insert(name.to_owned(), value);
    };
    note("wall_ms", wall);
    note("search_to_end_ms", milliseconds(ended - searching));
    note("heap_mib", heap.objects / MIB);
    note("wasm_mib", settled.wasm_bytes / MIB);
    note(
        "heap_and_wasm_mib",
        (heap.objects + settled.wasm_bytes) / MIB,
    );
    note("buffers_mib", heap.buffers / MIB);
    note("cpu_ms", cpu(&before, &after));
    note("resident_mib", resident(&before, &after));
    note("pages", ledger.pages.into());
    note("preflights", ledger.preflights.into());
    note("writes", ledger.writes.into());
    note("written_mib", ledger.bytes_written as f64 / MIB);
    Ok(measures)
}

impl Heap {
    async fn look(&mut self, page: &Page) -> Result<()> {
        let usage = page.call("Runtime.getHeapUsage", json!({})).await?;
        let number = |name: &str| usage.get(name).and_then(Value::as_f64).unwrap_or_default();
        self.objects = self.objects.max(number("usedSize"));
        self.buffers = self.buffers.max(number("backingStorageSize"));
        Ok(())
    }
}

fn described(settled: &Settled) -> String {
    let code = settled.code.as_deref().unwrap_or("no code");
    let text = settled
        .text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    format!("{} ({code}): {text}", settled.state)
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Peak {
    Forget,
    Keep,
}

/// All renderers of a browser; there is one, unless Chromium takes another for the callback page.
fn readings(browser: u32, peak: Peak) -> Result<BTreeMap<u32, Reading>> {
    let renderers = process::renderers(browser)?;
    ensure!(!renderers.is_empty(), "Chromium has no renderer");
    renderers
        .into_iter()
        .map(|id| {
            if peak == Peak::Forget {
                process::forget_peak(id)?;
            }
            Ok((id, process::read(id)?))
        })
        .collect()
}

/// Processor time of the renderers in between.
fn cpu(before: &BTreeMap<u32, Reading>, after: &BTreeMap<u32, Reading>) -> f64 {
    let taken = |(id, later): (&u32, &Reading)| {
        let earlier = before.get(id).copied().unwrap_or_default();
        later.cpu_ms.saturating_sub(earlier.cpu_ms)
    };
    after.iter().map(taken).sum::<u64>() as f64
}

/// How far the renderer that worked most rose above where it stood, in MiB.
fn resident(before: &BTreeMap<u32, Reading>, after: &BTreeMap<u32, Reading>) -> f64 {
    let busiest = after.iter().max_by_key(|(_, later)| later.cpu_ms);
    let Some((id, later)) = busiest else {
        return 0.0;
    };
    let earlier = before.get(id).copied().unwrap_or_default();
    later.peak_kib.saturating_sub(earlier.resident_kib) as f64 / 1_024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(cpu_ms: u64, resident_kib: u64, peak_kib: u64) -> Reading {
        Reading {
            cpu_ms,
            resident_kib,
            peak_kib,
        }
    }

    #[test]
    fn only_what_happened_in_between_counts() {
        let before = BTreeMap::from([(7, reading(400, 2_048, 2_048)), (8, reading(50, 9, 9))]);
        let after = BTreeMap::from([(7, reading(900, 3_072, 5_120)), (9, reading(30, 9, 9))]);
        assert_eq!(cpu(&before, &after), 530.0);
        assert_eq!(resident(&before, &after), 3.0);
    }
}
