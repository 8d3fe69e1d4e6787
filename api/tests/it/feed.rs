//! The feed: what is talked about, by taste, and what was published last.

use std::collections::BTreeSet;

use axum::http::header::COOKIE;
use cityevents_domain::command::CommandKind;
use cityevents_domain::event::{EventFields, EventPatch};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_views::text::fold;
use cityevents_views::{Mutation, ProfileRow, ProfileSignal, TrendEntry, TrendRow, WriteTimestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::facts::{HOUR_MS, NOW_MS, fields, user};
use crate::support::world::{OWNER, Who, World, each};

const FEED: &str = "/api/feed/recommended";

fn event(title: &str, city: &str, category: &str) -> EventFields {
    let start_time = Timestamp::from_millis(NOW_MS + 50 * HOUR_MS);
    EventFields {
        start_time,
        end_time: start_time + Millis::hours(2),
        city: city.to_owned(),
        category: category.to_owned(),
        ..fields(title, 5)
    }
}

/// Puts events into slots as the topology would, and lets the second pass for which lists are kept.
async fn rank(world: &World, written: u64, city: &str, trends: &[(EventId, &str, u64)]) {
    let mut mutations = Vec::new();
    for list in [fold(city), String::new()] {
        for (slot, (event, category, score)) in (0..).zip(trends) {
            let start_time = Timestamp::from_millis(NOW_MS + 50 * HOUR_MS);
            let entry = Some(TrendEntry {
                event: *event,
                category: (*category).to_owned(),
                start_time,
                end_time: start_time + Millis::hours(2),
                score: *score,
                joins_24h: 1,
                joins_7d: 2,
                views_24h: 3,
                updated_at: world.now(),
            });
            let row = TrendRow { list: list.clone(), partition: 0, slot, entry };
            mutations.push(Mutation::new(row, WriteTimestamp(written)));
        }
    }
    world.write(mutations).await;
    world.facts.clock.advance(1_000);
}

async fn like(world: &World, person: [u8; 16], categories: &[&str]) {
    let signal = |category: &&str| ProfileSignal {
        at: world.now(),
        is_join: true,
        event: [1; 8],
        category: (*category).to_owned(),
    };
    let row = ProfileRow {
        person,
        signals: categories.iter().map(signal).collect(),
        at: world.now(),
        expires_at: world.now() + Millis::hours(24),
    };
    world.write(vec![Mutation::new(row, WriteTimestamp(1))]).await;
}

fn titles(body: &Value) -> Vec<&str> {
    each(body, "title")
}

#[tokio::test]
async fn what_is_talked_about_comes_first_with_its_score_and_on_request_the_reason() {
    let mut world = World::new();
    let quiet = world.publish(OWNER, event("Quiet", "Łódź", "film")).await;
    let loud = world.publish(OWNER, event("Loud", "Łódź", "Music")).await;
    let score = 4_000_000 + 4_000_000 + 1_500_000 + 1_000_000;
    rank(&world, 1, "Łódź", &[(quiet, "film", 1_000_000), (loud, "Music", score)]).await;
    let body = world.body(Who::Nobody, &format!("{FEED}?city=%C5%81%C3%93D%C5%B9")).await;
    assert_eq!(body["feed_type"], "trending");
    assert_eq!(titles(&body), ["Loud", "Quiet"]);
    let first = &body["items"][0];
    assert_eq!((&first["trend_score"], &first["tags"]), (&json!(10.5), &json!(["Music"])));
    assert_eq!(first["id"], loud.to_string());
    assert!(first.get("why").is_none() && first.get("description").is_none());
    let body = world.body(Who::Nobody, &format!("{FEED}?type=trending&why=true")).await;
    let parts = json!({"joins_24h": 4.0, "joins_7d": 4.0, "views_24h": 1.5, "nearness": 1.0});
    let why = &body["items"][0]["why"];
    assert_eq!(why["parts"], parts);
    assert_eq!((&why["joins_7d"], &why["days_until_start"]), (&json!(2), &json!(2)));
    for (filter, expected) in [
        ("category=MUSIC", vec!["Loud"]),
        ("q=qui", vec!["Quiet"]),
        ("city=Porto", vec![]),
        ("type=trending&limit=1", vec!["Loud"]),
    ] {
        let body = world.body(Who::Nobody, &format!("{FEED}?{filter}")).await;
        assert_eq!(titles(&body), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_slot_that_is_behind_its_event_shows_nothing_that_is_not_so() {
    let mut world = World::new();
    let stays = world.publish(OWNER, event("Stays", "Bern", "film")).await;
    let canceled = world.publish(OWNER, event("Canceled", "Bern", "film")).await;
    let moved = world.publish(OWNER, event("Moved", "Bern", "film")).await;
    let draft = world.create(OWNER, event("Draft", "Bern", "film")).await;
    let gone = EventId::from_bytes([9; 16]);
    let trends = [(canceled, "film", 9), (moved, "film", 8), (draft, "film", 7), (gone, "film", 6)];
    rank(&world, 1, "Bern", &[&trends[..], &[(stays, "film", 5)]].concat()).await;
    world.ask(OWNER, canceled, CommandKind::Cancel { reason: None }).await.unwrap();
    let patch = Box::new(EventPatch { city: Some("Basel".into()), ..EventPatch::default() });
    let update = CommandKind::Update { patch, expected_version: None };
    world.ask(OWNER, moved, update).await.unwrap();
    let body = world.body(Who::Nobody, &format!("{FEED}?city=bern&limit=1")).await;
    assert_eq!((titles(&body), &body["has_more"]), (vec!["Stays"], &json!(false)));
    let ended = world.now() + Millis::hours(53);
    world.facts.clock.set(ended.as_millis());
    let body = world.body(Who::Nobody, &format!("{FEED}?city=bern")).await;
    assert_eq!(body["items"], json!([]));
}

#[tokio::test]
async fn a_page_that_everybody_gets_is_written_once_a_second_and_never_shows_what_was_called_off() {
    let mut world = World::new();
    let film = world.publish(OWNER, event("Film", "Bern", "film")).await;
    let song = world.publish(OWNER, event("Song", "Bern", "music")).await;
    let trends = [(film, "film", 9), (song, "music", 8)];
    rank(&world, 1, "Bern", &trends).await;
    let page = format!("{FEED}?city=bern");
    let joined = async |world: &World| {
        let body = world.body(Who::Nobody, &page).await;
        body["items"][0]["active_participants"].as_u64().unwrap()
    };
    assert_eq!(joined(&world).await, 0);
    world.ask(5, film, CommandKind::Join).await.unwrap();
    world.facts.clock.advance(1_000);
    assert_eq!(joined(&world).await, 1);
    // What somebody likes is nobody else's page, and the other way round.
    like(&world, *user(3).as_bytes(), &["music"]).await;
    let own = world.body(Who::Person(3), &page).await;
    assert_eq!((titles(&own), &own["feed_type"]), (vec!["Song", "Film"], &json!("personalized")));
    assert_eq!(titles(&world.body(Who::Nobody, &page).await), ["Film", "Song"]);
    world.ask(OWNER, film, CommandKind::Cancel { reason: None }).await.unwrap();
    assert_eq!(titles(&world.body(Who::Nobody, &page).await), ["Song"], "the second is the same");
    assert_eq!(titles(&world.body(Who::Person(3), &page).await), ["Song"]);
}

#[tokio::test]
async fn walking_the_pages_while_trends_change_shows_nothing_twice_and_misses_nothing() {
    let seed = std::env::var("FEED_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("FEED_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let mut events = Vec::new();
    for number in 0..25 {
        let category = ["music", "film", "sport"][number % 3];
        let made = world.publish(OWNER, event(&format!("{number}"), "Bern", category)).await;
        events.push((made, category, 0));
    }
    like(&world, [5; 16], &["music"]).await;
    like(&world, *user(7).as_bytes(), &["music", "music", "film"]).await;
    let mut written = 1;
    for (kind, who) in
        [("trending", Who::Nobody), ("personalized", Who::Person(7)), ("latest", Who::Nobody)]
    {
        let (mut shown, mut cursor) = (Vec::new(), String::new());
        loop {
            for (.., score) in &mut events {
                *score = random.random_range(1..50_u64);
            }
            rank(&world, written, "Bern", &events).await;
            written += 1;
            let limit = random.random_range(1..6);
            let uri = format!("{FEED}?type={kind}&city=Bern&limit={limit}{cursor}");
            let body = world.body(who, &uri).await;
            assert_eq!(body["feed_type"], kind);
            shown.extend(each(&body, "id").into_iter().map(str::to_owned));
            assert_eq!(body["has_more"], json!(!body["next_cursor"].is_null()));
            match body["next_cursor"].as_str() {
                None => break,
                Some(next) => cursor = format!("&cursor={next}"),
            }
        }
        let expected: BTreeSet<_> = events.iter().map(|(id, ..)| id.to_string()).collect();
        assert_eq!(shown.len(), 25, "{kind}");
        assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), expected, "{kind}");
    }
}

#[tokio::test]
async fn a_personal_feed_is_raised_by_taste_and_leaves_every_fifth_place_to_others() {
    let mut world = World::new();
    let mut trends = Vec::new();
    for number in 0..8_u64 {
        let made = world.publish(OWNER, event(&format!("m{number}"), "Bern", "music")).await;
        trends.push((made, "music", 100 - number));
    }
    for number in 0..3_u64 {
        let made = world.publish(OWNER, event(&format!("f{number}"), "Bern", "film")).await;
        trends.push((made, "film", 140 - number));
    }
    rank(&world, 1, "Bern", &trends).await;
    let plain = world.body(Who::Person(3), &format!("{FEED}?city=Bern")).await;
    assert_eq!(plain["feed_type"], "trending", "nothing is known of them");
    assert_eq!(titles(&plain)[..4], ["f0", "f1", "f2", "m0"]);
    let expected = ["m0", "m1", "m2", "m3", "f0", "m4", "m5", "m6", "f1", "f2", "m7"];
    // 100 to 93 raised by half are 150 to 139; the films are 140 to 138.
    like(&world, *user(3).as_bytes(), &["Music"]).await;
    let uri = format!("{FEED}?type=personalized&city=Bern&why=true");
    let body = world.body(Who::Person(3), &uri).await;
    assert_eq!(body["feed_type"], "personalized");
    assert_eq!(titles(&body)[..5], expected[..5]);
    assert_eq!(body["items"][0]["why"]["raised_by"], 0.5);
    assert_eq!(body["items"][4]["why"]["raised_by"], 0.0);
    let others: Vec<_> = titles(&body)
        .iter()
        .enumerate()
        .filter(|(_, one)| one.starts_with('f'))
        .map(|(at, _)| at)
        .collect();
    assert!(others.contains(&4) && others.contains(&9), "{others:?}");

    let (id, (_, header)) = world.visitors.give().unwrap();
    let pair = header.to_str().unwrap().split(';').next().unwrap().to_owned();
    let with = async |cookie: &str| {
        let headers = [(COOKIE.as_str(), cookie)];
        world.get_with(Who::Nobody, &format!("{FEED}?city=Bern"), &headers).await.body
    };
    assert_eq!(with(&pair).await["feed_type"], "trending");
    like(&world, id, &["music"]).await;
    assert_eq!(with(&pair).await["feed_type"], "personalized");
    assert_eq!(titles(&with(&pair).await)[..5], expected[..5]);
    let forged = format!("{}x", &pair[..pair.len() - 1]);
    assert_eq!(with(&forged).await["feed_type"], "trending");
}

#[tokio::test]
async fn the_latest_come_first_whether_anybody_talks_of_them_or_not() {
    let mut world = World::new();
    let first = world.publish(OWNER, event("First", "Bern", "film")).await;
    world.facts.clock.advance(5_000);
    world.publish(OWNER, event("Second", "Bern", "film")).await;
    world.publish(OWNER, event("Elsewhere", "Porto", "film")).await;
    rank(&world, 1, "Bern", &[(first, "film", 5_000_000)]).await;
    let body = world.body(Who::Nobody, &format!("{FEED}?type=latest&city=bern")).await;
    assert_eq!((titles(&body), &body["feed_type"]), (vec!["Second", "First"], &json!("latest")));
    assert_eq!(body["items"][1]["trend_score"], 5.0);
    assert_eq!(body["items"][0]["trend_score"], 0.0);
    world.searched().await;
    for (filter, expected) in [
        ("city=bern&q=sec", vec!["Second"]),
        ("q=rst+bern", vec![]),
        ("category=FILM&city=porto", vec!["Elsewhere"]),
        ("q=fir+ber&category=film", vec!["First"]),
        ("category=music", vec![]),
    ] {
        let body = world.body(Who::Nobody, &format!("{FEED}?type=latest&{filter}")).await;
        assert_eq!(titles(&body), expected, "{filter}");
    }
    // It says how far the topic is read that it is made of, as every list does.
    for kind in ["latest", "trending", "personalized"] {
        let told = world.get(Who::Nobody, &format!("{FEED}?type={kind}")).await;
        let list = world.get(Who::Nobody, "/api/events").await;
        assert_eq!(told.headers["x-as-of"], list.headers["x-as-of"], "{kind}");
        assert_ne!(told.headers["x-as-of"], "none", "{kind}");
    }
}

#[tokio::test]
async fn a_search_in_the_latest_finds_what_the_text_index_has_taken_in_within_the_same_second() {
    let mut world = World::new();
    let page = format!("{FEED}?type=latest&q=concert");
    for title in ["Concert in the park", "Concert by the lake", "Concert at night"] {
        world.publish(OWNER, event(title, "Bern", "music")).await;
        // Mostly too early: it is in the lists, and no search finds it yet.
        world.body(Who::Nobody, &page).await;
        world.searched().await;
        let found = world.body(Who::Nobody, &page).await;
        assert!(titles(&found).contains(&title), "{found}");
    }
}

#[tokio::test]
async fn bad_questions_are_named() {
    let world = World::new();
    let cursor = world.body(Who::Nobody, FEED).await["next_cursor"].clone();
    assert_eq!(cursor, Value::Null);
    for (query, field) in [
        ("type=best", "type"),
        ("why=perhaps", "why"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("cursor=made-up", "cursor"),
        ("sort=time", "sort"),
        (&format!("city={}", "c".repeat(81)), "city"),
        (&format!("q={}", "q".repeat(201)), "q"),
        (&format!("q={}", (0..17).map(|number| format!("w{number}+")).collect::<String>()), "q"),
        ("type=latest&cursor=made-up", "cursor"),
    ] {
        let answered = world.get(Who::Nobody, &format!("{FEED}?{query}")).await;
        assert_eq!(answered.status.as_u16(), 400, "{query}");
        assert!(answered.body["error"]["meta"]["fields"].get(field).is_some(), "{query}");
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_feed_and_its_filters() {
    let mut world = World::new();
    for number in 0..3 {
        world.publish(OWNER, event(&format!("{number}"), "Bern", "film")).await;
    }
    let uri = format!("{FEED}?type=latest&city=Bern&limit=1");
    let body = world.body(Who::Nobody, &uri).await;
    let cursor = body["next_cursor"].as_str().unwrap();
    assert_eq!(world.code(Who::Nobody, &format!("{uri}&cursor={cursor}")).await.0, 200);
    for other in ["type=latest", "type=trending&city=Bern", "type=latest&city=Basel"] {
        let uri = format!("{FEED}?{other}&cursor={cursor}");
        assert_eq!(world.code(Who::Nobody, &uri).await.0, 400, "{other}");
    }
}
