//! Reading fields.

/// Bytes that are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage(pub &'static str);

/// Takes fields off the front of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub const fn finish(&self) -> Result<(), Damage> {
        if self.rest.is_empty() { Ok(()) } else { Err(Damage("bytes left over")) }
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Damage> {
        let (first, rest) = self.rest.split_first().ok_or(Damage("too short"))?;
        self.rest = rest;
        Ok(*first)
    }

    /// A given number of bytes.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Damage("too short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes of a number known beforehand.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Damage("too short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A number of variable length.
    pub fn unsigned(&mut self) -> Result<u64, Damage> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Damage("number too long"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage("number too long"))
    }

    /// A number that fits 32 bits.
    pub fn unsigned_32(&mut self) -> Result<u32, Damage> {
        self.unsigned()?.try_into().map_err(|_| Damage("number too large"))
    }

    /// A signed number of variable length.
    pub fn signed(&mut self) -> Result<i64, Damage> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Bytes and their number.
    pub fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let count = self.unsigned()?;
        self.raw(usize::try_from(count).map_err(|_| Damage("too short"))?)
    }

    /// Text.
    pub fn text(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage("text is not UTF-8"))
    }

    /// Whether there is a value, and the value.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Damage>,
    ) -> Result<Option<T>, Damage> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Damage("unknown tag")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Writer;

    #[test]
    fn numbers_read_back_and_overlong_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut writer = Writer::default();
            writer.unsigned(value);
            writer.signed(value as i64);
            writer.signed(-(value as i64 >> 1));
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.unsigned(), Ok(value));
            assert_eq!(reader.signed(), Ok(value as i64));
            assert_eq!(reader.signed(), Ok(-(value as i64 >> 1)));
            assert_eq!(reader.finish(), Ok(()));
        }
        assert_eq!(Reader::new(&[0xff; 10]).unsigned(), Err(Damage("number too long")));
        assert_eq!(Reader::new(&[0x80]).unsigned(), Err(Damage("too short")));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let mut writer = Writer::default();
        writer.unsigned(u64::MAX);
        assert_eq!(Reader::new(&writer.into_bytes()).bytes(), Err(Damage("too short")));
    }
}
