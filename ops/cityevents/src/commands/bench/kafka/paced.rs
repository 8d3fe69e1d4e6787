//! Joins on Kafka that are due at fixed times, from the due time to the reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use cityevents_runtime::log::clock::{Clock as _, SystemClock};
use cityevents_runtime::log::{Isolation, PollLimit, Reader, TopicPartition};
use cityevents_runtime::replies::attempt_of;
use cityevents_schemas::topic;

use crate::commands::bench::backlog::{Backlog, Outbox, settle};
use crate::load::open_loop::{Latencies, Schedule};

/// Silence after which replies are missed.
const REPLY_WAIT: Duration = Duration::from_secs(30);
const READ: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
const POLL_WAIT: Duration = Duration::from_millis(100);

/// What came of paced joins.
pub(super) struct Paced {
    pub(super) latencies: Latencies,
    /// Replies a second in the measured time.
    pub(super) per_second: f64,
}

/// When joins are due, and which count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// A second.
    pub(super) rate: u32,
    /// Before anything counts.
    pub(super) warm_up: Duration,
    /// What counts.
    pub(super) seconds: Duration,
}

impl Pace {
    /// How many joins.
    pub(super) fn joins(&self) -> u64 {
        (f64::from(self.rate) * (self.warm_up + self.seconds).as_secs_f64()) as u64
    }
}

/// Appends commands as the ingest does, and listens for the replies.
///
/// # Errors
/// When replies do not come.
pub(super) fn run(
    backlog: &mut Backlog,
    replies: &str,
    isolation: Isolation,
    pace: Pace,
) -> anyhow::Result<Paced> {
    let replies = TopicPartition::new(replies, 0);
    let (first, count) = (backlog.joins(), pace.joins());
    let high = backlog.log.watermarks(&replies)?.high;
    let mut reader = backlog.log.reader(&replies, high, isolation)?;
    // Nothing is there yet; afterwards the reader waits at the end, connected.
    reader.poll(READ, POLL_WAIT, &mut Vec::new())?;
    let start = Instant::now();
    let schedule = Schedule { start, rate: Some(pace.rate) };
    let asked = AtomicU64::new(0);
    thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let window = (start + pace.warm_up, start + pace.warm_up + pace.seconds);
            listen(&mut *reader, (first, count), schedule, window, &asked)
        });
        let sent = send(backlog, count, schedule, &asked);
        let heard = listener.join().map_err(|_| anyhow!("listening for replies panicked"))?;
        sent?;
        let (latencies, measured) = heard?;
        Ok(Paced { latencies, per_second: measured as f64 / pace.seconds.as_secs_f64() })
    })
}

fn send(
    backlog: &mut Backlog,
    count: u64,
    schedule: Schedule,
    asked: &AtomicU64,
) -> anyhow::Result<()> {
    let mut producer = backlog.log.producer("bench")?;
    let mut outbox = Outbox::new(&backlog.full_name(&topic::EVENT_COMMANDS));
    let mut deliveries = Vec::new();
    let mut number = 0;
    while number < count {
        let wait = schedule.due(number).saturating_duration_since(Instant::now());
        thread::sleep(wait);
        let (now, now_ms) = (Instant::now(), SystemClock.now_ms());
        while number < count && schedule.due(number) <= now {
            backlog.push_join(&mut outbox, now_ms)?;
            number += 1;
        }
        outbox.send(&mut *producer)?;
        asked.store(number, Ordering::Relaxed);
        producer.poll(Duration::ZERO, &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            delivery.result?;
        }
    }
    settle(&mut *producer, 0)
}

fn listen(
    reader: &mut dyn Reader,
    (first, count): (u64, u64),
    schedule: Schedule,
    window: (Instant, Instant),
    asked: &AtomicU64,
) -> anyhow::Result<(Latencies, u64)> {
    let mut latencies = Latencies::new()?;
    let (mut heard, mut measured) = (vec![false; usize::try_from(count)?], 0);
    let mut left = count;
    let mut last = Instant::now();
    let mut records = Vec::new();
    while left > 0 {
        records.clear();
        reader.poll(READ, POLL_WAIT, &mut records)?;
        let now = Instant::now();
        for record in &records {
            let number = attempt_of(&record.headers)
                .and_then(|attempt| attempt.first_chunk().copied())
                .map(u64::from_be_bytes)
                .and_then(|number| number.checked_sub(first).filter(|number| *number < count));
            // Those of the backlog may still be on their way.
            let Some(number) = number else { continue };
            let index = usize::try_from(number)?;
            ensure!(!heard[index], "join {number} was answered twice");
            heard[index] = true;
            left -= 1;
            let due = schedule.due(number);
            if due >= window.0 && due < window.1 {
                latencies.record(now - due);
            }
            measured += u64::from(now >= window.0 && now < window.1);
            last = now;
        }
        let asked = asked.load(Ordering::Relaxed);
        ensure!(
            last.elapsed() < REPLY_WAIT,
            "of {asked} joins {left} of {count} are not answered after {} s",
            REPLY_WAIT.as_secs()
        );
    }
    Ok((latencies, measured))
}
