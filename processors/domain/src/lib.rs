//! Every decision of CityEvents.
//!
//! State is a pure fold over facts, and facts are a pure function of the commands in log order:
//! `decide` never changes state, `apply` never refuses. Nothing here reads a clock, chance,
//! configuration, or the order of a hash map; nothing here does I/O. Whatever influences a decision
//! is an argument, and all arguments come from the log.

pub mod actor;
pub mod command;
mod decide;
pub mod event;
pub mod fact;
pub mod ids;
pub mod invariants;
pub mod refusal;
pub mod registration;
pub mod state;
pub mod time;
