//! The reads as a caller meets them, on rows and facts that the real decisions made.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed expectation is the test's verdict, in its helpers too"
)]

mod bad_input;
mod calendar;
mod commands;
mod door;
mod events;
mod feed;
mod identity;
mod index;
mod lines;
mod live;
mod people;
mod queries;
mod standing;
mod support;
