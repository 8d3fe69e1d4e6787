//! When going on would do harm, the partition stops with a message that says what to do.

use std::time::Duration;

use cityevents_runtime::host::{Task as _, TaskError};
use cityevents_runtime::log::{Log as _, TimestampKind, TopicPartition, TopicSpec};

use crate::fixture::{COMMANDS, FACTS, NOW_MS, World, again, run, spec, stop_reason, text};

fn stop_at_start(world: &World) -> String {
    stop_reason(world.try_worker().map(drop))
}

#[test]
fn a_command_topic_that_was_made_anew_stops_the_restore() {
    let world = World::new();
    world.send(&["add a"]);
    run(&mut world.worker()).unwrap();
    world.log.delete_topic(COMMANDS).unwrap();
    world.log.create_topic(&spec(COMMANDS, 1)).unwrap();
    world.send(&["add a", "add a"]);
    let reason = stop_at_start(&world);
    assert!(reason.contains("deleted and made anew"), "{reason}");
}

#[test]
fn a_command_topic_that_was_made_anew_stops_a_running_worker() {
    let world = World::new();
    let mut worker = world.worker();
    world.log.delete_topic(COMMANDS).unwrap();
    world.log.create_topic(&spec(COMMANDS, 1)).unwrap();
    world.send(&["add a"]);
    stop_reason(worker.step(Duration::ZERO));
    assert!(world.links().is_empty());
}

#[test]
fn commands_that_expired_before_they_were_decided_stop_the_start() {
    let world = World::new();
    world.send(&["add a"]);
    run(&mut world.worker()).unwrap();
    world.send(&["add a", "add a"]);
    world.log_clock.advance(2 * 3_600_000);
    world.send(&["add b"]);
    world.log.clean(COMMANDS).unwrap();
    let reason = stop_at_start(&world);
    assert!(reason.contains("commands 1 to 2 of toy-commands/0 expired"), "{reason}");
    assert_eq!(world.links().len(), 1);
}

#[test]
fn a_command_topic_that_ends_before_the_last_decided_command_stops_the_start() {
    let world = World::new();
    world.send(&["add a", "add a"]);
    run(&mut world.worker()).unwrap();
    // The genesis of the new topic's id, the links of the old one: nobody but a broken log or a
    // careless restore makes this.
    let other = World::new();
    for record in world.records(FACTS, 0) {
        other.append(&TopicPartition::new(FACTS, 0), again(record));
    }
    other.send(&["add a"]);
    let reason = stop_at_start(&other);
    assert!(
        reason.contains("decided up to command 1 of toy-commands/0, which ends at 1"),
        "{reason}"
    );
}

#[test]
fn topics_with_different_numbers_of_partitions_stop_the_start() {
    let world = World::new();
    world.log.delete_topic(COMMANDS).unwrap();
    world.log.create_topic(&spec(COMMANDS, 2)).unwrap();
    let reason = stop_at_start(&world);
    assert!(reason.contains("toy-commands has 2 partitions and toy-facts has 1"), "{reason}");
    assert!(world.records(FACTS, 0).is_empty(), "not even a genesis is written");
}

#[test]
fn commands_that_their_writers_stamp_stop_the_start() {
    let world = World::new();
    world.log.delete_topic(COMMANDS).unwrap();
    let stamped = TopicSpec { timestamps: TimestampKind::Create, ..spec(COMMANDS, 1) };
    world.log.create_topic(&stamped).unwrap();
    let reason = stop_at_start(&world);
    assert!(reason.contains("message.timestamp.type=LogAppendTime on toy-commands"), "{reason}");
    assert!(world.records(FACTS, 0).is_empty(), "not even a genesis is written");
}

#[test]
fn a_command_stamped_too_far_ahead_is_not_decided_and_those_before_it_are_answered() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "same"]);
    world.log_clock.set(NOW_MS + 5 * 60_000 + 1);
    world.send(&["add a", "add b"]);
    let reason = stop_reason(run(&mut worker));
    assert!(reason.contains("toy-commands/0 offset 2"), "{reason}");
    assert!(reason.contains("300 s ahead of this machine's clock"), "{reason}");
    assert_eq!(world.answers().len(), 2);
    assert_eq!(world.verdicts().len(), 2);
    drop(worker);
    stop_reason(run(&mut world.worker()));
    world.wall_clock.advance(1);
    run(&mut world.worker()).unwrap();
    assert_eq!(world.verdicts().len(), 4, "five minutes are allowed");
}

#[test]
fn a_broken_promise_stops_before_the_command_and_answers_what_lies_before() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "broken", "add a"]);
    let reason = stop_reason(run(&mut worker));
    assert!(reason.contains("offset 1 is not decided: the counters are wrong"), "{reason}");
    assert_eq!(world.verdicts(), [(0, "add a".to_owned())]);
    assert_eq!(world.answers().len(), 1);
}

#[test]
fn a_fact_that_counts_and_cannot_be_read_stops_the_restore() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    append_unreadable_link(&world, &worker);
    let reason = stop_at_start(&world);
    assert!(reason.contains("toy-facts/0 offset 2 cannot be read"), "{reason}");
    assert!(reason.contains("upgrade this program"), "{reason}");
    // A standby that saw it is of no use any more, however often it is asked.
    let mut standby =
        cityevents_runtime::standby::Standby::empty(&world.source, 0, world.toy()).unwrap();
    for _ in 0..2 {
        let error = TaskError::from(standby.catch_up(3).unwrap_err());
        assert!(matches!(error, TaskError::Stop(_)), "{error}");
        assert!(standby.take_snapshot().is_err());
    }
}

fn append_unreadable_link(
    world: &World,
    worker: &cityevents_runtime::worker::Worker<crate::fixture::Toy>,
) {
    use cityevents_runtime::chain::ChainWriter;
    use cityevents_runtime::log::Outgoing;
    use cityevents_runtime::log::headers::HeadersBuilder;
    let mut headers = HeadersBuilder::default();
    ChainWriter::new(worker.acknowledged(), 2).link(1, b"of a later version", &mut headers);
    let record = Outgoing { headers: headers.build(), ..text("of a later version") };
    world.append(&TopicPartition::new(FACTS, 0), record);
}
