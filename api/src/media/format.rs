//! What kind of picture some bytes are: told by the bytes, whatever was said about them.

use serde::{Deserialize, Serialize};

/// Bytes that are needed to tell.
pub(super) const HEAD_BYTES: usize = 12;

/// A kind that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BroughtFormat {
    Jpeg,
    Png,
    WebP,
}

impl BroughtFormat {
    /// Of the first bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    /// Of a `Content-Type`.
    pub(super) fn of_content_type(text: &str) -> Option<Self> {
        let kind = text.split(';').next().unwrap_or_default().trim();
        let known =
            [("image/jpeg", Self::Jpeg), ("image/png", Self::Png), ("image/webp", Self::WebP)];
        known
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(kind))
            .map(|(_, format)| format)
    }

    /// For the library that decodes it.
    pub(super) const fn image_format(self) -> image::ImageFormat {
        match self {
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::Png => image::ImageFormat::Png,
            Self::WebP => image::ImageFormat::WebP,
        }
    }

    /// Whether all of a picture is there. Decoders fill up what is missing of some kinds in silence,
    /// and half a face is no avatar.
    pub(super) fn is_whole(self, bytes: &[u8]) -> bool {
        match self {
            Self::Jpeg => jpeg_is_whole(bytes),
            // Decoders find these short themselves; the length stands in the head.
            Self::WebP => riff_is_whole(bytes),
            Self::Png => true,
        }
    }
}

fn riff_is_whole(bytes: &[u8]) -> bool {
    let length = bytes.get(4..8).and_then(|length| length.try_into().ok());
    let length = length.map(u32::from_le_bytes).and_then(|length| usize::try_from(length).ok());
    length.is_some_and(|length| bytes.len() - 8 >= length)
}

/// Follows the segments of a JPEG to its end. A picture within it, as cameras put one there, has an
/// end of its own, which does not count.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Between segments there may be any number of fill bytes.
        let Some(at) = rest.iter().position(|byte| *byte != 0xff) else { return false };
        if at == 0 {
            return false;
        }
        let (marker, after) = (rest[at], &rest[at + 1..]);
        match marker {
            END => return true,
            0x01 | 0xd0..=0xd7 => rest = after,
            _ => {
                let Some(length) = after.first_chunk::<2>() else { return false };
                let Some(next) = after.get(usize::from(u16::from_be_bytes(*length))..) else {
                    return false;
                };
                rest = if marker == START_OF_SCAN { after_scan(next) } else { next };
            }
        }
    }
}

/// What comes behind the data of a scan: it ends at a marker that is no restart.
fn after_scan(mut data: &[u8]) -> &[u8] {
    loop {
        let Some(at) = data.iter().position(|byte| *byte == 0xff) else { return &[] };
        data = &data[at..];
        match data.get(1) {
            Some(0x00 | 0xd0..=0xd7) => data = &data[2..],
            Some(0xff) => data = &data[1..],
            Some(_) => return data,
            None => return &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_bytes() {
        assert_eq!(BroughtFormat::of_bytes(b"\xff\xd8\xff\xe0...."), Some(BroughtFormat::Jpeg));
        assert_eq!(BroughtFormat::of_bytes(b"\x89PNG\r\n\x1a\n...."), Some(BroughtFormat::Png));
        assert_eq!(BroughtFormat::of_bytes(b"RIFF\0\0\0\0WEBP"), Some(BroughtFormat::WebP));
        for other in [&b""[..], b"GIF89a", b"<svg>", b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"%PDF"] {
            assert_eq!(BroughtFormat::of_bytes(other), None);
        }
        assert_eq!(BroughtFormat::of_content_type("Image/PNG; x=y"), Some(BroughtFormat::Png));
        assert_eq!(BroughtFormat::of_content_type("image/svg+xml"), None);
    }

    #[test]
    fn a_jpeg_is_whole_when_its_own_end_is_there() {
        // A segment with the end of another picture in it, a scan with a stuffed byte and a restart.
        let whole = [
            &b"\xff\xd8"[..],
            b"\xff\xe1\x00\x06\xff\xd9\xff\xd9",
            b"\xff\xda\x00\x03\x01",
            b"ab\xff\x00c\xff\xd0d",
            b"\xff\xd9",
        ]
        .concat();
        assert!(BroughtFormat::Jpeg.is_whole(&whole));
        for length in 0..whole.len() {
            assert!(!BroughtFormat::Jpeg.is_whole(&whole[..length]), "cut at {length}");
        }
        let with_more = [&whole[..], b"PK\x03\x04"].concat();
        assert!(BroughtFormat::Jpeg.is_whole(&with_more), "what is behind it is not looked at");
    }
}
