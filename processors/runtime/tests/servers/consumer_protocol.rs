//! Groups whose partitions the broker shares out (KIP-848). Names are not static there, so the
//! cases about coming back under a name are left out.

use super::cluster::fixture_of_consumer_protocol;

cityevents_runtime::log_contract_cases!(members, fixture_of_consumer_protocol;
    progress_comes_back_with_its_metadata,
    progress_of_groups_and_partitions_is_kept_apart,
    too_much_metadata_is_refused,
    a_single_member_gets_the_same_numbers_of_every_topic,
    two_members_share_and_who_stays_gets_all,
    a_revoked_partition_waits_for_its_release,
    a_member_cannot_commit_what_it_has_lost,
    later_assignments_have_higher_generations,
    topics_of_a_group_must_have_equal_partition_counts,
);
cityevents_runtime::log_contract_cases!(waiting, fixture_of_consumer_protocol;
    a_waiting_member_wakes_when_another_comes,
);
