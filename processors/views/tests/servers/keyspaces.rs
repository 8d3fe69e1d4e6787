//! Keyspaces of the tests: each test has one of its own, dropped when the test is over.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cityevents_domain::time::Timestamp;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_views::Views;
use cityevents_views::scylla::{ScyllaOptions, ScyllaViews, migrate};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::runtime::Runtime;

/// The runtime that the driver works on.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());

/// Where the database of the tests is.
pub(crate) fn node() -> String {
    let node = std::env::var("CITYEVENTS_STACK_CASSANDRA");
    node.expect("start the servers with ops/stack, or run ops/test")
}

/// A name that no other test has, in this run or another.
pub(crate) fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{}_{number}", since.as_millis(), std::process::id())
}

/// Options for a keyspace of the tests. Log time in tests is near 1970, and so is the clock.
pub(crate) fn options(keyspace: &str) -> ScyllaOptions {
    ScyllaOptions {
        nodes: vec![node()],
        keyspace: keyspace.to_owned(),
        replication: "{'class': 'SimpleStrategy', 'replication_factor': 1}".to_owned(),
        request_timeout: Duration::from_secs(10),
        clock: Arc::new(|| Timestamp::from_millis(0)),
        ..ScyllaOptions::default()
    }
}

pub(crate) fn registry() -> MetricsRegistry {
    MetricsRegistry::new("0", "test")
}

pub(crate) fn breaker(options: BreakerOptions, registry: &MetricsRegistry) -> Breaker {
    Breaker::new("tables", options, &BreakerMetrics::new(registry))
}

/// A session beside the adapter.
pub(crate) async fn session() -> Session {
    SessionBuilder::new().known_node(node()).fetch_schema_metadata(false).build().await.unwrap()
}

/// A keyspace that is dropped at the end.
pub(crate) struct Keyspace {
    pub(crate) name: String,
}

impl Keyspace {
    /// A name, and nothing in the database yet.
    pub(crate) fn named() -> Self {
        Self { name: unique_name() }
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let text = format!("DROP KEYSPACE IF EXISTS {}", self.name);
        RUNTIME.block_on(async { session().await.query_unpaged(text, ()).await.unwrap() });
    }
}

/// Empty tables in a keyspace of their own.
pub(crate) fn open() -> (Views, Keyspace) {
    let keyspace = Keyspace::named();
    let registry = registry();
    let breaker = breaker(BreakerOptions::default(), &registry);
    let views = RUNTIME.block_on(async {
        let options = options(&keyspace.name);
        migrate(&options).await.unwrap();
        ScyllaViews::connect(options, breaker, &registry).await.unwrap()
    });
    (Views::of(views), keyspace)
}
