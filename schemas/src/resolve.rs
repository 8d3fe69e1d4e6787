//! Reads a record of another version: apache-avro decodes it with the writer's schema and resolves
//! it to the current one. Slow (microseconds), and used while versions overlap only.

use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::LazyLock;

use apache_avro::util::max_allocation_bytes;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};

use crate::error::DecodeError;
use crate::record::Record;

/// Most bytes that apache-avro may allocate for one value. Our largest record is a link of 256 KiB.
const ALLOCATION_BYTES_MAX: usize = 4 << 20;

/// apache-avro takes the limit once for the whole process.
static ALLOCATION_LIMIT: LazyLock<usize> =
    LazyLock::new(|| max_allocation_bytes(ALLOCATION_BYTES_MAX));

/// The way from one writer's schema to the current one.
pub(crate) struct Resolution {
    id: u32,
    writer: Schema,
    reader: Schema,
    /// Both make the same bytes: a registry may give one schema several ids.
    is_same: bool,
}

impl Resolution {
    pub(crate) fn new(record: Record, id: u32, source: &str) -> Result<Self, DecodeError> {
        let writer = parse(id, source)?;
        let found = writer.name().map(|name| name.name.clone()).unwrap_or_default();
        if found != record.name() {
            return Err(DecodeError::WrongRecord { id, found, expected: record.name() });
        }
        let reader = parse(id, record.source())?;
        let is_same = writer.canonical_form() == reader.canonical_form();
        Ok(Self { id, writer, reader, is_same })
    }

    /// The body as the current schema would have it.
    pub(crate) fn resolve<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
        if self.is_same {
            return Ok(Cow::Borrowed(body));
        }
        let unresolvable = |error: apache_avro::Error| DecodeError::Unresolvable {
            id: self.id,
            reason: error.to_string(),
        };
        let mut body = Body { left: body, is_overrun: false };
        let value = from_avro_datum(&self.writer, &mut body, Some(&self.reader));
        if body.is_overrun {
            return Err(DecodeError::Truncated);
        }
        let value = value.map_err(unresolvable)?;
        if !body.left.is_empty() {
            return Err(DecodeError::TrailingBytes { bytes: body.left.len() as u64 });
        }
        to_avro_datum(&self.reader, value).map(Cow::Owned).map_err(unresolvable)
    }
}

/// Bytes that remember whether somebody wanted more of them. apache-avro takes the end of its input
/// inside a union for null, so a record that was cut would pass as one with fewer fields.
pub(crate) struct Body<'a> {
    pub(crate) left: &'a [u8],
    pub(crate) is_overrun: bool,
}

impl Read for Body<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        self.is_overrun |= self.left.len() < place.len();
        self.left.read(place)
    }
}

pub(crate) fn parse(id: u32, source: &str) -> Result<Schema, DecodeError> {
    LazyLock::force(&ALLOCATION_LIMIT);
    Schema::parse_str(source)
        .map_err(|error| DecodeError::Unresolvable { id, reason: error.to_string() })
}
