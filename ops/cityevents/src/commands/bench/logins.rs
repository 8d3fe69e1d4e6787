//! Signing in, open loop, and the joins that people make meanwhile: what a storm of logins does to
//! them, in one run. Joins alone and joins beside logins take turns, so that both meet the machine as
//! it is at that time.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use tokio::task::JoinSet;

use super::Plan;
use super::http::{expected, prime, run, with_events};
use super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use super::stage::{Stage, load_runtime};
use crate::load::client::Connection;
use crate::load::joins::Offer;
use crate::load::open_loop::{Latencies, Schedule};
use crate::load::raw::RawConnection;

/// Logins due each second: a little more than the goal.
const LOGINS_PER_SECOND: u32 = 75;
/// Who signs in, one after the other.
const ACCOUNTS: usize = 32;
/// Logins and joins at the same time, at most.
const LOGIN_CONNECTIONS: usize = 32;
const JOIN_CONNECTIONS: usize = 64;
/// Each measures joins alone, and then beside logins.
const ROUNDS: u32 = 3;
/// What is so late is a failure of the server, and given up.
const LATE_MAX: Duration = Duration::from_secs(10);
const PASSWORD: &str = "correct horse battery";

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let stage = Stage::start(folder.path(), |_| Ok(()))?;
    let load = load_runtime()?;
    let http = stage.http;
    let requests = Arc::new(run(&load, register(http))?);
    let (joins, _) = prime(&stage, &load)?;
    let rate = plan.rate.max(1);
    let offer = Offer {
        rate: Some(rate),
        connections: JOIN_CONNECTIONS,
        warm_up: plan.warm_up / ROUNDS,
        seconds: plan.seconds / ROUNDS,
        late_max: LATE_MAX,
        is_all: false,
    };
    let phase = offer.warm_up + offer.seconds;
    let mut joins = with_events(joins, &stage, &load, expected(Some(rate), phase * 2 * ROUNDS))?;
    let (mut alone, mut beside) = (Latencies::new()?, Latencies::new()?);
    let mut signed_in = SignedIn::new()?;
    let mut spent = Spent::default();
    for _ in 0..ROUNDS {
        let (left, counted) = run(&load, joins.offer(offer))?;
        alone.add(&counted.accepted)?;
        let (before, times) = (process_cpu(), ThreadTimes::now());
        let requests = requests.clone();
        let ((left, counted), told) = run(&load, async move {
            tokio::try_join!(left.offer(offer), sign_in(http, requests, offer))
        })?;
        spent.cpu += (process_cpu() - before).as_secs_f64();
        spent.threads = ThreadTimes::now().since(&times);
        beside.add(&counted.accepted)?;
        signed_in.add(&told)?;
        joins = left;
    }
    stage.stop();
    let measured = offer.seconds * ROUNDS;
    let mut conditions = format!(
        "argon2id, 19 MiB, 2 passes; open loop, {LOGINS_PER_SECOND}/s due, {LOGIN_CONNECTIONS} \
         connections, {rate} joins/s due meanwhile; {ROUNDS} rounds of joins alone and joins beside \
         logins; processor seconds while both {:.1}, in the last round {}",
        spent.cpu, spent.threads
    );
    if signed_in.others > 0 {
        let _ = write!(conditions, "; other answers {}", signed_in.others);
    }
    let moved = (beside.percentile_ms(99.0) / alone.percentile_ms(99.0).max(0.001) - 1.0) * 100.0;
    Ok(vec![
        Row::new("P12 logins", per_second(signed_in.done, measured), "/s")
            .goal(Goal::AtLeast(70.0))
            .under(conditions),
        Row::new("    p50", signed_in.latencies.percentile_ms(50.0), "ms")
            .under("from the due time"),
        Row::new("    p99", signed_in.latencies.percentile_ms(99.0), "ms"),
        Row::new("    joins alone, p50", alone.percentile_ms(50.0), "ms"),
        Row::new("    joins alone, p99", alone.percentile_ms(99.0), "ms"),
        Row::new("    joins beside logins, p50", beside.percentile_ms(50.0), "ms"),
        Row::new("    joins beside logins, p99", beside.percentile_ms(99.0), "ms"),
        Row::new("P12 how far logins move the p99 of joins", moved, "%").goal(Goal::AtMost(15.0)),
    ])
}

/// What the work took.
#[derive(Default)]
struct Spent {
    cpu: f64,
    threads: String,
}

/// What came of logins.
struct SignedIn {
    /// In the measured time.
    done: u64,
    /// Answers that were no login.
    others: u64,
    /// Of logins that were due in the measured time, from the due time.
    latencies: Latencies,
}

impl SignedIn {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { done: 0, others: 0, latencies: Latencies::new()? })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.done += other.done;
        self.others += other.others;
        self.latencies.add(&other.latencies)
    }
}

/// Makes the accounts, and returns what each sends to sign in.
async fn register(http: SocketAddr) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::open(http).await?;
    let mut requests = Vec::new();
    for number in 0..ACCOUNTS {
        let body = json!({ "email": format!("{number}@bench.test"), "password": PASSWORD });
        let body = body.to_string();
        let (status, answer) =
            connection.post_json("/api/auth/register", body.clone().into_bytes()).await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(status == hyper::StatusCode::CREATED, "registering was answered with {answer}");
        requests.push(format!(
            "POST /api/auth/login HTTP/1.1\r\nhost: {http}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
    Ok(requests)
}

async fn sign_in(
    http: SocketAddr,
    requests: Arc<Vec<String>>,
    offer: Offer,
) -> anyhow::Result<SignedIn> {
    let start = Instant::now();
    let window = (start + offer.warm_up, start + offer.warm_up + offer.seconds);
    let schedule = Schedule { start, rate: Some(LOGINS_PER_SECOND) };
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..LOGIN_CONNECTIONS {
        let (requests, next) = (requests.clone(), next.clone());
        workers.spawn(async move {
            let mut connection = RawConnection::open(http).await?;
            let mut told = SignedIn::new()?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = schedule.due(number);
                if due >= window.1 || Instant::now() >= window.1 {
                    return anyhow::Ok(told);
                }
                tokio::time::sleep_until(due.into()).await;
                let request = &requests[usize::try_from(number)? % ACCOUNTS];
                let status = connection.exchange(request.as_bytes()).await?.status;
                let now = Instant::now();
                if status != 200 {
                    told.others += 1;
                    continue;
                }
                told.done += u64::from(now >= window.0 && now < window.1);
                if due >= window.0 {
                    told.latencies.record(now - due);
                }
            }
        });
    }
    let mut all = SignedIn::new()?;
    while let Some(worker) = workers.join_next().await {
        all.add(&worker??)?;
    }
    Ok(all)
}
