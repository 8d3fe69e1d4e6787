//! Every call once, with its body, headers and refusals; and the same call twice.

use axum::http::Method;
use cityevents_domain::actor::Role;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_kit::event_body::reason_place;
use cityevents_kit::seal::PersonKey;
use cityevents_runtime::log::{Isolation, PollLimit, TopicPartition};
use cityevents_schemas::{message, topic};
use serde_json::{Value, json};

use crate::harness::{App, Call, OWNER, PARTITIONS, Setup, event_fields, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_made_changed_published_taken_back_and_called_off() {
    let app = App::new().await;
    let created = app.as_user(OWNER, Call::post("/api/events").json(&event_fields())).await;
    let created = created.expect(201);
    let event = created.json();
    let id = event["id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/api/events/{id}"));
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.header("content-type"), "application/json");
    assert_eq!(event["status"], "draft");
    assert_eq!(event["owner_id"], OWNER.to_string());
    assert_eq!(event["organizer_name"], Value::Null);
    assert_eq!(event["start_time"], "2035-07-01T18:00:00.000Z");
    assert_eq!((&event["capacity"], &event["waitlist_limit"]), (&json!(2), &json!(1)));
    assert_eq!((&event["ended"], &event["joinable"]), (&json!(false), &json!(false)));
    assert_eq!(event.get("location"), None);
    assert_eq!(event["cover_image_ids"], json!([]));

    let path = format!("/api/events/{id}");
    let change = |version: &str, body: Value| {
        Call::new(Method::PATCH, &path).header("if-match", version).json(&body)
    };
    let changed = app.as_user(OWNER, change("\"1\"", json!({"city": "Thun"}))).await.expect(200);
    assert_eq!((changed.json()["city"].as_str(), changed.header("etag")), (Some("Thun"), "\"2\""));
    let lost = app.as_user(OWNER, change("\"1\"", json!({"city": "Basel"}))).await.expect(412);
    assert_eq!(lost.code(), "version_conflict");
    assert_eq!(lost.json()["error"]["meta"]["current_version"], 2);

    let call = |name: &str, body: Value| Call::post(&format!("{path}/{name}")).json(&body);
    let published = app.as_user(OWNER, call("publish", json!({}))).await.expect(200).json();
    assert_eq!((&published["status"], &published["joinable"]), (&json!("published"), &json!(true)));
    let again = app.as_user(OWNER, call("unpublish", Value::Null)).await.expect(200).json();
    assert_eq!(again["status"], "draft");
    let canceled = app.as_user(OWNER, call("cancel-event", json!({"reason": "rain"}))).await;
    assert_eq!(canceled.expect(200).json()["status"], "canceled");
    let late = app.as_user(OWNER, call("publish", json!({}))).await.expect(410);
    assert_eq!(late.code(), "event_canceled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_join_wait_and_leave() {
    let app = App::new().await;
    let event = app.published().await;
    let first = app.join(&event, user(1), "a").await.expect(200);
    let body = first.json();
    assert_eq!((&body["event_id"], &body["status"]), (&json!(event), &json!("active")));
    assert_eq!(body["user_id"], user(1).to_string());
    assert_eq!(body.get("position"), None);
    app.join(&event, user(2), "a").await.expect(200);
    let waiting = app.join(&event, user(3), "a").await.expect(200).json();
    assert_eq!((&waiting["status"], &waiting["position"]), (&json!("waitlisted"), &json!(1)));
    assert_eq!(app.join(&event, user(4), "a").await.expect(409).code(), "event_full");
    assert_eq!(app.join(&event, OWNER, "a").await.expect(409).code(), "is_organizer");

    let leave = |key: &str| Call::post(&format!("/api/events/{event}/cancel")).key(key);
    let left = app.as_user(user(1), leave("b")).await.expect(200).json();
    assert_eq!(left["status"], "canceled");
    assert_eq!(app.as_user(user(9), leave("b")).await.expect(404).code(), "not_joined");
    let promoted = app.join(&event, user(3), "again").await.expect(200).json();
    assert_eq!(promoted["status"], "active");
    assert_eq!(app.join(&event, user(4), "a").await.expect(200).json()["position"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_gets_its_first_answer_to_the_letter() {
    let app = App::new().await;
    let event = app.published().await;
    let first = app.join(&event, user(1), "same").await.expect(200);
    let leave = Call::post(&format!("/api/events/{event}/cancel")).key("leaving");
    app.as_user(user(1), leave).await.expect(200);
    let again = app.join(&event, user(1), "same").await.expect(200);
    assert_eq!(again.body, first.body, "the answer of then, though the person has left since");

    // The key under its other name, and the path in other letters.
    let path = format!("/api/events/{}/join", event.to_uppercase());
    let other = Call::post(&path).header("x-idempotency-key", "same").text("{}");
    assert_eq!(app.as_user(user(1), other).await.expect(200).body, first.body);

    let create = |title: &str| {
        let mut fields = event_fields();
        fields["title"] = json!(title);
        Call::post("/api/events").key("new").json(&fields)
    };
    let made = app.as_user(OWNER, create("One")).await.expect(201);
    let spelled = create("One").text(&format!("  {}", {
        let mut fields = event_fields();
        fields["title"] = json!("One");
        serde_json::to_string_pretty(&fields).unwrap()
    }));
    let same = app.as_user(OWNER, spelled).await.expect(201);
    assert_eq!(same.body, made.body);
    assert_eq!(same.header("etag"), made.header("etag"));
    let other = app.as_user(OWNER, create("Two")).await.expect(422);
    assert_eq!(other.code(), "idempotency_key_mismatch");
    let others = app.as_user(user(5), create("Two")).await.expect(201);
    assert_ne!(others.json()["id"], made.json()["id"], "keys of two people are two keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_leaves_no_trace_and_is_decided_anew() {
    let app = App::new().await;
    let event = app.published().await;
    for number in 1..=3 {
        app.join(&event, user(number), "a").await.expect(200);
    }
    app.join(&event, user(4), "a").await.expect(409);
    let leave = Call::post(&format!("/api/events/{event}/cancel")).key("l");
    app.as_user(user(1), leave).await.expect(200);
    assert_eq!(app.join(&event, user(4), "a").await.expect(200).json()["status"], "waitlisted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decided_write_says_where_it_stands() {
    let app = App::new().await;
    let event = app.published().await;
    let joined = app.join(&event, user(1), "a").await.expect(200);
    let token = joined.header("x-consistency-token").to_owned();
    let (partition, offset) = token.split_once('.').unwrap();
    assert!(partition.parse::<u32>().unwrap() < PARTITIONS);
    assert!(offset.parse::<u64>().unwrap() > 0);
    let cookie = joined.header("set-cookie");
    assert!(cookie.starts_with(&format!("consistency_token={token}; Max-Age=30;")), "{cookie}");
    assert!(cookie.contains("HttpOnly"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_removed_kept_out_and_let_in_again() {
    let app = App::new().await;
    let event = app.published().await;
    app.join(&event, user(1), "a").await.expect(200);
    let participant = format!("/api/events/{event}/participants/{}", user(1));
    let kick = || Call::new(Method::DELETE, &participant).json(&json!({"reason": "rude"}));
    assert_eq!(app.as_user(user(2), kick()).await.expect(403).code(), "forbidden");
    let kicked = app.as_user(OWNER, kick()).await.expect(200).json();
    assert_eq!(kicked["status"], "rejected");
    let kept_out = app.join(&event, user(1), "b").await.expect(403);
    assert_eq!(kept_out.code(), "removed_by_organizer");

    let bans = format!("/api/events/{event}/bans");
    let ban = json!({"user_id": user(7).to_string(), "reason": "touts",
                     "expires_at": "2035-01-01T00:00:00+02:00"});
    let banned = app.as_user(OWNER, Call::post(&bans).json(&ban)).await.expect(200);
    assert_eq!(banned.json()["event_id"], event);
    assert_eq!(app.join(&event, user(7), "a").await.expect(403).code(), "banned");
    for person in [user(1), user(7)] {
        let lift = Call::new(Method::DELETE, &format!("{bans}/{person}"));
        app.as_role(user(8), Role::Moderator, lift).await.expect(200);
        assert_eq!(app.join(&event, person, "c").await.expect(200).json()["status"], "active");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_about_a_person_is_unreadable_in_the_log() {
    let app = App::new().await;
    let event = app.published().await;
    let reason = "a-word-that-stands-nowhere-else";
    let ban = json!({"user_id": user(7).to_string(), "reason": reason});
    let bans = format!("/api/events/{event}/bans");
    app.as_user(OWNER, Call::post(&bans).json(&ban)).await.expect(200);
    let mut sealed = None;
    for name in [topic::EVENT_COMMANDS.name, topic::EVENT_FACTS.name] {
        for partition in 0..PARTITIONS {
            let place = TopicPartition::new(name, partition);
            let mut reader = app.log.reader(&place, 0, Isolation::Uncommitted).unwrap();
            let mut records = Vec::new();
            let limit = PollLimit { records: 1_000, bytes: 1 << 20 };
            reader.poll(limit, std::time::Duration::ZERO, &mut records).unwrap();
            for record in records {
                let value = record.value.unwrap();
                let has = |bytes: &[u8]| {
                    bytes.windows(reason.len()).any(|window| window == reason.as_bytes())
                };
                assert!(!has(&value) && !has(record.headers.as_bytes()));
                if name == topic::EVENT_COMMANDS.name {
                    let command = message::decode_command(&value).unwrap();
                    if let cityevents_domain::command::CommandKind::Ban { reason, .. } =
                        command.kind
                    {
                        sealed = reason;
                    }
                }
            }
        }
    }
    let key = app.views.person_keys.person_key(user(7)).await.unwrap().unwrap();
    let place = reason_place(&event.parse::<EventId>().unwrap(), &user(7));
    let opened = PersonKey::from_bytes(key.0).open(&place, &sealed.unwrap().0).unwrap();
    assert_eq!(opened, reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_have_calls_of_their_own_and_others_do_not() {
    let app = App::new().await;
    let event = app.published().await;
    let call = |name: &str| {
        let path = format!("/api/admin/events/{event}/{name}");
        Call::post(&path).json(&json!({"reason": "not allowed here"}))
    };
    assert_eq!(app.as_user(OWNER, call("unpublish")).await.expect(403).code(), "forbidden");
    let staff: UserId = user(9);
    let taken = app.as_role(staff, Role::Moderator, call("unpublish")).await.expect(200);
    assert_eq!(taken.json()["status"], "draft");
    let off = app.as_role(staff, Role::Admin, call("cancel")).await.expect(200);
    assert_eq!(off.json()["status"], "canceled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_write_without_a_decision_is_a_202_and_counts_once_decided() {
    let mut app = App::with(Setup { workers: false, ..Setup::default() }).await;
    let create = || Call::post("/api/events").key("k").json(&event_fields());
    let answer = app.as_user(OWNER, create().header("prefer", "respond-async")).await.expect(202);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.json()["status"], "pending");
    let receipt = format!("/api/commands/{id}?receipt=");
    assert!(answer.header("location").starts_with(&receipt), "any process can tell that it waits");
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let waited = app.as_user(OWNER, create().header("prefer", "wait=0")).await.expect(202);
    assert_eq!(waited.json()["id"], id, "the same key is the same command");
    let waited = app.as_user(OWNER, create().header("prefer", "wait=1")).await.expect(202);
    assert_eq!(waited.json()["id"], id);
    app.start_workers();
    let decided = app.as_user(OWNER, create()).await.expect(201);
    assert_eq!(decided.json()["status"], "draft");
    assert_eq!(app.client.admission().in_flight(), 0);
}
