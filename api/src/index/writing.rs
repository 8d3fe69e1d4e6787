//! The thread that keeps the index: it opens it, takes in what the readers bring, and commits.
//!
//! The table changes at once, so lists do. Documents are committed a moment later, many together,
//! because a commit costs some milliseconds however small it is. What is built from nothing has its
//! documents written when all rows are there, in the order of starts. After a failure everything is
//! opened again from what was committed last; what was there goes on being the answer meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use cityevents_domain::event::EventStatus;
use cityevents_runtime::log::TopicPartition;
use crossbeam_channel::{RecvTimeoutError, bounded};
use parking_lot::RwLock;
use tantivy::{IndexReader, IndexWriter, TantivyError};

use super::documents::Fields;
use super::folder::{Opened, Opening, Progress};
use super::reading::{Batch, Change, Reading};
use super::segments::Segments;
use super::{Live, Shared};
use crate::following::{Failure, Shown, State, Stop, Supervision, Threads};

/// How long a document waits to be found by text.
const COMMIT_AFTER: Duration = Duration::from_millis(150);
/// The same while there is much to read: commits are rare, and documents many.
const COMMIT_AFTER_CATCHING_UP: Duration = Duration::from_secs(10);
/// Without changes, a commit now and then says that nothing was missed.
const COMMIT_IDLE: Duration = Duration::from_secs(60 * 60);
/// How long it takes at most to notice that it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Batches that wait to be taken in.
const BATCHES_WAITING: usize = 4;
/// Changes of the table under one lock.
const CHANGES_LOCKED: usize = 64;
/// Documents that are written before it is looked whether to stop.
const WRITTEN_MEANWHILE: usize = 1_024;

/// Keeps the index until told to stop.
pub(super) fn run(shared: &Shared, stop: &Stop) {
    let restarts = &shared.options.metrics.restarts;
    let supervision = Supervision { what: "the index", shown: &shared.shown, restarts, stop };
    supervision.run(|| keep(shared, stop), || shared.shown.is(&State::Following));
}

fn keep(shared: &Shared, stop: &Stop) -> Result<(), Failure> {
    let started = Instant::now();
    let options = &shared.options;
    let description = options.log.describe(&options.topic)?;
    let partitions = (0..description.spec.partitions)
        .map(|number| TopicPartition::new(Arc::clone(&options.topic), number));
    let partitions: Vec<_> = partitions.collect();
    let marks: Result<Vec<_>, _> =
        partitions.iter().map(|partition| options.log.watermarks(partition)).collect();
    let marks = marks?;
    let opening = Opening {
        place: &options.place,
        memory_bytes: options.memory_bytes,
        topic: &description.id,
        marks: &marks,
        now_ms: options.clock.now_ms(),
    };
    let opened = opening.open()?;
    if opened.rebuilt.is_some() {
        options.metrics.rebuilds.inc();
    }
    tracing::info!(
        duration_ms = started.elapsed().as_millis(),
        "the index has {} events after it was opened",
        opened.table.len()
    );
    // Dropped in this order at the end: who waits to hand something on sees that nobody takes it.
    let mut threads = Threads::default();
    let (sender, batches) = bounded(BATCHES_WAITING);
    let mut readers = Vec::new();
    for ((partition, next), marks) in partitions.into_iter().zip(&opened.progress.next).zip(&marks)
    {
        let reader = Arc::new(Shown::default());
        let reading = Reading {
            log: Arc::clone(&options.log),
            partition,
            next: AtomicU64::new(*next),
            end: marks.high,
            batches: sender.clone(),
            metrics: options.metrics.clone(),
            shown: Arc::clone(&reader),
        };
        let name = format!("index-{}", reading.partition.partition);
        threads.start(name, move |stop| reading.run(stop))?;
        readers.push(reader);
    }
    drop(sender);
    *shared.readers.write() = readers;
    let mut keeping = Keeping::new(shared, opened);
    let mut told = Instant::now();
    while !stop.comes_within(Duration::ZERO) {
        match batches.recv_timeout(keeping.patience()) {
            Ok(batch) => keeping.take(batch?, stop)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Stop("all partitions have stopped".to_owned()));
            }
        }
        keeping.commit_when_due()?;
        if !keeping.has_caught_up() && told.elapsed() >= COMMIT_AFTER_CATCHING_UP {
            told = Instant::now();
            tracing::info!("the index has {} events so far", keeping.live.table.read().len());
        }
    }
    keeping.finish()
}

/// The index while it is kept.
struct Keeping<'a> {
    shared: &'a Shared,
    live: Arc<Live>,
    writer: IndexWriter,
    reader: IndexReader,
    fields: Fields,
    progress: Progress,
    /// Nothing is in the text index, and nothing is written to it before everything was read. In
    /// the order of starts, documents need not be sorted again, and segments that lie one behind
    /// the other are merged by appending.
    is_collecting: bool,
    caught_up: Vec<bool>,
    /// Since when there is something to commit.
    dirty_since: Option<Instant>,
    committed: Instant,
    /// When what waits to be found was changed, in milliseconds since 1970.
    waiting_ms: Vec<i64>,
}

impl<'a> Keeping<'a> {
    fn new(shared: &'a Shared, opened: Opened) -> Self {
        let Opened { writer, reader, fields, table, segments, progress, rebuilt: _ } = opened;
        let segments = RwLock::new(Some(Arc::new(segments)));
        let live = Arc::new(Live { table: RwLock::new(table), segments });
        *shared.live.write() = Arc::clone(&live);
        shared.listed.send_replace(progress.next.clone());
        shared.searchable.send_replace(progress.next.clone());
        shared.shown.set(State::CatchingUp);
        let is_collecting = live.table.read().len() == 0;
        let caught_up = vec![false; progress.next.len()];
        let committed = Instant::now();
        let (dirty_since, waiting_ms) = (None, Vec::new());
        let keeping = Self {
            shared,
            live,
            writer,
            reader,
            fields,
            progress,
            is_collecting,
            caught_up,
            dirty_since,
            committed,
            waiting_ms,
        };
        keeping.show_figures();
        keeping
    }

    fn has_caught_up(&self) -> bool {
        self.caught_up.iter().all(|caught_up| *caught_up)
    }

    fn commit_after(&self) -> Duration {
        if self.has_caught_up() { COMMIT_AFTER } else { COMMIT_AFTER_CATCHING_UP }
    }

    /// How long to wait for the next batch.
    fn patience(&self) -> Duration {
        // Nothing is committed while rows are collected, however long that takes.
        let dirty_since = self.dirty_since.filter(|_| !self.is_collecting);
        let due = dirty_since.map(|since| self.commit_after().saturating_sub(since.elapsed()));
        due.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
    }

    fn take(&mut self, batch: Batch, stop: &Stop) -> Result<(), Failure> {
        let Batch { partition, changes, next, has_caught_up } = batch;
        self.shared.options.metrics.records.inc_by(changes.len() as u64);
        if !changes.is_empty() {
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        let is_news = self.has_caught_up();
        let now_ms = self.shared.options.clock.now_ms();
        let live = Arc::clone(&self.live);
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut documents = Vec::with_capacity(CHANGES_LOCKED);
            let mut table = live.table.write();
            for change in changes.by_ref().take(CHANGES_LOCKED) {
                let (id, at_ms) = match &change {
                    Change::Put { event, at_ms } => (event.id, Some(*at_ms)),
                    Change::Gone(id) => (*id, None),
                };
                let (was_there, document) = match change {
                    Change::Put { event, .. } if is_listed(event.status) => {
                        let (tag, was_there) = table.put(event);
                        (was_there, table.event(&id).map(|event| (tag, Arc::clone(event))))
                    }
                    Change::Put { .. } | Change::Gone(_) => (table.remove(&id), None),
                };
                documents.push((id, was_there, document));
                if let Some(at_ms) = at_ms.filter(|_| is_news) {
                    self.shared.options.metrics.delayed("lists", at_ms, now_ms);
                    self.waiting_ms.push(at_ms);
                }
            }
            drop(table);
            if self.is_collecting {
                continue;
            }
            for (id, was_there, document) in documents {
                if was_there {
                    self.writer.delete_term(self.fields.id_term(&id));
                }
                if let Some((tag, event)) = document {
                    let document = self.fields.document(&event, tag);
                    self.writer.add_document(document).map_err(failed)?;
                }
            }
        }
        let place = partition as usize;
        if let Some(known) = self.progress.next.get_mut(place) {
            *known = next;
        }
        self.shared.listed.send_modify(|listed| {
            if let Some(listed) = listed.get_mut(place) {
                *listed = next;
            }
        });
        if let Some(caught_up) = self.caught_up.get_mut(place)
            && has_caught_up
            && !*caught_up
        {
            *caught_up = true;
            if self.has_caught_up() {
                if self.is_collecting && !self.write_all(stop)? {
                    return Ok(());
                }
                self.commit()?;
                self.shared.shown.set(State::Following);
            }
        }
        Ok(())
    }

    /// Writes the documents of all rows. Returns whether it did: it may be told to stop.
    fn write_all(&mut self, stop: &Stop) -> Result<bool, Failure> {
        let rows = self.live.table.read().in_order();
        for (number, (tag, event)) in rows.into_iter().enumerate() {
            if number.is_multiple_of(WRITTEN_MEANWHILE) && stop.comes_within(Duration::ZERO) {
                return Ok(false);
            }
            let document = self.fields.document(&event, tag);
            self.writer.add_document(document).map_err(failed)?;
        }
        self.is_collecting = false;
        Ok(true)
    }

    /// Commits, unless documents are missing of what was read.
    fn finish(&mut self) -> Result<(), Failure> {
        if self.is_collecting { Ok(()) } else { self.commit() }
    }

    fn commit_when_due(&mut self) -> Result<(), Failure> {
        let is_due = match self.dirty_since {
            Some(since) => since.elapsed() >= self.commit_after(),
            None => self.committed.elapsed() >= COMMIT_IDLE,
        };
        if is_due { self.finish() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let options = &self.shared.options;
        self.progress.changes = self.live.table.read().changes();
        self.progress.at_ms = options.clock.now_ms();
        let payload = serde_json::to_string(&self.progress)
            .map_err(|error| Failure::Stop(error.to_string()))?;
        let mut prepared = self.writer.prepare_commit().map_err(failed)?;
        prepared.set_payload(&payload);
        prepared.commit().map_err(failed)?;
        self.reader.reload().map_err(failed)?;
        let segments = Segments::of(self.reader.searcher(), self.fields).map_err(failed)?;
        *self.live.segments.write() = Some(Arc::new(segments));
        self.shared.searchable.send_replace(self.progress.next.clone());
        options.metrics.commits.inc();
        let now_ms = options.clock.now_ms();
        for at_ms in self.waiting_ms.drain(..) {
            options.metrics.delayed("search", at_ms, now_ms);
        }
        self.dirty_since = None;
        self.committed = Instant::now();
        self.show_figures();
        Ok(())
    }

    fn show_figures(&self) {
        let metrics = &self.shared.options.metrics;
        let events = self.live.table.read().len();
        metrics.events.set(i64::try_from(events).unwrap_or(i64::MAX));
        let segments = self.live.segments.read().as_ref().map_or(0, |segments| segments.len());
        metrics.segments.set(i64::try_from(segments).unwrap_or(i64::MAX));
    }
}

/// Whether lists show events of this state.
const fn is_listed(status: EventStatus) -> bool {
    matches!(status, EventStatus::Published | EventStatus::Ended)
}

fn failed(error: TantivyError) -> Failure {
    Failure::Again(format!("the text index cannot be written: {error}"))
}
