//! Figures of the trends. Handles are resolved once at start.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::verdict::Verdict;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    partition: u32,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct TrendingMetrics {
    engagements: Family<VerdictLabels, Counter>,
    verdicts: [Counter; Verdict::ALL.len()],
    events: Family<PartitionLabels, Gauge>,
    people: Family<PartitionLabels, Gauge>,
    /// Trends published.
    pub published: Counter,
    /// Engagements that cannot be read. Alert when above zero.
    pub dead_letters: Counter,
    /// Seconds of one round: lists brought up to date and published.
    pub round_seconds: Histogram,
}

impl TrendingMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("trending");
        let metrics = Self::unregistered();
        let m = &metrics;
        registry.register(
            "engagements",
            "Engagements folded, by what became of them",
            m.engagements.clone(),
        );
        registry.register("events", "Events known, by partition", m.events.clone());
        registry.register(
            "people",
            "Pairs of a person and an event that are remembered, by partition",
            m.people.clone(),
        );
        registry.register("published", "Trends published", m.published.clone());
        registry.register(
            "dead_letters",
            "Engagements that cannot be read",
            m.dead_letters.clone(),
        );
        registry.register_with_unit(
            "round",
            "Bringing the lists up to date and publishing them",
            Unit::Seconds,
            m.round_seconds.clone(),
        );
        metrics
    }

    /// Makes them for nobody to see: tests and tools.
    pub fn unregistered() -> Self {
        let engagements = Family::<VerdictLabels, Counter>::default();
        let resolve = |verdict: Verdict| {
            engagements.get_or_create_owned(&VerdictLabels { verdict: verdict.as_str() })
        };
        Self {
            verdicts: Verdict::ALL.map(resolve),
            engagements,
            events: Family::default(),
            people: Family::default(),
            published: Counter::default(),
            dead_letters: Counter::default(),
            round_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 15)),
        }
    }

    /// Counts what became of an engagement.
    pub fn count(&self, verdict: Verdict) {
        self.verdicts[verdict as usize].inc();
    }

    /// How many engagements came to this.
    pub fn counted(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize].get()
    }

    /// Says how large the state of a partition is.
    pub(super) fn size(&self, partition: u32, events: usize, people: usize) {
        let labels = PartitionLabels { partition };
        self.events.get_or_create_owned(&labels).set(events as i64);
        self.people.get_or_create_owned(&labels).set(people as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_own_counter() {
        for (index, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, index);
        }
    }
}
