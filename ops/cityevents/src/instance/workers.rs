//! The topologies of an instance, each a host with a task per partition, and the snapshots.

use std::sync::Arc;
use std::time::Duration;

use cityevents_api::ProjectionProgress;
use cityevents_kit::{Component, Config, Lifecycle, Stage};
use cityevents_processors::projection::{self, Projection};
use cityevents_processors::publisher::{self, Publisher};
use cityevents_processors::registration::{self, Registration};
use cityevents_runtime::consumer;
use cityevents_runtime::host::{Host, HostOptions, MakeTask, PanicPolicy};
use cityevents_runtime::log::LogError;
use cityevents_runtime::standby::Source;
use cityevents_runtime::worker::{self, WorkerOptions};
use cityevents_schemas::topic;
use cityevents_views::Views;

use super::snapshots::{self, Schedule};
use crate::admin::Context;

/// How often the probes look at a host.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time for workers to finish what is in flight.
const STOP_BUDGET: Duration = Duration::from_secs(6);
/// Name of the only member of each group: static, so that a restart gets the same partitions.
const MEMBER: &str = "local";

pub(super) fn start(
    config: &Config,
    lifecycle: &Lifecycle,
    context: &Context,
    views: &Views,
    progress: &Arc<ProjectionProgress>,
) -> Result<(), LogError> {
    let full_name = |topic: &cityevents_schemas::catalog::Topic| topic.full_name(&context.prefix);
    let mut options = WorkerOptions::new(
        full_name(&topic::COMMAND_REPLIES),
        full_name(&topic::EVENT_COMMANDS_DLQ),
    );
    options.burst.records = config.registration.burst_max as usize;
    let make = worker::make_task(context.source.clone(), options, Registration::default);
    let commands = context.source.commands.clone();
    run(config, lifecycle, context, registration::NAME, commands, make)?;

    let source = Source { topology: projection::NAME, ..context.source.clone() };
    let (views, progress) = (views.clone(), Arc::clone(progress));
    let on_progress: projection::OnProgress =
        Arc::new(move |partition, offset| progress.advance(partition, offset));
    let make = consumer::make_task(source, move |partition| {
        Ok(Projection::new(views.clone(), partition, on_progress.clone()))
    });
    let facts = context.source.facts.clone();
    run(config, lifecycle, context, projection::NAME, facts.clone(), make)?;

    let source = Source { topology: publisher::NAME, ..context.source.clone() };
    let sized = |topic: &cityevents_schemas::catalog::Topic| {
        (full_name(topic).into(), topic.partitions(context.partitions))
    };
    let topics = publisher::Topics {
        facts: facts.clone(),
        events: sized(&topic::EVENTS),
        registrations: sized(&topic::REGISTRATIONS),
    };
    let (log, group) = (context.log().clone(), group_of(context, publisher::NAME));
    let make = consumer::make_task(source, move |partition| {
        Ok(Publisher::new(log.clone(), topics.clone(), group.clone(), partition))
    });
    run(config, lifecycle, context, publisher::NAME, facts, make)?;
    take_snapshots(config, lifecycle, context);
    Ok(())
}

fn group_of(context: &Context, name: &str) -> String {
    format!("{}{name}", context.prefix)
}

fn run(
    config: &Config,
    lifecycle: &Lifecycle,
    context: &Context,
    name: &'static str,
    topic: Arc<str>,
    make: Arc<MakeTask>,
) -> Result<(), LogError> {
    let component = lifecycle.register(name, Stage::Workers, STOP_BUDGET);
    let options = HostOptions {
        name,
        group: group_of(context, name),
        topics: vec![topic],
        member: MEMBER.to_owned(),
        panics: PanicPolicy {
            restarts_max: config.registration.restarts_max,
            window: config.registration.restarts_window,
        },
    };
    let host = Host::start(context.log(), options, context.source.metrics.clone(), make)?;
    tokio::task::spawn_blocking(move || watch(component, host));
    Ok(())
}

/// Tells the probes how a host is, and stops it when it is its turn.
fn watch(component: Component, host: Host) {
    let mut told = None;
    while !component.shutdown().wait_timeout(LOOK_EVERY) {
        let problem = host.problem();
        if told.as_ref() == Some(&problem) {
            continue;
        }
        match &problem {
            None => component.ready(),
            Some(problem) if problem.contains(": stopped: ") => component.stopped(problem),
            Some(problem) => component.restoring(problem),
        }
        told = Some(problem);
    }
    host.stop();
    component.finished();
}

fn take_snapshots(config: &Config, lifecycle: &Lifecycle, context: &Context) {
    let component = lifecycle.register("snapshots", Stage::Workers, STOP_BUDGET);
    let schedule = Schedule {
        every_facts: config.registration.snapshot_every_facts,
        every: config.registration.snapshot_every,
    };
    let (source, partitions) = (context.source.clone(), context.partitions);
    tokio::task::spawn_blocking(move || {
        component.ready();
        snapshots::run(&source, partitions, schedule, component.shutdown());
        component.finished();
    });
}
