//! Who was shut out and does not know it yet.

use std::time::Duration;

use cityevents_runtime::log::contract::{BRIEF, Fixture, NO_LIMIT, text, value_of};
use cityevents_runtime::log::kafka::KafkaOptions;
use cityevents_runtime::log::{
    Committed, FencedBatch, Isolation, LogErrorKind, Member, MemberEvent, Record, TopicPartition,
};

use super::cluster::{broker, fixture, fixture_with, options};

/// How long the group waits for a member that was not heard of.
const WAITED_FOR: Duration = Duration::from_secs(300);

fn batch(
    fixture: &Fixture,
    row: &str,
    place: &TopicPartition,
    input: (&TopicPartition, u64),
) -> FencedBatch {
    let committed = Committed { offset: input.1, metadata: row.to_owned() };
    FencedBatch {
        records: vec![(place.clone(), text("event-1", row))],
        group: fixture.name("publisher"),
        progress: vec![(input.0.clone(), committed)],
    }
}

/// What a sink that takes the last record of a key would show.
fn last_row(records: &[Record]) -> Option<String> {
    records.last().map(value_of)
}

#[test]
fn a_woken_publisher_cannot_turn_a_row_back() {
    let fixture = fixture();
    let (place, input) = (fixture.partition("events"), fixture.partition("facts"));
    let identity = fixture.name("publisher-0");
    let mut zombie = fixture.log.fenced(&identity).unwrap();
    zombie.write(batch(&fixture, "capacity 10", &place, (&input, 1))).unwrap();
    // It sleeps. Somebody else takes over and publishes what came since.
    let mut owner = fixture.log.fenced(&identity).unwrap();
    owner.write(batch(&fixture, "capacity 20", &place, (&input, 2))).unwrap();
    // It wakes, and has an old row in its hands.
    let woken = zombie.write(batch(&fixture, "capacity 10", &place, (&input, 2)));
    assert_eq!(woken.unwrap_err().kind(), LogErrorKind::Fenced);

    let committed = fixture.read(&place, 0, Isolation::Committed);
    assert_eq!(last_row(&committed).as_deref(), Some("capacity 20"));
    let progress = fixture.log.committed(&fixture.name("publisher"), &input).unwrap();
    assert_eq!(progress.map(|progress| progress.metadata).as_deref(), Some("capacity 20"));
    owner.write(batch(&fixture, "capacity 30", &place, (&input, 3))).unwrap();
    let committed = fixture.read(&place, 0, Isolation::Committed);
    assert_eq!(last_row(&committed).as_deref(), Some("capacity 30"));
}

fn assigned(fixture: &Fixture, member: &mut dyn Member) -> Vec<TopicPartition> {
    fixture.eventually("an assignment", || match member.poll(BRIEF).unwrap() {
        Some(MemberEvent::Assigned { partitions, .. }) => Some(partitions),
        _ => None,
    })
}

/// Even one that takes the identity again, since its membership does not count any more.
#[test]
fn who_lost_its_partition_cannot_store_progress_of_it() {
    let fixture = fixture();
    let (place, input) = (fixture.partition("events"), fixture.topic("facts", 2));
    let group = fixture.name("publisher");
    let mut member = fixture.log.join(&group, std::slice::from_ref(&input), "a").unwrap();
    let owned = assigned(&fixture, &mut *member);
    assert_eq!(owned.len(), 2);
    let identity = fixture.name("publisher-0");
    let mut writer = fixture.log.fenced(&identity).unwrap();
    writer.write(batch(&fixture, "first", &place, (&owned[0], 1))).unwrap();

    member.leave().unwrap();
    let mut writer = fixture.log.fenced(&identity).unwrap();
    let refused = writer.write(batch(&fixture, "zombie", &place, (&owned[0], 2))).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Fenced);
    let rows: Vec<_> = fixture.read(&place, 0, Isolation::Committed).iter().map(value_of).collect();
    assert_eq!(rows, ["first"]);
}

/// A static member is waited for, unless it says good-bye: for longer than anybody is patient here.
#[test]
fn who_leaves_is_not_waited_for() {
    let options = KafkaOptions { session_timeout: WAITED_FOR, ..options(&broker()) };
    let fixture = fixture_with(options);
    assert!(fixture.patience < WAITED_FOR);
    let topics = [fixture.topic("commands", 2)];
    let group = fixture.name("group");
    let mut leaving = fixture.log.join(&group, &topics, "a").unwrap();
    assert_eq!(assigned(&fixture, &mut *leaving).len(), 2);
    leaving.leave().unwrap();
    let mut next = fixture.log.join(&group, &topics, "b").unwrap();
    assert_eq!(assigned(&fixture, &mut *next).len(), 2);
    drop(leaving);
    assert!(next.owns(&TopicPartition::new(topics[0].clone(), 0)));
}

/// Compaction and control records leave offsets without records; a reader that has reached the end
/// stands behind them all the same.
#[test]
fn a_reader_at_the_end_stands_behind_control_records() {
    let fixture = fixture();
    let (place, input) = (fixture.partition("events"), fixture.partition("facts"));
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    writer.write(batch(&fixture, "row", &place, (&input, 1))).unwrap();
    // The coordinator answers when it has decided to commit; the end of the batch is written after.
    let high = fixture.eventually("the row, and the end of its batch", || {
        let high = fixture.log.watermarks(&place).unwrap().high;
        (high == 2).then_some(high)
    });
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        let mut reader = fixture.log.reader(&place, 0, isolation).unwrap();
        let mut out = Vec::new();
        fixture.eventually("the end", || {
            reader.poll(NO_LIMIT, BRIEF, &mut out).unwrap().end_of_partition.then_some(())
        });
        assert_eq!((out.len(), reader.position()), (1, high));
    }
}
