//! Two instances on one Kafka and one Cassandra: what is done to an account at one is felt at the other.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Process, poll_for};
use crate::stack;
use crate::web::{Answer, Connection};

const PASSWORD: &str = "correct horse battery";

fn send(http: SocketAddr, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {http}\r\ncontent-type: application/json\r\n\
         authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(http).unwrap();
    connection.write(request.as_bytes()).unwrap();
    connection.read().unwrap()
}

fn sign_in(http: SocketAddr, call: &str, email: &str, password: &str) -> (String, String) {
    let body = json!({ "email": email, "password": password });
    let request = format!(
        "POST /api/auth/{call} HTTP/1.1\r\nhost: {http}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.to_string().len()
    );
    let mut connection = Connection::open(http).unwrap();
    connection.write(request.as_bytes()).unwrap();
    let said = connection.read().unwrap();
    let data = said.json()["data"].clone();
    let text =
        |value: &Value| value.as_str().unwrap_or_else(|| panic!("{}", said.text())).to_owned();
    (text(&data["user"]["id"]), text(&data["tokens"]["access_token"]))
}

#[test]
fn what_is_done_to_an_account_at_one_instance_is_felt_at_the_other() {
    let keyspace = format!("people_{}", std::process::id());
    let cluster = Cluster::with_topics("people")
        .setting("CITYEVENTS__SCYLLA__NODES", stack::cassandra())
        .setting("CITYEVENTS__SCYLLA__KEYSPACE", keyspace)
        .setting(
            "CITYEVENTS__SCYLLA__REPLICATION",
            "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
    cluster.run(&["views", "migrate"]).good();
    let root = ["account", "create", "--email", "root@b.co", "--role", "admin"];
    let root = cluster.run(&[&root[..], &["--output", "json"]].concat()).json();
    let one = Process::start_with(&cluster, "ingest,api,registration,projection").until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let (ada, token) = sign_in(one.http, "register", "ada@b.co", PASSWORD);
    let (_, staff) = sign_in(other.http, "login", "root@b.co", root["password"].as_str().unwrap());
    let me = |http| send(http, "GET", "/api/auth/me", &token, &Value::Null);
    for http in [one.http, other.http] {
        assert_eq!(me(http).status, 200, "keys are the same");
    }
    // Each step at the other instance, and how long the first takes to know of it.
    let user = format!("/api/auth/mod/users/{ada}");
    let revoke = format!("/api/auth/admin/users/{ada}/sessions/revoke");
    for (path, code) in [
        (format!("{user}/ban"), "account_locked"),
        (format!("{user}/unban"), ""),
        (revoke, "unauthenticated"),
    ] {
        let said = send(other.http, "POST", &path, &staff, &Value::Null);
        assert!(said.status < 300, "{}", said.text());
        let asked = Instant::now();
        poll_for(|| (me(one.http).code() == code).then_some(()));
        println!("{path} is felt after {:?}", asked.elapsed());
    }
    let (_, again) = sign_in(one.http, "login", "ada@b.co", PASSWORD);
    assert_eq!(send(other.http, "GET", "/api/auth/me", &again, &Value::Null).status, 200);
    one.stop();
    other.stop();
}
