//! What is there again when a log was closed and opened ([`Fixture::reopen`]).

use super::worker::{Worker, progress, settle};
use super::{Fixture, numbered, offsets_of, text, value_of};
use crate::log::{FencedBatch, Isolation, LogErrorKind, TopicDescription, TopicPartition};

fn reopened(fixture: Fixture) -> Fixture {
    let Fixture { log, reopen, .. } = fixture;
    let reopen = reopen.expect("this group needs a log that can be opened again");
    drop(log);
    Fixture { log: reopen(), reopen: None, ..fixture }
}

/// Others may make topics beside those of a case.
fn own_topics(fixture: &Fixture) -> Vec<TopicDescription> {
    let ours = |topic: &TopicDescription| topic.spec.name.starts_with(&fixture.prefix);
    fixture.log.topics().unwrap().into_iter().filter(ours).collect()
}

/// Ids and settings, contents, stamps and offsets.
pub fn topics_records_and_progress_are_there_again(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2), fixture.topic("facts", 2)];
    let place = TopicPartition::new(topics[0].clone(), 1);
    fixture.append(&place, numbered("v", 0..100));
    let mut worker = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut worker], &[4]);
    worker.member.commit(&[(place.clone(), progress(42, "pair"))]).unwrap();
    drop(worker);
    let described = own_topics(&fixture);
    let records = fixture.read(&place, 0, Isolation::Uncommitted);

    let fixture = reopened(fixture);
    assert_eq!(own_topics(&fixture), described);
    assert_eq!(fixture.read(&place, 0, Isolation::Uncommitted), records);
    let committed = fixture.log.committed(&fixture.name("group"), &place).unwrap();
    assert_eq!(committed, Some(progress(42, "pair")));
    let exists = fixture.log.create_topic(&described[0].spec).unwrap_err();
    assert_eq!(exists.kind(), LogErrorKind::TopicExists);
}

/// In every partition, also in one that is empty.
pub fn offsets_go_on_where_they_ended(fixture: Fixture) {
    let topic = fixture.topic("commands", 2);
    let place = |number| TopicPartition::new(topic.clone(), number);
    fixture.append(&place(0), numbered("v", 0..3));
    let fixture = reopened(fixture);
    assert_eq!(fixture.append(&place(0), numbered("v", 3..5)), [3, 4]);
    assert_eq!(fixture.append(&place(1), numbered("w", 0..1)), [0]);
    let records = fixture.read(&place(0), 0, Isolation::Uncommitted);
    assert_eq!(offsets_of(&records), [0, 1, 2, 3, 4]);
    let stamps: Vec<_> = records.iter().map(|record| record.timestamp_ms).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
}

/// And may commit again.
pub fn a_member_gets_its_partitions_again(fixture: Fixture) {
    let topics = [fixture.topic("commands", 4)];
    let mut one = Worker::join(&fixture, &topics, "a");
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[2, 2]);
    let before = (one.owned.clone(), other.owned.clone());
    drop((one, other));
    let fixture = reopened(fixture);
    let mut other = Worker::join(&fixture, &topics, "b");
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one, &mut other], &[2, 2]);
    assert_eq!((one.owned.clone(), other.owned.clone()), before);
    let place = one.owned.first().unwrap().clone();
    one.member.commit(&[(place, progress(1, "again"))]).unwrap();
}

/// Outputs and progress together, and the identity can be taken again.
pub fn fenced_batches_are_there_again(fixture: Fixture) {
    let place = fixture.partition("events");
    let input = fixture.partition("facts");
    let batch = |fixture: &Fixture, value: &str, offset| FencedBatch {
        records: vec![(place.clone(), text("k", value))],
        group: fixture.name("publisher"),
        progress: vec![(input.clone(), progress(offset, value))],
    };
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    writer.write(batch(&fixture, "before", 3)).unwrap();
    drop(writer);

    let fixture = reopened(fixture);
    let committed =
        |fixture: &Fixture| fixture.log.committed(&fixture.name("publisher"), &input).unwrap();
    assert_eq!(committed(&fixture), Some(progress(3, "before")));
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    writer.write(batch(&fixture, "after", 4)).unwrap();
    let records = fixture.read(&place, 0, Isolation::Committed);
    assert_eq!(records.iter().map(value_of).collect::<Vec<_>>(), ["before", "after"]);
    assert_eq!(committed(&fixture), Some(progress(4, "after")));
}
