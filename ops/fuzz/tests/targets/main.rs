//! Fuzz targets: every decoder of the repository that reads bytes it did not write itself. Each is
//! a test; `CITYEVENTS_FUZZ_SECONDS` says how long each runs, `CITYEVENTS_FUZZ_SEED` from where.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the test's verdict, in its helpers too"
)]

mod domain;
mod kit;
mod records;
mod regressions;
mod runtime;
mod schemas;
mod views;

use std::fmt::Debug;

use cityevents_fuzz::{Budget, Seen, run};
use rand::rngs::SmallRng;

/// Runs a target; fails with the input that failed.
fn fuzz(
    target: &str,
    make: impl FnMut(&mut SmallRng) -> Vec<u8>,
    check: impl FnMut(&[u8]) -> Result<Seen, String>,
) {
    let budget = Budget::of_environment().unwrap_or_else(|error| panic!("{error}"));
    if let Err(failure) = run(target, budget, make, check) {
        panic!("{failure}");
    }
}

/// What was read is written and read again: it must be the same.
fn reads_back<T: PartialEq + Debug, E: Debug>(
    read: Result<T, E>,
    write: impl FnOnce(&T) -> Vec<u8>,
    read_again: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<Seen, String> {
    let Ok(value) = read else { return Ok(Seen::Refused) };
    match read_again(&write(&value)) {
        Ok(again) if again == value => Ok(Seen::Accepted),
        other => Err(format!("read {value:?}, and after writing it {other:?}")),
    }
}
