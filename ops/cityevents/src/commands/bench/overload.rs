//! Three times more than the capacity: how much of the capacity is still served, and how soon the
//! others are refused.

use std::time::Duration;

use super::Plan;
use super::http::{expected, offer_and_time, prime, with_events};
use super::measure::{Goal, Row, per_second};
use super::stage::{Stage, load_runtime};
use crate::load::joins::Offer;

/// Requests at the same time while the capacity is measured.
const CONNECTIONS: usize = 256;
/// Requests at the same time in the overload: more than admission lets in.
const CONNECTIONS_OVERLOAD: usize = 3_000;
/// How much more than the capacity is offered.
const TIMES: f64 = 3.0;
/// What is so late is given up unsent: the load generator cannot offer more.
const LATE_MAX: Duration = Duration::from_millis(20);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let stage = Stage::start(folder.path(), |_| Ok(()))?;
    let load = load_runtime()?;
    let (joins, _) = prime(&stage, &load)?;
    let time = plan.warm_up + plan.seconds;
    let joins = with_events(joins, &stage, &load, expected(None, time))?;
    let closed = Offer {
        rate: None,
        connections: CONNECTIONS,
        warm_up: plan.warm_up,
        seconds: plan.seconds,
        late_max: LATE_MAX,
        is_all: false,
    };
    let measured = offer_and_time(joins, &load, closed)?;
    let capacity = per_second(measured.counted.of(200), plan.seconds);
    let offered = (capacity * TIMES) as u32;
    let joins = with_events(measured.joins, &stage, &load, expected(Some(offered), time))?;
    let open = Offer { rate: Some(offered), connections: CONNECTIONS_OVERLOAD, ..closed };
    let measured = offer_and_time(joins, &load, open)?;
    stage.stop();
    let counted = &measured.counted;
    let served = per_second(counted.of(200), plan.seconds);
    let refused = per_second(counted.of(503), plan.seconds);
    let answered: u64 = counted.answers.values().sum();
    let sent = per_second(answered, plan.seconds);
    let mut rows = vec![
        Row::new("capacity", capacity, "/s")
            .under(format!("accepted joins, closed loop, {CONNECTIONS} connections")),
        Row::new("offered", f64::from(offered), "/s").under(format!(
            "open loop, {CONNECTIONS_OVERLOAD} connections; answered {sent:.0}/s, the rest was \
             given up unsent by the load generator; processor seconds {:.1}: {}",
            measured.cpu, measured.threads
        )),
        Row::new("P15 share of the capacity still served", served * 100.0 / capacity, "%")
            .goal(Goal::AtLeast(95.0))
            .under(format!("{served:.0}/s accepted, {refused:.0}/s refused with 503")),
        Row::new("    accepted within, p50", counted.accepted.percentile_ms(50.0), "ms"),
        Row::new("    accepted within, p99", counted.accepted.percentile_ms(99.0), "ms"),
    ];
    // Without a refusal there is no figure for how fast one was.
    if counted.of(503) > 0 {
        rows.extend([
            Row::new(
                "P15 refused within, p50",
                counted.refused_from_sending.percentile_ms(50.0),
                "ms",
            )
            .goal(Goal::AtMost(2.0))
            .under("from sending; on cores that the load generator takes too"),
            Row::new(
                "    refused within, p99",
                counted.refused_from_sending.percentile_ms(99.0),
                "ms",
            ),
            Row::new("    refused within, p50 from due", counted.refused.percentile_ms(50.0), "ms"),
        ]);
    }
    Ok(rows)
}
