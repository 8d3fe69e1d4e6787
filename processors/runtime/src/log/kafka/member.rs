//! A member of a group: it joins, hears what is its own, commits, and never fetches.
//!
//! librdkafka tells of a rebalance inside the member's own poll, so there is no other thread to
//! meet. Told to give partitions up, the callback only notes it; librdkafka waits, and with it the
//! group, until [`Member::release`] lets go. The deadline is the group's: a member that neither
//! polls nor releases counts as stuck, and its partitions as lost.
//!
//! A member subscribes to the first topic of its group and has the same numbers of the others:
//! no assignor of Kafka's promises that by itself.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::client::{Core, client_context, whole_millis};
use super::errors::{failed, is_passing, kind_of};
use super::metrics::KafkaMetrics;
use super::options::KafkaOptions;
use super::progress::progress_list;
use crate::log::clock::{Clock, SystemClock};
use crate::log::{
    Committed, Generation, LogError, LogErrorKind, Member, MemberEvent, TopicPartition,
};

/// How long a commit is tried again while the group is between two generations.
const COMMIT_PATIENCE: Duration = Duration::from_secs(3);
/// How long a member that leaves waits for the group to hear of it.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
/// One look at the group's news while something else is waited for.
const BRIEF: Duration = Duration::from_millis(20);

/// News from librdkafka, by number of partition.
enum News {
    Assigned(Vec<u32>),
    Revoked(Vec<u32>),
    Lost(Vec<u32>),
}

#[derive(Default)]
struct State {
    news: VecDeque<News>,
    owned: BTreeSet<u32>,
    /// Told to go, and not released.
    revoked: BTreeSet<u32>,
    /// What librdkafka has to be told once all of that is released.
    to_unassign: BTreeSet<u32>,
    /// Nobody is there any more to release anything.
    is_closing: bool,
}

struct Context {
    core: Core,
    topic: Arc<str>,
    state: Mutex<State>,
}

client_context!(Context);

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let numbers: Vec<u32> = partitions
            .elements()
            .iter()
            .filter_map(|element| u32::try_from(element.partition()).ok())
            .collect();
        let done = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, numbers)
        } else {
            self.revoke(consumer, numbers)
        };
        if let Err(error) = done {
            tracing::error!(%error, "{}: the group's assignment is not followed: {error}", self.core.name());
        }
    }
}

impl Context {
    fn assign(&self, consumer: &BaseConsumer<Self>, numbers: Vec<u32>) -> KafkaResult<()> {
        let list = self.list(numbers.iter().copied())?;
        consumer.incremental_assign(&list)?;
        if numbers.is_empty() {
            return Ok(());
        }
        consumer.pause(&list)?;
        let mut state = self.state.lock();
        state.owned.extend(&numbers);
        state.news.push_back(News::Assigned(numbers));
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, numbers: Vec<u32>) -> KafkaResult<()> {
        let is_lost = consumer.assignment_lost();
        let mut state = self.state.lock();
        if !is_lost && !state.is_closing && !numbers.is_empty() {
            state.revoked.extend(&numbers);
            state.to_unassign.extend(&numbers);
            state.news.push_back(News::Revoked(numbers));
            return Ok(());
        }
        for number in &numbers {
            state.owned.remove(number);
            state.revoked.remove(number);
        }
        let list = self.list(numbers.iter().copied())?;
        if !numbers.is_empty() {
            state.news.push_back(News::Lost(numbers));
        }
        drop(state);
        consumer.incremental_unassign(&list)
    }

    /// Offsets are given so that none is asked for; nothing is fetched from them.
    fn list(&self, numbers: impl Iterator<Item = u32>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for number in numbers {
            list.add_partition_offset(&self.topic, number.cast_signed(), Offset::Offset(0))?;
        }
        Ok(list)
    }
}

/// The part of a member that others may look at.
pub(super) struct Membership {
    consumer: BaseConsumer<Context>,
    topics: Vec<Arc<str>>,
}

impl Membership {
    /// Whether the group counts this partition as ours.
    pub(super) fn owns(&self, partition: &TopicPartition) -> bool {
        self.topics.contains(&partition.topic)
            && self.consumer.context().state.lock().owned.contains(&partition.partition)
            && !self.consumer.assignment_lost()
            && self.consumer.client().fatal_error().is_none()
    }

    /// What proves the membership.
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }
}

/// A member.
pub(super) struct KafkaMember {
    membership: Arc<Membership>,
    group: String,
    generation: u64,
}

impl KafkaMember {
    /// Joins. The topics are known to be there and of equal partition counts.
    pub(super) fn join(
        options: &KafkaOptions,
        metrics: &KafkaMetrics,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Self, LogError> {
        let doing = || format!("joining group {group}");
        let Some(topic) = topics.first().cloned() else {
            let message = format!("{} failed: it has no topics", doing());
            return Err(LogError::new(LogErrorKind::Configuration, message));
        };
        let context = Context {
            core: Core::new(&format!("{group}-member"), metrics),
            topic: topic.clone(),
            state: Mutex::default(),
        };
        let consumer: BaseConsumer<Context> = options
            .member(group, name)
            .create_with_context(context)
            .map_err(|error| failed(&doing(), &error))?;
        consumer.subscribe(&[&topic]).map_err(|error| failed(&doing(), &error))?;
        let membership = Arc::new(Membership { consumer, topics: topics.to_vec() });
        Ok(Self { membership, group: group.to_owned(), generation: 0 })
    }

    pub(super) const fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    fn consumer(&self) -> &BaseConsumer<Context> {
        &self.membership.consumer
    }

    fn state(&self) -> &Mutex<State> {
        &self.consumer().context().state
    }

    fn next_event(&mut self) -> Option<MemberEvent> {
        let news = self.state().lock().news.pop_front()?;
        let partitions = |numbers: Vec<u32>| {
            let of = |topic: &Arc<str>| {
                let topic = topic.clone();
                numbers.iter().map(move |number| TopicPartition::new(topic.clone(), *number))
            };
            self.membership.topics.iter().flat_map(of).collect::<Vec<_>>()
        };
        Some(match news {
            News::Assigned(numbers) => {
                let partitions = partitions(numbers);
                // Kafka counts generations and librdkafka does not tell. Time serves: it rises
                // from one assignment to the next, from one member to the next as well.
                let now_ms = SystemClock.now_ms().max(0).cast_unsigned();
                self.generation = now_ms.max(self.generation + 1);
                MemberEvent::Assigned { partitions, generation: Generation(self.generation) }
            }
            News::Revoked(numbers) => MemberEvent::Revoked { partitions: partitions(numbers) },
            News::Lost(numbers) => MemberEvent::Lost { partitions: partitions(numbers) },
        })
    }

    fn check_alive(&self) -> Result<(), LogError> {
        if self.consumer().context().core.is_stranded() {
            let message = format!("this member of group {} lost every broker", self.group);
            return Err(LogError::new(LogErrorKind::Fenced, message));
        }
        let Some((code, reason)) = self.consumer().client().fatal_error() else {
            return Ok(());
        };
        let message = if code == Code::FencedInstanceId {
            format!(
                "group {} shut this member out: another process joined under the same name",
                self.group
            )
        } else {
            format!("the membership of group {} ended: {reason}", self.group)
        };
        Err(LogError::new(kind_of(code), message))
    }

    /// Serves librdkafka's callbacks; what they bring waits in the news.
    fn serve(&self, timeout: Duration) -> Result<(), LogError> {
        match self.consumer().poll(timeout) {
            None | Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => Ok(()),
            Some(Err(error)) => {
                self.check_alive()?;
                match error.rdkafka_error_code() {
                    // Of a partition that nothing is read from.
                    Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Ok(()),
                    Some(code) if is_passing(code) => Ok(()),
                    // The callback tells of what is lost with it.
                    Some(Code::PollExceeded) => Ok(()),
                    _ => Err(failed(&format!("following group {}", self.group), &error)),
                }
            }
        }
    }

    fn commit_once(&self, list: &TopicPartitionList) -> Result<(), (Option<Code>, LogError)> {
        self.consumer().commit(list, CommitMode::Sync).map_err(|error| {
            let doing = format!("storing progress of group {}", self.group);
            (error.rdkafka_error_code(), failed(&doing, &error))
        })
    }
}

impl Member for KafkaMember {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MemberEvent>, LogError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.next_event() {
                return Ok(Some(event));
            }
            self.check_alive()?;
            let left = whole_millis(deadline.saturating_duration_since(Instant::now()));
            self.serve(left)?;
            if left.is_zero() {
                return Ok(self.next_event());
            }
        }
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let context = self.consumer().context();
        let mut state = context.state.lock();
        for partition in partitions {
            if state.revoked.remove(&partition.partition) {
                state.owned.remove(&partition.partition);
            }
        }
        if !state.revoked.is_empty() || state.to_unassign.is_empty() {
            return Ok(());
        }
        let released = std::mem::take(&mut state.to_unassign);
        drop(state);
        context
            .list(released.into_iter())
            .and_then(|list| self.consumer().incremental_unassign(&list))
            .map_err(|error| failed(&format!("leaving partitions of group {}", self.group), &error))
    }

    fn owns(&self, partition: &TopicPartition) -> bool {
        self.membership.owns(partition)
    }

    fn commit(&mut self, progress: &[(TopicPartition, Committed)]) -> Result<(), LogError> {
        self.check_alive()?;
        for (partition, _) in progress {
            if !self.owns(partition) {
                let message = format!("group {} does not count {partition} as ours", self.group);
                return Err(LogError::new(LogErrorKind::Fenced, message));
            }
        }
        let list = progress_list(progress)?;
        let started = Instant::now();
        loop {
            match self.commit_once(&list) {
                Ok(()) => return Ok(()),
                // Between two generations; those who stay may commit again in a moment.
                Err((Some(Code::RebalanceInProgress | Code::IllegalGeneration), error)) => {
                    if started.elapsed() >= COMMIT_PATIENCE || self.consumer().assignment_lost() {
                        return Err(error);
                    }
                    self.serve(BRIEF)?;
                }
                Err((_, error)) => return Err(error),
            }
        }
    }

    fn leave(&mut self) -> Result<(), LogError> {
        if self.consumer().client().fatal_error().is_some() {
            return Ok(());
        }
        self.state().lock().is_closing = true;
        // Of a static member only this tells the group; closing does not.
        self.consumer().unsubscribe();
        let started = Instant::now();
        loop {
            let pending = std::mem::take(&mut self.state().lock().to_unassign);
            if !pending.is_empty() {
                let context = self.consumer().context();
                let unassigned = context
                    .list(pending.into_iter())
                    .and_then(|list| self.consumer().incremental_unassign(&list));
                unassigned.map_err(|error| failed("leaving a group", &error))?;
            }
            let left = self.consumer().assignment().is_ok_and(|list| list.count() == 0);
            if left || started.elapsed() >= LEAVE_PATIENCE {
                self.state().lock().owned.clear();
                return Ok(());
            }
            self.serve(BRIEF)?;
        }
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        self.state().lock().is_closing = true;
        let pending = std::mem::take(&mut self.state().lock().to_unassign);
        if !pending.is_empty() {
            // librdkafka waits for this before it closes.
            let context = self.consumer().context();
            let unassigned = context
                .list(pending.into_iter())
                .and_then(|list| self.consumer().incremental_unassign(&list));
            if let Err(error) = unassigned {
                tracing::warn!(%error, "group {}: {error}", self.group);
            }
        }
    }
}
