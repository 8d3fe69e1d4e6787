//! Contracts of the log: which topics there are, what their records look like, and how they are
//! written and read.
//!
//! [`topic`] has a constant for each topic. [`message`] writes and reads what the domain speaks of;
//! use it and nothing below it. Below are the Avro records ([`wire`]), generated from `avro/*.avsc`,
//! and the framing that names the writer's schema in each record ([`Codecs`]).
//!
//! Invariant: nothing here does I/O or reads a clock. A schema registry comes in through the port
//! [`SchemaIds`].

pub mod catalog;
pub mod cloudevents;
pub mod message;
pub mod rfc3339;
pub mod wire;

mod codec;
mod codecs;
mod error;
mod framing;
mod leaves;
mod record;
mod resolve;
mod schema_ids;
mod text;
mod varint;

pub use catalog::{catalog, topic};
pub use codec::Wire;
pub use codecs::{Codecs, InstallError};
pub use error::{DecodeError, ErrorClass};
pub use framing::{HEADER_BYTES, schema_id};
pub use leaves::{Leaf, LeafReader, LeafValue, Leaves};
pub use record::{Record, Version};
pub use schema_ids::{BuiltinIds, SchemaIds, SchemaLookupError};
