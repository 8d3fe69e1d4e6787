//! Walks from page to page while events come, go and change.

use std::collections::BTreeSet;

use cityevents_api::index::{Filter, IndexPlace};
use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::time::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Asked, By, Shelf, event};
use crate::support::facts::{HOUR_MS, NOW_MS};

/// One more that every list shows.
fn make(chance: &mut StdRng, number: u32) -> Event {
    // Many start, and many were published, at the same moment.
    let mut made = event(number, "Jazz 音楽", chance.random_range(1..6));
    let at = NOW_MS - chance.random_range(1..6) * HOUR_MS;
    made.published_at = Some(Timestamp::from_millis(at));
    made
}

#[tokio::test]
async fn what_stays_is_seen_once_and_what_comes_and_goes_never_twice() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let narrow = Filter { city: Some("porto".into()), ..Filter::default() };
    for by in [By::Start, By::Publication] {
        for typed in [None, Some("ja 音".to_owned())] {
            for filter in [Filter::default(), narrow.clone()] {
                let asked = Asked { filter, typed: typed.clone(), by };
                walk_among_changes(&mut chance, &asked).await;
            }
        }
    }
}

async fn walk_among_changes(chance: &mut StdRng, asked: &Asked) {
    let shelf = Shelf::new(IndexPlace::Memory).await;
    let mut number = 50;
    let mut living: Vec<_> = (0..number).map(|number| make(chance, number)).collect();
    shelf.put(&living).await;
    let mut stays: BTreeSet<_> = living.iter().map(|event| event.id).collect();
    let (mut seen, mut next) = (Vec::new(), None);
    loop {
        let found = shelf.page(asked, next.as_ref(), chance.random_range(1..7)).await;
        seen.extend(found.events.iter().map(|event| event.id));
        next = found.next;
        if next.is_none() {
            break;
        }
        let mut changes = Vec::new();
        for _ in 0..chance.random_range(1..4) {
            number += 1;
            changes.push(make(chance, number));
        }
        if living.len() < 10 {
            shelf.put(&changes).await;
            continue;
        }
        // One is called off, one gets another text, one is taken out of the topic.
        let mut gone = living.swap_remove(chance.random_range(0..living.len()));
        stays.remove(&gone.id);
        gone.status = EventStatus::Canceled;
        changes.push(gone);
        let changed = chance.random_range(0..living.len());
        living[changed].fields.description = format!("Now with {number}");
        living[changed].version += 1;
        changes.push(living[changed].clone());
        shelf.put(&changes).await;
        let deleted = living.swap_remove(chance.random_range(0..living.len()));
        stays.remove(&deleted.id);
        shelf.delete(&deleted.id).await;
    }
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "{asked:?}: nothing comes twice");
    assert!(stays.is_subset(&distinct), "{asked:?}: nothing is missing that stayed");
    assert!(!stays.is_empty());
}
