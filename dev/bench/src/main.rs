//! Measures an import by jhe-connect beside the same import by the library that it replaces, in one Chromium, on the same
//! two servers on this machine. `docs/benchmarks.md` tells what is measured and how; `cargo xtask bench` starts this.

mod arguments;
mod browser;
mod chart;
mod ehr;
mod files;
mod hospital;
mod import;
mod jhe;
mod jobs;
mod process;
mod report;
mod results;
mod serve;
mod side;
mod soak;
mod startup;
mod statistics;
mod task;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

use arguments::Arguments;
use browser::Browser;
use chart::Chart;
use files::Files;
use jobs::{Import, Job, Work};
use results::{Machine, Measured, Outcomes, Results};
use serve::{Server, serve};
use side::Side;
use soak::{Soak, Trouble};
use task::Task;
use world::{Conduct, Origins, Run, World};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse(std::env::args().skip(1)).map_err(anyhow::Error::msg)?;
    let world = start(&arguments).await?;
    let machine = Machine::here(browser_version(&arguments.chromium).await?);
    let mut results = Results::read(&arguments.json, machine)?;
    let mut failed = false;
    for job in &arguments.jobs {
        eprintln!("{}: {}", job.name, job.about);
        let measured = Measured {
            day: report::today(),
            load: results::load(),
            bundle: bundle_name(&arguments.dist)?,
            sides: perform(job, &world, &arguments).await?,
        };
        failed |= measured.sides.values().any(|side| side.failure.is_some());
        results.jobs.insert(job.name.to_owned(), measured);
        // After every job: the next one may take long, or fail.
        results.write(&arguments.json)?;
    }
    let names: Vec<&str> = arguments.jobs.iter().map(|job| job.name).collect();
    println!("{}", report::text(&results, &names));
    println!("Every run is in {}", arguments.json.display());
    if let Some(document) = &arguments.document {
        let text = fs::read_to_string(document)
            .with_context(|| format!("{} cannot be read", document.display()))?;
        let text = report::with_figures(&text, &results, &names)
            .with_context(|| format!("{} has no place for figures", document.display()))?;
        fs::write(document, text)?;
        println!(
            "The figures of these jobs in {} are new, those of others stay",
            document.display()
        );
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Both servers, on free ports.
async fn start(arguments: &Arguments) -> Result<Arc<World>> {
    let jhe = TcpListener::bind("127.0.0.1:0").await?;
    let ehr = TcpListener::bind("127.0.0.1:0").await?;
    let origins = Origins {
        jhe: format!("http://localhost:{}", jhe.local_addr()?.port()),
        ehr: format!("http://localhost:{}", ehr.local_addr()?.port()),
    };
    let files = Files::read(&arguments.dist, &arguments.peer, &origins)?;
    let nobody = nobody(&origins).await?;
    let world = Arc::new(World::new(origins, files, nobody));
    tokio::spawn(serve(Server::Jhe, jhe, Arc::clone(&world)));
    tokio::spawn(serve(Server::Ehr, ehr, Arc::clone(&world)));
    Ok(world)
}

/// A run without records, on servers that answer at once.
async fn nobody(origins: &Origins) -> Result<Run> {
    let conduct = Conduct {
        latency: Duration::ZERO,
        time_per_record: Duration::ZERO,
        workers: 1,
    };
    let chart = Chart::compose(Task::LabsInBatches, 0, &origins.fhir_base()).await?;
    Ok(Run::new(Arc::new(chart), conduct))
}

async fn browser_version(chromium: &Path) -> Result<String> {
    let browser = Browser::launch(chromium).await?;
    let version = browser.version().await?;
    browser.close().await?;
    Ok(version)
}

fn bundle_name(dist: &Path) -> Result<String> {
    let names = fs::read_dir(dist)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names
        .into_iter()
        .find(|name| name.starts_with("jhe-connect-"))
        .unwrap_or_default())
}

async fn perform(
    job: &Job,
    world: &World,
    arguments: &Arguments,
) -> Result<BTreeMap<Side, Outcomes>> {
    match job.work {
        Work::Import(import) => perform_imports(import, None, world, arguments).await,
        Work::Soak(import, soak) => perform_imports(import, Some(soak), world, arguments).await,
        Work::Startup => {
            world.begin(nobody(&world.origins).await?);
            startup::measure(world, &arguments.chromium, arguments.runs).await
        }
        Work::Size => Ok([Side::Ours, Side::Peer, Side::PurePeer]
            .map(|side| (side, sizes(world, side)))
            .into()),
    }
}

fn sizes(world: &World, side: Side) -> Outcomes {
    let size = world.files.size(side);
    let run = [
        ("brotli_bytes", size.import_page),
        ("brotli_both_bytes", size.both_pages),
        ("raw_bytes", size.import_page_raw),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes as f64));
    Outcomes {
        runs: vec![run.into()],
        failure: None,
    }
}

/// The sides take turns, so that what disturbs the machine disturbs all of them.
async fn perform_imports(
    import: Import,
    soak: Option<Soak>,
    world: &World,
    arguments: &Arguments,
) -> Result<BTreeMap<Side, Outcomes>> {
    let chart = Chart::compose(import.task, import.records, &world.origins.fhir_base()).await?;
    let chart = Arc::new(chart);
    eprintln!(
        "  {} records, {:.1} MB of Bundles",
        chart.len(),
        chart.bytes() as f64 / 1e6
    );
    let mut outcomes: BTreeMap<Side, Outcomes> = BTreeMap::new();
    let first_seed = match arguments.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    for number in 0..arguments.runs.unwrap_or(import.runs) {
        for side in import.sides {
            let outcomes = outcomes.entry(*side).or_default();
            if outcomes.failure.is_some() {
                continue;
            }
            let trouble = match soak {
                Some(soak) => {
                    let seed = first_seed + number as u64;
                    eprintln!("  run {} --seed {seed}", number + 1);
                    let base = world.origins.fhir_base();
                    Some(Trouble::new(soak, seed, &chart, &base)?)
                }
                None => None,
            };
            let measured =
                import::measure(world, &arguments.chromium, &chart, import, *side, trouble).await;
            match measured {
                Ok(run) => {
                    eprintln!(
                        "  run {} {:9} {}",
                        number + 1,
                        side.name(),
                        report::line(&run)
                    );
                    outcomes.runs.push(run);
                }
                Err(error) => {
                    eprintln!("  run {} {:9} failed: {error:#}", number + 1, side.name());
                    outcomes.failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    Ok(outcomes)
}
