//! The adapter in memory.

use cityevents_views::memory::MemoryViews;
use cityevents_views::testing::build::{counters, event_id};
use cityevents_views::{Mutation, ReadCounters, Views, WriteTables, WriteTimestamp};
use futures::executor::block_on;

cityevents_views::contract_suite!(|| (Views::memory(), ()));

#[test]
fn a_failed_write_is_written_in_part_and_again_in_full() {
    let views = MemoryViews::default();
    let rows = || {
        let row = |event| Mutation::new(counters(event, 1, 1), WriteTimestamp(1));
        (0..4).map(row).collect::<Vec<_>>()
    };
    views.fail_next_writes(1);
    let error = block_on(views.write(rows())).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), ("unavailable", true));
    let found = |event| block_on(views.counters(event_id(event))).unwrap().is_some();
    assert_eq!([0, 1, 2, 3].map(found), [true, false, true, false]);
    block_on(views.write(rows())).unwrap();
    assert_eq!([0, 1, 2, 3].map(found), [true; 4]);
}
