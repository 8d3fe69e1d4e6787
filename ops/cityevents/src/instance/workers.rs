//! The topologies of an instance, each a host with a task per partition, and the snapshots.

use std::sync::Arc;
use std::time::Duration;

use cityevents_api::ProjectionProgress;
use cityevents_kit::{Component, Config, Lifecycle, Stage};
use cityevents_processors::projection::{self, Projection};
use cityevents_processors::publisher::{self, Publisher};
use cityevents_processors::registration::{self, Registration};
use cityevents_runtime::consumer;
use cityevents_runtime::host::{Host, HostOptions, MakeTask, PanicPolicy, Partitions};
use cityevents_runtime::log::LogError;
use cityevents_runtime::standby::{Source, StandbyPool};
use cityevents_runtime::worker::{self, WorkerOptions};
use cityevents_schemas::catalog::Topic;
use cityevents_schemas::topic;
use cityevents_views::Views;

use super::lag::{self, LagMetrics};
use super::snapshots::{self, Schedule};
use crate::admin::Context;

/// How often the probes look at a host.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time for workers to finish what is in flight.
const STOP_BUDGET: Duration = Duration::from_secs(6);

/// What the topologies are made of.
pub(super) struct Workers<'a> {
    pub(super) config: &'a Config,
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) context: &'a Context,
    /// Name of this process in every group.
    pub(super) member: &'a str,
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
        let make = if config.is_cluster() && config.registration.standby {
            let pool = StandbyPool::start(source, Registration::default)?;
            self.stop_standbys_in_time(&pool);
            worker::make_task_from(pool, source.clone(), options, Registration::default)
        } else {
            worker::make_task(source.clone(), options, Registration::default)
        };
        let ours = self.run(registration::NAME, source.commands.clone(), make)?;
        self.take_snapshots(ours);
        Ok(())
    }

    /// Writes the tables.
    pub(super) fn projection(
        &self,
        views: &Views,
        progress: &Arc<ProjectionProgress>,
    ) -> Result<(), LogError> {
        let source = Source { topology: projection::NAME, ..self.context.source.clone() };
        let (views, progress) = (views.clone(), Arc::clone(progress));
        let on_progress: projection::OnProgress = Arc::new(move |partition, offset| match offset {
            Some(offset) => progress.advance(partition, offset),
            None => progress.forget(partition),
        });
        let make = consumer::make_task(source, move |partition| {
            Ok(Projection::new(views.clone(), partition, on_progress.clone()))
        });
        self.run(projection::NAME, self.context.source.facts.clone(), make).map(drop)
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
        self.run(publisher::NAME, facts, make).map(drop)
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
        topic: Arc<str>,
        make: Arc<MakeTask>,
    ) -> Result<Partitions, LogError> {
        let component = self.lifecycle.register(name, Stage::Workers, STOP_BUDGET);
        let options = HostOptions {
            name,
            group: self.group_of(name),
            topics: vec![topic],
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
    pub(super) fn lag(&self, metrics: LagMetrics) {
        let component = self.lifecycle.register("lag", Stage::Workers, STOP_BUDGET);
        let (config, context) = (self.config.clone(), self.context.clone());
        tokio::task::spawn_blocking(move || lag::run(component, &config, &context, &metrics));
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
