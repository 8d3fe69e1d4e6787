//! Replay of one partition, alone: into nothing, into a state, into tables, and into other topics.

use std::time::{Duration, Instant};

use anyhow::ensure;
use cityevents_processors::registration::Registration;
use cityevents_processors::replay::carry::{self, Carry, ComparedFacts, Target};
use cityevents_processors::replay::{Facts, Until};
use cityevents_runtime::follower::Follower;
use cityevents_runtime::log::{Isolation, PollLimit, TopicPartition, poll_below};
use cityevents_runtime::standby::{Source, Standby};
use cityevents_schemas::topic;
use cityevents_views::{Views, embedded};

use super::Plan;
use super::kafka::Cluster;
use super::measure::{Goal, Row, per_second, process_cpu};
use super::restore::{self, PARTITIONS};
use crate::instance::topics;

/// The partition that has facts.
const PARTITION: u32 = 0;
/// Read at once, as a restore does.
const READ: PollLimit = PollLimit { records: 16_384, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);
/// Of the topics that facts are carried into.
const CARRIED_PARTITIONS: u32 = 6;
/// Longest time that facts are carried for.
const CARRY_WAIT: Duration = Duration::from_secs(600);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    // Removes its topics at the end.
    let cluster = plan.kafka.as_ref().map(Cluster::connect).transpose()?;
    let source = restore::empty_log(folder.path(), cluster.as_ref())?;
    let registrations = u64::from(plan.registrations / PARTITIONS);
    restore::write(&source, PARTITION, registrations)?;
    let place = TopicPartition::new(source.facts.clone(), PARTITION);
    let facts = source.log.watermarks(&place)?.high;

    let null = timed(|| read(&source, &place, facts))?;
    let linked = timed(|| follow(&source, &place, facts))?;
    let folded = timed(|| {
        let mut fold = Standby::empty(&source, PARTITION, Registration::default())?;
        fold.catch_up(facts)?;
        let made = fold.topology().state().memory().registrations;
        ensure!(made == registrations, "{made} registrations were folded, not {registrations}");
        Ok(())
    })?;
    let tables = Views::embedded(&folder.path().join("views"), embedded::Options::default())?;
    let written = timed(|| {
        let mut replay = Facts::open(&source, &tables, PARTITION, Until::default())?;
        Ok(replay.finish()?)
    })?;

    let prefix = format!("{}carried-", cluster.as_ref().map_or("", |cluster| &cluster.prefix));
    let target = carried_to(&source, &prefix)?;
    let carried = timed(|| {
        let carry = Carry::open(&source, &target)?;
        Ok(carry.run(CARRY_WAIT, None)?)
    })?;
    let compared = carry::compare(&source, &target, &mut |_, _| {})?;
    ensure!(compared.iter().all(ComparedFacts::is_same), "what was carried is not the same");

    let (from, goal) = match cluster {
        Some(_) => ("Kafka", 500_000.0),
        None => ("the embedded log", 1_000_000.0),
    };
    let rate = |times: &Times| per_second(facts, times.took);
    let conditions = |times: &Times| {
        format!(
            "{facts} facts of one partition of {from}, files in the page cache, processor seconds \
             {:.1}",
            times.cpu
        )
    };
    Ok(vec![
        Row::new("P10 replay: facts folded", rate(&folded), "/s")
            .goal(Goal::AtLeast(goal))
            .under(conditions(&folded)),
        Row::new("    null loop: records read, nothing done", rate(&null), "/s")
            .under(conditions(&null)),
        Row::new("    of the null loop", rate(&folded) / rate(&null), "×"),
        Row::new("    read by the rule of the chain, nothing folded", rate(&linked), "/s")
            .under(conditions(&linked)),
        Row::new("    into tables in a folder", rate(&written), "/s").under(conditions(&written)),
        Row::new("    carried into new topics of six partitions", rate(&carried), "/s")
            .under(conditions(&carried)),
    ])
}

/// New topics, with another number of partitions.
fn carried_to(source: &Source, prefix: &str) -> anyhow::Result<Target> {
    topics::create_missing(&*source.log, prefix, CARRIED_PARTITIONS)?;
    Ok(Target {
        commands: topic::EVENT_COMMANDS.full_name(prefix).into(),
        facts: topic::EVENT_FACTS.full_name(prefix).into(),
    })
}

struct Times {
    took: Duration,
    cpu: f64,
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Times> {
    let (started, before) = (Instant::now(), process_cpu());
    work()?;
    let took = started.elapsed();
    Ok(Times { took, cpu: (process_cpu() - before).as_secs_f64() })
}

fn read(source: &Source, place: &TopicPartition, end: u64) -> anyhow::Result<()> {
    let mut reader = source.log.reader(place, 0, Isolation::Uncommitted)?;
    let mut records = Vec::new();
    while poll_below(&mut *reader, place, end, READ, READ_WAIT, &mut records)? {}
    Ok(())
}

fn follow(source: &Source, place: &TopicPartition, end: u64) -> anyhow::Result<()> {
    let metrics = source.metrics.follower("bench");
    let mut follower = Follower::open(&*source.log, place, None, source.clock.clone(), metrics)?;
    let mut links = Vec::new();
    while follower.poll_below(end, READ, READ_WAIT, &mut links)? {}
    Ok(())
}
