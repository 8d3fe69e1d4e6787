//! A backlog of joins on the embedded log, drained by the workers that production runs, and beside
//! it a null loop on the same backlog.

use std::sync::Arc;

use cityevents_domain::event::Capacity;
use cityevents_runtime::log::Log;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};

use super::Plan;
use super::backlog::{Backlog, PARTITIONS, Times};
use super::measure::{Goal, Row, per_second};
use super::processes::{CLIENT, Processes};

/// Events that joins are spread over.
const EVENTS: u64 = 64;
/// Commands of a backlog for each second asked for, and at most.
const BACKLOG_PER_SECOND: u64 = 100_000;
const BACKLOG_MAX: u64 = 3_000_000;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let seconds = plan.seconds.as_secs().max(1);
    let joins = (BACKLOG_PER_SECOND * seconds).min(BACKLOG_MAX);
    if !plan.warm_up.is_zero() {
        let _first = drain(plan, EVENTS, joins.min(BACKLOG_PER_SECOND))?;
    }
    let mut rows = drain(plan, EVENTS, joins)?;
    rows.extend(drain(plan, 1, joins)?);
    Ok(rows)
}

/// Makes a backlog, drains it with workers, then with the null loop.
fn drain(plan: &Plan, events: u64, joins: u64) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let log: Arc<dyn Log> = LocalLog::open(folder.path().join("log"), LocalOptions::default())?;
    let backlog = Backlog::write(log, "", (events, joins), (Capacity::Unlimited, None))?;
    let processes = Processes::default();
    let workers = backlog.start_workers()?;
    let decided = backlog.await_workers(&workers, &processes)?;
    workers.stop();
    let null = backlog.null_loop(&processes)?;
    let rate = per_second(decided.records, decided.took);
    let null_rate = per_second(null.records, null.took);
    let what = if events == 1 { "one hot event".to_owned() } else { format!("{events} events") };
    let conditions = |times: &Times| {
        let cpu = times.spent.get(CLIENT).copied().unwrap_or(0.0);
        format!(
            "{} joins, {PARTITIONS} partitions, processor seconds {cpu:.1}: {}",
            times.records, times.threads
        )
    };
    Ok(vec![
        Row::new(format!("P4 backlog of joins of {what}, durable"), rate, "/s")
            .goal(Goal::AtLeast(100_000.0))
            .under(conditions(&decided)),
        Row::new("    null loop: poll and two appends", null_rate, "/s").under(conditions(&null)),
        Row::new("    of the null loop", rate / null_rate, "×").goal(Goal::AtLeast(0.8)),
    ])
}
