//! The mailers of a measurement: as an instance runs them, on a log and tables of one's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cityevents_domain::event::Capacity;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_mail::{Site, Transport, Writer};
use cityevents_processors::mailer::{self, Deferrals, Ledger, Mailer, MailerMetrics, Pace, Parts};
use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::host::{Host, HostOptions, PanicPolicy};
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::{Log, Record};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::retry::{
    self, Attempt, Bulk, Completion, Handler, Happened, OrderKey, RetryOptions, Tier,
};
use cityevents_schemas::catalog::catalog;
use cityevents_schemas::topic;
use cityevents_trace::Tracer;
use cityevents_views::{EventRow, Mutation, Views, WriteTimestamp};
use parking_lot::Mutex;

use super::sink::Everybody;
use crate::cli::Place;
use crate::commands::bench::workload::{self, user_of};

/// Partitions of commands; those of mails follow from it.
pub(super) const PARTITIONS: u32 = 16;
/// Mails handed over at the same time.
pub(super) const AT_ONCE: u32 = 512;

/// How late mails were taken from tiers, by topic. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Lateness(Arc<Mutex<BTreeMap<String, Vec<Duration>>>>);

impl Lateness {
    /// By topic, each in order.
    pub(super) fn sorted(&self) -> BTreeMap<String, Vec<Duration>> {
        let mut all = self.0.lock().clone();
        all.values_mut().for_each(|late| late.sort_unstable());
        all
    }
}

/// A mailer whose tiers are looked at.
struct Timed {
    mailer: Mailer,
    late: Lateness,
}

impl Handler for Timed {
    fn order(&self, record: &Record) -> Option<OrderKey> {
        self.mailer.order(record)
    }

    fn begin(&mut self, attempt: Attempt, completion: Completion) {
        self.mailer.begin(attempt, completion);
    }

    fn stop(&mut self) {
        self.mailer.stop();
    }

    fn happened(&self, what: Happened<'_>) {
        if let Happened::Taken { tier, late } = what {
            self.late.0.lock().entry(tier.to_owned()).or_default().push(late);
        }
        self.mailer.happened(what);
    }
}

/// The waits of the catalogue.
pub(super) fn delays() -> Vec<Duration> {
    let tiers = catalog().retry_tiers(&topic::EMAILS);
    tiers.iter().map(|tier| Duration::from_millis(tier.delay_ms.unwrap_or(0))).collect()
}

/// Starts them. To be called within a tokio runtime.
pub(super) fn start(
    log: &Arc<dyn Log>,
    views: &Views,
    transport: Arc<dyn Transport>,
    delays: Vec<Duration>,
    late: Lateness,
) -> anyhow::Result<Host> {
    let config = Place::default().load(Vec::new())?.config;
    let clock = Arc::new(SystemClock);
    let parts = Arc::new(Parts {
        directory: Arc::new(Everybody),
        views: views.clone(),
        writer: Writer::new(Site::of(&config)?, None)?,
        transport,
        ledger: Ledger::start(views.records.clone(), clock.clone(), "bench")?,
        pace: Pace::new(AT_ONCE, AT_ONCE, 1_000_000),
        breaker: Breaker::new("mail", BreakerOptions::default(), &BreakerMetrics::default()),
        deferrals: Deferrals::default(),
        clock: clock.clone(),
        metrics: MailerMetrics::default(),
        tracer: Tracer::off(),
    });
    let tiers = catalog().retry_tiers(&topic::EMAILS).into_iter().zip(delays);
    let tiers = tiers.map(|(tier, delay)| Tier { topic: tier.name.into(), delay }).collect();
    let options = RetryOptions {
        name: mailer::NAME,
        log: log.clone(),
        group: mailer::NAME.to_owned(),
        source: topic::EMAILS.name.into(),
        bulk: Some(Bulk {
            topic: topic::EMAILS_BULK.name.into(),
            in_work_max: mailer::BULK_IN_WORK_MAX,
        }),
        tiers,
        dead_letters: (topic::EMAILS_DLQ.name.into(), topic::EMAILS_DLQ.partitions(PARTITIONS)),
        in_work_max: mailer::IN_WORK_MAX,
        poison: CircuitPolicy::default(),
        refused: CircuitPolicy::default(),
        clock,
    };
    let topics = options.topics();
    let runtime = tokio::runtime::Handle::current();
    let make = retry::make_task(options, move |_| {
        let mailer = Mailer::new(Arc::clone(&parts), runtime.clone());
        Ok(Timed { mailer, late: late.clone() })
    });
    let options = HostOptions {
        name: mailer::NAME,
        group: mailer::NAME.to_owned(),
        topics,
        member: "bench".to_owned(),
        panics: PanicPolicy::default(),
    };
    Host::start(log, options, RuntimeMetrics::unregistered(), make).context("mails are not sent")
}

/// An event in the tables, as the projection would write it.
pub(super) fn publish(runtime: &tokio::runtime::Runtime, views: &Views) -> anyhow::Result<EventId> {
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
