//! Bad input: one row each, with the status, the code and the field that is named. None is a 5xx.

use axum::http::Method;
use cityevents_domain::actor::Role;
use serde_json::{Value, json};

use crate::harness::{App, Call, OWNER, event_fields, user};

/// Stands for the id of a published event.
const EVENT: &str = "EVENT";

struct Row {
    what: &'static str,
    call: Call,
    status: u16,
    code: &'static str,
    /// A field that must be named.
    field: &'static str,
}

struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, what: &'static str, call: Call, expected: (u16, &'static str, &'static str)) {
        let (status, code, field) = expected;
        self.0.push(Row { what, call, status, code, field });
    }

    /// A request that is not acceptable because of one field.
    fn bad(&mut self, what: &'static str, call: Call, field: &'static str) {
        self.add(what, call, (400, "validation_failed", field));
    }
}

/// The good event with one field as it should not be.
fn with(field: &str, value: Value) -> Value {
    let mut fields = event_fields();
    fields[field] = value;
    fields
}

fn without(field: &str) -> Value {
    let mut fields = event_fields();
    fields.as_object_mut().unwrap().remove(field);
    fields
}

fn create(body: &Value) -> Call {
    Call::post("/api/events").json(body)
}

fn bodies(rows: &mut Rows) {
    let raw = |text: &str| Call::post("/api/events").text(text);
    rows.bad("no body", raw(""), "body");
    rows.bad("half an object", raw("{\"title\":"), "body");
    rows.bad("a word", raw("nul"), "body");
    rows.bad("two objects", raw("{}{}"), "body");
    rows.bad("a list", raw("[]"), "body");
    rows.bad("a number", raw("17"), "body");
    rows.bad("null", raw("null"), "body");
    rows.bad("deep nesting", raw(&"[".repeat(50_000)), "body");
    rows.bad("a broken escape", raw(r#"{"title": "\ud800"}"#), "body");
    rows.bad("a raw control character", raw("{\"title\": \"a\u{1}b\"}"), "body");
    rows.bad("a number without end", raw(r#"{"capacity": 1e999}"#), "body");
    rows.bad("an empty object", raw("{}"), "title");
    for field in ["title", "description", "city", "category", "start_time", "end_time"] {
        rows.bad("a field is missing", create(&without(field)), field);
        rows.bad("a needed field is null", create(&with(field, Value::Null)), field);
        rows.bad("a text is a number", create(&with(field, json!(5))), field);
    }
    for field in ["title", "description", "city", "category"] {
        rows.bad("a text is empty", create(&with(field, json!(""))), field);
        rows.bad("a text is blank", create(&with(field, json!(" \t "))), field);
    }
    rows.bad("a long title", create(&with("title", json!("t".repeat(121)))), "title");
    rows.bad(
        "a long description",
        create(&with("description", json!("d".repeat(4_001)))),
        "description",
    );
    rows.bad("a long city", create(&with("city", json!("ö".repeat(81)))), "city");
    rows.bad("a long category", create(&with("category", json!("k".repeat(81)))), "category");
    rows.bad("a long location", create(&with("location", json!("l".repeat(201)))), "location");
    rows.bad("a location that is a list", create(&with("location", json!([]))), "location");
    for wrong in
        [json!(-1), json!(1.5), json!("5"), json!(true), json!(1_000_001), json!(5_000_000_000_u64)]
    {
        rows.bad("a bad capacity", create(&with("capacity", wrong)), "capacity");
    }
    rows.bad("a bad limit", create(&with("waitlist_limit", json!(100_001))), "waitlist_limit");
    rows.bad("a negative limit", create(&with("waitlist_limit", json!(-5))), "waitlist_limit");
    for wrong in [
        "",
        "soon",
        "2035-07-01",
        "2035-07-01T18:00:00",
        "2035-02-30T18:00:00Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2035-07-01T18:00:00+99:99",
    ] {
        rows.bad("a bad time", create(&with("start_time", json!(wrong))), "start_time");
    }
    rows.bad(
        "an end before the start",
        create(&with("end_time", json!("2035-07-01T17:00:00Z"))),
        "end_time",
    );
    rows.bad(
        "opening after the end",
        create(&with("opens_at", json!("2035-07-02T17:00:00Z"))),
        "opens_at",
    );
    rows.bad(
        "a picture that is no id",
        create(&with("cover_image_ids", json!(["x"]))),
        "cover_image_ids[0]",
    );
    rows.bad(
        "pictures that are no list",
        create(&with("cover_image_ids", json!("x"))),
        "cover_image_ids",
    );
    let three = json!([user(1).to_string(), user(2).to_string(), user(3).to_string()]);
    rows.bad("three pictures", create(&with("cover_image_ids", three)), "cover_image_ids");
    rows.bad(
        "a field nobody knows",
        create(&with("organizer_name", json!("me"))),
        "organizer_name",
    );
    rows.bad("a field of the answer", create(&with("status", json!("published"))), "status");
    let large = with("description", json!("d".repeat(2_000_000)));
    rows.add("a body beyond the limit", create(&large), (413, "payload_too_large", ""));
    let plain = Call::post("/api/events").header("content-type", "text/plain");
    rows.add("a body of another kind", plain, (415, "unsupported_media_type", ""));
    let none = Call::post("/api/events");
    rows.add("a body of no kind", none, (415, "unsupported_media_type", ""));
}

fn changes(rows: &mut Rows) {
    let change = |body: Value| Call::new(Method::PATCH, "/api/events/EVENT").json(&body);
    rows.bad("a change of nothing", change(json!({})), "body");
    rows.bad("a change of a field nobody knows", change(json!({"x": 1})), "x");
    rows.bad("a change to a long title", change(json!({"title": "t".repeat(121)})), "title");
    rows.bad("a change to a bad capacity", change(json!({"capacity": "many"})), "capacity");
    let swapped = json!({"start_time": "2035-07-02T00:00:00Z", "end_time": "2035-07-01T00:00:00Z"});
    rows.bad("a change to an end before the start", change(swapped), "end_time");
    for tag in ["1", "W/\"1\"", "\"one\"", "\"1\", \"2\"", "\"\"", "\"99999999999\""] {
        let call = change(json!({"city": "c"})).header("if-match", tag);
        rows.bad("a bad If-Match", call, "if-match");
    }
}

fn headers(rows: &mut Rows) {
    let join = || Call::post("/api/events/EVENT/join");
    rows.bad("joining without a key", join(), "idempotency-key");
    rows.bad("leaving without a key", Call::post("/api/events/EVENT/cancel"), "idempotency-key");
    rows.bad("an empty key", join().key(""), "idempotency-key");
    rows.bad("a key with spaces", join().key("a b"), "idempotency-key");
    rows.bad("a key beyond ASCII", join().key("schlüssel"), "idempotency-key");
    rows.bad("a long key", join().key(&"k".repeat(256)), "idempotency-key");
    let twice = join().key("a").header("x-idempotency-key", "b");
    rows.bad("two keys", twice, "x-idempotency-key");
    for prefer in ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=99999999999"] {
        rows.bad("a bad Prefer", join().key("k").header("prefer", prefer), "prefer");
    }
    rows.bad("a body where there are no fields", join().key("k").text(r#"{"seats": 2}"#), "seats");
    rows.bad("a list where there are no fields", join().key("k").text("[]"), "body");
    rows.bad("no JSON where there are no fields", join().key("k").text("{"), "body");
    let gzip = Call::post("/api/events").header("content-encoding", "gzip").json(&event_fields());
    rows.bad("a body that is not compressed as it says", gzip, "body");
}

fn paths(rows: &mut Rows) {
    for id in ["x", "123", "0190a5b400007000800000000000000a", "%00", "%ff%fe"] {
        let call = Call::post(&format!("/api/events/{id}/publish"));
        let field = if id == "%ff%fe" { "path" } else { "id" };
        rows.bad("an id that is none", call, field);
    }
    let kick =
        |user: &str| Call::new(Method::DELETE, &format!("/api/events/EVENT/participants/{user}"));
    rows.bad("removing an id that is none", kick("nobody"), "user");
    let unban = Call::new(Method::DELETE, "/api/events/x/bans/y");
    rows.bad("two ids that are none", unban, "user");
    let missing = "/api/events/0190a5b4-0000-7000-8000-00000000000a";
    let publish = Call::post(&format!("{missing}/publish"));
    rows.add("an event that is not there", publish, (404, "event_not_found", ""));
    let join = Call::post(&format!("{missing}/join")).key("k");
    rows.add("joining what is not there", join, (404, "event_not_found", ""));
    rows.add("no such address", Call::post("/api/nothing"), (404, "not_found", ""));
    let wrong = Call::new(Method::DELETE, "/api/events");
    rows.add("a method that is not possible", wrong, (405, "method_not_allowed", ""));
}

fn people(rows: &mut Rows) {
    let ban = |body: Value| Call::post("/api/events/EVENT/bans").json(&body);
    let id = user(5).to_string();
    rows.bad("a ban of nobody", ban(json!({})), "user_id");
    rows.bad("a ban of null", ban(json!({"user_id": null})), "user_id");
    rows.bad("a ban of a name", ban(json!({"user_id": "Ann"})), "user_id");
    rows.bad("a ban until soon", ban(json!({"user_id": id, "expires_at": "soon"})), "expires_at");
    rows.bad("a ban with a number", ban(json!({"user_id": id, "reason": 5})), "reason");
    rows.bad(
        "a ban for a long reason",
        ban(json!({"user_id": id, "reason": "r".repeat(501)})),
        "reason",
    );
    rows.bad("a ban with more", ban(json!({"user_id": id, "until": "x"})), "until");
    let past = ban(json!({"user_id": id, "expires_at": "2001-01-01T00:00:00Z"}));
    rows.add("a ban that has run out", past, (409, "invalid_state", ""));
    let kick = Call::new(Method::DELETE, &format!("/api/events/EVENT/participants/{id}"));
    rows.add("removing who never joined", kick, (404, "not_joined", ""));
    let kick = Call::new(Method::DELETE, &format!("/api/events/EVENT/participants/{id}"));
    rows.bad("removing for a number", kick.text(r#"{"reason": 5}"#), "reason");
    let unban = Call::new(Method::DELETE, &format!("/api/events/EVENT/bans/{id}"));
    rows.bad("lifting with a reason", unban.text(r#"{"reason": "x"}"#), "reason");
    let cancel = Call::post("/api/events/EVENT/cancel-event");
    rows.bad("a long reason", cancel.json(&json!({"reason": "r".repeat(501)})), "reason");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_is_refused_by_name() {
    let app = App::new().await;
    let event = app.published().await;
    let mut rows = Rows(Vec::new());
    bodies(&mut rows);
    changes(&mut rows);
    headers(&mut rows);
    paths(&mut rows);
    people(&mut rows);
    assert!(rows.0.len() >= 100, "there are {} rows", rows.0.len());
    for row in rows.0 {
        let answer = app.as_user(OWNER, row.call.at(EVENT, &event)).await;
        let (what, body) = (row.what, String::from_utf8_lossy(&answer.body).into_owned());
        assert_eq!(answer.status, row.status, "{what}: {body}");
        assert_eq!(answer.code(), row.code, "{what}: {body}");
        let named = &answer.json()["error"]["meta"]["fields"];
        if !row.field.is_empty() {
            assert!(named.get(row.field).is_some(), "{what}: {} is not in {named}", row.field);
        }
    }
    assert_eq!(app.client.admission().in_flight(), 0, "every place was given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_are_nobody_or_not_the_right_one_are_told_so() {
    let app = App::new().await;
    let event = app.published().await;
    let join = || Call::post(&format!("/api/events/{event}/join")).key("k");
    let rows = [
        ("no token", join(), 401, "unauthenticated"),
        ("an empty token", join().header("authorization", "Bearer "), 401, "unauthenticated"),
        ("another scheme", join().header("authorization", "Basic YTpi"), 401, "unauthenticated"),
        (
            "a token that is none",
            join().header("authorization", "Bearer a.b.c"),
            401,
            "unauthenticated",
        ),
        (
            "an API key",
            join().header("authorization", &format!("Bearer {}", app.api_key())),
            401,
            "unauthenticated",
        ),
        ("an upload without a key", Call::post("/api/ingest"), 401, "unauthenticated"),
        (
            "an upload with a token",
            Call::post("/api/ingest")
                .header("authorization", &format!("Bearer {}", app.token(OWNER, Role::Admin))),
            401,
            "unauthenticated",
        ),
        (
            "an upload with a key that is none",
            Call::post("/api/ingest").header("x-api-key", "cek_x_y"),
            401,
            "unauthenticated",
        ),
        (
            "an upload with a bad query",
            Call::post("/api/ingest?wait=maybe").header("x-api-key", app.api_key()),
            400,
            "validation_failed",
        ),
        (
            "an upload with a bad Prefer",
            Call::post("/api/ingest").header("x-api-key", app.api_key()).header("prefer", "wait=x"),
            400,
            "validation_failed",
        ),
    ];
    for (what, call, status, code) in rows {
        let answer = app.call(call).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{what}");
    }
    for (name, body) in [("publish", json!({})), ("cancel-event", json!({}))] {
        let call = Call::post(&format!("/api/events/{event}/{name}")).json(&body);
        assert_eq!(app.as_user(user(9), call).await.expect(403).code(), "forbidden");
    }
    let admin = |body: Value| Call::post(&format!("/api/admin/events/{event}/cancel")).json(&body);
    for body in [json!({}), json!({"reason": "  "}), json!({"reason": null})] {
        let answer = app.as_role(user(9), Role::Admin, admin(body)).await.expect(400);
        assert_eq!(answer.code(), "validation_failed");
    }
}
