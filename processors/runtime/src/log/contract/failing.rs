//! Appends that fail, for logs that can be made to ([`Fixture::fail_next_append`]).

use super::{Fixture, numbered};
use crate::log::Isolation;

fn fail_next(fixture: &Fixture) {
    fixture.fail_next_append.as_ref().expect("this group needs a log that can be made to fail")();
}

/// Nothing later of it succeeds.
pub fn a_producer_is_broken_after_a_failure(fixture: Fixture) {
    let place = fixture.partition("orders");
    let mut producer = fixture.log.producer("contract").unwrap();
    assert_eq!(fixture.append_with(&mut *producer, &place, numbered("before", 0..1)), [0]);

    fail_next(&fixture);
    let failed = match producer.append(&place, numbered("failed", 0..1)) {
        Err(_) => true,
        Ok(_) => fixture.deliveries(&mut *producer).iter().all(|it| it.result.is_err()),
    };
    assert!(failed);
    for number in 0..3 {
        match producer.append(&place, numbered("after", number..number + 1)) {
            Err(_) => {}
            Ok(_) => {
                let deliveries = fixture.deliveries(&mut *producer);
                assert!(deliveries.iter().all(|delivery| delivery.result.is_err()));
            }
        }
    }
    drop(producer);
    let values = fixture.values(&place, Isolation::Uncommitted);
    assert!(!values.iter().any(|value| value.starts_with("after")), "{values:?}");
}

/// So does a new one.
pub fn other_producers_go_on_after_a_failure(fixture: Fixture) {
    let place = fixture.partition("orders");
    let mut broken = fixture.log.producer("broken").unwrap();
    let mut other = fixture.log.producer("other").unwrap();
    fail_next(&fixture);
    if broken.append(&place, numbered("failed", 0..1)).is_ok() {
        assert!(fixture.deliveries(&mut *broken).iter().all(|it| it.result.is_err()));
    }
    let other_offsets = fixture.append_with(&mut *other, &place, numbered("other", 0..1));
    let new_offsets = fixture.append(&place, numbered("new", 0..1));
    assert_eq!(new_offsets[0], other_offsets[0] + 1);
    let values = fixture.values(&place, Isolation::Uncommitted);
    assert_eq!(values[values.len() - 2..], ["other0", "new0"]);
}
