//! What the domain promises, tested from outside.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test"
)]

mod dedup;
mod fixtures;
mod joining;
mod lifecycle;
mod model;
mod plain;
mod precedence;
mod removal;
mod snapshot;
mod steps;
