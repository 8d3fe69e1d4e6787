//! The order of relevance.

use std::collections::BTreeSet;

use cityevents_api::index::IndexPlace;
use cityevents_domain::event::EventStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Asked, BY_RELEVANCE, By, Shelf, event};

#[tokio::test]
async fn what_fits_better_comes_first_and_equals_by_start() {
    let shelf = Shelf::new(IndexPlace::Memory).await;
    let mut mention = event(1, "Evening", 1);
    mention.fields.description = "With some jazz, and much else that is said at length".into();
    let later = event(2, "Jazz night", 9);
    let sooner = event(3, "Jazz night", 3);
    let beginning = event(4, "Jazzercise class", 2);
    let other = event(5, "Poetry", 2);
    shelf.put(&[mention, later, sooner.clone(), beginning, other]).await;
    let found = shelf.titles("jazz", BY_RELEVANCE).await;
    assert_eq!(found, ["Jazz night", "Jazz night", "Jazzercise class", "Evening"]);
    let asked = Asked { typed: Some("jazz".into()), by: By::Relevance, ..Asked::default() };
    assert_eq!(shelf.walk(&asked, 1).await[0], sooner.id);
    // Of two words, the one that few have tells more.
    let mut common: Vec<_> = (10..40).map(|number| event(number, "Open air", 4)).collect();
    common.push(event(40, "Open theremin", 5));
    shelf.put(&common).await;
    let found = shelf.titles("open", BY_RELEVANCE).await;
    assert_eq!(found.len(), 31);
}

#[tokio::test]
async fn very_many_equals_come_by_start_and_id() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let shelf = Shelf::new(IndexPlace::Memory).await;
    // Several commits, and so several segments, that lie across each other.
    let mut all = Vec::new();
    for part in 0..4 {
        let numbers = part * 400..(part + 1) * 400;
        let made: Vec<_> =
            numbers.map(|number| event(number, "Jazz night", chance.random_range(1..9))).collect();
        shelf.put(&made).await;
        all.extend(made);
    }
    all.sort_by_key(|event| (event.fields.start_time, event.id));
    let expected: Vec<_> = all.iter().map(|event| event.id).collect();
    let asked = Asked { typed: Some("jazz".into()), by: By::Relevance, ..Asked::default() };
    for limit in [7, 100, 1_600] {
        assert_eq!(shelf.walk(&asked, limit).await, expected, "{limit} at once");
    }
}

#[tokio::test]
async fn a_walk_by_relevance_shows_what_stays_exactly_once_while_statistics_move() {
    const WORDS: [&str; 8] =
        ["jazz", "jazz jazz", "rock", "open air", "night", "音楽", "音楽祭の夜", "summer"];
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    for typed in ["jazz", "n", "音楽", "jazz 音楽"] {
        let shelf = Shelf::new(IndexPlace::Memory).await;
        let mut number = 0;
        let mut make = |chance: &mut StdRng| {
            number += 1;
            let words: Vec<_> =
                (0..chance.random_range(2..9)).map(|_| WORDS[chance.random_range(0..8)]).collect();
            let mut made = event(number, &format!("{typed} {}", words.join(" ")), 1);
            made.fields.description = "night ".repeat(chance.random_range(0..6));
            made
        };
        let mut living: Vec<_> = (0..60).map(|_| make(&mut chance)).collect();
        shelf.put(&living).await;
        let mut stays: BTreeSet<_> = living.iter().map(|event| event.id).collect();
        let asked = Asked { typed: Some(typed.into()), by: By::Relevance, ..Asked::default() };
        let (mut seen, mut next) = (Vec::new(), None);
        loop {
            let limit = chance.random_range(1..8);
            let found = shelf.page(&asked, next.as_ref(), limit).await;
            seen.extend(found.events.iter().map(|event| event.id));
            next = found.next;
            if next.is_none() {
                break;
            }
            // Many more that are alike make the words common; some go.
            let mut changes: Vec<_> =
                (0..chance.random_range(1..12)).map(|_| make(&mut chance)).collect();
            let mut gone = living.swap_remove(chance.random_range(0..living.len()));
            stays.remove(&gone.id);
            gone.status = EventStatus::Canceled;
            changes.push(gone);
            shelf.put(&changes).await;
        }
        for id in &stays {
            let times = seen.iter().filter(|seen| *seen == id).count();
            assert_eq!(times, 1, "{typed}: {id}");
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "{typed}: nothing comes twice");
    }
}
