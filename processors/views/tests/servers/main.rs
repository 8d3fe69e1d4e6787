//! The tables on a real database: the contract, migrations, and what happens when the database does
//! not answer. `ops/stack up cassandra` starts one; `ops/stack env` says where it is.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a failed expectation is the verdict"
)]

mod contract;
mod faults;
mod keyspaces;
mod migrations;
