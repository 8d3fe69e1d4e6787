//! Lists of events.

use cityevents_domain::event::EventStatus;

use super::build::{at, event, event_id, in_city, in_state, user_id};
use super::{done, put, walk};
use crate::row::{EventRow, Mutation, WriteTimestamp};
use crate::tables::SCANNED_ROWS_MAX;
use crate::{EventFilter, EventsQuery, OwnEventsQuery, Views};

/// All public events of a filter, in pages of three.
pub(super) fn listed(views: &Views, filter: EventFilter) -> Vec<EventRow> {
    walk(|after| done(views.events.events(EventsQuery { filter: filter.clone(), after, limit: 3 })))
}

/// Their starts.
pub(super) fn starts(views: &Views, filter: EventFilter) -> Vec<i64> {
    let start = |row: EventRow| row.event.fields.start_time.as_millis();
    listed(views, filter).into_iter().map(start).collect()
}

fn titled(number: u64, start: i64, title: &str, description: &str) -> EventRow {
    let mut row = event(number, start);
    row.event.fields.title = title.to_owned();
    row.event.fields.description = description.to_owned();
    row
}

pub fn public_events_come_by_start_then_id(views: &Views) {
    for (number, start) in [(5, 200), (1, 300), (9, 200), (4, -100), (7, 200), (2, i64::MAX)] {
        put(views, event(number, start), 1);
    }
    let found: Vec<_> = listed(views, EventFilter::default())
        .into_iter()
        .map(|row| (row.event.fields.start_time.as_millis(), row.event.id))
        .collect();
    let expected = [(-100, 4), (200, 5), (200, 7), (200, 9), (300, 1), (i64::MAX, 2)];
    assert_eq!(found, expected.map(|(start, number)| (start, event_id(number))));
}

pub fn drafts_and_canceled_events_are_in_no_public_list(views: &Views) {
    for (number, status) in (1..).zip(EventStatus::ALL) {
        put(views, in_state(event(number, number as i64), status), 1);
    }
    let found: Vec<_> =
        listed(views, EventFilter::default()).into_iter().map(|row| row.event.status).collect();
    assert_eq!(found, [EventStatus::Published, EventStatus::Ended]);
    // Taken back, published again, called off.
    put(views, in_state(event(2, 2), EventStatus::Draft), 2);
    assert_eq!(starts(views, EventFilter::default()), [4]);
    put(views, event(2, 2), 3);
    assert_eq!(starts(views, EventFilter::default()), [2, 4]);
    put(views, in_state(event(2, 2), EventStatus::Canceled), 4);
    assert_eq!(starts(views, EventFilter::default()), [4]);
}

pub fn an_event_that_moves_is_at_its_new_place_only(views: &Views) {
    put(views, event(1, 100), 1);
    put(views, event(2, 200), 1);
    put(views, in_city(event(1, 300), "Ulm"), 2);
    assert_eq!(starts(views, EventFilter::default()), [200, 300]);
    let in_city = |city: &str| EventFilter { city: Some(city.to_owned()), ..Default::default() };
    assert_eq!(starts(views, in_city("köln")), [200]);
    assert_eq!(starts(views, in_city("ulm")), [300]);
    // And back again.
    put(views, event(1, 100), 3);
    assert_eq!(starts(views, EventFilter::default()), [100, 200]);
    assert_eq!(starts(views, in_city("ulm")), [0; 0]);
    // A late write of the past.
    put(views, event(1, 250), 2);
    assert_eq!(starts(views, EventFilter::default()), [100, 200]);
}

pub fn an_event_is_found_by_city_and_category_but_for_case(views: &Views) {
    put(views, in_city(event(1, 1), "Gießen"), 1);
    put(views, in_city(event(2, 2), "GIESSEN"), 1);
    put(views, in_city(event(3, 3), "Ulm"), 1);
    let mut row = event(4, 4);
    row.event.fields.category = "ΘΈΑΤΡΟΣ".to_owned();
    put(views, row, 1);
    let of = |city: Option<&str>, category: Option<&str>| EventFilter {
        city: city.map(str::to_owned),
        category: category.map(str::to_owned),
        ..Default::default()
    };
    assert_eq!(starts(views, of(Some("giessen"), None)), [1, 2]);
    assert_eq!(starts(views, of(Some("ULM"), None)), [3]);
    assert_eq!(starts(views, of(None, Some("θέατρος"))), [4]);
    assert_eq!(starts(views, of(None, Some("mUSIC"))), [1, 2, 3]);
    assert_eq!(starts(views, of(Some("ulm"), Some("music"))), [3]);
    assert_eq!(starts(views, of(Some("ulm"), Some("theatre"))), [0; 0]);
}

pub fn a_city_is_not_found_by_its_beginning(views: &Views) {
    for (number, city) in (1..).zip(["Bern", "Bernau", "Ber\0n", "Bern\0"]) {
        put(views, in_city(event(number, number as i64), city), 1);
    }
    let of = |city: &str| EventFilter { city: Some(city.to_owned()), ..Default::default() };
    assert_eq!(starts(views, of("Bern")), [1]);
    assert_eq!(starts(views, of("Bern\0")), [4]);
    assert_eq!(starts(views, of("Ber")), [0; 0]);
    assert_eq!(starts(views, of("")), [0; 0]);
}

pub fn events_are_found_by_the_time_of_their_start(views: &Views) {
    for number in 1..=6 {
        put(views, event(number, 100 * number as i64), 1);
    }
    let between = |from: Option<i64>, before: Option<i64>| EventFilter {
        starts_from: from.map(at),
        starts_before: before.map(at),
        ..Default::default()
    };
    assert_eq!(starts(views, between(Some(200), Some(500))), [200, 300, 400]);
    assert_eq!(starts(views, between(Some(201), None)), [300, 400, 500, 600]);
    assert_eq!(starts(views, between(None, Some(200))), [100]);
    assert_eq!(starts(views, between(Some(500), Some(200))), [0; 0]);
    assert_eq!(starts(views, between(Some(i64::MIN), Some(i64::MAX))).len(), 6);
    // A position before the time that is asked for does not matter, and one behind it does.
    let first = done(views.events.events(EventsQuery {
        filter: EventFilter::default(),
        after: None,
        limit: 1,
    }));
    let query =
        |from| EventsQuery { filter: between(Some(from), None), after: first.next, limit: 1 };
    let start = |from| done(views.events.events(query(from))).items[0].event.fields.start_time;
    assert_eq!((start(300), start(0)), (at(300), at(200)));
}

pub fn what_is_over_can_be_left_out(views: &Views) {
    put(views, event(1, 0), 1);
    put(views, event(2, 500), 1);
    put(views, in_state(event(3, 800), EventStatus::Ended), 1);
    let at_time = |now| EventFilter { not_ended_at: Some(at(now)), ..Default::default() };
    assert_eq!(starts(views, at_time(999)), [0, 500]);
    assert_eq!(starts(views, at_time(1_000)), [500]);
    assert_eq!(starts(views, at_time(1_500)), [0; 0]);
    assert_eq!(starts(views, EventFilter::default()), [0, 500, 800]);
}

pub fn events_are_found_by_words(views: &Views) {
    put(views, titled(1, 1, "Open Air Jazz", "under the stars"), 1);
    put(views, titled(2, 2, "Rock am Fluss", "Jazz comes later"), 1);
    put(views, titled(3, 3, "東京音楽祭", "—"), 1);
    let words = |words: &str| EventFilter { words: Some(words.to_owned()), ..Default::default() };
    assert_eq!(starts(views, words("JAZZ")), [1, 2]);
    assert_eq!(starts(views, words("ja st")), [1]);
    assert_eq!(starts(views, words("köl rock")), [2]);
    assert_eq!(starts(views, words("azz")), [0; 0]);
    assert_eq!(starts(views, words("音楽")), [3]);
    assert_eq!(starts(views, words("  ")), [1, 2, 3]);
}

pub fn conditions_hold_together(views: &Views) {
    for number in 1..=20 {
        let city = if number % 2 == 0 { "Ulm" } else { "Köln" };
        put(views, in_city(event(number, 100 * number as i64), city), 1);
    }
    let filter = EventFilter {
        city: Some("ULM".to_owned()),
        category: Some("music".to_owned()),
        starts_from: Some(at(400)),
        starts_before: Some(at(1_600)),
        not_ended_at: Some(at(1_900)),
        words: Some("jazz 1".to_owned()),
    };
    assert_eq!(starts(views, filter), [1_000, 1_200, 1_400]);
}

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

pub fn cities_are_told_once_each_in_order(views: &Views) {
    let cities = ["Ulm", "berlin", "BERLIN", "Bern", "Bernau", "Bonn"];
    for (number, city) in (1..).zip(cities) {
        put(views, in_city(event(number, number as i64), city), 1);
    }
    put(views, in_state(in_city(event(9, 9), "Bergen"), EventStatus::Draft), 1);
    let found = |prefix: &str, limit| done(views.events.cities(prefix.to_owned(), limit));
    assert_eq!(found("BE", 10), ["berlin", "Bern", "Bernau"]);
    assert_eq!(found("be", 2), ["berlin", "Bern"]);
    assert_eq!(found("bern", 10), ["Bern", "Bernau"]);
    assert_eq!(found("", 10), ["berlin", "Bern", "Bernau", "Bonn", "Ulm"]);
    assert_eq!(found("x", 10), [""; 0]);
    // The one that starts first goes, and the city with its last event.
    put(views, in_state(in_city(event(2, 2), "berlin"), EventStatus::Canceled), 2);
    put(views, in_state(in_city(event(4, 4), "Bern"), EventStatus::Canceled), 2);
    assert_eq!(found("ber", 10), ["BERLIN", "Bernau"]);
}

pub fn a_filter_that_few_pass_still_comes_to_its_end(views: &Views) {
    let last = SCANNED_ROWS_MAX as u64 + 2;
    let rows = (1..=last).map(|number| {
        let title = if number == last { "needle" } else { "hay" };
        Mutation::new(titled(number, number as i64, title, "-"), WriteTimestamp(1))
    });
    done(views.write.write(rows.collect()));
    let filter = EventFilter { words: Some("needle".to_owned()), ..Default::default() };
    let page =
        |after| done(views.events.events(EventsQuery { filter: filter.clone(), after, limit: 1 }));
    let first = page(None);
    assert_eq!(first.items, []);
    assert!(first.next.is_some(), "a page looks at a bounded number of rows");
    let second = page(first.next);
    assert_eq!(second.items.len(), 1);
    assert_eq!(second.next, None);
}
