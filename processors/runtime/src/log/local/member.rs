//! Groups of this log, and their members.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::engine::Engine;
use super::group::Group;
use super::queue::{Answer, Job, closed};
use super::store::Progress;
use crate::log::{
    Committed, GroupMember, LogError, LogErrorKind, Member, MemberEvent, TopicPartition,
};

/// Most bytes of metadata beside a committed offset.
const METADATA_BYTES_MAX: usize = 4096;

/// All groups, their members and their progress.
pub(super) struct Groups {
    state: Mutex<State>,
    news: Condvar,
    patience: Duration,
}

struct State {
    groups: HashMap<String, Group>,
    progress: Progress,
}

impl Groups {
    pub(super) fn new(progress: Progress, patience: Duration) -> Self {
        let state = Mutex::new(State { groups: HashMap::new(), progress });
        Self { state, news: Condvar::new(), patience }
    }

    /// A group's progress.
    pub(super) fn committed(&self, group: &str, place: &TopicPartition) -> Option<Committed> {
        self.state.lock().progress.get(group)?.get(place).cloned()
    }

    /// Who is in a group, and what each of them holds.
    pub(super) fn members(&self, group: &str) -> Vec<GroupMember> {
        self.state.lock().groups.get(group).map(Group::members).unwrap_or_default()
    }

    /// Notes progress that the writer is about to write. Whoever reads it before it is durable
    /// lives in this process and does not outlive it.
    pub(super) fn record(&self, group: &str, progress: &[(TopicPartition, Committed)]) {
        self.state.lock().record(group, progress);
    }

    /// The same for a member, who must hold all the partitions at this moment.
    pub(super) fn record_owned(
        &self,
        group: &str,
        instance: u64,
        progress: &[(TopicPartition, Committed)],
    ) -> Result<(), LogError> {
        let mut state = self.state.lock();
        let known = state.groups.get(group);
        let foreign = progress
            .iter()
            .find(|(place, _)| !known.is_some_and(|group| group.owns(instance, place)));
        if let Some((place, _)) = foreign {
            let message = format!("{place} is not ours any more in group {group}");
            return Err(LogError::new(LogErrorKind::Fenced, message));
        }
        state.record(group, progress);
        Ok(())
    }

    fn with<T>(&self, group: &str, change: impl FnOnce(&mut Group, Instant) -> T) -> T {
        let mut state = self.state.lock();
        let group = state.groups.entry(group.to_owned()).or_default();
        let changed = change(group, Instant::now() + self.patience);
        drop(state);
        self.news.notify_all();
        changed
    }
}

impl State {
    fn record(&mut self, group: &str, progress: &[(TopicPartition, Committed)]) {
        let known = self.progress.entry(group.to_owned()).or_default();
        known.extend(progress.iter().cloned());
    }
}

/// Refuses metadata that is too large.
pub(super) fn check_metadata(progress: &[(TopicPartition, Committed)]) -> Result<(), LogError> {
    for (place, committed) in progress {
        let bytes = committed.metadata.len();
        if bytes > METADATA_BYTES_MAX {
            let message = format!(
                "metadata of {bytes} bytes beside the progress in {place} is larger than \
                 {METADATA_BYTES_MAX}: make it shorter"
            );
            return Err(LogError::new(LogErrorKind::RecordTooLarge, message));
        }
    }
    Ok(())
}

/// A member of a group of the local log. Leaves when it is dropped.
pub(super) struct LocalMember {
    engine: Arc<Engine>,
    group: String,
    name: String,
    instance: u64,
}

impl LocalMember {
    pub(super) fn join(
        engine: Arc<Engine>,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Self, LogError> {
        let mut partitions = None;
        for topic in topics {
            let found = engine.topic(&TopicPartition::new(topic.clone(), 0))?;
            let count = found.description.spec.partitions;
            if partitions.is_some_and(|known| known != count) {
                let message = format!(
                    "group {group} reads topics with different numbers of partitions, {topic} \
                     among them: topics read together need the same number"
                );
                return Err(LogError::new(LogErrorKind::Configuration, message));
            }
            partitions = Some(count);
        }
        let Some(partitions) = partitions else {
            let message = format!("group {group} reads no topic: name at least one");
            return Err(LogError::new(LogErrorKind::Configuration, message));
        };
        let joined = |known: &mut Group, late| known.join(topics, partitions, name, late);
        let instance = engine.groups().with(group, joined)?;
        Ok(Self { engine, group: group.to_owned(), name: name.to_owned(), instance })
    }
}

impl Member for LocalMember {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MemberEvent>, LogError> {
        let groups = self.engine.groups();
        let deadline = Instant::now() + timeout;
        let mut state = groups.state.lock();
        loop {
            let group = state.groups.entry(self.group.clone()).or_default();
            if !group.has(&self.name, self.instance) {
                let message = format!(
                    "somebody else joined group {} under the name {}",
                    self.group, self.name
                );
                return Err(LogError::new(LogErrorKind::Fenced, message));
            }
            let now = Instant::now();
            if group.enforce(now, groups.patience) {
                groups.news.notify_all();
            }
            if let Some(event) = group.news(&self.name) {
                return Ok(Some(event));
            }
            if now >= deadline {
                return Ok(None);
            }
            let until = group.next_deadline().map_or(deadline, |late| late.min(deadline));
            groups.news.wait_until(&mut state, until);
        }
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let instance = self.instance;
        let release = |group: &mut Group, late| group.release(instance, partitions, late);
        self.engine.groups().with(&self.group, release);
        Ok(())
    }

    fn owns(&self, partition: &TopicPartition) -> bool {
        let mut state = self.engine.groups().state.lock();
        let Some(group) = state.groups.get_mut(&self.group) else {
            return false;
        };
        group.owns(self.instance, partition)
    }

    fn commit(&mut self, progress: &[(TopicPartition, Committed)]) -> Result<(), LogError> {
        check_metadata(progress)?;
        if progress.is_empty() {
            return Ok(());
        }
        let (answer, waiting) = Answer::new();
        self.engine.push(Job::Commit {
            group: self.group.clone(),
            instance: self.instance,
            progress: progress.to_vec(),
            answer,
        });
        waiting.recv().unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for LocalMember {
    fn drop(&mut self) {
        let leave = |group: &mut Group, late| group.leave(&self.name, self.instance, late);
        self.engine.groups().with(&self.group, leave);
    }
}
