//! Facts carried into new topics, also with another number of partitions.
//!
//! Each fact becomes a carried link of the partition that its event has in the new topics, with where it
//! came from in a header; what was closed without a fact stays in the old ones. Facts of one partition are
//! appended in their order, those of different partitions by their time. What the new chain has says how
//! far it is, so a run that was killed goes on exactly there, and of two at once one notices and ends.
//!
//! [`Carry::finish`] ends the old chains, carries what is left, and seals the new ones: from then on
//! commands are decided there, and nowhere else.

mod compare;
mod finish;
mod new;
mod old;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_runtime::chain::{ChainReader, Linked};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Delivery, Log, Outgoing, PollLimit, Producer, TimestampKind, TopicPartition, read_one,
};
use cityevents_runtime::standby::Source;
use parking_lot::Mutex;

pub use self::compare::{ComparedFacts, Unequal, compare};
use self::new::New;
use self::old::Old;
use super::{Come, NAME, Pace};

/// Header of a carried record: partition and offset of where it was, as `3/1204`.
pub const CARRIED_FROM_HEADER: &str = "carried-from";
/// Facts appended before their acknowledgements are waited for.
const BATCH_FACTS: usize = 4_096;
/// Records read at once.
const READ: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
/// Longest wait for records that are known to be there.
const READ_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for acknowledgements.
const APPEND_WAIT: Duration = Duration::from_secs(30);

/// The new topics, by full name.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where commands will come from.
    pub commands: Arc<str>,
    /// Where facts go.
    pub facts: Arc<str>,
}

/// Facts on their way.
pub struct Carry {
    source: Source,
    target: Target,
    work: Mutex<Work>,
    pace: Mutex<Pace>,
}

struct Work {
    from: Vec<Old>,
    into: Vec<New>,
    producer: Box<dyn Producer>,
    deliveries: Vec<Delivery>,
}

impl Carry {
    /// Begins chains in the new topics, or goes on with those that are there.
    ///
    /// # Errors
    /// When the log cannot be read, the topics do not fit together, or the new ones have a life of their
    /// own already.
    pub fn open(source: &Source, target: &Target) -> Result<Self, TaskError> {
        let source = Source { topology: NAME, ..source.clone() };
        let count = check_topics(&source, target)?;
        let partitions = source.log.describe(&source.facts)?.spec.partitions;
        let mut producer = source.log.producer("replay-facts")?;
        let mut into = Vec::new();
        for partition in 0..count {
            into.push(New::open(&source, target, partition, partitions, &mut *producer)?);
        }
        let from = (0..partitions)
            .map(|partition| Old::open(&source, partition))
            .collect::<Result<_, _>>()?;
        let work = Work { from, into, producer, deliveries: Vec::new() };
        let (target, pace) = (target.clone(), Mutex::default());
        Ok(Self { source, target, work: Mutex::new(work), pace })
    }

    /// Works for about so long, at most `rate` facts a second.
    ///
    /// # Errors
    /// When the log fails, or somebody else writes into the new topics. What is written stays, and opening
    /// again goes on there.
    pub fn run(&self, budget: Duration, rate: Option<u32>) -> Result<(), TaskError> {
        let deadline = Instant::now() + budget;
        self.pace.lock().begin(rate);
        let mut work = self.work.lock();
        let batch = rate.map_or(BATCH_FACTS, |rate| BATCH_FACTS.min(rate as usize));
        while !work.is_done() && super::waits_for_turn(&self.pace, deadline) {
            let facts = work.step(batch)?;
            self.pace.lock().took(facts);
        }
        Ok(())
    }

    /// How far each partition of the old topic is.
    pub fn come(&self) -> Vec<Come> {
        self.work.lock().from.iter().map(Old::come).collect()
    }
}

impl Work {
    fn is_done(&self) -> bool {
        self.from.iter().all(Old::is_done)
    }

    /// Carries a batch; how many facts it was.
    fn step(&mut self, batch: usize) -> Result<u64, TaskError> {
        let mut facts = 0;
        let count = self.into.len() as u32;
        for _ in 0..batch {
            for from in &mut self.from {
                let into = &self.into;
                from.fill(|key, partition, offset| {
                    into[partition_of(key, count) as usize].has(partition, offset)
                })?;
            }
            let next = self.from.iter_mut().filter(|from| from.next_at().is_some());
            let Some(next) = next.min_by_key(|from| from.next_at()) else { break };
            if let Some(fact) = next.take() {
                let place = partition_of(&fact.key, count) as usize;
                self.into[place].carry(fact);
                facts += 1;
            }
        }
        self.flush()?;
        Ok(facts)
    }

    /// Appends what waits, and waits until all of it is acknowledged in sequence.
    fn flush(&mut self) -> Result<(), TaskError> {
        let mut sent = Vec::new();
        for (index, into) in self.into.iter_mut().enumerate() {
            let links = into.outbox();
            if !links.is_empty() {
                let count = links.len() as u64;
                sent.push((self.producer.append(into.place(), links)?, count, index));
            }
        }
        let into = &mut self.into;
        acknowledged(&mut *self.producer, &mut self.deliveries, |offset, ticket| {
            let is_of =
                |(first, count, _): &&(u64, u64, usize)| (*first..first + count).contains(&ticket);
            let sent = sent.iter().find(is_of);
            sent.map_or(Ok(()), |(_, _, index)| into[*index].acknowledge(offset))
        })
    }
}

/// Waits until everything is acknowledged; `take` hears of each record: its offset and its ticket.
fn acknowledged(
    producer: &mut dyn Producer,
    deliveries: &mut Vec<Delivery>,
    mut take: impl FnMut(Option<u64>, u64) -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    let started = Instant::now();
    while producer.in_flight() > 0 {
        deliveries.clear();
        let left = APPEND_WAIT.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(TaskError::Restart("the log did not acknowledge in time".to_owned()));
        }
        producer.poll(left, deliveries)?;
        for delivery in deliveries.drain(..) {
            let first = delivery.result?;
            for index in 0..delivery.count {
                let offset = first.map(|first| first + index);
                take(offset, delivery.first_ticket + index)?;
            }
        }
    }
    Ok(())
}

/// Appends records of one partition and waits for them. Returns the offset of the last one.
///
/// # Errors
/// When the log does not take them.
pub fn append(
    producer: &mut dyn Producer,
    place: &TopicPartition,
    records: Vec<Outgoing>,
) -> Result<Option<u64>, TaskError> {
    producer.append(place, records)?;
    let (mut last, mut deliveries) = (None, Vec::new());
    acknowledged(producer, &mut deliveries, |offset, _| {
        last = offset;
        Ok(())
    })?;
    Ok(last)
}

/// Since when there are facts that were carried into a topic, in milliseconds since 1970; `None` if it
/// began by itself.
///
/// # Errors
/// When the log cannot be read.
pub fn carried_at(log: &dyn Log, facts: &Arc<str>) -> Result<Option<u64>, TaskError> {
    let place = TopicPartition::new(facts.clone(), 0);
    let marks = log.watermarks(&place)?;
    if marks.low > 0 || marks.high == 0 {
        return Ok(None);
    }
    let Some(first) = read_one(log, &place, 0, APPEND_WAIT)? else {
        return Err(TaskError::Restart(format!("{place} gives nothing")));
    };
    let mut chain = ChainReader::default();
    let is_genesis = chain.accept(&first) == Linked::Genesis;
    let carries = is_genesis && chain.cursor().is_some_and(|cursor| cursor.is_carrying());
    Ok(carries.then(|| u64::try_from(first.timestamp_ms).unwrap_or(0)))
}

/// Whether the new topics fit together. Returns how many partitions they have.
fn check_topics(source: &Source, target: &Target) -> Result<u32, TaskError> {
    let facts = source.log.describe(&target.facts)?.spec;
    let commands = source.log.describe(&target.commands)?.spec;
    if facts.partitions != commands.partitions || commands.timestamps != TimestampKind::LogAppend {
        return Err(TaskError::Stop(format!(
            "{} and {} are not made as the catalogue says: `cityevents topics check` with their \
             log.prefix tells what mends it",
            facts.name, commands.name
        )));
    }
    Ok(facts.partitions)
}
