//! Load: what `demo` and `bench` send, and how they count. Only ever against the address that they
//! are given, which is one of this machine unless somebody says otherwise.

pub mod client;
pub mod crowd;
pub mod joins;
pub mod open_loop;
pub mod raw;
pub mod sample;
