//! The task of one partition: source and tiers, read and handled.

mod handing_on;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::lanes::{Lanes, Waiting};
use super::stream::Stream;
use super::{
    Attempt, Completion, Ended, Failure, Handler, Happened, OrderKey, RetryOptions, Tries, Verdict,
};
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
    /// The source, then the tiers.
    streams: Vec<Stream>,
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
        let mut lanes = Lanes::new(options.tiers.len());
        for (stream, tier) in streams.iter().enumerate().skip(1) {
            for record in tier.waiting(&*log)? {
                if let Some(key) = handler.order(&record) {
                    lanes.park(key, stream);
                }
            }
        }
        let producer = log.producer(&format!("{}-{partition}", options.name))?;
        Ok(Self {
            handler,
            streams,
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

    /// How many records are in work.
    pub fn in_work(&self) -> usize {
        self.streams.iter().map(|stream| stream.offsets.in_work()).sum()
    }

    fn takes_more(&self) -> bool {
        !self.draining && self.stopping.is_none() && self.in_work() < self.options.in_work_max
    }

    /// Takes what is due, the longest wait first: it comes before what waits in earlier tiers.
    fn take(&mut self, timeout: Duration) -> Result<bool, TaskError> {
        let now_ms = self.now_ms();
        let mut took = self.try_held(now_ms);
        for stream in (1..self.streams.len()).rev() {
            self.streams[stream].fill(Duration::ZERO)?;
            while self.takes_more() {
                let due_ms = self.streams[stream].due_at_ms();
                let Some(record) = self.streams[stream].take_due(now_ms)? else { break };
                let late_ms = now_ms.saturating_sub(due_ms.unwrap_or(now_ms));
                let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or(0));
                let tier = &self.streams[stream].place.topic;
                self.handler.happened(Happened::Taken { tier, late });
                self.enter(stream, record)?;
                self.streams[stream].fill(Duration::ZERO)?;
                took = true;
            }
        }
        if self.takes_more() {
            let idle = !took && self.in_work() == self.held.len();
            let wait = if idle { self.idle_wait(timeout, now_ms) } else { Duration::ZERO };
            self.streams[0].fill(wait)?;
        }
        while self.takes_more() {
            let Some(record) = self.streams[0].take_due(now_ms)? else { break };
            self.enter(0, record)?;
            took = true;
        }
        Ok(took)
    }

    /// Not longer than until the next record of a tier is due, or one that is held.
    fn idle_wait(&self, timeout: Duration, now_ms: i64) -> Duration {
        let held = self.held.iter().map(|held| held.due_ms);
        let due = self.streams[1..].iter().filter_map(Stream::due_at_ms).chain(held).min();
        let left_ms = due.map(|due_ms| due_ms.saturating_sub(now_ms).max(0));
        let left = left_ms.and_then(|left_ms| u64::try_from(left_ms).ok());
        left.map_or(timeout, |left_ms| timeout.min(Duration::from_millis(left_ms)))
    }

    fn enter(&mut self, stream: usize, record: Record) -> Result<(), TaskError> {
        let Some(key) = self.handler.order(&record) else {
            return self.begin(stream, record, None);
        };
        match self.lanes.enter(key, Waiting { stream, record }) {
            Some(first) => self.begin(first.stream, first.record, Some(key)),
            None => Ok(()),
        }
    }

    fn begin(
        &mut self,
        stream: usize,
        record: Record,
        key: Option<OrderKey>,
    ) -> Result<(), TaskError> {
        let (offset, tries, since_ms) = (record.offset, Tries::of(&record.headers), self.now_ms());
        if let Some(tier) = key.and_then(|key| self.lanes.follows_into(key, stream)) {
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

    /// Begins with held records that are due.
    fn try_held(&mut self, now_ms: i64) -> bool {
        if self.draining || self.stopping.is_some() {
            return false;
        }
        let due: Vec<Held> = self.held.extract_if(.., |held| held.due_ms <= now_ms).collect();
        let any = !due.is_empty();
        for Held { stream, working, .. } in due {
            self.attempt(stream, Working { since_ms: now_ms, ..working });
        }
        any
    }

    fn end(&mut self, ended: Ended) -> Result<(), TaskError> {
        let Ended { stream, offset, verdict } = ended;
        let Some(verdict) = verdict else {
            if self.draining {
                return Ok(());
            }
            let place = &self.streams[stream].place;
            let reason = format!("nobody knows what came of {place} offset {offset}");
            return Err(TaskError::Restart(reason));
        };
        let Some(working) = self.working.remove(&(stream, offset)) else { return Ok(()) };
        let at = (stream, offset);
        match verdict {
            Verdict::Done => {
                self.poison.succeeded(1);
                self.refused.succeeded(1);
                self.pass(stream, offset, working.key)
            }
            Verdict::Retry(failure) => {
                self.poison.succeeded(1);
                let tiers = self.streams.len() - 1;
                if stream < tiers {
                    self.wait_in(at, &working, stream + 1, Some(&failure))
                } else if (working.tries.attempt as usize) <= tiers {
                    self.hold(stream, working, &failure);
                    Ok(())
                } else {
                    self.give_up(at, &working, &failure)
                }
            }
            Verdict::Refused(failure) => {
                self.poison.succeeded(1);
                if self.refused.failed() {
                    return self.stop_at(at, working, &failure);
                }
                self.give_up(at, &working, &failure)
            }
            Verdict::Poison(failure) => {
                if self.poison.failed() {
                    return self.stop_at(at, working, &failure);
                }
                self.give_up(at, &working, &failure)
            }
        }
    }

    /// Too much was given up lately: more of it may be our fault.
    fn stop_at(
        &mut self,
        (stream, offset): (usize, u64),
        working: Working,
        failure: &Failure,
    ) -> Result<(), TaskError> {
        let place = &self.streams[stream].place;
        self.stopping.get_or_insert_with(|| {
            format!(
                "too many records of {place} are given up, the last one at offset {offset}: {} ({})",
                failure.brief(),
                failure.class
            )
        });
        // Somebody looks, and it is handled again then.
        self.working.insert((stream, offset), working);
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

    fn is_at_rest(&self) -> bool {
        self.handed_on.is_empty() && self.working.is_empty()
    }
}

impl<H: Handler> Task for RetryConsumer<H> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.hear(Duration::ZERO)?;
        self.acknowledge(Duration::ZERO)?;
        if let Some(reason) = self.stopping.clone()
            && self.handed_on.is_empty()
        {
            return Err(TaskError::Stop(reason));
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
                if ended.verdict.is_none() {
                    self.working.remove(&(ended.stream, ended.offset));
                }
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
        self.handler.problem()
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
