//! `kill -9` in the middle of a drop, again and again: what was acknowledged stays so.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::command_line::run_on;
use super::crowd::{self, Person, column};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web::{Answer, Connection};

const PEOPLE: usize = 600;
const CAPACITY: usize = 150;
const WAITING_MAX: usize = 250;
const CLIENTS: usize = 16;
const KILLS_JOINING: usize = 14;
const KILLS_LEAVING: usize = 6;
/// Longest wait for one decision: the instance is away now and then, but not for long.
const DECIDED_WITHIN: Duration = Duration::from_secs(180);
/// Between two tries of one request while the instance is away.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Where the instance listens now, and how many requests were answered for good.
struct Scene {
    http: Mutex<SocketAddr>,
    answered: Mutex<usize>,
    news: Condvar,
}

impl Scene {
    fn address(&self) -> SocketAddr {
        *self.http.lock().unwrap()
    }

    fn count_one(&self) {
        *self.answered.lock().unwrap() += 1;
        self.news.notify_all();
    }

    fn wait_for(&self, count: usize) {
        let answered = self.answered.lock().unwrap();
        let (_answered, timeout) =
            self.news.wait_timeout_while(answered, DEADLINE, |answered| *answered < count).unwrap();
        assert!(!timeout.timed_out(), "the drop came to a halt before answer {count}");
    }

    /// Asks with one key until there is a decision, however often the instance dies meanwhile.
    fn ask(
        &self,
        connection: &mut Option<Connection>,
        person: &Person,
        path: &str,
        key: &str,
    ) -> Answer {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < DECIDED_WITHIN, "nothing is decided about {path}");
            if connection.is_none() {
                *connection = Connection::open(self.address()).ok();
            }
            let answer = connection.as_mut().map(|open| crowd::post(open, person, path, key));
            match answer {
                Some(Ok(answer)) if answer.status == 200 || answer.status == 409 => return answer,
                Some(Ok(answer)) => {
                    assert!(matches!(answer.status, 202 | 503), "{}", answer.text());
                }
                Some(Err(_)) | None => *connection = None,
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    /// All of them ask, over a few connections; `kills` times the instance dies meanwhile.
    fn rush(
        &self,
        instance: &mut Option<Instance>,
        data: &Path,
        people: &[Person],
        path: &str,
        kills: &[(usize, Duration)],
    ) -> Vec<Answer> {
        *self.answered.lock().unwrap() = 0;
        let next = AtomicUsize::new(0);
        let told: Vec<Mutex<Option<Answer>>> = people.iter().map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut connection = None;
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(person) = people.get(index) else { break };
                        let key = format!("{path}-{}", person.user).replace('/', ".");
                        let answer = self.ask(&mut connection, person, path, &key);
                        *told[index].lock().unwrap() = Some(answer);
                        self.count_one();
                    }
                });
            }
            for (count, delay) in kills {
                self.wait_for(*count);
                // A random moment, not a moment at which something has happened.
                std::thread::sleep(*delay);
                instance.take().unwrap().kill();
                let restarted = Instance::start(data);
                *self.http.lock().unwrap() = restarted.http;
                *instance = Some(restarted);
            }
        });
        told.into_iter().map(|told| told.into_inner().unwrap().unwrap()).collect()
    }

    /// Asks all again with the same keys.
    fn assert_told_the_same(&self, people: &[Person], path: &str, told: &[Answer]) {
        let mut connection = None;
        for (person, first) in people.iter().zip(told).filter(|(_, told)| told.status == 200) {
            let key = format!("{path}-{}", person.user).replace('/', ".");
            let again = self.ask(&mut connection, person, path, &key);
            assert_eq!(again.text(), first.text(), "{}", person.user);
        }
    }
}

fn moments(random: &mut StdRng, requests: usize, kills: usize) -> Vec<(usize, Duration)> {
    let moments: BTreeSet<_> =
        std::iter::repeat_with(|| random.random_range(1..requests - CLIENTS))
            .scan(BTreeSet::new(), |seen, moment| {
                let is_enough = seen.len() == kills;
                seen.insert(moment);
                (!is_enough).then_some(moment)
            })
            .collect();
    let delay = |random: &mut StdRng| Duration::from_micros(random.random_range(0..5_000));
    moments.into_iter().map(|moment| (moment, delay(random))).collect()
}

#[test]
fn twenty_kills_during_a_drop_break_no_promise() {
    let seed = std::env::var("CITYEVENTS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("seed: CITYEVENTS_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let started = Instance::start(data);
    let everybody = crowd::people(data, PEOPLE + 1);
    let (owner, people) = everybody.split_first().unwrap();
    let event = crowd::publish(started.http, owner, CAPACITY as u32, WAITING_MAX as u32);
    let scene =
        Scene { http: Mutex::new(started.http), answered: Mutex::new(0), news: Condvar::new() };
    let mut instance = Some(started);

    let path = format!("/api/events/{event}/join");
    let kills = moments(&mut random, PEOPLE, KILLS_JOINING);
    let told = scene.rush(&mut instance, data, people, &path, &kills);
    let word = |answer: &Answer| answer.json()["status"].as_str().unwrap_or_default().to_owned();
    let with = |wanted: &str| -> Vec<(&Person, &Answer)> {
        people.iter().zip(&told).filter(|(_, answer)| word(answer) == wanted).collect()
    };
    let active: Vec<_> = with("active").into_iter().map(|(person, _)| person.clone()).collect();
    let mut waiting = with("waitlisted");
    waiting.sort_by_key(|(_, answer)| answer.json()["position"].as_u64());
    let positions: Vec<_> =
        waiting.iter().filter_map(|(_, answer)| answer.json()["position"].as_u64()).collect();
    let waiting: Vec<_> = waiting.into_iter().map(|(person, _)| person.user.clone()).collect();
    assert_eq!(active.len(), CAPACITY);
    assert_eq!(positions, (1..=WAITING_MAX as u64).collect::<Vec<_>>());
    assert!(told.iter().all(|answer| answer.status == 200 || answer.code() == "event_full"));
    let active_users: Vec<_> = active.iter().map(|person| person.user.clone()).collect();
    assert_state(&scene, owner, &event, &active_users, &waiting);
    scene.assert_told_the_same(people, &path, &told);

    let leavers = &active[..CAPACITY - 50];
    let path = format!("/api/events/{event}/cancel");
    let kills = moments(&mut random, leavers.len(), KILLS_LEAVING);
    let left = scene.rush(&mut instance, data, leavers, &path, &kills);
    assert!(left.iter().all(|answer| word(answer) == "canceled"));
    let (promoted, still_waiting) = waiting.split_at(leavers.len());
    let inside = [&active_users[leavers.len()..], promoted].concat();
    assert_state(&scene, owner, &event, &inside, still_waiting);
    scene.assert_told_the_same(leavers, &path, &left);
    assert_state(&scene, owner, &event, &inside, still_waiting);

    assert_explained(data, &event, &active_users, &waiting);
    let report = run_on(data, &["audit", "--output", "json"]).json();
    assert_eq!(report["active"], CAPACITY);
    assert_eq!(report["pending"], 0, "{report}");
    instance.unwrap().stop();
    let stopped = run_on(data, &["audit", "--output", "json"]).json();
    assert_eq!((&stopped["active"], &stopped["facts"]), (&report["active"], &report["facts"]));
}

/// The tables show exactly this, as soon as the projection has come so far.
fn assert_state(scene: &Scene, owner: &Person, event: &str, active: &[String], waiting: &[String]) {
    let list = |what| crowd::list(scene.address(), owner, &format!("/api/events/{event}/{what}"));
    let expected: BTreeSet<_> = active.iter().cloned().collect();
    poll_for(DEADLINE, || column(&list("waitlist"), "user_id") == waiting);
    let shown = column(&list("participants"), "user_id");
    assert_eq!(shown.len(), expected.len(), "somebody is there twice, or too many are");
    assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// In the order of the log: first those with a place, then the line, each once.
fn assert_explained(data: &Path, event: &str, active: &[String], waiting: &[String]) {
    let explained = run_on(data, &["explain", "--event", event, "--output", "json"]).json();
    let steps = explained["steps"].as_array().unwrap();
    let joined = |step: &&Value| step["command"] == "join" && step["verdict"] == "accepted";
    let mut joins: Vec<_> = steps.iter().filter(joined).collect();
    joins.sort_by_key(|step| step["command_offset"].as_u64());
    let order: Vec<_> = joins.iter().map(|step| step["actor"].as_str().unwrap()).collect();
    assert_eq!(order.len(), active.len() + waiting.len());
    let first: BTreeSet<_> = order[..active.len()].iter().copied().collect();
    assert_eq!(first, active.iter().map(|user| &**user).collect());
    assert_eq!(order[active.len()..], *waiting);
}
