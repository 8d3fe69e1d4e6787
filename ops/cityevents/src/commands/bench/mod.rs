//! `bench`: measures what the design promises, and prints each figure with its goal and its
//! conditions.
//!
//! Everything is measured on the machine that asks, load generator included. A scenario is repeated
//! and the median of each figure is printed; absolute figures of a shared machine mean little, so
//! that a null loop or a peer runs beside it wherever there is one.

mod backlog;
pub mod chaos;
mod codec;
mod decide;
mod feed;
mod http;
mod ingest;
mod kafka;
mod logins;
mod mail;
mod measure;
mod memory;
pub mod options;
mod overload;
mod pages;
mod pipeline;
mod process;
mod processes;
mod replay;
mod restore;
mod signals;
mod stage;
mod streams;
mod tracing;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cityevents_kit::Config;
use serde_json::json;

use self::measure::{Row, medians};
use self::options::BenchTarget;
use self::processes::Processes;
use crate::cli::{Bench, Place, Scenario};
use crate::output::{self, Format};

/// What every scenario is asked with.
#[derive(Debug, Clone)]
struct Plan {
    /// Before anything counts.
    warm_up: Duration,
    /// What counts.
    seconds: Duration,
    /// Requests due each second; 0: as many as go.
    rate: u32,
    /// For `restore`, `replay` and `memory`.
    registrations: u32,
    /// For `feed`.
    published: u32,
    /// For `tracing`.
    trace: f64,
    /// Where data goes.
    folder: PathBuf,
    /// What `http` measures.
    target: BenchTarget,
    /// The brokers that `restore` and `replay` read from, in place of a folder.
    kafka: Option<Config>,
    /// Servers whose processor time is told.
    processes: Processes,
}

impl Plan {
    /// An empty folder for one run, removed when dropped.
    fn folder(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(&self.folder)?)
    }
}

pub(super) fn run(arguments: &Bench) -> anyhow::Result<ExitCode> {
    // Servers that do not answer are what chaos is about.
    let level = if arguments.scenario == Scenario::Chaos { "error" } else { "warn" };
    let settings = vec![("telemetry.log_level".to_owned(), level.to_owned())];
    let mut config = Place::default().load(settings)?.config;
    if let Some(brokers) = &arguments.servers.kafka {
        // Only the log is measured there: nothing else of a cluster has to be given.
        config.kafka.brokers = options::brokers(brokers)?;
    }
    cityevents_kit::telemetry::init_logging(&config.telemetry)?;
    let folder = arguments.data.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&folder)?;
    let plan = Plan {
        warm_up: Duration::from_secs(arguments.warm_up.into()),
        seconds: Duration::from_secs(arguments.seconds.into()),
        rate: arguments.rate,
        registrations: arguments.registrations,
        published: arguments.published,
        trace: arguments.trace,
        folder,
        target: arguments.target.clone(),
        kafka: arguments.servers.kafka.is_some().then(|| config.clone()),
        processes: arguments
            .servers
            .pids
            .iter()
            .fold(Processes::default(), |all, one| all.with(&one.name, Some(one.pid))),
    };
    let measure: fn(&Plan) -> anyhow::Result<Vec<Row>> = match arguments.scenario {
        Scenario::Kafka => return kafka::run(arguments, &plan, &config),
        Scenario::Decide => decide::measure,
        Scenario::Codec => codec::measure,
        Scenario::Pipeline => pipeline::measure,
        Scenario::Http if arguments.writes => http::measure_writes,
        Scenario::Http => http::measure_joins,
        Scenario::Ingest => ingest::measure,
        Scenario::Restore => restore::measure,
        Scenario::Replay => replay::measure,
        Scenario::Overload => overload::measure,
        Scenario::Memory => memory::measure,
        Scenario::Mail => mail::measure,
        Scenario::Logins => logins::measure,
        Scenario::Streams => streams::measure,
        Scenario::Signals => signals::measure,
        Scenario::Feed => feed::measure,
        Scenario::Tracing => tracing::measure,
        Scenario::Pages => pages::measure,
        Scenario::Chaos => return chaos::run(arguments),
    };
    let mut runs = Vec::new();
    for number in 1..=arguments.runs {
        let spinner = output::spinner("measuring");
        spinner.set_message(format!("measuring, run {number} of {}", arguments.runs));
        runs.push(measure(&plan)?);
        spinner.finish_and_clear();
    }
    report(arguments, &plan.folder, &medians(runs))?;
    Ok(ExitCode::SUCCESS)
}

fn report(arguments: &Bench, folder: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if arguments.output == Format::Json {
        return output::json(&json!({
            "cores": cores,
            "profile": profile,
            "version": env!("CARGO_PKG_VERSION"),
            "folder": folder,
            "warm_up_seconds": arguments.warm_up,
            "seconds": arguments.seconds,
            "runs": arguments.runs,
            "rows": rows,
        }));
    }
    let headings = ["what", "goal", "measured", "reached", "conditions"];
    output::table(&headings, rows.iter().map(Row::cells));
    output::line(&format!(
        "median of {} runs; {} s each after {} s of warm-up where a run has no size of its own; \
         {cores} cores shared by all, load generator included; {profile} build; data in {}",
        arguments.runs,
        arguments.seconds,
        arguments.warm_up,
        folder.display()
    ));
    Ok(())
}
