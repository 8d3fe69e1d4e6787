//! Time stamps, for logs whose clock is set by hand ([`Fixture::clock`]).

use super::{Fixture, text};
use crate::log::{Cleanup, Isolation, TimestampKind, TopicPartition};

fn stamps(fixture: &Fixture, place: &TopicPartition, times_ms: &[i64]) -> Vec<i64> {
    let clock = fixture.clock.as_ref().expect("this group needs a clock set by hand");
    for time_ms in times_ms {
        clock.set(*time_ms);
        fixture.append(place, vec![text("k", "v")]);
    }
    let records = fixture.read(place, 0, Isolation::Uncommitted);
    records.iter().map(|record| record.timestamp_ms).collect()
}

/// The log's own time stands still while the clock is behind it.
pub fn stamps_of_the_log_follow_the_clock_and_never_go_back(fixture: Fixture) {
    let place = fixture.partition("orders");
    let stamps = stamps(&fixture, &place, &[5000, 7000, 6000, 7000, 7001]);
    assert_eq!(stamps, [5000, 7000, 7000, 7000, 7001]);
}

/// By the log's clock, back too.
pub fn an_absent_stamp_of_a_producer_is_now(fixture: Fixture) {
    let kept = Cleanup::Delete { retention: None };
    let topic = fixture.topic_with("orders", 1, kept, TimestampKind::Create);
    let stamps = stamps(&fixture, &TopicPartition::new(topic, 0), &[5000, 4000]);
    assert_eq!(stamps, [5000, 4000]);
}
