//! The story of the runbook: `registration` is deployed so that it cannot read commands. Dead letters
//! come, somebody is woken up, the circuit stops the partition; the deployment goes back, the letters are
//! redriven, and tables made anew and an audit prove that nothing is missing and nothing is there twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use cityevents_schemas::{Record, SchemaIds as _};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process, poll_for};
use crate::rebuilt_registry::RebuiltRegistry;
use crate::trends::{publish, stage_on};
use crate::{registry, stack, web};

/// Keeps its name over both deployments, as a process of a cluster does.
const WORKER: &str = "worker-1";
/// Dead letters in a row before the circuit stops the partition.
const LETTERS: usize = 20;
/// Places at the event.
const PLACES: usize = 9;
/// Who joined before.
const BEFORE: usize = 3;
/// Whose commands come when the circuit is open already.
const WAITING: usize = 3;
const DEAD_LETTERS: &str = "cityevents_runtime_dead_letters_total";
const STOPPED: &str = "cityevents_runtime_tasks{task=\"registration\",state=\"stopped\"}";

/// What Prometheus would have taken, a folder a time.
struct Scrapes {
    folder: tempfile::TempDir,
    taken: Vec<PathBuf>,
}

impl Scrapes {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), taken: Vec::new() }
    }

    /// So many times, each with looks of the role `lag` that the time before did not have.
    fn take(&mut self, times: usize, worker: &Process<'_>, watching: &Process<'_>) {
        for _ in 0..times {
            let before = figure(watching, "cityevents_lag_looks_total");
            poll_for(|| (figure(watching, "cityevents_lag_looks_total") > before).then_some(()));
            let folder = self.folder.path().join(self.taken.len().to_string());
            std::fs::create_dir(&folder).unwrap();
            for (name, process) in [(WORKER, worker), ("lag-1", watching)] {
                std::fs::write(folder.join(name), page(process)).unwrap();
            }
            self.taken.push(folder);
        }
    }

    /// The alerts that the rules of the repository raise on them, as promtool says.
    fn firing(&self) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../metrics/firing.py");
        let done = Command::new(program).args(&self.taken).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

fn page(process: &Process<'_>) -> String {
    web::once(process.ops(), "GET", "/metrics", &[], b"").text()
}

fn figure(process: &Process<'_>, series: &str) -> Option<f64> {
    let page = page(process);
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn join(front: &Process<'_>, person: &str, event: &str) -> web::Answer {
    join_within(front, person, event, "wait=20")
}

/// Joins, and waits for the decision as long as is preferred.
fn join_within(front: &Process<'_>, person: &str, event: &str, prefer: &str) -> web::Answer {
    let headers = [("authorization", person), ("idempotency-key", "j"), ("prefer", prefer)];
    web::once(front.http(), "POST", &format!("/api/events/{event}/join"), &headers, b"")
}

fn place_of(front: &Process<'_>, person: &str, event: &str) -> String {
    let seen = web::get_as(front.http(), person, &format!("/api/events/{event}/view")).json();
    seen["participation"]["status"].as_str().unwrap_or("none").to_owned()
}

/// How much waits for `registration`: records, and seconds of the oldest.
fn behind(cluster: &Cluster) -> (u64, f64) {
    let said = cluster.run(&["lag", "--output", "json"]);
    let lag: Value = serde_json::from_str(&said.out).unwrap();
    let group = format!("{}registration", cluster.prefix());
    let rows = lag["rows"].as_array().unwrap().iter().filter(|row| row["group"] == group);
    rows.fold((0, 0.0), |(records, seconds), row| {
        let waits = row["seconds"].as_f64().unwrap_or(0.0);
        (records + row["records"].as_u64().unwrap(), f64::max(seconds, waits))
    })
}

fn letters(cluster: &Cluster) -> Vec<Value> {
    cluster.run(&["dlq", "list", "--output", "json"]).json().as_array().unwrap().clone()
}

/// A registry in which commands have another id than in the topic.
fn rebuilt_registry(cluster: &Cluster) -> RebuiltRegistry {
    let prefix = cluster.prefix().to_owned();
    let looking = registry::adapter::Options { register: false, ..registry::options(&prefix) };
    let ids = registry::connect(&looking).unwrap();
    RebuiltRegistry::start(&stack::registry(), ids.current(Record::EventCommand).unwrap())
}

#[test]
fn a_deployment_that_cannot_read_commands_is_stopped_taken_back_and_leaves_nothing_behind() {
    let cluster = Cluster::new("poison")
        .setting("CITYEVENTS__REGISTRY__URL", stack::registry())
        .setting("CITYEVENTS__LAG__EVERY", "100ms");
    cluster.run(&["topics", "create"]).good();
    let (cluster, _) = stage_on(cluster, "poison");
    let count = (1 + BEFORE + LETTERS + WAITING).to_string();
    let said = cluster.run(&["token", "--count", &count, "--ttl", "1h", "--output", "json"]).json();
    let bearer = |token: &Value| format!("Bearer {}", token["token"].as_str().unwrap());
    let people: Vec<_> = said.as_array().unwrap().iter().map(bearer).collect();
    let (owner, people) = people.split_first().unwrap();
    let (before, people) = people.split_at(BEFORE);
    let (poisoned, waiting) = people.split_at(LETTERS);

    let front = Process::start_with(&cluster, "ingest,api,projection,publisher").until_ready();
    let watching = Process::start_with(&cluster, "lag").until_ready();
    let good = Process::start_named(&cluster, "registration", WORKER).until_ready();
    let event = publish(front.http(), owner, "Show-1");
    for person in before {
        assert_eq!(join(&front, person, &event).status, 200);
    }
    let mut scrapes = Scrapes::new();
    scrapes.take(2, &good, &watching);
    let firing = scrapes.firing();
    assert!(!firing.contains("DeadLetters") && !firing.contains("TaskStopped"), "{firing}");
    good.stop();

    // The bad deployment. Its first commands become dead letters, and those behind them wait.
    let other = rebuilt_registry(&cluster);
    let settings = [("CITYEVENTS__REGISTRY__URL", &*other.url())];
    let bad = Process::start_otherwise(&cluster, "registration", WORKER, &settings).until_ready();
    for person in poisoned {
        assert_ne!(join(&front, person, &event).status, 200, "nobody could read it");
    }
    poll_for(|| (letters(&cluster).len() == LETTERS).then_some(()));
    for person in waiting {
        let taken = join_within(&front, person, &event, "wait=1");
        assert_eq!(taken.status, 202, "it is taken, and not decided");
    }
    let told = bad.until_not_ready("too many commands cannot be read");
    assert!(told.contains("A deployment is broken"), "{told}");
    assert_eq!(letters(&cluster).len(), LETTERS, "nothing more is moved");
    assert_eq!(figure(&bad, DEAD_LETTERS), Some(LETTERS as f64));
    assert_eq!(figure(&bad, STOPPED), Some(1.0));
    let (records, seconds) = behind(&cluster);
    assert_eq!(records, WAITING as u64);
    poll_for(|| (behind(&cluster).1 > seconds).then_some(()));

    // Somebody is woken up: by the rules of the repository, on what the processes say.
    let group = format!("{}registration", cluster.prefix());
    let verdict = |verdict: &str| {
        let page = page(&watching);
        let is_so = |line: &str| {
            line.starts_with("cityevents_lag_group_verdict{")
                && line.contains(&format!("group=\"{group}\""))
                && line.ends_with(verdict)
        };
        page.lines().any(is_so)
    };
    poll_for(|| verdict("} 4").then_some(()));
    scrapes.take(4, &bad, &watching);
    let firing = scrapes.firing();
    for alert in ["DeadLetters", "TaskStopped"] {
        assert!(firing.contains(&format!("alertname=\"{alert}\"")), "{alert} in {firing}");
    }
    let stalled = |firing: &str| {
        let is_ours = |line: &str| {
            line.contains("alertname=\"GroupDoesNotGetOn\"")
                && line.contains(&format!("group=\"{group}\""))
        };
        firing.lines().any(is_ours)
    };
    assert!(stalled(&firing), "{firing}");

    // It goes back: what waited is decided, and somebody who was put off asks once more.
    bad.stop();
    let good = Process::start_named(&cluster, "registration", WORKER).until_ready();
    for person in waiting {
        poll_for(|| (place_of(&front, person, &event) == "active").then_some(()));
    }
    assert_eq!(join(&front, &poisoned[0], &event).status, 200);
    poll_for(|| (behind(&cluster).0 == 0).then_some(()));
    poll_for(|| (!verdict("} 4")).then_some(()));
    scrapes.take(3, &good, &watching);
    let firing = scrapes.firing();
    assert!(!firing.contains("TaskStopped") && !stalled(&firing), "{firing}");
    let said = cluster.run(&["audit"]).good();
    assert!(
        said.contains("20 commands that nobody could read when they came can be read"),
        "{said}"
    );

    // The letters: all of one reason, redriven in their order, each once.
    let class = "unknown_schema";
    assert!(letters(&cluster).iter().all(|letter| letter["class"] == class));
    let redrive = ["dlq", "redrive", "--class", class, "--execute", "--output", "json"];
    let redriven = cluster.run(&redrive).json();
    let results = redriven.as_array().unwrap().iter().map(|row| row["result"].clone());
    assert_eq!(results.collect::<Vec<_>>(), vec![json!("redriven"); LETTERS]);
    assert_eq!(cluster.run(&redrive).json(), json!([]), "a second time there is nothing to do");
    let active = BEFORE + WAITING + 1;
    for (index, person) in poisoned.iter().enumerate() {
        let place = if active + index <= PLACES { "active" } else { "waitlisted" };
        poll_for(|| (place_of(&front, person, &event) == place).then_some(()));
    }

    // The proof: all promises, tables made anew, and everybody once.
    let report = cluster.run(&["audit", "--output", "json"]).json();
    assert_eq!(report["without_effect"]["undecodable"], LETTERS, "{report}");
    cluster.run(&["replay", "--into", "proof"]).good();
    cluster.run(&["replay", "diff", "proof"]).good();
    let show = ["replay", "show", "proof", "--event", &event, "--output", "json"];
    let shown = cluster.run(&show).json();
    let all = BEFORE + LETTERS + WAITING;
    assert_eq!((&shown["active"], &shown["waiting"]), (&PLACES.into(), &(all - PLACES).into()));
    let rows = shown["registrations"].as_array().unwrap();
    let users: BTreeSet<_> = rows.iter().map(|row| row["user"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), users.len()), (all, all), "{shown}");
    // What the bad deployment said stays in the log, and a good one says otherwise.
    let said = cluster.run(&["replay", "commands", "--output", "json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let decided: Value = serde_json::from_str(&said.out).unwrap();
    let differing =
        decided.as_array().unwrap().iter().map(|one| one["differing"].as_u64().unwrap());
    assert_eq!(differing.sum::<u64>(), LETTERS as u64, "{decided}");
    good.stop();
    front.stop();
    watching.stop();
}
