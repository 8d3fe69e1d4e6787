//! A database that does not answer: frozen by SIGSTOP, and killed. On a server of its own, since
//! others share the usual one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Breaker, BreakerOptions, BreakerState};
use cityevents_views::scylla::{ScyllaOptions, ScyllaViews, migrate};
use cityevents_views::testing::build::{active, counters, event_id, user_id};
use cityevents_views::testing::done;
use cityevents_views::{Mutation, PersonKey, Views, ViewsError, WriteTimestamp};
use futures::executor::block_on;

use crate::keyspaces::{RUNTIME, breaker, options, registry};

/// Who waits takes so long, and who does not takes less, on a busy machine too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
const OPEN_FOR: Duration = Duration::from_secs(3);

/// Whatever is waited for comes long before this.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server of its own, stopped at the end.
struct Server {
    data: tempfile::TempDir,
    port_base: u16,
}

impl Server {
    fn start() -> Self {
        // Its own process id spreads runs over ports that are not asked for by others; the system gives
        // those from 32,768 on to whoever asks for any.
        let port_base = 30_000 + (std::process::id() % 270) as u16 * 10;
        let server = Self { data: tempfile::tempdir().unwrap(), port_base };
        server.up();
        server
    }

    fn stack(&self, words: &[&str]) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/stack");
        let program: PathBuf = program.canonicalize().unwrap();
        let mut command = Command::new(program);
        let output = command.args(words).arg("--data").arg(self.data.path()).output().unwrap();
        let (said, complained) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "ops/stack {words:?}: {complained}");
        String::from_utf8(said).unwrap()
    }

    fn up(&self) {
        self.stack(&["up", "cassandra", "--port-base", &self.port_base.to_string()]);
    }

    fn address(&self) -> String {
        let said = self.stack(&["env"]);
        let line = said.lines().find_map(|line| line.split_once("CITYEVENTS_STACK_CASSANDRA="));
        line.unwrap().1.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is frozen cannot stop by itself.
        self.stack(&["kill", "cassandra"]);
        self.stack(&["down"]);
    }
}

struct Bench {
    views: Views,
    breaker: Breaker,
    registry: MetricsRegistry,
    server: Server,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start();
        let registry = registry();
        let breaker_options =
            BreakerOptions { failures: 5, open_for: OPEN_FOR, ..BreakerOptions::default() };
        let breaker = breaker(breaker_options, &registry);
        let patient =
            ScyllaOptions { nodes: vec![server.address()], ..options("cityevents_faults") };
        let adapter = RUNTIME.block_on(async {
            migrate(&patient).await.unwrap();
            let options = ScyllaOptions { request_timeout: REQUEST_TIMEOUT, ..patient };
            ScyllaViews::connect(options, breaker.clone(), &registry).await.unwrap()
        });
        Self { views: Views::of(adapter), breaker, registry, server }
    }

    fn read(&self, event: u64) -> Result<Option<cityevents_views::CountersRow>, ViewsError> {
        block_on(self.views.counters.counters(event_id(event)))
    }

    fn write(&self, rows: u64, timestamp: u64) -> Result<(), ViewsError> {
        let mutation =
            |user| Mutation::new(active(1, user, user as i64), WriteTimestamp(timestamp));
        block_on(self.views.write.write((0..rows).map(mutation).collect()))
    }

    /// Calls until one is answered.
    fn answered<T>(&self, call: impl Fn() -> Result<T, ViewsError>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match call() {
                Ok(answer) => return answer,
                Err(error) if Instant::now() < deadline => {
                    assert!(error.is_transient(), "{error}");
                    std::thread::yield_now();
                }
                Err(error) => panic!("not answered again: {error}"),
            }
        }
    }

    fn until(&self, state: BreakerState) {
        let deadline = Instant::now() + PATIENCE;
        while self.breaker.state() != state {
            assert!(Instant::now() < deadline, "the breaker never became {state:?}");
            std::thread::yield_now();
        }
    }

    /// Calls, side by side, that all fail; how long each took.
    fn all_fail(&self, calls: u64) -> Vec<Duration> {
        let call = |event| {
            let began = Instant::now();
            let error = self.read(event).unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), ("unavailable", true), "{error}");
            began.elapsed()
        };
        std::thread::scope(|scope| {
            let callers: Vec<_> =
                (0..calls).map(|event| scope.spawn(move || call(event))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        })
    }

    fn metric(&self, line: &str) -> f64 {
        let text = self.registry.encode().unwrap();
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("{line} is not in\n{text}"))
    }
}

#[test]
fn while_the_database_is_frozen_or_dead_calls_fail_at_once_and_afterwards_all_is_well() {
    let bench = Bench::new();
    bench.write(1_000, 1).unwrap();
    done(bench.views.write.write(vec![Mutation::new(counters(1, 7, 1), WriteTimestamp(1))]));
    assert!(bench.metric("cityevents_scylla_connections") >= 1.0);
    assert_eq!(bench.metric("cityevents_scylla_nodes_connected"), 1.0);

    bench.server.stack(&["freeze", "cassandra"]);
    // The first calls wait for their time limit, and open the breaker.
    bench.all_fail(16);
    bench.until(BreakerState::Open);
    // From then on nobody waits: so many would, for longer than it stays open. A refused write does
    // nothing either, however large.
    for _ in 0..1_000 {
        let error = bench.read(1).unwrap_err();
        assert!(error.retry_after().is_some_and(|after| after <= OPEN_FOR), "{error}");
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
    bench.until(BreakerState::HalfOpen);
    bench.until_probe_failed();
    assert!(bench.write(1_000, 2).unwrap_err().retry_after().is_some());
    assert!(
        bench.metric("cityevents_breaker_transitions_total{dependency=\"tables\",state=\"open\"}")
            >= 2.0
    );

    // A key asked for while nobody answers may have been written or not: one counts, in the end.
    bench.until(BreakerState::HalfOpen);
    let insert = |key| {
        let key = PersonKey([key; 32]);
        block_on(bench.views.person_keys.insert_person_key_if_absent(user_id(1), key))
    };
    assert_eq!(insert(1).unwrap_err().kind(), "unavailable");
    bench.server.stack(&["thaw", "cassandra"]);
    let row = bench.answered(|| bench.read(1));
    assert_eq!(row, Some(counters(1, 7, 1)));
    bench.until(BreakerState::Closed);
    let key = bench.answered(|| insert(2));
    let kept = bench.answered(|| block_on(bench.views.person_keys.person_key(user_id(1))));
    assert!(key.is_some() && key == kept);
    // What failed in part is written again in full.
    bench.answered(|| bench.write(1_000, 2));

    bench.server.stack(&["kill", "cassandra"]);
    bench.all_fail(16);
    bench.until(BreakerState::Open);
    bench.server.up();
    assert_eq!(bench.answered(|| bench.read(1)), Some(counters(1, 7, 1)));
    bench.answered(|| bench.write(1_000, 3));
    bench.until(BreakerState::Closed);
    assert_eq!(bench.metric("cityevents_scylla_requests_in_flight"), 0.0);
    let kept = bench.answered(|| block_on(bench.views.person_keys.person_key(user_id(1))));
    assert_eq!(key, kept);
}

impl Bench {
    /// A probe goes out, times out, and everything is refused again.
    fn until_probe_failed(&self) {
        let durations = self.all_fail(16);
        let waited = durations.iter().filter(|took| **took >= REQUEST_TIMEOUT).count();
        assert_eq!(waited, 1, "exactly one call is the probe: {durations:?}");
        self.until(BreakerState::Open);
    }
}
