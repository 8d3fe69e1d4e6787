//! What is talked about, and what people like.

use cityevents_domain::time::Timestamp;

use super::build::{at, event_id};
use super::{done, put};
use crate::tables::EXPIRY_SLACK_MS;
use crate::text::fold;
use crate::{ProfileRow, ProfileSignal, TrendEntry, TrendRow, Views};

const DAY_MS: i64 = 86_400_000;

/// A slot with an event in it.
pub fn taken(list: &str, partition: u32, slot: u32, event: u64) -> TrendRow {
    let entry = Some(TrendEntry {
        event: event_id(event),
        category: "music".to_owned(),
        start_time: at(100),
        end_time: at(200),
        score: 20_500_000 + event,
        joins_24h: 1,
        joins_7d: 300,
        views_24h: 2,
        updated_at: at(50),
    });
    TrendRow { list: fold(list), partition, slot, entry }
}

/// What somebody did until a moment.
pub fn profile(person: u8, until_ms: i64) -> ProfileRow {
    let signal = |number: u8| ProfileSignal {
        at: at(until_ms - i64::from(number)),
        is_join: number.is_multiple_of(2),
        event: [number; 8],
        category: format!("category {number}"),
    };
    ProfileRow {
        person: [person; 16],
        signals: (0..3).map(signal).rev().collect(),
        at: at(until_ms),
        expires_at: at(until_ms + DAY_MS),
    }
}

fn events(views: &Views, city: Option<&str>) -> Vec<u64> {
    let entries = done(views.trends.trends(city.map(str::to_owned)));
    let mut events: Vec<_> = entries
        .into_iter()
        .map(|entry| (0..100).find(|number| event_id(*number) == entry.event).unwrap())
        .collect();
    events.sort_unstable();
    events
}

pub fn a_list_is_what_stands_in_its_slots(views: &Views) {
    assert!(events(views, Some("Bern")).is_empty());
    for (partition, slot, event) in [(0, 0, 1), (0, 1, 2), (7, 0, 3), (u32::MAX, 199, 4)] {
        put(views, taken("Bern", partition, slot, event), 5);
    }
    assert_eq!(events(views, Some("Bern")), [1, 2, 3, 4]);
    let row = taken("Bern", 0, 1, 2);
    let found = done(views.trends.trends(Some("Bern".to_owned())));
    assert!(found.contains(&row.entry.unwrap()));
}

pub fn a_slot_has_what_was_written_last_and_may_be_empty(views: &Views) {
    put(views, taken("Bern", 1, 4, 1), 10);
    put(views, taken("Bern", 1, 4, 2), 12);
    put(views, taken("Bern", 1, 4, 3), 11);
    assert_eq!(events(views, Some("Bern")), [2]);
    put(views, TrendRow { entry: None, ..taken("Bern", 1, 4, 0) }, 13);
    assert!(events(views, Some("Bern")).is_empty());
    put(views, taken("Bern", 1, 4, 4), 14);
    assert_eq!(events(views, Some("Bern")), [4]);
}

pub fn lists_are_of_one_city_but_for_case_or_of_all(views: &Views) {
    put(views, taken("Łódź", 0, 0, 1), 1);
    put(views, taken("Łódź Nowa", 0, 0, 2), 1);
    put(views, taken("", 0, 0, 3), 1);
    assert_eq!(events(views, Some("łÓDŹ")), [1]);
    assert_eq!(events(views, None), [3]);
    assert!(events(views, Some("Lodz")).is_empty());
}

pub fn a_profile_reads_back_until_it_expires(views: &Views) {
    let found = |person: u8, now: Timestamp| done(views.profiles.profile([person; 16], now));
    assert_eq!(found(1, at(0)), None);
    put(views, profile(1, 1_000), 1);
    assert_eq!(found(1, at(1_000)), Some(profile(1, 1_000)));
    assert_eq!(found(2, at(1_000)), None);
    assert_eq!(found(1, at(1_000 + DAY_MS)), None);
    // Others go on, long after.
    put(views, profile(2, 1_000 + DAY_MS + EXPIRY_SLACK_MS), 2);
    assert_eq!(found(1, at(999 + DAY_MS)), Some(profile(1, 1_000)));
}

pub fn a_late_write_of_a_profile_changes_nothing(views: &Views) {
    put(views, profile(1, 2_000), 7);
    put(views, profile(1, 1_000), 6);
    assert_eq!(done(views.profiles.profile([1; 16], at(0))), Some(profile(1, 2_000)));
}
