//! Keys rotate while people ask two instances: no request of a good token fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::calls::{PASSWORD, bearer, get, login, register};
use crate::cluster::{Process, poll_for};
use crate::people::cluster;

/// Askers of each instance.
const ASKERS: usize = 3;
/// Answers between two steps.
const BETWEEN: u64 = 200;
const ROTATIONS: usize = 3;

#[test]
fn keys_rotate_and_retire_under_load_over_two_instances_without_one_failed_request() {
    rotate_under_load("dir");
}

#[test]
fn keys_in_the_tables_rotate_and_retire_in_the_same_way() {
    rotate_under_load("views");
}

fn rotate_under_load(store: &str) {
    let (cluster, _) = cluster(&format!("rotation_{store}"));
    // Keys retire within the test: what they signed has to have expired.
    let cluster = cluster
        .setting("CITYEVENTS__KEYS__STORE", store)
        .setting("CITYEVENTS__LIMITS__ENABLED", "false")
        .setting("CITYEVENTS__TOKENS__TTL", "2s")
        .setting("CITYEVENTS__TOKENS__TTL_MAX", "2s")
        .setting("CITYEVENTS__TOKENS__LEEWAY", "1s");
    let one = Process::start_with(&cluster, "ingest,api").until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let (stop, answered, signed_in) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Signed at one, used at both; a new token well before the old one expires.
        for (asker, signer) in
            (0..ASKERS).flat_map(|asker| [(asker, one.http()), (asker, other.http())])
        {
            let (stop, answered, signed_in) = (&stop, &answered, &signed_in);
            let both = [one.http(), other.http()];
            scope.spawn(move || {
                let name = format!("asker-{asker}-{}", signer.port());
                // The token is no older than this.
                let mut since = std::time::Instant::now();
                let (_, mut token) = register(signer, &name);
                while !stop.load(Ordering::SeqCst) {
                    if since.elapsed() > Duration::from_secs(1) {
                        since = std::time::Instant::now();
                        let said = login(signer, &format!("{name}@example.org"), PASSWORD);
                        assert_eq!(said.status, 200, "{}", said.text());
                        token = bearer(&said);
                        signed_in.fetch_add(1, Ordering::SeqCst);
                    }
                    for http in both {
                        let said = get(http, "/api/auth/me", &token);
                        // Whoever waited for so long that the token expired did not fail.
                        if since.elapsed() < Duration::from_secs(2) {
                            assert_eq!(said.status, 200, "{}", said.text());
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let stopped = StopWhenDropped(&stop);
        let goes_on = || {
            let (asked, signed) =
                (answered.load(Ordering::SeqCst) + BETWEEN, signed_in.load(Ordering::SeqCst) + 6);
            poll_for(|| {
                let is_so = answered.load(Ordering::SeqCst) >= asked
                    && signed_in.load(Ordering::SeqCst) >= signed;
                is_so.then_some(())
            });
        };
        goes_on();
        let first = kids(&cluster.run(&["keys", "list", "--output", "json"]).json());
        for _ in 0..ROTATIONS {
            cluster.run(&["keys", "rotate"]).good();
            goes_on();
        }
        // The one that signed first signs no more, and what it signed has expired.
        poll_for(|| {
            // Refused while it is needed; the last rotation may have done it.
            let _refused = cluster.run(&["keys", "retire", &first[0]]);
            let left = kids(&cluster.run(&["keys", "list", "--output", "json"]).json());
            (!left.contains(&first[0])).then_some(())
        });
        goes_on();
        drop(stopped);
    });
    println!(
        "{} requests were answered while keys rotated {ROTATIONS} times, {} of them logins",
        answered.load(Ordering::SeqCst) + signed_in.load(Ordering::SeqCst),
        signed_in.load(Ordering::SeqCst)
    );
    // Everybody sees the same keys.
    let shown =
        [one.http(), other.http()].map(|http| get(http, "/.well-known/jwks.json", "").json());
    assert_eq!(shown[0], shown[1]);
    one.stop();
    other.stop();
}

/// Ends the askers when the test fails, too.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The ids of the keys, the one that signs first.
fn kids(rows: &Value) -> Vec<String> {
    let mut rows = rows.as_array().unwrap().clone();
    rows.sort_by_key(|row| row["status"] != "current");
    rows.iter().map(|row| row["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_demo_signs_with_the_keys_in_the_tables_and_says_when_others_are_not_known() {
    let (cluster, _) = cluster("demo");
    let cluster = cluster
        .setting("CITYEVENTS__KEYS__STORE", "views")
        .setting("CITYEVENTS__LIMITS__ENABLED", "false");
    let roles = "ingest,api,registration,projection";
    let process = Process::start_with(&cluster, roles).until_ready();
    let (url, ops) = (format!("http://{}", process.http()), format!("http://{}", process.ops()));
    let demo = ["demo", "--people", "100", "--capacity", "10", "--url", &url, "--ops-url", &ops];
    let said = cluster.run(&[&demo[..], &["--output", "json"]].concat()).json();
    assert_eq!((&said["active"], &said["broken"]), (&json!(11), &json!([])), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().display().to_string();
    let said = cluster.run(&[&demo[..], &["--keys", &keys]].concat());
    said.failed(1, &["does not know the keys", "without --keys"]);
}
