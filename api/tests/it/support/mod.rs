//! What the tests share.

pub mod facts;
pub mod flaky;
mod rows;
pub mod world;
