//! The contract suite on the log of one machine.

use std::sync::Arc;

use cityevents_runtime::log::Log;
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::contract::Fixture;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use tempfile::TempDir;

fn open(folder: &TempDir, clock: &ManualClock) -> Arc<LocalLog> {
    let clock = Arc::new(clock.clone());
    LocalLog::open(folder.path(), LocalOptions { clock, ..LocalOptions::default() }).unwrap()
}

fn make() -> Fixture {
    let folder = Arc::new(TempDir::new().unwrap());
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open(&folder, &clock);
    let (again, then) = (folder.clone(), clock.clone());
    Fixture {
        clock: Some(clock),
        reopen: Some(Box::new(move || open(&again, &then) as Arc<dyn Log>)),
        guard: Some(Box::new(folder)),
        ..Fixture::new(log)
    }
}

/// One whose log is held by its own cleaning, so it cannot be opened again.
fn make_cleaning() -> Fixture {
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::new(1_700_000_000_000);
    let log = open(&folder, &clock);
    let cleaning = log.clone();
    Fixture {
        clock: Some(clock),
        clean: Some(Box::new(move |_| cleaning.clean_up().unwrap())),
        guard: Some(Box::new(folder)),
        ..Fixture::new(log)
    }
}

cityevents_runtime::log_contract_tests!(
    make; topics, records, members, fenced, waiting, clocked, reopening
);
// The one case left out sees a superseded row before the compaction: there is none here.
cityevents_runtime::log_contract_cases!(cleaning, make_cleaning;
    retention_takes_old_records_and_moves_no_offset,
    retention_may_take_everything,
    without_retention_everything_stays,
    compaction_keeps_the_last_record_of_each_key,
);
