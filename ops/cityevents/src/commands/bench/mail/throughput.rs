//! A backlog of mails on the embedded log, written and handed to a sink, each through the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cityevents_domain::event::Capacity;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_mail::{Site, Writer};
use cityevents_processors::emails;
use cityevents_processors::mailer::{self, Ledger, Mailer, MailerMetrics, Pace, Parts};
use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::host::{Host, HostOptions, PanicPolicy};
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Log, TopicPartition};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::retry::{self, RetryOptions, Tier};
use cityevents_schemas::catalog::catalog;
use cityevents_schemas::message::EmailContent;
use cityevents_schemas::topic;
use cityevents_views::embedded::Options;
use cityevents_views::{EventRow, Mutation, Views, WriteTimestamp};

use super::sink::{Everybody, Sink};
use crate::cli::Place;
use crate::commands::bench::Plan;
use crate::commands::bench::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use crate::commands::bench::workload::{self, user_of};
use crate::instance;

/// Mails of a backlog for each second asked for.
const MAILS_PER_SECOND: u64 = 5_000;
/// With the ledger in a database.
const MAILS_PER_SECOND_CLUSTER: u64 = 500;
/// Partitions of commands; those of mails follow from it.
const PARTITIONS: u32 = 16;
/// Mails handed over at the same time.
const AT_ONCE: u32 = 512;
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
    let event = publish(runtime, views)?;
    write(&log, event, count)?;
    let sink = Arc::new(Sink::default());
    let host = runtime.block_on(async { start(&log, views, &sink) })?;
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

/// An event in the tables, as the projection would write it.
fn publish(runtime: &tokio::runtime::Runtime, views: &Views) -> anyhow::Result<EventId> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let number = u64::try_from(now_ms)?;
    let (id, [create, _]) = workload::event(number, Capacity::Unlimited, None, now_ms);
    let cityevents_domain::command::CommandKind::Create(fields) = create.kind else {
        anyhow::bail!("an event begins with its fields");
    };
    let at = Timestamp::from_millis(now_ms);
    let event = cityevents_domain::event::Event {
        id,
        owner: user_of(u64::MAX),
        fields: *fields,
        status: cityevents_domain::event::EventStatus::Published,
        version: 1,
        created_at: at,
        updated_at: at,
        published_at: Some(at),
        canceled_at: None,
    };
    let row = Mutation::new(EventRow { event, event_seq: 1 }, WriteTimestamp(1));
    runtime.block_on(views.write.write(vec![row]))?;
    Ok(id)
}

/// Appends mails, each to somebody else.
fn write(log: &Arc<dyn Log>, event: EventId, count: u64) -> anyhow::Result<()> {
    let partitions = topic::EMAILS.partitions(PARTITIONS);
    let mut producer = log.producer("bench")?;
    let at = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let mut last = 0;
    for number in 0..count {
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

fn start(log: &Arc<dyn Log>, views: &Views, sink: &Arc<Sink>) -> anyhow::Result<Host> {
    let config = Place::default().load(Vec::new())?.config;
    let clock = Arc::new(SystemClock);
    let parts = Arc::new(Parts {
        directory: Arc::new(Everybody),
        views: views.clone(),
        writer: Writer::new(Site::of(&config)?, None)?,
        transport: sink.clone(),
        ledger: Ledger::start(views.records.clone(), clock.clone(), "bench")?,
        pace: Pace::new(AT_ONCE, AT_ONCE, 1_000_000),
        breaker: Breaker::new("mail", BreakerOptions::default(), &BreakerMetrics::default()),
        clock: clock.clone(),
        metrics: MailerMetrics::default(),
    });
    let tiers: Vec<_> = catalog()
        .retry_tiers(&topic::EMAILS)
        .iter()
        .map(|tier| Tier {
            topic: tier.name.into(),
            delay: Duration::from_millis(tier.delay_ms.unwrap_or(0)),
        })
        .collect();
    let options = RetryOptions {
        name: mailer::NAME,
        log: log.clone(),
        group: mailer::NAME.to_owned(),
        source: topic::EMAILS.name.into(),
        tiers,
        dead_letters: (topic::EMAILS_DLQ.name.into(), topic::EMAILS_DLQ.partitions(PARTITIONS)),
        in_work_max: mailer::IN_WORK_MAX,
        poison: CircuitPolicy::default(),
        refused: CircuitPolicy::default(),
        clock,
    };
    let mut topics = vec![options.source.clone()];
    topics.extend(options.tiers.iter().map(|tier| tier.topic.clone()));
    let runtime = tokio::runtime::Handle::current();
    let make =
        retry::make_task(options, move |_| Ok(Mailer::new(Arc::clone(&parts), runtime.clone())));
    let options = HostOptions {
        name: mailer::NAME,
        group: mailer::NAME.to_owned(),
        topics,
        member: "bench".to_owned(),
        panics: PanicPolicy::default(),
    };
    Host::start(log, options, RuntimeMetrics::unregistered(), make).context("mails are not sent")
}
