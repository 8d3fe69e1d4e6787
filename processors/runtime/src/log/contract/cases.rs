//! The list of all cases, as a macro that makes a test of each.

/// Makes a `#[test]` of every case of the groups named, on what `$make()` gives.
#[macro_export]
macro_rules! log_contract_tests {
    ($make:path; $($group:ident),+ $(,)?) => {
        $($crate::log_contract_group!($group, $make);)+
    };
}

/// Names the cases of a group.
#[doc(hidden)]
#[macro_export]
macro_rules! log_contract_group {
    (topics, $make:path) => {
        $crate::log_contract_cases!(topics, $make;
            a_topic_is_described_as_it_was_made,
            a_topic_is_made_once,
            topics_have_different_ids,
            an_unknown_topic_is_refused,
            an_unknown_partition_is_refused,
        );
    };
    (records, $make:path) => {
        $crate::log_contract_cases!(records, $make;
            offsets_rise_by_one_from_zero_and_the_order_is_kept,
            partitions_count_their_offsets_apart,
            tickets_count_from_zero_and_deliveries_follow_them,
            several_producers_interleave_and_each_keeps_its_order,
            an_acknowledged_record_can_be_read_at_once,
            keys_values_and_headers_come_back_as_they_were,
            the_log_stamps_records_itself_where_it_should,
            the_producer_stamps_records_where_it_should,
            a_record_larger_than_the_log_takes_is_refused,
        );
    };
    (readers, $make:path) => {
        $crate::log_contract_cases!(readers, $make;
            a_poll_brings_no_more_records_than_asked_for,
            a_poll_brings_no_more_bytes_than_asked_for,
            a_record_larger_than_the_limit_of_a_poll_still_comes,
            watermarks_are_the_first_and_the_next_offset,
            a_reader_beyond_the_end_is_out_of_range,
            a_reader_goes_on_from_where_it_is_told,
            the_end_of_an_empty_partition_is_reached_at_once,
        );
    };
    (members, $make:path) => {
        $crate::log_contract_cases!(members, $make;
            progress_comes_back_with_its_metadata,
            progress_of_groups_and_partitions_is_kept_apart,
            too_much_metadata_is_refused,
            a_single_member_gets_the_same_numbers_of_every_topic,
            two_members_share_and_who_stays_gets_all,
            a_revoked_partition_waits_for_its_release,
            a_member_cannot_commit_what_it_has_lost,
            who_comes_back_under_its_name_gets_the_same_partitions,
            the_newest_of_two_members_with_one_name_stays,
            later_assignments_have_higher_generations,
            topics_of_a_group_must_have_equal_partition_counts,
            who_is_in_a_group_and_holds_what_is_told,
        );
    };
    (fenced, $make:path) => {
        $crate::log_contract_cases!(fenced, $make;
            a_batch_counts_with_its_progress,
            a_batch_with_progress_alone_counts,
            a_refused_batch_leaves_nothing,
            an_older_holder_is_fenced_and_leaves_nothing,
            identities_do_not_disturb_each_other,
            batches_show_in_order_beside_plain_appends,
        );
    };
    (waiting, $make:path) => {
        $crate::log_contract_cases!(waiting, $make;
            a_waiting_reader_wakes_at_an_append,
            a_waiting_reader_wakes_at_a_fenced_batch,
            a_reader_gives_up_waiting_in_time,
            a_waiting_member_wakes_when_another_comes,
            many_producers_at_once_lose_nothing,
            what_readers_follow_is_acknowledged_in_order,
        );
    };
    (clocked, $make:path) => {
        $crate::log_contract_cases!(clocked, $make;
            stamps_of_the_log_follow_the_clock_and_never_go_back,
            an_absent_stamp_of_a_producer_is_now,
        );
    };
    (cleaning, $make:path) => {
        $crate::log_contract_cases!(cleaning, $make;
            retention_takes_old_records_and_moves_no_offset,
            retention_may_take_everything,
            without_retention_everything_stays,
            compaction_keeps_the_last_record_of_each_key,
            what_comes_after_a_compaction_goes_on_counting,
        );
    };
    (reopening, $make:path) => {
        $crate::log_contract_cases!(reopening, $make;
            topics_records_and_progress_are_there_again,
            offsets_go_on_where_they_ended,
            a_member_gets_its_partitions_again,
            fenced_batches_are_there_again,
        );
    };
    (deleting, $make:path) => {
        $crate::log_contract_cases!(deleting, $make;
            a_topic_made_anew_has_another_id_and_begins_at_zero,
            readers_of_a_deleted_topic_fail,
        );
    };
    (failing, $make:path) => {
        $crate::log_contract_cases!(failing, $make;
            a_producer_is_broken_after_a_failure,
            other_producers_go_on_after_a_failure,
        );
    };
}

/// Makes tests of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! log_contract_cases {
    ($group:ident, $make:path; $($case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::log::contract::$group::$case($make());
            }
        )+
    };
}
