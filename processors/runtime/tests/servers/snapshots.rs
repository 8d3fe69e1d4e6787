//! One suite for every place where snapshots can be: a folder, and a bucket on an S3 server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use cityevents_runtime::chain::Cursor;
use cityevents_runtime::snapshot::{Description, SnapshotError, SnapshotOptions, SnapshotStore};
use rand::{Rng as _, SeedableRng as _};

const TOPOLOGY: &str = "registration";
const PARTITION: u32 = 3;

/// Replaces a file, by its name in the store.
type Overwrite = Box<dyn Fn(&str, &[u8])>;

/// A store, and a hand on its files.
struct Place {
    url: String,
    options: SnapshotOptions,
    overwrite: Overwrite,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    fn store(&self) -> SnapshotStore {
        SnapshotStore::at(&self.url, &self.options).unwrap()
    }
}

fn folder() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    Place {
        url: format!("file://{}", root.display()),
        options: SnapshotOptions::default(),
        overwrite: Box::new(move |name, bytes| {
            std::fs::write(root.join(Path::new(name)), bytes).unwrap();
        }),
        _folder: Some(folder),
    }
}

fn server() -> String {
    std::env::var("CITYEVENTS_STACK_S3").unwrap_or_else(|_| {
        panic!("CITYEVENTS_STACK_S3 is not set: start the servers with ops/stack, or run ops/test")
    })
}

/// One request to the server, past the store. It takes any credentials.
fn put(path: &str, body: &[u8]) {
    let server = server();
    let host = server.strip_prefix("http://").unwrap().trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn bucket() -> Place {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let name = format!("snapshots-{}-{}", std::process::id(), now.as_nanos());
    put(&format!("/{name}"), b"");
    Place {
        url: format!("s3://{name}/deep/prefix"),
        options: options(),
        overwrite: Box::new(move |file, bytes| put(&format!("/{name}/deep/prefix/{file}"), bytes)),
        _folder: None,
    }
}

fn options() -> SnapshotOptions {
    SnapshotOptions {
        endpoint: Some(server()),
        access_key_id: Some("test".to_owned()),
        secret_access_key: Some("test".to_owned()),
        ..SnapshotOptions::default()
    }
}

fn everywhere(test: impl Fn(Place)) {
    test(folder());
    test(bucket());
}

fn description(fact_offset: u64, state: &[u8]) -> Description {
    Description {
        topology: TOPOLOGY.to_owned(),
        fold_version: 1,
        command_topic_id: "commands".to_owned(),
        fact_topic_id: "facts".to_owned(),
        partition: PARTITION,
        fact_offset,
        cursor: Cursor { offset: 4, digest: [5; 16] }.to_text(),
        taken_at_ms: 6,
        state_bytes: state.len() as u64,
    }
}

/// Bytes that cannot be made smaller.
fn random_state(length: usize) -> Vec<u8> {
    let seed = 20_261_123;
    println!("seed {seed}");
    let mut state = vec![0; length];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut state);
    state
}

fn offsets(store: &SnapshotStore) -> Vec<u64> {
    let listed = store.list(TOPOLOGY, PARTITION).unwrap();
    listed.iter().map(|listed| listed.fact_offset).collect()
}

#[test]
fn what_was_put_is_listed_and_read_by_everybody_who_knows_the_address() {
    everywhere(|place| {
        let store = place.store();
        store.check().unwrap();
        assert!(store.list(TOPOLOGY, PARTITION).unwrap().is_empty());
        let name = store.put(&description(7, b"state"), b"state").unwrap();
        let other = place.store();
        let listed = other.list(TOPOLOGY, PARTITION).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].name.as_str(), listed[0].fact_offset), (name.as_str(), 7));
        assert_eq!(other.get(&name).unwrap(), (description(7, b"state"), b"state".to_vec()));
        assert!(other.list(TOPOLOGY, PARTITION + 1).unwrap().is_empty());
        assert!(other.list("others", PARTITION).unwrap().is_empty());
    });
}

#[test]
fn the_newest_are_kept_and_come_first() {
    everywhere(|place| {
        let store = place.store().keeping(2);
        for offset in [10, 30, 20, 40, 50] {
            store.put(&description(offset, b"state"), b"state").unwrap();
        }
        assert_eq!(offsets(&store), [50, 40]);
    });
}

#[test]
fn a_snapshot_larger_than_one_request_comes_back_as_it_was() {
    everywhere(|place| {
        let store = place.store();
        let state = random_state(40 << 20);
        let name = store.put(&description(1, &state), &state).unwrap();
        assert!(store.list(TOPOLOGY, PARTITION).unwrap()[0].bytes > 40 << 20);
        let (read, bytes) = store.get(&name).unwrap();
        assert_eq!(read, description(1, &state));
        assert!(bytes == state, "another state came back");
    });
}

#[test]
fn a_damaged_file_is_found_and_those_beside_it_are_read() {
    everywhere(|place| {
        let store = place.store();
        let good = store.put(&description(1, b"state"), b"state").unwrap();
        let bad = store.put(&description(2, b"state"), b"state").unwrap();
        for damage in [&b"no snapshot at all, but long enough to have a checksum"[..], b"short"] {
            (place.overwrite)(&bad, damage);
            let error = store.get(&bad).unwrap_err();
            assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
            assert!(!error.is_outage());
        }
        assert_eq!(offsets(&store), [2, 1]);
        assert_eq!(store.get(&good).unwrap().1, b"state");
    });
}

#[test]
fn what_is_not_there_is_no_outage() {
    everywhere(|place| {
        let error = place.store().get("registration/00003/facts-fold-1/0.snapshot").unwrap_err();
        assert!(!error.is_outage(), "{error}");
    });
}

#[test]
fn many_threads_use_one_store_at_once() {
    everywhere(|place| {
        let store = Arc::new(place.store());
        let threads: Vec<_> = (0..8)
            .map(|partition| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let mine = Description { partition, ..description(1, b"state") };
                    let name = store.put(&mine, b"state").unwrap();
                    assert_eq!(store.get(&name).unwrap().0, mine);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_bucket_that_is_not_there_is_found_at_the_start() {
    let store = SnapshotStore::at("s3://nobody-made-this-bucket/prefix", &options()).unwrap();
    let error = store.check().unwrap_err();
    assert!(!error.is_outage(), "{error}");
    let words = error.to_string();
    assert!(words.contains("s3://nobody-made-this-bucket/prefix"), "{words}");
    assert!(words.contains("no such bucket: make it"), "{words}");
}
