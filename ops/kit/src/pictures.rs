//! Under which addresses pictures are shown.
//!
//! An address follows from the id of a picture and from the settings alone, so whoever writes one
//! down asks nobody. What lies there never changes.

use std::sync::Arc;

use cityevents_domain::ids::ImageId;

use crate::config::Config;

/// The path that all of them are under.
pub const PATH: &str = "/media";

/// A size of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureSize {
    /// A square of 256.
    Avatar256,
    /// A square of 512.
    Avatar512,
    /// 800 wide, 450 high.
    Cover800,
    /// 1600 wide, 900 high.
    Cover1600,
}

impl PictureSize {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Avatar256, Self::Avatar512, Self::Cover800, Self::Cover1600];
    /// Those of an avatar, the largest first.
    pub const AVATAR: [Self; 2] = [Self::Avatar512, Self::Avatar256];
    /// Those of a cover, the largest first.
    pub const COVER: [Self; 2] = [Self::Cover1600, Self::Cover800];

    /// Width and height.
    pub const fn pixels(self) -> (u32, u32) {
        match self {
            Self::Avatar256 => (256, 256),
            Self::Avatar512 => (512, 512),
            Self::Cover800 => (800, 450),
            Self::Cover1600 => (1600, 900),
        }
    }

    const fn stem(self) -> &'static str {
        match self {
            Self::Avatar256 => "avatar-256",
            Self::Avatar512 => "avatar-512",
            Self::Cover800 => "cover-800",
            Self::Cover1600 => "cover-1600",
        }
    }
}

/// How a picture is written that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShownFormat {
    /// For browsers.
    WebP,
    /// For everything else.
    Jpeg,
}

impl ShownFormat {
    /// Both.
    pub const ALL: [Self; 2] = [Self::WebP, Self::Jpeg];

    /// As `Content-Type` says it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::WebP => "webp",
            Self::Jpeg => "jpg",
        }
    }
}

/// One form of a picture, as its last segment names it: `cover-800.webp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shown {
    /// How large.
    pub size: PictureSize,
    /// How written.
    pub format: ShownFormat,
}

impl Shown {
    /// One of a name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, ending) = name.split_once('.')?;
        let size = PictureSize::ALL.into_iter().find(|size| size.stem() == stem)?;
        let format = ShownFormat::ALL.into_iter().find(|format| format.ending() == ending)?;
        Some(Self { size, format })
    }

    /// Its name.
    pub fn name(self) -> String {
        format!("{}.{}", self.size.stem(), self.format.ending())
    }
}

/// Writes addresses; by default those of pictures that lie beside whatever was asked for. Cheap to
/// clone.
#[derive(Debug, Clone, Default)]
pub struct PictureAddresses {
    base: Arc<str>,
}

impl PictureAddresses {
    /// As configured: at an origin of their own, at the public address of this service, or where
    /// neither is known, wherever this service was asked.
    pub fn of(config: &Config) -> Self {
        let base = config.media.origin.as_ref().or(config.http.public_url.as_ref());
        Self { base: base.map_or("", |base| base.trim_end_matches('/')).into() }
    }

    /// The address of one form of a picture.
    pub fn address(&self, id: &ImageId, shown: Shown) -> String {
        format!("{}{PATH}/{id}/{}", self.base, shown.name())
    }

    /// The one of an avatar, where one is enough.
    pub fn avatar(&self, id: &ImageId) -> String {
        self.address(id, Shown { size: PictureSize::Avatar256, format: ShownFormat::WebP })
    }

    /// The one of a cover, where one is enough.
    pub fn cover(&self, id: &ImageId) -> String {
        self.address(id, Shown { size: PictureSize::Cover800, format: ShownFormat::WebP })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn addresses(overrides: &[(&str, &str)]) -> PictureAddresses {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let overrides = overrides.iter().map(own).collect();
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        PictureAddresses::of(&config)
    }

    #[test]
    fn names_read_back_and_nothing_else_is_one() {
        for size in PictureSize::ALL {
            for format in ShownFormat::ALL {
                let shown = Shown { size, format };
                assert_eq!(Shown::parse(&shown.name()), Some(shown));
            }
        }
        for wrong in ["", "cover-800", "cover-800.png", "cover-800.webp.", "../cover-800.webp"] {
            assert_eq!(Shown::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_at_the_nearest_origin_that_is_known() {
        let id = ImageId::from_bytes([7; 16]);
        let path = format!("/media/{id}/cover-800.webp");
        assert_eq!(addresses(&[]).cover(&id), path);
        let public = ("http.public_url", "https://city.example/");
        assert_eq!(addresses(&[public]).cover(&id), format!("https://city.example{path}"));
        let own = ("media.origin", "https://pictures.example");
        assert_eq!(addresses(&[public, own]).cover(&id), format!("https://pictures.example{path}"));
    }
}
