//! How far a group is behind, by what the log knows and by what a host says.

use std::time::Duration;

use cityevents_runtime::host::{Host, HostOptions, PanicPolicy, Task as _};
use cityevents_runtime::lag::{Counts, Lag, of_group};
use cityevents_runtime::log::{Committed, Log as _, LogErrorKind, MemberEvent, TopicPartition};
use cityevents_runtime::worker::make_task;

use super::fixture::{COMMANDS, FACTS, NOW_MS, Toy, World, eventually, run};

const GROUP: &str = "toys";

fn commands() -> TopicPartition {
    TopicPartition::new(COMMANDS, 0)
}

fn lag_of(world: &World, partition: &TopicPartition, counts: Counts) -> Lag {
    of_group(&world.log, GROUP, partition, counts).unwrap()
}

/// Stores progress as a member of the group would.
fn commit(world: &World, partition: &TopicPartition, offset: u64, metadata: &str) {
    let mut member =
        world.log.join(GROUP, std::slice::from_ref(&partition.topic), "somebody").unwrap();
    eventually("the partition is ours", || match member.poll(Duration::ZERO).unwrap() {
        Some(MemberEvent::Assigned { .. }) => Some(()),
        _ => None,
    });
    let committed = Committed { offset, metadata: metadata.to_owned() };
    member.commit(&[(partition.clone(), committed)]).unwrap();
}

#[test]
fn a_group_that_never_began_has_everything_before_it() {
    let world = World::new();
    world.send(&["add a"]);
    world.log_clock.advance(5_000);
    world.send(&["add b"]);
    let lag = lag_of(&world, &commands(), Counts::All);
    assert_eq!((lag.committed, lag.end, lag.records), (None, 2, 2));
    assert_eq!(lag.oldest_at_ms, Some(NOW_MS));
}

#[test]
fn a_group_in_the_middle_waits_for_what_lies_behind_its_progress() {
    let world = World::new();
    world.send(&["add a"]);
    world.log_clock.advance(5_000);
    world.send(&["add b"]);
    commit(&world, &commands(), 1, "");
    let lag = lag_of(&world, &commands(), Counts::All);
    assert_eq!((lag.committed, lag.records), (Some(1), 1));
    assert_eq!(lag.oldest_at_ms, Some(NOW_MS + 5_000));
}

#[test]
fn nothing_waits_at_the_end() {
    let world = World::new();
    world.send(&["add a", "add b"]);
    commit(&world, &commands(), 2, "");
    let lag = lag_of(&world, &commands(), Counts::All);
    assert_eq!((lag.records, lag.oldest_at_ms, lag.expired()), (0, None, 0));
}

#[test]
fn records_that_do_not_count_are_waited_for_by_nobody() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    let facts = TopicPartition::new(FACTS, 0);
    commit(&world, &facts, 2, &worker.acknowledged().to_text());
    world.append_junk();
    assert_eq!(lag_of(&world, &facts, Counts::Linked).records, 0);
    assert_eq!(lag_of(&world, &facts, Counts::All).records, 1);
    world.log_clock.advance(7_000);
    drop(worker);
    let mut worker = world.worker();
    world.send(&["add b"]);
    run(&mut worker).unwrap();
    let lag = lag_of(&world, &facts, Counts::Linked);
    assert_eq!((lag.records, lag.oldest_at_ms), (2, Some(NOW_MS + 7_000)));
}

#[test]
fn records_that_expired_unread_are_told() {
    let world = World::new();
    world.send(&["add a", "add b"]);
    commit(&world, &commands(), 1, "");
    world.log_clock.advance(2 * 3_600_000);
    world.send(&["add c"]);
    world.log.clean(COMMANDS).unwrap();
    let lag = lag_of(&world, &commands(), Counts::All);
    assert_eq!((lag.expired(), lag.records), (1, 1));
    assert_eq!(lag.oldest_at_ms, Some(NOW_MS + 2 * 3_600_000));
}

#[test]
fn progress_beyond_the_end_is_no_lag_but_an_error() {
    let world = World::new();
    world.send(&["add a"]);
    commit(&world, &commands(), 2, "");
    let error = of_group(&world.log, GROUP, &commands(), Counts::All).unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::OffsetOutOfRange);
    assert!(error.to_string().contains("stands at 2 in toy-commands/0, which ends at 1"));
}

#[test]
fn a_worker_that_lags_says_so_until_it_has_caught_up() {
    let mut world = World::new();
    world.options.burst.records = 1;
    let mut worker = world.worker();
    assert_eq!(worker.lagging(), None);
    world.send(&["add a", "add b"]);
    world.wall_clock.advance(60_000);
    worker.step(Duration::ZERO).unwrap();
    let lagging = worker.lagging().unwrap();
    assert_eq!(lagging.age, Duration::from_secs(60));
    assert_eq!(lagging.reason, "it lags by 60 s");
    run(&mut worker).unwrap();
    worker.step(Duration::ZERO).unwrap();
    assert_eq!(worker.lagging(), None);
}

#[test]
fn a_worker_tells_when_commands_have_lived_through_half_of_their_time() {
    let mut world = World::new();
    world.options.burst.records = 1;
    let mut worker = world.worker();
    world.send(&["add a", "add b"]);
    world.wall_clock.advance(40 * 60_000);
    worker.step(Duration::ZERO).unwrap();
    let reason = worker.lagging().unwrap().reason;
    assert!(reason.contains("toy-commands that waits is 40 min old"), "{reason}");
    assert!(reason.contains("after 60 min it is thrown away"), "{reason}");
    assert!(reason.contains("raise retention.ms of toy-commands"), "{reason}");
}

#[test]
fn a_host_that_lags_is_ready_and_names_the_partition() {
    let world = World::with_partitions(2);
    let program = world.program.clone();
    let make = make_task(world.source.clone(), world.options.clone(), move || Toy::new(&program));
    let options = HostOptions {
        name: "toy",
        group: GROUP.into(),
        topics: vec![COMMANDS.into()],
        member: "one".into(),
        panics: PanicPolicy::default(),
    };
    let host = Host::start(&world.source.log, options, world.source.metrics.clone(), make).unwrap();
    eventually("all tasks run", || {
        (host.states().len() == 2 && host.problem().is_none()).then_some(())
    });
    assert_eq!(host.warning(), None);
    world.hold.hold_deliveries(true);
    world.wall_clock.advance(60_000);
    world.send_to(1, &["add a"]);
    let warning = eventually("a warning", || host.warning());
    assert!(warning.starts_with("toy/1: it lags by"), "{warning}");
    assert_eq!(host.problem(), None);
    assert_eq!(host.partitions().running(), [0, 1]);
    world.hold.hold_deliveries(false);
    eventually("it has caught up", || host.warning().is_none().then_some(()));
    host.stop();
}
