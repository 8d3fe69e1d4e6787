//! Writes over HTTP through a whole instance, of its own or a running one: joins, or events made
//! and published.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cityevents_processors::projection;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Plan;
use super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use super::processes::{CLIENT, between};
use super::stage::{Stage, load_runtime};
use crate::admin::{self, Question};
use crate::load::crowd::Person;
use crate::load::joins::{Counted, Joins, Offer};
use crate::load::open_loop::{Latencies, Schedule};
use crate::load::raw::RawConnection;

/// People who join; each event is the hot one until all of them have joined it.
const PEOPLE: usize = 20_000;
/// Requests at the same time.
const CONNECTIONS: usize = 256;
/// More joins a second than this are not prepared for.
const JOINS_PER_SECOND_MAX: u64 = 60_000;
/// Open loop: what is so late is a failure of the server, and given up.
const LATE_MAX: Duration = Duration::from_secs(10);
/// Nothing in the way.
const NO_TIME: Duration = Duration::ZERO;

pub(super) fn measure_joins(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let stage = match &plan.target.url {
        Some(url) => Stage::attach(url, &plan.target)?,
        None => Stage::start(folder.path(), |_| Ok(()))?,
    };
    let load = load_runtime()?;
    let (joins, cold) = prime(&stage, &load)?;
    let rate = (plan.rate > 0).then_some(plan.rate);
    let joins = match plan.target.events {
        1 => with_events(joins, &stage, &load, expected(rate, plan.warm_up + plan.seconds))?,
        many => joins.spread_over(stage.publish(&load, many as usize)?),
    };
    let offer = Offer {
        rate,
        connections: CONNECTIONS,
        warm_up: plan.warm_up,
        seconds: plan.seconds,
        late_max: LATE_MAX,
        is_all: false,
    };
    let before = plan.processes.now();
    let measured = offer_and_time(joins, &load, offer)?;
    let spent = between(&before, &plan.processes.now());
    let mut conditions = conditions_of(plan, &measured);
    if plan.target.url.is_some() {
        let _ = write!(conditions, "; {}", projection_lag(&stage)?);
        for (name, seconds) in spent.iter().filter(|(name, _)| *name != CLIENT) {
            let _ = write!(conditions, "; {name} {seconds:.1} s");
        }
    }
    stage.stop();
    let counted = &measured.counted;
    let latency = |percent| counted.accepted.percentile_ms(percent);
    let accepted =
        Row::new("P6 accepted joins over HTTP", per_second(counted.of(200), plan.seconds), "/s");
    let (p50, p99) =
        (Row::new("    p50", latency(50.0), "ms"), Row::new("    p99", latency(99.0), "ms"));
    let (p50, p99) = match (rate, &plan.target.url) {
        (None, _) => (p50, p99),
        (Some(_), None) => (p50, p99.goal(Goal::AtMost(50.0))),
        (Some(_), Some(_)) => (p50.goal(Goal::AtMost(8.0)), p99.goal(Goal::AtMost(25.0))),
    };
    Ok(vec![
        match rate {
            None => accepted.goal(Goal::AtLeast(15_000.0)),
            Some(_) => accepted,
        }
        .under(conditions),
        p50.under("from the due time"),
        Row::new("    p95", latency(95.0), "ms"),
        p99,
        Row::new("    joins with tokens never seen before", cold, "/s")
            .under("closed loop, each with a signature to check"),
    ])
}

fn conditions_of(plan: &Plan, measured: &Measured) -> String {
    let Measured { counted, cpu, threads, .. } = measured;
    let others: u64 = counted.answers.values().sum::<u64>() - counted.of(200);
    let how = match plan.rate {
        0 => "closed loop".to_owned(),
        rate => format!("open loop, {rate}/s due"),
    };
    let what = match plan.target.events {
        1 => "one hot event".to_owned(),
        many => format!("{many} events at the same time"),
    };
    format!(
        "durable, {what}, {how}, {CONNECTIONS} connections; other answers {others}, given up \
         unsent {}; processor seconds of this process {cpu:.1}: {threads}",
        counted.unsent
    )
}

/// How far the tables are behind, asked while it is still so.
fn projection_lag(stage: &Stage) -> anyhow::Result<String> {
    let answer = admin::ask_running(stage.ops, &Question::Lag { groups: Vec::new() })?;
    let rows = answer["rows"].as_array().context("the lag is not a list")?;
    let rows = rows
        .iter()
        .filter(|row| row["group"].as_str().is_some_and(|group| group.ends_with(projection::NAME)));
    let (mut records, mut seconds) = (0, 0.0_f64);
    for row in rows {
        records += row["records"].as_u64().unwrap_or(0);
        seconds = seconds.max(row["seconds"].as_f64().unwrap_or(0.0));
    }
    Ok(format!("projection {records} records, {seconds:.1} s behind"))
}

/// Joins that will be asked for in a time, at most.
pub(super) fn expected(rate: Option<u32>, time: Duration) -> u64 {
    let rate = rate.map_or(JOINS_PER_SECOND_MAX, u64::from);
    (rate as f64 * time.as_secs_f64()) as u64
}

/// Everybody joins once: tokens are known from then on. Also how many a second.
pub(super) fn prime(stage: &Stage, load: &Runtime) -> anyhow::Result<(Joins, f64)> {
    let people = stage.people(PEOPLE)?;
    let events = stage.publish(load, 1)?;
    let joins = Joins::new(stage.http, people, events);
    let offer = Offer {
        rate: None,
        connections: CONNECTIONS,
        warm_up: NO_TIME,
        seconds: Duration::from_secs(600),
        late_max: LATE_MAX,
        is_all: true,
    };
    let started = Instant::now();
    let (joins, counted) = run(load, joins.offer(offer))?;
    let took = started.elapsed();
    ensure!(
        counted.of(200) == PEOPLE as u64,
        "of {PEOPLE} people who joined first only {} were accepted: {:?}",
        counted.of(200),
        counted.answers
    );
    Ok((joins, per_second(PEOPLE as u64, took)))
}

/// Runs on the load's own threads, not on this one.
pub(super) fn run<T: Send + 'static>(
    load: &Runtime,
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    load.block_on(async { load.spawn(work).await? })
}

/// Makes events until so many joins can be asked for.
pub(super) fn with_events(
    mut joins: Joins,
    stage: &Stage,
    load: &Runtime,
    expected: u64,
) -> anyhow::Result<Joins> {
    let missing = expected.saturating_sub(joins.left()).div_ceil(PEOPLE as u64);
    joins.add_events(stage.publish(load, usize::try_from(missing)? + 1)?);
    Ok(joins)
}

/// What came of an offer, and what it took.
pub(super) struct Measured {
    pub(super) joins: Joins,
    pub(super) counted: Counted,
    /// Processor seconds of the process, warm-up included.
    pub(super) cpu: f64,
    pub(super) threads: String,
}

pub(super) fn offer_and_time(
    joins: Joins,
    load: &Runtime,
    offer: Offer,
) -> anyhow::Result<Measured> {
    let (before, times) = (process_cpu(), ThreadTimes::now());
    let (joins, counted) = run(load, joins.offer(offer))?;
    let cpu = (process_cpu() - before).as_secs_f64();
    let threads = ThreadTimes::now().since(&times);
    Ok(Measured { joins, counted, cpu, threads })
}

/// Makes events and publishes them, each pair one after the other.
pub(super) fn measure_writes(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let stage = match &plan.target.url {
        Some(url) => Stage::attach(url, &plan.target)?,
        None => Stage::start(folder.path(), |_| Ok(()))?,
    };
    let load = load_runtime()?;
    let pairs = Arc::new(Pairs {
        address: stage.http.to_string(),
        people: stage.people(CONNECTIONS)?,
        body: String::from_utf8(Stage::event_body()?.to_vec())?,
        next: AtomicU64::new(0),
    });
    let start = Instant::now();
    let rate = (plan.rate > 0).then_some(plan.rate);
    let schedule = Schedule { start, rate };
    let window = (start + plan.warm_up, start + plan.warm_up + plan.seconds);
    let (before, times) = (process_cpu(), ThreadTimes::now());
    let http = stage.http;
    let (done, latencies) = run(&load, async move {
        let mut workers = JoinSet::new();
        for person in 0..CONNECTIONS {
            let pairs = pairs.clone();
            workers.spawn(async move {
                let connection = RawConnection::open(http).await?;
                pairs.write(connection, person, schedule, window).await
            });
        }
        let (mut done, mut latencies) = (0, Latencies::new()?);
        while let Some(worker) = workers.join_next().await {
            let (count, waited) = worker??;
            done += count;
            latencies.add(&waited)?;
        }
        Ok((done, latencies))
    })?;
    let cpu = (process_cpu() - before).as_secs_f64();
    let threads = ThreadTimes::now().since(&times);
    stage.stop();
    let how = rate.map_or("closed loop".to_owned(), |rate| format!("open loop, {rate}/s due"));
    Ok(vec![
        Row::new("events created and published", per_second(done, plan.seconds), "pairs/s")
            .goal(Goal::AtLeast(5_000.0))
            .under(format!(
                "durable, {how}, two requests a pair, {CONNECTIONS} connections; processor \
                 seconds {cpu:.1}: {threads}"
            )),
        Row::new("    p50", latencies.percentile_ms(50.0), "ms")
            .under("of a pair, from its due time"),
        Row::new("    p99", latencies.percentile_ms(99.0), "ms"),
    ])
}

/// Who writes what.
struct Pairs {
    address: String,
    people: Vec<Person>,
    body: String,
    next: AtomicU64,
}

impl Pairs {
    async fn write(
        &self,
        mut connection: RawConnection,
        person: usize,
        schedule: Schedule,
        window: (Instant, Instant),
    ) -> anyhow::Result<(u64, Latencies)> {
        let (mut done, mut latencies) = (0, Latencies::new()?);
        let mut request = String::new();
        let bearer = &self.people[person].bearer;
        loop {
            let due = schedule.due(self.next.fetch_add(1, Ordering::Relaxed));
            if due >= window.1 || Instant::now() >= window.1 {
                return Ok((done, latencies));
            }
            if schedule.rate.is_some() {
                tokio::time::sleep_until(due.into()).await;
            }
            self.write_request(&mut request, "/api/events", bearer, &self.body)?;
            let answer = connection.exchange(request.as_bytes()).await?;
            if answer.status != 201 {
                bail!("creating an event was answered with {}", answer.status);
            }
            let event: Value = serde_json::from_slice(answer.body)?;
            let id = event["id"].as_str().context("an event without id")?;
            let path = format!("/api/events/{id}/publish");
            self.write_request(&mut request, &path, bearer, "")?;
            let answer = connection.exchange(request.as_bytes()).await?;
            if answer.status != 200 {
                bail!("publishing an event was answered with {}", answer.status);
            }
            let now = Instant::now();
            if now >= window.0 && now < window.1 {
                done += 1;
                latencies.record(now - due);
            }
        }
    }

    fn write_request(
        &self,
        request: &mut String,
        path: &str,
        bearer: &str,
        body: &str,
    ) -> anyhow::Result<()> {
        let Self { address, .. } = self;
        request.clear();
        write!(request, "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {bearer}\r\n")?;
        if !body.is_empty() {
            request.push_str("content-type: application/json\r\n");
        }
        write!(request, "content-length: {}\r\n\r\n{body}", body.len())?;
        Ok(())
    }
}
