//! Pictures on a running instance: brought by plain requests, and worked on after a kill.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::calls::{get, post, register, send};
use super::instance::{DEADLINE, Instance, poll_for};
use super::picture_calls::{PICTURE, ask_for, bring, bring_at, complete, status};
use super::web::Connection;

#[test]
fn an_instance_that_is_killed_over_pictures_shows_them_after_it_has_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let (_, token) = register(instance.http, "ada");
    let ids: Vec<_> = (0..8).map(|_| bring(instance.http, &token, "avatar")).collect();
    for id in &ids {
        complete(instance.http, &token, id);
    }
    // Wherever it was with any of them.
    instance.kill();
    let instance = Instance::start(folder.path());
    for id in &ids {
        poll_for(DEADLINE, || status(instance.http, &token, id)["status"] == "READY");
        let shown = get(instance.http, &format!("/media/{id}/avatar-256.jpg"), "");
        assert_eq!((shown.status, shown.header("content-type")), (200, Some("image/jpeg")));
        assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
        assert!(shown.body.starts_with(b"\xff\xd8\xff"));
    }
    instance.stop();
}

#[test]
fn events_have_covers_of_their_organiser_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let origin = ("CITYEVENTS__MEDIA__ORIGIN", "https://pictures.example");
    let instance = Instance::start_with(folder.path(), &[origin]);
    let http = instance.http;
    let (_, ada) = register(http, "ada");
    let (_, eve) = register(http, "eve");
    let ready = |token: &str| {
        let id = bring(http, token, "event_cover");
        complete(http, token, &id);
        poll_for(DEADLINE, || status(http, token, &id)["status"] == "READY");
        id
    };
    let (own, foreign) = (ready(&ada), ready(&eve));
    let event = |covers: Value| {
        json!({
            "title": "t", "description": "d", "city": "Porto", "category": "art",
            "start_time": "2099-06-01T20:00:00Z", "end_time": "2099-06-01T23:00:00Z",
            "cover_image_ids": covers,
        })
    };
    for wrong in [json!([foreign]), json!([own, foreign]), json!([uuid()])] {
        let refused = post(http, "/api/events", &ada, &event(wrong.clone()));
        assert_eq!((refused.status, &*refused.code()), (400, "validation_failed"), "{wrong}");
        let fields = &refused.json()["error"]["meta"]["fields"];
        assert!(fields["cover_image_ids"].is_string(), "{}", refused.text());
    }
    let made = post(http, "/api/events", &ada, &event(json!([own])));
    assert_eq!(made.status, 201, "{}", made.text());
    let address = format!("https://pictures.example/media/{own}/cover-800.webp");
    assert_eq!(made.json()["cover_image"], address);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/events/{id}");
    let change = send(http, "PATCH", &path, &ada, &json!({ "cover_image_ids": [foreign] }));
    assert_eq!(change.status, 400);
    assert_eq!(post(http, &format!("{path}/publish"), &ada, &Value::Null).status, 200);
    poll_for(DEADLINE, || {
        get(http, "/api/events", "").json()["items"][0]["cover_image"] == address
    });
    // The page allows pictures from there, and from nowhere else.
    let page = get(http, &format!("/events/{id}"), "accept: text/html\r\n");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("img-src 'self' data: blob: https://pictures.example;"), "{policy}");
    let shared = address.replace("800.webp", "1600.jpg");
    let text = page.text().replace("&#x2f;", "/");
    assert!(text.contains(&format!("content=\"{shared}\"")), "{text}");
    instance.stop();
}

fn uuid() -> &'static str {
    "00000000-0000-4000-8000-000000000000"
}

#[test]
fn a_picture_that_is_too_large_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let (_, token) = register(instance.http, "ada");
    let upload = ask_for(instance.http, &token, "avatar");
    // The head alone: nothing of the body is waited for.
    let mut connection = Connection::open(instance.http).unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
        upload.path,
        instance.http,
        (10 << 20) + 1,
    );
    connection.write(head.as_bytes()).unwrap();
    let refused = connection.read().unwrap();
    assert_eq!((refused.status, &*refused.code()), (413, "payload_too_large"));
    // One that says less than it sends is as long as it says.
    let bytes = STANDARD.decode(PICTURE).unwrap();
    let broken = bring_at(instance.http, &upload.path, &bytes[..20]);
    assert_eq!(broken.status, 204, "{}", broken.text());
    complete(instance.http, &token, &upload.id);
    let failed = || status(instance.http, &token, &upload.id);
    poll_for(DEADLINE, || failed()["status"] == "FAILED");
    assert_eq!(failed()["error"]["code"], "unreadable");
    instance.stop();
}

#[test]
fn a_store_that_is_none_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = ("CITYEVENTS__MEDIA__URL", "ftp://pictures");
    let said = Instance::try_start(folder.path(), &[url]).err().unwrap();
    assert!(said.err.contains("media.url") && said.err.contains("s3://bucket/prefix"), "{said:?}");
}
