//! The snapshots: states of partitions as they lie in their store, unpacked.

use anyhow::bail;
use cityevents_runtime::snapshot::SnapshotStore;

use super::super::Context;
use super::record::{Published, text_around};
use super::search::Search;

/// Looks at all of them, and tells how many there are. What organisers publish is known from the facts,
/// which every state is made from.
pub(super) fn check_all(
    context: &Context,
    search: &Search,
    published: &Published,
) -> anyhow::Result<u64> {
    let Some(store) = &context.source.snapshots else { return Ok(0) };
    let partitions = context.log().describe(&context.source.facts)?.spec.partitions;
    let mut count = 0;
    for partition in 0..partitions {
        for listed in store.list(context.source.topology, partition)? {
            check(store, &listed.name, search, published)?;
            count += 1;
        }
    }
    Ok(count)
}

fn check(
    store: &SnapshotStore,
    name: &str,
    search: &Search,
    published: &Published,
) -> anyhow::Result<()> {
    let (_, state) = store.get(name)?;
    for hit in search.texts_in(&state).chain(search.names_in_bytes(&state)) {
        if hit.is_given || text_around(&hit, &state, published.iter().cloned()).is_none() {
            let at = hit.range.start;
            bail!("personal data in the snapshot {name}: at byte {at} it {}", hit.what);
        }
    }
    Ok(())
}
