//! The topologies of mails, driven by hand: a log and tables in memory, clocks that stand still.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

mod fixture;
mod mailer;
mod notifier;
