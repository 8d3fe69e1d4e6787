//! Numbers of two bytes or more: groups of 7 bits, the lowest first, each but the last marked by its
//! high bit. Times, offsets and hashes are such numbers, so up to eight bytes are done at once.

use crate::error::DecodeError;

/// Most bytes of a number of 64 bits in groups of 7.
const VARINT_BYTES_MAX: usize = 10;

/// Appends a varint of two bytes or more.
#[inline]
pub(crate) fn put_long_varint(zigzag: u64, out: &mut Vec<u8>) {
    let length = (70 - zigzag.leading_zeros()) / 7;
    let start = out.len();
    if length <= 8 {
        // Eight bytes at once, the inverse of `long_varint`; then those that are too many go.
        let fours = (zigzag & 0x0fff_ffff) | (zigzag & 0x00ff_ffff_f000_0000) << 4;
        let pairs = (fours & 0x0000_3fff_0000_3fff) | (fours & 0x0fff_c000_0fff_c000) << 2;
        let groups = (pairs & 0x007f_007f_007f_007f) | (pairs & 0x3f80_3f80_3f80_3f80) << 1;
        let goes_on = 0x8080_8080_8080_8080 & ((1 << (8 * (length - 1))) - 1);
        out.extend_from_slice(&(groups | goes_on).to_le_bytes());
    } else {
        let mut bytes = [0x80; VARINT_BYTES_MAX];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte |= (zigzag >> (7 * at)) as u8;
        }
        bytes[length as usize - 1] &= 0x7f;
        out.extend_from_slice(&bytes);
    }
    out.truncate(start + length as usize);
}

/// Takes a varint of two bytes or more.
#[inline(never)]
pub(crate) fn take_long_varint(input: &mut &[u8]) -> Result<u64, Box<DecodeError>> {
    // Eight bytes at once: times have six. The first byte without its high bit ends the number.
    let chunk = input.first_chunk().map_or(u64::MAX, |chunk| u64::from_le_bytes(*chunk));
    let ends = !chunk & 0x8080_8080_8080_8080;
    if ends == 0 {
        let (value, length) = varint_by_bytes(input)?;
        *input = input.get(length..).unwrap_or_default();
        return Ok(value);
    }
    let length = ends.trailing_zeros() / 8 + 1;
    let groups = chunk & (u64::MAX >> (64 - 8 * length)) & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (groups & 0x007f_007f_007f_007f) | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    let value = (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4;
    if value >> (7 * (length - 1)) == 0 {
        return Err(DecodeError::OverlongVarint.into());
    }
    *input = input.get(length as usize..).unwrap_or_default();
    Ok(value)
}

fn varint_by_bytes(bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            // The tenth byte has room for one bit, and a last byte of zero says nothing.
            let overlong = byte == 0 || (at == VARINT_BYTES_MAX - 1 && byte > 1);
            return if overlong { Err(DecodeError::OverlongVarint) } else { Ok((value, at + 1)) };
        }
    }
    if bytes.len() < VARINT_BYTES_MAX {
        Err(DecodeError::Truncated)
    } else {
        Err(DecodeError::OverlongVarint)
    }
}
