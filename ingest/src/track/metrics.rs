//! Figures of what people were shown and looked at.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// All of them.
#[derive(Debug, Clone)]
pub struct TrackMetrics {
    /// Signals that the log has.
    pub accepted: Counter,
    /// Signals that came under a cookie that proves nothing. Alert when it rises: somebody tries to
    /// be many people, or the instance's secret was changed.
    pub forged: Counter,
    /// Signals that the log did not take; whoever sent them was told so.
    pub unavailable: Counter,
    /// Cookies given out.
    pub visitors: Counter,
    /// Seconds from handing signals over until the log has them.
    pub append_seconds: Histogram,
}

impl TrackMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("track");
        let metrics = Self::unregistered();
        let m = &metrics;
        registry.register("accepted", "Signals that the log has", m.accepted.clone());
        registry.register("forged", "Signals under a forged cookie", m.forged.clone());
        registry.register(
            "unavailable",
            "Signals that the log did not take",
            m.unavailable.clone(),
        );
        registry.register("visitors", "Cookies given out", m.visitors.clone());
        registry.register_with_unit(
            "append",
            "From handing signals over until the log has them",
            Unit::Seconds,
            m.append_seconds.clone(),
        );
        metrics
    }

    /// Makes them for nobody to see: tests and tools.
    pub fn unregistered() -> Self {
        Self {
            accepted: Counter::default(),
            forged: Counter::default(),
            unavailable: Counter::default(),
            visitors: Counter::default(),
            append_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        }
    }
}
