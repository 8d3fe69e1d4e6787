//! One partition of one topic on its way into tables beside the live ones.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::consumer::FactConsumer;
use cityevents_runtime::host::{Task as _, TaskError};
use cityevents_runtime::log::TopicPartition;
use cityevents_runtime::standby::Source;
use cityevents_views::Views;
use serde::{Deserialize, Serialize};

use super::bounded::{Bounded, Until};
use crate::projection::Projection;
use crate::records::{self, RecordConsumer};
use crate::trend_rows::{self, TrendRows};

/// Longest wait for records that are known to be there.
const READ_WAIT: Duration = Duration::from_secs(2);
/// Reads in a row that may bring nothing below a watermark.
const EMPTY_READS_MAX: u32 = 5;

/// How far a partition has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Come {
    /// The topic, by full name.
    pub topic: String,
    /// Which partition of it.
    pub partition: u32,
    /// Where this run began.
    pub began: u64,
    /// All rows of the records before this offset are written.
    pub offset: u64,
    /// The end of the partition when this run began.
    pub goal: u64,
    /// Whether nothing is left to do.
    pub is_done: bool,
}

/// A partition that is brought on a piece at a time.
pub(super) trait Part: Send {
    /// Reads and writes a batch; how many records it was.
    fn step(&mut self) -> Result<u64, TaskError>;

    /// How far it is.
    fn come(&self) -> Come;
}

/// Facts → rows, by the projection itself.
pub struct Facts {
    place: TopicPartition,
    consumer: FactConsumer<Bounded<Projection>>,
    began: u64,
    goal: u64,
    empty_reads: u32,
}

impl Facts {
    /// Goes on where the tables say that they are.
    ///
    /// # Errors
    /// When log or tables cannot be read, or do not belong together.
    pub fn open(
        source: &Source,
        views: &Views,
        partition: u32,
        until: Until,
    ) -> Result<Self, TaskError> {
        let place = TopicPartition::new(source.facts.clone(), partition);
        let marks = source.log.watermarks(&place)?;
        let sink = Projection::new(views.clone(), partition, Arc::new(|_, _| {}));
        let consumer =
            FactConsumer::start(source, partition, Bounded::new(sink, partition, until))?;
        let began = consumer.offset();
        if began < marks.low {
            return Err(TaskError::Stop(format!(
                "the facts of {place} before offset {} are gone, and the tables need them from \
                 offset {began} on; keep facts for ever: retention.ms=-1 on {}",
                marks.low, place.topic
            )));
        }
        if began > marks.high {
            return Err(TaskError::Stop(format!(
                "the tables have the facts of {place} up to offset {began}, and it ends at {}: they \
                 are of another log",
                marks.high
            )));
        }
        Ok(Self { place, consumer, began, goal: marks.high, empty_reads: 0 })
    }

    /// Reads and writes until nothing is left to do.
    ///
    /// # Errors
    /// When log or tables fail.
    pub fn finish(&mut self) -> Result<(), TaskError> {
        while !self.come().is_done {
            self.step()?;
        }
        Ok(())
    }
}

impl Part for Facts {
    fn step(&mut self) -> Result<u64, TaskError> {
        let (before, facts) = (self.consumer.offset(), self.consumer.sink().facts());
        self.consumer.step(READ_WAIT)?;
        self.empty_reads = if self.consumer.offset() > before { 0 } else { self.empty_reads + 1 };
        if self.empty_reads >= EMPTY_READS_MAX {
            return Err(TaskError::Restart(format!(
                "{} gives nothing below offset {}, stopped at {before}",
                self.place, self.goal
            )));
        }
        Ok(self.consumer.sink().facts() - facts)
    }

    fn come(&self) -> Come {
        let sink = self.consumer.sink();
        Come {
            topic: self.place.topic.to_string(),
            partition: self.place.partition,
            began: self.began,
            offset: sink.at().map_or(0, |at| at.offset),
            goal: self.goal,
            is_done: sink.has_ended() || self.consumer.offset() >= self.goal,
        }
    }
}

/// What is talked about → rows.
pub(super) struct Trends {
    place: TopicPartition,
    consumer: RecordConsumer<TrendRows>,
    began: u64,
    goal: u64,
    at_end: bool,
}

impl Trends {
    pub(super) fn open(
        source: &Source,
        views: &Views,
        topic: &Arc<str>,
        partition: u32,
    ) -> Result<Self, TaskError> {
        let place = TopicPartition::new(topic.clone(), partition);
        let goal = source.log.watermarks(&place)?.high;
        let options =
            records::Options { name: trend_rows::NAME, topic: topic.clone(), views: views.clone() };
        let consumer = RecordConsumer::start(source, &options, partition, TrendRows)?;
        let began = offset_of(&consumer);
        Ok(Self { place, consumer, began, goal, at_end: began >= goal })
    }
}

impl Part for Trends {
    fn step(&mut self) -> Result<u64, TaskError> {
        let before = offset_of(&self.consumer);
        self.consumer.step(READ_WAIT)?;
        let after = offset_of(&self.consumer);
        // The last offsets may be marks of the log itself, which nobody is given.
        self.at_end = after >= self.goal || after == before;
        Ok(after - before)
    }

    fn come(&self) -> Come {
        Come {
            topic: self.place.topic.to_string(),
            partition: self.place.partition,
            began: self.began,
            offset: offset_of(&self.consumer),
            goal: self.goal,
            is_done: self.at_end,
        }
    }
}

fn offset_of(consumer: &RecordConsumer<TrendRows>) -> u64 {
    consumer.progress().map_or(0, |(_, committed)| committed.offset)
}
