//! The index against plain filters over all events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cityevents_api::index::{Filter, IndexPlace};
use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::{Millis, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Asked, By, Shelf, event};
use crate::support::facts::{HOUR_MS, NOW_MS};

const CITIES: [&str; 4] = ["Porto", "PORTO", "Lisboa", "São Paulo"];
const CATEGORIES: [&str; 3] = ["music", "Music", "theatre"];
const WORDS: [&str; 10] =
    ["jazz", "Jazzfest", "rock", "night", "Nights", "open", "北京音乐", "音乐节", "北京", "Été"];
const TYPED: [&str; 12] = [
    "j",
    "jazz",
    "jazzf",
    "NIGHT",
    "ro op",
    "音乐",
    "京音",
    "北京 jazz",
    "ete",
    "xyz",
    "po",
    "乐节",
];

#[tokio::test]
async fn lists_and_searches_are_those_of_plain_filters_whatever_happens() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::new(IndexPlace::Folder(folder.path().to_owned())).await;
    let mut plain: BTreeMap<EventId, Event> = BTreeMap::new();
    for round in 0..30 {
        let mut changes = Vec::new();
        for _ in 0..chance.random_range(1..12) {
            let number = chance.random_range(0..90);
            let known = plain.get(&super::id(number)).cloned();
            let changed = change(&mut chance, number, known);
            plain.insert(changed.id, changed.clone());
            changes.push(changed);
        }
        shelf.put(&changes).await;
        if chance.random_bool(0.2)
            && let Some(id) = plain.keys().nth(chance.random_range(0..plain.len())).copied()
        {
            plain.remove(&id);
            shelf.delete(&id).await;
        }
        if round % 10 == 9 {
            shelf.restart().await;
            assert_eq!(shelf.counted("index_rebuilds"), 0);
        }
        for _ in 0..20 {
            check(&shelf, &plain, &asked(&mut chance), chance.random_range(1..20)).await;
        }
        let listed = plain.values().filter(|event| is_listed(event)).count();
        assert_eq!(shelf.index().len(), listed);
    }
    // And so it is when all of it is built from the topic.
    shelf.place = IndexPlace::Memory;
    shelf.restart().await;
    for _ in 0..100 {
        check(&shelf, &plain, &asked(&mut chance), chance.random_range(1..20)).await;
    }
}

/// Makes, changes, publishes, unpublishes, cancels or ends an event.
fn change(chance: &mut StdRng, number: u32, known: Option<Event>) -> Event {
    let is_new = known.is_none();
    let mut changed = known.unwrap_or_else(|| event(number, "", 1));
    if is_new || chance.random_bool(0.6) {
        let words = |chance: &mut StdRng, most: usize| {
            let words: Vec<_> = (0..chance.random_range(1..most))
                .map(|_| WORDS[chance.random_range(0..WORDS.len())])
                .collect();
            words.join(" ")
        };
        let fields = &mut changed.fields;
        fields.title = words(chance, 4);
        fields.description = words(chance, 6);
        fields.city = CITIES[chance.random_range(0..CITIES.len())].into();
        fields.category = CATEGORIES[chance.random_range(0..CATEGORIES.len())].into();
        fields.start_time = Timestamp::from_millis(NOW_MS + chance.random_range(-9..9) * HOUR_MS);
        fields.end_time = fields.start_time + Millis::hours(chance.random_range(1..6));
    }
    changed.status = match chance.random_range(0..10) {
        0 => EventStatus::Draft,
        1 => EventStatus::Canceled,
        2 => EventStatus::Ended,
        _ => EventStatus::Published,
    };
    if is_new || chance.random_bool(0.3) {
        let at = Timestamp::from_millis(NOW_MS + chance.random_range(-5..5) * HOUR_MS);
        changed.published_at = Some(at);
    }
    changed.version += 1;
    changed
}

fn asked(chance: &mut StdRng) -> Asked {
    let hours = |chance: &mut StdRng| {
        let at = Timestamp::from_millis(NOW_MS + chance.random_range(-10..10) * HOUR_MS);
        chance.random_bool(0.3).then_some(at)
    };
    let name = |chance: &mut StdRng, names: &[&str]| {
        let name = names[chance.random_range(0..names.len())];
        chance.random_bool(0.4).then(|| name.to_lowercase())
    };
    let filter = Filter {
        city: name(chance, &["porto", "LISBOA", "São Paulo", "Sao Paulo", "Nowhere"]),
        category: name(chance, &CATEGORIES),
        starts_from: hours(chance),
        starts_before: hours(chance),
        not_ended_at: chance.random_bool(0.5).then_some(Timestamp::from_millis(NOW_MS)),
    };
    let typed = TYPED[chance.random_range(0..TYPED.len())];
    let typed = chance.random_bool(0.6).then(|| typed.to_owned());
    let by = [By::Start, By::Publication, By::Relevance][chance.random_range(0..3)];
    Asked { filter, typed, by }
}

async fn check(shelf: &Shelf, plain: &BTreeMap<EventId, Event>, asked: &Asked, limit: usize) {
    let mut expected: Vec<_> = plain.values().filter(|event| shows(asked, event)).collect();
    match asked.by {
        By::Publication => {
            expected.retain(|event| event.status == EventStatus::Published);
            expected.sort_by_key(|event| (Reverse(event.published_at), event.id));
        }
        By::Start | By::Relevance => {
            expected.sort_by_key(|event| (event.fields.start_time, event.id));
        }
    }
    let expected: Vec<EventId> = expected.into_iter().map(|event| event.id).collect();
    let found = shelf.walk(asked, limit).await;
    if asked.by == By::Relevance && asked.typed.is_some() {
        let (found, expected): (BTreeSet<_>, BTreeSet<_>) =
            (found.iter().collect(), expected.iter().collect());
        assert_eq!(found, expected, "{asked:?}");
    } else {
        assert_eq!(found, expected, "{asked:?}");
    }
    assert_eq!(found.len(), expected.len(), "{asked:?}: nothing comes twice");
}

fn is_listed(event: &Event) -> bool {
    matches!(event.status, EventStatus::Published | EventStatus::Ended)
}

fn shows(asked: &Asked, event: &Event) -> bool {
    let (fields, filter) = (&event.fields, &asked.filter);
    let same = |wanted: &Option<String>, name: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase() == name.to_lowercase())
    };
    is_listed(event)
        && same(&filter.city, &fields.city)
        && same(&filter.category, &fields.category)
        && filter.starts_from.is_none_or(|from| fields.start_time >= from)
        && filter.starts_before.is_none_or(|before| fields.start_time < before)
        && filter
            .not_ended_at
            .is_none_or(|now| event.status == EventStatus::Published && fields.end_time > now)
        && asked.typed.as_ref().is_none_or(|typed| has_all(typed, event))
}

fn has_all(typed: &str, event: &Event) -> bool {
    let plainly = |text: &str| text.to_lowercase().replace('é', "e").replace('ã', "a");
    let fields = &event.fields;
    let texts = [&fields.title, &fields.description, &fields.city].map(|text| plainly(text));
    plainly(typed).split(' ').all(|wanted| {
        texts.iter().flat_map(|text| text.split(' ')).any(|word| match wanted.is_ascii() {
            true => word.starts_with(wanted),
            false => word.contains(wanted),
        })
    })
}
