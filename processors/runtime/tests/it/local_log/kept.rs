//! What is kept and what goes, over restarts too.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::contract::{offsets_of, text};
use cityevents_runtime::log::{Cleanup, Log, Outgoing, TopicPartition, Watermarks};
use tempfile::TempDir;

use super::{append, files, open_at, read, telling, topic};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn table_bytes(folder: &Path) -> u64 {
    let tables = files(&folder.join("store").join("keyspaces"));
    tables.iter().map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn offsets_and_stamps_go_on_after_everything_went_and_the_log_was_opened_again() {
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open_at(folder.path(), &clock);
    let cleanup = Cleanup::Delete { retention: Some(Duration::from_secs(3_600)) };
    let place = TopicPartition::new(topic(&log, "commands", 2, cleanup), 1);
    append(&log, &place, telling(&place, 0..7)).unwrap();
    let stamp = read(&log, &place).unwrap()[6].timestamp_ms;
    clock.advance(2 * HOUR_MS);
    log.clean_up().unwrap();
    assert_eq!(log.watermarks(&place).unwrap(), Watermarks { low: 7, high: 7 });
    drop(log);

    clock.set(1_600_000_000_000);
    let log = open_at(folder.path(), &clock);
    assert_eq!(log.watermarks(&place).unwrap(), Watermarks { low: 7, high: 7 });
    assert_eq!(append(&log, &place, telling(&place, 7..9)).unwrap(), 7);
    let records = read(&log, &place).unwrap();
    assert_eq!(offsets_of(&records), [7, 8]);
    assert_eq!(records[0].timestamp_ms, stamp, "a clock set back moves no stamp back");
    drop(log);
    let log = open_at(folder.path(), &clock);
    assert_eq!(log.watermarks(&place).unwrap(), Watermarks { low: 7, high: 9 });
}

#[test]
fn only_values_of_which_all_records_are_old_go() {
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open_at(folder.path(), &clock);
    let cleanup = Cleanup::Delete { retention: Some(Duration::from_secs(3_600)) };
    let place = TopicPartition::new(topic(&log, "commands", 1, cleanup), 0);
    for first in 0..3_000 {
        append(&log, &place, telling(&place, first..first + 1)).unwrap();
        clock.advance(HOUR_MS / 1_000);
    }
    // The youngest is 3.6 s old, the one at offset 2000 an hour: that one stays.
    log.clean_up().unwrap();
    assert_eq!(log.watermarks(&place).unwrap(), Watermarks { low: 2_000, high: 3_000 });
    log.clean_up().unwrap();
    assert_eq!(log.watermarks(&place).unwrap().low, 2_000);
    clock.advance(1);
    log.clean_up().unwrap();
    assert_eq!(log.watermarks(&place).unwrap().low, 2_001);
    drop(log);
    let log = open_at(folder.path(), &clock);
    assert_eq!(read(&log, &place).unwrap().len(), 999);
}

/// 750 MB come and go, 75 MB a day. The room comes back when tables are merged, which goes by how
/// much was written: so it lags, and stays within bounds.
#[test]
fn the_disk_gets_its_room_back() {
    const BYTES_MAX: u64 = 400 * 1024 * 1024;
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open_at(folder.path(), &clock);
    let cleanup = Cleanup::Delete { retention: Some(Duration::from_secs(3_600)) };
    let place = TopicPartition::new(topic(&log, "commands", 1, cleanup), 0);
    let value = "x".repeat(1_000);
    for _ in 0..10 {
        for _ in 0..150 {
            append(&log, &place, vec![text("k", &value); 500]).unwrap();
        }
        clock.advance(24 * HOUR_MS);
        log.clean_up().unwrap();
    }
    let bytes = table_bytes(folder.path());
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
    let disk_bytes = log.disk_bytes().unwrap();
    assert!(disk_bytes >= bytes / 2 && disk_bytes < 2 * BYTES_MAX, "{disk_bytes} bytes");
}

#[test]
fn tombstones_go_a_day_after_they_were_written_unless_the_key_came_back() {
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open_at(folder.path(), &clock);
    let place = TopicPartition::new(topic(&log, "events", 1, Cleanup::Compact), 0);
    let tombstone = |key| Outgoing { value: None, ..text(key, "") };
    append(&log, &place, vec![text("a", "0"), text("b", "1"), text("c", "2")]).unwrap();
    append(&log, &place, vec![tombstone("a"), tombstone("b"), tombstone("d")]).unwrap();
    append(&log, &place, vec![text("b", "6")]).unwrap();
    assert_eq!(offsets_of(&read(&log, &place).unwrap()), [2, 3, 5, 6]);
    clock.advance(20 * HOUR_MS);
    append(&log, &place, vec![tombstone("c")]).unwrap();
    log.clean_up().unwrap();
    assert_eq!(offsets_of(&read(&log, &place).unwrap()), [3, 5, 6, 7]);
    clock.advance(5 * HOUR_MS);
    log.clean_up().unwrap();
    assert_eq!(offsets_of(&read(&log, &place).unwrap()), [6, 7]);
    clock.advance(25 * HOUR_MS);
    log.clean_up().unwrap();
    drop(log);
    let log = open_at(folder.path(), &clock);
    assert_eq!(offsets_of(&read(&log, &place).unwrap()), [6]);
    assert_eq!(append(&log, &place, vec![text("e", "8")]).unwrap(), 8);
}

/// 120 MB in rows of 2 KiB over 2,000 keys: what lives is 4 MiB. What waits to be merged has a
/// size of its own, which does not grow with what is written.
#[test]
fn rows_written_again_and_again_take_up_little_more_than_the_living_ones() {
    const KEYS: u64 = 2_000;
    const ROUNDS: u64 = 30;
    const WAITING_BYTES: u64 = 20 * 1024 * 1024;
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open_at(folder.path(), &clock);
    let place = TopicPartition::new(topic(&log, "events", 1, Cleanup::Compact), 0);
    let row = |key: u64, round: u64| {
        let mut seed = key * 7_919 + round;
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + ((seed >> 40) % 26) as u8)
        };
        let filling: String = (0..2_000).map(|_| byte()).collect();
        text(&format!("{key:05}"), &format!("{round} {filling}"))
    };
    for round in 0..ROUNDS {
        for first in (0..KEYS).step_by(500) {
            // Not in the order of keys: as they come.
            let keys = (first..first + 500).map(|key| key * 7 % KEYS);
            append(&log, &place, keys.map(|key| row(key, round)).collect()).unwrap();
        }
    }
    let living: u64 = KEYS * 2_010;
    let bytes = table_bytes(folder.path());
    assert!(bytes < 3 * living + WAITING_BYTES, "{bytes} bytes for {living} living");
    drop(log);
    let log = open_at(folder.path(), &clock);
    let mut rows = BTreeMap::new();
    for record in read(&log, &place).unwrap() {
        assert!(rows.insert(record.key.unwrap(), record.value.unwrap()).is_none());
    }
    assert_eq!(rows.len() as u64, KEYS);
    for key in 0..KEYS {
        let expected = row(key, ROUNDS - 1);
        assert_eq!(rows.get(&expected.key.unwrap()), expected.value.as_ref());
    }
}
