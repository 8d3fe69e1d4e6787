//! Figures of the index.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds from a fact to the lists: the goal is one second.
const DELAYS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Seconds of a search.
const SEARCHES: [f64; 9] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DelayLabels {
    stage: &'static str,
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IndexMetrics {
    pub(super) events: Gauge,
    pub(super) segments: Gauge,
    pub(super) records: Counter,
    pub(super) commits: Counter,
    pub(super) rebuilds: Counter,
    pub(super) restarts: Counter,
    pub(super) searches: Histogram,
    delays: Family<DelayLabels, Histogram, fn() -> Histogram>,
}

impl Default for IndexMetrics {
    fn default() -> Self {
        Self {
            events: Gauge::default(),
            segments: Gauge::default(),
            records: Counter::default(),
            commits: Counter::default(),
            rebuilds: Counter::default(),
            restarts: Counter::default(),
            searches: Histogram::new(SEARCHES),
            delays: Family::new_with_constructor(|| Histogram::new(DELAYS)),
        }
    }
}

impl IndexMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("index_events", "Public events in the index", metrics.events.clone());
        registry.register("index_segments", "Segments of the text index", metrics.segments.clone());
        registry.register(
            "index_records",
            "Records of the events topic that were taken in",
            metrics.records.clone(),
        );
        registry.register("index_commits", "Commits of the text index", metrics.commits.clone());
        registry.register(
            "index_rebuilds",
            "Times that the text index on the disk was of no use and was built anew",
            metrics.rebuilds.clone(),
        );
        registry.register(
            "index_restarts",
            "Times that the index was opened again after a failure; alert above zero",
            metrics.restarts.clone(),
        );
        registry.register(
            "index_search_seconds",
            "Time that a search took, without waiting for its turn",
            metrics.searches.clone(),
        );
        registry.register(
            "index_delay_seconds",
            "From the fact of a change until lists show it (stage lists) and searches find it \
             (stage search), once caught up; alert when the 99th percentile is above 1",
            metrics.delays.clone(),
        );
        metrics
    }

    /// A change that was made at one time is shown at another.
    pub(super) fn delayed(&self, stage: &'static str, from_ms: i64, until_ms: i64) {
        let seconds = until_ms.saturating_sub(from_ms).max(0) as f64 / 1_000.0;
        self.delays.get_or_create_owned(&DelayLabels { stage }).observe(seconds);
    }
}
