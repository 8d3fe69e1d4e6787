//! What tracing costs: joins at an instance that traces some of them beside joins at one that traces
//! none, in turns of a few seconds, so that what else the machine does meets both alike. The spans go
//! to a receiver in this process that reads and counts them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::Plan;
use super::http::{expected, offer_and_time, prime, with_events};
use super::measure::{Goal, Row};
use super::stage::{Stage, load_runtime};
use crate::load::joins::{Joins, Offer};

/// Requests at the same time.
const CONNECTIONS: usize = 64;
/// One turn.
const TURN: Duration = Duration::from_secs(2);
/// At the beginning of a turn, before anything counts.
const TURN_WARM_UP: Duration = Duration::from_millis(500);
/// Most of the throughput that tracing may cost, in percent.
const COST_MAX: f64 = 3.0;

/// One of the two.
struct Side {
    stage: Stage,
    /// Taken while a turn has them.
    joins: Option<Joins>,
    accepted: u64,
    cpu: f64,
}

impl Side {
    fn start(
        plan: &Plan,
        load: &Runtime,
        folder: &std::path::Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let stage = Stage::start_with(folder, settings, |_| Ok(()))?;
        let (joins, _) = prime(&stage, load)?;
        let time = plan.warm_up + turns(plan) * (TURN + TURN_WARM_UP);
        let joins = with_events(joins, &stage, load, expected(None, time))?;
        Ok(Self { stage, joins: Some(joins), accepted: 0, cpu: 0.0 })
    }

    fn take_turn(
        &mut self,
        load: &Runtime,
        warm_up: Duration,
        time: Duration,
    ) -> anyhow::Result<()> {
        let Some(joins) = self.joins.take() else { return Ok(()) };
        let offer = Offer {
            rate: None,
            connections: CONNECTIONS,
            warm_up,
            seconds: time,
            late_max: Duration::MAX,
            is_all: false,
        };
        let measured = offer_and_time(joins, load, offer)?;
        let others: u64 = measured.counted.answers.values().sum::<u64>() - measured.counted.of(200);
        ensure!(others == 0, "joins were refused: {:?}", measured.counted.answers);
        self.accepted += measured.counted.of(200);
        self.cpu += measured.cpu;
        self.joins = Some(measured.joins);
        Ok(())
    }

    fn per_second(&self, plan: &Plan) -> f64 {
        self.accepted as f64 / (turns(plan) * TURN).as_secs_f64()
    }
}

fn turns(plan: &Plan) -> u32 {
    (plan.seconds.as_secs_f64() / TURN.as_secs_f64()).ceil().max(1.0) as u32
}

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let load = load_runtime()?;
    let (receiver, taken) = load.block_on(start_receiver())?;
    let (folder, ratio) = (plan.folder()?, plan.trace.to_string());
    let endpoint = format!("http://{receiver}");
    let settings =
        [("telemetry.otlp_endpoint", endpoint.as_str()), ("telemetry.trace_ratio", ratio.as_str())];
    let mut off = Side::start(plan, &load, &folder.path().join("off"), &[])?;
    let mut on = Side::start(plan, &load, &folder.path().join("on"), &settings)?;
    for side in [&mut off, &mut on] {
        side.take_turn(&load, Duration::ZERO, plan.warm_up)?;
        (side.accepted, side.cpu) = (0, 0.0);
    }
    let before = taken.load(Ordering::Relaxed);
    for turn in 0..turns(plan) {
        // Whoever comes second finds what the first has left to do: each is as often first.
        let sides = if turn % 2 == 0 { [&mut off, &mut on] } else { [&mut on, &mut off] };
        for side in sides {
            side.take_turn(&load, TURN_WARM_UP, TURN)?;
        }
    }
    let spans = taken.load(Ordering::Relaxed) - before;
    let rows = rows(plan, &off, &on, spans);
    off.stage.stop();
    on.stage.stop();
    Ok(rows)
}

fn rows(plan: &Plan, off: &Side, on: &Side, spans: u64) -> Vec<Row> {
    let (without, with) = (off.per_second(plan), on.per_second(plan));
    let per_join = |side: &Side| side.cpu * 1e6 / side.accepted.max(1) as f64;
    let percent = plan.trace * 100.0;
    let turns = turns(plan);
    let conditions = format!(
        "durable, one hot event, closed loop, {CONNECTIONS} connections; {turns} turns of {} s each \
         in alternation; the receiver took {} kB of spans meanwhile",
        TURN.as_secs(),
        spans / 1_000
    );
    let cpu = 100.0 * (per_join(on) / per_join(off) - 1.0);
    vec![
        Row::new("accepted joins, not traced", without, "/s").under(conditions),
        Row::new(format!("accepted joins, {percent} % traced"), with, "/s"),
        Row::new("    cost", 100.0 * (1.0 - with / without), "%").goal(Goal::AtMost(COST_MAX)),
        Row::new("    processor time of a join, more", cpu, "%")
            .under("of the whole process, load generator and receiver included"),
    ]
}

/// Takes what it is given; its address, and how many bytes it was.
async fn start_receiver() -> anyhow::Result<(SocketAddr, Arc<AtomicU64>)> {
    let taken = Arc::new(AtomicU64::new(0));
    let take = async |State(taken): State<Arc<AtomicU64>>, body: Bytes| {
        taken.fetch_add(body.len() as u64, Ordering::Relaxed);
    };
    let router = Router::new().route("/v1/traces", post(take)).with_state(taken.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, taken))
}
