//! The probe of the role `lag`: a command that changes nothing goes the whole way, from the append
//! to its decision, for one partition after the other. What it measures is what a person waits for
//! behind HTTP, also while nobody comes.

use std::time::{Duration, Instant};

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_ingest::{CommandClient, Submitted};
use cityevents_kit::{Component, Stage};
use cityevents_runtime::log::partitioner::partition_of;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::http::{Parts, start_client};

/// Time to stop.
const STOP_BUDGET: Duration = Duration::from_secs(2);
/// Longest wait for a decision.
const WAIT: Duration = Duration::from_secs(5);
/// Who asks. No account has this id: it is no random number.
const PROBER: UserId = UserId::from_bytes(*b"cityevents probe");

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

/// Its figures.
#[derive(Debug, Clone)]
struct ProbeMetrics {
    seconds: Histogram,
    failures: Family<FailureLabels, Counter>,
}

impl ProbeMetrics {
    /// Makes and registers them.
    fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            failures: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("lag");
        registry.register_with_unit(
            "probe",
            "From the append of a command that changes nothing until its decision is back",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "probe_failures",
            "Probes without a decision, by whether the log took them; alert above 0",
            metrics.failures.clone(),
        );
        metrics
    }

    fn failed(&self, reason: &'static str) {
        self.failures.get_or_create_owned(&FailureLabels { reason }).inc();
    }
}

/// Starts it, with a client of its own.
///
/// # Errors
/// When the log cannot be reached.
pub(super) fn start(parts: &Parts<'_>) -> anyhow::Result<()> {
    let client = start_client(parts)?;
    let component = parts.lifecycle.register("probe", Stage::Background, STOP_BUDGET);
    let metrics = parts.metrics.register(ProbeMetrics::new);
    let (partitions, every) = (parts.context.partitions, parts.config.lag.every);
    tokio::spawn(run(component, client, partitions, every, metrics));
    Ok(())
}

/// Probes until the shutdown.
async fn run(
    component: Component,
    client: CommandClient,
    partitions: u32,
    every: Duration,
    metrics: ProbeMetrics,
) {
    component.ready();
    for event in events(partitions).iter().cycle() {
        let probed_and_waited = async {
            probe(&client, *event, &metrics).await;
            tokio::time::sleep(every).await;
        };
        tokio::select! {
            () = component.shutdown().wait() => break,
            () = probed_and_waited => {}
        }
    }
    component.finished();
}

async fn probe(client: &CommandClient, event: EventId, metrics: &ProbeMetrics) {
    let mut random = [0; 16];
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::warn!("no probe without a random number: {error}");
        return;
    }
    let command = Command {
        id: CommandId::from_bytes(random),
        digest: 0,
        event,
        actor: Actor::Person { user: PROBER, role: Role::User },
        kind: CommandKind::Leave,
    };
    let started = Instant::now();
    match client.submit(command, WAIT).await {
        Ok(Submitted::Decided(_)) => metrics.seconds.observe(started.elapsed().as_secs_f64()),
        Ok(Submitted::Pending(_)) => metrics.failed("undecided"),
        Err(error) => {
            metrics.failed("not_taken");
            tracing::warn!(%error, "a probe was not taken: {error}");
        }
    }
}

/// For each partition, an event in it that nobody made.
fn events(partitions: u32) -> Vec<EventId> {
    let candidates = || {
        (0_u64..).map(|number| {
            let mut bytes = *b"probe   \0\0\0\0\0\0\0\0";
            bytes[8..].copy_from_slice(&number.to_be_bytes());
            EventId::from_bytes(bytes)
        })
    };
    let is_in = |event: &EventId, partition| {
        partition_of(event.to_string().as_bytes(), partitions) == partition
    };
    let of = |partition| candidates().find(|event| is_in(event, partition));
    (0..partitions).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_event() {
        let events = events(48);
        let places = events.iter().map(|event| partition_of(event.to_string().as_bytes(), 48));
        assert_eq!(places.collect::<Vec<_>>(), (0..48).collect::<Vec<_>>());
    }
}
