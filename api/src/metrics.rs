//! Figures of the reads, beside those that every HTTP listener has.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    error_type: &'static str,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct ApiMetrics {
    waits: Family<WaitLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    streams: Gauge,
}

impl ApiMetrics {
    /// Makes and registers them; once a process.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "api_consistency_waits",
            "Reads that presented a consistency token, by whether the rows passed it in time; \
             alert when many gave up",
            metrics.waits.clone(),
        );
        registry.register(
            "api_table_failures",
            "Reads that failed because tables could not be read, by error; alert above zero",
            metrics.failures.clone(),
        );
        registry.register(
            "api_live_streams",
            "Live streams that are open",
            metrics.streams.clone(),
        );
        metrics
    }

    pub(crate) fn streams(&self) -> Gauge {
        self.streams.clone()
    }

    pub(crate) fn waited(&self, passed: bool) {
        let result = if passed { "passed" } else { "gave_up" };
        self.waits.get_or_create_owned(&WaitLabels { result }).inc();
    }

    pub(crate) fn failed(&self, error_type: &'static str) {
        self.failures.get_or_create_owned(&FailureLabels { error_type }).inc();
    }
}
