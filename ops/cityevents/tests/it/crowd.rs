//! People with tokens, and events to go to.

use std::net::SocketAddr;
use std::path::Path;

use cityevents_domain::ids::CommandId;
use serde_json::{Value, json};

use super::command_line::run_on;
use super::web::{self, Answer, Connection};

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub user: String,
    /// `Bearer …`
    pub bearer: String,
}

/// So many people, with tokens signed by the keys of a data folder.
#[track_caller]
pub fn people(data: &Path, count: usize) -> Vec<Person> {
    let count = count.to_string();
    let said = run_on(data, &["token", "--output", "json", "--ttl", "2h", "--count", &count]);
    let tokens = said.json();
    let person = |token: &Value| Person {
        user: token["subject"].as_str().unwrap().to_owned(),
        bearer: format!("Bearer {}", token["token"].as_str().unwrap()),
    };
    tokens.as_array().unwrap().iter().map(person).collect()
}

/// The fields of an event.
pub fn event_fields(capacity: u32, waitlist_limit: u32) -> Value {
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 7);
    json!({
        "title": "Lantern walk",
        "description": "Along the river.",
        "city": "Bern",
        "category": "walks",
        "start_time": start.to_string(),
        "end_time": (start + jiff::SignedDuration::from_hours(3)).to_string(),
        "capacity": capacity,
        "waitlist_limit": waitlist_limit,
    })
}

/// Makes and publishes an event.
#[track_caller]
pub fn publish(http: SocketAddr, owner: &Person, capacity: u32, waitlist_limit: u32) -> String {
    let headers = [("authorization", &*owner.bearer), ("content-type", "application/json")];
    let body = event_fields(capacity, waitlist_limit).to_string();
    let created = web::once(http, "POST", "/api/events", &headers, body.as_bytes());
    assert_eq!(created.status, 201, "{}", created.text());
    let event = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/events/{event}/publish");
    let published = web::once(http, "POST", &path, &headers, b"");
    assert_eq!(published.status, 200, "{}", published.text());
    event
}

/// Joins.
#[track_caller]
pub fn join(http: SocketAddr, person: &Person, event: &str, key: &str) -> Answer {
    let mut connection = Connection::open(http).unwrap();
    post(&mut connection, person, &format!("/api/events/{event}/join"), key).unwrap()
}

/// Takes part, and says by which command.
pub fn join_by(http: SocketAddr, person: &Person, event: &str, key: &str) -> CommandId {
    join(http, person, event, key);
    let path = format!("/api/events/{event}/join");
    CommandId::derive(&person.user.parse().unwrap(), "POST", &path, key)
}

/// A write without fields.
pub fn post(
    connection: &mut Connection,
    person: &Person,
    path: &str,
    key: &str,
) -> std::io::Result<Answer> {
    let headers = [("authorization", &*person.bearer), ("idempotency-key", key)];
    connection.send("POST", path, &headers, b"")
}

/// Everything in a list, page by page.
#[track_caller]
pub fn list(http: SocketAddr, person: &Person, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = web::get_as(http, &person.bearer, &format!("{path}?limit=100{cursor}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        items.extend_from_slice(page["items"].as_array().unwrap());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// A field of each item.
pub fn column(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
}
