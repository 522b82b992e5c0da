//! One measured import: a fresh browser, the connect page, the sign-in, and then the callback page under observation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{interval, sleep, timeout};

use crate::browser::{Browser, Page};
use crate::chart::Chart;
use crate::files::connect_page;
use crate::jobs::Import;
use crate::process::{self, Reading};
use crate::results;
use crate::side::Side;
use crate::soak::curve::expect_flat;
use crate::soak::{self, Trouble, Watch};
use crate::world::{Run, World};

const PROBE: &str = include_str!("../pages/probe.js");
/// Presses what our pages ask a patient to press, so that no person's time is in a measurement.
const YES: &str = include_str!("../pages/yes.js");
const BINDING: &str = "benchSettled";
/// Whether the sign-in's page is there, and not only its address.
const AT_SIGN_IN: &str = "typeof benchBack === 'function' && document.readyState === 'complete'";
/// How long the way to the sign-in may take, and how long an import without trouble.
const SIGN_IN: Duration = Duration::from_secs(60);
const IMPORT: Duration = Duration::from_secs(600);
const SETTLING: Duration = Duration::from_secs(1);

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
    trouble: Option<Trouble>,
) -> Result<BTreeMap<String, f64>> {
    let run = Run::new(Arc::clone(chart), import.conduct());
    let run = world.begin(match trouble {
        Some(trouble) => run.with_trouble(trouble),
        None => run,
    });
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
    if side == Side::Ours {
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": YES }),
        )
        .await?;
    }
    page.open(&connect_page(
        side,
        import.task,
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
        () = sleep(SIGN_IN) => bail!("the connect page did not reach the sign-in"),
    }
    page.until(AT_SIGN_IN).await?;
    // What the connect page left is not the callback page's.
    page.call("HeapProfiler.collectGarbage", json!({})).await?;
    // Chromium is still busy with itself for a moment.
    sleep(SETTLING).await;
    let before = readings(browser.id()?, Peak::Forget)?;

    let load_before = results::load();
    let started = Instant::now();
    page.evaluate("benchBack()").await?;
    let mut heap = Heap::default();
    let mut watch = Watch::new(browser.id()?, started, import.records);
    let limit = run.trouble.as_ref().map_or(IMPORT, |it| it.soak.limit);
    let (ended, told) = timeout(limit, async {
        let mut glances = interval(import.glance());
        loop {
            tokio::select! {
                settled = browser.called(BINDING) => return settled,
                _ = glances.tick() => {
                    heap.look(&page).await?;
                    if run.trouble.is_some() {
                        let held = run.ledger().held();
                        watch.look(&page, held).await?;
                    }
                }
            }
        }
    })
    .await
    .context("the import did not end")??;
    heap.look(&page).await?;
    let after = readings(browser.id()?, Peak::Keep)?;

    let settled: Settled = serde_json::from_str(&told)?;
    ensure!(settled.state == "done", "{}", described(&settled));
    let mut measures = BTreeMap::new();
    match &run.trouble {
        Some(trouble) => {
            let held = run.ledger().held();
            let curve = watch.finish(&page, held).await?;
            trouble.rest().await?;
            trouble.verify(run)?;
            soak::expect_sums(&page, import.records).await?;
            expect_flat(&curve, trouble.soak.flat_from, trouble.soak.longest)?;
            soak::note(&curve, trouble.soak, &mut measures);
            measures.extend(trouble.measures());
            let again = run.ledger().written_again();
            measures.insert("again".to_owned(), again.into());
            measures.insert("load_before".to_owned(), load_before);
            measures.insert("load_after".to_owned(), results::load());
        }
        None => run.ledger().verify()?,
    }

    let ledger = run.ledger();
    let wall = milliseconds(ended - started);
    let searching = ledger.first_page.context("no page was asked for")?;
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
    let Work {
        cpu_ms,
        resident_mib,
    } = work(&before, &after);
    note("cpu_ms", cpu_ms);
    note("resident_mib", resident_mib);
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
    match &settled.code {
        Some(code) => format!("{}, {code}", settled.state),
        None => format!("{}, {}", settled.state, settled.text.replace('\n', " ")),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Peak {
    Forget,
    Keep,
}

/// All renderers of a browser that have pages.
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

/// What the page's renderer did in between.
#[derive(Debug, PartialEq)]
struct Work {
    /// User and system time.
    cpu_ms: f64,
    /// How far its resident memory rose above where it stood.
    resident_mib: f64,
}

/// The page's renderer is the one that worked most. One that is new stood at nothing before.
fn work(before: &BTreeMap<u32, Reading>, after: &BTreeMap<u32, Reading>) -> Work {
    let pairs = after
        .iter()
        .map(|(id, later)| (before.get(id).copied().unwrap_or_default(), later));
    let works = pairs.map(|(earlier, later)| Work {
        cpu_ms: later.cpu_ms.saturating_sub(earlier.cpu_ms) as f64,
        resident_mib: later.peak_kib.saturating_sub(earlier.resident_kib) as f64 / 1_024.0,
    });
    let most = works.max_by(|one, other| one.cpu_ms.total_cmp(&other.cpu_ms));
    most.unwrap_or(Work {
        cpu_ms: 0.0,
        resident_mib: 0.0,
    })
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
    fn only_what_the_busiest_renderer_did_in_between_counts() {
        let before = BTreeMap::from([(7, reading(400, 2_048, 2_048)), (8, reading(50, 9, 9))]);
        let after = BTreeMap::from([(7, reading(900, 3_072, 5_120)), (9, reading(30, 9, 9))]);
        let expected = Work {
            cpu_ms: 500.0,
            resident_mib: 3.0,
        };
        assert_eq!(work(&before, &after), expected);
    }
}
