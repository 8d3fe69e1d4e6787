//! The trace context of W3C: which trace a record belongs to.

use std::fmt;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// Longest `tracestate` that is passed on.
const STATE_BYTES_MAX: usize = 512;
/// Where the digits of the flags end.
const LAST_DIGIT: usize = LENGTH - 1;

/// A valid `traceparent`: a trace, and a step of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not all zero.
    pub trace_id: [u8; 16],
    /// The step that caused this one; not all zero.
    pub parent_id: [u8; 8],
    /// Flags; see [`TraceParent::is_sampled`].
    pub flags: u8,
}

impl TraceParent {
    /// The flag of a trace that somebody keeps; the only one with a meaning in every version.
    pub const SAMPLED: u8 = 1;

    /// Reads a header. One that is not valid is as none: the reader begins a new trace. Of a later
    /// version only the parts that are known are taken.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let [version] = hex(bytes.get(..2)?)?;
        let dashes = [2, 35, 52].into_iter().all(|at| bytes.get(at) == Some(&b'-'));
        let end = match version {
            0 => bytes.len() == LENGTH,
            0xff => false,
            _ => matches!(bytes.get(LENGTH), None | Some(b'-')),
        };
        if !dashes || !end {
            return None;
        }
        let trace_id: [u8; 16] = hex(bytes.get(3..35)?)?;
        let parent_id: [u8; 8] = hex(bytes.get(36..52)?)?;
        let [flags] = hex(bytes.get(53..LENGTH)?)?;
        if trace_id == [0; 16] || parent_id == [0; 8] {
            return None;
        }
        let flags = if version == 0 { flags } else { flags & Self::SAMPLED };
        Some(Self { trace_id, parent_id, flags })
    }

    /// Reads a header if somebody keeps its trace. Of one that nobody keeps one byte is looked at.
    pub fn kept(header: &[u8]) -> Option<Self> {
        let digit = char::from(*header.get(LAST_DIGIT)?).to_digit(16)?;
        if digit & u32::from(Self::SAMPLED) == 0 {
            return None;
        }
        Self::parse(std::str::from_utf8(header).ok()?)
    }

    /// A step that this one causes: the same for the same name and turn.
    #[must_use]
    pub fn child(&self, name: &str, turn: u64) -> Self {
        let id = xxh3_64_with_seed(&self.seed(turn), xxh3_64(name.as_bytes()));
        Self { parent_id: id.max(1).to_be_bytes(), ..*self }
    }

    /// A step in a trace of its own, in which more is done than this one asks for.
    #[must_use]
    pub fn apart(&self, name: &str) -> Self {
        let id = xxh3_128_with_seed(&self.seed(0), xxh3_64(name.as_bytes()));
        Self { trace_id: id.max(1).to_be_bytes(), ..self.child(name, 0) }
    }

    fn seed(&self, turn: u64) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&self.trace_id);
        seed[16..24].copy_from_slice(&self.parent_id);
        seed[24..].copy_from_slice(&turn.to_be_bytes());
        seed
    }

    /// The id of the trace in hexadecimal digits.
    pub fn trace_id_text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace_id))
    }

    /// Whether somebody keeps this trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }
}

/// The header, in version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "00-{:032x}-{:016x}-{:02x}",
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.parent_id),
            self.flags
        )
    }
}

/// Whether a `tracestate` may be passed on: it is opaque to us, but printable ASCII and not long.
pub fn is_valid_state(text: &str) -> bool {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\t';
    !text.is_empty() && text.len() <= STATE_BYTES_MAX && text.bytes().all(printable)
}

/// Lower case only, as the standard demands.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_header_reads_back() {
        let parent = TraceParent::parse(VALID);
        assert_eq!(parent.map(|parent| parent.to_string()).as_deref(), Some(VALID));
        assert_eq!(parent.map(|parent| parent.is_sampled()), Some(true));
    }

    #[test]
    fn a_later_version_may_be_longer_and_is_passed_on_as_ours() {
        let later = format!("cc{}-what-the-future-brings", &VALID[2..]);
        let parent = TraceParent::parse(&later);
        assert_eq!(parent.map(|parent| parent.to_string()).as_deref(), Some(VALID));
        assert_eq!(TraceParent::parse(&format!("cc{}.x", &VALID[2..])), None);
    }

    #[test]
    fn what_the_standard_forbids_is_as_none() {
        for wrong in [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-00"),
            &format!("ff{}", &VALID[2..]),
            &VALID.to_ascii_uppercase(),
            &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALID.replace('-', "_"),
            &VALID.replace("4bf9", "4bg9"),
            &VALID.replace("4bf9", "4bé"),
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_header_of_a_kept_trace_is_read() {
        assert_eq!(TraceParent::kept(VALID.as_bytes()), TraceParent::parse(VALID));
        let flags = |flags: &str| format!("{}{flags}", &VALID[..53]);
        assert!(TraceParent::kept(flags("0b").as_bytes()).is_some());
        for wrong in [flags("00"), flags("02"), flags("0g"), flags("1"), VALID.replace('-', "_")] {
            assert_eq!(TraceParent::kept(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_child_follows_from_parent_name_and_turn() {
        let parent = TraceParent::parse(VALID).unwrap();
        let child = parent.child("step", 0);
        assert_eq!(child, parent.child("step", 0));
        assert_eq!((child.trace_id, child.flags), (parent.trace_id, parent.flags));
        let others = [parent.child("step", 1), parent.child("other", 0), child.child("step", 0)];
        assert!(others.iter().all(|other| other.parent_id != child.parent_id));
        assert_ne!(parent.apart("step").trace_id, parent.trace_id);
    }

    #[test]
    fn a_state_is_short_and_printable() {
        assert!(is_valid_state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
        assert!(!is_valid_state(""));
        assert!(!is_valid_state("a=\u{e9}"));
        assert!(!is_valid_state(&"a".repeat(STATE_BYTES_MAX + 1)));
    }
}
