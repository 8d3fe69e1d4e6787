//! How long partitions take to be answered for again, once the group has given them to somebody.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::load::{Answers, Load};

/// How the host says that a partition was given to it.
const OURS: &str = " is ours";

/// A partition that was given to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Given {
    partition: u32,
    at_ms: i64,
}

/// The longest time from the group's word to the first answer, of partitions that were given to a
/// process since `from_ms`. `None` when none was.
pub(super) fn longest(
    logs: &[(String, PathBuf)],
    from_ms: i64,
    load: &Load,
    answers: &Answers,
) -> Option<Duration> {
    let lines = logs.iter().filter_map(|(_, path)| std::fs::read_to_string(path).ok());
    let given: Vec<_> =
        lines.flat_map(|log| log.lines().filter_map(given).collect::<Vec<_>>()).collect();
    let mut answered: Vec<_> = answers
        .told
        .iter()
        .map(|told| (load.goals[told.ask.event].partition, told.at_ms))
        .collect();
    answered.sort_unstable();
    let waited = given.iter().filter(|given| given.at_ms >= from_ms).filter_map(|given| {
        let first = answered.partition_point(|one| *one < (given.partition, given.at_ms));
        let (partition, at_ms) = *answered.get(first)?;
        (partition == given.partition).then_some(at_ms - given.at_ms)
    });
    let longest = waited.max()?;
    Some(Duration::from_millis(u64::try_from(longest).unwrap_or_default()))
}

/// Reads a line of a log.
fn given(line: &str) -> Option<Given> {
    if !line.contains(OURS) {
        return None;
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let says = line["message"].as_str()?.strip_suffix(OURS)?;
    let (topology, partition) = says.split_once('/')?;
    let at: jiff::Timestamp = line["timestamp"].as_str()?.parse().ok()?;
    let partition = partition.parse().ok()?;
    let is_registration = topology == cityevents_processors::registration::NAME;
    is_registration.then_some(Given { partition, at_ms: at.as_millisecond() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_partition_is_read_from_the_log() {
        let line = r#"{"timestamp":"2026-11-20T10:00:00.250000Z","level":"INFO","message":"registration/3 is ours","kafka.partition":3}"#;
        let at_ms = 1_795_168_800_250;
        assert_eq!(given(line), Some(Given { partition: 3, at_ms }));
        assert_eq!(given(&line.replace("registration", "publisher")), None);
        assert_eq!(given("is ours"), None);
    }
}
