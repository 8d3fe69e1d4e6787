//! One violation of each promise is planted into a log, and `audit` names it with its record.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::fact::EventCause;
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus};
use cityevents_schemas::message::{Closed, ClosedVerdict};

use super::command_line::{Said, run_on};
use super::planted::{Planted, user};

/// Plants a history into an event with two places, and audits it. `plant` returns the offset of
/// the record that is wrong.
fn audited(plant: impl FnOnce(&mut Planted) -> u64) -> (Said, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut planted = Planted::new(folder.path(), 2);
    let offset = plant(&mut planted);
    let place = format!("{} offset {offset}", planted.facts());
    planted.close();
    (run_on(folder.path(), &["audit"]), place)
}

#[track_caller]
fn assert_found(invariant: &str, plant: impl FnOnce(&mut Planted) -> u64) {
    let (said, place) = audited(plant);
    said.failed(1, &[invariant, &place]);
}

#[test]
fn a_good_history_passes() {
    let (said, _) = audited(|log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.joined(2)], 2, 0);
        log.step(vec![log.waits(3, 1, 1)], 2, 1);
        log.step(vec![log.waits(4, 2, 2)], 2, 2);
        log.step(vec![log.left(1), log.promoted(3)], 2, 1);
        log.step(vec![log.left(4)], 2, 0);
        log.step(vec![log.banned(9)], 2, 0)
    });
    let out = said.good();
    assert!(out.contains("INV-1 to INV-9 hold"), "{out}");
}

#[test]
fn one_person_too_many_is_inv_1() {
    assert_found("INV-1", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.joined(2)], 2, 0);
        let wrong = log.step(vec![log.joined(3)], 3, 0);
        log.step(vec![log.left(3)], 2, 0);
        wrong
    });
}

#[test]
fn a_second_registration_is_inv_2() {
    assert_found("INV-2", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.joined(1)], 1, 0)
    });
}

#[test]
fn promoting_somebody_from_the_middle_of_the_line_is_inv_3() {
    assert_found("INV-3", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.joined(2)], 2, 0);
        log.step(vec![log.waits(3, 1, 1)], 2, 1);
        log.step(vec![log.waits(4, 2, 2)], 2, 2);
        log.step(vec![log.left(1), log.promoted(4)], 2, 1)
    });
}

#[test]
fn entering_the_line_before_others_is_inv_3() {
    assert_found("INV-3", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.joined(2)], 2, 0);
        log.step(vec![log.waits(3, 5, 1)], 2, 1);
        log.step(vec![log.waits(4, 4, 1)], 2, 2)
    });
}

#[test]
fn waiting_beside_a_free_place_is_inv_4() {
    assert_found("INV-4", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.joined(2)], 2, 0);
        log.step(vec![log.waits(3, 1, 1)], 2, 1);
        log.step(vec![log.left(1)], 1, 1)
    });
}

#[test]
fn counting_wrongly_is_inv_5() {
    assert_found("INV-5", |log| {
        log.open();
        log.step(vec![log.joined(1)], 2, 0)
    });
}

#[test]
fn a_gap_in_the_sequence_is_inv_6() {
    assert_found("INV-6", |log| {
        log.open();
        log.seq += 1;
        log.step(vec![log.joined(1)], 1, 0)
    });
}

#[test]
fn a_fact_of_an_event_that_was_never_made_is_inv_6() {
    assert_found("INV-6", |log| log.step(vec![log.joined(1)], 1, 0));
}

#[test]
fn a_banned_person_who_joins_is_inv_7() {
    assert_found("INV-7", |log| {
        log.open();
        log.step(vec![log.banned(1)], 0, 0);
        log.step(vec![log.joined(1)], 1, 0)
    });
}

#[test]
fn a_banned_person_who_keeps_the_place_is_inv_7() {
    assert_found("INV-7", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        log.step(vec![log.banned(1)], 1, 0)
    });
}

#[test]
fn a_removed_person_who_joins_is_inv_7() {
    assert_found("INV-7", |log| {
        log.open();
        log.step(vec![log.joined(1)], 1, 0);
        let status = RegistrationStatus::Rejected;
        log.step(vec![log.moved(RegistrationCause::Kicked, 1, status, None, None)], 0, 0);
        log.step(vec![log.joined(1)], 1, 0)
    });
}

#[test]
fn a_second_fact_of_one_command_is_inv_8() {
    assert_found("INV-8", |log| {
        log.open();
        let first = log.fact(user(1), vec![log.joined(1)]);
        let mut fact = first.clone();
        fact.counters.active = 1;
        log.write(&fact);
        let mut again = log.fact(user(1), vec![log.left(1)]);
        again.command = first.command;
        log.write(&again)
    });
}

#[test]
fn a_row_of_another_event_is_inv_9() {
    assert_found("INV-9", |log| {
        log.change_event(EventCause::Created, |row| row.id = EventId::from_bytes([0xe2; 16]))
    });
}

#[test]
fn a_command_without_a_verdict_is_found() {
    let (said, place) = audited(|log| {
        log.open();
        let actor = Actor::Person { user: user(1), role: Role::User };
        log.command(CommandId::from_bytes([7; 16]), actor);
        log.step(vec![log.joined(2)], 1, 0)
    });
    said.failed(1, &["has no verdict", &place]);
}

#[test]
fn a_verdict_for_another_command_is_found() {
    let (said, place) = audited(|log| {
        log.open();
        let actor = Actor::Person { user: user(1), role: Role::User };
        let command = log.command(CommandId::from_bytes([7; 16]), actor);
        let closed = Closed {
            offset: command,
            command: Some(CommandId::from_bytes([8; 16])),
            event: Some(log.event),
            user: Some(user(1)),
            verdict: ClosedVerdict::Refused(Refusal::EventFull),
        };
        log.link(command, None, &[closed])
    });
    said.failed(1, &["the verdict is for", &place]);
}
