//! The contract suite on the log in memory: at once, and simulated without faults.

use std::sync::Arc;

use cityevents_runtime::log::LogErrorKind;
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::contract::Fixture;
use cityevents_runtime::log::memory::{Faults, MemoryLog};

fn fixture(log: MemoryLog, clock: ManualClock) -> Fixture {
    let (deleting, cleaning, failing) = (log.clone(), log.clone(), log.clone());
    Fixture {
        clock: Some(clock),
        delete_topic: Some(Box::new(move |name| deleting.delete_topic(name).unwrap())),
        clean: Some(Box::new(move |name| cleaning.clean(name).unwrap())),
        fail_next_append: Some(Box::new(move || failing.fail_next_append(LogErrorKind::TimedOut))),
        ..Fixture::new(Arc::new(log))
    }
}

mod at_once {
    use super::*;

    fn make() -> Fixture {
        let clock = ManualClock::new(1_700_000_000_000);
        fixture(MemoryLog::new(clock.clone()), clock)
    }

    cityevents_runtime::log_contract_tests!(
        make; topics, records, readers, members, fenced, waiting, clocked, cleaning, deleting, failing
    );
}

/// Nothing waits in a simulation, so the group `waiting` has nothing to say here.
mod simulated {
    use super::*;

    fn make() -> Fixture {
        let clock = ManualClock::new(1_700_000_000_000);
        let log = MemoryLog::simulated(clock.clone(), 1, Faults::none());
        let ticking = log.clone();
        Fixture { step: Some(Box::new(move || ticking.tick())), ..fixture(log, clock) }
    }

    cityevents_runtime::log_contract_tests!(
        make; topics, records, readers, members, fenced, clocked, cleaning, deleting, failing
    );
}
