//! One round of the writer: gives offsets and times, and gathers everything into one atomic batch.
//!
//! All entries of a batch count as written at the same moment, so no key may stand in it twice:
//! whatever may come twice in a round (rows of one key, progress of one partition) is gathered
//! first and goes into the batch at the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, UserValue};

use super::engine::Shared;
use super::format::{Body, Sealed};
use super::journal::{STAMP_KEY, Stamp};
use super::keys::{self, Bounds};
use super::producer::Account;
use super::queue::{Answer, Encoded, Payload, Row, Tombstone};
use super::rows;
use super::tail::Stored;
use super::topic::{Next, Topic};
use crate::log::{Committed, LogError, TimestampKind, TopicPartition};

/// Appends of several producers to one partition share a stored value up to about this size.
const VALUE_BYTES: usize = 512 * 1024;

/// Who is to be told when the round is through.
pub(super) enum Done {
    Appended { account: Arc<Account>, first_ticket: u64, count: u64, bytes: usize, offset: u64 },
    Unit(Answer<()>),
    Epoch(Answer<u64>, u64),
}

pub(super) struct Round<'a> {
    shared: &'a Shared,
    now_ms: i64,
    batch: Option<OwnedWriteBatch>,
    places: BTreeMap<(u32, u32), Place>,
    /// By topic, partition and key.
    rows: HashMap<(u32, u32, Bytes), StagedRow>,
    buried: Vec<(Arc<Topic>, u32, Vec<Tombstone>)>,
    meta: BTreeMap<Vec<u8>, Vec<u8>>,
    done: Vec<Done>,
    done_durable: Vec<Done>,
    records: u64,
}

/// What the round adds to a partition.
struct Place {
    topic: Arc<Topic>,
    partition: u32,
    next: Next,
    values: Vec<Stored>,
    open: Vec<u8>,
    open_first: u64,
    open_next: u64,
    /// The new low watermark, if it changes.
    low: Option<u64>,
    bounds_change: bool,
}

struct StagedRow {
    topic: Arc<Topic>,
    /// Where the row lay before the round.
    before: Option<u64>,
    offset: u64,
    is_tombstone: bool,
    sealed: Sealed,
}

impl<'a> Round<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            now_ms: shared.options.clock.now_ms(),
            batch: Some(shared.store.batch()),
            places: BTreeMap::new(),
            rows: HashMap::new(),
            buried: Vec::new(),
            meta: BTreeMap::new(),
            done: Vec::new(),
            done_durable: Vec::new(),
            records: 0,
        }
    }

    /// Adds records and returns the offset of the first.
    pub(super) fn append(&mut self, records: Encoded) -> Result<u64, LogError> {
        let Encoded { topic, partition, count, payload, .. } = records;
        self.records += count;
        let place = Self::place(&mut self.places, &topic, partition)?;
        let first = place.next.offset;
        match payload {
            Payload::Values(bodies) => {
                for body in bodies {
                    let sealed = place.seal(body, self.now_ms);
                    if let Some(batch) = &mut self.batch {
                        place.add(sealed, batch);
                    }
                }
            }
            Payload::Rows(rows) => {
                for Row { key, is_tombstone, body } in rows {
                    let offset = place.next.offset;
                    let sealed = place.seal(body, self.now_ms);
                    let before = match self.rows.get(&(topic.ordinal, partition, key.clone())) {
                        Some(staged) => staged.before,
                        None => rows::newest(&topic, partition, &key)?,
                    };
                    let topic = topic.clone();
                    let row = StagedRow { topic, before, offset, is_tombstone, sealed };
                    self.rows.insert((place.topic.ordinal, partition, key), row);
                }
            }
        }
        Ok(first)
    }

    /// Sets progress of a group.
    pub(super) fn progress(&mut self, group: &str, progress: &[(TopicPartition, Committed)]) {
        for (place, committed) in progress {
            let value = keys::encode_progress(committed);
            self.meta.insert(keys::progress_key(group, place), value);
        }
    }

    /// Sets the epoch of a writer identity.
    pub(super) fn epoch(&mut self, identity: &str, epoch: u64) {
        self.meta.insert(keys::epoch_key(identity), epoch.to_be_bytes().to_vec());
    }

    /// Removes stored values below `low`.
    pub(super) fn trim(
        &mut self,
        topic: Arc<Topic>,
        partition: u32,
        values: Vec<u64>,
        low: u64,
    ) -> Result<(), LogError> {
        let place = Self::place(&mut self.places, &topic, partition)?;
        place.low = place.low.max(Some(low));
        place.bounds_change = true;
        if let Some(batch) = &mut self.batch {
            for first in values {
                batch.remove(&topic.records, keys::record_key(partition, first));
            }
        }
        Ok(())
    }

    /// Removes tombstones in whose place nothing newer came.
    pub(super) fn bury(
        &mut self,
        topic: Arc<Topic>,
        partition: u32,
        tombstones: Vec<Tombstone>,
    ) -> Result<(), LogError> {
        Self::place(&mut self.places, &topic, partition)?.bounds_change = true;
        self.buried.push((topic, partition, tombstones));
        Ok(())
    }

    /// Notes who is to be told.
    pub(super) fn done(&mut self, durable: bool, done: Done) {
        if durable { self.done_durable.push(done) } else { self.done.push(done) }
    }

    /// Sets the description of a topic.
    pub(super) fn describe(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.meta.insert(key, value);
    }

    /// Puts what was gathered into the batch.
    pub(super) fn finish(&mut self, stamp: Stamp) -> Result<(), LogError> {
        self.meta.insert(STAMP_KEY.to_vec(), stamp.encode().to_vec());
        let Some(batch) = &mut self.batch else {
            return Ok(());
        };
        for (topic, partition, tombstones) in &self.buried {
            let Some(order) = &topic.order else {
                continue;
            };
            for Tombstone { offset, key } in tombstones {
                let staged = (topic.ordinal, *partition, key.clone());
                batch.remove(order, keys::tombstone_key(*partition, *offset));
                let is_newest = rows::newest(topic, *partition, key)? == Some(*offset);
                if is_newest && !self.rows.contains_key(&staged) {
                    batch.remove(order, keys::order_key(*partition, *offset));
                    batch.remove(&topic.records, keys::row_key(*partition, key));
                }
            }
        }
        for ((_, partition, key), row) in self.rows.drain() {
            let Some(order) = &row.topic.order else {
                continue;
            };
            if let Some(before) = row.before {
                batch.remove(order, keys::order_key(partition, before));
            }
            if row.is_tombstone {
                let value = [&row.sealed.newest_ms.to_be_bytes()[..], &key].concat();
                batch.insert(order, keys::tombstone_key(partition, row.offset), value);
            }
            batch.insert(order, keys::order_key(partition, row.offset), &key[..]);
            batch.insert(&row.topic.records, keys::row_key(partition, &key), row.sealed.bytes);
        }
        for place in self.places.values_mut() {
            place.close_value(batch);
            if place.bounds_change {
                let known = place.topic.partition(place.partition)?.watermarks().low;
                let bounds = Bounds {
                    low: place.low.unwrap_or(known).max(known),
                    next_offset_min: place.next.offset,
                    newest_ms: place.next.newest_ms,
                };
                let key = keys::bounds_key(place.topic.ordinal, place.partition);
                self.meta.insert(key, bounds.encode());
            }
        }
        for (key, value) in std::mem::take(&mut self.meta) {
            batch.insert(self.shared.store.meta(), key, value);
        }
        Ok(())
    }

    /// Whether there is nothing to write and nobody to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty() && self.done_durable.is_empty()
    }

    /// Whether somebody waits for the fsync.
    pub(super) fn is_durable(&self) -> bool {
        !self.done_durable.is_empty()
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Writes the batch, so that it survives the end of the process but not of the machine.
    pub(super) fn write(&mut self) -> Result<(), fjall::Error> {
        // Before the values go, so that a reader who misses them knows why.
        for place in self.places.values() {
            if let (Some(low), Ok(partition)) = (place.low, place.topic.partition(place.partition))
            {
                partition.trim(low);
            }
        }
        self.batch.take().map_or(Ok(()), OwnedWriteBatch::commit)
    }

    /// Shows the records of durable topics, or of the others, to readers and tells who waits.
    pub(super) fn publish(&mut self, durable: bool) {
        for place in self.places.values_mut() {
            let spec = &place.topic.description.spec;
            let Ok(partition) = place.topic.partition(place.partition) else {
                continue;
            };
            if spec.durable == durable {
                *partition.next.lock() = place.next;
                partition.publish(place.next.offset, place.values.drain(..));
            }
        }
        let done = if durable { &mut self.done_durable } else { &mut self.done };
        for done in done.drain(..) {
            match done {
                Done::Appended { account, first_ticket, count, bytes, offset } => {
                    account.succeed(first_ticket, count, bytes, offset);
                }
                Done::Unit(answer) => answer.give(Ok(())),
                Done::Epoch(answer, epoch) => answer.give(Ok(epoch)),
            }
        }
    }

    /// Tells everybody who still waits that it failed.
    pub(super) fn fail(self, error: &LogError) {
        for done in self.done.into_iter().chain(self.done_durable) {
            match done {
                Done::Appended { account, first_ticket, count, bytes, .. } => {
                    account.fail(first_ticket, count, bytes, error.clone());
                }
                Done::Unit(answer) => answer.give(Err(error.clone())),
                Done::Epoch(answer, _) => answer.give(Err(error.clone())),
            }
        }
    }

    fn place<'p>(
        places: &'p mut BTreeMap<(u32, u32), Place>,
        topic: &Arc<Topic>,
        partition: u32,
    ) -> Result<&'p mut Place, LogError> {
        let next = *topic.partition(partition)?.next.lock();
        Ok(places.entry((topic.ordinal, partition)).or_insert_with(|| Place {
            topic: topic.clone(),
            partition,
            next,
            values: Vec::new(),
            open: Vec::new(),
            open_first: 0,
            open_next: 0,
            low: None,
            bounds_change: false,
        }))
    }
}

impl Place {
    /// Gives a body its offset and time.
    fn seal(&mut self, body: Body, now_ms: i64) -> Sealed {
        let log_ms = match self.topic.description.spec.timestamps {
            TimestampKind::LogAppend => now_ms.max(self.next.newest_ms),
            TimestampKind::Create => now_ms,
        };
        let sealed = body.seal(self.next.offset, log_ms);
        self.next.offset = sealed.next_offset;
        self.next.newest_ms = self.next.newest_ms.max(sealed.newest_ms);
        sealed
    }

    /// Adds a frame to the open value, or begins another.
    fn add(&mut self, sealed: Sealed, batch: &mut OwnedWriteBatch) {
        if self.open.len() + sealed.bytes.len() > VALUE_BYTES {
            self.close_value(batch);
        }
        if self.open.is_empty() {
            self.open_first = sealed.first_offset;
            self.open = sealed.bytes;
        } else {
            self.open.extend_from_slice(&sealed.bytes);
        }
        self.open_next = sealed.next_offset;
    }

    /// Puts the open value into the batch.
    fn close_value(&mut self, batch: &mut OwnedWriteBatch) {
        if self.open.is_empty() {
            return;
        }
        let value = UserValue::from(std::mem::take(&mut self.open));
        let (first_offset, next_offset) = (self.open_first, self.open_next);
        let key = keys::record_key(self.partition, first_offset);
        batch.insert(&self.topic.records, key, value.clone());
        self.values.push(Stored { first_offset, next_offset, value: Bytes::from_owner(value) });
    }
}
