//! Pictures: brought, worked on, shown, used, and deleted.

use axum::response::Response;
use bytes::Bytes;
use cityevents_api::media::{CoverError, Covers};
use cityevents_domain::command::CommandKind;
use cityevents_domain::event::EventPatch;
use cityevents_domain::ids::{EventId, ImageId};
use cityevents_runtime::snapshot::SnapshotOptions;
use futures::TryStreamExt as _;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::*;

/// A picture in a kind.
pub(super) fn picture(format: ImageFormat) -> Bytes {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = RgbImage::from_fn(60, 40, |x, y| image::Rgb([x as u8 * 4, y as u8 * 6, 90]));
    DynamicImage::ImageRgb8(pixels).write_to(&mut bytes, format).unwrap();
    bytes.into_inner().into()
}

/// What an upload was answered with.
struct Upload {
    id: String,
    address: String,
}

impl World {
    async fn user(&self, email: &str) -> (UserId, String) {
        let (id, made) = self.person(email, Role::User).await;
        (id, made.token())
    }

    async fn ask_for(&self, token: &str, purpose: &str) -> Upload {
        let body = Some(json!({ "purpose": purpose }));
        let asked = self.ask_as(token, "/api/media/request-upload", body).await;
        assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
        let address = asked.body["presigned_url"].as_str().unwrap();
        let address = address.split_once("/api/").map(|(_, rest)| format!("/api/{rest}")).unwrap();
        Upload { id: asked.body["upload_id"].as_str().unwrap().to_owned(), address }
    }

    async fn whole(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Status and code of bringing some bytes.
    async fn bring(&self, address: &str, kind: &str, body: impl Into<Body>) -> (u16, String) {
        let request = Request::put(address).header(CONTENT_TYPE, kind).body(body.into()).unwrap();
        let (head, body) = self.whole(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let problem = head.extensions.get::<cityevents_kit::Problem>();
        let code = problem.map_or("", |problem| problem.code().as_str());
        assert!(problem.is_some() || body.is_empty());
        (head.status.as_u16(), code.to_owned())
    }

    async fn complete(&self, token: &str, id: &str) -> Answer {
        self.ask_as(token, "/api/media/complete", Some(json!({ "upload_id": id }))).await
    }

    async fn status(&self, token: &str, id: &str) -> Value {
        self.get(&format!("/api/media/{id}/status"), token).await.body
    }

    async fn sweep(&self) {
        self.media.sweep_once(&self.identity).await.unwrap();
    }

    /// A picture of a person that is ready.
    async fn ready(&self, token: &str, purpose: &str) -> ImageId {
        let upload = self.ask_for(token, purpose).await;
        let brought = self.bring(&upload.address, "image/png", picture(ImageFormat::Png)).await;
        assert_eq!(brought, (204, String::new()));
        self.complete(token, &upload.id).await;
        self.sweep().await;
        let status = self.status(token, &upload.id).await;
        assert_eq!(status["status"], "READY", "{status}");
        upload.id.parse().unwrap()
    }

    async fn set_avatar(&self, token: &str, id: Option<&ImageId>) -> Answer {
        let body = json!({ "upload_id": id.map(ImageId::to_string) });
        let ask = Ask { body: Some(body), token: Some(token), ..Ask::default() };
        self.send("PATCH", "/api/auth/me/avatar", ask).await
    }

    async fn shown(&self, path: &str) -> (StatusCode, axum::http::HeaderMap, Bytes) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = self.whole(request).await.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    }

    /// Everything that is stored of pictures.
    async fn objects(&self) -> Vec<String> {
        let listed: Vec<_> = self.pictures.objects().list(None).try_collect().await.unwrap();
        listed.into_iter().map(|object| object.location.to_string()).collect()
    }

    /// Another instance on the same tables and pictures.
    fn another(&self) -> Media {
        let sealer = CursorSealer::new(InstanceSecret::open(&self.config).unwrap());
        let parts = MediaParts {
            views: Views::of_shared(self.memory.clone()),
            store: self.pictures.clone(),
            clock: self.clock.clone(),
            sealer,
            metrics: MediaMetrics::default(),
        };
        Media::new(parts, &self.config).unwrap()
    }

    fn covers(&self) -> Covers {
        Covers::new(&Views::of_shared(self.memory.clone()), self.clock.clone())
    }
}

#[tokio::test]
async fn an_avatar_is_brought_shown_replaced_and_taken_away() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let upload = world.ask_for(&token, "avatar").await;
    assert_eq!(world.status(&token, &upload.id).await["status"], "PENDING");
    let early = world.complete(&token, &upload.id).await;
    assert_eq!((early.status.as_u16(), early.code()), (409, "invalid_state"));
    let brought = world.bring(&upload.address, "image/jpeg", picture(ImageFormat::Jpeg)).await;
    assert_eq!(brought, (204, String::new()));
    let completed = world.complete(&token, &upload.id).await;
    assert_eq!((completed.status.as_u16(), &completed.body["status"]), (200, &json!("PROCESSING")));
    assert_eq!(world.status(&token, &upload.id).await["status"], "PROCESSING");
    let early = world.set_avatar(&token, Some(&upload.id.parse().unwrap())).await;
    assert_eq!((early.status.as_u16(), early.code()), (400, "validation_failed"));
    world.sweep().await;
    let status = world.status(&token, &upload.id).await;
    assert_eq!(status["status"], "READY");
    let addresses = status["derived_urls"].as_object().unwrap();
    let names: Vec<_> = addresses.keys().map(String::as_str).collect();
    assert_eq!(names, ["avatar-256.jpg", "avatar-256.webp", "avatar-512.jpg", "avatar-512.webp"]);
    for (name, address) in addresses {
        let (status, headers, bytes) = world.shown(address.as_str().unwrap()).await;
        let format = if name.ends_with("webp") { ImageFormat::WebP } else { ImageFormat::Jpeg };
        let side = if name.contains("256") { 256 } else { 512 };
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(headers["content-type"], format.to_mime_type());
        let decoded = image::load_from_memory_with_format(&bytes, format).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (side, side));
        let again =
            Request::get(address.as_str().unwrap()).header("if-none-match", &headers["etag"]);
        let again = world.whole(again.body(Body::empty()).unwrap()).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }
    assert!(!world.objects().await.iter().any(|path| path.starts_with("incoming")));
    // Said again, it is as it is.
    assert_eq!(world.complete(&token, &upload.id).await.body["status"], "READY");

    let first: ImageId = upload.id.parse().unwrap();
    let user = world.set_avatar(&token, Some(&first)).await;
    let address = user.body["data"]["avatar_url"].as_str().unwrap().to_owned();
    assert_eq!(address, format!("/media/{first}/avatar-256.webp"));
    assert_eq!(world.get("/api/auth/me", &token).await.body["data"]["avatar_url"], address);
    let second = world.ready(&token, "avatar").await;
    world.set_avatar(&token, Some(&second)).await;
    world.sweep().await;
    assert_eq!(world.shown(&address).await.0, StatusCode::NOT_FOUND, "the first one is deleted");
    let none = world.set_avatar(&token, None).await;
    assert_eq!(none.status, StatusCode::OK);
    assert!(none.body["data"].get("avatar_url").is_none(), "{}", none.body);
    world.sweep().await;
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_picture_or_comes_in_a_wrong_way_is_refused_by_name() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let jpeg = picture(ImageFormat::Jpeg);
    let too_large = [&jpeg[..], &vec![0; 10 << 20]].concat();
    let html = Bytes::from_static(b"<!doctype html><script>alert(1)</script>");
    let svg = Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>");
    let gif = Bytes::from_static(b"GIF89a\x01\0\x01\0\0\0\0;............");
    for (kind, body, expected) in [
        ("image/jpeg", too_large.into(), (413, "payload_too_large")),
        ("image/jpeg", Bytes::new(), (400, "validation_failed")),
        ("image/png", html, (415, "unsupported_media_type")),
        ("image/webp", svg, (415, "unsupported_media_type")),
        ("image/png", gif, (415, "unsupported_media_type")),
        ("image/png", Bytes::from_static(b"\x89PNG"), (415, "unsupported_media_type")),
        ("text/html", jpeg.clone(), (415, "unsupported_media_type")),
        ("image/svg+xml", jpeg.clone(), (415, "unsupported_media_type")),
        ("", jpeg.clone(), (415, "unsupported_media_type")),
    ] {
        let upload = world.ask_for(&token, "avatar").await;
        let length = body.len();
        let (status, code) = world.bring(&upload.address, kind, body).await;
        assert_eq!((status, &*code), expected, "{length} bytes as {kind:?}");
        // A refusal uses nothing up.
        let brought = world.bring(&upload.address, "image/jpeg", jpeg.clone()).await;
        assert_eq!(brought.0, 204);
    }
    // A body that says nothing of its length is counted as it comes, and one that breaks off is none.
    let upload = world.ask_for(&token, "avatar").await;
    let more = std::iter::repeat_n(Bytes::from(vec![0; 1 << 20]), 10);
    let parts = std::iter::once(jpeg.clone()).chain(more).map(Ok::<_, std::io::Error>);
    let endless = Body::from_stream(futures::stream::iter(parts));
    assert_eq!(world.bring(&upload.address, "image/jpeg", endless).await.0, 413);
    let broken = [Ok(jpeg.clone()), Err(std::io::Error::other("gone"))];
    let broken = Body::from_stream(futures::stream::iter(broken));
    assert_eq!(world.bring(&upload.address, "image/jpeg", broken).await.0, 400);
    assert_eq!(world.status(&token, &upload.id).await["status"], "PENDING");
    assert!(world.objects().await.iter().all(|path| !path.contains(&upload.id)));
    // A header that lies about which picture it is does no harm: the bytes are looked at.
    let upload = world.ask_for(&token, "avatar").await;
    assert_eq!(world.bring(&upload.address, "image/webp", jpeg).await.0, 204);
    world.complete(&token, &upload.id).await;
    world.sweep().await;
    assert_eq!(world.status(&token, &upload.id).await["status"], "READY");
}

#[tokio::test]
async fn an_address_is_good_once_for_minutes_and_for_one_picture() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let (_, stranger) = world.user("eve@example.org").await;
    let jpeg = picture(ImageFormat::Jpeg);
    let upload = world.ask_for(&token, "avatar").await;
    let other = world.ask_for(&stranger, "avatar").await;
    let used = (400, "token_invalid".to_owned());
    let secret = upload.address.split_once("token=").unwrap().1;
    for wrong in [
        format!("/api/media/uploads/{}", upload.id),
        format!("/api/media/uploads/{}?token=", upload.id),
        format!("/api/media/uploads/{}?token=made-up", upload.id),
        format!("/api/media/uploads/{}?token={secret}", other.id),
        format!("/api/media/uploads/{}?token={secret}", Uuid::from_bytes([3; 16])),
    ] {
        assert_eq!(world.bring(&wrong, "image/jpeg", jpeg.clone()).await, used, "{wrong}");
    }
    // Two at once: one counts, and nothing is left of the other.
    let (one, two) = futures::join!(
        world.bring(&upload.address, "image/jpeg", jpeg.clone()),
        world.bring(&upload.address, "image/jpeg", jpeg.clone()),
    );
    let mut came = [one.0, two.0];
    came.sort_unstable();
    assert_eq!(came, [204, 400]);
    assert_eq!(world.objects().await.len(), 1);
    assert_eq!(world.bring(&upload.address, "image/jpeg", jpeg.clone()).await, used);
    // Of others there is nothing.
    for path in
        [format!("/api/media/{}/status", upload.id), format!("/api/media/{}/status", Uuid::nil())]
    {
        assert_eq!(world.get(&path, &stranger).await.status, StatusCode::NOT_FOUND);
    }
    let theirs = world.complete(&stranger, &upload.id).await;
    assert_eq!((theirs.status.as_u16(), theirs.code()), (404, "not_found"));

    world.pass(5 * 60);
    assert_eq!(world.bring(&other.address, "image/jpeg", jpeg).await, used, "too late");
    world.sweep().await;
    let status = world.status(&stranger, &other.id).await;
    assert_eq!(
        (&status["status"], &status["error"]["code"]),
        (&json!("FAILED"), &json!("expired"))
    );
    // What nobody completed goes with it, and in the end there is nothing to ask about.
    assert_eq!(world.objects().await, Vec::<String>::new());
    world.pass(24 * 3_600);
    world.sweep().await;
    let path = format!("/api/media/{}/status", other.id);
    // The session of the token is older than a day.
    let token = world.login("eve@example.org", PASSWORD).await.token();
    assert_eq!(world.get(&path, &token).await.status, StatusCode::NOT_FOUND);
}

/// The head of a PNG of this size, and nothing behind it.
fn head_of(width: u32, height: u32) -> Bytes {
    let mut bytes = picture(ImageFormat::Png).to_vec();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = bytes[12..29].iter().fold(u32::MAX, |rest, byte| {
        (0..8).fold(rest ^ u32::from(*byte), |rest, _| {
            if rest & 1 == 1 { (rest >> 1) ^ 0xedb8_8320 } else { rest >> 1 }
        })
    });
    bytes[29..33].copy_from_slice(&(!checksum).to_be_bytes());
    bytes.into()
}

#[tokio::test]
async fn pictures_that_cannot_be_shown_say_why() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let jpeg = picture(ImageFormat::Jpeg);
    let half = jpeg.slice(..jpeg.len() / 2);
    let is_jpeg_and_html = Bytes::from_static(b"\xff\xd8\xff<script>alert(1)</script>");
    for (name, body, expected) in [
        ("a bomb", head_of(60_000, 60_000), "too_many_pixels"),
        ("too wide by one", head_of(8_001, 10), "too_many_pixels"),
        ("a lie about its size", head_of(4_000, 4_000), "unreadable"),
        ("cut off", half, "unreadable"),
        ("a head with something else", is_jpeg_and_html, "unreadable"),
    ] {
        let upload = world.ask_for(&token, "event_cover").await;
        assert_eq!(world.bring(&upload.address, "image/jpeg", body).await.0, 204, "{name}");
        world.complete(&token, &upload.id).await;
        world.sweep().await;
        let status = world.status(&token, &upload.id).await;
        assert_eq!(status["status"], "FAILED", "{name}");
        assert_eq!(status["error"]["code"], expected, "{name}");
        assert!(status.get("derived_urls").is_none());
        let refused = world.set_avatar(&token, Some(&upload.id.parse().unwrap())).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_comes_with_a_picture_is_shown_to_nobody() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let jpeg = picture(ImageFormat::Jpeg);
    // A place in the head, and a program behind the end.
    let place = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0GPSLatitude 41.1496";
    let length = u16::try_from(place.len() + 2).unwrap().to_be_bytes();
    let bytes = [
        &jpeg[..2],
        &[0xff, 0xe1],
        &length,
        place,
        &jpeg[2..],
        b"PK\x03\x04<script>alert(1)</script>",
    ]
    .concat();
    let upload = world.ask_for(&token, "event_cover").await;
    assert_eq!(world.bring(&upload.address, "image/jpeg", bytes).await.0, 204);
    world.complete(&token, &upload.id).await;
    world.sweep().await;
    let status = world.status(&token, &upload.id).await;
    for address in status["derived_urls"].as_object().unwrap().values() {
        let (_, _, bytes) = world.shown(address.as_str().unwrap()).await;
        for left in [&b"Exif"[..], b"GPSLatitude", b"41.1496", b"PK\x03\x04", b"<script>"] {
            assert!(!bytes.windows(left.len()).any(|part| part == left), "{address}: {left:?}");
        }
    }
}

#[tokio::test]
async fn a_picture_that_somebody_was_killed_over_is_taken_up_by_another() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let upload = world.ask_for(&token, "avatar").await;
    world.bring(&upload.address, "image/png", picture(ImageFormat::Png)).await;
    world.complete(&token, &upload.id).await;
    // Somebody begins and comes to an end before it does.
    let (first, identity) = (world.another(), world.identity.clone());
    {
        let begun = first.sweep_once(&identity);
        let mut begun = std::pin::pin!(begun);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while !world.is_leased(&upload.id).await {
            assert!(begun.as_mut().poll(&mut context).is_pending(), "it was done at once");
        }
    }
    // As long as it may be worked on, nobody else does.
    world.sweep().await;
    assert_eq!(world.status(&token, &upload.id).await["status"], "PROCESSING");
    world.pass(31);
    world.sweep().await;
    assert_eq!(world.status(&token, &upload.id).await["status"], "READY");
    assert_eq!(world.objects().await.len(), 4);
}

#[tokio::test]
async fn a_picture_that_kills_everybody_is_given_up() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let upload = world.ask_for(&token, "avatar").await;
    world.bring(&upload.address, "image/png", picture(ImageFormat::Png)).await;
    world.complete(&token, &upload.id).await;
    let (mut deaths, mut context) = (0, std::task::Context::from_waker(std::task::Waker::noop()));
    while world.status(&token, &upload.id).await["status"] == "PROCESSING" {
        let instance = world.another();
        let begun = instance.sweep_once(&world.identity);
        let mut begun = std::pin::pin!(begun);
        let mut is_over = false;
        while !is_over && !world.is_leased(&upload.id).await {
            is_over = begun.as_mut().poll(&mut context).is_ready();
        }
        if !is_over {
            deaths += 1;
        }
        assert!(deaths <= 5, "it is tried for ever");
        world.pass(31);
    }
    let status = world.status(&token, &upload.id).await;
    assert_eq!((deaths, &status["error"]["code"]), (5, &json!("unworkable")));
    assert_eq!(world.objects().await, Vec::<String>::new());
}

impl World {
    /// Whether somebody works on a picture.
    async fn is_leased(&self, id: &str) -> bool {
        let id: ImageId = id.parse().unwrap();
        let key = RecordKey::new(RecordKind::Picture, id.as_bytes().as_slice());
        let record = self.memory.record(key).await.unwrap().unwrap();
        let record: Value = serde_json::from_slice(&record.value.content).unwrap();
        record["lease_until_ms"].as_i64().unwrap_or_default() > self.clock.now_ms()
    }

    async fn take(&self, user: &UserId, event: &EventId, cover: &ImageId) -> bool {
        match self.covers().take(user, event, &[*cover]).await {
            Ok(()) => true,
            Err(CoverError::NotThere(_)) => false,
            Err(error) => unreachable!("{error}"),
        }
    }
}

#[tokio::test]
async fn events_take_covers_of_their_own_that_are_ready_and_nothing_else() {
    let world = World::new();
    let (owner, token) = world.user("ada@example.org").await;
    let (stranger, other_token) = world.user("eve@example.org").await;
    let (event, another) = (EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16]));
    let cover = world.ready(&token, "event_cover").await;
    assert!(world.take(&owner, &event, &cover).await);
    // Staff changes the event and leaves the cover as it is; it does not get it for other events.
    assert!(world.take(&stranger, &event, &cover).await);
    assert!(!world.take(&stranger, &another, &cover).await);
    assert!(world.take(&owner, &another, &cover).await, "one cover for two events");
    let avatar = world.ready(&token, "avatar").await;
    assert!(!world.take(&owner, &event, &avatar).await, "an avatar is no cover");
    let asked = world.set_avatar(&token, Some(&cover)).await;
    assert_eq!(asked.status, StatusCode::BAD_REQUEST, "a cover is no avatar");
    let theirs = world.ready(&other_token, "avatar").await;
    let asked = world.set_avatar(&token, Some(&theirs)).await;
    assert_eq!(asked.status, StatusCode::BAD_REQUEST, "it is somebody else's");
    let pending = world.ask_for(&token, "event_cover").await.id.parse().unwrap();
    assert!(!world.take(&owner, &event, &pending).await);
    assert!(!world.take(&owner, &event, &ImageId::from_bytes([9; 16])).await);
}

#[tokio::test]
async fn a_cover_that_no_event_shows_is_deleted_after_two_looks() {
    const DAY: i64 = 24 * 3_600;
    let world = World::new();
    let (owner, token) = world.user("ada@example.org").await;
    let event = world.events.publish(owner, "Lights", 5).await;
    let cover = world.ready(&token, "event_cover").await;
    let unused = world.ready(&token, "event_cover").await;
    assert!(world.take(&owner, &event, &cover).await);
    let show = |covers: Vec<ImageId>| {
        let patch = EventPatch { cover_image_ids: Some(covers), ..EventPatch::default() };
        let kind = CommandKind::Update { patch: Box::new(patch), expected_version: None };
        world.events.ask(owner, event, kind)
    };
    show(vec![cover]).await.unwrap();
    let path = |id: &ImageId| format!("/media/{id}/cover-800.webp");
    for day in 1..=5 {
        world.pass(DAY + 1);
        world.sweep().await;
        let expected = if day == 1 { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(world.shown(&path(&unused)).await.0, expected, "day {day}");
        assert_eq!(world.shown(&path(&cover)).await.0, StatusCode::OK, "day {day}");
    }
    show(Vec::new()).await.unwrap();
    world.pass(DAY + 1);
    world.sweep().await;
    // Between the looks it comes back, and nobody remembers that it was away.
    assert!(world.take(&owner, &event, &cover).await);
    show(vec![cover]).await.unwrap();
    for _ in 0..3 {
        world.pass(DAY + 1);
        world.sweep().await;
        assert_eq!(world.shown(&path(&cover)).await.0, StatusCode::OK);
    }
    show(Vec::new()).await.unwrap();
    for _ in 0..2 {
        world.pass(DAY + 1);
        world.sweep().await;
    }
    assert_eq!(world.shown(&path(&cover)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.objects().await, Vec::<String>::new());
    assert!(!world.take(&owner, &event, &cover).await, "what is gone is taken by nobody");
}

#[tokio::test]
async fn who_is_erased_leaves_no_picture() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let avatar = world.ready(&token, "avatar").await;
    world.set_avatar(&token, Some(&avatar)).await;
    let address = format!("/media/{avatar}/avatar-512.jpg");
    world.sweep().await;
    assert_eq!(world.shown(&address).await.0, StatusCode::OK);
    let erased =
        world.send("DELETE", "/api/auth/me", Ask { token: Some(&token), ..Ask::default() });
    assert_eq!(erased.await.status, StatusCode::NO_CONTENT);
    world.sweep().await;
    assert_eq!(world.shown(&address).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_is_away_costs_no_picture() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let upload = world.ask_for(&token, "avatar").await;
    world.bring(&upload.address, "image/png", picture(ImageFormat::Png)).await;
    world.complete(&token, &upload.id).await;
    // What was brought is out of reach again and again, longer than anything is tried.
    let nobody = "http://127.0.0.1:1".to_owned();
    let options = SnapshotOptions {
        endpoint: Some(nobody),
        access_key_id: Some("id".to_owned()),
        secret_access_key: Some("secret".to_owned()),
        ..SnapshotOptions::default()
    };
    let away = PictureStore::at("s3://pictures", &options).unwrap();
    for _ in 0..8 {
        let sealer = CursorSealer::new(InstanceSecret::open(&world.config).unwrap());
        let parts = MediaParts {
            views: Views::of_shared(world.memory.clone()),
            store: away.clone(),
            clock: world.clock.clone(),
            sealer,
            metrics: MediaMetrics::default(),
        };
        let media = Media::new(parts, &world.config).unwrap();
        media.sweep_once(&world.identity).await.unwrap_err();
        assert_eq!(world.status(&token, &upload.id).await["status"], "PROCESSING");
        world.pass(31);
    }
    world.sweep().await;
    assert_eq!(world.status(&token, &upload.id).await["status"], "READY");
}

#[tokio::test]
async fn other_names_are_no_pictures() {
    let world = World::new();
    let (_, token) = world.user("ada@example.org").await;
    let avatar = world.ready(&token, "avatar").await;
    for path in [
        format!("/media/{avatar}/avatar-256.png"),
        format!("/media/{avatar}/cover-800.webp"),
        format!("/media/{avatar}/..%2f..%2fincoming"),
        "/media/nobody/avatar-256.webp".to_owned(),
        format!("/media/{}/avatar-256.webp", Uuid::nil()),
    ] {
        assert_eq!(world.shown(&path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}
