//! The encoding of each type, byte for byte, and what is refused.

use cityevents_schemas::{DecodeError, Wire};

fn encoded<'a>(value: &impl Wire<'a>) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn decoded<'a, T: Wire<'a>>(mut bytes: &'a [u8]) -> Result<T, DecodeError> {
    let value = T::decode(&mut bytes)?;
    assert!(bytes.is_empty());
    Ok(value)
}

#[test]
fn numbers_are_zigzag_varints() {
    for (number, bytes) in [
        (0_i64, &[0][..]),
        (-1, &[1]),
        (1, &[2]),
        (-64, &[0x7f]),
        (64, &[0x80, 1]),
        (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    ] {
        assert_eq!(encoded(&number), bytes);
        assert_eq!(decoded(bytes), Ok(number));
    }
}

#[test]
fn a_number_with_bytes_that_it_does_not_need_is_refused() {
    for bytes in [
        &[0x80, 0][..],
        &[0xff, 0x80, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 1],
        &[0xff; 20],
    ] {
        assert_eq!(decoded::<i64>(bytes), Err(DecodeError::OverlongVarint));
    }
    assert_eq!(decoded::<i64>(&[]), Err(DecodeError::Truncated));
    assert_eq!(decoded::<i64>(&[0x80]), Err(DecodeError::Truncated));
}

#[test]
fn texts_and_bytes_have_a_length_that_must_be_there() {
    assert_eq!(encoded(&"né"), [6, b'n', 0xc3, 0xa9]);
    assert_eq!(decoded(&[6, b'n', 0xc3, 0xa9]), Ok("né"));
    assert_eq!(encoded(&&b"\xff"[..]), [2, 0xff]);
    assert_eq!(decoded::<&str>(&[2, 0xff]), Err(DecodeError::InvalidUtf8));
    assert_eq!(decoded::<&[u8]>(&[4, 0]), Err(DecodeError::Truncated));
    assert_eq!(decoded::<&[u8]>(&[1]), Err(DecodeError::NegativeLength { length: -1 }));
    let huge = encoded(&i64::MAX);
    assert_eq!(decoded::<&[u8]>(&huge), Err(DecodeError::Truncated));
    assert_eq!(decoded::<&str>(&huge), Err(DecodeError::Truncated));
}

#[test]
fn a_fixed_value_is_its_bytes() {
    assert_eq!(encoded(&[1_u8, 2]), [1, 2]);
    assert_eq!(decoded(&[1, 2]), Ok([1_u8, 2]));
    assert_eq!(decoded::<[u8; 2]>(&[1]), Err(DecodeError::Truncated));
}

#[test]
fn an_optional_value_has_two_branches() {
    assert_eq!(encoded(&None::<i64>), [0]);
    assert_eq!(encoded(&Some(1_i64)), [2, 2]);
    assert_eq!(decoded::<Option<i64>>(&[0]), Ok(None));
    assert_eq!(decoded(&[2, 2]), Ok(Some(1_i64)));
    assert_eq!(decoded::<Option<i64>>(&[4]), Err(DecodeError::UnknownBranch { index: 2 }));
    assert_eq!(decoded::<Option<i64>>(&[1]), Err(DecodeError::UnknownBranch { index: -1 }));
    assert_eq!(decoded::<Option<i64>>(&[2]), Err(DecodeError::Truncated));
}

#[test]
fn an_array_is_blocks_up_to_an_empty_one() {
    assert_eq!(encoded(&Vec::<i64>::new()), [0]);
    assert_eq!(encoded(&vec![1_i64, 2]), [4, 2, 4, 0]);
    for bytes in [
        &[4, 2, 4, 0][..],
        // Two blocks.
        &[2, 2, 2, 4, 0],
        // A block with its length in bytes.
        &[3, 4, 2, 4, 0],
    ] {
        assert_eq!(decoded(bytes), Ok(vec![1_i64, 2]));
    }
}

#[test]
fn an_array_that_lies_is_refused_before_anything_is_allocated() {
    let huge = encoded(&i64::MAX);
    let least = [encoded(&i64::MIN), vec![0]].concat();
    for (wrong, expected) in [
        (&huge[..], DecodeError::OversizedCount { count: i64::MAX as u64, bytes: 0 }),
        (&least, DecodeError::OversizedCount { count: 1 << 63, bytes: 0 }),
        (&[4, 2][..], DecodeError::OversizedCount { count: 2, bytes: 1 }),
        (&[3, 2, 2, 4, 0], DecodeError::BlockLength),
        (&[3, 1, 2, 4, 0], DecodeError::NegativeLength { length: -1 }),
        (&[2, 2], DecodeError::Truncated),
    ] {
        assert_eq!(decoded::<Vec<i64>>(wrong), Err(expected), "{wrong:?}");
    }
}

#[test]
fn the_least_size_of_a_type_is_right() {
    assert_eq!(<i64 as Wire<'_>>::BYTES_MIN, encoded(&0_i64).len());
    assert_eq!(<&str as Wire<'_>>::BYTES_MIN, encoded(&"").len());
    assert_eq!(<[u8; 16] as Wire<'_>>::BYTES_MIN, 16);
    assert_eq!(<Option<i64> as Wire<'_>>::BYTES_MIN, encoded(&None::<i64>).len());
    assert_eq!(<Vec<i64> as Wire<'_>>::BYTES_MIN, encoded(&Vec::<i64>::new()).len());
}

#[test]
fn a_number_reads_the_same_whatever_follows_it() {
    for shift in 0..64 {
        for number in [1_i64 << shift, -(1_i64 << (shift % 63)), (1_i64 << shift).wrapping_sub(1)] {
            let bytes = encoded(&number);
            for tail in 0..9 {
                let longer = [&bytes[..], &[0xff; 9][..tail]].concat();
                let mut input = &longer[..];
                assert_eq!(i64::decode(&mut input), Ok(number));
                assert_eq!(input.len(), tail);
                // The same with its last group empty.
                let mut padded = bytes.clone();
                *padded.last_mut().unwrap() |= 0x80;
                padded.push(0);
                padded.extend_from_slice(&[0xff; 9][..tail]);
                let error = i64::decode(&mut &padded[..]);
                assert_eq!(error, Err(DecodeError::OverlongVarint), "{number}");
            }
        }
    }
}
