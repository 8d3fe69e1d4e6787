//! Generates the codecs of `wire` from the Avro sources, and the constants of `topic` from the
//! topic catalogue. The build script runs it, and the tests look at what it refuses.
//!
//! It knows the part of Avro that our contracts use and names everything else in an error: a type
//! that is not supported is added here together with its test, never guessed.

pub mod avro;
pub mod rust;
pub mod topics;

/// Why nothing is generated: a sentence for whoever edits the sources.
pub type Problem = String;
