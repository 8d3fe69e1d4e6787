//! Style, scripts and the icon. Names carry a hash of what is in them, so that browsers keep them.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::{ErrorCode, Problem};

/// Where they are.
pub(super) const ROUTE: &str = "/assets/{name}";

/// Letters of a hash in a name.
const HASH_LETTERS: usize = 12;

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($name:literal $kind:literal;)*) => {
        const ASSETS: &[Asset] = &[$(Asset {
            name: $name,
            kind: $kind,
            content: include_bytes!(concat!("../../web/assets/", $name)),
        },)*];
    };
}

assets! {
    "site.css" "text/css; charset=utf-8";
    "door.js" "text/javascript; charset=utf-8";
    "room.js" "text/javascript; charset=utf-8";
    "site.js" "text/javascript; charset=utf-8";
    "icon.svg" "image/svg+xml";
    "share.png" "image/png";
}

static HASHES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let hash = |asset: &Asset| blake3::hash(asset.content).to_hex();
    ASSETS.iter().map(|asset| hash(asset)[..HASH_LETTERS].to_owned()).collect()
});

/// The address of an asset: `site.css` is `/assets/site.<hash>.css`.
pub(super) fn address(name: &str) -> Option<String> {
    let found = ASSETS.iter().zip(HASHES.iter()).find(|(asset, _)| asset.name == name);
    let (stem, end) = name.split_once('.')?;
    found.map(|(_, hash)| format!("/assets/{stem}.{hash}.{end}"))
}

/// One of them. With another hash, which a page of another version asks for, it is the one that is
/// here, and nobody keeps it.
pub(super) async fn one(Path(name): Path<String>) -> Response {
    let mut parts = name.split('.');
    let (Some(stem), Some(hash), Some(end), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Problem::new(ErrorCode::NotFound).into_response();
    };
    let is_asked_for = |asset: &Asset| asset.name.split_once('.') == Some((stem, end));
    let found = ASSETS.iter().zip(HASHES.iter()).find(|(asset, _)| is_asked_for(asset));
    let Some((asset, known)) = found else {
        return Problem::new(ErrorCode::NotFound).into_response();
    };
    let kept = match known == hash {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let mut response = Response::new(Body::from(asset.content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}
