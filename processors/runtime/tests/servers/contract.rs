//! The contract suite of the log port on one broker.

use super::cluster::fixture;

cityevents_runtime::log_contract_tests!(
    fixture; topics, records, readers, members, fenced, waiting, reopening, deleting
);
