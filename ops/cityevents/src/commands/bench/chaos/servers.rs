//! The servers that a run works on: those of the configuration, or own ones that may be broken.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use cityevents_kit::Config;
use serde_json::Value;

use super::options::Needs;

/// Where Kafka, tables and registry are.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) brokers: Vec<String>,
    pub(super) replication: u16,
    pub(super) min_insync: u16,
    pub(super) nodes: Vec<String>,
    pub(super) keyspace_replication: String,
    pub(super) registry: Option<String>,
    own: Option<OwnServers>,
}

/// Servers in a folder of their own, by `ops/stack`.
#[derive(Debug, Clone)]
pub(super) struct OwnServers {
    program: PathBuf,
    folder: PathBuf,
}

impl Servers {
    /// Those of the configuration.
    pub(super) fn configured(config: &Config) -> anyhow::Result<Self> {
        if !config.is_cluster() {
            bail!(
                "chaos needs a cluster: start servers with `ops/stack up kafka cassandra`, then \
                 `eval \"$(ops/stack env)\"`"
            );
        }
        let kafka = &config.kafka;
        Ok(Self {
            brokers: kafka.brokers.clone(),
            replication: kafka.replication,
            min_insync: kafka.min_insync,
            nodes: config.scylla.nodes.clone(),
            keyspace_replication: one_node_each(),
            registry: config.registry.url.clone(),
            own: None,
        })
    }

    /// Own ones, started unless they run already.
    pub(super) fn own(needs: Needs, own: &OwnServers) -> anyhow::Result<Self> {
        let (kafka, address, copies) = match needs {
            Needs::OwnCluster => ("kafka-cluster", "CITYEVENTS_STACK_KAFKA_CLUSTER", (3, 2)),
            Needs::OwnBroker | Needs::Configured => ("kafka", "CITYEVENTS_STACK_KAFKA", (1, 1)),
        };
        own.run(&["up", kafka, "cassandra", "registry"])?;
        let environment: Value = serde_json::from_str(&own.run(&["env", "--output", "json"])?)?;
        let text = |name: &str| {
            let value = environment[name].as_str().map(str::to_owned);
            value.with_context(|| format!("{} env has no {name}", own.program.display()))
        };
        Ok(Self {
            brokers: text(address)?.split(',').map(str::to_owned).collect(),
            replication: copies.0,
            min_insync: copies.1,
            nodes: vec![text("CITYEVENTS_STACK_CASSANDRA")?],
            keyspace_replication: one_node_each(),
            registry: Some(text("CITYEVENTS_STACK_REGISTRY")?),
            own: Some(own.clone()),
        })
    }

    /// The servers that may be broken.
    pub(super) fn breakable(&self) -> anyhow::Result<&OwnServers> {
        self.own.as_ref().context("the servers of others are left in peace")
    }
}

/// A bench has one node of the tables.
fn one_node_each() -> String {
    "{'class': 'SimpleStrategy', 'replication_factor': 1}".to_owned()
}

impl OwnServers {
    pub(super) fn new(program: &Path, folder: &Path) -> Self {
        Self { program: program.to_owned(), folder: folder.to_owned() }
    }

    /// Runs `ops/stack` on these servers.
    pub(super) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(&self.folder).stdin(Stdio::null());
        let output = command.output().with_context(|| {
            format!("{} cannot be run; name it with --stack", self.program.display())
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} {}: {said}", self.program.display(), arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
