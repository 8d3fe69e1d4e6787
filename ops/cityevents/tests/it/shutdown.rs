//! SIGTERM under load: what was accepted is answered, and the next start carries on.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::crowd::{self, Person, column};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web::{self, Answer, Connection};

const CLIENTS: usize = 16;
const PEOPLE: usize = 4_000;
/// Answers before the signal.
const ANSWERS_BEFORE: usize = 150;

/// What one client saw until it was told to go.
struct Seen {
    told: Vec<(String, Answer)>,
    cut: Option<String>,
    was_told_to_close: bool,
}

/// Joins for one person after the other over one connection, until told that it closes.
fn join_until_told_to_close(
    http: SocketAddr,
    people: &[Person],
    next: &AtomicUsize,
    answers: &AtomicUsize,
    path: &str,
) -> io::Result<Seen> {
    let mut seen = Seen { told: Vec::new(), cut: None, was_told_to_close: false };
    let mut connection = Connection::open(http)?;
    while let Some(person) = people.get(next.fetch_add(1, Ordering::Relaxed)) {
        let key = format!("key-{}", person.user);
        match crowd::post(&mut connection, person, path, &key) {
            Ok(answer) => {
                seen.was_told_to_close = answer.closes();
                seen.told.push((person.user.clone(), answer));
                answers.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                seen.cut = Some(format!("after {} answers: {error}", seen.told.len()));
                break;
            }
        }
        if seen.was_told_to_close {
            break;
        }
    }
    Ok(seen)
}

#[test]
fn a_stop_under_load_cuts_no_request_and_the_next_start_carries_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    // Long enough for everybody to hear of it, and for somebody to look.
    let mut instance = Instance::start_with(data, &[("CITYEVENTS__HTTP__DRAIN_NOTICE", "3s")]);
    let everybody = crowd::people(data, PEOPLE + 1);
    let (owner, people) = everybody.split_first().unwrap();
    let event = crowd::publish(instance.http, owner, 0, 0);
    let path = format!("/api/events/{event}/join");
    let (next, answers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (http, ops) = (instance.http, instance.ops);
    assert_eq!(web::once(ops, "GET", "/readyz", &[], b"").status, 200);
    let (was_red, is_over) = (AtomicBool::new(false), AtomicBool::new(false));

    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let client = || join_until_told_to_close(http, people, &next, &answers, &path).unwrap();
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let answer = Connection::open(ops)
                    .and_then(|mut connection| connection.send("GET", "/readyz", &[], b""));
                let is_red = answer
                    .is_ok_and(|answer| answer.status == 503 && answer.json()["draining"] == true);
                was_red.fetch_or(is_red, Ordering::Relaxed);
            }
        });
        poll_for(DEADLINE, || answers.load(Ordering::Relaxed) >= ANSWERS_BEFORE);
        let signaled = Instant::now();
        instance.terminate();
        let status = instance.wait(DEADLINE);
        let took = signaled.elapsed();
        is_over.store(true, Ordering::Relaxed);
        println!("stopped in {took:?}");
        assert!(status.success(), "{status}: {}", instance.log());
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });

    for one in &seen {
        assert_eq!(one.cut, None, "a request was cut");
        assert!(one.was_told_to_close, "a connection ended without notice");
        for (user, answer) in &one.told {
            let is_known = matches!(answer.status, 200 | 202 | 503);
            assert!(is_known, "{user}: {} {}", answer.status, answer.text());
        }
    }
    assert!(was_red.load(Ordering::Relaxed), "readiness stayed green while draining");

    let restarted = Instance::start(data);
    let told: BTreeSet<_> = seen
        .iter()
        .flat_map(|one| &one.told)
        .filter(|(_, answer)| answer.status == 200)
        .map(|(user, _)| user.clone())
        .collect();
    println!("{} joined before the stop", told.len());
    let list = || {
        let items =
            crowd::list(restarted.http, owner, &format!("/api/events/{event}/participants"));
        column(&items, "user_id").into_iter().collect::<BTreeSet<_>>()
    };
    poll_for(DEADLINE, || list().is_superset(&told));
    for (user, first) in seen.iter().flat_map(|one| &one.told).take(5) {
        let person = people.iter().find(|person| person.user == *user).unwrap();
        let again = crowd::join(restarted.http, person, &event, &format!("key-{user}"));
        assert_eq!(again.text(), first.text());
    }
    restarted.stop();
}
