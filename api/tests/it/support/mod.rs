//! What the tests share.

pub mod facts;
pub mod flaky;
pub mod published;
pub mod rows;
pub mod world;
