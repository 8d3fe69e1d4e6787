//! Two instances on one Kafka and one Cassandra: what is done to an account at one is felt at the
//! other, and what both allow is one allowance.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::calls::{PASSWORD, bearer, get, login, post, register, send};
use crate::cluster::{Cluster, Process, poll_for};
use crate::stack;

/// A cluster with tables of its own and an administrator, and how they sign in.
pub fn cluster(name: &str) -> (Cluster, (String, String)) {
    let keyspace = format!("{name}_{}", std::process::id());
    let cluster = Cluster::with_topics(name)
        .setting("CITYEVENTS__SCYLLA__NODES", stack::cassandra())
        .setting("CITYEVENTS__SCYLLA__KEYSPACE", keyspace)
        .setting(
            "CITYEVENTS__SCYLLA__REPLICATION",
            "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
    cluster.run(&["views", "migrate"]).good();
    let root = ["account", "create", "--email", "root@example.org", "--role", "admin"];
    let root = cluster.run(&[&root[..], &["--output", "json"]].concat()).json();
    let password = root["password"].as_str().unwrap().to_owned();
    (cluster, ("root@example.org".to_owned(), password))
}

#[test]
fn what_is_done_to_an_account_at_one_instance_is_felt_at_the_other() {
    let (cluster, (root, password)) = cluster("people");
    let cluster = cluster
        .setting("CITYEVENTS__LIMITS__LOGIN__REQUESTS", "100")
        .setting("CITYEVENTS__LIMITS__REGISTER__REQUESTS", "100");
    let one = Process::start_with(&cluster, "ingest,api,registration,projection").until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let (ada, token) = register(one.http(), "ada");
    let staff = bearer(&login(other.http(), &root, &password));
    let me = |http, token: &str| get(http, "/api/auth/me", token);
    for http in [one.http(), other.http()] {
        assert_eq!(me(http, &token).status, 200, "keys are the same");
    }
    // Each step at the other instance, and how long the first takes to know of it.
    let felt = |what: &str, token: &str, code: &str| {
        let asked = Instant::now();
        poll_for(|| (me(one.http(), token).code() == code).then_some(()));
        println!("{what} is felt after {:?}", asked.elapsed());
    };
    let user = format!("/api/auth/mod/users/{ada}");
    let revoke = format!("/api/auth/admin/users/{ada}/sessions/revoke");
    for (path, code) in [
        (format!("{user}/ban"), "account_locked"),
        (format!("{user}/unban"), ""),
        (revoke, "unauthenticated"),
    ] {
        let said = post(other.http(), &path, &staff, &Value::Null);
        assert!(said.status < 300, "{}", said.text());
        felt(&path, &token, code);
    }
    let again = bearer(&login(one.http(), "ada@example.org", PASSWORD));
    assert_eq!(me(other.http(), &again).status, 200);
    // One session of two, from the other.
    let second = bearer(&login(other.http(), "ada@example.org", PASSWORD));
    let sessions = get(other.http(), "/api/auth/sessions", &second).json();
    let sessions = sessions["data"].as_array().unwrap().clone();
    let first = sessions.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/api/auth/sessions/{}", first["id"].as_str().unwrap());
    assert_eq!(send(other.http(), "DELETE", &path, &second, &Value::Null).status, 204);
    felt("the end of one session", &again, "unauthenticated");
    for http in [one.http(), other.http()] {
        assert_eq!(me(http, &second).status, 200, "the other session goes on");
    }
    one.stop();
    other.stop();
}

#[test]
fn instances_count_tries_together_and_let_through_no_more_than_one_would() {
    const ALLOWED: usize = 8;
    let (cluster, _) = cluster("allowances");
    // Nothing comes back while it is counted.
    let cluster = cluster
        .setting("CITYEVENTS__LIMITS__LOGIN__REQUESTS", "8")
        .setting("CITYEVENTS__LIMITS__LOGIN__WINDOW", "1h")
        .setting("CITYEVENTS__LIMITS__REGISTER__REQUESTS", "8")
        .setting("CITYEVENTS__LIMITS__REGISTER__WINDOW", "1h")
        .setting("CITYEVENTS__LIMITS__ACCOUNT_MAIL__REQUESTS", "8")
        .setting("CITYEVENTS__LIMITS__ACCOUNT_MAIL__WINDOW", "1h");
    let one = Process::start_with(&cluster, "ingest,api").until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let email = serde_json::json!({ "email": "nobody@example.org" });
    let wrong = serde_json::json!({ "email": "nobody@example.org", "password": "wrong" });
    for (path, body, status) in [
        ("/api/auth/login", &wrong, 401),
        ("/api/auth/register", &wrong, 400),
        ("/api/auth/password/reset/request", &email, 204),
    ] {
        // Both at once, each as often as both may together.
        let ask = |http: SocketAddr| {
            move || {
                let said = (0..ALLOWED).map(|_| post(http, path, "", body));
                said.collect::<Vec<_>>()
            }
        };
        let said = std::thread::scope(|scope| {
            let asking = [one.http(), other.http()].map(|http| scope.spawn(ask(http)));
            asking.map(|thread| thread.join().unwrap()).concat()
        });
        let let_through = said.iter().filter(|answer| answer.status == status).count();
        let refused: Vec<_> = said.iter().filter(|answer| answer.status == 429).collect();
        println!("{path}: both together let {let_through} of {} through", said.len());
        assert_eq!((let_through, refused.len()), (ALLOWED, ALLOWED), "{path}");
        for answer in refused {
            assert!(answer.header("retry-after").is_some(), "{}", answer.text());
            assert!(answer.header("ratelimit").is_some_and(|told| told.contains("r=0")));
        }
    }
    one.stop();
    other.stop();
}
