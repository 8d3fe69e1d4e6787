//! How fast commands are taken: `cargo run --release -p cityevents-ingest --example write_speed`.
//!
//! On the log of one machine in a temporary folder, everything in one process: an upload without
//! waiting (through the routes, no workers), the same with decisions, and joins one by one from
//! many tasks (through the client, with workers), then from so many tasks that most are refused.
//! Prints rates and the conditions.

#![allow(clippy::print_stdout, reason = "it is a report")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_ingest::{
    ClientOptions, CommandClient, IngestMetrics, IngestState, Reasons, Submitted, WriteOptions,
    router,
};
use cityevents_kit::Shutdown;
use cityevents_kit::config::{Config, Sources};
use cityevents_kit::keys::{ApiKeys, Scope};
use cityevents_kit::seal::{CursorSealer, InstanceSecret};
use cityevents_processors::registration::{NAME, Registration};
use cityevents_runtime::host::{Host, HostOptions, PanicPolicy};
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{Cleanup, Log, TimestampKind, TopicSpec};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::standby::Source;
use cityevents_runtime::worker::{WorkerOptions, make_task};
use cityevents_schemas::catalog::Timestamps;
use cityevents_schemas::message::ReplyVerdict;
use cityevents_schemas::topic;
use cityevents_views::Views;
use futures::StreamExt;
use tower::ServiceExt;

const PARTITIONS: u32 = 4;
const LINES: u32 = 600_000;
const LINES_A_FRAME: u32 = 400;
const JOINS: u32 = 200_000;
/// Tasks that join at the same time.
const TASKS: u32 = 512;
/// Tasks that join at the same time where that is far too many. Who is refused comes again after
/// [`PAUSE`].
const CROWD: u32 = 24_000;
const PAUSE: Duration = Duration::from_millis(150);
const OVERLOAD: Duration = Duration::from_secs(8);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{} processors, {PARTITIONS} partitions", std::thread::available_parallelism()?);
    runtime.block_on(async {
        let bench = Bench::start()?;
        let event = EventId::from_bytes([7; 16]);
        bench.upload("?wait=false", event, 0).await?;
        let host = bench.start_workers()?;
        let event = bench.open_event().await?;
        bench.upload("", event, 1).await?;
        bench.joins(event).await?;
        bench.overload(event).await?;
        drop(host);
        anyhow::Ok(())
    })
}

struct Bench {
    log: Arc<dyn Log>,
    client: CommandClient,
    state: IngestState,
    api_key: String,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log: Arc<dyn Log> = LocalLog::open(folder.path().join("log"), LocalOptions::default())?;
        for topic in [
            topic::EVENT_COMMANDS,
            topic::EVENT_FACTS,
            topic::COMMAND_REPLIES,
            topic::EVENT_COMMANDS_DLQ,
        ] {
            log.create_topic(&TopicSpec {
                name: topic.name.into(),
                partitions: topic.partitions(PARTITIONS),
                cleanup: Cleanup::Delete { retention: None },
                timestamps: match topic.timestamps {
                    Timestamps::Append => TimestampKind::LogAppend,
                    Timestamps::Create => TimestampKind::Create,
                },
                durable: topic.durable,
            })?;
        }
        let api_keys = ApiKeys::open(folder.path())?;
        let (_, api_key) = api_keys.create(&[Scope::Ingest], "speed")?;
        let metrics = IngestMetrics::unregistered();
        let client = CommandClient::start(&log, &ClientOptions::default(), metrics)?;
        let reasons = Reasons::new(Views::memory().person_keys);
        let write = WriteOptions { wait: Duration::from_secs(60), ..WriteOptions::default() };
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() })?.config;
        let sealer = CursorSealer::new(InstanceSecret::open(&config)?);
        let draining = Shutdown::new();
        let state = IngestState::new(client.clone(), reasons, api_keys, write, draining, sealer);
        let api_key = api_key.expose().to_owned();
        Ok(Self { log, client, state, api_key, _folder: folder })
    }

    fn start_workers(&self) -> anyhow::Result<Host> {
        let source = Source {
            topology: NAME,
            log: Arc::clone(&self.log),
            commands: topic::EVENT_COMMANDS.name.into(),
            facts: topic::EVENT_FACTS.name.into(),
            snapshots: None,
            clock: Arc::new(SystemClock),
            metrics: RuntimeMetrics::unregistered(),
        };
        let options =
            WorkerOptions::new(topic::COMMAND_REPLIES.name, topic::EVENT_COMMANDS_DLQ.name);
        let host = HostOptions {
            name: NAME,
            group: NAME.to_owned(),
            topics: vec![topic::EVENT_COMMANDS.name.into()],
            member: "speed".to_owned(),
            panics: PanicPolicy::default(),
        };
        let task = make_task(source, options, Registration::default);
        Ok(Host::start(&self.log, host, RuntimeMetrics::unregistered(), task)?)
    }

    /// An unlimited event that anybody can join.
    async fn open_event(&self) -> anyhow::Result<EventId> {
        let owner = Actor::Person { user: UserId::from_bytes([0xfe; 16]), role: Role::User };
        let now = jiff::Timestamp::now().as_millisecond();
        let fields = EventFields {
            title: "t".to_owned(),
            description: "d".to_owned(),
            city: "c".to_owned(),
            category: "k".to_owned(),
            location: String::new(),
            start_time: Timestamp::from_millis(now + 3_600_000),
            end_time: Timestamp::from_millis(now + 7_200_000),
            capacity: Capacity::Unlimited,
            waitlist_limit: None,
            opens_at: None,
            cover_image_ids: Vec::new(),
        };
        let id = CommandId::from_bytes([9; 16]);
        let event = EventId::of_create(&id);
        let steps = [
            (id, CommandKind::Create(Box::new(fields))),
            (CommandId::from_bytes([10; 16]), CommandKind::Publish),
        ];
        for (id, kind) in steps {
            let command = Command { id, digest: 0, event, actor: owner, kind };
            let done = self.client.submit(command, Duration::from_secs(60)).await?;
            anyhow::ensure!(is_accepted(&done), "the event cannot be made: {done:?}");
        }
        Ok(event)
    }

    async fn upload(&self, query: &str, event: EventId, round: u32) -> anyhow::Result<()> {
        let frames: Vec<_> = (0..LINES / LINES_A_FRAME)
            .map(|frame| {
                let numbers = frame * LINES_A_FRAME..(frame + 1) * LINES_A_FRAME;
                let line = |number| {
                    let user = person(round, number);
                    format!(
                        "{{\"type\":\"join\",\"event_id\":\"{event}\",\"user_id\":\"{user}\",\
                         \"idempotency_key\":\"speed\"}}\n"
                    )
                };
                Ok::<_, std::io::Error>(Bytes::from(numbers.map(line).collect::<String>()))
            })
            .collect();
        let request = Request::post(format!("/api/ingest{query}"))
            .header("x-api-key", &self.api_key)
            .body(Body::from_stream(futures::stream::iter(frames)))?;
        let began = Instant::now();
        let response = axum::Router::from(router(self.state.clone())).oneshot(request).await?;
        anyhow::ensure!(response.status() == 200, "answered {}", response.status());
        let mut answers = response.into_body().into_data_stream();
        let mut accepted = 0;
        while let Some(bytes) = answers.next().await {
            let bytes = bytes?;
            let text = std::str::from_utf8(&bytes)?;
            accepted += text.lines().filter(|line| line.contains("\"accepted\"")).count();
        }
        let seconds = began.elapsed().as_secs_f64();
        let rate = f64::from(LINES) / seconds / 1e3;
        println!("/api/ingest{query}: {accepted} of {LINES} accepted, {rate:.0} k lines/s");
        Ok(())
    }

    async fn joins(&self, event: EventId) -> anyhow::Result<()> {
        let began = Instant::now();
        let tasks = (0..TASKS).map(|task| {
            let client = self.client.clone();
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                let mut accepted = 0_u32;
                for number in (task..JOINS).step_by(TASKS as usize) {
                    let user = person(2, number);
                    let path = format!("/api/events/{event}/join");
                    let command = Command {
                        id: CommandId::derive(&user, "POST", &path, "speed"),
                        digest: 0,
                        event,
                        actor: Actor::Person { user, role: Role::User },
                        kind: CommandKind::Join,
                    };
                    let asked = Instant::now();
                    let done = client.submit(command, Duration::from_secs(60)).await;
                    slowest = slowest.max(asked.elapsed());
                    accepted += u32::from(done.is_ok_and(|done| is_accepted(&done)));
                }
                (accepted, slowest)
            })
        });
        let ended = futures::future::join_all(tasks).await;
        let seconds = began.elapsed().as_secs_f64();
        let (mut accepted, mut slowest) = (0, Duration::ZERO);
        for task in ended {
            let (count, longest) = task.context("a task panicked")?;
            accepted += count;
            slowest = slowest.max(longest);
        }
        let rate = f64::from(JOINS) / seconds / 1e3;
        println!(
            "submit from {TASKS} tasks: {accepted} of {JOINS} accepted, {rate:.0} k/s, slowest {} ms",
            slowest.as_millis()
        );
        Ok(())
    }
}

/// What one of the crowd has seen in the second half of the time.
#[derive(Default)]
struct Seen {
    accepted: u64,
    pending: u64,
    refused: u64,
    accepted_micros: Vec<u64>,
    refused_micros: Vec<u64>,
}

impl Bench {
    async fn overload(&self, event: EventId) -> anyhow::Result<()> {
        let began = Instant::now();
        let tasks = (0..CROWD).map(|task| {
            let client = self.client.clone();
            tokio::spawn(async move { crowd(&client, event, task, began).await })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut all = Seen::default();
        for task in futures::future::join_all(tasks).await {
            let seen = task.context("a task panicked")?;
            all.accepted += seen.accepted;
            all.pending += seen.pending;
            all.refused += seen.refused;
            all.accepted_micros.extend(seen.accepted_micros);
            all.refused_micros.extend(seen.refused_micros);
        }
        let rate = |count: u64| count as f64 / (OVERLOAD.as_secs_f64() / 2.0) / 1e3;
        let mut quantile = |which: &str, fraction: f64| {
            let micros = match which {
                "accepted" => &mut all.accepted_micros,
                _ => &mut all.refused_micros,
            };
            micros.sort_unstable();
            let at = (micros.len() as f64 * fraction) as usize;
            micros.get(at.min(micros.len().saturating_sub(1))).copied().unwrap_or_default() / 100
        };
        let (p50, p99) = (quantile("accepted", 0.5), quantile("accepted", 0.99));
        let (r50, r99) = (quantile("refused", 0.5), quantile("refused", 0.99));
        println!(
            "overload by {CROWD} tasks: {:.0} k/s accepted (p50 {} ms, p99 {} ms), {:.0} k/s \
             refused (p50 {} us, p99 {} us), {} pending, bound {}",
            rate(all.accepted),
            p50 / 10,
            p99 / 10,
            rate(all.refused),
            r50 * 100,
            r99 * 100,
            all.pending,
            self.client.admission().limit(),
        );
        Ok(())
    }
}

async fn crowd(client: &CommandClient, event: EventId, task: u32, began: Instant) -> Seen {
    let mut seen = Seen::default();
    let path = format!("/api/events/{event}/join");
    let mut number = 0;
    while began.elapsed() < OVERLOAD {
        let counts = began.elapsed() > OVERLOAD / 2;
        let asked = Instant::now();
        if client.check().is_err() {
            if counts {
                seen.refused += 1;
                seen.refused_micros.push(asked.elapsed().as_micros() as u64);
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        number += 1;
        let user = person(1_000 + number, task);
        let command = Command {
            id: CommandId::derive(&user, "POST", &path, "speed"),
            digest: 0,
            event,
            actor: Actor::Person { user, role: Role::User },
            kind: CommandKind::Join,
        };
        let done = client.submit(command, Duration::from_secs(2)).await;
        let micros = asked.elapsed().as_micros() as u64;
        match done {
            Ok(done) if is_accepted(&done) && counts => {
                seen.accepted += 1;
                seen.accepted_micros.push(micros);
            }
            Ok(Submitted::Pending(_)) if counts => seen.pending += 1,
            Ok(_) => {}
            Err(_) => {
                if counts {
                    seen.refused += 1;
                    seen.refused_micros.push(micros);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    seen
}

fn is_accepted(submitted: &Submitted) -> bool {
    matches!(submitted, Submitted::Decided(reply) if matches!(reply.verdict, ReplyVerdict::Accepted(_)))
}

fn person(round: u32, number: u32) -> UserId {
    let mut bytes = [0x70; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[4..8].copy_from_slice(&round.to_be_bytes());
    UserId::from_bytes(bytes)
}
