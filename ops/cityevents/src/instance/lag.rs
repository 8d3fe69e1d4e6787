//! The role `lag`: looks at every group again and again, and tells how it gets on in figures.
//!
//! It reads nothing but progress and, of records that wait for longer than from one look to the
//! next, the oldest one. Any number of processes may have the role: all of them tell the same.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Component, Config};
use cityevents_runtime::lag::verdict::Verdict;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admin;
use crate::admin::lag::{Row, rows};
use crate::console::Board;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct GroupLabels {
    group: String,
    topic: String,
    partition: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
}

/// Its figures.
#[derive(Debug, Clone, Default)]
pub(super) struct LagMetrics {
    records: Family<GroupLabels, Gauge>,
    seconds: Family<GroupLabels, Gauge<f64, AtomicU64>>,
    verdicts: Family<GroupLabels, Gauge>,
    dead_letters: Family<TopicLabels, Gauge>,
    looks: Counter,
    failures: Counter,
}

impl LagMetrics {
    /// Makes and registers them.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("lag");
        registry.register(
            "group_records",
            "Records that wait for a group",
            metrics.records.clone(),
        );
        registry.register_with_unit(
            "group",
            "How long the oldest record that waits for a group does so",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "group_verdict",
            "How a group gets on over ten looks: 0 ok, 1 warning, 2 error, 3 stopped, 4 stalled, \
             5 rewind; alert above 0",
            metrics.verdicts.clone(),
        );
        registry.register(
            "dead_letters",
            "Dead letters that nobody has handled yet; alert above 0",
            metrics.dead_letters.clone(),
        );
        registry.register("looks", "Looks at all groups", metrics.looks.clone());
        registry.register(
            "look_failures",
            "Looks that failed, whole or at one group; alert when it keeps rising",
            metrics.failures.clone(),
        );
        metrics
    }

    fn show(&self, rows: &[(Row, Option<Verdict>)], shown: &mut BTreeSet<GroupLabels>) {
        let mut seen = BTreeSet::new();
        for (row, verdict) in rows {
            let (Some(records), Some(seconds), Some(verdict)) = (row.records, row.seconds, verdict)
            else {
                self.failures.inc();
                continue;
            };
            let labels = GroupLabels {
                group: row.group.clone(),
                topic: row.topic.clone(),
                partition: row.partition,
            };
            let records = i64::try_from(records).unwrap_or(i64::MAX);
            self.records.get_or_create_owned(&labels).set(records);
            self.seconds.get_or_create_owned(&labels).set(seconds);
            self.verdicts.get_or_create_owned(&labels).set(verdict.number());
            seen.insert(labels);
        }
        // What is not known now would otherwise be told for ever as it was.
        for gone in shown.difference(&seen) {
            self.records.remove(gone);
            self.seconds.remove(gone);
            self.verdicts.remove(gone);
        }
        *shown = seen;
    }
}

/// Looks until the shutdown, and puts what it sees on the board.
pub(super) fn run(
    component: Component,
    config: &Config,
    context: &admin::Context,
    metrics: &LagMetrics,
    board: &Board,
    registry: &MetricsRegistry,
) {
    let mut shown = BTreeSet::new();
    loop {
        board.note(registry, context.source.clock.now_ms());
        let looked = rows(context, &config.lag.groups, &board.lookout.read(), &mut |_, _| {});
        match looked {
            Ok(rows) => {
                let now_ms = context.source.clock.now_ms();
                let mut lookout = board.lookout.write();
                let judged: Vec<_> = rows
                    .into_iter()
                    .map(|row| {
                        let verdict = lookout.judge(&row, now_ms);
                        (row, verdict)
                    })
                    .collect();
                drop(lookout);
                metrics.show(&judged, &mut shown);
                component.ready();
            }
            Err(error) => {
                metrics.failures.inc();
                metrics.show(&[], &mut shown);
                component.degraded(format!("nobody can be asked how far they are: {error:#}"));
            }
        }
        let letters = board.depth.lock().look(context);
        match letters {
            Ok(found) => {
                for (topic, count) in found {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    metrics.dead_letters.get_or_create_owned(&TopicLabels { topic }).set(count);
                }
            }
            Err(error) => {
                metrics.failures.inc();
                tracing::warn!("dead letters cannot be counted: {error:#}");
            }
        }
        metrics.looks.inc();
        if component.shutdown().wait_timeout(config.lag.every) {
            break;
        }
    }
    component.finished();
}
