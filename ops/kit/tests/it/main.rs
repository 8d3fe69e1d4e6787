//! The parts of the kit together, over HTTP where they are used over HTTP.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

mod app;
mod authentication;
mod bad_requests;
mod breaker;
mod edge;
mod keys;
mod lifecycle;
mod operations;
mod server;
mod tokens;
mod traces;
