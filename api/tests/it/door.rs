//! The door: tickets, whom one belongs to, and people as organisers see them, with their names.

use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::EventId;
use cityevents_views::records::{Change, RecordKey, RecordKind, RecordValue, Revision};
use serde_json::{Value, json};

use crate::support::facts::{HOUR_MS, fields, user};
use crate::support::world::{OWNER, Who, World, each};

/// Somebody with a name.
async fn name(world: &World, number: u32, name: &str) {
    let account = json!({
        "id": user(number).to_string(), "email": format!("p{number}@example.org"), "name": name,
        "role": "user", "email_verified": true, "locked": false, "created_at_ms": 0, "version": 1,
    });
    let key = RecordKey::new(RecordKind::Account, user(number).as_bytes().as_slice());
    let value = RecordValue { content: account.to_string().into_bytes(), expires_at: None };
    let change = Change { key, expected: None, revision: Revision([1; 16]), value: Some(value) };
    assert!(world.views.records.change(change).await.unwrap());
}

async fn full_house(world: &mut World, capacity: u32, people: u32) -> EventId {
    let event = world.publish(OWNER, fields("Concert", capacity)).await;
    for number in 1..=people {
        world.facts.clock.advance(1_000);
        world.ask(number, event, CommandKind::Join).await.unwrap();
    }
    event
}

#[tokio::test]
async fn a_ticket_is_for_who_has_a_place_while_there_is_a_door_to_come() {
    let mut world = World::new();
    let event = full_house(&mut world, 1, 2).await;
    let uri = format!("/api/events/{event}/ticket");
    let ticket = world.body(Who::Person(1), &uri).await;
    assert_eq!(ticket["user_id"], user(1).to_string());
    for shown in ["ticket", "code"] {
        let shown = ticket[shown].as_str().unwrap();
        assert_eq!(world.codes.whose(&event, shown), Ok(user(1)), "{shown}");
    }
    let refused = async |world: &World, who| world.code(who, &uri).await;
    assert_eq!(refused(&world, Who::Nobody).await, (401, "unauthenticated".to_owned()));
    assert_eq!(refused(&world, Who::Person(2)).await, (404, "not_joined".to_owned()), "who waits");
    assert_eq!(refused(&world, Who::Person(9)).await, (404, "not_joined".to_owned()));
    world.ask(OWNER, event, CommandKind::Unpublish { reason: None }).await.unwrap();
    assert_eq!(refused(&world, Who::Person(1)).await, (409, "event_not_published".to_owned()));
    world.ask(OWNER, event, CommandKind::Publish).await.unwrap();
    assert_eq!(refused(&world, Who::Person(1)).await.0, 200);
    world.facts.clock.advance(48 * HOUR_MS);
    assert_eq!(refused(&world, Who::Person(1)).await, (410, "event_ended".to_owned()));
}

#[tokio::test]
async fn the_door_sees_whose_ticket_it_is_before_it_lets_anybody_in() {
    let mut world = World::new();
    let event = full_house(&mut world, 2, 3).await;
    let other = world.publish(OWNER, fields("Reading", 2)).await;
    name(&world, 1, "Ada Löw").await;
    let ticket = world.body(Who::Person(1), &format!("/api/events/{event}/ticket")).await;
    let ticket = ticket["ticket"].as_str().unwrap();
    let look = |event: EventId, query: String| format!("/api/events/{event}/check-in?{query}");
    let organiser = Who::Person(OWNER);

    let seen = world.body(organiser, &look(event, format!("code={ticket}"))).await;
    assert_eq!((&seen["name"], &seen["status"]), (&json!("Ada Löw"), &json!("active")));
    assert_eq!(seen.get("checked_in_at"), None);
    world.ask(OWNER, event, CommandKind::CheckIn { user: user(1) }).await.unwrap();
    let seen = world.body(organiser, &look(event, format!("user_id={}", user(1)))).await;
    assert!(seen["checked_in_at"].is_string());
    let waiting = world.body(organiser, &look(event, format!("user_id={}", user(3)))).await;
    assert_eq!((&waiting["status"], &waiting["position"]), (&json!("waitlisted"), &json!(1)));

    for (uri, expected) in [
        (look(other, format!("code={ticket}")), (400, "validation_failed")),
        (look(event, "code=made-up".to_owned()), (400, "validation_failed")),
        (look(event, String::new()), (400, "validation_failed")),
        (look(event, format!("code={ticket}&user_id={}", user(1))), (400, "validation_failed")),
        (look(event, format!("user_id={}", user(9))), (404, "not_joined")),
    ] {
        let (status, code) = world.code(organiser, &uri).await;
        assert_eq!((status, code.as_str()), expected, "{uri}");
    }
    let uri = look(event, format!("code={ticket}"));
    assert_eq!(world.code(Who::Person(1), &uri).await, (403, "forbidden".to_owned()));
    assert_eq!(world.code(Who::Nobody, &uri).await, (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn a_ticket_of_another_instance_is_nobodys() {
    let mut world = World::new();
    let event = full_house(&mut world, 1, 1).await;
    let mut elsewhere = World::new();
    let twin = full_house(&mut elsewhere, 1, 1).await;
    let ticket = elsewhere.body(Who::Person(1), &format!("/api/events/{twin}/ticket")).await;
    let ticket = ticket["ticket"].as_str().unwrap();
    let uri = format!("/api/events/{event}/check-in?code={ticket}");
    assert_eq!(world.code(Who::Person(OWNER), &uri).await.0, 400);
}

#[tokio::test]
async fn organisers_see_names_and_find_people_by_them() {
    let mut world = World::new();
    let event = full_house(&mut world, 400, 403).await;
    for (number, called) in [(2, "Ada Löw"), (300, "Adalbert"), (399, "LADA"), (402, "Ada")] {
        name(&world, number, called).await;
    }
    let list = async |world: &World, what: &str| {
        world.body(Who::Person(OWNER), &format!("/api/events/{event}/{what}")).await
    };
    let first = list(&world, "participants?limit=2").await;
    assert_eq!(first["items"][0].get("name"), None);
    assert_eq!(first["items"][1]["name"], "Ada Löw");

    let mut found = Vec::new();
    let mut page = list(&world, "participants?q=ada&limit=2").await;
    loop {
        found.extend(each(&page, "name").into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        page = list(&world, &format!("participants?q=ada&limit=2&cursor={cursor}")).await;
    }
    assert_eq!(found, ["Ada Löw", "Adalbert", "LADA"], "in the order of joining");
    let waiting = list(&world, "waitlist?q=ADA").await;
    assert_eq!(
        (each(&waiting, "name"), &waiting["items"][0]["position"]),
        (vec!["Ada"], &json!(2))
    );
    let id = user(77).to_string();
    let by_id = list(&world, &format!("participants?q={id}")).await;
    assert!(each(&by_id, "user_id").contains(&id.as_str()));
    assert_eq!(list(&world, "participants?q=nobody").await["items"], json!([]));

    // A cursor of another search is none of this one.
    let page = list(&world, "participants?q=ada&limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let uri = format!("/api/events/{event}/participants?q=low&limit=1&cursor={cursor}");
    assert_eq!(world.code(Who::Person(OWNER), &uri).await.0, 400);
    let uri = format!("/api/events/{event}/participants?q=ada&format=csv");
    assert_eq!(world.code(Who::Person(OWNER), &uri).await.0, 400);
}

#[tokio::test]
async fn names_stay_in_the_organisers_room() {
    let mut world = World::new();
    let event = full_house(&mut world, 2, 2).await;
    name(&world, 2, "Nobody should read this").await;
    for uri in [
        format!("/api/events/{event}"),
        format!("/api/events/{event}/view"),
        format!("/api/events/{event}/ticket"),
        "/api/events".to_owned(),
        "/api/me/joins".to_owned(),
    ] {
        let body: Value = world.body(Who::Person(1), &uri).await;
        assert!(!body.to_string().contains("should read"), "{uri}: {body}");
    }
    let uri = format!("/api/events/{event}/participants");
    let organiser = world.body(Who::Person(OWNER), &uri).await;
    assert!(organiser.to_string().contains("should read"));
}
