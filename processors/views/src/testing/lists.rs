//! The events of one person.

use cityevents_domain::event::EventStatus;

use super::build::{at, event, event_id, in_state, user_id};
use super::{done, put, walk};
use crate::row::{Mutation, WriteTimestamp};
use crate::tables::SCANNED_ROWS_MAX;
use crate::{OwnEventsQuery, Views};

pub fn own_events_come_newest_first_in_any_state(views: &Views) {
    for (number, status) in (1..).zip(EventStatus::ALL.into_iter().cycle().take(10)) {
        let mut row = in_state(event(number, 100), status);
        row.event.created_at = at(number as i64 / 2);
        put(views, row, 1);
    }
    let mut strange = event(11, 100);
    strange.event.owner = user_id(2);
    put(views, strange, 1);
    let own = |statuses: Option<&[EventStatus]>| {
        let query = |after| OwnEventsQuery {
            owner: user_id(1),
            statuses: statuses.map(<[_]>::to_vec),
            after,
            limit: 2,
        };
        let rows = walk(|after| done(views.events.own_events(query(after))));
        rows.into_iter().map(|row| row.event.id).collect::<Vec<_>>()
    };
    let ids = |numbers: &[u64]| numbers.iter().copied().map(event_id).collect::<Vec<_>>();
    assert_eq!(own(None), ids(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]));
    assert_eq!(own(Some(&[EventStatus::Draft])), ids(&[9, 5, 1]));
    assert_eq!(own(Some(&[EventStatus::Ended, EventStatus::Published])), ids(&[10, 8, 6, 4, 2]));
    assert_eq!(own(Some(&[])), ids(&[]));
    put(views, in_state(event(9, 100), EventStatus::Published), 1);
}

pub fn a_filter_that_few_pass_still_comes_to_its_end(views: &Views) {
    let last = SCANNED_ROWS_MAX as u64 + 2;
    let rows = (1..=last).map(|number| {
        let status = if number == 1 { EventStatus::Ended } else { EventStatus::Draft };
        let mut row = in_state(event(number, 100), status);
        row.event.created_at = at(number as i64);
        Mutation::new(row, WriteTimestamp(1))
    });
    done(views.write.write(rows.collect()));
    let page = |after| {
        let (owner, statuses) = (user_id(1), Some(vec![EventStatus::Ended]));
        done(views.events.own_events(OwnEventsQuery { owner, statuses, after, limit: 1 }))
    };
    let first = page(None);
    assert_eq!(first.items, []);
    assert!(first.next.is_some(), "a page looks at a bounded number of rows");
    let second = page(first.next);
    assert_eq!(second.items.len(), 1);
    assert_eq!(second.next, None);
}
