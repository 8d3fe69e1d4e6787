//! Any order, any number of times, any grouping: the same tables.

use std::sync::atomic::{AtomicU64, Ordering};

use cityevents_domain::event::EventStatus;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus};
use proptest::collection::vec;
use proptest::prelude::*;

use super::build::{
    active, at, ban, counters, event, event_id, in_city, in_state, user_id, waiting,
};
use super::people::{line, people};
use super::{done, for_random_cases, walk};
use crate::row::{BanRow, Mutation, Row, WriteTimestamp};
use crate::{OwnEventsQuery, Views};

const EVENTS: u64 = 3;
const USERS: u64 = 4;
/// Numbers of one case stay below this.
const CASE: u64 = 1_000;

/// What a mutation is made of: table, event, user, three values, timestamp.
type Seed = (u8, u64, u64, u8, u8, bool, u64);

fn mutation(case: u64, (table, event_number, user, one, two, flag, timestamp): Seed) -> Mutation {
    let (number, user) = (case + event_number, case + user);
    let row: Row = match table {
        0 => {
            // The owner and the time of creation of an event never change.
            let mut row = event(number, i64::from(one));
            row.event.owner = user_id(case + event_number % 2);
            row.event.version = u32::from(two);
            let status = EventStatus::ALL[usize::from(two) % 4];
            in_city(in_state(row, status), &city(case, flag)).into()
        }
        1 if flag => {
            let mut row = active(number, user, i64::from(one));
            row.registration.status = RegistrationStatus::ALL[usize::from(two) % 5];
            row.cause = RegistrationCause::ALL[usize::from(two) % 8];
            // Only the line gives tickets, and never one twice.
            if row.registration.status == RegistrationStatus::Waitlisted {
                row.registration.ticket = Some(ticket(user, timestamp));
            }
            row.into()
        }
        1 => waiting(number, user, i64::from(one), ticket(user, timestamp)).into(),
        2 => {
            let mut row = ban(number, user);
            if let Some(ban) = &mut row.ban {
                ban.banned_at = at(i64::from(one));
            }
            if flag { row } else { BanRow { ban: None, ..row } }.into()
        }
        _ => counters(number, u32::from(one), timestamp).into(),
    };
    Mutation { row, timestamp: WriteTimestamp(timestamp) }
}

fn ticket(user: u64, timestamp: u64) -> u32 {
    (timestamp * CASE + user % CASE) as u32
}

fn city(case: u64, one: bool) -> String {
    format!("City {case} {}", if one { "one" } else { "two" })
}

/// Everything that the tables say of one case.
fn dump(views: &Views, case: u64) -> Vec<String> {
    let mut said = Vec::new();
    for number in (case..).take(EVENTS as usize) {
        let id = event_id(number);
        said.push(format!("{:?}", done(views.events.event(id))));
        said.push(format!("{:?}", done(views.counters.counters(id))));
        said.push(format!("{:?}", people(views, number, None)));
        for status in RegistrationStatus::ALL {
            said.push(format!("{:?}", people(views, number, Some(status))));
        }
        said.push(format!("{:?}", line(views, number)));
        said.push(format!("{:?}", walk(|after| done(views.bans.bans(id, after, 1)))));
    }
    for user in (case..).take(USERS as usize).map(user_id) {
        let joins = walk(|after| done(views.registrations.own_joins(user, after, 1)));
        said.push(format!("{joins:?}"));
        let query = |after| OwnEventsQuery { owner: user, statuses: None, after, limit: 1 };
        said.push(format!("{:?}", walk(|after| done(views.events.own_events(query(after))))));
        for number in (case..).take(EVENTS as usize) {
            let (event, registrations) = (event_id(number), &views.registrations);
            said.push(format!("{:?}", done(registrations.registration(event, user))));
            said.push(format!("{:?}", done(views.bans.ban(event, user))));
        }
    }
    said
}

fn write_in_groups(views: &Views, mutations: &[Mutation], group: usize) {
    for some in mutations.chunks(group) {
        done(views.write.write(some.to_vec()));
    }
}

/// The seeds in an order, some of them twice.
type Order = Vec<usize>;

pub fn mutations_in_any_order_and_number_give_the_same_tables(views: &Views) {
    let seed = (0..4_u8, 0..EVENTS, 0..USERS, 0..6_u8, any::<u8>(), any::<bool>(), 1..9_u64);
    let cases = vec(seed, 1..40).prop_flat_map(|seeds| {
        let all: Vec<usize> = (0..seeds.len()).collect();
        let again = vec(0..seeds.len(), 0..20);
        let order = (Just(all), again).prop_map(|(mut all, again)| {
            all.extend(again);
            all
        });
        (Just(seeds), order.prop_shuffle(), 1..50_usize)
    });
    let next_case = AtomicU64::new(1);
    for_random_cases(150, cases, |(seeds, order, group): (Vec<Seed>, Order, usize)| {
        let case = next_case.fetch_add(1, Ordering::Relaxed) * CASE;
        let straight: Vec<_> = seeds.into_iter().map(|seed| mutation(case, seed)).collect();
        let shuffled: Vec<_> = order.into_iter().map(|index| straight[index].clone()).collect();
        let model = Views::memory();
        write_in_groups(&model, &straight, 1);
        write_in_groups(views, &shuffled, group);
        prop_assert_eq!(dump(views, case), dump(&model, case));
        // And everything once more changes nothing.
        write_in_groups(views, &straight, 7);
        prop_assert_eq!(dump(views, case), dump(&model, case));
        Ok(())
    });
}
