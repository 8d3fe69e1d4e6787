//! How far somebody is behind: in records, and in time by the records' own stamps.
//!
//! Two ways to know it. [`of_group`] asks the log about a group's progress, for whoever looks from
//! outside; [`verdict`] judges what was seen over time. `Backlog` is what a reader knows of itself
//! while it reads, at no cost.

pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use crate::chain::Cursor;
use crate::follower::{Follower, Position};
use crate::host::Lagging;
use crate::log::clock::SystemClock;
use crate::log::{
    Cleanup, Isolation, Log, LogError, LogErrorKind, PollLimit, TopicDescription, TopicPartition,
    poll_below,
};
use crate::metrics::RuntimeMetrics;

/// One that waits for longer makes its reader say that it lags.
const LAGS_AFTER: Duration = Duration::from_secs(10);
/// The oldest record is looked for in pieces of this size.
const LOOK: PollLimit = PollLimit { records: 1_024, bytes: 1 << 20 };
/// How long the log may take for one piece.
const LOOK_WAIT: Duration = Duration::from_secs(10);

/// Which records of a partition a group has to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// All.
    All,
    /// Those that the reader rule accepts behind the cursor in the group's metadata.
    Linked,
}

/// How far a group is behind in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The next offset that the group reads; `None` if it never committed.
    pub committed: Option<u64>,
    /// The first offset still kept.
    pub low: u64,
    /// The offset that the next record gets.
    pub end: u64,
    /// Records that wait.
    pub records: u64,
    /// Stamp of the oldest one that waits.
    pub oldest_at_ms: Option<i64>,
}

impl Lag {
    /// Records that were thrown away before the group had them.
    pub fn expired(&self) -> u64 {
        self.committed.map_or(0, |committed| self.low.saturating_sub(committed))
    }
}

/// Asks the log how far a group is behind.
///
/// # Errors
/// [`LogErrorKind::OffsetOutOfRange`] when the group stands behind the end of the partition; others
/// when the log cannot be read.
pub fn of_group(
    log: &dyn Log,
    group: &str,
    partition: &TopicPartition,
    counts: Counts,
) -> Result<Lag, LogError> {
    of_group_knowing(log, group, partition, counts, |_, _| None)
}

/// As [`of_group`], for whoever looks again and again: `known` is asked first for the stamp of the
/// oldest record that waits, with its offset and the end of the partition, since to read the record
/// takes a reader of its own.
///
/// # Errors
/// As [`of_group`].
pub fn of_group_knowing(
    log: &dyn Log,
    group: &str,
    partition: &TopicPartition,
    counts: Counts,
    known: impl FnOnce(u64, u64) -> Option<i64>,
) -> Result<Lag, LogError> {
    // In this order: what is committed is never ahead of an end that is read later.
    let committed = log.committed(group, partition)?;
    let marks = log.watermarks(partition)?;
    let next = committed.as_ref().map(|committed| committed.offset);
    if let Some(next) = next.filter(|next| *next > marks.high) {
        let message = format!(
            "group {group} stands at {next} in {partition}, which ends at {}: the topic lost \
             records, or was deleted and made anew",
            marks.high
        );
        return Err(LogError::new(LogErrorKind::OffsetOutOfRange, message));
    }
    let from = next.unwrap_or(marks.low).max(marks.low);
    let cursor = committed.and_then(|committed| Cursor::parse(&committed.metadata));
    let known = if from == marks.high { None } else { known(from, marks.high) };
    let oldest_at_ms = match (counts, next) {
        _ if from == marks.high => None,
        _ if known.is_some() => known,
        (Counts::Linked, None) => oldest_link(log, partition, None, marks.high)?,
        (Counts::Linked, Some(offset)) if cursor.is_some() => {
            let position = cursor.map(|cursor| Position { offset, cursor });
            oldest_link(log, partition, position, marks.high)?
        }
        (Counts::All | Counts::Linked, _) => oldest_record(log, partition, from, marks.high)?,
    };
    let records = if oldest_at_ms.is_some() { marks.high - from } else { 0 };
    Ok(Lag { committed: next, low: marks.low, end: marks.high, records, oldest_at_ms })
}

fn oldest_record(
    log: &dyn Log,
    partition: &TopicPartition,
    from: u64,
    high: u64,
) -> Result<Option<i64>, LogError> {
    let mut reader = log.reader(partition, from, Isolation::Uncommitted)?;
    let mut records = Vec::new();
    let one = PollLimit { records: 1, ..LOOK };
    while poll_below(&mut *reader, partition, high, one, LOOK_WAIT, &mut records)? {
        if let Some(record) = records.first() {
            return Ok(Some(record.timestamp_ms));
        }
    }
    Ok(None)
}

fn oldest_link(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Option<Position>,
    high: u64,
) -> Result<Option<i64>, LogError> {
    let metrics = RuntimeMetrics::unregistered().follower("lag");
    let mut follower = Follower::open(log, partition, from, Arc::new(SystemClock), metrics)?;
    let mut links = Vec::new();
    while follower.poll_below(high, LOOK, LOOK_WAIT, &mut links)? {
        if let Some(link) = links.first() {
            return Ok(Some(link.record.timestamp_ms));
        }
    }
    Ok(None)
}

/// For how long a topic keeps records; `None`: for ever.
pub const fn retention_of(topic: &TopicDescription) -> Option<Duration> {
    match topic.spec.cleanup {
        Cleanup::Delete { retention } => retention,
        Cleanup::Compact => None,
    }
}

/// What to say when the oldest record that waits has lived through more than half of the time that
/// it is kept.
pub fn expiry_warning(topic: &str, age: Duration, retention: Duration) -> Option<String> {
    (age * 2 > retention).then(|| {
        format!(
            "the oldest record of {topic} that waits is {} old, and after {} it is thrown away \
             undecided: raise retention.ms of {topic}, then find out why nobody keeps up",
            in_words(age),
            in_words(retention)
        )
    })
}

/// A length of time for people, in its largest unit.
pub fn in_words(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds if seconds < 2 * HOUR => format!("{} min", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / DAY),
    }
}

/// What a reader knows of the records that lie before it.
#[derive(Debug)]
pub struct Backlog {
    topic: Arc<str>,
    /// Stamp of the oldest record of the last piece that it took.
    oldest_at_ms: Option<i64>,
    /// For how long records are kept, and when that was asked.
    retention: Option<Retention>,
}

#[derive(Debug, Clone, Copy)]
struct Retention {
    kept: Option<Duration>,
    asked_at_ms: i64,
}

/// How often the retention is asked for while it matters.
const ASK_EVERY_MS: i64 = 60_000;

impl Backlog {
    /// Of a reader of this topic that has read nothing.
    pub const fn new(topic: Arc<str>) -> Self {
        Self { topic, oldest_at_ms: None, retention: None }
    }

    /// A piece was taken that begins with a record of this stamp, or there was none; `is_done` says
    /// that everything before is dealt with and nothing lies ahead.
    pub const fn taken(&mut self, first_at_ms: Option<i64>, is_done: bool) {
        if first_at_ms.is_some() || is_done {
            self.oldest_at_ms = first_at_ms;
        }
    }

    /// Looks up how long records are kept, now and then, once somebody lags. Who cannot tell says
    /// so when the records are read.
    pub fn ask_retention(&mut self, log: &dyn Log, now_ms: i64) {
        let is_known =
            self.retention.is_some_and(|known| now_ms - known.asked_at_ms < ASK_EVERY_MS);
        if is_known || self.age(now_ms).is_none_or(|age| age < LAGS_AFTER) {
            return;
        }
        let asked = log.describe(&self.topic).ok();
        let kept = asked.as_ref().and_then(retention_of);
        self.retention = Some(Retention { kept, asked_at_ms: now_ms });
    }

    /// How long the oldest one waits, in whole seconds.
    fn age(&self, now_ms: i64) -> Option<Duration> {
        let waits_ms = now_ms - self.oldest_at_ms?;
        Some(Duration::from_secs(u64::try_from(waits_ms).unwrap_or(0) / 1_000))
    }

    /// What to say of it.
    pub fn lagging(&self, now_ms: i64) -> Option<Lagging> {
        let age = self.age(now_ms).filter(|age| *age >= LAGS_AFTER)?;
        let kept = self.retention.and_then(|known| known.kept);
        let expiry = kept.and_then(|kept| expiry_warning(&self.topic, age, kept));
        let reason = expiry.unwrap_or_else(|| format!("it lags by {}", in_words(age)));
        Some(Lagging { age, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        let told = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(told(119), "119 s");
        assert_eq!(told(120), "2 min");
        assert_eq!(told(7_200), "2 h");
        assert_eq!(told(604_800), "7 days");
    }

    #[test]
    fn a_backlog_lags_from_ten_seconds_on_and_is_gone_at_the_end() {
        let mut backlog = Backlog::new("commands".into());
        backlog.taken(Some(1_000), true);
        assert_eq!(backlog.lagging(10_999), None);
        assert_eq!(backlog.lagging(11_000).unwrap().reason, "it lags by 10 s");
        backlog.taken(None, false);
        assert!(backlog.lagging(11_000).is_some(), "the log may be slow, which is not the end");
        backlog.taken(None, true);
        assert_eq!(backlog.lagging(11_000), None);
    }

    #[test]
    fn more_than_half_of_the_retention_is_told() {
        let day = Duration::from_secs(24 * 3_600);
        assert_eq!(expiry_warning("commands", day, 2 * day), None);
        let told = expiry_warning("commands", 3 * day, 5 * day).unwrap();
        assert!(told.contains("3 days old, and after 5 days"), "{told}");
    }
}
