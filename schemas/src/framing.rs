//! The Confluent framing: a zero, the id of the writer's schema as 4 bytes big endian, the body.

use crate::error::DecodeError;

/// Bytes ahead of the body.
pub const HEADER_BYTES: usize = 5;

const MAGIC: u8 = 0;

/// Appends the header.
#[inline]
pub(crate) fn write_header(id: u32, out: &mut Vec<u8>) {
    let [a, b, c, d] = id.to_be_bytes();
    out.extend_from_slice(&[MAGIC, a, b, c, d]);
}

/// The id and the body.
#[inline]
pub(crate) fn split(bytes: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match bytes.split_first_chunk::<HEADER_BYTES>() {
        Some((&[MAGIC, a, b, c, d], body)) => Ok((u32::from_be_bytes([a, b, c, d]), body)),
        _ => Err(DecodeError::NotFramed),
    }
}

/// The id of the schema that a record was written with.
pub fn schema_id(bytes: &[u8]) -> Result<u32, DecodeError> {
    split(bytes).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back() {
        let mut bytes = Vec::new();
        write_header(0x0102_0304, &mut bytes);
        assert_eq!(bytes, [0, 1, 2, 3, 4]);
        assert_eq!(split(&bytes), Ok((0x0102_0304, &[][..])));
    }

    #[test]
    fn short_or_unmarked_bytes_are_not_framed() {
        for bytes in [&[][..], &[0, 1, 2, 3], &[1, 0, 0, 0, 1, 9]] {
            assert_eq!(schema_id(bytes), Err(DecodeError::NotFramed));
        }
    }
}
