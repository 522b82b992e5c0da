//! A soak: an import in which things go wrong all the time. What counts is not how fast it is, but that every record is in
//! JHE in the end, once, and that the page's memory does not grow with them.

pub(crate) mod curve;
pub(crate) mod judge;
pub(crate) mod mishap;
pub(crate) mod rows;
pub(crate) mod told;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::browser::Page;
use crate::chart::Chart;
use crate::process;
use crate::task::Task;
use crate::world::Run;

use curve::Sample;
use judge::Lab;
use mishap::{Mishap, Mishaps, Place};
use rows::{Recognition, Rows};

/// A look at the page's memory each time that JHE holds so many more of the records, in percent.
const STEP: usize = 5;

/// What goes wrong in a soak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Soak {
    /// Of a thousand requests so many meet a mishap.
    pub(crate) per_mille: u64,
    /// JHE goes away for a moment when it holds so much of the records, in percent.
    pub(crate) outages: &'static [usize],
    /// From this share of the records on, in percent, memory must be flat.
    pub(crate) flat_from: usize,
    /// What a mishap adds to what is in memory at once, in bytes: it may come to lie elsewhere once.
    pub(crate) longest: usize,
    /// Longer it must not take.
    pub(crate) limit: Duration,
}

/// The mishaps of one run, and what JHE holds in it.
pub(crate) struct Trouble {
    pub(crate) seed: u64,
    pub(crate) soak: Soak,
    mishaps: Mutex<Mishaps>,
    rows: Mutex<Rows>,
    /// What is to arrive.
    hospital: Vec<Lab>,
    /// A write that JHE could not read.
    unreadable: Mutex<Option<String>>,
    /// What JHE does after it reset the connection.
    late: Mutex<Vec<JoinHandle<()>>>,
}

impl Trouble {
    /// For one run with a chart.
    pub(crate) fn new(soak: Soak, seed: u64, chart: &Chart, fhir_base: &str) -> Result<Trouble> {
        let recognition = match chart.task() {
            Task::LabsSingly => Recognition::ByNothing(fhir_base.to_owned()),
            Task::LabsInBatches | Task::ChartInBatches => Recognition::ById,
        };
        let hospital = (0..chart.len())
            .map(|number| recognition.expected(chart.text(number)?))
            .collect::<Result<_>>()?;
        let outages = soak.outages.iter().map(|at| at * chart.len() / 100);
        Ok(Trouble {
            seed,
            soak,
            mishaps: Mutex::new(Mishaps::new(seed, soak.per_mille, outages.collect())),
            rows: Mutex::new(Rows::new(recognition)),
            hospital,
            unreadable: Mutex::default(),
            late: Mutex::default(),
        })
    }

    /// What happens to a request, and how long it takes if it is late.
    pub(crate) fn meet(&self, place: Place, held: usize) -> Option<(Mishap, Duration)> {
        let mut mishaps = lock(&self.mishaps);
        let met = mishaps.meet(place, held, Instant::now())?;
        eprintln!("      {held} held: {} {}", place.name(), met.name());
        Some((met, mishaps.delay()))
    }

    /// JHE takes what was written.
    pub(crate) fn take(&self, body: &[u8]) {
        let taken = std::str::from_utf8(body).map_err(anyhow::Error::from);
        if let Err(error) = taken.and_then(|body| lock(&self.rows).take(body)) {
            lock(&self.unreadable).get_or_insert(format!("{error:#}"));
        }
    }

    /// JHE goes on with something nobody waits for.
    pub(crate) fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.late).push(tokio::spawn(work));
    }

    /// Waits until all of that is done.
    pub(crate) async fn rest(&self) -> Result<()> {
        let late = std::mem::take(&mut *lock(&self.late));
        for work in late {
            work.await?;
        }
        Ok(())
    }

    /// A page of what JHE holds.
    pub(crate) fn page(&self, number: usize, size: usize) -> Option<String> {
        lock(&self.rows).page(number, size)
    }

    /// Fails unless JHE holds what it should, and nothing was sent for nothing.
    pub(crate) fn verify(&self, run: &Run) -> Result<()> {
        if let Some(what) = &*lock(&self.unreadable) {
            anyhow::bail!("JHE could not read a write: {what}");
        }
        let mut findings = judge::judge(&self.hospital, lock(&self.rows).labs());
        let ledger = run.ledger();
        findings.look_for_unprovoked(&self.hospital, ledger.written(), ledger.lost());
        ensure!(findings.is_empty(), "{findings}");
        Ok(())
    }

    /// What went wrong, by name.
    pub(crate) fn measures(&self) -> Vec<(String, f64)> {
        let mishaps = lock(&self.mishaps);
        let mut measures = vec![
            ("seed".to_owned(), self.seed as f64),
            ("away".to_owned(), mishaps.met_while_away().into()),
        ];
        for place in Place::ALL {
            measures.push((asked_measure(place), mishaps.asked(place).into()));
            for mishap in Mishap::ALL {
                let met = mishaps.met(place, mishap);
                measures.push((met_measure(place, mishap), met.into()));
            }
        }
        measures
    }
}

/// The name of the measure: requests of this kind.
pub(crate) fn asked_measure(place: Place) -> String {
    format!("asked_{}", place.name())
}

/// The name of the measure: mishaps of this kind there.
pub(crate) fn met_measure(place: Place, mishap: Mishap) -> String {
    format!("met_{}_{}", place.name(), mishap.name())
}

/// The name of one of the measures of a sample.
pub(crate) fn sample_measure(percent: usize, what: &str) -> String {
    format!("at_{percent:03}_{what}")
}

/// Looks at the page's memory now and then.
pub(crate) struct Watch {
    browser: u32,
    since: Instant,
    total: usize,
    /// The modules that were there at the first look.
    modules: usize,
    curve: Vec<Sample>,
}

impl Watch {
    pub(crate) fn new(browser: u32, since: Instant, total: usize) -> Watch {
        Watch {
            browser,
            since,
            total,
            modules: 0,
            curve: Vec::new(),
        }
    }

    /// Takes a sample, if it is time for one.
    pub(crate) async fn look(&mut self, page: &Page, held: usize) -> Result<()> {
        let percent = held * 100 / self.total.max(1) / STEP * STEP;
        // What was written while the last writes were lost is no step: the end is looked at when the page is done.
        if percent >= 100 || self.curve.last().map_or(0, |it| it.percent) >= percent {
            return Ok(());
        }
        self.sample(page, percent, held).await
    }

    /// Takes the last one.
    pub(crate) async fn finish(mut self, page: &Page, held: usize) -> Result<Vec<Sample>> {
        self.sample(page, 100, held).await?;
        Ok(self.curve)
    }

    async fn sample(&mut self, page: &Page, percent: usize, records: usize) -> Result<()> {
        let seconds = self.since.elapsed().as_secs_f64();
        page.call("HeapProfiler.collectGarbage", json!({})).await?;
        let usage = page.call("Runtime.getHeapUsage", json!({})).await?;
        let heap = usage["usedSize"].as_f64().context("the heap's size")?;
        let wasm = page.evaluate("benchWasmBytes()").await?;
        let wasm: Vec<f64> = serde_json::from_value(wasm)?;
        if self.curve.is_empty() {
            self.modules = wasm.len();
        }
        // What comes with the receipt is not of the import.
        let (wasm, later) = wasm.split_at(self.modules.min(wasm.len()));
        let (wasm, later): (f64, f64) = (wasm.iter().sum(), later.iter().sum());
        let mut resident = 0;
        for renderer in process::renderers(self.browser)? {
            // One that is busy with Chromium's own things is smaller, and may end at any time.
            if let Ok(reading) = process::read(renderer) {
                resident = resident.max(reading.resident_kib);
            }
        }
        let sample = Sample {
            percent,
            records,
            seconds,
            heap,
            wasm,
            later,
            resident: resident as f64 * 1_024.0,
        };
        eprintln!(
            "    {percent:3} %: {records} records after {seconds:.1} s, heap {:.2} + wasm {:.2} MiB, resident {:.0} MiB",
            heap / curve::MIB,
            wasm / curve::MIB,
            sample.resident / curve::MIB
        );
        self.curve.push(sample);
        Ok(())
    }
}

/// The samples as measures.
pub(crate) fn note(curve: &[Sample], soak: Soak, run: &mut BTreeMap<String, f64>) {
    for sample in curve {
        let mut note = |what: &str, value: f64| {
            run.insert(sample_measure(sample.percent, what), value);
        };
        note("s", sample.seconds);
        note("heap_mib", sample.heap / curve::MIB);
        note("wasm_mib", sample.wasm / curve::MIB);
        note("later_mib", sample.later / curve::MIB);
        note("resident_mib", sample.resident / curve::MIB);
    }
    if let Some((bytes, records)) = curve::growth(curve, soak.flat_from) {
        run.insert("growth_bytes".to_owned(), bytes / records as f64);
    }
}

/// Fails unless the page tells the right sums.
pub(crate) async fn expect_sums(page: &Page, records: usize) -> Result<()> {
    let told = page
        .evaluate("document.querySelector('[data-jhe-connect]').innerText")
        .await?;
    let Value::String(told) = told else {
        anyhow::bail!("the page tells nothing");
    };
    let records = crate::report::grouped(records as f64);
    for line in [
        format!("{records} records are now at the study."),
        format!("Labs: {records} records"),
    ] {
        let begin: String = told.chars().take(300).collect();
        ensure!(
            told.lines().any(|it| it.trim() == line),
            "the page does not tell {line:?}, but: {}",
            begin.replace('\n', " | ")
        );
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
