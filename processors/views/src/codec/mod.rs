//! How rows become bytes: compact, stable, and never guessing.
//!
//! A stored row is a version byte, the write timestamp and the fields in a fixed order. Numbers
//! are of variable length, low groups of seven bits first; signed ones are zigzagged. Enums are
//! written as the words they have on the wire, so that the order of variants means nothing, but for
//! those that a tag tells apart here. A row of a newer version is refused, and so are bytes left
//! over: nothing is read that was not written.

mod parts;
mod reader;
mod rows;
mod writer;

pub use reader::{Damage, Reader};
pub use rows::{Table, decode, encode, timestamp_of};
pub use writer::Writer;

/// The version that rows are written with, and the newest that can be read.
pub const ROW_VERSION: u8 = 1;
