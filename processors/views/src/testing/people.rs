//! Registrations and bans.

use cityevents_domain::registration::{RegistrationCause, RegistrationStatus};

use super::build::{active, ban, event_id, then, user_id, waiting};
use super::{done, put, walk};
use crate::row::{BanRow, RegistrationRow};
use crate::{ParticipantsQuery, Views};

/// The people of an event, in pages of two.
pub(super) fn people(views: &Views, event: u64, status: Option<RegistrationStatus>) -> Vec<u64> {
    let query = |after| ParticipantsQuery { event: event_id(event), status, after, limit: 2 };
    numbers(walk(|after| done(views.registrations.participants(query(after)))))
}

/// The line of an event, in pages of two.
pub(super) fn line(views: &Views, event: u64) -> Vec<u64> {
    numbers(walk(|after| done(views.registrations.waitlist(event_id(event), after, 2))))
}

fn joins(views: &Views, user: u64) -> Vec<(u64, RegistrationStatus)> {
    let rows = walk(|after| done(views.registrations.own_joins(user_id(user), after, 2)));
    let of = |row: RegistrationRow| (number(row.event.as_bytes()), row.registration.status);
    rows.into_iter().map(of).collect()
}

fn numbers(rows: Vec<RegistrationRow>) -> Vec<u64> {
    rows.into_iter().map(|row| number(row.registration.user.as_bytes())).collect()
}

/// The number that an id was made of.
pub(super) fn number(id: &[u8; 16]) -> u64 {
    id.last_chunk().copied().map_or(0, u64::from_be_bytes)
}

fn left(row: RegistrationRow) -> RegistrationRow {
    then(row, RegistrationStatus::Canceled, RegistrationCause::Left)
}

pub fn participants_come_in_the_order_of_joining(views: &Views) {
    for (user, joined) in [(3, 10), (1, 30), (2, 20), (9, 20), (5, -5)] {
        put(views, active(1, user, joined), 1);
    }
    put(views, waiting(1, 7, 25, 1), 1);
    put(views, left(active(1, 8, 15)), 1);
    put(views, active(2, 4, 1), 1);
    assert_eq!(people(views, 1, None), [5, 3, 8, 2, 9, 7, 1]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Active)), [5, 3, 2, 9, 1]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Waitlisted)), [7]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Canceled)), [8]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Expired)), [0; 0]);
    assert_eq!(people(views, 3, None), [0; 0]);
}

pub fn a_person_who_joins_anew_moves_to_the_end(views: &Views) {
    for user in 1..=3 {
        put(views, active(1, user, 10 * user as i64), user);
    }
    put(views, left(active(1, 1, 10)), 4);
    assert_eq!(people(views, 1, None), [1, 2, 3]);
    put(views, active(1, 1, 50), 5);
    assert_eq!(people(views, 1, None), [2, 3, 1]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Active)), [2, 3, 1]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Canceled)), [0; 0]);
}

pub fn own_joins_come_last_joined_first(views: &Views) {
    use RegistrationStatus::{Active, Canceled, Waitlisted};
    for (event, joined) in [(1, 10), (2, 30), (3, 20), (4, 30)] {
        put(views, active(event, 1, joined), 1);
    }
    put(views, active(5, 2, 99), 1);
    put(views, left(active(3, 1, 20)), 2);
    assert_eq!(joins(views, 1), [(4, Active), (2, Active), (3, Canceled), (1, Active)]);
    put(views, waiting(1, 1, 40, 6), 3);
    assert_eq!(joins(views, 1), [(1, Waitlisted), (4, Active), (2, Active), (3, Canceled)]);
    assert_eq!(joins(views, 3), []);
}

pub fn the_line_is_in_the_order_of_tickets(views: &Views) {
    for (user, ticket) in [(4, 2), (9, 0), (1, 300), (2, 256), (3, 1), (8, u32::MAX)] {
        put(views, waiting(1, user, 10, ticket), 1);
    }
    put(views, waiting(2, 7, 10, 0), 1);
    assert_eq!(line(views, 1), [9, 3, 4, 2, 1, 8]);
}

pub fn who_leaves_the_line_is_not_in_it(views: &Views) {
    for (user, ticket) in [(1, 1), (2, 2), (3, 3)] {
        put(views, waiting(1, user, 10, ticket), 1);
    }
    let promoted =
        then(waiting(1, 1, 10, 1), RegistrationStatus::Active, RegistrationCause::Promoted);
    put(views, promoted, 2);
    assert_eq!(line(views, 1), [2, 3]);
    put(views, left(waiting(1, 2, 10, 2)), 3);
    assert_eq!(line(views, 1), [3]);
    put(views, waiting(1, 2, 40, 4), 4);
    assert_eq!(line(views, 1), [3, 2]);
}

pub fn a_late_write_of_the_past_changes_no_list(views: &Views) {
    put(views, active(1, 1, 10), 3);
    put(views, waiting(1, 1, 5, 1), 2);
    put(views, left(active(1, 1, 1)), 1);
    assert_eq!(line(views, 1), [0; 0]);
    assert_eq!(people(views, 1, None), [1]);
    assert_eq!(people(views, 1, Some(RegistrationStatus::Canceled)), [0; 0]);
    assert_eq!(joins(views, 1), [(1, RegistrationStatus::Active)]);
}

pub fn a_lifted_ban_is_not_there(views: &Views) {
    put(views, ban(1, 2), 1);
    let lifted = BanRow { ban: None, ..ban(1, 2) };
    put(views, lifted.clone(), 2);
    assert_eq!(done(views.bans.ban(event_id(1), user_id(2))), None);
    put(views, ban(1, 2), 1);
    assert_eq!(done(views.bans.ban(event_id(1), user_id(2))), None);
    put(views, ban(1, 2), 3);
    put(views, lifted, 2);
    assert_eq!(done(views.bans.ban(event_id(1), user_id(2))), Some(ban(1, 2)));
}

pub fn bans_are_listed_by_event(views: &Views) {
    for (event, user) in [(1, 5), (1, 2), (1, 9), (1, 3), (2, 4)] {
        put(views, ban(event, user), 1);
    }
    put(views, BanRow { ban: None, ..ban(1, 3) }, 2);
    let listed = |event| {
        let rows = walk(|after| done(views.bans.bans(event_id(event), after, 1)));
        rows.into_iter().map(|row| number(row.user.as_bytes())).collect::<Vec<_>>()
    };
    assert_eq!(listed(1), [2, 5, 9]);
    assert_eq!(listed(2), [4]);
    assert_eq!(listed(3), [0; 0]);
}
