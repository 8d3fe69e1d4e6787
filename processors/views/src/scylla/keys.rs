//! How keys and times are said in CQL. Pure.

use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use scylla::value::CqlValue;

use crate::row::WriteTimestamp;

/// The registrations of one event are spread over so many partitions. Never changes.
const REGISTRATION_BUCKETS: u8 = 16;

/// Tickets of a line in one partition. Never changes.
const LINE_BUCKET_TICKETS: u32 = 4_096;

/// Names the list of all cities.
const ALL_CITIES: &str = "ALL";

/// A bound before every id, and one behind: what bounds a range of places by time alone.
pub(super) const BEFORE_IDS: &[u8] = &[];
pub(super) const BEHIND_IDS: &[u8] = &[0xff; 17];

/// Write timestamps are 64 bits without a sign, those of CQL have one. No sequence and no offset
/// comes near the difference; beyond it, timestamps count as equal.
pub(super) fn cql_timestamp(WriteTimestamp(timestamp): WriteTimestamp) -> i64 {
    i64::try_from(timestamp).unwrap_or(i64::MAX)
}

/// The column `list` of what is talked about. Neither database takes an empty key, so the list of
/// all cities has a name; it has capitals, which no folded name of a city has. Never changes.
pub(super) const fn trend_list(list: &str) -> &str {
    if list.is_empty() { ALL_CITIES } else { list }
}

/// The bucket of a person among the registrations of an event.
pub(super) fn registration_bucket(user: &UserId) -> i16 {
    i16::from(last_byte(user.as_bytes()) % REGISTRATION_BUCKETS)
}

/// The bucket of a ticket in the line.
pub(super) const fn line_bucket(ticket: u32) -> i32 {
    (ticket / LINE_BUCKET_TICKETS) as i32
}

/// The last byte of an id is random, whatever its first ones are.
const fn last_byte(id: &[u8; 16]) -> u8 {
    let [.., last] = id;
    *last
}

pub(super) fn blob(bytes: &[u8]) -> CqlValue {
    CqlValue::Blob(bytes.to_vec())
}

pub(super) const fn millis(time: Timestamp) -> CqlValue {
    CqlValue::BigInt(time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_keep_their_order_as_far_as_cql_counts() {
        let timestamps = [0, 1, 1 << 40, i64::MAX as u64, u64::MAX].map(WriteTimestamp);
        assert!(timestamps.map(cql_timestamp).is_sorted());
        assert_eq!(cql_timestamp(WriteTimestamp(7)), 7);
    }

    #[test]
    fn the_list_of_all_cities_is_that_of_no_city() {
        assert_eq!((trend_list(""), trend_list("bern")), (ALL_CITIES, "bern"));
        assert_ne!(crate::text::fold(ALL_CITIES), ALL_CITIES);
    }

    #[test]
    fn bounds_lie_around_all_ids() {
        assert!(BEFORE_IDS < [0; 16].as_slice());
        assert!(BEHIND_IDS > [0xff; 16].as_slice());
    }

    #[test]
    fn buckets_of_tickets_rise_with_the_tickets() {
        let tickets = [0, 4_095, 4_096, u32::MAX - 1, u32::MAX];
        assert_eq!(tickets.map(line_bucket), [0, 0, 1, 1_048_575, 1_048_575]);
    }
}
