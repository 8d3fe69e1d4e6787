//! The runtime of CityEvents: logs, chained facts, workers, snapshots, dead letters.
//!
//! It knows bytes, headers, partitions and offsets, and no business word. What is decided, and what
//! a record means, is a topology's affair (see [`topology`]).

pub mod chain;
pub mod consumer;
pub mod dead_letter;
pub mod follower;
pub mod host;
pub mod lag;
pub mod log;
pub mod metrics;
pub mod replies;
pub mod retry;
pub mod snapshot;
pub mod spans;
pub mod standby;
pub mod topology;
pub mod worker;
