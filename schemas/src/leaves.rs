//! The texts and bytes in a record, each with the name of its field: for who looks at what lies in a
//! log without caring what it means.
//!
//! Read with the schema that the record was written with, so that a field which nobody reads any more,
//! or does not know yet, is seen too. Slow (microseconds).

use std::collections::BTreeMap;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};

use crate::codecs::Codecs;
use crate::error::DecodeError;
use crate::framing;
use crate::resolve::{Body, parse};

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves {
    /// The name of the record.
    pub record: String,
    /// Its texts and bytes, in order.
    pub leaves: Vec<Leaf>,
}

/// A text, or bytes, in a record. Identifiers of a fixed length and numbers are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The names of the fields down to it, with `[]` behind those of lists:
    /// `fact.changes[].event.reason`.
    pub path: String,
    /// What it says.
    pub value: LeafValue,
}

/// What a leaf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafValue {
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Reads records of whatever schema. Keeps the schemas that it has met.
pub struct LeafReader<'a> {
    codecs: &'a Codecs,
    schemas: BTreeMap<u32, Schema>,
}

impl<'a> LeafReader<'a> {
    /// One that asks where these codecs ask.
    pub const fn new(codecs: &'a Codecs) -> Self {
        Self { codecs, schemas: BTreeMap::new() }
    }

    /// The leaves of a record with its header.
    ///
    /// # Errors
    /// When the bytes are no record, or the schema cannot be had.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Leaves, DecodeError> {
        let (id, body) = framing::split(bytes)?;
        let schema = match self.schemas.entry(id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                unknown.insert(parse(id, &self.codecs.writer(id)?)?)
            }
        };
        let mut body = Body { left: body, is_overrun: false };
        let value = from_avro_datum(schema, &mut body, None);
        if body.is_overrun {
            return Err(DecodeError::Truncated);
        }
        let unresolvable =
            |error: apache_avro::Error| DecodeError::Unresolvable { id, reason: error.to_string() };
        let value = value.map_err(unresolvable)?;
        if !body.left.is_empty() {
            return Err(DecodeError::TrailingBytes { bytes: body.left.len() as u64 });
        }
        let record = schema.name().map(|name| name.name.clone()).unwrap_or_default();
        let mut leaves = Vec::new();
        gather(value, &mut String::new(), &mut leaves);
        Ok(Leaves { record, leaves })
    }
}

fn gather(value: Value, path: &mut String, leaves: &mut Vec<Leaf>) {
    let end = path.len();
    match value {
        Value::String(text) => {
            leaves.push(Leaf { path: path.clone(), value: LeafValue::Text(text) });
        }
        Value::Bytes(bytes) => {
            leaves.push(Leaf { path: path.clone(), value: LeafValue::Bytes(bytes) });
        }
        Value::Union(_, value) => gather(*value, path, leaves),
        Value::Record(fields) => {
            for (name, value) in fields {
                if end > 0 {
                    path.push('.');
                }
                path.push_str(&name);
                gather(value, path, leaves);
                path.truncate(end);
            }
        }
        Value::Array(items) => {
            path.push_str("[]");
            items.into_iter().for_each(|item| gather(item, path, leaves));
        }
        Value::Map(items) => {
            path.push_str("[]");
            for (name, item) in items {
                leaves.push(Leaf { path: path.clone(), value: LeafValue::Text(name) });
                gather(item, path, leaves);
            }
        }
        _ => {}
    }
    path.truncate(end);
}
