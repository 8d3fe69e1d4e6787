//! Whether tables that were made anew say what the live ones say.
//!
//! The log goes on meanwhile, and the live tables with it. So rows that differ are looked at again:
//! the live row is read, the new tables are brought exactly to where the live ones are by then, and
//! the live row is read once more. Where it is the same both times, it is what the facts up to there
//! came to, and a new row that is another one is a difference. No clock and no luck is in it; only a
//! row that changes all the while is told as such.

mod rows;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cityevents_domain::ids::EventId;
use cityevents_runtime::follower::Follower;
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::{PollLimit, TopicPartition};
use cityevents_runtime::standby::Source;
use cityevents_views::{Row, Views};
use futures::executor::block_on;
use serde::{Deserialize, Serialize};

use self::rows::{RowKey, Rows};
use super::bounded::Until;
use super::part::Facts;
use crate::{from_views, projection};

/// Facts read at once.
const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);
/// How long the live tables may take to come to where the new ones are already.
const LIVE_WAIT: Duration = Duration::from_secs(20);
/// Between two looks at how far the live tables are.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a row that changes meanwhile is looked at again.
const ROUNDS_MAX: usize = 50;
/// Differences of a partition that are told.
pub const TOLD_MAX: usize = 10;

/// What came of one partition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Compared {
    /// Which.
    pub partition: u32,
    /// Events looked at.
    pub events: u64,
    /// Rows looked at, those that only one of both has included.
    pub rows: u64,
    /// How far the live tables were in the end.
    pub live_offset: u64,
    /// How far the others were in the end.
    pub other_offset: u64,
    /// The state of the live tables, in hexadecimal.
    pub live_hash: String,
    /// The state of the others.
    pub other_hash: String,
    /// Rows that differ.
    pub differing: u64,
    /// Rows that changed all the while.
    pub moving: u64,
    /// The first that differ.
    pub differences: Vec<Difference>,
}

/// A row that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of which event.
    pub event: String,
    /// Which row.
    pub row: String,
    /// What the live tables have.
    pub live: Option<String>,
    /// What the others have.
    pub other: Option<String>,
}

/// Two tables of one log.
pub struct Compare<'a> {
    /// Where the facts are.
    pub source: &'a Source,
    /// The live tables.
    pub live: &'a Views,
    /// Others, which are brought to where the live ones are.
    pub other: &'a Views,
}

impl Compare<'_> {
    /// Compares everything about the events of a partition. `progress` hears how many events are
    /// done, of how many.
    ///
    /// # Errors
    /// When log or tables cannot be read, or the live tables do not get on.
    pub fn partition(
        &self,
        partition: u32,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Compared, TaskError> {
        let end = self.align(partition)?;
        let events = self.events(partition, end)?;
        let mut compared = Compared { partition, ..Compared::default() };
        let (mut live_hash, mut other_hash) = (blake3::Hasher::new(), blake3::Hasher::new());
        for (index, event) in events.iter().enumerate() {
            let live = rows::read(self.live, *event, None)?;
            let other = rows::read(self.other, *event, None)?;
            let (live, other) =
                if live == other { (live, other) } else { self.settle(*event, &mut compared)? };
            rows::hash(&mut live_hash, *event, &live);
            rows::hash(&mut other_hash, *event, &other);
            compared.rows += live.keys().chain(other.keys()).collect::<BTreeSet<_>>().len() as u64;
            compared.events += 1;
            progress(index as u64 + 1, events.len() as u64);
        }
        compared.live_hash = live_hash.finalize().to_hex()[..32].to_owned();
        compared.other_hash = other_hash.finalize().to_hex()[..32].to_owned();
        compared.live_offset = offset(self.live, partition)?;
        compared.other_offset = offset(self.other, partition)?;
        Ok(compared)
    }

    /// Brings the others exactly to where the live tables are, and says where that is.
    fn align(&self, partition: u32) -> Result<u64, TaskError> {
        let ahead = offset(self.other, partition)?;
        let deadline = Instant::now() + LIVE_WAIT;
        let live = loop {
            let live = offset(self.live, partition)?;
            if live >= ahead {
                break live;
            }
            if Instant::now() >= deadline {
                return Err(TaskError::Stop(format!(
                    "the live tables have the facts of {}/{partition} up to offset {live} and do not \
                     get on to {ahead}, where the others are: start what writes them, and see \
                     `cityevents lag`",
                    self.source.facts
                )));
            }
            std::thread::sleep(LOOK_EVERY);
        };
        if live > ahead {
            let until = Until { moment: None, offset: Some(live) };
            Facts::open(self.source, self.other, partition, until)?.finish()?;
        }
        Ok(live)
    }

    /// Every event that the facts before an offset are about.
    fn events(&self, partition: u32, end: u64) -> Result<BTreeSet<EventId>, TaskError> {
        let place = TopicPartition::new(self.source.facts.clone(), partition);
        let metrics = self.source.metrics.follower(super::NAME);
        let log = &*self.source.log;
        let mut follower = Follower::open(log, &place, None, self.source.clock.clone(), metrics)?;
        let (mut events, mut links) = (BTreeSet::<EventId>::new(), Vec::new());
        while follower.poll_below(end, READ, READ_WAIT, &mut links)? {
            // A link that only closes commands has no key.
            let keys = links.iter().filter_map(|link| link.record.key.as_deref());
            events.extend(
                keys.filter_map(|key| std::str::from_utf8(key).ok()?.parse::<EventId>().ok()),
            );
        }
        Ok(events)
    }

    /// Looks again at an event whose rows were not the same, until each is or is known to differ.
    /// Returns what both have.
    fn settle(&self, event: EventId, compared: &mut Compared) -> Result<(Rows, Rows), TaskError> {
        let (mut live, mut other) = (Rows::new(), Rows::new());
        let mut only: Option<BTreeSet<RowKey>> = None;
        for _ in 0..ROUNDS_MAX {
            let before = rows::read(self.live, event, only.as_ref())?;
            self.align(compared.partition)?;
            let beside = rows::read(self.other, event, only.as_ref())?;
            let after = rows::read(self.live, event, only.as_ref())?;
            let keys: BTreeSet<_> =
                before.keys().chain(beside.keys()).chain(after.keys()).copied().collect();
            let mut again = BTreeSet::new();
            for key in keys {
                let [was, new, is] = [&before, &beside, &after].map(|rows| rows.get(&key));
                let is_same = new == was || new == is;
                if !is_same && was != is {
                    again.insert(key);
                    continue;
                }
                if !is_same {
                    compared.differs(event, key, is, new);
                }
                put(&mut live, key, if is_same { new } else { is });
                put(&mut other, key, new);
            }
            if again.is_empty() {
                return Ok((live, other));
            }
            only = Some(again);
        }
        compared.moving += only.map_or(0, |keys| keys.len() as u64);
        Ok((live, other))
    }
}

impl Compared {
    fn differs(&mut self, event: EventId, key: RowKey, live: Option<&Row>, other: Option<&Row>) {
        self.differing += 1;
        if self.differences.len() < TOLD_MAX {
            let text = |row: &Row| format!("{row:?}");
            self.differences.push(Difference {
                event: event.to_string(),
                row: key.to_string(),
                live: live.map(text),
                other: other.map(text),
            });
        }
    }

    /// Whether everything is the same.
    pub const fn is_same(&self) -> bool {
        self.differing == 0 && self.moving == 0
    }
}

fn put(rows: &mut Rows, key: RowKey, row: Option<&Row>) {
    if let Some(row) = row {
        rows.insert(key, row.clone());
    }
}

/// All rows of the facts before this are written.
fn offset(views: &Views, partition: u32) -> Result<u64, TaskError> {
    let progress = views.progress.progress(projection::NAME.to_owned(), partition);
    Ok(block_on(progress).map_err(from_views)?.map_or(0, |row| row.next_offset))
}
