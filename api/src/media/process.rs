//! From the bytes of a picture to the forms that are shown: pure, and bounded by what it is given.
//!
//! The kind is told by the bytes, the size is looked at before anything is decoded, and what comes
//! out holds nothing but pixels. So what a camera wrote down (where, when, by whom), what somebody
//! hid behind the picture and whatever else the file is good for stays behind.

use std::io::Cursor;

use bytes::Bytes;
use cityevents_kit::pictures::{PictureSize, Shown, ShownFormat};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageReader, Limits, Rgba, RgbaImage};

mod colours;

use super::format::BroughtFormat;
use super::record::{Failure, Focus, Purpose};

/// Width and height at most.
const SIDE_MAX: u32 = 8_000;
/// Memory that a pixel of any kind needs at most, with everything that is made of it.
const PIXEL_BYTES_MAX: u64 = 12;
/// Of 100. Below, faces get spots; above, files grow and nobody sees why.
const QUALITY: u8 = 80;

/// One form of a picture that can be shown.
pub(super) struct Form {
    pub(super) shown: Shown,
    pub(super) bytes: Bytes,
}

/// What a picture needs in memory while it is worked on, by its head.
pub(super) fn memory_needed(bytes: &[u8], format: BroughtFormat) -> Result<u64, Failure> {
    let decoder = reader(bytes, format).into_decoder().map_err(|error| failure_of(&error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Failure::Unreadable);
    }
    if width > SIDE_MAX || height > SIDE_MAX {
        return Err(Failure::TooManyPixels);
    }
    Ok(u64::from(width) * u64::from(height) * PIXEL_BYTES_MAX)
}

const fn failure_of(error: &ImageError) -> Failure {
    match error {
        ImageError::Limits(_) => Failure::TooManyPixels,
        _ => Failure::Unreadable,
    }
}

/// All forms of a picture.
pub(super) fn forms(
    bytes: &[u8],
    format: BroughtFormat,
    purpose: Purpose,
    focus: Focus,
) -> Result<Vec<Form>, Failure> {
    let memory = memory_needed(bytes, format)?;
    if !format.is_whole(bytes) {
        return Err(Failure::Unreadable);
    }
    let mut decoder = reader(bytes, format).into_decoder().map_err(|error| failure_of(&error))?;
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(memory);
    decoder.set_limits(limits).map_err(|_| Failure::TooManyPixels)?;
    // What a camera says about how it was held; where it cannot be read, it was held straight.
    let orientation = decoder.orientation().ok();
    let mut icc_profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| failure_of(&error))?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    let sizes = match purpose {
        Purpose::Avatar => PictureSize::AVATAR,
        Purpose::EventCover => PictureSize::COVER,
    };
    let mut made = Vec::with_capacity(sizes.len() * ShownFormat::ALL.len());
    // The smaller one is made of the larger one.
    let mut larger = DynamicImage::ImageRgba8(picture.into_rgba8());
    for size in sizes {
        let (width, height) = size.pixels();
        larger = cut(&larger, width, height, focus);
        let mut pixels = larger.to_rgba8();
        // Once, and not before there are few pixels.
        if let Some(icc_profile) = icc_profile.take() {
            pixels = colours::in_srgb(pixels, &icc_profile);
            larger = DynamicImage::ImageRgba8(pixels.clone());
        }
        for format in ShownFormat::ALL {
            let bytes = encode(&pixels, format)?;
            made.push(Form { shown: Shown { size, format }, bytes });
        }
    }
    Ok(made)
}

fn reader(bytes: &[u8], format: BroughtFormat) -> ImageReader<Cursor<&[u8]>> {
    ImageReader::with_format(Cursor::new(bytes), format.image_format())
}

/// The largest part of these proportions that lies nearest to the focus, in this size.
fn cut(picture: &DynamicImage, width: u32, height: u32, focus: Focus) -> DynamicImage {
    let whole = (picture.width(), picture.height());
    let (x, y, part_width, part_height) = part(whole, (width, height), focus);
    let part = picture.crop_imm(x, y, part_width, part_height);
    part.resize_exact(width, height, FilterType::Lanczos3)
}

/// Left, top, width and height of that part.
fn part(
    (width, height): (u32, u32),
    (target_width, target_height): (u32, u32),
    focus: Focus,
) -> (u32, u32, u32, u32) {
    let (target_width, target_height) = (u64::from(target_width), u64::from(target_height));
    let fitting_width = u64::from(height) * target_width / target_height;
    let fitting_height = u64::from(width) * target_height / target_width;
    let narrow = |fitting: u64, most: u32| u32::try_from(fitting).unwrap_or(most).clamp(1, most);
    let (part_width, part_height) = (narrow(fitting_width, width), narrow(fitting_height, height));
    let at = |focus: f32, whole: u32, part: u32| {
        let middle = f64::from(focus.clamp(0.0, 1.0)) * f64::from(whole);
        let start = (middle - f64::from(part) / 2.0).round();
        // Within the picture, so that the cast is exact.
        start.clamp(0.0, f64::from(whole - part)) as u32
    };
    (at(focus.x, width, part_width), at(focus.y, height, part_height), part_width, part_height)
}

fn encode(picture: &RgbaImage, format: ShownFormat) -> Result<Bytes, Failure> {
    let (width, height) = picture.dimensions();
    match format {
        ShownFormat::WebP => {
            let encoder = webp::Encoder::from_rgba(picture.as_raw(), width, height);
            let encoded = encoder.encode_simple(false, f32::from(QUALITY));
            encoded.map(|bytes| Bytes::copy_from_slice(&bytes)).map_err(|_| Failure::Unworkable)
        }
        ShownFormat::Jpeg => {
            let mut bytes = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
            let encoded = on_white(picture).write_with_encoder(encoder);
            encoded.map(|()| Bytes::from(bytes)).map_err(|_| Failure::Unworkable)
        }
    }
}

/// Without what can be seen through.
fn on_white(picture: &RgbaImage) -> DynamicImage {
    let (width, height) = picture.dimensions();
    let blended = image::RgbImage::from_fn(width, height, |x, y| {
        let Rgba([red, green, blue, alpha]) = *picture.get_pixel(x, y);
        let over = |value: u8| {
            let alpha = u16::from(alpha);
            // Of values up to 255, so is what comes out.
            ((u16::from(value) * alpha + 255 * (255 - alpha)) / 255) as u8
        };
        image::Rgb([over(red), over(green), over(blue)])
    });
    DynamicImage::ImageRgb8(blended)
}

#[cfg(test)]
mod tests;
