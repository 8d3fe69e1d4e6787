//! Tables in memory: for tests and simulations. Says the same as the embedded adapter, and is
//! written in another way, so that each checks the other.

mod read;
mod records;
mod state;

use std::sync::atomic::{AtomicU32, Ordering};

use cityevents_domain::ids::UserId;
use futures::future::{BoxFuture, FutureExt, ready};
use parking_lot::RwLock;

use crate::error::ViewsError;
use crate::row::{Mutation, PersonKey};
use crate::tables::{PersonKeys, WriteTables};
use records::RecordMaps;
use state::State;

/// Tables in memory.
#[derive(Default)]
pub struct MemoryViews {
    state: RwLock<State>,
    records: RwLock<RecordMaps>,
    failing_writes: AtomicU32,
    /// Writes that still succeed before those.
    writes_before: AtomicU32,
}

impl MemoryViews {
    /// Lets the next `count` calls of `write` fail as if the tables could not be reached. Every
    /// other row of such a call is written all the same: a failed write is not an undone one.
    pub fn fail_next_writes(&self, count: u32) {
        self.failing_writes.store(count, Ordering::SeqCst);
    }

    /// Lets one call fail, after `count` that do not.
    pub fn fail_write_after(&self, count: u32) {
        self.writes_before.store(count, Ordering::SeqCst);
        self.fail_next_writes(1);
    }

    fn takes_failure(&self) -> bool {
        let take_one = |left: u32| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.failing_writes.load(order) > 0
            && self.writes_before.fetch_update(order, order, take_one).is_ok()
        {
            return false;
        }
        self.failing_writes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok()
    }

    fn fail_if_told(&self) -> Result<(), ViewsError> {
        if self.takes_failure() { Err(told_to_fail()) } else { Ok(()) }
    }

    fn write_now(&self, mutations: Vec<Mutation>) -> Result<(), ViewsError> {
        let fails = self.takes_failure();
        let mut state = self.state.write();
        let step = if fails { 2 } else { 1 };
        for mutation in mutations.into_iter().step_by(step) {
            state.apply(mutation);
        }
        if fails {
            return Err(told_to_fail());
        }
        Ok(())
    }
}

fn told_to_fail() -> ViewsError {
    ViewsError::unavailable("told to fail")
}

impl WriteTables for MemoryViews {
    fn write(&self, mutations: Vec<Mutation>) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move { self.write_now(mutations) }.boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), ViewsError>> {
        ready(Ok(())).boxed()
    }
}

impl PersonKeys for MemoryViews {
    fn person_key(&self, user: UserId) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>> {
        async move { Ok(self.state.read().person_keys.get(&user).copied().flatten()) }.boxed()
    }

    fn insert_person_key_if_absent(
        &self,
        user: UserId,
        key: PersonKey,
    ) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>> {
        async move { Ok(*self.state.write().person_keys.entry(user).or_insert(Some(key))) }.boxed()
    }

    fn erase_person_key(&self, user: UserId) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move {
            self.state.write().person_keys.insert(user, None);
            Ok(())
        }
        .boxed()
    }
}
