//! Tests of the contracts. Nothing here needs a network or a clock.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the test's verdict, in its helpers too"
)]

mod catalog;
mod codegen;
mod compat;
mod evolution;
mod fuzz;
mod generate;
mod golden;
mod ids;
mod install;
mod messages;
mod reread;
mod samples;
mod schema_values;
mod strictness;
