//! What is needed to read a record is away: the partition waits, says so, and loses nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cityevents_runtime::host::{Task as _, TaskError};
use cityevents_runtime::standby::FoldError;
use cityevents_runtime::worker::Worker;

use crate::fixture::{DEAD_LETTERS, Toy, World, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// Steps until `is_done`.
fn step_until(worker: &mut Worker<Toy>, is_done: impl Fn(&Worker<Toy>) -> bool) {
    let began = Instant::now();
    while !is_done(worker) {
        assert!(began.elapsed() < PATIENCE, "{:?}", worker.problem());
        worker.step(Duration::from_millis(20)).unwrap();
    }
}

#[test]
fn a_command_that_cannot_be_read_yet_waits_with_those_behind_it_and_is_no_dead_letter() {
    let world = World::new();
    let mut worker = world.worker();
    world.program.is_dictionary_away.store(true, Ordering::SeqCst);
    world.send(&["add a", "same", "later b", "add c"]);
    step_until(&mut worker, |worker| worker.problem().is_some() && worker.lag_records() == Some(2));
    world.send(&["add d"]);
    for _ in 0..5 {
        worker.step(Duration::ZERO).unwrap();
    }
    // Those before it are real and answered.
    assert_eq!(world.answers().len(), 2);
    assert_eq!(world.verdicts().len(), 2);
    let problem = worker.problem().unwrap();
    assert!(problem.contains("toy-commands/0 offset 2 waits: the dictionary is away"), "{problem}");
    assert!(world.records(DEAD_LETTERS, 0).is_empty());
    world.program.is_dictionary_away.store(false, Ordering::SeqCst);
    step_until(&mut worker, |worker| worker.lag_records() == Some(0));
    assert_eq!(worker.problem(), None);
    assert_eq!(world.answers().len(), 5);
    let decided: Vec<_> = world.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(decided, ["add a", "unchanged", "later b", "add c", "add d"]);
    assert!(world.records(DEAD_LETTERS, 0).is_empty());
}

#[test]
fn a_worker_ends_while_a_command_waits_and_the_next_one_decides_it() {
    let world = World::new();
    let mut worker = world.worker();
    world.program.is_dictionary_away.store(true, Ordering::SeqCst);
    world.send(&["add a", "later b", "add c"]);
    step_until(&mut worker, |worker| worker.problem().is_some());
    worker.drain(PATIENCE).unwrap();
    drop(worker);
    world.program.is_dictionary_away.store(false, Ordering::SeqCst);
    run(&mut world.worker()).unwrap();
    let decided: Vec<_> = world.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(decided, ["add a", "later b", "add c"]);
}

#[test]
fn a_fact_that_cannot_be_read_yet_begins_the_fold_anew_and_does_not_stop_it() {
    let world = World::new();
    world.send(&["add a", "later b"]);
    run(&mut world.worker()).unwrap();
    world.program.is_dictionary_away.store(true, Ordering::SeqCst);
    let error = world.try_worker().map(drop).unwrap_err();
    assert!(matches!(error, TaskError::Restart(_)), "{error}");
    assert!(error.to_string().contains("cannot be read now: the dictionary is away"), "{error}");
    let mut standby =
        cityevents_runtime::standby::Standby::empty(&world.source, 0, world.toy()).unwrap();
    for _ in 0..2 {
        let error = standby.catch_up(3).unwrap_err();
        assert!(matches!(error, FoldError::NotNow { .. }), "{error}");
    }
    world.program.is_dictionary_away.store(false, Ordering::SeqCst);
    assert_eq!(world.worker().topology().state.counters.len(), 2);
}
