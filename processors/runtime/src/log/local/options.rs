//! How a local log is to be.

use std::sync::Arc;
use std::time::Duration;

use super::guard::{FileSystem, SpaceProbe};
use crate::log::clock::{Clock, SystemClock};

/// Settings of a [`super::LocalLog`]. The default is right for one machine.
#[derive(Clone)]
pub struct LocalOptions {
    /// Stamps records and tells their age.
    pub clock: Arc<dyn Clock>,
    /// Tells how much room the disk has.
    pub space: Arc<dyn SpaceProbe>,
    /// Room on the disk that is left alone: below it appends and commits are refused, so that the
    /// machine goes on working and the log can still tidy up.
    pub disk_reserve_bytes: u64,
    /// Largest record: key, value and headers.
    pub record_bytes_max: usize,
    /// How often old records are looked for.
    pub retention_check: Duration,
    /// How long a tombstone of a compacted topic stays after it was written.
    pub tombstone_retention: Duration,
    /// Recent records of one topic kept in memory for its readers.
    pub tail_bytes_max: usize,
    /// Blocks of all topics kept in memory.
    pub block_cache_bytes: u64,
    /// What one producer may have in flight before its appends block.
    pub in_flight_bytes_max: usize,
    /// How long a member has for letting go of a revoked partition.
    pub release_deadline: Duration,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            space: Arc::new(FileSystem),
            disk_reserve_bytes: 512 * 1024 * 1024,
            record_bytes_max: 1024 * 1024,
            retention_check: Duration::from_secs(60),
            tombstone_retention: Duration::from_secs(24 * 60 * 60),
            tail_bytes_max: 16 * 1024 * 1024,
            block_cache_bytes: 64 * 1024 * 1024,
            in_flight_bytes_max: 16 * 1024 * 1024,
            release_deadline: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for LocalOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LocalOptions")
            .field("disk_reserve_bytes", &self.disk_reserve_bytes)
            .field("record_bytes_max", &self.record_bytes_max)
            .field("retention_check", &self.retention_check)
            .finish_non_exhaustive()
    }
}
