//! The port to whoever gives ids to schemas: the table in this crate, or a schema registry.

use std::sync::Arc;

use crate::record::{Record, VERSIONS};

/// The registry does not answer; asking again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema registry does not answer: {reason}")]
pub struct SchemaLookupError {
    /// What it said.
    pub reason: String,
}

/// Who gives ids to schemas.
///
/// A lookup may take its time; it happens once for each id that a process meets. An implementation
/// must not remember that it failed.
pub trait SchemaIds: Send + Sync {
    /// The id of the current schema of a record ([`Record::source`]).
    fn current(&self, record: Record) -> Result<u32, SchemaLookupError>;

    /// The schema of an id; `None` only if there certainly is none, since its records are poison
    /// then.
    fn writer(&self, id: u32) -> Result<Option<Arc<str>>, SchemaLookupError>;
}

/// The ids that are fixed in this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltinIds;

impl SchemaIds for BuiltinIds {
    fn current(&self, record: Record) -> Result<u32, SchemaLookupError> {
        Ok(current(record))
    }

    fn writer(&self, id: u32) -> Result<Option<Arc<str>>, SchemaLookupError> {
        Ok(VERSIONS.iter().find(|version| version.id == id).map(|version| version.source.into()))
    }
}

/// The built-in id of the current schema of a record.
pub(crate) fn current(record: Record) -> u32 {
    record.versions().next_back().map_or(0, |version| version.id)
}
