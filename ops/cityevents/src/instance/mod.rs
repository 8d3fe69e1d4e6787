//! One instance in one process: log, tables, topologies, HTTP.
//!
//! [`start`] puts the parts together in the order in which they need each other; the lifecycle
//! takes them apart in stages, listeners first and the log last.

mod breakers;
mod contract;
mod http;
mod identity;
mod key_store;
mod lag;
mod leaver;
mod mails;
mod operations;
mod pictures;
mod probe;
mod registry;
pub mod roles;
mod running;
pub mod snapshots;
mod stores;
pub mod topics;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cityevents_api::ProjectionProgress;
use cityevents_kit::telemetry::{MetricsRegistry, start_tracing};
use cityevents_kit::{Config, Lifecycle};

pub use self::identity::open_identity;
pub use self::key_store::{has_keys, open_keys};
pub use self::mails::NoMails;
pub use self::pictures::check_pictures;
use self::roles::{ProcessRole, ProcessRoles};
pub use self::running::Running;
use self::stores::Stores;
pub use self::stores::{
    Schemas, Tables, TablesName, check_snapshots, kafka_options, look_at_registry, open_context,
    open_database, open_log, open_tables, open_views, scylla_options, tables_record,
};
use self::workers::Workers;
use crate::console::Board;

/// A running instance.
pub struct Instance {
    lifecycle: Lifecycle,
    http: Option<SocketAddr>,
    ops: SocketAddr,
    shutdown_budget: Duration,
    _running: Option<Running>,
}

/// Starts an instance with some roles: on the data folder of a configuration, or on the cluster
/// that it names. Returns when its listeners are open, which is before it is ready.
///
/// # Errors
/// When a part cannot be started, with what to do.
pub async fn start(config: &Config, roles: &ProcessRoles) -> anyhow::Result<Instance> {
    let lifecycle = Lifecycle::new();
    let started = start_parts(config, roles, &lifecycle).await;
    if started.is_err() {
        // Parts that run already would keep the process from ending.
        lifecycle.drain(config.ops.shutdown_budget).await;
    }
    started
}

async fn start_parts(
    config: &Config,
    roles: &ProcessRoles,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Instance> {
    let data = &config.data.dir;
    std::fs::create_dir_all(data)
        .with_context(|| format!("the data folder {} cannot be made", data.display()))?;
    let metrics = MetricsRegistry::new(env!("CARGO_PKG_VERSION"), "");
    let member = member_name(config);
    let tracer = start_tracing(&config.telemetry, &member, &metrics, lifecycle)?;
    let stores = Stores::open(config, &member, &metrics, lifecycle)?;
    let (context, breakers) = (stores.context(), stores.breaker_metrics());
    let log = context.log().clone();
    if !config.is_cluster() {
        topics::create_missing(&*log, &config.log.prefix, config.log.partitions)?;
    }
    tokio::task::block_in_place(|| {
        topics::check(&*log, &config.log.prefix, config.log.partitions)?;
        topics::check_whole(&*log, &config.log.prefix)
    })?;
    let progress = Arc::new(ProjectionProgress::new(config.log.partitions));
    let workers =
        Workers { config, lifecycle, context, metrics: &metrics, member: &member, tracer: &tracer };
    let parts = http::Parts {
        config,
        roles,
        lifecycle,
        metrics: &metrics,
        breakers,
        context,
        member: &member,
        tracer: &tracer,
    };
    if roles.has(ProcessRole::Registration) {
        tokio::task::block_in_place(|| workers.registration())?;
    }
    if roles.has(ProcessRole::Publisher) {
        tokio::task::block_in_place(|| workers.publisher())?;
    }
    let board = roles.has(ProcessRole::Lag).then(Arc::<Board>::default);
    if let Some(board) = &board {
        workers.lag(metrics.register(lag::LagMetrics::new), board.clone());
        if config.lag.probe && !roles.serve_http() {
            probe::start(&parts)?;
        }
    }
    if roles.has(ProcessRole::Trending) {
        tokio::task::block_in_place(|| workers.trending())?;
    }
    let mut http = None;
    if roles.need_views() {
        let tables = stores.views(config, &metrics, lifecycle).await?;
        let views = tables.views();
        if roles.has(ProcessRole::Projection) {
            tokio::task::block_in_place(|| workers.projection(&tables, &progress))?;
        }
        if roles.has(ProcessRole::Profiles) {
            tokio::task::block_in_place(|| workers.profiles(tables.main()))?;
        }
        if roles.has(ProcessRole::Notifier) {
            tokio::task::block_in_place(|| workers.notifier(&views))?;
        }
        if roles.has(ProcessRole::Mailer) {
            tokio::task::block_in_place(|| workers.mailer(&views, stores.breaker_metrics()))?;
        }
        if roles.serve_http() {
            http = Some(http::start(&parts, &views, &progress).await?);
        }
    }
    let ops = operations::start(&parts, board).await?;
    lifecycle.all_registered();
    let running = match http {
        Some(http) if !config.is_cluster() => Some(Running::announce(data, http, ops)?),
        _ => None,
    };
    Ok(Instance {
        lifecycle: lifecycle.clone(),
        http,
        ops,
        shutdown_budget: config.ops.shutdown_budget,
        _running: running,
    })
}

/// The name of this process among the others of its groups. Unchanged over a restart, and another
/// one for every process of a machine, since no two of them listen on the same port.
fn member_name(config: &Config) -> String {
    if let Some(name) = &config.instance.name {
        return name.clone();
    }
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match config.ops.listen.port() {
        0 => format!("{machine}-{}", std::process::id()),
        port => format!("{machine}-{port}"),
    }
}

impl Instance {
    /// Address of the public listener, if a role of it is called by people.
    pub const fn http(&self) -> Option<SocketAddr> {
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
