//! Dead letters: records that nobody can read are kept with their provenance, and a circuit stops
//! the reader when there are too many. A broken deployment must not drain a topic into its dead
//! letters.

use std::collections::VecDeque;

use crate::log::{Outgoing, Record, TopicPartition};
use crate::retry::{Tries, without_tries};
use crate::topology::Undecodable;

/// Header: who redrives raises it; 0 for a first failure.
pub const REDRIVE_COUNT_HEADER: &str = "redrive-count";
/// Header: which try failed, counted from 1.
pub const ATTEMPT_HEADER: &str = "attempt";
/// Header: when the record failed first, milliseconds since 1970 as text.
pub const FIRST_FAILED_AT_HEADER: &str = "first-failed-at";
/// Prefix of the names that Kafka Connect's tools know
/// (`org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter`).
const CONNECT_PREFIX: &str = "__connect.errors.";

/// The dead letter of a record: its own key, value and headers, and where it failed and why.
pub fn dead_letter(
    source: &TopicPartition,
    record: &Record,
    stage: &str,
    error: &Undecodable,
    now_ms: i64,
) -> Outgoing {
    let tries = Tries { attempt: 1, first_failed_at_ms: None };
    dead_letter_after(source, record, stage, (error.class, &error.reason), (tries, now_ms))
}

/// The dead letter of a record that was tried more than once, or failed otherwise: by class and
/// reason.
pub fn dead_letter_after(
    source: &TopicPartition,
    record: &Record,
    stage: &str,
    (class, reason): (&str, &str),
    (tries, now_ms): (Tries, i64),
) -> Outgoing {
    let mut headers = without_tries(&record.headers);
    let mut push = |name: &str, value: &str| {
        headers.push(&format!("{CONNECT_PREFIX}{name}"), value.as_bytes());
    };
    push("topic", &source.topic);
    push("partition", &source.partition.to_string());
    push("offset", &record.offset.to_string());
    push("stage", stage);
    push("class.name", env!("CARGO_PKG_NAME"));
    push("exception.class.name", class);
    push("exception.message", reason);
    let first = record.headers.get_text(FIRST_FAILED_AT_HEADER).and_then(|text| text.parse().ok());
    let first_ms = tries.first_failed_at_ms.or(first).unwrap_or(now_ms);
    headers.push(FIRST_FAILED_AT_HEADER, first_ms.to_string().as_bytes());
    let redrives = record.headers.get_text(REDRIVE_COUNT_HEADER).unwrap_or("0").to_owned();
    headers.push(REDRIVE_COUNT_HEADER, redrives.as_bytes());
    headers.push(ATTEMPT_HEADER, tries.attempt.to_string().as_bytes());
    Outgoing {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: headers.build(),
        timestamp_ms: Some(now_ms),
    }
}

/// When a reader has to stop instead of writing more dead letters.
#[derive(Debug, Clone, Copy)]
pub struct CircuitPolicy {
    /// So many in a row.
    pub run_max: u32,
    /// So many among the last [`CircuitPolicy::window_records`].
    pub window_failures_max: u32,
    /// How many records back the ratio looks.
    pub window_records: u64,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self { run_max: 20, window_failures_max: 100, window_records: 1_000 }
    }
}

/// Counts failures of one partition.
#[derive(Debug)]
pub struct Circuit {
    policy: CircuitPolicy,
    seen: u64,
    run: u32,
    failures: VecDeque<u64>,
}

impl Circuit {
    /// Closed: nothing has failed.
    pub const fn new(policy: CircuitPolicy) -> Self {
        Self { policy, seen: 0, run: 0, failures: VecDeque::new() }
    }

    /// Records that could be read.
    pub fn succeeded(&mut self, count: u64) {
        self.seen += count;
        self.run = 0;
    }

    /// One that could not. Returns whether the reader has to stop before passing it.
    #[must_use]
    pub fn failed(&mut self) -> bool {
        self.seen += 1;
        self.run += 1;
        self.failures.push_back(self.seen);
        let oldest = self.seen.saturating_sub(self.policy.window_records);
        while self.failures.front().is_some_and(|at| *at <= oldest) {
            self.failures.pop_front();
        }
        self.run > self.policy.run_max
            || self.failures.len() > self.policy.window_failures_max as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CircuitPolicy =
        CircuitPolicy { run_max: 2, window_failures_max: 3, window_records: 10 };

    #[test]
    fn a_run_opens_the_circuit() {
        let mut circuit = Circuit::new(POLICY);
        assert!(!circuit.failed());
        assert!(!circuit.failed());
        assert!(circuit.failed());
    }

    #[test]
    fn a_ratio_opens_the_circuit_and_old_failures_are_forgotten() {
        let mut circuit = Circuit::new(POLICY);
        for _ in 0..3 {
            assert!(!circuit.failed());
            circuit.succeeded(1);
        }
        assert!(circuit.failed());
        let mut circuit = Circuit::new(POLICY);
        for _ in 0..100 {
            assert!(!circuit.failed());
            circuit.succeeded(9);
        }
    }
}
