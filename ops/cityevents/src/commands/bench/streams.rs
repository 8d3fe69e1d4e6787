//! Live streams that are open all at once on one event: what they cost an instance in a process of
//! its own, and how long it takes until one join has reached all of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_kit::keys::{KeyRing, TokenSigner};
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::Plan;
use super::http::run;
use super::measure::{Goal, Row, resident_bytes};
use super::process::Process;
use super::processes::{Processes, Spent, between};
use super::stage::{ROOMY, load_runtime};
use crate::cli::Place;
use crate::load::client::Connection;
use crate::load::crowd::{Person, publish_event};

/// Streams that are open at once.
const STREAMS: usize = 10_000;
/// Streams that are being opened at once.
const OPENING: usize = 128;
/// A stream ends after five minutes, and all have to be open at the same time.
const WHOLE_MAX: Duration = Duration::from_secs(200);
/// Longest waits: for the instance, for all streams to open, for a join to reach all.
const READY_MAX: Duration = Duration::from_secs(60);
const OPENED_MAX: Duration = Duration::from_secs(60);
const REACHED_MAX: Duration = Duration::from_secs(30);
/// Messages of a stream are shorter than this.
const TAIL_BYTES: usize = 1_024;
const NAME: &str = "instance";
const MEGABYTE: f64 = 1_000_000.0;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    ensure!(plan.warm_up + plan.seconds <= WHOLE_MAX, "streams end before {WHOLE_MAX:?} are over");
    let folder = plan.folder()?;
    let data = folder.path().join("data");
    let mut instance = start(folder.path(), &data)?;
    let http = instance.wait_ready(READY_MAX)?.http.context("an instance listens")?;
    let config = Place { data: Some(data), ..Place::default() }.load(Vec::new())?.config;
    let signer = TokenSigner::new(KeyRing::open(&config.keys_dir())?, &config);
    let (owner, guest) = (Person::new(&signer, Role::User)?, Person::new(&signer, Role::User)?);
    let guests = (0..plan.seconds.as_secs()).map(|_| Person::new(&signer, Role::User));
    let guests = guests.collect::<anyhow::Result<Vec<_>>>()?;
    let load = load_runtime()?;
    let event = run(&load, async move {
        let mut connection = Connection::open(http).await?;
        publish_event(&mut connection, &owner, "Measured", ROOMY, None).await
    })?;
    let pid = instance.pid().to_string();
    let memory = || resident_bytes(&pid).context("the instance is gone");
    let empty = memory()?;
    let processes = Processes::default().with(NAME, Some(instance.pid()));
    let opening = Instant::now();
    let streams = run(&load, open(http, event.clone()))?;
    let opened = opening.elapsed();
    std::thread::sleep(plan.warm_up);
    let before = processes.now();
    std::thread::sleep(plan.seconds);
    let idle = between(&before, &processes.now());
    let (reached, streams) = run(&load, join(http, event.clone(), guest, streams))?;
    let before = processes.now();
    let (told, streams) = run(&load, join_each_second(http, event, guests, streams))?;
    let busy = between(&before, &processes.now());
    let full = memory()?;
    drop(streams);
    instance.kill()?;
    let of_a_core = |spent: &Spent| {
        spent.get(NAME).copied().unwrap_or(0.0) / plan.seconds.as_secs_f64() * 100.0
    };
    let (idle, busy) = (of_a_core(&idle), of_a_core(&busy));
    let each_second = told as f64 / plan.seconds.as_secs_f64();
    let a_stream = full.saturating_sub(empty) as f64 / STREAMS as f64 / 1_024.0;
    Ok(vec![
        Row::new("memory of an instance with 10,000 live streams", full as f64 / MEGABYTE, "MB")
            .goal(Goal::AtMost(500.0))
            .under(format!(
                "resident; {:.0} MB before; embedded, a process of its own; all opened in {:.1} s",
                empty as f64 / MEGABYTE,
                opened.as_secs_f64()
            )),
        Row::new("    a stream", a_stream, "KiB"),
        Row::new("    processor while nothing happens", idle, "% of a core"),
        Row::new("    one join has reached all", reached.as_secs_f64() * 1_000.0, "ms")
            .under("from sending it; the load generator reads on one thread"),
        Row::new("    updates a second while somebody joins each second", each_second, "/s")
            .goal(Goal::AtLeast(STREAMS as f64 * 0.99)),
        Row::new("    processor meanwhile", busy, "% of a core"),
    ])
}

fn start(folder: &std::path::Path, data: &std::path::Path) -> anyhow::Result<Process> {
    let data = data.to_str().context("the folder has a name that is no text")?;
    let listen = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let arguments = [&["dev", "--data", data][..], &listen].concat();
    let settings = [
        ("CITYEVENTS__LIMITS__ENABLED", "false".to_owned()),
        ("CITYEVENTS__TELEMETRY__ACCESS_LOG", "off".to_owned()),
        ("CITYEVENTS__TELEMETRY__LOG_LEVEL", "warn".to_owned()),
    ];
    Process::start(folder, NAME, 1, &arguments, &settings)
}

/// What all streams have seen.
#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    joined: AtomicUsize,
    /// Messages after those of the first join.
    told: AtomicUsize,
    news: Notify,
}

impl Seen {
    fn count(&self, of: &AtomicUsize) {
        if of.fetch_add(1, Ordering::AcqRel) + 1 == STREAMS {
            self.news.notify_one();
        }
    }

    async fn wait_for(&self, of: &AtomicUsize, longest: Duration) -> anyhow::Result<()> {
        let all = async {
            while of.load(Ordering::Acquire) < STREAMS {
                self.news.notified().await;
            }
        };
        let told = tokio::time::timeout(longest, all).await;
        told.with_context(|| format!("of {STREAMS} only {}", of.load(Ordering::Acquire)))
    }
}

/// Streams that are open; dropping this closes them.
struct Streams {
    seen: Arc<Seen>,
    readers: JoinSet<anyhow::Result<()>>,
}

async fn open(http: SocketAddr, event: String) -> anyhow::Result<Streams> {
    let seen = Arc::new(Seen::default());
    let places = Arc::new(Semaphore::new(OPENING));
    let mut readers = JoinSet::new();
    let request: Arc<str> = format!(
        "GET /api/events/{event}/live HTTP/1.1\r\nhost: {http}\r\naccept: text/event-stream\r\n\r\n"
    )
    .into();
    for _ in 0..STREAMS {
        let (seen, places, request) = (seen.clone(), places.clone(), request.clone());
        readers.spawn(async move {
            let place = places.acquire_owned().await?;
            let mut stream = TcpStream::connect(http).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut tail = Vec::with_capacity(TAIL_BYTES);
            read_until(&mut stream, &mut tail, b"\"active_participants\":0").await?;
            drop(place);
            seen.count(&seen.opened);
            read_until(&mut stream, &mut tail, b"\"active_participants\":1").await?;
            seen.count(&seen.joined);
            // Open until it is dropped.
            loop {
                read_until(&mut stream, &mut tail, b"\"active_participants\":").await?;
                seen.told.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut streams = Streams { seen, readers };
    streams.until(|seen| &seen.opened, OPENED_MAX).await.context("streams do not open")?;
    Ok(streams)
}

impl Streams {
    /// Waits for all of them, unless one fails.
    async fn until(
        &mut self,
        of: impl Fn(&Seen) -> &AtomicUsize,
        longest: Duration,
    ) -> anyhow::Result<()> {
        let seen = self.seen.clone();
        tokio::select! {
            told = seen.wait_for(of(&seen), longest) => told,
            Some(ended) = self.readers.join_next() => {
                ended??;
                bail!("a stream ended")
            }
        }
    }
}

/// Reads until a text was read, of which nothing is kept.
async fn read_until(stream: &mut TcpStream, tail: &mut Vec<u8>, text: &[u8]) -> anyhow::Result<()> {
    loop {
        if let Some(at) = tail.windows(text.len()).position(|window| window == text) {
            tail.drain(..at + text.len());
            return Ok(());
        }
        let kept = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..kept);
        ensure!(stream.read_buf(tail).await? > 0, "the server closed a stream");
    }
}

async fn join(
    http: SocketAddr,
    event: String,
    guest: Person,
    mut streams: Streams,
) -> anyhow::Result<(Duration, Streams)> {
    let mut connection = Connection::open(http).await?;
    let path = format!("/api/events/{event}/join");
    let sent = Instant::now();
    let answer = connection.post_as(&guest.bearer, &path, Some("once"), Bytes::new()).await?;
    ensure!(answer.status == StatusCode::OK, "the join was answered with {}", answer.status);
    streams.until(|seen| &seen.joined, REACHED_MAX).await.context("a join does not reach all")?;
    Ok((sent.elapsed(), streams))
}

/// Somebody joins each second, as many as there are. Says how many messages came of it.
async fn join_each_second(
    http: SocketAddr,
    event: String,
    guests: Vec<Person>,
    streams: Streams,
) -> anyhow::Result<(usize, Streams)> {
    let mut connection = Connection::open(http).await?;
    let path = format!("/api/events/{event}/join");
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let before = streams.seen.told.load(Ordering::Relaxed);
    for guest in guests {
        seconds.tick().await;
        let answer = connection.post_as(&guest.bearer, &path, Some("once"), Bytes::new()).await?;
        ensure!(answer.status == StatusCode::OK, "a join was answered with {}", answer.status);
    }
    // The last one has its second too.
    seconds.tick().await;
    Ok((streams.seen.told.load(Ordering::Relaxed) - before, streams))
}
