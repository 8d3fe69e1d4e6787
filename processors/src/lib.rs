//! The topologies of CityEvents: what happens to records between the topics.
//!
//! - [`registration`]: commands → facts. The only place that decides.
//! - [`projection`]: facts → tables.
//! - [`audit`]: facts and commands → a verdict, by somebody who trusts none of the others.
//! - [`publisher`]: facts → the flat, compacted topics that others read.

pub mod audit;
pub mod projection;
pub mod publisher;
pub mod registration;
