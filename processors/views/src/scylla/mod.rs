//! Tables in ScyllaDB, or in Apache Cassandra 5: only CQL that both understand.
//!
//! - A row is one cell, `content`, next to its key: the bytes that every adapter stores. So a row is
//!   written whole or not at all, and of two writes with equal timestamps one wins as a whole, the
//!   one with the greater bytes.
//! - Every write says `USING TIMESTAMP`, from the mutation. No clock decides between writes, and a
//!   write may be repeated, late, and come from two writers at once. Whoever writes by hand must do
//!   the same: a write or a delete stamped by the server's clock lies so far ahead that no later
//!   write counts.
//! - Lists are tables of places. A write puts the new place there first and the row afterwards, so a
//!   row that can be read has its place; it does not look where the row was before. Readers look at
//!   the row of each place: where the row stands elsewhere by now, the place is skipped, and deleted
//!   with the timestamp that it was written with, so that nothing written later is touched.
//! - Only the keys of persons and the records of accounts are written by lightweight transactions, and
//!   never otherwise. What came of one that timed out is found out by reading.
//!
//! Every request passes the circuit breaker and has a time limit; how many are under way is bounded.
//! The driver works on the tokio runtime within which [`ScyllaViews::connect`] was called; answers
//! can be awaited on any executor.

mod applied;
mod connect;
mod errors;
mod events;
mod keys;
mod lists;
mod metrics;
mod migrate;
mod page;
mod person_keys;
mod read;
mod records;
mod request;
mod statements;
mod write;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cityevents_domain::time::Timestamp;
use cityevents_kit::Breaker;
use cityevents_kit::telemetry::MetricsRegistry;
use futures::future::{BoxFuture, FutureExt};
use tokio::runtime::Handle;

use crate::error::ViewsError;

pub use errors::SchemaError;
pub use metrics::ScyllaFigures;
pub use migrate::{Migrated, SchemaVersion, check, drop_keyspace, migrate, server_time};

use request::Requests;

/// Tells the time; it decides only how long expiring rows are kept.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Which database, and how it is used.
#[derive(Clone)]
pub struct ScyllaOptions {
    /// Nodes to begin with, as `host:port`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace: lower-case letters, digits and underscores.
    pub keyspace: String,
    /// The replication that a migration makes the keyspace with, as a CQL map.
    pub replication: String,
    /// The datacenter whose nodes are asked; `None` for any.
    pub local_datacenter: Option<String>,
    /// How long a request may take, repetitions by the driver included.
    pub request_timeout: Duration,
    /// Most requests under way. Writes take no more than three quarters of it.
    pub in_flight_max: usize,
    /// Connections to each node (to each of its shards, rounded up, on ScyllaDB).
    pub connections_per_node: usize,
    /// Who connects; `None` where the database asks nobody.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<String>,
    /// The time by which expiring rows are kept.
    pub clock: WallClock,
    /// Shared by all keyspaces of a process.
    pub figures: ScyllaFigures,
}

impl Default for ScyllaOptions {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            keyspace: "cityevents".to_owned(),
            replication: "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}".to_owned(),
            local_datacenter: None,
            request_timeout: Duration::from_secs(2),
            in_flight_max: 256,
            connections_per_node: 2,
            user: None,
            password: None,
            clock: Arc::new(system_time),
            figures: ScyllaFigures::default(),
        }
    }
}

impl std::fmt::Debug for ScyllaOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ScyllaOptions")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .field("replication", &self.replication)
            .field("local_datacenter", &self.local_datacenter)
            .field("request_timeout", &self.request_timeout)
            .field("in_flight_max", &self.in_flight_max)
            .field("connections_per_node", &self.connections_per_node)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Tables in a keyspace. Cheap to clone.
#[derive(Clone)]
pub struct ScyllaViews {
    requests: Arc<Requests>,
    clock: WallClock,
    runtime: Handle,
}

impl ScyllaViews {
    /// Connects to a keyspace that has the tables of this program ([`check`] is part of it). To be
    /// called within a tokio runtime that outlives the tables.
    pub async fn connect(
        options: ScyllaOptions,
        breaker: Breaker,
        metrics: &MetricsRegistry,
    ) -> Result<Self, ViewsError> {
        let session = connect::connect(&options).await?;
        migrate::check_session(&session, &options.keyspace).await?;
        let clock = options.clock.clone();
        let requests = Requests::prepare(session, &options, breaker, metrics).await?;
        tracing::info!(
            scylla.keyspace = options.keyspace,
            scylla.nodes = options.nodes.join(","),
            "opened the tables of keyspace {}",
            options.keyspace
        );
        Ok(Self { requests: Arc::new(requests), clock, runtime: Handle::current() })
    }

    /// The breaker that every request passes.
    pub fn breaker(&self) -> &Breaker {
        self.requests.breaker()
    }

    /// Does work on the runtime of the driver from the first poll on, whoever polls. Dropping the
    /// answer ends the work.
    fn on_runtime<T, F>(&self, work: impl FnOnce(Self) -> F) -> BoxFuture<'_, Result<T, ViewsError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ViewsError>> + Send + 'static,
    {
        let work = work(self.clone());
        async move {
            let mut task = Task(self.runtime.spawn(work));
            match (&mut task.0).await {
                Ok(answer) => answer,
                Err(error) => {
                    Err(ViewsError::unavailable(format!("the driver has stopped: {error}")))
                }
            }
        }
        .boxed()
    }
}

/// Work that ends when nobody waits for it any more.
struct Task<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
