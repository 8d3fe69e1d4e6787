//! A disk that fills up.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cityevents_runtime::log::local::{LocalLog, LocalOptions, SpaceProbe};
use cityevents_runtime::log::{
    Committed, FencedBatch, Log, LogError, LogErrorKind, TopicPartition,
};
use tempfile::TempDir;

use super::{KEPT, append, read, telling, topic};

const RESERVE_BYTES: u64 = 1_000_000;

#[derive(Default)]
struct Disk(AtomicU64);

impl SpaceProbe for Disk {
    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

/// Until what the log knows of its disk is what is so.
fn eventually(mut attempt: impl FnMut() -> Result<(), LogError>, wanted: Option<LogErrorKind>) {
    let begun = Instant::now();
    while attempt().err().map(|error| error.kind()) != wanted {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {wanted:?}");
    }
}

#[test]
fn a_full_disk_stops_writes_but_no_reads_and_writes_go_on_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Disk::default());
    disk.0.store(u64::MAX, Ordering::SeqCst);
    let options = LocalOptions {
        space: disk.clone(),
        disk_reserve_bytes: RESERVE_BYTES,
        ..LocalOptions::default()
    };
    let log = LocalLog::open(folder.path(), options).unwrap();
    let place = TopicPartition::new(topic(&log, "facts", 1, KEPT), 0);
    append(&log, &place, telling(&place, 0..10)).unwrap();
    let mut member = log.join("group", std::slice::from_ref(&place.topic), "a").unwrap();
    member.poll(Duration::ZERO).unwrap();
    let mut fenced = log.fenced("writer").unwrap();
    let progress = |offset| vec![(place.clone(), Committed { offset, metadata: String::new() })];
    let batch = |offset| FencedBatch {
        records: Vec::new(),
        group: "fenced".to_owned(),
        progress: progress(offset),
    };

    disk.0.store(RESERVE_BYTES - 1, Ordering::SeqCst);
    let full = Some(LogErrorKind::DiskFull);
    eventually(|| member.commit(&progress(1)), full);
    let kind = |outcome: Result<(), LogError>| outcome.err().map(|error| error.kind());
    assert_eq!(kind(append(&log, &place, telling(&place, 10..11)).map(drop)), full);
    assert_eq!(kind(member.commit(&progress(1))), full);
    assert_eq!(kind(fenced.write(batch(1))), full);
    assert_eq!(log.committed("fenced", &place).unwrap(), None);
    assert_eq!(read(&log, &place).unwrap().len(), 10);

    disk.0.store(u64::MAX, Ordering::SeqCst);
    eventually(|| member.commit(&progress(2)), None);
    fenced.write(batch(2)).unwrap();
    assert_eq!(append(&log, &place, telling(&place, 10..11)).unwrap(), 10);
    assert_eq!(log.committed("group", &place).unwrap().map(|it| it.offset), Some(2));
}

#[test]
fn a_disk_that_cannot_be_asked_stops_writes() {
    struct Mute;
    impl SpaceProbe for Mute {
        fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
            Err(io::Error::other("the disk does not answer"))
        }
    }
    let folder = TempDir::new().unwrap();
    let place = {
        let log = super::open(folder.path());
        TopicPartition::new(topic(&log, "facts", 1, KEPT), 0)
    };
    let options = LocalOptions { space: Arc::new(Mute), ..LocalOptions::default() };
    let log = LocalLog::open(folder.path(), options).unwrap();
    let refused = append(&log, &place, telling(&place, 0..1)).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Unavailable);
    assert!(refused.to_string().contains("does not answer"), "{refused}");
}
