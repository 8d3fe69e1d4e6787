//! Bulk upload: newline-delimited joins in long streaming bodies.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use cityevents_domain::ids::EventId;
use cityevents_kit::keys::{ApiKeys, Scope};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Plan;
use super::http::run;
use super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use super::stage::{Stage, load_runtime};
use super::workload::user_of;
use crate::cli::Usage;
use crate::load::client::Connection;

/// Uploads at the same time.
const UPLOADS: u64 = 4;
/// Lines in one part of a body.
const PART_LINES: u64 = 512;
/// A running instance has to know a new key by then.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Events that the lines are about.
const EVENTS: usize = 64;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    Ok(vec![
        upload(plan, false)?.goal(Goal::AtLeast(150_000.0)),
        upload(plan, true)?.goal(Goal::AtLeast(50_000.0)),
    ])
}

fn upload(plan: &Plan, waits: bool) -> anyhow::Result<Row> {
    let folder = plan.folder()?;
    let mut key = String::new();
    let mut make_key = |keys: &Path| {
        let (_, secret) = ApiKeys::open(keys)?.create(&[Scope::Ingest], "bench")?;
        key.push_str(secret.expose());
        anyhow::Ok(())
    };
    let stage = match (&plan.target.url, &plan.target.keys) {
        (Some(url), Some(keys)) => {
            make_key(keys)?;
            let stage = Stage::attach(url, &plan.target)?;
            wait_until_known(stage.http, &key)?;
            stage
        }
        (Some(_), None) => {
            let say =
                "ingest makes an API key: --url needs --keys, the folder of the instance's keys";
            return Err(Usage(say.to_owned()).into());
        }
        _ => Stage::start(folder.path(), |config| make_key(&config.keys_dir()))?,
    };
    let load = load_runtime()?;
    let events: Result<Vec<EventId>, _> =
        stage.publish(&load, EVENTS)?.iter().map(|event| event.parse()).collect();
    let events = events.map_err(|error| anyhow::anyhow!("an event's id: {error}"))?;
    let start = Instant::now();
    let upload = Arc::new(Upload {
        address: stage.http,
        key,
        waits,
        events,
        window: (start + plan.warm_up, start + plan.warm_up + plan.seconds),
        accepted: AtomicU64::new(0),
        others: AtomicU64::new(0),
        next: AtomicU64::new(0),
    });
    let (before, times) = (process_cpu(), ThreadTimes::now());
    let shared = upload.clone();
    run(&load, async move {
        let mut uploads = JoinSet::new();
        for _ in 0..UPLOADS {
            uploads.spawn(shared.clone().send());
        }
        while let Some(sent) = uploads.join_next().await {
            sent??;
        }
        Ok(())
    })?;
    let cpu = (process_cpu() - before).as_secs_f64();
    let threads = ThreadTimes::now().since(&times);
    stage.stop();
    let others = upload.others.load(Ordering::Relaxed);
    ensure!(others == 0, "{others} lines were not accepted");
    let what = if waits { "P7 ingest, decided" } else { "P7 ingest, accepted (wait=false)" };
    let accepted = upload.accepted.load(Ordering::Relaxed);
    Ok(Row::new(what, per_second(accepted, plan.seconds), "/s").under(format!(
        "durable, {UPLOADS} streaming uploads, joins of {EVENTS} events, decided beside it; \
         processor seconds {cpu:.1}: {threads}"
    )))
}

/// The running instance looks at its keys now and then only.
fn wait_until_known(http: SocketAddr, key: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bearer = format!("Bearer {key}");
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let status = runtime.block_on(async {
            let mut connection = Connection::open(http).await?;
            let headers = [("authorization", bearer.as_str())];
            let sent = connection.send(Method::POST, "/api/ingest", &headers, Bytes::new());
            anyhow::Ok(sent.await?.status)
        })?;
        if status != StatusCode::UNAUTHORIZED {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the instance does not know keys of --keys");
        std::thread::sleep(LOOK_EVERY);
    }
}

struct Upload {
    address: SocketAddr,
    key: String,
    waits: bool,
    events: Vec<EventId>,
    window: (Instant, Instant),
    accepted: AtomicU64,
    others: AtomicU64,
    next: AtomicU64,
}

impl Upload {
    async fn send(self: Arc<Self>) -> anyhow::Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the upload; what breaks it shows in the answer.
        tokio::spawn(connection);
        let source = self.clone();
        let parts = futures::stream::unfold(source, |source| async move {
            let part = source.part()?;
            Some((Ok::<_, std::convert::Infallible>(Frame::data(part)), source))
        });
        let request = Request::post(format!("/api/ingest?wait={}", self.waits))
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/x-ndjson")
            .body(StreamBody::new(Box::pin(parts)))?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == StatusCode::OK, "the upload was answered {}", answer.status());
        let mut body = answer.into_body();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            rest.extend_from_slice(&data);
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.count(&rest[..end])?;
            rest.drain(..end);
        }
        ensure!(rest.is_empty(), "the answer ends within a line");
        Ok(())
    }

    fn count(&self, lines: &[u8]) -> anyhow::Result<()> {
        let text = std::str::from_utf8(lines)?;
        let all = text.lines().count() as u64;
        let accepted = text.matches(r#","status":"accepted","#).count() as u64;
        self.others.fetch_add(all - accepted, Ordering::Relaxed);
        let now = Instant::now();
        if now >= self.window.0 && now < self.window.1 {
            self.accepted.fetch_add(accepted, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The next lines; `None` when the time is over.
    fn part(&self) -> Option<Bytes> {
        if Instant::now() >= self.window.1 {
            return None;
        }
        let first = self.next.fetch_add(PART_LINES, Ordering::Relaxed);
        let mut part = String::with_capacity(PART_LINES as usize * 190);
        for number in first..first + PART_LINES {
            let event = self.events.get(number as usize % self.events.len())?;
            let user = user_of(number);
            // Writing into a text cannot fail.
            let _written = writeln!(
                part,
                r#"{{"type":"join","event_id":"{event}","user_id":"{user}","idempotency_key":"{number}"}}"#
            );
        }
        Some(Bytes::from(part))
    }
}
