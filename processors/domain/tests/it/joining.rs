//! Join, leave, the waiting line, check-in.

use cityevents_domain::command::CommandKind;
use cityevents_domain::fact::{Change, Fact, Outcome, Verdict};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus};

use crate::fixtures::{
    Chance, OWNER, STRANGER, Stage, capacity, check_in, fields, kick, person, time, update, user,
};
use cityevents_domain::event::EventPatch;

fn standing(outcome: &Outcome) -> (RegistrationStatus, Option<u32>) {
    match outcome {
        Outcome::Registration { status, position, .. } => (*status, *position),
        other => panic!("not of a registration: {other:?}"),
    }
}

fn promoted(fact: &Fact) -> Vec<cityevents_domain::ids::UserId> {
    let rows = fact.changes.iter().filter_map(|change| match change {
        Change::Registration { cause: RegistrationCause::Promoted, registration, .. } => {
            Some(registration.user)
        }
        _ => None,
    });
    rows.collect()
}

#[test]
fn places_go_first_come_first_served_and_the_rest_wait_in_order() {
    let mut stage = Stage::published(fields(2));
    let joined: Vec<_> =
        (0..4).map(|number| standing(&stage.accept(number, CommandKind::Join).outcome)).collect();
    let expected = [
        (RegistrationStatus::Active, None),
        (RegistrationStatus::Active, None),
        (RegistrationStatus::Waitlisted, Some(1)),
        (RegistrationStatus::Waitlisted, Some(2)),
    ];
    assert_eq!(joined, expected);
}

#[test]
fn joining_twice_answers_with_the_present_state_and_position() {
    let mut stage = Stage::published(fields(1)).joined(4);
    stage.accept(1, CommandKind::Leave);
    let outcome = stage.unchanged(3, CommandKind::Join);
    assert_eq!(standing(&outcome), (RegistrationStatus::Waitlisted, Some(2)));
}

#[test]
fn a_full_line_takes_nobody_in() {
    let mut stage = Stage::published(fields(1)).joined(21);
    assert_eq!(stage.refusal(STRANGER, CommandKind::Join), Refusal::EventFull);
    stage.accept(7, CommandKind::Leave);
    assert_eq!(stage.accept(STRANGER, CommandKind::Join).counters.waiting, 20);
}

#[test]
fn a_line_of_length_zero_means_that_nobody_waits() {
    let mut fields = fields(1);
    fields.waitlist_limit = Some(0);
    let mut stage = Stage::published(fields).joined(1);
    assert_eq!(stage.refusal(1, CommandKind::Join), Refusal::EventFull);
    stage.accept(0, CommandKind::Leave);
    assert_eq!(stage.accept(1, CommandKind::Join).counters.active, 1);
}

#[test]
fn an_unlimited_event_has_room_for_everybody() {
    let stage = Stage::published(fields(0)).joined(2_000);
    assert_eq!((stage.state().counters().active, stage.state().counters().waiting), (2_000, 0));
}

#[test]
fn leaving_promotes_the_head_of_the_line_in_the_same_fact() {
    let mut stage = Stage::published(fields(2)).joined(5);
    let fact = stage.accept(0, CommandKind::Leave);
    assert_eq!(standing(&fact.outcome), (RegistrationStatus::Canceled, None));
    assert_eq!(promoted(&fact), [user(2)]);
    assert_eq!((fact.counters.active, fact.counters.waiting), (2, 2));
    assert_eq!(stage.position_of(3), Some(1));
    assert_eq!(stage.position_of(4), Some(2));
}

#[test]
fn leaving_the_line_frees_no_place_and_everybody_behind_moves_up() {
    let mut stage = Stage::published(fields(1)).joined(5);
    let fact = stage.accept(2, CommandKind::Leave);
    assert_eq!(fact.changes.len(), 1);
    let positions: Vec<_> = (0..5).map(|number| stage.position_of(number)).collect();
    assert_eq!(positions, [None, Some(1), None, Some(2), Some(3)]);
}

#[test]
fn leaving_is_refused_to_who_never_joined_and_twice_it_changes_nothing() {
    let mut stage = Stage::published(fields(2)).joined(1);
    assert_eq!(stage.refusal(STRANGER, CommandKind::Leave), Refusal::NotJoined);
    assert_eq!(stage.refusal(OWNER, CommandKind::Leave), Refusal::NotJoined);
    stage.accept(0, CommandKind::Leave);
    let outcome = stage.unchanged(0, CommandKind::Leave);
    assert_eq!(standing(&outcome), (RegistrationStatus::Canceled, None));
}

#[test]
fn who_left_and_comes_again_stands_at_the_end_of_the_line() {
    let mut stage = Stage::published(fields(1)).joined(4);
    stage.now = 10;
    stage.accept(1, CommandKind::Leave);
    stage.now = 20;
    let fact = stage.accept(1, CommandKind::Join);
    assert_eq!(standing(&fact.outcome), (RegistrationStatus::Waitlisted, Some(3)));
    let (_, entry) = stage.state().registrations().find(&user(1)).unwrap();
    assert_eq!(entry.row().joined_at, time(20));
    for expected in [2, 3, 1] {
        let active = stage.state().registrations().iter().find(|entry| entry.ticket().is_none());
        assert!(active.is_some());
        let head = (0..4).find(|number| stage.position_of(*number) == Some(1));
        assert_eq!(head, Some(expected));
        let holder = (0..4)
            .find(|number| stage.status_of(*number) == Some(RegistrationStatus::Active))
            .unwrap();
        assert_eq!(promoted(&stage.accept(holder, CommandKind::Leave)), [user(expected)]);
    }
}

#[test]
fn joining_is_refused_before_it_opens_and_possible_from_that_moment_on() {
    let mut fields = fields(1);
    fields.opens_at = Some(time(1_000));
    let mut stage = Stage::published(fields);
    stage.now = 999;
    let refusal = Refusal::NotOpenYet { opens_at: time(1_000) };
    assert_eq!(stage.refusal(1, CommandKind::Join), refusal);
    stage.now = 1_000;
    stage.accept(1, CommandKind::Join);
}

#[test]
fn nobody_loses_a_place_when_the_capacity_is_lowered_and_nobody_gets_one_until_there_is_room() {
    let mut stage = Stage::published(fields(3)).joined(5);
    let fact = stage.accept(OWNER, capacity(1));
    assert_eq!((fact.counters.active, fact.counters.waiting), (3, 2));
    assert_eq!(promoted(&stage.accept(0, CommandKind::Leave)), []);
    assert_eq!(promoted(&stage.accept(1, CommandKind::Leave)), []);
    assert_eq!(promoted(&stage.accept(2, CommandKind::Leave)), [user(3)]);
    assert_eq!(stage.state().counters().active, 1);
}

#[test]
fn a_lower_limit_of_the_line_removes_nobody_and_lets_nobody_in() {
    let mut stage = Stage::published(fields(1)).joined(6);
    let limit = EventPatch { waitlist_limit: Some(Some(2)), ..EventPatch::default() };
    assert_eq!(stage.accept(OWNER, update(limit)).counters.waiting, 5);
    assert_eq!(stage.refusal(9, CommandKind::Join), Refusal::EventFull);
}

#[test]
fn a_second_scan_is_told_when_the_first_was() {
    let mut stage = Stage::published(fields(1)).joined(2);
    stage.now = 77;
    let fact = stage.accept(OWNER, check_in(0));
    assert_eq!(fact.counters.checked_in, 1);
    stage.now = 99;
    let again = Refusal::AlreadyCheckedIn { first_at: time(77) };
    assert_eq!(stage.refusal(OWNER, check_in(0)), again);
    // Waiting is no place.
    assert_eq!(stage.refusal(OWNER, check_in(1)), Refusal::NotJoined);
    assert_eq!(stage.refusal(OWNER, check_in(STRANGER)), Refusal::NotJoined);
}

#[test]
fn who_was_checked_in_and_left_counts_no_more_and_can_be_checked_in_again_later() {
    let mut stage = Stage::published(fields(1)).joined(1);
    stage.accept(OWNER, check_in(0));
    assert_eq!(stage.accept(0, CommandKind::Leave).counters.checked_in, 0);
    assert_eq!(stage.refusal(OWNER, check_in(0)), Refusal::NotJoined);
    stage.accept(0, CommandKind::Join);
    assert_eq!(stage.accept(OWNER, check_in(0)).counters.checked_in, 1);
}

#[test]
fn a_hundred_thousand_wait_and_every_position_is_exact() {
    let mut fields = fields(1);
    fields.waitlist_limit = Some(100_000);
    let mut stage = Stage::published(fields).joined(100_001);
    assert_eq!(stage.refusal(STRANGER, CommandKind::Join), Refusal::EventFull);
    let mut line: Vec<u64> = (1..100_001).collect();
    let mut chance = Chance(5);
    stage.is_thorough = false;
    for _ in 0..1_500 {
        let index = chance.below(line.len() as u64) as usize;
        let gone = line.remove(index);
        assert!(matches!(stage.ask(gone, CommandKind::Leave), Verdict::Fact(_)));
        let index = chance.below(line.len() as u64) as usize;
        assert_eq!(stage.position_of(line[index]), Some(index as u32 + 1));
    }
    for (index, number) in line.iter().enumerate() {
        assert_eq!(stage.position_of(*number), Some(index as u32 + 1));
    }
}

#[test]
fn a_person_is_found_on_both_sides_of_the_size_at_which_an_index_is_made() {
    for count in 1..40 {
        let mut stage = Stage::published(fields(0)).joined(count);
        for number in 0..count {
            stage.unchanged(number, CommandKind::Join);
        }
        assert_eq!(stage.refusal(count, CommandKind::Leave), Refusal::NotJoined);
        assert_eq!(stage.state().registrations().len() as u64, count);
    }
}

#[test]
fn reading_ahead_for_a_burst_changes_no_decision() {
    let mut stage = Stage::published(fields(0)).joined(70_000);
    let hash = stage.partition.hash();
    let mut burst = Vec::new();
    for number in 0..100 {
        burst.push(stage.command(person(number * 999), CommandKind::Join));
    }
    burst.push(stage.command(person(OWNER), kick(5)));
    burst.push(stage.command(person(OWNER), capacity(3)));
    burst[7].event = cityevents_domain::ids::EventId::from_bytes([1; 16]);
    let decide = |stage: &Stage| -> Vec<_> {
        burst.iter().map(|command| stage.partition.decide(command, time(0))).collect()
    };
    let before = decide(&stage);
    stage.partition.warm(&burst);
    assert_eq!(decide(&stage), before);
    assert_eq!(stage.partition.hash(), hash);
    assert!(before.iter().any(|verdict| matches!(verdict, Verdict::Fact(_))));
}
