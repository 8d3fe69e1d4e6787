//! What came of a command, and reads that follow a write.

use std::time::{Duration, Instant};

use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::CommandId;
use serde_json::json;

use crate::support::facts::{HOUR_MS, fields, person, user};
use crate::support::world::{OWNER, Who, World};

#[tokio::test]
async fn the_one_who_gave_a_command_is_told_what_came_of_it() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    let (joined, _) = world.ask_as(person(1), event, CommandKind::Join).await;
    let uri = format!("/api/commands/{joined}");
    let expected = json!({
        "id": joined.to_string(),
        "status": "accepted",
        "outcome": {
            "event_id": event.to_string(),
            "user_id": user(1).to_string(),
            "status": "active",
            "updated_at": "2027-01-15T08:00:00.000Z",
        },
    });
    assert_eq!(world.body(Who::Person(1), &uri).await, expected);
    for who in [Who::Person(2), Who::Staff] {
        assert_eq!(world.code(who, &uri).await, (404, "not_found".into()));
    }
    assert_eq!(world.code(Who::Nobody, &uri).await, (401, "unauthenticated".into()));

    let (refused, _) = world.ask_as(person(OWNER), event, CommandKind::Join).await;
    let body = world.body(Who::Person(OWNER), &format!("/api/commands/{refused}")).await;
    assert_eq!(body["status"], "refused");
    assert_eq!(body["error"]["code"], "is_organizer");
    assert_eq!(body.get("outcome"), None);

    let cancel = CommandKind::Cancel { reason: None };
    let (canceled, _) = world.ask_as(person(OWNER), event, cancel).await;
    let body = world.body(Who::Person(OWNER), &format!("/api/commands/{canceled}")).await;
    assert_eq!(body["outcome"]["status"], "canceled");

    world.facts.clock.advance(25 * HOUR_MS);
    assert_eq!(world.code(Who::Person(1), &uri).await, (404, "not_found".into()));
}

#[tokio::test]
async fn a_command_that_was_given_out_is_pending_until_it_is_decided() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    let id = CommandId::derive(&user(1), "POST", "/x", "k");
    let uri = format!("/api/commands/{id}");
    assert_eq!(world.code(Who::Person(1), &uri).await, (404, "not_found".into()));
    world.pending.lock().insert((id, user(1)));
    let expected = json!({"id": id.to_string(), "status": "pending"});
    assert_eq!(world.body(Who::Person(1), &uri).await, expected);
    assert_eq!(world.code(Who::Person(2), &uri).await, (404, "not_found".into()));
    let linked = world.facts.ask_as(id, person(1), event, CommandKind::Join).unwrap();
    world.show(&linked).await;
    assert_eq!(world.body(Who::Person(1), &uri).await["status"], "accepted");
}

#[tokio::test]
async fn the_receipt_of_another_process_proves_that_a_command_is_pending() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    let id = CommandId::derive(&user(1), "POST", "/x", "k");
    let receipt = world.receipts.give(&id, &user(1), world.now().as_millis()).unwrap();
    let uri = format!("/api/commands/{id}?receipt={receipt}");
    let expected = json!({"id": id.to_string(), "status": "pending"});
    assert_eq!(world.body(Who::Person(1), &uri).await, expected);
    assert_eq!(world.code(Who::Person(2), &uri).await, (404, "not_found".into()));
    let made_up = format!("/api/commands/{id}?receipt=made-up");
    assert_eq!(world.code(Who::Person(1), &made_up).await, (404, "not_found".into()));
    let linked = world.facts.ask_as(id, person(1), event, CommandKind::Join).unwrap();
    world.show(&linked).await;
    assert_eq!(world.body(Who::Person(1), &uri).await["status"], "accepted");
}

#[tokio::test]
async fn a_read_with_a_token_waits_until_the_rows_have_passed_it() {
    for tells_progress in [true, false] {
        let mut world = World::waiting(Duration::from_secs(60));
        world.tells_progress = tells_progress;
        let event = world.publish(OWNER, fields("Concert", 1)).await;
        let linked = world.facts.ask(person(1), event, CommandKind::Join).unwrap();
        let token = format!("{}.{}", linked.partition, linked.offset);
        let uri = format!("/api/events/{event}/view");
        let header = [("x-consistency-token", token.as_str())];
        let cookie = format!("a=b; consistency_token={token}");
        let cookie = [("cookie", cookie.as_str())];
        let by_header = world.get_with(Who::Person(1), &uri, &header);
        let by_cookie = world.get_with(Who::Person(1), &uri, &cookie);
        let shown = async {
            tokio::task::yield_now().await;
            world.show_rows(&linked).await;
        };
        let (by_header, by_cookie, ()) = tokio::join!(by_header, by_cookie, shown);
        for answered in [by_header, by_cookie] {
            assert_eq!(answered.body["participation"]["status"], "active");
            assert_eq!(answered.headers.get("x-as-of"), None);
        }
    }
}

#[tokio::test]
async fn a_read_that_gave_up_says_how_far_its_rows_are() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    let shown = world.ask(1, event, CommandKind::Join).await.unwrap();
    let token = format!("{}.{}", shown.partition, shown.offset + 1);
    let header = [("x-consistency-token", token.as_str())];
    let uri = format!("/api/events/{event}/view");
    let began = Instant::now();
    let answered = world.get_with(Who::Person(1), &uri, &header).await;
    assert!(began.elapsed() >= Duration::from_millis(40));
    let as_of = format!("{}.{}", shown.partition, shown.offset);
    assert_eq!(answered.headers["x-as-of"], as_of);
    assert_eq!(answered.body["participation"]["status"], "active");
    // Nobody waits for a partition that does not exist.
    let header = [("x-consistency-token", "77.1")];
    let answered = world.get_with(Who::Person(1), &uri, &header).await;
    assert_eq!(answered.headers["x-as-of"], "none");
    let list = world.get(Who::Nobody, "/api/events").await;
    let last = world.published.last();
    let last: Vec<_> = last.iter().map(|(partition, last)| format!("{partition}.{last}")).collect();
    assert_eq!(list.headers["x-as-of"], last.join(","));
}
