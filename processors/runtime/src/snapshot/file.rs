//! A snapshot as bytes: magic, length of the description (u32, little endian), the description (JSON,
//! for people and tools), the state compressed with zstd, BLAKE3 of everything before.

use bytes::Bytes;

use super::{Description, SnapshotError};

const MAGIC: &[u8; 8] = b"CESNAP\x00\x01";
const CHECKSUM_BYTES: usize = 32;
/// Fast, and small enough: a state is mostly random ids.
const ZSTD_LEVEL: i32 = 1;
/// A state larger than this is damage.
const STATE_BYTES_MAX: usize = 64 << 30;

pub(super) fn encode(description: &Description, state: &[u8]) -> Result<Bytes, SnapshotError> {
    let description = serde_json::to_vec(description).map_err(std::io::Error::from)?;
    let mut file = Vec::with_capacity(state.len() / 2 + description.len() + 64);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&(description.len() as u32).to_le_bytes());
    file.extend_from_slice(&description);
    file.extend_from_slice(&zstd::bulk::compress(state, ZSTD_LEVEL)?);
    let checksum = *blake3::hash(&file).as_bytes();
    file.extend_from_slice(&checksum);
    Ok(Bytes::from(file))
}

pub(super) fn decode(name: &str, file: &[u8]) -> Result<(Description, Vec<u8>), SnapshotError> {
    let damaged = |reason| SnapshotError::Damaged { name: name.to_owned(), reason };
    let (body, checksum) =
        file.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is too short"))?;
    if blake3::hash(body).as_bytes() != checksum {
        return Err(damaged("its checksum does not fit"));
    }
    let rest = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| damaged("it is no snapshot, or one of another format"))?;
    let (length, rest) =
        rest.split_first_chunk::<4>().ok_or_else(|| damaged("it ends in its head"))?;
    let (description, state) = rest
        .split_at_checked(u32::from_le_bytes(*length) as usize)
        .ok_or_else(|| damaged("it ends in its description"))?;
    let description: Description = serde_json::from_slice(description)
        .map_err(|_| damaged("its description cannot be read"))?;
    let length = usize::try_from(description.state_bytes)
        .ok()
        .filter(|length| *length <= STATE_BYTES_MAX)
        .ok_or_else(|| damaged("it claims an impossible length"))?;
    // Before memory for it is asked for.
    let told = zstd::zstd_safe::get_frame_content_size(state).ok().flatten();
    if told != Some(description.state_bytes) {
        return Err(damaged("its state has another length than its description says"));
    }
    let state = zstd::bulk::decompress(state, length)
        .map_err(|_| damaged("its state cannot be decompressed"))?;
    Ok((description, state))
}

#[cfg(test)]
mod tests {
    use super::super::tests::description;
    use super::*;

    #[test]
    fn any_flipped_or_missing_byte_is_found() {
        let file = encode(&description(1), b"state").unwrap();
        for index in 0..file.len() {
            let mut damaged = file.to_vec();
            damaged[index] ^= 1;
            assert!(decode("x", &damaged).is_err(), "byte {index} flipped");
            assert!(decode("x", &file[..index]).is_err(), "cut at {index}");
        }
        assert!(decode("x", &file).is_ok());
    }
}
