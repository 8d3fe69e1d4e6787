//! One partition's trends at work: reads facts and engagements, keeps the state, publishes.
//!
//! - **Order of a takeover**: take the writer's identity, read the group's progress, fold up to it in
//!   silence, look at what was published last, and only then go on. What was published is what the
//!   topic of trends says, so nothing is published twice and nothing false stays.
//! - **One batch**: outputs and the progress in both inputs count together or not at all, under an
//!   identity of which only the newest holder gets through.
//! - **Facts first**: engagements are folded once all facts are folded that the log had when it gave
//!   them. So a view of an event that is public finds the event, live as in a replay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::dead_letter::{Circuit, CircuitPolicy, dead_letter};
use cityevents_runtime::follower::{Follower, LinkedRecord, Position};
use cityevents_runtime::host::{Lagging, MakeTask, Task, TaskError};
use cityevents_runtime::lag::Backlog;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Committed, FencedBatch, FencedWriter, Headers, Isolation, Outgoing, PollLimit, Reader, Record,
    TopicPartition,
};
use cityevents_runtime::standby::Source;
use cityevents_runtime::topology::Undecodable;
use cityevents_schemas::message::{
    Engagement, Trend, UserSignal, decode_engagement, decode_link, encode_trend, encode_user_signal,
};
use cityevents_schemas::{DecodeError, ErrorClass};

use super::metrics::TrendingMetrics;
use super::state::Trending;
use super::warm::TOGETHER;
use super::{NAME, published, saved};
use crate::registration::key_of;
use crate::unreadable_fact;

/// Records taken at once.
const BATCH: PollLimit = PollLimit { records: 8_192, bytes: 4 << 20 };
/// Lists are brought up to date this often: a change is published so much later at most.
const ROUND_EVERY: Duration = Duration::from_millis(250);
/// Progress without any output is stored this often: in a cluster that is a transaction.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// Outputs in one batch of the log. More go in several, the last of which has the progress.
const RECORDS_MAX: usize = 20_000;
/// Signals that wait for the next round; more bring it forward.
const SIGNALS_MAX: usize = 20_000;
/// How long one read may wait for facts that are known to be there.
const FACTS_WAIT: Duration = Duration::from_millis(50);

/// The topics that trends are made from and go to, by full name, with their partition counts.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The facts.
    pub facts: Arc<str>,
    /// Who was shown or looked at what.
    pub engagement: Arc<str>,
    /// Engagements that cannot be read.
    pub dead_letters: (Arc<str>, u32),
    /// One row an event. It has as many partitions as the facts.
    pub trends: (Arc<str>, u32),
    /// What people like.
    pub signals: (Arc<str>, u32),
}

/// What a task is made of.
#[derive(Clone)]
pub struct Options {
    /// The topics.
    pub topics: Topics,
    /// The group.
    pub group: String,
    /// The state is written down this often.
    pub snapshot_every: Duration,
    /// Figures.
    pub metrics: TrendingMetrics,
}

/// Makes tasks for a host that shares out facts and engagements.
pub fn make_task(source: Source, options: Options) -> Arc<MakeTask> {
    Arc::new(move |partition, _| {
        let task = TrendingTask::start(&source, &options, partition)?;
        Ok(Box::new(task) as Box<dyn Task>)
    })
}

/// The trends of one partition.
pub struct TrendingTask {
    source: Source,
    options: Options,
    partition: u32,
    facts: TopicPartition,
    engagement: TopicPartition,
    writer: Box<dyn FencedWriter>,
    state: Trending,
    follower: Follower,
    reader: Box<dyn Reader>,
    links: Vec<LinkedRecord>,
    records: Vec<Record>,
    signals: Vec<UserSignal>,
    letters: Vec<Outgoing>,
    circuit: Circuit,
    backlog: Backlog,
    /// The next offsets of facts and engagements as they are stored.
    stored: (u64, u64),
    round_at: Instant,
    stored_at: Instant,
    saver: saved::Saver,
}

impl TrendingTask {
    /// Takes a partition over.
    ///
    /// # Errors
    /// When log or snapshots cannot be read.
    pub fn start(source: &Source, options: &Options, partition: u32) -> Result<Self, TaskError> {
        let log = &source.log;
        let topics = &options.topics;
        let facts = TopicPartition::new(topics.facts.clone(), partition);
        let engagement = TopicPartition::new(topics.engagement.clone(), partition);
        let writer = log.fenced(&format!("{}-{facts}", options.group))?;
        let committed =
            (log.committed(&options.group, &facts)?, log.committed(&options.group, &engagement)?);
        let place = saved::Place::new(source, &facts, &engagement)?;
        let restored = place.restore(committed.0.as_ref().map(|facts| facts.offset));
        let (state, position, next) = match restored {
            Some((state, position, next)) => (state, Some(position), next),
            None => (Trending::default(), None, 0),
        };
        let low = log.watermarks(&engagement)?.low;
        let metrics = source.metrics.follower(NAME);
        let follower = Follower::open(&**log, &facts, position, source.clock.clone(), metrics)?;
        let reader = log.reader(&engagement, next.max(low), Isolation::Uncommitted)?;
        let mut task = Self {
            source: source.clone(),
            options: options.clone(),
            partition,
            writer,
            state,
            follower,
            reader,
            links: Vec::new(),
            records: Vec::new(),
            signals: Vec::new(),
            letters: Vec::new(),
            circuit: Circuit::new(CircuitPolicy::default()),
            backlog: Backlog::new(facts.clone().topic),
            stored: (0, 0),
            round_at: Instant::now(),
            stored_at: Instant::now(),
            saver: saved::Saver::new(place, options.snapshot_every),
            facts,
            engagement,
        };
        task.fold_what_was_done(committed)?;
        let trends = TopicPartition::new(topics.trends.0.clone(), partition);
        for trend in published::last_of_each(&**log, &trends)? {
            task.state.adopt(&trend);
        }
        tracing::info!(
            kafka.partition = partition,
            "{NAME}/{partition} knows {} events",
            task.state.events()
        );
        Ok(task)
    }

    /// Folds up to where the group has come: its signals are out already.
    fn fold_what_was_done(
        &mut self,
        (facts, engagement): (Option<Committed>, Option<Committed>),
    ) -> Result<(), TaskError> {
        if let Some(facts) = &facts {
            if Cursor::parse(&facts.metadata).is_none() {
                return Err(TaskError::Stop(format!(
                    "the progress of group {} in {} has no cursor: it was set by another tool. \
                     Remove the group's offsets and the trends are worked out from the beginning",
                    self.options.group, self.facts
                )));
            }
            self.stored.0 = facts.offset;
            self.fold_facts_up_to(facts.offset)?;
        }
        self.signals.clear();
        let Some(engagement) = engagement else { return Ok(()) };
        self.stored.1 = engagement.offset;
        let high = self.source.log.watermarks(&self.engagement)?.high;
        let goal = engagement.offset.min(high);
        while self.reader.position() < goal {
            let before = self.reader.position();
            self.poll_engagement(FACTS_WAIT)?;
            self.fold_engagements(false)?;
            self.signals.clear();
            if self.reader.position() == before {
                // What the log threw away meanwhile is gone for everybody.
                let low = self.source.log.watermarks(&self.engagement)?.low;
                if low > before {
                    self.reader.seek(low.min(goal));
                }
            }
        }
        Ok(())
    }

    /// Folds facts until those below `goal` are folded.
    fn fold_facts_up_to(&mut self, goal: u64) -> Result<(), TaskError> {
        let high = self.source.log.watermarks(&self.facts)?.high;
        if goal > high {
            return Err(TaskError::Stop(format!(
                "group {} stands at {goal} in {}, which ends at {high}: the topic lost records, or \
                 was deleted and made anew",
                self.options.group, self.facts
            )));
        }
        while self.follower.offset() < goal {
            self.fold_facts(FACTS_WAIT)?;
            self.state.forget_over();
            self.signals.clear();
        }
        Ok(())
    }

    fn fold_facts(&mut self, timeout: Duration) -> Result<usize, TaskError> {
        self.links.clear();
        let mut carried = Vec::new();
        let followed = self.follower.poll(BATCH, timeout, &mut self.links)?;
        let first_at_ms = self.links.first().map(|link| link.record.timestamp_ms);
        self.backlog.taken(first_at_ms, followed.end_of_partition);
        for linked in &self.links {
            let value = linked.record.value.as_deref().unwrap_or_default();
            let link = decode_link(value).map_err(|error| {
                let place = format!("{} offset {}", self.facts, linked.record.offset);
                unreadable_fact(&place, &error)
            })?;
            if let Some(fact) = &link.fact {
                // Signals of what was decided in other topics came from there.
                let out_already = linked.is_carried.then_some(&mut carried);
                self.state.fold_fact(fact, out_already.unwrap_or(&mut self.signals));
            }
        }
        Ok(followed.records)
    }

    fn poll_engagement(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.reader.poll(BATCH, timeout, &mut self.records)?;
        Ok(())
    }

    /// Folds the engagements at hand. Before the point where the group stands, what cannot be read
    /// is a dead letter already.
    fn fold_engagements(&mut self, is_new: bool) -> Result<(), TaskError> {
        for records in std::mem::take(&mut self.records).chunks(TOGETHER) {
            let read =
                |record: &Record| decode_engagement(record.value.as_deref().unwrap_or_default());
            let read: Vec<_> = records.iter().map(read).collect();
            self.state.warm(read.iter().flatten());
            for (record, read) in records.iter().zip(read) {
                self.fold_engagement(record, read, is_new)?;
            }
        }
        Ok(())
    }

    fn fold_engagement(
        &mut self,
        record: &Record,
        read: Result<Engagement, DecodeError>,
        is_new: bool,
    ) -> Result<(), TaskError> {
        match read {
            Ok(engagement) => {
                let stamp = Timestamp::from_millis(record.timestamp_ms);
                let verdict = self.state.fold_engagement(&engagement, stamp, &mut self.signals);
                if is_new {
                    self.options.metrics.count(verdict);
                    self.circuit.succeeded(1);
                }
                Ok(())
            }
            Err(error) if error.class() == ErrorClass::Retry => Err(TaskError::Restart(format!(
                "the engagement at {} offset {} cannot be read now: {error}",
                self.engagement, record.offset
            ))),
            Err(error) if is_new => self.keep(record, &error),
            Err(_) => Ok(()),
        }
    }

    fn keep(&mut self, record: &Record, error: &DecodeError) -> Result<(), TaskError> {
        if self.circuit.failed() {
            return Err(TaskError::Stop(format!(
                "too many engagements of {} cannot be read, the last one at offset {}: {error}; \
                 upgrade this program, or find out who writes them",
                self.engagement, record.offset
            )));
        }
        self.options.metrics.dead_letters.inc();
        let reason = error.to_string();
        let error = Undecodable { class: error.kind(), reason, is_temporary: false };
        let now_ms = self.source.clock.now_ms();
        self.letters.push(dead_letter(&self.engagement, record, "DECODE", &error, now_ms));
        Ok(())
    }

    /// Brings the lists up to date and publishes what is news, with the progress in both inputs. That
    /// alone is stored now and then, and with the last round.
    fn round(&mut self, is_last: bool) -> Result<(), TaskError> {
        let began = Instant::now();
        self.round_at = began;
        let now = Timestamp::from_millis(self.source.clock.now_ms());
        let mut trends = Vec::new();
        self.state.advance(now, &mut trends);
        let Some(position) = self.follower.position() else { return Ok(()) };
        let reached = (position.offset, self.reader.position());
        let is_quiet = trends.is_empty() && self.signals.is_empty() && self.letters.is_empty();
        let is_due = is_last || self.stored_at.elapsed() >= PROGRESS_EVERY;
        let is_due = is_due && reached != self.stored;
        if is_quiet && !is_due {
            return Ok(());
        }
        self.write(trends, position, reached)?;
        self.stored = reached;
        self.stored_at = Instant::now();
        self.options.metrics.size(self.partition, self.state.events(), self.state.people());
        self.options.metrics.round_seconds.observe(began.elapsed().as_secs_f64());
        self.saver.save_if_due(&self.state, position, reached.1, now);
        Ok(())
    }

    fn write(
        &mut self,
        trends: Vec<Trend>,
        position: Position,
        reached: (u64, u64),
    ) -> Result<(), TaskError> {
        let topics = &self.options.topics;
        let dead = TopicPartition::new(
            topics.dead_letters.0.clone(),
            self.partition % topics.dead_letters.1.max(1),
        );
        let to_trends = TopicPartition::new(topics.trends.0.clone(), self.partition);
        let published = trends.len() as u64;
        let letters = self.letters.drain(..).map(|letter| (dead.clone(), letter));
        let trends = trends.iter().map(|trend| (to_trends.clone(), trend_record(trend)));
        let (signals, count) = &topics.signals;
        let signals = self.signals.drain(..).map(|signal| {
            let record = signal_record(&signal);
            let key = record.key.as_deref().unwrap_or_default();
            (TopicPartition::new(signals.clone(), partition_of(key, *count)), record)
        });
        let mut records: Vec<_> = letters.chain(trends).chain(signals).collect();
        let committed = |offset, metadata| Committed { offset, metadata };
        let mut progress = vec![
            (self.facts.clone(), committed(reached.0, position.cursor.to_text())),
            (self.engagement.clone(), committed(reached.1, String::new())),
        ];
        while records.len() > RECORDS_MAX {
            let rest = records.split_off(RECORDS_MAX);
            self.writer.write(FencedBatch {
                records,
                group: self.options.group.clone(),
                progress: Vec::new(),
            })?;
            records = rest;
        }
        let progress = std::mem::take(&mut progress);
        let group = self.options.group.clone();
        self.writer.write(FencedBatch { records, group, progress })?;
        self.options.metrics.published.inc_by(published);
        Ok(())
    }
}

impl Task for TrendingTask {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        if self.records.is_empty() {
            let left = ROUND_EVERY.saturating_sub(self.round_at.elapsed());
            self.poll_engagement(timeout.min(left))?;
        }
        if self.records.is_empty() {
            self.fold_facts(Duration::ZERO)?;
        } else {
            let high = self.source.log.watermarks(&self.facts)?.high;
            while self.follower.offset() < high && self.fold_facts(FACTS_WAIT)? > 0 {}
            // Else they wait for the next step.
            if self.follower.offset() >= high {
                self.fold_engagements(true)?;
            }
        }
        if self.round_at.elapsed() >= ROUND_EVERY || self.signals.len() >= SIGNALS_MAX {
            self.round(false)?;
        }
        Ok(())
    }

    fn drain(&mut self, _deadline: Duration) -> Result<(), TaskError> {
        self.round(true)?;
        self.saver.wait();
        Ok(())
    }

    /// The batches have it.
    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        None
    }

    fn lag_records(&self) -> Option<u64> {
        let log = &self.source.log;
        let facts = log.watermarks(&self.facts).ok()?.high;
        let engagement = log.watermarks(&self.engagement).ok()?.high;
        let behind = |high: u64, at: u64| high.saturating_sub(at);
        Some(behind(facts, self.follower.offset()) + behind(engagement, self.reader.position()))
    }

    fn lagging(&self) -> Option<Lagging> {
        self.backlog.lagging(self.source.clock.now_ms())
    }

    fn problem(&self) -> Option<String> {
        self.follower.is_stuck().then(|| {
            format!(
                "records of {} lie ahead of offset {} and nothing is linked: links are missing",
                self.facts,
                self.follower.offset()
            )
        })
    }
}

fn trend_record(trend: &Trend) -> Outgoing {
    let mut value = Vec::with_capacity(192);
    encode_trend(trend, &mut value);
    Outgoing {
        key: Some(key_of(&trend.event)),
        value: Some(Bytes::from(value)),
        headers: Headers::empty(),
        timestamp_ms: Some(trend.updated_at.as_millis()),
    }
}

fn signal_record(signal: &UserSignal) -> Outgoing {
    let mut value = Vec::with_capacity(96);
    encode_user_signal(signal, &mut value);
    Outgoing {
        key: Some(Bytes::from(signal.person.to_string())),
        value: Some(Bytes::from(value)),
        headers: Headers::empty(),
        timestamp_ms: Some(signal.at.as_millis()),
    }
}
