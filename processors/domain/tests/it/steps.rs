//! Long effects: five hundred people in a fact, the rest by ticks.

use cityevents_domain::command::CommandKind;
use cityevents_domain::event::{EventFields, EventPatch};
use cityevents_domain::fact::{Change, Fact, STEP_PEOPLE_MAX, Verdict};
use cityevents_domain::ids::{CommandId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus};
use cityevents_domain::state::Slot;

use crate::fixtures::{
    DAY, HOUR, OWNER, STRANGER, Stage, ban, cancel, capacity, check_in, fields, kick, time,
    unpublish, update, user,
};

/// One place and a line of so many.
fn line_of(count: u64) -> Stage {
    let fields = EventFields { waitlist_limit: Some(100_000), ..fields(1) };
    Stage::published(fields).joined(count + 1)
}

fn people(fact: &Fact, wanted: RegistrationCause) -> Vec<UserId> {
    let rows = fact.changes.iter().filter_map(|change| match change {
        Change::Registration { cause, registration, .. } if *cause == wanted => {
            Some(registration.user)
        }
        _ => None,
    });
    rows.collect()
}

fn promoted(fact: &Fact) -> Vec<UserId> {
    people(fact, RegistrationCause::Promoted)
}

fn users(range: std::ops::Range<u64>) -> Vec<UserId> {
    range.map(user).collect()
}

fn ticked(stage: &mut Stage) -> Fact {
    match stage.tick_due() {
        Some(Verdict::Fact(fact)) => *fact,
        other => panic!("no fact but {other:?}"),
    }
}

#[test]
fn a_raise_that_fits_into_one_fact_needs_no_tick() {
    let mut stage = line_of(600);
    assert_eq!(promoted(&stage.accept(OWNER, capacity(501))), users(1..501));
    assert_eq!(stage.state().step_due(), None);
    assert!(stage.tick_due().is_none());
}

#[test]
fn a_raise_promotes_five_hundred_at_once_and_the_rest_by_ticks_in_order() {
    let mut stage = line_of(1_300);
    stage.now = 5;
    let fact = stage.accept(OWNER, capacity(1_201));
    assert_eq!(promoted(&fact), users(1..501));
    assert_eq!(stage.state().step_due(), Some(time(5)));
    assert_eq!(stage.partition.next_deadline(), Some(time(5)));
    assert_eq!(promoted(&ticked(&mut stage)), users(501..1_001));
    assert_eq!(promoted(&ticked(&mut stage)), users(1_001..1_201));
    assert!(stage.tick_due().is_none());
    assert_eq!(stage.position_of(1_201), Some(1));
    assert_eq!(stage.tick(), Verdict::Refused(Refusal::InvalidState));
}

#[test]
fn while_a_step_is_due_new_people_go_to_the_end_of_the_line() {
    let mut stage = line_of(700);
    stage.accept(OWNER, capacity(0));
    let fact = stage.accept(STRANGER, CommandKind::Join);
    assert_eq!((fact.counters.active, fact.counters.waiting), (501, 201));
    assert_eq!(stage.position_of(STRANGER), Some(201));
    let mut expected = users(501..701);
    expected.push(user(STRANGER));
    assert_eq!(promoted(&ticked(&mut stage)), expected);
    assert_eq!(stage.accept(STRANGER + 1, CommandKind::Join).counters.active, 703);
}

#[test]
fn who_fits_once_the_steps_are_done_is_let_in_even_where_nobody_may_wait() {
    let mut stage = line_of(700);
    let patch = EventPatch {
        waitlist_limit: Some(Some(0)),
        capacity: Some(cityevents_domain::event::Capacity::Limited(702)),
        ..EventPatch::default()
    };
    stage.accept(OWNER, update(patch));
    // 700 of 701 in the line fit already: one more does, and then nobody.
    stage.accept(STRANGER, CommandKind::Join);
    assert_eq!(stage.refusal(STRANGER + 1, CommandKind::Join), Refusal::EventFull);
    assert_eq!(promoted(&ticked(&mut stage)).len(), 201);
    assert_eq!((stage.state().counters().active, stage.state().counters().waiting), (702, 0));
}

#[test]
fn every_fact_that_frees_a_place_takes_a_step_along_and_never_the_one_who_goes() {
    let removals: [fn() -> (u64, CommandKind); 3] =
        [|| (501, CommandKind::Leave), || (OWNER, kick(501)), || (OWNER, ban(501, None))];
    for removal in removals {
        let mut stage = line_of(1_200);
        stage.accept(OWNER, capacity(0));
        let (who, kind) = removal();
        let fact = stage.accept(who, kind);
        assert_eq!(promoted(&fact), users(502..1_002));
        assert!(fact.changes.len() <= STEP_PEOPLE_MAX + 2);
        assert!(!stage.status_of(501).unwrap().is_living());
        assert_eq!(promoted(&ticked(&mut stage)), users(1_002..1_201));
        assert!(stage.tick_due().is_none());
    }
}

#[test]
fn lowering_the_capacity_again_stops_the_steps() {
    let mut stage = line_of(1_200);
    stage.accept(OWNER, capacity(0));
    let fact = stage.accept(OWNER, capacity(100));
    assert_eq!(promoted(&fact), []);
    assert_eq!(stage.state().step_due(), None);
    assert!(stage.tick_due().is_none());
    assert_eq!(fact.counters.active, 501);
}

#[test]
fn a_step_goes_on_while_the_event_is_unpublished() {
    let mut stage = line_of(1_200);
    stage.accept(OWNER, capacity(0));
    stage.accept(OWNER, unpublish());
    assert_eq!(promoted(&ticked(&mut stage)).len(), 500);
    assert_eq!(promoted(&stage.accept(OWNER, CommandKind::Publish)).len(), 200);
    assert!(stage.tick_due().is_none());
}

#[test]
fn what_changes_no_place_leaves_the_step_due_since_when_it_was() {
    let mut stage = line_of(1_200);
    stage.now = 5;
    stage.accept(OWNER, capacity(0));
    stage.now = 9;
    stage.accept(OWNER, check_in(0));
    stage.accept(STRANGER, CommandKind::Join);
    assert_eq!(stage.state().step_due(), Some(time(5)));
    ticked(&mut stage);
    assert_eq!(stage.state().step_due(), Some(time(9)));
}

#[test]
fn every_step_has_a_tick_of_its_own() {
    let mut stage = line_of(1_600);
    stage.accept(OWNER, capacity(0));
    let mut ids = std::collections::BTreeSet::new();
    loop {
        let due = stage.partition.due(time(stage.now)).next();
        let Some((event, seq, deadline)) = due else { break };
        assert!(ids.insert(CommandId::of_tick(&event, seq, deadline.as_millis())));
        ticked(&mut stage);
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_canceled_event_of_a_hundred_thousand_expires_them_all_in_steps() {
    let fields = EventFields { waitlist_limit: Some(100_000), ..fields(1_000) };
    let mut stage = Stage::published(fields).joined(100_000);
    stage.is_thorough = false;
    for number in (0..100_000).step_by(10) {
        stage.accept(number, CommandKind::Leave);
    }
    let living = stage.state().counters().active + stage.state().counters().waiting;
    assert_eq!(living, 90_000);
    let fact = stage.accept(OWNER, cancel());
    assert_eq!(fact.changes.len(), 1);
    assert_eq!(stage.refusal(STRANGER, CommandKind::Join), Refusal::EventCanceled);
    let mut expired = Vec::new();
    let mut steps = 0;
    while let Some(verdict) = stage.tick_due() {
        let Verdict::Fact(fact) = verdict else { panic!("{verdict:?}") };
        expired.extend(people(&fact, RegistrationCause::EventCanceled));
        steps += 1;
        if steps == 90 {
            // In the middle of it, somebody's leave is answered with what has happened.
            assert_eq!(stage.refusal(99_999, CommandKind::Leave), Refusal::EventCanceled);
        }
    }
    assert_eq!(steps, 180);
    let expected: Vec<_> = (0..100_000).filter(|number| number % 10 != 0).map(user).collect();
    assert_eq!(expired, expected);
    assert!(matches!(stage.partition.find(&stage.event), Some(Slot::Closed(_))));
    assert_eq!(stage.partition.next_deadline(), None);
}

#[test]
fn a_tick_says_how_many_people_its_step_is_about_up_to_five_hundred() {
    let mut stage = line_of(1_300);
    stage.accept(OWNER, capacity(0));
    let mut promoted_by = |people_max| {
        stage.people_max = people_max;
        promoted(&ticked(&mut stage)).len()
    };
    assert_eq!([50, 0, 1].map(&mut promoted_by), [50, 1, 1]);
    assert_eq!(promoted_by(u16::MAX), 500);
    stage.people_max = 50;
    stage.accept(OWNER, cancel());
    assert_eq!(people(&ticked(&mut stage), RegistrationCause::EventCanceled), users(0..50));
    assert_eq!(people(&ticked(&mut stage), RegistrationCause::EventCanceled), users(50..100));
}

#[test]
fn canceling_in_the_middle_of_a_raise_expires_both_who_moved_up_and_who_waits() {
    let mut stage = line_of(1_200);
    stage.accept(OWNER, capacity(0));
    stage.accept(OWNER, cancel());
    let mut expired = 0;
    while let Some(verdict) = stage.tick_due() {
        let Verdict::Fact(fact) = verdict else { panic!("{verdict:?}") };
        let rows = fact.changes.iter().filter(|change| {
            matches!(change, Change::Registration { registration, .. }
                if registration.status == RegistrationStatus::Expired)
        });
        expired += rows.count();
    }
    assert_eq!(expired, 1_201);
}

#[test]
fn the_end_comes_before_a_step_and_the_steps_are_dropped_with_it() {
    let mut stage = line_of(1_200);
    stage.now = 2 * DAY + HOUR;
    stage.accept(OWNER, capacity(0));
    stage.now = 2 * DAY + 2 * HOUR;
    assert_eq!(promoted(&ticked(&mut stage)), []);
    assert!(stage.tick_due().is_none());
}

#[test]
fn an_early_tick_changes_nothing() {
    let mut stage = line_of(10);
    let before = stage.partition.hash();
    assert_eq!(stage.tick(), Verdict::Refused(Refusal::InvalidState));
    assert_eq!(stage.partition.hash(), before);
}

#[test]
fn due_events_come_earliest_first_and_not_before_their_time() {
    let mut stage = line_of(1_200);
    stage.accept(OWNER, ban(STRANGER, Some(time(HOUR))));
    assert_eq!(stage.partition.due(time(HOUR - 1)).count(), 0);
    let due: Vec<_> = stage.partition.due(time(HOUR)).collect();
    assert_eq!(due, [(stage.event, stage.state().seq(), time(HOUR))]);
    stage.now = 7;
    stage.accept(OWNER, capacity(0));
    assert_eq!(stage.partition.next_deadline(), Some(time(7)));
}
