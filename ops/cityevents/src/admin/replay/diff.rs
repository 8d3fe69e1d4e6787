//! Whether tables say what the live ones say.

use anyhow::{bail, ensure};
use cityevents_domain::time::Timestamp;
use cityevents_processors::replay::compare::{Compare, Compared};
use cityevents_schemas::rfc3339::Rfc3339;

use super::begin;
use crate::admin::{Context, Progress};
use crate::instance::{TablesName, tables_record as record};

/// Compares all partitions with those of the live tables.
pub(super) fn diff(
    context: &Context,
    name: &TablesName,
    progress: Progress<'_>,
) -> anyhow::Result<Vec<Compared>> {
    let live_name = begin::live_name(context)?;
    ensure!(
        *name != live_name,
        "{name} are the live tables: there is nothing to compare them with"
    );
    let other = context.tables.open(name)?;
    if let Some(until_ms) = record::made(&other)?.and_then(|made| made.until_ms) {
        bail!(
            "the tables {name} go up to {} only, and the live ones to now; `cityevents replay show` \
             tells what they say of an event",
            Rfc3339::new(Timestamp::from_millis(until_ms)).as_str()
        );
    }
    let live = context.tables.open(&live_name)?;
    let source = &context.source;
    let compare = Compare { source, live: &live, other: &other };
    let count = context.log().describe(&source.facts)?.spec.partitions;
    // All partitions are about of a size.
    let mut told = |partition: u32, done: u64, of: u64| {
        progress(u64::from(partition) * 1_000 + done * 1_000 / of.max(1), u64::from(count) * 1_000);
    };
    (0..count)
        .map(|partition| {
            Ok(compare.partition(partition, &mut |done, of| told(partition, done, of))?)
        })
        .collect()
}
