//! A log in memory, for tests.
//!
//! [`MemoryLog::new`] keeps every promise of the port at once: an append lands when it is made,
//! and whoever waits is woken. [`MemoryLog::simulated`] does nothing by itself: appends are under
//! way until [`MemoryLog::tick`] lets them land, and [`Faults`] say what happens to them, to groups
//! and to fenced batches. There no call ever blocks, and all chance comes from one seed: the same
//! calls in the same order have the same results, so it is to be used from one thread.

mod faults;
mod fenced;
mod group;
mod member;
mod network;
mod producer;
mod reader;
mod storage;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

pub use self::faults::Faults;
use self::fenced::{MemoryFencedWriter, Writers};
use self::group::Group;
use self::member::MemoryMember;
use self::network::Simulation;
use self::producer::{MemoryProducer, Producers};
use self::reader::MemoryReader;
use self::storage::Storage;
use crate::log::clock::Clock;
use crate::log::{
    Committed, FencedWriter, GroupMember, Isolation, Log, LogError, LogErrorKind, Member,
    PollLimit, Producer, Reader, Record, TopicDescription, TopicPartition, TopicSpec, Watermarks,
};

/// Longest wait of one call, so that a time-out of any size can be added to the present.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A log in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

/// What the log and all handles share.
struct Shared {
    clock: Box<dyn Clock>,
    /// Whether calls may wait; never in a simulation.
    blocks: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    storage: Storage,
    groups: BTreeMap<String, Group>,
    producers: Producers,
    writers: Writers,
    simulation: Option<Simulation>,
}

impl MemoryLog {
    /// A log where everything happens at once, for any number of threads.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self::with(clock, None)
    }

    /// A log where nothing happens before [`MemoryLog::tick`], and then as `seed` and `faults` say.
    pub fn simulated(clock: impl Clock + 'static, seed: u64, faults: Faults) -> Self {
        Self::with(clock, Some(Simulation::new(seed, faults)))
    }

    fn with(clock: impl Clock + 'static, simulation: Option<Simulation>) -> Self {
        let blocks = simulation.is_none();
        let state = Mutex::new(State { simulation, ..State::default() });
        let clock = Box::new(clock);
        Self { shared: Arc::new(Shared { clock, blocks, state, changed: Condvar::new() }) }
    }

    /// Lets one step happen in a simulation: appends land or are lost, groups notice who died and
    /// whose deadline has passed, fenced batches in doubt are decided.
    pub fn tick(&self) {
        let now_ms = self.shared.clock.now_ms();
        let mut state = self.shared.change();
        if let Some(mut simulation) = state.simulation.take() {
            simulation.tick(&mut state, now_ms);
            state.simulation = Some(simulation);
        }
    }

    /// From now on other faults: none, to let a simulation come to rest.
    pub fn set_faults(&self, faults: Faults) {
        if let Some(simulation) = &mut self.shared.change().simulation {
            simulation.faults = faults;
        }
    }

    /// How many records of living and dead producers are still under way.
    pub fn under_way(&self) -> usize {
        self.shared.state.lock().simulation.as_ref().map_or(0, Simulation::under_way)
    }

    /// All producers of this name die: they fail from now on, and what they have under way may land
    /// later. Dropping a producer does the same to it.
    pub fn crash_producer(&self, name: &str) {
        let mut state = self.shared.change();
        for id in state.producers.ids_of(name) {
            state.bury_producer(id);
        }
    }

    /// The next append of any producer fails like this, and nothing of it lands.
    pub fn fail_next_append(&self, kind: LogErrorKind) {
        self.shared.change().producers.fail_next(kind);
    }

    /// A group takes a member for dead: its partitions go to others, and it does not know. It hears
    /// of its loss at its next poll and joins anew.
    pub fn expel_member(&self, group: &str, name: &str) {
        let now_ms = self.shared.clock.now_ms();
        if let Some(group) = self.shared.change().groups.get_mut(group) {
            group.expel(name, now_ms);
        }
    }

    /// Who owns what, by the group's own book.
    pub fn owners(&self, group: &str) -> BTreeMap<TopicPartition, String> {
        self.shared.state.lock().groups.get(group).map(Group::owners).unwrap_or_default()
    }

    /// All records that a partition holds now.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is no such partition.
    pub fn records(
        &self,
        partition: &TopicPartition,
        isolation: Isolation,
    ) -> Result<Vec<Record>, LogError> {
        let state = self.shared.state.lock();
        let partition = state.storage.partition(partition)?;
        let all = PollLimit { records: usize::MAX, bytes: usize::MAX };
        let mut out = Vec::new();
        partition.read(0, partition.end(isolation), isolation, all, &mut out);
        Ok(out)
    }

    /// Deletes a topic and the progress of all groups in it.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is no such topic.
    pub fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let mut state = self.shared.change();
        state.storage.delete(name)?;
        for group in state.groups.values_mut() {
            group.forget(name);
        }
        Ok(())
    }

    /// Throws away all that a topic's settings let go by now: old records, or all but the last of
    /// each key.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is no such topic.
    pub fn clean(&self, topic: &str) -> Result<(), LogError> {
        let now_ms = self.shared.clock.now_ms();
        self.shared.change().storage.clean(topic, now_ms)
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryLog").field("blocks", &self.shared.blocks).finish()
    }
}

impl Shared {
    /// The state, to be changed: whoever waits will look again.
    fn change(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        self.changed.notify_all();
        state
    }

    /// Until when a call may wait; `None` when it must not.
    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.blocks.then(|| Instant::now() + timeout.min(WAIT_MAX))
    }
}

impl State {
    /// Whether chance wants a fault; never without a simulation.
    fn chance(&mut self, probability: impl FnOnce(&Faults) -> f64) -> bool {
        self.simulation.as_mut().is_some_and(|simulation| simulation.chance(probability))
    }

    fn bury_producer(&mut self, id: u64) {
        self.producers.bury(id);
        if let Some(simulation) = &mut self.simulation {
            simulation.orphan(id);
        }
    }

    fn join(
        &mut self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
        now_ms: i64,
    ) -> Result<u64, LogError> {
        let mut counts = Vec::new();
        for topic in topics {
            counts.push(self.storage.description(topic)?.spec.partitions);
        }
        let count = counts.first().copied().unwrap_or(0);
        if count == 0 || counts.iter().any(|other| *other != count) {
            let message = format!(
                "group {group} needs topics with equal partition counts, these have {counts:?}"
            );
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        self.groups.entry(group.to_owned()).or_default().join(topics, count, name, now_ms)
    }
}

impl Log for MemoryLog {
    fn topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        Ok(self.shared.state.lock().storage.descriptions())
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        self.shared.change().storage.create(spec)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        Ok(self.shared.state.lock().storage.partition(partition)?.watermarks())
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        let id = self.shared.change().producers.add(name);
        Ok(Box::new(MemoryProducer::new(self.shared.clone(), id)))
    }

    fn reader(
        &self,
        partition: &TopicPartition,
        offset: u64,
        isolation: Isolation,
    ) -> Result<Box<dyn Reader>, LogError> {
        let state = self.shared.state.lock();
        state.storage.partition(partition)?;
        let topic_id = state.storage.description(&partition.topic)?.id.clone();
        drop(state);
        let (shared, partition) = (self.shared.clone(), partition.clone());
        Ok(Box::new(MemoryReader::new(shared, partition, topic_id, offset, isolation)))
    }

    fn join(
        &self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Box<dyn Member>, LogError> {
        let now_ms = self.shared.clock.now_ms();
        let instance = self.shared.change().join(group, topics, name, now_ms)?;
        Ok(Box::new(MemoryMember::new(self.shared.clone(), group, topics, name, instance)))
    }

    fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError> {
        let state = self.shared.state.lock();
        Ok(state.groups.get(group).and_then(|group| group.committed(partition)))
    }

    fn members(&self, group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
        let state = self.shared.state.lock();
        Ok(Some(state.groups.get(group).map(Group::members).unwrap_or_default()))
    }

    fn fenced(&self, identity: &str) -> Result<Box<dyn FencedWriter>, LogError> {
        let epoch = self.shared.change().take_identity(identity);
        Ok(Box::new(MemoryFencedWriter::new(self.shared.clone(), identity, epoch)))
    }
}
