//! Snapshots save time and are never the truth.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cityevents_runtime::log::Log as _;
use cityevents_runtime::snapshot::{SnapshotOptions, SnapshotStore};
use cityevents_runtime::standby::{FoldError, Standby};
use cityevents_runtime::topology::Topology as _;
use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::fixture::{COMMANDS, FACTS, Program, World, run, spec};

const PATIENCE: Duration = Duration::from_secs(30);
/// The port of discarded packets, where nobody listens, and which no test is given.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// A world with snapshots, and a hand on their files.
fn world() -> (World, Arc<InMemory>) {
    let mut world = World::new();
    let files = Arc::new(InMemory::new());
    world.source.snapshots = Some(SnapshotStore::new(files.clone()).unwrap());
    (world, files)
}

/// Decides some commands and takes a snapshot behind them.
fn snapshot_after(world: &World, commands: &[&str]) -> String {
    let mut worker = world.worker();
    world.send(commands);
    run(&mut worker).unwrap();
    world.restore().take_snapshot().unwrap().unwrap()
}

/// Restores and returns how many links it took.
fn links_folded(world: &World) -> u64 {
    let before = world.folds();
    let restored = world.restore();
    let folded = world.folds() - before;
    let without = cityevents_runtime::standby::Source { snapshots: None, ..world.source.clone() };
    let from_facts = Standby::restore(&without, 0, || world.toy()).unwrap();
    assert_eq!(restored.topology().encode_state(), from_facts.topology().encode_state());
    assert_eq!(restored.position(), from_facts.position());
    folded
}

#[test]
fn a_restore_from_a_snapshot_is_the_same_as_one_from_the_facts() {
    let (world, _) = world();
    snapshot_after(&world, &["add a", "same", "add b"]);
    assert_eq!(links_folded(&world), 0);
    let mut worker = world.worker();
    world.send(&["add a", "alarm x 1800000000000 3", "same"]);
    run(&mut worker).unwrap();
    assert_eq!(links_folded(&world), 3, "only what came after it");
    let store = world.source.snapshots.clone().unwrap();
    let listed = store.list("toy", 0).unwrap();
    let (description, _) = store.get(&listed[0].name).unwrap();
    assert_eq!((description.fact_offset, description.partition), (3, 0));
    assert_eq!(description.fold_version, 1);
}

#[test]
fn a_worker_goes_on_from_a_snapshot() {
    let (world, _) = world();
    snapshot_after(&world, &["add a", "same", "add b"]);
    let mut worker = world.worker();
    world.send(&["add a", "add a", "add a"]);
    run(&mut worker).unwrap();
    assert_eq!(world.answers().last().unwrap(), "5 full by 5");
    assert_eq!(links_folded(&world), 3);
}

#[test]
fn whoever_cannot_read_facts_is_refused_where_a_snapshot_leaves_none_to_fold() {
    let (world, _) = world();
    snapshot_after(&world, &["add a", "later b"]);
    let away = |is_away| world.program.is_dictionary_away.store(is_away, Ordering::SeqCst);
    away(true);
    let refused = Standby::restore(&world.source, 0, || world.toy()).map(drop);
    assert!(matches!(refused, Err(FoldError::NotNow { offset: 2, .. })), "{refused:?}");
    // What does not count says nothing: it may be of a program that is not known here.
    world.append_junk();
    assert_eq!(world.restore().links_since_snapshot(), 0);
    away(false);
    assert_eq!(links_folded(&world), 0);
}

#[test]
fn before_the_genesis_there_is_nothing_to_write() {
    let (world, _) = world();
    assert_eq!(world.restore().take_snapshot().unwrap(), None);
}

#[test]
fn a_damaged_snapshot_is_skipped_and_the_one_before_it_used() {
    let (world, files) = world();
    snapshot_after(&world, &["add a"]);
    let newest = Path::from(snapshot_after(&world, &["add b"]));
    assert_eq!(links_folded(&world), 0);
    let good = block_on(async { files.get(&newest).await?.bytes().await }).unwrap();
    for damage in [good.slice(..good.len() / 2), good.slice(..0)] {
        block_on(files.put(&newest, PutPayload::from(damage))).unwrap();
        assert_eq!(links_folded(&world), 1);
    }
    let mut flipped = good.to_vec();
    flipped[good.len() - 40] ^= 1;
    block_on(files.put(&newest, PutPayload::from(flipped))).unwrap();
    assert_eq!(links_folded(&world), 1);
}

#[test]
fn with_no_good_snapshot_the_facts_are_folded_from_the_beginning() {
    let (world, files) = world();
    let only = Path::from(snapshot_after(&world, &["add a", "add b"]));
    block_on(files.put(&only, PutPayload::from_static(b"no snapshot"))).unwrap();
    assert_eq!(links_folded(&world), 3);
}

#[test]
fn a_snapshot_of_a_newer_fold_is_skipped_and_the_own_one_used() {
    let (world, _) = world();
    snapshot_after(&world, &["add a"]);
    let newer =
        World { program: Program { fold_version: 2, ..Program::default() }, ..world.clone() };
    for command in ["add b", "add c", "add d", "add e"] {
        snapshot_after(&newer, &[command]);
    }
    assert_eq!(links_folded(&newer), 0);
    assert_eq!(links_folded(&world), 4, "the own one is still there");
}

#[test]
fn a_state_that_cannot_be_read_is_skipped() {
    let (world, _) = world();
    snapshot_after(&world, &["add a"]);
    snapshot_after(&world, &["add b"]);
    let store = world.source.snapshots.clone().unwrap();
    let newest = &store.list("toy", 0).unwrap()[0];
    let (mut description, _) = store.get(&newest.name).unwrap();
    let garbage = b"no state";
    description.state_bytes = garbage.len() as u64;
    store.put(&description, garbage).unwrap();
    assert_eq!(links_folded(&world), 1);
}

#[test]
fn a_snapshot_of_topics_that_are_gone_is_skipped() {
    let (world, _) = world();
    for command in ["add a", "add a", "add a", "add b"] {
        snapshot_after(&world, &[command]);
    }
    for topic in [COMMANDS, FACTS] {
        world.log.delete_topic(topic).unwrap();
        world.log.create_topic(&spec(topic, 1)).unwrap();
    }
    snapshot_after(&world, &["add z"]);
    assert_eq!(links_folded(&world), 0, "the new topics have a snapshot of their own");
    let state = world.restore().topology().state.clone();
    assert_eq!(state.counters.keys().collect::<Vec<_>>(), ["z"]);
}

#[test]
fn a_snapshot_beyond_the_end_of_the_log_is_skipped() {
    let (world, _) = world();
    snapshot_after(&world, &["add a"]);
    snapshot_after(&world, &["add b"]);
    let store = world.source.snapshots.clone().unwrap();
    let (description, state) = store.get(&store.list("toy", 0).unwrap()[0].name).unwrap();
    let beyond = cityevents_runtime::snapshot::Description {
        fact_offset: description.fact_offset + 1,
        ..description.clone()
    };
    store.put(&beyond, &state).unwrap();
    assert_eq!(links_folded(&world), 0, "the one before it ends at the end");
    assert_eq!(world.restore().position().unwrap().offset, description.fact_offset);
}

#[test]
fn snapshots_lie_in_a_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new();
    world.source.snapshots = Some(SnapshotStore::folder(folder.path()).unwrap());
    let name = snapshot_after(&world, &["add a"]);
    assert!(folder.path().join(&name).is_file(), "{name}");
    world.source.snapshots = Some(SnapshotStore::folder(folder.path()).unwrap());
    assert_eq!(links_folded(&world), 0);
}

/// A bucket on a server that is not there.
fn bucket_at(address: SocketAddr, request_timeout: Duration) -> SnapshotStore {
    let options = SnapshotOptions {
        endpoint: Some(format!("http://{address}")),
        access_key_id: Some("id".into()),
        secret_access_key: Some("secret".into()),
        request_timeout,
        ..SnapshotOptions::default()
    };
    SnapshotStore::at("s3://bucket/prefix", &options).unwrap()
}

#[test]
fn an_outage_of_the_store_makes_restores_longer_and_snapshots_later_and_stops_nobody() {
    let mut world = World::new();
    world.send(&["add a", "same", "add b"]);
    run(&mut world.worker()).unwrap();
    world.source.snapshots = Some(bucket_at(NOBODY, PATIENCE));
    assert_eq!(links_folded(&world), 3, "all facts");
    let error = world.restore().take_snapshot().unwrap_err();
    assert!(matches!(error, FoldError::Snapshot(ref error) if error.is_outage()), "{error}");
    let mut worker = world.worker();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    let (working, _) = self::world();
    world.source.snapshots = working.source.snapshots;
    assert!(world.restore().take_snapshot().unwrap().is_some());
}

#[test]
fn a_store_that_says_nothing_is_waited_for_as_long_as_the_options_say() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = bucket_at(silent.local_addr().unwrap(), Duration::from_millis(100));
    let began = Instant::now();
    let error = store.check().unwrap_err();
    assert!(error.is_outage(), "{error}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn a_guard_hears_whether_the_store_answered_and_can_refuse_to_ask() {
    for (store, answers) in
        [(bucket_at(NOBODY, PATIENCE), false), (SnapshotStore::memory().unwrap(), true)]
    {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let heard = store.clone().guarded(Arc::new(move || {
            let hears = Arc::clone(&hears);
            Ok(Box::new(move |answered| hears.lock().unwrap().push(answered)))
        }));
        // That there is none is an answer.
        let _none_or_away = heard.get("toy/00000/nothing.snapshot").unwrap_err();
        assert_eq!(*told.lock().unwrap(), [answers]);
        let refusing = store.guarded(Arc::new(|| Err("not now".into())));
        let error = refusing.check().unwrap_err();
        assert!(error.is_outage() && error.to_string().contains("not now"), "{error}");
    }
}
