//! What is talked about: full lists of every city, straight in the tables that the topology `trending`
//! keeps.

use std::path::Path;

use anyhow::Context as _;
use cityevents_domain::time::Millis;
use cityevents_views::embedded::Options;
use cityevents_views::text::fold;
use cityevents_views::{Mutation, TrendEntry, TrendRow, Views, WriteTimestamp};
use futures::executor::block_on;

use super::rows::{CITIES, Maker};

/// Events of a list, as many as the topology keeps of each partition.
const SLOTS_MAX: usize = 200;
/// Rows written at once.
const BATCH: usize = 5_000;

/// Fills the list of each city, and the one of all, with events that were made.
pub(super) fn write(data: &Path, maker: &Maker) -> anyhow::Result<()> {
    let views = Views::embedded(&data.join("views"), Options::default())?;
    let mut taken = vec![0; CITIES];
    let mut rows = Vec::new();
    for (number, (city, category)) in (0..).zip(&maker.made) {
        let slot = taken.get_mut(*city).context("a city that is none")?;
        let mut lists = Vec::new();
        if *slot < SLOTS_MAX {
            lists.push((fold(maker.city(*city)), *slot));
            *slot += 1;
        }
        if (number as usize) < SLOTS_MAX {
            lists.push((String::new(), number as usize));
        }
        for (list, slot) in lists {
            let entry = Some(entry(maker, number, category));
            let row = TrendRow { list, partition: 0, slot: u32::try_from(slot)?, entry };
            rows.push(Mutation::new(row, WriteTimestamp(1)));
        }
        if rows.len() >= BATCH {
            block_on(views.write.write(std::mem::take(&mut rows)))?;
        }
    }
    block_on(views.write.write(rows))?;
    block_on(views.write.flush())?;
    Ok(())
}

fn entry(maker: &Maker, number: u32, category: &str) -> TrendEntry {
    let joins = number % 97;
    TrendEntry {
        event: Maker::id(number),
        category: category.to_owned(),
        start_time: maker.now + Millis::hours(24),
        end_time: maker.now + Millis::hours(24 * 400),
        score: u64::from(joins) * 6_000_000,
        joins_24h: joins,
        joins_7d: joins,
        views_24h: 0,
        updated_at: maker.now,
    }
}
