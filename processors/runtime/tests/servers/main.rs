//! The log on real Kafka: `ops/stack up kafka`, then `cargo test -p cityevents-runtime --test
//! servers`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]

mod cluster;
mod consumer_protocol;
mod contract;
mod failures;
mod faults;
mod snapshots;
#[cfg(feature = "tls")]
mod tls;
mod zombies;
