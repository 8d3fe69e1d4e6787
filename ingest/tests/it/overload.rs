//! Too much at once, and stopping.

use std::time::Duration;

use cityevents_ingest::{ClientOptions, SubmitError};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::harness::{Answer, App, Call, OWNER, Setup, event_fields, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_above_the_bound_is_refused_at_once_and_the_others_are_served() {
    let client = ClientOptions { in_flight_bytes_max: 4_000, ..ClientOptions::default() };
    let mut app = App::with(Setup { workers: false, client, ..Setup::default() }).await;
    let create =
        |number: usize| Call::post("/api/events").key(&format!("k{number}")).json(&event_fields());
    // Nothing is decided yet, so that all who were let in wait.
    let app_ref = &app;
    let calls = (0..40).map(|number| {
        let call = create(number).header("prefer", "wait=3");
        async move { app_ref.as_user(OWNER, call).await }
    });
    // In the order in which they come.
    let answers: Vec<_> = calls.collect::<FuturesUnordered<_>>().collect().await;
    let is_let_in = |answer: &Answer| answer.status == 202;
    let refused = answers.iter().position(is_let_in).unwrap();
    assert!(refused > 0, "who was let in waits, nobody else");
    assert!(answers[refused..].iter().all(is_let_in), "refused after others had waited");
    for answer in &answers[..refused] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(app.client.admission().in_flight(), 0);
    app.start_workers();
    app.as_user(OWNER, create(0)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_answers_everybody_who_was_let_in_and_lets_nobody_else_in() {
    let mut app = App::with(Setup { workers: false, ..Setup::default() }).await;
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let (router, token) =
                (app.router.clone(), app.token(OWNER, cityevents_domain::actor::Role::User));
            tokio::spawn(async move {
                let request = axum::extract::Request::post("/api/events")
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", "application/json")
                    .header("idempotency-key", format!("k{number}"))
                    .body(axum::body::Body::from(event_fields().to_string()))
                    .unwrap();
                tower::ServiceExt::oneshot(router, request).await.unwrap().status()
            })
        })
        .collect();
    while app.client.admission().in_flight() < 20 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn({
        let client = app.client.clone();
        async move { client.shutdown(Duration::from_secs(60)).await }
    });
    while !app.client.admission().is_closed() {
        tokio::task::yield_now().await;
    }
    let late = app.as_user(user(1), Call::post("/api/events").json(&event_fields())).await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (503, "unavailable"));
    assert_eq!(app.client.check().unwrap_err(), SubmitError::Stopping);
    app.start_workers();
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), 201);
    }
    assert!(stopping.await.unwrap(), "everybody was answered in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_frees_the_place() {
    let app = App::with(Setup { workers: false, ..Setup::default() }).await;
    let call = app.as_user(OWNER, Call::post("/api/events").json(&event_fields()));
    let gone = tokio::time::timeout(Duration::from_millis(100), call).await;
    assert!(gone.is_err());
    assert_eq!(app.client.admission().in_flight(), 0);
}
