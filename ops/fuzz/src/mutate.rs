//! Damage: what disks, networks and other programs do to bytes, and what somebody with bad
//! intentions does.

use std::ops::Range;

use rand::RngExt as _;
use rand::rngs::SmallRng;

/// Kinds of damage in one input at most.
const DAMAGES_MAX: usize = 5;
/// Longest part that is cut out, doubled or taken over, mostly.
const PART_BYTES_MAX: usize = 64;
/// An input does not grow beyond this.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// Times that a part is repeated at most.
const REPEATS_MAX: usize = 4_096;

/// Numbers at which something changes.
const INTERESTING: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// Bytes that are no UTF-8: a lone continuation, an overlong slash, a surrogate, a character that is
/// cut, one beyond the last; and some that are, but rarely expected.
const TEXTS: [&[u8]; 12] = [
    b"\x80",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xe2\x82",
    b"\xf4\x90\x80\x80",
    b"\xff",
    b"\0",
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{10ffff}".as_bytes(),
    "𝟘".as_bytes(),
    b"\r\n",
];

/// Signs that mean something in texts that programs read.
const SIGNS: &[u8] = b"[]{}()\"'\\=.,:;#-+_/ \n\t0919eE%";

/// A copy of an input with one to five kinds of damage. `other` is what it may be spliced with.
pub fn damaged(rng: &mut SmallRng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.random_range(1..=DAMAGES_MAX) {
        damage(rng, &mut bytes, other);
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

fn damage(rng: &mut SmallRng, bytes: &mut Vec<u8>, other: &[u8]) {
    match rng.random_range(0..100) {
        0..18 => flip(rng, bytes),
        18..22 => digits(rng, bytes),
        22..34 => with_byte(rng, bytes, |rng| rng.random()),
        34..42 => with_byte(rng, bytes, |rng| SIGNS[rng.random_range(0..SIGNS.len())]),
        42..52 => number(rng, bytes),
        52..58 => varint(rng, bytes),
        58..66 => text(rng, bytes),
        66..70 => bytes.truncate(rng.random_range(0..=bytes.len())),
        70..76 => drop(bytes.drain(part(rng, bytes.len()))),
        76..82 => double(rng, bytes),
        82..84 => repeat(rng, bytes),
        84..90 => insert(rng, bytes),
        90..97 => take_over(rng, bytes, other),
        _ => splice(rng, bytes, other),
    }
}

fn flip(rng: &mut SmallRng, bytes: &mut [u8]) {
    let bit = 1 << rng.random_range(0..8);
    with_byte_mut(rng, bytes, |byte| *byte ^= bit);
}

fn with_byte(rng: &mut SmallRng, bytes: &mut [u8], value: impl FnOnce(&mut SmallRng) -> u8) {
    let value = value(rng);
    with_byte_mut(rng, bytes, |byte| *byte = value);
}

fn with_byte_mut(rng: &mut SmallRng, bytes: &mut [u8], change: impl FnOnce(&mut u8)) {
    if !bytes.is_empty() {
        let at = rng.random_range(0..bytes.len());
        change(&mut bytes[at]);
    }
}

/// Puts an interesting number, or one beside it, of one to eight bytes over what stands there.
fn number(rng: &mut SmallRng, bytes: &mut [u8]) {
    let near = rng.random_range(0..3_u64);
    let value = INTERESTING[rng.random_range(0..INTERESTING.len())].wrapping_add(near);
    let width = 1 << rng.random_range(0..4);
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    let encoded = if rng.random() { &little[..width] } else { &big[8 - width..] };
    overwrite(rng, bytes, encoded);
}

/// Puts a number of variable length over what stands there, mostly a huge one, which is what
/// lengths are made of.
fn varint(rng: &mut SmallRng, bytes: &mut Vec<u8>) {
    let mut value = INTERESTING[rng.random_range(0..INTERESTING.len())];
    let mut encoded = Vec::with_capacity(11);
    while value >= 0x80 {
        encoded.push(value as u8 | 0x80);
        value >>= 7;
    }
    encoded.push(value as u8);
    if rng.random_ratio(1, 8) {
        // Longer than any number.
        encoded = vec![0xff; 11];
    }
    if rng.random() {
        overwrite(rng, bytes, &encoded);
    } else {
        replace(rng, bytes, 1, &encoded);
    }
}

/// Puts an interesting number over one that stands there in digits.
fn digits(rng: &mut SmallRng, bytes: &mut Vec<u8>) {
    let start = rng.random_range(0..=bytes.len());
    let Some(distance) = bytes[start..].iter().position(u8::is_ascii_digit) else { return };
    let start = start + distance;
    let count = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = INTERESTING[rng.random_range(0..INTERESTING.len())];
    let written = match rng.random_range(0..4) {
        0 => (value as i64).to_string(),
        1 => format!("0{value}"),
        _ => value.to_string(),
    };
    bytes.splice(start..start + count, written.bytes());
}

fn text(rng: &mut SmallRng, bytes: &mut Vec<u8>) {
    let broken = TEXTS[rng.random_range(0..TEXTS.len())];
    if rng.random() {
        overwrite(rng, bytes, broken);
    } else {
        replace(rng, bytes, 0, broken);
    }
}

fn double(rng: &mut SmallRng, bytes: &mut Vec<u8>) {
    let doubled = part(rng, bytes.len());
    let copy = bytes[doubled.clone()].to_vec();
    bytes.splice(doubled.end..doubled.end, copy);
}

/// Repeats a short part many times: what is nested is nested deeply, what is long gets very long.
fn repeat(rng: &mut SmallRng, bytes: &mut Vec<u8>) {
    let repeated = part(rng, bytes.len());
    let repeated = repeated.start..repeated.end.min(repeated.start + 4);
    let times = rng.random_range(2..REPEATS_MAX);
    let copy = bytes[repeated.clone()].repeat(times);
    bytes.splice(repeated, copy);
}

fn insert(rng: &mut SmallRng, bytes: &mut Vec<u8>) {
    let inserted: Vec<u8> = (0..rng.random_range(1..9)).map(|_| rng.random()).collect();
    replace(rng, bytes, 0, &inserted);
}

/// Puts a part of another input over, or between, what stands there.
fn take_over(rng: &mut SmallRng, bytes: &mut Vec<u8>, other: &[u8]) {
    let taken = &other[part(rng, other.len())];
    if rng.random() {
        overwrite(rng, bytes, taken);
    } else {
        replace(rng, bytes, 0, taken);
    }
}

/// The head of this one and the tail of the other.
fn splice(rng: &mut SmallRng, bytes: &mut Vec<u8>, other: &[u8]) {
    bytes.truncate(rng.random_range(0..=bytes.len()));
    bytes.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
}

fn overwrite(rng: &mut SmallRng, bytes: &mut [u8], with: &[u8]) {
    if bytes.len() >= with.len() {
        let at = rng.random_range(0..=bytes.len() - with.len());
        bytes[at..at + with.len()].copy_from_slice(with);
    }
}

fn replace(rng: &mut SmallRng, bytes: &mut Vec<u8>, count: usize, with: &[u8]) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + count).min(bytes.len());
    bytes.splice(at..end, with.iter().copied());
}

/// A part of something so long; mostly a short one.
fn part(rng: &mut SmallRng, length: usize) -> Range<usize> {
    let start = rng.random_range(0..=length);
    let rest = length - start;
    let most = if rng.random_ratio(1, 8) { rest } else { rest.min(PART_BYTES_MAX) };
    start..start + rng.random_range(0..=most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn any_input_can_be_damaged_the_empty_one_too() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            lengths.insert(damaged(&mut rng, b"", b"").len().min(9));
            lengths.insert(damaged(&mut rng, b"abcdefgh", b"").len().min(9));
            lengths.insert(damaged(&mut rng, b"", b"0123").len().min(9));
        }
        assert_eq!(lengths, (0..=9).collect());
    }

    #[test]
    fn most_damage_leaves_most_of_an_input_standing() {
        let mut rng = SmallRng::seed_from_u64(2);
        let input: Vec<u8> = (0..=255).collect();
        let alike = |bytes: &[u8]| {
            let same = input.iter().zip(bytes).filter(|(old, new)| old == new).count();
            same > 200
        };
        let count = (0..1_000).filter(|_| alike(&damaged(&mut rng, &input, &input))).count();
        assert!((200..990).contains(&count), "{count} of 1000");
    }
}
