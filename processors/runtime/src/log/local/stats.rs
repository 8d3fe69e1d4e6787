//! What the log has done since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the log has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalStats {
    /// Batches written: what waited at one moment goes into one.
    pub batches_total: u64,
    /// Records appended.
    pub records_total: u64,
    /// How often the disk was made to write.
    pub syncs_total: u64,
    /// Time spent waiting for it.
    pub sync_time_total: Duration,
    /// The longest of these waits.
    pub sync_time_max: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    batches: AtomicU64,
    records: AtomicU64,
    syncs: AtomicU64,
    sync_ns: AtomicU64,
    sync_ns_max: AtomicU64,
}

impl Counters {
    pub(super) fn count_batch(&self, records: u64) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn count_sync(&self, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.sync_ns_max.fetch_max(took_ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> LocalStats {
        LocalStats {
            batches_total: self.batches.load(Ordering::Relaxed),
            records_total: self.records.load(Ordering::Relaxed),
            syncs_total: self.syncs.load(Ordering::Relaxed),
            sync_time_total: Duration::from_nanos(self.sync_ns.load(Ordering::Relaxed)),
            sync_time_max: Duration::from_nanos(self.sync_ns_max.load(Ordering::Relaxed)),
        }
    }
}
