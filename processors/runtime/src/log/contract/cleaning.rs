//! What is thrown away, for logs that do so when asked ([`Fixture::clean`]) and whose clock is set
//! by hand ([`Fixture::clock`]).

use std::time::Duration;

use super::{BRIEF, Fixture, NO_LIMIT, numbered, offsets_of, text, value_of};
use crate::log::{
    Cleanup, Isolation, LogErrorKind, Outgoing, TimestampKind, TopicPartition, Watermarks,
};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn advance(fixture: &Fixture, by_ms: i64) {
    fixture.clock.as_ref().expect("this group needs a clock set by hand").advance(by_ms);
}

fn clean(fixture: &Fixture, place: &TopicPartition) {
    fixture.clean.as_ref().expect("this group needs a log that cleans on demand")(&place.topic);
}

fn partition(fixture: &Fixture, cleanup: Cleanup) -> TopicPartition {
    let topic = fixture.topic_with("orders", 1, cleanup, TimestampKind::LogAppend);
    TopicPartition::new(topic, 0)
}

fn kept_for_a_day() -> Cleanup {
    Cleanup::Delete { retention: Some(Duration::from_secs(24 * 60 * 60)) }
}

/// And a reader that stands on one of them is out of range.
pub fn retention_takes_old_records_and_moves_no_offset(fixture: Fixture) {
    let place = partition(&fixture, kept_for_a_day());
    fixture.append(&place, numbered("old", 0..3));
    advance(&fixture, 20 * HOUR_MS);
    fixture.append(&place, numbered("young", 0..2));
    clean(&fixture, &place);
    assert_eq!(fixture.log.watermarks(&place).unwrap(), Watermarks { low: 0, high: 5 });

    advance(&fixture, 5 * HOUR_MS);
    clean(&fixture, &place);
    assert_eq!(fixture.log.watermarks(&place).unwrap(), Watermarks { low: 3, high: 5 });
    let records = fixture.read(&place, 3, Isolation::Uncommitted);
    assert_eq!(offsets_of(&records), [3, 4]);
    assert_eq!(records.iter().map(value_of).collect::<Vec<_>>(), ["young0", "young1"]);

    let mut reader = fixture.log.reader(&place, 2, Isolation::Uncommitted).unwrap();
    let mut out = Vec::new();
    let failed = fixture
        .eventually("the refusal of a reader", || reader.poll(NO_LIMIT, BRIEF, &mut out).err());
    assert_eq!(failed.kind(), LogErrorKind::OffsetOutOfRange);
    assert_eq!(fixture.append(&place, numbered("next", 0..1)), [5]);
}

/// The next offset stays all the same.
pub fn retention_may_take_everything(fixture: Fixture) {
    let place = partition(&fixture, kept_for_a_day());
    fixture.append(&place, numbered("old", 0..3));
    advance(&fixture, 25 * HOUR_MS);
    clean(&fixture, &place);
    assert_eq!(fixture.log.watermarks(&place).unwrap(), Watermarks { low: 3, high: 3 });
    assert_eq!(fixture.values(&place, Isolation::Uncommitted), [""; 0]);
    assert_eq!(fixture.append(&place, numbered("next", 0..1)), [3]);
}

/// However old it is.
pub fn without_retention_everything_stays(fixture: Fixture) {
    let place = partition(&fixture, Cleanup::Delete { retention: None });
    fixture.append(&place, numbered("v", 0..3));
    advance(&fixture, 20 * 365 * 24 * HOUR_MS);
    clean(&fixture, &place);
    assert_eq!(fixture.log.watermarks(&place).unwrap(), Watermarks { low: 0, high: 3 });
    assert_eq!(fixture.values(&place, Isolation::Uncommitted), ["v0", "v1", "v2"]);
}

/// With its offset, tombstones that are young among them.
pub fn compaction_keeps_the_last_record_of_each_key(fixture: Fixture) {
    let place = partition(&fixture, Cleanup::Compact);
    let tombstone = Outgoing { value: None, ..text("b", "") };
    let records = vec![
        text("a", "a0"),
        text("b", "b1"),
        text("a", "a2"),
        text("c", "c3"),
        tombstone,
        text("a", "a5"),
    ];
    fixture.append(&place, records);
    clean(&fixture, &place);
    assert_eq!(fixture.log.watermarks(&place).unwrap().high, 6);
    // Whoever was told of offset 0 before the compaction can still begin there.
    let records = fixture.read(&place, 0, Isolation::Committed);
    assert_eq!(offsets_of(&records), [3, 4, 5]);
    let values: Vec<_> = records.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values, [Some("c3".into()), None, Some("a5".into())]);
}

/// And a second compaction takes what has become old since.
pub fn what_comes_after_a_compaction_goes_on_counting(fixture: Fixture) {
    let place = partition(&fixture, Cleanup::Compact);
    fixture.append(&place, vec![text("a", "a0"), text("b", "b1"), text("a", "a2")]);
    clean(&fixture, &place);
    assert_eq!(fixture.append(&place, vec![text("b", "b3"), text("c", "c4")]), [3, 4]);
    // Whether the older record of b is still there is up to the log.
    let offsets = offsets_of(&fixture.read(&place, 0, Isolation::Uncommitted));
    assert!(offsets.ends_with(&[2, 3, 4]), "{offsets:?}");
    clean(&fixture, &place);
    assert_eq!(fixture.values(&place, Isolation::Uncommitted), ["a2", "b3", "c4"]);
}
