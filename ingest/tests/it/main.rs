//! Writes over HTTP on a durable log, with real registration workers behind it.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the test's verdict, in its helpers too"
)]

mod bad_input;
mod bulk;
mod door;
mod harness;
mod overload;
mod writes;
