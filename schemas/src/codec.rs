//! Avro's binary encoding of the types that our contracts use. The generated records only say in
//! which order their fields come.
//!
//! Reading is strict: what no writer of ours would have written is a named error, never a panic,
//! and nothing is allocated on the word of a length that the bytes cannot back.

use crate::error::DecodeError;
use crate::varint::{put_long_varint, take_long_varint};

/// A value with an Avro encoding. `'a` is the life of the bytes that it is read from.
///
/// Values are read in place: a record is large (each kind of body has room in it), and passing one
/// up through a `Result` at each level would cost more than reading it.
pub trait Wire<'a>: Sized {
    /// Fewest bytes that a value takes.
    const BYTES_MIN: usize;

    /// What a value is before it is read.
    fn empty() -> Self;

    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes a value from the front of `input`. After an error the value has no meaning. The error
    /// is boxed so that success is passed up in a register.
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>>;

    /// As [`Wire::read`], for a value of its own.
    #[inline]
    fn decode(input: &mut &'a [u8]) -> Result<Self, DecodeError> {
        let mut value = Self::empty();
        match value.read(input) {
            Ok(()) => Ok(value),
            Err(error) => Err(*error),
        }
    }
}

impl<'a> Wire<'a> for i64 {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn empty() -> Self {
        0
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let zigzag = ((self << 1) ^ (self >> 63)) as u64;
        if zigzag < 0x80 {
            out.push(zigzag as u8);
        } else {
            put_long_varint(zigzag, out);
        }
    }

    #[inline(always)]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        let zigzag = match input.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                *input = rest;
                u64::from(byte)
            }
            _ => take_long_varint(input)?,
        };
        *self = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Ok(())
    }
}

#[inline(always)]
fn number(input: &mut &[u8]) -> Result<i64, Box<DecodeError>> {
    let mut number = 0_i64;
    number.read(input)?;
    Ok(number)
}

/// Appends bytes. Short ones are copied as two pieces of a fixed size that overlap: tags and words
/// are short, and a copy of any size is a call.
#[inline]
fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    if let (8..=16, Some(head), Some(tail)) =
        (bytes.len(), bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
    {
        out.extend_from_slice(head);
        out.truncate(start + bytes.len() - tail.len());
        out.extend_from_slice(tail);
    } else if let (4..8, Some(head), Some(tail)) =
        (bytes.len(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>())
    {
        out.extend_from_slice(head);
        out.truncate(start + bytes.len() - tail.len());
        out.extend_from_slice(tail);
    } else {
        out.extend_from_slice(bytes);
    }
}

impl<'a> Wire<'a> for &'a [u8] {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn empty() -> Self {
        &[]
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as i64).encode(out);
        put_bytes(self, out);
    }

    #[inline(always)]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        *self = take_bytes(input)?;
        Ok(())
    }
}

#[inline(always)]
fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Box<DecodeError>> {
    let length = number(input)?;
    if length < 0 {
        return Err(DecodeError::NegativeLength { length }.into());
    }
    let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
    let (value, rest) = input.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(value)
}

impl<'a> Wire<'a> for &'a str {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn empty() -> Self {
        ""
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }

    #[inline]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        let bytes = take_bytes(input)?;
        *self = std::str::from_utf8(bytes).map_err(|_| DecodeError::InvalidUtf8)?;
        Ok(())
    }
}

impl<'a, const N: usize> Wire<'a> for [u8; N] {
    const BYTES_MIN: usize = N;

    #[inline]
    fn empty() -> Self {
        [0; N]
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    #[inline]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        let (value, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated)?;
        (*self, *input) = (*value, rest);
        Ok(())
    }
}

/// The union `[null, T]`.
impl<'a, T: Wire<'a>> Wire<'a> for Option<T> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn empty() -> Self {
        None
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(2);
                value.encode(out);
            }
        }
    }

    #[inline]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        match number(input)? {
            0 => *self = None,
            1 => self.insert(T::empty()).read(input)?,
            index => return Err(DecodeError::UnknownBranch { index }.into()),
        }
        Ok(())
    }
}

/// A wide body.
impl<'a, T: Wire<'a>> Wire<'a> for Box<T> {
    const BYTES_MIN: usize = T::BYTES_MIN;

    #[inline]
    fn empty() -> Self {
        Self::new(T::empty())
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }

    #[inline]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        T::read(self, input)
    }
}

/// An array: blocks of items, each with its count, up to a count of zero. We write one block; other
/// writers may write several, and a block with its length in bytes, marked by a negative count.
impl<'a, T: Wire<'a>> Wire<'a> for Vec<T> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn empty() -> Self {
        Self::new()
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            (self.len() as i64).encode(out);
            for item in self {
                item.encode(out);
            }
        }
        out.push(0);
    }

    #[inline]
    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {
        self.clear();
        loop {
            let count = number(input)?;
            if count == 0 {
                return Ok(());
            }
            let block = if count < 0 { Some(number(input)?) } else { None };
            let (count, before) = (count.unsigned_abs(), input.len());
            if count > (before / T::BYTES_MIN.max(1)) as u64 {
                return Err(DecodeError::OversizedCount { count, bytes: before as u64 }.into());
            }
            self.reserve_exact((count as usize).min(LIST_RESERVE_MAX));
            for _ in 0..count {
                self.push(T::empty());
                if let Some(item) = self.last_mut() {
                    item.read(input)?;
                }
            }
            match block {
                Some(length) if length < 0 => {
                    return Err(DecodeError::NegativeLength { length }.into());
                }
                Some(length) if length != (before - input.len()) as i64 => {
                    return Err(DecodeError::BlockLength.into());
                }
                _ => {}
            }
        }
    }
}

/// Items that room is made for before the first is read; more grow as they come.
const LIST_RESERVE_MAX: usize = 16;
