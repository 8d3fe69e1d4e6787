//! Follows one partition of a topic whose records stand alone, and writes what they say into the
//! tables: what rows of trends and profiles have in common.
//!
//! Progress is a row as well, written behind all rows up to it, so a crash at any point writes some
//! rows twice and misses none.
//!
//! Where the facts were carried from other topics, rows and progress of those may be in the same tables,
//! with greater offsets than those that come now. What is written is younger all the same, and progress of
//! the others is none.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::host::{Lagging, MakeTask, Task, TaskError};
use cityevents_runtime::lag::Backlog;
use cityevents_runtime::log::{Committed, Isolation, PollLimit, Reader, Record, TopicPartition};
use cityevents_runtime::standby::Source;
use cityevents_views::{Mutation, ProgressRow, Views, WriteTimestamp};
use futures::executor::block_on;

use crate::from_views;
use crate::replay::carry;

/// Records taken at once.
const BATCH: PollLimit = PollLimit { records: 2_048, bytes: 2 << 20 };

/// What records become.
pub trait RecordSink: Send {
    /// The rows of these records, which are in order. Whatever else they need has lasted when this
    /// returns.
    ///
    /// # Errors
    /// When they cannot be worked out.
    fn rows(
        &mut self,
        partition: &TopicPartition,
        records: &[Record],
    ) -> Result<Vec<Mutation>, TaskError>;
}

/// What a consumer is made of.
#[derive(Clone)]
pub struct Options {
    /// Names the consumer in groups, progress rows and logs.
    pub name: &'static str,
    /// The topic, by full name. Its writers may be fenced: only what counts is read.
    pub topic: Arc<str>,
    /// Where the rows go.
    pub views: Views,
}

/// Makes consumers for a host, each with a sink of its own.
pub fn make_task<S: RecordSink + 'static>(
    source: Source,
    options: Options,
    make: impl Fn(u32) -> Result<S, TaskError> + Send + Sync + 'static,
) -> Arc<MakeTask> {
    Arc::new(move |partition, _| {
        let sink = make(partition)?;
        let consumer = RecordConsumer::start(&source, &options, partition, sink)?;
        Ok(Box::new(consumer) as Box<dyn Task>)
    })
}

/// One partition on its way into the tables.
pub struct RecordConsumer<S> {
    source: Source,
    options: Options,
    place: TopicPartition,
    reader: Box<dyn Reader>,
    sink: S,
    /// Later than all offsets of the topics that the facts were carried from; 0 if they were not.
    younger_by: u64,
    done: u64,
    backlog: Backlog,
    records: Vec<Record>,
}

impl<S: RecordSink> RecordConsumer<S> {
    /// Goes on behind the rows that are written.
    ///
    /// # Errors
    /// When log or tables cannot be read.
    pub fn start(
        source: &Source,
        options: &Options,
        partition: u32,
        sink: S,
    ) -> Result<Self, TaskError> {
        let place = TopicPartition::new(options.topic.clone(), partition);
        let progress = options.views.progress.progress(options.name.to_owned(), partition);
        let younger_by = carry::carried_at(&*source.log, &source.facts)?.unwrap_or(0);
        let written = block_on(progress).map_err(from_views)?;
        let written = written.filter(|row| row.cursor == cursor_of(younger_by));
        let written = written.map(|row| row.next_offset);
        let marks = source.log.watermarks(&place)?;
        if let Some(written) = written.filter(|written| *written > marks.high) {
            return Err(TaskError::Stop(format!(
                "the rows of {place} are written up to offset {written}, and it ends at {}: the \
                 topic lost records or was made anew; remove the tables and they are rebuilt",
                marks.high
            )));
        }
        let done = written.unwrap_or(0).max(marks.low);
        let reader = source.log.reader(&place, done, Isolation::Committed)?;
        Ok(Self {
            source: source.clone(),
            options: options.clone(),
            reader,
            sink,
            younger_by,
            done,
            backlog: Backlog::new(place.topic.clone()),
            place,
            records: Vec::new(),
        })
    }
}

/// Tells progress in these topics from that in those that the facts were carried from.
fn cursor_of(younger_by: u64) -> String {
    if younger_by == 0 { String::new() } else { format!("carried at {younger_by}") }
}

impl<S: RecordSink> Task for RecordConsumer<S> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.records.clear();
        let polled = self.reader.poll(BATCH, timeout, &mut self.records)?;
        let first_at_ms = self.records.first().map(|record| record.timestamp_ms);
        self.backlog.taken(first_at_ms, polled.end_of_partition);
        let next = self.reader.position();
        if self.records.is_empty() {
            // Marks of the log itself are passed without a word, and written with the next rows.
            self.done = next;
            return Ok(());
        }
        let mut rows = self.sink.rows(&self.place, &self.records)?;
        let progress = ProgressRow {
            projection: self.options.name.to_owned(),
            partition: self.place.partition,
            next_offset: next,
            cursor: cursor_of(self.younger_by),
        };
        rows.push(Mutation::new(progress, WriteTimestamp(next)));
        for row in &mut rows {
            row.timestamp.0 += self.younger_by;
        }
        block_on(self.options.views.write.write(rows)).map_err(from_views)?;
        self.done = next;
        Ok(())
    }

    fn drain(&mut self, _deadline: Duration) -> Result<(), TaskError> {
        // Every step ends with its rows written.
        Ok(())
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        let committed = Committed { offset: self.done, metadata: String::new() };
        Some((self.place.clone(), committed))
    }

    fn lag_records(&self) -> Option<u64> {
        let marks = self.source.log.watermarks(&self.place).ok()?;
        Some(marks.high.saturating_sub(self.reader.position()))
    }

    fn lagging(&self) -> Option<Lagging> {
        self.backlog.lagging(self.source.clock.now_ms())
    }
}
