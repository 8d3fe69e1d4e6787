//! The task of one partition: source and tiers, read and handled.

mod handing_on;
mod taking;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use self::taking::Behind;
use super::lanes::Lanes;
use super::stream::Stream;
use super::{Attempt, Completion, Ended, Failure, Handler, OrderKey, RetryOptions, Tries, Verdict};
use crate::dead_letter::Circuit;
use crate::host::{Lagging, MakeTask, Task, TaskError};
use crate::log::{Committed, Delivery, Producer, Record, TopicPartition};

/// One wait for a verdict while records are in work: the log is looked at in between.
const VERDICT_WAIT: Duration = Duration::from_millis(2);
/// A record of the source that is in work for longer makes the task say that it lags.
const LAGS_AFTER: Duration = Duration::from_secs(60);

/// A record in work.
struct Working {
    record: Record,
    key: Option<OrderKey>,
    tries: Tries,
    since_ms: i64,
}

/// A record in work that waits for another try.
struct Held {
    due_ms: i64,
    stream: usize,
    working: Working,
}

/// A record that was handed on, whose append is not acknowledged yet.
struct HandedOn {
    stream: usize,
    offset: u64,
    key: Option<OrderKey>,
    /// The stream of the tier where it waits now; `None`: it is a dead letter.
    tier: Option<usize>,
}

/// Reads a source and its tiers, one partition of each, and has their records handled.
pub struct RetryConsumer<H> {
    options: RetryOptions,
    handler: H,
    /// The source, then the tiers, and bulk behind them.
    streams: Vec<Stream>,
    /// How many tiers there are, and so the stream of the last.
    tiers: usize,
    bulk: Option<Behind>,
    lanes: Lanes<Record>,
    working: HashMap<(usize, u64), Working>,
    held: Vec<Held>,
    producer: Box<dyn Producer>,
    handed_on: HashMap<u64, HandedOn>,
    deliveries: Vec<Delivery>,
    ended: (Sender<Ended>, Receiver<Ended>),
    poison: Circuit,
    refused: Circuit,
    /// Why the partition stops as soon as nothing is under way.
    stopping: Option<String>,
    draining: bool,
}

impl<H: Handler> RetryConsumer<H> {
    /// Goes on where the group left off.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn start(options: RetryOptions, partition: u32, handler: H) -> Result<Self, TaskError> {
        let log = Arc::clone(&options.log);
        let open = |topic: &Arc<str>, delay| {
            let place = TopicPartition::new(topic.clone(), partition);
            Stream::open(&*log, &options.group, place, delay)
        };
        let mut streams = vec![open(&options.source, Duration::ZERO)?];
        for tier in &options.tiers {
            streams.push(open(&tier.topic, tier.delay)?);
        }
        let tiers = options.tiers.len();
        let mut lanes = Lanes::new(tiers);
        for (stream, tier) in streams.iter().enumerate().skip(1) {
            for record in tier.waiting(&*log)? {
                if let Some(key) = handler.order(&record) {
                    lanes.park(key, stream);
                }
            }
        }
        let bulk = options.bulk.as_ref().map(|bulk| Behind::new(streams.len(), bulk.in_work_max));
        if let Some(bulk) = &options.bulk {
            streams.push(open(&bulk.topic, Duration::ZERO)?);
        }
        let producer = log.producer(&format!("{}-{partition}", options.name))?;
        Ok(Self {
            handler,
            streams,
            tiers,
            bulk,
            lanes,
            working: HashMap::new(),
            held: Vec::new(),
            producer,
            handed_on: HashMap::new(),
            deliveries: Vec::new(),
            ended: unbounded(),
            poison: Circuit::new(options.poison),
            refused: Circuit::new(options.refused),
            stopping: None,
            draining: false,
            options,
        })
    }

    /// Who handles.
    pub const fn handler(&self) -> &H {
        &self.handler
    }

    fn now_ms(&self) -> i64 {
        self.options.clock.now_ms()
    }

    /// The tier that a stream is, from 1; 0 for what was not put off yet.
    const fn tier_of(&self, stream: usize) -> usize {
        if stream <= self.tiers { stream } else { 0 }
    }

    /// How many records are in work.
    pub fn in_work(&self) -> usize {
        self.streams.iter().map(|stream| stream.offsets.in_work()).sum()
    }

    fn begin(
        &mut self,
        stream: usize,
        record: Record,
        key: Option<OrderKey>,
    ) -> Result<(), TaskError> {
        let (offset, tries, since_ms) = (record.offset, Tries::of(&record.headers), self.now_ms());
        let tier = self.tier_of(stream);
        if let Some(tier) = key.and_then(|key| self.lanes.follows_into(key, tier)) {
            let working = Working { record, key, tries, since_ms };
            return self.wait_in((stream, offset), &working, tier, None);
        }
        self.attempt(stream, Working { record, key, tries, since_ms });
        Ok(())
    }

    fn attempt(&mut self, stream: usize, working: Working) {
        let (place, offset) = (self.streams[stream].place.clone(), working.record.offset);
        let attempt = Attempt { place, record: working.record.clone(), tries: working.tries };
        self.working.insert((stream, offset), working);
        let told = Some(self.ended.0.clone());
        self.handler.begin(attempt, Completion { stream, offset, told });
    }

    fn end(&mut self, ended: Ended) -> Result<(), TaskError> {
        let Ended { stream, offset, verdict } = ended;
        let Some(working) = self.working.remove(&(stream, offset)) else { return Ok(()) };
        let Some(verdict) = verdict else {
            if self.draining || self.stopping.is_some() {
                // It was let go: whoever goes on handles it again.
                return Ok(());
            }
            let place = &self.streams[stream].place;
            let reason = format!("nobody knows what came of {place} offset {offset}");
            return Err(TaskError::Restart(reason));
        };
        let at = (stream, offset);
        match verdict {
            Verdict::Done => {
                self.poison.succeeded(1);
                self.refused.succeeded(1);
                self.pass(stream, offset, working.key)
            }
            Verdict::Retry(failure) => {
                self.poison.succeeded(1);
                let tier = self.tier_of(stream);
                if tier < self.tiers {
                    self.wait_in(at, &working, tier + 1, Some(&failure))
                } else if (working.tries.attempt as usize) <= self.tiers {
                    self.hold(stream, working, &failure);
                    Ok(())
                } else {
                    self.give_up(at, &working, &failure)
                }
            }
            Verdict::Refused(failure) => {
                self.poison.succeeded(1);
                if self.refused.failed() {
                    return self.stop_at(at, &failure);
                }
                self.give_up(at, &working, &failure)
            }
            Verdict::Poison(failure) => {
                if self.poison.failed() {
                    return self.stop_at(at, &failure);
                }
                self.give_up(at, &working, &failure)
            }
        }
    }

    /// Too much was given up lately: more of it may be our fault.
    fn stop_at(
        &mut self,
        (stream, offset): (usize, u64),
        failure: &Failure,
    ) -> Result<(), TaskError> {
        if self.stopping.is_none() {
            self.stopping = Some(format!(
                "too many records of {} are given up, the last one at offset {offset}: {} ({})",
                self.streams[stream].place,
                failure.brief(),
                failure.class
            ));
            self.handler.stop();
        }
        // Somebody looks, and it is handled again then.
        self.streams[stream].offsets.hold(offset).map_err(|e| TaskError::Restart(e.to_string()))
    }

    /// Takes verdicts, waiting up to `timeout` for the first.
    fn hear(&mut self, timeout: Duration) -> Result<(), TaskError> {
        let mut next = match timeout.is_zero() {
            true => self.ended.1.try_recv().ok(),
            false => self.ended.1.recv_timeout(timeout).ok(),
        };
        while let Some(ended) = next {
            self.end(ended)?;
            next = self.ended.1.try_recv().ok();
        }
        Ok(())
    }

    /// Whether nothing is being handled or handed on: what is in work, if anything is, waits for
    /// another try, or behind one that does.
    pub fn is_at_rest(&self) -> bool {
        self.handed_on.is_empty() && self.working.is_empty()
    }
}

impl<H: Handler> Task for RetryConsumer<H> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.hear(Duration::ZERO)?;
        self.acknowledge(Duration::ZERO)?;
        if let Some(reason) = self.stopping.as_ref().filter(|_| self.is_at_rest()) {
            return Err(TaskError::Stop(reason.clone()));
        }
        let took = self.take(timeout)?;
        if !took && !self.handed_on.is_empty() {
            self.acknowledge(VERDICT_WAIT.min(timeout))?;
        } else if !took && self.in_work() > 0 {
            self.hear(VERDICT_WAIT.min(timeout))?;
        }
        Ok(())
    }

    fn drain(&mut self, deadline: Duration) -> Result<(), TaskError> {
        self.draining = true;
        self.handler.stop();
        let started = Instant::now();
        while !self.is_at_rest() {
            let left = deadline.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            if let Ok(ended) = self.ended.1.recv_timeout(VERDICT_WAIT.min(left)) {
                self.end(ended)?;
            }
            self.acknowledge(Duration::ZERO)?;
        }
        Ok(())
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        self.all_progress().into_iter().next()
    }

    fn all_progress(&self) -> Vec<(TopicPartition, Committed)> {
        let committed = |stream: &Stream| {
            let offset = stream.offsets.frontier();
            (stream.place.clone(), Committed { offset, metadata: String::new() })
        };
        self.streams.iter().map(committed).collect()
    }

    fn lag_records(&self) -> Option<u64> {
        let lag = |stream: &Stream| {
            let marks = self.options.log.watermarks(&stream.place).ok()?;
            Some(marks.high.saturating_sub(stream.offsets.frontier()))
        };
        self.streams.iter().map(lag).sum()
    }

    fn problem(&self) -> Option<String> {
        self.stopping.clone().or_else(|| self.handler.problem())
    }

    fn lagging(&self) -> Option<Lagging> {
        let oldest_ms = self.working.values().map(|working| working.since_ms).min()?;
        let age_ms = u64::try_from(self.now_ms().saturating_sub(oldest_ms)).unwrap_or(0);
        let age = Duration::from_millis(age_ms);
        // Seconds only: whoever tells it tells it anew when it changes.
        let reason = || format!("a record is in work for {} min", age.as_secs() / 60);
        (age >= LAGS_AFTER).then(|| Lagging { age, reason: reason() })
    }
}

/// Makes consumers for a host, each with a handler of its own.
pub fn make_task<H: Handler + 'static>(
    options: RetryOptions,
    make: impl Fn(u32) -> Result<H, TaskError> + Send + Sync + 'static,
) -> Arc<MakeTask> {
    Arc::new(move |partition, _| {
        let consumer = RetryConsumer::start(options.clone(), partition, make(partition)?)?;
        Ok(Box::new(consumer) as Box<dyn Task>)
    })
}
