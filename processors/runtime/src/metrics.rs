//! Figures of the runtime. Handles are made once at start and cloned into threads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::chain::DropReason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DroppedLabels {
    reader: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: String,
    partition: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    task: String,
    state: &'static str,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct RuntimeMetrics {
    dropped: Family<DroppedLabels, Counter>,
    decisions: Family<OutcomeLabels, Counter>,
    lag: Family<TaskLabels, Gauge>,
    lag_seconds: Family<TaskLabels, Gauge>,
    states: Family<StateLabels, Gauge>,
    restoring: Family<TaskLabels, Gauge>,
    restarts: Family<TaskLabels, Counter>,
    /// Commands in one burst.
    pub burst_commands: Histogram,
    /// Seconds from handing links to the log until their acknowledgement.
    pub append_seconds: Histogram,
    /// Seconds from the log's stamp on a command until its answer is handed on.
    pub reply_seconds: Histogram,
    /// Seconds of one restore.
    pub restore_seconds: Histogram,
    /// Appends that found somebody else writing. Alert when it rises without a rebalance.
    pub gaps: Counter,
    /// Commands that could not be read. Alert when above zero.
    pub dead_letters: Counter,
    /// Decisions that broke an invariant; their partition stopped before they counted. Alert when
    /// above zero.
    pub invariant_breaches: Counter,
    /// Panics of partition tasks. Alert when above zero.
    pub panics: Counter,
    /// Answers that could not be handed on; their callers ask for the outcome later.
    pub replies_lost: Counter,
    /// Ticks appended.
    pub ticks: Counter,
}

impl RuntimeMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("runtime");
        let metrics = Self::unregistered();
        let m = &metrics;
        registry.register(
            "unlinked_records",
            "Records that the reader rule dropped, by reader and reason",
            m.dropped.clone(),
        );
        registry.register("decisions", "Commands decided, by outcome", m.decisions.clone());
        registry.register("lag_records", "Records not yet read, by task", m.lag.clone());
        registry.register_with_unit(
            "lag",
            "How long the oldest record waits, by task, from ten seconds on; 0 below that",
            Unit::Seconds,
            m.lag_seconds.clone(),
        );
        registry.register(
            "tasks",
            "Partition tasks of this process, by state; alert when one is stopped",
            m.states.clone(),
        );
        registry.register(
            "restore_remaining_records",
            "Facts that a restore under way has still to fold",
            m.restoring.clone(),
        );
        registry.register("task_restarts", "Restarts of partition tasks", m.restarts.clone());
        registry.register("burst_commands", "Commands in one burst", m.burst_commands.clone());
        registry.register_with_unit(
            "append",
            "From handing links to the log until their acknowledgement",
            Unit::Seconds,
            m.append_seconds.clone(),
        );
        registry.register_with_unit(
            "reply",
            "From the stamp on a command until its answer",
            Unit::Seconds,
            m.reply_seconds.clone(),
        );
        registry.register_with_unit(
            "restore",
            "Time of one restore",
            Unit::Seconds,
            m.restore_seconds.clone(),
        );
        registry.register("gaps", "Appends out of sequence", m.gaps.clone());
        registry.register("dead_letters", "Undecodable commands", m.dead_letters.clone());
        registry.register(
            "invariant_breaches",
            "Decisions that broke a promise and stopped their partition; anything above 0 is a bug",
            m.invariant_breaches.clone(),
        );
        registry.register("panics", "Panics of partition tasks", m.panics.clone());
        registry.register("replies_lost", "Answers not handed on", m.replies_lost.clone());
        registry.register("ticks", "Ticks appended", m.ticks.clone());
        metrics
    }

    /// Makes them for nobody to see: tests and tools.
    pub fn unregistered() -> Self {
        let latency = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        Self {
            dropped: Family::default(),
            decisions: Family::default(),
            lag: Family::default(),
            lag_seconds: Family::default(),
            states: Family::default(),
            restoring: Family::default(),
            restarts: Family::default(),
            burst_commands: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            append_seconds: latency(),
            reply_seconds: latency(),
            restore_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 14)),
            gaps: Counter::default(),
            dead_letters: Counter::default(),
            invariant_breaches: Counter::default(),
            panics: Counter::default(),
            replies_lost: Counter::default(),
            ticks: Counter::default(),
        }
    }

    /// Those of one reader of chained topics.
    pub fn follower(&self, reader: &'static str) -> FollowerMetrics {
        FollowerMetrics { dropped: self.dropped.clone(), reader }
    }

    /// Counts decisions with one outcome.
    pub fn count_decisions(&self, outcome: &'static str, count: u64) {
        self.decisions.get_or_create_owned(&OutcomeLabels { outcome }).inc_by(count);
    }

    /// The lag of one partition of a task, in records.
    pub fn lag(&self, task: &str, partition: u32) -> Gauge {
        let labels = TaskLabels { task: task.to_owned(), partition };
        self.lag.get_or_create_owned(&labels)
    }

    /// How long the oldest record of one partition of a task waits.
    pub(crate) fn lag_seconds(&self, task: &str, partition: u32) -> Gauge {
        let labels = TaskLabels { task: task.to_owned(), partition };
        self.lag_seconds.get_or_create_owned(&labels)
    }

    /// Tasks in a state.
    pub(crate) fn tasks(&self, task: &str, state: &'static str) -> Gauge {
        self.states.get_or_create_owned(&StateLabels { task: task.to_owned(), state })
    }

    /// What a restore of one partition has still to fold.
    pub(crate) fn restoring(&self, task: &str, partition: u32) -> Gauge {
        let labels = TaskLabels { task: task.to_owned(), partition };
        self.restoring.get_or_create_owned(&labels)
    }

    /// Counts a restart of one partition of a task.
    pub fn count_restart(&self, task: &str, partition: u32) {
        let labels = TaskLabels { task: task.to_owned(), partition };
        self.restarts.get_or_create_owned(&labels).inc();
    }
}

/// Figures of one reader of chained topics.
#[derive(Debug, Clone)]
pub struct FollowerMetrics {
    dropped: Family<DroppedLabels, Counter>,
    reader: &'static str,
}

impl FollowerMetrics {
    pub(crate) fn dropped(&self, reason: DropReason) {
        let labels = DroppedLabels { reader: self.reader, reason: reason.as_str() };
        self.dropped.get_or_create_owned(&labels).inc();
    }
}
