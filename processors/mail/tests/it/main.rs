//! Mails as people get them, and as servers take them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

mod folder;
mod letters;
mod overrides;
mod scripted;
mod smtp;
mod support;
