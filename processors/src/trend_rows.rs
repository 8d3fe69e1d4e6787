//! Trends → tables: what the API reads of what is talked about.
//!
//! A record says which slots of which lists its event has, or has left empty. A row is a slot, and its
//! write timestamp is the record's offset: slots belong to one partition, so of two records about one
//! slot the later one wins, however often and by whomever they are written.

use std::collections::BTreeMap;

use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::{Record, TopicPartition};
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::{Trend, TrendState, decode_trend};
use cityevents_views::text::fold;
use cityevents_views::{Mutation, TrendEntry, TrendRow, WriteTimestamp};

use crate::records::RecordSink;

/// Names this topology in groups, progress rows, logs and metrics.
pub const NAME: &str = "trend-rows";

/// The sink of one partition.
#[derive(Debug, Default)]
pub struct TrendRows;

impl RecordSink for TrendRows {
    fn rows(
        &mut self,
        partition: &TopicPartition,
        records: &[Record],
    ) -> Result<Vec<Mutation>, TaskError> {
        // The last record about a slot is the one that counts.
        let mut rows = BTreeMap::new();
        for record in records {
            // A key that was taken out by hand.
            let Some(value) = record.value.as_deref() else { continue };
            let trend = decode_trend(value).map_err(|error| {
                let place = format!("the trend at {partition} offset {}", record.offset);
                match error.class() {
                    ErrorClass::Retry => {
                        TaskError::Restart(format!("{place} cannot be read now: {error}"))
                    }
                    ErrorClass::Reject => TaskError::Stop(format!(
                        "{place} cannot be read: {error}; upgrade this program"
                    )),
                }
            })?;
            for (list, slot) in
                [(fold(&trend.city), trend.city_slot), (String::new(), trend.overall_slot)]
            {
                let Some(slot) = slot else { continue };
                let entry = (trend.state == TrendState::Ranked).then(|| entry_of(&trend));
                let number = partition.partition;
                let row = TrendRow { list: list.clone(), partition: number, slot, entry };
                let mutation = Mutation::new(row, WriteTimestamp(record.offset));
                rows.insert((list, slot), mutation);
            }
        }
        Ok(rows.into_values().collect())
    }
}

fn entry_of(trend: &Trend) -> TrendEntry {
    TrendEntry {
        event: trend.event,
        category: trend.category.clone(),
        start_time: trend.start_time,
        end_time: trend.end_time,
        score: trend.score,
        joins_24h: trend.joins_24h,
        joins_7d: trend.joins_7d,
        views_24h: trend.views_24h,
        updated_at: trend.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cityevents_domain::ids::EventId;
    use cityevents_domain::time::Timestamp;
    use cityevents_runtime::log::Headers;
    use cityevents_schemas::message::encode_trend;
    use cityevents_views::{Row, Views};
    use futures::executor::block_on;

    use super::*;

    fn record(offset: u64, event: u8, state: TrendState, slots: [Option<u32>; 2]) -> Record {
        let at = Timestamp::from_millis(1);
        let trend = Trend {
            event: EventId::from_bytes([event; 16]),
            state,
            city: "Łódź".into(),
            category: "film".into(),
            start_time: at,
            end_time: at,
            score: 7,
            joins_24h: 1,
            joins_7d: 2,
            views_24h: 3,
            city_slot: slots[0],
            overall_slot: slots[1],
            updated_at: at,
        };
        let mut value = Vec::new();
        encode_trend(&trend, &mut value);
        let (key, value) = (Some(Bytes::from_static(b"k")), Some(Bytes::from(value)));
        Record { offset, timestamp_ms: 0, key, value, headers: Headers::empty() }
    }

    #[test]
    fn slots_are_overwritten_emptied_and_never_turned_back() {
        let views = Views::memory();
        let place = TopicPartition::new("trends", 3);
        let write = |records: &[Record]| {
            let rows = TrendRows.rows(&place, records).unwrap();
            block_on(views.write.write(rows)).unwrap();
        };
        let events = |city: Option<&str>| {
            let entries = block_on(views.trends.trends(city.map(str::to_owned))).unwrap();
            let mut events: Vec<_> =
                entries.iter().map(|entry| entry.event.as_bytes()[0]).collect();
            events.sort_unstable();
            events
        };
        let (ranked, dropped) = (TrendState::Ranked, TrendState::Dropped);
        let first = [
            record(1, 1, ranked, [Some(0), Some(0)]),
            record(2, 2, ranked, [Some(1), None]),
            record(3, 1, dropped, [Some(0), None]),
            record(4, 3, ranked, [Some(2), Some(0)]),
        ];
        write(&first);
        assert_eq!((events(Some("łódź")), events(None)), (vec![2, 3], vec![3]));
        // A zombie that comes late.
        write(&first[..2]);
        assert_eq!((events(Some("łódź")), events(None)), (vec![2, 3], vec![3]));
        let rows = TrendRows.rows(&place, &first).unwrap();
        assert!(rows.iter().all(|one| matches!(&one.row, Row::Trend(row) if row.partition == 3)));
        let cut =
            Record { value: Some(Bytes::from_static(b"x")), ..record(5, 1, ranked, [None; 2]) };
        assert!(matches!(TrendRows.rows(&place, &[cut]), Err(TaskError::Stop(_))));
    }
}
