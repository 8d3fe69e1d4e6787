//! The worker of one partition: bursts, answers, gaps, stops, ticks.

mod gaps;
mod held;
mod stops;
mod ticks;

use std::time::Duration;

use cityevents_runtime::chain::{ChainReader, DropReason, Linked};
use cityevents_runtime::host::{Ownership, Task as _};
use cityevents_runtime::log::{LogErrorKind, PollLimit, TopicPartition};
use cityevents_runtime::replies::attempt_of;
use cityevents_runtime::topology::Topology as _;
use cityevents_runtime::worker::Worker;

use super::fixture::{FACTS, REPLIES, Said, World, again, restart_reason, run, stop_reason};

fn change(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_genesis_is_written_once_and_the_next_start_finds_it() {
    let world = World::new();
    drop(world.worker());
    drop(world.worker());
    assert_eq!(world.records(FACTS, 0).len(), 1);
}

#[test]
fn of_two_geneses_written_at_once_one_counts_and_both_workers_go_on_from_it() {
    let world = World::new();
    let (mut one, mut other) = (world.worker(), world.worker());
    let genesis = world.records(FACTS, 0).remove(0);
    world.append(&TopicPartition::new(FACTS, 0), again(genesis));
    let mut chain = ChainReader::default();
    let seen: Vec<_> = world.records(FACTS, 0).iter().map(|record| chain.accept(record)).collect();
    assert_eq!(seen, [Linked::Genesis, Linked::Dropped(DropReason::Behind)]);
    world.send(&["add a"]);
    run(&mut one).unwrap();
    run(&mut other).unwrap();
    assert_eq!(world.links().len(), 1);
    assert_eq!(world.worker().topology().state, one.topology().state);
}

#[test]
fn workers_that_start_at_the_same_moment_agree_on_the_genesis() {
    let world = World::new();
    let barrier = std::sync::Barrier::new(4);
    let cursors: Vec<_> = std::thread::scope(|scope| {
        let start = || {
            let standby = world.restore();
            barrier.wait();
            let taken = Worker::take_over(standby, world.options.clone(), Ownership::new());
            taken.unwrap().acknowledged()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(cursors.iter().all(|cursor| *cursor == cursors[0]), "{cursors:?}");
}

#[test]
fn a_burst_makes_its_facts_and_answers_in_order() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "same", "add a", "add b"]);
    run(&mut worker).unwrap();
    let said: Vec<_> = world.links().into_iter().map(|said| (said.change, said.closed)).collect();
    assert_eq!(
        said,
        [
            (change("add a"), vec![]),
            (change("add a"), vec![(1, "unchanged".to_owned())]),
            (change("add b"), vec![]),
        ]
    );
    let verdicts = ["0 done by 3", "1 unchanged by 3", "2 done by 3", "3 done by 3"];
    assert_eq!(world.answers(), verdicts);
    for (offset, reply) in (0_u64..).zip(world.records(REPLIES, 0)) {
        let attempt = attempt_of(&reply.headers).unwrap();
        assert_eq!(attempt[..8], offset.to_be_bytes(), "the answer echoes its own attempt");
    }
}

#[test]
fn nobody_hears_an_answer_before_its_link_is_acknowledged() {
    let world = World::new();
    let mut worker = world.worker();
    world.hold.hold_deliveries(true);
    world.send(&["add a", "same"]);
    for _ in 0..5 {
        worker.step(Duration::ZERO).unwrap();
    }
    assert_eq!(world.links().len(), 2, "the links are in the log");
    assert!(world.answers().is_empty(), "and nobody may know yet");
    assert_eq!(worker.acknowledged().next_command(), 0);
    world.hold.hold_deliveries(false);
    run(&mut worker).unwrap();
    assert_eq!(world.answers().len(), 2);
}

#[test]
fn a_burst_that_ends_in_refusals_ends_with_a_link_that_closes_them() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "same", "same"]);
    run(&mut worker).unwrap();
    let closed = vec![(1, "unchanged".to_owned()), (2, "unchanged".to_owned())];
    assert_eq!(world.links()[1], Said { change: None, closed });
    assert_eq!(worker.acknowledged().next_command(), 3);
}

#[test]
fn every_command_is_closed_once_whatever_the_size_of_the_bursts() {
    for records in [1, 2, 3, 7, 100] {
        let mut world = World::new();
        world.options.burst = PollLimit { records, bytes: 1 << 20 };
        let mut worker = world.worker();
        let commands = ["add a", "add a", "add a", "add a", "same", "add b", "nonsense", "same"];
        world.send(&commands);
        world.send(&commands);
        run(&mut worker).unwrap();
        let verdicts = world.verdicts();
        let offsets: Vec<_> = verdicts.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (0..16).collect::<Vec<_>>(), "bursts of {records}");
        assert_eq!(verdicts[3].1, "full");
        assert_eq!(verdicts[14].1, "undecodable");
        assert_eq!(world.answers().len(), 16);
    }
}

#[test]
fn after_a_failed_append_the_task_is_made_anew_and_decides_the_same() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "add a"]);
    run(&mut worker).unwrap();
    world.send(&["add a", "add a", "add b"]);
    world.log.fail_next_append(LogErrorKind::TimedOut);
    restart_reason(run(&mut worker));
    let decided = worker.topology().state.clone();
    drop(worker);
    assert_eq!(world.answers().len(), 2, "nothing of the failed burst was answered");
    let mut worker = world.worker();
    run(&mut worker).unwrap();
    assert_eq!(worker.topology().state, decided);
    let answers = world.answers();
    let ends: Vec<_> = answers.iter().map(|answer| answer.split(" by").next().unwrap()).collect();
    assert_eq!(ends, ["0 done", "1 done", "2 done", "3 full", "4 done"]);
}

#[test]
fn a_record_that_the_log_never_takes_stops_the_partition() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    world.log.fail_next_append(LogErrorKind::NotAuthorized);
    stop_reason(run(&mut worker));
}

#[test]
fn no_new_burst_begins_while_too_many_bytes_are_in_flight() {
    let mut world = World::new();
    world.options.burst = PollLimit { records: 1, bytes: 1 << 20 };
    world.options.in_flight_bytes_max = 200;
    let mut worker = world.worker();
    world.hold.hold_deliveries(true);
    let commands: Vec<String> = (0..50).map(|number| format!("add {number}")).collect();
    world.send(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..50 {
        worker.step(Duration::ZERO).unwrap();
    }
    let in_flight = world.links().len();
    assert!((1..5).contains(&in_flight), "{in_flight} links are in flight");
    world.hold.hold_deliveries(false);
    run(&mut worker).unwrap();
    assert_eq!(world.links().len(), 50);
}

#[test]
fn many_refusals_make_a_link_before_the_burst_ends() {
    let world = World::new();
    let mut worker = world.worker();
    let long = format!("long {}", 50 << 10);
    world.send(&[long.as_str(); 7]);
    run(&mut worker).unwrap();
    let counts: Vec<_> = world.links().iter().map(|said| said.closed.len()).collect();
    assert_eq!(counts, [3, 3, 1], "128 KiB make a link");
    assert_eq!(world.answers().len(), 7);
}

#[test]
fn a_drain_waits_for_acknowledgements_and_hands_on_the_answers() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "same"]);
    worker.step(Duration::ZERO).unwrap();
    assert!(world.answers().is_empty());
    worker.drain(Duration::from_secs(60)).unwrap();
    assert_eq!(world.answers().len(), 2);
    let (place, committed) = worker.progress().unwrap();
    assert_eq!((&*place.topic, committed.offset), ("toy-commands", 2));
    assert_eq!(committed.metadata, worker.acknowledged().to_text());
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let world = World::new();
    let mut worker = world.worker();
    world.hold.hold_deliveries(true);
    world.send(&["add a"]);
    worker.step(Duration::ZERO).unwrap();
    restart_reason(worker.drain(Duration::from_millis(1)));
    assert!(world.answers().is_empty());
}

#[test]
fn the_state_of_a_worker_is_the_fold_of_its_links() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "add b", "alarm x 1800000000000 2", "add b", "add b", "add b"]);
    run(&mut worker).unwrap();
    let restored = world.restore();
    assert_eq!(restored.topology().encode_state(), worker.topology().encode_state());
}
