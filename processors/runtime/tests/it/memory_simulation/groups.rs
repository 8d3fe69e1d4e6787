//! Groups that decide without telling.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::memory::{Faults, MemoryLog};
use cityevents_runtime::log::{Committed, Log, LogErrorKind, Member, MemberEvent, TopicPartition};

use super::{simulated, topic};

fn hear(member: &mut dyn Member) -> Option<MemberEvent> {
    member.poll(Duration::from_secs(60)).unwrap()
}

fn assigned(event: Option<MemberEvent>) -> Vec<TopicPartition> {
    match event {
        Some(MemberEvent::Assigned { partitions, .. }) => partitions,
        other => panic!("expected an assignment, not {other:?}"),
    }
}

fn progress(place: &TopicPartition) -> [(TopicPartition, Committed); 1] {
    [(place.clone(), Committed { offset: 1, metadata: String::new() })]
}

/// A group where `a` believes that it owns the partition, and `b` owns it.
fn zombie(faults: Faults) -> (MemoryLog, TopicPartition, Box<dyn Member>, Box<dyn Member>) {
    let log = simulated(1, Faults::none());
    let topics: [Arc<str>; 1] = [topic(&log, "t", 1)];
    let place = TopicPartition::new(topics[0].clone(), 0);
    let mut zombie = log.join("g", &topics, "a").unwrap();
    assert_eq!(assigned(hear(&mut *zombie)), std::slice::from_ref(&place));
    let mut owner = log.join("g", &topics, "b").unwrap();
    log.expel_member("g", "a");
    assert_eq!(assigned(hear(&mut *owner)), std::slice::from_ref(&place));
    log.set_faults(faults);
    (log, place, zombie, owner)
}

#[test]
fn an_expelled_member_believes_on_and_cannot_commit() {
    let (log, place, mut zombie, mut owner) = zombie(Faults { late_news: 1.0, ..Faults::none() });
    assert_eq!(hear(&mut *zombie), None, "it hears nothing of it");
    assert_eq!(log.owners("g").get(&place).map(String::as_str), Some("b"));
    assert!(!zombie.owns(&place));
    assert!(owner.owns(&place));
    let refused = zombie.commit(&progress(&place)).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Fenced);
    owner.commit(&progress(&place)).unwrap();

    log.set_faults(Faults::none());
    let lost = MemberEvent::Lost { partitions: vec![place.clone()] };
    assert_eq!(hear(&mut *zombie), Some(lost));
    let revoked = MemberEvent::Revoked { partitions: vec![place.clone()] };
    assert_eq!(hear(&mut *owner), Some(revoked), "it is in again, and its name comes first");
    owner.release(std::slice::from_ref(&place)).unwrap();
    assert_eq!(assigned(hear(&mut *zombie)), [place]);
}

#[test]
fn two_members_may_both_be_told_that_they_own_a_partition() {
    let (_log, place, zombie, owner) = zombie(Faults { stale_ownership: 1.0, ..Faults::none() });
    assert!(zombie.owns(&place));
    assert!(owner.owns(&place));
}

#[test]
fn a_group_may_take_living_members_for_dead() {
    let log = simulated(1, Faults { expelled: 1.0, ..Faults::none() });
    let topics: [Arc<str>; 1] = [topic(&log, "t", 2)];
    let mut member = log.join("g", &topics, "a").unwrap();
    assert_eq!(assigned(hear(&mut *member)).len(), 2);
    log.tick();
    assert!(log.owners("g").is_empty());
    assert!(
        matches!(hear(&mut *member), Some(MemberEvent::Lost { partitions }) if partitions.len() == 2)
    );
    assert_eq!(assigned(hear(&mut *member)).len(), 2, "it has joined anew");
}

#[test]
fn a_dead_member_keeps_its_partitions_until_the_group_notices() {
    let log = simulated(1, Faults { unnoticed: 1.0, ..Faults::none() });
    let topics: [Arc<str>; 1] = [topic(&log, "t", 2)];
    drop(log.join("g", &topics, "a").unwrap());
    let mut survivor = log.join("g", &topics, "b").unwrap();
    for _ in 0..10 {
        log.tick();
        assert_eq!(hear(&mut *survivor), None);
    }
    log.set_faults(Faults::none());
    log.tick();
    let mut owned = assigned(hear(&mut *survivor));
    owned.sort();
    assert_eq!(owned.len(), 2);
}

#[test]
fn who_comes_back_before_the_group_has_noticed_gets_its_partitions_at_once() {
    let log = simulated(1, Faults { unnoticed: 1.0, ..Faults::none() });
    let topics: [Arc<str>; 1] = [topic(&log, "t", 2)];
    let mut member = log.join("g", &topics, "a").unwrap();
    let before = assigned(hear(&mut *member));
    drop(member);
    log.tick();
    let mut again = log.join("g", &topics, "a").unwrap();
    assert_eq!(assigned(hear(&mut *again)), before);
}

#[test]
fn who_does_not_let_go_in_time_loses_its_partition() {
    let clock = ManualClock::new(0);
    let log = MemoryLog::simulated(clock.clone(), 1, Faults::none());
    let topics: [Arc<str>; 1] = [topic(&log, "t", 2)];
    let mut slow = log.join("g", &topics, "a").unwrap();
    assert_eq!(assigned(hear(&mut *slow)).len(), 2);
    let mut next = log.join("g", &topics, "b").unwrap();
    let Some(MemberEvent::Revoked { partitions }) = hear(&mut *slow) else {
        panic!("a revocation was due")
    };
    log.tick();
    assert_eq!(hear(&mut *next), None);
    clock.advance(60_000);
    log.tick();
    assert_eq!(hear(&mut *slow), Some(MemberEvent::Lost { partitions: partitions.clone() }));
    assert_eq!(assigned(hear(&mut *next)), partitions);
    let refused = slow.commit(&progress(&partitions[0])).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Fenced);
}

#[test]
fn a_number_is_free_when_it_is_released_for_all_topics() {
    let log = simulated(1, Faults::none());
    let topics: [Arc<str>; 2] = [topic(&log, "commands", 2), topic(&log, "facts", 2)];
    let mut one = log.join("g", &topics, "a").unwrap();
    assert_eq!(assigned(hear(&mut *one)).len(), 4);
    let mut other = log.join("g", &topics, "b").unwrap();
    let Some(MemberEvent::Revoked { partitions }) = hear(&mut *one) else {
        panic!("a revocation was due")
    };
    assert_eq!(partitions.len(), 2);
    one.release(&partitions[..1]).unwrap();
    assert!(!one.owns(&partitions[0]));
    assert!(one.owns(&partitions[1]));
    assert_eq!(hear(&mut *other), None);
    one.release(&partitions[1..]).unwrap();
    assert_eq!(assigned(hear(&mut *other)), partitions);
}
