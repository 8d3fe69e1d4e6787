//! The dedup window: a command that produced a fact is remembered for a day of log time.

use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::fact::{Outcome, Verdict};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::state::Partition;

use crate::fixtures::{
    Chance, DAY, HOUR, OWNER, Stage, cancel, capacity, check_in, command_id, fields, kick, person,
    time, unban, user,
};

/// An event that goes on for a month.
fn long() -> Stage {
    let mut fields = fields(1_000_000);
    fields.start_time = time(20 * DAY);
    fields.end_time = time(30 * DAY);
    Stage::published(fields)
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Fact(fact) => fact.outcome,
        other => panic!("no fact but {other:?}"),
    }
}

#[test]
fn a_repeated_command_gets_its_first_outcome_whatever_has_happened_since() {
    let mut stage = Stage::published(fields(1)).joined(3);
    let joins = stage.command(person(5), CommandKind::Join);
    let leaves = stage.command(person(0), CommandKind::Leave);
    let scans = stage.command(person(OWNER), check_in(1));
    let kicks = stage.command(person(OWNER), kick(1));
    let lifts = stage.command(person(OWNER), unban(1));
    let raises = stage.command(person(OWNER), capacity(4));
    let cancels = stage.command(person(OWNER), cancel());
    let commands = [joins, leaves, scans, kicks, lifts, raises, cancels];
    let mut outcomes = Vec::new();
    for command in &commands {
        stage.now += 1_000;
        outcomes.push(outcome(stage.give(command)));
    }
    let facts = stage.facts.len();
    let restored = Partition::decode(&bytes(&stage.partition)).unwrap();
    for (command, outcome) in commands.iter().zip(&outcomes) {
        let again = Verdict::Unchanged(outcome.clone());
        assert_eq!(stage.give(command), again);
        assert_eq!(restored.decide(command, time(stage.now)), again);
    }
    assert_eq!(stage.facts.len(), facts);
}

fn bytes(partition: &Partition) -> Vec<u8> {
    let mut bytes = Vec::new();
    partition.encode(&mut bytes);
    bytes
}

#[test]
fn a_repeated_refused_command_is_decided_anew() {
    let mut stage = Stage::published(fields(2));
    let leaves = stage.command(person(1), CommandKind::Leave);
    assert_eq!(stage.give(&leaves), Verdict::Refused(Refusal::NotJoined));
    stage.accept(1, CommandKind::Join);
    assert!(matches!(stage.give(&leaves), Verdict::Fact(_)));
}

#[test]
fn another_body_under_a_known_id_is_a_mismatch_also_after_a_restore() {
    let mut stage = Stage::published(fields(2));
    let joins = stage.command(person(1), CommandKind::Join);
    stage.give(&joins);
    let other = Command { digest: joins.digest ^ (1 << 63), ..joins };
    let mismatch = Verdict::Refused(Refusal::IdempotencyKeyMismatch);
    assert_eq!(stage.give(&other), mismatch);
    let restored = Partition::decode(&bytes(&stage.partition)).unwrap();
    assert_eq!(restored.decide(&other, time(0)), mismatch);
}

#[test]
fn an_entry_counts_as_absent_from_exactly_a_day_on() {
    let mut stage = long();
    let joins = stage.command(person(1), CommandKind::Join);
    stage.now = HOUR;
    stage.give(&joins);
    stage.accept(1, CommandKind::Leave);
    stage.now = HOUR + DAY - 1;
    assert!(matches!(stage.give(&joins), Verdict::Unchanged(_)));
    stage.now += 1;
    assert!(!stage.partition.dedup().contains(&joins.id, time(stage.now)));
    assert!(matches!(stage.give(&joins), Verdict::Fact(_)));
    assert!(matches!(stage.give(&joins), Verdict::Unchanged(_)));
}

#[test]
fn an_id_used_again_after_its_time_lives_for_another_day() {
    let mut stage = long();
    let mut joins = stage.command(person(1), CommandKind::Join);
    for round in 0..5 {
        joins.digest = round;
        stage.now = round as i64 * DAY;
        assert!(matches!(stage.give(&joins), Verdict::Fact(_)), "round {round}");
        stage.now += DAY - 1;
        assert!(matches!(stage.give(&joins), Verdict::Unchanged(_)));
        stage.accept(1, CommandKind::Leave);
    }
    // The copies that are past their time are removed, and the living one is not.
    for number in 10..20 {
        stage.accept(number, CommandKind::Join);
    }
    assert!(stage.partition.dedup().contains(&joins.id, time(stage.now)));
    let restored = Partition::decode(&bytes(&stage.partition)).unwrap();
    assert_eq!(restored.hash(), stage.partition.hash());
}

#[test]
fn ticks_are_not_remembered() {
    let mut stage = Stage::published(fields(2));
    let before = stage.partition.dedup().len();
    stage.now = 3 * DAY;
    assert!(matches!(stage.tick_due(), Some(Verdict::Fact(_))));
    assert!(stage.partition.dedup().len() <= before);
}

#[test]
fn the_window_moves_on_through_many_chunks_and_knows_exactly_the_last_day() {
    let mut stage = long();
    stage.is_thorough = false;
    let mut given: Vec<(i64, Command)> = Vec::new();
    let mut chance = Chance(3);
    for number in 0..60_000 {
        // About 20,000 in a day, so the window is some five chunks long and turns three times.
        stage.now += chance.below(8_640) as i64;
        let kind = if number % 2 == 0 { CommandKind::Join } else { CommandKind::Leave };
        let command = stage.command(person(number / 2 % 500), kind);
        assert!(matches!(stage.give(&command), Verdict::Fact(_)));
        given.push((stage.now, command));
        let (at, old) = &given[chance.below(given.len() as u64) as usize];
        let is_known = stage.partition.dedup().contains(&old.id, time(stage.now));
        assert_eq!(is_known, stage.now < at + DAY);
    }
    let living = given.iter().filter(|(at, _)| stage.now < at + DAY).count() as u64;
    let kept = stage.partition.dedup().len();
    assert!((living..living + 8).contains(&kept), "{kept} kept, {living} living");
    let unknown = command_id(u64::MAX);
    assert!(!stage.partition.dedup().contains(&unknown, time(stage.now)));
    // Nobody new for a day: all is forgotten without anything having been removed.
    let far = time(stage.now + DAY);
    assert!(given.iter().all(|(_, command)| !stage.partition.dedup().contains(&command.id, far)));
}

#[test]
fn when_entries_are_removed_makes_no_difference_to_the_state() {
    let mut stage = long();
    stage.is_thorough = false;
    for number in 0..9_000 {
        stage.accept(number, CommandKind::Join);
    }
    stage.now = DAY;
    // One fact removes two old entries; a restored state holds none of the 9,000.
    stage.accept(9_001, CommandKind::Join);
    let restored = Partition::decode(&bytes(&stage.partition)).unwrap();
    assert!(restored.dedup().len() < 5 && stage.partition.dedup().len() > 8_000);
    assert_eq!(restored.hash(), stage.partition.hash());
    let event = stage.event;
    let leaves =
        Command { id: command_id(1), digest: 5, event, actor: person(3), kind: CommandKind::Leave };
    let at = time(stage.now);
    assert_eq!(restored.decide(&leaves, at), stage.partition.decide(&leaves, at));
    assert!(restored.open(&event).unwrap().registrations().find(&user(3)).is_some());
}
