//! Lists while their rows come and go.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use cityevents_domain::event::EventStatus;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus};
use proptest::prelude::*;

use super::build::{active, at, event, event_id, in_city, in_state, then, user_id, waiting};
use super::people::number;
use super::{done, for_random_cases, put};
use crate::row::{EventRow, Mutation, WriteTimestamp};
use crate::{OwnEventsQuery, Page, ParticipantsQuery, Views};

const ROWS: u64 = 40;

/// Goes through a list, with a change between any two pages. The rows of even numbers never
/// change, the others may come, go and move.
fn check<P: Copy>(
    mut page: impl FnMut(Option<P>) -> Page<u64, P>,
    mut change: impl FnMut(),
) -> Result<(), TestCaseError> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let Page { items, next } = page(after);
        seen.extend(items);
        let Some(next) = next else { break };
        after = Some(next);
        change();
    }
    let steady: Vec<_> = seen.iter().copied().filter(|number| number % 2 == 0).collect();
    let expected: Vec<_> = (0..ROWS).filter(|number| number % 2 == 0).collect();
    prop_assert_eq!(steady, expected);
    Ok(())
}

/// An event, made before those of lower numbers.
fn made(number: u64) -> EventRow {
    let mut row = event(number, 100);
    row.event.created_at = at(-(number as i64));
    row
}

pub fn pages_of_events_miss_and_repeat_nothing_while_rows_come_and_go(views: &Views) {
    let clock = std::cell::Cell::new(1);
    let write = |row| {
        clock.set(clock.get() + 1);
        put(views, row, clock.get());
    };
    let changes = prop::collection::vec((0..ROWS / 2, 0..ROWS, any::<bool>()), 60);
    for_random_cases(40, (changes, 1..6_usize), |(changes, limit)| {
        for number in 0..ROWS {
            write(made(number));
        }
        let mut changes = changes.into_iter();
        check(
            |after| {
                let (owner, statuses) = (user_id(1), Some(vec![EventStatus::Published]));
                let query = OwnEventsQuery { owner, statuses, after, limit };
                let Page { items, next } = done(views.events.own_events(query));
                let items = items.into_iter().map(|row| number(row.event.id.as_bytes()));
                Page { items: items.collect(), next }
            },
            || {
                for (which, _, public) in changes.by_ref().take(3) {
                    let status = if public { EventStatus::Published } else { EventStatus::Draft };
                    write(in_state(made(2 * which + 1), status));
                }
            },
        )
    });
}

pub fn pages_of_people_miss_and_repeat_nothing_while_rows_come_and_go(views: &Views) {
    let clock = std::cell::Cell::new(1);
    let write = |row| {
        clock.set(clock.get() + 1);
        put(views, row, clock.get());
    };
    let changes = prop::collection::vec((0..ROWS / 2, 0..ROWS, any::<bool>()), 60);
    for_random_cases(40, (changes, 1..6_usize, any::<bool>()), |(changes, limit, in_line)| {
        for number in 0..ROWS {
            write(waiting(1, number, number as i64, number as u32));
        }
        let mut changes = changes.into_iter();
        let change = || {
            for (which, joined, leaves) in changes.by_ref().take(3) {
                let user = 2 * which + 1;
                let row = waiting(1, user, joined as i64, (ROWS + user) as u32);
                write(match leaves {
                    true => then(row, RegistrationStatus::Canceled, RegistrationCause::Left),
                    false => row,
                });
            }
        };
        let people = &views.registrations;
        if in_line {
            let page = |after| done(people.waitlist(event_id(1), after, limit));
            check(|after| numbered(page(after)), change)
        } else {
            let query =
                |after| ParticipantsQuery { event: event_id(1), status: None, after, limit };
            let page = |after| done(people.participants(query(after)));
            check(|after| numbered(page(after)), change)
        }
    });
}

fn numbered<P>(page: Page<crate::RegistrationRow, P>) -> Page<u64, P> {
    let number = |row: crate::RegistrationRow| number(row.registration.user.as_bytes());
    Page { items: page.items.into_iter().map(number).collect(), next: page.next }
}

/// A writer moves one event back and forth between two cities and one person between two states,
/// both in one call; whoever looks finds each in exactly one place, and what a place leads to is
/// as the place says.
pub fn readers_never_meet_half_a_write(views: &Views) {
    const WRITES: u64 = 2_000;
    let states = [RegistrationStatus::Active, RegistrationStatus::Canceled];
    let write = |turn: u64| {
        let (city, state) = if turn.is_multiple_of(2) { ("Ulm", 0) } else { ("Bonn", 1) };
        let person = then(active(1, 1, turn as i64), states[state], RegistrationCause::Joined);
        let mutations = vec![
            Mutation::new(in_city(event(1, turn as i64), city), WriteTimestamp(turn)),
            Mutation::new(person, WriteTimestamp(turn)),
        ];
        done(views.write.write(mutations));
    };
    write(1);
    let finished = AtomicBool::new(false);
    // However quick the store is, the writing begins when somebody looks.
    let looking = Barrier::new(2);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            looking.wait();
            let mut seen = BTreeSet::new();
            loop {
                let last = finished.load(Ordering::Acquire);
                let (owner, statuses) = (user_id(1), None);
                let query = OwnEventsQuery { owner, statuses, after: None, limit: 10 };
                let found = done(views.events.own_events(query));
                assert_eq!(found.items.len(), 1);
                seen.insert(found.items[0].event.fields.city.clone());
                let query =
                    ParticipantsQuery { event: event_id(1), status: None, after: None, limit: 10 };
                assert_eq!(done(views.registrations.participants(query)).items.len(), 1);
                let own = done(views.registrations.own_joins(user_id(1), None, 10));
                assert_eq!(own.items.len(), 1);
                if last {
                    return seen;
                }
            }
        });
        looking.wait();
        (2..WRITES).for_each(write);
        finished.store(true, Ordering::Release);
        assert!(!reader.join().unwrap().is_empty());
    });
}
