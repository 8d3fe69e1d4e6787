//! Inputs as text.

use std::fmt::Write as _;

/// Two digits a byte.
pub fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads [`to_text`] back; white space is passed over. `None` when it is something else.
pub fn to_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_and_other_text_does_not() {
        assert_eq!(to_bytes(&to_text(&[0, 0x1f, 0xff])), Some(vec![0, 0x1f, 0xff]));
        assert_eq!(to_bytes("00 ff\n01"), Some(vec![0, 0xff, 1]));
        assert_eq!(to_bytes("0"), None);
        assert_eq!(to_bytes("0g"), None);
    }
}
