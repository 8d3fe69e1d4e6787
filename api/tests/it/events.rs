//! Events and their lists.

use std::collections::BTreeSet;

use cityevents_domain::command::CommandKind;
use cityevents_domain::event::{EventFields, EventPatch};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::{Millis, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::support::facts::{HOUR_MS, NOW_MS, fields};
use crate::support::world::{OWNER, Who, World, each};

fn starting(title: &str, in_hours: i64) -> EventFields {
    let start_time = Timestamp::from_millis(NOW_MS + in_hours * HOUR_MS);
    EventFields { start_time, end_time: start_time + Millis::hours(2), ..fields(title, 5) }
}

#[tokio::test]
async fn an_event_is_shown_as_an_object_with_its_version_as_etag() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    world.ask(1, event, CommandKind::Join).await.unwrap();
    world.ask(2, event, CommandKind::Join).await.unwrap();
    let answered = world.get(Who::Nobody, &format!("/api/events/{event}")).await;
    assert_eq!(answered.headers["etag"], "\"2\"");
    let body = answered.body;
    assert_eq!(body["id"], event.to_string());
    assert_eq!(body["description"], "About Concert");
    assert_eq!(body["active_participants"], 1);
    assert_eq!(body["waitlist_count"], 1);
    assert_eq!(body["status"], "published");
    assert_eq!(body["joinable"], true);
    assert_eq!(body["start_time"], "2027-01-16T08:00:00.000Z");
    let card = world.body(Who::Nobody, "/api/events").await["items"][0].clone();
    let mut expected = body.clone();
    expected.as_object_mut().unwrap().remove("description");
    assert_eq!(card, expected);
}

#[tokio::test]
async fn a_draft_that_was_never_public_exists_for_owner_and_staff_only() {
    let mut world = World::new();
    let event = world.create(OWNER, fields("Concert", 1)).await;
    for path in ["", "/view"] {
        let uri = format!("/api/events/{event}{path}");
        let not_found = (404, "event_not_found".to_owned());
        assert_eq!(world.code(Who::Nobody, &uri).await, not_found);
        assert_eq!(world.code(Who::Person(1), &uri).await, not_found);
        assert_eq!(world.code(Who::Person(OWNER), &uri).await.0, 200);
        assert_eq!(world.code(Who::Staff, &uri).await.0, 200);
    }
    assert_eq!(world.body(Who::Staff, "/api/events").await["items"], json!([]));
    world.ask(OWNER, event, CommandKind::Publish).await.unwrap();
    world.ask(OWNER, event, CommandKind::Unpublish { reason: None }).await.unwrap();
    // It was public once: who has its address sees that it is not now.
    let body = world.body(Who::Nobody, &format!("/api/events/{event}")).await;
    assert_eq!(body["status"], "draft");
    assert_eq!(world.body(Who::Nobody, "/api/events").await["items"], json!([]));
}

#[tokio::test]
async fn the_list_goes_by_start_and_every_filter_holds() {
    let mut world = World::new();
    let blues = EventFields { category: "Blues".into(), ..starting("Night blues", 30) };
    let lisbon = EventFields { city: "Lisboa".into(), ..starting("Fado", 10) };
    let canceled = world.publish(OWNER, starting("Called off", 5)).await;
    world.ask(OWNER, canceled, CommandKind::Cancel { reason: None }).await.unwrap();
    for fields in [blues, starting("Jazz brunch", 20), lisbon, starting("音楽祭", 40)] {
        world.publish(OWNER, fields).await;
    }
    world.searched().await;
    world.facts.clock.advance(13 * HOUR_MS);
    let at = |hours: i64| {
        let at = NOW_MS + hours * HOUR_MS;
        cityevents_kit::event_body::WireTime(Timestamp::from_millis(at)).to_string()
    };
    let all = vec!["Fado", "Jazz brunch", "Night blues", "音楽祭"];
    for (query, expected) in [
        (String::new(), all.clone()),
        ("?exclude_expired=false&sort=time&city=&q=".into(), all.clone()),
        ("?exclude_expired=true".into(), all[1..].to_vec()),
        ("?city=lisboa".into(), vec!["Fado"]),
        ("?city=PORTO&category=bLUES".into(), vec!["Night blues"]),
        ("?q=bru".into(), vec!["Jazz brunch"]),
        ("?q=%E6%A5%BD".into(), vec!["音楽祭"]),
        ("?q=nothing+like+it".into(), vec![]),
        ("?sort=relevance&q=NIGHT+port".into(), vec!["Night blues"]),
        ("?sort=relevance".into(), all.clone()),
        ("?q=--".into(), all.clone()),
        (format!("?from={}", at(20)), all[1..].to_vec()),
        (format!("?to={}", at(20)), vec!["Fado"]),
        (format!("?from={}&to={}", at(20), at(40)), all[1..3].to_vec()),
    ] {
        let body = world.body(Who::Nobody, &format!("/api/events{query}")).await;
        assert_eq!(each(&body, "title"), expected, "{query}");
        assert_eq!(body["has_more"], false, "{query}");
    }
    let feed = world.body(Who::Nobody, "/api/feed").await;
    assert_eq!(each(&feed, "title"), all[1..].to_vec());
    let cities = world.body(Who::Nobody, "/api/meta/cities?q=LI").await;
    assert_eq!(cities, json!({"data": ["Lisboa"]}));
}

#[tokio::test]
async fn a_walk_shows_what_stays_exactly_once_while_events_come_and_go() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let mut public: Vec<EventId> = Vec::new();
    for number in 0..80 {
        let fields = starting(&format!("Event {number}"), chance.random_range(1..30));
        public.push(world.publish(OWNER, fields).await);
    }
    let mut stays: BTreeSet<EventId> = public.iter().copied().collect();
    let mut seen: Vec<EventId> = Vec::new();
    let mut cursor = None;
    loop {
        let limit = chance.random_range(1..9);
        let cursor_part = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let uri = format!("/api/events?limit={limit}{cursor_part}");
        let body = world.body(Who::Nobody, &uri).await;
        let ids = each(&body, "id");
        assert!(ids.len() <= limit);
        seen.extend(ids.iter().map(|id| id.parse::<EventId>().unwrap()));
        assert_eq!(body["has_more"], body["next_cursor"].is_string());
        // A page that is not the last one is full.
        assert!(ids.len() == limit || body["has_more"] == false);
        cursor = body["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        let gone = public.swap_remove(chance.random_range(0..public.len()));
        stays.remove(&gone);
        world.ask(OWNER, gone, CommandKind::Unpublish { reason: None }).await.unwrap();
        let moved = public[chance.random_range(0..public.len())];
        stays.remove(&moved);
        let start = Timestamp::from_millis(NOW_MS + chance.random_range(1..30) * HOUR_MS);
        let (start_time, end_time) = (Some(start), Some(start + Millis::hours(1)));
        let patch = EventPatch { start_time, end_time, ..EventPatch::default() };
        let update = CommandKind::Update { patch: Box::new(patch), expected_version: None };
        world.ask(OWNER, moved, update).await.unwrap();
        world.publish(OWNER, starting("New", chance.random_range(1..30))).await;
    }
    for id in &stays {
        let times = seen.iter().filter(|seen| *seen == id).count();
        assert_eq!(times, 1, "{id}");
    }
}

#[tokio::test]
async fn a_cursor_opens_for_its_list_its_filters_and_its_person_only() {
    let mut world = World::new();
    for number in 0..4 {
        let event = world.publish(OWNER, starting("Fair", number + 1)).await;
        world.ask(1, event, CommandKind::Join).await.unwrap();
        world.ask(2, event, CommandKind::Join).await.unwrap();
    }
    let me = Who::Person(1);
    let cursor_of = async |uri: &str| {
        let body = world.body(me, uri).await;
        body["next_cursor"].as_str().unwrap().to_owned()
    };
    let events = cursor_of("/api/events?limit=2&city=Porto").await;
    let joins = cursor_of("/api/me/joins?limit=2").await;
    let refused = (400, "validation_failed".to_owned());
    let changed = format!("{}A{}", &events[..20], &events[21..]);
    let changed =
        if changed == events { format!("{}B{}", &events[..20], &events[21..]) } else { changed };
    for (who, uri) in [
        (me, format!("/api/events?city=Lisboa&cursor={events}")),
        (me, format!("/api/events?cursor={events}")),
        (me, format!("/api/feed?city=Porto&cursor={events}")),
        (me, format!("/api/events?city=Porto&cursor={changed}")),
        (me, format!("/api/events?city=Porto&cursor={}", &events[..30])),
        (me, format!("/api/me/joins?cursor={events}")),
        (me, format!("/api/me/events?cursor={joins}")),
        (Who::Person(2), format!("/api/me/joins?cursor={joins}")),
    ] {
        assert_eq!(world.code(who, &uri).await, refused, "{uri}");
    }
    let body = world.body(me, &format!("/api/events?city=Porto&cursor={events}&limit=1")).await;
    assert_eq!(each(&body, "title").len(), 1);
    let body = world.body(me, &format!("/api/me/joins?cursor={joins}")).await;
    assert_eq!(each(&body, "title").len(), 2);
}
