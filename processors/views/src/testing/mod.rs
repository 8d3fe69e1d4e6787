//! The contract of the tables, as tests that every adapter must pass. An adapter's tests call
//! [`contract_suite`](crate::contract_suite) with a function that opens empty tables.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a failed expectation is the verdict"
)]
#![expect(missing_docs, reason = "tests: their names are the sentences")]

pub mod build;
pub mod keyed;
pub mod lists;
pub mod people;
pub mod person_keys;
pub mod records;
pub mod replays;
pub mod restless;
pub mod trends;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::row::{Mutation, Row, WriteTimestamp};
use crate::{Page, Views, ViewsError};

/// Makes one test of every sentence of the contract. `$open` gives `(Views, guard)`; the guard is
/// dropped after the test.
#[macro_export]
macro_rules! contract_suite {
    ($open:expr) => {
        $crate::contract_suite! { $open;
            keyed::a_row_of_each_table_reads_back_as_it_was_written,
            keyed::what_was_never_written_is_not_there,
            keyed::the_highest_timestamp_wins_in_whatever_order_it_comes,
            keyed::of_equal_timestamps_the_same_row_wins_in_either_order,
            keyed::rows_of_one_call_may_overwrite_each_other,
            keyed::an_outcome_of_each_kind_reads_back_as_it_was_written,
            keyed::an_expired_outcome_is_not_there,
            keyed::an_outcome_outlives_a_reader_whose_clock_lags,
            keyed::progress_is_kept_by_projection_and_partition,
            keyed::progress_never_goes_back,
            keyed::flushing_changes_nothing,
            lists::own_events_come_newest_first_in_any_state,
            lists::a_filter_that_few_pass_still_comes_to_its_end,
            people::participants_come_in_the_order_of_joining,
            people::a_person_who_joins_anew_moves_to_the_end,
            people::own_joins_come_last_joined_first,
            people::the_line_is_in_the_order_of_tickets,
            people::who_leaves_the_line_is_not_in_it,
            people::a_late_write_of_the_past_changes_no_list,
            people::a_lifted_ban_is_not_there,
            people::bans_are_listed_by_event,
            person_keys::the_first_key_counts,
            person_keys::of_many_at_once_one_key_counts_for_all,
            person_keys::an_erased_person_gets_no_key_again,
            records::a_record_reads_back_as_it_was_written,
            records::a_record_is_changed_only_by_who_knows_its_revision,
            records::a_record_that_was_taken_away_can_be_made_again,
            records::many_changes_are_answered_one_by_one_in_their_order,
            records::kinds_are_apart,
            records::of_many_at_once_one_makes_a_record,
            records::of_many_at_once_one_changes_each_revision,
            records::what_expires_is_there_until_then,
            records::places_come_in_order_and_by_pages,
            records::a_place_that_was_taken_away_is_not_there,
            records::lists_are_apart_even_where_one_name_begins_another,
            trends::a_list_is_what_stands_in_its_slots,
            trends::a_slot_has_what_was_written_last_and_may_be_empty,
            trends::lists_are_of_one_city_but_for_case_or_of_all,
            trends::a_profile_reads_back_until_it_expires,
            trends::a_late_write_of_a_profile_changes_nothing,
            replays::mutations_in_any_order_and_number_give_the_same_tables,
            restless::pages_of_events_miss_and_repeat_nothing_while_rows_come_and_go,
            restless::pages_of_people_miss_and_repeat_nothing_while_rows_come_and_go,
            restless::readers_never_meet_half_a_write,
        }
    };
    ($open:expr; $($module:ident :: $name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let (views, _guard) = $open();
                $crate::testing::$module::$name(&views);
            }
        )*
    };
}

/// Waits for an answer that must be a good one.
pub fn done<T>(answer: impl Future<Output = Result<T, ViewsError>>) -> T {
    futures::executor::block_on(answer).unwrap()
}

/// Runs a property on so many random cases. A failure tells the smallest case and the seed.
pub(crate) fn for_random_cases<S: Strategy>(
    count: u32,
    cases: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut config = Config { cases: count, failure_persistence: None, ..Config::default() };
    // Already fixed where the environment says PROPTEST_RNG_SEED.
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().build_hasher().finish(),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    if let Err(failure) = TestRunner::new(config).run(&cases, property) {
        panic!("PROPTEST_RNG_SEED={seed}: {failure}");
    }
}

/// Writes one row.
pub fn put(views: &Views, row: impl Into<Row>, timestamp: u64) {
    done(views.write.write(vec![Mutation::new(row, WriteTimestamp(timestamp))]));
}

/// Goes through all pages of a list.
pub fn walk<T, P: Copy + PartialEq + std::fmt::Debug>(
    mut page: impl FnMut(Option<P>) -> Page<T, P>,
) -> Vec<T> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let Page { items: more, next } = page(after);
        items.extend(more);
        match next {
            None => return items,
            Some(next) => assert_ne!(Some(next), after, "the list does not go on"),
        }
        after = next;
    }
}

/// Goes through all pages of places.
pub fn walk_places(mut page: impl FnMut(Option<Vec<u8>>) -> Vec<Vec<u8>>) -> Vec<String> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        let more = page(all.last().cloned());
        if more.is_empty() {
            return all.into_iter().map(|position| String::from_utf8(position).unwrap()).collect();
        }
        all.extend(more);
    }
}
