//! One event of the state: what was folded of it, and how it stands in the lists. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::{Trend, TrendState, encode_trend};
use xxhash_rust::xxh3::xxh3_64;

use super::buckets::Buckets;
use super::names::{Name, Names};
use super::ranking::{Number, Rank};
use super::score::Figures;

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: EventId,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// Since when it is known.
    pub(super) since: Timestamp,
    /// Who is in or waits, after the last fact.
    pub(super) living: u32,
    pub(super) city_name: Name,
    pub(super) category: Name,
    pub(super) buckets: Buckets,
    pub(super) is_published: bool,
    pub(super) city: u32,
    /// As it stands in the order of its city, if it does.
    pub(super) score: u64,
    pub(super) is_placed: bool,
    pub(super) has_changed: bool,
    pub(super) is_over: bool,
    pub(super) city_slot: Option<u16>,
    pub(super) overall_slot: Option<u16>,
    /// When the clock changes something next.
    pub(super) due_ms: i64,
    /// Stands for what was published of it last.
    pub(super) shown: u64,
}

impl Known {
    pub(super) fn rank(&self) -> Rank {
        (Reverse(self.score), self.start, self.id)
    }

    /// Reads something of every part that an engagement looks at.
    pub(super) fn touch(&self) -> u64 {
        self.since.as_millis() as u64 ^ u64::from(self.category.0) ^ u64::from(self.has_changed)
    }
}

/// Hashes ids, which are random already.
#[derive(Default, Clone)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

pub(super) type Index = HashMap<EventId, Number, BuildHasherDefault<IdHasher>>;

/// What is kept of an event when the state is written down: the rest follows from it.
pub(super) struct Kept<'a> {
    pub(super) id: EventId,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) since: Timestamp,
    pub(super) living: u32,
    pub(super) city: &'a str,
    pub(super) category: &'a str,
    pub(super) buckets: Buckets,
    pub(super) is_published: bool,
}

pub(super) fn trend_of(names: &Names, known: &Known, figures: Figures) -> Trend {
    Trend {
        event: known.id,
        state: TrendState::Ranked,
        city: names.text(known.city_name).to_owned(),
        category: names.text(known.category).to_owned(),
        start_time: known.start,
        end_time: known.end,
        score: known.score,
        joins_24h: figures.joins_24h,
        joins_7d: figures.joins_7d,
        views_24h: figures.views_24h,
        city_slot: known.city_slot.map(u32::from),
        overall_slot: known.overall_slot.map(u32::from),
        updated_at: known.since,
    }
}

/// Stands for everything that a trend says but for when it was worked out.
pub(super) fn mark_of_trend(trend: &Trend) -> u64 {
    let mut bytes = Vec::with_capacity(160);
    encode_trend(&Trend { updated_at: Timestamp::from_millis(0), ..trend.clone() }, &mut bytes);
    // The id of the schema differs from registry to registry.
    xxh3_64(bytes.get(cityevents_schemas::HEADER_BYTES..).unwrap_or_default()).max(1)
}
