//! Record headers as one block of bytes, so that a record costs one allocation for all of them.
//!
//! Layout, for each header in order: length of the name (u8), the name (UTF-8), length of the value
//! (u32, big endian), the value. Adapters turn it into what their log wants.

use bytes::{BufMut, Bytes};

/// Names and values beside a record, in order. A name may stand more than once; the last one counts.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Bytes);

impl Headers {
    /// No headers.
    pub const fn empty() -> Self {
        Self(Bytes::new())
    }

    /// Takes a block, as [`Headers::as_bytes`] gave it, back. `None` when it is no such block.
    pub fn from_bytes(block: Bytes) -> Option<Self> {
        let mut rest = &block[..];
        while !rest.is_empty() {
            let (name, _) = split(&mut rest)?;
            std::str::from_utf8(name).ok()?;
        }
        Some(Self(block))
    }

    /// A block that was put together by [`put`], and by nothing else.
    pub(super) const fn of_put(block: Bytes) -> Self {
        Self(block)
    }

    /// The block.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let named = |(name, value)| Some((std::str::from_utf8(name).ok()?, value));
        self.parts().map_while(named)
    }

    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        // Compared as bytes: every record is asked, and that names are text was seen when the block
        // was put together or taken back.
        let named = self.parts().filter(|(known, _)| *known == name.as_bytes());
        named.last().map(|(_, value)| value)
    }

    /// The last value of a name, if it is text.
    pub fn get_text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Names and values, as bytes.
    fn parts(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || split(&mut rest))
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        formatter
            .debug_map()
            .entries(self.iter().map(|(name, value)| (name.to_owned(), text(value))))
            .finish()
    }
}

/// Puts headers together.
#[derive(Debug, Default)]
pub struct HeadersBuilder(Vec<u8>);

impl HeadersBuilder {
    /// With room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Starts from all headers of a record.
    pub fn from_headers(headers: &Headers) -> Self {
        Self(headers.0.to_vec())
    }

    /// Adds one. A name longer than 255 bytes is cut; ours are constants and shorter.
    pub fn push(&mut self, name: &str, value: &[u8]) -> &mut Self {
        put(&mut self.0, name, value);
        self
    }

    /// Puts a value in the place of all that the name has.
    pub fn replace(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let before = Headers(Bytes::from(std::mem::take(&mut self.0)));
        for (other, value) in before.iter().filter(|(other, _)| *other != name) {
            self.push(other, value);
        }
        self.push(name, value)
    }

    /// Done.
    pub fn build(self) -> Headers {
        Headers(Bytes::from(self.0))
    }
}

/// Adds a header to a block.
pub(super) fn put(block: &mut impl BufMut, name: &str, value: &[u8]) {
    let name = &name[..name.floor_char_boundary(usize::from(u8::MAX))];
    block.put_u8(name.len() as u8);
    block.put_slice(name.as_bytes());
    block.put_u32(value.len() as u32);
    block.put_slice(value);
}

/// Takes the first header off a block.
#[inline]
fn split<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (&name_length, after) = rest.split_first()?;
    let (name, after) = after.split_at_checked(usize::from(name_length))?;
    let (value_length, after) = after.split_first_chunk::<4>()?;
    let (value, after) = after.split_at_checked(u32::from_be_bytes(*value_length) as usize)?;
    *rest = after;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_in_order_and_the_last_value_counts() {
        let mut builder = HeadersBuilder::default();
        builder.push("a", b"1").push("b", b"").push("a", b"2");
        let headers = builder.build();
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("a", &b"1"[..]), ("b", b""), ("a", b"2")]);
        assert_eq!(headers.get_text("a"), Some("2"));
        assert_eq!(Headers::from_bytes(headers.as_bytes().clone()), Some(headers));
    }

    #[test]
    fn a_replaced_name_has_one_value() {
        let mut builder = HeadersBuilder::default();
        builder.push("a", b"1").push("b", b"2").push("a", b"3").replace("a", b"4");
        let headers = builder.build();
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("b", &b"2"[..]), ("a", b"4")]);
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_between_characters() {
        let mut builder = HeadersBuilder::default();
        builder.push(&"ü".repeat(200), b"value");
        let headers = Headers::from_bytes(builder.build().as_bytes().clone()).unwrap();
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [(&*"ü".repeat(127), &b"value"[..])]);
    }

    #[test]
    fn a_torn_block_is_no_block() {
        let mut builder = HeadersBuilder::default();
        builder.push("name", b"value");
        let block = builder.build().as_bytes().clone();
        for length in 1..block.len() {
            assert_eq!(Headers::from_bytes(block.slice(..length)), None, "length {length}");
        }
    }
}
