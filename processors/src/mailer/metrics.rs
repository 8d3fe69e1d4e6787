//! Figures of the mailer.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TemplateLabels {
    template: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    tier: String,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct MailerMetrics {
    sent: Family<TemplateLabels, Counter>,
    dropped: Family<ReasonLabels, Counter>,
    failures: Family<ClassLabels, Counter>,
    waits: Family<TierLabels, Counter>,
    dead_letters: Family<ClassLabels, Counter>,
    /// Mails that were asked for again after they were sent; nothing happens.
    pub repeats: Counter,
    /// Mails that may have been delivered before and were delivered again, with the same
    /// `Message-ID`.
    pub doubts: Counter,
    /// Mails being handed over now.
    pub delivering: Gauge,
    /// Seconds from what a mail tells until it was handed over.
    pub age_seconds: Histogram,
    /// Seconds of one handing over.
    pub deliver_seconds: Histogram,
    late_seconds: Family<TierLabels, Histogram, fn() -> Histogram>,
}

impl Default for MailerMetrics {
    fn default() -> Self {
        Self {
            sent: Family::default(),
            dropped: Family::default(),
            failures: Family::default(),
            waits: Family::default(),
            dead_letters: Family::default(),
            repeats: Counter::default(),
            doubts: Counter::default(),
            delivering: Gauge::default(),
            age_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 20)),
            deliver_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 18)),
            late_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 14))
            }),
        }
    }
}

impl MailerMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("mailer");
        let metrics = Self::default();
        let m = &metrics;
        registry.register("sent", "Mails handed over, by template", m.sent.clone());
        registry.register("dropped", "Mails that are not to be sent, by reason", m.dropped.clone());
        registry.register(
            "failures",
            "Tries that failed, by class; alert when most of them fail",
            m.failures.clone(),
        );
        registry.register(
            "waits",
            "Mails that went to a tier to wait for another try, by topic",
            m.waits.clone(),
        );
        registry.register(
            "dead_letters",
            "Mails that were given up, by class; alert when above zero",
            m.dead_letters.clone(),
        );
        registry.register("repeats", "Mails asked for again after being sent", m.repeats.clone());
        registry.register(
            "doubts",
            "Mails delivered again because nobody knew whether they had been",
            m.doubts.clone(),
        );
        registry.register("delivering", "Mails being handed over now", m.delivering.clone());
        registry.register_with_unit(
            "age",
            "From what a mail tells until it was handed over; alert when p99 is above a minute",
            Unit::Seconds,
            m.age_seconds.clone(),
        );
        registry.register_with_unit(
            "deliver",
            "Time of one handing over",
            Unit::Seconds,
            m.deliver_seconds.clone(),
        );
        registry.register_with_unit(
            "late",
            "Between the time that a waiting mail was due and its next try, by the topic of its tier; \
             alert when p99 is above 250 ms",
            Unit::Seconds,
            m.late_seconds.clone(),
        );
        metrics
    }

    /// Counts a mail that was handed over, and how old it was.
    pub fn count_sent(&self, template: &'static str, age: Duration) {
        self.sent.get_or_create_owned(&TemplateLabels { template }).inc();
        self.age_seconds.observe(age.as_secs_f64());
    }

    /// Counts a mail that is not to be sent.
    pub fn count_dropped(&self, reason: &'static str) {
        self.dropped.get_or_create_owned(&ReasonLabels { reason }).inc();
    }

    /// Counts a try that failed.
    pub fn count_failure(&self, class: &'static str) {
        self.failures.get_or_create_owned(&ClassLabels { class }).inc();
    }

    /// Counts a mail that waits.
    pub fn count_wait(&self, tier: &str) {
        self.waits.get_or_create_owned(&TierLabels { tier: tier.to_owned() }).inc();
    }

    /// Counts a mail that was taken from its tier, so long after it was due.
    pub fn count_taken(&self, tier: &str, late: Duration) {
        let labels = TierLabels { tier: tier.to_owned() };
        let late_seconds = self.late_seconds.get_or_create(&labels);
        late_seconds.observe(late.as_secs_f64());
    }

    /// Counts a mail that was given up.
    pub fn count_dead_letter(&self, class: &'static str) {
        self.dead_letters.get_or_create_owned(&ClassLabels { class }).inc();
    }
}
