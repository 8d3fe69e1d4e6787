//! Acknowledgements and what they cost.

use std::sync::Arc;

use cityevents_runtime::log::contract::text;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{Log, LogErrorKind, TimestampKind, TopicPartition, TopicSpec};
use tempfile::TempDir;

use super::{KEPT, append, append_with, check_tales, open, read, telling, topic};

#[test]
fn appends_that_wait_at_the_same_time_share_an_fsync() {
    const PRODUCERS: u32 = 8;
    const APPENDS: u64 = 100;
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let name = topic(&log, "facts", PRODUCERS, KEPT);
    std::thread::scope(|scope| {
        for number in 0..PRODUCERS {
            let (log, place) = (&log, TopicPartition::new(name.clone(), number));
            scope.spawn(move || {
                let mut producer = log.producer("test").unwrap();
                for offset in 0..APPENDS {
                    let records = telling(&place, offset..offset + 1);
                    assert_eq!(append_with(&mut *producer, &place, records).unwrap(), offset);
                }
            });
        }
    });
    let stats = log.stats();
    assert_eq!(stats.records_total, u64::from(PRODUCERS) * APPENDS);
    assert!(stats.syncs_total >= APPENDS, "{stats:?}");
    assert!(stats.syncs_total < u64::from(PRODUCERS) * APPENDS, "{stats:?}");
    assert!(stats.sync_time_max <= stats.sync_time_total, "{stats:?}");
}

#[test]
fn a_topic_that_need_not_be_durable_is_acknowledged_without_an_fsync() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let (name, timestamps) = (Arc::from("replies"), TimestampKind::LogAppend);
    let spec = TopicSpec { name, partitions: 1, cleanup: KEPT, timestamps, durable: false };
    log.create_topic(&spec).unwrap();
    let place = TopicPartition::new(spec.name, 0);
    let before = log.stats().syncs_total;
    for offset in 0..20 {
        let records = telling(&place, offset..offset + 1);
        assert_eq!(append(&log, &place, records).unwrap(), offset);
    }
    assert_eq!(log.stats().syncs_total, before);
    assert_eq!(check_tales(&place, &read(&log, &place).unwrap()), 20);
    drop(log);
    let log = open(folder.path());
    assert_eq!(check_tales(&place, &read(&log, &place).unwrap()), 20);
}

#[test]
fn an_append_larger_than_all_that_may_be_in_flight_still_goes_through() {
    let folder = TempDir::new().unwrap();
    let options = LocalOptions { in_flight_bytes_max: 10_000, ..LocalOptions::default() };
    let log = LocalLog::open(folder.path(), options).unwrap();
    let place = TopicPartition::new(topic(&log, "facts", 1, KEPT), 0);
    let mut producer = log.producer("test").unwrap();
    for first in [0, 5_000, 5_001, 10_001] {
        let next = if first == 5_000 { 5_001 } else { first + 5_000 };
        producer.append(&place, telling(&place, first..next)).unwrap();
    }
    let mut deliveries = Vec::new();
    while producer.in_flight() > 0 {
        producer.poll(std::time::Duration::from_secs(60), &mut deliveries).unwrap();
    }
    assert!(deliveries.iter().all(|delivery| delivery.result.is_ok()));
    assert_eq!(check_tales(&place, &read(&log, &place).unwrap()), 15_001);
}

#[test]
fn a_reader_that_fell_out_of_memory_goes_on_from_the_disk() {
    let folder = TempDir::new().unwrap();
    let options = LocalOptions { tail_bytes_max: 50_000, ..LocalOptions::default() };
    let log = LocalLog::open(folder.path(), options).unwrap();
    let place = TopicPartition::new(topic(&log, "facts", 1, KEPT), 0);
    for first in (0..5_000).step_by(50) {
        append(&log, &place, telling(&place, first..first + 50)).unwrap();
    }
    let records = read(&log, &place).unwrap();
    assert_eq!(check_tales(&place, &records), 5_000);
    let mut reader =
        log.reader(&place, 0, cityevents_runtime::log::Isolation::Uncommitted).unwrap();
    for offset in [4_999, 17, 2_503, 0, 4_950] {
        let mut out = Vec::new();
        reader.seek(offset);
        let limit = cityevents_runtime::log::PollLimit { records: 3, bytes: usize::MAX };
        reader.poll(limit, std::time::Duration::ZERO, &mut out).unwrap();
        let end = records.len().min(offset as usize + 3);
        assert_eq!(out, records[offset as usize..end]);
    }
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let cleanup = cityevents_runtime::log::Cleanup::Compact;
    let place = TopicPartition::new(topic(&log, "events", 1, cleanup), 0);
    let keyless = cityevents_runtime::log::Outgoing { key: None, ..text("", "value") };
    let refused = append(&log, &place, vec![keyless]).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Configuration);
    let refused = append(&log, &place, vec![text(&"k".repeat(40_000), "value")]).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::RecordTooLarge);
}
