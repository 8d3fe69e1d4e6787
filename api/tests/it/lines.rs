//! The waiting lines against plain lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cityevents_api::lines::{Lines, LinesMetrics, LinesOptions};
use cityevents_domain::actor::Actor;
use cityevents_domain::command::CommandKind;
use cityevents_domain::event::{Capacity, EventPatch};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::metrics::RuntimeMetrics;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::facts::{Facts, HOUR_MS, Linked, TOPIC, append, fields, person, user};
use crate::support::flaky::FlakyLog;

const AT_MOST: Duration = Duration::from_secs(60);

pub fn start(facts: &Facts, partitions: u32) -> Lines {
    let options = LinesOptions { topic: TOPIC.into(), partitions };
    let runtime = RuntimeMetrics::unregistered();
    let metrics = LinesMetrics::default();
    Lines::start(&facts.log, &options, &facts.clock(), &runtime, metrics).unwrap()
}

async fn seen(lines: &Lines, linked: &Linked) {
    assert!(lines.wait(linked.partition, linked.offset, AT_MOST).await, "{:?}", lines.problem());
}

/// What the lines must say: the waiting in order, by an outsider's plain list.
fn check(lines: &Lines, facts: &Facts, event: &EventId, plain: &[u32], people: u32) {
    for number in 0..people {
        let expected = plain.iter().position(|waiting| *waiting == number);
        let expected = expected.map(|index| index as u32 + 1);
        assert_eq!(lines.position(event, &user(number)), expected, "person {number}");
    }
    let counters = facts.state(event).open(event).unwrap().counters();
    assert_eq!(lines.counters(event), Some(counters));
    assert_eq!(counters.waiting as usize, plain.len());
}

#[tokio::test]
async fn positions_are_those_of_a_plain_list_while_people_join_leave_and_are_removed() {
    const PEOPLE: u32 = 60;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut facts = Facts::new(3);
    let lines = start(&facts, 3);
    let mut events = BTreeMap::new();
    for number in 0..4 {
        let (event, _) = facts.create(1_000, fields(&format!("Concert {number}"), 3));
        facts.ask(person(1_000), event, CommandKind::Publish).unwrap();
        events.insert(event, (Vec::<u32>::new(), Vec::<u32>::new(), 3_usize));
    }
    for step in 0..1_500 {
        let event = *events.keys().nth(chance.random_range(0..4)).unwrap();
        let (active, waiting, places) = events.get_mut(&event).unwrap();
        let who = chance.random_range(0..PEOPLE);
        let asked = match chance.random_range(0..20) {
            0..=10 => facts.ask(person(who), event, CommandKind::Join),
            11..=16 => facts.ask(person(who), event, CommandKind::Leave),
            17 => {
                let kick = CommandKind::Kick { user: user(who), reason: None };
                facts.ask(person(1_000), event, kick)
            }
            18 => facts.ask(person(1_000), event, CommandKind::Unban { user: user(who) }),
            _ => {
                *places += 1;
                let capacity = Some(Capacity::Limited(*places as u32));
                let patch = EventPatch { capacity, ..EventPatch::default() };
                let update = CommandKind::Update { patch: Box::new(patch), expected_version: None };
                facts.ask(person(1_000), event, update)
            }
        };
        let Ok(linked) = asked else { continue };
        if linked.fact.is_none() {
            continue;
        }
        // The plain list follows the order of commands alone.
        let standing = |number: u32| {
            let state = facts.state(&event).open(&event).unwrap();
            state.registrations().find(&user(number)).map(|(_, entry)| entry.standing())
        };
        let is_living = standing(who).is_some_and(|standing| standing.is_living());
        let stood = active.contains(&who) || waiting.contains(&who);
        if is_living && !stood {
            waiting.push(who);
        } else if !is_living {
            active.retain(|number| *number != who);
            waiting.retain(|number| *number != who);
        }
        while active.len() < *places && !waiting.is_empty() {
            active.push(waiting.remove(0));
        }
        if step % 50 == 0 {
            seen(&lines, &linked).await;
            for (event, (_, waiting, _)) in &events {
                let last = facts.state(event).open(event).unwrap();
                assert_eq!(last.counters().waiting as usize, waiting.len());
            }
            check(&lines, &facts, &event, &events[&event].1, PEOPLE);
        }
    }
}

#[tokio::test]
async fn a_line_that_begins_late_says_the_same_as_one_that_followed() {
    let mut facts = Facts::new(1);
    let early = start(&facts, 1);
    let (event, _) = facts.create(1_000, fields("Concert", 1));
    let mut last = facts.ask(person(1_000), event, CommandKind::Publish).unwrap();
    for number in 0..20 {
        last = facts.ask(person(number), event, CommandKind::Join).unwrap();
    }
    for number in [7, 0, 12] {
        last = facts.ask(person(number), event, CommandKind::Leave).unwrap();
    }
    let late = start(&facts, 1);
    seen(&early, &last).await;
    seen(&late, &last).await;
    for number in 0..20 {
        let position = early.position(&event, &user(number));
        assert_eq!(late.position(&event, &user(number)), position);
    }
    assert_eq!(early.position(&event, &user(19)), Some(16));
    assert_eq!(late.applied(0), Some(last.offset + 1));
    assert_eq!(late.applied(1), None);
    assert_eq!(late.problem(), None);
}

#[tokio::test]
async fn an_event_that_is_over_is_forgotten() {
    let mut facts = Facts::new(1);
    let lines = start(&facts, 1);
    let (ended, _) = facts.create(1_000, fields("Concert", 1));
    facts.ask(person(1_000), ended, CommandKind::Publish).unwrap();
    facts.ask(person(1), ended, CommandKind::Join).unwrap();
    facts.ask(person(2), ended, CommandKind::Join).unwrap();
    let (canceled, _) = facts.create(1_000, fields("Fair", 1));
    let cancel = CommandKind::Cancel { reason: None };
    let last = facts.ask(person(1_000), canceled, cancel).unwrap();
    seen(&lines, &last).await;
    assert_eq!(lines.position(&ended, &user(2)), Some(1));
    assert_eq!(lines.counters(&canceled), None);
    facts.clock.advance(48 * HOUR_MS);
    let deadline = Timestamp::from_millis(facts.clock.now_ms());
    let last =
        facts.ask(Actor::System, ended, CommandKind::Tick { deadline, people_max: 500 }).unwrap();
    seen(&lines, &last).await;
    assert_eq!(lines.position(&ended, &user(2)), None);
    assert_eq!(lines.memory(), Default::default());
}

#[tokio::test]
async fn a_record_that_nothing_links_is_passed_and_one_that_cannot_be_read_stops_the_lines() {
    let mut facts = Facts::new(1);
    let (event, _) = facts.create(1_000, fields("Concert", 1));
    facts.ask(person(1_000), event, CommandKind::Publish).unwrap();
    facts.ask(person(1), event, CommandKind::Join).unwrap();
    append(&mut facts, 0, b"of a zombie", false);
    let last = facts.ask(person(2), event, CommandKind::Join).unwrap();
    let lines = start(&facts, 1);
    seen(&lines, &last).await;
    assert_eq!(lines.position(&event, &user(2)), Some(1));
    assert_eq!(lines.problem(), None);
    append(&mut facts, 0, b"of a newer program", true);
    let behind = facts.ask(person(3), event, CommandKind::Join).unwrap();
    let stopped = async {
        while lines.problem().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AT_MOST, stopped).await.unwrap();
    assert_eq!(lines.applied(0), Some(last.offset + 1));
    assert!(behind.offset > last.offset + 1);
    assert_eq!(lines.position(&event, &user(3)), None);
    assert_eq!(lines.position(&event, &user(2)), Some(1));
    let problem = lines.problem().unwrap();
    assert!(problem.contains("event-facts/0: stopped"), "{problem}");
    assert!(problem.contains("cannot be read"), "{problem}");
}

#[tokio::test]
async fn lines_are_read_anew_after_a_failure_and_show_no_old_position_meanwhile() {
    let mut facts = Facts::new(1);
    let fails_once = Arc::new(AtomicBool::new(false));
    let inner = Arc::clone(&facts.log);
    facts.log = Arc::new(FlakyLog { inner, fails_once: Arc::clone(&fails_once) });
    let lines = start(&facts, 1);
    let mut concert = fields("Concert", 1);
    concert.waitlist_limit = Some(1_000);
    let (event, _) = facts.create(1_000, concert);
    let mut last = facts.ask(person(1_000), event, CommandKind::Publish).unwrap();
    for number in 0..500 {
        last = facts.ask(person(number), event, CommandKind::Join).unwrap();
    }
    for number in 0..100 {
        last = facts.ask(person(number), event, CommandKind::Leave).unwrap();
    }
    seen(&lines, &last).await;
    let mut position = 399;
    assert_eq!(lines.position(&event, &user(499)), Some(position));
    for leaving in 200..203 {
        fails_once.store(true, Ordering::SeqCst);
        let failed = async {
            while fails_once.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(AT_MOST, failed).await.unwrap();
        // Only a reading that began after the failure comes to this fact.
        last = facts.ask(person(leaving), event, CommandKind::Leave).unwrap();
        let mut shown = BTreeSet::new();
        let anew = async {
            while lines.applied(0) <= Some(last.offset) {
                shown.extend(lines.position(&event, &user(499)));
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(AT_MOST, anew).await.unwrap();
        shown.retain(|shown| !(position - 1..=position).contains(shown));
        assert_eq!(shown, BTreeSet::new(), "old positions");
        position -= 1;
        assert_eq!(lines.position(&event, &user(499)), Some(position));
        assert_eq!(lines.problem(), None);
    }
}

#[tokio::test]
async fn a_hundred_thousand_people_see_their_position() {
    const PEOPLE: u32 = 100_000;
    let mut facts = Facts::new(1);
    let mut festival = fields("Festival", 1);
    festival.waitlist_limit = Some(PEOPLE);
    let (event, _) = facts.create(1_000_000, festival);
    let mut last = facts.ask(person(1_000_000), event, CommandKind::Publish).unwrap();
    for number in 0..=PEOPLE {
        last = facts.ask(person(number), event, CommandKind::Join).unwrap();
    }
    let began = Instant::now();
    let lines = Arc::new(start(&facts, 1));
    seen(&lines, &last).await;
    println!("{PEOPLE} joins folded in {:?}", began.elapsed());
    assert_eq!(lines.position(&event, &user(PEOPLE)), Some(PEOPLE));
    let began = Instant::now();
    let last = facts.ask(person(50), event, CommandKind::Leave).unwrap();
    seen(&lines, &last).await;
    assert_eq!(lines.position(&event, &user(PEOPLE)), Some(PEOPLE - 1));
    println!("one gone after {:?}", began.elapsed());
    let began = Instant::now();
    for number in 1..=PEOPLE {
        let gone = u32::from(number > 50);
        let expected = (number != 50).then_some(number - gone);
        assert_eq!(lines.position(&event, &user(number)), expected);
    }
    println!("{PEOPLE} positions in {:?}", began.elapsed());
    let memory = lines.memory();
    println!("{} bytes for {} people", memory.line_bytes, memory.waiting);
    assert_eq!(memory.waiting, u64::from(PEOPLE - 1));
}
