//! The lists of trends against a brute-force computation: at every moment the same events in the
//! same order, whatever was joined, left, seen, moved or called off before.

mod full_disk;
mod model;
mod task;
mod world;

use std::collections::BTreeMap;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_processors::trending::{Trending, Verdict};
use cityevents_schemas::message::{Trend, TrendState};

use self::world::{CITIES, Op, Random, World};

/// Moments at which everything is compared.
const MOMENTS: usize = 1_000;
/// Fewer than events, so that some are pushed out.
const SLOTS: usize = 5;

/// What a reader of the topic knows: the last record of each event, and what stands in each slot.
#[derive(Default, Clone)]
struct Readers {
    last: BTreeMap<EventId, Trend>,
    slots: BTreeMap<(String, u32), Option<Trend>>,
}

impl Readers {
    fn take(&mut self, trend: Trend) {
        let places =
            [(trend.city.to_lowercase(), trend.city_slot), (String::new(), trend.overall_slot)];
        for (list, slot) in places {
            if let Some(slot) = slot {
                let is_ranked = trend.state == TrendState::Ranked;
                self.slots.insert((list, slot), is_ranked.then(|| trend.clone()));
            }
        }
        self.last.insert(trend.event, trend);
    }

    /// The events of a list by score, start and id.
    fn list(&self, list: &str) -> Vec<EventId> {
        let mut found: Vec<_> = self
            .slots
            .iter()
            .filter(|((of, _), _)| of == list)
            .filter_map(|(_, trend)| trend.as_ref())
            .map(|trend| (std::cmp::Reverse(trend.score), trend.start_time, trend.event))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(.., event)| event).collect()
    }

    fn ranked(&self) -> impl Iterator<Item = &Trend> {
        self.last.values().filter(|trend| trend.state == TrendState::Ranked)
    }
}

fn advance(state: &mut Trending, readers: &mut Readers, now: Timestamp) -> usize {
    let mut out = Vec::new();
    state.advance(now, &mut out);
    let count = out.len();
    out.into_iter().for_each(|trend| readers.take(trend));
    count
}

fn fold(state: &mut Trending, op: &Op) -> Option<Verdict> {
    let mut signals = Vec::new();
    match op {
        Op::Fact(fact) => {
            state.fold_fact(fact, &mut signals);
            None
        }
        Op::Engagement(engagement, stamp) => {
            // Of any event, at any time, in any state.
            state.warm(std::iter::once(engagement));
            Some(state.fold_engagement(engagement, *stamp, &mut signals))
        }
    }
}

#[test]
fn the_order_is_that_of_a_brute_force_computation_at_a_thousand_moments() {
    let mut random = Random::seeded();
    let mut world = World::default();
    let (mut state, mut readers) = (Trending::with_slots(SLOTS), Readers::default());
    for moment in 0..MOMENTS {
        for op in world.go_on(&mut random) {
            let verdict = fold(&mut state, &op);
            world.model.take(&op, verdict);
        }
        let now = world.now();
        advance(&mut state, &mut readers, now);
        for city in CITIES {
            let expected = world.model.first(Some(city), now, SLOTS);
            assert_eq!(state.first_of(city), expected, "{city} at moment {moment}");
            assert_eq!(readers.list(&city.to_lowercase()), expected, "slots of {city} at {moment}");
        }
        let expected = world.model.first(None, now, SLOTS);
        assert_eq!(state.first(), expected, "all cities at moment {moment}");
        assert_eq!(readers.list(""), expected, "slots of all cities at {moment}");
        for trend in readers.ranked() {
            let figures = world.model.figures(&trend.event, now);
            let told = (trend.joins_24h, trend.joins_7d, trend.views_24h);
            assert_eq!((told, trend.score), figures, "{} at moment {moment}", trend.event);
        }
    }
    assert!(world.model.seen_every_verdict(), "the world is too quiet");
}

#[test]
fn a_restored_state_goes_on_as_if_nothing_had_been_and_publishes_nothing_twice() {
    let mut random = Random::seeded();
    let mut world = World::default();
    let (mut state, mut readers) = (Trending::with_slots(200), Readers::default());
    for _ in 0..150 {
        for op in world.go_on(&mut random) {
            fold(&mut state, &op);
        }
        advance(&mut state, &mut readers, world.now());
        let bytes = state.encode();
        let mut restored = Trending::decode(&bytes).unwrap();
        assert_eq!(restored.encode(), bytes);
        readers.ranked().for_each(|trend| restored.adopt(trend));
        assert_eq!(advance(&mut restored, &mut readers, world.now()), 0, "it is all known");
        state = restored;
    }
    for end in 0..state.encode().len().min(2_000) {
        assert!(Trending::decode(&state.encode()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_replay_and_another_split_over_partitions_come_to_the_same_lists() {
    let mut random = Random::seeded();
    let mut world = World::default();
    let ops: Vec<_> = (0..60).flat_map(|_| world.go_on(&mut random)).collect();
    let now = world.now();
    let lists = |partitions: usize, is_live: bool| {
        let mut all = vec![(Trending::with_slots(200), Readers::default()); partitions];
        for op in &ops {
            let (state, readers) = &mut all[usize::from(op.event().as_bytes()[3]) % partitions];
            fold(state, op);
            if is_live {
                advance(state, readers, op.at());
            }
        }
        let mut together = Readers::default();
        for (number, (state, readers)) in (0..).zip(&mut all) {
            advance(state, readers, now);
            // Slots belong to partitions.
            let slots = readers.slots.iter();
            together.slots.extend(slots.map(|((list, slot), trend)| {
                ((list.clone(), 1_000 * number + slot), trend.clone())
            }));
        }
        ["", CITIES[0], CITIES[1], CITIES[2]].map(|list| together.list(&list.to_lowercase()))
    };
    let live = lists(1, true);
    assert!(!live[0].is_empty());
    assert_eq!(lists(1, false), live, "replayed at once");
    assert_eq!(lists(3, false), live, "over three partitions");
    assert_eq!(lists(7, true), live, "over seven, live");
}

#[test]
fn what_was_published_of_events_that_are_no_more_is_taken_back() {
    let mut random = Random::seeded();
    let mut world = World::default();
    let (mut state, mut readers) = (Trending::with_slots(200), Readers::default());
    for _ in 0..50 {
        for op in world.go_on(&mut random) {
            fold(&mut state, &op);
        }
    }
    advance(&mut state, &mut readers, world.now());
    // As chance has it, hardly anything may be talked about at that moment.
    while readers.ranked().count() <= 3 {
        for op in world.go_on(&mut random) {
            fold(&mut state, &op);
        }
        advance(&mut state, &mut readers, world.now());
    }
    // The state is lost, and the log with it.
    let mut empty = Trending::with_slots(200);
    readers.ranked().for_each(|trend| empty.adopt(trend));
    advance(&mut empty, &mut readers, world.now());
    assert_eq!(readers.ranked().count(), 0);
    assert!(readers.slots.values().all(Option::is_none));
}

#[test]
fn a_clock_that_jumps_back_finds_the_lists_of_then() {
    let mut random = Random::seeded();
    let mut world = World::default();
    let (mut state, mut readers) = (Trending::with_slots(SLOTS), Readers::default());
    for _ in 0..100 {
        for op in world.go_on(&mut random) {
            let verdict = fold(&mut state, &op);
            world.model.take(&op, verdict);
        }
    }
    let now = world.now();
    let week = Timestamp::from_millis(now.as_millis() + 8 * 86_400_000);
    for moment in [now, week, now] {
        advance(&mut state, &mut readers, moment);
        for city in CITIES {
            let expected = world.model.first(Some(city), moment, SLOTS);
            assert_eq!(readers.list(&city.to_lowercase()), expected, "{city}");
        }
    }
}
