//! How many dead letters wait, for whoever asks again and again: each record is read once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use cityevents_runtime::log::{Isolation, TopicPartition, poll_below};
use cityevents_schemas::catalog::catalog;

use super::Context;
use super::dead_letters::{HANDLED_HEADER, READ, READ_WAIT};

/// Letters of one partition that are remembered; beyond, more of them make no difference.
const REMEMBERED_MAX: usize = 100_000;

/// What was read so far.
#[derive(Debug, Default)]
pub struct Depth {
    partitions: BTreeMap<TopicPartition, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    next: u64,
    /// Offsets of the letters that nobody has handled.
    waiting: BTreeSet<u64>,
}

impl Depth {
    /// Reads what came since the last look, and tells how many letters wait in each topic.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn look(&mut self, context: &Context) -> anyhow::Result<BTreeMap<String, u64>> {
        let names = catalog().topics().iter().filter_map(|topic| topic.dead_letters);
        let names: BTreeSet<_> = names.collect();
        let mut counts = BTreeMap::new();
        for name in names {
            let topic =
                catalog().topic(name).context("the catalogue does not know its own topic")?;
            let full = topic.full_name(&context.prefix);
            let mut count = 0;
            for partition in 0..context.log().describe(&full)?.spec.partitions {
                let place = context.partition(topic, partition);
                let known = self.partitions.entry(place.clone()).or_default();
                known.read(context, &place)?;
                count += known.waiting.len() as u64;
            }
            counts.insert(full, count);
        }
        Ok(counts)
    }
}

impl Partition {
    fn read(&mut self, context: &Context, place: &TopicPartition) -> anyhow::Result<()> {
        let marks = context.log().watermarks(place)?;
        if marks.high < self.next {
            // Another topic under the same name.
            *self = Self::default();
        }
        self.next = self.next.max(marks.low);
        self.waiting = self.waiting.split_off(&marks.low);
        if self.next == marks.high {
            return Ok(());
        }
        let mut reader = context.log().reader(place, self.next, Isolation::Uncommitted)?;
        let mut batch = Vec::new();
        while poll_below(&mut *reader, place, marks.high, READ, READ_WAIT, &mut batch)? {
            for record in &batch {
                let handled = record.headers.get_text(HANDLED_HEADER);
                match handled.and_then(|offset| offset.parse().ok()) {
                    Some(offset) => {
                        self.waiting.remove(&offset);
                    }
                    None if self.waiting.len() < REMEMBERED_MAX => {
                        self.waiting.insert(record.offset);
                    }
                    None => {}
                }
            }
            self.next = reader.position();
        }
        Ok(())
    }
}
