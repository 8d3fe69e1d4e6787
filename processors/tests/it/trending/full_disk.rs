//! A disk that is full when a process comes back from a crash: what it had still to write waits, what
//! was written can be read, and with room everything goes on by itself.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cityevents_processors::trending::make_task;
use cityevents_runtime::host::{Host, HostOptions, MakeTask, PanicPolicy};
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::local::{LocalLog, LocalOptions, SpaceProbe};

use super::task::{Stage, read};
use super::world::{Random, World};
use crate::fixture::PATIENCE;

const RESERVE_BYTES: u64 = 1_000_000;

struct Disk(AtomicU64);

impl SpaceProbe for Disk {
    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for this: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn trends_wait_for_room_on_a_full_disk_and_go_on_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk(AtomicU64::new(u64::MAX)));
    let clock = ManualClock::new(0);
    let options = LocalOptions {
        space: disk.clone(),
        disk_reserve_bytes: RESERVE_BYTES,
        clock: Arc::new(clock.clone()),
        ..LocalOptions::default()
    };
    let mut stage = Stage::on(LocalLog::open(folder.path(), options).unwrap(), clock);
    let (mut random, mut world) = (Random::seeded(), World::default());
    for op in (0..20).flat_map(|_| world.go_on(&mut random)).collect::<Vec<_>>() {
        stage.append(&op);
    }
    stage.settle();
    stage.clock.set(world.now().as_millis());

    disk.0.store(RESERVE_BYTES - 1, Ordering::SeqCst);
    let host = HostOptions {
        name: "trending",
        group: stage.options.group.clone(),
        topics: vec![stage.options.topics.facts.clone(), stage.options.topics.engagement.clone()],
        member: "one".into(),
        panics: PanicPolicy::default(),
    };
    let inner = make_task(stage.source.clone(), stage.options.clone());
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    let make: Arc<MakeTask> = Arc::new(move |partition, ownership| {
        counted.fetch_add(1, Ordering::SeqCst);
        inner(partition, ownership)
    });
    let host = Host::start(&stage.log, host, stage.source.metrics.clone(), make).unwrap();
    let is_about_the_disk = |warning: &String| warning.contains("the disk of");
    let warning = eventually("a warning", || host.warning().filter(is_about_the_disk));
    assert!(warning.starts_with("trending/0: the disk of"), "{warning}");
    assert!(warning.contains("free some space, writes go on by themselves"), "{warning}");
    // As often as would turn another failure red.
    eventually("more tries", || (tries.load(Ordering::SeqCst) > 4).then_some(()));
    assert_eq!(host.problem(), None, "reads go on");
    assert_eq!(read(&*stage.log, "trends").len(), 0);

    disk.0.store(u64::MAX, Ordering::SeqCst);
    eventually("trends", || (!read(&*stage.log, "trends").is_empty()).then_some(()));
    eventually("a steady run", || host.warning().is_none().then_some(()));
    assert_eq!(host.problem(), None);
    host.stop();
}
