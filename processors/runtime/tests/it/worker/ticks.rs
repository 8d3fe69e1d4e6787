//! Deadlines become commands.

use std::time::Duration;

use cityevents_runtime::host::Task as _;
use cityevents_runtime::worker::Worker;

use crate::fixture::{COMMANDS, NOW_MS, Toy, World, run};

fn ticks(world: &World) -> usize {
    let is_tick = |record: &&cityevents_runtime::log::Record| record.headers.get("tick").is_some();
    world.records(COMMANDS, 0).iter().filter(is_tick).count()
}

fn advance(world: &World, by_ms: i64) {
    world.wall_clock.advance(by_ms);
    world.log_clock.advance(by_ms);
}

fn with_alarm(world: &World, steps: u32) -> Worker<Toy> {
    let mut worker = world.worker();
    world.send(&[&format!("alarm x {} {steps}", NOW_MS + 1_000)]);
    run(&mut worker).unwrap();
    worker
}

#[test]
fn nothing_happens_before_the_deadline_and_one_tick_after_it() {
    let world = World::new();
    let mut worker = with_alarm(&world, 1);
    advance(&world, 999);
    run(&mut worker).unwrap();
    assert_eq!(ticks(&world), 0);
    advance(&world, 1);
    run(&mut worker).unwrap();
    assert_eq!(ticks(&world), 1);
    assert!(worker.topology().state.alarms.is_empty());
    run(&mut worker).unwrap();
    assert_eq!(ticks(&world), 1, "what was done needs no other");
    assert_eq!(world.answers().len(), 1, "nobody waits for the answer to a tick");
}

#[test]
fn a_deadline_has_one_tick_on_its_way() {
    let world = World::new();
    let mut worker = with_alarm(&world, 1);
    advance(&world, 1_000);
    world.hold.hold_deliveries(true);
    for _ in 0..10 {
        worker.step(Duration::ZERO).unwrap();
    }
    assert_eq!(ticks(&world), 1);
}

#[test]
fn the_steps_of_a_long_effect_follow_each_other_at_once() {
    let world = World::new();
    let mut worker = with_alarm(&world, 5);
    advance(&world, 1_000);
    run(&mut worker).unwrap();
    assert!(worker.topology().state.alarms.is_empty());
    assert_eq!(ticks(&world), 5);
    let rings = world
        .links()
        .into_iter()
        .filter(|said| said.change.as_deref().is_some_and(|change| change.starts_with("ring")));
    assert_eq!(rings.count(), 5);
}

#[test]
fn a_tick_that_came_too_early_by_log_time_is_given_again_later_and_later() {
    let world = World::new();
    let mut worker = with_alarm(&world, 1);
    world.wall_clock.advance(1_000);
    let mut expected = 1;
    for backoff_ms in [200, 400, 800] {
        run(&mut worker).unwrap();
        assert_eq!(ticks(&world), expected);
        world.wall_clock.advance(backoff_ms - 1);
        run(&mut worker).unwrap();
        assert_eq!(ticks(&world), expected, "before {backoff_ms} ms");
        world.wall_clock.advance(1);
        expected += 1;
    }
    run(&mut worker).unwrap();
    assert_eq!(ticks(&world), expected);
    assert_eq!(world.source.metrics.ticks.get(), expected as u64);
    world.log_clock.advance(1_000);
    world.wall_clock.advance(1_600);
    run(&mut worker).unwrap();
    assert!(worker.topology().state.alarms.is_empty(), "now log time has come too");
}

#[test]
fn a_worker_that_takes_over_gives_the_ticks_that_are_due() {
    let world = World::new();
    drop(with_alarm(&world, 2));
    advance(&world, 60_000);
    let mut worker = world.worker();
    run(&mut worker).unwrap();
    assert!(worker.topology().state.alarms.is_empty());
    assert_eq!(ticks(&world), 2);
}

#[test]
fn many_deadlines_get_their_ticks_in_portions() {
    let world = World::new();
    let mut worker = world.worker();
    let commands: Vec<_> =
        (0..1_200).map(|number| format!("alarm {number} {} 1", NOW_MS + 1_000)).collect();
    world.send(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    run(&mut worker).unwrap();
    advance(&world, 1_000);
    worker.step(Duration::ZERO).unwrap();
    assert_eq!(ticks(&world), 500);
    run(&mut worker).unwrap();
    assert!(worker.topology().state.alarms.is_empty());
    assert_eq!(ticks(&world), 1_200);
}
