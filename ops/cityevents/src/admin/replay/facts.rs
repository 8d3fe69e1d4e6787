//! Facts carried into new topics, also with another number of partitions: as answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use cityevents_domain::time::Timestamp;
use cityevents_processors::registration;
use cityevents_processors::replay::carry::{self, Carry, ComparedFacts, Target};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Isolation, Outgoing, PollLimit, TopicPartition};
use cityevents_schemas::topic;
use serde_json::{Value, json};

use crate::admin::lag::lag;
use crate::admin::{Context, Progress};
use crate::instance::topics;

const READ: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
const WAIT: Duration = Duration::from_secs(60);

/// Makes the topics, or finds them again.
pub(super) fn begin(
    context: &Context,
    prefix: &str,
    partitions: Option<u32>,
) -> anyhow::Result<Arc<Carry>> {
    let log = &**context.log();
    let target = target(context, prefix)?;
    let found = topics::find(log, &target.facts)?;
    let partitions = match (found, partitions) {
        (Some(_), Some(_)) => bail!(
            "there is a topic {} already: --resume goes on with it; for others take another prefix",
            target.facts
        ),
        (None, None) => bail!("there is no topic {} to go on with: say --partitions", target.facts),
        (Some(found), None) => found.spec.partitions,
        (None, Some(partitions)) => partitions,
    };
    topics::create_missing(log, prefix, partitions)?;
    let carry = Arc::new(Carry::open(&context.source, &target)?);
    context.replays.1.lock().insert(prefix.to_owned(), carry.clone());
    Ok(carry)
}

/// The one that is under way in this process.
pub(super) fn under_way(context: &Context, prefix: &str) -> anyhow::Result<Arc<Carry>> {
    let found = context.replays.1.lock().get(prefix).cloned();
    found.with_context(|| {
        format!("nobody carries facts into {prefix} here any more; --resume goes on")
    })
}

/// Forgets the one that is under way.
pub(super) fn forget(context: &Context, prefix: &str) {
    context.replays.1.lock().remove(prefix);
}

/// Compares the state of every event.
pub(super) fn diff(
    context: &Context,
    prefix: &str,
    progress: Progress<'_>,
) -> anyhow::Result<Vec<ComparedFacts>> {
    let target = existing(context, prefix)?;
    Ok(carry::compare(&context.source, &target, progress)?)
}

/// Ends the old topics and begins life in the new ones.
pub(super) fn switch(
    context: &Context,
    prefix: &str,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let target = existing(context, prefix)?;
    forget(context, prefix);
    check_nobody_decides(context)?;
    let carry = Carry::open(&context.source, &target)?;
    let now = Timestamp::from_millis(context.source.clock.now_ms());
    // Compared while nothing has ended; nothing more is carried afterwards.
    let mut compared = None;
    let rest = || {
        check_rest(context).map_err(|error| TaskError::Stop(format!("{error:#}")))?;
        compared = Some(check_same(context, &target, &mut *progress)?);
        Ok(())
    };
    let accounts = || copy_account_changes(context, prefix);
    let commands = carry.finish(now, rest, accounts)?;
    let compared = match compared {
        Some(compared) => compared,
        None => check_same(context, &target, progress)?,
    };
    let (facts, events) = (sum(&compared, |one| one.facts), sum(&compared, |one| one.events));
    tracing::info!(log.prefix = prefix, "facts go on under the prefix {prefix:?} from now on");
    Ok(json!({
        "prefix": prefix,
        "partitions": compared.len(),
        "facts": facts,
        "events": events,
        "commands": commands,
    }))
}

/// Whether every event has the same state.
fn check_same(
    context: &Context,
    target: &Target,
    progress: Progress<'_>,
) -> Result<Vec<ComparedFacts>, TaskError> {
    let compared = carry::compare(&context.source, target, progress)?;
    let differing = sum(&compared, |one| one.differing + one.missing);
    if differing == 0 {
        return Ok(compared);
    }
    Err(TaskError::Stop(format!(
        "{differing} events have another state in {}: `cityevents replay facts PREFIX --diff` shows \
         them. Do not start on it",
        target.facts
    )))
}

fn sum(compared: &[ComparedFacts], of: fn(&ComparedFacts) -> u64) -> u64 {
    compared.iter().map(of).sum()
}

/// The new topics by their prefix.
fn target(context: &Context, prefix: &str) -> anyhow::Result<Target> {
    ensure!(
        prefix != context.prefix,
        "the topics of the prefix {prefix:?} are those that are in use: name another one"
    );
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ensure!(
        !prefix.is_empty() && prefix.bytes().all(is_good),
        "{prefix:?} is no prefix of topics: letters, digits, '.', '_' and '-'"
    );
    Ok(Target {
        commands: topic::EVENT_COMMANDS.full_name(prefix).into(),
        facts: topic::EVENT_FACTS.full_name(prefix).into(),
    })
}

fn existing(context: &Context, prefix: &str) -> anyhow::Result<Target> {
    let target = target(context, prefix)?;
    ensure!(
        topics::find(&**context.log(), &target.facts)?.is_some(),
        "there is no topic {}: `cityevents replay facts {prefix} --partitions N` makes it",
        target.facts
    );
    Ok(target)
}

/// Whoever decides would notice that the chain has ended, and nobody would take what comes then.
fn check_nobody_decides(context: &Context) -> anyhow::Result<()> {
    let group = context.group(registration::NAME);
    let members = context.log().members(&group)?.unwrap_or_default();
    let Some(member) = members.first() else { return Ok(()) };
    bail!(
        "{} is in the group {group}: stop every process first, those with `ingest` and `api` before the \
         others",
        member.name
    )
}

/// Whether everybody has done what there was to do: what somebody has not done in the old topics, nobody
/// does in the new ones.
fn check_rest(context: &Context) -> anyhow::Result<()> {
    let lag = lag(context, &[], &mut |_, _| {})?;
    let rows = lag["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Whoever never began has nothing to finish; what is put aside for a person stays there.
    let behind = |row: &&Value| row["records"] != 0 && row["verdict"] != "never began";
    let Some(row) = rows.iter().find(behind) else { return Ok(()) };
    let [group, topic] = ["group", "topic"].map(|field| row[field].as_str().unwrap_or_default());
    bail!(
        "{group} has {} records before it in {topic}: start the processes without `ingest` and `api` until \
         `cityevents lag` is at rest",
        row["records"]
    )
}

/// What accounts may do is no fact, and goes along as it is.
fn copy_account_changes(context: &Context, prefix: &str) -> Result<(), TaskError> {
    let log = &**context.log();
    let to: Arc<str> = topic::ACCOUNT_CHANGES.full_name(prefix).into();
    let count = log.describe(&to)?.spec.partitions;
    let from = topic::ACCOUNT_CHANGES.full_name(&context.prefix);
    let mut producer = log.producer("replay-facts-accounts")?;
    let mut into: Vec<_> = (0..count).map(|_| Vec::new()).collect();
    for partition in 0..log.describe(&from)?.spec.partitions {
        let place = TopicPartition::new(from.clone(), partition);
        let marks = log.watermarks(&place)?;
        let mut reader = log.reader(&place, marks.low, Isolation::Uncommitted)?;
        let mut records = Vec::new();
        while reader.position() < marks.high {
            let before = reader.position();
            let polled = reader.poll(READ, WAIT, &mut records)?;
            // The last offsets of a compacted topic may have no record.
            if polled.end_of_partition {
                break;
            }
            if reader.position() == before {
                return Err(TaskError::Restart(format!("{place} gives nothing")));
            }
        }
        for record in records {
            let place = partition_of(record.key.as_deref().unwrap_or_default(), count);
            let (key, value, headers) = (record.key, record.value, record.headers);
            let timestamp_ms = Some(record.timestamp_ms);
            into[place as usize].push(Outgoing { key, value, headers, timestamp_ms });
        }
    }
    for (partition, records) in (0..).zip(into).filter(|(_, records)| !records.is_empty()) {
        carry::append(&mut *producer, &TopicPartition::new(to.clone(), partition), records)?;
    }
    Ok(())
}
