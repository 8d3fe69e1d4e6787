//! Which event a command is about: looked for among the commands that are kept, the newest first, since
//! who asks has mostly just been told the command's id.
//!
//! An id does not tell its partition, so all of them are read, window by window from their ends back, and
//! no longer than somebody waits in front of a page.

use std::time::{Duration, Instant};

use anyhow::bail;
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_runtime::log::{
    Isolation, LogErrorKind, PollLimit, Record, TopicPartition, Watermarks, poll_below,
};
use cityevents_schemas::cloudevents::header;
use cityevents_schemas::message::decode_command;

use super::{Context, Progress};

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);
/// Offsets of one partition that are read before it is the next one's turn.
const WINDOW: u64 = 50_000;

/// A command, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCommand {
    /// The event that it is about.
    pub event: EventId,
    /// What it asks for.
    pub kind: &'static str,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// When the log took it.
    pub at_ms: i64,
}

/// Looks for a command. `None`: it is not among those that are kept.
///
/// # Errors
/// When the log cannot be read, and when the command was not found within `patience`.
pub fn find(
    context: &Context,
    id: &CommandId,
    patience: Duration,
    progress: Progress<'_>,
) -> anyhow::Result<Option<FoundCommand>> {
    let started = Instant::now();
    let topic = &context.source.commands;
    let count = context.log().describe(topic)?.spec.partitions;
    let mut left = Vec::new();
    for partition in 0..count {
        let place = TopicPartition::new(topic.clone(), partition);
        let marks = context.log().watermarks(&place)?;
        left.push((place, marks));
    }
    let older = |left: &[(TopicPartition, Watermarks)]| -> u64 {
        left.iter().map(|(_, marks)| marks.high - marks.low).sum()
    };
    let all = older(&left);
    let sought = (id, id.to_string());
    while left.iter().any(|(_, marks)| marks.high > marks.low) {
        for (place, marks) in &mut left {
            let from = marks.high.saturating_sub(WINDOW).max(marks.low);
            if let Some(found) = look_through(context, place, from..marks.high, &sought)? {
                return Ok(Some(found));
            }
            marks.high = from;
            if started.elapsed() > patience {
                bail!("{}", too_long(older(&left), patience));
            }
        }
        progress(all - older(&left), all);
    }
    Ok(None)
}

fn too_long(older: u64, patience: Duration) -> String {
    format!(
        "the command is not among those that were read within {} s, and {older} older ones were not \
         read; whoever knows its event finds it with that",
        patience.as_secs()
    )
}

fn look_through(
    context: &Context,
    place: &TopicPartition,
    window: std::ops::Range<u64>,
    sought: &(&CommandId, String),
) -> anyhow::Result<Option<FoundCommand>> {
    if window.is_empty() {
        return Ok(None);
    }
    let mut reader = context.log().reader(place, window.start, Isolation::Uncommitted)?;
    let mut batch = Vec::new();
    loop {
        match poll_below(&mut *reader, place, window.end, READ, READ_WAIT, &mut batch) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // What is older than this went away while newer ones were read.
            Err(error) if error.kind() == LogErrorKind::OffsetOutOfRange => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if let Some(found) = batch.iter().find_map(|record| found(place, record, sought)) {
            return Ok(Some(found));
        }
    }
}

/// Only what says to have the id is decoded.
fn found(
    place: &TopicPartition,
    record: &Record,
    (id, text): &(&CommandId, String),
) -> Option<FoundCommand> {
    if record.headers.get_text(header::ID).is_some_and(|known| known != text) {
        return None;
    }
    let command = decode_command(record.value.as_deref()?).ok()?;
    (command.id == **id).then(|| FoundCommand {
        event: command.event,
        kind: command.kind.as_str(),
        partition: place.partition,
        offset: record.offset,
        at_ms: record.timestamp_ms,
    })
}
