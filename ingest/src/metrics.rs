//! Figures of the writes. Handles are resolved once at start.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// What became of a command, as far as this side knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    Accepted,
    Unchanged,
    Refused,
    Undecodable,
    /// Durable, and not decided within the wait.
    Pending,
    /// Not let in.
    Shed,
    /// The log did not take it, or did not say.
    Unavailable,
}

const OUTCOMES: [(CommandOutcome, &str); 7] = [
    (CommandOutcome::Accepted, "accepted"),
    (CommandOutcome::Unchanged, "unchanged"),
    (CommandOutcome::Refused, "refused"),
    (CommandOutcome::Undecodable, "undecodable"),
    (CommandOutcome::Pending, "pending"),
    (CommandOutcome::Shed, "shed"),
    (CommandOutcome::Unavailable, "unavailable"),
];

/// Kinds that come over HTTP or from tools; others count as `other`.
const KINDS: [&str; 13] = [
    "join",
    "leave",
    "create",
    "update",
    "publish",
    "unpublish",
    "cancel",
    "kick",
    "ban",
    "unban",
    "check_in",
    "message",
    "other",
];

/// All of them.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    commands: Family<CommandLabels, Counter>,
    resolved: Vec<[Counter; OUTCOMES.len()]>,
    /// Seconds from handing a command to the log's thread until the log has it.
    pub append_seconds: Histogram,
    /// Seconds from handing a command to the log's thread until its decision is back.
    pub reply_seconds: Histogram,
    /// Commands in one append.
    pub append_commands: Histogram,
    /// Commands let in and not yet answered.
    pub in_flight: Gauge,
    /// How many may be in flight.
    pub admission_limit: Gauge,
    /// Requests refused before any work. Alert when it rises for minutes.
    pub shed: Counter,
    /// Producers given up after a failed append. Alert when it rises.
    pub producer_failures: Counter,
    /// Failed reads of the replies. Alert when it rises.
    pub reply_failures: Counter,
    /// Answers that nobody waits for any more.
    pub replies_unclaimed: Counter,
    /// Lines of bulk uploads.
    pub bulk_lines: Counter,
}

impl IngestMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("ingest");
        let metrics = Self::unregistered();
        let m = &metrics;
        registry.register("commands", "Commands, by kind and outcome", m.commands.clone());
        registry.register_with_unit(
            "append",
            "From handing a command over until the log has it",
            Unit::Seconds,
            m.append_seconds.clone(),
        );
        registry.register_with_unit(
            "reply",
            "From handing a command over until its decision is back",
            Unit::Seconds,
            m.reply_seconds.clone(),
        );
        registry.register("append_commands", "Commands in one append", m.append_commands.clone());
        registry.register("in_flight", "Commands not yet answered", m.in_flight.clone());
        registry.register(
            "admission_limit",
            "How many commands may be in flight",
            m.admission_limit.clone(),
        );
        registry.register("shed", "Requests refused before any work", m.shed.clone());
        registry.register("producer_failures", "Producers given up", m.producer_failures.clone());
        registry.register("reply_failures", "Failed reads of replies", m.reply_failures.clone());
        registry.register(
            "replies_unclaimed",
            "Answers that nobody waits for",
            m.replies_unclaimed.clone(),
        );
        registry.register("bulk_lines", "Lines of bulk uploads", m.bulk_lines.clone());
        metrics
    }

    /// Makes them for nobody to see: tests and tools.
    pub fn unregistered() -> Self {
        let commands = Family::<CommandLabels, Counter>::default();
        let resolve = |kind: &'static str| {
            OUTCOMES
                .map(|(_, outcome)| commands.get_or_create_owned(&CommandLabels { kind, outcome }))
        };
        let resolved = KINDS.iter().copied().map(resolve).collect();
        let latency = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        Self {
            resolved,
            commands,
            append_seconds: latency(),
            reply_seconds: latency(),
            append_commands: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            in_flight: Gauge::default(),
            admission_limit: Gauge::default(),
            shed: Counter::default(),
            producer_failures: Counter::default(),
            reply_failures: Counter::default(),
            replies_unclaimed: Counter::default(),
            bulk_lines: Counter::default(),
        }
    }

    pub(crate) fn count(&self, kind: &str, outcome: CommandOutcome) {
        let kind = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len() - 1);
        if let Some(counters) = self.resolved.get(kind) {
            counters[outcome as usize].inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter() {
        for (index, (outcome, _)) in OUTCOMES.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
        let mut registry = Registry::default();
        let metrics = IngestMetrics::new(&mut registry);
        metrics.count("join", CommandOutcome::Pending);
        metrics.count("dance", CommandOutcome::Shed);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let has = |line: &str| assert!(text.contains(line), "{line} in {text}");
        has(r#"ingest_commands_total{kind="join",outcome="pending"} 1"#);
        has(r#"ingest_commands_total{kind="other",outcome="shed"} 1"#);
        has("ingest_append_seconds_bucket");
    }
}
