//! Whatever is sent, the answer is a named error and never a failure.

use crate::support::facts::fields;
use crate::support::world::{OWNER, Who, World};

const ID: &str = "11111111-1111-4111-8111-111111111111";

#[tokio::test]
async fn every_malformed_request_gets_a_named_error() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Concert", 1)).await;
    let long = "x".repeat(81);
    let longer = "y".repeat(201);
    let many_words: String = (0..17).map(|number| format!("w{number}+")).collect();
    let huge = "z".repeat(3_000);
    // What is asked for, the status, and the field that is named.
    let table: Vec<(String, u16, &str)> = [
        ("/api/events?limit=0", "limit"),
        ("/api/events?limit=101", "limit"),
        ("/api/events?limit=-1", "limit"),
        ("/api/events?limit=1.5", "limit"),
        ("/api/events?limit=ten", "limit"),
        ("/api/events?limit=", "limit"),
        ("/api/events?limit=%20", "limit"),
        ("/api/events?limit=99999999999999999999", "limit"),
        ("/api/events?limit=5&limit=6", "limit"),
        ("/api/events?cursor=x", "cursor"),
        ("/api/events?cursor=!!", "cursor"),
        ("/api/events?cursor=%00", "cursor"),
        ("/api/events?cursor=%FF%FE", "cursor"),
        (
            "/api/events?cursor=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "cursor",
        ),
        (&format!("/api/events?cursor={huge}"), "cursor"),
        ("/api/events?cursor=a&cursor=b", "cursor"),
        ("/api/events?sort=title", "sort"),
        ("/api/events?sort=Relevance", "sort"),
        ("/api/events?sort=TIME", "sort"),
        ("/api/events?exclude_expired=yes", "exclude_expired"),
        ("/api/events?exclude_expired=1", "exclude_expired"),
        ("/api/events?from=yesterday", "from"),
        ("/api/events?from=2026-02-30T00:00:00Z", "from"),
        ("/api/events?from=2026-01-01", "from"),
        ("/api/events?from=1767225600", "from"),
        ("/api/events?to=soon", "to"),
        ("/api/events?to=99999-01-01T00:00:00Z", "to"),
        ("/api/events?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("/api/events?from=2026-02-01T00:00:00Z&to=2026-02-01T00:00:00Z", "to"),
        (&format!("/api/events?city={long}"), "city"),
        (&format!("/api/events?category={long}"), "category"),
        (&format!("/api/events?q={longer}"), "q"),
        (&format!("/api/events?sort=relevance&q={}", many_words), "q"),
        ("/api/events?city=a&city=b", "city"),
        ("/api/events?town=Porto", "town"),
        ("/api/events?City=Porto", "City"),
        ("/api/events?=Porto", ""),
        ("/api/events?status=draft", "status"),
        (&format!("/api/events?q={}", "a".repeat(9_000)), "query"),
        ("/api/feed?limit=0", "limit"),
        ("/api/feed?type=trending", "type"),
        ("/api/feed?cursor=x", "cursor"),
        ("/api/events/1", "id"),
        ("/api/events/%20", "id"),
        ("/api/events/11111111111141118111111111111111", "id"),
        ("/api/events/11111111-1111-4111-8111-11111111111g", "id"),
        ("/api/events/%FF", "path"),
        (&format!("/api/events/{event}?x=1"), "x"),
        ("/api/events/none/view", "id"),
        (&format!("/api/events/{event}/view?as=staff"), "as"),
        ("/api/events/none/participants", "id"),
        (&format!("/api/events/{event}/participants?status=alive"), "status"),
        (&format!("/api/events/{event}/participants?format=xml"), "format"),
        (&format!("/api/events/{event}/participants?limit=1000"), "limit"),
        (&format!("/api/events/{event}/participants?cursor=zzzz"), "cursor"),
        ("/api/events/none/waitlist", "id"),
        (&format!("/api/events/{event}/waitlist?status=active"), "status"),
        (&format!("/api/events/{event}/waitlist?limit=x"), "limit"),
        (&format!("/api/events/{event}/waitlist?cursor=x"), "cursor"),
        ("/api/events/none/bans", "id"),
        (&format!("/api/events/{event}/bans?limit=x"), "limit"),
        (&format!("/api/events/{event}/bans?cursor=x"), "cursor"),
        ("/api/events/none/stats", "id"),
        (&format!("/api/events/{event}/stats?series=day"), "series"),
        ("/api/me/joins?limit=x", "limit"),
        ("/api/me/joins?cursor=x", "cursor"),
        ("/api/me/joins?status=active", "status"),
        ("/api/me/events?status=ended", "status"),
        ("/api/me/events?status=draft&status=draft", "status"),
        ("/api/me/events?limit=101", "limit"),
        ("/api/me/events?cursor=x", "cursor"),
        ("/api/commands/x", "id"),
        (&format!("/api/commands/{ID}?wait=3"), "wait"),
        ("/api/meta/cities", "q"),
        ("/api/meta/cities?q=", "q"),
        ("/api/meta/cities?q=a", "q"),
        ("/api/meta/cities?q=%20%20a%20", "q"),
        (&format!("/api/meta/cities?q={long}"), "q"),
        ("/api/meta/cities?q=Po&limit=3", "limit"),
        ("/api/meta/cities?city=Po", "city"),
    ]
    .into_iter()
    .map(|(uri, field)| (uri.to_owned(), 400, field))
    .collect();
    assert!(table.len() >= 50);
    for (uri, status, field) in &table {
        let answered = world.get(Who::Person(OWNER), uri).await;
        assert_eq!(answered.status, *status, "{uri}: {}", answered.body);
        assert_eq!(answered.body["error"]["code"], "validation_failed", "{uri}");
        let fields = answered.body["error"]["meta"]["fields"].as_object().unwrap();
        assert!(fields.contains_key(*field), "{uri}: {fields:?}");
    }
    for path in ["", "/view", "/participants", "/waitlist", "/bans", "/stats"] {
        let code = world.code(Who::Staff, &format!("/api/events/{ID}{path}")).await;
        assert_eq!(code, (404, "event_not_found".into()), "{path}");
    }
    for token in ["x", "1", "1.2.3", "-1.0", "1.-2", "99999999999.1", " ", "\u{e4}"] {
        let header = [("x-consistency-token", token)];
        let answered = world.get_with(Who::Nobody, "/api/events", &header).await;
        assert_eq!(answered.status, 400, "{token:?}");
        let cookie = format!("consistency_token={token}");
        let answered = world.get_with(Who::Nobody, "/api/events", &[("cookie", &cookie)]).await;
        assert_eq!(answered.status, 200, "{token:?}");
    }
}

#[tokio::test]
async fn all_bad_parameters_of_a_query_are_named_at_once() {
    let world = World::new();
    let uri = "/api/events?from=a&to=b&sort=c&exclude_expired=d";
    let answered = world.get(Who::Nobody, uri).await;
    let fields = answered.body["error"]["meta"]["fields"].as_object().unwrap();
    let named: Vec<_> = fields.keys().map(String::as_str).collect();
    assert_eq!(named, ["exclude_expired", "from", "sort", "to"]);
}
