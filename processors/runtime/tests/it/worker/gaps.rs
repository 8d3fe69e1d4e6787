//! Somebody else writes to the partition.

use std::time::Duration;

use cityevents_runtime::host::{Ownership, Task as _};
use cityevents_runtime::worker::Worker;

use crate::fixture::{FACTS, Program, World, restart_reason, run};

#[test]
fn a_first_acknowledgement_beyond_the_watermark_is_read_before_anything_is_answered() {
    let world = World::new();
    let mut worker = world.worker();
    world.append_junk();
    world.send(&["add a", "same"]);
    worker.step(Duration::ZERO).unwrap();
    assert_eq!(world.source.metrics.gaps.get(), 0);
    run(&mut worker).unwrap();
    assert_eq!(world.source.metrics.gaps.get(), 1);
    assert_eq!(world.answers(), ["0 done by 3", "1 unchanged by 3"]);
}

#[test]
fn records_in_between_that_do_not_count_change_nothing() {
    let world = World::new();
    let mut worker = world.worker();
    for round in 0..3 {
        world.send(&["add a"]);
        run(&mut worker).unwrap();
        world.append_junk();
        assert_eq!(world.source.metrics.gaps.get(), round);
    }
    assert_eq!(world.answers().len(), 3);
    assert_eq!(world.links().len(), 3);
    let state = world.restore().topology().state.clone();
    assert_eq!(state, worker.topology().state);
}

#[test]
fn where_the_links_of_another_count_nothing_is_answered_and_the_task_is_made_anew() {
    let world = World::new();
    let mut worker = world.worker();
    let strict = World { program: Program { limit: 1, ..Program::default() }, ..world.clone() };
    let mut other = strict.worker();
    world.send(&["add a", "add a"]);
    run(&mut other).unwrap();
    let answered = world.answers();
    assert_eq!(answered.len(), 2);
    let reason = restart_reason(run(&mut worker));
    assert!(reason.contains("the own links are not those that count"), "{reason}");
    assert_eq!(world.answers(), answered, "the first linked history wins");
    drop(worker);
    let mut worker = world.worker();
    run(&mut worker).unwrap();
    assert_eq!(worker.topology().state.counters["a"], 1);
}

#[test]
fn the_same_links_of_another_are_as_good_as_the_own() {
    let world = World::new();
    let (mut worker, mut other) = (world.worker(), world.worker());
    world.send(&["add a", "same"]);
    run(&mut other).unwrap();
    run(&mut worker).unwrap();
    assert_eq!(world.links().len(), 2);
    assert_eq!(world.answers().len(), 4, "both told the same");
    world.send(&["add b"]);
    run(&mut worker).unwrap();
    assert_eq!(world.links().len(), 3);
}

#[test]
fn who_lost_the_partition_answers_nothing_after_a_gap() {
    let world = World::new();
    let ownership = Ownership::new();
    let mut worker =
        Worker::take_over(world.restore(), world.options.clone(), ownership.clone()).unwrap();
    world.append_junk();
    world.send(&["add a"]);
    ownership.give_up();
    let reason = restart_reason(run(&mut worker));
    assert!(reason.contains("belongs to somebody else"), "{reason}");
    assert!(world.answers().is_empty());
}

#[test]
fn a_gap_is_resolved_in_a_drain_too() {
    let world = World::new();
    let mut worker = world.worker();
    world.append_junk();
    world.send(&["add a"]);
    worker.step(Duration::ZERO).unwrap();
    worker.drain(Duration::from_secs(60)).unwrap();
    assert_eq!(world.answers(), ["0 done by 2"]);
}

#[test]
fn links_that_the_log_says_it_has_and_has_not_are_decided_again() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    world.hold.swallow_appends(true);
    worker.step(Duration::ZERO).unwrap();
    world.hold.swallow_appends(false);
    world.send(&["add a"]);
    let reason = restart_reason(run(&mut worker));
    assert!(reason.contains("the own links are not those that count"), "{reason}");
    assert!(world.links().is_empty() && world.answers().is_empty());
    let mut worker = world.worker();
    run(&mut worker).unwrap();
    assert_eq!(world.links().len(), 2);
    assert_eq!(world.answers().len(), 2);
}

#[test]
fn a_hole_is_written_again_and_what_followed_it_does_not_count() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    world.hold.swallow_appends(true);
    worker.step(Duration::ZERO).unwrap();
    world.hold.swallow_appends(false);
    world.hold.hold_deliveries(true);
    world.send(&["add b"]);
    worker.step(Duration::ZERO).unwrap();
    drop(worker);
    assert_eq!(world.records(FACTS, 0).len(), 2, "the later link is there");
    assert!(world.links().is_empty(), "and does not count");
    world.hold.hold_deliveries(false);
    run(&mut world.worker()).unwrap();
    assert_eq!(world.verdicts(), [(0, "add a".to_owned()), (1, "add b".to_owned())]);
    assert_eq!(world.answers().len(), 2);
}
