//! The snapshots of an instance.

use anyhow::Context as _;
use cityevents_processors::registration::Registration;
use cityevents_runtime::log::TopicPartition;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::{Source, Standby};
use cityevents_runtime::topology::Topology as _;
use serde_json::{Value, json};

use super::{Context, Progress};
use crate::instance::snapshots;

fn store(context: &Context) -> anyhow::Result<&SnapshotStore> {
    context.source.snapshots.as_ref().context("this instance keeps no snapshots")
}

fn partitions(context: &Context) -> anyhow::Result<u32> {
    Ok(context.log().describe(&context.source.facts)?.spec.partitions)
}

pub(super) fn list(context: &Context) -> anyhow::Result<Value> {
    let store = store(context)?;
    let mut rows = Vec::new();
    for partition in 0..partitions(context)? {
        for listed in store.list(context.source.topology, partition)? {
            rows.push(json!({
                "partition": partition,
                "fact_offset": listed.fact_offset,
                "bytes": listed.bytes,
                "name": listed.name,
            }));
        }
    }
    Ok(Value::Array(rows))
}

pub(super) fn take(context: &Context, progress: Progress<'_>) -> anyhow::Result<Value> {
    store(context)?;
    let count = partitions(context)?;
    let mut rows = Vec::new();
    for partition in 0..count {
        let name = snapshots::take(&context.source, partition)?;
        rows.push(json!({ "partition": partition, "name": name }));
        progress(u64::from(partition) + 1, u64::from(count));
    }
    Ok(Value::Array(rows))
}

/// Folds the facts from the beginning up to each snapshot and compares the states.
pub(super) fn verify(context: &Context, progress: Progress<'_>) -> anyhow::Result<Value> {
    let store = store(context)?;
    let without = Source { snapshots: None, ..context.source.clone() };
    let count = partitions(context)?;
    let mut rows = Vec::new();
    for partition in 0..count {
        let mut listed = store.list(context.source.topology, partition)?;
        listed.reverse();
        let facts = TopicPartition::new(context.source.facts.clone(), partition);
        let high = context.log().watermarks(&facts)?.high;
        let mut fold = Standby::empty(&without, partition, Registration::default())?;
        for snapshot in listed {
            let verdict = match store.get(&snapshot.name) {
                Err(error) => error.to_string(),
                Ok((description, _)) if description.fact_offset > high => {
                    "lies beyond the end of the facts".to_owned()
                }
                Ok((description, state)) => {
                    fold.catch_up(description.fact_offset)?;
                    let cursor = fold.position().map(|position| position.cursor.to_text());
                    if fold.topology().encode_state() != state {
                        "differs from the fold of the facts".to_owned()
                    } else if cursor.as_deref() != Some(&description.cursor) {
                        "stands at another place of the chain".to_owned()
                    } else {
                        "good".to_owned()
                    }
                }
            };
            let is_good = verdict == "good";
            let name = snapshot.name;
            rows.push(json!({ "name": name, "verdict": verdict, "good": is_good }));
        }
        progress(u64::from(partition) + 1, u64::from(count));
    }
    Ok(Value::Array(rows))
}
