//! The integration tests of the runtime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod consumer;
mod dead_letters;
mod fixture;
mod host;
mod lag;
mod local_contract;
mod local_log;
mod memory_contract;
mod memory_simulation;
mod retry;
mod retry_order;
mod snapshots;
mod standby;
mod worker;
