//! How much an event is talked about: values of `trends`.

use cityevents_domain::ids::{EventId, InvalidId};
use cityevents_domain::time::Timestamp;

use super::engagement::words;
use super::parts::{from_u64, tag, to_u32, to_u32_option, to_u64};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::text::UuidText;
use crate::wire;

words! {
    /// Whether an event is among the first of its partition.
    TrendState {
        /// It is.
        Ranked = "ranked",
        /// It is no more, or is over.
        Dropped = "dropped",
    }
}

/// How much an event is talked about. Each partition keeps so many events of each city, and of all
/// cities, in slots; a slot has one event at a time, and slots are no ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// Which event.
    pub event: EventId,
    /// Whether it is in the lists.
    pub state: TrendState,
    /// The city in whose list it is, or was.
    pub city: String,
    /// Its category.
    pub category: String,
    /// When it starts.
    pub start_time: Timestamp,
    /// When it ends.
    pub end_time: Timestamp,
    /// Its score, in millionths.
    pub score: u64,
    /// Who joined within 24 hours and is still there.
    pub joins_24h: u32,
    /// Who joined within 7 days and is still there.
    pub joins_7d: u32,
    /// Who looked at it within 24 hours.
    pub views_24h: u32,
    /// Its slot in the list of its city; of a dropped one, the slot that is empty now.
    pub city_slot: Option<u32>,
    /// The same in the list of all cities.
    pub overall_slot: Option<u32>,
    /// When it was worked out.
    pub updated_at: Timestamp,
}

/// Appends a trend as a framed flat record.
pub fn encode_trend(trend: &Trend, out: &mut Vec<u8>) {
    Codecs::installed().encode_trend(trend, out);
}

/// Reads a trend from a framed flat record.
pub fn decode_trend(bytes: &[u8]) -> Result<Trend, DecodeError> {
    Codecs::installed().decode_trend(bytes)
}

impl Codecs {
    /// See [`encode_trend`].
    pub fn encode_trend(&self, trend: &Trend, out: &mut Vec<u8>) {
        let event = UuidText::new(trend.event.as_bytes());
        let record = wire::Trend {
            event_id: event.as_str(),
            state: trend.state.as_str(),
            city: &trend.city,
            category: &trend.category,
            start_time: trend.start_time.as_millis(),
            end_time: trend.end_time.as_millis(),
            score: from_u64(trend.score),
            joins_24h: trend.joins_24h.into(),
            joins_7d: trend.joins_7d.into(),
            views_24h: trend.views_24h.into(),
            city_slot: trend.city_slot.map(i64::from),
            overall_slot: trend.overall_slot.map(i64::from),
            updated_at: trend.updated_at.as_millis(),
        };
        self.write(Record::Trend, &record, out);
    }

    /// See [`decode_trend`].
    pub fn decode_trend(&self, bytes: &[u8]) -> Result<Trend, DecodeError> {
        self.read(Record::Trend, bytes, |body| parse_whole(body, to_trend))
    }
}

fn to_trend(row: &wire::Trend<'_>) -> Result<Trend, DecodeError> {
    let event = row.event_id.parse();
    Ok(Trend {
        event: event.map_err(|InvalidId| DecodeError::InvalidId { field: "event_id" })?,
        state: tag("trend state", row.state, TrendState::parse)?,
        city: row.city.to_owned(),
        category: row.category.to_owned(),
        start_time: Timestamp::from_millis(row.start_time),
        end_time: Timestamp::from_millis(row.end_time),
        score: to_u64("score", row.score)?,
        joins_24h: to_u32("joins_24h", row.joins_24h)?,
        joins_7d: to_u32("joins_7d", row.joins_7d)?,
        views_24h: to_u32("views_24h", row.views_24h)?,
        city_slot: to_u32_option("city_slot", row.city_slot)?,
        overall_slot: to_u32_option("overall_slot", row.overall_slot)?,
        updated_at: Timestamp::from_millis(row.updated_at),
    })
}
