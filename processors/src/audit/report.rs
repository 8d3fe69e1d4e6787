//! What an audit counts.

use std::collections::BTreeMap;

use serde::Serialize;

/// What was read and counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Partitions read.
    pub partitions: u32,
    /// Links that count.
    pub links: u64,
    /// Records that do not count.
    pub unlinked: u64,
    /// Facts.
    pub facts: u64,
    /// Commands with a verdict.
    pub commands: u64,
    /// Those among them that are not kept any more: that the verdict is for the right one cannot
    /// be seen.
    pub expired: u64,
    /// Those among them that nobody could read when they were closed, and that this program reads.
    pub readable: u64,
    /// Commands behind the chain, not decided yet.
    pub pending: u64,
    /// Commands without effect, by code.
    pub without_effect: BTreeMap<String, u64>,
    /// Events.
    pub events: u64,
    /// People with a place, over all events that are not over.
    pub active: u64,
    /// People waiting, over all events that are not over.
    pub waiting: u64,
}
