//! The topologies of an instance, each a host with a task per partition, and the snapshots.

use std::sync::Arc;
use std::time::Duration;

use cityevents_api::ProjectionProgress;
use cityevents_api::identity::Addressees;
use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_kit::config::MailBackend;
use cityevents_kit::seal::{CursorSealer, InstanceSecret};
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Component, Config, Lifecycle, Stage, priority};
use cityevents_processors::mailer::{self, Deferrals, Ledger, Mailer, MailerMetrics, Pace};
use cityevents_processors::notifier::{self, Notifier, NotifierParts};
use cityevents_processors::profiles::{self, Profiles};
use cityevents_processors::projection::{self, Projection};
use cityevents_processors::publisher::{self, Publisher};
use cityevents_processors::records::{self, RecordConsumer};
use cityevents_processors::registration::{self, Registration};
use cityevents_processors::switched::Switched;
use cityevents_processors::trend_rows::{self, TrendRows};
use cityevents_processors::trending::{self, TrendingMetrics};
use cityevents_runtime::consumer::{self, FactConsumer};
use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::host::{Host, HostOptions, MakeTask, PanicPolicy, Partitions};
use cityevents_runtime::log::LogError;
use cityevents_runtime::retry::{self, Bulk, RetryOptions, Tier};
use cityevents_runtime::spans::Spans;
use cityevents_runtime::standby::{Source, StandbyPool};
use cityevents_runtime::worker::{self, WorkerOptions};
use cityevents_schemas::catalog::{Topic, catalog};
use cityevents_schemas::topic;
use cityevents_trace::Tracer;
use cityevents_views::{Switch, Views};

use super::breakers;
use super::lag::{self, LagMetrics};
use super::mails::{self, Accounts, MailThreads};
use super::snapshots::{self, Schedule};
use crate::admin::Context;
use crate::console::Board;

/// How often the probes look at a host.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time for workers to finish what is in flight.
const STOP_BUDGET: Duration = Duration::from_secs(6);

/// Of [`registration::STEP_PEOPLE`] each: 500 people a second get a place, or hear that there is none.
/// All at once they would fill log, tables and mails for seconds, and every other join waited behind
/// them.
const STEP_EVERY: Duration = Duration::from_millis(50);

/// Mails that are refused for good are somebody's closed box, now and then; a hundred in a row are a
/// server that does not want us.
const REFUSED: CircuitPolicy =
    CircuitPolicy { run_max: 100, window_failures_max: 500, window_records: 1_000 };

/// What the topologies are made of.
pub(super) struct Workers<'a> {
    pub(super) config: &'a Config,
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) context: &'a Context,
    pub(super) metrics: &'a MetricsRegistry,
    /// Name of this process in every group.
    pub(super) member: &'a str,
    /// Gives spans of what belongs to traces that are kept.
    pub(super) tracer: &'a Tracer,
}

impl Workers<'_> {
    /// Decides commands.
    pub(super) fn registration(&self) -> Result<(), LogError> {
        let (config, source) = (self.config, &self.context.source);
        let mut options = WorkerOptions::new(
            self.full_name(&topic::COMMAND_REPLIES),
            self.full_name(&topic::EVENT_COMMANDS_DLQ),
        );
        options.burst.records = config.registration.burst_max as usize;
        options.skip_expired = config.registration.skip_expired;
        options.step_every = STEP_EVERY;
        options.spans =
            Spans::new(self.tracer.clone(), "registration decide", "registration burst");
        let make = if config.is_cluster() && config.registration.standby {
            let pool = StandbyPool::start(source, Registration::default)?;
            self.stop_standbys_in_time(&pool);
            worker::make_task_from(pool, source.clone(), options, Registration::default)
        } else {
            worker::make_task(source.clone(), options, Registration::default)
        };
        let ours = self.run(registration::NAME, vec![source.commands.clone()], make)?;
        self.take_snapshots(ours);
        Ok(())
    }

    /// Writes the tables that are live.
    pub(super) fn projection(
        &self,
        tables: &Arc<Switch>,
        progress: &Arc<ProjectionProgress>,
    ) -> Result<(), LogError> {
        let source = Source { topology: projection::NAME, ..self.context.source.clone() };
        let (live, progress) = (Arc::clone(tables), Arc::clone(progress));
        let tracer = self.tracer.clone();
        let on_progress: projection::OnProgress = Arc::new(move |partition, offset| match offset {
            Some(offset) => progress.advance(partition, offset),
            None => progress.forget(partition),
        });
        let make: Arc<MakeTask> = Arc::new(move |partition, _| {
            let (source, on_progress) = (source.clone(), on_progress.clone());
            let tracer = tracer.clone();
            let switched = Switched::start(Arc::clone(&live), move |tables| {
                let sink = Projection::new(tables.views.clone(), partition, on_progress.clone());
                FactConsumer::start(&source, partition, sink.traced(tracer.clone()))
            })?;
            Ok(Box::new(switched))
        });
        self.run(projection::NAME, vec![self.context.source.facts.clone()], make)?;
        self.trend_rows(tables)
    }

    /// Writes the tables of what is talked about.
    fn trend_rows(&self, tables: &Arc<Switch>) -> Result<(), LogError> {
        let source = Source { topology: trend_rows::NAME, ..self.context.source.clone() };
        let topic: Arc<str> = self.full_name(&topic::TRENDS).into();
        let (name, live, trends) = (trend_rows::NAME, Arc::clone(tables), topic.clone());
        let make: Arc<MakeTask> = Arc::new(move |partition, _| {
            let (source, trends) = (source.clone(), trends.clone());
            let switched = Switched::start(Arc::clone(&live), move |tables| {
                let views = tables.views.clone();
                let options = records::Options { name, topic: trends.clone(), views };
                RecordConsumer::start(&source, &options, partition, TrendRows)
            })?;
            Ok(Box::new(switched))
        });
        self.run(name, vec![topic], make).map(drop)
    }

    /// Works out what people like.
    pub(super) fn profiles(&self, views: &Views) -> Result<(), LogError> {
        let context = self.context;
        let source = Source { topology: profiles::NAME, ..context.source.clone() };
        let signals: Arc<str> = self.full_name(&topic::USER_SIGNALS).into();
        let dead = &topic::USER_SIGNALS_DLQ;
        let sinks = profiles::Options {
            log: context.log().clone(),
            dead_letters: (self.full_name(dead).into(), dead.partitions(context.partitions)),
            views: views.clone(),
            clock: source.clock.clone(),
        };
        let (name, views) = (profiles::NAME, views.clone());
        let options = records::Options { name, topic: signals.clone(), views };
        let make = records::make_task(source, options, move |_| Ok(Profiles::new(sinks.clone())));
        self.run(name, vec![signals], make).map(drop)
    }

    /// Works out what is talked about.
    pub(super) fn trending(&self) -> Result<(), LogError> {
        let context = self.context;
        let source = Source { topology: trending::NAME, ..context.source.clone() };
        let sized =
            |topic: &Topic| (self.full_name(topic).into(), topic.partitions(context.partitions));
        let (facts, engagement) =
            (source.facts.clone(), Arc::<str>::from(self.full_name(&topic::ENGAGEMENT)));
        let options = trending::Options {
            topics: trending::Topics {
                facts: facts.clone(),
                engagement: engagement.clone(),
                dead_letters: sized(&topic::ENGAGEMENT_DLQ),
                trends: sized(&topic::TRENDS),
                signals: sized(&topic::USER_SIGNALS),
            },
            group: self.group_of(trending::NAME),
            snapshot_every: self.config.registration.snapshot_every,
            metrics: self.metrics.register(TrendingMetrics::new),
        };
        let make = trending::make_task(source, options);
        self.run(trending::NAME, vec![facts, engagement], make).map(drop)
    }

    /// Publishes the flat topics.
    pub(super) fn publisher(&self) -> Result<(), LogError> {
        let context = self.context;
        let source = Source { topology: publisher::NAME, ..context.source.clone() };
        let sized =
            |topic: &Topic| (self.full_name(topic).into(), topic.partitions(context.partitions));
        let facts = context.source.facts.clone();
        let topics = publisher::Topics {
            facts: facts.clone(),
            events: sized(&topic::EVENTS),
            registrations: sized(&topic::REGISTRATIONS),
        };
        let (log, group) = (context.log().clone(), self.group_of(publisher::NAME));
        let make = consumer::make_task(source, move |partition| {
            Ok(Publisher::new(log.clone(), topics.clone(), group.clone(), partition))
        });
        self.run(publisher::NAME, vec![facts], make).map(drop)
    }

    /// Tells which mails are to be sent.
    pub(super) fn notifier(&self, views: &Views) -> Result<(), LogError> {
        let context = self.context;
        let source = Source { topology: notifier::NAME, ..context.source.clone() };
        let facts = context.source.facts.clone();
        let emails: Arc<str> = self.full_name(&topic::EMAILS).into();
        let parts = NotifierParts {
            log: context.log().clone(),
            views: views.clone(),
            facts: facts.clone(),
            emails: emails.clone(),
            bulk: self.full_name(&topic::EMAILS_BULK).into(),
            partitions: context.log().describe(&emails)?.spec.partitions,
            group: self.group_of(notifier::NAME),
            projection: projection::NAME.to_owned(),
            clock: context.source.clock.clone(),
            tracer: self.tracer.clone(),
        };
        let make = consumer::make_task(source, move |partition| {
            // On the thread of the partition: telling many holds up nobody who joins.
            priority::give_way(priority::LATER);
            Notifier::new(parts.clone(), partition)
        });
        self.run(notifier::NAME, vec![facts], make).map(drop)
    }

    /// Sends mails, on threads of their own.
    pub(super) fn mailer(
        &self,
        views: &Views,
        breaker_metrics: &BreakerMetrics,
    ) -> anyhow::Result<()> {
        let (config, context) = (self.config, self.context);
        let clock = context.source.clock.clone();
        let secret = InstanceSecret::open(config)?;
        let cursors = CursorSealer::new(secret);
        let people = Addressees::new(views.records.clone(), clock.clone(), cursors);
        let breaker = Breaker::new("mail", BreakerOptions::default(), breaker_metrics);
        breakers::report(self.lifecycle, &breaker);
        // A folder is locked: whoever else had it, under whatever name, is gone.
        let holder = if config.is_cluster() { self.member } else { "the folder" };
        let mail = &config.mail;
        let to_each = match mail.backend {
            MailBackend::Smtp => mail.at_once_per_destination,
            // Whoever they are for, they end up in the same place.
            MailBackend::Folder => mail.at_once,
        };
        let site = config.public_url().trim_end_matches('/').to_owned();
        let threads = MailThreads::start()?;
        let entered = threads.handle().enter();
        let parts = Arc::new(mailer::Parts {
            directory: Arc::new(Accounts { people, site }),
            views: views.clone(),
            writer: mails::writer(config)?,
            transport: mails::transport(config)?,
            ledger: Ledger::start(views.records.clone(), clock.clone(), holder)?,
            pace: Pace::new(mail.at_once, to_each, mail.per_second),
            breaker,
            deferrals: Deferrals::default(),
            clock: clock.clone(),
            metrics: self.metrics.register(MailerMetrics::new),
            tracer: self.tracer.clone(),
        });
        drop(entered);
        let tiers = catalog().retry_tiers(&topic::EMAILS);
        let tier = |(tier, delay): (&&Topic, &Duration)| Tier {
            topic: self.full_name(tier).into(),
            delay: *delay,
        };
        let dead_letters: Arc<str> = self.full_name(&topic::EMAILS_DLQ).into();
        let options = RetryOptions {
            name: mailer::NAME,
            log: context.log().clone(),
            group: self.group_of(mailer::NAME),
            source: self.full_name(&topic::EMAILS).into(),
            bulk: Some(Bulk {
                topic: self.full_name(&topic::EMAILS_BULK).into(),
                in_work_max: mailer::BULK_IN_WORK_MAX,
            }),
            tiers: tiers.iter().zip(&mail.retry_after).map(tier).collect(),
            dead_letters: (
                dead_letters.clone(),
                context.log().describe(&dead_letters)?.spec.partitions,
            ),
            in_work_max: mailer::IN_WORK_MAX,
            poison: CircuitPolicy::default(),
            refused: REFUSED,
            clock,
        };
        let topics = options.topics();
        let make = retry::make_task(options, move |_| {
            priority::give_way(priority::LATER);
            Ok(Mailer::new(Arc::clone(&parts), threads.handle().clone()))
        });
        self.run(mailer::NAME, topics, make)?;
        Ok(())
    }

    fn full_name(&self, topic: &Topic) -> String {
        topic.full_name(&self.context.prefix)
    }

    fn group_of(&self, name: &str) -> String {
        self.context.group(name)
    }

    fn run(
        &self,
        name: &'static str,
        topics: Vec<Arc<str>>,
        make: Arc<MakeTask>,
    ) -> Result<Partitions, LogError> {
        let component = self.lifecycle.register(name, Stage::Workers, STOP_BUDGET);
        let options = HostOptions {
            name,
            group: self.group_of(name),
            topics,
            member: self.member.to_owned(),
            panics: PanicPolicy {
                restarts_max: self.config.registration.restarts_max,
                window: self.config.registration.restarts_window,
            },
        };
        let metrics = self.context.source.metrics.clone();
        let host = Host::start(self.context.log(), options, metrics, make)?;
        let partitions = host.partitions();
        tokio::task::spawn_blocking(move || watch(component, host));
        Ok(partitions)
    }

    /// Looks how far every group is behind.
    pub(super) fn lag(&self, metrics: LagMetrics, board: Arc<Board>) {
        let component = self.lifecycle.register("lag", Stage::Workers, STOP_BUDGET);
        let (config, context) = (self.config.clone(), self.context.clone());
        let registry = self.metrics.clone();
        tokio::task::spawn_blocking(move || {
            lag::run(component, &config, &context, &metrics, &board, &registry);
        });
    }

    fn stop_standbys_in_time(&self, pool: &StandbyPool<Registration>) {
        let component = self.lifecycle.register("standbys", Stage::Background, STOP_BUDGET);
        component.ready();
        let pool = pool.clone();
        tokio::task::spawn_blocking(move || {
            while !component.shutdown().wait_timeout(LOOK_EVERY) {}
            pool.stop();
            component.finished();
        });
    }

    fn take_snapshots(&self, ours: Partitions) {
        let component = self.lifecycle.register("snapshots", Stage::Workers, STOP_BUDGET);
        let schedule = Schedule {
            every_facts: self.config.registration.snapshot_every_facts,
            every: self.config.registration.snapshot_every,
        };
        let source = self.context.source.clone();
        tokio::task::spawn_blocking(move || {
            component.ready();
            snapshots::run(&source, &ours, schedule, component.shutdown());
            component.finished();
        });
    }
}

/// Tells the probes how a host is, and stops it when it is its turn.
fn watch(component: Component, host: Host) {
    let mut told = None;
    while !component.shutdown().wait_timeout(LOOK_EVERY) {
        let state = (host.problem(), host.warning());
        if told.as_ref() == Some(&state) {
            continue;
        }
        match &state {
            (None, None) => component.ready(),
            (None, Some(warning)) => component.degraded(warning),
            (Some(problem), _) if problem.contains(": stopped: ") => component.stopped(problem),
            (Some(problem), _) => component.restoring(problem),
        }
        told = Some(state);
    }
    host.stop();
    component.finished();
}
