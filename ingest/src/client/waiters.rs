//! Who waits for which reply. An attempt id leads to its batch without hashing: it is a place in a
//! table, and a generation that tells an old answer from a new one.
//!
//! Bounded by admission: a batch is here only while somebody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cityevents_runtime::replies::Attempt;
use parking_lot::Mutex;

use super::batch::Batch;

/// Tables, so that threads seldom meet. A power of two.
const SHARDS: u32 = 8;

/// All waiting batches of one instance.
pub(crate) struct Waiters {
    /// Drawn at start: other instances that share the partition have another one.
    nonce: [u8; 4],
    next_shard: AtomicU32,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    batch: Option<Arc<Batch>>,
}

impl Waiters {
    pub(crate) fn new(nonce: [u8; 4]) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { nonce, next_shard: AtomicU32::new(0), shards })
    }

    /// Adds a batch until the returned place is dropped.
    pub(crate) fn add(self: &Arc<Self>, batch: &Arc<Batch>) -> Place {
        let shard = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut table = self.shards[shard as usize].lock();
        let index = table.free.pop().unwrap_or_else(|| {
            table.slots.push(Slot::default());
            (table.slots.len() - 1) as u32
        });
        let slot = &mut table.slots[index as usize];
        slot.batch = Some(Arc::clone(batch));
        let generation = slot.generation;
        drop(table);
        Place { waiters: Arc::clone(self), shard, index, generation }
    }

    /// The batch and the line that an attempt id stands for, if somebody still waits.
    pub(crate) fn find(&self, attempt: &Attempt) -> Option<(Arc<Batch>, u32)> {
        let [nonce, slot, generation, line] = split(attempt);
        if nonce != u32::from_be_bytes(self.nonce) {
            return None;
        }
        let table = self.shards[(slot % SHARDS) as usize].lock();
        let found = table.slots.get((slot / SHARDS) as usize)?;
        if found.generation != generation {
            return None;
        }
        found.batch.as_ref().map(|batch| (Arc::clone(batch), line))
    }

    /// Whether an attempt id was drawn by this instance.
    pub(crate) fn is_ours(&self, attempt: &Attempt) -> bool {
        attempt.starts_with(&self.nonce)
    }
}

fn split(attempt: &Attempt) -> [u32; 4] {
    let word = |at: usize| {
        u32::from_be_bytes([attempt[at], attempt[at + 1], attempt[at + 2], attempt[at + 3]])
    };
    [word(0), word(4), word(8), word(12)]
}

/// A batch's place among those that wait.
pub(crate) struct Place {
    waiters: Arc<Waiters>,
    shard: u32,
    index: u32,
    generation: u32,
}

impl Place {
    /// The attempt id of a line.
    pub(crate) fn attempt(&self, line: u32) -> Attempt {
        let mut attempt = [0; 16];
        attempt[..4].copy_from_slice(&self.waiters.nonce);
        attempt[4..8].copy_from_slice(&(self.index * SHARDS + self.shard).to_be_bytes());
        attempt[8..12].copy_from_slice(&self.generation.to_be_bytes());
        attempt[12..].copy_from_slice(&line.to_be_bytes());
        attempt
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.waiters.shards[self.shard as usize].lock();
        if let Some(slot) = table.slots.get_mut(self.index as usize) {
            slot.batch = None;
            slot.generation = slot.generation.wrapping_add(1);
            table.free.push(self.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_finds_its_batch_and_line_until_nobody_waits() {
        let waiters = Waiters::new([1, 2, 3, 4]);
        let batches: Vec<_> = (0..100).map(|_| Arc::new(Batch::new(1))).collect();
        let places: Vec<_> = batches.iter().map(|batch| waiters.add(batch)).collect();
        for (batch, place) in batches.iter().zip(&places) {
            let (found, line) = waiters.find(&place.attempt(7)).unwrap();
            assert!(Arc::ptr_eq(&found, batch));
            assert_eq!(line, 7);
        }
        let old: Vec<_> = places.iter().map(|place| place.attempt(0)).collect();
        drop(places);
        let again: Vec<_> = batches.iter().map(|batch| waiters.add(batch)).collect();
        assert!(old.iter().all(|attempt| waiters.find(attempt).is_none()));
        assert!(again.iter().all(|place| waiters.find(&place.attempt(0)).is_some()));
        let slots: usize = waiters.shards.iter().map(|shard| shard.lock().slots.len()).sum();
        assert!(slots <= 100 + SHARDS as usize, "places are used again, and there are {slots}");
    }

    #[test]
    fn an_answer_to_another_instance_is_not_ours() {
        let waiters = Waiters::new([1; 4]);
        let others = Waiters::new([2; 4]);
        let batch = Arc::new(Batch::new(1));
        let (_place, other) = (waiters.add(&batch), others.add(&batch));
        assert!(waiters.find(&other.attempt(0)).is_none());
        assert!(!waiters.is_ours(&other.attempt(0)));
        assert!(waiters.find(&[0xff; 16]).is_none());
    }
}
