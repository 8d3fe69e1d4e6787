//! A backlog of mails on the embedded log, written and handed to a sink, each through the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_processors::emails;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Log, TopicPartition};
use cityevents_schemas::message::EmailContent;
use cityevents_schemas::topic;
use cityevents_views::Views;
use cityevents_views::embedded::Options;

use super::mailers::{self, AT_ONCE, Lateness, PARTITIONS};
use super::sink::Sink;
use crate::cli::Place;
use crate::commands::bench::Plan;
use crate::commands::bench::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use crate::commands::bench::workload::user_of;
use crate::instance;

/// Mails of a backlog for each second asked for.
const MAILS_PER_SECOND: u64 = 5_000;
/// With the ledger in a database.
const MAILS_PER_SECOND_CLUSTER: u64 = 500;
/// Longest wait for a backlog.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at the count.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_name("mail").enable_all().build()?;
    let seconds = plan.seconds.as_secs().max(1);
    let folder = plan.folder()?;
    let views = Views::embedded(&folder.path().join("views"), Options::default())?;
    let goal = MAILS_PER_SECOND as f64;
    let what = "mails into a sink, ledger on the embedded tables";
    let mut rows =
        vec![drain(&runtime, folder.path(), &views, MAILS_PER_SECOND * seconds, (what, goal))?];
    let config = Place::default().load(Vec::new())?.config;
    if !config.scylla.nodes.is_empty() {
        let views = runtime.block_on(instance::open_database(&config))?;
        let goal = MAILS_PER_SECOND_CLUSTER as f64;
        let what = "mails into a sink, ledger in the database of the configuration";
        let count = MAILS_PER_SECOND_CLUSTER * seconds;
        let folder = plan.folder()?;
        rows.push(drain(&runtime, folder.path(), &views, count, (what, goal))?);
    }
    Ok(rows)
}

fn drain(
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
    views: &Views,
    count: u64,
    (what, goal): (&str, f64),
) -> anyhow::Result<Row> {
    let log: Arc<dyn Log> = LocalLog::open(folder.join("log"), LocalOptions::default())?;
    instance::topics::create_missing(&*log, "", PARTITIONS)?;
    let event = mailers::publish(runtime, views)?;
    write(&log, event, 0..count)?;
    let sink = Arc::new(Sink::default());
    let host = runtime.block_on(async {
        mailers::start(&log, views, sink.clone(), mailers::delays(), Lateness::default())
    })?;
    let (started, cpu, times) = (Instant::now(), process_cpu(), ThreadTimes::now());
    while sink.taken() < count {
        ensure!(started.elapsed() < PATIENCE, "{} of {count} mails were sent", sink.taken());
        std::thread::sleep(LOOK_EVERY);
    }
    let took = started.elapsed();
    let spent = (process_cpu() - cpu).as_secs_f64();
    let threads = ThreadTimes::now().since(&times);
    host.stop();
    Ok(Row::new(what, per_second(count, took), "/s").goal(Goal::AtLeast(goal)).under(format!(
        "{count} mails, two changes of the ledger each, all durable; {AT_ONCE} at once; processor \
         seconds {spent:.1}: {threads}"
    )))
}

/// Appends mails, each to somebody else.
pub(super) fn write(
    log: &Arc<dyn Log>,
    event: EventId,
    numbers: std::ops::Range<u64>,
) -> anyhow::Result<()> {
    let partitions = topic::EMAILS.partitions(PARTITIONS);
    let mut producer = log.producer("bench")?;
    let at = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let mut last = 0;
    for number in numbers {
        let content = EmailContent::PlaceConfirmed { event };
        let email = emails::about_fact((event, number), user_of(number), at, content);
        let record = emails::outgoing(&email, "/cityevents/bench", None);
        let key = record.key.as_deref().unwrap_or_default();
        let place = TopicPartition::new(topic::EMAILS.name, partition_of(key, partitions));
        last = producer.append(&place, vec![record])?;
    }
    let mut deliveries = Vec::new();
    while producer.in_flight() > 0 {
        producer.poll(Duration::from_secs(10), &mut deliveries)?;
    }
    ensure!(deliveries.iter().all(|delivery| delivery.result.is_ok()), "mail {last} was lost");
    Ok(())
}
