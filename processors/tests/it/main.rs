//! Topologies, driven by hand: a log and tables in memory, clocks that stand still, and plain models.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

mod carry;
mod fixture;
mod mail_bulk;
mod mail_faults;
mod mailer;
mod notifier;
#[path = "../../mail/tests/it/scripted.rs"]
mod scripted;
mod steps;
mod traces;
mod trending;
