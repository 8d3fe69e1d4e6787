//! Reading up to a watermark, for a fold that catches up.
//!
//! A long way is read ahead: one thread reads and applies the rule of the chain while another folds
//! what was read. Either costs about the same, so it takes half the time where a processor is free.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::follower::{Follower, LinkedRecord};
use crate::log::{LogError, LogErrorKind, PollLimit};

/// Facts read at once: so few that they are still in the processor's cache when they are folded.
const BATCH: PollLimit = PollLimit { records: 2_048, bytes: 1 << 20 };
/// How long one read may wait, since the watermark is known to be there.
const WAIT: Duration = Duration::from_secs(5);
/// Reads in a row that may bring nothing: a reader tells an end that was reached before more came.
const EMPTY_READS_MAX: u32 = 3;
/// Batches that wait to be folded.
const AHEAD_MAX: usize = 4;
/// A shorter way is not worth a thread.
const AHEAD_RECORDS_MIN: u64 = 32_768;

/// Reads everything below `high` and hands over what counts, with how many records are left. Ends
/// early when `take` says that it is enough (`false`).
pub(super) fn read_up_to(
    follower: &mut Follower,
    high: u64,
    mut take: impl FnMut(u64, Vec<LinkedRecord>) -> bool,
) -> Result<(), LogError> {
    if high.saturating_sub(follower.offset()) < AHEAD_RECORDS_MIN {
        return read(follower, high, take);
    }
    thread::scope(|scope| {
        let (ahead, coming) = bounded(AHEAD_MAX);
        let reader = scope.spawn(move || {
            // Whoever folds has enough when it is not heard any more.
            read(follower, high, |left, links| ahead.send((left, links)).is_ok())
        });
        for (left, links) in coming {
            if !take(left, links) {
                break;
            }
        }
        reader.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn read(
    follower: &mut Follower,
    high: u64,
    mut take: impl FnMut(u64, Vec<LinkedRecord>) -> bool,
) -> Result<(), LogError> {
    let mut empty_reads = 0;
    while follower.offset() < high {
        let before = follower.offset();
        let records = BATCH.records.min((high - before) as usize);
        let mut links = Vec::with_capacity(records);
        follower.poll(PollLimit { records, ..BATCH }, WAIT, &mut links)?;
        let after = follower.offset();
        empty_reads = if after > before { 0 } else { empty_reads + 1 };
        if empty_reads >= EMPTY_READS_MAX {
            let message = format!(
                "{} does not give the records below its watermark {high}, stopped at {before}",
                follower.partition()
            );
            return Err(LogError::new(LogErrorKind::TimedOut, message));
        }
        if !take(high.saturating_sub(after), links) {
            break;
        }
    }
    Ok(())
}
