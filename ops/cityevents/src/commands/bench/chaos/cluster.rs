//! A cluster of processes of this program, on topics and tables of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cityevents_kit::Config;
use cityevents_kit::config::Sources;
use rustix::process::Signal;

use super::servers::Servers;
use super::targets::Targets;
use crate::commands::bench::process::{Ended, Process};

/// Time for a process to become ready, everything else busy.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Time for a process to end in order, as promised.
pub(super) const END_WITHIN: Duration = Duration::from_secs(10);
/// Longer than that nobody waits for the end.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
/// Partitions of commands and facts.
pub(super) const PARTITIONS: u32 = 4;
/// A snapshot after so many facts, so that restores meet some.
const SNAPSHOT_EVERY_FACTS: u32 = 5_000;
/// Seals cursors and cookies of a cluster that is thrown away.
const INSTANCE_SECRET: &str = "rIuQr0FHeN1vWmYhPAkA+T9KPyyyq1dH1JXk7R4Ei1o=";

/// The processes that take requests.
pub(super) const TAKERS: [&str; 2] = ["api-1", "api-2"];
/// The processes that decide.
pub(super) const WORKERS: [&str; 2] = ["registration-1", "registration-2"];
/// The processes that publish the flat topics.
pub(super) const PUBLISHERS: [&str; 2] = ["publisher-1", "publisher-2"];
/// The processes that write the tables.
pub(super) const PROJECTIONS: [&str; 1] = ["projection-1"];

/// Everything that runs all the time.
pub(super) fn everybody() -> impl Iterator<Item = &'static str> {
    TAKERS.into_iter().chain(WORKERS).chain(PUBLISHERS).chain(PROJECTIONS)
}

/// Running processes, by name.
pub(super) struct Cluster {
    folder: PathBuf,
    config_file: PathBuf,
    config: Config,
    running: BTreeMap<String, Process>,
    starts: u32,
    logs: Vec<(String, PathBuf)>,
    targets: Arc<Targets>,
}

impl Cluster {
    /// Writes the configuration, makes topics and tables, and starts everybody.
    pub(super) fn start(
        folder: &Path,
        id: &str,
        servers: &Servers,
        session_timeout: Duration,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let config_file = folder.join("cluster.toml");
        std::fs::write(&config_file, settings(&folder, id, servers, session_timeout)?)?;
        let sources = Sources { file: Some(config_file.clone()), ..Sources::default() };
        let config = Config::load(sources)?.config;
        let mut cluster = Self {
            folder,
            config_file,
            config,
            running: BTreeMap::new(),
            starts: 0,
            logs: Vec::new(),
            targets: Arc::default(),
        };
        // Before the processes, which would each make their own.
        cityevents_kit::keys::KeyRing::open(&cluster.config.keys_dir())?;
        cluster.command("topics", &["topics", "create"])?.finish()?;
        cluster.command("views", &["views", "migrate"])?.finish()?;
        for name in everybody() {
            cluster.begin(name)?;
        }
        for name in everybody() {
            cluster.wait_ready(name)?;
        }
        Ok(cluster)
    }

    /// The configuration that all of them have.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// Where requests can be sent.
    pub(super) const fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }

    /// The logs of all processes that ever ran, with their names.
    pub(super) fn logs(&self) -> &[(String, PathBuf)] {
        &self.logs
    }

    /// Runs a subcommand with the cluster's configuration.
    pub(super) fn command(&mut self, name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        self.starts += 1;
        let file = self.config_file.display().to_string();
        let arguments = [arguments, &["--config", &file]].concat();
        Process::start(&self.folder, name, self.starts, &arguments, &[])
    }

    /// Starts a process and waits until it is ready. Its role is the name up to the number.
    pub(super) fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        self.begin(name)?;
        self.wait_ready(name)
    }

    /// Starts a process.
    pub(super) fn begin(&mut self, name: &str) -> anyhow::Result<()> {
        self.starts += 1;
        let role = match name.rsplit_once('-').map_or(name, |(role, _)| role) {
            "api" => "ingest,api",
            role => role,
        };
        let file = self.config_file.display().to_string();
        let settings = [
            ("CITYEVENTS__INSTANCE__NAME", name.to_owned()),
            ("CITYEVENTS__DATA__DIR", self.folder.join(name).display().to_string()),
        ];
        let arguments = ["run", "--role", role, "--config", &file];
        let process = Process::start(&self.folder, name, self.starts, &arguments, &settings)?;
        self.logs.push((name.to_owned(), process.log().to_owned()));
        self.running.insert(name.to_owned(), process);
        Ok(())
    }

    /// Waits until a process is ready.
    pub(super) fn wait_ready(&mut self, name: &str) -> anyhow::Result<()> {
        let process = self.running.get_mut(name).with_context(|| format!("{name} does not run"))?;
        let listening = process.wait_ready(READY_WITHIN)?;
        if let Some(http) = listening.http {
            self.targets.set(name, http);
        }
        Ok(())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.take(name)?.kill()
    }

    /// SIGTERM, and how it ended.
    pub(super) fn terminate(&mut self, name: &str) -> anyhow::Result<Ended> {
        let mut process = self.take(name)?;
        process.signal(Signal::TERM)?;
        match process.wait_ended(ENDED_WITHIN)? {
            Some(ended) => Ok(ended),
            None => bail!("{name} still runs {ENDED_WITHIN:?} after SIGTERM"),
        }
    }

    /// SIGSTOP.
    pub(super) fn freeze(&self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::STOP)
    }

    /// SIGCONT.
    pub(super) fn thaw(&self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::CONT)
    }

    /// Stops everything in order. Returns what did not end well.
    pub(super) fn stop(&mut self) -> Vec<String> {
        let names: Vec<_> = self.running.keys().cloned().collect();
        let signalled: Vec<_> =
            names.into_iter().filter(|name| self.signal(name, Signal::TERM).is_ok()).collect();
        let mut problems = Vec::new();
        for name in signalled {
            let ended = self.take(&name).and_then(|mut process| process.wait_ended(ENDED_WITHIN));
            match ended {
                Ok(Some(ended)) => problems.extend(judge_end(&name, &ended)),
                Ok(None) => problems.push(format!("{name} did not end after SIGTERM")),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems
    }

    fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let process = self.running.get(name).with_context(|| format!("{name} does not run"))?;
        process.signal(signal)
    }

    fn take(&mut self, name: &str) -> anyhow::Result<Process> {
        self.running.remove(name).with_context(|| format!("{name} does not run"))
    }
}

/// What is wrong with an end in order, if anything.
pub(super) fn judge_end(name: &str, ended: &Ended) -> Option<String> {
    if !ended.status.success() {
        return Some(format!("{name} ended with {} after SIGTERM", ended.status));
    }
    (ended.took > END_WITHIN).then(|| format!("{name} took {:.1?} to end", ended.took))
}

fn settings(
    folder: &Path,
    id: &str,
    servers: &Servers,
    session_timeout: Duration,
) -> anyhow::Result<String> {
    let text = |text: &str| serde_json::to_string(text);
    let texts = |texts: &[String]| serde_json::to_string(texts);
    let path = |part: &str| serde_json::to_string(&folder.join(part).display().to_string());
    let mut toml = String::from("# Written by `cityevents bench chaos`.\n");
    let Servers { brokers, replication, min_insync, nodes, .. } = servers;
    writeln!(toml, "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"")?;
    writeln!(
        toml,
        "[log]\npartitions = {PARTITIONS}\nprefix = {}",
        text(&format!("chaos-{id}."))?
    )?;
    writeln!(toml, "[kafka]\nbrokers = {}", texts(brokers)?)?;
    writeln!(toml, "session_timeout = \"{}ms\"", session_timeout.as_millis())?;
    writeln!(toml, "replication = {replication}\nmin_insync = {min_insync}")?;
    writeln!(toml, "[scylla]\nnodes = {}\nkeyspace = \"chaos_{id}\"", texts(nodes)?)?;
    writeln!(toml, "replication = {}", text(&servers.keyspace_replication)?)?;
    if let Some(url) = &servers.registry {
        writeln!(toml, "[registry]\nurl = {}", text(url)?)?;
    }
    let snapshots = format!("file://{}", folder.join("snapshots").display());
    writeln!(toml, "[snapshots]\nurl = {}", text(&snapshots)?)?;
    writeln!(toml, "[registration]\nsnapshot_every_facts = {SNAPSHOT_EVERY_FACTS}")?;
    writeln!(toml, "[limits]\nenabled = false")?;
    writeln!(toml, "[mail]\nallow_folder = true")?;
    writeln!(toml, "[keys]\ndir = {}\ninstance_secret = \"{INSTANCE_SECRET}\"", path("keys")?)?;
    writeln!(
        toml,
        "[telemetry]\nlog_level = \"info\"\nlog_format = \"json\"\naccess_log = \"off\""
    )?;
    Ok(toml)
}
