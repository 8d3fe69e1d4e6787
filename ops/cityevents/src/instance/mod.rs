//! One instance in one process: log, tables, topologies, HTTP.
//!
//! [`start`] puts the parts together in the order in which they need each other; the lifecycle
//! takes them apart in stages, listeners first and the log last.

mod http;
mod running;
pub mod snapshots;
pub mod topics;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cityevents_api::ProjectionProgress;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Config, Lifecycle, Stage};
use cityevents_processors::registration;
use cityevents_runtime::log::Log;
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::Source;
use cityevents_schemas::topic;
use cityevents_views::Views;

pub use self::running::Running;
use crate::admin;

/// Time for the log and the tables to write what is left.
const CLOSE_BUDGET: Duration = Duration::from_secs(3);

/// A running instance.
pub struct Instance {
    lifecycle: Lifecycle,
    http: SocketAddr,
    ops: SocketAddr,
    shutdown_budget: Duration,
    _running: Running,
}

/// Starts an instance on the data folder of a configuration. Returns when its listeners are open,
/// which is before it is ready.
///
/// # Errors
/// When a part cannot be started, with what to do.
pub async fn start(config: &Config) -> anyhow::Result<Instance> {
    let lifecycle = Lifecycle::new();
    let started = start_parts(config, &lifecycle).await;
    if started.is_err() {
        // Parts that run already would keep the process from ending.
        lifecycle.drain(config.ops.shutdown_budget).await;
    }
    started
}

async fn start_parts(config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<Instance> {
    let data = &config.data.dir;
    std::fs::create_dir_all(data)
        .with_context(|| format!("the data folder {} cannot be made", data.display()))?;
    let metrics = MetricsRegistry::new(env!("CARGO_PKG_VERSION"), "");
    let runtime_metrics = metrics.register(RuntimeMetrics::new);
    let context = open_with(config, runtime_metrics)?;
    let log = context.log().clone();
    topics::create_missing(&*log, &config.log.prefix, config.log.partitions)?;
    topics::check(&*log, &config.log.prefix, config.log.partitions)?;
    let cache_bytes = config.views.cache;
    let options = cityevents_views::embedded::Options { cache_bytes, ..Default::default() };
    let views = Views::embedded(&data.join("views"), options)?;
    let storage = lifecycle.register("storage", Stage::Log, CLOSE_BUDGET);
    let progress = Arc::new(ProjectionProgress::new(config.log.partitions));
    workers::start(config, lifecycle, &context, &views, &progress)?;
    let parts = http::Parts {
        config,
        lifecycle,
        metrics: &metrics,
        context: &context,
        views: &views,
        progress: &progress,
    };
    let listeners = http::start(parts).await?;
    storage.ready();
    tokio::spawn(close_storage(storage, views));
    lifecycle.all_registered();
    let running = Running::announce(data, listeners.http, listeners.ops)?;
    Ok(Instance {
        lifecycle: lifecycle.clone(),
        http: listeners.http,
        ops: listeners.ops,
        shutdown_budget: config.ops.shutdown_budget,
        _running: running,
    })
}

impl Instance {
    /// Address of the public listener.
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Address of the operations listener.
    pub const fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// Its parts.
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Waits until everything is restored and caught up.
    ///
    /// # Errors
    /// When a part died instead.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        self.lifecycle.wait_ready().await.map_err(|health| {
            let health = serde_json::to_string(&health).unwrap_or_default();
            anyhow::anyhow!("the instance does not become ready: {health}")
        })
    }

    /// Stops everything in order. Returns whether all came to an end in time.
    pub async fn stop(self) -> bool {
        let report = self.lifecycle.drain(self.shutdown_budget).await;
        if !report.is_clean() {
            tracing::warn!(late = ?report.late, "not stopped in time: {}", report.late.join(", "));
        }
        report.is_clean()
    }
}

/// Opens log and snapshots of a data folder that no instance runs on, to ask about them.
///
/// # Errors
/// When the folder cannot be opened.
pub fn open_context(config: &Config) -> anyhow::Result<admin::Context> {
    open_with(config, RuntimeMetrics::unregistered())
}

fn open_with(config: &Config, metrics: RuntimeMetrics) -> anyhow::Result<admin::Context> {
    let data = &config.data.dir;
    let local = &config.log.local;
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let options = LocalOptions {
        disk_reserve_bytes: local.disk_reserve,
        record_bytes_max: bytes(local.record_max),
        retention_check: local.retention_check,
        tombstone_retention: local.tombstone_retention,
        tail_bytes_max: bytes(local.tail),
        block_cache_bytes: local.cache,
        in_flight_bytes_max: bytes(local.in_flight_max),
        release_deadline: local.release_deadline,
        ..LocalOptions::default()
    };
    let log: Arc<dyn Log> = LocalLog::open(data.join("log"), options)?;
    let snapshots = SnapshotStore::folder(&data.join("snapshots"))?
        .keeping(config.registration.snapshots_kept as usize);
    let prefix = config.log.prefix.clone();
    let source = Source {
        topology: registration::NAME,
        log,
        commands: topic::EVENT_COMMANDS.full_name(&prefix).into(),
        facts: topic::EVENT_FACTS.full_name(&prefix).into(),
        snapshots: Some(snapshots),
        clock: Arc::new(SystemClock),
        metrics,
    };
    Ok(admin::Context { source, prefix, partitions: config.log.partitions })
}

/// The log closes when the last handle on it is dropped; the tables are made durable here, so that
/// the next start has nothing to project again.
async fn close_storage(storage: cityevents_kit::Component, views: Views) {
    storage.shutdown().wait().await;
    if let Err(error) = views.write.flush().await {
        tracing::warn!(%error, "the tables were not flushed: {error}");
    }
    storage.finished();
}
