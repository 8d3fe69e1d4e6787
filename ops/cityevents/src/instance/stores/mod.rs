//! What an instance keeps its data in: a folder on this machine, or a cluster.

mod cluster;
mod folder;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use cityevents_kit::breaker::BreakerMetrics;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Config, Lifecycle, Stage};
use cityevents_processors::registration;
use cityevents_runtime::log::Log;
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::kafka::KafkaMetrics;
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::Source;
use cityevents_schemas::topic;
use cityevents_views::scylla::ScyllaOptions;
use cityevents_views::{Switch, Views};

use self::cluster::Breakers;
pub use self::cluster::kafka_options;
pub(in crate::instance) use self::tables::follow;
pub use self::tables::{Tables, TablesName, record as tables_record};
use super::registry::Looked;
use crate::admin;

/// Time for the log and the tables to write what is left.
const CLOSE_BUDGET: Duration = Duration::from_secs(3);

/// The stores of a running instance.
pub(super) struct Stores {
    context: admin::Context,
    /// Only on a cluster.
    breakers: Option<Breakers>,
    breaker_metrics: BreakerMetrics,
}

impl Stores {
    /// Opens log and snapshots. `member` names this process at the brokers.
    pub(super) fn open(
        config: &Config,
        member: &str,
        metrics: &MetricsRegistry,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Self> {
        let runtime_metrics = metrics.register(RuntimeMetrics::new);
        let breaker_metrics = BreakerMetrics::new(metrics);
        if !config.is_cluster() {
            let (log, snapshots) = folder::open(config)?;
            let tables = Tables::new(config, None);
            let context = context(config, log, snapshots, runtime_metrics, tables);
            return Ok(Self { context, breakers: None, breaker_metrics });
        }
        let breakers = Breakers::new(config, &breaker_metrics);
        let kafka_metrics = metrics.register(KafkaMetrics::new);
        let (log, snapshots) = tokio::task::block_in_place(|| {
            cluster::open(config, &breakers, member, kafka_metrics, Schemas::Registered)
        })?;
        breakers.report(lifecycle);
        let tables = Tables::new(config, Some(breakers.clone()));
        let context = context(config, log, snapshots, runtime_metrics, tables);
        Ok(Self { context, breakers: Some(breakers), breaker_metrics })
    }

    /// Log and snapshots.
    pub(super) const fn context(&self) -> &admin::Context {
        &self.context
    }

    /// Figures of all circuit breakers.
    pub(super) const fn breaker_metrics(&self) -> &BreakerMetrics {
        &self.breaker_metrics
    }

    /// Opens the tables, and follows which of them are live.
    pub(super) async fn views(
        &self,
        config: &Config,
        metrics: &MetricsRegistry,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Arc<Switch>> {
        let views = match &self.breakers {
            Some(breakers) => cluster::views(config, breakers, metrics).await?,
            None => folder::open_views(config)?,
        };
        let tables = &self.context.tables;
        let switch = tokio::task::block_in_place(|| tables.serve(&views))?;
        if self.breakers.is_none() {
            folder::close_in_time(switch.views(), lifecycle);
        }
        let component = lifecycle.register("live-tables", Stage::Background, CLOSE_BUDGET);
        let tables = Arc::clone(tables);
        tokio::task::spawn_blocking(move || follow::run(component, &tables));
        Ok(switch)
    }
}

/// What is done with the schema registry, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemas {
    /// Nothing: no record is read.
    Unused,
    /// All have to be there.
    Expected,
    /// Those that are missing are registered, if the settings let that happen.
    Registered,
}

/// Opens log and snapshots to ask about them: of a data folder that no instance runs on, or of a
/// cluster.
///
/// # Errors
/// When they cannot be opened.
pub fn open_context(config: &Config, schemas: Schemas) -> anyhow::Result<admin::Context> {
    let metrics = RuntimeMetrics::unregistered();
    if !config.is_cluster() {
        let (log, snapshots) = folder::open(config)?;
        return Ok(context(config, log, snapshots, metrics, Tables::new(config, None)));
    }
    let breakers = Breakers::new(config, &BreakerMetrics::default());
    let (log, snapshots) =
        cluster::open(config, &breakers, "cityevents-tool", KafkaMetrics::unregistered(), schemas)?;
    let tables = Tables::new(config, Some(breakers));
    Ok(context(config, log, snapshots, metrics, tables))
}

/// Opens the log alone, to ask about topics: records are not read.
///
/// # Errors
/// When it cannot be opened.
pub fn open_log(config: &Config) -> anyhow::Result<admin::Context> {
    if !config.is_cluster() {
        return open_context(config, Schemas::Unused);
    }
    let log = cluster::open_log(config)?;
    let none = SnapshotStore::memory()?;
    let tables = Tables::new(config, Some(Breakers::new(config, &BreakerMetrics::default())));
    Ok(context(config, log, none, RuntimeMetrics::unregistered(), tables))
}

/// What a look at the schema registry finds; nothing where there is none.
///
/// # Errors
/// When it does not answer.
pub fn look_at_registry(config: &Config) -> anyhow::Result<Looked> {
    cluster::look_at_registry(config)
}

/// Looks whether the place of the snapshots of a cluster answers; tells what it is called.
///
/// # Errors
/// When it does not, or may not be read.
pub fn check_snapshots(config: &Config) -> anyhow::Result<String> {
    cluster::check_snapshots(config)?;
    Ok(config.snapshots.url.clone().unwrap_or_default())
}

/// Opens the tables to use them past an instance: of a data folder that none runs on, or of a
/// cluster.
///
/// # Errors
/// When they cannot be opened.
pub async fn open_views(config: &Config) -> anyhow::Result<Views> {
    if config.is_cluster() {
        return open_database(config).await;
    }
    folder::open_views(config)
}

/// Opens the tables in the database of a configuration, whatever its log is.
///
/// # Errors
/// When they cannot be opened.
pub async fn open_database(config: &Config) -> anyhow::Result<Views> {
    let breakers = Breakers::new(config, &BreakerMetrics::default());
    let metrics = MetricsRegistry::new(env!("CARGO_PKG_VERSION"), "");
    cluster::views(config, &breakers, &metrics).await
}

/// The tables of a cluster by their names, past an instance.
pub fn open_tables(config: &Config) -> Tables {
    Tables::new(config, Some(Breakers::new(config, &BreakerMetrics::default())))
}

/// How the tables of a cluster are reached.
///
/// # Errors
/// When a secret cannot be read.
pub fn scylla_options(config: &Config) -> anyhow::Result<ScyllaOptions> {
    cluster::scylla_options(config)
}

fn context(
    config: &Config,
    log: Arc<dyn Log>,
    snapshots: SnapshotStore,
    metrics: RuntimeMetrics,
    tables: Tables,
) -> admin::Context {
    let prefix = config.log.prefix.clone();
    let kept = config.registration.snapshots_kept as usize;
    let source = Source {
        topology: registration::NAME,
        log,
        commands: topic::EVENT_COMMANDS.full_name(&prefix).into(),
        facts: topic::EVENT_FACTS.full_name(&prefix).into(),
        snapshots: Some(snapshots.keeping(kept)),
        clock: Arc::new(SystemClock),
        metrics,
    };
    let partitions = config.log.partitions;
    let tables = Arc::new(tables);
    let replays = Arc::default();
    admin::Context { source, prefix, partitions, identity: Arc::default(), tables, replays }
}
