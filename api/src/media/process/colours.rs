//! Colours as browsers take them that are told of no other: sRGB (IEC 61966-2-1).
//!
//! Phones write pictures in wider spaces and say so in an ICC profile. Forms carry no profile, so that
//! their numbers have to be those of sRGB; without that, skin looks pale.

use image::RgbaImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// The picture with its colours in sRGB. A profile that cannot be read, or that is of no RGB space
/// (the decoder has made RGB of everything else), leaves them as they are.
pub(super) fn in_srgb(picture: RgbaImage, icc_profile: &[u8]) -> RgbaImage {
    converted(&picture, icc_profile).unwrap_or(picture)
}

fn converted(picture: &RgbaImage, icc_profile: &[u8]) -> Option<RgbaImage> {
    let source = ColorProfile::new_from_slice(icc_profile).ok()?;
    if source.color_space != DataColorSpace::Rgb {
        return None;
    }
    let target = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let conversion =
        source.create_transform_8bit(Layout::Rgba, &target, Layout::Rgba, options).ok()?;
    let mut converted = RgbaImage::new(picture.width(), picture.height());
    conversion.transform(picture.as_raw(), &mut converted).ok()?;
    Some(converted)
}
