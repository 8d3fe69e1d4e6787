//! What the adapter tells about its requests and the driver's connections.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use cityevents_kit::telemetry::MetricsRegistry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use scylla::client::session::Session;

use super::errors::Verdict;
use super::statements::Statement;

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 12] =
    [0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 1.0, 2.5];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabels {
    statement: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    statement: &'static str,
    error_type: &'static str,
}

#[derive(Clone)]
struct LatencyBuckets;

impl MetricConstructor<Histogram> for LatencyBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(LATENCY_BOUNDS)
    }
}

/// Figures that several keyspaces of one process share: those who connect first register them.
#[derive(Clone, Default)]
pub struct ScyllaFigures(Arc<OnceLock<ScyllaMetrics>>);

impl ScyllaFigures {
    /// The figures of requests, and what the driver knows about the connections of the first session.
    pub(super) fn of(
        &self,
        registry: &MetricsRegistry,
        in_flight_max: usize,
        session: &Arc<Session>,
    ) -> ScyllaMetrics {
        let register = || {
            ConnectionsCollector::register(registry, Arc::downgrade(session));
            ScyllaMetrics::new(registry, in_flight_max)
        };
        self.0.get_or_init(register).clone()
    }
}

/// The figures of requests.
#[derive(Clone)]
pub(super) struct ScyllaMetrics {
    /// By statement, resolved once.
    latencies: Vec<Histogram>,
    failures: Family<FailureLabels, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) places_removed: Counter,
}

impl ScyllaMetrics {
    fn new(registry: &MetricsRegistry, in_flight_max: usize) -> Self {
        let latencies: Family<StatementLabels, Histogram, LatencyBuckets> =
            Family::new_with_constructor(LatencyBuckets);
        let (failures, in_flight) = (Family::default(), Gauge::default());
        let limit: Gauge = Gauge::default();
        let places_removed = Counter::default();
        limit.set(i64::try_from(in_flight_max).unwrap_or(i64::MAX));
        let label = |statement: &Statement| StatementLabels { statement: statement.label() };
        let resolved = Statement::ALL
            .iter()
            .map(|statement| latencies.get_or_create_owned(&label(statement)))
            .collect();
        registry.register(|registry| {
            registry.register_with_unit(
                "scylla_request_duration",
                "Requests to the database by statement, failed ones included; a batch counts once",
                Unit::Seconds,
                latencies,
            );
            registry.register(
                "scylla_request_failures",
                "Requests that failed, by statement and error; alert when timeouts last",
                failures.clone(),
            );
            registry.register(
                "scylla_requests_in_flight",
                "Requests under way; alert when at the limit for a minute",
                in_flight.clone(),
            );
            registry.register("scylla_requests_in_flight_limit", "Most requests under way", limit);
            registry.register(
                "scylla_places_removed",
                "Places in lists that their row did not confirm and that were deleted",
                places_removed.clone(),
            );
        });
        Self { latencies: resolved, failures, in_flight, places_removed }
    }

    pub(super) fn took(&self, statement: Statement, duration: Duration) {
        if let Some(latency) = self.latencies.get(statement as usize) {
            latency.observe(duration.as_secs_f64());
        }
    }

    pub(super) fn failed(&self, statement: Statement, verdict: Verdict) {
        let labels = FailureLabels { statement: statement.label(), error_type: verdict.as_str() };
        self.failures.get_or_create_owned(&labels).inc();
    }
}

/// What the driver knows about its connections, gathered when metrics are scraped.
#[derive(Debug)]
struct ConnectionsCollector {
    session: Weak<Session>,
}

impl ConnectionsCollector {
    fn register(registry: &MetricsRegistry, session: Weak<Session>) {
        let collector = Box::new(Self { session });
        registry.register(|registry| registry.register_collector(collector));
    }
}

impl Collector for ConnectionsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(session) = self.session.upgrade() else { return Ok(()) };
        let mut put = |name: &str, help: &str, value: u64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)
        };
        let metrics = session.get_metrics();
        put("scylla_connections", "Connections to the database", metrics.get_total_connections())?;
        let state = session.get_cluster_state();
        let nodes = state.get_nodes_info();
        let connected = nodes.iter().filter(|node| node.is_connected()).count();
        put("scylla_nodes", "Nodes of the cluster", nodes.len() as u64)?;
        put("scylla_nodes_connected", "Nodes with a connection", connected as u64)
    }
}
