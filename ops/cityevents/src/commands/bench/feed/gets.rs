//! Reads over HTTP, at fixed times or as many as go, over connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::super::http::run;
use super::super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use crate::load::open_loop::{Latencies, Schedule};
use crate::load::raw::RawConnection;

/// Open loop: enough that a due request seldom waits for one of them.
const CONNECTIONS: usize = 64;
/// As many as go.
const CONNECTIONS_CLOSED: usize = 16;

/// What is asked for, over and over.
pub(super) struct Gets {
    pub(super) what: &'static str,
    /// Whole requests.
    pub(super) requests: Vec<Vec<u8>>,
}

/// How fast, for how long, and how slow an answer may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands::bench) struct Offered {
    /// Requests a second.
    pub(in crate::commands::bench) rate: u32,
    /// At most, for 99 of 100.
    pub(in crate::commands::bench) p99_ms: f64,
    pub(in crate::commands::bench) warm_up: Duration,
    pub(in crate::commands::bench) seconds: Duration,
}

/// What came of it.
pub(in crate::commands::bench) struct Answered {
    /// Answers in the time that was measured.
    pub(in crate::commands::bench) count: u64,
    pub(in crate::commands::bench) latencies: Latencies,
    pub(in crate::commands::bench) bytes: u64,
}

impl Gets {
    /// Requests for these paths.
    pub(super) fn new(
        what: &'static str,
        address: SocketAddr,
        paths: impl IntoIterator<Item = String>,
    ) -> Self {
        let request = |path: String| format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        Self { what, requests: paths.into_iter().map(|path| request(path).into_bytes()).collect() }
    }

    /// Offers them at a rate, and then as many as go.
    pub(super) fn measure(
        self,
        load: &Runtime,
        address: SocketAddr,
        offered: Offered,
    ) -> anyhow::Result<Vec<Row>> {
        let Self { what, requests } = self;
        let requests = Arc::new(requests);
        let (cpu, times) = (process_cpu(), ThreadTimes::now());
        let open = offer(load, address, &requests, Some(offered.rate), offered)?;
        let cpu = (process_cpu() - cpu).as_secs_f64();
        let threads = ThreadTimes::now().since(&times);
        let closed = offer(load, address, &requests, None, offered)?;
        let rate = per_second(open.count, offered.seconds);
        let latency = |percent| open.latencies.percentile_ms(percent);
        let goal = f64::from(offered.rate);
        Ok(vec![
            // What is due in the last moment is answered behind it.
            Row::new(format!("P11 {what}"), rate, "/s").goal(Goal::AtLeast(goal * 0.99)).under(
                format!(
                    "open loop, {} /s due, {CONNECTIONS} connections, {} bytes an answer; processor \
                     seconds {cpu:.1}: {threads}",
                    offered.rate,
                    open.bytes / open.count.max(1)
                ),
            ),
            Row::new("    p50", latency(50.0), "ms").under("from the due time"),
            Row::new("    p99", latency(99.0), "ms").goal(Goal::AtMost(offered.p99_ms)),
            Row::new("    as many as go", per_second(closed.count, offered.seconds), "/s").under(
                format!(
                    "closed loop, {CONNECTIONS_CLOSED} connections; p99 {:.2} ms",
                    closed.latencies.percentile_ms(99.0)
                ),
            ),
        ])
    }
}

/// Asks for all in turn.
pub(in crate::commands::bench) fn offer(
    load: &Runtime,
    address: SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    rate: Option<u32>,
    offered: Offered,
) -> anyhow::Result<Answered> {
    let start = Instant::now();
    let schedule = Schedule { start, rate };
    let window = (start + offered.warm_up, start + offered.warm_up + offered.seconds);
    let next = Arc::new(AtomicU64::new(0));
    let connections = if rate.is_some() { CONNECTIONS } else { CONNECTIONS_CLOSED };
    let requests = Arc::clone(requests);
    run(load, async move {
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
            workers.spawn(async move {
                let connection = RawConnection::open(address).await?;
                ask(connection, &requests, &next, schedule, window).await
            });
        }
        let mut all = Answered { count: 0, latencies: Latencies::new()?, bytes: 0 };
        while let Some(worker) = workers.join_next().await {
            let one = worker??;
            all.count += one.count;
            all.bytes += one.bytes;
            all.latencies.add(&one.latencies)?;
        }
        Ok(all)
    })
}

async fn ask(
    mut connection: RawConnection,
    requests: &[Vec<u8>],
    next: &AtomicU64,
    schedule: Schedule,
    window: (Instant, Instant),
) -> anyhow::Result<Answered> {
    let mut answered = Answered { count: 0, latencies: Latencies::new()?, bytes: 0 };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = schedule.due(number);
        if due >= window.1 {
            return Ok(answered);
        }
        if schedule.rate.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        let request = &requests[number as usize % requests.len()];
        let answer = connection.exchange(request).await?;
        if answer.status != 200 {
            let asked = String::from_utf8_lossy(request);
            bail!("{} for {}", answer.status, asked.lines().next().unwrap_or_default());
        }
        let bytes = answer.body.len() as u64;
        let now = Instant::now();
        if now >= window.0 && now < window.1 {
            answered.count += 1;
            answered.bytes += bytes;
            answered.latencies.record(now - due);
        }
    }
}
