//! Warm standbys: they follow the facts and take over with nothing folded again.

use std::time::Duration;

use cityevents_runtime::host::{Ownership, Task as _, TaskError};
use cityevents_runtime::log::{Log as _, LogErrorKind, PollLimit, TopicPartition};
use cityevents_runtime::standby::{FoldError, Standby, StandbyPool};
use cityevents_runtime::topology::Topology as _;
use cityevents_runtime::worker::Worker;

use super::fixture::{COMMANDS, FACTS, Toy, World, run, spec, stop_reason, text};

const ALL: PollLimit = PollLimit { records: usize::MAX, bytes: usize::MAX };

fn follow(standby: &mut Standby<Toy>, world: &World) {
    let high = world.log.watermarks(&TopicPartition::new(FACTS, 0)).unwrap().high;
    standby.catch_up(high).unwrap();
}

fn take_over(standby: Standby<Toy>, world: &World) -> Worker<Toy> {
    Worker::take_over(standby, world.options.clone(), Ownership::new()).unwrap()
}

#[test]
fn the_standby_takes_over_in_the_middle_of_a_burst_and_folds_only_the_tail() {
    let mut world = World::new();
    world.options.burst = PollLimit { records: 4, bytes: 1 << 20 };
    let mut owner = world.worker();
    let keys: Vec<_> = (0..100).map(|number| format!("add {number}")).collect();
    world.send(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    run(&mut owner).unwrap();
    let mut standby = world.restore();
    assert_eq!(standby.topology().state, owner.topology().state);

    // The owner stops: some links are in the log, some are not, and nobody has an answer.
    world.hold.hold_deliveries(true);
    world.send(&["add a", "same", "add a", "add a", "add a", "same", "add b", "nonsense"]);
    owner.step(Duration::ZERO).unwrap();
    world.log.fail_next_append(LogErrorKind::Unavailable);
    let _stopped = owner.step(Duration::ZERO);
    drop(owner);
    world.hold.hold_deliveries(false);
    assert_eq!(world.links().len(), 100 + 3, "half of the burst is in the log");
    assert_eq!(world.answers().len(), 100);

    let folded = world.folds();
    assert_eq!(standby.poll(ALL, Duration::ZERO).unwrap(), 3);
    let mut owner = take_over(standby, &world);
    world.send(&["add c"]);
    run(&mut owner).unwrap();
    assert_eq!(world.folds() - folded, 3, "only the tail is folded");
    let answers: Vec<_> = world.answers().split_off(100);
    let ends: Vec<_> = answers.iter().map(|answer| answer.split(" by").next().unwrap()).collect();
    assert_eq!(
        ends,
        ["104 full", "105 unchanged", "106 done", "107 undecodable", "108 done"],
        "what the first owner closed has its outcome in the links"
    );
    let offsets: Vec<_> = world.verdicts().iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (0..109).collect::<Vec<_>>());
    assert_eq!(world.restore().topology().state, owner.topology().state);
}

#[test]
fn a_standby_that_lags_reads_the_tail_when_it_takes_over() {
    let world = World::new();
    let standby = world.restore();
    let mut owner = world.worker();
    world.send(&["add a", "same", "add b"]);
    run(&mut owner).unwrap();
    let mut other = take_over(standby, &world);
    assert_eq!(other.topology().state, owner.topology().state);
    assert_eq!(other.acknowledged(), owner.acknowledged());
    world.send(&["add c"]);
    run(&mut other).unwrap();
    assert_eq!(world.links().len(), 3);
}

#[test]
fn a_standby_passes_what_does_not_count() {
    let world = World::new();
    let mut owner = world.worker();
    world.append_junk();
    world.send(&["add a"]);
    run(&mut owner).unwrap();
    world.append_junk();
    let mut standby = world.restore();
    follow(&mut standby, &world);
    assert_eq!(standby.topology().encode_state(), owner.topology().encode_state());
    assert_eq!(standby.position().unwrap().offset, 4);
    assert_eq!(standby.links_since_snapshot(), 2, "the genesis is a link too");
    let mut owner = take_over(standby, &world);
    world.send(&["add a"]);
    run(&mut owner).unwrap();
    assert_eq!(world.source.metrics.gaps.get(), 1, "only the first owner met a gap");
}

#[test]
fn a_long_way_is_read_ahead_to_the_same_state_or_the_same_refusal() {
    let world = World::new();
    let mut owner = world.worker();
    world.send(&["add a", "same", "add b"]);
    run(&mut owner).unwrap();
    // Nothing of it counts, and all of it has to be read.
    let facts = TopicPartition::new(FACTS, 0);
    let mut zombie = world.log.producer("zombie").unwrap();
    zombie.append(&facts, vec![text("junk"); 100_000]).unwrap();
    world.send(&["add c"]);
    run(&mut owner).unwrap();
    let restored = world.restore();
    assert_eq!(restored.topology().state, owner.topology().state);
    let high = world.log.watermarks(&facts).unwrap().high;
    assert!(high > 100_000);
    assert_eq!(restored.position().unwrap().offset, high);

    world.log.delete_topic(COMMANDS).unwrap();
    world.log.create_topic(&spec(COMMANDS, 1)).unwrap();
    let refused = Standby::restore(&world.source, 0, || world.toy()).map(drop);
    assert!(matches!(refused, Err(FoldError::OtherCommands { .. })), "{refused:?}");
}

#[test]
fn a_warm_standby_does_not_take_over_from_another_command_topic() {
    let world = World::new();
    let mut owner = world.worker();
    world.send(&["add a"]);
    run(&mut owner).unwrap();
    let standby = world.restore();
    world.log.delete_topic(COMMANDS).unwrap();
    world.log.create_topic(&spec(COMMANDS, 1)).unwrap();
    world.send(&["add a", "add a", "add a"]);
    let taken = Worker::take_over(standby, world.options.clone(), Ownership::new());
    let reason = stop_reason(taken.map(drop));
    assert!(reason.contains("made anew"), "{reason}");
    assert_eq!(world.links().len(), 1);
}

#[test]
fn links_that_are_missing_for_ten_seconds_make_a_follower_stuck() {
    let world = World::new();
    let mut owner = world.worker();
    world.send(&["add a", "add b"]);
    run(&mut owner).unwrap();
    let torn = World::new();
    let records = world.records(FACTS, 0);
    for index in [0, 2] {
        let record = super::fixture::again(records[index].clone());
        torn.append(&TopicPartition::new(FACTS, 0), record);
    }
    // The torn log's command topic has the same id, since both are the first of their logs.
    let mut standby = torn.restore();
    assert!(!standby.is_stuck());
    torn.wall_clock.advance(9_999);
    assert!(!standby.is_stuck());
    torn.wall_clock.advance(1);
    assert!(standby.is_stuck());
    torn.append(&TopicPartition::new(FACTS, 0), super::fixture::again(records[1].clone()));
    follow(&mut standby, &torn);
    assert!(!standby.is_stuck(), "the missing link came");
}

#[test]
fn records_that_are_no_links_or_repeated_ones_make_nobody_stuck() {
    let world = World::new();
    let mut owner = world.worker();
    world.send(&["add a"]);
    run(&mut owner).unwrap();
    for record in world.records(FACTS, 0) {
        world.append(&TopicPartition::new(FACTS, 0), super::fixture::again(record));
    }
    world.append(&TopicPartition::new(FACTS, 0), text("junk"));
    let standby = world.restore();
    world.wall_clock.advance(60_000);
    assert!(!standby.is_stuck());
}

#[test]
fn a_log_that_does_not_answer_makes_the_restore_try_again() {
    let error = TaskError::from(FoldError::Log(cityevents_runtime::log::LogError::new(
        LogErrorKind::Unavailable,
        "away",
    )));
    assert_eq!(error, TaskError::Restart("away".into()));
}

/// Waits for the pool to have folded everything, by what the toy counts.
fn until_folded(world: &World, folds: u64) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while world.folds() < folds {
        assert!(std::time::Instant::now() < deadline, "the pool folds nothing");
        std::thread::yield_now();
    }
}

#[test]
fn a_pool_hands_a_warm_standby_over_and_keeps_none_while_it_is_leased() {
    let world = World::new();
    let mut owner = world.worker();
    world.send(&["add a", "add b"]);
    run(&mut owner).unwrap();
    let toy = world.clone();
    let pool = StandbyPool::start(&world.source, move || toy.toy()).unwrap();
    until_folded(&world, 2);
    let (standby, lease) = pool.take(0);
    let standby = standby.expect("a pool that restores is waited for");
    assert_eq!(standby.topology().state, owner.topology().state);
    let folded = world.folds();
    let mut next = take_over(standby, &world);
    assert_eq!(world.folds(), folded, "nothing is folded again");
    let (none, second_lease) = pool.take(0);
    assert!(none.is_none(), "it is with the first one");
    drop(second_lease);
    drop(lease);
    until_folded(&world, folded + 2); // By a restore of its own.
    world.send(&["add c"]);
    run(&mut next).unwrap();
    until_folded(&world, folded + 3);
    let (again, _lease) = pool.take(0);
    assert_eq!(again.unwrap().topology().state, next.topology().state);
    pool.stop();
}

#[test]
fn a_pool_without_such_a_partition_or_after_its_end_has_nothing_to_hand_over() {
    let world = World::new();
    let toy = world.clone();
    let pool = StandbyPool::start(&world.source, move || toy.toy()).unwrap();
    assert!(pool.take(7).0.is_none());
    pool.stop();
    assert!(pool.take(0).0.is_none());
}
