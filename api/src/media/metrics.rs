//! Figures of pictures.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct MediaMetrics {
    uploads: Family<Labels, Counter>,
    pictures: Family<Labels, Counter>,
    seconds: Histogram,
    deleted: Counter,
    waiting: Gauge,
}

impl Default for MediaMetrics {
    fn default() -> Self {
        Self {
            uploads: Family::default(),
            pictures: Family::default(),
            // From 10 ms to 40 s.
            seconds: Histogram::new(exponential_buckets(0.01, 2.0, 13)),
            deleted: Counter::default(),
            waiting: Gauge::default(),
        }
    }
}

impl MediaMetrics {
    /// Makes and registers them; once a process.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "media_uploads",
            "Pictures that were brought, by result: received, or the code of the refusal; alert when \
             unavailable rises",
            metrics.uploads.clone(),
        );
        registry.register(
            "media_pictures",
            "Pictures that were worked on, by result: ready, or why not; alert when unworkable rises",
            metrics.pictures.clone(),
        );
        registry.register(
            "media_processing_seconds",
            "Time from taking up a picture until it can be shown, or it is clear that it cannot",
            metrics.seconds.clone(),
        );
        registry.register(
            "media_deleted",
            "Pictures that were deleted, since nobody used them or their owner took them away",
            metrics.deleted.clone(),
        );
        registry.register(
            "media_due",
            "Pictures that something was to be done with at the last look, at most a page of them; \
             alert when it stays above zero for minutes",
            metrics.waiting.clone(),
        );
        metrics
    }

    pub(super) fn uploaded(&self, result: &'static str) {
        self.uploads.get_or_create_owned(&Labels { result }).inc();
    }

    pub(super) fn processed(&self, result: &'static str, took: Duration) {
        self.pictures.get_or_create_owned(&Labels { result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(super) fn deleted(&self) {
        self.deleted.inc();
    }

    pub(super) fn due(&self, pictures: usize) {
        self.waiting.set(i64::try_from(pictures).unwrap_or(i64::MAX));
    }
}
