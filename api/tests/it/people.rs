//! The own view, and the people of an event.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields, EventPatch};
use cityevents_domain::fact::Verdict;
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::registration::SealedText;
use cityevents_domain::time::Millis;
use cityevents_kit::event_body::reason_place;
use cityevents_kit::seal::PersonKey;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::facts::{HOUR_MS, fields, person, user};
use crate::support::world::{OWNER, STAFF, Who, World, each};

async fn sealed(world: &World, event: EventId, number: u32, text: &str) -> SealedText {
    let key = PersonKey::generate().unwrap();
    let offered = cityevents_views::PersonKey(*key.as_bytes());
    let keys = &world.views.person_keys;
    let kept = keys.insert_person_key_if_absent(user(number), offered).await.unwrap().unwrap();
    let place = reason_place(&event, &user(number));
    SealedText(PersonKey::from_bytes(kept.0).seal(&place, text).unwrap())
}

async fn participation(world: &World, event: EventId, who: Who) -> Value {
    let body = world.body(who, &format!("/api/events/{event}/view")).await;
    body["participation"].clone()
}

#[tokio::test]
async fn the_view_says_where_somebody_stands() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    for number in 1..=4 {
        world.ask(number, event, CommandKind::Join).await.unwrap();
    }
    let joined_at = "2027-01-15T08:00:00.000Z";
    assert_eq!(participation(&world, event, Who::Nobody).await, Value::Null);
    assert_eq!(participation(&world, event, Who::Person(9)).await, json!({"status": "none"}));
    let code = world.codes.give(&event, &user(1));
    let active = json!({"status": "active", "joined_at": joined_at, "check_in_code": code});
    assert_eq!(participation(&world, event, Who::Person(1)).await, active);
    let third = json!({"status": "waitlisted", "joined_at": joined_at, "position": 3});
    assert_eq!(participation(&world, event, Who::Person(4)).await, third);
    world.ask(2, event, CommandKind::Leave).await.unwrap();
    let left = json!({"status": "canceled", "joined_at": joined_at});
    assert_eq!(participation(&world, event, Who::Person(2)).await, left);
    let second = json!({"status": "waitlisted", "joined_at": joined_at, "position": 2});
    assert_eq!(participation(&world, event, Who::Person(4)).await, second);
    let reason = Some(sealed(&world, event, 4, "queue jumping").await);
    world.ask(OWNER, event, CommandKind::Kick { user: user(4), reason }).await.unwrap();
    let kicked = participation(&world, event, Who::Person(4)).await;
    assert_eq!(kicked["status"], "rejected");
    assert_eq!(kicked["reason"], "queue jumping");
    world.views.person_keys.erase_person_key(user(4)).await.unwrap();
    assert_eq!(participation(&world, event, Who::Person(4)).await["reason"], Value::Null);
}

#[tokio::test]
async fn a_code_for_the_door_is_shown_to_who_has_a_place_and_to_nobody_after_the_end() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    for number in 1..=2 {
        world.ask(number, event, CommandKind::Join).await.unwrap();
    }
    let shown = participation(&world, event, Who::Person(1)).await["check_in_code"].clone();
    assert_eq!(world.codes.read(&event, shown.as_str().unwrap()), Some(user(1)));
    let waiting = participation(&world, event, Who::Person(2)).await;
    assert_eq!(waiting.get("check_in_code"), None);
    world.facts.clock.advance(48 * HOUR_MS);
    let over = participation(&world, event, Who::Person(1)).await;
    assert_eq!((&over["status"], over.get("check_in_code")), (&json!("active"), None));
}

#[tokio::test]
async fn the_view_offers_what_a_decision_would_grant() {
    const PEOPLE: u32 = 12;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let mut events = Vec::new();
    for number in 0..6 {
        let opens_at = Some(world.now() + Millis::hours(2)).filter(|_| number % 3 == 0);
        let waitlist_limit = Some(number % 4);
        let fields = EventFields { opens_at, waitlist_limit, ..fields("Fair", number % 3 + 1) };
        events.push(world.create(OWNER, fields).await);
    }
    let grants = |world: &World, actor: Actor, event: EventId, kind: CommandKind| {
        let id = CommandId::from_bytes([9; 16]);
        let command = Command { id, digest: 1, event, actor, kind };
        match world.facts.state(&event).decide(&command, world.now()) {
            Verdict::Fact(_) => Ok(()),
            Verdict::Unchanged(_) => Err("already_joined"),
            Verdict::Refused(refusal) => Err(refusal.code()),
        }
    };
    let mut compared = 0;
    for _ in 0..400 {
        let event = events[chance.random_range(0..events.len())];
        let who = chance.random_range(0..PEOPLE);
        let kind = match chance.random_range(0..60) {
            0..=27 => CommandKind::Join,
            28..=35 => CommandKind::Leave,
            36..=41 => CommandKind::Publish,
            42 => CommandKind::Unpublish { reason: None },
            43 => CommandKind::Cancel { reason: None },
            44..=46 => CommandKind::Kick { user: user(who), reason: None },
            47..=50 => {
                let expires_at = Some(world.now() + Millis::hours(1));
                CommandKind::Ban { user: user(who), reason: None, expires_at }
            }
            51..=53 => CommandKind::Unban { user: user(who) },
            54..=56 => {
                let capacity = Some(Capacity::Limited(chance.random_range(1..5)));
                let patch = Box::new(EventPatch { capacity, ..EventPatch::default() });
                CommandKind::Update { patch, expected_version: None }
            }
            _ => {
                world.facts.clock.advance(HOUR_MS / 2);
                continue;
            }
        };
        let asker =
            if matches!(kind, CommandKind::Join | CommandKind::Leave) { who } else { OWNER };
        let _refused = world.ask(asker, event, kind).await;
        for (who, actor) in [
            (Who::Person(who), person(who)),
            (Who::Person(OWNER), person(OWNER)),
            (Who::Staff, Actor::Person { user: user(STAFF), role: Role::Moderator }),
        ] {
            let answered = world.get(who, &format!("/api/events/{event}/view")).await;
            let asked = |kind| grants(&world, actor, event, kind);
            let joins = asked(CommandKind::Join);
            if joins == Err("event_not_found") {
                assert_eq!(answered.status, 404);
                continue;
            }
            let title = Some("Other".to_owned());
            let patch = Box::new(EventPatch { title, ..EventPatch::default() });
            let edit = CommandKind::Update { patch, expected_version: None };
            let expected = json!({
                "can_join": joins.is_ok(),
                "can_cancel": asked(CommandKind::Leave).is_ok(),
                "can_cancel_event": asked(CommandKind::Cancel { reason: None }).is_ok(),
                "can_unpublish": asked(CommandKind::Unpublish { reason: None }).is_ok(),
                "can_edit": asked(edit).is_ok(),
                "reason": joins.err(),
            });
            assert_eq!(answered.body["actions"], expected, "{who:?}");
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared}");
}

#[tokio::test]
async fn people_about_to_be_promoted_do_not_fill_the_line() {
    let mut world = World::new();
    let event = world
        .publish(OWNER, EventFields { waitlist_limit: Some(600), ..fields("Concert", 1) })
        .await;
    for number in 1..=521 {
        world.ask(number, event, CommandKind::Join).await.unwrap();
    }
    let patch = EventPatch {
        capacity: Some(Capacity::Limited(1_000)),
        waitlist_limit: Some(Some(0)),
        ..EventPatch::default()
    };
    let update = CommandKind::Update { patch: Box::new(patch), expected_version: None };
    world.ask(OWNER, event, update).await.unwrap();
    let uri = format!("/api/events/{event}/view");
    let view = world.body(Who::Person(900), &uri).await;
    assert_eq!(view["event"]["waitlist_count"], 20);
    assert_eq!(view["actions"]["can_join"], true);
    world.ask(900, event, CommandKind::Join).await.unwrap();
    assert_eq!(participation(&world, event, Who::Person(900)).await["position"], 21);
}

#[tokio::test]
async fn a_stranger_without_login_is_told_to_sign_in_where_joining_is_possible() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    let view = world.body(Who::Nobody, &format!("/api/events/{event}/view")).await;
    assert_eq!(view["actions"]["can_join"], false);
    assert_eq!(view["actions"]["reason"], "unauthenticated");
    world.facts.clock.advance(48 * HOUR_MS);
    let view = world.body(Who::Nobody, &format!("/api/events/{event}/view")).await;
    assert_eq!(view["actions"]["reason"], "event_ended");
    assert_eq!(view["event"]["ended"], true);
}

#[tokio::test]
async fn lists_of_people_are_for_owner_and_staff_only() {
    let mut world = World::new();
    let draft = world.create(OWNER, fields("Draft", 1)).await;
    let public = world.publish(OWNER, fields("Concert", 1)).await;
    for list in ["participants", "waitlist", "stats", "bans"] {
        for (event, stranger) in [(public, (403, "forbidden")), (draft, (404, "event_not_found"))] {
            let uri = format!("/api/events/{event}/{list}");
            let code = world.code(Who::Person(5), &uri).await;
            assert_eq!((code.0, code.1.as_str()), stranger, "{uri}");
            assert_eq!(world.code(Who::Nobody, &uri).await, (401, "unauthenticated".into()));
            assert_eq!(world.code(Who::Person(OWNER), &uri).await.0, 200, "{uri}");
            assert_eq!(world.code(Who::Staff, &uri).await.0, 200, "{uri}");
        }
    }
    for uri in ["/api/me/joins", "/api/me/events"] {
        assert_eq!(world.code(Who::Nobody, uri).await, (401, "unauthenticated".into()));
    }
}

#[tokio::test]
async fn the_organiser_sees_participants_line_bans_and_figures() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 2)).await;
    for number in 1..=7 {
        world.facts.clock.advance(1_000);
        world.ask(number, event, CommandKind::Join).await.unwrap();
    }
    world.ask(OWNER, event, CommandKind::CheckIn { user: user(1) }).await.unwrap();
    world.ask(4, event, CommandKind::Leave).await.unwrap();
    let reason = Some(sealed(&world, event, 6, "spam").await);
    let expires_at = Some(world.now() + Millis::hours(1));
    let ban = CommandKind::Ban { user: user(6), reason, expires_at };
    world.ask(OWNER, event, ban).await.unwrap();
    let lifted = CommandKind::Ban { user: user(50), reason: None, expires_at: None };
    world.ask(OWNER, event, lifted).await.unwrap();
    world.ask(OWNER, event, CommandKind::Unban { user: user(50) }).await.unwrap();
    let organiser = Who::Person(OWNER);
    let list =
        async |what: &str| world.body(organiser, &format!("/api/events/{event}/{what}")).await;
    let ids = |numbers: &[u32]| -> Vec<String> {
        numbers.iter().map(|number| user(*number).to_string()).collect()
    };

    let body = list("participants").await;
    assert_eq!(each(&body, "user_id"), ids(&[1, 2]));
    assert!(body["items"][0]["checked_in_at"].is_string());
    assert_eq!(each(&list("participants?status=canceled").await, "user_id"), ids(&[4]));
    let rejected = list("participants?status=rejected").await;
    assert_eq!(each(&rejected, "user_id"), ids(&[6]));
    assert_eq!(rejected["items"][0]["reason"], "spam");
    let all = list("participants?status=all").await;
    assert_eq!(each(&all, "user_id"), ids(&[1, 2, 3, 4, 5, 6, 7]));

    let mut line = Vec::new();
    let mut next = list("waitlist?limit=1").await;
    loop {
        let item = &next["items"][0];
        line.push((item["user_id"].as_str().unwrap().to_owned(), item["position"].clone()));
        let Some(cursor) = next["next_cursor"].as_str() else { break };
        next = list(&format!("waitlist?limit=1&cursor={cursor}")).await;
    }
    let expected = ids(&[3, 5, 7]).into_iter().zip([json!(1), json!(2), json!(3)]);
    assert_eq!(line, expected.collect::<Vec<_>>());

    let bans = list("bans").await;
    assert_eq!(each(&bans, "user_id"), ids(&[6]));
    assert_eq!(bans["items"][0]["reason"], "spam");
    assert_eq!(bans["items"][0]["expired"], false);
    world.facts.clock.advance(HOUR_MS);
    let bans = world.body(organiser, &format!("/api/events/{event}/bans")).await;
    assert_eq!(bans["items"][0]["expired"], true);

    let stats = world.body(organiser, &format!("/api/events/{event}/stats")).await;
    let expected = json!({
        "event_id": event.to_string(), "status": "published", "ended": false, "capacity": 2,
        "active_participants": 2, "free_places": 0, "waitlist_count": 3, "waitlist_limit": 20,
        "checked_in": 1,
    });
    assert_eq!(stats, expected);
    let uri = format!("/api/events/{event}/stats?series=minute");
    let minutes = world.body(organiser, &uri).await["series"].clone();
    let sum = |what: &str| -> u64 {
        minutes.as_array().unwrap().iter().filter_map(|minute| minute[what].as_u64()).sum()
    };
    assert_eq!((sum("joined"), sum("left")), (7, 2), "{minutes}");
    let uri = format!("/api/events/{event}/stats?series=hour");
    assert_eq!(world.code(organiser, &uri).await, (400, "validation_failed".to_owned()));
}

#[tokio::test]
async fn own_registrations_stay_when_the_event_is_not_public_any_more() {
    let mut world = World::new();
    let mut events = Vec::new();
    for title in ["First", "Second", "Third"] {
        let event = world.publish(OWNER, fields(title, 1)).await;
        world.facts.clock.advance(1_000);
        world.ask(1, event, CommandKind::Join).await.unwrap();
        world.facts.clock.advance(1_000);
        world.ask(2, event, CommandKind::Join).await.unwrap();
        events.push(event);
    }
    world.ask(OWNER, events[0], CommandKind::Unpublish { reason: None }).await.unwrap();
    world.ask(2, events[1], CommandKind::Leave).await.unwrap();
    world.ask(OWNER, events[2], CommandKind::Cancel { reason: None }).await.unwrap();
    let joins = world.body(Who::Person(2), "/api/me/joins").await;
    assert_eq!(each(&joins, "title"), ["Third", "Second", "First"]);
    assert_eq!(each(&joins, "status"), ["waitlisted", "canceled", "waitlisted"]);
    assert_eq!(each(&joins, "event_status"), ["canceled", "published", "draft"]);
    assert_eq!(joins["items"][2]["position"], 1);
    assert!(joins["items"][2]["joined_at"].is_string());
    assert!(joins["items"][2].get("description").is_none());

    let organiser = Who::Person(OWNER);
    let own = world.body(organiser, "/api/me/events").await;
    let mut titles = each(&own, "title");
    titles.sort_unstable();
    assert_eq!(titles, ["First", "Second", "Third"]);
    let drafts = world.body(organiser, "/api/me/events?status=draft").await;
    assert_eq!(each(&drafts, "title"), ["First"]);
    let published = world.body(organiser, "/api/me/events?status=published").await;
    assert_eq!(each(&published, "title"), ["Second"]);
    let canceled = world.body(organiser, "/api/me/events?status=canceled").await;
    assert_eq!(each(&canceled, "title"), ["Third"]);
    assert_eq!(world.body(Who::Person(1), "/api/me/events").await["items"], json!([]));
}
