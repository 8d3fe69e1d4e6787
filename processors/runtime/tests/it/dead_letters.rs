//! Commands that nobody can read: kept, closed once, and not too many.

use std::sync::atomic::Ordering;

use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Log as _, LogErrorKind, Outgoing, TopicPartition};

use super::fixture::{
    COMMANDS, DEAD_LETTERS, NOW_MS, World, restart_reason, run, stop_reason, text, text_of,
};

#[test]
fn a_dead_letter_keeps_the_record_and_says_where_it_failed_and_why() {
    let world = World::new();
    let mut headers = HeadersBuilder::default();
    headers.push("trace", b"abc").push("content", &[0, 255]);
    let poison = Outgoing {
        key: Some(bytes::Bytes::from_static(b"key")),
        headers: headers.build(),
        ..text("nonsense")
    };
    world.send(&["add a"]);
    world.append(&TopicPartition::new(COMMANDS, 0), poison.clone());
    run(&mut world.worker()).unwrap();
    let letters = world.records(DEAD_LETTERS, 0);
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((&letter.key, &letter.value), (&poison.key, &poison.value));
    let text = |name: &str| letter.headers.get_text(name).unwrap_or("nothing").to_owned();
    assert_eq!(letter.headers.get("trace"), Some(&b"abc"[..]));
    assert_eq!(letter.headers.get("content"), Some(&[0, 255][..]));
    assert_eq!(text("__connect.errors.topic"), COMMANDS);
    assert_eq!(text("__connect.errors.partition"), "0");
    assert_eq!(text("__connect.errors.offset"), "1");
    assert_eq!(text("__connect.errors.stage"), "DECODE");
    assert_eq!(text("__connect.errors.class.name"), "cityevents-runtime");
    assert_eq!(text("__connect.errors.exception.class.name"), "toy.Unreadable");
    assert_eq!(text("__connect.errors.exception.message"), "nonsense is no sentence");
    assert_eq!(text("attempt"), "1");
    assert_eq!(text("first-failed-at"), NOW_MS.to_string());
    assert_eq!(text("redrive-count"), "0");
}

#[test]
fn who_redrives_a_dead_letter_finds_its_history_when_it_fails_again() {
    let world = World::new();
    let mut headers = HeadersBuilder::default();
    headers.push("first-failed-at", b"5").push("redrive-count", b"2");
    let redriven = Outgoing { headers: headers.build(), ..text("nonsense") };
    world.append(&TopicPartition::new(COMMANDS, 0), redriven);
    run(&mut world.worker()).unwrap();
    let letter = &world.records(DEAD_LETTERS, 0)[0];
    assert_eq!(letter.headers.get_text("first-failed-at"), Some("5"));
    assert_eq!(letter.headers.get_text("redrive-count"), Some("2"));
}

#[test]
fn an_unreadable_command_is_closed_and_answered_and_has_one_verdict_for_ever() {
    let world = World::new();
    let mut worker = world.worker();
    world.program.can_read_add.store(false, Ordering::SeqCst);
    world.send(&["add a", "same"]);
    run(&mut worker).unwrap();
    drop(worker);
    assert_eq!(world.answers(), ["0 undecodable by 1", "1 unchanged by 1"]);
    // A program that could read it comes too late.
    world.program.can_read_add.store(true, Ordering::SeqCst);
    let mut worker = world.worker();
    run(&mut worker).unwrap();
    let verdicts = [(0, "undecodable".to_owned()), (1, "unchanged".to_owned())];
    assert_eq!(world.verdicts(), verdicts);
    assert!(worker.topology().state.counters.is_empty());
    assert_eq!(world.records(DEAD_LETTERS, 0).len(), 1);
}

#[test]
fn a_command_is_not_closed_before_its_dead_letter_is_kept() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["nonsense", "add a"]);
    world.log.fail_next_append(LogErrorKind::TimedOut);
    restart_reason(run(&mut worker));
    drop(worker);
    assert!(world.records(DEAD_LETTERS, 0).is_empty());
    assert!(world.links().is_empty() && world.answers().is_empty());
    run(&mut world.worker()).unwrap();
    assert_eq!(world.records(DEAD_LETTERS, 0).len(), 1);
    assert_eq!(world.verdicts(), [(0, "undecodable".to_owned()), (1, "add a".to_owned())]);
}

#[test]
fn without_a_topic_for_dead_letters_the_partition_stops() {
    let world = World::new();
    let mut worker = world.worker();
    world.log.delete_topic(DEAD_LETTERS).unwrap();
    world.send(&["nonsense"]);
    let reason = stop_reason(run(&mut worker));
    assert!(reason.contains(DEAD_LETTERS), "{reason}");
    assert!(world.links().is_empty());
}

#[test]
fn a_run_of_unreadable_commands_stops_the_partition_and_closes_none_of_the_burst() {
    let mut world = World::new();
    world.options.circuit.run_max = 3;
    let mut worker = world.worker();
    world.send(&["nonsense", "nonsense", "nonsense"]);
    run(&mut worker).unwrap();
    world.send(&["nonsense", "add a"]);
    let reason = stop_reason(run(&mut worker));
    assert!(reason.contains("too many commands cannot be read"), "{reason}");
    assert!(reason.contains("toy-commands/0 offset 3: nonsense is no sentence"), "{reason}");
    assert_eq!(world.records(DEAD_LETTERS, 0).len(), 3, "what opens the circuit is not moved");
    assert_eq!(world.verdicts().len(), 3);
    assert_eq!(world.answers().len(), 3);
}

#[test]
fn too_many_unreadable_commands_among_good_ones_stop_the_partition() {
    let mut world = World::new();
    world.options.circuit =
        CircuitPolicy { run_max: 10, window_failures_max: 2, window_records: 10 };
    let mut worker = world.worker();
    world.send(&["nonsense", "same", "nonsense", "same"]);
    run(&mut worker).unwrap();
    world.send(&["same", "nonsense"]);
    stop_reason(run(&mut worker));
    assert_eq!(world.records(DEAD_LETTERS, 0).len(), 2);
}

#[test]
fn dead_letters_of_many_partitions_fit_into_fewer() {
    let world = World::with_partitions(3);
    world.log.delete_topic(DEAD_LETTERS).unwrap();
    world.log.create_topic(&super::fixture::spec(DEAD_LETTERS, 2)).unwrap();
    world.send_to(2, &["nonsense"]);
    run(&mut world.worker_of(2)).unwrap();
    let letters: Vec<_> = world.records(DEAD_LETTERS, 0).iter().map(text_of).collect();
    assert_eq!(letters, ["nonsense"]);
}
