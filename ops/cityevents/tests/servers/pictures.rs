//! Pictures in a bucket that two instances share: brought at one, seen at both.

use serde_json::json;

use crate::calls::{get, register, send};
use crate::cluster::{Process, poll_for};
use crate::people::cluster;
use crate::picture_calls::{bring, complete, status};
use crate::stack;
use crate::wired::{listed, make_bucket};

#[test]
fn a_picture_in_a_bucket_is_seen_at_every_instance_and_gone_with_its_account() {
    let (cluster, _) = cluster("pictures");
    let bucket = make_bucket("pictures");
    let cluster = cluster
        .setting("CITYEVENTS__MEDIA__URL", format!("s3://{bucket}/city"))
        .setting("CITYEVENTS__MEDIA__ENDPOINT", stack::s3())
        .setting("CITYEVENTS__MEDIA__ACCESS_KEY_ID", "test")
        .setting("CITYEVENTS__MEDIA__SECRET_ACCESS_KEY", "test");
    let one = Process::start_with(&cluster, "ingest,api,registration,projection").until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let (_, token) = register(one.http(), "ada");
    let id = bring(one.http(), &token, "avatar");
    assert!(listed(&bucket).contains(&format!("city/incoming/{id}/")), "it is there as it came");
    complete(other.http(), &token, &id);
    for http in [one.http(), other.http()] {
        poll_for(|| (status(http, &token, &id)["status"] == "READY").then_some(()));
        for (name, kind, magic) in [
            ("avatar-256.webp", "image/webp", &b"RIFF"[..]),
            ("avatar-512.jpg", "image/jpeg", b"\xff\xd8\xff"),
        ] {
            let shown = get(http, &format!("/media/{id}/{name}"), "");
            assert_eq!((shown.status, shown.header("content-type")), (200, Some(kind)));
            assert!(shown.body.starts_with(magic));
        }
    }
    let objects = listed(&bucket);
    assert!(!objects.contains("incoming/"), "nothing is left of how it came: {objects}");
    assert!(objects.contains(&format!("city/media/{id}/avatar-512.webp")), "{objects}");
    let body = json!({ "upload_id": id });
    let set = send(other.http(), "PATCH", "/api/auth/me/avatar", &token, &body);
    assert_eq!(set.status, 200, "{}", set.text());
    let erased = send(one.http(), "DELETE", "/api/auth/me", &token, &json!(null));
    assert_eq!(erased.status, 204, "{}", erased.text());
    poll_for(|| (!listed(&bucket).contains("city/media/")).then_some(()));
    one.stop();
    other.stop();
}
