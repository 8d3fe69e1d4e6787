//! How the partitions of a host stand, for whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{FAILURES_MAX, TaskState};

/// A member that got no partition in this time is one more than the group needs: it stands by.
const ASSIGNMENT_WAIT: Duration = Duration::from_secs(10);

/// Shared by the host, its supervisor and its runners.
#[derive(Clone, Default)]
pub(super) struct States(Arc<Mutex<Inner>>);

struct Inner {
    started: Instant,
    /// Each with the number of the assignment that it belongs to.
    entries: BTreeMap<u32, (u64, TaskState)>,
    /// Why the group does not have us.
    shut_out: Option<String>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { started: Instant::now(), entries: BTreeMap::new(), shut_out: None }
    }
}

impl States {
    /// A new assignment begins.
    pub(super) fn begin(&self, partition: u32, assignment: u64, state: TaskState) {
        self.0.lock().entries.insert(partition, (assignment, state));
    }

    /// A runner tells how it stands. What is left of an older assignment is not heard.
    pub(super) fn set(&self, partition: u32, assignment: u64, state: TaskState) {
        if let Some(entry) = self.0.lock().entries.get_mut(&partition)
            && entry.0 == assignment
        {
            entry.1 = state;
        }
    }

    /// The assignment is over.
    pub(super) fn end(&self, partition: u32) {
        self.0.lock().entries.remove(&partition);
    }

    pub(super) fn set_shut_out(&self, reason: Option<String>) {
        self.0.lock().shut_out = reason;
    }

    pub(super) fn all(&self) -> BTreeMap<u32, TaskState> {
        let inner = self.0.lock();
        inner.entries.iter().map(|(partition, entry)| (*partition, entry.1.clone())).collect()
    }

    pub(super) fn problem(&self, name: &str) -> Option<String> {
        let inner = self.0.lock();
        if let Some(reason) = &inner.shut_out {
            return Some(format!("{name}: {reason}"));
        }
        if inner.entries.is_empty() && inner.started.elapsed() < ASSIGNMENT_WAIT {
            return Some(format!("{name}: no partition is assigned yet"));
        }
        inner.entries.iter().find_map(|(partition, (_, state))| match state {
            TaskState::Running
            | TaskState::Lagging(_)
            | TaskState::NoRoom { .. }
            | TaskState::GivenUp => None,
            TaskState::Ailing { reason } => Some(format!("{name}/{partition}: {reason}")),
            TaskState::Starting => Some(format!("{name}/{partition}: restoring")),
            TaskState::Restarting { reason, failures } => (*failures >= FAILURES_MAX)
                .then(|| format!("{name}/{partition}: failed {failures} times: {reason}")),
            TaskState::Stopped { reason } => Some(format!("{name}/{partition}: stopped: {reason}")),
        })
    }

    pub(super) fn warning(&self, name: &str) -> Option<String> {
        let inner = self.0.lock();
        let without_room = inner.entries.iter().find_map(|(partition, (_, state))| match state {
            TaskState::NoRoom { reason } => Some(format!("{name}/{partition}: {reason}")),
            _ => None,
        });
        if without_room.is_some() {
            return without_room;
        }
        let lagging = inner.entries.iter().filter_map(|(partition, (_, state))| match state {
            TaskState::Lagging(lagging) => Some((partition, lagging)),
            _ => None,
        });
        let (partition, worst) = lagging.max_by_key(|(_, lagging)| lagging.age)?;
        Some(format!("{name}/{partition}: {}", worst.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_an_older_assignment_is_not_heard() {
        let states = States::default();
        states.begin(0, 1, TaskState::Starting);
        states.end(0);
        states.set(0, 1, TaskState::Running);
        assert!(states.all().is_empty());
        states.begin(0, 2, TaskState::Starting);
        states.set(0, 1, TaskState::Running);
        assert_eq!(states.all()[&0], TaskState::Starting);
        states.set(0, 2, TaskState::Running);
        assert_eq!(states.problem("host"), None);
    }
}
