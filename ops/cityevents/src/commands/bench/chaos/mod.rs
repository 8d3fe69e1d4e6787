//! `bench chaos`: breaks things under load, on real servers and with real processes, and proves
//! that nothing was lost, doubled, oversold, overtaken or contradicted.
//!
//! For each fault: people join events over HTTP at a rate, each request under a key of its own and
//! repeated until there is a decision; the fault strikes at random moments (the seed is printed);
//! then the oracle compares every answer with the log, the log with plain counting and with the
//! audit, and tables and flat topics with a fold of the facts.
//!
//! Faults that break servers get servers of their own, in the folder of the run; those of the
//! configuration are never touched. Faults are grouped by the servers that they need, each group
//! in a process of its own, since a process speaks to one schema registry only.

mod ask;
mod cluster;
mod faults;
mod load;
mod options;
mod oracle;
mod row;
mod scene;
mod servers;
mod takeover;
mod targets;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use self::options::Needs;
pub use self::options::{ChaosOptions, Fault};
use self::row::ChaosRow;
use self::scene::{Plan, Scene};
use self::servers::{OwnServers, Servers};
use crate::cli::{Bench, FAILURE, Place, Usage};
use crate::output::{self, Format};

/// What is printed.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    cores: usize,
    profile: String,
    version: String,
    seed: u64,
    rate: u32,
    /// Where logs are.
    folder: PathBuf,
    rows: Vec<ChaosRow>,
    /// What did not end well beside the faults.
    problems: Vec<String>,
}

impl Report {
    fn is_kept(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(|row| row.is_kept)
    }
}

/// Runs the faults that were asked for. The exit code says whether every promise was kept.
pub(super) fn run(arguments: &Bench) -> anyhow::Result<ExitCode> {
    let faults = arguments.chaos.chosen();
    if arguments.rate == 0 {
        return Err(Usage("--rate must be at least 1 for chaos".to_owned()).into());
    }
    let temporary = match &arguments.data {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("chaos-").tempdir()?),
    };
    let given = arguments.data.as_deref();
    let folder = temporary.as_ref().map_or(given, |temporary| Some(temporary.path()));
    let folder = folder.context("a folder is given or made")?;
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let seed = arguments.chaos.seed.unwrap_or_else(|| rand::rng().random());
    output::note(&format!("seed {seed}, logs in {}", folder.display()));
    let mut report = Report {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seed,
        rate: arguments.rate,
        folder: folder.clone(),
        rows: Vec::new(),
        problems: Vec::new(),
    };
    let mut groups: Vec<(Needs, Vec<Fault>)> = Vec::new();
    for fault in &faults {
        match groups.iter_mut().find(|(needs, _)| *needs == fault.needs()) {
            Some((_, group)) => group.push(*fault),
            None => groups.push((fault.needs(), vec![*fault])),
        }
    }
    let joins = u64::from(arguments.chaos.joins).div_ceil(faults.len().max(1) as u64);
    let own = OwnServers::new(&arguments.chaos.stack, &folder.join("servers"));
    let uses_own = groups.iter().any(|(needs, _)| *needs != Needs::Configured);
    // They start while the first faults strike elsewhere; whoever needs them waits for them.
    let starting = (uses_own && groups.len() > 1).then(|| {
        let own = own.clone();
        std::thread::spawn(move || {
            own.run(&["up", "kafka-cluster", "kafka", "cassandra", "registry"])
        })
    });
    let ran = match groups.as_slice() {
        [(needs, group)] => {
            let plan = Plan {
                joins,
                rate: arguments.rate,
                seed,
                session_timeout: arguments.chaos.session_timeout,
                away: arguments.chaos.away,
            };
            run_group(*needs, group, &folder, &own, plan, &mut report)
        }
        groups => groups.iter().try_for_each(|(_, group)| {
            delegate(arguments, group, &folder, seed, joins, &mut report)
        }),
    };
    // Whether they started, those who needed them have said.
    let _started = starting.map(std::thread::JoinHandle::join);
    if uses_own && !arguments.chaos.keep_servers {
        own.run(&["down"])?;
    }
    ran?;
    print(arguments, &report)?;
    if report.is_kept() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(temporary) = temporary {
        let _kept_to_look_at = temporary.keep();
    }
    Ok(ExitCode::from(FAILURE))
}

/// Faults that need the same servers, on one cluster of processes.
fn run_group(
    needs: Needs,
    faults: &[Fault],
    folder: &Path,
    own: &OwnServers,
    plan: Plan,
    report: &mut Report,
) -> anyhow::Result<()> {
    let servers = match needs {
        Needs::Configured => Servers::configured(&Place::default().load(Vec::new())?.config)?,
        Needs::OwnCluster | Needs::OwnBroker => Servers::own(needs, own)?,
    };
    let folder = folder.join(format!("{needs:?}").to_lowercase());
    let mut scene = Scene::start(&folder, servers, plan)?;
    for fault in faults {
        let spinner = output::spinner("");
        spinner.set_message(format!("{}: {} joins", fault.name(), plan.joins));
        let row = scene.strike(*fault);
        spinner.finish_and_clear();
        let row = row?;
        output::note(&format!(
            "{}: {} of {} answered in {:.1} s, {}",
            row.fault,
            row.answered,
            row.joins + row.leaves,
            row.seconds,
            if row.is_kept { "kept" } else { "BROKEN" }
        ));
        report.rows.push(row);
    }
    report.problems.extend(scene.stop());
    Ok(())
}

/// Lets a process of its own run faults that need the same servers.
fn delegate(
    arguments: &Bench,
    faults: &[Fault],
    folder: &Path,
    seed: u64,
    joins: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let names: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
    let milliseconds = |time: std::time::Duration| format!("{}ms", time.as_millis());
    let options = &arguments.chaos;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "chaos", "--output", "json", "--keep-servers"]);
    command.args(["--fault", &names.join(",")]);
    command.args(["--joins", &(joins * faults.len() as u64).to_string()]);
    command.args(["--rate", &arguments.rate.to_string(), "--seed", &seed.to_string()]);
    command.args(["--away", &milliseconds(options.away)]);
    command.args(["--session-timeout", &milliseconds(options.session_timeout)]);
    command.arg("--stack").arg(&options.stack).arg("--data").arg(folder);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let part: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} ended with {}", names.join(","), output.status))?;
    report.rows.extend(part.rows);
    report.problems.extend(part.problems);
    Ok(())
}

fn print(arguments: &Bench, report: &Report) -> anyhow::Result<()> {
    if arguments.output == Format::Json {
        return output::json(report);
    }
    output::table(&ChaosRow::HEADINGS, report.rows.iter().map(ChaosRow::cells));
    for row in &report.rows {
        for text in row.notes.iter().chain(&row.problems) {
            output::line(&format!("{}: {text}", row.fault));
        }
    }
    for problem in &report.problems {
        output::line(problem);
    }
    let joins: u64 = report.rows.iter().map(|row| row.joins).sum();
    output::line(&format!(
        "{joins} joins, {} a second due; {} cores shared by all, servers and load included; {} \
         build; seed {}",
        report.rate, report.cores, report.profile, report.seed
    ));
    Ok(())
}
