//! Members of groups: what one of them hears and believes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::group::check_metadata;
use super::{Shared, State};
use crate::log::{Committed, LogError, LogErrorKind, Member, MemberEvent, TopicPartition};

/// A member of a group of a [`super::MemoryLog`].
pub(super) struct MemoryMember {
    shared: Arc<Shared>,
    group: String,
    topics: Vec<Arc<str>>,
    name: String,
    instance: u64,
    /// What it has heard that it owns.
    believed: BTreeSet<TopicPartition>,
}

impl MemoryMember {
    pub(super) fn new(
        shared: Arc<Shared>,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
        instance: u64,
    ) -> Self {
        let (group, name) = (group.to_owned(), name.to_owned());
        Self { shared, group, topics: topics.to_vec(), name, instance, believed: BTreeSet::new() }
    }

    /// The next news, if there is any.
    fn hear(&mut self, state: &mut State, now_ms: i64) -> Result<Option<MemberEvent>, LogError> {
        if state.chance(|faults| faults.late_news) {
            return Ok(None);
        }
        let Some(group) = state.groups.get_mut(&self.group) else {
            return Ok(None);
        };
        group.enforce_deadline(now_ms);
        let event = if group.is_member(&self.name, self.instance) {
            group.news(&self.name)
        } else if group.has_name(&self.name) {
            return Err(self.shut_out());
        } else {
            self.instance = state.join(&self.group, &self.topics, &self.name, now_ms)?;
            let partitions: Vec<_> = self.believed.iter().cloned().collect();
            match partitions.is_empty() {
                true => return self.hear(state, now_ms),
                false => Some(MemberEvent::Lost { partitions }),
            }
        };
        match &event {
            Some(MemberEvent::Assigned { partitions, .. }) => {
                self.believed.extend(partitions.iter().cloned());
            }
            Some(MemberEvent::Lost { partitions }) => self.forget(partitions),
            Some(MemberEvent::Revoked { .. }) | None => {}
        }
        Ok(event)
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.believed.remove(partition);
        }
    }

    fn shut_out(&self) -> LogError {
        let message = format!("somebody newer is {} in group {}", self.name, self.group);
        LogError::new(LogErrorKind::Fenced, message)
    }
}

impl Member for MemoryMember {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MemberEvent>, LogError> {
        let shared = self.shared.clone();
        let deadline = shared.deadline(timeout);
        let mut state = shared.state.lock();
        loop {
            if let Some(event) = self.hear(&mut state, shared.clock.now_ms())? {
                shared.changed.notify_all();
                return Ok(Some(event));
            }
            let Some(deadline) = deadline else {
                return Ok(None);
            };
            if shared.changed.wait_until(&mut state, deadline).timed_out() {
                return Ok(None);
            }
        }
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let now_ms = self.shared.clock.now_ms();
        if let Some(group) = self.shared.change().groups.get_mut(&self.group) {
            group.release(self.instance, partitions, now_ms);
        }
        self.forget(partitions);
        Ok(())
    }

    fn owns(&self, partition: &TopicPartition) -> bool {
        let mut state = self.shared.state.lock();
        if state.chance(|faults| faults.stale_ownership) {
            return self.believed.contains(partition);
        }
        let group = state.groups.get(&self.group);
        group.is_some_and(|group| group.owns(self.instance, partition))
    }

    fn commit(&mut self, progress: &[(TopicPartition, Committed)]) -> Result<(), LogError> {
        check_metadata(progress)?;
        let mut state = self.shared.change();
        let Some(group) = state.groups.get_mut(&self.group) else {
            return Err(self.shut_out());
        };
        if let Some((lost, _)) = progress.iter().find(|it| !group.owns(self.instance, &it.0)) {
            let message = format!("{lost} is not {}'s any more, give it up", self.name);
            return Err(LogError::new(LogErrorKind::Fenced, message));
        }
        group.commit(progress.iter().cloned());
        Ok(())
    }
}

impl Drop for MemoryMember {
    /// Leaves at once; in a simulation the group has to notice first.
    fn drop(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        let mut state = self.shared.change();
        let simulated = state.simulation.is_some();
        if let Some(group) = state.groups.get_mut(&self.group) {
            match simulated {
                true => group.mark_dead(&self.name, self.instance),
                false => group.leave(&self.name, self.instance, now_ms),
            }
        }
    }
}
