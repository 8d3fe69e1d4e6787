//! Writes over HTTP: check the caller and the shape, append a command, wait for the decision.
//!
//! [`CommandClient`] is the way into the log, for the routes and for every other part of the
//! program that gives commands. [`routes`] are the calls; they know HTTP and no rule of the domain:
//! a command that is well-formed goes to the log, and what becomes of it is decided there.
//!
//! Invariant: no lock and no state about events or people is here, because the log is the lock. An
//! instance can be killed at any moment: what it had acknowledged is in the log, and whoever waited
//! asks again with the same key and gets the same decision.

#![expect(unused_qualifications, reason = "what utoipa::path writes around types")]

pub mod admission;
mod answer;
mod body;
mod bulk;
mod client;
mod fields;
pub mod metrics;
mod reasons;
mod request;
pub mod routes;
pub mod track;

pub use admission::{Admission, Permit, Shed};
pub use client::{ClientOptions, CommandClient, SubmitError, Submitted};
pub use metrics::IngestMetrics;
pub use reasons::{ReasonError, Reasons};
pub use routes::{IngestState, TakeCovers, WriteOptions, route_policy, router};
