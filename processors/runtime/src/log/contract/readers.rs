//! Readers: limits, positions, ends.

use std::time::Instant;

use super::{BRIEF, Fixture, NO_LIMIT, numbered, offsets_of, text, value_of};
use crate::log::{Isolation, LogErrorKind, PollLimit, Record, TopicPartition, Watermarks};

fn polls(fixture: &Fixture, place: &TopicPartition, limit: PollLimit) -> Vec<Vec<Record>> {
    let mut reader = fixture.log.reader(place, 0, Isolation::Uncommitted).unwrap();
    let high = fixture.log.watermarks(place).unwrap().high;
    let mut polls = Vec::new();
    fixture.eventually("all records", || {
        let mut out = Vec::new();
        reader.poll(limit, BRIEF, &mut out).unwrap();
        if !out.is_empty() {
            polls.push(out);
        }
        (reader.position() == high).then_some(())
    });
    polls
}

/// And loses none between polls.
pub fn a_poll_brings_no_more_records_than_asked_for(fixture: Fixture) {
    let place = fixture.partition("orders");
    fixture.append(&place, numbered("v", 0..10));
    let polls = polls(&fixture, &place, PollLimit { records: 3, bytes: usize::MAX });
    assert!(polls.iter().all(|records| records.len() <= 3), "{polls:?}");
    assert_eq!(offsets_of(&polls.concat()), (0..10).collect::<Vec<_>>());
}

/// And loses none between polls.
pub fn a_poll_brings_no_more_bytes_than_asked_for(fixture: Fixture) {
    let place = fixture.partition("orders");
    let record = |number: usize| text("key", &"x".repeat(100 + number));
    fixture.append(&place, (0..10).map(record).collect());
    let polls = polls(&fixture, &place, PollLimit { records: usize::MAX, bytes: 350 });
    let bytes =
        |records: &Vec<Record>| -> usize { records.iter().map(|it| 3 + value_of(it).len()).sum() };
    assert!(polls.iter().all(|records| bytes(records) <= 350), "{polls:?}");
    assert_eq!(offsets_of(&polls.concat()), (0..10).collect::<Vec<_>>());
}

/// Alone, between others.
pub fn a_record_larger_than_the_limit_of_a_poll_still_comes(fixture: Fixture) {
    let place = fixture.partition("orders");
    let records = vec![text("k", "small"), text("k", &"x".repeat(5000)), text("k", "small")];
    fixture.append(&place, records);
    let polls = polls(&fixture, &place, PollLimit { records: usize::MAX, bytes: 100 });
    let lengths: Vec<Vec<usize>> =
        polls.iter().map(|records| records.iter().map(|it| value_of(it).len()).collect()).collect();
    assert_eq!(lengths, [[5], [5000], [5]]);
}

/// Of an empty partition too.
pub fn watermarks_are_the_first_and_the_next_offset(fixture: Fixture) {
    let place = fixture.partition("orders");
    assert_eq!(fixture.log.watermarks(&place).unwrap(), Watermarks { low: 0, high: 0 });
    fixture.append(&place, numbered("v", 0..7));
    assert_eq!(fixture.log.watermarks(&place).unwrap(), Watermarks { low: 0, high: 7 });
}

/// At the end it waits, one further it fails.
pub fn a_reader_beyond_the_end_is_out_of_range(fixture: Fixture) {
    let place = fixture.partition("orders");
    fixture.append(&place, numbered("v", 0..3));
    let mut out = Vec::new();
    let mut reader = fixture.log.reader(&place, 3, Isolation::Uncommitted).unwrap();
    fixture.eventually("the end of the partition", || {
        reader.poll(NO_LIMIT, BRIEF, &mut out).unwrap().end_of_partition.then_some(())
    });
    assert_eq!((out.len(), reader.position()), (0, 3));

    let mut reader = fixture.log.reader(&place, 4, Isolation::Uncommitted).unwrap();
    let failed = fixture
        .eventually("the refusal of a reader", || reader.poll(NO_LIMIT, BRIEF, &mut out).err());
    assert_eq!(failed.kind(), LogErrorKind::OffsetOutOfRange);
}

/// Back and forth, and after a failure.
pub fn a_reader_goes_on_from_where_it_is_told(fixture: Fixture) {
    let place = fixture.partition("orders");
    fixture.append(&place, numbered("v", 0..5));
    let mut reader = fixture.log.reader(&place, 0, Isolation::Uncommitted).unwrap();
    for offset in [3, 0, 4, 1] {
        reader.seek(offset);
        assert_eq!(reader.position(), offset);
        let mut out = Vec::new();
        fixture.eventually("a record", || {
            reader.poll(PollLimit { records: 1, bytes: 1000 }, BRIEF, &mut out).unwrap();
            (!out.is_empty()).then_some(())
        });
        assert_eq!(offsets_of(&out), [offset]);
        assert_eq!(reader.position(), offset + 1);
    }
    reader.seek(77);
    let mut out = Vec::new();
    fixture.eventually("out of range", || reader.poll(NO_LIMIT, BRIEF, &mut out).err());
    reader.seek(4);
    fixture.eventually("a record after all", || {
        reader.poll(NO_LIMIT, BRIEF, &mut out).unwrap();
        (!out.is_empty()).then_some(())
    });
    assert_eq!(offsets_of(&out), [4]);
}

/// For both kinds of readers.
pub fn the_end_of_an_empty_partition_is_reached_at_once(fixture: Fixture) {
    let place = fixture.partition("orders");
    for isolation in [Isolation::Uncommitted, Isolation::Committed] {
        let mut reader = fixture.log.reader(&place, 0, isolation).unwrap();
        let mut out = Vec::new();
        let started = Instant::now();
        let polled = reader.poll(NO_LIMIT, fixture.patience, &mut out).unwrap();
        assert!(polled.end_of_partition);
        assert!(started.elapsed() < fixture.patience / 2, "an end newly reached ends the wait");
        assert_eq!((out.len(), reader.position()), (0, 0));
    }
}
