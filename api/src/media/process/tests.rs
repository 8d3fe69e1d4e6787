//! What comes out of pictures, and which ones nothing comes out of.

use image::{ImageFormat, RgbImage, Rgba, RgbaImage};

use super::*;

/// Red above, blue below: wide enough to see which way it was turned and where it was cut.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |_, y| match y < height / 2 {
        true => image::Rgb([230, 20, 20]),
        false => image::Rgb([20, 20, 230]),
    })
}

fn written(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A segment of a JPEG as cameras write one: an orientation, and where it was.
fn exif(orientation: u16) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08".to_vec();
    // Two entries: orientation, and the place of the coordinates.
    tiff.extend_from_slice(&[0, 2]);
    tiff.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1]);
    tiff.extend_from_slice(&orientation.to_be_bytes());
    tiff.extend_from_slice(&[0, 0]);
    tiff.extend_from_slice(&[0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38]);
    tiff.extend_from_slice(&[0, 0, 0, 0]);
    // One coordinate, and a text to look for.
    tiff.extend_from_slice(&[0, 1, 0, 1, 0, 2, 0, 0, 0, 2, b'N', 0, 0, 0, 0, 0, 0, 0]);
    tiff.extend_from_slice(b"GPS 41.1496N 8.6109W");
    let body = [b"Exif\0\0", &tiff[..]].concat();
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xff, 0xe1], &length[..], &body].concat()
}

/// Puts something behind the first two bytes of a JPEG.
fn with_segment(jpeg: &[u8], segment: &[u8]) -> Vec<u8> {
    [&jpeg[..2], segment, &jpeg[2..]].concat()
}

fn made(bytes: &[u8], format: BroughtFormat, purpose: Purpose) -> Result<Vec<Form>, Failure> {
    forms(bytes, format, purpose, Focus::CENTRE)
}

fn decoded(form: &Form) -> RgbaImage {
    let format = match form.shown.format {
        ShownFormat::WebP => ImageFormat::WebP,
        ShownFormat::Jpeg => ImageFormat::Jpeg,
    };
    image::load_from_memory_with_format(&form.bytes, format).unwrap().into_rgba8()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}

fn is_near(pixel: &Rgba<u8>, expected: [u8; 3]) -> bool {
    pixel.0.iter().zip(expected).all(|(is, expected)| is.abs_diff(expected) < 40)
}

#[test]
fn every_purpose_has_its_sizes_in_both_formats() {
    let picture = halves(640, 480);
    for (format, image_format) in [
        (BroughtFormat::Jpeg, ImageFormat::Jpeg),
        (BroughtFormat::Png, ImageFormat::Png),
        (BroughtFormat::WebP, ImageFormat::WebP),
    ] {
        let bytes = written(picture.clone(), image_format);
        for (purpose, sizes) in [
            (Purpose::Avatar, [(512, 512), (256, 256)]),
            (Purpose::EventCover, [(1600, 900), (800, 450)]),
        ] {
            let made = made(&bytes, format, purpose).unwrap();
            assert_eq!(made.len(), 4);
            for (form, size) in made.iter().zip(sizes.into_iter().flat_map(|size| [size, size])) {
                let picture = decoded(form);
                assert_eq!(picture.dimensions(), size, "{format:?} {purpose:?}");
                let (width, height) = size;
                assert!(is_near(picture.get_pixel(width / 2, 4), [230, 20, 20]));
                assert!(is_near(picture.get_pixel(width / 2, height - 4), [20, 20, 230]));
            }
        }
    }
}

#[test]
fn what_a_camera_wrote_down_is_gone_and_the_picture_stands_upright() {
    let plain = written(halves(64, 64), ImageFormat::Jpeg);
    // Held upside down.
    let bytes = with_segment(&plain, &exif(3));
    assert!(contains(&bytes, b"GPS 41.1496N"), "the test has something to look for");
    let made = made(&bytes, BroughtFormat::Jpeg, Purpose::Avatar).unwrap();
    for form in &made {
        for left in [&b"Exif"[..], b"GPS", b"41.1496N", b"ICC_PROFILE", b"xmp"] {
            assert!(!contains(&form.bytes, left), "{left:?} in {:?}", form.shown);
        }
        let picture = decoded(form);
        let (width, height) = picture.dimensions();
        assert!(is_near(picture.get_pixel(width / 2, 8), [20, 20, 230]), "blue is above now");
        assert!(is_near(picture.get_pixel(width / 2, height - 8), [230, 20, 20]));
    }
}

#[test]
fn colours_of_a_phone_are_those_of_a_browser_and_a_broken_profile_changes_nothing() {
    let brought = RgbImage::from_pixel(64, 64, image::Rgb([200, 100, 100]));
    let with_profile = |profile: Vec<u8>| {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        image::ImageEncoder::set_icc_profile(&mut encoder, profile).unwrap();
        brought.write_with_encoder(encoder).unwrap();
        bytes
    };
    let display_p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    // By the matrices of CSS Color 4, and as it was.
    for (profile, expected) in
        [(display_p3.clone(), [215, 93, 97]), (display_p3[..99].to_vec(), [200, 100, 100])]
    {
        for form in made(&with_profile(profile), BroughtFormat::Png, Purpose::Avatar).unwrap() {
            let picture = decoded(&form);
            let pixel = picture.get_pixel(100, 100);
            let is_there =
                pixel.0.iter().zip(expected).all(|(is, expected)| is.abs_diff(expected) < 4);
            assert!(is_there, "{pixel:?} for {expected:?} in {:?}", form.shown);
        }
    }
}

#[test]
fn what_is_hidden_behind_a_picture_stays_behind() {
    let evil = b"<script>alert(1)</script>PK\x03\x04";
    for (format, image_format) in
        [(BroughtFormat::Jpeg, ImageFormat::Jpeg), (BroughtFormat::Png, ImageFormat::Png)]
    {
        let mut bytes = written(halves(40, 40), image_format);
        bytes.extend_from_slice(evil);
        for form in made(&bytes, format, Purpose::Avatar).unwrap() {
            assert!(!contains(&form.bytes, b"script") && !contains(&form.bytes, b"PK\x03\x04"));
        }
    }
    let comment = [&[0xff, 0xfe, 0, 27][..], b"<script>alert(1)</script>"].concat();
    let bytes = with_segment(&written(halves(40, 40), ImageFormat::Jpeg), &comment);
    for form in made(&bytes, BroughtFormat::Jpeg, Purpose::Avatar).unwrap() {
        assert!(!contains(&form.bytes, b"script"));
    }
}

#[test]
fn a_picture_that_is_cut_off_anywhere_is_none() {
    for (format, image_format) in [
        (BroughtFormat::Jpeg, ImageFormat::Jpeg),
        (BroughtFormat::Png, ImageFormat::Png),
        (BroughtFormat::WebP, ImageFormat::WebP),
    ] {
        let bytes = written(halves(64, 48), image_format);
        for part in 1..20 {
            let cut = &bytes[..bytes.len() * part / 20];
            let failed = made(cut, format, Purpose::Avatar).map(drop);
            assert_eq!(failed, Err(Failure::Unreadable), "{format:?} cut at {part}/20");
        }
    }
}

#[test]
fn a_flipped_byte_makes_another_picture_or_none_and_no_panic() {
    for (format, image_format) in [
        (BroughtFormat::Jpeg, ImageFormat::Jpeg),
        (BroughtFormat::Png, ImageFormat::Png),
        (BroughtFormat::WebP, ImageFormat::WebP),
    ] {
        let bytes = written(halves(24, 24), image_format);
        for at in (0..bytes.len()).step_by(bytes.len() / 20 + 1) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            // Whatever it says, it says something.
            let _said = made(&damaged, format, Purpose::Avatar).map(drop);
        }
    }
}

/// The head of a PNG that claims a size, without what it claims.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = written(halves(8, 8), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// As PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for byte in bytes {
        rest ^= u32::from(*byte);
        for _ in 0..8 {
            rest = if rest & 1 == 1 { (rest >> 1) ^ 0xedb8_8320 } else { rest >> 1 };
        }
    }
    !rest
}

#[test]
fn a_size_that_is_too_large_is_refused_before_anything_is_decoded() {
    for (width, height) in [(8_001, 1), (1, 8_001), (60_000, 60_000), (u32::MAX >> 1, 1)] {
        let failed = memory_needed(&claiming(width, height), BroughtFormat::Png);
        assert_eq!(failed, Err(Failure::TooManyPixels), "{width} x {height}");
    }
    // What is taken may still be a lie: then the pixels are missing.
    assert_eq!(memory_needed(&claiming(8_000, 8_000), BroughtFormat::Png), Ok(768_000_000));
    let failed = made(&claiming(200, 200), BroughtFormat::Png, Purpose::Avatar).map(drop);
    assert_eq!(failed, Err(Failure::Unreadable));
    assert_eq!(memory_needed(&claiming(0, 8), BroughtFormat::Png), Err(Failure::Unreadable));
}

#[test]
fn what_is_called_one_kind_and_is_another_is_unreadable() {
    let png = written(halves(20, 20), ImageFormat::Png);
    let failed = made(&png, BroughtFormat::Jpeg, Purpose::Avatar).map(drop);
    assert_eq!(failed, Err(Failure::Unreadable));
    for nothing in [&b""[..], b"\xff\xd8\xff", b"RIFF\x04\0\0\0WEBP", b"\x89PNG\r\n\x1a\n"] {
        let format = BroughtFormat::of_bytes(nothing).unwrap_or(BroughtFormat::Jpeg);
        let failed = made(nothing, format, Purpose::Avatar).map(drop);
        assert_eq!(failed, Err(Failure::Unreadable), "{nothing:?}");
    }
}

#[test]
fn what_can_be_seen_through_is_white_where_it_cannot_be() {
    let clear = RgbaImage::from_pixel(50, 50, Rgba([10, 10, 10, 0]));
    let made = made(&written(clear, ImageFormat::Png), BroughtFormat::Png, Purpose::Avatar);
    for form in made.unwrap() {
        let pixel = *decoded(&form).get_pixel(100, 100);
        match form.shown.format {
            ShownFormat::WebP => assert_eq!(pixel.0[3], 0),
            ShownFormat::Jpeg => assert!(is_near(&pixel, [255, 255, 255]), "{pixel:?}"),
        }
    }
}

#[test]
fn pictures_are_cut_around_the_focus_and_never_beyond_their_edge() {
    let centre = (0.5, 0.5);
    for (whole, target, (x, y), expected) in [
        ((400, 200), (100, 100), centre, (100, 0, 200, 200)),
        ((400, 200), (100, 100), (0.0, 0.5), (0, 0, 200, 200)),
        ((400, 200), (100, 100), (1.0, 0.5), (200, 0, 200, 200)),
        ((400, 200), (100, 100), (0.4, 0.0), (60, 0, 200, 200)),
        ((200, 400), (1600, 900), centre, (0, 144, 200, 112)),
        ((1600, 900), (1600, 900), (0.0, 1.0), (0, 0, 1600, 900)),
        ((1, 8000), (512, 512), (0.5, 1.0), (0, 7999, 1, 1)),
        ((8000, 1), (800, 450), centre, (4000, 0, 1, 1)),
    ] {
        let found = part(whole, target, Focus { x, y });
        assert_eq!(found, expected, "{whole:?} to {target:?} around {x} {y}");
    }
    let top = Focus { x: 0.5, y: 0.0 };
    let tall = written(halves(100, 400), ImageFormat::Png);
    let made = forms(&tall, BroughtFormat::Png, Purpose::Avatar, top).unwrap();
    assert!(is_near(decoded(&made[0]).get_pixel(256, 500), [230, 20, 20]), "all of it is the top");
}
