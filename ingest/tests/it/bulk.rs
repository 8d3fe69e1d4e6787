//! Uploads of many commands.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cityevents_domain::ids::UserId;
use cityevents_ingest::WriteOptions;
use futures::StreamExt;
use futures::channel::mpsc;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::harness::{App, Call, OWNER, Setup, by_status, event_fields, join_line, lines, user};

fn person(number: u32) -> UserId {
    let mut bytes = [0x70; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    UserId::from_bytes(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_is_answered_in_its_place() {
    let app = App::new().await;
    let event = app.published().await;
    let mut body = String::new();
    for number in 0..5 {
        body += &join_line(&event, person(number), "k");
        body += "\n";
    }
    body += "\n{\"type\": \"join\"\n";
    body += &join_line("nonsense", person(6), "k");
    body += "\r\n";
    body += &join_line(&event, person(0), "k");
    let answers = app.upload("", Body::from(body)).await;
    let indices: Vec<_> = answers.iter().map(|answer| answer["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (0..8).collect::<Vec<_>>());
    let status = |at: usize| answers[at]["status"].as_str().unwrap();
    assert_eq!((status(0), status(1), status(2)), ("accepted", "accepted", "accepted"));
    assert_eq!(answers[0]["outcome"]["status"], "active");
    assert_eq!(answers[2]["outcome"]["status"], "waitlisted");
    assert_eq!((status(3), status(4)), ("refused", "refused"));
    assert_eq!(answers[3]["error"]["code"], "event_full");
    assert_eq!((status(5), status(6)), ("invalid", "invalid"));
    assert_eq!(answers[6]["error"]["meta"]["fields"].as_object().unwrap().len(), 1);
    assert_eq!(answers[7]["outcome"], answers[0]["outcome"], "the same command twice");
    assert_eq!(answers[7]["command_id"], answers[0]["command_id"]);

    // The same call over HTTP with the same key is the same command.
    let over_http = app.join(&event, person(0), "k").await.expect(200);
    assert_eq!(over_http.json(), answers[0]["outcome"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_array_is_as_good_as_lines_and_every_type_is_taken() {
    let app = App::new().await;
    let line = |kind: &str, event: Option<&str>, actor: UserId, extra: Value| {
        let mut line = json!({"type": kind, "user_id": actor.to_string(), "idempotency_key": kind});
        if let Some(event) = event {
            line["event_id"] = json!(event);
        }
        line.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        line
    };
    let create = line("create", None, OWNER, json!({"body": event_fields()}));
    let answers = app.upload("", Body::from(json!([create]).to_string())).await;
    let event = answers[0]["outcome"]["id"].as_str().unwrap();
    let (owner, guest) = (OWNER, user(1));
    let guest_id = guest.to_string();
    let all = json!([
        line(
            "update",
            Some(event),
            owner,
            json!({"body": {"city": "Thun"}, "expected_version": 1})
        ),
        line("publish", Some(event), owner, json!({})),
        line("join", Some(event), guest, json!({})),
        line("leave", Some(event), guest, json!({"body": null})),
        line("kick", Some(event), owner, json!({"person_id": guest_id, "body": {"reason": "x"}})),
        line("ban", Some(event), owner, json!({"body": {"user_id": guest_id, "reason": "y"}})),
        line("unban", Some(event), owner, json!({"person_id": guest_id})),
        line("unpublish", Some(event), owner, json!({})),
        line("cancel", Some(event), owner, json!({"body": {"reason": "rain"}})),
    ]);
    let text = serde_json::to_string_pretty(&all).unwrap();
    let answers = app.upload("", Body::from(text)).await;
    assert_eq!(by_status(&answers), [("accepted".to_owned(), 9)].into(), "{answers:#?}");
    assert_eq!(answers[0]["outcome"]["city"], "Thun");
    assert_eq!(answers[8]["outcome"]["status"], "canceled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_waiting_a_line_is_accepted_once_it_is_durable() {
    let mut app = App::with(Setup { workers: false, ..Setup::default() }).await;
    let body: String = (0..3_000)
        .map(|number| {
            let create = json!({
                "type": "create", "user_id": person(number).to_string(), "idempotency_key": "k",
                "body": event_fields()
            });
            format!("{create}\n")
        })
        .collect();
    let answers = app.upload("?wait=false", Body::from(body)).await;
    assert_eq!(by_status(&answers), [("accepted".to_owned(), 3_000)].into());
    assert!(answers.iter().all(|answer| answer.get("outcome").is_none()));
    let commands: u64 = (0..crate::harness::PARTITIONS)
        .map(|partition| {
            let name = cityevents_schemas::topic::EVENT_COMMANDS.name;
            let place = cityevents_runtime::log::TopicPartition::new(name, partition);
            app.log.watermarks(&place).unwrap().high
        })
        .sum();
    assert_eq!(commands, 3_000, "what was accepted is in the log");
    app.start_workers();
    let again = Call::post("/api/events").key("k").json(&event_fields());
    app.as_user(person(2_999), again).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_before_the_next_line_is_sent() {
    let app = App::new().await;
    let event = app.published().await;
    let (mut sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let call = Call::post("/api/ingest").stream(Body::from_stream(receiver));
    let call = call.header("x-api-key", app.api_key());
    let response = app.open(call).await;
    assert_eq!(response.status(), 200);
    let mut answers = response.into_body().into_data_stream();
    for number in 0..3 {
        let line = join_line(&event, person(number), "k");
        // In two halves, so that a line is put together again.
        let (head, tail) = line.split_at(line.len() / 2);
        sender.try_send(Ok(Bytes::from(head.to_owned()))).unwrap();
        sender.try_send(Ok(Bytes::from(format!("{tail}\n")))).unwrap();
        let bytes = answers.next().await.unwrap().unwrap();
        let answer = lines(&bytes);
        assert_eq!((answer.len(), &answer[0]["index"]), (1, &json!(number)));
    }
    drop(sender);
    assert!(answers.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_while_nobody_reads_the_answers() {
    let app = App::with(Setup { workers: false, ..Setup::default() }).await;
    let produced = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counting = produced.clone();
    let event = "0190a5b4-0000-7000-8000-00000000000a";
    let body = futures::stream::iter(0..1_000_000_u32).map(move |number| {
        counting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok::<_, std::io::Error>(format!("{}\n", join_line(event, person(number), "k")))
    });
    let call = Call::post("/api/ingest?wait=false").stream(Body::from_stream(body));
    let response = app.open(call.header("x-api-key", app.api_key())).await;
    let mut answers = response.into_body();
    let first = answers.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!lines(&first).is_empty());
    let read = produced.load(std::sync::atomic::Ordering::SeqCst);
    assert!(read < 40_000, "{read} lines were taken for one piece of answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_process_stops_what_was_read_is_answered_and_the_rest_is_asked_for_again() {
    let app = App::new().await;
    let event = app.published().await;
    let (mut sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let call = Call::post("/api/ingest").stream(Body::from_stream(receiver));
    let response = app.open(call.header("x-api-key", app.api_key())).await;
    let mut answers = response.into_body().into_data_stream();
    sender.try_send(Ok(format!("{}\n", join_line(&event, person(1), "k")).into())).unwrap();
    let first = lines(&answers.next().await.unwrap().unwrap());
    assert_eq!(first[0]["status"], "accepted");
    app.draining.trigger();
    let last = lines(&answers.next().await.unwrap().unwrap());
    assert_eq!((&last[0]["status"], &last[0]["index"]), (&json!("invalid"), &json!(1)));
    assert_eq!(last[0]["error"]["code"], "unavailable");
    assert!(answers.next().await.is_none());
    let refused = Call::post("/api/ingest").header("x-api-key", app.api_key());
    assert_eq!(app.call(refused).await.expect(503).code(), "unavailable");
    assert!(app.client.shutdown(Duration::from_secs(60)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_uploads_are_answered_as_far_as_they_make_sense() {
    let write = WriteOptions { line_bytes_max: 300, ..WriteOptions::default() };
    let app = App::with(Setup { write, ..Setup::default() }).await;
    let event = app.published().await;
    let good = join_line(&event, person(1), "k");
    let long = format!("{}\n", "x".repeat(10_000));
    for (body, expected) in [
        (String::new(), vec![]),
        ("\n\n  \n".to_owned(), vec![]),
        (good.clone(), vec!["accepted"]),
        (format!("{good}\n{long}{good}"), vec!["accepted", "invalid", "accepted"]),
        (
            format!("{good}\nnull\n1\n\"x\"\n[]"),
            vec!["accepted"; 1].into_iter().chain(["invalid"; 4]).collect(),
        ),
        (format!("[{good}"), vec!["accepted", "invalid"]),
        (format!("[{good},]"), vec!["accepted", "invalid"]),
        (format!("[{good}]tail"), vec!["accepted", "invalid"]),
        (format!("[{good} {good}]"), vec!["accepted", "invalid"]),
        ("[1,2]".to_owned(), vec!["invalid"]),
        ("[]".to_owned(), vec![]),
        ("[".to_owned(), vec!["invalid"]),
    ] {
        let answers = app.upload("", Body::from(body.clone())).await;
        let found: Vec<_> = answers.iter().map(|line| line["status"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{body}");
    }
    let cut = futures::stream::iter([
        Ok(Bytes::from(format!("{good}\n"))),
        Err(std::io::Error::other("the line is cut")),
    ]);
    let answers = app.upload("", Body::from_stream(cut)).await;
    assert_eq!(
        (&answers[0]["status"], &answers[1]["status"]),
        (&json!("accepted"), &json!("invalid"))
    );
    assert_eq!(answers[1]["error"]["code"], "validation_failed");
}
