//! Check-in by id and by code, and messages to participants.

use cityevents_domain::actor::Role;
use cityevents_domain::command::{Audience, CommandKind};
use cityevents_domain::ids::EventId;
use cityevents_runtime::log::{Isolation, PollLimit, TopicPartition};
use cityevents_schemas::{message, topic};
use serde_json::{Value, json};

use crate::harness::{App, Call, OWNER, PARTITIONS, user};

fn bad_fields(body: &Value) -> Vec<&str> {
    let fields = body["error"]["meta"]["fields"].as_object().unwrap();
    fields.keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_let_in_once_and_a_second_scan_is_told_when_the_first_was() {
    let app = App::new().await;
    let event = app.published().await;
    let id: EventId = event.parse().unwrap();
    for number in 1..=3 {
        app.join(&event, user(number), "a").await.expect(200);
    }
    let check_in = |body: Value| Call::post(&format!("/api/events/{event}/check-in")).json(&body);
    let by_code = |number| check_in(json!({"code": app.codes.give(&id, &user(number))}));

    assert_eq!(app.as_user(user(1), by_code(1)).await.expect(403).code(), "forbidden");
    let first = app.as_user(OWNER, by_code(1)).await.expect(200).json();
    assert_eq!(
        (&first["user_id"], &first["status"]),
        (&json!(user(1).to_string()), &json!("active"))
    );
    let second =
        app.as_user(OWNER, check_in(json!({"user_id": user(1).to_string()}))).await.expect(409);
    assert_eq!(second.code(), "already_checked_in");
    let told = second.json()["error"]["meta"]["first_at"].as_str().unwrap().to_owned();
    let told: jiff::Timestamp = told.parse().unwrap();
    assert_eq!(told, first["updated_at"].as_str().unwrap().parse().unwrap());

    let staff = app
        .as_role(user(9), Role::Moderator, check_in(json!({"user_id": user(2).to_string()})))
        .await;
    staff.expect(200);
    let waiting = app.as_user(OWNER, by_code(3)).await.expect(404);
    assert_eq!(waiting.code(), "not_joined", "who waits has no place");
    assert_eq!(app.as_user(OWNER, by_code(8)).await.expect(404).code(), "not_joined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_event_or_none_at_all_is_refused_by_name() {
    let app = App::new().await;
    let (event, other) = (app.published().await, app.published().await);
    app.join(&event, user(1), "a").await.expect(200);
    let elsewhere = app.codes.give(&other.parse().unwrap(), &user(1));
    let here = app.codes.give(&event.parse().unwrap(), &user(1));
    for (body, named) in [
        (json!({"code": elsewhere}), ["code"].as_slice()),
        (json!({"code": "A".repeat(32)}), &["code"]),
        (json!({"code": 7}), &["code"]),
        (json!({"code": here, "user_id": user(1).to_string()}), &["code"]),
        (json!({}), &["user_id"]),
        (json!({"user_id": "x"}), &["user_id"]),
        (json!({"user_id": user(1).to_string(), "place": 3}), &["place"]),
    ] {
        let call = Call::post(&format!("/api/events/{event}/check-in")).json(&body);
        let refused = app.as_user(OWNER, call).await.expect(400);
        assert_eq!(bad_fields(&refused.json()), named, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_organiser_writes_to_participants_and_the_words_stand_in_the_log() {
    let app = App::new().await;
    let event = app.published().await;
    let send = |body: Value| Call::post(&format!("/api/events/{event}/messages")).json(&body);
    let body = json!({"to": "waitlisted", "subject": "Doors", "text": "They open at six."});
    assert_eq!(app.as_user(user(1), send(body.clone())).await.expect(403).code(), "forbidden");
    let sent = app.as_user(OWNER, send(body.clone()).key("once")).await.expect(200);
    assert_eq!(sent.json()["event_id"], event);
    let again = app.as_user(OWNER, send(body).key("once")).await.expect(200);
    assert_eq!(again.body, sent.body);
    let other = json!({"to": "all", "subject": "Doors", "text": "They open at six."});
    let other = app.as_user(OWNER, send(other).key("once")).await.expect(422);
    assert_eq!(other.code(), "idempotency_key_mismatch");

    let mut messages = Vec::new();
    for partition in 0..PARTITIONS {
        let place = TopicPartition::new(topic::EVENT_COMMANDS.name, partition);
        let mut reader = app.log.reader(&place, 0, Isolation::Uncommitted).unwrap();
        let limit = PollLimit { records: 1_000, bytes: 1 << 20 };
        let mut records = Vec::new();
        reader.poll(limit, std::time::Duration::ZERO, &mut records).unwrap();
        for record in records {
            let command = message::decode_command(&record.value.unwrap()).unwrap();
            if let CommandKind::Message { to, subject, text } = command.kind
                && command.actor.user() == Some(OWNER)
            {
                messages.push((to, subject, text));
            }
        }
    }
    let expected = (Audience::Waitlisted, "Doors".to_owned(), "They open at six.".to_owned());
    assert_eq!(messages[0], expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_reader_a_subject_or_a_text_names_all_that_is_wrong() {
    let app = App::new().await;
    let event = app.published().await;
    for (body, named) in [
        (json!({}), ["subject", "text", "to"].as_slice()),
        (json!({"to": "everybody", "subject": " ", "text": "t"}), &["subject", "to"]),
        (
            json!({"to": "all", "subject": "s".repeat(121), "text": "t".repeat(4_001)}),
            &["subject", "text"],
        ),
    ] {
        let call = Call::post(&format!("/api/events/{event}/messages")).json(&body);
        let refused = app.as_user(OWNER, call).await.expect(400);
        assert_eq!(bad_fields(&refused.json()), named, "{body}");
    }
}
