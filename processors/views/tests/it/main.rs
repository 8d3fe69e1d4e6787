//! The contract on each adapter, and what only one of them promises.
#![expect(clippy::unwrap_used, reason = "tests: a failed expectation is the verdict")]

mod crash;
mod crash_records;
mod embedded;
mod memory;
mod rows;
mod switch;
